//! The status of external servers, for display.

use serde::Serialize;

use crate::ServerName;

/// The status of an external server.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct ServerStatus {
    /// The name of the server.
    pub name: ServerName,
    /// The state of the connection.
    #[serde(flatten)]
    pub state: ServerState,
    /// The number of its tools that can be called.
    pub tools: usize,
    /// Tools it offers that are not used.
    pub skipped: Vec<SkippedTool>,
    /// The number of reconnections.
    pub restarts: u32,
}

/// The state of the connection to a server.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(tag = "state", rename_all = "snake_case")]
pub enum ServerState {
    /// It is being started, or asked for its tools.
    Connecting,
    /// Its tools can be called.
    Ready,
    /// It is unavailable. Connecting is retried until shutdown.
    Unavailable {
        /// The reason, in words.
        why: String,
    },
}

/// A tool that is not used.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct SkippedTool {
    /// The server's name for the tool, truncated to 128 characters.
    pub name: String,
    /// The reason, in words.
    pub why: String,
}
