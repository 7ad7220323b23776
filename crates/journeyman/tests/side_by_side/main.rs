//! Modules that do not depend on each other are worked on side by side, and whatever becomes of one of several
//! effects, each has its intent, its one outcome, and its place in the budget.

#![allow(clippy::unwrap_used, clippy::expect_used)] // a test fails by panicking

#[path = "../../src/environment.rs"]
mod environment;
#[path = "../common/no_effects.rs"]
mod no_effects;
mod shop;

use std::sync::Arc;

use journeyman_event::payload::{
    AgentStarted, CodeOrigin, EffectRetried, FailureReason, Interruption, Limits, Purpose,
    TaskSubmitted, ToolExecuting, ToolOutcome,
};
use journeyman_event::state::{Ending, Status};
use journeyman_event::{Event, ModuleName, Payload, Tokens};
use journeyman_workflow::{Fact, Role, StopReason};
use shop::{End, Fate, Model, Shop, most_at_once, told};
use tokio::sync::{Barrier, Notify};

fn asked() -> TaskSubmitted {
    TaskSubmitted::of("Make three modules.")
}

fn name(module: &str) -> ModuleName {
    ModuleName::new(module).unwrap()
}

/// Two calls that never end by themselves: those for the code of `a` and of `b`.
async fn with_two_under_way(asked: TaskSubmitted) -> Shop {
    let shop = Shop::with(None, asked).await;
    shop.model.next("a", Fate::Never);
    shop.model.next("b", Fate::Never);
    shop
}

fn interruptions(events: &[Event]) -> Vec<(&str, Interruption)> {
    let told = events.iter().filter_map(|event| match event.payload() {
        Payload::EffectInterrupted(interrupted) => {
            Some((event.module().unwrap().as_str(), interrupted.reason))
        }
        _ => None,
    });
    told.collect()
}

#[tokio::test]
async fn what_does_not_depend_on_each_other_is_asked_for_at_the_same_time() {
    let shop = Shop::with(None, asked()).await;
    // Each is answered only while the other is under way.
    let both = Arc::new(Barrier::new(2));
    shop.model
        .next("a", Fate::With(both.clone(), End::Answered));
    shop.model.next("b", Fate::With(both, End::Answered));
    let state = shop.work().await;
    assert_eq!(state.status, Status::Complete, "{:?}", state.ending);
    let events = shop.events().await;
    assert!(most_at_once(&events).1 > 1);
    // What depends on another one waits for it.
    let order = told(&events, &["module_started", "module_complete"]);
    let at = |wanted: (&str, &str)| order.iter().position(|told| *told == wanted).unwrap();
    assert!(at(("module_complete", "p.a")) < at(("module_started", "p.c")));
    assert!(at(("module_started", "p.b")) < at(("module_complete", "p.a")));
}

#[tokio::test]
async fn with_one_place_calls_are_made_one_after_the_other() {
    let shop = Shop::with(Some(1), asked()).await;
    let state = shop.work().await;
    assert_eq!(state.status, Status::Complete, "{:?}", state.ending);
    let events = shop.events().await;
    let (effects, calls) = most_at_once(&events);
    assert_eq!((effects, calls), (2, 1), "a run of tests beside a call");
    // A module is begun when there is a place for its call, and not before.
    let began = told(&events, &["module_started", "model_call_started"]);
    for two in began.windows(2) {
        let (now, next) = (two[0], two[1]);
        let is_begun = now.0 != "module_started" || next == ("model_call_started", now.1);
        assert!(is_begun, "{began:?}");
    }
}

