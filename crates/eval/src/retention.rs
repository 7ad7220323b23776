//! The retention benchmark: how many facts of a task's history a prompt still has when it has far fewer tokens.
//!
//! A history of a task with several modules is made from a seed ([`history`]). Facts stand in it where they stand in a
//! real task: interfaces in code, failures in test results, decisions in instructions, constraints in the prompt. Each is
//! about a module that is one to four dependencies away from the module that is corrected now. The product's prompt
//! builder is called as the workflow calls it, and compared with two baselines that get the same number of tokens.
//! A fact is present if its exact words are in the context.

mod history;
mod questions;

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::time::{Duration, Instant};

use async_trait::async_trait;
use journeyman_context::{BuildError, Profile, Request, build};
use journeyman_event::payload::{Form, Purpose};
use journeyman_event::{Event, ModuleName, Payload, TaskState, Tokens};
use journeyman_knowledge::Knowledge;
use journeyman_language::of;
use journeyman_llm::{
    Answer, Error as ModelError, Estimator, Message, ModelInfo, ModelServer, OnDelta,
    Request as ModelRequest, TokenCount,
};
use serde::Serialize;
use tokio_util::sync::CancellationToken;

use crate::Error;
use history::{History, history};
pub use questions::{Answered, QuestionsReport, questions};

/// How many tokens fewer than the whole history a context has, in per cent.
const REDUCTIONS: [u64; 3] = [50, 70, 85];
/// The most characters of an event's line in a flat summary.
const LINE_CHARS_MAX: usize = 200;
/// The language of the histories' code.
const LANGUAGE: &str = "python";
/// The largest window that is tried, in tokens.
const WINDOW_MAX: u64 = 1_048_576;

/// How a context is made from a history.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Method {
    /// The end of the history, word for word.
    Truncation,
    /// The task's prompt, then every event on one line, the newest ones whole as far as there is room.
    FlatSummary,
    /// The product's prompt builder with the knowledge graph.
    Builder,
}

impl Method {
    const ALL: [Self; 3] = [Self::Truncation, Self::FlatSummary, Self::Builder];

    /// The name used in output.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Truncation => "truncation",
            Self::FlatSummary => "flat summary",
            Self::Builder => "journeyman",
        }
    }
}

/// The facts of one distance that are present in the contexts of one method.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Retained {
    /// The method that made the contexts.
    pub method: Method,
    /// How many tokens fewer than the whole history the contexts have, in per cent.
    pub reduction_percent: u64,
    /// The number of dependencies between the current module and the module that the facts are about.
    pub distance: usize,
    /// The number of facts that are present.
    pub present: usize,
    /// The number of facts.
    pub facts: usize,
}

/// What the contexts of one method cost.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct ContextCost {
    /// The method that made the contexts.
    pub method: Method,
    /// How many tokens fewer than the whole history the contexts have, in per cent.
    pub reduction_percent: u64,
    /// The mean time to build a context, in milliseconds.
    pub build_ms: f64,
    /// The mean share of a context's bytes that are the beginning of the context before the last round too, in per
    /// cent. A prompt cache of the model server can reuse them.
    pub prefix_percent: f64,
    /// The number of contexts that could not be built, because the task and the request did not fit. All their facts
    /// are lost.
    pub refused: usize,
}

/// The result of the benchmark.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct RetentionReport {
    /// The seeds of the histories.
    pub seeds: Vec<u64>,
    /// The smallest and the largest number of events of a history.
    pub events: (usize, usize),
    /// The facts by reduction, method and distance.
    pub retained: Vec<Retained>,
    /// The costs by reduction and method.
    pub costs: Vec<ContextCost>,
}

/// Runs the benchmark on one history for each seed.
pub async fn retention(seeds: Vec<u64>) -> Result<RetentionReport, Error> {
    let mut retained: BTreeMap<(u64, Method, usize), (usize, usize)> = BTreeMap::new();
    let mut costs: BTreeMap<(u64, Method), (Duration, f64, usize)> = BTreeMap::new();
    let mut events = (usize::MAX, 0);
    for &seed in &seeds {
        let history = history(seed)?;
        events.0 = events.0.min(history.events.len());
        events.1 = events.1.max(history.events.len());
        let whole = Estimator::default()
            .estimate(&transcript(&history.events))
            .0;
        for reduction in REDUCTIONS {
            let budget = Tokens(whole * (100 - reduction) / 100);
            for method in Method::ALL {
                let before = context(method, &history, history.last_round, budget).await?;
                let start = Instant::now();
                let now = context(method, &history, history.events.len(), budget).await?;
                let cost = costs.entry((reduction, method)).or_default();
                cost.0 += start.elapsed();
                cost.1 += before.zip(now.as_ref()).map_or(0.0, |(before, now)| {
                    percent(common_prefix(&before, now), now.len())
                });
                cost.2 += usize::from(now.is_none());
                let words = one_line(&now.unwrap_or_default());
                for fact in &history.facts {
                    let cell = retained.entry((reduction, method, fact.distance));
                    let (present, facts) = cell.or_default();
                    *present += usize::from(words.contains(&one_line(&fact.text)));
                    *facts += 1;
                }
            }
        }
    }
    let retained = retained.into_iter();
    let costs = costs.into_iter();
    let count = seeds.len();
    Ok(RetentionReport {
        events,
        retained: retained
            .map(
                |((reduction_percent, method, distance), (present, facts))| Retained {
                    method,
                    reduction_percent,
                    distance,
                    present,
                    facts,
                },
            )
            .collect(),
        costs: costs
            .map(
                |((reduction_percent, method), (time, prefix, refused))| ContextCost {
                    method,
                    reduction_percent,
                    build_ms: time.as_secs_f64() * 1_000.0 / float(count),
                    prefix_percent: prefix / float(count),
                    refused,
                },
            )
            .collect(),
        seeds,
    })
}

