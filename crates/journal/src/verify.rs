//! Walks the log and names the first record that is not as it was written.
//!
//! That the newest events were cut off whole shows only against a head that was kept: give it to the
//! walk.
//!
//! The hash of an erased line is that of the original line, and the following events chain to it. Verification
//! accepts such a line only with the record of its erasure: an event of the chain that contains a digest over all
//! lines of the stream in their erased form. The original content of an erased line cannot be verified.

use std::collections::{HashMap, HashSet};
use std::fmt;
use std::ops::ControlFlow;

use journeyman_event::payload::{ERASURES, ErasureCompleted, ErasureStarted};
use journeyman_event::{
    ContentHash, EventId, ORIGIN_HASH, Principal, Revision, Sequence, StoredLine, VectorClock,
    erasure_digest,
};

use crate::Error;
use crate::engine::{Engine, RawStream, Row, Summary, Walker};
use crate::reader::Head;
use crate::relay;
use crate::transfer::HASH_CHARS;

/// The members of a payload that refer to a text, up to the hash. In a string inside the payload the quotation
/// marks would be escaped.
const CITES: &[&str] = &["\"blob\":\"", "\"schema\":\""];

/// What is wrong with a record.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Flaw {
    /// A sequence number is missing or out of order.
    Sequence {
        /// The expected sequence number.
        expected: Sequence,
    },
    /// A revision of the stream is missing or out of order.
    Revision {
        /// The expected revision.
        expected: Revision,
    },
    /// The line cannot be parsed.
    Unreadable(String),
    /// The hash is wrong: this line or an earlier one was changed.
    Hash,
    /// The columns of the row do not match its line.
    Columns,
    /// A payload stored as a blob is missing or was changed.
    Blob(ContentHash),
    /// A text that the event refers to as part of a prompt is missing.
    Text(ContentHash),
    /// An actor's vector clock went backwards within the stream.
    Clock,
    /// The stream's row does not match its last event.
    Stream,
    /// What lists show of the stream is not what was written.
    Summary,
    /// The line is marked as erased, and there is no record of the erasure of its stream.
    Unrecorded,
    /// The erased events of its stream differ from those described by the record at this position.
    ErasedOthers(Sequence),
    /// The record at this position says that the event was erased, and it was not.
    NotErased(Sequence),
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
            Self::Text(hash) => write!(f, "the text {hash}, which it cites, is missing"),
            Self::Clock => f.write_str("the actor's vector clock went back"),
            Self::Stream => f.write_str("the stream's last position does not fit its events"),
            Self::Summary => f.write_str("what lists show of its stream was changed"),
            Self::Unrecorded => {
                f.write_str("it says that it was erased, and no record of that erasure is here")
            }
            Self::ErasedOthers(record) => write!(
                f,
                "the erased events of its stream are not those that the record at {record} is about"
            ),
            Self::NotErased(record) => write!(
                f,
                "it should have been erased by what is recorded at {record}, and it is not"
            ),
            Self::Rewritten => f.write_str("another event stood here when the head was kept"),
            Self::Cut => {
                f.write_str("the journal ends before it, and had it when the head was kept")
            }
        }
    }
}

/// The first invalid record.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BadRecord {
    /// The position; 0 for a blob that no event refers to.
    pub sequence: Sequence,
    /// What is wrong with it.
    pub what: Flaw,
}

/// The result of verifying a store.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct VerifyReport {
    /// The number of valid events before the first invalid record.
    pub events: u64,
    /// The last valid event.
    pub head: Head,
    /// The first invalid record.
    pub first_bad: Option<BadRecord>,
    /// Events whose cause is not in the store: accepted, but worth a look.
    pub unknown_causes: u64,
    /// The number of erased events among the sound ones.
    pub erased: u64,
    /// The number of erased streams.
    pub erasures: u64,
    /// The number of erased streams whose erasure has not completed. Some of their events may still have payloads.
    pub erasures_unfinished: u64,
}

impl VerifyReport {
    /// Whether all records are valid.
    pub fn ok(&self) -> bool {
        self.first_bad.is_none()
    }
}

