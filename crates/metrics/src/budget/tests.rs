use std::sync::atomic::{AtomicU64, Ordering};

use journeyman_event::SeededRandom;
use journeyman_event::SteppedTime;
use proptest::prelude::*;

use super::*;

fn rule(owner: &str, limit: &str, period: Period, mode: Mode) -> Rule {
    Rule {
        name: format!("{owner}-{limit}"),
        owner: Some(owner.to_owned()),
        key: None,
        project: None,
        task: None,
        limit: limit.parse().unwrap(),
        period,
        time_zone: utc(),
        mode,
        thresholds: usual_thresholds(),
    }
}

fn who(owner: &str) -> Who {
    Who {
        owner: owner.into(),
        key: None,
        project: None,
        task: "t-1".into(),
    }
}

fn at(text: &str) -> Timestamp {
    text.parse().unwrap()
}

fn usd(text: &str) -> PicoUsd {
    text.parse().unwrap()
}

fn call(number: u64) -> EventId {
    EventId::new(&SteppedTime::default(), &SeededRandom::new(number))
}

/// A call that costs this, from reservation to outcome.
fn spend(
    budgets: &Budgets,
    who: &Who,
    number: u64,
    cost: &str,
    then: Timestamp,
) -> Result<(), Refused> {
    let id = number.to_string();
    let amount = usd(cost);
    let held = budgets.reserve(who, "m", Some(amount), id.clone(), then)?;
    budgets.started(call(number), who, &id, amount);
    held.keep();
    budgets.ended(call(number), who, amount, then);
    Ok(())
}

fn percents(news: &[Signal]) -> Vec<u32> {
    let crossed = news.iter().filter_map(|signal| match signal {
        Signal::BudgetThresholdCrossed(crossed) => Some(crossed.percent),
        _ => None,
    });
    crossed.collect()
}

#[test]
fn five_hundred_calls_at_once_never_spend_more_than_a_hard_budget() {
    let budgets = Budgets::new(vec![rule("*", "1", Period::Monthly, Mode::Hard)]);
    let now = at("2026-11-15T12:00:00Z");
    let (made, refused) = (AtomicU64::new(0), AtomicU64::new(0));
    let barrier = std::sync::Barrier::new(500);
    std::thread::scope(|scope| {
        for number in 0..500 {
            let (budgets, made, refused, barrier) = (&budgets, &made, &refused, &barrier);
            scope.spawn(move || {
                barrier.wait();
                // 0.011 USD each: 90 of them fit into 1 USD.
                let counter = match spend(budgets, &who("ada"), number, "0.011", now) {
                    Ok(()) => made,
                    Err(Refused::Spent { .. }) => refused,
                    Err(other) => panic!("{other}"),
                };
                counter.fetch_add(1, Ordering::Relaxed);
                let view = &budgets.views(now)[0];
                assert!(
                    view.spent_usd + view.reserved_usd <= view.limit_usd,
                    "{view:?}"
                );
            });
        }
    });
    assert_eq!((made.into_inner(), refused.into_inner()), (90, 410));
    let view = &budgets.views(now)[0];
    assert_eq!(
        (view.spent_usd, view.reserved_usd),
        (usd("0.99"), PicoUsd::ZERO)
    );
}

#[test]
fn five_hundred_reservations_that_are_held_fit_into_the_budget_together() {
    let budgets = Budgets::new(vec![rule("ada", "1", Period::Total, Mode::Hard)]);
    let now = at("2026-11-15T12:00:00Z");
    let held: Vec<Held> = (0..500)
        .filter_map(|number: u64| {
            budgets
                .reserve(&who("ada"), "m", Some(usd("0.3")), number.to_string(), now)
                .ok()
        })
        .collect();
    assert_eq!(held.len(), 3);
    drop(held);
    assert_eq!(budgets.views(now)[0].reserved_usd, PicoUsd::ZERO);
}

#[test]
fn monthly_budgets_run_into_each_threshold_once_and_begin_anew_with_the_month() {
    for limit in ["10", "100", "1000"] {
        let budgets = Budgets::new(vec![rule("ada", limit, Period::Monthly, Mode::Hard)]);
        let tenth = PicoUsd(limit.parse::<PicoUsd>().unwrap().0 / 10).to_string();
        let (mut told, mut number) = (Vec::new(), 0);
        for month in ["2026-11-30T23:00:00Z", "2026-12-01T00:00:00Z"] {
            for _ in 0..10 {
                spend(&budgets, &who("ada"), number, &tenth, at(month)).unwrap();
                number += 1;
                told.extend(percents(&budgets.news()));
            }
            let refused = spend(&budgets, &who("ada"), number, &tenth, at(month)).unwrap_err();
            assert!(refused.to_string().contains("monthly budget"), "{refused}");
            assert!(
                refused.to_string().contains("or wait until 20"),
                "{refused}"
            );
        }
        assert_eq!(told, [50, 80, 90, 50, 80, 90], "{limit}");
    }
}

