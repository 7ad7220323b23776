//! The Model Context Protocol over HTTP: what each rule of it is, for clients of both eras. Clients that
//! are not ours are in `scripts/conformance/mcp_clients.py`.

#![allow(clippy::unwrap_used, clippy::expect_used)] // a test fails by panicking

mod common;

use std::collections::BTreeSet;
use std::io::{BufRead, BufReader};
use std::net::TcpStream;
use std::time::{Duration, Instant};

use common::Home;
use common::server::{Answer, GOOD, SLOW, STEADY, STUB, Server, check_history, tokens, until};
use serde_json::{Value, json};

const TASKS: &str = "/api/v1/tasks";
/// The revision without sessions.
const MODERN: &str = "2026-07-28";
/// The last with sessions.
const LEGACY: &str = "2025-11-25";
/// What JSON-RPC calls wrong parameters.
const INVALID_PARAMS: i64 = -32602;
/// A model that asks two questions where it may.
const ASKING: &str = "latency_ms=0&wrong=0&malformed=0&questions=2";

/// Messages as they come, over a connection that stays open.
struct Messages(BufReader<TcpStream>);

impl Iterator for Messages {
    type Item = Value;

    fn next(&mut self) -> Option<Value> {
        let mut line = String::new();
        while self.0.read_line(&mut line).unwrap_or(0) > 0 {
            if let Some(data) = line.strip_prefix("data: {") {
                return Some(serde_json::from_str(&format!("{{{data}")).unwrap());
            }
            line.clear();
        }
        None
    }
}

/// A client of one era.
#[derive(Clone)]
struct Mcp<'a> {
    server: &'a Server,
    token: &'a str,
    /// Where the era has one.
    session: Option<String>,
    capabilities: Value,
}

impl<'a> Mcp<'a> {
    fn modern(server: &'a Server, token: &'a str) -> Self {
        Self {
            server,
            token,
            session: None,
            capabilities: json!({"extensions": {"io.modelcontextprotocol/tasks": {}}}),
        }
    }

    fn legacy(server: &'a Server, token: &'a str) -> Self {
        let mut client = Self {
            session: Some(String::new()),
            ..Self::modern(server, token)
        };
        let hello = json!({
            "protocolVersion": LEGACY, "capabilities": client.capabilities,
            "clientInfo": {"name": "test", "version": "1"}
        });
        let answer = client.send("initialize", hello);
        assert_eq!(answer.status, 200, "{}", answer.text());
        client.session = Some(answer.header("mcp-session-id").unwrap().to_owned());
        let done = json!({"jsonrpc": "2.0", "method": "notifications/initialized"});
        let headers = client.headers("notifications/initialized", &json!({}));
        assert_eq!(client.post(&headers, &done).status, 202);
        client
    }

    /// The same of both eras.
    fn both(server: &'a Server, token: &'a str) -> [Self; 2] {
        [Self::modern(server, token), Self::legacy(server, token)]
    }

    fn headers(&self, method: &str, params: &Value) -> Vec<(&'static str, String)> {
        let mut headers = vec![
            ("Accept", "application/json, text/event-stream".to_owned()),
            ("Content-Type", "application/json".to_owned()),
        ];
        if !self.token.is_empty() {
            headers.push(("Authorization", format!("Bearer {}", self.token)));
        }
        match &self.session {
            None => {
                headers.push(("MCP-Protocol-Version", MODERN.to_owned()));
                headers.push(("Mcp-Method", method.to_owned()));
                let name = ["name", "uri", "taskId"]
                    .iter()
                    .find_map(|name| params[name].as_str());
                headers.push(("Mcp-Name", name.unwrap_or_default().to_owned()));
            }
            Some(session) if !session.is_empty() => {
                headers.push(("MCP-Protocol-Version", LEGACY.to_owned()));
                headers.push(("Mcp-Session-Id", session.clone()));
            }
            Some(_) => {}
        }
        headers
    }

    fn request(&self, method: &str, mut params: Value) -> Value {
        if self.session.is_none() {
            params["_meta"]["io.modelcontextprotocol/protocolVersion"] = json!(MODERN);
            params["_meta"]["io.modelcontextprotocol/clientInfo"] =
                json!({"name": "test", "version": "1"});
            params["_meta"]["io.modelcontextprotocol/clientCapabilities"] =
                self.capabilities.clone();
        }
        json!({"jsonrpc": "2.0", "id": 7, "method": method, "params": params})
    }

    fn post(&self, headers: &[(&str, String)], body: &Value) -> Answer {
        let headers: Vec<(&str, &str)> = headers.iter().map(|(n, v)| (*n, v.as_str())).collect();
        let body = body.to_string();
        self.server.ask("POST", "/mcp", &headers, body.as_bytes())
    }

    fn send(&self, method: &str, params: Value) -> Answer {
        let headers = self.headers(method, &params);
        self.post(&headers, &self.request(method, params))
    }

    /// Asks without waiting for the answer.
    fn open(&self, http: &str, method: &str, params: Value) -> Messages {
        let headers = self.headers(method, &params);
        let headers: Vec<(&str, &str)> = headers.iter().map(|(n, v)| (*n, v.as_str())).collect();
        let body = match http {
            "GET" => String::new(),
            _ => self.request(method, params).to_string(),
        };
        let stream = self.server.open(http, "/mcp", &headers, body.as_bytes());
        Messages(BufReader::new(stream))
    }

    /// All messages of an answer.
    fn messages(&self, method: &str, params: Value) -> Vec<Value> {
        let answer = self.send(method, params);
        let text = answer.text();
        let data = |line: &str| {
            let json = line
                .strip_prefix("data: ")
                .filter(|json| json.starts_with('{'))?;
            Some(serde_json::from_str(json).unwrap())
        };
        let events: Vec<Value> = text.lines().filter_map(data).collect();
        if events.is_empty() {
            vec![answer.json()]
        } else {
            events
        }
    }

    fn answer(&self, method: &str, params: Value) -> Value {
        let last = self.messages(method, params).pop().unwrap();
        assert_eq!(last["id"], 7, "{last}");
        last
    }

