//! Decides whether what a prompt shows is wanted. In the docstring of what is asked for it is, unless something beside it
//! denies it. Elsewhere it has to stand on its own behind a request or a lead, and nothing may take it back.

use super::asked::{Prompt, is_comment};
use super::beside::{explains, is_remark};
use super::prose_examples::{begins_with_an_example, examples_on};
use super::units::{is_closed_beside, sentences};
use crate::prose::wording::{
    denies, names_a_fault, opening, says_any, speaks_of_examples, starts_with_any,
};
use crate::python::defined_name;

/// Words at the start of a request to change the behaviour of code. Code to be fixed or refactored must do what
/// its docstring says.
const CHANGES: &str = "adapt, alter, change, modify, rewrite, switch, turn, update";
/// Words with which such a request speaks of what is shown, which then must hold.
const SHOWN: &str = "above, assert, asserts, below, doctest, doctests, example, examples, fail, failing, fails, pass, passes, test, tests";
/// The most words of a label.
const LABEL_WORDS_MAX: usize = 6;
/// The most lines above and below in which what stands beside code is searched for.
const LINES_MAX: usize = 60;

impl Prompt<'_> {
    /// Whether the code on lines `first` to `last` is wanted.
    pub(crate) fn is_wanted(&self, first: usize, last: usize) -> bool {
        if self.is_remarked_around(first, last)
            || self.is_in_an_annotated_test(first, last)
            || self.takes_what_is_asked_from_elsewhere()
        {
            return false;
        }
        if self.is_described(first) {
            return !self.is_of_what_changes(first)
                && !self.is_beside_code_to_write_anew(first)
                && !self.is_denied_beside(first, last)
                && !self.is_doubted_around(first, last)
                && !self.units().doubts_docstrings;
        }
        let is_shown = self.lines[first].text.trim_start().starts_with(">>>");
        let is_test = ["def test", "class Test", "@"]
            .iter()
            .any(|start| self.lines[first].text.trim_start().starts_with(start))
            || self
                .function_around(first)
                .is_some_and(|name| name.starts_with("test"));
        self.units()
            .rule(self.units().of_lines(first, last), is_test, is_shown)
    }

    /// Whether what is asked for is imported from a module whose name says that it is wrong, or of the past: `legacy`.
    fn takes_what_is_asked_from_elsewhere(&self) -> bool {
        let mut own = self.lines.iter().filter(|line| line.is_own).map(|line| {
            let bare = line.text.trim();
            bare.strip_prefix(">>> ").unwrap_or(bare)
        });
        own.any(|line| {
            let import = line
                .strip_prefix("from ")
                .and_then(|rest| rest.split_once(" import "));
            import.is_some_and(|(module, names)| {
                let mut names = names.split([',', ' ', '(', ')']);
                names_a_fault(&words_of(module)) && names.any(|name| self.asks_for(name))
            })
        })
    }

    /// Whether a line of a table or a list of values is wanted, and right behind a lead such as `Examples:`.
    pub(super) fn is_led_to(&self, at: usize) -> bool {
        !self.is_described(at)
            && self.lines[at].is_own
            && self.units().is_behind_a_lead(self.units().of_lines(at, at))
            && self.is_wanted(at, at)
    }

    /// Whether a line is in a prompt that is itself the beginning of a file, or in the docstring of what is asked for.
    pub(super) fn is_described(&self, at: usize) -> bool {
        !self.stub.is_empty()
            || self
                .function_around(at)
                .is_some_and(|name| self.asks_for(name))
    }

    /// Whether a part of line `at`, given by the lengths of the text before and after it, is an example that is wanted.
    pub(crate) fn is_expectation(&self, at: usize, before: usize, behind: usize) -> bool {
        let line = &self.lines[at];
        if !self.is_described(at) {
            let unit = self.units().at(line.start + before);
            return unit.is_some_and(|(at, unit)| {
                unit.is_example && self.units().rule(at..at + 1, false, true)
            });
        }
        let examples = examples_on(self, line.text);
        let all = sentences(line.text, 0..line.text.len(), &examples);
        let (from, to) = (before, line.text.len() - behind);
        let Some(sentence) = all
            .into_iter()
            .find(|one| one.start <= from && one.end >= to)
        else {
            return false;
        };
        let mut others = examples
            .iter()
            .filter(|one| one.start >= sentence.start && one.end <= sentence.end);
        let (mut lead, mut place) = (String::new(), sentence.start);
        for example in others.clone() {
            lead.push_str(&line.text[place..example.start]);
            lead.push(' ');
            place = example.end;
        }
        let trail = &line.text[place..];
        let lead = lead.replace("\"\"\"", "");
        let trail = trail.trim_end().trim_end_matches("\"\"\"");
        let example = others
            .next_back()
            .map_or("", |last| &line.text[last.clone()]);
        (is_closed_beside(self, &lead, trail, example)
            || is_closed_beside(self, &lead, "", example) && explains(trail, example))
            && self.is_wanted(at, at)
    }

    /// Whether a comment on the lines right above or below some lines says something.
    fn is_remarked_around(&self, first: usize, last: usize) -> bool {
        let is_comment = |at: &usize| is_comment(self.lines[*at].text.trim());
        let says = |at: usize| {
            let text = self.lines[at].text;
            if self.is_described(at) {
                denies(text)
            } else {
                is_remark(text) && !is_heading(text)
            }
        };
        let is_heading_below = |at: &usize| !is_heading(self.lines[*at].text);
        (0..first).rev().take_while(is_comment).any(says)
            || (last + 1..self.lines.len())
                .take_while(is_comment)
                .take_while(is_heading_below)
                .any(says)
    }

    /// Whether the test around lines, or one of the tests on them, has a docstring or a comment, or a name that says that
    /// it shows what is or was so.
    fn is_in_an_annotated_test(&self, first: usize, last: usize) -> bool {
        let is_test = |at: &usize| {
            let name = defined_name(self.lines[*at].text.trim_start());
            name.is_some_and(|name| name.starts_with("test") || name.starts_with("Test"))
        };
        let around = self.heads_around(first).into_iter();
        let mut tests = around.chain(first..=last).filter(is_test);
        tests.any(|at| {
            let head = &self.lines[at];
            let indent = |text: &str| text.len() - text.trim_start().len();
            let is_within = |line: &&super::asked::Line<'_>| {
                line.text.trim().is_empty() || indent(line.text) > indent(head.text)
            };
            let mut body = self.lines[at + 1..]
                .iter()
                .take_while(is_within)
                .map(|line| line.text.trim());
            let opens = body
                .clone()
                .find(|line| !line.is_empty())
                .unwrap_or_default();
            let has_docstring = opens
                .trim_start_matches(['r', 'R'])
                .starts_with(['"', '\'']);
            let name = defined_name(head.text.trim_start()).unwrap_or_default();
            let is_function = name.starts_with("test");
            denies(&words_of(name)) || has_docstring || is_function && body.any(is_remark)
        })
    }

    /// Whether a line stands outside of the code of a prompt that begins with it, and the code is to be written once more:
    /// the line may say what it does today.
    fn is_beside_code_to_write_anew(&self, at: usize) -> bool {
        self.function_around(at).is_none() && self.units().asks_anew(self)
    }

    /// Whether a line is in the docstring of an existing function that is to be changed: examples there show its
    /// behaviour today.
    fn is_of_what_changes(&self, at: usize) -> bool {
        let asked = self.units().request().map(|range| &self.text[range]);
        let is_change = asked.is_some_and(|asked| {
            (starts_with_any(opening(asked), CHANGES) || says_any(asked, "instead, no longer"))
                && !says_any(asked, SHOWN)
        });
        if !is_change {
            return false;
        }
        let is_end = |text: &str| text.contains("\"\"\"") || text.contains("'''");
        let mut below = self.lines[at..]
            .iter()
            .skip_while(|line| !is_end(line.text))
            .skip(1);
        let body = below.find(|line| !line.text.trim().is_empty());
        body.is_some_and(|line| {
            let bare = line.text.trim();
            line.text.starts_with([' ', '\t'])
                && !["pass", "...", "raise NotImplementedError", "#"]
                    .iter()
                    .any(|start| bare.starts_with(start))
        })
    }

    /// Whether a line in a docstring is a label that is not understood: `But not like this:`.
    fn is_unknown_label(&self, at: usize) -> bool {
        let text = self.lines[at].text.trim();
        text.ends_with(':')
            && text.split_whitespace().count() <= LABEL_WORDS_MAX
            && !text.contains('(')
            && !speaks_of_examples(text)
    }

    /// Whether the nearest line of prose above or below lines in a docstring denies them.
    fn is_denied_beside(&self, first: usize, last: usize) -> bool {
        let says = |at: &usize| {
            let bare = self.lines[*at].text.trim();
            let is_answer = *at > 0 && self.lines[*at - 1].text.trim_start().starts_with(">>>");
            !bare.is_empty()
                && !bare.starts_with(">>>")
                && !is_answer
                && !begins_with_an_example(self, bare)
                && examples_on(self, bare).is_empty()
        };
        let denies = |at: usize| denies(self.lines[at].text);
        (0..first)
            .rev()
            .take(LINES_MAX)
            .find(says)
            .is_some_and(|at| denies(at) || self.is_unknown_label(at))
            || (last + 1..self.lines.len())
                .take(LINES_MAX)
                .find(says)
                .is_some_and(denies)
    }
}

fn is_heading(line: &str) -> bool {
    line.starts_with("##")
}

/// A name split into words: `test_legacy_total`, `TestLegacyTotal` and `TEST_LEGACY_TOTAL` become `test legacy total`.
pub(super) fn words_of(name: &str) -> String {
    let mut text = String::new();
    let mut is_in_capitals = false;
    for c in name.chars() {
        if c == '_' || c.is_uppercase() && !is_in_capitals {
            text.push(' ');
        }
        if c != '_' {
            text.extend(c.to_lowercase());
        }
        is_in_capitals = c.is_uppercase();
    }
    text
}
