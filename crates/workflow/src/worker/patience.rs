//! How long it takes until something is tried again that came to nothing.

use std::time::Duration;

use journeyman_event::payload::PauseReason;
use tokio::time::Instant;

/// Before the model server is asked again, at first; and at the most while it cannot be reached.
pub(super) const MODEL_RETRY_FIRST: Duration = Duration::from_millis(500);
pub(super) const MODEL_RETRY_MAX: Duration = Duration::from_secs(10);
/// Between two calls of a server that answers questions about itself and fails at its work.
const MODEL_REST_MAX: Duration = Duration::from_mins(1);
/// Before a step is tried again for which something was short.
const SHORTAGE_FIRST: Duration = Duration::from_secs(1);
const SHORTAGE_MAX: Duration = Duration::from_secs(30);

/// Something has to wait, and other effects go on.
pub(super) struct Held {
    pub(super) reason: PauseReason,
    /// What happened, and what would help.
    pub(super) problem: String,
    until: Instant,
}

pub(super) struct Patience {
    /// Before the next call.
    call: Duration,
    /// As long as the model server asked for.
    asked: Duration,
    /// Before the next step for which something was short.
    more: Duration,
    held: Option<Held>,
}

impl Default for Patience {
    fn default() -> Self {
        Self {
            call: MODEL_RETRY_FIRST,
            asked: Duration::ZERO,
            more: SHORTAGE_FIRST,
            held: None,
        }
    }
}

impl Patience {
    /// A call was answered.
    pub(super) fn answered(&mut self) {
        self.call = MODEL_RETRY_FIRST;
    }

    /// Nothing was short.
    pub(super) fn had_enough(&mut self) {
        self.more = SHORTAGE_FIRST;
    }

    /// Nothing new is to be begun for a while, and for so long at least.
    pub(super) fn hold(&mut self, reason: PauseReason, problem: String, wait: Duration) {
        let rest = match reason {
            PauseReason::Shortage => self.more,
            _ => self.call.max(wait),
        };
        let until = Instant::now() + rest;
        if self.held.as_ref().is_none_or(|held| held.until < until) {
            self.held = Some(Held {
                reason,
                problem,
                until,
            });
        }
    }

    /// Until when nothing new is to be begun.
    pub(super) fn held_until(&self) -> Option<Instant> {
        self.held.as_ref().map(|held| held.until)
    }

    /// Something new may be begun again.
    pub(super) fn release(&mut self) {
        if let Some(held) = self.held.take() {
            match held.reason {
                PauseReason::Shortage => self.lengthen_for_more(),
                _ => self.lengthen_for_call(),
            }
        }
    }

    /// Nothing goes on beside any more: what has to wait is the task's own rest now.
    pub(super) fn take_held(&mut self) -> Option<Held> {
        let held = self.held.take()?;
        if held.reason != PauseReason::Shortage {
            self.asked = held.until.saturating_duration_since(Instant::now());
        }
        Some(held)
    }

    /// How long to rest before the next call.
    pub(super) fn before_call(&mut self) -> Duration {
        let rest = self.call.max(std::mem::take(&mut self.asked));
        self.lengthen_for_call();
        rest
    }

    /// How long to rest before the next step for which something was short.
    pub(super) fn before_more(&mut self) -> Duration {
        let rest = self.more;
        self.lengthen_for_more();
        rest
    }

    fn lengthen_for_call(&mut self) {
        self.call = (2 * self.call).min(MODEL_REST_MAX);
    }

    fn lengthen_for_more(&mut self) {
        self.more = (2 * self.more).min(SHORTAGE_MAX);
    }
}
