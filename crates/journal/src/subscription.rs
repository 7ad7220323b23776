//! Live reading: everything recorded since a position, and then new events as they are recorded.
//!
//! Stored events are read from the store page by page; new ones arrive over the bus from the time of subscription.
//! Events on the bus that the pages already contained are skipped. If events are missing on the bus (it drops
//! messages for slow readers), the store is read again. So nothing is lost or repeated, however slow the reader,
//! and only a bounded number of events is queued for it.
//!
//! A subscription to one task of one owner receives only that task's messages. Missing events are then detected by
//! revisions, which have no gaps within a stream, as sequence numbers have none in the store.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use journeyman_bus::{Kinds, Overflow};
use journeyman_event::{Event, Principal, Revision, Sequence, TaskId};
use tokio::sync::watch;

use crate::Error;
use crate::handle::Journal;
use crate::reader::{Filter, ReadLimit};
use crate::writer::Committed;

/// The number of events read at a time.
const PAGE: usize = 500;
/// The most committed events queued for a subscription. A slower one reads from the store.
const LIVE_MAX: usize = 256;
/// How often a read-only journal checks for new events by another process.
const POLL: Duration = Duration::from_millis(100);

/// A live view of the events that match a filter.
#[derive(Debug)]
pub struct Subscription {
    journal: Journal,
    principal: Principal,
    filter: Filter,
    /// All events up to here were returned or do not match.
    position: Sequence,
    ready: VecDeque<Event>,
    /// The subscription to this process's writer; `None` if another process writes.
    live: Option<Live>,
    /// Whether all stored events were read.
    caught_up: bool,
    /// The revision of the stream's last event up to the position, once known. Only for one stream.
    revision: Option<Revision>,
}

/// The new events, as published by this process's writer.
#[derive(Debug)]
pub(crate) struct Live {
    pub(crate) messages: journeyman_bus::Subscription<Committed>,
    /// Changes when there may be events that were not published.
    pub(crate) unpublished: watch::Receiver<u64>,
    pub(crate) committed: watch::Receiver<Sequence>,
}

impl Live {
    /// The bus subscription for a filter.
    pub(crate) fn options(
        principal: &Principal,
        filter: &Filter,
    ) -> journeyman_bus::SubscriberOptions {
        let task = one_stream(principal, filter);
        journeyman_bus::SubscriberOptions::new("journal subscription")
            .kinds(task.map_or(Kinds::All, |task| Kinds::Exact(task.to_string())))
            .capacity(LIVE_MAX)
            // The newest is never dropped: it shows that something is missing before it.
            .overflow(Overflow::DropOldest)
    }
}

impl Subscription {
    pub(crate) fn new(
        journal: Journal,
        principal: Principal,
        filter: Filter,
        after: Sequence,
        live: Option<Live>,
    ) -> Self {
        Self {
            journal,
            principal,
            filter,
            position: after,
            ready: VecDeque::new(),
            live,
            caught_up: false,
            revision: None,
        }
    }

    /// Waits for the next event. Cancel-safe: an event is not lost if the future is dropped.
    pub async fn next(&mut self) -> Result<Event, Error> {
        loop {
            if let Some(event) = self.ready.pop_front() {
                return Ok(event);
            }
            self.wait().await?;
            if self.ready.is_empty() {
                self.read(PAGE.into()).await?;
            }
        }
    }

    /// Waits until [`Subscription::take`] may return something. Stored events are not read yet, so that nothing
    /// is held in memory for a caller that is not ready. Cancel-safe.
    pub async fn wait(&mut self) -> Result<(), Error> {
        while self.ready.is_empty() {
            if self.listens() {
                self.listen().await?;
            } else if self.position < self.head().await? {
                return Ok(());
            } else if self.live.is_some() {
                self.caught_up = true;
            } else {
                tokio::time::sleep(POLL).await;
            }
        }
        Ok(())
    }

