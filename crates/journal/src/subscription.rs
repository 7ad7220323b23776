//! Live reading: everything recorded since a position, then what is recorded from now on.
//!
//! The past is read from the store, a page at a time; the present comes from a feed, from the moment of
//! subscribing on. What came from there up to the page's end is passed over, and where something is
//! missing there (a feed drops for a slow reader, and says so) the store is read again: so nothing is
//! lost or repeated, however slow the reader, and only a bounded number of events ever waits for it.

use std::collections::VecDeque;
use std::time::Duration;

use journeyman_event::{Event, Principal, Sequence};
use tokio::sync::watch;

use crate::Error;
use crate::feeds::{Committed, Feed};
use crate::handle::Journal;
use crate::reader::Filter;

/// Events read at a time.
const PAGE: usize = 500;
/// How often a reader beside another process's writer looks for more.
const POLL: Duration = Duration::from_millis(100);

/// A live view of the events that a filter takes.
#[derive(Debug)]
pub struct Subscription {
    journal: Journal,
    principal: Principal,
    filter: Filter,
    /// Everything up to here was given, or is not meant.
    position: Sequence,
    ready: VecDeque<Event>,
    /// None beside another process's writer.
    live: Option<Live>,
    /// Whether everything up to the present was read from the store.
    caught_up: bool,
}

/// The present, as this process's writer tells it.
#[derive(Debug)]
pub(crate) struct Live {
    pub(crate) feed: Feed,
    pub(crate) committed: watch::Receiver<Sequence>,
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
        }
    }

    /// The next event, as soon as there is one. Cancel-safe: an event that was not given is given
    /// by the next call.
    pub async fn next(&mut self) -> Result<Event, Error> {
        loop {
            if let Some(event) = self.ready.pop_front() {
                return Ok(event);
            }
            match &self.live {
                Some(_) if self.caught_up => self.listen().await?,
                _ => self.read().await?,
            }
        }
    }

    /// Reads the next page, or waits where there is none and nobody tells of more.
    async fn read(&mut self) -> Result<(), Error> {
        // Looked at before the page is read: what comes in meanwhile comes from the feed.
        let head = if let Some(live) = &self.live {
            *live.committed.borrow()
        } else {
            self.journal.newest().await?.sequence
        };
        if head <= self.position {
            self.caught_up = true;
            if self.live.is_none() {
                tokio::time::sleep(POLL).await;
            }
            return Ok(());
        }
        let page = self
            .journal
            .read(&self.principal, &self.filter, self.position, PAGE)
            .await?;
        let last = page.events.last().map_or(self.position, Event::sequence);
        self.position = if page.ended { last.max(head) } else { last };
        self.caught_up = page.ended;
        self.ready.extend(page.events);
        Ok(())
    }

    /// Takes what comes from the feed, or finds that something is missing there.
    async fn listen(&mut self) -> Result<(), Error> {
        let Some(live) = &mut self.live else {
            return Ok(());
        };
        match live.feed.next().await.ok_or(Error::Closed)? {
            Committed::Event(event) if event.sequence() <= self.position => {}
            Committed::Event(event) => {
                self.position = event.sequence();
                if self.principal.sees(event.owner()) && self.filter.takes(&event) {
                    self.ready.push_back(event);
                }
            }
            Committed::Unseen => self.caught_up = false,
        }
        Ok(())
    }
}
