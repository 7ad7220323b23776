//! A client of the OpenAI-compatible API, which llama.cpp's server, vLLM, LM Studio and many others implement. No
//! other module knows this format. It is lenient in what it accepts and exact in what it reports.

mod chunk;
mod embeddings;
mod parameters;

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use async_trait::async_trait;
use journeyman_event::{Tokens, printable};
use reqwest::{Client, Response, Url};
use serde_json::{Value, json};
use tokio_util::sync::CancellationToken;

use crate::error_reply::{self, ErrorReply};
use crate::estimate::Estimator;
use crate::http::{self, Attempts, Refused};
use crate::secrets::Secrets;
use crate::served::other_model;
use crate::stream::{self, Bounds, PartialAnswer, Piece, Reader, StreamTimeouts, Streaming};
use crate::{
    Answer, Error, Message, MessageRole, ModelInfo, ModelServer, OnDelta, Request, TokenCount,
    Usage, Window, WindowSource, llama_cpp,
};
use chunk::{Broken, Reported};
pub use embeddings::{EmbedderOptions, OpenAiEmbedder};
use parameters::Parameter;

/// If a server rejects a request as too long without a number, this percentage of it is tried next ...
const SHRINK_PERCENT: u64 = 75;
/// ... but never less than this, because no model has a smaller window.
const WINDOW_MIN: Tokens = Tokens(512);

/// The timeout for requesting the queue length, which is done often and without retries.
const WAITING_TIMEOUT: Duration = Duration::from_secs(2);
/// How long to wait before asking a server again that did not report its queue length.
const WAITING_AGAIN: Duration = Duration::from_mins(1);

/// The options of the client.
#[derive(Clone)]
pub struct OpenAiOptions {
    /// The base URL, with or without a version at its end (`/v1`). A user name and password in it are sent with
    /// every request and never printed.
    pub url: String,
    /// The name of the model.
    pub model: String,
    /// Sent as a bearer token. Never printed.
    pub api_key: Option<String>,
    /// The context window for servers that do not report theirs.
    pub window: Tokens,
    /// The timeout for connecting.
    pub connect_timeout: Duration,
    /// The timeout until the first piece of an answer. Reading a prompt takes time on a CPU.
    pub first_timeout: Duration,
    /// The timeout between two pieces of an answer. Keep-alive data does not count as a piece.
    pub idle_timeout: Duration,
}

impl OpenAiOptions {
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

/// A client of one OpenAI-compatible server.
pub struct OpenAi {
    options: OpenAiOptions,
    /// The URL without its version, for llama.cpp's own routes.
    root: String,
    /// The URL with its version.
    api: String,
    http: Client,
    secrets: Secrets,
    known: Mutex<Known>,
}

/// What the client has learned about the server.
#[derive(Debug, Default)]
struct Known {
    estimator: Estimator,
    is_llama_cpp: bool,
    /// The name of the model as the server spells it.
    name: Option<String>,
    /// The parameters that the server rejected and that are no longer sent.
    refused: Vec<Parameter>,
    /// Whether the model thought before answering.
    thinks: bool,
    /// Whether it did so although it was told not to.
    thinks_on: bool,
    /// The other model that the server used, as a person was told last.
    told_model: Option<String>,
    /// The window reported in the error for a call that was too long.
    window: Option<Tokens>,
    /// The server did not report its queue length; it is not asked again before this time.
    waiting_unknown_until: Option<Instant>,
}

impl std::fmt::Debug for OpenAi {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("OpenAi")
            .field("root", &self.root)
            .finish_non_exhaustive()
    }
}

/// Converts a setting to the base URL with its version.
fn api_of(url: &str) -> Option<String> {
    let mut trimmed = url.trim().trim_end_matches('/');
    for route in ["/chat/completions", "/completions", "/models"] {
        trimmed = trimmed.strip_suffix(route).unwrap_or(trimmed);
    }
    let trimmed = trimmed.trim_end_matches('/');
    let (scheme, rest) = trimmed.split_once("://")?;
    if !["http", "https"].contains(&scheme.to_ascii_lowercase().as_str())
        || Url::parse(trimmed).is_err()
    {
        return None;
    }
    let last = rest.split('/').skip(1).last().unwrap_or_default();
    let mut version = last.chars();
    let is_version =
        version.next() == Some('v') && version.next().is_some_and(|c| c.is_ascii_digit());
    if is_version || last == "openai" {
        return Some(trimmed.to_owned());
    }
    Some(format!("{trimmed}/v1"))
}

