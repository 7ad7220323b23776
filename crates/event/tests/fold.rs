//! What folding must hold to: order does not matter, nothing counts twice, facts about other code
//! than the current do not count, and what cannot be read is kept and counted.

#![allow(clippy::unwrap_used, clippy::expect_used)] // a test fails by panicking

use jiff::{SignedDuration, Timestamp};
use journeyman_event::payload::{
    AgentStarted, AnswerRejected, Approach, BugReportReceived, ClockJumped, CodeGenerated,
    CodeOrigin, CodeUnderTest, CorrectionCompleted, CorrectionStarted, EffectInterrupted,
    EffectRetried, FailureReason, Form, GivenTest, Interruption, Limits, LimitsChanged,
    ModelCallCompleted, ModelCallFailed, ModelCallStarted, ModuleComplete, ModuleStarted,
    PauseReason, PlannedModule, PlanningComplete, Purpose, RequestedStop, StopRequested,
    TaskCancelled, TaskComplete, TaskFailed, TaskPaused, TaskResumed, TaskStarted, TaskSubmitted,
    TestFailed, TestFailureKind, TestOrigin, TestPassed, TestResult, TestScope, TestStarted,
    UserIntervention, Verification,
};
use journeyman_event::state::{Ending, FoldError, Status};
use journeyman_event::{
    ContentHash, Draft, Event, EventId, ModuleName, NewEvent, ORIGIN_HASH, Owner, Payload,
    ProcessId, Revision, SeededRandom, Sequence, SteppedTime, TaskId, TaskState, TimeSource,
    Tokens, VectorClock,
};

fn planned(name: &str) -> PlannedModule {
    PlannedModule {
        name: ModuleName::new(name).unwrap(),
        purpose: String::new(),
        functions: Vec::new(),
        depends_on: Vec::new(),
        given_tests: Vec::new(),
        completes_prompt: false,
    }
}

fn call() -> ModelCallStarted {
    ModelCallStarted {
        purpose: Purpose::Code,
        form: Form::default(),
        messages: Vec::new(),
        prompt_tokens: Tokens(1),
        exact: true,
        max_tokens: Tokens(1),
        temperature: 0.0,
        seed: 0,
        schema: None,
        model: None,
        reserved: None,
        key: None,
        project: None,
    }
}

fn answer(text: &str) -> ModelCallCompleted {
    ModelCallCompleted {
        text: text.to_owned(),
        cut_short: false,
        repeated: None,
        prompt_tokens: Tokens(1),
        cached_tokens: Tokens::ZERO,
        cache_write_tokens: Tokens::ZERO,
        completion_tokens: Tokens(1),
        exact: true,
        first_token_ms: 0,
        total_ms: 1,
        served_model: None,
        service_tier: None,
        charge: None,
    }
}

struct Maker {
    actor: &'static str,
    about: &'static str,
    ahead: SignedDuration,
    time: SteppedTime,
    random: SeededRandom,
    clock: VectorClock,
    events: Vec<Event>,
}

impl Maker {
    fn new() -> Self {
        Self {
            actor: "coder",
            about: "m",
            ahead: SignedDuration::ZERO,
            time: SteppedTime::default(),
            random: SeededRandom::new(1),
            clock: VectorClock::default(),
            events: Vec::new(),
        }
    }

    fn module() -> ModuleName {
        ModuleName::new("m").unwrap()
    }

