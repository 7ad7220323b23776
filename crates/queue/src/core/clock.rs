//! Events caused by the clock: deadlines, and time limits for jobs that do not stop.

use std::fmt::Debug;
use std::hash::Hash;

use tokio::time::Instant;

use super::{Core, Due, LeaveReason, Phase, Stopping};

impl<I: Clone + Eq + Hash + Debug, T: Default> Core<I, T> {
    pub(super) fn set_alarm(&mut self, id: &I, at: Option<Instant>) {
        let serial = self.tick();
        let Some(job) = self.jobs.get_mut(id) else {
            return;
        };
        let new = at.map(|at| (at, serial));
        if let Some(old) = std::mem::replace(&mut job.alarm, new) {
            self.alarms.remove(&old);
        }
        if let Some(new) = new {
            self.alarms.insert(new, id.clone());
        }
    }

    /// When the next event will be due.
    pub(crate) fn next_alarm(&self) -> Option<Instant> {
        self.alarms.first_key_value().map(|((at, _), _)| *at)
    }

    /// Applies one change that is due (a job is removed, stopped or killed) and returns its event.
    pub(crate) fn due(&mut self, now: Instant) -> Option<Due<I, T>> {
        if self.next_alarm()? > now {
            return None;
        }
        let id = self.alarms.first_key_value()?.1.clone();
        let Phase::Running { number, stop, .. } = self.jobs.get(&id)?.phase else {
            self.unwait(&id);
            let kept = self.leave(&id, LeaveReason::Ended, now)?;
            return Some(Due::Expired(id, kept));
        };
        match stop {
            Stopping::No | Stopping::Asked => {
                self.urge(&id, now);
                Some(Due::TimedOut(id))
            }
            Stopping::Urged => {
                self.kill(&id, now);
                Some(Due::Kill(id))
            }
            Stopping::Killed => {
                let (_, kept) = self.end(&id, number, LeaveReason::Ended, now)?;
                Some(Due::Lost(id, kept))
            }
        }
    }
}
