//! What others see of a task in the moment of its erasure, what a kill leaves of one, and a journal at its limit.

#![allow(clippy::unwrap_used, clippy::expect_used)] // a test fails by panicking

mod common;

use std::fs;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

use common::Home;
use common::server::{Answer, GOOD, STUB, Server, until};
use serde_json::{Value, json};

const TASKS: &str = "/api/v1/tasks";
/// What stands in prompts and nowhere else.
const SECRET: &str = "Zwetschgendatschi";

fn secret(n: usize) -> Value {
    json!({"prompt": format!("{STUB}\n# {SECRET} {n}\n")})
}

fn delete(server: &Server, task: &str) -> Answer {
    server.ask("DELETE", &format!("{TASKS}/{task}"), &[], b"")
}

/// Whether the file of the journal or its log has a text.
fn is_kept(home: &Home, text: &str) -> bool {
    ["journal.db", "journal.db-wal"].iter().any(|name| {
        let bytes = fs::read(home.data_dir().join(name)).unwrap_or_default();
        let mut parts = bytes.windows(text.len());
        parts.any(|part| part == text.as_bytes())
    })
}

#[test]
fn a_delete_that_is_killed_again_and_again_is_done_in_the_end() {
    let home = Home::new();
    let server = Server::start(&home, GOOD, &[]);
    let tasks: Vec<String> = (0..6).map(|n| server.submit(&secret(n))).collect();
    for task in &tasks {
        server.ended(task);
    }
    assert_eq!(server.stop(), Some(0));
    let events = home.verified()["events"].as_u64().unwrap();
    let mut killed = 0;
    for task in &tasks {
        let mut delay = Duration::ZERO;
        loop {
            let mut command = home.command(&["delete", task]);
            let mut child = command.stdout(std::process::Stdio::null()).spawn().unwrap();
            // Not a wait for something: the moment of the crash is what is being varied.
            thread::sleep(delay);
            if let Some(status) = child.try_wait().unwrap() {
                assert!(status.success());
                break;
            }
            child.kill().unwrap();
            child.wait().unwrap();
            killed += 1;
            let report = home.verified();
            assert!(report["events"].as_u64().unwrap() >= events);
            // A reader sees the whole task, or that it was erased.
            let shown = home.run(&["show", task]);
            let is_whole = shown.code == Some(0) && shown.stdout.contains("complete");
            assert!(
                is_whole || shown.stderr.contains("was erased at"),
                "{}{}",
                shown.stdout,
                shown.stderr
            );
            delay += Duration::from_millis(9);
        }
    }
    assert!(killed >= 12, "{killed}");
    let report = home.verified();
    let numbers = ["events", "erased", "erasures", "erasures_unfinished"];
    let numbers = numbers.map(|name| report[name].as_u64().unwrap());
    assert_eq!(numbers, [events + 12, events, 6, 0]);
    assert!(!is_kept(&home, SECRET));
}

/// What one client after another was answered about a task until it was told that it is erased.
fn read_until_erased(server: &Server, task: &str, events: usize) {
    loop {
        let page = server.get(&format!("{TASKS}/{task}/events?limit=1000&data=true"));
        if page.status == 410 {
            return;
        }
        let page = page.expect(200);
        let seen = page["events"].as_array().unwrap();
        assert_eq!(seen.len(), events, "{page}");
        assert!(
            seen.iter().all(|event| event["data"]["erased"].is_null()),
            "{page}"
        );
        let view = server.get(&format!("{TASKS}/{task}"));
        let version = server.get(&format!("{TASKS}/{task}?version=1"));
        assert!([200, 410].contains(&view.status), "{}", view.text());
        if version.status == 200 {
            assert!(version.text().contains(SECRET), "{}", version.text());
        }
        let stream = server.get(&format!("{TASKS}/{task}/stream"));
        if stream.status == 200 {
            assert!(!stream.text().contains("\"erased\""), "{}", stream.text());
        }
    }
}

