//! Metrics and budgets as users see them: over HTTP, on the command line, and after a restart.

#![allow(clippy::unwrap_used, clippy::expect_used)] // a test fails by panicking

mod common;

use std::fs;

use common::Home;
use common::server::{GOOD, STUB, Server, tokens, until};
use journeyman_event::PicoUsd;
use serde_json::{Value, json};

const METRICS: &str = "/api/v1/metrics";

/// The parts of the metrics that survive a restart.
fn durable(mut metrics: Value) -> Value {
    let mut parts = json!({});
    for part in ["costs", "errors", "work", "caches", "budgets"] {
        assert!(!metrics[part].is_null(), "{metrics}");
        parts[part] = metrics[part].take();
    }
    parts
}

/// The metrics, when all tasks are complete in them.
fn settled(server: &Server, tasks: u64) -> Value {
    until("the metrics cover every task", || {
        let metrics = server.get(METRICS).expect(200);
        let complete = metrics["work"]["happened"]["task.completed"].as_u64();
        let streams = metrics["streaming"]["models"][0]["completed"].as_u64();
        let calls = metrics["costs"]["total"]["calls"].as_u64();
        (complete == Some(tasks) && streams == calls).then_some(metrics)
    })
}

#[test]
fn metrics_are_those_of_the_events_and_survive_a_restart() {
    let home = Home::new();
    let server = Server::start(&home, GOOD, &["--max-concurrent", "2"]);
    let tasks: Vec<String> = (0..3)
        .map(|_| server.submit(&json!({"prompt": STUB})))
        .collect();
    for task in &tasks {
        assert_eq!(server.ended(task)["status"], "complete");
    }
    let metrics = settled(&server, 3);
    let events: Vec<Value> = tasks.iter().flat_map(|task| server.events(task)).collect();
    let calls: Vec<&Value> = events
        .iter()
        .filter(|event| event["kind"] == "model_call_completed")
        .collect();
    let sum = |key: &str| -> u64 {
        let counts = calls.iter().map(|call| call["data"][key].as_u64().unwrap());
        counts.sum()
    };
    let total = &metrics["costs"]["total"];
    assert_eq!(total["calls"], calls.len());
    assert_eq!(total["prompt_tokens"], sum("prompt_tokens"));
    assert_eq!(total["completion_tokens"], sum("completion_tokens"));
    assert_eq!(
        (&total["usd"], &total["unpriced_calls"]),
        (&json!("0"), &json!(0))
    );
    let prices = metrics["costs"]["prices"].as_object().unwrap();
    assert_eq!(prices["local"], calls.len());
    let streams = &metrics["streaming"]["models"][0];
    assert_eq!(streams["tokens"], sum("completion_tokens"));
    assert!(
        streams["time_to_first_token"]["p50"].as_f64().is_some(),
        "{streams}"
    );
    assert_eq!(metrics["work"]["happened"]["task.submitted"], 3);
    assert_eq!(metrics["following"], "current");

    // The same in other forms.
    let costs = server.get("/api/v1/metrics?part=costs").expect(200);
    assert_eq!(costs["total"], *total);
    let csv = server.get("/api/v1/metrics?part=costs&format=csv");
    assert!(csv.header("content-type").unwrap().starts_with("text/csv"));
    let line = format!("total.calls,{}", calls.len());
    assert!(
        csv.text().lines().any(|known| known == line),
        "{}",
        csv.text()
    );
    for (part, value) in metrics.as_object().unwrap() {
        if ["at", "following", "problem"].contains(&part.as_str()) {
            continue;
        }
        let alone = server
            .get(&format!("/api/v1/metrics?part={part}"))
            .expect(200);
        assert_eq!(alone.is_array(), value.is_array(), "{part}: {alone}");
        assert!(!alone.is_null(), "{part}");
    }
    let problem = server.get("/api/v1/metrics?part=weather").problem(422);
    assert!(problem.to_string().contains("costs"), "{problem}");
    server.get("/api/v1/metrics?format=xml").problem(422);
    let page = server.get("/metrics?names=vllm").text();
    for start in [
        "journeyman_streams_total{model=\"simulated\",outcome=\"completed\"} ",
        "journeyman_time_to_first_token_seconds_bucket{model=\"simulated\",le=\"0.001\"} ",
        "journeyman_requests_total{endpoint=\"GET /api/v1/tasks/{task_id}\",outcome=\"completed\"} ",
        "journeyman_journal_followed 1",
        "vllm:generation_tokens_total{model_name=\"simulated\"} ",
    ] {
        assert!(
            page.lines().any(|line| line.starts_with(start)),
            "{start}\n{page}"
        );
    }
    let open = [("Accept", "application/openmetrics-text; version=1.0.0")];
    let open = server.ask("GET", "/metrics", &open, b"");
    assert!(
        open.header("content-type")
            .unwrap()
            .starts_with("application/openmetrics-text")
    );
    assert!(open.text().ends_with("# EOF\n"));

    // Where a task's time went.
    let shown = home.run(&["show", &tasks[0], "--timing"]);
    assert_eq!(shown.code, Some(0), "{}", shown.stderr);
    for word in ["waited", "model", "tests", "cost       0 USD", "span"] {
        assert!(shown.stdout.contains(word), "{word}: {}", shown.stdout);
    }
    let timing = server
        .get(&format!("/api/v1/tasks/{}/timing", tasks[0]))
        .expect(200);
    let own: usize = timing["model_calls"]
        .as_object()
        .unwrap()
        .values()
        .map(|spent| usize::try_from(spent["count"].as_u64().unwrap()).unwrap())
        .sum();
    assert_eq!(own * 3, calls.len());
    assert!(timing["test_runs"]["count"].as_u64() > Some(0), "{timing}");
    server.get("/api/v1/tasks/no-such-task/timing").problem(404);

    let before = durable(metrics);
    assert_eq!(server.stop(), Some(0));
    let alone = home.run(&["metrics", "--json"]);
    assert_eq!(alone.code, Some(0), "{}", alone.stderr);
    assert_eq!(durable(alone.json_lines().remove(0)), before);
    let text = home.run(&["metrics", "--once"]).stdout;
    assert!(text.contains("3 submitted, 3 complete"), "{text}");
    let timing_alone = home
        .run(&["show", &tasks[0], "--timing", "--json"])
        .json_lines()
        .remove(0);
    assert_eq!(timing_alone["spans"], timing["spans"]);
    let again = Server::start(&home, GOOD, &[]);
    assert_eq!(durable(again.get(METRICS).expect(200)), before);
}

