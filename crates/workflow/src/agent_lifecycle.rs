//! Makes agents: who does what in a task, with which tools; and ends them. Pure: what is made here are
//! facts to be recorded.

use journeyman_context::Descriptor;
use journeyman_event::payload::{AgentCompleted, AgentOutcome, AgentStarted, AgentStep, Purpose};
use journeyman_event::state::{Agent, PendingAnswer};
use journeyman_event::{ModuleName, TaskState};
use journeyman_language::of_task;

use crate::answer::tool_requests;
use crate::fact::Fact;

/// Steps in which an agent may call tools; then it has to answer.
pub(crate) const TOOL_STEPS_MAX: u32 = 4;
/// Steps in which it is asked what has to be looked up: a list, and what stands in it.
pub(crate) const LOOK_UPS_MAX: u32 = 2;
/// Calls in one step.
pub(crate) const TOOL_CALLS_MAX: usize = 4;

/// What is to be recorded before the model is asked: a new agent's beginning, unless the one at work
/// there is asking once more.
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

/// The end of an agent at work.
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

/// The end of all agents at work, of whom nothing more is wanted.
pub(crate) fn all_dropped(state: &TaskState) -> Vec<Fact> {
    let agents = state.active_agents.iter();
    agents
        .map(|agent| completed(agent, AgentOutcome::Dropped))
        .collect()
}

/// Whether an agent may call tools once more.
pub(crate) fn may_call(agent: &Agent) -> bool {
    !agent.tools.is_empty() && agent.steps < TOOL_STEPS_MAX
}

/// The step of an agent that wants to call tools before it answers; none if it wants none. The error
/// says what is wrong with what it wants, in words for the model.
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
