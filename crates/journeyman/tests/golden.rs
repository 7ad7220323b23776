//! What earlier versions of the product left behind is opened, verified, read and gone on with. Each folder under
//! `tests/golden` was packed by `scripts/make-golden` with the version whose commit it is named by.

#![allow(clippy::unwrap_used, clippy::expect_used)] // a test fails by panicking

mod common;

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::process::Command;

use common::Home;
use serde_json::Value;

const SIM: &str = "sim:?latency_ms=0&malformed=0";

/// A home whose data folder is a golden one.
fn home_with(packed: &Path) -> Home {
    let home = Home::new();
    let unpacked = Command::new("tar")
        .arg("-xzf")
        .arg(packed)
        .arg("-C")
        .arg(home.data_dir())
        .status();
    assert!(unpacked.unwrap().success(), "{}", packed.display());
    home
}

fn tasks(home: &Home) -> BTreeMap<String, Value> {
    let listed = home.run(&["tasks", "--json"]);
    assert_eq!(listed.code, Some(0), "{}", listed.stderr);
    let by_prompt = |task: Value| (task["prompt"].as_str().unwrap().to_owned(), task);
    listed.json_lines().into_iter().map(by_prompt).collect()
}

#[test]
fn what_earlier_versions_left_is_opened_verified_and_gone_on_with() {
    let golden = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden");
    let mut seen = 0;
    for packed in fs::read_dir(golden).unwrap() {
        let packed = packed.unwrap().path();
        let version = packed.display();
        let home = home_with(&packed);
        let events = home.verified()["events"].as_u64();
        let before = tasks(&home);
        assert_eq!(before.len(), 4, "{version}");
        for (prompt, task) in &before {
            let id = task["task_id"].as_str().unwrap();
            let shown = home.run(&["show", id, "--json"]);
            assert_eq!(shown.code, Some(0), "{version}: {}", shown.stderr);
            let told = home.run(&["events", "--task", id, "--json"]).json_lines();
            let early = told[told.len() / 2]["sequence"].to_string();
            let shown = home.run(&["show", id, "--at", &early, "--json"]);
            assert_eq!(shown.code, Some(0), "{version}: {}", shown.stderr);
            assert!(
                home.run(&["files", id]).stdout.contains(".py"),
                "{version}: {prompt}"
            );
            let (ends, args): (i32, &[&str]) = match prompt.as_str() {
                "Make a thing" => (3, &[]),
                "Make a thing within a limit" => {
                    (3, &["--budget-tokens", "40000", "--model-url", SIM])
                }
                "Make a thing that is cut off" => (3, &["--model-url", SIM]),
                _ => (0, &[]),
            };
            let mut resume = vec!["resume", id];
            resume.extend(args);
            let resumed = home.run(&resume);
            assert_eq!(
                resumed.code,
                Some(ends),
                "{version}, {prompt}: {}{}",
                resumed.stdout,
                resumed.stderr
            );
        }
        for (prompt, task) in tasks(&home) {
            assert_eq!(task["status"], "complete", "{version}: {prompt}");
            let was = &before[&prompt]["status"];
            let is_untouched = task["revision"] == before[&prompt]["revision"];
            assert_eq!(
                *was == "complete",
                is_untouched,
                "{version}: {prompt} was {was}"
            );
        }
        assert!(home.verified()["events"].as_u64() > events, "{version}");
        seen += 1;
    }
    assert!(seen > 0, "no golden folder is there");
}
