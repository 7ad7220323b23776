//! Compares the rules with a simple model of them: a list that is searched linearly. Random calls must give the
//! same results. A failure prints the seed and the shortest failing sequence of calls.

use std::collections::BTreeSet;
use std::hash::{BuildHasher, RandomState};

use proptest::prelude::*;
use proptest::test_runner::{Config, RngSeed, TestRunner};

use super::*;

const GRACE: Duration = Duration::from_secs(5);

#[derive(Clone, Copy, Debug, PartialEq)]
enum State {
    Outside,
    Admitted,
    Waiting,
    /// Waiting and about to leave.
    Held,
    Running,
}

#[derive(Clone, Debug)]
struct Plain {
    id: u8,
    state: State,
    /// The dependencies; empty once the job was started.
    needs: Vec<u8>,
    /// The dependencies that are not known to have ended.
    waits_for: BTreeSet<u8>,
    priority: Priority,
    order: i64,
    since: Instant,
    /// The number of the event that made it ready or started it; `None` while it is blocked.
    event: Option<u64>,
    stop: Stopping,
    promised: bool,
    alarm: Option<Instant>,
}

impl Plain {
    fn is_ready(&self) -> bool {
        self.state == State::Waiting && self.waits_for.is_empty()
    }
}

/// The jobs in the order of their admission.
#[derive(Debug)]
struct Model {
    jobs: Vec<Plain>,
    options: QueueOptions,
    promised: usize,
    events: u64,
    head: i64,
    tail: i64,
}

impl Model {
    fn new(options: &QueueOptions) -> Self {
        Self {
            jobs: Vec::new(),
            options: options.clone(),
            promised: 0,
            events: 0,
            head: 0,
            tail: 0,
        }
    }

    fn get(&mut self, id: u8, state: State) -> Option<&mut Plain> {
        let mut jobs = self.jobs.iter_mut();
        jobs.find(|job| job.id == id && job.state == state)
    }

    fn all(&self, state: State) -> Vec<&Plain> {
        let jobs = self.jobs.iter();
        jobs.filter(|job| job.state == state).collect()
    }

    fn nth(&self, state: State, nth: u8) -> Option<u8> {
        let jobs = self.all(state);
        let at = usize::from(nth).checked_rem(jobs.len())?;
        Some(jobs[at].id)
    }

    fn occupied(&self) -> usize {
        let states = [State::Admitted, State::Waiting, State::Held];
        states.iter().map(|state| self.all(*state).len()).sum()
    }

    /// A job got a place; jobs that depend on it wait for it from now on.
    fn came_in(&mut self, id: u8) {
        let needing = self.jobs.iter_mut();
        for job in needing.filter(|job| job.needs.contains(&id)) {
            job.waits_for.insert(id);
        }
    }

    /// A job ended; its dependants no longer wait for it.
    fn ended(&mut self, id: u8) {
        for job in &mut self.jobs {
            job.waits_for.remove(&id);
        }
    }

    /// A caller reports that a job outside the queue has ended.
    fn mark_ended(&mut self, id: u8) {
        let mut jobs = self.jobs.iter();
        if !jobs.any(|job| job.id == id && job.state != State::Outside) {
            self.ended(id);
        }
    }

    /// Updates which jobs are ready or blocked.
    fn look(&mut self, now: Instant) {
        for at in 0..self.jobs.len() {
            let ready = self.jobs[at].is_ready();
            self.events += 1;
            let job = &mut self.jobs[at];
            if ready && job.event.is_none() {
                job.event = Some(self.events);
                job.since = now;
            } else if !ready && job.state == State::Waiting {
                job.event = None;
            }
        }
    }

    /// The ready jobs, the most urgent first.
    fn ready(&self) -> Vec<Plain> {
        let ready = self.jobs.iter().filter(|job| job.is_ready());
        let mut ready: Vec<Plain> = ready.cloned().collect();
        ready.sort_by_key(|job| (job.priority, job.order));
        ready
    }

    fn closes_a_circle(&self, id: u8, needs: &[u8]) -> bool {
        let mut reached: BTreeSet<u8> = needs.iter().copied().collect();
        loop {
            let before = reached.len();
            for job in &self.jobs {
                if reached.contains(&job.id) {
                    reached.extend(&job.needs);
                }
            }
            if reached.len() == before {
                return reached.contains(&id);
            }
        }
    }