#[test]
fn readers_watchers_forks_and_exports_see_a_task_whole_or_erased() {
    let home = Home::new();
    let server = Server::start(&home, GOOD, &["--queue-capacity", "1000"]);
    let tasks: Vec<String> = (0..8).map(|n| server.submit(&secret(n))).collect();
    for task in &tasks {
        server.ended(task);
    }
    let histories: Vec<Vec<Value>> = tasks.iter().map(|task| server.events(task)).collect();
    let lengths: Vec<usize> = histories.iter().map(Vec::len).collect();
    let thirds = histories
        .iter()
        .map(|events| events[2]["sequence"].as_u64());
    let thirds: Vec<u64> = thirds.map(Option::unwrap).collect();
    let before = home.verified();
    let is_over = AtomicBool::new(false);
    let forks = thread::scope(|scope| {
        let (server, home, is_over) = (&server, &home, &is_over);
        let readers: Vec<_> = tasks
            .iter()
            .zip(&lengths)
            .map(|(task, events)| scope.spawn(|| read_until_erased(server, task, *events)))
            .collect();
        let watchers: Vec<_> = tasks
            .iter()
            .map(|task| {
                let mut socket = server.socket(&format!("/ws/{task}"));
                scope.spawn(move || {
                    loop {
                        match socket.hear() {
                            Ok(message) => assert!(!message.to_string().contains("\"erased\"")),
                            Err(code) => return code,
                        }
                    }
                })
            })
            .collect();
        let forks: Vec<_> = tasks
            .iter()
            .zip(&thirds)
            .map(|(task, third)| {
                scope.spawn(move || {
                    let mut made = Vec::new();
                    while made.len() < 2 {
                        let fork = {
                            let path = format!("{TASKS}/{task}/fork?at={third}");
                            server.post(&path, &json!({}))
                        };
                        if fork.status == 410 {
                            return made;
                        }
                        let fork = fork.expect(202)["task_id"].as_str().unwrap().to_owned();
                        made.push(fork);
                    }
                    made
                })
            })
            .collect();
        let exports = scope.spawn(move || {
            let mut exports = Vec::new();
            while !is_over.load(Ordering::Relaxed) {
                let path = home.path().join(format!("{}.jsonl", exports.len()));
                let done = home.run(&["journal", "export", "--out", path.to_str().unwrap()]);
                assert_eq!(done.code, Some(0), "{}", done.stderr);
                exports.push(path);
            }
            exports
        });
        for task in &tasks {
            delete(server, task).expect(200);
        }
        is_over.store(true, Ordering::Relaxed);
        for reader in readers {
            reader.join().unwrap();
        }
        for watcher in watchers {
            assert_eq!(watcher.join().unwrap(), 4410);
        }
        for export in exports.join().unwrap() {
            let other = Home::bare();
            let imported = other.run(&["journal", "import", export.to_str().unwrap()]);
            // What it has of a task that was erased meanwhile is refused, and nothing else.
            let mut refused = imported
                .stdout
                .lines()
                .filter(|line| line.contains(" refused: "));
            let is_erased =
                |line: &str| line.contains("was erased in the store that it comes from");
            assert!(
                matches!(imported.code, Some(0 | 1)) && refused.all(is_erased),
                "{}{}",
                imported.stdout,
                imported.stderr
            );
            other.verified();
        }
        let forks = forks.into_iter().flat_map(|fork| fork.join().unwrap());
        forks.collect::<Vec<String>>()
    });
    // What was copied before is whole, and its texts are there.
    for fork in &forks {
        let view = server.ended(fork);
        assert_eq!(view["status"], "complete", "{view}");
        let context = server.get(&format!("{TASKS}/{fork}/context"));
        assert_eq!(context.status, 200, "{}", context.text());
    }
    let after = home.verified();
    assert_eq!(
        (&before["erased"], &after["erasures"]),
        (&json!(0), &json!(8))
    );
    assert_eq!(after["erased"], lengths.iter().sum::<usize>());
    for fork in &forks {
        delete(&server, fork).expect(200);
    }
    assert!(!is_kept(&home, SECRET));
    assert_eq!(server.stop(), Some(0));
}

