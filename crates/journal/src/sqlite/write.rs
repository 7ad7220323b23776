//! The writer's side of the file.

use std::collections::HashMap;

use journeyman_event::{ContentHash, Revision, Sequence};
use rusqlite::{Connection, OptionalExtension, Transaction, TransactionBehavior, params};

use super::lock::Lock;
use super::read::{damaged, find_blob, hash_at, read_head};
use super::{Place, schema};
use crate::Error;
use crate::engine::{Changes, Known, SNAPSHOTS_KEPT, StreamChange, StreamName, Wanted, Writer};
use crate::reader::{Head, Snapshot};

/// The one connection that writes.
pub(super) struct SqliteWriter {
    place: Place,
    /// None while it could not be opened again.
    connection: Option<Connection>,
    /// Whether nothing that another process left in the log is before what is written now.
    log_is_empty: bool,
    _lock: Lock,
}

impl SqliteWriter {
    /// Opens the file, and makes it if there is none.
    pub(super) fn open(place: &Place, lock: Lock, new_store_id: &str) -> Result<Self, Error> {
        let mut writer = Self {
            connection: Some(schema::open_writer(place, new_store_id)?),
            log_is_empty: false,
            place: place.clone(),
            _lock: lock,
        };
        // So that what can be read is safe. Where it cannot be done now, writing waits for it.
        if let Err(error) = writer.empty_log() {
            tracing::warn!(%error, "the journal's log was not brought into its file yet");
        }
        Ok(writer)
    }

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
