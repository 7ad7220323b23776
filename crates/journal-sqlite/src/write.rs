//! The writer's side of the file.

use std::collections::{BTreeSet, HashMap};

use journeyman_event::{ContentHash, Owner, Revision, Sequence};
use rusqlite::{Connection, OptionalExtension, Transaction, TransactionBehavior, params};

use crate::high_water_mark::{Acknowledged, HighWaterMark};
use crate::lock::Lock;
use crate::open_files::TrackedConnection;
use crate::place::{FileId, FolderContent, Place};
use crate::read::{find_blob, hash_at, sound_head};
use crate::schema;
use journeyman_journal::Error;
use journeyman_journal::{
    Changes, GivenBack, LookupKeys, LookupRows, SNAPSHOTS_KEPT, StreamChange, StreamName, Writer,
};
use journeyman_journal::{Head, Snapshot};

/// The number of pages that one step returns. It takes a few milliseconds.
const PAGES_GIVEN_BACK: u32 = 256;

/// The bytes that an erasure may use beyond the maximum size of the file, until it has returned space.
const RESERVE_BYTES: u64 = 8 << 20;

/// The one connection that writes.
pub(crate) struct SqliteWriter {
    place: Place,
    /// None while it could not be opened for want of space, or opened again.
    connection: Option<TrackedConnection>,
    /// Whether what another process left in the log is durable, so that it is safe to write behind it.
    log_is_durable: bool,
    /// None where it cannot be written; then less is known after a crash.
    mark: Option<HighWaterMark>,
    _lock: Lock,
}

impl SqliteWriter {
    /// Opens the file, and makes the store in it if there is none. A store that is there and that there
    /// is no space to write to is held and read; writing waits until it can be opened.
    pub(crate) fn open(
        place: &Place,
        lock: Lock,
        found: FolderContent,
        new_store_id: &str,
    ) -> Result<Self, Error> {
        let connection = match schema::open_writer(place, new_store_id) {
            Err(error @ Error::Full { .. }) if found == FolderContent::Store => {
                place.note_obstacle(Some(error));
                None
            }
            opened => Some(opened?),
        };
        let mut writer = Self {
            connection,
            log_is_durable: false,
            mark: mark(place),
            place: place.clone(),
            _lock: lock,
        };
        // So that what can be read is safe. Where it cannot be done now, writing waits for it.
        if writer.connection.is_some()
            && let Err(error) = writer.flush_log()
        {
            tracing::warn!(%error, "the journal's write-ahead log could not be checkpointed at the start");
            place.note_obstacle(Some(error));
        }
        place.same_database()?;
        place.note_written();
        Ok(writer)
    }

    /// Makes sure that what is written next goes where it should.
    fn prepare(&mut self) -> Result<(), Error> {
        self.place.in_place()?;
        self.place.unchanged()?;
        self.place.begin_write();
        if self.connection.is_none() {
            self.connection = Some(schema::open_again(&self.place)?);
            self.place.note_written();
        }
        self.flush_log()?;
        self.place.note_obstacle(None);
        Ok(())
    }

    fn with<T>(
        &mut self,
        work: impl FnOnce(&mut Connection) -> rusqlite::Result<T>,
    ) -> Result<T, Error> {
        let connection = self.connection.as_mut().ok_or_else(not_open)?;
        work(connection).map_err(|error| self.place.failed(&error))
    }

