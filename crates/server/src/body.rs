//! Request bodies: JSON, of bounded size, received within a time limit.

use axum::extract::{FromRequest, Request};
use axum::http::{StatusCode, header};
use bytes::Bytes;
use journeyman_api::Problem;
use journeyman_api::json::{Object, parse};
use serde::Deserialize;

use crate::listener::TooSlow;
use crate::problem::Rejection;

/// The largest body in bytes.
pub(crate) const BODY_MAX: usize = journeyman_api::limits::SUBMISSION_BYTES_MAX;

/// A body that is a valid JSON object of this type.
pub(crate) struct Body<T>(pub(crate) T);

/// The same, but a missing body or `null` gives the default.
pub(crate) struct MaybeBody<T>(pub(crate) T);

impl<S: Send + Sync, T: for<'de> Deserialize<'de>> FromRequest<S> for Body<T> {
    type Rejection = Rejection;

    async fn from_request(request: Request, state: &S) -> Result<Self, Rejection> {
        let bytes = json_of(request, state).await?;
        let Object(value) = parse(&bytes)?;
        Ok(Self(value))
    }
}

impl<S: Send + Sync, T: for<'de> Deserialize<'de> + Default> FromRequest<S> for MaybeBody<T> {
    type Rejection = Rejection;

    async fn from_request(request: Request, state: &S) -> Result<Self, Rejection> {
        let fits = request.headers().get(header::CONTENT_TYPE).is_none() || is_json(&request);
        let bytes = bytes_of(request, state).await?;
        if bytes.is_empty() {
            return Ok(Self(T::default()));
        }
        if !fits {
            return Err(not_json().into());
        }
        let value: Option<Object<T>> = parse(&bytes)?;
        Ok(Self(value.map(|Object(value)| value).unwrap_or_default()))
    }
}

fn is_json(request: &Request) -> bool {
    let value = request.headers().get(header::CONTENT_TYPE);
    let text = value.and_then(|value| value.to_str().ok());
    let kind = text.and_then(|text| text.split(';').next());
    kind.is_some_and(|kind| kind.trim().eq_ignore_ascii_case("application/json"))
}

async fn json_of<S: Send + Sync>(request: Request, state: &S) -> Result<Bytes, Problem> {
    let is_json = is_json(&request);
    let bytes = bytes_of(request, state).await?;
    if is_json { Ok(bytes) } else { Err(not_json()) }
}

fn not_json() -> Problem {
    let detail = "send JSON, with `Content-Type: application/json`";
    Problem::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, "not-json", detail)
}

/// Finds [`TooSlow`] in the causes of a rejection.
fn slowness<'a>(rejection: &'a (dyn std::error::Error + 'static)) -> Option<&'a TooSlow> {
    let slow = rejection.downcast_ref::<TooSlow>();
    slow.or_else(|| rejection.source().and_then(slowness))
}

/// Reads the whole body, unless it is too large or takes too long.
pub(crate) async fn bytes_of<S: Send + Sync>(
    request: Request,
    state: &S,
) -> Result<Bytes, Problem> {
    let read = Bytes::from_request(request, state).await;
    read.map_err(|rejection| {
        if rejection.status() == StatusCode::PAYLOAD_TOO_LARGE {
            let limit = BODY_MAX >> 20;
            Problem::too_large(format!("the body is larger than {limit} MiB; shorten it"))
        } else if let Some(slow) = slowness(&rejection) {
            Problem::new(StatusCode::REQUEST_TIMEOUT, "too-slow", slow.to_string())
        } else {
            Problem::new(StatusCode::BAD_REQUEST, "bad-body", rejection.body_text())
        }
    })
}
