//! Exports a journal as text, one JSON object per line, and imports it.
//!
//! The first line identifies the store. An event is its stored line (or a `CloudEvent`). It is preceded by the
//! texts it refers to, unless they were exported before; by the hash of its predecessor, if that is not the
//! preceding event in the file; and before the first event of a stream by the stream's summary. So a file can be
//! read from the front, and a truncated file is valid up to its end.
//!
//! An imported event keeps its revision in the stream, or is refused: an event whose predecessor was refused can be
//! imported later together with it, and tasks of two stores with the same id are not merged.

use std::collections::{HashMap, HashSet};

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use bytes::Bytes;
use journeyman_event::{
    ContentHash, Event, NewEvent, ORIGIN_HASH, Owner, Principal, Revision, Sequence, TaskId,
};
use serde::{Deserialize, Serialize};

use crate::Error;
use crate::batch::{Append, Expected, SYSTEM_PREFIX};
use crate::engine::{StreamName, Summary};
use crate::handle::Journal;
use crate::reader::{Filter, Page};

/// The version of the lines that are not events.
const EXPORT: u32 = 1;
/// The number of events read at a time.
const PAGE: usize = 500;
/// How many exported texts are remembered; others may be exported again.
const GIVEN_MAX: usize = 100_000;
/// The number of events appended at a time.
const BATCH_EVENTS: usize = 500;
/// The number of bytes of events and texts appended at a time, exceeded by at most one event.
const BATCH_BYTES: usize = 8 << 20;
/// How many refused lines and omitted events are listed; the rest is only counted.
const REFUSED_MAX: usize = 1_000;
/// The most bytes of texts that are kept because they stood before refused events.
const LEFT_BYTES_MAX: usize = 256 << 20;
const BYTE_ORDER_MARK: char = '\u{feff}';
pub(crate) const HASH_CHARS: usize = 3 + 64;

/// The format of exported events.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// The stored lines.
    Stored,
    /// `CloudEvents` 1.0 in structured JSON.
    CloudEvents,
}

/// A line that is not an event.
#[derive(Serialize, Deserialize)]
#[serde(untagged, deny_unknown_fields)]
enum Beside {
    Store {
        export: u32,
        store: String,
    },
    Stream {
        stream: TaskId,
        owner: Owner,
        summary: String,
        /// The revision at which the summary was written; missing in older exports.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        revision: Option<Revision>,
        /// The summary's hash ([`Summary::hash_of`]); missing in older exports.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        hash: Option<ContentHash>,
    },
    Link {
        /// The position of the next event.
        link: Sequence,
        /// The hash of its predecessor.
        previous: ContentHash,
    },
    Text {
        blob: ContentHash,
        owner: Owner,
        text: String,
    },
    Bytes {
        blob: ContentHash,
        owner: Owner,
        base64: String,
    },
}

fn line_of(beside: &Beside) -> Result<String, Error> {
    serde_json::to_string(beside).map_err(Error::bad_append)
}

/// An export in progress; see [`Journal::export`].
#[derive(Debug)]
pub struct Export {
    pub(crate) journal: Journal,
    pub(crate) principal: Principal,
    pub(crate) filter: Filter,
    pub(crate) format: Format,
    position: Option<Sequence>,
    ended: bool,
    /// The summaries of streams that were not exported yet, with their revisions.
    streams: HashMap<StreamName, (Revision, Vec<u8>)>,
    given: HashSet<(Owner, ContentHash)>,
    /// The last exported event.
    last: Option<Sequence>,
    damaged: Vec<Error>,
    left_out: u64,
    erased: u64,
    /// Streams of which an event was left out because it was erased, perhaps while this export is made. Nothing of them
    /// follows, so that the export has no gap within a stream.
    closed: HashSet<StreamName>,
}

