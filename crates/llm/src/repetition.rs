//! Detects a model that repeats itself endlessly, from the text as it streams. Code contains much legitimate
//! repetition (tables, matrices, brackets), so only exact repetition that is very frequent counts.

/// The length in lines of the longest block whose repetition is detected.
const BLOCK_LINES_MAX: usize = 40;
/// For blocks of one or two lines: how many lines must equal the line one block earlier. Tables may have many
/// equal rows.
const EQUAL_ROWS_MAX: usize = 47;
/// The same for longer blocks. No test or function is legitimately written five times.
const EQUAL_LINES_MAX: usize = 24;
/// The number of copies of a block beside the first.
const COPIES_MAX: usize = 4;
/// The number of empty lines in a row.
const EMPTY_LINES_MAX: usize = 100;
/// In a line of this many bytes, repetition is searched for within the line, ...
const LINE_BYTES: usize = 4_000;
/// ... each time this many more have arrived, ...
const LINE_STEP: usize = 1_000;
/// ... in the last ones up to this many. So a repeated piece has at most a fifth of that.
const LINE_BYTES_MAX: usize = 20_000;

/// Watches the text of one answer.
#[derive(Debug)]
pub(crate) struct RepetitionDetector {
    /// The current, unfinished line.
    line: String,
    /// The length of that line at the last check.
    looked_at: usize,
    /// The last non-empty lines, the newest last.
    lines: Vec<String>,
    /// For each block size: the number of lines in a row that equal the line one block earlier.
    equal: [usize; BLOCK_LINES_MAX],
    empty: usize,
}

impl Default for RepetitionDetector {
    fn default() -> Self {
        Self {
            line: String::new(),
            looked_at: 0,
            lines: Vec::new(),
            equal: [0; BLOCK_LINES_MAX],
            empty: 0,
        }
    }
}

impl RepetitionDetector {
    /// Takes the next piece of text. Returns the repeated text, if there is one.
    pub(crate) fn repeats(&mut self, piece: &str) -> Option<String> {
        let mut rest = piece;
        while let Some((end, after)) = rest.split_once('\n') {
            self.line.push_str(end);
            if let Some(repeated) = self.end_line() {
                return Some(repeated);
            }
            rest = after;
        }
        self.line.push_str(rest);
        if self.line.len() < LINE_BYTES.max(self.looked_at + LINE_STEP) {
            return None;
        }
        self.looked_at = self.line.len();
        let line = self.line.as_bytes();
        let last = &line[line.len().saturating_sub(LINE_BYTES_MAX)..];
        period(last)
            .map(|period| String::from_utf8_lossy(&last[last.len() - period..]).into_owned())
    }

    fn end_line(&mut self) -> Option<String> {
        self.looked_at = 0;
        let line = std::mem::take(&mut self.line);
        let line = line.trim_end();
        if line.is_empty() {
            self.empty += 1;
            return (self.empty > EMPTY_LINES_MAX).then(|| "empty lines".to_owned());
        }
        self.empty = 0;
        let line = without_number(line);
        let mut repeated = None;
        // Equal rows also equal those three or forty rows earlier.
        let mut rows = 0;
        for (before, equal) in self.equal.iter_mut().enumerate() {
            let size = before + 1;
            let earlier = self.lines.len().checked_sub(size).map(|at| &self.lines[at]);
            *equal = match earlier {
                Some(earlier) if *earlier == line => *equal + 1,
                _ => 0,
            };
            let max = match size {
                1 | 2 => EQUAL_ROWS_MAX,
                _ if rows >= size => continue,
                _ => EQUAL_LINES_MAX.max(COPIES_MAX * size),
            };
            if size <= 2 {
                rows = rows.max(*equal);
            }
            if *equal >= max {
                repeated.get_or_insert(size);
            }
        }
        if self.lines.len() == BLOCK_LINES_MAX {
            self.lines.remove(0);
        }
        self.lines.push(line);
        repeated.map(|size| self.lines[self.lines.len() - size..].join("\n"))
    }
}

/// A line that opens a block, without its digits, so that `def test_add_7():` counts as a copy of `def
/// test_add_6():` if the lines after them are equal.
fn without_number(line: &str) -> String {
    if line.ends_with(':') {
        line.replace(|c: char| c.is_ascii_digit(), "")
    } else {
        line.to_owned()
    }
}

