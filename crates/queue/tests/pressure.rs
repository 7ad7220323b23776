//! When a queue warns, and when it does not.

#![allow(clippy::unwrap_used, clippy::expect_used)] // a test fails by panicking

mod common;

use std::time::Duration;

use common::{job, leaves, quiet, single, start};
use journeyman_event::Priority;
use journeyman_queue::{Alert, AlertLevel, AlertThresholds, Monitor, Sample, Watched};
use tokio::time::Instant;

const SECOND: Duration = Duration::from_secs(1);

struct Watch {
    monitor: Monitor,
    now: Instant,
}

impl Watch {
    fn new() -> Self {
        Self {
            monitor: Monitor::new(AlertThresholds::default()),
            now: Instant::now(),
        }
    }

    /// The level that an alert names when so many of 1,000 places are taken, if there is one.
    fn fill(&mut self, taken: usize) -> Option<AlertLevel> {
        let sample = Sample {
            fill: Some((taken, 1_000)),
            ..Sample::default()
        };
        let mut alerts = self.monitor.observe(sample, self.now);
        let alert = alerts.next()?;
        assert_eq!(alert.watched, Watched::Fill);
        assert_eq!(alert.percent, taken as u64 / 10);
        assert_eq!(alerts.next(), None);
        Some(alert.level)
    }

    fn pass(&mut self, time: Duration) {
        self.now += time;
    }
}

#[test]
fn it_warns_at_80_is_critical_at_100_and_clears_below_70() {
    let mut watch = Watch::new();
    for (taken, level) in [
        (799, None),
        (800, Some(AlertLevel::Warning)),
        (999, None),
        (1_000, Some(AlertLevel::Critical)),
        (800, None),
        (700, None),
        (699, Some(AlertLevel::Normal)),
        (0, None),
    ] {
        assert_eq!(watch.fill(taken), level, "{taken}");
    }
}

#[test]
fn alerts_are_counted_by_what_is_watched_and_how_serious_it_is() {
    let mut watch = Watch::new();
    for taken in [800, 1_000, 600, 800] {
        watch.fill(taken); // the last warning comes too soon after the first
    }
    let alarms = watch.monitor.alarms();
    let watched: Vec<Watched> = alarms.iter().map(|alarm| alarm.watched).collect();
    assert_eq!(
        watched,
        [Watched::Fill, Watched::OldestWaiting, Watched::Downstream]
    );
    assert_eq!(alarms[0].level, AlertLevel::Warning);
    let told: Vec<(AlertLevel, u64)> = alarms[0].alerts().collect();
    assert_eq!(
        told,
        [
            (AlertLevel::Normal, 1),
            (AlertLevel::Warning, 1),
            (AlertLevel::Critical, 1)
        ]
    );
    for quiet in &alarms[1..] {
        assert_eq!(quiet.level, AlertLevel::Normal);
        assert!(quiet.alerts().all(|(_, count)| count == 0));
    }
}

#[test]
fn oscillation_around_the_mark_alerts_once() {
    let mut watch = Watch::new();
    let mut alerts = 0;
    for n in 0..10_000 {
        alerts += u32::from(watch.fill(if n % 2 == 0 { 810 } else { 790 }).is_some());
        watch.pass(SECOND / 10);
    }
    assert_eq!(alerts, 1);
}

#[test]
fn however_it_oscillates_there_is_one_alert_a_level_in_5_seconds() {
    let mut watch = Watch::new();
    let mut told: Vec<(AlertLevel, Instant)> = Vec::new();
    for n in 0..1_000 {
        if let Some(level) = watch.fill([1_000, 0, 850, 0][n % 4]) {
            told.push((level, watch.now));
        }
        watch.pass(SECOND / 10);
    }
    for level in [AlertLevel::Warning, AlertLevel::Critical] {
        let mut of_level = told.iter().filter(|(other, _)| *other == level);
        let times: Vec<Instant> = of_level.by_ref().map(|(_, at)| *at).collect();
        assert!(times.len() >= 15, "{level:?}: {}", times.len());
        assert!(times.windows(2).all(|pair| pair[1] - pair[0] >= SECOND * 5));
    }
}

