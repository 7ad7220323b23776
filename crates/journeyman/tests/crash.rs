//! kill -9 at chosen moments of real runs, then `resume`: nothing that was recorded changes, no
//! recorded outcome is repeated, every task ends.
//!
//! `JOURNEYMAN_CRASH_RUNS` is the number of runs (10 by default; 200 by hand, when every phase must
//! come up at least five times); `JOURNEYMAN_CRASH_MODEL_URL` a real model server in place of the
//! simulated one.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::print_stdout)] // a test fails by panicking

mod common;

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader};
use std::process::Stdio;
use std::time::Duration;

use common::Home;
use journeyman_event::{Randomness, SeededRandom};
use serde_json::Value;

/// The phases in which a run is killed, and the intent event that begins each.
const PHASES: [&str; 5] = [
    "planning",
    "generating",
    "testing",
    "correcting",
    "writing out",
];
/// Resumptions that a task may take until it has ended.
const RESUMES_MAX: usize = 8;

fn phase_of(event: &Value) -> Option<&'static str> {
    match (event["kind"].as_str()?, event["data"]["purpose"].as_str()) {
        ("model_call_started", Some("plan")) => Some("planning"),
        ("model_call_started", Some("code" | "tests")) => Some("generating"),
        ("model_call_started", Some("fix")) => Some("correcting"),
        ("test_started", _) => Some("testing"),
        ("output_started", _) => Some("writing out"),
        _ => None,
    }
}

/// Runs a command until the wanted phase begins and a random moment more, and kills it. Gives the
/// lines that it printed, and whether it was killed in that phase (else it ended before).
fn run_until(home: &Home, args: &[String], phase: &str, delay: Duration) -> (Vec<String>, bool) {
    let mut child = home
        .command(args)
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let mut lines = Vec::new();
    let mut killed = false;
    for line in BufReader::new(child.stdout.take().unwrap()).lines() {
        let line = line.unwrap();
        let event: Value = serde_json::from_str(&line).unwrap_or_default();
        lines.push(line);
        if !killed && phase_of(&event) == Some(phase) {
            // Not a wait for something: the moment of the crash is what is being varied.
            std::thread::sleep(delay);
            killed = child.kill().is_ok();
        }
    }
    let status = child.wait().unwrap();
    (lines, killed && status.code().is_none())
}

fn events(home: &Home, task: &str) -> Vec<String> {
    let output = home.run(&["events", "--json", "--task", task]);
    output.stdout.lines().map(str::to_owned).collect()
}

/// Every intent has at most one outcome, and nothing of one task is missing or twice.
fn check_history(lines: &[String]) {
    const INTENTS: [&str; 4] = [
        "model_call_started",
        "test_started",
        "analysis_started",
        "output_started",
    ];
    const OUTCOMES: [&str; 9] = [
        "model_call_completed",
        "model_call_failed",
        "test_passed",
        "test_failed",
        "dead_code_analysis",
        "output_written",
        "output_failed",
        "effect_interrupted",
        "none",
    ];
    let mut outcomes: BTreeMap<String, u32> = BTreeMap::new();
    for (at, line) in lines.iter().enumerate() {
        let event: Value = serde_json::from_str(line).unwrap();
        assert_eq!(event["revision"], at + 1, "revisions without a gap");
        let kind = event["kind"].as_str().unwrap();
        if INTENTS.contains(&kind) {
            outcomes.insert(event["id"].as_str().unwrap().to_owned(), 0);
        }
        if OUTCOMES.contains(&kind) {
            let intent = event["causation_id"].as_str().unwrap();
            let count = outcomes.get_mut(intent).expect("an outcome has its intent");
            *count += 1;
            assert_eq!(*count, 1, "the outcome of {intent} is recorded once");
        }
    }
    assert!(
        outcomes.values().all(|&count| count == 1),
        "every intent of an ended task has its outcome"
    );
}