/// Verifies a store.
pub(crate) fn verify(engine: &dyn Engine, known: Option<Head>) -> Result<VerifyReport, Error> {
    let mut walk = Walk::new(known);
    relay::walk(engine, &mut walk)?;
    Ok(walk.report())
}

struct BadBlob {
    owner: String,
    hash: ContentHash,
    /// The hash by which events refer to it.
    cited_as: String,
}

struct Walk {
    /// The head that was kept elsewhere.
    known: Option<Head>,
    head: Head,
    streams: Vec<Walked>,
    /// The index into `streams`, by owner and task.
    places: HashMap<String, HashMap<String, usize>>,
    ids: HashSet<EventId>,
    unknown_causes: u64,
    blobs: HashSet<(String, ContentHash)>,
    /// Blobs with other bytes than their hash says, until an event is found that cites them.
    bad_blobs: Vec<BadBlob>,
    first_bad: Option<BadRecord>,
    erased: u64,
    records: Vec<Record>,
    /// The index in `records` of each erasure, by the event that began it.
    record_of: HashMap<EventId, usize>,
}

#[derive(Default)]
struct Walked {
    revision: Revision,
    sequence: Sequence,
    /// Of each actor, the clock of its last event.
    clocks: HashMap<String, VectorClock>,
    /// The erased lines at the beginning of the stream.
    erased: Option<ErasedLines>,
    /// The index in the walk's records of its erasure.
    record: Option<usize>,
}

struct ErasedLines {
    by: EventId,
    first: Sequence,
    count: u64,
    digest: ContentHash,
}

/// The record of an erasure.
struct Record {
    sequence: Sequence,
    id: EventId,
    revision: Revision,
    digest: ContentHash,
    has_ended: bool,
    /// The index in the walk's streams of the erased stream.
    place: usize,
}

