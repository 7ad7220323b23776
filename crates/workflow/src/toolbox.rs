//! The tools, and who may call which: a user may call all of them on their own tasks, an agent those that its role
//! and its task allow.

use std::fmt;

use journeyman_tools::{Dispatcher, Grants, InvalidName, Pattern, Permission, Registry, Spec};

use crate::fact::Role;

/// The tools, and those that agents may call if a task does not specify them.
#[derive(Clone)]
pub struct Toolbox {
    dispatcher: Dispatcher,
    offered: Vec<Pattern>,
}

impl fmt::Debug for Toolbox {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut toolbox = f.debug_struct("Toolbox");
        toolbox
            .field("offered", &self.offered)
            .finish_non_exhaustive()
    }
}

impl Toolbox {
    /// Creates a toolbox. Agents are offered the tools that match a pattern, unless their task specifies
    /// others.
    pub fn new(dispatcher: Dispatcher, offered: Vec<Pattern>) -> Self {
        Self {
            dispatcher,
            offered,
        }
    }

    /// Only the built-in tools; agents are offered none.
    pub fn built_in() -> Result<Self, journeyman_tools::RegisterError> {
        let registry = Registry::with_built_ins()?;
        Ok(Self::new(
            Dispatcher::new(registry, journeyman_tools::DispatcherOptions::default()),
            Vec::new(),
        ))
    }

    /// The dispatcher for all tool calls.
    pub fn dispatcher(&self) -> &Dispatcher {
        &self.dispatcher
    }

    /// All tools that a user may call.
    pub fn all(&self) -> Vec<Spec> {
        self.dispatcher.registry().list(&user_grants())
    }

    /// The tools that an agent of this role may call, in a task with these restrictions if it has any.
    pub(crate) fn grants(&self, role: Role, allowed: Option<&[String]>) -> Grants {
        let permissions: &[Permission] = match role {
            // Other sources are looked up once, for all agents.
            Role::Planner => &[Permission::Read, Permission::External],
            Role::Coder | Role::Fixer | Role::Tester => &[Permission::Read, Permission::Run],
            Role::Reviewer | Role::Summariser | Role::User | Role::Conductor => &[],
        };
        let names = match allowed {
            None => self.offered.clone(),
            // What was checked when it was submitted; of older journals, what still means something.
            Some(allowed) => allowed.iter().flat_map(|name| Pattern::new(name)).collect(),
        };
        Grants::of(permissions.iter().copied()).only(names)
    }

    /// The tools currently available to such an agent.
    pub(crate) fn offers(&self, role: Role, allowed: Option<&[String]>) -> Vec<Spec> {
        let grants = self.grants(role, allowed);
        self.dispatcher.registry().list(&grants)
    }
}

/// The tools a user may call.
pub fn user_grants() -> Grants {
    Grants::of([
        Permission::Read,
        Permission::Write,
        Permission::Run,
        Permission::External,
    ])
}

/// Checks a task's patterns for the tools its agents may call.
pub fn check_patterns(tools: &[String]) -> Result<(), InvalidName> {
    tools
        .iter()
        .try_for_each(|name| Pattern::new(name).map(drop))
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn names(specs: Vec<Spec>) -> Vec<String> {
        specs
            .into_iter()
            .map(|spec| spec.name.to_string())
            .collect()
    }

    #[test]
    fn an_agent_is_offered_what_its_role_and_its_task_allow() {
        let toolbox = Toolbox::built_in().unwrap();
        assert!(toolbox.offers(Role::Coder, None).is_empty());
        let all = ["*".to_owned()];
        let coder = names(toolbox.offers(Role::Coder, Some(&all)));
        assert!(coder.contains(&"run_command".to_owned()), "{coder:?}");
        assert!(
            !coder.contains(&"write_file".to_owned()),
            "an agent's file is its answer"
        );
        let planner = names(toolbox.offers(Role::Planner, Some(&all)));
        assert!(planner.contains(&"read_file".to_owned()));
        assert!(!planner.contains(&"run_command".to_owned()));
        let one = names(toolbox.offers(Role::Fixer, Some(&["read_*".to_owned()])));
        assert_eq!(one, ["read_file", "read_version"]);
        assert!(toolbox.offers(Role::Conductor, Some(&all)).is_empty());
        assert_eq!(names(toolbox.all()).len(), 8);
    }
}
