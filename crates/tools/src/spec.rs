//! What is known of a tool before it is called: its name, its arguments, what it may touch.

use std::fmt;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::{ServerName, ToolName};

/// What a tool reaches for; a caller needs the same.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Permission {
    /// Looks at the task's files and texts.
    Read,
    /// Changes the task's files.
    Write,
    /// Runs code in the sandbox.
    Run,
    /// Speaks to a server that is not ours, which does what it likes with what it is given.
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

/// Whose tool it is.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Source {
    /// Ours.
    BuiltIn,
    /// An external MCP server's.
    Server(ServerName),
}

/// What is known of a tool before it is called.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Spec {
    /// What it is called by.
    pub name: ToolName,
    /// What it does, for a model.
    pub description: String,
    /// The JSON schema of its arguments.
    pub input_schema: Map<String, Value>,
    /// What it reaches for.
    pub permission: Permission,
    /// Whose tool it is.
    pub source: Source,
    /// Whether a call whose outcome was lost in a crash may be made again. Of an external tool
    /// this is what its server claims.
    pub repeatable: bool,
}
