//! Tasks: submitting, listing, viewing.

use std::sync::Arc;
use std::time::Duration;

use axum::Json;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use journeyman_api::json::{Object, Whole};
use journeyman_api::limits::{
    PLACE_WAIT_MS_MAX, TESTS_MAX, changed_limits, check_count, check_source, check_text,
    page_limit, wait_ms,
};
use journeyman_api::{
    Accepted, At, CheckedTask, GivenAnswer, IdempotencyKey, IfMatch, IfNoneMatch, Language,
    ListQuery, NewTask, NewTest, Position, Problem, TaskPage, TaskPath, TaskQuery, TaskView,
    ToolPattern, check_webhook, new_task_name, references_file,
};
use journeyman_event::payload::{GivenTest, Limits, TaskSubmitted, TaskWebhook};
use journeyman_event::{Principal, Priority, Revision, Sequence, TaskId, TaskState, TraceContext};
use journeyman_journal::Moment;
use journeyman_language::{default_language, find};
use journeyman_queue::WhenFull;
use journeyman_tasks::{Submission, Submitted};
use journeyman_workflow::{GivenTests, load_at, prompt_note, prompt_problem};

use crate::app::App;
use crate::auth::Caller;
use crate::body::Body;
use crate::conditions::{Conditions, json, to_bytes};
use crate::problem::Rejection;
use crate::query::{Task, ValidQuery};
use crate::view::{self, Shown};

/// The number of tasks on a page if the request names no limit.
const PAGE: usize = 50;

/// The given tests, and notices about them.
fn given_tests(
    mut tests: GivenTests<'_>,
    files: Option<Vec<Object<NewTest>>>,
) -> Result<(Vec<GivenTest>, Vec<String>), Problem> {
    let files = files.unwrap_or_default();
    check_count("tests", files.len(), TESTS_MAX)?;
    for Object(NewTest { name, source }) in files {
        check_source("tests", &source)?;
        let added = tests.add(&name, &format!("{name:?}"), source);
        added.map_err(|problem| Problem::field("tests", format!("{name}: {problem}")))?;
    }
    let finished = tests.finish();
    finished.map_err(|problem| Problem::field("tests", problem))
}

/// The submission described by a body, and notices about what was changed.
fn submission(
    task: NewTask,
    app: &App,
    caller: &Caller,
    headers: &HeaderMap,
) -> Result<(Submission, Vec<String>), Problem> {
    check_text("prompt", &task.prompt)?; // tests are looked for in it
    if let Some(problem) = prompt_problem(&task.prompt) {
        return Err(Problem::field("prompt", format!("`prompt`: {problem}")));
    }
    let no_examples = !task.examples.unwrap_or(true);
    let answers = task.answers.unwrap_or_default();
    if let Some(model) = task
        .model
        .filter(|model| *model != app.model && !model.is_empty())
    {
        let detail = format!("this server works with {}, not with {model}", app.model);
        return Err(Problem::field("model", detail));
    }
    let out = checked_out(task.out, caller)?;
    let webhook = task.webhook.map(|Object(webhook)| webhook.into());
    let webhook = checked_webhook(webhook, app, caller)?;
    let wait_ms = wait_ms(task.wait_ms.map(|Whole(ms)| ms), PLACE_WAIT_MS_MAX)?;
    let task_id = task.task_id.as_deref();
    let task_id = task_id
        .map(|text| new_task_name("task_id", text))
        .transpose()?;
    let depends_on = task.depends_on.unwrap_or_default();
    let others = depends_on.iter().map(|name| name.checked("depends_on"));
    let limits = changed_limits(
        Limits::default(),
        task.budget,
        task.timeout,
        task.max_iterations,
    )?;
    let language = match task.language {
        None => default_language(),
        Some(Language(name)) => {
            find(&name).map_err(|error| Problem::field("language", error.to_string()))?
        }
    };
    let tests = if no_examples {
        GivenTests::without_examples(language, &task.prompt)
    } else {
        GivenTests::of_prompt(language, &task.prompt, None)
    };
    let (tests, notes) = given_tests(tests, task.tests)?;
    let content = TaskSubmitted {
        language: language.name().to_owned(),
        tests,
        no_examples,
        limits,
        out,
        priority: task.priority.map_or(Priority::MEDIUM, |word| word.0),
        answers: answers.into_iter().map(|GivenAnswer(text)| text).collect(),
        tools: task
            .tools
            .map(|all| all.into_iter().map(|ToolPattern(text)| text).collect()),
        review: task.review.unwrap_or_default(),
        summaries: task.summaries.unwrap_or_default(),
        ask: task.ask.unwrap_or_default(),
        depends_on: others.collect::<Result<_, _>>()?,
        webhook,
        project: task.project,
        key: caller.key(),
        trace: trace_context(headers),
        ..TaskSubmitted::of(task.prompt)
    };
    let content = CheckedTask::new(content)?;
    let submission = Submission {
        task_id,
        full: match wait_ms {
            0 => WhenFull::Refuse,
            ms => WhenFull::Wait(Duration::from_millis(ms)),
        },
        idempotency_key: idempotency_key(task.idempotency_key, headers)?,
        content,
    };
    Ok((submission, notes))
}

