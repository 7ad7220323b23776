//! Payloads about model calls: the context that was built, the intent and the outcomes.

use serde::{Deserialize, Serialize};

use crate::content::ContentHash;
use crate::money::PicoUsd;
use crate::tokens::Tokens;

/// What a model call is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Purpose {
    /// Plan the modules.
    Plan,
    /// Write the code of a module.
    Code,
    /// Write tests for a module.
    Tests,
    /// Correct a module after a failed test run.
    Fix,
    /// Look something up with tools before the plan is made.
    LookUp,
    /// Review the finished code.
    Review,
    /// Answer a prompt that is a plain question.
    Answer,
    /// Summarise a finished module.
    ModuleSummary,
    /// Summarise the finished task.
    TaskSummary,
}

impl Purpose {
    /// Whether the call is for a summary. A task never fails because it has none.
    pub const fn is_summary(self) -> bool {
        matches!(self, Self::ModuleSummary | Self::TaskSummary)
    }

    /// The name as stored and displayed.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Plan => "plan",
            Self::Code => "code",
            Self::Tests => "tests",
            Self::Fix => "fix",
            Self::LookUp => "look_up",
            Self::Review => "review",
            Self::Answer => "answer",
            Self::ModuleSummary => "module_summary",
            Self::TaskSummary => "task_summary",
        }
    }
}

/// How the code of a module is asked for. Candidates that come from different forms differ more than those that one form
/// gives at a higher temperature.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize,
)]
#[serde(rename_all = "snake_case")]
pub enum Form {
    /// The model is asked for the whole file.
    #[default]
    File,
    /// The same, and the answer's beginning is given, with which the model goes on.
    Prefill,
    /// The task is told in words, also where the user began a file.
    Description,
    /// The whole file is asked for, and the examples are repeated as assertions.
    Asserts,
}

impl Form {
    /// All forms, in the order in which they are used.
    pub const ALL: [Self; 4] = [Self::File, Self::Prefill, Self::Description, Self::Asserts];

    /// The name in events and on the command line.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::File => "file",
            Self::Prefill => "prefill",
            Self::Description => "description",
            Self::Asserts => "asserts",
        }
    }

    /// Whether it is the form that events do not name.
    #[expect(
        clippy::trivially_copy_pass_by_ref,
        reason = "serde passes a reference"
    )]
    pub(crate) fn is_default(&self) -> bool {
        *self == Self::File
    }
}

/// One layer or one part of a context. Layers are listed in the order they are sent.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Layer {
    /// Of a layer one of `system`, `state`, `history` and `current`; of a part its name, such as `dependencies`.
    pub name: String,
    /// The share of the context window that was planned for it.
    pub share: Tokens,
    /// The tokens it used.
    pub tokens: Tokens,
}

/// Whether one piece of context was included, and why.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ContextDecision {
    /// The piece of context, such as `module validators.email`.
    pub piece: String,
    /// Whether it was included.
    pub verdict: Verdict,
    /// The reason, where it is not obvious.
    #[serde(skip_serializing_if = "String::is_empty", default)]
    pub why: String,
    /// Bytes of it that were sent, 0 where it was left out: with these the prompt can be taken apart again. Older
    /// versions did not record it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub bytes: Option<u64>,
}

/// Whether a piece of context was included.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Verdict {
    /// It was included whole.
    Kept,
    /// Included shortened, with a mark at the cut.
    Cut,
    /// It was not included.
    LeftOut,
}

/// The context for the next model call was built.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ContextBuilt {
    /// What the model call is for.
    pub purpose: Purpose,
    /// The size of the model's context window, in tokens.
    pub window: Tokens,
    /// The layers in the order they are sent.
    pub layers: Vec<Layer>,
    /// The named parts of the context's share, each with its own share; none in older events.
    #[serde(skip_serializing_if = "Vec::is_empty", default)]
    pub parts: Vec<Layer>,
    /// A decision for each piece.
    pub decisions: Vec<ContextDecision>,
}

