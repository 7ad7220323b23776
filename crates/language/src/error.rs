//! The errors of languages, and those on our side of a run. Code that fails is not an error: see `TestOutcome`.

use std::path::PathBuf;

use journeyman_event::is_shortage;

/// The result type of this crate.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// Why code could not be run.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// No language has this name.
    #[error(
        "{name:?} cannot be written and run here; these can: {}",
        crate::names().join(", ")
    )]
    Unknown {
        /// The name that was given.
        name: String,
    },
    /// No runner for this language is available.
    #[error("no interpreter or compiler for {title} is ready here")]
    NotReady {
        /// The name of the language.
        title: &'static str,
    },
    /// The interpreter or compiler cannot be used.
    #[error("{} is not a usable interpreter: {reason}", .path.display())]
    Interpreter {
        /// The path of the program.
        path: PathBuf,
        /// What went wrong.
        reason: String,
    },
    /// An error of the operating system on our side.
    #[error("cannot {action}: {source}")]
    Io {
        /// The action that failed, with the path if there is one.
        action: String,
        /// What the system said.
        source: std::io::Error,
    },
    /// What runs a language could not be fetched or installed.
    #[error(transparent)]
    Fetch(#[from] journeyman_fetch::Error),
    /// The sandbox could not run a command.
    #[error(transparent)]
    Sandbox(#[from] journeyman_sandbox::Error),
}

impl Error {
    /// Whether the same run may succeed later without anything else being done: descriptors, memory,
    /// processes or space were short.
    pub fn is_transient(&self) -> bool {
        match self {
            Self::Unknown { .. }
            | Self::NotReady { .. }
            | Self::Interpreter { .. }
            | Self::Fetch(_) => false,
            Self::Io { source, .. } => is_shortage(source),
            Self::Sandbox(error) => error.is_transient(),
        }
    }

    pub(crate) fn io(action: impl Into<String>, source: impl Into<std::io::Error>) -> Self {
        Self::Io {
            action: action.into(),
            source: source.into(),
        }
    }
}
