//! The messages over the socket between us, the supervisor and the stage: one JSON line in each direction. Plain
//! data.

use std::ffi::OsString;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::{Level, Limits};

/// The user and group of untrusted code when we are root: `nobody` on all known systems.
pub(crate) const NOBODY: u32 = 65_534;

/// Everything the supervisor and the stage need to know about a run.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Policy {
    pub(crate) level: Level,
    pub(crate) launcher: PathBuf,
    pub(crate) launcher_arguments: Vec<OsString>,
    pub(crate) program: PathBuf,
    pub(crate) arguments: Vec<OsString>,
    pub(crate) folder: PathBuf,
    /// The folder created for this run's temporary files at the Landlock level; bubblewrap has a mount for
    /// them.
    pub(crate) scratch: Option<PathBuf>,
    pub(crate) readable: Vec<PathBuf>,
    pub(crate) environment: Vec<(String, String)>,
    pub(crate) limits: Limits,
    /// The user id to change to; `None` if we are not root and keep our own.
    pub(crate) become_uid: Option<u32>,
    /// The number of processes and threads that the run's user already has, because the system's limit includes
    /// them.
    pub(crate) processes_before: u64,
}

impl Policy {
    /// The folder for temporary files as the command sees it.
    pub(crate) fn temporary(&self) -> &Path {
        self.scratch.as_deref().unwrap_or(Path::new("/tmp"))
    }
}

/// A report from the stage to the supervisor.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum StageReport {
    /// The setup is complete, and the command starts next.
    Ready { landlock_abi: Option<i32> },
    /// A setup step failed, or the command could not be started.
    Failed { reason: String },
}

/// The final report of the supervisor, sent when all processes have ended.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Verdict {
    pub(crate) end: End,
    /// The Landlock ABI in force; `None` if Landlock is not used.
    pub(crate) landlock_abi: Option<i32>,
}

/// How the command ended, as seen by the supervisor.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum End {
    Code(i32),
    Signal(i32),
    Memory,
    Disk,
    /// The socket was closed on our side: a timeout, a cancellation, or our process died.
    Stopped,
    /// The command was not started.
    NotStarted {
        reason: Option<String>,
    },
    /// Some processes could not be killed.
    NotDead {
        remaining: usize,
        waited_ms: u64,
    },
}
