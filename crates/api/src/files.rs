//! What a task wrote, and exactly what its model was asked.

use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use crate::tasks::Position;

/// One file in one version.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct FileView {
    /// Its path in the result.
    pub path: String,
    /// The version of the module; none for tests and other files.
    pub version: Option<u64>,
    /// Its size.
    pub bytes: usize,
    /// Its BLAKE3 hash.
    pub hash: String,
}

/// A task's files.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct FileList {
    /// Every version of every file, older versions first.
    pub files: Vec<FileView>,
}

/// Which version of a file is wanted.
#[derive(Clone, Debug, Default, Serialize, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct FileQuery {
    /// The version of the module; the latest if nothing is said.
    #[param(minimum = 0)]
    pub version: Option<u64>,
    /// As it was after the event at this position, or the last one before it.
    #[param(value_type = Option<u64>, minimum = 0)]
    pub at: Option<Position>,
}

/// Which file a path is about.
#[derive(Clone, Debug, IntoParams)]
#[into_params(parameter_in = Path)]
pub struct FilePath {
    /// The file, as the list names it.
    pub path: String,
}

/// One message of a prompt.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct MessageView {
    /// `system`, `user` or `assistant`.
    pub role: String,
    /// The text, byte for byte as it was sent.
    pub content: String,
}

/// A call of the model: what it was asked.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct ContextView {
    /// The position of the call.
    pub sequence: u64,
    /// What for: `look_up`, `plan`, `code`, `tests`, `fix` or `review`.
    pub purpose: Option<String>,
    /// For which module.
    pub module: Option<String>,
    /// The messages, in order.
    pub messages: Vec<MessageView>,
    /// The JSON schema that the answer had to fit.
    pub schema: Option<String>,
    /// Tokens of the prompt.
    pub prompt_tokens: u64,
    /// Whether the model server counted them.
    pub is_exact: bool,
    /// Tokens that the answer might have.
    pub max_tokens: u64,
    /// Sampling temperature.
    pub temperature: f32,
    /// Sampling seed.
    pub seed: u64,
}
