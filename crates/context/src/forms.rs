//! The forms in which the code of a module is asked for. Where a form has nothing of its own to say about a module, it is
//! not one of that module's forms, so that two forms never give the same prompt.

use journeyman_event::TaskState;
use journeyman_event::payload::{Form, TestOrigin};
use journeyman_event::state::ModuleState;
use journeyman_language::of_task;

use crate::piece::{LayerName, Piece, Rank, piece};

/// The kind of server that goes on with an answer whose beginning it is given.
const CONTINUES: &str = "llama.cpp";

/// The forms in which this module's code can be asked for, in the order of [`Form::ALL`].
pub fn forms_of(task: &TaskState, module: &ModuleState) -> Vec<Form> {
    let started = task.started.as_ref();
    let is_possible = |form: &Form| match form {
        Form::File => true,
        Form::Prefill => started.is_some_and(|started| started.server == CONTINUES),
        Form::Description => description(task, module).is_some(),
        Form::Asserts => asserts(task, module).is_some(),
    };
    Form::ALL.into_iter().filter(is_possible).collect()
}

/// The beginning of an answer in the form [`Form::Prefill`]: a code block with what the user began, if that is so.
pub fn opening(task: &TaskState, module: &ModuleState) -> String {
    let fence = of_task(task).prompt_texts().fence;
    let began = if module.plan.completes_prompt {
        format!("{}\n", task.prompt().trim())
    } else {
        String::new()
    };
    format!("```{fence}\n{began}")
}

/// What the user's beginning of a file asks for, in words; `None` if the task is told in words as it is.
pub(crate) fn description(task: &TaskState, module: &ModuleState) -> Option<String> {
    let stub = module.plan.completes_prompt.then(|| task.prompt())?;
    let language = of_task(task);
    let described = language.described(stub)?;
    let path = language.module_path(module.plan.name.as_str());
    let signature = language.prompt_texts().block(&described.signature);
    Some(format!(
        "# The task\nWrite the file `{path}` with this function:\n{signature}\n{}",
        described.text
    ))
}

/// The examples of the prompt as assertions; `None` if it has none.
pub(crate) fn asserts(task: &TaskState, module: &ModuleState) -> Option<Piece> {
    let language = of_task(task);
    let tests = task.given_tests().iter();
    let examples = tests.filter(|test| {
        let is_example = matches!(test.origin, TestOrigin::Examples | TestOrigin::Assertions);
        is_example && module.plan.given_tests.contains(&test.name)
    });
    let lines: Vec<String> = examples
        .flat_map(|test| language.assertions(test))
        .collect();
    if lines.is_empty() {
        return None;
    }
    let block = language.prompt_texts().block(&lines.join("\n"));
    let text = format!("These assertions hold:\n{block}");
    Some(piece(LayerName::Current, Rank::High, "assertions", text))
}
