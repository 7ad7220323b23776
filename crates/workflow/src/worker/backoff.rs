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
pub(super) struct Delay {
    pub(super) reason: PauseReason,
    /// What happened, and what would help.
    pub(super) problem: String,
    until: Instant,
}

pub(super) struct Backoff {
    /// Before the next call.
    call: Duration,
    /// As long as the model server asked for.
    asked: Duration,
    /// Before the next step for which something was short.
    more: Duration,
    delay: Option<Delay>,
}

impl Default for Backoff {
    fn default() -> Self {
        Self {
            call: MODEL_RETRY_FIRST,
            asked: Duration::ZERO,
            more: SHORTAGE_FIRST,
            delay: None,
        }
    }
}

impl Backoff {
    /// A call was answered.
    pub(super) fn reset_calls(&mut self) {
        self.call = MODEL_RETRY_FIRST;
    }

    /// Nothing was short.
    pub(super) fn reset_shortage(&mut self) {
        self.more = SHORTAGE_FIRST;
    }

    /// Nothing new is to be begun for a while, and for so long at least.
    pub(super) fn delay(&mut self, reason: PauseReason, problem: String, wait: Duration) {
        let rest = match reason {
            PauseReason::Shortage => self.more,
            _ => self.call.max(wait),
        };
        let until = Instant::now() + rest;
        if self.delay.as_ref().is_none_or(|delay| delay.until < until) {
            self.delay = Some(Delay {
                reason,
                problem,
                until,
            });
        }
    }

    /// Until when nothing new is to be begun.
    pub(super) fn delayed_until(&self) -> Option<Instant> {
        self.delay.as_ref().map(|delay| delay.until)
    }

    /// Something new may be begun again.
    pub(super) fn clear(&mut self) {
        if let Some(delay) = self.delay.take() {
            match delay.reason {
                PauseReason::Shortage => self.lengthen_shortage_delay(),
                _ => self.lengthen_call_delay(),
            }
        }
    }

    /// Nothing goes on beside any more: what has to wait is the task's own rest now.
    pub(super) fn take_delay(&mut self) -> Option<Delay> {
        let delay = self.delay.take()?;
        if delay.reason != PauseReason::Shortage {
            self.asked = delay.until.saturating_duration_since(Instant::now());
        }
        Some(delay)
    }

    /// How long to rest before the next call.
    pub(super) fn next_call_delay(&mut self) -> Duration {
        let rest = self.call.max(std::mem::take(&mut self.asked));
        self.lengthen_call_delay();
        rest
    }

    /// How long to rest before the next step for which something was short.
    pub(super) fn next_shortage_delay(&mut self) -> Duration {
        let rest = self.more;
        self.lengthen_shortage_delay();
        rest
    }

    fn lengthen_call_delay(&mut self) {
        self.call = (2 * self.call).min(MODEL_REST_MAX);
    }

    fn lengthen_shortage_delay(&mut self) {
        self.more = (2 * self.more).min(SHORTAGE_MAX);
    }
}
