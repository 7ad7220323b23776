//! Determines what pytest finds in a test file, as far as its text shows: tests, fixtures, and what they require.

use std::collections::BTreeSet;

use journeyman_syntax::{Kind, Node, Source};

/// The tests of a file and the fixtures available to them.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Suite {
    /// The tests that pytest collects, and fixtures that use other fixtures.
    pub(crate) functions: Vec<TestFunction>,
    /// What looks like a test and is never run, in order.
    pub(crate) never_run: Vec<NeverRun>,
    /// Names that may be fixtures: marked as such, imported, or bound to something unknown.
    pub(crate) fixtures: BTreeSet<String>,
    /// Whether there may be more than the text shows: star imports, hooks, names created at run time.
    pub(crate) is_open: bool,
}

/// Something that looks like a test and that pytest does not run.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct NeverRun {
    /// The line on which it starts, from 1.
    pub(crate) line: usize,
    /// The name, or the text if it has no name.
    pub(crate) name: String,
    /// Why it is not run, as the end of a sentence.
    pub(crate) why: &'static str,
}

/// A test or a fixture.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[allow(
    clippy::struct_excessive_bools,
    reason = "each is a fact of its own about a test, and any may hold with any other"
)]
pub(crate) struct TestFunction {
    /// The name of the function.
    pub(crate) name: String,
    /// The line on which it is defined, from 1.
    pub(crate) line: usize,
    /// Whether it is a test rather than a fixture.
    pub(crate) is_test: bool,
    /// Whether it is a coroutine, which pytest does not run without a plugin.
    pub(crate) is_async: bool,
    /// Whether it yields. Pytest does not run such tests.
    pub(crate) is_generator: bool,
    /// Whether it is never run because of a mark or its first statement.
    pub(crate) is_skipped: bool,
    /// Whether it is to fail, by a mark that is heeded in test cases of `unittest` alone, and stands outside of one.
    pub(crate) is_unheeded: bool,
    /// The fixtures it requires.
    pub(crate) needs: Vec<String>,
}

/// The name of a whole file among what is never run.
const MODULE: &str = "the whole file";

/// Why a class with a constructor is not run.
pub(crate) const HAS_INIT: &str = "pytest runs no test class that has an `__init__`";

/// Names by which a file may have more than its text shows.
const OPENING: &[&str] = &[
    "pytest_plugins",
    "pytest_generate_tests",
    "pytest_collection_modifyitems",
    "globals",
    "vars",
    "exec",
    "setattr",
    "__import__",
];

/// What decorators say about a function or class.
#[derive(Clone, Debug, Default)]
#[allow(
    clippy::struct_excessive_bools,
    reason = "a decorator each, in any combination"
)]
struct Marks {
    is_fixture: bool,
    is_skipped: bool,
    is_to_fail: bool,
    /// Parameters whose values do not come from fixtures.
    given: BTreeSet<String>,
    /// Fixtures that a mark requires.
    used: Vec<String>,
    /// Whether an unknown decorator may provide values for parameters.
    is_unknown: bool,
}

impl Marks {
    /// These marks combined with those of the enclosing class and module.
    fn within(mut self, outer: &Self) -> Self {
        self.is_skipped |= outer.is_skipped;
        self.is_unknown |= outer.is_unknown;
        self.given.extend(outer.given.iter().cloned());
        self.used.extend(outer.used.iter().cloned());
        self
    }
}

/// A class that is being examined.
struct Class {
    marks: Marks,
    /// Whether it may inherit more than is visible.
    has_bases: bool,
    /// Whether pytest collects its tests.
    is_collected: bool,
}

/// Determines what pytest finds in a file.
pub(crate) fn suite(source: &Source<'_>) -> Suite {
    let mut suite = Suite::default();
    let Some(root) = source.root() else {
        return suite;
    };
    let mut module = module_marks(root);
    for definition in source.definitions() {
        if matches!(definition.kind, Kind::Import | Kind::Value) {
            let bound = definition.names.into_iter();
            for name in bound {
                // What comes from elsewhere, or is made, may be a test.
                suite.is_open |= name == "*"
                    || OPENING.contains(&name.as_str())
                    || name.starts_with("test")
                    || name.starts_with("Test");
                suite.fixtures.insert(name);
            }
        }
    }
    let (called, used) = source.names();
    suite.is_open |= OPENING
        .iter()
        .any(|name| called.contains(*name) || used.contains(*name));
    suite.is_open |= source.definitions().iter().any(|definition| {
        definition
            .names
            .iter()
            .any(|name| OPENING.contains(&name.as_str()))
    });
    module.is_fixture = false;
    collect(root, &module, None, &mut suite);
    not_seen(root, &mut suite);
    suite.never_run.sort();
    if suite.never_run.iter().any(|one| one.name == MODULE) {
        suite.functions.retain(|function| !function.is_test);
    }
    suite
}

