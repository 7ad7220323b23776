//! The OpenAI-compatible client against servers whose every byte is scripted.

#![allow(clippy::unwrap_used, clippy::expect_used)] // a test fails by panicking

mod common;

use std::time::Duration;

use common::{Fake, Reply};
use journeyman_event::Tokens;
use journeyman_llm::{
    Answer, Delta, Error, FinishReason, ModelServer, OpenAi, OpenAiOptions, Request, WindowSource,
};
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

async fn fake(replies: Vec<Reply>, routes: Vec<(&'static str, String)>) -> Fake {
    common::fake("/v1/chat/completions", replies, routes).await
}

fn delta(text: &str) -> String {
    let chunk =
        json!({"choices": [{"delta": {"content": text}, "finish_reason": null}], "model": "m"});
    format!("data: {chunk}\n\n")
}

fn finish(reason: &str) -> String {
    let chunk = json!({"choices": [{"delta": {}, "finish_reason": reason}]});
    format!("data: {chunk}\n\n")
}

fn usage() -> String {
    let chunk = json!({"choices": [], "usage": {
        "prompt_tokens": 12, "completion_tokens": 3, "prompt_tokens_details": {"cached_tokens": 4},
    }});
    format!("data: {chunk}\n\ndata: [DONE]\n\n")
}

fn whole() -> Vec<String> {
    vec![delta("Hel"), delta("lo"), finish("stop"), usage()]
}

fn options(url: &str) -> OpenAiOptions {
    OpenAiOptions::new(url, "m")
}

fn request() -> Request {
    common::request(0.2)
}

async fn ask(options: OpenAiOptions, request: &Request) -> (Result<Answer, Error>, Vec<String>) {
    common::ask(&OpenAi::new(options).unwrap(), request).await
}

#[tokio::test]
async fn how_many_wait_at_the_server_is_known_where_it_tells_and_not_asked_again_at_once_where_not()
{
    let text = "llamacpp:requests_processing 1\nllamacpp:requests_deferred 7\n".to_owned();
    let tells = fake(vec![], vec![("/metrics", text)]).await;
    let client = OpenAi::new(options(&tells.url)).unwrap();
    assert_eq!(client.waiting().await, Some(7));
    assert_eq!(client.waiting().await, Some(7));
    let says_nothing = fake(vec![], vec![]).await;
    let client = OpenAi::new(options(&says_nothing.url)).unwrap();
    assert_eq!(client.waiting().await, None);
    assert_eq!(client.waiting().await, None);
    assert_eq!(says_nothing.seen.lock().unwrap().heads.len(), 1);
}

#[tokio::test]
async fn an_answer_streams_with_its_usage() {
    let fake = fake(vec![Reply::Stream(whole())], vec![]).await;
    let (answer, deltas) = ask(options(&fake.url), &request()).await;
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
    assert_eq!((answer.usage.cached, answer.usage.exact), (Tokens(4), true));
    let seen = fake.seen.lock().unwrap();
    assert_eq!(seen.bodies[0]["max_tokens"], 50);
    assert_eq!(seen.bodies[0]["seed"], 7);
}

#[tokio::test]
async fn the_url_may_end_in_v1_and_the_key_is_sent_and_not_shown() {
    let fake = fake(vec![Reply::Stream(whole())], vec![]).await;
    let mut options = options(&format!("{}/v1/", fake.url));
    options.api_key = Some("secret-key".into());
    let client = OpenAi::new(options.clone()).unwrap();
    assert!(!format!("{client:?}").contains("secret-key"));
    ask(options, &request()).await.0.unwrap();
    let seen = fake.seen.lock().unwrap();
    assert!(
        seen.heads[0]
            .to_lowercase()
            .contains("authorization: bearer secret-key")
    );
}

#[tokio::test]
async fn a_password_in_the_url_is_sent_with_every_request_and_never_shown() {
    let busy = Reply::Whole("503 Service Unavailable", "Retry-After: 0\r\n", "{}".into());
    let mut replies = vec![Reply::Stream(whole())];
    replies.extend(vec![busy; 4]);
    let models = ("/v1/models", json!({"data": [{"id": "m"}]}).to_string());
    let fake = fake(replies, vec![models]).await;
    let url = fake.url.replace("http://", "http://user:s3cret@");
    let client = OpenAi::new(options(&url)).unwrap();
    let info = client.describe().await.unwrap();
    let answer = common::ask(&client, &request()).await.0.unwrap();
    let failing = common::ask(&client, &request()).await.0.unwrap_err();
    let gone = OpenAi::new(options("http://user:s3cret@127.0.0.1:1")).unwrap();
    let gone = gone.describe().await.unwrap_err();
    let wrong = OpenAi::new(options("ftp://user:s3cret@box")).unwrap_err();
    let told = format!("{info:?} {answer:?} {failing} {gone} {wrong} {client:?}");
    assert!(!told.contains("s3cret"), "{told}");
    assert_eq!(info.url, fake.url);
    let seen = fake.seen.lock().unwrap();
    assert!(
        seen.heads.iter().all(|head| head
            .to_lowercase()
            .contains("authorization: basic dxnlcjpzm2nyzxq=")),
        "{:?}",
        seen.heads
    );
}

#[tokio::test]
async fn what_a_server_repeats_of_the_clients_secrets_is_never_told() {
    let said = "bob:s3cretpw, Basic Ym9iOnMzY3JldHB3, sk-1234 are wrong";
    let body = json!({"error": {"message": said}});
    let whole = |status| Reply::Whole(status, "Retry-After: 0\r\n", body.to_string());
    let page = Reply::Stream(vec![format!("{said}\n")]);
    for replies in [
        vec![whole("401 Unauthorized")],
        vec![whole("503 Service Unavailable"); 4],
        vec![Reply::Stream(vec![delta("x"), format!("data: {body}\n\n")])],
        vec![page],
    ] {
        let fake = fake(replies, vec![]).await;
        let mut options = options(&fake.url.replace("http://", "http://bob:s3cretpw@"));
        options.api_key = Some("sk-1234".into());
        let error = ask(options, &request()).await.0.unwrap_err();
        let told = format!("{error} {error:?}");
        for secret in ["s3cretpw", "Ym9iOnMzY3JldHB3", "sk-1234"] {
            assert!(!told.contains(secret), "{told}");
        }
        assert!(told.contains("bob:***"), "{told}");
        assert!(!told.contains("--model-api-key"), "{told}");
    }
    let fake = fake(vec![whole("401 Unauthorized")], vec![]).await;
    let options = options(&fake.url.replace("http://", "http://bob:s3cretpw@"));
    let error = ask(options, &request()).await.0.unwrap_err().to_string();
    assert!(
        error.ends_with("; check the name and the password in --model-url"),
        "{error}"
    );
}

#[tokio::test]
async fn without_usage_tokens_are_estimated_and_said_to_be() {
    let pieces = vec![
        delta("Hello there"),
        finish("length"),
        "data: [DONE]\n\n".into(),
    ];
    let fake = fake(vec![Reply::Stream(pieces)], vec![]).await;
    let answer = ask(options(&fake.url), &request()).await.0.unwrap();
    assert_eq!(answer.finish, FinishReason::Length);
    assert!(!answer.usage.exact);
    assert!(answer.usage.completion > Tokens::ZERO);
}

#[tokio::test]
async fn tokens_that_cannot_be_are_estimated_and_that_is_said_once() {
    let chunk =
        json!({"choices": [], "usage": {"prompt_tokens": 12, "completion_tokens": 99_999_999}});
    let pieces = vec![delta("Hello"), finish("stop"), format!("data: {chunk}\n\n")];
    let fake = fake(vec![Reply::Stream(pieces); 2], vec![]).await;
    let client = OpenAi::new(options(&fake.url)).unwrap();
    let first = common::ask(&client, &request()).await.0.unwrap();
    assert_eq!(first.usage.prompt, Tokens(12));
    assert!(first.usage.completion < Tokens(10) && !first.usage.exact);
    let remark = first.remark.unwrap();
    assert!(
        remark.contains("99999999 tokens for an answer of 5 bytes"),
        "{remark}"
    );
    let second = common::ask(&client, &request()).await.0.unwrap();
    assert!(second.usage.completion < Tokens(10) && !second.usage.exact);
    assert_eq!(second.remark, None);
}

#[tokio::test]
async fn a_busy_server_is_asked_again_as_it_wishes() {
    let busy = Reply::Whole("429 Too Many Requests", "Retry-After: 0\r\n", "{}".into());
    let down = Reply::Whole("503 Service Unavailable", "Retry-After: 0\r\n", "{}".into());
    let fake = fake(vec![busy, down, Reply::Stream(whole())], vec![]).await;
    assert_eq!(
        ask(options(&fake.url), &request()).await.0.unwrap().text,
        "Hello"
    );
    assert_eq!(fake.seen.lock().unwrap().bodies.len(), 3);
}

#[tokio::test]
async fn a_server_that_stays_busy_is_waited_for_and_its_words_are_kept() {
    let body = json!({"error": {"message": "Loading model"}}).to_string();
    let busy = Reply::Whole("503 Service Unavailable", "Retry-After: 0\r\n", body);
    let fake = fake(vec![busy; 4], vec![]).await;
    let error = ask(options(&fake.url), &request()).await.0.unwrap_err();
    assert!(
        matches!(error, Error::Failing { status: 503, .. }) && error.is_transient(),
        "{error}"
    );
    assert!(error.to_string().contains("Loading model"), "{error}");
}

#[tokio::test]
async fn a_prompt_too_long_is_told_with_the_figures() {
    let body = json!({"error": {"code": 400, "type": "exceed_context_size_error",
        "message": "too long", "n_prompt_tokens": 9_000, "n_ctx": 8_192}});
    let fake = fake(
        vec![Reply::Whole("400 Bad Request", "", body.to_string())],
        vec![],
    )
    .await;
    let error = ask(options(&fake.url), &request()).await.0.unwrap_err();
    assert!(
        matches!(
            error,
            Error::TooLong {
                prompt: Tokens(9_000),
                window: Tokens(8_192),
                ref words,
            } if words == "too long"
        ),
        "{error}"
    );
}

#[tokio::test]
async fn a_refusal_is_final_and_carries_the_servers_words() {
    let body = json!({"error": {"message": "no such model"}}).to_string();
    let fake = fake(vec![Reply::Whole("404 Not Found", "", body)], vec![]).await;
    let error = ask(options(&fake.url), &request()).await.0.unwrap_err();
    assert!(error.to_string().contains("no such model"), "{error}");
    assert!(!error.is_retryable());
}

#[tokio::test]
async fn a_stream_that_breaks_off_is_a_lost_server_and_never_an_answer() {
    for pieces in [
        vec![delta("Hel")],
        vec![],
        vec![
            delta("Hel"),
            "data: {\"choices\": [\ndata: [DONE]\n\n".into(),
        ],
        vec!["Sign in first\n\ndata: [DONE]\n\n".into()],
    ] {
        let fake = fake(vec![Reply::Stream(pieces)], vec![]).await;
        let error = ask(options(&fake.url), &request()).await.0.unwrap_err();
        assert!(error.is_transient(), "{error}");
    }
}

#[tokio::test]
async fn an_answer_that_is_done_is_whole_whatever_reason_it_gives() {
    let done = || "data: [DONE]\n\n".to_owned();
    let open = "```\n{";
    for (pieces, text, exact) in [
        (vec![delta("Hello"), done()], "Hello", false),
        (vec![delta("Hello"), finish(""), done()], "Hello", false),
        (vec![delta("Hello"), usage()], "Hello", true),
        (vec![delta("Hello"), finish(""), usage()], "Hello", true),
        (vec![delta(open), done()], open, false),
        (vec![delta(""), done()], "", false),
        (vec![done()], "", false),
    ] {
        // Neither the body's end nor a connection that stays open changes it.
        for reply in [Reply::Stream(pieces.clone()), Reply::Hang(pieces.clone())] {
            let fake = fake(vec![reply], vec![]).await;
            let answer = ask(options(&fake.url), &request()).await.0.unwrap();
            let ended = if text == open {
                FinishReason::Unknown
            } else {
                FinishReason::Stop
            };
            assert_eq!((answer.text.as_str(), answer.finish), (text, ended));
            assert_eq!(answer.usage.exact, exact, "{pieces:?}");
        }
    }
}

#[tokio::test]
async fn a_refusal_of_the_model_is_marked_as_one() {
    let piece = |words: &str| {
        let chunk = json!({"choices": [{"delta": {"content": null, "refusal": words}}]});
        format!("data: {chunk}\n\n")
    };
    let marked = "<refusal>\nI cannot do that.\n</refusal>\n";
    let whole =
        json!({"choices": [{"message": {"content": null, "refusal": "I cannot do that."}}]});
    for (pieces, text) in [
        (
            vec![
                piece("I cannot"),
                piece(" do that."),
                finish("stop"),
                usage(),
            ],
            marked.to_owned(),
        ),
        (
            vec![piece("I cannot do that."), "data: [DONE]\n\n".into()],
            marked.to_owned(),
        ),
        (vec![format!("data: {whole}\n\n")], marked.to_owned()),
        (
            vec![delta("Hm."), piece("I cannot do that."), finish("stop")],
            format!("Hm.\n{marked}"),
        ),
    ] {
        let fake = fake(vec![Reply::Stream(pieces)], vec![]).await;
        let answer = ask(options(&fake.url), &request()).await.0.unwrap();
        assert_eq!((answer.text, answer.finish), (text, FinishReason::Stop));
    }
}

#[tokio::test]
async fn nonsense_and_errors_inside_a_stream_are_told() {
    let nonsense = fake(vec![Reply::Stream(vec!["data: {oops\n\n".into()])], vec![]).await;
    let error = ask(options(&nonsense.url), &request()).await.0.unwrap_err();
    assert!(matches!(error, Error::Malformed { .. }), "{error}");
    let inside = "data: {\"error\":{\"message\":\"out of memory\"}}\n\n".to_owned();
    let failing = fake(vec![Reply::Stream(vec![delta("x"), inside])], vec![]).await;
    let error = ask(options(&failing.url), &request()).await.0.unwrap_err();
    assert!(error.to_string().contains("out of memory"), "{error}");
}

#[tokio::test]
async fn cancelling_drops_the_connection_and_keeps_what_came() {
    let fake = fake(vec![Reply::Hang(vec![delta("Hello wor")])], vec![]).await;
    let client = OpenAi::new(options(&fake.url)).unwrap();
    let cancel = CancellationToken::new();
    let stop = cancel.clone();
    let mut take = move |_: Delta<'_>| stop.cancel();
    let error = client
        .answer(&request(), &mut take, &cancel)
        .await
        .unwrap_err();
    let Error::Interrupted {
        partial,
        tokens,
        was_asked: true,
    } = &error
    else {
        panic!("{error}");
    };
    assert_eq!(partial, "Hello wor");
    assert!(*tokens > Tokens::ZERO);
    while fake.seen.lock().unwrap().gone == 0 {
        tokio::task::yield_now().await;
    }
}

#[tokio::test]
async fn a_call_that_is_stopped_after_a_refusal_was_never_read() {
    let busy = Reply::Whole("429 Too Many Requests", "Retry-After: 1\r\n", "{}".into());
    let fake = fake(vec![busy], vec![]).await;
    let client = OpenAi::new(options(&fake.url)).unwrap();
    let (mut ignore, cancel, stop) = (
        |_: Delta<'_>| {},
        CancellationToken::new(),
        Duration::from_millis(500),
    );
    let call = request();
    let answer = client.answer(&call, &mut ignore, &cancel);
    let stopped = async {
        tokio::time::sleep(stop).await;
        cancel.cancel();
    };
    let (answer, ()) = tokio::join!(answer, stopped);
    let error = answer.unwrap_err();
    assert!(
        matches!(
            error,
            Error::Interrupted {
                was_asked: false,
                tokens: Tokens::ZERO,
                ..
            }
        ),
        "{error:?}"
    );
}

#[tokio::test]
async fn silence_ends_in_a_time_out_before_and_within_an_answer() {
    for pieces in [vec![], vec![delta("Hel")]] {
        let fake = fake(vec![Reply::Hang(pieces)], vec![]).await;
        let mut options = options(&fake.url);
        options.first_timeout = Duration::from_millis(100);
        options.idle_timeout = Duration::from_millis(100);
        let error = ask(options, &request()).await.0.unwrap_err();
        assert!(matches!(error, Error::TimedOut { .. }), "{error}");
    }
}

#[tokio::test]
async fn a_server_without_schemas_is_asked_without_from_then_on() {
    let body = json!({"error": {"message": "response_format is not supported"}}).to_string();
    let refusal = Reply::Whole("400 Bad Request", "", body);
    let fake = fake(
        vec![refusal, Reply::Stream(whole()), Reply::Stream(whole())],
        vec![],
    )
    .await;
    let client = OpenAi::new(options(&fake.url)).unwrap();
    let request = Request {
        schema: Some(json!({"type": "object"})),
        ..request()
    };
    for _ in 0..2 {
        let (mut ignore, cancel) = (|_: Delta<'_>| {}, CancellationToken::new());
        let answer = client.answer(&request, &mut ignore, &cancel).await;
        assert_eq!(answer.unwrap().text, "Hello");
    }
    let seen = fake.seen.lock().unwrap();
    let with_schema: Vec<bool> = seen
        .bodies
        .iter()
        .map(|body| body.get("response_format").is_some())
        .collect();
    assert_eq!(with_schema, [true, false, false]);
}

#[tokio::test]
async fn nothing_that_listens_is_unreachable_and_names_the_url() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    drop(listener);
    let error = ask(options(&url), &request()).await.0.unwrap_err();
    assert!(
        error.is_transient() && error.to_string().contains(&url),
        "{error}"
    );
    assert!(OpenAi::new(options("ftp://x")).is_err());
}

#[tokio::test]
async fn the_window_is_asked_for_wherever_a_server_tells_it() {
    let models = |entry: Value| ("/v1/models", json!({"data": [entry]}).to_string());
    let props = |n_ctx: Value| {
        let settings = json!({"default_generation_settings": {"n_ctx": n_ctx}});
        ("/props", settings.to_string())
    };
    let other = || models(json!({"id": "other"}));
    let llama_cpp = |n_ctx: Value| {
        let routes = vec![props(n_ctx), other()];
        (routes, 4_096, WindowSource::Asked, "llama.cpp")
    };
    let listed = |length: Value| {
        let routes = vec![models(json!({"id": "m", "max_model_len": length}))];
        (routes, 16_384, WindowSource::Asked, "openai-compatible")
    };
    let cases = [
        llama_cpp(json!(4_096)),
        llama_cpp(json!("4096")),
        listed(json!(16_384)),
        listed(json!("16384")),
        (
            vec![models(json!({"id": "m"}))],
            8_192,
            WindowSource::Configured,
            "openai-compatible",
        ),
    ];
    for (routes, tokens, source, server) in cases {
        let fake = fake(vec![], routes).await;
        let info = OpenAi::new(options(&fake.url))
            .unwrap()
            .describe()
            .await
            .unwrap();
        assert_eq!(
            (info.window.tokens, info.window.source),
            (Tokens(tokens), source)
        );
        assert_eq!(info.server, server);
    }
}

#[tokio::test]
async fn a_missing_model_is_named_with_those_that_there_are() {
    let routes = vec![(
        "/v1/models",
        json!({"data": [{"id": "a"}, {"id": "b"}]}).to_string(),
    )];
    let fake = fake(vec![], routes).await;
    let error = OpenAi::new(options(&fake.url))
        .unwrap()
        .describe()
        .await
        .unwrap_err();
    assert!(error.to_string().contains("it has: a, b"), "{error}");
}

#[tokio::test]
async fn llama_cpp_counts_exactly_and_gets_the_key_everywhere() {
    let routes = vec![
        (
            "/props",
            json!({"default_generation_settings": {"n_ctx": 4_096}}).to_string(),
        ),
        ("/v1/models", json!({"data": [{"id": "m"}]}).to_string()),
        (
            "/apply-template",
            json!({"prompt": "<|user|>hi"}).to_string(),
        ),
        ("/tokenize", json!({"tokens": [1, 2, 3]}).to_string()),
    ];
    let fake = fake(vec![], routes).await;
    let mut options = options(&fake.url);
    options.api_key = Some("k".into());
    let client = OpenAi::new(options).unwrap();
    client.describe().await.unwrap();
    let count = client.count(&request().messages).await.unwrap();
    assert_eq!((count.tokens, count.exact), (Tokens(3), true));
    let seen = fake.seen.lock().unwrap();
    assert!(
        seen.heads
            .iter()
            .all(|head| head.to_lowercase().contains("bearer k"))
    );
}

#[tokio::test]
async fn an_answer_without_a_choice_is_told_as_what_came() {
    let empty = || "data: {\"choices\": []}\n\n".to_owned();
    let fake = fake(vec![Reply::Stream(vec![empty(), empty()])], vec![]).await;
    let error = ask(options(&fake.url), &request()).await.0.unwrap_err();
    assert!(
        error
            .to_string()
            .contains("an answer without text: {\"choices\":[]}"),
        "{error}"
    );
}

#[tokio::test]
async fn a_server_that_sends_the_whole_text_so_far_in_each_piece_is_understood() {
    for text in [
        "def f(x):",
        "def double(number):\n    return number + number\n\n# done",
    ] {
        let ends = (1..=text.len()).step_by(3).chain([text.len()]);
        let mut pieces: Vec<String> = ends.map(|end| delta(&text[..end])).collect();
        pieces.extend([finish("stop"), "data: [DONE]\n\n".to_owned()]);
        let fake = fake(vec![Reply::Stream(pieces)], vec![]).await;
        let answer = ask(options(&fake.url), &request()).await.0.unwrap();
        assert_eq!(answer.text, text);
    }
}