impl OpenAi {
    /// Creates a client without contacting the server.
    pub fn new(options: OpenAiOptions) -> Result<Self, Error> {
        let Some(api) = api_of(&options.url) else {
            let what = format!(
                "{:?} is no URL of an OpenAI-compatible server; it begins with http:// or https://",
                http::shown(&options.url)
            );
            return Err(Error::Unsupported { what });
        };
        let key = options.api_key.as_deref();
        let written = api;
        let (api, credentials) = http::address(&written)?;
        let secrets = Secrets::of(&written, credentials.as_ref(), key);
        let root = api.strip_suffix("/v1").unwrap_or(&api).to_owned();
        let http = http::client(&root, key, credentials, options.connect_timeout)?;
        Ok(Self {
            options,
            root,
            api,
            http,
            secrets,
            known: Mutex::default(),
        })
    }

    fn known(&self) -> MutexGuard<'_, Known> {
        // Nothing in it is ever half written.
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The error for a failed question.
    fn refused(&self, refused: Refused) -> Error {
        match refused {
            Refused::Answered(reply) => reply.into_error(&self.root),
            Refused::NotSent(error) | Refused::Lost(error) => error,
        }
    }

    /// The models listed by the server; `None` if it has no list.
    async fn models(&self) -> Result<Option<Vec<chunk::Listed>>, Error> {
        let ask = self.http.get(format!("{}/models", self.api));
        match http::ask(&self.root, ask).await {
            Ok(text) if text.trim_start().starts_with('<') => Err(Error::Malformed {
                url: self.root.clone(),
                problem: format!(
                    "instead of its models it shows {}; --model-url wants the address of its API",
                    error_reply::told(&text)
                ),
            }),
            Ok(text) => Ok(chunk::models(&text)),
            Err(Refused::Answered(reply))
                if matches!(reply.status, 400 | 404 | 405 | 410 | 501) && !reply.is_transient() =>
            {
                Ok(None)
            }
            Err(refused) => Err(self.refused(refused)),
        }
    }

    fn has(&self, parameter: Parameter, request: &Request) -> bool {
        let known = self.known();
        let refused = |parameter| known.refused.contains(&parameter);
        let is_said = match parameter {
            Parameter::Seed => request.seed.is_some(),
            Parameter::Stop => !request.stop.is_empty(),
            Parameter::Schema => request.schema.is_some(),
            Parameter::StreamOptions => !refused(Parameter::Stream),
            Parameter::MaxCompletionTokens => refused(Parameter::MaxTokens),
            Parameter::System => request
                .messages
                .iter()
                .any(|one| one.role == MessageRole::System),
            Parameter::Thinking => known.thinks,
            Parameter::Temperature | Parameter::Stream | Parameter::MaxTokens => true,
        };
        is_said && !refused(parameter)
    }

    /// The name by which a server calls its model in an answer, where it is not the one it was asked by. llama.cpp's
    /// server has one model, and says any name.
    fn other_name(&self, said: Option<String>) -> Option<String> {
        let known = self.known();
        let asked = known.name.as_ref().unwrap_or(&self.options.model);
        let other = said.filter(|said| !(known.is_llama_cpp || said == asked))?;
        Some(printable(&other).chars().take(NAME_CHARS_MAX).collect())
    }

    /// A remark, once for each name, about a server that says it used another model.
    fn doubts_model(&self, served: &str) -> Option<String> {
        let mut known = self.known();
        let asked = known.name.as_ref().unwrap_or(&self.options.model);
        let is_told = known.told_model.as_deref() == Some(served);
        let remark = other_model(asked, served).filter(|_| !is_told)?;
        known.told_model = Some(served.to_owned());
        Some(remark)
    }

    fn body(&self, request: &Request) -> Value {
        let has = |parameter| self.has(parameter, request);
        let name = self.known().name.clone();
        let mut body = json!({
            "model": name.as_ref().unwrap_or(&self.options.model),
            "stream": has(Parameter::Stream),
        });
        body["messages"] = if self.known().refused.contains(&Parameter::System) {
            json!(without_system(&request.messages))
        } else {
            json!(request.messages)
        };
        if has(Parameter::MaxTokens) {
            body["max_tokens"] = json!(request.max_tokens);
        }
        if has(Parameter::MaxCompletionTokens) {
            body["max_completion_tokens"] = json!(request.max_tokens);
        }
        if has(Parameter::Temperature) {
            body["temperature"] = json!(request.temperature);
        }
        if has(Parameter::StreamOptions) {
            body["stream_options"] = json!({"include_usage": true});
        }
        if has(Parameter::Seed) {
            body["seed"] = json!(request.seed);
        }
        if has(Parameter::Thinking) {
            body["chat_template_kwargs"] = json!({"enable_thinking": false});
        }
        if has(Parameter::Stop) {
            body["stop"] = json!(request.stop);
        }
        if has(Parameter::Schema) {
            body["response_format"] = json!({
                "type": "json_schema",
                "json_schema": {"name": "answer", "strict": true, "schema": request.schema},
            });
        }
        body
    }

