//! The interface of storage engines.
//!
//! An engine stores rows and finds them. It assigns no sequence numbers, checks no rules and does not know the hash
//! chain; that is implemented once, above it. A new engine must pass the test suite in the crate
//! `journal-conformance`.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::fmt;
use std::ops::ControlFlow;
use std::sync::Arc;

use bytes::Bytes;
use journeyman_event::{ContentHash, Event, EventId, Owner, Revision, Sequence, TaskId};

use crate::Error;
use crate::reader::{Filter, Head, Snapshot};

/// The most concurrent reads by the journal, each on its own thread. An engine needs this many connections.
pub const READS_MAX: usize = 16;

/// How many snapshots are kept per stream: the newest.
pub const SNAPSHOTS_KEPT: usize = 4;

/// The reading side of a store, which also opens its writer. Calls may block.
pub trait Engine: fmt::Debug + Send + Sync + 'static {
    /// Opens the store for writing, creating it with this store id if it does not exist. While a writer exists,
    /// a second one gets [`Error::Locked`].
    fn open_writer(&self, new_store_id: &str) -> Result<Box<dyn Writer>, Error>;

    /// The holder of the store's write lock, if there is one.
    fn holder(&self) -> Option<Holder>;

    /// The name of the store in errors: the path of a file, the name of a database.
    fn name(&self) -> &str;

    /// What stands in the way of the next write, as far as that is known without trying:
    /// [`Error::Moved`] if the store's files were moved, deleted, replaced or cut short meanwhile, or why the store
    /// was opened and cannot be written to yet. An engine without files has nothing of the kind.
    fn obstacle(&self) -> Option<Error> {
        None
    }

    /// The id of the store, drawn once when it was created. Fails if there is no store.
    fn store_id(&self) -> Result<String, Error>;

    /// The last event.
    fn head(&self) -> Result<Head, Error>;

    /// Stored lines from a position on, in either direction.
    fn lines(&self, query: &Query<'_>) -> Result<Lines, Error>;

    /// The content of an owner's blob, as stored.
    fn blob(&self, owner: &Owner, hash: ContentHash) -> Result<Option<Bytes>, Error>;

    /// Streams of one owner or of all whose last event stands before a position, the one that was
    /// last written to first, without those that were erased.
    fn streams(
        &self,
        owner: Option<&Owner>,
        before: Sequence,
        limit: usize,
    ) -> Result<Vec<StreamRow>, Error>;

    /// The position of the event that records the erasure of a stream. `None` if the stream was not erased or does
    /// not exist.
    fn erasure(&self, stream: &StreamName) -> Result<Option<Sequence>, Error>;

    /// Blobs that an erased line cited, and for which it is not known yet whether another line cites them, at most
    /// `limit`.
    fn loose_blobs(&self, limit: usize) -> Result<Vec<(Owner, ContentHash)>, Error>;

    /// The size of the store in bytes, without free space that it will reuse.
    fn bytes(&self) -> Result<u64, Error>;

    /// The newest snapshot of a stream that is not newer than `at`.
    fn snapshot(&self, stream: &StreamName, at: Sequence) -> Result<Option<Snapshot>, Error>;

    /// Passes all blobs, then all events in order, then all streams to the walker, as of one moment, until the
    /// walker stops.
    fn walk(&self, walker: &mut dyn Walker) -> Result<(), Error>;
}

/// The only writer of a store. Dropping it releases the store.
pub trait Writer: Send {
    /// The last event, where the streams agree that it is the last one: otherwise the newest events
    /// were cut off, and going on would give their positions again.
    fn head(&mut self) -> Result<Head, Error>;

    /// The hash of an event; before the first event it is [`journeyman_event::ORIGIN_HASH`].
    fn hash_at(&mut self, sequence: Sequence) -> Result<Option<ContentHash>, Error>;

    /// Looks up the requested keys, calls `plan` with the rows, and writes the resulting changes durably, all
    /// in one transaction. After [`Error::Full`], [`Error::NotWritable`] and [`Error::Held`] nothing was written.
    /// After any other error the outcome is unknown, and [`Writer::reopen`] must be called next.
    fn write(
        &mut self,
        wanted: &LookupKeys,
        plan: &mut dyn FnMut(&LookupRows) -> Changes,
    ) -> Result<(), Error>;

    /// Keeps a snapshot of a stream, and of all of that stream's the newest [`SNAPSHOTS_KEPT`];
    /// nothing if there is no such stream or it was erased.
    fn keep_snapshot(&mut self, stream: &StreamName, snapshot: &Snapshot) -> Result<(), Error>;

