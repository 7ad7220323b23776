//! Where a task's files lie: modules, tests and what is left for the user, as paths and texts.
//!
//! Python: a dotted module is a file in a package folder, tests are in `tests/`. Nothing is read or
//! written here; every path is made of checked names.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write;

use journeyman_event::payload::{GivenTest, TestOrigin};
use journeyman_event::state::{Ending, ModuleState};
use journeyman_event::{ModuleName, TaskState};
use journeyman_syntax::Source;

use crate::passages::is_library;
use crate::python::{defined_name, mentions};
use crate::summary::{answered, summary};

/// Relative path to text, in path order.
pub type Files = BTreeMap<String, String>;

/// The file of the result that says how it stands.
pub(crate) const SUMMARY_FILE: &str = "SUMMARY.md";

/// The file of the result that holds the answer to a question.
const ANSWER_FILE: &str = "ANSWER.md";

/// The path of a module's file.
pub fn module_path(name: &ModuleName) -> String {
    format!("{}.py", name.as_str().replace('.', "/"))
}

/// The path of a module's generated tests.
pub(crate) fn generated_tests_path(state: &TaskState, module: &ModuleName) -> String {
    let path = format!("tests/test_{}.py", module.as_str().replace('.', "_"));
    if given_paths(state).contains(&path) {
        return format!(
            "tests/test_{}_generated.py",
            module.as_str().replace('.', "_")
        );
    }
    path
}

fn given_path(test: &GivenTest) -> String {
    format!("tests/{}", test.name)
}

/// The paths of the tests that rule.
pub(crate) fn given_paths(state: &TaskState) -> Vec<String> {
    state.given_tests().iter().map(given_path).collect()
}

/// Whether a test of this name is one of the file at this path.
pub(crate) fn is_in(name: &str, path: &str) -> bool {
    let rest = name.strip_prefix(path);
    rest.is_some_and(|rest| rest.is_empty() || rest.starts_with("::"))
}

/// The test files of a run: the given ones of these names, and the generated ones of `module`, or
/// of every module that has no given tests.
pub(crate) fn test_files(
    state: &TaskState,
    module: Option<&ModuleState>,
    given: &[String],
) -> Vec<String> {
    let tests = state
        .given_tests()
        .iter()
        .filter(|test| given.contains(&test.name));
    let mut files: Vec<String> = tests.map(given_path).collect();
    if module.is_none() || given.is_empty() {
        let modules = state.modules.iter().filter(|other| {
            module.is_none_or(|module| module.plan.name == other.plan.name)
                && other.tests().is_some()
        });
        files.extend(modules.map(|other| generated_tests_path(state, &other.plan.name)));
    }
    files
}

/// Code and tests as they are now, with what makes packages of folders.
pub(crate) fn working_files(state: &TaskState) -> Files {
    let mut files = Files::new();
    for module in &state.modules {
        let name = &module.plan.name;
        if let Some(code) = module.code() {
            files.insert(module_path(name), code.source.clone());
            for (at, _) in name.as_str().match_indices('.') {
                let folder = name.as_str()[..at].replace('.', "/");
                files.entry(format!("{folder}/__init__.py")).or_default();
            }
        }
        if let Some(tests) = module.tests() {
            files.insert(generated_tests_path(state, name), tests.to_owned());
        }
    }
    for test in state.given_tests() {
        files.insert(given_path(test), render(state, test));
    }
    if let Some(reply) = &state.reply {
        files.insert(ANSWER_FILE.to_owned(), answered(reply));
    }
    files
}

/// One file of a task, in one version.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TaskFile {
    /// Its path.
    pub path: String,
    /// The module's version; none for tests and other files.
    pub version: Option<u64>,
    /// Its text.
    pub text: String,
}

/// Every version of every module, older ones first, then the other files as they are.
pub fn task_files(state: &TaskState) -> Vec<TaskFile> {
    let mut files = Vec::new();
    for module in &state.modules {
        files.extend(module.versions.iter().map(|code| TaskFile {
            path: module_path(&module.plan.name),
            version: Some(code.version),
            text: code.source.clone(),
        }));
    }
    for (path, text) in working_files(state) {
        if !files.iter().any(|file| file.path == path) {
            files.push(TaskFile {
                path,
                version: None,
                text,
            });
        }
    }
    files
}

/// What the user gets: the working files, marks on disputed tests, and the summary.
pub(crate) fn output_files(state: &TaskState, ending: &Ending) -> Files {
    let mut files = working_files(state);
    let disputed: Vec<&str> = state
        .modules
        .iter()
        .filter_map(|module| module.completion.as_ref())
        .flat_map(|done| done.disputed.iter().map(String::as_str))
        .collect();
    if !disputed.is_empty() {
        files.insert("tests/conftest.py".to_owned(), mark_disputed(&disputed));
    }
    files.insert(SUMMARY_FILE.to_owned(), summary(state, ending, &files));
    files
}

fn mark_disputed(disputed: &[&str]) -> String {
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

/// A given test as a file that a test runner takes.
fn render(state: &TaskState, test: &GivenTest) -> String {
    match test.origin {
        TestOrigin::File | TestOrigin::Generated => test.source.clone(),
        TestOrigin::Code => {
            let mut text = imports(state, test);
            text.push_str(&test.source);
            text
        }
        TestOrigin::Assertions => {
            let mut text = imports(state, test);
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
                imports(state, test)
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

/// A Python string literal: a JSON string is one, but for its escapes of other planes, which JSON
/// leaves out when it writes the characters themselves.
fn python_string(text: &str) -> String {
    serde_json::Value::from(text).to_string()
}

/// The modules of the library that assertions use: they have no imports of their own.
fn library_names(source: &str) -> BTreeSet<String> {
    let (_, free) = Source::of(source).names();
    free.into_iter().filter(|name| is_library(name)).collect()
}

/// Imports of every module whose functions the test mentions; of the one it is run with at least.
fn imports(state: &TaskState, test: &GivenTest) -> String {
    let mut text = String::new();
    for module in &state.modules {
        let used = module.plan.given_tests.contains(&test.name)
            || module.plan.functions.iter().any(|function| {
                defined_name(&function.signature).is_some_and(|name| mentions(&test.source, name))
            });
        if used {
            let _ = writeln!(text, "from {} import *", module.plan.name);
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use journeyman_event::payload::TaskSubmitted;

    use super::*;
    use crate::examples::tests_in_prompt;

    #[test]
    fn tests_of_a_prompt_are_files_that_import_what_they_use() {
        let prompt = "Write f(x).\nimport math\nassert f(1) == math.pi\nassert f(\n    2) == 3\n";
        let submission = TaskSubmitted {
            tests: tests_in_prompt(prompt),
            ..TaskSubmitted::of(prompt)
        };
        let state = TaskState {
            submission: Some(submission),
            ..TaskState::default()
        };
        let files = working_files(&state);
        assert_eq!(
            files["tests/test_assertions.py"],
            "import math\n\n\ndef test_assertion_1():\n    assert f(1) == math.pi\n"
        );
        assert_eq!(
            files["tests/test_prompt_1.py"],
            "def test_block_1():\n    assert f(\n        2) == 3\n"
        );
    }
}
