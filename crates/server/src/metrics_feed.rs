//! The metrics as one client of a WebSocket gets them: all of them first, then what changed, at most once a second.
//!
//! Nothing is queued for a client. The next message is made when the last one was sent, of the metrics as they are then, so
//! a slow client gets fewer messages and always the latest values. However many clients there are, the trackers are read
//! once a second at most.

use std::sync::Arc;
use std::time::Duration;

use journeyman_api::MetricsPart;
use journeyman_metrics::{Error, Telemetry};
use serde::Serialize;
use serde_json::{Map, Value};
use tokio::sync::Mutex;
use tokio::time::{Instant, Interval, MissedTickBehavior, interval};

/// The interval between two messages to a client.
const INTERVAL: Duration = Duration::from_secs(1);

/// The latest metrics, shared by all clients.
pub(crate) struct SharedMetrics {
    telemetry: Telemetry,
    /// The last report, and when it was read.
    latest: Mutex<Option<(Instant, Arc<Value>)>>,
}

impl SharedMetrics {
    pub(crate) fn new(telemetry: Telemetry) -> Arc<Self> {
        Arc::new(Self {
            telemetry,
            latest: Mutex::default(),
        })
    }

    /// The metrics, at most one interval old.
    async fn latest(&self) -> Result<Arc<Value>, Error> {
        self.telemetry.catch_up().await?;
        let mut latest = self.latest.lock().await;
        if let Some((at, metrics)) = &*latest
            && at.elapsed() < INTERVAL
        {
            return Ok(Arc::clone(metrics));
        }
        let metrics = Arc::new(self.telemetry.report()?.to_json());
        *latest = Some((Instant::now(), Arc::clone(&metrics)));
        Ok(metrics)
    }
}

/// A message to a client of the feed.
#[derive(Debug, Serialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub(crate) enum Changes {
    /// All metrics, or the whole part.
    Metrics {
        /// When they were read.
        at: Value,
        metrics: Arc<Value>,
    },
    /// What changed since the last message, as a JSON Merge Patch (RFC 7396).
    MetricsChanged { at: Value, patch: Value },
}

/// The messages to one client.
pub(crate) struct MetricsFeed {
    shared: Arc<SharedMetrics>,
    part: Option<MetricsPart>,
    interval: Interval,
    /// The metrics that the client has.
    sent: Option<Arc<Value>>,
}

impl MetricsFeed {
    pub(crate) fn new(shared: &Arc<SharedMetrics>, part: Option<MetricsPart>) -> Self {
        let mut interval = interval(INTERVAL);
        interval.set_missed_tick_behavior(MissedTickBehavior::Delay);
        Self {
            shared: Arc::clone(shared),
            part,
            interval,
            sent: None,
        }
    }

    /// The next message, as soon as something has changed and the interval is over. Cancel-safe.
    pub(crate) async fn next(&mut self) -> Result<Changes, Error> {
        loop {
            self.interval.tick().await;
            let all = self.shared.latest().await?;
            let at = all["at"].clone();
            let now = match self.part {
                Some(part) => Arc::new(all[part.as_str()].clone()),
                None => all,
            };
            let Some(before) = self.sent.replace(Arc::clone(&now)) else {
                return Ok(Changes::Metrics { at, metrics: now });
            };
            if let Some(patch) = patch(&before, &now) {
                return Ok(Changes::MetricsChanged { at, patch });
            }
        }
    }
}

/// The JSON Merge Patch that makes `now` of `before`; `None` if they are equal but for the time they were read. Where a
/// member is null or gone, the patch says null, which removes it.
fn patch(before: &Value, now: &Value) -> Option<Value> {
    let (Value::Object(before), Value::Object(now)) = (before, now) else {
        return (before != now).then(|| now.clone());
    };
    let mut changed = Map::new();
    for (key, value) in now.iter().filter(|(key, _)| *key != "at") {
        let difference = match before.get(key) {
            Some(before) => patch(before, value),
            None => Some(value.clone()),
        };
        changed.extend(difference.map(|difference| (key.clone(), difference)));
    }
    for key in before.keys().filter(|key| !now.contains_key(*key)) {
        changed.insert(key.clone(), Value::Null);
    }
    (!changed.is_empty()).then_some(Value::Object(changed))
}

#[cfg(test)]
mod tests {
    use jiff::Timestamp;
    use journeyman_bus::Stamp;
    use journeyman_event::TimeSource;
    use journeyman_metrics::{Prices, TelemetryOptions};
    use journeyman_signal::{Key, RequestCompleted};
    use proptest::prelude::*;
    use serde_json::json;
    use uuid::Uuid;

