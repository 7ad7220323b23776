//! Vector clocks: which event could have known of which.
//!
//! Source: Fidge, "Timestamps in Message-Passing Systems That Preserve the Partial Ordering" (1988);
//! Mattern, "Virtual Time and Global States of Distributed Systems" (1989).

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use serde::{Deserialize, Serialize};
use thiserror::Error;

/// A process of the clock: node, role and a random part drawn once per data folder, so that two
/// processes cannot pick the same one: `n1.coder.7f3a`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct ProcessId(Arc<str>);

impl ProcessId {
    /// The process `role` of `node` in the data folder whose random part is `folder`.
    pub fn new(node: &str, role: &str, folder: &str) -> Self {
        Self(format!("{node}.{role}.{folder}").into())
    }

    /// A process id as it was stored.
    pub fn from_stored(text: impl Into<Arc<str>>) -> Self {
        Self(text.into())
    }
}

impl fmt::Display for ProcessId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// A clock that cannot go on.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum ClockError {
    /// The entry of this process is at the top of its range; it is left there, never wrapped.
    #[error("the vector clock of process {0} is at its largest value and cannot tick")]
    Saturated(ProcessId),
}

/// How two clocks stand to each other. Equal clocks are concurrent: neither happened before the other.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ClockOrder {
    /// The first happened before the second.
    Before,
    /// The second happened before the first.
    After,
    /// Neither happened before the other.
    Concurrent,
}

/// Process id to count; a missing entry is 0.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct VectorClock(BTreeMap<ProcessId, u64>);

impl VectorClock {
    /// The count of a process.
    pub fn get(&self, process: &ProcessId) -> u64 {
        self.0.get(process).copied().unwrap_or(0)
    }

    /// Adds exactly 1 to the process's own entry.
    pub fn tick(&mut self, process: &ProcessId) -> Result<(), ClockError> {
        let entry = self.0.entry(process.clone()).or_insert(0);
        *entry = entry
            .checked_add(1)
            .ok_or_else(|| ClockError::Saturated(process.clone()))?;
        Ok(())
    }

    /// Takes the larger count of each process.
    pub fn merge(&mut self, other: &Self) {
        for (process, &count) in &other.0 {
            let entry = self.0.entry(process.clone()).or_insert(0);
            *entry = count.max(*entry);
        }
    }

    /// Strict: no entry is larger than the other's and one is smaller.
    pub fn happens_before(&self, other: &Self) -> bool {
        self.0
            .iter()
            .all(|(process, &count)| count <= other.get(process))
            && other
                .0
                .iter()
                .any(|(process, &count)| self.get(process) < count)
    }

    /// How this clock stands to the other.
    pub fn order(&self, other: &Self) -> ClockOrder {
        if self.happens_before(other) {
            ClockOrder::Before
        } else if other.happens_before(self) {
            ClockOrder::After
        } else {
            ClockOrder::Concurrent
        }
    }

    /// Neither happened before the other.
    pub fn is_concurrent(&self, other: &Self) -> bool {
        self.order(other) == ClockOrder::Concurrent
    }

    /// The entries by process.
    pub fn iter(&self) -> impl Iterator<Item = (&ProcessId, u64)> {
        self.0.iter().map(|(process, &count)| (process, count))
    }
}

impl FromIterator<(ProcessId, u64)> for VectorClock {
    fn from_iter<I: IntoIterator<Item = (ProcessId, u64)>>(entries: I) -> Self {
        Self(entries.into_iter().collect())
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn clock(entries: &[(&str, u64)]) -> VectorClock {
        entries
            .iter()
            .map(|&(p, n)| (ProcessId::from_stored(p), n))
            .collect()
    }

    fn any_clock() -> impl Strategy<Value = VectorClock> {
        prop::collection::btree_map("[abc]", 0..4_u64, 0..4).prop_map(|m| {
            m.into_iter()
                .map(|(p, n)| (ProcessId::from_stored(p), n))
                .collect()
        })
    }

    fn merged(a: &VectorClock, b: &VectorClock) -> VectorClock {
        let mut all = a.clone();
        all.merge(b);
        all
    }

    #[test]
    fn equal_and_empty_clocks_are_concurrent() {
        assert!(clock(&[]).is_concurrent(&clock(&[])));
        assert!(clock(&[("p", 3)]).is_concurrent(&clock(&[("p", 3)])));
        assert!(clock(&[("p", 3)]).happens_before(&clock(&[("p", 5)])));
        assert!(clock(&[("p1", 1)]).happens_before(&clock(&[("p1", 1), ("p2", 1)])));
        assert!(clock(&[]).is_concurrent(&clock(&[("p", 0)])));
    }

    #[test]
    fn the_top_of_the_range_is_an_error_and_stays() {
        let p = ProcessId::from_stored("p");
        let mut top = clock(&[("p", u64::MAX)]);
        assert_eq!(top.tick(&p), Err(ClockError::Saturated(p.clone())));
        assert_eq!(top.get(&p), u64::MAX);
    }

    #[test]
    fn negative_and_fractional_counts_are_refused() {
        for bad in [
            r#"{"p":-1}"#,
            r#"{"p":1.5}"#,
            r#"{"p":"1"}"#,
            r#"{"p":18446744073709551616}"#,
        ] {
            assert!(serde_json::from_str::<VectorClock>(bad).is_err(), "{bad}");
        }
    }

    proptest! {
        #[test]
        fn merge_is_commutative_associative_and_idempotent(
            a in any_clock(), b in any_clock(), c in any_clock(),
        ) {
            prop_assert_eq!(merged(&a, &b), merged(&b, &a));
            prop_assert_eq!(merged(&merged(&a, &b), &c), merged(&a, &merged(&b, &c)));
            prop_assert_eq!(merged(&a, &a), a);
        }

        #[test]
        fn happens_before_is_a_strict_partial_order(
            a in any_clock(), b in any_clock(), c in any_clock(),
        ) {
            prop_assert!(!a.happens_before(&a));
            prop_assert!(!(a.happens_before(&b) && b.happens_before(&a)));
            if a.happens_before(&b) && b.happens_before(&c) {
                prop_assert!(a.happens_before(&c));
            }
        }

        #[test]
        fn a_tick_adds_one_and_makes_a_later_clock(a in any_clock(), p in "[abcd]") {
            let p = ProcessId::from_stored(p);
            let mut later = a.clone();
            later.tick(&p).unwrap();
            prop_assert!(a.happens_before(&later));
            prop_assert_eq!(later.get(&p), a.get(&p) + 1);
        }
    }
}
