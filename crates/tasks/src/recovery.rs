//! Rebuilds the queue from the journal after a restart.

use journeyman_event::payload::PauseReason;
use journeyman_event::state::Status;
use journeyman_event::{Principal, Sequence, TaskId};
use journeyman_journal::StreamName;
use journeyman_queue::RecoveredJob;
use journeyman_workflow::Listing;

use crate::{Error, Tasks};

/// The number of streams read at a time.
const PAGE: usize = 5_000;

impl Tasks {
    /// Queues every task that has not ended and does not wait for its user: first those that had been worked
    /// on, then those that waited, in order of submission. Returns how many. From then on, tasks missing from
    /// the queue are searched for ([`Tasks::requeue_lost`]).
    pub async fn recover(&self) -> Result<usize, Error> {
        let mut jobs: Vec<((bool, Sequence), RecoveredJob<StreamName>)> = Vec::new();
        let mut before = Sequence(u64::MAX);
        loop {
            let journal = &self.options.journal;
            let page = journal
                .streams_before(&Principal::system(), before, PAGE)
                .await?;
            for stream in &page {
                let listing = Listing::of_stream(journal, stream).await?;
                if !goes_on(&listing) {
                    continue;
                }
                let id = StreamName::of(&stream.owner, &stream.task_id);
                let others = listing.depends_on.iter();
                let depends_on = others.map(|other| StreamName::of(&stream.owner, other));
                let job = RecoveredJob {
                    id,
                    priority: listing.priority,
                    deadline: None,
                    depends_on: if listing.started {
                        Vec::new()
                    } else {
                        depends_on.collect()
                    },
                };
                let owner = Principal::user(stream.owner.clone());
                // A task that cannot be read is reported when it is worked on, and does not keep others from
                // starting.
                let submitted = self.submitted_at(&owner, &stream.task_id).await;
                let submitted = submitted.unwrap_or(stream.sequence);
                jobs.push(((!listing.started, submitted), job));
            }
            match page.last() {
                Some(last) if page.len() == PAGE => before = last.sequence,
                _ => break,
            }
        }
        jobs.sort_by_key(|(order, _)| *order);
        let count = jobs.len();
        let jobs = jobs.into_iter().map(|(_, job)| job);
        let jobs: Vec<RecoveredJob<StreamName>> = jobs.collect();
        let refused = self.queue.recover(jobs.iter().cloned());
        for job in jobs.iter().filter(|job| !job.depends_on.is_empty()) {
            let others = job.depends_on.iter();
            let others: Vec<TaskId> = others.map(|other| other.task_id.clone()).collect();
            let (owner, task) = (Principal::user(job.id.owner.clone()), &job.id.task_id);
            if let Err(error) = self.settle_dependencies(&owner, task, &others).await {
                tracing::warn!(task = %job.id, %error, "a task from before the restart cannot start");
            }
        }
        for (id, refusal) in &refused {
            tracing::warn!(task = %id, %refusal, "a task from before the restart could not be queued again");
        }
        self.watchdog.begin();
        Ok(count - refused.len())
    }
}

/// Whether a task with this recorded state belongs into the queue.
pub(crate) fn goes_on(listing: &Listing) -> bool {
    match listing.status {
        Status::Queued | Status::Running => listing.submitted_at.is_some(),
        Status::Paused => !matches!(
            listing.pause,
            Some(PauseReason::User | PauseReason::Question)
        ),
        Status::Complete | Status::Failed | Status::Cancelled => false,
    }
}
