//! Problem details (RFC 9457): the format of errors.

use http::StatusCode;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// The prefix of our problem types.
const URN: &str = "urn:journeyman:problem:";

/// A problem (RFC 9457).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Problem {
    /// The type of problem: `urn:journeyman:problem:` and a word.
    #[serde(rename = "type")]
    pub kind: String,
    /// The type in words.
    pub title: String,
    /// The HTTP status.
    pub status: u16,
    /// What happened, and what to do.
    pub detail: String,
    /// The field at fault.
    pub field: Option<String>,
    /// Seconds until it is worth trying again.
    pub retry_after: Option<u64>,
    /// The current version of the task, if the request named another one.
    #[serde(default)]
    pub version: Option<u64>,
    /// The current entity tag, with its quotes, if the request named another one.
    #[serde(default)]
    pub etag: Option<String>,
}

impl Problem {
    /// A problem of this type, which is one word or several joined by hyphens.
    pub fn new(status: StatusCode, kind: &str, detail: impl Into<String>) -> Self {
        Self {
            kind: format!("{URN}{kind}"),
            title: kind.replace('-', " "),
            status: status.as_u16(),
            detail: detail.into(),
            field: None,
            retry_after: None,
            version: None,
            etag: None,
        }
    }

    /// The value of a field is invalid.
    pub fn field(field: &str, detail: impl Into<String>) -> Self {
        Self::new(StatusCode::UNPROCESSABLE_ENTITY, "invalid-field", detail).of_field(field)
    }

    /// The same with the invalid field.
    pub fn of_field(self, field: &str) -> Self {
        Self {
            field: Some(field.to_owned()),
            ..self
        }
    }

    /// Sets the field if none is named other than the body as a whole.
    pub fn or_of_field(self, field: &str) -> Self {
        if self.field.as_deref() == Some("body") {
            return self.of_field(field);
        }
        self
    }

    /// The problem after a panic in our code, which is in the log.
    pub fn defect() -> Self {
        let detail = "a defect in journeyman; the server's log says more, under this request's id";
        Self::new(StatusCode::INTERNAL_SERVER_ERROR, "internal", detail)
    }

    /// The resource does not exist.
    pub fn not_found(detail: impl Into<String>) -> Self {
        Self::new(StatusCode::NOT_FOUND, "not-found", detail)
    }

    /// A part of the request is too large.
    pub fn too_large(detail: impl Into<String>) -> Self {
        Self::new(StatusCode::PAYLOAD_TOO_LARGE, "too-large", detail)
    }

    /// The caller is not authenticated.
    pub fn unauthorized(detail: impl Into<String>) -> Self {
        Self::new(StatusCode::UNAUTHORIZED, "unauthorized", detail)
    }

    /// The caller lacks the permission.
    pub fn forbidden(detail: impl Into<String>) -> Self {
        Self::new(StatusCode::FORBIDDEN, "forbidden", detail)
    }

    /// The server cannot do this now; the client may try again after this many seconds.
    pub fn later(status: StatusCode, kind: &str, detail: impl Into<String>, seconds: u64) -> Self {
        Self {
            retry_after: Some(seconds),
            ..Self::new(status, kind, detail)
        }
    }

    /// The condition of the request does not hold (status 412). The problem has the current entity tag, and the current
    /// version of the task if the request is about one.
    pub fn other_version(
        detail: impl Into<String>,
        version: Option<u64>,
        etag: Option<String>,
    ) -> Self {
        Self {
            version,
            etag,
            ..Self::new(StatusCode::PRECONDITION_FAILED, "other-version", detail)
        }
    }

    /// The last part of the type, such as `not-found`.
    pub fn word(&self) -> &str {
        let word = self.kind.strip_prefix(URN);
        word.unwrap_or_default()
    }

    /// The HTTP status; 500 where it is none.
    pub fn status(&self) -> StatusCode {
        StatusCode::from_u16(self.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR)
    }
}

#[cfg(feature = "axum")]
impl axum_core::response::IntoResponse for Problem {
    fn into_response(self) -> axum_core::response::Response {
        use http::{HeaderValue, header};
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
        let etag = self.etag.as_deref().map(HeaderValue::from_str);
        if let Some(Ok(etag)) = etag {
            headers.insert(header::ETAG, etag);
        }
        if self.status() == StatusCode::UNAUTHORIZED {
            let scheme = HeaderValue::from_static("Bearer");
            headers.insert(header::WWW_AUTHENTICATE, scheme);
        }
        response
    }
}
