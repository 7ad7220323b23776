//! A task's version over HTTP: the tags of answers, what is answered to who has them, earlier versions, and changes that
//! are meant for one version alone.

#![allow(clippy::unwrap_used)] // a test fails by panicking

mod common;

use std::sync::Arc;

use common::{Always, Reply, Served};
use futures_util::future::join_all;
use journeyman_bus::Bus;
use journeyman_event::payload::{TaskStarted, TaskSubmitted};
use journeyman_event::{Principal, SeededRandom, TaskId, TaskState, Tokens};
use journeyman_tasks::Tasks;
use journeyman_workflow::{Fact, Notices, Recorder, Role};
use serde_json::{Value, json};
use tokio_util::sync::CancellationToken;

const TASK: &str = "/api/v1/tasks/t-1";
const INTERVENE: &str = "/api/v1/tasks/t-1/interventions";

/// A server with one task, at version 1.
async fn with_task() -> Served {
    let server = common::serve(|_| {}).await;
    let task = json!({"prompt": "Make a thing", "task_id": "t-1"});
    server.submit(&task).await;
    server
}

fn said(words: &str) -> Value {
    json!({"kind": "instruction", "instruction": words})
}

/// Says something to the task, so that its version is one higher.
async fn say(server: &Served, words: &str) {
    server.intervene("t-1", &said(words)).await.expect(200);
}

async fn version(server: &Served) -> u64 {
    server.task("t-1").await["revision"].as_u64().unwrap()
}

async fn look(server: &Served, path: &str, header: &str, tags: &str) -> Reply {
    server.ask("GET", path, &[(header, tags)], b"").await
}

#[tokio::test]
async fn the_tag_of_a_task_begins_with_its_version_and_is_another_one_after_every_event() {
    let server = with_task().await;
    let mut seen = Vec::new();
    for expected in 1..5 {
        let reply = server.get(TASK).await;
        assert_eq!(reply.expect(200)["revision"], expected);
        assert_eq!(reply.header("cache-control"), Some("private, no-cache"));
        let tag = reply.header("etag").unwrap().to_owned();
        assert!(tag.starts_with(&format!("\"{expected}-")), "{tag}");
        assert_eq!(server.tag("t-1").await, tag, "nothing has happened");
        assert!(!seen.contains(&tag), "{tag}");
        seen.push(tag);
        say(&server, "be brief").await;
    }
    server.end().await;
}

#[tokio::test]
async fn a_client_that_has_the_answer_is_told_so_and_any_other_gets_it() {
    let server = with_task().await;
    let old = server.tag("t-1").await;
    say(&server, "be brief").await;
    let tag = server.tag("t-1").await;
    let weak = format!("W/{tag}");
    let list = format!("\"other\", {old} ,{tag}");
    for (tags, status) in [
        (tag.as_str(), 304),
        (&weak, 304),
        (&list, 304),
        ("\"2\"", 304),
        ("W/\"2\"", 304),
        ("*", 304),
        (&old, 200),
        ("\"1\"", 200),
        ("\"02\"", 200),
        ("\"\"", 200),
        (",", 200),
        // What is no list of tags says nothing, and is answered in full.
        ("2", 200),
        ("\"2", 200),
        ("w/\"2\"", 200),
        ("\"2\" \"2\"", 200),
        ("*, \"2\"", 200),
    ] {
        for method in ["GET", "HEAD"] {
            let headers = [("If-None-Match", tags)];
            let reply = server.ask(method, TASK, &headers, b"").await;
            assert_eq!(reply.status, status, "{method} {tags}");
            assert_eq!(reply.header("etag"), Some(tag.as_str()), "{tags}");
            assert_eq!(reply.header("cache-control"), Some("private, no-cache"));
            let has_body = status == 200 && method == "GET";
            assert_eq!(reply.text().is_empty(), !has_body, "{method} {tags}");
        }
    }
    // There is no answer to have of what is not there.
    let nobody = look(&server, "/api/v1/tasks/t-2", "If-None-Match", "*").await;
    nobody.problem(404);
    server.end().await;
}

#[tokio::test]
async fn several_lines_of_a_header_are_one_list() {
    let server = with_task().await;
    let tag = server.tag("t-1").await;
    let lines = [
        ("If-None-Match", "\"other\""),
        ("If-None-Match", tag.as_str()),
    ];
    let reply = server.ask("GET", TASK, &lines, b"").await;
    assert_eq!(reply.status, 304);
    server.end().await;
}

