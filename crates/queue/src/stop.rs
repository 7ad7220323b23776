//! Tells a running job that it should stop, and why.

use std::fmt;
use std::future::{Future, poll_fn};
use std::pin::pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::Poll;

use tokio::sync::Notify;

/// Why a job should stop, the weakest reason first. A stronger reason replaces a weaker one; of two equally
/// strong ones the first is kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum StopReason<I> {
    /// A more urgent job needs its slot. It should stop at its next boundary and goes back to the head of its
    /// level.
    Preempted {
        /// The job that needs the slot.
        by: I,
    },
    /// It was paused; see [`Queue::pause`](crate::Queue::pause).
    Paused,
    /// The queue is shutting down.
    Shutdown,
    /// Its deadline has passed.
    TimedOut,
    /// It was cancelled; see [`Queue::cancel`](crate::Queue::cancel).
    Cancelled,
}

impl<I> StopReason<I> {
    fn strength(&self) -> u8 {
        match self {
            Self::Preempted { .. } => 1,
            Self::Paused => 2,
            Self::Shutdown => 3,
            Self::TimedOut => 4,
            Self::Cancelled => 5,
        }
    }

    /// Whether the job must leave this queue, whatever it returns.
    pub(crate) fn is_final(&self) -> bool {
        matches!(self, Self::Paused | Self::TimedOut | Self::Cancelled)
    }
}

impl<I: fmt::Display> fmt::Display for StopReason<I> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Preempted { by } => write!(f, "preempted by {by}"),
            Self::Paused => f.write_str("paused"),
            Self::Shutdown => f.write_str("the queue is shutting down"),
            Self::TimedOut => f.write_str("its deadline has passed"),
            Self::Cancelled => f.write_str("cancelled"),
        }
    }
}

/// Tells one run of a job whether it should stop. Clones share the state.
#[derive(Clone, Debug)]
pub struct Stop<I>(Arc<Inner<I>>);

#[derive(Debug)]
struct Inner<I> {
    signal: Mutex<Signal<I>>,
    changed: Notify,
}

#[derive(Debug)]
struct Signal<I> {
    reason: Option<StopReason<I>>,
    /// Set when the run is dropped.
    killed: bool,
}

impl<I: Clone> Stop<I> {
    pub(crate) fn new() -> Self {
        Self(Arc::new(Inner {
            signal: Mutex::new(Signal {
                reason: None,
                killed: false,
            }),
            changed: Notify::new(),
        }))
    }

    fn signal(&self) -> MutexGuard<'_, Signal<I>> {
        self.0.signal.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The current reason to stop, if there is one.
    pub fn reason(&self) -> Option<StopReason<I>> {
        self.signal().reason.clone()
    }

    /// Waits until the job should stop and returns the reason. Cancel-safe: a later call returns at once.
    pub async fn stopped(&self) -> StopReason<I> {
        loop {
            // Made before the look: what comes after it is not missed.
            let changed = self.0.changed.notified();
            if let Some(reason) = self.reason() {
                return reason;
            }
            changed.await;
        }
    }

    /// Sets a reason. Returns false if one that is as strong or stronger is already set.
    pub(crate) fn set(&self, reason: StopReason<I>) -> bool {
        let mut signal = self.signal();
        let stronger = |old: &StopReason<I>| old.strength() < reason.strength();
        if !signal.reason.as_ref().is_none_or(stronger) {
            return false;
        }
        signal.reason = Some(reason);
        drop(signal);
        self.0.changed.notify_waiters();
        true
    }

    /// Makes [`Self::unless_killed`] drop its future.
    pub(crate) fn kill(&self) {
        self.signal().killed = true;
        self.0.changed.notify_waiters();
    }

    /// Runs a future to its end, or drops it at its next await after [`Self::kill`].
    pub(crate) async fn unless_killed<F: Future>(&self, run: F) -> Option<F::Output> {
        let mut run = pin!(run);
        // Most jobs are not killed, and many are done at once.
        if let Poll::Ready(output) = futures_util::poll!(&mut run) {
            return Some(output);
        }
        loop {
            let mut changed = pin!(self.0.changed.notified());
            if self.signal().killed {
                return None;
            }
            let output = poll_fn(|context| match run.as_mut().poll(context) {
                Poll::Ready(output) => Poll::Ready(Some(output)),
                Poll::Pending => changed.as_mut().poll(context).map(|()| None),
            });
            if let Some(output) = output.await {
                return Some(output);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn reasons() -> [StopReason<u8>; 5] {
        [
            StopReason::Preempted { by: 1 },
            StopReason::Paused,
            StopReason::Shutdown,
            StopReason::TimedOut,
            StopReason::Cancelled,
        ]
    }

    #[test]
    fn a_stronger_reason_replaces_a_weaker_one_and_no_other() {
        for (first_rank, first) in reasons().iter().enumerate() {
            for (second_rank, second) in reasons().iter().enumerate() {
                let stop = Stop::new();
                assert_eq!(stop.reason(), None);
                assert!(stop.set(first.clone()));
                assert_eq!(stop.set(second.clone()), second_rank > first_rank);
                let strongest = first_rank.max(second_rank);
                assert_eq!(stop.reason(), Some(reasons()[strongest].clone()));
            }
        }
        let stop = Stop::new();
        stop.set(StopReason::Preempted { by: 1 });
        assert!(!stop.set(StopReason::Preempted { by: 2 }));
        assert_eq!(stop.reason(), Some(StopReason::Preempted { by: 1 }));
    }

    #[tokio::test]
    async fn a_dropped_wait_for_the_stop_loses_nothing() {
        let stop = Stop::new();
        let mut wait = Box::pin(stop.stopped());
        assert!(futures_util::poll!(&mut wait).is_pending());
        drop(wait);
        stop.set(StopReason::<u8>::Paused);
        assert_eq!(stop.stopped().await, StopReason::Paused);
        assert_eq!(stop.stopped().await, StopReason::Paused);
    }
}