/// The length in bytes of the piece that a text ends with again and again, if there is one: at least [`COPIES_MAX`] copies
/// beside the first, and at least [`LINE_BYTES`] of them all.
///
/// Read from its end, the text has at each length the smallest period that the prefix function tells (Knuth, Morris and
/// Pratt, "Fast Pattern Matching in Strings", 1977).
fn period(bytes: &[u8]) -> Option<usize> {
    let from_end: Vec<u8> = bytes.iter().rev().copied().collect();
    // For each length, how many of the first bytes are also the last of that length.
    let mut borders: Vec<usize> = vec![0];
    for (at, byte) in from_end.iter().enumerate().skip(1) {
        let mut border = borders[at - 1];
        while border > 0 && from_end[border] != *byte {
            border = borders[border - 1];
        }
        borders.push(border + usize::from(from_end[border] == *byte));
    }
    let lengths = borders
        .iter()
        .enumerate()
        .map(|(at, border)| (at + 1, border));
    let mut periods = lengths.map(|(length, border)| (length, length - border));
    let found =
        periods.find(|(length, period)| *length >= LINE_BYTES && *length > COPIES_MAX * period);
    found.map(|(_, period)| period)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The number of characters after which the repetition is detected, however the text is split.
    fn noticed(text: &str) -> Option<usize> {
        let at = |size: usize| {
            let mut watch = RepetitionDetector::default();
            let chars: Vec<char> = text.chars().collect();
            let mut seen = 0;
            chars.chunks(size).find_map(|piece| {
                seen += piece.len();
                watch
                    .repeats(&piece.iter().collect::<String>())
                    .map(|_| seen)
            })
        };
        let (one, other) = (at(1), at(7));
        assert_eq!(one.is_some(), other.is_some());
        one
    }

    const TEST: &str = "def test_add():\n    result = add(1, 2)\n    assert result == 3\n\n\n";

    /// About so many bytes on one line, of which no part is repeated.
    fn words(bytes: usize) -> String {
        let mut text = many(2_000, |n| format!("word {} ", n * n));
        text.truncate(bytes);
        text
    }

    /// This many pieces of text, each built from its number.
    fn many(count: u32, piece: impl Fn(u32) -> String) -> String {
        (0..count).map(piece).collect::<Vec<_>>().concat()
    }

    #[test]
    fn what_is_repeated_is_noticed_long_before_the_limit_of_a_call() {
        let numbered = many(40, |n| TEST.replace("add()", &format!("add_{n}()")));
        let cases = [
            ("one test", TEST.repeat(40), 900),
            ("one test with a number", numbered, 900),
            ("one line", "    assert add(1, 2) == 3\n".repeat(200), 1_400),
            ("two lines", "a = 1\nb = 2\n".repeat(200), 400),
            (
                "a block of twenty lines",
                many(400, |n| format!("x{} = 1\n", n % 20)),
                1_000,
            ),
            ("empty lines", "\n".repeat(500), 200),
            ("a word", "the ".repeat(5_000), 5_100),
            ("a long sentence", words(250).repeat(60), 6_100),
            ("a page without line ends", words(3_000).repeat(10), 18_100),
        ];
        for (name, text, before) in cases {
            let text = format!("import pytest\n\n{text}");
            let at = noticed(&text);
            assert!(at.is_some_and(|at| at < before), "{name}: {at:?}");
        }
    }

    #[test]
    fn what_is_repeated_is_told() {
        let told = |text: &str| {
            RepetitionDetector::default()
                .repeats(text)
                .unwrap_or_default()
        };
        // It is ambiguous where the block starts.
        let two = told(&"a = 1\nb = 2\n".repeat(200));
        assert!(["a = 1\nb = 2", "b = 2\na = 1"].contains(&&*two), "{two}");
        assert_eq!(told(&"x = 1\n".repeat(200)), "x = 1");
        assert_eq!(told(&"the ".repeat(5_000)), "the ");
        assert_eq!(told(&"\n".repeat(500)), "empty lines");
    }

    #[test]
    fn code_that_repeats_itself_on_purpose_is_left_alone() {
        let rows = "    [0, 0, 0, 0, 0, 0, 0, 0],\n".repeat(40);
        let table = many(500, |n| format!("    ({n}, {}),\n", n * n));
        let tests = many(60, |n| {
            format!("def test_{n}():\n    x = f({n})\n    assert x == {n}\n\n\n")
        });
        let entries = "    {\n        \"a\": 0,\n        \"b\": 0,\n    },\n".repeat(6);
        let cases = many(60, |n| {
            format!("    elif x == {n}:\n        return {}\n", n * 3)
        });
        let fields = many(80, |n| format!("self.f{n} = None\n"));
        for (name, text) in [
            ("a matrix", rows),
            ("a table", table),
            ("many tests", tests),
            ("equal entries", entries),
            ("many cases", cases),
            ("fields", fields),
            (
                "a long list on one line",
                format!("x = [{}]\n", "0, ".repeat(1_200)),
            ),
            ("long data on one line", many(2_000, |n| format!("{n},"))),
            ("four times the same on one line", words(4_000).repeat(4)),
        ] {
            assert_eq!(noticed(&text), None, "{name}");
        }
    }
}
