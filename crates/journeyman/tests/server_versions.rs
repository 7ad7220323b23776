//! What is meant for one version of a task, while the task is worked on: over REST, WebSocket and MCP, and from the
//! command line with a server and without.

#![allow(clippy::unwrap_used, clippy::expect_used)] // a test fails by panicking

mod common;

use common::server::{Answer, SLOW, STEADY, STUB, Server, check_history, count, until};
use common::{Home, Output};
use serde_json::{Value, json};

const TASKS: &str = "/api/v1/tasks";

fn version(view: &Value) -> u64 {
    view["revision"].as_u64().unwrap()
}

fn said(words: &str) -> Value {
    json!({"kind": "instruction", "instruction": words})
}

/// Does something to a task, if it has this version.
fn intervene_if(server: &Server, task: &str, version: u64, body: &Value) -> Answer {
    let tags = format!("\"{version}\"");
    let headers = [("Content-Type", "application/json"), ("If-Match", &*tags)];
    let path = format!("{TASKS}/{task}/interventions");
    server.ask("POST", &path, &headers, body.to_string().as_bytes())
}

/// A task whose model takes its time, so that its version stays for a while.
fn busy(server: &Server) -> String {
    let task = server.submit(&json!({"prompt": "Make a thing"}));
    server.event(&task, "model_call_started");
    task
}

#[test]
fn of_many_who_stop_a_running_task_at_one_version_one_does() {
    const AT_ONCE: usize = 64;
    let home = Home::new();
    let server = Server::start(&home, SLOW, &[]);
    for (kind, status, event) in [
        ("pause", "paused", "task_paused"),
        ("cancel", "cancelled", "task_cancelled"),
    ] {
        let task = busy(&server);
        let at = version(&server.task(&task));
        let ask = || intervene_if(&server, &task, at, &json!({"kind": kind}));
        let answers: Vec<Answer> = std::thread::scope(|scope| {
            let asked: Vec<_> = (0..AT_ONCE).map(|_| scope.spawn(ask)).collect();
            asked.into_iter().map(|one| one.join().unwrap()).collect()
        });
        let (done, refused): (Vec<Answer>, Vec<Answer>) =
            answers.into_iter().partition(|answer| answer.status == 200);
        assert_eq!((done.len(), refused.len()), (1, AT_ONCE - 1), "{kind}");
        assert_eq!(done[0].expect(200)["status"], status);
        for answer in refused {
            let problem = answer.problem(412);
            assert!(problem["version"].as_u64().unwrap() > at, "{problem}");
        }
        let events = server.events(&task);
        check_history(&events);
        let requested = server.event(&task, "stop_requested");
        assert_eq!(requested["revision"], at + 1);
        assert_eq!(
            (&requested["actor"], &requested["data"]["stop"]),
            (&json!("user"), &json!(kind))
        );
        assert_eq!(count(&events, "stop_requested"), 1);
        assert_eq!(count(&events, event), 1);
    }
}

#[test]
fn what_is_done_to_a_task_that_goes_on_is_done_at_the_version_that_was_meant_or_not_at_all() {
    let home = Home::new();
    let server = Server::start(&home, STEADY, &[]);
    let task = server.submit(&json!({"prompt": "Make a thing"}));
    let (mut accepted, mut refused, mut n) = (Vec::new(), 0, 0);
    // What was seen is old by the time that it is used, now and then.
    let last = until("the task ends", || {
        let view = server.task(&task);
        if view["status"] == "complete" {
            return Some(view);
        }
        n += 1;
        let at = version(&view);
        let words = format!("wish {n}");
        let answer = intervene_if(&server, &task, at, &said(&words));
        match answer.status {
            200 => accepted.push((at, words)),
            412 => refused += 1,
            _ => panic!("{}", answer.text()),
        }
        let stale = at.saturating_sub(1);
        intervene_if(&server, &task, stale, &said("stale")).problem(412);
        None
    });
    let events = server.events(&task);
    check_history(&events);
    assert!(!accepted.is_empty(), "{refused} were refused");
    for (at, words) in &accepted {
        let event = &events[usize::try_from(*at).unwrap()];
        assert_eq!(event["kind"], "user_intervention");
        assert_eq!(event["data"]["instruction"], json!(words));
    }
    assert_eq!(count(&events, "user_intervention"), accepted.len());
    assert_eq!(version(&last), events.len() as u64);
}

