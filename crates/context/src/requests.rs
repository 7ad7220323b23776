//! The requests of each purpose: the last pieces of a prompt.

use std::fmt::Write;

use journeyman_event::state::{ModuleState, Refusals, TestRun};
use journeyman_event::{TaskState, last_chars};
use journeyman_language::of_task;

use crate::piece::{
    Entry, Keep, LayerName, Piece, Rank, piece, piece_of_entries, piece_that_keeps,
};
use crate::profile::Part;
use crate::prompts::{ASK, may_ask};

/// The most characters of a failing test's message. The beginning is cut, and `build` may cut more.
const MESSAGE_CHARS_MAX: usize = 700;
/// Longer code is summarised by its definitions, in lines.
const LINES_SUMMARISED_MAX: usize = 300;
/// How many failing tests are shown; often many fail for the same reason.
const FAILURES_SHOWN: usize = 3;

/// All code, and the request to review it.
pub(crate) fn review_request(state: &TaskState) -> Vec<Piece> {
    let language = of_task(state);
    let modules = state.modules.iter();
    let mut all: Vec<Piece> = modules
        .filter_map(|module| {
            let code = module.code()?;
            let path = language.module_path(module.plan.name.as_str());
            let block = language.prompt_texts().block(code.source.trim_end());
            let text = format!("# `{path}`\n{block}");
            let name = format!("code of {}", module.plan.name);
            Some(code_piece(name, text))
        })
        .collect();
    let text = "Review the code.".to_owned();
    all.push(request(text));
    all
}

pub(crate) fn look_up_request() -> Piece {
    let text = "Which tools have to be called?".to_owned();
    request(text)
}

pub(crate) fn answer_request() -> Piece {
    let text = "Answer the question.".to_owned();
    request(text)
}

pub(crate) fn plan_request(state: &TaskState) -> Piece {
    let mut text = String::new();
    if let Some(problem) = &state.plan_problem {
        let _ = write!(text, "Your last plan could not be used: {problem}\n\n");
    }
    if may_ask(state) {
        let _ = write!(text, "{ASK}\n\n");
    }
    text.push_str("Plan the modules.");
    request(text)
}

pub(crate) fn code_request(state: &TaskState, module: Option<&ModuleState>) -> Vec<Piece> {
    let Some(module) = module else {
        return Vec::new();
    };
    if module.plan.completes_prompt {
        let text = format!("{}Give the whole file.", refusal(module));
        return vec![request(text)];
    }
    let text = format!(
        "{}Write the file `{}`.",
        refusal(module),
        of_task(state).module_path(module.plan.name.as_str())
    );
    vec![request(text)]
}

pub(crate) fn tests_request(state: &TaskState, module: Option<&ModuleState>) -> Vec<Piece> {
    let Some(module) = module else {
        return Vec::new();
    };
    let words = of_task(state).prompt_texts();
    let asked = words.ask_for_tests(module.plan.name.as_str());
    let text = format!("{}{asked}", refusal(module));
    vec![request(text)]
}

pub(crate) fn fix_request(state: &TaskState, module: Option<&ModuleState>) -> Vec<Piece> {
    let Some(module) = module else {
        return Vec::new();
    };
    let language = of_task(state);
    let path = language.module_path(module.plan.name.as_str());
    let mut all = Vec::new();
    if let Some(code) = module.code() {
        let block = language.prompt_texts().block(code.source.trim_end());
        let text = format!("# `{path}` as it is now\n{block}");
        all.push(code_piece("current code".to_owned(), text));
    }
    if let Some(run) = module.runs.last().filter(|run| run.failure.is_some()) {
        let text = format!("# What fails\n{}", failures(run));
        let results = piece_that_keeps(
            Keep::Tail,
            LayerName::Current,
            Rank::Critical,
            "test results",
            text,
        );
        all.push(results.of(Part::TestResults));
    } else if let Some(bug) = &module.bug {
        let text = format!("# What fails\n{}", bug.summary);
        let report = piece(LayerName::Current, Rank::Critical, "bug report", text);
        all.push(report.of(Part::TestResults));
    }
    let text = format!(
        "{}Correct the file `{path}` so that these tests pass.",
        refusal(module)
    );
    all.push(request(text));
    all
}

