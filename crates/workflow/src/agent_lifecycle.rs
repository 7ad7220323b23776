//! Starts and ends agents: which role does what in a task, with which tools. Pure: returns facts to be recorded.

use journeyman_context::Descriptor;
use journeyman_event::payload::{AgentCompleted, AgentOutcome, AgentStarted, AgentStep, Purpose};
use journeyman_event::state::{Agent, PendingAnswer};
use journeyman_event::{ModuleName, TaskState};
use journeyman_language::of_task;

use crate::answer::tool_requests;
use crate::fact::Fact;

/// The most steps in which an agent may call tools. After that it must answer.
pub(crate) const TOOL_STEPS_MAX: u32 = 4;
/// The most steps in the look-up before planning: one for a list, and one for its contents.
pub(crate) const LOOK_UPS_MAX: u32 = 2;
/// The most tool calls in one step.
pub(crate) const TOOL_CALLS_MAX: usize = 4;

/// The facts to record before the model is called: the start of a new agent, unless the active one is repeating
/// its call.
pub(crate) fn started(
    state: &TaskState,
    purpose: Purpose,
    module: Option<&ModuleName>,
    tools: Vec<String>,
) -> Vec<Fact> {
    let before = state.agent(module);
    if before.is_some_and(|agent| agent.purpose == purpose) {
        return Vec::new();
    }
    let dropped = before.map(|agent| completed(agent, AgentOutcome::Dropped));
    let mut facts: Vec<Fact> = dropped.into_iter().collect();
    let started = AgentStarted {
        agent: format!("a{}", state.agents + 1),
        purpose,
        tools,
    };
    facts.push(Fact {
        module: module.cloned(),
        ..Fact::of_task(Descriptor::of(purpose).role, started)
    });
    facts
}

/// The end of an active agent.
pub(crate) fn completed(agent: &Agent, outcome: AgentOutcome) -> Fact {
    let completed = AgentCompleted {
        agent: agent.id.clone(),
        outcome,
    };
    Fact {
        module: agent.module.clone(),
        ..Fact::of_task(Descriptor::of(agent.purpose).role, completed)
    }
}

/// The end of all active agents, which are no longer needed.
pub(crate) fn all_dropped(state: &TaskState) -> Vec<Fact> {
    let agents = state.active_agents.iter();
    agents
        .map(|agent| completed(agent, AgentOutcome::Dropped))
        .collect()
}

/// Whether an agent may call tools again.
pub(crate) fn may_call(agent: &Agent) -> bool {
    !agent.tools.is_empty() && agent.steps < TOOL_STEPS_MAX
}

/// The step of an agent that wants to call tools before answering; `None` if it wants none. The error describes
/// an invalid request, worded for the model.
pub(crate) fn step(state: &TaskState, answer: &PendingAnswer) -> Result<Option<Fact>, String> {
    let agent = state.agent(answer.module.as_ref());
    let Some(agent) = agent.filter(|agent| !agent.tools.is_empty()) else {
        return Ok(None);
    };
    let mut calls = tool_requests(of_task(state), &answer.text, answer.purpose)?;
    // Small models ask again for what they were told.
    calls.retain(|wanted| agent.calls.iter().all(|call| call.request != *wanted));
    if calls.is_empty() {
        return Ok(None);
    }
    if agent.steps >= TOOL_STEPS_MAX {
        return Err("no more tools may be called; answer with what you know".to_owned());
    }
    calls.truncate(TOOL_CALLS_MAX);
    let step = AgentStep {
        agent: agent.id.clone(),
        step: agent.steps + 1,
        calls,
    };
    Ok(Some(Fact {
        module: agent.module.clone(),
        ..Fact::of_task(Descriptor::of(agent.purpose).role, step)
    }))
}
