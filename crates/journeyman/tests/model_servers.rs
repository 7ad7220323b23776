//! Tasks on model servers that fail: what may pass is waited for with its reason shown, what cannot ends
//! the task in the server's words, and `resume` tries it again.

#![allow(clippy::unwrap_used, clippy::expect_used)] // a test fails by panicking

mod common;

use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::time::{Duration, Instant};

use common::server::{GOOD, STUB, Server, count, until};
use common::{Home, Output};
use journeyman_sim::{SERVED_MODEL, Script, SimServer, SimServerOptions, misbehaviour};
use serde_json::{Value, json};
use tokio::runtime::Runtime;

/// A server that answers while a test runs commands.
struct Serving {
    server: SimServer,
    _runtime: Runtime,
}

fn serve(name: &str) -> Serving {
    let runtime = Runtime::new().unwrap();
    let options = SimServerOptions {
        address: SocketAddr::from((Ipv4Addr::LOCALHOST, 0)),
        script: "sim:?wrong=0&malformed=0".parse::<Script>().unwrap(),
        misbehaviour: Some(misbehaviour(name).unwrap()),
    };
    let server = runtime.block_on(SimServer::start(options)).unwrap();
    Serving {
        server,
        _runtime: runtime,
    }
}

fn with(home: &Home, serving: &Serving, args: &[&str]) -> Output {
    let mut all = vec!["--model-url", serving.server.url(), "--model", SERVED_MODEL];
    all.extend(args);
    home.run(&all)
}

/// The events of the only task, by their kind.
fn events(home: &Home, kind: &str) -> Vec<Value> {
    let mut events = home.run(&["events", "--json"]).json_lines();
    events.retain(|event| event["kind"] == kind);
    events
}

#[test]
fn a_fault_that_may_pass_is_waited_for_with_its_reason_and_the_task_completes() {
    for (name, reason) in [
        ("500_for_a_while", "CUDA error: out of memory"),
        ("503_for_a_while", "Loading model"),
        (
            "cut_after_empty_finish",
            "closed before the answer was whole",
        ),
        ("page", "Sign in to Wi-Fi"),
    ] {
        let (home, serving) = (Home::new(), serve(name));
        let ended = with(&home, &serving, &["run", STUB]);
        assert_eq!(
            ended.code,
            Some(0),
            "{name}: {}{}",
            ended.stdout,
            ended.stderr
        );
        assert!(ended.stderr.contains(reason), "{name}: {}", ended.stderr);
        let paused = events(&home, "task_paused");
        assert_eq!(paused.len(), 1, "{name}: {paused:?}");
        assert_eq!(paused[0]["data"]["reason"], "model_unreachable", "{name}");
        let detail = paused[0]["data"]["detail"].as_str().unwrap();
        assert!(detail.contains(reason), "{name}: {detail}");
    }
}

#[test]
fn a_wait_that_the_server_asks_for_is_told_and_kept_and_costs_nothing() {
    let (home, serving) = (Home::new(), serve("429_for_seconds"));
    let url = serving
        .server
        .url()
        .replace("http://", "http://user:s3cret@");
    let began = Instant::now();
    let model = ["--model-url", &url, "--model", SERVED_MODEL];
    let ended = home.run(&[&model[..], &["run", STUB]].concat());
    assert_eq!(ended.code, Some(0), "{}{}", ended.stdout, ended.stderr);
    assert!(began.elapsed() > Duration::from_secs(3));
    let words = "slow down; it asks to be left alone for 3 s";
    assert!(ended.stderr.contains(words), "{}", ended.stderr);
    let interrupted = events(&home, "effect_interrupted");
    assert_eq!(interrupted[0]["data"]["reason"], "model_busy");
    assert_eq!(interrupted[0]["data"]["tokens"], 0);
    let paused = events(&home, "task_paused");
    let detail = paused[0]["data"]["detail"].as_str().unwrap();
    assert!(detail.contains(words), "{detail}");
    // What of the address is secret stands nowhere.
    let doctor = home.run(&[&model[..], &["doctor"]].concat());
    let told = [ended.stdout, ended.stderr, doctor.stdout, doctor.stderr].concat();
    assert!(!told.contains("s3cret"), "{told}");
    assert!(told.contains("user:***@"), "{told}");
    let all = home.run(&["events", "--json"]).stdout;
    assert!(!all.contains("s3cret"), "{all}");
}

