//! The rules of the queue as a state machine: no tasks, no locks, and the time is an argument.
//!
//! Every change is a method call. Its consequences must then be queried: who gets a free place ([`Core::grant`]),
//! what is due ([`Core::due`]), which job must be preempted ([`Core::victim`]), and which jobs start
//! ([`Core::start`]).

mod clock;
#[cfg(test)]
mod model;
mod slots;

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::fmt::Debug;
use std::hash::Hash;
use std::time::Duration;

use journeyman_event::Priority;
use tokio::time::Instant;

use crate::dependencies::Dependencies;
use crate::{Ageing, QueueOptions};

/// The difference in priority between two levels.
const LEVEL: u8 = 10;
/// The number of priorities.
pub(crate) const PRIORITIES: usize = Priority::LAST.value() as usize + 1;

/// The position of a waiting job: without ageing, the job with the smallest value is first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Place {
    priority: Priority,
    /// Increases for jobs added at the tail of the queue, and decreases below 0 for jobs put back at its head.
    order: i64,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    /// Waiting for a place.
    Outside { ticket: u64 },
    /// Has a place but was not submitted yet.
    Admitted,
    /// Waiting for other jobs to end.
    Blocked,
    /// Ready to start. `since` is the number of the event that made it ready.
    Ready { since: u64 },
    /// About to leave, but keeps its place until its leaving was recorded. `number` identifies this hold.
    /// `since` is that of the ready job it was, if it was ready.
    Held { number: u64, since: Option<u64> },
    /// Running. `number` is the number of the event that started it.
    Running {
        number: u64,
        stop: Stopping,
        /// Its slot will go to a waiting job that preempted it.
        promised: bool,
    },
}

/// How far the stopping of a running job has come, in this order.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Stopping {
    No,
    /// It was asked to stop, without a time limit.
    Asked,
    /// It was asked to stop and will be dropped when the time limit is reached.
    Urged,
    /// It is being dropped.
    Killed,
}

#[derive(Debug)]
struct Job<I, T> {
    phase: Phase,
    place: Place,
    /// When its current phase started.
    since: Instant,
    /// The dependencies that are not known to have ended. Empty once the job was started.
    waits_for: Vec<I>,
    alarm: Option<(Instant, u64)>,
    kept: T,
}

/// Why a job leaves the queue.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum LeaveReason {
    /// It ended, so its dependants no longer wait for it.
    Ended,
    /// It is paused and may return, so its dependants keep waiting for it.
    Rests,
}

/// Why a job was not admitted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum AdmitError<I> {
    Full,
    Duplicate,
    Cycle(Vec<I>),
    Closed,
}

/// The result of an admission request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Admission {
    Place,
    /// [`Core::grant`] will return the job when it gets a place.
    Later,
}

/// What happens if the queue is full.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum IfFull {
    Refuse,
    Wait,
}

/// An event caused by the clock.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Due<I, T> {
    /// The deadline of a waiting job has passed; the job was removed.
    Expired(I, T),
    /// The deadline of a running job has passed; the job must be told to stop.
    TimedOut(I),
    /// A running job has not stopped in time; it must be dropped.
    Kill(I),
    /// A job could not be dropped; it was removed from the queue although it may still run.
    Lost(I, T),
}

/// The phase of a job when it was asked to stop.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum PhaseAtStop {
    /// It was waiting and is now held. The caller must call [`Core::take`] or [`Core::put_back`] with this
    /// number.
    Waiting(u64),
    Running,
    /// It is unknown or was not submitted yet.
    Unknown,
}

/// A job that must be run now.
#[derive(Debug)]
pub(crate) struct Started<'a, I, T> {
    pub(crate) id: I,
    /// Identifies this run; unique.
    pub(crate) number: u64,
    /// How long the job was ready to start.
    pub(crate) waited: Duration,
    pub(crate) kept: &'a mut T,
}

