//! A bounded priority queue that orders, starts, preempts and stops jobs.
//!
//! Floor 3. A [`Queue`] says when what runs: the most urgent first, first in, first out among
//! equals, as many at once as may, each until its deadline. It bounds what waits, and lets what is
//! much more urgent stop what runs. The rules are a pure state machine (`core.rs`); around it are
//! a few tasks that start jobs, watch the clock and give alerts.
//!
//! What a job is, it does not know: a [`Runner`] runs it, by its id, and records what the queue
//! decides. It knows no journal, no agent and no model, and keeps nothing: what must survive is
//! recorded between [`Queue::admit`] and [`Permit::submit`], and comes back by [`Queue::recover`].

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
