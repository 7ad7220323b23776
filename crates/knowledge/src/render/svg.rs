//! Draws a graph as SVG: a band per module, a column per kind of node, a curve per link.
//!
//! The structure is known, so no general layout algorithm is needed: the task is at the left, then modules,
//! classes and functions, tests, versions and failures, with libraries at the right.

use std::cmp::Ordering;
use std::collections::BTreeMap;
use std::fmt::Write;

use crate::graph::Graph;
use crate::node::{Kind, Node, NodeId, Relation};

const COLUMN_WIDTH: usize = 230;
const BOX_WIDTH: usize = 170;
const ROW_HEIGHT: usize = 34;
const BOX_HEIGHT: usize = 24;
const MARGIN: usize = 24;
const BAND_GAP: usize = 22;
const LEGEND_HEIGHT: usize = 44;
/// The most characters of a label.
const LABEL_CHARS: usize = 26;
/// The most nodes drawn; a larger drawing is unreadable.
const NODES_MAX: usize = 2_000;

const RELATIONS: [(Relation, &str); 6] = [
    (Relation::Contains, "#b8c0cc"),
    (Relation::DependsOn, "#2563eb"),
    (Relation::References, "#64748b"),
    (Relation::TestedBy, "#0d9488"),
    (Relation::CausedBy, "#dc2626"),
    (Relation::FixedBy, "#16a34a"),
];

const fn column(kind: Kind) -> usize {
    match kind {
        Kind::Task => 0,
        Kind::Module | Kind::Decision | Kind::Concept => 1,
        Kind::Class | Kind::Function => 2,
        Kind::Test => 3,
        Kind::Attempt => 4,
        Kind::Error => 5,
        Kind::Library => 6,
    }
}

const fn fill(kind: Kind) -> &'static str {
    match kind {
        Kind::Task => "#fde68a",
        Kind::Module => "#dbeafe",
        Kind::Class | Kind::Function => "#f1f5f9",
        Kind::Test => "#ccfbf1",
        Kind::Attempt => "#ede9fe",
        Kind::Error => "#fee2e2",
        Kind::Decision => "#fef3c7",
        Kind::Concept => "#fae8ff",
        Kind::Library => "#e5e7eb",
    }
}

/// Draws the graph as a standalone SVG 1.1 document. The output is deterministic. At most 2,000 nodes are drawn;
/// the drawing states how many are omitted.
pub fn svg(graph: &Graph) -> String {
    let drawn: Vec<&Node> = graph.nodes().take(NODES_MAX).collect();
    let (places, height) = layout(&drawn);
    let columns = drawn.iter().map(|node| column(node.kind)).max();
    let width = 2 * MARGIN + columns.unwrap_or(0) * COLUMN_WIDTH + BOX_WIDTH;
    let width = width.max(2 * MARGIN + RELATIONS.len() * 110);
    let mut text = String::new();
    let _ = writeln!(
        text,
        "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"{width}\" height=\"{height}\" viewBox=\"0 0 {width} {height}\" font-family=\"sans-serif\" font-size=\"11\">\n\
         <rect width=\"{width}\" height=\"{height}\" fill=\"#ffffff\"/>"
    );
    legend(&mut text, graph.nodes().len() - drawn.len());
    for (from, link, to) in graph.links() {
        if let (Some(&from), Some(&to)) = (places.get(&from.id), places.get(&to.id)) {
            curve(&mut text, from, to, link.relation);
        }
    }
    for node in drawn {
        if let Some(&(x, y)) = places.get(&node.id) {
            put(&mut text, node, x, y);
        }
    }
    text.push_str("</svg>\n");
    text
}

type Place = (usize, usize);