    fn result(&self, method: &str, params: Value) -> Value {
        let answer = self.answer(method, params);
        assert!(answer["error"].is_null(), "{answer}");
        answer["result"].clone()
    }

    fn error(&self, method: &str, params: Value) -> (i64, String) {
        let answer = self.answer(method, params);
        let error = &answer["error"];
        assert!(error.is_object(), "{answer}");
        let words = error["message"].as_str().unwrap().to_owned();
        (error["code"].as_i64().unwrap(), words)
    }

    /// What a tool gives.
    fn tool(&self, name: &str, arguments: Value) -> Value {
        let result = self.result("tools/call", json!({"name": name, "arguments": arguments}));
        assert_ne!(result["isError"], true, "{result}");
        let data = result["structuredContent"].clone();
        let text: Value =
            serde_json::from_str(result["content"][0]["text"].as_str().unwrap()).unwrap();
        assert_eq!(text, data, "the text says the same");
        data
    }

    /// What a tool says that it did not do.
    fn refused(&self, name: &str, arguments: Value) -> String {
        let result = self.result("tools/call", json!({"name": name, "arguments": arguments}));
        assert_eq!(result["isError"], true, "{result}");
        result["content"][0]["text"].as_str().unwrap().to_owned()
    }

    fn read(&self, uri: &str) -> String {
        let result = self.result("resources/read", json!({"uri": uri}));
        let content = &result["contents"][0];
        assert_eq!(content["uri"], uri);
        content["text"].as_str().unwrap().to_owned()
    }

    fn start(&self, arguments: Value) -> String {
        let result = self.result(
            "tools/call",
            json!({"name": "start_coding_task", "arguments": arguments}),
        );
        let task = if self.session.is_none() {
            &result["taskId"]
        } else {
            &result["structuredContent"]["task_id"]
        };
        task.as_str()
            .unwrap_or_else(|| panic!("{result}"))
            .to_owned()
    }

    fn ended(&self, task: &str) -> Value {
        until(&format!("{task} ends"), || {
            let waited = self.tool(
                "wait_for_task",
                json!({"task_id": task, "timeout_seconds": 5}),
            );
            (waited["is_settled"] == true).then(|| waited["task"].clone())
        })
    }
}

/// A call of every tool that is about a task.
fn calls_about(task: &str) -> Vec<(&'static str, Value)> {
    vec![
        ("get_task_status", json!({"task_id": task})),
        ("get_task_status", json!({"task_id": task, "at": 1})),
        (
            "wait_for_task",
            json!({"task_id": task, "timeout_seconds": 1}),
        ),
        ("get_files", json!({"task_id": task})),
        ("get_events", json!({"task_id": task})),
        (
            "get_events",
            json!({"task_id": task, "after": 0, "data": true, "wait_ms": 200}),
        ),
        (
            "answer_questions",
            json!({"task_id": task, "answers": [{"question": "q1", "answer": "x"}]}),
        ),
        (
            "intervene",
            json!({"task_id": task, "intervention": {"kind": "cancel"}}),
        ),
        (
            "intervene",
            json!({"task_id": task, "intervention": {"kind": "pause"}}),
        ),
        ("cancel_task", json!({"task_id": task})),
        ("delete_task", json!({"task_id": task, "reason": "a wish"})),
    ]
}

/// An address of everything that is to be read of a task.
fn uris_of(task: &str, file: &str) -> Vec<String> {
    let parts = ["", "/files", "/events", "/context", "/graph", "/graph.svg"];
    let uris = parts.iter().map(|part| format!("task://{task}{part}"));
    uris.chain([format!("task://{task}/files/{file}")])
        .collect()
}

/// A request of the protocol's own tasks, each.
fn requests_about(task: &str) -> [(&'static str, Value); 3] {
    let answer = json!({"action": "accept", "content": {"answer": "x"}});
    [
        ("tasks/get", json!({"taskId": task})),
        (
            "tasks/update",
            json!({"taskId": task, "inputResponses": {"q1": answer}}),
        ),
        ("tasks/cancel", json!({"taskId": task})),
    ]
}

#[test]
fn nothing_of_one_user_is_within_anothers_reach() {
    let home = Home::new();
    let known = [("ada", "ada-1", "user"), ("bob", "bob-1", "user")];
    let file = tokens(&home, &known);
    let server = Server::start(&home, ASKING, &["--token-file", &file]);
    let ada = Mcp::modern(&server, "ada-1");
    let done = ada.start(json!({"prompt": STUB}));
    ada.ended(&done);
    let files = ada.tool("get_files", json!({"task_id": done}));
    let path = files["files"][0]["path"].as_str().unwrap();
    let asking = ada.start(json!({"prompt": "Make a thing", "ask": true}));
    ada.ended(&asking);
    for bob in Mcp::both(&server, "bob-1") {
        for task in [&done, &asking] {
            // Word for word what he is told of a task that nobody has.
            let same = |said: String| said.replace(task.as_str(), "t-nobodys");
            for ((tool, arguments), (_, none)) in
                calls_about(task).into_iter().zip(calls_about("t-nobodys"))
            {
                let said = bob.refused(tool, arguments.clone());
                assert_eq!(same(said), bob.refused(tool, none), "{tool} {arguments}");
            }
            for (uri, none) in uris_of(task, path)
                .into_iter()
                .zip(uris_of("t-nobodys", path))
            {
                let (code, words) = bob.error("resources/read", json!({"uri": uri}));
                let (none_code, none) = bob.error("resources/read", json!({"uri": none}));
                assert_eq!((code, same(words)), (none_code, none), "{uri}");
            }
            if bob.session.is_some() {
                let uri = format!("task://{task}");
                bob.error("resources/subscribe", json!({"uri": uri}));
                continue;
            }
            for ((method, params), (_, none)) in requests_about(task)
                .into_iter()
                .zip(requests_about("t-nobodys"))
            {
                let (code, words) = bob.error(method, params);
                assert_eq!((code, same(words)), bob.error(method, none), "{method}");
            }
        }
        assert_eq!(bob.tool("list_tasks", json!({}))["tasks"], json!([]));
        assert_eq!(
            bob.result("resources/list", json!({}))["resources"],
            json!([])
        );
        for (argument, context) in [
            (json!({"name": "task_id", "value": ""}), json!({})),
            (
                json!({"name": "path", "value": ""}),
                json!({"arguments": {"task_id": done}}),
            ),
        ] {
            let reference =
                json!({"type": "ref/resource", "uri": "task://{task_id}/files/{+path}"});
            let wish = json!({"ref": reference, "argument": argument, "context": context});
            let answer = bob.answer("completion/complete", wish);
            assert_eq!(answer["result"]["completion"]["values"], json!([]));
        }
    }
    let view = ada.tool("get_task_status", json!({"task_id": asking}));
    assert_eq!(view["pause"], "question", "nothing of that did anything");
}

#[test]
fn a_session_is_its_users_alone() {
    let home = Home::new();
    let known = [("ada", "ada-1", "user"), ("bob", "bob-1", "user")];
    let file = tokens(&home, &known);
    let server = Server::start(&home, GOOD, &["--token-file", &file]);
    let hers = Mcp::legacy(&server, "ada-1");
    let stolen = Mcp {
        token: "bob-1",
        ..hers.clone()
    };
    let headers = |client: &Mcp<'_>| client.headers("", &json!({}));
    let status = |client: &Mcp<'_>, method: &str| {
        let headers = headers(client);
        let headers: Vec<(&str, &str)> = headers.iter().map(|(n, v)| (*n, v.as_str())).collect();
        server.ask(method, "/mcp", &headers, b"").status
    };
    stolen.send("tools/list", json!({})).problem(404);
    assert_eq!(status(&stolen, "GET"), 404);
    assert_eq!(status(&stolen, "DELETE"), 404);
    let nobody = Mcp {
        token: "",
        ..hers.clone()
    };
    nobody.send("tools/list", json!({})).problem(401);
    let made_up = Mcp {
        session: Some("made-up".to_owned()),
        ..hers.clone()
    };
    made_up.send("tools/list", json!({})).problem(404);
    hers.result("tools/list", json!({}));
    assert_eq!(status(&hers, "DELETE"), 204);
    assert_eq!(hers.send("tools/list", json!({})).status, 404);
}

