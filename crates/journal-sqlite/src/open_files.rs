//! Tracks which database files this process has open.
//!
//! POSIX locks belong to a process: closing any descriptor of a file releases all locks that the process has on it
//! (fcntl(2); section 2.2 of sqlite.org/howtocorrupt.html). Another program that closes the database then considers
//! itself the last user and deletes the log. So a file is only read directly while `SQLite` does not have it open
//! in this process.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, Read};
use std::ops::{Deref, DerefMut};
use std::path::Path;
use std::sync::{Mutex, MutexGuard, PoisonError};

use rusqlite::Connection;

use crate::place::FileId;

/// The number of connections per file.
static OPEN: Mutex<BTreeMap<FileId, usize>> = Mutex::new(BTreeMap::new());

fn open() -> MutexGuard<'static, BTreeMap<FileId, usize>> {
    OPEN.lock().unwrap_or_else(PoisonError::into_inner)
}

/// A connection whose file counts as open until it is closed.
#[derive(Debug)]
pub(crate) struct TrackedConnection {
    // Closed before the file counts as closed.
    connection: Connection,
    _use: Use,
}

impl TrackedConnection {
    /// Opens a connection to a file.
    pub(crate) fn open<E>(
        file: &Path,
        open: impl FnOnce() -> Result<Connection, E>,
    ) -> Result<Self, E> {
        let in_use = Use::of(file);
        Ok(Self {
            connection: open()?,
            _use: in_use,
        })
    }
}

impl Deref for TrackedConnection {
    type Target = Connection;

    fn deref(&self) -> &Connection {
        &self.connection
    }
}

impl DerefMut for TrackedConnection {
    fn deref_mut(&mut self) -> &mut Connection {
        &mut self.connection
    }
}

/// Counts as a connection to a file while it lives.
#[derive(Debug)]
struct Use(Option<FileId>);

impl Use {
    fn of(file: &Path) -> Self {
        let id = FileId::of(file).ok();
        if let Some(id) = id {
            *open().entry(id).or_default() += 1;
        }
        Self(id)
    }
}

impl Drop for Use {
    fn drop(&mut self) {
        let Some(id) = self.0 else { return };
        let mut open = open();
        if let Some(count) = open.get_mut(&id) {
            *count -= 1;
            if *count == 0 {
                open.remove(&id);
            }
        }
    }
}

/// The first `len` bytes of a file, read directly; `None` while this process has it open.
pub(crate) fn beginning(file: &Path, len: usize) -> io::Result<Option<Vec<u8>>> {
    // Holding the lock keeps other threads from opening it while it is read.
    let open = open();
    if open.contains_key(&FileId::of(file)?) {
        return Ok(None);
    }
    let mut bytes = Vec::with_capacity(len);
    File::open(file)?.take(len as u64).read_to_end(&mut bytes)?;
    drop(open);
    Ok(Some(bytes))
}
