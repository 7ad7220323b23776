//! The route that erases a task.

use axum::Json;
use axum::extract::State;
use axum::http::HeaderMap;
use journeyman_api::{DeleteQuery, ErasedTask, IfMatch, TaskPath};
use journeyman_tasks::Deletion;

use crate::app::App;
use crate::auth::Caller;
use crate::conditions::Precondition;
use crate::interventions::{not_done, only_at};
use crate::problem::Rejection;
use crate::query::{Task, ValidQuery};

/// The answer for an erased task.
pub fn erased(deletion: &Deletion) -> ErasedTask {
    let Deletion { erased, unfinished } = deletion;
    ErasedTask {
        task_id: erased.stream.task_id.to_string(),
        erased_at: format!("{:.6}", erased.at),
        by: erased.by.to_string(),
        reason: erased.reason.clone(),
        events: erased.events,
        sequence: erased.sequence.0,
        unfinished: unfinished.clone(),
    }
}

/// Erase a task for good. A running task is cancelled first. The call is idempotent, unless it is meant for one version.
#[utoipa::path(
    delete, path = "/tasks/{task_id}", tag = "tasks", params(TaskPath, DeleteQuery, IfMatch),
    responses((status = 200, body = ErasedTask)),
)]
pub(crate) async fn delete(
    State(app): State<App>,
    caller: Caller,
    Task(task): Task,
    ValidQuery(query): ValidQuery<DeleteQuery>,
    only_if: Precondition,
    headers: HeaderMap,
) -> Result<Json<ErasedTask>, Rejection> {
    let principal = &caller.principal;
    let only_at = only_at(&only_if, &app, principal, &task, &headers).await?;
    let deleted = app.tasks.delete(principal, &task, query.reason, only_at);
    match deleted.await {
        Ok(gone) => Ok(Json(erased(&gone))),
        Err(error) => Err(not_done(error, &app, principal, &task, &headers).await),
    }
}
