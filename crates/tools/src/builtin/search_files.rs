//! `search_files`: finds lines that match a regular expression, in one file or all.

use std::fmt::Write;

use async_trait::async_trait;
use regex::RegexBuilder;
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::json;

use super::BuiltIn;
use crate::bound::bounded;
use crate::{CallContext, FilePath, Output, Permission, ToolError};

/// The most lines in one answer.
const MATCHES_MAX: usize = 200;
/// The most bytes shown of a line.
const LINE_MAX: usize = 400;
/// The most memory for a compiled pattern, in bytes.
const PATTERN_BYTES_MAX: usize = 1 << 20;

pub(super) struct SearchFiles;

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Arguments {
    /// A regular expression, matched against each line. Look-around and back-references are not supported.
    #[schemars(length(min = 1, max = 1024))]
    pattern: String,
    /// Only this file. All files if it is left out.
    path: Option<FilePath>,
}

#[async_trait]
impl BuiltIn for SearchFiles {
    const NAME: &'static str = "search_files";
    const DESCRIPTION: &'static str =
        "Finds lines that match a regular expression in the task's files.";
    const PERMISSION: Permission = Permission::Read;
    const REPEATABLE: bool = true;
    type Arguments = Arguments;

    async fn run(context: &CallContext, arguments: Arguments) -> Result<Output, ToolError> {
        let pattern = RegexBuilder::new(&arguments.pattern)
            .size_limit(PATTERN_BYTES_MAX)
            .dfa_size_limit(PATTERN_BYTES_MAX)
            .build()
            .map_err(|error| ToolError::Failed(error.to_string()))?;
        let paths = if let Some(path) = arguments.path {
            vec![path]
        } else {
            let files = context.workspace.list().await?;
            files.into_iter().map(|file| file.path).collect()
        };
        let mut text = String::new();
        let mut found = Vec::new();
        let mut more = false;
        'files: for path in paths {
            let contents = context.workspace.read(&path, None).await?;
            for (index, line) in contents.lines().enumerate() {
                if !pattern.is_match(line) {
                    continue;
                }
                if found.len() == MATCHES_MAX {
                    more = true;
                    break 'files;
                }
                let (number, line) = (index + 1, bounded(line.to_owned(), LINE_MAX).text);
                let _ = writeln!(text, "{path}:{number}: {line}");
                found.push(json!({"path": path, "line": number, "text": line}));
            }
            // Many files are searched without anything to wait for; others want the thread as well.
            tokio::task::yield_now().await;
        }
        if found.is_empty() {
            text.push_str("no line matches\n");
        }
        if more {
            text.push_str("... and more; give a narrower pattern or one file\n");
        }
        Ok(Output {
            text,
            structured: Some(json!({"matches": found})),
            is_error: false,
            truncated: more,
        })
    }
}
