//! Reading over HTTP: tasks, events, files, prompts, streams and sockets, and how the server is doing.

#![allow(clippy::unwrap_used, clippy::expect_used)] // a test fails by panicking

mod common;

use std::time::{Duration, Instant};

use common::Home;
use common::server::{GOOD, SLOW, STEADY, STUB, Server, members, until};
use serde_json::{Value, json};

const TASKS: &str = "/api/v1/tasks";
/// A message to a socket has this long to get out.
const SEND_TIME: Duration = Duration::from_secs(10);

#[test]
fn what_is_absent_is_null_and_never_missing() {
    let home = Home::new();
    let server = Server::start(&home, STEADY, &["--max-concurrent", "1"]);
    let ended = server.submit(&json!({"prompt": STUB}));
    server.ended(&ended);
    let failed = server.submit(&json!({"prompt": "x", "timeout": 0}));
    server.ended(&failed);
    let running = server.submit(&json!({"prompt": "Make a thing"}));
    server.wait(&running, "running");
    let queued = server.submit(&json!({"prompt": "Make a thing"}));
    let views: Vec<Value> = [&ended, &failed, &running, &queued]
        .map(|task| server.task(task))
        .into();
    let all = members(&views[0]);
    assert!(all.len() > 20, "{all:?}");
    for view in &views {
        assert_eq!(members(view), all, "{view}");
    }
    for absent in [
        "pause",
        "model",
        "verification",
        "reason",
        "result",
        "output",
    ] {
        assert_eq!(views[3][absent], Value::Null, "{absent}");
    }
    let page = server.get(TASKS).expect(200);
    assert_eq!(members(&page), ["tasks", "next"]);
    assert_eq!(page["next"], Value::Null);
    let listed = page["tasks"].as_array().unwrap();
    assert_eq!(listed.len(), 4);
    for task in listed {
        assert_eq!(members(task), members(&listed[0]));
    }
    let events = server.get(&format!("{TASKS}/{ended}/events")).expect(200);
    let events = events["events"].as_array().unwrap();
    for event in events {
        assert_eq!(members(event), members(&events[0]));
        assert_eq!(event["data"], Value::Null);
    }
    let problem = server.get(&format!("{TASKS}/nobody")).problem(404);
    assert_eq!(
        members(&problem),
        [
            "type",
            "title",
            "status",
            "detail",
            "field",
            "retry_after",
            "version",
            "etag"
        ]
    );
}

#[test]
fn tasks_are_listed_newest_first_in_pages_and_by_status() {
    let home = Home::new();
    let server = Server::start(&home, SLOW, &["--max-concurrent", "1"]);
    let first = server.submit(&json!({"prompt": "x"}));
    server.event(&first, "model_call_started");
    let mut all: Vec<String> = (0..6)
        .map(|_| server.submit(&json!({"prompt": "x"})))
        .collect();
    all.insert(0, first);
    all.reverse();
    let mut seen = Vec::new();
    let mut before = String::new();
    loop {
        let page = server.get(&format!("{TASKS}?limit=3{before}")).expect(200);
        let tasks = page["tasks"].as_array().unwrap();
        assert!(tasks.len() <= 3);
        seen.extend(
            tasks
                .iter()
                .map(|task| task["task_id"].as_str().unwrap().to_owned()),
        );
        match page["next"].as_u64() {
            Some(next) => before = format!("&before={next}"),
            None => break,
        }
    }
    assert_eq!(seen, all);
    let of = |status: &str| {
        let page = server.get(&format!("{TASKS}?status={status}")).expect(200);
        page["tasks"].as_array().unwrap().len()
    };
    assert_eq!((of("running"), of("queued"), of("complete")), (1, 6, 0));
    for (query, field) in [
        ("limit=0", "limit"),
        ("limit=1001", "limit"),
        ("limit=x", "limit"),
        ("before=-1", "before"),
        ("before=9223372036854775808", "before"),
        ("status=lost", "status"),
        ("more=1", "more"),
    ] {
        let problem = server.get(&format!("{TASKS}?{query}")).problem(422);
        assert_eq!(problem["field"], field, "{query} {problem}");
    }
}