#[test]
fn a_call_that_a_busy_server_refuses_is_counted_as_rate_limited_and_as_failed() {
    let (home, serving) = (Home::new(), serve("429_for_seconds"));
    let model = ["--model-url", serving.server.url(), "--model", SERVED_MODEL];
    let serve = [&["serve", "--port", "0", "--json"][..], &model].concat();
    let server = Server::launch(&home, home.command(&serve));
    let task = server.submit(&json!({"prompt": STUB}));
    assert_eq!(server.ended(&task)["status"], "complete");
    let events = server.events(&task);
    let calls = count(&events, "model_call_started") as u64;
    let refused = count(&events, "effect_interrupted") as u64;
    assert_eq!(refused, 1);
    until("all calls are counted", || {
        let metrics = server.get("/api/v1/metrics").expect(200);
        let requests = &metrics["requests"];
        let limited = requests["rate_limited"].as_object().unwrap().values();
        let limited: u64 = limited.map(|count| count.as_u64().unwrap()).sum();
        let of_model = requests["endpoints"].as_array().unwrap().iter();
        let of_model =
            of_model.filter(|one| one["endpoint"].as_str().unwrap().starts_with("workflow/"));
        let sum =
            |key: &str| -> u64 { of_model.clone().map(|one| one[key].as_u64().unwrap()).sum() };
        let is_counted = sum("completed") + refused == calls && sum("failed") == refused;
        (is_counted && limited == refused).then_some(())
    });
}

#[test]
fn tokens_that_cannot_be_are_not_charged_and_that_is_said_once() {
    let (home, serving) = (Home::new(), serve("usage_that_cannot_be"));
    let ended = with(&home, &serving, &["run", "Make one thing"]);
    assert!(serving.server.calls().len() > 1);
    assert_eq!(
        events(&home, "task_complete").len(),
        1,
        "{}{}",
        ended.stdout,
        ended.stderr
    );
    let told = ended.stderr.matches("which cannot be").count();
    assert_eq!(told, 1, "{}", ended.stderr);
}

#[test]
fn a_server_that_is_not_ready_at_the_start_is_waited_for() {
    let (home, serving) = (Home::new(), serve("models_503_once"));
    let ended = with(&home, &serving, &["run", STUB]);
    assert_eq!(ended.code, Some(0), "{}{}", ended.stdout, ended.stderr);
    assert!(ended.stderr.contains("Loading model"), "{}", ended.stderr);
}

#[test]
fn what_cannot_pass_ends_the_task_in_the_servers_words_and_resume_tries_again() {
    let (home, serving) = (Home::new(), serve("401_once"));
    let ended = with(&home, &serving, &["run", STUB]);
    assert_eq!(ended.code, Some(4), "{}{}", ended.stdout, ended.stderr);
    assert!(
        ended.stdout.contains("Incorrect API key provided"),
        "{}",
        ended.stdout
    );
    assert!(ended.stdout.contains("tries it again"), "{}", ended.stdout);
    let failed = events(&home, "task_failed");
    assert_eq!(failed[0]["data"]["reason"], "model");
    let task = failed[0]["task_id"].as_str().unwrap();
    let resumed = with(&home, &serving, &["resume", task]);
    assert_eq!(
        resumed.code,
        Some(0),
        "{}{}",
        resumed.stdout,
        resumed.stderr
    );
    assert_eq!(events(&home, "task_complete").len(), 1);
}

#[test]
fn a_prompt_that_was_too_long_is_made_to_fit_the_window_that_the_server_tells() {
    let (home, serving) = (Home::new(), serve("small_window"));
    let ended = with(&home, &serving, &["run", STUB]);
    assert_eq!(ended.code, Some(0), "{}{}", ended.stdout, ended.stderr);
    let calls = serving.server.calls();
    let limits: Vec<u64> = calls
        .iter()
        .filter_map(|call| call["max_tokens"].as_u64())
        .collect();
    assert!(
        limits.len() > 1 && limits.is_sorted_by(|a, b| a > b),
        "{limits:?}"
    );
}

/// A configuration file with further models.
fn config(home: &Home, models: &str) -> String {
    let path = home.path().join("models.toml");
    std::fs::write(&path, models).unwrap();
    path.display().to_string()
}

