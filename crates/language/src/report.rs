//! The results of test runs, import checks and dead code analyses, the same for all languages. Plain data.

use serde::{Deserialize, Serialize};

/// What a test run says about the code.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum TestOutcome {
    /// At least one test ran, all tests that ran passed, and the runner's report and exit code agree.
    Passed,
    /// A test failed.
    Failed,
    /// The code or a test file could not be loaded: a syntax error, a missing module, an exception while
    /// importing.
    DoesNotImport,
    /// No test was found, or all were skipped.
    NoTests,
    /// The wall-clock limit was reached.
    TimedOut,
    /// The runner ended before it could report: it used too much memory or processor time, was killed by a
    /// signal, or was ended by the code.
    Killed,
    /// The run was cancelled.
    Cancelled,
}

/// The result of one test.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TestResult {
    /// The name as the runner reports it, such as `tests/test_email.py::test_empty`.
    pub name: String,
    /// Whether the test passed.
    pub passed: bool,
    /// If it failed: what failed and where, shortened to what helps to correct it.
    pub message: String,
}

/// The result of a test run. Apart from `output`, nothing in it comes from what the code printed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TestReport {
    /// The outcome of the run.
    pub outcome: TestOutcome,
    /// Why the outcome is not `Passed`, as far as no single test says it. For a person or a model; may be
    /// empty.
    pub detail: String,
    /// The number of passed tests.
    pub passed: u32,
    /// The number of failed tests.
    pub failed: u32,
    /// The names of tests that were skipped or expected to fail.
    pub skipped: Vec<String>,
    /// All tests that passed or failed, in the order in which they ran.
    pub tests: Vec<TestResult>,
    /// Tests that say nothing about the code. Only determined for doubted tests; they do not count.
    pub idle: Vec<String>,
    /// Whether a test file cannot be loaded because of an error of its own.
    pub broken_tests: bool,
    /// The program that ran the tests, such as `pytest`; `None` if it did not start.
    pub runner: Option<String>,
    /// The end of the output, of bounded length.
    pub output: String,
    /// Duration of the whole run in milliseconds.
    pub wall_ms: u64,
}

/// Whether a module can be imported.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ImportCheck {
    /// Whether the import succeeded.
    pub imports: bool,
    /// Why it failed, if it did.
    pub error: String,
}

/// The kind of an unused definition.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum DeadCodeKind {
    /// A top-level function.
    Function,
    /// A top-level class.
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

/// A definition that none of the analysed files uses.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct DeadCode {
    /// The path as given to the analysis.
    pub file: String,
    /// The unused name.
    pub name: String,
    /// The line, from 1.
    pub line: u32,
    /// The kind of definition.
    pub kind: DeadCodeKind,
}
