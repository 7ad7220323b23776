//! Servers that stop, die and come back, and commands beside them: nothing acknowledged is lost, and
//! no recorded outcome is repeated.

#![allow(clippy::unwrap_used, clippy::expect_used)] // a test fails by panicking

mod common;

use std::fs;
use std::path::PathBuf;
use std::process::{Command, Stdio};

use common::run::Run;
use common::server::{GOOD, SLOW, STEADY, STUB, Server, check_history, count, until};
use common::{Home, Output};
use rustix::process::Signal;
use serde_json::{Value, json};

const TASKS: &str = "/api/v1/tasks";

fn events(home: &Home, task: &str) -> Vec<Value> {
    home.run(&["events", "--json", "--task", task]).json_lines()
}

fn good(output: &Output) -> Value {
    assert_eq!(output.code, Some(0), "{}", output.stderr);
    output.json_lines().pop().unwrap()
}

/// Every event of a run was shown once and in order.
fn check_shown(shown: &[Value], stored: &[Value]) {
    let sequences = |events: &[Value]| -> Vec<u64> {
        let events = events.iter().filter(|event| event["type"] == "event");
        events
            .map(|event| event["sequence"].as_u64().unwrap())
            .collect()
    };
    assert_eq!(sequences(shown), sequences(stored));
}

#[test]
fn a_server_that_is_told_to_stop_lets_tasks_rest_and_goes_on_after_a_restart() {
    let home = Home::new();
    let server = Server::start(&home, STEADY, &["--max-concurrent", "1"]);
    let running = server.submit(&json!({"prompt": "Make a thing"}));
    let waiting = server.submit(&json!({"prompt": STUB}));
    let users = server.submit(&json!({"prompt": STUB}));
    server
        .intervene(&users, &json!({"kind": "pause"}))
        .expect(200);
    server.event(&running, "code_generated");
    assert_eq!(server.stop(), Some(0));
    let paused = events(&home, &running).pop().unwrap();
    assert_eq!(paused["kind"], "task_paused");
    assert_eq!(paused["data"]["reason"], "shutdown");
    let tasks = home.run(&["tasks", "--json"]).json_lines();
    let status = |task: &str| {
        let mut tasks = tasks.iter();
        tasks.find(|one| one["task_id"] == task).unwrap()["status"].clone()
    };
    assert_eq!(
        (status(&running), status(&waiting)),
        (json!("paused"), json!("queued"))
    );
    let server = Server::start(&home, STEADY, &["--max-concurrent", "1"]);
    assert_eq!(server.recovered, 2, "all but what the user paused");
    for task in [&running, &waiting] {
        assert_eq!(server.ended(task)["status"], "complete");
        check_history(&server.events(task));
    }
    assert_eq!(server.task(&users)["pause"], "user");
    assert_eq!(count(&server.events(&running), "task_paused"), 1);
    assert_eq!(home.run(&["journal", "verify"]).code, Some(0));
}

#[test]
fn a_second_signal_stops_at_once() {
    let home = Home::new();
    let mut server = Server::start(&home, SLOW, &["--grace", "1h"]);
    let task = server.submit(&json!({"prompt": STUB}));
    server.event(&task, "model_call_started");
    server.signal(Signal::TERM);
    server.signal(Signal::INT);
    until("the server is gone", || server.child.try_wait().unwrap());
}

#[test]
fn after_a_crash_nothing_acknowledged_is_lost_and_no_outcome_is_repeated() {
    let home = Home::new();
    let mut acknowledged: Vec<String> = Vec::new();
    let mut seen: Vec<Vec<Value>> = Vec::new();
    for round in 0..3 {
        let server = Server::start(&home, "latency_ms=15&wrong=0&malformed=0", &[]);
        let new = (0..2).map(|_| server.submit(&json!({"prompt": STUB})));
        acknowledged.extend(new);
        let last = acknowledged.last().unwrap();
        let kind = ["model_call_started", "test_started", "code_generated"][round];
        server.event(last, kind);
        seen = acknowledged
            .iter()
            .map(|task| server.events(task))
            .collect();
        server.crash();
    }
    // A task that was running when its holder died rests.
    let listed = home.run(&["tasks", "--json"]).json_lines();
    assert_eq!(listed.len(), acknowledged.len());
    assert!(listed.iter().all(|task| task["status"] != "running"));
    let server = Server::start(&home, GOOD, &[]);
    for (task, before) in acknowledged.iter().zip(&seen) {
        assert_eq!(server.ended(task)["status"], "complete");
        let events = server.events(task);
        assert_eq!(events[..before.len()], **before, "what was shown stays");
        check_history(&events);
        assert_eq!(count(&events, "task_submitted"), 1);
        assert_eq!(count(&events, "code_generated"), 1);
        assert_eq!(count(&events, "task_complete"), 1);
    }
    assert_eq!(home.run(&["journal", "verify"]).code, Some(0));
}

