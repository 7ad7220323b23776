//! Sends messages with an id, a time and a context, for code that does not depend on whether anyone subscribes.

use std::fmt;
use std::future::Future;
use std::sync::Arc;

use jiff::Timestamp;
use uuid::Uuid;

use crate::{Bus, Message};

tokio::task_local! {
    static CONTEXT: Context;
}

/// The request and task on whose behalf code is running.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Context {
    /// The id of the request, if there is one.
    pub request_id: Option<Arc<str>>,
    /// The id of the task, if there is one.
    pub task_id: Option<Arc<str>>,
}

impl Context {
    /// The context of the running code; empty outside [`Context::scope`].
    pub fn current() -> Self {
        CONTEXT.try_with(Clone::clone).unwrap_or_default()
    }

    /// Runs a future in this context. Tasks that it spawns do not inherit the context.
    pub async fn scope<F: Future>(self, future: F) -> F::Output {
        CONTEXT.scope(self, future).await
    }
}

/// A source of ids and times.
pub trait Stamp: Send + Sync {
    /// Returns a new unique id.
    fn id(&self) -> Uuid;
    /// Returns the current time.
    fn now(&self) -> Timestamp;
}

/// A message with its id, time and context.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Emitted<M> {
    /// The unique id of this emission.
    pub id: Uuid,
    /// When the message was sent.
    pub at: Timestamp,
    /// The context it was sent in.
    pub context: Context,
    /// The message itself.
    pub message: M,
}

impl<M: Message> Message for Emitted<M> {
    fn kind(&self) -> &str {
        self.message.kind()
    }
}

/// Sends messages without ever waiting or failing. Clones are cheap and equivalent.
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
    /// An emitter that sends to `bus`.
    pub fn new(bus: Bus<Emitted<M>>, stamp: Arc<dyn Stamp>) -> Self {
        Self { bus, stamp }
    }

    /// Builds a message with `message` and sends it. The message is not built if the bus has no subscribers,
    /// and is lost if the bus has stopped.
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
        // The only possible error is a stopped bus, which has no subscribers.
        let _ = self.bus.try_publish(emitted);
    }
}
