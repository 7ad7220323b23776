//! Clients who do not behave: what they are told, and that they cost others nothing.

#![allow(clippy::unwrap_used, clippy::expect_used)] // a test fails by panicking

mod common;

use std::fs;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::Duration;

use common::Home;
use common::server::{GOOD, SLOW, Server, tokens, until};
use serde_json::{Value, json};

const TASKS: &str = "/api/v1/tasks";
const JSON: (&str, &str) = ("Content-Type", "application/json");

/// MiB that a server's process has in memory.
fn memory(server: &Server) -> u64 {
    let status = fs::read_to_string(format!("/proc/{}/status", server.child.id())).unwrap();
    let line = status.lines().find(|line| line.starts_with("VmRSS:"));
    let kib = line.unwrap().split_whitespace().nth(1).unwrap();
    kib.parse::<u64>().unwrap() / 1024
}

/// A WebSocket of which every byte is ours.
fn raw_socket(server: &Server, path: &str) -> TcpStream {
    let mut stream = TcpStream::connect(("127.0.0.1", server.port)).unwrap();
    stream
        .set_read_timeout(Some(Duration::from_secs(30)))
        .unwrap();
    let head = format!(
        "GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: keep-alive, Upgrade\r\nUpgrade: WebSocket\r\n\
         Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
    );
    stream.write_all(head.as_bytes()).unwrap();
    let mut answer = Vec::new();
    while !answer.ends_with(b"\r\n\r\n") {
        let mut byte = [0];
        stream.read_exact(&mut byte).unwrap();
        answer.push(byte[0]);
    }
    let answer = String::from_utf8(answer).unwrap();
    assert!(answer.starts_with("HTTP/1.1 101"), "{answer}");
    assert!(answer.contains("s3pPLMBiTxaQ9kYGzzhZRbK+xOo="), "{answer}");
    stream
}

/// A frame of a client's: its first byte (last of its message, reserved bits, kind) and what it has.
fn frame(first: u8, payload: &[u8]) -> Vec<u8> {
    let mut frame = vec![first];
    match payload.len() {
        length @ 0..=125 => frame.push(0x80 | u8::try_from(length).unwrap()),
        length @ 126..=0xffff => {
            frame.push(0x80 | 0x7e);
            frame.extend(u16::try_from(length).unwrap().to_be_bytes());
        }
        length => {
            frame.push(0x80 | 127);
            frame.extend((length as u64).to_be_bytes());
        }
    }
    frame.extend([0; 4]); // a mask that changes nothing
    frame.extend(payload);
    frame
}

/// The code of the close that comes, after whatever comes before; then the connection ends.
fn closed_with(stream: &mut TcpStream) -> u16 {
    let mut all = Vec::new();
    let read = stream.read_to_end(&mut all);
    assert!(read.is_ok(), "the connection was broken off: {read:?}");
    let mut rest = &all[..];
    while rest.len() >= 2 {
        let (short, kind) = (rest[1] & 0x7f, rest[0] & 0x0f);
        let (length, head) = match short {
            126 => (usize::from(u16::from_be_bytes([rest[2], rest[3]])), 4),
            127 => panic!("no frame is as large"),
            short => (usize::from(short), 2),
        };
        let payload = &rest[head..head + length];
        if kind == 8 {
            assert!(rest.len() == head + length, "nothing comes after a close");
            return u16::from_be_bytes([payload[0], payload[1]]);
        }
        rest = &rest[head + length..];
    }
    panic!("it ended without a close: {all:?}");
}

