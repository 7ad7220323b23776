//! Counters, and histograms of waiting and run times.

use std::time::Duration;

use hdrhistogram::Histogram;
use journeyman_event::Priority;

use crate::Alarm;

/// The longest time recorded; longer ones count as this.
const TIME_MAX: Duration = Duration::from_hours(24);
/// The precision of times, in significant decimal digits.
const TIME_DIGITS: u8 = 2;

/// The statistics of a queue, all taken at the same moment.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Statistics {
    /// The number of waiting jobs by priority, the most urgent first; priorities without jobs are left out.
    pub depth: Vec<(Priority, usize)>,
    /// Occupied places: waiting jobs, and jobs admitted but not submitted yet.
    pub occupied: usize,
    /// Submitters waiting for a place.
    pub submitters: usize,
    /// The number of running jobs.
    pub running: usize,
    /// How long the oldest waiting job has been ready to start; `None` if no job is waiting.
    pub oldest_waiting: Option<Duration>,
    /// How long jobs waited before they were started; `None` before the first start.
    pub waiting_time: Option<Quantiles>,
    /// How long runs took; `None` before the first has ended.
    pub service_time: Option<Quantiles>,
    /// Counters since the queue was created.
    pub counts: Counts,
    /// The state of all watched indicators.
    pub alarms: Vec<Alarm>,
    /// The queue's own async tasks that panicked, each kind once. If there are any, the queue is not fully
    /// functional and must be recreated.
    pub died: Vec<&'static str>,
}

/// Counters since the queue was created.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// The number of jobs submitted.
    pub submitted: u64,
    /// Jobs recovered after a restart.
    pub recovered: u64,
    /// Admissions refused for any reason.
    pub refused: u64,
    /// Runs started. A job that is put back into the queue has several.
    pub started: u64,
    /// Jobs that returned that they are done.
    pub finished: u64,
    /// Jobs told to stop for a more urgent one.
    pub preempted: u64,
    /// Jobs whose deadline passed, and those that reported a time limit of their own.
    pub timed_out: u64,
    /// The number of jobs cancelled.
    pub cancelled: u64,
    /// Jobs that panicked.
    pub panicked: u64,
    /// Jobs dropped because they did not stop in time.
    pub abandoned: u64,
}

/// Quantiles of a time, to two significant digits. Times are capped at one day.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Quantiles {
    /// The median of the times.
    pub p50: Duration,
    /// The 90th percentile.
    pub p90: Duration,
    /// The 99th percentile.
    pub p99: Duration,
    /// The longest time.
    pub max: Duration,
}

/// A histogram of times of one kind, in microseconds.
#[derive(Clone, Debug, Default)]
pub(crate) struct Times(Option<Histogram<u32>>);

impl Times {
    pub(crate) fn took(&mut self, time: Duration) {
        let micros = |time: Duration| u64::try_from(time.as_micros()).unwrap_or(u64::MAX);
        if self.0.is_none() {
            // Made with the first value: it has some 14 KB.
            self.0 = Histogram::new_with_bounds(1, micros(TIME_MAX), TIME_DIGITS).ok();
        }
        if let Some(histogram) = self.0.as_mut() {
            histogram.saturating_record(micros(time));
        }
    }

    pub(crate) fn quantiles(&self) -> Option<Quantiles> {
        let histogram = self.0.as_ref()?;
        let at = |quantile| Duration::from_micros(histogram.value_at_quantile(quantile));
        Some(Quantiles {
            p50: at(0.5),
            p90: at(0.9),
            p99: at(0.99),
            max: at(1.0),
        })
    }
}
