//! The `SQLite` file: tables, settings of a connection, versions.

use std::fmt::Write;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use journeyman_event::Sequence;
use rusqlite::config::DbConfig;
use rusqlite::types::FromSql;
use rusqlite::{Connection, ErrorCode, OpenFlags, params};

use crate::high_water_mark::Acknowledged;
use crate::open_files::TrackedConnection;
use crate::place::{FolderContent, Place};
use crate::read;
use journeyman_journal::Error;
use journeyman_journal::Summary;

/// The oldest `SQLite` that is safe here, as its version number (3.51.3): older ones can corrupt a
/// database when a WAL is reset while another connection checkpoints.
pub const SQLITE_VERSION_MIN: i32 = 3_051_003;

/// `JRNY`: marks the file as a journal (`PRAGMA application_id`).
pub(crate) const APPLICATION_ID: i64 = 0x4a52_4e59;
/// The format that this version writes (`PRAGMA user_version`).
const FORMAT: i64 = 4;
/// The first format, which had no snapshots.
const FIRST_FORMAT: i64 = 1;
/// The first format with snapshots; it had no hashes of summaries.
const SNAPSHOTS_FORMAT: i64 = 2;
/// The first with hashes of summaries, without erasures.
const HASHES_FORMAT: i64 = 3;
/// What `PRAGMA synchronous` answers for FULL.
const SYNCHRONOUS_FULL: i64 = 2;
/// What `PRAGMA auto_vacuum` answers for INCREMENTAL: free pages can be given back a few at a time.
const INCREMENTAL: i64 = 2;
/// The maximum size in bytes of a store that is rewritten when it is opened. That takes about a second.
const REWRITTEN_BYTES_MAX: u64 = 128 << 20;
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
/// States that were worked out from a stream up to an event: kept to save time, never needed.
const SNAPSHOTS: &str = "
CREATE TABLE snapshots(
    id INTEGER PRIMARY KEY,
    stream INTEGER NOT NULL REFERENCES streams(id),
    sequence INTEGER NOT NULL,
    event_hash BLOB NOT NULL,
    bytes_hash BLOB NOT NULL,
    bytes BLOB NOT NULL,
    UNIQUE(stream, sequence)
) STRICT;
";

/// `erasure` is the position of the event that records the erasure of a stream. A blob is loose if an erased line cited
/// it, and it is not known yet whether another line cites it.
const ERASURES: &str = "
ALTER TABLE streams ADD COLUMN erasure INTEGER;
CREATE TABLE loose_blobs(
    owner TEXT NOT NULL,
    hash BLOB NOT NULL,
    PRIMARY KEY(owner, hash)
) STRICT, WITHOUT ROWID;
";

/// Opens the file for the writer, and makes the store in it if that was begun.
pub(crate) fn open_writer(place: &Place, new_store_id: &str) -> Result<TrackedConnection, Error> {
    let acknowledged = place.acknowledged();
    check_alone(place, acknowledged)?;
    let mut connection = connect(
        place,
        OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_CREATE,
    )?;
    let failed = |error: rusqlite::Error| place.failed(&error);
    // Until it is known to be sound nothing is changed, not even by closing it: that would bring its
    // log into it.
    keep_log(&connection, true).map_err(failed)?;
    let is_new = is_empty(&connection).map_err(failed)?;
    if is_new && !place.is_being_made() {
        return Err(place.remains("journal.db has no tables"));
    }
    if !is_new {
        check_format(&connection, place)?;
        read::probe_tables(&connection).map_err(failed)?;
        read::sound_head(&connection).map_err(failed)?;
        check_same(&connection, place, acknowledged)?;
    }
    if is_new {
        // Before the file has its first page. The pragma writes it, as durably as the pages after it.
        let set = |name, value| connection.pragma_update(None, name, value);
        set("synchronous", "EXTRA").map_err(failed)?;
        set("auto_vacuum", "INCREMENTAL").map_err(failed)?;
    }
    write_safely(&connection, place)?;
    if is_new {
        create(&mut connection, new_store_id).map_err(failed)?;
    }
    if !is_new && is_older(&connection).map_err(failed)? {
        empty_log(&connection, place)?;
    }
    upgrade(&mut connection).map_err(failed)?;
    rewrite(&connection, place)?;
    limit(&connection, place, 0).map_err(failed)?;
    place.end_making();
    keep_log(&connection, false).map_err(failed)?;
    Ok(connection)
}

