//! A node of a parse tree, without the types of the parsing library.

use std::ops::Range;

/// The most nodes of a text that are visited. No one reads code beyond that size.
const NODES_MAX: usize = 1_000_000;

/// A piece of a text, what kind of thing it is by the grammar, and what is in it.
#[derive(Clone, Copy, Debug)]
pub struct Node<'t> {
    inner: tree_sitter::Node<'t>,
    text: &'t str,
}

/// Two are equal that are the same place of the same tree. Their texts are then the same too, and are not compared:
/// each has the whole file.
impl PartialEq for Node<'_> {
    fn eq(&self, other: &Self) -> bool {
        self.inner == other.inner
    }
}

impl Eq for Node<'_> {}

impl<'t> Node<'t> {
    pub(crate) fn of(inner: tree_sitter::Node<'t>, text: &'t str) -> Self {
        Self { inner, text }
    }

    fn beside(self, inner: tree_sitter::Node<'t>) -> Self {
        Self { inner, ..self }
    }

    /// The name in the grammar, such as `function_definition`.
    pub fn kind(self) -> &'t str {
        self.inner.kind()
    }

    /// The text of the node.
    pub fn text(self) -> &'t str {
        self.text.get(self.range()).unwrap_or_default()
    }

    /// Its range in bytes.
    pub fn range(self) -> Range<usize> {
        self.inner.byte_range()
    }

    /// The line on which it starts, from 0.
    pub fn row(self) -> usize {
        self.inner.start_position().row
    }

    /// The line on which it ends, from 0.
    pub fn end_row(self) -> usize {
        self.inner.end_position().row
    }

    /// The number of bytes before it on its first line.
    pub fn column(self) -> usize {
        self.inner.start_position().column
    }

    /// The node that directly contains it.
    pub fn parent(self) -> Option<Self> {
        self.inner.parent().map(|node| self.beside(node))
    }

    /// The child in this field of the grammar, such as the `body` of a function.
    pub fn field(self, name: &str) -> Option<Self> {
        let node = self.inner.child_by_field_name(name);
        node.map(|node| self.beside(node))
    }

    /// The children in this field, for fields with several.
    pub fn fields(self, name: &str) -> Vec<Self> {
        let mut cursor = self.inner.walk();
        let nodes = self.inner.children_by_field_name(name, &mut cursor);
        nodes.map(|node| self.beside(node)).collect()
    }

    /// The direct children in order, without punctuation such as commas.
    pub fn children(self) -> Vec<Self> {
        let mut cursor = self.inner.walk();
        let nodes = self.inner.named_children(&mut cursor);
        nodes.map(|node| self.beside(node)).collect()
    }

    /// The first of the children.
    pub fn first_child(self) -> Option<Self> {
        self.inner.named_child(0).map(|node| self.beside(node))
    }

    /// The node and all nodes below it, including punctuation, in order; the first million of them.
    pub fn all(self) -> impl Iterator<Item = Self> {
        self.all_with_parents().map(|(_, node)| node)
    }

    /// The same, each with the node that directly contains it. [`Self::parent`] looks for that from the root of the tree
    /// on, so that to ask it for each node takes quadratic time in a file of many statements.
    pub(crate) fn all_with_parents(self) -> impl Iterator<Item = (Option<Self>, Self)> {
        let mut open = vec![(self.parent(), self)];
        let next = move || {
            let (parent, node) = open.pop()?;
            let mut cursor = node.inner.walk();
            let below = node.inner.children(&mut cursor);
            let below: Vec<_> = below
                .map(|inner| (Some(node), node.beside(inner)))
                .collect();
            open.extend(below.into_iter().rev());
            Some((parent, node))
        };
        std::iter::from_fn(next).take(NODES_MAX)
    }

    /// Whether it contains a syntax error.
    pub fn has_error(self) -> bool {
        self.inner.has_error()
    }

    /// Whether it is itself a syntax error, or a missing token.
    pub fn is_error(self) -> bool {
        self.inner.is_error() || self.inner.is_missing()
    }

    /// The smallest node below it that contains this range.
    pub(crate) fn at(self, range: Range<usize>) -> Option<Self> {
        let node = self.inner.descendant_for_byte_range(range.start, range.end);
        node.map(|node| self.beside(node))
    }
}
