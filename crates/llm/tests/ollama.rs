//! The client of Ollama's own API against a server that answers in its recorded formats.

#![allow(clippy::unwrap_used, clippy::expect_used)] // a test fails by panicking

mod common;

use std::time::Duration;

use common::{Fake, Reply};
use journeyman_event::Tokens;
use journeyman_llm::{
    Answer, Connection, Delta, Error, FinishReason, ModelServer, Ollama, OllamaOptions, Request,
    SupervisorCommand, WindowSource, connect, describe,
};
use serde_json::{Value, json};
use tokio_util::sync::CancellationToken;

const MODEL: &str = "qwen2.5-coder:1.5b";

/// What `POST /api/chat` without messages answers when the model is loaded.
fn loaded() -> Reply {
    let body = json!({
        "model": MODEL, "created_at": "2026-03-01T10:00:00.1Z",
        "message": {"role": "assistant", "content": ""}, "done_reason": "load", "done": true,
    });
    Reply::Whole("200 OK", "", body.to_string())
}

fn piece(text: &str) -> String {
    let chunk = json!({
        "model": MODEL, "created_at": "2026-03-01T10:00:01.1Z",
        "message": {"role": "assistant", "content": text}, "done": false,
    });
    format!("{chunk}\n")
}

fn last(reason: &str, prompt: u64) -> String {
    let chunk = json!({
        "model": MODEL, "created_at": "2026-03-01T10:00:02.1Z",
        "message": {"role": "assistant", "content": ""}, "done_reason": reason, "done": true,
        "total_duration": 4_883_583_458_u64, "load_duration": 1_334_875,
        "prompt_eval_count": prompt, "prompt_eval_duration": 342_546_000,
        "eval_count": 3, "eval_duration": 4_535_599_000_u64,
    });
    format!("{chunk}\n")
}

fn whole(prompt: u64) -> Reply {
    Reply::Stream(vec![piece("Hel"), piece("lo"), last("stop", prompt)])
}

fn refusal(status: &'static str, message: &str) -> Reply {
    Reply::Whole(status, "", json!({"error": message}).to_string())
}

/// The routes of a server that has the model and, when it was loaded, gave it `window`.
fn routes_with(version: &str, show: &Value, window: Option<u64>) -> Vec<(&'static str, String)> {
    let mut running = json!({
        "name": MODEL, "model": MODEL, "size": 1_800_000_000, "digest": "d7372fd82851",
        "expires_at": "2026-03-01T10:30:00.1Z", "size_vram": 0,
    });
    if let Some(window) = window {
        running["context_length"] = json!(window);
    }
    let models = json!({"models": [
        {"name": "llama3.2:latest", "model": "llama3.2:latest", "size": 2_019_393_189, "digest": "a80c4f17acd5"},
        {"name": MODEL, "model": MODEL, "size": 986_062_089, "digest": "d7372fd82851"},
    ]});
    vec![
        ("/api/version", json!({"version": version}).to_string()),
        ("/api/tags", models.to_string()),
        ("/api/show", show.to_string()),
        ("/api/ps", json!({"models": [running]}).to_string()),
    ]
}

fn show(parameters: &str, trained: u64) -> Value {
    json!({
        "parameters": parameters, "details": {"format": "gguf", "family": "qwen2"},
        "model_info": {"general.architecture": "qwen2", "qwen2.context_length": trained},
        "capabilities": ["completion", "tools"],
    })
}

fn routes(window: u64) -> Vec<(&'static str, String)> {
    routes_with("0.12.6", &show("", 32_768), Some(window))
}

