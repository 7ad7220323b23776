//! Counters, and a histogram of handler times.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use hdrhistogram::Histogram;

use crate::BreakerState;

/// The longest handler time recorded; longer ones count as this.
const LATENCY_MAX: Duration = Duration::from_mins(10);
/// The precision of handler times, in significant decimal digits.
const LATENCY_DIGITS: u8 = 2;

/// The statistics of a bus. The counters are read one after another while messages flow, so they are not a
/// consistent snapshot: a message between two of them may be missing from both.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Statistics {
    /// Messages accepted for delivery.
    pub published: u64,
    /// Deliveries to all subscribers, including former ones.
    pub delivered: u64,
    /// Messages dropped because a queue was full.
    pub dropped: u64,
    /// Messages not handled because the handler's circuit breaker was open.
    pub skipped: u64,
    /// Handler runs that ended in an error or a panic.
    pub failed: u64,
    /// Handler runs that exceeded the time limit.
    pub timed_out: u64,
    /// Messages still queued when their subscriber unsubscribed or the bus stopped.
    pub discarded: u64,
    /// The current subscribers, in the order they subscribed.
    pub subscribers: Vec<SubscriberStatistics>,
}

/// The statistics of one subscriber; see [`Statistics`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SubscriberStatistics {
    /// The name of the subscriber.
    pub name: String,
    /// Messages received, or handled without an error.
    pub delivered: u64,
    /// Same as [`Statistics::dropped`], for this subscriber.
    pub dropped: u64,
    /// Same as [`Statistics::skipped`], for this subscriber.
    pub skipped: u64,
    /// Same as [`Statistics::failed`], for this subscriber.
    pub failed: u64,
    /// Same as [`Statistics::timed_out`], for this subscriber.
    pub timed_out: u64,
    /// Same as [`Statistics::discarded`], for this subscriber.
    pub discarded: u64,
    /// Messages queued now.
    pub depth: usize,
    /// The most messages ever queued.
    pub depth_max: usize,
    /// The state of the handler's circuit breaker.
    pub breaker: BreakerState,
    /// The handler's times. `None` before it handled a message, and for subscribers without a handler.
    pub latency: Option<Latency>,
}

/// Quantiles of handler times, to two significant digits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Latency {
    /// The median of the times.
    pub p50: Duration,
    /// The 90th percentile.
    pub p90: Duration,
    /// The 99th percentile.
    pub p99: Duration,
    /// The longest time.
    pub max: Duration,
}

/// The counters of one subscriber.
#[derive(Debug, Default)]
pub(crate) struct Counters {
    pub(crate) delivered: AtomicU64,
    pub(crate) dropped: AtomicU64,
    pub(crate) skipped: AtomicU64,
    pub(crate) failed: AtomicU64,
    pub(crate) timed_out: AtomicU64,
    pub(crate) discarded: AtomicU64,
    /// In nanoseconds. Allocated with the first value, because it takes about 20 KB.
    latency: Mutex<Option<Histogram<u32>>>,
}

pub(crate) fn add(counter: &AtomicU64, n: u64) {
    if n > 0 {
        counter.fetch_add(n, Ordering::Relaxed);
    }
}

pub(crate) fn get(counter: &AtomicU64) -> u64 {
    counter.load(Ordering::Relaxed)
}

impl Counters {
    /// Records handler times.
    pub(crate) fn took(&self, times: &[Duration]) {
        if times.is_empty() {
            return;
        }
        let mut latency = self.latency.lock().unwrap_or_else(PoisonError::into_inner);
        let max = u64::try_from(LATENCY_MAX.as_nanos()).unwrap_or(u64::MAX);
        if latency.is_none() {
            *latency = Histogram::new_with_bounds(1, max, LATENCY_DIGITS).ok();
        }
        if let Some(histogram) = latency.as_mut() {
            for time in times {
                let nanos = u64::try_from(time.as_nanos()).unwrap_or(u64::MAX);
                histogram.saturating_record(nanos);
            }
        }
    }

    pub(crate) fn latency(&self) -> Option<Latency> {
        let latency = self.latency.lock().unwrap_or_else(PoisonError::into_inner);
        let histogram = latency.as_ref()?;
        let at = |quantile| Duration::from_nanos(histogram.value_at_quantile(quantile));
        Some(Latency {
            p50: at(0.5),
            p90: at(0.9),
            p99: at(0.99),
            max: at(1.0),
        })
    }

    /// Adds these counters to a total.
    pub(crate) fn add_to(&self, total: &mut Statistics) {
        total.delivered += get(&self.delivered);
        total.dropped += get(&self.dropped);
        total.skipped += get(&self.skipped);
        total.failed += get(&self.failed);
        total.timed_out += get(&self.timed_out);
        total.discarded += get(&self.discarded);
    }
}
