//! The one writer: a thread that takes everything that waits into one transaction (group commit)
//! and answers after the commit. It alone gives sequences and revisions.
//!
//! An append is checked before any of it is written, so a conflict never touches its neighbours in
//! the same transaction. After an error at the commit nothing is assumed: the file is opened again
//! and everything that was acknowledged must be there, or the journal refuses all further work.

use std::collections::{BTreeMap, HashSet};
use std::path::PathBuf;

use bytes::Bytes;
use journeyman_bus::{Bus, Message};
use journeyman_event::{
    ContentHash, Event, InvalidEvent, NewEvent, ORIGIN_HASH, Owner, Principal, Revision, Sequence,
    TaskId,
};
use rusqlite::{Connection, OptionalExtension, Transaction, TransactionBehavior, ffi, params};
use serde_json::value::RawValue;
use tokio::sync::{mpsc, oneshot, watch};

use crate::Error;
use crate::reader::{Head, find_blob};
use crate::schema;

/// Appends that one transaction takes at the most.
const BATCH_APPENDS_MAX: usize = 512;
/// Bytes of payloads and blobs that one transaction takes at the most, give or take one append.
const BATCH_BYTES_MAX: usize = 8 << 20;
/// Events of one append.
const APPEND_EVENTS_MAX: usize = 1_000;
/// A payload larger than this is kept as a blob, the line carries a reference.
const INLINE_BYTES_MAX: usize = 1 << 20;
/// A payload or blob larger than this is refused.
const PAYLOAD_BYTES_MAX: usize = 10 << 20;
/// Payloads and blobs of one append together.
const APPEND_BYTES_MAX: usize = 64 << 20;
/// Streams of this prefix belong to the system.
const SYSTEM_PREFIX: &str = "sys.";

/// Where the caller thinks the stream stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Expected {
    /// Anywhere.
    Any,
    /// At this revision; [`Revision::ZERO`] means that the stream does not exist yet.
    Revision(Revision),
}

/// Events to be added to one stream, all or none.
#[derive(Clone, Debug)]
pub struct Append {
    /// The stream, of the principal's owner.
    pub task_id: TaskId,
    /// Where it is thought to stand.
    pub expected: Expected,
    /// 1 to 1,000 events of that stream.
    pub events: Vec<NewEvent>,
    /// Texts that the events cite by hash, 10 MiB each at most; stored with them.
    pub blobs: Vec<Bytes>,
    /// What lists show of the stream from now on; none leaves it as it is.
    pub summary: Option<Vec<u8>>,
}

/// What an append became.
#[derive(Clone, Debug)]
pub struct Appended {
    /// The stored events.
    pub events: Vec<Event>,
    /// Whether they were stored by an earlier append with the same ids.
    pub duplicate: bool,
}

impl Append {
    fn bytes(&self) -> usize {
        let events: usize = self.events.iter().map(|event| event.data().len()).sum();
        events + self.blobs.iter().map(Bytes::len).sum::<usize>()
    }
}

/// News of the store, on their way to subscriptions.
#[derive(Debug)]
pub(crate) enum Committed {
    /// An event was committed.
    Event(Box<Event>),
    /// After an error in doubt, events were found committed that nobody was told of.
    Unseen,
}

impl Message for Committed {
    fn kind(&self) -> &str {
        match self {
            Self::Event(event) => event.kind(),
            Self::Unseen => "unseen",
        }
    }
}

pub(crate) struct Order {
    pub(crate) owner: Owner,
    pub(crate) append: Append,
    pub(crate) reply: oneshot::Sender<Result<Appended, Error>>,
}

