//! The public interface of the queue.

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

/// A handle to a queue; clones share one queue. When the last handle is dropped, no more jobs are started, and
/// running jobs continue to their end.
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

/// A job recovered after a restart; see [`Queue::recover`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RecoveredJob<I> {
    /// The id of the job.
    pub id: I,
    /// The priority of the job.
    pub priority: Priority,
    /// When the job ends at the latest.
    pub deadline: Option<Instant>,
    /// The jobs that must end before this one starts, as in [`Queue::admit`]. Empty for a job that was already
    /// started once.
    pub depends_on: Vec<I>,
}

/// The state of a job that was to be cancelled or paused.
#[derive(Debug)]
pub enum Withdrawal<R: Runner> {
    /// It was waiting and is now held until the caller has recorded that it leaves.
    WasWaiting(HeldJob<R>),
    /// It is running and was told to stop. It records its end itself; this value waits for that.
    Running(JobEnd),
    /// It is unknown, or was not submitted yet.
    Unknown,
}

/// A future that completes when a job has left the queue, at once if the job is unknown. Cancel-safe.
#[derive(Debug)]
#[must_use = "it waits only if it is awaited"]
pub struct JobEnd(Option<oneshot::Receiver<()>>);

/// The queue was stopped before the job ended.
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
    /// Creates a queue and starts its async tasks.
    ///
    /// # Panics
    ///
    /// If it is called outside a tokio runtime with time enabled.
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

    /// Puts jobs recovered after a restart into the queue, regardless of capacity. Jobs of equal priority keep
    /// the given order, so jobs that were running or preempted should come first. Dependencies may come in any
    /// order. Returns the jobs that were refused.
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

    /// Cancels a job. A waiting job is held until the caller removes it. A running job is told to stop, and
    /// dropped if it does not stop within [`QueueOptions::kill_grace`]. May be called repeatedly.
    pub fn cancel(&self, id: &R::Id) -> Withdrawal<R> {
        self.take_out(id, StopReason::Cancelled, Kill::InTime)
    }

    /// Reports that a job not in the queue has ended or never existed, so that its dependants no longer wait
    /// for it. Has no effect on jobs in the queue, whose end the queue observes itself.
    pub fn mark_ended(&self, id: &R::Id) {
        self.shared()
            .change(|state, now| state.core.mark_ended(id, now));
    }

    /// The same for a job whose deadline passed before it entered the queue. It is counted among the timed-out
    /// jobs.
    pub fn mark_timed_out(&self, id: &R::Id) {
        self.shared().change(|state, now| {
            state.counts.timed_out += 1;
            state.core.mark_ended(id, now);
        });
    }

    /// Pauses a job. A waiting job is held until the caller removes it. A running job is told to stop, without
    /// a time limit. [`Queue::recover`] brings it back.
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

    /// Waits until a job has left the queue for any reason; completes at once if the job is unknown. A job that
    /// is put back into the queue has not left it.
    pub fn ended(&self, id: &R::Id) -> JobEnd {
        self.shared().lock().end_of(id)
    }

    /// Whether a job is admitted, waiting or running.
    pub fn contains(&self, id: &R::Id) -> bool {
        self.shared().lock().core.kept(id).is_some()
    }

    /// Changes how many jobs may run at once. If the number is lowered, running jobs continue, and no job is
    /// started until enough have ended.
    pub fn set_max_concurrent(&self, jobs: usize) {
        self.shared()
            .change(|state, _| state.core.max_concurrent = jobs);
    }

    /// Changes the number of async tasks that start jobs; at least 1.
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

    /// Sets the number of requests waiting downstream, for a resource that jobs need; `None` if unknown. It is
    /// watched like the queue itself.
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

    /// The current statistics. Locks the queue for a few microseconds.
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

    /// Shuts the queue down. No more jobs are admitted or started, waiting jobs stay in the queue, and running
    /// jobs are told to stop. After `grace`, those still running are dropped. Returns when no job is running; a
    /// job that cannot be dropped is abandoned after [`QueueOptions::kill_grace`]. A second call with a shorter
    /// grace period shortens it.
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
    /// Closes the queue for admissions and starts, and notifies submitters that were waiting.
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
