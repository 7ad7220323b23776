//! The immutable graph: lookup of nodes by name, links in both directions.

use std::collections::HashMap;

use petgraph::Direction;
use petgraph::graph::{DiGraph, NodeIndex};
use petgraph::visit::EdgeRef;
use thiserror::Error;

use crate::node::{Kind, Link, Missing, Node, NodeId};

/// The most names suggested by a failed lookup.
const NEAR_MAX: usize = 5;

/// The relations between the nodes at one point in a task's history. Equal [`Knowledge`](crate::Knowledge) gives an
/// equal graph, with nodes and links in the same order.
#[derive(Clone, Debug)]
pub struct Graph {
    pub(crate) inner: DiGraph<Node, Link>,
    places: HashMap<NodeId, NodeIndex>,
    /// Nodes by their label, such as `validate_email`.
    labels: HashMap<String, Vec<NodeIndex>>,
    missing: Vec<Missing>,
    left_out: usize,
}

/// A name that does not identify exactly one node.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum NotFound {
    /// No node has this name.
    #[error("the graph has nothing called {name:?}{}", suggested(.near))]
    None {
        /// The name that was looked up.
        name: String,
        /// Up to five nodes with similar names.
        near: Vec<NodeId>,
    },
    /// Several nodes have this name.
    #[error("{name:?} may be any of several: {}", listed(.all))]
    Several {
        /// The name that was looked up.
        name: String,
        /// Up to five of them.
        all: Vec<NodeId>,
    },
}

fn listed(ids: &[NodeId]) -> String {
    let ids: Vec<&str> = ids.iter().map(NodeId::as_str).collect();
    ids.join(", ")
}

fn suggested(near: &[NodeId]) -> String {
    if near.is_empty() {
        String::new()
    } else {
        format!("; there are {}", listed(near))
    }
}

impl Graph {
    pub(crate) fn new(
        inner: DiGraph<Node, Link>,
        places: HashMap<NodeId, NodeIndex>,
        missing: Vec<Missing>,
        left_out: usize,
    ) -> Self {
        let mut labels: HashMap<String, Vec<NodeIndex>> = HashMap::new();
        for place in inner.node_indices() {
            let label = inner[place].label.clone();
            labels.entry(label).or_default().push(place);
        }
        Self {
            inner,
            places,
            labels,
            missing,
            left_out,
        }
    }

    /// The nodes, in a deterministic order.
    pub fn nodes(&self) -> impl ExactSizeIterator<Item = &Node> {
        self.inner.raw_nodes().iter().map(|node| &node.weight)
    }

    /// The links with their source and target nodes.
    pub fn links(&self) -> impl Iterator<Item = (&Node, &Link, &Node)> {
        let links = self.inner.edge_references();
        links.map(|link| {
            let (from, to) = (&self.inner[link.source()], &self.inner[link.target()]);
            (from, link.weight(), to)
        })
    }

    /// The number of links.
    pub fn link_count(&self) -> usize {
        self.inner.edge_count()
    }

    /// The node with this id.
    pub fn node(&self, id: &NodeId) -> Option<&Node> {
        self.place(id).map(|place| &self.inner[place])
    }

    /// The outgoing links of a node with their target nodes.
    pub fn from(&self, id: &NodeId) -> impl Iterator<Item = (&Link, &Node)> {
        let place = self.place(id).into_iter();
        let links = place.flat_map(|place| self.beside(place, Direction::Outgoing));
        links.map(|(link, other)| (link, &self.inner[other]))
    }

    /// Links whose target is not in the graph.
    pub fn missing(&self) -> &[Missing] {
        &self.missing
    }

    /// Links of this node whose target is not in the graph.
    pub(crate) fn missing_from(&self, id: &NodeId) -> &[Missing] {
        // They are in the order of where they begin.
        let start = self.missing.partition_point(|link| link.from < *id);
        let rest = &self.missing[start..];
        &rest[..rest.partition_point(|link| link.from == *id)]
    }

    /// The number of nodes dropped because a graph has at most 200,000.
    pub fn left_out(&self) -> usize {
        self.left_out
    }

    /// Finds the node that a user names: by its id (`func:shop.cart.total`) or by its full or short name
    /// (`shop.cart.total`, `total`), if the name is unique.
    pub fn find(&self, name: &str) -> Result<&Node, NotFound> {
        let name = name.trim();
        if let Some(node) = self.node(&NodeId::of_text(name)) {
            return Ok(node);
        }
        // Among things of the same name the larger one is meant: a module rather than a library.
        for kind in Kind::ALL {
            if let Some(node) = self.node(&NodeId::new(kind, name)) {
                return Ok(node);
            }
        }
        let last = name.rsplit([':', '.']).next().unwrap_or(name);
        let labelled = self.labels.get(last).map_or(&[][..], Vec::as_slice);
        let is_meant = |place: &&NodeIndex| {
            let id = &self.inner[**place].id;
            let kind = name.split_once(':').map(|(kind, _)| kind);
            let rest = kind.map_or(name, |kind| &name[kind.len() + 1..]);
            kind.is_none_or(|kind| id.as_str().starts_with(&format!("{kind}:")))
                && id.name().ends_with(rest)
        };
        let meant: Vec<NodeIndex> = labelled.iter().filter(is_meant).copied().collect();
        let ids = |places: &[NodeIndex]| -> Vec<NodeId> {
            let places = places.iter().take(NEAR_MAX);
            places.map(|&place| self.inner[place].id.clone()).collect()
        };
        match meant[..] {
            [place] => Ok(&self.inner[place]),
            [] => {
                let wanted = last.to_lowercase();
                let is_near = |place: &NodeIndex| {
                    let node = &self.inner[*place];
                    !wanted.is_empty() && node.id.name().to_lowercase().contains(&wanted)
                };
                let near: Vec<NodeIndex> = self.inner.node_indices().filter(is_near).collect();
                Err(NotFound::None {
                    name: name.to_owned(),
                    near: ids(&near),
                })
            }
            _ => Err(NotFound::Several {
                name: name.to_owned(),
                all: ids(&meant),
            }),
        }
    }

    pub(crate) fn place(&self, id: &NodeId) -> Option<NodeIndex> {
        self.places.get(id).copied()
    }

    /// The links of a node in one direction.
    pub(crate) fn beside(
        &self,
        place: NodeIndex,
        direction: Direction,
    ) -> impl Iterator<Item = (&Link, NodeIndex)> {
        let links = self.inner.edges_directed(place, direction);
        links.map(move |link| {
            let other = match direction {
                Direction::Outgoing => link.target(),
                Direction::Incoming => link.source(),
            };
            (link.weight(), other)
        })
    }
}
