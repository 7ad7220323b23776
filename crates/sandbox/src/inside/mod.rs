//! The other side of the fork: what our executable does when it was started again as a sandbox's launcher.
//! Everything here is synchronous and single-threaded; no runtime, no tracing, nothing of the server may enter.

mod bubblewrap;
mod disk;
mod filesystem;
mod seccomp;
mod stage;
mod supervise;
mod tree;

use std::ffi::OsString;
use std::process::ExitCode;

pub(crate) use tree::threads_of_user;

/// First argument of the process that watches a run.
pub(crate) const SUPERVISE: &str = "supervise";
/// First argument of the process that locks itself in and becomes the command.
pub(crate) const STAGE: &str = "stage";

/// The main function of the launcher: the product's hidden sub-command `sandbox-init` calls it with the arguments that
/// follow the sub-command, before it starts any thread or opens anything.
pub fn init_main(arguments: impl IntoIterator<Item = OsString>) -> ExitCode {
    let role = arguments.into_iter().next();
    match role.as_deref().and_then(|role| role.to_str()) {
        Some(SUPERVISE) => supervise::main(),
        Some(STAGE) => stage::main(),
        _ => ExitCode::from(2),
    }
}
