//! What a person sees of `run`: on a terminal, in a pipe, and of what others wrote.

#![allow(clippy::unwrap_used, clippy::expect_used)] // a test fails by panicking

mod common;

use std::fs;
use std::process::Command;

use common::server::STUB;
use common::{Home, Output};

const GOOD: &str = "?latency_ms=0&wrong=0&malformed=0";
/// Each call takes longer than the interval.
const SLOW: &str = "?latency_ms=1600&wrong=0&malformed=0";
const OFTEN: [&str; 2] = ["--progress-interval", "1s"];

/// Runs a command on a terminal of its own, with these variables.
fn on_terminal(home: &Home, variables: &[(&str, &str)], args: &[&str]) -> String {
    let run = home.command(args);
    let words = [run.get_program()].into_iter().chain(run.get_args());
    let words = words.map(|word| format!("'{}'", word.to_str().unwrap()));
    let line = words.collect::<Vec<_>>().join(" ");
    let mut script = Command::new("script");
    script.args(["-qec", &line, "/dev/null"]);
    script.env_clear().current_dir(home.path());
    let kept = run.get_envs();
    script.envs(kept.filter_map(|(name, value)| Some((name, value?))));
    script.env("TERM", "xterm").env("SHELL", "/bin/sh");
    script.envs(variables.iter().copied());
    let output = script.output().unwrap();
    String::from_utf8(output.stdout).unwrap()
}

#[test]
fn what_a_model_is_at_is_said_again_and_again_where_each_line_stays() {
    let home = Home::new();
    let run = |more: &[&str]| -> Output {
        let args = [&[STUB], &OFTEN[..], more].concat();
        let run = home.simulate(SLOW, &args);
        assert_eq!(run.code, Some(0), "{}", run.stderr);
        run
    };
    let told = run(&[]).stderr;
    let is_told = |line: &str| {
        line.starts_with("journeyman: writing module `")
            && line.contains("`: waits for the answer to begin")
    };
    assert!(told.lines().any(is_told), "{told}");
    assert_eq!(run(&["--quiet"]).stderr, "");
    let json = run(&["--json"]);
    assert_eq!(json.stderr, "");
    let lines = json.json_lines();
    assert!(
        lines
            .iter()
            .all(|line| line["type"] == "event" || line["type"] == "result")
    );
}

#[test]
fn a_terminal_shows_marks_and_colours_as_far_as_it_has_them() {
    let home = Home::new();
    let url = format!("sim:{GOOD}");
    let run = |variables: &[(&str, &str)], more: &[&str]| {
        let args = ["run", "Make a thing", "--model-url", &url];
        on_terminal(&home, variables, &[&args, more].concat())
    };
    let utf8 = ("LANG", "C.UTF-8");
    let shown = run(&[utf8], &[]);
    assert!(
        shown.contains("\x1b[32m✓\x1b[0m plan: simulated.core"),
        "{shown}"
    );
    assert!(
        shown.contains("\x1b[33m●\x1b[0m \x1b[1mComplete, not verified"),
        "{shown}"
    );
    for (variables, more) in [
        (&[utf8, ("NO_COLOR", "1")][..], &[][..]),
        (&[utf8, ("CLICOLOR", "0")], &[]),
        (&[utf8], &["--color", "never"]),
    ] {
        let shown = run(variables, more);
        assert!(shown.contains("✓ plan: simulated.core"), "{shown}");
        assert!(!shown.contains("\x1b[32m"), "{shown}");
    }
    let shown = run(&[("LC_ALL", "C"), ("NO_COLOR", "1")], &[]);
    assert!(shown.contains("ok plan: simulated.core"), "{shown}");
    assert!(shown.is_ascii(), "{shown}");
    // Lines of text, and nothing else.
    let shown = run(&[utf8, ("TERM", "dumb")], &[]);
    assert!(shown.contains("task_complete"), "{shown}");
    assert!(!shown.contains('\x1b'), "{shown}");
    let forced = home.simulate(GOOD, &["Make a thing", "--color", "always"]);
    assert!(
        forced.stdout.contains("\x1b[1mComplete"),
        "{}",
        forced.stdout
    );
}

#[test]
fn the_commands_that_a_result_names_do_what_they_say() {
    let home = Home::new();
    let run = home.simulate(GOOD, &["Make a thing", "--out", "my code"]);
    assert_eq!(run.code, Some(3), "{}", run.stderr);
    let told = |what: &str| {
        let line = run.stdout.lines().find(|line| line.starts_with(what));
        let line = line.unwrap_or_else(|| panic!("{what}: {}", run.stdout));
        line[what.len()..].trim().to_owned()
    };
    let tests = Command::new("sh")
        .args(["-c", &told("tests ")])
        .output()
        .unwrap();
    let text = String::from_utf8_lossy(&tests.stdout);
    assert!(tests.status.success() && text.contains("passed"), "{text}");
    assert!(fs::exists(told("summary ")).unwrap());
    assert!(run.stdout.contains("simulated/core.py"), "{}", run.stdout);
}

#[test]
fn what_others_wrote_reaches_a_pipe_as_it_is_and_no_terminal() {
    let home = Home::new();
    let source = "from simulated.core import core_step\n\n\ndef test_step():\n    assert '\u{1b}]0;owned\u{7}' and core_step(4) == 5\n";
    fs::write(home.path().join("test_it.py"), source).unwrap();
    let prompt = "Make \u{1b}[2Ja thing";
    let run = home.simulate(GOOD, &[prompt, "--tests", "test_it.py"]);
    assert_eq!(run.code, Some(0), "{}{}", run.stdout, run.stderr);
    assert!(!run.stdout.contains('\x1b'), "{}", run.stdout);
    let task = home.run(&["tasks", "--json"]).json_lines().remove(0);
    let task = task["task_id"].as_str().unwrap();
    let file = ["files", task, "tests/test_it.py"];
    let whole = home
        .run(&[&file[..], &["--json"]].concat())
        .json_lines()
        .remove(0);
    let piped = home.run(&file).stdout;
    assert_eq!(piped, whole["text"].as_str().unwrap());
    assert!(piped.contains("\x1b]0;owned"), "{piped}");
    for args in [
        &file[..],
        &["show", task],
        &["tasks"],
        &["events"],
        &["events", "--json"],
    ] {
        let shown = on_terminal(&home, &[], args);
        assert!(!shown.contains('\x1b'), "{args:?}: {shown:?}");
    }
}
