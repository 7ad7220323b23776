//! Renders given tests as files for pytest.

use std::collections::BTreeSet;
use std::fmt::Write;

use journeyman_event::payload::{GivenTest, TestOrigin};
use journeyman_syntax::Source;

use super::names::is_library;

/// The text of a `conftest.py` that marks these tests as expected to fail.
pub(super) fn disputed(disputed: &[&str]) -> String {
    let mut names = String::new();
    for name in disputed {
        let _ = writeln!(names, "    {name:?},");
    }
    format!(
        "\"\"\"Generated tests that the code does not pass; either may be wrong: see SUMMARY.md.\"\"\"\n\
         import pytest\n\nDISPUTED = {{\n{names}}}\n\n\n\
         def pytest_collection_modifyitems(items):\n    \
             for item in items:\n        \
                 if item.nodeid in DISPUTED:\n            \
                     item.add_marker(pytest.mark.xfail(reason=\"disputed generated test\"))\n"
    )
}

/// A given test as a file for the test runner.
pub(super) fn rendered(test: &GivenTest, modules: &[&str]) -> String {
    match test.origin {
        TestOrigin::File | TestOrigin::Generated => test.source.clone(),
        TestOrigin::Code => {
            let mut text = imports(modules);
            text.push_str(&test.source);
            text
        }
        TestOrigin::Assertions => {
            let mut text = imports(modules);
            for name in library_names(&test.source) {
                let _ = writeln!(text, "import {name}");
            }
            for (number, line) in test.source.lines().enumerate() {
                let _ = write!(
                    text,
                    "\n\ndef test_assertion_{}():\n    {line}\n",
                    number + 1
                );
            }
            text
        }
        TestOrigin::Examples => {
            let mut text = format!(
                "import ast\nimport doctest\nimport math\n\n{}{EXAMPLE_RUNNER}",
                imports(modules)
            );
            for (number, example) in test.source.split("\n\n").enumerate() {
                let _ = write!(
                    text,
                    "\n\ndef test_example_{}():\n    _check({})\n",
                    number + 1,
                    python_string(example)
                );
            }
            text
        }
    }
}

const EXAMPLE_RUNNER: &str = r#"

class _Checker(doctest.OutputChecker):
    """As doctest compares, or equal as values: 'a' is "a", [1,2] is [1, 2], 0.1 is 0.1000000001."""

    def check_output(self, want, got, flags):
        if super().check_output(want, got, flags):
            return True
        try:
            want, got = ast.literal_eval(want.strip()), ast.literal_eval(got.strip())
        except (ValueError, SyntaxError):
            return False
        if isinstance(want, float) and isinstance(got, float):
            return math.isclose(want, got, rel_tol=1e-9)
        return want == got and type(want) is type(got)


def _check(text):
    example = doctest.DocTestParser().get_doctest(text + "\n", dict(globals()), "example", None, 0)
    report = []
    runner = doctest.DocTestRunner(_Checker(), verbose=False, optionflags=doctest.NORMALIZE_WHITESPACE)
    runner.DIVIDER = ""
    results = runner.run(example, out=report.append)
    assert results.attempted > 0, "the example was not run"
    assert results.failed == 0, "".join("".join(report).partition("Failed example:")[1:])
"#;

/// A Python string literal. A JSON string is one, except for JSON's escapes of characters beyond the basic
/// plane, which are avoided by writing these characters directly.
fn python_string(text: &str) -> String {
    serde_json::Value::from(text).to_string()
}

/// The modules of the standard library that assertions use without importing them.
fn library_names(source: &str) -> BTreeSet<String> {
    let (_, free) = Source::of(source).names();
    free.into_iter().filter(|name| is_library(name)).collect()
}

fn imports(modules: &[&str]) -> String {
    modules.iter().fold(String::new(), |mut text, module| {
        let _ = writeln!(text, "from {module} import *");
        text
    })
}
