//! Where a command reads: at the server that holds the data folder or that the settings name, else from
//! the journal itself.

use journeyman_api::{Call, TaskView};
use journeyman_event::payload::PauseReason;
use journeyman_event::state::Status;
use journeyman_event::{Principal, TaskId, TaskState};
use journeyman_journal::Journal;
use journeyman_workflow::{Moment, load_at};

use crate::client::Client;
use crate::settings::Settings;
use crate::wiring::read_journal;

/// Where a command reads.
pub(crate) enum Reader {
    /// From a server.
    Server(Client),
    /// From the journal, which has no writer.
    Journal(Journal),
    /// There is no journal yet.
    Nothing,
}

impl Reader {
    pub(crate) async fn open(settings: &Settings) -> anyhow::Result<Self> {
        if let Some(client) = Client::find(settings).await? {
            return Ok(Self::Server(client));
        }
        Ok(match read_journal(settings)? {
            Some(journal) => Self::Journal(journal),
            None => Self::Nothing,
        })
    }

    /// The state of one of the user's tasks.
    pub(crate) async fn state(&self, task: &TaskId) -> anyhow::Result<Option<TaskState>> {
        self.state_at(task, None).await
    }

    /// The state at a point in the task's history.
    pub(crate) async fn state_at(
        &self,
        task: &TaskId,
        moment: Option<Moment>,
    ) -> anyhow::Result<Option<TaskState>> {
        match self {
            Self::Nothing => Ok(None),
            Self::Journal(journal) => {
                Ok(load_at(journal, &Principal::local(), task, moment).await?)
            }
            Self::Server(client) => client.state(task, moment).await,
        }
    }

    /// The actual status of a task with this recorded state: a running task on which no process works is shown as
    /// paused.
    pub(crate) async fn status_of(
        &self,
        task: &TaskId,
        recorded: (Status, Option<PauseReason>),
    ) -> anyhow::Result<(Status, Option<PauseReason>)> {
        match self {
            Self::Server(client) => {
                let view = client.call(Call::task(task, None)).await?;
                Ok(standing_in(&view).unwrap_or(recorded))
            }
            // Held by a process that does not answer: it may well be at work.
            Self::Journal(journal) if journal.holder().is_some() => Ok(recorded),
            Self::Journal(_) | Self::Nothing => Ok(without_worker(recorded)),
        }
    }
}

impl Reader {
    /// Whether anyone is working on tasks.
    pub(crate) fn has_worker(&self) -> bool {
        match self {
            Self::Server(_) => true,
            Self::Journal(journal) => journal.holder().is_some(),
            Self::Nothing => false,
        }
    }
}

/// What an answer of the server says of a task's standing.
fn standing_in(view: &TaskView) -> Option<(Status, Option<PauseReason>)> {
    let pause = serde_json::to_value(&view.pause).and_then(serde_json::from_value);
    Some((view.status.into(), pause.ok()?))
}

/// The actual status of a task without a worker: one that was running when its holder died is paused.
pub(crate) fn without_worker(
    (status, pause): (Status, Option<PauseReason>),
) -> (Status, Option<PauseReason>) {
    match status {
        Status::Running => (Status::Paused, Some(PauseReason::Interrupted)),
        status => (status, pause),
    }
}
