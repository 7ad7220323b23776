//! A text as a grammar reads it.

use tree_sitter::Parser;
use tree_sitter_language::LanguageFn;

use crate::Node;

/// The grammar of a programming language, as its crate gives it: `Grammar::of(tree_sitter_python::LANGUAGE)`.
#[derive(Clone, Copy)]
pub struct Grammar(LanguageFn);

impl Grammar {
    /// The grammar that this function gives.
    pub const fn of(function: LanguageFn) -> Self {
        Self(function)
    }
}

/// The most brackets that may be open at the same time: `MAXLEVEL` of Python's tokenizer.
const OPEN_BRACKETS_MAX: usize = 200;

/// The number of brackets that are open at the same time, at most, wherever they stand.
fn open_brackets_max(text: &str) -> usize {
    let (mut open, mut most) = (0_usize, 0);
    for byte in text.bytes() {
        match byte {
            b'(' | b'[' | b'{' => open += 1,
            b')' | b']' | b'}' => open = open.saturating_sub(1),
            _ => {}
        }
        most = most.max(open);
    }
    most
}

/// A text that was read by a grammar.
#[derive(Debug)]
pub struct Tree<'s> {
    text: &'s str,
    inner: Option<tree_sitter::Tree>,
}

impl<'s> Tree<'s> {
    /// Reads a text. One that is no text of the language is read as far as can be. One with more than 200 brackets open at
    /// the same time is not read: work on such a tree grows with the square of its depth, and Python refuses it as well.
    pub fn of(text: &'s str, grammar: Grammar) -> Self {
        if open_brackets_max(text) > OPEN_BRACKETS_MAX {
            return Self { text, inner: None };
        }
        let mut parser = Parser::new();
        let known = parser.set_language(&grammar.0.into());
        let inner = known.ok().and_then(|()| parser.parse(text, None));
        Self { text, inner }
    }

    /// The root node; `None` if the parser gave up, or does not support the version of the grammar.
    pub fn root(&self) -> Option<Node<'_>> {
        let tree = self.inner.as_ref()?;
        Some(Node::of(tree.root_node(), self.text))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_is_read_by_the_grammar_that_is_brought() {
        for (grammar, text, kind) in [
            (tree_sitter_json::LANGUAGE, "{\"a\": [1]}", "object"),
            (
                tree_sitter_python::LANGUAGE,
                "def f(): pass",
                "function_definition",
            ),
        ] {
            let tree = Tree::of(text, Grammar::of(grammar));
            let root = tree.root().unwrap();
            assert!(!root.has_error(), "{text}");
            assert_eq!(root.first_child().map(Node::kind), Some(kind));
            assert_eq!(root.first_child().map(Node::text), Some(text));
        }
        let tree = Tree::of("def f(): pass", Grammar::of(tree_sitter_json::LANGUAGE));
        assert!(tree.root().is_none_or(Node::has_error));
    }
}
