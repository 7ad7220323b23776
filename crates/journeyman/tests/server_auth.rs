//! Who may come in, under which names, and when a server does not start at all.

#![allow(clippy::unwrap_used, clippy::expect_used)] // a test fails by panicking

mod common;

use std::fs;
use std::net::TcpListener;
use std::time::{Duration, Instant};

use common::server::{GOOD, SLOW, STUB, Server, tokens, until};
use common::{Home, Output};
use serde_json::json;

const TASKS: &str = "/api/v1/tasks";

fn serve(home: &Home, args: &[&str]) -> Output {
    let mut all = vec!["serve", "--json", "--model-url", "sim:"];
    all.extend(args);
    home.run(&all)
}

fn refused(output: &Output, code: i32, words: &str) {
    assert_eq!(output.code, Some(code), "{}", output.stderr);
    assert_eq!(output.stderr.lines().count(), 1, "{}", output.stderr);
    assert!(output.stderr.contains(words), "{}", output.stderr);
    assert!(output.stdout.is_empty(), "{}", output.stdout);
}

#[test]
fn only_known_hosts_are_answered() {
    let home = Home::new();
    let server = Server::start(&home, GOOD, &["--allowed-host", "box.lan,Other.lan"]);
    let status = |host: &str| server.ask("GET", TASKS, &[("Host", host)], b"").status;
    for good in [
        "localhost",
        "127.0.0.1:1",
        "192.168.7.7",
        "[::1]:9",
        "BOX.lan:80",
        "other.lan",
    ] {
        assert_eq!(status(good), 200, "{good}");
    }
    for bad in [
        "evil.example",
        "localhost.evil.example",
        "box.lan.evil.example",
        "x",
    ] {
        assert_eq!(status(bad), 403, "{bad}");
    }
    let problem = server.ask("GET", "/health", &[("Host", "evil.example")], b"");
    let detail = problem.problem(403)["detail"].as_str().unwrap().to_owned();
    assert!(detail.contains("--allowed-host"), "{detail}");
}

#[test]
fn foreign_pages_are_refused_over_rest_and_websocket() {
    let home = Home::new();
    let server = Server::start(&home, GOOD, &["--allowed-host", "box.lan"]);
    let own = format!("http://127.0.0.1:{}", server.port);
    let body = br#"{"prompt":"x"}"#;
    for (origin, status) in [
        (own.as_str(), 202),
        ("http://localhost:3000", 202),
        ("https://box.lan", 202),
        ("https://evil.example", 403),
        ("null", 403),
    ] {
        let headers = [("Origin", origin), ("Content-Type", "application/json")];
        let answer = server.ask("POST", TASKS, &headers, body);
        assert_eq!(answer.status, status, "{origin}");
        let socket = server.socket_from("/ws", &[("origin", origin)]);
        assert_eq!(socket.is_ok(), status == 202, "{origin}");
    }
    // A page may not get around it by a body that needs no leave of the browser.
    let plain = [
        ("Origin", "https://evil.example"),
        ("Content-Type", "text/plain"),
    ];
    assert_eq!(server.ask("POST", TASKS, &plain, body).status, 403);
}

