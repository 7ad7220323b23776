//! What can go wrong with fetching: what happened, why, what to do.

use std::io;
use std::path::{Path, PathBuf};

use thiserror::Error;

/// Why something was not fetched.
#[derive(Debug, Error)]
pub enum Error {
    /// No Python that can make virtual environments.
    #[error(
        "no Python 3.9 or newer with the modules venv and ensurepip was found (tried: {tried}); \
         install one, on Debian and Ubuntu with `apt-get install python3 python3-venv`"
    )]
    NoPython {
        /// What was looked at and what was wrong with it.
        tried: String,
    },
    /// A command of Python's failed.
    #[error("{what} failed: {output}; {}", what_to_do(output))]
    Command {
        /// What was to be done.
        what: String,
        /// The end of what it printed.
        output: String,
    },
    /// What came is not what was meant.
    #[error(
        "{name} arrived with the SHA-256 {actual} instead of {expected}; it was removed, try again"
    )]
    Checksum {
        /// Its name.
        name: String,
        /// What was expected.
        expected: String,
        /// What came.
        actual: String,
    },
    /// A package that does not hold what it should.
    #[error(
        "the package {package} does not hold the part that it should ({reason}); it was removed, \
         try again"
    )]
    Package {
        /// Its name.
        package: String,
        /// What is wrong.
        reason: String,
    },
    /// Too little space for a file, before it is fetched.
    #[error(
        "{name} needs {needed} bytes in {} while it is fetched, and {available} are free; \
         free some, or choose another data folder",
        folder.display()
    )]
    NoSpace {
        /// The file.
        name: String,
        /// Where it was to go.
        folder: PathBuf,
        /// Bytes that it takes.
        needed: u64,
        /// Bytes that there are.
        available: u64,
    },
    /// A server cannot be reached, or broke off again and again.
    #[error(
        "{url} cannot be fetched ({reason}); check the network and its proxy settings, then try \
         again: what arrived is kept"
    )]
    Network {
        /// What was to be fetched.
        url: String,
        /// What the network said.
        reason: String,
    },
    /// A server does not give the file.
    #[error("{url} cannot be fetched: the server says {status}; check the address")]
    Refused {
        /// What was to be fetched.
        url: String,
        /// The HTTP status.
        status: u16,
    },
    /// A server gives something else.
    #[error("{url} is not what it should be: {reason}; check the address")]
    Content {
        /// What was fetched.
        url: String,
        /// What is wrong with it.
        reason: String,
    },
    /// A hub does not have it, or not for everyone.
    #[error(
        "{endpoint} does not give {what} (status {status}); check the name, and where it is not open \
         to all set HF_TOKEN"
    )]
    NotOnHub {
        /// The repository or file.
        what: String,
        /// The hub.
        endpoint: String,
        /// The HTTP status.
        status: u16,
    },
    /// Another process works on it.
    #[error("{what} is being fetched by another process; wait for it, or end it")]
    Busy {
        /// What.
        what: String,
    },
    /// The file system says no.
    #[error("cannot write {}: {source}; {needed}", path.display())]
    Io {
        /// What was to be written.
        path: PathBuf,
        /// Why not.
        source: io::Error,
        /// What it takes.
        needed: String,
    },
    /// A helper thread died.
    #[error("a helper thread died: {0}")]
    Thread(String),
}

/// What to do about a command of Python's that failed: as the operating system said why, where it did.
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
