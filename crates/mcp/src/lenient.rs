//! Accepts arguments as models write them: a value other than a string as a string with its JSON. If the schema does
//! not allow a string, the parsed JSON is used; whether it fits is checked when the arguments are parsed.

use rmcp::model::{CallToolRequestParams, JsonObject};
use serde_json::Value;

/// The most levels of schemas and values that are followed.
const DEPTH_MAX: usize = 16;

/// Parses a tool call, also if its arguments are an object in a string. The error says why it is not a tool call.
pub(crate) fn call(params: Option<Value>) -> Result<CallToolRequestParams, String> {
    let mut params = params.unwrap_or_default();
    if let Some(given) = params.get_mut("arguments") {
        if let Some(said) = given
            .as_str()
            .and_then(|text| serde_json::from_str(text).ok())
        {
            *given = said;
        }
        if !given.is_object() && !given.is_null() {
            return Err("`arguments` has to be an object".to_owned());
        }
    }
    serde_json::from_value(params).map_err(|error| format!("the call of the tool: {error}"))
}

/// The arguments with strings replaced by their parsed JSON where the schema requires it.
pub(crate) fn read(given: JsonObject, schema: &JsonObject) -> JsonObject {
    let root = Value::Object(schema.clone());
    let mut given = Value::Object(given);
    mend(&mut given, &[&root], &root, DEPTH_MAX);
    match given {
        Value::Object(given) => given,
        _ => JsonObject::new(),
    }
}

/// All schemas that these stand for: those they refer to, and the alternatives they contain.
fn all<'a>(schemas: &[&'a Value], root: &'a Value, depth: usize) -> Vec<&'a Value> {
    let mut found = Vec::new();
    for schema in schemas {
        found.push(*schema);
        if depth == 0 {
            continue;
        }
        let named = schema["$ref"].as_str().and_then(|to| to.strip_prefix('#'));
        let mut more: Vec<&Value> = named.and_then(|to| root.pointer(to)).into_iter().collect();
        for word in ["anyOf", "oneOf", "allOf"] {
            more.extend(schema[word].as_array().into_iter().flatten());
        }
        if !more.is_empty() {
            found.extend(all(&more, root, depth - 1));
        }
    }
    found
}

fn mend(value: &mut Value, schemas: &[&Value], root: &Value, depth: usize) {
    if depth == 0 {
        return;
    }
    let schemas = all(schemas, root, depth);
    let is_wanted = |kind: &str| {
        schemas.iter().any(|schema| match &schema["type"] {
            Value::String(one) => one == kind,
            Value::Array(kinds) => kinds.iter().any(|one| one == kind),
            _ => false,
        })
    };
    if let Value::String(text) = value
        && !is_wanted("string")
        && let Ok(said) = serde_json::from_str::<Value>(text)
    {
        let kinds: &[&str] = match &said {
            Value::Null => &["null"],
            Value::Bool(_) => &["boolean"],
            Value::Number(_) => &["integer", "number"],
            Value::String(_) => &[],
            Value::Array(_) => &["array"],
            Value::Object(_) => &["object"],
        };
        if kinds.iter().any(|kind| is_wanted(kind)) {
            *value = said;
        }
    }
    match value {
        Value::Object(members) => {
            for (name, member) in members {
                let of = schemas.iter().filter_map(|s| s["properties"].get(name));
                mend(member, &of.collect::<Vec<_>>(), root, depth - 1);
            }
        }
        Value::Array(items) => {
            let of: Vec<&Value> = schemas.iter().filter_map(|s| s.get("items")).collect();
            for item in items {
                mend(item, &of, root, depth - 1);
            }
        }
        _ => {}
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::catalogue;
    use crate::schema::Schemas;

    #[test]
    fn arguments_are_an_object_or_its_text() {
        for (params, arguments) in [
            (
                json!({"name": "x", "arguments": "{\"a\":1}"}),
                Ok(json!({"a": 1})),
            ),
            (
                json!({"name": "x", "arguments": {"a": 1}}),
                Ok(json!({"a": 1})),
            ),
            (json!({"name": "x", "arguments": "[1]"}), Err("`arguments`")),
            (
                json!({"name": "x", "arguments": "much"}),
                Err("`arguments`"),
            ),
            (json!({"name": "x", "arguments": [1]}), Err("`arguments`")),
            (json!({"name": "x", "arguments": 5}), Err("`arguments`")),
            (json!({"arguments": "{}"}), Err("`name`")),
            (Value::Null, Err("the call of the tool")),
        ] {
            match (call(Some(params.clone())), arguments) {
                (Ok(call), Ok(wanted)) => {
                    assert_eq!(call.arguments.map(Value::Object), Some(wanted), "{params}");
                }
                (Err(why), Err(wanted)) => assert!(why.contains(wanted), "{params}: {why}"),
                (call, _) => panic!("{params}: {call:?}"),
            }
        }
    }

    #[test]
    fn json_in_a_text_is_taken_where_no_text_is_wanted() {
        let tools = catalogue::all(&Schemas::new(&["python"]));
        let tests = json!([{"name": "test_x.py", "source": "[1]"}]);
        for (tool, given, read_as) in [
            (
                "start_coding_task",
                json!({"tests": tests.to_string()}),
                json!({"tests": tests}),
            ),
            (
                "start_coding_task",
                json!({"budget": "5000"}),
                json!({"budget": 5_000}),
            ),
            (
                "start_coding_task",
                json!({"timeout": "1.5"}),
                json!({"timeout": 1.5}),
            ),
            (
                "start_coding_task",
                json!({"ask": "true"}),
                json!({"ask": true}),
            ),
            (
                "start_coding_task",
                json!({"tests": [tests[0].to_string()]}),
                json!({"tests": tests}),
            ),
            ("get_events", json!({"after": "7"}), json!({"after": 7})),
            (
                "intervene",
                json!({"intervention": r#"{"kind":"resume","budget":"9"}"#}),
                json!({"intervention": {"kind": "resume", "budget": 9}}),
            ),
            // What is text stays text, and what says something else stays as it is.
            (
                "start_coding_task",
                json!({"prompt": "[1, 2]"}),
                json!({"prompt": "[1, 2]"}),
            ),
            (
                "start_coding_task",
                json!({"task_id": "5"}),
                json!({"task_id": "5"}),
            ),
            (
                "start_coding_task",
                json!({"budget": "much"}),
                json!({"budget": "much"}),
            ),
            (
                "start_coding_task",
                json!({"tests": "5"}),
                json!({"tests": "5"}),
            ),
            (
                "start_coding_task",
                json!({"unknown": "5"}),
                json!({"unknown": "5"}),
            ),
        ] {
            let tool = tools.iter().find(|known| known.name == tool).unwrap();
            let given: JsonObject = serde_json::from_value(given).unwrap();
            let read = read(given, &tool.input_schema);
            assert_eq!(Value::Object(read), read_as, "{}", tool.name);
        }
    }
}
