//! The suites' tools that answer at once, and those that send messages while they run.

use std::time::Duration;

use rmcp::model::{
    AudioContent, CallToolRequestParams, CallToolResponse, CallToolResult, ClientCapabilities,
    ContentBlock, JsonObject, LoggingLevel, ProgressNotificationParam, ResourceContents, Tool,
};
use rmcp::service::RequestContext;
use rmcp::{ErrorData, RoleServer};
use serde_json::{Value, json};

use super::{Change, Fixtures, PICTURE, SOUND, asks, input, tasks};
use crate::session::Session;

/// The pause between two messages.
const PAUSE: Duration = Duration::from_millis(50);

/// The tools without arguments, with their descriptions.
const PLAIN: &[(&str, &str)] = &[
    ("test_simple_text", "Answers with text."),
    ("test_image_content", "Answers with a picture."),
    ("test_audio_content", "Answers with a sound."),
    ("test_embedded_resource", "Answers with a resource."),
    (
        "test_multiple_content_types",
        "Answers with text, a picture and a resource.",
    ),
    ("test_error_handling", "Always fails."),
    (
        "test_tool_with_logging",
        "Writes three lines to the client's log.",
    ),
    ("test_logging_tool", "Writes a line to the client's log."),
    ("test_tool_with_progress", "Tells of its progress."),
    ("test_reconnection", "Takes a while."),
    (
        "test_trigger_tool_change",
        "Says that the list of tools has changed.",
    ),
    (
        "test_trigger_prompt_change",
        "Says that the list of prompts has changed.",
    ),
    (
        "test_missing_capability",
        "Is only for clients that have sampling.",
    ),
    (
        "test_elicitation_sep1034_defaults",
        "Asks the user, with answers proposed.",
    ),
    (
        "test_elicitation_sep1330_enums",
        "Asks the user to choose, in every form of choice.",
    ),
];

pub(super) fn all() -> Vec<Tool> {
    let nothing = || json!({"type": "object", "properties": {}});
    let text = |name: &str| {
        let properties = json!({name: {"type": "string"}});
        json!({"type": "object", "properties": properties, "required": [name]})
    };
    let header = json!({
        "type": "object",
        "properties": {"value": {"type": "string", "x-mcp-header": "Value"}},
        "required": ["value"]
    });
    let plain = PLAIN.iter().copied();
    let plain = plain.chain(input::names()).chain(tasks::names());
    let plain = plain.map(|(name, words)| (name, words, nothing()));
    let others = [
        ("test_sampling", "Asks the client's model.", text("prompt")),
        ("test_elicitation", "Asks the user.", text("message")),
        (
            "test_custom_header",
            "Takes a value as a header too.",
            header,
        ),
        (
            "json_schema_2020_12_tool",
            "Has a schema with much of what JSON Schema has.",
            rich_schema(),
        ),
    ];
    plain
        .chain(others)
        .map(|(name, words, schema)| {
            let schema: JsonObject = serde_json::from_value(schema).unwrap_or_default();
            Tool::new(name, words, schema)
        })
        .collect()
}

/// A schema with all keywords that must be passed through.
fn rich_schema() -> Value {
    json!({
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "type": "object",
        "$defs": {
            "address": {
                "$anchor": "addressDef",
                "type": "object",
                "properties": {"street": {"type": "string"}, "city": {"type": "string"}}
            }
        },
        "properties": {
            "name": {"type": "string"},
            "address": {"$ref": "#/$defs/address"},
            "contactMethod": {"type": "string", "enum": ["phone", "email"]},
            "phone": {"type": "string"},
            "email": {"type": "string"}
        },
        "allOf": [{"anyOf": [{"required": ["phone"]}, {"required": ["email"]}]}],
        "if": {"properties": {"contactMethod": {"const": "phone"}}, "required": ["contactMethod"]},
        "then": {"required": ["phone"]},
        "else": {"required": ["email"]},
        "additionalProperties": false
    })
}

fn text(words: impl Into<String>) -> CallToolResult {
    CallToolResult::success(vec![ContentBlock::text(words)])
}