#[test]
fn events_are_paged_both_ways_and_carry_payloads_only_if_asked() {
    let home = Home::new();
    let server = Server::start(&home, GOOD, &[]);
    let task = server.submit(&json!({"prompt": STUB}));
    server.ended(&task);
    let all = server.events(&task);
    let sequences = |page: &Value| -> Vec<u64> {
        let events = page["events"].as_array().unwrap().iter();
        events
            .map(|event| event["sequence"].as_u64().unwrap())
            .collect()
    };
    let expected: Vec<u64> = all
        .iter()
        .map(|e| e["sequence"].as_u64().unwrap())
        .collect();
    let url = format!("{TASKS}/{task}/events");
    let paged = |start: &str, name: &str| {
        let mut seen = Vec::new();
        let mut query = start.to_owned();
        loop {
            let page = server.get(&format!("{url}?limit=4{query}")).expect(200);
            assert!(sequences(&page).len() <= 4);
            seen.extend(sequences(&page));
            match page["next"].as_u64() {
                Some(next) => query = format!("&{name}={next}"),
                None => return seen,
            }
        }
    };
    assert_eq!(paged("&after=0", "after"), expected);
    let mut backwards = paged("", "before");
    backwards.reverse();
    assert_eq!(backwards, expected);
    let (low, high) = (expected[2], expected[6]);
    let between = server
        .get(&format!("{url}?after={low}&before={high}"))
        .expect(200);
    assert_eq!(sequences(&between), expected[3..6]);
    assert_eq!(all[0]["data"]["prompt"], STUB);
    let plain = server.get(&format!("{url}?after=0")).expect(200);
    assert_eq!(plain["events"][0]["data"], Value::Null);
    let of_kind = server
        .get(&format!("{url}?kind=code_generated&data=true"))
        .expect(200);
    assert_eq!(sequences(&of_kind).len(), 1);
    assert!(of_kind["events"][0]["data"]["source"].is_string());
    let by_user = server.get(&format!("{url}?actor=user")).expect(200);
    assert_eq!(sequences(&by_user), expected[..1]);
    for query in ["kind=", "actor=", "module=1", "after=x", "data=maybe"] {
        server.get(&format!("{url}?{query}")).problem(422);
    }
    // As lines they are what is stored.
    let lines = server
        .get(&format!("/api/v1/events?task={task}&limit=1000"))
        .text();
    let told = home.run(&["events", "--json", "--task", &task]).stdout;
    assert_eq!(lines, told.replace("{\"type\":\"event\",", "{"));
}

#[test]
fn files_are_given_in_every_version_and_a_task_as_it_was() {
    let home = Home::new();
    let server = Server::start(&home, "latency_ms=0&wrong=100&malformed=0", &[]);
    let task = server.submit(&json!({"prompt": STUB, "max_iterations": 2}));
    server.ended(&task);
    let events = server.events(&task);
    let codes: Vec<&Value> = events
        .iter()
        .filter(|event| event["data"]["source"].is_string() && event["module"].is_string())
        .filter(|event| event["kind"] == "code_generated")
        .collect();
    assert!(!codes.is_empty(), "{events:?}");
    let url = format!("{TASKS}/{task}/files");
    for code in &codes {
        let version = &code["code_version"];
        let text = server.get(&format!("{url}/solution.py?version={version}"));
        assert_eq!(text.status, 200);
        assert_eq!(text.text(), code["data"]["source"].as_str().unwrap());
        assert_eq!(text.header("x-content-type-options"), Some("nosniff"));
        let list = server.get(&url).expect(200);
        let files = list["files"].as_array().unwrap();
        let known = |file: &&Value| file["path"] == "solution.py" && file["version"] == *version;
        let file = files.iter().find(known).unwrap();
        assert_eq!(file["bytes"], text.body.len());
        assert_eq!(file["hash"], code["code_hash"]);
    }
    server
        .get(&format!("{url}/solution.py?version=99"))
        .problem(404);
    // At every past event the task is what its events up to then say.
    let first = events[0]["sequence"].as_u64().unwrap();
    let before = codes[0]["sequence"].as_u64().unwrap() - 1;
    let at = |sequence: u64| server.get(&format!("{TASKS}/{task}?at={sequence}"));
    assert_eq!(at(first).expect(200)["status"], "queued");
    assert_eq!(at(before).expect(200)["modules"][0]["version"], 0);
    assert_eq!(at(before + 1).expect(200)["modules"][0]["version"], 1);
    let now = server.task(&task);
    let last = now["sequence"].as_u64().unwrap();
    assert_eq!(at(last).expect(200), now);
    at(first - 1).problem(404);
    let none = server.get(&format!("{url}?at={before}")).expect(200);
    let none = none["files"].as_array().unwrap();
    assert!(
        none.iter().all(|file| file["path"] != "solution.py"),
        "{none:?}"
    );
    assert_eq!(
        server.get(&format!("{url}/solution.py?at={before}")).status,
        404
    );
}