/// Jobs with ids of type `I`, each with data of the caller.
#[derive(Debug)]
pub(crate) struct Core<I, T> {
    jobs: HashMap<I, Job<I, T>>,
    dependencies: Dependencies<I>,
    outside: BTreeMap<u64, I>,
    admitted: usize,
    /// The number of submitted jobs that are waiting, by priority.
    depth: [usize; PRIORITIES],
    waiting: usize,
    ready: BTreeMap<Place, I>,
    /// The ready jobs, ordered by how long they have waited.
    ages: BTreeSet<(Instant, Place)>,
    running: BTreeMap<(Priority, u64), I>,
    /// The number of running jobs that were asked to stop.
    stopping: usize,
    /// Free slots reserved for jobs that preempted others.
    promised: usize,
    alarms: BTreeMap<(Instant, u64), I>,
    closed: bool,
    /// Increments the event counter and returns it.
    count: u64,
    head: i64,
    tail: i64,
    capacity: usize,
    submitters_max: usize,
    pub(crate) max_concurrent: usize,
    ageing: Option<Ageing>,
    kill_grace: Duration,
}

impl<I: Clone + Eq + Hash + Debug, T: Default> Core<I, T> {
    pub(crate) fn new(options: &QueueOptions) -> Self {
        Self {
            jobs: HashMap::new(),
            dependencies: Dependencies::new(),
            outside: BTreeMap::new(),
            admitted: 0,
            depth: [0; PRIORITIES],
            waiting: 0,
            ready: BTreeMap::new(),
            ages: BTreeSet::new(),
            running: BTreeMap::new(),
            stopping: 0,
            promised: 0,
            alarms: BTreeMap::new(),
            closed: false,
            count: 0,
            head: 0,
            tail: 0,
            capacity: options.capacity.max(1),
            submitters_max: options.submitters_max,
            max_concurrent: options.max_concurrent,
            ageing: options.ageing,
            kill_grace: options.kill_grace,
        }
    }

    fn tick(&mut self) -> u64 {
        self.count += 1;
        self.count
    }

    /// Gives a new job a place, or puts it on the list of those waiting for one. If a place is free, no one is
    /// waiting, because free places are granted at once. The job's dependencies count for cycle detection from
    /// now on. It waits for each of them until it is known to have ended, whether it is in this queue or not.
    /// Other jobs wait for this one as soon as it has a place.
    pub(crate) fn admit(
        &mut self,
        id: &I,
        depends_on: &[I],
        if_full: IfFull,
        now: Instant,
    ) -> Result<Admission, AdmitError<I>> {
        if self.closed {
            return Err(AdmitError::Closed);
        }
        self.check(id, depends_on)?;
        let admission = if self.has_place() {
            Admission::Place
        } else if if_full == IfFull::Wait && self.outside.len() < self.submitters_max {
            Admission::Later
        } else {
            return Err(AdmitError::Full);
        };
        let ticket = self.tick();
        self.enter(id, depends_on, Phase::Outside { ticket }, now);
        match admission {
            Admission::Place => self.give_place(id),
            Admission::Later => {
                self.outside.insert(ticket, id.clone());
            }
        }
        Ok(admission)
    }

    /// Gives places to jobs recovered after a restart, regardless of capacity. They must be submitted after all
    /// of them were recovered, so that their order does not matter.
    pub(crate) fn recover(
        &mut self,
        id: &I,
        depends_on: &[I],
        now: Instant,
    ) -> Result<(), AdmitError<I>> {
        if self.closed {
            return Err(AdmitError::Closed);
        }
        self.check(id, depends_on)?;
        self.enter(id, depends_on, Phase::Admitted, now);
        self.give_place(id);
        Ok(())
    }

    fn check(&self, id: &I, depends_on: &[I]) -> Result<(), AdmitError<I>> {
        if self.jobs.contains_key(id) {
            return Err(AdmitError::Duplicate);
        }
        let cycle = self.dependencies.cycle(id, depends_on);
        cycle.map_or(Ok(()), |ids| Err(AdmitError::Cycle(ids)))
    }

