//! `run` and `resume`: work on a task until it ends or is interrupted.

mod answers;
mod location;
mod remote;
mod request;
mod result;

use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::Context;
use journeyman_api::CheckedTask;
use journeyman_event::payload::{FailureReason, Limits};
use journeyman_event::state::Ending;
use journeyman_event::{TaskId, TaskState};
use journeyman_workflow::{check_output, prompt_note};
use tokio_util::sync::CancellationToken;

use crate::cli::{ResumeArgs, RunArgs};
use crate::client::{WatchEnd, is_lost, is_stopping, is_unavailable};
use crate::environment::SystemRandom;
use crate::exit::{Exit, UsageError};
use crate::holder::Holder;
use crate::progress::{Progress, Style};
use crate::reader::Reader;
use crate::settings::{OtherModel, Settings};
use crate::signals::cancel_on_signals;

pub(crate) use location::{TaskLocation, hold};
use location::{catch_up, finish_hooks, work_here};
use remote::RemoteTask;
pub(crate) use request::limits;
use request::{absolute, changed_limits, is_larger, remarks, submission};
use result::{copy_result, tell_result};

/// How long to wait between attempts to reach a server.
const RETRY: Duration = Duration::from_millis(200);
/// How long a holder of the data folder may take to respond or to go.
const HOLDER_TIME: Duration = Duration::from_secs(5);
/// A server elsewhere that is lost has this long to come back.
const SERVER_TIME: Duration = Duration::from_mins(1);
/// While it is waited for, that is said so often.
const TOLD_EVERY: Duration = Duration::from_secs(15);

/// A server that is gone, and how long it is waited for.
struct Loss {
    since: Instant,
    told: Option<Instant>,
    patience: Duration,
}

impl Loss {
    /// Whether it was waited for long enough.
    fn is_final(&self, now: Instant) -> bool {
        now.saturating_duration_since(self.since) > self.patience
    }

    /// For how long it is waited for still, where it is time to say so again.
    fn due(&mut self, now: Instant) -> Option<Duration> {
        let is_due = |told: Instant| now.saturating_duration_since(told) >= TOLD_EVERY;
        if self.told.is_some_and(|told| !is_due(told)) {
            return None;
        }
        self.told = Some(now);
        let waited = now.saturating_duration_since(self.since);
        Some(self.patience.saturating_sub(waited))
    }
}

pub(crate) async fn run(settings: &Settings, args: RunArgs) -> anyhow::Result<Exit> {
    let (submission, notes) = submission(args, settings.tools_said(), settings.trace.clone())?;
    let task = TaskId::random(&SystemRandom);
    if let Some(out) = &submission.content().out {
        check_out(settings, &task, out)?;
    }
    follow(
        settings,
        &task,
        RunRequest::Submit(Box::new(submission)),
        notes,
    )
    .await
}

pub(crate) async fn resume(settings: &Settings, args: ResumeArgs) -> anyhow::Result<Exit> {
    let ResumeArgs {
        task,
        out,
        limits,
        only,
    } = args;
    let state = Reader::open(settings).await?.state(&task).await?;
    let state =
        state.with_context(|| format!("there is no task {task}; `journeyman tasks` lists them"))?;
    let out = out.as_deref().map(absolute).transpose()?;
    if let Some(out) = &out {
        check_out(settings, &task, out)?;
    }
    let changes = Changes {
        limits: changed_limits(&state, &limits),
        out,
        version: only.version(),
    };
    let request = RunRequest::Resume(changes);
    let has_ended = request.of(&state).is_none();
    let note = (has_ended && request.has_limits()).then(|| {
        format!(
            "the new limits change nothing: task {task} has ended, and not by a limit; `journeyman fork {task} --at N` \
             takes them and goes on from an earlier event N of `journeyman events --task {task}`"
        )
    });
    let settings = &Settings {
        // Only its result is to be written.
        model_required: settings.model_required && !failed_to_write(&state),
        ..settings.clone()
    };
    follow(settings, &task, request, note.into_iter().collect()).await
}

/// Checks the output folder before anything else is done.
fn check_out(settings: &Settings, task: &TaskId, out: &str) -> Result<(), UsageError> {
    let checked = check_output(Path::new(out), Some(task), Some(&settings.data_dir));
    checked.map_err(|error| UsageError(format!("--out: {error}")))
}

/// What the user asked for: a new task, or the resumption of an existing one.
enum RunRequest {
    Submit(Box<CheckedTask>),
    Resume(Changes),
}