#[test]
fn the_context_is_byte_for_byte_what_the_model_was_asked() {
    let home = Home::new();
    let server = Server::start(&home, GOOD, &[]);
    let task = server.submit(&json!({"prompt": "Make a thing — über 'quotes' & <tags>"}));
    server.ended(&task);
    let events = server.events(&task);
    let calls: Vec<&Value> = events
        .iter()
        .filter(|event| event["kind"] == "model_call_started")
        .collect();
    assert!(calls.len() >= 3);
    for call in calls {
        let at = &call["sequence"];
        let context = server
            .get(&format!("{TASKS}/{task}/context?at={at}"))
            .expect(200);
        assert_eq!(context["sequence"], *at);
        assert_eq!(context["purpose"], call["data"]["purpose"]);
        assert_eq!(context["module"], call["module"]);
        let sent = call["data"]["messages"].as_array().unwrap();
        let shown = context["messages"].as_array().unwrap();
        assert_eq!(shown.len(), sent.len());
        for (message, cited) in shown.iter().zip(sent) {
            let text = message["content"].as_str().unwrap();
            let hash = cited["blob"].as_str().unwrap();
            assert_eq!(format!("b3:{}", blake3::hash(text.as_bytes())), hash);
            let blob = server.get(&format!("{TASKS}/{task}/blobs/{hash}"));
            assert_eq!(blob.text(), text);
        }
    }
    let first = events[0]["sequence"].as_u64().unwrap();
    server
        .get(&format!("{TASKS}/{task}/context?at={first}"))
        .problem(404);
    server
        .get(&format!("{TASKS}/{task}/blobs/b3:{}", "0".repeat(64)))
        .problem(404);
    server.get(&format!("{TASKS}/{task}/blobs/x")).problem(422);
}

#[test]
fn server_sent_events_go_on_after_the_last_one_and_end_with_the_task() {
    let home = Home::new();
    let server = Server::start(&home, STEADY, &[]);
    let task = server.submit(&json!({"prompt": STUB}));
    let url = format!("{TASKS}/{task}/stream");
    let mut stream = server.stream(&url, &[]);
    let mut seen: Vec<_> = stream.by_ref().take(3).collect();
    drop(stream);
    let last = seen.last().unwrap().id.to_string();
    // `Last-Event-ID` goes before `after`.
    let again = server.stream(&format!("{url}?after=0"), &[("Last-Event-ID", &last)]);
    seen.extend(again);
    assert_eq!(server.task(&task)["status"], "complete");
    let stored = server.events(&task);
    assert_eq!(seen.len(), stored.len());
    for (sent, event) in seen.iter().zip(&stored) {
        assert_eq!(sent.id, event["sequence"]);
        assert_eq!(sent.kind, event["kind"]);
        assert_eq!(sent.event["id"], event["id"]);
        assert_eq!(sent.event["data"], event["data"]);
    }
    let last = seen.last().unwrap().id.to_string();
    let nothing = server.ask("GET", &url, &[("Last-Event-ID", &last)], b"");
    assert_eq!(nothing.status, 204);
    let bad = server.ask("GET", &url, &[("Last-Event-ID", "x")], b"");
    assert_eq!(bad.problem(422)["field"], "Last-Event-ID");
}

