//! A client of Ollama's native API (`docs/api.md` and `api/types.go` of github.com/ollama/ollama). No other module
//! knows this format.
//!
//! Ollama's OpenAI-compatible API ignores the context window a client asks for and truncates longer prompts
//! silently. This client requests the window with every call, looks up the actual window after the model was
//! loaded, forbids truncation where the server supports that, and compares the server's token count with an
//! estimate. A truncated prompt thus becomes an error instead of an answer.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use async_trait::async_trait;
use journeyman_event::{Tokens, TraceContext};
use reqwest::{Client, RequestBuilder, Response, Url};
use serde::Deserialize;
use serde_json::{Map, Value, json};
use tokio_util::sync::CancellationToken;

use crate::calls::Call;
use crate::error_reply::ErrorReply;
use crate::estimate::Estimator;
use crate::http::{self, Attempts, Refused};
use crate::secrets::Secrets;
use crate::stream::{self, Bounds, PartialAnswer, Piece, Reader, StreamTimeouts, Streaming};
use crate::{
    Answer, Error, FinishReason, Message, ModelInfo, ModelServer, OnDelta, Request, TokenCount,
    Usage, Window, WindowSource,
};

/// Ollama's default port.
const USUAL_PORT: u16 = 11_434;
/// How long the model stays loaded after a call, since a task spends time on tests between calls.
const KEEP_ALIVE: &str = "30m";
/// The first version that supports JSON schemas. Since 0.4 `prompt_eval_count` counts the whole prompt; before,
/// it left out the cached part.
const VERSION_MIN: (u64, u64) = (0, 5);
/// A prompt counts as truncated if the server counted less than this share of the estimated tokens: first if
/// the server reported the window of the running model, second if it did not. Estimates can be too high by that
/// much.
const CUT_BELOW: (f64, f64) = (0.5, 0.75);
/// Prompts shorter than this are never truncated, and their estimates are too inaccurate to compare.
const CUT_TOKENS_MIN: u64 = 256;

/// The options of the client.
#[derive(Clone)]
pub struct OllamaOptions {
    /// `ollama://host`, `ollama://host:port`, or a base URL with `http://` or `https://`.
    pub url: String,
    /// The name of the model as listed by `ollama list`; `:latest` may be omitted.
    pub model: String,
    /// Sent as a bearer token, for a server behind an authenticating proxy. Never printed.
    pub api_key: Option<String>,
    /// The context window for models whose Modelfile does not set `num_ctx`.
    pub window: Tokens,
    /// The timeout for connecting.
    pub connect_timeout: Duration,
    /// The timeout until the model is loaded, and until the first piece of an answer.
    pub first_timeout: Duration,
    /// The timeout between two pieces of an answer.
    pub idle_timeout: Duration,
}

impl OllamaOptions {
    /// The default timeouts: 5 s to connect, 10 minutes to the first piece, 2 minutes between pieces.
    pub fn new(url: impl Into<String>, model: impl Into<String>) -> Self {
        Self {
            url: url.into(),
            model: model.into(),
            api_key: None,
            window: Tokens(8_192),
            connect_timeout: Duration::from_secs(5),
            first_timeout: Duration::from_mins(10),
            idle_timeout: Duration::from_mins(2),
        }
    }
}

/// A client of one Ollama server.
pub struct Ollama {
    options: OllamaOptions,
    root: String,
    http: Client,
    secrets: Secrets,
    known: Mutex<Known>,
}

/// What the client has learned about the server and the model.
#[derive(Default)]
struct Known {
    estimator: Estimator,
    about: Option<About>,
    /// The window of the running model; `None` until it was looked up.
    running: Option<LoadedWindow>,
    /// Whether the model thought although it was told not to.
    thinks: bool,
    /// Whether the server reported that it cannot constrain answers to a schema.
    schema_refused: bool,
}

/// What the server reports about a model, whether it is running or not.
#[derive(Clone, Copy)]
struct About {
    /// The window requested with every call.
    num_ctx: Tokens,
    /// Whether the model's Modelfile sets this window.
    by_model: bool,
    /// Whether the model thinks before answering unless told not to.
    thinks: bool,
}

/// The context window that a running model was loaded with.
#[derive(Clone, Copy)]
enum LoadedWindow {
    /// The server reported this window.
    Reported(Tokens),
    /// The server is older than 0.9.7 and does not report the window.
    Unknown,
}

