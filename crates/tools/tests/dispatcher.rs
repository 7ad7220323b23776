//! A call is checked, recorded, made within its bounds, and recorded: nothing of it is silent.

#![allow(clippy::unwrap_used)] // a test fails by panicking

mod common;

use std::sync::Arc;
use std::time::Duration;

use common::{Files, Kept, Scripted, context, request, spec};
use journeyman_tools::{
    Dispatcher, DispatcherOptions, FailureKind, Grants, Outcome, Output, Pattern, Permission,
    RefusalKind, Registry, Source, ToolError,
};
use serde_json::{Value, json};

fn built_in(options: DispatcherOptions) -> Dispatcher {
    Dispatcher::new(Registry::with_built_ins().unwrap(), options)
}

fn of(tools: impl IntoIterator<Item = Arc<dyn journeyman_tools::Tool>>) -> Dispatcher {
    let registry = Registry::new();
    for tool in tools {
        registry.register(tool).unwrap();
    }
    Dispatcher::new(registry, DispatcherOptions::default())
}

#[tokio::test]
async fn a_call_is_recorded_before_it_is_made_and_after() {
    let (files, kept) = (Files::with(&[("a.py", "x = 1\n")]), Kept::default());
    let call = request("read_file", json!({"path": "a.py"}));
    let done = built_in(DispatcherOptions::default())
        .call(&context(files), call, &kept)
        .await;
    assert_eq!((done.outcome, done.text.as_str()), (Outcome::Ok, "x = 1\n"));
    assert_eq!(
        kept.lines(),
        [
            r#"1 executing read_file {"path":"a.py"}"#,
            r#"1 completed read_file {"outcome":"ok"}"#
        ]
    );
}

#[tokio::test]
async fn what_cannot_be_recorded_is_not_done() {
    let (files, kept) = (Files::with(&[]), Kept::failing_at("executing"));
    let context = context(files.clone());
    let call = request("write_file", json!({"path": "a.py", "content": "x"}));
    let done = built_in(DispatcherOptions::default())
        .call(&context, call, &kept)
        .await;
    assert_eq!(done.outcome, Outcome::Refused(RefusalKind::Record));
    assert!(done.text.contains("the disk is full"), "{}", done.text);
    assert!(context.workspace.list().await.unwrap().is_empty());
}

#[tokio::test]
async fn an_end_that_is_not_recorded_is_told() {
    let (files, kept) = (Files::with(&[]), Kept::failing_at("completed"));
    let context = context(files);
    let call = request("write_file", json!({"path": "a.py", "content": "x"}));
    let done = built_in(DispatcherOptions::default())
        .call(&context, call.clone(), &kept)
        .await;
    assert!(done.is_ok() && !done.recorded);
    let chain = built_in(DispatcherOptions::default())
        .chain(&context, vec![call.clone(), call], &kept)
        .await
        .unwrap();
    assert_eq!(chain.stopped.unwrap().step, 0);
    assert_eq!(context.workspace.list().await.unwrap()[0].version, 2);
}