#[test]
fn a_client_that_comes_back_after_a_crash_misses_and_repeats_nothing() {
    let home = Home::new();
    let server = Server::start(&home, STEADY, &[]);
    let task = server.submit(&json!({"prompt": "Make a thing"}));
    let mut socket = server.socket(&format!("/ws/{task}"));
    let mut heard = socket.hear_until("planning_complete");
    server.crash();
    while let Ok(message) = socket.hear() {
        heard.push(message);
    }
    let server = Server::start(&home, GOOD, &[]);
    let last = &heard.last().unwrap()["sequence"];
    let mut socket = server.socket(&format!("/ws/{task}?after={last}"));
    heard.extend(socket.hear_until("task_complete"));
    let sequences = |events: &[Value]| -> Vec<u64> {
        events
            .iter()
            .map(|e| e["sequence"].as_u64().unwrap())
            .collect()
    };
    assert_eq!(sequences(&heard), sequences(&server.events(&task)));
}

#[test]
fn a_run_works_at_the_server_and_takes_over_when_that_is_killed() {
    let home = Home::new();
    let server = Server::start(&home, STEADY, &[]);
    let out = home.path().join("result");
    let mut run = Run::start(
        &home,
        STEADY,
        &["Make a thing", "--out", out.to_str().unwrap()],
    );
    let first = run.until("code_generated");
    let task = first["task_id"].as_str().unwrap().to_owned();
    assert_eq!(
        server.task(&task)["status"],
        "running",
        "it is the server's"
    );
    server.crash();
    let (code, shown) = run.end();
    assert_eq!(code, Some(3));
    assert_eq!(shown.last().unwrap()["status"], "complete");
    let stored = events(&home, &task);
    check_history(&stored);
    check_shown(&shown, &stored);
    assert_eq!(count(&stored, "task_submitted"), 1);
    assert!(out.join("SUMMARY.md").exists());
}

#[test]
fn a_second_run_works_at_the_first_and_goes_on_when_that_ends() {
    let home = Home::new();
    let mut first = Run::start(&home, "latency_ms=1000&wrong=0&malformed=0", &[STUB]);
    let started = first.until("model_call_started");
    let mut second = Run::start(&home, STEADY, &["Make a thing"]);
    let task = second.until("model_call_started")["task_id"]
        .as_str()
        .unwrap()
        .to_owned();
    // Both are the first one's, which is interrupted then.
    first.signal(Signal::INT);
    let (code, _) = first.end();
    assert_eq!(code, Some(130));
    let (code, shown) = second.end();
    assert_eq!(code, Some(3), "{shown:?}");
    let stored = events(&home, &task);
    check_history(&stored);
    check_shown(&shown, &stored);
    // The first one's task is not the second one's affair.
    let first = started["task_id"].as_str().unwrap();
    let tasks = home.run(&["tasks", "--json"]).json_lines();
    let left = tasks.iter().find(|task| task["task_id"] == first).unwrap();
    assert_eq!(
        (&left["status"], &left["pause"]),
        (&json!("paused"), &json!("interrupted"))
    );
}

#[test]
fn a_run_whose_holder_ends_as_it_should_goes_on_as_well() {
    let home = Home::new();
    let mut first = Run::start(&home, "latency_ms=20&wrong=0&malformed=0", &[STUB]);
    first.until("model_call_started");
    let mut second = Run::start(&home, STEADY, &["Make a thing"]);
    let task = second.until("task_submitted")["task_id"]
        .as_str()
        .unwrap()
        .to_owned();
    let (code, _) = first.end();
    assert_eq!(code, Some(0));
    let (code, shown) = second.end();
    assert_eq!(code, Some(3), "{shown:?}");
    let stored = events(&home, &task);
    check_history(&stored);
    check_shown(&shown, &stored);
}

