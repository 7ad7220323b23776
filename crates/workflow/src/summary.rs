//! The summary that is delivered with a result: what was asked, what was made, what was verified and how, and what
//! was not. It states the facts even if they are disappointing.

use std::fmt::Write;

use journeyman_event::payload::{
    PromptAnswered, SummaryOrigin, TestFailureKind, TestOrigin, Verification,
};
use journeyman_event::state::{Ending, ModuleState};
use journeyman_event::{TaskState, printable};
use journeyman_language::of_task;
use journeyman_llm::other_model;

use crate::examples::left_out_notice;
use crate::layout::{Files, given_names, module_path};
use crate::request::{prompt_note, without_secrets};
use crate::verdict::unproven;

/// The notice added to every answer to a question.
const ANSWERED: &str = "The model's answer; nothing was run or checked.";

/// The model's answer to a question, with the notice that it was not verified.
pub fn answered(reply: &PromptAnswered) -> String {
    let cut = if reply.cut_short {
        "\n\n(It was cut off here.)"
    } else {
        ""
    };
    format!("{ANSWERED}\n\n{}{cut}\n", reply.text)
}

/// One line about how a task ended or is about to end.
pub fn headline(state: &TaskState, ending: &Ending) -> String {
    // This parses the prompt, and remarks are requested with every view of a task, so it is done only when
    // needed.
    let has_left_out = || {
        state
            .submission
            .as_ref()
            .and_then(left_out_notice)
            .is_some()
    };
    match ending {
        Ending::Complete(_) if state.reply.is_some() => ANSWERED.to_owned(),
        Ending::Complete(Verification::GivenTests) => {
            let skipped = state
                .current_integration()
                .map(|run| given_among(state, &run.skipped));
            let never_run = never_run_of(state).len();
            let ran = match never_run + skipped.map_or(0, |skipped| skipped.len()) {
                0 => "the given tests ran and passed".to_owned(),
                count => format!("the given tests that ran passed; {count} did not run"),
            };
            let beside = if has_left_out() {
                " Not all that looks like a test was run."
            } else {
                ""
            };
            format!("Complete and verified: {ran}.{beside}")
        }
        Ending::Complete(Verification::Agreement { confidence }) => {
            let given = if has_left_out() {
                "what looks like a test in the prompt was not run"
            } else {
                "no tests were given"
            };
            format!(
                "Complete, not verified: {given}; the code passes {:.0} % of the tests that the \
                 model wrote from the description.",
                100.0 * confidence
            )
        }
        Ending::Complete(Verification::None) if let Some(why) = given_unproven(state) => {
            format!("Complete, not verified: {why}.")
        }
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

/// Why passed given tests do not verify the code.
fn given_unproven(state: &TaskState) -> Option<String> {
    let run = state.current_integration()?;
    let is_given = !state.given_tests().is_empty();
    unproven(state, run).filter(|_| is_given)
}

/// What the user should know beyond how the task ended, about given and generated tests. One line each.
pub fn remarks(state: &TaskState) -> Vec<String> {
    let mut remarks = test_remarks(state);
    remarks.extend(doubts(state));
    remarks.extend(other_model_served(state));
    let ending = state.ending.as_ref();
    remarks.extend(ending.and_then(|ending| last_failure(state, ending)));
    remarks
}

/// That the server says it used another model than the one that it was asked for.
fn other_model_served(state: &TaskState) -> Option<String> {
    let (started, served) = (state.started.as_ref()?, state.served_model.as_ref()?);
    other_model(&started.model, served)
}

/// The first lines of the last failed test's assertion or exception, for a task that failed.
fn last_failure(state: &TaskState, ending: &Ending) -> Option<String> {
    /// The most lines shown, and the most characters of each.
    const LINES_MAX: usize = 3;
    const LINE_CHARS_MAX: usize = 160;
    if !matches!(ending, Ending::Failed { .. }) {
        return None;
    }
    let incomplete = state
        .modules
        .iter()
        .rev()
        .filter(|module| module.completion.is_none());
    let last = incomplete.filter_map(|module| module.runs.last());
    let (run, kind) = state
        .integration
        .iter()
        .chain(last)
        .find_map(|run| Some((run, run.failure?)))?;
    let failing = run.tests.iter().find(|test| !test.passed);
    let (what, said) = match failing {
        Some(test) => (format!("`{}` fails", test.name), &test.message),
        None => (format!("The last tests: {}", kind.in_words()), &run.output),
    };
    let said = printable(said);
    let mut lines: Vec<&str> = said
        .lines()
        .filter_map(|line| line.strip_prefix("E "))
        .collect();
    if lines.is_empty() {
        // The exception is at the end of a traceback.
        lines = said
            .lines()
            .filter(|line| !line.trim().is_empty())
            .collect();
        lines.drain(..lines.len().saturating_sub(1));
    }
    let lines = lines.iter().take(LINES_MAX);
    let lines = lines.map(|line| line.trim().chars().take(LINE_CHARS_MAX).collect::<String>());
    let said = lines.collect::<Vec<String>>().join("; ");
    (!said.is_empty()).then(|| format!("{what}: {said}"))
}

/// What the user should know about given tests even if the task is verified: which were skipped, and which pass
/// whatever the code returns. One line each.
fn test_remarks(state: &TaskState) -> Vec<String> {
    let mut lines = never_run_of(state);
    let Some(run) = state.current_integration() else {
        return lines;
    };
    for (names, one, many) in [
        (
            given_among(state, &run.skipped),
            "was skipped or expected to fail, and shows nothing",
            "were skipped or expected to fail, and show nothing",
        ),
        (
            given_among(state, &run.idle),
            "passes also where the functions of the code return something wrong; it shows at most that nothing is raised",
            "pass also where the functions of the code return something wrong; they show at most that nothing is raised",
        ),
    ] {
        let what = if names.len() == 1 { one } else { many };
        if !names.is_empty() {
            lines.push(format!(
                "{} of your tests {what}: {}.",
                names.len(),
                names.join(", ")
            ));
        }
    }
    lines
}

/// Parts of the given files that look like tests and are never run, one line each.
fn never_run_of(state: &TaskState) -> Vec<String> {
    let language = of_task(state);
    let files = state.given_tests().iter();
    let files = files.filter(|test| test.origin == TestOrigin::File);
    let lines = files.flat_map(|test| {
        let path = language.given_tests_path(&test.name);
        let lines = language.never_run(&test.source).into_iter();
        lines.map(move |line| format!("{path} {line}."))
    });
    lines.collect()
}

/// The test names that belong to given files.
fn given_among<'a>(state: &TaskState, names: &'a [String]) -> Vec<&'a str> {
    let is_given = given_names(state);
    let names = names.iter().map(String::as_str);
    names.filter(|name| is_given(name)).collect()
}

