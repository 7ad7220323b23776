//! Python: its names, its sources as they are read, its tests as pytest (else unittest) runs them.
//!
//! A dotted module is a file in a package folder, tests are in `tests/`.

mod answer;
mod environment;
mod evasion;
mod given;
mod interpreter;
mod literal;
mod names;
mod own_fault;
mod probes;
mod program;
mod prompt;
mod prompt_texts;
mod rendering;
mod source;
mod suite;
mod told;
mod unchanged;

use std::collections::BTreeSet;

use journeyman_event::payload::GivenTest;

pub use environment::prepare;
pub use interpreter::Interpreter;
pub use names::{BUILTINS, STANDARD_LIBRARY, is_standard};
use names::{is_builtin, is_identifier, is_library, is_name, is_third_party};
use source::{defined_name, mentions, stub_signatures};

use crate::{Described, Examples, ImportFailure, Language, LastBlock, PromptTexts};

/// Python, as far as it is known without being run.
#[derive(Clone, Copy, Debug)]
pub struct Python;

impl Language for Python {
    fn name(&self) -> &'static str {
        "python"
    }

    fn prompt_texts(&self) -> &'static PromptTexts {
        &prompt_texts::PROMPT_TEXTS
    }

    fn is_identifier(&self, name: &str) -> bool {
        names::is_identifier(name)
    }

    fn is_name(&self, name: &str) -> bool {
        names::is_name(name)
    }

    fn file_name_of(&self, name: &str) -> String {
        names::file_name_of(name)
    }

    fn is_builtin(&self, name: &str) -> bool {
        names::is_builtin(name)
    }

    fn is_taken(&self, module: &str) -> bool {
        names::is_taken(module)
    }

    fn is_test_module(&self, module: &str) -> bool {
        names::is_test_module(module)
    }

    fn is_for_tools(&self, module: &str) -> bool {
        ["setup", "__init__"].contains(&module)
    }

    fn is_third_party(&self, module: &str) -> bool {
        names::is_third_party(module)
    }

    fn module_path(&self, module: &str) -> String {
        format!("{}.py", module.replace('.', "/"))
    }

    fn without_ending<'n>(&self, name: &'n str) -> &'n str {
        name.strip_suffix(".py").unwrap_or(name)
    }

    fn package_files(&self, module: &str) -> Vec<String> {
        let folders = module.match_indices('.').map(|(at, _)| &module[..at]);
        folders
            .map(|folder| format!("{}/__init__.py", folder.replace('.', "/")))
            .collect()
    }

    fn given_tests_path(&self, file: &str) -> String {
        format!("tests/{file}")
    }

    fn generated_tests_paths(&self, module: &str) -> [String; 2] {
        let name = module.replace('.', "_");
        [
            format!("tests/test_{name}.py"),
            format!("tests/test_{name}_generated.py"),
        ]
    }

    fn is_test_of(&self, test: &str, path: &str) -> bool {
        let rest = test.strip_prefix(path);
        rest.is_some_and(|rest| rest.is_empty() || rest.starts_with("::"))
    }

    fn is_test_file(&self, path: &str) -> bool {
        let name = path.strip_prefix("tests/");
        let stem = name.and_then(|name| name.strip_suffix(".py"));
        stem.is_some_and(|stem| stem != "conftest")
    }

    fn defined_name<'s>(&self, signature: &'s str) -> Option<&'s str> {
        source::defined_name(signature)
    }

    fn signature(&self, text: &str) -> Option<String> {
        source::signature(text)
    }

    fn whole_signature(&self, text: &str) -> Option<String> {
        source::whole_signature(text)
    }

    fn signature_of(&self, name: &str) -> String {
        if name.starts_with(char::is_uppercase) {
            format!("class {name}")
        } else {
            format!("def {name}(...)")
        }
    }

    fn is_method_of(&self, method: &str, class: &str) -> bool {
        class.starts_with("class ") && method.contains("(self")
    }

    fn foreign_imports(&self, source: &str) -> Vec<String> {
        source::foreign_imports(source)
    }

    fn imported_from(&self, source: &str, module: &str) -> Vec<String> {
        source::imported_from(source, module)
    }

    fn mentions(&self, text: &str, name: &str) -> bool {
        source::mentions(text, name)
    }

    fn undefined<'n>(&self, source: &str, names: &[&'n str]) -> Vec<&'n str> {
        source::undefined(source, names)
    }

    fn completed_from(&self, source: &str, known: &str, names: &[&str]) -> String {
        source::completed_from(source, known, names)
    }

    fn with_full_imports(&self, source: &str, modules: &[&str]) -> String {
        source::with_full_imports(source, modules)
    }

    fn without_own_imports(&self, source: &str, module: &str) -> String {
        source::without_own_imports(source, module)
    }

    fn tests_of(&self, source: &str, module: &str, names: &[&str]) -> String {
        source::tests_of(source, module, names)
    }

    fn outline(&self, source: &str) -> String {
        source::outline(source)
    }

    fn stub_signatures(&self, prompt: &str) -> Vec<String> {
        source::stub_signatures(prompt)
    }

    fn described(&self, stub: &str) -> Option<Described> {
        told::described(stub)
    }

    fn assertions(&self, test: &GivenTest) -> Vec<String> {
        told::assertions(test)
    }

    fn probes(&self, tests: &[&GivenTest]) -> Vec<String> {
        let assertions: Vec<String> = tests
            .iter()
            .flat_map(|test| told::assertions(test))
            .collect();
        probes::probes(&assertions)
    }

    fn called_names(&self, test: &GivenTest) -> BTreeSet<String> {
        source::called_names(test)
    }

    fn rendered(&self, test: &GivenTest, modules: &[&str]) -> String {
        rendering::rendered(test, modules)
    }

    fn disputed(&self, tests: &[&str]) -> Option<(String, String)> {
        let text = rendering::disputed(tests);
        Some(("tests/conftest.py".to_owned(), text))
    }

    fn examples(&self, prompt: &str) -> Examples {
        prompt::examples(prompt)
    }

    fn examples_in_short(&self, tests: &[GivenTest]) -> Vec<String> {
        prompt::examples_in_short(tests)
    }

    fn example_behind(&self, tests: &[GivenTest], name: &str) -> Option<String> {
        prompt::example_behind(tests, name)
    }

    fn result_shown(&self, message: &str) -> String {
        prompt::result_shown(message)
    }

    fn functions_asked_for(&self, prompt: &str, module: Option<&str>) -> Vec<String> {
        prompt::functions_asked_for(prompt, module)
    }

    fn code_in_answer(
        &self,
        answer: &str,
        cut: Option<&str>,
        names: &[&str],
    ) -> Result<String, String> {
        answer::whole_file(answer, cut, names)
    }

    fn tests_in_answer(&self, answer: &str, cut: Option<&str>) -> Result<String, String> {
        answer::test_file(answer, cut)
    }

    fn blocks_in_answer(&self, answer: &str, mark: &str) -> Vec<String> {
        answer::blocks_marked(answer, mark)
    }

    fn last_block(&self, answer: &str) -> LastBlock {
        answer::last_block(answer)
    }

    fn restore_unchanged(&self, source: &str, known: &[&str]) -> Result<String, String> {
        unchanged::restore_unchanged(source, known)
    }

    fn test_file_problem(&self, source: &str) -> Option<String> {
        given::test_file_problem(source)
    }

    fn test_file_name(&self, given: &str, source: &str, others: &[GivenTest]) -> String {
        given::test_file_name(given, source, others)
    }

    fn imports_problem(&self, tests: &[GivenTest], prompt: &str) -> Option<String> {
        given::imports_problem(tests, prompt)
    }

    fn tests_notes(&self, tests: &[GivenTest], prompt: &str) -> Vec<String> {
        given::tests_notes(tests, prompt)
    }

    fn is_given(&self, module: &str, tests: &[GivenTest]) -> bool {
        given::is_given(module, tests)
    }

    fn never_run(&self, source: &str) -> Vec<String> {
        given::never_run(source)
    }

    fn evasion(&self, source: &str, files: &[&str]) -> Option<(usize, String)> {
        evasion::evasion(source, files)
    }

    fn own_fault<'m>(&self, message: &'m str, path: &str, source: &str) -> Option<&'m str> {
        own_fault::own_fault(message, path, source)
    }

    fn import_failure<'o>(&self, output: &'o str) -> ImportFailure<'o> {
        let quoted = |before: &str| {
            let (_, rest) = output.split_once(before)?;
            rest.split('\'').next()
        };
        if let Some(name) = quoted("cannot import name '") {
            ImportFailure::Name(name)
        } else if let Some(module) = quoted("No module named '") {
            ImportFailure::Module(module.split('.').next().unwrap_or(module))
        } else if source::mentions(output, "ModuleNotFoundError") {
            ImportFailure::SomeModule
        } else {
            ImportFailure::Other
        }
    }

    fn test_command(&self, program: Option<&str>, paths: &[&str]) -> String {
        let program = program.unwrap_or("python3");
        format!("{program} -m pytest {}", paths.join(" "))
    }

    fn program_command(
        &self,
        paths: &[&str],
        read: &dyn Fn(&str) -> Option<String>,
    ) -> Option<String> {
        let module = program::program(paths, read)?;
        Some(format!("python3 -m {module}"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn why_an_import_failed_is_read_from_what_python_says() {
        for (output, failure) in [
            (
                "ImportError: cannot import name 'f' from 'm' (/m.py)",
                ImportFailure::Name("f"),
            ),
            (
                "ModuleNotFoundError: No module named 'a.b'",
                ImportFailure::Module("a"),
            ),
            ("E   ModuleNotFoundError", ImportFailure::SomeModule),
            ("SyntaxError: invalid syntax", ImportFailure::Other),
            ("", ImportFailure::Other),
        ] {
            assert_eq!(Python.import_failure(output), failure, "{output}");
        }
    }
}