    /// Sends the request and waits until the server starts to answer. Leaves out parameters that the server
    /// rejects, and retries where that is safe because no part of an answer has arrived.
    async fn begin(&self, request: &Request, was_asked: &mut bool) -> Result<Response, Error> {
        let url = format!("{}/chat/completions", self.api);
        let timeout = self.options.first_timeout;
        let mut attempts = Attempts::new(request.seed.unwrap_or(0));
        loop {
            let ask = self.http.post(&url).json(&self.body(request));
            let ask = http::traced(ask, request.trace.as_ref());
            *was_asked = true;
            let sent = http::send(&self.root, timeout, ask).await;
            *was_asked = sent.is_ok();
            match sent {
                Ok(response) => return Ok(response),
                Err(Refused::Lost(error)) => return Err(error),
                Err(Refused::NotSent(error)) => attempts.again(error, None).await?,
                Err(Refused::Answered(reply)) => {
                    if self.leaves_out(&reply, request) {
                        continue;
                    }
                    let asked = reply.retry_after;
                    let error = self.refusal(*reply, request);
                    if !error.is_transient() {
                        return Err(error);
                    }
                    attempts.again(error, asked).await?;
                }
            }
        }
    }

    /// Whether the request is to be repeated without a parameter that the server rejected by name.
    fn leaves_out(&self, reply: &ErrorReply, request: &Request) -> bool {
        if reply.is_too_long() {
            return false;
        }
        let Some(parameter) = parameters::named(reply, |parameter| self.has(parameter, request))
        else {
            return false;
        };
        let words = self.secrets.hidden(&reply.words);
        tracing::info!(
            ?parameter,
            words,
            "the server rejects a parameter; it is left out from now on"
        );
        self.known().refused.push(parameter);
        true
    }

    /// The error for a rejected request. If it reveals the size of an unknown window, that is remembered.
    fn refusal(&self, reply: ErrorReply, request: &Request) -> Error {
        if !reply.is_too_long() {
            return reply.into_error(&self.root);
        }
        let mut known = self.known();
        if let Some(counted) = reply.prompt {
            known.estimator.calibrate_prompt(&request.messages, counted);
        }
        let prompt = known.estimator.estimate_prompt(&request.messages);
        let tried = prompt + request.max_tokens;
        // If the reported size is not smaller than what was tried, the estimate is too low.
        let told = reply.window();
        let smaller = told.filter(|window| *window < tried);
        let next = smaller.unwrap_or(tried.percent(SHRINK_PERCENT).max(WINDOW_MIN));
        known.window = Some(known.window.map_or(next, |before| before.min(next)));
        Error::TooLong {
            prompt: reply.prompt.unwrap_or(tried),
            window: told.unwrap_or(next),
            words: reply.words,
        }
    }

    async fn ask_about(&self) -> Result<ModelInfo, Error> {
        let props = self.http.get(format!("{}/props", self.root));
        let window = llama_cpp::window(&self.root, props).await?;
        let entries = self.models().await?.unwrap_or_default();
        let is_llama_cpp = window.is_some();
        let wanted = &self.options.model;
        // A llama.cpp server has one model and answers with it whatever it is called. Where none is named, the only one is
        // meant.
        let is_only = is_llama_cpp || wanted.is_empty() && entries.len() == 1;
        let entry = chunk::find(&entries, wanted).or_else(|| entries.first().filter(|_| is_only));
        if entry.is_none() && !chunk::may_have(&entries, wanted) {
            return Err(Error::NoSuchModel {
                url: self.root.clone(),
                wanted: wanted.clone(),
                has: entries.into_iter().map(|entry| entry.name).collect(),
            });
        }
        let name = entry.map_or(wanted, |entry| &entry.name).clone();
        let mut known = self.known();
        known.is_llama_cpp = is_llama_cpp;
        known.name = Some(name.clone());
        let told = window.or(entry.and_then(|entry| entry.window));
        let window = told.map_or(
            Window {
                tokens: self.options.window,
                source: WindowSource::Configured,
            },
            |tokens| Window {
                tokens,
                source: WindowSource::Asked,
            },
        );
        let learned = known.window.filter(|learned| *learned < window.tokens);
        Ok(ModelInfo {
            name,
            server: if is_llama_cpp {
                "llama.cpp"
            } else {
                "openai-compatible"
            }
            .to_owned(),
            url: self.root.clone(),
            window: learned.map_or(window, |tokens| Window {
                tokens,
                source: WindowSource::Learned,
            }),
            tokenizer: is_llama_cpp,
            json_schema: !known.refused.contains(&Parameter::Schema),
        })
    }

