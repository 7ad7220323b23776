//! A task's events: in pages, as stored lines, and as a live stream.

use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use utoipa::{IntoParams, ToSchema};

use crate::tasks::Position;

/// Selects the events of a page.
#[derive(Clone, Debug, Default, Serialize, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct EventsQuery {
    /// Only events after this position, oldest first. Without it: the newest first.
    #[param(value_type = Option<u64>, minimum = 0)]
    pub after: Option<Position>,
    /// Only events before this position, newest first; with `after`, those between, oldest first.
    #[param(value_type = Option<u64>, minimum = 0)]
    pub before: Option<Position>,
    /// The most events to return.
    #[param(minimum = 1, maximum = 1_000)]
    pub limit: Option<usize>,
    /// Only events of this kind.
    #[param(min_length = 1, max_length = 100)]
    pub kind: Option<String>,
    /// Only events about this module.
    #[param(
        pattern = "^[A-Za-z_][A-Za-z0-9_]*(\\.[A-Za-z_][A-Za-z0-9_]*)*$",
        max_length = 200
    )]
    pub module: Option<String>,
    /// Only events of this agent or user.
    #[param(min_length = 1, max_length = 200)]
    pub actor: Option<String>,
    /// Only the event at this position and those that matter to it: its causal chain, then others about the same version of
    /// the same module, then others about the same module; oldest first. Goes with `limit` and `data` alone.
    #[param(value_type = Option<u64>, minimum = 0)]
    pub about: Option<Position>,
    /// Whether to include payloads.
    pub data: Option<bool>,
    /// With `after`, if there are no events yet: how long to wait for some, in milliseconds.
    #[param(minimum = 0, maximum = 50_000)]
    pub wait_ms: Option<u64>,
}

/// An event. Members without a value are `null`, and so is the payload unless it was requested.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
#[allow(missing_docs)] // the stored line in ARCHITECTURE.md says what each is; the document says no more
pub struct EventView {
    pub sequence: u64,
    pub revision: u64,
    pub id: String,
    pub task_id: String,
    pub module: Option<String>,
    pub kind: String,
    pub occurred_at: Option<String>,
    pub actor: String,
    pub causation_id: Option<String>,
    pub code_version: u64,
    pub code_hash: Option<String>,
    /// The author's vector clock: a counter per process.
    #[schema(value_type = Object)]
    pub clock: serde_json::Value,
    /// Where the event was first stored, if it was imported or copied.
    #[schema(value_type = Option<Object>)]
    pub origin: serde_json::Value,
    pub hash: String,
    #[schema(value_type = Option<Object>)]
    pub data: Option<Box<RawValue>>,
}

/// A page of events.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct EventPage {
    /// The events in the requested order.
    pub events: Vec<EventView>,
    /// Where the next page starts (as `after` or `before`, whichever was used); null if there are no more.
    pub next: Option<u64>,
}

/// Selects a text.
#[derive(Clone, Debug, IntoParams)]
#[into_params(parameter_in = Path)]
pub struct BlobPath {
    /// The hash by which an event refers to it.
    #[param(pattern = "^b3:[0-9a-f]{64}$")]
    pub hash: String,
}

/// Selects stored lines.
#[derive(Clone, Debug, Default, Serialize, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct LinesQuery {
    /// Only events after this position.
    #[param(value_type = Option<u64>, minimum = 0)]
    pub after: Option<Position>,
    /// Only events up to this position.
    #[param(value_type = Option<u64>, minimum = 0)]
    pub until: Option<Position>,
    /// The most lines to return; fewer mean that there are no more.
    #[param(minimum = 1, maximum = 1_000)]
    pub limit: Option<usize>,
    /// Only events of this task.
    #[param(pattern = "^[A-Za-z0-9][A-Za-z0-9._:-]{0,199}$")]
    pub task: Option<String>,
}

/// Selects the start of a stream of events.
#[derive(Clone, Debug, Default, Serialize, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct StreamQuery {
    /// Only events after this position. `Last-Event-ID` has the same meaning and takes precedence.
    #[param(value_type = Option<u64>, minimum = 0)]
    pub after: Option<Position>,
}

/// An event in a stream.
#[derive(Clone, Debug, ToSchema)]
pub struct SentEvent {
    /// The position, for `Last-Event-ID`.
    pub id: String,
    /// The kind of the event.
    pub event: String,
    /// The event as it is stored, as JSON.
    pub data: String,
}
