//! Watches how full a queue is, how long its jobs wait, and how many wait behind it.

use std::fmt;
use std::time::Duration;

use tokio::time::Instant;

/// When to warn.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AlertThresholds {
    /// A queue this full, in percent, is worth a warning. 80.
    pub warn_percent: u64,
    /// One this full is critical. 100.
    pub critical_percent: u64,
    /// Below this all is well again; in between it stays as it was. 70.
    pub clear_percent: u64,
    /// Between two alerts of the same level about the same thing lies at least this. 5 s.
    pub pause: Duration,
    /// A job that could have started this long ago is worth a warning. 60 s.
    pub oldest_waiting_max: Duration,
    /// So many that wait behind the queue are worth a warning; see
    /// [`Queue::set_downstream`](crate::Queue::set_downstream). 16.
    pub downstream_max: u64,
}

impl Default for AlertThresholds {
    fn default() -> Self {
        Self {
            warn_percent: 80,
            critical_percent: 100,
            clear_percent: 70,
            pause: Duration::from_secs(5),
            oldest_waiting_max: Duration::from_mins(1),
            downstream_max: 16,
        }
    }
}

/// How serious it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum AlertLevel {
    /// All is well, again.
    Normal,
    /// It is getting tight.
    Warning,
    /// Nothing more fits.
    Critical,
}

impl AlertLevel {
    /// All of them, the least serious first.
    pub const ALL: [Self; 3] = [Self::Normal, Self::Warning, Self::Critical];

    /// Its name.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Normal => "normal",
            Self::Warning => "warning",
            Self::Critical => "critical",
        }
    }
}

/// What is watched.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Watched {
    /// The places that are taken, in percent of the capacity.
    Fill,
    /// For how long the oldest waiting job could have been started, in percent of
    /// [`AlertThresholds::oldest_waiting_max`].
    OldestWaiting,
    /// How many wait behind the queue, in percent of [`AlertThresholds::downstream_max`].
    Downstream,
}

impl Watched {
    /// Its name.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Fill => "fill",
            Self::OldestWaiting => "oldest_waiting",
            Self::Downstream => "downstream",
        }
    }
}

/// Something has come to another level.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Alert {
    /// What is watched.
    pub watched: Watched,
    /// How serious it is now.
    pub level: AlertLevel,
    /// What was seen; of what, says [`Watched`].
    pub percent: u64,
}

impl fmt::Display for Alert {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let level = match self.level {
            AlertLevel::Normal => "all is well again",
            AlertLevel::Warning => "warning",
            AlertLevel::Critical => "critical",
        };
        let what = match self.watched {
            Watched::Fill => "of the queue's places are taken",
            Watched::OldestWaiting => "of the longest wait that is well",
            Watched::Downstream => "of those who may wait behind the queue",
        };
        write!(f, "{level}: {} % {what}", self.percent)
    }
}

/// How something that is watched is, and how often it gave an alert.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Alarm {
    /// What is watched.
    pub watched: Watched,
    /// How serious it is now, whether there was an alert of it or not.
    pub level: AlertLevel,
    alerts: [u64; AlertLevel::ALL.len()],
}

impl Alarm {
    /// Alerts of each level, the least serious first.
    pub fn alerts(&self) -> impl Iterator<Item = (AlertLevel, u64)> + use<> {
        AlertLevel::ALL.into_iter().zip(self.alerts)
    }
}

/// What is known at a moment. What is missing changes nothing.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Sample {
    /// Places that are taken, and all of them.
    pub fill: Option<(usize, usize)>,
    /// For how long the oldest waiting job could have been started; zero if none waits.
    pub oldest_waiting: Option<Duration>,
    /// How many wait behind the queue.
    pub downstream: Option<u64>,
}

/// The alarms of one queue. A pure function of what it was shown: the time is given.
#[derive(Debug)]
pub struct Monitor {
    thresholds: AlertThresholds,
    fill: Watch,
    oldest_waiting: Watch,
    downstream: Watch,
}

