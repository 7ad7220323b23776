//! What callers hand over to be recorded, its bounds, and what can be refused without looking at the
//! store. No SQL here.

use std::collections::HashSet;

use bytes::Bytes;
use journeyman_event::{Event, InvalidEvent, NewEvent, Owner, Principal, Revision, TaskId};
use tokio::sync::{OwnedSemaphorePermit, oneshot};

use crate::Error;

/// Events of one append, and texts that it brings along.
pub(crate) const APPEND_ITEMS_MAX: usize = 1_000;
/// Payloads, blobs and summary of one append together.
pub(crate) const APPEND_BYTES_MAX: usize = 64 << 20;
/// A payload or blob larger than this is refused.
const PAYLOAD_BYTES_MAX: usize = 10 << 20;
/// A summary larger than this is refused: lists read thousands of them.
const SUMMARY_BYTES_MAX: usize = 64 << 10;
/// What an event weighs beside its payload: its other fields, its rows, its share of the indexes.
const EVENT_BYTES: usize = 1 << 10;
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

/// Events to be added to one stream, all or none. Payloads, blobs and summary are 64 MiB together
/// at most.
#[derive(Clone, Debug)]
pub struct Append {
    /// The stream, of the principal's owner.
    pub task_id: TaskId,
    /// Where it is thought to stand.
    pub expected: Expected,
    /// 1 to 1,000 events of that stream, with payloads of 10 MiB each at most.
    pub events: Vec<NewEvent>,
    /// Texts that the events cite by hash, 1,000 of 10 MiB each at most; stored with them.
    pub blobs: Vec<Bytes>,
    /// What lists show of the stream from now on, 64 KiB at most; none leaves it as it is.
    pub summary: Option<Vec<u8>>,
}

/// What an append became.
#[derive(Clone, Debug)]
pub struct Appended {
    /// The stored events, in the order of the append.
    pub events: Vec<Event>,
    /// Whether they were stored by an earlier append with the same ids.
    pub duplicate: bool,
}

impl Append {
    /// What it weighs in the queue and in a transaction, in bytes.
    pub(crate) fn bytes(&self) -> usize {
        let events: usize = self
            .events
            .iter()
            .map(|event| event.data().len() + EVENT_BYTES)
            .sum();
        let blobs: usize = self.blobs.iter().map(Bytes::len).sum();
        events + blobs + self.summary.as_ref().map_or(0, Vec::len)
    }
}

/// An append on its way to the writer.
pub(crate) struct Order {
    pub(crate) owner: Owner,
    pub(crate) append: Append,
    pub(crate) reply: oneshot::Sender<Result<Appended, Error>>,
    /// Its share of the bytes that may wait; given back when it is answered.
    pub(crate) _room: OwnedSemaphorePermit,
}

/// Checks what can be checked without the store.
pub(crate) fn check(principal: &Principal, append: &Append) -> Result<(), Error> {
    let (events, blobs) = (append.events.len(), append.blobs.len());
    if events == 0 || events > APPEND_ITEMS_MAX || blobs > APPEND_ITEMS_MAX {
        return Err(Error::bad_append(format_args!(
            "{events} events and {blobs} blobs; 1 to {APPEND_ITEMS_MAX} events and up to as many \
             blobs at a time are taken"
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
    let mut blobs = append.blobs.iter();
    if blobs.any(|blob| blob.len() > PAYLOAD_BYTES_MAX) {
        return Err(Error::bad_append("a blob is larger than 10 MiB; split it"));
    }
    if append.summary.as_ref().map_or(0, Vec::len) > SUMMARY_BYTES_MAX {
        return Err(Error::bad_append("the summary is larger than 64 KiB"));
    }
    if append.bytes() > APPEND_BYTES_MAX {
        return Err(Error::bad_append(format_args!(
            "it is {} bytes, {APPEND_BYTES_MAX} are taken; split it",
            append.bytes()
        )));
    }
    Ok(())
}
