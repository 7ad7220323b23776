//! Forks: a new task that starts with part of another task's history. The events up to a position are copied, each
//! with a reference to its original, so the new task has the same state and repeats nothing. If the content is
//! changed, plans, code and tests made for the old content are not copied.

use std::collections::HashMap;

use journeyman_api::CheckedTask;
use journeyman_event::payload::{Fork, TaskSubmitted};
use journeyman_event::{
    Event, EventId, NewEvent, Payload, Principal, Sequence, TaskId, TaskState, TraceContext,
};
use journeyman_journal::{Filter, StreamName};
use journeyman_queue::WhenFull;

use crate::{
    AGAIN, Error, OnlyAt, Submitted, Tasks, check_language, check_may_change, check_patterns,
    refused,
};

/// The most events that a fork copies. All of them and the submission are one append.
const COPIED_MAX: usize = 999;

/// The parameters of a fork.
#[derive(Clone, Debug, Default)]
pub struct ForkRequest {
    /// The position of the last event to copy. `None` copies only the submission, to start again from the
    /// beginning.
    pub at: Option<Sequence>,
    /// Changed content; `None` keeps the original's. With another prompt or other tests, only the user's
    /// instructions are copied.
    pub content: Option<TaskSubmitted>,
    /// The id of the new task; `None` draws a random one.
    pub task_id: Option<TaskId>,
    /// The same key and content again is the same task again, not another one.
    pub idempotency_key: Option<String>,
    /// The name of the key with which the fork was asked for.
    pub key: Option<String>,
    /// The trace that the new task belongs to.
    pub trace: Option<TraceContext>,
    /// The versions of the parent for which this is meant. A fork changes nothing of its parent, so that several may be made of one
    /// version; and the same key again is answered as it was, whatever became of the parent since.
    pub only_at: OnlyAt,
}

impl Tasks {
    /// Forks a task: records the new task with the copied history and queues it.
    pub async fn fork(
        &self,
        principal: &Principal,
        parent: &TaskId,
        fork: ForkRequest,
    ) -> Result<Submitted, Error> {
        check_may_change(principal)?;
        let (tasks, principal, parent) = (self.clone(), principal.clone(), parent.clone());
        let forked = async move { tasks.fork_now(&principal, &parent, fork).await };
        self.detached.run(forked).await
    }

    async fn fork_now(
        &self,
        principal: &Principal,
        parent: &TaskId,
        fork: ForkRequest,
    ) -> Result<Submitted, Error> {
        let _copying = self.copying.read().await;
        let events = self.past(principal, parent, fork.at).await?;
        let Some(first) = events.first() else {
            self.current(principal, parent).await?; // or it is not there at all
            return Err(bad_at(format!(
                "task {parent} begins at position {}; name that or a later one (its events are listed with their \
                 positions by `journeyman events --task {parent}`)",
                self.submitted_at(principal, parent).await?
            )));
        };
        let Payload::TaskSubmitted(asked) = first.payload() else {
            let reason = "the task does not begin with a submission";
            return Err(Error::bad("task_id", reason));
        };
        let last = fork.at.map_or(first.sequence(), |at| at);
        let content = TaskSubmitted {
            fork: Some(Fork {
                task_id: parent.clone(),
                sequence: last,
            }),
            depends_on: Vec::new(),
            key: fork.key,
            trace: fork.trace,
            ..fork.content.unwrap_or_else(|| TaskSubmitted {
                // Whose folder it is stays the parent's.
                out: None,
                ..asked.clone()
            })
        };
        check_tests(&content)?;
        let is_same = content.prompt == asked.prompt && content.tests == asked.tests;
        let copied: Vec<&Event> = match fork.at {
            None => Vec::new(),
            Some(_) if is_same => inherited(&events[1..]),
            Some(_) => {
                let said = |event: &&Event| matches!(event.payload(), Payload::UserIntervention(_));
                events[1..].iter().filter(said).collect()
            }
        };
        if copied.len() > COPIED_MAX {
            return Err(too_long(copied.len()));
        }
        let content = CheckedTask::new(content)?.into_content();
        check_language(&content.language)?;
        check_patterns(content.tools.as_deref().unwrap_or_default())?;
        let name = self.name(principal, fork.task_id, fork.idempotency_key.as_deref());
        loop {
            if let Some(known) = self.known(principal, &name, &content).await? {
                return Ok(known);
            }
            if fork.only_at.is_conditional() {
                let state = self.current(principal, parent).await?;
                fork.only_at.check(parent, &state)?;
            }
            let forked = self.record_fork(principal, &name.task_id, first, &content, &copied);
            match Box::pin(forked).await {
                // Another one with the same key is on its way: it is there soon, or gives up.
                Err(Error::TaskExists { .. }) if name.has_key => tokio::time::sleep(AGAIN).await,
                forked => return forked,
            }
        }
    }