/// Checks what can be checked without the store.
pub(crate) fn check(principal: &Principal, append: &Append) -> Result<(), Error> {
    let count = append.events.len();
    if count == 0 || count > APPEND_EVENTS_MAX {
        return Err(Error::bad_append(format_args!(
            "{count} events; 1 to {APPEND_EVENTS_MAX} at a time are taken"
        )));
    }
    if append.task_id.as_str().starts_with(SYSTEM_PREFIX) && !principal.is_system() {
        return Err(Error::Forbidden {
            what: "write to a stream whose name begins with sys.",
        });
    }
    let mut ids = HashSet::new();
    for event in &append.events {
        let wrong = |field, reason: &str| {
            Err(Error::Invalid(InvalidEvent {
                field,
                reason: reason.to_owned(),
            }))
        };
        if event.task_id() != &append.task_id {
            return wrong("task_id", "an append has events of one stream only");
        }
        if event.owner() != principal.owner() {
            return wrong("owner", "it is not the principal's");
        }
        if !ids.insert(event.id()) {
            return wrong("id", "it is twice in the append");
        }
        if event.data().len() > PAYLOAD_BYTES_MAX {
            return wrong("data", "it is larger than 10 MiB; split it");
        }
    }
    if append
        .blobs
        .iter()
        .any(|blob| blob.len() > PAYLOAD_BYTES_MAX)
    {
        return Err(Error::bad_append("a blob is larger than 10 MiB; split it"));
    }
    if append.bytes() > APPEND_BYTES_MAX {
        return Err(Error::bad_append(
            "it is larger than 64 MiB in all; split it",
        ));
    }
    Ok(())
}

pub(crate) struct Writer {
    pub(crate) folder: PathBuf,
    pub(crate) bytes_max: Option<u64>,
    pub(crate) connection: Connection,
    /// The last event that was acknowledged.
    pub(crate) head: Head,
    pub(crate) committed: watch::Sender<Sequence>,
    /// Where committed events are published.
    pub(crate) bus: Bus<Committed>,
    /// Set for good when something acknowledged is lost.
    pub(crate) lost: bool,
    /// Set when the file must be opened again before anything is written.
    pub(crate) doubtful: bool,
}

impl Writer {
    /// Takes orders until the journal is dropped, then ends.
    pub(crate) fn run(mut self, mut orders: mpsc::Receiver<Order>) {
        while let Some(first) = orders.blocking_recv() {
            let mut bytes = first.append.bytes();
            let mut batch = vec![first];
            while batch.len() < BATCH_APPENDS_MAX && bytes < BATCH_BYTES_MAX {
                let Ok(order) = orders.try_recv() else {
                    break;
                };
                bytes += order.append.bytes();
                batch.push(order);
            }
            let results = self.write(&batch);
            self.publish(&results);
            for (order, result) in batch.into_iter().zip(results) {
                // A caller that stopped waiting loses nothing: what was written stays written.
                drop(order.reply.send(result));
            }
        }
    }

    /// Tells subscriptions what is new. One that is too slow reads it from the store again, and a
    /// stopped bus has none.
    fn publish(&self, results: &[Result<Appended, Error>]) {
        if !self.bus.has_subscribers() {
            return;
        }
        let new = results.iter().flatten().filter(|new| !new.duplicate);
        for event in new.flat_map(|new| &new.events) {
            let _ = self
                .bus
                .try_publish(Committed::Event(Box::new(event.clone())));
        }
    }

    fn write(&mut self, batch: &[Order]) -> Vec<Result<Appended, Error>> {
        let all = |error: Error| batch.iter().map(|_| Err(error.clone())).collect();
        if let Err(error) = self.recover() {
            return all(error);
        }
        match self.try_write(batch) {
            Ok((results, head)) => {
                if head.sequence > self.head.sequence {
                    self.head = head;
                    self.committed.send_replace(head.sequence);
                }
                results
            }
            Err(error) => {
                let error = Error::of_sqlite(&self.folder, &error);
                if matches!(error, Error::Full { .. }) && batch.len() > 1 {
                    // One that is too large must not fail those that still fit.
                    let alone = batch.iter().map(std::slice::from_ref);
                    return alone.flat_map(|order| self.write(order)).collect();
                }
                tracing::error!(%error, "append failed");
                // Full and not writable are rolled back; anything else leaves the file in doubt.
                self.doubtful = !matches!(error, Error::Full { .. } | Error::NotWritable { .. });
                all(error)
            }
        }
    }

