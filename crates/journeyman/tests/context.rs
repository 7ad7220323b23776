//! What is known of a task and what its model was asked, as people see it: on the command line and over REST.

#![allow(clippy::unwrap_used, clippy::expect_used)] // a test fails by panicking

mod common;

use common::server::{GOOD, Server};
use common::{Home, Output};
use serde_json::{Value, json};

const TASKS: &str = "/api/v1/tasks";
/// The simulated model plans three modules for it: `report` needs `helpers`, and that needs `core`.
const PROMPT: &str = "Make a things";

/// A task that has ended, and who it is.
fn ended(home: &Home, script: &str, prompt: &str) -> String {
    let run = home.simulate(script, &[prompt]);
    assert_eq!(run.code, Some(3), "{}", run.stderr);
    let tasks = home.run(&["tasks", "--json", "--limit", "1"]).json_lines();
    tasks[0]["task_id"].as_str().unwrap().to_owned()
}

fn context(home: &Home, args: &[&str]) -> Output {
    let mut all = vec!["context"];
    all.extend(args);
    home.run(&all)
}

/// What a command prints that succeeds.
fn shown(home: &Home, args: &[&str]) -> String {
    let output = context(home, args);
    assert_eq!(output.code, Some(0), "{args:?}: {}", output.stderr);
    output.stdout
}

fn events(home: &Home, task: &str, kind: &str) -> Vec<Value> {
    let events = home.run(&["events", "--task", task, "--kind", kind, "--json"]);
    events.json_lines()
}

fn sequence(event: &Value) -> String {
    event["sequence"].to_string()
}

fn call_of(home: &Home, task: &str, purpose: &str, module: &str) -> String {
    let calls = events(home, task, "model_call_started");
    let call = calls
        .iter()
        .find(|call| call["data"]["purpose"] == purpose && call["module"] == module);
    sequence(call.unwrap_or_else(|| panic!("no {purpose} of {module}: {calls:?}")))
}

#[test]
fn a_graph_is_shown_as_text_json_graphviz_and_a_drawing_whoever_holds_the_folder() {
    let home = Home::new();
    let task = ended(&home, "?latency_ms=0&wrong=0&malformed=0", PROMPT);
    let text = shown(&home, &["graph", &task]);
    for line in [
        "module:simulated.report  Part 3 of the task.",
        "    depends_on module:simulated.helpers",
        "    contains func:simulated.report.report_step",
        "    contains attempt:simulated.report@1",
    ] {
        assert!(text.lines().any(|shown| shown == line), "{line}\n{text}");
    }
    let graph = home
        .run(&["context", "graph", &task, "--json"])
        .json_lines()
        .remove(0);
    let nodes = graph["nodes"].as_array().unwrap();
    let of = |kind: &str| nodes.iter().filter(|node| node["kind"] == kind).count();
    assert_eq!((of("task"), of("module"), of("func")), (1, 3, 3), "{graph}");
    assert!(of("test") >= 3);
    let tested = graph["links"].as_array().unwrap().iter().any(|link| {
        link["relation"] == "tested_by" && link["from"] == "func:simulated.core.core_step"
    });
    assert!(tested, "{graph}");
    let dot = shown(&home, &["graph", &task, "--dot"]);
    assert!(
        dot.starts_with("digraph") && dot.contains("depends_on"),
        "{dot}"
    );
    let svg = shown(&home, &["graph", &task, "--svg"]);
    assert!(svg.starts_with("<svg") && svg.trim_end().ends_with("</svg>"));
    assert!(svg.contains("simulated.report"), "{svg}");
    let file = home.path().join("graph.svg");
    std::fs::write(&file, &svg).unwrap();
    let parse = "import sys, xml.dom.minidom; xml.dom.minidom.parse(sys.argv[1])";
    let parsed = std::process::Command::new("python3")
        .args(["-c", parse])
        .arg(&file)
        .status();
    assert!(parsed.unwrap().success(), "{svg}");
    // The same from a server, byte for byte.
    let server = Server::start(&home, GOOD, &[]);
    assert_eq!(shown(&home, &["graph", &task]), text);
    assert_eq!(shown(&home, &["graph", &task, "--svg"]), svg);
    let served = server.get(&format!("{TASKS}/{task}/graph"));
    assert_eq!(served.expect(200), graph);
    let drawn = server.get(&format!("{TASKS}/{task}/graph.svg"));
    assert_eq!((drawn.status, drawn.text()), (200, svg));
    assert_eq!(drawn.header("content-type"), Some("image/svg+xml"));
    assert_eq!(drawn.header("x-content-type-options"), Some("nosniff"));
    assert_eq!(server.get(&format!("{TASKS}/{task}/graph.dot")).text(), dot);
}

