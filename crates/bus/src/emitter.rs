//! Telling others what happens, for code that does not care who listens.

use std::fmt;
use std::future::Future;
use std::sync::Arc;

use jiff::Timestamp;
use uuid::Uuid;

use crate::{Bus, Message};

tokio::task_local! {
    static CONTEXT: Context;
}

/// On whose behalf code runs.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Context {
    /// The request, if it is one's.
    pub request_id: Option<Arc<str>>,
    /// The task, if it is one's.
    pub task_id: Option<Arc<str>>,
}

impl Context {
    /// That of the running code; empty outside of [`Context::scope`].
    pub fn current() -> Self {
        CONTEXT.try_with(Clone::clone).unwrap_or_default()
    }

    /// Runs a future on this behalf. What it spawns does not take it over.
    pub async fn scope<F: Future>(self, future: F) -> F::Output {
        CONTEXT.scope(self, future).await
    }
}

/// Where ids and the time come from.
pub trait Stamp: Send + Sync {
    /// An id that was not given before.
    fn id(&self) -> Uuid;
    /// The time.
    fn now(&self) -> Timestamp;
}

/// A message with when and on whose behalf it was sent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Emitted<M> {
    /// Its own.
    pub id: Uuid,
    /// When.
    pub at: Timestamp,
    /// On whose behalf.
    pub context: Context,
    /// What.
    pub message: M,
}

impl<M: Message> Message for Emitted<M> {
    fn kind(&self) -> &str {
        self.message.kind()
    }
}

/// Sends messages and never waits or fails. A clone is cheap and the same.
pub struct Emitter<M: Message> {
    bus: Bus<Emitted<M>>,
    stamp: Arc<dyn Stamp>,
}

impl<M: Message> Clone for Emitter<M> {
    fn clone(&self) -> Self {
        Self {
            bus: self.bus.clone(),
            stamp: Arc::clone(&self.stamp),
        }
    }
}

impl<M: Message> fmt::Debug for Emitter<M> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Emitter").finish_non_exhaustive()
    }
}

impl<M: Message> Emitter<M> {
    /// An emitter to this bus.
    pub fn new(bus: Bus<Emitted<M>>, stamp: Arc<dyn Stamp>) -> Self {
        Self { bus, stamp }
    }

    /// Sends what `message` makes. It is not made when nobody is subscribed; after the bus has
    /// stopped it is lost.
    pub fn emit(&self, message: impl FnOnce() -> M) {
        if !self.bus.has_subscribers() {
            return;
        }
        let emitted = Emitted {
            id: self.stamp.id(),
            at: self.stamp.now(),
            context: Context::current(),
            message: message(),
        };
        // The only error is that the bus has stopped: then nobody listens any more.
        let _ = self.bus.try_publish(emitted);
    }
}
