//! Webhooks and the `on_end` command against the world: receivers that misbehave, addresses that are refused, what a
//! command can reach, and deliveries that are given up. The binary is used as people use it.

#![allow(clippy::unwrap_used, clippy::expect_used)] // a test fails by panicking

mod common;

use std::fs;
use std::net::TcpListener;
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use common::Home;
use common::receiver::{Receiver, Reply};
use common::server::{GOOD, STUB, Server, tokens, until};
use serde_json::{Value, json};

/// Serves with these tables of webhooks, which may be sent to this machine.
fn serve(home: &Home, webhooks: &[(&str, &str)]) -> Server {
    let tables = webhooks
        .iter()
        .map(|(name, url)| format!("[webhooks.{name}]\nurl = {url:?}\n"));
    let text: String = std::iter::once("webhook_networks = \"127.0.0.1\"\n".to_owned())
        .chain(tables)
        .collect();
    let config = home.path().join("hooks.toml");
    fs::write(&config, text).unwrap();
    Server::start(home, GOOD, &["--config", config.to_str().unwrap()])
}

fn hook(server: &Server, name: &str) -> Value {
    let list = server.get("/api/v1/hooks").expect(200);
    let mut hooks = list["hooks"].as_array().unwrap().iter();
    hooks.find(|hook| hook["hook"] == name).unwrap().clone()
}

fn failing(server: &Server, name: &str) -> String {
    until(&format!("{name} fails"), || {
        let error = hook(server, name)["last_error"].as_str().map(str::to_owned);
        error.filter(|_| hook(server, name)["state"] == "failing")
    })
}

/// A port that nobody listens on.
fn closed_port() -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    listener.local_addr().unwrap().port()
}

#[test]
fn receivers_that_misbehave_delay_no_task_and_no_other_receiver_and_are_shown() {
    let home = Home::new();
    let good = Receiver::start();
    let there = good.url();
    let slow = Receiver::replying(|_| Reply::Hang);
    let endless = Receiver::replying(|_| Reply::Endless("HTTP/1.1 100 Continue\r\n\r\n"));
    let failing_twice = Receiver::replying(|nth| Reply::status(if nth < 2 { 500 } else { 200 }));
    let redirecting =
        Receiver::replying(move |_| Reply::with_header(307, &format!("Location: {there}\r\n")));
    let busy = Receiver::replying(|_| Reply::with_header(429, "Retry-After: 31536000\r\n"));
    let gone = Receiver::replying(|_| Reply::status(410));
    let dead = format!("http://127.0.0.1:{}/", closed_port());
    let no_tls = good.url().replace("http", "https");
    let server = serve(
        &home,
        &[
            ("a-slow", &slow.url()),
            ("a-endless", &endless.url()),
            ("dead", &dead),
            ("no-tls", &no_tls),
            ("twice", &failing_twice.url()),
            ("redirecting", &redirecting.url()),
            ("busy", &busy.url()),
            ("gone", &gone.url()),
            ("good", &good.url()),
        ],
    );
    let began = Instant::now();
    let tasks: Vec<String> = (0..3)
        .map(|_| server.submit(&json!({"prompt": STUB})))
        .collect();
    for task in &tasks {
        assert_eq!(server.ended(task)["status"], "complete");
    }
    until("the good receiver has everything", || {
        (hook(&server, "good")["delivered"] == 3).then_some(())
    });
    assert!(
        began.elapsed() < Duration::from_secs(15),
        "no attempt was waited for"
    );
    assert!(failing(&server, "dead").contains("refused"));
    assert!(failing(&server, "redirecting").contains("307"));
    assert!(failing(&server, "busy").contains("429"));
    failing(&server, "no-tls");
    let next = hook(&server, "busy")["next_attempt_at"]
        .as_str()
        .unwrap()
        .to_owned();
    let next: jiff::Timestamp = next.parse().unwrap();
    let wait = next.duration_since(jiff::Timestamp::now()).as_secs();
    assert!((3_000..=3_600).contains(&wait), "{wait} s");
    until("the one that failed twice has everything", || {
        (hook(&server, "twice")["delivered"] == 3).then_some(())
    });
    let gone = until("one wants no more", || {
        let gone = hook(&server, "gone");
        (gone["state"] == "disabled").then_some(gone)
    });
    assert_eq!(gone["pending"], 0, "{gone}");
    for name in ["a-slow", "a-endless"] {
        assert_eq!(failing(&server, name), "no response within 15 s", "{name}");
    }
    assert_eq!(good.messages().len(), 3, "a redirect was followed");
    let listed = home.run(&["hooks"]);
    assert!(
        listed.stdout.contains("no response within 15 s"),
        "{}",
        listed.stdout
    );
    let stopped = Instant::now();
    assert_eq!(server.stop(), Some(0));
    assert!(stopped.elapsed() < Duration::from_secs(30));
}

