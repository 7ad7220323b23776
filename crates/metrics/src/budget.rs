//! Spending budgets of owners and tasks. The most that a call can cost is reserved before it is made, and settled when
//! its outcome is recorded.

use std::collections::BTreeMap;
use std::collections::HashMap;
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use jiff::civil::Date;
use jiff::tz::TimeZone;
use jiff::{Timestamp, ToSpan};
use journeyman_event::{EventId, PicoUsd};
use journeyman_signal::{BudgetExceeded, BudgetReset, BudgetThresholdCrossed, Signal, Text};
use serde::{Deserialize, Serialize};

/// The most accounts. Beyond it, the least recently used one without a reservation is forgotten, and starts anew when
/// it is used again.
const ACCOUNTS_MAX: usize = 100_000;
/// The most reservations at the same time. Beyond it, calls are refused.
const RESERVED_MAX: usize = 100_000;

/// The period of a budget, by the calendar.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Period {
    /// From midnight to midnight.
    Daily,
    /// From Monday to Sunday.
    Weekly,
    /// From the first of a month on.
    Monthly,
    /// Without an end.
    Total,
}

impl Period {
    const fn as_str(self) -> &'static str {
        match self {
            Self::Daily => "daily",
            Self::Weekly => "weekly",
            Self::Monthly => "monthly",
            Self::Total => "total",
        }
    }

    /// The beginning of the period that contains this time; `None` for a total, and beyond the calendar.
    fn start(self, at: Timestamp, zone: &TimeZone) -> Option<Timestamp> {
        let date = at.to_zoned(zone.clone()).date();
        self.first_day(date)?
            .to_zoned(zone.clone())
            .ok()
            .map(|day| day.timestamp())
    }

    fn first_day(self, date: Date) -> Option<Date> {
        match self {
            Self::Daily => Some(date),
            Self::Weekly => {
                let days = i64::from(date.weekday().to_monday_zero_offset());
                date.checked_sub(days.days()).ok()
            }
            Self::Monthly => Some(date.first_of_month()),
            Self::Total => None,
        }
    }

    /// The beginning of the next period.
    fn next(self, at: Timestamp, zone: &TimeZone) -> Option<Timestamp> {
        let first = self.first_day(at.to_zoned(zone.clone()).date())?;
        let next = match self {
            Self::Daily => first.checked_add(1.day()),
            Self::Weekly => first.checked_add(7.days()),
            Self::Monthly => first.checked_add(1.month()),
            Self::Total => return None,
        };
        next.ok()?
            .to_zoned(zone.clone())
            .ok()
            .map(|day| day.timestamp())
    }
}

/// What a budget does when it is used up.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Mode {
    /// It reports that.
    Soft,
    /// It refuses calls that might exceed it.
    Hard,
}

fn usual_thresholds() -> Vec<u32> {
    vec![50, 80, 90]
}

fn utc() -> String {
    "UTC".to_owned()
}

/// A budget, as in the money file.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Rule {
    /// The name of the budget.
    pub name: String,
    /// The owner whose calls it limits; `*` gives each owner an account.
    #[serde(default)]
    pub owner: Option<String>,
    /// The task whose calls it limits; `*` gives each task an account.
    #[serde(default)]
    pub task: Option<String>,
    /// The limit for a period. 0 allows nothing.
    pub limit: PicoUsd,
    /// The period.
    pub period: Period,
    /// The time zone of days, weeks and months, as an IANA name.
    #[serde(default = "utc")]
    pub time_zone: String,
    /// What it does when it is used up.
    pub mode: Mode,
    /// The thresholds in per cent of the limit; each is reported once in a period.
    #[serde(default = "usual_thresholds")]
    pub thresholds: Vec<u32>,
}

impl Rule {
    /// Checks the rule.
    pub fn check(&self) -> Result<(), String> {
        let name = &self.name;
        if self.owner.is_some() == self.task.is_some() {
            return Err(format!(
                "the budget {name:?} needs either `owner` or `task`: a name, or \"*\" for each"
            ));
        }
        if self.thresholds.len() > 32
            || self
                .thresholds
                .iter()
                .any(|percent| !(1..=100).contains(percent))
        {
            return Err(format!(
                "the budget {name:?} has thresholds that are not 1 to 100 percent, or more than 32"
            ));
        }
        TimeZone::get(&self.time_zone)
            .map(drop)
            .map_err(|error| format!("the budget {name:?} has an unknown time zone: {error}"))
    }