#[test]
fn a_viewer_may_look_and_not_do() {
    let home = Home::new();
    let known = [("eve", "eve-1", "user"), ("eve", "eve-2", "viewer")];
    let file = tokens(&home, &known);
    let server = Server::start(&home, ASKING, &["--token-file", &file]);
    let doer = Mcp::modern(&server, "eve-1");
    let task = doer.start(json!({"prompt": "Make a thing", "ask": true}));
    doer.ended(&task);
    for viewer in Mcp::both(&server, "eve-2") {
        let started = viewer.refused("start_coding_task", json!({"prompt": STUB}));
        assert!(started.contains("viewer"), "{started}");
        for (tool, arguments) in calls_about(&task) {
            match tool {
                "answer_questions" | "intervene" | "cancel_task" | "delete_task" => {
                    let words = viewer.refused(tool, arguments);
                    assert!(words.contains("viewer"), "{tool}: {words}");
                }
                _ => drop(viewer.tool(tool, arguments)),
            }
        }
        viewer.read(&format!("task://{task}"));
    }
    let viewer = Mcp::modern(&server, "eve-2");
    let got = viewer.result("tasks/get", json!({"taskId": task}));
    assert_eq!(got["status"], "input_required");
    for (method, params) in requests_about(&task).into_iter().skip(1) {
        let (_, words) = viewer.error(method, params);
        assert!(words.contains("viewer"), "{method}: {words}");
    }
    // Nor by way of a look.
    let mut asked = viewer.clone();
    asked.capabilities = json!({"elicitation": {}});
    let answer = json!({"action": "accept", "content": {"answer": "x"}});
    let retry = json!({
        "name": "wait_for_task", "arguments": {"task_id": task}, "inputResponses": {"q1": answer}
    });
    assert_eq!(asked.result("tools/call", retry)["isError"], true);
    let view = doer.tool("get_task_status", json!({"task_id": task}));
    assert_eq!(view["pause"], "question");
    assert!(view["questions"][0]["answer"].is_null(), "{view}");
}

#[test]
fn only_who_is_known_and_asks_rightly_is_answered() {
    let home = Home::new();
    let file = tokens(&home, &[("ada", "ada-1", "user")]);
    let server = Server::start(&home, GOOD, &["--token-file", &file]);
    let nobody = Mcp::modern(&server, "").send("tools/list", json!({}));
    nobody.problem(401);
    assert_eq!(nobody.header("www-authenticate"), Some("Bearer"));
    Mcp::modern(&server, "another")
        .send("tools/list", json!({}))
        .problem(401);
    let ada = Mcp::modern(&server, "ada-1");
    let own = format!("http://127.0.0.1:{}", server.port);
    for (name, value, status) in [
        ("Host", "evil.example", 403),
        ("Origin", "https://evil.example", 403),
        ("Origin", "null", 403),
        ("Origin", own.as_str(), 200),
    ] {
        let mut headers = ada.headers("tools/list", &json!({}));
        headers.push((
            if name == "Host" { "Host" } else { "Origin" },
            value.to_owned(),
        ));
        let answer = ada.post(&headers, &ada.request("tools/list", json!({})));
        assert_eq!(answer.status, status, "{name}: {value}: {}", answer.text());
    }
    // A browser is told what this is, whoever looks.
    let page = server.ask("GET", "/mcp", &[("Accept", "text/html,*/*;q=0.8")], b"");
    assert_eq!(page.status, 200);
    assert!(
        page.header("content-type")
            .unwrap()
            .starts_with("text/html")
    );
    assert!(
        page.text().contains("Model Context Protocol"),
        "{}",
        page.text()
    );
    let stream = [("Accept", "text/event-stream")];
    assert_eq!(server.ask("GET", "/mcp", &stream, b"").status, 401);
}

