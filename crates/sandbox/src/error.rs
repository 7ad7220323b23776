//! What can go wrong on our side of a run. A command that fails is no error: see `Exit`.

use std::path::PathBuf;

use journeyman_event::{is_shortage, names_shortage};

use crate::{Level, Probe};

/// The result of this crate's calls.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// Why there is no sandbox, or a run could not be made.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// No level, or only one below the minimum, works here.
    #[error(
        "untrusted code cannot be isolated well enough here: at least {minimum} is required, found {}\n{probe}\n\
         Install bubblewrap and allow user namespaces, use a kernel with Landlock (5.13 or newer), or accept a weaker \
         level in the settings",
        .probe.level.map_or_else(|| "nothing that works".to_owned(), |level| level.to_string())
    )]
    TooWeak {
        /// The least level asked for.
        minimum: Level,
        /// What was found.
        probe: Probe,
    },
    /// The command asked for makes no sense.
    #[error("cannot run {}: {reason}", .path.display())]
    BadCommand {
        /// The path that is wrong.
        path: PathBuf,
        /// What is wrong with it, and what to do.
        reason: String,
    },
    /// The sandbox could not be built around the command, so the command did not run.
    #[error("the {level} sandbox could not be set up, nothing was run: {reason}")]
    Setup {
        /// The level that was tried.
        level: Level,
        /// What failed, and what to do.
        reason: String,
    },
    /// The supervisor vanished; what the command did is unknown.
    #[error(
        "the supervisor of the sandboxed command ended without a report ({detail}); its outcome is unknown"
    )]
    SupervisorLost {
        /// What is known about its end.
        detail: String,
    },
    /// A process of the tree did not die.
    #[error("{remaining} sandboxed processes could not be killed within {waited_ms} ms")]
    NotDead {
        /// How many are left.
        remaining: usize,
        /// For how long it was tried.
        waited_ms: u64,
    },
    /// The operating system refused something on our side.
    #[error("cannot {action}: {source}")]
    Io {
        /// What was tried, with the path if there is one.
        action: String,
        /// What the system said.
        source: std::io::Error,
    },
}

impl Error {
    /// Whether the same run may succeed later without anything else being done: descriptors, memory,
    /// processes or space were short, or the supervisor was killed, as the kernel does for want of memory.
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