#[test]
fn a_period_ends_by_the_calendar_of_its_time_zone() {
    let berlin = Rule {
        time_zone: "Europe/Berlin".to_owned(),
        ..rule("*", "1", Period::Daily, Mode::Hard)
    };
    let zone = TimeZone::get("Europe/Berlin").unwrap();
    let start = |text: &str, period: Period| period.start(at(text), &zone).unwrap().to_string();
    assert_eq!(
        start("2026-11-29T22:59:59Z", Period::Daily),
        "2026-11-28T23:00:00Z"
    );
    assert_eq!(
        start("2026-11-29T23:00:00Z", Period::Daily),
        "2026-11-29T23:00:00Z"
    );
    assert_eq!(
        start("2026-11-29T12:00:00Z", Period::Weekly),
        "2026-11-22T23:00:00Z"
    );
    // Summer time ends on 25 October.
    assert_eq!(
        start("2026-10-31T12:00:00Z", Period::Monthly),
        "2026-09-30T22:00:00Z"
    );
    let budgets = Budgets::new(vec![berlin]);
    spend(&budgets, &who("ada"), 1, "1", at("2026-11-29T22:59:59Z")).unwrap();
    spend(&budgets, &who("ada"), 2, "1", at("2026-11-29T22:59:59Z")).unwrap_err();
    spend(&budgets, &who("ada"), 3, "1", at("2026-11-29T23:00:00Z")).unwrap();
}

#[test]
fn nothing_is_allowed_with_a_limit_of_zero_and_a_price_must_be_known() {
    let now = at("2026-11-15T12:00:00Z");
    let nothing = Budgets::new(vec![rule("*", "0", Period::Total, Mode::Hard)]);
    assert!(spend(&nothing, &who("ada"), 1, "0", now).is_err());
    let hard = Budgets::new(vec![rule("*", "5", Period::Total, Mode::Hard)]);
    let refused = hard
        .reserve(&who("ada"), "strange", None, "1".to_owned(), now)
        .unwrap_err();
    assert!(
        refused.to_string().contains("strange has no price"),
        "{refused}"
    );
    let soft = Budgets::new(vec![rule("*", "1", Period::Total, Mode::Soft)]);
    drop(
        soft.reserve(&who("ada"), "strange", None, "1".to_owned(), now)
            .unwrap(),
    );
    spend(&soft, &who("ada"), 2, "2", now).unwrap();
    let is_exceeded = |signal: &Signal| matches!(signal, Signal::BudgetExceeded(_));
    assert_eq!(
        soft.news()
            .iter()
            .filter(|signal| is_exceeded(signal))
            .count(),
        1
    );
}

#[test]
fn what_a_server_bills_beyond_the_reservation_is_reported() {
    let now = at("2026-11-15T12:00:00Z");
    let budgets = Budgets::new(vec![rule("ada", "1", Period::Total, Mode::Hard)]);
    let held = budgets
        .reserve(&who("ada"), "m", Some(usd("1")), "1".to_owned(), now)
        .unwrap();
    budgets.started(call(1), &who("ada"), "1", usd("1"));
    held.keep();
    budgets.ended(call(1), &who("ada"), usd("1.25"), now);
    let view = &budgets.views(now)[0];
    assert_eq!(view.overage_usd, usd("0.25"));
    assert_eq!(view.left_usd, PicoUsd::ZERO);
}

#[test]
fn a_budget_of_another_owner_or_task_is_not_touched() {
    let each = Budgets::new(vec![
        rule("*", "1", Period::Total, Mode::Hard),
        rule("bo", "0.1", Period::Total, Mode::Hard),
    ]);
    let now = at("2026-11-15T12:00:00Z");
    spend(&each, &who("ada"), 1, "1", now).unwrap();
    spend(&each, &who("ada"), 2, "0.1", now).unwrap_err();
    spend(&each, &who("bo"), 3, "0.1", now).unwrap();
    spend(&each, &who("bo"), 4, "0.1", now).unwrap_err();
    assert!(each.are_about(&who("cy")));
    let spent: Vec<(String, String)> = each
        .views(now)
        .into_iter()
        .map(|view| (view.scope, view.spent_usd.to_string()))
        .collect();
    let expected = [("ada", "1"), ("bo", "0.1"), ("bo", "0.1")];
    assert_eq!(
        spent,
        expected.map(|(scope, spent)| (scope.to_owned(), spent.to_owned()))
    );
}