impl std::fmt::Debug for Ollama {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Ollama")
            .field("root", &self.root)
            .finish_non_exhaustive()
    }
}

impl Ollama {
    /// Creates a client without contacting the server.
    pub fn new(options: OllamaOptions) -> Result<Self, Error> {
        let key = options.api_key.as_deref();
        let written = root(&options.url)?;
        let (root, credentials) = http::address(&written)?;
        let secrets = Secrets::of(&written, credentials.as_ref(), key);
        let http = http::client(&root, key, credentials, options.connect_timeout)?;
        Ok(Self {
            options,
            root,
            http,
            secrets,
            known: Mutex::default(),
        })
    }

    /// Loads the model with the requested window and looks up the actual one. May take minutes.
    /// [`ModelServer::answer`] does the same if necessary.
    pub async fn load(&self) -> Result<(), Error> {
        let loaded = self.load_now().await;
        loaded.map_err(|error| self.secrets.hidden_in(error))
    }

    async fn load_now(&self) -> Result<(), Error> {
        let about = self.about().await?;
        let mut body = self.common(about);
        body["stream"] = json!(false);
        let body = || body.clone();
        self.send(&[], 0, None, body, |_| false, &mut false).await?;
        let running: RunningModels = self.ask(self.http.get(self.route("ps"))).await?;
        let of_this = |model: &&RunningModel| is_called(&model.name, &self.options.model);
        let told = running.models.iter().find(of_this);
        let running = match told.and_then(|model| model.context_length) {
            Some(window) if window.0 > 0 => LoadedWindow::Reported(window.min(about.num_ctx)),
            _ => LoadedWindow::Unknown,
        };
        self.known().running = Some(running);
        Ok(())
    }

    fn known(&self) -> MutexGuard<'_, Known> {
        // Nothing in it is ever half written.
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn route(&self, name: &str) -> String {
        format!("{}/api/{name}", self.root)
    }

    /// Requests information about the server or its models.
    async fn ask<T: for<'a> Deserialize<'a>>(&self, request: RequestBuilder) -> Result<T, Error> {
        match http::ask(&self.root, request).await {
            Ok(text) => serde_json::from_str(&text).map_err(|error| Error::Malformed {
                url: self.root.clone(),
                problem: format!("{error}: {}", crate::error_reply::told(&text)),
            }),
            Err(Refused::Answered(reply)) => Err(reply.into_error(&self.root)),
            Err(Refused::NotSent(error) | Refused::Lost(error)) => Err(error),
        }
    }

    async fn models(&self) -> Result<Vec<String>, Error> {
        let list: ModelList = self.ask(self.http.get(self.route("tags"))).await?;
        Ok(list.models.into_iter().map(|model| model.name).collect())
    }

    fn no_such_model(&self, has: Vec<String>) -> Error {
        Error::NoSuchModel {
            url: self.root.clone(),
            wanted: self.options.model.clone(),
            has,
        }
    }

    /// Information about the model, requested once.
    async fn about(&self) -> Result<About, Error> {
        let known = self.known().about;
        match known {
            Some(about) => Ok(about),
            None => self.ask_about().await,
        }
    }

    async fn ask_about(&self) -> Result<About, Error> {
        let body = json!({"model": self.options.model});
        let show: Show = self
            .ask(self.http.post(self.route("show")).json(&body))
            .await?;
        let by_model = show.num_ctx();
        let wanted = by_model.unwrap_or(self.options.window);
        let about = About {
            num_ctx: show.trained().map_or(wanted, |trained| trained.min(wanted)),
            by_model: by_model.is_some(),
            thinks: show.capabilities.iter().any(|name| name == "thinking"),
        };
        self.known().about = Some(about);
        Ok(about)
    }

    /// The fields common to all requests. Parameters that make the server reload the model must be the same in
    /// every request.
    fn common(&self, about: About) -> Value {
        json!({
            "model": self.options.model,
            "keep_alive": KEEP_ALIVE,
            // Neither the prompt nor, when the window is full, its beginning may be dropped. Servers
            // older than 0.12.6 do not know these two and pass over them.
            "truncate": false,
            "shift": false,
            "options": {"num_ctx": about.num_ctx},
        })
    }

