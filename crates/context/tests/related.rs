//! What the graph adds to a prompt: what no other source shows, within its share, and nothing where there is nothing.

#![allow(clippy::unwrap_used)] // a test fails by panicking

mod common;
#[path = "../../knowledge/tests/common/mod.rs"]
mod life;

use std::fmt::Write as _;

use common::Counter;
use journeyman_context::{BuiltContext, Request, build};
use journeyman_event::payload::{Form, Purpose, ReviewCompleted, UserIntervention, Verdict};
use journeyman_event::{ModuleName, TaskState, Tokens};
use life::{CART, Life, MONEY, SUMS, SUMS_TESTS};

fn state(life: &Life) -> TaskState {
    let mut state = TaskState::default();
    for event in &life.events {
        state.evolve(event).unwrap();
    }
    state
}

async fn asked(
    life: &Life,
    purpose: Purpose,
    module: Option<&str>,
    window: u64,
    with: bool,
) -> BuiltContext {
    let (state, graph) = (state(life), life.graph());
    let module = module.map(|name| ModuleName::new(name).unwrap());
    let request = Request {
        state: &state,
        purpose,
        form: Form::default(),
        module: module.as_ref(),
        window: Tokens(window),
        tools: &[],
        graph: with.then_some(&graph),
    };
    build(&Counter, request).await.unwrap()
}

/// The user's message, and what is said of each related piece.
fn told(built: &BuiltContext) -> (String, Vec<(String, Verdict, String)>) {
    let decisions = built.record.decisions.iter();
    let related = decisions.filter(|one| one.piece.starts_with("related"));
    let related = related.map(|one| (one.piece.clone(), one.verdict, one.why.clone()));
    (built.messages[1].content.clone(), related.collect())
}

/// A shop whose money is there, whose sums failed once, and whose cart is to be written.
fn shop() -> Life {
    let mut life = Life::of_shop();
    life.code("shop.money", 1, MONEY);
    life.code(
        "shop.sums",
        1,
        "def add_amounts(first, second):\n    return first\n",
    );
    life.tests("shop.sums", SUMS_TESTS);
    life.run(
        "shop.sums",
        1,
        &[("test_adds", Some("assert '1' == 3")), ("test_empty", None)],
    );
    let said = UserIntervention {
        instruction: "parse_amount() must take commas".to_owned(),
    };
    life.say(None, "user", said);
    life.code("shop.sums", 2, SUMS);
    life.run("shop.sums", 2, &[("test_adds", None), ("test_empty", None)]);
    life
}

#[tokio::test]
async fn a_module_sees_what_its_dependencies_need_and_what_failed_there_with_the_way_to_it() {
    let life = shop();
    let built = asked(&life, Purpose::Code, Some("shop.cart"), 8_192, true).await;
    let (text, related) = told(&built);
    assert!(
        text.contains(
            "# Module shop.money exists too\n[-> shop.sums -> shop.money -> Money] class Money\n"
        ),
        "{text}"
    );
    assert!(
        text.contains("[-> shop.sums -> add_amounts -> parse_amount] def parse_amount(text: str) -> int: Reads an amount in cents."),
        "{text}"
    );
    let failure =
        "test_adds failed with shop.sums version 1: assert '1' == 3; gone with shop.sums version 2";
    assert!(text.contains(failure), "{text}");
    // What other sources show is not shown twice.
    assert_eq!(text.matches("add_amounts(").count(), 1, "{text}");
    assert_eq!(text.matches("must take commas").count(), 1, "{text}");
    let names: Vec<&str> = related.iter().map(|(name, _, _)| name.as_str()).collect();
    assert_eq!(names, ["related code of shop.money", "related failures"]);
    for (name, verdict, why) in &related {
        assert_eq!(*verdict, Verdict::Kept);
        assert!(why.contains("relations away, rank 0."), "{name}: {why}");
    }
}

