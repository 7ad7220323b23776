//! The command line: parses arguments, wires the parts together, and prints. Contains no logic of other crates.

mod activity;
mod background_sink;
mod cli;
mod client;
mod commands;
mod descriptors;
mod embedding;
mod environment;
mod event_text;
mod exit;
mod holder;
mod log;
mod output;
mod port_file;
mod printer;
mod progress;
mod reader;
#[cfg(test)]
mod reference;
mod settings;
mod signals;
mod socket;
mod space;
mod text_format;
mod text_style;
mod usage;
mod wiring;

use std::process::ExitCode;

fn main() -> ExitCode {
    // The sandbox starts this program again inside itself; nothing else may happen before that.
    let mut args = std::env::args_os().skip(1);
    let first = args.next();
    if first
        .as_ref()
        .is_some_and(|first| first == wiring::SANDBOX_COMMAND)
    {
        return journeyman_sandbox::init_main(args);
    }
    if first.is_some_and(|first| first == wiring::ENGINE_COMMAND) {
        return commands::supervise_engine(args);
    }
    descriptors::raise();
    match cli::parse(std::env::args_os()).and_then(commands::run) {
        Ok(code) => code.into(),
        Err(error) => exit::report(&error),
    }
}
