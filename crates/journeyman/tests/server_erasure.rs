//! Tasks that are erased: over REST, by the command line, by a rule of retention, through crashes.

#![allow(clippy::unwrap_used, clippy::expect_used)] // a test fails by panicking

mod common;

use std::fs;
use std::io::Read;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

use common::server::{GOOD, SLOW, STUB, Server, tokens, until};
use common::{Home, Output};
use serde_json::{Value, json};

const TASKS: &str = "/api/v1/tasks";

/// What stands in a prompt and nowhere else.
const SECRET: &str = "Zwetschgendatschi";

fn secret(n: usize) -> Value {
    json!({"prompt": format!("{STUB}\n# {SECRET} {n}\n")})
}

fn delete(server: &Server, task: &str) -> common::server::Answer {
    let path = format!("{TASKS}/{task}?reason=a%20wish");
    server.ask("DELETE", &path, &[], b"")
}

/// Whether a text is in any file of a folder, or below it.
fn is_below(folder: &Path, text: &str) -> bool {
    fs::read_dir(folder).unwrap().any(|entry| {
        let path = entry.unwrap().path();
        let Ok(meta) = fs::symlink_metadata(&path) else {
            return false;
        };
        if meta.is_dir() {
            return is_below(&path, text);
        }
        let bytes = fs::read(&path).unwrap_or_default();
        meta.is_file()
            && bytes
                .windows(text.len())
                .any(|part| part == text.as_bytes())
    })
}

fn says_erased(output: &Output) {
    assert_eq!(output.code, Some(1), "{}", output.stdout);
    assert!(output.stderr.contains("was erased at"), "{}", output.stderr);
}

