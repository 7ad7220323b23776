//! Measures how long a task was worked on, even if the wall clock, which gives events their times, is changed.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use journeyman_event::payload::ClockJumped;
use journeyman_event::{TaskState, TimeSource};

use crate::fact::{Fact, Role};

/// The smallest deviation of the wall clock that counts as a jump. Reading both clocks takes a moment.
const JUMP_MIN: Duration = Duration::from_secs(1);

/// Watches the wall clock while a task is worked on. Comparing it with a steady clock shows when it was set, or
/// when the machine slept.
pub(crate) struct WorkClock {
    time: Arc<dyn TimeSource>,
    /// How far the wall clock is ahead of the steady clock, according to the task's events.
    noted_offset: Mutex<SignedDuration>,
}

/// How far the wall clock is ahead of the steady clock at a moment. It does not change unless the wall clock is
/// set.
#[derive(Clone, Copy)]
pub(crate) struct ClockOffset(SignedDuration);

impl WorkClock {
    pub(crate) fn new(time: Arc<dyn TimeSource>) -> Self {
        let work_clock = Self {
            time,
            noted_offset: Mutex::default(),
        };
        work_clock.begin();
        work_clock
    }

    /// Starts watching when work starts. What the clock did before does not matter.
    pub(crate) fn begin(&self) {
        *self.noted_offset() = self.read().0;
    }

    /// The current time of the wall clock.
    pub(crate) fn read(&self) -> ClockOffset {
        let steady = SignedDuration::try_from(self.time.steady()).unwrap_or_default();
        ClockOffset(self.time.now().as_duration().saturating_sub(steady))
    }

    /// The facts with the current time, preceded by a fact about a jump of the clock if there was one. Jumps
    /// while the task was not worked on are not recorded.
    pub(crate) fn timed(
        &self,
        state: &TaskState,
        now: ClockOffset,
        mut facts: Vec<Fact>,
    ) -> Vec<Fact> {
        let jumped = self.jumped(now).filter(|_| state.active_since.is_some());
        if let Some(by_ms) = jumped {
            let jump = Fact::of_task(Role::Conductor, ClockJumped { by_ms });
            facts.insert(0, jump);
        }
        facts
    }

    /// How far the wall clock has jumped since the last recorded jump, in milliseconds; `None` if it has not.
    fn jumped(&self, now: ClockOffset) -> Option<i64> {
        let by = now.0.saturating_sub(*self.noted_offset());
        let by_ms = i64::try_from(by.as_millis()).unwrap_or(i64::MAX);
        (by.unsigned_abs() >= JUMP_MIN).then_some(by_ms)
    }

    /// Marks the jump up to this moment as recorded or irrelevant. Differences too small for a jump accumulate.
    pub(crate) fn note(&self, now: ClockOffset) {
        if self.jumped(now).is_some() {
            *self.noted_offset() = now.0;
        }
    }

    /// The time as it would be without changes to the clock since the last recorded jump.
    pub(crate) fn now(&self) -> Timestamp {
        let steady = SignedDuration::try_from(self.time.steady()).unwrap_or_default();
        let now = steady.saturating_add(*self.noted_offset());
        Timestamp::from_duration(now).unwrap_or(Timestamp::MAX)
    }

    fn noted_offset(&self) -> MutexGuard<'_, SignedDuration> {
        self.noted_offset
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use journeyman_event::payload::AnalysisStarted;

    use super::*;

    /// A steady clock, and one that is set.
    #[derive(Default)]
    struct Clocks {
        steady: Mutex<Duration>,
        set_by: Mutex<SignedDuration>,
    }

    impl Clocks {
        fn pass(&self, time: Duration) {
            *self.steady.lock().unwrap() += time;
        }

        fn set(&self, by: SignedDuration) {
            *self.set_by.lock().unwrap() += by;
        }
    }

    impl TimeSource for Clocks {
        fn now(&self) -> Timestamp {
            let passed = SignedDuration::try_from(self.steady()).unwrap();
            Timestamp::UNIX_EPOCH
                + passed
                + SignedDuration::from_hours(1)
                + *self.set_by.lock().unwrap()
        }

        fn steady(&self) -> Duration {
            *self.steady.lock().unwrap()
        }
    }

    const STEP: Duration = Duration::from_secs(2);

    #[test]
    fn a_jump_is_told_once_and_no_time_passes_by_it() {
        for hours in [1, -1] {
            let clocks = Arc::new(Clocks::default());
            let work_clock = WorkClock::new(Arc::clone(&clocks) as Arc<dyn TimeSource>);
            let began = work_clock.now();
            assert_eq!(began, clocks.now());
            clocks.pass(STEP);
            assert_eq!(work_clock.jumped(work_clock.read()), None);
            clocks.set(SignedDuration::from_hours(hours));
            clocks.pass(STEP);
            let worked = SignedDuration::from_secs(4);
            assert_eq!(
                work_clock.now().duration_since(began),
                worked,
                "before it is noted"
            );
            let now = work_clock.read();
            assert_eq!(work_clock.jumped(now), Some(hours * 3_600_000));
            work_clock.note(now);
            assert_eq!(work_clock.jumped(work_clock.read()), None);
            // From then on its times are those of events that come.
            assert_eq!(work_clock.now(), clocks.now());
        }
    }

    #[test]
    fn what_happens_after_a_jump_follows_the_record_of_it_unless_the_task_rested() {
        let clocks = Arc::new(Clocks::default());
        let work_clock = WorkClock::new(Arc::clone(&clocks) as Arc<dyn TimeSource>);
        let fact = Fact::of_task(Role::Conductor, AnalysisStarted {});
        let rests = TaskState::default();
        let runs = TaskState {
            active_since: Some(clocks.now()),
            ..TaskState::default()
        };
        let alone = vec![fact.clone()];
        let facts = |state| work_clock.timed(state, work_clock.read(), alone.clone());
        assert_eq!(facts(&runs), alone);
        clocks.set(SignedDuration::from_secs(3_602));
        let by_ms = 3_602_000;
        let jump = Fact::of_task(Role::Conductor, ClockJumped { by_ms });
        assert_eq!(facts(&runs), [jump, fact]);
        assert_eq!(facts(&rests), alone);
        work_clock.note(work_clock.read());
        assert_eq!(facts(&runs), alone);
    }

    #[test]
    fn what_is_too_small_to_be_a_jump_adds_up_to_one() {
        let clocks = Arc::new(Clocks::default());
        let work_clock = WorkClock::new(Arc::clone(&clocks) as Arc<dyn TimeSource>);
        for _ in 0..3 {
            clocks.set(SignedDuration::from_millis(300));
            let now = work_clock.read();
            assert_eq!(work_clock.jumped(now), None);
            work_clock.note(now);
        }
        clocks.set(SignedDuration::from_millis(300));
        assert_eq!(work_clock.jumped(work_clock.read()), Some(1_200));
    }
}