    fn body(&self, request: &Request, about: About) -> Value {
        let mut body = self.common(about);
        body["messages"] = json!(request.messages);
        body["stream"] = json!(true);
        if about.thinks {
            // Thoughts are no part of the answer and would use up its tokens.
            body["think"] = json!(false);
        }
        let options = &mut body["options"];
        options["num_predict"] = json!(request.max_tokens);
        options["temperature"] = json!(request.temperature);
        if let Some(seed) = request.seed {
            // Ollama reads a signed number of the machine's size.
            options["seed"] = json!(seed & u64::from(u32::MAX >> 1));
        }
        if !request.stop.is_empty() {
            options["stop"] = json!(request.stop);
        }
        if let Some(schema) = &request.schema
            && !self.known().schema_refused
        {
            body["format"] = schema.clone();
        }
        body
    }

    /// Sends a request for an answer and waits until the server starts to answer. After an error it is repeated
    /// if `changes` changed `body`, or if waiting helps.
    async fn send(
        &self,
        messages: &[Message],
        seed: u64,
        trace: Option<&TraceContext>,
        body: impl Fn() -> Value,
        changes: impl Fn(&ErrorReply) -> bool,
        was_asked: &mut bool,
    ) -> Result<Response, Error> {
        let (url, timeout) = (self.route("chat"), self.options.first_timeout);
        let mut attempts = Attempts::new(seed);
        loop {
            let ask = http::traced(self.http.post(&url).json(&body()), trace);
            *was_asked = true;
            let sent = http::send(&self.root, timeout, ask).await;
            *was_asked = sent.is_ok();
            match sent {
                Ok(response) => return Ok(response),
                Err(Refused::Lost(error)) => return Err(error),
                Err(Refused::NotSent(error)) => attempts.again(error, None).await?,
                Err(Refused::Answered(reply)) if changes(&reply) => {}
                Err(Refused::Answered(reply)) if reply.is_too_long() => {
                    return Err(self.too_long(&reply, messages));
                }
                Err(Refused::Answered(reply)) => {
                    if !reply.is_transient() {
                        return Err(self.refusal(*reply).await);
                    }
                    let asked = reply.retry_after;
                    attempts.again(reply.into_error(&self.root), asked).await?;
                }
            }
        }
    }

    async fn begin(
        &self,
        request: &Request,
        about: About,
        was_asked: &mut bool,
    ) -> Result<Response, Error> {
        let body = || self.body(request, about);
        let seed = request.seed.unwrap_or(0);
        let changes = |reply: &ErrorReply| self.drops_schema(reply, request);
        self.send(
            &request.messages,
            seed,
            request.trace.as_ref(),
            body,
            changes,
            was_asked,
        )
        .await
    }

    /// Whether the schema was just dropped from requests because the model does not support it. Callers parse
    /// the answer leniently anyway.
    fn drops_schema(&self, reply: &ErrorReply, request: &Request) -> bool {
        request.schema.is_some()
            && reply.has(&["format", "grammar", "schema"])
            && !std::mem::replace(&mut self.known().schema_refused, true)
    }

    async fn refusal(&self, reply: ErrorReply) -> Error {
        if reply.status == 404
            && let Ok(has) = self.models().await
        {
            return self.no_such_model(has);
        }
        reply.into_error(&self.root)
    }

    /// The error for a prompt that is too long. If the server reports a smaller window, that one is the actual
    /// window.
    fn too_long(&self, reply: &ErrorReply, messages: &[Message]) -> Error {
        let believed = self.window().tokens;
        let told = reply.window().filter(|told| *told < believed);
        let mut known = self.known();
        if let Some(told) = told {
            known.running = Some(LoadedWindow::Reported(told));
        }
        Error::TooLong {
            prompt: known.estimator.estimate_prompt(messages),
            window: told.unwrap_or(believed),
            words: reply.words.clone(),
        }
    }

    fn window(&self) -> Window {
        let known = self.known();
        let asked = |tokens| Window {
            tokens,
            source: WindowSource::Asked,
        };
        match (known.running, known.about) {
            (Some(LoadedWindow::Reported(tokens)), _) => asked(tokens),
            (_, Some(about)) if about.by_model => asked(about.num_ctx),
            (_, about) => Window {
                tokens: about.map_or(self.options.window, |about| about.num_ctx),
                source: WindowSource::Configured,
            },
        }
    }

