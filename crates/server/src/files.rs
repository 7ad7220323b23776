//! What a task wrote, every version of it, and exactly what its model was asked.

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::Response;
use journeyman_event::{ContentHash, Payload, Sequence, word};
use journeyman_journal::Filter;
use journeyman_workflow::task_files;
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use crate::app::App;
use crate::door::Caller;
use crate::events::text;
use crate::problem::Problem;
use crate::query::{Asked, Position, Task, TaskAnd};
use crate::tasks::{AtQuery, TaskPath};

/// One file in one version.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct FileView {
    /// Its path in the result.
    path: String,
    /// The version of the module; none for tests and other files.
    version: Option<u64>,
    /// Its size.
    bytes: usize,
    /// Its BLAKE3 hash.
    hash: String,
}

/// A task's files.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct FileList {
    /// Every version of every file, older versions first.
    files: Vec<FileView>,
}

/// List a task's files.
#[utoipa::path(
    get, path = "/tasks/{task_id}/files", tag = "files", params(TaskPath, AtQuery),
    responses((status = 200, body = FileList)),
)]
pub(crate) async fn files(
    State(app): State<App>,
    caller: Caller,
    Task(task): Task,
    Asked(at): Asked<AtQuery>,
) -> Result<Json<FileList>, Problem> {
    let state = at.state(&app, &caller.principal, &task).await?;
    let files = task_files(&state).into_iter().map(|file| FileView {
        bytes: file.text.len(),
        hash: ContentHash::of(file.text.as_bytes()).to_string(),
        path: file.path,
        version: file.version,
    });
    Ok(Json(FileList {
        files: files.collect(),
    }))
}

#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct FileQuery {
    /// The version of the module; the latest if nothing is said.
    #[param(minimum = 0)]
    version: Option<u64>,
    /// As it was after the event at this position, or the last one before it.
    #[param(value_type = Option<u64>, minimum = 0)]
    at: Option<Position>,
}

#[derive(IntoParams)]
#[into_params(parameter_in = Path)]
#[allow(dead_code)] // read by `query::TaskAnd`; here for the document
pub(crate) struct FilePath {
    /// The file, as the list names it.
    path: String,
}

/// Get one file.
#[utoipa::path(
    get, path = "/tasks/{task_id}/files/{path}", tag = "files", params(TaskPath, FilePath, FileQuery),
    responses((status = 200, body = String, content_type = "text/plain")),
)]
pub(crate) async fn file(
    State(app): State<App>,
    caller: Caller,
    TaskAnd(task, path): TaskAnd,
    Asked(query): Asked<FileQuery>,
) -> Result<Response, Problem> {
    let at = AtQuery { at: query.at };
    let state = at.state(&app, &caller.principal, &task).await?;
    let mut files = task_files(&state).into_iter();
    let is_meant = |version: Option<u64>| query.version.is_none_or(|v| version == Some(v));
    let file = files.rfind(|file| file.path == path && is_meant(file.version));
    let none = || Problem::not_found(format!("task {task} has no such file {path}"));
    Ok(text(file.ok_or_else(none)?.text))
}

/// One message of a prompt.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct MessageView {
    /// `system`, `user` or `assistant`.
    role: String,
    /// The text, byte for byte as it was sent.
    content: String,
}

/// A call of the model: what it was asked.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct ContextView {
    /// The position of the call.
    sequence: u64,
    /// What for: `look_up`, `plan`, `code`, `tests`, `fix` or `review`.
    purpose: Option<String>,
    /// For which module.
    module: Option<String>,
    /// The messages, in order.
    messages: Vec<MessageView>,
    /// The JSON schema that the answer had to fit.
    schema: Option<String>,
    /// Tokens of the prompt.
    prompt_tokens: u64,
    /// Whether the model server counted them.
    is_exact: bool,
    /// Tokens that the answer might have.
    max_tokens: u64,
    /// Sampling temperature.
    temperature: f32,
    /// Sampling seed.
    seed: u64,
}

/// See exactly what the model was asked: the last call at or before a position.
#[utoipa::path(
    get, path = "/tasks/{task_id}/context", tag = "files", params(TaskPath, AtQuery),
    responses((status = 200, body = ContextView)),
)]
pub(crate) async fn context(
    State(app): State<App>,
    caller: Caller,
    Task(task): Task,
    Asked(query): Asked<AtQuery>,
) -> Result<Json<ContextView>, Problem> {
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
            "the model was not asked for task {task} yet, or then"
        ))
    };
    let event = page.events.first().ok_or_else(none)?;
    let Payload::ModelCallStarted(call) = event.payload() else {
        return Err(none());
    };
    let read = async |hash: ContentHash| -> Result<String, Problem> {
        let bytes = journal.blob(principal, hash).await?.ok_or_else(|| {
            let detail = format!(
                "the text {hash} of what the model was asked is missing; `journeyman journal verify` says more"
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
    Ok(Json(ContextView {
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
    }))
}
