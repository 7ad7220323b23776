//! What a user does to a running task. The answer comes when it is durable.

use axum::Json;
use axum::extract::State;
use axum::http::HeaderMap;
use journeyman_api::limits::{QUESTION_CHARS_MAX, changed_limits};
use journeyman_api::{NewIntervention, Nothing, Problem, TaskPath, TaskView};
use journeyman_event::{ModuleName, TaskId};
use journeyman_tasks::Intervention;
use serde_json::{Map, Value};

use crate::app::App;
use crate::auth::Caller;
use crate::body::{Body, MaybeBody};
use crate::problem::Rejection;
use crate::query::Task;
use crate::tasks::checked_out;
use crate::view;

/// Do something to a task.
#[utoipa::path(
    post, path = "/tasks/{task_id}/interventions", tag = "tasks", params(TaskPath),
    request_body = NewIntervention, responses((status = 200, body = TaskView)),
)]
pub(crate) async fn intervene(
    State(app): State<App>,
    caller: Caller,
    Task(task): Task,
    headers: HeaderMap,
    Body(body): Body<Map<String, Value>>,
) -> Result<Json<TaskView>, Rejection> {
    apply(&app, &caller, &task, body, &headers).await.map(Json)
}

/// Does what a body says, over whichever protocol it came.
pub(crate) async fn apply(
    app: &App,
    caller: &Caller,
    task: &TaskId,
    body: Map<String, Value>,
    headers: &HeaderMap,
) -> Result<TaskView, Rejection> {
    app.auth.recheck(caller)?; // a socket is open for long
    let intervention = match NewIntervention::read(&Value::Object(body))? {
        NewIntervention::Instruction { instruction } => Intervention::Instruct { instruction },
        NewIntervention::Answer { question, answer } => {
            if let Some(question) = &question
                && question.chars().count() > QUESTION_CHARS_MAX
            {
                let detail =
                    format!("`question` has more than {QUESTION_CHARS_MAX} characters; shorten it");
                return Err(Problem::too_large(detail).of_field("question").into());
            }
            Intervention::Answer { question, answer }
        }
        NewIntervention::EditFile { path, source } => Intervention::EditFile { path, source },
        NewIntervention::SkipModule { module } => {
            // What has folders in it is the path of its file.
            if !module.contains('/') {
                let named = ModuleName::new(module.as_str());
                named.map_err(|error| Problem::field("module", error.to_string()))?;
            }
            Intervention::SkipModule { module }
        }
        NewIntervention::Pause {} => Intervention::Pause,
        NewIntervention::Cancel {} => Intervention::Cancel,
        NewIntervention::Resume {
            budget,
            timeout,
            max_iterations,
            out,
        } => {
            let out = checked_out(out, caller)?;
            let says_something = budget.is_some() || timeout.is_some() || max_iterations.is_some();
            let new = if says_something {
                let state = app.tasks.current(&caller.principal, task).await?;
                Some(changed_limits(
                    state.limits,
                    budget,
                    timeout,
                    max_iterations,
                )?)
            } else {
                None
            };
            Intervention::Resume { limits: new, out }
        }
    };
    does(app, caller, task, intervention, headers).await
}

async fn does(
    app: &App,
    caller: &Caller,
    task: &TaskId,
    intervention: Intervention,
    headers: &HeaderMap,
) -> Result<TaskView, Rejection> {
    let principal = &caller.principal;
    app.tasks.intervene(principal, task, intervention).await?;
    view::task_now(app, principal, task, headers).await
}

/// End a task, wherever it is. Again is the same as once.
#[utoipa::path(
    post, path = "/tasks/{task_id}/cancel", tag = "tasks", params(TaskPath),
    request_body = Option<Nothing>, responses((status = 200, body = TaskView)),
)]
pub(crate) async fn cancel(
    State(app): State<App>,
    caller: Caller,
    Task(task): Task,
    headers: HeaderMap,
    MaybeBody(Nothing {}): MaybeBody<Nothing>,
) -> Result<Json<TaskView>, Rejection> {
    does(&app, &caller, &task, Intervention::Cancel, &headers)
        .await
        .map(Json)
}
