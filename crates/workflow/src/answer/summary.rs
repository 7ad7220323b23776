//! Reads the model's summary of a module or a task.
//!
//! What the code itself says (names, imports, test results) is taken from there; the model is asked for the rest.

use journeyman_event::payload::{
    ModuleSummary, Summary, SummaryCompleted, SummaryOrigin, TaskSummary,
};
use journeyman_event::state::PendingAnswer;
use journeyman_event::{ModuleName, TaskState, printable};
use journeyman_knowledge::{MODULE_CHARS_MAX, SHORT_CHARS_MAX, module_summary, task_summary};
use serde::Deserialize;

use super::{cut_off, json_in};
use crate::effects::first_chars;

/// The most decisions of a module that are kept, and the most characters of one and of a purpose.
const DECISIONS_MAX: usize = 5;
const SENTENCE_CHARS_MAX: usize = 200;

/// A summary as a model writes it: of a module or of a task.
#[derive(Deserialize)]
struct Said {
    #[serde(default)]
    purpose: String,
    #[serde(default)]
    key_decisions: Vec<String>,
    summary: String,
}

/// The summary in an answer. The error says why there is none, worded for the model.
pub(crate) fn summary(
    state: &TaskState,
    answer: &PendingAnswer,
) -> Result<SummaryCompleted, String> {
    let read: Result<Said, String> = json_in(&answer.text);
    let shorter = "it was cut off; summarise in fewer words";
    let said = read.map_err(|problem| cut_off(answer, shorter).unwrap_or(problem))?;
    if clean(&said.summary, SHORT_CHARS_MAX).is_empty() {
        return Err("its `summary` is empty".to_owned());
    }
    let summary = match &answer.module {
        Some(name) => Summary::Module(of_module(state, name, &said)?),
        None => Summary::Task(of_task(state, &said)?),
    };
    Ok(SummaryCompleted {
        origin: SummaryOrigin::Model,
        summary,
        problem: None,
    })
}

fn clean(text: &str, chars_max: usize) -> String {
    first_chars(&printable(text), chars_max)
}

fn of_module(state: &TaskState, name: &ModuleName, said: &Said) -> Result<ModuleSummary, String> {
    let module = state.module(name).ok_or("there is no such module")?;
    let source = module.code().map_or("", |code| code.source.as_str());
    let decisions = said.key_decisions.iter();
    let decisions = decisions.map(|one| clean(one, SENTENCE_CHARS_MAX));
    let decisions: Vec<String> = decisions.filter(|one| !one.is_empty()).collect();
    let text = clean(&said.summary, MODULE_CHARS_MAX);
    let purpose = clean(&said.purpose, SENTENCE_CHARS_MAX);
    check_names(
        decisions.iter().chain([&text, &purpose]),
        &[source, state.prompt()],
    )?;
    let mut known = module_summary(state, name.as_str()).unwrap_or_default();
    known.key_decisions.extend(decisions);
    known.key_decisions.truncate(DECISIONS_MAX);
    if !purpose.is_empty() {
        known.purpose = purpose;
    }
    known.summary = text;
    Ok(known)
}

/// The goal stays that of the user.
fn of_task(state: &TaskState, said: &Said) -> Result<TaskSummary, String> {
    let summary = clean(&said.summary, SHORT_CHARS_MAX);
    let modules = state.modules.iter().filter_map(|module| module.code());
    let mut known: Vec<&str> = modules.map(|code| code.source.as_str()).collect();
    known.push(state.prompt());
    check_names([&summary], &known)?;
    Ok(TaskSummary {
        summary,
        ..task_summary(state)
    })
}

/// Whether all names that texts write as code stand in what is known.
fn check_names<'t>(
    texts: impl IntoIterator<Item = &'t String>,
    known: &[&str],
) -> Result<(), String> {
    let unknown = texts.into_iter().find_map(|text| unknown_name(text, known));
    unknown.map_or(Ok(()), |name| {
        Err(format!(
            "it names `{name}`, which the code does not have; summarise what is there"
        ))
    })
}

/// The first name that a text writes as code, as a call or between backticks, and that stands in nothing that is known.
fn unknown_name<'t>(text: &'t str, known: &[&str]) -> Option<&'t str> {
    let is_part = |c: char| c.is_alphanumeric() || c == '_';
    let last_name =
        move |text: &'t str| text.rsplit(move |c| !is_part(c)).next().unwrap_or_default();
    // `add (a)` is no call: `integers (and floats)` looks the same.
    let calls = text
        .match_indices('(')
        .map(|(at, _)| last_name(&text[..at]));
    let quoted = text.split('`').skip(1).step_by(2);
    let quoted = quoted.filter(|code| *code == code.trim()).map(|code| {
        let name = code.split('(').next().unwrap_or_default();
        last_name(name.trim_end())
    });
    let is_name = |name: &&str| name.starts_with(|c: char| c.is_alphabetic() || c == '_');
    let mut names = calls.chain(quoted).filter(is_name);
    names.find(|name| !known.iter().any(|known| known.contains(name)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_of_something_that_is_not_there_is_found() {
        let known = ["def add(a, b):\n    return a + b\n", "total(rows)"];
        for (text, unknown) in [
            ("It adds with add(a, b).", None),
            ("It has add() and subtract().", Some("subtract")),
            ("Call shop.sums.subtract(a).", Some("subtract")),
            ("It has `add` and `subtract`.", Some("subtract")),
            ("It has `subtract (a, b)`.", Some("subtract")),
            ("It returns `a + b`.", None),
            ("It adds two numbers (integers).", None),
            ("Roman numerals up to 4 (IV).", None),
            ("See total(rows) of the prompt.", None),
            ("One ` alone, ``, and `` ` ``.", None),
            ("", None),
        ] {
            assert_eq!(unknown_name(text, &known), unknown, "{text}");
        }
    }
}