#[test]
fn a_run_that_is_interrupted_at_a_server_lets_its_task_rest_there() {
    let home = Home::new();
    let server = Server::start(&home, SLOW, &[]);
    let mut run = Run::start(&home, SLOW, &["Make a thing"]);
    let task = run.until("model_call_started")["task_id"]
        .as_str()
        .unwrap()
        .to_owned();
    run.signal(Signal::INT);
    let (code, _) = run.end();
    assert_eq!(code, Some(130));
    assert_eq!(server.task(&task)["status"], "paused");
}

/// Tells, edits, skips, pauses, cancels, retries and forks by commands, whoever holds the folder.
fn do_everything(home: &Home, task: &str) -> (String, String) {
    let run = |args: &[&str]| {
        let mut all = args.to_vec();
        all.push("--json");
        good(&home.run(&all))
    };
    let status = |args: &[&str]| run(args)["status"].clone();
    let told = home.run(&["tell", task, "Mind the zebras"]);
    assert!(
        told.stdout.contains("accepted: your words"),
        "{}",
        told.stderr
    );
    status(&["answer", task, "Vermilion", "--question", "Which colour?"]);
    assert_eq!(status(&["pause", task]), "paused");
    assert_eq!(status(&["pause", task]), "paused");
    fs::write(
        home.path().join("mine.py"),
        "def core_step(value):\n    return 1 + value\n",
    )
    .unwrap();
    assert_eq!(
        status(&["edit", task, "simulated/core.py", "mine.py"]),
        "paused"
    );
    let skipped = run(&["skip", task, "simulated/helpers.py"]);
    assert_eq!(skipped["status"], "paused");
    let accepted = skipped["accepted"].as_str().unwrap();
    assert!(accepted.contains("simulated/helpers.py"), "{accepted}");
    let shown = run(&["show", task]);
    assert_eq!(shown["status"], "paused");
    let text = home.run(&["files", task, "simulated/core.py"]);
    assert_eq!(text.stdout, "def core_step(value):\n    return 1 + value\n");
    let all = events(home, task);
    let at = all
        .iter()
        .find(|e| e["kind"] == "planning_complete")
        .unwrap()["sequence"]
        .to_string();
    let fork = run(&["fork", task, "--at", &at, "--priority", "high"])["task_id"].clone();
    let retry = run(&["retry", task])["task_id"].clone();
    assert_eq!(status(&["cancel", task]), "cancelled");
    assert_eq!(status(&["cancel", task]), "cancelled");
    let late = home.run(&["tell", task, "Too late"]);
    assert_eq!(late.code, Some(1), "{}", late.stderr);
    assert!(late.stderr.contains("cancelled"), "{}", late.stderr);
    let nobody = home.run(&["pause", "nobody"]);
    assert_eq!(nobody.code, Some(1));
    assert!(nobody.stderr.contains("nobody"), "{}", nobody.stderr);
    let unknown = home.run(&["skip", fork.as_str().unwrap(), "no.such"]);
    assert_eq!(unknown.code, Some(1), "{}", unknown.stderr);
    let text = |value: Value| value.as_str().unwrap().to_owned();
    (text(fork), text(retry))
}

fn check_everything(server: &Server, fork: &str, retry: &str) {
    for task in [fork, retry] {
        let view = server.ended(task);
        assert_eq!(view["status"], "complete", "{view}");
        check_history(&server.events(task));
    }
    assert_eq!(server.task(fork)["priority"], "high");
    let events = server.events(fork);
    let plans = events
        .iter()
        .filter(|e| e["data"]["purpose"] == "plan" && e["origin"].is_null());
    assert_eq!(plans.count(), 0, "the plan is inherited");
}

#[test]
fn commands_do_to_tasks_what_the_server_does_while_it_holds_the_folder() {
    let home = Home::new();
    let server = Server::start(&home, STEADY, &[]);
    let task = server.submit(&json!({"prompt": "Make a thing"}));
    server.event(&task, "code_generated");
    let (fork, retry) = do_everything(&home, &task);
    check_everything(&server, &fork, &retry);
    assert_eq!(server.task(&task)["status"], "cancelled");
}

