//! A hard spending budget over all tasks: it holds for calls at the same time, and across kill -9 during a call.

#![allow(clippy::unwrap_used, clippy::expect_used)] // a test fails by panicking

mod common;

use std::collections::BTreeMap;
use std::fs;

use common::Home;
use common::server::{GOOD, SLOW, STEADY, STUB, Server, until};
use journeyman_event::PicoUsd;
use serde_json::{Value, json};

/// Writes a money file with one budget for the local user, and returns its path.
fn money(home: &Home, limit: &str) -> String {
    let file = home.path().join("money.toml");
    let text = format!(
        "version = \"1\"\n[[price]]\nmodel = \"simulated\"\ninput = \"1\"\noutput = \"2\"\n\
         [[budget]]\nname = \"mine\"\nowner = \"local\"\nlimit = \"{limit}\"\nperiod = \"total\"\nmode = \"hard\"\n"
    );
    fs::write(&file, text).unwrap();
    file.to_str().unwrap().to_owned()
}

fn usd(value: &Value) -> PicoUsd {
    value.as_str().expect("an amount").parse().unwrap()
}

/// The budget, with the journal as the only source.
fn budget_alone(home: &Home, money: &str) -> Value {
    let printed = home.run(&["metrics", "--json", "--money-file", money]);
    assert_eq!(printed.code, Some(0), "{}", printed.stderr);
    printed.json_lines()[0]["budgets"][0].clone()
}

#[test]
fn calls_at_the_same_time_never_reserve_and_spend_more_than_a_hard_budget_together() {
    const LIMIT: &str = "0.02";
    let home = Home::new();
    let money = money(&home, LIMIT);
    let arguments = ["--max-concurrent", "20", "--money-file", &money];
    let server = Server::start(&home, STEADY, &arguments);
    let tasks: Vec<String> = (0..20)
        .map(|_| server.submit(&json!({"prompt": STUB})))
        .collect();
    let mut refused = 0;
    for task in &tasks {
        if server.ended(task)["status"] == "failed" {
            let failed = server.event(task, "task_failed");
            assert_eq!(failed["data"]["reason"], "spending");
            refused += 1;
        }
    }
    assert!(
        (1..20).contains(&refused),
        "{refused} of 20 tasks were refused"
    );

    // At every event of the journal, what was spent and what is reserved are within the limit.
    let mut events: Vec<Value> = tasks.iter().flat_map(|task| server.events(task)).collect();
    events.sort_by_key(|event| event["sequence"].as_u64());
    let limit: PicoUsd = LIMIT.parse().unwrap();
    let (mut open, mut spent, mut most) = (BTreeMap::new(), PicoUsd::ZERO, 0);
    for event in &events {
        if event["kind"] == "model_call_started" {
            let reserved = usd(&event["data"]["reserved"]["usd"]);
            open.insert(event["id"].to_string(), reserved);
            most = most.max(open.len());
        } else if event["kind"] == "model_call_completed" {
            let reserved = open.remove(&event["causation_id"].to_string()).unwrap();
            let charged = usd(&event["data"]["charge"]["usd"]);
            assert!(charged <= reserved, "{event}");
            spent += charged;
        }
        let reserved: PicoUsd = open.values().copied().sum();
        assert!(
            spent + reserved <= limit,
            "{spent} and {reserved} are more: {event}"
        );
    }
    assert!(most > 1, "no two calls were made at the same time");
    let budget = until("everything is settled", || {
        let all = server.get("/api/v1/metrics?part=budgets").expect(200);
        (all[0]["reserved_usd"] == "0").then(|| all[0].clone())
    });
    assert_eq!(usd(&budget["spent_usd"]), spent);
    assert_eq!(server.stop(), Some(0));
    assert_eq!(budget_alone(&home, &money), budget);
}

#[test]
fn a_reservation_is_durable_before_its_call_and_settled_once_after_a_crash() {
    let home = Home::new();
    let money = money(&home, "1");
    let arguments = ["--money-file", money.as_str()];
    let server = Server::start(&home, SLOW, &arguments);
    let task = server.submit(&json!({"prompt": STUB}));
    let started = server.event(&task, "model_call_started");
    server.crash();
    let reserved = usd(&started["data"]["reserved"]["usd"]);
    let budget = budget_alone(&home, &money);
    assert_eq!(
        (usd(&budget["reserved_usd"]), usd(&budget["spent_usd"])),
        (reserved, PicoUsd::ZERO)
    );

    let server = Server::start(&home, GOOD, &arguments);
    assert_eq!(server.ended(&task)["status"], "complete");
    let events = server.events(&task);
    let charges = events
        .iter()
        .filter(|event| event["kind"] == "model_call_completed")
        .map(|event| usd(&event["data"]["charge"]["usd"]));
    let spent: PicoUsd = charges.sum();
    assert_eq!(server.stop(), Some(0));
    let budget = budget_alone(&home, &money);
    assert_eq!(
        (usd(&budget["reserved_usd"]), usd(&budget["spent_usd"])),
        (PicoUsd::ZERO, spent)
    );
}