    /// In one transaction: replaces the lines at these positions, so that nothing of the old lines is left in the
    /// store, and marks those of the cited blobs that exist as loose. Errors have the same meaning as those of
    /// [`Writer::write`].
    fn replace(
        &mut self,
        lines: &[(Sequence, String)],
        cited: &BTreeSet<(Owner, ContentHash)>,
    ) -> Result<(), Error>;

    /// In one transaction: rewrites the lines at these positions, so that the space left by longer lines between
    /// them can be returned.
    fn repack(&mut self, positions: &[Sequence]) -> Result<(), Error>;

    /// In one transaction: removes the mark `loose` from the kept blobs, and deletes the dropped ones.
    fn settle_blobs(
        &mut self,
        kept: &BTreeSet<(Owner, ContentHash)>,
        dropped: &BTreeSet<(Owner, ContentHash)>,
    ) -> Result<(), Error>;

    /// Returns a part of the free space to the file system. One call takes milliseconds.
    fn give_back(&mut self) -> Result<GivenBack, Error>;

    /// Rewrites the whole store, without free space and without remains of replaced or deleted data. The time
    /// grows with the size of the store, and nothing else is written until it is done.
    fn write_anew(&mut self) -> Result<(), Error>;

    /// Gives up what is open and opens the store again, without making one.
    fn reopen(&mut self) -> Result<(), Error>;
}

/// How much of the free space was returned.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum GivenBack {
    /// There is more free space to return.
    Some,
    /// All free space is returned, and no replaced or deleted data is left in the log.
    All,
    /// A reader uses an older version of the store. The call can be repeated when that reader has finished.
    Held,
}

/// The writer of a store, as its engine names it to a person: `process 4711`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Holder(String);

impl Holder {
    /// A holder with this description.
    pub fn new(name: impl Into<String>) -> Self {
        Self(name.into())
    }

    /// A process of this machine.
    pub fn process(id: u32) -> Self {
        Self(format!("process {id}"))
    }
}

impl fmt::Display for Holder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// The name of a stream.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct StreamName {
    /// The owner of the task.
    pub owner: Owner,
    /// The id of the task.
    pub task_id: TaskId,
}

impl fmt::Display for StreamName {
    /// Only the task id: the owner is clear from the context in which an owner sees it.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.task_id.fmt(f)
    }
}

impl StreamName {
    /// The name of the stream of an owner's task.
    pub fn of(owner: &Owner, task_id: &TaskId) -> Self {
        Self {
            owner: owner.clone(),
            task_id: task_id.clone(),
        }
    }
}

/// The direction of a read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Direction {
    /// From after the position towards the newest event.
    Forwards,
    /// From before the position towards the oldest event.
    Backwards,
}

/// The parameters of a read.
#[derive(Clone, Copy, Debug)]
pub struct Query<'a> {
    /// Only events of this owner; `None` for all owners.
    pub owner: Option<&'a Owner>,
    /// An engine must apply its task, kinds and upper bound; the rest is applied above it.
    pub filter: &'a Filter,
    /// The starting position, exclusive.
    pub position: Sequence,
    /// The direction of the read.
    pub direction: Direction,
    /// The most lines to return.
    pub lines_max: usize,
    /// The read may stop after the line that reaches this many bytes.
    pub bytes_max: usize,
}

/// The result of a read.
#[derive(Clone, Debug, Default)]
pub struct Lines {
    /// The stored lines.
    pub lines: Vec<ChainedLine>,
    /// Whether there are no more.
    pub ended: bool,
    /// Where one stream, or the whole store, was asked for: where its last event stands by the streams'
    /// own entries, as of the same moment. None if there is no such stream.
    pub newest: Option<Sequence>,
    /// If the query names one stream that was erased: the position of the event that records it.
    pub erasure: Option<Sequence>,
}

/// A stored line, with what it takes to know that it is as it was written.
#[derive(Clone, Debug)]
pub struct ChainedLine {
    /// The position of the event.
    pub sequence: Sequence,
    /// The stored line.
    pub line: Arc<str>,
    /// The hash of the preceding event in the store; `None` if that event is missing.
    pub previous: Option<ContentHash>,
}

/// What must be looked up before a group of appends is written.
#[derive(Clone, Debug, Default)]
pub struct LookupKeys {
    /// The ids of events that may be stored already.
    pub events: Vec<EventId>,
    /// The streams to append to.
    pub streams: BTreeSet<StreamName>,
    /// The blobs that payloads refer to.
    pub blobs: BTreeSet<(Owner, ContentHash)>,
}

/// The rows found for the looked-up keys.
#[derive(Clone, Debug, Default)]
pub struct LookupRows {
    /// Stored lines by event id.
    pub events: HashMap<EventId, Arc<str>>,
    /// The last revision of each stream.
    pub streams: HashMap<StreamName, Revision>,
    /// For each erased stream, the line of the event that records the erasure.
    pub erased: HashMap<StreamName, Arc<str>>,
    /// Blobs by their owner and hash.
    pub blobs: HashMap<(Owner, ContentHash), Bytes>,
}

