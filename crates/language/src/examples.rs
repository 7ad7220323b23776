//! What is made of the examples of a prompt.

use journeyman_event::payload::GivenTest;

/// What is made of the examples of a prompt.
#[derive(Debug, Default)]
pub struct Examples {
    /// The tests that it gives: what it plainly expects of what it asks for. Where that is in doubt it is
    /// no test, for right code would fail by it.
    pub tests: Vec<GivenTest>,
    /// What is said of the lines that look like tests and are not run; nothing if there are none.
    pub left_out: Option<String>,
}
