//! The input and output of a run. Plain data: no I/O, and no defaults that depend on the machine.

use std::ffi::OsString;
use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use crate::Level;

/// How to start our own executable again, so that it calls [`crate::init_main`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Launcher {
    /// The executable; in the product `std::env::current_exe()`.
    pub program: PathBuf,
    /// The arguments before those of this crate; in the product the hidden sub-command `sandbox-init`.
    pub arguments: Vec<OsString>,
}

/// The resource limits of a run. Each field says what happens when its limit is reached.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Limits {
    /// Real time for the whole run in milliseconds, including setup of the sandbox. When it is reached, all
    /// processes are killed: [`Exit::WallTime`].
    pub wall_ms_max: u64,
    /// Processor time of each process. When it is reached, the process gets SIGXCPU, and SIGKILL a second
    /// later.
    pub cpu_seconds_max: u64,
    /// Writable memory of each process (beyond it allocations fail, in Python with a `MemoryError`), and
    /// resident memory of all processes together (beyond it all are killed: [`Exit::Memory`]).
    pub memory_bytes_max: u64,
    /// The number of processes and threads. Beyond it, creating one fails.
    pub processes_max: u64,
    /// The size of any file written. Beyond it, writing fails.
    pub file_bytes_max: u64,
    /// The disk space that all processes may use in the working folder and the folder for temporary files, and
    /// the bytes they may write there in total, deleted files included. Beyond it all are killed:
    /// [`Exit::Disk`]. It is checked every 50 ms, so it can be exceeded by what is written in that time. More
    /// than 20,000 files, or folders nested more than 64 deep, count as exceeding it too.
    pub disk_bytes_max: u64,
    /// How many bytes of standard output are kept, and of standard error: the first and last half, with a mark
    /// in between. The rest is read and discarded, so a program with much output neither blocks nor fills our
    /// memory.
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

/// The options of a sandbox.
#[derive(Clone, Debug)]
pub struct SandboxOptions {
    /// How to start our own executable again.
    pub launcher: Launcher,
    /// The weakest acceptable level; below it the error is [`crate::Error::TooWeak`].
    pub minimum: Level,
    /// Files and folders, besides the system's own, that the code may read: the Python environments.
    pub readable: Vec<PathBuf>,
    /// The folder that will contain the tasks' folders. The probe uses it, so that a data folder which the
    /// sandbox's user cannot access is detected at start. `None` probes in the system's folder for temporary
    /// files.
    pub tasks: Option<PathBuf>,
    /// The limits of runs that specify none.
    pub limits: Limits,
    /// Probes only this level. For tests, and for users who want a particular one.
    pub only: Option<Level>,
}

impl SandboxOptions {
    /// Options that accept every level and grant no access beyond the system's folders.
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
    /// The absolute path of the executable.
    pub program: PathBuf,
    /// The arguments, without the program's name.
    pub arguments: Vec<OsString>,
    /// The absolute path of the task's folder. It is the command's working folder and `HOME`, and apart from a
    /// private folder for temporary files the only place it can write to. When we run as root, its owner
    /// becomes the sandbox's user.
    ///
    /// What the command leaves here is untrusted, including links: code that reads or writes here later,
    /// especially as root, must not follow links. It is simplest to use a new folder for every run.
    pub folder: PathBuf,
    /// Environment variables added to, or replacing, the small set that every command gets.
    pub environment: Vec<(String, String)>,
    /// The limits of this run, instead of those of [`SandboxOptions`].
    pub limits: Option<Limits>,
}

/// How a run ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Exit {
    /// The command exited with this code.
    Code(i32),
    /// A signal ended the command. At [`Level::Bubblewrap`] a command that exits with code 128 + n looks the
    /// same, because bubblewrap reports both alike.
    Signal(i32),
    /// The limit [`Limits::wall_ms_max`] was reached.
    WallTime,
    /// The processes used more than [`Limits::memory_bytes_max`].
    Memory,
    /// The processes wrote more than [`Limits::disk_bytes_max`].
    Disk,
    /// The caller's token was cancelled.
    Cancelled,
}

impl Exit {
    /// Whether the command exited with code 0.
    pub fn is_success(self) -> bool {
        self == Self::Code(0)
    }
}

/// The result of a run.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Output {
    /// How the run ended.
    pub exit: Exit,
    /// Standard output. Invalid UTF-8 is replaced.
    pub stdout: String,
    /// Standard error, treated the same way.
    pub stderr: String,
    /// Whether a part of either output was discarded.
    pub truncated: bool,
    /// Milliseconds from the start of the sandbox until all processes had ended.
    pub wall_ms: u64,
}
