//! What looks like the remains of a store is touched by no command, and a server whose store is moved
//! away says so.

#![allow(clippy::unwrap_used, clippy::expect_used)] // a test fails by panicking

mod common;

use std::fs;

use common::Home;
use common::server::{GOOD, STUB, Server, check_history, until};
use serde_json::json;

const TASKS: &str = "/api/v1/tasks";

#[test]
fn an_emptied_journal_beside_its_log_is_touched_by_no_command() {
    let home = Home::new();
    let server = Server::start(&home, GOOD, &[]);
    let task = server.submit(&json!({"prompt": STUB}));
    server.ended(&task);
    server.crash();
    let data = home.data_dir();
    let (file, log) = (data.join("journal.db"), data.join("journal.db-wal"));
    let kept = fs::read(&file).unwrap();
    let logged = fs::read(&log).unwrap();
    assert!(logged.len() > 10_000, "{}", logged.len());
    fs::write(&file, "").unwrap();
    let url = format!("sim:?{GOOD}");
    for command in [
        &["tasks"][..],
        &["show", &task],
        &["events"],
        &["journal", "verify"],
        &["journal", "head"],
        &["journal", "export"],
        &["doctor"],
        &["run", STUB, "--model-url", &url],
        &["resume", &task, "--model-url", &url],
        &["serve", "--port", "0", "--model-url", &url],
        &["tell", &task, "Mind the gap"],
        &["journal", "import", "nothing.jsonl"],
    ] {
        fs::write(home.path().join("nothing.jsonl"), "{}\n").unwrap();
        let done = home.run(command);
        let said = done.stdout + &done.stderr;
        assert_eq!(done.code, Some(1), "{command:?}: {said}");
        assert!(said.contains("remains of a journal"), "{command:?}: {said}");
        assert!(
            said.contains("put back what is missing"),
            "{command:?}: {said}"
        );
        assert_eq!(fs::metadata(&file).unwrap().len(), 0, "{command:?}");
        assert!(fs::read(&log).unwrap() == logged, "{command:?}");
    }
    // What the error says to do helps.
    fs::write(&file, kept).unwrap();
    let tasks = home.run(&["tasks", "--json"]).json_lines();
    assert_eq!(tasks[0]["task_id"], task.as_str());
    assert_eq!(home.run(&["journal", "verify"]).code, Some(0));
}

#[test]
fn a_server_whose_store_is_moved_away_says_so_and_goes_on_when_it_is_back() {
    let home = Home::new();
    let server = Server::start(&home, GOOD, &[]);
    let before = server.submit(&json!({"prompt": STUB}));
    server.ended(&before);
    let (file, away) = (
        home.data_dir().join("journal.db"),
        home.path().join("journal.db"),
    );
    fs::rename(&file, &away).unwrap();
    // At once, and not only when something is to be recorded.
    let ready = server.get("/ready").expect(503).to_string();
    assert!(
        ready.contains("moved, deleted, replaced or changed"),
        "{ready}"
    );
    let refused = server.post(TASKS, &json!({"prompt": STUB})).problem(503);
    let detail = refused["detail"].as_str().unwrap();
    assert!(detail.contains("Put it back"), "{detail}");
    fs::rename(&away, &file).unwrap();
    until("it is ready again", || {
        (server.get("/ready").status == 200).then_some(())
    });
    let after = server.submit(&json!({"prompt": STUB}));
    for task in [&before, &after] {
        assert_eq!(server.ended(task)["status"], "complete");
        check_history(&server.events(task));
    }
    server.crash();
    assert_eq!(home.run(&["tasks", "--json"]).json_lines().len(), 2);
    assert_eq!(home.run(&["journal", "verify"]).code, Some(0));
}

#[test]
fn a_text_that_is_gone_is_missed() {
    let home = Home::new();
    let server = Server::start(&home, GOOD, &[]);
    let task = server.submit(&json!({"prompt": "A module that counts words"}));
    server.ended(&task);
    let context = format!("{TASKS}/{task}/context");
    assert_eq!(server.get(&context).status, 200);
    server.crash();
    assert_eq!(home.run(&["journal", "verify"]).code, Some(0));
    let script = "import sqlite3, sys; db = sqlite3.connect(sys.argv[1]); \
                  db.execute('DELETE FROM blobs'); db.commit()";
    let done = std::process::Command::new("python3")
        .args(["-c", script])
        .arg(home.data_dir().join("journal.db"))
        .status()
        .unwrap();
    assert!(done.success());
    let verified = home.run(&["journal", "verify"]);
    assert_eq!(verified.code, Some(1), "{}", verified.stdout);
    let said = verified.stdout + &verified.stderr;
    assert!(said.contains("which it cites, is missing"), "{said}");
    let server = Server::start(&home, GOOD, &[]);
    let missing = server.get(&context);
    assert_eq!(missing.status, 500, "what is not there is not empty");
}
