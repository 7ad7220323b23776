//! What the client must make of whatever a model server does: one line a misbehaviour. A report of a new
//! one becomes a line in `src/server/misbehaviour.rs` and a line here.

#![allow(clippy::unwrap_used, clippy::expect_used)] // a test fails by panicking

use std::collections::BTreeSet;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::{Duration, Instant};

use journeyman_event::Tokens;
use journeyman_llm::{
    Answer, Delta, Error, FinishReason, Message, MessageRole, ModelServer, Ollama, OllamaOptions,
    OpenAi, OpenAiOptions, Request, WindowSource,
};
use journeyman_sim::{
    MISBEHAVIOURS, SERVED_MODEL, Script, SimServer, SimServerOptions, SimulatedModel, misbehaviour,
};
use serde_json::{Value, json};
use tokio::sync::Semaphore;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use Must::{
    Again, Answers, Calls, Cut, Fail, Garbled, Later, Learn, Nothing, Thinks, Wait, Without,
};

/// What becomes of a call.
#[derive(Clone, Copy, Debug)]
enum Must {
    /// The answer is right.
    Answers,
    /// The right answer is all that the model thought, is marked as that, and is not shown.
    Thinks,
    /// The right answer stands in the arguments of a tool call, which is the text.
    Calls,
    /// There is an answer, and nothing in it.
    Nothing,
    /// The answer is right, and from then on the server is asked without this.
    Without(&'static str),
    /// Whatever becomes of the first call: the next are right, and say this or, in the end, do not.
    Later(&'static str, bool),
    /// The answer is cut off for this reason, long before the server would have ended it.
    Cut(FinishReason),
    /// It is told in these words, waiting helps, and the next call is answered right.
    Wait(&'static str),
    /// The same, of an answer that is no part of the right one.
    Garbled(&'static str),
    /// It is told in these words, and another call may do better; so many tokens or more were spent.
    Again(&'static str, u64),
    /// The prompt does not fit, and the window is at most this from then on.
    Learn(u64),
    /// It is told in these words, and neither waiting nor another call helps.
    Fail(&'static str),
}

const SILENT: &str = "sent nothing of an answer for";
/// A fault that is to be waited for is told within this time, so that a person sees why nothing happens.
const PATIENCE: Duration = Duration::from_secs(20);
/// Lines of the table that are checked at a time.
const SIDE_BY_SIDE: usize = 4;

#[rustfmt::skip] // a line each
const TABLE: &[(&str, Must)] = &[
    ("cached_tokens_null", Answers),
    ("no_completion_tokens", Answers),
    ("usage_that_cannot_be", Answers),
    ("no_usage", Answers),
    ("usage_in_every_chunk", Answers),
    ("chunks_twice", Garbled("each piece of the answer came twice")),
    ("another_model", Answers),
    ("choices_null", Answers),
    ("choices_missing", Answers),
    ("delta_null", Answers),
    ("content_null", Answers),
    ("content_parts", Answers),
    ("error_null", Answers),
    ("id_null", Answers),
    ("roles_repeated", Answers),
    ("finish_eos", Answers),
    ("finish_empty", Answers),
    ("whole_again", Answers),
    ("comment_in_data", Answers),
    ("comments", Answers),
    ("named_events", Answers),
    ("crlf", Answers),
    ("carriage_returns", Answers),
    ("no_space", Answers),
    ("no_empty_lines", Answers),
    ("byte_order_mark", Answers),
    ("data_over_lines", Answers),
    ("byte_by_byte", Answers),
    ("no_done", Answers),
    ("lines_of_json", Answers),
    ("plain_text", Answers),
    ("no_type", Answers),
    ("unstreamed", Answers),
    ("unstreamed_over_lines", Answers),
    ("moved_for_now", Answers),
    ("thinks", Answers),
    ("thinks_as_reasoning", Answers),
    ("thinks_in_parts", Answers),
    ("thinks_unless_told", Later("chat_template_kwargs", true)),
    ("thinks_and_refuses", Later("chat_template_kwargs", false)),
    ("finish_and_stay", Answers),
    ("finish_and_comments", Answers),
    ("finish_and_reset", Answers),
    ("cut", Wait("closed before the answer was whole")),
    ("cut_after_empty_finish", Wait("closed before the answer was whole")),
    ("cut_and_done", Cut(FinishReason::Unknown)),
    ("cut_in_a_record", Wait("closed before the answer was whole")),
    ("unsaid_end", Answers),
    ("unsaid_end_of_length", Answers),
    ("unsaid_reason", Answers),
    ("torn", Wait("broke off its answer")),
    ("unsaid_end_in_answer", Wait("closed before the answer was whole")),
    ("unsaid_end_in_a_record", Wait("closed before the answer was whole")),
    ("unsaid_end_of_nothing", Wait("closed before the answer was whole")),
    ("broken_record", Wait("no JSON: {\"choices\": [{oops}]}")),
    ("reset_in_answer", Wait("broke off its answer")),
    ("reset_at_once", Wait("broke off its answer")),
    ("silent", Wait(SILENT)),
    ("silent_in_answer", Wait(SILENT)),
    ("comments_for_ever", Wait(SILENT)),
    ("comments_in_answer", Wait(SILENT)),
    ("content_filter", Again("content filter cut the answer off", 0)),
    ("finish_error", Wait("it says: error")),
    ("answers_in_thoughts", Thinks),
    ("answers_in_a_call", Calls),
    ("answers_nothing", Nothing),
    ("calls_for_ever", Cut(FinishReason::Length)),
    ("only_thoughts", Again("gave no answer", 100)),
    ("ignores_max_tokens", Cut(FinishReason::Length)),
    ("thinks_for_ever", Again("gave no answer", 500)),
    ("repeats", Cut(FinishReason::Repetition)),
    ("500_once", Answers),
    ("408_once", Answers),
    ("429_once", Answers),
    ("429_for_long", Wait("(status 429): slow down; it asks to be left alone for 60 s")),
    ("429_for_seconds", Wait("(status 429): slow down; it asks to be left alone for 3 s")),
    ("429_until", Answers),
    ("502_page", Answers),
    ("503_once", Answers),
    ("504_once", Answers),
    ("520_once", Answers),
    ("524_once", Answers),
    ("529_once", Answers),
    ("500_for_a_while", Wait("(status 500): CUDA error: out of memory")),
    ("503_for_a_while", Wait("(status 503): Loading model")),
    ("unloaded", Wait("Model was unloaded")),
    ("error_429_in_stream", Wait("(status 429): Provider returned error: worker is full")),
    ("error_in_stream", Wait("CUDA error: out of memory")),
    ("error_text_in_stream", Wait("the runner has stopped")),
    ("error_field_in_stream", Wait("the slot is gone")),
    ("error_event_in_stream", Wait("the worker died")),
    ("error_object_in_stream", Wait("the engine is dead")),
    ("page", Wait("a page of HTML, \"Sign in to Wi-Fi\"")),
    ("words", Wait("upstream connect error")),
    ("packed", Wait("it is packed (\"gzip\")")),
    ("400_without_words", Fail("status 400: it gives no reason")),
    ("400", Fail("status 400: the moon is full")),
    ("401_once", Fail("status 401: Incorrect API key provided; check the key in --model-api-key")),
    ("402", Fail("status 402: Insufficient credits")),
    ("403", Fail("status 403: not on this plan; if the reason is the key, check --model-api-key")),
    ("404_model", Fail("The model `simulated` does not exist; check --model")),
    ("422", Fail("status 422: body.messages: field required")),
    ("quota", Fail("You exceeded your current quota")),
    ("moved", Fail("it has moved to https://box.example/v1; name that with --model-url")),
    ("moved_to_refusal", Fail("a key is wanted (says http://127.0.0.1:")),
    ("moved_to_nobody", Wait("the model server at http://127.0.0.1:1/v1/chat/completions cannot be reached")),
    ("moved_to_itself", Fail("it redirects in a circle, back to http://127.0.0.1:")),
    ("moved_in_a_circle", Fail("it redirects in a circle, back to http://127.0.0.1:")),
    ("moved_on_and_on", Fail("it redirects more than 5 times, at last to http://127.0.0.1:")),
    ("no_seed", Without("seed")),
    ("no_stream_options", Without("stream_options")),
    ("no_max_tokens", Without("max_tokens")),
    ("no_limit", Without("max_completion_tokens")),
    ("no_temperature", Without("temperature")),
    ("no_schema", Without("response_format")),
    ("no_system", Answers),
    ("no_stream", Without("stream_options")),
    ("no_parameters", Without("response_format")),
    ("too_long", Learn(600)),
    ("small_window", Answers),
    ("too_long_for_all", Learn(100)),
    ("too_long_without_figure", Learn(1_000)),
    ("too_long_413", Learn(1_000)),
    ("too_long_in_stream", Learn(600)),
    ("no_models", Answers),
    ("models_refused", Answers),
    ("models_pattern", Answers),
    ("models_array", Answers),
    ("models_null", Answers),
    ("models_spelt", Answers),
    ("models_other", Fail("has no model simulated; it has: another")),
    ("models_page", Wait("a page of HTML, \"Chat\"; --model-url wants the address of its API")),
    ("models_503_once", Wait("(status 503): Loading model")),
    ("ollama_cut", Wait("closed before the answer was whole")),
    ("ollama_error_in_answer", Wait("llama runner process has terminated")),
    ("ollama_never_done", Wait("closed before the answer was whole")),
    ("ollama_500_once", Answers),
];

fn script() -> Script {
    "sim:?latency_ms=0&wrong=0&malformed=0&window=16384"
        .parse()
        .unwrap()
}

/// Code whose answer has more than ASCII, with everything in it that a server may refuse.
fn request() -> Request {
    let message = |role, content: String| Message { role, content };
    let functions = "größer kleiner gleich".split(' ');
    let functions: Vec<String> = functions
        .map(|name| format!("- `def {name}(value: int) -> int`: Returns one more.\n"))
        .collect();
    let functions = functions.concat();
    let asked = format!(
        "# Module core\nPart 1.\nIt defines:\n{functions}\nWrite the file `core.py`.{}",
        " ".repeat(1_500)
    );
    Request {
        messages: vec![
            message(MessageRole::System, "You write Python.".to_owned()),
            message(MessageRole::User, asked),
        ],
        max_tokens: Tokens(500),
        temperature: 0.2,
        seed: Some(3),
        stop: Vec::new(),
        trace: None,
        schema: Some(json!({"type": "object"})),
    }
}

async fn ask(server: &dyn ModelServer) -> (Result<Answer, Error>, String) {
    let mut shown = String::new();
    let mut show = |delta: Delta<'_>| shown.push_str(delta.text);
    let cancel = CancellationToken::new();
    let result = match server.describe().await {
        Ok(_) => server.answer(&request(), &mut show, &cancel).await,
        Err(error) => Err(error),
    };
    (result, shown)
}

/// The client that speaks as the server of this name does.
fn client_of(name: &str, url: &str, must: Must) -> Box<dyn ModelServer> {
    if name.starts_with("ollama_") {
        return Box::new(Ollama::new(OllamaOptions::new(url, SERVED_MODEL)).unwrap());
    }
    Box::new(client(url, must))
}

/// The client as the product has it; with little patience where it is to be lost.
fn client(url: &str, must: Must) -> OpenAi {
    let mut options = OpenAiOptions::new(url, SERVED_MODEL);
    if matches!(must, Wait(SILENT)) {
        options.first_timeout = Duration::from_secs(2);
        options.idle_timeout = Duration::from_secs(1);
    }
    OpenAi::new(options).unwrap()
}

async fn start(name: &str) -> SimServer {
    let options = SimServerOptions {
        address: SocketAddr::from((Ipv4Addr::LOCALHOST, 0)),
        script: script(),
        misbehaviour: Some(misbehaviour(name).unwrap()),
    };
    SimServer::start(options).await.unwrap()
}

async fn check(name: &'static str, must: Must) {
    let (right, _) = ask(&SimulatedModel::new(script())).await;
    let right = right.unwrap().text;
    assert!(right.contains("größer"), "{right}");
    let server = start(name).await;
    let client = client_of(name, server.url(), must);
    let client = client.as_ref();
    let is_right = |answer: &Answer, shown: &str| {
        assert_eq!(answer.text, right, "{name}");
        assert_eq!(shown, right, "{name}");
        assert_eq!(answer.finish, FinishReason::Stop, "{name}");
        assert!(answer.usage.prompt > Tokens::ZERO, "{name}");
        assert!(answer.usage.completion > Tokens::ZERO, "{name}");
        // As far as the texts allow.
        let usage = answer.usage;
        assert!(usage.prompt < Tokens(2_000), "{name}: {usage:?}");
        assert!(usage.completion < Tokens(500), "{name}: {usage:?}");
        assert!(usage.cached <= usage.prompt, "{name}: {usage:?}");
    };
    let began = Instant::now();
    let (result, shown) = ask(client).await;
    let told = result.as_ref().err().map(ToString::to_string);
    let told = told.unwrap_or_else(|| "an answer".to_owned());
    match (must, result) {
        (Answers, Ok(answer)) => is_right(&answer, &shown),
        (Thinks, Ok(answer)) => {
            let thought = format!("<think>\n{}\n</think>\n", right.trim());
            assert_eq!((answer.text, shown.as_str()), (thought, ""), "{name}");
            assert_eq!(answer.finish, FinishReason::Stop, "{name}");
            assert!(answer.usage.completion > Tokens::ZERO, "{name}");
        }
        (Calls, Ok(answer)) => {
            let call = answer.text.strip_prefix("<tool_call>\n").unwrap();
            let call = call.strip_suffix("\n</tool_call>\n").unwrap();
            let call: Value = serde_json::from_str(call).unwrap();
            assert_eq!(call["name"], "write_file", "{name}");
            assert_eq!(call["arguments"]["content"], right, "{name}");
            assert_eq!((answer.finish, shown.as_str()), (FinishReason::Stop, ""));
        }
        (Nothing, Ok(answer)) => assert_eq!((answer.text.as_str(), shown.as_str()), ("", "")),
        (Without(member), Ok(answer)) => {
            is_right(&answer, &shown);
            let calls = server.calls();
            let has = |at: usize| calls[at].get(member).is_some();
            assert!(!has(calls.len() - 1), "{name}: {calls:?}");
            let (again, shown) = ask(client).await;
            is_right(&again.unwrap(), &shown);
            assert_eq!(
                server.calls().len(),
                calls.len() + 1,
                "{name}: not remembered"
            );
        }
        (Later(member, says), _) => {
            for _ in 0..2 {
                let (again, shown) = ask(client).await;
                is_right(&again.unwrap(), &shown);
            }
            let last = server.calls().pop().unwrap();
            assert_eq!(last.get(member).is_some(), says, "{name}: {last}");
        }
        (Cut(finish), Ok(answer)) => {
            assert_eq!(
                finish == FinishReason::Repetition,
                answer.repeated.is_some(),
                "{name}"
            );
            assert_eq!(answer.finish, finish, "{name}");
            assert!(
                answer.usage.completion < Tokens(1_000),
                "{name}: {answer:?}"
            );
            // What is called is no text until the answer has ended.
            let is_call = answer.text.starts_with("<tool_call>");
            assert!(shown == answer.text || is_call, "{name}: {shown}");
        }
        (Wait(words) | Garbled(words), Err(error)) => {
            assert!(told.contains(words), "{name}: {told}");
            assert!(
                error.is_transient() && error.is_retryable(),
                "{name}: {told}"
            );
            let is_garbled = matches!(must, Garbled(_));
            assert!(is_garbled || right.starts_with(&shown), "{name}: {shown}");
            assert!(began.elapsed() < PATIENCE, "{name}: {:?}", began.elapsed());
            let (again, shown) = ask(client).await;
            is_right(&again.unwrap(), &shown);
        }
        (Again(words, tokens), Err(error)) => {
            assert!(told.contains(words), "{name}: {told}");
            assert!(
                !error.is_transient() && error.is_retryable(),
                "{name}: {told}"
            );
            assert!(
                error.tokens() >= Tokens(tokens),
                "{name}: {}",
                error.tokens()
            );
        }
        (Learn(most), Err(error)) => {
            assert!(matches!(error, Error::TooLong { .. }), "{name}: {told}");
            assert!(
                !error.is_transient() && error.is_retryable(),
                "{name}: {told}"
            );
            let window = client.describe().await.unwrap().window;
            assert_eq!(window.source, WindowSource::Learned, "{name}");
            assert!(window.tokens <= Tokens(most), "{name}: {window:?}");
        }
        (Fail(words), Err(error)) => {
            assert!(told.contains(words), "{name}: {told}");
            assert!(
                !error.is_transient() && !error.is_retryable(),
                "{name}: {told}"
            );
        }
        (must, _) => panic!("{name}: {must:?}, and not {told}"),
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_client_makes_the_right_thing_of_whatever_a_server_does() {
    let places = Arc::new(Semaphore::new(SIDE_BY_SIDE));
    let mut checks = JoinSet::new();
    for &(name, must) in TABLE {
        let places = places.clone();
        checks.spawn(async move {
            let _place = places.acquire().await.unwrap();
            let checked = check(name, must);
            let checked = tokio::time::timeout(Duration::from_mins(1), checked).await;
            assert!(checked.is_ok(), "{name} has no end");
        });
    }
    // All that fail are told, not only the first.
    let mut wrong = Vec::new();
    while let Some(checked) = checks.join_next().await {
        if let Err(error) = checked {
            let panic = error.into_panic();
            wrong.extend(panic.downcast_ref::<String>().cloned());
        }
    }
    assert!(
        wrong.is_empty(),
        "{} of {}: {wrong:#?}",
        wrong.len(),
        TABLE.len()
    );
}

#[test]
fn every_misbehaviour_has_a_line_and_every_line_one() {
    let known: BTreeSet<&str> = MISBEHAVIOURS.iter().map(|one| one.name).collect();
    let checked: BTreeSet<&str> = TABLE.iter().map(|(name, _)| *name).collect();
    assert_eq!(known, checked);
    assert_eq!(known.len(), MISBEHAVIOURS.len(), "a name stands for one");
    assert_eq!(checked.len(), TABLE.len(), "a line for each");
}

#[tokio::test]
async fn a_server_that_behaves_tells_its_window_and_its_usage() {
    let options = SimServerOptions {
        address: SocketAddr::from((Ipv4Addr::LOCALHOST, 0)),
        script: script(),
        misbehaviour: None,
    };
    let server = SimServer::start(options).await.unwrap();
    let client = client(&format!("{}/v1/", server.url()), Answers);
    let window = client.describe().await.unwrap().window;
    assert_eq!(
        (window.tokens, window.source),
        (Tokens(16_384), WindowSource::Asked)
    );
    let (answer, _) = ask(&client).await;
    let (right, _) = ask(&SimulatedModel::new(script())).await;
    assert_eq!(answer.unwrap().usage, right.unwrap().usage);
}