#[test]
fn commands_do_to_tasks_what_the_server_does_when_nobody_holds_the_folder() {
    let home = Home::new();
    let server = Server::start(&home, STEADY, &[]);
    let task = server.submit(&json!({"prompt": "Make a thing"}));
    server.event(&task, "code_generated");
    server.crash();
    let (fork, retry) = do_everything(&home, &task);
    let server = Server::start(&home, GOOD, &[]);
    assert_eq!(server.recovered, 2, "the fork and the retried one");
    check_everything(&server, &fork, &retry);
}

#[test]
fn a_client_elsewhere_works_at_the_server_and_writes_the_result_on_its_own_side() {
    let home = Home::new();
    let hash = format!("b3:{}", blake3::hash(b"ada-1"));
    let line = json!({"name": "ada", "token_hash": hash, "role": "user"}).to_string() + "\n";
    let file = home.path().join("tokens.jsonl");
    fs::write(&file, line).unwrap();
    let server = Server::start(&home, GOOD, &["--token-file", file.to_str().unwrap()]);
    let server = server.with_token("ada-1");
    // A home without a data folder, Python or model.
    let client = Home::bare();
    let url = server.url();
    let at = |args: &[&str]| {
        let mut all = args.to_vec();
        all.extend(["--server", &url, "--token", "ada-1"]);
        client.run(&all)
    };
    fs::write(
        client.path().join("test_ok.py"),
        "from simulated.core import core_step\n\n\ndef test_step():\n    assert core_step(4) == 5\n",
    )
    .unwrap();
    let run = at(&[
        "run",
        "Make a thing",
        "--tests",
        "test_ok.py",
        "--out",
        "result",
        "--json",
    ]);
    assert_eq!(run.code, Some(0), "{}", run.stderr);
    let result = run.json_lines().pop().unwrap();
    assert_eq!(result["verification"], "given_tests");
    let code = fs::read_to_string(client.path().join("result/simulated/core.py"))
        .unwrap_or_else(|error| panic!("{error}: {result}"));
    let task = result["task_id"].as_str().unwrap();
    let served = server.get(&format!("{TASKS}/{task}/files/simulated/core.py"));
    assert_eq!(code, served.text());
    assert!(client.path().join("result/SUMMARY.md").exists());
    assert!(
        !client.data_dir().exists(),
        "nothing is kept on the client's side"
    );
    check_shown(
        &run.json_lines(),
        &server
            .events(task)
            .iter()
            .map(|event| {
                let mut event = event.clone();
                event["type"] = json!("event");
                event
            })
            .collect::<Vec<_>>(),
    );
    assert_eq!(at(&["tasks", "--json"]).json_lines().len(), 1);
    assert_eq!(good(&at(&["show", task, "--json"]))["status"], "complete");
    let again = at(&["resume", task, "--json"]);
    assert_eq!(again.code, Some(0), "{}", again.stderr);
    let other = at(&["retry", task, "--json"]);
    let other = good(&other)["task_id"].as_str().unwrap().to_owned();
    assert_eq!(server.ended(&other)["status"], "complete");
    // Without a token, or with a wrong one, nothing.
    for token in ["", "x"] {
        let refused = client.run(&["tasks", "--server", &url, "--token", token]);
        assert_eq!(refused.code, Some(1), "{}", refused.stdout);
        assert!(refused.stderr.contains("token"), "{}", refused.stderr);
        for way in ["--token", "JOURNEYMAN_TOKEN"] {
            assert!(refused.stderr.contains(way), "{}", refused.stderr);
        }
    }
    // The folder's own user sees none of hers.
    assert!(home.run(&["tasks", "--json"]).json_lines().is_empty());
}

