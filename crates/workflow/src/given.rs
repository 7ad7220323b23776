//! The tests that rule a task, put together before it is submitted, and what the user is told of them then.

use journeyman_event::payload::{GivenTest, TestOrigin};
use journeyman_language::{Examples, Language};

use crate::examples::examples_notice;

/// The tests that rule: those that a prompt gives, and files of the user's.
pub struct GivenTests<'a> {
    language: &'a dyn Language,
    prompt: &'a str,
    tests: Vec<GivenTest>,
    notes: Vec<String>,
}

impl<'a> GivenTests<'a> {
    /// Those of a prompt. `switch` says how its examples are left alone, where that is to be told.
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

    /// None so far: the examples of the prompt are left alone.
    pub fn without_examples(language: &'a dyn Language, prompt: &'a str) -> Self {
        Self {
            language,
            prompt,
            tests: Vec::new(),
            notes: Vec::new(),
        }
    }

    /// Adds a test file under a name that the runner can load and that none of the others has. `shown` is how
    /// the user knows the file.
    ///
    /// # Errors
    /// What is wrong with it, in words for the user: it could not be run.
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

    /// All of them, and what the user is to be told of them.
    ///
    /// # Errors
    /// Why no code could pass them together, in words for the user.
    pub fn finish(mut self) -> Result<(Vec<GivenTest>, Vec<String>), String> {
        if let Some(problem) = self.language.imports_problem(&self.tests) {
            return Err(problem);
        }
        let notes = self.language.tests_notes(&self.tests, self.prompt);
        self.notes.extend(notes);
        Ok((self.tests, self.notes))
    }
}
