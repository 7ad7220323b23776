//! A journal as text and back: one JSON object a line.
//!
//! The first line names the store. An event is its stored line (or a `CloudEvent`); before it stand
//! the texts that it cites and were not given yet, and before the first event of a stream what
//! lists show of it. So a file can be read from the front, and one that was cut off is good up to
//! there.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use bytes::Bytes;
use journeyman_event::{
    ContentHash, Event, NewEvent, Owner, Principal, Sequence, TaskId, TimeSource,
};
use serde::{Deserialize, Serialize};

use crate::Error;
use crate::batch::{Append, Expected};
use crate::handle::Journal;
use crate::reader::Filter;

/// The version of the lines beside events.
const EXPORT: u32 = 1;
/// Events that are read at a time.
const PAGE: usize = 500;
/// Texts that are remembered as given; past that they may be given again.
const GIVEN_MAX: usize = 100_000;
/// Events that are appended at a time.
const BATCH_EVENTS: usize = 500;
/// Bytes of events and texts that are appended at a time, give or take one event.
const BATCH_BYTES: usize = 8 << 20;
/// Refused lines that are named; the rest is counted.
const REFUSED_MAX: usize = 1_000;
const HASH_CHARS: usize = 3 + 64;

/// How an export writes events.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// As they are stored.
    Stored,
    /// As `CloudEvents` 1.0 in structured JSON.
    CloudEvents,
}

/// A line that is no event.
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