    /// The account of a call; `None` if the budget does not apply to it.
    fn scope(&self, who: &Who) -> Option<Text> {
        let one_of =
            |rule: &str, name: &Text| (rule == "*" || rule == &**name).then(|| Arc::clone(name));
        match (&self.owner, &self.task) {
            (Some(owner), _) => one_of(owner, &who.owner),
            (None, Some(task)) => one_of(task, &who.task),
            (None, None) => None,
        }
    }
}

/// The owner and the task of a call.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Who {
    /// The owner of the task.
    pub owner: Text,
    /// The task.
    pub task: Text,
}

/// Why a hard budget refused a call.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refused {
    /// The call might cost more than is left.
    #[error(
        "the {period} budget {budget:?} of {scope} has {left} of {limit} USD left, and this call may cost {wanted} USD; \
         raise its limit in the money file and resume{again}"
    )]
    Spent {
        /// The budget's name.
        budget: Text,
        /// The owner or task of the account.
        scope: Text,
        /// Its period.
        period: &'static str,
        /// The rest of the limit.
        left: PicoUsd,
        /// The limit.
        limit: PicoUsd,
        /// The most that the call can cost.
        wanted: PicoUsd,
        /// When the next period begins, in words.
        again: Box<str>,
    },
    /// The price of the call is not known.
    #[error(
        "the budget {budget:?} of {scope} is hard, and the model {model} has no price that is known; give it one in the \
         money file and resume"
    )]
    Unpriced {
        /// The budget's name.
        budget: Text,
        /// The owner or task of the account.
        scope: Text,
        /// The model.
        model: String,
    },
    /// The journal cannot be read, so what was spent is not known.
    #[error(
        "what was spent so far cannot be read from the journal ({problem}), so no budget allows for the call"
    )]
    Unknown {
        /// The problem.
        problem: String,
    },
    /// There are too many calls in progress.
    #[error("{RESERVED_MAX} calls have reserved money already; try again when some have ended")]
    TooMany,
}

#[derive(Debug, Default)]
struct Account {
    /// The beginning of the period; `None` for a total, or before the first call.
    start: Option<Timestamp>,
    spent: PicoUsd,
    reserved: PicoUsd,
    /// The excess over a hard limit, because a server billed more than was reserved.
    overage: PicoUsd,
    /// The thresholds reported in this period, as bits.
    told: u64,
    is_exceeded: bool,
    used: u64,
}

#[derive(Debug)]
struct Reservation {
    amount: PicoUsd,
    accounts: Vec<(usize, Text)>,
}

struct Inner {
    /// Shared, so that an account can be changed while its rule is in use.
    rules: Arc<[(Rule, TimeZone)]>,
    accounts: BTreeMap<(usize, Text), Account>,
    reservations: HashMap<String, Reservation>,
    /// The reservation of each recorded call.
    calls: HashMap<EventId, String>,
    uses: u64,
    news: Vec<Signal>,
}

/// All budgets. Clones share them.
#[derive(Clone)]
pub struct Budgets(Arc<Mutex<Inner>>);

impl fmt::Debug for Budgets {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Budgets").finish_non_exhaustive()
    }
}

/// A reserved amount. Dropping it releases the amount, unless [`Held::keep`] was called.
#[derive(Debug)]
#[must_use = "dropping it releases the amount"]
pub struct Held {
    budgets: Budgets,
    id: String,
    is_kept: bool,
}

impl Held {
    /// Keeps the amount reserved until the outcome of the call is recorded. To be called when its intent is recorded.
    pub fn keep(mut self) {
        self.is_kept = true;
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        if !self.is_kept {
            self.budgets.lock().release(&self.id);
        }
    }
}

/// One account of a budget.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct BudgetView {
    /// The budget's name.
    pub budget: String,
    /// The owner or task of the account.
    pub scope: String,
    /// The period.
    pub period: Period,
    /// What it does when it is used up.
    pub mode: Mode,
    /// The limit.
    pub limit_usd: PicoUsd,
    /// The amount spent in this period.
    pub spent_usd: PicoUsd,
    /// The amount reserved for calls in progress.
    pub reserved_usd: PicoUsd,
    /// The rest.
    pub left_usd: PicoUsd,
    /// The excess over a hard limit that servers billed.
    pub overage_usd: PicoUsd,
    /// The thresholds crossed in this period, in per cent.
    pub crossed: Vec<u32>,
    /// The beginning of the period.
    pub since: Option<Timestamp>,
    /// The beginning of the next period.
    pub until: Option<Timestamp>,
}

