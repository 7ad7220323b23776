//! What in code may have it pass tests without doing what they ask for: it looks at who runs it, or is equal to
//! everything. Only what the text shows is found here.

use tree_sitter::Node;

use crate::{Nodes, Source};

/// Names by which code gets at the frames of its callers, at what else is loaded, or at other objects of the process.
const LOOKS_AROUND: &[&str] = &[
    "_current_frames",
    "_getframe",
    "_getframemodulename",
    "addaudithook",
    "cr_frame",
    "currentframe",
    "extract_stack",
    "f_back",
    "f_globals",
    "f_locals",
    "findCaller",
    "format_stack",
    "get_objects",
    "get_referrers",
    "getinnerframes",
    "getouterframes",
    "gi_frame",
    "orig_argv",
    "setprofile",
    "settrace",
    "tb_frame",
    "walk_stack",
];

/// Modules that only tests have a use for, or by which the program that runs is reached.
const OF_TESTS: &[&str] = &["__main__", "_pytest", "pytest", "unittest.mock"];

impl Source<'_> {
    /// The first thing by which code may tell that it is tested, or be equal to everything: its line, from 1, and what
    /// it is, as the end of a sentence. `files` are the names of test files, which it must not mention.
    pub fn evasion(&self, files: &[&str]) -> Option<(usize, String)> {
        let import = self.imports().into_iter().find_map(|import| {
            let from = |name: &String| OF_TESTS.contains(&&*format!("{}.{name}", import.module));
            let top = import.module.split('.').next().unwrap_or_default();
            let is_of_tests = OF_TESTS.contains(&&*import.module) || OF_TESTS.contains(&top);
            (!import.is_relative && (is_of_tests || import.names.iter().any(from))).then(|| {
                let line = self.text[..import.range.start].matches('\n').count() + 1;
                (line, format!("imports `{}`", import.module))
            })
        });
        let mut nodes = self.root().into_iter().flat_map(Nodes::of);
        let found = nodes.find_map(|node| {
            let what = self.evades(node, files)?;
            Some((node.start_position().row + 1, what))
        });
        import.into_iter().chain(found).min()
    }

    fn evades(&self, node: Node<'_>, files: &[&str]) -> Option<String> {
        let text = self.text_of(node);
        match node.kind() {
            "identifier" if LOOKS_AROUND.contains(&text) => Some(format!("uses `{text}`")),
            "attribute" if ["sys.modules", "inspect.stack", "inspect.trace"].contains(&text) => {
                Some(format!("uses `{text}`"))
            }
            "import_from_statement" => {
                let hidden = self.imports().into_iter().find(|import| {
                    node.byte_range().contains(&import.range.start)
                        && ["sys", "inspect"].contains(&&*import.module)
                        && import
                            .names
                            .iter()
                            .any(|name| ["modules", "stack", "trace", "*"].contains(&&**name))
                })?;
                Some(format!(
                    "imports what `{}` knows of who runs it",
                    hidden.module
                ))
            }
            "string_content" if !is_docstring(node) => {
                let lower = text.to_lowercase();
                let mentions = |name: &&&str| text.contains(**name);
                if lower.contains("pytest") || LOOKS_AROUND.contains(&text) {
                    Some(format!("mentions `{}`", shortened(text)))
                } else if ["__eq__", "__ne__"].contains(&text) {
                    Some(format!("makes an `{text}` by its name"))
                } else {
                    let file = files.iter().find(mentions)?;
                    Some(format!("mentions the test file `{file}`"))
                }
            }
            "function_definition" => {
                let name = self.text_of(node.child_by_field_name("name")?);
                let parameters = node.child_by_field_name("parameters")?;
                let body = node.child_by_field_name("body")?;
                self.compares_nothing(name, parameters, body)
            }
            "assignment" => {
                let name = self.text_of(node.child_by_field_name("left")?);
                let right = node.child_by_field_name("right")?;
                let name = name.rsplit('.').next().unwrap_or(name);
                if right.kind() != "lambda" {
                    return None;
                }
                let parameters = right.child_by_field_name("parameters")?;
                self.compares_nothing(name, parameters, right.child_by_field_name("body")?)
            }
            _ => None,
        }
    }

    /// Whether this is a comparison that never looks at what it is compared with.
    fn compares_nothing(&self, name: &str, parameters: Node<'_>, body: Node<'_>) -> Option<String> {
        if !["__eq__", "__ne__"].contains(&name) {
            return None;
        }
        let names = Nodes::of(parameters).filter(|node| node.kind() == "identifier");
        let other = names.map(|node| self.text_of(node)).nth(1);
        let mut uses = Nodes::of(body).filter(|node| node.kind() == "identifier");
        let is_compared = other.is_some_and(|other| uses.any(|node| self.text_of(node) == other));
        // One that only says that it does not know is answered by the other side.
        let mut words = Nodes::of(body).filter(|node| node.kind() == "identifier");
        let knows_nothing = words.all(|node| self.text_of(node) == "NotImplemented")
            && self.text_of(body).contains("NotImplemented");
        let raises = Nodes::of(body).any(|node| node.kind() == "raise_statement");
        (!is_compared && !knows_nothing && !raises)
            .then(|| format!("has an `{name}` that compares nothing"))
    }
}

