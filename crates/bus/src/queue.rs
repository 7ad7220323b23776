//! The bounded queue of one subscriber: many publishers, one consumer.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};

use crate::Overflow;

#[derive(Debug)]
pub(crate) struct Queue<M> {
    capacity: usize,
    overflow: Overflow,
    /// Set once and never reset. A handler reads it between two messages without taking the lock.
    closed: AtomicBool,
    inner: Mutex<Inner<M>>,
}

#[derive(Debug)]
struct Inner<M> {
    messages: VecDeque<Arc<M>>,
    open: bool,
    /// Whether the consumer is still working on the messages it took last.
    busy: bool,
    depth_max: usize,
    /// The consumer, if it is waiting.
    taker: Option<Waker>,
    /// Publishers waiting for room, each task at most once.
    publishers: Vec<Waker>,
    /// Tasks waiting until the queue is empty and the consumer is idle.
    idle: Vec<Waker>,
}

/// The result of offering a message.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Offer {
    /// The message was queued.
    Queued,
    /// The message, or the oldest one in its place, was dropped.
    Dropped,
    /// The queue is full and the rule is to wait.
    Full,
    /// The subscriber has unsubscribed.
    Closed,
}

fn wake(waiting: Vec<Waker>) {
    waiting.into_iter().for_each(Waker::wake);
}

fn remember(waiting: &mut Vec<Waker>, waker: &Waker) {
    if !waiting.iter().any(|other| other.will_wake(waker)) {
        waiting.push(waker.clone());
    }
}

impl<M> Queue<M> {
    pub(crate) fn new(capacity: usize, overflow: Overflow) -> Self {
        Self {
            capacity,
            overflow,
            closed: AtomicBool::new(false),
            inner: Mutex::new(Inner {
                messages: VecDeque::new(),
                open: true,
                busy: false,
                depth_max: 0,
                taker: None,
                publishers: Vec::new(),
                idle: Vec::new(),
            }),
        }
    }

    fn lock(&self) -> MutexGuard<'_, Inner<M>> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Queues a message if there is room or the rule makes room.
    pub(crate) fn offer(&self, message: &Arc<M>) -> Offer {
        let mut inner = self.lock();
        if !inner.open {
            return Offer::Closed;
        }
        // Its destructor is not ours to run under the lock.
        let mut oldest = None;
        if inner.messages.len() >= self.capacity {
            match self.overflow {
                Overflow::Wait => return Offer::Full,
                Overflow::DropNewest => return Offer::Dropped,
                Overflow::DropOldest => oldest = inner.messages.pop_front(),
            }
        }
        inner.messages.push_back(Arc::clone(message));
        inner.depth_max = inner.depth_max.max(inner.messages.len());
        let taker = inner.taker.take();
        drop(inner);
        if let Some(taker) = taker {
            taker.wake();
        }
        if oldest.is_some() {
            Offer::Dropped
        } else {
            Offer::Queued
        }
    }

    /// Like [`Queue::offer`], but if the queue is full, registers the caller to be woken when there may be
    /// room.
    pub(crate) fn poll_offer(&self, context: &Context<'_>, message: &Arc<M>) -> Poll<Offer> {
        match self.offer(message) {
            Offer::Full => {}
            done => return Poll::Ready(done),
        }
        let mut inner = self.lock();
        if inner.open && inner.messages.len() >= self.capacity {
            remember(&mut inner.publishers, context.waker());
            return Poll::Pending;
        }
        drop(inner);
        // Room came between the two looks.
        context.waker().wake_by_ref();
        Poll::Pending
    }

    /// Moves up to `max` messages to `taken`, in order. Returns false once the queue is closed, which is final.
    /// If `works` is set, the consumer counts as busy until its next call.
    pub(crate) fn poll_take(
        &self,
        context: &Context<'_>,
        taken: &mut Vec<Arc<M>>,
        max: usize,
        works: bool,
    ) -> Poll<bool> {
        let mut inner = self.lock();
        if inner.messages.is_empty() {
            inner.busy = false;
            let idle = std::mem::take(&mut inner.idle);
            let open = inner.open;
            if open {
                inner.taker = Some(context.waker().clone());
            }
            drop(inner);
            wake(idle);
            return if open {
                Poll::Pending
            } else {
                Poll::Ready(false)
            };
        }
        let count = inner.messages.len().min(max);
        taken.extend(inner.messages.drain(..count));
        inner.busy = works;
        let publishers = std::mem::take(&mut inner.publishers);
        let idle = if inner.messages.is_empty() && !works {
            std::mem::take(&mut inner.idle)
        } else {
            Vec::new()
        };
        drop(inner);
        wake(publishers);
        wake(idle);
        Poll::Ready(true)
    }

    /// Ready when no message is queued and the consumer is idle, or when the queue is closed.
    pub(crate) fn poll_idle(&self, context: &Context<'_>) -> Poll<()> {
        let mut inner = self.lock();
        if !inner.open || (inner.messages.is_empty() && !inner.busy) {
            return Poll::Ready(());
        }
        remember(&mut inner.idle, context.waker());
        Poll::Pending
    }

    /// Closes the queue for good and returns the number of messages discarded.
    pub(crate) fn close(&self) -> usize {
        let mut inner = self.lock();
        inner.open = false;
        self.closed.store(true, Ordering::Release);
        let messages = std::mem::take(&mut inner.messages);
        let mut waiting = std::mem::take(&mut inner.publishers);
        waiting.append(&mut inner.idle);
        waiting.extend(inner.taker.take());
        drop(inner);
        wake(waiting);
        messages.len()
    }

    pub(crate) fn is_open(&self) -> bool {
        !self.closed.load(Ordering::Acquire)
    }

    /// The number of queued messages, now and at most so far.
    pub(crate) fn depth(&self) -> (usize, usize) {
        let inner = self.lock();
        (inner.messages.len(), inner.depth_max)
    }
}
