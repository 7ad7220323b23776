//! A prompt keeps to the model's real window and to the budget, whatever the task's state is; what
//! yields first is what matters least, and the task itself never.

#![allow(clippy::unwrap_used, clippy::expect_used)] // a test fails by panicking

mod common;

use async_trait::async_trait;
use common::Counter;
use journeyman_context::{BuildError, BuiltContext, Profile, Request, build};
use journeyman_event::payload::{
    CodeOrigin, CodeUnderTest, FailureReason, Form, PlannedFunction, PlannedModule, Purpose,
    TaskSubmitted, TestFailureKind, TestOrigin, TestResult, TestScope, Verdict,
};
use journeyman_event::state::{CodeVersion, ModuleState, TestRun};
use journeyman_event::{ContentHash, ModuleName, Sequence, TaskState, Tokens, VectorClock};
use journeyman_llm::{
    Answer, Error, Message, ModelInfo, ModelServer, OnDelta, Request as Asked, TokenCount,
};
use proptest::prelude::*;
use tokio_util::sync::CancellationToken;

fn name() -> ModuleName {
    ModuleName::new("pkg.mod").unwrap()
}

fn run(failure: &str) -> TestRun {
    TestRun {
        scope: TestScope::Module,
        origin: TestOrigin::Generated,
        files: vec!["tests/test_mod.py".into()],
        code: vec![CodeUnderTest {
            module: name(),
            version: 1,
            hash: ContentHash::of(b"x"),
        }],
        tests_version: 1,
        basis: None,
        failure: Some(TestFailureKind::Failed),
        tests: vec![TestResult {
            name: "test_a".into(),
            passed: false,
            message: failure.into(),
        }],
        idle: Vec::new(),
        skipped: Vec::new(),
        broken_tests: false,
        output: String::new(),
        clock: VectorClock::default(),
        outcome: None,
        sequence: None,
    }
}

/// A task in the middle of a correction.
fn state(prompt: &str, code: &str, failure: &str, rounds: usize) -> TaskState {
    let plan = PlannedModule {
        name: name(),
        purpose: "Does it.".into(),
        functions: vec![PlannedFunction {
            signature: "def f(x: int) -> int".into(),
            behaviour: "Returns x.".into(),
        }],
        depends_on: Vec::new(),
        given_tests: Vec::new(),
        completes_prompt: false,
    };
    let module = ModuleState {
        started: true,
        iteration: 2,
        versions: vec![CodeVersion {
            version: 1,
            hash: ContentHash::of(code.as_bytes()),
            source: code.into(),
            origin: CodeOrigin::Generated,
            clock: VectorClock::default(),
        }],
        generated_tests: vec!["def test_a(): ...".into()],
        runs: vec![run(failure); rounds],
        ..ModuleState::new(plan)
    };
    TaskState {
        submission: Some(TaskSubmitted {
            ..TaskSubmitted::of(prompt)
        }),
        planned: true,
        modules: vec![module],
        ..TaskState::default()
    }
}

fn fix(state: &TaskState, window: u64) -> Result<BuiltContext, BuildError> {
    fix_at(&Counter, state, window)
}

fn fix_at(
    server: &dyn ModelServer,
    state: &TaskState,
    window: u64,
) -> Result<BuiltContext, BuildError> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .build()
        .unwrap();
    let name = name();
    let request = Request {
        state,
        purpose: Purpose::Fix,
        form: Form::default(),
        module: Some(&name),
        window: Tokens(window),
        tools: &[],
        graph: None,
    };
    runtime.block_on(build(server, request))
}

fn verdict(built: &BuiltContext, piece: &str) -> Verdict {
    built
        .record
        .decisions
        .iter()
        .find(|d| d.piece == piece)
        .expect(piece)
        .verdict
}

/// Counts three times the tokens of [`Counter`], as for a text that the vocabulary does not know.
#[derive(Debug)]
struct Dense;

#[async_trait]
impl ModelServer for Dense {
    async fn describe(&self) -> Result<ModelInfo, Error> {
        Counter.describe().await
    }

    async fn count(&self, messages: &[Message]) -> Result<TokenCount, Error> {
        let count = Counter.count(messages).await?;
        Ok(TokenCount {
            tokens: Tokens(3 * count.tokens.0),
            ..count
        })
    }

    async fn answer(
        &self,
        request: &Asked,
        on_delta: &mut OnDelta<'_>,
        cancel: &CancellationToken,
    ) -> Result<Answer, Error> {
        Counter.answer(request, on_delta, cancel).await
    }
}