impl Export {
    pub(crate) fn new(
        journal: Journal,
        principal: Principal,
        filter: Filter,
        format: Format,
    ) -> Self {
        Self {
            journal,
            principal,
            filter,
            format,
            position: None,
            ended: false,
            streams: HashMap::new(),
            given: HashSet::new(),
            last: None,
            damaged: Vec::new(),
            left_out: 0,
            erased: 0,
            closed: HashSet::new(),
        }
    }

    /// How many events, or texts they refer to, were omitted because they were changed or are missing; and the
    /// first 1,000 of these errors, each an [`Error::Damaged`], or an [`Error::Corrupt`] for an unreadable
    /// summary.
    pub fn left_out(&self) -> (u64, &[Error]) {
        (self.left_out, &self.damaged)
    }

    /// The number of events that were left out because they were erased.
    pub fn erased(&self) -> u64 {
        self.erased
    }

    fn leave_out(&mut self, damaged: Error) {
        self.left_out += 1;
        if self.damaged.len() < REFUSED_MAX {
            self.damaged.push(damaged);
        }
    }

    /// Fails if the one stream that the filter names was erased, before the first line is given.
    async fn check_whole(&self) -> Result<(), Error> {
        let Some(task) = self.filter.task_id.as_ref() else {
            return Ok(());
        };
        if self.principal.is_system() {
            return Ok(());
        }
        match self.journal.erasure(&self.principal, task).await? {
            Some(erased) => Err(Error::Erased(Box::new(erased))),
            None => Ok(()),
        }
    }

    /// Reads the summaries of all streams.
    async fn read_summaries(&mut self) -> Result<(), Error> {
        let mut before = Sequence(u64::MAX);
        loop {
            let (journal, principal) = (&self.journal, &self.principal);
            let streams = journal
                .streams_before(principal, before, usize::MAX)
                .await?;
            let Some(last) = streams.last() else {
                return Ok(());
            };
            before = last.sequence;
            for stream in streams {
                if let Some(summary) = stream.summary {
                    let name = StreamName::of(&stream.owner, &stream.task_id);
                    self.streams.insert(name, (stream.revision, summary));
                }
            }
        }
    }

    /// Reads the next valid events. Invalid ones are recorded and omitted.
    async fn page(&mut self, after: Sequence) -> Result<Page, Error> {
        let (journal, principal) = (&self.journal, &self.principal);
        let page = journal.read(principal, &self.filter, after, PAGE).await;
        let (error, sequence) = match page {
            Err(error @ Error::Damaged { sequence, .. }) => (error, sequence),
            page => return page,
        };
        if let Some(before) = sequence.0.checked_sub(1).filter(|&before| before > after.0) {
            let sound = Filter {
                until: Some(Sequence(before)),
                ..self.filter.clone()
            };
            let sound = journal.read(principal, &sound, after, PAGE).await?;
            if !sound.events.is_empty() {
                // The damaged one is met again, at the beginning of the next page.
                return Ok(Page {
                    ended: false,
                    ..sound
                });
            }
        }
        self.leave_out(error);
        self.position = Some(sequence.max(after.next()));
        Ok(Page {
            events: Vec::new(),
            previous: Vec::new(),
            ended: false,
        })
    }

    /// The next lines, without line ends; `None` at the end.
    pub async fn next(&mut self) -> Result<Vec<String>, Error> {
        let mut lines = Vec::new();
        if self.position.is_none() {
            self.check_whole().await?;
            lines.push(line_of(&Beside::Store {
                export: EXPORT,
                store: self.journal.store_id().to_owned(),
            })?);
            match self.read_summaries().await {
                // Without a summary, lists are built from events.
                Err(error @ Error::Corrupt { .. }) => self.leave_out(error),
                read => read?,
            }
        }
        let mut after = self.position.unwrap_or(Sequence::ZERO);
        self.position = Some(after);
        while lines.is_empty() && !self.ended {
            let page = self.page(after).await?;
            self.ended = page.ended;
            if let Some(last) = page.events.last() {
                self.position = Some(last.sequence());
            }
            after = self.position.unwrap_or(after);
            for (event, previous) in page.events.iter().zip(page.previous) {
                self.add(event, previous, &mut lines).await?;
            }
        }
        if self.ended && lines.is_empty() {
            self.check_whole().await?;
        }
        Ok(lines)
    }

