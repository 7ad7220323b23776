//! What is taken over REST, what is refused, and what the refusal says.

#![allow(clippy::unwrap_used)] // a test fails by panicking

mod common;

use futures_util::future::join_all;
use serde_json::json;

const TASKS: &str = "/api/v1/tasks";

#[tokio::test]
async fn what_does_not_fit_is_refused_and_the_field_is_named() {
    let server = common::serve(|_| {}).await;
    for (body, field) in [
        (json!({}), "prompt"),
        (json!({"prompt": ""}), "prompt"),
        (json!({"prompt": " \n\t"}), "prompt"),
        (json!({"prompt": 5}), "prompt"),
        (json!({"prompt": null}), "prompt"),
        (json!({"prompt": "x", "answers": "yes"}), "answers"),
        (json!({"prompt": "x", "answers": {}}), "answers"),
        (json!({"prompt": "x", "answers": [1]}), "answers[0]"),
        (json!({"prompt": "x", "answers": [" "]}), "answers"),
        (json!({"prompt": "x", "priority": "urgent"}), "priority"),
        (json!({"prompt": "x", "priority": -1}), "priority"),
        (json!({"prompt": "x", "priority": 101}), "priority"),
        (json!({"prompt": "x", "priority": 1.5}), "priority"),
        (json!({"prompt": "x", "language": "cobol"}), "language"),
        (json!({"prompt": "x", "language": 5}), "language"),
        (json!({"prompt": "x", "model": "another"}), "model"),
        (json!({"prompt": "x", "budget": 0}), "budget"),
        (json!({"prompt": "x", "budget": -5}), "budget"),
        (json!({"prompt": "x", "timeout": -1}), "timeout"),
        (json!({"prompt": "x", "timeout": 1e300}), "timeout"),
        (json!({"prompt": "x", "timeout": "1h"}), "timeout"),
        (
            json!({"prompt": "x", "max_iterations": 0}),
            "max_iterations",
        ),
        (
            json!({"prompt": "x", "max_iterations": 1001}),
            "max_iterations",
        ),
        (json!({"prompt": "x", "wait_ms": 600_001}), "wait_ms"),
        (json!({"prompt": "x", "wait_ms": -1}), "wait_ms"),
        (json!({"prompt": "x", "task_id": ""}), "task_id"),
        (json!({"prompt": "x", "task_id": "sys.erasure"}), "task_id"),
        (json!({"prompt": "x", "task_id": "../x"}), "task_id"),
        (json!({"prompt": "x", "task_id": "a/b"}), "task_id"),
        (
            json!({"prompt": "x", "task_id": "x".repeat(201)}),
            "task_id",
        ),
        (json!({"prompt": "x", "depends_on": "t"}), "depends_on"),
        (json!({"prompt": "x", "depends_on": ["é"]}), "depends_on"),
        (
            json!({"prompt": "x", "tests": [{"name": "../t.py", "source": "x"}]}),
            "tests",
        ),
        (
            json!({"prompt": "x", "tests": [{"name": "t.txt", "source": "x"}]}),
            "tests",
        ),
        (
            json!({"prompt": "x", "tests": [{"name": "t.py", "source": " "}]}),
            "tests",
        ),
        (json!({"prompt": "x", "tests": [["t.py", "x"]]}), "tests[0]"),
        (
            json!({"prompt": "x", "idempotency_key": ""}),
            "idempotency_key",
        ),
        (
            json!({"prompt": "x", "idempotency_key": "a b"}),
            "idempotency_key",
        ),
        (json!({"prompt": "x", "more": 1}), "more"),
        (json!(["x"]), "body"),
        (json!("x"), "body"),
        (json!(null), "body"),
    ] {
        let problem = server.post(TASKS, &body).await.problem(422);
        assert_eq!(problem["field"], field, "{body} {problem}");
        assert!(
            problem["detail"]
                .as_str()
                .is_some_and(|text| text.len() > 10)
        );
    }
    let unknown = server
        .post(TASKS, &json!({"prompt": "x", "priority": "urgent"}))
        .await;
    let detail = unknown.json()["detail"].as_str().unwrap().to_owned();
    for good in ["critical", "high", "medium", "low", "background"] {
        assert!(detail.contains(good), "{detail}");
    }
    // Nothing of all this became a task.
    assert_eq!(server.get(TASKS).await.expect(200)["tasks"], json!([]));
}

#[tokio::test]
async fn priorities_are_taken_by_name_in_any_case_and_by_number() {
    let server = common::serve(|_| {}).await;
    for (given, shown) in [
        (json!("CRITICAL"), "critical"),
        (json!("Background"), "background"),
        (json!(10), "high"),
        (json!(35), "35"),
        (json!(null), "medium"),
    ] {
        let task = server
            .submit(&json!({"prompt": "x", "priority": given}))
            .await;
        assert_eq!(server.task(&task).await["priority"], shown);
    }
}

