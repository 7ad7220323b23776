//! The storage engine that keeps a journal in an `SQLite` file, which any `SQLite` tool can open: in WAL mode, with
//! every commit flushed to disk, and separate connections for readers.
//!
//! Floor 3, beside the journal whose lines it stores. It assigns no sequence numbers and checks no rules. Only this
//! crate knows the contents of a data folder: its files, its lock, and the remains of a damaged store.

mod high_water_mark;
mod lock;
mod open_files;
mod place;
mod read;
mod schema;
mod write;

use std::fmt::Debug;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};

use bytes::Bytes;
use journeyman_event::{ContentHash, Owner, Sequence};
use rusqlite::{Connection, ErrorCode, OptionalExtension, ffi, params};

use journeyman_journal::Error;
use journeyman_journal::{
    Engine, Holder, Lines, Query, READS_MAX, StreamName, StreamRow, Walker, Writer,
};
use journeyman_journal::{Head, Snapshot};
use lock::Lock;
use place::{FolderContent, Place};
use schema::Reader;
pub use schema::SQLITE_VERSION_MIN;
use write::SqliteWriter;

/// The most idle connections kept: as many as there are concurrent queries.
const IDLE_MAX: usize = READS_MAX;

/// A disk for a store: an `SQLite` VFS, and what the engine does to the VFS's files without `SQLite`.
pub trait Vfs: Debug + Send + Sync {
    /// The name under which it is registered with `SQLite`.
    fn name(&self) -> &str;

    /// Writes a file's bytes over themselves and syncs them. Does nothing if there is no such file.
    fn write_again(&self, file: &Path) -> io::Result<()>;
}

/// A store in a data folder.
#[derive(Debug)]
pub struct Sqlite {
    place: Place,
    /// Idle read connections.
    idle: Mutex<Vec<Reader>>,
}

impl Sqlite {
    /// The store in this folder. Opens nothing yet.
    pub fn new(folder: PathBuf) -> Self {
        Self {
            place: Place::new(folder),
            idle: Mutex::default(),
        }
    }

    /// The largest size of the database file in bytes. When it is reached, appends fail with [`Error::Full`].
    #[must_use]
    pub fn bytes_max(mut self, bytes_max: u64) -> Self {
        self.place.bytes_max = Some(bytes_max);
        self
    }

    /// Keeps the database on this disk instead of the system's, so that tests can simulate disk failures.
    #[must_use]
    pub fn vfs(mut self, vfs: Arc<dyn Vfs>) -> Self {
        self.place.vfs = Some(vfs);
        self
    }

    /// Whether there is a store. Changes nothing. Fails with [`Error::Remains`] if parts of a store are
    /// missing, and with [`Error::Corrupt`] if something else has its name.
    pub fn exists(&self) -> Result<bool, Error> {
        Ok(self.place.look()? == FolderContent::Store)
    }

    /// The process that holds the data folder for writing, if there is one; 0 if it is unknown.
    pub fn process(&self) -> Option<u32> {
        lock::process(&self.place.folder)
    }

    /// Runs a query on a read connection.
    fn with<T>(&self, query: impl FnOnce(&Connection) -> rusqlite::Result<T>) -> Result<T, Error> {
        let idle = self.idle.lock().ok().and_then(|mut idle| idle.pop());
        let reader = match idle {
            // While this process writes, what is open shows all that it acknowledged.
            Some(reader) if self.place.is_written() => reader,
            Some(reader) => {
                self.place.same_database()?;
                reader
            }
            None => schema::open_reader(&self.place)?,
        };
        let result = query(&reader.connection);
        if result.is_ok()
            && reader.may_be_kept
            && let Ok(mut idle) = self.idle.lock()
            && idle.len() < IDLE_MAX
        {
            idle.push(reader);
        }
        result.map_err(|error| self.place.failed(&error))
    }
}

impl Place {
    /// Converts an error of `SQLite` to one of the journal.
    fn failed(&self, error: &rusqlite::Error) -> Error {
        let reason = error.to_string();
        match error {
            // A row is not what this program writes.
            rusqlite::Error::FromSqlConversionFailure(..)
            | rusqlite::Error::InvalidColumnType(..)
            | rusqlite::Error::IntegralValueOutOfRange(..)
            | rusqlite::Error::Utf8Error(..)
            | rusqlite::Error::QueryReturnedNoRows => return self.corrupt(reason),
            _ => {}
        }
        let full = Error::Full {
            store: self.folder_name(),
        };
        if error.sqlite_error().map(|error| error.extended_code) == Some(ffi::SQLITE_IOERR_SHMSIZE)
        {
            return full; // no space for the index of the log
        }
        match error.sqlite_error_code() {
            Some(ErrorCode::DiskFull) => full,
            Some(ErrorCode::ReadOnly | ErrorCode::PermissionDenied | ErrorCode::CannotOpen) => {
                Error::NotWritable {
                    store: self.folder_name(),
                    reason,
                }
            }
            Some(ErrorCode::DatabaseLocked | ErrorCode::DatabaseBusy) => Error::Held {
                store: self.folder_name(),
            },
            Some(ErrorCode::NotADatabase | ErrorCode::DatabaseCorrupt) => self.corrupt(reason),
            _ => Error::Unknown { reason },
        }
    }
}

