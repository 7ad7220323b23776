//! The simulated model as the rest of the product meets it: through the model server's trait.

use journeyman_event::Tokens;
use journeyman_llm::{
    Answer, Delta, Error, FinishReason, Message, MessageRole, ModelServer, Request, WindowSource,
};
use journeyman_sim::{Script, SimulatedModel};
use tokio_util::sync::CancellationToken;

const CODE: &str = "# Module simulated.core\nPart 1.\nIt defines:\n\
    - `def core_step(value: int) -> int`: Returns one more.\n\nWrite the file `simulated/core.py`.";

/// Every call answers well at once, unless a test says otherwise.
fn calm() -> Script {
    Script {
        latency_ms: 0,
        wrong: 0,
        malformed: 0,
        ..Script::default()
    }
}

fn request(content: &str) -> Request {
    Request {
        messages: vec![Message {
            role: MessageRole::User,
            content: content.to_owned(),
        }],
        max_tokens: Tokens(500),
        temperature: 0.2,
        seed: Some(3),
        stop: Vec::new(),
        trace: None,
        schema: None,
    }
}

async fn ask(script: Script, request: &Request) -> (Result<Answer, Error>, Vec<String>) {
    let mut deltas = Vec::new();
    let mut take = |delta: Delta<'_>| deltas.push(delta.text.to_owned());
    let answer = SimulatedModel::new(script)
        .answer(request, &mut take, &CancellationToken::new())
        .await;
    (answer, deltas)
}

#[tokio::test]
async fn the_pieces_are_the_answer_and_its_tokens_are_counted() {
    let (answer, deltas) = ask(calm(), &request(CODE)).await;
    let answer = answer.unwrap();
    assert!(deltas.len() > 1);
    assert_eq!(deltas.concat(), answer.text);
    assert!(answer.text.contains("```python\n"), "{}", answer.text);
    assert_eq!(answer.finish, FinishReason::Stop);
    assert!(answer.usage.exact);
    let counted = SimulatedModel::new(calm())
        .count(&request(CODE).messages)
        .await
        .unwrap();
    assert_eq!((counted.tokens, counted.exact), (answer.usage.prompt, true));
}

#[tokio::test]
async fn the_same_request_has_the_same_answer_and_another_seed_its_own() {
    let script = Script {
        wrong: 50,
        malformed: 20,
        unreachable: 20,
        ..calm()
    };
    let mut told = Vec::new();
    for seed in 0..40 {
        let request = Request {
            seed: Some(seed),
            ..request(CODE)
        };
        let [one, two] = [ask(script, &request).await.0, ask(script, &request).await.0]
            .map(|result| result.map_or_else(|error| error.to_string(), |answer| answer.text));
        assert_eq!(one, two, "seed {seed}");
        told.push(one);
    }
    told.sort();
    told.dedup();
    // Right code, wrong code, nonsense, and no server.
    assert_eq!(told.len(), 4, "{told:#?}");
}

#[tokio::test]
async fn the_script_has_a_seed_of_its_own() {
    let mut told = Vec::new();
    for seed in 0..20 {
        let script = Script {
            seed,
            wrong: 50,
            ..calm()
        };
        told.push(ask(script, &request(CODE)).await.0.unwrap().text);
    }
    told.sort();
    told.dedup();
    assert_eq!(told.len(), 2);
}

#[tokio::test(start_paused = true)]
async fn latency_passes_between_the_pieces() {
    let script = Script {
        latency_ms: 250,
        ..calm()
    };
    let start = tokio::time::Instant::now();
    let (answer, deltas) = ask(script, &request(CODE)).await;
    let answer = answer.unwrap();
    let passed = u64::try_from(start.elapsed().as_millis()).unwrap();
    assert_eq!(answer.total_ms, 250 * deltas.len() as u64);
    assert!(passed >= answer.total_ms, "{passed}");
    assert_eq!(answer.time_to_first_token_ms, 250);
}

#[tokio::test]
async fn a_call_that_is_stopped_tells_what_had_come() {
    let model = SimulatedModel::new(Script {
        latency_ms: 1,
        ..calm()
    });
    let cancel = CancellationToken::new();
    let mut came = String::new();
    let mut take = |delta: Delta<'_>| {
        came.push_str(delta.text);
        cancel.cancel();
    };
    let error = model
        .answer(&request(CODE), &mut take, &cancel)
        .await
        .unwrap_err();
    let Error::Interrupted {
        partial, tokens, ..
    } = error
    else {
        panic!("{error}");
    };
    assert_eq!(partial, came);
    assert!(!partial.is_empty());
    assert!(tokens > Tokens::ZERO);
}