#[test]
fn nothing_is_told_of_a_task_that_was_erased_before_its_delivery() {
    let home = Home::new();
    let is_up = Arc::new(AtomicBool::new(false));
    let receiver = {
        let is_up = Arc::clone(&is_up);
        Receiver::replying(move |_| {
            Reply::status(if is_up.load(Ordering::SeqCst) {
                200
            } else {
                500
            })
        })
    };
    let server = serve(&home, &[("late", &receiver.url())]);
    let task = server.submit(&json!({"prompt": STUB}));
    server.ended(&task);
    failing(&server, "late");
    let erased = server.ask("DELETE", &format!("/api/v1/tasks/{task}"), &[], b"");
    assert_eq!(erased.status, 200, "{}", erased.text());
    let before = receiver.messages().len();
    is_up.store(true, Ordering::SeqCst);
    let late = until("nothing is pending", || {
        let late = hook(&server, "late");
        (late["pending"] == 0).then_some(late)
    });
    assert_eq!(late["dead"], 0, "{late}");
    assert_eq!(late["delivered"], 0, "{late}");
    assert_eq!(receiver.messages().len(), before);
}

#[test]
fn no_form_of_a_private_address_is_taken_from_a_task() {
    let home = Home::new();
    let receiver = Receiver::start();
    let server = Server::start(&home, GOOD, &[]);
    let submit = |url: &str| {
        let webhook = json!({"url": url});
        server.post(
            "/api/v1/tasks",
            &json!({"prompt": STUB, "webhook": webhook}),
        )
    };
    for host in [
        "127.0.0.1",
        "127.1",
        "2130706433",
        "0x7f000001",
        "0x7f.0.0.1",
        "0177.0.0.1",
        "[::1]",
        "[::ffff:127.0.0.1]",
        "[::127.0.0.1]",
        "[64:ff9b::127.0.0.1]",
        "169.254.169.254",
        "10.1.2.3",
        "192.168.1.1",
        "0.0.0.0",
        "[::]",
        "[fe80::1]",
        "[fd00::1]",
    ] {
        let url = format!("http://{host}:{}/", receiver.port);
        let problem = submit(&url).problem(422);
        let detail = problem["detail"].as_str().unwrap();
        assert!(detail.contains("--webhook-networks"), "{host}: {detail}");
    }
    // Names are looked up when something is sent.
    for name in ["localhost", "LOCALHOST.", "localhost.localdomain"] {
        let url = format!("http://{name}:{}/", receiver.port);
        let accepted = submit(&url).expect(202);
        server.ended(accepted["task_id"].as_str().unwrap());
    }
    until("all of them failed", || {
        let list = server.get("/api/v1/hooks").expect(200);
        let hooks = list["hooks"].as_array().unwrap();
        let have_failed = |hook: &Value| hook["consecutive_failures"].as_u64() > Some(0);
        (hooks.len() == 3 && hooks.iter().all(have_failed)).then_some(())
    });
    assert!(receiver.messages().is_empty());
}

#[test]
fn nobody_gives_the_server_a_command_over_the_network_or_the_socket() {
    let home = Home::new();
    let ran = home.path().join("ran");
    let touch = format!("touch {}", ran.display());
    let file = tokens(&home, &[("root", "r", "admin")]);
    let server = Server::start(&home, GOOD, &["--token-file", &file]).with_token("r");
    for field in ["on_end", "on_end_timeout", "command", "hooks"] {
        let problem = server.post("/api/v1/tasks", &json!({"prompt": STUB, field: touch}));
        assert!(problem.problem(422).to_string().contains(field));
    }
    for url in [touch.as_str(), "exec:true", "data:,true"] {
        let webhook = json!({"url": url});
        server
            .post(
                "/api/v1/tasks",
                &json!({"prompt": STUB, "webhook": webhook}),
            )
            .problem(422);
    }
    server
        .post("/api/v1/hooks/on_end", &json!({"command": touch}))
        .problem(404);
    let task = server.submit(&json!({"prompt": STUB}));
    server.ended(&task);
    for (how, place) in [
        ("--data-dir", home.data_dir().display().to_string()),
        ("--server", server.url()),
    ] {
        let ran = home.run(&["run", STUB, how, &place, "--token", "r", "--on-end", &touch]);
        assert_ne!(ran.code, Some(0), "{how}");
        assert!(ran.stderr.contains("--on-end"), "{how}: {}", ran.stderr);
    }
    assert_eq!(server.stop(), Some(0));
    assert!(!ran.exists());
}

