//! Makes events of facts and appends them: the only way into the journal for the workflow.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use journeyman_event::{
    ContentHash, Draft, Event, EventId, NewEvent, ORIGIN_HASH, Payload, Principal, ProcessId,
    Randomness, TaskId, TaskState, TimeSource,
};
use journeyman_journal::{Append, Expected, Journal};
use tokio_util::sync::CancellationToken;

use crate::Error;
use crate::fact::Fact;
use crate::listing::Listing;
use crate::notice::{Notice, Notices};
use crate::snapshot;

/// The node's name in process ids, until there is more than one node.
const NODE: &str = "n1";
const RETRY_FIRST: Duration = Duration::from_millis(500);
const RETRY_MAX: Duration = Duration::from_secs(15);

pub(crate) struct Recorder {
    pub(crate) journal: Journal,
    pub(crate) principal: Principal,
    pub(crate) time: Arc<dyn TimeSource>,
    pub(crate) randomness: Arc<dyn Randomness>,
    pub(crate) notices: Notices,
}

impl Recorder {
    /// Records `facts` after what `state` knows, and brings `state` up to date. When the store is
    /// full or cannot be written to, waits and tries the very same events again until `cancel`.
    pub(crate) async fn record(
        &self,
        task: &TaskId,
        state: &mut TaskState,
        facts: Vec<Fact>,
        blobs: Vec<Bytes>,
        cancel: &CancellationToken,
    ) -> Result<(), Error> {
        let (events, after) = self.events(task, state, facts)?;
        let summary = Listing::of(&after).to_bytes();
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
                Err(error) if error.may_pass() => {
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
        Ok(())
    }

    /// The events, and the state as it will be: positions in the store are not known yet, so
    /// provisional ones stand in for them.
    fn events(
        &self,
        task: &TaskId,
        state: &TaskState,
        facts: Vec<Fact>,
    ) -> Result<(Vec<NewEvent>, TaskState), Error> {
        let mut after = state.clone();
        let mut events = Vec::new();
        for fact in facts {
            let event = self.event(task, &after, fact)?;
            let provisional: Event = event.seal(
                after.sequence.next(),
                after.revision.next(),
                ORIGIN_HASH,
                None,
            )?;
            after.evolve(&provisional)?;
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
