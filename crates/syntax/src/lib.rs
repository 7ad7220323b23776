//! Parses source text with tree-sitter.
//!
//! Floor 2. [`Tree`] works with any [`Grammar`], which each language brings. [`Source`] parses Python, also for crates that
//! do not know `language`: whether a text parses, and what it defines, imports and asserts; strings and comments do not
//! count. It never fails: unusable text is text that does not parse. It runs nothing. No type of tree-sitter is public
//! except the function that a grammar's crate exports.

use std::collections::BTreeSet;
use std::ops::Range;

mod node;
mod outline;
mod tree;

pub use node::Node;
pub use outline::{ImportedName, Item, ItemKind, Outline, Uses};
pub use tree::{Grammar, Tree};

/// The grammar of Python.
const PYTHON: Grammar = Grammar::of(tree_sitter_python::LANGUAGE);

/// What begins a string or a comment, and what ends it: first as Python has it.
const STRINGS: &[(&str, &[&str])] = &[
    ("#", &["\n"]),
    ("\"\"\"", &["\"\"\""]),
    ("'''", &["'''"]),
    ("\"", &["\""]),
    ("'", &["'"]),
    ("\u{201c}", &["\"", "\u{201d}"]),
    ("\u{201d}", &["\"", "\u{201d}"]),
    ("\u{2018}", &["'", "\u{2019}"]),
    ("\u{2019}", &["'", "\u{2019}"]),
];

/// Whether a character has no width: a joiner, a direction mark, a byte order mark, a variation selector.
pub const fn is_invisible(c: char) -> bool {
    matches!(
        c,
        '\u{ad}'
            | '\u{34f}'
            | '\u{61c}'
            | '\u{180b}'..='\u{180e}'
            | '\u{200b}'..='\u{200f}'
            | '\u{202a}'..='\u{202e}'
            | '\u{2060}'..='\u{206f}'
            | '\u{fe00}'..='\u{fe0f}'
            | '\u{feff}'
            | '\u{fff9}'..='\u{fffb}'
            | '\u{e0000}'..='\u{e007f}'
    )
}

/// Whether a character is a space that Python does not accept, or has no width.
fn is_stray(c: char) -> bool {
    is_invisible(c) || (c.is_whitespace() && !c.is_ascii())
}

/// A parsed text.
#[derive(Debug)]
pub struct Source<'s> {
    text: &'s str,
    tree: Tree<'s>,
}

/// A statement at the left margin that gives names to something.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Definition {
    /// The kind of statement.
    pub kind: Kind,
    /// The names it defines.
    pub names: Vec<String>,
    /// Its range in bytes, including decorators.
    pub range: Range<usize>,
    /// Whether it contains code to run: more than a docstring, `pass` or `...`.
    pub has_body: bool,
}

/// The kind of statement that defines a name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// A `def` statement.
    Function,
    /// An `async def` statement.
    AsyncFunction,
    /// A `class` statement.
    Class,
    /// An assignment statement.
    Value,
    /// `import` or `from ... import`.
    Import,
}

/// An import of one module.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Import {
    /// The dotted name as written; for a relative import the part after the dots.
    pub module: String,
    /// The range of that name in bytes.
    pub range: Range<usize>,
    /// The names imported from the module, as named there; `*` for all. Empty for `import module`.
    pub names: Vec<String>,
    /// Whether this is `import module` without an alias.
    pub is_plain: bool,
    /// Whether it starts with a dot.
    pub is_relative: bool,
    /// Whether it is at top level, where a failure makes the whole module fail.
    pub at_margin: bool,
}

/// An `assert` statement.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Assertion {
    /// The line on which it starts, from 0.
    pub line: usize,
    /// The text without the message.
    pub text: String,
    /// Names called in it: `f` of `f(1)`.
    pub called: BTreeSet<String>,
    /// Other names it uses and does not bind.
    pub free: BTreeSet<String>,
}

impl<'s> Source<'s> {
    /// Reads a text.
    pub fn of(text: &'s str) -> Self {
        let tree = Tree::of(text, PYTHON);
        Self { text, tree }
    }