    async fn measure(&self, messages: &[Message]) -> Result<TokenCount, Error> {
        if self.known().is_llama_cpp {
            let ask = |route: &str| self.http.post(format!("{}/{route}", self.root));
            match llama_cpp::count(&self.root, messages, ask).await {
                Ok(tokens) => {
                    return Ok(TokenCount {
                        tokens,
                        exact: true,
                    });
                }
                // A version or a build without these routes.
                Err(Error::Rejected { .. }) => {}
                Err(error) => return Err(error),
            }
        }
        Ok(TokenCount {
            tokens: self.known().estimator.estimate_prompt(messages),
            exact: false,
        })
    }

    /// The tokens used by the call. What the server does not report is estimated.
    fn usage(&self, request: &Request, answer: &str, thoughts: &str, reported: Reported) -> Usage {
        let estimator = &mut self.known().estimator;
        if let Some(prompt) = reported.prompt {
            estimator.calibrate_prompt(&request.messages, prompt);
        }
        let estimated = || estimator.estimate(answer) + estimator.estimate(thoughts);
        let prompt = reported.prompt;
        let prompt = prompt.unwrap_or_else(|| estimator.estimate_prompt(&request.messages));
        let cached = reported.cached.unwrap_or_default().min(prompt);
        Usage {
            prompt,
            completion: reported.completion.unwrap_or_else(estimated),
            cached,
            cache_write: reported
                .cache_write
                .unwrap_or_default()
                .min(Tokens(prompt.0.saturating_sub(cached.0))),
            exact: reported.prompt.is_some() && reported.completion.is_some(),
        }
    }
}

/// The same messages without a system prompt: its text is put in front of the first message.
fn without_system(messages: &[Message]) -> Vec<Message> {
    let (system, mut others): (Vec<Message>, Vec<Message>) = messages
        .iter()
        .cloned()
        .partition(|message| message.role == MessageRole::System);
    let mut words: Vec<String> = system.into_iter().map(|message| message.content).collect();
    match others
        .iter_mut()
        .find(|message| message.role == MessageRole::User)
    {
        Some(first) => {
            words.push(std::mem::take(&mut first.content));
            first.content = words.join("\n\n");
        }
        None => others.insert(
            0,
            Message {
                role: MessageRole::User,
                content: words.join("\n\n"),
            },
        ),
    }
    others
}

/// The most characters kept of a name that a server tells.
const NAME_CHARS_MAX: usize = 200;

/// The service tier as it is recorded; `None` for the usual one.
fn tier(told: &str) -> Option<String> {
    let tier: String = printable(told).chars().take(NAME_CHARS_MAX).collect();
    (!["", "default", "standard", "auto"].contains(&&*tier)).then_some(tier)
}

/// An answer while it is being read.
struct Reading<'a> {
    client: &'a OpenAi,
    request: &'a Request,
    model: Option<String>,
    service_tier: Option<String>,
    usage: Reported,
}

impl Reader for Reading<'_> {
    fn read(&mut self, record: &Value) -> Result<Piece, Error> {
        if let Some(error) = chunk::error(record) {
            return Err(self.failed(error));
        }
        let chunk = chunk::read(record);
        self.model = self.model.take().or(chunk.model);
        self.service_tier = chunk.service_tier.or(self.service_tier.take());
        self.usage.update(chunk.usage);
        match chunk.broken {
            None => Ok(chunk.piece),
            Some(Broken::Filtered) => Err(Error::Filtered),
            Some(Broken::Failed(word)) => Err(Error::Broken {
                url: self.client.root.clone(),
                reason: format!("it says: {word}"),
            }),
        }
    }

    fn failed(&mut self, record: &Value) -> Error {
        self.client
            .refusal(ErrorReply::in_stream(record), self.request)
    }
}

