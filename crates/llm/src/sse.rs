//! Splits a streamed answer into records: JSON values in server-sent events (WHATWG HTML, section 9.2), on lines of
//! their own, or as the entire body. The bytes may be split anywhere, even inside a character.

use serde_json::Value;

/// The largest record accepted.
const RECORD_BYTES_MAX: usize = 4 << 20;
/// How much text that is not a record is kept.
const STRAY_BYTES_MAX: usize = 4 << 10;

/// Something a server sent.
#[derive(Debug, PartialEq)]
pub(crate) enum Record {
    /// A piece of an answer, or the whole answer.
    Chunk(Value),
    /// An error, marked as such by the event that contains it.
    Failed(Value),
    /// The end of the stream.
    Done,
}

/// The kind of line a value was on.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Origin {
    /// A `data:` line; an empty line ends it.
    Data,
    /// A line without a field name.
    #[default]
    Raw,
}

/// Collects bytes into records.
#[derive(Debug, Default)]
pub(crate) struct Records {
    lines: Lines,
    /// The beginning of an incomplete JSON value.
    pending: String,
    origin: Origin,
    /// Whether the current event has the name `error`.
    is_error: bool,
    stray: String,
}

impl Records {
    /// Adds bytes and returns the records completed by them. The error describes invalid bytes.
    pub(crate) fn push(&mut self, bytes: &[u8]) -> Result<Vec<Record>, String> {
        let mut records = Vec::new();
        for line in self.lines.push(bytes)? {
            self.line(&line, &mut records)?;
        }
        Ok(records)
    }

    /// Returns the records completed by the end of the stream.
    pub(crate) fn end(&mut self) -> Result<Vec<Record>, String> {
        let mut records = Vec::new();
        let last = self.lines.end();
        self.line(&last, &mut records)?;
        Ok(records)
    }

    /// Received text that was not a record. A server that does not speak the protocol explains itself here.
    pub(crate) fn stray(&self) -> &str {
        match self.stray.as_str() {
            "" => &self.pending,
            stray => stray,
        }
    }

    /// Whether there is no incomplete record.
    pub(crate) fn are_whole(&self) -> bool {
        self.pending.is_empty()
    }

    fn line(&mut self, line: &str, records: &mut Vec<Record>) -> Result<(), String> {
        let line = line.trim();
        if !self.pending.is_empty() && self.origin == Origin::Raw {
            return self.value(line, Origin::Raw, records);
        }
        if line.is_empty() {
            self.is_error = false;
            return match self.pending.as_str() {
                "" => Ok(()),
                broken => Err(format!("no JSON: {}", crate::error_reply::told(broken))),
            };
        }
        let (field, value) = line.split_once(':').unwrap_or((line, ""));
        match field {
            "data" => self.value(value.trim(), Origin::Data, records),
            "error" => {
                let value = value.trim();
                let error = serde_json::from_str(value).unwrap_or_else(|_| value.into());
                records.push(Record::Failed(error));
                Ok(())
            }
            "event" => {
                self.is_error = value.trim() == "error";
                Ok(())
            }
            "" | "id" | "retry" => Ok(()),
            _ => self.value(line, Origin::Raw, records),
        }
    }

    fn value(
        &mut self,
        value: &str,
        origin: Origin,
        records: &mut Vec<Record>,
    ) -> Result<(), String> {
        if value == "[DONE]" || value == "\"[DONE]\"" {
            records.push(Record::Done);
            return Ok(());
        }
        if self.pending.is_empty() {
            let list = value.strip_prefix('[').map(str::trim_start);
            let begins = value.starts_with('{')
                || list.is_some_and(|rest| rest.is_empty() || rest.starts_with('{'));
            if !begins {
                // A comment in the wrong place, or another protocol.
                if !value.starts_with(':') && self.stray.len() < STRAY_BYTES_MAX {
                    self.stray.push_str(value);
                    self.stray.push('\n');
                }
                return Ok(());
            }
        } else if origin == Origin::Data && serde_json::from_str::<Value>(value).is_ok() {
            let broken = crate::error_reply::told(&self.pending);
            return Err(format!("no JSON: {broken}"));
        }
        self.origin = origin;
        self.pending.push_str(value);
        self.pending.push('\n');
        if self.pending.len() > RECORD_BYTES_MAX {
            return Err("an endless record".to_owned());
        }
        if !value.ends_with(['}', ']']) {
            return Ok(());
        }
        // More lines may follow.
        let Ok(whole) = serde_json::from_str::<Value>(&self.pending) else {
            return Ok(());
        };
        self.pending.clear();
        let values = match whole {
            Value::Array(values) => values,
            one => vec![one],
        };
        let record = if self.is_error {
            Record::Failed
        } else {
            Record::Chunk
        };
        records.extend(values.into_iter().map(record));
        Ok(())
    }
}

/// Splits bytes into lines, with any kind of line ending.
#[derive(Debug, Default)]
struct Lines {
    buffer: Vec<u8>,
    /// Whether the first line was seen.
    begun: bool,
    /// Whether the last byte was a carriage return, so that a following line feed belongs to it.
    after_return: bool,
}

