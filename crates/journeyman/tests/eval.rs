//! `journeyman eval` through the binary, with the simulated model: it adds one to everything.

#![allow(clippy::unwrap_used, clippy::expect_used)]

mod common;

use std::collections::BTreeSet;
use std::fs;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use common::Home;
use journeyman_eval::Recording;
use serde_json::{Value, json};

/// What only the hidden tests know.
const SECRET: &str = "hidden_value_4711";

/// Problems in `HumanEval`'s form: the model solves the first two, and the third's example agrees
/// with the model while its hidden test does not.
fn data_set(home: &Home) -> PathBuf {
    let problem = |id: &str, example: &str, check: &str| {
        json!({
            "task_id": id,
            "prompt": format!("def f(x):\n    \"\"\"One more.\n    {example}\n    \"\"\"\n"),
            "entry_point": "f",
            "test": format!("def check(candidate):\n    {SECRET} = 1\n    assert {check}\n"),
        })
    };
    let lines = [
        problem("T/0", ">>> f(1)\n    2", "candidate(4) == 5"),
        problem("T/1", "f(2) == 3", "candidate(9) == 10"),
        problem("T/2", "f(3) == 4", "candidate(9) == 9"),
    ];
    let path = home.path().join("set.jsonl");
    let text: Vec<String> = lines.iter().map(Value::to_string).collect();
    fs::write(&path, text.join("\n")).unwrap();
    path
}

fn last(home: &Home, args: &[&str]) -> (Option<i32>, Value, Vec<Value>) {
    let output = home.run(args);
    let mut lines = output.json_lines();
    let last = lines.pop().unwrap_or_else(|| panic!("{}", output.stderr));
    (output.code, last, lines)
}

#[test]
fn an_evaluation_scores_both_sides_and_counts_false_verified() {
    let home = Home::new();
    let set = data_set(&home);
    let set = set.to_str().unwrap();
    let report = home.path().join("report.json");
    let page = home.path().join("report.html");
    let out = [report.to_str().unwrap(), page.to_str().unwrap()];
    let args = [
        "eval",
        set,
        "--model-url",
        "sim:",
        "--json",
        "--out",
        out[0],
        "--out",
        out[1],
    ];
    let (code, result, problems) = last(&home, &args);
    assert_eq!(code, Some(0));
    assert_eq!(result["problems"], 3);
    assert_eq!(result["bare"]["passed"], 2);
    assert_eq!(result["journeyman"]["passed"], 2);
    assert_eq!(result["journeyman"]["verified"], 3);
    assert_eq!(result["journeyman"]["false_verified"], 1);
    assert_eq!(problems.len(), 3);
    let whole: Value = serde_json::from_str(&fs::read_to_string(&report).unwrap()).unwrap();
    assert_eq!(whole["results"][2]["id"], "T/2");
    assert!(fs::read_to_string(&page).unwrap().contains("<td>T/2</td>"));

    // Blind: nothing that the workflow did knows a hidden test.
    let data = home.data_dir().join("eval");
    let events = home.run(&["events", "--json", "--data-dir", data.to_str().unwrap()]);
    assert!(events.stdout.contains("task_complete") && !events.stdout.contains(SECRET));

    // The same again repeats nothing.
    let head = |home: &Home| {
        let args = [
            "journal",
            "verify",
            "--json",
            "--data-dir",
            data.to_str().unwrap(),
        ];
        home.run(&args).json_lines().pop().unwrap()
    };
    let before = head(&home);
    let (_, again, _) = last(&home, &args);
    assert_eq!(again, result);
    assert_eq!(head(&home), before);
    assert_eq!(before["ok"], true);
}

#[test]
fn tests_that_are_given_are_seen_and_run() {
    let home = Home::new();
    let set = data_set(&home);
    let args = [
        "eval",
        set.to_str().unwrap(),
        "--model-url",
        "sim:",
        "--json",
        "--tests-given",
    ];
    let (_, result, problems) = last(
        &home,
        &[&args[..], &["--offset", "2", "--limit", "1"]].concat(),
    );
    assert_eq!(
        (&result["problems"], &result["mode"]),
        (&json!(1), &json!("tests_given"))
    );
    assert_eq!(problems[0]["journeyman"]["status"], "failed");
    assert_eq!(result["journeyman"]["verified"], 0);
    let data = home.data_dir().join("eval");
    let events = home.run(&["events", "--json", "--data-dir", data.to_str().unwrap()]);
    assert!(events.stdout.contains(SECRET));
}