#[tokio::test]
async fn whatever_stops_it_every_effect_has_its_outcome_before_and_it_goes_on_with_each() {
    for (why, kind) in [
        (StopReason::Interrupted, "task_paused"),
        (StopReason::Shutdown, "task_paused"),
        (StopReason::Paused, "task_paused"),
        (StopReason::Cancelled, "task_cancelled"),
        (
            StopReason::Preempted {
                by: "other".parse().unwrap(),
            },
            "task_preempted",
        ),
    ] {
        let shop = with_two_under_way(asked()).await;
        let state = shop.stop_when(|model| model.open() == 2, why.clone()).await;
        assert!(state.effects.is_empty());
        // What was asked of the model for both is spent.
        assert_eq!(state.spent, Tokens(1_050 + 2 * 1_007), "{why:?}");
        let events = shop.events().await;
        let requested = Interruption::Requested;
        let mut interrupted = interruptions(&events);
        interrupted.sort_unstable_by_key(|(module, _)| *module);
        assert_eq!(interrupted, [("p.a", requested), ("p.b", requested)]);
        assert_eq!(events.last().unwrap().kind(), kind);
        if why == StopReason::Cancelled {
            assert_eq!(state.status, Status::Cancelled);
            let ended = told(&events, &["agent_completed"]);
            assert_eq!(ended.len(), 3, "no agent is left: {ended:?}");
            continue;
        }
        let state = shop.work().await;
        assert_eq!(
            state.status,
            Status::Complete,
            "{why:?}: {:?}",
            state.ending
        );
        most_at_once(&shop.events().await);
    }
}

#[tokio::test]
async fn after_a_crash_each_effect_is_made_again_visibly_and_only_so_often() {
    let shop = Shop::with(None, asked()).await;
    for _ in 0..EffectRetried::ATTEMPTS_MAX {
        shop.model.next("a", Fate::Never);
        shop.model.next("b", Fate::Never);
    }
    for attempt in 1..=EffectRetried::ATTEMPTS_MAX {
        shop.crash_with(2).await;
        let events = shop.events().await;
        let retried = events.iter().filter_map(|event| match event.payload() {
            Payload::EffectRetried(retried) => {
                Some((retried.attempt, event.module().unwrap().as_str()))
            }
            _ => None,
        });
        let expected = (2..=attempt).flat_map(|attempt| [(attempt, "p.a"), (attempt, "p.b")]);
        assert!(retried.eq(expected), "after {attempt} crashes");
        most_at_once(&events);
    }
    let state = shop.work().await;
    let events = shop.events().await;
    let crashes = Interruption::Crashes;
    assert_eq!(interruptions(&events), [("p.a", crashes), ("p.b", crashes)]);
    let reason = FailureReason::Crashes;
    assert!(
        matches!(&state.ending, Some(Ending::Failed { reason: failed, .. }) if *failed == reason)
    );
}

#[tokio::test]
async fn after_one_crash_it_goes_on_to_the_result_and_no_outcome_is_there_twice() {
    let shop = with_two_under_way(asked()).await;
    shop.crash_with(2).await;
    let state = shop.work().await;
    assert_eq!(state.status, Status::Complete, "{:?}", state.ending);
    most_at_once(&shop.events().await);
    // Made again, and once each: the code and the tests of each module.
    let calls = ["a", "b", "c"].map(|about| shop.model.calls_about(about));
    assert_eq!(calls, [3, 3, 2]);
}

#[tokio::test]
async fn a_tool_call_that_may_not_be_repeated_is_lost_visibly_and_a_call_beside_it_made_again() {
    let shop = with_two_under_way(asked()).await;
    shop.crash_with(2).await;
    let (agent, tools) = ("a9".to_owned(), vec!["send".to_owned()]);
    let module = name("p.b");
    // The agent of `b` had called a tool when the process died again.
    let events = shop.events().await;
    let call = events
        .iter()
        .rfind(|event| event.kind() == "model_call_started" && event.module() == Some(&module));
    let interrupted = journeyman_event::payload::EffectInterrupted {
        reason: Interruption::Requested,
        tokens: Tokens::ZERO,
    };
    let facts = vec![
        Fact::of_module(Role::Conductor, &module, interrupted).caused_by(call.unwrap().id()),
        Fact::of_module(
            Role::Coder,
            &module,
            AgentStarted {
                agent: agent.clone(),
                purpose: Purpose::Code,
                tools,
            },
        ),
        Fact::of_module(
            Role::Coder,
            &module,
            ToolExecuting {
                agent: Some(agent),
                tool: "send".to_owned(),
                arguments: serde_json::Map::new(),
                repeatable: false,
            },
        ),
    ];
    shop.record(facts).await;
    let state = shop.work().await;
    assert_eq!(state.status, Status::Complete, "{:?}", state.ending);
    let events = shop.events().await;
    let resumed = events
        .iter()
        .rposition(|event| event.kind() == "task_resumed");
    let after = &events[resumed.unwrap() + 1..];
    let of = |kind| after.iter().find(|event| event.kind() == kind).unwrap();
    assert_eq!(of("effect_retried").module(), Some(&name("p.a")));
    let lost = of("tool_completed");
    assert_eq!(lost.module(), Some(&module));
    assert!(
        matches!(lost.payload(), Payload::ToolCompleted(done) if done.outcome == ToolOutcome::Unknown)
    );
}

