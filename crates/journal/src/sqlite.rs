//! The engine that keeps a journal in one `SQLite` file, which any `SQLite` tool can open: WAL,
//! every commit flushed to the disk, readers on connections of their own.

mod lock;
mod schema;

use std::collections::HashMap;
use std::fs;
use std::io;
use std::ops::ControlFlow;
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};

use bytes::Bytes;
use journeyman_event::{ContentHash, ORIGIN_HASH, Owner, Revision, Sequence, TaskId};
use rusqlite::types::Value;
use rusqlite::{
    Connection, ErrorCode, OptionalExtension, Transaction, TransactionBehavior, ffi, params,
    params_from_iter,
};

use crate::Error;
use crate::engine::{
    Changes, Direction, Engine, Known, Lines, Query, Row, SNAPSHOTS_KEPT, StreamChange, StreamName,
    Walker, Wanted, Writer,
};
use crate::reader::{Head, Snapshot, StreamInfo};
use lock::Lock;
use schema::Reader;
pub use schema::SQLITE_VERSION_MIN;

/// Idle connections that are kept.
const IDLE_MAX: usize = 4;
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
        let mut writer = SqliteWriter {
            connection: Some(schema::open_writer(place, new_store_id)?),
            log_is_empty: false,
            place: place.clone(),
            _lock: lock,
        };
        // So that what can be read is safe. Where it cannot be done now, writing waits for it.
        if let Err(error) = writer.empty_log() {
            tracing::warn!(%error, "the journal's log was not brought into its file yet");
        }
        Ok(Box::new(writer))
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
        self.with(read_head)
    }

    fn lines(&self, query: &Query<'_>) -> Result<Lines, Error> {
        self.with(|connection| read_lines(connection, query))
    }

    fn blob(&self, owner: &Owner, hash: ContentHash) -> Result<Option<Bytes>, Error> {
        self.with(|connection| find_blob(connection, owner, hash))
    }

    fn streams(&self, owner: Option<&Owner>, limit: usize) -> Result<Vec<StreamInfo>, Error> {
        let limit = i64::try_from(limit).unwrap_or(i64::MAX);
        self.with(|connection| {
            let mut statement = connection.prepare_cached(
                "SELECT owner, task_id, revision, sequence, summary FROM streams \
                 WHERE ?1 IS NULL OR owner = ?1 ORDER BY sequence DESC LIMIT ?2",
            )?;
            let rows = statement.query_map(params![owner.map(Owner::as_str), limit], |row| {
                let name = |column| row.get::<_, String>(column);
                Ok(StreamInfo {
                    owner: Owner::new(name(0)?).map_err(|e| damaged(&e.to_string()))?,
                    task_id: TaskId::new(name(1)?).map_err(|e| damaged(&e.to_string()))?,
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
                        integer(at.0)
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
            let _ = walk(&transaction, walker)?;
            transaction.commit()
        })
    }
}

struct SqliteWriter {
    place: Place,
    /// None while it could not be opened again.
    connection: Option<Connection>,
    /// Whether nothing that another process left in the log is before what is written now.
    log_is_empty: bool,
    _lock: Lock,
}

impl SqliteWriter {
    fn with<T>(
        &mut self,
        work: impl FnOnce(&mut Connection) -> rusqlite::Result<T>,
    ) -> Result<T, Error> {
        let connection = self.connection.as_mut().ok_or_else(not_open)?;
        work(connection).map_err(|error| self.place.failed(&error))
    }

    /// Before the first write, see [`schema::empty_log`].
    fn empty_log(&mut self) -> Result<(), Error> {
        if !self.log_is_empty {
            let connection = self.connection.as_ref().ok_or_else(not_open)?;
            schema::empty_log(connection, &self.place)?;
            self.log_is_empty = true;
        }
        Ok(())
    }
}

impl Writer for SqliteWriter {
    fn head(&mut self) -> Result<Head, Error> {
        self.with(|connection| {
            let head = read_head(connection)?;
            let last: Option<u64> =
                connection.query_row("SELECT max(sequence) FROM streams", [], |row| row.get(0))?;
            if Sequence(last.unwrap_or(0)) != head.sequence {
                return Err(damaged("its newest events are missing"));
            }
            Ok(head)
        })
    }

    fn hash_at(&mut self, sequence: Sequence) -> Result<Option<ContentHash>, Error> {
        self.with(|connection| hash_at(connection, sequence))
    }

    fn write(
        &mut self,
        wanted: &Wanted,
        plan: &mut dyn FnMut(&Known) -> Changes,
    ) -> Result<(), Error> {
        self.empty_log()?;
        self.with(|connection| {
            let transaction =
                connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
            let (known, numbers) = look_up(&transaction, wanted)?;
            let changes = plan(&known);
            write(&transaction, &changes, &numbers)?;
            transaction.commit()
        })
    }

    fn keep_snapshot(&mut self, stream: &StreamName, snapshot: &Snapshot) -> Result<(), Error> {
        self.empty_log()?;
        self.with(|connection| {
            let transaction =
                connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
            let id: Option<i64> = transaction
                .prepare_cached("SELECT id FROM streams WHERE owner = ?1 AND task_id = ?2")?
                .query_row([stream.owner.as_str(), stream.task_id.as_str()], |row| {
                    row.get(0)
                })
                .optional()?;
            let Some(id) = id else {
                return Ok(());
            };
            transaction.execute(
                "INSERT OR REPLACE INTO snapshots(stream, sequence, event_hash, bytes_hash, bytes) \
                 VALUES(?1, ?2, ?3, ?4, ?5)",
                params![
                    id,
                    snapshot.sequence.0,
                    snapshot.event_hash.as_bytes(),
                    snapshot.bytes_hash.as_bytes(),
                    snapshot.bytes.as_ref()
                ],
            )?;
            transaction.execute(
                "DELETE FROM snapshots WHERE stream = ?1 AND sequence NOT IN \
                 (SELECT sequence FROM snapshots WHERE stream = ?1 \
                  ORDER BY sequence DESC LIMIT ?2)",
                params![id, SNAPSHOTS_KEPT],
            )?;
            transaction.commit()
        })
    }

    fn reopen(&mut self) -> Result<(), Error> {
        self.connection = None;
        match self.place.file.try_exists() {
            Ok(true) => {}
            Ok(false) => {
                return Err(Error::LostAcknowledged {
                    file: self.place.file.clone(),
                });
            }
            Err(error) => return Err(self.place.failed_io(&error)),
        }
        self.log_is_empty = false;
        self.connection = Some(schema::open_again(&self.place)?);
        Ok(())
    }
}

fn not_open() -> Error {
    Error::Unknown {
        reason: "it is not open".to_owned(),
    }
}

fn damaged(reason: &str) -> rusqlite::Error {
    rusqlite::Error::SqliteFailure(
        ffi::Error::new(ffi::SQLITE_CORRUPT),
        Some(reason.to_owned()),
    )
}

/// A position as `SQLite` counts; past its range is past every event.
fn integer(n: u64) -> i64 {
    i64::try_from(n).unwrap_or(i64::MAX)
}

fn read_head(connection: &Connection) -> rusqlite::Result<Head> {
    let last: Option<u64> =
        connection.query_row("SELECT max(sequence) FROM events", [], |row| row.get(0))?;
    let sequence = Sequence(last.unwrap_or(0));
    let hash = hash_at(connection, sequence)?.unwrap_or(ORIGIN_HASH);
    Ok(Head { sequence, hash })
}

fn hash_at(connection: &Connection, sequence: Sequence) -> rusqlite::Result<Option<ContentHash>> {
    if sequence == Sequence::ZERO {
        return Ok(Some(ORIGIN_HASH));
    }
    let line: Option<String> = connection
        .prepare_cached("SELECT line FROM events WHERE sequence = ?1")?
        .query_row([sequence.0], |row| row.get(0))
        .optional()?;
    let hash_of = |line: String| {
        journeyman_event::split_hash(&line)
            .map(|(_, hash)| hash)
            .ok_or_else(|| damaged("an event has no hash"))
    };
    line.map(hash_of).transpose()
}

fn find_blob(
    connection: &Connection,
    owner: &Owner,
    hash: ContentHash,
) -> rusqlite::Result<Option<Bytes>> {
    connection
        .prepare_cached("SELECT bytes FROM blobs WHERE owner = ?1 AND hash = ?2")?
        .query_row(params![owner.as_str(), hash.as_bytes()], |row| {
            row.get::<_, Vec<u8>>(0)
        })
        .optional()
        .map(|bytes| bytes.map(Bytes::from))
}

fn read_lines(connection: &Connection, query: &Query<'_>) -> rusqlite::Result<Lines> {
    let filter = query.filter;
    let mut conditions = String::new();
    let mut values: Vec<Value> = vec![Value::Integer(integer(query.position.0))];
    let mut and = |condition: String| {
        conditions.push_str(" AND ");
        conditions.push_str(&condition);
    };
    if let Some(until) = filter.until {
        values.push(Value::Integer(integer(until.0)));
        and(format!("e.sequence <= ?{}", values.len()));
    }
    if let Some(owner) = query.owner {
        values.push(Value::Text(owner.to_string()));
        and(format!("s.owner = ?{}", values.len()));
    }
    if let Some(task) = &filter.task_id {
        values.push(Value::Text(task.to_string()));
        and(format!("s.task_id = ?{}", values.len()));
    }
    if !filter.kinds.is_empty() {
        let from = values.len() + 1;
        values.extend(filter.kinds.iter().cloned().map(Value::Text));
        let places: Vec<String> = (from..=values.len()).map(|at| format!("?{at}")).collect();
        and(format!("e.kind IN ({})", places.join(",")));
    }
    // Within one stream its own index is walked, else the store in order: more than one owner may
    // have a task of this name, and only their common order is the store's.
    let one_stream = filter.task_id.is_some() && query.owner.is_some();
    let (comparison, order) = match (query.direction, one_stream) {
        (Direction::Forwards, true) => (">", "e.stream, e.sequence"),
        (Direction::Forwards, false) => (">", "e.sequence"),
        (Direction::Backwards, true) => ("<", "e.stream DESC, e.sequence DESC"),
        (Direction::Backwards, false) => ("<", "e.sequence DESC"),
    };
    values.push(Value::Integer(
        i64::try_from(query.lines_max).unwrap_or(i64::MAX),
    ));
    let sql = format!(
        "SELECT e.line FROM events e JOIN streams s ON s.id = e.stream \
         WHERE e.sequence {comparison} ?1{conditions} ORDER BY {order} LIMIT ?{}",
        values.len()
    );
    let mut statement = connection.prepare_cached(&sql)?;
    let mut rows = statement.query(params_from_iter(values))?;
    let (mut lines, mut bytes) = (Vec::new(), 0);
    while let Some(row) = rows.next()? {
        let line: Arc<str> = row.get(0)?;
        bytes += line.len();
        lines.push(line);
        if bytes >= query.bytes_max {
            break;
        }
    }
    let ended = lines.len() < query.lines_max && bytes < query.bytes_max;
    Ok(Lines { lines, ended })
}

/// The numbers of streams in this file.
type Numbers = HashMap<StreamName, i64>;

fn look_up(transaction: &Transaction<'_>, wanted: &Wanted) -> rusqlite::Result<(Known, Numbers)> {
    let (mut known, mut numbers) = (Known::default(), Numbers::new());
    let mut by_id = transaction.prepare_cached("SELECT line FROM events WHERE event_id = ?1")?;
    for id in &wanted.events {
        let line = by_id
            .query_row([id.as_bytes()], |row| row.get(0))
            .optional()?;
        known.events.extend(line.map(|line| (*id, line)));
    }
    let mut by_name = transaction
        .prepare_cached("SELECT id, revision FROM streams WHERE owner = ?1 AND task_id = ?2")?;
    for name in &wanted.streams {
        let found = by_name
            .query_row([name.owner.as_str(), name.task_id.as_str()], |row| {
                Ok((row.get(0)?, Revision(row.get(1)?)))
            })
            .optional()?;
        if let Some((number, revision)) = found {
            numbers.insert(name.clone(), number);
            known.streams.insert(name.clone(), revision);
        }
    }
    for (owner, hash) in &wanted.blobs {
        let bytes = find_blob(transaction, owner, *hash)?;
        known
            .blobs
            .extend(bytes.map(|bytes| ((owner.clone(), *hash), bytes)));
    }
    Ok((known, numbers))
}

fn write(
    transaction: &Transaction<'_>,
    changes: &Changes,
    numbers: &Numbers,
) -> rusqlite::Result<()> {
    let mut ids = HashMap::new();
    for (name, change) in &changes.streams {
        ids.insert(
            (&name.owner, &name.task_id),
            write_stream(transaction, name, change, numbers.get(name).copied())?,
        );
    }
    let mut insert = transaction.prepare_cached(
        "INSERT INTO events(sequence, stream, revision, event_id, kind, line) \
         VALUES(?1, ?2, ?3, ?4, ?5, ?6)",
    )?;
    for event in &changes.events {
        let stream = ids.get(&(event.owner(), event.task_id()));
        insert.execute(params![
            event.sequence().0,
            stream,
            event.revision().0,
            event.id().as_bytes(),
            event.kind(),
            event.line()
        ])?;
    }
    for ((owner, hash), bytes) in &changes.blobs {
        transaction
            .prepare_cached(
                "INSERT INTO blobs(owner, hash, bytes) VALUES(?1, ?2, ?3) ON CONFLICT DO NOTHING",
            )?
            .execute(params![owner.as_str(), hash.as_bytes(), bytes.as_ref()])?;
    }
    Ok(())
}

/// Gives the stream's number in this file.
fn write_stream(
    transaction: &Transaction<'_>,
    name: &StreamName,
    change: &StreamChange,
    number: Option<i64>,
) -> rusqlite::Result<i64> {
    let (revision, sequence) = (change.revision.0, change.sequence.0);
    if let Some(number) = number {
        transaction
            .prepare_cached(
                "UPDATE streams SET revision = ?2, sequence = ?3, summary = coalesce(?4, summary) \
                 WHERE id = ?1",
            )?
            .execute(params![number, revision, sequence, change.summary])?;
        return Ok(number);
    }
    transaction
        .prepare_cached(
            "INSERT INTO streams(owner, task_id, revision, sequence, summary) \
             VALUES(?1, ?2, ?3, ?4, ?5)",
        )?
        .execute(params![
            name.owner.as_str(),
            name.task_id.as_str(),
            revision,
            sequence,
            change.summary
        ])?;
    Ok(transaction.last_insert_rowid())
}

/// Shows the walker the store; breaks off where it does.
fn walk(connection: &Connection, walker: &mut dyn Walker) -> rusqlite::Result<ControlFlow<()>> {
    let mut statement = connection.prepare("SELECT owner, hash, bytes FROM blobs")?;
    let mut rows = statement.query([])?;
    while let Some(row) = rows.next()? {
        let (owner, hash, bytes) = (row.get_ref(0)?, row.get_ref(1)?, row.get_ref(2)?);
        if walker
            .blob(owner.as_str()?, hash.as_blob()?, bytes.as_blob()?)
            .is_break()
        {
            return Ok(ControlFlow::Break(()));
        }
    }
    // A stream that is missing shows as one without a name.
    let mut statement = connection.prepare(
        "SELECT e.sequence, e.revision, e.event_id, e.kind, coalesce(s.owner, ''), \
         coalesce(s.task_id, ''), e.line \
         FROM events e LEFT JOIN streams s ON s.id = e.stream ORDER BY e.sequence",
    )?;
    let mut rows = statement.query([])?;
    while let Some(row) = rows.next()? {
        let sequence = row.get(0)?;
        let flow = match event_row(row, sequence) {
            Ok(row) => walker.event(&row),
            Err(error) => walker.unreadable(sequence, error.to_string()),
        };
        if flow.is_break() {
            return Ok(flow);
        }
    }
    // Reads and retries find events by these: one that an index misses would be as good as lost.
    let count = |how: &str| -> rusqlite::Result<i64> {
        let sql = format!("SELECT count(*) FROM events {how}");
        connection.query_row(&sql, [], |row| row.get(0))
    };
    let events = count("NOT INDEXED")?;
    for index in ["events_by_stream", "sqlite_autoindex_events_1"] {
        let found = count(&format!("INDEXED BY {index}"))?;
        if found != events {
            let reason = format!("the index {index} has {found} events of {events}");
            return Ok(walker.unreadable(0, reason));
        }
    }
    let mut statement = connection
        .prepare("SELECT owner, task_id, revision, sequence FROM streams ORDER BY sequence")?;
    let mut rows = statement.query([])?;
    while let Some(row) = rows.next()? {
        let (owner, task_id) = (row.get_ref(0)?, row.get_ref(1)?);
        let flow = walker.stream(owner.as_str()?, task_id.as_str()?, row.get(2)?, row.get(3)?);
        if flow.is_break() {
            return Ok(flow);
        }
    }
    Ok(ControlFlow::Continue(()))
}

fn event_row<'a>(row: &'a rusqlite::Row<'_>, sequence: i64) -> rusqlite::Result<Row<'a>> {
    Ok(Row {
        sequence,
        revision: row.get(1)?,
        id: row.get_ref(2)?.as_blob()?,
        kind: row.get_ref(3)?.as_str()?,
        owner: row.get_ref(4)?.as_str()?,
        task_id: row.get_ref(5)?.as_str()?,
        line: row.get_ref(6)?.as_str()?,
    })
}