/// What to write, all or nothing.
#[derive(Clone, Debug, Default)]
pub struct Changes {
    /// New events, in order.
    pub events: Vec<Event>,
    /// The state of streams afterwards.
    pub streams: BTreeMap<StreamName, StreamChange>,
    /// Blobs; some may be there already.
    pub blobs: BTreeMap<(Owner, ContentHash), Bytes>,
    /// Streams that this write erases, with the position of the event that records it. Their summaries and
    /// snapshots are deleted.
    pub erased: BTreeMap<StreamName, Sequence>,
}

/// Where a stream stands after a write.
#[derive(Clone, Debug)]
pub struct StreamChange {
    /// The revision of its last event.
    pub revision: Revision,
    /// The position of its last event.
    pub sequence: Sequence,
    /// The new summary; `None` leaves it unchanged.
    pub summary: Option<Summary>,
}

/// The summary of a stream for lists, with the hash that binds it to the stream.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Summary {
    /// The content, which is opaque to the journal.
    pub bytes: Vec<u8>,
    /// The hash as computed by [`Summary::hash_of`].
    pub hash: ContentHash,
}

impl Summary {
    /// The summary of a stream, with its hash.
    pub fn new(stream: &StreamName, bytes: Vec<u8>) -> Self {
        let hash = Self::hash_of(stream.owner.as_str(), stream.task_id.as_str(), &bytes);
        Self { bytes, hash }
    }

    /// The hash of a stream's summary: of its owner, its task id and the content, with a zero byte after each
    /// of the names.
    pub fn hash_of(owner: &str, task_id: &str, bytes: &[u8]) -> ContentHash {
        let parts = [owner.as_bytes(), b"\0", task_id.as_bytes(), b"\0", bytes];
        ContentHash::of(&parts.concat())
    }
}

/// A stream as an engine stores it.
#[derive(Clone, Debug)]
pub struct StreamRow {
    /// The name of the stream.
    pub name: StreamName,
    /// The revision of its last event.
    pub revision: Revision,
    /// The position of its last event.
    pub sequence: Sequence,
    /// The summary shown in lists.
    pub summary: Option<Vec<u8>>,
    /// The stored hash of the summary.
    pub summary_hash: Option<ContentHash>,
}

impl StreamRow {
    /// The summary, if it matches its hash.
    pub(crate) fn sound_summary(&self) -> Option<&[u8]> {
        let summary = self.summary.as_deref()?;
        let (owner, task) = (self.name.owner.as_str(), self.name.task_id.as_str());
        let fits = self.summary_hash == Some(Summary::hash_of(owner, task, summary));
        fits.then_some(summary)
    }
}

/// Receives the contents of a whole store.
pub trait Walker {
    /// Called for each blob.
    fn blob(&mut self, owner: &str, hash: &[u8], bytes: &[u8]) -> ControlFlow<()>;
    /// Called for each event, with its line and the columns by which the engine finds it.
    fn event(&mut self, row: &Row<'_>) -> ControlFlow<()>;
    /// Called for a row that is not a valid event row; 0 for what belongs to no event.
    fn unreadable(&mut self, sequence: i64, reason: String) -> ControlFlow<()>;
    /// Called for each stream.
    fn stream(&mut self, stream: &RawStream<'_>) -> ControlFlow<()>;
}

/// A stream row as passed to a walker, not validated.
#[derive(Clone, Copy, Debug)]
pub struct RawStream<'a> {
    /// The owner of the task.
    pub owner: &'a str,
    /// The id of the task.
    pub task_id: &'a str,
    /// The revision of its last event.
    pub revision: i64,
    /// The position of its last event.
    pub sequence: i64,
    /// The summary shown in lists.
    pub summary: Option<&'a [u8]>,
    /// The 32 bytes of the hash that was kept with that.
    pub summary_hash: Option<&'a [u8]>,
    /// The position of the event that records its erasure, if it was erased.
    pub erasure: Option<i64>,
}

/// An event as an engine keeps it.
#[derive(Clone, Copy, Debug)]
pub struct Row<'a> {
    /// The position in the store.
    pub sequence: i64,
    /// The position in the stream.
    pub revision: i64,
    /// The 16 bytes of its id.
    pub id: &'a [u8],
    /// The kind of the event.
    pub kind: &'a str,
    /// The owner of the stream.
    pub owner: &'a str,
    /// The task id of the stream.
    pub task_id: &'a str,
    /// The stored line.
    pub line: &'a str,
}
