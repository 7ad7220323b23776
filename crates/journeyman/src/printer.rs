//! Prints what is told while work goes on, on a thread of its own: a reader that has stopped reading
//! (a pager, a terminal on hold, a full pipe) holds up nobody's task.

use std::io;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, mpsc};
use std::thread::JoinHandle;
use std::time::Duration;

use indicatif::{ProgressBar, ProgressStyle};
use journeyman_event::printable;
use tokio::sync::oneshot;

use crate::output::write;

/// Bytes of text that may wait for a reader. What comes beyond it is left out and counted.
const WAITING_BYTES_MAX: usize = 16 << 20;

/// Where a text goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum To {
    /// A line of standard output.
    Output,
    /// A line of standard error.
    Error,
    /// A line that stays, above the status line.
    Screen,
    /// The status line.
    Status,
}

enum Order {
    Print(To, String),
    /// Take the status line away, and answer when everything before is printed.
    Finish(oneshot::Sender<()>),
}

/// A handle on the thread that prints; what waits is printed when it is dropped, too.
pub(crate) struct Printer {
    orders: Option<mpsc::Sender<Order>>,
    waiting: Arc<AtomicUsize>,
    left_out: AtomicU64,
    thread: Option<JoinHandle<()>>,
}

impl Printer {
    /// Starts the thread, with a status line or without. Where the system gives no thread, nothing is
    /// printed.
    pub(crate) fn start(has_status_line: bool) -> Self {
        let (orders, ordered) = mpsc::channel();
        let waiting = Arc::<AtomicUsize>::default();
        let left = Arc::clone(&waiting);
        let thread = std::thread::Builder::new().name("printer".to_owned());
        let thread = thread.spawn(move || print(&bar(has_status_line), &ordered, &left));
        Self {
            orders: Some(orders),
            waiting,
            left_out: AtomicU64::new(0),
            thread: thread.ok(),
        }
    }

    /// Prints a text some time soon. Where too much waits already it is left out.
    pub(crate) fn print(&self, to: To, text: String) {
        let text = match to {
            To::Output => text,
            To::Error | To::Screen | To::Status => printable(&text).into_owned(),
        };
        let bytes = text.len();
        let before = self.waiting.fetch_add(bytes, Ordering::Relaxed);
        if before.saturating_add(bytes) > WAITING_BYTES_MAX {
            self.waiting.fetch_sub(bytes, Ordering::Relaxed);
            self.left_out.fetch_add(1, Ordering::Relaxed);
            return;
        }
        self.order(Order::Print(to, text));
    }

    /// Takes the status line away when everything that waits is printed. The number of texts that were
    /// left out since the last time.
    pub(crate) async fn finish(&self) -> u64 {
        let (done, finished) = oneshot::channel();
        self.order(Order::Finish(done));
        // Without its thread nothing is printed, nor waits.
        let _ = finished.await;
        self.left_out.swap(0, Ordering::Relaxed)
    }

    fn order(&self, order: Order) {
        if let Some(orders) = &self.orders {
            let _ = orders.send(order);
        }
    }
}

impl Drop for Printer {
    fn drop(&mut self) {
        drop(self.orders.take());
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

fn bar(is_shown: bool) -> ProgressBar {
    if !is_shown {
        return ProgressBar::hidden();
    }
    let bar = ProgressBar::new_spinner();
    if let Ok(template) = ProgressStyle::with_template("{spinner} {wide_msg}") {
        bar.set_style(template);
    }
    bar.enable_steady_tick(Duration::from_millis(120));
    bar
}

fn print(bar: &ProgressBar, ordered: &mpsc::Receiver<Order>, waiting: &AtomicUsize) {
    for order in ordered {
        match order {
            Order::Print(to, text) => {
                let bytes = text.len();
                // The reader may be gone, or the disk full: the task goes on all the same.
                let _ = match to {
                    To::Output => write(io::stdout().lock(), &text),
                    To::Error => write(io::stderr().lock(), &text),
                    To::Screen => {
                        bar.println(text);
                        Ok(())
                    }
                    To::Status => {
                        bar.set_message(text);
                        Ok(())
                    }
                };
                waiting.fetch_sub(bytes, Ordering::Relaxed);
            }
            Order::Finish(done) => {
                bar.finish_and_clear();
                let _ = done.send(());
            }
        }
    }
    bar.finish_and_clear();
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_waits_is_bounded_and_what_is_left_out_is_counted() {
        let (orders, ordered) = mpsc::channel();
        let printer = Printer {
            orders: Some(orders),
            waiting: Arc::default(),
            left_out: AtomicU64::new(0),
            // Nobody prints.
            thread: None,
        };
        let half = "x".repeat(WAITING_BYTES_MAX / 2);
        for _ in 0..5 {
            printer.print(To::Output, half.clone());
        }
        // What is small enough still fits, as soon as there is room for it.
        printer.print(To::Error, String::new());
        assert_eq!(printer.left_out.load(Ordering::Relaxed), 3);
        drop(printer);
        assert_eq!(ordered.iter().count(), 3);
    }
}
