//! The roles that act in a task.

/// Who does something in a task. The role's name is the `actor` of its events.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// The person who uses the product.
    User,
    /// Decides which step comes next.
    Conductor,
    /// Makes the plan.
    Planner,
    /// Writes the code of modules.
    Coder,
    /// Writes tests and runs them.
    Tester,
    /// Corrects code after failed tests.
    Fixer,
    /// Reviews finished code.
    Reviewer,
    /// Summarises finished modules and tasks.
    Summariser,
}

impl Role {
    /// The name as used in events.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::User => "user",
            Self::Conductor => "conductor",
            Self::Planner => "planner",
            Self::Coder => "coder",
            Self::Tester => "tester",
            Self::Fixer => "fixer",
            Self::Reviewer => "reviewer",
            Self::Summariser => "summariser",
        }
    }
}