    async fn add(
        &mut self,
        event: &Event,
        previous: Option<ContentHash>,
        lines: &mut Vec<String>,
    ) -> Result<(), Error> {
        let (owner, task) = (event.owner(), event.task_id());
        let name = StreamName::of(owner, task);
        if event.erased().is_some() || self.closed.contains(&name) {
            self.erased += 1;
            self.closed.insert(name);
            return Ok(());
        }
        // Given once: with the stream's first event.
        if let Some((revision, summary)) = self.streams.remove(&name) {
            lines.push(line_of(&Beside::Stream {
                stream: task.clone(),
                owner: owner.clone(),
                hash: Some(Summary::hash_of(owner.as_str(), task.as_str(), &summary)),
                summary: BASE64_STANDARD.encode(summary),
                revision: Some(revision),
            })?);
        }
        let is_next = self.last.unwrap_or(Sequence::ZERO).next() == event.sequence();
        if let Some(previous) = previous.filter(|_| !is_next) {
            lines.push(line_of(&Beside::Link {
                link: event.sequence(),
                previous,
            })?);
        }
        self.last = Some(event.sequence());
        for blob in hashes_in(event.data()) {
            if self.given.contains(&(owner.clone(), blob)) {
                continue;
            }
            let its_owner = Principal::user(owner.clone());
            // Not every hash names a text that is kept.
            let bytes = match self.journal.blob(&its_owner, blob).await {
                Ok(Some(bytes)) => bytes,
                Ok(None) if self.journal.erasure(&its_owner, task).await?.is_some() => {
                    // It was erased after it was read.
                    self.erased += 1;
                    self.closed.insert(name);
                    self.last = None;
                    return Ok(());
                }
                Ok(None) => continue,
                Err(Error::Corrupt { store, reason }) => {
                    self.leave_out(Error::Damaged {
                        store,
                        sequence: event.sequence(),
                        reason: format!("a text that it cites is left out: {reason}"),
                    });
                    continue;
                }
                Err(error) => return Err(error),
            };
            if self.given.len() >= GIVEN_MAX {
                self.given.clear();
            }
            self.given.insert((owner.clone(), blob));
            let owner = owner.clone();
            lines.push(line_of(&match std::str::from_utf8(&bytes) {
                Ok(text) => Beside::Text {
                    blob,
                    owner,
                    text: text.to_owned(),
                },
                Err(_) => Beside::Bytes {
                    blob,
                    owner,
                    base64: BASE64_STANDARD.encode(&bytes),
                },
            })?);
        }
        lines.push(match self.format {
            Format::Stored => event.line().to_owned(),
            Format::CloudEvents => event.to_cloud_event(self.journal.store_id())?,
        });
        Ok(())
    }
}

/// Everything in a text that looks like a content hash.
pub(crate) fn hashes_in(text: &str) -> impl Iterator<Item = ContentHash> {
    let at = text.match_indices("b3:");
    at.filter_map(|(at, _)| text.get(at..at + HASH_CHARS)?.parse().ok())
}

/// A line that was not imported.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RefusedLine {
    /// The number of the line, from 1.
    pub line: u64,
    /// Why it was refused.
    pub reason: String,
}

/// The result of an import.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ImportReport {
    /// The number of events added.
    pub events: u64,
    /// The number of events that were already stored.
    pub known: u64,
    /// The number of refused lines.
    pub refused: u64,
    /// The first 1,000 refused lines.
    pub refusals: Vec<RefusedLine>,
}

