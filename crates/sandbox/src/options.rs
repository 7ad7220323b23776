//! What a caller says before a run and gets after it. Plain data: no I/O, no defaults that depend on the machine.

use std::ffi::OsString;
use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use crate::Level;

/// How to start our own executable again, so that it calls [`crate::init_main`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Launcher {
    /// The executable; in the product `std::env::current_exe()`.
    pub program: PathBuf,
    /// What comes before the arguments of this crate; in the product the hidden sub-command `sandbox-init`.
    pub arguments: Vec<OsString>,
}

/// The bounds of one run. What happens at each bound is part of its description.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Limits {
    /// Real time for the whole run, start of the sandbox included; beyond it the tree is killed: [`Exit::WallTime`].
    pub wall_ms_max: u64,
    /// Processor time of each process; beyond it that process gets SIGXCPU, a second later SIGKILL.
    pub cpu_seconds_max: u64,
    /// Writable memory of each process (allocations fail beyond it, in Python a `MemoryError`) and resident memory of
    /// the whole tree together (beyond it the tree is killed: [`Exit::Memory`]).
    pub memory_bytes_max: u64,
    /// Processes and threads; creating one more fails.
    pub processes_max: u64,
    /// Size of any file written; writing beyond it fails.
    pub file_bytes_max: u64,
    /// What the whole tree may hold in its folder and its folder for temporary files, and what it may write there in all,
    /// deleted files included (beyond it the tree is killed: [`Exit::Disk`]). It is looked at every 50 ms, so what can be
    /// written in that time comes on top; 20,000 files, or folders nested more than 64 deep, count as beyond it too.
    pub disk_bytes_max: u64,
    /// What is kept of standard output, and the same of standard error: the first and the last half of it, with a mark
    /// between. The rest is read and dropped, so a chatty program neither blocks nor fills our memory.
    pub output_bytes_max: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            wall_ms_max: 60_000,
            cpu_seconds_max: 60,
            memory_bytes_max: 1 << 30,
            processes_max: 64,
            file_bytes_max: 64 << 20,
            disk_bytes_max: 512 << 20,
            output_bytes_max: 256 << 10,
        }
    }
}

/// What a sandbox is made of.
#[derive(Clone, Debug)]
pub struct SandboxOptions {
    /// How to start our own executable again.
    pub launcher: Launcher,
    /// The weakest level that is acceptable; below it [`crate::Error::TooWeak`].
    pub minimum: Level,
    /// Files and folders, outside of the system's own, that the code may read: the Python environments.
    pub readable: Vec<PathBuf>,
    /// The folder that will hold the tasks' folders. The probe works in it, so that a data folder which the sandbox's
    /// user cannot reach is found at start; `None` probes in the system's folder for temporary files.
    pub tasks: Option<PathBuf>,
    /// The bounds of a run that brings none of its own.
    pub limits: Limits,
    /// Try this level only; for tests, and for people who want one.
    pub only: Option<Level>,
}

impl SandboxOptions {
    /// Options that accept every level of the ladder and grant nothing beyond the system's folders.
    pub fn new(launcher: Launcher) -> Self {
        Self {
            launcher,
            minimum: Level::Landlock,
            readable: Vec::new(),
            tasks: None,
            limits: Limits::default(),
            only: None,
        }
    }
}

/// A command to run.
#[derive(Clone, Debug)]
pub struct Command {
    /// The executable, by its absolute path.
    pub program: PathBuf,
    /// Its arguments, without its own name.
    pub arguments: Vec<OsString>,
    /// The task's folder, by its absolute path: the command's working folder and `HOME`, and the only place, apart from
    /// a private folder for temporary files, where it can write. When we run as root it is given to the sandbox's user.
    ///
    /// What the command leaves here is untrusted, links included: whoever writes or reads in it later, as root even, must
    /// not follow links. A fresh folder for every run is the simple way.
    pub folder: PathBuf,
    /// Variables in addition to, or instead of, the small set every command gets.
    pub environment: Vec<(String, String)>,
    /// The bounds of this run, instead of those of [`SandboxOptions`].
    pub limits: Option<Limits>,
}

/// How a run ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Exit {
    /// The command ended by itself with this code.
    Code(i32),
    /// A signal ended the command. At [`Level::Bubblewrap`] a command that ends itself with code 128 + n looks the same:
    /// bubblewrap reports both alike.
    Signal(i32),
    /// [`Limits::wall_ms_max`] passed.
    WallTime,
    /// The tree held more than [`Limits::memory_bytes_max`].
    Memory,
    /// The tree wrote more than [`Limits::disk_bytes_max`].
    Disk,
    /// The caller's token was cancelled.
    Cancelled,
}

impl Exit {
    /// Whether the command ended by itself and said that all is well.
    pub fn is_success(self) -> bool {
        self == Self::Code(0)
    }
}

/// What a run left behind.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Output {
    /// How it ended.
    pub exit: Exit,
    /// Standard output; what is no UTF-8 is replaced.
    pub stdout: String,
    /// Standard error, likewise.
    pub stderr: String,
    /// Whether a part of either was dropped.
    pub truncated: bool,
    /// Real time from the start of the sandbox until nothing of the tree was left.
    pub wall_ms: u64,
}
