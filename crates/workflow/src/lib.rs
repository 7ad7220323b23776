//! The coding workflow: a pure decider with effects at its edge.
//!
//! Floor 5. [`decide()`] decides the next step from the state folded in `event`. The [`Worker`] carries it out and
//! records intent and outcome. Workflow events are only appended through its [`Recorder`]. This crate knows no
//! source code of any programming language (that is `language`), no queue, no user commands (that is `tasks`), no
//! wire format, no command line and no settings.
//!
//! To change how a module is written and repaired, implement [`ModuleStrategy`].

mod agent_lifecycle;
mod agents;
mod answer;
mod control;
mod decide;
mod effects;
mod error;
mod examples;
mod fact;
mod folder;
#[cfg(test)]
mod fuzz;
mod given;
mod interpret;
mod layout;
mod listing;
mod load;
mod named;
mod notice;
mod output;
mod plan;
mod recorder;
mod request;
mod slots;
mod snapshot;
mod strategy;
mod summary;
mod telemetry;
mod toolbox;
mod verdict;
mod work_clock;
mod worker;
mod worker_context;
mod workspace;

pub use agents::{ActiveAgent, AgentActivity, AgentRegistry};
pub use control::{Control, StopReason};
pub use decide::{Now, Step, decide, without_time};
pub use effects::completed_call;
pub use error::Error;
pub use examples::{examples_notice, left_out_notice};
pub use fact::{Fact, Role};
pub use folder::FreshFolder;
pub use given::GivenTests;
pub use layout::{Files, TaskFile, module_path, task_files};
pub use listing::Listing;
pub use load::{load, load_at};
pub use notice::{Notice, Notices};
pub use output::{OutputError, check_output, forget_result, write_result};
pub use plan::plan_of_stub;
pub use recorder::{PAGE, Recorded, Recorder};
pub use request::{is_plain_question, prompt_note, prompt_problem};
pub use slots::ModelSlots;
pub use strategy::{
    Choice, Draw, HOT, ModuleStep, ModuleStrategy, Strategies, Tried, WARM, WholeFile, choose,
    next_draw,
};
pub use summary::{answered, headline, remarks};
pub use toolbox::{Toolbox, check_patterns, user_grants};
pub use worker::{Worker, WorkerOptions};
pub use worker_context::WorkerContext;
pub use workspace::{FileWriter, TaskWorkspace};
