//! The client of embedding models against servers whose every byte is scripted.

#![allow(clippy::unwrap_used, clippy::expect_used)] // a test fails by panicking

mod common;

use common::{Fake, Reply};
use journeyman_llm::{EmbedError, Embedder, EmbedderOptions, OpenAiEmbedder};
use serde_json::{Value, json};

fn options(url: &str, model: &str) -> EmbedderOptions {
    EmbedderOptions {
        url: url.to_owned(),
        model: model.to_owned(),
        api_key: None,
    }
}

fn client(url: &str, model: &str) -> OpenAiEmbedder {
    OpenAiEmbedder::new(&options(url, model)).unwrap()
}

fn texts() -> Vec<String> {
    vec!["one".to_owned(), "two".to_owned()]
}

async fn fake(replies: Vec<Reply>, models: Option<Value>) -> Fake {
    let models = models.map(|models| ("/v1/models", models.to_string()));
    common::fake("/v1/embeddings", replies, models.into_iter().collect()).await
}

fn whole(body: &Value) -> Reply {
    Reply::Whole("200 OK", "", body.to_string())
}

fn good() -> Reply {
    whole(&json!({"object": "list", "model": "m", "data": [
        {"object": "embedding", "index": 1, "embedding": [0, 2]},
        {"object": "embedding", "index": 0, "embedding": [3, 4]},
    ]}))
}

#[tokio::test]
async fn texts_become_vectors_in_their_order_with_the_model_that_is_named() {
    let fake = fake(vec![good()], None).await;
    let mut options = options(&format!("{}/v1/embeddings", fake.url), "mini");
    options.api_key = Some("secret-key\n".to_owned());
    let client = OpenAiEmbedder::new(&options).unwrap();
    let vectors = client.embed(&texts()).await.unwrap();
    assert_eq!(vectors, [[0.6, 0.8], [0.0, 1.0]]);
    assert_eq!(client.model().await.unwrap(), "mini");
    assert!(client.embed(&[]).await.unwrap().is_empty());
    let seen = fake.seen.lock().unwrap();
    assert_eq!(seen.bodies.len(), 1);
    assert_eq!(
        (&seen.bodies[0]["model"], &seen.bodies[0]["input"]),
        (&json!("mini"), &json!(["one", "two"]))
    );
    let head = seen.heads[0].to_lowercase();
    assert!(head.contains("authorization: bearer secret-key"), "{head}");
    assert!(!format!("{client:?}").contains("secret"));
}

#[tokio::test]
async fn where_no_model_is_named_the_only_one_is_meant_and_several_are_told() {
    let only = fake(
        vec![good()],
        Some(json!({"data": [{"id": "/w/mini.gguf"}]})),
    )
    .await;
    let asked = client(&only.url, "");
    asked.embed(&texts()).await.unwrap();
    assert_eq!(asked.model().await.unwrap(), "/w/mini.gguf");
    assert_eq!(only.seen.lock().unwrap().bodies[0]["model"], "/w/mini.gguf");
    // One that lists none is called by its address, and is not told a name.
    let bare = fake(vec![good()], None).await;
    let asked = client(&bare.url, "");
    asked.embed(&texts()).await.unwrap();
    assert_eq!(asked.model().await.unwrap(), bare.url);
    assert!(bare.seen.lock().unwrap().bodies[0].get("model").is_none());
    let several = json!({"data": [{"id": "chat"}, {"id": "mini"}]});
    let several = fake(vec![], Some(several)).await;
    let error = client(&several.url, "").embed(&texts()).await.unwrap_err();
    let told = error.to_string();
    assert!(
        told.contains("chat, mini") && told.contains("--embedding-model"),
        "{told}"
    );
}

