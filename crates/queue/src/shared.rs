//! The state shared by the handles and the async tasks of a queue: the rules, behind a lock that is held for
//! microseconds, and the consequences of every change.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::runtime::Handle;
use tokio::sync::{Notify, mpsc, oneshot};
use tokio::time::Instant;

use crate::core::{Core, Due};
use crate::statistics::Times;
use crate::{Alert, Counts, Monitor, QueueOptions, Removal, Runner, Sample, Stop, StopReason};

/// The most alerts waiting for the runner. Further ones are only logged.
const ALERTS_MAX: usize = 64;

pub(crate) struct Shared<R: Runner> {
    pub(crate) runner: R,
    pub(crate) runtime: Handle,
    state: Mutex<State<R::Id>>,
    /// Notified when a job can start.
    pub(crate) work: Notify,
    /// Notified when the next due time has moved forward.
    pub(crate) alarm: Notify,
    /// Notified when no job is running and none will be started.
    pub(crate) idle: Notify,
}

pub(crate) struct State<I> {
    pub(crate) core: Core<I, JobEntry<I>>,
    pub(crate) counts: Counts,
    pub(crate) waiting_time: Times,
    pub(crate) service_time: Times,
    /// The moving average of run durations, in which a new run has a weight of one eighth.
    pub(crate) service_mean: Duration,
    pub(crate) monitor: Monitor,
    pub(crate) downstream: Option<u64>,
    alerts: mpsc::Sender<Alert>,
    /// The number of async tasks that start jobs: actual and wanted.
    pub(crate) workers: usize,
    pub(crate) workers_wanted: usize,
    /// Removed jobs that were not reported to the runner yet.
    pub(crate) records: usize,
    /// When the clock task will check next.
    pub(crate) looks_at: Option<Instant>,
    /// The queue's own async tasks that panicked.
    pub(crate) died: Vec<&'static str>,
}

/// The data kept with each job.
pub(crate) struct JobEntry<I> {
    /// Notifies a submitter that waits for a place.
    pub(crate) granted: Option<oneshot::Sender<()>>,
    /// Tells the running job to stop.
    pub(crate) stop: Option<Stop<I>>,
    /// Those waiting for the job's end.
    pub(crate) watchers: Vec<oneshot::Sender<()>>,
}

impl<I> Default for JobEntry<I> {
    fn default() -> Self {
        Self {
            granted: None,
            stop: None,
            watchers: Vec::new(),
        }
    }
}

impl<I> JobEntry<I> {
    /// Notifies those waiting for the job's end.
    pub(crate) fn notify_ended(self) {
        for watcher in self.watchers {
            // Who does not wait any longer need not know.
            let _ = watcher.send(());
        }
    }
}

/// A removed job that must be reported to the runner.
struct Out<I> {
    id: I,
    removal: Removal<I>,
    kept: JobEntry<I>,
}

/// Consequences of a change that are carried out after the lock is released.
struct After<I> {
    out: Vec<Out<I>>,
    can_start: bool,
    is_idle: bool,
    alarm: bool,
}

impl<R: Runner> Shared<R> {
    pub(crate) fn new(options: &QueueOptions, runner: R) -> (Self, mpsc::Receiver<Alert>) {
        let (alerts, alerts_taken) = mpsc::channel(ALERTS_MAX);
        let shared = Self {
            runner,
            runtime: Handle::current(),
            state: Mutex::new(State {
                core: Core::new(options),
                counts: Counts::default(),
                waiting_time: Times::default(),
                service_time: Times::default(),
                service_mean: Duration::ZERO,
                monitor: Monitor::new(options.thresholds),
                downstream: None,
                alerts,
                workers: 0,
                workers_wanted: options.workers.max(1),
                records: 0,
                looks_at: None,
                died: Vec::new(),
            }),
            work: Notify::new(),
            alarm: Notify::new(),
            idle: Notify::new(),
        };
        (shared, alerts_taken)
    }

    pub(crate) fn lock(&self) -> MutexGuard<'_, State<R::Id>> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Changes the state and carries out all consequences.
    pub(crate) fn change<T>(
        self: &Arc<Self>,
        change: impl FnOnce(&mut State<R::Id>, Instant) -> T,
    ) -> T {
        let now = Instant::now();
        let mut state = self.lock();
        let result = change(&mut state, now);
        let after = state.settle(now);
        drop(state);
        self.act(after);
        result
    }

