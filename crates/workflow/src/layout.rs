//! The file layout of a task: modules, tests and the result, as paths and texts.
//!
//! The naming of files is defined by the language. Nothing is read or written here. Every path is built of checked
//! names.

use std::collections::BTreeMap;

use journeyman_event::payload::GivenTest;
use journeyman_event::state::{Ending, ModuleState};
use journeyman_event::{ModuleName, TaskState};
use journeyman_language::of_task;

use crate::summary::{answered, summary};

/// Texts by relative path, sorted by path.
pub type Files = BTreeMap<String, String>;

/// The file in the result that describes its state.
pub(crate) const SUMMARY_FILE: &str = "SUMMARY.md";

/// The file in the result with the answer to a question.
const ANSWER_FILE: &str = "ANSWER.md";

/// The path of a module's file.
pub fn module_path(state: &TaskState, name: &ModuleName) -> String {
    of_task(state).module_path(name.as_str())
}

/// The path of a module's generated tests.
pub(crate) fn generated_tests_path(state: &TaskState, module: &ModuleName) -> String {
    let [path, other] = of_task(state).generated_tests_paths(module.as_str());
    if given_paths(state).contains(&path) {
        other
    } else {
        path
    }
}

fn given_path(state: &TaskState, test: &GivenTest) -> String {
    of_task(state).given_tests_path(&test.name)
}

/// The paths of the given tests.
pub(crate) fn given_paths(state: &TaskState) -> Vec<String> {
    let tests = state.given_tests().iter();
    tests.map(|test| given_path(state, test)).collect()
}

/// A function that tells whether a test's name belongs to a given test.
pub(crate) fn given_names(state: &TaskState) -> impl Fn(&str) -> bool {
    let (language, paths) = (of_task(state), given_paths(state));
    move |name| paths.iter().any(|path| language.is_test_of(name, path))
}

/// The test files of a run: the given ones with these names, and the generated ones of `module`, or of every
/// module without given tests.
pub(crate) fn test_files(
    state: &TaskState,
    module: Option<&ModuleState>,
    given: &[String],
) -> Vec<String> {
    let tests = state
        .given_tests()
        .iter()
        .filter(|test| given.contains(&test.name));
    let mut files: Vec<String> = tests.map(|test| given_path(state, test)).collect();
    if module.is_none() || given.is_empty() {
        let modules = state.modules.iter().filter(|other| {
            module.is_none_or(|module| module.plan.name == other.plan.name)
                && other.tests().is_some()
        });
        files.extend(modules.map(|other| generated_tests_path(state, &other.plan.name)));
    }
    files
}

/// The current code and tests, and the files that make packages of folders.
pub(crate) fn working_files(state: &TaskState) -> Files {
    let mut files = Files::new();
    for module in &state.modules {
        let name = &module.plan.name;
        if let Some(code) = module.code() {
            files.insert(module_path(state, name), code.source.clone());
            for path in of_task(state).package_files(name.as_str()) {
                files.entry(path).or_default();
            }
        }
        if let Some(tests) = module.tests() {
            files.insert(generated_tests_path(state, name), tests.to_owned());
        }
    }
    for test in state.given_tests() {
        files.insert(given_path(state, test), render(state, test));
    }
    if let Some(reply) = &state.reply {
        files.insert(ANSWER_FILE.to_owned(), answered(reply));
    }
    files
}

/// One version of a task's file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TaskFile {
    /// The path of the file.
    pub path: String,
    /// The version of the module; `None` for tests and other files.
    pub version: Option<u64>,
    /// The contents of the file.
    pub text: String,
}

/// All versions of all modules, oldest first, followed by the other files in their current state.
pub fn task_files(state: &TaskState) -> Vec<TaskFile> {
    let mut files = Vec::new();
    for module in &state.modules {
        files.extend(module.versions.iter().map(|code| TaskFile {
            path: module_path(state, &module.plan.name),
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

/// The files for the user: the working files, with disputed tests marked, and the summary.
pub(crate) fn output_files(state: &TaskState, ending: &Ending) -> Files {
    let mut files = working_files(state);
    let disputed: Vec<&str> = state
        .modules
        .iter()
        .filter_map(|module| module.completion.as_ref())
        .flat_map(|done| done.disputed.iter().map(String::as_str))
        .collect();
    if !disputed.is_empty() {
        files.extend(of_task(state).disputed(&disputed));
    }
    files.insert(SUMMARY_FILE.to_owned(), summary(state, ending, &files));
    files
}

/// A given test as a file for the test runner, with imports of at least the module it is run for and of every
/// module whose functions it mentions.
fn render(state: &TaskState, test: &GivenTest) -> String {
    let language = of_task(state);
    let uses = |module: &&ModuleState| {
        let mut functions = module.plan.functions.iter();
        module.plan.given_tests.contains(&test.name)
            || functions.any(|function| {
                let name = language.defined_name(&function.signature);
                name.is_some_and(|name| language.mentions(&test.source, name))
            })
    };
    let modules = state.modules.iter().filter(uses);
    let names: Vec<&str> = modules.map(|module| module.plan.name.as_str()).collect();
    language.rendered(test, &names)
}

#[cfg(test)]
mod tests {
    use journeyman_event::payload::TaskSubmitted;
    use journeyman_language::Language;
    use journeyman_language::python::Python;

    use super::*;

    #[test]
    fn tests_of_a_prompt_are_files_that_import_what_they_use() {
        let prompt = "Write f(x).\nimport math\nassert f(1) == math.pi\nassert f(\n    2) == 3\n";
        let submission = TaskSubmitted {
            tests: Python.examples(prompt).tests,
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
