//! The bus: who is subscribed, and the way of a message to them.

use std::collections::HashMap;
use std::fmt;
use std::future::{Future, poll_fn};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::Duration;

use arc_swap::ArcSwap;
use tokio::time::Instant;

use crate::handler::{Handled, HandlerError, note, serve, serve_blocking, timed};
use crate::options::{Kinds, SubscriberOptions};
use crate::statistics::{Statistics, SubscriberStatistics, add, get};
use crate::subscriber::Subscriber;

/// Subscribers of one bus at a time.
const SUBSCRIBERS_MAX: usize = 25_000;
/// How often a drain looks whether those who are publishing have finished.
const DRAIN_POLL: Duration = Duration::from_millis(1);

/// What a bus carries.
pub trait Message: Send + Sync + 'static {
    /// What subscribers choose by. Names with dots make prefixes useful: `task.started`.
    fn kind(&self) -> &str;
}

/// Why a bus refuses.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// It was stopped or drained.
    #[error("the bus has stopped")]
    Stopped,
    /// Too many are subscribed.
    #[error("the bus has {SUBSCRIBERS_MAX} subscribers already; let some unsubscribe")]
    TooMany,
    /// An async handler needs a runtime to run on.
    #[error("there is no tokio runtime here; subscribe an async handler from inside one")]
    NoRuntime,
    /// The system has no thread for a blocking handler.
    #[error("no thread could be started for a blocking handler")]
    NoThread,
}

type InlineHandler<M> = Box<dyn Fn(&M) -> Result<(), HandlerError> + Send + Sync>;

struct Inline<M> {
    subscriber: Arc<Subscriber<M>>,
    priority: i32,
    handler: InlineHandler<M>,
}

/// Everybody, by how a message finds them. Never changed: a change makes a new one.
struct Routes<M> {
    /// In the order in which they came.
    everybody: Vec<Arc<Subscriber<M>>>,
    /// The highest priority first, the earlier first among equals.
    inline: Vec<Arc<Inline<M>>>,
    /// Queued, and for every message.
    all: Vec<Arc<Subscriber<M>>>,
    /// Queued, by kind.
    exact: HashMap<String, Vec<Arc<Subscriber<M>>>>,
    /// Queued, by how a kind begins.
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
            let list = match &subscriber.kinds {
                Kinds::All => &mut routes.all,
                Kinds::Exact(kind) => routes.exact.entry(kind.clone()).or_default(),
                Kinds::Prefix(_) => &mut routes.prefix,
            };
            list.push(Arc::clone(subscriber));
        }
        routes.everybody = everybody;
        routes
    }

    /// The queued subscribers of a kind.
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
    /// Held while the routes are changed.
    changing: Mutex<Changes>,
    /// Publications that began, those that were refused, and those that ended.
    begun: AtomicU64,
    refused: AtomicU64,
    ended: AtomicU64,
    stopped: AtomicBool,
}

#[derive(Default)]
struct Changes {
    subscribers: u64,
    /// What those who have left had counted.
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

/// Publish and subscribe in one process. A clone is the same bus; it stops when the last is dropped.
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
    /// A bus that takes messages and has no subscribers yet.
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

    /// A subscriber that receives at its own speed. It gets every message that is published after
    /// this returned; so with the other kinds of subscribers.
    pub fn subscribe(&self, options: SubscriberOptions) -> Result<Subscription<M>, Error> {
        let (subscriber, registration) = self.join(options, |_| None)?;
        Ok(Subscription {
            subscriber,
            _registration: registration,
        })
    }

    /// An async handler, one message at a time, in a task of its own. It must not block its thread.
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

    /// A handler that may block, one message at a time, on a thread of its own.
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

    /// A handler that runs inside the publisher's call, before the message is queued for anybody:
    /// the highest priority first. The one kind that a publisher waits for, so it is for work of
    /// microseconds. Its queue options mean nothing.
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

