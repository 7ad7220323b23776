//! The erasure of streams. Payloads are removed, and the hash chain stays verifiable.
//!
//! An erasure is first recorded as an event in a system stream. From then on, the erased stream can neither be read
//! nor appended to. Then the payloads of its lines are replaced, blobs that no other line cites are deleted, free
//! space is returned, and a second event records the completion. Every step is idempotent, so an interrupted erasure
//! continues from its record. Steps are short and alternate with appends.
//!
//! An erased line keeps its position, its envelope and its hash. The record contains a digest over all lines of the
//! stream in their erased form, so that verification can distinguish erased lines from changed ones.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::fmt;
use std::time::Duration;

use jiff::Timestamp;
use journeyman_event::payload::{ERASURES, ErasedCost, ErasureCompleted, ErasureStarted};
use journeyman_event::{
    ContentHash, Draft, Event, EventId, InvalidEvent, NewEvent, ORIGIN_HASH, Owner, Payload,
    Principal, Randomness, Revision, Sequence, StoredLine, TaskId, TimeSource, VectorClock,
    erase_line, erasure_digest,
};

use crate::Error;
use crate::batch::{Append, Expected, SYSTEM_PREFIX};
use crate::engine::{Direction, Engine, GivenBack, Lines, Query, StreamName, Writer};
use crate::handle::Journal;
use crate::reader::{self, Filter};
use crate::transfer::hashes_in;

/// The maximum number of lines of one step, and of their bytes. The last line may exceed the bytes.
const STEP_LINES: usize = 256;
const STEP_BYTES: usize = 1 << 20;
/// The maximum number of lines of one page when citations are searched, and of their bytes.
const PAGE_LINES: usize = 2_000;
const PAGE_BYTES: usize = 4 << 20;
/// The maximum number of loose blobs for which one pass over the lines searches citations.
const LOOSE_MAX: usize = 100_000;
/// The maximum number of loose blobs of one step.
const STEP_BLOBS: usize = 64;
/// The maximum number of records in one append.
const RECORDS_MAX: usize = 500;
/// What an erased event or a record takes in a store at most, with its part of the indexes and of half-empty pages, in bytes.
/// Measured in SQLite: 600 to 650 with many events of few actors, 860 in a small compacted store, 1,040 in a small one that was
/// not compacted. It must not be too small: then retention would take the difference for data of tasks, and erase more.
const ERASED_EVENT_BYTES: u64 = 1_100;
/// How long an erasure waits for readers that still use the erased data before it is deferred.
const HELD_MAX: Duration = Duration::from_secs(5);
const HELD_PAUSE: Duration = Duration::from_millis(20);

/// A stream that was erased, with the time, the principal and the reason.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Erased {
    /// The stream whose data is gone.
    pub stream: StreamName,
    /// The position of the event that records the erasure.
    pub sequence: Sequence,
    /// When the erasure was recorded.
    pub at: Timestamp,
    /// The owner of the principal that erased it; `system` for retention.
    pub by: Owner,
    /// The reason, as text for people.
    pub reason: String,
    /// The number of events of the stream.
    pub events: u64,
}

impl Erased {
    /// Reads an [`ErasureStarted`] event.
    pub(crate) fn of(record: &Event) -> Result<Self, Error> {
        let Payload::ErasureStarted(started) = record.payload() else {
            let reason = format!("{} is no record of an erasure", record.sequence());
            return Err(Error::Invalid(InvalidEvent {
                field: "kind",
                reason,
            }));
        };
        Ok(Self {
            stream: StreamName::of(&started.owner, &started.task_id),
            sequence: record.sequence(),
            at: record.occurred_at(),
            by: started.by.clone(),
            reason: started.reason.clone(),
            events: started.revision.0,
        })
    }
}

impl fmt::Display for Erased {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { stream, at, by, .. } = self;
        let words: Vec<&str> = self.reason.split_whitespace().collect();
        let reason = words.join(" ");
        write!(f, "task {stream} was erased at {at:.0} by {by} ({reason})")
    }
}

/// The stream that an append erases, and the last revision that it must still have.
#[derive(Clone, Debug)]
pub(crate) struct Erases {
    pub(crate) stream: StreamName,
    pub(crate) revision: Revision,
}

