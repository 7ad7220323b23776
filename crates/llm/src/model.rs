//! The interface of a model server to the rest of the product.

use std::fmt::Debug;
use std::str::FromStr;

use async_trait::async_trait;
use journeyman_event::{Tokens, TraceContext};
use serde::{Deserialize, Serialize};
use tokio_util::sync::CancellationToken;

use crate::Error;

/// A server that answers requests with one model.
#[async_trait]
pub trait ModelServer: Send + Sync + Debug {
    /// Asks the server to describe itself. Also used to check whether it responds.
    async fn describe(&self) -> Result<ModelInfo, Error>;

    /// Counts the tokens of a whole prompt, including the chat template.
    async fn count(&self, messages: &[Message]) -> Result<TokenCount, Error>;

    /// Streams an answer. `on_delta` is called for each piece of text and must not block. If `cancel` is
    /// cancelled, the connection is dropped, the server stops generating, and the error is
    /// [`Error::Interrupted`].
    async fn answer(
        &self,
        request: &Request,
        on_delta: &mut OnDelta<'_>,
        cancel: &CancellationToken,
    ) -> Result<Answer, Error>;

    /// Whether the model was observed to think before answering, although it is asked not to where the API
    /// allows that. Thoughts use tokens of the answer.
    fn thinks(&self) -> bool {
        false
    }

    /// The number of requests currently queued at the server, from all clients; `None` if it does not report
    /// it.
    async fn waiting(&self) -> Option<u64> {
        None
    }
}

/// A callback for pieces of an answer.
pub type OnDelta<'f> = dyn for<'d> FnMut(Delta<'d>) + Send + 'f;

/// A model server's description of itself.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct ModelInfo {
    /// The name of the model.
    pub name: String,
    /// The kind of server: `llama.cpp`, `openai-compatible` or `simulated`.
    pub server: String,
    /// The URL of the server.
    pub url: String,
    /// The model's context window.
    pub window: Window,
    /// Whether the server counts tokens.
    pub tokenizer: bool,
    /// Whether the server can constrain an answer to a JSON schema, as far as known.
    pub json_schema: bool,
}

/// The context window: the most tokens that prompt and answer may have together.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct Window {
    /// The size in tokens.
    pub tokens: Tokens,
    /// How the size is known.
    pub source: WindowSource,
}

/// How the size of a window is known.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum WindowSource {
    /// The server reported it for the running model.
    Asked,
    /// Taken from the settings, because the server does not report it.
    Configured,
    /// Taken from the error for a call that was too long, because the server does not report it.
    Learned,
}

/// The number of tokens in a prompt.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TokenCount {
    /// The number of tokens.
    pub tokens: Tokens,
    /// Whether the server counted the tokens; otherwise the number is an estimate.
    pub exact: bool,
}

/// The author of a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum MessageRole {
    /// Instructions to the model.
    System,
    /// The author of the request.
    User,
    /// The model itself.
    Assistant,
}

impl MessageRole {
    /// The name in the wire format.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::System => "system",
            Self::User => "user",
            Self::Assistant => "assistant",
        }
    }
}

impl FromStr for MessageRole {
    type Err = ();
    fn from_str(name: &str) -> Result<Self, ()> {
        [Self::System, Self::User, Self::Assistant]
            .into_iter()
            .find(|role| role.as_str() == name)
            .ok_or(())
    }
}

/// One message of a prompt.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Message {
    /// The author of the message.
    pub role: MessageRole,
    /// The text of the message.
    pub content: String,
}

/// A request to a model.
#[derive(Clone, Debug, PartialEq)]
pub struct Request {
    /// The messages of the prompt.
    pub messages: Vec<Message>,
    /// The most tokens that may be generated.
    pub max_tokens: Tokens,
    /// The sampling temperature, 0 to 2.
    pub temperature: f32,
    /// The sampling seed.
    pub seed: Option<u64>,
    /// Stop sequences: the answer ends before the first of them.
    pub stop: Vec<String>,
    /// A JSON schema for the answer, used if the server supports it.
    pub schema: Option<serde_json::Value>,
    /// The trace and the span of the call, sent as `traceparent` and `tracestate`.
    pub trace: Option<TraceContext>,
}

/// A piece of an answer.
#[derive(Clone, Copy, Debug)]
pub struct Delta<'a> {
    /// The text of the piece.
    pub text: &'a str,
}

/// Why an answer ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FinishReason {
    /// The model finished.
    Stop,
    /// The token limit was reached, as reported by the server or counted here.
    Length,
    /// The model kept repeating itself, so the answer was stopped.
    Repetition,
    /// The server reported the end without a reason, and the text contains an unclosed code block or JSON
    /// value. It may be truncated, or the model forgot to close it.
    Unknown,
}

/// The tokens used by a call.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Usage {
    /// Tokens of the prompt.
    pub prompt: Tokens,
    /// The number of generated tokens.
    pub completion: Tokens,
    /// Prompt tokens that were still in the server's cache.
    pub cached: Tokens,
    /// Prompt tokens that the server wrote to its cache.
    pub cache_write: Tokens,
    /// Whether the server counted the tokens; otherwise the numbers are estimates.
    pub exact: bool,
}

/// A complete answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Answer {
    /// The text of the answer.
    pub text: String,
    /// Why the answer ended.
    pub finish: FinishReason,
    /// The repeated text, if the answer was stopped for repetition.
    pub repeated: Option<String>,
    /// The tokens used.
    pub usage: Usage,
    /// Milliseconds until the first piece of the answer.
    pub time_to_first_token_ms: u64,
    /// Duration of the call in milliseconds.
    pub total_ms: u64,
    /// The model that the server says it used, where it calls it otherwise than it was asked.
    pub served_model: Option<String>,
    /// The service tier that the server says it used, if it is not the usual one.
    pub service_tier: Option<String>,
    /// Something a person should know about the server. Each remark is made once.
    pub remark: Option<String>,
}