    fn add(
        &mut self,
        code: Option<(u64, &str)>,
        cause: Option<EventId>,
        payload: impl Into<Payload>,
    ) -> EventId {
        self.clock
            .tick(&ProcessId::new("n1", "coder", "0000"))
            .unwrap();
        let draft = Draft {
            id: EventId::new(&self.time, &self.random),
            task_id: TaskId::new("t-1").unwrap(),
            owner: Owner::new("local").unwrap(),
            module: Some(ModuleName::new(self.about).unwrap()),
            occurred_at: self.time.now() + self.ahead,
            actor: self.actor.into(),
            clock: self.clock.clone(),
            causation_id: cause,
            code_version: code.map_or(0, |(version, _)| version),
            code_hash: code.map(|(_, source)| ContentHash::of(source.as_bytes())),
            payload: payload.into(),
        };
        let id = draft.id;
        let position = self.events.len() as u64 + 1;
        let event = NewEvent::new(draft, self.time.now() + self.ahead)
            .unwrap()
            .seal(Sequence(position), Revision(position), ORIGIN_HASH, None)
            .unwrap();
        self.events.push(event);
        id
    }

    fn planned() -> Self {
        Self::planned_for(TaskSubmitted::of("Make m."))
    }

    fn planned_for(asked: TaskSubmitted) -> Self {
        let mut maker = Self::new();
        maker.add(None, None, asked);
        let modules = vec![planned("m")];
        let repairs = Vec::new();
        maker.add(None, None, PlanningComplete { modules, repairs });
        maker.add(None, None, ModuleStarted {});
        maker
    }

    /// From now on the clock is that much ahead.
    fn jump(&mut self, by_ms: i64) {
        self.ahead += SignedDuration::from_millis(by_ms);
    }

    /// A run in which all is well.
    fn test(
        &mut self,
        basis: impl Fn(&TaskState, TestScope) -> Option<ContentHash>,
        scope: TestScope,
    ) {
        let state = self.fold();
        let started = TestStarted {
            scope,
            origin: TestOrigin::File,
            files: vec!["tests/test_m.py".into()],
            code: vec![state.modules[0].under_test().unwrap()],
            basis: basis(&state, scope),
        };
        let intent = self.add(None, None, started);
        let passed = TestPassed {
            tests: vec![TestResult {
                name: "tests/test_m.py::test_m".into(),
                passed: true,
                message: String::new(),
            }],
            idle: Vec::new(),
            skipped: Vec::new(),
            wall_ms: 1,
        };
        self.add(None, Some(intent), passed);
    }

    fn code(&mut self, version: u64, source: &str) {
        let code = CodeGenerated {
            origin: CodeOrigin::Generated,
            source: source.into(),
        };
        self.add(Some((version, source)), None, code);
    }

    fn fold(&self) -> TaskState {
        TaskState::fold(&self.events).unwrap()
    }
}

#[test]
fn no_events_are_the_empty_state() {
    assert_eq!(TaskState::fold(&[]).unwrap(), TaskState::default());
}

#[test]
fn that_a_stop_was_asked_for_changes_nothing_but_the_version() {
    let mut maker = Maker::planned();
    let before = maker.fold();
    maker.actor = "user";
    for stop in [RequestedStop::Pause, RequestedStop::Cancel] {
        maker.add(None, None, StopRequested { stop });
    }
    let after = maker.fold();
    assert_eq!(after.revision, before.revision.next().next());
    let same = TaskState {
        sequence: before.sequence,
        revision: before.revision,
        last_event: before.last_event,
        last_at: before.last_at,
        clock: before.clock.clone(),
        ..after
    };
    assert_eq!(same, before);
}

#[test]
fn a_sequence_that_was_folded_is_an_error() {
    let maker = Maker::planned();
    let mut state = maker.fold();
    let again = state.evolve(&maker.events[0]).unwrap_err();
    assert_eq!(
        again,
        FoldError::Duplicate {
            given: Sequence(1),
            at: Sequence(3)
        }
    );
    let twice = maker.events.iter().chain(&maker.events[..1]);
    assert!(TaskState::fold(twice).is_err());
}

#[test]
fn code_that_is_not_newer_is_stale() {
    let mut maker = Maker::planned();
    maker.code(1, "one");
    maker.code(2, "two");
    maker.code(2, "other");
    maker.code(1, "one");
    let state = maker.fold();
    assert_eq!(state.modules[0].code().unwrap().source, "two");
    assert_eq!(state.uncounted.stale, 2);
}

