//! The server that a command uses: the process that holds the data folder, or a remote one.

use std::ops::Deref;
use std::path::Path;

use anyhow::bail;
use journeyman_api::json::Whole;
use journeyman_api::{
    Call, Error, HttpTransport, NewIntervention, NewTask, ServedSettings, TaskView, Unreachable,
    Watch,
};
use journeyman_event::payload::TaskSubmitted;
use journeyman_event::{Event, Sequence, TaskId, TaskState};
use journeyman_journal::Moment;
use journeyman_knowledge::Knowledge;
use journeyman_tasks::Intervention;
use serde::de::DeserializeOwned;

use crate::settings::{Conflicts, Settings};
use crate::socket::Place;

/// A server, and how it was found.
pub(crate) struct Client {
    api: journeyman_api::Client<HttpTransport>,
    /// Whether it is the holder of this machine's data folder.
    is_local: bool,
    /// Keeps the short form of the socket's path valid.
    _place: Option<Place>,
}

impl Deref for Client {
    type Target = journeyman_api::Client<HttpTransport>;

    fn deref(&self) -> &Self::Target {
        &self.api
    }
}

/// The problem in an error, if the server rejected the request.
fn refusal(error: &anyhow::Error) -> Option<&Error> {
    error.chain().find_map(|error| error.downcast_ref())
}

/// Whether the connection failed; see [`Error::is_lost`].
pub(crate) fn is_lost(error: &anyhow::Error) -> bool {
    refusal(error).is_some_and(Error::is_lost)
}

/// Whether the server cannot handle the request now; see [`Error::is_unavailable`].
pub(crate) fn is_unavailable(error: &anyhow::Error) -> bool {
    refusal(error).is_some_and(Error::is_unavailable)
}

/// What to do about an error of a server's that the command line knows better than the server, as the end of a sentence.
pub(crate) fn hint(error: &anyhow::Error) -> &'static str {
    match refusal(error).and_then(Error::status) {
        Some(401) => "; --token or JOURNEYMAN_TOKEN gives the one to send",
        _ => "",
    }
}

/// Whether the error says that a task was erased, from the journal or from a server.
pub(crate) fn is_erased(error: &anyhow::Error) -> bool {
    use journeyman_journal::Error as Journal;
    let is_here = error.chain().any(|error| {
        let journal = error.downcast_ref::<Journal>();
        let workflow = error.downcast_ref::<journeyman_workflow::Error>();
        matches!(journal, Some(Journal::Erased(_)))
            || matches!(
                workflow,
                Some(journeyman_workflow::Error::Journal(Journal::Erased(_)))
            )
    });
    is_here || refusal(error).and_then(Error::status) == Some(410)
}

/// Whether a server is about to stop.
pub(crate) fn is_stopping(error: &anyhow::Error) -> bool {
    refusal(error).is_some_and(Error::is_stopping)
}

/// How a stream of events ended.
pub(crate) enum WatchEnd {
    /// The task has ended.
    Ended,
    /// The connection broke.
    Lost,
}

impl Client {
    /// The server named in the settings, or the holder of the data folder if it responds.
    pub(crate) async fn find(settings: &Settings) -> anyhow::Result<Option<Self>> {
        if let Some(url) = &settings.server {
            let wire = HttpTransport::http(url, settings.token.clone())?;
            return Ok(Some(Self {
                api: journeyman_api::Client::over(wire),
                is_local: false,
                _place: None,
            }));
        }
        let client = Self::over_socket(&settings.data_dir)?;
        Ok(match client {
            Some(client) if client.is_there().await => Some(client),
            _ => None,
        })
    }

    fn over_socket(data_dir: &Path) -> anyhow::Result<Option<Self>> {
        let Ok(place) = Place::of(data_dir) else {
            return Ok(None); // there is no such folder
        };
        if !place.path().exists() {
            return Ok(None);
        }
        Ok(Some(Self {
            api: journeyman_api::Client::over(HttpTransport::socket(place.path())?),
            is_local: true,
            _place: Some(place),
        }))
    }

    pub(crate) fn is_local(&self) -> bool {
        self.is_local
    }

    /// The server, worded for a person.
    pub(crate) fn who(&self, settings: &Settings) -> String {
        if self.is_local {
            let folder = settings.data_dir.display();
            format!("the process that holds {folder}")
        } else {
            format!("the server at {}", self.transport().base())
        }
    }

    /// The settings of this command that the server does not satisfy. A server too old to report its settings
    /// has none.
    pub(crate) async fn conflicts(&self, settings: &Settings) -> Result<Conflicts, Error> {
        let theirs = match self.call(Call::settings()).await {
            Err(error) if error.status() == Some(404) => ServedSettings {
                model: String::new(),
                settings: Vec::new(),
            },
            told => told?,
        };
        Ok(settings.conflicts(self.who(settings), &theirs))
    }