#[test]
fn everybody_has_a_role_and_their_own_tasks_only() {
    let home = Home::new();
    let file = tokens(
        &home,
        &[
            ("ada", "ada-1", "user"),
            ("bob", "bob-1", "user"),
            ("eve", "eve-1", "viewer"),
            ("root", "root-1", "admin"),
        ],
    );
    let server = Server::start(&home, SLOW, &["--token-file", &file]);
    let bearer = |token: &str| format!("Bearer {token}");
    let json_type = ("Content-Type", "application/json");
    let status = |method: &str, path: &str, token: &str, body: &str| {
        let bearer = bearer(token);
        let headers = [("Authorization", bearer.as_str()), json_type];
        server.ask(method, path, &headers, body.as_bytes()).status
    };
    let nobody = server.get(TASKS);
    nobody.problem(401);
    assert_eq!(nobody.header("www-authenticate"), Some("Bearer"));
    for wrong in ["x", "", "ada-1x"] {
        assert_eq!(status("GET", TASKS, wrong, ""), 401, "{wrong:?}");
    }
    let basic = [("Authorization", "Basic YWRhOmFkYS0x")];
    server.ask("GET", TASKS, &basic, b"").problem(401);
    // Whether it lives and works is no secret.
    server.get("/health").expect(200);
    server.get("/ready").expect(200);
    let task = r#"{"prompt":"x","task_id":"hers"}"#;
    assert_eq!(status("POST", TASKS, "eve-1", task), 403);
    assert_eq!(status("GET", TASKS, "eve-1", ""), 200);
    assert_eq!(status("POST", TASKS, "ada-1", task), 202);
    for path in [
        "",
        "/events",
        "/files",
        "/context",
        "/context/diff?from=1",
        "/graph",
        "/graph.svg",
        "/graph.dot",
        "/stream",
    ] {
        let path = format!("{TASKS}/hers{path}");
        let bob = bearer("bob-1");
        let answer = server.ask("GET", &path, &[("Authorization", &bob)], b"");
        // As if there were no such task at all.
        let problem = answer.problem(404);
        let detail = problem["detail"].as_str().unwrap_or_default();
        assert!(
            detail.contains("there is no task hers"),
            "{path}: {problem}"
        );
    }
    for path in ["/cancel", "/retry", "/fork?at=1"] {
        let path = format!("{TASKS}/hers{path}");
        assert_eq!(status("POST", &path, "bob-1", "{}"), 404, "{path}");
        assert_eq!(status("POST", &path, "eve-1", "{}"), 403, "{path}");
    }
    assert_eq!(status("GET", &format!("{TASKS}/hers"), "ada-1", ""), 200);
    // The same name is another task of somebody else's.
    assert_eq!(status("POST", TASKS, "bob-1", task), 202);
    let bob = bearer("bob-1");
    let listed = server
        .ask("GET", TASKS, &[("Authorization", &bob)], b"")
        .expect(200);
    assert_eq!(listed["tasks"].as_array().unwrap().len(), 1);
    let lines = server
        .ask("GET", "/api/v1/events", &[("Authorization", &bob)], b"")
        .text();
    assert!(
        lines.lines().all(|line| line.contains("\"owner\":\"bob\"")),
        "{lines}"
    );
    assert_eq!(status("GET", "/metrics", "ada-1", ""), 403);
    assert_eq!(status("GET", "/metrics", "root-1", ""), 200);
    // Nobody names folders of the server's machine.
    let out = r#"{"prompt":"x","out":"/tmp/somewhere"}"#;
    assert_eq!(status("POST", TASKS, "root-1", out), 403);
}

#[test]
fn a_socket_takes_a_token_as_its_first_message_or_a_ticket_once_and_never_in_the_address() {
    let home = Home::new();
    let file = tokens(&home, &[("ada", "ada-1", "user"), ("bob", "bob-1", "user")]);
    let server = Server::start(&home, SLOW, &["--token-file", &file]).with_token("ada-1");
    server.submit(&json!({"prompt": "x", "task_id": "hers"}));
    let auth = |token: &str| json!({"type": "auth", "token": token});
    let mut socket = server.socket("/ws/hers");
    socket.say(&auth("ada-1"));
    assert_eq!(socket.hear().unwrap()["kind"], "task_submitted");
    for (token, code) in [("bob-1", 4404), ("x", 4401)] {
        let mut socket = server.socket("/ws/hers");
        socket.say(&auth(token));
        assert_eq!(socket.hear(), Err(code), "{token}");
    }
    assert!(matches!(
        server.socket_from("/ws/hers?token=ada-1", &[]),
        Err(422)
    ));
    let ticket = server.post("/api/v1/tickets", &json!({})).expect(200);
    let path = format!("/ws/hers?ticket={}", ticket["ticket"].as_str().unwrap());
    assert_eq!(
        server.socket(&path).hear().unwrap()["kind"],
        "task_submitted"
    );
    let mut again = server.socket(&path);
    again.say(&auth("x"));
    assert_eq!(again.hear(), Err(4401), "a ticket is good once");
    let mut by_header = server
        .socket_from("/ws/hers", &[("authorization", "Bearer ada-1")])
        .unwrap();
    assert_eq!(by_header.hear().unwrap()["kind"], "task_submitted");
    assert!(matches!(
        server.socket_from("/ws/hers", &[("authorization", "Bearer x")]),
        Err(401)
    ));
}

