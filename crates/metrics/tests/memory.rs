//! The bounds of trackers are reached and held, and then memory no longer grows. A test of its own, for it measures the process.

#![allow(clippy::unwrap_used)] // a test fails by panicking

#[path = "../examples/metrics_figures/rounds.rs"]
mod rounds;

use rounds::{resident_bytes, round, telemetry};

#[tokio::test]
async fn memory_is_flat_once_every_bound_is_reached() {
    /// What the allocator may keep for itself.
    const ROOM: u64 = 8 << 20;
    let telemetry = telemetry();
    for number in 0..2 {
        round(&telemetry, number).await;
    }
    let reached = resident_bytes();
    for number in 2..5 {
        round(&telemetry, number).await;
        let report = telemetry.report().unwrap();
        assert_eq!(report.streaming.active, 10_000);
        assert_eq!(report.errors.recent.len(), 500);
        assert_eq!(report.errors.groups.len(), 500);
        assert_eq!(report.requests.endpoints.len(), 1_001);
        assert_eq!(report.streaming.models.len(), 1_001);
        assert_eq!(report.costs.by_owner.len(), 1_001);
        assert_eq!(report.costs.by_task.len(), 10_001);
        assert_eq!(report.alerts.recent.len(), 500);
        let now = resident_bytes();
        assert!(now < reached + ROOM, "{reached} bytes became {now}");
    }
}