#[test]
fn a_run_at_a_server_elsewhere_waits_for_its_return() {
    for signal in [Signal::KILL, Signal::TERM] {
        let (home, client) = (Home::new(), Home::bare());
        let server = Server::start(&home, STEADY, &[]);
        let (url, port) = (server.url(), server.port.to_string());
        let mut run = Run::start(&client, STEADY, &["Make a thing", "--server", &url]);
        run.until("code_generated");
        server.signal(signal);
        drop(server);
        let model = format!("sim:?{STEADY}");
        let serve = ["serve", "--port", &port, "--json", "--model-url", &model];
        let _server = Server::launch(&home, home.command(&serve));
        let (code, shown) = run.end();
        assert_eq!(code, Some(3), "{signal:?}: {shown:?}");
        assert_eq!(shown.last().unwrap()["status"], "complete", "{signal:?}");
    }
}

#[test]
fn a_run_that_named_no_model_goes_on_with_none_that_its_task_did_not_have() {
    let home = Home::new();
    let server = Server::start(&home, STEADY, &[]);
    let mut run = home.command(&["run", "Make a thing"]);
    let run = run.stdout(Stdio::piped()).stderr(Stdio::piped());
    let run = run.spawn().unwrap();
    let task = until("it is worked on", || {
        let tasks = server.get(TASKS).json();
        let task = tasks["tasks"][0]["task_id"].as_str()?.to_owned();
        let begun = server.events(&task);
        (count(&begun, "code_generated") > 0).then_some(task)
    });
    server.crash();
    let output = run.wait_with_output().unwrap();
    let stderr = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(130), "{stderr}");
    let url = format!("sim:?{STEADY}");
    let told = format!(
        "{task} was worked on with simulated at {url}; `journeyman resume {task} --model-url '{url}'` goes on"
    );
    assert!(stderr.contains(&told), "{stderr}");
    let resumed = home.run(&["resume", &task, "--model-url", &url, "--json"]);
    assert_eq!(resumed.code, Some(3), "{}", resumed.stderr);
}

#[test]
fn a_file_that_may_not_grow_is_an_error_that_is_told() {
    let home = Home::new();
    let run = home.command(&["run", STUB, "--model-url", &format!("sim:?{GOOD}")]);
    let mut command = Command::new("sh");
    command.args(["-c", "ulimit -f 100; exec \"$@\"", "sh"]);
    command.arg(run.get_program()).args(run.get_args());
    command.env_clear().current_dir(home.path());
    let variables = run.get_envs();
    command.envs(variables.filter_map(|(name, value)| Some((name, value?))));
    let output = command.output().unwrap();
    let stderr = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(1), "{stderr}");
    assert!(!stderr.trim().is_empty());
}

#[test]
fn a_run_with_a_server_that_is_not_there_is_one_clear_error() {
    let home = Home::bare();
    let run = home.run(&["tasks", "--server", "http://127.0.0.1:1"]);
    assert_eq!(run.code, Some(1));
    assert!(run.stderr.contains("http://127.0.0.1:1"), "{}", run.stderr);
}

/// Serves with the data folder moved to a disk of its own that is soon full, and says where this test finds
/// the disk. Before it serves, the shell does something there.
fn serve_on_a_small_disk(home: &Home, script: &str, before_it: &str) -> (Server, PathBuf) {
    let data = home.data_dir();
    let url = format!("sim:?{script}");
    let serve = home.command(&["serve", "--port", "0", "--json", "--model-url", &url]);
    let mut command = Command::new("unshare");
    let user = rustix::process::geteuid();
    // Without the rights of root they are lent for the mount, and given back before the program starts.
    let (before, after) = if user.is_root() {
        (vec!["--mount"], String::new())
    } else {
        let group = rustix::process::getegid().as_raw();
        let after = format!(
            "unshare --user --map-user={} --map-group={group}",
            user.as_raw()
        );
        (vec!["--user", "--map-root-user", "--mount"], after)
    };
    let mount = format!(
        "rm -f \"$1/server.sock\" && cp -a \"$1\" \"$1.kept\" && mount -t tmpfs -o size=8m,mode=755 none \"$1\" && \
         cp -a \"$1.kept/.\" \"$1\" && cd \"$1\" && {before_it} cd - >/dev/null && shift && exec {after} \"$@\""
    );
    command.args(before).args(["sh", "-c", &mount, "sh"]);
    command.arg(&data);
    command.arg(serve.get_program()).args(serve.get_args());
    command.env_clear().current_dir(home.path());
    command.envs(
        serve
            .get_envs()
            .filter_map(|(name, value)| Some((name, value?))),
    );
    let server = Server::launch(home, command);
    let root = PathBuf::from(format!("/proc/{}/root", server.child.id()));
    (server, root.join(data.strip_prefix("/").unwrap()))
}

