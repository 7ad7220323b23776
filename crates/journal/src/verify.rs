//! Walks the log and names the first record that is not as it was written.
//!
//! That the newest events were cut off whole shows only against a head that was kept: give it to the
//! walk.

use std::collections::{HashMap, HashSet};
use std::fmt;

use journeyman_event::{
    ContentHash, Event, EventId, ORIGIN_HASH, Revision, Sequence, VectorClock, chain_hash,
    split_hash,
};
use rusqlite::{Connection, params};

use crate::Error;
use crate::reader::{Head, ReadError, Readers, find_blob};

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

pub(crate) fn verify(readers: &Readers, known: Option<Head>) -> Result<VerifyReport, Error> {
    readers.with(|connection| {
        // One transaction: the walk sees one moment of the store, whatever is written meanwhile.
        let transaction = connection.unchecked_transaction()?;
        let report = Walk::default().walk(&transaction, known)?;
        transaction.commit()?;
        Ok(report)
    })
}

#[derive(Default)]
struct Walk {
    streams: HashMap<i64, Stream>,
    ids: HashSet<EventId>,
    unknown_causes: u64,
}

#[derive(Default)]
struct Stream {
    revision: Revision,
    sequence: Sequence,
    clocks: HashMap<String, VectorClock>,
}

struct Row {
    sequence: Sequence,
    stream: i64,
    revision: Revision,
    event_id: [u8; 16],
    kind: String,
    line: String,
    owner: String,
    task_id: String,
}

impl Row {
    fn read(row: &rusqlite::Row<'_>, sequence: Sequence) -> rusqlite::Result<Self> {
        Ok(Self {
            sequence,
            stream: row.get(1)?,
            revision: Revision(row.get(2)?),
            event_id: row.get(3)?,
            kind: row.get(4)?,
            line: row.get(5)?,
            owner: row.get(6)?,
            task_id: row.get(7)?,
        })
    }
}

impl Walk {
    fn walk(
        mut self,
        connection: &Connection,
        known: Option<Head>,
    ) -> Result<VerifyReport, ReadError> {
        let mut head = Head {
            sequence: Sequence::ZERO,
            hash: ORIGIN_HASH,
        };
        let mut statement = connection.prepare(
            "SELECT e.sequence, e.stream, e.revision, e.event_id, e.kind, e.line, \
             coalesce(s.owner, ''), coalesce(s.task_id, '') \
             FROM events e LEFT JOIN streams s ON s.id = e.stream ORDER BY e.sequence",
        )?;
        let mut rows = statement.query([])?;
        let mut first_bad = None;
        while let Some(row) = rows.next()? {
            let sequence = Sequence(u64::try_from(row.get::<_, i64>(0)?).unwrap_or(0));
            let checked = match Row::read(row, sequence) {
                Ok(row) => self.check(connection, &row, head)?.and_then(|hash| {
                    let rewritten =
                        known.is_some_and(|known| known.sequence == sequence && known.hash != hash);
                    if rewritten {
                        Err(Flaw::Rewritten)
                    } else {
                        Ok(hash)
                    }
                }),
                Err(error) => Err(Flaw::Unreadable(error.to_string())),
            };
            match checked {
                Ok(hash) => head = Head { sequence, hash },
                Err(what) => {
                    first_bad = Some(Bad { sequence, what });
                    break;
                }
            }
        }
        if first_bad.is_none() {
            first_bad = self.check_streams(connection)?;
        }
        let cut = known.filter(|known| known.sequence > head.sequence);
        if let (None, Some(known)) = (&first_bad, cut) {
            first_bad = Some(Bad {
                sequence: known.sequence,
                what: Flaw::Cut,
            });
        }
        if first_bad.is_none() {
            first_bad = check_blobs(connection)?;
        }
        Ok(VerifyReport {
            events: head.sequence.0,
            head,
            first_bad,
            unknown_causes: self.unknown_causes,
        })
    }

