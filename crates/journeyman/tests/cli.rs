//! The command line as its users meet it: every case runs the program itself.

#![allow(clippy::unwrap_used, clippy::expect_used)] // a test fails by panicking

mod common;

use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::process::Command;
use std::process::{Child, Stdio};

use common::{Home, Output};
use serde_json::{Value, json};

/// A model that makes no mistakes, at once.
const GOOD: &str = "?latency_ms=0&wrong=0&malformed=0";
/// A file with a test that is not there when it runs.
const NONE: &str =
    "import sys\n\nif sys.version_info < (3, 0):\n\n    def test_old():\n        assert False\n";
const PASSES: &str =
    "from simulated.core import core_step\n\n\ndef test_step():\n    assert core_step(4) == 5\n";
const FAILS: &str =
    "from simulated.core import core_step\n\n\ndef test_step():\n    assert core_step(4) == 6\n";

fn last_task(home: &Home) -> String {
    let tasks = home.run(&["tasks", "--json", "--limit", "1"]).json_lines();
    tasks[0]["task_id"].as_str().unwrap().to_owned()
}

fn task_count(home: &Home) -> usize {
    home.run(&["tasks", "--json"]).json_lines().len()
}

fn interrupt(child: &Child) {
    let pid = rustix::process::Pid::from_child(child);
    rustix::process::kill_process(pid, rustix::process::Signal::INT).unwrap();
}

fn finish(child: Child) -> Output {
    let output = child.wait_with_output().unwrap();
    Output {
        code: output.status.code(),
        stdout: String::from_utf8(output.stdout).unwrap(),
        stderr: String::from_utf8(output.stderr).unwrap(),
    }
}

/// Starts a slow task and waits until its model call is under way.
fn start_slow(home: &Home) -> (Child, BufReader<std::process::ChildStdout>) {
    let mut child = home
        .command(&[
            "run",
            "Make a thing",
            "--json",
            "--model-url",
            "sim:?latency_ms=300",
        ])
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap());
    let mut line = String::new();
    while !line.contains("model_call_started") {
        line.clear();
        assert!(
            lines.read_line(&mut line).unwrap() > 0,
            "the task ended too early"
        );
    }
    (child, lines)
}

#[test]
fn a_prompt_becomes_modules_tests_and_an_honest_summary() {
    let home = Home::new();
    let run = home.simulate(GOOD, &["Make a thing", "--out", "result"]);
    assert_eq!(run.code, Some(3), "{}", run.stderr);
    assert!(
        run.stdout.contains("Complete, not verified"),
        "{}",
        run.stdout
    );
    let summary = fs::read_to_string(home.path().join("result/SUMMARY.md")).unwrap();
    assert!(summary.contains("not verified"), "{summary}");
    assert!(home.path().join("result/simulated/core.py").exists());
    assert!(
        home.path()
            .join("result/tests/test_simulated_core.py")
            .exists()
    );
}

#[test]
fn given_tests_that_pass_verify_and_given_tests_that_fail_fail() {
    let home = Home::new();
    fs::write(home.path().join("its tests-1.py"), PASSES).unwrap();
    fs::write(home.path().join("test_bad.py"), FAILS).unwrap();
    let named = home.simulate(GOOD, &["Make it", "--tests", "its tests-1.py"]);
    assert_eq!(named.code, Some(0), "{}", named.stderr);
    assert!(
        named
            .stderr
            .contains("its tests-1.py is kept as its_tests_1.py"),
        "{}",
        named.stderr
    );
    fs::write(home.path().join("test_ok.py"), PASSES).unwrap();
    let good = home.simulate(GOOD, &["Make it", "--tests", "test_ok.py", "--json"]);
    assert_eq!(good.code, Some(0), "{}", good.stderr);
    assert_eq!(
        good.json_lines().last().unwrap()["verification"],
        "given_tests"
    );
    let bad = home.simulate(GOOD, &["Make it", "--tests", "test_bad.py", "--out", "bad"]);
    assert_eq!(bad.code, Some(4), "{}", bad.stderr);
    let summary = fs::read_to_string(home.path().join("bad/SUMMARY.md")).unwrap();
    assert!(summary.contains("Failed (attempts)"), "{summary}");
    let task = last_task(&home);
    let again = home.run(&["resume", &task, "--max-iterations", "9"]);
    assert_eq!(again.code, Some(4), "{}", again.stderr);
    let told = format!("{}{}", again.stdout, again.stderr);
    assert!(told.contains("the new limits change nothing"), "{told}");
    let shown = home.run(&["show", &task]).stdout;
    for told in [&summary, &shown, &bad.stdout] {
        let failed = "test_bad.py::test_step` fails: ";
        let (_, said) = told.split_once(failed).unwrap_or_else(|| panic!("{told}"));
        assert!(
            said.lines().next().unwrap().contains("assert 5 == 6"),
            "{told}"
        );
    }
}

