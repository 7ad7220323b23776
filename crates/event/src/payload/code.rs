//! Payloads about one module's code.

use serde::{Deserialize, Serialize};

use super::task::Verification;

/// Work on a module began.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ModuleStarted {}

/// Another round of writing and testing began.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ModuleIteration {
    /// 1 for the first.
    pub iteration: u32,
    /// How this round goes about it.
    pub approach: Approach,
}

/// How a round goes about a module.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Approach {
    /// The first writing.
    Write,
    /// Correct the code from what the tests say.
    Repair,
    /// Write it anew without looking at the failed code: repairs go in circles.
    Rewrite,
    /// Write the generated tests anew: they are the likelier fault.
    RewriteTests,
}

/// How a version of a module came to be.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum CodeOrigin {
    /// First writing, or written anew.
    Generated,
    /// Corrected after a test run.
    Corrected,
    /// An earlier version brought back because it passed more tests.
    Restored,
    /// Written by the user.
    Edited,
}

/// A new version of a module's code: its number and hash are in the event's head.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct CodeGenerated {
    /// How it came to be.
    pub origin: CodeOrigin,
    /// The whole file.
    pub source: String,
}

/// A correction began.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct CorrectionStarted {
    /// The version to be corrected.
    pub from_version: u64,
    /// How.
    pub approach: Approach,
}

/// A correction gave a new version.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct CorrectionCompleted {
    /// The version that was corrected.
    pub from_version: u64,
    /// The version that it became; the same where the model gave back the same code.
    pub to_version: u64,
}

/// A module is done.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ModuleComplete {
    /// How it was checked.
    pub verification: Verification,
    /// Generated tests that the code does not pass and that were judged wrong: kept, marked, and
    /// named in the summary.
    pub disputed: Vec<String>,
}
