//! What goes wrong, as problem details (RFC 9457).

use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use journeyman_queue::Refusal;
use journeyman_workflow::Error;
use serde::Serialize;
use utoipa::ToSchema;

/// Before a request is worth trying again that the store or the queue could not take, in seconds.
const RETRY_AFTER_S: u64 = 5;

/// A problem.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub(crate) struct Problem {
    /// What kind of problem, `urn:journeyman:problem:` and a word.
    #[serde(rename = "type")]
    kind: String,
    /// The kind in words.
    title: String,
    /// The HTTP status.
    status: u16,
    /// What happened and what to do.
    detail: String,
    /// The field at fault.
    field: Option<String>,
    /// Seconds until it is worth trying again.
    retry_after: Option<u64>,
}

impl Problem {
    pub(crate) fn new(status: StatusCode, kind: &str, detail: impl Into<String>) -> Self {
        Self {
            kind: format!("urn:journeyman:problem:{kind}"),
            title: kind.replace('-', " "),
            status: status.as_u16(),
            detail: detail.into(),
            field: None,
            retry_after: None,
        }
    }

    pub(crate) fn field(field: &str, detail: impl Into<String>) -> Self {
        Self::new(StatusCode::UNPROCESSABLE_ENTITY, "invalid-field", detail).of_field(field)
    }

    pub(crate) fn of_field(self, field: &str) -> Self {
        Self {
            field: Some(field.to_owned()),
            ..self
        }
    }

    /// Names this field where none is named but the body as a whole.
    pub(crate) fn or_of_field(self, field: &str) -> Self {
        if self.field.as_deref() == Some("body") {
            return self.of_field(field);
        }
        self
    }

    /// Code of ours panicked; the log says where.
    pub(crate) fn defect() -> Self {
        let detail = "a defect in journeyman; the server's log says more, under this request's id";
        Self::new(StatusCode::INTERNAL_SERVER_ERROR, "internal", detail)
    }

    pub(crate) fn not_found(detail: impl Into<String>) -> Self {
        Self::new(StatusCode::NOT_FOUND, "not-found", detail)
    }

    pub(crate) fn too_large(detail: impl Into<String>) -> Self {
        Self::new(StatusCode::PAYLOAD_TOO_LARGE, "too-large", detail)
    }

    pub(crate) fn unauthorized(detail: impl Into<String>) -> Self {
        Self::new(StatusCode::UNAUTHORIZED, "unauthorized", detail)
    }

    pub(crate) fn forbidden(detail: impl Into<String>) -> Self {
        Self::new(StatusCode::FORBIDDEN, "forbidden", detail)
    }

    pub(crate) fn later(
        status: StatusCode,
        kind: &str,
        detail: impl Into<String>,
        seconds: u64,
    ) -> Self {
        Self {
            retry_after: Some(seconds),
            ..Self::new(status, kind, detail)
        }
    }

    pub(crate) fn status(&self) -> StatusCode {
        StatusCode::from_u16(self.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR)
    }
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let body = serde_json::to_vec(&self).unwrap_or_default();
        let mut response = (self.status(), body).into_response();
        let headers = response.headers_mut();
        headers.insert(
            header::CONTENT_TYPE,
            HeaderValue::from_static("application/problem+json"),
        );
        if let Some(seconds) = self.retry_after {
            headers.insert(header::RETRY_AFTER, HeaderValue::from(seconds));
        }
        if self.status == StatusCode::UNAUTHORIZED.as_u16() {
            let scheme = HeaderValue::from_static("Bearer");
            headers.insert(header::WWW_AUTHENTICATE, scheme);
        }
        response
    }
}

impl From<Error> for Problem {
    fn from(error: Error) -> Self {
        let detail = error.to_string();
        match error {
            Error::NoSuchTask { .. } => Self::not_found(detail),
            Error::TaskExists { .. } => Self::new(StatusCode::CONFLICT, "task-exists", detail),
            Error::KeyUsed { .. } => {
                Self::new(StatusCode::CONFLICT, "key-used", detail).of_field("idempotency_key")
            }
            Error::Ended { .. } => Self::new(StatusCode::CONFLICT, "task-ended", detail),
            Error::Overtaken { .. } => Self::new(StatusCode::CONFLICT, "overtaken", detail),
            Error::BadInput { field, .. } => Self::field(field, detail),
            Error::TooLarge { field, .. } => Self::too_large(detail).of_field(field),
            Error::NoModule { .. } => Self::new(StatusCode::CONFLICT, "no-such-module", detail),
            Error::NoTool { .. } => Self::new(StatusCode::CONFLICT, "no-such-tool", detail),
            Error::NoBench => Self::new(StatusCode::CONFLICT, "no-bench", detail),
            Error::Refused(refusal) => refused(&refusal, detail),
            Error::Journal(error) => error.into(),
            _ => internal(&detail),
        }
    }
}

fn refused<I: std::fmt::Display + std::fmt::Debug>(
    refusal: &Refusal<I>,
    detail: String,
) -> Problem {
    match refusal {
        Refusal::Full { retry_after } | Refusal::WaitedTooLong { retry_after } => {
            let seconds = retry_after.as_secs_f64().ceil().clamp(1.0, 3_600.0);
            #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)] // clamped above
            let seconds = seconds as u64;
            Problem::later(StatusCode::TOO_MANY_REQUESTS, "queue-full", detail, seconds)
        }
        Refusal::Cycle { .. } => Problem::field("depends_on", detail),
        Refusal::Duplicate { .. } => Problem::new(StatusCode::CONFLICT, "task-exists", detail),
        Refusal::ShuttingDown => Problem::later(
            StatusCode::SERVICE_UNAVAILABLE,
            "shutting-down",
            detail,
            RETRY_AFTER_S,
        ),
    }
}

/// What is not the caller's affair: told in the log, not in the answer.
fn internal(detail: &str) -> Problem {
    tracing::error!(error = detail, "a request failed");
    Problem::new(
        StatusCode::INTERNAL_SERVER_ERROR,
        "internal",
        "something went wrong in the server; its log says what, under this request's id",
    )
}

impl From<journeyman_journal::Error> for Problem {
    fn from(error: journeyman_journal::Error) -> Self {
        use journeyman_journal::Error as Journal;
        let detail = error.to_string();
        match error {
            Journal::Full { .. }
            | Journal::NotWritable { .. }
            | Journal::Unknown { .. }
            | Journal::Moved { .. } => {
                tracing::error!(%error, "the journal cannot be written to");
                Self::later(
                    StatusCode::SERVICE_UNAVAILABLE,
                    "journal-degraded",
                    detail,
                    RETRY_AFTER_S,
                )
            }
            Journal::Damaged { .. } => {
                tracing::error!(%error, "a record of the journal is damaged");
                Self::new(StatusCode::INTERNAL_SERVER_ERROR, "journal-damaged", detail)
            }
            Journal::Invalid(invalid) => Self::field(invalid.field, detail),
            _ => internal(&detail),
        }
    }
}
