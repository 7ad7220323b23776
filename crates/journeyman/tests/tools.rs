//! Tools from the command line: `tools`, `call`, and what `doctor` says of MCP servers.

#![allow(clippy::unwrap_used, clippy::expect_used)] // a test fails by panicking

mod common;

use std::io::Write;
use std::process::Stdio;

use common::server::{GOOD, Server};
use common::{Home, Output};
use serde_json::{Value, json};

/// A second server, which is not there.
const MISSING: &str = "[mcp_servers.gone]\ncommand = \"/no/such/program\"\n";

fn with(home: &Home, config: &str, args: &[&str]) -> Output {
    let mut all = args.to_vec();
    all.extend(["--config", config]);
    home.run(&all)
}

fn named<'a>(lines: &'a [Value], kind: &str, name: &str) -> Option<&'a Value> {
    lines
        .iter()
        .find(|line| line["type"] == kind && line["name"] == name)
}

#[test]
fn tools_are_listed_without_anybody_who_works_and_without_a_trace() {
    let home = Home::bare();
    let config = home.with_mcp_server(MISSING);
    let listed = with(&home, &config, &["tools", "--json"]);
    assert_eq!(listed.code, Some(0), "{}", listed.stderr);
    let lines = listed.json_lines();
    assert_eq!(
        named(&lines, "tool", "read_file").unwrap()["permission"],
        "read"
    );
    let echo = named(&lines, "tool", "ext.echo").unwrap();
    assert_eq!(echo["input_schema"]["required"], json!(["text"]));
    let server = named(&lines, "server", "ext").unwrap();
    assert_eq!(
        (&server["state"], &server["tools"]),
        (&json!("ready"), &json!(4))
    );
    let gone = named(&lines, "server", "gone").unwrap();
    assert_eq!(gone["state"], "unavailable");
    assert!(!home.data_dir().exists(), "nothing is opened");
    assert!(home.path().join("mcp_server_ended").exists());

    let text = with(&home, &config, &["tools"]).stdout;
    assert!(text.contains("ext.echo"), "{text}");
    assert!(text.contains("MCP server ext: ready, 4 tools"), "{text}");
    let gone = "MCP server gone: not there: cannot start \"/no/such/program\"";
    assert!(text.contains(gone), "{text}");
}

#[test]
fn a_server_that_is_slow_is_waited_for_and_one_that_never_answers_only_so_long() {
    let home = Home::bare();
    let more =
        "[mcp_servers.mute]\ncommand = \"sleep\"\nargs = [\"1000\"]\nstart_timeout_ms = 700\n";
    let config = home.with_mcp_server(&format!("{more}{MISSING}"));
    let text = with(&home, &config, &["tools"]).stdout;
    assert!(text.contains("ext: ready"), "{text}");
    assert!(
        text.contains("mute: not there: not ready within 0.7 s"),
        "{text}"
    );
}

#[test]
fn the_one_who_works_is_asked_for_its_tools_and_to_call_them() {
    let home = Home::new();
    let config = home.with_mcp_server("");
    let server = Server::start(&home, GOOD, &["--config", &config]);
    let task = server.resting();
    // Without the configuration: what is listed is what that process has.
    let lines = home.run(&["tools", "--json"]).json_lines();
    assert!(named(&lines, "tool", "ext.echo").is_some());
    assert_eq!(named(&lines, "server", "ext").unwrap()["state"], "ready");

    let said = home.run(&["call", &task, "ext.echo", r#"{"text": "hello"}"#]);
    assert_eq!(
        (said.code, said.stdout.as_str()),
        (Some(0), "hello\n"),
        "{}",
        said.stderr
    );
    let read = home.run(&[
        "call",
        &task,
        "read_file",
        r#"{"path": "solution.py"}"#,
        "--json",
    ]);
    assert!(
        read.json_lines()[0]["text"]
            .as_str()
            .unwrap()
            .contains("def step")
    );

    let mut piped = home.command(&["call", &task, "ext.echo", "-"]);
    let piped = piped.stdin(Stdio::piped()).stdout(Stdio::piped());
    let mut child = piped.spawn().unwrap();
    let mut input = child.stdin.take().unwrap();
    input.write_all(br#"{"text": "piped"}"#).unwrap();
    drop(input);
    let output = child.wait_with_output().unwrap();
    assert_eq!(output.stdout, b"piped\n");

    let wrong = home.run(&["call", &task, "read_file", r#"{"path": 7}"#]);
    assert_eq!(wrong.code, Some(1));
    assert!(
        wrong.stderr.contains("read_file (arguments)"),
        "{}",
        wrong.stderr
    );
    let failed = home.run(&["call", &task, "ext.die", "--json"]);
    assert_eq!(failed.code, Some(1));
    assert_eq!(failed.json_lines()[0]["kind"], "unavailable");
    let unknown = home.run(&["call", &task, "read_fil"]);
    assert_eq!(unknown.code, Some(1));
    assert!(unknown.stderr.contains("read_file"), "{}", unknown.stderr);
    for no_object in ["[]", "7", "{", "text"] {
        let wrong = home.run(&["call", &task, "ext.echo", no_object]);
        assert_eq!(wrong.code, Some(2), "{}", wrong.stderr);
    }
    let recorded = server.events(&task);
    let calls = recorded
        .iter()
        .filter(|event| event["kind"] == "tool_executing");
    assert_eq!(calls.count(), 4);
}

#[test]
fn where_nobody_works_a_call_says_what_is_needed() {
    let home = Home::new();
    let called = home.run(&["call", "t-1", "list_files"]);
    assert_eq!(called.code, Some(1));
    assert!(
        called.stderr.contains("journeyman serve"),
        "{}",
        called.stderr
    );
}

#[test]
fn doctor_has_a_line_for_each_server() {
    let home = Home::new();
    let config = home.with_mcp_server(MISSING);
    let doctor = with(&home, &config, &["doctor", "--model-url", "sim:"]);
    assert_eq!(doctor.code, Some(1), "one is not there");
    assert!(
        doctor.stdout.contains("ok  mcp        ext: ready, 4 tools"),
        "{}",
        doctor.stdout
    );
    assert!(
        doctor.stdout.contains("NO  mcp        gone: not there"),
        "{}",
        doctor.stdout
    );

    // One that somebody else runs is not started again, and one that they do not know is told.
    let config = home.with_mcp_server("");
    let _server = Server::start(&home, GOOD, &["--config", &config]);
    let config = home.with_mcp_server(MISSING);
    let doctor = with(&home, &config, &["doctor", "--model-url", "sim:", "--json"]);
    let lines = doctor.json_lines();
    let checks: Vec<&Value> = lines.iter().filter(|line| line["check"] == "mcp").collect();
    assert_eq!(checks.len(), 2, "{}", doctor.stdout);
    assert_eq!(checks[0]["detail"]["restarts"], 0);
    assert!(
        checks[1]["text"]
            .as_str()
            .unwrap()
            .contains("started without it")
    );
}