/// Whether closing the last connection leaves the log as it is.
fn keep_log(connection: &Connection, keep: bool) -> rusqlite::Result<()> {
    connection
        .set_db_config(DbConfig::SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, keep)
        .map(|_| ())
}

/// Opens the file for the writer once more. It must be there, with what it had.
pub(crate) fn open_again(place: &Place) -> Result<TrackedConnection, Error> {
    let mut connection = connect(place, OpenFlags::SQLITE_OPEN_READ_WRITE)?;
    check_format(&connection, place)?;
    let failed = |error: rusqlite::Error| place.failed(&error);
    write_safely(&connection, place)?;
    upgrade(&mut connection).map_err(failed)?;
    limit(&connection, place, 0).map_err(failed)?;
    Ok(connection)
}

/// Opens the file for reading, beside a writer or without one.
pub(crate) fn open_reader(place: &Place) -> Result<Reader, Error> {
    place.same_database()?;
    if place.look()? == FolderContent::Nothing {
        return Err(Error::NoStore {
            store: place.folder_name(),
        });
    }
    // Before the file is opened: a writer may go on meanwhile.
    let acknowledged = place.acknowledged();
    check_alone(place, acknowledged)?;
    let flags = OpenFlags::SQLITE_OPEN_READ_ONLY;
    let opened = connect(place, flags).and_then(|connection| {
        check_format(&connection, place)?;
        check_newest(&connection, place, acknowledged)?;
        Ok(connection)
    });
    match opened {
        Ok(connection) => Ok(Reader {
            connection,
            may_be_kept: true,
        }),
        // SQLite wants to make files beside it, and may not or has no space: where there is no log the file alone is
        // everything.
        Err(Error::NotWritable { .. } | Error::Full { .. } | Error::Held { .. })
            if place.is_at_rest() =>
        {
            let connection = open_immutable(place)?;
            check_format(&connection, place)?;
            check_newest(&connection, place, acknowledged)?;
            Ok(Reader {
                connection,
                may_be_kept: false,
            })
        }
        Err(error) => Err(error),
    }
}

/// That a file without a log has all that was acknowledged in it. `SQLite` would make a new log beside it.
fn check_alone(place: &Place, acknowledged: Option<Acknowledged>) -> Result<(), Error> {
    if acknowledged.is_none() || !place.has_no_log() {
        return Ok(());
    }
    let alone = open_immutable(place)?;
    check_newest(&alone, place, acknowledged)
}

/// That the store does not end before the newest event that was acknowledged. Where its tables do not agree
/// on where it ends it is damaged, which is told where that is read.
fn check_newest(
    connection: &Connection,
    place: &Place,
    acknowledged: Option<Acknowledged>,
) -> Result<(), Error> {
    let Some(Acknowledged { sequence, .. }) = acknowledged else {
        return Ok(());
    };
    let last = read::last_sequence(connection).map_err(|error| place.failed(&error))?;
    if last >= sequence {
        return Ok(());
    }
    Err(lost(place, sequence))
}

/// That it is the event that was acknowledged, and not another one, before anything is written behind it.
fn check_same(
    connection: &Connection,
    place: &Place,
    acknowledged: Option<Acknowledged>,
) -> Result<(), Error> {
    let Some(Acknowledged { sequence, hash }) = acknowledged else {
        return Ok(());
    };
    let found = read::hash_at(connection, sequence).map_err(|error| place.failed(&error))?;
    if found == Some(hash) {
        return Ok(());
    }
    Err(lost(place, sequence))
}

fn lost(place: &Place, sequence: Sequence) -> Error {
    place.remains(&format!(
        "event {sequence} was acknowledged and is missing: its log journal.db-wal was deleted, cut short or \
         replaced, or journal.db was; to go on with what is left, delete journal.last"
    ))
}

/// Opens a file that has no writer and no log, without creating any file beside it.
fn open_immutable(place: &Place) -> Result<TrackedConnection, Error> {
    let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_URI;
    connect_to(place, &immutable(place), flags)
}

/// A connection that reads.
#[derive(Debug)]
pub(crate) struct Reader {
    pub(crate) connection: TrackedConnection,
    /// Whether it may be used again. An immutable one may not, because it would not notice a new writer.
    pub(crate) may_be_kept: bool,
}

