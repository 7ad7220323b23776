//! The given tests of a task, collected before it is submitted, and messages about them to the user.

use journeyman_event::payload::{GivenTest, TestOrigin};
use journeyman_language::{Examples, Language};

use crate::examples::examples_notice;

/// The given tests: those in the prompt, and the user's files.
pub struct GivenTests<'a> {
    language: &'a dyn Language,
    prompt: &'a str,
    tests: Vec<GivenTest>,
    notes: Vec<String>,
}

impl<'a> GivenTests<'a> {
    /// The tests in a prompt. `switch` is the option that ignores its examples, to be named in messages.
    pub fn of_prompt(language: &'a dyn Language, prompt: &'a str, switch: Option<&str>) -> Self {
        let Examples { tests, left_out } = language.examples(prompt);
        let taken = examples_notice(language, &tests).map(|notice| match switch {
            Some(switch) => format!("{notice} ({switch})"),
            None => notice,
        });
        Self {
            notes: taken.into_iter().chain(left_out).collect(),
            tests,
            ..Self::without_examples(language, prompt)
        }
    }

    /// No tests yet: the examples in the prompt are ignored.
    pub fn without_examples(language: &'a dyn Language, prompt: &'a str) -> Self {
        Self {
            language,
            prompt,
            tests: Vec::new(),
            notes: Vec::new(),
        }
    }

    /// Adds a test file under a unique name that the test runner can load. `shown` is the file's name as the
    /// user knows it.
    ///
    /// # Errors
    ///
    /// What is wrong with the file, worded for the user: it could not be run.
    pub fn add(&mut self, name: &str, shown: &str, source: String) -> Result<(), String> {
        if let Some(problem) = self.language.test_file_problem(&source) {
            return Err(problem);
        }
        let kept = self.language.test_file_name(name, &source, &self.tests);
        if kept != name {
            let note = format!("the test file {shown} is kept as {kept}");
            self.notes.push(note);
        }
        let never_run = self.language.never_run(&source).into_iter();
        let never_run = never_run.map(|line| format!("{shown} {line}"));
        self.notes.extend(never_run);
        self.tests.push(GivenTest {
            name: kept,
            origin: TestOrigin::File,
            source,
        });
        Ok(())
    }

    /// Returns all tests, and the messages about them for the user.
    ///
    /// # Errors
    ///
    /// Why no code could pass all of them together, worded for the user.
    pub fn finish(mut self) -> Result<(Vec<GivenTest>, Vec<String>), String> {
        if let Some(problem) = self.language.imports_problem(&self.tests, self.prompt) {
            return Err(problem);
        }
        let notes = self.language.tests_notes(&self.tests, self.prompt);
        self.notes.extend(notes);
        Ok((self.tests, self.notes))
    }
}
