//! Tools and agents over the interface: what may be called by whom, what is recorded of it, and who is
//! at work.

#![allow(clippy::unwrap_used, clippy::expect_used)] // a test fails by panicking

mod common;

use common::Home;
use common::server::{
    Answer, GOOD, SLOW, STUB, Server, check_history, count, kinds, tokens, until,
};
use serde_json::{Value, json};

const TASKS: &str = "/api/v1/tasks";

fn call(server: &Server, task: &str, steps: &Value) -> Answer {
    server.post(&format!("{TASKS}/{task}/tools"), &json!({ "steps": steps }))
}

/// The only call's end.
fn one(server: &Server, task: &str, name: &str, arguments: &Value) -> Value {
    let answer = call(
        server,
        task,
        &json!([{"name": name, "arguments": arguments}]),
    );
    answer.expect(200)["completed"][0].clone()
}

fn names(list: &Value) -> Vec<&str> {
    let tools = list["tools"].as_array().unwrap().iter();
    tools.map(|tool| tool["name"].as_str().unwrap()).collect()
}

/// A server with an external MCP server called `ext`, and a task that rests with its code.
fn with_external(home: &Home, more: &str) -> (Server, String) {
    let config = home.with_mcp_server(more);
    let server = Server::start(home, GOOD, &["--config", &config]);
    let task = server.resting();
    (server, task)
}

#[test]
fn tools_are_listed_with_what_they_take_and_reach_for() {
    let home = Home::new();
    let (server, _) = with_external(&home, "");
    let list = server.get("/api/v1/tools").expect(200);
    let known = names(&list);
    for name in [
        "read_file",
        "list_files",
        "run_tests",
        "run_command",
        "ext.echo",
        "ext.hang",
    ] {
        assert!(known.contains(&name), "{name}: {known:?}");
    }
    let tools = list["tools"].as_array().unwrap();
    let of = |name: &str| tools.iter().find(|tool| tool["name"] == name).unwrap();
    assert_eq!(of("read_file")["permission"], "read");
    assert_eq!(of("read_file")["server"], Value::Null);
    assert_eq!(of("read_file")["input_schema"]["type"], "object");
    assert_eq!(of("ext.echo")["permission"], "external");
    assert_eq!(of("ext.echo")["server"], "ext");
    assert_eq!(of("ext.echo")["is_repeatable"], true);
    assert_eq!(of("ext.hang")["is_repeatable"], false);
    assert_eq!(list["servers"][0]["state"], "ready");
}

#[test]
fn a_call_sees_its_task_and_is_recorded_with_its_end() {
    let home = Home::new();
    let server = Server::start(&home, GOOD, &[]);
    let task = server.resting();
    let read = one(&server, &task, "read_file", &json!({"path": "solution.py"}));
    assert_eq!(read["outcome"], "ok", "{read}");
    assert!(
        read["text"].as_str().unwrap().contains("def step"),
        "{read}"
    );
    let tests = one(&server, &task, "run_tests", &json!({}));
    assert!(
        tests["text"].as_str().unwrap().contains("passed"),
        "{tests}"
    );
    let command = json!({"command": ["python", "-c", "import solution; print(solution.step(41))"]});
    let ran = one(&server, &task, "run_command", &command);
    assert!(ran["text"].as_str().unwrap().contains("42"), "{ran}");
    let events = server.events(&task);
    let executing: Vec<&Value> = events
        .iter()
        .filter(|e| e["kind"] == "tool_executing")
        .collect();
    let completed: Vec<&Value> = events
        .iter()
        .filter(|e| e["kind"] == "tool_completed")
        .collect();
    assert_eq!((executing.len(), completed.len()), (3, 3));
    for (intent, outcome) in executing.iter().zip(&completed) {
        assert_eq!(outcome["causation_id"], intent["id"]);
        assert_eq!(
            (&intent["actor"], &outcome["actor"]),
            (&json!("user"), &json!("user"))
        );
    }
    assert_eq!(
        server.task(&task)["status"],
        "paused",
        "a call changes nothing of the task"
    );
}

