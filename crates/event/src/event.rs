//! Events: before they are stored ([`Draft`], [`NewEvent`]) and as stored ([`Event`]).
//!
//! The stored line (`line.rs`) is built once, by [`NewEvent::seal`], and never serialised again, because the hash
//! chain covers its exact bytes.

use std::borrow::Cow;
use std::sync::Arc;

use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use thiserror::Error;

use crate::clock::VectorClock;
use crate::content::ContentHash;
use crate::ids::{EventId, ModuleName, Owner, Revision, Sequence, TaskId};
use crate::line::{
    Line, SCHEMA, StoredLine, check_actor, check_json, data_in, erased_by, follows, referred,
    stored_time,
};
use crate::payload::Payload;

/// The furthest an event's time may be ahead of the store's clock.
pub const TIME_AHEAD_MAX: SignedDuration = SignedDuration::from_mins(5);

/// The longest name, in bytes, for the parts of an event that have no checked type of their own: its kind, the
/// processes in its clock, the store it was imported from.
const NAME_BYTES_MAX: usize = 200;
/// The most processes that one event's clock may have entries for.
const CLOCK_PROCESSES_MAX: usize = 1_000;

/// The earliest time an event may have: the start of year 0, because stored times have four digits for the
/// year.
const TIME_MIN: Timestamp = Timestamp::constant(-62_167_219_200, 0);

/// The "previous hash" of the first event in a store: 32 zero bytes.
pub const ORIGIN_HASH: ContentHash = ContentHash::from_bytes([0; 32]);

/// An event that breaks a rule.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("event refused: field `{field}`: {reason}")]
pub struct InvalidEvent {
    /// The field that is wrong.
    pub field: &'static str,
    /// What is wrong with it.
    pub reason: String,
}

impl InvalidEvent {
    pub(crate) fn new(field: &'static str, reason: impl ToString) -> Self {
        Self {
            field,
            reason: reason.to_string(),
        }
    }
}

/// An event before it is checked. [`NewEvent::new`] checks it.
#[derive(Clone, Debug)]
pub struct Draft {
    /// Unique id of the event. An append with an id that is already stored is treated as a retry.
    pub id: EventId,
    /// The task; together with `owner` it selects the stream the event is appended to.
    pub task_id: TaskId,
    /// The owner of the task.
    pub owner: Owner,
    /// The module the event is about, if it is about one.
    pub module: Option<ModuleName>,
    /// When the event happened, by the injected clock.
    pub occurred_at: Timestamp,
    /// The role or user that caused the event.
    pub actor: String,
    /// The author's vector clock: everything the author knew when the event was made.
    pub clock: VectorClock,
    /// The event that caused this one; `None` for a root event.
    pub causation_id: Option<EventId>,
    /// The current version of the module's code, 0 before there is code.
    pub code_version: u64,
    /// The hash of that code.
    pub code_hash: Option<ContentHash>,
    /// What happened, with its details.
    pub payload: Payload,
}

/// Where an imported or copied event was first stored.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Origin {
    /// The name of the store.
    pub store: String,
    /// The event's sequence number in that store.
    pub sequence: Sequence,
    /// The event's chain hash in that store.
    pub hash: ContentHash,
}

/// The fields that differ between a copied event and its original.
#[derive(Clone, Debug)]
pub struct CopyOverrides {
    /// The id of the copy.
    pub id: EventId,
    /// The task it is copied to.
    pub task_id: TaskId,
    /// The owner of that task.
    pub owner: Owner,
    /// The event that caused it.
    pub causation_id: Option<EventId>,
    /// A different payload; `None` keeps the original's.
    pub payload: Option<Payload>,
}

/// An event that was checked and not stored yet, so it has no sequence number or hash.
#[derive(Clone, Debug)]
pub struct NewEvent {
    draft: Draft,
    data: Box<RawValue>,
    origin: Option<Origin>,
}

impl NewEvent {
    /// Checks a draft. `now` is the store's clock, which the event's time may not be far ahead of. The time is
    /// truncated to microseconds, the precision that is stored, so that the event compares equal before and
    /// after it is stored.
    pub fn new(mut draft: Draft, now: Timestamp) -> Result<Self, InvalidEvent> {
        check_time(draft.occurred_at, now)?;
        check_actor(&draft.actor)?;
        check_names(draft.payload.kind(), &draft.clock)?;
        draft.occurred_at = Timestamp::from_microsecond(draft.occurred_at.as_microsecond())
            .map_err(|error| InvalidEvent::new("occurred_at", error))?;
        let data = draft
            .payload
            .to_json()
            .map_err(|error| InvalidEvent::new("data", error))?;
        check_whole(&data)?;
        if data.contains(['\n', '\r']) {
            return Err(InvalidEvent::new("data", "it must be one line of JSON"));
        }
        let data = RawValue::from_string(data).map_err(|error| InvalidEvent::new("data", error))?;
        Ok(Self {
            draft,
            data,
            origin: None,
        })
    }

