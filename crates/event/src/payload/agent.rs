//! Payloads about agents, and about the tools that they and the user call.
//!
//! An agent is a role at work on one thing: from its first call of the model until its answer was used
//! or refused. Who it is stands in the event's actor.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::model::Purpose;

/// An agent began.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct AgentStarted {
    /// Its name within the task: `a1`, `a2` ...
    pub agent: String,
    /// What it is to do.
    pub purpose: Purpose,
    /// The tools that it may call.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub tools: Vec<String>,
}

/// A call of a tool that is wanted.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ToolRequest {
    /// The tool.
    pub name: String,
    /// What it is to be called with.
    pub arguments: Map<String, Value>,
}

/// An agent answered that it wants to call tools first.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct AgentStep {
    /// The agent.
    pub agent: String,
    /// 1, 2, 3 ...
    pub step: u32,
    /// What it wants, in order.
    pub calls: Vec<ToolRequest>,
}

/// How an agent's work ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum AgentOutcome {
    /// Its answer was used.
    Done,
    /// Its answer could not be used.
    Rejected,
    /// It is not needed any more: the user did it, the task ended, or another way was chosen.
    Dropped,
}

/// An agent's work ended.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct AgentCompleted {
    /// The agent.
    pub agent: String,
    /// How.
    pub outcome: AgentOutcome,
}

/// Intent: a tool is about to be called.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ToolExecuting {
    /// The agent that wants it; none means the user.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub agent: Option<String>,
    /// The tool.
    pub tool: String,
    /// What it is called with.
    pub arguments: Map<String, Value>,
    /// Whether the call may be made again when a crash cuts it off.
    pub repeatable: bool,
}

/// How a tool call ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ToolOutcome {
    /// The tool did it.
    Ok,
    /// It was called, and did not.
    Failed,
    /// It was not called.
    Refused,
    /// It was cut off, and whether it did it is not known.
    Unknown,
}

/// Outcome: a tool call ended; or was refused, without an intent before.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ToolCompleted {
    /// The agent that wanted it; none means the user.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub agent: Option<String>,
    /// The tool.
    pub tool: String,
    /// How.
    pub outcome: ToolOutcome,
    /// More about a failure or a refusal, in a word.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub kind: Option<String>,
    /// What it answered, or why it did not.
    pub text: String,
    /// Whether something of the answer is missing.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub truncated: bool,
    /// How long it took.
    pub wall_ms: u64,
}
