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

/// The buckets of tokens of a model call, as in OpenTelemetry's conventions.
const TOKENS: &[f64] = &[
    1.0,
    4.0,
    16.0,
    64.0,
    256.0,
    1_024.0,
    4_096.0,
    16_384.0,
    65_536.0,
    262_144.0,
    1_048_576.0,
    4_194_304.0,
    16_777_216.0,
    67_108_864.0,
];

/// A histogram as exporters take it.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Histogram {
    pub(crate) sum: f64,
    pub(crate) count: u64,
    /// Each upper bound with the number of values in its bucket; the last one is infinite.
    pub(crate) buckets: Vec<(f64, u64)>,
}

impl Histogram {
    fn of(bounds: &[f64], counts: &[u64], sum: f64) -> Self {
        let bounds = bounds.iter().copied().chain([f64::INFINITY]);
        Self {
            sum,
            count: counts.iter().sum(),
            buckets: bounds.zip(counts.iter().copied()).collect(),
        }
    }
}

/// Numbers of tokens, as a histogram for exporters.
#[derive(Clone, Debug)]
pub(crate) struct TokenCounts {
    counts: Vec<u64>,
    sum: u64,
}

impl Default for TokenCounts {
    fn default() -> Self {
        Self {
            counts: vec![0; TOKENS.len() + 1],
            sum: 0,
        }
    }
}

#[allow(clippy::cast_precision_loss)] // for exporters
impl TokenCounts {
    pub(crate) fn add(&mut self, tokens: u64) {
        let at = TOKENS.partition_point(|bound| *bound < tokens as f64);
        self.counts[at] += 1;
        self.sum += tokens;
    }

    pub(crate) fn histogram(&self) -> Histogram {
        Histogram::of(TOKENS, &self.counts, self.sum as f64)
    }
}

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

    /// The durations in seconds.
    #[allow(clippy::cast_precision_loss)] // for exporters
    pub(crate) fn histogram(&self) -> Histogram {
        let sum = self.sketch.sum() as f64 / SECOND;
        Histogram::of(self.bounds, &self.counts, sum)
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
        let made = times.histogram();
        assert_eq!(made.buckets, [(0.1, 2), (1.0, 2), (f64::INFINITY, 1)]);
        assert_eq!((made.count, times.count()), (5, 5));
        assert!((made.sum - 6.251).abs() < 1e-9);
    }
}
