//! The interface of a programming language. Contains no knowledge about any particular language.

use std::collections::BTreeSet;

use journeyman_event::payload::GivenTest;

use crate::{Examples, PromptTexts};

/// What the beginning of a file asks for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Described {
    /// The head of the function, without the colon at its end.
    pub signature: String,
    /// What the user wrote about it.
    pub text: String,
}

/// Knowledge about a programming language. It is pure and always gives the same results, so that a task's
/// history can be replayed anywhere. What requires running code belongs to a [`Runner`](crate::Runner).
///
/// A *module* is identified by its dotted name in the task (`shop.cart`); a *path* is relative to the task's
/// folder. `source` is the text of a file; if it does not parse, methods do what is possible.
pub trait Language: Send + Sync {
    // Its name, and texts in its terms.

    /// The name in settings and events, in lower case.
    fn name(&self) -> &'static str;

    /// Texts for models and users in the terms of this language.
    fn prompt_texts(&self) -> &'static PromptTexts;

    // Names.

    /// Whether this is a valid name for a file and module: ASCII, and not a keyword.
    fn is_identifier(&self, name: &str) -> bool;

    /// Whether the language accepts this as a name, in any script.
    fn is_name(&self, name: &str) -> bool;

    /// The most similar valid file name. Characters other than letters are kept.
    fn file_name_of(&self, name: &str) -> String;

    /// Whether this name is available without an import.
    fn is_builtin(&self, name: &str) -> bool;

    /// Whether a module of a task must not have this name, because it would shadow a module of the language or
    /// its test runner, or the folder of the tests.
    fn is_taken(&self, module: &str) -> bool;

    /// Whether a module with this name contains tests.
    fn is_test_module(&self, module: &str) -> bool;

    /// Whether a module with this name is not part of a program but exists for the language's tools.
    fn is_for_tools(&self, module: &str) -> bool;

    /// Whether an import refers to a well-known package, which is not installed.
    fn is_third_party(&self, module: &str) -> bool;

    // Layout.

    /// The path of a module's file.
    fn module_path(&self, module: &str) -> String;

