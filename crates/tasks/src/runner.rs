//! The queue's runner: works on one task on behalf of its owner.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use journeyman_event::payload::{ALERTS, BackpressureAlert, FailureReason, TaskFailed};
use journeyman_event::state::{Ending, Status};
use journeyman_event::{Principal, TaskId, TaskState};
use journeyman_journal::StreamName;
use journeyman_queue::{Alert, Removal, RunOutcome, Runner, Stop};
use journeyman_signal::{Signals, Text, WorkerAssigned, WorkerCompleted};
use journeyman_workflow::{Control, Error, Fact, Role, StopReason, load};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use crate::{TasksOptions, recorder, worker};

/// How long to wait before a task is tried again after a shortage.
const SHORTAGE_PAUSE: Duration = Duration::from_secs(5);

/// Emits that a run of a task started, and when dropped, that it ended.
struct MeasuredRun {
    signals: Signals,
    task: Text,
    since: Instant,
}

impl MeasuredRun {
    fn begin(signals: &Signals, id: &StreamName) -> Self {
        let task: Text = id.task_id.as_str().into();
        let run = Self {
            signals: signals.clone(),
            task: Arc::clone(&task),
            since: Instant::now(),
        };
        signals.emit(|| WorkerAssigned { task }.into());
        run
    }
}

impl Drop for MeasuredRun {
    fn drop(&mut self) {
        let (task, held) = (Arc::clone(&self.task), self.since.elapsed());
        self.signals.emit(|| WorkerCompleted { task, held }.into());
    }
}

pub(crate) struct TaskRunner {
    pub(crate) options: Arc<TasksOptions>,
    /// Whether a stop was requested by the user rather than by a shutdown.
    pub(crate) interrupted: Arc<AtomicBool>,
}

fn reason_of(
    reason: journeyman_queue::StopReason<StreamName>,
    interrupted: &AtomicBool,
) -> StopReason {
    use journeyman_queue::StopReason as Queued;
    match reason {
        Queued::Preempted { by } => StopReason::Preempted { by: by.task_id },
        Queued::Paused => StopReason::Paused,
        Queued::Cancelled => StopReason::Cancelled,
        Queued::Shutdown if interrupted.load(Ordering::Relaxed) => StopReason::Interrupted,
        // A task's own time limit is counted while it is worked on, not by the queue.
        Queued::Shutdown | Queued::TimedOut => StopReason::Shutdown,
    }
}

impl TaskRunner {
    /// Records what happened to a task that is not being worked on. Returns whether it has ended.
    async fn record(&self, id: &StreamName, fact: Fact) -> bool {
        let principal = Principal::user(id.owner.clone());
        let recorded = async {
            let Some(mut state) = load(&self.options.journal, &principal, &id.task_id).await?
            else {
                return Ok(true);
            };
            let cancel = CancellationToken::new();
            let goes_on = |state: &TaskState| !state.status.is_ended();
            recorder(&self.options, &principal)
                .record_with_retry(&id.task_id, &mut state, &[fact], &cancel, goes_on)
                .await?;
            Ok::<bool, Error>(state.status.is_ended())
        };
        recorded.await.unwrap_or_else(|error| {
            tracing::error!(task = %id, %error, "the outcome of the task could not be recorded");
            false
        })
    }
}

/// The outcome of a run that leaves its task in this state.
const fn ended(has_ended: bool) -> RunOutcome {
    if has_ended {
        RunOutcome::Done
    } else {
        RunOutcome::Rests
    }
}

fn failed(reason: FailureReason, detail: String) -> Fact {
    Fact::of_task(Role::Conductor, TaskFailed { reason, detail })
}

impl Runner for TaskRunner {
    type Id = StreamName;

