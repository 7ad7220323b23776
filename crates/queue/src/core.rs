//! The rules of the queue as a state machine: no tasks, no locks, and the time is given.
//!
//! Every change is a call; what follows from it is asked for: who gets a free place
//! ([`Core::grant`]), what is due ([`Core::due`]), who has to make room ([`Core::victim`]) and what
//! can start ([`Core::start`]).

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

/// By how much of priority a level is more urgent than the next.
const LEVEL: u8 = 10;
/// How many priorities there are.
pub(crate) const PRIORITIES: usize = Priority::LAST.value() as usize + 1;

/// Where a waiting job stands: the smallest is the first, if nothing has aged.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Place {
    priority: Priority,
    /// Counts up at the tail of the queue, down from 0 at its head.
    order: i64,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    /// Waits for a place.
    Outside { ticket: u64 },
    /// Has a place and is not submitted yet.
    Admitted,
    /// Waits for other jobs to end.
    Blocked,
    /// Can start. `since` is when in the course of things it became so.
    Ready { since: u64 },
    /// Is to leave, and keeps its place until that is sure. `number` is this wish's; `since` is that of
    /// a job that could start.
    Held { number: u64, since: Option<u64> },
    /// Runs; `number` says when it was started in the course of things.
    Running {
        number: u64,
        stop: Stopping,
        /// Its slot goes to one that has a claim to it.
        promised: bool,
    },
}

/// How far the stopping of a running job has come, the beginning first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Stopping {
    No,
    /// It was asked, and has all the time it needs.
    Asked,
    /// It was asked, and is dropped when the time is over.
    Urged,
    /// It is dropped, as soon as that is possible.
    Killed,
}

#[derive(Debug)]
struct Job<I, T> {
    phase: Phase,
    place: Place,
    /// Since when it waits in its present phase, or runs.
    since: Instant,
    /// The jobs that it depends on and that are not known to have ended, until it was started.
    waits_for: Vec<I>,
    alarm: Option<(Instant, u64)>,
    kept: T,
}

/// How a job leaves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum LeaveReason {
    /// Nobody has to wait for it any longer.
    Ended,
    /// It rests, and may come back: whoever depends on it goes on waiting.
    Rests,
}

/// Why there is no place.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum AdmitError<I> {
    Full,
    Duplicate,
    Cycle(Vec<I>),
    Closed,
}

/// What a new job gets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Admission {
    Place,
    /// [`Core::grant`] will name it.
    Later,
}

/// What a submitter does if there is no place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum IfFull {
    Refuse,
    Wait,
}

/// What the clock brought.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Due<I, T> {
    /// The deadline of a waiting job has passed; it is out.
    Expired(I, T),
    /// That of a running job has; it is to be told.
    TimedOut(I),
    /// A running job has not stopped in time; it is to be dropped.
    Kill(I),
    /// It could not be dropped either; it is out.
    Lost(I, T),
}

/// Where a job was when it was asked to stop.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum PhaseAtStop {
    /// It is held back, by the wish of this number: [`Core::take`] or [`Core::put_back`] comes next.
    Waiting(u64),
    Running,
    /// Or not submitted yet.
    Unknown,
}

/// A job that is to be run.
#[derive(Debug)]
pub(crate) struct Started<'a, I, T> {
    pub(crate) id: I,
    /// Of this run; every run has another.
    pub(crate) number: u64,
    /// For how long it could have started.
    pub(crate) waited: Duration,
    pub(crate) kept: &'a mut T,
}

/// Jobs named `I`, each with something that the caller keeps with it.
#[derive(Debug)]
pub(crate) struct Core<I, T> {
    jobs: HashMap<I, Job<I, T>>,
    dependencies: Dependencies<I>,
    outside: BTreeMap<u64, I>,
    admitted: usize,
    /// Submitted jobs that wait, ready or blocked, by priority.
    depth: [usize; PRIORITIES],
    waiting: usize,
    ready: BTreeMap<Place, I>,
    /// The ready ones by how long they wait.
    ages: BTreeSet<(Instant, Place)>,
    running: BTreeMap<(Priority, u64), I>,
    /// How many running jobs were asked to stop.
    stopping: usize,
    /// Slots that preempted jobs have left for those they made room for.
    promised: usize,
    alarms: BTreeMap<(Instant, u64), I>,
    closed: bool,
    /// Counts what happens.
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

    /// Gives a new job a place, or has it wait for one: if there is one, nobody waits for it, since
    /// every free place is granted at once. Its dependencies count from now on for
    /// cycles, and it waits for each until it is known to have ended, whether it is here or not; others
    /// that depend on it wait for it from when it has a place.
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

