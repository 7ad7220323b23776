//! What a model server is to the rest of the product.

use std::fmt::Debug;
use std::str::FromStr;

use async_trait::async_trait;
use journeyman_event::Tokens;
use serde::{Deserialize, Serialize};
use tokio_util::sync::CancellationToken;

use crate::Error;

/// Answers requests of one model.
#[async_trait]
pub trait ModelServer: Send + Sync + Debug {
    /// What it is, asked now: also the way to find out whether it is there.
    async fn describe(&self) -> Result<ModelInfo, Error>;

    /// The tokens of a whole prompt, chat template included.
    async fn count(&self, messages: &[Message]) -> Result<TokenCount, Error>;

    /// Streams an answer. `on_delta` is called as text comes; it must not block. When `cancel` is
    /// called the connection is dropped, the server stops, and the error is
    /// [`Error::Interrupted`].
    async fn answer(
        &self,
        request: &Request,
        on_delta: &mut OnDelta<'_>,
        cancel: &CancellationToken,
    ) -> Result<Answer, Error>;

    /// Whether the model was seen to think before it answers, although it is asked not to where that
    /// can be asked: its thoughts take tokens of the answer.
    fn thinks(&self) -> bool {
        false
    }

    /// Requests that wait at the server for it to begin with them, whoever sent them, asked now; none if
    /// it does not tell.
    async fn waiting(&self) -> Option<u64> {
        None
    }
}

/// Takes the pieces of an answer as they come.
pub type OnDelta<'f> = dyn for<'d> FnMut(Delta<'d>) + Send + 'f;

/// What a model server says of itself.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct ModelInfo {
    /// The model's name.
    pub name: String,
    /// The kind of server: `llama.cpp`, `openai-compatible`, `simulated`.
    pub server: String,
    /// Where it is.
    pub url: String,
    /// The model's window.
    pub window: Window,
    /// Whether it counts tokens itself.
    pub tokenizer: bool,
    /// Whether it can hold an answer to a JSON schema, as far as is known.
    pub json_schema: bool,
}

/// How many tokens prompt and answer may have together.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct Window {
    /// The size.
    pub tokens: Tokens,
    /// How it is known.
    pub source: WindowSource,
}

/// How a window is known.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum WindowSource {
    /// The server told it for the running model.
    Asked,
    /// The server does not tell; it is what the settings say.
    Configured,
    /// The server does not tell, and refused a call that was too long for it.
    Learned,
}

/// Tokens of a prompt.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TokenCount {
    /// How many.
    pub tokens: Tokens,
    /// Whether the server counted them; else they are estimated.
    pub exact: bool,
}

/// Who says a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum MessageRole {
    /// The instructions.
    System,
    /// The one who asks.
    User,
    /// The model.
    Assistant,
}

impl MessageRole {
    /// The name on the wire.
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
    /// Who says it.
    pub role: MessageRole,
    /// What.
    pub content: String,
}

/// One call.
#[derive(Clone, Debug, PartialEq)]
pub struct Request {
    /// The prompt.
    pub messages: Vec<Message>,
    /// The most tokens that may be generated.
    pub max_tokens: Tokens,
    /// Sampling temperature, 0 to 2.
    pub temperature: f32,
    /// Sampling seed.
    pub seed: Option<u64>,
    /// Texts at which the answer ends.
    pub stop: Vec<String>,
    /// A JSON schema that the answer must fit, where the server can do that.
    pub schema: Option<serde_json::Value>,
}

/// A piece of an answer.
#[derive(Clone, Copy, Debug)]
pub struct Delta<'a> {
    /// The text.
    pub text: &'a str,
}

/// Why an answer ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FinishReason {
    /// The model was done.
    Stop,
    /// The token limit was reached, be it that the server would have gone on.
    Length,
    /// It said the same again and again, and was cut off.
    Repetition,
    /// The server said that it was done and not why, and a block or JSON in its text is open: it may have
    /// been cut off, or the model forgot to close it.
    Unknown,
}

/// What a call took.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Usage {
    /// Tokens of the prompt.
    pub prompt: Tokens,
    /// Tokens generated.
    pub completion: Tokens,
    /// Tokens of the prompt that the server had still in its cache.
    pub cached: Tokens,
    /// Whether the server counted them; else they are estimated.
    pub exact: bool,
}

/// A whole answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Answer {
    /// The text.
    pub text: String,
    /// Why it ended.
    pub finish: FinishReason,
    /// What was said again and again, where that ended it.
    pub repeated: Option<String>,
    /// What it took.
    pub usage: Usage,
    /// Milliseconds until the first piece.
    pub time_to_first_token_ms: u64,
    /// Milliseconds in all.
    pub total_ms: u64,
    /// The model that answered, by its own account.
    pub model: String,
    /// What a person should know of the server; each thing is said once.
    pub remark: Option<String>,
}