#[test]
fn a_deleted_task_is_gone_from_everything_and_stays_so() {
    let home = Home::new();
    let server = Server::start(&home, GOOD, &[]);
    let (task, other) = (
        server.submit(&secret(1)),
        server.submit(&json!({"prompt": STUB})),
    );
    let view = server.ended(&task);
    server.ended(&other);
    assert_eq!(view["keep"], false);
    let events = server.events(&task);
    let started = events
        .iter()
        .find(|event| event["kind"] == "model_call_started");
    let blob = started.map(|event| event["data"].to_string());
    let blob = blob.and_then(|data| Some(data[data.find("b3:")?..][..67].to_owned()));
    assert!(is_below(&home.data_dir(), SECRET));
    let search = format!("/api/v1/search?words={SECRET}");
    let hits = |server: &Server| server.get(&search).expect(200)["hits"].clone();
    assert_eq!(hits(&server)[0]["task_id"], *task);
    // The search index has the words in lower case.
    assert!(is_below(&home.data_dir(), &SECRET.to_lowercase()));
    let mut socket = server.socket(&format!("/ws/{task}"));
    let last = events.last().unwrap()["kind"].as_str().unwrap().to_owned();
    socket.hear_until(&last);
    let mut everything = server.socket("/ws");
    let export = home.path().join("before.jsonl");
    let exported = home.run(&["journal", "export", "--out", export.to_str().unwrap()]);
    assert_eq!(exported.code, Some(0), "{}", exported.stderr);

    let erased = delete(&server, &task).expect(200);
    assert_eq!(erased["task_id"], *task);
    assert_eq!(
        (&erased["by"], &erased["reason"]),
        (&json!("local"), &json!("a wish"))
    );
    assert_eq!(erased["events"], events.len());
    assert_eq!(socket.hear(), Err(4410));
    assert_eq!(delete(&server, &task).expect(200), erased);
    for left in [SECRET.to_owned(), SECRET.to_lowercase()] {
        assert!(!is_below(&home.data_dir(), &left), "something is left");
    }

    let mut server = server;
    for round in 0..2 {
        let mut looks = vec![
            String::new(),
            "?at=1".to_owned(),
            "/events".to_owned(),
            "/events?after=0&wait_ms=100".to_owned(),
            "/stream".to_owned(),
            "/files".to_owned(),
            "/files/solution.py".to_owned(),
            "/context".to_owned(),
            "/context/diff?from=1".to_owned(),
            "/graph".to_owned(),
            "/graph.svg".to_owned(),
            "/graph.dot".to_owned(),
        ];
        looks.extend(blob.iter().map(|hash| format!("/blobs/{hash}")));
        for look in looks {
            let problem = server.get(&format!("{TASKS}/{task}{look}")).problem(410);
            assert_eq!(problem["type"], "urn:journeyman:problem:task-erased");
            let said = problem["detail"].as_str().unwrap();
            assert!(said.contains("by local (a wish)"), "{look}: {said}");
        }
        server
            .get(&format!("/api/v1/events?task={task}"))
            .problem(410);
        for (path, body) in [
            ("interventions", json!({"kind": "cancel"})),
            ("interventions", json!({"kind": "keep"})),
            ("cancel", json!({})),
            ("retry", json!({})),
            ("fork?at=1", json!({})),
            ("tools", json!({"steps": [{"name": "list_files"}]})),
        ] {
            server
                .post(&format!("{TASKS}/{task}/{path}"), &body)
                .problem(410);
        }
        let same_name = json!({"prompt": STUB, "task_id": task});
        server.post(TASKS, &same_name).problem(410);
        assert_eq!(server.socket(&format!("/ws/{task}")).hear(), Err(4410));
        assert_eq!(hits(&server), json!([]));
        let listed = server.get(TASKS).expect(200);
        let listed: Vec<&Value> = listed["tasks"].as_array().unwrap().iter().collect();
        assert_eq!(listed.len(), 1, "round {round}");
        assert_eq!(listed[0]["task_id"], *other);
        // Among everything else its events keep their places.
        let lines = server.get("/api/v1/events?limit=1000").text();
        let lines: Vec<Value> = lines
            .lines()
            .map(|line| serde_json::from_str(line).unwrap())
            .collect();
        let of_task = |task: &str| lines.iter().filter(|line| line["task_id"] == *task).count();
        assert_eq!(of_task(&task), events.len());
        assert!(!lines.iter().any(|line| line.to_string().contains(SECRET)));
        for args in [
            &["show", &task][..],
            &["events", "--task", &task],
            &["context", "graph", &task],
            &["context", "show", &task],
            &["context", "diff", &task, &other],
            &["files", &task],
            &["resume", &task],
            &["retry", &task],
            &["fork", &task, "--at", "1"],
            &["tell", &task, "more"],
        ] {
            says_erased(&home.run(args));
        }
        let told = home.run(&["events"]);
        assert_eq!(told.code, Some(0), "{}", told.stderr);
        assert!(
            told.stdout.contains("task_submitted: (erased)"),
            "{}",
            told.stdout
        );
        let report = home.verified();
        assert_eq!(
            (&report["erased"], &report["erasures"]),
            (&json!(events.len()), &json!(1))
        );
        assert_eq!(report["erasures_unfinished"], 0);
        // Who follows everything sees what was; who comes later sees what is left.
        if round == 0 {
            for _ in 0..events.len() {
                assert_eq!(everything.hear().unwrap()["type"], "event");
            }
            assert_eq!(server.stop(), Some(0));
            server = Server::start(&home, GOOD, &[]);
        }
    }
    assert_eq!(server.stop(), Some(0));
    for args in [&["show", &task][..], &["delete", "t-nobodys"]] {
        assert_eq!(home.run(args).code, Some(1));
    }
    says_erased(&home.run(&["show", &task]));
    says_erased(&home.run(&["context", "graph", &task]));
    // A copy of before brings nothing back.
    let imported = home.run(&["journal", "import", export.to_str().unwrap()]);
    assert_eq!(imported.code, Some(1), "{}", imported.stdout);
    assert!(
        imported.stdout.contains("was erased at"),
        "{}",
        imported.stdout
    );
    let exported = home.run(&["journal", "export"]);
    assert_eq!(exported.code, Some(0), "{}", exported.stderr);
    assert!(
        exported.stderr.contains("left out: erased"),
        "{}",
        exported.stderr
    );
    assert!(!exported.stdout.contains(SECRET));
    assert!(!is_below(&home.data_dir(), SECRET));
    home.verified();
}

#[test]
fn a_running_task_is_cancelled_and_its_end_waited_for() {
    let home = Home::new();
    let server = Server::start(&home, SLOW, &[]);
    let task = server.submit(&json!({"prompt": "Make a thing"}));
    server.event(&task, "model_call_started");
    let mut stream = server.stream(&format!("{TASKS}/{task}/stream"), &[]);
    let erased = delete(&server, &task).expect(200);
    // Whoever watched saw its end, or that nothing more comes.
    let seen: Vec<String> = stream.by_ref().map(|sent| sent.kind).collect();
    assert!(
        seen.len() as u64 <= erased["events"].as_u64().unwrap(),
        "{seen:?}"
    );
    let lines = server.get("/api/v1/events?limit=1000").text();
    assert!(lines.contains("\"kind\":\"task_cancelled\""), "{lines}");
    let queue = server.get("/api/v1/queue").expect(200);
    assert_eq!(queue["running"], 0, "{queue}");
    server.get(&format!("{TASKS}/{task}")).problem(410);
    server.get("/ready").expect(200);
    assert_eq!(home.verified()["erasures"], 1);
}

