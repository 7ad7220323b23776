//! Parses JSON in requests. The reader bounds its size; errors name the invalid field.

use std::fmt;
use std::marker::PhantomData;

use http::StatusCode;
use serde::de::value::MapAccessDeserializer;
use serde::de::{self, Deserializer, MapAccess, Visitor};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::problem::Problem;

/// A JSON object. Unlike a derived struct, it does not accept an array of the members in order.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(transparent)]
pub struct Object<T>(pub T);

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
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(transparent)]
pub struct Whole(pub u64);

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
        /// Up to 2^53, every whole number has an exact floating point representation.
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

/// Parses a body as `T`, with nothing after it. Errors name the invalid field.
pub fn parse<T: for<'de> Deserialize<'de>>(bytes: &[u8]) -> Result<T, Problem> {
    let mut json = serde_json::Deserializer::from_slice(bytes);
    let value = serde_path_to_error::deserialize(&mut json).map_err(misfit)?;
    json.end().map_err(|error| {
        let detail = format!("the body is not JSON: {error}");
        Problem::new(StatusCode::BAD_REQUEST, "bad-json", detail)
    })?;
    Ok(value)
}

/// Parses a part of a body that was already parsed as JSON, like [`parse`].
pub fn part<T: for<'de> Deserialize<'de>>(value: &Value) -> Result<T, Problem> {
    serde_path_to_error::deserialize(value).map_err(misfit)
}

fn misfit(error: serde_path_to_error::Error<serde_json::Error>) -> Problem {
    let (path, inner) = (error.path().to_string(), error.inner());
    if !inner.is_data() {
        let detail = format!("the body is not JSON: {inner}");
        return Problem::new(StatusCode::BAD_REQUEST, "bad-json", detail);
    }
    let text = inner.to_string();
    Problem::field(&field_in(&path, &text), text)
}

/// The invalid field: from the path, or from the name that `serde` quotes if the object itself is invalid.
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
        let status = problem.status;
        (status, problem.field.unwrap_or_else(|| "none".to_owned()))
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
