//! A fact: an event to be, as `decide` and the effects state it. The `recorder` makes events of it.

use journeyman_event::payload::{CodeGenerated, CodeOrigin};
use journeyman_event::{ContentHash, EventId, ModuleName, Payload};

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

/// An event to be.
#[derive(Clone, Debug, PartialEq)]
pub struct Fact {
    /// Who.
    pub role: Role,
    /// About which module.
    pub module: Option<ModuleName>,
    /// What.
    pub payload: Payload,
    /// The code version that this fact brings, where it brings one.
    pub new_code: Option<(u64, ContentHash)>,
    /// What caused it; none means the event before it.
    pub cause: Option<EventId>,
}

impl Fact {
    /// A fact about the task as a whole.
    pub fn of_task(role: Role, payload: impl Into<Payload>) -> Self {
        Self {
            role,
            module: None,
            payload: payload.into(),
            new_code: None,
            cause: None,
        }
    }

    /// A fact about a module.
    pub fn of_module(role: Role, module: &ModuleName, payload: impl Into<Payload>) -> Self {
        Self {
            module: Some(module.clone()),
            ..Self::of_task(role, payload)
        }
    }

    /// A new version of a module's code.
    pub fn new_code(
        role: Role,
        module: &ModuleName,
        version: u64,
        origin: CodeOrigin,
        source: String,
    ) -> Self {
        let hash = ContentHash::of(source.as_bytes());
        Self {
            new_code: Some((version, hash)),
            ..Self::of_module(role, module, CodeGenerated { origin, source })
        }
    }

    /// The same fact, caused by that event.
    pub fn caused_by(self, cause: EventId) -> Self {
        Self {
            cause: Some(cause),
            ..self
        }
    }
}