/// The sources of time and randomness for records.
#[derive(Clone, Copy)]
pub struct Makers<'a> {
    /// The clock that dates the records.
    pub time: &'a dyn TimeSource,
    /// The random numbers.
    pub randomness: &'a dyn Randomness,
}

impl fmt::Debug for Makers<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Makers").finish_non_exhaustive()
    }
}

/// What the records of erasures say, as far as they were read.
#[derive(Debug, Default)]
pub(crate) struct Erasures {
    until: Sequence,
    /// Erasures that have started and not completed.
    unfinished: BTreeMap<Sequence, (EventId, StreamName)>,
    /// The number of erased events and of records.
    events: u64,
    /// Streams that were erased in the stores from which their records were imported, by the id of the store.
    elsewhere: HashSet<(String, StreamName)>,
}

/// One step of an erasure, done by the writer.
pub(crate) enum Step {
    /// Replaces the payloads of the next lines of the stream.
    Lines {
        stream: StreamName,
        by: EventId,
        after: Sequence,
    },
    /// Rewrites the next lines of the stream, so that the space between them becomes free pages.
    Repack { stream: StreamName, after: Sequence },
    /// Keeps or deletes blobs, according to the citations found in all lines up to a position.
    Blobs { found: Found },
    /// Returns free space to the file system.
    GiveBack,
    /// Rewrites the whole store.
    WriteAnew,
}

/// The result of a step.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Stepped {
    /// There is more to do after this position.
    Until(Sequence),
    /// Nothing of this kind is left to do.
    Done,
    /// The step must wait until a reader has finished.
    Held,
}

/// Which loose blobs of one owner are cited by lines.
#[derive(Clone, Debug)]
pub(crate) struct Found {
    owner: Owner,
    kept: BTreeSet<ContentHash>,
    loose: BTreeSet<ContentHash>,
    /// The position up to which lines were searched.
    until: Sequence,
}

impl Journal {
    /// How a stream of the principal was erased. `None` if it was not erased.
    pub async fn erasure(
        &self,
        principal: &Principal,
        task_id: &TaskId,
    ) -> Result<Option<Erased>, Error> {
        let stream = StreamName::of(principal.owner(), task_id);
        self.reading(move |engine| match engine.erasure(&stream)? {
            None => Ok(None),
            Some(at) => Ok(Some(Erased::of(&record_at(engine, at)?)?)),
        })
        .await
    }

    /// Records the erasure of a stream. From then on, no principal can read or append to it. `revision` is the
    /// last revision that the stream must have, and `spent` what its model calls cost, which the record keeps. Its payloads
    /// stay on the disk until [`Journal::finish_erasures`].
    ///
    /// # Errors
    /// [`Error::Erased`] if the stream was erased before, [`Error::WrongRevision`] if it has another revision.
    pub async fn begin_erasure(
        &self,
        principal: &Principal,
        stream: &StreamName,
        revision: Revision,
        reason: &str,
        spent: Vec<ErasedCost>,
        makers: Makers<'_>,
    ) -> Result<Erased, Error> {
        if !principal.sees(&stream.owner) {
            return Err(Error::Forbidden {
                what: "erase what belongs to another owner",
            });
        }
        if stream.task_id.as_str().starts_with(SYSTEM_PREFIX) {
            return Err(Error::bad_append("a stream of the system is not erased"));
        }
        let id = EventId::new(makers.time, makers.randomness);
        let digest = self.digest(stream, revision, id).await?;
        let started = ErasureStarted {
            owner: stream.owner.clone(),
            task_id: stream.task_id.clone(),
            revision,
            digest,
            by: principal.owner().clone(),
            reason: reason.to_owned(),
            spent,
        };
        let actor = if principal.is_system() {
            "conductor"
        } else {
            "user"
        };
        let record = record(id, actor, None, started.into(), makers)?;
        let erases = Erases {
            stream: stream.clone(),
            revision,
        };
        let appended = self.append_record(vec![record], Some(erases)).await?;
        match appended.first() {
            Some(record) => Erased::of(record),
            None => Err(Error::Closed),
        }
    }

