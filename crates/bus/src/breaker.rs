//! A circuit breaker for one handler (M. Nygard, "Release It!", 2007): closed, open after a number
//! of failures in a row, half open after a pause.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

/// Where a breaker stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BreakerState {
    /// Messages go through.
    Closed,
    /// Messages are skipped.
    Open,
    /// One message is on trial; the others are skipped.
    HalfOpen,
}

#[derive(Debug)]
pub(crate) struct Breaker {
    failures_max: u32,
    pause: Duration,
    /// Closed and without a failure: what is nearly always so is seen without the lock.
    sound: AtomicBool,
    inner: Mutex<Inner>,
}

#[derive(Debug)]
struct Inner {
    failures: u32,
    state: BreakerState,
    open_until: Option<Instant>,
}

impl Breaker {
    pub(crate) fn new(failures_max: u32, pause: Duration) -> Self {
        Self {
            failures_max,
            pause,
            sound: AtomicBool::new(true),
            inner: Mutex::new(Inner {
                failures: 0,
                state: BreakerState::Closed,
                open_until: None,
            }),
        }
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether the handler may have a message. When the pause is over, one may pass; what came of it
    /// must be told before another does.
    pub(crate) fn admits(&self) -> bool {
        if self.sound.load(Ordering::Relaxed) {
            return true;
        }
        let mut inner = self.lock();
        match inner.state {
            BreakerState::Closed => true,
            BreakerState::HalfOpen => false,
            BreakerState::Open => {
                let over = inner.open_until.is_none_or(|until| Instant::now() >= until);
                if over {
                    inner.state = BreakerState::HalfOpen;
                }
                over
            }
        }
    }

    pub(crate) fn succeeded(&self) {
        if self.sound.load(Ordering::Relaxed) {
            return;
        }
        let mut inner = self.lock();
        inner.failures = 0;
        inner.state = BreakerState::Closed;
        self.sound.store(true, Ordering::Relaxed);
    }

    pub(crate) fn failed(&self) {
        let mut inner = self.lock();
        self.sound.store(false, Ordering::Relaxed);
        inner.failures = inner.failures.saturating_add(1);
        if inner.state == BreakerState::HalfOpen || inner.failures >= self.failures_max {
            inner.state = BreakerState::Open;
            inner.open_until = Some(Instant::now() + self.pause);
        }
    }

    pub(crate) fn state(&self) -> BreakerState {
        self.lock().state
    }
}