#[test]
fn a_given_test_that_cannot_fail_is_named_everywhere() {
    let home = Home::new();
    let idle = "def test_idle():\n    assert core_step(1) == core_step(1)\n";
    fs::write(
        home.path().join("test_ok.py"),
        format!("{PASSES}\n\n{idle}"),
    )
    .unwrap();
    let run = home.simulate(GOOD, &["Make it", "--tests", "test_ok.py", "--out", "o"]);
    assert_eq!(run.code, Some(0), "{}{}", run.stdout, run.stderr);
    let told = "1 of your tests passes also where the functions of the code return something wrong";
    assert!(run.stdout.contains(told), "{}", run.stdout);
    let task = last_task(&home);
    let summary = fs::read_to_string(home.path().join("o/SUMMARY.md")).unwrap();
    for text in [summary, home.run(&["show", &task]).stdout] {
        assert!(text.contains(told) && text.contains("test_idle"), "{text}");
    }
    let shown = home.run(&["show", &task, "--json"]).json_lines();
    assert!(
        shown[0]["remarks"][0]
            .as_str()
            .unwrap()
            .contains("test_idle")
    );
}

#[test]
fn given_tests_of_which_none_could_fail_verify_nothing() {
    let home = Home::new();
    let head = "import pytest\nfrom simulated.core import core_step\n\n\n";
    let idle =
        "every given test passes also where the functions of the code return something wrong";
    let skipped = "every given test was skipped or may fail";
    for (test, told) in [
        (
            "def test_a():\n    assert core_step(1) == core_step(1)\n",
            idle,
        ),
        ("def test_a():\n    core_step(1)\n", idle),
        (
            "@pytest.mark.xfail\ndef test_a():\n    assert core_step(1) == 2\n",
            skipped,
        ),
        (
            "@pytest.mark.xfail\ndef test_a():\n    assert core_step(1) == 3\n",
            skipped,
        ),
        (
            "@pytest.mark.skipif(core_step(1) == 2, reason='x')\ndef test_a():\n    assert core_step(1) == 2\n",
            skipped,
        ),
    ] {
        fs::write(home.path().join("test_it.py"), format!("{head}{test}")).unwrap();
        let run = home.simulate(GOOD, &["Make it", "--tests", "test_it.py"]);
        assert_eq!(run.code, Some(3), "{test}: {}{}", run.stdout, run.stderr);
        let told = format!("Complete, not verified: {told}");
        assert!(run.stdout.contains(&told), "{test}: {}", run.stdout);
    }
}

#[test]
fn what_looks_like_a_given_test_and_never_runs_is_named_before_and_after() {
    let home = Home::new();
    let hidden = "def test_step():\n    assert core_step(1) == 7\n\n\n";
    let text = PASSES.replace("def ", &format!("{hidden}def "));
    fs::write(home.path().join("test_it.py"), text).unwrap();
    let run = home.simulate(GOOD, &["Make it", "--tests", "test_it.py"]);
    assert_eq!(run.code, Some(0), "{}{}", run.stdout, run.stderr);
    let told = "test_it.py line 4: test_step is not run: a later one of the same name hides it";
    assert!(run.stderr.contains(told), "{}", run.stderr);
    assert!(run.stdout.contains(told), "{}", run.stdout);
    let ran = "the given tests that ran passed; 1 did not run";
    assert!(run.stdout.contains(ran), "{}", run.stdout);
}

#[test]
fn the_printed_command_runs_given_tests_of_any_name_and_a_given_file_counts_as_read() {
    let home = Home::new();
    fs::write(home.path().join("checks.py"), PASSES).unwrap();
    fs::write(home.path().join("notes.txt"), "x").unwrap();
    let prompt = "Make what checks.py and notes.txt want";
    let run = home.simulate(GOOD, &[prompt, "--tests", "checks.py", "--out", "o"]);
    assert_eq!(run.code, Some(0), "{}{}", run.stdout, run.stderr);
    assert!(
        run.stderr.contains("not read: notes.txt;"),
        "{}",
        run.stderr
    );
    let told = "-m pytest tests/checks.py";
    assert!(run.stdout.contains(told), "{}", run.stdout);
    let summary = fs::read_to_string(home.path().join("o/SUMMARY.md")).unwrap();
    assert!(
        summary.contains(told) && summary.contains("pip install pytest"),
        "{summary}"
    );
}

#[test]
fn a_given_file_of_which_nothing_runs_verifies_nothing() {
    let home = Home::new();
    fs::write(home.path().join("test_ok.py"), PASSES).unwrap();
    fs::write(home.path().join("test_none.py"), NONE).unwrap();
    let both = [
        "Make it",
        "--tests",
        "test_ok.py",
        "--tests",
        "test_none.py",
    ];
    let beside = home.simulate(GOOD, &both);
    assert_eq!(beside.code, Some(4), "{}{}", beside.stdout, beside.stderr);
    let alone = home.simulate(GOOD, &["Make it", "--tests", "test_none.py", "--json"]);
    assert_eq!(alone.code, Some(4), "{}", alone.stderr);
    let result = alone.json_lines().pop().unwrap();
    assert_eq!(result["reason"], "given_tests");
    assert!(
        !alone.stdout.contains("\"purpose\":\"fix\""),
        "no attempt is wasted on it"
    );
}