#[test]
fn a_command_inherits_no_files_no_sockets_and_no_secrets() {
    let home = Home::new();
    let out = home.path().join("found");
    let script = format!(
        "exec > {}; ls -l /proc/self/fd; env; pwd; id -u",
        out.display()
    );
    let url = format!("sim:?{GOOD}");
    let mut run = home.command(&["run", STUB, "--model-url", &url]);
    run.env("JOURNEYMAN_ON_END", format!("sh -c '{script}'"));
    run.env("HF_TOKEN", "hunter2")
        .env("JOURNEYMAN_TOKEN", "hunter2");
    let ran = run.output().unwrap();
    assert_eq!(ran.status.code(), Some(0), "{ran:?}");
    let found = fs::read_to_string(&out).unwrap();
    let files = |text: &str| text.matches(" -> ").count();
    // What whoever started the test left open comes through to every program.
    let mut plain = Command::new("sh");
    plain.args(["-c", "ls -l /proc/self/fd"]);
    let plain = String::from_utf8(plain.stdin(Stdio::null()).output().unwrap().stdout).unwrap();
    assert_eq!(files(&found), files(&plain), "{found}{plain}");
    for forbidden in ["socket:", "journal", ".lock", "hooks.db", "hunter2"] {
        assert!(!found.contains(forbidden), "{forbidden}: {found}");
    }
    let me = rustix::process::getuid().as_raw().to_string();
    assert_eq!(found.lines().last(), Some(me.as_str()));
}

#[test]
fn a_program_that_a_command_leaves_behind_does_not_hold_the_data_folder() {
    let home = Home::new();
    let pid = home.path().join("pid");
    let command = format!(
        "sh -c 'setsid sh -c \"echo \\$\\$ > {0}.new; mv {0}.new {0}; exec sleep 600\" & while [ ! -e {0} ]; do sleep 0.02; done'",
        pid.display()
    );
    let ran = home.simulate(&format!("?{GOOD}"), &[STUB, "--on-end", &command]);
    assert_eq!(ran.code, Some(0), "{}", ran.stderr);
    let left: i32 = fs::read_to_string(&pid).unwrap().trim().parse().unwrap();
    let left = rustix::process::Pid::from_raw(left).unwrap();
    assert!(rustix::process::test_kill_process(left).is_ok(), "it lives");
    let again = home.simulate(&format!("?{GOOD}"), &[STUB]);
    rustix::process::kill_process(left, rustix::process::Signal::KILL).unwrap();
    assert_eq!(again.code, Some(0), "{}", again.stderr);
}

#[test]
fn what_failed_for_a_day_is_dead_shown_and_delivered_when_it_is_retried() {
    let home = Home::new();
    let is_well = Arc::new(AtomicBool::new(false));
    let well = Arc::clone(&is_well);
    let receiver = Receiver::replying(move |_| {
        Reply::status(if well.load(Ordering::SeqCst) {
            200
        } else {
            503
        })
    });
    let server = serve(&home, &[("ci", &receiver.url())]);
    let task = server.submit(&json!({"prompt": STUB}));
    server.ended(&task);
    failing(&server, "ci");
    server.crash();
    // A day passes.
    let script = "import sqlite3, sys\nstore = sqlite3.connect(sys.argv[1])\n\
                  for table in ('deliveries', 'hooks'):\n    store.execute(f'UPDATE {table} SET failing_since = failing_since - 86400000')\n\
                  store.commit()";
    let file = home.data_dir().join("hooks.db");
    let aged = Command::new("python3")
        .args(["-c", script])
        .arg(&file)
        .status();
    assert!(aged.unwrap().success());
    let server = serve(&home, &[("ci", &receiver.url())]);
    let ci = until("it is given up", || {
        let ci = hook(&server, "ci");
        (ci["dead"] == 1).then_some(ci)
    });
    assert_eq!(
        (&ci["pending"], &ci["state"]),
        (&json!(0), &json!("failing"))
    );
    assert!(ci["last_error"].as_str().unwrap().contains("503"), "{ci}");
    assert!(
        server.log().contains("deliveries are dead"),
        "{}",
        server.log()
    );
    let listed = home.run(&["hooks"]);
    assert!(listed.stdout.contains("1 dead"), "{}", listed.stdout);
    is_well.store(true, Ordering::SeqCst);
    let retried = home.run(&["hooks", "retry", "ci"]);
    assert_eq!(retried.code, Some(0), "{}", retried.stderr);
    until("it is delivered", || {
        (hook(&server, "ci")["delivered"] == 1).then_some(())
    });
    let messages = receiver.messages();
    assert!(messages.len() > 2);
    assert!(
        messages
            .iter()
            .all(|message| message.id() == messages[0].id())
    );
    assert_eq!(messages[0].event().0, task);
}