    /// The root node; `None` if the parser gave up.
    pub fn root(&self) -> Option<Node<'_>> {
        self.tree.root()
    }

    /// The line, from 1, on which the byte at this place stands.
    pub fn line_of(&self, at: usize) -> usize {
        let before = self.text.get(..at).unwrap_or(self.text);
        before.matches('\n').count() + 1
    }

    /// The number of the first line that is not valid Python 3, from 1; `None` if all are.
    pub fn error_line(&self) -> Option<usize> {
        let Some(root) = self.root() else {
            return Some(1);
        };
        let mut nodes = root.all();
        // Statements of Python 2 that the grammar knows too.
        let is_old = |node: &Node<'_>| matches!(node.kind(), "print_statement" | "exec_statement");
        let first = nodes.find(|node| node.is_error() || is_old(node));
        let broken = first
            .map(|node| node.row() + 1)
            .or_else(|| root.has_error().then_some(1));
        broken.into_iter().chain(self.stray_line(root)).min()
    }

    /// The first line whose indentation Python rejects although the grammar accepts it: it dedents to a level
    /// where there is no block, or its meaning depends on the width of a tab.
    pub fn misindented_line(&self) -> Option<usize> {
        let lines: Vec<&str> = self.text.split('\n').collect();
        let mut open = vec![(0, 0)];
        let mut last = None;
        for node in self.root().into_iter().flat_map(Node::all) {
            let kind = node.kind();
            let begins = ["_statement", "_definition"]
                .iter()
                .any(|end| kind.ends_with(end))
                || matches!(
                    kind,
                    "decorator"
                        | "elif_clause"
                        | "else_clause"
                        | "except_clause"
                        | "finally_clause"
                        | "case_clause"
                );
            let (row, column) = (node.row(), node.column());
            let line = lines.get(row).copied().unwrap_or_default();
            let is_first = line
                .get(..column)
                .is_some_and(|before| before.trim().is_empty());
            if !begins || !is_first || last >= Some(row) {
                continue;
            }
            last = Some(row);
            // As wide as it is with tabs of eight, and with tabs of one.
            let (mut wide, mut narrow) = (0, 0);
            for c in line.chars().take(column) {
                (wide, narrow) = match c {
                    '\t' => (wide / 8 * 8 + 8, narrow + 1),
                    '\x0c' => (0, 0),
                    _ => (wide + 1, narrow + 1),
                };
            }
            while open.last().is_some_and(|&(other, _)| wide < other) {
                open.pop();
                if open.last().is_none_or(|&(other, _)| wide > other) {
                    return Some(row + 1);
                }
            }
            match open.last() {
                Some(&(other, alike)) if wide == other && narrow == alike => {}
                Some(&(other, alike)) if wide > other && narrow > alike => {
                    open.push((wide, narrow));
                }
                _ => return Some(row + 1),
            }
        }
        None
    }

    /// The first line that contains, outside strings and comments, a space or invisible character that the
    /// grammar accepts and Python does not.
    fn stray_line(&self, root: Node<'_>) -> Option<usize> {
        let mut all = self.text.char_indices();
        let (at, _) = all.find(|&(at, c)| {
            let is_text =
                |node: Node<'_>| node.kind() == "comment" || node.kind().starts_with("string");
            // One that begins the file says how it is encoded.
            (at > 0 || c != '\u{feff}')
                && is_stray(c)
                && !root.at(at..at + c.len_utf8()).is_some_and(is_text)
        })?;
        Some(self.line_of(at))
    }

    /// The text with typographic spaces and quotes outside strings and comments replaced by plain ones; `None`
    /// if there are none.
    pub fn with_plain_characters(&self) -> Option<String> {
        let mut plain = String::new();
        // How the string or comment that is open ends.
        let mut end: Option<&[&str]> = None;
        let mut rest = self.text;
        while let Some(c) = rest.chars().next() {
            let mut taken = c.len_utf8();
            if let Some(ends) = end {
                let closing = ends.iter().find(|closing| rest.starts_with(**closing));
                if c == '\\' && ends[0] != "\n" {
                    taken += rest[1..].chars().next().map_or(0, char::len_utf8);
                    plain.push_str(&rest[..taken]);
                } else if let Some(closing) = closing {
                    taken = closing.len();
                    plain.push_str(ends[0]);
                    end = None;
                } else {
                    plain.push(c);
                }
            } else if let Some((open, ends)) =
                STRINGS.iter().find(|(open, _)| rest.starts_with(open))
            {
                taken = open.len();
                plain.push_str(if *open == "#" { open } else { ends[0] });
                end = Some(ends);
            } else if !is_stray(c) {
                plain.push(c);
            } else if c.is_whitespace() {
                plain.push(' ');
            }
            rest = &rest[taken..];
        }
        (plain != self.text).then_some(plain)
    }

    /// Whether the whole text is valid Python 3.
    pub fn parses(&self) -> bool {
        self.error_line().is_none()
    }

    /// The top-level statements that define names, in order, including those inside a top-level `if` or `try`.
    pub fn definitions(&self) -> Vec<Definition> {
        let mut found = Vec::new();
        let mut open: Vec<Node<'_>> = self.root().into_iter().collect();
        while let Some(node) = open.pop() {
            match node.kind() {
                "module"
                | "block"
                | "if_statement"
                | "try_statement"
                | "else_clause"
                | "elif_clause"
                | "except_clause"
                | "finally_clause"
                | "with_statement"
                | "expression_statement" => {
                    open.extend(node.children().into_iter().rev());
                }
                _ => found.extend(definition(node)),
            }
        }
        found
    }

    /// The names defined at top level; `*` stands for all names of another module.
    pub fn defined(&self) -> BTreeSet<String> {
        self.definitions()
            .into_iter()
            .flat_map(|definition| definition.names)
            .collect()
    }

    /// All imports, wherever they are, in order.
    pub fn imports(&self) -> Vec<Import> {
        let mut found = Vec::new();
        for node in self.root().into_iter().flat_map(Node::all) {
            let at_margin = node.column() == 0;
            if node.kind() == "import_from_statement"
                && let Some(name) = node.field("module_name")
            {
                let is_relative = name.kind() == "relative_import";
                let parts = node.fields("name").into_iter();
                let names = parts.map(|part| {
                    let name = part.field("name").unwrap_or(part);
                    name.text().to_owned()
                });
                let mut names: Vec<String> = names.collect();
                if names.is_empty() {
                    names.push("*".to_owned());
                }
                found.push(Import {
                    module: name.text().trim_start_matches('.').to_owned(),
                    range: name.range(),
                    names,
                    is_plain: false,
                    is_relative,
                    at_margin,
                });
            } else if node.kind() == "import_statement" {
                for part in node.fields("name") {
                    let alias = part.field("alias");
                    let name = part.field("name").unwrap_or(part);
                    found.push(Import {
                        module: name.text().to_owned(),
                        range: name.range(),
                        names: Vec::new(),
                        is_plain: alias.is_none(),
                        is_relative: false,
                        at_margin,
                    });
                }
            }
        }
        found
    }

    /// All `assert` statements that parse, wherever they are, in order.
    pub fn assertions(&self) -> Vec<Assertion> {
        let nodes = self.root().into_iter().flat_map(Node::all);
        nodes
            .filter(|node| node.kind() == "assert_statement" && !node.has_error())
            .filter_map(|node| {
                let condition = node.first_child()?;
                let text = self.text.get(node.range().start..condition.range().end)?;
                let (called, free) = names_in(condition);
                Some(Assertion {
                    line: node.row(),
                    text: text.to_owned(),
                    called,
                    free,
                })
            })
            .collect()
    }

    /// The names called anywhere, and the names used otherwise without being bound.
    pub fn names(&self) -> (BTreeSet<String>, BTreeSet<String>) {
        self.root().map(|root| names_in(root)).unwrap_or_default()
    }

    /// The names bound anywhere, including parameters and imports.
    pub fn bound(&self) -> BTreeSet<String> {
        let root = self.root();
        root.map(|root| bound_in(root)).unwrap_or_default()
    }

    /// The lines, from 0, on which a test checks something: `assert`, `self.assertEqual(...)`,
    /// `pytest.raises(...)` or `raises(...)`.
    pub fn checks(&self) -> Vec<usize> {
        let nodes = self.root().into_iter().flat_map(Node::all);
        let checks = nodes.filter(|node| match node.kind() {
            "assert_statement" => true,
            "call" => {
                let function = node.field("function");
                let name = function.and_then(|function| function.field("attribute"));
                // What is imported by its name stands there alone.
                let bare = function.filter(|function| function.kind() == "identifier");
                let is_raising = |name: Node<'_>| matches!(name.text(), "raises" | "warns");
                name.is_some_and(|name| name.text().starts_with("assert") || is_raising(name))
                    || bare.is_some_and(is_raising)
            }
            _ => false,
        });
        checks.map(node::Node::row).collect()
    }

    /// Whether the whole text is a single expression without effect: neither a call nor an assignment.
    pub fn is_idle_expression(&self) -> bool {
        let Some(root) = self.root().filter(|root| root.children().len() == 1) else {
            return false;
        };
        let statement = root.first_child();
        let inner = statement
            .filter(|statement| statement.kind() == "expression_statement")
            .and_then(node::Node::first_child);
        inner.is_some_and(|inner| {
            !matches!(inner.kind(), "call" | "assignment" | "augmented_assignment")
        })
    }

    /// Whether it contains a string that spans several lines, whose text would change with the indentation.
    pub fn has_long_string(&self) -> bool {
        let mut nodes = self.root().into_iter().flat_map(Node::all);
        nodes.any(|node| node.kind() == "string" && node.row() < node.end_row())
    }

    /// The longest prefix, cut at top level, that parses and defines something. Bare words at its end are
    /// removed.
    pub fn whole_beginning(&self) -> Option<&'s str> {
        /// The most places at which it is cut.
        const CUTS_MAX: usize = 200;
        let mut ends = vec![self.text.len()];
        let mut at = 0;
        for line in self.text.split_inclusive('\n') {
            if !line.starts_with([' ', '\t', '\n', '\r', ')', ']', '}']) && at > 0 {
                ends.push(at);
            }
            at += line.len();
        }
        ends.sort_unstable();
        for &end in ends.iter().rev().take(CUTS_MAX) {
            let beginning = self.text.get(..end)?;
            let read = Source::of(beginning);
            if read.parses() {
                let kept = read.without_last_words();
                return (!Source::of(kept).definitions().is_empty()).then_some(kept);
            }
        }
        None
    }

    /// The text without bare words at its end: `Done` parses as an expression.
    fn without_last_words(&self) -> &'s str {
        let mut end = self.text.len();
        let Some(root) = self.root() else {
            return self.text;
        };
        let statements: Vec<Node<'_>> = root.children().into_iter().collect();
        for statement in statements.iter().rev() {
            let is_word = statement.kind() == "expression_statement"
                && statement
                    .first_child()
                    .is_some_and(|inner| matches!(inner.kind(), "identifier" | "attribute"));
            if !is_word {
                break;
            }
            end = statement.range().start;
        }
        self.text.get(..end).unwrap_or(self.text)
    }
}

