//! How a queue behaves.

use std::time::Duration;

use crate::AlertThresholds;

/// How a queue behaves.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct QueueOptions {
    /// Jobs that may wait, those that are admitted and not submitted yet included; at least 1.
    /// Running ones do not count. 100.
    pub capacity: usize,
    /// Submitters that may wait for a place; further ones are refused. 10,000.
    pub submitters_max: usize,
    /// Jobs that may run at once. With 0 nothing is started. 5.
    pub max_concurrent: usize,
    /// Tasks that start jobs; at least 1. They do not run them: how many run is up to
    /// `max_concurrent`. 3.
    pub workers: usize,
    /// Whether jobs become more urgent as they wait. Off.
    pub ageing: Option<Ageing>,
    /// A job that was cancelled or timed out has this long to end before it is dropped. 5 s.
    pub kill_grace: Duration,
    /// When to warn.
    pub thresholds: AlertThresholds,
}

/// A waiting job becomes more urgent: by one level (10 of priority) each step of time. Whom it
/// preempts, and who preempts it, stays a matter of the priority it was submitted with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ageing {
    /// How long it waits for each level it rises. Not 0.
    pub step: Duration,
    /// How many levels it rises at most.
    pub levels_max: u8,
}

impl Default for QueueOptions {
    fn default() -> Self {
        Self {
            capacity: 100,
            submitters_max: 10_000,
            max_concurrent: 5,
            workers: 3,
            ageing: None,
            kill_grace: Duration::from_secs(5),
            thresholds: AlertThresholds::default(),
        }
    }
}