#[test]
fn a_condition_holds_for_a_delete_and_no_version_of_an_erased_task_is_left() {
    let home = Home::new();
    let server = Server::start(&home, GOOD, &[]);
    let task = server.submit(&secret(1));
    server.ended(&task);
    let path = format!("{TASKS}/{task}");
    let view = server.get(&path);
    let (version, tag) = (
        view.json()["revision"].as_u64().unwrap(),
        view.header("etag").unwrap().to_owned(),
    );
    let at = |tag: &str| server.ask("DELETE", &path, &[("If-Match", tag)], b"");
    let refused = at("\"1\"");
    assert_eq!(refused.problem(412)["version"], version);
    assert_eq!(refused.header("etag"), Some(&*tag));
    at("\"1-0123456789abcdef\"").problem(412);
    at("not a tag").problem(400);
    at("\"\"").problem(412);
    assert_eq!(server.get(&path).header("etag"), Some(&*tag));
    assert_eq!(at(&tag).expect(200)["events"], version);
    for condition in [&*tag, "*", &format!("\"{version}\"")] {
        let again = at(condition);
        let status = if condition == "*" { 200 } else { 410 };
        assert_eq!(again.status, status, "{}", again.text());
        let known = server.ask("GET", &path, &[("If-None-Match", condition)], b"");
        known.problem(410);
    }
    for n in [0, 1, version, version + 1] {
        let older = server.get(&format!("{path}?version={n}"));
        assert_eq!(
            older.problem(410)["type"],
            "urn:journeyman:problem:task-erased"
        );
    }
    let document = server.get("/api/v1/openapi.json").expect(200);
    let operation = &document["paths"]["/api/v1/tasks/{task_id}"]["delete"];
    let mut parameters = operation["parameters"].as_array().unwrap().iter();
    assert!(
        parameters.any(|one| one["name"] == "If-Match"),
        "{operation}"
    );
    for status in ["200", "404", "409", "410", "412"] {
        assert!(operation["responses"][status].is_object(), "{operation}");
    }
    let offline = server.submit(&secret(2));
    let version = server.ended(&offline)["revision"].as_u64().unwrap();
    let refused_by = |home: &Home| {
        let refused = home.run(&["delete", &offline, "--if-version", "1"]);
        assert_eq!(refused.code, Some(1), "{}", refused.stdout);
        let said = format!("version {version}");
        assert!(refused.stderr.contains(&said), "{}", refused.stderr);
    };
    refused_by(&home);
    assert_eq!(server.stop(), Some(0));
    refused_by(&home);
    let done = home.run(&["delete", &offline, "--if-version", &version.to_string()]);
    assert_eq!(done.code, Some(0), "{}", done.stderr);
}

#[test]
fn a_journal_at_its_limit_stays_there_while_tasks_come_in() {
    let home = Home::new();
    let limit = 1_000_000;
    let limited = ["--retention-bytes", "1MB"];
    let server = Server::start(&home, GOOD, &limited);
    let large = "x ".repeat(40_000);
    let mut tasks = Vec::new();
    let kept = server.submit(&json!({"prompt": format!("{STUB}\n# {large}\n")}));
    server.ended(&kept);
    server
        .intervene(&kept, &json!({"kind": "keep"}))
        .expect(200);
    let bytes = || {
        fs::metadata(home.data_dir().join("journal.db"))
            .unwrap()
            .len()
    };
    let listed = || {
        let page = server.get(&format!("{TASKS}?limit=1000")).expect(200);
        page["tasks"].as_array().unwrap().len()
    };
    // Twice as much comes in as there is room for. No model has room for such a prompt, so each one fails soon.
    for n in 0..24 {
        let prompt = format!("{STUB}\n# {n} {large}\n");
        tasks.push(server.submit(&json!({"prompt": prompt})));
    }
    until("as much is erased as there is", || {
        (listed() <= 14).then_some(())
    });
    server.ended(tasks.last().unwrap());
    // What erased events and their records keep does not count: about ten for each task.
    let kept_of_erased = 24 * 10 * 1_100;
    until("the journal is at its limit", || {
        (bytes() <= limit + kept_of_erased).then_some(())
    });
    assert_eq!(server.task(&kept)["keep"], true);
    assert_eq!(server.task(tasks.last().unwrap())["status"], "failed");
    server.get(&format!("{TASKS}/{}", tasks[0])).problem(410);
    let report = home.verified();
    assert!(report["erasures"].as_u64().unwrap() >= 8, "{report}");
    assert_eq!(server.stop(), Some(0));
    home.verified();
}
