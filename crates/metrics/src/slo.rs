//! Service level objectives: the part of requests that must succeed, the error budget, and its burn rate.
//!
//! An alert needs two windows: the long one shows that the errors matter, the short one that they continue (Google's
//! Site Reliability Workbook, chapter 5). Windows slide by the minute.

use std::collections::BTreeMap;

use jiff::Timestamp;
use journeyman_signal::{Signal, SloViolation, Text};
use serde::Serialize;

use crate::bounded::Labelled;
use crate::tracker::Tracker;

/// The part of requests that must succeed.
const TARGET: f64 = 0.99;
/// The window of the error budget in minutes, and how long minutes are kept: three days.
const WINDOW: i64 = 3 * 24 * 60;
/// The most endpoints with an objective of their own; further ones share that of `other`.
const ENDPOINTS_MAX: usize = 200;
/// The fewest requests in the long window for an alert: one failure of few is no rate.
const REQUESTS_MIN: u64 = 10;

/// The alerts: pairs of windows in minutes, and the burn rate that both must reach.
const ALERTS: &[Pair] = &[
    Pair {
        severity: "page",
        name: "1h",
        long: 60,
        short: 5,
        rate: 14.4,
    },
    Pair {
        severity: "page",
        name: "6h",
        long: 6 * 60,
        short: 30,
        rate: 6.0,
    },
    Pair {
        severity: "ticket",
        name: "3d",
        long: WINDOW,
        short: 6 * 60,
        rate: 1.0,
    },
];

struct Pair {
    severity: &'static str,
    name: &'static str,
    long: i64,
    short: i64,
    rate: f64,
}

/// One endpoint's requests by minute.
#[derive(Debug, Default)]
struct Objective {
    /// Successes and failures of each minute with any.
    minutes: BTreeMap<i64, (u64, u64)>,
    /// The active alerts, and since when.
    firing: BTreeMap<&'static str, Timestamp>,
    /// The duration of the last alert that ended, in seconds.
    recovered_after: Option<f64>,
}

impl Objective {
    /// Successes and failures of the last minutes, including the current one.
    fn within(&self, now: i64, minutes: i64) -> (u64, u64) {
        let window = self.minutes.range(now - minutes + 1..=now);
        window.fold((0, 0), |sum, (_, one)| (sum.0 + one.0, sum.1 + one.1))
    }

    /// How many times faster than allowed the error budget is used.
    fn burn_rate(&self, now: i64, minutes: i64) -> f64 {
        error_rate(self.within(now, minutes)) / (1.0 - TARGET)
    }

    /// Checks every alert. Returns those that begin, with the rate of their long window.
    fn look(&mut self, at: Timestamp) -> Vec<(&'static Pair, f64)> {
        let now = minute(at);
        let mut begun = Vec::new();
        for pair in ALERTS {
            let (good, bad) = self.within(now, pair.long);
            let rate = self.burn_rate(now, pair.long);
            let is_on = good + bad >= REQUESTS_MIN
                && rate >= pair.rate
                && self.burn_rate(now, pair.short) >= pair.rate;
            match (is_on, self.firing.contains_key(pair.name)) {
                (true, false) => {
                    self.firing.insert(pair.name, at);
                    begun.push((pair, rate));
                }
                (false, true) => {
                    let since = self.firing.remove(pair.name);
                    self.recovered_after =
                        since.map(|since| at.duration_since(since).as_secs_f64());
                }
                _ => {}
            }
        }
        begun
    }
}

fn minute(at: Timestamp) -> i64 {
    at.as_second().div_euclid(60)
}

#[allow(clippy::cast_precision_loss)] // counts of requests
fn error_rate((good, bad): (u64, u64)) -> f64 {
    match good + bad {
        0 => 0.0,
        all => bad as f64 / all as f64,
    }
}

/// The objectives of all endpoints.
#[derive(Debug)]
pub(crate) struct Objectives(Labelled<Text, Objective>);

impl Default for Objectives {
    fn default() -> Self {
        Self(Labelled::new(ENDPOINTS_MAX))
    }
}

/// The objective of one endpoint.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct ObjectiveView {
    /// The endpoint.
    pub endpoint: String,
    /// The part of requests that must succeed.
    pub target: f64,
    /// Requests that succeeded in the last three days.
    pub good: u64,
    /// Requests that failed in the last three days.
    pub bad: u64,
    /// The part of the error budget of three days that is left: 1 is all of it, below 0 it is overspent.
    pub budget_left: f64,
    /// Burn rates by window: `5m`, `30m`, `1h`, `6h`, `3d`.
    pub burn_rates: BTreeMap<&'static str, f64>,
    /// The active alerts.
    pub alerts: Vec<AlertView>,
    /// The duration of the last alert that ended, in seconds.
    pub recovered_after: Option<f64>,
}

/// An active alert.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct AlertView {
    /// Its long window.
    pub window: &'static str,
    /// `page` or `ticket`.
    pub severity: &'static str,
    /// Since when.
    pub since: Timestamp,
}

/// The windows with a burn rate in the report, in minutes.
const WINDOWS: &[(&str, i64)] = &[
    ("5m", 5),
    ("30m", 30),
    ("1h", 60),
    ("6h", 6 * 60),
    ("3d", WINDOW),
];

