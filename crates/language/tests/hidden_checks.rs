//! The tasks of `checks/hidden`: a person's solution of each passes all of its tests, and without it all fail.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "this is a test")]

#[path = "../../sandbox/tests/common/mod.rs"]
mod common;

use std::fs;
use std::path::Path;

use common::Sandboxed;
use journeyman_language::TestOutcome;
use journeyman_sandbox::Level;

const TESTS: &str = "test_hidden.py";

#[tokio::test]
async fn a_persons_solution_of_each_hidden_task_passes() {
    let tasks = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../checks/hidden");
    let mut count = 0;
    for task in fs::read_dir(tasks).unwrap() {
        let task = task.unwrap().path();
        let name = task.file_name().unwrap().to_str().unwrap();
        let prompt = fs::read_to_string(task.join("prompt.txt")).unwrap();
        assert!(
            prompt.contains(name),
            "{name}: the prompt names the package"
        );
        let sandboxed = Sandboxed::new(Level::Bubblewrap).await;
        sandboxed.write(TESTS, &fs::read_to_string(task.join(TESTS)).unwrap());
        let without = sandboxed.test(&[TESTS]).await;
        assert_ne!(without.outcome, TestOutcome::Passed, "{name}: {without:#?}");
        let mut modules = 0;
        for file in fs::read_dir(task.join("reference").join(name)).unwrap() {
            let file = file.unwrap().path();
            let module = file.file_name().unwrap().to_str().unwrap();
            let source = fs::read_to_string(&file).unwrap();
            sandboxed.write(&format!("{name}/{module}"), &source);
            modules += 1;
        }
        assert!((2..=5).contains(&modules), "{name}: {modules} modules");
        let report = sandboxed.test(&[TESTS]).await;
        assert_eq!(report.outcome, TestOutcome::Passed, "{name}: {report:#?}");
        assert!(report.passed >= 10, "{name}: {} tests", report.passed);
        count += 1;
    }
    assert_eq!(count, 10);
}