#[test]
fn examples_in_the_prompt_rule() {
    let home = Home::new();
    let right = home.simulate(
        GOOD,
        &["Write core_step(n), one more than n.\n\n>>> core_step(1)\n2\n"],
    );
    assert_eq!(right.code, Some(0), "{}{}", right.stdout, right.stderr);
    let wrong = home.simulate(
        GOOD,
        &["Write core_step(n), one more than n.\n\n>>> core_step(1)\n3\n"],
    );
    assert_eq!(wrong.code, Some(4), "{}{}", wrong.stdout, wrong.stderr);
}

#[test]
fn no_model_is_asked_for_a_plan_that_the_prompt_gives() {
    let home = Home::new();
    let prompt =
        "A module `steps` with a function `step(value)` that adds one.\n\n>>> step(1)\n2\n";
    let run = home.simulate(GOOD, &[prompt, "--json", "--out", "o"]);
    assert_eq!(run.code, Some(0), "{}{}", run.stdout, run.stderr);
    assert!(
        !run.stdout.contains("\"purpose\":\"plan\""),
        "{}",
        run.stdout
    );
    assert!(home.path().join("o/steps.py").exists());
    let asked = home.simulate(GOOD, &[&prompt.replace(">>> step(1)\n2\n", ""), "--json"]);
    assert!(
        asked.stdout.contains("\"purpose\":\"plan\""),
        "{}",
        asked.stdout
    );
}

#[test]
fn json_is_one_event_a_line_and_ends_with_the_result() {
    let home = Home::new();
    let lines = home
        .simulate(GOOD, &["Make a thing", "--json", "--out", "o"])
        .json_lines();
    let (result, events) = lines.split_last().unwrap();
    for (at, event) in events.iter().enumerate() {
        assert_eq!(
            (&event["type"], &event["revision"]),
            (&"event".into(), &(at + 1).into())
        );
    }
    assert_eq!(result["type"], "result");
    assert_eq!(result["status"], "complete");
    assert_eq!(result["verification"], "agreement");
    assert!(result["tokens"].as_u64().unwrap() > 0);
    assert!(result["seconds"].as_f64().unwrap() > 0.0);
    assert!(
        result["files"]
            .as_array()
            .unwrap()
            .contains(&"SUMMARY.md".into())
    );
    assert_eq!(result["task_id"], last_task(&home).as_str());
}

#[test]
fn the_prompt_may_come_from_standard_input() {
    let home = Home::new();
    let mut child = home
        .command(&[
            "run",
            "-",
            "--quiet",
            "--model-url",
            "sim:?latency_ms=0&wrong=0&malformed=0",
        ])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    child
        .stdin
        .take()
        .unwrap()
        .write_all(b"Make a thing from standard input")
        .unwrap();
    let output = finish(child);
    assert_eq!(output.code, Some(3), "{}", output.stderr);
    let shown = home.run(&["show", &last_task(&home)]);
    assert!(
        shown.stdout.contains("from standard input"),
        "{}",
        shown.stdout
    );
}

/// Runs a task that may ask, with these lines on standard input, and gives what it asked and its state.
fn ask(home: &Home, more: &[&str], lines: &str) -> (Output, Value) {
    let mut args = vec!["run", "Make a thing", "--ask"];
    args.extend(more);
    let model = "sim:?latency_ms=0&wrong=0&malformed=0&questions=2";
    let mut child = home
        .command(&args)
        .env("JOURNEYMAN_MODEL_URL", model)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut input = child.stdin.take().unwrap();
    input.write_all(lines.as_bytes()).unwrap();
    drop(input);
    let output = finish(child);
    let shown = home.run(&["show", &last_task(home), "--json"]);
    (output, serde_json::from_str(&shown.stdout).unwrap())
}

#[test]
fn questions_are_asked_at_the_terminal_and_their_answers_are_part_of_the_task() {
    let home = Home::new();
    let (output, state) = ask(&home, &["--quiet"], "Magenta\nCerulean\n");
    assert_eq!(output.code, Some(3), "{}", output.stderr);
    for words in ["What about part 1?", "What about part 2?"] {
        assert!(output.stderr.contains(words), "{}", output.stderr);
    }
    assert_eq!(
        state["instructions"],
        json!(["What about part 1? Magenta", "What about part 2? Cerulean"])
    );
    // An empty line, or nobody at the terminal, lets it go on without.
    let (output, state) = ask(&home, &[], "\nCerulean\n");
    assert_eq!(output.code, Some(3), "{}", output.stderr);
    assert_eq!(
        state["instructions"],
        json!(["What about part 2? Cerulean"])
    );
    let (output, state) = ask(&home, &[], "");
    assert_eq!(output.code, Some(3), "{}", output.stderr);
    assert_eq!(state["instructions"], json!([]));
    // At a server that holds the folder it is the same.
    let server =
        common::server::Server::start(&home, "latency_ms=0&wrong=0&malformed=0&questions=1", &[]);
    let (output, _) = ask(&home, &[], "Ochre\n");
    assert_eq!(output.code, Some(3), "{}", output.stderr);
    let task = last_task(&home);
    assert_eq!(
        server.task(&task)["instructions"],
        json!(["What about part 1? Ochre"])
    );
}

