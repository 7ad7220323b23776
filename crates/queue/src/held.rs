//! A waiting job that is about to leave the queue.

use std::fmt;

use crate::core::LeaveReason;
use crate::{Queue, Runner, StopReason};

/// A job that was waiting when it was cancelled or paused. It is not started while held and keeps its place, so
/// that its leaving can be recorded first. [`HeldJob::remove`] removes it; dropping this value puts it back at
/// its old place. If its deadline passes meanwhile, the job is removed by the queue and neither has an effect.
#[must_use = "dropping it puts the job back"]
pub struct HeldJob<R: Runner> {
    queue: Queue<R>,
    id: R::Id,
    hold_number: u64,
    reason: StopReason<R::Id>,
    is_out: bool,
}

impl<R: Runner> HeldJob<R> {
    pub(crate) fn new(
        queue: Queue<R>,
        id: R::Id,
        hold_number: u64,
        reason: StopReason<R::Id>,
    ) -> Self {
        Self {
            queue,
            id,
            hold_number,
            reason,
            is_out: false,
        }
    }

    /// Removes the job from the queue.
    pub fn remove(mut self) {
        self.is_out = true;
        let is_cancel = self.reason == StopReason::Cancelled;
        let how = if is_cancel {
            LeaveReason::Ended
        } else {
            LeaveReason::Rests
        };
        let kept = self.queue.shared().change(|state, now| {
            let kept = state.core.take(&self.id, self.hold_number, how, now)?;
            state.counts.cancelled += u64::from(is_cancel);
            Some(kept)
        });
        if let Some(kept) = kept {
            kept.notify_ended();
        }
    }
}

impl<R: Runner> Drop for HeldJob<R> {
    fn drop(&mut self) {
        if !self.is_out {
            let shared = self.queue.shared();
            shared.change(|state, now| state.core.put_back(&self.id, self.hold_number, now));
        }
    }
}

impl<R: Runner> fmt::Debug for HeldJob<R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut held = f.debug_struct("HeldJob");
        held.field("id", &self.id).finish_non_exhaustive()
    }
}