    /// Returns the available events up to a limit, exceeded by at most one event; possibly none. Cancel-safe.
    pub async fn take(&mut self, read_limit: ReadLimit) -> Result<Vec<Event>, Error> {
        if self.ready.is_empty() && !self.listens() {
            self.read(read_limit).await?;
        }
        let (mut taken, mut bytes) = (Vec::new(), 0);
        while taken.len() < read_limit.events && bytes < read_limit.bytes {
            let Some(event) = self.ready.pop_front() else {
                break;
            };
            bytes += event.line().len();
            taken.push(event);
        }
        Ok(taken)
    }

    /// Whether the next events come over the bus.
    fn listens(&self) -> bool {
        self.live.is_some() && self.caught_up
    }

    /// The position of the last committed event.
    async fn head(&self) -> Result<Sequence, Error> {
        match &self.live {
            Some(live) => Ok(*live.committed.borrow()),
            None => Ok(self.journal.newest().await?.sequence),
        }
    }

    /// Reads the next page from the store.
    async fn read(&mut self, read_limit: ReadLimit) -> Result<(), Error> {
        // Looked at before the page is read: what comes in meanwhile is on the bus.
        let head = self.head().await?;
        let page = self
            .journal
            .read(&self.principal, &self.filter, self.position, read_limit)
            .await?;
        let last = page.events.last().map_or(self.position, Event::sequence);
        self.position = if page.ended { last.max(head) } else { last };
        self.caught_up = page.ended;
        self.revision = None;
        self.ready.extend(page.events);
        Ok(())
    }

    /// Receives events from the bus, or detects that some are missing.
    async fn listen(&mut self) -> Result<(), Error> {
        if self.follows_one() && self.revision.is_none() {
            self.revision = Some(self.revision_here().await?);
        }
        let Some(live) = &mut self.live else {
            return Ok(());
        };
        let mut messages: Vec<Arc<Committed>> = Vec::new();
        tokio::select! {
            biased;
            // Everything published is in the store, and so is what was not published.
            _ = live.unpublished.changed() => {
                self.caught_up = false;
                return Ok(());
            }
            taken = live.messages.recv_many(&mut messages, PAGE) => {
                if taken == 0 {
                    return Err(Error::Closed);
                }
            }
        }
        for message in messages {
            let Some(event) = &message.event else {
                self.caught_up = false;
                return Ok(());
            };
            let is_others = self.follows_one() && !self.principal.sees(event.owner());
            if is_others || event.sequence() <= self.position {
                continue;
            }
            let is_next = match self.revision {
                Some(revision) => event.revision() == revision.next(),
                None => event.sequence() == self.position.next(),
            };
            if !is_next {
                // Something is between: the store has it, and what was taken here.
                self.caught_up = false;
                return Ok(());
            }
            self.position = event.sequence();
            self.revision = self.revision.map(|_| event.revision());
            if self.principal.sees(event.owner()) && self.filter.takes(event) {
                self.ready.push_back(event.clone());
            }
        }
        Ok(())
    }

    /// Whether only one stream is followed.
    fn follows_one(&self) -> bool {
        one_stream(&self.principal, &self.filter).is_some()
    }

    /// The revision of the stream's last event up to the position.
    async fn revision_here(&self) -> Result<Revision, Error> {
        let filter = Filter {
            task_id: self.filter.task_id.clone(),
            ..Filter::default()
        };
        let before = self.position.next();
        let page = self
            .journal
            .read_backwards(&self.principal, &filter, before, 1)
            .await?;
        let last = page.events.first();
        Ok(last.map_or(Revision::ZERO, Event::revision))
    }
}

/// The task followed, if it is a single stream: the system principal sees every owner's task with that id.
fn one_stream<'a>(principal: &Principal, filter: &'a Filter) -> Option<&'a TaskId> {
    filter.task_id.as_ref().filter(|_| !principal.is_system())
}
