//! The files a task has written, and the prompts sent to its model.

use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use crate::tasks::At;

/// One version of a file.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct FileView {
    /// The path in the result.
    pub path: String,
    /// The version of the module; null for tests and other files.
    pub version: Option<u64>,
    /// The size in bytes.
    pub bytes: usize,
    /// The BLAKE3 hash of the contents.
    pub hash: String,
}

/// The files of a task.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct FileList {
    /// All versions of all files, oldest first.
    pub files: Vec<FileView>,
}

/// Selects the version of a file.
#[derive(Clone, Debug, Default, Serialize, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct FileQuery {
    /// The version of the module; the latest by default.
    #[param(minimum = 0)]
    pub version: Option<u64>,
    /// As it was after the event at this position, or the last one before it; or at this time.
    #[param(inline)]
    pub at: Option<At>,
}

/// Selects a file.
#[derive(Clone, Debug, IntoParams)]
#[into_params(parameter_in = Path)]
pub struct FilePath {
    /// The path as in the list of files.
    pub path: String,
}

/// One message of a prompt.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct MessageView {
    /// One of `system`, `user` and `assistant`.
    pub role: String,
    /// The text, byte for byte as it was sent.
    pub content: String,
}

/// A piece that a prompt was put together from, or might have been.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct PieceView {
    /// What it is.
    pub piece: String,
    /// `kept`, `cut` or `left_out`.
    pub verdict: Option<String>,
    /// Why, where that was said.
    pub why: Option<String>,
    /// What it took, where it was sent and that is known: its share of the prompt's tokens.
    pub tokens: Option<u64>,
}

/// A named part of a context, such as `dependencies`.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct PartView {
    /// Its name.
    pub part: String,
    /// Its share of the window, in tokens. What one part does not use, the others may.
    pub share: u64,
    /// The tokens it used.
    pub tokens: u64,
}

/// A call of the model: what it was asked.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct ContextView {
    /// The position of the call.
    pub sequence: u64,
    /// What the call is for: `look_up`, `plan`, `code`, `tests`, `fix`, `review`, `answer`,
    /// `module_summary` or `task_summary`.
    pub purpose: Option<String>,
    /// The module the call is for.
    pub module: Option<String>,
    /// The messages, in order.
    pub messages: Vec<MessageView>,
    /// The JSON schema that the answer had to fit.
    pub schema: Option<String>,
    /// The pieces that the messages were put together from, in order, those that were left out among them.
    pub pieces: Vec<PieceView>,
    /// The named parts of the context; empty for calls of older versions.
    #[serde(default)]
    pub parts: Vec<PartView>,
    /// The model's window.
    pub window: Option<u64>,
    /// Tokens of the prompt.
    pub prompt_tokens: u64,
    /// Whether the model server counted them.
    pub is_exact: bool,
    /// The most tokens for the answer.
    pub max_tokens: u64,
    /// The model that was called, by its name in the configuration; `null` for the task's own model.
    pub model: Option<String>,
    /// The sampling temperature.
    pub temperature: f32,
    /// The sampling seed.
    pub seed: u64,
}
