//! Who does what in a task.

/// Who does something in a task. The name is the event's actor.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// The person who uses the product.
    User,
    /// Decides what comes next.
    Conductor,
    /// Plans.
    Planner,
    /// Writes code.
    Coder,
    /// Writes and runs tests.
    Tester,
    /// Corrects code.
    Fixer,
    /// Reads finished code.
    Reviewer,
}

impl Role {
    /// The actor's name.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::User => "user",
            Self::Conductor => "conductor",
            Self::Planner => "planner",
            Self::Coder => "coder",
            Self::Tester => "tester",
            Self::Fixer => "fixer",
            Self::Reviewer => "reviewer",
        }
    }
}
