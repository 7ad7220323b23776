//! The handle that emits signals.

use std::fmt;
use std::sync::Arc;

use crate::Signal;

/// The receiver of signals. An implementation must neither block nor panic, because it is called by the measured code.
pub trait Sink: Send + Sync {
    /// Whether anyone takes signals now. If not, none are made.
    fn listens(&self) -> bool;

    /// Takes a signal. The sink counts signals that it has no room for.
    fn take(&self, signal: Signal);
}

/// Emits signals. Clones are cheap and share the sink.
#[derive(Clone, Default)]
pub struct Signals(Option<Arc<dyn Sink>>);

impl Signals {
    /// Creates a handle that emits to this sink.
    pub fn to(sink: Arc<dyn Sink>) -> Self {
        Self(Some(sink))
    }

    /// Creates a handle whose signals nobody takes.
    pub fn nowhere() -> Self {
        Self(None)
    }

    /// Whether anyone takes signals now. For code that only prepares a signal.
    pub fn are_heard(&self) -> bool {
        self.0.as_ref().is_some_and(|sink| sink.listens())
    }

    /// Emits the signal that `signal` returns. `signal` is not called if nobody takes signals.
    pub fn emit(&self, signal: impl FnOnce() -> Signal) {
        if let Some(sink) = &self.0
            && sink.listens()
        {
            sink.take(signal());
        }
    }
}

impl fmt::Debug for Signals {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Signals").field(&self.0.is_some()).finish()
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicBool, Ordering};
    use std::sync::{Mutex, PoisonError};

    use super::*;
    use crate::QueueDepthChanged;

    #[derive(Default)]
    struct Kept {
        listens: AtomicBool,
        taken: Mutex<Vec<Signal>>,
    }

    impl Sink for Kept {
        fn listens(&self) -> bool {
            self.listens.load(Ordering::Relaxed)
        }

        fn take(&self, signal: Signal) {
            self.taken
                .lock()
                .unwrap_or_else(PoisonError::into_inner)
                .push(signal);
        }
    }

    fn depth() -> Signal {
        QueueDepthChanged {
            waiting: 1,
            running: 2,
        }
        .into()
    }

    #[test]
    fn no_signal_is_made_where_nobody_listens() {
        let sink = Arc::new(Kept::default());
        for signals in [
            Signals::nowhere(),
            Signals::to(Arc::clone(&sink) as Arc<dyn Sink>),
        ] {
            assert!(!signals.are_heard());
            signals.emit(|| unreachable!("nobody listens"));
        }
        sink.listens.store(true, Ordering::Relaxed);
        let signals = Signals::to(Arc::clone(&sink) as Arc<dyn Sink>);
        signals.clone().emit(depth);
        assert_eq!(
            *sink.taken.lock().unwrap_or_else(PoisonError::into_inner),
            [depth()]
        );
    }
}
