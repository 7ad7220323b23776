//! Payloads about effects in general, and about the last effects of a task.

use serde::{Deserialize, Serialize};

use super::model::Purpose;
use super::task::{Ending, FailureReason};
use crate::content::ContentHash;
use crate::ids::ModuleName;
use crate::tokens::Tokens;

/// Why an effect ended without an outcome.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Interruption {
    /// Someone asked for it: Ctrl-C, a signal, a pause or a cancellation.
    Requested,
    /// The model server does not respond.
    ModelUnreachable,
    /// The model server asked to be called later.
    ModelBusy,
    /// The task's time limit was reached.
    TimeLimit,
    /// Crashes interrupted it too often, so it is not tried again.
    Crashes,
    /// File descriptors, memory, processes or disk space ran short.
    Shortage,
}

/// An effect was stopped or abandoned. The step that started it is decided again.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct EffectInterrupted {
    /// Why it ended.
    pub reason: Interruption,
    /// Tokens it had used by then.
    pub tokens: Tokens,
}

/// An effect that a crash interrupted is run again.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct EffectRetried {
    /// The number of this attempt: 2 for the first repetition, at most [`EffectRetried::ATTEMPTS_MAX`].
    pub attempt: u32,
}

impl EffectRetried {
    /// The most attempts in total. After that the task fails.
    pub const ATTEMPTS_MAX: u32 = 5;
}

/// A model call was not made, because its context cannot fit.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ContextRefused {
    /// What the call was for.
    pub purpose: Purpose,
    /// `window` (the context window is too small) or `budget` (the tokens left are too few).
    pub reason: FailureReason,
    /// The numbers, in words for a person.
    pub detail: String,
}

/// Intent: all modules are about to be analysed for unused code.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct AnalysisStarted {}

/// A definition that nothing refers to.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct UnusedCode {
    /// The module it is in.
    pub module: ModuleName,
    /// The name of the definition.
    pub name: String,
    /// `import`, `function` or `class`.
    pub kind: String,
    /// Its line number, from 1.
    pub line: u32,
}

/// Outcome: the unused code found. It is reported, not removed.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct DeadCodeAnalysis {
    /// The unused definitions.
    pub unused: Vec<UnusedCode>,
    /// Why the analysis failed, if it did.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub problem: Option<String>,
}

/// The model reviewed the finished code. The findings are shown to the user; the verification result does not
/// change.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ReviewCompleted {
    /// The findings, one or two sentences each.
    pub findings: Vec<String>,
    /// Why there is no review, if there is none.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub problem: Option<String>,
}

/// Intent: the result is about to be written to the output folder.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct OutputStarted {
    /// The path of the folder.
    pub folder: String,
    /// How the task is about to end, which the result states. Older versions did not record it; the step is
    /// then decided again.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub ending: Option<Ending>,
}

/// One file of the result.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct OutputFile {
    /// The path relative to the output folder.
    pub path: String,
    /// The hash of the contents.
    pub hash: ContentHash,
}

/// Outcome: the result was written.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct OutputWritten {
    /// The files written.
    pub files: Vec<OutputFile>,
}

/// Outcome: the result could not be written.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct OutputFailed {
    /// What went wrong.
    pub problem: String,
}
