//! The bus: keeps the subscriptions and delivers messages to them.

use std::collections::{BTreeSet, HashMap};
use std::fmt;
use std::future::{Future, poll_fn};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::Duration;

use arc_swap::ArcSwap;
use tokio::time::Instant;

use crate::handler::{HandlerError, HandlerOutcome, note, serve, serve_blocking, timed};
use crate::options::{Kinds, SubscriberOptions};
use crate::statistics::{Statistics, SubscriberStatistics, add, get};
use crate::subscriber::Subscriber;

/// The most subscribers a bus can have at one time.
const SUBSCRIBERS_MAX: usize = 25_000;
/// How often [`Bus::drain`] checks whether publications in progress have finished.
const DRAIN_POLL: Duration = Duration::from_millis(1);

/// The trait of everything that a bus carries.
pub trait Message: Send + Sync + 'static {
    /// The kind by which subscribers select messages. Use dotted names such as `task.started`, so that prefixes
    /// are useful.
    fn kind(&self) -> &str;
}

/// Why a bus rejected a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// The bus was stopped or drained.
    #[error("the bus has stopped")]
    Stopped,
    /// The bus has the maximum number of subscribers.
    #[error("the bus has {SUBSCRIBERS_MAX} subscribers already; let some unsubscribe")]
    TooMany,
    /// An async handler needs a runtime, and there is none.
    #[error("there is no tokio runtime here; subscribe an async handler from inside one")]
    NoRuntime,
    /// The system could not start a thread for a blocking handler.
    #[error("no thread could be started for a blocking handler")]
    NoThread,
}

type InlineHandler<M> = Box<dyn Fn(&M) -> Result<(), HandlerError> + Send + Sync>;

struct Inline<M> {
    subscriber: Arc<Subscriber<M>>,
    priority: i32,
    handler: InlineHandler<M>,
}

/// All subscribers, indexed for delivery. Immutable: each change builds a new value.
struct Routes<M> {
    /// All subscribers, in the order they subscribed.
    everybody: Vec<Arc<Subscriber<M>>>,
    /// Inline handlers, sorted by descending priority and then by age.
    inline: Vec<Arc<Inline<M>>>,
    /// Queued subscribers to all messages.
    all: Vec<Arc<Subscriber<M>>>,
    /// Queued subscribers by exact kind.
    exact: HashMap<String, Vec<Arc<Subscriber<M>>>>,
    /// Queued subscribers by prefix of the kind.
    prefix: Vec<Arc<Subscriber<M>>>,
}

impl<M> Routes<M> {
    fn new(everybody: Vec<Arc<Subscriber<M>>>, mut inline: Vec<Arc<Inline<M>>>) -> Self {
        inline.sort_by_key(|one| (std::cmp::Reverse(one.priority), one.subscriber.id));
        let mut routes = Self {
            everybody: Vec::new(),
            inline,
            all: Vec::new(),
            exact: HashMap::new(),
            prefix: Vec::new(),
        };
        let is_inline = |id| routes.inline.iter().any(|one| one.subscriber.id == id);
        for subscriber in everybody.iter().filter(|one| !is_inline(one.id)) {
            let (all, kinds) = match &subscriber.kinds {
                Kinds::All => (Some(&mut routes.all), &[][..]),
                Kinds::Prefix(_) => (Some(&mut routes.prefix), &[][..]),
                Kinds::Exact(kind) => (None, std::slice::from_ref(kind)),
                Kinds::Several(kinds) => (None, kinds.as_slice()),
            };
            if let Some(all) = all {
                all.push(Arc::clone(subscriber));
            }
            // A kind that is named twice is still delivered once.
            for kind in kinds.iter().collect::<BTreeSet<_>>() {
                let list = routes.exact.entry(kind.clone()).or_default();
                list.push(Arc::clone(subscriber));
            }
        }
        routes.everybody = everybody;
        routes
    }

    /// The queued subscribers that want messages of `kind`.
    fn queued<'a>(&'a self, kind: &'a str) -> impl Iterator<Item = &'a Arc<Subscriber<M>>> {
        let exact = if self.exact.is_empty() {
            None
        } else {
            self.exact.get(kind)
        };
        let prefix = self.prefix.iter().filter(|one| one.kinds.take(kind));
        self.all
            .iter()
            .chain(exact.into_iter().flatten())
            .chain(prefix)
    }
}

