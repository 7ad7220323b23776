//! Reading: what is asked for, what is given. Every call names its principal and shows what that
//! principal owns; a payload that is kept as a blob is brought in.

use std::collections::HashMap;
use std::fmt;
use std::str::FromStr;

use bytes::Bytes;
use jiff::Timestamp;
use journeyman_event::{
    ContentHash, Event, EventId, ModuleName, ORIGIN_HASH, Owner, Principal, Revision, Sequence,
    TaskId,
};

use crate::Error;
use crate::engine::{ChainedLine, Direction, Engine, Lines, Query, StreamName, StreamRow};
use crate::erasure::{gone, record_at};

/// The most events that one read returns.
const READ_MAX: usize = 10_000;
/// The most bytes of lines and payloads per read, exceeded by at most one event.
const READ_BYTES_MAX: usize = 16 << 20;

/// The limits of a read. A number converts to that many events and the largest number of bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ReadLimit {
    /// The most events, at most 10,000.
    pub events: usize,
    /// The most bytes of lines and payloads, exceeded by at most one event; at most 16 MiB.
    pub bytes: usize,
}

impl From<usize> for ReadLimit {
    fn from(events: usize) -> Self {
        Self {
            events,
            bytes: READ_BYTES_MAX,
        }
    }
}
/// The largest snapshot in bytes.
pub const SNAPSHOT_BYTES_MAX: usize = 10 << 20;
/// How many lines are read at a time if not all of them match.
const SEARCH_LINES: usize = 500;

/// Selects events. Everything that is not set matches all.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Filter {
    /// Events of this task.
    pub task_id: Option<TaskId>,
    /// Events of one of these kinds; empty for all kinds.
    pub kinds: Vec<String>,
    /// Events about this module.
    pub module: Option<ModuleName>,
    /// Events of this role or user.
    pub actor: Option<String>,
    /// Events at this time or later, by their authors' clocks.
    pub since: Option<Timestamp>,
    /// Events before this time.
    pub before: Option<Timestamp>,
    /// Events up to this position.
    pub until: Option<Sequence>,
}

impl Filter {
    /// All events of a task.
    pub fn of_task(task_id: &TaskId) -> Self {
        Self {
            task_id: Some(task_id.clone()),
            ..Self::default()
        }
    }

    /// Whether an event matches.
    pub(crate) fn takes(&self, event: &Event) -> bool {
        self.takes_first(event) && self.takes_rest(event)
    }

    /// Whether an event matches the part of the filter that engines apply.
    pub(crate) fn takes_first(&self, event: &Event) -> bool {
        let task = self.task_id.as_ref();
        task.is_none_or(|task| event.task_id() == task)
            && (self.kinds.is_empty() || self.kinds.iter().any(|kind| event.kind() == kind))
            && self.until.is_none_or(|until| event.sequence() <= until)
    }

    /// Whether there is a part that engines do not apply.
    fn has_rest(&self) -> bool {
        self.module.is_some()
            || self.actor.is_some()
            || self.since.is_some()
            || self.before.is_some()
    }

    /// Whether an event matches the part that engines do not apply.
    fn takes_rest(&self, event: &Event) -> bool {
        let at = event.occurred_at();
        let module = self.module.as_ref();
        let actor = self.actor.as_ref();
        module.is_none_or(|module| event.module() == Some(module))
            && actor.is_none_or(|actor| actor == event.actor())
            && self.since.is_none_or(|since| at >= since)
            && self.before.is_none_or(|before| at < before)
    }
}

/// The last event of a store, by which a later loss of events at the end can be detected. Written `17@b3:...`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Head {
    /// The position of the event.
    pub sequence: Sequence,
    /// The hash of the event.
    pub hash: ContentHash,
}

impl Head {
    /// The head of a store without events.
    pub(crate) const NONE: Self = Self {
        sequence: Sequence::ZERO,
        hash: ORIGIN_HASH,
    };

    /// The head of a store that ends with this event.
    pub(crate) fn of(last: &Event) -> Self {
        Self {
            sequence: last.sequence(),
            hash: last.hash(),
        }
    }
}

impl fmt::Display for Head {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}@{}", self.sequence, self.hash)
    }
}

impl FromStr for Head {
    type Err = String;
    fn from_str(text: &str) -> Result<Self, String> {
        let wrong = || {
            format!(
                "{text:?} is no head of a journal; `journeyman journal head` prints one: 17@b3:..."
            )
        };
        let (sequence, hash) = text.split_once('@').ok_or_else(wrong)?;
        Ok(Self {
            sequence: Sequence(sequence.parse().map_err(|_| wrong())?),
            hash: hash.parse().map_err(|_| wrong())?,
        })
    }
}

