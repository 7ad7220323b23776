//! Test files given by a user: whether they can be run in the sandbox, and under which name they are stored.

use journeyman_event::payload::GivenTest;
use journeyman_syntax::Source;

use super::names::{
    file_name_of, is_standard, is_taken, is_test_module, is_third_party, transliterated,
};
use super::prompt::asks_for;
use super::source::{foreign_imports, mentions};
use super::suite::{HAS_INIT, Suite, suite};

/// The most characters of a test file's name.
const NAME_CHARS_MAX: usize = 80;

/// The fixtures built into pytest.
const FIXTURES: &[&str] = &[
    "cache",
    "capfd",
    "capfdbinary",
    "caplog",
    "capsys",
    "capsysbinary",
    "capteesys",
    "doctest_namespace",
    "monkeypatch",
    "pytestconfig",
    "record_property",
    "record_testsuite_property",
    "record_xml_attribute",
    "recwarn",
    "request",
    "subtests",
    "tmp_path",
    "tmp_path_factory",
    "tmpdir",
    "tmpdir_factory",
];

/// Fixtures of well-known plugins, which are not installed.
const PLUGINS: &[(&str, &str)] = &[
    ("aiohttp_client", "pytest-aiohttp"),
    ("anyio_backend", "anyio"),
    ("benchmark", "pytest-benchmark"),
    ("client", "pytest-django"),
    ("datadir", "pytest-datadir"),
    ("db", "pytest-django"),
    ("event_loop", "pytest-asyncio"),
    ("faker", "Faker"),
    ("freezer", "pytest-freezer"),
    ("fs", "pyfakefs"),
    ("httpserver", "pytest-httpserver"),
    ("httpx_mock", "pytest-httpx"),
    ("live_server", "pytest-django"),
    ("mocker", "pytest-mock"),
    ("page", "pytest-playwright"),
    ("postgresql", "pytest-postgresql"),
    ("qtbot", "pytest-qt"),
    ("requests_mock", "requests-mock"),
    ("snapshot", "syrupy"),
    ("worker_id", "pytest-xdist"),
];

/// Why a user's test file cannot be run, worded for the user; `None` if it can.
pub(super) fn test_file_problem(source: &str) -> Option<String> {
    let read = Source::of(source.trim_start_matches('\u{feff}'));
    let suite = suite(&read);
    let mut lines = source.lines().map(str::trim_start);
    let has_examples = lines.any(|line| line.starts_with(">>> "));
    if has_examples && !suite.is_open && !suite.functions.iter().any(|function| function.is_test) {
        return Some(
            "its examples (>>>) are not run from a test file: put them into the prompt, where they are, or \
             write each as an `assert` in a function whose name begins with test_"
                .to_owned(),
        );
    }
    if let Some(line) = read.error_line() {
        return Some(format!(
            "line {line} is no valid Python; correct it, for no code could pass such a test"
        ));
    }
    if let Some(line) = read.misindented_line() {
        return Some(format!(
            "line {line} is not indented as Python wants it (tabs and spaces mixed, or a step back to where no \
             block stands); correct it, for no code could pass such a test"
        ));
    }
    let imports = read.imports();
    let missing = imports
        .iter()
        .find(|import| import.at_margin && !import.is_relative && is_third_party(&import.module));
    if let Some(import) = missing {
        return Some(format!(
            "it imports {}, and only the standard library and pytest are there where it is run; test without it",
            import.module
        ));
    }
    if let Some(import) = imports.iter().find(|import| !import.module.is_ascii()) {
        return Some(format!(
            "it imports `{}`, and modules are called in ASCII letters here: rename it, such as {}",
            import.module,
            transliterated(&import.module)
        ));
    }
    without_tests(&read, &suite).or_else(|| not_runnable(&suite))
}