/// The definition made by a statement; `None` if it makes none.
fn definition(node: Node<'_>) -> Option<Definition> {
    let (kind, names, body) = match node.kind() {
        "decorated_definition" => {
            let inner = definition(node.field("definition")?)?;
            let range = node.range();
            return Some(Definition { range, ..inner });
        }
        "function_definition" | "class_definition" => {
            let kind = match node.text() {
                text if text.starts_with("class") => Kind::Class,
                text if text.starts_with("async") => Kind::AsyncFunction,
                _ => Kind::Function,
            };
            let name = node.field("name")?.text();
            (kind, vec![name.to_owned()], node.field("body"))
        }
        "assignment" => {
            let mut nodes = node.field("left")?.all();
            let names = nodes
                .by_ref()
                .filter(|node| node.kind() == "identifier")
                .map(|node| node.text().to_owned());
            (Kind::Value, names.collect(), None)
        }
        "import_statement" | "import_from_statement" => (Kind::Import, bound_by_import(node), None),
        _ => return None,
    };
    Some(Definition {
        kind,
        names,
        range: node.range(),
        has_body: body.is_none_or(|body| does_something(body)),
    })
}

/// The names called within a node, and the names used otherwise without being bound.
fn names_in(within: Node<'_>) -> (BTreeSet<String>, BTreeSet<String>) {
    let mut called = BTreeSet::new();
    let mut used = BTreeSet::new();
    for (parent, node) in within.all_with_parents() {
        let Some(parent) = parent.filter(|_| node.kind() == "identifier") else {
            continue;
        };
        let is_field = |field: &str| parent.field(field) == Some(node);
        let name = node.text().to_owned();
        match parent.kind() {
            "attribute" if is_field("attribute") => {}
            "keyword_argument" if is_field("name") => {}
            "call" if is_field("function") => {
                called.insert(name);
            }
            _ => {
                used.insert(name);
            }
        }
    }
    let bound = bound_in(within);
    let free = |names: BTreeSet<String>| names.difference(&bound).cloned().collect();
    (free(called), free(used))
}

