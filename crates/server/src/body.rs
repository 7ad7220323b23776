//! Bodies of requests: JSON, bounded, and where one does not fit, the field at fault is named.

use axum::extract::{FromRequest, Request};
use axum::http::{StatusCode, header};
use bytes::Bytes;
use serde::de::DeserializeOwned;

use crate::problem::Problem;

/// Bytes of a body: the largest prompt and answers fit many times over.
pub(crate) const BODY_MAX: usize = 8 << 20;

/// A body that is JSON and fits.
pub(crate) struct Body<T>(pub(crate) T);

/// The same, where none at all is the default.
pub(crate) struct MaybeBody<T>(pub(crate) T);

impl<S: Send + Sync, T: DeserializeOwned> FromRequest<S> for Body<T> {
    type Rejection = Problem;

    async fn from_request(request: Request, state: &S) -> Result<Self, Problem> {
        let is_json = is_json(&request);
        let bytes = bytes_of(request, state).await?;
        if !is_json {
            return Err(Problem::new(
                StatusCode::UNSUPPORTED_MEDIA_TYPE,
                "not-json",
                "send JSON, with `Content-Type: application/json`",
            ));
        }
        parse(&bytes).map(Self)
    }
}

impl<S: Send + Sync, T: DeserializeOwned + Default> FromRequest<S> for MaybeBody<T> {
    type Rejection = Problem;

    async fn from_request(request: Request, state: &S) -> Result<Self, Problem> {
        if request.headers().get(header::CONTENT_TYPE).is_none() {
            let bytes = bytes_of(request, state).await?;
            return if bytes.is_empty() {
                Ok(Self(T::default()))
            } else {
                parse(&bytes).map(Self)
            };
        }
        Body::from_request(request, state)
            .await
            .map(|Body(value)| Self(value))
    }
}

fn is_json(request: &Request) -> bool {
    let value = request.headers().get(header::CONTENT_TYPE);
    let text = value.and_then(|value| value.to_str().ok());
    let kind = text.and_then(|text| text.split(';').next());
    kind.is_some_and(|kind| kind.trim().eq_ignore_ascii_case("application/json"))
}

async fn bytes_of<S: Send + Sync>(request: Request, state: &S) -> Result<Bytes, Problem> {
    let read = Bytes::from_request(request, state).await;
    read.map_err(|rejection| {
        if rejection.status() == StatusCode::PAYLOAD_TOO_LARGE {
            let limit = BODY_MAX >> 20;
            Problem::too_large(format!("the body is larger than {limit} MiB; shorten it"))
        } else {
            Problem::new(StatusCode::BAD_REQUEST, "bad-body", rejection.body_text())
        }
    })
}

fn parse<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, Problem> {
    let mut json = serde_json::Deserializer::from_slice(bytes);
    let value = serde_path_to_error::deserialize(&mut json).map_err(|error| {
        let (path, inner) = (error.path().to_string(), error.inner());
        if !inner.is_data() {
            let detail = format!("the body is no JSON: {inner}");
            return Problem::new(StatusCode::BAD_REQUEST, "bad-json", detail);
        }
        let text = inner.to_string();
        Problem::field(&field_in(&path, &text), text)
    })?;
    json.end().map_err(|error| {
        let detail = format!("the body is no JSON: {error}");
        Problem::new(StatusCode::BAD_REQUEST, "bad-json", detail)
    })?;
    Ok(value)
}

/// Which field: by the path, or by the name that `serde` quotes where the object itself is at fault.
fn field_in(path: &str, text: &str) -> String {
    if path != "." {
        return path.to_owned();
    }
    let quoted = text.split('`').nth(1);
    quoted.unwrap_or("body").to_owned()
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use serde::Deserialize;

    use super::*;

    #[derive(Debug, Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Inner {
        #[allow(dead_code)]
        list: Vec<u8>,
    }

    fn field(json: &str) -> (u16, String) {
        let problem = parse::<Inner>(json.as_bytes()).unwrap_err();
        let status = problem.status().as_u16();
        let value = serde_json::to_value(&problem).unwrap();
        (status, value["field"].as_str().unwrap_or("none").to_owned())
    }

    #[test]
    fn the_field_at_fault_is_named() {
        assert_eq!(field(r#"{"list":[1,"x"]}"#), (422, "list[1]".to_owned()));
        assert_eq!(field(r#"{"list":{}}"#), (422, "list".to_owned()));
        assert_eq!(field(r#"{"list":[],"more":1}"#), (422, "more".to_owned()));
        assert_eq!(field("{}"), (422, "list".to_owned()));
        assert_eq!(field("[[]] x"), (400, "none".to_owned()));
        assert_eq!(field("{"), (400, "none".to_owned()));
        assert_eq!(field(""), (400, "none".to_owned()));
    }
}
