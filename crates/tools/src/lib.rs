//! Typed tools, the dispatcher that calls them, and the tools of external MCP servers.
//!
//! Floor 4. A [`Registry`] contains the available tools. A [`Dispatcher`] checks a call (whether the tool exists,
//! the caller may call it, and the arguments fit its schema), has it recorded, runs it within its limits, and has
//! the result recorded. [`McpServers`] maintains connections to external servers and adds their tools to the
//! registry.
//!
//! This crate stores nothing itself; a [`Record`] does. It knows no agent, journal or file system: a tool can only
//! access the [`Workspace`] of the task it is called for. Everything an external server sends is untrusted, so it
//! is bounded and checked.
//!
//! To add a tool, add a file in `builtin/` and a line in `builtin/mod.rs`.

mod bound;
mod builtin;
mod call;
mod chain;
mod check;
mod dispatcher;
mod grants;
mod mcp;
mod name;
mod path;
mod refusal;
mod registry;
mod schema;
mod schema_cost;
mod spec;
mod tool;
mod workspace;

pub use call::{
    CallRef, Completed, FailureKind, Known, Outcome, Record, RecordError, RefusalKind, Request,
};
pub use chain::{Chain, ChainRefusal, Stopped};
pub use check::Checked;
pub use dispatcher::{Dispatcher, DispatcherOptions};
pub use grants::{Grants, Missing};
pub use mcp::{
    ConfigError, Endpoint, Host, McpServers, Secret, ServerConfig, ServerState, ServerStatus,
    SkippedTool,
};
pub use name::{InvalidName, Pattern, ServerName, ToolName};
pub use path::{FilePath, InvalidPath};
pub use refusal::Refusal;
pub use registry::{RegisterError, Registry};
pub use schema::Fault;
pub use spec::{Permission, Source, Spec};
pub use tool::{Arguments, CallContext, Output, Tool, ToolError};
pub use workspace::{CommandRun, FileEntry, TestRun, Workspace, WorkspaceError};
