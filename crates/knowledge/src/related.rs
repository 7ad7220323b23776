//! What is related to some nodes, by which path, ranked and within a token budget.

use std::collections::{HashMap, VecDeque};
use std::fmt;

use journeyman_event::Tokens;
use journeyman_llm::Estimator;
use petgraph::Direction;
use petgraph::graph::NodeIndex;

use crate::graph::{Graph, NotFound};
use crate::node::{Kind, Node, NodeId, Relation};
use crate::rank::rank;

/// The most relations between the focus and a related node.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Depth(usize);

impl Depth {
    /// The largest depth that a user can ask for.
    pub const MAX: Self = Self(3);
    /// No limit: only rank and token budget decide.
    pub const WHOLE: Self = Self(usize::MAX);

    /// A depth of `relations`, clamped to 1 to 3.
    pub fn new(relations: usize) -> Self {
        Self(relations.clamp(1, Self::MAX.0))
    }
}

impl Default for Depth {
    /// A depth of 2.
    fn default() -> Self {
        Self(2)
    }
}

/// How the breadth-first search reached a node.
struct Way {
    distance: usize,
    /// The previous node, the relation, and whether the link was followed forwards; `None` for the focus.
    from: Option<(NodeIndex, Relation, bool)>,
}

/// An entry has at least this many tokens.
const ENTRY_MIN: Tokens = Tokens(5);
/// The most bytes per token, averaged over a text.
const BYTES_MAX: u64 = 8;

/// The limits of a walk through the graph.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Walk {
    /// The most relations from the focus.
    pub depth: Depth,
    /// The most tokens that all entries may have together, estimated.
    pub tokens: Tokens,
}

/// One step of a path.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Step {
    /// The relation of the link that the step follows.
    pub relation: Relation,
    /// Whether the link is followed from source to target.
    pub is_along: bool,
    /// The node that the step leads to.
    pub to: NodeId,
    /// The label of that node.
    label: String,
}

impl fmt::Display for Step {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let arrow = if self.is_along { "->" } else { "<-" };
        write!(f, "{arrow} {}", self.label)
    }
}

/// A node related to the focus.
#[derive(Clone, Debug, PartialEq)]
pub struct RelatedNode<'g> {
    /// The node that the path leads to.
    pub node: &'g Node,
    /// The shortest path from the focus.
    pub path: Vec<Step>,
    /// The personalised `PageRank`, 0 to 1. The ranks of all nodes add up to 1.
    pub rank: f64,
    /// The tokens of its entry, estimated.
    pub tokens: Tokens,
}

impl RelatedNode<'_> {
    /// The length of the path.
    pub fn distance(&self) -> usize {
        self.path.len()
    }

    /// The path with arrows, such as `[-> shop.sums -> add]`.
    pub fn arrows(&self) -> String {
        let steps: Vec<String> = self.path.iter().map(ToString::to_string).collect();
        format!("[{}]", steps.join(" "))
    }
}

impl fmt::Display for RelatedNode<'_> {
    /// Writes the entry: path, staleness and summary.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let stale = if self.node.is_stale() {
            " (of an older version)"
        } else {
            ""
        };
        write!(f, "{}{stale} {}", self.arrows(), self.node.summary)
    }
}

/// The nodes related to a focus.
#[derive(Clone, Debug, PartialEq)]
pub struct Related<'g> {
    /// By rank, then by distance, then by id.
    pub nodes: Vec<RelatedNode<'g>>,
    /// The tokens of all entries together.
    pub tokens: Tokens,
    /// The number of nodes within the depth that did not fit the token budget.
    pub left_out: usize,
    /// Ids that are not in the graph: of the focus, and link targets of visited nodes.
    pub missing: Vec<String>,
}