    /// Prepares an event of another store for import. Everything is kept except the sequence number, the
    /// revision and the hash; the data stays the same byte for byte. The event's place in the other store is
    /// recorded as its [`Origin`]. Its time is not compared with the local clock, because it was taken from
    /// another one.
    pub fn imported(event: &Event, store: &str) -> Result<Self, InvalidEvent> {
        check_names(event.kind(), event.clock())?;
        check_whole(event.data())?;
        let data = RawValue::from_string(event.data().to_owned())
            .map_err(|error| InvalidEvent::new("data", error))?;
        let event = &event.0;
        let origin = event.origin.clone().unwrap_or_else(|| Origin {
            store: store.to_owned(),
            sequence: event.sequence,
            hash: event.hash,
        });
        check_name("origin", &origin.store)?;
        Ok(Self {
            draft: Draft {
                id: event.id,
                task_id: event.task_id.clone(),
                owner: event.owner.clone(),
                module: event.module.clone(),
                occurred_at: event.occurred_at,
                actor: event.actor.clone(),
                clock: event.clock.clone(),
                causation_id: event.causation_id,
                code_version: event.code_version,
                code_hash: event.code_hash,
                payload: event.payload.clone(),
            },
            data,
            origin: Some(origin),
        })
    }

    /// Prepares a copy of an event for another task of the same store. Time, actor, clock and data are kept,
    /// apart from the `overrides`; the original's place is recorded as the copy's [`Origin`].
    pub fn copied(event: &Event, store: &str, copy: CopyOverrides) -> Result<Self, InvalidEvent> {
        let mut new = Self::imported(event, store)?;
        if let Some(payload) = copy.payload {
            let data = payload
                .to_json()
                .map_err(|error| InvalidEvent::new("data", error))?;
            new.data =
                RawValue::from_string(data).map_err(|error| InvalidEvent::new("data", error))?;
            new.draft.payload = payload;
        }
        new.draft.id = copy.id;
        new.draft.task_id = copy.task_id;
        new.draft.owner = copy.owner;
        new.draft.causation_id = copy.causation_id;
        Ok(new)
    }

    /// The event's unique id.
    pub fn id(&self) -> EventId {
        self.draft.id
    }

    /// The task it is appended to.
    pub fn task_id(&self) -> &TaskId {
        &self.draft.task_id
    }

    /// The owner of that task.
    pub fn owner(&self) -> &Owner {
        &self.draft.owner
    }

    /// The payload as JSON text.
    pub fn data(&self) -> &str {
        self.data.get()
    }

    /// The hash of the payload, if an imported event's data is only a reference to a blob.
    pub fn blob(&self) -> Option<ContentHash> {
        referred(self.data())
    }

    /// Gives the event its sequence number, revision and hash, and builds the line to be stored. `previous` is
    /// the hash of the preceding event in the store. If the payload is stored separately as a blob,
    /// `stored_data` is the reference that takes its place in the line.
    pub fn seal(
        &self,
        sequence: Sequence,
        revision: Revision,
        previous: ContentHash,
        stored_data: Option<&RawValue>,
    ) -> Result<Event, InvalidEvent> {
        let d = &self.draft;
        let line = Line {
            schema: SCHEMA,
            sequence,
            revision,
            id: d.id,
            task_id: Cow::Borrowed(&d.task_id),
            owner: Cow::Borrowed(&d.owner),
            module: d.module.as_ref().map(Cow::Borrowed),
            kind: d.payload.kind().into(),
            occurred_at: stored_time(d.occurred_at).into(),
            actor: d.actor.as_str().into(),
            clock: Cow::Borrowed(&d.clock),
            causation_id: d.causation_id,
            code_version: d.code_version,
            code_hash: d.code_hash,
            origin: self.origin.as_ref().map(Cow::Borrowed),
            data: stored_data.unwrap_or(&self.data),
            hash: None,
        };
        let closed = line.close(previous);
        let (text, hash) = closed.map_err(|error| InvalidEvent::new("data", error))?;
        Ok(Event(Arc::new(Stored {
            data_len: stored_data.unwrap_or(&self.data).get().len(),
            line: text.into(),
            sequence,
            revision,
            id: d.id,
            task_id: d.task_id.clone(),
            owner: d.owner.clone(),
            module: d.module.clone(),
            occurred_at: d.occurred_at,
            actor: d.actor.clone(),
            clock: d.clock.clone(),
            causation_id: d.causation_id,
            code_version: d.code_version,
            code_hash: d.code_hash,
            origin: self.origin.clone(),
            payload: d.payload.clone(),
            hash,
        })))
    }