#[test]
fn a_long_history_takes_no_room_from_the_code_and_its_failures_in_any_vocabulary() {
    let failure = "assert total([1, 2, 3]) == 6, 'the sum of all of them'\n".repeat(12);
    let code = "def f(x):\n    return x\n".repeat(4);
    for rounds in [2, 10, 60, 300] {
        let mut state = state("Sum numbers.", &code, &failure, 0);
        let runs = (1..=rounds).map(|at| {
            let mut run = run(&failure);
            run.code[0].version = at;
            run.sequence = Some(Sequence(at * 10));
            run
        });
        state.modules[0].runs = runs.collect();
        for server in [&Counter as &dyn ModelServer, &Dense] {
            let built = fix_at(server, &state, 2_048).unwrap();
            assert_eq!(
                verdict(&built, "current code"),
                Verdict::Kept,
                "{rounds} {server:?}"
            );
            assert_ne!(
                verdict(&built, "test results"),
                Verdict::LeftOut,
                "{rounds} {server:?}"
            );
            let most = Profile::of(Tokens(2_048)).prompt_max();
            let is_cut = built
                .record
                .decisions
                .iter()
                .any(|one| one.verdict != Verdict::Kept);
            assert!(
                !is_cut || built.prompt_tokens >= most.percent(75),
                "{rounds} {server:?}: {} of {most}",
                built.prompt_tokens
            );
        }
    }
}

#[test]
fn what_fits_is_sent_whole_and_in_the_order_of_the_layers() {
    let built = fix(
        &state(
            "Sum numbers.",
            "def f(x):\n    return x\n",
            "assert 1 == 2",
            3,
        ),
        8_192,
    )
    .unwrap();
    assert!(
        built
            .record
            .decisions
            .iter()
            .all(|d| d.verdict == Verdict::Kept)
    );
    let text = &built.messages[1].content;
    let at = |part: &str| text.find(part).unwrap_or_else(|| panic!("{part}: {text}"));
    assert!(at("# The task") < at("# Module pkg.mod"));
    assert!(at("# Module pkg.mod") < at("# Earlier attempts"));
    assert!(at("# Earlier attempts") < at("# What fails"));
    assert!(at("# What fails") < at("Correct the file `pkg/mod.py`"));
    assert!(built.exact);
}

/// A task whose module was tested this often, each time in the next version.
fn after_rounds(rounds: u64) -> TaskState {
    let mut state = state(
        "Sum numbers.",
        "def f(x):\n    return x\n",
        "assert 1 == 2",
        0,
    );
    let runs = (1..=rounds).map(|at| {
        let mut run = run("assert 1 == 2");
        run.code[0].version = at;
        run.sequence = Some(Sequence(at * 10));
        run
    });
    state.modules[0].runs = runs.collect();
    state
}

#[test]
fn old_rounds_are_told_together_cite_their_events_and_change_in_steps() {
    let attempts = |rounds: u64| {
        let built = fix(&after_rounds(rounds), 8_192).unwrap();
        let text = &built.messages[1].content;
        let from = text.find("# Earlier attempts").map(|at| &text[at..]);
        let part = from.and_then(|text| text.split("\n\n").next());
        part.unwrap_or_default().to_owned()
    };
    assert_eq!(attempts(1), "");
    assert_eq!(
        attempts(2),
        "# Earlier attempts\n- version 1: 0 of 1 tests passed; test_a: assert 1 == 2 [event 10]"
    );
    assert_eq!(attempts(6).lines().count(), 6);
    let before = attempts(10);
    assert_eq!(before.lines().count(), 10);
    let after = attempts(11);
    let lines: Vec<&str> = after.lines().collect();
    assert_eq!(lines.len(), 7);
    assert_eq!(
        lines[1],
        "- versions 1 to 5: at most 0 of 1 tests passed; test_a failed 5 times [events 10, 20, 30, 40, 50]"
    );
    for (more, fewer) in [(6, 2), (10, 6), (15, 11)] {
        assert!(
            attempts(more).starts_with(&attempts(fewer)),
            "{fewer} to {more}"
        );
    }
    let long = attempts(1_000);
    assert!(
        long.lines().count() <= 11 && long.contains(", 100, ...]"),
        "{long}"
    );
    let began = std::time::Instant::now();
    fix(&after_rounds(1_000), 8_192).unwrap();
    assert!(began.elapsed() < std::time::Duration::from_millis(100));
}

#[test]
fn the_system_prompt_is_the_same_from_call_to_call() {
    let one = fix(&state("One.", "x = 1\n", "no", 1), 8_192).unwrap();
    let two = fix(&state("Quite another task.", "y = 2\n", "other", 2), 32_768).unwrap();
    assert_eq!(one.messages[0], two.messages[0]);
}

#[test]
fn low_ranks_yield_before_high_ones_and_the_task_never() {
    let code = "value = 1\n".repeat(700);
    let built = fix(
        &state("Sum numbers.", &code, &"long ".repeat(300), 5),
        2_048,
    )
    .unwrap();
    assert_eq!(verdict(&built, "earlier attempts"), Verdict::LeftOut);
    assert_eq!(verdict(&built, "current code"), Verdict::Cut);
    assert_eq!(verdict(&built, "task"), Verdict::Kept);
    assert_eq!(verdict(&built, "request"), Verdict::Kept);
}