    /// Gives a message to everybody who wants its kind, and waits for those whose rule is
    /// [`Overflow::Wait`](crate::Overflow::Wait) and whose queue is full. A publisher's messages
    /// reach each subscriber in the order in which they were published. Dropping the call drops the
    /// message for those who were still waited for; for them it is counted.
    pub async fn publish(&self, message: M) -> Result<(), Error> {
        let publication = self.begin()?;
        let message = Arc::new(message);
        for subscriber in self.give(&message) {
            subscriber.offer_waiting(&message).await;
        }
        drop(publication);
        Ok(())
    }

    /// Like [`Bus::publish`] without ever waiting: where it would, the message is dropped and
    /// counted. It may be called from any thread.
    pub fn try_publish(&self, message: M) -> Result<(), Error> {
        let publication = self.begin()?;
        for subscriber in self.give(&Arc::new(message)) {
            add(&subscriber.counters.dropped, 1);
        }
        drop(publication);
        Ok(())
    }

    fn begin(&self) -> Result<Publication<'_>, Error> {
        // Before the look at `stopped`: a drain sets that first, then waits for those who began.
        self.shared.begun.fetch_add(1, Ordering::SeqCst);
        let publication = Publication(&self.shared.ended);
        if self.shared.stopped.load(Ordering::SeqCst) {
            self.shared.refused.fetch_add(1, Ordering::SeqCst);
            return Err(Error::Stopped);
        }
        Ok(publication)
    }

    /// Gives a message to all who take it at once; the others are to be waited for.
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

    /// Whether anybody is subscribed.
    pub fn has_subscribers(&self) -> bool {
        !self.shared.routes.load().everybody.is_empty()
    }

    /// Refuses further messages and waits until all that was accepted is handled or received, at
    /// most for `limit`; then stops. How many messages were discarded: 0 if there was time enough.
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
        // Whether in time or not is in the count.
        let _ = tokio::time::timeout_at(deadline, done).await;
        self.stop()
    }

    /// Refuses further messages, ends all subscriptions and handlers, and discards what waits; how
    /// many messages that were. A handling under way goes on to its end or its time limit.
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

    /// All figures as they are now.
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
    note(subscriber, timed(subscriber, time, Handled::of(result)));
}

/// A publication under way.
struct Publication<'a>(&'a AtomicU64);

impl Drop for Publication<'_> {
    fn drop(&mut self) {
        self.0.fetch_add(1, Ordering::SeqCst);
    }
}

/// A handler's place on the bus: dropping it unsubscribes.
#[must_use = "dropping it unsubscribes"]
pub struct Registration {
    leave: Box<dyn Fn() + Send + Sync>,
}

impl Registration {
    /// Ends the subscription: nothing that is published from now on is handled, and what waits is
    /// discarded and counted. A handling under way goes on to its end.
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

/// Messages for one subscriber, to be received at its own speed. Dropping it unsubscribes.
#[derive(Debug)]
pub struct Subscription<M: Message> {
    subscriber: Arc<Subscriber<M>>,
    _registration: Registration,
}

impl<M: Message> Subscription<M> {
    /// The next message; none when the bus has stopped. Cancel-safe.
    pub async fn recv(&mut self) -> Option<Arc<M>> {
        let mut one = Vec::with_capacity(1);
        self.recv_many(&mut one, 1).await;
        one.pop()
    }

    /// Waits for a message and takes all that wait then, `max` at most; how many, 0 when the bus
    /// has stopped. Cancel-safe.
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

    /// How many messages were dropped for this subscriber so far. One who sees it grow has a gap
    /// before the next message at the earliest.
    pub fn dropped(&self) -> u64 {
        get(&self.subscriber.counters.dropped)
    }

    /// This subscriber in figures.
    pub fn statistics(&self) -> SubscriberStatistics {
        self.subscriber.statistics()
    }
}
