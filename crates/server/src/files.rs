//! What a task wrote, every version of it, and exactly what its model was asked.

use axum::extract::State;
use axum::http::StatusCode;
use axum::response::Response;
use journeyman_api::{
    AtQuery, ContextView, FileList, FilePath, FileQuery, FileView, IfNoneMatch, MessageView,
    Position, Problem, TaskPath,
};
use journeyman_event::{ContentHash, Payload, Sequence, word};
use journeyman_journal::Filter;
use journeyman_workflow::task_files;

use crate::app::App;
use crate::auth::Caller;
use crate::conditions::{Conditions, Tag};
use crate::events::text;
use crate::problem::Rejection;
use crate::query::{Task, TaskPathAnd, ValidQuery};
use crate::tasks::state_at;

/// List all versions of a task's files.
#[utoipa::path(
    get, path = "/tasks/{task_id}/files", tag = "files", params(TaskPath, AtQuery, IfNoneMatch),
    responses((status = 200, body = FileList, headers(("ETag" = String, description = "The entity tag of this response")))),
)]
pub(crate) async fn files(
    State(app): State<App>,
    caller: Caller,
    Task(task): Task,
    ValidQuery(at): ValidQuery<AtQuery>,
    conditions: Conditions,
) -> Result<Response, Rejection> {
    let state = state_at(at.at, &app, &caller.principal, &task).await?;
    let files = task_files(&state).into_iter().map(|file| FileView {
        bytes: file.text.len(),
        hash: ContentHash::of(file.text.as_bytes()).to_string(),
        path: file.path,
        version: file.version,
    });
    conditions.json(&FileList {
        files: files.collect(),
    })
}

/// Get the text of one file.
#[utoipa::path(
    get, path = "/tasks/{task_id}/files/{path}", tag = "files", params(TaskPath, FilePath, FileQuery, IfNoneMatch),
    responses((status = 200, body = String, content_type = "text/plain", headers(("ETag" = String, description = "The entity tag of this response")))),
)]
pub(crate) async fn file(
    State(app): State<App>,
    caller: Caller,
    TaskPathAnd(task, path): TaskPathAnd,
    ValidQuery(query): ValidQuery<FileQuery>,
    conditions: Conditions,
) -> Result<Response, Rejection> {
    let state = state_at(query.at, &app, &caller.principal, &task).await?;
    let mut files = task_files(&state).into_iter();
    let is_meant = |version: Option<u64>| query.version.is_none_or(|v| version == Some(v));
    let file = files.rfind(|file| file.path == path && is_meant(file.version));
    let none = || Problem::not_found(format!("task {task} has no such file {path}"));
    let source = file.ok_or_else(none)?.text;
    let tag = Tag::of(source.as_bytes());
    Ok(conditions.answer(&tag, text(source)))
}

/// Get the exact messages of the last model call, or of the last one at or before a position.
#[utoipa::path(
    get, path = "/tasks/{task_id}/context", tag = "files", params(TaskPath, AtQuery, IfNoneMatch),
    responses((status = 200, body = ContextView, headers(("ETag" = String, description = "The entity tag of this response")))),
)]
pub(crate) async fn context(
    State(app): State<App>,
    caller: Caller,
    Task(task): Task,
    ValidQuery(query): ValidQuery<AtQuery>,
    conditions: Conditions,
) -> Result<Response, Rejection> {
    let (journal, principal) = (app.tasks.journal(), &caller.principal);
    let filter = Filter {
        task_id: Some(task.clone()),
        kinds: vec!["model_call_started".to_owned()],
        until: query.at.map(Position::sequence),
        ..Filter::default()
    };
    let last = Sequence(u64::MAX);
    let page = journal.read_backwards(principal, &filter, last, 1).await?;
    let none = || {
        Problem::not_found(format!(
            "no model call of task {task} exists at this point; look at a later one"
        ))
    };
    let event = page.events.first().ok_or_else(none)?;
    let Payload::ModelCallStarted(call) = event.payload() else {
        return Err(none().into());
    };
    let read = async |hash: ContentHash| -> Result<String, Rejection> {
        let bytes = journal.blob(principal, hash).await?.ok_or_else(|| {
            let detail = format!(
                "the text {hash} of a message to the model is missing; `journeyman journal verify` says more"
            );
            Problem::new(StatusCode::INTERNAL_SERVER_ERROR, "journal-damaged", detail)
        })?;
        Ok(String::from_utf8_lossy(&bytes).into_owned())
    };
    let mut messages = Vec::new();
    for message in &call.messages {
        messages.push(MessageView {
            role: message.role.clone(),
            content: read(message.blob).await?,
        });
    }
    let schema = match call.schema {
        Some(hash) => Some(read(hash).await?),
        None => None,
    };
    conditions.json(&ContextView {
        sequence: event.sequence().0,
        purpose: word(&call.purpose),
        module: event.module().map(ToString::to_string),
        messages,
        schema,
        prompt_tokens: call.prompt_tokens.0,
        is_exact: call.exact,
        max_tokens: call.max_tokens.0,
        temperature: call.temperature,
        seed: call.seed,
    })
}