    /// One transaction. Its answers hold only if it is committed, which it then is.
    fn try_write(
        &mut self,
        batch: &[Order],
    ) -> rusqlite::Result<(Vec<Result<Appended, Error>>, Head)> {
        let transaction = self
            .connection
            .transaction_with_behavior(TransactionBehavior::Immediate)?;
        let mut head = self.head;
        let mut results = Vec::with_capacity(batch.len());
        for order in batch {
            results.push(append(
                &transaction,
                &order.owner,
                &order.append,
                &mut head,
            )?);
        }
        transaction.commit()?;
        Ok((results, head))
    }

    /// After an error in doubt: opens the file again and goes on only if everything that was
    /// acknowledged is there.
    fn recover(&mut self) -> Result<(), Error> {
        if self.lost {
            return Err(Error::LostAcknowledged {
                folder: self.folder.clone(),
            });
        }
        if !self.doubtful {
            return Ok(());
        }
        if !schema::file_in(&self.folder).exists() {
            self.lost = true;
            return self.recover();
        }
        self.connection = schema::open_writer(&self.folder, self.bytes_max, String::new)?;
        let acknowledged = hash_at(&self.connection, self.head.sequence)
            .map_err(|error| Error::of_sqlite(&self.folder, &error))?;
        if acknowledged != Some(self.head.hash) {
            self.lost = true;
            return self.recover();
        }
        self.head =
            sound_head(&self.connection).map_err(|error| Error::of_sqlite(&self.folder, &error))?;
        self.committed.send_replace(self.head.sequence);
        let _ = self.bus.try_publish(Committed::Unseen);
        self.doubtful = false;
        Ok(())
    }
}

/// The head, if it is that of the streams, too: otherwise the newest events were cut off, and going
/// on would give their positions again.
pub(crate) fn sound_head(connection: &Connection) -> rusqlite::Result<Head> {
    let head = read_head(connection)?;
    let last: Option<u64> =
        connection.query_row("SELECT max(sequence) FROM streams", [], |row| row.get(0))?;
    if Sequence(last.unwrap_or(0)) != head.sequence {
        return Err(damaged("its newest events are missing"));
    }
    Ok(head)
}

fn damaged(reason: &str) -> rusqlite::Error {
    rusqlite::Error::SqliteFailure(
        ffi::Error::new(ffi::SQLITE_CORRUPT),
        Some(reason.to_owned()),
    )
}

/// The last event of the store.
pub(crate) fn read_head(connection: &Connection) -> rusqlite::Result<Head> {
    let last: Option<u64> =
        connection.query_row("SELECT max(sequence) FROM events", [], |row| row.get(0))?;
    let sequence = Sequence(last.unwrap_or(0));
    let hash = hash_at(connection, sequence)?.unwrap_or(ORIGIN_HASH);
    Ok(Head { sequence, hash })
}

/// The hash of an event; that of "before the first" is [`ORIGIN_HASH`].
fn hash_at(connection: &Connection, sequence: Sequence) -> rusqlite::Result<Option<ContentHash>> {
    if sequence == Sequence::ZERO {
        return Ok(Some(ORIGIN_HASH));
    }
    let line: Option<String> = connection
        .query_row(
            "SELECT line FROM events WHERE sequence = ?1",
            [sequence.0],
            |row| row.get(0),
        )
        .optional()?;
    let hash_of = |line: String| {
        journeyman_event::split_hash(&line)
            .map(|(_, hash)| hash)
            .ok_or_else(|| damaged("an event has no hash"))
    };
    line.map(hash_of).transpose()
}

