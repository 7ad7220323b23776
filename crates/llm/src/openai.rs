//! The OpenAI-compatible API: what llama.cpp's server, vLLM, LM Studio and many others speak. The
//! only module that knows this format.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use async_trait::async_trait;
use futures_util::StreamExt;
use journeyman_event::Tokens;
use reqwest::{Client, RequestBuilder, Response, StatusCode};
use serde::Deserialize;
use serde_json::{Value, json};
use tokio_util::sync::CancellationToken;

use crate::estimate::Estimator;
use crate::http::{self, ANSWER_BYTES_MAX, QUESTION_TIMEOUT, Refused};
use crate::llama_cpp;
use crate::sse::Lines;
use crate::{
    Answer, Count, Delta, Error, Finish, Message, ModelInfo, ModelServer, OnDelta, Request, Usage,
    Window, WindowSource,
};

/// How many wait at the server is asked often and for once.
const WAITING_TIMEOUT: Duration = Duration::from_secs(2);
/// A server that does not tell it is asked again after this.
const WAITING_AGAIN: Duration = Duration::from_mins(1);

/// How the client behaves.
#[derive(Clone)]
pub struct OpenAiOptions {
    /// The base URL, with or without `/v1`.
    pub url: String,
    /// The model's name.
    pub model: String,
    /// Sent as a bearer token; never shown.
    pub api_key: Option<String>,
    /// The window of servers that do not tell theirs.
    pub window: Tokens,
    /// To connect.
    pub connect_timeout: Duration,
    /// Until the first piece of an answer: reading a prompt takes a CPU its time.
    pub first_timeout: Duration,
    /// Between two pieces.
    pub idle_timeout: Duration,
}

impl OpenAiOptions {
    /// The usual patience: 5 s to connect, 10 minutes to the first piece, 2 minutes between two.
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
    /// The URL without `/v1`.
    root: String,
    http: Client,
    estimator: Mutex<Estimator>,
    is_llama_cpp: AtomicBool,
    /// The server said that it cannot hold answers to a schema.
    schema_refused: AtomicBool,
    /// It did not say how many wait there; before this it is not asked again.
    waiting_unknown_until: Mutex<Option<Instant>>,
}

impl std::fmt::Debug for OpenAi {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("OpenAi")
            .field("root", &self.root)
            .finish_non_exhaustive()
    }
}

impl OpenAi {
    /// A client; nothing is asked yet.
    pub fn new(options: OpenAiOptions) -> Result<Self, Error> {
        let trimmed = options.url.trim().trim_end_matches('/');
        if !trimmed.starts_with("http://") && !trimmed.starts_with("https://") {
            let what = format!(
                "{:?} is no URL of an OpenAI-compatible server; it begins with http:// or https://",
                options.url
            );
            return Err(Error::Unsupported { what });
        }
        let root = trimmed.strip_suffix("/v1").unwrap_or(trimmed).to_owned();
        let http = http::client(&root, options.connect_timeout)?;
        Ok(Self {
            options,
            root,
            http,
            estimator: Mutex::default(),
            is_llama_cpp: AtomicBool::new(false),
            schema_refused: AtomicBool::new(false),
            waiting_unknown_until: Mutex::new(None),
        })
    }

    fn estimate(&self, text: &str) -> Tokens {
        self.estimator.lock().map_or_else(
            |poisoned| poisoned.into_inner().estimate(text),
            |estimator| estimator.estimate(text),
        )
    }

    fn estimate_prompt(&self, messages: &[Message]) -> Tokens {
        self.estimator.lock().map_or_else(
            |poisoned| poisoned.into_inner().estimate_prompt(messages),
            |estimator| estimator.estimate_prompt(messages),
        )
    }

    /// A question about the server itself, which is answered at once or not at all.
    fn question(&self, request: RequestBuilder) -> RequestBuilder {
        self.authorised(request).timeout(QUESTION_TIMEOUT)
    }

