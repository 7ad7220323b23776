//! Spans as messages of OTLP.

use journeyman_event::TraceId;
use opentelemetry_proto::tonic::trace::v1::span::SpanKind;
use opentelemetry_proto::tonic::trace::v1::status::StatusCode;
use opentelemetry_proto::tonic::trace::v1::{Span as SpanMessage, Status};
use serde_json::json;

use super::messages::{any, attribute, nanos};
use crate::timing::Span;

/// The operation that OpenTelemetry calls a model call.
const CHAT: &str = "chat";

/// The name of a span by OpenTelemetry's conventions: the operation, and what it is done with.
fn name(span: &Span) -> String {
    let word = |name: &str| span.attributes.get(name).and_then(|word| word.as_str());
    let Some(operation) = word("gen_ai.operation.name") else {
        return span.name.clone();
    };
    let names = [
        "gen_ai.request.model",
        "gen_ai.agent.name",
        "gen_ai.tool.name",
    ];
    match names.into_iter().find_map(word) {
        Some(object) => format!("{operation} {object}"),
        None => operation.to_owned(),
    }
}

/// A span that has ended; `None` for others.
pub(super) fn message(trace: TraceId, state: Option<&str>, span: &Span) -> Option<SpanMessage> {
    let is_call = span.attributes.get("gen_ai.operation.name") == Some(&json!(CHAT));
    let kind = if is_call {
        SpanKind::Client
    } else {
        SpanKind::Internal
    };
    let described = span
        .attributes
        .iter()
        .map(|(name, value)| (*name, value.clone()));
    let others = [
        ("journeyman.module", span.module.as_ref()),
        ("journeyman.outcome", span.outcome.as_ref()),
        ("error.type", span.error.as_ref()),
    ];
    let others = others
        .into_iter()
        .filter_map(|(name, value)| Some((name, json!(value?))));
    Some(SpanMessage {
        trace_id: trace.as_bytes().to_vec(),
        span_id: span.span_id.as_bytes().to_vec(),
        parent_span_id: span
            .parent_span_id
            .map_or_else(Vec::new, |parent| parent.as_bytes().to_vec()),
        trace_state: state.unwrap_or_default().to_owned(),
        // The trace is sampled; what came before the task's own span came from elsewhere.
        flags: 1,
        name: name(span),
        kind: kind.into(),
        start_time_unix_nano: nanos(span.start),
        end_time_unix_nano: nanos(span.end?),
        attributes: described
            .chain(others)
            .map(|(name, value)| attribute(name, any(&value)))
            .collect(),
        status: span.error.as_ref().map(|_| Status {
            code: StatusCode::Error.into(),
            ..Status::default()
        }),
        ..SpanMessage::default()
    })
}
