//! What a user does to a running task. The answer comes when it is durable.

use axum::extract::State;
use axum::http::HeaderMap;
use axum::response::Response;
use journeyman_api::limits::{QUESTION_CHARS_MAX, changed_limits};
use journeyman_api::{IfMatch, NewIntervention, Nothing, Problem, TaskPath, TaskView};
use journeyman_event::{ModuleName, Principal, TaskId};
use journeyman_tasks::{Error, Intervention, OnlyAt};
use serde_json::{Map, Value};

use crate::app::App;
use crate::auth::Caller;
use crate::body::{Body, MaybeBody};
use crate::conditions::{ExpectedVersions, Precondition};
use crate::problem::Rejection;
use crate::query::Task;
use crate::tasks::checked_out;
use crate::view::Shown;

/// Intervene in a task: give an instruction, answer a question, replace a file, skip a module, pause, resume or cancel.
/// The response is the task after the change.
#[utoipa::path(
    post, path = "/tasks/{task_id}/interventions", tag = "tasks", params(TaskPath, IfMatch),
    request_body = NewIntervention,
    responses((status = 200, body = TaskView, headers(("ETag" = String, description = "The entity tag of the task as it is returned")))),
)]
pub(crate) async fn intervene(
    State(app): State<App>,
    caller: Caller,
    Task(task): Task,
    only_if: Precondition,
    headers: HeaderMap,
    Body(body): Body<Map<String, Value>>,
) -> Result<Response, Rejection> {
    let only_at = only_at(&only_if, &app, &caller.principal, &task, &headers).await?;
    let done = apply(&app, &caller, &task, body, only_at, &headers).await?;
    done.changed()
}

/// The versions of a task at which a request may change it. A full tag is compared with that of the task as it is now;
/// if they differ, it names a state that the task no longer has.
pub(crate) async fn only_at(
    only_if: &Precondition,
    app: &App,
    principal: &Principal,
    task: &TaskId,
    headers: &HeaderMap,
) -> Result<OnlyAt, Rejection> {
    let (mut versions, tags) = match only_if.expected_versions() {
        ExpectedVersions::Any => return Ok(OnlyAt::Any),
        ExpectedVersions::Versions(versions, tags) => (versions, tags),
    };
    if !tags.is_empty() {
        let now = Shown::now(app, principal, task, headers).await?;
        if tags
            .iter()
            .any(|tag| now.tag.quoted() == format!("\"{tag}\""))
        {
            versions.push(now.view.revision);
        }
    }
    Ok(OnlyAt::OneOf(versions))
}

/// The problem for an operation on a task that failed. If the task has another version than the request names, the
/// problem has the task's current version and tag.
pub(crate) async fn not_done(
    error: Error,
    app: &App,
    principal: &Principal,
    task: &TaskId,
    headers: &HeaderMap,
) -> Rejection {
    let Error::OtherVersion { .. } = error else {
        return error.into();
    };
    match Shown::now(app, principal, task, headers).await {
        Ok(now) => {
            let version = now.view.revision;
            let task = task.clone();
            let detail = Error::OtherVersion { task, version }.to_string();
            Problem::other_version(detail, Some(version), Some(now.tag.quoted())).into()
        }
        Err(rejection) => rejection,
    }
}

/// Applies the intervention in a body, for REST and for sockets.
pub(crate) async fn apply(
    app: &App,
    caller: &Caller,
    task: &TaskId,
    body: Map<String, Value>,
    only_at: OnlyAt,
    headers: &HeaderMap,
) -> Result<Shown, Rejection> {
    app.auth.recheck(caller)?; // a socket can stay open after its token was revoked
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
        NewIntervention::Keep {} => Intervention::Keep,
        NewIntervention::Unkeep {} => Intervention::Unkeep,
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
    does(app, caller, task, intervention, only_at, headers).await
}

async fn does(
    app: &App,
    caller: &Caller,
    task: &TaskId,
    intervention: Intervention,
    only_at: OnlyAt,
    headers: &HeaderMap,
) -> Result<Shown, Rejection> {
    let principal = &caller.principal;
    let done = app.tasks.intervene(principal, task, intervention, only_at);
    match done.await {
        Ok(_) => Shown::now(app, principal, task, headers).await,
        Err(error) => Err(not_done(error, app, principal, task, headers).await),
    }
}

/// Cancel a task, whether it waits, runs or is paused. Repeating the request changes nothing, unless it names a version.
#[utoipa::path(
    post, path = "/tasks/{task_id}/cancel", tag = "tasks", params(TaskPath, IfMatch),
    request_body = Option<Nothing>,
    responses((status = 200, body = TaskView, headers(("ETag" = String, description = "The entity tag of the task as it is returned")))),
)]
pub(crate) async fn cancel(
    State(app): State<App>,
    caller: Caller,
    Task(task): Task,
    only_if: Precondition,
    headers: HeaderMap,
    MaybeBody(Nothing {}): MaybeBody<Nothing>,
) -> Result<Response, Rejection> {
    let only_at = only_at(&only_if, &app, &caller.principal, &task, &headers).await?;
    let done = does(
        &app,
        &caller,
        &task,
        Intervention::Cancel,
        only_at,
        &headers,
    )
    .await?;
    done.changed()
}