async fn fake(replies: Vec<Reply>, routes: Vec<(&'static str, String)>) -> Fake {
    common::fake("/api/chat", replies, routes).await
}

fn options(fake: &Fake) -> OllamaOptions {
    OllamaOptions::new(fake.url.replace("http://", "ollama://"), MODEL)
}

fn request() -> Request {
    common::request(0.25)
}

async fn ask(options: OllamaOptions, request: &Request) -> (Result<Answer, Error>, Vec<String>) {
    common::ask(&Ollama::new(options).unwrap(), request).await
}

#[tokio::test]
async fn an_answer_streams_with_its_usage() {
    let fake = fake(vec![loaded(), whole(12)], routes(8_192)).await;
    let (answer, deltas) = ask(options(&fake), &request()).await;
    let answer = answer.unwrap();
    assert_eq!(
        (answer.text.as_str(), answer.finish),
        ("Hello", FinishReason::Stop)
    );
    assert_eq!(deltas, ["Hel", "lo"]);
    assert_eq!(
        (answer.usage.prompt, answer.usage.completion),
        (Tokens(12), Tokens(3))
    );
    assert!(answer.usage.exact && answer.served_model.is_none());
}

#[tokio::test]
async fn every_call_says_its_window_and_forbids_cutting() {
    let fake = fake(vec![loaded(), whole(12)], routes(8_192)).await;
    let mut request = request();
    request.stop = vec!["END".into()];
    request.schema = Some(json!({"type": "object"}));
    ask(options(&fake), &request).await.0.unwrap();
    let seen = fake.seen.lock().unwrap();
    let [load, call] = &seen.bodies[..] else {
        panic!("{:?}", seen.bodies)
    };
    assert!(load.get("messages").is_none());
    for body in [load, call] {
        assert_eq!(body["model"], MODEL);
        assert_eq!(body["options"]["num_ctx"], 8_192);
        assert_eq!(
            (&body["truncate"], &body["shift"]),
            (&json!(false), &json!(false))
        );
        assert_eq!(body["keep_alive"], "30m");
    }
    assert_eq!(
        call["options"],
        json!({"num_ctx": 8_192, "num_predict": 50, "temperature": 0.25, "seed": 7, "stop": ["END"]})
    );
    assert_eq!(call["format"], json!({"type": "object"}));
    assert_eq!(call["stream"], true);
    assert!(call.get("think").is_none());
}

#[tokio::test]
async fn a_model_that_thinks_is_told_not_to_and_its_thoughts_are_no_answer() {
    let mut show = show("", 32_768);
    show["capabilities"] = json!(["completion", "thinking"]);
    let thought = json!({"model": MODEL, "message": {"role": "assistant", "content": "", "thinking": "Hm"}, "done": false});
    let stream = vec![format!("{thought}\n"), piece("Hi"), last("length", 12)];
    let replies = vec![loaded(), Reply::Stream(stream)];
    let fake = fake(replies, routes_with("0.12.6", &show, Some(8_192))).await;
    let answer = ask(options(&fake), &request()).await.0.unwrap();
    assert_eq!(
        (answer.text.as_str(), answer.finish),
        ("Hi", FinishReason::Length)
    );
    assert_eq!(fake.seen.lock().unwrap().bodies[1]["think"], false);
}

#[tokio::test]
async fn the_window_is_the_models_own_or_the_settings_but_never_more_than_it_was_trained_for() {
    let cases = [
        ("", 32_768, 8_192, WindowSource::Configured),
        ("", 4_096, 4_096, WindowSource::Configured),
        (
            "num_ctx                        16384",
            32_768,
            16_384,
            WindowSource::Asked,
        ),
        (
            "num_ctx                        65536",
            32_768,
            32_768,
            WindowSource::Asked,
        ),
    ];
    for (parameters, trained, tokens, source) in cases {
        let fake = fake(
            vec![],
            routes_with("0.9.0", &show(parameters, trained), None),
        )
        .await;
        let info = Ollama::new(options(&fake))
            .unwrap()
            .describe()
            .await
            .unwrap();
        assert_eq!(
            (info.window.tokens, info.window.source),
            (Tokens(tokens), source)
        );
        assert_eq!(
            (info.server.as_str(), info.name.as_str()),
            ("ollama", MODEL)
        );
    }
}

#[tokio::test]
async fn a_window_smaller_than_asked_for_is_noticed_after_loading() {
    let fake = fake(vec![loaded()], routes(4_096)).await;
    let client = Ollama::new(options(&fake)).unwrap();
    client.load().await.unwrap();
    let window = client.describe().await.unwrap().window;
    assert_eq!(
        (window.tokens, window.source),
        (Tokens(4_096), WindowSource::Asked)
    );
}

#[tokio::test]
async fn a_prompt_that_was_cut_silently_is_an_error_with_the_figures() {
    let mut request = request();
    request.messages[0].content = "several words ".repeat(3_000);
    // About 6,000 tokens; a server that kept its default of 4,096.
    let routes = routes_with("0.6.0", &show("", 32_768), None);
    let fake = fake(vec![loaded(), whole(4_095)], routes).await;
    let error = ask(options(&fake), &request).await.0.unwrap_err();
    assert!(
        matches!(
            error,
            Error::CutPrompt {
                read: Tokens(4_095),
                ..
            }
        ),
        "{error}"
    );
    assert!(!error.is_retryable());
    assert!(error.to_string().contains("only 4095"), "{error}");
}

#[tokio::test]
async fn a_prompt_that_the_server_refuses_as_too_long_is_that() {
    for message in [
        "the prompt is longer than the context length currently available to the model",
        "request (9000 tokens) exceeds the available context size (8192 tokens), try increasing it",
    ] {
        let replies = vec![loaded(), refusal("400 Bad Request", message)];
        let fake = fake(replies, routes(8_192)).await;
        let error = ask(options(&fake), &request()).await.0.unwrap_err();
        assert!(
            matches!(
                error,
                Error::TooLong {
                    window: Tokens(8_192),
                    ..
                }
            ),
            "{error}"
        );
    }
}

#[tokio::test]
async fn a_missing_model_is_named_with_those_that_there_are() {
    let fake = fake(
        vec![refusal("404 Not Found", "model 'x' not found")],
        routes(8_192),
    )
    .await;
    let mut options = options(&fake);
    options.model = "x".into();
    let client = Ollama::new(options).unwrap();
    let described = client.describe().await.unwrap_err().to_string();
    assert!(
        described.contains("no model x; it has: llama3.2:latest, qwen2.5-coder:1.5b"),
        "{described}"
    );
    let loading = client.load().await.unwrap_err().to_string();
    assert_eq!(loading, described);
}

#[tokio::test]
async fn latest_may_be_left_out_of_a_name() {
    let fake = fake(vec![], routes(8_192)).await;
    let mut options = options(&fake);
    options.model = "llama3.2".into();
    let info = Ollama::new(options).unwrap().describe().await.unwrap();
    assert_eq!(info.name, "llama3.2:latest");
}

#[tokio::test]
async fn a_version_that_counts_otherwise_is_refused() {
    let fake = fake(vec![], routes_with("0.3.14", &show("", 1), None)).await;
    let error = Ollama::new(options(&fake))
        .unwrap()
        .describe()
        .await
        .unwrap_err();
    assert!(error.to_string().contains("0.3.14"), "{error}");
}

#[tokio::test]
async fn a_stream_that_ends_in_an_error_or_too_early_is_a_lost_server() {
    let error = format!(
        "{}\n",
        json!({"error": "llama runner process has terminated"})
    );
    let cases = [
        (vec![piece("Hel"), error], "process has terminated"),
        (vec![piece("Hel")], "before the answer was whole"),
    ];
    for (stream, reason) in cases {
        let fake = fake(vec![loaded(), Reply::Stream(stream)], routes(8_192)).await;
        let (result, deltas) = ask(options(&fake), &request()).await;
        let error = result.unwrap_err();
        assert!(
            error.is_transient() && error.to_string().contains(reason),
            "{error}"
        );
        assert_eq!(deltas, ["Hel"]);
    }
}

#[tokio::test]
async fn what_a_server_repeats_of_the_clients_secrets_is_never_told() {
    let said = "bob:s3cretpw, Basic Ym9iOnMzY3JldHB3, sk-1234 are wrong";
    let inside = format!("{}\n", json!({"error": said}));
    for replies in [
        vec![refusal("401 Unauthorized", said)],
        vec![loaded(), refusal("401 Unauthorized", said)],
        vec![loaded(), Reply::Stream(vec![piece("Hel"), inside])],
    ] {
        let fake = fake(replies, routes(8_192)).await;
        let mut options = options(&fake);
        options.url = options.url.replace("://", "://bob:s3cretpw@");
        options.api_key = Some("sk-1234".into());
        let error = ask(options, &request()).await.0.unwrap_err();
        let told = format!("{error} {error:?}");
        for secret in ["s3cretpw", "Ym9iOnMzY3JldHB3", "sk-1234"] {
            assert!(!told.contains(secret), "{told}");
        }
        assert!(told.contains("bob:***"), "{told}");
    }
}

#[tokio::test]
async fn what_is_not_its_format_is_malformed() {
    let replies = vec![loaded(), Reply::Stream(vec!["<html>\n".into()])];
    let fake = fake(replies, routes(8_192)).await;
    let error = ask(options(&fake), &request()).await.0.unwrap_err();
    assert!(matches!(error, Error::Malformed { .. }), "{error}");
}

#[tokio::test]
async fn a_busy_server_is_asked_again_and_a_refusal_is_not_repeated() {
    let busy = refusal("503 Service Unavailable", "server busy, please try again.");
    let fake_busy = fake(vec![busy.clone(), loaded(), busy, whole(12)], routes(8_192)).await;
    assert_eq!(
        ask(options(&fake_busy), &request()).await.0.unwrap().text,
        "Hello"
    );
    let failed = refusal("400 Bad Request", "unable to load model");
    let fake = fake(vec![failed], routes(8_192)).await;
    let error = ask(options(&fake), &request()).await.0.unwrap_err();
    assert!(
        matches!(&error, Error::Rejected { status: 400, message, .. } if message == "unable to load model"),
        "{error}"
    );
}

#[tokio::test]
async fn a_server_that_cannot_do_schemas_is_asked_without() {
    let no = refusal("500 Internal Server Error", "failed to parse grammar");
    let fake = fake(vec![loaded(), no, whole(12)], routes(8_192)).await;
    let mut request = request();
    request.schema = Some(json!({"type": "object"}));
    ask(options(&fake), &request).await.0.unwrap();
    let seen = fake.seen.lock().unwrap();
    assert!(seen.bodies[1].get("format").is_some() && seen.bodies[2].get("format").is_none());
}

#[tokio::test]
async fn silence_is_a_time_out() {
    for (pieces, name) in [(vec![], "first"), (vec![piece("Hel")], "idle")] {
        let fake = fake(vec![loaded(), Reply::Hang(pieces)], routes(8_192)).await;
        let mut options = options(&fake);
        match name {
            "first" => options.first_timeout = Duration::from_millis(300),
            _ => options.idle_timeout = Duration::from_millis(100),
        }
        let error = ask(options, &request()).await.0.unwrap_err();
        assert!(matches!(error, Error::TimedOut { .. }), "{name}: {error}");
    }
}

#[tokio::test]
async fn a_cancelled_call_gives_what_had_come_and_drops_the_connection() {
    let fake = fake(
        vec![loaded(), Reply::Hang(vec![piece("Hel")])],
        routes(8_192),
    )
    .await;
    let client = Ollama::new(options(&fake)).unwrap();
    let cancel = CancellationToken::new();
    let mut stop = |_: Delta<'_>| cancel.cancel();
    let error = client
        .answer(&request(), &mut stop, &cancel)
        .await
        .unwrap_err();
    assert!(matches!(error, Error::Interrupted { partial, .. } if partial == "Hel"));
    tokio::time::timeout(Duration::from_secs(10), async {
        while fake.seen.lock().unwrap().gone == 0 {
            tokio::task::yield_now().await;
        }
    })
    .await
    .unwrap();
}

#[tokio::test]
async fn it_is_chosen_by_its_own_address_and_recognised_under_a_plain_one() {
    let folder = tempfile::tempdir().unwrap();
    let environment = journeyman_fetch::Environment::ensure(folder.path(), &|_| {})
        .await
        .unwrap();
    for scheme in ["ollama://", "http://"] {
        let mut routes = routes(8_192);
        // What its OpenAI-compatible route says.
        routes.push(("/v1/models", json!({"data": [{"id": MODEL}]}).to_string()));
        let fake = fake(vec![loaded()], routes).await;
        let url = fake.url.replace("http://", scheme);
        let connection = Connection {
            url: Some(url.clone()),
            model: MODEL.into(),
            api_key: None,
            context: Tokens(8_192),
            data_dir: folder.path().to_owned(),
            hub: journeyman_fetch::Hub::default(),
            slots: 1,
            idle: Duration::ZERO,
            supervisor: SupervisorCommand {
                program: "/no/such/program".into(),
                arguments: Vec::new(),
            },
        };
        assert_eq!(describe(&connection, &url).await.unwrap().server, "ollama");
        let connected = connect(connection, &environment, &|_| {}).await.unwrap();
        let window = connected.server.describe().await.unwrap().window;
        assert_eq!(
            window.source,
            WindowSource::Asked,
            "it was loaded and asked"
        );
        assert!(connected.how.contains("configured"), "{}", connected.how);
    }
}