struct Shared<M> {
    routes: ArcSwap<Routes<M>>,
    /// Locked while the routes are replaced.
    changing: Mutex<Changes>,
    /// Counters of publications: begun, refused and ended.
    begun: AtomicU64,
    refused: AtomicU64,
    ended: AtomicU64,
    stopped: AtomicBool,
}

#[derive(Default)]
struct Changes {
    subscribers: u64,
    /// The summed counters of former subscribers.
    left: Statistics,
}

impl<M> Shared<M> {
    fn changing(&self) -> MutexGuard<'_, Changes> {
        self.changing.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn leave(&self, id: u64) {
        let mut changes = self.changing();
        let routes = self.routes.load();
        let Some(leaving) = routes.everybody.iter().find(|one| one.id == id) else {
            return;
        };
        let others = routes.everybody.iter().filter(|one| one.id != id).cloned();
        let inline = routes.inline.iter().filter(|one| one.subscriber.id != id);
        let without = Routes::new(others.collect(), inline.cloned().collect());
        let leaving = Arc::clone(leaving);
        self.routes.store(Arc::new(without));
        // A publisher that still has the old routes finds it closed.
        leaving.close();
        leaving.counters.add_to(&mut changes.left);
    }

    fn close_all(&self) {
        self.stopped.store(true, Ordering::SeqCst);
        for subscriber in &self.routes.load().everybody {
            subscriber.close();
        }
    }
}

impl<M> Drop for Shared<M> {
    fn drop(&mut self) {
        self.close_all();
    }
}

/// Publish and subscribe within one process. Clones share one bus, which stops when the last clone is dropped.
pub struct Bus<M: Message> {
    shared: Arc<Shared<M>>,
}

impl<M: Message> Clone for Bus<M> {
    fn clone(&self) -> Self {
        Self {
            shared: Arc::clone(&self.shared),
        }
    }
}

impl<M: Message> Default for Bus<M> {
    fn default() -> Self {
        Self::start()
    }
}

impl<M: Message> fmt::Debug for Bus<M> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Bus").finish_non_exhaustive()
    }
}

impl<M: Message> Bus<M> {
    /// Creates a bus without subscribers.
    pub fn start() -> Self {
        Self {
            shared: Arc::new(Shared {
                routes: ArcSwap::from_pointee(Routes::new(Vec::new(), Vec::new())),
                changing: Mutex::default(),
                begun: AtomicU64::new(0),
                refused: AtomicU64::new(0),
                ended: AtomicU64::new(0),
                stopped: AtomicBool::new(false),
            }),
        }
    }

    /// Adds a subscriber that receives messages at its own pace. Like the other kinds of subscribers it gets
    /// every message published after this call returns.
    pub fn subscribe(&self, options: SubscriberOptions) -> Result<Subscription<M>, Error> {
        let (subscriber, registration) = self.join(options, |_| None)?;
        Ok(Subscription {
            subscriber,
            _registration: registration,
        })
    }

    /// Adds an async handler. It runs in its own task, for one message at a time, and must not block.
    pub fn handle<F, Fut>(
        &self,
        options: SubscriberOptions,
        handler: F,
    ) -> Result<Registration, Error>
    where
        F: Fn(Arc<M>) -> Fut + Send + Sync + 'static,
        Fut: Future<Output = Result<(), HandlerError>> + Send + 'static,
    {
        let runtime = tokio::runtime::Handle::try_current().map_err(|_| Error::NoRuntime)?;
        let (subscriber, registration) = self.join(options, |_| None)?;
        runtime.spawn(serve(subscriber, handler));
        Ok(registration)
    }

    /// Adds a handler that may block. It runs on its own thread, for one message at a time.
    pub fn handle_blocking<F>(
        &self,
        options: SubscriberOptions,
        handler: F,
    ) -> Result<Registration, Error>
    where
        F: Fn(&M) -> Result<(), HandlerError> + Send + 'static,
    {
        let (subscriber, registration) = self.join(options, |_| None)?;
        std::thread::Builder::new()
            .name("bus-handler".to_owned())
            .spawn(move || serve_blocking(&subscriber, handler))
            .map_err(|_| Error::NoThread)?;
        Ok(registration)
    }

