//! Asks a real model about facts of the histories, from the contexts of each method.
//!
//! Whether a fact stands in a context is counted without a model. This says how many of them the model also finds there.

use std::collections::BTreeMap;

use journeyman_event::Tokens;
use journeyman_llm::{Estimator, Message, MessageRole, ModelServer, Request};
use serde::Serialize;
use tokio_util::sync::CancellationToken;

use super::history::{Fact, history};
use super::{Method, context, one_line, transcript};
use crate::Error;

/// How many tokens fewer than the whole history the contexts have, in per cent.
const REDUCTION: u64 = 70;
/// The most tokens of an answer.
const ANSWER_MAX: Tokens = Tokens(96);
/// What the model is told.
const SYSTEM: &str =
    "You are asked about a coding task. Answer with the number or the line of code alone.";

/// The questions of one distance that were answered right from the contexts of one method.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Answered {
    /// The method that made the contexts.
    pub method: Method,
    /// The number of dependencies between the current module and the module that the questions are about.
    pub distance: usize,
    /// The number of right answers.
    pub right: usize,
    /// The number of questions whose answer stands in the context.
    pub present: usize,
    /// The number of questions.
    pub questions: usize,
}

/// The right answers of a model.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct QuestionsReport {
    /// The model.
    pub model: String,
    /// How many tokens fewer than the whole history the contexts have, in per cent.
    pub reduction_percent: u64,
    /// The seeds of the histories: those of which the context of every method fits the model's window.
    pub seeds: Vec<u64>,
    /// The seeds of the histories that are too large for the model's window.
    pub too_large: Vec<u64>,
    /// The answers by method and distance.
    pub answered: Vec<Answered>,
}

/// Asks one question for each history, method and distance. The five kinds of facts take turns.
///
/// `seeds` are tried in their order until `histories` of them are small enough for the window of the model. `tell` is
/// called before each.
///
/// # Errors
///
/// A history could not be made, or the model did not answer.
pub async fn questions(
    server: &dyn ModelServer,
    seeds: impl IntoIterator<Item = u64>,
    histories: usize,
    tell: &dyn Fn(u64),
    cancel: &CancellationToken,
) -> Result<QuestionsReport, Error> {
    let info = server.describe().await?;
    let mut report = QuestionsReport {
        model: info.name,
        reduction_percent: REDUCTION,
        seeds: Vec::new(),
        too_large: Vec::new(),
        answered: Vec::new(),
    };
    let mut answered: BTreeMap<(Method, usize), Answered> = BTreeMap::new();
    for seed in seeds {
        if report.seeds.len() == histories || cancel.is_cancelled() {
            break;
        }
        tell(seed);
        let history = history(seed)?;
        let whole = Estimator::default()
            .estimate(&transcript(&history.events))
            .0;
        let budget = Tokens(whole * (100 - REDUCTION) / 100);
        let mut contexts = Vec::new();
        for method in Method::ALL {
            let text = context(method, &history, history.events.len(), budget).await?;
            contexts.push((method, text.unwrap_or_default()));
        }
        let mut largest = Tokens::ZERO;
        for (_, text) in &contexts {
            let count = server.count(&messages(text, "")).await?;
            largest = largest.max(count.tokens);
        }
        // A question is shorter than an answer.
        if largest + ANSWER_MAX + ANSWER_MAX > info.window.tokens {
            report.too_large.push(seed);
            continue;
        }
        let nth = report.seeds.len();
        let asked = of_each_distance(&history.facts, nth);
        for (method, text) in &contexts {
            for fact in &asked {
                let cell = answered.entry((*method, fact.distance));
                let cell = cell.or_insert(Answered {
                    method: *method,
                    distance: fact.distance,
                    right: 0,
                    present: 0,
                    questions: 0,
                });
                cell.questions += 1;
                cell.present += usize::from(one_line(text).contains(&one_line(&fact.text)));
                let request = Request {
                    messages: messages(text, &fact.question),
                    max_tokens: ANSWER_MAX,
                    temperature: 0.0,
                    seed: Some(seed),
                    stop: Vec::new(),
                    trace: None,
                    schema: None,
                };
                let answer = server.answer(&request, &mut |_| {}, cancel).await?;
                cell.right += usize::from(is_right(&answer.text, &fact.answer));
            }
        }
        report.seeds.push(seed);
    }
    report.answered = answered.into_values().collect();
    Ok(report)
}

/// One fact of each distance, of another kind for each history.
fn of_each_distance(facts: &[Fact], nth: usize) -> Vec<&Fact> {
    let mut by_distance: BTreeMap<usize, Vec<&Fact>> = BTreeMap::new();
    for fact in facts {
        by_distance.entry(fact.distance).or_default().push(fact);
    }
    let chosen = by_distance.values();
    chosen.map(|facts| facts[nth % facts.len()]).collect()
}

/// The context comes first, so that the server's prompt cache has it for the next question.
fn messages(context: &str, question: &str) -> Vec<Message> {
    vec![
        Message {
            role: MessageRole::System,
            content: SYSTEM.to_owned(),
        },
        Message {
            role: MessageRole::User,
            content: format!("{context}\n\n# Question\n{question}"),
        },
    ]
}

/// Whether an answer has the number as a word of its own, or the code whatever its spaces.
fn is_right(said: &str, expected: &str) -> bool {
    if expected.chars().all(|c| c.is_ascii_digit()) {
        let mut words = said.split(|c: char| !c.is_ascii_alphanumeric());
        return words.any(|word| word == expected);
    }
    let dense = |text: &str| {
        text.split_whitespace()
            .collect::<String>()
            .replace(",)", ")")
    };
    dense(said).contains(&dense(expected))
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use journeyman_sim::SimulatedModel;

    use super::*;

    #[test]
    fn an_answer_is_right_if_it_has_the_number_or_the_code() {
        for (said, expected, right) in [
            ("It refuses 4211.", "4211", true),
            ("`4,211`", "4211", false),
            ("14211", "4211", false),
            ("", "4211", false),
            (
                "```python\ndef total(\n    rows: list,\n    limit: int = 5,\n) -> int:\n```",
                "def total(rows: list, limit: int = 5) -> int:",
                true,
            ),
            (
                "def total(rows: list) -> int:",
                "def total(rows: list, limit: int = 5) -> int:",
                false,
            ),
        ] {
            assert_eq!(is_right(said, expected), right, "{said}");
        }
    }

    #[tokio::test]
    async fn a_history_that_is_too_large_for_the_window_is_left_out_and_named() {
        for (window, asked) in [(2_048, 0), (1_048_576, 1)] {
            let server = SimulatedModel::new(format!("sim:?window={window}").parse().unwrap());
            let cancel = CancellationToken::new();
            let report = questions(&server, [3], 1, &|_| {}, &cancel).await.unwrap();
            assert_eq!(report.seeds.len(), asked);
            assert_eq!(report.too_large.len(), 1 - asked);
            let cells = report
                .answered
                .iter()
                .map(|cell| (cell.questions, cell.right));
            let cells: Vec<(usize, usize)> = cells.collect();
            assert_eq!(cells, vec![(1, 0); 12 * asked]);
        }
    }
}
