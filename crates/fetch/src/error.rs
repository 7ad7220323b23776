//! The errors of this crate: what happened, why, and what to do.

use std::io;
use std::path::{Path, PathBuf};

use thiserror::Error;

/// Why something could not be fetched.
#[derive(Debug, Error)]
pub enum Error {
    /// No Python was found that can create virtual environments.
    #[error(
        "no Python 3.9 or newer with the modules venv and ensurepip was found (tried: {tried}); \
         install one, on Debian and Ubuntu with `apt-get install python3 python3-venv`"
    )]
    NoPython {
        /// The interpreters tried, and what was wrong with each.
        tried: String,
    },
    /// A Python command failed.
    #[error("{what} failed: {output}; {}", what_to_do(output))]
    Command {
        /// What the command was to do.
        what: String,
        /// The end of its output.
        output: String,
    },
    /// A file does not have the expected checksum.
    #[error(
        "{name} arrived with the SHA-256 {actual} instead of {expected}; it was removed, try again"
    )]
    Checksum {
        /// The name of the file.
        name: String,
        /// The expected checksum.
        expected: String,
        /// The checksum of what was received.
        actual: String,
    },
    /// A package does not contain what it should.
    #[error(
        "the package {package} does not contain the expected file ({reason}); it was removed, \
         try again"
    )]
    Package {
        /// The name of the package.
        package: String,
        /// What is wrong with it.
        reason: String,
    },
    /// The disk has too little space for a file. Detected before the download.
    #[error(
        "{name} needs {needed} bytes in {} while it is fetched, and {available} are free; \
         free some, or choose another data folder",
        folder.display()
    )]
    NoSpace {
        /// The name of the file.
        name: String,
        /// The folder it was to be stored in.
        folder: PathBuf,
        /// The bytes needed.
        needed: u64,
        /// The bytes available.
        available: u64,
    },
    /// A server could not be reached, or the connection broke repeatedly.
    #[error(
        "{url} cannot be fetched ({reason}); check the network and its proxy settings, then try \
         again: what arrived is kept"
    )]
    Network {
        /// The URL requested.
        url: String,
        /// The reason given by the network stack.
        reason: String,
    },
    /// A server refused to send the file.
    #[error("{url} cannot be fetched: the server says {status}; check the address")]
    Refused {
        /// The URL requested.
        url: String,
        /// The HTTP status code.
        status: u16,
    },
    /// A server sent something other than the file.
    #[error("{url} is not what it should be: {reason}; check the address")]
    Content {
        /// The URL requested.
        url: String,
        /// What is wrong with the content.
        reason: String,
    },
    /// A hub does not have the file or repository, or requires permission.
    #[error(
        "{endpoint} refuses {what} (status {status}); check the name, and set HF_TOKEN if the repository \
         is private"
    )]
    NotOnHub {
        /// The repository or file.
        what: String,
        /// The base URL of the hub.
        endpoint: String,
        /// The HTTP status code.
        status: u16,
    },
    /// Another process is working on the same thing.
    #[error("{what} is being fetched by another process; wait for it, or end it")]
    Busy {
        /// What the other process is working on.
        what: String,
    },
    /// A file system error.
    #[error("cannot write {}: {source}; {needed}", path.display())]
    Io {
        /// The path that could not be used.
        path: PathBuf,
        /// The error of the operating system.
        source: io::Error,
        /// What the operation needs, and so what to check.
        needed: String,
    },
    /// A helper thread panicked.
    #[error("a helper thread panicked: {0}")]
    Thread(String),
}

/// Advice for a failed Python command, based on the operating system's error if there was one.
fn what_to_do(output: &str) -> &'static str {
    let says = |words: &[&str]| words.iter().any(|word| output.contains(word));
    if says(&[
        "No space left on device",
        "Errno 28]",
        "quota exceeded",
        "Errno 122]",
    ]) {
        "the disk or the quota is full: free some space in the data folder and in that of temporary files, then \
         try again"
    } else if says(&["Read-only file system", "Errno 30]"]) {
        "the folder cannot be written to: choose another one with --data-dir, or another one of temporary files \
         with TMPDIR"
    } else if says(&["Permission denied", "Errno 13]"]) {
        "check the rights in the data folder and in that of temporary files, then try again"
    } else {
        "check the network and pip's settings, then try again"
    }
}

impl Error {
    pub(crate) fn io(path: &Path, source: io::Error) -> Self {
        let needed = "check the space and the rights there".to_owned();
        Self::Io {
            path: path.to_owned(),
            source,
            needed,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_system_said_of_a_failed_command_says_what_to_do() {
        for (output, advice) in [
            (
                "OSError: [Errno 28] No space left on device",
                "free some space",
            ),
            (
                "OSError: [Errno 122] Disk quota exceeded: 'x'",
                "free some space",
            ),
            (
                "OSError: [Errno 30] Read-only file system: 'x'",
                "--data-dir",
            ),
            (
                "PermissionError: [Errno 13] Permission denied",
                "check the rights",
            ),
            ("Could not find a version", "check the network"),
        ] {
            let error = Error::Command {
                what: "installing".to_owned(),
                output: output.to_owned(),
            };
            let told = error.to_string();
            assert!(told.contains(advice), "{told}");
            assert_eq!(
                told.contains("network"),
                advice.contains("network"),
                "{told}"
            );
        }
    }
}
