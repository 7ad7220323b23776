//! The tools that may be called on a task, and the active agents.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use utoipa::ToSchema;

use crate::json::Object;
use crate::limits::STEPS_MAX;
use crate::problem::Problem;

/// A tool that may be called.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct ToolView {
    /// The name of the tool.
    pub name: String,
    /// What the tool does.
    pub description: String,
    /// The permission it requires: `read`, `write`, `run` or `external`.
    pub permission: Option<String>,
    /// The external server it belongs to; null for built-in tools.
    pub server: Option<String>,
    /// Whether a call that a crash interrupted may be repeated.
    pub is_repeatable: bool,
    /// The JSON Schema of its arguments.
    #[schema(value_type = Object)]
    pub input_schema: Map<String, Value>,
}

/// The available tools.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct ToolList {
    /// The tools, sorted by name.
    pub tools: Vec<ToolView>,
    /// The status of the external servers; empty for callers that are not admins.
    #[schema(value_type = Vec<Object>)]
    pub servers: Vec<Value>,
}

/// A tool call.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct ToolStep {
    /// The name of the tool.
    #[schema(min_length = 1, max_length = 128)]
    pub name: String,
    /// The arguments. In a later step `{"$from": 0}` stands for the text that step 0 returned, and with a
    /// `pointer` for a part of its `text` and `structured`.
    #[schema(value_type = Option<Object>)]
    pub arguments: Option<Map<String, Value>>,
}

/// Tool calls to be made one after another.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct ToolCalls {
    /// The calls. The first one that fails is the last one made.
    #[schema(value_type = Vec<ToolStep>, min_items = 1, max_items = 16)]
    pub steps: Vec<Object<ToolStep>>,
}

impl ToolCalls {
    /// The calls, checked: at least one, and not too many.
    pub fn checked(self) -> Result<Vec<ToolStep>, Problem> {
        if self.steps.is_empty() || self.steps.len() > STEPS_MAX {
            let detail = format!("`steps` has 1 to {STEPS_MAX} entries");
            return Err(Problem::field("steps", detail));
        }
        Ok(self.steps.into_iter().map(|Object(step)| step).collect())
    }
}

/// The result of a tool call.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct CallView {
    /// One of `ok`, `failed` and `refused`.
    pub outcome: String,
    /// The kind of failure (such as `timed_out`) or refusal (such as `permission`); null if the call succeeded.
    pub kind: Option<String>,
    /// The tool's answer, or the reason for the failure or refusal.
    pub text: String,
    /// The tool's answer as JSON, if it gave one beside the text.
    #[schema(value_type = Option<Object>)]
    pub structured: Option<Value>,
    /// Whether the text was shortened because it was too long.
    pub is_truncated: bool,
    /// Duration of the call in milliseconds.
    pub wall_ms: u64,
}

/// The results of tool calls.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct CallsView {
    /// The results of the calls that were made.
    pub completed: Vec<CallView>,
    /// The step at which they stopped, from 0; null if they reached the end.
    pub stopped_at: Option<usize>,
    /// Why they stopped; null if they reached the end.
    pub reason: Option<String>,
}

/// An active agent.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct AgentView {
    /// The agent's id within its task.
    pub agent: String,
    /// The id of the task.
    pub task_id: String,
    /// The role: `planner`, `coder`, `tester` or `fixer`.
    pub role: String,
    /// The purpose of its work: `look_up`, `plan`, `code`, `tests`, `fix`, `review`,
    /// `module_summary` or `task_summary`.
    pub purpose: Option<String>,
    /// The module it works on.
    pub module: Option<String>,
    /// The number of steps so far in which it asked for tool calls.
    pub steps: u32,
    /// The activity: `deciding`, `asking` the model, or `calling` a tool.
    pub doing: String,
    /// The tool it is calling.
    pub tool: Option<String>,
    /// When the activity started (RFC 3339).
    pub since: Option<String>,
}

/// The active agents.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct AgentList {
    /// The agents, grouped by task.
    pub agents: Vec<AgentView>,
}