#[tokio::test]
async fn bodies_that_are_no_json_or_say_that_they_are_not_or_are_too_large_are_refused() {
    let server = common::serve(|_| {}).await;
    let json = [("Content-Type", "application/json")];
    for body in ["{", "{\"prompt\":}", "", "{\"prompt\":\"x\"} x", "\u{0}"] {
        let problem = server
            .ask("POST", TASKS, &json, body.as_bytes())
            .await
            .problem(400);
        assert_eq!(problem["type"], "urn:journeyman:problem:bad-json", "{body}");
    }
    let not_utf8 = server
        .ask("POST", TASKS, &json, b"{\"prompt\":\"\xff\"}")
        .await;
    assert_eq!(not_utf8.status, 400);
    let good = br#"{"prompt":"x"}"#;
    for kind in ["text/plain", "application/x-www-form-urlencoded", ""] {
        let answer = server
            .ask("POST", TASKS, &[("Content-Type", kind)], good)
            .await;
        answer.problem(415);
    }
    let with_charset = [("Content-Type", "Application/JSON; charset=utf-8")];
    server
        .ask("POST", TASKS, &with_charset, good)
        .await
        .expect(202);
    let huge = format!("{{\"prompt\":\"{}\"}}", "x".repeat((8 << 20) + 1 - 13));
    assert_eq!(huge.len(), (8 << 20) + 1);
    server
        .ask("POST", TASKS, &json, huge.as_bytes())
        .await
        .problem(413);
}

#[tokio::test]
async fn the_largest_prompt_and_the_most_answers_are_taken_and_more_is_not() {
    let server = common::serve(|_| {}).await;
    let prompt = "ä".repeat(100_000);
    let task = server.submit(&json!({"prompt": prompt})).await;
    assert_eq!(server.task(&task).await["prompt"], prompt);
    let answers: Vec<String> = (0..1_000).map(|n| format!("answer {n}")).collect();
    let task = server
        .submit(&json!({"prompt": "x", "answers": answers}))
        .await;
    assert_eq!(server.task(&task).await["instructions"], json!(answers));
    for (body, field) in [
        (json!({"prompt": "x".repeat(100_001)}), "prompt"),
        (
            json!({"prompt": "x", "answers": vec!["y"; 1_001]}),
            "answers",
        ),
        (
            json!({"prompt": "x", "answers": ["y".repeat(100_001)]}),
            "answers",
        ),
        (
            json!({"prompt": "x", "depends_on": vec!["t"; 101]}),
            "depends_on",
        ),
    ] {
        let problem = server.post(TASKS, &body).await.problem(413);
        assert_eq!(problem["field"], field);
    }
}

#[tokio::test]
async fn a_name_that_is_taken_is_refused_and_a_task_that_is_not_there_is_not_found() {
    let server = common::serve(|_| {}).await;
    let task = json!({"prompt": "x", "task_id": "mine-1.2:3_x"});
    assert_eq!(server.submit(&task).await, "mine-1.2:3_x");
    let problem = server.post(TASKS, &task).await.problem(409);
    assert_eq!(problem["type"], "urn:journeyman:problem:task-exists");
    for path in [
        "",
        "/events",
        "/files",
        "/files/a.py",
        "/context",
        "/stream",
    ] {
        server
            .get(&format!("{TASKS}/nobody{path}"))
            .await
            .problem(404);
    }
    for path in ["/cancel", "/retry", "/fork?at=1"] {
        server
            .post(&format!("{TASKS}/nobody{path}"), &json!({}))
            .await
            .problem(404);
    }
    server
        .intervene("nobody", &json!({"kind": "pause"}))
        .await
        .problem(404);
    server.get("/api/v1/nothing").await.problem(404);
    let wrong = server.ask("DELETE", TASKS, &[], b"").await;
    wrong.problem(405);
    assert!(
        wrong
            .header("allow")
            .is_some_and(|allow| allow.contains("POST"))
    );
}

#[tokio::test]
async fn submissions_with_one_key_at_the_same_time_are_one_task() {
    let server = common::serve(|_| {}).await;
    let task = json!({"prompt": "x", "idempotency_key": "together"});
    let answers = join_all((0..8).map(|_| server.post(TASKS, &task))).await;
    let answers: Vec<_> = answers.iter().map(|answer| answer.expect(202)).collect();
    let first = &answers[0]["task_id"];
    assert!(
        answers.iter().all(|body| &body["task_id"] == first),
        "{answers:?}"
    );
    let new = answers.iter().filter(|body| body["is_duplicate"] == false);
    assert_eq!(new.count(), 1);
}