#[test]
fn a_report_about_an_older_version_or_other_bytes_is_stale() {
    let mut maker = Maker::planned();
    maker.code(1, "one");
    maker.code(2, "two");
    for (version, source) in [(1, "one"), (2, "other")] {
        let report = BugReportReceived {
            version,
            code_hash: ContentHash::of(source.as_bytes()),
            summary: "no".into(),
            given: false,
        };
        maker.add(None, None, report);
    }
    let state = maker.fold();
    assert_eq!(state.modules[0].bug, None);
    assert_eq!(state.uncounted.stale, 2);
}

/// The report names the code that is current now, with its hash: that it is not about that code shows
/// in what was known when its tests were begun.
#[test]
fn a_report_on_a_run_that_began_before_the_code_was_made_is_stale() {
    for (edited_during_the_run, stale) in [(true, 1), (false, 0)] {
        let mut maker = Maker::planned();
        maker.code(1, "one");
        if !edited_during_the_run {
            maker.code(2, "two");
        }
        let intent = maker.add(None, None, run_of(2, "two"));
        if edited_during_the_run {
            maker.code(2, "two");
        }
        let outcome = maker.add(None, Some(intent), failed());
        let report = BugReportReceived {
            version: 2,
            code_hash: ContentHash::of(b"two"),
            summary: "no".into(),
            given: false,
        };
        maker.add(None, Some(outcome), report.clone());
        let state = maker.fold();
        assert_eq!(state.uncounted.stale, stale);
        assert_eq!(state.modules[0].bug.is_none(), edited_during_the_run);
        // One that does not say which run it is about is judged by its own clock, as ever.
        maker.add(None, None, report);
        assert!(maker.fold().modules[0].bug.is_some());
    }
}

fn run_of(version: u64, source: &str) -> TestStarted {
    TestStarted {
        scope: TestScope::Module,
        origin: TestOrigin::Generated,
        files: Vec::new(),
        code: vec![CodeUnderTest {
            module: Maker::module(),
            version,
            hash: ContentHash::of(source.as_bytes()),
        }],
        basis: None,
    }
}

fn failed() -> TestFailed {
    TestFailed {
        kind: TestFailureKind::Failed,
        tests: Vec::new(),
        idle: Vec::new(),
        broken_tests: false,
        output: String::new(),
        wall_ms: 1,
    }
}

#[test]
fn a_correction_without_its_start_is_kept_and_flagged() {
    let mut maker = Maker::planned();
    maker.code(1, "one");
    maker.add(
        None,
        None,
        CorrectionCompleted {
            from_version: 1,
            to_version: 1,
        },
    );
    assert_eq!(maker.fold().uncounted.flagged, 1);
    maker.add(
        None,
        None,
        CorrectionStarted {
            from_version: 1,
            approach: Approach::Repair,
        },
    );
    maker.add(
        None,
        None,
        CorrectionCompleted {
            from_version: 1,
            to_version: 1,
        },
    );
    let state = maker.fold();
    assert_eq!(state.uncounted.flagged, 1);
    assert_eq!(state.modules[0].rounds.unchanged, 2);
}

#[test]
fn unknown_and_unreadable_payloads_are_counted_and_change_nothing() {
    let mut maker = Maker::planned();
    let before = maker.fold();
    maker.add(
        None,
        None,
        Payload::Unknown {
            kind: "later".into(),
            data: "{\"x\":1}".into(),
        },
    );
    maker.add(None, None, Payload::parse("task_paused", "{\"reason\":7}"));
    let after = maker.fold();
    assert_eq!(
        (after.uncounted.unknown, after.uncounted.unreadable),
        (1, 1)
    );
    assert_eq!(after.modules, before.modules);
    assert_eq!(after.status, before.status);
}