    /// Adds a handler that runs inside the publisher's call, before the message is queued for any other
    /// subscriber. Handlers with a higher priority run first. The publisher waits for it, so it should take
    /// microseconds. Queue options are ignored.
    pub fn handle_inline<F>(
        &self,
        options: SubscriberOptions,
        priority: i32,
        handler: F,
    ) -> Result<Registration, Error>
    where
        F: Fn(&M) -> Result<(), HandlerError> + Send + Sync + 'static,
    {
        let handler: InlineHandler<M> = Box::new(handler);
        let (_, registration) = self.join(options, |subscriber| {
            Some(Arc::new(Inline {
                subscriber: Arc::clone(subscriber),
                priority,
                handler,
            }))
        })?;
        Ok(registration)
    }

    fn join(
        &self,
        options: SubscriberOptions,
        inline: impl FnOnce(&Arc<Subscriber<M>>) -> Option<Arc<Inline<M>>>,
    ) -> Result<(Arc<Subscriber<M>>, Registration), Error> {
        let mut changes = self.shared.changing();
        if self.shared.stopped.load(Ordering::SeqCst) {
            return Err(Error::Stopped);
        }
        let routes = self.shared.routes.load();
        if routes.everybody.len() >= SUBSCRIBERS_MAX {
            return Err(Error::TooMany);
        }
        let id = changes.subscribers;
        changes.subscribers += 1;
        let subscriber = Arc::new(Subscriber::new(id, options));
        let mut everybody = routes.everybody.clone();
        everybody.push(Arc::clone(&subscriber));
        let mut handlers = routes.inline.clone();
        handlers.extend(inline(&subscriber));
        self.shared
            .routes
            .store(Arc::new(Routes::new(everybody, handlers)));
        let shared = Arc::downgrade(&self.shared);
        let registration = Registration {
            leave: Box::new(move || {
                if let Some(shared) = Weak::upgrade(&shared) {
                    shared.leave(id);
                }
            }),
        };
        Ok((subscriber, registration))
    }

    /// Delivers a message to all subscribers of its kind. Waits for subscribers whose queue is full and whose
    /// rule is [`Overflow::Wait`](crate::Overflow::Wait). Each subscriber gets the messages of one publisher in
    /// the order they were published. If the future is dropped, the message is dropped, and counted as such,
    /// for the subscribers it was still waiting for.
    pub async fn publish(&self, message: M) -> Result<(), Error> {
        let publication = self.begin()?;
        let message = Arc::new(message);
        for subscriber in self.give(&message) {
            subscriber.offer_waiting(&message).await;
        }
        drop(publication);
        Ok(())
    }

    /// Like [`Bus::publish`], but never waits: instead of waiting for a subscriber, it drops the message for it
    /// and counts that. Can be called from any thread.
    pub fn try_publish(&self, message: M) -> Result<(), Error> {
        let publication = self.begin()?;
        for subscriber in self.give(&Arc::new(message)) {
            add(&subscriber.counters.dropped, 1);
        }
        drop(publication);
        Ok(())
    }

    fn begin(&self) -> Result<Publication<'_>, Error> {
        // Counted before `stopped` is read: `drain` sets `stopped`, then waits until `begun` equals `ended`.
        self.shared.begun.fetch_add(1, Ordering::SeqCst);
        let publication = Publication(&self.shared.ended);
        if self.shared.stopped.load(Ordering::SeqCst) {
            self.shared.refused.fetch_add(1, Ordering::SeqCst);
            return Err(Error::Stopped);
        }
        Ok(publication)
    }

    /// Delivers a message to all subscribers that have room, and returns the others, which must be waited for.
    fn give(&self, message: &Arc<M>) -> Vec<Arc<Subscriber<M>>> {
        let routes = self.shared.routes.load();
        let kind = message.kind();
        for inline in &routes.inline {
            if inline.subscriber.kinds.take(kind) {
                run_inline(inline, message);
            }
        }
        let full = routes.queued(kind).filter(|one| !one.offer(message));
        full.cloned().collect()
    }

    /// Whether there are any subscribers.
    pub fn has_subscribers(&self) -> bool {
        !self.shared.routes.load().everybody.is_empty()
    }

    /// Rejects new messages, waits up to `limit` until all accepted messages were handled or received, and then
    /// stops the bus. Returns the number of messages discarded, which is 0 if the time sufficed.
    pub async fn drain(&self, limit: Duration) -> u64 {
        self.shared.stopped.store(true, Ordering::SeqCst);
        let deadline = Instant::now() + limit;
        let done = async {
            let shared = &self.shared;
            while shared.begun.load(Ordering::SeqCst) != shared.ended.load(Ordering::SeqCst) {
                tokio::time::sleep(DRAIN_POLL).await;
            }
            let routes = self.shared.routes.load_full();
            for subscriber in &routes.everybody {
                poll_fn(|context| subscriber.queue.poll_idle(context)).await;
            }
        };
        // A time-out needs no handling: the result counts the discarded messages.
        let _ = tokio::time::timeout_at(deadline, done).await;
        self.stop()
    }

    /// Rejects new messages, ends all subscriptions and handlers, and discards queued messages. Returns how
    /// many were discarded. A handler that is running continues to its end or its time limit.
    pub fn stop(&self) -> u64 {
        let _changes = self.shared.changing();
        let discarded = |routes: &Routes<M>| -> u64 {
            let each = routes.everybody.iter();
            each.map(|one| get(&one.counters.discarded)).sum()
        };
        let routes = self.shared.routes.load();
        let before = discarded(&routes);
        self.shared.close_all();
        discarded(&routes) - before
    }

    /// The current statistics.
    pub fn statistics(&self) -> Statistics {
        let changes = self.shared.changing();
        let mut statistics = changes.left.clone();
        let routes = self.shared.routes.load();
        for subscriber in &routes.everybody {
            subscriber.counters.add_to(&mut statistics);
        }
        statistics.published = get(&self.shared.begun).saturating_sub(get(&self.shared.refused));
        let each = routes.everybody.iter();
        statistics.subscribers = each.map(|one| one.statistics()).collect();
        statistics
    }
}

