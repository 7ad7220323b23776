//! The values that describe a call from request to end, and the interface that records calls.

use std::sync::Arc;

use async_trait::async_trait;
use journeyman_event::{ModuleName, Owner, TaskId};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use thiserror::Error;

use crate::{Arguments, Permission, Source};

/// A request to call a tool.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Request {
    /// The name of the tool as the caller wrote it.
    pub name: String,
    /// The arguments of the call.
    #[serde(default)]
    pub arguments: Arguments,
}

/// A call as it is recorded.
#[derive(Clone, Debug)]
pub struct CallRef {
    /// Identifies the call within one dispatcher. Both records of a call have the same number.
    pub number: u64,
    /// The name of the tool as requested, truncated to 128 characters.
    pub tool: String,
    /// The arguments; empty if they were refused for their size.
    pub arguments: Arc<Arguments>,
    /// The properties of the tool; `None` if no tool has this name.
    pub known: Option<Known>,
    /// The owner of the task.
    pub owner: Owner,
    /// The id of the task.
    pub task_id: TaskId,
    /// The module the call is about, if it is about one.
    pub module: Option<ModuleName>,
    /// The role or user that makes the call.
    pub actor: String,
    /// The step of a chain, from 0.
    pub step: Option<usize>,
}

/// The properties of a tool that are recorded.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Known {
    /// The permission it requires.
    pub permission: Permission,
    /// Where the tool comes from.
    pub source: Source,
    /// Whether the call may be repeated if its outcome is lost.
    pub repeatable: bool,
}

/// The end of a call.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Completed {
    /// How the call ended.
    #[serde(flatten)]
    pub outcome: Outcome,
    /// The tool's answer, or why there is none; worded for a model.
    pub text: String,
    /// The answer as JSON; left out if it was too large.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub structured: Option<Value>,
    /// Whether a part of the answer is missing.
    pub truncated: bool,
    /// Duration of the call in milliseconds.
    pub wall_ms: u64,
    /// Whether this end was recorded. If not, nothing that depends on it may continue.
    #[serde(skip)]
    pub recorded: bool,
}

/// How a call ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "outcome", content = "kind", rename_all = "snake_case")]
pub enum Outcome {
    /// The call succeeded.
    Ok,
    /// The tool was called and failed.
    Failed(FailureKind),
    /// The tool was not called.
    Refused(RefusalKind),
}

/// How a call failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum FailureKind {
    /// The tool reported an error.
    Tool,
    /// The time limit was reached.
    TimedOut,
    /// The call was cancelled.
    Cancelled,
    /// The tool's code panicked.
    Panicked,
    /// Something the tool needs is currently unavailable.
    Unavailable,
}

/// Why a tool was not called.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RefusalKind {
    /// No tool has this name.
    Unknown,
    /// The tool's server is currently unavailable.
    Unavailable,
    /// The caller lacks the permission.
    Permission,
    /// The arguments are invalid.
    Arguments,
    /// The call could not be recorded.
    Record,
}

impl Completed {
    /// The end of a call that was refused.
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

    /// Whether the call succeeded.
    pub fn is_ok(&self) -> bool {
        self.outcome == Outcome::Ok
    }
}

/// Records calls. This crate itself stores nothing.
#[async_trait]
pub trait Record: Send + Sync {
    /// Called before a call is made. If this fails, the call is not made.
    async fn executing(&self, call: &CallRef) -> Result<(), RecordError>;

    /// Called when a call has ended, or was refused without a preceding `executing`.
    async fn completed(&self, call: &CallRef, completed: &Completed) -> Result<(), RecordError>;
}

/// Why a call could not be recorded.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("the call could not be recorded: {0}")]
pub struct RecordError(pub String);