#[test]
fn an_evaluation_that_was_killed_goes_on() {
    let home = Home::new();
    let set = data_set(&home);
    let set = set.to_str().unwrap();
    let args = [
        "eval",
        set,
        "--json",
        "--parallel",
        "1",
        "--model-url",
        "sim:?latency_ms=20",
    ];
    let mut first = home
        .command(&args)
        .stdout(std::process::Stdio::null())
        .spawn()
        .unwrap();
    let data = home.data_dir().join("eval");
    let ended = |home: &Home| {
        let args = ["tasks", "--json", "--data-dir", data.to_str().unwrap()];
        let tasks = home.run(&args);
        tasks
            .stdout
            .lines()
            .filter(|line| line.contains("\"complete\""))
            .count()
    };
    let deadline = Instant::now() + Duration::from_mins(1);
    while ended(&home) == 0 {
        assert!(Instant::now() < deadline, "no task was finished");
    }
    first.kill().unwrap();
    first.wait().unwrap();
    let (code, result, _) = last(&home, &args);
    assert_eq!((code, &result["problems"]), (Some(0), &json!(3)));
    let tasks = home.run(&["tasks", "--json", "--data-dir", data.to_str().unwrap()]);
    assert_eq!(
        tasks.stdout.lines().count(),
        3,
        "a finished task was done again"
    );
}

#[test]
fn wrong_use_says_what_is_needed() {
    let home = Home::new();
    let set = data_set(&home);
    let set = set.to_str().unwrap();
    for (args, words) in [
        (vec!["eval", "mbpp"], "mbpp needs a file"),
        (vec!["eval", "./none.jsonl"], "there is no data set"),
        (vec!["eval", set, "--out", "report.txt"], ".json or .html"),
        (vec!["eval", set, "--offset", "9"], "leaves none of 3"),
    ] {
        let output = home.run(&[&args[..], &["--model-url", "sim:"]].concat());
        assert_eq!(output.code, Some(2), "{args:?}: {}", output.stderr);
        assert!(output.stderr.contains(words), "{args:?}: {}", output.stderr);
    }
}

#[test]
fn answers_are_recorded_in_each_form_that_a_problem_has() {
    let home = Home::new();
    let set = data_set(&home);
    let set = set.to_str().unwrap();
    let files = ["first.jsonl.gz", "again.jsonl.gz"].map(|name| home.path().join(name));
    let recorded = files.each_ref().map(|file| {
        let file = file.to_str().unwrap();
        let args = [
            "eval",
            set,
            "--model-url",
            "sim:?wrong=0&malformed=0",
            "--record",
            file,
            "--draws",
            "3",
            "--json",
        ];
        let (code, result, _) = last(&home, &args);
        assert_eq!(code, Some(0));
        let forms = result["forms"].as_array().unwrap();
        // The simulated server does not go on with an answer that was begun for it, and does not understand words.
        for (form, answers, right) in [
            (json!("file"), 9, 2.0),
            (json!("description"), 9, 0.0),
            (json!("asserts"), 9, 2.0),
            (Value::Null, 27, 2.0),
        ] {
            let found = forms.iter().find(|one| one["form"] == form).unwrap();
            assert_eq!(found["answers"], answers, "{form}: {found}");
            // Of three problems, as in an evaluation.
            let share = found["greedy"].as_f64().unwrap();
            assert!((share - right / 3.0).abs() < 1e-9, "{form}: {found}");
        }
        assert_eq!(forms.len(), 4);
        Recording::read(std::path::Path::new(file)).unwrap()
    });
    let [first, again] = recorded;
    assert_eq!(first, again, "a finished recording is not made again");
    assert_eq!(first.recorded.server, "simulated");
    let prompts: BTreeSet<_> = first.candidates.iter().map(|one| one.prompt).collect();
    assert_eq!(
        prompts.len(),
        9,
        "each form of each problem is another prompt"
    );
    assert!(!format!("{first:?}").contains(SECRET));

    // The two easy problems are agreed on after the likeliest answers of two forms, and the third is as wrong as the model.
    let file = files[0].to_str().unwrap();
    let (code, result, _) = last(&home, &["eval", set, "--replay", file, "--json"]);
    assert_eq!(code, Some(0));
    let found = |name: &str| result[name].as_u64().unwrap();
    let totals = [
        "problems",
        "greedy",
        "right",
        "possible",
        "agreed",
        "false_agreed",
    ];
    assert_eq!(totals.map(found), [3, 2, 2, 2, 3, 1], "{result}");
    for one in result["results"].as_array().unwrap() {
        // The answer in words holds no code for a simulated model.
        assert_eq!(
            (&one["drawn"], &one["agree"]),
            (&json!(3), &json!(2)),
            "{one}"
        );
        assert!(one["probes"].as_u64().unwrap() > 4, "{one}");
    }
    let nothing = home.run(&["eval", set, "--replay", set]);
    assert_eq!(nothing.code, Some(1));
    assert!(nothing.stderr.contains("set.jsonl"), "{}", nothing.stderr);

    let args = [
        "eval",
        set,
        "--model-url",
        "sim:",
        "--record",
        "x",
        "--form",
        "poem",
    ];
    let refused = home.run(&args);
    assert_eq!(refused.code, Some(2));
    assert!(
        refused
            .stderr
            .contains("file, prefill, description, asserts"),
        "{}",
        refused.stderr
    );
}
