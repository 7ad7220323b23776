//! The registry of tools. A cheap handle: clones share one registry.

use std::collections::BTreeMap;
use std::sync::{Arc, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};

use thiserror::Error;

use crate::schema::Checkable;
use crate::{Grants, ServerName, Source, Spec, Tool, ToolName};

/// The most tools in a registry.
const TOOLS_MAX: usize = 512;

/// The available tools.
#[derive(Clone, Default)]
pub struct Registry(Arc<RwLock<Inner>>);

#[derive(Default)]
struct Inner {
    tools: BTreeMap<ToolName, Arc<Registered>>,
    /// Servers whose tools are currently unavailable, with the reason.
    away: BTreeMap<ServerName, String>,
}

/// A tool with its schema prepared for checking.
pub(crate) struct Registered {
    pub(crate) tool: Arc<dyn Tool>,
    pub(crate) schema: Checkable,
}

/// Why a tool was not registered.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum RegisterError {
    /// Another tool has this name.
    #[error("there is a tool {name} already")]
    Duplicate {
        /// The name in question.
        name: ToolName,
    },
    /// The registry is full.
    #[error("there are {TOOLS_MAX} tools already; leave out some of the external servers' tools")]
    Full,
    /// Arguments cannot be checked against the tool's schema.
    #[error("{name}: {problem}")]
    Schema {
        /// The name of the tool.
        name: ToolName,
        /// What is wrong with the schema.
        problem: String,
    },
}

impl Registry {
    /// An empty registry.
    pub fn new() -> Self {
        Self::default()
    }

    /// A registry with the built-in tools.
    pub fn with_built_ins() -> Result<Self, RegisterError> {
        let registry = Self::new();
        for tool in crate::builtin::all() {
            registry.register(tool)?;
        }
        Ok(registry)
    }

    /// Adds a tool.
    pub fn register(&self, tool: Arc<dyn Tool>) -> Result<(), RegisterError> {
        let registered = ready(tool)?;
        insert(&mut self.write(), registered)
    }

    /// Atomically replaces all tools of a source: readers see either the old or the new ones. Tools that cannot
    /// be registered are left out and returned with the reason.
    pub fn replace(
        &self,
        source: &Source,
        tools: Vec<Arc<dyn Tool>>,
    ) -> Vec<(ToolName, RegisterError)> {
        self.put(source, prepare(tools))
    }

    /// The quick part of [`Registry::replace`].
    pub(crate) fn put(&self, source: &Source, tools: Prepared) -> Vec<(ToolName, RegisterError)> {
        let mut inner = self.write();
        remove(&mut inner, source);
        if let Source::Server(server) = source {
            inner.away.remove(server);
        }
        let mut left_out = Vec::new();
        for (name, tool) in tools {
            if let Err(error) = tool.and_then(|tool| insert(&mut inner, tool)) {
                left_out.push((name, error));
            }
        }
        left_out
    }

    /// Removes all tools of a source and returns how many there were.
    pub fn unregister(&self, source: &Source) -> usize {
        let mut inner = self.write();
        if let Source::Server(server) = source {
            inner.away.remove(server);
        }
        remove(&mut inner, source)
    }

    /// Marks a server's tools as unavailable, with a reason that callers are told.
    pub(crate) fn set_away(&self, server: &ServerName, why: String) {
        let mut inner = self.write();
        remove(&mut inner, &Source::Server(server.clone()));
        inner.away.insert(server.clone(), why);
    }

    /// The properties of a tool.
    pub fn get(&self, name: &str) -> Option<Spec> {
        self.find(name).map(|found| found.tool.spec().clone())
    }

    /// The tools that these grants permit, sorted by name.
    pub fn list(&self, grants: &Grants) -> Vec<Spec> {
        let inner = self.read();
        let specs = inner.tools.values().map(|one| one.tool.spec());
        specs
            .filter(|spec| grants.missing(spec).is_none())
            .cloned()
            .collect()
    }

    pub(crate) fn find(&self, name: &str) -> Option<Arc<Registered>> {
        let name = ToolName::new(name).ok()?;
        self.read().tools.get(&name).cloned()
    }

    /// Why the tools of the server in this name are unavailable.
    pub(crate) fn why_away(&self, name: &str) -> Option<(ServerName, String)> {
        let server = ServerName::new(name.split_once('.')?.0).ok()?;
        let why = self.read().away.get(&server).cloned()?;
        Some((server, why))
    }

    // Nothing panics while it holds the lock; and what it guards is whole after each statement.
    fn read(&self) -> RwLockReadGuard<'_, Inner> {
        self.0.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn write(&self) -> RwLockWriteGuard<'_, Inner> {
        self.0.write().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Tools whose schemas were checked.
pub(crate) type Prepared = Vec<(ToolName, Result<Registered, RegisterError>)>;

/// The slow part of [`Registry::replace`]. For the tools of external servers, call it on a thread that may
/// block.
pub(crate) fn prepare(tools: Vec<Arc<dyn Tool>>) -> Prepared {
    let one = |tool: Arc<dyn Tool>| (tool.spec().name.clone(), ready(tool));
    tools.into_iter().map(one).collect()
}

fn ready(tool: Arc<dyn Tool>) -> Result<Registered, RegisterError> {
    match Checkable::of(&tool.spec().input_schema) {
        Ok(schema) => Ok(Registered { tool, schema }),
        Err(problem) => Err(RegisterError::Schema {
            name: tool.spec().name.clone(),
            problem,
        }),
    }
}

fn insert(inner: &mut Inner, registered: Registered) -> Result<(), RegisterError> {
    let name = registered.tool.spec().name.clone();
    if inner.tools.contains_key(&name) {
        return Err(RegisterError::Duplicate { name });
    }
    if inner.tools.len() >= TOOLS_MAX {
        return Err(RegisterError::Full);
    }
    inner.tools.insert(name, Arc::new(registered));
    Ok(())
}

fn remove(inner: &mut Inner, source: &Source) -> usize {
    let before = inner.tools.len();
    inner
        .tools
        .retain(|_, one| one.tool.spec().source != *source);
    before - inner.tools.len()
}
