//! Spending budgets of owners, keys, projects and tasks. The most that a call can cost is reserved before it is made, and settled when
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
use serde::{Deserialize, Serialize, Serializer};

/// The most accounts. Beyond it, the least recently used one without a reservation is forgotten, and starts anew when
/// it is used again.
const ACCOUNTS_MAX: usize = 100_000;
/// The most reservations at the same time. Beyond it, calls are refused.
const RESERVED_MAX: usize = 100_000;

/// The longest rolling period, in hours: a year.
const ROLLING_HOURS_MAX: u32 = 366 * 24;
/// A rolling period is counted in this many parts. What was spent in one of them counts until all of it is older than the
/// period, so up to a hundredth of the period longer than asked for, and never shorter.
const ROLLING_PARTS: i64 = 100;

/// The period of a budget.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(try_from = "String")]
pub enum Period {
    /// From midnight to midnight.
    Daily,
    /// From Monday to Sunday.
    Weekly,
    /// From the first of a month on.
    Monthly,
    /// Without an end.
    Total,
    /// The last hours before a call, at any time.
    Rolling {
        /// The number of hours.
        hours: u32,
    },
}

impl fmt::Display for Period {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Daily => f.write_str("daily"),
            Self::Weekly => f.write_str("weekly"),
            Self::Monthly => f.write_str("monthly"),
            Self::Total => f.write_str("total"),
            Self::Rolling { hours } if hours % 24 == 0 && *hours > 24 => {
                write!(f, "rolling {}d", hours / 24)
            }
            Self::Rolling { hours } => write!(f, "rolling {hours}h"),
        }
    }
}

impl Serialize for Period {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl TryFrom<String> for Period {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        let rolling = |text: &str| {
            let (number, factor) = match text.strip_suffix('d') {
                Some(days) => (days, 24),
                None => (text.strip_suffix('h')?, 1),
            };
            let hours = number.parse::<u32>().ok()?.checked_mul(factor)?;
            (1..=ROLLING_HOURS_MAX)
                .contains(&hours)
                .then_some(Self::Rolling { hours })
        };
        let period = match &*text {
            "daily" => Some(Self::Daily),
            "weekly" => Some(Self::Weekly),
            "monthly" => Some(Self::Monthly),
            "total" => Some(Self::Total),
            text => text.strip_prefix("rolling ").and_then(rolling),
        };
        period.ok_or_else(|| {
            format!(
                "a period is daily, weekly, monthly, total, or rolling with hours or days up to a year, such as \
                 \"rolling 24h\" or \"rolling 30d\", not {text:?}"
            )
        })
    }
}

impl Period {
    /// The beginning of the calendar period that contains this time; `None` for the others, and beyond the calendar.
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
            Self::Total | Self::Rolling { .. } => None,
        }
    }

    /// The beginning of the next calendar period.
    fn next(self, at: Timestamp, zone: &TimeZone) -> Option<Timestamp> {
        let first = self.first_day(at.to_zoned(zone.clone()).date())?;
        let next = match self {
            Self::Daily => first.checked_add(1.day()),
            Self::Weekly => first.checked_add(7.days()),
            Self::Monthly => first.checked_add(1.month()),
            Self::Total | Self::Rolling { .. } => return None,
        };
        next.ok()?
            .to_zoned(zone.clone())
            .ok()
            .map(|day| day.timestamp())
    }

    /// The seconds of a part of a rolling period.
    fn part(self) -> Option<i64> {
        match self {
            Self::Rolling { hours } => Some(i64::from(hours) * 3_600 / ROLLING_PARTS),
            _ => None,
        }
    }
}

/// What was spent in the parts of a rolling period, by the number of the part since 1970.
#[derive(Debug, Default)]
struct Parts {
    spent: BTreeMap<i64, PicoUsd>,
    /// The first part that counts.
    first: i64,
}

impl Parts {
    /// Forgets what no longer counts at this time. `part` is the length of a part.
    fn advance(&mut self, at: Timestamp, part: i64) {
        let first = at.as_second().div_euclid(part) - ROLLING_PARTS;
        self.first = self.first.max(first);
        self.spent = self.spent.split_off(&self.first);
    }

    fn add(&mut self, at: Timestamp, part: i64, cost: PicoUsd) {
        let number = at.as_second().div_euclid(part);
        if number >= self.first {
            *self.spent.entry(number).or_default() += cost;
        }
    }

    fn sum(&self) -> PicoUsd {
        self.spent.values().copied().sum()
    }

