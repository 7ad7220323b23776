//! Summaries of modules, functions and tasks, taken from the code and the state of a task without a model.
//!
//! They are what a user sees who asks what a module is, and what stands in for a model's summary that could not be had.
//! The same state gives the same summary. Code that does not parse is summarised as far as it parses; of long code those
//! definitions are named for which there is room.

use std::collections::BTreeSet;
use std::fmt::Write as _;

use journeyman_event::TaskState;
use journeyman_event::payload::{
    FunctionSummary, ModuleSummary, Summary, SummaryOrigin, TaskSummary,
};
use journeyman_event::state::{ModuleState, Status, Summarised};
use journeyman_syntax::{Item, ItemKind, Outline, Source};

use crate::projection::cut;

/// The most characters of a module's summary in words: about 200 tokens.
pub const MODULE_CHARS_MAX: usize = 800;
/// The most characters of a function's or a task's summary in words: about 100 tokens.
pub const SHORT_CHARS_MAX: usize = 400;
/// What a module says that has no code.
pub const NO_CODE: &str = "no code yet";
/// The most characters of a purpose or a goal.
const SENTENCE_CHARS_MAX: usize = 200;

/// Names that do something beside returning a value when they are called, and what they do.
const EFFECTS: [(&str, &str); 14] = [
    ("print", "prints"),
    ("input", "reads from the terminal"),
    ("open", "opens files"),
    ("exec", "runs code"),
    ("eval", "runs code"),
    ("os", "uses the operating system"),
    ("shutil", "changes files"),
    ("sys", "uses the interpreter's state"),
    ("subprocess", "starts programs"),
    ("socket", "uses the network"),
    ("urllib", "uses the network"),
    ("random", "draws random numbers"),
    ("time", "reads the clock"),
    ("logging", "writes logs"),
];

/// The summary of a task, or of a module, function or class of it by its full or its short name, and how it was made: the
/// recorded one where there is one, else one that is extracted. `None` if nothing has this name.
pub fn summary(state: &TaskState, name: Option<&str>) -> Option<(SummaryOrigin, Summary)> {
    let recorded = |made: &Summarised| {
        let made = made.summary.as_ref();
        made.map(|made| (made.origin, made.summary.clone()))
    };
    let extracted = |summary: Summary| (SummaryOrigin::Extracted, summary);
    let Some(name) = name else {
        let now = task_summary(state);
        // The model's words are of the moment when they were written; the rest goes on.
        return Some(match recorded(&state.summarised) {
            Some((origin, Summary::Task(made))) => {
                let summary = made.summary;
                (origin, Summary::Task(TaskSummary { summary, ..now }))
            }
            _ => extracted(Summary::Task(now)),
        });
    };
    if let Some(module) = module_of(state, name) {
        let summary = || {
            module_summary(state, name)
                .map(Summary::Module)
                .map(extracted)
        };
        return recorded(&module.summarised).or_else(summary);
    }
    let mut functions = state.modules.iter().filter_map(|module| {
        let module = module.plan.name.as_str();
        let inner = name.strip_prefix(module);
        let inner = inner
            .and_then(|rest| rest.strip_prefix('.'))
            .unwrap_or(name);
        function_summary(state, module, inner)
    });
    functions.next().map(Summary::Function).map(extracted)
}

/// The summary of a module; `None` if the task has no such module.
pub fn module_summary(state: &TaskState, name: &str) -> Option<ModuleSummary> {
    let module = module_of(state, name)?;
    let planned = module.plan.depends_on.iter().map(ToString::to_string);
    let mut dependencies: BTreeSet<String> = planned.collect();
    let outline = outline_of(module);
    let imports = outline.imports.iter().filter(|import| import.level == 0);
    let imports = imports.map(|import| import.module.clone());
    dependencies.extend(imports.filter(|name| !name.is_empty()));
    let public = outline.items.iter().filter(|item| is_public(item));
    let functions: Vec<String> = public.map(|item| item.name.clone()).collect();
    let purpose = match module.plan.purpose.trim() {
        "" => cut(state.prompt(), SENTENCE_CHARS_MAX),
        purpose => cut(purpose, SENTENCE_CHARS_MAX),
    };
    let disputed = module.completion.iter().flat_map(|done| &done.disputed);
    let key_decisions = disputed.map(|test| format!("the generated test {test} was judged wrong"));
    Some(ModuleSummary {
        summary: module_in_words(module, &outline, &purpose),
        purpose,
        dependencies: dependencies.into_iter().collect(),
        functions,
        key_decisions: key_decisions.collect(),
    })
}

/// The summary of a function or a class of a module, by its name or as `Class.method`; `None` if the module's code does not
/// define it.
pub fn function_summary(state: &TaskState, module: &str, name: &str) -> Option<FunctionSummary> {
    let outline = outline_of(module_of(state, module)?);
    let item = outline.items.iter().find(|item| {
        let parent = item.parent.and_then(|at| outline.items.get(at));
        let full = parent.map(|class| format!("{}.{}", class.name, item.name));
        full.as_deref() == Some(name) || (parent.is_none() && item.name == name)
    })?;
    let (inputs, outputs) = parts_of(&item.signature);
    let effects: BTreeSet<&str> = EFFECTS
        .iter()
        .filter(|(used, _)| {
            let mut uses = item.uses.keys();
            uses.any(|name| name.split('.').next() == Some(used))
        })
        .map(|(_, effect)| *effect)
        .collect();
    let mut summary = item.signature.clone();
    if !item.description.is_empty() {
        let _ = write!(summary, ": {}", item.description);
    }
    if !effects.is_empty() {
        let effects: Vec<&str> = effects.iter().copied().collect();
        let _ = write!(summary, " It {}.", effects.join(", "));
    }
    Some(FunctionSummary {
        purpose: cut(&item.description, SENTENCE_CHARS_MAX),
        inputs,
        outputs,
        side_effects: effects.into_iter().map(str::to_owned).collect(),
        summary: cut(&summary, SHORT_CHARS_MAX),
    })
}