/// The context of a history's first so many events, at most `budget` tokens. `None` if it could not be built.
async fn context(
    method: Method,
    history: &History,
    count: usize,
    budget: Tokens,
) -> Result<Option<String>, Error> {
    let events = &history.events[..count];
    match method {
        Method::Truncation => Ok(Some(truncated(events, budget))),
        Method::FlatSummary => Ok(Some(flat_summary(events, budget))),
        Method::Builder => built(history, events, budget).await,
    }
}

fn truncated(events: &[Event], budget: Tokens) -> String {
    let text = transcript(events);
    let fits = |lines: &[&str]| Estimator::default().estimate(&lines.join("\n")) <= budget;
    let lines: Vec<&str> = text.lines().collect();
    let all: Vec<usize> = (0..lines.len()).collect();
    let start = all.partition_point(|&start| !fits(&lines[start..]));
    lines[start..].join("\n")
}

/// The prompt is never shortened. Of lines that do not fit the oldest are left out.
fn flat_summary(events: &[Event], budget: Tokens) -> String {
    let estimator = Estimator::default();
    let Some((first, rest)) = events.split_first() else {
        return String::new();
    };
    let prompt = whole(first);
    let mut left = budget - estimator.estimate(&prompt);
    let mut texts = Vec::new();
    for event in rest.iter().rev() {
        let Some(line) = line(event) else {
            continue;
        };
        let tokens = estimator.estimate(&line);
        if tokens > left {
            break;
        }
        left = left - tokens;
        texts.push((event, line));
    }
    for (event, text) in &mut texts {
        let whole = whole(event);
        let more = estimator.estimate(&whole) - estimator.estimate(text);
        if more > left {
            break;
        }
        left = left - more;
        *text = whole;
    }
    let texts = texts.into_iter().rev().map(|(_, text)| text);
    std::iter::once(prompt)
        .chain(texts)
        .collect::<Vec<String>>()
        .join("\n")
}

/// The prompt for the next correction of the current module.
async fn built(
    history: &History,
    events: &[Event],
    budget: Tokens,
) -> Result<Option<String>, Error> {
    let (mut state, mut known) = (TaskState::default(), Knowledge::default());
    for event in events {
        state
            .evolve(event)
            .map_err(|error| Error::History(error.to_string()))?;
        known.evolve(event);
    }
    let graph = known.graph();
    let request = Request {
        state: &state,
        purpose: Purpose::Fix,
        form: Form::default(),
        module: Some(&history.focus),
        window: window(budget),
        tools: &[],
        graph: Some(&graph),
    };
    match build(&Counter, request).await {
        Ok(built) => {
            let texts = built.messages.into_iter().map(|message| message.content);
            Ok(Some(texts.collect::<Vec<String>>().join("\n\n")))
        }
        Err(BuildError::DoesNotFit { .. }) => Ok(None),
        Err(BuildError::Count(error)) => Err(error.into()),
    }
}

/// The largest window in which a prompt has at most so many tokens.
fn window(prompt: Tokens) -> Tokens {
    let (mut fits, mut exceeds) = (0, WINDOW_MAX);
    while exceeds - fits > 1 {
        let middle = u64::midpoint(fits, exceeds);
        if Profile::of(Tokens(middle)).prompt_max() <= prompt {
            fits = middle;
        } else {
            exceeds = middle;
        }
    }
    Tokens(fits)
}

/// All events word for word.
fn transcript(events: &[Event]) -> String {
    let texts: Vec<String> = events.iter().map(whole).collect();
    texts.join("\n")
}

