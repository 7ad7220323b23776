//! A task that another process works on: the holder of the data folder, or a remote server.

use std::sync::Arc;

use anyhow::bail;
use journeyman_event::payload::PauseReason;
use journeyman_event::{TaskId, TaskState};
use journeyman_tasks::Intervention;
use journeyman_workflow::Notice;
use tokio_util::sync::CancellationToken;

use super::answers::{answers, asks};
use super::{Changes, RunRequest};
use crate::client::{Client, WatchEnd, is_lost};
use crate::progress::Progress;
use crate::settings::{OtherModel, Settings};

/// A task at a server.
pub(super) struct RemoteTask<'a> {
    pub(super) client: &'a Client,
    pub(super) settings: &'a Settings,
    pub(super) task: &'a TaskId,
    pub(super) progress: &'a Progress,
    pub(super) cancel: &'a CancellationToken,
}

impl RemoteTask<'_> {
    /// Makes sure that the task is running and watches it until it ends or pauses. `seen` is the position up to
    /// which it was shown, `is_sent` says whether the server may already have the task, and `other_model` is
    /// the model the server uses instead of the one configured here.
    pub(super) async fn watch(
        &self,
        request: &RunRequest,
        seen: &mut Option<TaskState>,
        is_sent: &mut bool,
        other_model: &mut Option<OtherModel>,
    ) -> anyhow::Result<WatchEnd> {
        let (client, task) = (self.client, self.task);
        *other_model = self.say_conflicts(*is_sent).await?;
        let known = match request {
            RunRequest::Submit(_) if !*is_sent => None,
            _ => client.state(task, None).await?,
        };
        match (request, &known) {
            (RunRequest::Submit(content), None) => {
                *is_sent = true;
                client.submit(task, content.content()).await?;
            }
            (_, None) => bail!("there is no task {task}; `journeyman tasks` lists them"),
            (request, Some(now)) => {
                *is_sent = true;
                if let Some(Changes {
                    limits,
                    out,
                    version,
                }) = request.of(now)
                {
                    // Into a folder of this machine the result is brought at the end.
                    let out = out.filter(|_| client.is_local());
                    let resume = Intervention::Resume { limits, out };
                    client.intervene(task, &resume, version).await?;
                }
            }
        }
        let state = seen.get_or_insert_with(|| match request {
            RunRequest::Submit(_) => TaskState::default(),
            RunRequest::Resume(_) => known.unwrap_or_default(),
        });
        loop {
            match self.watch_on(state).await? {
                WatchEnd::Ended if asks(state) && !self.cancel.is_cancelled() => {
                    for answer in answers(state, self.progress, self.cancel).await? {
                        client.intervene(task, &answer, None).await?;
                    }
                    if self.cancel.is_cancelled() {
                        return self.pause(state).await;
                    }
                }
                watched => return Ok(watched),
            }
        }
    }

    /// Watches until the task ends or pauses, or the connection is lost.
    async fn watch_on(&self, state: &mut TaskState) -> anyhow::Result<WatchEnd> {
        let watching = self.client.follow(self.task, state.sequence, |event| {
            state.evolve(&event)?;
            self.progress.notice(&Notice::Event {
                event,
                state: Arc::new(state.clone()),
            });
            let waits = [Some(PauseReason::User), Some(PauseReason::Question)];
            Ok(!state.status.is_ended() && !waits.contains(&state.pause))
        });
        tokio::select! {
            watched = watching => return watched,
            () = self.cancel.cancelled() => {}
        }
        self.pause(state).await
    }

    /// Pauses the task because its user interrupted the command. The task may have ended at that moment.
    async fn pause(&self, state: &mut TaskState) -> anyhow::Result<WatchEnd> {
        let pause = &Intervention::Pause;
        let paused = self.client.intervene(self.task, pause, None);
        let paused = paused.await.map_err(anyhow::Error::from);
        let now = self.client.state(self.task, None).await;
        match (paused, now) {
            (Ok(_), Ok(now)) => *state = now.unwrap_or_default(),
            (Err(_), Ok(Some(now))) if now.status.is_ended() => *state = now,
            // With its holder it came to rest.
            (Err(error), _) if is_lost(&error) => {}
            (Err(error), _) | (_, Err(error)) => return Err(error),
        }
        Ok(WatchEnd::Ended)
    }

    /// Reports settings that the server does not satisfy; before the task is submitted, conflicts that change
    /// the result are an error. Returns the model the server uses instead of the one configured here.
    async fn say_conflicts(&self, is_sent: bool) -> anyhow::Result<Option<OtherModel>> {
        let conflicts = self.client.conflicts(self.settings).await?;
        if !is_sent {
            conflicts.refuse()?;
        }
        for words in conflicts.refused.iter().chain(&conflicts.told) {
            self.progress.warn(&format!("{}: {words}", conflicts.with));
        }
        Ok(conflicts.other_model)
    }
}
