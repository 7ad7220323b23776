//! The code that runs in our executable when it is started again as the launcher of a sandbox. It is synchronous
//! and single-threaded: no async runtime, no tracing, and nothing of the server.

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

/// The first argument of the process that supervises a run.
pub(crate) const SUPERVISE: &str = "supervise";
/// The first argument of the process that confines itself and becomes the command.
pub(crate) const STAGE: &str = "stage";

/// The main function of the launcher. The product's hidden sub-command `sandbox-init` calls it with its
/// arguments, before it starts any thread or opens any file.
pub fn init_main(arguments: impl IntoIterator<Item = OsString>) -> ExitCode {
    let role = arguments.into_iter().next();
    match role.as_deref().and_then(|role| role.to_str()) {
        Some(SUPERVISE) => supervise::main(),
        Some(STAGE) => stage::main(),
        _ => ExitCode::from(2),
    }
}