#[test]
fn calls_go_to_the_model_of_their_purpose_or_to_one_whose_window_is_large_enough() {
    let home = Home::new();
    let models = "[[models]]\nname = \"planner\"\nurl = \"sim:?wrong=0&malformed=0&window=4096\"\npurposes = [\"plan\"]\n\
                  [[models]]\nname = \"large\"\nurl = \"sim:?wrong=0&malformed=0&window=65536\"\n";
    let config = config(&home, models);
    let long = format!(
        "Make a package `shop` of two modules.\n{}",
        "It must be exact. ".repeat(900)
    );
    for (prompt, of_plan, of_code) in [
        (
            "Make a package `shop` of two modules.",
            "planner",
            Value::Null,
        ),
        (long.as_str(), "large", "large".into()),
    ] {
        let ran = home.simulate(
            "?wrong=0&malformed=0&window=4096",
            &[prompt, "--config", &config, "--json"],
        );
        assert!(matches!(ran.code, Some(0 | 3)), "{}", ran.stderr);
        let lines = ran.json_lines();
        let calls = lines
            .iter()
            .filter(|line| line["kind"] == "model_call_started");
        let mut seen = 0;
        for call in calls {
            let model = &call["data"]["model"];
            match call["data"]["purpose"].as_str().unwrap() {
                "plan" => assert_eq!(model, of_plan),
                _ => assert_eq!(*model, of_code, "{call}"),
            }
            seen += 1;
        }
        assert!(seen > 1, "{}", ran.stdout);
        let changes = lines.iter().filter(|line| line["kind"] == "model_changed");
        assert_eq!(changes.count(), 0, "the task's own model is the same");
    }
    // Alone the small model cannot take it: the figures are told.
    let alone = home.simulate("?wrong=0&malformed=0&window=4096", &[&long]);
    assert_eq!(alone.code, Some(4), "{}", alone.stdout);
    assert!(
        alone.stdout.contains("model's window is too small"),
        "{}",
        alone.stdout
    );
}

#[test]
fn what_a_model_cannot_take_goes_to_a_larger_one_however_full_its_window_seemed() {
    let home = Home::new();
    let large = "[[models]]\nname = \"large\"\nurl = \"sim:?wrong=0&malformed=0&window=16384\"\n";
    let config = config(&home, large);
    // What cannot be cut is less than four fifths of the window, and more than what the answer leaves of it.
    let prompt = format!(
        "Three modules of arithmetic. {}",
        "sum price of the cart ".repeat(200)
    );
    let small = "?wrong=0&malformed=0&window=2048";
    let alone = home.simulate(small, &[&prompt]);
    assert!(
        alone.stdout.contains("model's window is too small"),
        "{}",
        alone.stdout
    );
    let ran = home.simulate(small, &[&prompt, "--config", &config, "--json"]);
    assert!(matches!(ran.code, Some(0 | 3)), "{}", ran.stderr);
    assert!(ran.stdout.contains("\"model\":\"large\""), "{}", ran.stdout);
}

#[test]
fn a_task_waits_for_no_summary_and_does_not_fail_for_want_of_one() {
    let home = Home::new();
    let gone = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))
        .unwrap()
        .local_addr()
        .unwrap();
    let models = format!(
        "[[models]]\nname = \"writer\"\nurl = \"http://{gone}\"\npurposes = [\"module_summary\", \"task_summary\"]\n"
    );
    let config = config(&home, &models);
    let arguments = [
        "Make a things",
        "--summaries",
        "--config",
        &config,
        "--json",
    ];
    let ran = home.simulate("?latency_ms=0&wrong=0&malformed=0", &arguments);
    assert_eq!(ran.code, Some(3), "{}", ran.stderr);
    let lines = ran.json_lines();
    let made: Vec<&Value> = lines
        .iter()
        .filter(|line| line["kind"] == "summary_completed")
        .collect();
    assert_eq!(made.len(), 3, "{made:?}");
    assert!(
        made.iter()
            .all(|line| line["data"]["origin"] == "extracted"),
        "{made:?}"
    );
    assert!(lines.iter().all(|line| line["kind"] != "task_paused"));
    // That no model wrote one is no failure of a module.
    assert!(
        lines
            .iter()
            .all(|line| !line.to_string().contains("What failed in other modules"))
    );
}

