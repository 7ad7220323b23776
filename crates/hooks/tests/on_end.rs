//! The command for ended tasks.

#![allow(clippy::unwrap_used)] // a test fails by panicking

mod common;

use std::time::Duration;

use journeyman_event::payload::FailureReason;
use journeyman_hooks::OnEnd;

use common::{World, script, until, view};

fn command(words: &[&str]) -> OnEnd {
    OnEnd {
        words: words.iter().map(|word| (*word).to_owned()).collect(),
        limit: Duration::from_mins(1),
    }
}

#[tokio::test]
async fn the_command_is_run_for_each_end_and_for_nothing_else() {
    let world = World::new();
    let out = world.folder.path().join("told");
    let text = format!(
        "echo $JOURNEYMAN_TASK_ID $JOURNEYMAN_STATUS $JOURNEYMAN_REASON $JOURNEYMAN_EXIT_CODE >> {}\n",
        out.display()
    );
    let script = script(world.folder.path(), &text);
    let on_end = command(&["sh", script.to_str().unwrap()]);
    let hooks = world.hooks(|options| options.on_end = Some(on_end)).await;
    world
        .fail_after_a_pause("t-1", FailureReason::Timeout)
        .await;
    assert!(hooks.wait_until_idle(Duration::from_mins(1)).await);
    let told = std::fs::read_to_string(&out).unwrap();
    assert_eq!(told, "t-1 failed timeout 4\n");
    let view = view(&hooks, "on_end").await;
    assert_eq!(
        (view.kind.as_str(), view.target.as_str()),
        ("command", "sh")
    );
    assert_eq!((view.delivered, view.last_error), (1, None));
}

#[tokio::test]
async fn a_command_that_does_not_work_is_shown_and_not_run_again() {
    let world = World::new();
    let on_end = command(&["/no/such/program", "hunter2"]);
    let hooks = world.hooks(|options| options.on_end = Some(on_end)).await;
    world.ended("t-1").await;
    let view = until(&hooks, "on_end", |view| view.delivered == 1).await;
    let error = view.last_error.clone().unwrap();
    assert!(error.contains("/no/such/program"), "{error}");
    assert!(!format!("{view:?}").contains("hunter2"));
    assert_eq!((view.pending, view.dead), (0, 0));
}

#[tokio::test]
async fn a_command_that_is_cut_off_by_the_end_of_the_process_is_run_again() {
    let world = World::new();
    let out = world.folder.path().join("told");
    let text = format!(
        "echo began >> {0}; while [ ! -e {1} ]; do sleep 0.02; done; echo ended >> {0}\n",
        out.display(),
        world.folder.path().join("go").display()
    );
    let script = script(world.folder.path(), &text);
    let on_end = command(&["sh", script.to_str().unwrap()]);
    let first = world
        .hooks(|options| options.on_end = Some(on_end.clone()))
        .await;
    world.ended("t-1").await;
    let began = async {
        while std::fs::read_to_string(&out).unwrap_or_default() != "began\n" {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(Duration::from_mins(1), began)
        .await
        .unwrap();
    first.close(Duration::ZERO).await;
    std::fs::write(world.folder.path().join("go"), "").unwrap();
    let second = world.hooks(|options| options.on_end = Some(on_end)).await;
    assert!(second.wait_until_idle(Duration::from_mins(1)).await);
    assert_eq!(
        std::fs::read_to_string(&out).unwrap(),
        "began\nbegan\nended\n"
    );
}
