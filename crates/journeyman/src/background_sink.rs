//! Says things to somebody who may not listen: standard error, standard output, a terminal.
//!
//! Who has something to say hands it over and never waits: a thread of its own says it. A reader that
//! stalls, a pipe that is closed or a disk that is full keeps that thread from saying it, and nothing and
//! nobody else from doing what is to be done.

use std::collections::VecDeque;
use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::Duration;

/// Things that may wait to be said.
const WAITING_MAX: usize = 4_096;
/// Bytes of them, give or take one thing.
const BYTES_MAX: usize = 8 << 20;

/// Something to say, and how large it is.
pub(crate) trait SinkItem: Send + 'static {
    /// Its bytes, about.
    fn bytes(&self) -> usize;
}

impl SinkItem for Vec<u8> {
    fn bytes(&self) -> usize {
        self.len()
    }
}

/// Takes what is to be said: 4,096 things or 8 MiB may wait. What finds no room, and what could not be
/// written, is lost and counted, and the count is told with the next thing. Clones are the same teller;
/// the thread ends with the last one, when everything is said.
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
    /// How many were taken to be said so far.
    taken: u64,
    /// Whether something is being said at the moment.
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
    /// Has everything said by `say`, on a thread of this name: each thing, and how many were lost before
    /// it since that was last told.
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
            // Without a thread nothing is said, and nobody waits for it.
            shared.state().is_over = true;
        }
        Self(Arc::new(Handle(shared)))
    }

    /// Hands something over.
    pub(crate) fn send(&self, what: T) {
        let mut state = self.0.0.state();
        if state.is_over || state.waiting.len() >= WAITING_MAX || state.bytes >= BYTES_MAX {
            state.lost += 1;
            return;
        }
        self.0.0.put(state, what);
    }

    /// Hands over what is worth saying at this moment only: nothing, where something else waits.
    pub(crate) fn send_if_idle(&self, what: T) {
        let state = self.0.0.state();
        if !state.is_over && !state.is_open() {
            self.0.0.put(state, what);
        }
    }

    /// Hands over what must not be lost for want of room: it is little, and said once.
    pub(crate) fn send_always(&self, what: T) {
        let state = self.0.0.state();
        if !state.is_over {
            self.0.0.put(state, what);
        }
    }

    /// Waits until everything is said, so long at the most.
    pub(crate) fn flush(&self, limit: Duration) {
        let shared = &self.0.0;
        let waited = shared
            .changed
            .wait_timeout_while(shared.state(), limit, |state| state.is_open());
        // Whether it was in time makes no difference to who waits.
        drop(waited);
    }

    /// Waits until everything is said, for as long as somebody listens: who takes nothing for so long is
    /// taken for gone. Whether everything was said.
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
    /// Whether something is still to be said.
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
        // It is stuck. Nobody else is, however much there is to say.
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
        // Nobody listens.
        assert!(!sink.flush_while_read(Duration::from_millis(20)));
        // Somebody slow does, who needs longer than that in all.
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