#[tokio::test]
async fn a_refused_call_is_recorded_as_well() {
    let kept = Kept::default();
    let call = request("read_fiel", json!({}));
    let done = built_in(DispatcherOptions::default())
        .call(&context(Files::with(&[])), call, &kept)
        .await;
    assert_eq!(
        kept.lines(),
        [r#"1 completed read_fiel {"outcome":"refused","kind":"unknown"}"#]
    );
    assert_eq!(
        done.text,
        r#"there is no tool "read_fiel"; did you mean read_file?"#
    );
}

#[tokio::test]
async fn an_unknown_tool_is_answered_with_those_that_may_be_called() {
    let mut context = context(Files::with(&[]));
    context.grants = Grants::of([Permission::Write, Permission::Run]);
    let call = request("deploy", json!({}));
    let refusal = built_in(DispatcherOptions::default()).check(&context, call);
    assert_eq!(
        refusal.err().unwrap().to_string(),
        r#"there is no tool "deploy"; there are run_command, run_tests, write_file"#
    );
}

#[tokio::test]
async fn who_lacks_the_permission_is_refused_by_its_name() {
    let mut context = context(Files::with(&[]));
    context.grants = Grants::of([Permission::Read]);
    let call = request("run_tests", json!({}));
    let refusal = built_in(DispatcherOptions::default()).check(&context, call);
    assert_eq!(
        refusal.err().unwrap().to_string(),
        "coder may not call run_tests: it needs the permission `run`"
    );
}

#[tokio::test]
async fn a_list_of_names_narrows_what_a_permission_gives() {
    let mut context = context(Files::with(&[]));
    context.grants = Grants::of([Permission::Read]).only(vec![Pattern::new("list_*").unwrap()]);
    let dispatcher = built_in(DispatcherOptions::default());
    let refusal = dispatcher.check(&context, request("expand_context", json!({})));
    assert_eq!(refusal.err().unwrap().kind(), RefusalKind::Permission);
    assert!(
        dispatcher
            .check(&context, request("list_files", json!({})))
            .is_ok()
    );
}

#[tokio::test]
async fn wrong_arguments_are_refused_with_the_field_at_fault() {
    let dispatcher = built_in(DispatcherOptions::default());
    let context = context(Files::with(&[]));
    let problem = |name: &str, arguments: Value| {
        let refusal = dispatcher.check(&context, request(name, arguments));
        refusal.err().unwrap().to_string()
    };
    assert_eq!(
        problem("read_file", json!({"path": 3})),
        r#"the arguments of read_file are wrong: at /path: 3 is not of type "string""#
    );
    assert_eq!(
        problem("run_command", json!({"command": ["ls", 7]})),
        r#"the arguments of run_command are wrong: at /command/1: 7 is not of type "string""#
    );
    let missing = problem("read_file", json!({}));
    assert!(
        missing.contains(r#""path" is a required property"#),
        "{missing}"
    );
    let unknown = problem("read_file", json!({"path": "a", "lnes": 1}));
    assert!(unknown.contains("'lnes' was unexpected"), "{unknown}");
    let outside = problem("read_file", json!({"path": "../../etc/passwd"}));
    assert!(outside.contains("it must not have `..`"), "{outside}");
}

#[tokio::test]
async fn arguments_are_bounded_in_size_and_depth() {
    let options = DispatcherOptions {
        arguments_bytes_max: 100,
        ..DispatcherOptions::default()
    };
    let (dispatcher, kept) = (built_in(options), Kept::default());
    let context = context(Files::with(&[]));
    let large = json!({"path": "a", "content": "x".repeat(100)});
    let done = dispatcher
        .call(&context, request("write_file", large), &kept)
        .await;
    assert_eq!(done.outcome, Outcome::Refused(RefusalKind::Arguments));
    assert!(done.text.contains("100 are the most"), "{}", done.text);
    // Whoever is refused for another reason gets no more into the record.
    let unknown = json!({"x": "x".repeat(1_000)});
    dispatcher
        .call(&context, request("nothing", unknown), &kept)
        .await;
    assert!(kept.lines().iter().all(|line| line.len() < 100));

    let mut deep = json!(1);
    for _ in 0..40 {
        deep = json!([deep]);
    }
    let refusal = dispatcher.check(&context, request("read_file", json!({"path": deep})));
    let refusal = refusal.err().unwrap().to_string();
    assert!(refusal.contains("nested deeper than 32"), "{refusal}");
}

#[tokio::test(start_paused = true)]
async fn a_tool_that_hangs_is_stopped_at_its_time_limit() {
    let dispatcher = of([Scripted::hanging("hang")]);
    let done = dispatcher
        .call(
            &context(Files::with(&[])),
            request("hang", json!({})),
            &Kept::default(),
        )
        .await;
    assert_eq!(done.outcome, Outcome::Failed(FailureKind::TimedOut));
    assert_eq!(done.text, "no answer within 60 s");
    assert_eq!(done.wall_ms, 60_000);
}

#[tokio::test(start_paused = true)]
async fn a_cancelled_call_ends_at_once() {
    let dispatcher = of([Scripted::hanging("hang")]);
    let context = context(Files::with(&[]));
    let cancel = context.cancel.clone();
    tokio::spawn(async move {
        tokio::time::sleep(Duration::from_millis(5)).await;
        cancel.cancel();
    });
    let done = dispatcher
        .call(&context, request("hang", json!({})), &Kept::default())
        .await;
    assert_eq!(done.outcome, Outcome::Failed(FailureKind::Cancelled));
    assert_eq!(done.wall_ms, 5);
}

#[tokio::test(start_paused = true)]
async fn a_time_limit_also_stops_what_a_tool_started() {
    let registry = Registry::with_built_ins().unwrap();
    let context = context(Files::with(&[]));
    let options = DispatcherOptions {
        timeout: Duration::from_secs(3),
        ..DispatcherOptions::default()
    };
    let call = request("run_command", json!({"command": ["wait"]}));
    let done = Dispatcher::new(registry, options)
        .call(&context, call, &Kept::default())
        .await;
    assert_eq!(done.outcome, Outcome::Failed(FailureKind::TimedOut));
    assert!(!context.cancel.is_cancelled(), "the caller's own goes on");
}

#[tokio::test]
async fn a_panic_ends_the_call_and_nothing_else() {
    let dispatcher = of([Scripted::doing("break", |_| panic!("index out of bounds"))]);
    let (context, kept) = (context(Files::with(&[])), Kept::default());
    for _ in 0..2 {
        let done = dispatcher
            .call(&context, request("break", json!({})), &kept)
            .await;
        assert_eq!(done.outcome, Outcome::Failed(FailureKind::Panicked));
        assert_eq!(done.text, "the tool panicked: index out of bounds");
    }
    assert_eq!(kept.lines().len(), 4);
}

#[tokio::test]
async fn what_a_tool_says_of_itself_is_the_outcome() {
    let says_no = Scripted::doing("no", |_| {
        Ok(Output {
            is_error: true,
            ..Output::text("no")
        })
    });
    let gone = Scripted::doing("gone", |_| Err(ToolError::Unavailable("gone".into())));
    let (dispatcher, context) = (of([says_no, gone]), context(Files::with(&[])));
    for (name, kind) in [
        ("no", FailureKind::Tool),
        ("gone", FailureKind::Unavailable),
    ] {
        let call = request(name, json!({}));
        let done = dispatcher.call(&context, call, &Kept::default()).await;
        assert_eq!(
            (done.outcome, done.text.as_str()),
            (Outcome::Failed(kind), name)
        );
    }
}

#[tokio::test]
async fn a_long_answer_keeps_its_beginning_and_its_end() {
    let long = Scripted::doing("long", |_| {
        Ok(Output {
            structured: Some(json!("y".repeat(100_000))),
            ..Output::text(format!("first{}last", "é".repeat(100_000)))
        })
    });
    let call = request("long", json!({}));
    let done = of([long])
        .call(&context(Files::with(&[])), call, &Kept::default())
        .await;
    assert!(done.truncated && done.structured.is_none());
    assert!(done.text.len() <= 64 * 1_024);
    assert!(done.text.starts_with("first") && done.text.ends_with("last"));
    assert!(done.text.contains("bytes left out"));
}

#[tokio::test(start_paused = true)]
async fn no_more_calls_than_may_are_made_at_once() {
    let registry = Registry::new();
    registry.register(Scripted::hanging("hang")).unwrap();
    let quick = Scripted::doing("quick", |_| Ok(Output::text("done")));
    registry.register(quick).unwrap();
    let options = DispatcherOptions {
        concurrent_max: 1,
        ..DispatcherOptions::default()
    };
    let (dispatcher, context) = (
        Dispatcher::new(registry, options),
        context(Files::with(&[])),
    );
    let kept = Kept::default();
    let (hang, quick) = (request("hang", json!({})), request("quick", json!({})));
    let (first, second) = tokio::join!(dispatcher.call(&context, hang, &kept), async {
        // A moment later, so that its own time is not over when the place is free.
        tokio::time::sleep(Duration::from_secs(1)).await;
        dispatcher.call(&context, quick, &kept).await
    });
    assert_eq!(first.outcome, Outcome::Failed(FailureKind::TimedOut));
    assert_eq!((second.outcome, second.wall_ms), (Outcome::Ok, 59_000));
}

#[test]
fn a_name_is_taken_once() {
    let registry = Registry::with_built_ins().unwrap();
    let error = registry
        .register(Scripted::hanging("read_file"))
        .unwrap_err();
    assert_eq!(error.to_string(), "there is a tool read_file already");
}

#[test]
fn a_registry_is_bounded() {
    let registry = Registry::new();
    for n in 0..512 {
        registry
            .register(Scripted::hanging(&format!("t{n}")))
            .unwrap();
    }
    let error = registry.register(Scripted::hanging("more")).unwrap_err();
    assert_eq!(error, journeyman_tools::RegisterError::Full);
}

#[test]
fn a_tool_whose_arguments_cannot_be_checked_is_not_taken() {
    let mut wrong = spec("wrong");
    wrong.input_schema.insert("properties".into(), json!(3));
    let error = Registry::new()
        .register(Scripted::with_spec(wrong))
        .unwrap_err();
    assert!(
        error.to_string().contains("its schema is not valid"),
        "{error}"
    );
}

#[test]
fn a_list_has_what_the_grants_permit_in_order() {
    let registry = Registry::with_built_ins().unwrap();
    let names = |grants: Grants| -> Vec<String> {
        let specs = registry.list(&grants);
        specs.iter().map(|spec| spec.name.to_string()).collect()
    };
    assert_eq!(
        names(Grants::of([Permission::Run, Permission::Write])),
        ["run_command", "run_tests", "write_file"]
    );
    assert!(names(Grants::default()).is_empty());
    assert_eq!(registry.unregister(&Source::BuiltIn), 8);
}

#[test]
fn replacing_a_source_leaves_the_others_alone() {
    let registry = Registry::with_built_ins().unwrap();
    let mut foreign = spec("git.log");
    let source = Source::Server("git".parse().unwrap());
    foreign.source = source.clone();
    let twice = vec![
        Scripted::with_spec(foreign.clone()),
        Scripted::with_spec(foreign.clone()),
    ];
    let left_out = registry.replace(&source, twice);
    assert_eq!(left_out.len(), 1);
    assert!(registry.get("git.log").is_some());
    assert!(registry.replace(&source, Vec::new()).is_empty());
    assert!(registry.get("git.log").is_none() && registry.get("read_file").is_some());
}
