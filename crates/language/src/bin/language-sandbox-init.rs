//! The launcher of this crate's own tests; the product has a hidden sub-command that does the same.

use std::process::ExitCode;

fn main() -> ExitCode {
    journeyman_sandbox::init_main(std::env::args_os().skip(1))
}