    /// Completes all erasures that have started: removes the payloads, deletes blobs that nothing else cites, and
    /// returns the free space. Returns the number of erasures that it completed.
    ///
    /// # Errors
    /// [`Error::Held`] if a reader uses the erased data for 5 seconds. The next call continues.
    pub async fn finish_erasures(&self, makers: Makers<'_>) -> Result<u64, Error> {
        // A concurrent caller waits here, and then finds nothing left to do.
        let mut erasures = self.erasures().lock().await;
        self.take_in(&mut erasures).await?;
        if erasures.unfinished.is_empty() {
            return Ok(0);
        }
        let begun: Vec<(EventId, StreamName)> = erasures.unfinished.values().cloned().collect();
        for (by, stream) in &begun {
            self.step_all(|after| Step::Lines {
                stream: stream.clone(),
                by: *by,
                after,
            })
            .await?;
        }
        // After all payloads are overwritten, so that rows that move cannot copy any of them.
        for (_, stream) in &begun {
            self.step_all(|after| Step::Repack {
                stream: stream.clone(),
                after,
            })
            .await?;
        }
        self.settle_blobs().await?;
        self.give_back().await?;
        let mut records = Vec::new();
        for (started, stream) in &begun {
            let completed = ErasureCompleted {
                owner: stream.owner.clone(),
                task_id: stream.task_id.clone(),
            };
            let id = EventId::new(makers.time, makers.randomness);
            records.push(record(
                id,
                "conductor",
                Some(*started),
                completed.into(),
                makers,
            )?);
        }
        for records in records.chunks(RECORDS_MAX) {
            self.append_record(records.to_vec(), None).await?;
        }
        self.take_in(&mut erasures).await?;
        Ok(begun.len() as u64)
    }

    /// Streams whose erasure has started and not completed.
    pub async fn unfinished_erasures(&self) -> Result<Vec<StreamName>, Error> {
        let mut erasures = self.erasures().lock().await;
        self.take_in(&mut erasures).await?;
        let unfinished = erasures.unfinished.values();
        Ok(unfinished.map(|(_, stream)| stream.clone()).collect())
    }

    /// How many bytes of the store, at most, are what erased events keep (their positions, kinds, times and hashes) and the
    /// records of their erasures. No erasure returns them. For the system principal only, as [`Journal::bytes`].
    pub async fn erased_bytes(&self, principal: &Principal) -> Result<u64, Error> {
        if !principal.is_system() {
            return Err(Error::Forbidden {
                what: "read the size of the whole journal",
            });
        }
        let mut erasures = self.erasures().lock().await;
        self.take_in(&mut erasures).await?;
        Ok(erasures.events.saturating_mul(ERASED_EVENT_BYTES))
    }

    /// Whether a stream was erased in the store from which this store imported the record of it.
    pub(crate) async fn was_erased_in(
        &self,
        store: &str,
        stream: &StreamName,
    ) -> Result<bool, Error> {
        let mut erasures = self.erasures().lock().await;
        self.take_in(&mut erasures).await?;
        let named = (store.to_owned(), stream.clone());
        Ok(erasures.elsewhere.contains(&named))
    }

    /// Rewrites the whole store, without free space and without remains of erased data. Appends wait until it is
    /// done, and it needs the size of the store as additional free disk space. For the system principal only.
    pub async fn compact(&self, principal: &Principal) -> Result<(), Error> {
        if !principal.is_system() {
            return Err(Error::Forbidden {
                what: "rewrite the whole journal",
            });
        }
        self.step(Step::WriteAnew).await.map(drop)
    }

    /// Returns free space, and waits for readers that still use it.
    async fn give_back(&self) -> Result<(), Error> {
        let mut held = Duration::ZERO;
        loop {
            match self.step(Step::GiveBack).await? {
                Stepped::Done => return Ok(()),
                Stepped::Until(_) => held = Duration::ZERO,
                Stepped::Held if held >= HELD_MAX => {
                    return Err(Error::Held {
                        store: self.name().to_owned(),
                    });
                }
                Stepped::Held => {
                    tokio::time::sleep(HELD_PAUSE).await;
                    held += HELD_PAUSE;
                }
            }
        }
    }

