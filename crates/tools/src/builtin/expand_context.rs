//! `expand_context`: returns the exact text behind a citation in a summary.

use async_trait::async_trait;
use schemars::JsonSchema;
use serde::Deserialize;

use super::BuiltIn;
use crate::{CallContext, Output, Permission, ToolError};

pub(super) struct ExpandContext;

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Arguments {
    /// The citation as it stands in the summary: an event's number, or a hash that begins with `b3:`.
    #[schemars(length(min = 1, max = 128))]
    reference: String,
}

#[async_trait]
impl BuiltIn for ExpandContext {
    const NAME: &'static str = "expand_context";
    const DESCRIPTION: &'static str =
        "Shows the exact text that a summary refers to, as it was before it was summarised.";
    const PERMISSION: Permission = Permission::Read;
    const REPEATABLE: bool = true;
    type Arguments = Arguments;

    async fn run(context: &CallContext, arguments: Arguments) -> Result<Output, ToolError> {
        let text = context.workspace.expand(&arguments.reference).await?;
        Ok(Output::text(text))
    }
}