#[test]
fn a_request_that_is_too_large_is_refused() {
    let home = Home::new();
    let server = Server::start(&home, GOOD, &[]);
    for client in Mcp::both(&server, "") {
        let many = json!({"prompt": "x".repeat(9 << 20)});
        let call = json!({"name": "start_coding_task", "arguments": many});
        assert_eq!(client.send("tools/call", call).status, 413);
        // What fits into a request and not into a task is the tool's to refuse.
        let long = client.refused("start_coding_task", json!({"prompt": "x".repeat(100_001)}));
        assert!(long.contains("prompt"), "{long}");
        assert_eq!(client.tool("list_tasks", json!({}))["tasks"], json!([]));
    }
}

#[test]
fn waiting_ends_before_a_client_gives_up_and_says_how_to_go_on() {
    let home = Home::new();
    let server = Server::start(&home, SLOW, &[]);
    for client in Mcp::both(&server, "") {
        let task = client.start(json!({"prompt": "Make a thing"}));
        let began = Instant::now();
        let wish = json!({"task_id": task, "timeout_seconds": 0.4});
        let waited = client.tool("wait_for_task", wish);
        let took = began.elapsed();
        assert!(
            took >= Duration::from_millis(400) && took < Duration::from_secs(4),
            "{took:?}"
        );
        assert_eq!(waited["is_settled"], false);
        assert_eq!(waited["task"]["task_id"], task.as_str());
        let next = waited["next"].as_str().unwrap();
        assert!(next.contains("call wait_for_task again"), "{next}");
        for bad in [
            json!(50),
            json!(49.1),
            json!(-1),
            json!(1e300),
            json!("soon"),
        ] {
            let wish = json!({"task_id": task, "timeout_seconds": bad});
            let words = client.refused("wait_for_task", wish);
            assert!(words.contains("timeout_seconds"), "{bad}: {words}");
        }
        let tools = client.result("tools/list", json!({}));
        let mut tools = tools["tools"].as_array().unwrap().iter();
        let wait = tools.find(|tool| tool["name"] == "wait_for_task").unwrap();
        let most = &wait["inputSchema"]["properties"]["timeout_seconds"];
        assert!(most["maximum"].as_f64().unwrap() < 50.0, "{most}");
        assert!(most["default"].as_f64().unwrap() < 50.0, "{most}");
        // It ends as soon as there is nothing more to wait for.
        client.tool("cancel_task", json!({"task_id": task}));
        assert_eq!(client.ended(&task)["status"], "cancelled");
    }
}

#[test]
fn progress_tells_of_every_event_once_and_rises() {
    let home = Home::new();
    let server = Server::start(&home, STEADY, &[]);
    for client in Mcp::both(&server, "") {
        let task = client.start(json!({"prompt": "Make a thing"}));
        let params = json!({
            "name": "wait_for_task", "arguments": {"task_id": task},
            "_meta": {"progressToken": "p-1"}
        });
        let messages = client.messages("tools/call", params);
        let told: Vec<f64> = messages
            .iter()
            .filter(|message| message["method"] == "notifications/progress")
            .inspect(|message| assert_eq!(message["params"]["progressToken"], "p-1"))
            .map(|message| message["params"]["progress"].as_f64().unwrap())
            .collect();
        let last = messages.last().unwrap();
        assert_eq!(
            last["result"]["structuredContent"]["is_settled"], true,
            "{last}"
        );
        assert!(told.len() > 5, "{told:?}");
        assert!(
            told.windows(2)
                .all(|two| (two[1] - two[0] - 1.0).abs() < 0.1),
            "{told:?}"
        );
        let events = u32::try_from(server.events(&task).len()).unwrap();
        assert!(
            (told.last().unwrap() - f64::from(events)).abs() < 0.1,
            "{told:?}"
        );
    }
}

#[test]
fn wrong_arguments_name_the_field_and_are_the_tools_errors() {
    let home = Home::new();
    let server = Server::start(&home, GOOD, &[]);
    let client = Mcp::modern(&server, "");
    let task = client.start(json!({"prompt": STUB}));
    for client in Mcp::both(&server, "") {
        for (tool, arguments, field) in [
            ("start_coding_task", json!({}), "prompt"),
            ("start_coding_task", json!({"prompt": " "}), "prompt"),
            ("start_coding_task", json!({"prompt": 5}), "prompt"),
            (
                "start_coding_task",
                json!({"prompt": "x", "colour": "red"}),
                "colour",
            ),
            (
                "start_coding_task",
                json!({"prompt": "x", "model": "another"}),
                "model",
            ),
            (
                "start_coding_task",
                json!({"prompt": "x", "out": "/etc"}),
                "out",
            ),
            (
                "start_coding_task",
                json!({"prompt": "x", "priority": 101}),
                "priority",
            ),
            (
                "start_coding_task",
                json!({"prompt": "x", "tests": [{"path": "a.py"}]}),
                "tests",
            ),
            ("get_task_status", json!({}), "task_id"),
            ("get_task_status", json!({"task_id": 5}), "task_id"),
            ("get_task_status", json!({"task_id": "../x"}), "task_id"),
            ("get_task_status", json!({"task_id": task, "at": -1}), "at"),
            (
                "get_task_status",
                json!({"task_id": task, "more": 1}),
                "more",
            ),
            ("wait_for_task", json!({"timeout_seconds": 1}), "task_id"),
            ("answer_questions", json!({"task_id": task}), "answers"),
            (
                "answer_questions",
                json!({"task_id": task, "answers": []}),
                "answers",
            ),
            (
                "answer_questions",
                json!({"task_id": task, "answers": [{"question": "q1"}]}),
                "answer",
            ),
            ("intervene", json!({"task_id": task}), "intervention"),
            (
                "intervene",
                json!({"task_id": task, "intervention": {}}),
                "kind",
            ),
            (
                "intervene",
                json!({"task_id": task, "intervention": {"kind": "sing"}}),
                "kind",
            ),
            (
                "intervene",
                json!({"task_id": task, "intervention": {"kind": "instruction"}}),
                "instruction",
            ),
            ("cancel_task", json!({"task": task}), "task"),
            ("list_tasks", json!({"status": "asleep"}), "status"),
            ("list_tasks", json!({"limit": 0}), "limit"),
            ("list_tasks", json!({"limit": "many"}), "limit"),
            ("list_tasks", json!({"before": "x"}), "before"),
            (
                "get_files",
                json!({"task_id": task, "version": -1}),
                "version",
            ),
            (
                "get_events",
                json!({"task_id": task, "limit": 1_001}),
                "limit",
            ),
            (
                "get_events",
                json!({"task_id": task, "module": "a b"}),
                "module",
            ),
            ("get_events", json!({"task_id": task, "kind": ""}), "kind"),
            (
                "get_events",
                json!({"task_id": task, "after": 0, "wait_ms": 50_001}),
                "wait_ms",
            ),
        ] {
            let words = client.refused(tool, arguments.clone());
            assert!(words.contains(field), "{tool} {arguments}: {words}");
        }
        let (code, words) = client.error(
            "tools/call",
            json!({"name": "make_coffee", "arguments": {}}),
        );
        assert_eq!(code, INVALID_PARAMS);
        assert!(
            words.contains("make_coffee") && words.contains("start_coding_task"),
            "{words}"
        );
    }
    let listed = client.tool("list_tasks", json!({}));
    assert_eq!(
        listed["tasks"].as_array().unwrap().len(),
        1,
        "none of that made a task"
    );
}

