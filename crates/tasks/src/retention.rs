//! Retention: which ended tasks are erased automatically, and when.

use std::collections::{BTreeMap, HashMap};
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use journeyman_event::{Event, Principal, Revision, Sequence};
use journeyman_journal::{Error as JournalError, Filter, StreamName};
use journeyman_workflow::Listing;

use crate::{Error, Tasks};

/// The maximum number of ended tasks, the oldest ones, that are known at the same time.
const KNOWN_MAX: usize = 10_000;
/// The number of streams of one page when all streams are listed, and when those are listed that changed since.
const PAGE: usize = 5_000;
const CHANGED_PAGE: usize = 64;
/// The maximum number of tasks that are erased before the size of the store is checked again.
const BATCH_MAX: u64 = 64;

/// Which ended tasks are erased automatically. Tasks marked to be kept never are.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Retention {
    /// Tasks whose last event is older than this.
    pub age: Option<Duration>,
    /// The oldest tasks, until all others take at most this many bytes of the journal. What erased events keep does not
    /// count, because no erasure returns it.
    pub bytes: Option<u64>,
}

/// The result of one run of retention.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Retained {
    /// The number of tasks that were erased.
    pub erased: u64,
    /// The bytes by which the tasks still exceed the limit because no further one may be erased.
    pub bytes_over: u64,
}

/// The ended tasks that may be erased, as runs of retention know them. Each run reads only the streams that changed since
/// the one before it. If there are more than 10,000, the oldest are known, and all streams are read again when those are
/// erased.
#[derive(Debug, Default)]
pub struct EndedTasks {
    /// Streams that changed up to here are taken in.
    seen: Sequence,
    /// By the position of the last event.
    oldest_first: BTreeMap<Sequence, EndedTask>,
    positions: HashMap<StreamName, Sequence>,
    /// The position from which on tasks are left out.
    left_out: Option<Sequence>,
}

#[derive(Clone, Debug)]
struct EndedTask {
    name: StreamName,
    revision: Revision,
    /// The time of the last event, once it was asked for.
    last_at: Option<Timestamp>,
}

impl EndedTasks {
    fn remove(&mut self, name: &StreamName) {
        if let Some(at) = self.positions.remove(name) {
            self.oldest_first.remove(&at);
        }
    }

    /// Takes in a task, unless there are already `max` older ones.
    fn insert(&mut self, at: Sequence, task: EndedTask, max: usize) {
        if self.left_out.is_some_and(|from| at >= from) {
            return;
        }
        self.positions.insert(task.name.clone(), at);
        self.oldest_first.insert(at, task);
        if self.oldest_first.len() > max
            && let Some((at, youngest)) = self.oldest_first.pop_last()
        {
            self.positions.remove(&youngest.name);
            self.left_out = Some(at);
        }
    }

    fn pop_oldest(&mut self) -> Option<EndedTask> {
        let (_, task) = self.oldest_first.pop_first()?;
        self.positions.remove(&task.name);
        Some(task)
    }
}

impl Tasks {
    /// Erases ended tasks according to the rules of retention, the one with the oldest last event first. `ended` is the
    /// same value in each run.
    ///
    /// # Errors
    /// If the journal cannot be read or written. The next run continues.
    pub async fn apply_retention(
        &self,
        rules: Retention,
        ended: &mut EndedTasks,
    ) -> Result<Retained, Error> {
        let mut done = Retained::default();
        if rules.age.is_none() && self.bytes_over(rules).await? == 0 {
            return Ok(done);
        }
        self.take_in_ended(ended).await?;
        if let Some(age) = rules.age {
            done.erased += self.retire_older(age, ended).await?;
        }
        done.bytes_over = self.bytes_over(rules).await?;
        while done.bytes_over > 0 && !ended.oldest_first.is_empty() {
            let limit = rules.bytes.unwrap_or(u64::MAX);
            let reason = format!("all tasks took more than {limit} bytes (retention.bytes)");
            // Others take some of these bytes, so that the tasks are smaller and rather too few are erased at once.
            let bytes_each =
                limit.saturating_add(done.bytes_over) / ended.oldest_first.len() as u64;
            let enough = done.bytes_over / bytes_each.max(1);
            for _ in 0..enough.clamp(1, BATCH_MAX) {
                let Some(oldest) = ended.pop_oldest() else {
                    break;
                };
                done.erased += u64::from(self.retire(&oldest, &reason).await?);
            }
            self.finish_erasures().await?;
            done.bytes_over = self.bytes_over(rules).await?;
        }
        Ok(done)
    }

    /// The bytes by which the tasks exceed the limit.
    async fn bytes_over(&self, rules: Retention) -> Result<u64, Error> {
        let Some(limit) = rules.bytes else {
            return Ok(0);
        };
        let (journal, system) = (&self.options.journal, Principal::system());
        let bytes = journal.bytes(&system).await?;
        if bytes <= limit {
            return Ok(0);
        }
        let of_tasks = bytes.saturating_sub(journal.erased_bytes(&system).await?);
        Ok(of_tasks.saturating_sub(limit))
    }

