//! The tools that may be called on a task, and the active agents.

use axum::Json;
use axum::extract::State;
use axum::http::HeaderMap;
use journeyman_api::{
    AgentList, AgentView, CallView, CallsView, IfMatch, TaskPath, ToolCalls, ToolList, ToolView,
};
use journeyman_event::word;
use journeyman_tools::{Completed, Outcome, Request, Source, Spec};
use journeyman_workflow::{ActiveAgent, AgentActivity};
use serde_json::Value;
use tokio_util::sync::CancellationToken;

use crate::app::App;
use crate::auth::Caller;
use crate::body::Body;
use crate::conditions::Precondition;
use crate::interventions::{not_done, only_at};
use crate::problem::{Rejection, defect};
use crate::query::Task;
use crate::view::time;

fn tool(spec: Spec) -> ToolView {
    ToolView {
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

/// A list of these tools, with the status of these external servers.
pub fn tool_list(tools: Vec<Spec>, servers: Vec<Value>) -> ToolList {
    let tools = tools.into_iter().map(tool).collect();
    ToolList { tools, servers }
}

/// List the tools that may be called on a task by its agents and by you.
#[utoipa::path(get, path = "/tools", tag = "tools", responses((status = 200, body = ToolList)))]
pub(crate) async fn list(State(app): State<App>, caller: Caller) -> Json<ToolList> {
    let servers = match caller.may_see_server() {
        Ok(()) => app.servers.status(),
        Err(_) => Vec::new(),
    };
    Json(tool_list(app.tasks.tools(), servers))
}

fn ended(completed: Completed) -> CallView {
    let (outcome, kind) = match completed.outcome {
        Outcome::Ok => ("ok", None),
        Outcome::Failed(kind) => ("failed", word(&kind)),
        Outcome::Refused(kind) => ("refused", word(&kind)),
    };
    CallView {
        outcome: outcome.to_owned(),
        kind,
        text: completed.text,
        structured: completed.structured,
        is_truncated: completed.truncated,
        wall_ms: completed.wall_ms,
    }
}

/// Call tools on a task. Each call is recorded as events of the task. Closing the connection cancels a running call.
#[utoipa::path(
    post, path = "/tasks/{task_id}/tools", tag = "tools", params(TaskPath, IfMatch),
    request_body = ToolCalls, responses((status = 200, body = CallsView)),
)]
pub(crate) async fn call(
    State(app): State<App>,
    caller: Caller,
    Task(task): Task,
    only_if: Precondition,
    headers: HeaderMap,
    Body(calls): Body<ToolCalls>,
) -> Result<Json<CallsView>, Rejection> {
    let steps = calls.checked()?.into_iter().map(|step| Request {
        name: step.name,
        arguments: step.arguments.unwrap_or_default(),
    });
    let principal = &caller.principal;
    let only_at = only_at(&only_if, &app, principal, &task, &headers).await?;
    let cancel = CancellationToken::new();
    let _leaving = cancel.clone().drop_guard();
    // In a task of its own: what was begun has its end recorded, also when nobody waits any more.
    let (steps, tasks) = (steps.collect(), app.tasks.clone());
    let (owner, named) = (principal.clone(), task.clone());
    let calls = async move {
        let chain = tasks.call_tools(&owner, &named, steps, only_at, &cancel);
        chain.await
    };
    let chain = tokio::spawn(calls).await.map_err(|error| {
        tracing::error!(%error, "calling tools panicked");
        defect()
    })?;
    let chain = match chain {
        Ok(chain) => chain,
        Err(error) => return Err(not_done(error, &app, principal, &task, &headers).await),
    };
    Ok(Json(CallsView {
        completed: chain.completed.into_iter().map(ended).collect(),
        stopped_at: chain.stopped.as_ref().map(|stopped| stopped.step),
        reason: chain.stopped.map(|stopped| stopped.why),
    }))
}

fn agent(active: ActiveAgent) -> AgentView {
    let (doing, tool) = match active.doing {
        AgentActivity::Deciding => ("deciding", None),
        AgentActivity::Asking => ("asking", None),
        AgentActivity::Calling(tool) => ("calling", Some(tool)),
    };
    AgentView {
        agent: active.agent,
        task_id: active.task_id.to_string(),
        role: active.role,
        purpose: word(&active.purpose),
        module: active.module.map(|module| module.to_string()),
        steps: active.steps,
        doing: doing.to_owned(),
        tool,
        since: time(Some(active.since)),
    }
}

/// List your agents that are working now. What an agent has done is in its task's events.
#[utoipa::path(get, path = "/agents", tag = "tools", responses((status = 200, body = AgentList)))]
pub(crate) async fn agents(State(app): State<App>, caller: Caller) -> Json<AgentList> {
    let agents = app.tasks.agents(&caller.principal);
    Json(AgentList {
        agents: agents.into_iter().map(agent).collect(),
    })
}
