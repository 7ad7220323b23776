//! The errors of an evaluation.

use std::path::PathBuf;

use thiserror::Error;

/// Why an evaluation stopped. Finished results are kept.
#[derive(Debug, Error)]
pub enum Error {
    /// A file or folder could not be read or written.
    #[error("{}: {source}", path.display())]
    Io {
        /// The path of the file or folder.
        path: PathBuf,
        /// The error of the operating system.
        source: std::io::Error,
    },
    /// A data set has an unknown format.
    #[error("{} is not a data set: {problem}", path.display())]
    Dataset {
        /// The path of the data set.
        path: PathBuf,
        /// What is wrong, and what is expected.
        problem: String,
    },
    /// The scorer failed.
    #[error("the scorer failed: {0}")]
    Scorer(String),
    /// The workflow stopped with an error.
    #[error(transparent)]
    Agent(#[from] journeyman_workflow::Error),
    /// The model server stopped with an error.
    #[error(transparent)]
    Model(#[from] journeyman_llm::Error),
    /// A history for the retention benchmark is invalid.
    #[error("a made-up history is invalid: {0}")]
    History(String),
    /// Code could not be run.
    #[error(transparent)]
    Language(#[from] journeyman_language::Error),
    /// The sandbox failed.
    #[error(transparent)]
    Sandbox(#[from] journeyman_sandbox::Error),
}

impl Error {
    pub(crate) fn io(path: impl Into<PathBuf>, source: std::io::Error) -> Self {
        Self::Io {
            path: path.into(),
            source,
        }
    }
}
