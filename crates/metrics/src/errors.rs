//! Errors, in groups of similar messages.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use jiff::Timestamp;
use journeyman_signal::{ErrorOccurred, ErrorPatternDetected, Signal, Text};
use serde::Serialize;
use sha2::{Digest, Sha256};

use crate::bounded::Labelled;
use crate::fingerprint::{Normaliser, cut, hex};
use crate::tracker::Tracker;

/// The most groups. Beyond it, the group with the fewest errors is forgotten, the oldest first.
const GROUPS_MAX: usize = 500;
/// The latest errors that are kept; older ones are only counted.
const RECENT_MAX: usize = 500;
/// The most models, owners and examples of a group; further ones are left out.
const EXAMPLES_MAX: usize = 8;
/// The number of errors that make a pattern.
const PATTERN_MIN: u64 = 3;
/// The number of errors of a group within one second that are a burst.
const BURST_MIN: u32 = 10;
/// How many characters of a message are kept.
const MESSAGE_MAX: usize = 300;

/// A group of similar errors.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct ErrorGroup {
    /// The SHA-256 hash of the kind of error, the endpoint and the normalised message.
    pub fingerprint: String,
    /// The kind of error, a word.
    pub error: String,
    /// The endpoint.
    pub endpoint: String,
    /// The normalised message: names, numbers and times are replaced.
    pub message: String,
    /// The number of errors.
    pub count: u64,
    /// The time of the first error.
    pub first: Timestamp,
    /// The time of the latest error.
    pub last: Timestamp,
    /// The number of seconds with ten or more errors.
    pub bursts: u64,
    /// The models that were called, at most 8.
    pub models: BTreeSet<String>,
    /// The hashes of the owners, at most 8.
    pub owners: BTreeSet<String>,
    /// The first 8 tasks, as examples.
    pub samples: Vec<String>,
    /// The owners by name, so that each is hashed once.
    #[serde(skip)]
    known: BTreeSet<Text>,
    #[serde(skip)]
    second: (i64, u32),
}

/// A single error among the most recent ones of a report.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct RecentError {
    /// The time of the error.
    pub at: Timestamp,
    /// The fingerprint of its group.
    pub fingerprint: String,
    /// The message, cut to 300 characters.
    pub message: String,
}

/// The errors as a report has them: totals, groups of similar ones, and the most recent.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct ErrorsView {
    /// The number of errors.
    pub total: u64,
    /// The number of errors by kind.
    pub by_error: BTreeMap<String, u64>,
    /// Groups, the one with the most errors first.
    pub groups: Vec<ErrorGroup>,
    /// The number of groups that were forgotten because there were too many.
    pub groups_forgotten: u64,
    /// Effects repeated after a crash.
    pub recoveries_attempted: u64,
    /// Of these, effects that have their outcome.
    pub recoveries_succeeded: u64,
    /// The latest errors, at most 500, the newest first.
    pub recent: Vec<RecentError>,
}

#[derive(Debug)]
pub(crate) struct Errors {
    normaliser: Normaliser,
    total: u64,
    pub(crate) by_error: Labelled<Text, u64>,
    groups: BTreeMap<String, ErrorGroup>,
    /// Groups by age, the oldest first: all that have one error, and some of the others.
    single: VecDeque<String>,
    forgotten: u64,
    recent: VecDeque<RecentError>,
    recoveries: (u64, u64),
}

/// The hash that stands for an owner: long enough to tell owners apart.
fn hashed(owner: &str) -> String {
    hex(&Sha256::digest(owner.as_bytes())[..6])
}

impl Errors {
    pub(crate) fn new(normaliser: Normaliser) -> Self {
        Self {
            normaliser,
            total: 0,
            by_error: Labelled::default(),
            groups: BTreeMap::new(),
            single: VecDeque::new(),
            forgotten: 0,
            recent: VecDeque::new(),
            recoveries: (0, 0),
        }
    }

    pub(crate) fn recoveries(&self) -> (u64, u64) {
        self.recoveries
    }

