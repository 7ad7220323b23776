//! Webhooks, to receivers that behave and to those that do not.

#![allow(clippy::unwrap_used)] // a test fails by panicking

mod common;

use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use journeyman_event::payload::{FailureReason, TaskCancelled, TaskSubmitted, TaskWebhook};
use journeyman_event::{Principal, TimeSource};
use journeyman_hooks::{HooksOptions, RetryPolicy, Scope};
use standardwebhooks::Webhook;
use tokio::io::AsyncWriteExt;
use tokio::net::TcpListener;

use common::{
    Answer, Names, Receiver, SECRET, World, failed, owner, status, until, variables, view, webhook,
};

/// One webhook called `ci` that goes to this address.
fn to(url: &str, more: &'static str) -> impl FnOnce(&mut HooksOptions) {
    let hook = webhook("ci", url, more);
    move |options| options.webhooks = [hook].into()
}

fn own(url: &str) -> TaskWebhook {
    TaskWebhook {
        url: url.to_owned(),
        events: Vec::new(),
        secret: None,
    }
}

#[tokio::test]
async fn a_message_is_signed_as_standardwebhooks_has_it_and_says_how_the_task_ended() {
    let world = World::new();
    let receiver = Receiver::start(|_, _| status(204)).await;
    let hooks = world
        .hooks(to(&receiver.url(), "secret = \"env:SECRET\""))
        .await;
    world.ended("t-1").await;
    assert!(hooks.wait_until_idle(Duration::from_mins(1)).await);
    let received = receiver.received();
    let [one] = received.as_slice() else {
        panic!("{received:?}")
    };
    let signer = Webhook::new(SECRET).unwrap();
    signer.verify(&one.body, &one.headers).unwrap();
    let other = Webhook::new("whsec_AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA").unwrap();
    assert!(other.verify(&one.body, &one.headers).is_err());
    assert_eq!(one.headers["content-type"], "application/json");
    let body = one.json();
    assert_eq!(body["type"], "task_failed");
    let data = &body["data"];
    assert_eq!(
        (data["status"].as_str(), data["reason"].as_str()),
        (Some("failed"), Some("budget"))
    );
    assert_eq!(
        (data["exit_code"].as_u64(), data["sequence"].as_u64()),
        (Some(4), Some(2))
    );
    assert_eq!(data["prompt"], "Make a thing");
    let view = view(&hooks, "ci").await;
    assert_eq!(
        (view.state.as_str(), view.delivered, view.pending),
        ("ok", 1, 0)
    );
    assert_eq!(view.target, format!("http://{}", receiver.address));
    hooks.close(Duration::ZERO).await;
}

#[tokio::test]
async fn a_receiver_that_fails_is_asked_again_with_the_same_id_and_keeps_the_order_of_each_task() {
    let world = World::new();
    let receiver = Receiver::start(|nth, _| status(if nth < 3 { 500 } else { 200 })).await;
    let more = "events = [\"task_submitted\", \"task_paused\", \"task_failed\"]";
    let hooks = world.hooks(to(&receiver.url(), more)).await;
    world.fail_after_a_pause("t-1", FailureReason::Plan).await;
    let view = until(&hooks, "ci", |view| view.delivered == 3).await;
    assert_eq!((view.consecutive_failures, view.last_error), (0, None));
    let received = receiver.received();
    let ids: Vec<String> = received.iter().map(common::Received::id).collect();
    assert_eq!(ids.len(), 6);
    assert!(ids[..4].iter().all(|id| *id == ids[0]), "{ids:?}");
    let kinds: Vec<String> = received[3..]
        .iter()
        .map(|one| one.json()["type"].as_str().unwrap().to_owned())
        .collect();
    assert_eq!(kinds, ["task_submitted", "task_paused", "task_failed"]);
}