    /// A file name without the language's extension; unchanged if it has another one.
    fn without_ending<'n>(&self, name: &'n str) -> &'n str;

    /// The paths of the empty files that turn a module's folders into packages.
    fn package_files(&self, module: &str) -> Vec<String>;

    /// The path of a given test, from its file name.
    fn given_tests_path(&self, file: &str) -> String;

    /// The path of a module's generated tests, and an alternative in case a given test uses that path.
    fn generated_tests_paths(&self, module: &str) -> [String; 2];

    /// Whether a test reported under this name is in the file at this path.
    fn is_test_of(&self, test: &str, path: &str) -> bool;

    /// Whether a path in a result is that of a test file.
    fn is_test_file(&self, path: &str) -> bool;

    // Sources.

    /// The name defined by a signature: `f` for `def f(x) -> int`.
    fn defined_name<'s>(&self, signature: &'s str) -> Option<&'s str>;

    /// A model's signature on one line and in the language's syntax; `None` if it defines nothing.
    fn signature(&self, text: &str) -> Option<String>;

    /// A person's signature, with or without the keywords around it (`add(a, b=1)`), completed to the
    /// language's syntax; `None` unless all of it is a signature, including its parameters.
    fn whole_signature(&self, text: &str) -> Option<String>;

    /// A signature for something of which only the name is known.
    fn signature_of(&self, name: &str) -> String;

    /// Whether one signature is that of a method, and the other that of a class to which it may belong.
    fn is_method_of(&self, method: &str, class: &str) -> bool;

    /// The modules imported by a file that belong neither to the language nor to its test runner, each once, in
    /// order of appearance.
    fn foreign_imports(&self, source: &str) -> Vec<String>;

    /// The names that a file imports from a module.
    fn imported_from(&self, source: &str, module: &str) -> Vec<String>;

    /// Whether a text contains a name as a word.
    fn mentions(&self, text: &str, name: &str) -> bool;

    /// Which of the names a file does not define at top level; empty if that cannot be determined.
    fn undefined<'n>(&self, source: &str, names: &[&'n str]) -> Vec<&'n str>;

    /// A file completed with definitions from another text: those of `names`, and everything mentioned in the
    /// file or in what is added.
    fn completed_from(&self, source: &str, known: &str, names: &[&str]) -> String;

    /// A file whose imports of the task's modules use full names.
    fn with_full_imports(&self, source: &str, modules: &[&str]) -> String;

    /// The source of a module without imports of itself.
    fn without_own_imports(&self, source: &str, module: &str) -> String;

    /// A generated test file that imports `names` from the module under test and does not define them itself.
    fn tests_of(&self, source: &str, module: &str, names: &[&str]) -> String;

    /// The definitions in a file, one line each, without bodies; empty if there are none.
    fn outline(&self, source: &str) -> String;

    // Stubs and examples.

    /// The signatures at the start of a prompt that is itself the beginning of a file; otherwise empty.
    fn stub_signatures(&self, prompt: &str) -> Vec<String>;

    /// What the beginning of a file asks for, in words; `None` if words cannot say it all.
    fn described(&self, stub: &str) -> Option<Described>;

    /// The examples of a given test as assertions, one a line, as far as they can be told so.
    fn assertions(&self, test: &GivenTest) -> Vec<String>;

    /// Calls like those in the examples of given tests, whose results nobody knows. For
    /// [`Runner::probe`](crate::Runner::probe).
    fn probes(&self, tests: &[&GivenTest]) -> Vec<String>;

    /// Names that a given test calls and does not define, except builtins.
    fn called_names(&self, test: &GivenTest) -> BTreeSet<String>;

    /// A given test as a file for the test runner, with imports of everything that `modules` define.
    fn rendered(&self, test: &GivenTest, modules: &[&str]) -> String;

    /// The path and text of a file that tells the test runner to expect that these tests fail; `None` if the
    /// runner has no such file.
    fn disputed(&self, tests: &[&str]) -> Option<(String, String)>;

    // Prompts.

    /// The examples in a prompt that are tests, and a message about those that only look like tests.
    fn examples(&self, prompt: &str) -> Examples;

    /// The examples among given tests in short form, one line each: `add(2, 2) == 4`.
    fn examples_in_short(&self, tests: &[GivenTest]) -> Vec<String>;

    /// The example from which a test with this reported name was made; `None` if it was not made from an
    /// example.
    fn example_behind(&self, tests: &[GivenTest], name: &str) -> Option<String>;

    /// The part of a failing test's message that shows results, as marked by the test runner; empty if there is
    /// none.
    fn result_shown(&self, message: &str) -> String;

    /// The signatures of the functions that a prompt asks for, in the order in which it names them: those in
    /// quotation marks with parameters. `None` if it asks for more than these and the module `module`.
    fn functions_asked_for(&self, prompt: &str, module: Option<&str>) -> Vec<String>;

    // Answers.

    /// The complete file in an answer: among the candidates, the one that defines the most of `names`, parses
    /// and is longest. If the answer was cut off, `cut` is advice about that.
    ///
    /// # Errors
    ///
    /// What is wrong, worded for the model: there is no file, or no usable one.
    fn code_in_answer(
        &self,
        answer: &str,
        cut: Option<&str>,
        names: &[&str],
    ) -> Result<String, String>;

    /// The test file in an answer. If the answer was cut off, the tests before the cut are used.
    ///
    /// # Errors
    ///
    /// What is wrong, worded for the model: there is no test file, or no usable one.
    fn tests_in_answer(&self, answer: &str, cut: Option<&str>) -> Result<String, String>;

    /// The texts of the fenced blocks of an answer that are marked with `mark`, one that is left open at its end
    /// included. What stands in a block of code is no block of its own.
    fn blocks_in_answer(&self, answer: &str, mark: &str) -> Vec<String>;

    /// How the last fenced block of an answer ends. What stands in a block of code is no block of its own.
    fn last_block(&self, answer: &str) -> LastBlock;

    /// A file with the definitions that it only says to be unchanged: each is that of the first of the texts `known`
    /// that has it.
    ///
    /// # Errors
    /// Names those that none of them has, in words for the model.
    fn restore_unchanged(&self, source: &str, known: &[&str]) -> Result<String, String>;

    // Suites.

    /// Why a user's test file cannot be run, worded for the user; `None` if it can.
    fn test_file_problem(&self, source: &str) -> Option<String>;

    /// The name under which a test file is stored: one that the runner can load, that shadows nothing, and that
    /// no other test file has.
    fn test_file_name(&self, given: &str, source: &str, others: &[GivenTest]) -> String;

    /// Why no plan could provide everything that these tests import, worded for the user; `None` if one could.
    fn imports_problem(&self, tests: &[GivenTest], prompt: &str) -> Option<String>;

    /// Easily missed facts about given tests and the prompt, worded for the user, before work starts.
    fn tests_notes(&self, tests: &[GivenTest], prompt: &str) -> Vec<String>;

    /// Whether a module that a test imports is one of the given files.
    fn is_given(&self, module: &str, tests: &[GivenTest]) -> bool;

    /// The parts of a test file that look like tests and are never run, as lines for the user.
    fn never_run(&self, source: &str) -> Vec<String>;

    /// The first place where code may detect that it is being tested, or make objects equal to everything: the
    /// line, from 1, and a description for the end of a sentence. `files` are the names of test files, which
    /// the code must not mention.
    fn evasion(&self, source: &str, files: &[&str]) -> Option<(usize, String)>;

    /// The error of a test that failed in a place that does not use the code; `None` if the code may be
    /// involved. `message` is the runner's message, `path` the path of the test file, and `source` its text.
    fn own_fault<'m>(&self, message: &'m str, path: &str, source: &str) -> Option<&'m str>;

    /// Why code or tests could not be loaded, from the runner's output.
    fn import_failure<'o>(&self, output: &'o str) -> ImportFailure<'o>;

    // Telling.

    /// The command with which a person runs these test files, in the folder of a result. `program` is the
    /// interpreter or tool to start it with; `None` for the one that users usually have.
    fn test_command(&self, program: Option<&str>, paths: &[&str]) -> String;

    /// The command with which a person runs the program in a result, in its folder; `None` if it is not a
    /// program. `read` returns the text of a path.
    fn program_command(
        &self,
        paths: &[&str],
        read: &dyn Fn(&str) -> Option<String>,
    ) -> Option<String>;
}

/// How the last fenced block of an answer ends.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum LastBlock {
    /// There is no block.
    Missing,
    /// It is closed.
    Closed,
    /// It is left open; its text as far as it came.
    Open(String),
    /// It is left open, and its code stops inside a statement.
    Torn,
}

/// Why code or tests could not be loaded, as far as the output shows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ImportFailure<'o> {
    /// A module does not define this name.
    Name(&'o str),
    /// No module or package has this name; for a dotted name its first part.
    Module(&'o str),
    /// An unknown module is missing.
    SomeModule,
    /// Any other reason.
    Other,
}