#[test]
fn only_who_owns_a_task_and_may_change_it_deletes_it() {
    let home = Home::new();
    let known = [
        ("ada", "ada-1", "user"),
        ("bob", "bob-1", "user"),
        ("ada", "ada-2", "viewer"),
    ];
    let file = tokens(&home, &known);
    let server = Server::start(&home, GOOD, &["--token-file", &file]).with_token("ada-1");
    let task = server.submit(&json!({"prompt": STUB}));
    server.ended(&task);
    let path = format!("{TASKS}/{task}");
    let as_token = |token: &str| {
        let token = format!("Bearer {token}");
        server.ask("DELETE", &path, &[("Authorization", &token)], b"")
    };
    as_token("bob-1").problem(404);
    as_token("ada-2").problem(403);
    as_token("nobody").problem(401);
    for (query, status) in [("?reason=", 422), ("?reason=%20", 422), ("?why=x", 422)] {
        server
            .ask("DELETE", &format!("{path}{query}"), &[], b"")
            .problem(status);
    }
    let long = "x".repeat(201);
    server
        .ask("DELETE", &format!("{path}?reason={long}"), &[], b"")
        .problem(413);
    let kept = server
        .intervene(&task, &json!({"kind": "keep"}))
        .expect(200);
    assert_eq!(
        (&kept["keep"], &kept["status"]),
        (&json!(true), &json!("complete"))
    );
    let problem = delete(&server, &task).problem(409);
    assert_eq!(problem["type"], "urn:journeyman:problem:task-kept");
    server
        .intervene(&task, &json!({"kind": "unkeep"}))
        .expect(200);
    assert_eq!(delete(&server, &task).expect(200)["by"], "ada");
}

#[test]
fn tasks_are_deleted_where_nobody_holds_the_folder_and_results_stay() {
    let home = Home::new();
    let out = home.path().join("out");
    let prompt = format!("{STUB}\n# {SECRET}\n");
    let run = home.simulate(
        "?latency_ms=0&wrong=0&malformed=0",
        &[&prompt, "--json", "--out", out.to_str().unwrap()],
    );
    // The example is not run: it could be taken back by the words below the function.
    assert_eq!(run.code, Some(3), "{}", run.stderr);
    let tasks = home.run(&["tasks", "--json"]).json_lines();
    let task = tasks[0]["task_id"].as_str().unwrap();
    assert!(out.join(".journeyman.json").exists());
    let files = fs::read_dir(&out).unwrap().count();
    assert_eq!(home.run(&["keep", task]).code, Some(0));
    assert!(home.run(&["show", task]).stdout.contains("kept"));
    let refused = home.run(&["delete", task]);
    assert_eq!(refused.code, Some(1));
    assert!(
        refused.stderr.contains("journeyman unkeep"),
        "{}",
        refused.stderr
    );
    assert_eq!(home.run(&["unkeep", task]).code, Some(0));
    // As a crash leaves it, in the middle of a test run.
    let left = home.data_dir().join("work").join(format!("{task}-1"));
    fs::create_dir_all(&left).unwrap();
    fs::write(left.join("test_step.py"), SECRET).unwrap();
    // What is wrong with one keeps no other from being deleted.
    let deleted = home.run(&[
        "delete",
        "t-nobodys",
        task,
        "--reason",
        "names of customers",
        "--json",
    ]);
    assert_eq!(deleted.code, Some(1));
    assert!(
        deleted.stderr.contains("no task t-nobodys"),
        "{}",
        deleted.stderr
    );
    assert!(!left.exists(), "files of the erased task stay");
    assert_eq!(deleted.json_lines()[0]["reason"], "names of customers");
    let again = home.run(&["delete", task]);
    assert_eq!(again.code, Some(0), "{}", again.stderr);
    assert!(
        again.stdout.contains("names of customers"),
        "{}",
        again.stdout
    );
    assert!(!out.join(".journeyman.json").exists());
    assert_eq!(fs::read_dir(&out).unwrap().count(), files - 1);
    assert!(!is_below(&home.data_dir(), SECRET));
    let told = home.run(&["journal", "verify"]);
    assert!(
        told.stdout.contains("are erased, of 1 task"),
        "{}",
        told.stdout
    );
    let compacted = home.run(&["journal", "compact"]);
    assert_eq!(compacted.code, Some(0), "{}", compacted.stderr);
    home.verified();
    for (args, why) in [
        (&["delete"][..], "required"),
        (&["delete", task, "--reason", " "], "--reason"),
        (
            &["delete", task, "t-nobodys", "--if-version", "1"],
            "one by one",
        ),
    ] {
        let refused = home.run(args);
        assert_eq!(refused.code, Some(2), "{args:?}: {}", refused.stderr);
        assert!(refused.stderr.contains(why), "{args:?}: {}", refused.stderr);
    }
}

