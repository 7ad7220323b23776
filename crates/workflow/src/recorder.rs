//! Turns facts into events and appends them. The workflow writes to the journal only through this module.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use journeyman_event::{
    ContentHash, Draft, EventId, NewEvent, Payload, Principal, ProcessId, Randomness, TaskId,
    TaskState, TimeSource,
};
use journeyman_journal::{Append, Expected, Filter, Journal};
use tokio_util::sync::CancellationToken;

use crate::Error;
use crate::fact::Fact;
use crate::listing::Listing;
use crate::notice::{Notice, Notices};
use crate::snapshot;

/// The name of the node in process ids. There is only one node so far.
const NODE: &str = "n1";
const RETRY_FIRST: Duration = Duration::from_millis(500);
const RETRY_MAX: Duration = Duration::from_secs(15);

/// The number of events read at a time.
pub const PAGE: usize = 1_000;

/// The result of recording facts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Recorded {
    /// The facts were recorded.
    Appended,
    /// Someone else has appended an event meanwhile, so the decision must be made again.
    Conflict,
}

/// Writes to the journal, for the workflow and for user commands on tasks. It turns facts into events, appends
/// them with their author's clock, and publishes them.
#[derive(Clone)]
pub struct Recorder {
    /// The journal to append to.
    pub journal: Journal,
    /// The principal on whose behalf it is done.
    pub principal: Principal,
    /// The clock for the times of events.
    pub time: Arc<dyn TimeSource>,
    /// The random numbers for the ids of events.
    pub randomness: Arc<dyn Randomness>,
    /// Where recorded events are published.
    pub notices: Notices,
}

impl Recorder {
    /// Appends `facts` after `state` and updates `state`. If someone else has appended an event meanwhile, none
    /// of the facts is recorded, and `state` is updated with that event. If the store is full or not writable,
    /// waits and retries the same events until `cancel`.
    pub async fn record(
        &self,
        task: &TaskId,
        state: &mut TaskState,
        facts: Vec<Fact>,
        blobs: Vec<Bytes>,
        cancel: &CancellationToken,
    ) -> Result<Recorded, Error> {
        let (events, after) = self.events(task, state, facts)?;
        self.append(task, state, (events, &after), blobs, cancel)
            .await
    }

    /// Appends events after `state`, like `record` does with facts. Each event comes with the state after it.
    pub async fn append(
        &self,
        task: &TaskId,
        state: &mut TaskState,
        (events, after): (Vec<NewEvent>, &TaskState),
        blobs: Vec<Bytes>,
        cancel: &CancellationToken,
    ) -> Result<Recorded, Error> {
        let summary = Listing::of(after).to_bytes();
        let mut pause = RETRY_FIRST;
        let appended = loop {
            let append = Append {
                task_id: task.clone(),
                expected: Expected::Revision(state.revision),
                events: events.clone(),
                blobs: blobs.clone(),
                summary: Some(summary.clone()),
            };
            match self.journal.append(&self.principal, append).await {
                Ok(appended) => break appended,
                Err(journeyman_journal::Error::WrongRevision { .. }) => {
                    self.catch_up(task, state).await?;
                    return Ok(Recorded::Conflict);
                }
                Err(error) if error.is_transient() => {
                    self.notices.emit(|| Notice::Waiting {
                        what: error.to_string(),
                    });
                    tokio::select! {
                        () = tokio::time::sleep(pause) => {}
                        () = cancel.cancelled() => return Err(error.into()),
                    }
                    pause = (2 * pause).min(RETRY_MAX);
                }
                Err(error) => return Err(error.into()),
            }
        };
        let before = state.revision;
        for event in &appended.events {
            state.evolve(event)?;
            self.notices.emit(|| Notice::Event {
                event: event.clone(),
                state: Arc::new(state.clone()),
            });
        }
        if snapshot::is_due(before, state.revision)
            && let Some(last) = appended.events.last()
            && let Some(snapshot) = snapshot::of(state, last)
        {
            let kept = self.journal.keep_snapshot(&self.principal, task, snapshot);
            if let Err(error) = kept.await {
                tracing::warn!(%error, "no snapshot was kept; loading the task takes longer");
            }
        }
        Ok(Recorded::Appended)
    }

    /// Appends `facts` even if others append events meanwhile, as long as `holds` returns true for the state.
    /// Returns whether they were recorded.
    pub async fn record_with_retry(
        &self,
        task: &TaskId,
        state: &mut TaskState,
        facts: &[Fact],
        cancel: &CancellationToken,
        holds: impl Fn(&TaskState) -> bool,
    ) -> Result<bool, Error> {
        while holds(state) {
            let recorded = self.record(task, state, facts.to_vec(), Vec::new(), cancel);
            if recorded.await? == Recorded::Appended {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// Updates the state with events recorded by others.
    async fn catch_up(&self, task: &TaskId, state: &mut TaskState) -> Result<(), Error> {
        let filter = Filter::of_task(task);
        loop {
            let (journal, principal) = (&self.journal, &self.principal);
            let page = journal
                .read(principal, &filter, state.sequence, PAGE)
                .await?;
            for event in &page.events {
                state.evolve(event)?;
            }
            if page.ended {
                return Ok(());
            }
        }
    }

    /// Builds the events, and the states after them.
    pub fn events(
        &self,
        task: &TaskId,
        state: &TaskState,
        facts: Vec<Fact>,
    ) -> Result<(Vec<NewEvent>, TaskState), Error> {
        let mut after = state.clone();
        let mut events = Vec::new();
        for fact in facts {
            let event = self.event(task, &after, fact)?;
            after.evolve_proposed(&event);
            events.push(event);
        }
        Ok((events, after))
    }

    fn event(&self, task: &TaskId, state: &TaskState, fact: Fact) -> Result<NewEvent, Error> {
        let role = fact.role.as_str();
        let mut clock = state.clock.clone();
        clock.tick(&ProcessId::new(NODE, role, self.journal.store_part()))?;
        let current = fact
            .module
            .as_ref()
            .and_then(|name| state.module(name))
            .and_then(|module| module.code())
            .map(|code| (code.version, code.hash));
        let (code_version, code_hash): (u64, Option<ContentHash>) = fact
            .new_code
            .or(current)
            .map_or((0, None), |(version, hash)| (version, Some(hash)));
        let draft = Draft {
            id: EventId::new(&*self.time, &*self.randomness),
            task_id: task.clone(),
            owner: self.principal.owner().clone(),
            module: fact.module,
            occurred_at: self.time.now(),
            actor: role.to_owned(),
            clock,
            causation_id: fact.cause.or(state.last_event),
            code_version,
            code_hash,
            payload: fact.payload,
        };
        debug_assert!(!matches!(draft.payload, Payload::Unknown { .. }));
        Ok(NewEvent::new(draft, self.time.now())?)
    }
}
