//! What is written down of Python is what an interpreter says.

#![allow(clippy::expect_used, reason = "this is a test")]

#[path = "../../sandbox/tests/common/mod.rs"]
mod common;

use std::collections::BTreeSet;
use std::process::Command;

use journeyman_language::python::{BUILTINS, STANDARD_LIBRARY};

/// What newer versions than the one that is written down have, and what that is called is left to a task.
const LATER: &[&str] = &["PythonFinalizationError", "annotationlib", "compression"];

#[tokio::test]
async fn modules_and_builtins_are_those_of_the_interpreter() {
    let python = common::python().await;
    for (code, written) in [
        (
            "import sys; print(*sys.stdlib_module_names)",
            STANDARD_LIBRARY,
        ),
        ("import builtins; print(*dir(builtins))", BUILTINS),
    ] {
        let asked = Command::new(python.interpreter())
            .args(["-c", code])
            .output();
        let said = String::from_utf8(asked.expect("it starts").stdout).expect("it is text");
        let names = said
            .split_whitespace()
            .filter(|name| !name.starts_with('_'));
        let theirs: BTreeSet<&str> = names.collect();
        let ours: BTreeSet<&str> = written.iter().copied().collect();
        assert!(theirs.len() > 100, "{said}");
        let unknown: Vec<&&str> = theirs
            .difference(&ours)
            .filter(|name| !LATER.contains(name))
            .collect();
        assert!(unknown.is_empty(), "not written down: {unknown:?}");
        if python.version().starts_with("3.11.") {
            assert_eq!(ours, theirs);
        }
    }
}
