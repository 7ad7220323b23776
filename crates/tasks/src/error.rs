//! Why something is not done to a task.

use journeyman_api::LimitError;
use journeyman_event::state::{FoldError, Status};
use journeyman_event::{InvalidEvent, Principal, TaskId};
use journeyman_journal::StreamName;
use journeyman_queue::AdmissionError;
use thiserror::Error;

/// Why something is not done to a task. What was recorded before stays.
#[derive(Debug, Error)]
pub enum Error {
    /// The principal may look at tasks and change nothing.
    #[error("a viewer may only look")]
    MayNot,
    /// There is no such task.
    #[error("there is no task {task}; `journeyman tasks` lists them")]
    NoSuchTask {
        /// The name that was given.
        task: TaskId,
    },
    /// A task of this name was submitted before.
    #[error("there is a task {task} already; choose another name, or leave it out")]
    TaskExists {
        /// The name that was given.
        task: TaskId,
    },
    /// An idempotency key was used before, for something else.
    #[error(
        "the idempotency key was used for task {task}, with other content; use another key for another \
         task"
    )]
    KeyUsed {
        /// The task that the key stands for.
        task: TaskId,
    },
    /// Something that was given does not fit, or is larger than is taken.
    #[error(transparent)]
    Limit(#[from] LimitError),
    /// The task has ended.
    #[error("task {task} is {} already: nothing can be done to it any more; `retry` and `fork` make a new one of it", status.as_str())]
    Ended {
        /// The task.
        task: TaskId,
        /// How it ended.
        status: Status,
    },
    /// The task has no such module.
    #[error("task {task} has no module {given}: {known}")]
    NoModule {
        /// The task.
        task: TaskId,
        /// What was given.
        given: String,
        /// What there is.
        known: String,
    },
    /// Something else happened to the task at the same moment.
    #[error("something else happened to task {task} at the same moment; look at it and try again")]
    Conflict {
        /// The task.
        task: TaskId,
    },
    /// A tool is not there, or may not be called.
    #[error("{reason}")]
    NoTool {
        /// Which, and why.
        reason: String,
    },
    /// Nobody works on tasks here.
    #[error("tools are called where tasks are worked on: at a server, or while `run` goes on")]
    NoWorkers,
    /// The queue does not take it.
    #[error(transparent)]
    Refused(AdmissionError<StreamName>),
    /// The journal.
    #[error(transparent)]
    Journal(#[from] journeyman_journal::Error),
    /// What knows how a task is worked on.
    #[error(transparent)]
    Workflow(journeyman_workflow::Error),
    /// A helper thread died.
    #[error("a helper thread died: {0}")]
    Thread(#[from] tokio::task::JoinError),
}

impl From<journeyman_workflow::Error> for Error {
    /// What has a meaning for whoever asked is told as what it is.
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
    /// A field does not fit, for this reason.
    pub(crate) fn bad(field: &'static str, reason: impl Into<String>) -> Self {
        let reason = reason.into();
        Self::Limit(LimitError::Bad { field, reason })
    }
}

/// Whether a principal may do anything to tasks. Every call of `Tasks` that changes something begins with this.
///
/// # Errors
/// [`Error::MayNot`] of one that may only look.
pub fn check_may_change(principal: &Principal) -> Result<(), Error> {
    if principal.may_change() {
        return Ok(());
    }
    Err(Error::MayNot)
}