    fn check(
        &mut self,
        connection: &Connection,
        row: &Row,
        head: Head,
    ) -> rusqlite::Result<Result<ContentHash, Flaw>> {
        let expected = head.sequence.next();
        if row.sequence != expected {
            return Ok(Err(Flaw::Sequence { expected }));
        }
        let event = match Event::from_line(row.line.as_str()) {
            Ok(event) => event,
            Err(error) => return Ok(Err(Flaw::Unreadable(error.to_string()))),
        };
        let linked =
            split_hash(&row.line).is_some_and(|(body, hash)| chain_hash(head.hash, &body) == hash);
        if !linked {
            return Ok(Err(Flaw::Hash));
        }
        let same = event.sequence() == row.sequence
            && event.revision() == row.revision
            && event.id().as_bytes() == &row.event_id
            && event.kind() == row.kind
            && event.owner().as_str() == row.owner
            && event.task_id().as_str() == row.task_id;
        if !same {
            return Ok(Err(Flaw::Columns));
        }
        let stream = self.streams.entry(row.stream).or_default();
        let expected = stream.revision.next();
        if event.revision() != expected {
            return Ok(Err(Flaw::Revision { expected }));
        }
        if let Some(hash) = event.blob()
            && !blob_is_sound(connection, &row.owner, hash)?
        {
            return Ok(Err(Flaw::Blob(hash)));
        }
        let last = stream
            .clocks
            .insert(event.actor().to_owned(), event.clock().clone());
        if last.is_some_and(|last| event.clock().happens_before(&last)) {
            return Ok(Err(Flaw::Clock));
        }
        stream.revision = event.revision();
        stream.sequence = event.sequence();
        if event
            .causation_id()
            .is_some_and(|cause| !self.ids.contains(&cause))
        {
            self.unknown_causes += 1;
        }
        self.ids.insert(event.id());
        Ok(Ok(event.hash()))
    }

    fn check_streams(&self, connection: &Connection) -> rusqlite::Result<Option<Bad>> {
        let mut statement =
            connection.prepare("SELECT id, revision, sequence FROM streams ORDER BY sequence")?;
        let mut rows = statement.query([])?;
        while let Some(row) = rows.next()? {
            let (id, revision, sequence) =
                (row.get(0)?, Revision(row.get(1)?), Sequence(row.get(2)?));
            let walked = self.streams.get(&id);
            if walked.is_none_or(|s| s.revision != revision || s.sequence != sequence) {
                return Ok(Some(Bad {
                    sequence,
                    what: Flaw::Stream,
                }));
            }
        }
        Ok(None)
    }
}

/// The texts that events cite. One that is missing cannot be noticed: which of its members cite is
/// the payload's own affair.
fn check_blobs(connection: &Connection) -> rusqlite::Result<Option<Bad>> {
    let mut statement = connection.prepare("SELECT owner, hash, bytes FROM blobs")?;
    let mut rows = statement.query([])?;
    while let Some(row) = rows.next()? {
        let (owner, hash): (String, [u8; 32]) = (row.get(0)?, row.get(1)?);
        let hash = ContentHash::from_bytes(hash);
        if ContentHash::of(row.get_ref(2)?.as_blob()?) != hash {
            let cited_by: Option<u64> = connection.query_row(
                "SELECT min(e.sequence) FROM events e JOIN streams s ON s.id = e.stream \
                 WHERE s.owner = ?1 AND instr(e.line, ?2) > 0",
                params![owner, hash.to_string()],
                |row| row.get(0),
            )?;
            return Ok(Some(Bad {
                sequence: Sequence(cited_by.unwrap_or(0)),
                what: Flaw::Blob(hash),
            }));
        }
    }
    Ok(None)
}

fn blob_is_sound(
    connection: &Connection,
    owner: &str,
    hash: ContentHash,
) -> rusqlite::Result<bool> {
    let bytes = find_blob(connection, owner, hash)?;
    Ok(bytes.is_some_and(|bytes| ContentHash::of(&bytes) == hash))
}