/// A stream in a list.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StreamInfo {
    /// The owner of the task.
    pub owner: Owner,
    /// The id of the task.
    pub task_id: TaskId,
    /// The number of its events.
    pub revision: Revision,
    /// The position of its last event.
    pub sequence: Sequence,
    /// The summary; `None` if there is none or it was changed.
    pub summary: Option<Vec<u8>>,
}

impl StreamInfo {
    /// A stream row as shown in lists, with its summary only if it is valid.
    pub(crate) fn of(row: StreamRow) -> Self {
        let summary = row.sound_summary();
        if summary.is_none() && row.summary.is_some() {
            let stream = &row.name;
            tracing::error!(%stream, "the summary of a stream is damaged; lists leave it out");
        }
        Self {
            summary: summary.map(<[u8]>::to_vec),
            owner: row.name.owner,
            task_id: row.name.task_id,
            revision: row.revision,
            sequence: row.sequence,
        }
    }
}

/// A page of matching events.
#[derive(Clone, Debug)]
pub struct Page {
    /// The events in the requested order.
    pub events: Vec<Event>,
    /// For each event the hash of the preceding one in the store, if that exists.
    pub(crate) previous: Vec<Option<ContentHash>>,
    /// Whether there are no more; otherwise the next page starts at the last event's position.
    pub ended: bool,
}

/// A state computed from a stream up to an event.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Snapshot {
    /// The position of the last event it includes.
    pub sequence: Sequence,
    /// The hash of that event.
    pub event_hash: ContentHash,
    /// The hash of the bytes.
    pub bytes_hash: ContentHash,
    /// The state, which is opaque to the journal.
    pub bytes: Bytes,
}

impl Snapshot {
    /// A snapshot of the state after this event.
    pub fn after(event: &Event, bytes: Bytes) -> Self {
        Self {
            sequence: event.sequence(),
            event_hash: event.hash(),
            bytes_hash: ContentHash::of(&bytes),
            bytes,
        }
    }
}

/// Reads and verifies events from a position on.
pub(crate) fn read(
    engine: &dyn Engine,
    principal: &Principal,
    filter: &Filter,
    position: Sequence,
    read_limit: ReadLimit,
    direction: Direction,
) -> Result<Page, Error> {
    let limit = read_limit.events.min(READ_MAX);
    let bytes_max = read_limit.bytes.clamp(1, READ_BYTES_MAX);
    let mut page = Page {
        events: Vec::new(),
        previous: Vec::new(),
        // Who asks for nothing gets all of it.
        ended: limit == 0,
    };
    let owner = (!principal.is_system()).then(|| principal.owner());
    let mut gaps = GapCheck::of(owner, filter, direction);
    let mut records = Records::default();
    let (mut position, mut bytes) = (position, 0);
    // Lines that the filter leaves out do not count, so they are looked at until enough are there.
    while page.events.len() < limit && bytes < bytes_max && !page.ended {
        let query = Query {
            owner,
            filter,
            position,
            direction,
            lines_max: if filter.has_rest() {
                limit.max(SEARCH_LINES)
            } else {
                limit - page.events.len()
            },
            bytes_max,
        };
        let lines = engine.lines(&query)?;
        if let Some(at) = lines.erasure {
            return Err(gone(engine, at));
        }
        page.ended = lines.ended;
        gaps.begin(engine, &query, &lines)?;
        let mut left = lines.lines.into_iter();
        for line in left.by_ref() {
            let previous = line.previous;
            let event = sound(engine, owner, filter, line, &mut records)?;
            gaps.next(engine, &event)?;
            position = event.sequence();
            if !filter.takes_rest(&event) {
                continue;
            }
            let (event, payload) = whole(engine, owner, filter, event)?;
            bytes += event.line().len() + payload;
            page.events.push(event);
            page.previous.push(previous);
            if page.events.len() == limit || bytes >= bytes_max {
                break;
            }
        }
        page.ended &= left.len() == 0;
        if page.ended {
            gaps.end(engine, lines.newest, position)?;
        }
    }
    Ok(page)
}

