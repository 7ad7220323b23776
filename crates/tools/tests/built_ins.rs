//! What each built-in tool does with a task's files.

#![allow(clippy::unwrap_used)] // a test fails by panicking

mod common;

use common::{Files, Kept, context, request};
use journeyman_tools::{Completed, Dispatcher, DispatcherOptions, FilePath, Registry};
use proptest::prelude::*;
use serde_json::{Value, json};

async fn call(files: &[(&str, &str)], name: &str, arguments: Value) -> Completed {
    let registry = Registry::with_built_ins().unwrap();
    Dispatcher::new(registry, DispatcherOptions::default())
        .call(
            &context(Files::with(files)),
            request(name, arguments),
            &Kept::default(),
        )
        .await
}

#[tokio::test]
async fn read_file_shows_all_or_some_lines() {
    let files = [("a.py", "one\ntwo\nthree\n")];
    let all = call(&files, "read_file", json!({"path": "./a.py"})).await;
    assert_eq!(all.text, "one\ntwo\nthree\n");
    let some = json!({"path": "a.py", "from_line": 2, "lines": 1});
    assert_eq!(call(&files, "read_file", some).await.text, "two\n");
    let beyond = json!({"path": "a.py", "from_line": 4});
    let beyond = call(&files, "read_file", beyond).await;
    assert!(!beyond.is_ok());
    assert_eq!(beyond.text, "a.py has 3 lines; from_line is beyond its end");
}

#[tokio::test]
async fn write_file_makes_a_new_version_and_the_old_one_can_be_read() {
    let registry = Registry::with_built_ins().unwrap();
    let dispatcher = Dispatcher::new(registry, DispatcherOptions::default());
    let (context, kept) = (context(Files::with(&[("a.py", "old")])), Kept::default());
    let write = request("write_file", json!({"path": "a.py", "content": "newer"}));
    let written = dispatcher.call(&context, write, &kept).await;
    assert_eq!(written.structured, Some(json!({"version": 2, "bytes": 5})));
    let read = |version: u64| {
        let arguments = json!({"path": "a.py", "version": version});
        dispatcher.call(&context, request("read_version", arguments), &kept)
    };
    assert_eq!(read(1).await.text, "old");
    let never = read(9).await;
    assert_eq!(never.text, "a.py has no version 9; its versions are 1 to 2");
}

#[tokio::test]
async fn list_files_shows_those_that_fit() {
    let files = [("a.py", "x"), ("src/b.py", "xy"), ("README.md", "")];
    let all = call(&files, "list_files", json!({})).await;
    assert_eq!(
        all.text,
        "README.md (version 1, 0 bytes)\na.py (version 1, 1 bytes)\n\
         src/b.py (version 1, 2 bytes)\n"
    );
    let some = call(&files, "list_files", json!({"glob": "**/*.py"})).await;
    assert_eq!(some.text.lines().count(), 2);
    let flat = call(&files, "list_files", json!({"glob": "*.py"})).await;
    assert_eq!(flat.text.lines().count(), 1);
    assert!(
        !call(&files, "list_files", json!({"glob": "[a"}))
            .await
            .is_ok()
    );
}

#[tokio::test]
async fn search_files_finds_lines_within_bounds() {
    let many = "needle\n".repeat(300);
    let files = [("a.py", "x\nthe needle\n"), ("b.py", many.as_str())];
    let one = json!({"pattern": "needle$", "path": "a.py"});
    let one = call(&files, "search_files", one).await;
    assert_eq!(
        (one.text.as_str(), one.truncated),
        ("a.py:2: the needle\n", false)
    );
    let all = call(&files, "search_files", json!({"pattern": "needle"})).await;
    assert!(all.truncated && all.text.contains("... and more"));
    assert_eq!(
        all.structured.unwrap()["matches"].as_array().unwrap().len(),
        200
    );
    let huge = call(
        &files,
        "search_files",
        json!({"pattern": r"\w{1000}{1000}"}),
    )
    .await;
    assert!(huge.text.contains("size limit"), "{}", huge.text);
}

#[tokio::test]
async fn a_command_that_fails_is_a_failed_call_with_its_output() {
    let fine = call(&[], "run_command", json!({"command": ["echo", "hi"]})).await;
    assert!(fine.is_ok());
    assert_eq!(fine.text, "exit code 0\n--- output ---\necho hi\n");
    let failed = call(&[], "run_command", json!({"command": ["false"]})).await;
    assert!(!failed.is_ok() && failed.text.starts_with("exit code 1\n"));
}

#[tokio::test]
async fn tests_that_fail_are_a_call_that_was_done() {
    let done = call(&[], "run_tests", json!({"paths": ["test_a.py"]})).await;
    assert!(done.is_ok());
    assert_eq!(done.structured, Some(json!({"passed": false})));
}

#[tokio::test]
async fn expand_context_shows_the_text_that_is_cited() {
    let done = call(&[], "expand_context", json!({"reference": "17"})).await;
    assert_eq!(done.text, "the exact text");
    assert!(
        !call(&[], "expand_context", json!({"reference": "18"}))
            .await
            .is_ok()
    );
}

#[test]
fn a_path_stays_inside_the_task() {
    for bad in [
        "",
        "/etc/passwd",
        "..",
        "a/../b",
        "a//b",
        "a/",
        ".",
        "a\0b",
        "a\\b",
        "a/./b",
    ] {
        assert!(FilePath::new(bad).is_err(), "{bad:?}");
    }
    assert_eq!(FilePath::new("./src/a.py").unwrap().as_str(), "src/a.py");
}

proptest! {
    #[test]
    fn a_path_that_is_taken_leads_nowhere_else(given in r"[./a\\\x00-]{0,12}") {
        if let Ok(path) = FilePath::new(&given) {
            let parts: Vec<_> = std::path::Path::new(path.as_str()).components().collect();
            let inside = |part: &std::path::Component| matches!(part, std::path::Component::Normal(_));
            prop_assert!(!parts.is_empty() && parts.iter().all(inside));
            // Nothing was left out either: it is written in one way only.
            let again: std::path::PathBuf = parts.iter().collect();
            prop_assert_eq!(again.to_str().unwrap(), path.as_str());
        }
    }
}