/// Checks a task's webhook, and whether the caller may use it.
fn checked_webhook(
    webhook: Option<TaskWebhook>,
    app: &App,
    caller: &Caller,
) -> Result<Option<TaskWebhook>, Problem> {
    let Some(webhook) = webhook else {
        return Ok(None);
    };
    check_webhook(&webhook)?;
    if references_file(&webhook) && !caller.is_local() {
        let detail = "`webhook` refers to a file on the server's machine, which is only allowed over the socket in \
                      its data folder: use env:JOURNEYMAN_WEBHOOK_... instead";
        return Err(Problem::forbidden(detail));
    }
    let checked = app.hooks.check(&webhook);
    checked.map_err(|error| Problem::field("webhook", format!("`webhook`: {error}")))?;
    Ok(Some(webhook))
}

/// The output folder in a request. Only a caller over the data folder's socket may name one.
pub(crate) fn checked_out(out: Option<String>, caller: &Caller) -> Result<Option<String>, Problem> {
    if out.is_some() && !caller.is_local() {
        let detail = "`out` names a folder on the server's machine and is accepted only over the socket in \
                      its data folder: leave it out and fetch the files";
        return Err(Problem::forbidden(detail));
    }
    Ok(out.filter(|out| !out.is_empty()))
}

/// The trace that a request belongs to, by its headers. Invalid ones are ignored, as their specification asks for.
pub(crate) fn trace_context(headers: &HeaderMap) -> Option<TraceContext> {
    let all = |name: &str| {
        let values = headers.get_all(name).iter();
        values.map(|value| value.to_str().unwrap_or_default())
    };
    TraceContext::read(all("traceparent"), all("tracestate"))
}

/// The idempotency key of a submission: from its body, from the header, or from both if they are equal.
pub(crate) fn idempotency_key(
    in_body: Option<String>,
    headers: &HeaderMap,
) -> Result<Option<String>, Problem> {
    let of_headers = headers.get_all("idempotency-key").iter();
    let of_headers = of_headers.map(|value| value.to_str().unwrap_or_default().to_owned());
    let mut keys = in_body.into_iter().chain(of_headers);
    let Some(key) = keys.next() else {
        return Ok(None);
    };
    let bad = |detail| Err(Problem::field("idempotency_key", detail));
    if keys.any(|other| other != key) {
        return bad(
            "two different idempotency keys are given; give one, in `Idempotency-Key` or in \
             `idempotency_key`",
        );
    }
    if !(1..=200).contains(&key.len()) || !key.bytes().all(|b| b.is_ascii_graphic()) {
        return bad("an idempotency key is 1 to 200 visible characters");
    }
    Ok(Some(key))
}

pub(crate) fn accepted(
    submitted: Submitted,
    notices: Vec<String>,
    headers: &HeaderMap,
) -> Response {
    let task = submitted.task_id;
    let location = [(header::LOCATION, format!("/api/v1/tasks/{task}"))];
    let accepted = Accepted {
        sequence: submitted.sequence.0,
        is_duplicate: submitted.is_duplicate,
        notices,
        urls: view::urls(&task, headers),
        task_id: task.to_string(),
    };
    (StatusCode::ACCEPTED, location, Json(accepted)).into_response()
}

/// Submit a task. The response is sent once the task is durable.
#[utoipa::path(
    post, path = "/tasks", tag = "tasks", request_body = NewTask,
    params(IdempotencyKey),
    responses((status = 202, body = Accepted, headers(("Location" = String, description = "The URL of the task")))),
)]
pub(crate) async fn submit(
    State(app): State<App>,
    caller: Caller,
    headers: HeaderMap,
    Body(task): Body<NewTask>,
) -> Result<Response, Rejection> {
    let (submission, mut notices) = submission(task, &app, &caller, &headers)?;
    notices.extend(prompt_note(&submission.content.content().prompt));
    let submitted = app.tasks.submit(&caller.principal, submission).await?;
    Ok(accepted(submitted, notices, &headers))
}

