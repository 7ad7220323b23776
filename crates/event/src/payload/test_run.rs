//! Payloads about tests: what was written, what was run, what came out.

use serde::{Deserialize, Serialize};

use super::task::TestOrigin;
use crate::content::ContentHash;
use crate::ids::ModuleName;

/// The model wrote tests for a module.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct TestsGenerated {
    /// The whole file; empty where the tests before could not be run and are dropped.
    pub source: String,
}

/// What a test run covers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum TestScope {
    /// One module, with those that it depends on.
    Module,
    /// Everything together.
    Integration,
}

/// Intent: these tests are about to be run on this code.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct TestStarted {
    /// What is covered.
    pub scope: TestScope,
    /// Where the tests come from.
    pub origin: TestOrigin,
    /// The test files by name.
    pub files: Vec<String>,
    /// The code: module, version, hash.
    pub code: Vec<CodeUnderTest>,
    /// The hash of all else that the run is about: [`TaskState::basis`](crate::TaskState::basis). Older
    /// versions did not record it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub basis: Option<ContentHash>,
}

/// One module of the code that is tested.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct CodeUnderTest {
    /// The module.
    pub module: ModuleName,
    /// Its version.
    pub version: u64,
    /// Its hash.
    pub hash: ContentHash,
}

/// One test's result.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TestResult {
    /// Its name, as the test runner gives it.
    pub name: String,
    /// Whether it passed.
    pub passed: bool,
    /// What failed, shortened; empty if it passed.
    #[serde(skip_serializing_if = "String::is_empty", default)]
    pub message: String,
}

/// Why a test run did not pass.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum TestFailureKind {
    /// Tests ran and some failed.
    Failed,
    /// The code or the tests do not import.
    DoesNotImport,
    /// There was no test to run.
    NoTests,
    /// The time was up.
    TimedOut,
    /// Killed, or ended before it could report: memory, a signal, an exit in the code.
    Killed,
}

impl TestFailureKind {
    /// What happened, as part of a sentence.
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
    /// Each test.
    pub tests: Vec<TestResult>,
    /// Tests that say nothing of the code: they pass whatever it does, or need what is not there.
    /// Generated ones count for nothing and are not in `tests`; given ones are.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub idle: Vec<String>,
    /// Tests that were skipped or were expected to fail. They are not in `tests`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub skipped: Vec<String>,
    /// Milliseconds.
    pub wall_ms: u64,
}

/// Outcome: not every test passed.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct TestFailed {
    /// In what way.
    pub kind: TestFailureKind,
    /// Each test that was reported.
    pub tests: Vec<TestResult>,
    /// Generated tests that say nothing of the code: they pass whatever it does, or need what is not
    /// there. They count for nothing and are not in `tests`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub idle: Vec<String>,
    /// Whether given tests cannot be loaded by a fault of their own, in which the code has no part.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub broken_tests: bool,
    /// The end of what the test runner printed.
    pub output: String,
    /// Milliseconds.
    pub wall_ms: u64,
}

/// A failed run was turned into something a correction can start from.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct BugReportReceived {
    /// The version it is about.
    pub version: u64,
    /// The bytes it is about.
    pub code_hash: ContentHash,
    /// What fails, in a few lines.
    pub summary: String,
    /// Whether the failing test is one that rules.
    pub given: bool,
}
