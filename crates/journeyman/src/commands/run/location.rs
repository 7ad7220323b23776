//! Where a task is worked on, and the work in this process.

use std::sync::Arc;
use std::time::{Duration, Instant};

use journeyman_event::{Principal, TaskId, TaskState};
use journeyman_hooks::Scope;
use journeyman_journal::{Filter, Journal};
use journeyman_queue::WhenFull;
use journeyman_tasks::{Intervention, OnlyAt, ShutdownReason, Submission, Tasks};
use journeyman_workflow::Notice;
use tokio_util::sync::CancellationToken;

use super::answers::{answers, asks};
use super::{Changes, HOLDER_TIME, RETRY, RunRequest};
use crate::client::Client;
use crate::holder::{Endpoints, Holder};
use crate::progress::Progress;
use crate::settings::Settings;
use crate::wiring::{open_journal, work_setup};

/// Events read at a time.
const PAGE: usize = 1_000;
/// How long to wait for the first attempts of webhooks.
const WEBHOOK_TIMEOUT: Duration = Duration::from_secs(20);
/// How long to wait for hooks without a message.
const QUIET_WAIT: Duration = Duration::from_secs(1);

/// Where tasks are worked on.
pub(crate) enum TaskLocation {
    /// In this process, which holds the journal.
    Local(Journal),
    Server(Client),
}

impl TaskLocation {
    /// The server named in the settings, the holder of the data folder, or its journal if there is no
    /// holder. `None` if interrupted.
    pub(crate) async fn find(
        settings: &Settings,
        cancel: &CancellationToken,
    ) -> anyhow::Result<Option<Self>> {
        let began = Instant::now();
        loop {
            if let Some(client) = Client::find(settings).await? {
                return Ok(Some(Self::Server(client)));
            }
            match open_journal(&settings.data_dir) {
                Ok(journal) => return Ok(Some(Self::Local(journal))),
                // Its holder may be about to answer, or to end.
                Err(error) if is_locked(&error) && began.elapsed() < HOLDER_TIME => {
                    tokio::select! {
                        () = tokio::time::sleep(RETRY) => {}
                        () = cancel.cancelled() => return Ok(None),
                    }
                }
                Err(error) => return Err(error),
            }
        }
    }
}

/// Makes this process the holder of the data folder. `None` if interrupted.
pub(crate) async fn hold(
    settings: &Settings,
    journal: Journal,
    progress: &Arc<Progress>,
    cancel: &CancellationToken,
) -> anyhow::Result<Option<Holder>> {
    let prepared = tokio::select! {
        prepared = work_setup(settings, &settings.data_dir, progress) => prepared?,
        () = cancel.cancelled() => return Ok(None),
    };
    let holder = Holder::start(settings, journal, prepared, Endpoints::local());
    Ok(Some(holder.await?))
}

fn is_locked(error: &anyhow::Error) -> bool {
    matches!(
        error.downcast_ref(),
        Some(journeyman_journal::Error::Locked { .. })
    )
}

/// Works on a task in this process until it ends, pauses or is interrupted. Returns the holder, unless the task was
/// interrupted.
pub(super) async fn work_here(
    settings: &Settings,
    holder: Holder,
    task: &TaskId,
    request: &RunRequest,
    progress: &Progress,
    cancel: &CancellationToken,
) -> anyhow::Result<(TaskState, Option<Holder>)> {
    let (me, tasks) = (Principal::local(), holder.tasks.clone());
    let began = begin_here(&tasks, task, request).await;
    let mut ending = ShutdownReason::Shutdown;
    let mut answered = Ok(());
    let mut goes_on = matches!(began, Ok(true));
    while goes_on {
        tokio::select! {
            () = tasks.wait_until_left(&me, task) => {}
            () = cancel.cancelled() => {
                ending = ShutdownReason::Interrupted;
                break;
            }
        }
        let state = tasks.state(&me, task).await;
        let Some(state) = state.ok().filter(asks) else {
            break;
        };
        answered = answer_here(&tasks, task, &state, progress, cancel).await;
        goes_on = answered.is_ok() && !cancel.is_cancelled();
    }
    if ending == ShutdownReason::Shutdown && began.is_ok() && answered.is_ok() {
        return Ok((tasks.state(&me, task).await?, Some(holder)));
    }
    holder.close(settings.grace, ending).await?;
    began?;
    answered?;
    Ok((tasks.state(&me, task).await?, None))
}

