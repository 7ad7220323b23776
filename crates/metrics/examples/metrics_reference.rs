//! Answers what other programs can compute too, for `scripts/test-metrics-reference`, which compares: quantiles of
//! values, and prices of calls. Reads one JSON object a line and writes one a line.

#![allow(clippy::print_stdout, clippy::unwrap_used)] // a program for developers

use std::io::BufRead;

use jiff::Timestamp;
use journeyman_event::Tokens;
use journeyman_metrics::{ModelAt, Prices, Sketch, Usage};
use serde::Deserialize;
use serde_json::json;

/// A question.
#[derive(Deserialize)]
#[serde(rename_all = "lowercase")]
enum Question {
    /// The quantiles of values; they are added to two sketches in turn, which are merged.
    Quantiles { values: Vec<u64>, at: Vec<f64> },
    /// The price of a call.
    Price {
        model: String,
        url: String,
        prompt: u64,
        cached: u64,
        cache_write: u64,
        tier: Option<String>,
        completion: u64,
        when: Timestamp,
    },
}

fn main() {
    let prices = Prices::default();
    for line in std::io::stdin().lock().lines() {
        let answer = match serde_json::from_str(&line.unwrap()).unwrap() {
            Question::Quantiles { values, at } => {
                let mut sketches = [Sketch::default(), Sketch::default()];
                for (index, value) in values.into_iter().enumerate() {
                    sketches[index % 2].record(value);
                }
                let [mut sketch, other] = sketches;
                sketch.merge(&other);
                let found: Vec<_> = at.into_iter().map(|part| sketch.quantile(part)).collect();
                json!(found)
            }
            Question::Price {
                model,
                url,
                prompt,
                cached,
                cache_write,
                tier,
                completion,
                when,
            } => {
                let at = ModelAt {
                    configured: None,
                    model: &model,
                    server: "openai-compatible",
                    url: &url,
                    tier: tier.as_deref(),
                };
                let usage = Usage {
                    prompt: Tokens(prompt),
                    cached: Tokens(cached),
                    cache_write: Tokens(cache_write),
                    completion: Tokens(completion),
                };
                json!(prices.price(at, usage, when).unwrap().usd)
            }
        };
        println!("{answer}");
    }
}
