//! Errors of work on a task that the task did not cause.

use std::io;
use std::path::{Path, PathBuf};

use journeyman_event::state::FoldError;
use journeyman_event::{ClockError, ContentHash, InvalidEvent, TaskId, is_shortage};
use thiserror::Error;

use crate::output::OutputError;

/// Why work on a task cannot continue now. Everything recorded is kept, and the task can be resumed.
#[derive(Debug, Error)]
pub enum Error {
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
    /// An error of the journal.
    #[error(transparent)]
    Journal(#[from] journeyman_journal::Error),
    /// An error of the model server.
    #[error(transparent)]
    Model(#[from] journeyman_llm::Error),
    /// An error while running code.
    #[error(transparent)]
    Run(#[from] journeyman_language::Error),
    /// An event was invalid.
    #[error(transparent)]
    Event(#[from] InvalidEvent),
    /// A vector clock cannot be advanced.
    #[error(transparent)]
    Clock(#[from] ClockError),
    /// The history cannot be folded.
    #[error(transparent)]
    Fold(#[from] FoldError),
    /// A blob that an event refers to is missing from the journal.
    #[error(
        "the journal has no text {hash}, which an event cites; run `journeyman journal verify`"
    )]
    MissingBlob {
        /// The hash of the blob.
        hash: ContentHash,
    },
    /// An unknown message role.
    #[error("the journal has a message of the unknown role {0:?}")]
    BadRole(String),
    /// An effect was to be carried out, but none is open.
    #[error("no effect is open: a defect in journeyman, please report it")]
    NoEffect,
    /// The task was started with a strategy that this version does not have.
    #[error(
        "the task was started with the strategy {name:?}, which this version of journeyman does not have; go on with the version that started it"
    )]
    NoSuchStrategy {
        /// The name of the strategy.
        name: String,
    },
    /// The folder for running code could not be used.
    #[error("cannot prepare {}: {source}; check the space and rights of the data folder", path.display())]
    Work {
        /// The path in question.
        path: PathBuf,
        /// The error of the operating system.
        source: io::Error,
    },
    /// The result currently cannot be written.
    #[error(transparent)]
    Output(#[from] OutputError),
    /// A helper thread panicked.
    #[error("a helper thread panicked: {0}")]
    Thread(#[from] tokio::task::JoinError),
}

impl Error {
    /// Whether the error may disappear without any other action: file descriptors, memory, processes or disk
    /// space are short, or a disk is not writable. This is the only place that decides so. After such an error
    /// a task waits and tries again; every other error ends the work.
    pub fn is_transient(&self) -> bool {
        match self {
            Self::Journal(error) => error.is_transient(),
            Self::Run(error) => error.is_transient(),
            Self::Model(error) => error.is_shortage(),
            Self::Output(error) => error.is_transient(),
            Self::Work { source, .. } => {
                is_shortage(source) || source.kind() == io::ErrorKind::ReadOnlyFilesystem
            }
            _ => false,
        }
    }

    pub(crate) fn work(path: &Path, source: io::Error) -> Self {
        Self::Work {
            path: path.to_owned(),
            source,
        }
    }
}