#[tokio::test]
async fn a_receiver_that_is_not_there_gets_everything_when_it_comes_back() {
    let world = World::new();
    let place = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = place.local_addr().unwrap();
    drop(place);
    let hooks = world.hooks(to(&format!("http://{address}/"), "")).await;
    world.ended("t-1").await;
    until(&hooks, "ci", |view| view.consecutive_failures > 1).await;
    world.ended("t-2").await;
    let place = TcpListener::bind(address).await.unwrap();
    let receiver = Receiver::on(place, |_, _| status(200));
    let received = receiver.wait(2).await;
    let tasks: BTreeSet<String> = received.iter().map(common::Received::task).collect();
    assert_eq!(tasks.len(), 2);
}

#[tokio::test]
async fn a_slow_receiver_holds_up_no_other_and_is_given_up_at_the_limit() {
    let world = World::new();
    let slow = Receiver::start(|_, _| Answer::Hang("")).await;
    let quick = Receiver::start(|_, _| status(200)).await;
    let hooks = [
        webhook("a-slow", &slow.url(), ""),
        webhook("quick", &quick.url(), ""),
    ];
    let hooks = world
        .hooks(|options| {
            options.webhooks = hooks.into();
            options.retry_policy.attempt_timeout = Duration::from_secs(2);
        })
        .await;
    for task in ["t-1", "t-2", "t-3"] {
        world.ended(task).await;
    }
    quick.wait(3).await;
    let view = until(&hooks, "a-slow", |view| view.consecutive_failures > 0).await;
    assert_eq!(view.last_error.as_deref(), Some("no response within 2 s"));
    hooks.close(Duration::ZERO).await;
}

#[tokio::test]
async fn a_redirect_is_not_followed() {
    let world = World::new();
    let other = Receiver::start(|_, _| status(200)).await;
    let there = other.url();
    let receiver = Receiver::start(move |_, _| {
        Answer::Text(format!(
            "HTTP/1.1 307 X\r\nLocation: {there}\r\nContent-Length: 0\r\n\r\n"
        ))
    })
    .await;
    let hooks = world.hooks(to(&receiver.url(), "")).await;
    world.ended("t-1").await;
    let view = until(&hooks, "ci", |view| view.consecutive_failures > 1).await;
    assert!(view.last_error.unwrap().contains("307"));
    assert!(other.received().is_empty());
}

#[tokio::test]
async fn a_receiver_that_answers_410_gets_no_more_until_it_is_retried() {
    let world = World::new();
    let receiver = Receiver::start(|nth, _| status(if nth == 0 { 410 } else { 200 })).await;
    let hooks = world.hooks(to(&receiver.url(), "")).await;
    world.ended("t-1").await;
    let view = until(&hooks, "ci", |view| view.state == "disabled").await;
    assert_eq!((view.dead, view.pending), (1, 0));
    world.ended("t-2").await;
    assert!(hooks.wait_until_idle(Duration::from_mins(1)).await);
    assert_eq!(receiver.received().len(), 1);
    hooks.retry("ci", &Scope::All).await.unwrap();
    world.ended("t-3").await;
    let received = receiver.wait(3).await;
    let tasks: Vec<String> = received.iter().map(common::Received::task).collect();
    assert_eq!(tasks, ["t-1", "t-1", "t-3"]);
    assert!(hooks.retry("none", &Scope::All).await.is_err());
}

#[tokio::test]
async fn of_an_answer_only_its_head_is_read_and_that_for_so_long_at_the_most() {
    let world = World::new();
    let long = Receiver::start(|_, _| {
        Answer::Endless("HTTP/1.1 200 OK\r\n\r\n", "an answer without an end ")
    })
    .await;
    let head = Receiver::start(|_, _| Answer::Hang("HTTP/1.1 200 OK\r\nX: ")).await;
    let large = Receiver::start(|_, _| Answer::Endless("HTTP/1.1 200 OK\r\nX: ", "xxxxxxxx")).await;
    let hooks = [
        webhook("body", &long.url(), ""),
        webhook("head", &head.url(), ""),
        webhook("large", &large.url(), ""),
    ];
    let hooks = world
        .hooks(|options| {
            options.webhooks = hooks.into();
            options.retry_policy.attempt_timeout = Duration::from_secs(2);
        })
        .await;
    world.ended("t-1").await;
    until(&hooks, "body", |view| view.delivered == 1).await;
    for name in ["head", "large"] {
        until(&hooks, name, |view| view.consecutive_failures > 0).await;
    }
    hooks.close(Duration::ZERO).await;
}

