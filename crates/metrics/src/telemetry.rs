//! The service: a bus for signals, the trackers subscribed to it, and the follower of the journal.

use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};

use journeyman_bus::{
    Bus, Context, Emitted, Emitter, Kinds, Overflow, Registration, Stamp, SubscriberOptions,
};
use journeyman_event::{Event, Principal, Sequence, TimeSource};
use journeyman_journal::{Filter, Journal};
use journeyman_signal::{Kept, Signal, Signals, Sink};
use regex_automata::meta::BuildError;
use tokio::sync::watch;
use tokio::task::JoinHandle;

use crate::alerts::Alerts;
use crate::batch::Batch;
use crate::budget::{Budgets, Rule};
use crate::cost::Ledger;
use crate::engine::Engine;
use crate::errors::Errors;
use crate::export::Source;
use crate::fingerprint::Normaliser;
use crate::models::{Caches, Models};
use crate::money::{Following, Money};
use crate::otlp::{Exporter, Figures, OtlpError, OtlpOptions, OtlpView};
use crate::price::Prices;
use crate::projection::{KINDS, Projection};
use crate::report::Report;
use crate::requests::Requests;
use crate::slo::Objectives;
use crate::streaming::Streaming;
use crate::tracker::{Told, Tracker, of};
use crate::work::Work;

/// The most live signals that wait for one tracker. Beyond it the oldest is dropped and counted.
const QUEUE_MAX: usize = 65_536;
/// How many events are read at a time.
const PAGE: usize = 500;

/// Metrics cannot be counted.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A rule of the fingerprints is no valid pattern, which is a defect.
    #[error("the rules for groups of errors are invalid: {0}")]
    Rules(#[from] Box<BuildError>),
    /// The bus accepts no further subscriber.
    #[error(transparent)]
    Bus(#[from] journeyman_bus::Error),
    /// The endpoint for traces and metrics cannot be used.
    #[error(transparent)]
    Otlp(#[from] OtlpError),
}

/// The options of the service.
pub struct TelemetryOptions {
    /// The source of ids and times of signals.
    pub stamp: Arc<dyn Stamp>,
    /// The clock for windows and periods.
    pub time: Arc<dyn TimeSource>,
    /// The prices of tokens.
    pub prices: Prices,
    /// The spending budgets.
    pub budgets: Vec<Rule>,
    /// Where traces and metrics are exported to. `None` exports none.
    pub otlp: Option<OtlpOptions>,
}

/// All trackers. Each has its own lock, which is held for microseconds.
pub(crate) struct Trackers {
    pub(crate) requests: Arc<Mutex<Requests>>,
    pub(crate) streaming: Arc<Mutex<Streaming>>,
    pub(crate) errors: Arc<Mutex<Errors>>,
    pub(crate) objectives: Arc<Mutex<Objectives>>,
    pub(crate) ledger: Arc<Mutex<Ledger>>,
    pub(crate) models: Arc<Mutex<Models>>,
    pub(crate) caches: Arc<Mutex<Caches>>,
    pub(crate) engine: Arc<Mutex<Engine>>,
    pub(crate) batch: Arc<Mutex<Batch>>,
    pub(crate) alerts: Arc<Mutex<Alerts>>,
    pub(crate) work: Arc<Mutex<Work>>,
}

pub(crate) fn lock<T>(tracker: &Mutex<T>) -> MutexGuard<'_, T> {
    tracker.lock().unwrap_or_else(PoisonError::into_inner)
}

type SignalBus = Bus<Emitted<Told>>;

/// The bus as a sink, which adds ids and times to signals.
struct BusSink {
    bus: SignalBus,
    emitter: Emitter<Told>,
}

impl Sink for BusSink {
    fn listens(&self) -> bool {
        self.bus.has_subscribers()
    }

    fn take(&self, signal: Signal) {
        self.emitter.emit(|| Told(signal));
    }
}

/// The metrics of this process and of its journal. Clones share them.
///
/// Nothing is counted until somebody asks for metrics or a budget needs them ([`Telemetry::begin`]); until then signals
/// cost nothing. From then on, metrics made of journaled signals cover the whole journal, and those of live signals
/// begin at zero.
#[derive(Clone)]
pub struct Telemetry(Arc<Inner>);

pub(crate) struct Inner {
    pub(crate) bus: SignalBus,
    pub(crate) trackers: Trackers,
    pub(crate) budgets: Budgets,
    pub(crate) time: Arc<dyn TimeSource>,
    pub(crate) following: watch::Receiver<Following>,
    stamp: Arc<dyn Stamp>,
    followed: watch::Sender<Following>,
    signals: Signals,
    money: Money,
    otlp: Option<OtlpOptions>,
    exported: Arc<Figures>,
    work: Mutex<AtWork>,
}

/// The parts that exist while metrics are counted.
#[derive(Default)]
struct AtWork {
    has_begun: bool,
    journal: Option<Journal>,
    registrations: Vec<Registration>,
    /// Metrics of others.
    others: Vec<Arc<dyn Source>>,
    exporter: Option<Exporter>,
    follower: Option<JoinHandle<()>>,
}

impl Drop for Inner {
    fn drop(&mut self) {
        if let Some(follower) = lock(&self.work).follower.take() {
            follower.abort();
        }
    }
}

impl fmt::Debug for Telemetry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let following = self.0.following.borrow();
        f.debug_struct("Telemetry")
            .field("following", &*following)
            .finish_non_exhaustive()
    }
}

