//! The `SQLite` file: tables, settings of a connection, versions.

use std::path::{Path, PathBuf};
use std::time::Duration;

use rusqlite::{Connection, OpenFlags, params};

use crate::Error;

/// The oldest `SQLite` that is safe here, as its version number (3.51.3): older ones can corrupt a
/// database when a WAL is reset while another connection checkpoints.
pub const SQLITE_VERSION_MIN: i32 = 3_051_003;

/// `JRNY`: marks the file as a journal (`PRAGMA application_id`).
const APPLICATION_ID: i64 = 0x4a52_4e59;
/// The format that this version writes (`PRAGMA user_version`).
const FORMAT: i64 = 1;
const BUSY_TIMEOUT: Duration = Duration::from_secs(5);

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

/// Opens the file for the writer, and makes it if there is none.
pub(crate) fn open_writer(
    folder: &Path,
    bytes_max: Option<u64>,
    store_id: impl FnOnce() -> String,
) -> Result<Connection, Error> {
    check_library()?;
    let failed = |error: rusqlite::Error| Error::of_sqlite(folder, &error);
    // Without SQLITE_OPEN_URI: a folder's name is never read as a URI.
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE
        | OpenFlags::SQLITE_OPEN_CREATE
        | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let mut connection = Connection::open_with_flags(file_in(folder), flags).map_err(failed)?;
    settle(&connection).map_err(failed)?;
    // Looked at before anything is changed: it may be another program's.
    let is_new = is_empty(&connection).map_err(failed)?;
    if !is_new {
        check_format(&connection, folder)?;
    }
    connection
        .pragma_update(None, "journal_mode", "WAL")
        .map_err(failed)?;
    connection
        .pragma_update(None, "synchronous", "FULL")
        .map_err(failed)?;
    if is_new {
        create(&mut connection, folder, &store_id())?;
    }
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
    let failed = |error: rusqlite::Error| Error::of_sqlite(folder, &error);
    let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let connection = Connection::open_with_flags(file_in(folder), flags).map_err(failed)?;
    settle(&connection).map_err(failed)?;
    check_format(&connection, folder)?;
    Ok(connection)
}

fn settle(connection: &Connection) -> rusqlite::Result<()> {
    connection.busy_timeout(BUSY_TIMEOUT)?;
    connection.pragma_update(None, "foreign_keys", true)?;
    connection.pragma_update(None, "trusted_schema", false)?;
    connection.set_prepared_statement_cache_capacity(32);
    Ok(())
}

fn check_library() -> Result<(), Error> {
    if rusqlite::version_number() < SQLITE_VERSION_MIN {
        return Err(Error::OldSqlite {
            found: rusqlite::version().to_owned(),
        });
    }
    Ok(())
}

/// Whether nothing was ever stored in the file.
fn is_empty(connection: &Connection) -> rusqlite::Result<bool> {
    let format: i64 = connection.pragma_query_value(None, "user_version", |row| row.get(0))?;
    let tables: i64 =
        connection.query_row("SELECT count(*) FROM sqlite_schema", [], |row| row.get(0))?;
    Ok(format == 0 && tables == 0)
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

fn check_format(connection: &Connection, folder: &Path) -> Result<(), Error> {
    let failed = |error: rusqlite::Error| Error::of_sqlite(folder, &error);
    let pragma = |name: &str| -> Result<i64, Error> {
        connection
            .pragma_query_value(None, name, |row| row.get(0))
            .map_err(failed)
    };
    let (application, format) = (pragma("application_id")?, pragma("user_version")?);
    if application != APPLICATION_ID {
        let reason = format!("its application id is {application:#x}");
        return Err(Error::Corrupt {
            file: file_in(folder),
            reason,
        });
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
