//! What the server answers where the same is asked twice, at once or in two ways, and where something is
//! asked for that cannot be.

#![allow(clippy::unwrap_used, clippy::expect_used)] // a test fails by panicking

mod common;

use std::io::{Read, Write};
use std::net::TcpStream;

use common::Home;
use common::server::{Answer, GOOD, SLOW, Server, count};
use serde_json::{Value, json};

const TASKS: &str = "/api/v1/tasks";
/// A position that no test's journal reaches.
const AHEAD: &str = "99999999";

#[test]
fn whoever_asks_for_what_another_has_just_done_is_answered_the_same() {
    let home = Home::new();
    let server = Server::start(&home, SLOW, &["--max-concurrent", "1"]);
    let busy = server.submit(&json!({"prompt": "x"}));
    server.event(&busy, "model_call_started");
    for (kind, status, event) in [
        ("pause", "paused", "task_paused"),
        ("cancel", "cancelled", "task_cancelled"),
    ] {
        for _ in 0..10 {
            let task = server.submit(&json!({"prompt": "x"}));
            let ask = || server.intervene(&task, &json!({"kind": kind}));
            let answers: Vec<Answer> = std::thread::scope(|scope| {
                let asked: Vec<_> = (0..2).map(|_| scope.spawn(ask)).collect();
                asked.into_iter().map(|one| one.join().unwrap()).collect()
            });
            for answer in answers {
                assert_eq!(answer.expect(200)["status"], status);
            }
            assert_eq!(count(&server.events(&task), event), 1, "{kind} once");
        }
    }
    // What runs is resumed without anything happening.
    let before = server.events(&busy).len();
    for _ in 0..2 {
        let resumed = server.intervene(&busy, &json!({"kind": "resume"}));
        assert_eq!(resumed.expect(200)["status"], "running");
    }
    assert_eq!(server.events(&busy).len(), before);
}

/// Posts with these keys in headers.
fn keyed(server: &Server, path: &str, keys: &[&str], body: &str) -> Answer {
    let mut headers = vec![("Content-Type", "application/json")];
    headers.extend(keys.iter().map(|key| ("Idempotency-Key", *key)));
    server.ask("POST", path, &headers, body.as_bytes())
}

