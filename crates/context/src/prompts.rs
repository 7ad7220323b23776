//! The words that are sent: one system prompt per purpose, byte-identical from call to call so that
//! a model server's prompt cache hits, and the schema of a plan.

use journeyman_event::TaskState;
use serde_json::{Value, json};

use crate::offer::ToolOffer;

pub(crate) const PLAN: &str = r#"You plan small Python programs as JSON. Only the standard library is there.
Make one module for each part that the task names, and no others: "a module that ...", "one that ..." and "a command line" are three modules. A module depends on those that it imports.
name: a short lower-case identifier. package: the folder that the modules live in, or "" if the task wants single files.
signature: one line of typed Python. behaviour: which input gives which result, and which exception is raised when.

Example. Task: A package with a module that converts temperatures, one that reads them from CSV text, and a command line.
{"package": "thermo", "modules": [
{"name": "convert", "purpose": "Converts temperatures between Celsius and Fahrenheit.", "functions": [{"signature": "def to_fahrenheit(celsius: float) -> float", "behaviour": "Returns celsius * 9 / 5 + 32."}], "depends_on": []},
{"name": "reader", "purpose": "Reads temperatures from CSV text.", "functions": [{"signature": "def read_csv(text: str) -> list[float]", "behaviour": "Returns the first column of each line as floats; raises ValueError for a line that is no number."}], "depends_on": []},
{"name": "cli", "purpose": "Command line over both.", "functions": [{"signature": "def main(argv: list[str]) -> int", "behaviour": "Prints each converted temperature and returns 0; returns 2 for wrong arguments."}], "depends_on": ["convert", "reader"]}]}"#;

pub(crate) const CODE: &str = "\
You are an expert Python programmer. You write one complete, working module at a time: no \
placeholders, no examples, no tests. Keep to the given names and signatures. Import only the \
standard library and the modules that you are told exist. \
Answer with the whole file in one ```python block and nothing else.";

pub(crate) const TESTS: &str = "\
You are a careful software tester. You write short pytest tests from a description, without \
having seen the code. Each test function checks one case that the description decides for \
certain: one plain `assert` with a concrete input and the expected result, or one \
`pytest.raises`. Begin with the ordinary cases. No mocks, no fixtures, no files, no network. \
Answer with the whole test file in one ```python block and nothing else.";

pub(crate) const FIX: &str = "\
You are an expert Python programmer. You correct a module that fails its tests. Find out why each \
named test fails, then write the whole corrected file, keeping what works. Import only the \
standard library and the modules that you are told exist. \
Say in one or two sentences what was wrong, then give the whole file in one ```python block.";

pub(crate) const LOOK_UP: &str = r#"You decide which tools have to be called before a programmer can start. Name a tool only if the task refers to something that is not shown, such as a file or a page. Answer with JSON: {"tools": [{"name": "...", "arguments": {...}}]}, or {"tools": []} if nothing is missing."#;

pub(crate) const REVIEW: &str = r#"You review finished Python code against its task. Name only what is wrong or missing, with the function's name: a case that the task asks for and the code does not handle, an error that will happen, a wrong result. No remarks about style. Answer with JSON: {"findings": ["..."]}, or {"findings": []} if nothing is wrong."#;

pub(crate) const ANSWER: &str = "\
You are an experienced Python programmer who answers a question in plain words: correct, short, and \
to the point, with an example where one helps. Say so if you do not know.";

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
