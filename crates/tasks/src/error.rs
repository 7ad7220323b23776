//! The errors of operations on tasks.

use journeyman_api::LimitError;
use journeyman_event::state::{FoldError, Status};
use journeyman_event::{InvalidEvent, Principal, TaskId};
use journeyman_journal::StreamName;
use journeyman_knowledge::OfflineError;
use journeyman_queue::AdmissionError;
use thiserror::Error;

/// Why an operation on a task failed. What was recorded before is kept.
#[derive(Debug, Error)]
pub enum Error {
    /// The principal may only view tasks.
    #[error("a viewer may only read tasks, not change them")]
    MayNot,
    /// The task does not exist.
    #[error("there is no task {task}; `journeyman tasks` lists them")]
    NoSuchTask {
        /// The id of the task.
        task: TaskId,
    },
    /// A task with this id already exists.
    #[error("there is a task {task} already; choose another name, or leave it out")]
    TaskExists {
        /// The id of the task.
        task: TaskId,
    },
    /// The idempotency key was already used with different content.
    #[error(
        "the idempotency key was used for task {task}, with other content; use another key for another \
         task"
    )]
    KeyUsed {
        /// The task that was created with the key.
        task: TaskId,
    },
    /// An input is invalid or too large.
    #[error(transparent)]
    Limit(#[from] LimitError),
    /// The task has ended.
    #[error("task {task} is {} already and cannot be changed; `retry` and `fork` start a new task from it", status.as_str())]
    Ended {
        /// The id of the task.
        task: TaskId,
        /// How it ended.
        status: Status,
    },
    /// The task is marked to be kept.
    #[error("task {task} is marked to be kept; `journeyman unkeep {task}` takes that back")]
    Kept {
        /// The task that is marked.
        task: TaskId,
    },
    /// The task has no such module.
    #[error("task {task} has no module {given}: {known}")]
    NoModule {
        /// The id of the task.
        task: TaskId,
        /// The name given.
        given: String,
        /// The modules of the task.
        known: String,
    },
    /// Someone else changed the task at the same time.
    #[error("task {task} was changed by someone else at the same time; look at it and try again")]
    Conflict {
        /// The id of the task.
        task: TaskId,
    },
    /// The task has another version than the call is meant for.
    #[error(
        "task {task} is at version {version}, which is not the version named; look at the task, then repeat this for its \
         current version"
    )]
    OtherVersion {
        /// The id of the task.
        task: TaskId,
        /// The version that it has.
        version: u64,
    },
    /// A tool is not there, or may not be called.
    #[error("{reason}")]
    NoTool {
        /// Which tool, and why.
        reason: String,
    },
    /// This service does not work on tasks.
    #[error(
        "this process does not work on tasks, so it cannot call tools; call them at a server, or while `run` is in progress"
    )]
    NoWorkers,
    /// The queue refused the task.
    #[error(transparent)]
    Refused(AdmissionError<StreamName>),
    /// An error of the journal.
    #[error(transparent)]
    Journal(#[from] journeyman_journal::Error),
    /// The search index could not be used.
    #[error(transparent)]
    Knowledge(#[from] OfflineError),
    /// An error of the workflow.
    #[error(transparent)]
    Workflow(journeyman_workflow::Error),
    /// A helper thread panicked.
    #[error("a helper thread panicked: {0}")]
    Thread(#[from] tokio::task::JoinError),
}

impl From<journeyman_workflow::Error> for Error {
    /// Converts errors that concern the caller to the matching variant.
    fn from(error: journeyman_workflow::Error) -> Self {
        use journeyman_workflow::Error as Workflow;
        match error {
            Workflow::NoSuchTask { task } => Self::NoSuchTask { task },
            Workflow::TaskExists { task } => Self::TaskExists { task },
            Workflow::Journal(error) => Self::Journal(error),
            other => Self::Workflow(other),
        }
    }
}

impl From<InvalidEvent> for Error {
    fn from(error: InvalidEvent) -> Self {
        Self::Workflow(error.into())
    }
}

impl From<FoldError> for Error {
    fn from(error: FoldError) -> Self {
        Self::Workflow(error.into())
    }
}

impl Error {
    /// Whether the requested task does not exist or was erased.
    pub(crate) fn is_gone(&self) -> bool {
        matches!(
            self,
            Self::NoSuchTask { .. } | Self::Journal(journeyman_journal::Error::Erased(_))
        )
    }

    /// A field does not fit, for this reason.
    pub(crate) fn bad(field: &'static str, reason: impl Into<String>) -> Self {
        let reason = reason.into();
        Self::Limit(LimitError::Bad { field, reason })
    }
}

/// Checks whether a principal may change tasks. Every method of `Tasks` that changes something calls this
/// first.
///
/// # Errors
///
/// [`Error::MayNot`] for a principal that may only view tasks.
pub fn check_may_change(principal: &Principal) -> Result<(), Error> {
    if principal.may_change() {
        return Ok(());
    }
    Err(Error::MayNot)
}
