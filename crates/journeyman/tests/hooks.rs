//! Hooks of the real binary: the `on_end` command, webhooks, and kill -9 between a delivery and the record of its outcome.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::print_stdout)] // a test fails by panicking

mod common;

use std::collections::{BTreeMap, HashMap};
use std::fs;
use std::time::{Duration, Instant};

use common::Home;
use common::receiver::{Kill, Receiver};
use common::server::{GOOD, STEADY, STUB, Server, tokens, until};
use serde_json::{Value, json};

const SECRET: &str = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";

/// A configuration file with a webhook called `ci`.
fn config(home: &Home, url: &str, more: &str) -> String {
    let path = home.path().join("hooks.toml");
    let text = format!(
        "webhook_networks = \"127.0.0.1\"\n\n[webhooks.ci]\nurl = {url:?}\nsecret = \"env:CI_SECRET\"\n{more}\n"
    );
    fs::write(&path, text).unwrap();
    path.display().to_string()
}

fn serve(home: &Home, script: &str, config: &str) -> Server {
    let mut command = Server::command(home, script, &["--config", config]);
    command.env("CI_SECRET", SECRET);
    Server::launch(home, command)
}

fn hook(server: &Server, name: &str) -> Value {
    let list = server.get("/api/v1/hooks").expect(200);
    let mut hooks = list["hooks"].as_array().unwrap().iter();
    hooks.find(|hook| hook["hook"] == name).unwrap().clone()
}

/// How often the sender is killed: `JOURNEYMAN_HOOK_KILLS`, or 4 times.
fn kills() -> usize {
    let said = std::env::var("JOURNEYMAN_HOOK_KILLS").ok();
    said.and_then(|text| text.parse().ok()).unwrap_or(4)
}

#[test]
fn through_kill_9_each_message_comes_at_least_once_and_those_about_a_task_in_order() {
    const KINDS: [&str; 7] = [
        "task_submitted",
        "task_started",
        "task_resumed",
        "planning_complete",
        "module_complete",
        "task_complete",
        "task_failed",
    ];
    let home = Home::new();
    let receiver = Receiver::start();
    let config = config(&home, &receiver.url(), &format!("events = {KINDS:?}"));
    let mut server = serve(&home, STEADY, &config);
    for round in 0..kills() {
        let kill = match round % 2 {
            0 => Kill::BeforeTheAnswer,
            _ => Kill::AfterTheAnswer,
        };
        server.submit(&json!({"prompt": STUB, "task_id": format!("t-{round}")}));
        receiver.arm(&server, kill);
        until("the server is killed by a message", || {
            server.child.try_wait().unwrap()
        });
        server = serve(&home, STEADY, &config);
    }
    let last = server.submit(&json!({"prompt": STUB, "task_id": "t-last"}));
    let tasks = server.get("/api/v1/tasks?limit=1000").expect(200);
    let tasks = tasks["tasks"].as_array().unwrap();
    assert_eq!(tasks.len(), kills() + 1);
    let mut expected: HashMap<(String, u64), String> = HashMap::new();
    for task in tasks {
        let name = task["task_id"].as_str().unwrap();
        server.ended(name);
        for event in server.events(name) {
            if KINDS.contains(&event["kind"].as_str().unwrap()) {
                let event_id = event["id"].as_str().unwrap().to_owned();
                expected.insert(
                    (name.to_owned(), event["sequence"].as_u64().unwrap()),
                    event_id,
                );
            }
        }
    }
    assert!(expected.keys().any(|(task, _)| *task == last));
    until("everything is told", || {
        let ci = hook(&server, "ci");
        let is_done = ci["pending"] == 0 && receiver.messages().len() >= expected.len();
        is_done.then_some(())
    });
    let messages = receiver.messages();
    let mut first: BTreeMap<String, Vec<u64>> = BTreeMap::new();
    for message in &messages {
        let event = message.event();
        assert_eq!(
            expected.get(&event).map(String::as_str),
            Some(message.id()),
            "{event:?}"
        );
        let (task, sequence) = event;
        let seen = first.entry(task).or_default();
        if !seen.contains(&sequence) {
            seen.push(sequence);
        }
    }
    let told: usize = first.values().map(Vec::len).sum();
    assert_eq!(told, expected.len(), "each at least once");
    for (task, seen) in &first {
        assert!(seen.is_sorted(), "{task}: {seen:?}");
    }
    let again = messages.len() - told;
    assert!(
        again >= kills() / 2,
        "what was not answered for comes again: {again}"
    );
    println!(
        "{} kills, {} tasks, {told} messages, each at least once and in order per task, {again} of them again",
        kills(),
        first.len()
    );
}

