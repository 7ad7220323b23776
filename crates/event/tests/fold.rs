//! What folding must hold to: order does not matter, nothing counts twice, facts about other code
//! than the current do not count, and what cannot be read is kept and counted.

#![allow(clippy::unwrap_used, clippy::expect_used)] // a test fails by panicking

use journeyman_event::payload::{
    Approach, BugReportReceived, CodeGenerated, CodeOrigin, CorrectionCompleted, CorrectionStarted,
    EffectInterrupted, EffectRetried, FailureReason, Interruption, Limits, LimitsChanged,
    ModelCallFailed, ModelCallStarted, ModuleStarted, PauseReason, PlannedModule, PlanningComplete,
    Purpose, TaskFailed, TaskPaused, TaskResumed, TaskStarted,
};
use journeyman_event::state::{FoldError, Status};
use journeyman_event::{
    ContentHash, Draft, Event, EventId, ModuleName, NewEvent, ORIGIN_HASH, Owner, Payload,
    ProcessId, Revision, SeededRandom, Sequence, SteppedTime, TaskId, TaskState, TimeSource,
    Tokens, VectorClock,
};

struct Maker {
    time: SteppedTime,
    random: SeededRandom,
    clock: VectorClock,
    events: Vec<Event>,
}

impl Maker {
    fn new() -> Self {
        Self {
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
            module: Some(Self::module()),
            occurred_at: self.time.now(),
            actor: "coder".into(),
            clock: self.clock.clone(),
            causation_id: cause,
            code_version: code.map_or(0, |(version, _)| version),
            code_hash: code.map(|(_, source)| ContentHash::of(source.as_bytes())),
            payload: payload.into(),
        };
        let id = draft.id;
        let position = self.events.len() as u64 + 1;
        let event = NewEvent::new(draft, self.time.now())
            .unwrap()
            .seal(Sequence(position), Revision(position), ORIGIN_HASH, None)
            .unwrap();
        self.events.push(event);
        id
    }

    fn planned() -> Self {
        let mut maker = Self::new();
        let module = PlannedModule {
            name: Self::module(),
            purpose: String::new(),
            functions: Vec::new(),
            depends_on: Vec::new(),
            given_tests: Vec::new(),
            completes_prompt: false,
        };
        maker.add(
            None,
            None,
            PlanningComplete {
                modules: vec![module],
                repairs: Vec::new(),
            },
        );
        maker.add(None, None, ModuleStarted {});
        maker
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
fn a_sequence_that_was_folded_is_an_error() {
    let maker = Maker::planned();
    let mut state = maker.fold();
    let again = state.evolve(&maker.events[0]).unwrap_err();
    assert_eq!(
        again,
        FoldError::Duplicate {
            given: Sequence(1),
            at: Sequence(2)
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
    assert_eq!(state.modules[0].unchanged, 2);
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
    let call = ModelCallStarted {
        purpose: Purpose::Code,
        messages: Vec::new(),
        prompt_tokens: Tokens(1),
        exact: true,
        max_tokens: Tokens(1),
        temperature: 0.0,
        seed: 0,
        schema: None,
    };
    let intent = maker.add(None, None, call);
    maker.add(None, Some(intent), EffectRetried { attempt: 2 });
    assert_eq!(maker.fold().effect.unwrap().attempt, 2);
    let stop = EffectInterrupted {
        reason: Interruption::Requested,
        tokens: Tokens(7),
    };
    let other = maker.events[0].id();
    maker.add(None, Some(other), stop.clone());
    let state = maker.fold();
    assert!(
        state.effect.is_some(),
        "another event's outcome does not close it"
    );
    assert_eq!(state.uncounted.flagged, 1);
    maker.add(None, Some(intent), stop);
    let state = maker.fold();
    assert_eq!((state.effect, state.spent), (None, Tokens(14)));
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
    assert_eq!(state.refusals, 0);
    assert_eq!(
        state.obstacle,
        Some((FailureReason::Model, "no such key".to_owned()))
    );
    maker.add(None, None, refused(false));
    assert_eq!(maker.fold().refusals, 1);
    let paused = TaskPaused {
        reason: PauseReason::ModelUnreachable,
        detail: Some("Loading model".into()),
    };
    maker.add(None, None, paused);
    maker.add(None, None, TaskResumed {});
    assert_eq!(maker.fold().trouble.as_deref(), Some("Loading model"));
    let failed = TaskFailed {
        reason: FailureReason::Model,
        detail: String::new(),
    };
    maker.add(None, None, failed);
    assert!(maker.fold().failed_by_model());
    let limits = Limits::default();
    maker.add(None, None, LimitsChanged { limits });
    let state = maker.fold();
    assert!(!state.failed_by_model() && state.obstacle.is_none());
}

#[test]
fn only_time_at_work_counts_and_after_a_crash_up_to_the_last_event() {
    let mut maker = Maker::new();
    let started = TaskStarted {
        model: String::new(),
        server: String::new(),
        window: Tokens(1),
        sandbox: String::new(),
        tools: Vec::new(),
    };
    maker.add(None, None, started);
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
    maker.add(None, None, TaskResumed {});
    assert_eq!(maker.fold().active, worked + last);
}
