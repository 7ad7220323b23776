//! Which agents live, of whom, and what each is doing: of this moment and this process, for whoever
//! looks. What an agent did is in the journal.
//!
//! An entry lives as long as somebody works on its task, however that ends: the work holds it.

use std::collections::HashMap;
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use jiff::Timestamp;
use journeyman_event::payload::Purpose;
use journeyman_event::state::Action;
use journeyman_event::{ModuleName, Owner, Principal, TaskId, TaskState};
use journeyman_journal::StreamName;

/// What an agent is doing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Doing {
    /// Nothing that takes time.
    Deciding,
    /// The model answers it.
    Asking,
    /// It calls this tool.
    Calling(String),
}

/// An agent that lives.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LivingAgent {
    /// Its name within its task.
    pub agent: String,
    /// Its task.
    pub task_id: TaskId,
    /// Its role.
    pub role: String,
    /// What it is to do.
    pub purpose: Purpose,
    /// For which module.
    pub module: Option<ModuleName>,
    /// Steps so far in which it called tools.
    pub steps: u32,
    /// What it is doing.
    pub doing: Doing,
    /// Since when it does that.
    pub since: Timestamp,
}

/// Which agents live. Clones are the same registry. One task has one agent at a time, so there are at
/// most as many as tasks are worked on.
#[derive(Clone, Default)]
pub struct AgentRegistry(Arc<Mutex<HashMap<StreamName, LivingAgent>>>);

impl fmt::Debug for AgentRegistry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("AgentRegistry")
            .field(&self.lock().len())
            .finish()
    }
}

impl AgentRegistry {
    fn lock(&self) -> MutexGuard<'_, HashMap<StreamName, LivingAgent>> {
        // Nothing panics while it holds the lock.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A principal's living agents, by task.
    pub fn of(&self, principal: &Principal) -> Vec<LivingAgent> {
        let all = self.lock();
        let own = all
            .iter()
            .filter(|(name, _)| &name.owner == principal.owner());
        let mut own: Vec<LivingAgent> = own.map(|(_, agent)| agent.clone()).collect();
        own.sort_by(|a, b| a.task_id.as_str().cmp(b.task_id.as_str()));
        own
    }

    /// For whoever works on a task.
    pub(crate) fn enter(&self, owner: &Owner, task: &TaskId) -> Presence {
        Presence {
            registry: self.clone(),
            name: StreamName::of(owner, task),
        }
    }
}

/// Work on a task: its agent lives no longer.
pub(crate) struct Presence {
    registry: AgentRegistry,
    name: StreamName,
}

impl Presence {
    /// Says who is at work, and at what, as a state has it.
    pub(crate) fn note(&self, state: &TaskState, now: Timestamp) {
        let Some(agent) = &state.agent else {
            self.registry.lock().remove(&self.name);
            return;
        };
        let doing = match state.effect.as_ref().map(|effect| &effect.action) {
            Some(Action::CallModel(_)) => Doing::Asking,
            Some(Action::CallTool(call)) => Doing::Calling(call.tool.clone()),
            _ => Doing::Deciding,
        };
        let mut all = self.registry.lock();
        let known = all.get(&self.name);
        let is_same = known.is_some_and(|known| known.agent == agent.id && known.doing == doing);
        let since = known.filter(|_| is_same).map_or(now, |known| known.since);
        let living = LivingAgent {
            agent: agent.id.clone(),
            task_id: self.name.task_id.clone(),
            role: agent.role.clone(),
            purpose: agent.purpose,
            module: agent.module.clone(),
            steps: agent.steps,
            doing,
            since,
        };
        all.insert(self.name.clone(), living);
    }
}

impl Drop for Presence {
    fn drop(&mut self) {
        self.registry.lock().remove(&self.name);
    }
}