    /// Runs a transaction of an erasure.
    fn change<T>(
        &mut self,
        work: impl FnOnce(&Transaction<'_>) -> rusqlite::Result<T>,
    ) -> Result<T, Error> {
        self.prepare()?;
        let place = self.place.clone();
        let done = self.with(|connection| {
            schema::limit(connection, &place, RESERVE_BYTES)?;
            let transaction =
                connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
            let done = work(&transaction)?;
            transaction.commit()?;
            Ok(done)
        })?;
        self.place.end_write();
        Ok(done)
    }

    /// Where the log has no name any more, it would end with this process: what it has goes into the
    /// file while that can be done. Nothing is lost where it cannot: it is tried again.
    fn save_log(&self) {
        if let Some(connection) = &self.connection
            && let Err(error) = schema::empty_log(connection, &self.place)
        {
            tracing::warn!(%error, "the journal's write-ahead log could not be checkpointed");
        }
    }

    /// Before the first write, see [`schema::flush_log`].
    fn flush_log(&mut self) -> Result<(), Error> {
        if !self.log_is_durable {
            let connection = self.connection.as_ref().ok_or_else(not_open)?;
            schema::flush_log(connection, &self.place)?;
            self.log_is_durable = true;
        }
        Ok(())
    }
}

impl Writer for SqliteWriter {
    fn head(&mut self) -> Result<Head, Error> {
        if self.connection.is_none() {
            let reader = schema::open_reader(&self.place)?;
            return sound_head(&reader.connection).map_err(|error| self.place.failed(&error));
        }
        self.with(|connection| sound_head(connection))
    }

    fn hash_at(&mut self, sequence: Sequence) -> Result<Option<ContentHash>, Error> {
        self.with(|connection| hash_at(connection, sequence))
    }

    fn write(
        &mut self,
        wanted: &LookupKeys,
        plan: &mut dyn FnMut(&LookupRows) -> Changes,
    ) -> Result<(), Error> {
        self.prepare()?;
        let place = self.place.clone();
        let newest = self.with(|connection| {
            schema::limit(connection, &place, 0)?;
            let transaction =
                connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
            let (known, numbers) = look_up(&transaction, wanted)?;
            let changes = plan(&known);
            // An erasure frees space, so it may be recorded in a full store.
            if !changes.erased.is_empty() {
                schema::limit(&transaction, &place, RESERVE_BYTES)?;
            }
            write(&transaction, &changes, &numbers)?;
            transaction.commit()?;
            Ok(changes.events.last().map(|event| Acknowledged {
                sequence: event.sequence(),
                hash: event.hash(),
            }))
        })?;
        // What went into a file that nobody finds is not acknowledged.
        self.place.in_place()?;
        self.place.end_write();
        if let (Some(mark), Some(newest)) = (&self.mark, newest)
            && let Err(error) = mark.note(newest)
        {
            tracing::warn!(%error, "the position of the newest event could not be written beside the journal");
            self.mark = None;
        }
        Ok(())
    }

    fn keep_snapshot(&mut self, stream: &StreamName, snapshot: &Snapshot) -> Result<(), Error> {
        self.prepare()?;
        self.with(|connection| {
            let transaction =
                connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
            let id: Option<i64> = transaction
                .prepare_cached(
                    "SELECT id FROM streams WHERE owner = ?1 AND task_id = ?2 AND erasure IS NULL",
                )?
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
        })?;
        self.place.end_write();
        Ok(())
    }

    fn replace(
        &mut self,
        lines: &[(Sequence, String)],
        cited: &BTreeSet<(Owner, ContentHash)>,
    ) -> Result<(), Error> {
        self.change(|transaction| {
            // A row that becomes shorter stays on its page, and the rest of it is overwritten there.
            let mut update =
                transaction.prepare_cached("UPDATE events SET line = ?2 WHERE sequence = ?1")?;
            for (at, line) in lines {
                update.execute(params![at.0, line])?;
            }
            let mut note = transaction.prepare_cached(
                "INSERT OR IGNORE INTO loose_blobs(owner, hash) \
                 SELECT owner, hash FROM blobs WHERE owner = ?1 AND hash = ?2",
            )?;
            for (owner, hash) in cited {
                note.execute(params![owner.as_str(), hash.as_bytes()])?;
            }
            Ok(())
        })
    }

