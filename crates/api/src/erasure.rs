//! Requests and answers of the erasure of tasks.

use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

/// The query of a deletion.
#[derive(Clone, Debug, Default, Serialize, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct DeleteQuery {
    /// The reason, for the record of the erasure. The record is kept.
    #[param(pattern = "\\S", max_length = 200)]
    pub reason: Option<String>,
}

/// What is left of an erased task.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ErasedTask {
    /// The id of the task. No other task can get it.
    pub task_id: String,
    /// When it was erased.
    pub erased_at: String,
    /// The owner that erased it; `system` for retention.
    pub by: String,
    /// Why it was erased, as its user or the rule of retention gave it.
    pub reason: String,
    /// The number of its events. Each keeps its position and its hash; its data is erased.
    pub events: u64,
    /// The position of the event that records the erasure.
    pub sequence: u64,
    /// Why some of its data is still on the disk: a reader uses it, or the disk is full. The erasure continues by itself.
    /// Missing once all of it is gone.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub unfinished: Option<String>,
}
