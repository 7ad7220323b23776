//! Standard output and standard error: text or JSON lines.
//!
//! Nothing that is only told can stop what is done: where nobody reads any more (a broken pipe), a
//! command goes on to its end, and its exit code is the same as with a reader.

use std::io::{self, ErrorKind, Write};
use std::ops::ControlFlow;

use journeyman_event::printable;
use serde::Serialize;

/// Prints a line. A reader that went away is no error: the line is for nobody then.
pub(crate) fn line(text: &str) -> io::Result<()> {
    stream(text).map(|_| ())
}

/// Prints a line of many. `Break` says that nobody reads any more, and that more need not be made.
pub(crate) fn stream(text: &str) -> io::Result<ControlFlow<()>> {
    match write(io::stdout().lock(), text) {
        Ok(()) => Ok(ControlFlow::Continue(())),
        Err(error) if error.kind() == ErrorKind::BrokenPipe => Ok(ControlFlow::Break(())),
        Err(error) => {
            let words = format!("cannot write to standard output: {error}");
            Err(io::Error::new(error.kind(), words))
        }
    }
}

/// Prints a value as one line of JSON.
pub(crate) fn json(value: &impl Serialize) -> anyhow::Result<()> {
    Ok(line(&serde_json::to_string(value)?)?)
}

/// Says something on standard error, which may be closed or full.
pub(crate) fn remark(text: &str) {
    // Nothing depends on whether it is read.
    let _ = write(io::stderr().lock(), &format!("journeyman: {text}"));
}

/// Writes a text and the end of its line at once, so that a line is there whole or hardly begun.
pub(crate) fn write(mut to: impl Write, text: &str) -> io::Result<()> {
    to.write_all(format!("{text}\n").as_bytes())?;
    to.flush()
}

/// Completes when nobody reads standard output any more, which a program that has nothing to print
/// would not notice otherwise. Never, where it is no pipe or socket.
pub(crate) async fn nobody_reads() {
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

/// A number as people read it: 12,345.
pub(crate) fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::new();
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// A text on one line, cut to a width.
pub(crate) fn one_line(text: &str, chars: usize) -> String {
    let text = printable(text);
    let text = text.split_whitespace().collect::<Vec<_>>().join(" ");
    if text.chars().count() <= chars {
        return text;
    }
    text.chars()
        .take(chars.saturating_sub(1))
        .chain(['…'])
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_grouped_by_thousands() {
        assert_eq!(
            ["0", "999", "1,000", "12,345,678"],
            [0, 999, 1_000, 12_345_678].map(grouped)[..]
        );
    }

    #[test]
    fn a_long_text_is_cut_with_a_mark() {
        assert_eq!(one_line("a  b\n\u{1b}[31mc", 10), "a b c");
        assert_eq!(one_line("abcdef", 4), "abc…");
    }
}
