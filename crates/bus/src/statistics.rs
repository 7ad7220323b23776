//! What is counted, and how long handlers take.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use hdrhistogram::Histogram;

use crate::BreakerState;

/// Longer handler times count as this.
const LATENCY_MAX: Duration = Duration::from_mins(10);
/// Significant decimal digits that are kept of a handler's time.
const LATENCY_DIGITS: u8 = 2;

/// A bus in figures. They are read one after another while messages flow: what is in between two
/// counters is in neither.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Statistics {
    /// Messages that were accepted.
    pub published: u64,
    /// Deliveries of all subscribers, also of those that have left.
    pub delivered: u64,
    /// Messages for which a queue had no room.
    pub dropped: u64,
    /// Messages that an open breaker kept from its handler.
    pub skipped: u64,
    /// Handlings that ended in an error or a panic.
    pub failed: u64,
    /// Handlings that took too long.
    pub timed_out: u64,
    /// Messages that waited when their subscriber left or the bus stopped.
    pub discarded: u64,
    /// Present subscribers in the order in which they came.
    pub subscribers: Vec<SubscriberStatistics>,
}

/// One subscriber in figures; see [`Statistics`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SubscriberStatistics {
    /// Its name.
    pub name: String,
    /// Messages that were handled without an error, or received.
    pub delivered: u64,
    /// See [`Statistics::dropped`].
    pub dropped: u64,
    /// See [`Statistics::skipped`].
    pub skipped: u64,
    /// See [`Statistics::failed`].
    pub failed: u64,
    /// See [`Statistics::timed_out`].
    pub timed_out: u64,
    /// See [`Statistics::discarded`].
    pub discarded: u64,
    /// Messages that wait now.
    pub depth: usize,
    /// The most that ever waited.
    pub depth_max: usize,
    /// Where its breaker stands.
    pub breaker: BreakerState,
    /// How long its handler takes; none before it handled anything, and of those without a handler.
    pub latency: Option<Latency>,
}

/// Quantiles of a handler's time, to two significant digits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Latency {
    /// Half of the handlings took no longer.
    pub p50: Duration,
    /// 90 of 100 took no longer.
    pub p90: Duration,
    /// 99 of 100 took no longer.
    pub p99: Duration,
    /// None took longer.
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
    /// Nanoseconds. Made with the first value: it has some 20 KB.
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
    /// Takes in handler times.
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

    /// Adds them to a total.
    pub(crate) fn add_to(&self, total: &mut Statistics) {
        total.delivered += get(&self.delivered);
        total.dropped += get(&self.dropped);
        total.skipped += get(&self.skipped);
        total.failed += get(&self.failed);
        total.timed_out += get(&self.timed_out);
        total.discarded += get(&self.discarded);
    }
}
