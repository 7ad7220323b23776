//! The async tasks of a queue: those that start jobs, the jobs themselves, the clock and the watch.

use std::any::Any;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::Duration;

use futures_util::FutureExt;
use tokio::sync::mpsc;
use tokio::time::{Instant, MissedTickBehavior};

use crate::core::LeaveReason;
use crate::shared::{JobEntry, Shared, State};
use crate::{Alert, Removal, RunOutcome, Runner, Sample, Stop, StopReason};

/// How many jobs a worker takes at a time.
const BATCH_MAX: usize = 32;
/// How long the runner may take to record a removal or to handle an alert.
const RECORD_LIMIT: Duration = Duration::from_secs(10);
/// How often the watch takes a sample of what changes with time.
const WATCH_PERIOD: Duration = Duration::from_secs(1);

/// A run that is about to begin.
struct Run<I> {
    id: I,
    number: u64,
    stop: Stop<I>,
}

impl<R: Runner> Shared<R> {
    /// Spawns an async task that the queue depends on. If it panics, that is reported
    /// ([`crate::Statistics::died`]) and not repaired: the state may be half changed, and only a new queue,
    /// filled from what was recorded, is consistent again.
    pub(crate) fn spawn_supervised(
        self: &Arc<Self>,
        what: &'static str,
        duty: impl Future<Output = ()> + Send + 'static,
    ) {
        let shared = Arc::clone(self);
        self.runtime.spawn(async move {
            if let Err(panic) = AssertUnwindSafe(duty).catch_unwind().await {
                let problem = words_of(&*panic);
                let mut state = shared.lock();
                if !state.died.contains(&what) {
                    state.died.push(what);
                }
                drop(state);
                tracing::error!(task = what, problem, "a task of the queue's own panicked");
            }
        });
    }

    /// Starts jobs until the queue is closed or there are too many workers.
    pub(crate) async fn work(self: Arc<Self>) {
        let mut batch = Vec::with_capacity(BATCH_MAX);
        loop {
            // Made before the look: what comes after it is not missed.
            let more = self.work.notified();
            if !self.take(&mut batch) {
                return;
            }
            if batch.is_empty() {
                more.await;
            }
            for run in batch.drain(..) {
                self.spawn_supervised("run", Arc::clone(&self).run(run));
            }
        }
    }

    /// Takes the jobs that can start. Returns false if this worker should end.
    fn take(self: &Arc<Self>, batch: &mut Vec<Run<R::Id>>) -> bool {
        self.change(|state, now| {
            if state.core.is_closed() || state.workers > state.workers_wanted {
                state.workers -= 1;
                return false;
            }
            while batch.len() < BATCH_MAX
                && let Some(started) = state.core.start(now)
            {
                let stop = Stop::new();
                started.kept.stop = Some(stop.clone());
                state.waiting_time.took(started.waited);
                state.counts.started += 1;
                batch.push(Run {
                    id: started.id,
                    number: started.number,
                    stop,
                });
            }
            true
        })
    }

    /// Runs a job to its end, whatever that is.
    async fn run(self: Arc<Self>, run: Run<R::Id>) {
        let Run { id, number, stop } = run;
        let work = async { self.runner.run(id.clone(), stop.clone()).await };
        let work = AssertUnwindSafe(work).catch_unwind();
        let removal = match stop.unless_killed(work).await {
            Some(Ok(ended @ (RunOutcome::Done | RunOutcome::Rests | RunOutcome::TimedOut))) => {
                let how = match ended {
                    RunOutcome::Rests => LeaveReason::Rests,
                    _ => LeaveReason::Ended,
                };
                let kept = self.change(|state, now| {
                    let kept = state.ends(&id, number, how, now)?;
                    state.counts.finished += 1;
                    state.counts.timed_out += u64::from(ended == RunOutcome::TimedOut);
                    Some(kept)
                });
                if let Some(kept) = kept {
                    kept.notify_ended();
                }
                return;
            }
            Some(Ok(RunOutcome::Requeue)) => {
                match self.change(|state, now| state.goes_back(&id, number, &stop, now)) {
                    Some(reason) => Removal::Withdrawn(reason),
                    None => return,
                }
            }
            Some(Err(panic)) => Removal::Panicked(words_of(&*panic).to_owned()),
            // Nothing is dropped without a reason; the weakest one that drops is the shutdown.
            None => Removal::Abandoned(stop.reason().unwrap_or(StopReason::Shutdown)),
        };
        // Only once: a run that took too long to be dropped has been recorded already.
        if !self.change(|state, _| state.core.is_over(&id, number)) {
            return;
        }
        let panicked = matches!(removal, Removal::Panicked(_));
        let abandoned = matches!(removal, Removal::Abandoned(_));
        let how = leaving(&removal);
        self.record(id.clone(), removal).await;
        let kept = self.change(|state, now| {
            state.counts.panicked += u64::from(panicked);
            state.counts.abandoned += u64::from(abandoned);
            state.ends(&id, number, how, now)
        });
        if let Some(kept) = kept {
            kept.notify_ended();
        }
    }

