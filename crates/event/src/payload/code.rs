//! Payloads about the code of one module.

use serde::{Deserialize, Serialize};

use super::task::Verification;

/// Work on a module started.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ModuleStarted {}

/// A new iteration of writing and testing a module started.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ModuleIteration {
    /// The number of the iteration, from 1.
    pub iteration: u32,
    /// What this iteration does.
    pub approach: Approach,
}

/// What an iteration does.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Approach {
    /// Write the code for the first time.
    Write,
    /// Correct the code from the test results.
    Repair,
    /// Write the code again without showing the failed code to the model. Used when repairs go in circles.
    Rewrite,
    /// Write the generated tests again. Used when they are more likely wrong than the code.
    RewriteTests,
}

/// How a version of a module's code was made.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum CodeOrigin {
    /// Written by the model from the plan, for the first time or again.
    Generated,
    /// Corrected by the model after a test run.
    Corrected,
    /// An earlier version, restored because it passed more tests.
    Restored,
    /// Written by the user.
    Edited,
}

/// A module has a new version of code. The version number and hash are in the event's `code_version` and
/// `code_hash`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct CodeGenerated {
    /// How the version was made.
    pub origin: CodeOrigin,
    /// The complete file.
    pub source: String,
}

/// A correction started.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct CorrectionStarted {
    /// The version to be corrected.
    pub from_version: u64,
    /// How it is corrected.
    pub approach: Approach,
}

/// A correction ended.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct CorrectionCompleted {
    /// The version that was to be corrected.
    pub from_version: u64,
    /// The new version, or the same version if the model returned unchanged code.
    pub to_version: u64,
}

/// A module is complete.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ModuleComplete {
    /// How the code was verified.
    pub verification: Verification,
    /// Generated tests that the code fails and that were judged to be wrong. They are kept, marked, and listed
    /// in the summary.
    pub disputed: Vec<String>,
}
