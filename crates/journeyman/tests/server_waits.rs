//! What a task waits for before it starts, and what it does not.

#![allow(clippy::unwrap_used, clippy::expect_used)] // a test fails by panicking

mod common;

use common::Home;
use common::server::{GOOD, SLOW, STUB, Server, count, kinds};
use serde_json::{Value, json};

const TASKS: &str = "/api/v1/tasks";

fn kind(server: &Server, task: &str, kind: &str) {
    server.intervene(task, &json!({ "kind": kind })).expect(200);
}

fn end(server: &Server, task: &str) {
    server
        .post(&format!("{TASKS}/{task}/cancel"), &json!({}))
        .expect(200);
}

/// Everything that could start has: one that was submitted later has.
fn started_later(server: &Server) {
    let later = server.submit(&json!({"prompt": "x"}));
    server.event(&later, "model_call_started");
    end(server, &later);
}

#[test]
fn a_task_waits_for_one_that_rests_or_asks_until_that_has_ended() {
    let home = Home::new();
    let mut server = Server::start(&home, SLOW, &[]);
    let rests = server.submit(&json!({"prompt": "x"}));
    let early = server.submit(&json!({"prompt": "x", "depends_on": [rests]}));
    server.event(&rests, "model_call_started");
    kind(&server, &rests, "pause");
    let late = server.submit(&json!({"prompt": "x", "depends_on": [rests, rests]}));
    let waiting = [early, late];
    let all_wait = |server: &Server| {
        started_later(server);
        for task in &waiting {
            assert_eq!(server.task(task)["status"], "queued", "{task}");
        }
    };
    all_wait(&server);
    let shown = home.run(&["show", &waiting[0]]).stdout;
    assert!(
        shown.contains(&format!("waits for  {rests} (paused)")),
        "{shown}"
    );
    // So it is after a restart, and when it goes on.
    server.crash();
    server = Server::start(&home, SLOW, &[]);
    all_wait(&server);
    kind(&server, &rests, "resume");
    all_wait(&server);
    kind(&server, &rests, "pause");
    all_wait(&server);
    // It ends where it rests.
    end(&server, &rests);
    for task in &waiting {
        server.event(task, "model_call_started");
    }
    drop(server);

    let home = Home::new();
    let server = Server::start(&home, "latency_ms=0&wrong=0&malformed=0&questions=1", &[]);
    let asks = server.submit(&json!({"prompt": "Make a thing", "ask": true}));
    server.event(&asks, "questions_asked");
    let waits = server.submit(&json!({"prompt": STUB, "depends_on": [asks]}));
    server.ended(&server.submit(&json!({"prompt": STUB})));
    assert_eq!(server.task(&waits)["status"], "queued");
    let answer = json!({"kind": "answer", "answer": "Blue."});
    server.intervene(&asks, &answer).expect(200);
    server.ended(&waits);
    let end = server.task(&asks)["sequence"].as_u64().unwrap();
    let start = server.event(&waits, "task_started")["sequence"].as_u64();
    assert!(start.unwrap() > end, "{:?}", kinds(&server.events(&waits)));
}

#[test]
fn a_circle_is_named_also_over_tasks_that_rest() {
    let one_at_a_time = ["--max-concurrent", "1"];
    let start = |home: &Home| {
        let server = Server::start(home, SLOW, &one_at_a_time);
        let busy = server.submit(&json!({"prompt": "x"}));
        server.event(&busy, "model_call_started");
        server
    };
    // A task is brought from elsewhere without the one that it waits for.
    let elsewhere = Home::new();
    let there = start(&elsewhere);
    there.submit(&json!({"prompt": "x", "task_id": "b"}));
    there.submit(&json!({"prompt": "x", "task_id": "a", "depends_on": ["b"]}));
    kind(&there, "a", "pause");
    drop(there);
    let exported = elsewhere.path().join("a.jsonl");
    let exported = exported.to_str().unwrap();
    let export = elsewhere.run(&["journal", "export", "--task", "a", "--out", exported]);
    assert_eq!(export.code, Some(0), "{}", export.stderr);
    let home = Home::new();
    let import = home.run(&["journal", "import", exported]);
    assert_eq!(import.code, Some(0), "{}", import.stderr);
    let mut server = start(&home);
    server.submit(&json!({"prompt": "x", "task_id": "other"}));
    let check = |server: &Server| {
        let ring = json!({"prompt": "x", "task_id": "b", "depends_on": ["other", "a"]});
        let problem = server.post(TASKS, &ring).problem(422);
        assert_eq!(problem["field"], "depends_on");
        let detail = problem["detail"].as_str().unwrap();
        assert!(detail.starts_with("b waits for a waits for b"), "{detail}");
        server.get(&format!("{TASKS}/b")).problem(404);
    };
    check(&server);
    server.crash();
    server = Server::start(&home, SLOW, &one_at_a_time);
    check(&server);
    // What ends closes none.
    end(&server, "a");
    server.submit(&json!({"prompt": "x", "task_id": "b", "depends_on": ["a"]}));
}

#[test]
fn a_task_without_time_ends_at_once_however_long_the_queue_is() {
    let home = Home::new();
    let server = Server::start(&home, SLOW, &["--max-concurrent", "1"]);
    let busy = server.submit(&json!({"prompt": "x"}));
    server.event(&busy, "model_call_started");
    let waiting = server.submit(&json!({"prompt": "x"}));
    let dependent = server.submit(&json!({"prompt": "x", "depends_on": [waiting]}));
    let forked = |body: Value| {
        let path = format!("{TASKS}/{busy}/fork?at=1");
        let answer = server.post(&path, &body).expect(202);
        answer["task_id"].as_str().unwrap().to_owned()
    };
    let none = json!({"prompt": "x", "timeout": 0});
    server
        .intervene(&waiting, &json!({"kind": "resume", "timeout": 0}))
        .expect(200);
    let depends = json!({"prompt": "x", "timeout": 0, "depends_on": [busy]});
    let tasks = [
        server.submit(&none),
        server.submit(&depends),
        forked(json!({"timeout": 0})),
        waiting,
    ];
    for task in &tasks {
        // Not soon: it has ended when the answer is there.
        let view = server.task(task);
        assert_eq!(view["status"], "failed", "{view}");
        assert_eq!(view["reason"], "timeout", "{view}");
        let events = server.events(task);
        assert_eq!(count(&events, "task_failed"), 1);
        assert_eq!(count(&events, "task_started"), 0);
    }
    // It holds no place, and nobody waits for it.
    end(&server, &busy);
    server.event(&dependent, "model_call_started");
    drop(server);
    let server = Server::start(&home, GOOD, &[]);
    assert_eq!(server.recovered, 1);
}
