//! A bounded priority queue that orders, starts, preempts and stops jobs.
//!
//! Floor 3. A [`Queue`] decides when each job runs: the most urgent first, in order of submission among equals, up
//! to the configured number at once, each until its deadline. The number of waiting jobs is bounded, and a much
//! more urgent job preempts a running one. The rules are a pure state machine (`core.rs`), surrounded by a few
//! async tasks that start jobs, watch the clock and raise alerts.
//!
//! The queue does not know what a job is: a [`Runner`] runs it by its id and records what the queue decides. It
//! knows no journal, agent or model, and stores nothing: what must survive a restart is recorded between
//! [`Queue::admit`] and [`Permit::submit`], and brought back with [`Queue::recover`].

mod backpressure;
mod core;
mod dependencies;
mod held;
mod options;
mod permit;
mod queue;
mod refusal;
mod runner;
mod shared;
mod statistics;
mod stop;
mod tasks;

pub use backpressure::{Alarm, Alert, AlertLevel, AlertThresholds, Monitor, Sample, Watched};
pub use held::HeldJob;
pub use options::{Ageing, QueueOptions};
pub use permit::{Permit, WhenFull};
pub use queue::{JobEnd, Queue, RecoveredJob, Stopped, Withdrawal};
pub use refusal::AdmissionError;
pub use runner::{Removal, RunOutcome, Runner};
pub use statistics::{Counts, Quantiles, Statistics};
pub use stop::{Stop, StopReason};
