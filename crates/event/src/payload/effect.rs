//! Payloads about effects in general, and about the last ones of a task.

use serde::{Deserialize, Serialize};

use super::model::Purpose;
use super::task::{Ending, FailureReason};
use crate::content::ContentHash;
use crate::ids::ModuleName;
use crate::tokens::Tokens;

/// Why an effect did not reach its outcome.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Interruption {
    /// Ctrl-C, a signal, a pause or a cancel.
    Requested,
    /// The model server does not answer.
    ModelUnreachable,
    /// The model server wants to be asked later.
    ModelBusy,
    /// The task's time is spent.
    TimeLimit,
    /// Crashes cut it off too often; it is given up.
    Crashes,
    /// Descriptors, memory, processes or space are short.
    Shortage,
}

/// An effect was stopped on purpose, or given up; its step is decided anew.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct EffectInterrupted {
    /// Why.
    pub reason: Interruption,
    /// Tokens that were spent all the same.
    pub tokens: Tokens,
}

/// An effect was cut off by a crash and is run again.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct EffectRetried {
    /// 2 for the first repetition; [`EffectRetried::ATTEMPTS_MAX`] at most.
    pub attempt: u32,
}

impl EffectRetried {
    /// How often an effect is tried in all before the task fails with that reason.
    pub const ATTEMPTS_MAX: u32 = 5;
}

/// A model call that was not made: it cannot fit.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ContextRefused {
    /// What the call was for.
    pub purpose: Purpose,
    /// `window` or `budget`.
    pub reason: FailureReason,
    /// The figures, for a person.
    pub detail: String,
}

/// Intent: the whole is about to be analysed for unused code.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct AnalysisStarted {}

/// Something that nothing refers to.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct UnusedCode {
    /// The module.
    pub module: ModuleName,
    /// The name.
    pub name: String,
    /// `import`, `function`, `class`.
    pub kind: String,
    /// Its line, from 1.
    pub line: u32,
}

/// Outcome: what nothing refers to. It is reported, not removed.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct DeadCodeAnalysis {
    /// Each find.
    pub unused: Vec<UnusedCode>,
    /// Why there is no answer, if there is none.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub problem: Option<String>,
}

/// The finished code was reviewed by the model. That is told to the user, and changes nothing of what was
/// verified.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ReviewCompleted {
    /// What it found, each in a sentence or two.
    pub findings: Vec<String>,
    /// Why there is no review, if there is none.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub problem: Option<String>,
}

/// Intent: the result is about to be written to the task's folder.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct OutputStarted {
    /// The folder.
    pub folder: String,
    /// How the task is about to end, which the result says. Versions before this key stood here did
    /// not record it: then the step is decided anew.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub ending: Option<Ending>,
}

/// One file of the result.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct OutputFile {
    /// Its path in the folder.
    pub path: String,
    /// The hash of its bytes.
    pub hash: ContentHash,
}

/// Outcome: the result is there.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct OutputWritten {
    /// The files.
    pub files: Vec<OutputFile>,
}

/// Outcome: the result could not be written.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct OutputFailed {
    /// What happened.
    pub problem: String,
}
