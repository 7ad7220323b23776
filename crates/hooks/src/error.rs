//! The errors of hooks.

use thiserror::Error;

/// An error of a hook operation. Tasks are not affected.
#[derive(Debug, Error)]
pub enum Error {
    /// The outbox cannot be read or written.
    #[error(
        "the outbox of hooks {file} cannot be used ({reason}); deliveries wait until it can. If the file is \
         damaged, stop journeyman and move it away: its pending deliveries are then lost"
    )]
    Outbox {
        /// The path of the outbox.
        file: String,
        /// The error of the system or of `SQLite`.
        reason: String,
    },
    /// The hook does not exist.
    #[error("there is no hook {hook}; `journeyman hooks` lists them")]
    NoSuchHook {
        /// The given name.
        hook: String,
    },
    /// The journal cannot be read.
    #[error(transparent)]
    Journal(#[from] journeyman_journal::Error),
    /// A task's state cannot be loaded.
    #[error(transparent)]
    Workflow(#[from] journeyman_workflow::Error),
    /// A helper thread panicked.
    #[error("a helper thread panicked: {0}")]
    Thread(#[from] tokio::task::JoinError),
}
