//! The summary that goes with a result: what was asked, what there is, what was checked and how,
//! and what was not. It says what is so, also when that is little.

use std::fmt::Write;

use journeyman_event::TaskState;
use journeyman_event::payload::{PromptAnswered, Verification};
use journeyman_event::state::{Ending, ModuleState};

use crate::examples::examples_in_short;
use crate::layout::{Files, module_path};
use crate::request::{prompt_note, without_secrets};

/// What is said with every answer to a question.
const ANSWERED: &str = "The model's answer; nothing was run or checked.";

/// The model's answer to a question, marked as what it is.
pub fn answered(reply: &PromptAnswered) -> String {
    let cut = if reply.cut_short {
        "\n\n(It was cut off here.)"
    } else {
        ""
    };
    format!("{ANSWERED}\n\n{}{cut}\n", reply.text)
}

/// One line that says how a task ended, or is about to.
pub fn headline(state: &TaskState, ending: &Ending) -> String {
    match ending {
        Ending::Complete(_) if state.reply.is_some() => ANSWERED.to_owned(),
        Ending::Complete(Verification::GivenTests) => {
            "Complete and verified: the given tests ran and passed.".to_owned()
        }
        Ending::Complete(Verification::Agreement { confidence }) => format!(
            "Complete, not verified: no tests were given; the code passes {:.0} % of the tests \
             that the model wrote from the description.",
            100.0 * confidence
        ),
        Ending::Complete(Verification::None) => {
            "Complete, not verified: at least one module was only imported, not tested.".to_owned()
        }
        Ending::Failed { reason, detail } => {
            let reason = serde_json::to_value(reason).unwrap_or_default();
            format!(
                "Failed ({}): {detail}",
                reason.as_str().unwrap_or("unknown")
            )
        }
        Ending::Cancelled => "Cancelled by the user.".to_owned(),
    }
}

pub(crate) fn summary(state: &TaskState, ending: &Ending, files: &Files) -> String {
    let prompt = state
        .submission
        .as_ref()
        .map_or("", |submission| submission.prompt.trim());
    let mut text = format!("# Summary\n\n{}\n\n", headline(state, ending));
    let _ = writeln!(text, "## Task\n\n{}\n", quote(&without_secrets(prompt)));
    if let Some(note) = prompt_note(prompt) {
        let _ = writeln!(text, "Note: {note}.\n");
    }
    let examples = examples_in_short(state.given_tests());
    if !examples.is_empty() {
        text.push_str("## Examples of the task that were taken for tests\n\n");
        for example in examples {
            let _ = writeln!(text, "- `{}`", without_secrets(&example));
        }
        text.push('\n');
    }
    if state.reply.is_some() {
        text.push_str("The answer is in `ANSWER.md`.\n");
    } else {
        text.push_str("## Modules\n\n| file | versions | checked by | result |\n");
        text.push_str("|---|---|---|---|\n");
    }
    for module in &state.modules {
        let _ = writeln!(text, "{}", row(module));
    }
    for module in &state.modules {
        let disputed = module
            .completion
            .as_ref()
            .map_or(&[][..], |done| &done.disputed);
        if !disputed.is_empty() {
            let _ = writeln!(
                text,
                "\nDisputed tests of `{}`: the model wrote them, the code does not pass them, and \
                 which of the two is wrong is for you to judge. `tests/conftest.py` marks them.\n",
                module.plan.name
            );
            for name in disputed {
                let _ = writeln!(text, "- `{name}`");
            }
        }
    }
    if let Some(unused) = state.unused.as_ref().filter(|unused| !unused.is_empty()) {
        text.push_str("\n## Not referred to by anything (reported, not removed)\n\n");
        for item in unused {
            let path = module_path(&item.module);
            let _ = writeln!(
                text,
                "- `{path}` line {}: {} `{}`",
                item.line, item.kind, item.name
            );
        }
    }
    if let Some(review) = &state.review {
        text.push_str("\n## What the model says of it (not checked)\n\n");
        if review.findings.is_empty() {
            let words = review.problem.as_deref().unwrap_or("It found nothing.");
            let _ = writeln!(text, "{words}");
        }
        for finding in &review.findings {
            let _ = writeln!(text, "- {finding}");
        }
    }
    if !state.plan_repairs.is_empty() {
        text.push_str("\n## Repairs to the model's plan\n\n");
        for repair in &state.plan_repairs {
            let _ = writeln!(text, "- {repair}");
        }
    }
    if files.keys().any(|path| path.starts_with("tests/")) {
        text.push_str("\n## Run the tests\n\n```\npython3 -m pytest tests\n```\n");
    }
    let _ = writeln!(
        text,
        "\nModel tokens spent: {} of {}.",
        state.spent,
        state.budget()
    );
    text
}

fn quote(text: &str) -> String {
    text.lines()
        .map(|line| format!("> {line}").trim_end().to_owned())
        .collect::<Vec<_>>()
        .join("\n")
}

fn row(module: &ModuleState) -> String {
    let (checked, result) = match (&module.completion, module.runs.last()) {
        (None, _) if module.skipped => ("nothing: skipped", "not tested as it is".to_owned()),
        (Some(done), Some(run)) => {
            let result = format!("{} of {} passed", run.passed(), run.tests.len());
            match done.verification {
                Verification::GivenTests => ("given tests", result),
                Verification::Agreement { .. } => ("generated tests", result),
                Verification::None => ("import only", "imports".to_owned()),
            }
        }
        (None, Some(run)) => (
            "not complete",
            run.failure.map_or_else(String::new, |kind| {
                format!("{kind:?}, {} of {} passed", run.passed(), run.tests.len())
            }),
        ),
        (_, None) => ("nothing", "not tested".to_owned()),
    };
    let path = module_path(&module.plan.name);
    format!(
        "| `{path}` | {} | {checked} | {result} |",
        module.versions.len()
    )
}