#[tokio::test]
async fn a_look_that_is_meant_for_another_answer_is_refused_with_the_tag_that_there_is() {
    let server = with_task().await;
    let tag = server.tag("t-1").await;
    let weak = format!("W/{tag}");
    for (tags, status) in [
        (tag.as_str(), 200),
        ("\"1\"", 200),
        ("*", 200),
        ("\"2\"", 412),
        (&weak, 412),
    ] {
        let reply = look(&server, TASK, "If-Match", tags).await;
        assert_eq!(reply.status, status, "{tags}");
        assert_eq!(reply.header("etag"), Some(tag.as_str()), "{tags}");
        if status == 412 {
            assert_eq!(reply.problem(412)["version"], 1);
        }
    }
    // It comes before what the client has: the answer is no longer the one that is meant.
    let both = [("If-Match", "\"2\""), ("If-None-Match", tag.as_str())];
    server.ask("GET", TASK, &both, b"").await.problem(412);
    let bad = look(&server, TASK, "If-Match", "1").await.problem(400);
    assert_eq!(bad["field"], "If-Match");
    server.end().await;
}

#[tokio::test]
async fn every_earlier_version_is_answered_as_it_was_with_a_tag_that_stays() {
    let server = with_task().await;
    let mut then = Vec::new();
    for words in ["one", "two", "three"] {
        let reply = server.get(TASK).await;
        let tag = reply.header("etag").unwrap().to_owned();
        then.push((reply.expect(200), tag));
        say(&server, words).await;
    }
    // Twice, with something new between: what was stays as it was.
    for _ in 0..2 {
        for (was, tag) in &then {
            let path = format!("{TASK}?version={}", was["revision"]);
            let reply = server.get(&path).await;
            assert_eq!(&reply.expect(200), was, "{path}");
            assert_eq!(reply.header("etag"), Some(tag.as_str()), "{path}");
            let known = look(&server, &path, "If-None-Match", tag).await;
            assert_eq!(known.status, 304, "{path}");
        }
        say(&server, "more").await;
    }
    let before = server.get(&format!("{TASK}?version=0")).await.expect(200);
    assert_eq!(
        (&before["revision"], &before["prompt"]),
        (&json!(0), &json!(""))
    );
    assert_eq!(before["instructions"], json!([]));
    let now = server.get(TASK).await;
    let current = now.expect(200)["revision"].clone();
    let named = server.get(&format!("{TASK}?version={current}")).await;
    assert_eq!(named.expect(200), now.json());
    assert_eq!(named.header("etag"), now.header("etag"));
    server.end().await;
}

#[tokio::test]
async fn a_version_that_is_not_there_is_told_with_the_one_that_is() {
    let server = with_task().await;
    for ahead in [
        "2",
        "4294967296",
        "9223372036854775808",
        "18446744073709551615",
    ] {
        let problem = server
            .get(&format!("{TASK}?version={ahead}"))
            .await
            .problem(404);
        assert_eq!(problem["type"], "urn:journeyman:problem:no-such-version");
        assert_eq!(problem["version"], 1, "{problem}");
        assert!(
            problem["detail"].as_str().unwrap().contains(ahead),
            "{problem}"
        );
    }
    for bad in ["-1", "1.5", "one", "", "18446744073709551616", "1&at=1"] {
        let problem = server
            .get(&format!("{TASK}?version={bad}"))
            .await
            .problem(422);
        assert_eq!(problem["field"], "version", "{bad}");
    }
    let nobody = server.get("/api/v1/tasks/t-2?version=0").await.problem(404);
    assert_eq!(nobody["version"], json!(null));
    server.end().await;
}