#[test]
fn a_graph_is_that_of_the_moment_and_what_is_related_comes_with_arrows_within_its_tokens() {
    let home = Home::new();
    let task = ended(&home, "?latency_ms=0&wrong=0&malformed=0", PROMPT);
    let planned = sequence(&events(&home, &task, "planning_complete")[0]);
    let first = sequence(&events(&home, &task, "code_generated")[0]);
    let kinds = |at: &str| {
        let graph = context(&home, &["graph", &task, "--at", at, "--json"])
            .json_lines()
            .remove(0);
        assert_eq!(graph["sequence"].to_string(), at);
        let nodes = graph["nodes"].as_array().unwrap().clone();
        let of = |kind: &str| nodes.iter().filter(|node| node["kind"] == kind).count();
        (of("module"), of("func"))
    };
    assert_eq!(kinds(&planned), (3, 0));
    assert_eq!(kinds(&first), (3, 1));
    let time = &events(&home, &task, "planning_complete")[0]["occurred_at"];
    let by_time = shown(&home, &["graph", &task, "--at", time.as_str().unwrap()]);
    assert!(!by_time.contains("func:"), "{by_time}");
    let now = shown(&home, &["graph", &task]);
    assert_eq!(
        shown(&home, &["graph", &task, "--at", "2999-01-01T00:00:00Z"]),
        now
    );
    let related = shown(
        &home,
        &[
            "graph",
            &task,
            "--focus",
            "simulated.report",
            "--depth",
            "3",
        ],
    );
    assert!(
        related.contains("[-> simulated.helpers -> simulated.core -> core_step] def core_step("),
        "{related}"
    );
    let near = shown(
        &home,
        &[
            "graph",
            &task,
            "--focus",
            "simulated.report",
            "--depth",
            "1",
        ],
    );
    assert!(
        near.contains("[-> simulated.helpers]") && !near.contains("core_step"),
        "{near}"
    );
    let none = shown(
        &home,
        &["graph", &task, "--focus", "report_step", "--tokens", "0"],
    );
    assert!(none.contains(" more, beyond the tokens"), "{none}");
    let found = shown(&home, &["graph", &task, "--search", "core step"]);
    assert!(
        found
            .lines()
            .next()
            .unwrap()
            .contains("func:simulated.core.core_step"),
        "{found}"
    );
    for (args, code, words) in [
        (&["graph", "t-nobody"][..], 1, "there is no task t-nobody"),
        (
            &["graph", &task, "--at", "0"],
            1,
            "did not exist at that point",
        ),
        (
            &["graph", &task, "--at", "soon"],
            2,
            "neither a sequence number, nor a version",
        ),
        (
            &["graph", &task, "--focus", "steps"],
            2,
            "the graph has nothing called \"steps\"",
        ),
        (
            &["graph", &task, "--focus", "core_step", "--depth", "4"],
            2,
            "from 1 to 3",
        ),
        (&["graph", &task, "--depth", "2"], 2, "--focus"),
        (
            &["graph", &task, "--dot", "--svg"],
            2,
            "cannot be used with",
        ),
    ] {
        let output = context(&home, args);
        assert_eq!(output.code, Some(code), "{args:?}: {}", output.stderr);
        assert!(output.stderr.contains(words), "{args:?}: {}", output.stderr);
    }
    let server = Server::start(&home, GOOD, &[]);
    for (query, field) in [
        ("focus=steps", "focus"),
        ("focus=", "focus"),
        ("search=", "search"),
        ("focus=core_step&depth=0", "depth"),
        ("focus=core_step&depth=x", "depth"),
        ("focus=core_step&tokens=1000001", "tokens"),
        ("at=-1", "at"),
        ("more=1", "more"),
    ] {
        let problem = server
            .get(&format!("{TASKS}/{task}/graph?{query}"))
            .problem(422);
        assert_eq!(problem["field"], field, "{query} {problem}");
    }
    server
        .get(&format!("{TASKS}/{task}/graph?at=0"))
        .problem(404);
    server.get(&format!("{TASKS}/t-nobody/graph")).problem(404);
}

