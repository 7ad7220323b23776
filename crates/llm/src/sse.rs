//! Lines of a stream, and server-sent events as far as streaming chat completions use them: the
//! `data:` lines (WHATWG HTML, section 9.2). Bytes may be cut anywhere, also inside a character.

/// A line longer than this is not a chat completion's.
const LINE_BYTES_MAX: usize = 4 << 20;

/// Collects bytes and gives whole lines.
#[derive(Debug, Default)]
pub(crate) struct Lines {
    buffer: Vec<u8>,
}

/// A line grew past every bound.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct TooLong;

impl Lines {
    /// Takes bytes in; the `data:` values that they complete.
    pub(crate) fn push(&mut self, bytes: &[u8]) -> Result<Vec<String>, TooLong> {
        let lines = self.push_lines(bytes)?;
        let values = lines.iter().filter_map(|line| line.strip_prefix("data:"));
        Ok(values.map(|value| value.trim().to_owned()).collect())
    }

    /// Takes bytes in; the lines that they complete, without their ends.
    pub(crate) fn push_lines(&mut self, bytes: &[u8]) -> Result<Vec<String>, TooLong> {
        self.buffer.extend_from_slice(bytes);
        let mut lines = Vec::new();
        while let Some(end) = self.buffer.iter().position(|&byte| byte == b'\n') {
            let line: Vec<u8> = self.buffer.drain(..=end).collect();
            lines.push(String::from_utf8_lossy(&line).trim_end().to_owned());
        }
        if self.buffer.len() > LINE_BYTES_MAX {
            return Err(TooLong);
        }
        Ok(lines)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn comments_and_other_fields_are_passed_over() {
        let mut lines = Lines::default();
        let values = lines
            .push(b": hi\nevent: x\ndata: {\"a\":1}\r\n\ndata:[DONE]\n")
            .unwrap();
        assert_eq!(values, ["{\"a\":1}", "[DONE]"]);
    }

    #[test]
    fn an_endless_line_is_refused() {
        let mut lines = Lines::default();
        assert_eq!(lines.push(&vec![b'x'; LINE_BYTES_MAX + 1]), Err(TooLong));
    }

    proptest! {
        #[test]
        fn bytes_may_be_cut_anywhere(values in prop::collection::vec("[a-zé漢🎉]{0,12}", 0..6), cuts in prop::collection::vec(1..9_usize, 0..60)) {
            let stream = values
                .iter()
                .fold(String::new(), |all, value| all + "data: " + value + "

");
            let mut rest = stream.as_bytes();
            let mut lines = Lines::default();
            let mut got = Vec::new();
            for cut in cuts {
                let (piece, after) = rest.split_at(cut.min(rest.len()));
                got.extend(lines.push(piece).unwrap());
                rest = after;
            }
            got.extend(lines.push(rest).unwrap());
            prop_assert_eq!(got, values);
        }
    }
}
