//! Alerts: what the other trackers and the budgets found that somebody should look at.

use std::collections::{BTreeMap, VecDeque};

use jiff::Timestamp;
use journeyman_signal::Signal;
use serde::Serialize;

use crate::tracker::Tracker;

/// The latest alerts that are kept; older ones are only counted.
const RECENT_MAX: usize = 500;

/// An alert as a report has it.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Alert {
    /// The time at which it was raised.
    pub at: Timestamp,
    /// The kind of the signal, such as `budget.exceeded`.
    pub kind: &'static str,
    /// What was found, in words.
    pub what: String,
}

#[derive(Debug, Default)]
pub(crate) struct Alerts {
    pub(crate) raised: BTreeMap<&'static str, u64>,
    recent: VecDeque<Alert>,
}

/// The alerts since the process started to count.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct AlertsView {
    /// The number of alerts by kind.
    pub raised: BTreeMap<&'static str, u64>,
    /// The latest alerts, at most 500, the newest first.
    pub recent: Vec<Alert>,
}

impl Alerts {
    pub(crate) fn view(&self) -> AlertsView {
        AlertsView {
            raised: self.raised.clone(),
            recent: self.recent.iter().rev().cloned().collect(),
        }
    }
}

/// What a signal says, in words; `None` for one that is no alert.
fn words(signal: &Signal) -> Option<String> {
    Some(match signal {
        Signal::ErrorPatternDetected(pattern) => {
            let (group, count) = (&pattern.fingerprint, pattern.count);
            format!("{count} errors of group {group}")
        }
        Signal::SloViolation(violation) => format!(
            "{} uses its error budget {:.1} times too fast (over {})",
            violation.endpoint, violation.burn_rate, violation.window
        ),
        Signal::BudgetThresholdCrossed(crossed) => {
            let (budget, scope, percent) = (&crossed.budget, &crossed.scope, crossed.percent);
            format!("{percent} % of the budget {budget} of {scope} are spent")
        }
        Signal::BudgetExceeded(exceeded) => {
            let (budget, scope) = (&exceeded.budget, &exceeded.scope);
            format!("the budget {budget} of {scope} is used up")
        }
        Signal::BudgetReset(reset) => {
            let (budget, scope) = (&reset.budget, &reset.scope);
            format!("a new period of the budget {budget} of {scope} began")
        }
        _ => return None,
    })
}

impl Tracker for Alerts {
    const NAME: &'static str = "alerts";
    const KINDS: &'static [&'static str] = &[
        "error.pattern_detected",
        "slo.violation",
        "budget.threshold_crossed",
        "budget.exceeded",
        "budget.reset",
    ];

    fn take(&mut self, at: Timestamp, signal: &Signal) -> Vec<Signal> {
        if let Some(what) = words(signal) {
            let kind = signal.kind();
            *self.raised.entry(kind).or_default() += 1;
            if self.recent.len() == RECENT_MAX {
                self.recent.pop_front();
            }
            self.recent.push_back(Alert { at, kind, what });
        }
        Vec::new()
    }
}

#[cfg(test)]
mod tests {
    use journeyman_signal::{BudgetExceeded, BudgetReset};

    use super::*;

    #[test]
    fn alerts_are_counted_by_kind_and_the_latest_are_kept() {
        let mut alerts = Alerts::default();
        let (budget, scope) = ("team".into(), "ada".into());
        alerts.take(Timestamp::UNIX_EPOCH, &BudgetReset { budget, scope }.into());
        for number in 0..600 {
            let (budget, scope) = ("team".into(), format!("o-{number}").into());
            let exceeded = BudgetExceeded { budget, scope };
            alerts.take(Timestamp::UNIX_EPOCH, &exceeded.into());
        }
        let view = alerts.view();
        let raised: Vec<_> = view.raised.into_iter().collect();
        assert_eq!(raised, [("budget.exceeded", 600), ("budget.reset", 1)]);
        assert_eq!(view.recent.len(), 500);
        assert_eq!(view.recent[0].what, "the budget team of o-599 is used up");
    }
}