/// Why no plan could provide everything that a user's test files import, worded for the user; `None` if one
/// could.
pub(super) fn imports_problem(tests: &[GivenTest], prompt: &str) -> Option<String> {
    let wanted = modules_wanted(tests);
    if let Some((module, name)) = taken_from_the_library(tests, prompt) {
        return Some(format!(
            "they import {name} from {module}, which is a module of Python's library, and what is written cannot take its \
             place: import it from a module of another name, such as {module}_module"
        ));
    }
    if let Some(name) = wanted.iter().find(|name| {
        let mut parts = name.split('.');
        parts.any(is_test_module)
    }) {
        return Some(format!(
            "they import {name}, which is not among them and is not written as part of the program; give it \
             with --tests where it has tests too, else put what they use of it into the test file"
        ));
    }
    let package = |name: &String| name.rsplit_once('.').map(|(package, _)| package.to_owned());
    let packages: Vec<String> = wanted.iter().filter_map(package).collect();
    // `import shop` beside `import shop.cart` is the package itself.
    let mut modules = wanted.iter().filter(|name| !packages.contains(name));
    let first = modules.next()?;
    let other = modules.find(|name| package(name) != package(first))?;
    Some(format!(
        "they import {first} and {other}, which are not in one package, and one is written; put what they use \
         of files of your own into the test file"
    ))
}

/// What test files import from a module of the library although the prompt asks for it, and no other module has it.
fn taken_from_the_library(tests: &[GivenTest], prompt: &str) -> Option<(String, String)> {
    let files = || tests.iter().filter(|test| test.origin.is_file());
    let imports = files().flat_map(|test| Source::of(&test.source).imports());
    let (library, own): (Vec<_>, Vec<_>) = imports
        .filter(|import| !import.is_relative)
        .partition(|import| is_standard(import.module.split('.').next().unwrap_or_default()));
    let mut taken = library
        .iter()
        .flat_map(|import| import.names.iter().map(|name| (&import.module, name)));
    let is_asked = |name: &str| {
        own.iter()
            .all(|import| !import.names.iter().any(|other| other == name))
            && asks_for(prompt, name)
    };
    let (module, name) = taken.find(|(_, name)| is_asked(name))?;
    Some((module.clone(), name.clone()))
}

/// Easily missed facts about given tests, before work starts: modules that a user may believe to be installed,
/// and contradicting results. Modules that the prompt names, and those of a single package, are clearly the
/// requested program.
pub(super) fn tests_notes(tests: &[GivenTest], prompt: &str) -> Vec<String> {
    let mut wanted = modules_wanted(tests);
    let top = |name: &String| name.split('.').next().map(str::to_owned);
    let are_apart = wanted.iter().any(|name| top(name) != top(&wanted[0]));
    wanted.retain(|name| are_apart && !mentions(prompt, name));
    let modules = (!wanted.is_empty()).then(|| {
        format!(
            "the tests also import {}, of which the prompt says nothing: a file of yours of such a name is not \
             used, it is written anew; put what the tests need of it into the test file",
            wanted.join(", ")
        )
    });
    modules.into_iter().chain(contradiction(tests)).collect()
}

/// The modules that test files import and that neither exist nor are among them.
fn modules_wanted(tests: &[GivenTest]) -> Vec<String> {
    let mut wanted: Vec<String> = Vec::new();
    for test in tests.iter().filter(|test| test.origin.is_file()) {
        for name in foreign_imports(&test.source) {
            if !is_third_party(&name) && !is_given(&name, tests) && !wanted.contains(&name) {
                wanted.push(name);
            }
        }
    }
    wanted
}

/// Whether a module that a test imports is one of the given files.
pub(super) fn is_given(module: &str, tests: &[GivenTest]) -> bool {
    let stem = module.strip_prefix("tests.").unwrap_or(module);
    tests
        .iter()
        .any(|test| test.name.strip_suffix(".py") == Some(stem))
}

/// Two assertions that expect different results of the same call.
fn contradiction(tests: &[GivenTest]) -> Option<String> {
    let mut wants: Vec<(String, String)> = Vec::new();
    for test in tests {
        for assertion in Source::of(&test.source).assertions() {
            // What is called without anything may count.
            let is_plain = assertion.called.len() == 1 && assertion.free.is_empty();
            let stated = assertion.text.strip_prefix("assert ");
            let sides = stated
                .and_then(|stated| stated.rsplit_once("=="))
                .filter(|_| is_plain);
            let Some((call, result)) = sides else {
                continue;
            };
            let (call, result) = (call.trim(), result.trim());
            let is_call = call.ends_with(')') && !call.ends_with("()") && Source::of(call).parses();
            let Some(value) = plain_value(result).filter(|_| is_call) else {
                continue;
            };
            let other = wants.iter().find(|(known, _)| known == call);
            if let Some((_, other)) =
                other.filter(|(_, other)| plain_value(other).as_ref() != Some(&value))
            {
                return Some(format!(
                    "the tests want {call} to be {other} and to be {result}: no code gives both, unless it counts \
                     its calls"
                ));
            }
            wants.push((call.to_owned(), result.to_owned()));
        }
    }
    None
}

