//! `run_tests`: runs the task's tests in its sandbox.

use async_trait::async_trait;
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::json;

use super::BuiltIn;
use crate::{CallContext, FilePath, Output, Permission, ToolError};

pub(super) struct RunTests;

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Arguments {
    /// Only the tests in these files. All tests if it is left out.
    #[serde(default)]
    #[schemars(length(max = 64))]
    paths: Vec<FilePath>,
}

#[async_trait]
impl BuiltIn for RunTests {
    const NAME: &'static str = "run_tests";
    const DESCRIPTION: &'static str = "Runs the task's tests and says which failed and why.";
    const PERMISSION: Permission = Permission::Run;
    const REPEATABLE: bool = true;
    type Arguments = Arguments;

    async fn run(context: &CallContext, arguments: Arguments) -> Result<Output, ToolError> {
        let tests = context
            .workspace
            .run_tests(&arguments.paths, &context.cancel);
        let tests = tests.await?;
        // Tests that fail are what it was called to find out.
        Ok(Output {
            text: tests.summary,
            structured: Some(json!({"passed": tests.passed})),
            ..Output::default()
        })
    }
}