    fn repack(&mut self, positions: &[Sequence]) -> Result<(), Error> {
        self.change(|transaction| {
            let mut read = transaction.prepare_cached(
                "SELECT stream, revision, event_id, kind, line FROM events WHERE sequence = ?1",
            )?;
            let mut delete =
                transaction.prepare_cached("DELETE FROM events WHERE sequence = ?1")?;
            let mut insert = transaction.prepare_cached(INSERT_EVENT)?;
            // SQLite merges pages when rows are deleted, not when they become shorter.
            for at in positions {
                let row: Option<(i64, i64, Vec<u8>, String, String)> = read
                    .query_row([at.0], |row| {
                        let text = |column| row.get::<_, String>(column);
                        Ok((row.get(0)?, row.get(1)?, row.get(2)?, text(3)?, text(4)?))
                    })
                    .optional()?;
                let Some((stream, revision, id, kind, line)) = row else {
                    continue;
                };
                delete.execute([at.0])?;
                insert.execute(params![at.0, stream, revision, id, kind, line])?;
            }
            Ok(())
        })
    }

    fn settle_blobs(
        &mut self,
        kept: &BTreeSet<(Owner, ContentHash)>,
        dropped: &BTreeSet<(Owner, ContentHash)>,
    ) -> Result<(), Error> {
        self.change(|transaction| {
            let mut blank = transaction.prepare_cached(
                "UPDATE blobs SET bytes = zeroblob(length(bytes)) WHERE owner = ?1 AND hash = ?2",
            )?;
            // All are overwritten before the first is deleted, so that rows that move leave no copies.
            for (owner, hash) in dropped {
                blank.execute(params![owner.as_str(), hash.as_bytes()])?;
            }
            let mut delete =
                transaction.prepare_cached("DELETE FROM blobs WHERE owner = ?1 AND hash = ?2")?;
            for (owner, hash) in dropped {
                delete.execute(params![owner.as_str(), hash.as_bytes()])?;
            }
            let mut settled = transaction
                .prepare_cached("DELETE FROM loose_blobs WHERE owner = ?1 AND hash = ?2")?;
            for (owner, hash) in kept.iter().chain(dropped) {
                settled.execute(params![owner.as_str(), hash.as_bytes()])?;
            }
            Ok(())
        })
    }

    fn give_back(&mut self) -> Result<GivenBack, Error> {
        self.prepare()?;
        let place = self.place.clone();
        let shrinking = place.shrink();
        let (gave, length) = self.with(|connection| {
            let gave = schema::give_back(connection, PAGES_GIVEN_BACK)?;
            Ok((gave, schema::length(connection)?))
        })?;
        let given = if gave {
            GivenBack::Some
        } else if self.with(|connection| schema::cut_log(connection))? {
            GivenBack::All
        } else {
            GivenBack::Held
        };
        shrinking.end(length, given == GivenBack::All);
        self.place.end_write();
        Ok(given)
    }

    fn write_anew(&mut self) -> Result<(), Error> {
        self.prepare()?;
        let place = self.place.clone();
        let shrinking = place.shrink();
        let (length, is_cut) = self.with(|connection| {
            schema::write_anew(connection)?;
            Ok((schema::length(connection)?, schema::cut_log(connection)?))
        })?;
        shrinking.end(length, is_cut);
        self.place.end_write();
        Ok(())
    }