#[test]
fn wrong_use_ends_with_2_says_why_and_leaves_no_task() {
    let home = Home::new();
    fs::create_dir(home.path().join("full")).unwrap();
    fs::write(home.path().join("full/mine"), "x").unwrap();
    let pipe = Command::new("mkfifo")
        .arg(home.path().join("pipe"))
        .status();
    assert!(pipe.unwrap().success());
    fs::write(home.path().join("empty.py"), " ").unwrap();
    fs::write(home.path().join("latin.py"), b"# caf\xe9\n").unwrap();
    fs::write(home.path().join("script.py"), "x = 1\nassert x\n").unwrap();
    fs::write(home.path().join("doc.txt"), "Words.\n\n>>> f(1)\n2\n").unwrap();
    let helped = "from conftest import x\nfrom m import f\ndef test_a(): assert f(x)\n";
    fs::write(home.path().join("helped.py"), helped).unwrap();
    let cases: &[(&[&str], &str)] = &[
        (&["run", " "], "`prompt`: it is empty"),
        (&["run", "x", "--out", "full"], "not empty"),
        (&["run", "x", "--out", "full/mine"], "not a folder"),
        (&["run", "x", "--tests", "none.py"], "none.py"),
        (&["run", "x", "--tests", "empty.py"], "empty"),
        (
            &["run", "x", "--tests", "latin.py"],
            "line 1 has the byte 0xE9",
        ),
        (&["run", "x", "--tests", "script.py"], "no test in it"),
        (&["run", "x", "--tests", "pipe"], "it is no file"),
        (&["run", "x", "--tests", "full"], "it is no file"),
        (&["run", "x", "--language", "cobol"], "python"),
        (&["run", "x", "--timeout", "soon"], "90s"),
        (&["run", "x", "--tests", "doc.txt"], "into the prompt"),
        (
            &["run", "x", "--tests", "helped.py"],
            "they import conftest",
        ),
        (
            &["run", "x", "--max-iterations", "0"],
            "a whole number from 1 to 1000 is needed",
        ),
        (&["run", "x", "--max-iterations", "1001"], "1000"),
        (
            &["run", "x", "--budget-tokens", "0"],
            "a whole number from 1 to 1000000000000, such as 20000,",
        ),
        (
            &["run", "x", "--budget-tokens", "1000000000001"],
            "1000000000000",
        ),
        (
            &["run", "x", "--budget-tokens", "many"],
            "without the option",
        ),
        (&["tasks", "--limit", "0"], "a whole number from 1"),
        (&["events", "--after", "x"], "a whole number from 0"),
        (
            &["eval", "mbpp", "--parallel", "0"],
            "a whole number from 1",
        ),
        (
            &["files", "t-0123456789ab", "a.py", "--version", "0"],
            "a whole number from 1",
        ),
        (
            &["run", "write", "a", "function"],
            "put the prompt in quotes",
        ),
        (&["run", "x", "--model-url", "nonsense"], "is no URL"),
        (&["run", "x", "--model-url", "http://"], "is no URL"),
        (&["run", "x", "--model-url", "http://a b/"], "is no URL"),
        (&["run", "x", "--model-url", "ollama://:x"], "Ollama"),
        (
            &["run", "x", "--model-url", "sim:?wrong=much"],
            "--model-url",
        ),
        (
            &[
                "run",
                "x",
                "--model-url",
                "http://127.0.0.1:9",
                "--model-api-key",
                "a b",
            ],
            "--model-api-key",
        ),
        (&["run", "x", "--model-context", "7"], "2048"),
        (&["show", "../etc"], "task_id"),
        (&["frobnicate"], "frobnicate"),
        (&["run"], "PROMPT"),
    ];
    for (args, why) in cases {
        let output = home.run(args);
        assert_eq!(output.code, Some(2), "{args:?}: {}", output.stderr);
        assert!(output.stderr.contains(why), "{args:?}: {}", output.stderr);
    }
    assert_eq!(task_count(&home), 0);
    assert_eq!(fs::read_dir(home.path().join("full")).unwrap().count(), 1);
}