/// An import in progress; see [`Journal::import`].
pub struct Import {
    journal: Journal,
    principal: Principal,
    done: ImportReport,
    line: u64,
    store: Option<String>,
    /// The summaries of streams, with their revisions if known.
    summaries: HashMap<StreamName, (Option<Revision>, Vec<u8>)>,
    /// The position of the last event line, and its hash.
    last: Option<(Sequence, ContentHash)>,
    /// Texts that the next event may refer to, with their owners.
    texts: Vec<(Owner, Bytes)>,
    /// Texts that stood before refused events. An export has each text once, so that later events may cite them.
    left: HashMap<(Owner, ContentHash), Bytes>,
    left_bytes: usize,
    /// Those of them for which there was no room.
    lost: HashSet<(Owner, ContentHash)>,
    /// Consecutive events of one stream that were not appended yet.
    events: Vec<Waiting>,
    blobs: Vec<Bytes>,
    bytes: usize,
}

/// An event that was not appended yet.
struct Waiting {
    /// The number of its line.
    line: u64,
    /// Its revision in the exported store.
    revision: Revision,
    /// The store in which it was first stored.
    origin: String,
    event: NewEvent,
}

impl Waiting {
    fn stream(&self) -> (&Owner, &TaskId) {
        (self.event.owner(), self.event.task_id())
    }
}

impl Import {
    pub(crate) fn new(journal: Journal, principal: Principal) -> Self {
        Self {
            journal,
            principal,
            done: ImportReport::default(),
            line: 0,
            store: None,
            summaries: HashMap::new(),
            last: None,
            texts: Vec::new(),
            left: HashMap::new(),
            left_bytes: 0,
            lost: HashSet::new(),
            events: Vec::new(),
            blobs: Vec::new(),
            bytes: 0,
        }
    }

    /// Processes the next line. An invalid line is refused and recorded, and does not affect others. An error
    /// means that the journal accepts no more; importing the same file again continues where it stopped.
    pub async fn line(&mut self, bytes: &[u8]) -> Result<(), Error> {
        self.line += 1;
        let Ok(text) = std::str::from_utf8(bytes) else {
            self.refuse(self.line, "it is not UTF-8".to_owned());
            return Ok(());
        };
        // Some editors put a mark before the first line.
        let text = text.strip_prefix(BYTE_ORDER_MARK).unwrap_or(text).trim();
        if text.is_empty() {
            return Ok(());
        }
        match self.read(text) {
            Ok(None) => {}
            Ok(Some(next)) => {
                let follows = self.events.last().is_none_or(|last| {
                    last.stream() == next.stream() && last.revision.next() == next.revision
                });
                if !follows || self.events.len() >= BATCH_EVENTS || self.bytes >= BATCH_BYTES {
                    self.flush().await?;
                }
                if let Err(reason) = self.take_left(&next) {
                    self.refuse(self.line, reason);
                    return Ok(());
                }
                self.bytes += next.event.data().len();
                for (owner, text) in self.texts.drain(..) {
                    if &owner == next.event.owner() {
                        self.bytes += text.len();
                        self.blobs.push(text);
                    }
                }
                self.events.push(next);
            }
            Err(reason) => self.refuse(self.line, reason),
        }
        Ok(())
    }

    /// Takes texts that the event cites from those that stood before refused events.
    fn take_left(&mut self, next: &Waiting) -> Result<(), String> {
        if self.left.is_empty() && self.lost.is_empty() {
            return Ok(());
        }
        for hash in hashes_in(next.event.data()) {
            let cited = (next.event.owner().clone(), hash);
            if let Some(text) = self.left.get(&cited) {
                self.bytes += text.len();
                self.blobs.push(text.clone());
            } else if self.lost.contains(&cited) {
                return Err(format!(
                    "it cites the text {hash}, which stands before a refused event, and there were too many such texts: \
                     import an export without the refused events"
                ));
            }
        }
        Ok(())
    }