#[test]
fn a_critical_piece_that_is_too_large_is_cut_in_its_middle_with_a_mark() {
    let code = format!("first = 1\n{}last = 2\n", "value = 1\n".repeat(600));
    let built = fix(&state("Sum numbers.", &code, "assert 1 == 2", 1), 1_700).unwrap();
    assert!(built.prompt_tokens > Tokens(900) && built.prompt_tokens < Tokens(1_010));
    assert_eq!(verdict(&built, "current code"), Verdict::Cut);
    assert_eq!(verdict(&built, "test results"), Verdict::Kept);
    let text = &built.messages[1].content;
    let at = |part: &str| text.find(part).unwrap_or_else(|| panic!("{part}: {text}"));
    assert!(at("first = 1") < at("[... cut ...]") && at("[... cut ...]") < at("last = 2"));
}

#[test]
fn of_too_many_instructions_the_older_ones_are_shortened_and_then_left_out() {
    let mut state = state("Sum numbers.", "x = 1\n", "assert 1 == 2", 1);
    let said = |at: usize| format!("Rule {at}: {}", "as was said before ".repeat(20));
    state.instructions = (0..40).map(said).collect();
    let built = fix(&state, 2_600).unwrap();
    let text = &built.messages[1].content;
    assert_eq!(verdict(&built, "instructions"), Verdict::Cut);
    assert!(text.contains("Rule 39:"), "{text}");
    assert!(!text.contains("Rule 0:"), "{text}");
    assert!(text.contains(" more ...]"), "{text}");
    assert!(text.contains("x = 1"), "{text}");
    let why = &built
        .record
        .decisions
        .iter()
        .find(|d| d.piece == "instructions")
        .unwrap()
        .why;
    assert!(
        why.contains("shortened and") && why.contains("left out of 40"),
        "{why}"
    );
}

#[test]
fn an_event_of_50_000_characters_is_cut_to_what_fits() {
    for of_code in [true, false] {
        let long = "value = 1\n".repeat(5_000);
        let (code, failure) = if of_code {
            (long.as_str(), "no")
        } else {
            ("x = 1\n", long.as_str())
        };
        let built = fix(&state("Sum numbers.", code, failure, 3), 8_192).unwrap();
        assert!(built.prompt_tokens <= Profile::of(Tokens(8_192)).prompt_max());
        assert_eq!(verdict(&built, "task"), Verdict::Kept);
    }
}

#[test]
fn a_task_that_cannot_fit_is_refused_with_the_figures() {
    let long = "word ".repeat(4_000);
    // The second prompt is smaller than the window, and larger than what the answer leaves of it.
    for task in [long.as_str(), &long[..3_000 * 4]] {
        let refused = fix(&state(task, "x = 1\n", "no", 1), 4_096).unwrap_err();
        let BuildError::DoesNotFit {
            reason,
            needed,
            available,
            ..
        } = &refused
        else {
            panic!("{refused}");
        };
        assert_eq!(*reason, FailureReason::Window);
        assert!(*needed > *available, "{refused}");
        let figures = format!(
            "need {needed} tokens, and of its 4096 tokens only 2418 are for them; the rest is reserved for the answer (1269) \
             and for inexact counts (409)"
        );
        assert!(refused.to_string().contains(&figures), "{refused}");
    }
}

#[test]
fn a_spent_budget_refuses_for_the_budgets_sake() {
    let mut state = state("Sum numbers.", "x = 1\n", "no", 1);
    state.spent = state.token_budget() - Tokens(300);
    let refused = fix(&state, 8_192).unwrap_err();
    assert!(
        matches!(
            refused,
            BuildError::DoesNotFit {
                reason: FailureReason::Budget,
                ..
            }
        ),
        "{refused}"
    );
    let figures = "of its 300 tokens only 108 are for them; the rest is reserved for the answer (192 at least)";
    assert!(refused.to_string().contains(figures), "{refused}");
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 200, ..ProptestConfig::default() })]

    #[test]
    fn prompt_and_answer_always_fit_window_and_budget(
        window in 1_024_u64..40_000,
        prompt in 1..9_000_usize,
        code in 0..60_000_usize,
        failure in 0..9_000_usize,
        rounds in 0..8_usize,
        spent in 0_u64..20_000,
    ) {
        let mut state = state(&"w ".repeat(prompt / 2 + 1), &"c".repeat(code), &"é".repeat(failure), rounds);
        state.spent = Tokens(spent);
        match fix(&state, window) {
            Ok(built) => {
                let sent: usize = built.messages.iter().map(|m| m.content.len()).sum();
                prop_assert_eq!(built.prompt_tokens, Tokens(sent.div_ceil(4) as u64));
                prop_assert!(built.prompt_tokens + built.max_tokens <= Tokens(window));
                prop_assert!(built.prompt_tokens + built.max_tokens <= state.token_budget_left());
                prop_assert!(built.prompt_tokens <= Profile::of(Tokens(window)).prompt_max());
                prop_assert!(built.max_tokens >= Tokens(100), "{}", built.max_tokens);
                let task = state.submission.as_ref().unwrap().prompt.trim();
                prop_assert!(built.messages[1].content.contains(task));
            }
            Err(BuildError::DoesNotFit { needed, available, .. }) => {
                prop_assert!(needed > available, "what is told makes sense");
                let max = Profile::of(Tokens(window)).prompt_max();
                prop_assert!(needed > max || needed + Tokens(192) > state.token_budget_left());
            }
            Err(error) => prop_assert!(false, "{error}"),
        }
    }
}