/// Waits for the hooks after the result was printed, then closes the holder. Deliveries that fail or are interrupted stay
/// in the outbox for the next process.
pub(super) async fn finish_hooks(
    settings: &Settings,
    holder: Holder,
    progress: &Progress,
    cancel: &CancellationToken,
) -> anyhow::Result<()> {
    let on_end = settings.on_end.as_ref();
    let timeout = on_end.map_or(WEBHOOK_TIMEOUT, |on_end| on_end.limit.max(WEBHOOK_TIMEOUT));
    let finished = async {
        if holder.hooks.wait_until_idle(QUIET_WAIT).await {
            return;
        }
        progress.say("waiting for hooks; Ctrl-C leaves them to the next start");
        holder.hooks.wait_until_idle(timeout).await;
    };
    tokio::select! {
        () = finished => {}
        () = cancel.cancelled() => {}
    }
    for hook in holder.hooks.list(&Scope::All).await.unwrap_or_default() {
        if let Some(error) = hook.last_error.filter(|_| hook.state != "unknown") {
            progress.say(&format!(
                "hook {}: {error}; see `journeyman hooks`",
                hook.hook
            ));
        }
    }
    let grace = if cancel.is_cancelled() {
        Duration::ZERO
    } else {
        settings.grace
    };
    holder.close(grace, ShutdownReason::Shutdown).await
}

/// Puts the task into the queue; false if it has come to its end.
async fn begin_here(
    tasks: &Tasks,
    task: &TaskId,
    request: &RunRequest,
) -> Result<bool, journeyman_tasks::Error> {
    let me = Principal::local();
    let known = match (tasks.state(&me, task).await, request) {
        (Ok(state), _) => Some(state),
        (Err(journeyman_tasks::Error::NoSuchTask { .. }), RunRequest::Submit(_)) => None,
        (Err(error), _) => return Err(error),
    };
    match (request, known) {
        (RunRequest::Submit(content), None) => {
            let submission = Submission {
                task_id: Some(task.clone()),
                content: (**content).clone(),
                full: WhenFull::Refuse,
                idempotency_key: None,
            };
            tasks.submit(&me, submission).await?;
        }
        (request, known) => match request.of(&known.unwrap_or_default()) {
            None => return Ok(false),
            Some(Changes {
                limits,
                out,
                version,
            }) => {
                let resume = Intervention::Resume { limits, out };
                let only_at = OnlyAt::version(version);
                tasks.intervene(&me, task, resume, only_at).await?;
            }
        },
    }
    Ok(true)
}

async fn answer_here(
    tasks: &Tasks,
    task: &TaskId,
    state: &TaskState,
    progress: &Progress,
    cancel: &CancellationToken,
) -> anyhow::Result<()> {
    let me = Principal::local();
    for answer in answers(state, progress, cancel).await? {
        let answered = tasks.intervene(&me, task, answer, OnlyAt::Any);
        answered.await?;
    }
    Ok(())
}

/// Shows events recorded since the task was last seen at a server that has gone.
pub(super) async fn catch_up(
    journal: &Journal,
    task: &TaskId,
    seen: &mut TaskState,
    progress: &Progress,
) -> anyhow::Result<()> {
    let (me, filter) = (Principal::local(), Filter::of_task(task));
    loop {
        let page = journal.read(&me, &filter, seen.sequence, PAGE).await?;
        for event in page.events {
            seen.evolve(&event)?;
            progress.notice(&Notice::Event {
                event,
                state: Arc::new(seen.clone()),
            });
        }
        if page.ended {
            return Ok(());
        }
    }
}