#[tokio::test]
async fn a_receiver_without_tls_behind_https_fails_and_its_address_is_not_told() {
    let world = World::new();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!(
        "https://{}/hunter2?key=hunter2",
        listener.local_addr().unwrap()
    );
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            // Whatever comes, this is no TLS.
            let _ = stream.write_all(b"HTTP/1.1 400 Bad Request\r\n\r\n").await;
        }
    });
    let hooks = world.hooks(to(&url, "")).await;
    world.ended("t-1").await;
    let view = until(&hooks, "ci", |view| view.consecutive_failures > 0).await;
    assert!(!format!("{view:?}").contains("hunter2"), "{view:?}");
}

#[tokio::test]
async fn a_name_that_leads_to_this_machine_is_refused_and_nothing_is_sent() {
    let world = World::new();
    let receiver = Receiver::start(|_, _| status(200)).await;
    let port = receiver.address.port();
    let public: SocketAddr = "8.8.8.8:0".parse().unwrap();
    // The name's servers say another address each time, and a public one beside it.
    let names = Arc::new(Names::new(move |nth| match nth % 2 {
        0 => vec![public, SocketAddr::new([127, 0, 0, 1].into(), 0)],
        _ => vec!["[::ffff:127.0.0.1]:0".parse().unwrap()],
    }));
    let lookup = Arc::clone(&names);
    let hook = webhook("ci", &format!("http://rebind.example:{port}/"), "");
    let hooks = world
        .hooks(|options| {
            options.webhooks = [hook].into();
            options.networks = "".parse().unwrap();
            options.lookup = lookup;
        })
        .await;
    world.ended("t-1").await;
    let view = until(&hooks, "ci", |view| view.consecutive_failures > 2).await;
    let error = view.last_error.unwrap();
    assert!(
        error.contains("127.0.0.1") && error.contains("--webhook-networks"),
        "{error}"
    );
    assert!(receiver.received().is_empty());
    let own = own(&receiver.url());
    assert!(hooks.check(&own).unwrap_err().contains("127.0.0.1"));
    world
        .ended_with(&Principal::local(), "t-2", Some(own))
        .await;
    until_own_fails(&hooks).await;
    assert!(receiver.received().is_empty());
}