#[test]
fn an_effect_is_open_until_its_own_outcome() {
    let mut maker = Maker::planned();
    let intent = maker.add(None, None, call());
    maker.add(None, Some(intent), EffectRetried { attempt: 2 });
    assert_eq!(maker.fold().effects[0].attempt, 2);
    let stop = EffectInterrupted {
        reason: Interruption::Requested,
        tokens: Tokens(7),
    };
    let other = maker.events[0].id();
    maker.add(None, Some(other), stop.clone());
    let state = maker.fold();
    assert!(
        !state.effects.is_empty(),
        "another event's outcome does not close it"
    );
    assert_eq!(state.uncounted.flagged, 1);
    maker.add(None, Some(intent), stop);
    let state = maker.fold();
    assert_eq!((state.effects.len(), state.spent), (0, Tokens(14)));
}

#[test]
fn effects_of_several_modules_are_open_at_once_and_each_has_its_own_outcome() {
    let mut maker = Maker::new();
    maker.add(None, None, TaskSubmitted::of("Make three."));
    let modules = ["m", "n", "o"].map(planned).to_vec();
    let repairs = Vec::new();
    maker.add(None, None, PlanningComplete { modules, repairs });
    let mut intents = Vec::new();
    for (about, agent) in [("m", "a1"), ("n", "a2"), ("o", "a3")] {
        maker.about = about;
        let (agent, purpose, tools) = (agent.to_owned(), Purpose::Code, Vec::new());
        let started = AgentStarted {
            agent,
            purpose,
            tools,
        };
        maker.add(None, None, started);
        intents.push(maker.add(None, None, call()));
    }
    let state = maker.fold();
    let open: Vec<EventId> = state.effects.iter().map(|effect| effect.intent).collect();
    assert_eq!((&open, state.active_agents.len()), (&intents, 3));

    maker.about = "n";
    maker.add(None, Some(intents[1]), answer("for n"));
    maker.about = "o";
    maker.add(None, Some(intents[2]), answer("for o"));
    let state = maker.fold();
    let answers = state.answers.iter().map(|answer| answer.text.as_str());
    assert!(answers.eq(["for n", "for o"]));
    let awaits: Vec<bool> = state
        .active_agents
        .iter()
        .map(|agent| agent.awaits_model)
        .collect();
    assert_eq!(awaits, [true, false, false]);

    // What is said of one module takes nothing from another.
    maker.about = "n";
    let (purpose, problem) = (Purpose::Code, "no code".to_owned());
    maker.add(None, None, AnswerRejected { purpose, problem });
    let state = maker.fold();
    let counts = state.modules.iter().map(|module| module.refusals.count);
    assert!(counts.eq([0, 1, 0]) && state.refusals.count == 0);
    assert_eq!(state.answers.len(), 1);
    let edited = |source: &str| CodeGenerated {
        origin: CodeOrigin::Edited,
        source: source.to_owned(),
    };
    maker.about = "m";
    maker.add(Some((1, "x = 1")), None, edited("x = 1"));
    maker.add(None, Some(intents[0]), answer("for m"));
    let state = maker.fold();
    let answers = state.answers.iter().map(|answer| answer.text.as_str());
    assert!(answers.eq(["for o"]), "the user wrote m meanwhile");
    assert_eq!((state.effects.len(), state.uncounted.flagged), (0, 0));
    assert_eq!(state.spent, Tokens(6));
}

#[test]
fn what_the_model_server_did_is_known_until_it_answers_and_is_no_unusable_answer() {
    let mut maker = Maker::planned();
    let refused = |fatal| ModelCallFailed {
        problem: "no such key".into(),
        tokens: Tokens::ZERO,
        fatal,
    };
    maker.add(None, None, refused(true));
    let state = maker.fold();
    assert_eq!(state.modules[0].refusals.count, 0);
    assert_eq!(
        state.obstacle,
        Some((FailureReason::Model, "no such key".to_owned()))
    );
    maker.add(None, None, refused(false));
    assert_eq!(maker.fold().modules[0].refusals.count, 1);
    let paused = TaskPaused {
        reason: PauseReason::ModelUnreachable,
        detail: Some("Loading model".into()),
    };
    maker.add(None, None, paused);
    maker.add(None, None, TaskResumed {});
    assert_eq!(maker.fold().model_problem.as_deref(), Some("Loading model"));
    let failed = TaskFailed {
        reason: FailureReason::Model,
        detail: String::new(),
    };
    maker.add(None, None, failed);
    assert!(maker.fold().may_be_tried_again());
    let limits = Limits::default();
    maker.add(None, None, LimitsChanged { limits });
    let state = maker.fold();
    assert!(!state.may_be_tried_again() && state.obstacle.is_none());
}