/// The names bound within a node.
fn bound_in(within: Node<'_>) -> BTreeSet<String> {
    let mut bound = BTreeSet::new();
    for (parent, node) in within.all_with_parents() {
        if matches!(node.kind(), "import_statement" | "import_from_statement") {
            bound.extend(bound_by_import(node));
        }
        let Some(parent) = parent.filter(|_| node.kind() == "identifier") else {
            continue;
        };
        let is_field = |field: &str| parent.field(field) == Some(node);
        let binds = match parent.kind() {
            "lambda_parameters"
            | "pattern_list"
            | "tuple_pattern"
            | "list_pattern"
            | "parameters"
            | "typed_parameter"
            | "list_splat_pattern"
            | "dictionary_splat_pattern"
            | "as_pattern_target" => true,
            "assignment" | "for_statement" | "for_in_clause" => is_field("left"),
            "named_expression"
            | "function_definition"
            | "class_definition"
            | "default_parameter"
            | "typed_default_parameter" => is_field("name"),
            _ => false,
        };
        if binds {
            bound.insert(node.text().to_owned());
        }
    }
    bound
}

/// The names bound by an import; `*` for all names of the module.
fn bound_by_import(node: Node<'_>) -> Vec<String> {
    let mut names = Vec::new();
    for part in node.fields("name") {
        let bound = part.field("alias").unwrap_or(part);
        let text = bound.text();
        let text = if node.kind() == "import_statement" {
            text.split('.').next().unwrap_or(text)
        } else {
            text
        };
        names.push(text.to_owned());
    }
    if node
        .children()
        .into_iter()
        .any(|part| part.kind() == "wildcard_import")
    {
        names.push("*".to_owned());
    }
    names
}