#[tokio::test]
async fn a_change_is_made_to_the_version_that_it_is_meant_for_and_to_no_other() {
    let server = with_task().await;
    let old = server.tag("t-1").await;
    say(&server, "one").await;
    let body = said("be brief");
    for (tags, status) in [
        ("\"1\"", 412),
        (&*old, 412),
        ("\"3\"", 412),
        ("\"0\"", 412),
        ("\"02\"", 412),
        ("\"18446744073709551616\"", 412),
        ("W/\"2\"", 412),
        ("\"\"", 412),
        (",", 412),
        ("\"1\", W/\"2\", \"3\"", 412),
        ("2", 400),
        ("\"2", 400),
        ("2\"", 400),
        ("'2'", 400),
        ("w/\"2\"", 400),
        ("\"2\" \"1\"", 400),
        ("*, \"2\"", 400),
    ] {
        let problem = server.post_if(INTERVENE, tags, &body).await;
        let tag = server.tag("t-1").await;
        let told = problem.problem(status);
        if status == 412 {
            assert_eq!(
                told["type"], "urn:journeyman:problem:other-version",
                "{tags}"
            );
            assert_eq!(
                (&told["version"], &told["etag"]),
                (&json!(2), &json!(tag)),
                "{tags}"
            );
            assert_eq!(problem.header("etag"), Some(tag.as_str()), "{tags}");
            assert!(
                told["detail"].as_str().unwrap().contains("version 2"),
                "{told}"
            );
        } else {
            assert_eq!(told["field"], "If-Match", "{tags}");
        }
    }
    assert_eq!(version(&server).await, 2, "nothing of that was done");
    let mut current = 2;
    let mut tag = server.tag("t-1").await;
    for tags in ["\"2\"", "*", "TAG", "\"1\" , TAG", "\"9\",\t\"6\""] {
        let tags = tags.replace("TAG", &tag);
        let done = server.post_if(INTERVENE, &tags, &body).await;
        current += 1;
        assert_eq!(done.expect(200)["revision"], current, "{tags}");
        tag = done.header("etag").unwrap().to_owned();
        assert_eq!(server.tag("t-1").await, tag, "the tag of what is answered");
        assert_eq!(done.header("content-location"), Some(TASK));
    }
    let headers = [
        ("Content-Type", "application/json"),
        ("If-None-Match", "\"1\""),
    ];
    let body = body.to_string();
    let other = server
        .ask("POST", INTERVENE, &headers, body.as_bytes())
        .await;
    assert_eq!(other.problem(400)["field"], "If-None-Match");
    server.end().await;
}