    pub(crate) fn group_count(&self) -> usize {
        self.groups.len()
    }

    pub(crate) fn view(&self) -> ErrorsView {
        let mut groups: Vec<ErrorGroup> = self.groups.values().cloned().collect();
        groups.sort_by(|one, other| {
            (other.count, &one.fingerprint).cmp(&(one.count, &other.fingerprint))
        });
        ErrorsView {
            total: self.total,
            by_error: self
                .by_error
                .iter()
                .map(|(error, count)| (error.to_string(), *count))
                .collect(),
            groups,
            groups_forgotten: self.forgotten,
            recoveries_attempted: self.recoveries.0,
            recoveries_succeeded: self.recoveries.1,
            recent: self.recent.iter().rev().cloned().collect(),
        }
    }

    /// Forgets the group with the fewest errors, the oldest of them, if there is no room for another one.
    fn make_room(&mut self) {
        if self.groups.len() < GROUPS_MAX {
            return;
        }
        let is_single = |group: &ErrorGroup| group.count == 1;
        let oldest = std::iter::from_fn(|| self.single.pop_front())
            .find(|oldest| self.groups.get(oldest).is_some_and(is_single));
        let least = oldest.or_else(|| {
            let all = self.groups.values();
            let least = all.min_by_key(|group| (group.count, group.last))?;
            Some(least.fingerprint.clone())
        });
        if let Some(least) = least {
            self.groups.remove(&least);
            self.forgotten += 1;
        }
    }

    fn occurred(&mut self, at: Timestamp, error: &ErrorOccurred) -> Vec<Signal> {
        self.total += 1;
        *self.by_error.of(error.error.clone()) += 1;
        let (fingerprint, message) =
            self.normaliser
                .fingerprint(&error.error, &error.endpoint, &error.message);
        if self.recent.len() == RECENT_MAX {
            self.recent.pop_front();
        }
        self.recent.push_back(RecentError {
            at,
            fingerprint: fingerprint.clone(),
            message: cut(&error.message, MESSAGE_MAX).to_owned(),
        });
        if !self.groups.contains_key(&fingerprint) {
            self.make_room();
            self.single.push_back(fingerprint.clone());
        }
        let group = self
            .groups
            .entry(fingerprint.clone())
            .or_insert_with(|| ErrorGroup {
                fingerprint: fingerprint.clone(),
                error: error.error.to_string(),
                endpoint: error.endpoint.to_string(),
                message: cut(&message, MESSAGE_MAX).to_owned(),
                count: 0,
                first: at,
                last: at,
                bursts: 0,
                models: BTreeSet::new(),
                owners: BTreeSet::new(),
                known: BTreeSet::new(),
                samples: Vec::new(),
                second: (0, 0),
            });
        group.count += 1;
        group.first = group.first.min(at);
        group.last = group.last.max(at);
        if let Some(model) = error.model.as_deref()
            && group.models.len() < EXAMPLES_MAX
            && !group.models.contains(model)
        {
            group.models.insert(model.to_owned());
        }
        if group.known.len() < EXAMPLES_MAX && group.known.insert(error.owner.clone()) {
            group.owners.insert(hashed(&error.owner));
        }
        if group.samples.len() < EXAMPLES_MAX
            && !group.samples.iter().any(|sample| **sample == *error.sample)
        {
            group.samples.push(error.sample.to_string());
        }
        let second = at.as_second();
        group.second = if group.second.0 == second {
            (second, group.second.1 + 1)
        } else {
            (second, 1)
        };
        let is_burst = group.second.1 == BURST_MIN;
        group.bursts += u64::from(is_burst);
        if group.count != PATTERN_MIN && !is_burst {
            return Vec::new();
        }
        let pattern = ErrorPatternDetected {
            fingerprint: fingerprint.into(),
            count: group.count,
        };
        vec![pattern.into()]
    }
}