impl Objectives {
    /// All objectives now. An alert without new requests ends here.
    pub(crate) fn views(&mut self, now: Timestamp) -> Vec<ObjectiveView> {
        let names: Vec<Text> = self.0.iter().map(|(name, _)| name.clone()).collect();
        let views = names.into_iter().map(|name| {
            let objective = self.0.of(name.clone());
            objective.look(now);
            let at = minute(now);
            let (good, bad) = objective.within(at, WINDOW);
            let rates = WINDOWS
                .iter()
                .map(|(window, minutes)| (*window, objective.burn_rate(at, *minutes)));
            let alerts = ALERTS.iter().filter_map(|pair| {
                Some(AlertView {
                    window: pair.name,
                    severity: pair.severity,
                    since: *objective.firing.get(pair.name)?,
                })
            });
            ObjectiveView {
                endpoint: name.to_string(),
                target: TARGET,
                good,
                bad,
                budget_left: 1.0 - error_rate((good, bad)) / (1.0 - TARGET),
                burn_rates: rates.collect(),
                alerts: alerts.collect(),
                recovered_after: objective.recovered_after,
            }
        });
        views.collect()
    }

    fn count(&mut self, at: Timestamp, endpoint: &Text, is_good: bool) -> Vec<Signal> {
        let objective = self.0.of(endpoint.clone());
        let now = minute(at);
        let counts = objective.minutes.entry(now).or_default();
        if is_good {
            counts.0 += 1;
        } else {
            counts.1 += 1;
        }
        while let Some(oldest) = objective.minutes.first_entry()
            && *oldest.key() <= now - WINDOW
        {
            oldest.remove();
        }
        if is_good && objective.firing.is_empty() {
            return Vec::new(); // a success begins no alert
        }
        let begun = objective.look(at).into_iter().map(|(pair, burn_rate)| {
            let violation = SloViolation {
                endpoint: endpoint.clone(),
                model: None,
                window: pair.name.into(),
                burn_rate,
            };
            violation.into()
        });
        begun.collect()
    }
}

impl Tracker for Objectives {
    const NAME: &'static str = "objectives";
    const KINDS: &'static [&'static str] = &["request.completed", "request.failed"];

    fn take(&mut self, at: Timestamp, signal: &Signal) -> Vec<Signal> {
        match signal {
            Signal::RequestCompleted(done) => self.count(at, &done.endpoint, true),
            Signal::RequestFailed(failed) => self.count(at, &failed.endpoint, false),
            _ => Vec::new(),
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::float_cmp)]
mod tests {
    use std::time::Duration;

    use journeyman_signal::{Key, RequestCompleted, RequestFailed};

    use super::*;

    fn request(objectives: &mut Objectives, second: i64, is_good: bool) -> Vec<Signal> {
        let (key, endpoint, model) = (Key(0), "e".into(), None);
        let took = Duration::from_millis(1);
        let signal = if is_good {
            RequestCompleted {
                key,
                endpoint,
                model,
                took,
            }
            .into()
        } else {
            RequestFailed {
                key,
                endpoint,
                model,
                took,
                error: "x".into(),
            }
            .into()
        };
        objectives.take(Timestamp::from_second(second).unwrap(), &signal)
    }

    fn view(objectives: &mut Objectives, second: i64) -> ObjectiveView {
        objectives
            .views(Timestamp::from_second(second).unwrap())
            .remove(0)
    }

    #[test]
    fn a_burst_of_errors_pages_and_its_end_resolves_that() {
        let mut objectives = Objectives::default();
        // An hour with a request a second: all is well.
        for second in 0..3_600 {
            assert!(request(&mut objectives, second, true).is_empty());
        }
        assert_eq!(view(&mut objectives, 3_599).budget_left, 1.0);
        // Then every second one fails.
        let mut begun = Vec::new();
        for second in 3_600..5_400 {
            begun.extend(request(&mut objectives, second, second % 2 == 0));
        }
        let windows: Vec<String> = begun
            .iter()
            .map(|signal| match signal {
                Signal::SloViolation(violation) => violation.window.to_string(),
                other => panic!("{other:?}"),
            })
            .collect();
        assert_eq!(windows, ["3d", "6h", "1h"]);
        let firing = view(&mut objectives, 5_399);
        assert_eq!(firing.alerts.len(), 3);
        assert_eq!((firing.good, firing.bad), (4_500, 900));
        assert!((firing.burn_rates["5m"] - 50.0).abs() < 1e-6, "{firing:?}");
        // Five good minutes end the page of the hour, half an hour that of six hours.
        for second in 5_400..5_760 {
            request(&mut objectives, second, true);
        }
        let windows = |view: ObjectiveView| -> Vec<&'static str> {
            view.alerts.iter().map(|alert| alert.window).collect()
        };
        assert_eq!(windows(view(&mut objectives, 5_759)), ["6h", "3d"]);
        for second in 5_760..7_300 {
            request(&mut objectives, second, true);
        }
        assert_eq!(windows(view(&mut objectives, 7_299)), ["3d"]);
        assert!(view(&mut objectives, 7_299).recovered_after.is_some());
        // And it is all over when nobody asks any more.
        let over = view(&mut objectives, 7_299 + 3 * 24 * 3_600);
        assert!(over.alerts.is_empty(), "{over:?}");
    }

    #[test]
    fn a_hundred_errors_without_a_success_are_a_rate_of_one_and_few_requests_are_no_alert() {
        let mut objectives = Objectives::default();
        for _ in 0..9 {
            assert!(request(&mut objectives, 0, false).is_empty());
        }
        assert_eq!(request(&mut objectives, 0, false).len(), 3);
        for _ in 0..90 {
            request(&mut objectives, 0, false);
        }
        let view = view(&mut objectives, 0);
        assert_eq!((view.good, view.bad), (0, 100));
        assert!((view.burn_rates["3d"] - 100.0).abs() < 1e-9);
        assert!((view.budget_left + 99.0).abs() < 1e-9);
    }
}
