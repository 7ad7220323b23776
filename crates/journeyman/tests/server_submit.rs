//! Submitting tasks over REST, and when a task runs. What is refused is tested in `server`, which needs no program for it.

#![allow(clippy::unwrap_used, clippy::expect_used)] // a test fails by panicking

mod common;

use std::time::{Duration, Instant};

use common::Home;
use common::server::{GOOD, SLOW, STEADY, STUB, Server, check_history, count, kinds, until};
use serde_json::{Value, json};

const TASKS: &str = "/api/v1/tasks";

#[test]
fn a_submission_is_durable_when_it_is_answered_and_the_task_completes() {
    let home = Home::new();
    let server = Server::start(&home, GOOD, &[]);
    let answer = server.post(TASKS, &json!({"prompt": STUB}));
    let accepted = answer.expect(202);
    let task = accepted["task_id"].as_str().unwrap();
    let url = format!("{TASKS}/{task}");
    assert_eq!(answer.header("location"), Some(url.as_str()));
    assert_eq!(accepted["is_duplicate"], false);
    let said = accepted["notices"][0].as_str().unwrap();
    assert!(said.contains("of your prompt"), "{said}");
    assert_eq!(accepted["urls"]["task"], url);
    let socket = format!("ws://127.0.0.1:{}/ws/{task}", server.port);
    assert_eq!(accepted["urls"]["socket"], socket);
    let view = server.ended(task);
    assert_eq!(view["status"], "complete", "{view}");
    assert_eq!(view["verification"], "given_tests");
    check_history(&server.events(task));
    // What is answered is there after a crash that follows at once.
    let last = server.submit(&json!({"prompt": STUB}));
    server.crash();
    let server = Server::start(&home, GOOD, &[]);
    assert_eq!(server.ended(&last)["status"], "complete");
}

#[test]
fn odd_names_are_refused_and_are_never_a_path() {
    let home = Home::new();
    std::fs::write(home.data_dir().join("secret.py"), "secret = 1\n").unwrap();
    let server = Server::start(&home, GOOD, &[]);
    for name in [
        "..%2f..%2fetc%2fpasswd",
        "%2e%2e",
        ".hidden",
        "a%00b",
        "a%0ab",
        "%F0%9F%90%B1",
        "a%20b",
        "%ff",
        "%3Cscript%3E",
    ] {
        let answer = server.get(&format!("{TASKS}/{name}"));
        answer.problem(422);
    }
    let task = server.submit(&json!({"prompt": STUB}));
    server.ended(&task);
    for path in [
        "../secret.py",
        "%2e%2e/secret.py",
        "..%2fsecret.py",
        "%2fetc%2fpasswd",
        "solution.py%00",
        "./solution.py",
    ] {
        let answer = server.get(&format!("{TASKS}/{task}/files/{path}"));
        assert_eq!(answer.status, 404, "{path}: {}", answer.text());
    }
}

