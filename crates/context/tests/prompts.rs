//! What is sent for each purpose, word by word: models and prompt caches depend on every one of them.
//!
//! After a change on purpose `JOURNEYMAN_BLESS=1` in the environment of this test writes `prompts.txt` anew.

#![allow(clippy::unwrap_used, clippy::expect_used)] // a test fails by panicking

mod common;

use std::fmt::Write as _;
use std::path::Path;

use common::Counter;
use journeyman_context::{Request, build, forms_of};
use journeyman_event::payload::{
    CodeOrigin, CodeUnderTest, Form, GivenTest, PlannedFunction, PlannedModule, Purpose,
    TaskStarted, TaskSubmitted, TestFailureKind, TestOrigin, TestResult, TestScope,
};
use journeyman_event::state::{CodeVersion, ModuleState, TestRun};
use journeyman_event::{ContentHash, ModuleName, TaskState, Tokens, VectorClock};

const CODE: &str = "LIMIT = 3\n\n\ndef add(a, b):\n    return a - b\n\n\nclass Cart:\n    def total(self):\n        pass\n";

fn module(name: &str, needs: &[&str], completes_prompt: bool) -> ModuleState {
    let name = ModuleName::new(name).unwrap();
    let mut module = ModuleState::new(PlannedModule {
        name: name.clone(),
        purpose: "Adds.".into(),
        functions: vec![PlannedFunction {
            signature: "def add(a: int, b: int) -> int".into(),
            behaviour: "Returns a + b.".into(),
        }],
        depends_on: needs
            .iter()
            .map(|name| ModuleName::new(*name).unwrap())
            .collect(),
        given_tests: vec!["test_add.py".into()],
        completes_prompt,
    });
    let hash = ContentHash::of(CODE.as_bytes());
    module.versions.push(CodeVersion {
        version: 1,
        hash,
        source: CODE.into(),
        origin: CodeOrigin::Generated,
        clock: VectorClock::default(),
    });
    module.runs.push(TestRun {
        scope: TestScope::Module,
        origin: TestOrigin::File,
        files: vec!["tests/test_add.py".into()],
        code: vec![CodeUnderTest {
            module: name,
            version: 1,
            hash,
        }],
        tests_version: 0,
        basis: None,
        failure: Some(TestFailureKind::Failed),
        tests: vec![TestResult {
            name: "tests/test_add.py::test_add".into(),
            passed: false,
            message: "assert add(1, 2) == 3".into(),
        }],
        idle: Vec::new(),
        skipped: Vec::new(),
        broken_tests: false,
        output: String::new(),
        clock: VectorClock::default(),
        outcome: None,
        sequence: None,
    });
    module
}

fn state(modules: Vec<ModuleState>) -> TaskState {
    TaskState {
        submission: Some(TaskSubmitted {
            tests: vec![GivenTest {
                name: "test_add.py".into(),
                origin: TestOrigin::File,
                source: "from shop.sums import add\n\ndef test_add():\n    assert add(1, 2) == 3\n"
                    .into(),
            }],
            ask: true,
            ..TaskSubmitted::of("A package `shop` that adds.")
        }),
        planned: true,
        modules,
        ..TaskState::default()
    }
}

/// A task whose prompt begins a file, with an example, on a server that goes on with what it is given.
fn begun() -> TaskState {
    let mut state = state(vec![module("solution", &[], true)]);
    let prompt = "def add(a: int, b: int) -> int:\n    \"\"\"Adds.\n\n    >>> add(1, 2)\n    3\n    \"\"\"\n";
    state.submission = Some(TaskSubmitted {
        tests: vec![GivenTest {
            name: "test_add.py".into(),
            origin: TestOrigin::Examples,
            source: ">>> add(1, 2)\n3".into(),
        }],
        ..TaskSubmitted::of(prompt)
    });
    state.started = Some(TaskStarted {
        model: "small".into(),
        server: "llama.cpp".into(),
        window: Tokens(32_768),
        sandbox: "bubblewrap".into(),
        tools: Vec::new(),
        strategy: None,
    });
    state
}

async fn put(sent: &mut String, title: &str, request: Request<'_>) {
    let built = build(&Counter, request).await.unwrap();
    let _ = writeln!(sent, "======== {title}");
    for message in built.messages {
        let _ = writeln!(sent, "---- {:?}\n{}", message.role, message.content);
    }
}

/// A form that has nothing of its own to say is not one of the module's forms.
#[test]
fn forms_that_would_give_the_same_prompt_are_left_out() {
    let forms = |state: &TaskState| forms_of(state, &state.modules[0]);
    assert_eq!(forms(&begun()), Form::ALL);
    let planned = state(vec![module("shop.sums", &[], false)]);
    assert_eq!(forms(&planned), [Form::File]);
    let mut elsewhere = begun();
    elsewhere.started.as_mut().unwrap().server = "openai-compatible".into();
    assert_eq!(
        forms(&elsewhere),
        [Form::File, Form::Description, Form::Asserts]
    );
}

#[tokio::test]
async fn every_purpose_is_asked_for_in_these_words() {
    let of_package = state(vec![
        module("shop.sums", &[], false),
        module("shop.cart", &["shop.sums"], false),
    ]);
    let of_stub = state(vec![module("solution", &[], true)]);
    let mut sent = String::new();
    for (task, state, name) in [
        ("a package", &of_package, "shop.cart"),
        ("a prompt that begins a file", &of_stub, "solution"),
    ] {
        let name = ModuleName::new(name).unwrap();
        for purpose in [
            Purpose::LookUp,
            Purpose::Plan,
            Purpose::Code,
            Purpose::Tests,
            Purpose::Fix,
            Purpose::Review,
            Purpose::Answer,
            Purpose::ModuleSummary,
            Purpose::TaskSummary,
        ] {
            let is_of_module = [
                Purpose::Code,
                Purpose::Tests,
                Purpose::Fix,
                Purpose::ModuleSummary,
            ]
            .contains(&purpose);
            let request = Request {
                state,
                purpose,
                form: Form::default(),
                module: is_of_module.then_some(&name),
                window: Tokens(32_768),
                tools: &[],
                graph: None,
            };
            put(&mut sent, &format!("{task}: {purpose:?}"), request).await;
        }
    }
    for form in Form::ALL {
        let state = begun();
        let name = ModuleName::new("solution").unwrap();
        assert!(forms_of(&state, &state.modules[0]).contains(&form));
        let request = Request {
            state: &state,
            purpose: Purpose::Code,
            form,
            module: Some(&name),
            window: Tokens(32_768),
            tools: &[],
            graph: None,
        };
        put(&mut sent, &format!("code in the form {form:?}"), request).await;
    }
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/prompts.txt");
    if std::env::var_os("JOURNEYMAN_BLESS").is_some() {
        std::fs::write(&path, &sent).unwrap();
    }
    let expected = std::fs::read_to_string(&path).unwrap();
    assert_eq!(sent, expected, "what is sent has changed");
}
