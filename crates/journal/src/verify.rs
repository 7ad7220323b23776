//! Walks the log and names the first record that is not as it was written.
//!
//! That the newest events were cut off whole shows only against a head that was kept: give it to the
//! walk.

use std::collections::{HashMap, HashSet};
use std::fmt;
use std::ops::ControlFlow;

use journeyman_event::{ContentHash, EventId, Revision, Sequence, StoredLine, VectorClock};

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
}

#[derive(Default)]
struct Walked {
    revision: Revision,
    sequence: Sequence,
    /// Of each actor, the clock of its last event.
    clocks: HashMap<String, VectorClock>,
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

    fn check(&mut self, row: &Row<'_>, sequence: Sequence) -> Result<ContentHash, Flaw> {
        let expected = self.head.sequence.next();
        if sequence != expected {
            return Err(Flaw::Sequence { expected });
        }
        let unreadable = |problem: &dyn fmt::Display| Flaw::Unreadable(problem.to_string());
        let revision = u64::try_from(row.revision).map_err(|error| unreadable(&error))?;
        let id: [u8; 16] = row.id.try_into().map_err(|error| unreadable(&error))?;
        let event = StoredLine::read(row.line).map_err(|error| unreadable(&error))?;
        if !event.follows(self.head.hash) {
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
        } = *stream;
        let place = self.places.get(owner).and_then(|tasks| tasks.get(task_id));
        let walked = place.and_then(|&place| self.streams.get(place));
        let fits = walked.is_some_and(|walked| {
            u64::try_from(revision) == Ok(walked.revision.0)
                && u64::try_from(sequence) == Ok(walked.sequence.0)
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