#[test]
fn metrics_are_for_admins_and_a_tasks_timing_for_its_owner() {
    let home = Home::new();
    let known = [
        ("zoe", "zoe-1", "user"),
        ("bo", "bo-1", "user"),
        ("root", "root-1", "admin"),
    ];
    let file = tokens(&home, &known);
    let server = Server::start(&home, GOOD, &["--token-file", &file]).with_token("zoe-1");
    let task = server.submit(&json!({"prompt": STUB}));
    server.ended(&task);
    server.get(METRICS).problem(403);
    server.get("/metrics").problem(403);
    let timing = format!("/api/v1/tasks/{task}/timing");
    server.get(&timing).expect(200);
    let server = server.with_token("bo-1");
    server.get(&timing).problem(404);
    let server = server.with_token("root-1");
    let metrics = server.get(METRICS).expect(200);
    assert!(
        metrics["costs"]["by_owner"]["zoe"]["calls"].as_u64() > Some(0),
        "{metrics}"
    );
    // Nobody's name or task is a label.
    let page = server.get("/metrics").text();
    assert!(!page.contains("zoe") && !page.contains(&task), "{page}");
}

#[test]
fn a_websocket_sends_admins_all_metrics_and_then_what_changes() {
    let home = Home::new();
    let known = [("zoe", "zoe-1", "user"), ("root", "root-1", "admin")];
    let file = tokens(&home, &known);
    let server = Server::start(&home, GOOD, &["--token-file", &file]).with_token("root-1");
    let mut socket = server.socket("/ws?subscribe=metrics");
    socket.say(&json!({"type": "auth", "token": "root-1"}));
    let first = socket.hear().unwrap();
    assert_eq!(
        (&first["v"], &first["type"]),
        (&json!(1), &json!("metrics"))
    );
    let mut metrics = first["metrics"].clone();
    assert_eq!(metrics["costs"]["total"]["calls"], 0);
    let task = server.submit(&json!({"prompt": STUB}));
    while metrics["work"]["happened"]["task.completed"] != 1
        || metrics["streaming"]["models"][0]["completed"] != metrics["costs"]["total"]["calls"]
    {
        let message = socket.hear().unwrap();
        assert_eq!(message["type"], "metrics_changed", "{message}");
        assert!(message["at"].is_string(), "{message}");
        merge(&mut metrics, &message["patch"]);
    }
    server.ended(&task);
    let now = settled(&server, 1);
    for part in ["costs", "streaming", "errors", "work"] {
        let mut expected = json!({});
        merge(&mut expected, &now[part]); // a merge patch has no null
        let mut found = json!({});
        merge(&mut found, &metrics[part]);
        assert_eq!(found, expected, "{part}");
    }

    let open = |path: &str, token: &str| {
        server.socket_from(path, &[("authorization", &format!("Bearer {token}"))])
    };
    let mut part = open("/ws?subscribe=metrics&part=costs", "root-1").unwrap();
    assert_eq!(
        part.hear().unwrap()["metrics"]["total"],
        now["costs"]["total"]
    );
    let mut refused = open("/ws?subscribe=metrics", "zoe-1").unwrap();
    assert_eq!(refused.hear().unwrap_err(), 4403);
    for path in [
        "/ws?subscribe=weather",
        "/ws?subscribe=metrics&part=weather",
        "/ws?subscribe=metrics&after=0",
        "/ws?part=costs",
        &format!("/ws/{task}?subscribe=metrics"),
    ] {
        assert_eq!(open(path, "root-1").err(), Some(422), "{path}");
    }
}