#[test]
fn an_export_made_during_an_erasure_does_not_bring_the_task_back() {
    let (home, other) = (Home::new(), Home::new());
    let mut tasks = Vec::new();
    for prompt in [format!("Make {SECRET}"), "Make something else".to_owned()] {
        let ran = home.simulate(&format!("?{GOOD}"), &[&prompt, "--json"]);
        let first = &ran.json_lines()[0];
        tasks.push(first["task_id"].as_str().unwrap().to_owned());
    }
    let before = home.run(&["journal", "export"]).stdout;
    assert_eq!(home.run(&["delete", &tasks[0]]).code, Some(0));
    let after = home.run(&["journal", "export"]).stdout;
    let record = after
        .lines()
        .find(|line| line.contains("\"kind\":\"erasure_started\""));
    // As a reader has it that began before: the task's events, and the record of its erasure far behind them.
    let file = other.path().join("during.jsonl");
    fs::write(&file, format!("{before}{}\n", record.unwrap())).unwrap();
    let file = file.display().to_string();
    let imported = other.run(&["journal", "import", &file]);
    assert_eq!(imported.code, Some(1), "{}", imported.stdout);
    let told: Vec<&str> = imported.stdout.lines().collect();
    assert_eq!(told.len(), 2, "one line for all of the task: {told:?}");
    assert!(
        told[0].contains("was erased in the store that it comes from"),
        "{told:?}"
    );
    assert!(!is_below(&other.data_dir(), SECRET));
    let there = other.run(&["tasks"]).stdout;
    assert!(
        there.contains(&tasks[1]) && !there.contains(&tasks[0]),
        "{there}"
    );
    let again = other
        .run(&["journal", "import", &file, "--json"])
        .json_lines();
    assert_eq!(again[0]["events"], 0, "{again:?}");
    other.verified();
    let by_pipe = Home::new();
    let mut command = by_pipe.command(&["journal", "import", "-"]);
    let piped = command
        .stdin(fs::File::open(&file).unwrap())
        .output()
        .unwrap();
    assert_eq!(String::from_utf8(piped.stdout).unwrap(), imported.stdout);
}

#[test]
fn a_server_that_is_killed_while_it_erases_goes_on_after_its_restart() {
    let home = Home::new();
    let mut server = Server::start(&home, GOOD, &["--queue-capacity", "200"]);
    let tasks: Vec<String> = (0..24).map(|n| server.submit(&secret(n))).collect();
    for task in &tasks {
        server.ended(task);
    }
    for (round, some) in tasks.chunks(4).enumerate() {
        let asked: Vec<_> = some
            .iter()
            .map(|task| server.open("DELETE", &format!("{TASKS}/{task}"), &[], b""))
            .collect();
        // Not a wait for something: the moment of the crash is what is being varied.
        std::thread::sleep(Duration::from_millis(3 * round as u64));
        server.crash();
        drop(asked);
        let report = home.verified();
        let begun = report["erasures"].as_u64().unwrap();
        server = Server::start(&home, GOOD, &["--queue-capacity", "200"]);
        until("what was begun has ended", || {
            let report = home.verified();
            assert_eq!(report["erasures"], begun);
            (report["erasures_unfinished"] == 0).then_some(())
        });
        for task in some {
            delete(&server, task).expect(200);
        }
    }
    assert_eq!(home.verified()["erasures"], 24);
    assert!(!is_below(&home.data_dir(), SECRET));
    assert_eq!(server.stop(), Some(0));
}

