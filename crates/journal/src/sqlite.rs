//! The engine that keeps a journal in one `SQLite` file, which any `SQLite` tool can open: WAL,
//! every commit flushed to the disk, readers on connections of their own.

mod lock;
mod read;
mod schema;
mod write;

use std::fs;
use std::io;
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::sync::Mutex;

use bytes::Bytes;
use journeyman_event::{ContentHash, Owner, Revision, Sequence, TaskId};
use rusqlite::{Connection, ErrorCode, OptionalExtension, params};

use crate::Error;
use crate::engine::{Engine, Lines, Query, StreamName, Walker, Writer};
use crate::reader::{Head, Snapshot, StreamInfo};
use lock::Lock;
use schema::Reader;
pub use schema::SQLITE_VERSION_MIN;
use write::SqliteWriter;

/// Idle connections that are kept: as many as queries run at once.
const IDLE_MAX: usize = crate::handle::QUERIES_MAX;
/// Others may pass through the folder (code runs below it as another user) but not list it.
const FOLDER_MODE: u32 = 0o711;
const FILE_MODE: u32 = 0o600;

/// A store in a data folder.
#[derive(Debug)]
pub struct Sqlite {
    place: Place,
    /// Connections that read and have nothing to do.
    idle: Mutex<Vec<Reader>>,
}

/// Where the file is and how it is opened.
#[derive(Clone, Debug)]
struct Place {
    folder: PathBuf,
    file: PathBuf,
    bytes_max: Option<u64>,
    vfs: Option<String>,
}

impl Sqlite {
    /// The store in this folder. Nothing is opened yet.
    pub fn new(folder: PathBuf) -> Self {
        let file = folder.join("journal.db");
        Self {
            place: Place {
                folder,
                file,
                bytes_max: None,
                vfs: None,
            },
            idle: Mutex::default(),
        }
    }

    /// The largest size of the database file in bytes; past it appends answer [`Error::Full`].
    #[must_use]
    pub fn bytes_max(mut self, bytes_max: u64) -> Self {
        self.place.bytes_max = Some(bytes_max);
        self
    }

    /// Uses the `SQLite` VFS that is registered under this name instead of the system's, which is
    /// how tests let a disk fail.
    #[must_use]
    pub fn vfs(mut self, name: &str) -> Self {
        self.place.vfs = Some(name.to_owned());
        self
    }

    /// Whether there is a store.
    pub fn exists(&self) -> bool {
        self.place.file.exists()
    }

    /// Runs a query on a connection of its own.
    fn with<T>(&self, query: impl FnOnce(&Connection) -> rusqlite::Result<T>) -> Result<T, Error> {
        let idle = self.idle.lock().ok().and_then(|mut idle| idle.pop());
        let reader = match idle {
            Some(reader) => reader,
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
    /// What an error of `SQLite` means for the journal.
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
        match error.sqlite_error_code() {
            Some(ErrorCode::DiskFull) => Error::Full {
                folder: self.folder.clone(),
            },
            Some(
                ErrorCode::ReadOnly
                | ErrorCode::PermissionDenied
                | ErrorCode::CannotOpen
                | ErrorCode::DatabaseLocked
                | ErrorCode::DatabaseBusy,
            ) => Error::NotWritable {
                folder: self.folder.clone(),
                reason,
            },
            Some(ErrorCode::NotADatabase | ErrorCode::DatabaseCorrupt) => self.corrupt(reason),
            _ => Error::Unknown { reason },
        }
    }

    /// Whether nobody has the file open for writing and everything is in it.
    fn is_at_rest(&self) -> bool {
        let beside = |end| {
            let mut name = self.file.clone().into_os_string();
            name.push(end);
            fs::metadata(name)
        };
        // A writer always has both beside it. Of another VFS nothing is known.
        self.vfs.is_none()
            && beside("-shm").is_err()
            && beside("-wal").map_or(true, |log| log.len() == 0)
    }

    fn failed_io(&self, error: &io::Error) -> Error {
        Error::of_io(&self.folder, error)
    }

    fn corrupt(&self, reason: String) -> Error {
        Error::Corrupt {
            file: self.file.clone(),
            reason,
        }
    }

    /// Makes the folder if there is none.
    fn make_folder(&self) -> io::Result<()> {
        if self.folder.exists() {
            return Ok(());
        }
        fs::DirBuilder::new()
            .recursive(true)
            .mode(FOLDER_MODE)
            .create(&self.folder)?;
        // Its entry must survive a power loss as surely as what is acknowledged in it.
        match self.folder.parent().filter(|parent| parent.is_dir()) {
            Some(parent) => fs::File::open(parent)?.sync_all(),
            None => Ok(()),
        }
    }

    /// Makes the file if there is none, and keeps others from it.
    fn make_file(&self) -> io::Result<()> {
        let made = fs::OpenOptions::new()
            .write(true)
            .create_new(true)
            .mode(FILE_MODE)
            .open(&self.file);
        match made {
            Ok(_) => Ok(()),
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
                if fs::metadata(&self.file)?.is_dir() {
                    return Err(io::ErrorKind::IsADirectory.into());
                }
                fs::set_permissions(&self.file, fs::Permissions::from_mode(FILE_MODE))
            }
            Err(error) => Err(error),
        }
    }
}

impl Engine for Sqlite {
    fn open_writer(&self, new_store_id: &str) -> Result<Box<dyn Writer>, Error> {
        let place = &self.place;
        place.make_folder().map_err(|e| place.failed_io(&e))?;
        let lock = Lock::take(&place.folder)?;
        // Before SQLite opens it: the files beside it take over its mode.
        place.make_file().map_err(|e| place.failed_io(&e))?;
        Ok(Box::new(SqliteWriter::open(place, lock, new_store_id)?))
    }

    fn holder(&self) -> Option<u32> {
        lock::holder(&self.place.folder)
    }

    fn place(&self) -> &Path {
        &self.place.file
    }

    fn store_id(&self) -> Result<String, Error> {
        self.with(|connection| {
            let sql = "SELECT value FROM meta WHERE key = 'store_id'";
            connection.query_row(sql, [], |row| row.get(0))
        })
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
    ) -> Result<Vec<StreamInfo>, Error> {
        let limit = i64::try_from(limit).unwrap_or(i64::MAX);
        self.with(|connection| {
            let mut statement = connection.prepare_cached(
                "SELECT owner, task_id, revision, sequence, summary FROM streams \
                 WHERE sequence < ?2 AND (?1 IS NULL OR owner = ?1) \
                 ORDER BY sequence DESC LIMIT ?3",
            )?;
            let meant = params![owner.map(Owner::as_str), read::integer(before.0), limit];
            let rows = statement.query_map(meant, |row| {
                let name = |column| row.get::<_, String>(column);
                Ok(StreamInfo {
                    owner: Owner::new(name(0)?).map_err(|e| read::damaged(&e.to_string()))?,
                    task_id: TaskId::new(name(1)?).map_err(|e| read::damaged(&e.to_string()))?,
                    revision: Revision(row.get(2)?),
                    sequence: Sequence(row.get(3)?),
                    summary: row.get(4)?,
                })
            })?;
            rows.collect()
        })
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
            let _ = read::walk(&transaction, walker)?;
            transaction.commit()
        })
    }
}
