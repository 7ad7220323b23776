//! The interface that a user of the queue implements.

use std::fmt::{Debug, Display};
use std::future::Future;
use std::hash::Hash;

use crate::{Alert, Stop, StopReason};

/// Runs jobs and records the queue's decisions about them. Both methods can be written as `async fn`.
///
/// The queue knows a job only by its id; the runner must be able to find everything else.
pub trait Runner: Send + Sync + 'static {
    /// Identifies a job.
    type Id: Clone + Eq + Hash + Display + Debug + Send + Sync + 'static;

    /// Runs a job until it is finished or told to stop. A panic is caught and reported to [`Runner::removed`].
    /// If the job takes too long to stop, the future is dropped. A future that never yields cannot be dropped;
    /// then only its slot is freed.
    fn run(&self, id: Self::Id, stop: Stop<Self::Id>) -> impl Future<Output = RunOutcome> + Send;

    /// Called when the queue has removed a job other than by the result of [`Runner::run`] or by a caller that
    /// removed a held job. The runner should record this. The job's slot is freed when this returns; after 10
    /// s, or if it panics, the queue continues without it.
    fn removed(&self, id: Self::Id, removal: Removal<Self::Id>) -> impl Future<Output = ()> + Send;

    /// Called for each alert. The default implementation only logs it.
    fn alert(&self, alert: Alert) -> impl Future<Output = ()> + Send {
        let _ = alert;
        std::future::ready(())
    }
}

/// The result of a run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RunOutcome {
    /// The job ended, well or not. Jobs that depend on it may start.
    Done,
    /// The job is paused and may come back. Jobs that depend on it keep waiting.
    Rests,
    /// Like [`RunOutcome::Done`], for a job that reached its own time limit. It is counted among the timed-out
    /// jobs.
    TimedOut,
    /// The job goes back to the head of its level, regardless of capacity. A job that was paused, timed out or
    /// cancelled leaves nevertheless, and [`Runner::removed`] is called.
    Requeue,
}

/// Why the queue removed a job.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Removal<I> {
    /// It is not running: its deadline passed while it waited, or it returned [`RunOutcome::Requeue`] after it
    /// was told to stop for this reason.
    Withdrawn(StopReason<I>),
    /// Its run panicked with this message.
    Panicked(String),
    /// Its run did not end in time after it was told to stop for this reason, and was dropped.
    Abandoned(StopReason<I>),
}