/// A literal value in a normal form; `None` for a value that may be equal to others.
fn plain_value(text: &str) -> Option<String> {
    let inside = |quote: char| {
        let inside = text.strip_prefix(quote)?.strip_suffix(quote)?;
        (!inside.contains([quote, '\\'])).then(|| format!("{inside:?}"))
    };
    match text {
        "None" => Some("None".to_owned()),
        "True" => Some("1".to_owned()),
        "False" => Some("0".to_owned()),
        _ => {
            let number = text.parse::<f64>().ok().filter(|number| number.is_finite());
            let number = number.map(|number| (number + 0.0).to_string());
            number.or_else(|| inside('\'')).or_else(|| inside('"'))
        }
    }
}

/// The parts of a test file that look like tests and are never run, as lines for the user. The file may have
/// other tests that are.
pub(super) fn never_run(source: &str) -> Vec<String> {
    let suite = suite(&Source::of(source.trim_start_matches('\u{feff}')));
    let found = suite.never_run.into_iter();
    found
        .map(|one| format!("line {}: {} is not run: {}", one.line, one.name, one.why))
        .collect()
}

/// Why nothing in a file would be run.
fn without_tests(read: &Source<'_>, suite: &Suite) -> Option<String> {
    if suite.is_open {
        return None;
    }
    let mut tests = suite.functions.iter().filter(|function| function.is_test);
    let Some(first) = tests.next() else {
        let mut hidden = suite.never_run.iter();
        if let Some(class) = hidden.find(|one| one.why == HAS_INIT) {
            return Some(format!(
                "there is no test in it: line {}: {} is not run: {}; prepare in `setup_method`",
                class.line, class.name, class.why
            ));
        }
        let advice = if !read.assertions().is_empty() {
            "put its assertions into functions whose names begin with test_"
        } else if read.defined().is_empty() {
            "give functions whose names begin with test_, and in them what is to hold as `assert`"
        } else {
            "what only helps others goes into the file with the tests; a test is a function whose \
             name begins with test_"
        };
        return Some(format!("there is no test in it: {advice}"));
    };
    (first.is_skipped && tests.all(|test| test.is_skipped)).then(|| {
        "every test in it is skipped, and what is skipped shows nothing: take the skips away"
            .to_owned()
    })
}

/// What a test in a file requires that does not exist.
fn not_runnable(suite: &Suite) -> Option<String> {
    let tests = suite.functions.iter().filter(|test| !test.is_skipped);
    for function in tests {
        let (line, name) = (function.line, &function.name);
        if function.is_unheeded {
            return Some(format!(
                "line {line}: {name} is marked with @unittest.expectedFailure, which pytest heeds only in a class that \
                 extends unittest.TestCase: mark it with @pytest.mark.xfail, or take the test out"
            ));
        }
        if function.is_async {
            return Some(format!(
                "line {line}: {name} is a coroutine, and pytest-asyncio is not there; make it a plain \
                 function that calls asyncio.run"
            ));
        }
        if function.is_generator {
            return Some(format!(
                "line {line}: {name} yields, and pytest runs no such test; make it a loop that asserts, or \
                 use @pytest.mark.parametrize"
            ));
        }
        let is_there = |need: &&String| {
            !suite.is_open && !FIXTURES.contains(&need.as_str()) && !suite.fixtures.contains(*need)
        };
        if let Some(need) = function.needs.iter().find(is_there) {
            let plugin = PLUGINS.iter().find(|(fixture, _)| fixture == need);
            let of = plugin.map_or_else(String::new, |(_, plugin)| {
                format!(" (there is one of {plugin}, which is not installed where it is run)")
            });
            return Some(format!(
                "line {line}: {name} wants the fixture `{need}`, which neither the file nor pytest \
                 has{of}; define it in the file with @pytest.fixture"
            ));
        }
    }
    None
}