#[test]
fn run_has_the_command_told_how_the_task_ended_and_keeps_its_own_exit_code() {
    let home = Home::new();
    let (script, out) = (home.path().join("hook.sh"), home.path().join("told"));
    fs::write(
        &script,
        format!("cat > {0}; env | sort >> {0}\n", out.display()),
    )
    .unwrap();
    let command = format!("sh '{}'", script.display());
    let folder = home.path().join("result");
    let args = [
        STUB,
        "--on-end",
        &command,
        "--out",
        folder.to_str().unwrap(),
    ];
    let ran = home.simulate(&format!("?{GOOD}"), &args);
    assert_eq!(ran.code, Some(0), "{}", ran.stderr);
    let told = fs::read_to_string(&out).unwrap();
    let (message, variables) = told.split_once("}}").unwrap();
    let message: Value = serde_json::from_str(&format!("{message}}}}}")).unwrap();
    assert_eq!(message["type"], "task_complete");
    assert_eq!(message["data"]["exit_code"], 0);
    assert_eq!(message["data"]["out"], folder.to_str().unwrap());
    for line in [
        "JOURNEYMAN_STATUS=complete",
        "JOURNEYMAN_VERIFICATION=given_tests",
        "JOURNEYMAN_EXIT_CODE=0",
        &format!("JOURNEYMAN_OUT={}", folder.display()),
        &format!("JOURNEYMAN_DATA_DIR={}", home.data_dir().display()),
    ] {
        assert!(variables.contains(line), "{line}: {variables}");
    }
    let listed = home.run(&["hooks"]);
    assert!(
        listed.stdout.contains("on_end") && listed.stdout.contains("1 delivered"),
        "{}",
        listed.stdout
    );
}

#[test]
fn a_command_that_hangs_or_is_missing_changes_nothing_of_the_result() {
    let home = Home::new();
    let began = Instant::now();
    let hangs = [
        "--on-end",
        "sh -c 'sleep 600 & sleep 600'",
        "--on-end-timeout",
        "1s",
    ];
    let ran = home.simulate(&format!("?{GOOD}"), &[&[STUB], &hangs[..]].concat());
    assert_eq!(ran.code, Some(0), "{}", ran.stderr);
    assert!(ran.stdout.contains("complete"), "{}", ran.stdout);
    assert!(began.elapsed() < Duration::from_mins(1));
    let ran = home.simulate(&format!("?{GOOD}"), &[STUB, "--on-end", "/no/such/program"]);
    assert_eq!(ran.code, Some(0), "{}", ran.stderr);
    let listed = home.run(&["hooks", "--json"]).json_lines();
    assert_eq!(
        (&listed[0]["hook"], &listed[0]["delivered"]),
        (&json!("on_end"), &json!(2))
    );
    assert!(
        listed[0]["last_error"]
            .as_str()
            .unwrap()
            .contains("/no/such/program")
    );
    for (flag, bad) in [
        ("--on-end", "'open"),
        ("--on-end-timeout", "2h"),
        ("--webhook-networks", "host"),
    ] {
        let refused = home.simulate(&format!("?{GOOD}"), &[STUB, flag, bad]);
        assert_eq!(refused.code, Some(2), "{flag}");
        assert!(refused.stderr.contains(flag), "{}", refused.stderr);
    }
    let server = Server::start(&home, GOOD, &[]);
    let elsewhere = home.run(&["run", STUB, "--on-end", "true"]);
    assert_eq!(elsewhere.code, Some(1), "{}", elsewhere.stderr);
    assert!(
        elsewhere.stderr.contains("--on-end"),
        "{}",
        elsewhere.stderr
    );
    server.stop();
}

#[test]
fn a_tasks_webhook_is_checked_recorded_without_secrets_and_shown_to_its_owner() {
    let home = Home::new();
    let receiver = Receiver::start();
    let file = tokens(
        &home,
        &[
            ("ada", "a", "user"),
            ("bob", "b", "user"),
            ("root", "r", "admin"),
        ],
    );
    let args = ["--token-file", &file, "--webhook-networks", "127.0.0.1"];
    let mut command = Server::command(&home, GOOD, &args);
    command.env("JOURNEYMAN_WEBHOOK_ADA", SECRET);
    let server = Server::launch(&home, command).with_token("a");
    let submit = |webhook: Value| {
        server.post(
            "/api/v1/tasks",
            &json!({"prompt": STUB, "webhook": webhook}),
        )
    };
    for bad in [
        json!({"url": "nowhere"}),
        json!({"url": "https://ada:hunter2@host/"}),
        json!({"url": receiver.url(), "secret": "whsec_hunter2hunter2"}),
        json!({"url": receiver.url(), "secret": "env:HOME"}),
        json!({"url": receiver.url(), "events": ["task_ended"]}),
        json!({"url": receiver.url(), "more": 1}),
        json!({"url": "http://10.0.0.1/"}),
        json!({"url": "http://2852039166/latest/meta-data/"}),
    ] {
        let problem = submit(bad.clone()).problem(422);
        let text = problem.to_string();
        assert!(
            text.contains("webhook") || text.contains("more"),
            "{bad}: {text}"
        );
        assert!(!text.contains("hunter2"), "{text}");
    }
    submit(json!({"url": receiver.url(), "secret": "file:/etc/passwd"})).problem(403);
    let webhook = json!({
        "url": receiver.url(), "secret": "env:JOURNEYMAN_WEBHOOK_ADA", "events": ["task_started", "task_complete"]
    });
    let accepted = submit(webhook).expect(202);
    let task = accepted["task_id"].as_str().unwrap().to_owned();
    until("both are told", || {
        (receiver.messages().len() == 2).then_some(())
    });
    let messages = receiver.messages();
    let kinds: Vec<Value> = messages
        .iter()
        .map(|one| one.json()["type"].clone())
        .collect();
    assert_eq!(kinds, ["task_started", "task_complete"]);
    assert!(messages[0].headers["webhook-signature"].starts_with("v1,"));
    let recorded = server.events(&task)[0]["data"].to_string();
    assert!(recorded.contains("env:JOURNEYMAN_WEBHOOK_ADA") && !recorded.contains("whsec_"));
    let hooks = server.get("/api/v1/hooks").expect(200);
    let name = hooks["hooks"][0]["hook"].as_str().unwrap().to_owned();
    assert_eq!(
        hooks["hooks"][0]["target"],
        format!("http://127.0.0.1:{}", receiver.port)
    );
    let retry = format!("/api/v1/hooks/{name}/retry");
    assert_eq!(server.post(&retry, &json!({})).expect(200)["pending"], 0);
    let server = server.with_token("b");
    assert_eq!(server.get("/api/v1/hooks").expect(200)["hooks"], json!([]));
    server.post(&retry, &json!({})).problem(404);
    let server = server.with_token("r");
    assert_eq!(
        server.get("/api/v1/hooks").expect(200)["hooks"][0]["hook"],
        name.as_str()
    );
    assert!(!server.log().contains("whsec_"), "{}", server.log());
    server.stop();
    let out = home.run(&["hooks", "retry", &name]);
    assert_eq!(out.code, Some(0), "{}", out.stderr);
    let none = home.run(&["hooks", "retry", "none"]);
    assert_eq!(none.code, Some(1));
    assert!(none.stderr.contains("journeyman hooks"), "{}", none.stderr);
}