    /// Keeps the texts that stood before events of an owner that were refused.
    fn leave(&mut self, owner: &Owner, texts: Vec<Bytes>) {
        for text in texts {
            let cited = (owner.clone(), ContentHash::of(&text));
            if self.left_bytes + text.len() > LEFT_BYTES_MAX {
                self.lost.insert(cited);
            } else if !self.left.contains_key(&cited) {
                self.left_bytes += text.len();
                self.left.insert(cited, text);
            }
        }
    }

    /// Appends the remaining events after the last line.
    pub async fn finish(mut self) -> Result<ImportReport, Error> {
        self.flush().await?;
        Ok(self.done)
    }

    fn refuse(&mut self, line: u64, reason: String) {
        self.done.refused += 1;
        if self.done.refusals.len() < REFUSED_MAX {
            self.done.refusals.push(RefusedLine { line, reason });
        }
    }

    /// Parses an event; `None` for a line that only prepares one.
    fn read(&mut self, text: &str) -> Result<Option<Waiting>, String> {
        let (event, store) = if text.starts_with("{\"schema\":") {
            let store = self.store.clone().ok_or(
                "no line before it names the store; `journeyman journal export` writes one first",
            )?;
            let event = Event::from_line(text).map_err(|error| {
                self.last = None;
                error.to_string()
            })?;
            (event, store)
        } else if text.starts_with("{\"specversion\":") {
            Event::from_cloud_event(text).map_err(|error| {
                self.last = None;
                error.to_string()
            })?
        } else {
            return self.prepare(text).map(|()| None);
        };
        let last = self.last.replace((event.sequence(), event.hash()));
        let previous = match last {
            _ if event.sequence() == Sequence(1) => Some(ORIGIN_HASH),
            Some((sequence, hash)) if sequence.next() == event.sequence() => Some(hash),
            _ => None,
        };
        // Where nothing says what it is linked to, as in older exports of a part, nothing can be said.
        if previous.is_some_and(|previous| !event.follows(previous)) {
            let sequence = event.sequence();
            return Err(format!(
                "its hash does not fit: the event {sequence} or its link was changed"
            ));
        }
        self.may_write(event.owner())?;
        if event.revision() == Revision::ZERO {
            return Err("its revision is 0; they begin at 1".to_owned());
        }
        let new = NewEvent::imported(&event, &store);
        let origin = event.origin().map(|origin| origin.store.clone());
        Ok(Some(Waiting {
            line: self.line,
            revision: event.revision(),
            origin: origin.unwrap_or(store),
            event: new.map_err(|error| error.to_string())?,
        }))
    }

    fn may_write(&self, owner: &Owner) -> Result<(), String> {
        if self.principal.sees(owner) {
            return Ok(());
        }
        Err(format!("it belongs to {owner}"))
    }

    fn prepare(&mut self, text: &str) -> Result<(), String> {
        let beside = serde_json::from_str(text)
            .map_err(|_| "it is neither an event nor a line of an export".to_owned())?;
        let decode = |text: &str| BASE64_STANDARD.decode(text).map_err(|e| e.to_string());
        match beside {
            Beside::Store {
                export: EXPORT,
                store,
            } => self.store = Some(store),
            Beside::Store { export, .. } => {
                return Err(format!(
                    "exports of version {export} are not known, only {EXPORT}"
                ));
            }
            Beside::Stream {
                stream,
                owner,
                summary,
                revision,
                hash,
            } => {
                self.may_write(&owner)?;
                let summary = decode(&summary)?;
                let fits = Summary::hash_of(owner.as_str(), stream.as_str(), &summary);
                if hash.is_some_and(|hash| hash != fits) {
                    return Err("its hash does not fit: it was changed".to_owned());
                }
                let name = StreamName::of(&owner, &stream);
                self.summaries.insert(name, (revision, summary));
            }
            Beside::Link { link, previous } => {
                self.last = Some((Sequence(link.0.saturating_sub(1)), previous));
            }
            Beside::Text { blob, owner, text } => self.text(blob, owner, text.into())?,
            Beside::Bytes {
                blob,
                owner,
                base64,
            } => self.text(blob, owner, decode(&base64)?.into())?,
        }
        Ok(())
    }

