//! The queue as its users see it.

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use journeyman_event::Priority;
use tokio::sync::oneshot;
use tokio::time::Instant;

use crate::core::{Kill, PhaseAtStop};
use crate::shared::{Shared, State};
use crate::{AdmissionError, HeldJob, QueueOptions, Runner, Sample, Statistics, StopReason};

/// A handle to a queue; clones are the same queue. When the last one is dropped, nothing more is
/// started, and what runs goes on to its end.
pub struct Queue<R: Runner> {
    alive: Arc<Alive<R>>,
}

struct Alive<R: Runner>(Arc<Shared<R>>);

impl<R: Runner> Drop for Alive<R> {
    fn drop(&mut self) {
        self.0.change(|state, _| state.closes());
        self.0.work.notify_waiters();
    }
}

impl<R: Runner> Clone for Queue<R> {
    fn clone(&self) -> Self {
        Self {
            alive: Arc::clone(&self.alive),
        }
    }
}

impl<R: Runner> fmt::Debug for Queue<R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Queue").finish_non_exhaustive()
    }
}

/// A job of former times; see [`Queue::recover`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RecoveredJob<I> {
    /// Its name.
    pub id: I,
    /// How urgent it is.
    pub priority: Priority,
    /// When it ends at the latest.
    pub deadline: Option<Instant>,
    /// What must have ended before it starts, as in [`Queue::admit`]. Nothing for a job that was started
    /// once.
    pub depends_on: Vec<I>,
}

/// Where a job was when it was to be taken out.
#[derive(Debug)]
pub enum Withdrawal<R: Runner> {
    /// It waited, and is held back until the caller has recorded that it leaves.
    WasWaiting(HeldJob<R>),
    /// It runs, was told to stop, and records its end itself; here is how to wait for that.
    Running(JobEnd),
    /// It is not known any more, not known yet, or admitted and not submitted.
    Unknown,
}

/// Becomes ready when a job has left the queue: at once if it is not known. Cancel-safe.
#[derive(Debug)]
#[must_use = "it waits only if it is awaited"]
pub struct JobEnd(Option<oneshot::Receiver<()>>);

/// The queue was stopped before the job had ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the queue was stopped before the job had ended; it goes on after the restart")]
pub struct Stopped;

impl Future for JobEnd {
    type Output = Result<(), Stopped>;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        match &mut self.0 {
            Some(end) => Pin::new(end).poll(context).map_err(|_| Stopped),
            None => Poll::Ready(Ok(())),
        }
    }
}

impl<R: Runner> Queue<R> {
    /// Makes a queue and its tasks.
    ///
    /// # Panics
    /// If it is not called in a tokio runtime with time.
    pub fn start(options: &QueueOptions, runner: R) -> Self {
        let (shared, alerts) = Shared::new(options, runner);
        let shared = Arc::new(shared);
        shared.spawn_supervised("clock", Arc::clone(&shared).clock());
        shared.spawn_supervised("watch", Arc::clone(&shared).watch(alerts));
        let queue = Self {
            alive: Arc::new(Alive(shared)),
        };
        queue.set_workers(options.workers);
        queue
    }

    pub(crate) fn shared(&self) -> &Arc<Shared<R>> {
        &self.alive.0
    }

    /// Puts jobs of former times into the queue, whether there is room or not. At equal priority
    /// they stand in the given order, so one that ran or was preempted comes before the others;
    /// what they depend on may come in any order. Those that are refused are returned.
    pub fn recover(
        &self,
        jobs: impl IntoIterator<Item = RecoveredJob<R::Id>>,
    ) -> Vec<(R::Id, AdmissionError<R::Id>)> {
        self.shared().change(|state, now| {
            let mut refused = Vec::new();
            let mut admitted = Vec::new();
            for job in jobs {
                match state.core.recover(&job.id, &job.depends_on, now) {
                    Ok(()) => admitted.push(job),
                    Err(why) => {
                        let refusal = state.refuses(&job.id, why);
                        refused.push((job.id, refusal));
                    }
                }
            }
            for job in admitted {
                state.core.submit(&job.id, job.priority, job.deadline, now);
                state.counts.recovered += 1;
            }
            refused
        })
    }

    /// Ends a job: a waiting one is held back until the caller lets it out, a running one is told to stop
    /// and is dropped if it does not within [`QueueOptions::kill_grace`]. It may be called as often as one
    /// likes.
    pub fn cancel(&self, id: &R::Id) -> Withdrawal<R> {
        self.take_out(id, StopReason::Cancelled, Kill::InTime)
    }

    /// Says that a job which is not in the queue has ended, or never was: those that depend on it do not
    /// wait for it any longer. Nothing changes where it is in the queue, which sees its end itself.
    pub fn mark_ended(&self, id: &R::Id) {
        self.shared()
            .change(|state, now| state.core.mark_ended(id, now));
    }

    /// The same of a job whose time was up before it needed a turn: it is counted with those whose deadline
    /// passed.
    pub fn mark_timed_out(&self, id: &R::Id) {
        self.shared().change(|state, now| {
            state.counts.timed_out += 1;
            state.core.mark_ended(id, now);
        });
    }

    /// Takes a job out to let it rest: a waiting one is held back until the caller lets it out, a running
    /// one is told to stop, in its own time. [`Queue::recover`] brings it back.
    pub fn pause(&self, id: &R::Id) -> Withdrawal<R> {
        self.take_out(id, StopReason::Paused, Kill::Never)
    }