    async fn models(&self) -> Result<Vec<ModelEntry>, Error> {
        let url = format!("{}/v1/models", self.root);
        let ask = self.question(self.http.get(&url)).send();
        let response = ask.await.map_err(|error| http::gone(&self.root, &error))?;
        let status = response.status();
        if !status.is_success() {
            // A server that is still loading its model is not there yet.
            let message = response.text().await.unwrap_or_default();
            return Err(match status {
                StatusCode::SERVICE_UNAVAILABLE => Error::Unreachable {
                    url: self.root.clone(),
                    reason: message,
                },
                _ => Error::Rejected {
                    status: status.as_u16(),
                    message,
                },
            });
        }
        let list: ModelList = response.json().await.map_err(|error| Error::Malformed {
            url,
            problem: error.to_string(),
        })?;
        Ok(list.data)
    }

    fn authorised(&self, request: RequestBuilder) -> RequestBuilder {
        match &self.options.api_key {
            Some(key) => request.bearer_auth(key),
            None => request,
        }
    }

    fn body(&self, request: &Request) -> Value {
        let mut body = json!({
            "model": self.options.model,
            "messages": request.messages,
            "max_tokens": request.max_tokens,
            "temperature": request.temperature,
            "stream": true,
            "stream_options": {"include_usage": true},
        });
        if let Some(seed) = request.seed {
            body["seed"] = json!(seed);
        }
        if !request.stop.is_empty() {
            body["stop"] = json!(request.stop);
        }
        if let Some(schema) = &request.schema
            && !self.schema_refused.load(Ordering::Relaxed)
        {
            body["response_format"] = json!({
                "type": "json_schema",
                "json_schema": {"name": "answer", "strict": true, "schema": schema},
            });
        }
        body
    }

    /// Sends the request until the server begins to answer.
    async fn begin(&self, request: &Request) -> Result<Response, Error> {
        let url = format!("{}/v1/chat/completions", self.root);
        let (patience, seed) = (self.options.first_timeout, request.seed.unwrap_or(0));
        loop {
            let prepare = || {
                self.authorised(self.http.post(&url))
                    .json(&self.body(request))
            };
            match http::begin(&self.root, patience, seed, prepare).await {
                Ok(response) => return Ok(response),
                Err(Refused::Answered(status, message)) => {
                    if !self.drops_schema(status, &message, request) {
                        return Err(refusal(status, message));
                    }
                }
                Err(Refused::Failed(error)) => return Err(error),
            }
        }
    }

    /// A server that cannot do schemas is asked without from now on: the caller reads the answer
    /// leniently anyway.
    fn drops_schema(&self, status: StatusCode, message: &str, request: &Request) -> bool {
        let about_schema = ["response_format", "json_schema", "schema", "grammar"]
            .iter()
            .any(|word| message.contains(word));
        let client_error = status.is_client_error() || status == StatusCode::NOT_IMPLEMENTED;
        request.schema.is_some()
            && client_error
            && about_schema
            && !self.schema_refused.swap(true, Ordering::Relaxed)
    }

    fn malformed(&self, problem: impl ToString) -> Error {
        Error::Malformed {
            url: self.root.clone(),
            problem: problem.to_string(),
        }
    }

