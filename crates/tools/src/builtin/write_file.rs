//! `write_file`: writes a whole file.

use async_trait::async_trait;
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::json;

use super::BuiltIn;
use crate::{CallContext, FilePath, Output, Permission, ToolError};

pub(super) struct WriteFile;

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Arguments {
    /// The file, relative to the task's root. It is created if it does not exist.
    path: FilePath,
    /// The whole text that the file is to have.
    content: String,
}

#[async_trait]
impl BuiltIn for WriteFile {
    const NAME: &'static str = "write_file";
    const DESCRIPTION: &'static str =
        "Replaces the text of one of the task's files. Earlier versions are kept and can be read.";
    const PERMISSION: Permission = Permission::Write;
    // The same text again is the same text.
    const REPEATABLE: bool = true;
    type Arguments = Arguments;

    async fn run(context: &CallContext, arguments: Arguments) -> Result<Output, ToolError> {
        let Arguments { path, content } = arguments;
        let file = context.workspace.write(&path, content).await?;
        let (version, bytes) = (file.version, file.bytes);
        Ok(Output {
            text: format!("{path} is now version {version}, {bytes} bytes"),
            structured: Some(json!({"version": version, "bytes": bytes})),
            ..Output::default()
        })
    }
}
