//! Requests, which are model calls and requests over HTTP: their number, durations, waiting times and failures.

use std::collections::BTreeMap;
use std::time::Duration;

use jiff::Timestamp;
use journeyman_signal::{Key, Signal, Text};
use serde::Serialize;

use crate::bounded::{Active, Ended, Labelled};
use crate::buckets::RequestTime;
use crate::sketch::Summary;
use crate::tracker::{Tracker, is_older};

/// A request whose end was not seen after this time is dropped.
const TIME_MAX: Duration = Duration::from_hours(6);

#[derive(Debug)]
struct Open {
    since: Timestamp,
    endpoint: Text,
}

#[derive(Clone, Debug, Default)]
pub(crate) struct Endpoint {
    pub(crate) completed: u64,
    pub(crate) failed: u64,
    pub(crate) time: RequestTime,
    pub(crate) waited: RequestTime,
}

#[derive(Debug, Default)]
pub(crate) struct Requests {
    active: Active<Open>,
    pub(crate) endpoints: Labelled<Text, Endpoint>,
    pub(crate) errors: Labelled<(Text, Text), u64>,
    waiting: Active<Timestamp>,
    pub(crate) rate_limited: Labelled<Text, u64>,
    pub(crate) disconnected: Labelled<Text, u64>,
}

/// The requests of one endpoint.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct EndpointView {
    /// The endpoint.
    pub endpoint: String,
    /// Requests that ended with their answer.
    pub completed: u64,
    /// Requests that failed.
    pub failed: u64,
    /// Their duration, in seconds.
    pub time: Summary,
    /// How long model calls waited for a slot, in seconds.
    pub waited: Summary,
}

/// The requests as a report has them, by endpoint.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct RequestsView {
    /// Requests in progress.
    pub active: usize,
    /// Model calls that wait for a slot at the model server.
    pub waiting: usize,
    /// Requests whose end was never seen.
    pub lost: u64,
    /// By endpoint.
    pub endpoints: Vec<EndpointView>,
    /// Calls that the model server refused because it was busy or a rate limit was reached, by endpoint.
    pub rate_limited: BTreeMap<String, u64>,
    /// Clients that disconnected before their response began, by endpoint.
    pub disconnected: BTreeMap<String, u64>,
}

fn counts(values: &Labelled<Text, u64>) -> BTreeMap<String, u64> {
    values
        .iter()
        .map(|(name, count)| (name.to_string(), *count))
        .collect()
}

impl Requests {
    pub(crate) fn active(&self) -> usize {
        self.active.len()
    }

    pub(crate) fn view(&self) -> RequestsView {
        let endpoints = self.endpoints.iter().map(|(name, endpoint)| EndpointView {
            endpoint: name.to_string(),
            completed: endpoint.completed,
            failed: endpoint.failed,
            time: endpoint.time.0.summary(),
            waited: endpoint.waited.0.summary(),
        });
        RequestsView {
            active: self.active.len(),
            waiting: self.waiting.len(),
            lost: self.active.lost(),
            endpoints: endpoints.collect(),
            rate_limited: counts(&self.rate_limited),
            disconnected: counts(&self.disconnected),
        }
    }

    fn end(&mut self, key: Key, endpoint: &Text, took: Duration, error: Option<&Text>) {
        let endpoint = match self.active.end(key) {
            Ended::Before => return,
            Ended::Unseen => endpoint.clone(),
            Ended::Now(open) => open.endpoint,
        };
        let figures = self.endpoints.of(endpoint.clone());
        figures.time.0.took(took);
        match error {
            None => figures.completed += 1,
            Some(error) => {
                figures.failed += 1;
                *self.errors.of((endpoint, error.clone())) += 1;
            }
        }
    }
}

impl Tracker for Requests {
    const NAME: &'static str = "requests";
    const KINDS: &'static [&'static str] = &[
        "request.started",
        "request.completed",
        "request.failed",
        "request.queued",
        "request.dequeued",
        "ratelimit.hit",
        "network.client_disconnected",
    ];

    fn take(&mut self, at: Timestamp, signal: &Signal) -> Vec<Signal> {
        match signal {
            Signal::RequestStarted(started) => {
                let is_over = |open: &Open| is_older(at, open.since, TIME_MAX);
                self.active.give_up(is_over);
                let endpoint = started.endpoint.clone();
                self.active.begin(
                    started.key,
                    Open {
                        since: at,
                        endpoint,
                    },
                );
            }
            Signal::RequestCompleted(done) => self.end(done.key, &done.endpoint, done.took, None),
            Signal::RequestFailed(failed) => {
                self.end(
                    failed.key,
                    &failed.endpoint,
                    failed.took,
                    Some(&failed.error),
                );
            }
            Signal::RequestQueued(queued) => {
                self.waiting.give_up(|since| is_older(at, *since, TIME_MAX));
                self.waiting.begin(queued.key, at);
            }
            Signal::RequestDequeued(out) if self.waiting.end(out.key) != Ended::Before => {
                let figures = self.endpoints.of(out.endpoint.clone());
                figures.waited.0.took(out.waited);
            }
            Signal::RatelimitHit(hit) => *self.rate_limited.of(hit.endpoint.clone()) += 1,
            Signal::NetworkClientDisconnected(gone) => {
                *self.disconnected.of(gone.endpoint.clone()) += 1;
            }
            _ => {}
        }
        Vec::new()
    }
}