struct Stream {
    id: i64,
    revision: Revision,
}

/// One append inside the transaction. The inner result is the append's own; the outer one ends the
/// whole transaction. `head` moves on only if the append is written.
fn append(
    transaction: &Transaction<'_>,
    owner: &Owner,
    append: &Append,
    head: &mut Head,
) -> rusqlite::Result<Result<Appended, Error>> {
    match known(transaction, append)? {
        Ok(None) => {}
        Ok(Some(events)) => {
            return Ok(Ok(Appended {
                events,
                duplicate: true,
            }));
        }
        Err(error) => return Ok(Err(error)),
    }
    let stream = find_stream(transaction, owner, &append.task_id)?;
    let actual = stream
        .as_ref()
        .map_or(Revision::ZERO, |stream| stream.revision);
    if let Expected::Revision(expected) = append.expected
        && expected != actual
    {
        let task = append.task_id.clone();
        return Ok(Err(Error::WrongRevision {
            task,
            expected,
            actual,
        }));
    }
    let sealed = match seal(append, *head, actual) {
        Ok(sealed) => sealed,
        Err(error) => return Ok(Err(error.into())),
    };
    let mut events = sealed.events;
    for (index, hash) in sealed.cited {
        let text = match append.blobs.iter().find(|b| ContentHash::of(b) == hash) {
            Some(given) => Some(given.to_vec()),
            None => find_blob(transaction, owner.as_str(), hash)?,
        };
        let Some(text) = text.and_then(|text| String::from_utf8(text).ok()) else {
            return Ok(Err(Error::Invalid(InvalidEvent {
                field: "data",
                reason: format!("it refers to the blob {hash}, which is not here or no text"),
            })));
        };
        events[index] = events[index].clone().with_data(&text);
    }
    let Some(last) = events
        .last()
        .map(|event| (event.sequence(), event.revision(), event.hash()))
    else {
        return Ok(Err(Error::bad_append("no events")));
    };
    let stream = write_stream(transaction, stream, owner, append, (last.0, last.1))?;
    for event in &events {
        transaction
            .prepare_cached(
                "INSERT INTO events(sequence, stream, revision, event_id, kind, line) \
                 VALUES(?1, ?2, ?3, ?4, ?5, ?6)",
            )?
            .execute(params![
                event.sequence().0,
                stream,
                event.revision().0,
                event.id().as_bytes(),
                event.kind(),
                event.line()
            ])?;
    }
    let texts = sealed
        .spilled
        .iter()
        .map(|(hash, text)| (*hash, text.as_bytes()));
    let blobs = append
        .blobs
        .iter()
        .map(|blob| (ContentHash::of(blob), blob.as_ref()));
    for (hash, bytes) in texts.chain(blobs) {
        transaction
            .prepare_cached(
                "INSERT INTO blobs(owner, hash, bytes) VALUES(?1, ?2, ?3) ON CONFLICT DO NOTHING",
            )?
            .execute(params![owner.as_str(), hash.as_bytes(), bytes])?;
    }
    *head = Head {
        sequence: last.0,
        hash: last.2,
    };
    Ok(Ok(Appended {
        events,
        duplicate: false,
    }))
}

