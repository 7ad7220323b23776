//! Payloads about summaries: what a module, a function or a task is, in a few typed fields.

use serde::{Deserialize, Serialize};

/// How a summary was made.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum SummaryOrigin {
    /// The model wrote it.
    Model,
    /// It was taken from the code and the history, without a model.
    Extracted,
}

/// What a module is.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct ModuleSummary {
    /// What it is for.
    pub purpose: String,
    /// The modules and libraries that it imports.
    pub dependencies: Vec<String>,
    /// Its public functions and classes, by name.
    pub functions: Vec<String>,
    /// What was decided about it, such as a test that was judged wrong.
    pub key_decisions: Vec<String>,
    /// All of that in about 200 tokens at most.
    pub summary: String,
}

/// What a function is.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct FunctionSummary {
    /// What it is for.
    pub purpose: String,
    /// Its parameters, as they are written in the code.
    pub inputs: Vec<String>,
    /// The type that it returns, as it is written in the code; empty if it is not written.
    pub outputs: String,
    /// What it does beside returning a value, such as printing.
    pub side_effects: Vec<String>,
    /// All of that in about 100 tokens at most.
    pub summary: String,
}

/// What a task is about, and how far it is.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct TaskSummary {
    /// What the user wants.
    pub goal: String,
    /// How far it is, such as `2 of 3 modules are complete`.
    pub status: String,
    /// Its modules, by name.
    pub modules: Vec<String>,
    /// The share of its tests that passed when they were last run, 0 to 1; 0 if none were run.
    pub success_rate: f64,
    /// All of that in about 100 tokens at most.
    pub summary: String,
}

/// A summary of one of three kinds.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "of", rename_all = "snake_case")]
pub enum Summary {
    /// Of a module.
    Module(ModuleSummary),
    /// Of a function or a class.
    Function(FunctionSummary),
    /// Of a task.
    Task(TaskSummary),
}

impl Summary {
    /// The summary in words.
    pub fn text(&self) -> &str {
        match self {
            Self::Module(one) => &one.summary,
            Self::Function(one) => &one.summary,
            Self::Task(one) => &one.summary,
        }
    }
}

/// A finished module or task was summarised. Later prompts of the task have the summary of a module instead of its line in
/// the plan.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct SummaryCompleted {
    /// How it was made.
    pub origin: SummaryOrigin,
    /// What it says.
    pub summary: Summary,
    /// Why it is not the model's, if it should have been.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub problem: Option<String>,
}