fn resource(uri: &str, kind: &str, text: &str) -> ContentBlock {
    ContentBlock::resource(ResourceContents::text(text, uri).with_mime_type(kind))
}

/// Calls a tool of [`all`] that asks for no input in its result.
pub(super) async fn call(
    fixtures: &Fixtures,
    request: &CallToolRequestParams,
    session: &Session,
    context: &RequestContext<RoleServer>,
) -> Result<CallToolResponse, ErrorData> {
    let given = |name: &str| {
        let value = request.arguments.as_ref()?.get(name)?;
        value.as_str().map(str::to_owned)
    };
    let needed = |name: &str| {
        let missing = || ErrorData::invalid_params(format!("{name:?} must be text"), None);
        given(name).ok_or_else(missing)
    };
    let result = match &*request.name {
        "test_simple_text" => text("This is a simple text response for testing."),
        "test_image_content" => {
            CallToolResult::success(vec![ContentBlock::image(PICTURE, "image/png")])
        }
        "test_audio_content" => CallToolResult::success(vec![ContentBlock::Audio(
            AudioContent::new(SOUND, "audio/wav"),
        )]),
        "test_embedded_resource" => CallToolResult::success(vec![resource(
            "test://embedded-resource",
            "text/plain",
            "This is an embedded resource content.",
        )]),
        "test_multiple_content_types" => CallToolResult::success(vec![
            ContentBlock::text("Multiple content types test:"),
            ContentBlock::image(PICTURE, "image/png"),
            resource(
                "test://mixed-content-resource",
                "application/json",
                r#"{"test":"data","value":123}"#,
            ),
        ]),
        "test_error_handling" => CallToolResult::error(vec![ContentBlock::text(
            "This tool intentionally returns an error for testing",
        )]),
        "test_tool_with_logging" => {
            for line in [
                "Tool execution started",
                "Tool processing data",
                "Tool execution completed",
            ] {
                session.log(context, LoggingLevel::Info, json!(line)).await;
                tokio::time::sleep(PAUSE).await;
            }
            text("Three lines are logged.")
        }
        "test_logging_tool" => {
            let line = json!("Logged because the request wants it");
            session.log(context, LoggingLevel::Info, line).await;
            text("A line is logged, if that is wanted.")
        }
        "test_tool_with_progress" => {
            for progress in [0.0, 50.0, 100.0] {
                if let Some(token) = context.meta.get_progress_token() {
                    let told = ProgressNotificationParam::new(token, progress).with_total(100.0);
                    let _ = context.peer.notify_progress(told).await; // a client that is gone needs none
                }
                tokio::time::sleep(PAUSE).await;
            }
            text("It is done.")
        }
        "test_reconnection" => {
            tokio::time::sleep(2 * PAUSE).await;
            text("It is done.")
        }
        "test_trigger_tool_change" => {
            let _ = fixtures.changes.send(Change::Tools); // maybe nobody listens
            text("The list of tools is said to have changed.")
        }
        "test_trigger_prompt_change" => {
            let _ = fixtures.changes.send(Change::Prompts); // maybe nobody listens
            text("The list of prompts is said to have changed.")
        }
        "test_missing_capability" => {
            let has = context.client_capabilities();
            if has.is_none_or(|has| has.sampling.is_none()) {
                let wanted = ClientCapabilities::builder().enable_sampling().build();
                return Err(ErrorData::missing_required_client_capability(wanted));
            }
            text("The client has sampling.")
        }
        "test_custom_header" => text(needed("value")?),
        "test_sampling" => asks::sample(&context.peer, &needed("prompt")?).await,
        "test_elicitation" => asks::elicit_names(&context.peer, &needed("message")?).await?,
        "test_elicitation_sep1034_defaults" => asks::elicit_with_defaults(&context.peer).await?,
        "test_elicitation_sep1330_enums" => asks::elicit_choices(&context.peer).await?,
        _ => text("It is called."),
    };
    Ok(result.into())
}