/// What in a body looks like a test and is not run: tests shadowed by a later one of the same name, those
/// marked as not a test, and assertions that only run as a program.
fn not_seen(body: Node<'_>, suite: &mut Suite) {
    let is_module = body.kind() == "module";
    let mut add = |node: Node<'_>, name: &str, why| {
        suite.never_run.push(NeverRun {
            line: node.row() + 1,
            name: name.to_owned(),
            why,
        });
    };
    let mut defined: Vec<(&str, Node<'_>)> = Vec::new();
    let mut classes = Vec::new();
    for statement in body.children() {
        let inner = match statement.kind() {
            "decorated_definition" => statement.field("definition"),
            "expression_statement" => statement.first_child(),
            _ => Some(statement),
        };
        let Some(inner) = inner else { continue };
        let name = inner.field("name").map(Node::text);
        match (inner.kind(), name) {
            ("function_definition" | "class_definition", Some(name)) => {
                // A class that unittest runs may have any name.
                let is_test = name.starts_with("test") || name.starts_with("Test");
                let hidden = defined.iter().position(|(other, _)| *other == name);
                if let Some((_, first)) = hidden.map(|at| defined.swap_remove(at)) {
                    add(first, name, "a later one of the same name hides it");
                }
                if is_test {
                    defined.push((name, inner));
                }
                if inner.kind() == "class_definition" {
                    classes.extend(inner.field("body"));
                }
            }
            ("assignment", _) => {
                let side = |name| inner.field(name).map(Node::text);
                if side("left") == Some("__test__") && side("right") == Some("False") {
                    let class = body.parent().and_then(|c| c.field("name"));
                    let name = class.map_or(MODULE, Node::text);
                    add(
                        statement,
                        name,
                        "`__test__ = False` says that it is no test",
                    );
                }
            }
            ("if_statement", _) if is_module => {
                let condition = inner.field("condition");
                let condition = condition.map_or("", Node::text);
                if condition.contains("__name__") && condition.contains("__main__") {
                    let block = inner.field("consequence");
                    let nodes = block.into_iter().flat_map(Node::all);
                    for node in nodes.filter(|node| node.kind() == "assert_statement") {
                        let text = node.text().lines().next().unwrap_or_default();
                        add(node, text, "it stands below `if __name__ == \"__main__\"`");
                    }
                }
            }
            _ => {}
        }
    }
    for class in classes {
        not_seen(class, suite);
    }
}

fn module_marks(root: Node<'_>) -> Marks {
    let mut marks = Marks::default();
    for statement in root.children() {
        let Some(inner) = statement.first_child() else {
            continue;
        };
        let left = inner.field("left");
        if inner.kind() == "assignment" && left.is_some_and(|l| l.text() == "pytestmark") {
            let right = inner.field("right");
            for node in right.into_iter().flat_map(Node::all) {
                if matches!(node.kind(), "call" | "attribute") && !is_called(node) {
                    mark(node, &mut marks);
                }
            }
        }
        if statement.kind() == "expression_statement" && is_skip(inner) {
            marks.is_skipped = true;
        }
    }
    marks
}

fn collect(within: Node<'_>, outer: &Marks, class: Option<&Class>, suite: &mut Suite) {
    let mut open = vec![within];
    while let Some(node) = open.pop() {
        let definition = match node.kind() {
            "decorated_definition" => node.field("definition"),
            "function_definition" | "class_definition" => Some(node),
            "module" | "block" | "if_statement" | "try_statement" | "else_clause"
            | "elif_clause" | "except_clause" | "finally_clause" | "with_statement" => {
                open.extend(node.children().into_iter().rev());
                None
            }
            _ => None,
        };
        let Some(definition) = definition else {
            continue;
        };
        let marks = marks(node);
        if definition.kind() == "class_definition" {
            collect_class(definition, marks.within(outer), suite);
        } else {
            function(definition, marks, outer, class, suite);
        }
    }
}