fn started() -> TaskStarted {
    TaskStarted {
        model: String::new(),
        server: String::new(),
        window: Tokens(1),
        sandbox: String::new(),
        tools: Vec::new(),
        strategy: None,
    }
}

#[test]
fn only_time_at_work_counts_and_after_a_crash_up_to_the_last_event() {
    let mut maker = Maker::new();
    maker.add(None, None, started());
    maker.add(
        None,
        None,
        TaskPaused {
            reason: PauseReason::User,
            detail: None,
        },
    );
    let worked = maker.fold().active;
    assert!(worked.is_positive());
    maker.add(None, None, TaskResumed {});
    let state = maker.fold();
    assert_eq!((state.active, state.status), (worked, Status::Running));
    // The holder dies here; nobody records a pause.
    maker.add(None, None, ModuleStarted {});
    let last = maker.events[3]
        .occurred_at()
        .duration_since(maker.events[2].occurred_at());
    // What is known of it is told before somebody takes it up again.
    assert_eq!(maker.fold().worked(), worked + last);
    maker.add(None, None, TaskResumed {});
    assert_eq!(maker.fold().active, worked + last);
    assert_eq!(maker.fold().worked(), worked + last);
}

#[test]
fn what_the_user_does_after_a_crash_is_no_work() {
    let mut maker = Maker::new();
    maker.add(None, None, started());
    maker.add(None, None, ModuleStarted {});
    let worked = at(&maker, 1).duration_since(at(&maker, 0));
    // The holder dies. Its user says something, then lets the task rest, go on or end.
    maker.actor = "user";
    for _ in 0..20 {
        let instruction = "Mind the zebras.".to_owned();
        maker.add(None, None, UserIntervention { instruction });
    }
    let said = maker.events.len();
    let reason = PauseReason::User;
    for end in [
        Payload::from(TaskPaused {
            reason,
            detail: None,
        }),
        Payload::from(TaskResumed {}),
        Payload::from(TaskCancelled {}),
    ] {
        maker.events.truncate(said);
        maker.add(None, None, end);
        assert_eq!(maker.fold().active, worked, "{:?}", maker.events.last());
    }
}

#[test]
fn a_jump_of_the_clock_is_no_work_whichever_way_it_goes() {
    for by_ms in [3_602_000, -3_602_000] {
        let mut maker = Maker::new();
        maker.add(None, None, started());
        let begun = at(&maker, 0);
        maker.jump(by_ms);
        maker.add(None, None, ClockJumped { by_ms });
        maker.add(None, None, ModuleStarted {});
        let state = maker.fold();
        let real = |end: Timestamp| {
            let jump = SignedDuration::from_millis(by_ms);
            end.duration_since(begun) - jump
        };
        assert_eq!(state.active_until(at(&maker, 2)), real(at(&maker, 2)));
        maker.add(
            None,
            None,
            TaskPaused {
                reason: PauseReason::Shutdown,
                detail: None,
            },
        );
        assert_eq!(maker.fold().active, real(at(&maker, 3)));
        // While it rests, a jump is nobody's affair.
        let rested = maker.fold().active;
        maker.add(None, None, ClockJumped { by_ms });
        maker.add(None, None, TaskResumed {});
        assert_eq!(maker.fold().active, rested);
    }
}

fn at(maker: &Maker, event: usize) -> Timestamp {
    maker.events[event].occurred_at()
}

