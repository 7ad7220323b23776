//! Turns an answer that is a file into facts: a version of the module's code, or its tests.

use std::borrow::Cow;

use journeyman_context::opening;
use journeyman_event::TaskState;
use journeyman_event::payload::{CodeOrigin, CorrectionCompleted, Form, Purpose, TestsGenerated};
use journeyman_event::state::{ModuleState, PendingAnswer};
use journeyman_language::of_task;

use crate::answer::file_cut_off;
use crate::fact::{Fact, Role};

/// The facts that follow from an answer. The error says what is wrong with it, worded for the model.
pub(super) fn facts(
    task: &TaskState,
    module: &ModuleState,
    answer: &PendingAnswer,
) -> Result<Vec<Fact>, String> {
    if answer.purpose != Purpose::Tests {
        return Ok(new_version(module, code_file(task, module, answer)?));
    }
    let language = of_task(task);
    let cut = file_cut_off(language, answer);
    let source = language.tests_in_answer(&answer.text, cut.as_deref())?;
    let source = language.with_full_imports(&source, &module_names(task));
    let names = planned_names(task, module);
    let source = language.tests_of(&source, module.plan.name.as_str(), &names);
    let tests = TestsGenerated { source };
    let fact = Fact::of_module(Role::Tester, &module.plan.name, tests);
    Ok(vec![fact])
}

/// A module's complete file from an answer. Omitted parts that exist already are put back: helpers and imports
/// in the prompt, and what a correction left unchanged. The error says what is wrong, worded for the model.
fn code_file(
    state: &TaskState,
    module: &ModuleState,
    answer: &PendingAnswer,
) -> Result<String, String> {
    let language = of_task(state);
    let names = planned_names(state, module);
    let answer = &*with_opening(state, module, answer);
    let cut = file_cut_off(language, answer);
    let source = language.code_in_answer(&answer.text, cut.as_deref(), &names)?;
    let source = language.without_own_imports(&source, module.plan.name.as_str());
    let mut source = language.with_full_imports(&source, &module_names(state));
    let prompt = state.submission.as_ref().map(|asked| asked.prompt.as_str());
    let began = prompt.filter(|_| module.plan.completes_prompt);
    let corrected = module.code().filter(|_| answer.purpose == Purpose::Fix);
    let known = [corrected.map(|code| code.source.as_str()), began];
    let known: Vec<&str> = known.into_iter().flatten().collect();
    source = language.restore_unchanged(&source, &known)?;
    for known in known {
        source = language.completed_from(&source, known, &names);
    }
    match language.undefined(&source, &names).as_slice() {
        [] => Ok(source),
        missing => Err(format!(
            "its file does not define {}; give the whole file, with everything in it",
            missing.join(", ")
        )),
    }
}

/// The answer with the beginning that it was given, unless the model began anew.
fn with_opening<'a>(
    state: &TaskState,
    module: &ModuleState,
    answer: &'a PendingAnswer,
) -> Cow<'a, PendingAnswer> {
    let fence = format!("```{}", of_task(state).prompt_texts().fence);
    if answer.form != Form::Prefill || answer.text.contains(&fence) {
        return Cow::Borrowed(answer);
    }
    Cow::Owned(PendingAnswer {
        text: opening(state, module) + &answer.text,
        ..answer.clone()
    })
}

fn planned_names<'m>(state: &TaskState, module: &'m ModuleState) -> Vec<&'m str> {
    let language = of_task(state);
    let functions = module.plan.functions.iter();
    let names = functions.filter_map(|function| language.defined_name(&function.signature));
    names.collect()
}

fn module_names(state: &TaskState) -> Vec<&str> {
    let modules = state.modules.iter();
    modules.map(|module| module.plan.name.as_str()).collect()
}

fn new_version(module: &ModuleState, source: String) -> Vec<Fact> {
    let name = &module.plan.name;
    let version = module.version();
    let Some(from_version) = module.rounds.correcting else {
        return vec![Fact::new_code(
            Role::Coder,
            name,
            version + 1,
            CodeOrigin::Generated,
            source,
        )];
    };
    let unchanged = module.code().is_some_and(|code| code.source == source);
    let to_version = if unchanged { version } else { version + 1 };
    let completed = CorrectionCompleted {
        from_version,
        to_version,
    };
    let mut facts = Vec::new();
    if !unchanged {
        facts.push(Fact::new_code(
            Role::Fixer,
            name,
            to_version,
            CodeOrigin::Corrected,
            source,
        ));
    }
    facts.push(Fact::of_module(Role::Fixer, name, completed));
    facts
}

#[cfg(test)]
mod tests {
    use journeyman_event::payload::{PlannedFunction, PlannedModule, TaskSubmitted};
    use journeyman_event::{EventId, ModuleName};

    use super::*;

    #[test]
    fn an_answer_whose_beginning_was_given_is_read_with_it_unless_the_model_began_anew()
    -> Result<(), String> {
        let name = ModuleName::new("solution").map_err(|error| error.to_string())?;
        let stub = "import math\n\ndef area(r):\n    \"\"\"Of a circle.\"\"\"\n";
        let module = ModuleState::new(PlannedModule {
            name: name.clone(),
            purpose: String::new(),
            functions: vec![PlannedFunction {
                signature: "def area(r)".to_owned(),
                behaviour: String::new(),
            }],
            depends_on: Vec::new(),
            given_tests: Vec::new(),
            completes_prompt: true,
        });
        let task = TaskState {
            submission: Some(TaskSubmitted::of(stub)),
            ..TaskState::default()
        };
        let body = "    return math.pi * r ** 2\n";
        let whole = format!("{stub}{body}");
        for (form, text) in [
            (Form::Prefill, format!("{body}```\nThat is it.")),
            (Form::Prefill, body.to_owned()),
            (Form::Prefill, format!("```python\n{whole}```")),
            (Form::File, format!("```python\n{whole}```")),
        ] {
            let answer = PendingAnswer {
                event: EventId::from_bytes([0; 16]),
                purpose: Purpose::Code,
                form,
                module: Some(name.clone()),
                text,
                cut_short: false,
                repeated: None,
            };
            assert_eq!(code_file(&task, &module, &answer)?, whole, "{answer:?}");
        }
        Ok(())
    }
}
