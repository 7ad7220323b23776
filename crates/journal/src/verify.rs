//! Walks the log and names the first record that is not as it was written.
//!
//! That the newest events were cut off whole shows only against a head that was kept: give it to the
//! walk.

use std::collections::{HashMap, HashSet};
use std::fmt;
use std::mem;
use std::ops::ControlFlow;
use std::sync::mpsc;
use std::thread;

use journeyman_event::{ContentHash, Event, EventId, Revision, Sequence, VectorClock};

use crate::Error;
use crate::engine::{Engine, Row, Walker};
use crate::reader::Head;

/// Records that are handed over together.
const BATCH: usize = 256;
/// Batches that may wait to be compared.
const BATCHES_WAITING: usize = 8;

/// What is wrong with a record.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Flaw {
    /// A sequence is missing or out of order.
    Sequence {
        /// What should stand here.
        expected: Sequence,
    },
    /// A revision of its stream is missing or out of order.
    Revision {
        /// What should stand here.
        expected: Revision,
    },
    /// The line cannot be read.
    Unreadable(String),
    /// The bytes are not those that were written, or what stood before them was changed.
    Hash,
    /// The row says something else than its line.
    Columns,
    /// A payload that is kept as a blob is missing or has other bytes.
    Blob(ContentHash),
    /// An actor's clock went back within its stream.
    Clock,
    /// The stream's row is not what its last event says.
    Stream,
    /// Another event stood here when its hash was kept.
    Rewritten,
    /// The store ends before this event, which it had.
    Cut,
}

impl fmt::Display for Flaw {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Sequence { expected } => write!(f, "sequence {expected} should stand here"),
            Self::Revision { expected } => write!(f, "revision {expected} should stand here"),
            Self::Unreadable(problem) => write!(f, "the line cannot be read: {problem}"),
            Self::Hash => {
                f.write_str("the hash does not fit: this event or one before it was changed")
            }
            Self::Columns => f.write_str("the row's columns do not fit its line"),
            Self::Blob(hash) => write!(f, "its payload {hash} is missing or changed"),
            Self::Clock => f.write_str("the actor's vector clock went back"),
            Self::Stream => f.write_str("the stream's last position does not fit its events"),
            Self::Rewritten => f.write_str("another event stood here when the head was kept"),
            Self::Cut => {
                f.write_str("the journal ends before it, and had it when the head was kept")
            }
        }
    }
}

/// The first record that is not as it should be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Bad {
    /// Where; 0 for a blob that no event cites.
    pub sequence: Sequence,
    /// What is wrong.
    pub what: Flaw,
}

/// What a walk over the store found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct VerifyReport {
    /// Sound events, up to the first bad one.
    pub events: u64,
    /// The last sound event.
    pub head: Head,
    /// The first bad record.
    pub first_bad: Option<Bad>,
    /// Events whose cause is not in the store: accepted, but worth a look.
    pub unknown_causes: u64,
}

impl VerifyReport {
    /// Whether every record is as it was written.
    pub fn ok(&self) -> bool {
        self.first_bad.is_none()
    }
}

/// Walks the store and checks it: one thread reads, another compares.
pub(crate) fn verify(engine: &dyn Engine, known: Option<Head>) -> Result<VerifyReport, Error> {
    let (found, records) = mpsc::sync_channel::<Vec<Record>>(BATCHES_WAITING);
    thread::scope(|scope| {
        let checking = scope.spawn(move || {
            let mut check = Check::new(known);
            let mut records = records.into_iter().flatten();
            let _ = records.try_for_each(|record| check.take(record));
            check.report()
        });
        let mut walk = Walk {
            found,
            batch: Vec::new(),
        };
        engine.walk(&mut walk)?;
        let _ = walk.hand_over(); // whoever found a flaw already listens no more
        drop(walk);
        checking.join().map_err(|_| Error::Closed)
    })
}

/// What the walk found, to be compared with what came before it.
enum Record {
    Blob {
        owner: String,
        /// None if it is no hash.
        hash: Option<ContentHash>,
        is_sound: bool,
    },
    Event {
        sequence: Sequence,
        /// The event, and whether the row's columns fit it.
        read: Result<(Event, bool), String>,
    },
    /// What is no event's row.
    Unreadable { sequence: Sequence, reason: String },
    Stream {
        owner: String,
        task_id: String,
        revision: i64,
        sequence: i64,
    },
}

