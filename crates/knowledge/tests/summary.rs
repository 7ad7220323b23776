//! Summaries that are taken from code and history: of modules, functions and tasks, at any moment.

#![allow(clippy::unwrap_used)] // a test fails by panicking

mod common;

use std::fmt::Write as _;

use common::{Life, MONEY, SUMS, SUMS_TESTS};
use journeyman_event::TaskState;
use journeyman_event::payload::{Summary, SummaryOrigin};
use journeyman_knowledge::{
    MODULE_CHARS_MAX, NO_CODE, SHORT_CHARS_MAX, function_summary, module_summary, summary,
    task_summary,
};

fn state(life: &Life) -> TaskState {
    let mut state = TaskState::default();
    for event in &life.events {
        state.evolve(event).unwrap();
    }
    state
}

fn shop() -> Life {
    let mut life = Life::of_shop();
    life.code("shop.money", 1, MONEY);
    life.code("shop.sums", 1, SUMS);
    life.tests("shop.sums", SUMS_TESTS);
    life.run(
        "shop.sums",
        1,
        &[("test_adds", None), ("test_empty", Some("assert 1 == 0"))],
    );
    life
}

#[test]
fn a_module_is_summarised_by_its_plan_its_code_and_its_tests() {
    let state = state(&shop());
    let sums = module_summary(&state, "shop.sums").unwrap();
    assert!(
        sums.functions.iter().any(|name| name == "add_amounts"),
        "{sums:?}"
    );
    assert!(
        sums.dependencies.iter().any(|name| name == "shop.money"),
        "{sums:?}"
    );
    assert!(
        sums.summary.contains("Version 1: 1 of 2 tests pass."),
        "{}",
        sums.summary
    );
    assert!(sums.summary.contains("- add_amounts"), "{}", sums.summary);
    let cart = module_summary(&state, "shop.cart").unwrap();
    assert!(
        cart.summary.contains(NO_CODE) && cart.functions.is_empty(),
        "{cart:?}"
    );
    assert_eq!(module_summary(&state, "shop.nothing"), None);
    // The same events give the same summary.
    assert_eq!(module_summary(&state, "shop.sums").unwrap(), sums);
}

#[test]
fn a_function_is_summarised_by_its_signature_and_what_it_uses() {
    let mut life = shop();
    let source = "import os\n\n\nclass Till:\n    def close(self, total: int = 0) -> bool:\n        \"\"\"Close it.\"\"\"\n        print(os.getcwd())\n        return True\n";
    life.code("shop.cart", 1, source);
    let state = state(&life);
    let close = function_summary(&state, "shop.cart", "Till.close").unwrap();
    assert_eq!(close.inputs, ["self", "total: int = 0"]);
    assert_eq!(close.outputs, "bool");
    assert_eq!(close.side_effects, ["prints", "uses the operating system"]);
    assert_eq!(close.purpose, "Close it.");
    assert!(close.summary.len() <= SHORT_CHARS_MAX);
    let (origin, found) = summary(&state, Some("shop.cart.Till.close")).unwrap();
    assert_eq!(origin, SummaryOrigin::Extracted);
    assert_eq!(found, Summary::Function(close));
    assert_eq!(summary(&state, Some("shop.cart.Till.open")), None);
    // A function is also found by its name alone.
    assert!(summary(&state, Some("add_amounts")).is_some());
}

#[test]
fn a_task_is_summarised_before_and_after_its_plan() {
    let life = shop();
    let early = state(&Life::of("Make a shop."));
    assert_eq!(task_summary(&early).status, "not planned yet");
    let now = task_summary(&state(&life));
    assert_eq!(now.modules.len(), 3);
    assert!(
        now.status.contains("0 of 3 modules are complete"),
        "{now:?}"
    );
    assert!((now.success_rate - 0.5).abs() < 1e-9, "{now:?}");
    assert!(now.summary.len() <= SHORT_CHARS_MAX + 3);
}

#[test]
fn broken_code_and_ten_thousand_lines_are_summarised_too() {
    let mut life = shop();
    life.code(
        "shop.cart",
        1,
        "def total(rows):\n    return sum(rows\n\n\ndef (:\n",
    );
    let broken = module_summary(&state(&life), "shop.cart").unwrap();
    assert!(!broken.summary.is_empty());
    let mut long = String::new();
    for nth in 0..2_500 {
        let _ = write!(
            long,
            "def f{nth}(a):\n    \"\"\"Do thing {nth}.\"\"\"\n    return a\n\n"
        );
    }
    life.code("shop.cart", 2, &long);
    let long = module_summary(&state(&life), "shop.cart").unwrap();
    assert_eq!(long.functions.len(), 2_500);
    assert!(
        long.summary.len() <= MODULE_CHARS_MAX + 40,
        "{}",
        long.summary.len()
    );
    assert!(long.summary.contains("more"), "{}", long.summary);
}