#[test]
fn a_socket_gives_everything_since_a_position_in_order_and_once() {
    let home = Home::new();
    let server = Server::start(&home, STEADY, &["--max-concurrent", "1"]);
    let first = server.submit(&json!({"prompt": STUB}));
    let second = server.submit(&json!({"prompt": STUB}));
    // Before the task starts it waits.
    let mut early = server.socket(&format!("/ws/{second}"));
    let mut all = server.socket("/ws");
    let heard = early.hear_until("task_complete");
    let of = |task: &str| server.events(task);
    let sequence = |event: &Value| event["sequence"].as_u64().unwrap();
    let stored = of(&second);
    assert_eq!(
        heard.iter().map(sequence).collect::<Vec<_>>(),
        stored.iter().map(sequence).collect::<Vec<_>>()
    );
    for (message, event) in heard.iter().zip(&stored) {
        assert_eq!(
            (&message["v"], &message["type"]),
            (&json!(1), &json!("event"))
        );
        assert_eq!(message["kind"], event["kind"]);
        assert_eq!(message["data"], event["data"]);
    }
    let mut both: Vec<u64> = of(&first).iter().chain(&stored).map(sequence).collect();
    both.sort_unstable();
    let count = both.len();
    let seen: Vec<u64> = (0..count).map(|_| sequence(&all.hear().unwrap())).collect();
    assert_eq!(seen, both);
    let middle = sequence(&stored[4]);
    let mut later = server.socket(&format!("/ws/{second}?after={middle}"));
    let rest = later.hear_until("task_complete");
    assert_eq!(rest.len(), stored.len() - 5);
    assert_eq!(sequence(&rest[0]), sequence(&stored[5]));
}

/// The one test here that waits: how long a message may take to get out is a matter of real time, and of
/// a real connection that is full.
#[test]
fn a_socket_that_is_not_read_is_closed_with_a_code_and_delays_nobody() {
    let home = Home::new();
    let server = Server::start(&home, SLOW, &["--max-concurrent", "1"]);
    let busy = server.submit(&json!({"prompt": "x"}));
    server.event(&busy, "model_call_started");
    let (mut slow, mut reader) = (server.socket("/ws"), server.socket("/ws"));
    // Together 16 MB, more than what the system keeps of a connection's bytes on both sides.
    let prompt = "\u{1f6b6}".repeat(100_000);
    let tasks = 40;
    let full = std::thread::scope(|scope| {
        let reading = scope.spawn(|| {
            // The one that is worked on was submitted, too.
            for _ in 0..=tasks {
                reader.hear_until("task_submitted");
            }
        });
        for _ in 0..tasks {
            server.submit(&json!({"prompt": prompt}));
        }
        let full = Instant::now();
        reading.join().unwrap();
        full
    });
    assert!(full.elapsed() < SEND_TIME / 2, "{:?}", full.elapsed());
    // For three times as long the server tries to say that it closes.
    std::thread::sleep((SEND_TIME + Duration::from_secs(1)).saturating_sub(full.elapsed()));
    let mut last = 0;
    let mut heard = 0;
    let code = loop {
        match slow.hear() {
            Ok(event) => last = event["sequence"].as_u64().unwrap(),
            Err(code) => break code,
        }
        heard += 1;
        assert!(heard < tasks, "it was never too slow");
    };
    assert_eq!(code, 4408);
    // It says where it was and misses nothing.
    let mut again = server.socket(&format!("/ws?after={last}"));
    let next = again.hear().unwrap()["sequence"].as_u64().unwrap();
    assert_eq!(next, last + 1);
}