impl Graph {
    /// The nodes related to a focus, ranked by personalised `PageRank`. Cycles are followed once; missing nodes are
    /// skipped and reported. An entry that does not fit the token budget is skipped; smaller ones after it may
    /// still fit. Paths do not pass through the task or a library, because those are related to everything.
    pub fn related(&self, focus: &[NodeId], walk: Walk) -> Related<'_> {
        self.related_if(focus, walk, |_| true)
    }

    /// The same, limited to nodes that `wanted` accepts. Paths may pass through other nodes.
    pub fn related_if(
        &self,
        focus: &[NodeId],
        walk: Walk,
        wanted: impl Fn(&Node) -> bool,
    ) -> Related<'_> {
        let (places, mut missing) = self.places_of(focus);
        let ways = self.ways(&places, walk.depth.0);
        for (&place, way) in &ways {
            if way.distance < walk.depth.0 {
                let dangling = self.missing_from(&self.inner[place].id).iter();
                missing.extend(dangling.map(|link| link.to.to_string()));
            }
        }
        missing.sort();
        missing.dedup();
        let ranks = rank(self, &places);
        let mut found: Vec<(NodeIndex, usize)> = ways
            .iter()
            .filter(|(place, way)| way.from.is_some() && wanted(&self.inner[**place]))
            .map(|(&place, way)| (place, way.distance))
            .collect();
        found.sort_by(|&(a, a_distance), &(b, b_distance)| {
            let by_rank = ranks[b.index()].total_cmp(&ranks[a.index()]);
            by_rank
                .then_with(|| a_distance.cmp(&b_distance))
                .then_with(|| self.inner[a].id.cmp(&self.inner[b].id))
        });
        let estimator = Estimator::default();
        let mut left = walk.tokens;
        let mut nodes = Vec::new();
        for &(place, _) in &found {
            let node = &self.inner[place];
            // What cannot fit is not put into words to see it.
            if left < ENTRY_MIN || node.summary.len() as u64 / BYTES_MAX > left.0 {
                continue;
            }
            let mut related = RelatedNode {
                node,
                path: self.path(&ways, place),
                rank: ranks[place.index()],
                tokens: Tokens::ZERO,
            };
            related.tokens = estimator.estimate(&related.to_string());
            if related.tokens <= left {
                left = left - related.tokens;
                nodes.push(related);
            }
        }
        Related {
            tokens: walk.tokens - left,
            left_out: found.len() - nodes.len(),
            nodes,
            missing,
        }
    }

    /// Finds the nodes with these names.
    pub fn focus(&self, names: &[String]) -> Result<Vec<NodeId>, NotFound> {
        let nodes = names.iter().map(|name| self.find(name));
        nodes.map(|node| node.map(|node| node.id.clone())).collect()
    }

    fn places_of(&self, focus: &[NodeId]) -> (Vec<NodeIndex>, Vec<String>) {
        let mut places = Vec::new();
        let mut unknown = Vec::new();
        for id in focus {
            match self.place(id) {
                Some(place) if places.contains(&place) => {}
                Some(place) => places.push(place),
                None => unknown.push(id.to_string()),
            }
        }
        (places, unknown)
    }

    /// Finds the shortest path to every node within the depth. Ties go to the first link.
    fn ways(&self, focus: &[NodeIndex], depth: usize) -> HashMap<NodeIndex, Way> {
        let mut ways: HashMap<NodeIndex, Way> = HashMap::new();
        let mut open: VecDeque<NodeIndex> = VecDeque::new();
        for &place in focus {
            let way = Way {
                distance: 0,
                from: None,
            };
            ways.insert(place, way);
            open.push_back(place);
        }
        while let Some(place) = open.pop_front() {
            let distance = ways[&place].distance;
            let is_everywhere = matches!(self.inner[place].kind, Kind::Task | Kind::Library);
            if distance == depth || (is_everywhere && distance > 0) {
                continue;
            }
            for (direction, is_along) in [(Direction::Outgoing, true), (Direction::Incoming, false)]
            {
                let mut beside: Vec<(Relation, NodeIndex)> = self
                    .beside(place, direction)
                    .map(|(link, other)| (link.relation, other))
                    .collect();
                beside.sort_unstable();
                for (relation, other) in beside {
                    ways.entry(other).or_insert_with(|| {
                        open.push_back(other);
                        Way {
                            distance: distance + 1,
                            from: Some((place, relation, is_along)),
                        }
                    });
                }
            }
        }
        ways
    }

    /// The steps from the focus to a node.
    fn path(&self, ways: &HashMap<NodeIndex, Way>, to: NodeIndex) -> Vec<Step> {
        let mut path = Vec::new();
        let mut at = to;
        while let Some((from, relation, is_along)) = ways.get(&at).and_then(|way| way.from) {
            let node = &self.inner[at];
            path.push(Step {
                relation,
                is_along,
                to: node.id.clone(),
                label: node.label.clone(),
            });
            at = from;
        }
        path.reverse();
        path
    }
}
