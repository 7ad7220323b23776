//! A task once more, from its beginning or from a past event, as a new task.

use axum::extract::State;
use axum::http::HeaderMap;
use axum::response::Response;
use journeyman_event::payload::TaskSubmitted;
use journeyman_tasks::ForkOf;
use journeyman_workflow::limits::{ANSWERS_MAX, check_count, check_text};
use journeyman_workflow::{examples_notice, left_out_notice, prompt_note, tests_in_prompt};
use serde::Deserialize;
use utoipa::{IntoParams, ToSchema};

use crate::app::App;
use crate::body::{MaybeBody, Whole};
use crate::door::Caller;
use crate::problem::Problem;
use crate::query::{Asked, Position, Task};
use crate::tasks::{
    Answer, IdempotencyKey, PriorityWord, TaskPath, accepted, idempotency_key, limits, task_name,
};
use crate::view::Accepted;

/// What is said of another try.
#[derive(Debug, Default, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct RetryTask {
    /// The same key again is the same task again. `Idempotency-Key` says the same.
    #[schema(pattern = "^[\\x21-\\x7e]{1,200}$")]
    idempotency_key: Option<String>,
}

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
) -> Result<Response, Problem> {
    caller.may_do()?;
    let fork = ForkOf {
        idempotency_key: idempotency_key(asked.idempotency_key, &headers)?,
        ..ForkOf::default()
    };
    let submitted = app.tasks.fork(&caller.principal, &task, fork).await?;
    Ok(accepted(submitted, Vec::new(), &headers))
}

/// What is different in a fork; what is not said stays as it was.
#[derive(Debug, Default, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct ForkTask {
    /// What is wanted.
    #[schema(pattern = "\\S", max_length = 100_000)]
    prompt: Option<String>,
    /// Answers given beforehand.
    #[schema(max_items = 1_000)]
    answers: Option<Vec<Answer>>,
    /// How urgent it is.
    priority: Option<PriorityWord>,
    /// Tokens that it may spend, those that the past has spent included.
    #[schema(value_type = Option<u64>, minimum = 1, maximum = 1_000_000_000_000_u64)]
    budget: Option<Whole>,
    /// Seconds that it may work.
    #[schema(minimum = 0, maximum = 31_536_000)]
    timeout: Option<f64>,
    /// Code versions tried for a module.
    #[schema(value_type = Option<u32>, minimum = 1, maximum = 1_000)]
    max_iterations: Option<Whole>,
    /// Its name; drawn if nothing is said.
    #[schema(pattern = "^[A-Za-z0-9][A-Za-z0-9._:-]{0,199}$")]
    task_id: Option<String>,
    /// The same key and content again is the same task again. `Idempotency-Key` says the same.
    #[schema(pattern = "^[\\x21-\\x7e]{1,200}$")]
    idempotency_key: Option<String>,
}

#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct ForkQuery {
    /// The last position of the task's past that counts: its first event's or a later one.
    #[param(value_type = u64, minimum = 0)]
    at: Position,
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
    Asked(query): Asked<ForkQuery>,
    headers: HeaderMap,
    MaybeBody(changes): MaybeBody<ForkTask>,
) -> Result<Response, Problem> {
    caller.may_do()?;
    let parent = app.tasks.current(&caller.principal, &task).await?;
    let asked = parent.submission.clone();
    let mut content = asked.unwrap_or_else(|| TaskSubmitted::of(""));
    content.out = None;
    content.limits = limits(
        content.limits,
        changes.budget,
        changes.timeout,
        changes.max_iterations,
    )?;
    if let Some(prompt) = changes.prompt {
        check_text("prompt", &prompt)?;
        content = content.with_prompt(prompt, tests_in_prompt);
    }
    if let Some(answers) = changes.answers {
        check_count("answers", answers.len(), ANSWERS_MAX)?;
        for Answer(answer) in &answers {
            check_text("answers", answer)?;
        }
        content.answers = answers.into_iter().map(|Answer(text)| text).collect();
    }
    if let Some(PriorityWord(priority)) = changes.priority {
        content.priority = priority;
    }
    let task_id = changes.task_id.as_deref();
    let fork = ForkOf {
        at: Some(query.at.sequence()),
        content: Some(content),
        task_id: task_id.map(|text| task_name("task_id", text)).transpose()?,
        idempotency_key: idempotency_key(changes.idempotency_key, &headers)?,
    };
    let notices = fork.content.as_ref().map(notices).unwrap_or_default();
    let submitted = app.tasks.fork(&caller.principal, &task, fork).await?;
    Ok(accepted(submitted, notices, &headers))
}

/// What is said of a fork's prompt before work begins.
fn notices(content: &TaskSubmitted) -> Vec<String> {
    let all = [
        examples_notice(&content.tests),
        left_out_notice(content),
        prompt_note(&content.prompt),
    ];
    all.into_iter().flatten().collect()
}