/// Applies a JSON Merge Patch (RFC 7396, section 2).
fn merge(target: &mut Value, patch: &Value) {
    let Value::Object(patch) = patch else {
        target.clone_from(patch);
        return;
    };
    if !target.is_object() {
        *target = json!({});
    }
    let members = target.as_object_mut().unwrap();
    for (key, value) in patch {
        if value.is_null() {
            members.remove(key);
        } else {
            merge(members.entry(key.clone()).or_insert(Value::Null), value);
        }
    }
}

#[test]
fn a_hard_budget_refuses_a_call_before_it_is_made_and_a_larger_one_lets_it_go_on() {
    let home = Home::new();
    let file = home.path().join("money.toml");
    let write = |limit: &str| {
        let text = format!(
            "version = \"1\"\n[[price]]\nmodel = \"simulated\"\ninput = \"1\"\noutput = \"2\"\n\
             [[budget]]\nname = \"mine\"\nowner = \"local\"\nlimit = \"{limit}\"\nperiod = \"monthly\"\nmode = \"hard\"\n"
        );
        fs::write(&file, text).unwrap();
    };
    let money = file.to_str().unwrap();
    let script = format!("?{GOOD}");
    write("0.000001");
    let refused = home.simulate(&script, &[STUB, "--json", "--money-file", money]);
    assert_eq!(
        refused.code,
        Some(5),
        "{}{}",
        refused.stdout,
        refused.stderr
    );
    assert!(
        refused.stdout.contains("monthly budget"),
        "{}",
        refused.stdout
    );
    let task = home.run(&["tasks", "--json"]).json_lines()[0]["task_id"]
        .as_str()
        .unwrap()
        .to_owned();
    let kinds = || -> Vec<Value> {
        home.run(&["events", "--task", &task, "--json"])
            .json_lines()
    };
    let is = |kind: &'static str| move |event: &&Value| event["kind"] == kind;
    assert_eq!(kinds().iter().filter(is("model_call_started")).count(), 0);

    write("1");
    let url = format!("sim:{script}");
    let resumed = home.run(&["resume", &task, "--model-url", &url, "--money-file", money]);
    assert!(
        [Some(0), Some(3)].contains(&resumed.code),
        "{}{}",
        resumed.stdout,
        resumed.stderr
    );
    let events = kinds();
    let started: Vec<&Value> = events.iter().filter(is("model_call_started")).collect();
    assert!(!started.is_empty());
    let usd = |value: &Value| -> f64 { value.as_str().unwrap().parse().unwrap() };
    let completed: Vec<&Value> = events.iter().filter(is("model_call_completed")).collect();
    let mut spent = 0.0;
    for (started, completed) in started.iter().zip(&completed) {
        let (reserved, charge) = (&started["data"]["reserved"], &completed["data"]["charge"]);
        assert_eq!(charge["price"], "file 1");
        assert!(
            usd(&charge["usd"]) <= usd(&reserved["usd"]),
            "{charge} {reserved}"
        );
        spent += usd(&charge["usd"]);
    }
    let metrics = home
        .run(&["metrics", "--json", "--money-file", money])
        .json_lines()
        .remove(0);
    let budget = &metrics["budgets"][0];
    assert!(
        (usd(&budget["spent_usd"]) - spent).abs() < 1e-12,
        "{budget} {spent}"
    );
    assert_eq!(budget["reserved_usd"], "0");
    assert_eq!(metrics["costs"]["total"]["usd"], budget["spent_usd"]);
    let text = home.run(&["metrics", "--money-file", money]).stdout;
    assert!(text.contains("budget     mine of local"), "{text}");
}

