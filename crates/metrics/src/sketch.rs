//! Quantiles of many values in bounded memory.

use hdrhistogram::Histogram;
use serde::Serialize;

/// Below this number, values are kept as they are, and quantiles are exact.
const EXACT_MAX: usize = 100;
/// The significant decimal digits beyond that, for a relative error of at most 1 %.
const DIGITS: u8 = 2;
/// Larger values are counted as this: a day in microseconds.
const VALUE_MAX: u64 = 86_400_000_000;

/// A set of values with quantiles, in units of the caller's choice (microseconds, thousandths of a token).
///
/// Below 100 values a quantile is exact, by definition R-7 of Hyndman and Fan, the default of numpy. From then on its
/// relative error is at most 1 %. Two sketches can be merged. A sketch takes at most 20 KB.
#[derive(Clone, Debug)]
pub struct Sketch {
    few: Vec<u64>,
    many: Option<Box<Histogram<u32>>>,
    count: u64,
    sum: u128,
    min: u64,
    max: u64,
}

impl Default for Sketch {
    fn default() -> Self {
        Self {
            few: Vec::new(),
            many: None,
            count: 0,
            sum: 0,
            min: u64::MAX,
            max: 0,
        }
    }
}

/// A summary of a [`Sketch`]; members are `None` without values.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize)]
pub struct Summary {
    /// The number of values.
    pub count: u64,
    /// Their sum.
    pub sum: f64,
    /// Their mean.
    pub mean: Option<f64>,
    /// The smallest value.
    pub min: Option<f64>,
    /// The median.
    pub p50: Option<f64>,
    /// The 90th percentile.
    pub p90: Option<f64>,
    /// The 95th percentile.
    pub p95: Option<f64>,
    /// The 99th percentile.
    pub p99: Option<f64>,
    /// The 99.9th percentile.
    pub p999: Option<f64>,
    /// The largest value.
    pub max: Option<f64>,
}

impl Sketch {
    /// Records a value.
    pub fn record(&mut self, value: u64) {
        let value = value.min(VALUE_MAX);
        self.count += 1;
        self.sum += u128::from(value);
        self.min = self.min.min(value);
        self.max = self.max.max(value);
        match &mut self.many {
            Some(many) => many.saturating_record(value),
            None if self.few.len() + 1 < EXACT_MAX => self.few.push(value),
            None => {
                self.few.push(value);
                self.spread();
            }
        }
    }

    /// Moves the values into a histogram.
    fn spread(&mut self) {
        let Ok(mut many) = Histogram::<u32>::new_with_bounds(1, VALUE_MAX, DIGITS) else {
            return; // the bounds are constants that it takes
        };
        for value in self.few.drain(..) {
            many.saturating_record(value);
        }
        self.many = Some(Box::new(many));
    }

    /// The number of values.
    pub fn count(&self) -> u64 {
        self.count
    }

    /// The sum of the values, exact.
    pub fn sum(&self) -> u128 {
        self.sum
    }

    /// The quantile for `part`, 0 to 1; `None` without values.
    #[allow(
        clippy::cast_precision_loss,
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss
    )] // values are below 2^53, and an index below 100
    pub fn quantile(&self, part: f64) -> Option<f64> {
        if self.count == 0 {
            return None;
        }
        if let Some(many) = &self.many {
            let value = many.median_equivalent(many.value_at_quantile(part));
            return Some(value.clamp(self.min, self.max) as f64);
        }
        let mut sorted = self.few.clone();
        sorted.sort_unstable();
        let place = (sorted.len() - 1) as f64 * part.clamp(0.0, 1.0);
        let (below, rest) = (place.floor() as usize, place.fract());
        let low = sorted[below] as f64;
        let high = sorted.get(below + 1).map_or(low, |value| *value as f64);
        Some(low + (high - low) * rest)
    }

    /// Adds all values of another sketch.
    pub fn merge(&mut self, other: &Self) {
        let Some(theirs) = &other.many else {
            for value in &other.few {
                self.record(*value);
            }
            return;
        };
        if self.many.is_none() {
            self.spread();
        }
        if let Some(many) = &mut self.many {
            // Both have the same bounds.
            let _ = many.add(&**theirs);
        }
        self.count += other.count;
        self.sum += other.sum;
        self.min = self.min.min(other.min);
        self.max = self.max.max(other.max);
    }

    /// All that is asked of it, in a unit that has so many of the sketch's.
    #[allow(clippy::cast_precision_loss)] // for people
    pub fn summary(&self, per_unit: f64) -> Summary {
        let at = |part| self.quantile(part).map(|value| value / per_unit);
        let some = |value: u64| (self.count > 0).then_some(value as f64 / per_unit);
        Summary {
            count: self.count,
            sum: self.sum as f64 / per_unit,
            mean: (self.count > 0).then(|| self.sum as f64 / per_unit / self.count as f64),
            min: some(self.min),
            p50: at(0.5),
            p90: at(0.9),
            p95: at(0.95),
            p99: at(0.99),
            p999: at(0.999),
            max: some(self.max),
        }
    }
}