    fn act(self: &Arc<Self>, after: After<R::Id>) {
        if after.alarm {
            self.alarm.notify_one();
        }
        if after.can_start {
            self.work.notify_one();
        }
        if after.is_idle {
            self.idle.notify_waiters();
            self.alarm.notify_one();
        }
        for out in after.out {
            let shared = Arc::clone(self);
            self.spawn_supervised("record", shared.records(out));
        }
    }

    async fn records(self: Arc<Self>, out: Out<R::Id>) {
        self.record(out.id, out.removal).await;
        out.kept.notify_ended();
        self.change(|state, _| state.records -= 1);
    }
}

impl<I: Clone + Eq + std::hash::Hash + std::fmt::Debug> State<I> {
    /// Determines all consequences of a change.
    fn settle(&mut self, now: Instant) -> After<I> {
        let mut out = Vec::new();
        while let Some(due) = self.core.due(now) {
            self.happens(due, &mut out);
        }
        while let Some(id) = self.core.grant() {
            if let Some(granted) = self.core.kept(&id).and_then(|kept| kept.granted.take()) {
                // Who is gone meanwhile takes the admission back.
                let _ = granted.send(());
            }
        }
        while let Some((victim, by)) = self.core.victim() {
            self.counts.preempted += 1;
            self.request_stop(&victim, StopReason::Preempted { by });
        }
        let fill = Some((self.core.occupied(), self.core.capacity()));
        self.watch(
            Sample {
                fill,
                ..Sample::default()
            },
            now,
        );
        self.records += out.len();
        let next = self.core.next_alarm();
        let alarm = next.is_some_and(|next| self.looks_at.is_none_or(|at| next < at));
        if alarm {
            self.looks_at = next;
        }
        After {
            out,
            can_start: self.core.can_start(),
            is_idle: self.is_idle(),
            alarm,
        }
    }

    fn happens(&mut self, due: Due<I, JobEntry<I>>, out: &mut Vec<Out<I>>) {
        match due {
            Due::Expired(id, kept) => {
                self.counts.timed_out += 1;
                let removal = Removal::Withdrawn(StopReason::TimedOut);
                out.push(Out { id, removal, kept });
            }
            Due::TimedOut(id) => {
                self.counts.timed_out += 1;
                self.request_stop(&id, StopReason::TimedOut);
            }
            Due::Kill(id) => {
                if let Some(stop) = self.stop_of(&id) {
                    stop.kill();
                }
            }
            Due::Lost(id, kept) => {
                self.counts.abandoned += 1;
                let reason = kept.stop.as_ref().and_then(Stop::reason);
                let removal = Removal::Abandoned(reason.unwrap_or(StopReason::Shutdown));
                out.push(Out { id, removal, kept });
            }
        }
    }

    pub(crate) fn stop_of(&mut self, id: &I) -> Option<&Stop<I>> {
        self.core.kept(id).and_then(|kept| kept.stop.as_ref())
    }

    /// Tells a running job to stop. Returns whether it had not been told before.
    pub(crate) fn request_stop(&mut self, id: &I, reason: StopReason<I>) -> bool {
        self.stop_of(id).is_some_and(|stop| stop.set(reason))
    }

    /// Drops the runs in progress.
    pub(crate) fn kill_all(&mut self, now: Instant) {
        for id in self.core.running() {
            if let Some(stop) = self.stop_of(&id) {
                stop.kill();
            }
            self.core.kill(&id, now);
        }
    }

    /// Passes a sample to the monitor.
    pub(crate) fn watch(&mut self, sample: Sample, now: Instant) {
        for alert in self.monitor.observe(sample, now) {
            if self.alerts.try_send(alert).is_err() {
                tracing::warn!(%alert, "an alert was dropped: too many are waiting to be recorded");
            }
        }
    }

    /// The estimated time until one more submitter could get a place.
    pub(crate) fn retry_after(&self) -> Duration {
        let ahead = u32::try_from(self.core.waiting_submitters()).unwrap_or(u32::MAX);
        let slots = u32::try_from(self.core.max_concurrent).unwrap_or(u32::MAX);
        let turns = ahead.saturating_add(1).div_ceil(slots.max(1));
        let wait = self.service_mean.saturating_mul(turns);
        wait.max(Duration::from_secs(1))
    }

    pub(crate) fn is_idle(&self) -> bool {
        self.core.is_closed() && self.core.running_count() == 0 && self.records == 0
    }
}