/// The summary of a task.
pub fn task_summary(state: &TaskState) -> TaskSummary {
    let modules = state.modules.iter();
    let modules: Vec<String> = modules.map(|module| module.plan.name.to_string()).collect();
    let complete = state.modules.iter().filter(|one| one.completion.is_some());
    let status = match (state.status, modules.len()) {
        (Status::Running | Status::Queued | Status::Paused, 0) => "not planned yet".to_owned(),
        (status, 0) => status.as_str().to_owned(),
        (status, all) => {
            let complete = complete.count();
            format!(
                "{}, {complete} of {all} modules are complete",
                status.as_str()
            )
        }
    };
    let goal = cut(state.prompt(), SENTENCE_CHARS_MAX);
    let summary = format!("{goal} ({status}: {})", modules.join(", "));
    TaskSummary {
        summary: cut(&summary, SHORT_CHARS_MAX),
        success_rate: success_rate(state),
        goal,
        status,
        modules,
    }
}

/// The share of tests that passed in the last run of everything, or else in the last runs of all modules.
pub fn success_rate(state: &TaskState) -> f64 {
    let of_modules = || state.modules.iter().filter_map(|module| module.runs.last());
    let runs: Vec<_> = match &state.integration {
        Some(run) => vec![run],
        None => of_modules().collect(),
    };
    let (passed, all) = runs.iter().fold((0, 0), |(passed, all), run| {
        (passed + run.passed(), all + run.tests.len())
    });
    let float = |count: usize| f64::from(u32::try_from(count).unwrap_or(u32::MAX));
    if all == 0 {
        0.0
    } else {
        float(passed) / float(all)
    }
}

fn module_of<'s>(state: &'s TaskState, name: &str) -> Option<&'s ModuleState> {
    let mut modules = state.modules.iter();
    modules.find(|module| module.plan.name.as_str() == name)
}

/// The outline of the current code; empty without code.
fn outline_of(module: &ModuleState) -> Outline {
    let code = module.code();
    code.map_or_else(Outline::default, |code| Source::of(&code.source).outline())
}

fn is_public(item: &Item) -> bool {
    item.parent.is_none() && !item.name.starts_with('_')
}

/// Purpose, state of the tests, and as many definitions as there is room for.
fn module_in_words(module: &ModuleState, outline: &Outline, purpose: &str) -> String {
    let Some(code) = module.code() else {
        return format!("{purpose} ({NO_CODE})");
    };
    let mut text = purpose.to_owned();
    if let Some(run) = module.runs.last() {
        let (passed, all) = (run.passed(), run.tests.len());
        let _ = write!(
            text,
            " Version {}: {passed} of {all} tests pass.",
            code.version
        );
    }
    let public: Vec<&Item> = outline
        .items
        .iter()
        .filter(|item| is_public(item))
        .collect();
    for (at, item) in public.iter().enumerate() {
        let mark = match item.kind {
            ItemKind::Function => "",
            ItemKind::Class => " (a class)",
        };
        let said = format!("\n- {}{mark}: {}", item.name, item.description);
        if text.len() + said.len() > MODULE_CHARS_MAX {
            let _ = write!(text, "\n- and {} more", public.len() - at);
            break;
        }
        text.push_str(said.trim_end_matches([':', ' ']));
    }
    text
}

/// The parameters of a signature as they are written, and what stands after its arrow.
fn parts_of(signature: &str) -> (Vec<String>, String) {
    let Some((_, rest)) = signature.split_once('(') else {
        return (Vec::new(), String::new());
    };
    let (inside, after) = rest.rsplit_once(')').unwrap_or((rest, ""));
    // `def f(a) -> tuple(b)` does not occur: a type is written with square brackets.
    let (mut inputs, mut depth, mut start) = (Vec::new(), 0_usize, 0);
    for (at, c) in inside.char_indices() {
        match c {
            '(' | '[' | '{' => depth += 1,
            ')' | ']' | '}' => depth = depth.saturating_sub(1),
            ',' if depth == 0 => {
                inputs.push(inside[start..at].trim().to_owned());
                start = at + 1;
            }
            _ => {}
        }
    }
    inputs.push(inside[start..].trim().to_owned());
    inputs.retain(|input| !input.is_empty());
    let outputs = after.trim().trim_start_matches("->").trim();
    (inputs, outputs.trim_end_matches(':').to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_signature_is_taken_apart_at_its_own_commas() {
        for (signature, inputs, outputs) in [
            ("def f()", &[][..], ""),
            (
                "def add(a: int, b: int = 0) -> int",
                &["a: int", "b: int = 0"],
                "int",
            ),
            (
                "def g(rows: dict[str, int], *, key=(1, 2)) -> dict[str, int]",
                &["rows: dict[str, int]", "*", "key=(1, 2)"],
                "dict[str, int]",
            ),
            ("class Cart", &[], ""),
        ] {
            let (found, output) = parts_of(signature);
            assert_eq!(found, inputs, "{signature}");
            assert_eq!(output, outputs, "{signature}");
        }
    }
}