fn collect_class(node: Node<'_>, marks: Marks, suite: &mut Suite) {
    let (Some(name), Some(body)) = (node.field("name"), node.field("body")) else {
        return;
    };
    let bases = node.field("superclasses");
    let has_bases = bases.is_some_and(|bases| {
        bases
            .children()
            .into_iter()
            .any(|base| base.text() != "object")
    });
    let makes_itself = body.children().into_iter().any(|statement| {
        let name = statement.field("name");
        name.is_some_and(|name| name.text() == "__init__")
    });
    let is_test = name.text().starts_with("Test");
    if is_test && !has_bases && makes_itself {
        suite.never_run.push(NeverRun {
            line: node.row() + 1,
            name: name.text().to_owned(),
            why: HAS_INIT,
        });
    }
    let is_no_test = body
        .children()
        .into_iter()
        .any(|statement| statement.text().replace(' ', "") == "__test__=False");
    let class = Class {
        is_collected: !is_no_test && (has_bases || (is_test && !makes_itself)),
        has_bases,
        marks,
    };
    let before = suite.functions.len();
    collect(body, &class.marks, Some(&class), suite);
    // It may have its tests from the class that it extends.
    suite.is_open |= is_test && has_bases && suite.functions.len() == before;
}

fn function(node: Node<'_>, marks: Marks, outer: &Marks, class: Option<&Class>, suite: &mut Suite) {
    let Some(name) = node.field("name") else {
        return;
    };
    let name = name.text().to_owned();
    if marks.is_fixture || marks.is_unknown {
        suite.fixtures.insert(name.clone());
    }
    suite
        .fixtures
        .extend(marks.given.iter().filter(|_| marks.is_fixture).cloned());
    let is_collected = class.is_none_or(|class| class.is_collected);
    let is_test = !marks.is_fixture && name.starts_with("test") && is_collected;
    if !is_test && !marks.is_fixture {
        return;
    }
    let is_fixture = marks.is_fixture;
    let marks = if is_fixture {
        marks
    } else {
        marks.within(outer)
    };
    let has_bases = class.is_some_and(|class| class.has_bases);
    let knows = !marks.is_unknown && !has_bases;
    let mut needs = marks.used.clone();
    if knows {
        let parameters = parameters(node).into_iter();
        let own = usize::from(class.is_some());
        needs.extend(
            parameters
                .skip(own)
                .filter(|name| !marks.given.contains(name)),
        );
    }
    let body = node.field("body");
    let first = body.and_then(first_statement);
    suite.functions.push(TestFunction {
        line: node.row() + 1,
        is_test,
        is_async: is_test && knows && node.text().starts_with("async"),
        is_generator: is_test && body.is_some_and(yields),
        is_skipped: marks.is_skipped || first.is_some_and(|first| is_skip(first)),
        is_unheeded: is_test && marks.is_to_fail && !has_bases,
        needs,
        name,
    });
}

/// The names of the parameters without default values.
fn parameters(function: Node<'_>) -> Vec<String> {
    let Some(parameters) = function.field("parameters") else {
        return Vec::new();
    };
    let plain = parameters.children().into_iter().filter_map(|one| {
        let one = match one.kind() {
            "typed_parameter" => one.first_child()?,
            _ => one,
        };
        (one.kind() == "identifier").then(|| one.text().to_owned())
    });
    plain.collect()
}

fn marks(node: Node<'_>) -> Marks {
    let mut marks = Marks::default();
    for decorator in node.children() {
        if decorator.kind() == "decorator"
            && let Some(expression) = decorator.first_child()
        {
            mark(expression, &mut marks);
        }
    }
    marks
}

