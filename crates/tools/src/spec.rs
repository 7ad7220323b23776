//! The properties of a tool that are known before it is called: its name, arguments and permission.

use std::fmt;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::{ServerName, ToolName};

/// A permission that a tool requires of its caller.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Permission {
    /// Reads the task's files and texts.
    Read,
    /// Changes the task's files.
    Write,
    /// Runs code in the sandbox.
    Run,
    /// Sends data to an external server, which may do anything with it.
    External,
}

impl fmt::Display for Permission {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Read => "read",
            Self::Write => "write",
            Self::Run => "run",
            Self::External => "external",
        })
    }
}

/// Where a tool comes from.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Source {
    /// A built-in tool.
    BuiltIn,
    /// An external MCP server.
    Server(ServerName),
}

/// The properties of a tool.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Spec {
    /// The name of the tool.
    pub name: ToolName,
    /// What the tool does, worded for a model.
    pub description: String,
    /// The JSON schema of its arguments.
    pub input_schema: Map<String, Value>,
    /// The permission it requires.
    pub permission: Permission,
    /// Where the tool comes from.
    pub source: Source,
    /// Whether a call may be repeated if a crash has lost its outcome. For an external tool this is what its
    /// server claims.
    pub repeatable: bool,
}