#[test]
fn an_alert_that_came_too_soon_is_made_up_for_if_it_is_still_so_and_only_then() {
    let mut watch = Watch::new();
    assert_eq!(watch.fill(800), Some(AlertLevel::Warning));
    watch.pass(SECOND);
    assert_eq!(
        watch.fill(0),
        Some(AlertLevel::Normal),
        "clearing is never delayed"
    );
    assert_eq!(watch.fill(900), None, "too soon");
    watch.pass(SECOND * 10);
    assert_eq!(watch.fill(799), None, "never a false alert below 80 %");
    assert_eq!(watch.fill(800), Some(AlertLevel::Warning));
    // What was never told is not taken back.
    assert_eq!(watch.fill(0), Some(AlertLevel::Normal));
    assert_eq!(watch.fill(900), None);
    assert_eq!(watch.fill(0), None);
}

#[test]
fn missing_statistics_change_nothing() {
    let mut watch = Watch::new();
    assert_eq!(watch.fill(900), Some(AlertLevel::Warning));
    let nothing = Sample::default();
    let no_capacity = Sample {
        fill: Some((3, 0)),
        ..nothing
    };
    for sample in [nothing, no_capacity] {
        watch.pass(SECOND * 60);
        assert_eq!(watch.monitor.observe(sample, watch.now).count(), 0);
    }
    assert_eq!(watch.fill(900), None);
    assert_eq!(watch.fill(0), Some(AlertLevel::Normal));
}

#[test]
fn a_long_wait_and_a_queue_behind_are_watched_apart_from_each_other() {
    let mut watch = Watch::new();
    let mut seen = |oldest_seconds, downstream| {
        let sample = Sample {
            fill: None,
            oldest_waiting: Some(SECOND * oldest_seconds),
            downstream,
        };
        let alerts = watch.monitor.observe(sample, watch.now);
        alerts
            .map(|alert| (alert.watched, alert.level))
            .collect::<Vec<_>>()
    };
    assert_eq!(seen(59, Some(15)), []);
    assert_eq!(
        seen(60, None),
        [(Watched::OldestWaiting, AlertLevel::Warning)]
    );
    assert_eq!(
        seen(600, Some(16)),
        [(Watched::Downstream, AlertLevel::Warning)]
    );
    assert_eq!(
        seen(0, Some(12)),
        [(Watched::OldestWaiting, AlertLevel::Normal)]
    );
    assert_eq!(
        seen(0, Some(0)),
        [(Watched::Downstream, AlertLevel::Normal)]
    );
}

fn alert(watched: Watched, level: AlertLevel, percent: u64) -> Alert {
    Alert {
        watched,
        level,
        percent,
    }
}

#[tokio::test(start_paused = true)]
async fn each_queue_tells_its_own_runner() {
    let (queue, lab) = start(&single());
    let (_other, other_lab) = start(&single());
    queue.set_max_concurrent(0);
    queue.recover((0..100).map(|n| job(&n.to_string(), Priority::MEDIUM)));
    quiet().await;
    assert_eq!(
        lab.alerts(),
        [alert(Watched::Fill, AlertLevel::Critical, 100)]
    );
    for n in 0..31 {
        leaves(queue.cancel(&n.to_string()));
    }
    quiet().await;
    assert_eq!(lab.alerts(), [alert(Watched::Fill, AlertLevel::Normal, 69)]);
    tokio::time::sleep(SECOND * 61).await;
    assert_eq!(
        lab.alerts(),
        [alert(Watched::OldestWaiting, AlertLevel::Warning, 100)]
    );
    queue.set_downstream(Some(32));
    quiet().await;
    assert_eq!(
        lab.alerts(),
        [alert(Watched::Downstream, AlertLevel::Warning, 200)]
    );
    assert_eq!(other_lab.alerts(), []);
}