#[tokio::test]
async fn a_module_that_is_written_or_corrected_is_not_told_of_its_own_failures_by_the_graph() {
    let mut life = shop();
    life.code("shop.cart", 1, CART);
    life.tests("shop.cart", "def test_total():\n    assert False\n");
    life.run("shop.cart", 1, &[("test_total", Some("it is wrong"))]);
    for purpose in [Purpose::Code, Purpose::Fix] {
        let built = asked(&life, purpose, Some("shop.cart"), 8_192, true).await;
        let (text, related) = told(&built);
        assert!(!text.contains("test_total failed with"), "{text}");
        assert_eq!(related.len(), 2);
    }
    // What uses it is there, from the other side.
    let built = asked(&life, Purpose::Fix, Some("shop.money"), 8_192, true).await;
    let (text, _) = told(&built);
    assert!(text.contains("<- add_amounts] def add_amounts("), "{text}");
}

#[tokio::test]
async fn what_a_review_found_is_told_and_a_reviewer_is_told_nothing_that_stands_in_the_code() {
    let mut life = shop();
    life.code("shop.cart", 1, CART);
    let review = ReviewCompleted {
        findings: vec!["cart_total() starts from a string.".to_owned()],
        problem: None,
    };
    life.say(None, "reviewer", review);
    let built = asked(&life, Purpose::Fix, Some("shop.cart"), 8_192, true).await;
    let (text, _) = told(&built);
    assert!(text.contains("# What was decided and found\n["), "{text}");
    assert!(
        text.contains("A review found: cart_total() starts from a string."),
        "{text}"
    );
    let built = asked(&life, Purpose::Review, None, 8_192, true).await;
    let (_, related) = told(&built);
    let names: Vec<&str> = related.iter().map(|(name, _, _)| name.as_str()).collect();
    assert_eq!(names, ["related decisions"]);
}

#[tokio::test]
async fn the_prompts_of_a_task_to_which_the_graph_adds_nothing_are_byte_for_byte_what_they_were() {
    let mut life = Life::of("A function add_amounts.");
    life.plan(&[("shop.sums", &[])]);
    life.code("shop.sums", 1, SUMS);
    life.tests("shop.sums", SUMS_TESTS);
    life.run(
        "shop.sums",
        1,
        &[("test_adds", Some("no")), ("test_empty", None)],
    );
    life.code("shop.sums", 2, SUMS);
    life.run(
        "shop.sums",
        2,
        &[("test_adds", Some("no")), ("test_empty", None)],
    );
    for (purpose, module) in [
        (Purpose::Plan, None),
        (Purpose::Code, Some("shop.sums")),
        (Purpose::Tests, Some("shop.sums")),
        (Purpose::Fix, Some("shop.sums")),
        (Purpose::Review, None),
    ] {
        let with = asked(&life, purpose, module, 8_192, true).await;
        let without = asked(&life, purpose, module, 8_192, false).await;
        assert_eq!(with.messages, without.messages, "{purpose:?}");
        assert_eq!(with.record, without.record, "{purpose:?}");
    }
}

#[tokio::test]
async fn what_is_related_keeps_to_the_share_of_the_context_and_yields_before_what_is_at_hand() {
    let mut life = shop();
    let mut money = MONEY.to_owned();
    for at in 0..1_200 {
        let _ = write!(
            money,
            "\n\ndef convert_to_currency_{at}(amount: int) -> int:\n    return {at}\n"
        );
    }
    life.code("shop.money", 2, &money);
    let (_, related) = told(&asked(&life, Purpose::Code, Some("shop.cart"), 8_192, true).await);
    assert!(
        related
            .iter()
            .any(|(_, _, why)| why.contains("more are beyond 4014 tokens")),
        "{related:?}"
    );
    let with = asked(&life, Purpose::Code, Some("shop.cart"), 8_192, true).await;
    let without = asked(&life, Purpose::Code, Some("shop.cart"), 8_192, false).await;
    let taken = with.prompt_tokens - without.prompt_tokens;
    assert!(taken > Tokens(3_000) && taken < Tokens(4_500), "{taken}");
    // In a window that is too small for it, it is what goes first.
    let (text, related) = told(&asked(&life, Purpose::Code, Some("shop.cart"), 700, true).await);
    for (name, verdict, why) in &related {
        assert_eq!(*verdict, Verdict::Cut, "{name}: {why}");
        assert!(why.contains("no room for more: "), "{name}: {why}");
    }
    assert!(text.contains("# Module shop.cart"), "{text}");
    assert!(!text.contains("[... cut ...]"), "{text}");
}
