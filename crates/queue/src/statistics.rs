//! What is counted, and how long jobs wait and run.

use std::time::Duration;

use hdrhistogram::Histogram;
use journeyman_event::Priority;

use crate::Alarm;

/// Longer times count as this.
const TIME_MAX: Duration = Duration::from_hours(24);
/// Significant decimal digits that are kept of a time.
const TIME_DIGITS: u8 = 2;

/// A queue in figures, all of one moment.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Statistics {
    /// Waiting jobs by priority, the most urgent first; priorities at which none waits are left
    /// out.
    pub depth: Vec<(Priority, usize)>,
    /// Places that are taken: waiting jobs, and admitted ones that are not submitted yet.
    pub occupied: usize,
    /// Submitters that wait for a place.
    pub submitters: usize,
    /// Jobs that run.
    pub running: usize,
    /// For how long the job that has waited longest could have been started; none if none waits.
    pub oldest_waiting: Option<Duration>,
    /// How long jobs waited before they were started; none before the first.
    pub waiting_time: Option<Quantiles>,
    /// How long runs took; none before the first has ended.
    pub service_time: Option<Quantiles>,
    /// Counted since the queue was made.
    pub counts: Counts,
    /// How everything that is watched is.
    pub alarms: Vec<Alarm>,
    /// The queue's own tasks that ended in a panic, each kind once: while there are any, the queue does
    /// not do all that it should, and must be made anew.
    pub died: Vec<&'static str>,
}

/// What has happened since the queue was made.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// Jobs that were submitted.
    pub submitted: u64,
    /// Jobs of former times that were taken in.
    pub recovered: u64,
    /// Admissions that were refused, for whatever reason.
    pub refused: u64,
    /// Runs that were started; a job that goes back to the queue has several.
    pub started: u64,
    /// Jobs that answered that they are done.
    pub finished: u64,
    /// Jobs that were told to make room.
    pub preempted: u64,
    /// Jobs whose deadline passed, and those that answered that their time was up.
    pub timed_out: u64,
    /// Jobs that were cancelled.
    pub cancelled: u64,
    /// Jobs that panicked.
    pub panicked: u64,
    /// Jobs that did not end in time after they were told to stop.
    pub abandoned: u64,
}

/// Quantiles of a time, to two significant digits; a day at most.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Quantiles {
    /// Half took no longer.
    pub p50: Duration,
    /// 90 of 100 took no longer.
    pub p90: Duration,
    /// 99 of 100 took no longer.
    pub p99: Duration,
    /// None took longer.
    pub max: Duration,
}

/// Times of one kind, in microseconds.
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
