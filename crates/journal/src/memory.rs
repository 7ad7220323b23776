//! The engine that keeps a journal in memory: for tests and simulation. What it holds lives as long
//! as the last clone; nothing of it survives the process.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bytes::Bytes;
use journeyman_event::{ContentHash, Event, EventId, ORIGIN_HASH, Owner, Revision, Sequence};

use crate::Error;
use crate::engine::{
    ChainedLine, Changes, Direction, Engine, GivenBack, Holder, Lines, LookupKeys, LookupRows,
    Query, RawStream, Row, SNAPSHOTS_KEPT, StreamName, StreamRow, Summary, Walker, Writer,
};
use crate::reader::{Head, Snapshot};

/// The name of the store in errors.
const NAME: &str = "memory";

/// A store in memory. Clones share it.
#[derive(Clone, Debug, Default)]
pub struct Memory {
    tables: Arc<Mutex<Tables>>,
}

#[derive(Debug, Default)]
struct Tables {
    /// The store id; `None` before it was first opened for writing.
    store_id: Option<String>,
    is_held: bool,
    /// The event with sequence number n is at index n - 1.
    events: Vec<Event>,
    places: HashMap<EventId, usize>,
    streams: BTreeMap<StreamName, Stream>,
    blobs: BTreeMap<(Owner, ContentHash), Bytes>,
    /// Blobs that an erased line cited, until it is known whether another line cites them.
    loose: BTreeSet<(Owner, ContentHash)>,
}

#[derive(Debug, Default)]
struct Stream {
    revision: Revision,
    sequence: Sequence,
    summary: Option<Summary>,
    snapshots: BTreeMap<Sequence, Snapshot>,
    /// The position of the event that records its erasure.
    erasure: Option<Sequence>,
}

impl Memory {
    /// Creates an empty store.
    pub fn new() -> Self {
        Self::default()
    }

    fn tables(&self) -> MutexGuard<'_, Tables> {
        // Each change is made whole or not at all; a panic elsewhere leaves the tables sound.
        self.tables.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Tables {
    fn head(&self) -> Head {
        self.events.last().map_or(Head::NONE, Head::of)
    }

    fn at(&self, sequence: Sequence) -> Option<&Event> {
        let place = usize::try_from(sequence.0.checked_sub(1)?).ok()?;
        self.events.get(place)
    }
}

impl Engine for Memory {
    fn open_writer(&self, new_store_id: &str) -> Result<Box<dyn Writer>, Error> {
        let mut tables = self.tables();
        if tables.is_held {
            return Err(Error::Locked {
                store: NAME.to_owned(),
                holder: Holder::process(std::process::id()),
            });
        }
        tables.is_held = true;
        tables
            .store_id
            .get_or_insert_with(|| new_store_id.to_owned());
        Ok(Box::new(MemoryWriter(self.clone())))
    }

    fn holder(&self) -> Option<Holder> {
        let is_held = self.tables().is_held;
        is_held.then(|| Holder::process(std::process::id()))
    }

    fn name(&self) -> &str {
        NAME
    }

    fn store_id(&self) -> Result<String, Error> {
        self.tables()
            .store_id
            .clone()
            .ok_or_else(|| Error::Corrupt {
                store: NAME.to_owned(),
                reason: "nothing was ever stored in it".to_owned(),
            })
    }

    fn head(&self) -> Result<Head, Error> {
        Ok(self.tables().head())
    }

    fn lines(&self, query: &Query<'_>) -> Result<Lines, Error> {
        let tables = self.tables();
        let position = usize::try_from(query.position.0).unwrap_or(usize::MAX);
        let events: Box<dyn Iterator<Item = &Event>> = match query.direction {
            Direction::Forwards => Box::new(tables.events.iter().skip(position)),
            Direction::Backwards => {
                let end = position.saturating_sub(1).min(tables.events.len());
                Box::new(tables.events.iter().take(end).rev())
            }
        };
        let mut erasure = None;
        let newest = match (query.owner, &query.filter.task_id) {
            (Some(owner), Some(task)) => {
                let stream = tables.streams.get(&StreamName::of(owner, task));
                erasure = stream.and_then(|stream| stream.erasure);
                stream.map(|stream| stream.sequence)
            }
            (None, None) => Some(tables.head().sequence),
            _ => None,
        };
        let (mut lines, mut bytes) = (Vec::new(), 0);
        let meant = events.filter(|event| {
            let owned = query.owner.is_none_or(|owner| event.owner() == owner);
            owned && query.filter.takes_first(event)
        });
        for event in meant {
            if lines.len() == query.lines_max || bytes >= query.bytes_max {
                return Ok(Lines {
                    lines,
                    ended: false,
                    newest,
                    erasure,
                });
            }
            bytes += event.line().len();
            let before = Sequence(event.sequence().0 - 1);
            lines.push(ChainedLine {
                sequence: event.sequence(),
                line: event.line().into(),
                previous: Some(tables.at(before).map_or(ORIGIN_HASH, Event::hash)),
            });
        }
        Ok(Lines {
            lines,
            ended: true,
            newest,
            erasure,
        })
    }

