//! Tools of external MCP servers: maintains the connections and checks what the servers send.

mod child;
mod config;
mod connect;
mod connection;
mod error_text;
mod guard;
mod handler;
mod http;
mod listing;
mod servers;
mod status;
mod supervisor;
mod tool;

pub use config::{ConfigError, Endpoint, Secret, ServerConfig};
pub use servers::{Host, McpServers};
pub use status::{ServerState, ServerStatus, SkippedTool};