#[test]
fn another_try_and_a_fork_read_their_bodies_and_keys() {
    let home = Home::new();
    let server = Server::start(&home, SLOW, &[]);
    let task = server.submit(&json!({"prompt": "x", "task_id": "first"}));
    let at = server.events(&task)[0]["sequence"].as_u64().unwrap();
    let retry = format!("{TASKS}/{task}/retry");
    let fork = format!("{TASKS}/{task}/fork?at={at}");
    for (body, status, field) in [
        (r#"{"task_id":"x"}"#, 422, json!("task_id")),
        (r#"{"bogus":1}"#, 422, json!("bogus")),
        ("[]", 422, json!("body")),
        ("not json", 400, json!(null)),
    ] {
        let problem = keyed(&server, &retry, &[], body).problem(status);
        assert_eq!(problem["field"], field, "{body}");
    }
    for (path, key) in [(&retry, "again"), (&fork, "fork")] {
        let first = keyed(&server, path, &[key], "").expect(202);
        assert_eq!(first["is_duplicate"], false);
        let in_body = json!({"idempotency_key": key}).to_string();
        for (keys, body) in [(&[key][..], "{}"), (&[], &in_body), (&[key], &in_body)] {
            let again = keyed(&server, path, keys, body).expect(202);
            assert_eq!(again["task_id"], first["task_id"], "{path} {body}");
            assert_eq!(again["sequence"], first["sequence"]);
            assert_eq!(again["is_duplicate"], true);
        }
    }
    // A key is for one thing.
    let other = keyed(&server, &fork, &["again"], r#"{"priority":"low"}"#).problem(409);
    assert_eq!(other["field"], "idempotency_key");
    let all = server.get(TASKS).expect(200);
    assert_eq!(all["tasks"].as_array().unwrap().len(), 3);
}

#[test]
fn a_position_at_which_nothing_is_says_so() {
    let home = Home::new();
    let server = Server::start(&home, SLOW, &[]);
    server.submit(&json!({"prompt": "x"}));
    let task = server.submit(&json!({"prompt": "y"}));
    server.event(&task, "model_call_started");
    let first = server.events(&task)[0]["sequence"].as_u64().unwrap();
    for (query, says) in [
        ("?at=0", format!("begins at position {first}")),
        (
            &format!("?at={}", first - 1),
            format!("begins at position {first}"),
        ),
        ("?at=1000000000000000", "nothing is recorded".to_owned()),
        ("", "query parameter `at`".to_owned()),
    ] {
        let forked = server.post(&format!("{TASKS}/{task}/fork{query}"), &json!({}));
        let problem = forked.problem(422);
        assert_eq!(problem["field"], "at", "{query}");
        let detail = problem["detail"].as_str().unwrap();
        assert!(detail.contains(&says), "{query}: {detail}");
    }
    let nobody = server.post(&format!("{TASKS}/nobody/fork?at=0"), &json!({}));
    nobody.problem(404);

    for path in [
        format!("{TASKS}/{task}/events?after={AHEAD}"),
        format!("{TASKS}/{task}/stream?after={AHEAD}"),
        format!("/api/v1/events?after={AHEAD}"),
    ] {
        assert_eq!(server.get(&path).problem(422)["field"], "after", "{path}");
    }
    let stream = format!("{TASKS}/{task}/stream");
    let ahead = server.ask("GET", &stream, &[("Last-Event-ID", AHEAD)], b"");
    assert_eq!(ahead.problem(422)["field"], "Last-Event-ID");
    for path in ["/ws".to_owned(), format!("/ws/{task}")] {
        let mut socket = server.socket(&format!("{path}?after={AHEAD}"));
        assert_eq!(socket.hear(), Err(4422), "{path}");
        let largest = format!("{path}?after={}", u64::MAX);
        assert!(matches!(server.socket_from(&largest, &[]), Err(422)));
    }
}

/// Sends exactly this, and gives the first line and the body of the answer.
fn raw(server: &Server, request: &str) -> (String, String) {
    let mut stream = TcpStream::connect(("127.0.0.1", server.port)).unwrap();
    stream.write_all(request.as_bytes()).unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    let (head, body) = answer.split_once("\r\n\r\n").unwrap();
    (head.lines().next().unwrap().to_owned(), body.to_owned())
}

#[test]
fn without_a_host_only_the_questions_of_simple_programs_are_answered() {
    let home = Home::new();
    let server = Server::start(&home, GOOD, &[]);
    for (path, more, status) in [
        ("/health", "", "200"),
        ("/ready", "", "200"),
        ("/metrics", "", "200"),
        ("/health", "Origin: http://evil.example\r\n", "400"),
        ("/health", "Host: evil.example\r\n", "403"),
        ("/health", "Host:\r\n", "403"),
        (TASKS, "", "400"),
    ] {
        let (line, body) = raw(&server, &format!("GET {path} HTTP/1.0\r\n{more}\r\n"));
        assert!(line.contains(status), "{path} {more}: {line}");
        if status == "400" {
            assert!(body.contains("has no `Host`"), "{body}");
        }
    }
}

/// Calls a tool over MCP, as a client without sessions.
fn call(server: &Server, name: &str, arguments: &Value) -> Value {
    const VERSION: &str = "2026-07-28";
    let meta = json!({
        "io.modelcontextprotocol/protocolVersion": VERSION,
        "io.modelcontextprotocol/clientInfo": {"name": "test", "version": "1"},
        "io.modelcontextprotocol/clientCapabilities": {},
    });
    let params = json!({"name": name, "arguments": arguments, "_meta": meta});
    let body = json!({"jsonrpc": "2.0", "id": 7, "method": "tools/call", "params": params});
    let headers = [
        ("Content-Type", "application/json"),
        ("Accept", "application/json, text/event-stream"),
        ("MCP-Protocol-Version", VERSION),
        ("Mcp-Method", "tools/call"),
        ("Mcp-Name", name),
    ];
    let answer = server.ask("POST", "/mcp", &headers, body.to_string().as_bytes());
    let text = answer.text();
    let mut data = text.lines().filter_map(|line| line.strip_prefix("data: {"));
    match data.next_back() {
        Some(data) => serde_json::from_str(&format!("{{{data}")).unwrap(),
        None => answer.json(),
    }
}

#[test]
fn a_tools_arguments_may_be_the_text_of_an_object_and_nothing_else() {
    let home = Home::new();
    let server = Server::start(&home, SLOW, &[]);
    let task = server.submit(&json!({"prompt": "x"}));
    let text = json!({"task_id": task}).to_string();
    let answer = call(&server, "get_task_status", &json!(text));
    let view = &answer["result"]["structuredContent"];
    assert_eq!(view["task_id"], task, "{answer}");
    for arguments in [json!([1]), json!(5), json!("[1]"), json!("much")] {
        let answer = call(&server, "get_task_status", &arguments);
        assert_eq!(answer["error"]["code"], -32602, "{arguments}: {answer}");
        let words = answer["error"]["message"].as_str().unwrap();
        assert!(words.contains("`arguments`"), "{words}");
    }
}

#[test]
fn what_given_tests_do_not_show_is_told_wherever_the_task_is() {
    let home = Home::new();
    let server = Server::start(&home, GOOD, &[]);
    let tests = "import unittest\nfrom simulated.core import core_step\n\n\n\
                 def test_step():\n    assert core_step(4) == 5\n\n\n\
                 class Later(unittest.TestCase):\n    @unittest.skip('later')\n    \
                 def test_later(self):\n        self.fail()\n";
    let file = json!({"name": "test_part.py", "source": tests});
    let task = server.submit(&json!({"prompt": "Make it", "tests": [file]}));
    let view = server.ended(&task);
    let remarks = view["remarks"].as_array().unwrap();
    assert_eq!(remarks.len(), 1, "{view}");
    let remark = remarks[0].as_str().unwrap();
    assert!(remark.contains("1 of your tests was skipped"), "{remark}");
    let told = call(&server, "wait_for_task", &json!({"task_id": task}));
    let told = &told["result"]["structuredContent"];
    assert!(
        told.to_string().contains("1 of your tests was skipped"),
        "{told}"
    );
    let shown = home.run(&["resume", &task, "--json"]).json_lines();
    assert_eq!(shown.last().unwrap()["remarks"], view["remarks"]);
    let bare = server.submit(&json!({"prompt": "Make it"}));
    assert_eq!(server.task(&bare)["remarks"], json!([]));
}