#[test]
fn the_prompt_of_a_call_is_printed_byte_for_byte_and_taken_apart_with_the_reasons() {
    let home = Home::new();
    let task = ended(&home, "?latency_ms=0&wrong=0&malformed=0", PROMPT);
    let at = call_of(&home, &task, "code", "simulated.report");
    let sent = &events(&home, &task, "model_call_started")
        .into_iter()
        .find(|call| sequence(call) == at)
        .unwrap()["data"]["messages"];
    for (nth, message) in sent.as_array().unwrap().iter().enumerate() {
        let nth = (nth + 1).to_string();
        let bytes = shown(&home, &["show", &task, "--at", &at, "--message", &nth]);
        assert_eq!(
            format!("b3:{}", blake3::hash(bytes.as_bytes())),
            message["blob"].as_str().unwrap()
        );
    }
    let user = shown(&home, &["show", &task, "--at", &at, "--message", "2"]);
    // What the module needs is shown by another source, and what that needs by the graph.
    assert!(
        user.contains("# Module simulated.core exists too\n[-> simulated.helpers -> simulated.core -> core_step] def core_step("),
        "{user}"
    );
    let whole = shown(&home, &["show", &task, "--at", &at]);
    assert!(
        whole.starts_with("==== system ====\n") && whole.contains(&user),
        "{whole}"
    );
    let pieces = shown(&home, &["show", &task, "--at", &at, "--pieces"]);
    assert!(
        pieces.starts_with(&format!("code simulated.report at {at}: ")),
        "{pieces}"
    );
    assert!(
        pieces
            .lines()
            .any(|line| line.contains("related code of simulated.core")
                && line.contains("relations away")),
        "{pieces}"
    );
    let view = context(&home, &["show", &task, "--at", &at, "--json"])
        .json_lines()
        .remove(0);
    let server = Server::start(&home, GOOD, &[]);
    let served = server
        .get(&format!("{TASKS}/{task}/context?at={at}"))
        .expect(200);
    assert_eq!(served, view);
    // Over REST too a point is a position or a time.
    let submitted = &events(&home, &task, "task_submitted")[0];
    let (began, ended) = (
        submitted["occurred_at"].as_str().unwrap(),
        "2999-01-01T00:00:00Z",
    );
    for what in ["", "/context", "/graph", "/graph.svg", "/files", "/summary"] {
        let path = |at: &str| format!("{TASKS}/{task}{what}?at={at}");
        let now = server.get(&format!("{TASKS}/{task}{what}")).text();
        assert_eq!(server.get(&path(ended)).text(), now, "{what}");
        server.get(&path("1999-01-01T00:00:00Z")).problem(404);
        for bad in ["yesterday", "-1", "2026-11-21", "9223372036854775808"] {
            assert_eq!(
                server.get(&path(bad)).problem(422)["field"],
                "at",
                "{what} {bad}"
            );
        }
    }
    let then = server
        .get(&format!("{TASKS}/{task}?at={began}"))
        .expect(200);
    assert_eq!(then["revision"], 1, "{then}");
    assert_eq!(shown(&home, &["show", &task, "--at", &at]), whole);
    drop(server);
    let first = sequence(&events(&home, &task, "task_submitted")[0]);
    for (args, code, words) in [
        (
            &["show", &task, "--at", &first][..],
            1,
            "no model call of task",
        ),
        (&["show", "t-nobody"], 1, "there is no task t-nobody"),
        (&["show", &task, "--message", "3"], 2, "has 2 messages"),
        (&["show", &task, "--message", "0"], 2, "from 1"),
    ] {
        let output = context(&home, args);
        assert_eq!(output.code, Some(code), "{args:?}: {}", output.stderr);
        assert!(output.stderr.contains(words), "{args:?}: {}", output.stderr);
    }
}

