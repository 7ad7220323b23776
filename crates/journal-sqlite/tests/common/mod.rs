//! What the tests of the `SQLite` engine share.
#![allow(dead_code)] // each test binary uses a part of it

use std::path::Path;
use std::sync::Arc;

use journeyman_event::SeededRandom;
use journeyman_journal::{Error, Journal};
use journeyman_journal_sqlite::Sqlite;
use tempfile::TempDir;

/// Opens a store for writing.
pub(crate) fn try_open(store: Sqlite) -> Result<Journal, Error> {
    Journal::open(Arc::new(store), &SeededRandom::new(1))
}

pub(crate) fn open(folder: &Path) -> Journal {
    try_open(Sqlite::new(folder.to_owned())).unwrap()
}

pub(crate) fn try_open_read_only(folder: &Path) -> Result<Journal, Error> {
    Journal::open_read_only(Arc::new(Sqlite::new(folder.to_owned())))
}

pub(crate) fn open_read_only(folder: &Path) -> Journal {
    try_open_read_only(folder).unwrap()
}

/// A new journal in a folder of its own, which lives as long as the first value.
pub(crate) fn fresh() -> (TempDir, Journal) {
    let folder = TempDir::new().unwrap();
    let journal = open(folder.path());
    (folder, journal)
}
