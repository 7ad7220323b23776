//! Tools that may be called on a task, and the agents that are at work.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use utoipa::ToSchema;

use crate::json::Object;
use crate::limits::STEPS_MAX;
use crate::problem::Problem;

/// A tool.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct ToolView {
    /// What it is called by.
    pub name: String,
    /// What it does.
    pub description: String,
    /// What it reaches for: `read`, `write`, `run` or `external`.
    pub permission: Option<String>,
    /// The external server that it is of; none for our own.
    pub server: Option<String>,
    /// Whether a call that a crash cut off may be made again.
    pub is_repeatable: bool,
    /// The JSON Schema of its arguments.
    #[schema(value_type = Object)]
    pub input_schema: Map<String, Value>,
}

/// The tools.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct ToolList {
    /// In the order of their names.
    pub tools: Vec<ToolView>,
    /// How the external servers are; empty for whoever is no admin.
    #[schema(value_type = Vec<Object>)]
    pub servers: Vec<Value>,
}

/// One call.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct ToolStep {
    /// The tool.
    #[schema(min_length = 1, max_length = 128)]
    pub name: String,
    /// Its arguments. In a later step `{"$from": 0}` stands for the text that step 0 answered, and with
    /// a `pointer` for a part of its `text` and `structured`.
    #[schema(value_type = Option<Object>)]
    pub arguments: Option<Map<String, Value>>,
}

/// Calls, one after the other.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct ToolCalls {
    /// The first that fails is the last.
    #[schema(value_type = Vec<ToolStep>, min_items = 1, max_items = 16)]
    pub steps: Vec<Object<ToolStep>>,
}

impl ToolCalls {
    /// The calls, if there are some and not too many.
    pub fn checked(self) -> Result<Vec<ToolStep>, Problem> {
        if self.steps.is_empty() || self.steps.len() > STEPS_MAX {
            let detail = format!("`steps` has 1 to {STEPS_MAX} entries");
            return Err(Problem::field("steps", detail));
        }
        Ok(self.steps.into_iter().map(|Object(step)| step).collect())
    }
}

/// How a call ended.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct CallView {
    /// `ok`, `failed` or `refused`.
    pub outcome: String,
    /// More about a failure or a refusal, in a word.
    pub kind: Option<String>,
    /// What the tool answered, or why it did not.
    pub text: String,
    /// The same for programs.
    #[schema(value_type = Option<Object>)]
    pub structured: Option<Value>,
    /// Whether something of the answer is missing.
    pub is_truncated: bool,
    /// How long it took.
    pub wall_ms: u64,
}

/// What came of calls.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct CallsView {
    /// How each ended that was reached.
    pub completed: Vec<CallView>,
    /// Where it stopped, from 0, if that was before the end.
    pub stopped_at: Option<usize>,
    /// Why.
    pub reason: Option<String>,
}

/// An agent at work.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct AgentView {
    /// Its name within its task.
    pub agent: String,
    /// Its task.
    pub task_id: String,
    /// `planner`, `coder`, `tester` or `fixer`.
    pub role: String,
    /// What it is to do: `look_up`, `plan`, `code`, `tests`, `fix` or `review`.
    pub purpose: Option<String>,
    /// For which module.
    pub module: Option<String>,
    /// Steps so far in which it called tools.
    pub steps: u32,
    /// `deciding`, `asking` the model, or `calling` a tool.
    pub doing: String,
    /// The tool that it calls.
    pub tool: Option<String>,
    /// Since when.
    pub since: Option<String>,
}

/// The agents at work.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct AgentList {
    /// By task.
    pub agents: Vec<AgentView>,
}