#[test]
fn a_spent_budget_ends_with_5_and_a_larger_one_goes_on() {
    let home = Home::new();
    let run = home.simulate(
        GOOD,
        &["Make a thing", "--budget-tokens", "700", "--out", "o"],
    );
    assert_eq!(run.code, Some(5), "{}{}", run.stdout, run.stderr);
    let task = last_task(&home);
    let told = format!("`journeyman resume {task} --model-url 'sim:{GOOD}'` with a larger limit");
    assert!(run.stdout.contains(&told), "{}", run.stdout);
    let elsewhere = home.data_dir().display().to_string();
    let there = [
        "Make a thing",
        "--budget-tokens",
        "700",
        "--data-dir",
        &elsewhere,
    ];
    let run = home.simulate(GOOD, &there);
    let told = format!(" --data-dir '{elsewhere}' --model-url 'sim:{GOOD}'` with a larger limit");
    assert!(run.stdout.contains(&told), "{}", run.stdout);
    let same = home.run(&["resume", &task, "--model-url", "sim:"]);
    assert_eq!(same.code, Some(5), "without a larger limit it stays ended");
    let more = home.run(&[
        "resume",
        &task,
        "--budget-tokens",
        "50000",
        "--model-url",
        "sim:?wrong=0&malformed=0",
    ]);
    assert_eq!(more.code, Some(3), "{}{}", more.stdout, more.stderr);
    assert!(home.path().join("o/SUMMARY.md").exists());
    let again = home.run(&["resume", &task]);
    assert_eq!(
        again.code,
        Some(3),
        "an ended task's result is printed again"
    );
    assert!(again.stdout.contains("Complete, not verified"));
}

#[test]
fn a_spent_time_limit_stops_the_call_under_way() {
    let home = Home::new();
    let run = home.simulate(
        "?latency_ms=400",
        &["Make a thing", "--timeout", "1s", "--json"],
    );
    assert_eq!(run.code, Some(5), "{}{}", run.stdout, run.stderr);
    let lines = run.json_lines();
    assert_eq!(lines.last().unwrap()["reason"], "timeout");
    assert!(
        lines
            .iter()
            .any(|l| l["kind"] == "effect_interrupted" && l["data"]["reason"] == "time_limit")
    );
}

#[test]
fn ctrl_c_pauses_names_the_command_that_goes_on_and_resume_does() {
    let home = Home::new();
    let (child, mut lines) = start_slow(&home);
    interrupt(&child);
    let mut rest = String::new();
    lines.read_to_string(&mut rest).unwrap();
    assert_eq!(finish(child).code, Some(130));
    assert!(rest.contains("\"kind\":\"effect_interrupted\""), "{rest}");
    let task = last_task(&home);
    let shown = home.run(&["show", &task]);
    assert!(
        shown.stdout.contains("paused (interrupted)"),
        "{}",
        shown.stdout
    );
    let real = home.run(&["resume", &task]);
    assert_eq!(real.code, Some(2), "{}", real.stderr);
    assert!(real.stderr.contains("--model-url sim:"), "{}", real.stderr);
    let resumed = home.run(&["resume", &task, "--model-url", "sim:?wrong=0&malformed=0"]);
    assert_eq!(
        resumed.code,
        Some(3),
        "{}{}",
        resumed.stdout,
        resumed.stderr
    );
    assert_eq!(home.run(&["journal", "verify"]).code, Some(0));
}

#[test]
fn that_another_model_answers_after_a_resume_is_recorded_and_shown() {
    let home = Home::new();
    let (child, mut lines) = start_slow(&home);
    interrupt(&child);
    lines.read_to_string(&mut String::new()).unwrap();
    assert_eq!(finish(child).code, Some(130));
    let task = last_task(&home);
    let model = "sim:?wrong=0&malformed=0&latency_ms=0&window=6000";
    let resumed = home.run(&["resume", &task, "--model-url", model, "--json"]);
    assert_eq!(resumed.code, Some(3), "{}", resumed.stderr);
    let resumed = resumed.json_lines();
    let of_kind = |kind: &str| {
        let at = resumed.iter().position(|line| line["kind"] == kind);
        at.unwrap_or_else(|| panic!("no {kind}"))
    };
    let changed = of_kind("model_changed");
    assert_eq!(resumed[changed]["data"]["window"], 6000);
    assert!(changed < of_kind("model_call_completed"));
    let changes = |line: &&Value| line["kind"] == "model_changed";
    assert_eq!(resumed.iter().filter(changes).count(), 1);
    let shown = home.run(&["show", &task]).stdout;
    assert!(
        shown.contains("window 6000") || shown.contains("window 6,000"),
        "{shown}"
    );
}

#[test]
fn a_second_run_works_at_the_holder_of_the_folder_and_readers_read_on() {
    let home = Home::new();
    let (child, _lines) = start_slow(&home);
    let mut second = home
        .command(&["run", "Another thing", "--json"])
        .env("JOURNEYMAN_MODEL_URL", "sim:")
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(second.stdout.take().unwrap()).lines();
    let shown = lines.find(|line| line.as_ref().unwrap().contains("model_call_started"));
    assert!(shown.is_some(), "the holder works on it too");
    let tasks = home.run(&["tasks", "--json"]).json_lines();
    let statuses: Vec<&Value> = tasks.iter().map(|task| &task["status"]).collect();
    assert_eq!(statuses, ["running", "running"]);
    // What needs the folder for itself is told who holds it.
    let import = home.run(&["journal", "import", "/dev/null"]);
    assert_eq!(import.code, Some(1));
    assert!(
        import.stderr.contains(&format!("process {}", child.id())),
        "{}",
        import.stderr
    );
    interrupt(&second);
    assert!(lines.last().unwrap().unwrap().contains("\"result\""));
    assert_eq!(finish(second).code, Some(130));
    interrupt(&child);
    assert_eq!(finish(child).code, Some(130));
}