    fn check(&self, id: u8, needs: &[u8]) -> Result<(), AdmitError<u8>> {
        if self.jobs.iter().any(|job| job.id == id) {
            return Err(AdmitError::Duplicate);
        }
        if self.closes_a_circle(id, needs) {
            return Err(AdmitError::Cycle(Vec::new()));
        }
        Ok(())
    }

    fn enter(&mut self, id: u8, needs: &[u8], state: State, now: Instant) {
        self.jobs.push(Plain {
            id,
            state,
            needs: needs.to_vec(),
            waits_for: needs.iter().copied().collect(),
            priority: Priority::default(),
            order: 0,
            since: now,
            event: None,
            stop: Stopping::No,
            promised: false,
            alarm: None,
        });
        if state != State::Outside {
            self.came_in(id);
        }
    }

    fn admit(
        &mut self,
        id: u8,
        needs: &[u8],
        if_full: IfFull,
        now: Instant,
    ) -> Result<Admission, AdmitError<u8>> {
        self.check(id, needs)?;
        let room = self.occupied() < self.options.capacity;
        let outside = self.all(State::Outside).len();
        if room {
            self.enter(id, needs, State::Admitted, now);
            Ok(Admission::Place)
        } else if if_full == IfFull::Wait && outside < self.options.submitters_max {
            self.enter(id, needs, State::Outside, now);
            Ok(Admission::Later)
        } else {
            Err(AdmitError::Full)
        }
    }

    fn submit(&mut self, id: u8, priority: Priority, deadline: Option<Instant>, now: Instant) {
        self.tail += 1;
        let order = self.tail;
        if let Some(job) = self.get(id, State::Admitted) {
            job.state = State::Waiting;
            (job.priority, job.order, job.alarm) = (priority, order, deadline);
            job.since = now;
        }
    }

    fn start(&mut self, now: Instant) -> Option<u8> {
        let ready = self.ready();
        if ready.is_empty() {
            self.promised = 0;
        }
        let due = self
            .jobs
            .iter()
            .any(|job| job.alarm.is_some_and(|at| at <= now));
        if self.all(State::Running).len() >= self.options.max_concurrent || due {
            return None;
        }
        let mut chosen = ready.first()?;
        if self.promised > 0 {
            self.promised -= 1;
        } else if let Some(ageing) = self.options.ageing {
            let risen = |job: &Plain| {
                let levels = (now - job.since).as_secs() / ageing.step.as_secs();
                let levels = levels.min(ageing.levels_max.into());
                u64::from(job.priority.value()).saturating_sub(10 * levels)
            };
            let is_head = |job: &&Plain| {
                let mut ready = ready.iter();
                !ready.any(|other| other.priority == job.priority && other.order < job.order)
            };
            let heads = ready.iter().filter(is_head);
            chosen = heads.min_by_key(|job| (risen(job), job.order))?;
        }
        let id = chosen.id;
        self.events += 1;
        let event = Some(self.events);
        let job = self.get(id, State::Waiting)?;
        job.state = State::Running;
        job.needs.clear();
        job.waits_for.clear();
        (job.since, job.event) = (now, event);
        Some(id)
    }

    /// A run ended.
    fn unrun(&mut self, id: u8) -> bool {
        let Some(job) = self.get(id, State::Running) else {
            return false;
        };
        let promised = std::mem::take(&mut job.promised);
        job.stop = Stopping::No;
        self.promised += usize::from(promised);
        true
    }

    fn remove(&mut self, id: u8) {
        self.jobs.retain(|job| job.id != id);
    }

    fn requeue(&mut self, id: u8) -> bool {
        if !self.unrun(id) {
            return false;
        }
        self.head -= 1;
        let order = self.head;
        if let Some(job) = self.get(id, State::Running) {
            (job.state, job.order, job.event) = (State::Waiting, order, None);
        }
        true
    }

    /// Returns the phase of the job; a waiting job is held.
    fn stop(&mut self, id: u8, kill: Kill, now: Instant) -> Option<State> {
        if let Some(job) = self.get(id, State::Waiting) {
            job.state = State::Held;
            return Some(State::Held);
        }
        let job = self.get(id, State::Running)?;
        if kill == Kill::Never {
            job.stop = job.stop.max(Stopping::Asked);
        } else if job.stop < Stopping::Urged {
            job.stop = Stopping::Urged;
            job.alarm = Some(now + GRACE);
        }
        Some(State::Running)
    }