#[test]
fn whatever_a_client_does_to_a_socket_it_is_told_the_code_for() {
    let home = Home::new();
    let server = Server::start(&home, SLOW, &[]);
    let (text, more, binary, close, ping) = (0x81, 0x80, 0x82, 0x88, 0x89);
    let large = vec![b'x'; (2 << 20) + 1];
    for (what, frames, code) in [
        (
            "a close is answered",
            vec![frame(close, &[0x03, 0xe8])],
            1000,
        ),
        (
            "a close of one's own code",
            vec![frame(close, &[0x0f, 0xa0])],
            4000,
        ),
        (
            "a close without a reason that is text",
            vec![frame(close, &[0x03, 0xe8, 0xff])],
            1007,
        ),
        ("a close with half a code", vec![frame(close, &[3])], 1002),
        (
            "a close with a code that is not to be sent",
            vec![frame(close, &[0x03, 0xee])],
            1002,
        ),
        ("a message that is no JSON", vec![frame(text, b"{")], 4400),
        (
            "a message that is no text",
            vec![frame(binary, b"{}")],
            1003,
        ),
        ("a text that is not UTF-8", vec![frame(text, b"\xff")], 1007),
        (
            "a text in two parts that is not UTF-8",
            vec![frame(0x01, b"\xc3"), frame(more, b"(")],
            1007,
        ),
        (
            "a message that is too large",
            vec![frame(text, &large)],
            1009,
        ),
        (
            "parts that are too large together",
            vec![
                frame(0x01, &large[..1 << 20]),
                frame(0x00, &large[..1 << 20]),
                frame(more, b"xx"),
            ],
            1009,
        ),
        ("a part without a beginning", vec![frame(more, b"x")], 1002),
        (
            "a beginning within a message",
            vec![frame(0x01, b"x"), frame(text, b"{}")],
            1002,
        ),
        ("a kind that nobody knows", vec![frame(0x83, b"x")], 1002),
        (
            "a control frame that nobody knows",
            vec![frame(0x8b, b"x")],
            1002,
        ),
        ("a bit that means nothing", vec![frame(0xc1, b"{}")], 1002),
        ("a ping in two parts", vec![frame(0x09, b"x")], 1002),
        (
            "a ping that is too large",
            vec![frame(ping, &[b'x'; 126])],
            1002,
        ),
        (
            "a frame without a mask",
            vec![vec![text, 2, b'{', b'}']],
            1002,
        ),
    ] {
        let mut stream = raw_socket(&server, "/ws");
        for frame in frames {
            stream.write_all(&frame).unwrap();
        }
        assert_eq!(closed_with(&mut stream), code, "{what}");
    }
    // A flood of pings is no harm, whether its answers are read or not.
    let mut flood = raw_socket(&server, "/ws");
    for _ in 0..20_000 {
        flood.write_all(&frame(ping, b"x")).unwrap();
    }
    flood.write_all(&frame(close, &[0x03, 0xe8])).unwrap();
    assert_eq!(closed_with(&mut flood), 1000);
}

#[test]
fn clients_that_never_read_hold_little_together_and_who_reads_gets_all() {
    /// Of each kind. With 60 prompts of 400 KB each of them is owed 24 MB: 4.8 GB together.
    const EACH: usize = 50;
    let home = Home::new();
    let server = Server::start(&home, SLOW, &["--max-concurrent", "1"]);
    let prompt = "\u{1f6b6}".repeat(100_000);
    for n in 0..60 {
        server.submit(&json!({"prompt": prompt, "task_id": format!("t-{n}")}));
    }
    let before = memory(&server);
    let mut idle = Vec::new();
    for n in 0..EACH {
        idle.push(raw_socket(&server, "/ws"));
        let of_one = format!("{TASKS}/t-{n}/");
        for path in [
            "/api/v1/events?limit=1000".to_owned(),
            format!("{of_one}stream"),
            format!("{of_one}events?data=true"),
        ] {
            idle.push(server.open("GET", &path, &[], b""));
        }
    }
    // What is there to be had is had while they are stuck.
    let mut reader = server.socket("/ws");
    let mut peak = 0;
    for _ in 0..60 {
        reader.hear_until("task_submitted");
        peak = peak.max(memory(&server));
    }
    let held = peak.saturating_sub(before);
    assert!(held < 400, "{held} MiB more than the {before} MiB before");
    drop(idle);
}

#[test]
fn a_token_with_another_role_lets_nobody_stay_in_with_the_old_one() {
    let home = Home::new();
    let file = tokens(&home, &[("ada", "ada-1", "user")]);
    let server = Server::start(&home, SLOW, &["--token-file", &file]).with_token("ada-1");
    let task = server.submit(&json!({"prompt": "x"}));
    let mut socket = server.socket(&format!("/ws/{task}"));
    socket.say(&json!({"type": "auth", "token": "ada-1"}));
    socket.hear().unwrap();
    let mut stream = server.stream(&format!("{TASKS}/{task}/stream"), &[]);
    stream.next().unwrap();
    let ticket = server.post("/api/v1/tickets", &json!({})).expect(200);
    tokens(&home, &[("ada", "ada-1", "viewer")]);
    let code = loop {
        if let Err(code) = socket.hear() {
            break code;
        }
    };
    assert_eq!(code, 4401);
    assert!(
        stream
            .last()
            .is_none_or(|sent| sent.kind != "task_complete")
    );
    server
        .intervene(&task, &json!({"kind": "pause"}))
        .problem(403);
    // A ticket of before is none any more.
    let path = format!("/ws/{task}?ticket={}", ticket["ticket"].as_str().unwrap());
    let mut by_ticket = server.socket(&path);
    by_ticket.say(&json!({"type": "auth", "token": "x"}));
    assert_eq!(by_ticket.hear(), Err(4401));
    // With the new one everything may be looked at.
    assert_eq!(server.task(&task)["task_id"], task);
}

