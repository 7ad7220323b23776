//! What a journal needs from whatever keeps its lines.
//!
//! An engine keeps rows and finds them again; it gives no sequence, checks no rule and knows no
//! hash chain: that is done once, above it. Whoever writes a new one runs the suite of the crate
//! `journal-conformance` over it.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::fmt;
use std::ops::ControlFlow;
use std::sync::Arc;

use bytes::Bytes;
use journeyman_event::{ContentHash, Event, EventId, Owner, Revision, Sequence, TaskId};

use crate::Error;
use crate::reader::{Filter, Head, Snapshot};

/// Reads that the journal does at once, each on a thread of its own: so many connections an engine
/// needs for them.
pub const READS_MAX: usize = 16;

/// Snapshots that are kept of a stream: the newest.
pub const SNAPSHOTS_KEPT: usize = 4;

/// The reading side of a store, and the way to its writer. Calls may block.
pub trait Engine: fmt::Debug + Send + Sync + 'static {
    /// Takes the store for writing and makes it, with this name of its own, if there is none. While
    /// the writer lives, another one gets [`Error::Locked`].
    fn open_writer(&self, new_store_id: &str) -> Result<Box<dyn Writer>, Error>;

    /// Who holds the store for writing, if anybody does.
    fn holder(&self) -> Option<Holder>;

    /// What errors call the store: a file's path, the name of a database.
    fn name(&self) -> &str;

    /// What stands in the way of the next write, as far as that is known without trying:
    /// [`Error::Moved`] if the store's files were moved, deleted, replaced or cut short meanwhile, or why the store
    /// was opened and cannot be written to yet. An engine without files has nothing of the kind.
    fn obstacle(&self) -> Option<Error> {
        None
    }

    /// The store's own name, drawn once when it was made. An error if there is no store.
    fn store_id(&self) -> Result<String, Error>;

    /// The last event.
    fn head(&self) -> Result<Head, Error>;

    /// Lines from a position on, in the store's order or against it.
    fn lines(&self, query: &Query<'_>) -> Result<Lines, Error>;

    /// A blob of one owner's, as it is stored.
    fn blob(&self, owner: &Owner, hash: ContentHash) -> Result<Option<Bytes>, Error>;

    /// Streams of one owner or of all whose last event stands before a position, the one that was
    /// last written to first.
    fn streams(
        &self,
        owner: Option<&Owner>,
        before: Sequence,
        limit: usize,
    ) -> Result<Vec<StreamRow>, Error>;

    /// The newest snapshot of a stream that is not newer than `at`.
    fn snapshot(&self, stream: &StreamName, at: Sequence) -> Result<Option<Snapshot>, Error>;

    /// Shows the walker all blobs, then all events in order, then all streams, as of one moment,
    /// until it breaks off.
    fn walk(&self, walker: &mut dyn Walker) -> Result<(), Error>;
}

/// The one writer of a store. Dropping it frees the store.
pub trait Writer: Send {
    /// The last event, where the streams agree that it is the last one: otherwise the newest events
    /// were cut off, and going on would give their positions again.
    fn head(&mut self) -> Result<Head, Error>;

    /// The hash of an event; that of "before the first" is [`journeyman_event::ORIGIN_HASH`].
    fn hash_at(&mut self, sequence: Sequence) -> Result<Option<ContentHash>, Error>;

    /// In one transaction: looks up what is wanted, asks `plan` what to write, and makes it durable.
    /// With [`Error::Full`] and [`Error::NotWritable`] nothing was written; after any other error
    /// nothing is known, and [`Writer::reopen`] comes before all else.
    fn write(
        &mut self,
        wanted: &LookupKeys,
        plan: &mut dyn FnMut(&LookupRows) -> Changes,
    ) -> Result<(), Error>;

    /// Keeps a snapshot of a stream, and of all of that stream's the newest [`SNAPSHOTS_KEPT`];
    /// nothing if there is no such stream.
    fn keep_snapshot(&mut self, stream: &StreamName, snapshot: &Snapshot) -> Result<(), Error>;

    /// Gives up what is open and opens the store again, without making one.
    fn reopen(&mut self) -> Result<(), Error>;
}

/// The writer of a store, as its engine names it to a person: `process 4711`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Holder(String);

impl Holder {
    /// A writer that is called so.
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

/// What names a stream.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct StreamName {
    /// Whose.
    pub owner: Owner,
    /// Which of theirs.
    pub task_id: TaskId,
}

impl fmt::Display for StreamName {
    /// The task alone: whose it is goes without saying where one owner is spoken to.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.task_id.fmt(f)
    }
}

impl StreamName {
    /// The stream of this owner's task.
    pub fn of(owner: &Owner, task_id: &TaskId) -> Self {
        Self {
            owner: owner.clone(),
            task_id: task_id.clone(),
        }
    }
}

/// Which way a read goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Direction {
    /// From after the position towards the newest.
    Forwards,
    /// From before the position towards the oldest.
    Backwards,
}

/// What a read asks for.
#[derive(Clone, Copy, Debug)]
pub struct Query<'a> {
    /// Whose events; none for everyone's.
    pub owner: Option<&'a Owner>,
    /// An engine must heed its task, kinds and end; the rest is done above it.
    pub filter: &'a Filter,
    /// Where it begins; the event there is left out.
    pub position: Sequence,
    /// Which way it goes.
    pub direction: Direction,
    /// Lines at the most.
    pub lines_max: usize,
    /// It may stop after the line that reaches this many bytes.
    pub bytes_max: usize,
}

