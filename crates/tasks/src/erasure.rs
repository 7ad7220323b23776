//! Erasure of tasks, on request of their user or by retention. The journal erases the events; this module checks
//! permissions, ends a running task first, and cleans up what is kept outside of the journal.

use std::collections::BTreeSet;
use std::path::PathBuf;

use journeyman_api::limits::check_reason;
use journeyman_event::payload::ErasedCost;
use journeyman_event::{Payload, Principal, Revision, Sequence, TaskId};
use journeyman_journal::{Erased, Error as JournalError, Filter, Makers, StreamName};
use journeyman_metrics::{COST_KINDS, erased_costs};
use journeyman_workflow::forget_result;

use crate::{Error, Intervention, OnlyAt, Tasks, check_may_change};

/// The maximum number of further attempts to erase a task that gets a new event each time.
const TRIES: u32 = 20;
/// The number of events of one page.
const PAGE: usize = 5_000;
/// The reason if the user gives none.
const NO_REASON: &str = "requested by its user";

/// A task that was deleted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Deletion {
    /// The record of its erasure. From it on, nobody can read the task.
    pub erased: Erased,
    /// Why some of its data is still on the disk. The erasure continues by itself, while a process works on the data
    /// folder.
    pub unfinished: Option<String>,
}

impl Tasks {
    /// Erases a task of the principal permanently: its payloads, blobs that nothing else cites, and everything derived
    /// from them. A running task is cancelled first, and this waits for its end. A result in a folder of the user stays,
    /// without the marker file that names its task. The call is idempotent, unless it is meant for one version.
    ///
    /// # Errors
    /// [`Error::Kept`] if the task is marked to be kept; [`Error::OtherVersion`] if it has another version than the
    /// call is meant for; that it is erased, if the call is meant for a version, because an erased task has none. After
    /// another error the task may be erased or not; repeating the call shows which.
    pub async fn delete(
        &self,
        principal: &Principal,
        task: &TaskId,
        reason: Option<String>,
        only_at: OnlyAt,
    ) -> Result<Deletion, Error> {
        check_may_change(principal)?;
        let reason = reason.unwrap_or_else(|| NO_REASON.to_owned());
        check_reason(&reason)?;
        let (tasks, principal, task) = (self.clone(), principal.clone(), task.clone());
        let deleted = async move { tasks.delete_now(&principal, &task, &reason, only_at).await };
        self.detached.run(deleted).await
    }

    async fn delete_now(
        &self,
        principal: &Principal,
        task: &TaskId,
        reason: &str,
        mut only_at: OnlyAt,
    ) -> Result<Deletion, Error> {
        let name = StreamName::of(principal.owner(), task);
        let mut tries = 0;
        loop {
            let before = self.options.journal.erasure(principal, task).await?;
            if let Some(erased) = before {
                let deletion = self.finish_deletion(erased).await;
                if only_at.is_conditional() {
                    return Err(JournalError::Erased(Box::new(deletion.erased)).into());
                }
                return Ok(deletion);
            }
            let erased = Box::pin(self.end_and_erase(principal, &name, reason, &mut only_at)).await;
            match erased {
                Ok(erased) => return Ok(self.finish_deletion(erased).await),
                // The task got a new event, or a concurrent call erased it: read it again.
                Err(Error::Journal(
                    JournalError::WrongRevision { .. } | JournalError::Erased(_),
                )) if tries < TRIES => tries += 1,
                Err(Error::Journal(JournalError::WrongRevision { .. })) => {
                    return Err(Error::Conflict { task: task.clone() });
                }
                Err(error) => return Err(error),
            }
        }
    }

    /// Erases what was recorded as erased, as far as that is possible now.
    async fn finish_deletion(&self, erased: Erased) -> Deletion {
        let finished = self.finish_erasures().await;
        let unfinished = finished.err().map(|error| error.to_string());
        Deletion { erased, unfinished }
    }

    /// Ends a task if it has not ended, and records its erasure. The version that the call is meant for is the one before
    /// its end.
    async fn end_and_erase(
        &self,
        principal: &Principal,
        name: &StreamName,
        reason: &str,
        only_at: &mut OnlyAt,
    ) -> Result<Erased, Error> {
        let task = &name.task_id;
        let mut state = self.state(principal, task).await?;
        // What is recorded below expects this very version.
        only_at.check(task, &state)?;
        if state.keep {
            return Err(Error::Kept { task: task.clone() });
        }
        if !state.status.is_ended() {
            let cancel = Intervention::Cancel;
            state = match self.intervene_now(principal, task, cancel, only_at).await {
                // It ended by itself: at another version than the call may be meant for.
                Err(Error::Ended { .. }) => {
                    let state = self.state(principal, task).await?;
                    only_at.check(task, &state)?;
                    state
                }
                ended => ended?,
            };
            *only_at = OnlyAt::Any;
        }
        self.erase(principal, name, state.revision, reason).await
    }