impl Budgets {
    /// Creates budgets with nothing spent. A rule that [`Rule::check`] refuses is left out.
    pub fn new(rules: Vec<Rule>) -> Self {
        let rules = rules.into_iter().filter_map(|rule| {
            let zone = TimeZone::get(&rule.time_zone).ok()?;
            rule.check().is_ok().then_some((rule, zone))
        });
        Self(Arc::new(Mutex::new(Inner {
            rules: rules.collect(),
            accounts: BTreeMap::new(),
            reservations: HashMap::new(),
            calls: HashMap::new(),
            uses: 0,
            news: Vec::new(),
        })))
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.lock().rules.is_empty()
    }

    /// Whether a budget applies to these calls.
    pub fn are_about(&self, who: &Who) -> bool {
        self.lock()
            .rules
            .iter()
            .any(|(rule, _)| rule.scope(who).is_some())
    }

    /// Reserves the most that a call can cost in all accounts that it belongs to, or in none. `amount` is `None` if the
    /// price is not known. `id` names the reservation and must be new.
    pub fn reserve(
        &self,
        who: &Who,
        model: &str,
        amount: Option<PicoUsd>,
        id: String,
        now: Timestamp,
    ) -> Result<Held, Refused> {
        self.lock().reserve(who, model, amount, id.clone(), now)?;
        Ok(Held {
            budgets: self.clone(),
            id,
            is_kept: false,
        })
    }

    /// Processes the recorded intent of a call with a reservation, which may be one of an earlier process.
    pub(crate) fn started(&self, call: EventId, who: &Who, id: &str, amount: PicoUsd) {
        self.lock().started(call, who, id, amount);
    }

    /// Processes the recorded outcome of a call, with its cost.
    pub(crate) fn ended(&self, call: EventId, who: &Who, cost: PicoUsd, at: Timestamp) {
        self.lock().ended(call, who, cost, at);
    }

    /// Takes the signals since the last call.
    pub(crate) fn news(&self) -> Vec<Signal> {
        std::mem::take(&mut self.lock().news)
    }

    /// All accounts now, in the order of the rules.
    pub fn views(&self, now: Timestamp) -> Vec<BudgetView> {
        self.lock().views(now)
    }
}

impl Inner {
    /// The account of a rule, in the period of `at`.
    fn account(&mut self, rule: usize, scope: &Text, at: Timestamp) -> &mut Account {
        let key = (rule, Arc::clone(scope));
        if self.accounts.len() >= ACCOUNTS_MAX && !self.accounts.contains_key(&key) {
            let idle = self
                .accounts
                .iter()
                .filter(|(_, one)| one.reserved == PicoUsd::ZERO);
            let oldest = idle
                .min_by_key(|(_, one)| one.used)
                .map(|(key, _)| key.clone());
            if let Some(oldest) = oldest {
                self.accounts.remove(&oldest);
            }
        }
        let (rule, zone) = &self.rules[rule];
        let start = rule.period.start(at, zone);
        self.uses += 1;
        let account = self.accounts.entry(key).or_default();
        account.used = self.uses;
        if start > account.start {
            if account.start.is_some() {
                self.news.push(
                    BudgetReset {
                        budget: rule.name.as_str().into(),
                        scope: Arc::clone(scope),
                    }
                    .into(),
                );
            }
            account.start = start;
            account.spent = PicoUsd::ZERO;
            account.overage = PicoUsd::ZERO;
            account.told = 0;
            account.is_exceeded = false;
        }
        account
    }

    fn accounts_of(&self, who: &Who) -> Vec<(usize, Text)> {
        let rules = self.rules.iter().enumerate();
        rules
            .filter_map(|(at, (rule, _))| Some((at, rule.scope(who)?)))
            .collect()
    }