/// The position of each node, and the height of the drawing.
fn layout<'g>(nodes: &[&'g Node]) -> (BTreeMap<&'g NodeId, Place>, usize) {
    // Nodes without a module are in a band of their own at the top.
    let mut bands: BTreeMap<Option<&str>, Vec<&Node>> = BTreeMap::new();
    for &node in nodes {
        bands.entry(node.module.as_deref()).or_default().push(node);
    }
    let mut places = BTreeMap::new();
    let mut top = MARGIN + LEGEND_HEIGHT;
    for band in bands.into_values() {
        let mut rows = [0; 7];
        for node in band {
            let column = column(node.kind);
            let x = MARGIN + column * COLUMN_WIDTH;
            let y = top + rows[column] * ROW_HEIGHT;
            rows[column] += 1;
            places.insert(&node.id, (x, y));
        }
        let height = rows.into_iter().max().unwrap_or(0);
        top += height * ROW_HEIGHT + BAND_GAP;
    }
    (places, top + MARGIN)
}

fn legend(text: &mut String, left_out: usize) {
    for (at, (relation, colour)) in RELATIONS.iter().enumerate() {
        let x = MARGIN + at * 110;
        let y = MARGIN;
        let _ = writeln!(
            text,
            "<path d=\"M{x} {y}h22\" stroke=\"{colour}\" stroke-width=\"2\"/><text x=\"{}\" y=\"{}\" fill=\"#334155\">{}</text>",
            x + 28,
            y + 4,
            relation.as_str()
        );
    }
    if left_out > 0 {
        let _ = writeln!(
            text,
            "<text x=\"{MARGIN}\" y=\"{}\" fill=\"#dc2626\">{left_out} more nodes are not drawn</text>",
            MARGIN + 22
        );
    }
}

fn curve(text: &mut String, (x1, y1): Place, (x2, y2): Place, relation: Relation) {
    let colour = RELATIONS
        .iter()
        .find(|(other, _)| *other == relation)
        .map_or("#000000", |(_, colour)| colour);
    let middle = BOX_HEIGHT / 2;
    let (y1, y2) = (y1 + middle, y2 + middle);
    // The curve leaves at the side facing the target, or loops at the right within one column.
    let (start, end, bend1, bend2) = match x1.cmp(&x2) {
        Ordering::Less => {
            let (start, end) = (x1 + BOX_WIDTH, x2);
            (start, end, start + 40, end.saturating_sub(40))
        }
        Ordering::Greater => {
            let (start, end) = (x1, x2 + BOX_WIDTH);
            (start, end, start.saturating_sub(40), end + 40)
        }
        Ordering::Equal => {
            let side = x1 + BOX_WIDTH;
            (side, side, side + 34, side + 34)
        }
    };
    let _ = writeln!(
        text,
        "<path d=\"M{start} {y1}C{bend1} {y1} {bend2} {y2} {end} {y2}\" fill=\"none\" stroke=\"{colour}\" stroke-opacity=\"0.7\"/>\
         <circle cx=\"{end}\" cy=\"{y2}\" r=\"2.5\" fill=\"{colour}\"/>"
    );
}

fn put(text: &mut String, node: &Node, x: usize, y: usize) {
    let dashes = if node.is_stale() {
        " stroke-dasharray=\"4 3\""
    } else {
        ""
    };
    let mut label: String = node.label.chars().take(LABEL_CHARS).collect();
    if label.len() < node.label.len() {
        label.push('…');
    }
    let _ = writeln!(
        text,
        "<g><title>{} — {}</title><rect x=\"{x}\" y=\"{y}\" width=\"{BOX_WIDTH}\" height=\"{BOX_HEIGHT}\" rx=\"4\" fill=\"{}\" stroke=\"#475569\"{dashes}/>\
         <text x=\"{}\" y=\"{}\" fill=\"#0f172a\">{}</text></g>",
        escaped(node.id.as_str()),
        escaped(&node.summary),
        fill(node.kind),
        x + 8,
        y + 16,
        escaped(&label),
    );
}

/// Escapes a text for XML and removes characters that XML does not allow.
fn escaped(text: &str) -> String {
    let mut escaped = String::new();
    for c in text.chars() {
        match c {
            '&' => escaped.push_str("&amp;"),
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '"' => escaped.push_str("&quot;"),
            '\n' | '\t' => escaped.push(' '),
            c if c.is_control() || matches!(c, '\u{fffe}' | '\u{ffff}') => {}
            c => escaped.push(c),
        }
    }
    escaped
}
