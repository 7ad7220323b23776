//! Payloads about tests: writing them, running them, and their results.

use serde::{Deserialize, Serialize};

use super::task::TestOrigin;
use crate::content::ContentHash;
use crate::ids::ModuleName;

/// The model wrote tests for a module.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct TestsGenerated {
    /// The whole test file. Empty if the previous tests could not be run and are discarded without replacement.
    pub source: String,
}

/// What a test run covers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum TestScope {
    /// One module, together with the modules it depends on.
    Module,
    /// All modules together.
    Integration,
}

/// Intent: these tests are about to run on this code.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct TestStarted {
    /// What the run covers.
    pub scope: TestScope,
    /// Where the tests come from.
    pub origin: TestOrigin,
    /// The names of the test files.
    pub files: Vec<String>,
    /// The code under test.
    pub code: Vec<CodeUnderTest>,
    /// The hash of everything besides the code that the result depends on; see
    /// [`TaskState::basis`](crate::TaskState::basis). Older versions did not record it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub basis: Option<ContentHash>,
}

/// The version of one module that is tested.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct CodeUnderTest {
    /// The name of the module.
    pub module: ModuleName,
    /// The version of its code.
    pub version: u64,
    /// The hash of that code.
    pub hash: ContentHash,
}

/// The result of one test.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TestResult {
    /// The name of the test as the test runner reports it.
    pub name: String,
    /// Whether the test passed.
    pub passed: bool,
    /// The failure message, shortened; empty if the test passed.
    #[serde(skip_serializing_if = "String::is_empty", default)]
    pub message: String,
}

/// Why a test run did not pass.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum TestFailureKind {
    /// The tests ran and at least one failed.
    Failed,
    /// Importing the code or the tests failed.
    DoesNotImport,
    /// No test was found.
    NoTests,
    /// The time limit was reached.
    TimedOut,
    /// The process ended before it reported results: out of memory, a signal, or an exit in the code.
    Killed,
}

impl TestFailureKind {
    /// The failure as part of a sentence.
    pub const fn in_words(self) -> &'static str {
        match self {
            Self::Failed => "tests fail",
            Self::DoesNotImport => "they do not import",
            Self::NoTests => "there is no test",
            Self::TimedOut => "they do not end in time",
            Self::Killed => "they were killed",
        }
    }
}

/// Outcome: every test passed.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct TestPassed {
    /// The results of the tests.
    pub tests: Vec<TestResult>,
    /// Tests that say nothing about the code, because they pass whatever it does or need something that does
    /// not exist. Generated ones are not in `tests`; given ones are.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub idle: Vec<String>,
    /// Tests that were skipped or expected to fail. They are not in `tests`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub skipped: Vec<String>,
    /// Duration of the run in milliseconds.
    pub wall_ms: u64,
}

/// Outcome: the run failed.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct TestFailed {
    /// Why it failed.
    pub kind: TestFailureKind,
    /// The results of the tests that reported one.
    pub tests: Vec<TestResult>,
    /// Generated tests that say nothing about the code, because they pass whatever it does or need something
    /// that does not exist. They are ignored and not in `tests`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub idle: Vec<String>,
    /// Whether given tests cannot be loaded because of an error in the tests themselves, not in the code.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub broken_tests: bool,
    /// The end of the test runner's output.
    pub output: String,
    /// Duration of the run in milliseconds.
    pub wall_ms: u64,
}

/// A failed run was summarised as the starting point for a correction.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct BugReportReceived {
    /// The version of the code that failed.
    pub version: u64,
    /// The hash of that code.
    pub code_hash: ContentHash,
    /// The failures, in a few lines.
    pub summary: String,
    /// Whether a test given by the user fails.
    pub given: bool,
}
