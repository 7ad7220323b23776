//! A chain makes calls in order, hands results on, and stops at the first that fails.

#![allow(clippy::unwrap_used)] // a test fails by panicking

mod common;

use common::{Files, Kept, Scripted, context, request};
use journeyman_tools::{
    ChainRefusal, Dispatcher, DispatcherOptions, Grants, Output, Permission, Registry, Request,
    Stopped,
};
use serde_json::{Value, json};

fn dispatcher() -> Dispatcher {
    let registry = Registry::with_built_ins().unwrap();
    let long = |_| Ok(Output::text("x".repeat(100_000)));
    registry.register(Scripted::doing("long", long)).unwrap();
    Dispatcher::new(registry, DispatcherOptions::default())
}

fn steps(steps: &[(&str, Value)]) -> Vec<Request> {
    let step = |(name, arguments): &(&str, Value)| request(name, arguments.clone());
    steps.iter().map(step).collect()
}

#[tokio::test]
async fn a_later_step_takes_what_an_earlier_one_answered() {
    let files = Files::with(&[("a.py", "x = 1\n")]);
    let (context, kept) = (context(files), Kept::default());
    let steps = steps(&[
        ("read_file", json!({"path": "a.py"})),
        ("search_files", json!({"pattern": "x"})),
        (
            "write_file",
            json!({
                "path": {"$from": 1, "pointer": "/structured/matches/0/path"},
                "content": {"$from": 0},
            }),
        ),
        (
            "run_command",
            json!({"command": ["echo", {"$from": 0, "pointer": "/text"}]}),
        ),
    ]);
    let chain = dispatcher().chain(&context, steps, &kept).await.unwrap();
    assert_eq!(chain.stopped, None);
    assert_eq!(chain.completed[2].text, "a.py is now version 2, 6 bytes");
    assert!(chain.completed[3].text.contains("echo x = 1"));
    assert_eq!(kept.lines().len(), 8);
    assert_eq!(
        kept.lines()[4],
        r#"3 executing write_file {"path":"a.py","content":"x = 1\n"}"#
    );
}

#[tokio::test]
async fn a_chain_stops_at_the_first_step_that_fails_and_says_which() {
    let (context, kept) = (context(Files::with(&[])), Kept::default());
    let steps = steps(&[
        ("list_files", json!({})),
        ("read_file", json!({"path": "b.py"})),
        ("write_file", json!({"path": "a.py", "content": "x"})),
    ]);
    let chain = dispatcher().chain(&context, steps, &kept).await.unwrap();
    let why = "there is no file b.py; `list_files` shows those there are".to_owned();
    assert_eq!(chain.stopped, Some(Stopped { step: 1, why }));
    assert_eq!(chain.completed.len(), 2);
    assert!(context.workspace.list().await.unwrap().is_empty());
}

#[tokio::test]
async fn a_chain_over_the_bound_is_refused_before_anything_is_called() {
    let (context, kept) = (context(Files::with(&[])), Kept::default());
    let too_many = vec![request("list_files", json!({})); 17];
    let refusal = dispatcher().chain(&context, too_many, &kept).await;
    assert_eq!(
        refusal.unwrap_err().to_string(),
        "a chain has 1 to 16 steps, this one has 17"
    );
    assert!(dispatcher().chain(&context, vec![], &kept).await.is_err());
    assert!(kept.lines().is_empty());
}

#[tokio::test]
async fn a_chain_with_a_step_that_may_not_be_called_is_not_begun() {
    let (mut context, kept) = (context(Files::with(&[])), Kept::default());
    context.grants = Grants::of([Permission::Write]);
    let steps = steps(&[
        ("write_file", json!({"path": "a.py", "content": "x"})),
        ("run_tests", json!({})),
    ]);
    let refusal = dispatcher().chain(&context, steps, &kept).await;
    assert!(matches!(
        refusal,
        Err(ChainRefusal::Refused { step: 1, .. })
    ));
    assert_eq!(
        kept.lines(),
        [r#"1 completed run_tests {"outcome":"refused","kind":"permission"}"#]
    );
}

#[tokio::test]
async fn a_reference_that_cannot_be_fulfilled_is_refused_before_anything_is_called() {
    let (context, kept) = (context(Files::with(&[])), Kept::default());
    for wrong in [
        json!({"$from": 1}),
        json!({"$from": "0"}),
        json!({"$from": 0, "pointer": 3}),
        json!({"$from": 0, "member": "x"}),
        json!([{"x": {"$from": 7}}]),
    ] {
        let steps = steps(&[
            ("list_files", json!({})),
            ("read_file", json!({"path": wrong})),
        ]);
        let refusal = dispatcher().chain(&context, steps, &kept).await;
        assert!(matches!(
            refusal,
            Err(ChainRefusal::Reference { step: 1, .. })
        ));
    }
    assert!(kept.lines().is_empty());
}

#[tokio::test]
async fn half_a_text_is_not_handed_on_as_the_whole() {
    let (context, kept) = (context(Files::with(&[])), Kept::default());
    let steps = steps(&[
        ("long", json!({})),
        (
            "write_file",
            json!({"path": "a.py", "content": {"$from": 0}}),
        ),
    ]);
    let chain = dispatcher().chain(&context, steps, &kept).await.unwrap();
    let stopped = chain.stopped.unwrap();
    assert_eq!(stopped.step, 1);
    assert!(stopped.why.contains("too long"), "{}", stopped.why);
}