    /// All events that are due, sorted by id.
    fn due(&mut self, now: Instant) -> Vec<Due<u8, ()>> {
        let mut due = Vec::new();
        for job in self.jobs.clone() {
            if job.alarm.is_none_or(|at| at > now) {
                continue;
            }
            let id = job.id;
            if job.state != State::Running {
                self.remove(id);
                self.ended(id);
                due.push(Due::Expired(id, ()));
            } else if job.stop == Stopping::Killed {
                self.unrun(id);
                self.remove(id);
                self.ended(id);
                due.push(Due::Lost(id, ()));
            } else if let Some(running) = self.get(id, State::Running) {
                running.alarm = Some(now + GRACE);
                if running.stop == Stopping::Urged {
                    running.stop = Stopping::Killed;
                    due.push(Due::Kill(id));
                } else {
                    running.stop = Stopping::Urged;
                    due.push(Due::TimedOut(id));
                }
            }
        }
        due.sort_by_key(named);
        due
    }

    fn grant(&mut self) -> Option<u8> {
        if self.occupied() >= self.options.capacity {
            return None;
        }
        let id = self.all(State::Outside).first()?.id;
        self.get(id, State::Outside)?.state = State::Admitted;
        self.came_in(id);
        Some(id)
    }

    fn victim(&mut self) -> Option<(u8, u8)> {
        let mut running: Vec<Plain> = self.all(State::Running).into_iter().cloned().collect();
        if running.len() < self.options.max_concurrent {
            return None;
        }
        let stays = running.iter().filter(|job| job.stop == Stopping::No);
        let freed = self.options.max_concurrent.checked_sub(stays.count())?;
        let by = self.ready().get(freed)?.clone();
        running.sort_by_key(|job| (job.priority, job.event));
        let fits = |job: &&Plain| {
            job.stop == Stopping::No
                && by.priority.should_preempt(job.priority)
                && job.event < by.event
        };
        let victim = running.iter().rev().find(fits)?.id;
        let job = self.get(victim, State::Running)?;
        (job.stop, job.promised) = (Stopping::Asked, true);
        Some((victim, by.id))
    }
}

fn named(due: &Due<u8, ()>) -> u8 {
    match due {
        Due::Expired(id, ()) | Due::Lost(id, ()) | Due::TimedOut(id) | Due::Kill(id) => *id,
    }
}

#[derive(Clone, Debug)]
enum Call {
    Admit(u8, Vec<u8>, bool),
    Submit(u8, u8, Option<u64>),
    Withdraw(u8),
    Start,
    /// A run ends, well or not, which is the same for the queue.
    End(u8),
    /// A run ends because its job is paused.
    Rest(u8),
    /// A job outside the queue has ended or never existed.
    HasEnded(u8),
    Requeue(u8),
    Cancel(u8),
    Pause(u8),
    /// A held job leaves, for good or paused.
    Take(u8, LeaveReason),
    /// A held job is put back.
    PutBack(u8),
    Pass(u64),
    SlotsMax(usize),
    /// The process crashes, and the queue is rebuilt from what was recorded.
    Crash,
}

fn call() -> impl Strategy<Value = Call> {
    let id = || 0..12_u8;
    prop_oneof![
        8 => (id(), prop::collection::vec(id(), 0..3), any::<bool>())
            .prop_map(|(id, needs, waits)| Call::Admit(id, needs, waits)),
        8 => (id(), 0..5_u8, prop::option::weighted(0.3, 0..30_u64))
            .prop_map(|(id, level, deadline)| Call::Submit(id, level * 10, deadline)),
        2 => id().prop_map(Call::Withdraw),
        8 => Just(Call::Start),
        4 => id().prop_map(Call::End),
        2 => id().prop_map(Call::Rest),
        8 => id().prop_map(Call::HasEnded),
        4 => id().prop_map(Call::Requeue),
        2 => id().prop_map(Call::Cancel),
        1 => id().prop_map(Call::Pause),
        1 => id().prop_map(|id| Call::Take(id, LeaveReason::Ended)),
        1 => id().prop_map(|id| Call::Take(id, LeaveReason::Rests)),
        2 => id().prop_map(Call::PutBack),
        4 => (0..20_u64).prop_map(Call::Pass),
        1 => (0..4_usize).prop_map(Call::SlotsMax),
        1 => Just(Call::Crash),
    ]
}