#[test]
fn a_socket_of_an_unknown_task_or_with_words_not_understood_is_closed_with_a_code() {
    let home = Home::new();
    let server = Server::start(&home, SLOW, &[]);
    assert_eq!(server.socket("/ws/nobody").hear(), Err(4404));
    assert_eq!(server.socket("/ws/..%2fx").hear(), Err(4404));
    let mut socket = server.socket("/ws");
    socket.say(&json!({"type": "dance"}));
    assert_eq!(socket.hear(), Err(4400));
    assert!(matches!(server.socket_from("/ws?after=x", &[]), Err(422)));
    server.get("/ws").problem(400);
    // A server that stops says so.
    let mut socket = server.socket("/ws");
    let port = server.port;
    assert_eq!(server.stop(), Some(0));
    assert_eq!(socket.hear(), Err(1001), "{port}");
}

#[test]
fn health_readiness_and_figures_are_told() {
    let home = Home::new();
    let server = Server::start(&home, SLOW, &["--max-concurrent", "1"]);
    assert_eq!(server.get("/health").expect(200)["status"], "ok");
    let ready = server.get("/ready").expect(200);
    assert_eq!(ready, json!({"ready": true, "reasons": []}));
    let task = server.submit(&json!({"prompt": "x"}));
    server.submit(&json!({"prompt": "x", "priority": "low"}));
    server.wait(&task, "running");
    let metrics = server.get("/metrics");
    assert_eq!(metrics.status, 200);
    assert!(
        metrics
            .header("content-type")
            .unwrap()
            .starts_with("text/plain; version=0.0.4")
    );
    let text = metrics.text();
    for line in [
        "journeyman_tasks_running 1",
        "journeyman_queue_depth{priority=\"low\"} 1",
        "journeyman_tasks_submitted_total 2",
    ] {
        assert!(text.lines().any(|known| known == line), "{line}\n{text}");
    }
    for line in text.lines().filter(|line| !line.starts_with('#')) {
        let (name, value) = line.rsplit_once(' ').unwrap();
        assert!(name.starts_with("journeyman_"), "{line}");
        value.parse::<f64>().unwrap_or_else(|_| panic!("{line}"));
    }
}

#[test]
fn alerts_are_told_as_figures() {
    let home = Home::new();
    let limits = ["--max-concurrent", "1", "--queue-capacity", "1"];
    let server = Server::start(&home, SLOW, &limits);
    let figures = || server.get("/metrics").text();
    let has = |line: &str| figures().lines().any(|known| known == line);
    assert!(has("journeyman_alert_level{watched=\"fill\"} 0"));
    let task = server.submit(&json!({"prompt": "x"}));
    server.wait(&task, "running");
    let waiting = server.submit(&json!({"prompt": "x"}));
    assert!(has("journeyman_alert_level{watched=\"fill\"} 2"));
    server.intervene(&waiting, &json!({"kind": "cancel"}));
    until("all is well again", || {
        has("journeyman_alert_level{watched=\"fill\"} 0").then_some(())
    });
    let text = figures();
    let alerts = text
        .lines()
        .filter_map(|line| line.strip_prefix("journeyman_alerts_total"));
    let alerts: Vec<(&str, &str)> = alerts.filter_map(|line| line.split_once(' ')).collect();
    assert_eq!(alerts.len(), 9, "{text}");
    for (labels, count) in alerts {
        let fill = [
            "{watched=\"fill\",level=\"critical\"}",
            "{watched=\"fill\",level=\"normal\"}",
        ];
        assert_eq!(fill.contains(&labels), count != "0", "{text}");
    }
}

#[test]
fn a_task_that_nobody_stopped_never_looks_as_if_it_rested() {
    let home = Home::new();
    let server = Server::start(&home, GOOD, &["--max-concurrent", "2"]);
    let tasks: Vec<String> = (0..8)
        .map(|_| server.submit(&json!({"prompt": STUB})))
        .collect();
    let over = std::sync::atomic::AtomicBool::new(false);
    let is_over = || over.load(std::sync::atomic::Ordering::Relaxed);
    std::thread::scope(|scope| {
        let listing = scope.spawn(|| {
            while !is_over() {
                let page = server.get(TASKS).expect(200);
                for task in page["tasks"].as_array().unwrap() {
                    assert_ne!(task["status"], "paused", "{task}");
                }
            }
        });
        let looking = scope.spawn(|| {
            for task in tasks.iter().cycle().take_while(|_| !is_over()) {
                let view = server.task(task);
                assert_ne!(view["status"], "paused", "{view}");
            }
        });
        let are_all_ended = || {
            let page = server.get(&format!("{TASKS}?status=complete")).expect(200);
            page["tasks"].as_array().unwrap().len() == tasks.len()
        };
        until("all end", || {
            let failed = listing.is_finished() || looking.is_finished();
            (failed || are_all_ended()).then_some(())
        });
        over.store(true, std::sync::atomic::Ordering::Relaxed);
        listing.join().unwrap();
        looking.join().unwrap();
    });
}