/// The file as a URI with `immutable=1`, by which SQLite takes it for a file without writers.
fn immutable(place: &Place) -> PathBuf {
    let mut uri = String::from("file:");
    for &byte in place.file.as_os_str().as_bytes() {
        if byte.is_ascii_alphanumeric() || b"/._-".contains(&byte) {
            uri.push(char::from(byte));
        } else {
            let _ = write!(uri, "%{byte:02X}"); // a String takes everything
        }
    }
    uri.push_str("?immutable=1");
    uri.into()
}

/// Without `SQLITE_OPEN_URI`: a folder's name is not read as a URI.
fn connect(place: &Place, access: OpenFlags) -> Result<TrackedConnection, Error> {
    connect_to(place, &place.file, access)
}

fn connect_to(place: &Place, name: &Path, access: OpenFlags) -> Result<TrackedConnection, Error> {
    if rusqlite::version_number() < SQLITE_VERSION_MIN {
        return Err(Error::OldSqlite {
            found: rusqlite::version().to_owned(),
        });
    }
    let flags = access | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let open = || match &place.vfs {
        None => Connection::open_with_flags(name, flags),
        Some(vfs) => Connection::open_with_flags_and_vfs(name, flags, vfs.name()),
    };
    TrackedConnection::open(&place.file, open)
        .and_then(|connection| settle(&connection).map(|()| connection))
        .map_err(|error| place.failed(&error))
}

/// Makes every acknowledged commit survive a loss of power. Where `SQLite` cannot change the mode of a
/// file, it may say so in its answer, or only after it: and in the older mode the last commit can be
/// lost.
fn write_safely(connection: &Connection, place: &Place) -> Result<(), Error> {
    let settle = || {
        // Until then SQLite keeps a journal beside the file, and only EXTRA makes its deletion durable:
        // one that comes back would undo everything since.
        connection.pragma_update(None, "synchronous", "EXTRA")?;
        let mode = last_answer::<String>(connection, "PRAGMA journal_mode = WAL")?;
        connection.pragma_update(None, "synchronous", "FULL")?;
        // Deleted and replaced data is overwritten with zeros, so that nothing of it stays in the file.
        last_answer::<i64>(connection, "PRAGMA secure_delete = ON")?;
        let synchronous = last_answer::<i64>(connection, "PRAGMA synchronous")?;
        Ok((mode, synchronous))
    };
    let settled = settle().map_err(|error| place.failed(&error))?;
    if settled == (Some("wal".to_owned()), Some(SYNCHRONOUS_FULL)) {
        return Ok(());
    }
    Err(Error::NotWritable {
        store: place.folder_name(),
        reason: format!("SQLite stays at {settled:?} for its modes journal_mode and synchronous"),
    })
}

/// What a statement answers, once it was run to its end: only then its errors are known.
fn last_answer<T: FromSql>(connection: &Connection, sql: &str) -> rusqlite::Result<Option<T>> {
    let mut statement = connection.prepare(sql)?;
    let mut rows = statement.query([])?;
    let mut answer = None;
    while let Some(row) = rows.next()? {
        answer = Some(row.get(0)?);
    }
    Ok(answer)
}

/// Brings everything in the log into the file and begins the log anew. Fails with [`Error::Held`] while another program
/// reads.
pub(crate) fn empty_log(connection: &Connection, place: &Place) -> Result<(), Error> {
    if flush_log(connection, place)? {
        return Ok(());
    }
    Err(Error::Held {
        store: place.folder_name(),
    })
}

/// Makes everything in the log durable, and begins the log anew unless another program reads. Returns whether it did.
///
/// A log that a dead process left may end in a commit whose flush had failed: it can be read (it is
/// in the page cache), but the disk may never have got it, and a later flush does not write it
/// again. What is appended behind it would be lost with it when the power goes, and a part of it that survives would
/// be laid over the file: so it is written once more before. Where it then stays, what is appended behind it is safe.
pub(crate) fn flush_log(connection: &Connection, place: &Place) -> Result<bool, Error> {
    place.begin_write();
    place
        .write_log_again()
        .map_err(|error| place.failed_io(&error))?;
    // The log may hold an erasure of a former process that returned space.
    let shrinking = place.shrink();
    let checkpoint = || -> rusqlite::Result<(bool, u64)> {
        let busy = last_answer::<bool>(connection, "PRAGMA wal_checkpoint(TRUNCATE)")?;
        Ok((busy == Some(false), length(connection)?))
    };
    let (is_empty, length) = checkpoint().map_err(|error| place.failed(&error))?;
    shrinking.end(length, is_empty);
    Ok(is_empty)
}

