//! What an evaluation found.

use serde::{Deserialize, Serialize};

use crate::dataset::Mode;
use crate::statistics::interval;

/// Token counts at which the accuracy so far is told.
const POINTS: &[u64] = &[250, 500, 1_000, 2_000, 4_000, 8_000, 16_000, 32_000];

/// One side's attempt at one problem.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Attempt {
    /// Whether the hidden tests passed.
    pub passed: bool,
    /// Tokens of prompts and answers.
    pub tokens: u64,
    /// Seconds of work; requests of other problems run beside it.
    pub seconds: f64,
    /// What the hidden tests said, if they did not pass.
    pub detail: String,
}

/// The workflow's attempt.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Worked {
    /// How it went.
    #[serde(flatten)]
    pub attempt: Attempt,
    /// The task, as it stands in the evaluation's journal.
    pub task_id: String,
    /// How the task ended.
    pub status: String,
    /// Whether it called itself verified.
    pub verified: bool,
    /// Versions of the code.
    pub versions: u64,
    /// Given tests and examples that it had to go by.
    pub given_tests: u64,
}

/// One problem.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct ProblemReport {
    /// Its name.
    pub id: String,
    /// The bare model.
    pub bare: Attempt,
    /// The workflow.
    pub journeyman: Worked,
}

/// A share of the problems.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Share {
    /// The share, 0 to 1.
    pub rate: f64,
    /// Its 95 % bootstrap interval.
    pub interval: [f64; 2],
}

/// The accuracy of all that used up to so many tokens.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Point {
    /// Tokens a problem.
    pub tokens: u64,
    /// Problems that the workflow solved within them.
    pub passed: u64,
}

/// One side, summed up.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Summary {
    /// Problems whose hidden tests passed.
    pub passed: u64,
    /// pass@1.
    pub pass_at_1: Share,
    /// Tokens in all.
    pub tokens: u64,
    /// Seconds in all, as if one problem had followed the other.
    pub seconds: f64,
    /// Problems that it called verified.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub verified: Option<u64>,
    /// Those of them whose hidden tests failed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub false_verified: Option<u64>,
}

/// All of it.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Report {
    /// The data set's name.
    pub name: String,
    /// The model, by its server's account.
    pub model: String,
    /// What the workflow saw.
    pub mode: Mode,
    /// How many problems.
    pub problems: u64,
    /// The bare model.
    pub bare: Summary,
    /// The workflow.
    pub journeyman: Summary,
    /// pass@1 of the workflow less that of the bare model, problem by problem.
    pub difference: Share,
    /// The workflow's accuracy against tokens.
    pub curve: Vec<Point>,
    /// Each problem.
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
    /// Sums up what was found.
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

    /// As a person reads it.
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