/// Doubts about a complete task that come from its own generated tests, one line per module.
fn doubts(state: &TaskState) -> Vec<String> {
    let doubt = |module: &ModuleState| {
        let (name, done) = (&module.plan.name, module.completion.as_ref()?);
        if !done.disputed.is_empty() {
            let names: Vec<&str> = done.disputed.iter().map(|test| short(test)).collect();
            return Some(format!(
                "`{name}` does not pass {} of the tests that the model wrote for it: {}",
                names.len(),
                names.join(", ")
            ));
        }
        let why = never_ran(module)?;
        Some(format!(
            "`{name}` imports, but the tests that the model wrote for it could not be run: {why}"
        ))
    };
    state.modules.iter().filter_map(doubt).collect()
}

/// The name of a test without its file.
fn short(test: &str) -> &str {
    test.split_once("::").map_or(test, |(_, name)| name)
}

/// Why a module's generated tests were discarded, if they were.
fn never_ran(module: &ModuleState) -> Option<&'static str> {
    let failed = module.runs.iter().rev().find_map(|run| run.failure);
    let dropped = module.tests().is_none() && !module.generated_tests.is_empty();
    failed.filter(|_| dropped).map(TestFailureKind::in_words)
}

pub(crate) fn summary(state: &TaskState, ending: &Ending, files: &Files) -> String {
    let prompt = state
        .submission
        .as_ref()
        .map_or("", |submission| submission.prompt.trim());
    let mut text = format!("# Summary\n\n{}\n\n", headline(state, ending));
    for remark in test_remarks(state)
        .into_iter()
        .chain(last_failure(state, ending))
    {
        let _ = writeln!(text, "Note: {remark}\n");
    }
    let _ = writeln!(text, "## Task\n\n{}\n", quote(&without_secrets(prompt)));
    if let Some(note) = prompt_note(prompt) {
        let _ = writeln!(text, "Note: {note}.\n");
    }
    let examples = of_task(state).examples_in_short(state.given_tests());
    if !examples.is_empty() {
        text.push_str("## Examples of the task that were taken for tests\n\n");
        for example in examples {
            let _ = writeln!(text, "- `{}`", without_secrets(&example));
        }
        text.push('\n');
    }
    if let Some(notice) = state.submission.as_ref().and_then(left_out_notice) {
        let _ = writeln!(text, "Note: {}.\n", without_secrets(&notice));
    }
    if state.reply.is_some() {
        text.push_str("The answer is in `ANSWER.md`.\n");
    } else {
        text.push_str("## Modules\n\n| file | versions | checked by | result |\n");
        text.push_str("|---|---|---|---|\n");
    }
    for module in &state.modules {
        let _ = writeln!(text, "{}", row(state, module));
    }
    let language = of_task(state);
    let marks = language.disputed(&[]);
    let marks = marks.map_or_else(String::new, |(path, _)| format!(" `{path}` marks them."));
    for module in &state.modules {
        let disputed = module
            .completion
            .as_ref()
            .map_or(&[][..], |done| &done.disputed);
        if !disputed.is_empty() {
            let _ = writeln!(
                text,
                "\nDisputed tests of `{}`: the model wrote them, the code does not pass them, and \
                 which of the two is wrong is for you to judge.{marks}\n",
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
            let path = module_path(state, &item.module);
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
    if let Some(made) = &state.summarised.summary
        && made.origin == SummaryOrigin::Model
    {
        let _ = write!(
            text,
            "\n## What the model says was done (not checked)\n\n{}\n",
            made.summary.text()
        );
    }
    if !state.plan_repairs.is_empty() {
        text.push_str("\n## Repairs to the model's plan\n\n");
        for repair in &state.plan_repairs {
            let _ = writeln!(text, "- {repair}");
        }
    }
    let paths = files.keys().map(String::as_str);
    let tests: Vec<&str> = paths.filter(|path| language.is_test_file(path)).collect();
    if !tests.is_empty() {
        let _ = writeln!(
            text,
            "\n## Run the tests\n\n```\n{}\n```\n\n{}",
            language.test_command(None, &tests),
            language.prompt_texts().test_tools
        );
    }
    let _ = writeln!(
        text,
        "\nModel tokens spent: {} of {}.",
        state.spent,
        state.token_budget()
    );
    text
}

fn quote(text: &str) -> String {
    text.lines()
        .map(|line| format!("> {line}").trim_end().to_owned())
        .collect::<Vec<_>>()
        .join("\n")
}

fn row(state: &TaskState, module: &ModuleState) -> String {
    let (checked, result) = match (&module.completion, module.runs.last()) {
        (None, _) if module.skipped => ("nothing: skipped", "not tested as it is".to_owned()),
        (Some(done), Some(run)) => {
            let result = format!("{} of {} passed", run.passed(), run.tests.len());
            match done.verification {
                Verification::GivenTests => ("given tests", result),
                Verification::Agreement { .. } => ("generated tests", result),
                Verification::None => (
                    "import only",
                    match never_ran(module) {
                        Some(why) => format!("imports; its tests could not be run: {why}"),
                        None => "imports".to_owned(),
                    },
                ),
            }
        }
        (None, Some(run)) => (
            "not complete",
            run.failure.map_or_else(String::new, |kind| {
                format!(
                    "{}, {} of {} passed",
                    kind.in_words(),
                    run.passed(),
                    run.tests.len()
                )
            }),
        ),
        (_, None) => ("nothing", "not tested".to_owned()),
    };
    let path = module_path(state, &module.plan.name);
    format!(
        "| `{path}` | {} | {checked} | {result} |",
        module.versions.len()
    )
}

#[cfg(test)]
mod tests {
    use journeyman_event::VectorClock;
    use journeyman_event::payload::{
        FailureReason, TaskSubmitted, TestOrigin, TestResult, TestScope,
    };
    use journeyman_event::state::TestRun;
    use journeyman_language::Language;
    use journeyman_language::python::Python;

    use super::*;

    fn run_of(tests: Vec<TestResult>, output: &str) -> TestRun {
        TestRun {
            scope: TestScope::Integration,
            origin: TestOrigin::File,
            files: Vec::new(),
            code: Vec::new(),
            tests_version: 0,
            basis: None,
            failure: Some(TestFailureKind::Failed),
            tests,
            idle: Vec::new(),
            broken_tests: false,
            skipped: Vec::new(),
            output: output.to_owned(),
            clock: VectorClock::default(),
            outcome: None,
            sequence: None,
        }
    }

    #[test]
    fn a_failed_task_tells_what_its_last_failing_test_said() {
        let failed = Ending::Failed {
            reason: FailureReason::Attempts,
            detail: "5 versions were tried".to_owned(),
        };
        let long = format!("E   {}\n", "x".repeat(500));
        for (message, output, says) in [
            (
                "    def test_f():\n>       assert f(1) == 3\nE       \u{1b}[31massert 2 == 3\nE        +  where 2 = f(1)\n",
                "",
                Some("`test_m.py::test_f` fails: assert 2 == 3; +  where 2 = f(1)"),
            ),
            (
                "Traceback:\n  File\nValueError: no\n",
                "",
                Some("fails: ValueError: no"),
            ),
            (&long.repeat(9), "", Some("xxx; xxx")),
            ("", "E   ImportError: no f\n", None),
        ] {
            let tests = vec![TestResult {
                name: "test_m.py::test_f".to_owned(),
                passed: false,
                message: message.to_owned(),
            }];
            let run = run_of(tests, output);
            let state = TaskState {
                integration: Some(run),
                ending: Some(failed.clone()),
                ..TaskState::default()
            };
            let told = remarks(&state).join("\n");
            assert_eq!(told.is_empty(), says.is_none(), "{told}");
            assert!(
                told.contains(says.unwrap_or_default()) && told.len() < 600,
                "{told}"
            );
            assert!(!told.contains(['\u{1b}', '\n']), "{told}");
            let text = summary(&state, &failed, &Files::new());
            assert!(text.contains(&told), "{text}");
        }
    }

    #[test]
    fn what_looks_like_a_test_and_is_not_run_is_named_beside_the_result() {
        let agreed = Verification::Agreement { confidence: 1.0 };
        for (prompt, verification, says, notes) in [
            ("Write f(x).", agreed, "no tests were given", false),
            (
                "Write f(x).\n\nself.assertEqual(f(1), 2)",
                agreed,
                "what looks like a test in the prompt was not run",
                true,
            ),
            (
                "Write f(x).\nassert f(1) == 2\nassert f(y) == 2",
                Verification::GivenTests,
                "Not all that looks like a test was run",
                true,
            ),
        ] {
            let submission = TaskSubmitted {
                tests: Python.examples(prompt).tests,
                ..TaskSubmitted::of(prompt)
            };
            let state = TaskState {
                submission: Some(submission),
                ..TaskState::default()
            };
            let ending = Ending::Complete(verification);
            let text = summary(&state, &ending, &Files::new());
            assert!(headline(&state, &ending).contains(says), "{prompt}");
            assert_eq!(
                text.contains("Note: 1 example of your prompt is not run"),
                notes,
                "{text}"
            );
        }
    }
}
