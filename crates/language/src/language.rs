//! What there is to know of a programming language. No language's own knowledge is here.

use std::collections::BTreeSet;

use journeyman_event::payload::GivenTest;

use crate::{Examples, PromptTexts};

/// Knowledge of a programming language: pure, the same wherever and whenever it is asked, so that a task's history
/// can be read again anywhere. What has to be run for it is a [`Runner`](crate::Runner)'s.
///
/// A *module* is named by its dotted name in the task (`shop.cart`), a *path* is relative to the task's folder.
/// `source` is the text of a file; one that does not parse is answered for as far as can be.
pub trait Language: Send + Sync {
    // What it is called, and what is said in it.

    /// Its name as people write it in settings, and as it is recorded: lower case.
    fn name(&self) -> &'static str;

    /// What is said to a model, and to a user, in words of this language.
    fn prompt_texts(&self) -> &'static PromptTexts;

    // Names.

    /// Whether a file, and a module, may be called this: ASCII, and no word that the language keeps for itself.
    fn is_identifier(&self, name: &str) -> bool;

    /// Whether the language takes this for a name, in whatever script it is written.
    fn is_name(&self, name: &str) -> bool;

    /// The nearest name that a file may have. Characters that are no letters stay as they are.
    fn file_name_of(&self, name: &str) -> String;

    /// Whether this is there without an import.
    fn is_builtin(&self, name: &str) -> bool;

    /// Whether a module of a task must not be called this: it would hide one that the language or its test runner
    /// needs, or the folder of the tests.
    fn is_taken(&self, module: &str) -> bool;

    /// Whether a module of this name holds tests.
    fn is_test_module(&self, module: &str) -> bool;

    /// Whether a module of this name is no part of a program but there for the language's tools.
    fn is_for_tools(&self, module: &str) -> bool;

    /// Whether an import is answered by a package that people know, and that is not there.
    fn is_third_party(&self, module: &str) -> bool;

    // Layout.

    /// The path of a module's file.
    fn module_path(&self, module: &str) -> String;

