//! Finds code that may pass tests without doing what they require: it inspects who runs it, or is equal to
//! everything. Only what is visible in the text is found.

use journeyman_syntax::{Node, Source};

/// Names that give access to the frames of callers, other loaded modules, or other objects of the process.
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

/// Words in a statement that searches for the name of the test runner instead of only containing it.
const SEEKS_RUNNER: &[&str] = &[
    "__import__",
    "find_spec",
    "getenv",
    "import_module",
    "environ",
];

/// Functions and methods that look for files.
const SEEKS_FILES: &[&str] = &[
    "Path", "access", "exists", "glob", "isdir", "isfile", "is_dir", "is_file", "iterdir",
    "listdir", "open", "rglob", "scandir", "stat", "walk",
];

/// Types that belong to no one: being equal to all of their values says nothing about a value.
const TYPES: &[&str] = &[
    "bool",
    "bytearray",
    "bytes",
    "complex",
    "dict",
    "float",
    "frozenset",
    "int",
    "list",
    "object",
    "set",
    "str",
    "tuple",
];

/// Modules that only tests need, or that give access to the running program.
const OF_TESTS: &[&str] = &["__main__", "_pytest", "pytest", "unittest.mock"];

/// The first place where code may detect that it is being tested, or make objects equal to everything: the
/// line, from 1, and a description for the end of a sentence. `files` are the names of test files, which the
/// code must not mention.
pub(super) fn evasion(source: &str, files: &[&str]) -> Option<(usize, String)> {
    let source = &Source::of(source);
    let import = source.imports().into_iter().find_map(|import| {
        let from = |name: &String| OF_TESTS.contains(&&*format!("{}.{name}", import.module));
        let top = import.module.split('.').next().unwrap_or_default();
        let is_of_tests = OF_TESTS.contains(&&*import.module) || OF_TESTS.contains(&top);
        (!import.is_relative && (is_of_tests || import.names.iter().any(from))).then(|| {
            let line = source.line_of(import.range.start);
            (line, format!("imports `{}`", import.module))
        })
    });
    let mut nodes = source.root().into_iter().flat_map(Node::all);
    let found = nodes.find_map(|node| {
        let what = evades(source, node, files)?;
        Some((node.row() + 1, what))
    });
    import.into_iter().chain(found).min()
}

