//! Runs untrusted code in a probed sandbox.
//!
//! Purpose: model-generated code runs here and nowhere else. Floor 2: it knows no tasks and no models;
//! it uses only the shortage of `event`, and Python only for its probe. Its caller records what happened. No command runs
//! outside of a probed level.
//!
//! # Levels
//!
//! 1. [`Level::Bubblewrap`]: separate user, pid, network, ipc, uts and mount namespaces through `bwrap`, and
//!    everything of the next level inside them.
//! 2. [`Level::Landlock`]: Landlock (files, TCP, signals, abstract sockets), seccomp, resource limits, and a
//!    supervisor.
//! 3. If neither works, or only one below [`SandboxOptions::minimum`]: [`Error::TooWeak`], with the findings per
//!    level.
//!
//! A level counts as usable only after a Python program that tries to escape was run in it (`probe`).
//!
//! # The processes of a run
//!
//! ```text
//! our process -> supervisor -> [bwrap -> its init ->] stage, which becomes the command
//!         socket      |                                 |
//!                     ends the whole tree when          limits, uid, Landlock, seccomp,
//!                     the socket closes                 then exec
//! ```
//!
//! Supervisor and stage are our own executable started again ([`Launcher`]), because running code between fork and
//! exec would need `unsafe`. Their code is in `inside`. The socket tells the supervisor whether the run is still
//! wanted: it closes when we ask for the end, when the future of [`Sandbox::run`] is dropped, and when our process
//! dies for any reason. In each case the supervisor kills all descendants before it ends.

mod capture;
mod error;
mod inside;
mod level;
mod options;
mod ownership;
mod policy;
mod probe;
mod run;

pub use error::{Error, Result};
pub use inside::init_main;
pub use level::{Finding, Level, Probe};
pub use options::{Command, Exit, Launcher, Limits, Output, SandboxOptions};
pub use run::Sandbox;