impl Walk {
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
            erased: 0,
            records: Vec::new(),
            record_of: HashMap::new(),
        }
    }

    fn bad(&mut self, sequence: Sequence, what: Flaw) -> ControlFlow<()> {
        self.first_bad = Some(BadRecord { sequence, what });
        ControlFlow::Break(())
    }

    fn report(mut self) -> VerifyReport {
        let cut = self
            .known
            .filter(|known| known.sequence > self.head.sequence);
        if self.first_bad.is_none() {
            if let Some(known) = cut {
                let _ = self.bad(known.sequence, Flaw::Cut);
            } else if let Some(bad) = self.bad_erasure() {
                self.first_bad = Some(bad);
            } else if let Some(blob) = self.bad_blobs.pop() {
                let _ = self.bad(Sequence::ZERO, Flaw::Blob(blob.hash));
            }
        }
        VerifyReport {
            events: self.head.sequence.0,
            head: self.head,
            first_bad: self.first_bad,
            unknown_causes: self.unknown_causes,
            erased: self.erased,
            erasures: self.records.len() as u64,
            erasures_unfinished: self.records.iter().filter(|one| !one.has_ended).count() as u64,
        }
    }

    /// The first erased line that does not match its record, or event that should be erased and is not.
    fn bad_erasure(&self) -> Option<BadRecord> {
        let unrecorded = self.streams.iter().filter_map(|stream| {
            let lines = stream.erased.as_ref()?;
            let record = stream.record.map(|at| &self.records[at]);
            let is_recorded = record.is_some_and(|record| record.id == lines.by);
            (!is_recorded).then_some(BadRecord {
                sequence: lines.first,
                what: Flaw::Unrecorded,
            })
        });
        let unlike = self.records.iter().filter_map(|record| {
            let stream = &self.streams[record.place];
            let (count, digest) = match &stream.erased {
                Some(lines) => (lines.count, lines.digest),
                None => (0, ORIGIN_HASH),
            };
            let at = record.sequence;
            let what = if stream.revision != record.revision
                || count == record.revision.0 && digest != record.digest
            {
                Flaw::ErasedOthers(at)
            } else if record.has_ended && count < record.revision.0 {
                Flaw::NotErased(at)
            } else {
                return None;
            };
            let first = stream.erased.as_ref().map(|lines| lines.first);
            Some(BadRecord {
                sequence: first.unwrap_or(stream.sequence),
                what,
            })
        });
        unrecorded.chain(unlike).min_by_key(|bad| bad.sequence)
    }

    /// Reads the event if it is a record of an erasure.
    fn take_record(&mut self, event: &StoredLine<'_>) -> Result<(), Flaw> {
        let system = Principal::system();
        let is_record = event.owner == *system.owner()
            && event.task_id.as_str() == ERASURES
            // An imported record belongs to the history of another store.
            && event.origin.is_none();
        if !is_record {
            return Ok(());
        }
        let unreadable = |error: serde_json::Error| Flaw::Unreadable(error.to_string());
        match &*event.kind {
            "erasure_started" => {
                let started: ErasureStarted =
                    serde_json::from_str(event.data).map_err(unreadable)?;
                let place = self.place_of(started.owner.as_str(), started.task_id.as_str());
                if self.streams[place].record.is_some() {
                    return Err(Flaw::ErasedOthers(event.sequence));
                }
                self.streams[place].record = Some(self.records.len());
                self.record_of.insert(event.id, self.records.len());
                self.records.push(Record {
                    sequence: event.sequence,
                    id: event.id,
                    revision: started.revision,
                    digest: started.digest,
                    has_ended: false,
                    place,
                });
            }
            "erasure_completed" => {
                let _: ErasureCompleted = serde_json::from_str(event.data).map_err(unreadable)?;
                let started = event.causation_id.and_then(|id| self.record_of.get(&id));
                match started {
                    Some(&at) => self.records[at].has_ended = true,
                    None => return Err(Flaw::Unrecorded),
                }
            }
            _ => {}
        }
        Ok(())
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

    fn check(&mut self, row: &Row<'_>, sequence: Sequence) -> Result<ContentHash, Flaw> {
        let expected = self.head.sequence.next();
        if sequence != expected {
            return Err(Flaw::Sequence { expected });
        }
        let unreadable = |problem: &dyn fmt::Display| Flaw::Unreadable(problem.to_string());
        let revision = u64::try_from(row.revision).map_err(|error| unreadable(&error))?;
        let id: [u8; 16] = row.id.try_into().map_err(|error| unreadable(&error))?;
        let event = StoredLine::read(row.line).map_err(|error| unreadable(&error))?;
        let erased_by = event.erased();
        if erased_by.is_none() && !event.follows(self.head.hash) {
            return Err(Flaw::Hash);
        }
        let same = event.sequence == sequence
            && event.revision.0 == revision
            && event.id.as_bytes() == &id
            && event.kind == row.kind
            && event.owner.as_str() == row.owner
            && event.task_id.as_str() == row.task_id;
        if !same {
            return Err(Flaw::Columns);
        }
        if let Some(hash) = event.blob()
            && !self.blobs.contains(&(row.owner.to_owned(), hash))
        {
            return Err(Flaw::Blob(hash));
        }
        if let Some(missing) = texts_of(row.line).find(|hash| {
            let (owner, hash) = (row.owner.to_owned(), *hash);
            !self.blobs.contains(&(owner, hash))
                && !self.bad_blobs.iter().any(|bad| bad.hash == hash)
        }) {
            return Err(Flaw::Text(missing));
        }
        let mut bad = self.bad_blobs.iter();
        let cited = bad.find(|bad| bad.owner == row.owner && row.line.contains(&bad.cited_as));
        if let Some(cited) = cited {
            return Err(Flaw::Blob(cited.hash));
        }
        let place = self.place_of(row.owner, row.task_id);
        let stream = &mut self.streams[place];
        let expected = stream.revision.next();
        if event.revision != expected {
            return Err(Flaw::Revision { expected });
        }
        if let Some(by) = erased_by {
            stream.erase(by, event.revision, sequence, row.line)?;
            self.erased += 1;
        } else {
            self.take_record(&event)?;
        }
        let stream = &mut self.streams[place];
        if let Some(last) = stream.clocks.get_mut(&*event.actor) {
            if !event.clock.continues(last, &event.actor) {
                return Err(Flaw::Clock);
            }
            *last = event.clock;
        } else {
            stream.clocks.insert(event.actor.into_owned(), event.clock);
        }
        stream.revision = event.revision;
        stream.sequence = sequence;
        let cause = event.causation_id;
        if cause.is_some_and(|cause| !self.ids.contains(&cause)) {
            self.unknown_causes += 1;
        }
        self.ids.insert(event.id);
        let rewritten = self
            .known
            .is_some_and(|known| known.sequence == sequence && known.hash != event.hash);
        if rewritten {
            return Err(Flaw::Rewritten);
        }
        Ok(event.hash)
    }
}