    async fn look(&self) -> Result<ModelInfo, Error> {
        let version: Version = self.ask(self.http.get(self.route("version"))).await?;
        if is_too_old(&version.version) {
            let what = format!(
                "Ollama {} at {} is too old; {}.{} or newer is needed, which holds answers to a \
                 schema and counts whole prompts: update it",
                version.version, self.root, VERSION_MIN.0, VERSION_MIN.1
            );
            return Err(Error::Unsupported { what });
        }
        let models = self.models().await?;
        let found = models
            .iter()
            .find(|name| is_called(name, &self.options.model));
        let Some(name) = found.cloned() else {
            return Err(self.no_such_model(models));
        };
        self.ask_about().await?;
        Ok(ModelInfo {
            name,
            server: "ollama".to_owned(),
            url: self.root.clone(),
            window: self.window(),
            tokenizer: false,
            json_schema: !self.known().schema_refused,
        })
    }

    /// The tokens used by the call, or an error if the server did not read the whole prompt.
    fn usage(
        &self,
        request: &Request,
        answer: &str,
        thoughts: &str,
        last: &Chunk,
    ) -> Result<Usage, Error> {
        // In nanoseconds, of the server's own work; what a caller waits is measured here.
        tracing::debug!(
            load_ns = last.load_duration,
            prompt_ns = last.prompt_eval_duration,
            answer_ns = last.eval_duration,
            "Ollama answered"
        );
        let window = self.window();
        let mut known = self.known();
        let estimated = known.estimator.estimate_prompt(&request.messages);
        let generated = known.estimator.estimate(answer) + known.estimator.estimate(thoughts);
        let Some(prompt) = last.prompt_eval_count else {
            return Ok(Usage {
                prompt: estimated,
                completion: last.eval_count.unwrap_or(generated),
                cached: Tokens::ZERO,
                cache_write: Tokens::ZERO,
                exact: false,
            });
        };
        let share = match known.running {
            Some(LoadedWindow::Reported(_)) => CUT_BELOW.0,
            _ => CUT_BELOW.1,
        };
        if is_cut(prompt, estimated, share) {
            return Err(Error::CutPrompt {
                url: self.root.clone(),
                sent: estimated,
                read: prompt,
                window: window.tokens,
            });
        }
        known.estimator.calibrate_prompt(&request.messages, prompt);
        Ok(Usage {
            prompt,
            completion: last.eval_count.unwrap_or(generated),
            cached: Tokens::ZERO,
            cache_write: Tokens::ZERO,
            exact: last.eval_count.is_some(),
        })
    }
}

/// Whether the server's count is so far below the estimate that part of the prompt was not read.
fn is_cut(counted: Tokens, estimated: Tokens, share: f64) -> bool {
    let float = |tokens: Tokens| f64::from(u32::try_from(tokens.0).unwrap_or(u32::MAX));
    let missing = estimated.0.saturating_sub(counted.0);
    missing >= CUT_TOKENS_MIN && float(counted) < float(estimated) * share
}

/// The version of the Ollama server at this URL, if there is one.
pub(crate) async fn version(root: &str, timeout: Duration) -> Option<String> {
    let (root, credentials) = http::address(root).ok()?;
    let http = http::client(&root, None, credentials, timeout).ok()?;
    let ask = http.get(format!("{root}/api/version")).timeout(timeout);
    let version: Version = ask.send().await.ok()?.json().await.ok()?;
    Some(version.version)
}

/// Whether a version is too old. Builds without a version number are considered new.
fn is_too_old(version: &str) -> bool {
    let mut numbers = version.split('.').map(str::parse::<u64>);
    match (numbers.next(), numbers.next()) {
        (Some(Ok(0)), Some(Ok(0))) => false,
        (Some(Ok(major)), Some(Ok(minor))) => (major, minor) < VERSION_MIN,
        _ => false,
    }
}

/// Converts a setting to the base URL.
pub(crate) fn root(url: &str) -> Result<String, Error> {
    let trimmed = url.trim().trim_end_matches('/');
    if trimmed.starts_with("http://") || trimmed.starts_with("https://") {
        return Ok(trimmed.strip_suffix("/v1").unwrap_or(trimmed).to_owned());
    }
    let wrong = || Error::Unsupported {
        what: format!(
            "{:?} is no address of an Ollama server; write ollama://host or ollama://host:port",
            http::shown(url)
        ),
    };
    let parsed = Url::parse(trimmed).map_err(|_| wrong())?;
    let host = parsed.host_str().filter(|host| !host.is_empty());
    let (Some(host), "", "ollama") = (host, parsed.path(), parsed.scheme()) else {
        return Err(wrong());
    };
    let port = parsed.port().unwrap_or(USUAL_PORT);
    let who = match (parsed.username(), parsed.password()) {
        ("", None) => String::new(),
        (name, password) => format!("{name}:{}@", password.unwrap_or_default()),
    };
    Ok(format!("http://{who}{host}:{port}"))
}