fn options() -> impl Strategy<Value = QueueOptions> {
    let ageing = (1..20_u64, 1..5_u8).prop_map(|(step, levels_max)| Ageing {
        step: Duration::from_secs(step),
        levels_max,
    });
    (1..6_usize, 1..4_usize, 0..4_usize, prop::option::of(ageing)).prop_map(
        |(capacity, max_concurrent, submitters_max, ageing)| QueueOptions {
            capacity,
            max_concurrent,
            submitters_max,
            ageing,
            kill_grace: GRACE,
            ..QueueOptions::default()
        },
    )
}

/// The real state machine and the model, side by side.
struct Pair {
    core: Core<u8, ()>,
    model: Model,
    now: Instant,
    /// The numbers of the current runs.
    runs: HashMap<u8, u64>,
    /// The numbers of the current holds.
    wishes: HashMap<u8, u64>,
}

impl Pair {
    fn new(options: &QueueOptions) -> Self {
        Self {
            core: Core::new(options),
            model: Model::new(options),
            now: Instant::now(),
            runs: HashMap::new(),
            wishes: HashMap::new(),
        }
    }

    fn make(&mut self, call: Call) -> Result<(), TestCaseError> {
        let Self { core, model, .. } = self;
        let now = self.now;
        let run = |id: &u8| self.runs.get(id).copied().unwrap_or(u64::MAX);
        match call {
            Call::Admit(id, needs, waits) => {
                let if_full = if waits { IfFull::Wait } else { IfFull::Refuse };
                let mut got = core.admit(&id, &needs, if_full, now);
                if let Err(AdmitError::Cycle(ids)) = &mut got {
                    prop_assert_eq!(ids[0], id);
                    for (at, one) in ids.iter().enumerate() {
                        let next = ids[(at + 1) % ids.len()];
                        let known = model.jobs.iter().find(|job| job.id == *one);
                        let its = if at == 0 {
                            &needs
                        } else {
                            &known.unwrap().needs
                        };
                        prop_assert!(its.contains(&next), "{ids:?} is no circle");
                    }
                    ids.clear();
                }
                prop_assert_eq!(got, model.admit(id, &needs, if_full, now));
            }
            Call::Submit(nth, priority, deadline) => {
                // Only who has a permit can.
                if let Some(id) = model.nth(State::Admitted, nth) {
                    let priority = Priority::new(priority).unwrap();
                    let deadline = deadline.map(|seconds| now + Duration::from_secs(seconds));
                    core.submit(&id, priority, deadline, now);
                    model.submit(id, priority, deadline, now);
                }
            }
            Call::Withdraw(id) => {
                let states = [State::Outside, State::Admitted];
                let there = states.iter().any(|state| model.get(id, *state).is_some());
                if there {
                    model.remove(id);
                    model.ended(id);
                }
                prop_assert_eq!(core.withdraw(&id, now).is_some(), there);
            }
            Call::Start => {
                let got = core.start(now).map(|started| (started.id, started.number));
                prop_assert_eq!(got.map(|(id, _)| id), model.start(now));
                self.runs.extend(got);
            }
            Call::End(nth) | Call::Rest(nth) => {
                let ends = matches!(call, Call::End(_));
                let how = if ends {
                    LeaveReason::Ended
                } else {
                    LeaveReason::Rests
                };
                let id = model.nth(State::Running, nth).unwrap_or(nth);
                let ran = core.end(&id, run(&id), how, now).is_some();
                prop_assert_eq!(ran, model.unrun(id));
                if ran {
                    model.remove(id);
                }
                if ran && ends {
                    model.ended(id);
                }
            }
            Call::HasEnded(id) => {
                core.mark_ended(&id, now);
                model.mark_ended(id);
            }
            Call::Requeue(nth) => {
                let id = model.nth(State::Running, nth).unwrap_or(nth);
                let ran = core.requeue(&id, run(&id), now).is_some();
                prop_assert_eq!(ran, model.requeue(id));
            }
            Call::Cancel(id) | Call::Pause(id) => {
                let kill = match call {
                    Call::Cancel(_) => Kill::InTime,
                    _ => Kill::Never,
                };
                let got = match core.stop(&id, kill, now) {
                    PhaseAtStop::Waiting(number) => {
                        self.wishes.insert(id, number);
                        Some(State::Held)
                    }
                    PhaseAtStop::Running => Some(State::Running),
                    PhaseAtStop::Unknown => None,
                };
                prop_assert_eq!(got, model.stop(id, kill, now));
            }
            Call::Take(nth, how) => {
                let id = model.nth(State::Held, nth).unwrap_or(nth);
                let hold_number = self.wishes.get(&id).copied().unwrap_or(u64::MAX);
                let there = model.get(id, State::Held).is_some();
                if there {
                    model.remove(id);
                    if how == LeaveReason::Ended {
                        model.ended(id);
                    }
                }
                prop_assert_eq!(core.take(&id, hold_number, how, now).is_some(), there);
            }
            Call::PutBack(nth) => {
                let id = model.nth(State::Held, nth).unwrap_or(nth);
                let hold_number = self.wishes.get(&id).copied().unwrap_or(u64::MAX);
                core.put_back(&id, hold_number, now);
                if let Some(job) = model.get(id, State::Held) {
                    job.state = State::Waiting;
                }
            }
            // The clock is not checked yet.
            Call::Pass(seconds) => {
                self.now += Duration::from_secs(seconds);
                return Ok(());
            }
            Call::SlotsMax(slots) => {
                core.max_concurrent = slots;
                model.options.max_concurrent = slots;
            }
            Call::Crash => self.crash()?,
        }
        self.settle()
    }