    fn take_out(&self, id: &R::Id, reason: StopReason<R::Id>, kill: Kill) -> Withdrawal<R> {
        self.shared()
            .change(|state, now| match state.core.stop(id, kill, now) {
                PhaseAtStop::Waiting(hold_number) => Withdrawal::WasWaiting(HeldJob::new(
                    self.clone(),
                    id.clone(),
                    hold_number,
                    reason,
                )),
                PhaseAtStop::Running => {
                    let is_cancel = reason == StopReason::Cancelled;
                    let news = state.request_stop(id, reason);
                    state.counts.cancelled += u64::from(is_cancel && news);
                    Withdrawal::Running(state.end_of(id))
                }
                PhaseAtStop::Unknown => Withdrawal::Unknown,
            })
    }

    /// Waits until a job has left the queue, however; at once if it is not known. A job that goes
    /// back to the queue has not left it.
    pub fn ended(&self, id: &R::Id) -> JobEnd {
        self.shared().lock().end_of(id)
    }

    /// Whether a job is admitted, waits or runs.
    pub fn contains(&self, id: &R::Id) -> bool {
        self.shared().lock().core.kept(id).is_some()
    }

    /// How many jobs may run at once from now on. With fewer than before, those that run go on, and
    /// nothing is started until enough have ended.
    pub fn set_max_concurrent(&self, jobs: usize) {
        self.shared()
            .change(|state, _| state.core.max_concurrent = jobs);
    }

    /// How many tasks start jobs from now on; at least 1.
    pub fn set_workers(&self, workers: usize) {
        let shared = self.shared();
        let new = shared.change(|state, _| {
            state.workers_wanted = workers.max(1);
            let new = state.workers_wanted.saturating_sub(state.workers);
            state.workers += new;
            new
        });
        for _ in 0..new {
            shared.spawn_supervised("worker", Arc::clone(shared).work());
        }
        shared.work.notify_waiters();
    }

    /// Says how many wait behind the queue, for what the jobs themselves need; none if that is not
    /// known. It is watched like the queue itself.
    pub fn set_downstream(&self, waiting: Option<u64>) {
        self.shared().change(|state, now| {
            state.downstream = waiting;
            let sample = Sample {
                downstream: waiting,
                ..Sample::default()
            };
            state.watch(sample, now);
        });
    }

    /// All figures as they are now. It holds others up for some microseconds at most.
    pub fn statistics(&self) -> Statistics {
        let now = Instant::now();
        let state = self.shared().lock();
        let waiting_time = state.waiting_time.clone();
        let service_time = state.service_time.clone();
        let depth = *state.core.depth();
        let statistics = Statistics {
            depth: Vec::new(),
            occupied: state.core.occupied(),
            submitters: state.core.waiting_submitters(),
            running: state.core.running_count(),
            oldest_waiting: state.core.oldest(now),
            waiting_time: None,
            service_time: None,
            counts: state.counts,
            alarms: state.monitor.alarms(),
            died: state.died.clone(),
        };
        drop(state);
        let levels = (0..=u8::MAX).map_while(Priority::new).zip(depth);
        Statistics {
            depth: levels.filter(|(_, jobs)| *jobs > 0).collect(),
            waiting_time: waiting_time.quantiles(),
            service_time: service_time.quantiles(),
            ..statistics
        }
    }

    /// Stops the queue: nothing is admitted or started any more, what waits stays unstarted, and
    /// what runs is told. After `grace` what still runs is dropped. Returns when nothing runs any
    /// more; a job that cannot be dropped is given up after [`QueueOptions::kill_grace`]. A second call
    /// with a shorter grace makes it faster.
    pub async fn shutdown(&self, grace: Duration) {
        let shared = self.shared();
        shared.change(|state, now| {
            state.closes();
            for id in state.core.running() {
                state.core.stop(&id, Kill::Never, now);
                state.request_stop(&id, StopReason::Shutdown);
            }
        });
        shared.work.notify_waiters();
        if tokio::time::timeout(grace, shared.until_still())
            .await
            .is_err()
        {
            shared.change(State::kill_all);
            shared.until_still().await;
        }
    }
}

impl<R: Runner> Shared<R> {
    async fn until_still(&self) {
        loop {
            let idle = self.idle.notified();
            if self.lock().is_idle() {
                return;
            }
            idle.await;
        }
    }
}

impl<I: Clone + Eq + std::hash::Hash + fmt::Debug> State<I> {
    /// Nothing is admitted or started any more: who waited for that is told.
    fn closes(&mut self) {
        for id in self.core.close() {
            if let Some(kept) = self.core.kept(&id) {
                kept.granted = None;
            }
        }
        for kept in self.core.kept_waiting() {
            kept.watchers.clear();
        }
    }

    fn end_of(&mut self, id: &I) -> JobEnd {
        let closed = self.core.is_closed();
        let Some(kept) = self.core.kept(id) else {
            return JobEnd(None);
        };
        let (sender, end) = oneshot::channel();
        // What waits in a closed queue does not end: its sender is dropped.
        if !closed || kept.stop.is_some() {
            kept.watchers.push(sender);
        }
        JobEnd(Some(end))
    }
}
