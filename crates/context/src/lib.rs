//! What goes into a model call, and why.
//!
//! Floor 4. From a task's state to the messages of one call, in four layers: system prompt, state
//! summary, compressed events, current event. The prompt never exceeds its share of the model's
//! real window; what was kept, cut and left out is said. It calls no model (it asks the model
//! server to count tokens) and records nothing.

mod build;
mod offer;
mod piece;
mod profile;
mod prompts;
mod purpose;
mod requests;
mod sources;

pub use build::{BuildError, BuiltContext, Request, build};
pub use offer::ToolOffer;
pub use profile::Profile;
pub use prompts::{QUESTIONS_MAX, may_ask, plan_schema};
pub use purpose::Descriptor;