#[tokio::test]
async fn a_call_that_was_stopped_before_it_began_says_nothing_whatever_the_latency() {
    for latency_ms in [0, 60_000] {
        let cancel = CancellationToken::new();
        cancel.cancel();
        let script = Script {
            latency_ms,
            ..calm()
        };
        // By chance it could go well once.
        for _ in 0..20 {
            let mut deltas = 0;
            let mut take = |_: Delta<'_>| deltas += 1;
            let result = SimulatedModel::new(script)
                .answer(&request(CODE), &mut take, &cancel)
                .await;
            assert!(
                matches!(&result, Err(Error::Interrupted { partial, .. }) if partial.is_empty()),
                "{latency_ms} ms: {result:?}"
            );
            assert_eq!(deltas, 0);
        }
    }
}

#[tokio::test]
async fn unreachable_in_all_cases_never_answers() {
    let script = Script {
        unreachable: 100,
        ..calm()
    };
    for seed in 0..20 {
        let request = Request {
            seed: Some(seed),
            ..request(CODE)
        };
        let (result, deltas) = ask(script, &request).await;
        assert!(result.unwrap_err().is_transient());
        assert!(deltas.is_empty());
    }
}

#[tokio::test]
async fn malformed_in_all_cases_never_has_code_or_a_plan() {
    let script = Script {
        malformed: 100,
        ..calm()
    };
    for asked in [CODE, "Plan this task."] {
        let answer = ask(script, &request(asked)).await.0.unwrap();
        assert!(!answer.text.contains("```"), "{}", answer.text);
        assert!(!answer.text.contains('{'), "{}", answer.text);
    }
}

#[tokio::test]
async fn wrong_in_all_cases_and_in_none() {
    for (wrong, expected) in [(100, "value + 2"), (0, "value + 1")] {
        let script = Script { wrong, ..calm() };
        let answer = ask(script, &request(CODE)).await.0.unwrap();
        assert!(answer.text.contains(expected), "{}", answer.text);
    }
}

#[tokio::test]
async fn what_exceeds_the_window_is_refused_and_what_just_fits_is_not() {
    let request = Request {
        max_tokens: Tokens(1_000),
        ..request(CODE)
    };
    let model = SimulatedModel::new(calm());
    let needed = model.count(&request.messages).await.unwrap().tokens + request.max_tokens;
    let fits = Script {
        window: needed.0,
        ..calm()
    };
    ask(fits, &request).await.0.unwrap();
    let narrow = Script {
        window: needed.0 - 1,
        ..calm()
    };
    let (result, deltas) = ask(narrow, &request).await;
    let error = result.unwrap_err();
    assert!(
        matches!(error, Error::TooLong { prompt, window, .. }
            if prompt == needed && window.0 == needed.0 - 1),
        "{error}"
    );
    assert!(deltas.is_empty());
}

#[tokio::test]
async fn the_token_limit_cuts_an_answer_at_its_very_length() {
    let whole = ask(calm(), &request(CODE)).await.0.unwrap();
    for limit in [0, 1, 7, whole.usage.completion.0 - 1] {
        let short = Request {
            max_tokens: Tokens(limit),
            ..request(CODE)
        };
        let cut = ask(calm(), &short).await.0.unwrap();
        assert_eq!(cut.finish, FinishReason::Length, "{limit}");
        assert_eq!(cut.usage.completion, Tokens(limit));
        assert!(whole.text.starts_with(&cut.text));
    }
    let enough = Request {
        max_tokens: whole.usage.completion,
        ..request(CODE)
    };
    assert_eq!(ask(calm(), &enough).await.0.unwrap(), whole);
}

#[tokio::test]
async fn it_describes_itself_with_the_scripts_window() {
    let script: Script = "sim:?window=2048".parse().unwrap();
    let info = SimulatedModel::new(script).describe().await.unwrap();
    assert_eq!(
        (info.url.as_str(), info.server.as_str()),
        ("sim:", "simulated")
    );
    assert_eq!(info.window.tokens, Tokens(2_048));
    assert_eq!(info.window.source, WindowSource::Asked);
}