impl Monitor {
    /// All is well at first.
    pub fn new(thresholds: AlertThresholds) -> Self {
        let of_marks = Watch::new(
            Watched::Fill,
            thresholds.warn_percent,
            Some(thresholds.critical_percent),
            &thresholds,
        );
        Self {
            thresholds,
            fill: of_marks,
            oldest_waiting: Watch::new(Watched::OldestWaiting, 100, None, &thresholds),
            downstream: Watch::new(Watched::Downstream, 100, None, &thresholds),
        }
    }

    /// Takes in what is known now, and names what has changed: one alert for each watched thing at
    /// most. A change that comes too soon after an alert of the same level is named later, if it is
    /// still so at a sample after the pause; but that all is well again is named at once.
    pub fn observe(&mut self, sample: Sample, now: Instant) -> impl Iterator<Item = Alert> + use<> {
        let fill = sample
            .fill
            .and_then(|(taken, all)| percent(wide(taken), wide(all)));
        let oldest = sample.oldest_waiting.and_then(|age| {
            percent(
                age.as_millis(),
                self.thresholds.oldest_waiting_max.as_millis(),
            )
        });
        let downstream = sample
            .downstream
            .and_then(|many| percent(many.into(), self.thresholds.downstream_max.into()));
        let alerts = [
            self.fill.observe(fill, now),
            self.oldest_waiting.observe(oldest, now),
            self.downstream.observe(downstream, now),
        ];
        alerts.into_iter().flatten()
    }

    /// How everything that is watched is.
    pub fn alarms(&self) -> Vec<Alarm> {
        let watches = [&self.fill, &self.oldest_waiting, &self.downstream];
        watches.map(Watch::alarm).to_vec()
    }
}

fn wide(count: usize) -> u128 {
    u128::try_from(count).unwrap_or(u128::MAX)
}

/// Rounded down; none of nothing.
fn percent(part: u128, whole: u128) -> Option<u64> {
    let percent = part.saturating_mul(100).checked_div(whole)?;
    Some(u64::try_from(percent).unwrap_or(u64::MAX))
}

#[derive(Debug)]
struct Watch {
    watched: Watched,
    warn: u64,
    critical: Option<u64>,
    clear: u64,
    pause: Duration,
    level: AlertLevel,
    /// The level of the last alert.
    told: AlertLevel,
    warned: Option<Instant>,
    was_critical: Option<Instant>,
    /// Alerts of each level.
    alerts: [u64; AlertLevel::ALL.len()],
}

impl Watch {
    fn new(
        watched: Watched,
        warn: u64,
        critical: Option<u64>,
        thresholds: &AlertThresholds,
    ) -> Self {
        Self {
            watched,
            warn,
            critical,
            clear: thresholds.clear_percent,
            pause: thresholds.pause,
            level: AlertLevel::Normal,
            told: AlertLevel::Normal,
            warned: None,
            was_critical: None,
            alerts: [0; AlertLevel::ALL.len()],
        }
    }

    fn observe(&mut self, percent: Option<u64>, now: Instant) -> Option<Alert> {
        let percent = percent?;
        let seen = if self.critical.is_some_and(|critical| percent >= critical) {
            AlertLevel::Critical
        } else if percent >= self.warn {
            AlertLevel::Warning
        } else {
            AlertLevel::Normal
        };
        if percent < self.clear {
            self.level = AlertLevel::Normal;
        } else {
            self.level = self.level.max(seen);
        }
        if self.level == AlertLevel::Normal {
            let news = self.told != AlertLevel::Normal;
            self.told = AlertLevel::Normal;
            return news.then(|| self.alert(percent));
        }
        // What was not told in its time is not told when it is no longer so.
        if self.level <= self.told || seen < self.level {
            return None;
        }
        let last = match self.level {
            AlertLevel::Critical => &mut self.was_critical,
            _ => &mut self.warned,
        };
        if last.is_some_and(|last| now.saturating_duration_since(last) < self.pause) {
            return None;
        }
        *last = Some(now);
        self.told = self.level;
        Some(self.alert(percent))
    }

    fn alarm(&self) -> Alarm {
        Alarm {
            watched: self.watched,
            level: self.level,
            alerts: self.alerts,
        }
    }

    fn alert(&mut self, percent: u64) -> Alert {
        self.alerts[self.level as usize] += 1;
        Alert {
            watched: self.watched,
            level: self.level,
            percent,
        }
    }
}