#[test]
fn follow_shows_what_another_process_records() {
    let home = Home::new();
    let (child, _lines) = start_slow(&home);
    let mut follower = home
        .command(&["events", "--follow", "--json"])
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut seen = BufReader::new(follower.stdout.take().unwrap()).lines();
    let first: Value = serde_json::from_str(&seen.next().unwrap().unwrap()).unwrap();
    assert_eq!(first["sequence"], 1);
    interrupt(&child);
    assert!(seen.any(|line| line.unwrap().contains("\"kind\":\"task_paused\"")));
    interrupt(&follower);
    assert_eq!(follower.wait().unwrap().code(), Some(0));
    finish(child);
}

#[test]
fn a_model_server_that_comes_and_goes_pauses_the_task_and_it_goes_on() {
    let home = Home::new();
    let count = |run: &Output, kind: &str| {
        run.json_lines()
            .iter()
            .filter(|line| line["kind"] == kind)
            .count()
    };
    let run = home.simulate("?unreachable=50&latency_ms=0", &["Make a thing", "--json"]);
    assert!(matches!(run.code, Some(3 | 4)), "{}", run.stderr);
    assert_eq!(count(&run, "task_paused"), count(&run, "task_resumed"));
}

#[test]
fn malformed_answers_are_asked_again_and_a_task_ends_all_the_same() {
    let home = Home::new();
    let run = home.simulate("?malformed=50&latency_ms=0", &["Make a thing", "--json"]);
    assert!(matches!(run.code, Some(3 | 4)), "{}", run.stderr);
    let hopeless = home.simulate("?malformed=100&latency_ms=0", &["Make a thing", "--json"]);
    assert_eq!(hopeless.code, Some(4));
    assert_eq!(hopeless.stdout.matches("planning_rejected").count(), 4);
    assert_eq!(hopeless.json_lines().last().unwrap()["reason"], "plan");
}

#[test]
fn no_model_server_is_one_clear_error_and_no_task() {
    let home = Home::new();
    let run = home.run(&["run", "x", "--model-url", "http://127.0.0.1:1"]);
    assert_eq!(run.code, Some(1));
    assert!(
        run.stderr.contains("http://127.0.0.1:1 cannot be reached"),
        "{}",
        run.stderr
    );
    let ollama = home.run(&["run", "x", "--model-url", "ollama://127.0.0.1:1"]);
    assert_eq!(ollama.code, Some(1));
    assert!(
        ollama
            .stderr
            .contains("http://127.0.0.1:1 cannot be reached"),
        "{}",
        ollama.stderr
    );
    assert_eq!(task_count(&home), 0);
}

#[test]
fn a_task_too_large_for_the_window_is_refused_with_the_figures() {
    let home = Home::new();
    let run = home.simulate("?window=1024", &[&"word ".repeat(1_200), "--json"]);
    assert_eq!(run.code, Some(4), "{}", run.stderr);
    assert_eq!(run.json_lines().last().unwrap()["reason"], "window");
}

#[test]
fn every_version_of_every_file_can_be_printed() {
    let home = Home::new();
    home.simulate(
        "?wrong=60&seed=1&latency_ms=0&malformed=0",
        &["Make a thing"],
    );
    let task = last_task(&home);
    let list = home.run(&["files", &task, "--json"]).json_lines();
    assert!(
        list.iter()
            .any(|file| file["path"] == "simulated/core.py" && file["version"] == 1)
    );
    let text = home.run(&["files", &task, "simulated/core.py", "--version", "1"]);
    assert!(text.stdout.contains("def core_step"), "{}", text.stdout);
    let none = home.run(&["files", &task, "simulated/core.py", "--version", "99"]);
    assert_eq!(none.code, Some(1));
    assert!(none.stderr.contains("journeyman files"), "{}", none.stderr);
}

#[test]
fn looking_at_nothing_is_no_error() {
    let home = Home::bare();
    assert_eq!(home.run(&["tasks", "--json"]).code, Some(0));
    assert_eq!(home.run(&["events"]).code, Some(0));
    let unknown = home.run(&["events", "--task", "t-1"]);
    assert_eq!(unknown.code, Some(1));
    assert!(unknown.stderr.contains("no task t-1"), "{}", unknown.stderr);
    assert_eq!(home.run(&["journal", "verify"]).code, Some(1));
    let missing = home.run(&["show", "t-1"]);
    assert_eq!(missing.code, Some(1));
    assert!(
        missing.stderr.contains("journeyman tasks"),
        "{}",
        missing.stderr
    );
    assert_eq!(home.run(&["completions", "bash"]).code, Some(0));
    assert!(!home.data_dir().exists(), "looking makes nothing");
}

#[test]
fn doctor_finds_the_sandbox_before_there_is_a_data_folder() {
    let home = Home::bare();
    let doctor = home.run(&["doctor", "--json"]).json_lines();
    let sandbox = doctor.iter().find(|check| check["check"] == "sandbox");
    assert_eq!(sandbox.unwrap()["ok"], true, "{doctor:?}");
    assert!(!home.data_dir().exists());
}

