//! The batch at the model server: how many calls are in progress at the same time.

use jiff::Timestamp;
use journeyman_signal::Signal;
use serde::Serialize;

use crate::tracker::Tracker;

/// Larger batches are counted as this size.
const SIZE_MAX: usize = 64;

#[derive(Debug, Default)]
pub(crate) struct Batch {
    now: u64,
    max: u64,
    /// The size, and the time from which it holds.
    since: Option<(u64, Timestamp)>,
    /// The time spent with each size from 1 on, in seconds.
    seconds: Vec<f64>,
}

/// The calls in progress at the same time, since the process started to count.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct BatchView {
    /// The number of calls in progress.
    pub calls: u64,
    /// The largest number that was seen.
    pub calls_max: u64,
    /// The mean number while there was any, weighted by time; `None` if there was none.
    pub calls_mean: Option<f64>,
    /// Seconds with at least one call in progress.
    pub busy_seconds: f64,
    /// Seconds by the number of calls in progress: the first is for 1. The last, if it is the 64th, is for all larger
    /// numbers.
    pub seconds: Vec<f64>,
}

impl Batch {
    #[allow(clippy::cast_precision_loss)] // sizes are small
    pub(crate) fn view(&self) -> BatchView {
        let busy_seconds = self.seconds.iter().sum();
        let sizes = self.seconds.iter().zip(1_u64..);
        let weighted: f64 = sizes.map(|(seconds, size)| seconds * size as f64).sum();
        BatchView {
            calls: self.now,
            calls_max: self.max,
            calls_mean: (busy_seconds > 0.0).then(|| weighted / busy_seconds),
            busy_seconds,
            seconds: self.seconds.clone(),
        }
    }
}

impl Tracker for Batch {
    const NAME: &'static str = "batch";
    const KINDS: &'static [&'static str] = &["batch.size_changed"];

    fn take(&mut self, at: Timestamp, signal: &Signal) -> Vec<Signal> {
        let Signal::BatchSizeChanged(changed) = signal else {
            return Vec::new();
        };
        if let Some((size @ 1.., since)) = self.since {
            let size = usize::try_from(size).unwrap_or(SIZE_MAX).min(SIZE_MAX);
            if self.seconds.len() < size {
                self.seconds.resize(size, 0.0);
            }
            // A clock that was set back adds nothing.
            self.seconds[size - 1] += at.duration_since(since).as_secs_f64().max(0.0);
        }
        self.now = changed.calls;
        self.max = self.max.max(changed.calls);
        self.since = Some((changed.calls, at));
        Vec::new()
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use journeyman_signal::BatchSizeChanged;

    use super::*;

    #[test]
    fn the_mean_size_is_weighted_by_time_and_idle_time_is_left_out() {
        let mut batch = Batch::default();
        // 1 call for 10 s, 3 calls for 10 s, none for 100 s, 200 calls for 1 s.
        for (second, calls) in [(0, 1), (10, 3), (20, 0), (120, 200), (121, 0)] {
            let at = Timestamp::from_second(second).unwrap();
            batch.take(at, &BatchSizeChanged { calls }.into());
        }
        let view = batch.view();
        assert_eq!((view.calls, view.calls_max), (0, 200));
        assert!((view.busy_seconds - 21.0).abs() < 1e-9, "{view:?}");
        assert_eq!(view.seconds.len(), 64);
        let mean = (10.0 + 30.0 + 64.0) / 21.0;
        assert!((view.calls_mean.unwrap() - mean).abs() < 1e-9, "{view:?}");
    }
}
