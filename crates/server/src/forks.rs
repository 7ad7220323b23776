//! Retries and forks: a new task that starts an earlier one again, from its beginning or from a past event.

use axum::extract::State;
use axum::http::HeaderMap;
use axum::response::Response;
use journeyman_api::limits::{ANSWERS_MAX, changed_limits, check_count, check_text};
use journeyman_api::{
    Accepted, ForkQuery, ForkTask, GivenAnswer, IdempotencyKey, PriorityWord, RetryTask, TaskPath,
    task_name,
};
use journeyman_event::payload::TaskSubmitted;
use journeyman_language::of_submission;
use journeyman_tasks::{ForkRequest, check_may_change};
use journeyman_workflow::{examples_notice, left_out_notice, prompt_note};

use crate::app::App;
use crate::auth::Caller;
use crate::body::MaybeBody;
use crate::problem::Rejection;
use crate::query::{Task, ValidQuery};
use crate::tasks::{accepted, idempotency_key};

/// Do a task once more, from its beginning, as a new task.
#[utoipa::path(
    post, path = "/tasks/{task_id}/retry", tag = "tasks", params(TaskPath, IdempotencyKey),
    request_body = Option<RetryTask>, responses((status = 202, body = Accepted)),
)]
pub(crate) async fn retry(
    State(app): State<App>,
    caller: Caller,
    Task(task): Task,
    headers: HeaderMap,
    MaybeBody(asked): MaybeBody<RetryTask>,
) -> Result<Response, Rejection> {
    let fork = ForkRequest {
        idempotency_key: idempotency_key(asked.idempotency_key, &headers)?,
        ..ForkRequest::default()
    };
    let submitted = app.tasks.fork(&caller.principal, &task, fork).await?;
    Ok(accepted(submitted, Vec::new(), &headers))
}

/// Start a new task from a past event of this one: what was reached up to then is its too.
#[utoipa::path(
    post, path = "/tasks/{task_id}/fork", tag = "tasks", params(TaskPath, ForkQuery, IdempotencyKey),
    request_body = Option<ForkTask>, responses((status = 202, body = Accepted)),
)]
pub(crate) async fn fork(
    State(app): State<App>,
    caller: Caller,
    Task(task): Task,
    ValidQuery(query): ValidQuery<ForkQuery>,
    headers: HeaderMap,
    MaybeBody(changes): MaybeBody<ForkTask>,
) -> Result<Response, Rejection> {
    check_may_change(&caller.principal)?; // before it is told whether there is such a task
    let parent = app.tasks.current(&caller.principal, &task).await?;
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
        at: Some(query.at.sequence()),
        content: Some(content),
        task_id: task_id.map(|text| task_name("task_id", text)).transpose()?,
        idempotency_key: idempotency_key(changes.idempotency_key, &headers)?,
    };
    let notices = fork.content.as_ref().map(notices).unwrap_or_default();
    let submitted = app.tasks.fork(&caller.principal, &task, fork).await?;
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
