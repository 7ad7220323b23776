//! What is known of each external server, for people to see.

use serde::Serialize;

use crate::ServerName;

/// What is known of one external server.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct ServerStatus {
    /// Its name.
    pub name: ServerName,
    /// How it is.
    #[serde(flatten)]
    pub state: ServerState,
    /// How many of its tools can be called.
    pub tools: usize,
    /// Tools that it offers and that were not taken.
    pub skipped: Vec<SkippedTool>,
    /// How often it was connected to again.
    pub restarts: u32,
}

/// How a server is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(tag = "state", rename_all = "snake_case")]
pub enum ServerState {
    /// It is being started, or asked what it offers.
    Connecting,
    /// Its tools can be called.
    Ready,
    /// It is not there now. It is tried again until the end.
    Unavailable {
        /// Why.
        why: String,
    },
}

/// A tool that was not taken.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct SkippedTool {
    /// The name that its server gives it, cut to 128 characters.
    pub name: String,
    /// Why.
    pub why: String,
}
