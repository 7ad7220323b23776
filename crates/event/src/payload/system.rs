//! Payloads about the system as a whole, in streams that belong to no task.

use serde::{Deserialize, Serialize};

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