impl Tracker for Errors {
    const NAME: &'static str = "errors";
    const KINDS: &'static [&'static str] =
        &["error.occurred", "recovery.attempted", "recovery.succeeded"];

    fn take(&mut self, at: Timestamp, signal: &Signal) -> Vec<Signal> {
        match signal {
            Signal::ErrorOccurred(error) => return self.occurred(at, error),
            Signal::RecoveryAttempted(_) => self.recoveries.0 += 1,
            Signal::RecoverySucceeded(_) => self.recoveries.1 += 1,
            _ => {}
        }
        Vec::new()
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn errors() -> Errors {
        Errors::new(Normaliser::new().unwrap())
    }

    fn error(endpoint: &str, message: &str, owner: &str) -> Signal {
        ErrorOccurred {
            error: "model_call_failed".into(),
            endpoint: endpoint.into(),
            message: message.into(),
            model: Some("m".into()),
            owner: owner.into(),
            sample: format!("t-{owner}").into(),
        }
        .into()
    }

    #[test]
    fn the_third_of_a_kind_is_a_pattern_and_said_once() {
        let mut errors = errors();
        let told: Vec<usize> = (0..5)
            .map(|second| {
                let message = format!("database timeout after {second} s at 10.0.0.{second}:5432");
                errors
                    .take(
                        Timestamp::from_second(second).unwrap(),
                        &error("workflow/code", &message, "ada"),
                    )
                    .len()
            })
            .collect();
        assert_eq!(told, [0, 0, 1, 0, 0]);
        let view = errors.view();
        assert_eq!(
            (view.total, view.groups.len(), view.recent.len()),
            (5, 1, 5)
        );
        let group = &view.groups[0];
        assert_eq!(group.message, "database timeout after <duration> at <ip>");
        assert_eq!(
            (group.count, group.first.as_second(), group.last.as_second()),
            (5, 0, 4)
        );
        assert!(!group.owners.contains("ada") && group.owners.len() == 1);
    }

    #[test]
    fn ten_in_a_second_are_a_burst() {
        let mut errors = errors();
        for second in [7, 8] {
            for _ in 0..if second == 7 { 25 } else { 9 } {
                errors.take(
                    Timestamp::from_second(second).unwrap(),
                    &error("e", "x", "ada"),
                );
            }
        }
        assert_eq!(errors.view().groups[0].bursts, 1);
    }

    #[test]
    fn the_group_that_says_least_is_forgotten_first_and_that_is_counted() {
        let mut errors = errors();
        let word = |number: u32| -> String {
            let letter = |digit| char::from(b'a' + u8::try_from(digit).unwrap());
            [number / 676 % 26, number / 26 % 26, number % 26]
                .map(letter)
                .iter()
                .collect()
        };
        for number in 0..600 {
            for _ in 0..if number == 0 { 2 } else { 1 } {
                errors.take(
                    Timestamp::from_second(i64::from(number)).unwrap(),
                    &error("e", &word(number), "ada"),
                );
            }
        }
        let view = errors.view();
        assert_eq!(
            (view.groups.len(), view.groups_forgotten, view.recent.len()),
            (500, 100, 500)
        );
        assert_eq!((view.total, view.groups[0].message.as_str()), (601, "aaa"));
        // Where no group has a single error, the one with the fewest is forgotten, the oldest of them.
        for round in 1..3 {
            for number in 101..600 {
                errors.take(
                    Timestamp::from_second(round * 1_000 + i64::from(number)).unwrap(),
                    &error("e", &word(number), "ada"),
                );
            }
        }
        let forgotten = errors.view().groups_forgotten;
        errors.take(
            Timestamp::from_second(9_000).unwrap(),
            &error("e", "zzz", "ada"),
        );
        let view = errors.view();
        assert_eq!(
            (view.groups.len(), view.groups_forgotten),
            (500, forgotten + 1)
        );
        let is_kept = |word: &str| view.groups.iter().any(|group| group.message == word);
        assert!(is_kept("zzz") && !is_kept("aaa"), "the one with two errors");
    }
}