#[tokio::test]
async fn what_the_user_writes_of_one_module_takes_nothing_from_the_other() {
    let shop = Shop::with(None, asked()).await;
    let both = Arc::new(Notify::new());
    shop.model.next("a", Fate::At(both.clone(), End::Answered));
    shop.model.next("b", Fate::At(both.clone(), End::Answered));
    let meddle = async {
        shop.until(|model| model.open() == 2).await;
        let source = "def f():\n    return 1  # the user's\n";
        shop.record(vec![Shop::edited("p.a", 1, source)]).await;
        both.notify_waiters();
    };
    let (state, ()) = tokio::join!(shop.work(), meddle);
    assert_eq!(state.status, Status::Complete, "{:?}", state.ending);
    let origins = |module: &str| {
        let module = state.module(&name(module)).unwrap();
        let origins = module.versions.iter().map(|code| code.origin);
        origins.collect::<Vec<_>>()
    };
    assert_eq!(origins("p.a"), [CodeOrigin::Edited]);
    assert_eq!(origins("p.b"), [CodeOrigin::Generated]);
}

#[tokio::test]
async fn a_busy_server_lets_one_module_rest_and_the_other_goes_on() {
    let shop = Shop::with(None, asked()).await;
    let (busy, moment) = (Arc::new(Notify::new()), Arc::new(Notify::new()));
    shop.model.next("a", Fate::At(busy.clone(), End::Busy));
    shop.model
        .next("b", Fate::At(moment.clone(), End::Answered));
    // The call is made again while the other one is still under way.
    let again = async {
        shop.until(|model| model.open() == 2).await;
        busy.notify_one();
        shop.until(|model| model.calls_about("a") > 1).await;
        moment.notify_one();
    };
    let (state, ()) = tokio::join!(shop.work(), again);
    assert_eq!(state.status, Status::Complete, "{:?}", state.ending);
    let events = shop.events().await;
    assert_eq!(interruptions(&events), [("p.a", Interruption::ModelBusy)]);
    assert_eq!(told(&events, &["task_paused"]), []);
}

#[tokio::test]
async fn what_was_answered_for_one_module_is_used_while_another_waits_for_a_busy_server() {
    let shop = Shop::with(None, asked()).await;
    let (busy, moment) = (Arc::new(Notify::new()), Arc::new(Notify::new()));
    shop.model
        .next("a", Fate::At(busy.clone(), End::BusyForLong));
    shop.model
        .next("b", Fate::At(moment.clone(), End::Answered));
    let used = async {
        shop.until(|model| model.open() == 2).await;
        busy.notify_one();
        shop.until(|model| model.open() == 1).await;
        moment.notify_one();
        // Then the task rests, for an hour.
        shop.until_recorded("task_paused").await
    };
    let events = tokio::select! {
        state = shop.work() => panic!("{:?}", state.ending),
        events = used => events,
    };
    let told = told(&events, &["code_generated", "task_paused"]);
    let kinds: Vec<&str> = told.iter().map(|(kind, _)| *kind).collect();
    assert_eq!(kinds, ["code_generated", "task_paused"]);
    assert_eq!(interruptions(&events), [("p.a", Interruption::ModelBusy)]);
}