/// What to change when a task is resumed.
#[derive(Clone, Default)]
struct Changes {
    limits: Option<Limits>,
    out: Option<String>,
    /// The version that the task must have; any version if `None`.
    version: Option<u64>,
}

impl RunRequest {
    /// What remains to be done for a task in this state, some of which may have happened since. `None` if the
    /// task has ended.
    fn of(&self, state: &TaskState) -> Option<Changes> {
        let changes = match self {
            // It is in the journal already.
            Self::Submit(_) => Changes::default(),
            Self::Resume(changes) => changes.clone(),
        };
        let may_go_on = match Exit::of(state.ending.as_ref()) {
            _ if state.may_be_tried_again() => matches!(self, Self::Resume(_)),
            Exit::Limit => changes.limits.is_some_and(|new| is_larger(state, &new)),
            _ if failed_to_write(state) => changes.out.is_some(),
            _ => !state.status.is_ended(),
        };
        may_go_on.then_some(changes)
    }

    /// What is wished once the task was let go on, where that is something else: whichever version it had when a
    /// server was gone, it goes on.
    fn again(&self) -> Option<Self> {
        match self {
            Self::Resume(changes) if changes.version.is_some() => Some(Self::Resume(Changes {
                version: None,
                ..changes.clone()
            })),
            Self::Resume(_) | Self::Submit(_) => None,
        }
    }

    /// Whether other limits were named.
    fn has_limits(&self) -> bool {
        matches!(self, Self::Resume(changes) if changes.limits.is_some())
    }

    /// Where the result is to go, as it was said now.
    fn out(&self) -> Option<&str> {
        match self {
            Self::Submit(task) => task.content().out.as_deref(),
            Self::Resume(changes) => changes.out.as_deref(),
        }
    }
}

fn failed_to_write(state: &TaskState) -> bool {
    let reason = FailureReason::Output;
    matches!(&state.ending, Some(Ending::Failed { reason: why, .. }) if *why == reason)
}

/// Follows a task to its end, shows progress, and prints the result, preceded by notices. Works the same if no
/// one reads the output.
async fn follow(
    settings: &Settings,
    task: &TaskId,
    request: RunRequest,
    notes: Vec<String>,
) -> anyhow::Result<Exit> {
    let progress = Progress::start(Style::of(settings), settings);
    progress.only(task);
    for note in notes {
        progress.say(&note);
    }
    if let RunRequest::Submit(task) = &request {
        let content = task.content();
        for remark in remarks(content) {
            progress.say(&remark);
        }
        // Even in quiet mode, the user must learn that the result will be Python and not another language.
        if let Some(note) = prompt_note(&content.prompt) {
            progress.warn(&note);
        }
    }
    let cancel = cancel_on_signals()?;
    // The holder, when this process did the work.
    let mut held = None;
    let seen = see_through(settings, task, &request, &progress, &cancel, &mut held).await;
    let ended = match seen {
        Ok(Some(state)) => {
            let brought = copy_result(task, &request, state).await;
            brought.map(|state| {
                tell_result(settings, &progress, task, &state);
                Exit::of(state.ending.as_ref())
            })
        }
        Ok(None) => Ok(Exit::Interrupted),
        Err(error) => Err(error),
    };
    let closed = match held {
        Some(holder) => finish_hooks(settings, holder, &progress, &cancel).await,
        None => Ok(()),
    };
    progress.finish().await;
    let exit = ended?;
    closed.map(|()| exit)
}

