//! Nodes and links.

use std::fmt;
use std::sync::Arc;

use journeyman_event::{Sequence, VectorClock};

/// The kind of a node.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Kind {
    /// The task that the graph is about; a graph has one.
    Task,
    /// A module, or a file of a repository.
    Module,
    /// A class; its methods are nodes of kind `Function`.
    Class,
    /// A function or a method.
    Function,
    /// A test function, with its last result as summary.
    Test,
    /// One version of a module's code with its test results.
    Attempt,
    /// A failure of a test, of a whole test run, or of a model answer.
    Error,
    /// A decision or finding: of the user, of a review, or of the workflow.
    Decision,
    /// The result of a tool call that an agent made.
    Concept,
    /// A library that the code imports.
    Library,
}

impl Kind {
    /// All kinds, from the outermost to the most specific.
    pub const ALL: [Self; 10] = [
        Self::Task,
        Self::Module,
        Self::Class,
        Self::Function,
        Self::Test,
        Self::Attempt,
        Self::Error,
        Self::Decision,
        Self::Concept,
        Self::Library,
    ];

    /// The prefix of the ids of this kind.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Task => "task",
            Self::Module => "module",
            Self::Class => "class",
            Self::Function => "func",
            Self::Test => "test",
            Self::Attempt => "attempt",
            Self::Error => "error",
            Self::Decision => "decision",
            Self::Concept => "concept",
            Self::Library => "library",
        }
    }
}

/// The id of a node: its kind and its name, such as `func:validators.email.validate_email`.
/// A node keeps its id over the whole history of a task.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct NodeId(Arc<str>);

impl NodeId {
    /// Creates the id of a node of this kind and name.
    pub fn new(kind: Kind, name: impl fmt::Display) -> Self {
        Self(format!("{}:{name}", kind.as_str()).into())
    }

    /// The id with this text, whether or not a node has it.
    pub(crate) fn of_text(text: &str) -> Self {
        Self(text.into())
    }

    /// The id as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The name without the kind.
    pub fn name(&self) -> &str {
        self.0.split_once(':').map_or(&self.0, |(_, name)| name)
    }
}

impl fmt::Display for NodeId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// A node of the graph.
#[derive(Clone, Debug, PartialEq)]
pub struct Node {
    /// The id, unique in a graph.
    pub id: NodeId,
    /// The kind, which is also the prefix of the id.
    pub kind: Kind,
    /// The short name, such as `validate_email`.
    pub label: String,
    /// The content in at most 2,000 characters, such as a signature with its docstring, an instruction or a failure.
    pub summary: String,
    /// What matters most of the content where that is not its beginning: of code the signature, of a failure its message.
    pub brief: Option<String>,
    /// The module it belongs to, if any.
    pub module: Option<Arc<str>>,
    /// The actor of the event, for tasks, decisions and looked-up texts.
    pub actor: Option<Arc<str>>,
    /// The event with the full content; `None` if there is no such event.
    pub source: Option<Sequence>,
    /// For code, the line on which it begins, starting at 1.
    pub line: Option<usize>,
    /// The vector clock of the event that the content comes from.
    pub clock: Arc<VectorClock>,
    /// The vector clock of the newest event about the same subject.
    pub touched: Arc<VectorClock>,
}

impl Node {
    /// Whether the content is outdated because its subject has changed since, such as a test result of an older
    /// version of the code.
    pub fn is_stale(&self) -> bool {
        self.clock.happens_before(&self.touched)
    }

    /// What matters most of the content; for prose the content itself.
    pub fn brief(&self) -> &str {
        self.brief.as_deref().unwrap_or(&self.summary)
    }
}

/// The relation expressed by a link, read from its source to its target.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Relation {
    /// The target is part of the source.
    Contains,
    /// The source needs the target: it imports it, or the plan says that it will.
    DependsOn,
    /// The source uses or mentions the target.
    References,
    /// The target is a test of the source.
    TestedBy,
    /// The source is a failure, the target the version of the code that shows it.
    CausedBy,
    /// The source is a failure, the target the version of the code in which it no longer occurs.
    FixedBy,
}

impl Relation {
    /// The name used in output.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Contains => "contains",
            Self::DependsOn => "depends_on",
            Self::References => "references",
            Self::TestedBy => "tested_by",
            Self::CausedBy => "caused_by",
            Self::FixedBy => "fixed_by",
        }
    }
}

/// A directed link between two nodes. There is at most one link per relation from one node to another.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Link {
    /// The relation, read from the source of the link to its target.
    pub relation: Relation,
    /// The number of uses; 1 for relations that are not counted.
    pub count: u32,
    /// The weight for ranking.
    pub(crate) weight: f64,
}

/// A link whose target is not in the graph.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Missing {
    /// The id of the source, which is in the graph.
    pub from: NodeId,
    /// The relation, read from the source to the missing target.
    pub relation: Relation,
    /// The id of the missing target.
    pub to: NodeId,
}
