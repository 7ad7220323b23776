//! Bodies of requests: JSON, bounded, and where one does not fit, the field at fault is named.

use std::fmt;
use std::marker::PhantomData;

use axum::extract::{FromRequest, Request};
use axum::http::{StatusCode, header};
use bytes::Bytes;
use serde::Deserialize;
use serde::de::value::MapAccessDeserializer;
use serde::de::{self, Deserializer, MapAccess, Visitor};
use serde_json::Value;

use crate::listener::TooSlow;
use crate::problem::Problem;

/// Bytes of a body.
pub(crate) const BODY_MAX: usize = journeyman_workflow::limits::SUBMISSION_BYTES_MAX;

/// An object. A list of its members in order, which what is derived for a struct takes too, is none.
#[derive(Debug)]
pub(crate) struct Object<T>(pub(crate) T);

struct Members<T>(PhantomData<T>);

impl<'de, T: Deserialize<'de>> Visitor<'de> for Members<T> {
    type Value = Object<T>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, members: A) -> Result<Object<T>, A::Error> {
        T::deserialize(MapAccessDeserializer::new(members)).map(Object)
    }
}

impl<'de, T: Deserialize<'de>> Deserialize<'de> for Object<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(Members(PhantomData))
    }
}

/// A whole number. In JSON `5.0` is one too (JSON Schema, section 6.1.1 of the validation part).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Whole(pub(crate) u64);

struct WholeNumber;

impl Visitor<'_> for WholeNumber {
    type Value = Whole;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a whole number that is not negative")
    }

    fn visit_u64<E: de::Error>(self, number: u64) -> Result<Whole, E> {
        Ok(Whole(number))
    }

    fn visit_i64<E: de::Error>(self, number: i64) -> Result<Whole, E> {
        let whole = u64::try_from(number).map(Whole);
        whole.map_err(|_| E::invalid_value(de::Unexpected::Signed(number), &self))
    }

    fn visit_f64<E: de::Error>(self, number: f64) -> Result<Whole, E> {
        /// Up to here every whole number has a floating point one of its own: 2^53.
        const EXACT_MAX: f64 = 9_007_199_254_740_992.0;
        if number.fract() != 0.0 || !(0.0..=EXACT_MAX).contains(&number) {
            return Err(E::invalid_value(de::Unexpected::Float(number), &self));
        }
        #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)] // checked above
        Ok(Whole(number as u64))
    }
}

impl<'de> Deserialize<'de> for Whole {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(WholeNumber)
    }
}

/// A body that is a JSON object and fits.
pub(crate) struct Body<T>(pub(crate) T);

/// The same, where none at all, or `null`, is the default.
pub(crate) struct MaybeBody<T>(pub(crate) T);

impl<S: Send + Sync, T: for<'de> Deserialize<'de>> FromRequest<S> for Body<T> {
    type Rejection = Problem;

    async fn from_request(request: Request, state: &S) -> Result<Self, Problem> {
        let bytes = json_of(request, state).await?;
        parse(&bytes).map(|Object(value)| Self(value))
    }
}

impl<S: Send + Sync, T: for<'de> Deserialize<'de> + Default> FromRequest<S> for MaybeBody<T> {
    type Rejection = Problem;

    async fn from_request(request: Request, state: &S) -> Result<Self, Problem> {
        let fits = request.headers().get(header::CONTENT_TYPE).is_none() || is_json(&request);
        let bytes = bytes_of(request, state).await?;
        if bytes.is_empty() {
            return Ok(Self(T::default()));
        }
        if !fits {
            return Err(not_json());
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

/// How it was too slow, if it is refused for that.
fn slowness<'a>(rejection: &'a (dyn std::error::Error + 'static)) -> Option<&'a TooSlow> {
    let slow = rejection.downcast_ref::<TooSlow>();
    slow.or_else(|| rejection.source().and_then(slowness))
}

/// All of a body, if it is there in time and not too large.
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

fn parse<T: for<'de> Deserialize<'de>>(bytes: &[u8]) -> Result<T, Problem> {
    let mut json = serde_json::Deserializer::from_slice(bytes);
    let value = serde_path_to_error::deserialize(&mut json).map_err(misfit)?;
    json.end().map_err(|error| {
        let detail = format!("the body is no JSON: {error}");
        Problem::new(StatusCode::BAD_REQUEST, "bad-json", detail)
    })?;
    Ok(value)
}

/// What a part of a body says that was read before.
pub(crate) fn part<T: for<'de> Deserialize<'de>>(value: &Value) -> Result<T, Problem> {
    serde_path_to_error::deserialize(value).map_err(misfit)
}

fn misfit(error: serde_path_to_error::Error<serde_json::Error>) -> Problem {
    let (path, inner) = (error.path().to_string(), error.inner());
    if !inner.is_data() {
        let detail = format!("the body is no JSON: {inner}");
        return Problem::new(StatusCode::BAD_REQUEST, "bad-json", detail);
    }
    let text = inner.to_string();
    Problem::field(&field_in(&path, &text), text)
}

/// Which field: by the path, or by the name that `serde` quotes where the object itself is at fault.
fn field_in(path: &str, text: &str) -> String {
    if path != "." {
        return path.to_owned();
    }
    let names_it = text.starts_with("unknown field ") || text.starts_with("missing field ");
    let quoted = text.split('`').nth(1).filter(|_| names_it);
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
        let problem = parse::<Object<Inner>>(json.as_bytes()).unwrap_err();
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
        assert_eq!(field(r#"{"list":[]} x"#), (400, "none".to_owned()));
        assert_eq!(field("{"), (400, "none".to_owned()));
        assert_eq!(field(""), (400, "none".to_owned()));
    }

    #[test]
    fn a_whole_number_may_be_written_with_a_point() {
        let whole = |json: &str| parse::<Whole>(json.as_bytes()).ok();
        for (json, number) in [("5", 5), ("5.0", 5), ("1e3", 1_000), ("0", 0), ("-0.0", 0)] {
            assert_eq!(whole(json), Some(Whole(number)), "{json}");
        }
        for json in ["5.5", "-1", "-1.0", "1e300", "\"5\"", "null", "true"] {
            assert_eq!(whole(json), None, "{json}");
        }
    }

    #[test]
    fn what_is_no_object_is_refused_whatever_its_members_are() {
        for json in ["0", "null", "\"list\"", "[[]]", "[[1]]", "true"] {
            assert_eq!(field(json), (422, "body".to_owned()), "{json}");
        }
    }
}
