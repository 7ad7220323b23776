//! The knowledge about programming languages: names and file layout, how sources are parsed, which tests a prompt
//! contains, which file an answer contains, and how tests are run.
//!
//! Floor 3. A [`Language`] is pure knowledge, found by its name ([`of`]). A [`Runner`] runs code of the language,
//! only in a `Sandbox`. Nothing here knows more of a task's state than its language, and nothing is recorded. Reading
//! prose and answers is the same for every language, in `prose` and [`answer`].
//!
//! To add a language: a folder beside `python` that implements [`Language`], [`Runner`] and [`Toolchain`] and brings
//! a grammar, its module and a line in `ALL` here, and a sample with two lines in `tests/conformance.rs`. Beside
//! this crate, the sandbox's probe, `eval` and the default of a submission name Python.

pub mod answer;
mod error;
mod examples;
mod language;
mod prompt_texts;
mod prose;
pub mod python;
mod report;
mod runner;
mod toolchain;

use journeyman_event::TaskState;
use journeyman_event::payload::TaskSubmitted;

pub use error::{Error, Result};
pub use examples::{Examples, leaves_examples};
pub use language::{Described, ImportFailure, Language, LastBlock};
pub use prompt_texts::PromptTexts;
pub use report::{DeadCode, DeadCodeKind, ImportCheck, TestOutcome, TestReport, TestResult};
pub use runner::{Runner, Runners};
pub use toolchain::Toolchain;

use python::Python;

/// All languages. The first one is the default.
const ALL: &[&dyn Toolchain] = &[&Python];

/// All languages, the default one first.
pub fn all() -> impl Iterator<Item = &'static dyn Language> {
    ALL.iter().map(|&toolchain| toolchain as &dyn Language)
}

/// The language of tasks that name none.
pub fn default_language() -> &'static dyn Language {
    ALL[0]
}

/// The language with this name, if it is known.
pub fn of(name: &str) -> Option<&'static dyn Language> {
    all().find(|language| language.name() == name)
}

/// The language of a task. The default one if the task has no submission yet, or names an unknown language; such
/// tasks are not worked on.
pub fn of_task(state: &TaskState) -> &'static dyn Language {
    let asked = state.submission.as_ref();
    asked.map_or_else(default_language, of_submission)
}

/// The language that a submission names, or the default one if it is unknown.
pub fn of_submission(asked: &TaskSubmitted) -> &'static dyn Language {
    of(&asked.language).unwrap_or_else(default_language)
}

/// The language with this name. The error for an unknown name lists the known ones.
pub fn find(name: &str) -> Result<&'static dyn Language> {
    of(name).ok_or_else(|| Error::Unknown {
        name: name.to_owned(),
    })
}

/// The names of all languages, the default one first.
pub fn names() -> Vec<&'static str> {
    all().map(Language::name).collect()
}

#[cfg(test)]
mod tests {
    use journeyman_event::payload::TaskSubmitted;

    use super::*;

    #[test]
    fn a_language_that_is_not_known_is_refused_with_those_that_are() {
        assert!(find("python").is_ok_and(|language| language.name() == "python"));
        let refused = find("cobol").err().map(|error| error.to_string());
        let refused = refused.unwrap_or_default();
        assert!(refused.contains("cobol"), "{refused}");
        assert!(refused.contains("python"), "{refused}");
    }

    #[test]
    fn every_language_is_found_by_its_own_name_and_the_first_is_the_default() {
        let names = names();
        assert_eq!(names.first(), Some(&default_language().name()));
        for name in &names {
            assert!(of(name).is_some_and(|language| language.name() == *name));
            assert_eq!(names.iter().filter(|other| *other == name).count(), 1);
        }
        let unknown = TaskSubmitted {
            language: "cobol".to_owned(),
            ..TaskSubmitted::of("a prompt")
        };
        assert_eq!(of_submission(&unknown).name(), default_language().name());
    }
}