/// Whether a body contains a statement other than bare words, `pass` and `...`.
fn does_something(body: Node<'_>) -> bool {
    body.children().into_iter().any(|statement| {
        let idle = match statement.kind() {
            "pass_statement" | "comment" => true,
            "expression_statement" => statement
                .first_child()
                .is_some_and(|inner| matches!(inner.kind(), "string" | "ellipsis")),
            _ => false,
        };
        !idle
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn set(names: &[&str]) -> BTreeSet<String> {
        names.iter().map(|&name| name.to_owned()).collect()
    }

    #[test]
    fn text_is_python_or_the_first_line_that_is_not_is_named() {
        for (text, line) in [
            ("", None),
            ("x = 1\ndef f():\n    return x\n", None),
            ("def größe(x: int) -> int:\n    return x", None),
            ("match x:\n    case 1: pass\n", None),
            (
                "async def f():\n    async with a as b:\n        await b\n",
                None,
            ),
            ("print('x')\n", None),
            ("x = 1\nprint 'x'\n", Some(2)),
            ("x = 1\nThis is a sentence.\n", Some(2)),
            ("def f(:\n    pass\n", Some(1)),
            ("f(1\n", Some(1)),
            ("x = 1\ny =\u{a0}2\n", Some(2)),
            ("x = 1\u{200b}\n", Some(1)),
            ("\u{200b}x = 1\n", Some(1)),
            ("x = 1\ny\u{202e} = 2\n", Some(2)),
            ("\u{2062}x = '\u{2062}'\n", Some(1)),
            ("\u{feff}x = '\u{a0}'  # \u{a0}\n", None),
            ("x = '''open", Some(1)),
            ("function f() { return 1; }\n", Some(1)),
        ] {
            assert_eq!(Source::of(text).error_line(), line, "{text:?}");
        }
    }

    #[test]
    fn what_is_defined_at_the_margin_is_found_and_nothing_in_strings() {
        let text = "import a.b, c as d\nfrom e import f as g, h\nX, y = 1, 2\n\n@cache\ndef f1():\n    \
                    def inner(): pass\n    return 1\n\nclass C:\n    def m(self): pass\n\
                    if X:\n    async def f2():\n        pass\ns = '''\ndef f3(): pass\nimport z\n'''\n";
        let source = Source::of(text);
        assert_eq!(
            source.defined(),
            set(&["C", "X", "a", "d", "f1", "f2", "g", "h", "s", "y"])
        );
        let modules: Vec<String> = source.imports().into_iter().map(|i| i.module).collect();
        assert_eq!(modules, ["a.b", "c", "e"]);
        let empty = |name: &str| {
            let all = source.definitions();
            let one = all.into_iter().find(|d| d.names == [name]).unwrap();
            (one.kind, one.has_body)
        };
        assert_eq!(empty("f1"), (Kind::Function, true));
        assert_eq!(empty("f2"), (Kind::AsyncFunction, false));
        let all = source.definitions();
        let decorated = all.iter().find(|d| d.names == ["f1"]).unwrap();
        assert!(text[decorated.range.clone()].starts_with("@cache"));
        assert_eq!(Source::of("from x import *\n").defined(), set(&["*"]));
    }

    #[test]
    fn imports_say_what_they_take_from_where() {
        let text = "from .core import add\nfrom shop.core import (\n    a as b,\n    c,\n)\ndef f():\n    import core\n";
        let found = Source::of(text).imports();
        assert!(found[0].is_relative && found[0].module == "core");
        assert_eq!(found[1].names, ["a", "c"]);
        assert!(found[2].is_plain && !found[2].at_margin);
        assert_eq!(&text[found[2].range.clone()], "core");
    }

    #[test]
    fn an_assertion_tells_what_it_calls_and_what_it_takes_for_given() {
        for (text, called, free) in [
            ("assert f(1) == 2", &["f"][..], &[][..]),
            (
                "assert isinstance(items, list)",
                &["isinstance"],
                &["items", "list"],
            ),
            ("assert f(x=1)[0] == g(2).size, 'message'", &["f", "g"], &[]),
            (
                "assert all(f(i) == i for i in range(3))",
                &["all", "f", "range"],
                &[],
            ),
            (
                "assert sorted(f(1), key=lambda p: p[0]) == []",
                &["f", "sorted"],
                &[],
            ),
            ("assert x.f(1) == 2", &[], &["x"]),
        ] {
            let found = Source::of(text).assertions();
            assert_eq!(found.len(), 1, "{text}");
            assert_eq!(
                (&found[0].called, &found[0].free),
                (&set(called), &set(free)),
                "{text}"
            );
            assert!(!found[0].text.contains("message"));
        }
        for text in [
            "assert that it works",
            "assert(f(1) === 2)",
            "# assert f(1)",
            "'assert f(1)'",
        ] {
            assert!(Source::of(text).assertions().is_empty(), "{text}");
        }
    }

    #[test]
    fn characters_of_a_word_processor_are_plain_outside_of_strings() {
        for (text, plain) in [
            ("x =\u{a0}1\u{200b}\n", Some("x = 1\n")),
            (
                "\u{200b}x\u{2064} = '\u{2064}'\u{fe0f}\n",
                Some("x = '\u{2064}'\n"),
            ),
            (
                "x = \u{201c}it\u{2019}s\u{201d}\n",
                Some("x = \"it\u{2019}s\"\n"),
            ),
            (
                "x = \u{2018}a\u{2019}, '\u{201c}\\'' # \u{a0}\ny = f(\u{a0})",
                Some("x = 'a', '\u{201c}\\'' # \u{a0}\ny = f( )"),
            ),
            ("x = '''\u{a0}''''\n", None),
            ("x = 1", None),
        ] {
            let found = Source::of(text).with_plain_characters();
            assert_eq!(found.as_deref(), plain, "{text}");
        }
    }

    #[test]
    fn a_test_tells_what_it_checks_binds_and_takes_for_given() {
        for (text, checks, called, free) in [
            (
                "def test_a(x, y: int = 1, *z):\n    with open(x) as h:\n        assert f(h, y, z)\n",
                &[2][..],
                &["f", "open"][..],
                &["int"][..],
            ),
            (
                "class TestF(TestCase):\n    def test_a(self):\n        self.assertEqual(f(1), 2)\n",
                &[2],
                &["f"],
                &["TestCase"],
            ),
            (
                "with pytest.raises(ValueError) as e:\n    f(1)\n",
                &[0],
                &["f"],
                &["ValueError", "pytest"],
            ),
            (
                "for a, [b, (c, d)] in cases:\n    assert f(a) == b + c + d\n",
                &[1],
                &["f"],
                &["cases"],
            ),
            ("s = f(1)\ns.assert_it\n", &[], &["f"], &[]),
            (
                "with raises(ValueError):\n    f(1)\n",
                &[0],
                &["f", "raises"],
                &["ValueError"],
            ),
        ] {
            let source = Source::of(text);
            assert_eq!(source.checks(), checks, "{text}");
            assert_eq!(source.names(), (set(called), set(free)), "{text}");
        }
        let idle = |text: &str| Source::of(text).is_idle_expression();
        assert!(
            idle("f(1) == 2") && idle("x") && !idle("f(1)") && !idle("x = 1\n") && !idle("a\nb")
        );
        assert!(Source::of("x = '''a\nb'''\n").has_long_string());
        assert!(!Source::of("f('a',\n  'b')\n").has_long_string());
    }

    #[test]
    fn what_comes_after_the_code_is_cut_off() {
        let code = "import re\n\ndef f():\n    return 1\n";
        for after in [
            "",
            "\nThis function returns one.\n",
            "\nDone\n",
            "```\nx",
            "\n- so it is\n\nFor f(1) it's 1.\n",
        ] {
            let text = format!("{code}{after}");
            let whole = Source::of(&text).whole_beginning().map(str::trim_end);
            assert_eq!(whole, Some(code.trim_end()), "{after:?}");
        }
        assert_eq!(Source::of("Sure, I can.\n").whole_beginning(), None);
    }
}

#[cfg(test)]
mod indentation {
    use super::*;

    #[test]
    fn indentation_that_python_refuses_is_found_and_no_other() {
        for (text, line) in [
            ("def f():\n\tif a:\n        return 1\n", Some(3)),
            ("def f():\n        a = 1\n\treturn a\n", Some(3)),
            ("if a:\n    b = 1\n  c = 2\n", Some(3)),
            (
                "class A:\n    def f(self):\n        return 1\n   def g(self):\n        return 1\n",
                Some(4),
            ),
            ("def f():\n\tif a:\n\t\treturn 1\n\treturn 2\n", None),
            (
                "def f():\n\tif a:\n\t    return 1\n\treturn 2\n\ndef g():\n    return 3\n",
                None,
            ),
            (
                "@d\ndef f(a,\n  b):\n    x = [\n\t1,\n  2]\n    # c\n  # d\n    s = \"\"\"\n\t a\n b\"\"\"\n    return x if a \\\n\telse s\n",
                None,
            ),
            (
                "try:\n    a\nexcept E: b; c\nelse:\n  if a: b\n  elif c:\n      d\n  else: e\nfinally:\n    f\nmatch a:\n    case 1:\n        b\n    case _: c\n",
                None,
            ),
            ("def f():\r\n    return 1\r\n\r\n\r\nx = 1\r\n", None),
        ] {
            assert_eq!(Source::of(text).misindented_line(), line, "{text}");
        }
    }
}
