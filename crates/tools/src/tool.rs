//! What a tool is, who calls it for what, and what it answers.

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

/// Something that can be called.
#[async_trait]
pub trait Tool: Send + Sync {
    /// What is known of it. Always the same for one value.
    fn spec(&self) -> &Spec;

    /// What is wrong with arguments that fit the schema; for rules that a schema cannot say.
    fn check(&self, _arguments: &Arguments) -> Result<(), String> {
        Ok(())
    }

    /// How long a call may take, if it is not for the dispatcher to say.
    fn time_limit(&self) -> Option<Duration> {
        None
    }

    /// Whether the dispatcher limits how many of its calls are made at once. A tool that waits for
    /// others limits them itself, so that its calls keep no other tool's from being made.
    fn takes_place(&self) -> bool {
        true
    }

    /// Calls it with arguments that were checked. May be dropped at any time.
    async fn call(&self, context: &CallContext, arguments: Arguments) -> Result<Output, ToolError>;
}

/// Who calls a tool, for what, and what it may touch.
#[derive(Clone)]
pub struct CallContext {
    /// Whose task it is.
    pub principal: Principal,
    /// The task.
    pub task_id: TaskId,
    /// The module of the task, where the call is about one.
    pub module: Option<ModuleName>,
    /// Who wants it: `coder`, `fixer` ...
    pub actor: String,
    /// What they may call.
    pub grants: Grants,
    /// The files of the task.
    pub workspace: Arc<dyn Workspace>,
    /// Ends the call. The dispatcher gives a tool one of its own, which also a time limit ends.
    pub cancel: CancellationToken,
}

/// What a tool answered.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Output {
    /// For a model to read.
    pub text: String,
    /// For programs, and for later steps of a chain.
    pub structured: Option<Value>,
    /// Whether the tool says that it failed.
    pub is_error: bool,
    /// Whether something is missing already.
    pub truncated: bool,
}

impl Output {
    /// The same in bounds: a text of at most so many bytes, and a structured form that has no more or
    /// is left out.
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

/// Why a tool gave no answer.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum ToolError {
    /// It could not do what was asked.
    #[error("{0}")]
    Failed(String),
    /// What it needs is not there now; another time it may be.
    #[error("{0}")]
    Unavailable(String),
    /// It had a time limit of its own, and took longer.
    #[error("no answer within {} s", .0.as_secs_f64())]
    TimedOut(Duration),
    /// It was told to stop.
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
