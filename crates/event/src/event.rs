//! One event: as it is proposed ([`Draft`], [`NewEvent`]) and as it is stored ([`Event`]).
//!
//! The stored line is built once, by [`NewEvent::seal`], and is never serialised again: its bytes
//! carry the hash chain. Key order is that of the struct `Line`; the contract of the format is in
//! ARCHITECTURE.md ("The stored line").

use std::borrow::Cow;
use std::io;
use std::sync::Arc;

use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use thiserror::Error;

use crate::clock::VectorClock;
use crate::content::ContentHash;
use crate::ids::{EventId, ModuleName, Owner, Revision, Sequence, TaskId};
use crate::payload::Payload;

/// The version of the stored line's shape.
pub const SCHEMA: u32 = 1;

/// How far an event's time may be ahead of the store's clock.
pub const TIME_AHEAD_MAX: SignedDuration = SignedDuration::from_mins(5);

/// What the first event of a store is chained to: 32 zero bytes.
pub const ORIGIN_HASH: ContentHash = ContentHash::from_bytes([0; 32]);

const HASH_KEY: &str = ",\"hash\":\"";
const HASH_SUFFIX_LEN: usize = HASH_KEY.len() + "b3:".len() + 64 + "\"}".len();

/// An event that breaks a rule: which field, what is wrong.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("event refused: field `{field}`: {reason}")]
pub struct InvalidEvent {
    /// The field at fault.
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

/// The parts of an event before it is checked.
#[derive(Clone, Debug)]
pub struct Draft {
    /// Its name: the same id again is the same event again.
    pub id: EventId,
    /// The task whose stream it joins.
    pub task_id: TaskId,
    /// Whose task it is.
    pub owner: Owner,
    /// The module it is about, where there is one.
    pub module: Option<ModuleName>,
    /// When it happened, by the injected clock.
    pub occurred_at: Timestamp,
    /// Which agent or user.
    pub actor: String,
    /// What its maker knew.
    pub clock: VectorClock,
    /// The event that caused it; none for a root event.
    pub causation_id: Option<EventId>,
    /// The module's current code version, 0 before there is code.
    pub code_version: u64,
    /// The hash of that code.
    pub code_hash: Option<ContentHash>,
    /// What happened.
    pub payload: Payload,
}

/// Where an imported event was first stored.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Origin {
    /// The store's own name.
    pub store: String,
    /// Its position there.
    pub sequence: Sequence,
    /// Its link of the chain there.
    pub hash: ContentHash,
}

/// A checked event that has no position yet.
#[derive(Clone, Debug)]
pub struct NewEvent {
    draft: Draft,
    data: Box<RawValue>,
    origin: Option<Origin>,
}

