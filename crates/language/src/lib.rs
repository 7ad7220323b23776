//! What is known of a programming language: its names and layout, how its sources are read, which
//! tests a prompt gives and which file an answer holds, what is said in its words, and how its tests are run.
//!
//! Floor 3. A [`Language`] is pure knowledge, found by its name ([`of`]); a [`Runner`] runs code of it, through a
//! `Sandbox` alone. It knows no task's state beyond the language that it is in, and records nothing.
//! What a language needs to read texts of people and of models whatever they are in is beside it ([`answer`], `prose`).
//!
//! To add a language: a folder beside `python` that implements both, a line in [`ALL`], and a test that has it pass
//! the suite in `tests/conformance.rs`.

pub mod answer;
mod error;
mod examples;
mod language;
mod prompt_texts;
mod prose;
pub mod python;
mod report;
mod runner;

use journeyman_event::TaskState;
use journeyman_event::payload::TaskSubmitted;

pub use error::{Error, Result};
pub use examples::Examples;
pub use language::{ImportFailure, Language};
pub use prompt_texts::PromptTexts;
pub use report::{DeadCode, DeadCodeKind, ImportCheck, TestOutcome, TestReport, TestResult};
pub use runner::Runner;

use python::Python;

/// Every language that there is. The first is that of tasks that name none.
pub const ALL: &[&dyn Language] = &[&Python];

/// The language of this name; none if it is not known.
pub fn of(name: &str) -> Option<&'static dyn Language> {
    ALL.iter().copied().find(|language| language.name() == name)
}

/// The language of a task. One that is not submitted yet, or names a language that is not known here, is read as the
/// first; no such task is worked on.
pub fn of_task(state: &TaskState) -> &'static dyn Language {
    state.submission.as_ref().map_or(&Python, of_submission)
}

/// The language that is asked for; the first where it is not known here.
pub fn of_submission(asked: &TaskSubmitted) -> &'static dyn Language {
    of(&asked.language).unwrap_or(&Python)
}

/// The language of this name; an error that names those that there are, where it is none of them.
pub fn find(name: &str) -> Result<&'static dyn Language> {
    of(name).ok_or_else(|| Error::Unknown {
        name: name.to_owned(),
    })
}

/// Whether a task can be worked on with what runs code of this language: what is stored may come from a version that
/// knows more languages.
pub fn check_runner(state: &TaskState, runs: &str) -> Result<()> {
    let Some(asked) = &state.submission else {
        return Ok(());
    };
    let language = find(&asked.language)?;
    if language.name() == runs {
        return Ok(());
    }
    let title = language.prompt_texts().title;
    Err(Error::NotReady { title })
}

/// The names of all, for a person.
pub fn names() -> String {
    let names: Vec<&str> = ALL.iter().map(|language| language.name()).collect();
    names.join(", ")
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
    fn a_task_is_worked_on_only_where_its_language_runs() {
        let state = |language: &str| TaskState {
            submission: Some(TaskSubmitted {
                language: language.to_owned(),
                ..TaskSubmitted::of("a prompt")
            }),
            ..TaskState::default()
        };
        for (language, runs, is_fine) in [
            ("python", "python", true),
            ("python", "cobol", false),
            ("cobol", "cobol", false),
            ("cobol", "python", false),
        ] {
            let checked = check_runner(&state(language), runs);
            assert_eq!(checked.is_ok(), is_fine, "{language} with {runs}");
        }
        assert!(check_runner(&TaskState::default(), "python").is_ok());
    }
}
