//! A fact: an event to be, as `decide` and the effects state it. The `recorder` makes events of it.

pub use journeyman_event::Role;
use journeyman_event::payload::{CodeGenerated, CodeOrigin};
use journeyman_event::{ContentHash, EventId, ModuleName, Payload};

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
