//! Slots for calls of the model server, which limit concurrent calls. They are not granted in order of arrival:
//! tasks without a slot go before those that want another one; among these, more urgent tasks go first, and within
//! a priority more urgent kinds of work.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use journeyman_context::Descriptor;
use journeyman_event::Priority;
use journeyman_event::payload::Purpose;
use tokio::sync::oneshot;

/// Slots at the model server. Clones share them.
#[derive(Clone)]
pub struct ModelSlots(Arc<Mutex<Places>>);

struct Places {
    /// The number of free slots; `None` if unlimited.
    free: Option<usize>,
    /// The number of slots that are taken.
    taken: usize,
    /// Waiting calls, the next one first.
    waiting: BTreeMap<Rank, oneshot::Sender<Slot>>,
    arrivals: u64,
}

/// The order of waiting calls: by the claim, then the task's priority, then the priority of the work, then
/// arrival.
type Rank = (Claim, Priority, Priority, u64);

/// Whether a task already has a slot when it asks for one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Claim {
    /// It has none: without a slot its work stops.
    First,
    /// It has another call in progress. Tasks without a slot go first.
    Further,
}

/// A slot, held until it is dropped.
pub(crate) struct Slot {
    /// The slots it belongs to; `None` once it was handed on.
    of: Option<ModelSlots>,
}

impl ModelSlots {
    /// Creates this many slots; `None` for no limit.
    pub fn new(calls: Option<usize>) -> Self {
        Self(Arc::new(Mutex::new(Places {
            free: calls.map(|calls| calls.max(1)),
            taken: 0,
            waiting: BTreeMap::new(),
            arrivals: 0,
        })))
    }

    fn places(&self) -> MutexGuard<'_, Places> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The number of calls waiting for a slot.
    pub fn waiting(&self) -> usize {
        let places = self.places();
        let waiting = places.waiting.values();
        waiting.filter(|sender| !sender.is_closed()).count()
    }

    /// The number of calls that have a slot.
    pub(crate) fn taken(&self) -> usize {
        self.places().taken
    }

    /// Waits for a slot. Dropping the future cancels the request.
    pub(crate) async fn take(&self, claim: Claim, task: Priority, purpose: Purpose) -> Slot {
        let waiting = {
            let mut places = self.places();
            match &mut places.free {
                Some(0) => {
                    let (sender, receiver) = oneshot::channel();
                    places.arrivals += 1;
                    let work = Descriptor::of(purpose).priority;
                    let rank = (claim, task, work, places.arrivals);
                    places.waiting.insert(rank, sender);
                    receiver
                }
                free => {
                    *free = free.map(|free| free - 1);
                    places.taken += 1;
                    return Slot {
                        of: Some(self.clone()),
                    };
                }
            }
        };
        // A sender is dropped only with all of the places.
        waiting.await.unwrap_or(Slot { of: None })
    }

    /// Hands a slot to the next call that is still waiting.
    fn pass_on(&self) {
        loop {
            let next = {
                let mut places = self.places();
                let Some((_, next)) = places.waiting.pop_first() else {
                    places.free = places.free.map(|free| free + 1);
                    places.taken -= 1;
                    return;
                };
                next
            };
            let slot = Slot {
                of: Some(self.clone()),
            };
            match next.send(slot) {
                Ok(()) => return,
                Err(mut slot) => slot.of = None, // who waited is gone
            }
        }
    }
}

impl Drop for Slot {
    fn drop(&mut self) {
        if let Some(slots) = self.of.take() {
            slots.pass_on();
        }
    }
}

impl fmt::Debug for ModelSlots {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut slots = f.debug_struct("ModelSlots");
        slots.field("waiting", &self.waiting()).finish()
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use futures_util::{FutureExt, pin_mut};

    use super::*;

    #[tokio::test]
    async fn the_more_urgent_task_is_next_and_in_it_the_more_urgent_work() {
        let slots = ModelSlots::new(Some(1));
        let held = slots
            .take(Claim::First, Priority::MEDIUM, Purpose::Code)
            .await;
        let order = Arc::new(Mutex::new(Vec::new()));
        let mut waiting = Vec::new();
        for (name, task, purpose) in [
            ("tests", Priority::MEDIUM, Purpose::Tests),
            ("code", Priority::MEDIUM, Purpose::Code),
            ("late code", Priority::MEDIUM, Purpose::Code),
            ("critical plan", Priority::CRITICAL, Purpose::Plan),
        ] {
            let (slots, order) = (slots.clone(), Arc::clone(&order));
            let call = async move {
                let _slot = slots.take(Claim::First, task, purpose).await;
                order.lock().unwrap().push(name);
            };
            let mut call = Box::pin(call);
            assert!((&mut call).now_or_never().is_none());
            waiting.push(call);
        }
        assert_eq!(slots.waiting(), 4);
        assert_eq!(slots.taken(), 1);
        drop(held);
        futures_util::future::join_all(waiting).await;
        assert_eq!(slots.taken(), 0);
        let order = order.lock().unwrap();
        assert_eq!(*order, ["critical plan", "code", "late code", "tests"]);
    }

    #[tokio::test]
    async fn who_gives_up_takes_no_place_and_loses_none() {
        let slots = ModelSlots::new(Some(1));
        let held = slots.take(Claim::First, Priority::LOW, Purpose::Fix).await;
        {
            let gone = slots.take(Claim::First, Priority::HIGH, Purpose::Fix);
            pin_mut!(gone);
            assert!(gone.as_mut().now_or_never().is_none());
        }
        {
            let given = slots.take(Claim::First, Priority::HIGH, Purpose::Fix);
            pin_mut!(given);
            assert!(given.as_mut().now_or_never().is_none());
            drop(held); // passed over who is gone, given to this one, which goes too
        }
        let again = slots.take(Claim::First, Priority::LOW, Purpose::Fix);
        assert!(again.now_or_never().is_some());
        assert_eq!(slots.waiting(), 0);
    }

    #[tokio::test]
    async fn without_a_bound_nobody_waits() {
        let slots = ModelSlots::new(None);
        let first = slots.take(Claim::First, Priority::LOW, Purpose::Fix).await;
        let second = slots.take(Claim::First, Priority::LOW, Purpose::Fix);
        let second = second.now_or_never().unwrap();
        assert_eq!(slots.taken(), 2);
        drop((first, second));
        assert_eq!(slots.taken(), 0);
    }

    #[tokio::test]
    async fn a_further_place_is_had_only_where_no_task_without_one_waits() {
        let slots = ModelSlots::new(Some(1));
        let held = slots
            .take(Claim::First, Priority::MEDIUM, Purpose::Code)
            .await;
        let further = slots.take(Claim::Further, Priority::CRITICAL, Purpose::Code);
        let first = slots.take(Claim::First, Priority::LOW, Purpose::Tests);
        pin_mut!(further, first);
        assert!(further.as_mut().now_or_never().is_none());
        assert!(first.as_mut().now_or_never().is_none());
        drop(held);
        assert!(further.as_mut().now_or_never().is_none());
        let got = first.as_mut().now_or_never();
        assert!(got.is_some());
        drop(got);
        assert!(further.now_or_never().is_some());
    }
}
