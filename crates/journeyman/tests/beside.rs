//! Commands beside a process that holds the data folder, and with a server elsewhere: what was asked for is
//! had there too, or it is said that it is not.

#![allow(clippy::unwrap_used, clippy::expect_used)] // a test fails by panicking

mod common;

use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpListener;
use std::process::Command;
use std::sync::mpsc;

use common::run::Run;
use common::server::{GOOD, STEADY, STUB, Server};
use common::{Home, Output};
use serde_json::{Value, json};

/// Variables of the environment, flags, and the words that are said of them.
type Told<'a> = (&'a [(&'a str, &'a str)], &'a [&'a str], &'a [&'a str]);

/// Runs with variables of the environment.
fn run_with(home: &Home, variables: &[(&str, &str)], args: &[&str]) -> Output {
    let mut command = home.command(args);
    command.envs(variables.iter().copied());
    let output = command.output().unwrap();
    Output {
        code: output.status.code(),
        stdout: String::from_utf8(output.stdout).unwrap(),
        stderr: String::from_utf8(output.stderr).unwrap(),
    }
}

#[test]
fn what_a_holder_or_server_cannot_honour_is_refused_or_said_with_both_values() {
    let home = Home::new();
    let server = Server::start(&home, GOOD, &["--model", "theirs", "--max-concurrent", "3"]);
    let elsewhere = Home::bare();
    let url = server.url();
    // By flags: refused where the result would be another.
    let refused: [(&[&str], &[&str]); 4] = [
        (&["--model", "mine"], &["theirs", "mine", "--model"]),
        (
            &["--model-url", "sim:?seed=9"],
            &[GOOD, "sim:?seed=9", "--model-url"],
        ),
        (
            &["--model-context", "4096"],
            &["8192", "4096", "--model-context"],
        ),
        (
            &["--sandbox-minimum", "bubblewrap"],
            &["landlock", "bubblewrap"],
        ),
    ];
    for (flags, words) in refused {
        let run = [&["run", STUB], flags].concat();
        for output in [
            home.run(&run),
            elsewhere.run(&[&run[..], &["--server", &url]].concat()),
        ] {
            assert_eq!(output.code, Some(1), "{flags:?}: {}", output.stderr);
            for word in words {
                assert!(output.stderr.contains(word), "{flags:?}: {}", output.stderr);
            }
        }
    }
    assert!(home.run(&["tasks", "--json"]).json_lines().is_empty());
    // Said where it would not, or where the environment has it.
    let told: [Told; 3] = [
        (
            &[],
            &["--max-concurrent", "2"],
            &["queue.concurrent is 3 there, not 2"],
        ),
        (
            &[("JOURNEYMAN_MODEL", "mine")],
            &[],
            &["theirs", "mine", "JOURNEYMAN_MODEL"],
        ),
        (
            &[],
            &["--model-api-key", "secret"],
            &["--model-api-key is not used"],
        ),
    ];
    for (variables, flags, words) in told {
        for style in ["--quiet", "--json"] {
            let output = run_with(&home, variables, &[&["run", STUB, style], flags].concat());
            assert_eq!(output.code, Some(0), "{flags:?}: {}", output.stderr);
            for word in words {
                assert!(output.stderr.contains(word), "{flags:?}: {}", output.stderr);
            }
            assert!(!output.stderr.contains("secret"), "{}", output.stderr);
        }
    }
    // What is the same, and what nobody asked for, is no conflict.
    let same = format!("sim:?{GOOD}");
    for flags in [&[][..], &["--model", "theirs"], &["--model-url", &same]] {
        let output = home.run(&[&["run", STUB, "--quiet"], flags].concat());
        assert_eq!(
            (output.code, output.stderr.as_str()),
            (Some(0), ""),
            "{flags:?}"
        );
    }
}

#[test]
fn the_tools_of_a_run_are_its_tasks_wherever_that_is_worked_on() {
    let home = Home::new();
    let args = ["run", STUB, "--json", "--tools", "read_file, docs.*"];
    let tools = |output: &Output, home: &Home| {
        assert_eq!(output.code, Some(0), "{}", output.stderr);
        let task = output.json_lines().pop().unwrap()["task_id"].take();
        let shown = home
            .run(&["show", task.as_str().unwrap(), "--json"])
            .json_lines();
        shown[0]["submission"]["tools"].clone()
    };
    let url = format!("sim:?{GOOD}");
    let variables = [("JOURNEYMAN_MODEL_URL", url.as_str())];
    let alone = run_with(&home, &variables, &args);
    assert_eq!(tools(&alone, &home), json!(["read_file", "docs.*"]));
    let server = Server::start(&home, GOOD, &[]);
    let beside = run_with(&home, &variables, &args);
    assert_eq!(tools(&beside, &home), json!(["read_file", "docs.*"]));
    let address = server.url();
    let elsewhere = [&args[..], &["--server", &address]].concat();
    let there = run_with(&home, &variables, &elsewhere);
    assert_eq!(tools(&there, &home), json!(["read_file", "docs.*"]));
}