#[test]
fn another_language_is_told_however_quiet_it_is_to_be() {
    let home = Home::new();
    let run = home.simulate(GOOD, &["A rust program, please", "--quiet"]);
    assert!(
        run.stderr.contains("the prompt names Rust"),
        "{}",
        run.stderr
    );
}

#[test]
fn doctor_and_config_say_what_was_found() {
    let home = Home::new();
    let doctor = home.run(&["doctor", "--json"]);
    assert_eq!(doctor.code, Some(0), "{}", doctor.stdout);
    let checks: Vec<String> = doctor
        .json_lines()
        .iter()
        .map(|check| check["check"].as_str().unwrap().to_owned())
        .collect();
    for check in ["journal", "disk", "python", "sandbox", "model"] {
        assert!(
            checks.iter().any(|other| other == check),
            "{check}: {checks:?}"
        );
    }
    let config = home
        .run(&["config", "show", "--origin", "--model", "tiny", "--json"])
        .json_lines();
    let model = config
        .iter()
        .find(|found| found["key"] == "model.name")
        .unwrap();
    assert_eq!(
        (&model["value"], &model["origin"]),
        (&"tiny".into(), &"flag".into())
    );
    let data = config
        .iter()
        .find(|found| found["key"] == "data_dir")
        .unwrap();
    assert_eq!(data["source"], "JOURNEYMAN_DATA_DIR");
}

#[test]
fn a_folder_that_cannot_be_is_a_clear_error() {
    let home = Home::bare();
    fs::write(home.path().join("file"), "x").unwrap();
    let run = home.run(&["run", "x", "--model-url", "sim:", "--data-dir", "file/data"]);
    assert_eq!(run.code, Some(1));
    assert!(run.stderr.contains("file/data"), "{}", run.stderr);
}

#[test]
fn a_reader_that_goes_away_loses_nothing() {
    let home = Home::new();
    let mut child = home
        .command(&[
            "run",
            "Make a thing",
            "--model-url",
            "sim:?latency_ms=20&wrong=0&malformed=0",
        ])
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let mut line = String::new();
    BufReader::new(child.stdout.take().unwrap())
        .read_line(&mut line)
        .unwrap();
    child.wait().unwrap();
    let tasks = home.run(&["tasks", "--json"]).json_lines();
    assert_eq!(tasks[0]["status"], "complete");
}

#[test]
fn events_are_chosen_by_kind_actor_module_and_time() {
    let home = Home::new();
    assert_eq!(home.simulate(GOOD, &["Make a thing"]).code, Some(3));
    let chosen = |args: &[&str]| {
        let events = home.run(&[&["events", "--json"], args].concat());
        assert_eq!(events.code, Some(0), "{args:?}: {}", events.stderr);
        events.json_lines()
    };
    let every = chosen(&[]);
    let code = chosen(&["--kind", "code_generated"]);
    assert!(!code.is_empty());
    assert!(code.iter().all(|event| event["kind"] == "code_generated"));
    let two = chosen(&["--kind", "code_generated", "--kind", "task_complete"]);
    assert_eq!(two.len(), code.len() + 1);
    let testers = chosen(&["--actor", "tester", "--module", "simulated.core"]);
    assert!(!testers.is_empty());
    for event in &testers {
        assert_eq!(
            (&event["actor"], &event["module"]),
            (&"tester".into(), &"simulated.core".into())
        );
    }
    let middle = every[every.len() / 2]["occurred_at"].as_str().unwrap();
    let (since, before) = (chosen(&["--since", middle]), chosen(&["--before", middle]));
    assert!(!since.is_empty() && !before.is_empty());
    assert_eq!(since.len() + before.len(), every.len());
    assert_eq!(chosen(&["--last", "3"]), every[every.len() - 3..]);
    let many = chosen(&["--last", "100000", "--after", "5"]);
    assert_eq!(many, every[5..]);
    for wrong in [["--since", "yesterday"], ["--after", "-1"], ["--last", "x"]] {
        let refused = home.run(&[&["events"], &wrong[..]].concat());
        assert_eq!(refused.code, Some(2), "{wrong:?}");
    }
}

