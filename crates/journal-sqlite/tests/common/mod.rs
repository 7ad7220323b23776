//! What the tests of the `SQLite` engine share.
#![allow(dead_code)] // each test binary uses a part of it

use std::io;
use std::path::Path;
use std::sync::Arc;

use journeyman_crash_vfs::Disk;
use journeyman_event::SeededRandom;
use journeyman_journal::{Error, Journal};
use journeyman_journal_sqlite::{Sqlite, Vfs};
use rusqlite::{Connection, params};
use tempfile::TempDir;

/// A simulated disk for a store.
#[derive(Debug)]
struct Simulated(Disk);

impl Vfs for Simulated {
    fn name(&self) -> &str {
        self.0.vfs()
    }

    fn write_again(&self, file: &Path) -> io::Result<()> {
        self.0.write_again(file.to_str().unwrap())
    }
}

/// A store on a simulated disk.
pub(crate) fn on(disk: &Disk, folder: &Path) -> Sqlite {
    Sqlite::new(folder.to_owned()).vfs(Arc::new(Simulated(disk.clone())))
}

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

/// A connection that may break the rules of the store.
pub(crate) fn tamper(folder: &Path) -> Connection {
    let connection = Connection::open(folder.join("journal.db")).unwrap();
    connection
        .pragma_update(None, "foreign_keys", false)
        .unwrap();
    connection
}

pub(crate) fn line(connection: &Connection, sequence: u64) -> String {
    let sql = "SELECT line FROM events WHERE sequence = ?1";
    connection
        .query_row(sql, [sequence], |row| row.get(0))
        .unwrap()
}

pub(crate) fn set_line(connection: &Connection, sequence: u64, line: &str) {
    let sql = "UPDATE events SET line = ?2 WHERE sequence = ?1";
    assert_eq!(connection.execute(sql, params![sequence, line]).unwrap(), 1);
}
