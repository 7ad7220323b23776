//! Live reading: everything recorded since a position, then what is recorded from now on. The
//! reader pages from the store at its own speed, so nothing is buffered for it, lost or repeated.

use std::time::Duration;

use journeyman_event::{Event, Principal, Sequence};
use tokio::sync::watch;

use crate::Error;
use crate::handle::Journal;
use crate::reader::{Filter, Head};

/// Events read at a time.
const PAGE: usize = 500;
/// How often a reader beside another process's writer looks for more.
const POLL: Duration = Duration::from_millis(100);

/// A live view of the events that a filter takes.
#[derive(Debug)]
pub struct Subscription {
    pub(crate) journal: Journal,
    pub(crate) principal: Principal,
    pub(crate) filter: Filter,
    /// Everything up to here was given, or is not meant.
    pub(crate) position: Sequence,
    pub(crate) ready: std::collections::VecDeque<Event>,
    /// Tells of commits; none beside another process's writer.
    pub(crate) committed: Option<watch::Receiver<Sequence>>,
}

impl Subscription {
    /// The next event, as soon as there is one. Cancel-safe: an event that was not given is given
    /// by the next call.
    pub async fn next(&mut self) -> Result<Event, Error> {
        loop {
            if let Some(event) = self.ready.pop_front() {
                return Ok(event);
            }
            // Looked at before the page is read: what comes in meanwhile wakes the wait below.
            let head = match &mut self.committed {
                Some(committed) => *committed.borrow_and_update(),
                None => self
                    .journal
                    .newest()
                    .await
                    .map(|Head { sequence, .. }| sequence)?,
            };
            if head > self.position {
                let page = self
                    .journal
                    .read(&self.principal, &self.filter, self.position, PAGE)
                    .await?;
                self.position = match page.last() {
                    Some(last) if page.len() == PAGE => last.sequence(),
                    last => last.map_or(head, |last| last.sequence().max(head)),
                };
                self.ready.extend(page);
                continue;
            }
            match &mut self.committed {
                Some(committed) => committed.changed().await.map_err(|_| Error::Closed)?,
                None => tokio::time::sleep(POLL).await,
            }
        }
    }
}
