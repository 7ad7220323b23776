//! Decides what goes into a model call, and reports why.
//!
//! Floor 4. Turns a task's state into the messages of one call, in four layers: system prompt, state of the
//! task, history of the module's rounds, current step. The prompt never exceeds its share of the model's actual window, and the
//! result lists what was kept, cut and left out. This crate does not call the model (it only asks the model server
//! to count tokens) and stores nothing.

mod build;
mod fit;
mod forms;
mod offer;
mod piece;
mod profile;
mod prompts;
mod purpose;
mod requests;
mod sources;

pub use build::{BuildError, BuiltContext, Request, build, estimate};
pub use forms::{forms_of, opening};
pub use offer::ToolOffer;
pub use profile::{Part, Profile};
pub use prompts::{QUESTIONS_MAX, may_ask, plan_schema};
pub use purpose::Descriptor;
