//! The parts that tasks are worked on with, shared by all tasks.

use std::path::PathBuf;

use journeyman_gateway::Gateway;
use journeyman_language::Runners;
use journeyman_metrics::Money;
use journeyman_sandbox::Sandbox;
use journeyman_signal::Signals;

use crate::agents::AgentRegistry;
use crate::slots::ModelSlots;
use crate::strategy::Strategies;
use crate::toolbox::Toolbox;

/// The parts that tasks are worked on with.
#[derive(Clone)]
pub struct WorkerContext {
    /// The configured models, of which one is selected for each call.
    pub models: Gateway,
    /// The slots for concurrent calls of the model server.
    pub slots: ModelSlots,
    /// The sandbox for code.
    pub sandbox: Sandbox,
    /// Run code in the sandbox, one runner for each programming language.
    pub runners: Runners,
    /// The strategies for writing modules.
    pub strategies: Strategies,
    /// The tools of agents and users.
    pub tools: Toolbox,
    /// The handle that emits telemetry signals of the work.
    pub signals: Signals,
    /// The prices of model calls, and the budgets that limit them.
    pub money: Money,
    /// The active agents.
    pub agents: AgentRegistry,
    /// The folder that contains the temporary folders for running code.
    pub work_folder: PathBuf,
}