/// A program that is not ours, such as a database browser, and reads the journal in a transaction until it is dropped.
struct ForeignReader(std::process::Child);

impl ForeignReader {
    fn of(home: &Home) -> Self {
        let script = "import sqlite3, sys\n\
                      c = sqlite3.connect(sys.argv[1], isolation_level=None)\n\
                      c.execute('BEGIN'); c.execute('SELECT count(*) FROM events').fetchall()\n\
                      print('reads', flush=True); sys.stdin.read()\n";
        let mut child = Command::new("python3")
            .args(["-c", script])
            .arg(home.data_dir().join("journal.db"))
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut reads = [0; 5];
        child
            .stdout
            .as_mut()
            .unwrap()
            .read_exact(&mut reads)
            .unwrap();
        assert_eq!(&reads, b"reads");
        Self(child)
    }
}

impl Drop for ForeignReader {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[test]
fn a_foreign_reader_defers_the_end_of_an_erasure_and_stops_no_server() {
    let home = Home::new();
    let server = Server::start(&home, GOOD, &[]);
    let (task, other) = (server.submit(&secret(1)), server.submit(&secret(2)));
    server.ended(&task);
    server.ended(&other);
    let reader = ForeignReader::of(&home);
    let erased = delete(&server, &task).expect(200);
    let why = erased["unfinished"].as_str().unwrap();
    assert!(why.contains("another program keeps using"), "{why}");
    server.get(&format!("{TASKS}/{task}")).problem(410);
    let said = home.run(&["delete", &other]);
    assert_eq!(said.code, Some(1), "{}", said.stderr);
    assert!(said.stdout.contains("is erased"), "{}", said.stdout);
    assert!(said.stderr.contains("still on the disk"), "{}", said.stderr);
    // Work goes on, and a server that died meanwhile starts.
    server.ended(&server.submit(&json!({"prompt": STUB})));
    server.crash();
    let server = Server::start(&home, GOOD, &[]);
    server.get(&format!("{TASKS}/{other}")).problem(410);
    drop(reader);
    until("the erasures have ended", || {
        (home.verified()["erasures_unfinished"] == 0).then_some(())
    });
    assert!(delete(&server, &task).expect(200)["unfinished"].is_null());
    assert!(!is_below(&home.data_dir(), SECRET), "something is left");
    assert_eq!(server.stop(), Some(0));
}

#[test]
fn old_tasks_go_by_the_rules_of_retention() {
    let home = Home::new();
    let server = Server::start(&home, GOOD, &[]);
    let tasks: Vec<String> = (0..4).map(|n| server.submit(&secret(n))).collect();
    for task in &tasks {
        server.ended(task);
    }
    server
        .intervene(&tasks[0], &json!({"kind": "keep"}))
        .expect(200);
    assert_eq!(server.stop(), Some(0));
    let server = Server::start(&home, GOOD, &["--retention-age", "1s"]);
    until("only the kept one is left", || {
        let listed = server.get(TASKS).expect(200);
        (listed["tasks"].as_array().unwrap().len() == 1).then_some(())
    });
    let problem = server.get(&format!("{TASKS}/{}", tasks[1])).problem(410);
    let said = problem["detail"].as_str().unwrap();
    assert!(
        said.contains("by system (") && said.contains("retention.age"),
        "{said}"
    );
    assert_eq!(server.task(&tasks[0])["keep"], true);
    assert_eq!(server.stop(), Some(0));
    let server = Server::start(&home, GOOD, &[]);
    let large = "x ".repeat(49_000);
    let tasks: Vec<String> = (0..16)
        .map(|_| server.submit(&json!({"prompt": format!("{STUB}\n# {large}\n")})))
        .collect();
    for task in &tasks {
        server.ended(task);
    }
    assert_eq!(server.stop(), Some(0));
    let server = Server::start(&home, GOOD, &["--retention-bytes", "1MB"]);
    until("the journal is small", || {
        let listed = server.get(TASKS).expect(200);
        (listed["tasks"].as_array().unwrap().len() < 14).then_some(())
    });
    // No model has room for such a prompt.
    assert_eq!(server.task(&tasks[15])["status"], "failed");
    assert_eq!(server.stop(), Some(0));
    let bad = home.run(&["serve", "--retention-bytes", "much"]);
    assert_eq!(bad.code, Some(2), "{}", bad.stderr);
    home.verified();
}
