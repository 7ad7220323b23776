//! Two rankings as one.

use std::collections::HashMap;

/// How much the first places of a ranking are worth more than later ones: the value of Cormack, Clarke and Buettcher,
/// "Reciprocal Rank Fusion outperforms Condorcet and individual Rank Learning Methods" (2009).
const RANK_OFFSET: u32 = 60;

/// Fuses two rankings of the same rows. The score of a row is the sum of 1 / (60 + its place), from 1, over the rankings
/// that have it. Of rows with the same score, the one that the first ranking has comes first.
pub(super) fn fuse(first: &[i64], second: &[i64]) -> Vec<(i64, f64)> {
    let mut scores: HashMap<i64, f64> = HashMap::new();
    let mut order: Vec<i64> = Vec::new();
    for ranking in [first, second] {
        for (place, &row) in (RANK_OFFSET + 1..).zip(ranking) {
            let score = scores.entry(row).or_insert_with(|| {
                order.push(row);
                0.0
            });
            *score += 1.0 / f64::from(place);
        }
    }
    let mut fused: Vec<(i64, f64)> = order.into_iter().map(|row| (row, scores[&row])).collect();
    fused.sort_by(|a, b| b.1.total_cmp(&a.1));
    fused
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_both_rankings_have_comes_first_and_of_equals_what_the_first_has() {
        let rows = |first: &[i64], second: &[i64]| -> Vec<i64> {
            fuse(first, second)
                .into_iter()
                .map(|(row, _)| row)
                .collect()
        };
        assert_eq!(rows(&[1, 2, 3], &[4, 3, 5]), [3, 1, 4, 2, 5]);
        assert_eq!(rows(&[1, 2], &[]), [1, 2]);
        assert_eq!(rows(&[], &[7, 8]), [7, 8]);
        let scores = fuse(&[1], &[2, 1]);
        assert_eq!(scores[0], (1, 1.0 / 61.0 + 1.0 / 62.0));
    }
}
