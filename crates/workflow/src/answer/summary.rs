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
    #[serde(alias = "goal", default)]
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
        None => Summary::Task(of_task(state, &said)),
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
    let text = clean(&said.summary, MODULE_CHARS_MAX);
    if let Some(name) = unknown_call(&text, source, state.prompt()) {
        return Err(format!(
            "it names `{name}()`, which the code does not have; summarise what is there"
        ));
    }
    let mut known = module_summary(state, name.as_str()).unwrap_or_default();
    let decisions = said.key_decisions.iter();
    let decisions = decisions.map(|one| clean(one, SENTENCE_CHARS_MAX));
    known
        .key_decisions
        .extend(decisions.filter(|one| !one.is_empty()));
    known.key_decisions.truncate(DECISIONS_MAX);
    let purpose = clean(&said.purpose, SENTENCE_CHARS_MAX);
    if !purpose.is_empty() {
        known.purpose = purpose;
    }
    known.summary = text;
    Ok(known)
}

fn of_task(state: &TaskState, said: &Said) -> TaskSummary {
    let known = task_summary(state);
    let goal = clean(&said.purpose, SENTENCE_CHARS_MAX);
    TaskSummary {
        goal: if goal.is_empty() { known.goal } else { goal },
        summary: clean(&said.summary, SHORT_CHARS_MAX),
        ..known
    }
}

/// The first name that a summary writes as a call and that stands neither in the code nor in the prompt.
fn unknown_call<'t>(summary: &'t str, source: &str, prompt: &str) -> Option<&'t str> {
    let calls = summary.match_indices('(').map(|(at, _)| {
        let before = &summary[..at];
        let is_part = |c: char| c.is_alphanumeric() || c == '_';
        before.rsplit(|c| !is_part(c)).next().unwrap_or_default()
    });
    calls
        .filter(|name| name.chars().next().is_some_and(|c| !c.is_numeric()))
        .find(|name| !source.contains(name) && !prompt.contains(name))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_call_of_something_that_is_not_there_is_found() {
        let source = "def add(a, b):\n    return a + b\n";
        for (summary, unknown) in [
            ("It adds with add(a, b).", None),
            ("It has add() and subtract().", Some("subtract")),
            ("It adds two numbers (integers).", None),
            ("Roman numerals up to 4 (IV).", None),
            ("See total(rows) of the prompt.", None),
            ("", None),
        ] {
            assert_eq!(
                unknown_call(summary, source, "total(rows)"),
                unknown,
                "{summary}"
            );
        }
    }
}