    fn enter(&mut self, id: &I, depends_on: &[I], phase: Phase, now: Instant) {
        self.dependencies.add(id, depends_on);
        let job = Job {
            phase,
            place: Place {
                priority: Priority::default(),
                order: 0,
            },
            since: now,
            waits_for: self.dependencies.of(id).to_vec(),
            alarm: None,
            kept: T::default(),
        };
        self.jobs.insert(id.clone(), job);
    }

    fn has_place(&self) -> bool {
        self.occupied() < self.capacity
    }

    /// Gives the job a place. From now on others wait for it.
    fn give_place(&mut self, id: &I) {
        if let Some(job) = self.jobs.get_mut(id) {
            job.phase = Phase::Admitted;
            self.admitted += 1;
        }
        for dependent in self.dependencies.on(id).to_vec() {
            let Some(job) = self.jobs.get_mut(&dependent) else {
                continue;
            };
            if !job.waits_for.contains(id) {
                job.waits_for.push(id.clone());
            }
            if matches!(job.phase, Phase::Ready { .. }) {
                job.phase = Phase::Blocked;
                self.ready.remove(&job.place);
                self.ages.remove(&(job.since, job.place));
            }
        }
    }

    /// Gives a free place to the submitter that has waited longest.
    pub(crate) fn grant(&mut self) -> Option<I> {
        if self.closed || !self.has_place() {
            return None;
        }
        let (_, id) = self.outside.pop_first()?;
        self.give_place(&id);
        Some(id)
    }

    /// Cancels an admission, or a request for one.
    pub(crate) fn withdraw(&mut self, id: &I, now: Instant) -> Option<T> {
        match self.jobs.get(id)?.phase {
            Phase::Outside { ticket } => {
                self.outside.remove(&ticket);
                self.leave(id, LeaveReason::Ended, now)
            }
            Phase::Admitted => {
                self.admitted -= 1;
                self.leave(id, LeaveReason::Ended, now)
            }
            _ => None,
        }
    }

    /// Puts an admitted job into the queue.
    pub(crate) fn submit(
        &mut self,
        id: &I,
        priority: Priority,
        deadline: Option<Instant>,
        now: Instant,
    ) {
        let Some(job) = self.jobs.get_mut(id) else {
            return;
        };
        self.tail += 1;
        job.place = Place {
            priority,
            order: self.tail,
        };
        self.admitted -= 1;
        self.wait(id, now);
        if let Some(deadline) = deadline {
            self.set_alarm(id, Some(deadline));
        }
    }

    /// Puts a job among the waiting ones.
    fn wait(&mut self, id: &I, now: Instant) {
        let since = self.tick();
        let Some(job) = self.jobs.get_mut(id) else {
            return;
        };
        self.waiting += 1;
        self.depth[usize::from(job.place.priority.value())] += 1;
        job.since = now;
        if !job.waits_for.is_empty() {
            job.phase = Phase::Blocked;
            return;
        }
        job.phase = Phase::Ready { since };
        self.ready.insert(job.place, id.clone());
        self.ages.insert((now, job.place));
    }

    /// Removes a job.
    fn leave(&mut self, id: &I, how: LeaveReason, now: Instant) -> Option<T> {
        self.set_alarm(id, None);
        self.dependencies.forget(id);
        if how == LeaveReason::Ended {
            self.release(id, now);
        }
        self.jobs.remove(id).map(|job| job.kept)
    }

    /// Records that a job not in this queue has ended or never existed. Ignored for jobs in the queue, whose
    /// end the queue observes itself.
    pub(crate) fn mark_ended(&mut self, id: &I, now: Instant) {
        if !self.jobs.get(id).is_some_and(Job::is_in) {
            self.release(id, now);
        }
    }