    #[tracing::instrument(name = "task", skip_all, fields(task = %id.task_id, owner = %id.owner))]
    async fn run(&self, id: StreamName, stop: Stop<StreamName>) -> RunOutcome {
        let principal = Principal::user(id.owner.clone());
        let Some(worker_context) = &self.options.worker_context else {
            return RunOutcome::Requeue; // nothing is started without one
        };
        let worker = worker(&self.options, worker_context, &principal);
        let _measured = MeasuredRun::begin(&worker_context.signals, &id);
        let token = CancellationToken::new();
        let told = stop.clone();
        // Asked when the stop is recorded: a stronger reason may have replaced the first.
        let interrupted = Arc::clone(&self.interrupted);
        let why = move || match told.reason() {
            Some(reason) => reason_of(reason, &interrupted),
            None => StopReason::Shutdown,
        };
        let control = Control::new(token.clone(), why);
        let result = {
            let work = worker.run(&id.task_id, &control);
            tokio::pin!(work);
            tokio::select! {
                result = &mut work => result,
                _ = stop.stopped() => {
                    token.cancel();
                    work.await
                }
            }
        };
        match result {
            Ok(state) if state.status == Status::Queued => RunOutcome::Requeue,
            Ok(state) => {
                tracing::info!(
                    status = state.status.as_str(),
                    "work on the task has stopped"
                );
                match state.ending {
                    Some(Ending::Failed {
                        reason: FailureReason::Timeout,
                        ..
                    }) => RunOutcome::TimedOut,
                    _ => ended(state.status.is_ended()),
                }
            }
            // What is recorded stays; the task goes on when what it needs is there.
            Err(error) if error.is_transient() => {
                tracing::error!(%error, "a resource is exhausted; the task will be tried again");
                tokio::select! {
                    () = tokio::time::sleep(SHORTAGE_PAUSE) => RunOutcome::Requeue,
                    reason = stop.stopped() => match reason {
                        // It goes on as soon as there is a place for it again.
                        journeyman_queue::StopReason::Preempted { .. } => RunOutcome::Requeue,
                        _ => RunOutcome::Rests,
                    },
                }
            }
            // Nothing more can be recorded: the task stays paused until the store is repaired.
            Err(Error::Journal(error)) => {
                tracing::error!(%error, "the journal cannot be used");
                RunOutcome::Rests
            }
            Err(error) => {
                tracing::error!(%error, "work on the task failed");
                let reason = match error {
                    Error::Model(_) => FailureReason::Model,
                    _ => FailureReason::Internal,
                };
                ended(self.record(&id, failed(reason, error.to_string())).await)
            }
        }
    }

    async fn removed(&self, id: StreamName, removal: Removal<StreamName>) {
        use journeyman_queue::StopReason as Queued;
        let fact = match removal {
            // It goes on after the restart.
            Removal::Abandoned(Queued::Shutdown) => return,
            Removal::Withdrawn(reason) | Removal::Abandoned(reason) => {
                reason_of(reason, &self.interrupted).fact()
            }
            Removal::Panicked(words) => {
                let detail = format!("a defect in journeyman: {words}");
                failed(FailureReason::Internal, detail)
            }
        };
        self.record(&id, fact).await;
    }

    async fn alert(&self, alert: Alert) {
        let (watched, level) = (alert.watched.as_str(), alert.level.as_str());
        tracing::warn!(watched, level, percent = alert.percent, "{alert}");
        let told = BackpressureAlert {
            watched: watched.to_owned(),
            level: level.to_owned(),
            percent: alert.percent,
        };
        let cancel = CancellationToken::new();
        if let Err(error) = record_alert(&self.options, told, &cancel).await {
            tracing::error!(%error, "an alert is not recorded");
        }
    }
}

/// Records an alert in the system's own stream. Waits for a store that is not writable until `cancel`.
pub(crate) async fn record_alert(
    options: &TasksOptions,
    told: BackpressureAlert,
    cancel: &CancellationToken,
) -> Result<(), crate::Error> {
    let task =
        TaskId::new(ALERTS).map_err(|error| crate::Error::bad("task_id", error.to_string()))?;
    let system = Principal::system();
    let state = load(&options.journal, &system, &task).await?;
    let fact = [Fact::of_task(Role::Conductor, told)];
    let mut state = state.unwrap_or_default();
    recorder(options, &system)
        .record_with_retry(&task, &mut state, &fact, cancel, |_| true)
        .await?;
    Ok(())
}
