//! Personalised `PageRank`.
//!
//! A random walk follows links in proportion to their weights and returns to the focus with a fixed probability. The rank
//! of a node is the share of time spent there (Page, Brin and others, "The `PageRank` Citation Ranking", 1998,
//! section 6). A node without links leads back to the focus.

use petgraph::graph::NodeIndex;
use petgraph::visit::EdgeRef;

use crate::graph::Graph;
use crate::node::Relation;

/// The probability of following a link.
const DAMPING: f64 = 0.85;
/// The most iterations.
const ROUNDS_MAX: usize = 50;
/// The total change of all ranks below which iteration stops.
const CHANGE_MIN: f64 = 1e-6;

/// The weights of a relation along and against its direction.
const fn weights(relation: Relation) -> (f64, f64) {
    match relation {
        // A dependency is more relevant than a dependent.
        Relation::DependsOn => (4.0, 1.0),
        Relation::References => (1.0, 0.5),
        Relation::Contains | Relation::TestedBy => (1.0, 1.0),
        Relation::CausedBy | Relation::FixedBy => (2.0, 2.0),
    }
}

/// Computes the rank of every node by index. The ranks add up to 1; without a focus all
/// are 0.
pub(crate) fn rank(graph: &Graph, focus: &[NodeIndex]) -> Vec<f64> {
    let inner = &graph.inner;
    let count = inner.node_count();
    let mut start = vec![0.0; count];
    if focus.is_empty() {
        return start;
    }
    let share = 1.0 / as_float(focus.len());
    for place in focus {
        start[place.index()] += share;
    }
    // Steps in both directions with their weights, then normalised by source.
    let mut steps: Vec<(usize, usize, f64)> = Vec::with_capacity(2 * inner.edge_count());
    let mut out = vec![0.0; count];
    for link in inner.edge_references() {
        let (along, against) = weights(link.weight().relation);
        let weight = link.weight().weight;
        let (from, to) = (link.source().index(), link.target().index());
        steps.push((from, to, along * weight));
        steps.push((to, from, against * weight));
    }
    for &(from, _, weight) in &steps {
        out[from] += weight;
    }
    for (from, _, weight) in &mut steps {
        *weight /= out[*from];
    }
    let mut ranks = start.clone();
    for _ in 0..ROUNDS_MAX {
        let mut next = vec![0.0; count];
        for &(from, to, part) in &steps {
            next[to] += ranks[from] * part;
        }
        let lost: f64 = ranks
            .iter()
            .zip(&out)
            .filter(|&(_, &out)| out <= 0.0)
            .map(|(rank, _)| rank)
            .sum();
        let mut change = 0.0;
        for (at, rank) in next.iter_mut().enumerate() {
            *rank = DAMPING * (*rank + lost * start[at]) + (1.0 - DAMPING) * start[at];
            change += (*rank - ranks[at]).abs();
        }
        ranks = next;
        if change < CHANGE_MIN {
            break;
        }
    }
    ranks
}

fn as_float(count: usize) -> f64 {
    f64::from(u32::try_from(count).unwrap_or(u32::MAX))
}
