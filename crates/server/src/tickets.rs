//! Short-lived tickets: what browsers put into a WebSocket's URL, where a token must not appear.

use std::collections::HashMap;
use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use journeyman_event::Randomness;
use tokio::time::Instant;

use crate::auth::Caller;

/// How long a ticket is valid.
pub(crate) const TICKET_TTL: Duration = Duration::from_secs(30);
/// The most valid tickets. If there are more, the oldest are revoked.
const TICKETS_MAX: usize = 10_000;

pub(crate) struct Tickets {
    randomness: Arc<dyn Randomness>,
    out: Mutex<HashMap<String, (Instant, Caller)>>,
}

impl Tickets {
    pub(crate) fn new(randomness: Arc<dyn Randomness>) -> Self {
        Self {
            randomness,
            out: Mutex::default(),
        }
    }

    /// 128 random bits in hexadecimal.
    pub(crate) fn random_hex(&self) -> String {
        let (high, low) = (self.randomness.next_u64(), self.randomness.next_u64());
        format!("{high:016x}{low:016x}")
    }

    pub(crate) fn issue(&self, caller: Caller) -> String {
        let ticket = self.random_hex();
        let mut out = self.out.lock().unwrap_or_else(PoisonError::into_inner);
        out.retain(|_, (given, _)| given.elapsed() < TICKET_TTL);
        if out.len() >= TICKETS_MAX {
            let oldest = out.iter().min_by_key(|(_, (given, _))| *given);
            if let Some(oldest) = oldest.map(|(ticket, _)| ticket.clone()) {
                out.remove(&oldest);
            }
        }
        out.insert(ticket.clone(), (Instant::now(), caller));
        ticket
    }

    /// Returns the caller of a ticket. A ticket can be used once.
    pub(crate) fn redeem(&self, ticket: &str) -> Option<Caller> {
        let mut out = self.out.lock().unwrap_or_else(PoisonError::into_inner);
        let (given, caller) = out.remove(ticket)?;
        (given.elapsed() < TICKET_TTL).then_some(caller)
    }
}

impl fmt::Debug for Tickets {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Tickets").finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use journeyman_event::SeededRandom;

    use super::*;

    fn tickets() -> Tickets {
        Tickets::new(Arc::new(SeededRandom::new(1)))
    }

    #[tokio::test(start_paused = true)]
    async fn a_ticket_is_good_once() {
        let tickets = tickets();
        let ticket = tickets.issue(Caller::of_port());
        assert!(tickets.redeem(&ticket).is_some());
        assert!(tickets.redeem(&ticket).is_none());
        assert!(tickets.redeem("another").is_none());
    }

    #[tokio::test(start_paused = true)]
    async fn a_ticket_is_good_for_30_seconds() {
        let tickets = tickets();
        let (in_time, too_late) = (
            tickets.issue(Caller::of_port()),
            tickets.issue(Caller::of_port()),
        );
        let moment = Duration::from_millis(1);
        tokio::time::advance(TICKET_TTL.saturating_sub(moment)).await;
        assert!(tickets.redeem(&in_time).is_some());
        tokio::time::advance(moment).await;
        assert!(tickets.redeem(&too_late).is_none());
    }

    #[tokio::test(start_paused = true)]
    async fn of_too_many_tickets_the_oldest_is_taken_back() {
        let tickets = tickets();
        let oldest = tickets.issue(Caller::of_port());
        tokio::time::advance(Duration::from_millis(1)).await;
        let next = tickets.issue(Caller::of_port());
        for _ in 2..=TICKETS_MAX {
            tickets.issue(Caller::of_port());
        }
        assert!(tickets.redeem(&oldest).is_none());
        assert!(tickets.redeem(&next).is_some());
    }
}