/// Reads, and hands over what it found.
struct Walk {
    found: mpsc::SyncSender<Vec<Record>>,
    batch: Vec<Record>,
}

impl Walk {
    fn find(&mut self, record: Record) -> ControlFlow<()> {
        self.batch.push(record);
        if self.batch.len() < BATCH {
            return ControlFlow::Continue(());
        }
        self.hand_over()
    }

    fn hand_over(&mut self) -> ControlFlow<()> {
        match self.found.send(mem::take(&mut self.batch)) {
            Ok(()) => ControlFlow::Continue(()),
            Err(_) => ControlFlow::Break(()),
        }
    }
}

/// A position as the store counts; 0 for what is none.
fn position(sequence: i64) -> Sequence {
    Sequence(u64::try_from(sequence).unwrap_or(0))
}

/// The event of a row, and whether the row's other columns fit it.
fn event_of(row: &Row<'_>) -> Result<(Event, bool), String> {
    let event = Event::from_line(row.line).map_err(|error| error.to_string())?;
    let fits = event.sequence() == position(row.sequence)
        && u64::try_from(row.revision) == Ok(event.revision().0)
        && event.id().as_bytes() == row.id
        && event.kind() == row.kind
        && event.owner().as_str() == row.owner
        && event.task_id().as_str() == row.task_id;
    Ok((event, fits))
}

impl Walker for Walk {
    fn blob(&mut self, owner: &str, hash: &[u8], bytes: &[u8]) -> ControlFlow<()> {
        let hash = hash.try_into().ok().map(ContentHash::from_bytes);
        self.find(Record::Blob {
            owner: owner.to_owned(),
            hash,
            is_sound: Some(ContentHash::of(bytes)) == hash,
        })
    }

    fn event(&mut self, row: &Row<'_>) -> ControlFlow<()> {
        self.find(Record::Event {
            sequence: position(row.sequence),
            read: event_of(row),
        })
    }

    fn unreadable(&mut self, sequence: i64, reason: String) -> ControlFlow<()> {
        let sequence = position(sequence);
        self.find(Record::Unreadable { sequence, reason })
    }

    fn stream(
        &mut self,
        owner: &str,
        task_id: &str,
        revision: i64,
        sequence: i64,
    ) -> ControlFlow<()> {
        self.find(Record::Stream {
            owner: owner.to_owned(),
            task_id: task_id.to_owned(),
            revision,
            sequence,
        })
    }
}

struct BadBlob {
    owner: String,
    hash: ContentHash,
    /// The hash as it is cited.
    cited_as: String,
}

struct Check {
    /// A head that was kept.
    known: Option<Head>,
    head: Head,
    streams: Vec<Walked>,
    /// By owner and task, where in `streams` it is.
    places: HashMap<String, HashMap<String, usize>>,
    ids: HashSet<EventId>,
    unknown_causes: u64,
    blobs: HashSet<(String, ContentHash)>,
    /// Blobs with other bytes than their hash says, until an event is found that cites them.
    bad_blobs: Vec<BadBlob>,
    first_bad: Option<Bad>,
}

#[derive(Default)]
struct Walked {
    revision: Revision,
    sequence: Sequence,
    /// Of each actor, the clock of its last event.
    clocks: HashMap<String, VectorClock>,
}

impl Check {
    fn new(known: Option<Head>) -> Self {
        Self {
            known,
            head: Head::NONE,
            streams: Vec::new(),
            places: HashMap::new(),
            ids: HashSet::new(),
            unknown_causes: 0,
            blobs: HashSet::new(),
            bad_blobs: Vec::new(),
            first_bad: None,
        }
    }

    fn bad(&mut self, sequence: Sequence, what: Flaw) -> ControlFlow<()> {
        self.first_bad = Some(Bad { sequence, what });
        ControlFlow::Break(())
    }

    fn report(mut self) -> VerifyReport {
        let cut = self
            .known
            .filter(|known| known.sequence > self.head.sequence);
        if self.first_bad.is_none() {
            if let Some(known) = cut {
                let _ = self.bad(known.sequence, Flaw::Cut);
            } else if let Some(blob) = self.bad_blobs.pop() {
                let _ = self.bad(Sequence::ZERO, Flaw::Blob(blob.hash));
            }
        }
        VerifyReport {
            events: self.head.sequence.0,
            head: self.head,
            first_bad: self.first_bad,
            unknown_causes: self.unknown_causes,
        }
    }