/// List your tasks, the most recently changed first.
#[utoipa::path(
    get, path = "/tasks", tag = "tasks", params(ListQuery, IfNoneMatch),
    responses((status = 200, body = TaskPage, headers(("ETag" = String, description = "The entity tag of this response")))),
)]
pub(crate) async fn list(
    State(app): State<App>,
    caller: Caller,
    ValidQuery(query): ValidQuery<ListQuery>,
    conditions: Conditions,
) -> Result<Response, Rejection> {
    let before = query.before.map_or(Sequence(u64::MAX), Position::sequence);
    let limit = page_limit(query.limit, PAGE)?;
    let status = query.status.map(Into::into);
    let (tasks, next) = app
        .tasks
        .list(&caller.principal, before, limit, status)
        .await?;
    let mut summaries = Vec::new();
    for listed in tasks {
        let recorded = (listed.listing.status, listed.listing.pause);
        let (principal, task) = (&caller.principal, &listed.task_id);
        let status = app.tasks.status_of(principal, task, recorded).await?;
        summaries.push(view::summary(listed, status));
    }
    conditions.json(&TaskPage {
        tasks: summaries,
        next: next.map(|sequence| sequence.0),
    })
}

/// The moment that a request names.
pub(crate) fn moment(at: At) -> Moment {
    match at {
        At::Position(position) => Moment::Sequence(position.sequence()),
        At::Time(time) => Moment::Time(time),
    }
}

/// The state of a task at a moment; now, if none is named.
pub(crate) async fn state_at(
    at: Option<At>,
    app: &App,
    principal: &Principal,
    task: &TaskId,
) -> Result<Arc<TaskState>, Rejection> {
    let Some(at) = at else {
        return Ok(app.tasks.current(principal, task).await?);
    };
    let moment = Some(moment(at));
    let state = load_at(app.tasks.journal(), principal, task, moment).await?;
    let none = || Problem::not_found(format!("task {task} did not exist at that point"));
    Ok(Arc::new(state.ok_or_else(none)?))
}

/// The problem for a request that names two moments of a task.
pub(crate) fn both_moments() -> Problem {
    let detail = "`at` and `version` both select a state of the task; leave one of them out";
    Problem::field("version", detail)
}

/// The state of a task at a version. A version that the task does not have yet is a problem with status 404, which
/// names the current version.
pub(crate) async fn state_at_version(
    version: u64,
    app: &App,
    principal: &Principal,
    task: &TaskId,
) -> Result<Arc<TaskState>, Rejection> {
    let now = app.tasks.current(principal, task).await?;
    if version == now.revision.0 {
        return Ok(now);
    }
    if version > now.revision.0 {
        let current = now.revision;
        let detail =
            format!("task {task} is at version {current}, and has no version {version} yet");
        let problem = Problem {
            version: Some(current.0),
            ..Problem::new(StatusCode::NOT_FOUND, "no-such-version", detail)
        };
        return Err(problem.into());
    }
    let moment = Some(Moment::Version(Revision(version)));
    let state = load_at(app.tasks.journal(), principal, task, moment).await?;
    // Version 0 is the empty state, before the first event.
    Ok(Arc::new(state.unwrap_or_default()))
}

/// Get a task, in its current state or an earlier one. Its version is its `revision`; the `ETag` begins with it.
#[utoipa::path(
    get, path = "/tasks/{task_id}", tag = "tasks", params(TaskPath, TaskQuery, IfMatch, IfNoneMatch),
    responses((status = 200, body = TaskView, headers(("ETag" = String, description = "The entity tag of this response; it begins with the task's version")))),
)]
pub(crate) async fn get(
    State(app): State<App>,
    caller: Caller,
    Task(task): Task,
    ValidQuery(query): ValidQuery<TaskQuery>,
    conditions: Conditions,
    headers: HeaderMap,
) -> Result<Response, Rejection> {
    let principal = &caller.principal;
    let shown = match (query.at, query.version) {
        (None, None) => Shown::now(&app, principal, &task, &headers).await?,
        (at @ Some(_), None) => {
            let state = state_at(at, &app, principal, &task).await?;
            Shown::at(&task, &state, &headers)?
        }
        (None, Some(version)) => {
            let state = state_at_version(version, &app, principal, &task).await?;
            Shown::at(&task, &state, &headers)?
        }
        (Some(_), Some(_)) => return Err(both_moments().into()),
    };
    let response = json(to_bytes(&shown.view)?);
    Ok(conditions.answer(&shown.tag, response))
}