    /// When so much of it no longer counts.
    fn free_at(&self, wanted: PicoUsd, part: i64) -> Option<Timestamp> {
        let mut free = PicoUsd::ZERO;
        for (number, spent) in &self.spent {
            free += *spent;
            if free >= wanted {
                return Timestamp::from_second((number + ROLLING_PARTS + 1) * part).ok();
            }
        }
        None
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
    /// The key (in the token file) whose tasks' calls it limits; `*` gives each key an account.
    #[serde(default)]
    pub key: Option<String>,
    /// The project whose tasks' calls it limits; `*` gives each project an account.
    #[serde(default)]
    pub project: Option<String>,
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
        let limited = [&self.owner, &self.key, &self.project, &self.task];
        if limited.into_iter().flatten().count() != 1 {
            return Err(format!(
                "the budget {name:?} needs one of `owner`, `key`, `project` and `task`: a name, or \"*\" for each"
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
        let pairs = [
            (&self.owner, Some(&who.owner)),
            (&self.key, who.key.as_ref()),
            (&self.project, who.project.as_ref()),
            (&self.task, Some(&who.task)),
        ];
        let mut pairs = pairs.into_iter();
        let (rule, name) = pairs.find_map(|(rule, name)| Some((rule.as_ref()?, name?)))?;
        (rule == "*" || **rule == **name).then(|| Arc::clone(name))
    }
}

/// Whom a call counts for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Who {
    /// The owner of the task.
    pub owner: Text,
    /// The name of the key with which the task was submitted.
    pub key: Option<Text>,
    /// The project of the task.
    pub project: Option<Text>,
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
        /// The owner, key, project or task of the account.
        scope: Text,
        /// Its period.
        period: Period,
        /// The rest of the limit.
        left: PicoUsd,
        /// The limit.
        limit: PicoUsd,
        /// The most that the call can cost.
        wanted: PicoUsd,
        /// When there is room again, in words.
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
        /// The owner, key, project or task of the account.
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
    /// For a rolling period: when it was spent.
    parts: Parts,
    spent: PicoUsd,
    reserved: PicoUsd,
    /// The excess over a hard limit, because a server billed more than was reserved.
    overage: PicoUsd,
    /// The thresholds reported in this period, as bits.
    told: u64,
    is_exceeded: bool,
    used: u64,
}

impl Account {
    /// Updates the excess over a hard limit.
    fn mark(&mut self, rule: &Rule) {
        if rule.mode == Mode::Hard {
            self.overage = self.spent - rule.limit;
        }
    }

    /// When this much has room again, in words.
    fn again(&self, rule: &Rule, zone: &TimeZone, wanted: PicoUsd, now: Timestamp) -> Box<str> {
        let at = match rule.period.part() {
            Some(part) => {
                let lacking = self.spent + self.reserved + wanted - rule.limit;
                self.parts.free_at(lacking, part)
            }
            None => rule.period.next(now, zone),
        };
        at.map_or_else(String::new, |at| format!(", or wait until {at}"))
            .into()
    }
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
    /// The owner, key, project or task of the account.
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
    /// The beginning of the period; for a rolling one, the time from which spending counts.
    pub since: Option<Timestamp>,
    /// The beginning of the next calendar period.
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

    /// Processes what calls cost whose record was erased.
    pub(crate) fn spent(&self, who: &Who, cost: PicoUsd, at: Timestamp) {
        self.lock().spent(who, cost, at);
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
        if let Some(part) = rule.period.part() {
            account.parts.advance(at, part);
            account.spent = account.parts.sum();
            account.mark(rule);
            // A threshold is reported again when it is crossed again.
            for (bit, percent) in rule.thresholds.iter().enumerate() {
                if account.spent < rule.limit.percent(*percent) {
                    account.told &= !(1 << bit);
                }
            }
            account.is_exceeded &= account.spent > rule.limit;
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
                let refused = Refused::Spent {
                    budget: Arc::clone(&budget),
                    scope: scope_name,
                    period: rule.period,
                    left: rule.limit - taken,
                    limit: rule.limit,
                    wanted,
                    again: account.again(rule, zone, wanted, now),
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
        self.spent(who, cost, at);
    }

    fn spent(&mut self, who: &Who, cost: PicoUsd, at: Timestamp) {
        let rules = Arc::clone(&self.rules);
        for (index, scope) in self.accounts_of(who) {
            let (rule, zone) = &rules[index];
            let budget: Text = rule.name.as_str().into();
            let start = rule.period.start(at, zone);
            let account = self.account(index, &scope, at);
            if start < account.start {
                continue; // of a period that is over
            }
            if let Some(part) = rule.period.part() {
                account.parts.add(at, part, cost);
                account.spent = account.parts.sum();
            } else {
                account.spent += cost;
            }
            account.mark(rule);
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
                since: match rule.period {
                    Period::Rolling { hours } => now.checked_sub(i64::from(hours).hours()).ok(),
                    _ => since,
                },
                until: rule.period.next(now, zone),
            });
        }
        views
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests;
