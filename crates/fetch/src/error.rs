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
    #[error("{what} failed: {output}; check the network and pip's settings, then try again")]
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
