//! How commands end, whoever reads what they print and whoever works on the task: the exit code tells the
//! truth, nothing panics, and no task is lost.

#![allow(clippy::unwrap_used, clippy::expect_used)] // a test fails by panicking

mod common;

use std::fs::{self, File};
use std::io::{BufRead, BufReader};
use std::process::{Child, Command, Stdio};

use common::run::Run;
use common::server::{GOOD, SLOW, STEADY, Server, until};
use common::{Home, Output};
use rustix::process::Signal;
use serde_json::Value;

const PASSES: &str =
    "from simulated.core import core_step\n\n\ndef test_step():\n    assert core_step(4) == 5\n";
const FAILS: &str =
    "from simulated.core import core_step\n\n\ndef test_step():\n    assert core_step(4) == 6\n";

/// Tasks, and the codes that they end with.
const ENDINGS: [(&str, &[&str], i32); 6] = [
    ("verified", &["run", "Make it", "--tests", "test_ok.py"], 0),
    ("not verified", &["run", "Make it"], 3),
    (
        "failed",
        &[
            "run",
            "Make it",
            "--tests",
            "test_bad.py",
            "--max-iterations",
            "1",
        ],
        4,
    ),
    (
        "out of budget",
        &["run", "Make it", "--budget-tokens", "700"],
        5,
    ),
    ("wrong use", &["run", " "], 2),
    ("no such task", &["resume", "t-0"], 1),
];

/// Who reads what is printed.
#[derive(Clone, Copy, Debug)]
enum Reader {
    /// Somebody, to the end.
    Whole,
    /// `| head -1`.
    OneLine,
    /// `2>&1 | true`: nobody, from the start.
    Gone,
    /// `>&- 2>&-`: both streams are closed.
    Closed,
    /// `>/dev/full 2>/dev/full`: every write fails for want of space.
    Full,
}

const READERS: [Reader; 5] = [
    Reader::Whole,
    Reader::OneLine,
    Reader::Gone,
    Reader::Closed,
    Reader::Full,
];

/// A pipe that nobody reads.
fn gone() -> Stdio {
    let (_, writer) = std::io::pipe().unwrap();
    writer.into()
}

fn full() -> Stdio {
    File::options()
        .write(true)
        .open("/dev/full")
        .unwrap()
        .into()
}

impl Reader {
    /// Runs a command to its end, and gives its exit code and what was read of its errors.
    fn read(self, mut command: Command) -> (Option<i32>, String) {
        let output = match self {
            Self::Whole => command.output().unwrap(),
            Self::OneLine => {
                command.stdout(Stdio::piped()).stderr(Stdio::piped());
                let mut child = command.spawn().unwrap();
                let mut line = String::new();
                let stdout = child.stdout.take().unwrap();
                BufReader::new(stdout).read_line(&mut line).unwrap();
                child.wait_with_output().unwrap()
            }
            Self::Gone => command.stdout(gone()).stderr(gone()).output().unwrap(),
            Self::Full => command.stdout(full()).stderr(full()).output().unwrap(),
            Self::Closed => {
                let mut shell = Command::new("sh");
                shell.args(["-c", "exec \"$0\" \"$@\" >&- 2>&-"]);
                shell.arg(command.get_program()).args(command.get_args());
                shell
                    .env_clear()
                    .current_dir(command.get_current_dir().unwrap());
                let variables = command.get_envs();
                shell.envs(variables.filter_map(|(name, value)| Some((name, value?))));
                shell.output().unwrap()
            }
        };
        let stderr = String::from_utf8_lossy(&output.stderr).into_owned();
        (output.status.code(), stderr)
    }
}

fn home() -> Home {
    let home = Home::new();
    fs::write(home.path().join("test_ok.py"), PASSES).unwrap();
    fs::write(home.path().join("test_bad.py"), FAILS).unwrap();
    home
}

/// Who leaves: where the task is worked on elsewhere, the others differ in nothing.
const LEAVERS: [Reader; 2] = [Reader::OneLine, Reader::Gone];

/// Ends every kind of task for these kinds of readers.
fn check_all(home: &Home, readers: &[Reader], model: &str, more: &[&str]) {
    for (name, args, code) in ENDINGS {
        for reader in readers {
            let mut command = home.command(&[args, more].concat());
            command.env("JOURNEYMAN_MODEL_URL", format!("sim:?{model}"));
            let (ended, stderr) = reader.read(command);
            assert_eq!(ended, Some(code), "{name}, {reader:?}: {stderr}");
        }
    }
}

fn statuses(home: &Home) -> Vec<Value> {
    let mut tasks = home.run(&["tasks", "--json"]).json_lines();
    tasks.iter_mut().map(|task| task["status"].take()).collect()
}

