//! What the queue asks of the one who uses it.

use std::fmt::{Debug, Display};
use std::future::Future;
use std::hash::Hash;

use crate::{Alert, Stop, StopReason};

/// Runs jobs and records what the queue decides about them. Both can be written as `async fn`.
///
/// A job is its id here: whatever else belongs to it, the runner knows where to find.
pub trait Runner: Send + Sync + 'static {
    /// Names a job.
    type Id: Clone + Eq + Hash + Display + Debug + Send + Sync + 'static;

    /// Runs a job until it is done or was told to stop. A panic is caught and given to
    /// [`Runner::removed`]. The future is dropped if it goes on for too long after a stop; one that
    /// never comes back to its executor cannot be dropped, and loses only its slot.
    fn run(&self, id: Self::Id, stop: Stop<Self::Id>) -> impl Future<Output = RunOutcome> + Send;

    /// The queue has taken a job out, other than by an answer of [`Runner::run`] or a call that
    /// took out a waiting one: this is the place to record it. The slot of a job that ran is free
    /// when this returns; it has 10 s, and is given up after that or when it panics.
    fn removed(&self, id: Self::Id, removal: Removal<Self::Id>) -> impl Future<Output = ()> + Send;

    /// Something is filling up, or has room again. By default it is only logged.
    fn alert(&self, alert: Alert) -> impl Future<Output = ()> + Send {
        let _ = alert;
        std::future::ready(())
    }
}

/// How a run of a job ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RunOutcome {
    /// The job has ended, well or not: whoever depends on it may start.
    Done,
    /// It rests outside of the queue and may come back: whoever depends on it goes on waiting.
    Rests,
    /// As [`RunOutcome::Done`], because the time was up that it had by its own rules; the queue counts it
    /// with those whose deadline passed.
    TimedOut,
    /// It goes back to the head of its level, whether there is room or not. A job that was paused,
    /// timed out or cancelled leaves nevertheless; [`Runner::removed`] is told.
    Requeue,
}

/// Why the queue took a job out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Removal<I> {
    /// It does not run and will not: its deadline passed while it waited, or it answered
    /// [`RunOutcome::Requeue`] after it was told to stop for this reason.
    Withdrawn(StopReason<I>),
    /// Its run panicked with these words.
    Panicked(String),
    /// Its run did not end in time after it was told to stop for this reason, and was dropped.
    Abandoned(StopReason<I>),
}