    /// Submits a task with this id. Only a server on this machine writes into output folders.
    pub(crate) async fn submit(&self, task: &TaskId, content: &TaskSubmitted) -> Result<(), Error> {
        let mut new = NewTask::of(task, content);
        new.out = new.out.filter(|_| self.is_local);
        let call = Call::submit(&new).traced(content.trace.clone());
        self.call(call).await.map(drop)
    }

    /// Asks for what the server does once however often it is asked, since the request has an idempotency key: again where
    /// the answer was lost.
    pub(crate) async fn call_once<A: DeserializeOwned>(
        &self,
        call: impl Fn() -> Call<A>,
    ) -> Result<A, Error> {
        match self.call(call()).await {
            Err(Error::Unreachable(Unreachable::Lost(_))) => self.call(call()).await,
            answered => answered,
        }
    }

    /// Does something to a task, only if it has this version where one is named.
    pub(crate) async fn intervene(
        &self,
        task: &TaskId,
        intervention: &Intervention,
        version: Option<u64>,
    ) -> Result<TaskView, Error> {
        let call = Call::intervene(task, &said(intervention));
        self.call(call.only_at(version)).await
    }

    /// A task's state as it was then, or as it is now, folded here from its events.
    pub(crate) async fn state(
        &self,
        task: &TaskId,
        moment: Option<Moment>,
    ) -> anyhow::Result<Option<TaskState>> {
        let mut state = TaskState::default();
        let fold = |event: &Event| Ok(state.evolve(event)?);
        self.each_event(task, moment, fold).await?;
        Ok((state.sequence > Sequence::ZERO).then_some(state))
    }

    /// What is known of a task as it was then, or as it is now, made here of its events.
    pub(crate) async fn knowledge(
        &self,
        task: &TaskId,
        moment: Option<Moment>,
    ) -> anyhow::Result<Option<Knowledge>> {
        let mut known = Knowledge::default();
        let fold = |event: &Event| {
            known.evolve(event);
            Ok(())
        };
        self.each_event(task, moment, fold).await?;
        Ok((known.sequence() > Sequence::ZERO).then_some(known))
    }

    /// Has each of a task's events up to a moment taken in, oldest first.
    async fn each_event(
        &self,
        task: &TaskId,
        moment: Option<Moment>,
        mut take: impl FnMut(&Event) -> anyhow::Result<()>,
    ) -> anyhow::Result<()> {
        let until = moment.and_then(Moment::last);
        let is_later = |event: &Event| moment.is_some_and(|moment| moment.is_before(event));
        let mut last = Sequence::ZERO;
        loop {
            let (events, has_more) = self.events(Some(task), last, until).await?;
            let later = events.iter().position(is_later);
            for event in &events[..later.unwrap_or(events.len())] {
                take(event)?;
                last = event.sequence();
            }
            if !has_more || later.is_some() {
                return Ok(());
            }
        }
    }

    /// Shows a task's events since a position and then new ones, until the task ends or pauses.
    pub(crate) async fn follow(
        &self,
        task: &TaskId,
        after: Sequence,
        mut show: impl FnMut(Event) -> anyhow::Result<bool>,
    ) -> anyhow::Result<WatchEnd> {
        let mut events: Watch = match self.watch(task, after).await {
            Ok(Some(events)) => events,
            Ok(None) => return Ok(WatchEnd::Ended),
            Err(error) if error.is_lost() => return Ok(WatchEnd::Lost),
            Err(error) => return Err(error.into()),
        };
        while let Some(event) = events.next().await? {
            if !show(event)? {
                return Ok(WatchEnd::Ended);
            }
        }
        Ok(WatchEnd::Lost)
    }

    /// Fails for commands that need direct access to files.
    pub(crate) fn refuse(settings: &Settings, what: &str) -> anyhow::Result<()> {
        if settings.server.is_some() {
            bail!("{what} works on this machine's data folder only: leave --server out");
        }
        Ok(())
    }
}

/// An intervention in the form of the REST API.
fn said(intervention: &Intervention) -> NewIntervention {
    match intervention.clone() {
        Intervention::Instruct { instruction } => NewIntervention::Instruction { instruction },
        Intervention::Answer { question, answer } => NewIntervention::Answer { question, answer },
        Intervention::EditFile { path, source } => NewIntervention::EditFile { path, source },
        Intervention::SkipModule { module } => NewIntervention::SkipModule { module },
        Intervention::Pause => NewIntervention::Pause {},
        Intervention::Cancel => NewIntervention::Cancel {},
        Intervention::Keep => NewIntervention::Keep {},
        Intervention::Unkeep => NewIntervention::Unkeep {},
        Intervention::Resume { limits, out } => NewIntervention::Resume {
            budget: limits
                .and_then(|limits| limits.tokens_max)
                .map(|tokens| Whole(tokens.0)),
            timeout: limits.map(|limits| limits.active_max().as_secs_f64()),
            max_iterations: limits.map(|limits| Whole(limits.iterations_max.get().into())),
            out,
        },
    }
}
