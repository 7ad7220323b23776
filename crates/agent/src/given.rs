//! Test files that a user gives: whether they can be run where code is run, and under which name they
//! are kept.

use journeyman_event::payload::GivenTest;
use journeyman_syntax::{Source, Suite};

use crate::python::{file_name_of, foreign_imports, is_taken, is_third_party, transliterated};

/// Characters of a test file's name.
const NAME_CHARS_MAX: usize = 80;

/// The fixtures that pytest has of its own.
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

/// Fixtures of plugins that people know, and that are not there.
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

/// What is wrong with a test file of the user's, in words for the user; none if it can be run.
pub fn test_file_problem(source: &str) -> Option<String> {
    let read = Source::of(source.trim_start_matches('\u{feff}'));
    if let Some(line) = read.error_line() {
        return Some(format!(
            "line {line} is no valid Python; correct it, for no code could pass such a test"
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
    let suite = read.suite();
    without_tests(&read, &suite).or_else(|| not_runnable(&suite))
}

/// Why nothing of a file would be run.
fn without_tests(read: &Source<'_>, suite: &Suite) -> Option<String> {
    if suite.is_open {
        return None;
    }
    let mut tests = suite.functions.iter().filter(|function| function.is_test);
    let Some(first) = tests.next() else {
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

/// What a test of a file wants that is not there.
fn not_runnable(suite: &Suite) -> Option<String> {
    let tests = suite.functions.iter().filter(|test| !test.is_skipped);
    for function in tests {
        let (line, name) = (function.line, &function.name);
        if function.is_async {
            return Some(format!(
                "line {line}: {name} is a coroutine, and pytest-asyncio is not there; make it a plain \
                 function that calls asyncio.run"
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

/// The name under which a test file is kept, whatever its own is: one that pytest can load, that hides
/// nothing, and that none of the others has.
pub fn test_file_name(given: &str, source: &str, others: &[GivenTest]) -> String {
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
            ("# nothing yet\n", Some("no test in it: give functions")),
            (
                "from shop import add\nassert add(1, 2) == 3\n",
                Some("put its assertions"),
            ),
            (
                "import pytest\n@pytest.fixture\ndef db(): pass\n",
                Some("goes into the file with the tests"),
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