#[test]
fn what_given_tests_do_not_show_is_told_though_the_task_is_verified() {
    let home = home();
    let skipped = "\n\nimport unittest\n\n\nclass Later(unittest.TestCase):\n    @unittest.skip('later')\n    \
                   def test_later(self):\n        self.fail()\n";
    fs::write(
        home.path().join("test_part.py"),
        format!("{PASSES}{skipped}"),
    )
    .unwrap();
    let ran = home.simulate(
        GOOD,
        &["Make it", "--tests", "test_part.py", "--out", "part"],
    );
    assert_eq!(ran.code, Some(0), "{}{}", ran.stdout, ran.stderr);
    let summary = fs::read_to_string(home.path().join("part/SUMMARY.md")).unwrap();
    for told in [&ran.stdout, &summary] {
        assert!(told.contains("1 of your tests was skipped"), "{told}");
        assert!(told.contains("Later::test_later"), "{told}");
    }
}

#[test]
fn a_task_ends_with_its_own_code_whoever_reads() {
    let home = home();
    check_all(&home, &READERS, GOOD, &[]);
    assert_eq!(statuses(&home).len(), 4 * READERS.len(), "none was lost");
}

#[test]
fn beside_a_holder_a_task_ends_with_its_own_code_whoever_reads() {
    let home = home();
    let server = Server::start(&home, GOOD, &[]);
    check_all(&home, &LEAVERS, GOOD, &[]);
    drop(server);
    assert_eq!(statuses(&home).len(), 4 * LEAVERS.len(), "none was lost");
}

#[test]
fn at_a_server_elsewhere_a_task_ends_with_its_own_code_whoever_reads() {
    let (server_home, home) = (Home::new(), home());
    let server = Server::start(&server_home, GOOD, &[]);
    check_all(&home, &LEAVERS, GOOD, &["--server", &server.url()]);
    assert!(!home.data_dir().join("journal.db").exists());
}

#[test]
fn a_task_whose_holder_was_killed_ends_with_its_own_code() {
    for (name, args, code) in ENDINGS
        .iter()
        .filter(|(.., code)| [0, 3, 4, 5].contains(code))
    {
        let home = home();
        let server = Server::start(&home, STEADY, &[]);
        let mut run = Run::start(&home, STEADY, &args[1..]);
        run.until("model_call_started");
        server.crash();
        let (ended, shown) = run.end();
        assert_eq!(ended, Some(*code), "{name}: {shown:?}");
    }
}

#[test]
fn a_closed_terminal_interrupts_the_task_and_it_goes_on_later() {
    let home = home();
    let run = home.command(&["run", "Make it", "--model-url", &format!("sim:?{SLOW}")]);
    // The tests themselves may have been started to outlive their terminal.
    let mut command = Command::new("env");
    command.arg("--default-signal=HUP").env_clear();
    command.envs(
        run.get_envs()
            .filter_map(|(name, value)| Some((name, value?))),
    );
    command
        .arg(run.get_program())
        .args(run.get_args())
        .current_dir(home.path());
    command.stdout(gone()).stderr(gone());
    let child = command.spawn().unwrap();
    until("it runs", || (statuses(&home) == ["running"]).then_some(()));
    signal(&child, Signal::HUP);
    assert_eq!(finish(child).code, Some(130));
    let task = home.run(&["tasks", "--json"]).json_lines().remove(0);
    assert_eq!(
        (&task["status"], &task["pause"]),
        (&"paused".into(), &"interrupted".into())
    );
    let id = task["task_id"].as_str().unwrap();
    let resumed = home.run(&["resume", id, "--model-url", &format!("sim:?{GOOD}")]);
    assert_eq!(resumed.code, Some(3), "{}", resumed.stderr);
}

#[test]
fn who_was_started_to_outlive_its_terminal_does() {
    let home = home();
    let run = home.command(&["run", "Make it", "--model-url", &format!("sim:?{STEADY}")]);
    let mut shell = Command::new("sh");
    shell.args(["-c", "trap '' HUP; exec \"$0\" \"$@\""]);
    shell.arg(run.get_program()).args(run.get_args());
    shell.env_clear().current_dir(home.path());
    shell.envs(
        run.get_envs()
            .filter_map(|(name, value)| Some((name, value?))),
    );
    let child = shell.stdout(gone()).stderr(gone()).spawn().unwrap();
    until("it runs", || (statuses(&home) == ["running"]).then_some(()));
    signal(&child, Signal::HUP);
    assert_eq!(finish(child).code, Some(3));
}