#[test]
fn two_calls_are_compared_piece_by_piece_within_a_task_and_between_two() {
    let home = Home::new();
    let task = ended(&home, "?latency_ms=0&wrong=0&malformed=0", PROMPT);
    let other = ended(&home, "?latency_ms=0&wrong=0&malformed=0", PROMPT);
    let helpers = call_of(&home, &task, "code", "simulated.helpers");
    let report = call_of(&home, &task, "code", "simulated.report");
    let told = shown(&home, &["diff", &helpers, &report]);
    let has = |change: &str, piece: &str| {
        told.lines()
            .any(|line| line.starts_with(change) && line.contains(piece))
    };
    assert!(has("same", "task") && has("same", "system"), "{told}");
    assert!(has("came", "related code of simulated.core"), "{told}");
    assert!(has("went", "outline of simulated.core"), "{told}");
    assert!(has("changed", "plan"), "{told}");
    assert!(told.contains("==== plan ====\n@@"), "{told}");
    // A call has the same name whichever way it is named, and is compared with itself.
    let by_task = format!("{task}@{report}");
    let same = context(&home, &["diff", &report, &by_task, "--json"])
        .json_lines()
        .remove(0);
    assert_eq!(same["from"], same["to"]);
    let changes = same["pieces"].as_array().unwrap();
    assert!(
        changes.len() > 4 && changes.iter().all(|piece| piece["change"] == "same"),
        "{same}"
    );
    let between = context(&home, &["diff", &by_task, &other, "--json"])
        .json_lines()
        .remove(0);
    assert_eq!(
        (&between["from"]["task_id"], &between["to"]["task_id"]),
        (&json!(task), &json!(other))
    );
    let server = Server::start(&home, GOOD, &[]);
    assert_eq!(shown(&home, &["diff", &helpers, &report]), told);
    let path = format!("{TASKS}/{other}/context/diff?from={report}&from_task={task}");
    assert_eq!(server.get(&path).expect(200), between);
    for (query, field) in [
        ("", "from"),
        ("?from=x", "from"),
        ("?from=1&from_task=%20", "from_task"),
    ] {
        let problem = server
            .get(&format!("{TASKS}/{task}/context/diff{query}"))
            .problem(422);
        assert_eq!(problem["field"], field, "{query} {problem}");
    }
    server
        .get(&format!("{TASKS}/{task}/context/diff?from=1"))
        .problem(404);
    for (args, code, words) in [
        (&["diff", "1", "999999"][..], 1, "there is no event 999999"),
        (&["diff", &task, "t-nobody"], 1, "there is no task t-nobody"),
        (&["diff", &task, "a b"], 2, "task_id"),
        (&["diff", &task, "t-1@x"], 2, "whole number"),
    ] {
        let output = context(&home, args);
        assert_eq!(output.code, Some(code), "{args:?}: {}", output.stderr);
        assert!(output.stderr.contains(words), "{args:?}: {}", output.stderr);
    }
}

#[test]
fn what_is_known_of_all_tasks_is_searched_and_a_damaged_file_of_it_is_made_anew() {
    let home = Home::new();
    assert_eq!(shown(&home, &["search", "anything"]), "");
    let task = ended(&home, "?latency_ms=0&wrong=0&malformed=0", PROMPT);
    let other = ended(
        &home,
        "?latency_ms=0&wrong=0&malformed=0",
        "Count the zebras",
    );
    let told = shown(&home, &["search", "the zebra counter"]);
    assert!(
        told.starts_with(&format!("{other}  task:{other}")),
        "{told}"
    );
    // Both tasks have it, and the newer one comes first.
    let told = shown(&home, &["search", "reportStep"]);
    for (line, task) in told.lines().zip([&other, &task]) {
        let start = format!("{task}  func:simulated.report.report_step");
        assert!(line.starts_with(&start), "{told}");
    }
    assert_eq!(
        shown(&home, &["search", "reportStep", "--limit", "1"])
            .lines()
            .count(),
        1
    );
    let file = home.data_dir().join("knowledge.db");
    std::fs::write(&file, "no database").unwrap();
    assert_eq!(shown(&home, &["search", "reportStep"]), told);
    assert!(home.data_dir().join("knowledge.db.damaged").exists());
    let server = Server::start(&home, GOOD, &[]);
    assert_eq!(shown(&home, &["search", "reportStep"]), told);
    let found = server
        .get("/api/v1/search?words=reportStep&limit=1")
        .expect(200);
    assert_eq!(found["hits"][0]["task_id"], other.as_str());
    assert_eq!(
        (found["hits"].as_array().unwrap().len(), &found["behind"]),
        (1, &json!(0))
    );
    // It is brought up to date while tasks come and go.
    let third = server.submit(&json!({"prompt": "Weigh the walrus"}));
    let found = server.get("/api/v1/search?words=walrus").expect(200);
    assert_eq!(found["hits"][0]["task_id"], third.as_str());
    server.ended(&third);
    for (query, field) in [
        ("", "words"),
        ("?words=", "words"),
        ("?words=x&limit=0", "limit"),
    ] {
        let problem = server.get(&format!("/api/v1/search{query}")).problem(422);
        assert_eq!(problem["field"], field, "{query} {problem}");
    }
    let empty = context(&home, &["search", " "]);
    assert_eq!(empty.code, Some(2), "{}", empty.stderr);
}

