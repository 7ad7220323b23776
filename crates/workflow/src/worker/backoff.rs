//! Waiting times between attempts.

use std::sync::Arc;
use std::time::Duration;

use journeyman_event::Randomness;
use journeyman_event::payload::PauseReason;
use tokio::time::Instant;

/// The first waiting time before the model server is called again, and the longest one while it is unreachable.
pub(super) const MODEL_RETRY_FIRST: Duration = Duration::from_millis(500);
pub(super) const MODEL_RETRY_MAX: Duration = Duration::from_secs(10);
/// The longest waiting time between calls of a server that responds but fails while generating.
const MODEL_REST_MAX: Duration = Duration::from_mins(1);
/// The first waiting time after a shortage.
const SHORTAGE_FIRST: Duration = Duration::from_secs(1);
const SHORTAGE_MAX: Duration = Duration::from_secs(30);

/// A waiting time during which other effects continue.
pub(super) struct Delay {
    pub(super) reason: PauseReason,
    /// What happened, and what would help.
    pub(super) problem: String,
    /// Until when nothing new is started.
    pub(super) until: Instant,
}

pub(super) struct Backoff {
    /// The waiting time before the next call.
    call: Duration,
    /// The waiting time that the model server asked for.
    asked: Duration,
    /// The waiting time before the next step after a shortage.
    more: Duration,
    delay: Option<Delay>,
    randomness: Arc<dyn Randomness>,
}

impl Backoff {
    pub(super) fn new(randomness: Arc<dyn Randomness>) -> Self {
        Self {
            call: MODEL_RETRY_FIRST,
            asked: Duration::ZERO,
            more: SHORTAGE_FIRST,
            delay: None,
            randomness,
        }
    }

    /// Resets the waiting time after a successful call.
    pub(super) fn reset_calls(&mut self) {
        self.call = MODEL_RETRY_FIRST;
    }

    /// Resets the waiting time after a step without a shortage.
    pub(super) fn reset_shortage(&mut self) {
        self.more = SHORTAGE_FIRST;
    }

    /// Starts nothing new for at least this long.
    pub(super) fn delay(&mut self, reason: PauseReason, problem: String, wait: Duration) {
        let rest = match reason {
            PauseReason::Shortage => self.jittered(self.more),
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

    /// The delay during which nothing new is started, if there is one.
    pub(super) fn current(&self) -> Option<&Delay> {
        self.delay.as_ref()
    }

    /// Allows new effects again.
    pub(super) fn clear(&mut self) {
        if let Some(delay) = self.delay.take() {
            match delay.reason {
                PauseReason::Shortage => self.lengthen_shortage_delay(),
                _ => self.lengthen_call_delay(),
            }
        }
    }

    /// Ends the delay because no other effect is in progress any more: the whole task waits for the rest of it.
    pub(super) fn became_a_pause(&mut self) {
        if let Some(delay) = self.delay.take()
            && delay.reason != PauseReason::Shortage
        {
            self.asked = delay.until.saturating_duration_since(Instant::now());
        }
    }

    /// How long to wait before the next call.
    pub(super) fn next_call_delay(&mut self) -> Duration {
        let rest = self.call.max(std::mem::take(&mut self.asked));
        self.lengthen_call_delay();
        rest
    }

    /// How long to wait before the next step after a shortage.
    pub(super) fn next_shortage_delay(&mut self) -> Duration {
        let rest = self.jittered(self.more);
        self.lengthen_shortage_delay();
        rest
    }

    /// Between half of the time and all of it, at random: tasks that ran short together would otherwise try again
    /// together, and run short again ("equal jitter", AWS Architecture Blog, Exponential Backoff And Jitter, 2015).
    fn jittered(&self, time: Duration) -> Duration {
        let half = time / 2;
        let millis = u64::try_from(half.as_millis()).unwrap_or(u64::MAX).max(1);
        half + Duration::from_millis(self.randomness.next_u64() % millis)
    }

    fn lengthen_call_delay(&mut self) {
        self.call = (2 * self.call).min(MODEL_REST_MAX);
    }

    fn lengthen_shortage_delay(&mut self) {
        self.more = (2 * self.more).min(SHORTAGE_MAX);
    }
}
