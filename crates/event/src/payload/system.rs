//! Payloads about the system as a whole, in streams of no task.

use serde::{Deserialize, Serialize};

/// The stream in which alerts are kept.
pub const ALERTS: &str = "sys.alerts";

/// Something that many wait for has come to another level.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct BackpressureAlert {
    /// What is watched: `fill`, `oldest_waiting` or `downstream`.
    pub watched: String,
    /// How serious it is now: `normal`, `warning` or `critical`.
    pub level: String,
    /// How much of what is well, in percent.
    pub percent: u64,
}