#[test]
fn a_call_that_does_not_fit_is_refused_with_the_reason_and_recorded_once() {
    let home = Home::new();
    let server = Server::start(&home, GOOD, &[]);
    let task = server.resting();
    for (name, arguments, kind, words) in [
        ("read_fil", json!({}), "unknown", "read_file"),
        ("read_file", json!({}), "arguments", "path"),
        ("read_file", json!({"path": 7}), "arguments", "path"),
        ("read_file", json!({"path": "../x"}), "arguments", "path"),
        (
            "read_file",
            json!({"path": "/etc/passwd"}),
            "arguments",
            "path",
        ),
        (
            "read_file",
            json!({"path": "a.py", "more": 1}),
            "arguments",
            "more",
        ),
    ] {
        let before = count(&server.events(&task), "tool_completed");
        let answer = call(
            &server,
            &task,
            &json!([{"name": name, "arguments": arguments}]),
        );
        // Which tools there are is known before anything is called; arguments are looked at then.
        if kind == "unknown" {
            let problem = answer.problem(409);
            assert!(
                problem["detail"].as_str().unwrap().contains(words),
                "{problem}"
            );
        } else {
            let ended = &answer.expect(200)["completed"][0];
            assert_eq!(
                (&ended["outcome"], &ended["kind"]),
                (&json!("refused"), &json!(kind)),
                "{ended}"
            );
            assert!(ended["text"].as_str().unwrap().contains(words), "{ended}");
        }
        let events = server.events(&task);
        assert_eq!(count(&events, "tool_completed"), before + 1);
        assert_eq!(count(&events, "tool_executing"), 0, "nothing was called");
    }
    let failed = one(&server, &task, "read_file", &json!({"path": "nobody.py"}));
    assert_eq!(failed["outcome"], "failed");
    call(&server, &task, &json!([])).problem(422);
    let many: Vec<Value> = (0..17).map(|_| json!({"name": "list_files"})).collect();
    call(&server, &task, &json!(many)).problem(422);
    call(&server, "t-nobody", &json!([{"name": "list_files"}])).problem(404);
}

#[test]
fn a_chain_hands_results_on_and_stops_at_the_first_that_fails() {
    let home = Home::new();
    let (server, task) = with_external(&home, "");
    let steps = json!([
        {"name": "read_file", "arguments": {"path": "solution.py"}},
        {"name": "ext.echo", "arguments": {"text": {"$from": 0}}},
        {"name": "read_file", "arguments": {"path": "nobody.py"}},
        {"name": "list_files", "arguments": {}},
    ]);
    let chain = call(&server, &task, &steps).expect(200);
    let completed = chain["completed"].as_array().unwrap();
    assert_eq!(completed.len(), 3);
    assert!(
        completed[1]["text"].as_str().unwrap().contains("def step"),
        "{chain}"
    );
    assert_eq!(chain["stopped_at"], 2);
    assert!(
        chain["reason"].as_str().unwrap().contains("nobody.py"),
        "{chain}"
    );
    let ahead =
        json!([{"name": "ext.echo", "arguments": {"text": {"$from": 1}}}, {"name": "list_files"}]);
    call(&server, &task, &ahead).problem(422);
}

#[test]
fn a_server_that_hangs_or_dies_ends_the_call_alone_and_comes_back() {
    let home = Home::new();
    let (server, task) = with_external(&home, "");
    let hung = one(&server, &task, "ext.hang", &json!({}));
    assert_eq!(
        (&hung["outcome"], &hung["kind"]),
        (&json!("failed"), &json!("timed_out")),
        "{hung}"
    );
    let dead = one(&server, &task, "ext.die", &json!({}));
    assert_eq!(dead["outcome"], "failed", "{dead}");
    let said = until("it is back", || {
        let answer = call(
            &server,
            &task,
            &json!([{"name": "ext.echo", "arguments": {"text": "hello"}}]),
        );
        (answer.status == 200)
            .then(|| answer.json()["completed"][0].clone())
            .filter(|end| end["outcome"] == "ok")
    });
    assert_eq!(said["text"], "hello");
    let environment = one(&server, &task, "ext.secret", &json!({}));
    assert!(
        !environment["text"].as_str().unwrap().contains("JOURNEYMAN"),
        "{environment}"
    );
}