/// Limits the file to its maximum size plus `reserve` bytes.
pub(crate) fn limit(connection: &Connection, place: &Place, reserve: u64) -> rusqlite::Result<()> {
    let Some(bytes) = place.bytes_max else {
        return Ok(());
    };
    let bytes = bytes.saturating_add(reserve);
    let page: u64 = connection.pragma_query_value(None, "page_size", |row| row.get(0))?;
    let pages = i64::try_from(bytes / page.max(1)).unwrap_or(i64::MAX);
    connection.pragma_update_and_check(None, "max_page_count", pages, |_| Ok(()))
}

fn settle(connection: &Connection) -> rusqlite::Result<()> {
    connection.busy_timeout(BUSY_TIMEOUT)?;
    connection.pragma_update(None, "foreign_keys", true)?;
    connection.pragma_update(None, "trusted_schema", false)?;
    connection.set_prepared_statement_cache_capacity(32);
    Ok(())
}

/// Whether nothing was ever stored in the file.
fn is_empty(connection: &Connection) -> rusqlite::Result<bool> {
    let format: i64 = connection.pragma_query_value(None, "user_version", |row| row.get(0))?;
    let tables: i64 =
        connection.query_row("SELECT count(*) FROM sqlite_schema", [], |row| row.get(0))?;
    Ok(format == 0 && tables == 0)
}

fn create(connection: &mut Connection, store_id: &str) -> rusqlite::Result<()> {
    let transaction = connection.transaction()?;
    transaction.execute_batch(TABLES)?;
    transaction.execute(
        "INSERT INTO meta(key, value) VALUES('store_id', ?1)",
        params![store_id],
    )?;
    transaction.pragma_update(None, "application_id", APPLICATION_ID)?;
    transaction.pragma_update(None, "user_version", FIRST_FORMAT)?;
    transaction.commit()
}

/// Whether the file has an older format than this version's.
fn is_older(connection: &Connection) -> rusqlite::Result<bool> {
    let found: i64 = connection.pragma_query_value(None, "user_version", |row| row.get(0))?;
    Ok(found < FORMAT)
}

/// Brings a file of an older format to this version's.
fn upgrade(connection: &mut Connection) -> rusqlite::Result<()> {
    let found: i64 = connection.pragma_query_value(None, "user_version", |row| row.get(0))?;
    if found == FORMAT {
        return Ok(());
    }
    let transaction = connection.transaction()?;
    if found < SNAPSHOTS_FORMAT {
        transaction.execute_batch(SNAPSHOTS)?;
    }
    if found < HASHES_FORMAT {
        transaction.execute_batch("ALTER TABLE streams ADD COLUMN summary_hash BLOB")?;
        hash_summaries(&transaction)?;
    }
    transaction.execute_batch(ERASURES)?;
    transaction.pragma_update(None, "user_version", FORMAT)?;
    transaction.commit()
}

/// Rewrites the whole file if that is due and the file is small. It is due for a store of an older version, which cannot
/// return space and did not overwrite replaced data, and after an erasure, because `SQLite` may leave copies of rows in
/// pages that it merged. For larger stores `journeyman journal compact` does it. If there is no disk space for it, or
/// another program uses the file, the store is used without it.
fn rewrite(connection: &Connection, place: &Place) -> Result<(), Error> {
    let failed = |error: rusqlite::Error| place.failed(&error);
    let is_small = bytes(connection).map_err(failed)? <= REWRITTEN_BYTES_MAX;
    if !is_small || !is_rewriting_due(connection).map_err(failed)? {
        return Ok(());
    }
    // What a dead process left in the log is not known to be on the disk: nothing is written behind it.
    let emptied = empty_log(connection, place);
    match emptied.and_then(|()| write_anew(connection).map_err(failed)) {
        Err(error @ (Error::Full { .. } | Error::NotWritable { .. } | Error::Held { .. })) => {
            tracing::warn!(%error, "the journal's file was not rewritten; it is used as it is");
            Ok(())
        }
        written => written,
    }
}

fn is_rewriting_due(connection: &Connection) -> rusqlite::Result<bool> {
    let auto_vacuum: i64 = connection.pragma_query_value(None, "auto_vacuum", |row| row.get(0))?;
    let was_erased = connection
        .prepare("SELECT 1 FROM meta WHERE key = 'erased'")?
        .exists([])?;
    Ok(auto_vacuum != INCREMENTAL || was_erased)
}