#[test]
fn a_models_table_that_makes_no_sense_is_refused_and_says_why() {
    let home = Home::new();
    let one = |more: &str| format!("[[models]]\nname = \"a\"\nurl = \"sim:\"\n{more}\n");
    for (models, why) in [
        (one("window = 3"), "unknown field `window`"),
        (one("context = 3"), "context of a is 2048 to 1048576"),
        (
            one("price = { input = \"1\", output = \"1\" }"),
            "missing field `version`",
        ),
        (
            one("price = { version = \"\", input = \"1\", output = \"1\" }"),
            "the price of a needs a version",
        ),
        (one("purposes = [\"cook\"]"), "unknown variant `cook`"),
        (one("api_key = \"secret-key\""), "env:NAME or file:/PATH"),
        (
            one("api_key = \"env:JOURNEYMAN_NO_SUCH_KEY\"\n").replace("sim:", "http://127.0.0.1:9"),
            "JOURNEYMAN_NO_SUCH_KEY is not set",
        ),
        (one("").replace("sim:", "sim:?latency=many"), "model a"),
        (one("").replace("sim:", ""), "url of a is empty"),
        (one("").replace("\"a\"", "\"a b\""), "not \"a b\""),
        (one("") + &one(""), "two models are called a"),
        (
            one("purposes = [\"plan\"]") + &one("purposes = [\"plan\"]").replace("\"a\"", "\"b\""),
            "both a and b take calls for plan",
        ),
        ("[models]\na = 1\n".to_owned(), "models"),
    ] {
        let config = config(&home, &models);
        let refused = home.simulate("", &["x", "--config", &config]);
        assert_ne!(refused.code, Some(0), "{models}");
        assert!(refused.stderr.contains(why), "{models}: {}", refused.stderr);
        assert!(!refused.stderr.contains("secret-key"), "{}", refused.stderr);
    }
}

#[test]
fn a_task_goes_on_with_its_own_model_where_another_is_gone() {
    let home = Home::new();
    let models =
        "[[models]]\nname = \"slow\"\nurl = \"sim:?latency_ms=60000\"\npurposes = [\"plan\"]\n";
    let config = config(&home, models);
    let timed = home.simulate(
        "?wrong=0&malformed=0",
        &["Make it", "--config", &config, "--timeout", "2"],
    );
    assert_eq!(timed.code, Some(5), "{}", timed.stderr);
    let task = events(&home, "task_submitted")[0]["task_id"]
        .as_str()
        .unwrap()
        .to_owned();
    let resumed = home.run(&[
        "resume",
        &task,
        "--timeout",
        "60",
        "--model-url",
        "sim:?wrong=0&malformed=0",
        "--json",
    ]);
    assert_eq!(
        resumed.code,
        Some(3),
        "{}{}",
        resumed.stdout,
        resumed.stderr
    );
}

#[test]
fn the_model_of_a_purpose_is_waited_for_without_recording_each_try() {
    let home = Home::new();
    let port = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))
        .unwrap()
        .local_addr()
        .unwrap()
        .port();
    let models = format!(
        "[[models]]\nname = \"planner\"\nurl = \"http://127.0.0.1:{port}\"\npurposes = [\"plan\"]\n"
    );
    let config = config(&home, &models);
    let server = Server::start(&home, GOOD, &["--config", &config]);
    let task =
        server.submit(&serde_json::json!({"prompt": "Make a package `shop` of two modules."}));
    let paused = || {
        let all = server
            .get(&format!("/api/v1/tasks/{task}/events"))
            .expect(200);
        let all = all["events"].as_array().unwrap().clone();
        all.into_iter()
            .filter(|event| event["kind"] == "task_paused")
            .collect::<Vec<_>>()
    };
    until("it waits", || paused().into_iter().next());
    let view = server.get(&format!("/api/v1/tasks/{task}")).expect(200);
    assert!(view.to_string().contains("model_unreachable"), "{view}");
    // Long enough for three more tries.
    std::thread::sleep(Duration::from_secs(8));
    assert_eq!(paused().len(), 1, "each try is recorded");
    let runtime = Runtime::new().unwrap();
    let options = SimServerOptions {
        address: SocketAddr::from((Ipv4Addr::LOCALHOST, port)),
        script: "sim:?wrong=0&malformed=0".parse::<Script>().unwrap(),
        misbehaviour: None,
    };
    let _planner = runtime.block_on(SimServer::start(options)).unwrap();
    let ended = server.ended(&task);
    assert_eq!(ended["status"], "complete", "{ended}");
}
