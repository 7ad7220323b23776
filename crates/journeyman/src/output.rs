//! Standard output and standard error: text or JSON lines.
//!
//! Printing can never stop work: if the reader is gone (a broken pipe), a command runs to its end with the same
//! exit code. No control characters written by others (models, servers, users) reach a terminal.

use std::borrow::Cow;
use std::io::{self, ErrorKind, IsTerminal, Write};
use std::ops::ControlFlow;

use serde::Serialize;

use crate::text_format::visible;

/// Prints a line for a person. A reader that is gone is not an error.
pub(crate) fn line(text: &str) -> io::Result<()> {
    stream(&visible(text)).map(|_| ())
}

/// Prints one of many lines. `Break` means that the reader is gone and no more lines are needed. A pipe or file
/// gets all bytes, a terminal only what can be displayed.
pub(crate) fn stream(text: &str) -> io::Result<ControlFlow<()>> {
    print(&format!("{text}\n"))
}

/// Prints a text unchanged: a pipe or file gets exactly its bytes, a terminal only what can be displayed, and a
/// final line break.
pub(crate) fn exact(text: &str) -> io::Result<()> {
    if io::stdout().is_terminal() && !text.ends_with('\n') {
        return stream(text).map(|_| ());
    }
    print(text).map(|_| ())
}

fn print(text: &str) -> io::Result<ControlFlow<()>> {
    let stdout = io::stdout();
    let text = if stdout.is_terminal() {
        visible(text)
    } else {
        Cow::Borrowed(text)
    };
    match write(stdout.lock(), &text) {
        Ok(()) => Ok(ControlFlow::Continue(())),
        Err(error) if error.kind() == ErrorKind::BrokenPipe => Ok(ControlFlow::Break(())),
        Err(error) => Err(io::Error::new(error.kind(), unwritten(&error))),
    }
}

/// The message if standard output cannot be written.
pub(crate) fn unwritten(error: &io::Error) -> String {
    format!("cannot write to standard output: {error}")
}

/// Prints a value as one line of JSON.
pub(crate) fn json(value: &impl Serialize) -> anyhow::Result<()> {
    let text = serde_json::to_string(value)?;
    Ok(exact(&format!("{text}\n"))?)
}

/// Prints a line on standard error, which may be closed or full.
pub(crate) fn stderr_line(text: &str) {
    // Nothing depends on whether it is read.
    let _ = write(
        io::stderr().lock(),
        &format!("journeyman: {}\n", visible(text)),
    );
}

/// Writes a text with a single call, so that lines are rarely split.
pub(crate) fn write(mut to: impl Write, text: &str) -> io::Result<()> {
    to.write_all(text.as_bytes())?;
    to.flush()
}

/// Completes when the reader of standard output is gone, which a program that prints nothing would not notice.
/// Never completes if it is not a pipe or socket.
pub(crate) async fn stdout_closed() {
    /// How often to check.
    const LOOK: std::time::Duration = std::time::Duration::from_millis(250);
    loop {
        {
            use rustix::event::{PollFd, PollFlags, Timespec, poll};
            let stdout = io::stdout();
            // Without a flag, only errors are reported.
            let mut asked = [PollFd::new(&stdout, PollFlags::empty())];
            let at_once = Timespec {
                tv_sec: 0,
                tv_nsec: 0,
            };
            let gone = PollFlags::ERR | PollFlags::HUP;
            if poll(&mut asked, Some(&at_once)).is_ok() && asked[0].revents().intersects(gone) {
                return;
            }
        }
        tokio::time::sleep(LOOK).await;
    }
}