    use super::*;

    struct Epoch;

    impl TimeSource for Epoch {
        fn now(&self) -> Timestamp {
            Timestamp::UNIX_EPOCH
        }
    }

    impl Stamp for Epoch {
        fn id(&self) -> Uuid {
            Uuid::nil()
        }

        fn now(&self) -> Timestamp {
            Timestamp::UNIX_EPOCH
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_client_that_took_nothing_for_a_while_gets_the_latest_values_in_one_message() {
        let options = TelemetryOptions {
            stamp: Arc::new(Epoch),
            time: Arc::new(Epoch),
            prices: Prices::default(),
            budgets: Vec::new(),
            otlp: None,
        };
        let telemetry = Telemetry::new(options).unwrap();
        let signals = telemetry.signals();
        let shared = SharedMetrics::new(telemetry);
        let part = Some(MetricsPart::Requests);
        let (mut slow, mut quick) = (
            MetricsFeed::new(&shared, part),
            MetricsFeed::new(&shared, part),
        );
        for feed in [&mut slow, &mut quick] {
            let first = feed.next().await.unwrap();
            assert!(matches!(first, Changes::Metrics { .. }), "{first:?}");
        }
        let completed = |changes: Changes| match changes {
            Changes::MetricsChanged { patch, .. } => patch["endpoints"][0]["completed"].clone(),
            first @ Changes::Metrics { .. } => panic!("{first:?}"),
        };
        for number in 1..=20_u32 {
            signals.emit(|| {
                RequestCompleted {
                    key: Key(number.into()),
                    endpoint: "e".into(),
                    model: None,
                    took: INTERVAL,
                }
                .into()
            });
            assert_eq!(completed(quick.next().await.unwrap()), number);
        }
        assert_eq!(completed(slow.next().await.unwrap()), 20);
        // Nothing changed: nothing is sent. Both read the same metrics.
        let none = tokio::time::timeout(10 * INTERVAL, slow.next()).await;
        assert!(none.is_err());
        let (one, other) = (
            shared.latest().await.unwrap(),
            shared.latest().await.unwrap(),
        );
        assert!(Arc::ptr_eq(&one, &other));
    }

    /// RFC 7396, section 2.
    fn apply(target: &mut Value, patch: Value) {
        let Value::Object(patch) = patch else {
            *target = patch;
            return;
        };
        if !target.is_object() {
            *target = json!({});
        }
        let Value::Object(members) = target else {
            return;
        };
        for (key, value) in patch {
            if value.is_null() {
                members.remove(&key);
            } else {
                apply(members.entry(key).or_insert(Value::Null), value);
            }
        }
    }

    /// Without members that are null, which a merge patch cannot tell from those that are not there.
    fn without_nulls(value: Value) -> Value {
        match value {
            Value::Object(members) => {
                let members = members.into_iter().filter(|(_, value)| !value.is_null());
                members
                    .map(|(key, value)| (key, without_nulls(value)))
                    .collect()
            }
            other => other,
        }
    }

    fn values() -> impl Strategy<Value = Value> {
        let leaf = prop_oneof![
            Just(Value::Null),
            (0..3).prop_map(|number| json!(number)),
            Just(json!([1, {"a": null}])),
        ];
        leaf.prop_recursive(3, 20, 4, |inner| {
            prop::collection::btree_map("[a-c]", inner, 0..4)
                .prop_map(|members| members.into_iter().collect())
        })
    }

    proptest! {
        #[test]
        fn a_client_that_applies_patches_has_the_metrics(
            before in values(),
            now in values(),
        ) {
            let (before, now) = (json!({"m": before}), json!({"m": now}));
            let mut has = before.clone();
            if let Some(patch) = patch(&before, &now) {
                apply(&mut has, patch);
            } else {
                prop_assert_eq!(&before, &now);
            }
            prop_assert_eq!(without_nulls(has), without_nulls(now));
        }
    }

    #[test]
    fn the_time_alone_is_no_change_and_a_patch_has_no_more_than_what_changed() {
        let before = json!({"at": 1, "a": {"b": 1, "c": 2}, "list": [1, 2]});
        let mut now = before.clone();
        now["at"] = json!(2);
        assert_eq!(patch(&before, &now), None);
        now["a"]["c"] = json!(3);
        assert_eq!(patch(&before, &now), Some(json!({"a": {"c": 3}})));
    }
}
