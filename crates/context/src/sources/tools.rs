//! The available tools, and their results for the agent that makes the call.

use std::fmt::Write;

use async_trait::async_trait;
use journeyman_event::payload::Purpose;
use serde_json::Value;

use super::{Source, SourceInput};
use crate::offer::ToolOffer;
use crate::piece::{LayerName, Piece, Rank, piece};

/// The most characters of a tool's description.
const TOOL_CHARS_MAX: usize = 200;

pub(crate) struct Tools;

#[async_trait]
impl Source for Tools {
    async fn pieces(&self, input: SourceInput<'_>) -> Vec<Piece> {
        let offers = offers(input.purpose, input.tools).into_iter();
        offers.chain(called(input)).collect()
    }
}

/// The tools that may be called, and how a call is written.
fn offers(purpose: Purpose, tools: &[ToolOffer]) -> Option<Piece> {
    if tools.is_empty() {
        return None;
    }
    let mut text = String::from("# Tools");
    if purpose != Purpose::LookUp {
        text.push_str(
            "\nIf you have to look something up first, answer with nothing but one to four blocks \
             like this:\n```tool\n{\"name\": \"...\", \"arguments\": {...}}\n```\n\
             You get what they say and are asked again. There are:",
        );
    }
    for tool in tools {
        let description: String = tool.description.chars().take(TOOL_CHARS_MAX).collect();
        let first = description.lines().next().unwrap_or_default();
        let _ = write!(
            text,
            "\n- {}: {first} Arguments: {}",
            tool.name,
            arguments(&tool.schema)
        );
    }
    Some(piece(LayerName::History, Rank::Medium, "tools", text))
}

/// A short form of a tool's arguments: names and types, with `?` after optional ones.
fn arguments(schema: &Value) -> String {
    let required = schema["required"].as_array();
    let is_required = |name: &str| required.is_some_and(|all| all.iter().any(|one| one == name));
    let members = schema["properties"].as_object().into_iter().flatten();
    let members = members.map(|(name, member)| {
        let mark = if is_required(name) { "" } else { "?" };
        let kind = match &member["type"] {
            Value::String(kind) => kind.as_str(),
            Value::Array(kinds) => kinds.first().and_then(Value::as_str).unwrap_or("any"),
            _ => "any",
        };
        format!("{name}{mark}: {kind}")
    });
    format!("{{{}}}", members.collect::<Vec<_>>().join(", "))
}

/// The results of the tools the agent has called.
fn called(input: SourceInput<'_>) -> Vec<Piece> {
    let module = input.module.map(|module| &module.plan.name);
    let agent = input.state.agent(module).into_iter();
    let calls = agent.flat_map(|agent| &agent.calls);
    let pieces = calls.map(|call| {
        let arguments = Value::Object(call.request.arguments.clone());
        let text = format!("# {} {arguments} said\n{}", call.request.name, call.text);
        let name = format!("answer of {}", call.request.name);
        piece(LayerName::Current, Rank::High, name, text)
    });
    pieces.collect()
}