fn mark(expression: Node<'_>, marks: &mut Marks) {
    let function = expression.field("function");
    let path = function.unwrap_or(expression).text();
    let arguments = expression.field("arguments");
    let (before, last) = path.rsplit_once('.').unwrap_or(("", path));
    match last {
        "fixture" | "yield_fixture" => {
            marks.is_fixture = true;
            let name = arguments.and_then(|all| keyword(all, "name"));
            marks
                .given
                .extend(name.into_iter().flat_map(|name| words(name)));
        }
        "skip" => marks.is_skipped = true,
        "expectedFailure" => marks.is_to_fail = true,
        "skipif" | "skipIf" => {
            let condition = arguments.and_then(journeyman_syntax::Node::first_child);
            marks.is_skipped |= condition.is_some_and(|c| c.text() == "True");
        }
        "parametrize" => {
            let named = arguments.and_then(|all| keyword(all, "argnames"));
            let names = named.or_else(|| arguments.and_then(journeyman_syntax::Node::first_child));
            let names = names.map(|names| words(names)).unwrap_or_default();
            marks.is_unknown |= names.is_empty();
            marks.given.extend(names);
        }
        "usefixtures" => {
            let nodes = arguments.into_iter().flat_map(Node::all);
            let strings = nodes.filter(|node| node.kind() == "string");
            marks.used.extend(strings.flat_map(words));
        }
        "staticmethod" => marks.is_unknown = true,
        _ => marks.is_unknown |= before.rsplit('.').next() != Some("mark"),
    }
}

fn keyword<'t>(arguments: Node<'t>, name: &str) -> Option<Node<'t>> {
    let found = arguments.children().into_iter().find(|one| {
        let named = one.field("name");
        one.kind() == "keyword_argument" && named.is_some_and(|n| n.text() == name)
    });
    found.and_then(|one| one.field("value"))
}

/// The names in a string or in a list of strings; `None` for anything else.
fn words(node: Node<'_>) -> Vec<String> {
    let strings = node.all().filter(|node| node.kind() == "string_content");
    let texts = strings.map(Node::text);
    let words = texts.flat_map(|text| text.split(','));
    let words = words.map(|word| word.trim().to_owned());
    words.filter(|word| !word.is_empty()).collect()
}

/// Whether a statement skips the rest of a test or file.
fn is_skip(statement: Node<'_>) -> bool {
    let inner = match statement.kind() {
        "expression_statement" | "raise_statement" => statement.first_child(),
        _ => Some(statement),
    };
    let function = inner.and_then(|inner| inner.field("function"));
    function.is_some_and(|function| {
        let skips = [
            "pytest.skip",
            "self.skipTest",
            "unittest.SkipTest",
            "SkipTest",
        ];
        skips.contains(&function.text())
    })
}

/// Whether a function's body yields, not counting nested functions.
fn yields(body: Node<'_>) -> bool {
    let mut open = vec![body];
    while let Some(node) = open.pop() {
        if node.kind() == "yield" {
            return true;
        }
        if !matches!(
            node.kind(),
            "function_definition" | "lambda" | "class_definition"
        ) {
            open.extend(node.children());
        }
    }
    false
}

/// Whether a node is the function of a call; then the call is examined instead.
fn is_called(node: Node<'_>) -> bool {
    let parent = node.parent();
    parent.is_some_and(|parent| {
        parent.kind() == "attribute" || parent.field("function") == Some(node)
    })
}