impl Lines {
    fn push(&mut self, bytes: &[u8]) -> Result<Vec<String>, String> {
        let mut lines = Vec::new();
        for &byte in bytes {
            let second = std::mem::replace(&mut self.after_return, byte == b'\r');
            match byte {
                // The two bytes of one end make no empty line.
                b'\n' if second => {}
                b'\n' | b'\r' => lines.push(self.end()),
                _ => self.buffer.push(byte),
            }
        }
        if self.buffer.len() > RECORD_BYTES_MAX {
            return Err("an endless line".to_owned());
        }
        Ok(lines)
    }

    /// Returns the last, unterminated line.
    fn end(&mut self) -> String {
        let line = String::from_utf8_lossy(&self.buffer).into_owned();
        self.buffer.clear();
        self.unmarked(line)
    }

    /// Removes a byte order mark.
    fn unmarked(&mut self, line: String) -> String {
        if std::mem::replace(&mut self.begun, true) {
            return line;
        }
        line.trim_start_matches('\u{feff}').to_owned()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;

    fn read(text: &str) -> Vec<Record> {
        let mut records = Records::default();
        let mut got = records.push(text.as_bytes()).unwrap();
        got.extend(records.end().unwrap());
        got
    }

    #[test]
    fn records_are_found_in_every_form_that_servers_send_them_in() {
        let one = || vec![Record::Chunk(json!({"a": 1}))];
        let cases = [
            ("an event", "data: {\"a\":1}\n\n"),
            ("without a space", "data:{\"a\":1}\n\n"),
            ("with carriage returns", "data: {\"a\":1}\r\n\r\n"),
            ("carriage returns alone", "data: {\"a\":1}\r\r"),
            (
                "with other fields",
                "event: x\nid: 1\nretry: 5\ndata: {\"a\":1}\n\n",
            ),
            ("with comments", ": hi\n\n:\ndata: {\"a\":1}\n\n: bye\n\n"),
            (
                "a comment in a data line",
                "data: : PROCESSING\n\ndata: {\"a\":1}\n\n",
            ),
            (
                "words in a data line",
                "data: ping\n\ndata: [PING]\n\ndata: {\"a\":1}\n\n",
            ),
            ("over two data lines", "data: {\"a\":\ndata: 1}\n\n"),
            ("no empty lines", "data: {\"a\":1}\n"),
            ("no end of line", "data: {\"a\":1}"),
            ("a byte order mark", "\u{feff}data: {\"a\":1}\n\n"),
            ("a line of its own", "{\"a\":1}\n"),
            ("the whole body", "{\"a\":1}"),
            ("the whole body over lines", "{\n  \"a\": 1\n}\n"),
            ("a list", "[{\"a\":1}]"),
            ("a list over lines", "[\n{\"a\": 1}\n]\n"),
        ];
        for (name, text) in cases {
            assert_eq!(read(text), one(), "{name}");
        }
    }

    #[test]
    fn the_end_and_errors_are_told_from_chunks() {
        assert_eq!(read("data: [DONE]\n\n"), [Record::Done]);
        for text in ["error: {\"a\":1}\n\n", "event: error\ndata: {\"a\":1}\n\n"] {
            assert_eq!(read(text), [Record::Failed(json!({"a": 1}))], "{text}");
        }
        assert_eq!(read("error: oops\n"), [Record::Failed(json!("oops"))]);
    }

    #[test]
    fn a_broken_record_is_an_error_and_never_passed_over() {
        for text in ["data: {oops\n\n", "data: {oops\ndata: {\"a\":1}\n\n"] {
            let error = Records::default().push(text.as_bytes()).unwrap_err();
            assert!(error.contains("{oops"), "{error}");
        }
    }

    #[test]
    fn what_is_no_record_is_kept_in_bounds() {
        let mut records = Records::default();
        for _ in 0..1_000 {
            records.push(b"<p>Hello, dear reader.\n").unwrap();
        }
        assert!(records.stray().starts_with("<p>Hello"));
        assert!(records.stray().len() < 2 * STRAY_BYTES_MAX);
    }

    #[test]
    fn an_endless_line_or_record_is_refused() {
        let line = vec![b'x'; RECORD_BYTES_MAX + 1];
        assert!(Records::default().push(&line).is_err());
        let mut records = Records::default();
        let row = format!("[{{\"a\":\n{}\n", "1".repeat(1 << 20));
        let many = (0..5).try_for_each(|_| records.push(row.as_bytes()).map(|_| ()));
        assert!(many.is_err());
    }

    proptest! {
        #[test]
        fn bytes_may_be_cut_anywhere(values in prop::collection::vec("[a-zé漢🎉]{0,12}", 0..6), crlf: bool, cuts in prop::collection::vec(1..9_usize, 0..60)) {
            let end = if crlf { "\r\n" } else { "\n" };
            let stream = values.iter().fold(String::new(), |all, value| {
                all + "data: " + &json!({"a": value}).to_string() + end + end
            });
            let mut rest = stream.as_bytes();
            let mut records = Records::default();
            let mut got = Vec::new();
            for cut in cuts {
                let (piece, after) = rest.split_at(cut.min(rest.len()));
                got.extend(records.push(piece).unwrap());
                rest = after;
            }
            got.extend(records.push(rest).unwrap());
            let expected: Vec<Record> = values.iter().map(|value| Record::Chunk(json!({"a": value}))).collect();
            prop_assert_eq!(got, expected);
        }
    }
}