    fn blob(&self, owner: &Owner, hash: ContentHash) -> Result<Option<Bytes>, Error> {
        Ok(self.tables().blobs.get(&(owner.clone(), hash)).cloned())
    }

    fn streams(
        &self,
        owner: Option<&Owner>,
        before: Sequence,
        limit: usize,
    ) -> Result<Vec<StreamRow>, Error> {
        let tables = self.tables();
        let meant = tables
            .streams
            .iter()
            .filter(|(name, _)| owner.is_none_or(|owner| &name.owner == owner))
            .filter(|(_, stream)| stream.sequence < before && stream.erasure.is_none());
        let mut streams: Vec<StreamRow> = meant
            .map(|(name, stream)| StreamRow {
                name: name.clone(),
                revision: stream.revision,
                sequence: stream.sequence,
                summary: stream.summary.as_ref().map(|summary| summary.bytes.clone()),
                summary_hash: stream.summary.as_ref().map(|summary| summary.hash),
            })
            .collect();
        streams.sort_by_key(|stream| std::cmp::Reverse(stream.sequence));
        streams.truncate(limit);
        Ok(streams)
    }

    fn erasure(&self, stream: &StreamName) -> Result<Option<Sequence>, Error> {
        let tables = self.tables();
        let stream = tables.streams.get(stream);
        Ok(stream.and_then(|stream| stream.erasure))
    }

    fn loose_blobs(&self, limit: usize) -> Result<Vec<(Owner, ContentHash)>, Error> {
        Ok(self.tables().loose.iter().take(limit).cloned().collect())
    }

    fn bytes(&self) -> Result<u64, Error> {
        let tables = self.tables();
        let lines: usize = tables.events.iter().map(|event| event.line().len()).sum();
        let blobs: usize = tables.blobs.values().map(Bytes::len).sum();
        Ok((lines + blobs) as u64)
    }

    fn snapshot(&self, stream: &StreamName, at: Sequence) -> Result<Option<Snapshot>, Error> {
        let tables = self.tables();
        let stream = tables.streams.get(stream);
        let newest = stream.and_then(|stream| stream.snapshots.range(..=at).next_back());
        Ok(newest.map(|(_, snapshot)| snapshot.clone()))
    }

    fn walk(&self, walker: &mut dyn Walker) -> Result<(), Error> {
        let tables = self.tables();
        let signed = |n: u64| i64::try_from(n).unwrap_or(i64::MAX);
        for ((owner, hash), bytes) in &tables.blobs {
            if walker
                .blob(owner.as_str(), hash.as_bytes(), bytes)
                .is_break()
            {
                return Ok(());
            }
        }
        for event in &tables.events {
            let id = event.id();
            let row = Row {
                sequence: signed(event.sequence().0),
                revision: signed(event.revision().0),
                id: id.as_bytes(),
                kind: event.kind(),
                owner: event.owner().as_str(),
                task_id: event.task_id().as_str(),
                line: event.line(),
            };
            if walker.event(&row).is_break() {
                return Ok(());
            }
        }
        for (name, stream) in &tables.streams {
            let summary = stream.summary.as_ref();
            let shown = RawStream {
                owner: name.owner.as_str(),
                task_id: name.task_id.as_str(),
                revision: signed(stream.revision.0),
                sequence: signed(stream.sequence.0),
                summary: summary.map(|summary| &*summary.bytes),
                summary_hash: summary.map(|summary| &summary.hash.as_bytes()[..]),
                erasure: stream.erasure.map(|at| signed(at.0)),
            };
            if walker.stream(&shown).is_break() {
                return Ok(());
            }
        }
        Ok(())
    }
}

struct MemoryWriter(Memory);

impl Drop for MemoryWriter {
    fn drop(&mut self) {
        self.0.tables().is_held = false;
    }
}

impl Writer for MemoryWriter {
    fn head(&mut self) -> Result<Head, Error> {
        Ok(self.0.tables().head())
    }