#[test]
fn a_price_in_the_configuration_is_recorded_with_the_calls_of_its_model_alone() {
    let home = Home::new();
    let file = home.path().join("models.toml");
    let models = "[[models]]\nname = \"planner\"\nurl = \"sim:?wrong=0&malformed=0\"\npurposes = [\"plan\"]\n\
                  price = { version = \"7\", input = \"3\", output = \"15\" }\n";
    fs::write(&file, models).unwrap();
    let prompt = "Make a package `shop` of two modules.";
    let arguments = [prompt, "--config", file.to_str().unwrap(), "--json"];
    let ran = home.simulate("?wrong=0&malformed=0", &arguments);
    assert!(matches!(ran.code, Some(0 | 3)), "{}", ran.stderr);
    let events = ran.json_lines();
    let (mut of_planner, mut of_others) = (0, 0);
    for done in &events {
        if done["kind"] != "model_call_completed" {
            continue;
        }
        let intent = &done["causation_id"];
        let started = events.iter().find(|event| event["id"] == *intent).unwrap();
        let (data, charge) = (&done["data"], &done["data"]["charge"]);
        let usd: PicoUsd = charge["usd"].as_str().unwrap().parse().unwrap();
        if started["data"]["model"] == "planner" {
            let tokens = |key: &str| data[key].as_u64().unwrap();
            let cost =
                tokens("prompt_tokens") * 3_000_000 + tokens("completion_tokens") * 15_000_000;
            assert_eq!(
                (&charge["price"], usd),
                (&json!("models 7"), PicoUsd(cost.into()))
            );
            of_planner += 1;
        } else {
            assert_eq!((&charge["price"], usd), (&json!("local"), PicoUsd::ZERO));
            of_others += 1;
        }
    }
    assert!(of_planner > 0 && of_others > 0, "{of_planner} {of_others}");
}

#[test]
fn a_money_file_that_cannot_be_used_is_refused_before_anything_is_done() {
    let home = Home::new();
    let file = home.path().join("money.toml");
    fs::write(&file, "[[budget]]\nname = \"b\"\nlimit = \"ten\"\n").unwrap();
    for (money, said) in [
        (file.to_str().unwrap(), "ten"),
        ("/no/such/file", "/no/such/file"),
    ] {
        let refused = home.simulate("?latency_ms=0", &[STUB, "--money-file", money]);
        assert_eq!(refused.code, Some(2), "{}", refused.stderr);
        assert!(
            refused.stderr.contains(said) && refused.stderr.contains("money file"),
            "{}",
            refused.stderr
        );
    }
    assert!(home.run(&["tasks"]).stdout.trim().is_empty());
}