#[test]
fn a_server_that_was_started_may_end_by_itself_when_we_stop() {
    let home = Home::new();
    let (server, _) = with_external(&home, "");
    assert_eq!(server.stop(), Some(0));
    assert!(home.path().join("mcp_server_ended").exists());
}

#[test]
fn a_call_ends_when_whoever_made_it_leaves() {
    let home = Home::new();
    let server = Server::start(&home, GOOD, &[]);
    let task = server.resting();
    let body = json!({"steps": [{"name": "run_command", "arguments": {"command": ["python", "-c", "import time; time.sleep(50)"]}}]});
    let stream = server.begin_post(&format!("{TASKS}/{task}/tools"), &body);
    server.event(&task, "tool_executing");
    drop(stream);
    let completed = server.event(&task, "tool_completed");
    assert_eq!(completed["data"]["kind"], "cancelled", "{completed}");
}

/// What the simulated model does with tools: as the task's text says.
fn using(wishes: &[&str]) -> String {
    let lines: Vec<String> = wishes
        .iter()
        .map(|wish| format!("Use the tool {wish}"))
        .collect();
    format!("Make a thing.\n{}", lines.join("\n"))
}

#[test]
fn an_agent_calls_the_tools_that_its_task_allows_and_reads_what_they_say() {
    let home = Home::new();
    let (server, _) = with_external(&home, "");
    let prompt = using(&[
        "ext.echo with {\"text\": \"the zebra sleeps\"}",
        "write_file with {\"path\": \"a.py\", \"content\": \"x\"}",
    ]);
    let task = server.submit(&json!({"prompt": prompt, "tools": ["*"]}));
    let view = server.ended(&task);
    assert_eq!(view["status"], "complete", "{view}");
    let events = server.events(&task);
    check_history(&events);
    let first = |kind: &str| {
        events
            .iter()
            .position(|event| event["kind"] == kind)
            .unwrap()
    };
    let started = &events[first("agent_started")];
    assert_eq!(started["actor"], "planner");
    assert_eq!(started["data"]["purpose"], "look_up");
    let offered = started["data"]["tools"].to_string();
    assert!(
        offered.contains("ext.echo") && !offered.contains("write_file"),
        "{offered}"
    );
    assert!(first("agent_started") < first("agent_step"));
    assert!(first("agent_step") < first("tool_executing"));
    assert!(first("tool_executing") < first("tool_completed"));
    assert!(first("tool_completed") < first("agent_completed"));
    let completed = &events[first("tool_completed")];
    assert_eq!(completed["data"]["text"], "the zebra sleeps");
    let refused = events
        .iter()
        .find(|event| event["data"]["outcome"] == "refused")
        .unwrap();
    assert!(
        refused["data"]["text"]
            .as_str()
            .unwrap()
            .contains("write_file"),
        "{refused}"
    );
    // Every agent that began has ended, and what the tool said was part of the next prompt.
    assert_eq!(
        count(&events, "agent_started"),
        count(&events, "agent_completed")
    );
    let at = completed["sequence"].as_u64().unwrap();
    let call = events
        .iter()
        .find(|e| e["kind"] == "model_call_started" && e["sequence"].as_u64() > Some(at))
        .unwrap();
    let context = server
        .get(&format!("{TASKS}/{task}/context?at={}", call["sequence"]))
        .expect(200);
    assert!(context["messages"].to_string().contains("the zebra sleeps"));
}

#[test]
fn what_was_looked_up_is_known_to_every_agent_after_it() {
    let home = Home::new();
    let (server, _) = with_external(&home, "");
    let prompt = using(&["ext.echo with {\"text\": \"the zebra sleeps\"}"]);
    let task = server.submit(&json!({"prompt": prompt, "tools": ["ext.*"]}));
    assert_eq!(server.ended(&task)["status"], "complete");
    let events = server.events(&task);
    let calls = events
        .iter()
        .filter(|event| event["kind"] == "tool_executing");
    assert_eq!(calls.count(), 1, "once for all");
    let asked = events
        .iter()
        .filter(|event| event["kind"] == "model_call_started");
    for (at, call) in asked.enumerate() {
        let path = format!("{TASKS}/{task}/context?at={}", call["sequence"]);
        let messages = server.get(&path).expect(200)["messages"].to_string();
        // In the task's own text it stands too.
        let times = messages.matches("the zebra sleeps").count();
        assert_eq!(times > 1, at > 0, "{call}");
    }
}

