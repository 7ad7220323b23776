//! Histograms with fixed buckets, for Prometheus.

use std::time::Duration;

use crate::sketch::{SECOND, Sketch, Summary, micros};

/// The buckets of times to the first token in seconds, as in vLLM, so that its dashboards fit.
pub(crate) const FIRST_TOKEN: &[f64] = &[
    0.001, 0.005, 0.01, 0.02, 0.04, 0.06, 0.08, 0.1, 0.25, 0.5, 0.75, 1.0, 2.5, 5.0, 7.5, 10.0,
    20.0, 40.0, 80.0, 160.0, 640.0, 2560.0,
];
/// The buckets of times between two tokens in seconds, as in vLLM.
pub(crate) const BETWEEN_TOKENS: &[f64] = &[
    0.01, 0.025, 0.05, 0.075, 0.1, 0.15, 0.2, 0.3, 0.4, 0.5, 0.75, 1.0, 2.5, 5.0, 7.5, 10.0, 20.0,
    40.0, 80.0,
];
/// The buckets of durations of requests in seconds, as in vLLM, and shorter ones for HTTP.
pub(crate) const REQUEST: &[f64] = &[
    0.001, 0.005, 0.01, 0.05, 0.1, 0.3, 0.5, 0.8, 1.0, 1.5, 2.0, 2.5, 5.0, 10.0, 15.0, 20.0, 30.0,
    40.0, 50.0, 60.0, 120.0, 240.0, 480.0, 960.0, 1920.0, 7680.0,
];

/// Durations, as a histogram for exporters and a sketch for people.
#[derive(Clone, Debug)]
pub(crate) struct Times {
    bounds: &'static [f64],
    /// The number of durations in each bucket. The last one is for all beyond the largest bound.
    counts: Vec<u64>,
    sketch: Sketch,
}

impl Times {
    pub(crate) fn new(bounds: &'static [f64]) -> Self {
        Self {
            bounds,
            counts: vec![0; bounds.len() + 1],
            sketch: Sketch::default(),
        }
    }

    pub(crate) fn took(&mut self, time: Duration) {
        let seconds = time.as_secs_f64();
        let at = self.bounds.partition_point(|bound| *bound < seconds);
        self.counts[at] += 1;
        self.sketch.record(micros(time));
    }

    /// In seconds.
    pub(crate) fn summary(&self) -> Summary {
        self.sketch.summary(SECOND)
    }

    pub(crate) fn count(&self) -> u64 {
        self.sketch.count()
    }

    #[allow(clippy::cast_precision_loss)] // for exporters
    pub(crate) fn sum(&self) -> f64 {
        self.sketch.sum() as f64 / SECOND
    }

    /// Each upper bound with the number of durations in its bucket.
    pub(crate) fn buckets(&self) -> Vec<(f64, u64)> {
        let bounds = self.bounds.iter().copied().chain([f64::INFINITY]);
        bounds.zip(self.counts.iter().copied()).collect()
    }
}

/// Declares types of durations with their buckets, so that they have a default.
macro_rules! times {
    ($($name:ident = $bounds:ident,)*) => {$(
        #[derive(Clone, Debug)]
        pub(crate) struct $name(pub(crate) Times);

        impl Default for $name {
            fn default() -> Self {
                Self(Times::new($bounds))
            }
        }
    )*};
}

times! {
    FirstToken = FIRST_TOKEN,
    BetweenTokens = BETWEEN_TOKENS,
    RequestTime = REQUEST,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_time_is_in_the_first_bucket_whose_bound_it_does_not_exceed() {
        let mut times = Times::new(&[0.1, 1.0]);
        for ms in [50, 100, 101, 1_000, 5_000] {
            times.took(Duration::from_millis(ms));
        }
        assert_eq!(times.buckets(), [(0.1, 2), (1.0, 2), (f64::INFINITY, 1)]);
        assert_eq!(times.count(), 5);
        assert!((times.sum() - 6.251).abs() < 1e-9);
    }
}