#[test]
fn a_task_as_it_was_is_shown_alike_with_and_without_a_server() {
    let home = Home::new();
    let run = home.simulate(&format!("?{GOOD}"), &["Make a thing", "--json"]);
    let task = run.json_lines().pop().unwrap()["task_id"].take();
    let task = task.as_str().unwrap();
    let events = home.run(&["events", "--json"]).json_lines();
    let mut moments = vec![
        "1".to_owned(),
        u64::MAX.to_string(),
        "2001-01-01T00:00:00Z".to_owned(),
        "2999-01-01T00:00:00Z".to_owned(),
    ];
    for event in events.iter().step_by(7) {
        moments.push(event["sequence"].to_string());
        moments.push(event["occurred_at"].as_str().unwrap().to_owned());
    }
    let show = |more: &[&str]| -> Vec<(Option<i32>, String)> {
        let all = moments.iter().map(|at| {
            let shown = home.run(&[&["show", task, "--json", "--at", at], more].concat());
            (shown.code, shown.stdout)
        });
        all.collect()
    };
    let alone = show(&[]);
    assert_eq!(alone[2].0, Some(1), "before it was there");
    assert!(alone[3].1.contains("\"complete\""));
    let server = Server::start(&home, GOOD, &[]);
    assert_eq!(show(&[]), alone);
    assert_eq!(show(&["--server", &server.url()]), alone);
}

#[test]
fn the_port_is_in_its_file_for_as_long_as_the_server_may_be_asked() {
    let home = Home::new();
    let path = home.path().join("port");
    let file = ["--port-file", path.to_str().unwrap()];
    let read = || fs::read_to_string(&path);
    let server = Server::start(&home, GOOD, &file);
    assert_eq!(read().unwrap(), format!("{}\n", server.port));
    // One that cannot start leaves it alone.
    let second = home.run(&[&["serve", "--port", "0"], &file[..]].concat());
    assert_eq!(second.code, Some(1));
    assert_eq!(read().unwrap(), format!("{}\n", server.port));
    assert_eq!(server.stop(), Some(0));
    assert!(read().is_err(), "it is gone with the server");
    // What a server that died left there is nobody's.
    fs::write(&path, "1\n").unwrap();
    let server = Server::start(&home, GOOD, &file);
    assert_eq!(read().unwrap(), format!("{}\n", server.port));
    server.crash();
    assert!(read().is_ok());
    let left: Vec<_> = fs::read_dir(home.path()).unwrap().collect();
    let partial = |name: &str| name.ends_with(".partial");
    let names = left.iter().map(|entry| entry.as_ref().unwrap().file_name());
    assert!(
        !names
            .into_iter()
            .any(|name| partial(name.to_str().unwrap()))
    );
}

#[test]
fn a_port_file_that_cannot_be_is_one_clear_error_and_nothing_is_started() {
    let home = Home::bare();
    fs::write(home.path().join("notes"), "dear diary").unwrap();
    for (path, why) in [
        ("none/port", "No such file"),
        (".", "is a folder"),
        ("notes", "something else in it"),
        ("notes/port", "notes/port"),
    ] {
        let output = home.run(&[
            "serve",
            "--port",
            "0",
            "--model-url",
            "sim:",
            "--port-file",
            path,
        ]);
        assert_eq!(output.code, Some(1), "{path}: {}", output.stderr);
        assert!(output.stderr.contains(why), "{path}: {}", output.stderr);
        assert!(
            output.stderr.contains("--port-file"),
            "{path}: {}",
            output.stderr
        );
    }
    assert!(!home.data_dir().exists());
    assert_eq!(fs::read_dir(home.path()).unwrap().count(), 1);
}

/// Runs a verified task whose folder becomes a thing that cannot be written to.
fn spoiled(home: &Home, more: &[&str]) -> String {
    let (test, out) = (home.path().join("test_ok.py"), home.path().join("spoiled"));
    let source = "from simulated.core import core_step\n\n\ndef test_step():\n    assert core_step(4) == 5\n";
    fs::write(&test, source).unwrap();
    let args = [
        "Make it",
        "--tests",
        "test_ok.py",
        "--out",
        "spoiled/result",
    ];
    let mut run = Run::start(home, STEADY, &[&args[..], more].concat());
    let task = run.until("task_submitted")["task_id"]
        .as_str()
        .unwrap()
        .to_owned();
    fs::write(&out, "a file").unwrap();
    let (code, shown) = run.end();
    assert_eq!(code, Some(4), "{shown:?}");
    fs::remove_file(&out).unwrap();
    task
}