#[test]
fn an_agent_calls_tools_while_it_works_and_asks_again_until_it_may_no_more() {
    let home = Home::new();
    let server = Server::start(&home, GOOD, &[]);
    let wish = |text: &str| format!("Then use the tool {text}");
    let command = "run_command with {\"command\": [\"python\", \"-c\", \"print(6 * 7)\"]}";
    let lines = [
        "Make a thing.".to_owned(),
        wish("list_files with {}"),
        wish(command),
    ];
    let task = server.submit(&json!({"prompt": lines.join("\n"), "tools": ["*"]}));
    assert_eq!(server.ended(&task)["status"], "complete");
    let events = server.events(&task);
    check_history(&events);
    let coder = |kind: &str| {
        events
            .iter()
            .filter(|e| e["kind"] == kind && e["actor"] == "coder")
            .count()
    };
    assert!(coder("agent_step") >= 2, "one step for each");
    assert_eq!(coder("tool_executing"), coder("tool_completed"));
    let ran = events
        .iter()
        .find(|e| e["kind"] == "tool_completed" && e["data"]["tool"] == "run_command");
    assert!(
        ran.unwrap()["data"]["text"]
            .as_str()
            .unwrap()
            .contains("42")
    );
    assert_eq!(
        count(&events, "agent_started"),
        count(&events, "agent_completed")
    );
}

#[test]
fn an_agent_is_offered_no_tools_where_nobody_says_so() {
    let home = Home::new();
    let server = Server::start(&home, GOOD, &[]);
    let task = server.submit(&json!({"prompt": using(&["list_files with {}"])}));
    assert_eq!(server.ended(&task)["status"], "complete");
    let events = server.events(&task);
    assert!(!kinds(&events).contains(&"tool_completed"));
    assert!(
        events
            .iter()
            .all(|event| event["data"]["tools"] == Value::Null)
    );
    let bad = json!({"prompt": "x", "tools": ["no such name!"]});
    assert_eq!(server.post(TASKS, &bad).problem(422)["field"], "tools");
}

#[test]
fn a_tool_call_that_a_crash_cut_off_is_made_again_only_if_that_is_safe() {
    let home = Home::new();
    let (server, _) = with_external(&home, "");
    let prompt = using(&["ext.hang with {}"]);
    let task = server.submit(&json!({"prompt": prompt, "tools": ["ext.*"]}));
    server.event(&task, "tool_executing");
    server.crash();
    let config = home.path().join("config.toml").display().to_string();
    let server = Server::start(&home, GOOD, &["--config", &config]);
    let completed = server.event(&task, "tool_completed");
    assert_eq!(completed["data"]["outcome"], "unknown", "{completed}");
    assert_eq!(server.ended(&task)["status"], "complete");
    let events = server.events(&task);
    let calls = events
        .iter()
        .filter(|e| e["kind"] == "tool_executing" && e["data"]["tool"] == "ext.hang");
    let planner = calls.filter(|event| event["actor"] == "planner").count();
    assert_eq!(planner, 1, "it was not simply made again");
    check_history(&events);
}

#[test]
fn who_is_at_work_is_known_and_forgotten_when_the_work_ends_however_that_is() {
    let home = Home::new();
    let server = Server::start(&home, SLOW, &[]);
    let agents = || {
        server.get("/api/v1/agents").expect(200)["agents"]
            .as_array()
            .unwrap()
            .clone()
    };
    assert!(agents().is_empty());
    let task = server.submit(&json!({"prompt": "Make a thing"}));
    let living = until("somebody is at work", || {
        agents().pop().filter(|agent| agent["doing"] == "asking")
    });
    assert_eq!(living["task_id"], task.as_str());
    assert_eq!(
        (&living["role"], &living["purpose"]),
        (&json!("planner"), &json!("plan"))
    );
    server
        .intervene(&task, &json!({"kind": "pause"}))
        .expect(200);
    assert!(agents().is_empty(), "who rests is not at work");
    server
        .intervene(&task, &json!({"kind": "resume"}))
        .expect(200);
    until("the same agent goes on", || {
        agents()
            .pop()
            .filter(|agent| agent["agent"] == living["agent"])
    });
    server
        .intervene(&task, &json!({"kind": "cancel"}))
        .expect(200);
    assert!(agents().is_empty());
    let events = server.events(&task);
    assert_eq!(
        count(&events, "agent_started"),
        count(&events, "agent_completed")
    );
    let late = server.submit(&json!({"prompt": "Make a thing", "timeout": 1}));
    server.ended(&late);
    assert!(agents().is_empty());
    let events = server.events(&late);
    assert_eq!(
        count(&events, "agent_started"),
        count(&events, "agent_completed")
    );
}

