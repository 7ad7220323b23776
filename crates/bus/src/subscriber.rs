//! One subscriber as seen by publishers: a queue with counters, a circuit breaker and a check for hanging handlers.

use std::future::poll_fn;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::Poll;
use std::time::Duration;

use tokio::time::Instant;

use crate::breaker::{Breaker, BreakerState};
use crate::options::{Kinds, SubscriberOptions};
use crate::queue::{Offer, Queue};
use crate::statistics::{Counters, SubscriberStatistics, add, get};

/// The most messages that a handler takes from its queue at a time.
pub(crate) const BATCH_MAX: usize = 64;

#[derive(Debug)]
pub(crate) struct Subscriber<M> {
    pub(crate) id: u64,
    pub(crate) name: String,
    pub(crate) kinds: Kinds,
    pub(crate) time_limit: Duration,
    pub(crate) counters: Counters,
    pub(crate) breaker: Breaker,
    pub(crate) queue: Queue<M>,
    made: Instant,
    /// When the handler last got a message, in microseconds after `made`, plus one; 0 while it is idle. Only
    /// maintained for blocking handlers, because only they can hang.
    busy_since: AtomicU64,
}

impl<M> Subscriber<M> {
    pub(crate) fn new(id: u64, options: SubscriberOptions) -> Self {
        Self {
            id,
            name: options.name,
            kinds: options.kinds,
            time_limit: options.time_limit,
            counters: Counters::default(),
            breaker: Breaker::new(options.failures_max, options.pause),
            queue: Queue::new(options.capacity, options.overflow),
            made: Instant::now(),
            busy_since: AtomicU64::new(0),
        }
    }

    fn micros(&self, instant: Instant) -> u64 {
        let since = instant.saturating_duration_since(self.made).as_micros();
        u64::try_from(since).unwrap_or(u64::MAX - 1) + 1
    }

    pub(crate) fn begins(&self, at: Instant) {
        self.busy_since.store(self.micros(at), Ordering::Relaxed);
    }

    pub(crate) fn ends(&self) {
        self.busy_since.store(0, Ordering::Relaxed);
    }

    /// How much longer the handler may take for the current message; `None` if it is idle.
    fn time_left(&self) -> Option<Duration> {
        let since = match self.busy_since.load(Ordering::Relaxed) {
            0 => return None,
            since => since,
        };
        let spent = self.micros(Instant::now()).saturating_sub(since);
        Some(self.time_limit.saturating_sub(Duration::from_micros(spent)))
    }

    /// Whether the handler has exceeded its time limit and cannot be stopped.
    fn hangs(&self) -> bool {
        self.time_left() == Some(Duration::ZERO)
    }

    /// Offers a message without waiting. Returns false if the caller must wait.
    pub(crate) fn offer(&self, message: &Arc<M>) -> bool {
        match self.queue.offer(message) {
            Offer::Queued | Offer::Closed => {}
            Offer::Dropped | Offer::Full if self.hangs() => add(&self.counters.skipped, 1),
            Offer::Dropped => add(&self.counters.dropped, 1),
            Offer::Full => return false,
        }
        true
    }

    /// Waits for room and queues the message, unless the handler hangs.
    pub(crate) async fn offer_waiting(&self, message: &Arc<M>) {
        // If the publisher gives up, the message is dropped.
        let mut dropped = Dropped(Some(&self.counters));
        loop {
            let offer = poll_fn(|context| self.queue.poll_offer(context, message));
            let outcome = match self.time_left() {
                None => {
                    // It may begin to hang while we wait.
                    tokio::time::timeout(self.time_limit, offer).await
                }
                Some(left) => tokio::time::timeout(left, offer).await,
            };
            match outcome {
                Ok(_) => break,
                Err(_) if self.hangs() => {
                    add(&self.counters.skipped, 1);
                    break;
                }
                Err(_) => {}
            }
        }
        dropped.0 = None;
    }

    /// Takes the next messages for the handler. Returns false once there will be none.
    pub(crate) fn poll_work(
        &self,
        context: &std::task::Context<'_>,
        batch: &mut Vec<Arc<M>>,
    ) -> Poll<bool> {
        self.queue.poll_take(context, batch, BATCH_MAX, true)
    }

    /// Closes the queue and discards what is in it.
    pub(crate) fn close(&self) {
        let waited = self.queue.close();
        add(
            &self.counters.discarded,
            u64::try_from(waited).unwrap_or(u64::MAX),
        );
    }

    pub(crate) fn statistics(&self) -> SubscriberStatistics {
        let (depth, depth_max) = self.queue.depth();
        let counters = &self.counters;
        SubscriberStatistics {
            name: self.name.clone(),
            delivered: get(&counters.delivered),
            dropped: get(&counters.dropped),
            skipped: get(&counters.skipped),
            failed: get(&counters.failed),
            timed_out: get(&counters.timed_out),
            discarded: get(&counters.discarded),
            depth,
            depth_max,
            breaker: if self.hangs() {
                BreakerState::Open
            } else {
                self.breaker.state()
            },
            latency: counters.latency(),
        }
    }
}

struct Dropped<'a>(Option<&'a Counters>);

impl Drop for Dropped<'_> {
    fn drop(&mut self) {
        if let Some(counters) = self.0 {
            add(&counters.dropped, 1);
        }
    }
}
