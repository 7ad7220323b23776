//! Applies a group of appends to the known state of the store: determines the result of each append and what to
//! write. Pure.
//!
//! An append is checked completely before any part of it is planned, so a conflict does not affect other appends in
//! the same transaction. Each append sees what the earlier ones in the group will have written.

use std::collections::{BTreeMap, HashMap, HashSet};

use bytes::Bytes;
use journeyman_event::{
    ContentHash, Event, EventId, InvalidEvent, NewEvent, Owner, Principal, Revision, TaskId,
};
use serde_json::value::RawValue;

use crate::Error;
use crate::engine::{Changes, LookupKeys, LookupRows, StreamChange, StreamName, Summary};
use crate::erasure::{Erased, Erases};
use crate::reader::Head;

/// Events of one append.
const APPEND_EVENTS_MAX: usize = 1_000;
/// Larger payloads are stored as blobs, and the line contains a reference.
const INLINE_BYTES_MAX: usize = 1 << 20;
/// Larger payloads and blobs are rejected.
const PAYLOAD_BYTES_MAX: usize = 10 << 20;
/// The most bytes of payloads, blobs and summary together, per append.
pub(crate) const APPEND_BYTES_MAX: usize = 64 << 20;
/// The prefix of streams that belong to the system.
pub(crate) const SYSTEM_PREFIX: &str = "sys.";

/// The revision at which the caller expects the stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Expected {
    /// At any revision.
    Any,
    /// Exactly this revision; [`Revision::ZERO`] means that the stream does not exist yet.
    Revision(Revision),
}

/// Events to be added to a stream, all or none.
#[derive(Clone, Debug)]
pub struct Append {
    /// The stream, which belongs to the principal's owner.
    pub task_id: TaskId,
    /// The revision at which the caller expects it.
    pub expected: Expected,
    /// 1 to 1,000 events of that stream.
    pub events: Vec<NewEvent>,
    /// Texts that the events refer to by hash, at most 10 MiB each. They are stored together with the events.
    pub blobs: Vec<Bytes>,
    /// The summary shown in lists from now on; `None` leaves it unchanged.
    pub summary: Option<Vec<u8>>,
}

/// The result of an append.
#[derive(Clone, Debug)]
pub struct Appended {
    /// The events as stored.
    pub events: Vec<Event>,
    /// Whether an earlier append with the same ids had already stored them.
    pub duplicate: bool,
}

impl Append {
    /// The size of payloads, blobs and summary.
    pub(crate) fn bytes(&self) -> usize {
        let events: usize = self.events.iter().map(|event| event.data().len()).sum();
        let blobs: usize = self.blobs.iter().map(Bytes::len).sum();
        events + blobs + self.summary.as_ref().map_or(0, Vec::len)
    }

    /// Checks what can be checked without the store.
    pub(crate) fn check(&self, principal: &Principal) -> Result<(), Error> {
        let count = self.events.len();
        if count == 0 || count > APPEND_EVENTS_MAX {
            return Err(Error::bad_append(format_args!(
                "{count} events; 1 to {APPEND_EVENTS_MAX} at a time are taken"
            )));
        }
        if self.task_id.as_str().starts_with(SYSTEM_PREFIX) && !principal.is_system() {
            return Err(Error::Forbidden {
                what: "write to a stream whose name begins with sys.",
            });
        }
        let mut ids = HashSet::new();
        for event in &self.events {
            if event.task_id() != &self.task_id {
                return Err(invalid(
                    "task_id",
                    "an append has events of one stream only",
                ));
            }
            if event.owner() != principal.owner() {
                return Err(invalid("owner", "it is not the principal's"));
            }
            if !ids.insert(event.id()) {
                return Err(invalid("id", "it is twice in the append"));
            }
            if event.data().len() > PAYLOAD_BYTES_MAX {
                return Err(invalid("data", "it is larger than 10 MiB; split it"));
            }
        }
        if self.blobs.iter().any(|blob| blob.len() > PAYLOAD_BYTES_MAX) {
            return Err(Error::bad_append("a blob is larger than 10 MiB; split it"));
        }
        if self.bytes() > APPEND_BYTES_MAX {
            return Err(Error::bad_append(
                "it is larger than 64 MiB in all; split it",
            ));
        }
        Ok(())
    }
}