/// What a read found.
#[derive(Clone, Debug, Default)]
pub struct Lines {
    /// Stored lines.
    pub lines: Vec<ChainedLine>,
    /// Whether there are no more.
    pub ended: bool,
    /// Where one stream, or the whole store, was asked for: where its last event stands by the streams'
    /// own entries, as of the same moment. None if there is no such stream.
    pub newest: Option<Sequence>,
}

/// A stored line, with what it takes to know that it is as it was written.
#[derive(Clone, Debug)]
pub struct ChainedLine {
    /// Its position.
    pub sequence: Sequence,
    /// The line.
    pub line: Arc<str>,
    /// The hash of the event before it in the store; none where that one is not there.
    pub previous: Option<ContentHash>,
}

/// What a group of appends has to know before it is written.
#[derive(Clone, Debug, Default)]
pub struct LookupKeys {
    /// Events that may be stored already.
    pub events: Vec<EventId>,
    /// Streams that are appended to.
    pub streams: BTreeSet<StreamName>,
    /// Blobs that payloads refer to.
    pub blobs: BTreeSet<(Owner, ContentHash)>,
}

/// Of what was wanted, what there is.
#[derive(Clone, Debug, Default)]
pub struct LookupRows {
    /// Lines of events by their id.
    pub events: HashMap<EventId, Arc<str>>,
    /// The last revision of each stream.
    pub streams: HashMap<StreamName, Revision>,
    /// Blobs.
    pub blobs: HashMap<(Owner, ContentHash), Bytes>,
}

/// What is to be written, all or none.
#[derive(Clone, Debug, Default)]
pub struct Changes {
    /// New events, in the store's order.
    pub events: Vec<Event>,
    /// Where streams stand afterwards.
    pub streams: BTreeMap<StreamName, StreamChange>,
    /// Blobs; some may be there already.
    pub blobs: BTreeMap<(Owner, ContentHash), Bytes>,
}

/// Where a stream stands after a write.
#[derive(Clone, Debug)]
pub struct StreamChange {
    /// Its last event's revision.
    pub revision: Revision,
    /// Its last event's position.
    pub sequence: Sequence,
    /// What lists show of it; none leaves what they showed.
    pub summary: Option<Summary>,
}

/// What lists show of a stream, with the hash that ties it to that stream.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Summary {
    /// What its writer wants to be shown.
    pub bytes: Vec<u8>,
    /// [`Summary::hash_of`] them.
    pub hash: ContentHash,
}

impl Summary {
    /// The summary of a stream.
    pub fn new(stream: &StreamName, bytes: Vec<u8>) -> Self {
        let hash = Self::hash_of(stream.owner.as_str(), stream.task_id.as_str(), &bytes);
        Self { bytes, hash }
    }

    /// The hash of a stream's summary: of its owner, its task and the bytes, with a zero byte after
    /// each of the names.
    pub fn hash_of(owner: &str, task_id: &str, bytes: &[u8]) -> ContentHash {
        let parts = [owner.as_bytes(), b"\0", task_id.as_bytes(), b"\0", bytes];
        ContentHash::of(&parts.concat())
    }
}

/// A stream as an engine keeps it.
#[derive(Clone, Debug)]
pub struct StreamRow {
    /// Which.
    pub name: StreamName,
    /// Its last event's revision.
    pub revision: Revision,
    /// Its last event's position.
    pub sequence: Sequence,
    /// What lists show of it.
    pub summary: Option<Vec<u8>>,
    /// The hash that was kept with that.
    pub summary_hash: Option<ContentHash>,
}

impl StreamRow {
    /// The summary, if it is as it was written.
    pub(crate) fn sound_summary(&self) -> Option<&[u8]> {
        let summary = self.summary.as_deref()?;
        let (owner, task) = (self.name.owner.as_str(), self.name.task_id.as_str());
        let fits = self.summary_hash == Some(Summary::hash_of(owner, task, summary));
        fits.then_some(summary)
    }
}

/// What is shown the whole store.
pub trait Walker {
    /// The next blob.
    fn blob(&mut self, owner: &str, hash: &[u8], bytes: &[u8]) -> ControlFlow<()>;
    /// The next event: its line, and what the engine finds it by.
    fn event(&mut self, row: &Row<'_>) -> ControlFlow<()>;
    /// A row that is not what an event's row is; 0 for what belongs to no event.
    fn unreadable(&mut self, sequence: i64, reason: String) -> ControlFlow<()>;
    /// The next stream.
    fn stream(&mut self, stream: &RawStream<'_>) -> ControlFlow<()>;
}

/// A stream as a walker is shown it, whatever is in it.
#[derive(Clone, Copy, Debug)]
pub struct RawStream<'a> {
    /// Whose.
    pub owner: &'a str,
    /// Which.
    pub task_id: &'a str,
    /// Its last event's revision.
    pub revision: i64,
    /// Its last event's position.
    pub sequence: i64,
    /// What lists show of it.
    pub summary: Option<&'a [u8]>,
    /// The 32 bytes of the hash that was kept with that.
    pub summary_hash: Option<&'a [u8]>,
}

/// An event as an engine keeps it.
#[derive(Clone, Copy, Debug)]
pub struct Row<'a> {
    /// Its position.
    pub sequence: i64,
    /// Its position in the stream.
    pub revision: i64,
    /// The 16 bytes of its id.
    pub id: &'a [u8],
    /// Its kind.
    pub kind: &'a str,
    /// Whose stream.
    pub owner: &'a str,
    /// Which stream.
    pub task_id: &'a str,
    /// The stored line.
    pub line: &'a str,
}