#[test]
fn a_task_goes_on_after_a_stop_that_was_meant_for_a_version_and_repeats_nothing() {
    let home = Home::new();
    let server = Server::start(&home, STEADY, &[]);
    let task = server.submit(&json!({"prompt": "Make a thing"}));
    server.event(&task, "module_complete");
    let paused = until("it is paused at the version that was seen", || {
        let at = version(&server.task(&task));
        let answer = intervene_if(&server, &task, at, &json!({"kind": "pause"}));
        (answer.status == 200).then(|| answer.json())
    });
    assert_eq!(
        (&paused["status"], &paused["pause"]),
        (&json!("paused"), &json!("user"))
    );
    server.crash();
    let server = Server::start(&home, STEADY, &[]);
    assert_eq!(server.recovered, 0, "it rests until its user resumes it");
    let resumed = intervene_if(&server, &task, version(&paused), &json!({"kind": "resume"}));
    resumed.expect(200);
    assert_eq!(server.ended(&task)["status"], "complete");
    let events = server.events(&task);
    check_history(&events);
    assert_eq!(count(&events, "stop_requested"), 1);
    // Nothing of the request is part of a fork.
    let at = events.last().unwrap()["sequence"].as_u64().unwrap();
    let fork = server.post(&format!("{TASKS}/{task}/fork?at={at}"), &json!({}));
    let fork = fork.expect(202)["task_id"].as_str().unwrap().to_owned();
    server.ended(&fork);
    assert_eq!(count(&server.events(&fork), "stop_requested"), 0);
}

#[test]
fn a_websocket_carries_versions_both_ways() {
    let home = Home::new();
    let server = Server::start(&home, SLOW, &[]);
    let task = busy(&server);
    let at = version(&server.task(&task));
    let mut socket = server.socket(&format!("/ws/{task}"));
    let seen = socket.hear_until("model_call_started");
    assert_eq!(
        seen.last().unwrap()["revision"],
        at,
        "events carry the version"
    );
    let mut say = |id: u64, version: Value, intervention: Value| {
        socket.say(&json!({
            "type": "intervene", "id": id, "if_version": version, "intervention": intervention,
        }));
        loop {
            let message = socket.hear().unwrap();
            if message["type"] != "event" {
                assert_eq!(message["id"], id);
                return message;
            }
        }
    };
    let done = say(1, json!(at), said("one"));
    assert_eq!(
        (&done["type"], &done["version"]),
        (&json!("done"), &json!(at + 1))
    );
    assert_eq!(done["task"]["revision"], at + 1);
    let answer = server.get(&format!("{TASKS}/{task}"));
    assert_eq!(Some(done["etag"].as_str().unwrap()), answer.header("etag"));
    let refused = say(2, json!(at), said("two"));
    assert_eq!(
        (&refused["type"], &refused["problem"]["status"]),
        (&json!("problem"), &json!(412))
    );
    assert_eq!(refused["problem"]["version"], at + 1);
    assert_eq!(refused["problem"]["etag"], done["etag"]);
    assert_eq!(say(3, json!(null), said("three"))["version"], at + 2);
    assert_eq!(
        say(4, json!(at + 2), json!({"kind": "pause"}))["task"]["status"],
        "paused"
    );
    check_history(&server.events(&task));
}

/// Runs a command that does something to a task at a version, and gives what it printed as JSON.
fn done(output: &Output) -> Value {
    assert_eq!(output.code, Some(0), "{}", output.stderr);
    output.json_lines().remove(0)
}

#[test]
fn the_command_line_says_which_version_is_meant_with_a_server_and_without() {
    let home = Home::new();
    let server = Server::start(&home, SLOW, &[]);
    let task = busy(&server);
    let mut server = Some(server);
    for with_server in [true, false] {
        if !with_server {
            assert_eq!(server.take().unwrap().stop(), Some(0));
        }
        let shown = home.run(&["show", &task, "--json"]).json_lines().remove(0);
        let at = version(&shown);
        let (now, next, old) = (at.to_string(), (at + 1).to_string(), (at - 1).to_string());
        let refused = |args: &[&str]| {
            let output = home.run(&[args, &["--if-version", &old]].concat());
            assert_eq!(output.code, Some(1), "{args:?}");
            let words = format!("is at version {at}");
            assert!(
                output.stderr.contains(&words),
                "{args:?}: {}",
                output.stderr
            );
        };
        let first = home
            .run(&["events", "--task", &task, "--json"])
            .json_lines();
        let first = first[0]["sequence"].to_string();
        for args in [
            &["tell", &task, "stale"][..],
            &["answer", &task, "stale"],
            &["skip", &task, "stale"],
            &["pause", &task],
            &["cancel", &task],
            &["retry", &task],
            &["fork", &task, "--at", &first],
        ] {
            refused(args);
        }
        let tell = ["tell", &task, "more", "--json", "--if-version"];
        let told = done(&home.run(&[&tell[..], &[&now]].concat()));
        assert_eq!(told["version"], at + 1, "{told}");
        let (what, status) = if with_server {
            ("pause", "paused")
        } else {
            ("cancel", "cancelled")
        };
        let stop = [what, &task, "--json", "--if-version", &next];
        let stopped = done(&home.run(&stop));
        assert_eq!(stopped["status"], status, "{stopped}");
        assert_eq!(home.run(&stop).code, Some(1), "it has another version now");
        let forked = done(&home.run(&["fork", &task, "--at", &format!("v{at}"), "--json"]));
        let forked = home.run(&["show", forked["task_id"].as_str().unwrap(), "--json"]);
        assert_eq!(
            done(&forked)["submission"]["fork"]["sequence"],
            shown["sequence"]
        );
        let ahead = home.run(&["fork", &task, "--at", "v999"]);
        assert_eq!(ahead.code, Some(1));
        assert!(ahead.stderr.contains("no version 999"), "{}", ahead.stderr);
        for wrong in [
            ["pause", "--if-version", "-1"],
            ["fork", "--at", "2001-01-01T00:00:00Z"],
        ] {
            let [command, flag, value] = wrong;
            let wrong = home.run(&[command, &task, flag, value]);
            assert_eq!(wrong.code, Some(2), "{}", wrong.stderr);
        }
    }
}