#[test]
fn after_a_crash_nobody_is_at_work_and_a_cancelled_task_has_no_agent_left() {
    let home = Home::new();
    let server = Server::start(&home, SLOW, &[]);
    let task = server.submit(&json!({"prompt": "Make a thing"}));
    server.event(&task, "agent_started");
    server.crash();
    let cancelled = home.run(&["cancel", &task]);
    assert_eq!(cancelled.code, Some(0), "{}", cancelled.stderr);
    let server = Server::start(&home, SLOW, &[]);
    assert_eq!(
        server.get("/api/v1/agents").expect(200)["agents"],
        json!([])
    );
    let events = server.events(&task);
    assert_eq!(
        count(&events, "agent_started"),
        count(&events, "agent_completed")
    );
    assert_eq!(server.task(&task)["status"], "cancelled");
}

#[test]
fn nothing_of_one_users_agents_files_and_tools_is_reachable_by_another() {
    let home = Home::new();
    let file = tokens(&home, &[("ada", "ada-1", "user"), ("bob", "bob-1", "user")]);
    let server = Server::start(&home, SLOW, &["--token-file", &file]).with_token("ada-1");
    let task = server.submit(&json!({"prompt": "Make a thing"}));
    until("ada's agent is at work", || {
        let agents = server.get("/api/v1/agents").expect(200);
        (!agents["agents"].as_array().unwrap().is_empty()).then_some(())
    });
    let server = server.with_token("bob-1");
    assert_eq!(
        server.get("/api/v1/agents").expect(200)["agents"],
        json!([])
    );
    for tool in [
        "read_file",
        "list_files",
        "expand_context",
        "run_tests",
        "write_file",
    ] {
        call(&server, &task, &json!([{"name": tool}])).problem(404);
    }
    // A task of the same name is another one.
    let own = json!({"prompt": STUB, "task_id": task});
    assert_eq!(server.submit(&own), task);
    let list = one(&server, &task, "list_files", &json!({}));
    assert!(
        !list["text"].as_str().unwrap_or_default().contains("core"),
        "{list}"
    );
    assert_eq!(
        server.get("/api/v1/tools").expect(200)["servers"],
        json!([]),
        "no admin"
    );
}

#[test]
fn on_a_task_that_has_ended_no_tool_is_called_and_nothing_is_recorded_after_its_end() {
    let home = Home::new();
    let (server, task) = with_external(&home, "");
    // One is under way while its task ends.
    let hangs = json!({"steps": [{"name": "ext.hang"}, {"name": "list_files"}]});
    let path = format!("{TASKS}/{task}/tools");
    let answer = std::thread::scope(|scope| {
        let called = scope.spawn(|| server.post(&path, &hangs));
        server.event(&task, "tool_executing");
        server
            .intervene(&task, &json!({"kind": "cancel"}))
            .expect(200);
        called.join().unwrap().expect(200)
    });
    assert_eq!(answer["completed"][0]["outcome"], "failed", "{answer}");
    assert_eq!(answer["stopped_at"], 0, "{answer}");
    for name in ["read_file", "list_files", "ext.echo", "no_such"] {
        let problem = call(&server, &task, &json!([{"name": name}])).problem(409);
        assert_eq!(problem["type"], "urn:journeyman:problem:task-ended");
        let detail = problem["detail"].as_str().unwrap();
        assert!(detail.contains("cancelled"), "{detail}");
    }
    let events = server.events(&task);
    assert_eq!(events.last().unwrap()["kind"], "task_cancelled");
    check_history(&events);
}