/// One message of a prompt. The text is stored as a blob.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SentMessage {
    /// One of `system`, `user` and `assistant`.
    pub role: String,
    /// The hash of the blob with the exact text.
    pub blob: ContentHash,
}

/// Intent: the model is about to be called with exactly this request.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ModelCallStarted {
    /// What the call is for.
    pub purpose: Purpose,
    /// How code is asked for.
    #[serde(skip_serializing_if = "Form::is_default", default)]
    pub form: Form,
    /// The messages of the prompt.
    pub messages: Vec<SentMessage>,
    /// The size of the prompt in tokens, including the chat template.
    pub prompt_tokens: Tokens,
    /// Whether the model server counted the tokens; otherwise the number is an estimate.
    pub exact: bool,
    /// The most tokens that may be generated.
    pub max_tokens: Tokens,
    /// The sampling temperature.
    pub temperature: f32,
    /// The sampling seed.
    pub seed: u64,
    /// The hash of the blob with the JSON schema for the answer.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub schema: Option<ContentHash>,
    /// The model that is called, by its name in the configuration; `None` for the model that the task was started with.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub model: Option<String>,
    /// What was reserved in budgets for the call; `None` if no budget applies to it.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub reserved: Option<Reserved>,
    /// The key with which the task was submitted, if it has a name. The call counts for the budgets of that key.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub key: Option<String>,
    /// The project of the task, if it has one. The call counts for the budgets of that project.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub project: Option<String>,
}

/// An amount that is reserved in budgets for a call until its outcome is recorded.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Reserved {
    /// The id of the reservation.
    pub id: String,
    /// The most that the call may cost.
    pub usd: PicoUsd,
}

/// The price of a call.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Charge {
    /// The model that answered, as its server calls it.
    pub model: String,
    /// The cost; `None` if the model has no known price.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub usd: Option<PicoUsd>,
    /// The source of the price with its version: `local`, `file 2026-11`, `models 2026-11`, `genai-prices 0.2.1`. Empty
    /// if there is no price.
    #[serde(skip_serializing_if = "String::is_empty", default)]
    pub price: String,
}

/// Outcome: the model answered.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ModelCallCompleted {
    /// The complete answer.
    pub text: String,
    /// Whether the answer ended at the token limit.
    pub cut_short: bool,
    /// The text the model kept repeating, if the answer was stopped for that.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub repeated: Option<String>,
    /// The number of prompt tokens.
    pub prompt_tokens: Tokens,
    /// How many of them the model server had in its cache from an earlier call, as it reports it.
    #[serde(default, skip_serializing_if = "Tokens::is_zero")]
    pub cached_tokens: Tokens,
    /// How many of them the model server wrote to its cache for later calls, as it reports it.
    #[serde(default, skip_serializing_if = "Tokens::is_zero")]
    pub cache_write_tokens: Tokens,
    /// The number of generated tokens.
    pub completion_tokens: Tokens,
    /// Whether the model server counted the tokens; otherwise the numbers are estimates.
    pub exact: bool,
    /// Milliseconds until the first token.
    pub first_token_ms: u64,
    /// Duration of the call in milliseconds.
    pub total_ms: u64,
    /// The model that the server says it used, where it calls it otherwise than it was asked.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub served_model: Option<String>,
    /// The service tier that the server says it used, such as `flex`; it may have a price of its own.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub service_tier: Option<String>,
    /// The price of the call; `None` for a call of an older version.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub charge: Option<Charge>,
}

/// Outcome: the call ended without an answer. It may be repeated unless `fatal` is set.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ModelCallFailed {
    /// What went wrong.
    pub problem: String,
    /// Tokens that the failed call used.
    pub tokens: Tokens,
    /// Whether the model server will refuse such calls in future too, so that repeating is useless.
    pub fatal: bool,
}

/// A model's answer could not be used.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct AnswerRejected {
    /// What the answer was for.
    pub purpose: Purpose,
    /// What is wrong with it.
    pub problem: String,
}
