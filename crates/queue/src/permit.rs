//! How a job comes into the queue.

use std::fmt;
use std::time::Duration;

use journeyman_event::Priority;
use tokio::sync::oneshot;
use tokio::time::Instant;

use crate::core::{Admission, AdmitError, IfFull};
use crate::shared::State;
use crate::{AdmissionError, Queue, Runner};

/// What a submitter does if the queue is full.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WhenFull {
    /// It is refused at once.
    Refuse,
    /// It waits for a place, this long at most. Who waits first is first.
    Wait(Duration),
}

/// A place in the queue for one job. Dropping it leaves the place to the next.
#[must_use = "dropping it gives up the place"]
pub struct Permit<R: Runner> {
    queue: Queue<R>,
    id: R::Id,
    submitted: bool,
}

impl<R: Runner> Permit<R> {
    /// The job.
    pub fn id(&self) -> &R::Id {
        &self.id
    }

    /// Puts the job into the queue. When the deadline passes, it ends, wherever it is; if that is
    /// so already, it ends without having run. After a shutdown has begun it waits, and is not
    /// started any more.
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
    /// Gives a job a place in the queue, so that the caller can record it before it submits it.
    ///
    /// The job will wait for the jobs that it depends on to end, however they end; one that only rests has
    /// not ended. The queue knows of the end of those that are in it. Of each other one the caller says
    /// with [`Queue::mark_ended`] that it has ended or never was, as soon as it knows and after the job was
    /// admitted. If one is admitted later, it is waited for from then on, unless the job was started before: so who has several that depend on each
    /// other admits all of them, in any order, and then submits them. A job that would close a
    /// circle is refused; one that was started waits for nothing and closes none.
    ///
    /// Dropping the future gives up the wish, or the place if it had just got one.
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
