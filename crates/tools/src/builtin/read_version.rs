//! `read_version`: returns an earlier version of a file.

use async_trait::async_trait;
use schemars::JsonSchema;
use serde::Deserialize;

use super::BuiltIn;
use crate::{CallContext, FilePath, Output, Permission, ToolError};

pub(super) struct ReadVersion;

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Arguments {
    /// The file, relative to the task's root.
    path: FilePath,
    /// The version of the file, counted from 1. `list_files` shows the newest one.
    #[schemars(range(min = 1))]
    version: u64,
}

#[async_trait]
impl BuiltIn for ReadVersion {
    const NAME: &'static str = "read_version";
    const DESCRIPTION: &'static str =
        "Shows the text of one of the task's files as it was at an earlier version.";
    const PERMISSION: Permission = Permission::Read;
    const REPEATABLE: bool = true;
    type Arguments = Arguments;

    async fn run(context: &CallContext, arguments: Arguments) -> Result<Output, ToolError> {
        let Arguments { path, version } = arguments;
        let text = context.workspace.read(&path, Some(version)).await?;
        Ok(Output::text(text))
    }
}
