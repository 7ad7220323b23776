//! The pieces that a context can be made of, taken from a task's state, each with its rank.
//!
//! The order of the pieces is the order in which they are sent: first what does not change within a
//! module (the task, the plan), then what is only added to (the rounds so far), then the present
//! step. What is cut when there is no room is decided in `build`.

use std::fmt::Write;

use journeyman_event::payload::{PlannedModule, Purpose, TestOrigin};
use journeyman_event::state::{ModuleState, TestRun};
use journeyman_event::{ModuleName, TaskState, last_chars};
use serde_json::Value;

use crate::offer::ToolOffer;
use crate::prompts::{ASK, may_ask};
use crate::purpose::Descriptor;

/// Which layer a piece belongs to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum LayerName {
    State,
    History,
    Current,
}

impl LayerName {
    pub(crate) const fn as_str(self) -> &'static str {
        match self {
            Self::State => "state",
            Self::History => "history",
            Self::Current => "current",
        }
    }
}

/// Who yields first when there is no room: the lowest rank, and the task never.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Rank {
    Low,
    Medium,
    High,
    Critical,
}

/// Which end of a piece survives a cut.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Keep {
    Head,
    Tail,
}

#[derive(Clone, Debug)]
pub(crate) struct Piece {
    pub(crate) layer: LayerName,
    pub(crate) name: String,
    pub(crate) text: String,
    pub(crate) rank: Rank,
    pub(crate) keep: Keep,
}

/// Test messages longer than this are cut before anything else is.
const MESSAGE_CHARS_MAX: usize = 700;
/// Characters of a tool's description.
const TOOL_CHARS_MAX: usize = 200;
/// Failing tests that are shown at a time: one cause often fails many.
const FAILURES_SHOWN: usize = 3;
/// Earlier rounds that are shown, one line each.
const ROUNDS_SHOWN: usize = 5;

/// The pieces for one call.
pub(crate) fn pieces(
    state: &TaskState,
    purpose: Purpose,
    module: Option<&ModuleState>,
    tools: &[ToolOffer],
) -> Vec<Piece> {
    let mut all = vec![task(state, purpose, module)];
    if let Some(module) = module {
        all.extend(plan(state, module));
        if !module.plan.completes_prompt {
            all.push(specification(module));
        }
        all.extend(dependencies(state, module));
        all.extend(given_tests(state, Some(&module.plan)));
        // A fresh candidate is not to be led by those that failed.
        if purpose == Purpose::Fix {
            all.extend(rounds(module));
        }
    } else {
        all.extend(given_tests(state, None));
    }
    if purpose != Purpose::LookUp {
        all.extend(looked_up(state));
    }
    all.extend(instructions(state));
    all.extend(offers(purpose, tools));
    all.extend(called(state));
    all.extend((Descriptor::of(purpose).request)(state, module));
    all
}

fn piece(layer: LayerName, rank: Rank, name: impl Into<String>, text: String) -> Piece {
    Piece {
        layer,
        name: name.into(),
        text,
        rank,
        keep: Keep::Head,
    }
}

fn task(state: &TaskState, purpose: Purpose, module: Option<&ModuleState>) -> Piece {
    let prompt = state
        .submission
        .as_ref()
        .map_or("", |submission| submission.prompt.trim());
    // What code completion is trained on, where the prompt is code.
    let text = match module {
        Some(module) if module.plan.completes_prompt => format!(
            "Complete the file `{}` that begins so.\n\n```python\n{prompt}\n```",
            path(&module.plan.name)
        ),
        _ if purpose == Purpose::Answer => format!("# The question\n{prompt}"),
        _ => format!("# The task\n{prompt}"),
    };
    piece(LayerName::State, Rank::Critical, "task", text)
}

fn plan(state: &TaskState, current: &ModuleState) -> Option<Piece> {
    if state.modules.len() < 2 {
        return None;
    }
    let mut text = String::from("# The modules");
    for module in &state.modules {
        // Only what does not change while a module is worked on: this layer must stay the same.
        let mark = if module.plan.name == current.plan.name {
            " (this one)"
        } else {
            ""
        };
        let _ = write!(
            text,
            "\n- {}{mark}: {}",
            module.plan.name, module.plan.purpose
        );
    }
    Some(piece(LayerName::State, Rank::Medium, "plan", text))
}

fn signatures(module: &PlannedModule) -> String {
    let mut text = String::new();
    for function in &module.functions {
        let _ = write!(text, "\n- `{}`: {}", function.signature, function.behaviour);
    }
    text
}

fn specification(module: &ModuleState) -> Piece {
    let plan = &module.plan;
    let text = format!(
        "# Module {}\n{}\nIt defines:{}",
        plan.name,
        plan.purpose,
        signatures(plan)
    );
    piece(
        LayerName::State,
        Rank::Critical,
        format!("specification of {}", plan.name),
        text,
    )
}

