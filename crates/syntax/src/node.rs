//! A place in a parse tree, without the types of the library that made it.

use std::ops::Range;

/// Nodes of one text that are looked at, at most: what lies beyond is code that nobody reads.
const NODES_MAX: usize = 1_000_000;

/// A piece of a text, what kind of thing it is by the grammar, and what is in it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Node<'t> {
    inner: tree_sitter::Node<'t>,
    text: &'t str,
}

impl<'t> Node<'t> {
    pub(crate) fn of(inner: tree_sitter::Node<'t>, text: &'t str) -> Self {
        Self { inner, text }
    }

    fn beside(self, inner: tree_sitter::Node<'t>) -> Self {
        Self { inner, ..self }
    }

    /// The name that the grammar has for it, such as `function_definition`.
    pub fn kind(self) -> &'t str {
        self.inner.kind()
    }

    /// Its text.
    pub fn text(self) -> &'t str {
        self.text.get(self.range()).unwrap_or_default()
    }

    /// Where it stands, in bytes.
    pub fn range(self) -> Range<usize> {
        self.inner.byte_range()
    }

    /// The line on which it begins, from 0.
    pub fn row(self) -> usize {
        self.inner.start_position().row
    }

    /// The line on which it ends, from 0.
    pub fn end_row(self) -> usize {
        self.inner.end_position().row
    }

    /// Bytes of its first line that stand before it.
    pub fn column(self) -> usize {
        self.inner.start_position().column
    }

    /// What it is directly in.
    pub fn parent(self) -> Option<Self> {
        self.inner.parent().map(|node| self.beside(node))
    }

    /// The part that the grammar calls so, such as the `body` of a function.
    pub fn field(self, name: &str) -> Option<Self> {
        let node = self.inner.child_by_field_name(name);
        node.map(|node| self.beside(node))
    }

    /// The parts that the grammar calls so, where it may have several.
    pub fn fields(self, name: &str) -> Vec<Self> {
        let mut cursor = self.inner.walk();
        let nodes = self.inner.children_by_field_name(name, &mut cursor);
        nodes.map(|node| self.beside(node)).collect()
    }

    /// What is directly in it and more than a mark such as a comma, in order.
    pub fn children(self) -> Vec<Self> {
        let mut cursor = self.inner.walk();
        let nodes = self.inner.named_children(&mut cursor);
        nodes.map(|node| self.beside(node)).collect()
    }

    /// The first of these.
    pub fn first_child(self) -> Option<Self> {
        self.inner.named_child(0).map(|node| self.beside(node))
    }

    /// It, and all below it, marks too, in the order in which they stand; the first million of them.
    pub fn all(self) -> impl Iterator<Item = Self> {
        let mut open = vec![self];
        let next = move || {
            let node = open.pop()?;
            let mut cursor = node.inner.walk();
            let below = node.inner.children(&mut cursor);
            let below: Vec<Self> = below.map(|inner| node.beside(inner)).collect();
            open.extend(below.into_iter().rev());
            Some(node)
        };
        std::iter::from_fn(next).take(NODES_MAX)
    }

    /// Whether something in it is none of the language.
    pub fn has_error(self) -> bool {
        self.inner.has_error()
    }

    /// Whether it is itself none of the language, or something that is missing.
    pub fn is_error(self) -> bool {
        self.inner.is_error() || self.inner.is_missing()
    }

    /// The smallest piece of it that holds this range.
    pub(crate) fn at(self, range: Range<usize>) -> Option<Self> {
        let node = self.inner.descendant_for_byte_range(range.start, range.end);
        node.map(|node| self.beside(node))
    }
}
