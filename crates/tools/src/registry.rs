//! Which tools there are. A handle: clones are the same registry.

use std::collections::BTreeMap;
use std::sync::{Arc, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};

use thiserror::Error;

use crate::schema::Checkable;
use crate::{Grants, ServerName, Source, Spec, Tool, ToolName};

/// Tools in one registry.
const TOOLS_MAX: usize = 512;

/// Which tools there are.
#[derive(Clone, Default)]
pub struct Registry(Arc<RwLock<Inner>>);

#[derive(Default)]
struct Inner {
    tools: BTreeMap<ToolName, Arc<Registered>>,
    /// Servers whose tools are not there now, and why.
    away: BTreeMap<ServerName, String>,
}

/// A tool with its schema, ready to be checked against.
pub(crate) struct Registered {
    pub(crate) tool: Arc<dyn Tool>,
    pub(crate) schema: Checkable,
}

/// Why a tool was not taken in.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum RegisterError {
    /// Another has the name.
    #[error("there is a tool {name} already")]
    Duplicate {
        /// The name.
        name: ToolName,
    },
    /// There are as many as there may be.
    #[error("there are {TOOLS_MAX} tools already; leave out some of the external servers' tools")]
    Full,
    /// Arguments cannot be checked against its schema.
    #[error("{name}: {problem}")]
    Schema {
        /// The tool.
        name: ToolName,
        /// What is wrong with it.
        problem: String,
    },
}

impl Registry {
    /// Without any tool.
    pub fn new() -> Self {
        Self::default()
    }

    /// With the built-in tools.
    pub fn with_built_ins() -> Result<Self, RegisterError> {
        let registry = Self::new();
        for tool in crate::builtin::all() {
            registry.register(tool)?;
        }
        Ok(registry)
    }

    /// Takes a tool in.
    pub fn register(&self, tool: Arc<dyn Tool>) -> Result<(), RegisterError> {
        let registered = ready(tool)?;
        insert(&mut self.write(), registered)
    }

    /// Puts these in the place of all that a source had, at once: whoever looks sees the old ones
    /// or the new ones. What cannot be taken is left out and returned with the reason.
    pub fn replace(
        &self,
        source: &Source,
        tools: Vec<Arc<dyn Tool>>,
    ) -> Vec<(ToolName, RegisterError)> {
        self.put(source, prepare(tools))
    }

    /// The quick half of [`Registry::replace`].
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

    /// Takes all tools of a source out, and says how many these were.
    pub fn unregister(&self, source: &Source) -> usize {
        let mut inner = self.write();
        if let Source::Server(server) = source {
            inner.away.remove(server);
        }
        remove(&mut inner, source)
    }

    /// Takes a server's tools out for now; who asks for one is told why.
    pub(crate) fn set_away(&self, server: &ServerName, why: String) {
        let mut inner = self.write();
        remove(&mut inner, &Source::Server(server.clone()));
        inner.away.insert(server.clone(), why);
    }

    /// What is known of a tool.
    pub fn get(&self, name: &str) -> Option<Spec> {
        self.find(name).map(|found| found.tool.spec().clone())
    }

    /// What these grants permit, in the order of the names.
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

    /// Why the tools of the server in this name are not there.
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

/// Tools whose schemas were looked at.
pub(crate) type Prepared = Vec<(ToolName, Result<Registered, RegisterError>)>;

/// The slow half of [`Registry::replace`]: for a stranger's tools on a thread that may be busy.
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