impl Telemetry {
    /// Creates the service. Nothing is counted yet.
    pub fn new(options: TelemetryOptions) -> Result<Self, Error> {
        let TelemetryOptions {
            stamp,
            time,
            prices,
            budgets,
            otlp,
        } = options;
        if let Some(otlp) = &otlp {
            otlp.check()?;
        }
        let bus = SignalBus::start();
        let (followed, following) = watch::channel(Following::NotBegun);
        let budgets = Budgets::new(budgets);
        let sink = BusSink {
            bus: bus.clone(),
            emitter: Emitter::new(bus.clone(), Arc::clone(&stamp)),
        };
        let errors = Errors::new(Normaliser::new()?);
        Ok(Self(Arc::new(Inner {
            trackers: Trackers {
                requests: Arc::default(),
                streaming: Arc::default(),
                errors: Arc::new(Mutex::new(errors)),
                objectives: Arc::default(),
                ledger: Arc::default(),
                models: Arc::default(),
                caches: Arc::default(),
                engine: Arc::default(),
                batch: Arc::default(),
                alerts: Arc::default(),
                work: Arc::default(),
            },
            money: Money::new(Arc::new(prices), budgets.clone(), following.clone()),
            signals: Signals::to(Arc::new(sink)),
            bus,
            budgets,
            time,
            following,
            stamp,
            followed,
            otlp,
            exported: Arc::default(),
            work: Mutex::default(),
        })))
    }

    pub(crate) fn upgrade(inner: &Weak<Inner>) -> Option<Self> {
        inner.upgrade().map(Self)
    }

    /// Adds metrics of another part of the program to all exports.
    pub fn add_source(&self, source: Arc<dyn Source>) {
        lock(&self.0.work).others.push(source);
    }

    pub(crate) fn others(&self) -> Vec<Arc<dyn Source>> {
        lock(&self.0.work).others.clone()
    }

    /// What was exported by OTLP; `None` if nothing is.
    pub(crate) fn exported(inner: &Inner) -> Option<OtlpView> {
        inner.otlp.as_ref().map(|_| inner.exported.view())
    }

    /// The handle that emits signals to the trackers.
    pub fn signals(&self) -> Signals {
        self.0.signals.clone()
    }

    /// The prices and budgets.
    pub fn money(&self) -> Money {
        self.0.money.clone()
    }