/// The first statement of a body after its docstring.
fn first_statement(body: Node<'_>) -> Option<Node<'_>> {
    let mut statements = body.children().into_iter().filter(|statement| {
        let inner = statement.first_child().map(journeyman_syntax::Node::kind);
        statement.kind() != "comment" && inner != Some("string")
    });
    statements.next()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tests_fixtures_and_what_they_ask_for_are_found() {
        let text = "import pytest\nfrom help import shop as store\n\n\
            @pytest.fixture\ndef db(engine, tmp_path):\n    yield 1\n\n\
            @pytest.fixture(name=\"cart\")\ndef make_cart(): return []\n\n\
            def helper(x): pass\n\n\
            def test_a(db, cart, limit=3): assert db\n\n\
            @pytest.mark.parametrize(\"a, b\", [(1, 2)])\n@pytest.mark.parametrize([\"c\"], [1])\n\
            def test_b(a, b, c, missing): pass\n\n\
            @patch(\"x.y\")\ndef test_c(mocked): pass\n\n\
            @pytest.mark.usefixtures(\"other\")\nclass TestD:\n    def test_d(self, db: int): pass\n\
            \x20   @pytest.mark.skip(reason=\"x\")\n    async def test_e(self): pass\n\n\
            class TestMade:\n    def __init__(self): pass\n    def test_f(self): pass\n\n\
            class Checks(unittest.TestCase):\n    def test_g(self): self.skipTest(\"x\")\n\
            \x20   async def test_h(self): pass\n";
        let suite = suite(&Source::of(text));
        let told: Vec<String> = suite
            .functions
            .iter()
            .map(|f| {
                let marks = [(f.is_test, "t"), (f.is_async, "a"), (f.is_skipped, "s")];
                let marks: String = marks
                    .iter()
                    .filter(|(is, _)| *is)
                    .map(|(_, m)| *m)
                    .collect();
                format!("{} {marks} {}", f.name, f.needs.join(","))
            })
            .collect();
        assert_eq!(
            told,
            [
                "db  engine,tmp_path",
                "make_cart  ",
                "test_a t db,cart",
                "test_b t missing",
                "test_c t ",
                "test_d t other,db",
                "test_e tas other",
                "test_g ts ",
                "test_h t ",
            ]
        );
        assert!(!suite.is_open);
        for name in ["db", "cart", "store", "pytest"] {
            assert!(suite.fixtures.contains(name), "{name}");
        }
    }

    #[test]
    fn what_looks_like_a_test_and_is_never_run_is_named() {
        let test = "def test_a():\n    assert 1\n";
        for (text, names) in [
            (format!("{test}{test}"), &["1 test_a"][..]),
            (format!("{test}@mark\n{test}"), &["1 test_a"]),
            ("class TestA:\n    def __init__(self): pass\n    def test_a(self): pass\n".into(), &["1 TestA"]),
            ("class TestA:\n    __test__ = False\n    def test_a(self): pass\n".into(), &["2 TestA"]),
            (format!("__test__ = False\n{test}"), &["1 the whole file"]),
            ("class A(TestCase):\n    def test_a(self): pass\n    def test_a(self): pass\n".into(), &["2 test_a"]),
            ("class TestA: pass\nclass TestA: pass\n".into(), &["1 TestA"]),
            ("if __name__ == '__main__':\n    for x in y:\n        assert f(x)\n".into(), &["3 assert f(x)"]),
            (format!("if x:\n    {0}else:\n    {0}", "def test_a(): pass\n"), &[]),
            ("def f(): pass\ndef f(): pass\n".into(), &[]),
            ("class TestA(Base):\n    def __init__(self): pass\n".into(), &[]),
            ("class TestA:\n    def test_a(self): pass\nclass TestB:\n    def test_a(self): pass\n".into(), &[]),
        ] {
            let suite = suite(&Source::of(&text));
            let found = suite.never_run.iter().map(|one| format!("{} {}", one.line, one.name));
            assert_eq!(found.collect::<Vec<_>>(), names, "{text}");
        }
        for (body, is_generator) in [
            ("yield f, 1", true),
            ("x = [i for i in y]", false),
            ("def g(): yield", false),
        ] {
            let text = format!("def test_a():\n    {body}\n");
            assert_eq!(
                suite(&Source::of(&text)).functions[0].is_generator,
                is_generator,
                "{body}"
            );
        }
    }

    #[test]
    fn what_a_file_may_have_besides_is_not_denied() {
        for text in [
            "from helpers import *\n",
            "test_x = make(1)\n",
            "from base import TestAll\n",
            "from base import Base\nclass TestAll(Base): pass\n",
            "globals()['test_x'] = f\n",
            "def pytest_generate_tests(metafunc): pass\n",
        ] {
            assert!(suite(&Source::of(text)).is_open, "{text}");
        }
        for text in ["", "import pytest\nx = 1\n", "def helper(): pass\n"] {
            assert!(!suite(&Source::of(text)).is_open, "{text}");
        }
    }

    #[test]
    fn what_is_skipped_for_all_is_skipped_for_each() {
        for text in [
            "pytestmark = pytest.mark.skip(reason='later')\ndef test_a(): pass\n",
            "pytestmark = [pytest.mark.slow, pytest.mark.skip]\ndef test_a(): pass\n",
            "pytest.skip('later', allow_module_level=True)\ndef test_a(): pass\n",
            "@unittest.skip('later')\nclass TestA:\n    def test_a(self): pass\n",
            "def test_a():\n    \"\"\"Doc.\"\"\"\n    pytest.skip('later')\n",
            "@pytest.mark.skipif(True, reason='x')\ndef test_a(): pass\n",
        ] {
            let suite = suite(&Source::of(text));
            assert!(suite.functions.iter().all(|f| f.is_skipped), "{text}");
            assert_eq!(suite.functions.len(), 1, "{text}");
        }
        let some = "@pytest.mark.skipif(sys.platform == 'x', reason='')\ndef test_a(): pass\n";
        assert!(!suite(&Source::of(some)).functions[0].is_skipped);
    }
}