#[test]
fn events_come_once_each_as_soon_as_there_are_some() {
    let home = Home::new();
    let server = Server::start(&home, STEADY, &[]);
    for client in Mcp::both(&server, "") {
        let task = client.start(json!({"prompt": "Make a thing"}));
        let (mut seen, mut after, mut looks) = (Vec::new(), 0, 0);
        while !seen
            .iter()
            .any(|event: &Value| event["kind"] == "task_complete")
        {
            let wish = json!({"task_id": task, "after": after, "limit": 3, "wait_ms": 20_000, "data": true});
            let page = client.tool("get_events", wish);
            let events = page["events"].as_array().unwrap();
            assert!(!events.is_empty() && events.len() <= 3, "{page}");
            after = events.last().unwrap()["sequence"].as_u64().unwrap();
            seen.extend(events.iter().cloned());
            looks += 1;
        }
        assert!(looks > 5, "they came as they happened");
        check_history(&seen);
        assert_eq!(seen, server.events(&task));
        // Where nothing happens any more, the time passes.
        let began = Instant::now();
        let wish = json!({"task_id": task, "after": after, "wait_ms": 300});
        assert_eq!(client.tool("get_events", wish)["events"], json!([]));
        assert!(began.elapsed() >= Duration::from_millis(300));
        let newest = client.tool("get_events", json!({"task_id": task, "limit": 1}));
        assert_eq!(newest["events"][0]["kind"], "task_complete");
        assert!(
            newest["events"][0]["data"].is_null(),
            "payloads only where they are asked for"
        );
    }
}

#[test]
fn files_are_given_in_every_version_and_as_they_were() {
    let home = Home::new();
    let server = Server::start(&home, "latency_ms=150&wrong=0&malformed=0", &[]);
    let client = Mcp::legacy(&server, "");
    let task = client.start(json!({"prompt": "Make a thing"}));
    server.event(&task, "module_complete");
    let say = |intervention: Value| {
        let words = json!({"task_id": task, "intervention": intervention});
        client.tool("intervene", words)
    };
    say(json!({"kind": "pause"}));
    let view = client.ended(&task);
    assert_eq!(view["pause"], "user", "{view}");
    let end = view["sequence"].as_u64().unwrap();
    let files = client.tool("get_files", json!({"task_id": task}));
    let files = files["files"].as_array().unwrap();
    let module = files
        .iter()
        .find(|file| !file["version"].is_null())
        .unwrap();
    let path = module["path"].as_str().unwrap();
    let source = module["content"].as_str().unwrap();
    assert_eq!(module["bytes"], source.len());
    assert_eq!(
        module["hash"],
        format!("b3:{}", blake3::hash(source.as_bytes()))
    );
    let edited = format!("{source}\n# by hand\n");
    say(json!({"kind": "edit_file", "path": path, "source": edited}));
    let get = |more: Value| {
        let mut wish = json!({"task_id": task, "path": path});
        wish.as_object_mut()
            .unwrap()
            .extend(more.as_object().unwrap().clone());
        let files = client.tool("get_files", wish);
        assert_eq!(files["files"].as_array().unwrap().len(), 1, "{files}");
        files["files"][0].clone()
    };
    let newest = get(json!({}));
    assert_eq!(newest["content"], edited.as_str());
    let version = module["version"].as_u64().unwrap();
    assert_eq!(newest["version"], version + 1);
    assert_eq!(get(json!({"version": version}))["content"], source);
    assert_eq!(get(json!({"at": end}))["content"], source);
    let before = client.tool("get_files", json!({"task_id": task, "at": 1}));
    assert!(!before.to_string().contains(path), "{before}");
    for (more, words) in [
        (json!({"version": 99}), "no such file"),
        (json!({"at": 1}), "no such file"),
        (json!({"path": "nothing.py"}), "no such file"),
        (json!({"path": "../../../events"}), "no such file"),
    ] {
        let mut wish = json!({"task_id": task, "path": path});
        wish.as_object_mut()
            .unwrap()
            .extend(more.as_object().unwrap().clone());
        let said = client.refused("get_files", wish);
        assert!(said.contains(words), "{more}: {said}");
    }
}