    fn place_of(&mut self, owner: &str, task_id: &str) -> usize {
        let place = self.places.get(owner).and_then(|tasks| tasks.get(task_id));
        place.copied().unwrap_or_else(|| {
            let place = self.streams.len();
            self.streams.push(Walked::default());
            let tasks = self.places.entry(owner.to_owned()).or_default();
            tasks.insert(task_id.to_owned(), place);
            place
        })
    }

    fn take(&mut self, record: Record) -> ControlFlow<()> {
        match record {
            Record::Blob {
                owner,
                hash,
                is_sound,
            } => self.blob(owner, hash, is_sound),
            Record::Event { sequence, read } => match self.event(sequence, read) {
                Ok(hash) => {
                    self.head = Head { sequence, hash };
                    ControlFlow::Continue(())
                }
                Err(what) => self.bad(sequence, what),
            },
            Record::Unreadable { sequence, reason } => self.bad(sequence, Flaw::Unreadable(reason)),
            Record::Stream {
                owner,
                task_id,
                revision,
                sequence,
            } => self.stream(&owner, &task_id, revision, sequence),
        }
    }

    /// A blob that is missing shows only where it is an event's payload: which others an event
    /// cites is the payload's own affair.
    fn blob(
        &mut self,
        owner: String,
        hash: Option<ContentHash>,
        is_sound: bool,
    ) -> ControlFlow<()> {
        let Some(hash) = hash else {
            let reason = "the hash of a blob has not 32 bytes".to_owned();
            return self.bad(Sequence::ZERO, Flaw::Unreadable(reason));
        };
        if is_sound {
            self.blobs.insert((owner, hash));
        } else {
            self.bad_blobs.push(BadBlob {
                owner,
                hash,
                cited_as: hash.to_string(),
            });
        }
        ControlFlow::Continue(())
    }

    fn event(
        &mut self,
        sequence: Sequence,
        read: Result<(Event, bool), String>,
    ) -> Result<ContentHash, Flaw> {
        let expected = self.head.sequence.next();
        if sequence != expected {
            return Err(Flaw::Sequence { expected });
        }
        let (event, columns_fit) = read.map_err(Flaw::Unreadable)?;
        if !event.follows(self.head.hash) {
            return Err(Flaw::Hash);
        }
        if !columns_fit {
            return Err(Flaw::Columns);
        }
        let (owner, task_id) = (event.owner().as_str(), event.task_id().as_str());
        if let Some(hash) = event.blob()
            && !self.blobs.contains(&(owner.to_owned(), hash))
        {
            return Err(Flaw::Blob(hash));
        }
        let mut bad = self.bad_blobs.iter();
        let cited = bad.find(|bad| bad.owner == owner && event.line().contains(&bad.cited_as));
        if let Some(cited) = cited {
            return Err(Flaw::Blob(cited.hash));
        }
        let place = self.place_of(owner, task_id);
        let stream = &mut self.streams[place];
        let expected = stream.revision.next();
        if event.revision() != expected {
            return Err(Flaw::Revision { expected });
        }
        if let Some(last) = stream.clocks.get_mut(event.actor()) {
            if event.clock().happens_before(last) {
                return Err(Flaw::Clock);
            }
            last.clone_from(event.clock());
        } else {
            let (actor, clock) = (event.actor().to_owned(), event.clock().clone());
            stream.clocks.insert(actor, clock);
        }
        stream.revision = event.revision();
        stream.sequence = sequence;
        let cause = event.causation_id();
        if cause.is_some_and(|cause| !self.ids.contains(&cause)) {
            self.unknown_causes += 1;
        }
        self.ids.insert(event.id());
        let rewritten = self
            .known
            .is_some_and(|known| known.sequence == sequence && known.hash != event.hash());
        if rewritten {
            return Err(Flaw::Rewritten);
        }
        Ok(event.hash())
    }

    fn stream(
        &mut self,
        owner: &str,
        task_id: &str,
        revision: i64,
        sequence: i64,
    ) -> ControlFlow<()> {
        let place = self.places.get(owner).and_then(|tasks| tasks.get(task_id));
        let walked = place.and_then(|&place| self.streams.get(place));
        let fits = walked.is_some_and(|walked| {
            u64::try_from(revision) == Ok(walked.revision.0)
                && u64::try_from(sequence) == Ok(walked.sequence.0)
        });
        if fits {
            return ControlFlow::Continue(());
        }
        self.bad(position(sequence), Flaw::Stream)
    }
}
