//! What can go wrong with a task that is not the task's own affair.

use std::io;
use std::path::{Path, PathBuf};

use journeyman_event::state::FoldError;
use journeyman_event::{ClockError, ContentHash, InvalidEvent, TaskId, is_shortage};
use thiserror::Error;

use crate::output::OutputError;

/// Why work on a task cannot go on now. What was recorded stays, and the task can be resumed.
#[derive(Debug, Error)]
pub enum Error {
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
    /// The journal.
    #[error(transparent)]
    Journal(#[from] journeyman_journal::Error),
    /// The model server.
    #[error(transparent)]
    Model(#[from] journeyman_llm::Error),
    /// Running code.
    #[error(transparent)]
    Run(#[from] journeyman_language::Error),
    /// An event was refused.
    #[error(transparent)]
    Event(#[from] InvalidEvent),
    /// A vector clock is at its end.
    #[error(transparent)]
    Clock(#[from] ClockError),
    /// A history that cannot be folded.
    #[error(transparent)]
    Fold(#[from] FoldError),
    /// A blob that an event cites is not in the journal.
    #[error(
        "the journal has no text {hash}, which an event cites; run `journeyman journal verify`"
    )]
    MissingBlob {
        /// Its name.
        hash: ContentHash,
    },
    /// A message role that is not known.
    #[error("the journal has a message of the unknown role {0:?}")]
    BadRole(String),
    /// An effect was to be performed and none is open.
    #[error("no effect is open: a defect in journeyman, please report it")]
    NoEffect,
    /// The task was started with a strategy that this version does not have.
    #[error(
        "the task was started with the strategy {name:?}, which this version of journeyman does not have; go on with the version that started it"
    )]
    NoSuchStrategy {
        /// Its name.
        name: String,
    },
    /// The folder that code runs in.
    #[error("cannot prepare {}: {source}; check the space and rights of the data folder", path.display())]
    Work {
        /// What was to be written.
        path: PathBuf,
        /// Why not.
        source: io::Error,
    },
    /// The result cannot be written for the moment.
    #[error(transparent)]
    Output(#[from] OutputError),
    /// A helper thread died.
    #[error("a helper thread died: {0}")]
    Thread(#[from] tokio::task::JoinError),
}

impl Error {
    /// Whether it may be better later without anything else being done: descriptors, memory, processes or
    /// space are short, or a disk may not be written to. The one place where that is decided: such an
    /// error lets a task rest for a moment, every other one ends it.
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
