//! What can go wrong with an evaluation.

use std::path::PathBuf;

use thiserror::Error;

/// Why an evaluation cannot go on. What is finished is kept.
#[derive(Debug, Error)]
pub enum Error {
    /// A file or folder cannot be read or written.
    #[error("{}: {source}", path.display())]
    Io {
        /// Which.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// A data set is not in a known form.
    #[error("{} is no data set: {problem}", path.display())]
    Dataset {
        /// Which.
        path: PathBuf,
        /// What is wrong, and what would be right.
        problem: String,
    },
    /// The scorer failed.
    #[error("the scorer failed: {0}")]
    Scorer(String),
    /// The workflow stopped.
    #[error(transparent)]
    Agent(#[from] journeyman_workflow::Error),
    /// The model server stopped.
    #[error(transparent)]
    Model(#[from] journeyman_llm::Error),
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
