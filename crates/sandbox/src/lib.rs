//! Runs untrusted code in a probed sandbox.
//!
//! Purpose: model-generated code runs here and nowhere else. Floor 2: this crate knows no events, no tasks, no
//! models, no language; its caller records what happened. It must never run a command outside of a level that was probed.
//!
//! # The ladder
//! 1. [`Level::Bubblewrap`]: own user, pid, network, ipc, uts and mount namespaces through `bwrap`, and everything of
//!    the next rung inside them.
//! 2. [`Level::Landlock`]: Landlock (files, TCP, signals, abstract sockets), seccomp, resource limits, a supervisor.
//! 3. Neither works, or only one below [`SandboxOptions::minimum`]: [`Error::TooWeak`], with each rung's finding.
//!
//! A rung counts as usable only after a Python program that tries to get out was run in it (`probe`).
//!
//! # The processes of a run
//! ```text
//! our process -> supervisor -> [bwrap -> its init ->] stage, which becomes the command
//!         socket      |                                 |
//!                     ends the whole tree when          limits, uid, Landlock, seccomp,
//!                     the socket closes                 then exec
//! ```
//! Supervisor and stage are our own executable again ([`Launcher`]), since nothing may run between fork and exec
//! without `unsafe`. The code of both is in `inside`. The socket is the supervisor's life line: it closes when we ask
//! for the end, when the future of [`Sandbox::run`] is dropped and when our process dies by whatever signal, and each
//! time the supervisor kills every descendant before it ends itself.

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