#[test]
fn a_reader_that_does_not_read_holds_up_no_task_and_misses_nothing() {
    let home = home();
    let (reader, writer) = std::io::pipe().unwrap();
    rustix::pipe::fcntl_setpipe_size(&writer, 4_096).unwrap();
    let url = format!("sim:?{GOOD}");
    let mut command = home.command(&["run", "Make it", "--json", "--model-url", &url]);
    let mut child = command
        .stdout(writer)
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    drop(command);
    until("it is complete", || {
        (statuses(&home) == ["complete"]).then_some(())
    });
    let lines = BufReader::new(reader).lines();
    let lines: Vec<Value> = lines
        .map(|line| serde_json::from_str(&line.unwrap()).unwrap())
        .collect();
    assert_eq!(child.wait().unwrap().code(), Some(3));
    let (result, events) = lines.split_last().unwrap();
    assert_eq!(result["type"], "result");
    let stored = home.run(&["events", "--json"]).json_lines();
    assert_eq!(events, stored);
}

#[test]
fn what_only_looks_ends_quietly_when_nobody_reads_and_says_when_it_cannot_write() {
    let home = home();
    assert_eq!(
        home.simulate(&format!("?{GOOD}"), &["Make it"]).code,
        Some(3)
    );
    let task = home.run(&["tasks", "--json"]).json_lines().remove(0);
    let task = task["task_id"].as_str().unwrap();
    let looks: [(&[&str], i32); 12] = [
        (&["tasks"], 0),
        (&["tasks", "--json"], 0),
        (&["events"], 0),
        (&["events", "--last", "3"], 0),
        (&["show", task], 0),
        (&["files", task], 0),
        (&["journal", "export"], 0),
        (&["journal", "verify"], 0),
        (&["config", "show"], 0),
        (&["completions", "bash"], 0),
        (&["--help"], 0),
        // It says something by its code, whoever reads.
        (&["engine", "status"], 3),
    ];
    for (args, code) in looks {
        let (stdout, stderr) = (gone(), Stdio::piped());
        let child = home.command(args).stdout(stdout).stderr(stderr).spawn();
        let output = finish(child.unwrap());
        assert_eq!(output.code, Some(code), "{args:?}: {}", output.stderr);
        assert_eq!(output.stderr, "", "{args:?}");
        let (stdout, stderr) = (full(), Stdio::piped());
        let child = home.command(args).stdout(stdout).stderr(stderr).spawn();
        let output = finish(child.unwrap());
        assert_eq!(output.code, Some(1), "{args:?}: {}", output.stderr);
        let is_help = args == ["--help"];
        let says_why = output.stderr.contains("cannot write to standard output");
        assert!(says_why || is_help, "{args:?}: {}", output.stderr);
    }
}

#[test]
fn a_follower_whose_reader_is_gone_ends_though_nothing_happens() {
    let home = home();
    assert_eq!(
        home.simulate(&format!("?{GOOD}"), &["Make it"]).code,
        Some(3)
    );
    let mut child = home
        .command(&["events", "--follow"])
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut line = String::new();
    let stdout = child.stdout.take().unwrap();
    BufReader::new(stdout).read_line(&mut line).unwrap();
    let output = finish(child);
    assert_eq!((output.code, output.stderr.as_str()), (Some(0), ""));
}

#[test]
fn two_who_resume_one_task_at_once_both_see_its_end() {
    let home = home();
    let mut run = Run::start(&home, SLOW, &["Make it"]);
    let task = run.until("model_call_started")["task_id"]
        .as_str()
        .unwrap()
        .to_owned();
    run.signal(Signal::INT);
    assert_eq!(run.end().0, Some(130));
    let resume = || {
        let mut command = home.command(&["resume", &task, "--json"]);
        command.env("JOURNEYMAN_MODEL_URL", format!("sim:?{STEADY}"));
        Run::launch(command)
    };
    let both = [resume(), resume()];
    for run in both {
        let (code, shown) = run.end();
        assert_eq!(code, Some(3), "{shown:?}");
        assert_eq!(shown.last().unwrap()["status"], "complete");
    }
}

#[test]
fn without_a_home_the_data_folder_is_not_wherever_one_stands() {
    let home = Home::bare();
    let mut command = home.command(&["config", "show", "--json"]);
    command.env_remove("HOME").env_remove("JOURNEYMAN_DATA_DIR");
    let output = command.output().unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    let mut found = text
        .lines()
        .map(|line| serde_json::from_str::<Value>(line).unwrap());
    let folder = found.find(|found| found["key"] == "data_dir").unwrap();
    assert!(
        folder["value"].as_str().unwrap().starts_with('/'),
        "{folder}"
    );
}

fn signal(child: &Child, signal: Signal) {
    rustix::process::kill_process(rustix::process::Pid::from_child(child), signal).unwrap();
}

fn finish(child: Child) -> Output {
    let output = child.wait_with_output().unwrap();
    Output {
        code: output.status.code(),
        stdout: String::from_utf8(output.stdout).unwrap(),
        stderr: String::from_utf8(output.stderr).unwrap(),
    }
}