    /// Sets the journal to follow. If there are budgets, or traces and metrics are exported, counting starts at once. Must be
    /// called in a tokio runtime.
    pub fn attach(&self, journal: Journal) -> Result<(), Error> {
        lock(&self.0.work).journal = Some(journal.clone());
        if let Some(otlp) = &self.0.otlp {
            let exporter = Exporter::start(otlp, journal, self, &self.0.exported)?;
            lock(&self.0.work).exporter = Some(exporter);
        } else if self.0.budgets.is_empty() {
            return Ok(());
        }
        self.begin()
    }

    /// Starts counting; later calls change nothing. Must be called in a tokio runtime.
    pub fn begin(&self) -> Result<(), Error> {
        let mut work = lock(&self.0.work);
        if work.has_begun {
            return Ok(());
        }
        work.registrations = self.subscribe()?;
        work.has_begun = true;
        let Some(journal) = work.journal.clone() else {
            self.0.followed.send_replace(Following::Current);
            return Ok(());
        };
        self.0.followed.send_replace(Following::Behind);
        let follower = Follower {
            journal,
            projection: Projection::new(self.0.budgets.clone()),
            budgets: self.0.budgets.clone(),
            bus: self.0.bus.clone(),
            stamp: Arc::clone(&self.0.stamp),
            signals: self.0.signals.clone(),
            followed: self.0.followed.clone(),
        };
        work.follower = Some(tokio::spawn(follower.run()));
        Ok(())
    }

    /// Starts counting, and waits until the past of the journal is counted.
    pub async fn catch_up(&self) -> Result<(), Error> {
        self.begin()?;
        let mut following = self.0.following.clone();
        // An error means that the follower has ended: there is nothing to wait for.
        let _ = following
            .wait_for(|following| *following != Following::Behind)
            .await;
        Ok(())
    }

    /// Exports what there is, for 3 seconds at most; then stops following the journal, and drops it.
    pub async fn close(&self) {
        let exporter = lock(&self.0.work).exporter.take();
        if let Some(exporter) = exporter {
            exporter.close().await;
        }
        let follower = {
            let mut work = lock(&self.0.work);
            work.journal = None;
            work.others.clear();
            work.follower.take()
        };
        if let Some(follower) = follower {
            follower.abort();
            let _ = follower.await; // it was aborted
        }
    }

    /// All metrics now. Starts counting if nobody did before.
    pub fn report(&self) -> Result<Report, Error> {
        self.begin()?;
        Ok(Report::of(&self.0))
    }

    pub(crate) fn inner(&self) -> &Arc<Inner> {
        &self.0
    }

    /// The factory: subscribes every tracker to the kinds that it takes.
    fn subscribe(&self) -> Result<Vec<Registration>, Error> {
        let trackers = &self.0.trackers;
        let mut all = Vec::new();
        // Money first, so that signals of the others find it up to date.
        self.add(&trackers.ledger, 40, &mut all)?;
        self.add(&trackers.errors, 30, &mut all)?;
        self.add(&trackers.work, 20, &mut all)?;
        self.add(&trackers.alerts, 0, &mut all)?;
        self.add(&trackers.batch, 0, &mut all)?;
        self.add(&trackers.models, 10, &mut all)?;
        self.add(&trackers.caches, 10, &mut all)?;
        self.add(&trackers.requests, 0, &mut all)?;
        self.add(&trackers.objectives, 0, &mut all)?;
        self.add(&trackers.streaming, 0, &mut all)?;
        self.add(&trackers.engine, 0, &mut all)?;
        Ok(all)
    }