/// An event word for word.
fn whole(event: &Event) -> String {
    let mut text = event.kind().to_owned();
    if let Some(module) = event.module() {
        let _ = write!(text, " {module}");
    }
    let _ = match event.payload() {
        Payload::TaskSubmitted(asked) => write!(text, "\n{}", asked.prompt),
        Payload::PlanningComplete(plan) => plan.modules.iter().try_for_each(|module| {
            let needs: Vec<&str> = module.depends_on.iter().map(ModuleName::as_str).collect();
            let needs = needs.join(", ");
            write!(
                text,
                "\n- {}: {} (needs {needs})",
                module.name, module.purpose
            )
        }),
        Payload::UserIntervention(said) => write!(text, "\n{}", said.instruction),
        Payload::ReviewCompleted(review) => write!(text, "\n{}", review.findings.join("\n")),
        Payload::CodeGenerated(code) => write!(text, "\n{}", code.source),
        Payload::TestsGenerated(tests) => write!(text, "\n{}", tests.source),
        Payload::TestPassed(run) => write!(text, ": {} passed", run.tests.len()),
        Payload::TestFailed(run) => run.tests.iter().try_for_each(|test| {
            let outcome = if test.passed { "passed" } else { "failed" };
            write!(text, "\n{} {outcome} {}", test.name, test.message)
        }),
        _ => Ok(()),
    };
    text
}

/// The beginning of what an event says, on one line: of code its definitions, of a failed run what failed. `None` if it says
/// nothing.
fn line(event: &Event) -> Option<String> {
    let module = event.module().map_or("", |module| module.as_str());
    let text = match event.payload() {
        Payload::TestStarted(_) => return None,
        Payload::CodeGenerated(code) => of(LANGUAGE)?.outline(&code.source),
        Payload::TestFailed(run) => {
            let failed = run.tests.iter().filter(|test| !test.passed);
            let failed: Vec<&str> = failed.map(|test| test.message.as_str()).collect();
            failed.join("; ")
        }
        _ => return Some(beginning(&whole(event))),
    };
    Some(beginning(&format!("{} {module}: {text}", event.kind())))
}

fn beginning(text: &str) -> String {
    one_line(text).chars().take(LINE_CHARS_MAX).collect()
}

fn one_line(text: &str) -> String {
    text.split_whitespace().collect::<Vec<&str>>().join(" ")
}

/// The number of bytes at the beginning that two texts share.
fn common_prefix(first: &str, second: &str) -> usize {
    let both = first.bytes().zip(second.bytes());
    both.take_while(|(first, second)| first == second).count()
}

fn percent(part: usize, whole: usize) -> f64 {
    100.0 * float(part) / float(whole.max(1))
}

fn float(count: usize) -> f64 {
    f64::from(u32::try_from(count).unwrap_or(u32::MAX))
}

/// A model server that only counts, by the estimator that is used without a tokenizer.
#[derive(Debug)]
struct Counter;

impl Counter {
    fn unsupported<T>() -> Result<T, ModelError> {
        Err(ModelError::Unsupported {
            what: "a model in the retention benchmark".into(),
        })
    }
}

#[async_trait]
impl ModelServer for Counter {
    async fn describe(&self) -> Result<ModelInfo, ModelError> {
        Self::unsupported()
    }

    async fn count(&self, messages: &[Message]) -> Result<TokenCount, ModelError> {
        let estimator = Estimator::default();
        let tokens = messages
            .iter()
            .map(|one| estimator.estimate(&one.content).0);
        Ok(TokenCount {
            tokens: Tokens(tokens.sum()),
            exact: false,
        })
    }

    async fn answer(
        &self,
        _: &ModelRequest,
        _: &mut OnDelta<'_>,
        _: &CancellationToken,
    ) -> Result<Answer, ModelError> {
        Self::unsupported()
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn the_same_seed_gives_the_same_histories_and_figures() {
        let (first, second) = (history(3).unwrap(), history(3).unwrap());
        assert_eq!(transcript(&first.events), transcript(&second.events));
        let first = retention(vec![3]).await.unwrap();
        let second = retention(vec![3]).await.unwrap();
        assert_eq!(first.retained, second.retained);
    }

    #[test]
    fn every_fact_stands_once_or_more_in_the_history_and_only_before_the_last_round() {
        for seed in 1..=20 {
            let history = history(seed).unwrap();
            let earlier = one_line(&transcript(&history.events[..history.last_round]));
            let last = one_line(&transcript(&history.events[history.last_round..]));
            for fact in &history.facts {
                let text = one_line(&fact.text);
                assert!(earlier.contains(&text), "{seed}: {text}");
                assert!(!last.contains(&text), "{seed}: {text}");
            }
            let count = history.events.len();
            assert!((20..=500).contains(&count), "{seed}: {count}");
        }
    }

    #[tokio::test]
    async fn no_method_exceeds_its_tokens() {
        for seed in 1..=5 {
            let history = history(seed).unwrap();
            let all = Estimator::default()
                .estimate(&transcript(&history.events))
                .0;
            for reduction in REDUCTIONS {
                let budget = Tokens(all * (100 - reduction) / 100);
                for method in Method::ALL {
                    let count = history.events.len();
                    let text = context(method, &history, count, budget).await.unwrap();
                    let tokens = Estimator::default().estimate(&text.unwrap_or_default());
                    // Joining pieces may round up by a token each.
                    assert!(
                        tokens.0 <= budget.0 + budget.0 / 50,
                        "{seed} {method:?} {tokens}"
                    );
                }
            }
        }
    }
}