/// Sees a task through to its end or rest, in this process or at the server that holds the data folder:
/// when that one goes away, here. None if it was interrupted before there was a task. `held` receives the holder when
/// this process did the work.
async fn see_through(
    settings: &Settings,
    task: &TaskId,
    request: &RunRequest,
    progress: &Arc<Progress>,
    cancel: &CancellationToken,
    held: &mut Option<Holder>,
) -> anyhow::Result<Option<TaskState>> {
    // What was seen of it at a server, whether that may have it, and its model, if that is not ours.
    let (mut seen, mut is_sent, mut other_model) = (None, false, None);
    if let RunRequest::Resume(_) = request
        && let Some(state) = Reader::open(settings).await?.state(task).await?
    {
        if request.of(&state).is_none() {
            // There is nothing left to work on.
            return Ok(Some(state));
        }
        if !failed_to_write(&state) {
            other_model = settings.other_than_simulated(&state);
        }
    }
    let mut lost: Option<Loss> = None;
    let again = request.again();
    loop {
        let request = match &again {
            Some(again) if seen.is_some() => again,
            _ => request,
        };
        match TaskLocation::find(settings, cancel).await? {
            None => return Ok(seen),
            Some(TaskLocation::Local(journal)) => {
                if let RunRequest::Submit(task) = request
                    && let Some(webhook) = &task.content().webhook
                {
                    let checked = settings.webhook_networks.check_webhook(webhook);
                    checked.map_err(|why| UsageError(format!("--webhook: {why}")))?;
                }
                if seen.is_none()
                    && let Some(OtherModel { what, flag }) = &other_model
                {
                    let why = format!(
                        "task {task} was worked on with {what}: {flag} goes on with it, and --model or another \
                         --model-url with another one"
                    );
                    return Err(UsageError(why).into());
                }
                let caught_up = match &mut seen {
                    Some(seen) => catch_up(&journal, task, seen, progress).await,
                    None => Ok(()),
                };
                if let (Some(state), Ok(())) = (&seen, &caught_up) {
                    if request.of(state).is_none() {
                        return Ok(seen);
                    }
                    let other = other_model.as_ref().filter(|_| state.started.is_some());
                    if let Some(OtherModel { what, flag }) = other {
                        progress.warn(&format!(
                            "{task} was worked on with {what}; `journeyman resume {task} {flag}` goes on"
                        ));
                        return Ok(seen);
                    }
                }
                let Some(holder) = hold(settings, journal, progress, cancel).await? else {
                    return Ok(seen);
                };
                let worked = work_here(settings, holder, task, request, progress, cancel);
                let (state, holder) = worked.await?;
                *held = holder;
                caught_up?;
                return Ok(Some(state));
            }
            Some(TaskLocation::Server(client)) => {
                let remote = RemoteTask {
                    client: &client,
                    settings,
                    task,
                    progress,
                    cancel,
                };
                let before = is_sent;
                let watched = remote.watch(request, &mut seen, &mut is_sent, &mut other_model);
                let problem = match watched.await {
                    Ok(WatchEnd::Ended) => return Ok(seen),
                    Ok(WatchEnd::Lost) => None,
                    Err(error) if is_lost(&error) && (client.is_local() || before || is_sent) => {
                        Some(error)
                    }
                    // Another holder takes its place, or its disk has space again; it has the task.
                    Err(error) if is_stopping(&error) && client.is_local() => Some(error),
                    Err(error) if is_unavailable(&error) && before => Some(error),
                    Err(error) => return Err(error),
                };
                if problem.is_none() {
                    lost = None;
                }
                let now = Instant::now();
                let loss = lost.get_or_insert_with(|| Loss {
                    since: now,
                    told: None,
                    patience: if client.is_local() {
                        HOLDER_TIME
                    } else {
                        SERVER_TIME
                    },
                });
                let who = client.who(settings);
                let words = match &problem {
                    Some(error) if !is_lost(error) && !is_stopping(error) => format!("{error:#}"),
                    _ => format!("{who} is gone or stopping"),
                };
                let is_final = loss.is_final(now);
                if let Some(error) = problem.filter(|_| is_final) {
                    let what = if is_lost(&error) {
                        format!("the connection to {who} is lost")
                    } else if seen.is_some() {
                        format!("{who} cannot go on now")
                    } else {
                        return Err(error);
                    };
                    return Err(error.context(format!(
                        "{what}; `journeyman resume {task}{}` shows what becomes of the task there",
                        settings.place_flags()
                    )));
                }
                let is_first = loss.told.is_none();
                if let Some(left) = loss.due(now) {
                    let left = left.as_secs();
                    let words = format!("{words}; trying again for {left} s");
                    // However quiet it is to be, one who waits should know for what.
                    if is_first && !client.is_local() {
                        progress.warn(&words);
                    } else {
                        progress.say(&words);
                    }
                }
                tokio::select! {
                    () = tokio::time::sleep(RETRY) => {}
                    () = cancel.cancelled() => return Ok(seen),
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_lost_server_is_told_again_and_again_and_given_up_after_its_time() {
        let since = Instant::now();
        let mut loss = Loss {
            since,
            told: None,
            patience: SERVER_TIME,
        };
        let mut told = Vec::new();
        let mut at = Duration::ZERO;
        while !loss.is_final(since + at) {
            if let Some(left) = loss.due(since + at) {
                told.push((at.as_secs(), left.as_secs()));
            }
            at += RETRY;
        }
        assert_eq!(told, [(0, 60), (15, 45), (30, 30), (45, 15), (60, 0)]);
        assert!(at > SERVER_TIME && at <= SERVER_TIME + RETRY, "{at:?}");
    }
}