    /// Subscribes a tracker. Journaled kinds are handled inline, in the call of the follower, so that none is lost and
    /// their metrics are exact. Live kinds go through a queue, so that no emitter waits.
    fn add<T: Tracker>(
        &self,
        tracker: &Arc<Mutex<T>>,
        priority: i32,
        all: &mut Vec<Registration>,
    ) -> Result<(), Error> {
        let (journaled, live): (Vec<&str>, Vec<&str>) =
            T::KINDS.iter().copied().partition(|kind| {
                let mut entries = Signal::CATALOGUE.iter();
                entries.any(|entry| entry.kind == *kind && entry.kept == Kept::Journaled)
            });
        let options = |kinds: Vec<&str>| {
            let kinds = kinds.into_iter().map(str::to_owned).collect();
            SubscriberOptions::new(T::NAME)
                .kinds(Kinds::Several(kinds))
                .capacity(QUEUE_MAX)
                .overflow(Overflow::DropOldest)
        };
        let take = {
            let (tracker, signals) = (Arc::clone(tracker), self.0.signals.clone());
            let following = self.0.following.clone();
            move |emitted: &Emitted<Told>| {
                let (at, signal) = of(emitted);
                let news = lock(&tracker).take(at, signal);
                // The past was reported when it happened.
                if *following.borrow() == Following::Current {
                    for signal in news {
                        signals.emit(|| signal);
                    }
                }
            }
        };
        if !journaled.is_empty() {
            let take = take.clone();
            all.push(
                self.0
                    .bus
                    .handle_inline(options(journaled), priority, move |emitted| {
                        take(emitted);
                        Ok(())
                    })?,
            );
        }
        if !live.is_empty() {
            all.push(self.0.bus.handle(options(live), move |emitted| {
                take(&emitted);
                std::future::ready(Ok(()))
            })?);
        }
        Ok(())
    }
}

/// Makes signals from the events in the journal, and from those recorded later.
struct Follower {
    journal: Journal,
    projection: Projection,
    budgets: Budgets,
    bus: SignalBus,
    stamp: Arc<dyn Stamp>,
    signals: Signals,
    followed: watch::Sender<Following>,
}

impl Follower {
    async fn run(mut self) {
        if let Err(error) = self.follow().await {
            tracing::error!(%error, "metrics no longer follow the journal");
            self.followed
                .send_replace(Following::Broken(error.to_string()));
        }
    }

    async fn follow(&mut self) -> Result<(), journeyman_journal::Error> {
        let system = Principal::system();
        let filter = Filter {
            kinds: KINDS.iter().map(|kind| (*kind).to_owned()).collect(),
            ..Filter::default()
        };
        let mut position = Sequence::ZERO;
        loop {
            let page = self.journal.read(&system, &filter, position, PAGE).await?;
            for event in &page.events {
                self.take(event);
            }
            position = page.events.last().map_or(position, Event::sequence);
            if page.ended {
                break;
            }
        }
        // The past was reported when it happened.
        self.budgets.news();
        self.followed.send_replace(Following::Current);
        let mut events = self.journal.subscribe(&system, filter, position);
        loop {
            let event = events.next().await?;
            self.take(&event);
            for news in self.budgets.news() {
                self.signals.emit(|| news);
            }
        }
    }

    fn take(&mut self, event: &Event) {
        for signal in self.projection.signals(event) {
            let emitted = Emitted {
                id: self.stamp.id(),
                at: event.occurred_at(),
                context: Context {
                    task_id: Some(event.task_id().as_str().into()),
                    ..Context::default()
                },
                message: Told(signal),
            };
            // The only error is that the bus has stopped: then nobody listens.
            let _ = self.bus.try_publish(emitted);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;

    fn takes<T: Tracker>(takers: &mut BTreeMap<&str, Vec<&'static str>>) {
        for kind in T::KINDS {
            takers.entry(kind).or_default().push(T::NAME);
        }
    }

    #[test]
    fn each_kind_is_taken_by_the_trackers_that_the_catalogue_names() {
        let mut takers = BTreeMap::new();
        takes::<Requests>(&mut takers);
        takes::<Objectives>(&mut takers);
        takes::<Streaming>(&mut takers);
        takes::<Errors>(&mut takers);
        takes::<Ledger>(&mut takers);
        takes::<Models>(&mut takers);
        takes::<Caches>(&mut takers);
        takes::<Engine>(&mut takers);
        takes::<Batch>(&mut takers);
        takes::<Alerts>(&mut takers);
        takes::<Work>(&mut takers);
        let named = Signal::CATALOGUE
            .iter()
            .map(|entry| (entry.kind, entry.consumer.split(", ").collect()));
        assert_eq!(takers, named.collect());
    }
}
