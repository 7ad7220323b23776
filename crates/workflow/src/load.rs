//! Loads a task's state from the journal: its current state, or an earlier one.

use journeyman_event::{Event, Principal, Sequence, TaskId, TaskState};
use journeyman_journal::{Filter, Journal, Moment};

use crate::Error;
use crate::recorder::PAGE;
use crate::snapshot;

/// Loads the current state of a task; `None` if the task does not exist.
pub async fn load(
    journal: &Journal,
    principal: &Principal,
    task: &TaskId,
) -> Result<Option<TaskState>, Error> {
    load_at(journal, principal, task, None).await
}

/// Loads the state of a task at a point in its history, or its current state; `None` if the task did not exist
/// then.
pub async fn load_at(
    journal: &Journal,
    principal: &Principal,
    task: &TaskId,
    moment: Option<Moment>,
) -> Result<Option<TaskState>, Error> {
    let until = moment.and_then(Moment::last);
    let filter = Filter {
        task_id: Some(task.clone()),
        until,
        ..Filter::default()
    };
    let is_later = |event: &Event| moment.is_some_and(|moment| moment.is_before(event));
    let kept = kept(journal, principal, task, moment).await;
    let mut state = kept.unwrap_or_default();
    loop {
        let page = journal
            .read(principal, &filter, state.sequence, PAGE)
            .await?;
        let later = page.events.iter().position(is_later);
        for event in &page.events[..later.unwrap_or(page.events.len())] {
            state.evolve(event)?;
        }
        if page.ended || later.is_some() {
            break;
        }
    }
    Ok((state.sequence > Sequence::ZERO).then_some(state))
}

/// The newest state that was kept of a task and is not later than the moment. Of a moment in time a kept state
/// does not say whether any of its events happened later, so that none is used.
async fn kept(
    journal: &Journal,
    principal: &Principal,
    task: &TaskId,
    moment: Option<Moment>,
) -> Option<TaskState> {
    let mut at = match moment {
        Some(Moment::Time(_)) => return None,
        Some(Moment::Sequence(sequence)) => sequence,
        Some(Moment::Version(_)) | None => Sequence(u64::MAX),
    };
    // A journal keeps the newest few of a stream.
    loop {
        let found = journal.snapshot(principal, task, at).await;
        let snapshot = found.unwrap_or_else(|error| {
            tracing::warn!(%error, "a snapshot cannot be read and is ignored");
            None
        })?;
        let state = snapshot::state_in(&snapshot)?;
        match moment {
            Some(Moment::Version(version)) if state.revision > version => {
                at = Sequence(snapshot.sequence.0.saturating_sub(1));
            }
            _ => return Some(state),
        }
    }
}