fn invalid(field: &'static str, reason: impl ToString) -> Error {
    Error::Invalid(InvalidEvent {
        field,
        reason: reason.to_string(),
    })
}

/// An append with its owner, and the stream that it erases.
pub(crate) type Given<'a> = (&'a Owner, &'a Append, Option<&'a Erases>);

/// What a group of appends has to know of the store.
pub(crate) fn lookup_keys<'a>(appends: impl Iterator<Item = Given<'a>>) -> LookupKeys {
    let mut wanted = LookupKeys::default();
    for (owner, append, erases) in appends {
        wanted
            .streams
            .insert(StreamName::of(owner, &append.task_id));
        wanted
            .streams
            .extend(erases.map(|erases| erases.stream.clone()));
        for event in &append.events {
            wanted.events.push(event.id());
            wanted
                .blobs
                .extend(event.blob().map(|hash| (owner.clone(), hash)));
        }
    }
    wanted
}

/// The state of the store after a group of appends.
pub(crate) struct Batch<'a> {
    known: &'a LookupRows,
    /// The last event after the group is written.
    pub(crate) head: Head,
    /// The changes to write.
    pub(crate) changes: Changes,
    /// The index of the group's own events, by id.
    places: HashMap<EventId, usize>,
}

impl<'a> Batch<'a> {
    pub(crate) fn new(known: &'a LookupRows, head: Head) -> Self {
        Self {
            known,
            head,
            changes: Changes::default(),
            places: HashMap::new(),
        }
    }

    /// Adds an append, or says why not; then nothing of it is in the group. The answer holds once
    /// the group is written.
    pub(crate) fn add(&mut self, (owner, append, erases): Given<'_>) -> Result<Appended, Error> {
        let name = StreamName::of(owner, &append.task_id);
        // Before the ids are compared: the content of erased events is not known any more.
        self.check_whole(&name)?;
        if let Some(events) = self.stored(append)? {
            return Ok(Appended {
                events,
                duplicate: true,
            });
        }
        let actual = self.revision(&name);
        if let Expected::Revision(expected) = append.expected
            && expected != actual
        {
            return Err(Error::WrongRevision {
                task: append.task_id.clone(),
                expected,
                actual,
            });
        }
        if let Some(erases) = erases {
            self.check_whole(&erases.stream)?;
            let actual = self.revision(&erases.stream);
            if actual != erases.revision {
                return Err(Error::WrongRevision {
                    task: erases.stream.task_id.clone(),
                    expected: erases.revision,
                    actual,
                });
            }
        }
        let given = append.blobs.iter().map(|b| (ContentHash::of(b), b.clone()));
        let mut blobs: BTreeMap<ContentHash, Bytes> = given.collect();
        let events = self.seal(owner, append, &mut blobs, actual)?;
        let Some(last) = events.last() else {
            return Err(Error::bad_append("no events"));
        };
        let (sequence, revision) = (last.sequence(), last.revision());
        self.head = Head::of(last);
        if let Some(erases) = erases {
            let stream = erases.stream.clone();
            self.changes.erased.insert(stream, sequence);
        }
        let first = self.changes.events.len();
        let places = events.iter().enumerate().map(|(n, e)| (e.id(), first + n));
        self.places.extend(places);
        self.changes.events.extend(events.iter().cloned());
        let blobs = blobs.into_iter();
        let blobs = blobs.map(|(hash, text)| ((owner.clone(), hash), text));
        self.changes.blobs.extend(blobs);
        let summary = append.summary.clone();
        let summary = summary.map(|bytes| Summary::new(&name, bytes));
        let stream = self.changes.streams.entry(name).or_insert(StreamChange {
            revision,
            sequence,
            summary: None,
        });
        stream.revision = revision;
        stream.sequence = sequence;
        stream.summary = summary.or(stream.summary.take());
        Ok(Appended {
            events,
            duplicate: false,
        })
    }

    /// The revision of a stream after the appends of this batch.
    fn revision(&self, stream: &StreamName) -> Revision {
        let planned = self.changes.streams.get(stream);
        let planned = planned.map(|stream| stream.revision);
        planned
            .or_else(|| self.known.streams.get(stream).copied())
            .unwrap_or(Revision::ZERO)
    }