#[test]
fn a_budget_of_a_key_or_a_project_is_for_calls_that_have_one() {
    let of = |subject: &str, text: &str| -> Rule {
        let table = format!(
            "name = \"b\"\n{subject} = \"{text}\"\nlimit = \"1\"\nperiod = \"total\"\nmode = \"hard\""
        );
        toml::from_str(&table).unwrap()
    };
    let now = at("2026-11-15T12:00:00Z");
    let with = |key: Option<&str>, project: Option<&str>| Who {
        key: key.map(Into::into),
        project: project.map(Into::into),
        ..who("ada")
    };
    for (rule, applies) in [
        (of("key", "*"), [true, true, false, false]),
        (of("key", "laptop"), [true, false, false, false]),
        (of("project", "*"), [false, true, true, false]),
        (of("project", "shop"), [false, false, true, false]),
        (of("owner", "ada"), [true; 4]),
    ] {
        rule.check().unwrap();
        let calls = [
            with(Some("laptop"), None),
            with(Some("ci"), Some("site")),
            with(None, Some("shop")),
            with(None, None),
        ];
        for (who, applies) in calls.iter().zip(applies) {
            let budgets = Budgets::new(vec![rule.clone()]);
            assert_eq!(budgets.are_about(who), applies, "{rule:?} {who:?}");
            spend(&budgets, who, 1, "1", now).unwrap();
            let refused = spend(&budgets, who, 2, "0.1", now);
            assert_eq!(refused.is_err(), applies, "{rule:?} {who:?}");
        }
    }
    let two = Rule {
        key: Some("*".to_owned()),
        ..of("project", "*")
    };
    assert!(two.check().unwrap_err().contains("one of `owner`"));
}

#[test]
fn five_hundred_calls_at_once_hold_the_budgets_of_their_project_and_their_key_together() {
    let of = |rule: Rule, key: Option<&str>, project: Option<&str>| Rule {
        owner: None,
        key: key.map(str::to_owned),
        project: project.map(str::to_owned),
        ..rule
    };
    let day = Period::Rolling { hours: 24 };
    let budgets = Budgets::new(vec![
        of(rule("key", "0.3", day, Mode::Hard), Some("*"), None),
        of(rule("project", "1", day, Mode::Hard), None, Some("shop")),
    ]);
    let now = at("2026-11-15T12:00:00Z");
    std::thread::scope(|scope| {
        for number in 0..500_u64 {
            let budgets = &budgets;
            scope.spawn(move || {
                let who = Who {
                    key: Some(format!("k-{}", number % 5).into()),
                    project: Some("shop".into()),
                    ..who("ada")
                };
                // Refusals are what this is about.
                let _ = spend(budgets, &who, number, "0.011", now);
                for view in budgets.views(now) {
                    assert!(
                        view.spent_usd + view.reserved_usd <= view.limit_usd,
                        "{view:?}"
                    );
                }
            });
        }
    });
    let spent = |budget: &str| {
        let views = budgets.views(now).into_iter();
        let views = views.filter(|view| view.budget.starts_with(budget));
        views.map(|view| view.spent_usd).sum::<PicoUsd>()
    };
    assert_eq!(spent("project"), usd("0.99"));
    assert_eq!(spent("key"), usd("0.99"));
}

#[test]
fn a_rolling_period_is_named_like_this() {
    for (text, shown) in [
        ("rolling 24h", Some("rolling 24h")),
        ("rolling 30d", Some("rolling 30d")),
        ("rolling 48h", Some("rolling 2d")),
        ("daily", Some("daily")),
        ("rolling 0h", None),
        ("rolling 367d", None),
        ("rolling", None),
        ("24h", None),
    ] {
        let period = Period::try_from(text.to_owned());
        assert_eq!(
            period.ok().map(|period| period.to_string()).as_deref(),
            shown,
            "{text}"
        );
    }
}