    /// The event as input to the fold, with the sequence number it is expected to get.
    pub(crate) fn fold_input(&self, sequence: Sequence, revision: Revision) -> FoldInput<'_> {
        let d = &self.draft;
        FoldInput {
            sequence,
            revision,
            id: d.id,
            module: d.module.as_ref(),
            occurred_at: d.occurred_at,
            actor: &d.actor,
            clock: &d.clock,
            causation_id: d.causation_id,
            code_version: d.code_version,
            origin: self.origin.as_ref(),
            payload: &d.payload,
        }
    }

    /// Whether `stored` is this same event, regardless of its position. A retried append is accepted only if it
    /// is. `stored_data` is the stored event's whole payload as JSON text.
    pub fn is_same_as(&self, stored: &Event, stored_data: &str) -> bool {
        let (d, stored) = (&self.draft, &stored.0);
        d.id == stored.id
            && d.task_id == stored.task_id
            && d.owner == stored.owner
            && d.module == stored.module
            && d.payload.kind() == stored.payload.kind()
            && d.occurred_at == stored.occurred_at
            && d.actor == stored.actor
            && d.clock == stored.clock
            && d.causation_id == stored.causation_id
            && d.code_version == stored.code_version
            && d.code_hash == stored.code_hash
            && self.data.get() == stored_data
    }
}

/// The part of an event that the fold reads. It is the same for stored events and those about to be stored.
#[derive(Clone, Copy)]
pub(crate) struct FoldInput<'e> {
    pub(crate) sequence: Sequence,
    pub(crate) revision: Revision,
    pub(crate) id: EventId,
    pub(crate) module: Option<&'e ModuleName>,
    pub(crate) occurred_at: Timestamp,
    pub(crate) actor: &'e str,
    pub(crate) clock: &'e VectorClock,
    pub(crate) causation_id: Option<EventId>,
    pub(crate) code_version: u64,
    pub(crate) origin: Option<&'e Origin>,
    pub(crate) payload: &'e Payload,
}

/// A stored event: immutable, with its sequence number, its chain hash and its exact bytes. Cloning is cheap:
/// clones share one allocation.
#[derive(Clone, Debug)]
pub struct Event(Arc<Stored>);

#[derive(Clone, Debug)]
struct Stored {
    line: Arc<str>,
    /// The length in bytes of the line's `data` value, which directly precedes the hash.
    data_len: usize,
    sequence: Sequence,
    revision: Revision,
    id: EventId,
    task_id: TaskId,
    owner: Owner,
    module: Option<ModuleName>,
    occurred_at: Timestamp,
    actor: String,
    clock: VectorClock,
    causation_id: Option<EventId>,
    code_version: u64,
    code_hash: Option<ContentHash>,
    origin: Option<Origin>,
    payload: Payload,
    hash: ContentHash,
}

fn check_time(occurred_at: Timestamp, now: Timestamp) -> Result<(), InvalidEvent> {
    if occurred_at < TIME_MIN {
        let problem = format_args!("{occurred_at} is before the year 0");
        return Err(InvalidEvent::new("occurred_at", problem));
    }
    if occurred_at.duration_since(now) > TIME_AHEAD_MAX {
        return Err(InvalidEvent::new(
            "occurred_at",
            format_args!("{occurred_at} is more than 5 minutes ahead of the store's clock, {now}"),
        ));
    }
    Ok(())
}

/// Rejects a payload that has the form of the mark of an erased event. Events are erased only where they are
/// stored; nobody may append such a mark.
fn check_whole(data: &str) -> Result<(), InvalidEvent> {
    if erased_by(data).is_none() {
        return Ok(());
    }
    let problem = "it is the mark of an erased event, which cannot be appended";
    Err(InvalidEvent::new("data", problem))
}

