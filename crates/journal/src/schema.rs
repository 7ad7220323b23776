//! The `SQLite` file: tables, settings of a connection, versions, rights. What stands in the rows is
//! no concern of this file.

use std::fs;
use std::io;
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::time::Duration;

use rusqlite::{Connection, OpenFlags, params};

use crate::Error;

/// The oldest `SQLite` that is safe here, as its version number (3.51.3): older ones can corrupt a
/// database when a WAL is reset while another connection checkpoints.
pub const SQLITE_VERSION_MIN: i32 = 3_051_003;

/// Others may pass through the folder (code runs below it as another user) but not list it.
const FOLDER_MODE: u32 = 0o711;
/// Because they may pass through, every file in it is closed to them.
pub(crate) const FILE_MODE: u32 = 0o600;

/// `JRNY`: marks the file as a journal (`PRAGMA application_id`).
const APPLICATION_ID: i64 = 0x4a52_4e59;
/// The format that this version writes (`PRAGMA user_version`).
const FORMAT: i64 = 1;
/// How long a connection waits for another process's lock, such as that of a user's `SQLite` tool.
const BUSY_TIMEOUT: Duration = Duration::from_secs(5);
/// Prepared statements kept per connection: there are fewer shapes of them.
const STATEMENTS_MAX: usize = 64;

/// `line` is the stored line, whose bytes are never made again; the other columns of `events` are
/// for finding it. A stream's revision and the store's head are those of the last lines.
const TABLES: &str = "
CREATE TABLE meta(key TEXT PRIMARY KEY, value TEXT NOT NULL) STRICT, WITHOUT ROWID;
CREATE TABLE streams(
    id INTEGER PRIMARY KEY,
    owner TEXT NOT NULL,
    task_id TEXT NOT NULL,
    revision INTEGER NOT NULL,
    sequence INTEGER NOT NULL,
    summary BLOB,
    UNIQUE(owner, task_id)
) STRICT;
CREATE INDEX streams_by_sequence ON streams(sequence);
CREATE INDEX streams_by_owner ON streams(owner, sequence);
CREATE TABLE events(
    sequence INTEGER PRIMARY KEY,
    stream INTEGER NOT NULL REFERENCES streams(id),
    revision INTEGER NOT NULL,
    event_id BLOB NOT NULL UNIQUE,
    kind TEXT NOT NULL,
    line TEXT NOT NULL
) STRICT;
CREATE INDEX events_by_stream ON events(stream, sequence);
CREATE TABLE blobs(
    id INTEGER PRIMARY KEY,
    owner TEXT NOT NULL,
    hash BLOB NOT NULL,
    bytes BLOB NOT NULL,
    UNIQUE(owner, hash)
) STRICT;
";

pub(crate) fn file_in(folder: &Path) -> PathBuf {
    folder.join("journal.db")
}

fn wal_in(folder: &Path) -> PathBuf {
    folder.join("journal.db-wal")
}

/// Makes the folder and its missing parents, durably: an event that was acknowledged must not
/// vanish with the folder it is in.
pub(crate) fn make_folder(folder: &Path) -> io::Result<()> {
    let missing: Vec<&Path> = folder
        .ancestors()
        .take_while(|folder| !folder.as_os_str().is_empty() && !folder.exists())
        .collect();
    for folder in missing.into_iter().rev() {
        fs::DirBuilder::new().mode(FOLDER_MODE).create(folder)?;
        // Whatever the umask takes away.
        fs::set_permissions(folder, fs::Permissions::from_mode(FOLDER_MODE))?;
        let parent = match folder.parent() {
            Some(parent) if !parent.as_os_str().is_empty() => parent,
            _ => Path::new("."),
        };
        fs::File::open(parent)?.sync_all()?;
    }
    Ok(())
}

/// Opens the file for the writer, and makes it if there is none.
pub(crate) fn open_or_create(
    folder: &Path,
    bytes_max: Option<u64>,
    store_id: impl FnOnce() -> String,
) -> Result<Connection, Error> {
    check_library()?;
    make_file(folder)?;
    let mut connection = open_file(folder)?;
    if is_blank(&connection, folder)? {
        configure(&connection, folder)?;
        create(&mut connection, folder, &store_id())?;
    }
    drop(connection);
    open_writer(folder, bytes_max)
}

/// Opens the file of a journal that exists for the writer.
pub(crate) fn open_writer(folder: &Path, bytes_max: Option<u64>) -> Result<Connection, Error> {
    let connection = open_file(folder)?;
    check_format(&connection, folder)?;
    configure(&connection, folder)?;
    let failed = |error: rusqlite::Error| Error::of_sqlite(folder, &error);
    if let Some(bytes) = bytes_max {
        let page: u64 = connection
            .pragma_query_value(None, "page_size", |row| row.get(0))
            .map_err(failed)?;
        let pages = i64::try_from(bytes / page.max(1)).unwrap_or(i64::MAX);
        connection
            .pragma_update_and_check(None, "max_page_count", pages, |_| Ok(()))
            .map_err(failed)?;
    }
    Ok(connection)
}

/// Opens the file for reading, beside a writer or without one.
pub(crate) fn open_reader(folder: &Path) -> Result<Connection, Error> {
    check_library()?;
    if !file_in(folder).exists() {
        return Err(Error::NoJournal {
            folder: folder.to_owned(),
        });
    }
    let failed = |error: rusqlite::Error| Error::of_sqlite(folder, &error);
    let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let connection = Connection::open_with_flags(file_in(folder), flags).map_err(failed)?;
    settle(&connection).map_err(failed)?;
    check_format(&connection, folder)?;
    Ok(connection)
}

