//! The ledger: usage and cost by owner, model, purpose, task and day. Sums are kept, so history is never scanned.

use std::collections::BTreeMap;

use jiff::Timestamp;
use jiff::civil::Date;
use jiff::tz::TimeZone;
use journeyman_event::PicoUsd;
use journeyman_signal::{Signal, Text};
use serde::Serialize;

use crate::bounded::Labelled;
use crate::tracker::Tracker;

/// The most days with a sum of their own; older days are still part of all other sums.
const DAYS_MAX: usize = 400;
/// The most tasks with a sum of their own; further ones are summed as `other`.
const TASKS_MAX: usize = 10_000;
/// The fewest days for a projection.
const PROJECTION_DAYS_MIN: usize = 3;
/// The standard deviations on each side that enclose 95 % of a normal distribution.
const SIGMAS: f64 = 1.96;

/// Usage and cost.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Sums {
    /// Model calls that used tokens.
    pub calls: u64,
    /// Tokens of prompts.
    pub prompt_tokens: u64,
    /// Of these, tokens that were in the server's cache.
    pub cached_tokens: u64,
    /// Tokens of answers.
    pub completion_tokens: u64,
    /// The cost of the calls with a known price.
    pub usd: PicoUsd,
    /// Calls without a known price.
    pub unpriced_calls: u64,
}

/// The ledger, a projection of the journal: another process that reads the same events has the same one.
#[derive(Debug)]
pub(crate) struct Ledger {
    total: Sums,
    by_owner: Labelled<Text, Sums>,
    by_key: Labelled<Text, Sums>,
    by_project: Labelled<Text, Sums>,
    by_model: Labelled<Text, Sums>,
    by_purpose: Labelled<Text, Sums>,
    by_task: Labelled<Text, Sums>,
    by_day: BTreeMap<Date, Sums>,
    prices: Labelled<Text, u64>,
}

impl Default for Ledger {
    fn default() -> Self {
        Self {
            total: Sums::default(),
            by_owner: Labelled::default(),
            by_key: Labelled::default(),
            by_project: Labelled::default(),
            by_model: Labelled::default(),
            by_purpose: Labelled::default(),
            by_task: Labelled::new(TASKS_MAX),
            by_day: BTreeMap::new(),
            prices: Labelled::default(),
        }
    }
}

/// The content of the ledger.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Costs {
    /// All calls.
    pub total: Sums,
    /// By the owner of the task.
    pub by_owner: BTreeMap<String, Sums>,
    /// By the name of the key with which the task was submitted, as far as there is one.
    pub by_key: BTreeMap<String, Sums>,
    /// By the project of the task, as far as it has one.
    pub by_project: BTreeMap<String, Sums>,
    /// By the model that answered.
    pub by_model: BTreeMap<String, Sums>,
    /// By the purpose of the call.
    pub by_purpose: BTreeMap<String, Sums>,
    /// By `owner/task`, at most 10,000; further ones together as `other`.
    pub by_task: BTreeMap<String, Sums>,
    /// By day (UTC), the latest 400.
    pub by_day: BTreeMap<String, Sums>,
    /// The number of calls by the source of their price.
    pub prices: BTreeMap<String, u64>,
    /// The projected cost of this month (UTC); `None` without enough data.
    pub projection: Option<Projection>,
}

/// The projected cost of a month: the mean of its past days for each day that is left, and the interval that contains the
/// true value in 95 of 100 cases if days are independent of each other.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Projection {
    /// The sum at the end of the month.
    pub usd: f64,
    /// The lower end of the interval.
    pub low_usd: f64,
    /// Its upper end.
    pub high_usd: f64,
    /// The number of days it is based on.
    pub days: usize,
}

fn day(at: Timestamp) -> Date {
    at.to_zoned(TimeZone::UTC).date()
}

/// The name of a task among those of all owners. Neither an owner's name nor a task's id contains a slash.
fn task_of(owner: &str, task: &str) -> Text {
    format!("{owner}/{task}").into()
}

