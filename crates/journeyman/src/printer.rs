//! Prints progress and results, in order and on a separate thread, so that a reader that has stopped reading (a
//! pager, a stopped terminal, a full pipe) does not hold up any task.
//!
//! Progress is dropped if too much is waiting, and that is reported. Results are never dropped: the process waits
//! for them to be read, as long as the reader makes progress, however slowly. A reader that takes nothing for ten
//! minutes counts as gone, and the process ends with its own exit code.

use std::borrow::Cow;
use std::io::{self, ErrorKind, IsTerminal};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use indicatif::{ProgressBar, ProgressStyle};

use crate::background_sink::{BackgroundSink, SinkItem};
use crate::output::{stderr_line, unwritten, write};
use crate::text_format::visible;

/// How long a reader may take nothing at the end.
const PATIENCE: Duration = Duration::from_mins(10);
/// The spinner of the status line if the locale is not UTF-8.
const ASCII_SPINNER: &str = "-\\|/-";

/// Where a text is printed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum PrintTarget {
    /// As a line on standard output.
    Output,
    /// As a part of the result on standard output; write errors are reported.
    Result,
    /// As a line on standard error.
    Error,
    /// As a lasting line above the status line.
    Screen,
    /// As the status line.
    Status,
    /// Removes the status line.
    End,
}

struct Text(PrintTarget, String);

impl SinkItem for Text {
    fn bytes(&self) -> usize {
        self.1.len()
    }
}

/// A handle to the printing thread. What is waiting is printed even after this is dropped.
pub(crate) struct Printer {
    texts: BackgroundSink<Text>,
    /// Whether waiting for the reader was given up.
    is_given_up: Arc<AtomicBool>,
}

impl Printer {
    /// Starts the thread, with or without a status line. If the system cannot start a thread, nothing is
    /// printed.
    pub(crate) fn start(has_status_line: bool, has_unicode: bool) -> Self {
        let bar = bar(has_status_line, has_unicode);
        let texts = BackgroundSink::start("printer", move |Text(to, text), lost| {
            if lost > 0 {
                let words = format!(
                    "the output was not read for too long: {lost} lines were left out here; \
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

    /// Queues a text. Dropped if too much is waiting.
    pub(crate) fn print(&self, to: PrintTarget, text: String) {
        self.texts.send(Text(to, text));
    }

    /// Shows a status line unless other text is waiting.
    pub(crate) fn status(&self, text: String) {
        self.texts.send_if_idle(Text(PrintTarget::Status, text));
    }

    /// Queues a line of the result, which is never dropped.
    pub(crate) fn result(&self, text: String) {
        self.texts.send_always(Text(PrintTarget::Result, text));
    }

    /// Removes the status line after everything that is waiting.
    pub(crate) fn end(&self) {
        self.texts
            .send_always(Text(PrintTarget::End, String::new()));
    }

    /// Waits until everything is printed, as long as the reader makes progress.
    pub(crate) async fn finish(&self) {
        self.end();
        let (texts, is_given_up) = (self.texts.clone(), Arc::clone(&self.is_given_up));
        // On a thread that is not waited for: a program that wants to end does not wait for the reader.
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

/// Prints a text, ignoring errors: if the reader is gone or the disk full, the task continues.
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
