//! The kinds of work and how urgent each is by default.

use journeyman_event::Priority;

/// A kind of work.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum WorkKind {
    /// What a user does to a running task.
    Intervention,
    /// Writing code.
    CodeGeneration,
    /// Repairing code that failed.
    Correction,
    /// Writing tests.
    Tests,
    /// Making a plan.
    Planning,
    /// Looking for code that nothing uses.
    DeadCodeAnalysis,
    /// Anything else.
    Unknown,
}

impl WorkKind {
    /// The kind of this name, in any case, words joined by `_`, `-` or a space; [`Self::Unknown`]
    /// where nothing is called so.
    pub fn from_name(name: &str) -> Self {
        let name = name.trim().to_ascii_lowercase().replace(['-', ' '], "_");
        match name.as_str() {
            "intervention" => Self::Intervention,
            "code_generation" => Self::CodeGeneration,
            "correction" => Self::Correction,
            "tests" => Self::Tests,
            "planning" => Self::Planning,
            "dead_code_analysis" => Self::DeadCodeAnalysis,
            _ => Self::Unknown,
        }
    }

    /// How urgent it is unless the submitter says otherwise.
    pub const fn priority(self) -> Priority {
        match self {
            Self::Intervention => Priority::CRITICAL,
            Self::CodeGeneration | Self::Correction => Priority::HIGH,
            Self::Tests | Self::Planning => Priority::MEDIUM,
            Self::DeadCodeAnalysis => Priority::LOW,
            Self::Unknown => Priority::BACKGROUND,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_kind_of_work_has_its_default_priority() {
        for (name, priority) in [
            ("intervention", Priority::CRITICAL),
            ("Code Generation", Priority::HIGH),
            ("correction", Priority::HIGH),
            ("TESTS", Priority::MEDIUM),
            ("planning", Priority::MEDIUM),
            ("dead-code_analysis", Priority::LOW),
            ("", Priority::BACKGROUND),
            ("gardening", Priority::BACKGROUND),
        ] {
            assert_eq!(WorkKind::from_name(name).priority(), priority, "{name}");
        }
    }
}
