//! Retries and forks: a new task that starts an earlier one again, from its beginning or from a past event.

use axum::extract::State;
use axum::http::HeaderMap;
use axum::response::Response;
use journeyman_api::limits::{ANSWERS_MAX, changed_limits, check_count, check_text};
use journeyman_api::{
    Accepted, ForkQuery, ForkTask, GivenAnswer, IdempotencyKey, IfMatch, PriorityWord, Problem,
    RetryTask, TaskPath, new_task_name,
};
use journeyman_event::payload::TaskSubmitted;
use journeyman_event::{Principal, TaskId};
use journeyman_language::of_submission;
use journeyman_tasks::{ForkRequest, Submitted, check_may_change};
use journeyman_workflow::{examples_notice, left_out_notice, prompt_note};

use crate::app::App;
use crate::auth::Caller;
use crate::body::MaybeBody;
use crate::conditions::Precondition;
use crate::interventions::{not_done, only_at};
use crate::problem::Rejection;
use crate::query::{Task, ValidQuery};
use crate::tasks::{accepted, both_moments, idempotency_key, state_at_version, trace_context};

/// Start a task again from its beginning, as a new task.
#[utoipa::path(
    post, path = "/tasks/{task_id}/retry", tag = "tasks", params(TaskPath, IdempotencyKey, IfMatch),
    request_body = Option<RetryTask>, responses((status = 202, body = Accepted)),
)]
pub(crate) async fn retry(
    State(app): State<App>,
    caller: Caller,
    Task(task): Task,
    only_if: Precondition,
    headers: HeaderMap,
    MaybeBody(asked): MaybeBody<RetryTask>,
) -> Result<Response, Rejection> {
    let fork = ForkRequest {
        idempotency_key: idempotency_key(asked.idempotency_key, &headers)?,
        only_at: only_at(&only_if, &app, &caller.principal, &task, &headers).await?,
        key: caller.key(),
        trace: trace_context(&headers),
        ..ForkRequest::default()
    };
    let submitted = forked(&app, &caller.principal, &task, fork, &headers).await?;
    Ok(accepted(submitted, Vec::new(), &headers))
}

async fn forked(
    app: &App,
    principal: &Principal,
    task: &TaskId,
    fork: ForkRequest,
    headers: &HeaderMap,
) -> Result<Submitted, Rejection> {
    match app.tasks.fork(principal, task, fork).await {
        Ok(submitted) => Ok(submitted),
        Err(error) => Err(not_done(error, app, principal, task, headers).await),
    }
}

/// Start a new task from a past event of this one. The new task begins with a copy of the events up to it.
#[utoipa::path(
    post, path = "/tasks/{task_id}/fork", tag = "tasks", params(TaskPath, ForkQuery, IdempotencyKey, IfMatch),
    request_body = Option<ForkTask>, responses((status = 202, body = Accepted)),
)]
pub(crate) async fn fork(
    State(app): State<App>,
    caller: Caller,
    Task(task): Task,
    ValidQuery(query): ValidQuery<ForkQuery>,
    only_if: Precondition,
    headers: HeaderMap,
    MaybeBody(changes): MaybeBody<ForkTask>,
) -> Result<Response, Rejection> {
    check_may_change(&caller.principal)?; // before it is told whether there is such a task
    let parent = app.tasks.current(&caller.principal, &task).await?;
    let at = match (query.at, query.version) {
        (Some(at), None) => at.sequence(),
        (None, Some(version)) => {
            let then = state_at_version(version, &app, &caller.principal, &task);
            then.await?.sequence
        }
        (Some(_), Some(_)) => return Err(both_moments().into()),
        (None, None) => {
            let detail = "the query parameter `at` is missing: `?at=`, or `?version=`";
            return Err(Problem::field("at", detail).into());
        }
    };
    let asked = parent.submission.clone();
    let mut content = asked.unwrap_or_else(|| TaskSubmitted::of(""));
    content.out = None;
    content.limits = changed_limits(
        content.limits,
        changes.budget,
        changes.timeout,
        changes.max_iterations,
    )?;
    if let Some(prompt) = changes.prompt {
        check_text("prompt", &prompt)?;
        let language = of_submission(&content);
        content = content.with_prompt(prompt, |prompt| language.examples(prompt).tests);
    }
    if let Some(answers) = changes.answers {
        check_count("answers", answers.len(), ANSWERS_MAX)?;
        for GivenAnswer(answer) in &answers {
            check_text("answers", answer)?;
        }
        content.answers = answers.into_iter().map(|GivenAnswer(text)| text).collect();
    }
    if let Some(PriorityWord(priority)) = changes.priority {
        content.priority = priority;
    }
    let task_id = changes.task_id.as_deref();
    let fork = ForkRequest {
        at: Some(at),
        content: Some(content),
        task_id: task_id
            .map(|text| new_task_name("task_id", text))
            .transpose()?,
        idempotency_key: idempotency_key(changes.idempotency_key, &headers)?,
        key: caller.key(),
        trace: trace_context(&headers),
        only_at: only_at(&only_if, &app, &caller.principal, &task, &headers).await?,
    };
    let notices = fork.content.as_ref().map(notices).unwrap_or_default();
    let submitted = forked(&app, &caller.principal, &task, fork, &headers).await?;
    Ok(accepted(submitted, notices, &headers))
}

/// Notices about a fork's prompt, given before work starts.
fn notices(content: &TaskSubmitted) -> Vec<String> {
    let all = [
        examples_notice(of_submission(content), &content.tests),
        left_out_notice(content),
        prompt_note(&content.prompt),
    ];
    all.into_iter().flatten().collect()
}
