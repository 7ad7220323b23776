//! Tools that may be called on a task, and the agents that are at work.

use axum::Json;
use axum::extract::State;
use journeyman_event::word;
use journeyman_tools::{Completed, Outcome, Request, Source, Spec};
use journeyman_workflow::{Doing, LivingAgent};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use tokio_util::sync::CancellationToken;
use utoipa::ToSchema;

use crate::app::App;
use crate::body::{Body, Object};
use crate::door::Caller;
use crate::problem::Problem;
use crate::query::Task;
use crate::tasks::TaskPath;
use crate::view::time;

/// Calls in one request.
const STEPS_MAX: usize = 16;

/// A tool.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct ToolView {
    /// What it is called by.
    name: String,
    /// What it does.
    description: String,
    /// What it reaches for: `read`, `write`, `run` or `external`.
    permission: Option<String>,
    /// The external server that it is of; none for our own.
    server: Option<String>,
    /// Whether a call that a crash cut off may be made again.
    is_repeatable: bool,
    /// The JSON Schema of its arguments.
    #[schema(value_type = Object)]
    input_schema: Map<String, Value>,
}

impl ToolView {
    fn of(spec: Spec) -> Self {
        Self {
            name: spec.name.to_string(),
            description: spec.description,
            permission: word(&spec.permission),
            server: match spec.source {
                Source::BuiltIn => None,
                Source::Server(name) => Some(name.to_string()),
            },
            is_repeatable: spec.repeatable,
            input_schema: spec.input_schema,
        }
    }
}

/// The tools.
#[derive(Debug, Serialize, ToSchema)]
pub struct ToolList {
    /// In the order of their names.
    tools: Vec<ToolView>,
    /// How the external servers are; empty for whoever is no admin.
    #[schema(value_type = Vec<Object>)]
    servers: Vec<Value>,
}

impl ToolList {
    /// These tools, and how these external servers are.
    pub fn new(tools: Vec<Spec>, servers: Vec<Value>) -> Self {
        let tools = tools.into_iter().map(ToolView::of).collect();
        Self { tools, servers }
    }
}

/// List the tools that may be called on a task, by its agents or by you.
#[utoipa::path(get, path = "/tools", tag = "tools", responses((status = 200, body = ToolList)))]
pub(crate) async fn list(State(app): State<App>, caller: Caller) -> Json<ToolList> {
    let servers = match caller.may_see_server() {
        Ok(()) => app.servers.status(),
        Err(_) => Vec::new(),
    };
    Json(ToolList::new(app.tasks.tools(), servers))
}

/// One call.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct ToolStep {
    /// The tool.
    #[schema(min_length = 1, max_length = 128)]
    name: String,
    /// Its arguments. In a later step `{"$from": 0}` stands for the text that step 0 answered, and with
    /// a `pointer` for a part of its `text` and `structured`.
    #[schema(value_type = Option<Object>)]
    arguments: Option<Map<String, Value>>,
}

/// Calls, one after the other.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct ToolCalls {
    /// The first that fails is the last.
    #[schema(value_type = Vec<ToolStep>, min_items = 1, max_items = 16)]
    steps: Vec<Object<ToolStep>>,
}

/// How a call ended.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct CallView {
    /// `ok`, `failed` or `refused`.
    outcome: &'static str,
    /// More about a failure or a refusal, in a word.
    kind: Option<String>,
    /// What the tool answered, or why it did not.
    text: String,
    /// The same for programs.
    #[schema(value_type = Option<Object>)]
    structured: Option<Value>,
    /// Whether something of the answer is missing.
    is_truncated: bool,
    /// How long it took.
    wall_ms: u64,
}

impl CallView {
    fn of(completed: Completed) -> Self {
        let (outcome, kind) = match completed.outcome {
            Outcome::Ok => ("ok", None),
            Outcome::Failed(kind) => ("failed", word(&kind)),
            Outcome::Refused(kind) => ("refused", word(&kind)),
        };
        Self {
            outcome,
            kind,
            text: completed.text,
            structured: completed.structured,
            is_truncated: completed.truncated,
            wall_ms: completed.wall_ms,
        }
    }
}

