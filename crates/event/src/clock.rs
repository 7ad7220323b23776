//! Vector clocks: which event could have known about which.
//!
//! Source: Fidge, "Timestamps in Message-Passing Systems That Preserve the Partial Ordering" (1988); Mattern,
//! "Virtual Time and Global States of Distributed Systems" (1989).

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use serde::{Deserialize, Serialize};
use thiserror::Error;

/// Identifies one process in a vector clock: the node, the role and 64 random bits drawn once per data
/// directory, such as `n1.coder.7f3a09c1d2e4b586`. The random part keeps two data directories from using the
/// same id. Data directories created by older versions have 16 bits.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct ProcessId(Arc<str>);

impl ProcessId {
    /// The id of `role` on `node`, where `folder` is the data folder's random part.
    pub fn new(node: &str, role: &str, folder: &str) -> Self {
        Self(format!("{node}.{role}.{folder}").into())
    }

    /// The id as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Takes an id read from a stored event, without checking its form.
    pub fn from_stored(text: impl Into<Arc<str>>) -> Self {
        Self(text.into())
    }
}

impl ProcessId {
    /// Whether this is a process of `role`, on any node and in any data folder.
    pub fn is_of(&self, role: &str) -> bool {
        let of_node = self
            .0
            .split_once('.')
            .and_then(|(_, rest)| rest.rsplit_once('.'));
        of_node.is_some_and(|(named, _)| named == role)
    }
}

impl fmt::Display for ProcessId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Why a clock could not be advanced.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum ClockError {
    /// The entry is at the top of its range. It is left unchanged rather than wrapped to 0.
    #[error("the vector clock of process {0} is at its largest value and cannot tick")]
    Saturated(ProcessId),
}

/// How two clocks are ordered. Equal clocks count as concurrent: neither happened before the other.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ClockOrder {
    /// The first happened before the second.
    Before,
    /// The second happened before the first.
    After,
    /// Neither happened before the other.
    Concurrent,
}

/// A vector clock: a counter per process. A missing entry is 0.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct VectorClock(BTreeMap<ProcessId, u64>);

impl VectorClock {
    /// The counter of `process`.
    pub fn get(&self, process: &ProcessId) -> u64 {
        self.0.get(process).copied().unwrap_or(0)
    }

    /// Increments the counter of `process` by 1.
    pub fn tick(&mut self, process: &ProcessId) -> Result<(), ClockError> {
        let entry = self.0.entry(process.clone()).or_insert(0);
        *entry = entry
            .checked_add(1)
            .ok_or_else(|| ClockError::Saturated(process.clone()))?;
        Ok(())
    }

    /// Sets each counter to the larger of its two values.
    pub fn merge(&mut self, other: &Self) {
        for (process, &count) in &other.0 {
            let entry = self.0.entry(process.clone()).or_insert(0);
            *entry = count.max(*entry);
        }
    }

    /// Whether everything the other clock knows is known here: none of its counters is larger.
    pub fn covers(&self, other: &Self) -> bool {
        let mut entries = other.0.iter();
        entries.all(|(process, &count)| count <= self.get(process))
    }

    /// Whether an event with this clock may follow an event of the same actor with the clock `last` in the same
    /// stream. This clock must cover `last`, and if the actor has a process of its own, that counter must have
    /// increased.
    pub fn continues(&self, last: &Self, actor: &str) -> bool {
        let mut own = self.0.iter().filter(|(process, _)| process.is_of(actor));
        let has_own = own.clone().next().is_some();
        let has_ticked = own.any(|(process, &count)| count > last.get(process));
        self.covers(last) && (has_ticked || !has_own)
    }

    /// The number of processes with an entry.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether no process has an entry.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Strict causality: no counter is larger than the other clock's, and at least one is smaller.
    pub fn happens_before(&self, other: &Self) -> bool {
        other.covers(self)
            && other
                .0
                .iter()
                .any(|(process, &count)| self.get(process) < count)
    }

    /// How this clock is ordered relative to the other.
    pub fn order(&self, other: &Self) -> ClockOrder {
        if self.happens_before(other) {
            ClockOrder::Before
        } else if other.happens_before(self) {
            ClockOrder::After
        } else {
            ClockOrder::Concurrent
        }
    }

    /// Whether neither clock happened before the other.
    pub fn is_concurrent(&self, other: &Self) -> bool {
        self.order(other) == ClockOrder::Concurrent
    }

    /// The entries, sorted by process.
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

    type Entries<'a> = &'a [(&'a str, u64)];

    fn clock(entries: Entries<'_>) -> VectorClock {
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
    fn a_clock_continues_another_of_its_actor_if_it_forgets_nothing_and_has_ticked() {
        let cases: &[(Entries<'_>, Entries<'_>, bool)] = &[
            // Of the actor `a`: the last clock, the next one, whether it may follow.
            (&[], &[], true),
            (&[("n.a.x", 1)], &[("n.a.x", 2)], true),
            (&[("n.a.x", 1)], &[("n.a.x", 2), ("n.b.x", 7)], true),
            (&[("n.a.x", 2)], &[("n.a.x", 2)], false),
            (&[("n.a.x", 2)], &[("n.a.x", 1)], false),
            // Back within the actor, beside another one's progress.
            (
                &[("n.a.x", 3), ("n.b.x", 1)],
                &[("n.a.x", 2), ("n.b.x", 5)],
                false,
            ),
            // The actor's own goes on, and something else is forgotten.
            (
                &[("n.a.x", 1), ("n.b.x", 5)],
                &[("n.a.x", 2), ("n.b.x", 4)],
                false,
            ),
            (&[("n.a.x", 1), ("n.b.x", 5)], &[("n.a.x", 2)], false),
            // The same actor in another data folder, as after an import.
            (&[("n.a.x", 4)], &[("n.a.x", 4), ("n.a.y", 1)], true),
            (&[("n.a.x", 4)], &[("n.a.y", 1)], false),
            // Processes that are not called after the actor need not tick.
            (&[("p", 2)], &[("p", 2)], true),
            (&[("p", 2)], &[("p", 1)], false),
            (&[("n.b.x", 2)], &[("n.b.x", 2)], true),
        ];
        for (last, next, may_follow) in cases {
            let continues = clock(next).continues(&clock(last), "a");
            assert_eq!(continues, *may_follow, "{next:?} after {last:?}");
        }
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