#[test]
fn a_revoked_token_is_refused_and_its_sockets_are_closed_within_a_second() {
    let home = Home::new();
    let file = tokens(&home, &[("ada", "ada-1", "user"), ("bob", "bob-1", "user")]);
    let server = Server::start(&home, SLOW, &["--token-file", &file]).with_token("ada-1");
    server.submit(&json!({"prompt": "x", "task_id": "hers"}));
    let mut socket = server.socket("/ws/hers");
    socket.say(&json!({"type": "auth", "token": "ada-1"}));
    socket.hear().unwrap();
    let mut stream = server.stream(&format!("{TASKS}/hers/stream"), &[]);
    stream.next().unwrap();
    tokens(
        &home,
        &[("bob", "bob-1", "user"), ("cleo", "cleo-1", "viewer")],
    );
    let began = Instant::now();
    let code = loop {
        if let Err(code) = socket.hear() {
            break code;
        }
    };
    let took = began.elapsed();
    assert_eq!(code, 4401);
    assert!(took < Duration::from_secs(1), "{took:?}");
    assert!(
        stream
            .last()
            .is_none_or(|sent| sent.kind != "task_complete")
    );
    assert!(
        began.elapsed() < Duration::from_secs(2),
        "the stream ends as well"
    );
    server.get(TASKS).problem(401);
    let new = [("Authorization", "Bearer cleo-1")];
    server.ask("GET", TASKS, &new, b"").expect(200);
    // A file that cannot be read changes nothing, and the log says so.
    fs::write(&file, "{").unwrap();
    until("the log says so", || {
        server
            .log()
            .contains("the tokens read before stay valid")
            .then_some(())
    });
    server.ask("GET", TASKS, &new, b"").expect(200);
}

#[test]
fn tokens_are_in_no_log() {
    let home = Home::new();
    let file = tokens(&home, &[("ada", "ada-secret", "user")]);
    let args = ["--token-file", &file, "--log", "debug"];
    let server = Server::start(&home, GOOD, &args).with_token("ada-secret");
    let task = server.submit(&json!({"prompt": STUB}));
    server.ended(&task);
    server.get("/api/v1/tasks?token=ada-secret").problem(422);
    assert!(!server.log().contains("ada-secret"), "{}", server.log());
}

#[test]
fn beyond_this_machine_nobody_is_let_in_without_a_token_file() {
    let home = Home::new();
    let args = ["--host", "0.0.0.0", "--port", "0"];
    refused(&serve(&home, &args), 2, "--token-file");
    refused(
        &serve(&home, &["--host", "::", "--port", "0"]),
        2,
        "--token-file",
    );
    let file = tokens(&home, &[("ada", "ada-1", "user")]);
    let args = ["--host", "0.0.0.0", "--token-file", &file];
    let server = Server::start(&home, GOOD, &args);
    server.get(TASKS).problem(401);
    server.with_token("ada-1").get(TASKS).expect(200);
}