    /// The digest over a stream's lines in their erased form. An error if the stream has another revision.
    async fn digest(
        &self,
        stream: &StreamName,
        revision: Revision,
        by: EventId,
    ) -> Result<ContentHash, Error> {
        let (owner, filter) = (
            Principal::user(stream.owner.clone()),
            Filter::of_task(&stream.task_id),
        );
        let (mut digest, mut at, mut last) = (ORIGIN_HASH, Sequence::ZERO, Revision::ZERO);
        loop {
            let page = self.read(&owner, &filter, at, PAGE_LINES).await?;
            for event in &page.events {
                digest = erasure_digest(digest, &erase_line(event.line(), by)?);
                (at, last) = (event.sequence(), event.revision());
            }
            if page.ended {
                break;
            }
        }
        if last == revision && last > Revision::ZERO {
            return Ok(digest);
        }
        Err(Error::WrongRevision {
            task: stream.task_id.clone(),
            expected: revision,
            actual: last,
        })
    }

    /// Repeats a step until nothing of its kind is left to do.
    async fn step_all(&self, step: impl Fn(Sequence) -> Step) -> Result<(), Error> {
        let mut after = Sequence::ZERO;
        while let Stepped::Until(at) = self.step(step(after)).await? {
            after = at;
        }
        Ok(())
    }

    /// Searches citations of each loose blob in lines and payloads, and deletes the blob if there are none.
    async fn settle_blobs(&self) -> Result<(), Error> {
        loop {
            let loose = self.reading(|engine| engine.loose_blobs(LOOSE_MAX)).await?;
            if loose.is_empty() {
                return Ok(());
            }
            let mut by_owner: BTreeMap<Owner, BTreeSet<ContentHash>> = BTreeMap::new();
            for (owner, hash) in loose {
                by_owner.entry(owner).or_default().insert(hash);
            }
            for (owner, loose) in by_owner {
                let mut found = Found {
                    owner,
                    kept: BTreeSet::new(),
                    loose,
                    until: Sequence::ZERO,
                };
                loop {
                    let (looked, more) = self
                        .reading(move |engine| {
                            let more = found.look(engine)?;
                            Ok((found, more))
                        })
                        .await?;
                    found = looked;
                    if !more || found.loose.is_empty() {
                        break;
                    }
                }
                for found in found.parts() {
                    self.step(Step::Blobs { found }).await?;
                }
            }
        }
    }

    /// Reads the records that were appended since the last call.
    async fn take_in(&self, erasures: &mut Erasures) -> Result<(), Error> {
        let mut after = erasures.until;
        let records = self
            .reading(move |engine| {
                let mut records = Vec::new();
                loop {
                    let page = records_after(engine, after, PAGE_LINES)?;
                    records.extend(page.0);
                    match records.last().map(Event::sequence) {
                        Some(last) if !page.1 => after = last,
                        _ => return Ok(records),
                    }
                }
            })
            .await?;
        let mut by_id: HashMap<EventId, Sequence> = erasures
            .unfinished
            .iter()
            .map(|(at, (id, _))| (*id, *at))
            .collect();
        for record in records {
            erasures.until = record.sequence();
            match (record.payload(), record.origin()) {
                (Payload::ErasureStarted(started), Some(origin)) => {
                    let stream = StreamName::of(&started.owner, &started.task_id);
                    erasures.elsewhere.insert((origin.store.clone(), stream));
                }
                (Payload::ErasureStarted(started), None) => {
                    let stream = StreamName::of(&started.owner, &started.task_id);
                    let at = record.sequence();
                    by_id.insert(record.id(), at);
                    erasures.unfinished.insert(at, (record.id(), stream));
                    erasures.events += started.revision.0 + 1;
                }
                (Payload::ErasureCompleted(_), None) => {
                    erasures.events += 1;
                    let started = record.causation_id().and_then(|id| by_id.remove(&id));
                    started.map(|at| erasures.unfinished.remove(&at));
                }
                _ => {}
            }
        }
        Ok(())
    }
}