#[test]
fn every_intervention_has_its_effect() {
    let home = Home::new();
    let server = Server::start(&home, "latency_ms=150&wrong=0&malformed=0&questions=2", &[]);
    for client in Mcp::both(&server, "") {
        let task = client.start(json!({"prompt": "Make a thing", "ask": true}));
        let intervene =
            |body: Value| client.tool("intervene", json!({"task_id": task, "intervention": body}));
        assert_eq!(client.ended(&task)["pause"], "question");
        intervene(json!({"kind": "answer", "question": "q1", "answer": "Yes"}));
        intervene(json!({"kind": "resume"}));
        server.event(&task, "planning_complete");
        intervene(json!({"kind": "pause"}));
        assert_eq!(client.ended(&task)["pause"], "user");
        let waited = client.tool("wait_for_task", json!({"task_id": task}));
        assert!(
            waited["next"].as_str().unwrap().contains("resume"),
            "{waited}"
        );
        let view = intervene(json!({"kind": "instruction", "instruction": "Mind the step"}));
        let modules = view["modules"].as_array().unwrap();
        let open = modules
            .iter()
            .rfind(|module| module["status"] != "complete")
            .unwrap();
        let view = intervene(json!({"kind": "skip_module", "module": open["name"]}));
        assert!(view.to_string().contains("skipped"), "{view}");
        intervene(json!({"kind": "resume", "budget": 900_000, "timeout": 900.0}));
        server.event(&task, "task_resumed");
        for _ in 0..2 {
            client.tool("cancel_task", json!({"task_id": task}));
        }
        let ended = client.ended(&task);
        assert_eq!(ended["status"], "cancelled");
        let events = server.events(&task);
        let count = |kind: &str| events.iter().filter(|event| event["kind"] == kind).count();
        assert_eq!(count("task_cancelled"), 1);
        assert_eq!(count("user_intervention"), 1);
        // What makes no sense any more is refused in words.
        let late = json!({"task_id": task, "intervention": {"kind": "pause"}});
        assert!(client.refused("intervene", late).contains("cancelled"));
    }
}

#[test]
fn resources_are_listed_in_pages_read_by_template_or_not_found() {
    let home = Home::new();
    let more = ["--queue-capacity", "200", "--max-concurrent", "1"];
    let server = Server::start(&home, SLOW, &more);
    let client = Mcp::legacy(&server, "");
    let made: BTreeSet<String> = (0..120)
        .map(|n| server.submit(&json!({"prompt": format!("Make thing {n}")})))
        .collect();
    for client in Mcp::both(&server, "") {
        let (mut found, mut cursor, mut pages) = (BTreeSet::new(), Value::Null, 0);
        loop {
            let params = match &cursor {
                Value::Null => json!({}),
                cursor => json!({"cursor": cursor}),
            };
            let page = client.result("resources/list", params);
            for resource in page["resources"].as_array().unwrap() {
                let uri = resource["uri"].as_str().unwrap();
                let task = uri.strip_prefix("task://").unwrap();
                assert_eq!(resource["name"], task);
                found.insert(task.to_owned());
            }
            pages += 1;
            match &page["nextCursor"] {
                Value::Null => break,
                next => cursor = next.clone(),
            }
        }
        assert_eq!((found.len(), pages), (120, 3));
        assert_eq!(found, made);
        let (code, words) = client.error("resources/list", json!({"cursor": "later"}));
        assert_eq!(code, INVALID_PARAMS);
        assert!(words.contains("cursor"), "{words}");
    }
    drop(client);
    drop(server);

    let home = Home::new();
    let server = Server::start(&home, GOOD, &[]);
    for client in Mcp::both(&server, "") {
        let task = client.start(json!({"prompt": "Make a thing"}));
        client.ended(&task);
        let templates = client.result("resources/templates/list", json!({}));
        assert_eq!(templates["resourceTemplates"].as_array().unwrap().len(), 7);
        let rest = |path: &str| server.get(&format!("{TASKS}/{task}{path}")).text();
        let files = client.tool("get_files", json!({"task_id": task}));
        let file = files["files"][0]["path"].as_str().unwrap();
        for uri in uris_of(&task, file) {
            let path = uri.strip_prefix(&format!("task://{task}")).unwrap();
            let path = if path == "/events" {
                "/events?data=true"
            } else {
                path
            };
            assert_eq!(client.read(&uri), rest(path), "{uri}");
        }
        for none in [
            "task://t-nothing".to_owned(),
            format!("task://{task}/secrets"),
            format!("task://{task}/files/nothing.py"),
            format!("task://{task}/files/../events"),
            format!("task://{task}/files/%2e%2e/events"),
            "file:///etc/passwd".to_owned(),
            "task://".to_owned(),
        ] {
            let (_, words) = client.error("resources/read", json!({"uri": none}));
            assert!(words.contains(&none), "{words}");
        }
    }
}

#[test]
fn prompts_refuse_what_is_missing_or_not_known() {
    let home = Home::new();
    let server = Server::start(&home, GOOD, &[]);
    for client in Mcp::both(&server, "") {
        let prompts = client.result("prompts/list", json!({}));
        for prompt in prompts["prompts"].as_array().unwrap() {
            let name = prompt["name"].as_str().unwrap();
            let arguments = prompt["arguments"].as_array().unwrap().iter();
            let all: serde_json::Map<String, Value> = arguments
                .map(|argument| {
                    (
                        argument["name"].as_str().unwrap().to_owned(),
                        json!("t-17 or so"),
                    )
                })
                .collect();
            let got = client.result("prompts/get", json!({"name": name, "arguments": all}));
            assert!(got.to_string().contains("t-17 or so"), "{got}");
            assert_eq!(
                client.error("prompts/get", json!({"name": name})).0,
                INVALID_PARAMS
            );
            let mut more = all.clone();
            more.insert("colour".to_owned(), json!("red"));
            let wish = json!({"name": name, "arguments": more});
            let (code, words) = client.error("prompts/get", wish);
            assert_eq!(code, INVALID_PARAMS);
            assert!(words.contains("colour"), "{words}");
        }
        let (code, words) = client.error("prompts/get", json!({"name": "sing"}));
        assert_eq!(code, INVALID_PARAMS);
        assert!(words.contains("sing"), "{words}");
    }
}