    fn crash(&mut self) -> Result<(), TestCaseError> {
        let options = self.model.options.clone();
        let old = std::mem::replace(&mut self.model, Model::new(&options));
        self.core = Core::new(&options);
        // What was submitted is recorded; what ran goes first.
        let mut jobs = old.jobs;
        let submitted = [State::Waiting, State::Held, State::Running];
        jobs.retain(|job| submitted.contains(&job.state));
        jobs.sort_by_key(|job| (job.state != State::Running, job.order));
        for job in &jobs {
            let recovered = self.core.recover(&job.id, &job.needs, self.now);
            prop_assert_eq!(recovered, Ok(()), "nothing acknowledged is lost");
            self.model
                .enter(job.id, &job.needs, State::Admitted, self.now);
        }
        for job in &jobs {
            self.core.submit(&job.id, job.priority, job.alarm, self.now);
            self.model.submit(job.id, job.priority, job.alarm, self.now);
        }
        Ok(())
    }

    /// Checks that the consequences of the call, and all visible state, are equal.
    fn settle(&mut self) -> Result<(), TestCaseError> {
        let Self { core, model, .. } = self;
        let now = self.now;
        model.look(now);
        let mut due: Vec<_> = std::iter::from_fn(|| core.due(now)).collect();
        due.sort_by_key(named);
        prop_assert_eq!(due, model.due(now));
        model.look(now);
        loop {
            let granted = core.grant();
            prop_assert_eq!(granted, model.grant());
            model.look(now);
            if granted.is_none() {
                break;
            }
        }
        loop {
            let victim = core.victim();
            prop_assert_eq!(victim, model.victim());
            if victim.is_none() {
                break;
            }
        }
        let mut running: Vec<u8> = model.all(State::Running).iter().map(|job| job.id).collect();
        let mut really = core.running();
        running.sort_unstable();
        really.sort_unstable();
        prop_assert_eq!(really, running);
        prop_assert_eq!(core.occupied(), model.occupied());
        prop_assert_eq!(core.waiting_submitters(), model.all(State::Outside).len());
        let ready = model.ready();
        let oldest = ready.iter().map(|job| now - job.since).max();
        prop_assert_eq!(core.oldest(now), oldest);
        let alarm = model.jobs.iter().filter_map(|job| job.alarm).min();
        prop_assert_eq!(core.next_alarm(), alarm);
        let waiting = [State::Waiting, State::Held].map(|state| model.all(state));
        for (value, depth) in core.depth().iter().enumerate() {
            let of_level = waiting
                .iter()
                .flatten()
                .filter(|job| usize::from(job.priority.value()) == value);
            prop_assert_eq!(*depth, of_level.count());
        }
        Ok(())
    }
}

#[test]
fn random_calls_have_the_results_of_the_plain_model() {
    let given = std::env::var("PROPTEST_RNG_SEED").ok();
    let seed = given.map_or_else(
        || RandomState::new().hash_one(()),
        |text| text.parse().unwrap(),
    );
    let config = Config {
        cases: 2_000,
        failure_persistence: None,
        rng_seed: RngSeed::Fixed(seed),
        ..Config::default()
    };
    let calls = (options(), prop::collection::vec(call(), 1..120));
    let result = TestRunner::new(config).run(&calls, |(options, calls)| {
        let mut pair = Pair::new(&options);
        calls.into_iter().try_for_each(|call| pair.make(call))
    });
    if let Err(error) = result {
        panic!("PROPTEST_RNG_SEED={seed}: {error}");
    }
}
