//! The results of an evaluation.

use serde::{Deserialize, Serialize};

use crate::dataset::Mode;
use crate::statistics::interval;

/// The token counts for which the accuracy is reported.
const POINTS: &[u64] = &[250, 500, 1_000, 2_000, 4_000, 8_000, 16_000, 32_000];

/// One attempt at one problem.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Attempt {
    /// Whether the hidden tests passed.
    pub passed: bool,
    /// Tokens of prompts and answers.
    pub tokens: u64,
    /// Seconds of work. Requests of other problems run in parallel.
    pub seconds: f64,
    /// The output of the hidden tests if they failed.
    pub detail: String,
}

/// The workflow's attempt at a problem.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Worked {
    /// The attempt itself.
    #[serde(flatten)]
    pub attempt: Attempt,
    /// The id of the task in the evaluation's journal.
    pub task_id: String,
    /// How the task ended.
    pub status: String,
    /// Whether the workflow reported its result as verified.
    pub verified: bool,
    /// The number of versions of code.
    pub versions: u64,
    /// The number of given tests and examples it had.
    pub given_tests: u64,
}

/// The results for one problem.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct ProblemReport {
    /// The id of the problem.
    pub id: String,
    /// The bare model's attempt.
    pub bare: Attempt,
    /// The workflow's attempt.
    pub journeyman: Worked,
}

/// A proportion of the problems.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Share {
    /// The proportion, 0 to 1.
    pub rate: f64,
    /// The 95 % bootstrap confidence interval.
    pub interval: [f64; 2],
}

/// The accuracy with a limited number of tokens.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Point {
    /// The token limit per problem.
    pub tokens: u64,
    /// The number of problems the workflow solved within it.
    pub passed: u64,
}

/// The totals of one side.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Summary {
    /// The number of problems whose hidden tests passed.
    pub passed: u64,
    /// The pass@1 rate.
    pub pass_at_1: Share,
    /// The total number of tokens.
    pub tokens: u64,
    /// The total number of seconds, as if the problems had been solved one after another.
    pub seconds: f64,
    /// The number of problems reported as verified.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub verified: Option<u64>,
    /// The number of those whose hidden tests failed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub false_verified: Option<u64>,
}

/// The report of an evaluation.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Report {
    /// The name of the data set.
    pub name: String,
    /// The name of the model as reported by its server.
    pub model: String,
    /// What the workflow could see.
    pub mode: Mode,
    /// The number of problems.
    pub problems: u64,
    /// The totals of the bare model.
    pub bare: Summary,
    /// The totals of the workflow.
    pub journeyman: Summary,
    /// The workflow's pass@1 minus the bare model's, paired by problem.
    pub difference: Share,
    /// The workflow's accuracy by number of tokens.
    pub curve: Vec<Point>,
    /// The results per problem.
    pub results: Vec<ProblemReport>,
}

fn count(of: impl Iterator<Item = bool>) -> u64 {
    of.map(u64::from).sum()
}

fn share(values: &[f64]) -> Share {
    #[expect(clippy::cast_precision_loss, reason = "counts of problems")]
    let rate = values.iter().sum::<f64>() / values.len().max(1) as f64;
    Share {
        rate,
        interval: interval(values),
    }
}

fn summary<'a>(attempts: impl Iterator<Item = &'a Attempt> + Clone) -> Summary {
    let passed: Vec<f64> = attempts
        .clone()
        .map(|one| f64::from(u8::from(one.passed)))
        .collect();
    Summary {
        passed: count(attempts.clone().map(|one| one.passed)),
        pass_at_1: share(&passed),
        tokens: attempts.clone().map(|one| one.tokens).sum(),
        seconds: attempts.map(|one| one.seconds).sum(),
        verified: None,
        false_verified: None,
    }
}

