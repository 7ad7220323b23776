//! Determines what a prompt says about whole sections: headings and block titles about the lines below them, later
//! lines about the lines above, and the tests' own names, docstrings and comments about themselves.

use super::asked::{Prompt, is_comment, is_fence};
use super::surroundings::{is_affirmed, sentences};
use crate::prose::neutral::is_neutral_heading;
use crate::prose::wording::{
    amends, demands, heads_a_report, requests, shows_what_was, withdraws, without_strings,
};
use crate::python::defined_name;

/// What a prompt says about its lines, found in one pass.
pub(crate) struct Sections {
    /// For each line, whether a heading above it or the title of its block says that it shows past or present
    /// behaviour.
    is_in_a_report: Vec<bool>,
    /// The last line that retracts or changes what is above it.
    amended_at: usize,
}

impl Sections {
    fn of(prompt: &Prompt<'_>) -> Self {
        let mut is_in_a_report = Vec::with_capacity(prompt.lines.len());
        let mut amended_at = 0;
        // The levels of the headings that a line stands under, and whether each heads a report.
        let mut headings: Vec<(usize, bool)> = Vec::new();
        let (mut is_in_block, mut is_titled) = (false, false);
        let has_words = |at: &usize| !prompt.lines[*at].text.trim().is_empty();
        let first = (0..prompt.lines.len()).find(has_words);
        for (at, line) in prompt.lines.iter().enumerate() {
            if line.is_fenced {
                if !is_in_block {
                    is_titled =
                        is_fence(line.text.trim_start()) && heads_a_report(&title(line.text));
                }
            } else {
                is_titled = false;
                let is_above_code =
                    at + 1 < prompt.lines.len() && has_words(&(at + 1)) && prompt.is_code(at + 1);
                // One above code is a remark, and the first one is about the task.
                if let Some((level, text)) = heading(line.text).filter(|_| !is_above_code) {
                    headings.retain(|(other, _)| *other < level);
                    let is_below = headings.last().is_some_and(|(_, is_report)| *is_report);
                    let is_plain = demands(text) || is_affirmed(text);
                    let is_understood = || {
                        demands(text)
                            || requests(text)
                            || is_neutral_heading(text, prompt.request_text())
                    };
                    let is_report = (heads_a_report(text)
                        || prompt.stub.is_empty() && !is_understood())
                        && Some(at) != first;
                    headings.push((level, is_report || is_below && !is_plain));
                }
                // `Update: numeric` is Python, too.
                let is_prose = !prompt.is_code(at);
                if (line.is_own || line.is_quotation)
                    && sentences(line.text).any(|one| amends(one) || is_prose && withdraws(one))
                {
                    amended_at = at;
                }
            }
            is_in_block = line.is_fenced;
            let is_headed = headings.last().is_some_and(|(_, is_report)| *is_report);
            is_in_a_report.push(is_titled || is_headed);
        }
        Self {
            is_in_a_report,
            amended_at,
        }
    }
}

impl Prompt<'_> {
    fn sections(&self) -> &Sections {
        self.sections.get_or_init(|| Sections::of(self))
    }

    /// Whether a heading above a line, or the title of its block, says that it shows past or present behaviour, which
    /// is not wanted.
    pub(super) fn is_in_a_report(&self, at: usize) -> bool {
        self.sections().is_in_a_report[at]
    }

    /// Whether a later line retracts or changes what is on this line.
    pub(super) fn is_taken_back(&self, at: usize) -> bool {
        at < self.sections().amended_at
    }

    /// Whether the code on lines `first` to `last`, or the test around it, says that it shows past or present
    /// behaviour: in the test's name, its docstring or a comment.
    pub(super) fn is_test_of_the_past(&self, first: usize, last: usize) -> bool {
        let is_test = |at: &usize| {
            let name = defined_name(self.lines[*at].text.trim_start());
            name.is_some_and(|name| name.starts_with("test") || name.starts_with("Test"))
        };
        let around = self.heads_around(first).into_iter();
        let mut tests = around.chain(first..=last).filter(is_test);
        let in_a_comment = |at: usize| {
            let line = without_strings(self.lines[at].text);
            let comment = line.split_once('#').map(|(_, comment)| comment);
            comment.is_some_and(shows_what_was)
        };
        (first..=last).any(in_a_comment)
            || tests.any(|at| {
                let name = defined_name(self.lines[at].text.trim_start()).unwrap_or_default();
                shows_what_was(&words_of(name)) || shows_what_was(&self.docstring_below(at))
            })
    }

    /// The docstring of the function or class that a line defines; empty if it has none.
    fn docstring_below(&self, at: usize) -> String {
        /// The most lines of a docstring that are read.
        const LINES_MAX: usize = 40;
        let mut below = self.lines[at + 1..].iter().map(|line| line.text.trim());
        let first = below.find(|line| !line.is_empty()).unwrap_or_default();
        let first = first.trim_start_matches(['r', 'R']);
        let quotes = ["\"\"\"", "'''", "\"", "'"];
        let Some(quote) = quotes.into_iter().find(|quote| first.starts_with(quote)) else {
            return String::new();
        };
        let mut text = first[quote.len()..].to_owned();
        for line in below.take(LINES_MAX) {
            if quote.len() == 1 || text.contains(quote) {
                break;
            }
            text.push(' ');
            text.push_str(line);
        }
        let end = text.find(quote).unwrap_or(text.len());
        text.truncate(end);
        text
    }
}

/// The title of a fenced block as words: the text after the language in its opening line.
fn title(fence: &str) -> String {
    let info = fence.trim_start().trim_start_matches(['`', '~']);
    let (_, title) = info.trim().split_once([' ', '{', ',']).unwrap_or_default();
    let words = title.split(|c: char| !c.is_alphanumeric());
    words.collect::<Vec<_>>().join(" ")
}

/// The level and the text of a heading of Markdown.
fn heading(line: &str) -> Option<(usize, &str)> {
    if !is_comment(line) {
        return None;
    }
    let text = line.trim_start_matches('#');
    let level = line.len() - text.len();
    text.starts_with(' ').then(|| (level, text.trim()))
}

/// A name split into words: `test_legacy_total` and `TestLegacyTotal` become `test legacy total`. Words about failing
/// are left out, because many tests check that something fails.
fn words_of(name: &str) -> String {
    let mut text = String::new();
    for c in name.chars() {
        if c.is_uppercase() || c == '_' {
            text.push(' ');
        }
        if c != '_' {
            text.extend(c.to_lowercase());
        }
    }
    let words = text.split(' ').filter(|word| !word.starts_with("fail"));
    words.collect::<Vec<_>>().join(" ")
}