#[test]
fn a_webhook_to_this_machine_is_refused_by_default_and_that_is_shown() {
    let home = Home::new();
    let receiver = Receiver::start();
    let config = config(&home, &format!("http://localhost:{}/", receiver.port), "");
    let text = fs::read_to_string(&config).unwrap();
    fs::write(
        &config,
        text.replace("webhook_networks = \"127.0.0.1\"\n", ""),
    )
    .unwrap();
    let server = serve(&home, GOOD, &config);
    let task = server.submit(&json!({"prompt": STUB}));
    assert_eq!(server.ended(&task)["status"], "complete");
    let ci = until("it is refused", || {
        let ci = hook(&server, "ci");
        (ci["state"] == "failing").then_some(ci)
    });
    assert!(
        ci["last_error"]
            .as_str()
            .unwrap()
            .contains("--webhook-networks"),
        "{ci}"
    );
    assert!(receiver.messages().is_empty());
    let listed = home.run(&["hooks"]);
    assert!(listed.stdout.contains("failing"), "{}", listed.stdout);
    server.stop();
    let url = format!("http://127.0.0.1:{}/", receiver.port);
    let refused = home.simulate(&format!("?{GOOD}"), &[STUB, "--webhook", &url]);
    assert_eq!(refused.code, Some(2), "{}", refused.stderr);
    assert!(
        refused.stderr.contains("--webhook-networks"),
        "{}",
        refused.stderr
    );
}

#[test]
fn the_webhook_of_an_imported_task_is_used_neither_for_it_nor_for_its_retry() {
    let (here, there) = (Home::new(), Home::new());
    let receiver = Receiver::start();
    let url = receiver.url();
    let networks = ["--webhook-networks", "127.0.0.1"];
    let args = [&[STUB, "--webhook", &url], &networks[..]].concat();
    let ran = here.simulate(&format!("?{GOOD}"), &args);
    assert_eq!(ran.code, Some(0), "{}", ran.stderr);
    assert_eq!(receiver.messages().len(), 1);
    let file = here.path().join("history.jsonl").display().to_string();
    for (home, command) in [(&here, ["export", "--out"]), (&there, ["import", ""])] {
        let words = ["journal"]
            .into_iter()
            .chain(command)
            .chain([file.as_str()]);
        let words: Vec<&str> = words.filter(|word| !word.is_empty()).collect();
        let done = home.run(&words);
        assert_eq!(done.code, Some(0), "{}", done.stderr);
    }
    let server = Server::start(&there, GOOD, &networks);
    let (imported, _) = receiver.messages()[0].event();
    let retry = format!("/api/v1/tasks/{imported}/retry");
    let retried = server.post(&retry, &json!({})).expect(202);
    let retried = retried["task_id"].as_str().unwrap();
    assert_eq!(server.ended(retried)["status"], "complete");
    let own = server.submit(&json!({"prompt": STUB, "webhook": {"url": url, "events": []}}));
    until("its own is told", || {
        (receiver.messages().len() > 1).then_some(())
    });
    let told: Vec<String> = receiver
        .messages()
        .iter()
        .map(|one| one.event().0)
        .collect();
    assert_eq!(told, [imported, own]);
    let hooks = server.get("/api/v1/hooks").expect(200);
    assert_eq!(hooks["hooks"].as_array().unwrap().len(), 1, "{hooks}");
}
