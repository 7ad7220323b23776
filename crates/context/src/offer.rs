//! What a model may call before it answers.

/// A tool that may be called.
#[derive(Clone, Debug)]
pub struct ToolOffer {
    /// What it is called by.
    pub name: String,
    /// What it does.
    pub description: String,
    /// The JSON schema of its arguments.
    pub schema: serde_json::Value,
}