    fn hash_at(&mut self, sequence: Sequence) -> Result<Option<ContentHash>, Error> {
        if sequence == Sequence::ZERO {
            return Ok(Some(ORIGIN_HASH));
        }
        Ok(self.0.tables().at(sequence).map(Event::hash))
    }

    fn write(
        &mut self,
        wanted: &LookupKeys,
        plan: &mut dyn FnMut(&LookupRows) -> Changes,
    ) -> Result<(), Error> {
        let mut tables = self.0.tables();
        let stored = |id: &EventId| {
            let place = tables.places.get(id)?;
            Some((*id, tables.events.get(*place)?.line().into()))
        };
        let known = LookupRows {
            events: wanted.events.iter().filter_map(stored).collect(),
            streams: wanted
                .streams
                .iter()
                .filter_map(|name| Some((name.clone(), tables.streams.get(name)?.revision)))
                .collect(),
            erased: wanted
                .streams
                .iter()
                .filter_map(|name| {
                    let at = tables.streams.get(name)?.erasure?;
                    Some((name.clone(), tables.at(at)?.line().into()))
                })
                .collect(),
            blobs: wanted
                .blobs
                .iter()
                .filter_map(|name| Some((name.clone(), tables.blobs.get(name)?.clone())))
                .collect(),
        };
        let changes = plan(&known);
        for event in changes.events {
            let place = tables.events.len();
            tables.places.insert(event.id(), place);
            tables.events.push(event);
        }
        for (name, change) in changes.streams {
            let stream = tables.streams.entry(name).or_default();
            stream.revision = change.revision;
            stream.sequence = change.sequence;
            if change.summary.is_some() {
                stream.summary = change.summary;
            }
        }
        for (name, bytes) in changes.blobs {
            tables.blobs.entry(name).or_insert(bytes);
        }
        for (name, at) in changes.erased {
            if let Some(stream) = tables.streams.get_mut(&name) {
                stream.erasure = Some(at);
                stream.summary = None;
                stream.snapshots.clear();
            }
        }
        Ok(())
    }

    fn keep_snapshot(&mut self, stream: &StreamName, snapshot: &Snapshot) -> Result<(), Error> {
        let mut tables = self.0.tables();
        let stream = tables.streams.get_mut(stream);
        if let Some(stream) = stream.filter(|stream| stream.erasure.is_none()) {
            stream.snapshots.insert(snapshot.sequence, snapshot.clone());
            while stream.snapshots.len() > SNAPSHOTS_KEPT {
                stream.snapshots.pop_first();
            }
        }
        Ok(())
    }

    fn replace(
        &mut self,
        lines: &[(Sequence, String)],
        cited: &BTreeSet<(Owner, ContentHash)>,
    ) -> Result<(), Error> {
        let mut tables = self.0.tables();
        for (at, line) in lines {
            let place = usize::try_from(at.0.saturating_sub(1)).unwrap_or(usize::MAX);
            if let Some(event) = tables.events.get_mut(place) {
                *event = Event::from_line(line.as_str())?;
            }
        }
        let cited = cited.iter().filter(|name| tables.blobs.contains_key(*name));
        let cited: Vec<_> = cited.cloned().collect();
        tables.loose.extend(cited);
        Ok(())
    }

    fn repack(&mut self, _: &[Sequence]) -> Result<(), Error> {
        Ok(())
    }

    fn settle_blobs(
        &mut self,
        kept: &BTreeSet<(Owner, ContentHash)>,
        dropped: &BTreeSet<(Owner, ContentHash)>,
    ) -> Result<(), Error> {
        let mut tables = self.0.tables();
        for name in kept.iter().chain(dropped) {
            tables.loose.remove(name);
        }
        for name in dropped {
            tables.blobs.remove(name);
        }
        Ok(())
    }

    fn give_back(&mut self) -> Result<GivenBack, Error> {
        Ok(GivenBack::All)
    }

    fn write_anew(&mut self) -> Result<(), Error> {
        Ok(())
    }

    fn reopen(&mut self) -> Result<(), Error> {
        Ok(())
    }
}
