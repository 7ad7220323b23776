//! How much waits to get out, over all clients together.
//!
//! A client that does not read keeps what was made for it. So everything that is made takes its bytes
//! here first and gives them back when it has left this program: each client holds one page at the most
//! ([`crate::feed`]) or one answer, and all together no more than [`RESERVED_MAX`]. Where that is reached,
//! others wait; then who has taken nothing for a moment is let go ([`SendBudget::is_contended`]), so that who
//! reads does not wait for who does not.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use bytes::Bytes;
use journeyman_event::{Event, Sequence};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// Bytes that may wait for all clients together.
pub(crate) const RESERVED_MAX: usize = 128 << 20;
/// Pages that are read from the store and not yet counted among those bytes.
const READING_MAX: usize = 16;
/// Those who wait for bytes with what they have made already; further ones are told to come again.
const WAITING_MAX: usize = 64;
/// Events whose bytes are shared by all who are shown them, in bytes.
const SHARED_MAX: usize = 32 << 20;
/// Smaller ones are not worth looking for.
const SHARED_MIN: usize = 16 << 10;

/// The bytes that wait to get out. Clones are the same room.
#[derive(Clone)]
pub(crate) struct SendBudget(Arc<Inside>);

struct Inside {
    bytes: Arc<Semaphore>,
    reading: Arc<Semaphore>,
    waiting: AtomicUsize,
    /// Of these, who have made something already.
    waiting_built: AtomicUsize,
    /// Large events that were shown last, the newest at the end.
    shown: Mutex<Shown>,
}

#[derive(Default)]
struct Shown {
    events: VecDeque<Event>,
    bytes: usize,
}

/// Bytes that wait to get out; dropped when they have.
#[derive(Debug)]
pub(crate) struct Reservation(#[allow(dead_code)] OwnedSemaphorePermit); // what it does is to be dropped

impl Reservation {
    /// The same bytes, which keep what they hold as long as a piece of them is there.
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

/// Counts one who waits.
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

    /// A place among those who read something from the store that is not counted yet.
    pub(crate) async fn read_permit(&self) -> Option<OwnedSemaphorePermit> {
        Arc::clone(&self.0.reading).acquire_owned().await.ok()
    }

    /// So many bytes, as soon as there is room for them. More than all is all.
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

    /// The same for something that is made already: none where too many wait with such a thing.
    pub(crate) async fn reserve_built(&self, bytes: usize) -> Option<Reservation> {
        let made = &self.0.waiting_built;
        let others = made.fetch_add(1, Ordering::Relaxed);
        let _made = Waiting(made);
        if others >= WAITING_MAX {
            return None;
        }
        self.reserve(bytes).await
    }

    /// Whether somebody waits for what others hold.
    pub(crate) fn is_contended(&self) -> bool {
        self.0.waiting.load(Ordering::Relaxed) > 0
    }

    /// The same event, and where it was shown to others lately, its very bytes.
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

/// What an event takes: its line, and what was read from it.
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
