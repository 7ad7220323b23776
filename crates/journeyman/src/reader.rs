//! Where a command reads: at the server that holds the data folder or that the settings name, else from
//! the journal itself.

use journeyman_api::{
    Call, ContextDiff, ContextDiffQuery, ContextView, SearchQuery, SearchView, TaskView,
};
use journeyman_event::payload::PauseReason;
use journeyman_event::state::Status;
use journeyman_event::{Principal, Sequence, TaskId, TaskState};
use journeyman_journal::{Filter, Journal, Moment};
use journeyman_knowledge::{Knowledge, rebuild, sent};
use journeyman_server::{context_view, diff_view, search_view};
use journeyman_workflow::load_at;

use crate::client::Client;
use crate::embedding::searchable_now;
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

    /// What is known of one of the user's tasks, as it was then or as it is now.
    pub(crate) async fn knowledge(
        &self,
        task: &TaskId,
        moment: Option<Moment>,
    ) -> anyhow::Result<Option<Knowledge>> {
        match self {
            Self::Nothing => Ok(None),
            Self::Journal(journal) => {
                Ok(rebuild(journal, &Principal::local(), task, moment).await?)
            }
            Self::Server(client) => client.knowledge(task, moment).await,
        }
    }

    /// What the model was asked in a task's last call at or before a position; none if it was not.
    pub(crate) async fn context(
        &self,
        task: &TaskId,
        at: Option<Sequence>,
    ) -> anyhow::Result<Option<ContextView>> {
        match self {
            Self::Nothing => Ok(None),
            Self::Journal(journal) => {
                let call = sent(journal, &Principal::local(), task, at).await?;
                Ok(call.as_ref().map(context_view))
            }
            Self::Server(client) => found(client.call(Call::context(task, at)).await),
        }
    }

    /// How two calls of the model differ, each the last of a task's at or before a position; none if one of them is
    /// not there.
    pub(crate) async fn context_diff(
        &self,
        (from_task, from): (&TaskId, Option<Sequence>),
        (task, to): (&TaskId, Option<Sequence>),
    ) -> anyhow::Result<Option<ContextDiff>> {
        match self {
            Self::Nothing => Ok(None),
            Self::Journal(journal) => {
                let principal = Principal::local();
                let from = sent(journal, &principal, from_task, from).await?;
                let to = sent(journal, &principal, task, to).await?;
                let both = from.as_ref().zip(to.as_ref());
                Ok(both.map(|(from, to)| diff_view(from, to)))
            }
            Self::Server(client) => {
                let query = ContextDiffQuery {
                    from: from.unwrap_or(Sequence(u64::MAX)).into(),
                    from_task: Some(from_task.to_string()),
                    to: to.map(Into::into),
                };
                found(client.call(Call::context_diff(task, &query)).await)
            }
        }
    }

    /// What is found by words and by meaning, in any of the user's tasks.
    pub(crate) async fn search(
        &self,
        settings: &Settings,
        query: &SearchQuery,
    ) -> anyhow::Result<SearchView> {
        match self {
            Self::Nothing => Ok(SearchView::default()),
            Self::Journal(journal) => {
                let limit = query.limit.unwrap_or(usize::MAX);
                let (known, me) = (searchable_now(settings).await?, Principal::local());
                let found = known.search(journal, &me, &query.words, limit).await?;
                Ok(search_view(found))
            }
            Self::Server(client) => Ok(client.call(Call::search(query)).await?),
        }
    }

    /// The task that the event at a position is of; none if there is none, or it is another user's.
    pub(crate) async fn task_of(&self, at: Sequence) -> anyhow::Result<Option<TaskId>> {
        let before = Sequence(at.0.saturating_sub(1));
        let events = match self {
            Self::Nothing => Vec::new(),
            Self::Journal(journal) => {
                let filter = Filter {
                    until: Some(at),
                    ..Filter::default()
                };
                let page = journal
                    .read(&Principal::local(), &filter, before, 1)
                    .await?;
                page.events
            }
            // Nobody has seen what is not there yet.
            Self::Server(client) => match client.events(None, before, Some(at)).await {
                Err(error) if error.status() == Some(422) => Vec::new(),
                events => events?.0,
            },
        };
        let event = events.iter().find(|event| event.sequence() == at);
        Ok(event.map(|event| event.task_id().clone()))
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

/// An answer, or none where there is no such thing.
fn found<A>(answer: Result<A, journeyman_api::Error>) -> anyhow::Result<Option<A>> {
    match answer {
        Err(error) if error.status() == Some(404) => Ok(None),
        answer => Ok(Some(answer?)),
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
