//! A fact: an event before it is recorded, as returned by `decide` and the effects. The `recorder` turns facts into
//! events.

pub use journeyman_event::Role;
use journeyman_event::payload::{CodeGenerated, CodeOrigin};
use journeyman_event::{ContentHash, EventId, ModuleName, Payload};

/// An event before it is recorded.
#[derive(Clone, Debug, PartialEq)]
pub struct Fact {
    /// The role that acts.
    pub role: Role,
    /// The module it is about; `None` for the task as a whole.
    pub module: Option<ModuleName>,
    /// The payload of the event.
    pub payload: Payload,
    /// The new version of the module's code, if this fact brings one.
    pub new_code: Option<(u64, ContentHash)>,
    /// The event that caused it; `None` for the preceding event.
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

    /// A fact that brings a new version of a module's code.
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

    /// The same fact with this event as its cause.
    pub fn caused_by(self, cause: EventId) -> Self {
        Self {
            cause: Some(cause),
            ..self
        }
    }
}
