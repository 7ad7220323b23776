//! What is sent for each purpose, word by word: models and prompt caches depend on every one of them.
//!
//! After a change on purpose `JOURNEYMAN_BLESS=1` in the environment of this test writes `prompts.txt` anew.

#![allow(clippy::unwrap_used, clippy::expect_used)] // a test fails by panicking

mod common;

use std::fmt::Write as _;
use std::path::Path;

use common::Counter;
use journeyman_context::{Request, build};
use journeyman_event::payload::{
    CodeOrigin, CodeUnderTest, GivenTest, PlannedFunction, PlannedModule, Purpose, TaskSubmitted,
    TestFailureKind, TestOrigin, TestResult, TestScope,
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
                module: is_of_module.then_some(&name),
                window: Tokens(32_768),
                tools: &[],
                graph: None,
            };
            let built = build(&Counter, request).await.unwrap();
            let _ = writeln!(sent, "======== {task}: {purpose:?}");
            for message in built.messages {
                let _ = writeln!(sent, "---- {:?}\n{}", message.role, message.content);
            }
        }
    }
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/prompts.txt");
    if std::env::var_os("JOURNEYMAN_BLESS").is_some() {
        std::fs::write(&path, &sent).unwrap();
    }
    let expected = std::fs::read_to_string(&path).unwrap();
    assert_eq!(sent, expected, "what is sent has changed");
}
