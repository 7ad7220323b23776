//! The end of a task as it stands: what verifies it, and who is told of it.

#![allow(clippy::unwrap_used, clippy::expect_used)] // a test fails by panicking

mod common;

use common::Home;
use common::server::{GOOD, STUB, Server, check_history, count};
use serde_json::{Value, json};

const TASKS: &str = "/api/v1/tasks";

/// The simulated model adds one, whatever it is asked for: these examples it does not meet.
const OTHER: &str =
    "def step(value):\n    \"\"\"Adds four.\n\n    >>> step(1)\n    5\n    \"\"\"\n";

#[test]
fn a_fork_with_another_prompt_is_verified_by_no_run_of_its_parent() {
    let home = Home::new();
    let server = Server::start(&home, GOOD, &[]);
    let task = server.submit(&json!({"prompt": STUB, "max_iterations": 1}));
    assert_eq!(server.ended(&task)["status"], "complete");
    let parent = server.events(&task);
    // After the plan, the code, its tests, the module's end, the run of everything, and the end.
    for kind in [
        "planning_complete",
        "code_generated",
        "test_passed",
        "module_complete",
        "dead_code_analysis",
        "task_complete",
    ] {
        let event = parent.iter().find(|event| event["kind"] == kind).unwrap();
        let path = format!("{TASKS}/{task}/fork?at={}", event["sequence"]);
        let fork = |body: &Value| {
            let answer = server.post(&path, body).expect(202);
            let fork = answer["task_id"].as_str().unwrap().to_owned();
            (server.ended(&fork), server.events(&fork))
        };
        let (view, events) = fork(&json!({"prompt": OTHER}));
        assert_eq!(view["status"], "failed", "at {kind}: {view}");
        assert!(count(&events, "test_failed") > 0, "its own example was run");
        check_history(&events);
        // With its own prompt it is what its parent was.
        let (view, events) = fork(&json!({}));
        assert_eq!(view["status"], "complete", "at {kind}: {view}");
        assert_eq!(view["verification"], "given_tests", "at {kind}");
        check_history(&events);
    }
}

#[test]
fn a_fork_keeps_what_the_user_said_when_it_is_asked_for_something_else() {
    let home = Home::new();
    let server = Server::start(&home, GOOD, &[]);
    let task = server.resting();
    let said = json!({"kind": "instruction", "instruction": "Mind the zebras"});
    let at = server.intervene(&task, &said).expect(200)["sequence"].clone();
    let path = format!("{TASKS}/{task}/fork?at={at}");
    let fork = server.post(&path, &json!({"prompt": OTHER})).expect(202);
    let fork = fork["task_id"].as_str().unwrap();
    let copied = server.events(fork).into_iter();
    let copied = copied.filter(|event| !event["origin"].is_null());
    let copied: Vec<Value> = copied.map(|event| event["kind"].clone()).collect();
    assert_eq!(copied, ["task_submitted", "user_intervention"]);
}

#[test]
fn a_fork_whose_prompt_brings_tests_that_a_file_would_hide_is_refused() {
    let home = Home::new();
    let server = Server::start(&home, GOOD, &[]);
    let name_in = |task: &str| {
        let submitted = server.event(task, "task_submitted");
        let name = &submitted["data"]["tests"][0]["name"];
        name.as_str().unwrap().to_owned()
    };
    let name = name_in(&server.submit(&json!({"prompt": STUB})));
    let file = json!({"name": name, "source": "def test_it():\n    pass\n"});
    let task = server.submit(&json!({"prompt": "Make a thing", "tests": [file]}));
    assert_eq!(name_in(&task), name);
    let at = server.task(&task)["sequence"].clone();
    let path = format!("{TASKS}/{task}/fork?at={at}");
    let problem = server.post(&path, &json!({"prompt": STUB})).problem(422);
    assert_eq!(problem["field"], "tests");
    assert!(problem["detail"].as_str().unwrap().contains(&name));
}