    /// Records the erasure of a task, and removes what is kept of it outside of the journal.
    pub(crate) async fn erase(
        &self,
        principal: &Principal,
        name: &StreamName,
        revision: Revision,
        reason: &str,
    ) -> Result<Erased, Error> {
        let owner = Principal::user(name.owner.clone());
        let folders = self.folders(&owner, name).await?;
        let journal = &self.options.journal;
        // Waits for copies for forks. Copies that begin after this fail, because the task is erased.
        let nobody_copies = self.copying.write().await;
        let spent = self.spent(&owner, name).await?;
        let begun = journal.begin_erasure(principal, name, revision, reason, spent, self.makers());
        let erased = begun.await?;
        drop(nobody_copies);
        self.cache.forget(name);
        self.watchdog.forget(name);
        self.forget_results(name, folders).await;
        Ok(erased)
    }

    /// What the model calls of a task cost.
    async fn spent(&self, owner: &Principal, name: &StreamName) -> Result<Vec<ErasedCost>, Error> {
        let filter = Filter {
            kinds: COST_KINDS.iter().map(|kind| (*kind).to_owned()).collect(),
            ..Filter::of_task(&name.task_id)
        };
        let (journal, mut after) = (&self.options.journal, Sequence::ZERO);
        let mut events = Vec::new();
        loop {
            let page = journal.read(owner, &filter, after, PAGE).await?;
            events.extend(page.events);
            match events.last() {
                Some(last) if !page.ended => after = last.sequence(),
                _ => return Ok(erased_costs(&events)),
            }
        }
    }

    /// Completes all erasures that have started, for example before a crash. Returns the number of erasures that it
    /// completed.
    pub async fn finish_erasures(&self) -> Result<u64, Error> {
        let journal = &self.options.journal;
        for name in journal.unfinished_erasures().await? {
            self.options.knowledge.forget(journal, &name).await?;
            // Its owner cannot read it any more. The system can, and remaining payloads name the result's folder.
            let folders = self.folders(&Principal::system(), &name).await?;
            self.forget_results(&name, folders).await;
        }
        Ok(journal.finish_erasures(self.makers()).await?)
    }

    /// The folders of a task's result, as far as its payloads can still be read.
    async fn folders(
        &self,
        reader: &Principal,
        name: &StreamName,
    ) -> Result<BTreeSet<PathBuf>, Error> {
        let filter = Filter {
            kinds: vec!["task_submitted".to_owned(), "out_changed".to_owned()],
            ..Filter::of_task(&name.task_id)
        };
        let (journal, mut after) = (&self.options.journal, Sequence::ZERO);
        let mut folders = BTreeSet::new();
        loop {
            let page = journal.read(reader, &filter, after, PAGE).await?;
            let own = page.events.iter();
            for event in own.filter(|event| *event.owner() == name.owner) {
                match event.payload() {
                    Payload::TaskSubmitted(asked) => {
                        folders.extend(asked.out.as_ref().map(PathBuf::from));
                    }
                    Payload::OutChanged(changed) => {
                        folders.insert(PathBuf::from(&changed.out));
                    }
                    _ => {}
                }
            }
            match page.events.last() {
                Some(last) if !page.ended => after = last.sequence(),
                _ => return Ok(folders),
            }
        }
    }

    /// Removes the marker files of this task from these folders.
    async fn forget_results(&self, name: &StreamName, folders: BTreeSet<PathBuf>) {
        for folder in folders {
            let task = name.task_id.clone();
            let forgotten = tokio::task::spawn_blocking(move || forget_result(&folder, &task));
            match forgotten.await {
                Ok(Ok(())) => {}
                Ok(Err(error)) => {
                    tracing::warn!(%error, "the marker file in a result's folder stays");
                }
                Err(error) => tracing::error!(%error, "a helper thread died"),
            }
        }
    }

    fn makers(&self) -> Makers<'_> {
        Makers {
            time: &*self.options.time,
            randomness: &*self.options.randomness,
        }
    }
}