#[test]
fn killed_tasks_go_on_where_they_were_and_repeat_nothing() {
    let runs: u64 = std::env::var("JOURNEYMAN_CRASH_RUNS").map_or(10, |n| n.parse().unwrap());
    let real = std::env::var("JOURNEYMAN_CRASH_MODEL_URL").ok();
    let home = Home::new();
    let mut counts: BTreeMap<&str, u32> = BTreeMap::new();
    let mut retried = 0;
    let mut statuses: BTreeMap<String, u32> = BTreeMap::new();
    for run in 0..runs {
        let random = SeededRandom::new(run);
        let phase = PHASES[usize::try_from(run).unwrap() % PHASES.len()];
        let url = real.clone().unwrap_or_else(|| {
            let wrong = if phase == "correcting" { 100 } else { 40 };
            format!(
                "sim:?seed={run}&latency_ms={}&wrong={wrong}",
                1 + random.next_u64() % 8
            )
        });
        let delay_max = if real.is_some() { 4_000 } else { 60 };
        let delay = Duration::from_millis(random.next_u64() % delay_max);
        let subjects = [
            "slugify a title",
            "count words",
            "roman numerals",
            "leap years",
        ];
        let subject = subjects[usize::try_from(run).unwrap() % subjects.len()];
        let prompt = format!("Task {run}: a module that does {subject}.");
        let out = home.path().join(format!("out-{run}"));
        // Small limits keep a run on a real model within a minute or two.
        let limits = ["--max-iterations", "3", "--budget-tokens", "20000"];
        let mut start = vec!["run", &prompt, "--json", "--model-url", &url, "--out"];
        start.push(out.to_str().unwrap());
        start.extend(real.iter().flat_map(|_| limits));
        let start: Vec<String> = start.into_iter().map(str::to_owned).collect();
        let (before, killed) = run_until(&home, &start, phase, delay);
        let first: Value = serde_json::from_str(&before[0]).unwrap();
        let task = first["task_id"].as_str().unwrap().to_owned();
        if killed {
            *counts.entry(phase).or_default() += 1;
            let shown = home.run(&["show", "--json", &task]);
            let state: Value = serde_json::from_str(&shown.stdout).unwrap();
            assert_ne!(state["status"], "running", "nobody holds it");
        }
        // Some are killed a second time, wherever they then are.
        for resumed in 0.. {
            assert!(resumed < RESUMES_MAX, "{task} does not end");
            let url = real
                .clone()
                .unwrap_or_else(|| format!("sim:?seed={}&latency_ms=2", run + 1_000));
            let resume = ["resume", &task, "--json", "--model-url", &url].map(str::to_owned);
            let again = resumed == 0 && run % 4 == 3;
            let after = if again {
                run_until(&home, &resume, "testing", delay / 2);
                continue;
            } else {
                home.run(&resume)
            };
            if after.code != Some(130) {
                assert!(
                    matches!(after.code, Some(0 | 3..=5)),
                    "{:?}: {}",
                    after.code,
                    after.stderr
                );
                break;
            }
        }
        let lines = events(&home, &task);
        let printed: Vec<&String> = before
            .iter()
            .filter(|l| l.contains("\"type\":\"event\""))
            .collect();
        for (old, now) in printed.iter().zip(&lines) {
            assert_eq!(*old, now, "what was recorded is there byte for byte");
        }
        assert!(printed.len() <= lines.len());
        check_history(&lines);
        retried += lines
            .iter()
            .filter(|line| line.contains("\"kind\":\"effect_retried\""))
            .count();
        let shown: Value =
            serde_json::from_str(&home.run(&["show", "--json", &task]).stdout).unwrap();
        *statuses
            .entry(shown["status"].as_str().unwrap().to_owned())
            .or_default() += 1;
    }
    let report = home.verified();
    assert_eq!(report["ok"], true, "{report}");
    println!(
        "{runs} runs, killed per phase: {counts:?}; effects retried: {retried}; ended: {statuses:?}; {} events verified",
        report["events"]
    );
    let work = home.data_dir().join("work");
    assert_eq!(
        std::fs::read_dir(work).unwrap().count(),
        0,
        "no folder is left over"
    );
    assert!(retried > 0, "no kill cut off an effect");
    if runs >= 200 {
        for phase in PHASES {
            assert!(
                counts.get(phase).is_some_and(|&count| count >= 5),
                "{phase} came up too rarely"
            );
        }
    }
}

#[test]
fn a_kill_with_several_effects_under_way_has_each_made_again_and_none_twice() {
    let home = Home::new();
    let mut most = 0;
    for run in 0..4 {
        let prompt = format!("Three independent modules, {run}");
        let url = "sim:?malformed=0&wrong=0&latency_ms=20";
        let start = ["run", &prompt, "--json", "--model-url", url].map(str::to_owned);
        let wait = Duration::from_millis(40 * run);
        let (before, killed) = run_until(&home, &start, "generating", wait);
        assert!(killed, "{before:?}");
        let first: Value = serde_json::from_str(&before[0]).unwrap();
        let task = first["task_id"].as_str().unwrap().to_owned();
        let after = home.run(&["resume", &task, "--json", "--model-url", url]);
        assert!(matches!(after.code, Some(0 | 3)), "{}", after.stderr);
        let lines = events(&home, &task);
        check_history(&lines);
        let retried = lines
            .iter()
            .filter(|line| line.contains("\"kind\":\"effect_retried\""));
        most = most.max(retried.count());
    }
    assert!(most > 1, "no kill cut off several effects");
}
