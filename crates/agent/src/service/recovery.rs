//! The queue of former times, rebuilt from the journal.

use journeyman_event::payload::PauseReason;
use journeyman_event::state::Status;
use journeyman_event::{Principal, Sequence};
use journeyman_journal::StreamName;
use journeyman_queue::Job;

use super::Tasks;
use crate::Error;
use crate::listing::Listing;

/// Streams read at a time.
const PAGE: usize = 5_000;

impl Tasks {
    /// Puts every task into the queue that has not ended and that does not wait for its user: first those
    /// that had been worked on, then those that waited, as they were submitted. How many. From then on a
    /// task that goes on and is in no queue is looked for ([`Tasks::look_for_lost`]).
    pub async fn recover(&self) -> Result<usize, Error> {
        let mut jobs: Vec<(Listing, Job<StreamName>)> = Vec::new();
        let mut before = Sequence(u64::MAX);
        loop {
            let journal = &self.parts.journal;
            let page = journal
                .streams_before(&Principal::system(), before, PAGE)
                .await?;
            for stream in &page {
                let summary = stream.summary.as_deref().and_then(Listing::from_bytes);
                let Some(listing) = summary.filter(goes_on) else {
                    continue;
                };
                let id = StreamName::of(&stream.owner, &stream.task_id);
                let others = listing.depends_on.iter();
                let depends_on = others.map(|other| StreamName::of(&stream.owner, other));
                let job = Job {
                    id,
                    priority: listing.priority,
                    deadline: None,
                    depends_on: if listing.started {
                        Vec::new()
                    } else {
                        depends_on.collect()
                    },
                };
                jobs.push((listing, job));
            }
            match page.last() {
                Some(last) if page.len() == PAGE => before = last.sequence,
                _ => break,
            }
        }
        jobs.sort_by_key(|(listing, _)| (!listing.started, listing.submitted_at));
        let count = jobs.len();
        let refused = self.queue.recover(jobs.into_iter().map(|(_, job)| job));
        for (id, refusal) in &refused {
            tracing::warn!(task = %id, %refusal, "a task of former times is not taken up again");
        }
        self.watchdog.begin();
        Ok(count - refused.len())
    }
}

/// Whether a task that is recorded so belongs into a queue.
pub(super) fn goes_on(listing: &Listing) -> bool {
    match listing.status {
        Status::Queued | Status::Running => listing.submitted_at.is_some(),
        Status::Paused => !matches!(
            listing.pause,
            Some(PauseReason::User | PauseReason::Question)
        ),
        Status::Complete | Status::Failed | Status::Cancelled => false,
    }
}