    /// Takes in the streams that changed since the last call: those of ended tasks that are not marked to be kept.
    async fn take_in_ended(&self, ended: &mut EndedTasks) -> Result<(), Error> {
        if ended.left_out.is_some() && ended.oldest_first.is_empty() {
            *ended = EndedTasks::default();
        }
        let (journal, system) = (&self.options.journal, Principal::system());
        let mut limit = match ended.seen {
            Sequence::ZERO => PAGE,
            _ => CHANGED_PAGE,
        };
        let (mut before, mut newest) = (Sequence(u64::MAX), ended.seen);
        loop {
            let page = journal.streams_before(&system, before, limit).await?;
            for stream in &page {
                if stream.sequence <= ended.seen {
                    break;
                }
                newest = newest.max(stream.sequence);
                if stream.owner == *system.owner() {
                    continue;
                }
                let name = StreamName::of(&stream.owner, &stream.task_id);
                ended.remove(&name);
                // A task that cannot be read now is not erased; its next event or the next start finds it.
                let listing = Listing::of_stream(journal, stream).await;
                if listing.is_ok_and(|one| one.status.is_ended() && !one.keep) {
                    let task = EndedTask {
                        name,
                        revision: stream.revision,
                        last_at: None,
                    };
                    ended.insert(stream.sequence, task, KNOWN_MAX);
                }
            }
            match page.last() {
                Some(last) if page.len() == limit && last.sequence > ended.seen => {
                    before = last.sequence;
                    limit = PAGE;
                }
                _ => break,
            }
        }
        ended.seen = newest;
        Ok(())
    }

    /// Erases the tasks whose last event is older than this. They are not always those with the oldest positions, because
    /// the clock may have been set back.
    async fn retire_older(&self, age: Duration, ended: &mut EndedTasks) -> Result<u64, Error> {
        let limit = SignedDuration::try_from(age).unwrap_or(SignedDuration::MAX);
        let reason = format!("its last event was older than {limit:#} (retention.age)");
        let now = self.options.time.now();
        let mut older = Vec::new();
        for task in ended.oldest_first.values_mut() {
            if task.last_at.is_none() {
                task.last_at = self.last_at(&task.name).await?;
            }
            // One that has no last event was erased or is damaged: `retire` handles both.
            if task
                .last_at
                .is_none_or(|last| now.duration_since(last) > limit)
            {
                older.push(task.clone());
            }
        }
        let mut erased = 0;
        for task in &older {
            erased += u64::from(self.retire(task, &reason).await?);
            ended.remove(&task.name);
        }
        self.finish_erasures().await?;
        Ok(erased)
    }

    /// The time of the last event of a task that can be read.
    async fn last_at(&self, name: &StreamName) -> Result<Option<Timestamp>, Error> {
        let owner = Principal::user(name.owner.clone());
        let filter = Filter::of_task(&name.task_id);
        let journal = &self.options.journal;
        let newest = journal.read_backwards(&owner, &filter, Sequence(u64::MAX), 1);
        match newest.await {
            Ok(page) => Ok(page.events.first().map(Event::occurred_at)),
            Err(JournalError::Erased(_) | JournalError::Damaged { .. }) => Ok(None),
            Err(error) => Err(error.into()),
        }
    }

    /// Erases a task for retention. Returns whether it did. A task that got a new event or cannot be read stays.
    async fn retire(&self, task: &EndedTask, reason: &str) -> Result<bool, Error> {
        let EndedTask { name, revision, .. } = task;
        let system = Principal::system();
        match self.erase(&system, name, *revision, reason).await {
            Ok(_) => {
                tracing::info!(task = %name.task_id, owner = %name.owner, reason, "erased");
                Ok(true)
            }
            Err(Error::Journal(JournalError::WrongRevision { .. } | JournalError::Erased(_))) => {
                Ok(false)
            }
            Err(Error::Journal(error @ JournalError::Damaged { .. })) => {
                tracing::error!(task = %name.task_id, %error, "a task cannot be erased");
                Ok(false)
            }
            Err(error) => Err(error),
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use journeyman_event::TaskId;

    use super::*;

    fn ended(task: u64) -> EndedTask {
        let task_id = TaskId::new(format!("t-{task}")).unwrap();
        EndedTask {
            name: StreamName::of(Principal::local().owner(), &task_id),
            revision: Revision(1),
            last_at: None,
        }
    }

    #[test]
    fn of_too_many_tasks_the_oldest_are_known_and_nothing_younger_comes_before_what_is_left_out() {
        let mut known = EndedTasks::default();
        for at in [5, 9, 3, 7, 8, 1] {
            known.insert(Sequence(at), ended(at), 3);
        }
        assert_eq!(known.left_out, Some(Sequence(7)));
        let mut oldest = || known.pop_oldest().map(|task| task.name);
        assert_eq!(oldest(), Some(ended(1).name));
        known.insert(Sequence(10), ended(10), 3);
        known.insert(Sequence(4), ended(4), 3);
        known.remove(&ended(4).name);
        let mut oldest = || known.pop_oldest().map(|task| task.name);
        assert_eq!(oldest(), Some(ended(3).name));
        assert_eq!(oldest(), Some(ended(5).name));
        assert_eq!(oldest(), None);
        assert!(known.positions.is_empty());
    }
}