    /// Refuses a stream that was erased, in the store or by this batch.
    fn check_whole(&self, stream: &StreamName) -> Result<(), Error> {
        let planned = self.changes.erased.get(stream);
        let planned = planned.and_then(|at| {
            let mut events = self.changes.events.iter();
            events.find(|event| event.sequence() == *at).cloned()
        });
        let record = match (planned, self.known.erased.get(stream)) {
            (Some(planned), _) => planned,
            (None, Some(line)) => Event::from_line(line.clone())?,
            (None, None) => return Ok(()),
        };
        Err(Error::Erased(Box::new(Erased::of(&record)?)))
    }

    /// Looks at the ids first: all new gives none, all known and equal gives the stored events,
    /// anything else is a conflict.
    fn stored(&self, append: &Append) -> Result<Option<Vec<Event>>, Error> {
        let mut stored = Vec::new();
        let mut unequal = None;
        for event in &append.events {
            let planned = self.places.get(&event.id());
            let planned = planned.and_then(|&place| self.changes.events.get(place));
            let old = match (planned, self.known.events.get(&event.id())) {
                (Some(planned), _) => planned.clone(),
                (None, Some(line)) => Event::from_line(line.clone())?,
                (None, None) => continue,
            };
            let kept_elsewhere = old
                .blob()
                .is_some_and(|hash| ContentHash::of(event.data().as_bytes()) == hash);
            let same = event.is_same_as(&old, old.data())
                || (kept_elsewhere && event.is_same_as(&old, event.data()));
            if !same {
                unequal = Some(event.id());
            } else if kept_elsewhere {
                stored.push(old.with_data(event.data()));
            } else {
                stored.push(old);
            }
        }
        let in_use = |id: EventId| Error::IdInUse { id: id.to_string() };
        match (unequal, stored.first()) {
            (Some(id), _) => Err(in_use(id)),
            (None, None) => Ok(None),
            (None, Some(first)) if stored.len() < append.events.len() => Err(in_use(first.id())),
            (None, Some(_)) => Ok(Some(stored)),
        }
    }

    /// Seals the events with their positions and hashes. Payloads that are stored as blobs are added to
    /// `blobs`.
    fn seal(
        &self,
        owner: &Owner,
        append: &Append,
        blobs: &mut BTreeMap<ContentHash, Bytes>,
        revision: Revision,
    ) -> Result<Vec<Event>, Error> {
        let mut events = Vec::with_capacity(append.events.len());
        let (mut head, mut revision) = (self.head, revision);
        for event in &append.events {
            revision = revision.next();
            let sequence = head.sequence.next();
            let data = event.data();
            let sealed = if data.len() > INLINE_BYTES_MAX {
                let hash = ContentHash::of(data.as_bytes());
                let text = format!("{{\"blob\":\"{hash}\",\"bytes\":{}}}", data.len());
                let reference =
                    RawValue::from_string(text).map_err(|error| invalid("data", error))?;
                blobs.insert(hash, Bytes::copy_from_slice(data.as_bytes()));
                event.seal(sequence, revision, head.hash, Some(&reference))?
            } else {
                let sealed = event.seal(sequence, revision, head.hash, None)?;
                match sealed.blob() {
                    None => sealed,
                    Some(hash) => sealed.with_data(&self.cited(owner, blobs, hash)?),
                }
            };
            head = Head::of(&sealed);
            events.push(sealed);
        }
        Ok(events)
    }

    /// The text of a payload that is given as a blob reference (in an import).
    fn cited(
        &self,
        owner: &Owner,
        given: &BTreeMap<ContentHash, Bytes>,
        hash: ContentHash,
    ) -> Result<String, Error> {
        let name = (owner.clone(), hash);
        let text = given
            .get(&hash)
            .or_else(|| self.changes.blobs.get(&name))
            .or_else(|| self.known.blobs.get(&name));
        text.and_then(|text| String::from_utf8(text.to_vec()).ok())
            .ok_or_else(|| {
                invalid(
                    "data",
                    format_args!("it refers to the blob {hash}, which is not here or no text"),
                )
            })
    }
}