fn evades(source: &Source<'_>, node: Node<'_>, files: &[&str]) -> Option<String> {
    let text = node.text();
    match node.kind() {
        "identifier" if looks_around(source, text) => Some(format!("uses `{text}`")),
        "attribute" if ["sys.modules", "inspect.stack", "inspect.trace"].contains(&text) => {
            Some(format!("uses `{text}`"))
        }
        "import_from_statement" => {
            let hidden = source.imports().into_iter().find(|import| {
                node.range().contains(&import.range.start)
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
            let mentions = |name: &&&str| text.contains(**name);
            if looks_around(source, text) || seeks_runner(source, node) {
                Some(format!("mentions `{}`", shortened(text)))
            } else if ["__eq__", "__ne__"].contains(&text) {
                Some(format!("makes an `{text}` by its name"))
            } else if let Some(file) = files.iter().find(mentions) {
                Some(format!("mentions the test file `{file}`"))
            } else {
                is_place_of_tests(node).then(|| format!("mentions `{}`", shortened(text)))
            }
        }
        "function_definition" => {
            let name = node.field("name")?.text();
            let parameters = node.field("parameters")?;
            let body = node.field("body")?;
            compares_nothing(name, parameters, body)
        }
        "assignment" => {
            let name = node.field("left")?.text();
            let name = name.rsplit('.').next().unwrap_or(name);
            let mut right = node.field("right")?;
            while right.kind() == "parenthesized_expression" {
                right = right.first_child()?;
            }
            if right.kind() == "identifier" && ["__eq__", "__ne__"].contains(&name) {
                let mut all = source
                    .root()?
                    .all()
                    .filter(|other| other.kind() == "function_definition");
                right = all.find(|other| {
                    other
                        .field("name")
                        .is_some_and(|own| own.text() == right.text())
                })?;
            } else if right.kind() != "lambda" {
                return None;
            }
            compares_nothing(name, right.field("parameters")?, right.field("body")?)
        }
        _ => None,
    }
}

/// Whether a name gives code access to its surroundings. Of these only `get_objects` is a likely name for
/// something else.
fn looks_around(source: &Source<'_>, name: &str) -> bool {
    let has_gc = || source.imports().iter().any(|import| import.module == "gc");
    LOOKS_AROUND.contains(&name) && (name != "get_objects" || has_gc())
}

/// Whether a string is the name of the test runner, or a prefix of its variables, in an expression that
/// examines modules, the environment or the program's name.
fn seeks_runner(source: &Source<'_>, content: Node<'_>) -> bool {
    let text = content.text();
    let is_key = text.len() > 2 && (text.starts_with("PYTEST") || "PYTEST".starts_with(text));
    if is_key {
        let mut nodes = source.root().into_iter().flat_map(Node::all);
        return nodes.any(|node| {
            node.kind() == "identifier" && ["environ", "environb", "getenv"].contains(&node.text())
        });
    }
    if !text.to_lowercase().contains("pytest") && text != "unittest.mock" {
        return false;
    }
    let mut place = content;
    while let Some(parent) = place.parent() {
        let kind = parent.kind();
        if matches!(kind, "block" | "module" | "function_definition")
            || (kind.ends_with("_statement") && !kind.starts_with("expression"))
        {
            break;
        }
        place = parent;
    }
    place.text().contains("sys.argv[0]")
        || place
            .all()
            .any(|node| node.kind() == "identifier" && SEEKS_RUNNER.contains(&node.text()))
}

/// Whether a string names the running process, or a folder of tests in a call that looks for files.
fn is_place_of_tests(content: Node<'_>) -> bool {
    let text = content.text();
    let first = text
        .trim_start_matches("./")
        .split('/')
        .next()
        .unwrap_or_default();
    if text.starts_with("/proc/self") {
        return true;
    }
    if !["tests", "conftest.py", ".pytest_cache"].contains(&first) {
        return false;
    }
    let mut above = std::iter::successors(content.parent(), |node| node.parent());
    let statement =
        above.find(|node| node.kind().ends_with("_statement") || node.kind() == "block");
    statement.is_some_and(|statement| {
        let mut names = statement.all().filter(|node| node.kind() == "identifier");
        names.any(|node| SEEKS_FILES.contains(&node.text()))
    })
}

/// Whether this is a comparison method that never examines the other operand and may return true.
fn compares_nothing(name: &str, parameters: Node<'_>, body: Node<'_>) -> Option<String> {
    if !["__eq__", "__ne__"].contains(&name) {
        return None;
    }
    let names = parameters.all().filter(|node| node.kind() == "identifier");
    let other = names.map(Node::text).nth(1);
    let mut uses = body.all().filter(|node| node.kind() == "identifier");
    let is_compared = uses.any(|node| Some(node.text()) == other && weighs(node));
    let raises = body.all().any(|node| node.kind() == "raise_statement");
    if is_compared || raises {
        return None;
    }
    let answers: Vec<&str> = if body.kind() == "block" {
        let returns = body.all().filter(|node| node.kind() == "return_statement");
        returns
            .map(|node| node.first_child().map_or("None", Node::text))
            .collect()
    } else {
        vec![body.text()]
    };
    // One that does not know is answered by the other side, and one that is never equal has no test pass.
    let is_equal = |answer: &&str| {
        *answer != "NotImplemented"
            && match name {
                "__eq__" => !["False", "None", "0"].contains(answer),
                _ => !["True", "1"].contains(answer),
            }
    };
    let says_equal = answers.iter().any(is_equal) || (name == "__ne__" && answers.is_empty());
    says_equal.then(|| format!("has an `{name}` that compares nothing"))
}

/// Whether the result may depend on an operand in this position: not if it is only stored, compared with
/// itself, or checked for a type that belongs to no one.
fn weighs(operand: Node<'_>) -> bool {
    let text = operand.text();
    let Some(parent) = operand.parent() else {
        return true;
    };
    let is_of_types = |nodes: &[Node<'_>]| {
        let names = nodes.iter().flat_map(|node| node.all());
        let mut names = names.filter(|node| node.kind() == "identifier");
        names.all(|node| TYPES.contains(&node.text()))
    };
    match parent.kind() {
        "expression_statement" => false,
        "assignment" => parent
            .field("left")
            .is_none_or(|left| left.kind() == "identifier"),
        "comparison_operator" => parent.children().iter().any(|side| side.text() != text),
        "argument_list" => {
            let Some(call) = parent.parent() else {
                return true;
            };
            let called = call.field("function");
            let called = called.map_or("", Node::text);
            let is_alone = call
                .parent()
                .is_some_and(|on| on.kind() == "expression_statement");
            let others: Vec<Node<'_>> = parent
                .children()
                .into_iter()
                .filter(|node| *node != operand)
                .collect();
            match called.rsplit('.').next().unwrap_or_default() {
                "isinstance" => !is_of_types(&others),
                "type" => {
                    let compared = call
                        .parent()
                        .filter(|on| on.kind() == "comparison_operator");
                    let sides = compared.map(Node::children).unwrap_or_default();
                    let sides: Vec<Node<'_>> =
                        sides.into_iter().filter(|side| *side != call).collect();
                    sides.is_empty() || !is_of_types(&sides)
                }
                "append" | "add" | "print" | "setattr" => !is_alone,
                _ => true,
            }
        }
        _ => true,
    }
}

/// Whether a string stands alone, like a docstring.
fn is_docstring(content: Node<'_>) -> bool {
    let statement = content.parent().and_then(journeyman_syntax::Node::parent);
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
                "uses `sys.modules`",
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
                &method("self.last = other\n        return True"),
                2,
                "`__eq__` that compares nothing",
            ),
            (
                &method("self.seen.append(other)\n        return True"),
                2,
                "`__eq__` that compares nothing",
            ),
            (
                &method("return other == other"),
                2,
                "`__eq__` that compares nothing",
            ),
            (
                &method("return isinstance(other, (int, str))"),
                2,
                "`__eq__` that compares nothing",
            ),
            (
                &method(
                    "if type(other) is str:\n            return True\n        return NotImplemented",
                ),
                2,
                "`__eq__` that compares nothing",
            ),
            (
                "class A:\n    def __ne__(s, o): return False\n",
                2,
                "`__ne__` that compares nothing",
            ),
            (
                "class A:\n    def __ne__(s, o): pass\n",
                2,
                "`__ne__` that compares nothing",
            ),
            (
                "import os\nx = any(k.startswith('PYT') for k in os.environ)\n",
                2,
                "mentions `PYT`",
            ),
            (
                "import importlib\nimportlib.import_module('pytest')\n",
                2,
                "mentions `pytest`",
            ),
            (
                "import sys\nif 'pytest' in sys.argv[0]: pass\n",
                2,
                "mentions `pytest`",
            ),
            ("import gc\ngc.get_objects()\n", 2, "uses `get_objects`"),
            (
                "import importlib\nimportlib.import_module('unittest.mock').ANY\n",
                2,
                "mentions `unittest.mock`",
            ),
            (
                "open('/proc/self/cmdline')\n",
                1,
                "mentions `/proc/self/cmdline`",
            ),
            (
                "import os\nif os.path.exists('tests'): pass\n",
                2,
                "mentions `tests`",
            ),
            (
                "x = list(Path('./tests/').iterdir())\n",
                1,
                "mentions `./tests/`",
            ),
            (
                "class A:\n    __eq__ = (lambda self, other: True)\n",
                2,
                "`__eq__` that compares nothing",
            ),
            (
                "def same(one, other):\n    return True\n\nclass A:\n    __eq__ = same\n",
                5,
                "`__eq__` that compares nothing",
            ),
            (
                "A = type('A', (int,), {'__eq__': f})\n",
                1,
                "makes an `__eq__`",
            ),
        ] {
            let found = evasion(text, &["test_core.py"]);
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
            &method("return False"),
            &method("self.asked = True\n        return False"),
            &method(
                "if isinstance(other, int):\n            return self.x == other\n        return False",
            ),
            &method("return isinstance(other, A)"),
            &method("return type(other) is type(self)"),
            &method("return self.key() == key(other)"),
            "class A:\n    __ne__ = lambda self, other: True\n",
            "def tools(names):\n    return [n for n in names if 'pytest' not in n and n != 'PYTEST']\n",
            "TOOLS = ['ruff', 'pytest']\nif name == 'pytest':\n    import os\n    os.environ.get('PYTHONPATH')\n",
            "class Store:\n    def get_objects(self): return self.objects\n",
            "# pytest\nimport unittest\nfrom dataclasses import dataclass\n@dataclass\nclass A: pass\n",
            "frame = {}\nstack = [1]\nstack.append(2)\nmodules = stack\n",
        ] {
            assert_eq!(evasion(text, &["test_core.py"]), None, "{text}");
        }
    }
}