/// Looks at the ids first: all new gives none, all known and equal gives the stored events,
/// anything else is a conflict.
fn known(
    transaction: &Transaction<'_>,
    append: &Append,
) -> rusqlite::Result<Result<Option<Vec<Event>>, Error>> {
    let mut stored = Vec::new();
    let mut unequal = None;
    for event in &append.events {
        let line: Option<String> = transaction
            .prepare_cached("SELECT line FROM events WHERE event_id = ?1")?
            .query_row([event.id().as_bytes()], |row| row.get(0))
            .optional()?;
        let Some(line) = line else {
            continue;
        };
        let old = match Event::from_line(line) {
            Ok(old) => old,
            Err(error) => return Ok(Err(error.into())),
        };
        let same = match old.blob() {
            Some(hash) => {
                event.is_same_as(&old, old.data()) || {
                    let kept = ContentHash::of(event.data().as_bytes()) == hash;
                    kept && event.is_same_as(&old, event.data())
                }
            }
            None => event.is_same_as(&old, old.data()),
        };
        if same {
            stored.push(old.with_data(event.data()));
        } else {
            unequal = Some(event.id());
        }
    }
    if let Some(id) = unequal {
        return Ok(Err(Error::IdInUse { id: id.to_string() }));
    }
    match stored.first() {
        None => Ok(Ok(None)),
        Some(first) if stored.len() < append.events.len() => Ok(Err(Error::IdInUse {
            id: first.id().to_string(),
        })),
        Some(_) => Ok(Ok(Some(stored))),
    }
}

fn find_stream(
    transaction: &Transaction<'_>,
    owner: &Owner,
    task: &TaskId,
) -> rusqlite::Result<Option<Stream>> {
    transaction
        .prepare_cached("SELECT id, revision FROM streams WHERE owner = ?1 AND task_id = ?2")?
        .query_row([owner.as_str(), task.as_str()], |row| {
            Ok(Stream {
                id: row.get(0)?,
                revision: Revision(row.get(1)?),
            })
        })
        .optional()
}

fn write_stream(
    transaction: &Transaction<'_>,
    stream: Option<Stream>,
    owner: &Owner,
    append: &Append,
    (sequence, revision): (Sequence, Revision),
) -> rusqlite::Result<i64> {
    if let Some(Stream { id, .. }) = stream {
        transaction
            .prepare_cached(
                "UPDATE streams SET revision = ?2, sequence = ?3, summary = coalesce(?4, summary) \
                 WHERE id = ?1",
            )?
            .execute(params![id, revision.0, sequence.0, append.summary])?;
        return Ok(id);
    }
    transaction
        .prepare_cached(
            "INSERT INTO streams(owner, task_id, revision, sequence, summary) \
             VALUES(?1, ?2, ?3, ?4, ?5)",
        )?
        .execute(params![
            owner.as_str(),
            append.task_id.as_str(),
            revision.0,
            sequence.0,
            append.summary
        ])?;
    Ok(transaction.last_insert_rowid())
}

struct Sealed {
    events: Vec<Event>,
    /// Payloads that are kept as blobs.
    spilled: BTreeMap<ContentHash, String>,
    /// Events whose payload came as a reference to a blob (an import), and which.
    cited: Vec<(usize, ContentHash)>,
}

fn seal(append: &Append, head: Head, revision: Revision) -> Result<Sealed, InvalidEvent> {
    let mut sealed = Sealed {
        events: Vec::new(),
        spilled: BTreeMap::new(),
        cited: Vec::new(),
    };
    let (mut head, mut revision) = (head, revision);
    for event in &append.events {
        revision = revision.next();
        let data = event.data();
        let reference = if data.len() > INLINE_BYTES_MAX {
            let hash = ContentHash::of(data.as_bytes());
            sealed.spilled.insert(hash, data.to_owned());
            let text = format!("{{\"blob\":\"{hash}\",\"bytes\":{}}}", data.len());
            let invalid = |error: serde_json::Error| InvalidEvent {
                field: "data",
                reason: error.to_string(),
            };
            Some(RawValue::from_string(text).map_err(invalid)?)
        } else {
            None
        };
        let stored = event.seal(
            head.sequence.next(),
            revision,
            head.hash,
            reference.as_deref(),
        )?;
        if reference.is_none() {
            let index = sealed.events.len();
            sealed.cited.extend(stored.blob().map(|hash| (index, hash)));
        }
        head = Head {
            sequence: stored.sequence(),
            hash: stored.hash(),
        };
        sealed.events.push(stored);
    }
    Ok(sealed)
}