async fn until_own_fails(hooks: &journeyman_hooks::Hooks) {
    let all = async {
        loop {
            let all = hooks.list(&Scope::All).await.unwrap();
            let own = all.iter().find(|view| view.hook.starts_with("task-"));
            if own.is_some_and(|view| view.consecutive_failures > 0) {
                return;
            }
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(Duration::from_mins(1), all)
        .await
        .unwrap();
}

#[tokio::test]
async fn a_name_is_looked_up_once_for_each_attempt_and_the_checked_address_is_connected_to() {
    let world = World::new();
    let receiver = Receiver::start(|_, _| status(200)).await;
    let here = SocketAddr::new(receiver.address.ip(), 0);
    let elsewhere: SocketAddr = "127.0.0.99:0".parse().unwrap();
    // Only the first answer leads to the receiver.
    let names = Arc::new(Names::new(move |nth| match nth {
        0 => vec![here],
        _ => vec![elsewhere],
    }));
    let lookup = Arc::clone(&names);
    let url = format!("http://receiver.example:{}/", receiver.address.port());
    let hook = webhook("ci", &url, "");
    let hooks = world
        .hooks(|options| {
            options.webhooks = [hook].into();
            options.lookup = lookup;
        })
        .await;
    world.ended("t-1").await;
    until(&hooks, "ci", |view| view.delivered == 1).await;
    assert_eq!(names.1.load(Ordering::SeqCst), 1);
    let host = &receiver.received()[0].headers["host"];
    assert!(host.to_str().unwrap().starts_with("receiver.example"));
}

#[tokio::test]
async fn what_fails_for_a_day_is_given_up_and_shown_and_can_be_told_after_all() {
    let world = World::new();
    let is_well = Arc::new(std::sync::atomic::AtomicBool::new(false));
    let well = Arc::clone(&is_well);
    let receiver = Receiver::start(move |_, _| {
        status(if well.load(Ordering::SeqCst) {
            200
        } else {
            503
        })
    })
    .await;
    let hooks = world.hooks(to(&receiver.url(), "")).await;
    world.ended("t-1").await;
    world.ended("t-2").await;
    until(&hooks, "ci", |view| view.consecutive_failures > 1).await;
    world.clock.go_on(Duration::from_hours(23));
    let before = view(&hooks, "ci").await.consecutive_failures;
    until(&hooks, "ci", |view| view.consecutive_failures > before + 1).await;
    assert_eq!(view(&hooks, "ci").await.dead, 0);
    world.clock.go_on(Duration::from_hours(2));
    let dead = until(&hooks, "ci", |view| view.dead == 2).await;
    assert_eq!((dead.state.as_str(), dead.pending), ("failing", 0));
    assert!(dead.last_error.unwrap().contains("503"));
    is_well.store(true, Ordering::SeqCst);
    assert_eq!(hooks.retry("ci", &Scope::All).await.unwrap().dead, 0);
    let view = until(&hooks, "ci", |view| view.delivered == 2).await;
    assert_eq!((view.state.as_str(), view.dead), ("ok", 0));
}

#[tokio::test]
async fn a_hundred_tasks_that_end_at_once_are_told_a_few_at_a_time() {
    let world = World::new();
    let receiver = Receiver::start(|_, _| status(200)).await;
    let hooks = world.hooks(to(&receiver.url(), "")).await;
    for at in 0..100 {
        world.ended(&format!("t-{at}")).await;
    }
    let received = receiver.wait(100).await;
    let tasks: BTreeSet<String> = received.iter().map(common::Received::task).collect();
    assert_eq!(tasks.len(), 100);
    let at_once = receiver.at_once_max.load(Ordering::SeqCst);
    // A connection may not be noticed to have ended before the next one begins.
    assert!(at_once <= 8, "{at_once}");
    until(&hooks, "ci", |view| view.delivered == 100).await;
}

#[tokio::test]
async fn a_receiver_that_is_down_is_asked_less_and_less_however_many_deliveries_wait() {
    let world = World::new();
    let receiver = Receiver::start(|_, _| status(500)).await;
    let url = receiver.url();
    let to = to(&url, "");
    let hooks = world
        .hooks(|options| {
            to(options);
            options.retry_policy = RetryPolicy::default();
        })
        .await;
    for at in 0..30 {
        world.ended(&format!("t-{at}")).await;
    }
    let mut view = until(&hooks, "ci", |view| view.consecutive_failures >= 4).await;
    while view.consecutive_failures < 10 {
        let before = view.consecutive_failures;
        world.clock.go_on(Duration::from_mins(2));
        view = until(&hooks, "ci", |view| view.consecutive_failures > before).await;
    }
    let next: jiff::Timestamp = view.next_attempt_at.unwrap().parse().unwrap();
    let wait = next.duration_since(world.clock.now()).as_secs();
    assert!(wait > 15, "{wait} s");
    assert_eq!(view.pending, 30);
}

#[tokio::test]
async fn what_was_not_told_is_told_by_the_next_process_once() {
    let world = World::new();
    let receiver = Receiver::start(|_, _| status(200)).await;
    let first = world.hooks(to("http://127.0.0.1:1/", "")).await;
    world.ended("t-1").await;
    until(&first, "ci", |view| view.consecutive_failures > 0).await;
    first.close(Duration::ZERO).await;
    // Recorded while nobody tells.
    world.ended("t-2").await;
    let second = world.hooks(to(&receiver.url(), "")).await;
    receiver.wait(2).await;
    until(&second, "ci", |view| view.delivered == 2).await;
    second.close(Duration::ZERO).await;
    let third = world.hooks(to(&receiver.url(), "")).await;
    assert!(third.wait_until_idle(Duration::from_mins(1)).await);
    let tasks: Vec<String> = receiver
        .received()
        .iter()
        .map(common::Received::task)
        .collect();
    assert_eq!(tasks, ["t-1", "t-2"]);
}

#[tokio::test]
async fn what_happened_before_there_were_hooks_is_not_told() {
    let world = World::new();
    world.ended("t-0").await;
    let receiver = Receiver::start(|_, _| status(200)).await;
    let hooks = world.hooks(to(&receiver.url(), "")).await;
    world.ended("t-1").await;
    assert!(hooks.wait_until_idle(Duration::from_mins(1)).await);
    assert_eq!(receiver.wait(1).await[0].task(), "t-1");
}

#[tokio::test]
async fn a_task_has_its_own_events_told_to_its_own_webhook_and_only_its_owner_sees_that() {
    let world = World::new();
    let receiver = Receiver::start(|_, _| status(200)).await;
    let hooks = world
        .hooks(|options| {
            let secret = ("JOURNEYMAN_WEBHOOK_ADA", SECRET);
            let url = ("JOURNEYMAN_WEBHOOK_URL", receiver.url());
            options.environment = variables(&[secret, (url.0, &url.1)]);
        })
        .await;
    let ada = owner("ada");
    let webhook = TaskWebhook {
        url: "env:JOURNEYMAN_WEBHOOK_URL".to_owned(),
        events: vec!["task_failed:budget".to_owned(), "task_cancelled".to_owned()],
        secret: Some("env:JOURNEYMAN_WEBHOOK_ADA".to_owned()),
    };
    world.ended_with(&ada, "t-1", Some(webhook.clone())).await;
    world.ended_with(&owner("bob"), "t-1", None).await;
    let asked = TaskSubmitted {
        webhook: Some(webhook),
        ..TaskSubmitted::of("Make another thing")
    };
    world.record(&ada, "t-2", asked.clone()).await;
    world.record(&ada, "t-2", failed(FailureReason::Plan)).await;
    world.record(&ada, "t-3", asked).await;
    world.record(&ada, "t-3", TaskCancelled {}).await;
    assert!(hooks.wait_until_idle(Duration::from_mins(1)).await);
    let received = receiver.wait(2).await;
    let mut told: Vec<(String, String)> = received
        .iter()
        .map(|one| {
            (
                one.task(),
                one.json()["data"]["owner"].as_str().unwrap().to_owned(),
            )
        })
        .collect();
    told.sort();
    let ada_s = |task: &str| (task.to_owned(), "ada".to_owned());
    assert_eq!(told, [ada_s("t-1"), ada_s("t-3")]);
    let signer = Webhook::new(SECRET).unwrap();
    signer
        .verify(&received[0].body, &received[0].headers)
        .unwrap();
    let seen = |who: &Principal| Scope::Owner(who.owner().clone());
    let hers = hooks.list(&seen(&ada)).await.unwrap();
    assert_eq!(hers.len(), 1);
    assert_eq!(hers[0].target, "env:JOURNEYMAN_WEBHOOK_URL");
    assert!(hooks.list(&seen(&owner("bob"))).await.unwrap().is_empty());
    assert!(
        hooks
            .retry(&hers[0].hook, &seen(&owner("bob")))
            .await
            .is_err()
    );
    assert!(hooks.retry(&hers[0].hook, &seen(&ada)).await.is_ok());
}

#[tokio::test]
async fn a_secret_that_is_not_there_sends_nothing_unsigned() {
    let world = World::new();
    let receiver = Receiver::start(|_, _| status(200)).await;
    let hooks = world
        .hooks(to(&receiver.url(), "secret = \"env:MISSING\""))
        .await;
    world.ended("t-1").await;
    let view = until(&hooks, "ci", |view| view.consecutive_failures > 0).await;
    assert!(view.last_error.unwrap().contains("env:MISSING"));
    assert!(receiver.received().is_empty());
}