    fn reserve(
        &mut self,
        who: &Who,
        model: &str,
        amount: Option<PicoUsd>,
        id: String,
        now: Timestamp,
    ) -> Result<(), Refused> {
        if self.reservations.len() >= RESERVED_MAX {
            return Err(Refused::TooMany);
        }
        let rules = Arc::clone(&self.rules);
        let accounts = self.accounts_of(who);
        let wanted = amount.unwrap_or_default();
        for (at, scope) in &accounts {
            let account = self.account(*at, scope, now);
            let taken = account.spent + account.reserved;
            let (rule, zone) = &rules[*at];
            if rule.mode == Mode::Soft {
                continue;
            }
            let (budget, scope_name): (Text, Text) = (rule.name.as_str().into(), Arc::clone(scope));
            if amount.is_none() {
                return Err(Refused::Unpriced {
                    budget,
                    scope: scope_name,
                    model: model.to_owned(),
                });
            }
            if rule.limit == PicoUsd::ZERO || taken + wanted > rule.limit {
                let again = rule.period.next(now, zone);
                let refused = Refused::Spent {
                    budget: Arc::clone(&budget),
                    scope: scope_name,
                    period: rule.period.as_str(),
                    left: rule.limit - taken,
                    limit: rule.limit,
                    wanted,
                    again: again
                        .map_or_else(String::new, |at| format!(", or wait until {at}"))
                        .into(),
                };
                self.news.push(
                    BudgetExceeded {
                        budget,
                        scope: Arc::clone(scope),
                    }
                    .into(),
                );
                return Err(refused);
            }
        }
        self.hold(id, wanted, accounts);
        Ok(())
    }

    fn hold(&mut self, id: String, amount: PicoUsd, accounts: Vec<(usize, Text)>) {
        for key in &accounts {
            if let Some(account) = self.accounts.get_mut(key) {
                account.reserved += amount;
            }
        }
        self.reservations
            .insert(id, Reservation { amount, accounts });
    }

    fn release(&mut self, id: &str) {
        let Some(reservation) = self.reservations.remove(id) else {
            return;
        };
        for key in &reservation.accounts {
            if let Some(account) = self.accounts.get_mut(key) {
                account.reserved = account.reserved - reservation.amount;
            }
        }
    }

    fn started(&mut self, call: EventId, who: &Who, id: &str, amount: PicoUsd) {
        if !self.reservations.contains_key(id) {
            let accounts = self.accounts_of(who);
            for (at, scope) in &accounts {
                self.accounts.entry((*at, Arc::clone(scope))).or_default();
            }
            self.hold(id.to_owned(), amount, accounts);
        }
        self.calls.insert(call, id.to_owned());
    }

    fn ended(&mut self, call: EventId, who: &Who, cost: PicoUsd, at: Timestamp) {
        if let Some(id) = self.calls.remove(&call) {
            self.release(&id);
        }
        let rules = Arc::clone(&self.rules);
        for (index, scope) in self.accounts_of(who) {
            let (rule, zone) = &rules[index];
            let budget: Text = rule.name.as_str().into();
            let start = rule.period.start(at, zone);
            let account = self.account(index, &scope, at);
            if start < account.start {
                continue; // of a period that is over
            }
            account.spent += cost;
            if rule.mode == Mode::Hard {
                account.overage = account.spent - rule.limit;
            }
            let mut news: Vec<Signal> = Vec::new();
            for (bit, percent) in rule.thresholds.iter().enumerate() {
                let is_reached =
                    cost > PicoUsd::ZERO && account.spent >= rule.limit.percent(*percent);
                if is_reached && account.told & (1 << bit) == 0 {
                    account.told |= 1 << bit;
                    let crossed = BudgetThresholdCrossed {
                        budget: Arc::clone(&budget),
                        scope: Arc::clone(&scope),
                        percent: *percent,
                    };
                    news.push(crossed.into());
                }
            }
            if account.spent > rule.limit && !account.is_exceeded {
                account.is_exceeded = true;
                news.push(BudgetExceeded { budget, scope }.into());
            }
            self.news.append(&mut news);
        }
    }

    fn views(&mut self, now: Timestamp) -> Vec<BudgetView> {
        let keys: Vec<(usize, Text)> = self.accounts.keys().cloned().collect();
        let mut views = Vec::new();
        for (at, scope) in keys {
            let account = self.account(at, &scope, now);
            let (spent, reserved, overage) = (account.spent, account.reserved, account.overage);
            let (told, since) = (account.told, account.start);
            let (rule, zone) = &self.rules[at];
            let crossed = rule.thresholds.iter().enumerate();
            views.push(BudgetView {
                budget: rule.name.clone(),
                scope: scope.to_string(),
                period: rule.period,
                mode: rule.mode,
                limit_usd: rule.limit,
                spent_usd: spent,
                reserved_usd: reserved,
                left_usd: rule.limit - (spent + reserved),
                overage_usd: overage,
                crossed: crossed
                    .filter(|(bit, _)| told & (1 << bit) != 0)
                    .map(|(_, percent)| *percent)
                    .collect(),
                since,
                until: rule.period.next(now, zone),
            });
        }
        views
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests;