/// Makes an empty file that is closed to others before anything is in it, and closes what is there.
/// An existing file is never opened here: closing it again would drop the locks that `SQLite` holds
/// on it elsewhere in this process (POSIX locks belong to the process).
fn make_file(folder: &Path) -> Result<(), Error> {
    let failed = |error: io::Error| Error::of_io(folder, &error);
    let (file, wal) = (file_in(folder), wal_in(folder));
    // SQLite would throw away a WAL that has no database, and with it what was acknowledged.
    let is_empty = |file: &Path| file.metadata().is_ok_and(|file| file.len() == 0);
    if (!file.exists() || is_empty(&file)) && wal.exists() && !is_empty(&wal) {
        let reason = "journal.db is missing or empty, and journal.db-wal beside it is not";
        return Err(Error::corrupt(folder, reason));
    }
    let made = fs::OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(FILE_MODE)
        .open(&file);
    match made {
        Ok(_) => return Ok(()),
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
        Err(error) => return Err(failed(error)),
    }
    for file in [file, wal, folder.join("journal.db-shm")] {
        let Ok(metadata) = file.metadata() else {
            continue;
        };
        if metadata.is_file() && metadata.permissions().mode() & 0o777 != FILE_MODE {
            fs::set_permissions(&file, fs::Permissions::from_mode(FILE_MODE)).map_err(failed)?;
        }
    }
    Ok(())
}

fn open_file(folder: &Path) -> Result<Connection, Error> {
    let failed = |error: rusqlite::Error| Error::of_sqlite(folder, &error);
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let connection = Connection::open_with_flags(file_in(folder), flags).map_err(failed)?;
    settle(&connection).map_err(failed)?;
    Ok(connection)
}

/// What holds for every connection.
fn settle(connection: &Connection) -> rusqlite::Result<()> {
    connection.busy_timeout(BUSY_TIMEOUT)?;
    connection.pragma_update(None, "foreign_keys", true)?;
    connection.pragma_update(None, "trusted_schema", false)?;
    connection.set_prepared_statement_cache_capacity(STATEMENTS_MAX);
    Ok(())
}

/// What holds for the writer: every commit is synced. Checkpoints are the writer's own, because
/// those that `SQLite` makes by itself keep their errors to themselves.
fn configure(connection: &Connection, folder: &Path) -> Result<(), Error> {
    let failed = |error: rusqlite::Error| Error::of_sqlite(folder, &error);
    let mode: String = connection
        .pragma_update_and_check(None, "journal_mode", "WAL", |row| row.get(0))
        .map_err(failed)?;
    if mode != "wal" {
        return Err(Error::NotWritable {
            folder: folder.to_owned(),
            reason: format!("its file system allows no WAL, only the journal mode {mode}"),
        });
    }
    for (pragma, value) in [("synchronous", "FULL"), ("fullfsync", "ON")] {
        connection
            .pragma_update(None, pragma, value)
            .map_err(failed)?;
    }
    connection
        .pragma_update_and_check(None, "wal_autocheckpoint", 0, |_| Ok(()))
        .map_err(failed)
}

fn check_library() -> Result<(), Error> {
    if rusqlite::version_number() < SQLITE_VERSION_MIN {
        return Err(Error::OldSqlite {
            found: rusqlite::version().to_owned(),
        });
    }
    Ok(())
}

/// Whether the file is new. A database of something else is an error and is left as it is.
fn is_blank(connection: &Connection, folder: &Path) -> Result<bool, Error> {
    let (application, format) = identity(connection, folder)?;
    if (application, format) != (0, 0) {
        return Ok(false);
    }
    let tables: i64 = connection
        .query_row("SELECT count(*) FROM sqlite_schema", [], |row| row.get(0))
        .map_err(|error| Error::of_sqlite(folder, &error))?;
    if tables > 0 {
        return Err(Error::corrupt(folder, "it holds other tables"));
    }
    Ok(true)
}

fn create(connection: &mut Connection, folder: &Path, store_id: &str) -> Result<(), Error> {
    let failed = |error: rusqlite::Error| Error::of_sqlite(folder, &error);
    let transaction = connection.transaction().map_err(failed)?;
    transaction.execute_batch(TABLES).map_err(failed)?;
    transaction
        .execute(
            "INSERT INTO meta(key, value) VALUES('store_id', ?1)",
            params![store_id],
        )
        .map_err(failed)?;
    transaction
        .pragma_update(None, "application_id", APPLICATION_ID)
        .map_err(failed)?;
    transaction
        .pragma_update(None, "user_version", FORMAT)
        .map_err(failed)?;
    transaction.commit().map_err(failed)
}

/// Application id and format.
fn identity(connection: &Connection, folder: &Path) -> Result<(i64, i64), Error> {
    let pragma = |name: &str| -> Result<i64, Error> {
        connection
            .pragma_query_value(None, name, |row| row.get(0))
            .map_err(|error| Error::of_sqlite(folder, &error))
    };
    Ok((pragma("application_id")?, pragma("user_version")?))
}

fn check_format(connection: &Connection, folder: &Path) -> Result<(), Error> {
    let (application, format) = identity(connection, folder)?;
    if application != APPLICATION_ID {
        let reason = format!("its application id is {application:#x}");
        return Err(Error::corrupt(folder, reason));
    }
    if format > FORMAT {
        return Err(Error::Newer {
            file: file_in(folder),
            found: format,
            known: FORMAT,
        });
    }
    Ok(())
}

/// The store's own name, drawn once when it was made.
pub(crate) fn store_id(connection: &Connection, folder: &Path) -> Result<String, Error> {
    connection
        .query_row("SELECT value FROM meta WHERE key = 'store_id'", [], |row| {
            row.get(0)
        })
        .map_err(|error| Error::of_sqlite(folder, &error))
}
