//! Which job gets a slot, and which must give one up.

use std::fmt::Debug;
use std::hash::Hash;
use std::time::Duration;

use tokio::time::Instant;

use super::{Core, LEVEL, Phase, Place, Started, Stopping};
use crate::Ageing;

impl<I: Clone + Eq + Hash + Debug, T: Default> Core<I, T> {
    /// Whether a job could start.
    pub(crate) fn can_start(&self) -> bool {
        !self.closed && self.running.len() < self.max_concurrent && !self.ready.is_empty()
    }

    /// Starts the most urgent job if there is a slot. Due events must be processed first.
    pub(crate) fn start(&mut self, now: Instant) -> Option<Started<'_, I, T>> {
        if self.ready.is_empty() {
            self.promised = 0;
        }
        if !self.can_start() || self.next_alarm().is_some_and(|at| at <= now) {
            return None;
        }
        let place = if self.promised > 0 {
            self.promised -= 1;
            *self.ready.first_key_value()?.0
        } else {
            self.first(now)?
        };
        let id = self.ready.get(&place)?.clone();
        self.unwait(&id);
        self.dependencies.forget(&id);
        let number = self.tick();
        let job = self.jobs.get_mut(&id)?;
        let waited = now.saturating_duration_since(job.since);
        job.since = now;
        job.waits_for.clear();
        job.phase = Phase::Running {
            number,
            stop: Stopping::No,
            promised: false,
        };
        self.running.insert((place.priority, number), id.clone());
        Some(Started {
            id,
            number,
            waited,
            kept: &mut job.kept,
        })
    }

    /// The job to start next. Of the first jobs of each level it is the one with the highest priority including
    /// ageing; of two equal ones, the older.
    fn first(&self, now: Instant) -> Option<Place> {
        let mut head = self.ready.first_key_value().map(|(place, _)| *place)?;
        let Some(ageing) = self.ageing else {
            return Some(head);
        };
        let mut first = head;
        let mut height = self.height(head, ageing, now);
        loop {
            let below = Place {
                priority: head.priority,
                order: i64::MAX,
            };
            let Some((next, _)) = self.ready.range(below..).next() else {
                return Some(first);
            };
            head = *next;
            let other = self.height(head, ageing, now);
            if (other, head.order) < (height, first.order) {
                (first, height) = (head, other);
            }
        }
    }

    /// The priority of a ready job including ageing.
    fn height(&self, place: Place, ageing: Ageing, now: Instant) -> u8 {
        let since = self.ready.get(&place).and_then(|id| self.jobs.get(id));
        let waited = since.map_or(Duration::ZERO, |job| {
            now.saturating_duration_since(job.since)
        });
        let steps = waited.as_nanos() / ageing.step.as_nanos().max(1);
        let levels = u8::try_from(steps).map_or(ageing.levels_max, |n| n.min(ageing.levels_max));
        let risen = levels.saturating_mul(LEVEL);
        place.priority.value().saturating_sub(risen)
    }

    /// The running job to be preempted, and the job it makes room for; it must be told. `None` if all jobs
    /// entitled to a slot will get one once the jobs already asked to stop have stopped.
    ///
    /// The decision uses priorities without ageing. A job that was started while the candidate was already
    /// waiting is not preempted by it: that job had aged, and would otherwise have aged for nothing.
    pub(crate) fn victim(&mut self) -> Option<(I, I)> {
        if self.closed || self.running.len() < self.max_concurrent {
            return None;
        }
        let stays = self.running.len() - self.stopping;
        let freed = self.max_concurrent.checked_sub(stays)?;
        let (place, by) = self.ready.iter().nth(freed)?;
        let Phase::Ready { since } = self.jobs.get(by)?.phase else {
            return None;
        };
        let least_urgent = self.running.iter().rev();
        let (_, victim) = least_urgent
            .take_while(|((running, _), _)| place.priority.should_preempt(*running))
            .find(|((_, number), id)| *number < since && !self.is_stopping(id))?;
        let (victim, by) = (victim.clone(), by.clone());
        self.stops(&victim, Stopping::Asked);
        if let Some(job) = self.jobs.get_mut(&victim)
            && let Phase::Running { promised, .. } = &mut job.phase
        {
            *promised = true;
        }
        Some((victim, by))
    }

    fn is_stopping(&self, id: &I) -> bool {
        let phase = self.jobs.get(id).map(|job| job.phase);
        !matches!(
            phase,
            Some(Phase::Running {
                stop: Stopping::No,
                ..
            })
        )
    }
}
