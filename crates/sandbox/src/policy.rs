//! What is said over the socket between us, the supervisor and the stage: one JSON line each way. No behaviour here.

use std::ffi::OsString;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::{Level, Limits};

/// The user and group that untrusted code gets when we are root: `nobody` on every system we know.
pub(crate) const NOBODY: u32 = 65_534;

/// Everything the supervisor and the stage need to know about one run.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Policy {
    pub(crate) level: Level,
    pub(crate) launcher: PathBuf,
    pub(crate) launcher_arguments: Vec<OsString>,
    pub(crate) program: PathBuf,
    pub(crate) arguments: Vec<OsString>,
    pub(crate) folder: PathBuf,
    /// The folder made for this run's temporary files at the Landlock level; bubblewrap has a mount for them.
    pub(crate) scratch: Option<PathBuf>,
    pub(crate) readable: Vec<PathBuf>,
    pub(crate) environment: Vec<(String, String)>,
    pub(crate) limits: Limits,
    /// The user id to become; `None` when we are not root and stay who we are.
    pub(crate) become_uid: Option<u32>,
    /// Processes and threads that the user of the run has already, which the system's limit counts in.
    pub(crate) processes_before: u64,
}

impl Policy {
    /// Where the command's temporary files go, as the command sees it.
    pub(crate) fn temporary(&self) -> &Path {
        self.scratch.as_deref().unwrap_or(Path::new("/tmp"))
    }
}

/// What the stage says to the supervisor.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum StageReport {
    /// Everything is in place; the next thing is the command itself.
    Ready { landlock_abi: Option<i32> },
    /// Something could not be put in place, or the command could not be started.
    Failed { reason: String },
}

/// What the supervisor says at the very end, when nothing of the tree is left.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Verdict {
    pub(crate) end: End,
    /// The interface version of Landlock in force; `None` if it is not.
    pub(crate) landlock_abi: Option<i32>,
}

/// How the command came to its end, seen by the supervisor.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum End {
    Code(i32),
    Signal(i32),
    Memory,
    Disk,
    /// The socket was closed on our side: time, cancellation, or we are dead.
    Stopped,
    /// It never started.
    NotStarted {
        reason: Option<String>,
    },
    /// Some processes survived everything.
    NotDead {
        remaining: usize,
        waited_ms: u64,
    },
}
