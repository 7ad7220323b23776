//! When the model is asked for a summary, and what stands in for one that it does not give.

use journeyman_event::payload::{Purpose, Summary, SummaryCompleted, SummaryOrigin};
use journeyman_event::state::{ModuleState, Summarised};
use journeyman_event::{ModuleName, TaskState};
use journeyman_knowledge::{module_summary, task_summary};

use super::{Step, TOKENS_MIN, ask_about, is_free};
use crate::fact::{Fact, Role};

/// How often the model is asked for a summary: once, and once more with the reason why the first could not be used.
const ATTEMPTS_MAX: u32 = 2;
/// Why the model was not asked.
const NO_TOKENS: &str = "no tokens are left for it";

/// The step for the first complete module that has no summary yet. It is made before the modules that may need it.
pub(super) fn of_modules(state: &TaskState) -> Option<Step> {
    if !is_wanted(state) {
        return None;
    }
    let mut modules = state.modules.iter();
    let module = modules.find(|module| is_open(module) && is_free(state, &module.plan.name))?;
    let name = &module.plan.name;
    let extracted = || module_summary(state, name.as_str()).map(Summary::Module);
    step(
        state,
        Some(name),
        Purpose::ModuleSummary,
        &module.summarised,
        extracted,
    )
}

/// The step for the task as a whole, once everything else is done.
pub(super) fn of_task(state: &TaskState) -> Option<Step> {
    let extracted = || Some(Summary::Task(task_summary(state)));
    let step = step(
        state,
        None,
        Purpose::TaskSummary,
        &state.summarised,
        extracted,
    );
    step.filter(|_| is_wanted(state))
}

fn is_wanted(state: &TaskState) -> bool {
    let asked = state.submission.as_ref();
    asked.is_some_and(|asked| asked.summaries)
}

fn is_open(module: &ModuleState) -> bool {
    module.completion.is_some() && module.code().is_some() && module.summarised.summary.is_none()
}

fn step(
    state: &TaskState,
    module: Option<&ModuleName>,
    purpose: Purpose,
    summarised: &Summarised,
    extracted: impl FnOnce() -> Option<Summary>,
) -> Option<Step> {
    let refusals = &summarised.refusals;
    if summarised.summary.is_some() {
        return None;
    }
    let has_tokens = state.token_budget_left() >= TOKENS_MIN;
    if refusals.count < ATTEMPTS_MAX && has_tokens {
        return Some(ask_about(module.cloned(), purpose, refusals.count));
    }
    let completed = SummaryCompleted {
        origin: SummaryOrigin::Extracted,
        summary: extracted()?,
        problem: Some(
            refusals
                .last
                .clone()
                .unwrap_or_else(|| NO_TOKENS.to_owned()),
        ),
    };
    Some(Step::Record(vec![Fact {
        module: module.cloned(),
        ..Fact::of_task(Role::Summariser, completed)
    }]))
}

#[cfg(test)]
mod tests {
    use journeyman_event::Payload;
    use journeyman_event::payload::TaskSubmitted;
    use journeyman_event::state::PendingAnswer;
    use serde_json::{from_value, json};

    use super::*;
    use crate::answer::summary;

    #[test]
    fn a_summary_that_breaks_off_is_asked_for_once_more_and_then_taken_from_the_history() {
        let mut state = TaskState {
            submission: Some(TaskSubmitted {
                summaries: true,
                ..TaskSubmitted::of("Make a thing")
            }),
            ..TaskState::default()
        };
        let torn: PendingAnswer = from_value(json!({
            "event": "00000000-0000-7000-8000-000000000000",
            "purpose": "task_summary",
            "module": null,
            "text": r#"{"summary": "It adds two num"#,
            "cut_short": false,
        }))
        .unwrap();
        let mut temperatures = Vec::new();
        for attempt in 1..=ATTEMPTS_MAX {
            let Some(Step::CallModel { temperature, .. }) = of_task(&state) else {
                panic!("call {attempt} is not made");
            };
            temperatures.push(temperature);
            let problem = summary(&state, &torn).unwrap_err();
            assert!(!problem.is_empty());
            state.summarised.refusals.count = attempt;
            state.summarised.refusals.last = Some(problem);
        }
        assert!(temperatures[1] > temperatures[0], "{temperatures:?}");
        let Some(Step::Record(facts)) = of_task(&state) else {
            panic!("nothing stands in for it");
        };
        let Payload::SummaryCompleted(made) = &facts[0].payload else {
            panic!("{facts:?}");
        };
        assert_eq!(made.origin, SummaryOrigin::Extracted);
        assert_eq!(made.problem, state.summarised.refusals.last);
        assert_eq!(made.summary, Summary::Task(task_summary(&state)));
    }
}