#[tokio::test]
async fn a_server_that_dies_of_several_calls_has_died_once() {
    let shop = Shop::with(None, asked()).await;
    let both = Arc::new(Barrier::new(2));
    shop.model.next("a", Fate::With(both.clone(), End::Broken));
    shop.model.next("b", Fate::With(both, End::Broken));
    shop.model.next("a", Fate::Never);
    shop.model.next("b", Fate::Never);
    let twice = |model: &Model| ["a", "b"].iter().all(|about| model.calls_about(about) == 2);
    let state = shop.stop_when(twice, StopReason::Paused).await;
    assert_eq!(state.broken_calls, 1);
    let events = shop.events().await;
    let unreachable = Interruption::ModelUnreachable;
    let broken = interruptions(&events);
    let broken = broken.iter().filter(|(_, reason)| *reason == unreachable);
    assert_eq!(broken.count(), 2);
    let told = told(
        &events,
        &["effect_interrupted", "task_paused", "task_resumed"],
    );
    let paused = told.iter().position(|(kind, _)| *kind == "task_paused");
    assert_eq!(
        paused,
        Some(2),
        "it rests when nothing is under way: {told:?}"
    );
    let state = shop.work().await;
    assert_eq!(state.status, Status::Complete, "{:?}", state.ending);
}

#[tokio::test]
async fn several_calls_never_promise_more_than_the_budget() {
    for (budget, expected) in [(6_000, 1), (9_000, 2)] {
        let mut asked = asked();
        asked.limits.tokens_max = Some(Tokens(budget));
        let shop = Shop::with(None, asked).await;
        // Where there is room for two calls, neither is answered before both are under way.
        let together = Arc::new(Barrier::new(expected));
        for module in &["a", "b"][..expected] {
            let answered = Fate::With(together.clone(), End::Answered);
            shop.model.next(module, answered);
        }
        let state = shop.work().await;
        assert!(state.spent <= Tokens(budget));
        let events = shop.events().await;
        assert_eq!(most_at_once(&events).1, expected, "with {budget} tokens");
        // Nothing is refused because of a call that was only under way.
        assert_eq!(
            told(&events, &["context_refused"]).len(),
            usize::from(state.status == Status::Failed)
        );
    }
}

#[tokio::test]
async fn at_the_time_limit_all_that_is_under_way_is_stopped() {
    let mut asked = asked();
    asked.limits = Limits {
        active_ms_max: 1_500,
        ..Limits::default()
    };
    let shop = with_two_under_way(asked).await;
    let state = shop.work().await;
    let events = shop.events().await;
    let mut interrupted = interruptions(&events);
    interrupted.sort_unstable_by_key(|(module, _)| *module);
    let limit = Interruption::TimeLimit;
    assert_eq!(interrupted, [("p.a", limit), ("p.b", limit)]);
    let reason = FailureReason::Timeout;
    assert!(
        matches!(&state.ending, Some(Ending::Failed { reason: failed, .. }) if *failed == reason)
    );
}

#[tokio::test]
async fn a_task_that_fails_ends_when_nothing_is_under_way_any_more() {
    let shop = Shop::with(None, asked()).await;
    let (rejected, moment) = (Arc::new(Notify::new()), Arc::new(Notify::new()));
    shop.model
        .next("a", Fate::At(rejected.clone(), End::Rejected));
    shop.model
        .next("b", Fate::At(moment.clone(), End::Answered));
    let later = async {
        shop.until(|model| model.open() == 2).await;
        rejected.notify_one();
        shop.until(|model| model.open() == 1).await;
        moment.notify_one();
    };
    let (state, ()) = tokio::join!(shop.work(), later);
    assert_eq!(state.status, Status::Failed);
    let told = told(
        &shop.events().await,
        &["model_call_failed", "model_call_completed", "task_failed"],
    )
    .into_iter()
    .map(|(kind, _)| kind.to_owned())
    .collect::<Vec<_>>();
    let end = &told[told.len() - 3..];
    assert_eq!(
        end,
        ["model_call_failed", "model_call_completed", "task_failed"]
    );
}
