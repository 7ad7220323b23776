//! Errors as responses: problem details (RFC 9457), converted from the errors of the layers below.

use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use journeyman_api::Problem;
use journeyman_queue::AdmissionError;
use journeyman_tasks::Error;

/// When to retry a request that the store or the queue could not accept, in seconds.
const RETRY_AFTER_S: u64 = 5;

/// Why a request was rejected.
#[derive(Clone, Debug)]
pub(crate) struct Rejection(pub(crate) Problem);

/// The response after a panic in our code, which is in the log.
pub(crate) fn defect() -> Problem {
    let detail = "a defect in journeyman; the server's log says more, under this request's id";
    Problem::new(StatusCode::INTERNAL_SERVER_ERROR, "internal", detail)
}

impl From<Problem> for Rejection {
    fn from(problem: Problem) -> Self {
        Self(problem)
    }
}

impl From<journeyman_api::LimitError> for Rejection {
    fn from(error: journeyman_api::LimitError) -> Self {
        Self(error.into())
    }
}

impl IntoResponse for Rejection {
    fn into_response(self) -> Response {
        self.0.into_response()
    }
}

impl From<Error> for Rejection {
    fn from(error: Error) -> Self {
        let detail = error.to_string();
        let conflict = |kind, detail| Problem::new(StatusCode::CONFLICT, kind, detail);
        Self(match error {
            Error::MayNot => Problem::forbidden(detail),
            Error::NoSuchTask { .. } => Problem::not_found(detail),
            Error::TaskExists { .. } => conflict("task-exists", detail),
            Error::KeyUsed { .. } => conflict("key-used", detail).of_field("idempotency_key"),
            Error::Ended { .. } => conflict("task-ended", detail),
            Error::Kept { .. } => conflict("task-kept", detail),
            Error::Conflict { .. } => conflict("overtaken", detail),
            Error::OtherVersion { version, .. } => {
                Problem::other_version(detail, Some(version), None)
            }
            Error::Limit(error) => error.into(),
            Error::NoModule { .. } => conflict("no-such-module", detail),
            Error::NoTool { .. } => conflict("no-such-tool", detail),
            Error::NoWorkers => conflict("no-bench", detail),
            Error::Refused(refusal) => refused(&refusal, detail),
            Error::Journal(error) => return error.into(),
            Error::Knowledge(error) => return error.into(),
            Error::Workflow(_) | Error::Thread(_) => internal(&detail),
        })
    }
}

impl From<journeyman_hooks::Error> for Rejection {
    fn from(error: journeyman_hooks::Error) -> Self {
        use journeyman_hooks::Error as Hooks;
        let detail = error.to_string();
        match error {
            Hooks::NoSuchHook { .. } => Self(Problem::not_found(detail)),
            Hooks::Outbox { .. } => {
                let status = StatusCode::SERVICE_UNAVAILABLE;
                Self(Problem::later(status, "hooks", detail, RETRY_AFTER_S))
            }
            Hooks::Journal(error) => error.into(),
            Hooks::Workflow(error) => error.into(),
            Hooks::Thread(_) => Self(internal(&detail)),
        }
    }
}

impl From<journeyman_knowledge::OfflineError> for Rejection {
    fn from(error: journeyman_knowledge::OfflineError) -> Self {
        match error {
            journeyman_knowledge::OfflineError::Journal(error) => error.into(),
            error => {
                tracing::error!(%error, "the search index cannot be used");
                let (status, detail) = (StatusCode::SERVICE_UNAVAILABLE, error.to_string());
                Self(Problem::later(
                    status,
                    "search-unavailable",
                    detail,
                    RETRY_AFTER_S,
                ))
            }
        }
    }
}

impl From<journeyman_workflow::Error> for Rejection {
    fn from(error: journeyman_workflow::Error) -> Self {
        Error::from(error).into()
    }
}

fn refused<I: std::fmt::Display + std::fmt::Debug>(
    refusal: &AdmissionError<I>,
    detail: String,
) -> Problem {
    match refusal {
        AdmissionError::Full { retry_after } | AdmissionError::WaitedTooLong { retry_after } => {
            let seconds = retry_after.as_secs_f64().ceil().clamp(1.0, 3_600.0);
            #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)] // clamped above
            let seconds = seconds as u64;
            Problem::later(StatusCode::TOO_MANY_REQUESTS, "queue-full", detail, seconds)
        }
        AdmissionError::Cycle { .. } => Problem::field("depends_on", detail),
        AdmissionError::Duplicate { .. } => {
            Problem::new(StatusCode::CONFLICT, "task-exists", detail)
        }
        AdmissionError::ShuttingDown => Problem::later(
            StatusCode::SERVICE_UNAVAILABLE,
            "shutting-down",
            detail,
            RETRY_AFTER_S,
        ),
    }
}

/// The response to an error that does not concern the caller. Details are only logged.
fn internal(detail: &str) -> Problem {
    tracing::error!(error = detail, "a request failed");
    Problem::new(
        StatusCode::INTERNAL_SERVER_ERROR,
        "internal",
        "the server failed to handle the request; its log has the cause, under this request's id",
    )
}

impl From<journeyman_journal::Error> for Rejection {
    fn from(error: journeyman_journal::Error) -> Self {
        use journeyman_journal::Error as Journal;
        let detail = error.to_string();
        Self(match error {
            Journal::Full { .. }
            | Journal::NotWritable { .. }
            | Journal::Held { .. }
            | Journal::Unknown { .. }
            | Journal::Moved { .. } => {
                tracing::error!(%error, "the journal cannot be written to");
                Problem::later(
                    StatusCode::SERVICE_UNAVAILABLE,
                    "journal-degraded",
                    detail,
                    RETRY_AFTER_S,
                )
            }
            Journal::Erased(_) => Problem::new(StatusCode::GONE, "task-erased", detail),
            Journal::Damaged { .. } => {
                tracing::error!(%error, "a record of the journal is damaged");
                Problem::new(StatusCode::INTERNAL_SERVER_ERROR, "journal-damaged", detail)
            }
            Journal::Invalid(invalid) => Problem::field(invalid.field, detail),
            _ => internal(&detail),
        })
    }
}