/// Checks the lengths of names when an event is new. Stored events are not checked: older ones may exceed the
/// limits.
fn check_names(kind: &str, clock: &VectorClock) -> Result<(), InvalidEvent> {
    check_name("kind", kind)?;
    if clock.len() > CLOCK_PROCESSES_MAX {
        let problem = format_args!("it has more than {CLOCK_PROCESSES_MAX} processes");
        return Err(InvalidEvent::new("clock", problem));
    }
    let mut processes = clock.iter();
    processes.try_for_each(|(process, _)| check_name("clock", process.as_str()))
}

fn check_name(field: &'static str, name: &str) -> Result<(), InvalidEvent> {
    if (1..=NAME_BYTES_MAX).contains(&name.len()) {
        return Ok(());
    }
    let problem = format_args!(
        "a name in it has {} bytes; 1 to {NAME_BYTES_MAX} are needed",
        name.len()
    );
    Err(InvalidEvent::new(field, problem))
}

impl Event {
    /// The event as input to the fold.
    pub(crate) fn fold_input(&self) -> FoldInput<'_> {
        let stored = &*self.0;
        FoldInput {
            sequence: stored.sequence,
            revision: stored.revision,
            id: stored.id,
            module: stored.module.as_ref(),
            occurred_at: stored.occurred_at,
            actor: &stored.actor,
            clock: &stored.clock,
            causation_id: stored.causation_id,
            code_version: stored.code_version,
            origin: stored.origin.as_ref(),
            payload: &stored.payload,
        }
    }

    /// Parses a stored line. Only the exact bytes that [`NewEvent::seal`] would have written are accepted, so
    /// no part of the line is ignored. If the payload is stored separately, the event has only a reference to
    /// it (see [`Event::blob`]) until [`Event::with_data`] supplies it. The hash chain is not checked here.
    pub fn from_line(line: impl Into<Arc<str>>) -> Result<Self, InvalidEvent> {
        let line = line.into();
        let read = StoredLine::read_around_data(&line)?;
        let payload = Payload::parse(&read.kind, read.data);
        if let Payload::Unknown { .. } | Payload::Unreadable { .. } = payload {
            check_json(read.data)?;
        }
        Ok(Self(Arc::new(Stored {
            sequence: read.sequence,
            revision: read.revision,
            id: read.id,
            task_id: read.task_id,
            owner: read.owner,
            module: read.module,
            occurred_at: read.occurred_at,
            actor: read.actor.into_owned(),
            clock: read.clock,
            causation_id: read.causation_id,
            code_version: read.code_version,
            code_hash: read.code_hash,
            origin: read.origin,
            payload,
            hash: read.hash,
            data_len: read.data.len(),
            line,
        })))
    }

    /// Returns the same event with its payload parsed from `data`, the bytes that its blob reference stands
    /// for.
    pub fn with_data(mut self, data: &str) -> Self {
        let stored = Arc::make_mut(&mut self.0);
        stored.payload = Payload::parse(stored.payload.kind(), data);
        self
    }

    /// The hash of the payload, if the line contains only a reference to it.
    pub fn blob(&self) -> Option<ContentHash> {
        referred(self.data())
    }

    /// The id of the event that recorded the erasure of this event's payload. `None` if the payload was not erased.
    pub fn erased(&self) -> Option<EventId> {
        erased_by(self.data())
    }

    /// Whether this event's hash is correct, given the hash of the preceding event. If it is, the line was not
    /// changed since it was stored. It is never correct for an erased event, which keeps its original hash.
    pub fn follows(&self, previous: ContentHash) -> bool {
        follows(&self.0.line, self.0.hash, previous)
    }

    /// The line's `data` value as stored: the payload, or the reference to its blob.
    pub fn data(&self) -> &str {
        data_in(&self.0.line, self.0.data_len)
    }

    /// The exact stored bytes, without a line end.
    pub fn line(&self) -> &str {
        &self.0.line
    }

    /// The position in the store.
    pub fn sequence(&self) -> Sequence {
        self.0.sequence
    }

    /// The position in the stream.
    pub fn revision(&self) -> Revision {
        self.0.revision
    }

    /// The event's unique id.
    pub fn id(&self) -> EventId {
        self.0.id
    }

    /// The task the event belongs to.
    pub fn task_id(&self) -> &TaskId {
        &self.0.task_id
    }

    /// The owner of that task.
    pub fn owner(&self) -> &Owner {
        &self.0.owner
    }

    /// The module the event is about, if it is about one.
    pub fn module(&self) -> Option<&ModuleName> {
        self.0.module.as_ref()
    }

    /// When the event happened, by its author's clock.
    pub fn occurred_at(&self) -> Timestamp {
        self.0.occurred_at
    }

    /// The role or user that caused the event.
    pub fn actor(&self) -> &str {
        &self.0.actor
    }

    /// The author's vector clock.
    pub fn clock(&self) -> &VectorClock {
        &self.0.clock
    }

    /// The event that caused this one.
    pub fn causation_id(&self) -> Option<EventId> {
        self.0.causation_id
    }

    /// The version of the module's code at the time.
    pub fn code_version(&self) -> u64 {
        self.0.code_version
    }

    /// The hash of that code.
    pub fn code_hash(&self) -> Option<ContentHash> {
        self.0.code_hash
    }

    /// Where the event was first stored, if it was imported or copied.
    pub fn origin(&self) -> Option<&Origin> {
        self.0.origin.as_ref()
    }

    /// What happened, with its details.
    pub fn payload(&self) -> &Payload {
        &self.0.payload
    }

    /// The name of the payload's kind.
    pub fn kind(&self) -> &str {
        self.0.payload.kind()
    }

    /// The event's hash in the chain.
    pub fn hash(&self) -> ContentHash {
        self.0.hash
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::line::{chain_hash, erase_line, split_hash};
    use crate::payload::PauseReason;
    use crate::payload::TaskPaused;
    use crate::time::{SeededRandom, SteppedTime, TimeSource};

    fn draft() -> Draft {
        let (time, random) = (SteppedTime::default(), SeededRandom::new(7));
        Draft {
            id: EventId::new(&time, &random),
            task_id: TaskId::new("t-1").unwrap(),
            owner: Owner::new("local").unwrap(),
            module: None,
            occurred_at: time.now(),
            actor: "user".into(),
            clock: VectorClock::default(),
            causation_id: None,
            code_version: 0,
            code_hash: None,
            payload: Payload::TaskPaused(TaskPaused {
                reason: PauseReason::User,
                detail: None,
            }),
        }
    }

    fn sealed(draft: Draft) -> Event {
        let now = draft.occurred_at;
        NewEvent::new(draft, now)
            .unwrap()
            .seal(Sequence(1), Revision(1), ORIGIN_HASH, None)
            .unwrap()
    }

    #[test]
    fn a_stored_line_round_trips_byte_for_byte() {
        let event = sealed(draft());
        let again = Event::from_line(event.line()).unwrap();
        assert_eq!(again.line(), event.line());
        assert_eq!(again.payload(), event.payload());
        assert_eq!(again.occurred_at(), event.occurred_at());
    }

    #[test]
    fn keys_stand_in_the_contracts_order_and_absent_ones_are_absent() {
        let event = sealed(draft());
        insta::assert_snapshot!(event.line());
    }

    #[test]
    fn the_hash_is_over_the_previous_hash_and_the_line_without_its_last_member() {
        let event = sealed(draft());
        let (body, hash) = split_hash(event.line()).unwrap();
        assert!(serde_json::from_str::<serde_json::Value>(&body).is_ok());
        assert_eq!(hash, event.hash());
        assert_eq!(chain_hash(ORIGIN_HASH, &body), hash);
        assert_ne!(chain_hash(hash, &body), hash);
    }

    #[test]
    fn an_erased_line_keeps_its_envelope_and_its_hash_and_says_nothing_else() {
        let event = sealed(draft());
        let by = EventId::new(&SteppedTime::default(), &SeededRandom::new(9));
        let line = erase_line(event.line(), by).unwrap();
        let mark = format!("{{\"erased\":\"{by}\"}}");
        assert_eq!(line, event.line().replace(event.data(), &mark));
        let erased = Event::from_line(line.as_str()).unwrap();
        let kind = "task_paused".to_owned();
        assert_eq!(erased.payload(), &Payload::Erased { kind, by });
        assert_eq!((erased.erased(), event.erased()), (Some(by), None));
        assert_eq!((erased.hash(), erased.data()), (event.hash(), &*mark));
        assert_eq!(erased.payload().to_json().unwrap(), mark);
        assert!(!erased.follows(ORIGIN_HASH) && event.follows(ORIGIN_HASH));
        // Once more changes nothing, and what only looks like the mark is none.
        assert_eq!(erase_line(&line, by).unwrap(), line);
        for data in [
            format!("{{\"erased\":\"{}\"}}", by.to_string().to_uppercase()),
            format!("{{\"erased\": \"{by}\"}}"),
            format!("{{\"erased\":\"{by}\",\"more\":1}}"),
            "{\"erased\":\"soon\"}".to_owned(),
        ] {
            let line = event.line().replace(event.data(), &data);
            assert_eq!(Event::from_line(line).unwrap().erased(), None, "{data}");
        }
    }

    #[test]
    fn nobody_takes_in_an_erased_event() {
        let event = sealed(draft());
        let by = event.id();
        let erased = Event::from_line(erase_line(event.line(), by).unwrap()).unwrap();
        let refused = NewEvent::imported(&erased, "store").unwrap_err();
        assert_eq!(refused.field, "data");
        let mut made = draft();
        made.payload = erased.payload().clone();
        let now = made.occurred_at;
        assert_eq!(NewEvent::new(made, now).unwrap_err().field, "data");
    }

    #[test]
    fn the_data_is_found_whatever_a_process_of_the_clock_is_called() {
        let mut odd = draft();
        odd.clock = ["a", "data"]
            .map(|p| (crate::ProcessId::from_stored(p), 1))
            .into_iter()
            .collect();
        let event = sealed(odd);
        assert_eq!(event.data(), r#"{"reason":"user"}"#);
        assert_eq!(Event::from_line(event.line()).unwrap().data(), event.data());
    }

    #[test]
    fn an_unknown_kind_is_kept_whole() {
        let line = sealed(draft())
            .line()
            .replace("task_paused", "from_the_future");
        let event = Event::from_line(line.as_str()).unwrap();
        assert_eq!(event.kind(), "from_the_future");
        assert_eq!(event.line(), line);
        assert!(matches!(event.payload(), Payload::Unknown { .. }));
    }

    #[test]
    fn a_time_too_far_ahead_names_its_field() {
        let mut late = draft();
        let now = late.occurred_at;
        late.occurred_at = now + SignedDuration::from_mins(6);
        assert_eq!(NewEvent::new(late, now).unwrap_err().field, "occurred_at");
    }

    #[test]
    fn names_that_are_empty_or_too_long_are_read_where_they_are_stored_and_not_taken_in() {
        let long = "x".repeat(NAME_BYTES_MAX + 1);
        let event = sealed(draft());
        let many: Vec<String> = (0..=CLOCK_PROCESSES_MAX)
            .map(|n| format!("\"p{n:04}\":1"))
            .collect();
        let many = many.join(",");
        let cases = [
            (
                "\"kind\":\"task_paused\"",
                "\"kind\":\"\"".to_owned(),
                "kind",
            ),
            (
                "\"kind\":\"task_paused\"",
                format!("\"kind\":\"{long}\""),
                "kind",
            ),
            ("\"clock\":{}", "\"clock\":{\"\":1}".to_owned(), "clock"),
            (
                "\"clock\":{}",
                format!("\"clock\":{{\"{long}\":1}}"),
                "clock",
            ),
            ("\"clock\":{}", format!("\"clock\":{{{many}}}"), "clock"),
        ];
        for (from, to, field) in cases {
            let line = event.line().replacen(from, &to, 1);
            assert_ne!(line, event.line(), "{field}");
            let read = Event::from_line(line.as_str()).unwrap();
            let refused = NewEvent::imported(&read, "store").unwrap_err();
            assert_eq!(refused.field, field);
            assert!(refused.reason.len() < 100, "{}", refused.reason);
        }
        for store in ["", &long] {
            let refused = NewEvent::imported(&event, store);
            assert_eq!(refused.unwrap_err().field, "origin");
        }
        let mut nameless = draft();
        nameless.payload = Payload::parse("", "{}");
        let now = nameless.occurred_at;
        assert_eq!(NewEvent::new(nameless, now).unwrap_err().field, "kind");
    }

    #[test]
    fn a_negative_version_or_a_malformed_id_is_refused() {
        let line = sealed(draft());
        for (from, to) in [
            ("\"code_version\":0", "\"code_version\":-1"),
            ("\"code_version\":0", "\"code_version\":0.5"),
            ("\"task_id\":\"t-1\"", "\"task_id\":\"../t\""),
            ("\"id\":\"", "\"id\":\"x"),
        ] {
            let bad = line.line().replacen(from, to, 1);
            assert_ne!(bad, line.line());
            assert!(Event::from_line(bad.as_str()).is_err(), "{to}");
        }
    }
}