impl Found {
    /// Splits this into parts of at most [`STEP_BLOBS`] blobs.
    fn parts(self) -> impl Iterator<Item = Self> {
        let Self {
            owner,
            kept,
            loose,
            until,
        } = self;
        let all = kept.into_iter().map(|hash| (hash, true));
        let all: Vec<(ContentHash, bool)> = all
            .chain(loose.into_iter().map(|hash| (hash, false)))
            .collect();
        let parts: Vec<Self> = all
            .chunks(STEP_BLOBS)
            .map(|part| {
                let of = |is_kept: bool| {
                    let meant = part.iter().filter(move |(_, kept)| *kept == is_kept);
                    meant.map(|(hash, _)| *hash).collect()
                };
                Self {
                    owner: owner.clone(),
                    kept: of(true),
                    loose: of(false),
                    until,
                }
            })
            .collect();
        parts.into_iter()
    }

    /// Searches the next lines. Returns whether there are more.
    pub(crate) fn look(&mut self, engine: &dyn Engine) -> Result<bool, Error> {
        let lines = lines(
            engine,
            &self.owner,
            &Filter::default(),
            self.until,
            (PAGE_LINES, PAGE_BYTES),
        )?;
        for line in &lines.lines {
            self.until = line.sequence;
            if self.loose.is_empty() {
                continue;
            }
            for hash in hashes_in(&line.line) {
                if self.loose.remove(&hash) {
                    self.kept.insert(hash);
                }
            }
            // A large payload is stored as a blob, and may cite other blobs.
            let read = StoredLine::read(&line.line).ok();
            let payload = read.and_then(|read| read.blob());
            for hash in cited_in(engine, &self.owner, payload)? {
                if self.loose.remove(&hash) {
                    self.kept.insert(hash);
                }
            }
        }
        Ok(!lines.ended)
    }
}

/// Does one step. The caller is the writer, so nothing else is written at the same time.
pub(crate) fn take(
    step: Step,
    engine: &dyn Engine,
    writer: &mut dyn Writer,
) -> Result<Stepped, Error> {
    match step {
        Step::Lines { stream, by, after } => erase(&stream, by, after, engine, writer),
        Step::Repack { stream, after } => {
            let positions = positions(&stream, after, engine)?;
            let Some(&last) = positions.last() else {
                return Ok(Stepped::Done);
            };
            writer.repack(&positions)?;
            Ok(Stepped::Until(last))
        }
        Step::Blobs { mut found } => {
            // Lines that were appended since the search.
            while found.look(engine)? {}
            let of_owner = |hashes: BTreeSet<ContentHash>| {
                let owner = &found.owner;
                hashes
                    .into_iter()
                    .map(|hash| (owner.clone(), hash))
                    .collect::<BTreeSet<_>>()
            };
            let (kept, dropped) = (of_owner(found.kept.clone()), of_owner(found.loose.clone()));
            writer.settle_blobs(&kept, &dropped)?;
            Ok(Stepped::Done)
        }
        Step::WriteAnew => writer.write_anew().map(|()| Stepped::Done),
        Step::GiveBack => Ok(match writer.give_back()? {
            GivenBack::Some => Stepped::Until(Sequence::ZERO),
            GivenBack::All => Stepped::Done,
            GivenBack::Held => Stepped::Held,
        }),
    }
}

/// Replaces the payloads of the next lines of a stream.
fn erase(
    stream: &StreamName,
    by: EventId,
    after: Sequence,
    engine: &dyn Engine,
    writer: &mut dyn Writer,
) -> Result<Stepped, Error> {
    let filter = Filter::of_task(&stream.task_id);
    let bounds = (STEP_LINES, STEP_BYTES);
    let found = lines(engine, &stream.owner, &filter, after, bounds)?;
    let Some(last) = found.lines.last().map(|line| line.sequence) else {
        return Ok(Stepped::Done);
    };
    let (mut erased, mut cited) = (Vec::new(), BTreeSet::new());
    for line in &found.lines {
        let damaged = |error: InvalidEvent| reader::damaged(engine, line.sequence, error);
        let read = StoredLine::read(&line.line).map_err(damaged)?;
        if read.erased().is_some() {
            continue;
        }
        let payload = read.blob();
        let hashes = hashes_in(read.data).collect::<Vec<_>>();
        let nested = cited_in(engine, &stream.owner, payload)?;
        let hashes = hashes.into_iter().chain(nested);
        cited.extend(hashes.map(|hash| (stream.owner.clone(), hash)));
        erased.push((line.sequence, erase_line(&line.line, by).map_err(damaged)?));
    }
    if !erased.is_empty() {
        writer.replace(&erased, &cited)?;
    }
    Ok(Stepped::Until(last))
}