#[test]
fn a_folder_for_the_result_is_taken_over_the_data_folders_socket_alone() {
    let home = Home::new();
    let server = Server::start(&home, GOOD, &[]);
    let out = home.path().join("result");
    let asked = json!({"prompt": "Make one thing", "out": out});
    let problem = server.post(TASKS, &asked).problem(403);
    assert!(
        problem["detail"].as_str().unwrap().contains("socket"),
        "{problem}"
    );
    assert!(!out.exists());
    // The command line comes over the socket.
    let folder = out.display().to_string();
    let run = home.run(&["run", "Make one thing", "--out", &folder, "--quiet"]);
    assert!(out.exists(), "{}", run.stderr);
}

#[test]
fn http_that_is_odd_is_answered_or_refused_and_never_mixed_up() {
    let home = Home::new();
    let server = Server::start(&home, SLOW, &[]);
    let one = |path: &str| format!("GET {path} HTTP/1.1\r\nHost: localhost\r\n\r\n");
    let last = "GET /health HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n";
    let all = |bytes: &[u8]| {
        let mut stream = TcpStream::connect(("127.0.0.1", server.port)).unwrap();
        stream.write_all(bytes).unwrap();
        let mut answer = Vec::new();
        let _ = stream.read_to_end(&mut answer); // what was not read of a refused one breaks it off
        String::from_utf8_lossy(&answer).into_owned()
    };
    // Requests one after the other without waiting are answered in their order.
    let answers = all(format!("{}{}{last}", one("/health"), one("/nowhere")).as_bytes());
    let statuses: Vec<&str> = answers
        .split("HTTP/1.1 ")
        .skip(1)
        .map(|a| &a[..3])
        .collect();
    assert_eq!(statuses, ["200", "404", "200"], "{answers}");
    // A header that is too large is refused.
    let huge = format!(
        "GET /health HTTP/1.1\r\nHost: localhost\r\nX: {}\r\n\r\n",
        "x".repeat(1 << 20)
    );
    assert!(all(huge.as_bytes()).starts_with("HTTP/1.1 431"));
    // A page of no origin is no page that is known.
    server
        .ask("GET", TASKS, &[("Origin", "null")], b"")
        .problem(403);
    // A client that says a byte now and then keeps nobody waiting.
    let mut slow = TcpStream::connect(("127.0.0.1", server.port)).unwrap();
    for byte in b"POST /api/v1/tasks HT" {
        slow.write_all(&[*byte]).unwrap();
        server.get("/health").expect(200);
    }
}

#[test]
fn pages_of_allowed_origins_may_ask_and_read_and_others_may_not() {
    let home = Home::new();
    let server = Server::start(&home, SLOW, &["--allowed-host", "box.lan"]);
    let wish = [
        ("Access-Control-Request-Method", "POST"),
        (
            "Access-Control-Request-Headers",
            "content-type, mcp-session-id",
        ),
    ];
    for path in ["/mcp", TASKS] {
        for origin in ["http://localhost:3000", "https://box.lan"] {
            let asked = [&wish[..], &[("Origin", origin)]].concat();
            let answer = server.ask("OPTIONS", path, &asked, b"");
            assert_eq!(answer.status, 204, "{path}");
            let said = |name: &str| answer.header(name).unwrap().to_owned();
            assert_eq!(said("access-control-allow-origin"), origin);
            assert!(said("access-control-allow-methods").contains("POST"));
            assert!(said("access-control-allow-headers").contains("mcp-session-id"));
        }
        for origin in ["http://evil.example", "null"] {
            let asked = [&wish[..], &[("Origin", origin)]].concat();
            let answer = server.ask("OPTIONS", path, &asked, b"");
            assert_eq!(answer.status, 403, "{origin}");
            assert_eq!(answer.header("access-control-allow-origin"), None);
        }
    }
    let answer = server.ask("GET", TASKS, &[("Origin", "http://localhost:3000")], b"");
    answer.expect(200);
    let exposed = answer.header("access-control-expose-headers").unwrap();
    assert!(exposed.contains("mcp-session-id") && exposed.contains("mcp-protocol-version"));
    assert_eq!(answer.header("vary"), Some("origin"));
    assert_eq!(
        server.get(TASKS).header("access-control-allow-origin"),
        None
    );
}