    async fn stream(
        &self,
        request: &Request,
        so_far: &mut String,
        on_delta: &mut OnDelta<'_>,
    ) -> Result<Answer, Error> {
        let start = Instant::now();
        let response = self.begin(request).await?;
        let mut bytes = response.bytes_stream();
        let mut lines = Lines::default();
        let mut partial = Partial::default();
        let mut first = None;
        'stream: loop {
            let patience = match first {
                None => self.options.first_timeout,
                Some(_) => self.options.idle_timeout,
            };
            let next = tokio::time::timeout(patience, bytes.next())
                .await
                .map_err(|_| http::timed_out(&self.root, patience))?;
            let piece = match next {
                Some(Ok(piece)) => piece,
                // What came is whole; only the usage may be missing.
                Some(Err(_)) if partial.finish.is_some() => break 'stream,
                Some(Err(error)) => return Err(http::gone(&self.root, &error)),
                None => break 'stream,
            };
            for value in lines
                .push(&piece)
                .map_err(|_| self.malformed("an endless line"))?
            {
                if value == "[DONE]" {
                    break 'stream;
                }
                let chunk: Chunk =
                    serde_json::from_str(&value).map_err(|error| self.malformed(error))?;
                if let Some(text) = partial.take(chunk)? {
                    first.get_or_insert_with(|| start.elapsed());
                    so_far.push_str(&text);
                    on_delta(Delta { text: &text });
                }
            }
            if so_far.len() > ANSWER_BYTES_MAX {
                return Err(self.malformed("an endless answer"));
            }
        }
        let Some(finish) = partial.finish else {
            return Err(http::cut_short(&self.root));
        };
        let usage = self.usage(request, so_far, partial.usage.as_ref());
        Ok(Answer {
            text: std::mem::take(so_far),
            finish,
            usage,
            time_to_first_token_ms: http::ms(first.unwrap_or_else(|| start.elapsed())),
            total_ms: http::ms(start.elapsed()),
            model: partial.model.unwrap_or_else(|| self.options.model.clone()),
        })
    }

    fn usage(&self, request: &Request, answer: &str, reported: Option<&WireUsage>) -> Usage {
        let Some(reported) = reported else {
            return Usage {
                prompt: self.estimate_prompt(&request.messages),
                completion: self.estimate(answer),
                cached: Tokens::ZERO,
                exact: false,
            };
        };
        if let Ok(mut estimator) = self.estimator.lock() {
            estimator.calibrate_prompt(&request.messages, reported.prompt_tokens);
        }
        Usage {
            prompt: reported.prompt_tokens,
            completion: reported.completion_tokens,
            cached: reported
                .prompt_tokens_details
                .as_ref()
                .map_or(Tokens::ZERO, |details| details.cached_tokens),
            exact: true,
        }
    }
}

fn refusal(status: StatusCode, message: String) -> Error {
    #[derive(Deserialize)]
    struct Refusal {
        error: Details,
    }
    #[derive(Deserialize)]
    struct Details {
        #[serde(default)]
        message: String,
        #[serde(default)]
        n_prompt_tokens: Option<Tokens>,
        #[serde(default)]
        n_ctx: Option<Tokens>,
    }
    let Ok(Refusal { error }) = serde_json::from_str::<Refusal>(&message) else {
        let message = message.chars().take(500).collect();
        return Error::Rejected {
            status: status.as_u16(),
            message,
        };
    };
    match (error.n_prompt_tokens, error.n_ctx) {
        (Some(prompt), Some(window)) => Error::TooLong { prompt, window },
        _ => Error::Rejected {
            status: status.as_u16(),
            message: error.message,
        },
    }
}

#[async_trait]
impl ModelServer for OpenAi {
    async fn describe(&self) -> Result<ModelInfo, Error> {
        let window = llama_cpp::window(
            &self.root,
            self.question(self.http.get(format!("{}/props", self.root))),
        )
        .await?;
        let entries = self.models().await?;
        let is_llama_cpp = window.is_some();
        self.is_llama_cpp.store(is_llama_cpp, Ordering::Relaxed);
        let wanted = &self.options.model;
        let entry = entries.iter().find(|entry| &entry.id == wanted);
        // A llama.cpp server has one model and answers with it whatever it is called.
        let entry = entry.or_else(|| entries.first().filter(|_| is_llama_cpp));
        let Some(entry) = entry else {
            return Err(Error::NoSuchModel {
                url: self.root.clone(),
                wanted: wanted.clone(),
                has: entries.into_iter().map(|entry| entry.id).collect(),
            });
        };
        let told = window.or(entry.max_model_len).or(entry.context_length);
        Ok(ModelInfo {
            name: entry.id.clone(),
            server: if is_llama_cpp {
                "llama.cpp"
            } else {
                "openai-compatible"
            }
            .to_owned(),
            url: self.root.clone(),
            window: match told {
                Some(tokens) => Window {
                    tokens,
                    source: WindowSource::Asked,
                },
                None => Window {
                    tokens: self.options.window,
                    source: WindowSource::Configured,
                },
            },
            tokenizer: is_llama_cpp,
            json_schema: !self.schema_refused.load(Ordering::Relaxed),
        })
    }