#[test]
fn a_server_whose_disk_is_full_says_so_loses_nothing_and_goes_on_with_space() {
    let home = Home::new();
    let (server, disk) = serve_on_a_small_disk(&home, STEADY, "");
    server.get("/ready").expect(200);
    let before = server.submit(&json!({"prompt": "Make a thing"}));
    server.event(&before, "model_call_started");
    let mut acknowledged = vec![before.clone()];
    let ballast = disk.join("ballast");
    fs::write(&ballast, vec![1; 8 << 20]).unwrap_err();
    let refused = until("it is full", || {
        let answer = server.post(TASKS, &json!({"prompt": STUB}));
        if answer.status != 202 {
            return Some(answer);
        }
        let task = answer.json()["task_id"].as_str().unwrap().to_owned();
        acknowledged.push(task); // there was some space left
        None
    });
    let problem = refused.problem(503);
    assert!(
        problem["detail"]
            .as_str()
            .unwrap()
            .contains("no space left"),
        "{problem}"
    );
    assert!(refused.header("retry-after").is_some());
    let ready = server.get("/ready").expect(503);
    let reason = ready["reasons"][0].as_str().unwrap();
    assert!(reason.starts_with("journal: no space left"), "{ready}");
    // A run beside it, or at it, ends with the server's reason: there is no task to go on with.
    let url = server.url();
    for at in [&["--server", &url][..], &[]] {
        let mut run = home.command(&[&["run", STUB], at].concat());
        let output = run.env("JOURNEYMAN_DATA_DIR", &disk).output().unwrap();
        let stderr = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(1), "{stderr}");
        assert!(stderr.contains("no space left"), "{stderr}");
        for lie in ["resume", "gone", "by itself"] {
            assert!(!stderr.contains(lie), "{stderr}");
        }
    }
    // It lives, and shows what it has. What cannot be recorded does not happen: the task goes on.
    let cancel = server.intervene(&before, &json!({"kind": "cancel"}));
    cancel.problem(503);
    server.get("/health").expect(200);
    assert_eq!(server.task(&before)["status"], "running");
    fs::remove_file(&ballast).unwrap();
    until("it is ready again", || {
        (server.get("/ready").status == 200).then_some(())
    });
    acknowledged.push(server.submit(&json!({"prompt": STUB})));
    for task in &acknowledged {
        assert_eq!(server.ended(task)["status"], "complete");
        check_history(&server.events(task));
    }
}

#[test]
fn a_server_that_starts_on_a_full_disk_shows_what_it_has_and_goes_on_with_space() {
    for is_killed in [true, false] {
        let home = Home::new();
        let server = Server::start(&home, GOOD, &[]);
        let task = server.submit(&json!({"prompt": STUB}));
        server.ended(&task);
        let before = server.events(&task);
        if is_killed {
            server.crash();
        } else {
            assert_eq!(server.stop(), Some(0));
        }
        let fill = "{ dd if=/dev/zero of=ballast bs=4k 2>/dev/null || true; } &&";
        let (server, disk) = serve_on_a_small_disk(&home, GOOD, fill);
        let ready = server.get("/ready").expect(503).to_string();
        assert!(ready.contains("no space left in"), "{ready}");
        assert!(!ready.contains("isolated"), "{ready}");
        server.get("/health").expect(200);
        assert_eq!(server.task(&task)["status"], "complete");
        assert_eq!(server.events(&task), before);
        let refused = server.post(TASKS, &json!({"prompt": STUB})).problem(503);
        let detail = refused["detail"].as_str().unwrap();
        assert!(detail.contains("no space left"), "{detail}");
        fs::remove_file(disk.join("ballast")).unwrap();
        until("it is ready again", || {
            (server.get("/ready").status == 200).then_some(())
        });
        let next = server.submit(&json!({"prompt": STUB}));
        assert_eq!(server.ended(&next)["status"], "complete");
        assert_eq!(server.events(&task), before);
    }
}