/// A client of MCP of a revision with sessions.
struct Legacy {
    session: String,
    version: &'static str,
}

fn hello(version: &str) -> Value {
    json!({"jsonrpc": "2.0", "id": 1, "method": "initialize", "params": {
        "protocolVersion": version, "capabilities": {"elicitation": {}},
        "clientInfo": {"name": "test", "version": "1"}
    }})
}

impl Legacy {
    fn new(server: &Server, version: &'static str) -> Self {
        let accept = ("Accept", "*/*");
        let body = hello(version).to_string();
        let answer = server.ask("POST", "/mcp/", &[JSON, accept], body.as_bytes());
        assert_eq!(answer.status, 200, "{}", answer.text());
        let session = answer.header("mcp-session-id").unwrap().to_owned();
        let client = Self { session, version };
        let done = json!({"jsonrpc": "2.0", "method": "notifications/initialized"});
        assert_eq!(client.post(server, &done).status, 202);
        client
    }

    fn headers(&self) -> [(&str, &str); 4] {
        [
            JSON,
            ("Accept", "*/*"),
            ("Mcp-Session-Id", &self.session),
            ("Mcp-Protocol-Version", self.version),
        ]
    }

    fn post(&self, server: &Server, body: &Value) -> common::server::Answer {
        server.ask("POST", "/mcp", &self.headers(), body.to_string().as_bytes())
    }

    /// How many tools it is told of.
    fn tools(&self, server: &Server) -> usize {
        let answer = self.post(
            server,
            &json!({"jsonrpc": "2.0", "id": 2, "method": "tools/list"}),
        );
        assert_eq!(answer.status, 200, "{}", answer.text());
        last(&answer.text())["result"]["tools"]
            .as_array()
            .unwrap()
            .len()
    }
}

fn last(events: &str) -> Value {
    let mut data = events
        .lines()
        .filter_map(|line| line.strip_prefix("data: "));
    serde_json::from_str(data.next_back().unwrap()).unwrap()
}

#[test]
fn an_mcp_session_goes_on_after_a_crash_and_beside_any_number_of_others() {
    let home = Home::new();
    let server = Server::start(&home, SLOW, &[]);
    let first = Legacy::new(&server, "2025-06-18");
    assert_eq!(first.tools(&server), 10);
    server.crash();
    let server = Server::start(&home, SLOW, &[]);
    assert_eq!(first.tools(&server), 10, "as if nothing had been");
    let before = memory(&server);
    let many: Vec<Legacy> = (0..1_500)
        .map(|_| Legacy::new(&server, "2025-06-18"))
        .collect();
    let grown = memory(&server).saturating_sub(before);
    assert!(grown < 150, "{grown} MiB");
    // Also one that had to go for them.
    assert_eq!(first.tools(&server), 10);
    assert_eq!(many[0].tools(&server), 10);
    assert_eq!(many[1_499].tools(&server), 10);
    // One that its client ends is gone for good.
    assert_eq!(
        server.ask("DELETE", "/mcp", &first.headers(), b"").status,
        204
    );
    assert_eq!(
        server.ask("DELETE", "/mcp", &first.headers(), b"").status,
        404
    );
    let mut told = hello("2025-06-18");
    told["params"]["clientInfo"]["name"] = json!("x".repeat(100_000));
    let answer = server.ask("POST", "/mcp", &[JSON], told.to_string().as_bytes());
    answer.problem(413);
}

#[test]
fn who_waits_over_mcp_when_the_server_stops_is_answered() {
    let home = Home::new();
    let server = Server::start(&home, SLOW, &["--grace", "0"]);
    let task = server.submit(&json!({"prompt": "Make a thing"}));
    let client = Legacy::new(&server, "2025-06-18");
    let call = json!({"jsonrpc": "2.0", "id": 3, "method": "tools/call", "params": {
        "name": "wait_for_task", "arguments": {"task_id": task, "timeout_seconds": "40"},
        "_meta": {"progressToken": "p"}
    }});
    let headers = client.headers();
    let mut waiting = server.open("POST", "/mcp", &headers, call.to_string().as_bytes());
    // It is under way as soon as something is told.
    let mut begun = [0; 64];
    waiting.read_exact(&mut begun).unwrap();
    server.event(&task, "model_call_started");
    assert_eq!(server.stop(), Some(0));
    let mut rest = String::new();
    waiting.read_to_string(&mut rest).unwrap();
    let answer = rest.lines().find(|line| line.contains("\"id\":3"));
    let answer = answer.unwrap_or_else(|| panic!("no answer: {rest}"));
    assert!(answer.contains("call wait_for_task again"), "{answer}");
}