/// Whether a listed name is the requested one.
fn is_called(name: &str, wanted: &str) -> bool {
    name == wanted || name.strip_suffix(":latest") == Some(wanted)
}

/// An answer while it is being read.
struct Reading<'a> {
    client: &'a Ollama,
    request: &'a Request,
    /// The last chunk, which contains the usage.
    last: Chunk,
}

impl Reader for Reading<'_> {
    fn read(&mut self, record: &Value) -> Result<Piece, Error> {
        if !record["error"].is_null() {
            return Err(self.failed(record));
        }
        let chunk = Chunk::deserialize(record).map_err(|error| Error::Malformed {
            url: self.client.root.clone(),
            problem: error.to_string(),
        })?;
        let message = chunk.message.as_ref();
        let text_of = |text: Option<&Option<String>>| text.cloned().flatten().unwrap_or_default();
        let finish = match chunk.done_reason.as_deref() {
            Some("length") => FinishReason::Length,
            _ => FinishReason::Stop,
        };
        let piece = Piece {
            text: text_of(message.map(|message| &message.content)),
            thought: text_of(message.map(|message| &message.thinking)),
            refusal: String::new(),
            calls: Call::of(&record["message"]),
            finish: chunk.done.then_some(finish),
            is_whole: false,
            is_last: chunk.done,
        };
        self.last = chunk;
        Ok(piece)
    }

    /// The process that runs the model crashed. The next call restarts it, so this is treated like a lost
    /// connection.
    fn failed(&mut self, record: &Value) -> Error {
        let reply = ErrorReply::in_stream(record);
        if reply.is_too_long() {
            return self.client.too_long(&reply, &self.request.messages);
        }
        Error::Broken {
            url: self.client.root.clone(),
            reason: reply.words,
        }
    }
}

#[async_trait]
impl Streaming for Ollama {
    async fn stream(
        &self,
        request: &Request,
        so_far: &mut PartialAnswer,
        on_delta: &mut OnDelta<'_>,
    ) -> Result<Answer, Error> {
        let about = self.about().await?;
        if self.known().running.is_none() {
            self.load_now().await?;
        }
        let start = Instant::now();
        let response = self.begin(request, about, &mut so_far.was_asked).await?;
        let waited = start.elapsed();
        let bounds = Bounds {
            url: &self.root,
            timeouts: StreamTimeouts {
                first: self.options.first_timeout,
                idle: self.options.idle_timeout,
            },
            tokens_max: request.max_tokens,
            estimator: self.estimator(),
            always_says_end: true,
        };
        let mut reading = Reading {
            client: self,
            request,
            last: Chunk::default(),
        };
        let so_far = &mut so_far.text;
        let mut told = stream::read(response, bounds, &mut reading, so_far, on_delta).await?;
        let mut last = reading.last;
        let answer_bytes = so_far.len() + told.thoughts.len();
        let (prompt, completion) = (&mut last.prompt_eval_count, &mut last.eval_count);
        told.remark = self
            .known()
            .estimator
            .doubt(request, answer_bytes, prompt, completion);
        let usage = self.usage(request, so_far, &told.thoughts, &last)?;
        let served_model = last
            .model
            .filter(|name| !name.is_empty() && !is_called(name, &self.options.model));
        self.known().thinks |= !told.thoughts.trim().is_empty();
        told.into_answer(so_far, usage, waited, served_model)
    }

    fn estimator(&self) -> Estimator {
        self.known().estimator.clone()
    }

    fn secrets(&self) -> &Secrets {
        &self.secrets
    }
}

#[async_trait]
impl ModelServer for Ollama {
    async fn describe(&self) -> Result<ModelInfo, Error> {
        let described = self.look().await;
        described.map_err(|error| self.secrets.hidden_in(error))
    }

    async fn count(&self, messages: &[Message]) -> Result<TokenCount, Error> {
        Ok(TokenCount {
            tokens: self.known().estimator.estimate_prompt(messages),
            exact: false,
        })
    }

    fn thinks(&self) -> bool {
        self.known().thinks
    }

