//! Asks work on a task to stop, and records why.

use std::fmt;
use std::sync::Arc;

use journeyman_event::payload::{PauseReason, TaskCancelled, TaskPaused, TaskPreempted};
use journeyman_event::{TaskId, TaskState};
use tokio_util::sync::CancellationToken;

use crate::agent_lifecycle::all_dropped;
use crate::fact::{Fact, Role};

/// Why work on a task should stop.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum StopReason {
    /// Ctrl-C or a signal.
    Interrupted,
    /// The server is shutting down.
    Shutdown,
    /// The user paused the task.
    Paused,
    /// The user cancelled the task.
    Cancelled,
    /// A more urgent task needs the slot.
    Preempted {
        /// The task that runs instead.
        by: TaskId,
    },
}

/// Tells a worker to stop at the next event boundary, and why.
#[derive(Clone)]
pub struct Control {
    stop: CancellationToken,
    why: Arc<dyn Fn() -> StopReason + Send + Sync>,
}

impl Control {
    /// Stops when `stop` is cancelled. `why` is called when the stop is recorded.
    pub fn new(
        stop: CancellationToken,
        why: impl Fn() -> StopReason + Send + Sync + 'static,
    ) -> Self {
        Self {
            stop,
            why: Arc::new(why),
        }
    }

    /// Stops when `stop` is cancelled, with the reason [`StopReason::Interrupted`].
    pub fn interruptible(stop: CancellationToken) -> Self {
        Self::new(stop, || StopReason::Interrupted)
    }

    pub(crate) fn token(&self) -> &CancellationToken {
        &self.stop
    }

    pub(crate) fn is_stopped(&self) -> bool {
        self.stop.is_cancelled()
    }

    /// The facts that record the stop: [`StopReason::facts`].
    pub(crate) fn facts(&self, state: &TaskState) -> Vec<Fact> {
        (self.why)().facts(state)
    }
}

impl fmt::Debug for Control {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut control = f.debug_struct("Control");
        control.field("stop", &self.stop).finish_non_exhaustive()
    }
}

impl StopReason {
    /// The facts that record the stop of a task in this state, including the end of its agents if the task
    /// ends.
    pub fn facts(self, state: &TaskState) -> Vec<Fact> {
        let mut facts = match self {
            Self::Cancelled => all_dropped(state),
            _ => Vec::new(),
        };
        facts.push(self.fact());
        facts
    }

    /// The fact that records the stop of a task that is not being worked on.
    pub fn fact(self) -> Fact {
        let paused = |role, reason| {
            let detail = None;
            Fact::of_task(role, TaskPaused { reason, detail })
        };
        match self {
            Self::Interrupted => paused(Role::User, PauseReason::Interrupted),
            Self::Shutdown => paused(Role::Conductor, PauseReason::Shutdown),
            Self::Paused => paused(Role::User, PauseReason::User),
            Self::Cancelled => Fact::of_task(Role::User, TaskCancelled {}),
            Self::Preempted { by } => Fact::of_task(Role::Conductor, TaskPreempted { by }),
        }
    }
}