    /// Records a fork and queues it.
    async fn record_fork(
        &self,
        principal: &Principal,
        task_id: &TaskId,
        first: &Event,
        content: &TaskSubmitted,
        copied: &[&Event],
    ) -> Result<Submitted, Error> {
        if let Some(out) = &content.out {
            self.check_out(task_id, out).await?;
        }
        let key = StreamName::of(principal.owner(), task_id);
        let permit = self.queue.admit(key, &[], WhenFull::Refuse).await;
        let permit = permit.map_err(|refusal| refused(refusal, task_id))?;
        let new = self.copies(principal, task_id, first, content.clone(), copied)?;
        self.append_new(principal, task_id.clone(), new, permit)
            .await
    }

    /// The events of a task up to a position; only the first if there is none.
    async fn past(
        &self,
        principal: &Principal,
        task: &TaskId,
        at: Option<Sequence>,
    ) -> Result<Vec<Event>, Error> {
        let filter = Filter {
            task_id: Some(task.clone()),
            until: at,
            ..Filter::default()
        };
        let journal = &self.options.journal;
        let head = journal.head(&Principal::system()).await?;
        if let Some(at) = at.filter(|at| *at > head.sequence) {
            return Err(bad_at(format!(
                "nothing is recorded up to position {at} yet; name that of an event of the task"
            )));
        }
        let limit = if at.is_some() { COPIED_MAX + 200 } else { 1 };
        let page = journal
            .read(principal, &filter, Sequence::ZERO, limit)
            .await?;
        if at.is_some() && !page.ended {
            return Err(too_long(page.events.len()));
        }
        Ok(page.events)
    }

    /// The events of the new task: its submission, caused by the original's, and the copies.
    fn copies(
        &self,
        principal: &Principal,
        task_id: &TaskId,
        parent: &Event,
        content: TaskSubmitted,
        copied: &[&Event],
    ) -> Result<(Vec<NewEvent>, TaskState), Error> {
        let mut state = TaskState::default();
        let mut ids: HashMap<EventId, EventId> = HashMap::new();
        let mut events = Vec::new();
        let submission = Payload::from(content);
        let originals = std::iter::once((parent, Some(submission)));
        for (original, payload) in originals.chain(copied.iter().map(|event| (*event, None))) {
            let event = self.copy(principal, task_id, original, payload, &ids)?;
            ids.insert(original.id(), event.id());
            state.evolve_proposed(&event);
            events.push(event);
        }
        Ok((events, state))
    }

    fn copy(
        &self,
        principal: &Principal,
        task_id: &TaskId,
        original: &Event,
        payload: Option<Payload>,
        ids: &HashMap<EventId, EventId>,
    ) -> Result<NewEvent, Error> {
        let (time, store) = (&*self.options.time, self.options.journal.store_id());
        let id = EventId::new(time, &*self.options.randomness);
        let cause = original.causation_id();
        // What the parent's submission caused, this one's causes; of the rest likewise.
        let cause = cause.map(|cause| ids.get(&cause).copied().unwrap_or(cause));
        let copy = NewEvent::copied(
            original,
            store,
            journeyman_event::CopyOverrides {
                id,
                task_id: task_id.clone(),
                owner: principal.owner().clone(),
                causation_id: cause,
                payload,
            },
        )?;
        Ok(copy)
    }
}

/// Fails if two given files have the same name, because only one of them would be run.
pub(crate) fn check_tests(content: &TaskSubmitted) -> Result<(), Error> {
    let mut names: Vec<&str> = content
        .tests
        .iter()
        .map(|test| test.name.as_str())
        .collect();
    names.sort_unstable();
    match names.windows(2).find(|two| two[0] == two[1]) {
        None => Ok(()),
        Some(two) => Err(Error::bad(
            "tests",
            format!(
                "two tests are called {}, one of a file and one of the prompt's own; rename the file",
                two[0]
            ),
        )),
    }
}

fn too_long(events: usize) -> Error {
    let reason = format!(
        "{events} or more events stand before it; a fork takes {COPIED_MAX} at the most: fork from \
         an earlier one"
    );
    bad_at(reason)
}

fn bad_at(reason: String) -> Error {
    Error::bad("at", reason)
}

/// Whether an event of the original is copied. Events about running, pausing and ending are not, and neither
/// are intents whose outcome comes after the position.
fn inherited(events: &[Event]) -> Vec<&Event> {
    let mut kept: Vec<&Event> = events
        .iter()
        .filter(|event| {
            !matches!(
                event.payload(),
                Payload::TaskSubmitted(_)
                    | Payload::TaskStarted(_)
                    | Payload::TaskPaused(_)
                    | Payload::TaskResumed(_)
                    | Payload::ModelChanged(_)
                    | Payload::ClockJumped(_)
                    | Payload::TaskQueued(_)
                    | Payload::StopRequested(_)
                    | Payload::TaskPreempted(_)
                    | Payload::TaskCancelled(_)
                    | Payload::TaskFailed(_)
                    | Payload::TaskComplete(_)
                    | Payload::LimitsChanged(_)
                    | Payload::OutChanged(_)
                    | Payload::OutputStarted(_)
                    | Payload::OutputWritten(_)
                    | Payload::OutputFailed(_)
            )
        })
        .collect();
    let state = TaskState::fold(kept.iter().copied()).unwrap_or_default();
    for open in state.effects {
        kept.retain(|event| event.id() != open.intent && event.causation_id() != Some(open.intent));
    }
    kept
}