/// The name under which a test file is stored: one that pytest can load, that shadows nothing, and that no
/// other test file has.
pub(super) fn test_file_name(given: &str, source: &str, others: &[GivenTest]) -> String {
    let name = given.rsplit(['/', '\\']).next().unwrap_or(given);
    let stem = name.rsplit_once('.').map_or(name, |(stem, _)| stem);
    let is_other = |c: char| !(c.is_ascii_alphanumeric() || c == '_');
    let stem = file_name_of(stem).replace(is_other, "_");
    let hides = is_taken(&stem)
        || ["conftest", "__init__"].contains(&stem.as_str())
        || foreign_imports(source)
            .iter()
            .any(|import| import.split('.').next() == Some(&stem));
    let stem = if hides { format!("test_{stem}") } else { stem };
    let stem: String = stem.chars().take(NAME_CHARS_MAX).collect();
    let is_free = |name: &String| others.iter().all(|other| other.name != *name);
    let numbered = (2..).map(|number| format!("{stem}_{number}.py"));
    let mut names = std::iter::once(format!("{stem}.py")).chain(numbered);
    names.find(is_free).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use journeyman_event::payload::TestOrigin;

    use super::*;

    #[test]
    fn a_test_file_that_cannot_be_run_is_told_from_one_that_can() {
        for (source, problem) in [
            ("def test_a():\n    assert 1\n", None),
            (
                "\u{feff}import pytest\nfrom shop import add\ndef test_a(): pass\n",
                None,
            ),
            ("def test_a():\n    import numpy\n", None),
            ("def test_a(tmp_path, capsys): pass\n", None),
            ("from helpers import db\ndef test_a(db): pass\n", None),
            (
                "import pytest\n@pytest.fixture\ndef db(): pass\ndef test_a(db): pass\n",
                None,
            ),
            (
                "import unittest\nclass A(unittest.TestCase):\n    def test_a(self): pass\n",
                None,
            ),
            (
                "import unittest\nclass A(unittest.IsolatedAsyncioTestCase):\n    async def test_a(self): pass\n",
                None,
            ),
            ("class TestA:\n    def test_a(self): pass\n", None),
            ("def test_a(:\n    pass\n", Some("line 1")),
            (
                "def test_a():\n\tif 1:\n        assert 1\n",
                Some("line 3 is not indented"),
            ),
            (
                "class TestA:\n    def __init__(self):\n        self.x = 1\n    def test_a(self):\n        assert self.x\n",
                Some("TestA is not run: pytest runs no test class that has an `__init__`"),
            ),
            ("from größe import f\ndef test_a(): pass\n", Some("groesse")),
            ("import numpy as np\n", Some("numpy")),
            (
                "def test_a(database): pass\n",
                Some("line 1: test_a wants the fixture `database`"),
            ),
            ("def test_a(mocker): pass\n", Some("pytest-mock")),
            (
                "import pytest\n@pytest.fixture\ndef db(engine): pass\ndef test_a(db): pass\n",
                Some("`engine`"),
            ),
            (
                "import pytest\n@pytest.mark.asyncio\nasync def test_a(): pass\n",
                Some("pytest-asyncio"),
            ),
            ("def test_a():\n    yield f, 1\n", Some("yields")),
            ("# nothing yet\n", Some("no test in it: give functions")),
            (
                "Some words.\n\n    >>> f(1)\n    2\n",
                Some("put them into the prompt"),
            ),
            (
                "def helper():\n    \"\"\"H.\n\n    >>> f(1)\n    2\n    \"\"\"\n",
                Some("put them into the prompt"),
            ),
            (
                "def test_a():\n    \"\"\"A.\n\n    >>> f(1)\n    2\n    \"\"\"\n    assert f(1) == 2\n",
                None,
            ),
            (
                "from shop import add\nassert add(1, 2) == 3\n",
                Some("put its assertions"),
            ),
            (
                "import pytest\n@pytest.fixture\ndef db(): pass\n",
                Some("goes into the file with the tests"),
            ),
            (
                "import unittest\n@unittest.expectedFailure\ndef test_a(): pass\n",
                Some("line 3: test_a is marked with @unittest.expectedFailure"),
            ),
            (
                "import unittest\nclass A(unittest.TestCase):\n    @unittest.expectedFailure\n    def test_a(self): pass\n",
                None,
            ),
            (
                "import pytest\n@pytest.mark.skip\ndef test_a(): pass\n",
                Some("skipped"),
            ),
        ] {
            let found = test_file_problem(source);
            assert_eq!(found.is_some(), problem.is_some(), "{source}: {found:?}");
            let told = found
                .as_ref()
                .is_none_or(|found| found.contains(problem.unwrap()));
            assert!(told, "{source}: {found:?}");
        }
    }

    fn files(sources: &[(&str, &str)]) -> Vec<GivenTest> {
        let file = |(name, source): &(&str, &str)| GivenTest {
            name: (*name).to_owned(),
            origin: TestOrigin::File,
            source: (*source).to_owned(),
        };
        sources.iter().map(file).collect()
    }

    #[test]
    fn what_tests_import_and_nobody_gives_is_told_before_work_begins() {
        let helper = ("test_help.py", "def test_a(): pass\n");
        for (sources, problem, notes) in [
            (&[("a.py", "from shop import add\n")][..], None, 0),
            (
                &[("a.py", "import shop\nfrom shop.cart import add\n")],
                None,
                0,
            ),
            (
                &[("a.py", "from shop import add\nfrom helpers import x\n")],
                None,
                1,
            ),
            (
                &[("a.py", "from shop import add\nfrom prices import x\n")],
                None,
                0,
            ),
            (
                &[("a.py", "from shop.cart import add\nfrom helpers import x\n")],
                Some("not in one package"),
                1,
            ),
            (
                &[("a.py", "from shop import add\nfrom conftest import x\n")],
                Some("import conftest"),
                1,
            ),
            (
                &[("a.py", "from queue import push\n")],
                Some("import push from queue, which is a module of Python's library"),
                0,
            ),
            (
                &[("a.py", "from queue import Queue\nfrom shop import push\n")],
                None,
                0,
            ),
            (
                &[(
                    "a.py",
                    "from shop import add\nfrom tests.helpers import x\n",
                )],
                Some("tests.helpers"),
                1,
            ),
            (
                &[
                    ("a.py", "from shop import add\nfrom test_help import x\n"),
                    helper,
                ],
                None,
                0,
            ),
        ] {
            let tests = files(sources);
            let found = imports_problem(&tests, "Write queue operations: `push(item)`.");
            assert_eq!(found.is_some(), problem.is_some(), "{sources:?}: {found:?}");
            assert!(
                found.is_none_or(|found| found.contains(problem.unwrap())),
                "{sources:?}"
            );
            let said = tests_notes(&tests, "Write a shop and its prices.");
            assert_eq!(said.len(), notes, "{sources:?}");
        }
    }

    #[test]
    fn assertions_that_contradict_each_other_are_told() {
        for (first, second, is_told) in [
            ("assert f(1) == 2", "assert f(1) == 3", true),
            ("assert f('a') == 'x'", "assert f('a') == None", true),
            ("assert f(1) == True", "assert f(1) == 0", true),
            ("assert f(1) == 2", "assert f(1) == 2.0", false),
            ("assert f('a') == \"x\"", "assert f('a') == 'x'", false),
            ("assert f(1) == 2", "assert f(2) == 3", false),
            ("assert f() == 1", "assert f() == 2", false),
            ("assert f(x) == 1", "assert f(x) == 2", false),
            ("assert f(1) == {1, 2}", "assert f(1) == {2, 1}", false),
            ("assert f(1) != 2", "assert f(1) == 3", false),
        ] {
            let file = |check: &str| format!("from m import f\n\ndef test_a():\n    {check}\n");
            let (one, other) = (file(first), file(second));
            let notes = tests_notes(&files(&[("a.py", &one), ("b.py", &other)]), "");
            assert_eq!(!notes.is_empty(), is_told, "{first}, {second}: {notes:?}");
        }
    }

    #[test]
    fn any_name_is_kept_as_one_that_can_be_loaded() {
        let known = GivenTest {
            name: "test_it.py".to_owned(),
            origin: TestOrigin::File,
            source: String::new(),
        };
        for (given, kept) in [
            ("test_slug.py", "test_slug.py"),
            ("my tests-1.py", "my_tests_1.py"),
            ("/tmp/x/größe.PY", "groesse.py"),
            ("1st.py", "_1st.py"),
            ("a.b.py", "a_b.py"),
            ("checks", "checks.py"),
            ("json.py", "test_json.py"),
            ("conftest.py", "test_conftest.py"),
            ("shop.py", "test_shop.py"),
            ("test_it.py", "test_it_2.py"),
            ("测试.py", "u6d4bu8bd5.py"),
            ("", "_.py"),
        ] {
            let name = test_file_name(
                given,
                "from shop import add\n",
                std::slice::from_ref(&known),
            );
            assert_eq!(name, kept, "{given}");
        }
    }
}