    /// A file's name without the ending that files of this language have; the whole name where it has another.
    fn without_ending<'n>(&self, name: &'n str) -> &'n str;

    /// The paths of the empty files that make packages of the folders that a module lies in.
    fn package_files(&self, module: &str) -> Vec<String>;

    /// The path of a given test by its file's name.
    fn given_tests_path(&self, file: &str) -> String;

    /// The path of a module's generated tests, and another one where a given test has that.
    fn generated_tests_paths(&self, module: &str) -> [String; 2];

    /// Whether a test that the runner reports under this name is one of the file at this path.
    fn is_test_of(&self, test: &str, path: &str) -> bool;

    /// Whether a path of a result is that of a file with tests.
    fn is_test_file(&self, path: &str) -> bool;

    // Sources.

    /// The name that a signature defines: `f` of `def f(x) -> int`.
    fn defined_name<'s>(&self, signature: &'s str) -> Option<&'s str>;

    /// A signature as a model wrote it, on one line and as the language has it; none if it defines nothing.
    fn signature(&self, text: &str) -> Option<String>;

    /// A signature as a person writes one, with or without the words around it (`add(a, b=1)`), whole as the language
    /// has it; none unless all of it is one, its parameters included.
    fn whole_signature(&self, text: &str) -> Option<String>;

    /// The signature of something of which only the name is known.
    fn signature_of(&self, name: &str) -> String;

    /// Whether one signature is that of a method, and the other that of a class that it may be of.
    fn is_method_of(&self, method: &str, class: &str) -> bool;

    /// The modules that a file imports and that come neither with the language nor with its test runner, each once,
    /// in order of appearance.
    fn foreign_imports(&self, source: &str) -> Vec<String>;

    /// What a file imports by name from a module.
    fn imported_from(&self, source: &str, module: &str) -> Vec<String>;

    /// Whether a text uses a name as a word.
    fn mentions(&self, text: &str, name: &str) -> bool;

    /// The names that a file does not define at its left margin; none where nobody can know.
    fn undefined<'n>(&self, source: &str, names: &[&'n str]) -> Vec<&'n str>;

    /// A file with what it leaves out and needs, from another text: definitions of `names`, and whatever is mentioned
    /// in the file or in what is added.
    fn completed_from(&self, source: &str, known: &str, names: &[&str]) -> String;

    /// A file whose imports name modules of the task in full.
    fn with_full_imports(&self, source: &str, modules: &[&str]) -> String;

    /// The source of a module without its imports of itself.
    fn without_own_imports(&self, source: &str, module: &str) -> String;

    /// A generated test file that imports `names` from the module it tests and does not define them itself.
    fn tests_of(&self, source: &str, module: &str, names: &[&str]) -> String;

    /// What a file defines, one line each, without the bodies; empty if it defines nothing.
    fn outline(&self, source: &str) -> String;

    // Stubs and examples.

    /// The signatures that a prompt begins with, where the prompt is itself the beginning of a file; else none.
    fn stub_signatures(&self, prompt: &str) -> Vec<String>;

    /// Names that a given test calls and does not define, of those that are no builtins.
    fn called_names(&self, test: &GivenTest) -> BTreeSet<String>;

    /// A given test as a file that the test runner takes, with imports of all that `modules` define.
    fn rendered(&self, test: &GivenTest, modules: &[&str]) -> String;

    /// The path and the text of a file by which the test runner expects that tests of these names fail; none where it
    /// has no such file.
    fn disputed(&self, tests: &[&str]) -> Option<(String, String)>;

    // Prompts.

    /// The examples in a prompt that are tests, and what is said of those that look like some and are none.
    fn examples(&self, prompt: &str) -> Examples;

    /// The examples among given tests, in short, one line each: `add(2, 2) == 4`.
    fn examples_in_short(&self, tests: &[GivenTest]) -> Vec<String>;

    /// The example that a given test of this name, as the test runner reports it, stands for; none if it is no example's.
    fn example_behind(&self, tests: &[GivenTest], name: &str) -> Option<String>;

    /// What a failing test's message shows of the results, as the test runner marks it; empty where it shows none.
    fn result_shown(&self, message: &str) -> String;

    /// The signatures of the functions that a prompt asks for, in the order in which it names them: those that stand in
    /// marks with their parameters. None if it asks for more than these and what is called `module`.
    fn functions_asked_for(&self, prompt: &str, module: Option<&str>) -> Vec<String>;

    // Answers.

    /// The whole file in an answer: of what may be code in it the one that defines the most of `names`, parses and is
    /// longest. Where the answer was cut off, `cut` says what to do about it.
    ///
    /// # Errors
    /// What is wrong, in words for the model: there is no file in it, or none that can be used.
    fn code_in_answer(
        &self,
        answer: &str,
        cut: Option<&str>,
        names: &[&str],
    ) -> Result<String, String>;

    /// The test file in an answer. One that was cut off still has the tests before the cut.
    ///
    /// # Errors
    /// What is wrong, in words for the model: there is no file with tests in it, or none that can be used.
    fn tests_in_answer(&self, answer: &str, cut: Option<&str>) -> Result<String, String>;

    /// The texts of the fenced blocks of an answer that are marked with `mark`, one that is left open at its end
    /// included. What stands in a block of code is no block of its own.
    fn blocks_in_answer(&self, answer: &str, mark: &str) -> Vec<String>;

    /// Whether an answer ends in a block that is left open and whose code is whole as far as it goes.
    fn ends_in_whole_code(&self, answer: &str) -> bool;

    /// A file with the definitions that it only says to be unchanged: each is that of the first of the texts `known`
    /// that has it.
    ///
    /// # Errors
    /// Names those that none of them has, in words for the model.
    fn restore_unchanged(&self, source: &str, known: &[&str]) -> Result<String, String>;

    // Suites.

    /// What is wrong with a test file of the user's, in words for the user; none if it can be run.
    fn test_file_problem(&self, source: &str) -> Option<String>;

    /// The name under which a test file is kept, whatever its own is: one that the runner can load, that hides nothing,
    /// and that none of the others has.
    fn test_file_name(&self, given: &str, source: &str, others: &[GivenTest]) -> String;

    /// Why no plan could have all that these tests import, in words for the user; none if one could.
    fn imports_problem(&self, tests: &[GivenTest]) -> Option<String>;

    /// What is plain of given tests and the prompt before work begins, and easily missed, in words for the user.
    fn tests_notes(&self, tests: &[GivenTest], prompt: &str) -> Vec<String>;

    /// Whether a module that a test imports is one of the given files.
    fn is_given(&self, module: &str, tests: &[GivenTest]) -> bool;

    /// What of a test file looks like a test and is never run, as lines for the user.
    fn never_run(&self, source: &str) -> Vec<String>;

    /// The first thing by which code may tell that it is tested, or be equal to everything: its line, from 1, and what
    /// it is, as the end of a sentence. `files` are the names of test files, which it must not mention.
    fn evasion(&self, source: &str, files: &[&str]) -> Option<(usize, String)>;

    /// The error of a test that failed where nothing of the code is used; none where the code may have a part in it.
    /// `message` is the runner's, `path` that of the test file, `source` its text.
    fn own_fault<'m>(&self, message: &'m str, path: &str, source: &str) -> Option<&'m str>;

    /// Why code or tests could not be loaded, by what the runner printed.
    fn import_failure<'o>(&self, output: &'o str) -> ImportFailure<'o>;

    // Telling.

    /// The command by which a person runs these test files, in the folder of a result. `program` is the interpreter or
    /// tool to begin it with; none for the one that people have.
    fn test_command(&self, program: Option<&str>, paths: &[&str]) -> String;

    /// The command by which a person runs the program of a result, in its folder; none if it is no program. `read`
    /// gives the text of a path.
    fn program_command(
        &self,
        paths: &[&str],
        read: &dyn Fn(&str) -> Option<String>,
    ) -> Option<String>;
}

/// Why code or tests could not be loaded, as far as it is told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ImportFailure<'o> {
    /// A module has nothing of this name.
    Name(&'o str),
    /// There is no module, or no package, of this name; of a dotted name its first part.
    Module(&'o str),
    /// A module is missing, and which is not told.
    SomeModule,
    /// Anything else.
    Other,
}