impl Walked {
    /// Adds an erased line. Lines of a stream are erased in order from the first, all by one erasure.
    fn erase(
        &mut self,
        by: EventId,
        revision: Revision,
        sequence: Sequence,
        line: &str,
    ) -> Result<(), Flaw> {
        let lines = self.erased.get_or_insert(ErasedLines {
            by,
            first: sequence,
            count: 0,
            digest: ORIGIN_HASH,
        });
        if lines.by != by || revision.0 != lines.count + 1 {
            return Err(Flaw::Unrecorded);
        }
        lines.count += 1;
        lines.digest = erasure_digest(lines.digest, line);
        Ok(())
    }
}

/// The texts that a line cites.
fn texts_of(line: &str) -> impl Iterator<Item = ContentHash> {
    CITES.iter().flat_map(|cites| {
        let named = line
            .match_indices(cites)
            .map(|(at, _)| &line[at + cites.len()..]);
        named.filter_map(|rest| rest.get(..HASH_CHARS)?.parse().ok())
    })
}

impl Walker for Walk {
    fn blob(&mut self, owner: &str, hash: &[u8], bytes: &[u8]) -> ControlFlow<()> {
        let Ok(hash) = hash.try_into().map(ContentHash::from_bytes) else {
            let reason = "the hash of a blob has not 32 bytes".to_owned();
            return self.bad(Sequence::ZERO, Flaw::Unreadable(reason));
        };
        let owner = owner.to_owned();
        if ContentHash::of(bytes) == hash {
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

    fn event(&mut self, row: &Row<'_>) -> ControlFlow<()> {
        let sequence = Sequence(u64::try_from(row.sequence).unwrap_or(0));
        match self.check(row, sequence) {
            Ok(hash) => {
                self.head = Head { sequence, hash };
                ControlFlow::Continue(())
            }
            Err(what) => self.bad(sequence, what),
        }
    }

    fn unreadable(&mut self, sequence: i64, reason: String) -> ControlFlow<()> {
        let sequence = Sequence(u64::try_from(sequence).unwrap_or(0));
        self.bad(sequence, Flaw::Unreadable(reason))
    }

    fn stream(&mut self, stream: &RawStream<'_>) -> ControlFlow<()> {
        let RawStream {
            owner,
            task_id,
            revision,
            sequence,
            summary,
            summary_hash,
            erasure,
        } = *stream;
        let place = self.places.get(owner).and_then(|tasks| tasks.get(task_id));
        let walked = place.and_then(|&place| self.streams.get(place));
        let fits = walked.is_some_and(|walked| {
            let record = walked.record.map(|at| self.records[at].sequence.0);
            u64::try_from(revision) == Ok(walked.revision.0)
                && u64::try_from(sequence) == Ok(walked.sequence.0)
                && erasure.and_then(|at| u64::try_from(at).ok()) == record
        });
        let at = Sequence(u64::try_from(sequence).unwrap_or(0));
        if !fits {
            return self.bad(at, Flaw::Stream);
        }
        let expected = summary.map(|summary| Summary::hash_of(owner, task_id, summary));
        if summary_hash != expected.as_ref().map(|hash| &hash.as_bytes()[..]) {
            return self.bad(at, Flaw::Summary);
        }
        ControlFlow::Continue(())
    }
}
