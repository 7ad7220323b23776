//! Payloads about the system as a whole, in streams that belong to no task.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::content::ContentHash;
use crate::ids::{Owner, Revision, TaskId};
use crate::money::PicoUsd;

/// The name of the stream for alerts.
pub const ALERTS: &str = "sys.alerts";

/// A load indicator of the queue reached another level.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct BackpressureAlert {
    /// The indicator: `fill`, `oldest_waiting` or `downstream`.
    pub watched: String,
    /// The new level: `normal`, `warning` or `critical`.
    pub level: String,
    /// The measured value, in per cent of what is acceptable.
    pub percent: u64,
}

/// The name of the stream for erasures.
pub const ERASURES: &str = "sys.erasure";

/// The erasure of a stream started. It removes the payloads of all its events, blobs that nothing else cites, and
/// everything derived from them. The stream gets no further events.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ErasureStarted {
    /// The owner of the stream.
    pub owner: Owner,
    /// The task of the stream.
    pub task_id: TaskId,
    /// The revision of its last event, which is also the number of its events.
    pub revision: Revision,
    /// The digest over all its lines in their erased form ([`crate::erasure_digest`]). It reveals a later change of
    /// one of them, and a line that was marked as erased without this erasure.
    pub digest: ContentHash,
    /// The owner of the principal that erased it: a user, or `system` for retention.
    pub by: Owner,
    /// The reason, as text for people.
    pub reason: String,
    /// What its model calls cost, so that a budget does not get its money back. None in events of older versions.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub spent: Vec<ErasedCost>,
}

/// What one erased model call cost.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ErasedCost {
    /// The revision of the erased event that recorded the outcome of the call.
    pub revision: Revision,
    /// The time of that event.
    pub at: Timestamp,
    /// What the call cost, in US dollars.
    pub usd: PicoUsd,
    /// The key that the call counted for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub key: Option<String>,
    /// The project that the call counted for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub project: Option<String>,
}

/// The erasure of a stream completed. The causation id names its [`ErasureStarted`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ErasureCompleted {
    /// The owner of the stream.
    pub owner: Owner,
    /// The task of the stream.
    pub task_id: TaskId,
}
