//! The interface of a tool: its context, input and output.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use journeyman_event::{ModuleName, Principal, TaskId};
use serde_json::{Map, Value};
use thiserror::Error;
use tokio_util::sync::CancellationToken;

use crate::bound::bounded;
use crate::{Grants, Spec, Workspace, WorkspaceError};

/// The arguments of a call, by name.
pub type Arguments = Map<String, Value>;

/// A tool that can be called.
#[async_trait]
pub trait Tool: Send + Sync {
    /// The properties of the tool. Must always be the same for one value.
    fn spec(&self) -> &Spec;

    /// Errors in arguments that fit the schema, for rules that a schema cannot express.
    fn check(&self, _arguments: &Arguments) -> Result<(), String> {
        Ok(())
    }

    /// The longest duration of a call, if it differs from the dispatcher's.
    fn time_limit(&self) -> Option<Duration> {
        None
    }

    /// Whether the dispatcher limits the number of concurrent calls. A tool that waits for others limits its
    /// calls itself, so that they do not block calls of other tools.
    fn takes_place(&self) -> bool {
        true
    }

    /// Calls the tool with checked arguments. The future may be dropped at any time.
    async fn call(&self, context: &CallContext, arguments: Arguments) -> Result<Output, ToolError>;
}

/// Who calls a tool, for what, and what it may access.
#[derive(Clone)]
pub struct CallContext {
    /// The principal who owns the task.
    pub principal: Principal,
    /// The id of the task.
    pub task_id: TaskId,
    /// The module the call is about, if it is about one.
    pub module: Option<ModuleName>,
    /// The caller: `coder`, `fixer` and so on.
    pub actor: String,
    /// The tools the caller may call.
    pub grants: Grants,
    /// The files of the task.
    pub workspace: Arc<dyn Workspace>,
    /// Cancels the call. The dispatcher passes a tool a token of its own, which is also cancelled at the time
    /// limit.
    pub cancel: CancellationToken,
}

/// The result of a tool.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Output {
    /// For a model to read.
    pub text: String,
    /// The result as JSON, for programs and for later steps of a chain.
    pub structured: Option<Value>,
    /// Whether the tool reports a failure.
    pub is_error: bool,
    /// Whether a part is already missing.
    pub truncated: bool,
}

impl Output {
    /// Shortens the result: the text to `bytes_max` bytes, and the structured form is left out if it is larger.
    pub(crate) fn within(self, bytes_max: usize) -> Self {
        let text = bounded(self.text, bytes_max);
        let too_large = |value: &Value| value.to_string().len() > bytes_max;
        let dropped = self.structured.as_ref().is_some_and(too_large);
        Self {
            text: text.text,
            structured: self.structured.filter(|_| !dropped),
            is_error: self.is_error,
            truncated: self.truncated || text.cut || dropped,
        }
    }

    /// A text, and nothing else.
    pub fn text(text: impl Into<String>) -> Self {
        Self {
            text: text.into(),
            ..Self::default()
        }
    }
}

/// Why a tool returned no result.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum ToolError {
    /// The tool could not do what was asked.
    #[error("{0}")]
    Failed(String),
    /// Something the tool needs is currently unavailable.
    #[error("{0}")]
    Unavailable(String),
    /// The tool reached a time limit of its own.
    #[error("no answer within {} s", .0.as_secs_f64())]
    TimedOut(Duration),
    /// The call was cancelled.
    #[error("it was stopped before it was done")]
    Cancelled,
}

impl From<WorkspaceError> for ToolError {
    fn from(error: WorkspaceError) -> Self {
        match error {
            WorkspaceError::Cancelled => Self::Cancelled,
            other => Self::Failed(other.to_string()),
        }
    }
}