    /// Lets the runner record that a job was removed. Failures there do not affect the queue.
    pub(crate) async fn record(&self, id: R::Id, removal: Removal<R::Id>) {
        tracing::info!(job = %id, ?removal, "the queue removed a job");
        let recorded = async { self.runner.removed(id.clone(), removal).await };
        contained(recorded, || format!("the removal of {id}")).await;
    }

    /// Handles due events until no job is running and none will be started.
    pub(crate) async fn clock(self: Arc<Self>) {
        while !self.lock().is_idle() {
            let next = self.change(|state, _| {
                let next = state.core.next_alarm();
                state.looks_at = next;
                next
            });
            // What came due meanwhile is seen to at the next look.
            let sleep = tokio::time::sleep_until(next.unwrap_or_else(far_away));
            tokio::select! {
                () = sleep => {}
                () = self.alarm.notified() => {}
            }
        }
    }

    /// Takes samples periodically and passes alerts to the runner.
    pub(crate) async fn watch(self: Arc<Self>, mut alerts: mpsc::Receiver<Alert>) {
        let mut period = tokio::time::interval(WATCH_PERIOD);
        period.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            let idle = self.idle.notified();
            if self.lock().is_idle() {
                return;
            }
            tokio::select! {
                _ = period.tick() => self.change(|state, now| {
                    let sample = Sample {
                        fill: None,
                        oldest_waiting: Some(state.core.oldest(now).unwrap_or_default()),
                        downstream: state.downstream,
                    };
                    state.watch(sample, now);
                }),
                Some(alert) = alerts.recv() => {
                    tracing::warn!(%alert, "queue");
                    let told = async { self.runner.alert(alert).await };
                    contained(told, || format!("the alert {alert}")).await;
                }
                () = idle => {}
            }
        }
    }
}

/// What a removal means for jobs that depend on the removed one.
fn leaving<I>(removal: &Removal<I>) -> LeaveReason {
    match removal {
        Removal::Withdrawn(reason) | Removal::Abandoned(reason) => match reason {
            StopReason::Cancelled | StopReason::TimedOut => LeaveReason::Ended,
            StopReason::Preempted { .. } | StopReason::Paused | StopReason::Shutdown => {
                LeaveReason::Rests
            }
        },
        Removal::Panicked(_) => LeaveReason::Ended,
    }
}

/// Awaits a future of the runner with a time limit, and catches panics.
async fn contained(call: impl Future<Output = ()>, what: impl Fn() -> String) {
    let call = AssertUnwindSafe(call).catch_unwind();
    match tokio::time::timeout(RECORD_LIMIT, call).await {
        Ok(Ok(())) => {}
        Ok(Err(panic)) => {
            let problem = words_of(&*panic);
            tracing::error!(
                what = what(),
                problem,
                "the runner panicked while recording"
            );
        }
        Err(_) => tracing::error!(what = what(), "the runner took too long to record"),
    }
}

fn far_away() -> Instant {
    Instant::now() + Duration::from_hours(24)
}

fn words_of(panic: &(dyn Any + Send)) -> &str {
    let owned = panic.downcast_ref::<String>().map(String::as_str);
    owned
        .or_else(|| panic.downcast_ref::<&str>().copied())
        .unwrap_or("without words")
}

impl<I: Clone + Eq + std::hash::Hash + std::fmt::Debug> State<I> {
    fn ends(&mut self, id: &I, number: u64, how: LeaveReason, now: Instant) -> Option<JobEntry<I>> {
        let (ran, kept) = self.core.end(id, number, how, now)?;
        self.served(ran);
        Some(kept)
    }

    /// Puts a job back into the queue, or returns why it must not be.
    fn goes_back(
        &mut self,
        id: &I,
        number: u64,
        stop: &Stop<I>,
        now: Instant,
    ) -> Option<StopReason<I>> {
        if let Some(reason) = stop.reason().filter(StopReason::is_final) {
            return Some(reason);
        }
        let ran = self.core.requeue(id, number, now)?;
        self.served(ran);
        let closed = self.core.is_closed();
        if let Some(kept) = self.core.kept(id) {
            kept.stop = None;
            if closed {
                kept.watchers.clear();
            }
        }
        None
    }

    fn served(&mut self, ran: Duration) {
        self.service_time.took(ran);
        self.service_mean = if self.service_mean.is_zero() {
            ran
        } else {
            self.service_mean * 7 / 8 + ran / 8
        };
    }
}