#[test]
fn a_model_server_that_cannot_be_reached_at_the_start_is_one_error_and_nothing_is_started() {
    let home = Home::new();
    let mut serve = home.command(&[
        "serve",
        "--port",
        "0",
        "--json",
        "--model-url",
        "http://127.0.0.1:1",
    ]);
    let output = serve.output().unwrap();
    let stderr = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(1), "{stderr}");
    assert!(stderr.contains("http://127.0.0.1:1"), "{stderr}");
    assert!(output.stdout.is_empty());
}

#[test]
fn a_model_server_that_is_not_required_is_waited_for_and_worked_with_as_soon_as_it_is_there() {
    let home = Home::new();
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let at = listener.local_addr().unwrap();
    drop(listener);
    let url = format!("http://{at}/v1");
    let mut serve = home.command(&["serve", "--port", "0", "--json", "--model", "only"]);
    serve.args(["--model-url", &url, "--model-required=false"]);
    let server = Server::launch(&home, serve);
    let ready = server.get("/ready").expect(503);
    let reason = ready["reasons"][0].as_str().unwrap();
    assert!(reason.starts_with("model server: "), "{reason}");
    assert!(reason.contains(&at.to_string()), "{reason}");
    let task = server.submit(&json!({"prompt": "x"}));
    assert_eq!(server.task(&task)["reason"], Value::Null);
    assert_eq!(server.events(&task).len(), 1, "it waits");
    let listener = std::net::TcpListener::bind(at).unwrap();
    std::thread::spawn(move || {
        listener
            .incoming()
            .map_while(Result::ok)
            .for_each(tell_of_a_model);
    });
    server.event(&task, "model_call_started");
    assert_eq!(server.get("/ready").expect(200)["ready"], true);
}

#[test]
fn a_model_server_that_goes_away_makes_the_server_not_ready_and_says_why() {
    let home = Home::new();
    // Stands in for a server with one model, and answers what it is asked about itself.
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let at = listener.local_addr().unwrap();
    let is_gone = std::sync::Arc::new(std::sync::atomic::AtomicBool::new(false));
    let gone = std::sync::Arc::clone(&is_gone);
    std::thread::spawn(move || {
        for stream in listener.incoming().map_while(Result::ok) {
            if !gone.load(std::sync::atomic::Ordering::Relaxed) {
                tell_of_a_model(stream);
            }
        }
    });
    let mut server = home.command(&["serve", "--port", "0", "--json", "--model", "only"]);
    server.args(["--model-url", &format!("http://{at}/v1")]);
    let server = Server::launch(&home, server);
    assert_eq!(server.get("/ready").expect(200)["ready"], true);
    is_gone.store(true, std::sync::atomic::Ordering::Relaxed);
    let answer = server.get("/ready");
    let ready = answer.expect(503);
    assert_eq!(ready["ready"], false);
    let reason = ready["reasons"][0].as_str().unwrap();
    assert!(reason.starts_with("model server: "), "{reason}");
    server.get("/health").expect(200);
    // What is asked of it is taken all the same.
    let task = server.submit(&json!({"prompt": "x"}));
    assert_eq!(server.task(&task)["reason"], Value::Null);
}