/// Whether a string stands for itself, as a description does.
fn is_docstring(content: Node<'_>) -> bool {
    let statement = content.parent().and_then(|string| string.parent());
    statement.is_some_and(|statement| statement.kind() == "expression_statement")
}

fn shortened(text: &str) -> String {
    text.lines()
        .next()
        .unwrap_or_default()
        .chars()
        .take(40)
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn code_that_looks_at_who_runs_it_or_equals_everything_is_told_from_code_that_does_not() {
        let method =
            |body: &str| format!("class A(int):\n    def __eq__(self, other):\n        {body}\n");
        for (text, line, what) in [
            ("import sys\nx = sys._getframe(1)\n", 2, "uses `_getframe`"),
            ("from sys import _getframe as g\n", 1, "uses `_getframe`"),
            (
                "import inspect\ninspect.currentframe()\n",
                2,
                "uses `currentframe`",
            ),
            (
                "import inspect\ninspect.stack()\n",
                2,
                "uses `inspect.stack`",
            ),
            (
                "from inspect import stack\n",
                1,
                "imports what `inspect` knows",
            ),
            (
                "try: 1/0\nexcept E as e: e.__traceback__.tb_frame\n",
                2,
                "uses `tb_frame`",
            ),
            (
                "import sys\nif 'pytest' in sys.modules: pass\n",
                2,
                "mentions `pytest`",
            ),
            ("import sys\nm = sys.modules\n", 2, "uses `sys.modules`"),
            (
                "import os\nos.environ.get('PYTEST_CURRENT_TEST')\n",
                2,
                "mentions `PYTEST_CURRENT_TEST`",
            ),
            ("getattr(sys, '_getframe')\n", 1, "mentions `_getframe`"),
            ("import pytest\n", 1, "imports `pytest`"),
            (
                "from unittest.mock import ANY\n",
                1,
                "imports `unittest.mock`",
            ),
            ("from unittest import mock\n", 1, "imports `unittest`"),
            (
                "open('tests/test_core.py')\n",
                1,
                "mentions the test file `test_core.py`",
            ),
            (&method("return True"), 2, "`__eq__` that compares nothing"),
            (
                &method("'''Doc.'''\n        return not self.x"),
                2,
                "`__eq__` that compares nothing",
            ),
            (
                "class A:\n    __eq__ = lambda self, other: True\n",
                2,
                "`__eq__` that compares nothing",
            ),
            (
                "A = type('A', (int,), {'__eq__': f})\n",
                1,
                "makes an `__eq__`",
            ),
        ] {
            let found = Source::of(text).evasion(&["test_core.py"]);
            let (at, told) = found.unwrap_or_else(|| panic!("{text}"));
            assert!(at == line && told.contains(what), "{text}: {at} {told}");
        }
        for text in [
            &method("return isinstance(other, A) and self.x == other.x"),
            &method("return NotImplemented"),
            &method(
                "if not isinstance(other, A):\n            return NotImplemented\n        return True",
            ),
            "'''Not for pytest.'''\ndef f():\n    '''See test_core.py.'''\n    return sys.argv\n",
            "# pytest\nimport unittest\nfrom dataclasses import dataclass\n@dataclass\nclass A: pass\n",
            "frame = {}\nstack = [1]\nstack.append(2)\nmodules = stack\n",
        ] {
            assert_eq!(Source::of(text).evasion(&["test_core.py"]), None, "{text}");
        }
    }
}
