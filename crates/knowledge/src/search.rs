//! Full-text search over the nodes of a graph, ranked by BM25.
//!
//! In memory and made of the graph, so that it is never out of step with it and needs no file (Robertson and
//! Zaragoza, "The Probabilistic Relevance Framework: BM25 and Beyond", 2009).

use std::collections::HashMap;

use crate::graph::Graph;
use crate::node::{Node, NodeId};
use crate::words::words;

/// How soon the same word again adds little, and how much the length of a text counts: the usual values.
const SATURATION: f64 = 1.2;
const LENGTH: f64 = 0.75;
/// A word of a name counts as several of a description.
const NAME_COUNT: u32 = 3;

/// An inverted index of a graph's nodes.
#[derive(Clone, Debug, Default)]
pub struct Index {
    ids: Vec<NodeId>,
    lengths: Vec<u32>,
    length_mean: f64,
    /// Which nodes have a word, and how often.
    places: HashMap<String, Vec<(usize, u32)>>,
}

/// A node that matches.
#[derive(Clone, Debug, PartialEq)]
pub struct Found {
    /// The id of the node.
    pub id: NodeId,
    /// The BM25 score; comparable only within one search.
    pub score: f64,
}

impl Index {
    /// Indexes the names and summaries of a graph's nodes.
    pub fn of(graph: &Graph) -> Self {
        let mut index = Self::default();
        for node in graph.nodes() {
            index.add(node);
        }
        let sum: f64 = index.lengths.iter().copied().map(f64::from).sum();
        index.length_mean = sum / as_float(index.lengths.len().max(1));
        index
    }

    fn add(&mut self, node: &Node) {
        let at = self.ids.len();
        let mut counts: HashMap<String, u32> = HashMap::new();
        for word in words(node.id.name()) {
            *counts.entry(word).or_default() += NAME_COUNT;
        }
        for word in words(&node.summary) {
            *counts.entry(word).or_default() += 1;
        }
        self.ids.push(node.id.clone());
        self.lengths.push(counts.values().sum());
        for (word, count) in counts {
            self.places.entry(word).or_default().push((at, count));
        }
    }

    /// The nodes that contain some of the words, best matches first, ties by id; at most
    /// `limit`.
    pub fn search(&self, text: &str, limit: usize) -> Vec<Found> {
        let mut wanted = words(text);
        wanted.sort_unstable();
        wanted.dedup();
        let all = as_float(self.ids.len());
        let mut scores: HashMap<usize, f64> = HashMap::new();
        for word in &wanted {
            let Some(places) = self.places.get(word) else {
                continue;
            };
            let having = as_float(places.len());
            let rarity = (1.0 + (all - having + 0.5) / (having + 0.5)).ln();
            for &(at, count) in places {
                let count = f64::from(count);
                let length = f64::from(self.lengths[at]) / self.length_mean;
                let damped = count + SATURATION * (1.0 - LENGTH + LENGTH * length);
                *scores.entry(at).or_default() += rarity * count * (SATURATION + 1.0) / damped;
            }
        }
        let mut found: Vec<(usize, f64)> = scores.into_iter().collect();
        found.sort_by(|a, b| {
            let by_score = b.1.total_cmp(&a.1);
            by_score.then_with(|| self.ids[a.0].cmp(&self.ids[b.0]))
        });
        found.truncate(limit);
        let found = found.into_iter();
        found
            .map(|(at, score)| Found {
                id: self.ids[at].clone(),
                score,
            })
            .collect()
    }
}

fn as_float(count: usize) -> f64 {
    f64::from(u32::try_from(count).unwrap_or(u32::MAX))
}