/// Parses a line and verifies that it is unchanged and at the right position.
fn sound(
    engine: &dyn Engine,
    owner: Option<&Owner>,
    filter: &Filter,
    line: ChainedLine,
    records: &mut Records,
) -> Result<Event, Error> {
    let at = line.sequence;
    let event = Event::from_line(line.line).map_err(|error| damaged(engine, at, error))?;
    let belongs = event.sequence() == at
        && filter.takes_first(&event)
        && owner.is_none_or(|owner| event.owner() == owner);
    if !belongs {
        return Err(damaged(engine, at, "its row says something else than it"));
    }
    if let Some(by) = event.erased() {
        // Its hash is that of the original line.
        if records.of(engine, &event)? == Some(by) {
            return Ok(event);
        }
        let reason = "it says that it was erased, and there is no record of that";
        return Err(damaged(engine, at, reason));
    }
    // If the previous event is missing, it is reported when its own sequence is read.
    if line
        .previous
        .is_some_and(|previous| !event.follows(previous))
    {
        return Err(damaged(engine, at, "its hash does not fit"));
    }
    Ok(event)
}

/// A cache of the erasure records that one read needs.
#[derive(Default)]
struct Records(HashMap<StreamName, Option<EventId>>);

impl Records {
    /// The id of the event that records the erasure of this event's stream, if there is one.
    fn of(&mut self, engine: &dyn Engine, event: &Event) -> Result<Option<EventId>, Error> {
        let stream = StreamName::of(event.owner(), event.task_id());
        if let Some(known) = self.0.get(&stream) {
            return Ok(*known);
        }
        let record = match engine.erasure(&stream)? {
            Some(at) => Some(record_at(engine, at)?.id()),
            None => None,
        };
        self.0.insert(stream, record);
        Ok(record)
    }
}

/// What a read without gaps goes by. Which events of several streams are an owner's, or of a kind, no
/// position tells.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum By {
    /// By sequence number, when reading the whole store.
    Sequence,
    /// By revision, when reading a whole stream.
    Revision,
}

/// Detects missing events between others.
struct GapCheck {
    /// How gaps are detected; `None` if gaps are expected.
    by: Option<By>,
    direction: Direction,
    /// The last position requested.
    until: Option<Sequence>,
    /// The number of the last event checked; `None` before it is known.
    last: Option<u64>,
}

impl GapCheck {
    fn of(owner: Option<&Owner>, filter: &Filter, direction: Direction) -> Self {
        let by = match (owner, &filter.task_id) {
            _ if !filter.kinds.is_empty() => None,
            (None, None) => Some(By::Sequence),
            (Some(_), Some(_)) => Some(By::Revision),
            _ => None,
        };
        Self {
            by,
            direction,
            until: filter.until,
            last: None,
        }
    }

    /// Determines what precedes the first line.
    fn begin(
        &mut self,
        engine: &dyn Engine,
        query: &Query<'_>,
        lines: &Lines,
    ) -> Result<(), Error> {
        let is_first = self.last.is_none() && self.direction == Direction::Forwards;
        if !is_first || lines.lines.is_empty() {
            return Ok(());
        }
        self.last = match self.by {
            None => None,
            Some(By::Sequence) => Some(query.position.0),
            Some(By::Revision) if query.position == Sequence::ZERO => Some(0),
            Some(By::Revision) => {
                let before = engine.lines(&Query {
                    position: query.position.next(),
                    direction: Direction::Backwards,
                    lines_max: 1,
                    ..*query
                })?;
                let before = before.lines.into_iter().next();
                // One that is damaged itself is named to those who ask for it.
                match before.map(|line| Event::from_line(line.line)) {
                    None => Some(0),
                    Some(before) => before.ok().map(|event| event.revision().0),
                }
            }
        };
        Ok(())
    }

    fn next(&mut self, engine: &dyn Engine, event: &Event) -> Result<(), Error> {
        let (Some(by), at) = (self.by, event.sequence()) else {
            return Ok(());
        };
        let here = match by {
            By::Sequence => at.0,
            By::Revision => event.revision().0,
        };
        let expected = self.last.map(|last| match self.direction {
            Direction::Forwards => last.saturating_add(1),
            Direction::Backwards => last.saturating_sub(1),
        });
        self.last = Some(here);
        match expected.filter(|&expected| expected != here) {
            None => Ok(()),
            Some(expected) => Err(match by {
                By::Sequence => damaged(engine, Sequence(expected), "it is missing"),
                By::Revision => {
                    let reason =
                        format_args!("revision {expected} of its task is missing beside it");
                    damaged(engine, at, reason)
                }
            }),
        }
    }

    /// Checks whether there should have been more events after the last one read.
    fn end(
        &self,
        engine: &dyn Engine,
        newest: Option<Sequence>,
        position: Sequence,
    ) -> Result<(), Error> {
        let missing = match (self.by, self.direction) {
            (None, _) => None,
            (Some(_), Direction::Forwards) => newest
                .filter(|&newest| self.until.is_none_or(|until| newest <= until))
                .filter(|&newest| newest > position),
            // That it began is all that is known of a stream's first event that is gone.
            (Some(_), Direction::Backwards) => {
                let ended_early = self.last.is_some_and(|last| last > 1);
                ended_early.then_some(Sequence(1))
            }
        };
        missing.map_or(Ok(()), |at| Err(damaged(engine, at, "it is missing")))
    }
}