/// A finished module: its code, its tests, and how often it was corrected.
pub(crate) fn module_summary_request(
    state: &TaskState,
    module: Option<&ModuleState>,
) -> Vec<Piece> {
    let Some(module) = module else {
        return Vec::new();
    };
    let language = of_task(state);
    let mut all = Vec::new();
    if let Some(code) = module.code() {
        let path = language.module_path(module.plan.name.as_str());
        let source = code.source.trim_end();
        let outline = language.outline(source);
        // Of long code the definitions say more than its beginning and its end.
        let is_long = source.lines().count() > LINES_SUMMARISED_MAX && !outline.is_empty();
        let shown = if is_long { &outline } else { source };
        let text = format!("# `{path}`\n{}", language.prompt_texts().block(shown));
        all.push(code_piece(format!("code of {}", module.plan.name), text));
    }
    if let Some(run) = module.runs.last() {
        let text = format!(
            "# Its tests\n{} of {} pass, in version {}.",
            run.passed(),
            run.tests.len(),
            module.version()
        );
        let results = piece(LayerName::Current, Rank::High, "test results", text);
        all.push(results.of(Part::TestResults));
    }
    let text = "Summarise the module.";
    all.push(request(with_problem(&module.summarised.refusals, text)));
    all
}

/// A finished task: its modules with their summaries, or with their purposes.
pub(crate) fn task_summary_request(state: &TaskState) -> Vec<Piece> {
    let lines = state.modules.iter().map(|module| {
        let (name, about) = (&module.plan.name, about(module));
        let outcome = if module.completion.is_some() {
            "complete"
        } else {
            "not complete"
        };
        Entry::shortened(
            format!("- {name} ({outcome}): {about}"),
            format!("- {name} ({outcome})"),
            0.0,
        )
    });
    let modules = piece_of_entries(
        LayerName::Current,
        Rank::High,
        "modules",
        "# The modules".to_owned(),
        lines.collect(),
    );
    let text = with_problem(&state.summarised.refusals, "Summarise the task.");
    vec![modules.of(Part::ModuleSummary), request(text)]
}

/// What a module is about: its summary if it has one, else its purpose.
pub(crate) fn about(module: &ModuleState) -> &str {
    let summary = module.summarised.summary.as_ref();
    summary.map_or(&module.plan.purpose, |made| made.summary.text())
}

/// What the model is asked to do now, which is never cut.
fn request(text: String) -> Piece {
    piece(LayerName::Current, Rank::Required, "request", text)
}

/// Code that the model is to read as a whole.
fn code_piece(name: String, text: String) -> Piece {
    piece_that_keeps(Keep::Ends, LayerName::Current, Rank::Critical, name, text)
}

fn refusal(module: &ModuleState) -> String {
    with_problem(&module.refusals, "")
}

/// The request, after the reason why the last answer could not be used.
fn with_problem(refusals: &Refusals, request: &str) -> String {
    let problem = refusals.last.as_ref();
    let problem = problem.map_or_else(String::new, |problem| {
        format!("Your last answer could not be used: {problem}\n\n")
    });
    problem + request
}

/// The relevant part of a failed run: the first few failing tests, or else the end of the output.
fn failures(run: &TestRun) -> String {
    let failing: Vec<_> = run.tests.iter().filter(|test| !test.passed).collect();
    if failing.is_empty() {
        return format!(
            "```\n{}\n```",
            last_chars(&run.output, 2 * MESSAGE_CHARS_MAX)
        );
    }
    let mut text = format!("{} of {} tests fail.", failing.len(), run.tests.len());
    for test in failing.iter().take(FAILURES_SHOWN) {
        let _ = write!(
            text,
            "\n{}\n```\n{}\n```",
            test.name,
            last_chars(&test.message, MESSAGE_CHARS_MAX)
        );
    }
    if failing.len() > FAILURES_SHOWN {
        let rest: Vec<&str> = failing[FAILURES_SHOWN..]
            .iter()
            .map(|test| test.name.as_str())
            .collect();
        let _ = write!(text, "\nAlso failing: {}", rest.join(", "));
    }
    text
}
