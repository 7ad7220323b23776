//! The options of a queue.

use std::time::Duration;

use crate::AlertThresholds;

/// The options of a queue.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct QueueOptions {
    /// The most waiting jobs, including those admitted but not submitted yet; at least 1. Running jobs do not
    /// count. Default 100.
    pub capacity: usize,
    /// The most submitters that may wait for a place; further ones are refused. Default 10,000.
    pub submitters_max: usize,
    /// The most jobs running at once. With 0, no job is started. Default 5.
    pub max_concurrent: usize,
    /// The number of async tasks that start jobs, at least 1. It does not limit the number of running jobs;
    /// `max_concurrent` does. Default 3.
    pub workers: usize,
    /// Whether the priority of waiting jobs rises with time. Default off.
    pub ageing: Option<Ageing>,
    /// How long a cancelled or timed-out job may take to stop before it is dropped. Default 5 s.
    pub kill_grace: Duration,
    /// The thresholds for alerts.
    pub thresholds: AlertThresholds,
}

/// Raises the priority of a waiting job by one level (10) per step of time. Preemption is still decided by the
/// priority with which a job was submitted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ageing {
    /// The waiting time per level. Must not be 0.
    pub step: Duration,
    /// The most levels by which a job rises.
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