#[async_trait]
impl Streaming for OpenAi {
    async fn stream(
        &self,
        request: &Request,
        so_far: &mut PartialAnswer,
        on_delta: &mut OnDelta<'_>,
    ) -> Result<Answer, Error> {
        let start = std::time::Instant::now();
        let response = self.begin(request, &mut so_far.was_asked).await?;
        let was_told = self.has(Parameter::Thinking, request);
        let waited = start.elapsed();
        let bounds = Bounds {
            url: &self.root,
            timeouts: StreamTimeouts {
                first: self.options.first_timeout,
                idle: self.options.idle_timeout,
            },
            tokens_max: request.max_tokens,
            estimator: self.estimator(),
            always_says_end: false,
        };
        let mut reading = Reading {
            client: self,
            request,
            model: None,
            service_tier: None,
            usage: Reported::default(),
        };
        let so_far = &mut so_far.text;
        let mut told = stream::read(response, bounds, &mut reading, so_far, on_delta).await?;
        let Reading {
            model,
            service_tier,
            mut usage,
            ..
        } = reading;
        let answer_bytes = so_far.len() + told.thoughts.len();
        let (prompt, completion) = (&mut usage.prompt, &mut usage.completion);
        told.remark = self
            .known()
            .estimator
            .doubt(request, answer_bytes, prompt, completion);
        let usage = self.usage(request, so_far, &told.thoughts, usage);
        let served_model = self.other_name(model);
        if told.remark.is_none() {
            told.remark = served_model
                .as_deref()
                .and_then(|served| self.doubts_model(served));
        }
        if !told.thoughts.trim().is_empty() {
            let mut known = self.known();
            known.thinks = true;
            known.thinks_on |= was_told;
        }
        let answer = told.into_answer(so_far, usage, waited, served_model)?;
        Ok(Answer {
            service_tier: service_tier.as_deref().and_then(tier),
            ..answer
        })
    }

    fn estimator(&self) -> Estimator {
        self.known().estimator.clone()
    }

    fn secrets(&self) -> &Secrets {
        &self.secrets
    }
}

#[async_trait]
impl ModelServer for OpenAi {
    async fn describe(&self) -> Result<ModelInfo, Error> {
        let described = self.ask_about().await;
        described.map_err(|error| self.secrets.hidden_in(error))
    }

    async fn count(&self, messages: &[Message]) -> Result<TokenCount, Error> {
        let counted = self.measure(messages).await;
        counted.map_err(|error| self.secrets.hidden_in(error))
    }

    async fn answer(
        &self,
        request: &Request,
        on_delta: &mut OnDelta<'_>,
        cancel: &CancellationToken,
    ) -> Result<Answer, Error> {
        stream::answer(self, request, on_delta, cancel).await
    }

    fn thinks(&self) -> bool {
        let known = self.known();
        known.thinks_on || (known.thinks && known.refused.contains(&Parameter::Thinking))
    }

    async fn waiting(&self) -> Option<u64> {
        let until = self.known().waiting_unknown_until;
        if until.is_some_and(|until| Instant::now() < until) {
            return None;
        }
        let ask = self.http.get(format!("{}/metrics", self.root));
        let waiting = llama_cpp::waiting(ask.timeout(WAITING_TIMEOUT)).await;
        if waiting.is_none() {
            self.known().waiting_unknown_until = Some(Instant::now() + WAITING_AGAIN);
        }
        waiting
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_means_the_api_whatever_of_it_is_written() {
        let cases = [
            ("http://box:8080", "http://box:8080/v1"),
            ("http://box:8080/", "http://box:8080/v1"),
            (" http://box/v1/\n", "http://box/v1"),
            ("http://box/v1/chat/completions", "http://box/v1"),
            ("http://box/v1/models/", "http://box/v1"),
            ("https://box/api/v1", "https://box/api/v1"),
            ("https://box/api", "https://box/api/v1"),
            ("https://box/api/paas/v4", "https://box/api/paas/v4"),
            ("https://box/v1beta/openai/", "https://box/v1beta/openai"),
            ("HTTP://box", "HTTP://box/v1"),
        ];
        for (url, api) in cases {
            assert_eq!(api_of(url).as_deref(), Some(api), "{url}");
        }
        for bad in ["box:8080", "ftp://box", "http://", ""] {
            assert_eq!(api_of(bad), None, "{bad}");
        }
    }

    #[test]
    fn a_system_prompt_becomes_the_beginning_of_the_first_message() {
        let message = |role, content: &str| Message {
            role,
            content: content.to_owned(),
        };
        let told = [
            message(MessageRole::System, "Be brief."),
            message(MessageRole::User, "Hi"),
        ];
        let expected = [message(MessageRole::User, "Be brief.\n\nHi")];
        assert_eq!(without_system(&told), expected);
        let alone = [message(MessageRole::System, "Be brief.")];
        assert_eq!(
            without_system(&alone),
            [message(MessageRole::User, "Be brief.")]
        );
    }
}