impl NewEvent {
    /// Checks the draft against the store's clock `now`. Its time is cut to the microseconds that
    /// are stored, so that the event is the same before and after it was stored.
    pub fn new(mut draft: Draft, now: Timestamp) -> Result<Self, InvalidEvent> {
        check_time(draft.occurred_at, now)?;
        check_actor(&draft.actor)?;
        draft.occurred_at = Timestamp::from_microsecond(draft.occurred_at.as_microsecond())
            .map_err(|error| InvalidEvent::new("occurred_at", error))?;
        let data = draft
            .payload
            .to_json()
            .map_err(|error| InvalidEvent::new("data", error))?;
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

    /// An event of another store for this one: everything but its position and its link of the chain
    /// stays, its data byte for byte. Where it was first stored goes with it.
    pub fn imported(event: &Event, store: &str, now: Timestamp) -> Result<Self, InvalidEvent> {
        check_time(event.occurred_at(), now)?;
        let data = RawValue::from_string(event.data().to_owned())
            .map_err(|error| InvalidEvent::new("data", error))?;
        let event = &event.0;
        let origin = event.origin.clone().unwrap_or_else(|| Origin {
            store: store.to_owned(),
            sequence: event.sequence,
            hash: event.hash,
        });
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

    /// Its name.
    pub fn id(&self) -> EventId {
        self.draft.id
    }

    /// The task whose stream it joins.
    pub fn task_id(&self) -> &TaskId {
        &self.draft.task_id
    }

    /// Whose task it is.
    pub fn owner(&self) -> &Owner {
        &self.draft.owner
    }

    /// The payload as JSON text.
    pub fn data(&self) -> &str {
        self.data.get()
    }

    /// The hash that names the payload, where the data is only a reference to it (an import).
    pub fn blob(&self) -> Option<ContentHash> {
        referred(self.data())
    }

    /// Gives the event its position and its link of the chain. `previous` is the hash of the event
    /// before it in the store. `stored_data` replaces the payload's JSON in the stored line where
    /// the payload itself is kept elsewhere (a blob reference).
    pub fn seal(
        &self,
        sequence: Sequence,
        revision: Revision,
        previous: ContentHash,
        stored_data: Option<&RawValue>,
    ) -> Result<Event, InvalidEvent> {
        let d = &self.draft;
        let body = serde_json::to_string(&Line {
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
        })
        .map_err(|error| InvalidEvent::new("data", error))?;
        let open = &body[..body.len() - 1];
        let hash = link(previous, open);
        Ok(Event(Arc::new(Stored {
            data_len: stored_data.unwrap_or(&self.data).get().len(),
            line: format!("{open}{HASH_KEY}{hash}\"}}").into(),
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

    /// Whether `stored` is this very event, wherever it was stored: what an idempotent retry must prove.
    /// `stored_data` is its whole payload as JSON text.
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

/// The hash that links a stored line to the one before it: BLAKE3 over the previous hash's 32 bytes
/// and `body`, the line's JSON object without its last member.
pub fn chain_hash(previous: ContentHash, body: &str) -> ContentHash {
    link(previous, body.strip_suffix('}').unwrap_or(body))
}

/// `open` is the body without its closing brace.
fn link(previous: ContentHash, open: &str) -> ContentHash {
    let mut hasher = blake3::Hasher::new();
    hasher.update(previous.as_bytes());
    hasher.update(open.as_bytes());
    hasher.update(b"}");
    ContentHash::from_bytes(*hasher.finalize().as_bytes())
}

/// Splits a stored line into its body (a whole JSON object) and the hash it carries. None if the
/// line does not end in a hash.
pub fn split_hash(line: &str) -> Option<(String, ContentHash)> {
    let (open, hash) = split_open(line)?;
    Some((format!("{open}}}"), hash))
}

fn split_open(line: &str) -> Option<(&str, ContentHash)> {
    let (open, suffix) = line.split_at_checked(line.len().checked_sub(HASH_SUFFIX_LEN)?)?;
    let hash = suffix
        .strip_prefix(HASH_KEY)?
        .strip_suffix("\"}")?
        .parse()
        .ok()?;
    Some((open, hash))
}

/// A stored event: immutable, with its position, its place in the hash chain and its exact bytes.
/// Clones share it.
#[derive(Clone, Debug)]
pub struct Event(Arc<Stored>);

#[derive(Clone, Debug)]
struct Stored {
    line: Arc<str>,
    /// The bytes of the line's `data` member, which stands right before the hash.
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

/// The blob that a payload's JSON text stands for, if it is nothing but a reference to one.
fn referred(data: &str) -> Option<ContentHash> {
    #[derive(Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Reference {
        blob: ContentHash,
        #[serde(rename = "bytes")]
        _bytes: u64,
    }
    if !data.starts_with("{\"blob\":\"b3:") {
        return None;
    }
    serde_json::from_str::<Reference>(data)
        .ok()
        .map(|reference| reference.blob)
}

fn check_time(occurred_at: Timestamp, now: Timestamp) -> Result<(), InvalidEvent> {
    if occurred_at.duration_since(now) > TIME_AHEAD_MAX {
        return Err(InvalidEvent::new(
            "occurred_at",
            format_args!("{occurred_at} is more than 5 minutes ahead of the store's clock, {now}"),
        ));
    }
    Ok(())
}

fn check_actor(actor: &str) -> Result<(), InvalidEvent> {
    if actor.is_empty() || actor.len() > 200 {
        return Err(InvalidEvent::new("actor", "1 to 200 bytes are needed"));
    }
    Ok(())
}

impl Event {
    /// Reads a stored line: exactly one that [`NewEvent::seal`] could have written, so that nothing in it is passed over
    /// and no change to it goes unseen by its looks alone. A payload that is kept elsewhere stays a blob reference (see
    /// [`Event::blob`]) until [`Event::with_data`] brings it in. The chain is not checked here.
    pub fn from_line(line: impl Into<Arc<str>>) -> Result<Self, InvalidEvent> {
        let line = line.into();
        let parsed: Line<'_> = serde_json::from_str(&line).map_err(|error| {
            // serde names the field in its message; the line as a whole is what does not fit.
            InvalidEvent::new("line", error)
        })?;
        if parsed.schema != SCHEMA {
            return Err(InvalidEvent::new(
                "schema",
                format_args!("{} is not known, only {SCHEMA}", parsed.schema),
            ));
        }
        let hash = parsed
            .hash
            .ok_or_else(|| InvalidEvent::new("hash", "it is missing"))?;
        let occurred_at: Timestamp = parsed
            .occurred_at
            .parse()
            .map_err(|error| InvalidEvent::new("occurred_at", error))?;
        check_actor(&parsed.actor)?;
        parsed.check_is_written_as(&line, occurred_at)?;
        let payload = Payload::parse(&parsed.kind, parsed.data.get());
        Ok(Self(Arc::new(Stored {
            sequence: parsed.sequence,
            revision: parsed.revision,
            id: parsed.id,
            task_id: parsed.task_id.into_owned(),
            owner: parsed.owner.into_owned(),
            module: parsed.module.map(Cow::into_owned),
            occurred_at,
            actor: parsed.actor.into_owned(),
            clock: parsed.clock.into_owned(),
            causation_id: parsed.causation_id,
            code_version: parsed.code_version,
            code_hash: parsed.code_hash,
            origin: parsed.origin.map(Cow::into_owned),
            payload,
            hash,
            data_len: parsed.data.get().len(),
            line,
        })))
    }

    /// The same event with its payload read from `data`, the bytes its blob reference names.
    pub fn with_data(mut self, data: &str) -> Self {
        let stored = Arc::make_mut(&mut self.0);
        stored.payload = Payload::parse(stored.payload.kind(), data);
        self
    }

    /// The hash that names the payload, where the line carries only a reference to it.
    pub fn blob(&self) -> Option<ContentHash> {
        referred(self.data())
    }

    /// Whether its hash links it to the event before it, whose hash this is: nothing in its line was
    /// changed since.
    pub fn follows(&self, previous: ContentHash) -> bool {
        split_open(&self.0.line).is_some_and(|(open, hash)| link(previous, open) == hash)
    }

    /// The line's `data` member as it was stored: the payload, or the reference to its blob.
    pub fn data(&self) -> &str {
        let end = self.0.line.len().saturating_sub(HASH_SUFFIX_LEN);
        self.0
            .line
            .get(end.saturating_sub(self.0.data_len)..end)
            .unwrap_or_default()
    }

    /// The exact stored bytes, without a line end.
    pub fn line(&self) -> &str {
        &self.0.line
    }

    /// Position in the store.
    pub fn sequence(&self) -> Sequence {
        self.0.sequence
    }

    /// Position in the stream.
    pub fn revision(&self) -> Revision {
        self.0.revision
    }

    /// Its name.
    pub fn id(&self) -> EventId {
        self.0.id
    }

    /// The task.
    pub fn task_id(&self) -> &TaskId {
        &self.0.task_id
    }

    /// Whose task it is.
    pub fn owner(&self) -> &Owner {
        &self.0.owner
    }

    /// The module, where there is one.
    pub fn module(&self) -> Option<&ModuleName> {
        self.0.module.as_ref()
    }

    /// When it happened, by its maker's clock.
    pub fn occurred_at(&self) -> Timestamp {
        self.0.occurred_at
    }

    /// Which agent or user.
    pub fn actor(&self) -> &str {
        &self.0.actor
    }

    /// What its maker knew.
    pub fn clock(&self) -> &VectorClock {
        &self.0.clock
    }

    /// The event that caused it.
    pub fn causation_id(&self) -> Option<EventId> {
        self.0.causation_id
    }

    /// The module's current code version.
    pub fn code_version(&self) -> u64 {
        self.0.code_version
    }

    /// The hash of that code.
    pub fn code_hash(&self) -> Option<ContentHash> {
        self.0.code_hash
    }

    /// Where it was first stored, if that was not here.
    pub fn origin(&self) -> Option<&Origin> {
        self.0.origin.as_ref()
    }

    /// What happened.
    pub fn payload(&self) -> &Payload {
        &self.0.payload
    }

    /// The kind's name.
    pub fn kind(&self) -> &str {
        self.0.payload.kind()
    }

    /// Its link of the chain.
    pub fn hash(&self) -> ContentHash {
        self.0.hash
    }
}

/// The stored line, in its key order.
#[derive(Serialize, Deserialize)]
pub(crate) struct Line<'a> {
    pub(crate) schema: u32,
    pub(crate) sequence: Sequence,
    pub(crate) revision: Revision,
    pub(crate) id: EventId,
    pub(crate) task_id: Cow<'a, TaskId>,
    pub(crate) owner: Cow<'a, Owner>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) module: Option<Cow<'a, ModuleName>>,
    #[serde(borrow)]
    pub(crate) kind: Cow<'a, str>,
    #[serde(borrow)]
    pub(crate) occurred_at: Cow<'a, str>,
    #[serde(borrow)]
    pub(crate) actor: Cow<'a, str>,
    pub(crate) clock: Cow<'a, VectorClock>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) causation_id: Option<EventId>,
    pub(crate) code_version: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) code_hash: Option<ContentHash>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) origin: Option<Cow<'a, Origin>>,
    #[serde(borrow)]
    pub(crate) data: &'a RawValue,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) hash: Option<ContentHash>,
}

/// A writer that takes nothing but the bytes that it expects.
struct Expect<'a> {
    left: &'a [u8],
}

impl io::Write for Expect<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.left = self
            .left
            .strip_prefix(bytes)
            .ok_or(io::ErrorKind::InvalidData)?;
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Line<'_> {
    /// Whether writing what was read gives the bytes that were read: no other order, spelling or member.
    fn check_is_written_as(&self, line: &str, occurred_at: Timestamp) -> Result<(), InvalidEvent> {
        let again = Line {
            occurred_at: stored_time(occurred_at).into(),
            task_id: Cow::Borrowed(&self.task_id),
            owner: Cow::Borrowed(&self.owner),
            module: self.module.as_deref().map(Cow::Borrowed),
            kind: Cow::Borrowed(&self.kind),
            actor: Cow::Borrowed(&self.actor),
            clock: Cow::Borrowed(&self.clock),
            origin: self.origin.as_deref().map(Cow::Borrowed),
            ..*self
        };
        let mut expected = Expect {
            left: line.as_bytes(),
        };
        let written = serde_json::to_writer(&mut expected, &again).is_ok();
        if !written || !expected.left.is_empty() || line.contains(['\n', '\r']) {
            return Err(InvalidEvent::new(
                "line",
                "it is not as this program writes it: a member is unknown, out of order or spelt differently",
            ));
        }
        Ok(())
    }
}

/// As it stands in the line: microseconds, UTC.
fn stored_time(at: Timestamp) -> String {
    format!("{at:.6}")
}

#[cfg(test)]
mod tests {
    use super::*;
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
