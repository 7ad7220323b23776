//! What tasks are worked on with: shared by all of them.

use std::path::PathBuf;
use std::sync::Arc;

use journeyman_language::Runner;
use journeyman_llm::ModelServer;
use journeyman_sandbox::Sandbox;

use crate::agents::AgentRegistry;
use crate::slots::ModelSlots;
use crate::strategy::Strategies;
use crate::toolbox::Toolbox;

/// What tasks are worked on with.
#[derive(Clone)]
pub struct WorkerContext {
    /// The model.
    pub server: Arc<dyn ModelServer>,
    /// How many calls it takes at a time.
    pub slots: ModelSlots,
    /// Where code runs.
    pub sandbox: Sandbox,
    /// What runs code there, in its programming language.
    pub runner: Arc<dyn Runner>,
    /// How modules are written.
    pub strategies: Strategies,
    /// What agents and users may call.
    pub tools: Toolbox,
    /// Who is at work.
    pub agents: AgentRegistry,
    /// A folder for the fresh folders that code runs in.
    pub work_folder: PathBuf,
}