/// Rewrites the whole file, without free pages, and in the mode in which free pages can be returned one by one.
pub(crate) fn write_anew(connection: &Connection) -> rusqlite::Result<()> {
    if bytes(connection)? <= REWRITTEN_BYTES_MAX {
        connection.pragma_update(None, "temp_store", "MEMORY")?; // not in a directory for temporary files
    }
    connection.pragma_update(None, "auto_vacuum", INCREMENTAL)?;
    connection.execute_batch("VACUUM")?;
    connection.execute("DELETE FROM meta WHERE key = 'erased'", [])?;
    Ok(())
}

/// The size of the file in bytes after a full checkpoint, without its free pages.
pub(crate) fn bytes(connection: &Connection) -> rusqlite::Result<u64> {
    let pragma = |name: &str| -> rusqlite::Result<u64> {
        connection.pragma_query_value(None, name, |row| row.get(0))
    };
    let pages = pragma("page_count")?.saturating_sub(pragma("freelist_count")?);
    Ok(pages * pragma("page_size")?)
}

/// Returns some free pages. The result is whether there were any. The file becomes shorter at the next checkpoint.
pub(crate) fn give_back(connection: &Connection, pages: u32) -> rusqlite::Result<bool> {
    let free = || -> rusqlite::Result<u64> {
        connection.pragma_query_value(None, "freelist_count", |row| row.get(0))
    };
    let before = free()?;
    if before == 0 {
        return Ok(false);
    }
    let mut statement = connection.prepare(&format!("PRAGMA incremental_vacuum({pages})"))?;
    let mut rows = statement.query([])?;
    while rows.next()?.is_some() {} // each is a page
    drop(rows);
    // In a store of an older version, free pages stay and are reused.
    Ok(free()? < before)
}

/// Copies the log into the file and truncates the log, unless a reader still uses the log. The result is whether it
/// was done. It does not wait for readers.
pub(crate) fn cut_log(connection: &Connection) -> rusqlite::Result<bool> {
    connection.busy_timeout(Duration::ZERO)?;
    let busy = last_answer::<bool>(connection, "PRAGMA wal_checkpoint(TRUNCATE)");
    connection.busy_timeout(BUSY_TIMEOUT)?;
    match busy {
        Ok(busy) => Ok(busy == Some(false)),
        Err(error) if error.sqlite_error_code() == Some(ErrorCode::DatabaseBusy) => Ok(false),
        Err(error) => Err(error),
    }
}

/// The length of the file in bytes after a full checkpoint.
pub(crate) fn length(connection: &Connection) -> rusqlite::Result<u64> {
    let pragma = |name: &str| -> rusqlite::Result<u64> {
        connection.pragma_query_value(None, name, |row| row.get(0))
    };
    Ok(pragma("page_count")? * pragma("page_size")?)
}

/// What lists show was written without a hash: it is taken as it is.
fn hash_summaries(connection: &Connection) -> rusqlite::Result<()> {
    let mut streams = connection
        .prepare("SELECT id, owner, task_id, summary FROM streams WHERE summary IS NOT NULL")?;
    let mut update = connection.prepare("UPDATE streams SET summary_hash = ?2 WHERE id = ?1")?;
    let mut rows = streams.query([])?;
    while let Some(row) = rows.next()? {
        let (owner, task) = (row.get_ref(1)?.as_str()?, row.get_ref(2)?.as_str()?);
        let hash = Summary::hash_of(owner, task, row.get_ref(3)?.as_blob()?);
        update.execute(params![row.get::<_, i64>(0)?, hash.as_bytes()])?;
    }
    Ok(())
}

fn check_format(connection: &Connection, place: &Place) -> Result<(), Error> {
    let pragma = |name: &str| -> Result<i64, Error> {
        connection
            .pragma_query_value(None, name, |row| row.get(0))
            .map_err(|error| place.failed(&error))
    };
    let (application, format) = (pragma("application_id")?, pragma("user_version")?);
    if application != APPLICATION_ID {
        return Err(place.corrupt(format!("its application id is {application:#x}")));
    }
    if format > FORMAT {
        return Err(Error::Newer {
            store: place.name.clone(),
            found: format,
            known: FORMAT,
        });
    }
    Ok(())
}
