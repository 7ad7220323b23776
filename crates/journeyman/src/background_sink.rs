//! Writes to an output that may block: standard error, standard output, a terminal.
//!
//! The sender never waits; a separate thread writes. A reader that stalls, a closed pipe or a full disk blocks only
//! that thread.

use std::collections::VecDeque;
use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::Duration;

/// The most items in the queue.
const WAITING_MAX: usize = 4_096;
/// The most bytes in the queue, exceeded by at most one item.
const BYTES_MAX: usize = 8 << 20;

/// An item to write, with its size.
pub(crate) trait SinkItem: Send + 'static {
    /// The approximate size in bytes.
    fn bytes(&self) -> usize;
}

impl SinkItem for Vec<u8> {
    fn bytes(&self) -> usize {
        self.len()
    }
}

/// A queue of items that a thread writes: at most 4,096 items or 8 MiB. Items for which there is no room, or
/// that cannot be written, are dropped and counted, and the count is passed along with the next item. Clones
/// share the queue. The thread ends when the last clone is dropped and everything is written.
pub(crate) struct BackgroundSink<T>(Arc<Handle<T>>);

struct Handle<T>(Arc<Shared<T>>);

struct Shared<T> {
    state: Mutex<State<T>>,
    changed: Condvar,
}

struct State<T> {
    waiting: VecDeque<T>,
    bytes: usize,
    lost: u64,
    /// The number of items queued so far.
    taken: u64,
    /// Whether an item is being written.
    is_busy: bool,
    is_over: bool,
}

impl<T> Clone for BackgroundSink<T> {
    fn clone(&self) -> Self {
        Self(Arc::clone(&self.0))
    }
}

impl<T> Drop for Handle<T> {
    fn drop(&mut self) {
        self.0.state().is_over = true;
        self.0.changed.notify_all();
    }
}

impl<T> Shared<T> {
    fn state(&self) -> MutexGuard<'_, State<T>> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<T: SinkItem> BackgroundSink<T> {
    /// Starts a thread with this name that writes each item with `say`, along with the number of items dropped
    /// since the last count.
    pub(crate) fn start(
        name: &str,
        mut say: impl FnMut(T, u64) -> io::Result<()> + Send + 'static,
    ) -> Self {
        let shared = Arc::new(Shared {
            state: Mutex::new(State {
                waiting: VecDeque::new(),
                bytes: 0,
                lost: 0,
                taken: 0,
                is_busy: false,
                is_over: false,
            }),
            changed: Condvar::new(),
        });
        let of_thread = Arc::clone(&shared);
        let started = thread::Builder::new().name(name.to_owned()).spawn(move || {
            while let Some((what, lost)) = of_thread.next() {
                let said = catch_unwind(AssertUnwindSafe(|| say(what, lost)));
                of_thread.was_said(matches!(said, Ok(Ok(()))), lost);
            }
        });
        if started.is_err() {
            // Without a thread nothing is written, and flushing does not wait.
            shared.state().is_over = true;
        }
        Self(Arc::new(Handle(shared)))
    }

    /// Queues an item.
    pub(crate) fn send(&self, what: T) {
        let mut state = self.0.0.state();
        if state.is_over || state.waiting.len() >= WAITING_MAX || state.bytes >= BYTES_MAX {
            state.lost += 1;
            return;
        }
        self.0.0.put(state, what);
    }

    /// Queues an item that is only useful now: drops it if other items are waiting.
    pub(crate) fn send_if_idle(&self, what: T) {
        let state = self.0.0.state();
        if !state.is_over && !state.is_open() {
            self.0.0.put(state, what);
        }
    }

    /// Queues an item that must not be dropped for lack of room. It must be small and sent rarely.
    pub(crate) fn send_always(&self, what: T) {
        let state = self.0.0.state();
        if !state.is_over {
            self.0.0.put(state, what);
        }
    }

    /// Waits until everything is written, up to a limit.
    pub(crate) fn flush(&self, limit: Duration) {
        let shared = &self.0.0;
        let waited = shared
            .changed
            .wait_timeout_while(shared.state(), limit, |state| state.is_open());
        // Whether it was in time makes no difference to who waits.
        drop(waited);
    }

    /// Waits until everything is written, for as long as the reader makes progress; without progress for this
    /// long, it counts as gone. Returns whether everything was written.
    pub(crate) fn flush_while_read(&self, patience: Duration) -> bool {
        let shared = &self.0.0;
        let mut state = shared.state();
        while state.is_open() {
            let before = state.taken;
            let waited = shared.changed.wait_timeout_while(state, patience, |state| {
                state.is_open() && state.taken == before
            });
            let (after, timeout) = waited.unwrap_or_else(PoisonError::into_inner);
            if timeout.timed_out() {
                return false;
            }
            state = after;
        }
        true
    }
}

