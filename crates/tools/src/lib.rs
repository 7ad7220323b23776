//! Typed tools, the dispatcher that calls them, and the tools of external MCP servers.
//!
//! Floor 4. A [`Registry`] knows which tools there are, a [`Dispatcher`] checks a call (is there such
//! a tool, may the caller, do the arguments fit its schema), has it recorded, makes it within its
//! bounds and has its end recorded. [`McpServers`] keeps connections to external servers and puts
//! their tools beside ours.
//!
//! It records nothing itself: a [`Record`] does. It knows no agent, no journal and no file system:
//! what a tool may touch is the [`Workspace`] of the one task that it is called for. What an external
//! server says is a stranger's word: bounded and checked.
//!
//! To add a tool: one file in `builtin/`, one line in `builtin/mod.rs`.

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