fn run_inline<M>(inline: &Inline<M>, message: &M) {
    let subscriber = &*inline.subscriber;
    if !subscriber.breaker.admits() {
        add(&subscriber.counters.skipped, 1);
        return;
    }
    let start = Instant::now();
    let result = catch_unwind(AssertUnwindSafe(|| (inline.handler)(message)));
    let time = start.elapsed();
    subscriber.counters.took(&[time]);
    note(
        subscriber,
        timed(subscriber, time, HandlerOutcome::of(result)),
    );
}

/// A publication in progress.
struct Publication<'a>(&'a AtomicU64);

impl Drop for Publication<'_> {
    fn drop(&mut self) {
        self.0.fetch_add(1, Ordering::SeqCst);
    }
}

/// Keeps a handler subscribed. Dropping it unsubscribes the handler.
#[must_use = "dropping it unsubscribes"]
pub struct Registration {
    leave: Box<dyn Fn() + Send + Sync>,
}

impl Registration {
    /// Ends the subscription. Later messages are not handled, and queued ones are discarded and counted. A
    /// handler that is running continues to its end.
    pub fn unsubscribe(self) {
        drop(self);
    }
}

impl Drop for Registration {
    fn drop(&mut self) {
        (self.leave)();
    }
}

impl fmt::Debug for Registration {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Registration").finish_non_exhaustive()
    }
}

/// Receives messages at the subscriber's own pace. Dropping it unsubscribes.
#[derive(Debug)]
pub struct Subscription<M: Message> {
    subscriber: Arc<Subscriber<M>>,
    _registration: Registration,
}

impl<M: Message> Subscription<M> {
    /// Waits for the next message; `None` once the bus has stopped. Cancel-safe.
    pub async fn recv(&mut self) -> Option<Arc<M>> {
        let mut one = Vec::with_capacity(1);
        self.recv_many(&mut one, 1).await;
        one.pop()
    }

    /// Waits for at least one message and then takes all that are queued, up to `max`. Returns how many; 0 once
    /// the bus has stopped. Cancel-safe.
    pub async fn recv_many(&mut self, messages: &mut Vec<Arc<M>>, max: usize) -> usize {
        let before = messages.len();
        let queue = &self.subscriber.queue;
        poll_fn(|context| queue.poll_take(context, messages, max.max(1), false)).await;
        let count = messages.len() - before;
        add(
            &self.subscriber.counters.delivered,
            u64::try_from(count).unwrap_or(u64::MAX),
        );
        count
    }

    /// The number of messages dropped for this subscriber so far. If it has grown, there is a gap at or after
    /// the next message.
    pub fn dropped(&self) -> u64 {
        get(&self.subscriber.counters.dropped)
    }

    /// The current statistics of this subscriber.
    pub fn statistics(&self) -> SubscriberStatistics {
        self.subscriber.statistics()
    }
}