#[test]
fn a_run_that_a_crash_cut_off_is_not_made_again_with_code_that_was_written_since() {
    let home = Home::new();
    let server = Server::start(&home, GOOD, &[]);
    let source = "import time\nfrom solution import step\n\ndef test_it():\n    time.sleep(2)\n    \
                  assert step(1) == 2\n";
    let tests = json!([{"name": "test_slow.py", "source": source}]);
    let task = server.submit(&json!({"prompt": STUB, "tests": tests}));
    server.event(&task, "test_started");
    server.crash();
    let mine = home.path().join("mine.py");
    std::fs::write(&mine, "def step(value):\n    return 1 + value\n").unwrap();
    let edited = home.run(&["edit", &task, "solution.py", "mine.py"]);
    assert_eq!(edited.code, Some(0), "{}", edited.stderr);
    let server = Server::start(&home, GOOD, &[]);
    let view = server.ended(&task);
    assert_eq!(view["verification"], "given_tests", "{view}");
    let events = server.events(&task);
    check_history(&events);
    let runs: Vec<&Value> = events
        .iter()
        .filter(|event| event["kind"] == "test_started")
        .collect();
    assert_eq!(runs[0]["data"]["code"][0]["version"], 1);
    let ends = ["effect_interrupted", "test_passed", "test_failed"];
    let outcome = events.iter().find(|event| {
        event["causation_id"] == runs[0]["id"] && ends.contains(&event["kind"].as_str().unwrap())
    });
    assert_eq!(outcome.unwrap()["kind"], "effect_interrupted");
    let with_mine = |run: &&Value| run["data"]["code"][0]["version"] == 2;
    assert!(
        runs.len() > 1 && runs[1..].iter().all(with_mine),
        "{runs:?}"
    );
}

#[test]
fn given_tests_run_in_a_process_without_generated_ones() {
    let home = Home::new();
    let server = Server::start(&home, GOOD, &[]);
    let source = "import sys\nfrom simulated.core import core_step\n\ndef test_it():\n    \
                  assert core_step(1) == 2\n    \
                  loaded = [name for name in sys.modules if name.split('.')[-1].startswith('test_')]\n    \
                  assert loaded == [__name__]\n";
    let tests = json!([{"name": "test_given.py", "source": source}]);
    // How many modules the simulated model plans goes by the letters of the prompt.
    let tasks = ["Make a", "Make ab", "Make abc"]
        .map(|prompt| server.submit(&json!({"prompt": prompt, "tests": tests})));
    let mut mixed = 0;
    for task in &tasks {
        let view = server.ended(task);
        assert_eq!(view["verification"], "given_tests", "{view}");
        let events = server.events(task);
        mixed += usize::from(count(&events, "tests_generated") > 0);
        let passed = events.iter().rfind(|event| event["kind"] == "test_passed");
        let ran = passed.unwrap()["data"]["tests"].as_array().unwrap().len();
        assert!(
            ran > count(&events, "tests_generated"),
            "all of them were run"
        );
    }
    assert!(mixed > 0, "no task had tests of both kinds");
}

#[test]
fn a_stream_goes_on_over_an_end_that_was_not_the_last() {
    let home = Home::new();
    let server = Server::start(&home, GOOD, &[]);
    let task = server.submit(&json!({"prompt": STUB, "timeout": 0}));
    let failed = server.ended(&task)["sequence"].as_u64().unwrap();
    let path = |after: u64| format!("{TASKS}/{task}/stream?after={after}");
    let kinds = |after: u64| -> Vec<String> {
        let sent = server.stream(&path(after), &[]);
        sent.map(|sent| sent.kind).collect()
    };
    assert_eq!(kinds(0).last().unwrap(), "task_failed");
    assert_eq!(server.get(&path(failed)).status, 204);
    server
        .intervene(&task, &json!({"kind": "resume", "timeout": 600}))
        .expect(200);
    let view = server.ended(&task);
    assert_eq!(view["status"], "complete", "{view}");
    for after in [0, failed - 1, failed] {
        let kinds = kinds(after);
        assert_eq!(kinds.last().unwrap(), "task_complete", "after {after}");
        let of_before = kinds.iter().filter(|kind| *kind == "task_failed").count();
        assert_eq!(of_before, usize::from(after < failed));
    }
    let last = view["sequence"].as_u64().unwrap();
    assert_eq!(server.get(&path(last)).status, 204);
}
