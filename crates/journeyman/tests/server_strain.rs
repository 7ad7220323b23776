//! Nothing that is only told, and no client, stops what is done: clients that go away or say nothing, a
//! log that nobody takes, descriptors that are short.

#![allow(clippy::unwrap_used, clippy::expect_used)] // a test fails by panicking

mod common;

use std::net::TcpStream;
use std::process::Command;
use std::time::Duration;

use common::Home;
use common::server::{GOOD, STUB, Server, until};
use rustix::process::{Pid, Resource, Rlimit, prlimit};
use serde_json::{Value, json};

const TASKS: &str = "/api/v1/tasks";

/// Serves as a shell does that was told this first; `"$@"` is the command.
fn serve_in_shell(home: &Home, shell: &str, args: &[&str]) -> Server {
    let serve = Server::command(home, GOOD, args);
    let mut command = Command::new("sh");
    command.args(["-c", shell, "sh"]).arg(serve.get_program());
    command.args(serve.get_args()).env_clear();
    command.current_dir(home.path());
    let envs = serve.get_envs();
    command.envs(envs.filter_map(|(name, value)| Some((name, value?))));
    Server::launch(home, command)
}

#[test]
fn clients_that_go_away_leave_no_task_that_nobody_works_on() {
    let home = Home::new();
    let server = Server::start(&home, GOOD, &["--queue-capacity", "1000"]);
    let task = |n: u32| json!({"prompt": "x", "timeout": 0, "idempotency_key": format!("k{n}")});
    for n in 0..150 {
        let gone = server.begin_post(TASKS, &task(n));
        // Another moment each time.
        std::thread::sleep(Duration::from_micros(u64::from(n % 16) * 150));
        drop(gone);
    }
    let mut known = 0;
    for n in 0..150 {
        let answer = server.post(TASKS, &task(n)).expect(202);
        known += u32::from(answer["is_duplicate"] == true);
        server.ended(answer["task_id"].as_str().unwrap());
    }
    assert!(known > 0, "some were recorded before their client went");
    // And whatever else changes something.
    let parent = server.submit(&json!({"prompt": STUB}));
    server.ended(&parent);
    for n in 0..40 {
        let (path, body) = match n % 2 {
            0 => (format!("{TASKS}/{parent}/retry"), json!({})),
            _ => (format!("{TASKS}/{parent}/fork?at=1"), json!({})),
        };
        let gone = server.begin_post(&path, &body);
        std::thread::sleep(Duration::from_micros(n * 100));
        drop(gone);
    }
    until("every task has ended", || {
        let page = server.get(&format!("{TASKS}?limit=1000")).expect(200);
        let tasks = page["tasks"].as_array().unwrap();
        let rests = |task: &&Value| {
            let status = task["status"].as_str().unwrap();
            !["complete", "failed"].contains(&status)
        };
        let open = tasks.iter().filter(rests).count();
        (open == 0).then_some(())
    });
    server.get("/ready").expect(200);
    let metrics = server.get("/metrics").text();
    assert!(
        metrics.contains("\njourneyman_tasks_put_back_total 0\n"),
        "{metrics}"
    );
    let queue = server.get("/api/v1/queue").expect(200);
    assert!(queue["timed_out"].as_u64().unwrap() >= 150, "{queue}");
}

#[test]
fn a_log_that_nobody_takes_stops_nothing() {
    for (what, shell) in [
        ("a full disk", "exec \"$@\" 2>/dev/full"),
        ("nothing there", "exec \"$@\" 2>&-"),
        (
            "a reader that is gone",
            "mkfifo gone; sleep 9 <gone & exec 2>gone; kill $!; wait; exec \"$@\"",
        ),
        (
            "a reader that stalls",
            "mkfifo stalls; exec \"$@\" 2<>stalls",
        ),
    ] {
        let home = Home::new();
        let server = serve_in_shell(&home, shell, &["--log", "trace"]);
        // More than a pipe holds.
        for _ in 0..3 {
            let task = server.submit(&json!({"prompt": STUB}));
            assert_eq!(server.ended(&task)["status"], "complete", "{what}");
        }
        server.get("/ready").expect(200);
        assert_eq!(server.stop(), Some(0), "{what}");
    }
}

#[test]
fn a_run_whose_progress_nobody_takes_comes_to_its_end() {
    let home = Home::new();
    let url = format!("sim:?{GOOD}");
    let args = ["run", STUB, "--model-url", &url, "--log", "trace"];
    let run = home.command(&args);
    let mut command = Command::new("sh");
    command.args(["-c", "exec \"$@\" 2>/dev/full", "sh"]);
    command.arg(run.get_program()).args(run.get_args());
    command.env_clear().current_dir(home.path());
    let envs = run.get_envs();
    command.envs(envs.filter_map(|(name, value)| Some((name, value?))));
    let output = command.output().unwrap();
    let stdout = String::from_utf8(output.stdout).unwrap();
    assert_eq!(output.status.code(), Some(0), "{stdout}");
    assert!(stdout.contains("task_complete"), "{stdout}");
}

/// The tasks that the server is given here at once, all of which complete.
fn work(server: &Server) {
    let submit = |_| server.submit(&json!({"prompt": STUB}));
    let tasks: Vec<String> = (0..8).map(submit).collect();
    for task in &tasks {
        let ended = server.ended(task);
        assert_eq!(ended["status"], "complete", "{ended}");
    }
}

#[test]
fn connections_that_say_nothing_keep_neither_tasks_nor_other_clients_out() {
    for (descriptors, silent) in [(256, 300), (80, 100)] {
        let home = Home::new();
        let shell = format!("ulimit -n {descriptors}; exec \"$@\"");
        let server = serve_in_shell(&home, &shell, &["--max-concurrent", "4"]);
        let connect = |_| TcpStream::connect(("127.0.0.1", server.port)).unwrap();
        let silent: Vec<TcpStream> = (0..silent).map(connect).collect();
        work(&server);
        drop(silent);
        let log = server.log();
        assert!(!log.contains("work on the task failed"), "{log}");
    }
}

/// The descriptors that the server keeps once nothing is asked of it.
fn kept(server: &Server) -> u64 {
    let folder = format!("/proc/{}/fd", server.child.id());
    let mut last = usize::MAX;
    until("the server has closed what it needs no longer", || {
        std::thread::sleep(Duration::from_millis(500));
        let before = last;
        last = std::fs::read_dir(&folder).unwrap().count();
        (last == before).then_some(())
    });
    last.try_into().unwrap()
}

#[test]
fn tasks_for_which_descriptors_are_short_rest_and_come_to_their_end() {
    /// Enough for the run of one task and its client, and not for those of eight.
    const SPARE: u64 = 14;
    let home = Home::new();
    let server = Server::start(&home, GOOD, &["--max-concurrent", "8"]);
    work(&server);
    let limit = Some(kept(&server) + SPARE);
    let limits = Rlimit {
        current: limit,
        maximum: limit,
    };
    let process = Pid::from_child(&server.child);
    prlimit(Some(process), Resource::Nofile, limits).unwrap();
    work(&server);
    let log = server.log();
    assert!(log.contains("Too many open files"), "{log}");
    assert!(!log.contains("work on the task failed"), "{log}");
}