    fn text(&mut self, blob: ContentHash, owner: Owner, bytes: Bytes) -> Result<(), String> {
        self.may_write(&owner)?;
        if ContentHash::of(&bytes) != blob {
            return Err(format!("its bytes are not those of {blob}"));
        }
        self.texts.push((owner, bytes));
        Ok(())
    }

    /// Appends the collected events: together, or one by one if that is refused, so that only invalid ones and
    /// those after them are left out.
    async fn flush(&mut self) -> Result<(), Error> {
        let events = std::mem::take(&mut self.events);
        let blobs = std::mem::take(&mut self.blobs);
        self.bytes = 0;
        let refused = self.done.refused;
        match self.append(&events, &blobs).await? {
            Ok(()) => {}
            Err(reason) if events.len() == 1 => self.refuse(events[0].line, reason),
            Err(_) => {
                for event in &events {
                    let alone = std::slice::from_ref(event);
                    if let Err(reason) = self.append(alone, &blobs).await? {
                        self.refuse(event.line, reason);
                    }
                }
            }
        }
        if let Some(first) = events.first().filter(|_| self.done.refused > refused) {
            self.leave(first.event.owner(), blobs);
        }
        Ok(())
    }

    /// The inner error means that the events themselves are invalid.
    async fn append(
        &mut self,
        waiting: &[Waiting],
        blobs: &[Bytes],
    ) -> Result<Result<(), String>, Error> {
        let (Some(first), Some(last)) = (waiting.first(), waiting.last()) else {
            return Ok(Ok(()));
        };
        let count = waiting.len() as u64;
        let (owner, task_id) = first.stream();
        let name = StreamName::of(owner, task_id);
        if self.journal.was_erased_in(&first.origin, &name).await? {
            return Ok(Err(format!(
                "task {task_id} was erased in the store that it comes from, as a record here says"
            )));
        }
        let before = Revision(first.revision.0.saturating_sub(1));
        let summary = self.summaries.get(&name);
        let summary = summary.filter(|(revision, _)| revision.is_none_or(|at| at == last.revision));
        let append = Append {
            task_id: task_id.clone(),
            // What the system notes of itself belongs to no task and is in no order.
            expected: if task_id.as_str().starts_with(SYSTEM_PREFIX) {
                Expected::Any
            } else {
                Expected::Revision(before)
            },
            events: waiting.iter().map(|one| one.event.clone()).collect(),
            blobs: blobs.to_vec(),
            summary: summary.map(|(_, summary)| summary.clone()),
        };
        let principal = if owner == Principal::system().owner() {
            Principal::system()
        } else {
            Principal::user(owner.clone())
        };
        match self.journal.append(&principal, append).await {
            Ok(appended) if appended.duplicate => self.done.known += count,
            Ok(_) => self.done.events += count,
            Err(Error::WrongRevision { actual, .. }) => {
                return Ok(Err(misplaced(task_id, first.revision, actual)));
            }
            Err(
                error @ (Error::Invalid(_)
                | Error::Erased(_)
                | Error::BadAppend { .. }
                | Error::Forbidden { .. }
                | Error::IdInUse { .. }),
            ) => {
                return Ok(Err(error.to_string()));
            }
            Err(error) => return Err(error),
        }
        Ok(Ok(()))
    }
}

/// Why an event of this revision cannot be appended to a task with this many events.
fn misplaced(task: &TaskId, revision: Revision, actual: Revision) -> String {
    if actual.next() < revision {
        return format!(
            "it is revision {revision} of task {task}, of which {actual} are here: one before it was \
             refused or is missing; an import that brings that one takes this one, too"
        );
    }
    format!(
        "task {task} is here already, with another event as revision {revision}: it went on here or \
         is another store's, and two tasks are not made one; import into another data folder"
    )
}
