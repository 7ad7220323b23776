//! The tools offered to a model.

/// A tool that the model may call.
#[derive(Clone, Debug)]
pub struct ToolOffer {
    /// The name of the tool.
    pub name: String,
    /// What the tool does.
    pub description: String,
    /// The JSON schema of its arguments.
    pub schema: serde_json::Value,
}
