//! A task's events, on pages, as lines and as they come.

use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use utoipa::{IntoParams, ToSchema};

use crate::tasks::Position;

/// Which events a page is to have.
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
    /// How many at most.
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
    /// Whether their payloads are wanted.
    pub data: Option<bool>,
    /// With `after`, where there is nothing yet: how long to wait for something, in milliseconds.
    #[param(minimum = 0, maximum = 50_000)]
    pub wait_ms: Option<u64>,
}

/// An event as it is stored. Members that it has not are `null`; its payload too, unless it was asked
/// for.
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
    /// What its maker knew: a count for each process.
    #[schema(value_type = Object)]
    pub clock: serde_json::Value,
    /// Where it was first stored, if that was not here.
    #[schema(value_type = Option<Object>)]
    pub origin: serde_json::Value,
    pub hash: String,
    #[schema(value_type = Option<Object>)]
    pub data: Option<Box<RawValue>>,
}

/// A page of events.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct EventPage {
    /// In the order that was asked for.
    pub events: Vec<EventView>,
    /// Where the next page begins (`after` or `before`, whichever was used); none if there are no more.
    pub next: Option<u64>,
}

/// Which text a path is about.
#[derive(Clone, Debug, IntoParams)]
#[into_params(parameter_in = Path)]
pub struct BlobPath {
    /// The hash that an event cites.
    #[param(pattern = "^b3:[0-9a-f]{64}$")]
    pub hash: String,
}

/// Which stored lines are wanted.
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
    /// How many at most; fewer mean that there are no more.
    #[param(minimum = 1, maximum = 1_000)]
    pub limit: Option<usize>,
    /// Only events of this task.
    #[param(pattern = "^[A-Za-z0-9][A-Za-z0-9._:-]{0,199}$")]
    pub task: Option<String>,
}

/// Where a stream of events is to begin.
#[derive(Clone, Debug, Default, Serialize, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct StreamQuery {
    /// Only events after this position; `Last-Event-ID` says the same and goes before it.
    #[param(value_type = Option<u64>, minimum = 0)]
    pub after: Option<Position>,
}

/// One of the events that are sent.
#[derive(Clone, Debug, ToSchema)]
pub struct SentEvent {
    /// Its position, for `Last-Event-ID`.
    pub id: String,
    /// Its kind.
    pub event: String,
    /// The event as it is stored, as JSON.
    pub data: String,
}
