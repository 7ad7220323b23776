//! `list_files`: lists the task's files.

use std::fmt::Write;

use async_trait::async_trait;
use globset::GlobBuilder;
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::json;

use super::BuiltIn;
use crate::{CallContext, Output, Permission, ToolError};

/// The most files in one answer.
const FILES_MAX: usize = 1_000;

pub(super) struct ListFiles;

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Arguments {
    /// Only files whose path matches this pattern, such as `**/*.py`. All files if it is left out.
    #[schemars(length(min = 1, max = 256))]
    glob: Option<String>,
}

#[async_trait]
impl BuiltIn for ListFiles {
    const NAME: &'static str = "list_files";
    const DESCRIPTION: &'static str =
        "Lists the task's files: the path, the version and the size in bytes of each.";
    const PERMISSION: Permission = Permission::Read;
    const REPEATABLE: bool = true;
    type Arguments = Arguments;

    async fn run(context: &CallContext, arguments: Arguments) -> Result<Output, ToolError> {
        let mut files = context.workspace.list().await?;
        if let Some(pattern) = arguments.glob {
            let glob = GlobBuilder::new(&pattern).literal_separator(true).build();
            let glob = glob.map_err(|error| ToolError::Failed(error.to_string()))?;
            let glob = glob.compile_matcher();
            files.retain(|file| glob.is_match(file.path.as_str()));
        }
        let more = files.len().saturating_sub(FILES_MAX);
        files.truncate(FILES_MAX);
        let mut text = String::new();
        for file in &files {
            let (path, version, bytes) = (&file.path, file.version, file.bytes);
            let _ = writeln!(text, "{path} (version {version}, {bytes} bytes)");
        }
        if files.is_empty() {
            text.push_str("no files\n");
        }
        if more > 0 {
            let _ = writeln!(text, "... and {more} more; give a narrower glob");
        }
        Ok(Output {
            text,
            structured: Some(json!({"files": files})),
            is_error: false,
            truncated: more > 0,
        })
    }
}