fn dependencies(state: &TaskState, module: &ModuleState) -> Vec<Piece> {
    let needed = module
        .plan
        .depends_on
        .iter()
        .filter_map(|name| state.module(name));
    needed
        .map(|dependency| {
            let plan = &dependency.plan;
            let text = format!(
                "# Module {} exists; import from it with `from {} import ...`\n{}",
                plan.name,
                plan.name,
                outline(dependency)
            );
            piece(
                LayerName::State,
                Rank::High,
                format!("outline of {}", plan.name),
                text,
            )
        })
        .collect()
}

/// The definitions of a module as they stand in its code, bodies left out.
fn outline(module: &ModuleState) -> String {
    let Some(code) = module.code() else {
        return signatures(&module.plan);
    };
    let lines: Vec<&str> = code
        .source
        .lines()
        .filter(|line| {
            let bare = line.trim_start();
            let indent = line.len() - bare.len();
            indent <= 4
                && ["def ", "class ", "async def "]
                    .iter()
                    .any(|word| bare.starts_with(word))
        })
        .collect();
    if lines.is_empty() {
        signatures(&module.plan)
    } else {
        lines.join("\n")
    }
}

/// The given tests, but for those that the prompt itself states.
fn given_tests(state: &TaskState, module: Option<&PlannedModule>) -> Vec<Piece> {
    state
        .given_tests()
        .iter()
        .filter(|test| test.origin == TestOrigin::File)
        .filter(|test| module.is_none_or(|module| module.given_tests.contains(&test.name)))
        .map(|test| {
            let text = format!(
                "# These tests must pass ({})\n```python\n{}\n```",
                test.name, test.source
            );
            piece(
                LayerName::State,
                Rank::High,
                format!("given tests {}", test.name),
                text,
            )
        })
        .collect()
}

fn instructions(state: &TaskState) -> Option<Piece> {
    if state.instructions.is_empty() {
        return None;
    }
    let text = format!("# The user also said\n{}", state.instructions.join("\n"));
    Some(piece(
        LayerName::History,
        Rank::Critical,
        "instructions",
        text,
    ))
}

/// The tools that may be called, and how that is written.
fn offers(purpose: Purpose, tools: &[ToolOffer]) -> Option<Piece> {
    if tools.is_empty() {
        return None;
    }
    let mut text = String::from("# Tools");
    if purpose != Purpose::LookUp {
        text.push_str(
            "\nIf you have to look something up first, answer with nothing but one to four blocks \
             like this:\n```tool\n{\"name\": \"...\", \"arguments\": {...}}\n```\n\
             You get what they say and are asked again. There are:",
        );
    }
    for tool in tools {
        let description: String = tool.description.chars().take(TOOL_CHARS_MAX).collect();
        let first = description.lines().next().unwrap_or_default();
        let _ = write!(
            text,
            "\n- {}: {first} Arguments: {}",
            tool.name,
            arguments(&tool.schema)
        );
    }
    Some(piece(LayerName::History, Rank::Medium, "tools", text))
}

/// The arguments of a tool in short: names and types, `?` at those that may be left out.
fn arguments(schema: &Value) -> String {
    let required = schema["required"].as_array();
    let is_required = |name: &str| required.is_some_and(|all| all.iter().any(|one| one == name));
    let members = schema["properties"].as_object().into_iter().flatten();
    let members = members.map(|(name, member)| {
        let mark = if is_required(name) { "" } else { "?" };
        let kind = match &member["type"] {
            Value::String(kind) => kind.as_str(),
            Value::Array(kinds) => kinds.first().and_then(Value::as_str).unwrap_or("any"),
            _ => "any",
        };
        format!("{name}{mark}: {kind}")
    });
    format!("{{{}}}", members.collect::<Vec<_>>().join(", "))
}

/// What the tools said to the agent at work.
fn called(state: &TaskState) -> Vec<Piece> {
    let calls = state.agent.iter().flat_map(|agent| &agent.calls);
    let pieces = calls.map(|call| {
        let arguments = Value::Object(call.request.arguments.clone());
        let text = format!("# {} {arguments} said\n{}", call.request.name, call.text);
        let name = format!("answer of {}", call.request.name);
        piece(LayerName::Current, Rank::High, name, text)
    });
    pieces.collect()
}

/// What was looked up before anything was planned: the same for all that follows.
fn looked_up(state: &TaskState) -> Vec<Piece> {
    let pieces = state.lookups.iter().map(|call| {
        let values = call.request.arguments.values().filter_map(Value::as_str);
        let about = values.collect::<Vec<_>>().join(", ");
        let about = if about.is_empty() {
            &call.request.name
        } else {
            &about
        };
        // Under the tool's name and without the last line, small models plan programs that call it.
        let text = format!(
            "# {about}\n```\n{}\n```\nThis is known already: the program must not read it.",
            call.text
        );
        piece(
            LayerName::State,
            Rank::High,
            format!("looked up {about}"),
            text,
        )
    });
    pieces.collect()
}