impl Engine for Sqlite {
    fn open_writer(&self, new_store_id: &str) -> Result<Box<dyn Writer>, Error> {
        let place = &self.place;
        place.make_folder().map_err(|e| place.failed_io(&e))?;
        let lock = Lock::take(&place.folder)?;
        let found = place.look()?;
        let prepared = match found {
            FolderContent::Nothing => place.begin_making(),
            FolderContent::Store => place.close_to_others(),
        };
        prepared.map_err(|e| place.failed_io(&e))?;
        Ok(Box::new(SqliteWriter::open(
            place,
            lock,
            found,
            new_store_id,
        )?))
    }

    fn holder(&self) -> Option<Holder> {
        self.process().map(lock::holder)
    }

    fn name(&self) -> &str {
        &self.place.name
    }

    fn obstacle(&self) -> Option<Error> {
        self.place.obstacle()
    }

    fn store_id(&self) -> Result<String, Error> {
        let id: String = self.with(|connection| {
            let sql = "SELECT value FROM meta WHERE key = 'store_id'";
            connection.query_row(sql, [], |row| row.get(0))
        })?;
        // 32 hexadecimal digits, in newer stores with a hyphen between them.
        let mut digits = id.bytes().filter(|&byte| byte != b'-');
        if digits.clone().count() == 32 && digits.all(|byte| byte.is_ascii_hexdigit()) {
            Ok(id)
        } else {
            Err(self.place.corrupt(format!("its name {id:?} was changed")))
        }
    }

    fn head(&self) -> Result<Head, Error> {
        self.with(read::read_head)
    }

    fn lines(&self, query: &Query<'_>) -> Result<Lines, Error> {
        self.with(|connection| read::read_lines(connection, query))
    }

    fn blob(&self, owner: &Owner, hash: ContentHash) -> Result<Option<Bytes>, Error> {
        self.with(|connection| read::find_blob(connection, owner, hash))
    }

    fn streams(
        &self,
        owner: Option<&Owner>,
        before: Sequence,
        limit: usize,
    ) -> Result<Vec<StreamRow>, Error> {
        self.with(|connection| read::read_streams(connection, owner, before, limit))
    }

    fn erasure(&self, stream: &StreamName) -> Result<Option<Sequence>, Error> {
        self.with(|connection| read::find_erasure(connection, stream))
    }

    fn loose_blobs(&self, limit: usize) -> Result<Vec<(Owner, ContentHash)>, Error> {
        self.with(|connection| read::loose_blobs(connection, limit))
    }

    fn bytes(&self) -> Result<u64, Error> {
        self.with(schema::bytes)
    }

    fn snapshot(&self, stream: &StreamName, at: Sequence) -> Result<Option<Snapshot>, Error> {
        self.with(|connection| {
            // A store that an older version made has none until it is written to.
            let sql = "SELECT 1 FROM sqlite_schema WHERE name = 'snapshots'";
            if !connection.prepare_cached(sql)?.exists([])? {
                return Ok(None);
            }
            connection
                .prepare_cached(
                    "SELECT n.sequence, n.event_hash, n.bytes_hash, n.bytes FROM snapshots n \
                     JOIN streams s ON s.id = n.stream \
                     WHERE s.owner = ?1 AND s.task_id = ?2 AND n.sequence <= ?3 \
                     ORDER BY n.sequence DESC LIMIT 1",
                )?
                .query_row(
                    params![
                        stream.owner.as_str(),
                        stream.task_id.as_str(),
                        read::integer(at.0)
                    ],
                    |row| {
                        Ok(Snapshot {
                            sequence: Sequence(row.get(0)?),
                            event_hash: ContentHash::from_bytes(row.get(1)?),
                            bytes_hash: ContentHash::from_bytes(row.get(2)?),
                            bytes: row.get::<_, Vec<u8>>(3)?.into(),
                        })
                    },
                )
                .optional()
        })
    }

    fn walk(&self, walker: &mut dyn Walker) -> Result<(), Error> {
        self.with(|connection| {
            // One transaction: the walk sees one moment of the store, whatever is written meanwhile.
            let transaction = connection.unchecked_transaction()?;
            read::probe_tables(&transaction)?;
            let _ = read::walk(&transaction, walker)?;
            transaction.commit()
        })
    }
}
