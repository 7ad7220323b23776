//! Admission of jobs to the queue.

use std::fmt;
use std::time::Duration;

use journeyman_event::Priority;
use tokio::sync::oneshot;
use tokio::time::Instant;

use crate::core::{Admission, AdmitError, IfFull};
use crate::shared::State;
use crate::{AdmissionError, Queue, Runner};

/// What happens when the queue is full.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WhenFull {
    /// The job is refused at once.
    Refuse,
    /// The submitter waits for a place, at most for this long. Places are granted in order of arrival. If too many wait
    /// already (`submitters_max`), the job is refused at once.
    Wait(Duration),
}

/// A place in the queue, reserved for one job. Dropping it frees the place.
#[must_use = "dropping it gives up the place"]
pub struct Permit<R: Runner> {
    queue: Queue<R>,
    id: R::Id,
    submitted: bool,
}

impl<R: Runner> Permit<R> {
    /// The id of the job.
    pub fn id(&self) -> &R::Id {
        &self.id
    }

    /// Puts the job into the queue. When the deadline passes, the job ends in whatever phase it is; if it has
    /// already passed, the job ends without having run. After a shutdown has begun, the job stays in the queue
    /// and is not started.
    pub fn submit(mut self, priority: Priority, deadline: Option<Instant>) {
        self.submitted = true;
        self.queue.shared().change(|state, now| {
            state.core.submit(&self.id, priority, deadline, now);
            state.counts.submitted += 1;
        });
    }
}

impl<R: Runner> Drop for Permit<R> {
    fn drop(&mut self) {
        if !self.submitted {
            let shared = self.queue.shared();
            let kept = shared.change(|state, now| state.core.withdraw(&self.id, now));
            if let Some(kept) = kept {
                kept.notify_ended();
            }
        }
    }
}

impl<R: Runner> fmt::Debug for Permit<R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut permit = f.debug_struct("Permit");
        permit.field("id", &self.id).finish_non_exhaustive()
    }
}

impl<R: Runner> Queue<R> {
    /// Reserves a place for a job, so that the caller can record the job before submitting it.
    ///
    /// The job waits until all jobs it depends on have ended, whether well or not. A paused job has not ended.
    /// The queue observes the end of jobs it contains. For all others the caller must call
    /// [`Queue::mark_ended`] as soon as it knows that they have ended or never existed, after this job was
    /// admitted. If a dependency is admitted later, the job waits for it from then on, unless it was started
    /// before. To submit several jobs that depend on each other, admit all of them in any order and then submit
    /// them. A job that would close a dependency cycle is refused; a job that was started has no dependencies
    /// any more.
    ///
    /// Dropping the future cancels the request, or frees the place if one was just granted.
    pub async fn admit(
        &self,
        id: R::Id,
        depends_on: &[R::Id],
        full: WhenFull,
    ) -> Result<Permit<R>, AdmissionError<R::Id>> {
        let if_full = match full {
            WhenFull::Refuse => IfFull::Refuse,
            WhenFull::Wait(_) => IfFull::Wait,
        };
        let granted = self.shared().change(|state, now| {
            match state.core.admit(&id, depends_on, if_full, now) {
                Ok(Admission::Place) => Ok(None),
                Ok(Admission::Later) => {
                    let (sender, granted) = oneshot::channel();
                    if let Some(kept) = state.core.kept(&id) {
                        kept.granted = Some(sender);
                    }
                    Ok(Some(granted))
                }
                Err(why) => Err(state.refuses(&id, why)),
            }
        })?;
        let permit = Permit {
            queue: self.clone(),
            id,
            submitted: false,
        };
        let (Some(granted), WhenFull::Wait(limit)) = (granted, full) else {
            return Ok(permit);
        };
        match tokio::time::timeout(limit, granted).await {
            Ok(Ok(())) => Ok(permit),
            Ok(Err(_)) => Err(self.count_refused(|_| AdmissionError::ShuttingDown)),
            Err(_) => Err(self.count_refused(|state| AdmissionError::WaitedTooLong {
                retry_after: state.retry_after(),
            })),
        }
    }

    fn count_refused(
        &self,
        why: impl FnOnce(&State<R::Id>) -> AdmissionError<R::Id>,
    ) -> AdmissionError<R::Id> {
        let mut state = self.shared().lock();
        state.counts.refused += 1;
        why(&state)
    }
}

impl<I: Clone + Eq + std::hash::Hash + fmt::Debug + fmt::Display> State<I> {
    pub(crate) fn refuses(&mut self, id: &I, why: AdmitError<I>) -> AdmissionError<I> {
        self.counts.refused += 1;
        match why {
            AdmitError::Full => AdmissionError::Full {
                retry_after: self.retry_after(),
            },
            AdmitError::Duplicate => AdmissionError::Duplicate { id: id.clone() },
            AdmitError::Cycle(ids) => AdmissionError::Cycle { ids },
            AdmitError::Closed => AdmissionError::ShuttingDown,
        }
    }
}