#[tokio::test]
async fn interventions_that_do_not_fit_name_the_field() {
    let server = common::serve(|_| {}).await;
    let task = server.submit(&json!({"prompt": "x"})).await;
    for (body, field) in [
        (json!({}), "kind"),
        (json!({"kind": "dance"}), "kind"),
        (json!({"kind": 1}), "kind"),
        (json!({"kind": "instruction"}), "instruction"),
        (
            json!({"kind": "instruction", "instruction": ""}),
            "instruction",
        ),
        (
            json!({"kind": "instruction", "instruction": 7}),
            "instruction",
        ),
        (
            json!({"kind": "instruction", "instruction": "x", "more": 1}),
            "more",
        ),
        (json!({"kind": "answer"}), "answer"),
        (
            json!({"kind": "answer", "answer": "x", "question": 1}),
            "question",
        ),
        (json!({"kind": "edit_file", "path": "a.py"}), "source"),
        (
            json!({"kind": "edit_file", "path": "a.py", "source": " "}),
            "source",
        ),
        (json!({"kind": "skip_module"}), "module"),
        (json!({"kind": "skip_module", "module": "a-b"}), "module"),
        (json!({"kind": "pause", "answer": "x"}), "answer"),
        (json!({"kind": "resume", "budget": 0}), "budget"),
        (json!({"kind": "resume", "timeout": "x"}), "timeout"),
        (
            json!({"kind": "resume", "max_iterations": 0}),
            "max_iterations",
        ),
        (json!(["pause"]), "body"),
        (json!("pause"), "body"),
    ] {
        let problem = server.intervene(&task, &body).await.problem(422);
        assert_eq!(problem["field"], field, "{body} {problem}");
    }
    for (body, field) in [
        (
            json!({"kind": "instruction", "instruction": "x".repeat(100_001)}),
            "instruction",
        ),
        (
            json!({"kind": "answer", "answer": "x", "question": "x".repeat(10_001)}),
            "question",
        ),
    ] {
        let problem = server.intervene(&task, &body).await.problem(413);
        assert_eq!(problem["field"], field);
    }
    let skip = json!({"kind": "skip_module", "module": "nobody.knows"});
    server.intervene(&task, &skip).await.problem(409);
    let edit = json!({"kind": "edit_file", "path": "nobody.py", "source": "x = 1\n"});
    server.intervene(&task, &edit).await.problem(409);
}

#[tokio::test]
async fn two_different_keys_are_refused_and_equal_ones_are_one() {
    let server = common::serve(|_| {}).await;
    let with_key = r#"{"prompt":"x","idempotency_key":"a"}"#;
    for (keys, body, status) in [
        (&["b"][..], with_key, 422),
        (&["a", "b"], r#"{"prompt":"x"}"#, 422),
        (&["a", "b"], with_key, 422),
        (&["a"], with_key, 202),
        (&["a", "a"], r#"{"prompt":"x"}"#, 202),
    ] {
        let mut headers = vec![("Content-Type", "application/json")];
        headers.extend(keys.iter().map(|key| ("Idempotency-Key", *key)));
        let answer = server.ask("POST", TASKS, &headers, body.as_bytes()).await;
        assert_eq!(answer.status, status, "{keys:?} {body}: {}", answer.text());
        if status == 422 {
            let problem = answer.problem(422);
            assert_eq!(problem["field"], "idempotency_key");
            let detail = problem["detail"].as_str().unwrap();
            assert!(detail.contains("two different"), "{detail}");
        }
    }
}

#[tokio::test]
async fn the_document_describes_every_operation_and_its_problems() {
    let server = common::serve(|_| {}).await;
    let document = server.get("/api/v1/openapi.json").await.expect(200);
    assert!(document["openapi"].as_str().unwrap().starts_with("3.1"));
    let paths = document["paths"].as_object().unwrap();
    for path in [
        "/api/v1/tasks",
        "/api/v1/tasks/{task_id}",
        "/api/v1/tasks/{task_id}/events",
        "/api/v1/tasks/{task_id}/files",
        "/api/v1/tasks/{task_id}/files/{path}",
        "/api/v1/tasks/{task_id}/context",
        "/api/v1/tasks/{task_id}/interventions",
        "/api/v1/tasks/{task_id}/cancel",
        "/api/v1/tasks/{task_id}/retry",
        "/api/v1/tasks/{task_id}/fork",
        "/api/v1/tasks/{task_id}/stream",
        "/health",
        "/ready",
        "/metrics",
    ] {
        assert!(paths.contains_key(path), "{path}");
    }
    for operations in paths.values() {
        for operation in operations.as_object().unwrap().values() {
            let answers = operation["responses"].as_object().unwrap();
            assert!(answers.contains_key("422") && answers.contains_key("503"));
            for parameter in operation["parameters"].as_array().into_iter().flatten() {
                assert!(!parameter["schema"]["type"].is_array(), "{parameter}");
            }
        }
    }
}

#[tokio::test]
async fn what_is_made_of_given_tests_is_told() {
    let server = common::serve(|_| {}).await;
    let twice = "from m import f\n\n\ndef test_a():\n    assert f(1) == 7\n\n\ndef test_a():\n    assert f(1) == 2\n";
    let files = json!([{"name": "my-tests.py", "source": twice}]);
    let task = json!({"prompt": "Write f(x). f(2) == 3", "tests": files});
    let accepted = server.post(TASKS, &task).await.expect(202);
    let told = accepted["notices"].to_string();
    for part in [
        "1 example of your prompt is run",
        "is kept as",
        "test_a is not run: a later one of the same name hides it",
    ] {
        assert!(told.contains(part), "{part}: {told}");
    }
    let alone = json!({"prompt": "Write f(x). f(2) == 3", "examples": false});
    let accepted = server.post(TASKS, &alone).await.expect(202);
    assert!(accepted["notices"].as_array().is_none_or(Vec::is_empty));
    server.end().await;
}
