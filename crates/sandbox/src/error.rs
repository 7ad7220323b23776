//! The errors on our side of a run. A command that fails is not an error: see `Exit`.

use std::path::PathBuf;

use journeyman_event::{is_shortage, names_shortage};

use crate::{Level, Probe};

/// The result type of this crate.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// Why no sandbox is available, or why a run could not be made.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// No level works on this machine, or only levels below the required minimum.
    #[error(
        "untrusted code cannot be isolated well enough here: at least {minimum} is required, found {}\n{probe}\n\
         Install bubblewrap and allow user namespaces, use a kernel with Landlock (5.13 or newer), or accept a weaker \
         level in the settings",
        .probe.level.map_or_else(|| "nothing that works".to_owned(), |level| level.to_string())
    )]
    TooWeak {
        /// The lowest acceptable level.
        minimum: Level,
        /// The findings of the probe.
        probe: Probe,
    },
    /// The command is invalid.
    #[error("cannot run {}: {reason}", .path.display())]
    BadCommand {
        /// The invalid path.
        path: PathBuf,
        /// What is wrong, and what to do.
        reason: String,
    },
    /// The sandbox could not be set up, so the command did not run.
    #[error("the {level} sandbox could not be set up, nothing was run: {reason}")]
    Setup {
        /// The level that was tried.
        level: Level,
        /// What failed, and what to do.
        reason: String,
    },
    /// The supervisor process disappeared. It is unknown what the command did.
    #[error(
        "the supervisor of the sandboxed command ended without a report ({detail}); its outcome is unknown"
    )]
    SupervisorLost {
        /// What is known about the supervisor's end.
        detail: String,
    },
    /// A process of the run could not be killed.
    #[error("{remaining} sandboxed processes could not be killed within {waited_ms} ms")]
    NotDead {
        /// How many processes are left.
        remaining: usize,
        /// How long killing was tried, in milliseconds.
        waited_ms: u64,
    },
    /// An error of the operating system on our side.
    #[error("cannot {action}: {source}")]
    Io {
        /// The action that failed, with the path if there is one.
        action: String,
        /// The error of the operating system.
        source: std::io::Error,
    },
}

impl Error {
    /// Whether the same run may succeed later without any other action: file descriptors, memory, processes or
    /// disk space were short, or the supervisor was killed, as the kernel does when memory runs out.
    pub fn is_transient(&self) -> bool {
        match self {
            Self::Io { source, .. } => is_shortage(source),
            Self::Setup { reason, .. } => names_shortage(reason),
            Self::SupervisorLost { .. } => true,
            _ => false,
        }
    }

    pub(crate) fn io(action: impl Into<String>, source: impl Into<std::io::Error>) -> Self {
        Self::Io {
            action: action.into(),
            source: source.into(),
        }
    }
}
