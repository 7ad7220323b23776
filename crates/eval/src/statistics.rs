//! Confidence intervals by the percentile bootstrap (Efron, 1979): problems are resampled with replacement, and the
//! middle 95 % of the results form the interval.

use journeyman_event::{Randomness, SeededRandom};

const RESAMPLES: usize = 10_000;
/// A fixed seed, so that the same results give the same interval.
const SEED: u64 = 20_261_121;

/// The 95 % confidence interval of the mean of `values`, in the unit of the values. Zeros if there are no
/// values.
#[expect(clippy::cast_precision_loss, reason = "counts of problems")]
pub(crate) fn interval(values: &[f64]) -> [f64; 2] {
    if values.is_empty() {
        return [0.0; 2];
    }
    let random = SeededRandom::new(SEED);
    let n = values.len() as u64;
    let mut means: Vec<f64> = (0..RESAMPLES)
        .map(|_| {
            let draw = |_| values[usize::try_from(random.next_u64() % n).unwrap_or(0)];
            values.iter().map(draw).sum::<f64>() / values.len() as f64
        })
        .collect();
    means.sort_by(f64::total_cmp);
    [
        means[RESAMPLES * 25 / 1_000],
        means[RESAMPLES * 975 / 1_000 - 1],
    ]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_interval_of_half_of_a_hundred_is_that_of_the_binomial() {
        let values: Vec<f64> = (0..100).map(|i| f64::from(i % 2)).collect();
        let [low, high] = interval(&values);
        // 0.5 +- 1.96 * sqrt(0.25 / 100) = 0.402 .. 0.598
        assert!(
            (low - 0.402).abs() < 0.02 && (high - 0.598).abs() < 0.02,
            "{low} {high}"
        );
        let [low, high] = interval(&[1.0, 1.0]);
        assert!(low > 0.999 && high < 1.001);
        assert!(interval(&[]).iter().all(|end| end.abs() < f64::EPSILON));
    }
}
