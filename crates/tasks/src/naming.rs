//! Chooses the id of a new task, and finds the task that was created earlier with the same idempotency key.

use journeyman_event::payload::TaskSubmitted;
use journeyman_event::{ContentHash, Event, Principal, Sequence, TaskId};
use journeyman_journal::Filter;
use journeyman_workflow::load;

use crate::{Error, Submitted, Tasks};

/// The id of a task to be recorded.
pub(crate) struct Name {
    pub(crate) task_id: TaskId,
    /// Whether a key was given. The same key and content then returns the same task.
    pub(crate) has_key: bool,
    origin: Origin,
}

/// Where an id comes from.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Origin {
    Given,
    Key,
    Drawn,
}

impl Tasks {
    /// The given id, or else the one derived from the key, or else a random one.
    pub(crate) fn name(
        &self,
        principal: &Principal,
        given: Option<TaskId>,
        key: Option<&str>,
    ) -> Name {
        let (task_id, origin) = match (given, key) {
            (Some(task_id), _) => (task_id, Origin::Given),
            (None, Some(key)) => (keyed(principal, key), Origin::Key),
            (None, None) => (TaskId::random(&*self.options.randomness), Origin::Drawn),
        };
        Name {
            task_id,
            has_key: key.is_some(),
            origin,
        }
    }

    /// The task with this id and content, if it was created with the same key. Fails if a different task has
    /// this id.
    pub(crate) async fn known(
        &self,
        principal: &Principal,
        name: &Name,
        content: &TaskSubmitted,
    ) -> Result<Option<Submitted>, Error> {
        // A random id that was just drawn is unused; the journal checks that once more.
        if name.origin == Origin::Drawn {
            return Ok(None);
        }
        let task_id = name.task_id.clone();
        let Some(state) = load(&self.options.journal, principal, &task_id).await? else {
            return Ok(None);
        };
        let asked = state.submission.as_ref();
        let is_same = asked.is_some_and(|asked| asked.asks_the_same_as(content));
        if name.has_key && is_same {
            return Ok(Some(Submitted {
                sequence: self.submitted_at(principal, &task_id).await?,
                task_id,
                is_duplicate: true,
            }));
        }
        match name.origin {
            Origin::Key => Err(Error::KeyUsed { task: task_id }),
            Origin::Given | Origin::Drawn => Err(Error::TaskExists { task: task_id }),
        }
    }

    /// The position of a task's first event.
    pub(crate) async fn submitted_at(
        &self,
        principal: &Principal,
        task_id: &TaskId,
    ) -> Result<Sequence, Error> {
        let filter = Filter::of_task(task_id);
        let journal = &self.options.journal;
        let page = journal.read(principal, &filter, Sequence::ZERO, 1).await?;
        Ok(page.events.first().map_or(Sequence::ZERO, Event::sequence))
    }
}

/// The id derived from an owner and a key.
pub(crate) fn keyed(principal: &Principal, key: &str) -> TaskId {
    let content = format!("{}\n{key}", principal.owner());
    TaskId::of_content(ContentHash::of(content.as_bytes()))
}