#[test]
fn room_comes_back_as_a_rolling_period_moves_on_and_thresholds_are_told_again() {
    let day = Period::Rolling { hours: 24 };
    let budgets = Budgets::new(vec![rule("ada", "1", day, Mode::Hard)]);
    spend(&budgets, &who("ada"), 1, "0.6", at("2026-11-15T00:00:00Z")).unwrap();
    spend(&budgets, &who("ada"), 2, "0.3", at("2026-11-15T12:00:00Z")).unwrap();
    assert_eq!(percents(&budgets.news()), [50, 80, 90]);
    let refused = spend(&budgets, &who("ada"), 3, "0.5", at("2026-11-15T23:59:00Z")).unwrap_err();
    // Up to a hundredth of the period later.
    assert!(
        refused
            .to_string()
            .contains("or wait until 2026-11-16T00:1"),
        "{refused}"
    );
    spend(&budgets, &who("ada"), 4, "0.5", at("2026-11-16T00:15:00Z")).unwrap();
    assert_eq!(percents(&budgets.news()), [50, 80]);
    let view = &budgets.views(at("2026-11-16T00:15:00Z"))[0];
    assert_eq!(
        (view.spent_usd, view.period.to_string()),
        (usd("0.8"), "rolling 24h".to_owned())
    );
    assert_eq!(view.since, Some(at("2026-11-15T00:15:00Z")));
}

proptest! {
    /// In every window of the period's length no more is spent than the limit, whenever calls are made.
    #[test]
    fn a_rolling_budget_holds_in_every_window(
        steps in proptest::collection::vec((0..20_000_i64, 1..500_u64), 1..150),
    ) {
        let limit = "0.000001";
        let budgets = Budgets::new(vec![rule("ada", limit, Period::Rolling { hours: 24 }, Mode::Hard)]);
        let mut now = at("2026-11-15T12:00:00Z");
        let mut spent: Vec<(Timestamp, PicoUsd)> = Vec::new();
        for (number, (later, amount)) in (0_u64..).zip(steps) {
            now = now.checked_add(later.seconds()).unwrap();
            let cost = PicoUsd(u128::from(amount) * 1_000);
            if spend(&budgets, &who("ada"), number, &cost.to_string(), now).is_ok() {
                spent.push((now, cost));
            }
            let since = now.checked_sub(24.hours()).unwrap();
            let recent = spent.iter().filter(|(at, _)| *at > since);
            prop_assert!(recent.map(|(_, cost)| *cost).sum::<PicoUsd>() <= usd(limit));
        }
    }
}

proptest! {
    /// Whatever is reserved, kept, given back and settled in whatever order: what is spent and set aside together
    /// stays within the limit, as long as no call costs more than it reserved; and a new process that takes in
    /// the records of it stands where this one does.
    #[test]
    fn a_hard_budget_holds_and_a_replay_stands_where_it_stood(
        steps in proptest::collection::vec((0..4_u8, 0..8_usize, 1..400_u64), 1..200),
    ) {
        let rules = || vec![rule("ada", "0.000001", Period::Total, Mode::Hard)];
        let (live, replayed) = (Budgets::new(rules()), Budgets::new(rules()));
        let now = at("2026-11-15T12:00:00Z");
        let ada = who("ada");
        let mut open: Vec<(u64, PicoUsd)> = Vec::new();
        for (number, (step, which, amount)) in (0_u64..).zip(steps) {
            let amount = PicoUsd(u128::from(amount) * 1_000);
            match step {
                0 | 1 => {
                    let id = number.to_string();
                    if let Ok(held) = live.reserve(&ada, "m", Some(amount), id.clone(), now)
                        && step == 0
                    {
                        live.started(call(number), &ada, &id, amount);
                        held.keep();
                        replayed.started(call(number), &ada, &id, amount);
                        open.push((number, amount));
                    }
                }
                _ if open.is_empty() => {}
                _ => {
                    let (number, reserved) = open.remove(which % open.len());
                    let cost = amount.min(reserved);
                    live.ended(call(number), &ada, cost, now);
                    replayed.ended(call(number), &ada, cost, now);
                }
            }
            for view in live.views(now) {
                prop_assert!(view.spent_usd + view.reserved_usd <= view.limit_usd);
                prop_assert_eq!(view.overage_usd, PicoUsd::ZERO);
            }
        }
        let standing = |budgets: &Budgets| budgets.views(now).first().map(|view| (view.spent_usd, view.reserved_usd));
        prop_assert_eq!(standing(&live).unwrap_or_default(), standing(&replayed).unwrap_or_default());
    }
}
