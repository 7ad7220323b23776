//! The examples in a prompt.

use journeyman_event::payload::GivenTest;

/// The examples found in a prompt.
#[derive(Debug, Default)]
pub struct Examples {
    /// The tests made of them: what the prompt clearly expects of what it asks for. Doubtful ones are left out,
    /// because correct code could fail them.
    pub tests: Vec<GivenTest>,
    /// A message about lines that look like tests and are not run; empty if there are none.
    pub left_out: Option<String>,
}