#[test]
fn names_are_completed() {
    let home = Home::new();
    let server = Server::start(&home, GOOD, &[]);
    for name in ["alpha-1", "alpha-2", "beta"] {
        server.submit(&json!({"prompt": STUB, "task_id": name}));
        server.ended(name);
    }
    for client in Mcp::both(&server, "") {
        let complete = |reference: Value, argument: Value, task: Option<&str>| {
            let mut wish = json!({"ref": reference, "argument": argument});
            if let Some(task) = task {
                wish["context"] = json!({"arguments": {"task_id": task}});
            }
            client.result("completion/complete", wish)["completion"].clone()
        };
        let resource = || json!({"type": "ref/resource", "uri": "task://{task_id}"});
        let found = complete(
            resource(),
            json!({"name": "task_id", "value": "alpha"}),
            None,
        );
        let mut values: Vec<&str> = found["values"]
            .as_array()
            .unwrap()
            .iter()
            .map(|value| value.as_str().unwrap())
            .collect();
        values.sort_unstable();
        assert_eq!(values, ["alpha-1", "alpha-2"]);
        assert_eq!(found["hasMore"], false);
        let prompt = json!({"type": "ref/prompt", "name": "explain_task"});
        let found = complete(prompt, json!({"name": "task_id", "value": "b"}), None);
        assert_eq!(found["values"], json!(["beta"]));
        let files = client.tool("get_files", json!({"task_id": "beta"}));
        let file = files["files"][0]["path"].as_str().unwrap();
        let begun = json!({"name": "path", "value": &file[..3]});
        let found = complete(resource(), begun, Some("beta"));
        assert!(
            found["values"].as_array().unwrap().contains(&json!(file)),
            "{found}"
        );
        let begun = json!({"name": "path", "value": ""});
        let found = complete(resource(), begun, Some("t-nothing"));
        assert_eq!(found["values"], json!([]));
    }
}

#[test]
fn who_subscribes_is_told_of_changes() {
    let home = Home::new();
    let server = Server::start(&home, SLOW, &[]);
    let instruct = |task: &str| {
        let body = json!({"kind": "instruction", "instruction": "Mind the step"});
        server.intervene(task, &body).expect(200);
    };
    // Two that rest, so that nothing happens but what is made to happen.
    let resting = || {
        let task = server.submit(&json!({"prompt": "Make a thing"}));
        server
            .intervene(&task, &json!({"kind": "pause"}))
            .expect(200);
        server.wait(&task, "paused");
        task
    };
    let (one, other) = (resting(), resting());
    let uri = |task: &str| json!({"uri": format!("task://{task}")});
    let told = |messages: &mut Messages| {
        let mut updates = messages.filter(|m| m["method"] == "notifications/resources/updated");
        updates.next().unwrap()["params"]["uri"]
            .as_str()
            .unwrap()
            .to_owned()
    };

    let client = Mcp::legacy(&server, "");
    let mut heard = client.open("GET", "", json!({}));
    client.result("resources/subscribe", uri(&one));
    client.result("resources/subscribe", uri(&other));
    std::thread::sleep(Duration::from_millis(300)); // it watches from now on
    instruct(&one);
    assert_eq!(told(&mut heard), uri(&one)["uri"]);
    client.result("resources/unsubscribe", uri(&one));
    instruct(&one);
    instruct(&other);
    assert_eq!(told(&mut heard), uri(&other)["uri"]);
    client.error("resources/subscribe", uri("t-nothing"));

    let client = Mcp::modern(&server, "");
    let wanted = json!({"notifications": {"resourceSubscriptions": [uri(&one)["uri"]]}});
    let mut heard = client.open("POST", "subscriptions/listen", wanted);
    let first = heard.next().unwrap();
    assert_eq!(
        first["method"], "notifications/subscriptions/acknowledged",
        "{first}"
    );
    std::thread::sleep(Duration::from_millis(300));
    instruct(&other);
    instruct(&one);
    assert_eq!(told(&mut heard), uri(&one)["uri"]);
}

#[test]
fn a_token_that_is_taken_back_ends_what_waits_with_it() {
    let home = Home::new();
    let known = [("ada", "ada-1", "user"), ("bob", "bob-1", "user")];
    let file = tokens(&home, &known);
    let server = Server::start(&home, SLOW, &["--token-file", &file]);
    let ada = Mcp::modern(&server, "ada-1");
    let task = ada.start(json!({"prompt": "Make a thing"}));
    let legacy = Mcp::legacy(&server, "ada-1");
    let call = json!({"name": "wait_for_task", "arguments": {"task_id": task}});
    let waiting = [&ada, &legacy].map(|client| client.open("POST", "tools/call", call.clone()));
    let long = json!({"name": "get_events", "arguments": {"task_id": task, "after": 0, "kind": "task_complete", "wait_ms": 50_000}});
    let events = ada.open("POST", "tools/call", long);
    std::thread::sleep(Duration::from_millis(500));
    tokens(&home, &known[1..]);
    let began = Instant::now();
    for mut waiting in waiting.into_iter().chain([events]) {
        let said = waiting.find(|message| message["id"] == 7).unwrap();
        assert_eq!(said["result"]["isError"], true, "{said}");
        assert!(said.to_string().contains("token"), "{said}");
    }
    assert!(
        began.elapsed() < Duration::from_secs(5),
        "{:?}",
        began.elapsed()
    );
    ada.send("tools/list", json!({})).problem(401);
    Mcp::modern(&server, "bob-1").result("tools/list", json!({}));
}

#[test]
fn clients_that_went_away_or_wait_do_not_keep_the_server_from_stopping() {
    let home = Home::new();
    let server = Server::start(&home, SLOW, &["--grace", "0"]);
    let (modern, legacy) = (Mcp::modern(&server, ""), Mcp::legacy(&server, ""));
    let task = modern.start(json!({"prompt": "Make a thing"}));
    let call = json!({"name": "wait_for_task", "arguments": {"task_id": task}});
    let wait = || [&modern, &legacy].map(|client| client.open("POST", "tools/call", call.clone()));
    for _ in 0..20 {
        drop(wait());
    }
    modern.result("tools/list", json!({}));
    legacy.result("tools/list", json!({}));
    let listening = legacy.open("GET", "", json!({}));
    let waiting = wait();
    std::thread::sleep(Duration::from_millis(300));
    let began = Instant::now();
    assert_eq!(server.stop(), Some(0));
    drop((listening, waiting));
    assert!(
        began.elapsed() < Duration::from_secs(4),
        "{:?}",
        began.elapsed()
    );
}

