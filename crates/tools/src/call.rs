//! A call from its request to its end, as values; and who records it.

use std::sync::Arc;

use async_trait::async_trait;
use journeyman_event::{ModuleName, Owner, TaskId};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use thiserror::Error;

use crate::{Arguments, Permission, Source};

/// What is to be called, with what.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Request {
    /// The tool's name, as whoever asks wrote it.
    pub name: String,
    /// Its arguments.
    #[serde(default)]
    pub arguments: Arguments,
}

/// A call, as it is recorded.
#[derive(Clone, Debug)]
pub struct CallRef {
    /// Tells the calls of one dispatcher apart: both records of a call have the same.
    pub number: u64,
    /// The tool, as it was asked for; cut to 128 characters.
    pub tool: String,
    /// The arguments; empty if they were refused for their size.
    pub arguments: Arc<Arguments>,
    /// What is known of the tool; `None` if there is none of the name.
    pub known: Option<Known>,
    /// Whose task it is.
    pub owner: Owner,
    /// The task.
    pub task_id: TaskId,
    /// The module of the task, where the call is about one.
    pub module: Option<ModuleName>,
    /// Who wants it.
    pub actor: String,
    /// Which step of a chain it is, from 0.
    pub step: Option<usize>,
}

/// What is recorded of the tool itself.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Known {
    /// What it reaches for.
    pub permission: Permission,
    /// Whose tool it is.
    pub source: Source,
    /// Whether the call may be made again if its outcome is lost.
    pub repeatable: bool,
}

/// How a call ended.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Completed {
    /// Well, or how not.
    #[serde(flatten)]
    pub outcome: Outcome,
    /// The tool's answer, or why there is none; written for a model.
    pub text: String,
    /// The answer for programs. Left out if it was too large.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub structured: Option<Value>,
    /// Whether something of the answer is missing.
    pub truncated: bool,
    /// How long it took.
    pub wall_ms: u64,
    /// Whether this end is recorded. If it is not, what follows from it must not go on.
    #[serde(skip)]
    pub recorded: bool,
}

/// Well, or how not.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "outcome", content = "kind", rename_all = "snake_case")]
pub enum Outcome {
    /// The tool did it.
    Ok,
    /// It was called, and did not.
    Failed(FailureKind),
    /// It was not called.
    Refused(RefusalKind),
}

/// In which way a call failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum FailureKind {
    /// The tool says so.
    Tool,
    /// It took too long.
    TimedOut,
    /// It was told to stop.
    Cancelled,
    /// Its code panicked.
    Panicked,
    /// What it needs is not there now.
    Unavailable,
}

/// Why a tool was not called.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RefusalKind {
    /// There is none of the name.
    Unknown,
    /// Its server is not there now.
    Unavailable,
    /// The caller may not.
    Permission,
    /// The arguments are wrong.
    Arguments,
    /// The call could not be recorded.
    Record,
}

impl Completed {
    /// A call that was not made.
    pub(crate) fn refused(kind: RefusalKind, text: String) -> Self {
        Self {
            outcome: Outcome::Refused(kind),
            text,
            structured: None,
            truncated: false,
            wall_ms: 0,
            recorded: false,
        }
    }

    /// Whether the tool did it.
    pub fn is_ok(&self) -> bool {
        self.outcome == Outcome::Ok
    }
}

/// Who writes down what is called. This crate keeps nothing.
#[async_trait]
pub trait Record: Send + Sync {
    /// A call is about to be made. Unless this succeeds it is not.
    async fn executing(&self, call: &CallRef) -> Result<(), RecordError>;

    /// A call has ended; or was refused, without an `executing` before.
    async fn completed(&self, call: &CallRef, completed: &Completed) -> Result<(), RecordError>;
}

/// Why a call could not be recorded.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("the call could not be recorded: {0}")]
pub struct RecordError(pub String);