    /// Gives jobs of former times places, whether there is room or not. They are to be submitted
    /// when all are in: then it does not matter which of them is named first.
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

    /// From now on others wait for this job.
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

    /// Gives a free place to the one who has waited longest for one.
    pub(crate) fn grant(&mut self) -> Option<I> {
        if self.closed || !self.has_place() {
            return None;
        }
        let (_, id) = self.outside.pop_first()?;
        self.give_place(&id);
        Some(id)
    }

    /// Takes back an admission, or the wish for one.
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

    /// A job takes its place among the waiting ones.
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

    /// This job is forgotten.
    fn leave(&mut self, id: &I, how: LeaveReason, now: Instant) -> Option<T> {
        self.set_alarm(id, None);
        self.dependencies.forget(id);
        if how == LeaveReason::Ended {
            self.release(id, now);
        }
        self.jobs.remove(id).map(|job| job.kept)
    }

    /// A job that is not here has ended, or never was. One that is here says so itself.
    pub(crate) fn mark_ended(&mut self, id: &I, now: Instant) {
        if !self.jobs.get(id).is_some_and(Job::is_in) {
            self.release(id, now);
        }
    }

    /// Nobody waits for this job any longer.
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

    /// A waiting job is no longer one of them.
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

    /// A running job no longer has a slot. None if this run is none any more; else for how long
    /// it ran.
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

    /// A run is over and its job with it: for how long it ran. None if this run is none any more.
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

    /// A run is over and its job goes back to the head of its level: for how long it ran. Its
    /// deadline stays.
    pub(crate) fn requeue(&mut self, id: &I, run: u64, now: Instant) -> Option<Duration> {
        let ran = self.unrun(id, run, now)?;
        self.head -= 1;
        if let Some(job) = self.jobs.get_mut(id) {
            job.place.order = self.head;
        }
        self.wait(id, now);
        Some(ran)
    }

    /// A job is to stop: a waiting one is held back, a running one is to be told.
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

    /// Keeps a waiting job from starting, without taking its place away.
    fn hold(&mut self, id: &I, since: Option<u64>) -> PhaseAtStop {
        let number = self.tick();
        if let Some(job) = self.jobs.get_mut(id) {
            self.ready.remove(&job.place);
            self.ages.remove(&(job.since, job.place));
            job.phase = Phase::Held { number, since };
        }
        PhaseAtStop::Waiting(number)
    }

    /// Takes out a job that is held back by this wish.
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

    /// Puts a job that is held back by this wish to where it stood.
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

    /// The stopping of a running job has come so far, if it had not already; whether it had not.
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

    /// A running job is being dropped: if that does not succeed in time, it is [`Due::Lost`].
    pub(crate) fn kill(&mut self, id: &I, now: Instant) {
        if self.stops(id, Stopping::Killed) {
            self.set_alarm(id, Some(now + self.kill_grace));
        }
    }

    /// The work of a run is over, its end is not recorded yet: no alarm is due any longer. False if
    /// this run is none any more.
    pub(crate) fn is_over(&mut self, id: &I, run: u64) -> bool {
        let phase = self.jobs.get(id).map(|job| job.phase);
        let current = matches!(phase, Some(Phase::Running { number, .. }) if number == run);
        if current {
            self.set_alarm(id, None);
        }
        current
    }

    /// Nothing is admitted or started any more; who waited for a place.
    pub(crate) fn close(&mut self) -> Vec<I> {
        self.closed = true;
        std::mem::take(&mut self.outside).into_values().collect()
    }

    pub(crate) fn is_closed(&self) -> bool {
        self.closed
    }

    /// What the caller keeps with a job.
    pub(crate) fn kept(&mut self, id: &I) -> Option<&mut T> {
        self.jobs.get_mut(id).map(|job| &mut job.kept)
    }

    /// What the caller keeps with each job that waits.
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

    /// Places that are taken.
    pub(crate) fn occupied(&self) -> usize {
        self.admitted + self.waiting
    }

    pub(crate) fn capacity(&self) -> usize {
        self.capacity
    }

    /// Submitters that wait for a place.
    pub(crate) fn waiting_submitters(&self) -> usize {
        self.outside.len()
    }

    /// Waiting jobs by priority.
    pub(crate) fn depth(&self) -> &[usize; PRIORITIES] {
        &self.depth
    }

    /// For how long the job that has waited longest could have been started.
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
    /// Whether it has a place or a slot.
    fn is_in(&self) -> bool {
        !matches!(self.phase, Phase::Outside { .. })
    }
}