#[test]
fn rest_waits_for_the_next_event() {
    let home = Home::new();
    let server = Server::start(&home, SLOW, &[]);
    let task = server.submit(&json!({"prompt": "Make a thing"}));
    server
        .intervene(&task, &json!({"kind": "pause"}))
        .expect(200);
    let after = server.wait(&task, "paused")["sequence"].as_u64().unwrap();
    let page = |query: &str| server.get(&format!("{TASKS}/{task}/events?after={after}&{query}"));
    let began = Instant::now();
    assert_eq!(page("wait_ms=400").expect(200)["events"], json!([]));
    assert!(began.elapsed() >= Duration::from_millis(400));
    std::thread::scope(|scope| {
        let waiting = scope.spawn(|| {
            let page = page("wait_ms=50000").expect(200);
            (page, Instant::now())
        });
        std::thread::sleep(Duration::from_millis(300));
        let body = json!({"kind": "instruction", "instruction": "Mind the step"});
        server.intervene(&task, &body).expect(200);
        let said = Instant::now();
        let (page, came) = waiting.join().unwrap();
        assert_eq!(page["events"].as_array().unwrap().len(), 1, "{page}");
        let late = came.saturating_duration_since(said);
        assert!(
            late < Duration::from_millis(500),
            "at once, not after {late:?}"
        );
    });
    // What is there is given without waiting, whatever else is asked for.
    let began = Instant::now();
    assert_eq!(
        page("wait_ms=50000").expect(200)["events"]
            .as_array()
            .unwrap()
            .len(),
        1
    );
    let other = page("wait_ms=200&kind=task_complete").expect(200);
    assert_eq!(
        other["events"],
        json!([]),
        "another kind is not waited for in vain"
    );
    assert!(began.elapsed() < Duration::from_secs(5));
    for bad in ["50001", "-1", "soon"] {
        let problem = page(&format!("wait_ms={bad}")).problem(422);
        assert_eq!(problem["field"], "wait_ms", "{problem}");
    }
    server
        .get(&format!("{TASKS}/t-nothing/events?after=0&wait_ms=50000"))
        .problem(404);
}

#[test]
fn a_protocol_task_ends_with_what_its_tool_says_that_it_answers() {
    let home = Home::new();
    let server = Server::start(&home, GOOD, &[]);
    let client = Mcp::modern(&server, "");
    let task = client.start(json!({"prompt": STUB}));
    client.ended(&task);
    let done = client.result("tasks/get", json!({"taskId": task}));
    assert_eq!(done["status"], "completed", "{done}");
    let given = done["result"]["structuredContent"].as_object().unwrap();
    let tools = client.result("tools/list", json!({}));
    let mut tools = tools["tools"].as_array().unwrap().iter();
    let start = tools.find(|tool| tool["name"] == "start_coding_task");
    let promised = &start.unwrap()["outputSchema"]["required"];
    for member in promised.as_array().unwrap() {
        assert!(given.contains_key(member.as_str().unwrap()), "{member}");
    }
}

#[test]
fn tools_take_the_version_that_is_meant_and_resources_carry_the_one_that_is() {
    let home = Home::new();
    let server = Server::start(&home, SLOW, &[]);
    for client in Mcp::both(&server, "") {
        let task = client.start(json!({"prompt": "Make a thing"}));
        server.event(&task, "model_call_started");
        let at = server.task(&task)["revision"].as_u64().unwrap();
        let uri = format!("task://{task}");
        let meta = |uri: &str| {
            let read = client.result("resources/read", json!({"uri": uri}));
            read["contents"][0]["_meta"].clone()
        };
        let told = meta(&uri);
        assert_eq!(told["journeyman/version"], at, "{told}");
        let answer = server.get(&format!("{TASKS}/{task}"));
        assert_eq!(told["journeyman/etag"].as_str(), answer.header("etag"));
        let files = meta(&format!("{uri}/files"));
        assert!(files["journeyman/etag"].is_string(), "{files}");
        let listed = client.result("resources/list", json!({}));
        let mut listed = listed["resources"].as_array().unwrap().iter();
        let of_it = listed.find(|resource| resource["uri"] == uri).unwrap();
        assert_eq!(of_it["_meta"]["journeyman/version"], at);

        let say = json!({"kind": "instruction", "instruction": "Mind the zebras"});
        let answers = json!([{"answer": "yes"}, {"answer": "no"}]);
        let current = format!("is at version {at}");
        for (tool, arguments) in [
            (
                "intervene",
                json!({"task_id": task, "intervention": say, "if_version": at - 1}),
            ),
            (
                "answer_questions",
                json!({"task_id": task, "answers": answers, "if_version": at + 1}),
            ),
            ("cancel_task", json!({"task_id": task, "if_version": 0})),
        ] {
            let words = client.refused(tool, arguments);
            assert!(words.contains(&current), "{tool}: {words}");
        }
        let arguments = json!({"task_id": task, "intervention": say, "if_version": at});
        assert_eq!(client.tool("intervene", arguments)["revision"], at + 1);
        let arguments = json!({"task_id": task, "answers": answers, "if_version": at + 1});
        assert_eq!(
            client.tool("answer_questions", arguments)["revision"],
            at + 3
        );
        let then = client.tool("get_task_status", json!({"task_id": task, "version": at}));
        assert_eq!(
            (&then["revision"], &then["instructions"]),
            (&json!(at), &json!([]))
        );
        let ahead = client.refused(
            "get_task_status",
            json!({"task_id": task, "version": at + 9}),
        );
        assert!(
            ahead.contains(&format!("is at version {}", at + 3)),
            "{ahead}"
        );
        let arguments = json!({"task_id": task, "if_version": at + 3});
        assert_eq!(client.tool("cancel_task", arguments)["status"], "cancelled");
    }
}
