//! The active agents of this process: what each is doing, and which tasks wait for a resource that is short. What
//! agents have done is in the journal.
//!
//! An entry exists for as long as work on its task continues. The guard held by that work removes it, however the
//! work ends.

use std::collections::{BTreeMap, HashMap};
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use jiff::Timestamp;
use journeyman_event::payload::{PauseReason, Purpose};
use journeyman_event::state::Action;
use journeyman_event::{ModuleName, Owner, Principal, TaskId, TaskState};
use journeyman_journal::StreamName;

/// The most tasks named in a message.
const NAMED_MAX: usize = 3;

/// What an agent is doing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum AgentActivity {
    /// It is deciding what to do next, which takes no time worth reporting.
    Deciding,
    /// It is waiting for the model.
    Asking,
    /// It is calling this tool.
    Calling(String),
}

/// An active agent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ActiveAgent {
    /// The agent's id within its task.
    pub agent: String,
    /// The id of the task.
    pub task_id: TaskId,
    /// The role it acts in.
    pub role: String,
    /// What it is to do.
    pub purpose: Purpose,
    /// The module it works on; `None` for the task as a whole.
    pub module: Option<ModuleName>,
    /// The number of steps so far in which it asked for tool calls.
    pub steps: u32,
    /// The current activity.
    pub doing: AgentActivity,
    /// When the current activity started.
    pub since: Timestamp,
}

/// The active agents. Clones share one registry. A task has at most one agent per module.
#[derive(Clone, Default)]
pub struct AgentRegistry(Arc<Mutex<Work>>);

/// The work on one task.
#[derive(Default)]
struct Work {
    active: HashMap<StreamName, Vec<ActiveAgent>>,
    /// The tasks that wait because a resource is short, with the system's error.
    short: BTreeMap<StreamName, String>,
}

impl fmt::Debug for AgentRegistry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("AgentRegistry")
            .field(&self.lock().active.values().map(Vec::len).sum::<usize>())
            .finish()
    }
}

impl AgentRegistry {
    fn lock(&self) -> MutexGuard<'_, Work> {
        // Nothing panics while it holds the lock.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The active agents of a principal's tasks, by task, in the order in which they started.
    pub fn of(&self, principal: &Principal) -> Vec<ActiveAgent> {
        let all = self.lock();
        let own = all
            .active
            .iter()
            .filter(|(name, _)| &name.owner == principal.owner());
        let mut own: Vec<ActiveAgent> = own.flat_map(|(_, agents)| agents.clone()).collect();
        own.sort_by(|a, b| a.task_id.as_str().cmp(b.task_id.as_str()));
        own
    }

    /// A message about tasks that wait because a resource is short; `None` if there are none.
    pub fn obstacle(&self) -> Option<String> {
        let work = self.lock();
        let why = work.short.values().next()?;
        let names = work.short.keys().take(NAMED_MAX).map(ToString::to_string);
        let names: Vec<String> = names.collect();
        let more = match work.short.len() - names.len() {
            0 => String::new(),
            more => format!(" and {more} more"),
        };
        Some(format!(
            "tasks: something they need is short, and they rest until it is there ({}{more}): {why}",
            names.join(", ")
        ))
    }

    /// Registers work on a task. Dropping the guard ends it.
    pub(crate) fn enter(&self, owner: &Owner, task: &TaskId) -> WorkGuard {
        WorkGuard {
            registry: self.clone(),
            name: StreamName::of(owner, task),
        }
    }
}

/// Registered work on a task. Dropping it removes the task's agents.
pub(crate) struct WorkGuard {
    registry: AgentRegistry,
    name: StreamName,
}

impl WorkGuard {
    /// Updates the agents, their activities and the shortage from a state.
    pub(crate) fn note(&self, state: &TaskState, now: Timestamp) {
        let mut work = self.registry.lock();
        if state.pause == Some(PauseReason::Shortage) {
            let why = state.model_problem.clone().unwrap_or_default();
            work.short.insert(self.name.clone(), why);
        } else {
            work.short.remove(&self.name);
        }
        let known = work.active.remove(&self.name).unwrap_or_default();
        let agents = state.active_agents.iter().map(|agent| {
            let mut open = state.effects.iter();
            let open = open.find(|effect| effect.module == agent.module);
            let doing = match open.map(|effect| &effect.action) {
                Some(Action::CallModel(_)) => AgentActivity::Asking,
                Some(Action::CallTool(call)) => AgentActivity::Calling(call.tool.clone()),
                _ => AgentActivity::Deciding,
            };
            let mut known = known.iter();
            let same = known.find(|known| known.agent == agent.id && known.doing == doing);
            ActiveAgent {
                agent: agent.id.clone(),
                task_id: self.name.task_id.clone(),
                role: agent.role.clone(),
                purpose: agent.purpose,
                module: agent.module.clone(),
                steps: agent.steps,
                doing,
                since: same.map_or(now, |known| known.since),
            }
        });
        let agents: Vec<ActiveAgent> = agents.collect();
        if !agents.is_empty() {
            work.active.insert(self.name.clone(), agents);
        }
    }
}

impl Drop for WorkGuard {
    fn drop(&mut self) {
        let mut work = self.registry.lock();
        work.active.remove(&self.name);
        work.short.remove(&self.name);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tasks_that_rest_for_a_shortage_are_told_as_long_as_they_do() {
        let registry = AgentRegistry::default();
        let owner = Principal::local().owner().clone();
        let names: Vec<TaskId> = (1..=4)
            .map(|n| TaskId::new(format!("t-{n}")).unwrap())
            .collect();
        let all: Vec<WorkGuard> = names
            .iter()
            .map(|task| registry.enter(&owner, task))
            .collect();
        let mut state = TaskState {
            pause: Some(PauseReason::Shortage),
            model_problem: Some("Disk quota exceeded".to_owned()),
            ..TaskState::default()
        };
        assert_eq!(registry.obstacle(), None);
        for presence in &all {
            presence.note(&state, Timestamp::UNIX_EPOCH);
        }
        let told = registry.obstacle().unwrap();
        for words in ["t-1", "t-3 and 1 more", "Disk quota exceeded"] {
            assert!(told.contains(words), "{told}");
        }
        state.pause = None;
        for presence in &all[1..] {
            presence.note(&state, Timestamp::UNIX_EPOCH);
        }
        let told = registry.obstacle().unwrap();
        assert!(told.contains("t-1") && !told.contains("t-2"), "{told}");
        drop(all);
        assert_eq!(registry.obstacle(), None);
    }
}