#[tokio::test]
async fn every_request_that_changes_a_task_takes_the_version() {
    let server = with_task().await;
    say(&server, "one").await;
    let fork = format!("{TASK}/fork?at=1");
    let [retry, cancel, tools] = ["retry", "cancel", "tools"].map(|what| format!("{TASK}/{what}"));
    let calls = json!({"steps": [{"name": "list_files"}]});
    let other = "\"1\", \"1-0123456789abcdef\"";
    for (path, body) in [
        (INTERVENE, said("x")),
        (INTERVENE, json!({"kind": "answer", "answer": "x"})),
        (
            INTERVENE,
            json!({"kind": "edit_file", "path": "a.py", "source": "x"}),
        ),
        (INTERVENE, json!({"kind": "skip_module", "module": "a"})),
        (INTERVENE, json!({"kind": "pause"})),
        (INTERVENE, json!({"kind": "resume", "budget": 5})),
        (INTERVENE, json!({"kind": "cancel"})),
        (&cancel, json!({})),
        (&retry, json!({})),
        (&fork, json!({"prompt": "y"})),
        (&tools, calls.clone()),
    ] {
        let problem = server.post_if(path, other, &body).await.problem(412);
        assert_eq!(problem["version"], 2, "{path} {body}");
        let malformed = server.post_if(path, "1", &body).await.problem(400);
        assert_eq!(malformed["field"], "If-Match", "{path} {body}");
    }
    assert_eq!(version(&server).await, 2);
    let all = server.get("/api/v1/tasks").await.expect(200);
    assert_eq!(
        all["tasks"].as_array().unwrap().len(),
        1,
        "no task was made"
    );
    // At the right version what is wrong with them besides is told.
    server.post_if(&tools, "\"2\"", &calls).await.problem(409);
    let skip = json!({"kind": "skip_module", "module": "a"});
    server.post_if(INTERVENE, "\"2\"", &skip).await.problem(409);
    for (path, body, status) in [
        (&*retry, json!({}), 202),
        (&*fork, json!({}), 202),
        (INTERVENE, json!({"kind": "pause"}), 200),
    ] {
        server.post_if(path, "\"2\"", &body).await.expect(status);
    }
    // A stop is asked for at the version, and recorded after that.
    assert_eq!(version(&server).await, 4);
    server
        .post_if(INTERVENE, "\"4\"", &json!({"kind": "resume"}))
        .await
        .expect(200);
    server
        .post_if(&cancel, "\"5\"", &json!({}))
        .await
        .expect(200);
    assert_eq!(version(&server).await, 7);
    // It has ended: a version that it had is told before that, and of the one that it has that it has ended.
    server
        .post_if(INTERVENE, "\"5\"", &said("x"))
        .await
        .problem(412);
    server
        .post_if(INTERVENE, "\"7\"", &said("x"))
        .await
        .problem(409);
    server
        .post_if(&cancel, "\"7\"", &json!({}))
        .await
        .expect(200);
    server
        .post_if(&cancel, "\"6\"", &json!({}))
        .await
        .problem(412);
    server.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn of_many_at_once_that_are_meant_for_one_version_one_is_done() {
    const AT_ONCE: usize = 64;
    let server = with_task().await;
    let resume = json!({"kind": "resume"});
    for (body, events) in [
        (said("be brief"), 1),
        (json!({"kind": "answer", "answer": "yes"}), 1),
        (json!({"kind": "resume", "budget": 7}), 1),
        (json!({"kind": "pause"}), 2),
        (json!({"kind": "cancel"}), 2),
    ] {
        let before = version(&server).await;
        let tag = server.tag("t-1").await;
        let bare = format!("\"{before}\"");
        let asked = (0..AT_ONCE).map(|n| {
            let tags = if n % 2 == 0 { &tag } else { &bare };
            server.post_if(INTERVENE, tags, &body)
        });
        let answers = join_all(asked).await;
        let statuses: Vec<u16> = answers.iter().map(|answer| answer.status).collect();
        let done = statuses.iter().filter(|status| **status == 200).count();
        let refused = statuses.iter().filter(|status| **status == 412).count();
        assert_eq!((done, refused), (1, AT_ONCE - 1), "{body} {statuses:?}");
        assert_eq!(version(&server).await, before + events, "{body}");
        if body["kind"] == "pause" {
            server.intervene("t-1", &resume).await.expect(200);
        }
    }
    server.end().await;
}

#[tokio::test]
async fn a_request_with_a_key_is_answered_again_as_it_was_whatever_the_version_is_since() {
    let server = with_task().await;
    let tag = server.tag("t-1").await;
    for path in [format!("{TASK}/retry"), format!("{TASK}/fork?at=1")] {
        let ask = async |key: &str, tags: &str| {
            let headers = [("Idempotency-Key", key), ("If-Match", tags)];
            server.ask("POST", &path, &headers, b"").await
        };
        let now = server.tag("t-1").await;
        let first = ask(&path, &now).await.expect(202);
        say(&server, "go on").await;
        for tags in [now.as_str(), "\"1\"", "*"] {
            let again = ask(&path, tags).await.expect(202);
            assert_eq!(again["task_id"], first["task_id"], "{path} {tags}");
            assert_eq!(again["is_duplicate"], true);
        }
        ask("another", &now).await.problem(412);
    }
    assert_ne!(server.tag("t-1").await, tag);
    server.end().await;
}

#[tokio::test]
async fn a_fork_is_made_from_a_version_as_from_the_position_of_its_last_event() {
    let server = with_task().await;
    // Positions in the store and versions of the task come apart.
    server
        .submit(&json!({"prompt": "Make another thing"}))
        .await;
    say(&server, "one").await;
    say(&server, "two").await;
    let of = server.get(&format!("{TASK}?version=2")).await.expect(200);
    assert_eq!((&of["revision"], &of["sequence"]), (&json!(2), &json!(3)));
    for from in ["version=2", "at=3"] {
        let fork = server
            .post(&format!("{TASK}/fork?{from}"), &json!({}))
            .await;
        let fork = fork.expect(202)["task_id"].as_str().unwrap().to_owned();
        assert_eq!(
            server.task(&fork).await["instructions"],
            json!(["one"]),
            "{from}"
        );
    }
    for (from, status, field) in [
        ("?version=4", 404, json!(null)),
        ("?version=0", 422, json!("at")),
        ("?version=x", 422, json!("version")),
        ("?version=2&at=3", 422, json!("version")),
        ("", 422, json!("at")),
    ] {
        let problem = server.post(&format!("{TASK}/fork{from}"), &json!({})).await;
        let problem = problem.problem(status);
        assert_eq!(problem["field"], field, "{from}");
        let current = if status == 404 { json!(3) } else { json!(null) };
        assert_eq!(problem["version"], current, "{from}");
    }
    server.end().await;
}

#[tokio::test]
async fn the_same_task_has_the_same_tag_however_the_server_is_called_and_that_of_another_store_has_another()
 {
    let server = with_task().await;
    let ask = async |host: &str| {
        let reply = server.ask("GET", TASK, &[("Host", host)], b"").await;
        let socket = reply.expect(200)["urls"]["socket"].clone();
        (reply.header("etag").unwrap().to_owned(), socket)
    };
    let (here, there) = (ask("127.0.0.1").await, ask("localhost").await);
    assert_eq!(here.0, there.0);
    assert_ne!(here.1, there.1);
    let elsewhere = common::serve(|_| {}).await;
    elsewhere
        .submit(&json!({"prompt": "Make another thing", "task_id": "t-1"}))
        .await;
    let other = elsewhere.tag("t-1").await;
    assert!(other.starts_with("\"1-") && other != here.0, "{other}");
    server.end().await;
    elsewhere.end().await;
}

#[tokio::test]
async fn what_is_shown_beside_the_events_is_never_hidden_behind_a_version() {
    let mut tasks: Option<Tasks> = None;
    let server = common::serve(|options| tasks = Some(options.tasks.clone())).await;
    let recorder = Recorder {
        journal: tasks.unwrap().journal().clone(),
        principal: Principal::local(),
        time: Arc::new(Always),
        randomness: Arc::new(SeededRandom::new(9)),
        notices: Notices::new(Bus::start(), Arc::new(Always)),
    };
    // Recorded as running, and in no queue: whoever worked on it died.
    let started = TaskStarted {
        model: "none".to_owned(),
        server: "none".to_owned(),
        window: Tokens(1),
        sandbox: "none".to_owned(),
        tools: Vec::new(),
        strategy: None,
    };
    let facts = vec![
        Fact::of_task(Role::User, TaskSubmitted::of("Make a thing")),
        Fact::of_task(Role::Conductor, started),
    ];
    let (mut state, cancel) = (TaskState::default(), CancellationToken::new());
    let task = TaskId::new("t-1").unwrap();
    let recorded = recorder.record(&task, &mut state, facts, Vec::new(), &cancel);
    recorded.await.unwrap();
    let now = server.get(TASK).await;
    let then = server.get(&format!("{TASK}?version=2")).await;
    let status = |reply: &Reply| reply.expect(200)["status"].clone();
    assert_eq!(
        (status(&now), status(&then)),
        (json!("paused"), json!("running"))
    );
    assert_ne!(now.header("etag"), then.header("etag"));
    for (path, tags, expected) in [
        (TASK.to_owned(), now.header("etag").unwrap(), 304),
        (TASK.to_owned(), then.header("etag").unwrap(), 200),
        (TASK.to_owned(), "\"2\"", 200),
        (format!("{TASK}?version=2"), "\"2\"", 304),
    ] {
        let reply = look(&server, &path, "If-None-Match", tags).await;
        assert_eq!(reply.status, expected, "{path} {tags}");
    }
    // A change is about the version all the same.
    server
        .post_if(INTERVENE, "\"1\"", &said("x"))
        .await
        .problem(412);
    server
        .post_if(INTERVENE, "\"2\"", &said("x"))
        .await
        .expect(200);
    server.end().await;
}

#[tokio::test]
async fn lists_and_files_have_tags_that_change_with_what_is_answered_and_with_nothing_else() {
    let server = with_task().await;
    for (path, changes) in [
        ("/api/v1/tasks".to_owned(), true),
        (format!("{TASK}/files"), false),
    ] {
        let reply = server.get(&path).await;
        let (answer, tag) = (reply.expect(200), reply.header("etag").unwrap());
        assert_eq!(look(&server, &path, "If-None-Match", tag).await.status, 304);
        say(&server, "more").await;
        let later = look(&server, &path, "If-None-Match", tag).await;
        assert_eq!(later.status, if changes { 200 } else { 304 }, "{path}");
        if changes {
            assert_ne!(later.json(), answer, "{path}");
        }
    }
    server.end().await;
}
