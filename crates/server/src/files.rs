//! What a task wrote, every version of it.

use axum::extract::State;
use axum::response::Response;
use journeyman_api::{
    AtQuery, FileList, FilePath, FileQuery, FileView, IfNoneMatch, Problem, TaskPath,
};
use journeyman_event::ContentHash;
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