fn named(values: &Labelled<Text, Sums>) -> BTreeMap<String, Sums> {
    values
        .iter()
        .map(|(name, sums)| (name.to_string(), *sums))
        .collect()
}

/// What the sums of a call are kept by.
struct CallLabels<'a> {
    owner: &'a Text,
    key: Option<&'a Text>,
    project: Option<&'a Text>,
    model: &'a Text,
    endpoint: &'a Text,
    task: &'a Text,
}

/// The labels in a signal about a call.
macro_rules! labels {
    ($signal:expr) => {
        CallLabels {
            owner: &$signal.owner,
            key: $signal.key.as_ref(),
            project: $signal.project.as_ref(),
            model: &$signal.model,
            endpoint: &$signal.endpoint,
            task: &$signal.task,
        }
    };
}

impl Ledger {
    /// Changes all sums that a call belongs to.
    fn add(&mut self, at: Timestamp, labels: CallLabels<'_>, change: impl Fn(&mut Sums)) {
        change(&mut self.total);
        change(self.by_owner.of(labels.owner.clone()));
        change(self.by_model.of(labels.model.clone()));
        change(self.by_purpose.of(labels.endpoint.clone()));
        change(self.by_task.of(task_of(labels.owner, labels.task)));
        if let Some(key) = labels.key {
            change(self.by_key.of(key.clone()));
        }
        if let Some(project) = labels.project {
            change(self.by_project.of(project.clone()));
        }
        change(self.by_day.entry(day(at)).or_default());
        while self.by_day.len() > DAYS_MAX {
            self.by_day.pop_first();
        }
    }

    pub(crate) fn models(&self) -> impl Iterator<Item = (&Text, &Sums)> {
        self.by_model.iter()
    }

    pub(crate) fn view(&self, now: Timestamp) -> Costs {
        Costs {
            total: self.total,
            by_owner: named(&self.by_owner),
            by_key: named(&self.by_key),
            by_project: named(&self.by_project),
            by_model: named(&self.by_model),
            by_purpose: named(&self.by_purpose),
            by_task: named(&self.by_task),
            by_day: self
                .by_day
                .iter()
                .map(|(day, sums)| (day.to_string(), *sums))
                .collect(),
            prices: self
                .prices
                .iter()
                .map(|(name, calls)| (name.to_string(), *calls))
                .collect(),
            projection: self.projection(day(now)),
        }
    }

    #[allow(clippy::cast_precision_loss)] // days of a month
    fn projection(&self, today: Date) -> Option<Projection> {
        let first = today.first_of_month();
        // Today is not over yet.
        let mut days: Vec<f64> = Vec::new();
        let begun = self
            .by_day
            .range(first..today)
            .find(|(_, sums)| sums.usd > PicoUsd::ZERO)?
            .0;
        let mut at = *begun;
        while at < today {
            days.push(self.by_day.get(&at).map_or(0.0, |sums| sums.usd.as_usd()));
            at = at.tomorrow().ok()?;
        }
        if days.len() < PROJECTION_DAYS_MIN {
            return None;
        }
        let count = days.len() as f64;
        let mean = days.iter().sum::<f64>() / count;
        let variance = days.iter().map(|usd| (usd - mean).powi(2)).sum::<f64>() / (count - 1.0);
        let left = f64::from(today.days_in_month() - today.day() + 1);
        let so_far: f64 = days.iter().sum();
        let spread = SIGMAS * (variance * (left + left * left / count)).sqrt();
        let usd = so_far + mean * left;
        Some(Projection {
            usd,
            low_usd: (usd - spread).max(so_far),
            high_usd: usd + spread,
            days: days.len(),
        })
    }
}

