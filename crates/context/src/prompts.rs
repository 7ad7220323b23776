//! The words that are sent and belong to no programming language, and the schemas of answers.

use journeyman_event::TaskState;
use serde_json::{Value, json};

use crate::offer::ToolOffer;

pub(crate) const LOOK_UP: &str = r#"You decide which tools have to be called before a programmer can start. Name a tool only if the task refers to something that is not shown, such as a file or a page. Answer with JSON: {"tools": [{"name": "...", "arguments": {...}}]}, or {"tools": []} if nothing is missing."#;

/// Questions that the planner may ask of a task.
pub const QUESTIONS_MAX: usize = 3;

/// Said to a planner that may ask.
pub(crate) const ASK: &str = r#"If the task leaves something open that the code depends on, and only then, do not plan yet but ask: {"questions": ["..."]} with one to three short questions."#;

/// Whether the planner of this task may ask questions: somebody is there to answer, and none were
/// asked yet.
pub fn may_ask(state: &TaskState) -> bool {
    let asked = state.submission.as_ref();
    asked.is_some_and(|asked| asked.ask) && state.questions.is_empty()
}

/// The JSON schema of a planner's answer: a plan, or where they are allowed questions instead.
pub(crate) fn schema_of_plan(state: &TaskState) -> Value {
    if may_ask(state) {
        json!({"anyOf": [plan_schema(), questions_schema()]})
    } else {
        plan_schema()
    }
}

/// The JSON schema of what is to be looked up: calls of these tools, perhaps none.
pub(crate) fn schema_of_look_up(tools: &[ToolOffer]) -> Value {
    let calls: Vec<Value> = tools
        .iter()
        .map(|tool| {
            json!({
                "type": "object",
                "additionalProperties": false,
                "required": ["name", "arguments"],
                "properties": {"name": {"const": tool.name}, "arguments": plain(&tool.schema)}
            })
        })
        .collect();
    json!({
        "type": "object",
        "additionalProperties": false,
        "required": ["tools"],
        "properties": {"tools": {"type": "array", "maxItems": 4, "items": {"anyOf": calls}}}
    })
}

/// The JSON schema of a review.
pub(crate) fn schema_of_review() -> Value {
    json!({
        "type": "object",
        "additionalProperties": false,
        "required": ["findings"],
        "properties": {"findings": {
            "type": "array", "maxItems": 5, "items": {"type": "string", "maxLength": 300}
        }}
    })
}

/// A schema of arguments with no more than every model server understands: names, types, and which of
/// them are needed. The whole schema is checked when the tool is called.
fn plain(schema: &Value) -> Value {
    let members = schema["properties"].as_object().into_iter().flatten();
    let members: serde_json::Map<String, Value> = members
        .map(|(name, member)| {
            let kind = match &member["type"] {
                Value::String(kind) => Some(kind.as_str()),
                Value::Array(kinds) => kinds.first().and_then(Value::as_str),
                _ => None,
            };
            let known = ["string", "number", "integer", "boolean", "array", "object"];
            let kind = kind.filter(|kind| known.contains(kind));
            (
                name.clone(),
                kind.map_or_else(|| json!({}), |kind| json!({"type": kind})),
            )
        })
        .collect();
    let required = schema["required"].as_array().cloned().unwrap_or_default();
    json!({"type": "object", "additionalProperties": false, "properties": members, "required": required})
}

fn questions_schema() -> Value {
    json!({
        "type": "object",
        "additionalProperties": false,
        "required": ["questions"],
        "properties": {"questions": {
            "type": "array", "minItems": 1, "maxItems": QUESTIONS_MAX,
            "items": {"type": "string", "maxLength": 200}
        }}
    })
}

/// The JSON schema of a plan. Its bounds keep a small model from going on for ever.
pub fn plan_schema() -> Value {
    let text = |max: u32| json!({"type": "string", "maxLength": max});
    json!({
        "type": "object",
        "additionalProperties": false,
        "required": ["package", "modules"],
        "properties": {
            "package": text(40),
            "modules": {
                "type": "array", "minItems": 1, "maxItems": 6,
                "items": {
                    "type": "object",
                    "additionalProperties": false,
                    "required": ["name", "purpose", "functions", "depends_on"],
                    "properties": {
                        "name": text(40),
                        "purpose": text(300),
                        "functions": {
                            "type": "array", "minItems": 1, "maxItems": 6,
                            "items": {
                                "type": "object",
                                "additionalProperties": false,
                                "required": ["signature", "behaviour"],
                                "properties": {"signature": text(160), "behaviour": text(300)}
                            }
                        },
                        "depends_on": {"type": "array", "maxItems": 5, "items": text(40)}
                    }
                }
            }
        }
    })
}
