//! Payloads about agents, and about the tools that they and the user call.
//!
//! An agent is a role working on one thing: from its first call of the model until its answer is used or rejected.
//! Its role is the actor of its events.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::model::Purpose;

/// An agent started work.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct AgentStarted {
    /// The agent's id within the task: `a1`, `a2` and so on.
    pub agent: String,
    /// What the agent is to do.
    pub purpose: Purpose,
    /// The tools the agent may call.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub tools: Vec<String>,
}

/// A tool call that an agent asks for.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ToolRequest {
    /// The name of the tool.
    pub name: String,
    /// The arguments, as JSON.
    pub arguments: Map<String, Value>,
}

/// An agent's answer asked for tool calls before it can continue.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct AgentStep {
    /// The agent's id.
    pub agent: String,
    /// The number of the step, from 1.
    pub step: u32,
    /// The calls it asks for, in order.
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
    /// It is no longer needed: the user did the work, the task ended, or another approach was chosen.
    Dropped,
}

/// An agent's work ended.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct AgentCompleted {
    /// The agent's id.
    pub agent: String,
    /// How it ended.
    pub outcome: AgentOutcome,
}

/// Intent: a tool is about to be called.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ToolExecuting {
    /// The agent that asked for the call; `None` for the user.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub agent: Option<String>,
    /// The name of the tool.
    pub tool: String,
    /// The arguments of the call.
    pub arguments: Map<String, Value>,
    /// Whether the call may be repeated if a crash interrupts it.
    pub repeatable: bool,
}

/// How a tool call ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ToolOutcome {
    /// The call succeeded.
    Ok,
    /// The tool was called and failed.
    Failed,
    /// The tool was not called.
    Refused,
    /// The call was interrupted, and whether it took effect is unknown.
    Unknown,
}

/// Outcome: a tool call ended. A refused call has no intent before it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ToolCompleted {
    /// The agent that asked for the call; `None` for the user.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub agent: Option<String>,
    /// The name of the tool.
    pub tool: String,
    /// How the call ended.
    pub outcome: ToolOutcome,
    /// The kind of failure or refusal, in one word.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub kind: Option<String>,
    /// The tool's answer, or the reason for the failure or refusal.
    pub text: String,
    /// Whether the answer was shortened.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub truncated: bool,
    /// Duration of the call in milliseconds.
    pub wall_ms: u64,
}
