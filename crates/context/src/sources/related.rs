//! Nodes of the knowledge graph that are related to the current module and that no other source shows: interfaces of
//! indirect dependencies and of callers, decisions about other modules, and failures of other modules.
//!
//! An entry begins with its path: `[-> shop.sums -> add]` follows links from the module, `[<- shop.report]` goes
//! against them. What is less related, or has no room, is told in one line without it.

use std::collections::BTreeMap;

use async_trait::async_trait;
use journeyman_event::payload::Purpose;
use journeyman_event::{Role, Tokens};
use journeyman_knowledge::{Depth, Kind, Node, NodeId, RelatedNode, Walk};
use journeyman_llm::Estimator;

use super::{Source, SourceInput};
use crate::piece::{Entry, LayerName, Piece, Rank, beginning, piece_of_entries};
use crate::profile::Part;
use crate::purpose::Descriptor;

/// An entry has about so many times the tokens of its short form.
const LINES_OF_ENTRY: u64 = 4;

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

    fn part(&self) -> Part {
        match self {
            Self::Failures => Part::Errors,
            Self::Code(_) | Self::Decisions | Self::LookedUp => Part::Related,
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
        tokens: Tokens(input.profile.context.0.saturating_mul(LINES_OF_ENTRY)),
    };
    let related = graph.related_if(&focus, walk, |node| adds(input, node));
    let highest = related.nodes.first().map_or(1.0, |node| node.rank);
    let estimator = Estimator::default();
    let (mut in_full, mut in_all) = (input.profile.part(Part::Related), input.profile.context);
    let mut left_out = related.left_out;
    let mut groups: BTreeMap<Group, Vec<(&RelatedNode<'_>, Entry)>> = BTreeMap::new();
    for node in &related.nodes {
        let worth = node.rank / highest;
        let line = line(node.node);
        let (entry, tokens) = if node.tokens <= in_full {
            in_full = in_full - node.tokens;
            let entry = Entry::shortened(node.to_string(), line, worth);
            (entry, node.tokens)
        } else {
            let tokens = estimator.estimate(&line);
            (Entry::shortened(line.clone(), line, worth), tokens)
        };
        if tokens > in_all {
            left_out += 1;
            continue;
        }
        in_all = in_all - tokens;
        let group = groups.entry(Group::of(node.node)).or_default();
        group.push((node, entry));
    }
    let beyond = match left_out {
        0 => String::new(),
        left_out => format!(
            "; {left_out} more are beyond {} tokens",
            input.profile.context
        ),
    };
    let pieces = groups.into_iter().map(|(group, mut nodes)| {
        // Not by rank, which changes from call to call: what stays the same is to stay in its place.
        nodes.sort_by_key(|(node, _)| (node.node.line, node.node.source));
        let distances = nodes.iter().map(|(node, _)| node.distance());
        let rank: f64 = nodes.iter().map(|(node, _)| node.rank).sum();
        let why = format!(
            "{} of the graph from {} relations away, rank {rank:.3}{beyond}",
            nodes.len(),
            distances.min().unwrap_or_default(),
        );
        let entries = nodes.into_iter().map(|(_, entry)| entry);
        let heading = format!("# {}", group.heading());
        let piece = piece_of_entries(
            LayerName::State,
            Rank::Medium,
            group.name(),
            heading,
            entries.collect(),
        );
        Piece {
            why,
            ..piece.of(group.part())
        }
    });
    pieces.collect()
}

/// A node on one line.
fn line(node: &Node) -> String {
    match node.kind {
        Kind::Function | Kind::Class => node.brief().to_owned(),
        _ => beginning(node.brief(), node.source),
    }
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
