//! Limits the memory for data that waits to be sent, over all clients.
//!
//! Data prepared for a client that does not read stays in memory. So everything prepared reserves its bytes here
//! first and releases them once it was sent. Each client holds at most one page ([`crate::feed`]) or one response,
//! and all clients together at most [`RESERVED_MAX`]. When that is reached, others wait, and connections that have
//! received nothing for a while are closed ([`SendBudget::is_contended`]), so that slow clients do not block fast
//! ones.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use bytes::Bytes;
use journeyman_event::{Event, Sequence};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// The most bytes waiting to be sent to all clients together.
pub(crate) const RESERVED_MAX: usize = 128 << 20;
/// The most pages that were read from the store and are not reserved yet.
const READING_MAX: usize = 16;
/// The most requests that wait with data already prepared. Further ones are told to retry.
const WAITING_MAX: usize = 64;
/// The most bytes of events that are shared between clients that receive them.
const SHARED_MAX: usize = 32 << 20;
/// Smaller events are not shared.
const SHARED_MIN: usize = 16 << 10;

/// The budget of bytes waiting to be sent. Clones share it.
#[derive(Clone)]
pub(crate) struct SendBudget(Arc<Inside>);

struct Inside {
    bytes: Arc<Semaphore>,
    reading: Arc<Semaphore>,
    waiting: AtomicUsize,
    /// How many of them have data already prepared.
    waiting_built: AtomicUsize,
    /// The large events sent most recently, the newest last.
    shown: Mutex<Shown>,
}

#[derive(Default)]
struct Shown {
    events: VecDeque<Event>,
    bytes: usize,
}

/// Reserved bytes, released when dropped.
#[derive(Debug)]
pub(crate) struct Reservation(#[allow(dead_code)] OwnedSemaphorePermit); // what it does is to be dropped

impl Reservation {
    /// Bytes that keep the reservation until the last piece of them was dropped.
    pub(crate) fn attach(held: &Arc<Self>, bytes: Bytes) -> Bytes {
        struct Kept(Bytes, #[allow(dead_code)] Arc<Reservation>);
        impl AsRef<[u8]> for Kept {
            fn as_ref(&self) -> &[u8] {
                &self.0
            }
        }
        Bytes::from_owner(Kept(bytes, Arc::clone(held)))
    }
}

/// Counts a waiting request.
struct Waiting<'a>(&'a AtomicUsize);

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

impl SendBudget {
    pub(crate) fn new() -> Self {
        Self::of(RESERVED_MAX)
    }

    fn of(bytes: usize) -> Self {
        Self(Arc::new(Inside {
            bytes: Arc::new(Semaphore::new(bytes)),
            reading: Arc::new(Semaphore::new(READING_MAX)),
            waiting: AtomicUsize::new(0),
            waiting_built: AtomicUsize::new(0),
            shown: Mutex::default(),
        }))
    }

    /// A permit to read something from the store before its size is reserved.
    pub(crate) async fn read_permit(&self) -> Option<OwnedSemaphorePermit> {
        Arc::clone(&self.0.reading).acquire_owned().await.ok()
    }

    /// Reserves this many bytes, waiting until there is room. Requests for more than the whole budget get all
    /// of it.
    pub(crate) async fn reserve(&self, bytes: usize) -> Option<Reservation> {
        let wanted = u32::try_from(bytes.min(RESERVED_MAX)).unwrap_or(u32::MAX);
        let all = &self.0.bytes;
        if let Ok(permit) = Arc::clone(all).try_acquire_many_owned(wanted) {
            return Some(Reservation(permit));
        }
        self.0.waiting.fetch_add(1, Ordering::Relaxed);
        let _waiting = Waiting(&self.0.waiting);
        let permit = Arc::clone(all).acquire_many_owned(wanted).await;
        permit.ok().map(Reservation)
    }

    /// The same for data that is already prepared. `None` if too many requests are waiting with such data.
    pub(crate) async fn reserve_built(&self, bytes: usize) -> Option<Reservation> {
        let made = &self.0.waiting_built;
        let others = made.fetch_add(1, Ordering::Relaxed);
        let _made = Waiting(made);
        if others >= WAITING_MAX {
            return None;
        }
        self.reserve(bytes).await
    }

    /// Whether anyone is waiting for room.
    pub(crate) fn is_contended(&self) -> bool {
        self.0.waiting.load(Ordering::Relaxed) > 0
    }

    /// The event, using the bytes of an equal event that was sent to another client recently.
    pub(crate) fn share(&self, event: Event) -> Event {
        let size = weight(&event);
        if size < SHARED_MIN {
            return event;
        }
        let mut shown = self.0.shown.lock().unwrap_or_else(PoisonError::into_inner);
        let is_it = |known: &&Event| same(known, event.sequence());
        if let Some(known) = shown.events.iter().find(is_it) {
            return known.clone();
        }
        shown.bytes += size;
        shown.events.push_back(event.clone());
        while shown.bytes > SHARED_MAX
            && let Some(oldest) = shown.events.pop_front()
        {
            shown.bytes -= weight(&oldest);
        }
        event
    }
}

fn same(known: &Event, sequence: Sequence) -> bool {
    known.sequence() == sequence
}

/// The memory an event takes: its line and its parsed form.
pub(crate) fn weight(event: &Event) -> usize {
    2 * event.line().len()
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn bytes_are_held_until_the_last_piece_of_them_is_gone() {
        let send_budget = SendBudget::of(100);
        let held = Arc::new(send_budget.reserve(100).await.unwrap());
        let bytes = Reservation::attach(&held, Bytes::from_static(b"what waits"));
        drop(held);
        let piece = bytes.slice(2..4);
        drop(bytes);
        let next = tokio::spawn({
            let send_budget = send_budget.clone();
            async move { send_budget.reserve(1).await.is_some() }
        });
        while !send_budget.is_contended() {
            tokio::task::yield_now().await;
        }
        drop(piece);
        assert!(next.await.unwrap());
        assert!(!send_budget.is_contended());
    }

    #[tokio::test]
    async fn who_has_made_something_does_not_wait_behind_too_many() {
        let send_budget = SendBudget::of(1);
        let held = send_budget.reserve(1).await.unwrap();
        let mut waiting = Vec::new();
        for _ in 0..WAITING_MAX {
            let send_budget = send_budget.clone();
            waiting.push(tokio::spawn(async move {
                send_budget.reserve_built(1).await.is_some()
            }));
        }
        while send_budget.0.waiting.load(Ordering::Relaxed) < WAITING_MAX {
            tokio::task::yield_now().await;
        }
        assert!(send_budget.reserve_built(1).await.is_none());
        drop(held);
        for one in waiting {
            assert!(one.await.unwrap());
        }
    }
}