/// The positions of the next lines of a stream.
fn positions(
    stream: &StreamName,
    after: Sequence,
    engine: &dyn Engine,
) -> Result<Vec<Sequence>, Error> {
    let filter = Filter::of_task(&stream.task_id);
    let bounds = (STEP_LINES, STEP_BYTES);
    let found = lines(engine, &stream.owner, &filter, after, bounds)?;
    Ok(found.lines.iter().map(|line| line.sequence).collect())
}

/// The hashes cited by a payload that is stored as a blob.
fn cited_in(
    engine: &dyn Engine,
    owner: &Owner,
    payload: Option<ContentHash>,
) -> Result<Vec<ContentHash>, Error> {
    let Some(hash) = payload else {
        return Ok(Vec::new());
    };
    let bytes = engine.blob(owner, hash)?.unwrap_or_default();
    let text = String::from_utf8_lossy(&bytes);
    Ok(hashes_in(&text).collect())
}

fn lines(
    engine: &dyn Engine,
    owner: &Owner,
    filter: &Filter,
    position: Sequence,
    (lines_max, bytes_max): (usize, usize),
) -> Result<Lines, Error> {
    engine.lines(&Query {
        owner: Some(owner),
        filter,
        position,
        direction: Direction::Forwards,
        lines_max,
        bytes_max,
    })
}

/// The next records, at most `count`, each checked against its hash, and whether there are no more.
fn records_after(
    engine: &dyn Engine,
    after: Sequence,
    count: usize,
) -> Result<(Vec<Event>, bool), Error> {
    let filter = Filter {
        kinds: vec!["erasure_started".to_owned(), "erasure_completed".to_owned()],
        ..Filter::of_task(&records_stream()?)
    };
    let system = Principal::system();
    let bounds = (count, PAGE_BYTES);
    let found = lines(engine, system.owner(), &filter, after, bounds)?;
    let mut records = Vec::new();
    for line in found.lines {
        let at = line.sequence;
        let event =
            Event::from_line(line.line).map_err(|error| reader::damaged(engine, at, error))?;
        if line.previous.is_some_and(|before| !event.follows(before)) {
            return Err(reader::damaged(engine, at, "its hash does not fit"));
        }
        records.push(event);
    }
    Ok((records, found.ended))
}

/// The record at a position.
pub(crate) fn record_at(engine: &dyn Engine, at: Sequence) -> Result<Event, Error> {
    let before = Sequence(at.0.saturating_sub(1));
    let (records, _) = records_after(engine, before, 1)?;
    let record = records.into_iter().next();
    record
        .filter(|record| record.sequence() == at)
        .ok_or_else(|| reader::damaged(engine, at, "the record of an erasure is missing"))
}

/// The error for a caller that reads an erased stream.
pub(crate) fn gone(engine: &dyn Engine, at: Sequence) -> Error {
    match record_at(engine, at).and_then(|record| Erased::of(&record)) {
        Ok(erased) => Error::Erased(Box::new(erased)),
        Err(error) => error,
    }
}

fn records_stream() -> Result<TaskId, Error> {
    TaskId::new(ERASURES).map_err(Error::bad_append)
}

fn record(
    id: EventId,
    actor: &str,
    causation_id: Option<EventId>,
    payload: Payload,
    makers: Makers<'_>,
) -> Result<NewEvent, Error> {
    let now = makers.time.now();
    let draft = Draft {
        id,
        task_id: records_stream()?,
        owner: Principal::system().owner().clone(),
        module: None,
        occurred_at: now,
        actor: actor.to_owned(),
        clock: VectorClock::default(),
        causation_id,
        code_version: 0,
        code_hash: None,
        payload,
    };
    Ok(NewEvent::new(draft, now)?)
}

/// Makes an append of records.
pub(crate) fn append_of(records: Vec<NewEvent>) -> Result<Append, Error> {
    Ok(Append {
        task_id: records_stream()?,
        expected: Expected::Any,
        events: records,
        blobs: Vec::new(),
        summary: None,
    })
}