fn check_delivered(home: &Home, resumed: &Output, folder: &str) {
    assert_eq!(
        resumed.code,
        Some(0),
        "{}{}",
        resumed.stdout,
        resumed.stderr
    );
    let result = resumed.json_lines().pop().unwrap();
    assert_eq!(result["status"], "complete");
    assert!(
        result["files"]
            .as_array()
            .unwrap()
            .contains(&"SUMMARY.md".into())
    );
    let folder = home.path().join(folder);
    assert!(folder.join("simulated/core.py").exists());
    let summary = fs::read_to_string(folder.join("SUMMARY.md")).unwrap();
    assert!(summary.contains("Complete and verified"), "{summary}");
}

#[test]
fn a_result_that_could_not_be_written_is_written_elsewhere() {
    let home = Home::new();
    let task = spoiled(&home, &[]);
    let again = home.run(&["resume", &task]);
    assert_eq!(again.code, Some(4));
    assert!(
        again.stdout.contains("resume") && again.stdout.contains("--out"),
        "{}",
        again.stdout
    );
    // It needs no model for that.
    let nowhere = ["--model-url", "http://127.0.0.1:1"];
    let resume = ["resume", &task, "--json", "--out", "elsewhere"];
    check_delivered(
        &home,
        &home.run(&[&resume[..], &nowhere].concat()),
        "elsewhere",
    );
    // And a second folder may have it as well.
    let more = ["resume", &task, "--json", "--out", "more"];
    check_delivered(&home, &home.run(&more), "more");
    assert_eq!(home.run(&["journal", "verify"]).code, Some(0));
}

#[test]
fn a_result_that_a_holder_could_not_write_is_written_elsewhere() {
    let home = Home::new();
    let server = Server::start(&home, STEADY, &[]);
    let task = spoiled(&home, &[]);
    assert_eq!(server.task(&task)["reason"], "output");
    let resumed = home.run(&["resume", &task, "--json", "--out", "elsewhere"]);
    check_delivered(&home, &resumed, "elsewhere");
    assert_eq!(server.task(&task)["status"], "complete");
}

#[test]
fn a_result_of_a_server_elsewhere_that_could_not_be_written_is_written_elsewhere() {
    let (server_home, home) = (Home::new(), Home::bare());
    let server = Server::start(&server_home, STEADY, &[]);
    let at = ["--server", &server.url()].map(str::to_owned);
    let at: Vec<&str> = at.iter().map(String::as_str).collect();
    let task = spoiled(&home, &at);
    assert_eq!(server.task(&task)["status"], "complete", "there it is");
    let resume = ["resume", &task, "--json", "--out", "elsewhere"];
    check_delivered(&home, &home.run(&[&resume[..], &at].concat()), "elsewhere");
}

#[test]
fn a_disk_that_cannot_take_the_result_is_refused_before_any_work() {
    let home = Home::new();
    let disk = home.path().join("disk");
    fs::create_dir(&disk).unwrap();
    let user = rustix::process::geteuid();
    let rights: &[&str] = if user.is_root() {
        &["--mount"]
    } else {
        &["--user", "--map-root-user", "--mount"]
    };
    for (options, spoil, why) in [
        ("size=32k", "true", "No space left"),
        ("size=1m", "mount -o remount,ro \"$1\"", "Read-only"),
    ] {
        let run = home.command(&["run", STUB, "--out", "disk/result", "--model-url", "sim:"]);
        let mount = format!(
            "mount -t tmpfs -o {options},mode=755 none \"$1\" && {spoil} && shift && exec \"$@\""
        );
        let mut command = Command::new("unshare");
        command
            .args(rights)
            .args(["sh", "-c", &mount, "sh"])
            .arg(&disk);
        command.arg(run.get_program()).args(run.get_args());
        command.env_clear().current_dir(home.path());
        let variables = run.get_envs();
        command.envs(variables.filter_map(|(name, value)| Some((name, value?))));
        let output = command.output().unwrap();
        let stderr = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(2), "{stderr}");
        assert!(stderr.contains(why) && stderr.contains("--out"), "{stderr}");
    }
    assert!(home.run(&["tasks", "--json"]).json_lines().is_empty());
}