/// What came of calls.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct CallsView {
    /// How each ended that was reached.
    completed: Vec<CallView>,
    /// Where it stopped, from 0, if that was before the end.
    stopped_at: Option<usize>,
    /// Why.
    reason: Option<String>,
}

/// Call tools on a task. Each call is recorded as events of the task; leaving ends what is under way.
#[utoipa::path(
    post, path = "/tasks/{task_id}/tools", tag = "tools", params(TaskPath),
    request_body = ToolCalls, responses((status = 200, body = CallsView)),
)]
pub(crate) async fn call(
    State(app): State<App>,
    caller: Caller,
    Task(task): Task,
    Body(calls): Body<ToolCalls>,
) -> Result<Json<CallsView>, Problem> {
    caller.may_do()?;
    if calls.steps.is_empty() || calls.steps.len() > STEPS_MAX {
        let detail = format!("`steps` has 1 to {STEPS_MAX} entries");
        return Err(Problem::field("steps", detail));
    }
    let steps = calls.steps.into_iter().map(|Object(step)| Request {
        name: step.name,
        arguments: step.arguments.unwrap_or_default(),
    });
    let cancel = CancellationToken::new();
    let _leaving = cancel.clone().drop_guard();
    // In a task of its own: what was begun has its end recorded, also when nobody waits any more.
    let (steps, tasks) = (steps.collect(), app.tasks.clone());
    let calls = async move {
        let chain = tasks.call_tools(&caller.principal, &task, steps, &cancel);
        chain.await
    };
    let chain = tokio::spawn(calls).await.map_err(|error| {
        tracing::error!(%error, "calling tools panicked");
        Problem::defect()
    })??;
    Ok(Json(CallsView {
        completed: chain.completed.into_iter().map(CallView::of).collect(),
        stopped_at: chain.stopped.as_ref().map(|stopped| stopped.step),
        reason: chain.stopped.map(|stopped| stopped.why),
    }))
}

/// An agent at work.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct AgentView {
    /// Its name within its task.
    agent: String,
    /// Its task.
    task_id: String,
    /// `planner`, `coder`, `tester` or `fixer`.
    role: String,
    /// What it is to do: `look_up`, `plan`, `code`, `tests`, `fix` or `review`.
    purpose: Option<String>,
    /// For which module.
    module: Option<String>,
    /// Steps so far in which it called tools.
    steps: u32,
    /// `deciding`, `asking` the model, or `calling` a tool.
    doing: &'static str,
    /// The tool that it calls.
    tool: Option<String>,
    /// Since when.
    since: Option<String>,
}

impl AgentView {
    fn of(living: LivingAgent) -> Self {
        let (doing, tool) = match living.doing {
            Doing::Deciding => ("deciding", None),
            Doing::Asking => ("asking", None),
            Doing::Calling(tool) => ("calling", Some(tool)),
        };
        Self {
            agent: living.agent,
            task_id: living.task_id.to_string(),
            role: living.role,
            purpose: word(&living.purpose),
            module: living.module.map(|module| module.to_string()),
            steps: living.steps,
            doing,
            tool,
            since: time(Some(living.since)),
        }
    }
}

/// The agents at work.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct AgentList {
    /// By task.
    agents: Vec<AgentView>,
}

/// List your agents that are at work now. What an agent did is in its task's events.
#[utoipa::path(get, path = "/agents", tag = "tools", responses((status = 200, body = AgentList)))]
pub(crate) async fn agents(State(app): State<App>, caller: Caller) -> Json<AgentList> {
    let agents = app.tasks.agents(&caller.principal);
    Json(AgentList {
        agents: agents.into_iter().map(AgentView::of).collect(),
    })
}