fn given(source: &str) -> TaskSubmitted {
    TaskSubmitted {
        tests: vec![GivenTest {
            name: "test_m.py".into(),
            origin: TestOrigin::File,
            source: source.into(),
        }],
        ..TaskSubmitted::of("Make m.")
    }
}

/// A task whose code passed the given tests alone and on the whole: how its runs are named.
fn tested(basis: impl Fn(&TaskState, TestScope) -> Option<ContentHash>) -> Maker {
    let mut maker = Maker::planned_for(given("def test_m(): ..."));
    maker.code(1, "one");
    maker.test(&basis, TestScope::Module);
    let complete = ModuleComplete {
        verification: Verification::GivenTests,
        disputed: Vec::new(),
    };
    maker.add(None, None, complete);
    maker.test(&basis, TestScope::Integration);
    let verification = Verification::GivenTests;
    maker.add(None, None, TaskComplete { verification });
    maker
}

/// As it is recorded now.
fn tested_now() -> Maker {
    tested(|state, scope| {
        let module = (scope == TestScope::Module).then(Maker::module);
        Some(state.basis(module.as_ref()))
    })
}

fn ended_as(events: &[Event]) -> (Option<Ending>, u64) {
    let state = TaskState::fold(events).unwrap();
    (state.ending.clone(), state.uncounted.flagged)
}

const VERIFIED: Option<Ending> = Some(Ending::Complete(Verification::GivenTests));
const UNVERIFIED: Option<Ending> = Some(Ending::Complete(Verification::None));

#[test]
fn what_older_versions_verified_stays_verified() {
    let maker = tested(|_, _| None);
    assert_eq!(ended_as(&maker.events), (VERIFIED, 0));
    let state = maker.fold();
    assert!(state.modules_complete() && state.current_integration().is_some());
}

#[test]
fn what_is_said_to_be_verified_and_was_not_run_is_not() {
    let maker = tested_now();
    assert_eq!(ended_as(&maker.events), (VERIFIED, 0));
    let kinds = |drop: &[&str]| {
        let kept = maker
            .events
            .iter()
            .filter(|one| !drop.contains(&one.kind()));
        kept.cloned().collect::<Vec<Event>>()
    };
    // As an import may bring it: without runs, without the code or the plan that were run.
    for dropped in [
        "test_started",
        "test_passed",
        "code_generated",
        "planning_complete",
    ] {
        let (ending, flagged) = ended_as(&kinds(&[dropped]));
        assert_eq!(ending, UNVERIFIED, "without {dropped}");
        assert!(flagged > 0, "without {dropped}");
    }
    let state = TaskState::fold(&kinds(&["test_started", "test_passed"])).unwrap();
    assert!(!state.modules_complete(), "no run shows it");
}

#[test]
fn a_run_of_other_code_other_tests_or_another_prompt_verifies_nothing() {
    let maker = tested_now();
    let asked = |content: TaskSubmitted| {
        let mut other = Maker::new();
        other.add(None, None, content);
        let rest = maker.events[1..].iter().cloned();
        other.events.into_iter().chain(rest).collect::<Vec<Event>>()
    };
    let prompt = TaskSubmitted {
        prompt: "Make n.".into(),
        ..given("def test_m(): ...")
    };
    for content in [given("def test_n(): ..."), prompt] {
        let events = asked(content);
        assert_eq!(ended_as(&events).0, UNVERIFIED);
        assert!(!TaskState::fold(&events).unwrap().modules_complete());
    }
    // The same number, other bytes.
    let mut other = Maker::planned_for(given("def test_m(): ..."));
    other.code(1, "two");
    let mut events = other.events;
    events.extend(maker.events[4..].iter().cloned());
    assert_eq!(ended_as(&events).0, UNVERIFIED);
    // Written by the user after everything was tested.
    let mut edited = tested_now();
    edited.events.pop();
    edited.code(2, "mine");
    assert!(edited.fold().current_integration().is_none());
}