    async fn count(&self, messages: &[Message]) -> Result<Count, Error> {
        if self.is_llama_cpp.load(Ordering::Relaxed) {
            let tokens = llama_cpp::count(&self.root, messages, |route| {
                self.question(self.http.post(format!("{}/{route}", self.root)))
            })
            .await?;
            return Ok(Count {
                tokens,
                exact: true,
            });
        }
        Ok(Count {
            tokens: self.estimate_prompt(messages),
            exact: false,
        })
    }

    async fn answer(
        &self,
        request: &Request,
        on_delta: &mut OnDelta<'_>,
        cancel: &CancellationToken,
    ) -> Result<Answer, Error> {
        let mut so_far = String::new();
        let stream = self.stream(request, &mut so_far, on_delta);
        let result = cancel.run_until_cancelled(stream).await;
        result.unwrap_or_else(|| {
            Err(Error::Interrupted {
                tokens: self.estimate(&so_far),
                partial: so_far,
            })
        })
    }

    async fn waiting(&self) -> Option<u64> {
        let unknown = &self.waiting_unknown_until;
        let until = *unknown.lock().unwrap_or_else(PoisonError::into_inner);
        if until.is_some_and(|until| Instant::now() < until) {
            return None;
        }
        let url = format!("{}/metrics", self.root);
        let ask = self.authorised(self.http.get(url)).timeout(WAITING_TIMEOUT);
        let waiting = llama_cpp::waiting(ask).await;
        if waiting.is_none() {
            let until = Instant::now() + WAITING_AGAIN;
            *unknown.lock().unwrap_or_else(PoisonError::into_inner) = Some(until);
        }
        waiting
    }
}

/// What came of an answer beside its text.
#[derive(Default)]
struct Partial {
    finish: Option<Finish>,
    usage: Option<WireUsage>,
    model: Option<String>,
}

impl Partial {
    fn take(&mut self, chunk: Chunk) -> Result<Option<String>, Error> {
        if let Some(error) = chunk.error {
            return Err(Error::Rejected {
                status: 200,
                message: error.to_string(),
            });
        }
        self.model = self.model.take().or(chunk.model);
        self.usage = chunk.usage.or(self.usage.take());
        let Some(choice) = chunk.choices.into_iter().next() else {
            return Ok(None);
        };
        if let Some(reason) = choice.finish_reason {
            self.finish = Some(if reason == "length" {
                Finish::Length
            } else {
                Finish::Stop
            });
        }
        let text = choice.delta.and_then(|delta| delta.content);
        Ok(text.filter(|text| !text.is_empty()))
    }
}

#[derive(Deserialize)]
struct ModelList {
    data: Vec<ModelEntry>,
}

#[derive(Deserialize)]
struct ModelEntry {
    id: String,
    /// vLLM's window.
    #[serde(default)]
    max_model_len: Option<Tokens>,
    /// The window as several hosted services tell it.
    #[serde(default)]
    context_length: Option<Tokens>,
}

#[derive(Deserialize)]
struct Chunk {
    #[serde(default)]
    choices: Vec<Choice>,
    #[serde(default)]
    usage: Option<WireUsage>,
    #[serde(default)]
    model: Option<String>,
    #[serde(default)]
    error: Option<Value>,
}

#[derive(Deserialize)]
struct Choice {
    #[serde(default)]
    delta: Option<WireDelta>,
    #[serde(default)]
    finish_reason: Option<String>,
}

#[derive(Deserialize)]
struct WireDelta {
    #[serde(default)]
    content: Option<String>,
}

#[derive(Deserialize)]
struct WireUsage {
    prompt_tokens: Tokens,
    completion_tokens: Tokens,
    #[serde(default)]
    prompt_tokens_details: Option<WireDetails>,
}

#[derive(Default, Deserialize)]
struct WireDetails {
    #[serde(default)]
    cached_tokens: Tokens,
}