#[test]
fn the_same_key_and_content_is_the_same_task_and_other_content_a_conflict() {
    let home = Home::new();
    let server = Server::start(&home, SLOW, &[]);
    let keyed = |prompt: &str| json!({"prompt": prompt, "idempotency_key": "key-1"});
    let first = server.post(TASKS, &keyed("x")).expect(202);
    let again = server.post(TASKS, &keyed("x")).expect(202);
    assert_eq!(again["task_id"], first["task_id"]);
    assert_eq!(again["sequence"], first["sequence"]);
    assert_eq!(again["is_duplicate"], true);
    let other = server.post(TASKS, &keyed("y")).problem(409);
    assert_eq!(other["field"], "idempotency_key", "{other}");
    // The header says the same.
    let headers = [
        ("Content-Type", "application/json"),
        ("Idempotency-Key", "key-1"),
    ];
    let by_header = server.ask("POST", TASKS, &headers, br#"{"prompt":"x"}"#);
    assert_eq!(by_header.expect(202)["task_id"], first["task_id"]);
    // After a crash as well.
    server.crash();
    let server = Server::start(&home, SLOW, &[]);
    let later = server.post(TASKS, &keyed("x")).expect(202);
    assert_eq!(later["task_id"], first["task_id"]);
    assert_eq!(
        server.get(TASKS).expect(200)["tasks"]
            .as_array()
            .unwrap()
            .len(),
        1
    );
}

#[test]
fn a_full_queue_refuses_with_a_hint_and_who_waits_is_admitted_when_a_place_frees() {
    let home = Home::new();
    let small = ["--queue-capacity", "1", "--max-concurrent", "1"];
    let server = Server::start(&home, SLOW, &small);
    let running = server.submit(&json!({"prompt": "x"}));
    server.wait(&running, "running");
    let waiting = server.submit(&json!({"prompt": "x"}));
    assert_eq!(server.task(&waiting)["status"], "queued");
    let refused = server.post(TASKS, &json!({"prompt": "x", "task_id": "refused"}));
    let problem = refused.problem(429);
    let seconds: u64 = refused.header("retry-after").unwrap().parse().unwrap();
    assert!(seconds >= 1);
    assert_eq!(problem["retry_after"], seconds);
    server.get("/api/v1/tasks/refused").problem(404);
    // Who waits too long is refused as well.
    let began = Instant::now();
    server
        .post(TASKS, &json!({"prompt": "x", "wait_ms": 200}))
        .problem(429);
    assert!(began.elapsed() >= Duration::from_millis(200));
    let patient = json!({"prompt": "x", "task_id": "patient", "wait_ms": 60_000});
    std::thread::scope(|scope| {
        let asked = scope.spawn(|| server.post(TASKS, &patient));
        until("somebody waits for a place", || {
            let text = server.get("/metrics").text();
            text.contains("journeyman_queue_submitters_waiting 1")
                .then_some(())
        });
        server.get("/api/v1/tasks/patient").problem(404);
        server
            .post(&format!("{TASKS}/{waiting}/cancel"), &json!({}))
            .expect(200);
        assert_eq!(asked.join().unwrap().status, 202);
    });
    assert_eq!(server.task("patient")["status"], "queued");
}

#[test]
fn a_task_waits_for_those_it_depends_on_which_must_be_there() {
    let home = Home::new();
    let server = Server::start(&home, STEADY, &[]);
    server.submit(&json!({"prompt": STUB, "task_id": "first"}));
    let second = json!({"prompt": STUB, "task_id": "second", "depends_on": ["first"]});
    server.submit(&second);
    assert_eq!(server.task("second")["depends_on"], json!(["first"]));
    server.ended("second");
    let end = |task: &str| {
        server.events(task).last().unwrap()["sequence"]
            .as_u64()
            .unwrap()
    };
    let start = server.event("second", "task_started")["sequence"]
        .as_u64()
        .unwrap();
    assert!(
        start > end("first"),
        "{:?}",
        kinds(&server.events("second"))
    );
    // One that is not there is a mistake, not a reason to wait or to start at once.
    let unknown = json!({"prompt": "x", "task_id": "a", "depends_on": ["first", "b"]});
    let problem = server.post(TASKS, &unknown).problem(422);
    assert_eq!(problem["field"], "depends_on");
    let detail = problem["detail"].as_str().unwrap();
    assert!(detail.contains("there is no task b"), "{detail}");
    server.get("/api/v1/tasks/a").problem(404);
    let own = json!({"prompt": "x", "task_id": "c", "depends_on": ["c"]});
    server.post(TASKS, &own).problem(422);
}

#[test]
fn a_task_without_time_ends_at_once_and_one_that_never_yields_is_stopped() {
    let home = Home::new();
    let server = Server::start(&home, SLOW, &[]);
    let none = server.submit(&json!({"prompt": "x", "timeout": 0}));
    let view = server.ended(&none);
    assert_eq!(
        (&view["status"], &view["reason"]),
        (&json!("failed"), &json!("timeout"))
    );
    assert_eq!(count(&server.events(&none), "model_call_started"), 0);
    let short = server.submit(&json!({"prompt": "x", "timeout": 0.5}));
    let view = server.ended(&short);
    assert_eq!(
        (&view["status"], &view["reason"]),
        (&json!("failed"), &json!("timeout"))
    );
    let events = server.events(&short);
    assert_eq!(count(&events, "effect_interrupted"), 1);
    check_history(&events);
}

#[test]
fn the_most_urgent_task_is_first_and_much_more_urgent_work_takes_a_place() {
    let home = Home::new();
    let server = Server::start(&home, STEADY, &["--max-concurrent", "1"]);
    let low = server.submit(&json!({"prompt": "Make a thing", "priority": "low"}));
    server.event(&low, "module_complete");
    let medium = server.submit(&json!({"prompt": STUB, "priority": "medium"}));
    let urgent = server.submit(&json!({"prompt": STUB, "priority": "critical"}));
    let preempted = server.event(&low, "task_preempted");
    assert_eq!(preempted["data"]["by"], urgent);
    let then = format!("{TASKS}/{low}?at={}", preempted["sequence"]);
    assert_eq!(server.get(&then).expect(200)["status"], "queued");
    assert_eq!(server.ended(&urgent)["status"], "complete");
    assert_eq!(server.ended(&medium)["status"], "complete");
    let view = server.ended(&low);
    assert_eq!(view["status"], "complete", "{view}");
    let events = server.events(&low);
    check_history(&events);
    // Ten levels of difference are none: only the critical task came between.
    assert_eq!(count(&events, "task_preempted"), 1);
    assert_eq!(count(&events, "task_resumed"), 1);
    let modules = view["modules"].as_array().unwrap().len();
    assert_eq!(count(&events, "code_generated"), modules);
    let started = |task: &str| server.event(task, "task_started")["sequence"].as_u64();
    assert!(started(&urgent) < started(&medium));
}

/// A running task that holds the only place until it is cancelled, a BACKGROUND one that waited for a while,
/// and a younger, more urgent one: which of the two comes first, and which then waits?
fn after_a_while(server: &Server, while_s: f64) -> [Value; 2] {
    let holder = server.submit(&json!({"prompt": "x"}));
    server.wait(&holder, "running");
    let old = server.submit(&json!({"prompt": "x", "priority": "background"}));
    until("it has waited", || {
        let queue = server.get("/api/v1/queue").expect(200);
        (queue["oldest_waiting"].as_f64()? >= while_s).then_some(())
    });
    let young = server.submit(&json!({"prompt": "x", "priority": "medium"}));
    server.intervene(&holder, &json!({"kind": "cancel"}));
    let tasks = [old, young];
    until("one is started", || {
        let views = tasks.each_ref().map(|task| server.task(task));
        let is_one = views.iter().any(|view| view["status"] == "running");
        is_one.then(|| views.map(|view| view["status"].clone()))
    })
}

#[test]
fn with_ageing_background_work_comes_before_younger_work_that_is_more_urgent() {
    let home = Home::new();
    let limits = ["--max-concurrent", "1", "--queue-ageing", "1s"];
    let server = Server::start(&home, SLOW, &limits);
    // After three steps it stands at HIGH.
    assert_eq!(after_a_while(&server, 3.1), ["running", "queued"]);
}

#[test]
fn without_ageing_background_work_waits_for_all_that_is_more_urgent() {
    let home = Home::new();
    let server = Server::start(&home, SLOW, &["--max-concurrent", "1"]);
    assert_eq!(after_a_while(&server, 3.1), ["queued", "running"]);
}
