//! Parses query strings and path parameters. Errors name the invalid field.

use axum::extract::rejection::QueryRejection;
use axum::extract::{FromRequestParts, Path, Query};
use axum::http::request::Parts;
use journeyman_api::{Position, Problem, task_name};
use journeyman_event::{Principal, Sequence, TaskId};
use journeyman_journal::Journal;
use serde::de::DeserializeOwned;

use crate::problem::Rejection;

/// A valid query string.
pub(crate) struct ValidQuery<T>(pub(crate) T);

impl<S: Send + Sync, T: DeserializeOwned> FromRequestParts<S> for ValidQuery<T> {
    type Rejection = Rejection;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Rejection> {
        let query = Query::from_request_parts(parts, state).await;
        query
            .map(|Query(value)| Self(value))
            .map_err(|rejection: QueryRejection| {
                let text = rejection.body_text();
                let text = text
                    .strip_prefix("Failed to deserialize query string: ")
                    .unwrap_or(&text);
                // `field: what is wrong`, or a name in backticks.
                let named = text.split_once(": ").map(|(field, _)| field);
                let quoted = text.split('`').nth(1);
                let field = named.or(quoted).unwrap_or("query");
                if text.starts_with("missing field ") {
                    let detail = format!("the query parameter `{field}` is missing: `?{field}=`");
                    return Problem::field(field, detail).into();
                }
                Problem::field(field, text).into()
            })
    }
}

/// A position after which events are requested. Fails if it is ahead of all events: a client that waited after
/// it would miss all events up to it.
pub(crate) async fn seen(
    position: Position,
    journal: &Journal,
    field: &str,
) -> Result<Sequence, Rejection> {
    let head = journal.head(&Principal::system()).await?;
    if position.sequence() <= head.sequence {
        return Ok(position.sequence());
    }
    let detail = format!(
        "`{field}` is ahead of every event; give the sequence of the last one that you have"
    );
    Err(Problem::field(field, detail).into())
}

/// The task named in a path.
pub(crate) struct Task(pub(crate) TaskId);

/// What else the path names, beside the task.
pub(crate) struct TaskPathAnd(pub(crate) TaskId, pub(crate) String);

/// The problem of an invalid path.
pub(crate) fn bad_path(rejection: impl std::fmt::Display) -> Problem {
    Problem::field("path", rejection.to_string())
}

impl<S: Send + Sync> FromRequestParts<S> for Task {
    type Rejection = Rejection;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Rejection> {
        let path = Path::<String>::from_request_parts(parts, state).await;
        let Path(text) = path.map_err(bad_path)?;
        Ok(Self(task_name("task_id", &text)?))
    }
}

impl<S: Send + Sync> FromRequestParts<S> for TaskPathAnd {
    type Rejection = Rejection;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Rejection> {
        let path = Path::<(String, String)>::from_request_parts(parts, state).await;
        let Path((task, more)) = path.map_err(bad_path)?;
        Ok(Self(task_name("task_id", &task)?, more))
    }
}
