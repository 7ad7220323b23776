//! Payloads about model calls: the context that was built, the intent, the outcomes.

use serde::{Deserialize, Serialize};

use crate::content::ContentHash;
use crate::tokens::Tokens;

/// What a model call is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Purpose {
    /// A plan of modules.
    Plan,
    /// The code of a module.
    Code,
    /// Tests of a module.
    Tests,
    /// A correction of a module after a test run.
    Fix,
    /// What has to be looked up with tools before anything is planned.
    LookUp,
    /// What a reader would say of the finished code.
    Review,
    /// The answer to a prompt that is a plain question.
    Answer,
}

impl Purpose {
    /// The name as stored and shown.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Plan => "plan",
            Self::Code => "code",
            Self::Tests => "tests",
            Self::Fix => "fix",
            Self::LookUp => "look_up",
            Self::Review => "review",
            Self::Answer => "answer",
        }
    }
}

/// One layer of a context. The layers stand in the order in which they were sent.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Layer {
    /// `system`, `state`, `history` or `current`.
    pub name: String,
    /// Its share of the window that was planned.
    pub share: Tokens,
    /// What it took.
    pub tokens: Tokens,
}

/// What went into a context, what did not, and why.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ContextDecision {
    /// The piece, such as `module validators.email`.
    pub piece: String,
    /// `kept`, `cut` or `left_out`.
    pub verdict: Verdict,
    /// Why, where that is not obvious.
    #[serde(skip_serializing_if = "String::is_empty", default)]
    pub why: String,
}

/// What became of a piece of context.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Verdict {
    /// Sent whole.
    Kept,
    /// Sent shortened, with a mark.
    Cut,
    /// Not sent.
    LeftOut,
}

/// A context was put together for the call that follows.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ContextBuilt {
    /// What the call is for.
    pub purpose: Purpose,
    /// The model's window.
    pub window: Tokens,
    /// The layers in the order sent.
    pub layers: Vec<Layer>,
    /// Every decision.
    pub decisions: Vec<ContextDecision>,
}

/// One message of a prompt; its text is a blob.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SentMessage {
    /// `system`, `user` or `assistant`.
    pub role: String,
    /// The blob that holds the exact text.
    pub blob: ContentHash,
}

/// Intent: a model is about to be called with exactly this.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ModelCallStarted {
    /// What the call is for.
    pub purpose: Purpose,
    /// The prompt.
    pub messages: Vec<SentMessage>,
    /// Its tokens, chat template included.
    pub prompt_tokens: Tokens,
    /// Whether the model server counted them.
    pub exact: bool,
    /// The most tokens that may be generated.
    pub max_tokens: Tokens,
    /// Sampling temperature.
    pub temperature: f32,
    /// Sampling seed.
    pub seed: u64,
    /// The blob of the JSON schema that the answer must fit.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub schema: Option<ContentHash>,
}

/// Outcome: the model answered.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ModelCallCompleted {
    /// The whole answer.
    pub text: String,
    /// Whether it was cut at the token limit.
    pub cut_short: bool,
    /// What was said again and again, where that is why it was cut.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub repeated: Option<String>,
    /// Tokens of the prompt.
    pub prompt_tokens: Tokens,
    /// Tokens generated.
    pub completion_tokens: Tokens,
    /// Whether the model server counted them.
    pub exact: bool,
    /// Milliseconds to the first token.
    pub first_token_ms: u64,
    /// Milliseconds in all.
    pub total_ms: u64,
}

/// Outcome: the call ended without an answer, and another attempt may be made.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ModelCallFailed {
    /// What happened.
    pub problem: String,
    /// Tokens that were spent all the same.
    pub tokens: Tokens,
    /// Whether the model server refuses such calls for good: a repetition would be refused too.
    pub fatal: bool,
}

/// An answer could not be used.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct AnswerRejected {
    /// What it was to be.
    pub purpose: Purpose,
    /// What is wrong with it.
    pub problem: String,
}
