//! Prints what is told while work goes on, and its result, in order and on a thread of its own: a reader
//! that has stopped reading (a pager, a terminal on hold, a full pipe) holds up nobody's task.
//!
//! What is told on the way is lost where too much waits, and that is said. The result always finds room,
//! and the process waits for it to be taken: as long as a reader takes something, however slowly. Who takes
//! nothing for ten minutes is taken for gone, and the process ends with its own exit code.

use std::borrow::Cow;
use std::io::{self, ErrorKind, IsTerminal};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use indicatif::{ProgressBar, ProgressStyle};

use crate::background_sink::{BackgroundSink, SinkItem};
use crate::output::{stderr_line, unwritten, write};
use crate::text_format::visible;

/// At the end, a reader has this long to take something more.
const PATIENCE: Duration = Duration::from_mins(10);
/// The status line's spinner where the locale is not UTF-8.
const ASCII_SPINNER: &str = "-\\|/-";

/// Where a text goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum PrintTarget {
    /// A line of standard output.
    Output,
    /// The result, on standard output: what cannot be written of it is told.
    Result,
    /// A line of standard error.
    Error,
    /// A line that stays, above the status line.
    Screen,
    /// The status line.
    Status,
    /// The status line is taken away.
    End,
}

struct Text(PrintTarget, String);

impl SinkItem for Text {
    fn bytes(&self) -> usize {
        self.1.len()
    }
}

/// A handle on the thread that prints; what waits is printed when it is dropped, too.
pub(crate) struct Printer {
    texts: BackgroundSink<Text>,
    /// Whether the reader was waited for in vain.
    is_given_up: Arc<AtomicBool>,
}

impl Printer {
    /// Starts the thread, with a status line or without. Where the system gives no thread, nothing is
    /// printed.
    pub(crate) fn start(has_status_line: bool, has_unicode: bool) -> Self {
        let bar = bar(has_status_line, has_unicode);
        let texts = BackgroundSink::start("printer", move |Text(to, text), lost| {
            if lost > 0 {
                let words = format!(
                    "nobody read for too long: {lost} lines were left out here; \
                     `journeyman events` has them all"
                );
                show(&bar, PrintTarget::Screen, &words);
            }
            show(&bar, to, &text);
            Ok(())
        });
        Self {
            texts,
            is_given_up: Arc::default(),
        }
    }

    /// Prints a text some time soon. Where too much waits already it is left out.
    pub(crate) fn print(&self, to: PrintTarget, text: String) {
        self.texts.send(Text(to, text));
    }

    /// Shows a status line, unless something waits to be printed.
    pub(crate) fn status(&self, text: String) {
        self.texts.send_if_idle(Text(PrintTarget::Status, text));
    }

    /// Prints a line of the result, for which there is always room.
    pub(crate) fn result(&self, text: String) {
        self.texts.send_always(Text(PrintTarget::Result, text));
    }

    /// Takes the status line away behind everything that waits.
    pub(crate) fn end(&self) {
        self.texts
            .send_always(Text(PrintTarget::End, String::new()));
    }

    /// Waits until everything is printed, as long as somebody reads.
    pub(crate) async fn finish(&self) {
        self.end();
        let (texts, is_given_up) = (self.texts.clone(), Arc::clone(&self.is_given_up));
        // On a thread that nobody waits for: whoever wants to go does not wait for a reader.
        let flushed = tokio::task::spawn_blocking(move || {
            if !texts.flush_while_read(PATIENCE) {
                is_given_up.store(true, Ordering::Relaxed);
            }
        });
        let _ = flushed.await;
    }
}

impl Drop for Printer {
    fn drop(&mut self) {
        self.end();
        if !self.is_given_up.load(Ordering::Relaxed) {
            self.texts.flush_while_read(PATIENCE);
        }
    }
}

fn bar(is_shown: bool, has_unicode: bool) -> ProgressBar {
    if !is_shown {
        return ProgressBar::hidden();
    }
    let bar = ProgressBar::new_spinner();
    if let Ok(style) = ProgressStyle::with_template("{spinner} {wide_msg}") {
        bar.set_style(if has_unicode {
            style
        } else {
            style.tick_chars(ASCII_SPINNER)
        });
    }
    bar.enable_steady_tick(Duration::from_millis(120));
    bar
}

/// The reader may be gone, or the disk full: the task goes on all the same.
fn show(bar: &ProgressBar, to: PrintTarget, text: &str) {
    // Lines of JSON are the same to who reads them, and no terminal obeys them.
    let text = if to == PrintTarget::Output && io::stdout().is_terminal() {
        visible(text)
    } else {
        Cow::Borrowed(text)
    };
    let line = format!("{text}\n");
    match to {
        PrintTarget::Output => drop(write(io::stdout().lock(), &line)),
        PrintTarget::Result => match write(io::stdout().lock(), &line) {
            Err(error) if error.kind() != ErrorKind::BrokenPipe => stderr_line(&unwritten(&error)),
            _ => {}
        },
        PrintTarget::Screen if !bar.is_hidden() && !bar.is_finished() => bar.println(text),
        PrintTarget::Screen | PrintTarget::Error => drop(write(io::stderr().lock(), &line)),
        PrintTarget::Status => bar.set_message(text.into_owned()),
        PrintTarget::End => bar.finish_and_clear(),
    }
}