impl Report {
    /// Summarises the results.
    pub fn new(name: String, model: String, mode: Mode, results: Vec<ProblemReport>) -> Self {
        let worked = || results.iter().map(|one| &one.journeyman);
        let attempts = worked().map(|one| &one.attempt);
        let difference: Vec<f64> = results
            .iter()
            .map(|one| {
                f64::from(u8::from(one.journeyman.attempt.passed))
                    - f64::from(u8::from(one.bare.passed))
            })
            .collect();
        let within = |tokens: u64| {
            count(
                attempts
                    .clone()
                    .map(|one| one.passed && one.tokens <= tokens),
            )
        };
        let curve = POINTS.iter().map(|&tokens| Point {
            tokens,
            passed: within(tokens),
        });
        Self {
            name,
            model,
            mode,
            problems: results.len() as u64,
            bare: summary(results.iter().map(|one| &one.bare)),
            journeyman: Summary {
                verified: Some(count(worked().map(|one| one.verified))),
                false_verified: Some(count(
                    worked().map(|one| one.verified && !one.attempt.passed),
                )),
                ..summary(attempts.clone())
            },
            difference: share(&difference),
            curve: curve.collect(),
            results,
        }
    }

    /// Renders the report as text.
    pub fn text(&self) -> String {
        use std::fmt::Write;
        let mut text = format!(
            "{} with {}, {}: {} problems\n\n{:<12}{:>8}{:>9}{:>18}{:>16}{:>17}\n",
            self.name,
            self.model,
            self.mode.as_str(),
            self.problems,
            "",
            "passed",
            "pass@1",
            "95 % interval",
            "tokens/problem",
            "seconds/problem"
        );
        #[expect(clippy::cast_precision_loss, reason = "shown with one digit")]
        let each = |total: f64| total / self.problems.max(1) as f64;
        for (name, side) in [("bare model", &self.bare), ("journeyman", &self.journeyman)] {
            #[expect(clippy::cast_precision_loss, reason = "shown with one digit")]
            let tokens = each(side.tokens as f64);
            let [low, high] = side.pass_at_1.interval;
            // Writing to a String cannot fail.
            let _ = writeln!(
                text,
                "{name:<12}{:>8}{:>8.1}%{:>10.1}-{:.1} %{tokens:>15.0}{:>17.1}",
                side.passed,
                100.0 * side.pass_at_1.rate,
                100.0 * low,
                100.0 * high,
                each(side.seconds)
            );
        }
        let [low, high] = self.difference.interval;
        let _ = writeln!(
            text,
            "\ndifference {:+.1} points ({:+.1} to {:+.1}); called verified: {}, of these wrong: {}",
            100.0 * self.difference.rate,
            100.0 * low,
            100.0 * high,
            self.journeyman.verified.unwrap_or_default(),
            self.journeyman.false_verified.unwrap_or_default()
        );
        let points = self
            .curve
            .iter()
            .map(|point| format!("{} by {}", point.passed, point.tokens));
        let _ = write!(
            text,
            "solved within tokens: {}",
            points.collect::<Vec<_>>().join(", ")
        );
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn attempt(passed: bool, tokens: u64) -> Attempt {
        Attempt {
            passed,
            tokens,
            seconds: 1.0,
            detail: String::new(),
        }
    }

    fn problem(id: &str, bare: bool, ours: bool, verified: bool) -> ProblemReport {
        ProblemReport {
            id: id.to_owned(),
            bare: attempt(bare, 100),
            journeyman: Worked {
                attempt: attempt(ours, 600),
                task_id: "t".to_owned(),
                status: "complete".to_owned(),
                verified,
                versions: 1,
                given_tests: 1,
            },
        }
    }

    #[test]
    fn a_false_verified_is_one_that_the_hidden_tests_refute() {
        let results = vec![
            problem("a", true, true, true),
            problem("b", false, true, true),
            problem("c", false, false, true),
            problem("d", true, false, false),
        ];
        let report = Report::new("set".into(), "m".into(), Mode::Blind, results);
        assert_eq!((report.bare.passed, report.journeyman.passed), (2, 2));
        assert_eq!(report.journeyman.verified, Some(3));
        assert_eq!(report.journeyman.false_verified, Some(1));
        assert!(report.difference.rate.abs() < 1e-9);
        let by = |tokens| {
            report
                .curve
                .iter()
                .find(|p| p.tokens == tokens)
                .unwrap()
                .passed
        };
        assert_eq!((by(500), by(1_000)), (0, 2));
        assert!(report.text().contains("of these wrong: 1"));
        assert!(crate::html(&report).contains("<td>b</td>"));
    }
}
