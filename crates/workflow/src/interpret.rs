//! Turns a model's answer into facts. Answers about the task as a whole are handled here, those about a module by
//! its strategy.

use journeyman_context::may_ask;
use journeyman_event::payload::{
    AgentOutcome, AnswerRejected, PlanningComplete, PlanningRejected, Purpose,
};
use journeyman_event::state::PendingAnswer;
use journeyman_event::{ModuleName, Payload, TaskState};
use journeyman_language::of_task;

use crate::agent_lifecycle::{completed, step};
use crate::answer::{cut_off, reply, review, summary};
use crate::fact::{Fact, Role};
use crate::plan::{plan_of_answer, questions_in_answer};
use crate::strategy::ModuleStrategy;

/// The facts that follow from a model's answer, including the end of the agent that asked for it.
pub(crate) fn facts_of(
    state: &TaskState,
    strategy: &dyn ModuleStrategy,
    answer: &PendingAnswer,
) -> Vec<Fact> {
    let module = answer.module.as_ref();
    let (mut facts, outcome) = match step(state, answer) {
        Ok(Some(step)) => return vec![step.caused_by(answer.event)],
        Ok(None) => {
            let facts = facts_in(state, strategy, answer);
            let is_refused = |fact: &Fact| {
                matches!(
                    fact.payload,
                    Payload::AnswerRejected(_) | Payload::PlanningRejected(_)
                )
            };
            let outcome = if facts.iter().any(is_refused) {
                AgentOutcome::Rejected
            } else {
                AgentOutcome::Done
            };
            (facts, outcome)
        }
        Err(problem) => (
            vec![refuse(answer.purpose, module, &problem)],
            AgentOutcome::Rejected,
        ),
    };
    let agent = state.agent(answer.module.as_ref());
    facts.extend(agent.map(|agent| completed(agent, outcome)));
    facts
        .into_iter()
        .map(|fact| fact.caused_by(answer.event))
        .collect()
}

fn facts_in(state: &TaskState, strategy: &dyn ModuleStrategy, answer: &PendingAnswer) -> Vec<Fact> {
    match (
        answer.purpose,
        answer.module.as_ref().and_then(|name| state.module(name)),
    ) {
        (Purpose::Review, _) => vec![Fact::of_task(Role::Reviewer, review(answer))],
        (Purpose::ModuleSummary | Purpose::TaskSummary, _) => vec![match summary(state, answer) {
            Ok(summary) => Fact {
                module: answer.module.clone(),
                ..Fact::of_task(Role::Summariser, summary)
            },
            Err(problem) => refuse(answer.purpose, answer.module.as_ref(), &problem),
        }],
        (Purpose::Answer, _) => vec![match reply(answer) {
            Ok(reply) => Fact::of_task(Role::Planner, reply),
            Err(problem) => refuse(Purpose::Answer, None, &problem),
        }],
        // Nothing more is to be looked up.
        (Purpose::LookUp, _) => Vec::new(),
        (Purpose::Plan, _) => vec![Fact::of_task(Role::Planner, plan_or_refusal(state, answer))],
        (purpose, None) => vec![refuse(
            purpose,
            None,
            "it is for a module that does not exist",
        )],
        (purpose, Some(module)) => match strategy.read(state, module, answer) {
            Ok(facts) => facts,
            Err(problem) => vec![refuse(purpose, Some(&module.plan.name), &problem)],
        },
    }
}

fn plan_or_refusal(state: &TaskState, answer: &PendingAnswer) -> Payload {
    let may_ask = may_ask(state);
    let shorter = "it was cut off; plan fewer modules with shorter descriptions";
    if let Some(asked) = questions_in_answer(&answer.text).filter(|_| may_ask) {
        return asked.into();
    }
    let (language, tests) = (of_task(state), state.given_tests());
    let read = plan_of_answer(language, &answer.text, state.prompt(), tests);
    // Of an answer that was cut off the plan may be whole: some servers say that of every answer.
    match read.map_err(|problem| cut_off(answer, shorter).unwrap_or(problem)) {
        Ok(PlanningComplete { modules, repairs }) => PlanningComplete { modules, repairs }.into(),
        Err(problem) => PlanningRejected { problem }.into(),
    }
}

fn refuse(purpose: Purpose, module: Option<&ModuleName>, problem: &str) -> Fact {
    let rejected = AnswerRejected {
        purpose,
        problem: problem.to_owned(),
    };
    Fact {
        module: module.cloned(),
        ..Fact::of_task(Role::Conductor, rejected)
    }
}

#[cfg(test)]
mod tests {
    use journeyman_event::payload::TaskSubmitted;

    use super::*;

    #[test]
    fn a_plan_whose_json_is_whole_is_used_whatever_is_said_of_its_end() {
        let plan = r#"{"modules": [{"name": "core", "functions": [{"signature": "def f(x: int) -> int"}]}]}"#;
        let asks = r#"{"questions": ["Which file?"]}"#;
        for (text, cut_short, repeated, expected) in [
            (plan, false, None, "planning_complete"),
            (plan, true, None, "planning_complete"),
            (plan, true, Some("x"), "planning_complete"),
            (asks, true, None, "questions_asked"),
            (
                &plan[..plan.len() - 2],
                true,
                None,
                "it was cut off; plan fewer modules",
            ),
            (
                &plan[..plan.len() - 2],
                true,
                Some("x"),
                "the same again and again",
            ),
            (&plan[..plan.len() - 2], false, None, "its JSON"),
        ] {
            let answer = PendingAnswer {
                event: journeyman_event::EventId::from_bytes([0; 16]),
                purpose: Purpose::Plan,
                form: journeyman_event::payload::Form::default(),
                module: None,
                text: text.to_owned(),
                cut_short,
                repeated: repeated.map(str::to_owned),
            };
            let state = TaskState {
                submission: Some(TaskSubmitted {
                    ask: true,
                    ..TaskSubmitted::of("Write something.".to_owned())
                }),
                ..TaskState::default()
            };
            let read = plan_or_refusal(&state, &answer);
            let told = match &read {
                Payload::PlanningRejected(rejected) => rejected.problem.as_str(),
                other => other.kind(),
            };
            assert!(told.contains(expected), "{text} {cut_short}: {told}");
        }
    }
}