#[test]
fn a_task_is_shown_as_it_was_at_any_event_and_at_any_time() {
    let home = Home::new();
    assert_eq!(home.simulate(GOOD, &["Make a thing"]).code, Some(3));
    let task = last_task(&home);
    let events = home.run(&["events", "--json"]).json_lines();
    let first = |kind: &str| events.iter().find(|event| event["kind"] == kind).unwrap();
    let shown = |at: &str| {
        let shown = home.run(&["show", &task, "--json", "--at", at]);
        assert_eq!(shown.code, Some(0), "{at}: {}", shown.stderr);
        shown.json_lines().remove(0)
    };
    let code = first("code_generated");
    let then = shown(&code["sequence"].to_string());
    assert_eq!(then["status"], "running");
    assert_eq!(then["sequence"], code["sequence"]);
    // Between two events it is as after the first of them, also by the clock.
    let planned = first("planning_complete");
    let time = planned["occurred_at"].as_str().unwrap();
    assert!(shown(time)["sequence"].as_u64() >= planned["sequence"].as_u64());
    assert!(shown(time)["sequence"].as_u64() < code["sequence"].as_u64());
    assert_eq!(shown("2999-01-01T00:00:00Z")["status"], "complete");
    let before = home.run(&["files", &task, "--at", &planned["sequence"].to_string()]);
    assert!(!before.stdout.contains("core.py"), "{}", before.stdout);
    let after = home.run(&["files", &task, "--at", &code["sequence"].to_string()]);
    assert!(after.stdout.contains("core.py"), "{}", after.stdout);
    for version in [1, 5, events.len()] {
        let then = shown(&format!("v{version}"));
        assert_eq!(then["revision"], version);
        assert_eq!(then["sequence"], events[version - 1]["sequence"]);
    }
    let ahead = home.run(&["show", &task, "--at", &format!("v{}", events.len() + 1)]);
    assert_eq!(ahead.code, Some(1));
    let current = format!("is at version {}", events.len());
    assert!(ahead.stderr.contains(&current), "{}", ahead.stderr);
    let never = home.run(&["show", &task, "--at", "2001-01-01T00:00:00Z"]);
    assert_eq!(never.code, Some(1));
    assert!(never.stderr.contains("did not exist"), "{}", never.stderr);
    assert_eq!(home.run(&["show", &task, "--at", "soon"]).code, Some(2));
}

#[test]
fn a_head_that_was_kept_shows_what_the_journal_lost() {
    let home = Home::new();
    assert_eq!(home.simulate(GOOD, &["Make a thing"]).code, Some(3));
    let head = home.run(&["journal", "head"]).stdout.trim().to_owned();
    assert_eq!(
        home.run(&["journal", "verify", "--head", &head]).code,
        Some(0)
    );
    let (sequence, hash) = head.split_once('@').unwrap();
    let json = home
        .run(&["journal", "head", "--json"])
        .json_lines()
        .remove(0);
    assert_eq!(
        (json["sequence"].to_string(), &json["hash"]),
        (sequence.to_owned(), &hash.into())
    );
    // A later head of the same journal is one that this one never had.
    let later = format!("{}@{hash}", sequence.parse::<u64>().unwrap() + 1);
    let cut = home.run(&["journal", "verify", "--head", &later]);
    assert_eq!(cut.code, Some(1));
    assert!(cut.stdout.contains("ends before"), "{}", cut.stdout);
    assert_eq!(
        home.run(&["journal", "verify", "--head", "7"]).code,
        Some(2)
    );
}

#[test]
fn a_journal_is_carried_to_another_home() {
    let (here, there) = (Home::new(), Home::bare());
    assert_eq!(here.simulate(GOOD, &["Make a thing"]).code, Some(3));
    let task = last_task(&here);
    let file = here.path().join("history.jsonl");
    let file = file.to_str().unwrap();
    assert_eq!(
        here.run(&["journal", "export", "--out", file]).code,
        Some(0)
    );
    let again = here.run(&["journal", "export", "--out", file]);
    assert_eq!(again.code, Some(1), "nothing is overwritten");
    assert_eq!(
        here.run(&["journal", "export"]).stdout,
        fs::read_to_string(file).unwrap()
    );
    let imported = there.run(&["journal", "import", file]);
    assert_eq!(
        imported.code,
        Some(0),
        "{}{}",
        imported.stdout,
        imported.stderr
    );
    for command in [
        &["show", &task, "--json"][..],
        &["tasks", "--json"],
        &["files", &task],
    ] {
        assert_eq!(
            here.run(command).stdout,
            there.run(command).stdout,
            "{command:?}"
        );
    }
    assert_eq!(there.run(&["journal", "verify"]).code, Some(0));
    let again = there
        .run(&["journal", "import", file, "--json"])
        .json_lines()
        .remove(0);
    assert_eq!(
        (again["events"].as_u64(), again["refused"].as_u64()),
        (Some(0), Some(0))
    );
    let cloud = here.run(&["journal", "export", "--cloud-events", "--task", &task]);
    let event = &cloud
        .json_lines()
        .into_iter()
        .find(|line| line["specversion"] == "1.0")
        .unwrap();
    assert_eq!(event["type"], "journeyman.task_submitted");
    assert_eq!(event["subject"], task.as_str());
    fs::write(here.path().join("broken"), "{\"schema\":1\n\u{fffd}\n").unwrap();
    let broken = here.path().join("broken");
    let refused = there.run(&["journal", "import", broken.to_str().unwrap()]);
    assert_eq!(refused.code, Some(1));
    assert!(
        refused.stdout.contains("line 1 refused"),
        "{}",
        refused.stdout
    );
    assert_eq!(
        there.run(&["journal", "import", "nothing.jsonl"]).code,
        Some(1)
    );
}