#[tokio::test]
async fn what_is_not_vectors_is_an_error_that_says_what_came() {
    let refused = |status, message: &str| {
        let body = json!({"error": {"message": message}});
        Reply::Whole(status, "", body.to_string())
    };
    let page = "<!DOCTYPE html><html><head><title>Sign in</title></head></html>";
    let cases = [
        (
            Reply::Whole("200 OK", "", page.to_owned()),
            "a page of HTML, \"Sign in\"",
        ),
        (
            Reply::Whole("200 OK", "", String::new()),
            "instead of vectors it sent nothing",
        ),
        (
            whole(&json!({"data": [{"embedding": [1, 2]}]})),
            "1 vectors for 2 texts",
        ),
        (
            whole(&json!({"data": [{"embedding": [1, 2]}, {"embedding": [1, 2, 3]}]})),
            "of 2 and of 3 dimensions",
        ),
        (
            whole(&json!({"error": {"message": "no pooling", "code": 400}})),
            "status 400: no pooling",
        ),
        (
            refused("500 Internal Server Error", "boom"),
            "status 500: boom",
        ),
        (
            refused("404 Not Found", "no such model"),
            "status 404: no such model",
        ),
        (
            Reply::Whole(
                "302 Found",
                "Location: http://elsewhere/\r\n",
                String::new(),
            ),
            "--embedding-url",
        ),
    ];
    for (reply, expected) in cases {
        let fake = fake(vec![reply], None).await;
        let error = client(&fake.url, "m").embed(&texts()).await.unwrap_err();
        let told = error.to_string();
        assert!(told.contains(expected), "{told}, not {expected}");
        assert!(!told.contains("--model-"), "{told}");
    }
    let error = client("http://127.0.0.1:1", "m").embed(&texts()).await;
    let error = error.unwrap_err();
    assert!(
        matches!(&error, EmbedError::Unreachable { url, .. } if url == "http://127.0.0.1:1"),
        "{error}"
    );
}

#[tokio::test]
async fn a_text_that_is_too_long_is_told_from_other_refusals() {
    for (status, message) in [
        (
            "500 Internal Server Error",
            "input (3002 tokens) is too large to process. increase the physical batch size (current batch size: 512)",
        ),
        (
            "400 Bad Request",
            "request (900 tokens) exceeds the available context size (512 tokens), try increasing it",
        ),
        (
            "413 Payload Too Large",
            "`inputs` must have less than 512 tokens. Given: 900",
        ),
    ] {
        let body = json!({"error": {"message": message}}).to_string();
        let fake = fake(vec![Reply::Whole(status, "", body)], None).await;
        let error = client(&fake.url, "m").embed(&texts()).await.unwrap_err();
        assert!(matches!(error, EmbedError::TooLong { .. }), "{error}");
    }
}

#[tokio::test]
async fn a_server_that_breaks_off_is_an_error_and_what_it_repeats_of_a_secret_is_hidden() {
    let cut = Reply::Stream(vec!["{\"data\": [{\"embed".to_owned()]);
    let fake_cut = fake(vec![cut], None).await;
    let error = client(&fake_cut.url, "m")
        .embed(&texts())
        .await
        .unwrap_err();
    assert!(matches!(error, EmbedError::Malformed { .. }), "{error}");
    let body = json!({"error": {"message": "bad password s3cretpw"}}).to_string();
    let said = fake(vec![Reply::Whole("401 Unauthorized", "", body)], None).await;
    let url = said.url.replace("http://", "http://bob:s3cretpw@");
    let error = client(&url, "m").embed(&texts()).await.unwrap_err();
    let told = format!("{error} {error:?}");
    assert!(told.contains("bad password ***"), "{told}");
    assert!(!told.contains("s3cretpw"), "{told}");
}

#[test]
fn an_address_that_is_none_is_refused_without_its_password() {
    for (url, root) in [
        ("ollama://box", "http://box:11434"),
        ("http://box/v1/embeddings", "http://box"),
        ("http://box:8080/", "http://box:8080"),
    ] {
        let client = client(url, "m");
        assert!(
            format!("{client:?}").contains(&format!("{root:?}")),
            "{client:?}"
        );
    }
    for bad in ["box:8080", "ftp://u:s3cret@box", "ollama:", ""] {
        let error = OpenAiEmbedder::new(&options(bad, "m")).unwrap_err();
        let told = error.to_string();
        assert!(
            !told.contains("s3cret") && !told.contains("--model-"),
            "{told}"
        );
    }
}