/// Microseconds of a time, for a [`Sketch`].
pub(crate) fn micros(time: std::time::Duration) -> u64 {
    u64::try_from(time.as_micros()).unwrap_or(u64::MAX)
}

/// Microseconds of a second.
pub(crate) const SECOND: f64 = 1e6;

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::cast_precision_loss, clippy::float_cmp)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const PARTS: [f64; 5] = [0.5, 0.9, 0.95, 0.99, 0.999];

    /// R-7, as numpy has it.
    fn exact(values: &[u64], part: f64) -> f64 {
        let mut sorted = values.to_vec();
        sorted.sort_unstable();
        let place = (sorted.len() - 1) as f64 * part;
        #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)]
        let below = place.floor() as usize;
        let high = sorted[(below + 1).min(sorted.len() - 1)] as f64;
        sorted[below] as f64 + (high - sorted[below] as f64) * place.fract()
    }

    fn of(values: &[u64]) -> Sketch {
        let mut sketch = Sketch::default();
        for value in values {
            sketch.record(*value);
        }
        sketch
    }

    #[test]
    fn few_values_have_the_quantiles_that_numpy_gives_them() {
        // numpy.quantile([15, 20, 35, 40, 50], [.5, .9, .95, .99, .999])
        let sketch = of(&[40, 15, 50, 35, 20]);
        let found: Vec<f64> = PARTS
            .iter()
            .map(|part| sketch.quantile(*part).unwrap())
            .collect();
        for (found, numpy) in found.iter().zip([35.0, 46.0, 48.0, 49.6, 49.96]) {
            assert!((found - numpy).abs() < 1e-9, "{found} {numpy}");
        }
        assert_eq!(of(&[7]).quantile(0.999), Some(7.0));
        assert_eq!(Sketch::default().quantile(0.5), None);
    }

    #[test]
    fn many_values_have_quantiles_within_one_percent() {
        let mut seed = 42_u64;
        let mut random = move || {
            // splitmix64
            seed = seed.wrapping_add(0x9E37_79B9_7F4A_7C15);
            let mut z = (seed ^ (seed >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
            z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
            (z ^ (z >> 31)) >> 11
        };
        #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)]
        let mut unit = move || random() as f64 / (1_u64 << 53) as f64;
        let mut normal = {
            let mut unit = unit;
            move || (-2.0 * unit().max(1e-12).ln()).sqrt() * (std::f64::consts::TAU * unit()).cos()
        };
        #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)]
        let whole = |value: f64| value.max(0.0) as u64;
        let sets: [(&str, Vec<u64>); 4] = [
            (
                "uniform",
                (0..100_000).map(|_| whole(unit() * 1e7)).collect(),
            ),
            (
                "normal",
                (0..100_000).map(|_| whole(5e6 + normal() * 5e5)).collect(),
            ),
            (
                "skewed",
                (0..100_000)
                    .map(|_| whole((normal() + 10.0).exp()))
                    .collect(),
            ),
            ("constant", vec![123_456; 100_000]),
        ];
        for (name, values) in &sets {
            let sketch = of(values);
            for part in PARTS {
                let (found, exact) = (sketch.quantile(part).unwrap(), exact(values, part));
                assert!(
                    (found / exact - 1.0).abs() < 0.01,
                    "{name} {part}: {found} {exact}"
                );
            }
        }
    }

    proptest! {
        #[test]
        fn merged_sketches_say_what_one_over_all_values_says(
            one in proptest::collection::vec(0..1_000_000_u64, 0..300),
            other in proptest::collection::vec(0..1_000_000_u64, 0..300),
        ) {
            let mut merged = of(&one);
            merged.merge(&of(&other));
            let all = of(&[one, other].concat());
            prop_assert_eq!(merged.count(), all.count());
            prop_assert_eq!(merged.sum(), all.sum());
            for part in PARTS {
                prop_assert_eq!(merged.quantile(part), all.quantile(part));
            }
        }
    }
}
