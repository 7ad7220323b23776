//! What a test run, an import check and a dead-code analysis found, the same for every language. Plain data.

use serde::{Deserialize, Serialize};

/// What a run of tests says about the code.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum TestOutcome {
    /// At least one test ran, every test that ran passed, and the runner's report and exit code agree on that.
    Passed,
    /// A test failed.
    Failed,
    /// The code or a test file could not be loaded: a syntax error, a missing module, an exception while importing.
    DoesNotImport,
    /// Nothing that could be run was found, or everything was skipped.
    NoTests,
    /// The wall-clock limit passed.
    TimedOut,
    /// The runner ended before it could report: too much memory or processor time, a signal, or the code ended it.
    Killed,
    /// The caller cancelled.
    Cancelled,
}

/// One test.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TestResult {
    /// Its name as the runner says it, such as `tests/test_email.py::test_empty`.
    pub name: String,
    /// Whether it passed.
    pub passed: bool,
    /// If not: what failed and where, trimmed to what helps to correct it.
    pub message: String,
}

/// The result of a test run. Nothing in it comes from what the code printed, apart from `output`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TestReport {
    /// The verdict.
    pub outcome: TestOutcome,
    /// For a person or a model: why the outcome is not `Passed`, as far as no single test says it. May be empty.
    pub detail: String,
    /// Tests that passed.
    pub passed: u32,
    /// Tests that failed.
    pub failed: u32,
    /// Tests that were skipped or were expected to fail, by name.
    pub skipped: Vec<String>,
    /// Every test that passed or failed, in the order in which they ran.
    pub tests: Vec<TestResult>,
    /// Tests that say nothing of the code; only where they were doubted. They count for nothing.
    pub idle: Vec<String>,
    /// Whether a test file cannot be loaded by a fault of its own, in which the code has no part.
    pub broken_tests: bool,
    /// The program that ran them, such as `pytest`; `None` if it never came so far.
    pub runner: Option<String>,
    /// The end of what the run printed, bounded.
    pub output: String,
    /// Real time of the whole run.
    pub wall_ms: u64,
}

/// Whether a module loads.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ImportCheck {
    /// Whether it does.
    pub imports: bool,
    /// If not: why.
    pub error: String,
}

/// What kind of definition is not used.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum DeadCodeKind {
    /// A function at the top of a file.
    Function,
    /// A class at the top of a file.
    Class,
    /// An imported name.
    Import,
}

impl std::fmt::Display for DeadCodeKind {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Function => "function",
            Self::Class => "class",
            Self::Import => "import",
        })
    }
}

/// A definition that nothing in the analysed files uses.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct DeadCode {
    /// The file, as it was given to the analysis.
    pub file: String,
    /// The name that is not used.
    pub name: String,
    /// Its line, from 1.
    pub line: u32,
    /// What it is.
    pub kind: DeadCodeKind,
}