/// An export under way; see [`Journal::export`].
#[derive(Debug)]
pub struct Export {
    pub(crate) journal: Journal,
    pub(crate) principal: Principal,
    pub(crate) filter: Filter,
    pub(crate) format: Format,
    position: Option<Sequence>,
    ended: bool,
    streams: HashMap<(Owner, TaskId), Option<Vec<u8>>>,
    given: HashSet<(Owner, ContentHash)>,
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
        }
    }

    /// What lists show of every stream.
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
                let name = (stream.owner, stream.task_id);
                self.streams.insert(name, stream.summary);
            }
        }
    }

    /// The next lines, without line ends; none when all were given.
    pub async fn next(&mut self) -> Result<Vec<String>, Error> {
        let mut lines = Vec::new();
        if self.position.is_none() {
            lines.push(line_of(&Beside::Store {
                export: EXPORT,
                store: self.journal.store_id().to_owned(),
            })?);
            self.read_summaries().await?;
        }
        let after = self.position.unwrap_or(Sequence::ZERO);
        if self.ended {
            return Ok(lines);
        }
        let page = self
            .journal
            .read(&self.principal, &self.filter, after, PAGE)
            .await?;
        self.ended = page.ended;
        self.position = Some(page.events.last().map_or(after, Event::sequence));
        for event in &page.events {
            self.add(event, &mut lines).await?;
        }
        Ok(lines)
    }

    async fn add(&mut self, event: &Event, lines: &mut Vec<String>) -> Result<(), Error> {
        let (owner, task) = (event.owner(), event.task_id());
        // Given once: with the stream's first event.
        if let Some(Some(summary)) = self.streams.remove(&(owner.clone(), task.clone())) {
            lines.push(line_of(&Beside::Stream {
                stream: task.clone(),
                owner: owner.clone(),
                summary: BASE64_STANDARD.encode(summary),
            })?);
        }
        for blob in hashes_in(event.data()) {
            if self.given.contains(&(owner.clone(), blob)) {
                continue;
            }
            let its_owner = Principal::user(owner.clone());
            // Not every hash names a text that is kept.
            let Some(bytes) = self.journal.blob(&its_owner, blob).await? else {
                continue;
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
fn hashes_in(text: &str) -> impl Iterator<Item = ContentHash> {
    let at = text.match_indices("b3:");
    at.filter_map(|(at, _)| text.get(at..at + HASH_CHARS)?.parse().ok())
}

/// A line that was not imported.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refused {
    /// Its number, from 1.
    pub line: u64,
    /// Why.
    pub reason: String,
}

/// What an import did.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Imported {
    /// Events that were added.
    pub events: u64,
    /// Events that were here already.
    pub known: u64,
    /// Lines that were refused.
    pub refused: u64,
    /// The first 1,000 of them.
    pub refusals: Vec<Refused>,
}

/// An import under way; see [`Journal::import`].
pub struct Import {
    journal: Journal,
    principal: Principal,
    time: Arc<dyn TimeSource>,
    done: Imported,
    line: u64,
    store: Option<String>,
    summaries: HashMap<(Owner, TaskId), Vec<u8>>,
    /// Texts that the next event may cite, and whose they are.
    texts: Vec<(Owner, Bytes)>,
    /// Events of one stream that wait to be appended, with their lines.
    events: Vec<(u64, NewEvent)>,
    blobs: Vec<Bytes>,
    bytes: usize,
}

impl Import {
    pub(crate) fn new(journal: Journal, principal: Principal, time: Arc<dyn TimeSource>) -> Self {
        Self {
            journal,
            principal,
            time,
            done: Imported::default(),
            line: 0,
            store: None,
            summaries: HashMap::new(),
            texts: Vec::new(),
            events: Vec::new(),
            blobs: Vec::new(),
            bytes: 0,
        }
    }

    /// Takes the next line. One that breaks a rule is refused and noted, and loses nothing else; an
    /// error means that the journal takes no more: the same file again goes on where it stopped.
    pub async fn line(&mut self, text: &str) -> Result<(), Error> {
        self.line += 1;
        let text = text.trim();
        if text.is_empty() {
            return Ok(());
        }
        match self.read(text) {
            Ok(None) => {}
            Ok(Some(event)) => {
                let other_stream = self.events.last().is_some_and(|(_, last)| {
                    (last.owner(), last.task_id()) != (event.owner(), event.task_id())
                });
                if other_stream || self.events.len() >= BATCH_EVENTS || self.bytes >= BATCH_BYTES {
                    self.flush().await?;
                }
                self.bytes += event.data().len();
                for (owner, text) in self.texts.drain(..) {
                    if &owner == event.owner() {
                        self.bytes += text.len();
                        self.blobs.push(text);
                    }
                }
                self.events.push((self.line, event));
            }
            Err(reason) => self.refuse(self.line, reason),
        }
        Ok(())
    }

    /// Everything was given: what waits is appended.
    pub async fn finish(mut self) -> Result<Imported, Error> {
        self.flush().await?;
        Ok(self.done)
    }

    fn refuse(&mut self, line: u64, reason: String) {
        self.done.refused += 1;
        if self.done.refusals.len() < REFUSED_MAX {
            self.done.refusals.push(Refused { line, reason });
        }
    }

    /// An event, or nothing if the line only prepares one.
    fn read(&mut self, text: &str) -> Result<Option<NewEvent>, String> {
        let (event, store) = if text.starts_with("{\"schema\":") {
            let store = self.store.clone().ok_or(
                "no line before it names the store; `journeyman journal export` writes one first",
            )?;
            (Event::from_line(text).map_err(|e| e.to_string())?, store)
        } else if text.starts_with("{\"specversion\":") {
            Event::from_cloud_event(text).map_err(|e| e.to_string())?
        } else {
            return self.prepare(text).map(|()| None);
        };
        self.may_write(event.owner())?;
        NewEvent::imported(&event, &store, self.time.now())
            .map(Some)
            .map_err(|error| error.to_string())
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
            } => {
                self.may_write(&owner)?;
                self.summaries.insert((owner, stream), decode(&summary)?);
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

    /// Appends what waits: together, or where that is refused one by one, so that only those at
    /// fault are left out.
    async fn flush(&mut self) -> Result<(), Error> {
        let events = std::mem::take(&mut self.events);
        let blobs = std::mem::take(&mut self.blobs);
        self.bytes = 0;
        let all = events.iter().map(|(_, event)| event.clone()).collect();
        let Some((first, _)) = events.first() else {
            return Ok(());
        };
        match self.append(all, blobs.clone()).await? {
            Ok(()) => {}
            Err(reason) if events.len() == 1 => self.refuse(*first, reason),
            Err(_) => {
                for (line, event) in events {
                    if let Err(reason) = self.append(vec![event], blobs.clone()).await? {
                        self.refuse(line, reason);
                    }
                }
            }
        }
        Ok(())
    }

    /// The inner error is the events' own fault.
    async fn append(
        &mut self,
        events: Vec<NewEvent>,
        blobs: Vec<Bytes>,
    ) -> Result<Result<(), String>, Error> {
        let Some(first) = events.first() else {
            return Ok(Ok(()));
        };
        let count = events.len() as u64;
        let (owner, task_id) = (first.owner().clone(), first.task_id().clone());
        let summary = self
            .summaries
            .get(&(owner.clone(), task_id.clone()))
            .cloned();
        let append = Append {
            task_id,
            expected: Expected::Any,
            events,
            blobs,
            summary,
        };
        let principal = if &owner == Principal::system().owner() {
            Principal::system()
        } else {
            Principal::user(owner)
        };
        match self.journal.append(&principal, append).await {
            Ok(appended) if appended.duplicate => self.done.known += count,
            Ok(_) => self.done.events += count,
            Err(
                error @ (Error::Invalid(_) | Error::BadAppend { .. } | Error::Forbidden { .. }),
            ) => {
                return Ok(Err(error.to_string()));
            }
            Err(error) if error.is_conflict() => return Ok(Err(error.to_string())),
            Err(error) => return Err(error),
        }
        Ok(Ok(()))
    }
}