#[test]
fn a_folder_that_cannot_take_the_result_is_refused_before_any_work() {
    let home = Home::new();
    fs::write(home.path().join("file"), "x").unwrap();
    std::os::unix::fs::symlink("nowhere", home.path().join("dangling")).unwrap();
    let server_home = Home::new();
    let elsewhere = Server::start(&server_home, GOOD, &[]);
    let at = format!("--server={}", elsewhere.url());
    let check = |more: &[&str]| {
        for (out, why) in [
            ("file", "not a folder"),
            ("file/below", "not a folder"),
            ("dangling", "leads nowhere"),
            ("data/result", "data folder"),
            ("data", "data folder"),
        ] {
            let output = home.run(&[&["run", STUB, "--out", out], more].concat());
            assert_eq!(output.code, Some(2), "{out}: {}", output.stderr);
            assert!(output.stderr.contains(why), "{out}: {}", output.stderr);
            assert!(output.stderr.contains("--out"), "{out}: {}", output.stderr);
        }
    };
    check(&[]);
    check(&[&at]);
    let holder = Server::start(&home, GOOD, &[]);
    check(&[]);
    // Whoever asks.
    let refused = holder.post(
        "/api/v1/tasks",
        &json!({"prompt": STUB, "out": "/dev/null/x"}),
    );
    let field: Value = refused.json()["field"].clone();
    assert!([403, 422].contains(&refused.status), "{}", refused.text());
    assert!(
        refused.status == 403 || field == "out",
        "{}",
        refused.text()
    );
    assert!(home.run(&["tasks", "--json"]).json_lines().is_empty());
}

/// Answers each request with the next of these, over a connection of its own; where there is none the connection is
/// closed without a word. Says where, and gives the bodies that came.
fn server_of(answers: Vec<Option<(&'static str, String)>>) -> (String, mpsc::Receiver<String>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let (came, bodies) = mpsc::channel();
    std::thread::spawn(move || {
        for answer in answers {
            let (mut socket, _) = listener.accept().unwrap();
            let mut reader = BufReader::new(socket.try_clone().unwrap());
            let mut head = String::new();
            while !head.ends_with("\r\n\r\n") && reader.read_line(&mut head).unwrap() > 0 {}
            let head = head.to_lowercase();
            let mut lines = head.lines();
            let length = lines.find_map(|line| line.strip_prefix("content-length: "));
            let mut body = vec![0; length.map_or(0, |length| length.parse().unwrap())];
            reader.read_exact(&mut body).unwrap();
            came.send(String::from_utf8(body).unwrap()).unwrap();
            if let Some((status, text)) = answer {
                let length = text.len();
                let head = format!("HTTP/1.1 {status}\r\nContent-Length: {length}\r\n");
                let answer = format!("{head}Connection: close\r\n\r\n{text}");
                socket.write_all(answer.as_bytes()).unwrap();
            }
        }
    });
    (url, bodies)
}

#[test]
fn a_retry_and_a_fork_whose_answer_is_lost_are_asked_for_once_more_with_the_same_key() {
    let urls = ["task", "events", "stream", "files", "socket"].map(|name| (name, "/x"));
    let urls: serde_json::Map<String, Value> = urls
        .into_iter()
        .map(|(name, at)| (name.to_owned(), at.into()))
        .collect();
    let accepted = json!({"task_id": "t-2", "sequence": 9, "is_duplicate": true, "urls": urls});
    for command in [&["retry", "t-1"][..], &["fork", "t-1", "--at", "3"]] {
        let answers = vec![None, Some(("202 Accepted", accepted.to_string()))];
        let (url, bodies) = server_of(answers);
        let asked = Home::bare().run(&[command, &["--server", &url]].concat());
        assert_eq!(asked.code, Some(0), "{command:?}: {}", asked.stderr);
        assert!(asked.stdout.contains("t-2"), "{}", asked.stdout);
        let (first, second) = (bodies.recv().unwrap(), bodies.recv().unwrap());
        assert_eq!(first, second, "{command:?}");
        let body: Value = serde_json::from_str(&first).unwrap();
        let key = body["idempotency_key"].as_str().unwrap();
        assert!(key.len() >= 16, "{body}");
    }
}

#[test]
fn a_server_of_something_else_is_told_with_its_address() {
    for (status, text) in [
        ("404 Not Found", "<html>nothing here</html>"),
        ("200 OK", "<html>welcome</html>"),
    ] {
        let (url, _bodies) = server_of(vec![Some((status, text.to_owned()))]);
        let asked = Home::bare().run(&["retry", "t-1", "--server", &url]);
        assert_eq!(asked.code, Some(1), "{status}: {}", asked.stdout);
        for words in [&url[..], "not as a Journeyman server does"] {
            assert!(asked.stderr.contains(words), "{status}: {}", asked.stderr);
        }
    }
}