/// The event with a payload that is kept as a blob, and that one's bytes.
fn whole(
    engine: &dyn Engine,
    owner: Option<&Owner>,
    filter: &Filter,
    event: Event,
) -> Result<(Event, usize), Error> {
    let Some(hash) = event.blob() else {
        return Ok((event, 0));
    };
    let bad = |reason: &str| {
        let reason = format!("its payload, the blob {hash}, {reason}");
        damaged(engine, event.sequence(), reason)
    };
    let Some(bytes) = engine.blob(event.owner(), hash)? else {
        // It may have been erased after its line was read.
        return match erased_since(engine, owner, filter, &event)? {
            Some(erased) => Ok((erased, 0)),
            None => Err(bad("is missing")),
        };
    };
    if ContentHash::of(&bytes) != hash {
        return Err(bad("has other bytes"));
    }
    let text = std::str::from_utf8(&bytes).map_err(|_| bad("is no text"))?;
    let event = event.with_data(text);
    Ok((event, bytes.len()))
}

/// The event in its erased form, if it was erased after it was read. If the read is for one stream, the error that the
/// stream was erased.
fn erased_since(
    engine: &dyn Engine,
    owner: Option<&Owner>,
    filter: &Filter,
    event: &Event,
) -> Result<Option<Event>, Error> {
    let stream = StreamName::of(event.owner(), event.task_id());
    let Some(at) = engine.erasure(&stream)? else {
        return Ok(None);
    };
    if owner.is_some() && filter.task_id.is_some() {
        return Err(gone(engine, at));
    }
    let lines = engine.lines(&Query {
        owner: Some(event.owner()),
        filter: &Filter::of_task(event.task_id()),
        position: Sequence(event.sequence().0.saturating_sub(1)),
        direction: Direction::Forwards,
        lines_max: 1,
        bytes_max: 1,
    })?;
    let again = lines.lines.into_iter().next();
    let again = again.and_then(|line| Event::from_line(line.line).ok());
    Ok(again.filter(|again| again.erased().is_some() && again.id() == event.id()))
}

pub(crate) fn damaged(engine: &dyn Engine, sequence: Sequence, reason: impl ToString) -> Error {
    Error::Damaged {
        store: engine.name().to_owned(),
        sequence,
        reason: reason.to_string(),
    }
}

fn corrupt(engine: &dyn Engine, reason: impl ToString) -> Error {
    Error::Corrupt {
        store: engine.name().to_owned(),
        reason: reason.to_string(),
    }
}

/// An owner's blob, verified against its hash.
pub(crate) fn sound_blob(
    engine: &dyn Engine,
    owner: &Owner,
    hash: ContentHash,
) -> Result<Option<Bytes>, Error> {
    let bytes = engine.blob(owner, hash)?;
    if bytes.as_ref().is_some_and(|b| ContentHash::of(b) != hash) {
        return Err(corrupt(
            engine,
            format_args!("the blob {hash} has other bytes"),
        ));
    }
    Ok(bytes)
}

/// The newest valid snapshot of a stream at or before `at`. Invalid ones are ignored, because snapshots only
/// save time.
pub(crate) fn snapshot(
    engine: &dyn Engine,
    principal: &Principal,
    task_id: &TaskId,
    at: Sequence,
) -> Result<Option<Snapshot>, Error> {
    let stream = StreamName::of(principal.owner(), task_id);
    let Some(snapshot) = engine.snapshot(&stream, at)? else {
        return Ok(None);
    };
    let filter = Filter {
        task_id: Some(task_id.clone()),
        until: Some(snapshot.sequence),
        ..Filter::default()
    };
    let before = Sequence(snapshot.sequence.0.saturating_sub(1));
    let its_event = read(
        engine,
        principal,
        &filter,
        before,
        1.into(),
        Direction::Forwards,
    )?
    .events;
    let fits = ContentHash::of(&snapshot.bytes) == snapshot.bytes_hash
        && its_event
            .first()
            .is_some_and(|event| event.hash() == snapshot.event_hash);
    if !fits {
        tracing::warn!(%task_id, sequence = %snapshot.sequence, "a snapshot does not match the journal and is ignored");
    }
    Ok(fits.then_some(snapshot))
}