impl Tracker for Ledger {
    const NAME: &'static str = "cost";
    const KINDS: &'static [&'static str] = &["usage.recorded", "cost.calculated"];

    fn take(&mut self, at: Timestamp, signal: &Signal) -> Vec<Signal> {
        match signal {
            Signal::UsageRecorded(used) => {
                self.add(at, labels!(used), |sums| {
                    sums.calls += 1;
                    sums.prompt_tokens += used.prompt;
                    sums.cached_tokens += used.cached;
                    sums.completion_tokens += used.completion;
                });
            }
            Signal::CostCalculated(cost) => {
                self.add(at, labels!(cost), |sums| match cost.pico_usd {
                    Some(pico) => sums.usd += PicoUsd(pico),
                    None => sums.unpriced_calls += 1,
                });
                if cost.pico_usd.is_some() {
                    *self.prices.of(cost.price.clone()) += 1;
                }
            }
            _ => {}
        }
        Vec::new()
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use journeyman_signal::{CostCalculated, UsageRecorded};

    use super::*;

    fn call(ledger: &mut Ledger, at: &str, owner: &str, task: &str, pico_usd: Option<u128>) {
        let at = at.parse().unwrap();
        let (model, endpoint): (Text, Text) = ("m".into(), "workflow/code".into());
        let (owner, task): (Text, Text) = (owner.into(), task.into());
        ledger.take(
            at,
            &UsageRecorded {
                model: model.clone(),
                endpoint: endpoint.clone(),
                owner: owner.clone(),
                task: task.clone(),
                key: Some("laptop".into()),
                project: None,
                prompt: 100,
                cached: 40,
                completion: 10,
            }
            .into(),
        );
        let price = "file 1".into();
        ledger.take(
            at,
            &CostCalculated {
                model,
                endpoint,
                owner,
                task,
                key: Some("laptop".into()),
                project: None,
                pico_usd,
                price,
            }
            .into(),
        );
    }

    #[test]
    fn every_sum_is_exact_also_where_labels_overflow() {
        let mut ledger = Ledger::default();
        for number in 0..12_000_u128 {
            let (owner, task) = (format!("o-{}", number % 3), format!("t-{number}"));
            call(
                &mut ledger,
                "2026-11-01T00:00:00Z",
                &owner,
                &task,
                Some(number),
            );
        }
        call(&mut ledger, "2026-11-02T00:00:00Z", "o-0", "t-0", None);
        let view = ledger.view("2026-11-03T00:00:00Z".parse().unwrap());
        let sum = PicoUsd(12_000 * 11_999 / 2);
        assert_eq!(view.total.usd, sum);
        assert_eq!((view.total.calls, view.total.unpriced_calls), (12_001, 1));
        assert_eq!(view.total.cached_tokens, 12_001 * 40);
        for by in [
            &view.by_owner,
            &view.by_key,
            &view.by_model,
            &view.by_purpose,
            &view.by_task,
            &view.by_day,
        ] {
            assert_eq!(by.values().map(|sums| sums.usd).sum::<PicoUsd>(), sum);
            assert_eq!(by.values().map(|sums| sums.calls).sum::<u64>(), 12_001);
        }
        assert_eq!(view.by_task.len(), 10_001);
        assert_eq!(view.by_task["other"].calls, 2_000);
        assert_eq!(view.prices["file 1"], 12_000);
    }

    #[test]
    fn a_projection_needs_three_days_and_says_how_sure_it_is() {
        let mut ledger = Ledger::default();
        let usd = 1_000_000_000_000;
        for (day, usd_of_day) in [(10, usd), (11, 3 * usd)] {
            call(
                &mut ledger,
                &format!("2026-11-{day}T12:00:00Z"),
                "o",
                "t",
                Some(usd_of_day),
            );
        }
        assert_eq!(
            ledger
                .view("2026-11-12T12:00:00Z".parse().unwrap())
                .projection,
            None
        );
        call(&mut ledger, "2026-11-12T12:00:00Z", "o", "t", Some(2 * usd));
        let projection = ledger
            .view("2026-11-13T12:00:00Z".parse().unwrap())
            .projection
            .unwrap();
        // 6 USD so far, a mean of 2 with a deviation of 1, 18 days left with today.
        assert!((projection.usd - 42.0).abs() < 1e-9, "{projection:?}");
        let spread = 1.96 * (18.0_f64 + 18.0 * 18.0 / 3.0).sqrt();
        assert!(
            (projection.high_usd - 42.0 - spread).abs() < 1e-9,
            "{projection:?}"
        );
        assert_eq!(projection.days, 3);
    }
}
