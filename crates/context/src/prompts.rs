//! Prompt texts that are independent of the programming language, and the JSON schemas of answers.

use journeyman_event::TaskState;
use serde_json::{Value, json};

use crate::offer::ToolOffer;

pub(crate) const LOOK_UP: &str = r#"You decide which tools have to be called before a programmer can start. Name a tool only if the task refers to something that is not shown, such as a file or a page. Answer with JSON: {"tools": [{"name": "...", "arguments": {...}}]}, or {"tools": []} if nothing is missing."#;

pub(crate) const MODULE_SUMMARY: &str = r#"You summarise a finished module for a programmer who will use it and not read it. Say what it is for, what its functions take and return, and what was decided. Nothing that the code does not show. Answer with JSON: {"purpose": "...", "key_decisions": ["..."], "summary": "..."}. The summary has at most five sentences."#;

pub(crate) const TASK_SUMMARY: &str = r#"You summarise a finished programming task for its user in at most three sentences: what was asked for and what there is now. Nothing that is not shown. Answer with JSON: {"summary": "..."}."#;

/// The most questions a planner may ask per task.
pub const QUESTIONS_MAX: usize = 3;

/// The instruction for a planner that may ask questions.
pub(crate) const ASK: &str = r#"If the task leaves something open that the code depends on, and only then, do not plan yet but ask: {"questions": ["..."]} with one to three short questions."#;

/// Whether the planner may ask questions: someone is available to answer, and none were asked yet.
pub fn may_ask(state: &TaskState) -> bool {
    let asked = state.submission.as_ref();
    asked.is_some_and(|asked| asked.ask) && state.questions.is_empty()
}

/// The JSON schema of a planner's answer: a plan, or questions where they are allowed.
pub(crate) fn schema_of_plan(state: &TaskState) -> Value {
    if may_ask(state) {
        json!({"anyOf": [plan_schema(), questions_schema()]})
    } else {
        plan_schema()
    }
}

/// The JSON schema of a look-up answer: a possibly empty list of calls of these tools.
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

/// Reduces a schema of arguments to what every model server supports: names, types, and required members. The
/// full schema is checked when the tool is called.
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

/// The JSON schema of a module's summary. Its functions and dependencies are known without a model.
pub(crate) fn schema_of_module_summary() -> Value {
    let text = |max: u32| json!({"type": "string", "maxLength": max});
    json!({
        "type": "object",
        "additionalProperties": false,
        "required": ["purpose", "key_decisions", "summary"],
        "properties": {
            "purpose": text(200),
            "key_decisions": {"type": "array", "maxItems": 5, "items": text(200)},
            "summary": text(800)
        }
    })
}

/// The JSON schema of a task's summary. Its other fields are known without a model.
pub(crate) fn schema_of_task_summary() -> Value {
    json!({
        "type": "object",
        "additionalProperties": false,
        "required": ["summary"],
        "properties": {"summary": {"type": "string", "maxLength": 400}}
    })
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

/// The JSON schema of a plan. Its bounds stop a small model from generating endlessly.
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
