//! Maps with a bound.

use std::collections::{BTreeMap, HashMap, HashSet, VecDeque};

use journeyman_signal::{Key, Text};

/// The most label sets of one metric.
pub(crate) const LABELS_MAX: usize = 1_000;
/// The label of everything beyond the bound.
pub(crate) const OTHER: &str = "other";

/// The labels of a metric.
pub(crate) trait Labels: Ord + Clone {
    /// The labels of everything beyond the bound.
    fn other() -> Self;
}

impl Labels for Text {
    fn other() -> Self {
        OTHER.into()
    }
}

impl Labels for (Text, Text) {
    fn other() -> Self {
        (OTHER.into(), OTHER.into())
    }
}

/// Values by label set. Beyond a bound they are counted under `other`, so that totals stay right.
#[derive(Clone, Debug)]
pub(crate) struct Labelled<L, V> {
    max: usize,
    values: BTreeMap<L, V>,
}

impl<L: Labels, V: Default> Labelled<L, V> {
    pub(crate) fn new(max: usize) -> Self {
        Self {
            max,
            values: BTreeMap::new(),
        }
    }

    /// The value for these labels, or for `other`.
    pub(crate) fn of(&mut self, labels: L) -> &mut V {
        let is_full = self.values.len() >= self.max && !self.values.contains_key(&labels);
        let labels = if is_full { L::other() } else { labels };
        self.values.entry(labels).or_default()
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = (&L, &V)> {
        self.values.iter()
    }
}

impl<V> Labelled<Text, V> {
    /// The value for a label that there is.
    pub(crate) fn get(&self, label: &str) -> Option<&V> {
        self.values.get(label)
    }
}

impl<L: Labels, V: Default> Default for Labelled<L, V> {
    fn default() -> Self {
        Self::new(LABELS_MAX)
    }
}

/// How the end of something was seen.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Ended<T> {
    /// It had ended before: the signal is repeated.
    Before,
    /// Its beginning was not seen, or it was dropped since.
    Unseen,
    /// It ended now.
    Now(T),
}

impl<T> Ended<T> {
    /// What ended now, if its beginning was seen.
    pub(crate) fn seen(self) -> Option<T> {
        match self {
            Self::Now(value) => Some(value),
            Self::Before | Self::Unseen => None,
        }
    }
}

/// What is in progress, by key, and the keys that ended lately, so that repeated and late signals change nothing.
#[derive(Debug)]
pub(crate) struct Active<T> {
    values: HashMap<Key, T>,
    order: VecDeque<Key>,
    ended: HashSet<Key>,
    ended_order: VecDeque<Key>,
    /// The number of those that were dropped.
    lost: u64,
}

impl<T> Default for Active<T> {
    fn default() -> Self {
        Self {
            values: HashMap::new(),
            order: VecDeque::new(),
            ended: HashSet::new(),
            ended_order: VecDeque::new(),
            lost: 0,
        }
    }
}

impl<T> Active<T> {
    /// The most in progress at the same time; beyond it the oldest is dropped.
    pub(crate) const ACTIVE_MAX: usize = 10_000;
    /// The most ended keys that are remembered; beyond it the oldest is forgotten.
    pub(crate) const ENDED_MAX: usize = 1_000;

    /// Begins one, unless it is in progress or has ended.
    pub(crate) fn begin(&mut self, key: Key, value: T) {
        if self.ended.contains(&key) || self.values.contains_key(&key) {
            return;
        }
        while self.values.len() >= Self::ACTIVE_MAX {
            let Some(oldest) = self.order.pop_front() else {
                break;
            };
            self.lost += u64::from(self.values.remove(&oldest).is_some());
        }
        // Keys of ended ones stay in the order until they reach its front.
        if self.order.len() >= 2 * Self::ACTIVE_MAX {
            let values = &self.values;
            self.order.retain(|key| values.contains_key(key));
        }
        self.order.push_back(key);
        self.values.insert(key, value);
    }

    pub(crate) fn get(&mut self, key: Key) -> Option<&mut T> {
        self.values.get_mut(&key)
    }

    /// Ends one.
    pub(crate) fn end(&mut self, key: Key) -> Ended<T> {
        if !self.ended.insert(key) {
            return Ended::Before;
        }
        self.ended_order.push_back(key);
        if self.ended_order.len() > Self::ENDED_MAX
            && let Some(oldest) = self.ended_order.pop_front()
        {
            self.ended.remove(&oldest);
        }
        self.values.remove(&key).map_or(Ended::Unseen, Ended::Now)
    }

    /// Drops those, from the oldest on, for which `is_over` returns true.
    pub(crate) fn give_up(&mut self, is_over: impl Fn(&T) -> bool) {
        while let Some(oldest) = self.order.front() {
            match self.values.get(oldest) {
                Some(value) if !is_over(value) => return,
                Some(_) => {
                    self.values.remove(oldest);
                    self.lost += 1;
                }
                None => {}
            }
            self.order.pop_front();
        }
    }

    /// The number of those in progress for which `is_so` returns true.
    pub(crate) fn count(&self, is_so: impl Fn(&T) -> bool) -> usize {
        self.values.values().filter(|value| is_so(value)).count()
    }

    pub(crate) fn len(&self) -> usize {
        self.values.len()
    }

    pub(crate) fn lost(&self) -> u64 {
        self.lost
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn labels_beyond_the_bound_are_counted_together() {
        let mut counts: Labelled<Text, u64> = Labelled::new(3);
        for name in ["a", "b", "c", "d", "e", "a"] {
            *counts.of(name.into()) += 1;
        }
        let all: Vec<(&str, u64)> = counts
            .iter()
            .map(|(name, count)| (&**name, *count))
            .collect();
        assert_eq!(all, [("a", 2), ("b", 1), ("c", 1), ("other", 2)]);
    }

    #[test]
    fn what_goes_on_is_bounded_and_what_ended_stays_ended() {
        let mut active = Active::default();
        for key in 0..20_000_u128 {
            active.begin(Key(key), key);
        }
        assert_eq!((active.len(), active.lost()), (10_000, 10_000));
        assert_eq!(active.end(Key(19_999)), Ended::Now(19_999));
        assert_eq!(active.end(Key(19_999)), Ended::Before);
        active.begin(Key(19_999), 1);
        assert_eq!(active.len(), 9_999);
        assert_eq!(active.end(Key(1)), Ended::Unseen);
        active.give_up(|key| *key < 10_010);
        assert_eq!(active.len(), 9_989);
        for key in 0..100_000_u128 {
            active.begin(Key(1_000_000 + key), key);
            active.end(Key(1_000_000 + key));
        }
        assert!(active.order.len() <= 20_000 && active.ended.len() <= 1_000);
    }
}
