//! The error responses to messages that are not valid JSON-RPC (JSON-RPC 2.0, section 5.1).

use std::fmt;

use axum::Json;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use serde_json::{Value, json};

/// The error code for a body that is not JSON.
const PARSE_ERROR: i64 = -32_700;
/// The error code for JSON that is not a message.
const INVALID_REQUEST: i64 = -32_600;

/// Why a message is invalid.
#[derive(Debug, PartialEq)]
pub(crate) struct Malformed {
    code: i64,
    words: String,
    /// The id of the request that is answered; null if unknown.
    id: Value,
}

impl Malformed {
    /// What is wrong with the form of a message; `None` if it is valid.
    pub(crate) fn find(body: &[u8]) -> Option<Self> {
        let message: Value = match serde_json::from_slice(body) {
            Ok(message) => message,
            Err(error) => {
                return Some(Self {
                    code: PARSE_ERROR,
                    words: format!("the message is not JSON: {error}"),
                    id: Value::Null,
                });
            }
        };
        let problem = problem(&message)?;
        Some(Self::of(&message, problem))
    }

    /// The error for a valid message that matches nothing in the protocol.
    pub(crate) fn unknown(body: &[u8]) -> Self {
        let message = serde_json::from_slice(body).unwrap_or_default();
        Self::of(&message, "it fits no message of the protocol")
    }

    /// A message of more bytes than are taken.
    pub(crate) fn too_long(bytes_max: u64) -> Self {
        let problem = format!("a message has at most {bytes_max} bytes");
        Self::of(&Value::Null, &problem)
    }

    /// The answer, as JSON.
    fn answer(&self) -> Value {
        let error = json!({"code": self.code, "message": self.words});
        json!({"jsonrpc": "2.0", "id": self.id, "error": error})
    }

    fn of(message: &Value, problem: &str) -> Self {
        Self {
            code: INVALID_REQUEST,
            words: problem.to_owned(),
            id: if is_id(&message["id"]) {
                message["id"].clone()
            } else {
                Value::Null
            },
        }
    }
}

impl IntoResponse for Malformed {
    fn into_response(self) -> Response {
        (StatusCode::BAD_REQUEST, Json(self.answer())).into_response()
    }
}

impl fmt::Display for Malformed {
    /// The answer as a line of JSON.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.answer().fmt(f)
    }
}

fn is_id(id: &Value) -> bool {
    id.is_string() || id.is_i64() || id.is_u64()
}

fn problem(message: &Value) -> Option<&'static str> {
    let Some(members) = message.as_object() else {
        return Some("a message is a JSON object");
    };
    if members
        .get("jsonrpc")
        .is_none_or(|version| version != "2.0")
    {
        return Some("`jsonrpc` has to be \"2.0\"");
    }
    let is_answer = members.contains_key("result") || members.contains_key("error");
    match members.get("method") {
        None if is_answer => return None,
        None => return Some("it has no `method`"),
        Some(method) if !method.is_string() => return Some("`method` has to be a text"),
        Some(_) => {}
    }
    if members.get("id").is_some_and(|id| !is_id(id)) {
        return Some("`id` has to be a text or a whole number");
    }
    let params = members.get("params");
    let fits = params.is_none_or(|params| params.is_object() || params.is_null());
    (!fits).then_some("`params` has to be an object")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_malformed_message_has_its_code_and_the_id_that_it_answers() {
        for (body, code, id) in [
            ("{", PARSE_ERROR, Value::Null),
            ("", PARSE_ERROR, Value::Null),
            ("hello", PARSE_ERROR, Value::Null),
            ("5", INVALID_REQUEST, Value::Null),
            (r#"{"id":1,"method":"ping"}"#, INVALID_REQUEST, json!(1)),
            (
                r#"{"jsonrpc":"1.0","id":"a","method":"ping"}"#,
                INVALID_REQUEST,
                json!("a"),
            ),
            (r#"{"jsonrpc":"2.0","id":2}"#, INVALID_REQUEST, json!(2)),
            (
                r#"{"jsonrpc":"2.0","id":3,"method":7}"#,
                INVALID_REQUEST,
                json!(3),
            ),
            (
                r#"{"jsonrpc":"2.0","id":{},"method":"ping"}"#,
                INVALID_REQUEST,
                Value::Null,
            ),
            (
                r#"{"jsonrpc":"2.0","id":4,"method":"ping","params":"x"}"#,
                INVALID_REQUEST,
                json!(4),
            ),
        ] {
            let found = Malformed::find(body.as_bytes()).map(|found| (found.code, found.id));
            assert_eq!(found, Some((code, id)), "{body}");
        }
        for body in [
            r#"{"jsonrpc":"2.0","id":1,"method":"ping"}"#,
            r#"{"jsonrpc":"2.0","method":"notifications/initialized"}"#,
            r#"{"jsonrpc":"2.0","id":1,"result":{}}"#,
            r#"{"jsonrpc":"2.0","id":1,"method":"x","params":{}}"#,
        ] {
            assert_eq!(Malformed::find(body.as_bytes()), None, "{body}");
        }
    }
}