#[test]
fn resume_says_which_version_is_meant() {
    let home = Home::new();
    let server = Server::start(&home, STEADY, &[]);
    let task = server.submit(&json!({"prompt": STUB}));
    server.event(&task, "code_generated");
    let paused = server
        .intervene(&task, &json!({"kind": "pause"}))
        .expect(200);
    let at = version(&paused);
    for (version, code) in [(at - 1, 1), (at, 0)] {
        let version = version.to_string();
        let output = home.run(&["resume", &task, "--if-version", &version]);
        assert_eq!(output.code, Some(code), "{}", output.stderr);
        if code == 1 {
            let words = format!("is at version {at}");
            assert!(output.stderr.contains(&words), "{}", output.stderr);
            assert_eq!(version_now(&server, &task), at, "it rests");
        }
    }
    assert_eq!(server.task(&task)["status"], "complete");
}

fn version_now(server: &Server, task: &str) -> u64 {
    version(&server.task(task))
}

#[test]
fn a_tool_is_called_at_the_version_that_was_meant_and_the_steps_after_it_at_what_it_made() {
    let home = Home::new();
    let server = Server::start(&home, STEADY, &[]);
    let task = server.resting();
    let at = version_now(&server, &task);
    let steps = json!({"steps": [
        {"name": "list_files", "arguments": {}},
        {"name": "list_files", "arguments": {}},
    ]});
    let call = |version: u64| {
        let tags = format!("\"{version}\"");
        let headers = [("Content-Type", "application/json"), ("If-Match", &*tags)];
        let path = format!("{TASKS}/{task}/tools");
        server.ask("POST", &path, &headers, steps.to_string().as_bytes())
    };
    let problem = call(at - 1).problem(412);
    assert_eq!(problem["version"], at);
    assert_eq!(version_now(&server, &task), at, "nothing was called");
    let called = call(at).expect(200);
    assert_eq!(called["completed"].as_array().unwrap().len(), 2, "{called}");
    assert_eq!(version_now(&server, &task), at + 4);
    let old = at.to_string();
    let refused = home.run(&["call", &task, "list_files", "--if-version", &old]);
    assert_eq!(refused.code, Some(1));
    let words = format!("is at version {}", at + 4);
    assert!(refused.stderr.contains(&words), "{}", refused.stderr);
}

#[test]
fn of_many_who_call_a_tool_at_one_version_one_does() {
    let home = Home::new();
    let server = Server::start(&home, STEADY, &[]);
    let task = server.resting();
    let tags = format!("\"{}\"", version_now(&server, &task));
    let steps = json!({"steps": [{"name": "list_files", "arguments": {}}]}).to_string();
    let path = format!("{TASKS}/{task}/tools");
    let ask = || {
        let headers = [("Content-Type", "application/json"), ("If-Match", &*tags)];
        server.ask("POST", &path, &headers, steps.as_bytes()).status
    };
    let statuses: Vec<u16> = std::thread::scope(|scope| {
        let asked: Vec<_> = (0..32).map(|_| scope.spawn(ask)).collect();
        asked.into_iter().map(|one| one.join().unwrap()).collect()
    });
    let of = |status: u16| statuses.iter().filter(|one| **one == status).count();
    assert_eq!((of(200), of(412)), (1, 31), "{statuses:?}");
    assert_eq!(count(&server.events(&task), "tool_executing"), 1);
}