    async fn answer(
        &self,
        request: &Request,
        on_delta: &mut OnDelta<'_>,
        cancel: &CancellationToken,
    ) -> Result<Answer, Error> {
        stream::answer(self, request, on_delta, cancel).await
    }
}

#[derive(Deserialize)]
struct Version {
    version: String,
}

#[derive(Deserialize)]
struct ModelList {
    models: Vec<ModelEntry>,
}

#[derive(Deserialize)]
struct ModelEntry {
    name: String,
}

#[derive(Deserialize)]
struct RunningModels {
    models: Vec<RunningModel>,
}

#[derive(Deserialize)]
struct RunningModel {
    name: String,
    /// The window of one call. Reported since version 0.9.7.
    #[serde(default)]
    context_length: Option<Tokens>,
}

#[derive(Deserialize)]
struct Show {
    /// The parameters of the Modelfile, one per line, as name and value separated by spaces.
    #[serde(default)]
    parameters: String,
    #[serde(default)]
    model_info: Map<String, Value>,
    #[serde(default)]
    capabilities: Vec<String>,
}

impl Show {
    /// The window set in the Modelfile.
    fn num_ctx(&self) -> Option<Tokens> {
        self.parameters.lines().find_map(|line| {
            let mut words = line.split_whitespace();
            let number = (words.next() == Some("num_ctx")).then(|| words.next())??;
            number.parse().ok().map(Tokens)
        })
    }

    /// The largest window the model was trained for.
    fn trained(&self) -> Option<Tokens> {
        let architecture = self.model_info.get("general.architecture")?.as_str()?;
        let key = format!("{architecture}.context_length");
        self.model_info.get(&key)?.as_u64().map(Tokens)
    }
}

#[derive(Default, Deserialize)]
struct Chunk {
    #[serde(default)]
    model: Option<String>,
    #[serde(default)]
    message: Option<WireMessage>,
    #[serde(default)]
    done: bool,
    #[serde(default)]
    done_reason: Option<String>,
    #[serde(default)]
    prompt_eval_count: Option<Tokens>,
    #[serde(default)]
    eval_count: Option<Tokens>,
    #[serde(default)]
    load_duration: Option<u64>,
    #[serde(default)]
    prompt_eval_duration: Option<u64>,
    #[serde(default)]
    eval_duration: Option<u64>,
}

#[derive(Deserialize)]
struct WireMessage {
    #[serde(default)]
    content: Option<String>,
    #[serde(default)]
    thinking: Option<String>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_without_a_port_means_the_usual_one() {
        let cases = [
            ("ollama://box", "http://box:11434"),
            ("ollama://box:80/", "http://box:80"),
            ("ollama://[::1]:99", "http://[::1]:99"),
            ("http://box:7/v1", "http://box:7"),
            ("ollama://u:s3@box", "http://u:s3@box:11434"),
        ];
        for (url, expected) in cases {
            assert_eq!(root(url).unwrap(), expected);
        }
        for bad in [
            "ollama:",
            "ollama://",
            "ollama://u:s3@box/path",
            "box:11434",
        ] {
            let error = root(bad).unwrap_err().to_string();
            assert!(error.contains("ollama://host:port"), "{error}");
            assert!(!error.contains("s3"), "{error}");
        }
    }

    #[test]
    fn the_window_is_read_from_the_modelfile_and_the_weights() {
        let show: Show = serde_json::from_value(json!({
            "parameters": "stop                           \"<|im_end|>\"\nnum_ctx                        16384",
            "model_info": {"general.architecture": "qwen2", "qwen2.context_length": 32_768},
        }))
        .unwrap();
        assert_eq!(show.num_ctx(), Some(Tokens(16_384)));
        assert_eq!(show.trained(), Some(Tokens(32_768)));
    }

    #[test]
    fn old_versions_are_told_from_new_ones_and_from_own_builds() {
        let old: Vec<bool> = ["0.4.7", "0.5.0", "0.12.6-rc1", "1.0.0", "0.0.0", "dev"]
            .map(is_too_old)
            .into();
        assert_eq!(old, [true, false, false, false, false, false]);
    }

    #[test]
    fn a_count_far_below_the_estimate_is_a_cut_and_a_little_below_is_not() {
        assert!(is_cut(Tokens(4_095), Tokens(6_000), 0.75));
        assert!(!is_cut(Tokens(4_900), Tokens(6_000), 0.75));
        assert!(!is_cut(Tokens(40), Tokens(200), 0.75));
    }
}
