//! A circuit breaker for one handler (M. Nygard, "Release It!", 2007): closed, open after a number
//! of failures in a row, half open after a pause.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

/// The state of a circuit breaker.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BreakerState {
    /// Messages are handled.
    Closed,
    /// Messages are skipped.
    Open,
    /// One message is handled as a trial; the others are skipped.
    HalfOpen,
}

#[derive(Debug)]
pub(crate) struct Breaker {
    failures_max: u32,
    pause: Duration,
    /// True while the breaker is closed and has counted no failure. Lets the usual case avoid the lock.
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

    /// Whether the handler may get a message. After the pause one message is admitted as a trial; its result
    /// must be reported before another one is.
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