fn tell_of_a_model(mut stream: std::net::TcpStream) {
    use std::io::{BufRead, BufReader, Write};
    let mut lines = BufReader::new(stream.try_clone().unwrap()).lines();
    let asked = lines.next().and_then(Result::ok).unwrap_or_default();
    let _ = lines.find(|line| line.as_ref().map_or(true, String::is_empty));
    let (status, body) = if asked.contains("/models") {
        (
            "200 OK",
            r#"{"object":"list","data":[{"id":"only","object":"model"}]}"#,
        )
    } else {
        ("404 Not Found", "{}")
    };
    let length = body.len();
    let _ = write!(
        stream,
        "HTTP/1.1 {status}\r\nContent-Type: application/json\r\nContent-Length: {length}\r\nConnection: close\r\n\r\n{body}"
    );
}

#[test]
fn a_clients_request_id_is_kept_and_its_trace_is_taken() {
    let home = Home::new();
    let server = Server::start(&home, GOOD, &["--log", "debug"]);
    let id = |headers: &[(&str, &str)]| {
        let answer = server.ask("GET", "/health", headers, b"");
        answer.header("x-request-id").unwrap().to_owned()
    };
    assert_eq!(id(&[("X-Request-Id", "my-request.7")]), "my-request.7");
    let trace = "4bf92f3577b34da6a3ce929d0e0e4736";
    let parent = format!("00-{trace}-00f067aa0ba902b7-01");
    assert_eq!(id(&[("traceparent", &parent)]), trace);
    assert_eq!(
        id(&[("traceparent", &parent), ("X-Request-Id", "mine")]),
        "mine"
    );
    let drawn = id(&[("X-Request-Id", "a b")]);
    assert_eq!(drawn.len(), 32);
    assert_ne!(drawn, id(&[]));
    assert_ne!(id(&[("X-Request-Id", &"x".repeat(200))]).len(), 200);
    // It is on what is logged for the request, and in problems' answers too.
    let missing = server.ask("GET", "/nothing", &[("X-Request-Id", "lost-one")], b"");
    assert_eq!(missing.header("x-request-id"), Some("lost-one"));
    until("the id is logged", || {
        server.log().contains("my-request.7").then_some(())
    });
}

#[test]
fn what_is_logged_of_the_work_on_a_task_names_it() {
    let home = Home::new();
    let server = Server::start(
        &home,
        GOOD,
        &[
            "--log-format",
            "json",
            "--log",
            "journeyman_workflow=trace,journeyman_tasks=trace",
        ],
    );
    let task = server.submit(&json!({"prompt": STUB}));
    server.ended(&task);
    let has_stopped = || {
        server
            .log()
            .lines()
            .any(|line| line.contains("work on the task has stopped"))
    };
    until("the end is logged", || has_stopped().then_some(()));
    for line in server.log().lines() {
        let value: Value = serde_json::from_str(line).unwrap();
        assert!(value.to_string().contains(&task), "{line}");
    }
}

#[test]
fn the_queue_shows_its_figures_and_may_run_more_at_once_from_now_on() {
    let home = Home::new();
    let server = Server::start(&home, SLOW, &["--max-concurrent", "1"]);
    let (first, second) = (
        server.submit(&json!({"prompt": "One"})),
        server.submit(&json!({"prompt": "Two", "priority": 33})),
    );
    server.event(&first, "model_call_started");
    let figures = server.get("/api/v1/queue").expect(200);
    assert_eq!(figures["running"], 1);
    assert_eq!(figures["waiting"], json!([{"priority": "33", "tasks": 1}]));
    assert_eq!(figures["submitted"], 2);
    for (bad, field) in [
        (json!({"max_concurrent": 0}), "max_concurrent"),
        (json!({"workers": 1001}), "workers"),
        (json!({"more": 1}), "more"),
    ] {
        assert_eq!(
            server.post("/api/v1/queue", &bad).problem(422)["field"],
            field
        );
    }
    server
        .post(
            "/api/v1/queue",
            &json!({"max_concurrent": 2.0, "workers": 1}),
        )
        .expect(200);
    server.event(&second, "model_call_started");
    assert_eq!(server.get("/api/v1/queue").expect(200)["running"], 2);
}
