//! The suites' tools that send requests to the client while they run, as servers could before 2026-07-28.

use rmcp::model::{
    CallToolResult, ContentBlock, CreateMessageRequestParams, ElicitRequestParams,
    ElicitationAction, SamplingMessage,
};
use rmcp::service::ServiceError;
use rmcp::{ErrorData, Peer, RoleServer};
use serde_json::{Value, json};

use super::broken;

/// The most tokens of an answer by the client's model.
pub(super) const TOKENS_MAX: u32 = 100;

fn answered(words: String) -> CallToolResult {
    CallToolResult::success(vec![ContentBlock::text(words)])
}

fn failed(error: &ServiceError) -> CallToolResult {
    let words = format!("The client does not answer: {error}");
    CallToolResult::error(vec![ContentBlock::text(words)])
}

pub(super) async fn sample(peer: &Peer<RoleServer>, prompt: &str) -> CallToolResult {
    let messages = vec![SamplingMessage::user_text(prompt)];
    let request = CreateMessageRequestParams::new(messages, TOKENS_MAX);
    match peer.create_message(request).await {
        Ok(said) => {
            let text = said.message.content.first();
            let text = text.and_then(|content| content.as_text());
            let text = text.map_or("nothing", |content| &content.text);
            answered(format!("LLM response: {text}"))
        }
        Err(error) => failed(&error),
    }
}

pub(super) async fn elicit_names(
    peer: &Peer<RoleServer>,
    message: &str,
) -> Result<CallToolResult, ErrorData> {
    let schema = json!({
        "type": "object",
        "properties": {
            "username": {"type": "string", "description": "User's response"},
            "email": {"type": "string", "description": "User's email address"}
        },
        "required": ["username", "email"]
    });
    elicit(peer, "User response", message, schema).await
}

pub(super) async fn elicit_with_defaults(
    peer: &Peer<RoleServer>,
) -> Result<CallToolResult, ErrorData> {
    let statuses = ["active", "inactive", "pending"];
    let schema = json!({
        "type": "object",
        "properties": {
            "name": {"type": "string", "default": "John Doe"},
            "age": {"type": "integer", "default": 30},
            "score": {"type": "number", "default": 95.5},
            "status": {"type": "string", "enum": statuses, "default": "active"},
            "verified": {"type": "boolean", "default": true}
        }
    });
    elicit(peer, "Elicitation completed", "Is this right?", schema).await
}

pub(super) async fn elicit_choices(peer: &Peer<RoleServer>) -> Result<CallToolResult, ErrorData> {
    let options = json!(["option1", "option2", "option3"]);
    let titled = |word: &str| {
        let choices = [
            ("value1", "First"),
            ("value2", "Second"),
            ("value3", "Third"),
        ];
        json!(choices.map(|(value, nth)| json!({"const": value, "title": format!("{nth} {word}")})))
    };
    let schema = json!({
        "type": "object",
        "properties": {
            "untitledSingle": {"type": "string", "enum": options},
            "titledSingle": {"type": "string", "oneOf": titled("Option")},
            "legacyEnum": {
                "type": "string",
                "enum": ["opt1", "opt2", "opt3"],
                "enumNames": ["Option One", "Option Two", "Option Three"]
            },
            "untitledMulti": {"type": "array", "items": {"type": "string", "enum": options}},
            "titledMulti": {"type": "array", "items": {"anyOf": titled("Choice")}}
        }
    });
    elicit(peer, "Elicitation completed", "Which of these?", schema).await
}

async fn elicit(
    peer: &Peer<RoleServer>,
    what: &str,
    message: &str,
    schema: Value,
) -> Result<CallToolResult, ErrorData> {
    let said = match peer.create_elicitation(form(message, schema)?).await {
        Ok(said) => said,
        Err(error) => return Ok(failed(&error)),
    };
    let action = match said.action {
        ElicitationAction::Accept => "accept",
        ElicitationAction::Decline => "decline",
        _ => "cancel",
    };
    let content = said.content.unwrap_or_default();
    Ok(answered(format!(
        "{what}: action={action}, content={content}"
    )))
}

/// A form with these fields.
pub(super) fn form(message: &str, schema: Value) -> Result<ElicitRequestParams, ErrorData> {
    Ok(ElicitRequestParams::FormElicitationParams {
        meta: None,
        message: message.to_owned(),
        requested_schema: serde_json::from_value(schema).map_err(broken)?,
    })
}
