//! Nodes of the knowledge graph that are related to the current module and that no other source shows: interfaces of
//! indirect dependencies and of callers, decisions about other modules, and failures of other modules.
//!
//! Each entry begins with its path: `[-> shop.sums -> add]` follows links from the module, `[<- shop.report]` goes
//! against them.

use std::collections::BTreeMap;

use async_trait::async_trait;
use journeyman_event::Role;
use journeyman_event::payload::Purpose;
use journeyman_knowledge::{Depth, Kind, Node, NodeId, RelatedNode, Walk};

use super::{Source, SourceInput};
use crate::piece::{LayerName, Piece, Rank, piece};
use crate::purpose::Descriptor;

pub(crate) struct Related;

/// A group of entries that is one piece, in the order of sending.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Group {
    Code(String),
    Decisions,
    LookedUp,
    Failures,
}

impl Group {
    fn of(node: &Node) -> Self {
        match node.kind {
            Kind::Decision => Self::Decisions,
            Kind::Concept => Self::LookedUp,
            Kind::Error => Self::Failures,
            _ => Self::Code(node.module.as_deref().unwrap_or_default().to_owned()),
        }
    }

    fn heading(&self) -> String {
        match self {
            Self::Code(module) => format!("Module {module} exists too"),
            Self::Decisions => "What was decided and found".to_owned(),
            Self::LookedUp => "Looked up for other modules".to_owned(),
            Self::Failures => "What failed in other modules".to_owned(),
        }
    }

    fn name(&self) -> String {
        match self {
            Self::Code(module) => format!("related code of {module}"),
            Self::Decisions => "related decisions".to_owned(),
            Self::LookedUp => "related look-ups".to_owned(),
            Self::Failures => "related failures".to_owned(),
        }
    }

    const fn rank(&self) -> Rank {
        match self {
            Self::Code(_) | Self::Decisions => Rank::Medium,
            Self::LookedUp | Self::Failures => Rank::Low,
        }
    }
}

#[async_trait]
impl Source for Related {
    async fn pieces(&self, input: SourceInput<'_>) -> Vec<Piece> {
        related(input)
    }
}

fn related(input: SourceInput<'_>) -> Vec<Piece> {
    let Some(graph) = input.graph else {
        return Vec::new();
    };
    if !Descriptor::of(input.purpose).takes_related {
        return Vec::new();
    }
    let at_hand = input.state.modules.iter();
    let at_hand = at_hand.filter(|module| {
        input
            .module
            .is_none_or(|other| other.plan.name == module.plan.name)
    });
    let focus: Vec<NodeId> = at_hand
        .map(|module| NodeId::new(Kind::Module, &module.plan.name))
        .collect();
    let walk = Walk {
        depth: Depth::WHOLE,
        tokens: input.room,
    };
    let related = graph.related_if(&focus, walk, |node| adds(input, node));
    let mut groups: BTreeMap<Group, Vec<&RelatedNode<'_>>> = BTreeMap::new();
    for node in &related.nodes {
        groups.entry(Group::of(node.node)).or_default().push(node);
    }
    let beyond = match related.left_out {
        0 => String::new(),
        left_out => format!("; {left_out} more are beyond {} tokens", input.room),
    };
    let pieces = groups.into_iter().map(|(group, nodes)| {
        let entries: Vec<String> = nodes.iter().map(ToString::to_string).collect();
        let text = format!("# {}\n{}", group.heading(), entries.join("\n"));
        let distances = nodes.iter().map(|node| node.distance());
        let rank: f64 = nodes.iter().map(|node| node.rank).sum();
        let why = format!(
            "{} of the graph from {} relations away, rank {rank:.3}{beyond}",
            nodes.len(),
            distances.min().unwrap_or_default(),
        );
        Piece {
            why,
            ..piece(LayerName::State, group.rank(), group.name(), text)
        }
    });
    pieces.collect()
}

/// Whether a node adds something that no other source shows.
fn adds(input: SourceInput<'_>, node: &Node) -> bool {
    let module = node.module.as_deref();
    let own = input.module.map(|module| module.plan.name.as_str());
    let is_own = module.is_some() && module == own;
    match node.kind {
        Kind::Function | Kind::Class => {
            let is_shown = match input.module {
                // Its own code and the outlines of what it imports are there.
                Some(at_hand) => {
                    let mut needed = at_hand.plan.depends_on.iter();
                    is_own || needed.any(|name| Some(name.as_str()) == module)
                }
                None => true,
            };
            // A name with an underscore is its module's own affair.
            !is_shown && !node.label.starts_with('_')
        }
        // What the user said is there already.
        Kind::Decision => {
            let is_of = |role: Role| node.actor.as_deref() == Some(role.as_str());
            is_of(Role::Reviewer) || (!is_of(Role::User) && module.is_some() && !is_own)
        }
        Kind::Concept => {
            let said = node.summary.trim_end_matches("...");
            let mut known = input.state.lookups.iter();
            !is_own && !known.any(|call| call.text.trim().starts_with(said))
        }
        Kind::Error => input.purpose != Purpose::Review && module.is_some() && !is_own,
        Kind::Task | Kind::Module | Kind::Test | Kind::Attempt | Kind::Library => false,
    }
}