    /// Unblocks the jobs that wait for this one.
    fn release(&mut self, id: &I, now: Instant) {
        for dependent in self.dependencies.on(id).to_vec() {
            let since = self.tick();
            let Some(job) = self.jobs.get_mut(&dependent) else {
                continue;
            };
            job.waits_for.retain(|other| other != id);
            if job.waits_for.is_empty() && job.phase == Phase::Blocked {
                job.phase = Phase::Ready { since };
                job.since = now;
                self.ready.insert(job.place, dependent);
                self.ages.insert((now, job.place));
            }
        }
    }

    /// Removes a job from the waiting ones.
    fn unwait(&mut self, id: &I) {
        if let Some(job) = self.jobs.get(id) {
            self.waiting -= 1;
            self.depth[usize::from(job.place.priority.value())] -= 1;
            if matches!(job.phase, Phase::Ready { .. }) {
                self.ready.remove(&job.place);
                self.ages.remove(&(job.since, job.place));
            }
        }
    }

    /// Frees the slot of a run and returns how long it took; `None` if this run is not current any more.
    fn unrun(&mut self, id: &I, run: u64, now: Instant) -> Option<Duration> {
        let job = self.jobs.get(id)?;
        let Phase::Running {
            number,
            stop,
            promised,
        } = job.phase
        else {
            return None;
        };
        if number != run {
            return None;
        }
        self.running.remove(&(job.place.priority, run));
        if stop != Stopping::No {
            self.stopping -= 1;
        }
        if promised {
            self.promised += 1;
        }
        Some(now.saturating_duration_since(job.since))
    }

    /// Ends a run and removes its job. Returns how long the run took; `None` if this run is not current any
    /// more.
    pub(crate) fn end(
        &mut self,
        id: &I,
        run: u64,
        how: LeaveReason,
        now: Instant,
    ) -> Option<(Duration, T)> {
        let ran = self.unrun(id, run, now)?;
        self.leave(id, how, now).map(|kept| (ran, kept))
    }

    /// Ends a run and puts its job back at the head of its level, with the same deadline. Returns how long the
    /// run took; `None` if this run is not current any more.
    pub(crate) fn requeue(&mut self, id: &I, run: u64, now: Instant) -> Option<Duration> {
        let ran = self.unrun(id, run, now)?;
        self.head -= 1;
        if let Some(job) = self.jobs.get_mut(id) {
            job.place.order = self.head;
        }
        self.wait(id, now);
        Some(ran)
    }

    /// Asks a job to stop: a waiting one is held, a running one must be told.
    pub(crate) fn stop(&mut self, id: &I, kill: Kill, now: Instant) -> PhaseAtStop {
        match self.jobs.get(id).map(|job| job.phase) {
            Some(Phase::Blocked) => self.hold(id, None),
            Some(Phase::Ready { since }) => self.hold(id, Some(since)),
            Some(Phase::Running { .. }) => {
                match kill {
                    Kill::Never => {
                        self.stops(id, Stopping::Asked);
                    }
                    Kill::InTime => self.urge(id, now),
                }
                PhaseAtStop::Running
            }
            _ => PhaseAtStop::Unknown,
        }
    }

    /// Keeps a waiting job from starting without removing it from its place.
    fn hold(&mut self, id: &I, since: Option<u64>) -> PhaseAtStop {
        let number = self.tick();
        if let Some(job) = self.jobs.get_mut(id) {
            self.ready.remove(&job.place);
            self.ages.remove(&(job.since, job.place));
            job.phase = Phase::Held { number, since };
        }
        PhaseAtStop::Waiting(number)
    }

    /// Removes the job held under this number.
    pub(crate) fn take(
        &mut self,
        id: &I,
        hold_number: u64,
        how: LeaveReason,
        now: Instant,
    ) -> Option<T> {
        let phase = self.jobs.get(id)?.phase;
        if !matches!(phase, Phase::Held { number, .. } if number == hold_number) {
            return None;
        }
        self.unwait(id);
        self.leave(id, how, now)
    }

