//! Writes a graph in the Graphviz language.

use std::collections::BTreeMap;
use std::fmt::Write;

use crate::graph::Graph;
use crate::node::{Kind, NodeId, Relation};

/// Writes the graph in the Graphviz language, for `dot -Tsvg`. The output is deterministic.
pub fn dot(graph: &Graph) -> String {
    let mut text = String::from(
        "digraph knowledge {\n  rankdir=LR;\n  node [fontname=\"sans-serif\", fontsize=10];\n  edge [fontname=\"sans-serif\", fontsize=8];\n",
    );
    let mut names: BTreeMap<&NodeId, usize> = BTreeMap::new();
    for (at, node) in graph.nodes().enumerate() {
        names.insert(&node.id, at);
        let style = if node.is_stale() {
            ", style=dashed"
        } else {
            ""
        };
        let _ = writeln!(
            text,
            "  n{at} [label={}, tooltip={}, shape={}{style}];",
            quoted(&format!("{} {}", node.kind.as_str(), node.label)),
            quoted(&node.summary),
            shape(node.kind),
        );
    }
    for (from, link, to) in graph.links() {
        let (Some(from), Some(to)) = (names.get(&from.id), names.get(&to.id)) else {
            continue;
        };
        let count = match link.count {
            0 | 1 => String::new(),
            count => format!(" x{count}"),
        };
        let label = quoted(&format!("{}{count}", link.relation.as_str()));
        let style = match link.relation {
            Relation::Contains => ", style=dotted",
            Relation::CausedBy => ", color=firebrick",
            Relation::FixedBy => ", color=forestgreen",
            Relation::DependsOn | Relation::References | Relation::TestedBy => "",
        };
        let _ = writeln!(text, "  n{from} -> n{to} [label={label}{style}];");
    }
    text.push_str("}\n");
    text
}

const fn shape(kind: Kind) -> &'static str {
    match kind {
        Kind::Task => "doubleoctagon",
        Kind::Module => "folder",
        Kind::Class => "component",
        Kind::Function => "box",
        Kind::Test => "ellipse",
        Kind::Attempt => "note",
        Kind::Error => "octagon",
        Kind::Decision => "diamond",
        Kind::Concept => "plaintext",
        Kind::Library => "cylinder",
    }
}

/// Quotes a text as a string of the Graphviz language.
fn quoted(text: &str) -> String {
    let mut quoted = String::from("\"");
    for c in text.chars() {
        match c {
            '"' | '\\' => {
                quoted.push('\\');
                quoted.push(c);
            }
            '\n' => quoted.push_str("\\n"),
            c if c.is_control() => {}
            c => quoted.push(c),
        }
    }
    quoted.push('"');
    quoted
}