#[test]
fn a_token_file_that_does_not_fit_is_one_clear_line() {
    let home = Home::new();
    let path = home.path().join("tokens.jsonl");
    let name = path.to_str().unwrap();
    refused(
        &serve(&home, &["--port", "0", "--token-file", name]),
        1,
        "cannot read",
    );
    for (text, words) in [
        ("{\"name\":\"ada\"}\n", "line 1"),
        (
            "\n{\"name\":\"ada\",\"token_hash\":\"x\",\"role\":\"user\"}\n",
            "line 2",
        ),
        (
            "{\"name\":\"ada\",\"token\":\"x\",\"role\":\"user\"}\n",
            "line 1",
        ),
    ] {
        fs::write(&path, text).unwrap();
        refused(
            &serve(&home, &["--port", "0", "--token-file", name]),
            1,
            words,
        );
    }
}

#[test]
fn a_port_that_is_taken_is_one_clear_line_and_nothing_is_left() {
    let home = Home::new();
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = taken.local_addr().unwrap().port().to_string();
    refused(&serve(&home, &["--port", &port]), 1, &port);
    drop(taken);
    assert!(!home.data_dir().join("server.sock").exists());
    Server::start(&home, GOOD, &[]).get("/health").expect(200);
}

#[test]
fn a_second_server_on_one_data_folder_is_refused_and_names_the_first() {
    let home = Home::new();
    let server = Server::start(&home, GOOD, &[]);
    let holder = format!("process {}", server.child.id());
    refused(&serve(&home, &["--port", "0"]), 1, &holder);
    // The first one is none the worse for it.
    let task = server.submit(&json!({"prompt": STUB}));
    assert_eq!(server.ended(&task)["status"], "complete");
    assert_eq!(home.run(&["tasks", "--json"]).json_lines().len(), 1);
}

#[test]
fn a_token_that_the_program_makes_lets_its_owner_in() {
    let home = Home::new();
    let made = home
        .run(&["token", "ada", "--role", "viewer", "--json"])
        .json_lines();
    let token = made[0]["token"].as_str().unwrap();
    let file = home.path().join("tokens.jsonl");
    std::fs::write(&file, format!("{}\n", made[0]["line"])).unwrap();
    let args = ["--token-file", file.to_str().unwrap()];
    let server = Server::start(&home, GOOD, &args).with_token(token);
    server.get("/api/v1/tasks").expect(200);
    let refused = server.post("/api/v1/tasks", &json!({"prompt": "x"}));
    refused.problem(403);
    assert_eq!(home.run(&["token", "../ada"]).code, Some(2));
}

/// The names of all tools, asked as a client of the newest revision asks.
fn tools(server: &Server) -> String {
    let of = |name: &str| format!("io.modelcontextprotocol/{name}");
    let meta = json!({
        of("protocolVersion"): "2026-07-28",
        of("clientInfo"): {"name": "test", "version": "1"},
        of("clientCapabilities"): {}
    });
    let ask = json!({"jsonrpc": "2.0", "id": 1, "method": "tools/list", "params": {"_meta": meta}});
    let headers = [
        ("Content-Type", "application/json"),
        ("Accept", "application/json, text/event-stream"),
        ("MCP-Protocol-Version", "2026-07-28"),
        ("Mcp-Method", "tools/list"),
    ];
    let answer = server.ask("POST", "/mcp", &headers, ask.to_string().as_bytes());
    assert_eq!(answer.status, 200, "{}", answer.text());
    answer.text()
}

#[test]
fn mcp_alone_can_be_had_and_other_commands_still_find_the_server() {
    let home = Home::new();
    let server = Server::start(&home, GOOD, &["--mcp-only"]);
    for path in ["/", "/health", TASKS, "/ws", "/mcp/x", "/page.css"] {
        let problem = server.get(path).problem(404);
        assert!(
            problem["detail"].as_str().unwrap().contains("/mcp"),
            "{path}"
        );
    }
    let offered = tools(&server);
    assert!(offered.contains("start_coding_task"), "{offered}");
    assert!(!offered.contains("test_simple_text"), "{offered}");
    let listed = home.run(&["tasks"]);
    assert_eq!(listed.code, Some(0), "{}", listed.stderr);
}
