//! The catalogue of tools: names, inputs and outputs as clients see them.

use std::sync::Arc;

use rmcp::model::{Tool, ToolAnnotations};
use serde_json::{Value, json};

use crate::schema::Schemas;
use crate::tools::{START, WAIT};
use crate::wait::WAIT_SECONDS_MAX;

fn task_id() -> Value {
    json!({
        "type": "string",
        "description": "The id of the task, as start_coding_task or list_tasks returns it.",
        "pattern": "^[A-Za-z0-9][A-Za-z0-9._:-]{0,199}$"
    })
}

fn if_version() -> Value {
    json!({
        "type": "integer",
        "minimum": 0,
        "description": "Do this only if the task still has this version (its `revision`); otherwise nothing is done, and the \
            error names the current version."
    })
}

fn object(properties: Value, required: &[&str]) -> Value {
    json!({"type": "object", "additionalProperties": false, "properties": properties, "required": required})
}

/// The definitions of all tools.
pub(crate) fn all(schemas: &Schemas) -> Vec<Tool> {
    let position = |words: &str| json!({"type": "integer", "minimum": 0, "description": words});
    let reads = || ToolAnnotations::new().read_only(true).open_world(false);
    let does = || {
        ToolAnnotations::new()
            .read_only(false)
            .destructive(false)
            .open_world(false)
    };
    let tool =
        |name: &'static str, title: &str, words: &'static str, input: Value, output: &str| {
            let tool = Tool::new(name, words, schemas.complete(input)).with_title(title);
            tool.with_raw_output_schema(Arc::new(schemas.whole(output)))
        };
    let mut start = schemas.whole("NewTask");
    // These members do not apply to MCP: the server has one model, and the client no access to its folders.
    if let Some(Value::Object(properties)) = start.get_mut("properties") {
        properties.remove("model");
        properties.remove("out");
        // A model must not choose where the server sends data.
        properties.remove("webhook");
    }
    // If the client runs the tool as a task of the protocol, it gets the task's view, which has no `is_duplicate`.
    let mut started = schemas.whole("Accepted");
    if let Some(Value::Array(required)) = started.get_mut("required") {
        required.retain(|member| member != "is_duplicate");
    }
    vec![
        Tool::new(
            START,
            "Gives a coding task to Journeyman: it plans Python modules, writes them, tests them in a sandbox and corrects \
             them until the tests pass. Returns as soon as the task is durable; the task continues in the background and \
             survives crashes. A plain question is answered in words, and nothing in that answer is run or checked. Wait \
             with wait_for_task, then collect the result with get_files.",
            schemas.complete(Value::Object(start)),
        )
        .with_title("Start a coding task")
        .with_raw_output_schema(Arc::new(started))
        .annotate(does()),
        tool(
            "get_task_status",
            "Look at a task",
            "Shows the state of a task: its status, modules, tests, tokens, open questions and how its result was verified.",
            object(
                json!({
                    "task_id": task_id(),
                    "at": position("Shows the task as it was after the event with this sequence number."),
                    "version": position("Shows the task as it was at this version: after that number of its events.")
                }),
                &["task_id"],
            ),
            "TaskView",
        )
        .annotate(reads()),
        Tool::new(
            WAIT,
            "Waits until a task has ended or needs an answer, for at most the given time, and reports progress. If \
             is_settled is false, call it again: nothing is lost in between.",
            schemas.complete(object(
                json!({
                    "task_id": task_id(),
                    "timeout_seconds": {
                        "type": "number", "minimum": 0, "maximum": WAIT_SECONDS_MAX, "default": 45,
                        "description": "How long to wait at most."
                    }
                }),
                &["task_id"],
            )),
        )
        .with_title("Wait for a task")
        .with_raw_output_schema(Arc::new(schemas.complete(json!({
            "type": "object",
            "properties": {
                "task": Schemas::reference("TaskView"),
                "is_settled": {"type": "boolean", "description": "Whether there is nothing more to wait for."},
                "next": {"type": "string", "description": "What to do now."}
            },
            "required": ["task", "is_settled", "next"]
        }))))
        .annotate(reads()),
        tool(
            "answer_questions",
            "Answer a task's questions",
            "Answers questions that a task has asked (its pause is `question`). After the last answer the task continues.",
            object(
                json!({
                    "task_id": task_id(),
                    "answers": {
                        "type": "array", "minItems": 1, "maxItems": 100,
                        "items": object(
                            json!({
                                "question": {"type": "string", "description": "The question's id, such as q1."},
                                "answer": {"type": "string", "pattern": "\\S"}
                            }),
                            &["answer"],
                        )
                    },
                    "if_version": if_version()
                }),
                &["task_id", "answers"],
            ),
            "TaskView",
        )
        .annotate(does()),
        tool(
            "intervene",
            "Intervene in a task",
            "Changes the course of a task: gives an instruction, replaces a file by the user's own, skips a module, pauses, \
             resumes (with higher limits if one was reached) or cancels the task, keeps it (nothing erases it) or no longer \
             keeps it (unkeep). It takes effect at the task's next event.",
            object(
                json!({
                    "task_id": task_id(),
                    "intervention": Schemas::reference("NewIntervention"),
                    "if_version": if_version()
                }),
                &["task_id", "intervention"],
            ),
            "TaskView",
        )
        .annotate(does()),
        tool(
            "cancel_task",
            "Cancel a task",
            "Cancels a task. What it has written so far can still be read.",
            object(
                json!({"task_id": task_id(), "if_version": if_version()}),
                &["task_id"],
            ),
            "TaskView",
        )
        .annotate(does().destructive(true).idempotent(true)),
        tool(
            "delete_task",
            "Delete a task for good",
            "Erases a task: its prompt, code, tests, answers and all else that was recorded of it are gone for good, also \
             for its user. One that goes on is cancelled first. Only where the user asks for exactly this.",
            object(
                json!({
                    "task_id": task_id(),
                    "reason": {"type": "string", "pattern": "\\S", "maxLength": 200,
                               "description": "Why, for the record of the erasure, which stays."},
                    "if_version": if_version()
                }),
                &["task_id"],
            ),
            "ErasedTask",
        )
        .annotate(does().destructive(true).idempotent(true)),
        tool(
            "list_tasks",
            "List tasks",
            "Lists your tasks, the most recently changed first.",
            object(
                json!({
                    "status": Schemas::reference("StatusWord"),
                    "before": position("Where this page begins: `next` of the previous page."),
                    "limit": {"type": "integer", "minimum": 1, "maximum": 1_000, "default": 50}
                }),
                &[],
            ),
            "TaskPage",
        )
        .annotate(reads()),
        Tool::new(
            "get_files",
            "Gets the files of a task: the latest version of each, or one file, or the files as they were after an event. \
             Contents beyond a total of 256 KiB are left out; ask for such files one by one.",
            schemas.complete(object(
                json!({
                    "task_id": task_id(),
                    "path": {"type": "string", "description": "Only this file.", "minLength": 1},
                    "version": {"type": "integer", "minimum": 1, "description": "This version of it."},
                    "at": position("Gets the files as they were after the event with this sequence number.")
                }),
                &["task_id"],
            )),
        )
        .with_title("Get a task's files")
        .with_raw_output_schema(Arc::new(schemas.complete(json!({
            "type": "object",
            "properties": {"files": {"type": "array", "items": {
                "type": "object",
                "properties": {
                    "path": {"type": "string"},
                    "version": {"type": ["integer", "null"]},
                    "bytes": {"type": "integer"},
                    "hash": {"type": "string"},
                    "content": {"type": ["string", "null"]}
                },
                "required": ["path", "version", "bytes", "hash", "content"]
            }}},
            "required": ["files"]
        }))))
        .annotate(reads()),
        tool(
            "get_events",
            "Get a task's events",
            "Gets the events of a task. `after` is the cursor: the last sequence number that you have. With it the events \
             come oldest first, and wait_ms waits for new ones. No event is missed or repeated, even if the connection broke.",
            object(
                json!({
                    "task_id": task_id(),
                    "after": position("Only events after this sequence number, oldest first. Without it: the newest first."),
                    "before": position("Only events before this sequence number."),
                    "limit": {"type": "integer", "minimum": 1, "maximum": 1_000, "default": 100},
                    "kind": {"type": "string", "description": "Only events of this kind.", "minLength": 1},
                    "module": {"type": "string", "description": "Only events about this module."},
                    "about": position("Only the event with this sequence number and those that matter to it. Goes with limit and data alone."),
                    "data": {"type": "boolean", "description": "Whether to include the payloads. False by default."},
                    "wait_ms": {"type": "integer", "minimum": 0, "maximum": 50_000,
                                "description": "With `after`, if there are no events yet: how long to wait for some, in milliseconds."}
                }),
                &["task_id"],
            ),
            "EventPage",
        )
        .annotate(reads()),
    ]
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn every_tool_says_what_it_takes_and_gives() {
        let tools = all(&Schemas::new(&["python"]));
        assert_eq!(tools.len(), 10);
        for tool in tools {
            let input = Value::Object((*tool.input_schema).clone());
            let output = Value::Object((*tool.output_schema.unwrap()).clone());
            assert_eq!(input["type"], "object", "{}", tool.name);
            assert_eq!(output["type"], "object", "{}", tool.name);
            assert!(!input.to_string().contains("#/components"), "{input}");
            assert!(tool.description.unwrap().len() > 20, "{}", tool.name);
        }
    }
}
