//! A plain question: answered in words by the model, as a task like any other, and marked as what it is.

#![allow(clippy::unwrap_used, clippy::expect_used)] // a test fails by panicking

mod common;

use std::fs;

use common::Home;
use common::server::{GOOD, Server, check_history, until};
use serde_json::json;

const QUESTION: &str = "What is the difference between a list and a tuple?";
const MARK: &str = "The model's answer; nothing was run or checked.";
/// What the simulated model answers, without the escape sequences around it.
const ANSWER: &str = "The simulated answer.";
/// What is answered to the question, or why nothing is.
const KINDS: [&str; 10] = [
    "task_submitted",
    "task_started",
    "agent_started",
    "context_built",
    "model_call_started",
    "model_call_completed",
    "prompt_answered",
    "agent_completed",
    "output_started",
    "output_written",
];

#[test]
fn a_plain_question_gets_a_plain_answer_marked_as_such_and_ends_with_3() {
    let home = Home::new();
    let run = home.simulate("?latency_ms=0&malformed=0", &[QUESTION, "--out", "o"]);
    assert_eq!(run.code, Some(3), "{}{}", run.stdout, run.stderr);
    let answered = format!("{MARK}\n\n{ANSWER}\n");
    assert!(run.stdout.contains(&answered), "{}", run.stdout);
    assert!(!run.stdout.contains('\u{1b}'), "{:?}", run.stdout);
    let kinds: Vec<&str> = run
        .stdout
        .lines()
        .filter_map(|l| l.split(' ').find(|word| word.contains('_')))
        .collect();
    let kinds: Vec<&str> = kinds
        .iter()
        .map(|kind| kind.trim_end_matches(':'))
        .collect();
    assert_eq!(
        &kinds[..KINDS.len()],
        KINDS,
        "one call, and every step an event"
    );
    let read = |name: &str| fs::read_to_string(home.path().join("o").join(name)).unwrap();
    assert_eq!(read("ANSWER.md"), answered);
    let summary = read("SUMMARY.md");
    assert!(
        summary.contains(MARK) && !summary.contains("Modules"),
        "{summary}"
    );

    let json = home.simulate("?latency_ms=0&malformed=0", &[QUESTION, "--json"]);
    let lines = json.json_lines();
    let result = lines.last().unwrap();
    assert_eq!(result["answer"], ANSWER);
    assert_eq!(result["verification"], "none");
    let task = result["task_id"].as_str().unwrap();
    let shown = home.run(&["files", task, "ANSWER.md"]).stdout;
    assert_eq!(shown, answered);
    let again = home.run(&["resume", task]);
    assert_eq!(again.code, Some(3));
    assert!(again.stdout.contains(&answered), "{}", again.stdout);
}

#[test]
fn a_question_survives_a_crash_and_its_answer_is_told_over_every_interface() {
    let home = Home::new();
    let server = Server::start(&home, "latency_ms=3000&malformed=0", &[]);
    let task = server.submit(&json!({"prompt": QUESTION}));
    server.event(&task, "model_call_started");
    server.crash();
    let server = Server::start(&home, GOOD, &[]);
    let view = server.ended(&task);
    assert_eq!(view["status"], "complete", "{view}");
    assert_eq!(view["verification"], "none");
    assert_eq!(view["answer"], ANSWER);
    assert_eq!(view["result"], MARK);
    check_history(&server.events(&task));
    let headers = [
        ("Accept", "application/json, text/event-stream"),
        ("Content-Type", "application/json"),
        ("MCP-Protocol-Version", "2026-07-28"),
        ("Mcp-Method", "tools/call"),
        ("Mcp-Name", "wait_for_task"),
    ];
    let call = json!({"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": {
        "name": "wait_for_task", "arguments": {"task_id": task},
        "_meta": {"io.modelcontextprotocol/protocolVersion": "2026-07-28",
            "io.modelcontextprotocol/clientInfo": {"name": "test", "version": "1"},
            "io.modelcontextprotocol/clientCapabilities": {}}}});
    let told = until("the tool answers", || {
        let answer = server.ask("POST", "/mcp", &headers, call.to_string().as_bytes());
        Some(answer.text()).filter(|text| text.contains("structuredContent"))
    });
    assert!(
        told.contains(ANSWER) && told.contains("nothing of it was run"),
        "{told}"
    );
}