impl<T> State<T> {
    /// Whether there are items that were not written yet.
    fn is_open(&self) -> bool {
        !self.is_over && (self.is_busy || !self.waiting.is_empty())
    }
}

impl<T: SinkItem> Shared<T> {
    fn put(&self, mut state: MutexGuard<'_, State<T>>, what: T) {
        state.bytes += what.bytes();
        state.waiting.push_back(what);
        drop(state);
        self.changed.notify_all();
    }

    fn next(&self) -> Option<(T, u64)> {
        let mut state = self.state();
        loop {
            if let Some(what) = state.waiting.pop_front() {
                state.bytes -= what.bytes();
                state.is_busy = true;
                state.taken += 1;
                return Some((what, std::mem::take(&mut state.lost)));
            }
            if state.is_over {
                return None;
            }
            let waited = self.changed.wait(state);
            state = waited.unwrap_or_else(PoisonError::into_inner);
        }
    }

    fn was_said(&self, well: bool, lost_before: u64) {
        let mut state = self.state();
        state.is_busy = false;
        if !well {
            state.lost += lost_before + 1;
        }
        drop(state);
        self.changed.notify_all();
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc;

    use super::*;

    #[test]
    fn who_does_not_listen_holds_nobody_up_and_is_told_what_was_lost() {
        let (go_on, told) = mpsc::channel::<()>();
        let (say, said) = mpsc::channel();
        let sink = BackgroundSink::start("test", move |what: Vec<u8>, lost| {
            let _ = say.send((what.len(), lost));
            told.recv().map_err(io::Error::other)
        });
        sink.send(vec![0; 1]);
        assert_eq!(said.recv().unwrap(), (1, 0));
        // The writer is stuck, but senders are not, however much they send.
        for _ in 0..WAITING_MAX + 10 {
            sink.send(vec![0; 2]);
        }
        sink.flush(Duration::ZERO);
        go_on.send(()).unwrap();
        assert_eq!(said.recv().unwrap(), (2, 10));
        go_on.send(()).unwrap();
        assert_eq!(said.recv().unwrap(), (2, 0));
    }

    #[test]
    fn what_is_large_is_bounded_by_its_bytes() {
        let (go_on, told) = mpsc::channel::<()>();
        let (say, said) = mpsc::channel();
        let sink = BackgroundSink::start("test", move |what: Vec<u8>, lost| {
            let _ = say.send((what.len(), lost));
            told.recv().map_err(io::Error::other)
        });
        sink.send(vec![]);
        assert_eq!(said.recv().unwrap(), (0, 0));
        for _ in 0..3 {
            sink.send(vec![0; BYTES_MAX / 2]);
        }
        go_on.send(()).unwrap();
        assert_eq!(said.recv().unwrap(), (BYTES_MAX / 2, 1));
    }

    #[test]
    fn what_must_not_be_lost_finds_room_and_who_takes_nothing_is_given_up() {
        let (go_on, told) = mpsc::channel::<()>();
        let (say, said) = mpsc::channel();
        let sink = BackgroundSink::start("test", move |what: Vec<u8>, _| {
            told.recv().map_err(io::Error::other)?;
            say.send(what.len()).map_err(io::Error::other)
        });
        for _ in 0..=WAITING_MAX + 1 {
            sink.send(vec![0; 1]);
        }
        sink.send_always(vec![0; 7]);
        // The reader makes no progress.
        assert!(!sink.flush_while_read(Duration::from_millis(20)));
        // A slow reader makes progress, although it needs longer than that in total.
        let slow = thread::spawn(move || {
            let texts = (0..).map_while(|n| {
                if n < 8 {
                    thread::sleep(Duration::from_millis(10));
                }
                go_on.send(()).ok()?;
                said.recv().ok()
            });
            texts.take_while(|len| *len < 7).count()
        });
        assert!(sink.flush_while_read(Duration::from_secs(5)));
        assert!(slow.join().unwrap() >= WAITING_MAX);
    }

    #[test]
    fn what_cannot_be_written_or_panics_is_counted_and_the_rest_is_said() {
        let (say, said) = mpsc::channel();
        let sink = BackgroundSink::start("test", move |what: Vec<u8>, lost| match what[0] {
            b'p' => panic!("as a line that cannot be drawn"),
            b'f' => Err(io::ErrorKind::StorageFull.into()),
            _ => {
                let _ = say.send(lost);
                Ok(())
            }
        });
        for what in ["fails", "panics", "good", "good"] {
            sink.send(what.into());
        }
        assert!(sink.flush_while_read(Duration::from_mins(1)));
        drop(sink);
        assert_eq!(said.iter().collect::<Vec<_>>(), [2, 0]);
    }
}
