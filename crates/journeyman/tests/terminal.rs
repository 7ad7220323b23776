//! What a person sees of `run`: on a terminal, in a pipe, and of what others wrote.

#![allow(clippy::unwrap_used, clippy::expect_used)] // a test fails by panicking

mod common;

use std::fs;
use std::io::{Read, Write};
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;

use common::server::{STUB, Server, until};
use common::{Home, Output};
use serde_json::json;

const GOOD: &str = "?latency_ms=0&wrong=0&malformed=0";
/// Each call takes longer than the interval.
const SLOW: &str = "?latency_ms=1600&wrong=0&malformed=0";
const OFTEN: [&str; 2] = ["--progress-interval", "1s"];

/// A command that runs on a terminal of its own, with these variables. It stands for `{}` in `line`.
fn scripted(home: &Home, variables: &[(&str, &str)], line: &str, args: &[&str]) -> Command {
    let run = home.command(args);
    let words = [run.get_program()].into_iter().chain(run.get_args());
    let words = words.map(|word| format!("'{}'", word.to_str().unwrap()));
    let line = line.replace("{}", &words.collect::<Vec<_>>().join(" "));
    let mut script = Command::new("script");
    script.args(["-qec", &line, "/dev/null"]);
    script.env_clear().current_dir(home.path());
    let kept = run.get_envs();
    script.envs(kept.filter_map(|(name, value)| Some((name, value?))));
    script.env("TERM", "xterm").env("SHELL", "/bin/sh");
    script.envs(variables.iter().copied());
    script
}

/// What a command shows on a terminal of its own, from beginning to end.
fn on_terminal(home: &Home, variables: &[(&str, &str)], args: &[&str]) -> String {
    let output = scripted(home, variables, "{}", args).output().unwrap();
    String::from_utf8(output.stdout).unwrap()
}

/// A terminal on which a command runs while it is typed at and looked at. After the command, the terminal says with which code
/// it ended and how the terminal is set.
struct Terminal {
    script: Child,
    shown: Arc<Mutex<String>>,
    reader: Option<JoinHandle<()>>,
}

impl Drop for Terminal {
    fn drop(&mut self) {
        let _ = self.script.kill(); // it has ended, unless the test failed
    }
}

impl Terminal {
    fn start(home: &Home, args: &[&str]) -> Self {
        let line = "stty rows 24 cols 100; tty >tty; sh -c 'echo $$ >pid; exec \"$@\"' sh {}; \
                    echo \"ended with $?\"; stty -a";
        let mut script = scripted(home, &[("LANG", "C.UTF-8")], line, args);
        let script = script.stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut script = script.spawn().unwrap();
        let mut output = script.stdout.take().unwrap();
        let shown = Arc::new(Mutex::new(String::new()));
        let reader = std::thread::spawn({
            let shown = Arc::clone(&shown);
            move || {
                let mut bytes = [0; 4_096];
                while let Ok(read @ 1..) = output.read(&mut bytes) {
                    let text = String::from_utf8_lossy(&bytes[..read]);
                    shown.lock().unwrap().push_str(&text);
                }
            }
        });
        Self {
            script,
            shown,
            reader: Some(reader),
        }
    }

    fn type_keys(&mut self, keys: &str) {
        let input = self.script.stdin.as_mut().unwrap();
        input.write_all(keys.as_bytes()).unwrap();
    }

    /// Waits until this is shown, and forgets all that was shown until then.
    fn until(&self, text: &str) {
        until(text, || {
            let mut shown = self.shown.lock().unwrap();
            let is_there = shown.contains(text);
            if is_there {
                shown.clear();
            }
            is_there.then_some(())
        });
    }

    /// What was shown at the end.
    fn end(mut self) -> String {
        self.script.wait().unwrap();
        self.reader.take().unwrap().join().unwrap();
        let shown = self.shown.lock().unwrap();
        shown.clone()
    }
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

#[test]
fn the_live_page_of_metrics_follows_window_and_server_and_leaves_the_terminal_as_it_was() {
    let home = Home::new();
    let server = Server::start(&home, GOOD, &[]);
    let task = server.submit(&json!({"prompt": STUB}));
    server.ended(&task);
    let mut terminal = Terminal::start(&home, &["metrics"]);
    terminal.until("submitted,"); // spaces are not drawn where there was nothing
    let at = |name: &str| fs::read_to_string(home.path().join(name)).unwrap();
    let tty = at("tty");
    let window = ["-F", tty.trim(), "rows", "12", "cols", "40"];
    assert!(
        Command::new("stty")
            .args(window)
            .status()
            .unwrap()
            .success()
    );
    terminal.until("q leaves"); // drawn anew, at another place
    assert_eq!(server.stop(), Some(0));
    terminal.until("no process holds");
    let server = Server::start(&home, GOOD, &[]);
    terminal.until("metrics of the process");
    terminal.type_keys("xq");
    check_left(&terminal.end(), 0);
    let mut terminal = Terminal::start(&home, &["metrics"]);
    terminal.until("q leaves");
    terminal.type_keys("\u{3}");
    check_left(&terminal.end(), 0);
    let terminal = Terminal::start(&home, &["metrics"]);
    terminal.until("q leaves");
    let kill = Command::new("kill").arg(at("pid").trim()).status();
    assert!(kill.unwrap().success());
    check_left(&terminal.end(), 130);
    // Once, where it is asked for or where nobody can type.
    let once = on_terminal(&home, &[], &["metrics", "--once"]);
    let piped = home.run(&["metrics"]).stdout;
    assert_eq!(server.stop(), Some(0));
    let alone = on_terminal(&home, &[], &["metrics"]);
    for text in [once, piped, alone] {
        assert!(text.contains("1 submitted, 1 complete"), "{text}");
        assert!(!text.contains('\x1b'), "{text:?}");
    }
}

/// Checks that the terminal shows what it showed before and reads lines again, and how the command ended.
fn check_left(end: &str, code: i32) {
    let (_, after) = end.rsplit_once("\x1b[?1049l").unwrap();
    for word in [&format!("ended with {code}"), " icanon", " echo "] {
        assert!(after.contains(word), "{word}: {after}");
    }
}
