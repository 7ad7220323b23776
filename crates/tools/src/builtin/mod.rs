//! The built-in tools. Each has a file with its arguments and what it does with a workspace.

mod expand_context;
mod list_files;
mod read_file;
mod read_version;
mod run_command;
mod run_tests;
mod search_files;
mod write_file;

use std::marker::PhantomData;
use std::sync::Arc;

use async_trait::async_trait;
use schemars::JsonSchema;
use serde::de::DeserializeOwned;
use serde_json::Value;

use crate::schema::schema_of;
use crate::{
    Arguments, CallContext, InvalidName, Output, Permission, Source, Spec, Tool, ToolError,
    ToolName,
};

/// All built-in tools.
pub(crate) fn all() -> Vec<Arc<dyn Tool>> {
    let tools = [
        made::<expand_context::ExpandContext>(),
        made::<list_files::ListFiles>(),
        made::<read_file::ReadFile>(),
        made::<read_version::ReadVersion>(),
        made::<run_command::RunCommand>(),
        made::<run_tests::RunTests>(),
        made::<search_files::SearchFiles>(),
        made::<write_file::WriteFile>(),
    ];
    tools.into_iter().flatten().collect()
}

/// The definition of a built-in tool.
#[async_trait]
trait BuiltIn: Send + Sync + 'static {
    const NAME: &'static str;
    const DESCRIPTION: &'static str;
    const PERMISSION: Permission;
    const REPEATABLE: bool;
    /// The type that arguments are parsed into; its schema is the tool's.
    type Arguments: DeserializeOwned + JsonSchema + Send;

    async fn run(context: &CallContext, arguments: Self::Arguments) -> Result<Output, ToolError>;
}

struct Adapter<B> {
    spec: Spec,
    tool: PhantomData<fn() -> B>,
}

fn made<B: BuiltIn>() -> Result<Arc<dyn Tool>, InvalidName> {
    let spec = Spec {
        name: ToolName::new(B::NAME)?,
        description: B::DESCRIPTION.to_owned(),
        input_schema: schema_of::<B::Arguments>(),
        permission: B::PERMISSION,
        source: Source::BuiltIn,
        repeatable: B::REPEATABLE,
    };
    let tool = PhantomData;
    Ok(Arc::new(Adapter::<B> { spec, tool }))
}

#[async_trait]
impl<B: BuiltIn> Tool for Adapter<B> {
    fn spec(&self) -> &Spec {
        &self.spec
    }

    fn check(&self, arguments: &Arguments) -> Result<(), String> {
        read::<B>(arguments.clone()).map(drop)
    }

    async fn call(&self, context: &CallContext, arguments: Arguments) -> Result<Output, ToolError> {
        let arguments = read::<B>(arguments).map_err(ToolError::Failed)?;
        B::run(context, arguments).await
    }
}

fn read<B: BuiltIn>(arguments: Arguments) -> Result<B::Arguments, String> {
    serde_json::from_value(Value::Object(arguments)).map_err(|error| error.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_built_in_tool_has_a_valid_name_and_a_schema_that_names_its_arguments() {
        let tools = all();
        assert_eq!(tools.len(), 8);
        for tool in tools {
            let spec = tool.spec();
            let schema = &spec.input_schema;
            assert_eq!(schema["type"], "object", "{}", spec.name);
            assert_eq!(schema["additionalProperties"], false, "{}", spec.name);
            for (name, property) in schema["properties"].as_object().into_iter().flatten() {
                assert!(property["description"].is_string(), "{} {name}", spec.name);
            }
        }
    }
}
