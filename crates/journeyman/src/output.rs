//! Standard output and standard error: text or JSON lines.
//!
//! Nothing that is only told can stop what is done: where nobody reads any more (a broken pipe), a
//! command goes on to its end, and its exit code is the same as with a reader. Whatever others wrote
//! (models, servers, users), no terminal gets a control character of it.

use std::borrow::Cow;
use std::io::{self, ErrorKind, IsTerminal, Write};
use std::ops::ControlFlow;

use serde::Serialize;

use crate::text_format::visible;

/// Prints a line for a person. A reader that went away is no error: the line is for nobody then.
pub(crate) fn line(text: &str) -> io::Result<()> {
    stream(&visible(text)).map(|_| ())
}

/// Prints a line of many. `Break` says that nobody reads any more, and that more need not be made. A pipe
/// or a file gets every byte of it, a terminal what can be shown.
pub(crate) fn stream(text: &str) -> io::Result<ControlFlow<()>> {
    print(&format!("{text}\n"))
}

/// Prints a text as it is: a pipe or a file gets its bytes and no other, a terminal what can be shown, and
/// the end of its last line.
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

/// What is said where standard output takes nothing.
pub(crate) fn unwritten(error: &io::Error) -> String {
    format!("cannot write to standard output: {error}")
}

/// Prints a value as one line of JSON.
pub(crate) fn json(value: &impl Serialize) -> anyhow::Result<()> {
    let text = serde_json::to_string(value)?;
    Ok(exact(&format!("{text}\n"))?)
}

/// Says something on standard error, which may be closed or full.
pub(crate) fn stderr_line(text: &str) {
    // Nothing depends on whether it is read.
    let _ = write(
        io::stderr().lock(),
        &format!("journeyman: {}\n", visible(text)),
    );
}

/// Writes a text at once, so that a line is there whole or hardly begun.
pub(crate) fn write(mut to: impl Write, text: &str) -> io::Result<()> {
    to.write_all(text.as_bytes())?;
    to.flush()
}

/// Completes when nobody reads standard output any more, which a program that has nothing to print
/// would not notice otherwise. Never, where it is no pipe or socket.
pub(crate) async fn stdout_closed() {
    /// How often that is looked at.
    const LOOK: std::time::Duration = std::time::Duration::from_millis(250);
    loop {
        {
            use rustix::event::{PollFd, PollFlags, Timespec, poll};
            let stdout = io::stdout();
            // Without a flag only what went wrong with it is told.
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