#[test]
fn each_revision_of_mcp_is_spoken_as_it_is_written() {
    let home = Home::new();
    let server = Server::start(&home, SLOW, &[]);
    let [old, new] = ["2025-03-26", "2025-11-25"].map(|version| Legacy::new(&server, version));
    let list = |id: Value| json!({"jsonrpc": "2.0", "id": id, "method": "tools/list"});
    // Requests come together in the one revision that has that.
    let batch = json!([list(json!(1)), list(json!("b")), {"jsonrpc": "2.0", "method": "notifications/cancelled", "params": {"requestId": 99}}]);
    let twice = json!([list(json!(1)), list(json!(1))]);
    old.post(&server, &twice).problem(400);
    let answers = old.post(&server, &batch).expect(200);
    let mut ids: Vec<String> = (answers.as_array().unwrap().iter())
        .map(|answer| answer["id"].to_string())
        .collect();
    ids.sort();
    assert_eq!(ids, ["\"b\"", "1"]);
    new.post(&server, &batch).problem(400);
    for bad in [json!([]), json!([hello("2025-03-26")])] {
        old.post(&server, &bad).problem(400);
    }
    // An event without data is for those alone that know it.
    for (client, knows) in [(&old, false), (&new, true)] {
        let text = client.post(&server, &list(json!(5))).text();
        let empty = text
            .lines()
            .any(|line| line.starts_with("data:") && line.trim() == "data:");
        assert_eq!(empty, knows, "{text}");
    }
    // Odd ids, and what is not known, are refused or let be, and the session goes on.
    for id in [Value::Null, json!(1.5), json!({}), json!([1])] {
        let status = new.post(&server, &list(id.clone())).status;
        assert!((200..500).contains(&status), "{id}: {status}");
    }
    for (bad, code) in [
        ("{", -32_700),
        ("{\"jsonrpc\": \"2.0\", \"id\": 1}", -32_600),
    ] {
        let json = [("Content-Type", "application/json")];
        let answer = server
            .ask("POST", "/mcp", &json, bad.as_bytes())
            .expect(400);
        assert_eq!(answer["error"]["code"], code, "{answer}");
    }
    let cancel = json!({"jsonrpc": "2.0", "method": "notifications/cancelled", "params": {"requestId": "nobody"}});
    assert_eq!(new.post(&server, &cancel).status, 202);
    until("the same id twice is answered", || {
        let text = new.post(&server, &list(json!(7))).text();
        (last(&text)["id"] == 7).then_some(())
    });
    assert_eq!(new.tools(&server), 10);
    assert_eq!(old.tools(&server), 10);
}

#[test]
fn what_the_document_says_of_sizes_is_what_is_taken() {
    let home = Home::new();
    let server = Server::start(&home, SLOW, &[]);
    let document = server.get("/api/v1/openapi.json").expect(200);
    let schemas = &document["components"]["schemas"];
    let most = |schema: &str, member: &str| {
        let found = &schemas[schema]["properties"][member]["maxLength"];
        usize::try_from(found.as_u64().unwrap()).unwrap()
    };
    let prompt = |length| json!({"prompt": "x".repeat(length)});
    let test = |length| {
        let start = "def test_y(): pass\n#";
        let source = format!("{start}{}", "x".repeat(length - start.len()));
        json!({"prompt": "y", "tests": [{"name": "test_y.py", "source": source}]})
    };
    let prompt_max = most("NewTask", "prompt");
    let source_max = most("NewTest", "source");
    server.post(TASKS, &prompt(prompt_max)).expect(202);
    server.post(TASKS, &prompt(prompt_max + 1)).problem(413);
    server.post(TASKS, &test(source_max)).expect(202);
    server.post(TASKS, &test(source_max + 1)).problem(413);
    // The command line takes the same, whoever holds the folder.
    drop(server);
    let alone = Home::new();
    let file = alone.path().join("test_y.py");
    let run = || {
        let path = file.display().to_string();
        alone.run(&[
            "run",
            "y",
            "--tests",
            &path,
            "--model-url",
            "sim:?latency_ms=0",
            "--quiet",
        ])
    };
    fs::write(&file, "#".repeat(source_max + 1)).unwrap();
    let refused = run();
    assert_eq!(refused.code, Some(2), "{}", refused.stderr);
    assert!(refused.stderr.contains("262144"), "{}", refused.stderr);
}
