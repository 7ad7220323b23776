//! Watches how full a queue is, how long its jobs wait, and how many requests wait downstream of it, and raises
//! alerts.

use std::fmt;
use std::time::Duration;

use tokio::time::Instant;

/// The thresholds for alerts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AlertThresholds {
    /// Fill level in per cent from which a warning is raised. Default 80.
    pub warn_percent: u64,
    /// Fill level in per cent from which the alert is critical. Default 100.
    pub critical_percent: u64,
    /// Below this percentage the level returns to normal; between this and `warn_percent` it does not change.
    /// Default 70.
    pub clear_percent: u64,
    /// The shortest time between two alerts of the same level about the same indicator. Default 5 s.
    pub pause: Duration,
    /// A warning is raised if a job that is ready to start has waited this long. Default 60 s.
    pub oldest_waiting_max: Duration,
    /// A warning is raised if this many requests wait downstream; see
    /// [`Queue::set_downstream`](crate::Queue::set_downstream). Default 16.
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

/// The severity of an alert.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum AlertLevel {
    /// Back to normal.
    Normal,
    /// The limit is near.
    Warning,
    /// The limit is reached.
    Critical,
}

impl AlertLevel {
    /// All levels, the least severe first.
    pub const ALL: [Self; 3] = [Self::Normal, Self::Warning, Self::Critical];

    /// The name of the level.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Normal => "normal",
            Self::Warning => "warning",
            Self::Critical => "critical",
        }
    }
}

/// An indicator that is watched.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Watched {
    /// The occupied places, in per cent of the capacity.
    Fill,
    /// How long the oldest waiting job has been ready to start, in per cent of
    /// [`AlertThresholds::oldest_waiting_max`].
    OldestWaiting,
    /// The number of requests waiting downstream, in per cent of [`AlertThresholds::downstream_max`].
    Downstream,
}

impl Watched {
    /// The name of the indicator.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Fill => "fill",
            Self::OldestWaiting => "oldest_waiting",
            Self::Downstream => "downstream",
        }
    }
}

/// An indicator reached another level.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Alert {
    /// The indicator that changed.
    pub watched: Watched,
    /// The new level.
    pub level: AlertLevel,
    /// The measured value in per cent, as described at [`Watched`].
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

/// The current level of an indicator, and how many alerts it has raised.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Alarm {
    /// The indicator it is about.
    pub watched: Watched,
    /// The current level, even if no alert was raised for it yet.
    pub level: AlertLevel,
    alerts: [u64; AlertLevel::ALL.len()],
}

impl Alarm {
    /// The number of alerts per level, the least severe first.
    pub fn alerts(&self) -> impl Iterator<Item = (AlertLevel, u64)> + use<> {
        AlertLevel::ALL.into_iter().zip(self.alerts)
    }
}

/// Measurements at one moment. Missing values leave the indicator unchanged.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Sample {
    /// The occupied places and the capacity.
    pub fill: Option<(usize, usize)>,
    /// How long the oldest waiting job has been ready to start; zero if no job is waiting.
    pub oldest_waiting: Option<Duration>,
    /// The number of requests waiting downstream.
    pub downstream: Option<u64>,
}

/// The alarms of one queue, as a pure state machine: the time is an argument.
#[derive(Debug)]
pub struct Monitor {
    thresholds: AlertThresholds,
    fill: Watch,
    oldest_waiting: Watch,
    downstream: Watch,
}

impl Monitor {
    /// All indicators start at the normal level.
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

    /// Takes a sample and returns at most one alert per indicator. If a level is reached again within the
    /// pause, its alert is postponed to the first sample after the pause that still shows it. A return to
    /// normal is reported at once.
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

    /// The current state of all indicators.
    pub fn alarms(&self) -> Vec<Alarm> {
        let watches = [&self.fill, &self.oldest_waiting, &self.downstream];
        watches.map(Watch::alarm).to_vec()
    }
}

fn wide(count: usize) -> u128 {
    u128::try_from(count).unwrap_or(u128::MAX)
}

/// `part` in per cent of `whole`, rounded down; 0 if `whole` is 0.
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
    /// The number of alerts per level.
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
        // An alert that was postponed is not raised if it no longer applies.
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