/// All of the code, and what is asked of it.
pub(crate) fn review_request(state: &TaskState) -> Vec<Piece> {
    let modules = state.modules.iter();
    let mut all: Vec<Piece> = modules
        .filter_map(|module| {
            let code = module.code()?;
            let path = path(&module.plan.name);
            let text = format!("# `{path}`\n```python\n{}\n```", code.source.trim_end());
            let name = format!("code of {}", module.plan.name);
            Some(piece(LayerName::Current, Rank::High, name, text))
        })
        .collect();
    let text = "Review the code.".to_owned();
    all.push(piece(LayerName::Current, Rank::Critical, "request", text));
    all
}

pub(crate) fn look_up_request() -> Piece {
    let text = "Which tools have to be called?".to_owned();
    piece(LayerName::Current, Rank::Critical, "request", text)
}

pub(crate) fn answer_request() -> Piece {
    let text = "Answer the question.".to_owned();
    piece(LayerName::Current, Rank::Critical, "request", text)
}

/// One line per round that was tested, the latest last.
fn rounds(module: &ModuleState) -> Option<Piece> {
    let (_, earlier) = module.runs.split_last()?;
    if earlier.is_empty() {
        return None;
    }
    let mut text = String::from("# Earlier attempts");
    for run in earlier
        .iter()
        .skip(earlier.len().saturating_sub(ROUNDS_SHOWN))
    {
        let _ = write!(text, "\n- {}", round(module.plan.name.clone(), run));
    }
    Some(piece(
        LayerName::History,
        Rank::Low,
        "earlier attempts",
        text,
    ))
}

fn round(module: ModuleName, run: &TestRun) -> String {
    let failing = run.tests.iter().find(|test| !test.passed);
    let cause = failing.map_or_else(
        || {
            run.output
                .lines()
                .next_back()
                .unwrap_or_default()
                .to_owned()
        },
        |test| {
            format!(
                "{}: {}",
                test.name,
                test.message.lines().next().unwrap_or_default()
            )
        },
    );
    format!(
        "version {}: {} of {} tests passed; {cause}",
        run.version_of(&module).unwrap_or_default(),
        run.passed(),
        run.tests.len(),
    )
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
    piece(LayerName::Current, Rank::Critical, "request", text)
}

fn path(module: &ModuleName) -> String {
    format!("{}.py", module.as_str().replace('.', "/"))
}

fn refusal(state: &TaskState) -> String {
    state.refusal.as_ref().map_or_else(String::new, |problem| {
        format!("Your last answer could not be used: {problem}\n\n")
    })
}

pub(crate) fn code_request(state: &TaskState, module: Option<&ModuleState>) -> Vec<Piece> {
    let Some(module) = module else {
        return Vec::new();
    };
    if module.plan.completes_prompt {
        let text = format!("{}Give the whole file.", refusal(state));
        return vec![piece(LayerName::Current, Rank::Critical, "request", text)];
    }
    let text = format!(
        "{}Write the file `{}`.",
        refusal(state),
        path(&module.plan.name)
    );
    vec![piece(LayerName::Current, Rank::Critical, "request", text)]
}

pub(crate) fn tests_request(state: &TaskState, module: Option<&ModuleState>) -> Vec<Piece> {
    let Some(module) = module else {
        return Vec::new();
    };
    let name = &module.plan.name;
    let text = format!(
        "{}Write pytest tests for module `{name}`: 4 to 8 test functions of one case each. \
         Begin with `import pytest` and `from {name} import ...`.",
        refusal(state)
    );
    vec![piece(LayerName::Current, Rank::Critical, "request", text)]
}

pub(crate) fn fix_request(state: &TaskState, module: Option<&ModuleState>) -> Vec<Piece> {
    let Some(module) = module else {
        return Vec::new();
    };
    let mut all = Vec::new();
    if let Some(code) = module.code() {
        let text = format!(
            "# `{}` as it is now\n```python\n{}\n```",
            path(&module.plan.name),
            code.source.trim_end()
        );
        all.push(piece(LayerName::Current, Rank::High, "current code", text));
    }
    if let Some(run) = module.runs.last().filter(|run| run.failure.is_some()) {
        let text = format!("# What fails\n{}", failures(run));
        all.push(Piece {
            keep: Keep::Tail,
            ..piece(LayerName::Current, Rank::High, "test results", text)
        });
    } else if let Some(bug) = &module.bug {
        let text = format!("# What fails\n{}", bug.summary);
        all.push(piece(LayerName::Current, Rank::High, "bug report", text));
    }
    let text = format!(
        "{}Correct the file `{}` so that these tests pass.",
        refusal(state),
        path(&module.plan.name)
    );
    all.push(piece(LayerName::Current, Rank::Critical, "request", text));
    all
}

/// What matters of a failed run: the first few failing tests, else the end of the output.
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