    fn reopen(&mut self) -> Result<(), Error> {
        let in_place = self.place.in_place();
        if let Err(moved) = in_place.and_then(|()| self.place.unchanged()) {
            // Into a file that somebody else wrote to nothing is brought.
            if !self.place.is_overwritten() {
                self.save_log();
            }
            return Err(moved);
        }
        self.place.forget_log();
        self.connection = None;
        self.log_is_durable = false;
        self.connection = Some(schema::open_again(&self.place)?);
        self.place.note_written();
        Ok(())
    }
}

impl Drop for SqliteWriter {
    fn drop(&mut self) {
        if let Some(connection) = &self.connection
            && self.place.is_overwritten()
            && let Err(error) = connection.set_db_config(NO_CHECKPOINT, true)
        {
            tracing::warn!(%error, "the checkpoint on close could not be disabled; it may write into the rest of a damaged file");
        }
        self.place.forget_written();
    }
}

/// The note of the newest event, if it can be kept.
fn mark(place: &Place) -> Option<HighWaterMark> {
    if place.vfs.is_some() {
        return None;
    }
    let opened =
        FileId::of(&place.file).and_then(|about| HighWaterMark::open(&place.folder, about));
    let noted =
        opened.inspect_err(|error| tracing::warn!(%error, "the file for the position of the newest event cannot be opened"));
    noted.ok()
}

fn not_open() -> Error {
    Error::Unknown {
        reason: "it is not open".to_owned(),
    }
}

/// The log stays beside the file when it is closed.
const NO_CHECKPOINT: rusqlite::config::DbConfig =
    rusqlite::config::DbConfig::SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE;

/// The numbers of streams in this file.
type Numbers = HashMap<StreamName, i64>;

const INSERT_EVENT: &str = "\
    INSERT INTO events(sequence, stream, revision, event_id, kind, line) \
    VALUES(?1, ?2, ?3, ?4, ?5, ?6)";

fn look_up(
    transaction: &Transaction<'_>,
    wanted: &LookupKeys,
) -> rusqlite::Result<(LookupRows, Numbers)> {
    let (mut known, mut numbers) = (LookupRows::default(), Numbers::new());
    let mut by_id = transaction.prepare_cached("SELECT line FROM events WHERE event_id = ?1")?;
    for id in &wanted.events {
        let line = by_id
            .query_row([id.as_bytes()], |row| row.get(0))
            .optional()?;
        known.events.extend(line.map(|line| (*id, line)));
    }
    let mut by_name = transaction.prepare_cached(
        "SELECT id, revision, erasure FROM streams WHERE owner = ?1 AND task_id = ?2",
    )?;
    let mut record = transaction.prepare_cached("SELECT line FROM events WHERE sequence = ?1")?;
    for name in &wanted.streams {
        let found: Option<(i64, u64, Option<u64>)> = by_name
            .query_row([name.owner.as_str(), name.task_id.as_str()], |row| {
                Ok((row.get(0)?, row.get(1)?, row.get(2)?))
            })
            .optional()?;
        if let Some((number, revision, erasure)) = found {
            numbers.insert(name.clone(), number);
            known.streams.insert(name.clone(), Revision(revision));
            if let Some(at) = erasure {
                let line: String = record.query_row([at], |row| row.get(0))?;
                known.erased.insert(name.clone(), line.into());
            }
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
    let mut insert = transaction.prepare_cached(INSERT_EVENT)?;
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
    for (name, at) in &changes.erased {
        erase(transaction, name, *at)?;
    }
    Ok(())
}

/// Marks a stream as erased, deletes its summary and its snapshots, and marks the file to be rewritten when it is next
/// opened.
fn erase(transaction: &Transaction<'_>, name: &StreamName, at: Sequence) -> rusqlite::Result<()> {
    let (owner, task) = (name.owner.as_str(), name.task_id.as_str());
    transaction.execute(
        "UPDATE streams SET erasure = ?3, summary = NULL, summary_hash = NULL \
         WHERE owner = ?1 AND task_id = ?2",
        params![owner, task, at.0],
    )?;
    transaction.execute(
        "DELETE FROM snapshots WHERE stream = \
         (SELECT id FROM streams WHERE owner = ?1 AND task_id = ?2)",
        params![owner, task],
    )?;
    transaction.execute(
        "INSERT OR REPLACE INTO meta(key, value) VALUES('erased', '1')",
        [],
    )?;
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
    let summary = change.summary.as_ref();
    let bytes = summary.map(|summary| &summary.bytes);
    let hash = summary.map(|summary| summary.hash.as_bytes());
    if let Some(number) = number {
        transaction
            .prepare_cached(
                "UPDATE streams SET revision = ?2, sequence = ?3, summary = coalesce(?4, summary), \
                 summary_hash = coalesce(?5, summary_hash) WHERE id = ?1",
            )?
            .execute(params![number, revision, sequence, bytes, hash])?;
        return Ok(number);
    }
    transaction
        .prepare_cached(
            "INSERT INTO streams(owner, task_id, revision, sequence, summary, summary_hash) \
             VALUES(?1, ?2, ?3, ?4, ?5, ?6)",
        )?
        .execute(params![
            name.owner.as_str(),
            name.task_id.as_str(),
            revision,
            sequence,
            bytes,
            hash
        ])?;
    Ok(transaction.last_insert_rowid())
}
