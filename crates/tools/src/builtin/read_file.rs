//! `read_file`: returns a file's current text, whole or some of its lines.

use async_trait::async_trait;
use schemars::JsonSchema;
use serde::Deserialize;

use super::BuiltIn;
use crate::{CallContext, FilePath, Output, Permission, ToolError};

pub(super) struct ReadFile;

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Arguments {
    /// The file, relative to the task's root.
    path: FilePath,
    /// The first line to show, counted from 1. The start of the file if it is left out.
    #[schemars(range(min = 1))]
    from_line: Option<usize>,
    /// The number of lines to show. All lines to the end if it is left out.
    #[schemars(range(min = 1))]
    lines: Option<usize>,
}

#[async_trait]
impl BuiltIn for ReadFile {
    const NAME: &'static str = "read_file";
    const DESCRIPTION: &'static str =
        "Shows the text of one of the task's files, or some lines of it.";
    const PERMISSION: Permission = Permission::Read;
    const REPEATABLE: bool = true;
    type Arguments = Arguments;

    async fn run(context: &CallContext, arguments: Arguments) -> Result<Output, ToolError> {
        let text = context.workspace.read(&arguments.path, None).await?;
        let Arguments {
            from_line, lines, ..
        } = arguments;
        if from_line.is_none() && lines.is_none() {
            return Ok(Output::text(text));
        }
        let skipped = from_line.unwrap_or(1) - 1;
        let all = text.split_inclusive('\n').count();
        if skipped >= all {
            return Err(ToolError::Failed(format!(
                "{} has {all} lines; from_line is beyond its end",
                arguments.path
            )));
        }
        let shown = text.split_inclusive('\n').skip(skipped);
        let shown: String = shown.take(lines.unwrap_or(usize::MAX)).collect();
        Ok(Output::text(shown))
    }
}
