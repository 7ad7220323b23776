//! The effects in progress. They run independently of what the worker does, and are cancelled when it drops them.

use std::collections::{BTreeSet, VecDeque};
use std::pin::{Pin, pin};

use futures_util::StreamExt;
use futures_util::stream::FuturesUnordered;
use journeyman_event::EventId;

use crate::Error;
use crate::effects::Outcome;

/// An effect that has ended and whose outcome was not recorded yet.
pub(super) struct Ended {
    pub(super) intent: EventId,
    pub(super) outcome: Result<Outcome, Error>,
    /// Whether it was stopped because the task's time limit was reached.
    pub(super) is_overdue: bool,
}

/// The effects in progress, and those that have ended since.
#[derive(Default)]
pub(super) struct Running<'w> {
    under_way: FuturesUnordered<Pin<Box<dyn Future<Output = Ended> + Send + 'w>>>,
    ended: VecDeque<Ended>,
    intents: BTreeSet<EventId>,
}

impl<'w> Running<'w> {
    pub(super) fn begin(
        &mut self,
        intent: EventId,
        effect: impl Future<Output = Ended> + Send + 'w,
    ) {
        self.intents.insert(intent);
        self.under_way.push(Box::pin(effect));
    }

    /// Whether the effect with this intent was started and not taken out yet.
    pub(super) fn has(&self, intent: EventId) -> bool {
        self.intents.contains(&intent)
    }

    pub(super) fn is_empty(&self) -> bool {
        self.intents.is_empty()
    }

    /// Takes out the effect that ended first.
    pub(super) fn take(&mut self) -> Option<Ended> {
        let ended = self.ended.pop_front()?;
        self.intents.remove(&ended.intent);
        Some(ended)
    }

    /// Waits until an effect has ended; forever if none is in progress.
    pub(super) async fn wait(&mut self) {
        if self.ended.is_empty() {
            match self.under_way.next().await {
                Some(ended) => self.ended.push_back(ended),
                None => std::future::pending().await,
            }
        }
    }

    /// Awaits another future while the effects continue.
    pub(super) async fn during<T>(&mut self, work: impl Future<Output = T>) -> T {
        let mut work = pin!(work);
        loop {
            tokio::select! {
                biased;
                done = &mut work => return done,
                Some(ended) = self.under_way.next() => self.ended.push_back(ended),
            }
        }
    }
}