    /// Releases the hold with this number; the job waits at its old place again.
    pub(crate) fn put_back(&mut self, id: &I, hold_number: u64, now: Instant) {
        let tick = self.tick();
        let Some(job) = self.jobs.get_mut(id) else {
            return;
        };
        let since = match job.phase {
            Phase::Held { number, since } if number == hold_number => since,
            _ => return,
        };
        if !job.waits_for.is_empty() {
            job.phase = Phase::Blocked;
            return;
        }
        if since.is_none() {
            job.since = now;
        }
        job.phase = Phase::Ready {
            since: since.unwrap_or(tick),
        };
        self.ready.insert(job.place, id.clone());
        self.ages.insert((job.since, job.place));
    }

    /// Raises the stopping of a running job to the given stage. Returns false if it had already come that far.
    fn stops(&mut self, id: &I, to: Stopping) -> bool {
        let Some(job) = self.jobs.get_mut(id) else {
            return false;
        };
        let Phase::Running { stop, .. } = &mut job.phase else {
            return false;
        };
        if *stop == Stopping::No {
            self.stopping += 1;
        }
        let further = to > *stop;
        if further {
            *stop = to;
        }
        further
    }

    fn urge(&mut self, id: &I, now: Instant) {
        if self.stops(id, Stopping::Urged) {
            self.set_alarm(id, Some(now + self.kill_grace));
        }
    }

    /// Records that a running job is being dropped. If it has not ended in time, [`Due::Lost`] follows.
    pub(crate) fn kill(&mut self, id: &I, now: Instant) {
        if self.stops(id, Stopping::Killed) {
            self.set_alarm(id, Some(now + self.kill_grace));
        }
    }

    /// Records that the work of a run has finished, although its end is not recorded yet, so that no alarm for
    /// it is due any more. False if this run is not current any more.
    pub(crate) fn is_over(&mut self, id: &I, run: u64) -> bool {
        let phase = self.jobs.get(id).map(|job| job.phase);
        let current = matches!(phase, Some(Phase::Running { number, .. }) if number == run);
        if current {
            self.set_alarm(id, None);
        }
        current
    }

    /// Stops admitting and starting jobs. Returns the submitters that were waiting for a place.
    pub(crate) fn close(&mut self) -> Vec<I> {
        self.closed = true;
        std::mem::take(&mut self.outside).into_values().collect()
    }

    pub(crate) fn is_closed(&self) -> bool {
        self.closed
    }

    /// The caller's data for a job.
    pub(crate) fn kept(&mut self, id: &I) -> Option<&mut T> {
        self.jobs.get_mut(id).map(|job| &mut job.kept)
    }

    /// The caller's data for each waiting job.
    pub(crate) fn kept_waiting(&mut self) -> impl Iterator<Item = &mut T> {
        let waiting = self
            .jobs
            .values_mut()
            .filter(|job| !matches!(job.phase, Phase::Running { .. }));
        waiting.map(|job| &mut job.kept)
    }

    pub(crate) fn running(&self) -> Vec<I> {
        self.running.values().cloned().collect()
    }

    pub(crate) fn running_count(&self) -> usize {
        self.running.len()
    }

    /// The number of occupied places.
    pub(crate) fn occupied(&self) -> usize {
        self.admitted + self.waiting
    }

    pub(crate) fn capacity(&self) -> usize {
        self.capacity
    }

    /// The number of submitters waiting for a place.
    pub(crate) fn waiting_submitters(&self) -> usize {
        self.outside.len()
    }

    /// The number of waiting jobs by priority.
    pub(crate) fn depth(&self) -> &[usize; PRIORITIES] {
        &self.depth
    }

    /// How long the ready job that has waited longest has been waiting.
    pub(crate) fn oldest(&self, now: Instant) -> Option<Duration> {
        let (since, _) = self.ages.first()?;
        Some(now.saturating_duration_since(*since))
    }
}

/// Whether a stopping job is dropped if it takes too long.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kill {
    Never,
    InTime,
}

impl<I, T> Job<I, T> {
    /// Whether the job has a place or a slot.
    fn is_in(&self) -> bool {
        !matches!(self.phase, Phase::Outside { .. })
    }
}
