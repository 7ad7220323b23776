//! `run_command`: runs a command in the task's sandbox.

use std::fmt::Write;

use async_trait::async_trait;
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::json;

use super::BuiltIn;
use crate::{CallContext, Output, Permission, ToolError};

pub(super) struct RunCommand;

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Arguments {
    /// The program and its arguments as separate strings: `["python", "-m", "pytest"]`. No shell interprets them.
    #[schemars(length(min = 1, max = 256))]
    command: Vec<String>,
}

#[async_trait]
impl BuiltIn for RunCommand {
    const NAME: &'static str = "run_command";
    const DESCRIPTION: &'static str = "Runs a command in a sandbox with the task's files, without a network. \
         Its changes to files are discarded afterwards.";
    const PERMISSION: Permission = Permission::Run;
    const REPEATABLE: bool = true;
    type Arguments = Arguments;

    async fn run(context: &CallContext, arguments: Arguments) -> Result<Output, ToolError> {
        if arguments.command.iter().any(|word| word.contains('\0')) {
            let problem = "the program and its arguments must not contain a NUL byte";
            return Err(ToolError::Failed(problem.into()));
        }
        let command = arguments.command;
        let run = context.workspace.run_command(command, &context.cancel);
        let run = run.await?;
        let mut text = match run.exit {
            Some(code) => format!("exit code {code}\n"),
            None => "ended by a signal or a limit\n".to_owned(),
        };
        for (what, written) in [("output", &run.stdout), ("error output", &run.stderr)] {
            if !written.is_empty() {
                let _ = write!(text, "--- {what} ---\n{written}");
                if !written.ends_with('\n') {
                    text.push('\n');
                }
            }
        }
        Ok(Output {
            text,
            structured: Some(json!({
                "exit": run.exit, "stdout": run.stdout, "stderr": run.stderr,
            })),
            is_error: run.exit != Some(0),
            truncated: run.truncated,
        })
    }
}