#[test]
fn a_task_a_module_and_a_function_are_summarised_whoever_holds_the_folder() {
    let home = Home::new();
    let task = ended(&home, "?latency_ms=0&wrong=0&malformed=0", PROMPT);
    let text = shown(&home, &["summary", &task]);
    for line in [
        "goal            Make a things",
        "3 of 3 modules are complete",
        "origin          extracted",
    ] {
        assert!(text.contains(line), "{text}");
    }
    let module = context(&home, &["summary", &task, "simulated.report", "--json"]);
    let module: Value = serde_json::from_str(&module.stdout).unwrap();
    assert_eq!(module["summary"]["of"], "module");
    assert!(
        module["summary"]["dependencies"]
            .to_string()
            .contains("simulated.helpers")
    );
    let function = module["summary"]["functions"][0]
        .as_str()
        .unwrap()
        .to_owned();
    let text = shown(
        &home,
        &["summary", &task, &format!("simulated.report.{function}")],
    );
    assert!(text.contains(&format!("def {function}(")), "{text}");
    // Before there was code.
    let planned = sequence(&events(&home, &task, "planning_complete")[0]);
    let early = shown(
        &home,
        &["summary", &task, "simulated.report", "--at", &planned],
    );
    assert!(early.contains("no code yet"), "{early}");
    let before = context(&home, &["summary", &task, "simulated.report", "--at", "1"]);
    assert_eq!(before.code, Some(1));
    assert!(before.stderr.contains("had no plan"), "{}", before.stderr);
    let missing = context(&home, &["summary", &task, "nothing"]);
    assert_eq!(missing.code, Some(1));
    assert!(
        missing.stderr.contains("its modules are: simulated.core"),
        "{}",
        missing.stderr
    );
    let server = Server::start(&home, GOOD, &[]);
    let same = context(&home, &["summary", &task, "simulated.report", "--json"]);
    let over_rest = server
        .get(&format!("{TASKS}/{task}/summary?name=simulated.report"))
        .expect(200);
    assert_eq!(serde_json::from_str::<Value>(&same.stdout).unwrap(), module);
    assert_eq!(over_rest, module);
}

#[test]
fn an_event_is_shown_with_its_causal_chain_and_what_is_about_the_same_module() {
    let home = Home::new();
    let task = ended(&home, "?latency_ms=0&wrong=0&malformed=0", PROMPT);
    let other = ended(&home, "?latency_ms=0&wrong=0&malformed=0", PROMPT);
    let code = &events(&home, &task, "code_generated")[1];
    let about = sequence(code);
    let told = home
        .run(&["events", "--about", &about, "--last", "6", "--json"])
        .json_lines();
    assert_eq!(told.len(), 6);
    let positions: Vec<u64> = told
        .iter()
        .map(|event| event["sequence"].as_u64().unwrap())
        .collect();
    assert!(positions.is_sorted());
    let has = |kind: &str| told.iter().any(|event| event["kind"] == kind);
    // The answer that brought the code, and the call for it.
    assert!(
        has("code_generated") && has("model_call_completed") && has("model_call_started"),
        "{told:?}"
    );
    let all = home
        .run(&["events", "--about", &about, "--last", "1000", "--json"])
        .json_lines();
    assert!(
        all.iter().all(|event| event["task_id"] == task.as_str()),
        "another than {other} only"
    );
    assert!(all.iter().all(|event| event["module"].is_null()
        || event["module"] == code["module"]
        || event["causation_id"].is_string()));
    let nothing = home.run(&["events", "--about", "999999"]);
    assert_eq!(nothing.code, Some(1));
    assert!(
        nothing.stderr.contains("there is no event 999999"),
        "{}",
        nothing.stderr
    );
    let server = Server::start(&home, GOOD, &[]);
    let page = server
        .get(&format!("{TASKS}/{task}/events?about={about}&limit=6"))
        .expect(200);
    let over_rest: Vec<u64> = page["events"]
        .as_array()
        .unwrap()
        .iter()
        .map(|event| event["sequence"].as_u64().unwrap())
        .collect();
    assert_eq!(over_rest, positions);
    server
        .get(&format!("{TASKS}/{other}/events?about={about}"))
        .problem(404);
    server
        .get(&format!("{TASKS}/{task}/events?about={about}&after=3"))
        .problem(422);
}
