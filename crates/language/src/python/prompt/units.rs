//! Splits a prompt into units: code, examples that fill their sentence, headings, and sentences, with what each says to the
//! examples beside it. What is not understood is a unit, too, and lets no example beside it rule.

use std::collections::BTreeSet;
use std::ops::Range;

use journeyman_syntax::Source;

use super::asked::{Line, Prompt, has_parameters, is_comment, is_fence};
use super::beside::{is_formal, is_of_argument, split_comment, without_parentheses};
use super::prose_examples::{after_label, begins_with_an_example, call_at, examples_on, is_pair};
use super::sessions::is_prose;
use crate::prose::aside::{Aside, aside};
use crate::prose::description::{asks_for_a_condition, describes};
use crate::prose::wording::{
    Closed, asks, asks_anew, closed, denies, doubts, doubts_docstrings, explains, is_section,
    is_title, may_follow, may_precede, names_a_thing, only_ends, opening, points_on, repairs,
    says_any, speaks_of_other_code, takes_back,
};
use crate::python::literal::literal;

/// How statements over several lines begin.
const HEADS: &[&str] = &[
    "async def ",
    "class ",
    "def ",
    "for ",
    "if ",
    "try:",
    "while ",
    "with ",
];
/// Words with which a remark beside one example speaks of others.
const OF_OTHERS: &str =
    "above, all, below, both, each, every, examples, tests, them, these, they, those";

/// What a unit says to the examples beside it. Code and examples say nothing.
#[derive(Clone, Copy, Debug, Default)]
#[allow(clippy::struct_excessive_bools)] // a unit may say each of them, with or without the others
pub(crate) struct Says {
    /// Whether examples behind it may rule.
    pub(crate) may_precede: bool,
    /// Whether examples before it may rule.
    pub(crate) may_follow: bool,
    /// Whether it introduces examples.
    pub(crate) is_lead: bool,
    /// Whether it points at something beside it without being understood.
    pub(crate) points_on: bool,
    /// Whether it asks for code.
    pub(crate) asks: bool,
    /// Whether it speaks of the inputs or of the code as such, and of no example.
    is_aside: bool,
    /// Whether it says what the code does, with words that speak of no example.
    describes: bool,
}

pub(crate) struct Unit {
    /// The bytes of the prompt.
    range: Range<usize>,
    paragraph: usize,
    says: Option<Says>,
    /// Whether it consists of examples with what leads to them.
    pub(crate) is_example: bool,
    /// Whether it stands under a heading that is not understood.
    is_in_a_section: bool,
}

/// The units of a prompt, in order.
pub(crate) struct Units {
    all: Vec<Unit>,
    /// For each line, the units on it.
    of_line: Vec<Range<usize>>,
    /// For each unit, the nearest one before it that says something.
    before: Vec<Option<usize>>,
    /// For each unit, the nearest one behind it that says something.
    behind: Vec<Option<usize>>,
    /// The last unit that may take back what stands above it.
    taken_back_at: usize,
    /// The first unit that may doubt what stands below it.
    doubted_at: usize,
    /// Whether the request is to repair code: then only a lead leads to examples.
    is_repair: bool,
    /// Whether what is said of the code is said of what is asked for, and of no code that is there.
    is_of_new_code: bool,
    /// Whether what a docstring shows may be doubted elsewhere in the prompt.
    pub(super) doubts_docstrings: bool,
}

/// What a line is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum LineKind {
    Blank,
    Code,
    /// A comment in code, and whether it stands right below code, or above nothing.
    Comment {
        is_of_above: bool,
    },
    Heading(usize),
    /// Something quoted, or the title of a block.
    Foreign,
    Prose,
}

impl Units {
    fn of(prompt: &Prompt<'_>) -> Self {
        let kinds = kinds_of(prompt);
        let mut units = Self {
            all: Vec::new(),
            of_line: vec![0..0; prompt.lines.len()],
            before: Vec::new(),
            behind: Vec::new(),
            taken_back_at: 0,
            doubted_at: usize::MAX,
            is_repair: false,
            is_of_new_code: false,
            doubts_docstrings: false,
        };
        let mut headings: Vec<(usize, bool)> = Vec::new();
        let (mut paragraph, mut is_first) = (0, true);
        let mut comments = Vec::new();
        let mut at = 0;
        while at < kinds.len() {
            let line = &prompt.lines[at];
            let is_in_a_section = headings.last().is_some_and(|(_, is_unknown)| *is_unknown);
            let mut put = |range: Range<usize>, paragraph, says, is_example| {
                units.all.push(Unit {
                    range,
                    paragraph,
                    says,
                    is_example,
                    is_in_a_section,
                });
            };
            let whole = line.start..line.start + line.text.len();
            let from = at;
            match kinds[at] {
                LineKind::Blank => paragraph += 1,
                LineKind::Code => {
                    let remark = line.text.split_once('#').map_or("", |(_, remark)| remark);
                    let says = says_any(remark, OF_OTHERS).then(Says::default);
                    put(whole, paragraph, says, false);
                }
                LineKind::Comment { is_of_above } => {
                    if !is_formal(line.text, "") {
                        comments.push((units.all.len(), is_of_above));
                    }
                    units.all.push(Unit {
                        range: whole,
                        paragraph,
                        says: None,
                        is_example: false,
                        is_in_a_section,
                    });
                }
                LineKind::Heading(level) => {
                    let text = line.text.trim_matches(['#', ' ']);
                    let says = says_of(prompt, text);
                    let is_known =
                        says.is_none_or(|says| says.is_lead || says.may_precede || says.may_follow);
                    headings.retain(|(other, _)| *other < level);
                    let is_below = headings.last().is_some_and(|(_, is_unknown)| *is_unknown);
                    headings.push((level, is_below || !is_known && !is_first || denies(text)));
                    paragraph += 1;
                    put(whole, paragraph, Some(says.unwrap_or_default()), false);
                    paragraph += 1;
                }
                LineKind::Foreign => put(whole, paragraph, Some(Says::default()), false),
                LineKind::Prose => {
                    while at + 1 < kinds.len()
                        && kinds[at + 1] == LineKind::Prose
                        && !is_apart(prompt, at)
                    {
                        at += 1;
                    }
                    let end = prompt.lines[at].start + prompt.lines[at].text.len();
                    if explains(&prompt.text[whole.start..end]) {
                        let says = Says {
                            may_precede: true,
                            may_follow: true,
                            ..Says::default()
                        };
                        put(whole.start..end, paragraph, Some(says), false);
                        at += 1;
                        continue;
                    }
                    let examples = (from..=at).flat_map(|at| {
                        let line = &prompt.lines[at];
                        examples_on(prompt, line.text)
                            .into_iter()
                            .map(|range| line.start + range.start..line.start + range.end)
                    });
                    let examples: Vec<Range<usize>> = examples.collect();
                    for range in sentences(prompt.text, whole.start..end, &examples) {
                        let within: Vec<_> = examples
                            .iter()
                            .filter(|one| one.start >= range.start && one.end <= range.end)
                            .cloned()
                            .collect();
                        let (says, is_example) = read(prompt, range.clone(), &within);
                        put(range, paragraph, says, is_example);
                    }
                }
            }
            is_first &= kinds[at] == LineKind::Blank;
            at += 1;
        }
        units.link(prompt, &comments);
        units
    }

    fn link(&mut self, prompt: &Prompt<'_>, comments: &[(usize, bool)]) {
        if let Some(first) = self.all.first_mut()
            && let Some(says) = &mut first.says
            && names_a_thing(&prompt.text[first.range.clone()])
        {
            (says.may_precede, says.asks) = (true, true);
        }
        if self.request().is_none()
            && let Some(first) = self.all.first_mut()
            && let Some(says) = &mut first.says
            && is_title(&prompt.text[first.range.clone()])
        {
            (says.may_precede, says.asks) = (true, true);
        }
        self.is_repair = self.request().is_some_and(|request| {
            let request = &prompt.text[request];
            repairs(request) || asks_anew(request)
        });
        self.is_of_new_code = !prompt.defines()
            && self
                .request()
                .is_some_and(|request| !speaks_of_other_code(&prompt.text[request]));
        let mut next = 0;
        for (line, of_line) in prompt.lines.iter().zip(&mut self.of_line) {
            while self
                .all
                .get(next)
                .is_some_and(|unit| unit.range.end <= line.start)
            {
                next += 1;
            }
            let end = line.start + line.text.len();
            let count = self.all[next..]
                .iter()
                .take_while(|unit| unit.range.start < end)
                .count();
            *of_line = next..next + count;
        }
        // A comment that is not understood speaks of what stands below it, and, right below code, of that.
        let is_said = |units: &Self, at: usize| units.all[at].says.is_some();
        let is_comment = |at: usize| comments.binary_search_by_key(&at, |(at, _)| *at);
        let mut last = None;
        for at in 0..self.all.len() {
            self.before.push(last);
            if is_said(self, at) || is_comment(at).is_ok() {
                last = Some(at);
            }
        }
        let mut last = None;
        for at in (0..self.all.len()).rev() {
            self.behind.push(last);
            if is_said(self, at) || is_comment(at).is_ok_and(|found| comments[found].1) {
                last = Some(at);
            }
        }
        self.behind.reverse();
        for (at, unit) in self.all.iter().enumerate() {
            let is_unknown = unit
                .says
                .is_some_and(|says| !says.is_lead && !says.may_follow);
            let text = &prompt.text[unit.range.clone()];
            if (is_unknown || is_comment(at).is_ok()) && takes_back(text) {
                self.taken_back_at = at;
            }
            let leads_nowhere = unit
                .says
                .is_some_and(|says| !says.is_lead && !says.may_precede);
            if leads_nowhere && !self.leads_on(at) && doubts(text) {
                self.doubted_at = self.doubted_at.min(at);
            }
        }
        self.doubts_docstrings = self.is_a_docstring_doubted(prompt);
    }

    /// The unit at this byte of the prompt.
    pub(crate) fn at(&self, place: usize) -> Option<(usize, &Unit)> {
        let at = self.all.partition_point(|unit| unit.range.end <= place);
        self.all
            .get(at)
            .filter(|unit| unit.range.start <= place)
            .map(|unit| (at, unit))
    }

    pub(crate) fn of_lines(&self, first: usize, last: usize) -> Range<usize> {
        self.of_line[first].start..self.of_line[last].end
    }

    /// The bytes of the first sentence that asks for code.
    pub(crate) fn request(&self) -> Option<Range<usize>> {
        let asks = |unit: &&Unit| unit.says.is_some_and(|says| says.asks);
        self.all.iter().find(asks).map(|unit| unit.range.clone())
    }

    /// Whether a sentence asks for code to be written once more.
    pub(super) fn asks_anew(&self, prompt: &Prompt<'_>) -> bool {
        let mut said = self.all.iter().filter(|unit| unit.says.is_some());
        said.any(|unit| asks_anew(&prompt.text[unit.range.clone()]))
    }

    /// Whether a sentence outside of the code, or a comment in it, may doubt what the code's docstring shows.
    fn is_a_docstring_doubted(&self, prompt: &Prompt<'_>) -> bool {
        // In a prompt that begins as a file, strings before it may look like prose.
        let end = prompt.text.rfind("\"\"\"").unwrap_or_default();
        let from = if prompt.stub.is_empty() { 0 } else { end };
        let mut outside = self.all.iter().filter(|unit| unit.range.start >= from);
        let is_said = outside.any(|unit| {
            unit.says
                .is_some_and(|says| !says.is_lead && !says.may_follow)
                && doubts_docstrings(&prompt.text[unit.range.clone()])
        });
        is_said
            || prompt.lines.iter().any(|line| {
                // A remark beside an example is of that example.
                doubts_docstrings(split_comment(line.text).1)
                    && !begins_with_an_example(prompt, line.text)
                    && examples_on(prompt, line.text).is_empty()
            })
    }

    /// Whether a sentence right above or below the code on some lines is not understood.
    pub(super) fn is_doubted_beside(&self, first: usize, last: usize) -> bool {
        let leaves = |says: Says| {
            says.is_lead || says.may_follow || says.is_aside || says.describes || says.asks
        };
        let mut above = self
            .before
            .get(self.of_line[first].start)
            .copied()
            .flatten();
        // Comments are read with the code.
        while let Some(at) = above.filter(|&at| self.all[at].says.is_none()) {
            above = self.before[at];
        }
        let mut below = self.of_line[last]
            .end
            .checked_sub(1)
            .and_then(|at| self.behind[at]);
        while let Some(at) = below.filter(|&at| self.all[at].says.is_none()) {
            below = self.behind[at];
        }
        above.is_some_and(|at| !leaves(self.said(at)) && !self.said(at).may_precede)
            || below.is_some_and(|at| !leaves(self.said(at)))
    }

    /// Whether a unit between a request and an example leaves the request to lead to the example.
    fn leads_on(&self, at: usize) -> bool {
        let says = self.said(at);
        !says.may_precede && (says.is_aside || says.describes && self.is_of_new_code)
    }

    /// Whether the nearest unit above some examples that says something leads to them.
    pub(super) fn is_behind_a_lead(&self, examples: Range<usize>) -> bool {
        let above = self.before.get(examples.start).copied().flatten();
        above.is_some_and(|at| self.said(at).is_lead)
    }

    fn said(&self, at: usize) -> Says {
        self.all[at].says.unwrap_or_default()
    }

    /// Whether the examples in these units rule: what stands before them leads to them or asks for what they show, and
    /// what stands behind them takes nothing back. `is_test` says that they are test functions, which may stand first, and
    /// `is_shown` that they are calls with their results, as a report of what is to be repaired has them, and no checks.
    pub(crate) fn rule(&self, examples: Range<usize>, is_test: bool, is_shown: bool) -> bool {
        let (Some(first), Some(last)) = (self.all.get(examples.start), examples.end.checked_sub(1))
        else {
            return false;
        };
        if first.is_in_a_section || last < self.taken_back_at || self.doubted_at < examples.start {
            return false;
        }
        let behind = self.behind[last];
        let goes_on = behind.is_none_or(|next| {
            let rest = self.all[next..]
                .iter()
                .take_while(|unit| unit.paragraph == self.all[next].paragraph);
            self.all[next].says.is_some()
                && rest
                    .into_iter()
                    .all(|unit| unit.says.is_none_or(|says| says.may_follow))
        });
        // Asides, and what says what the code does, lead on from the request above them.
        let nearest = self.before[examples.start];
        let mut above = nearest;
        while let Some(at) = above.filter(|&at| self.leads_on(at)) {
            above = self.before[at];
        }
        let leads_here = match above {
            None if nearest.is_some() => false,
            None => {
                is_test
                    || self.request().is_none()
                    || behind.is_some_and(|next| self.said(next).is_lead)
            }
            Some(before) => {
                let above = self.before[before].filter(|above| above + 1 == before);
                let above = above.map_or(Says::default(), |at| self.said(at));
                self.said(before).may_precede
                    && (!self.is_repair || !is_shown || self.said(before).is_lead)
                    && !(self.said(before).is_lead && above.points_on && !above.may_precede)
            }
        };
        goes_on && leads_here
    }
}

impl Prompt<'_> {
    pub(super) fn units(&self) -> &Units {
        self.units.get_or_init(|| Units::of(self))
    }
}

/// What a sentence or heading without examples says; `None` if it has no words.
fn says_of(prompt: &Prompt<'_>, text: &str) -> Option<Says> {
    let bare = without_signatures(prompt, text);
    if let Some(closed) = closed(&bare) {
        return closed.has_words.then_some(Says {
            may_precede: closed.is_lead() || closed.asks,
            may_follow: closed.names_examples || closed.asks,
            is_lead: closed.is_lead(),
            asks: closed.asks,
            ..Says::default()
        });
    }
    let is_section = is_section(text);
    let asked = prompt.asked();
    let aside = aside(text, asked.parameters);
    Some(Says {
        may_precede: !is_section && may_precede(text) || asks_for_a_condition(text, asked),
        may_follow: is_section || aside.is_some() || may_follow(text),
        is_lead: false,
        points_on: points_on(text) || denies(text) && !asks(text),
        asks: asks(text),
        is_aside: aside == Some(Aside::Task),
        describes: describes(text, asked),
    })
}

/// Whether a sentence leads to examples.
pub(super) fn is_lead(prompt: &Prompt<'_>, text: &str) -> bool {
    says_of(prompt, text).is_none_or(|says| says.is_lead)
}

/// Whether a sentence is understood, and says nothing against examples beside it.
pub(super) fn is_understood(prompt: &Prompt<'_>, text: &str) -> bool {
    says_of(prompt, text).is_none_or(|says| says.is_lead || says.may_follow || says.describes)
}

/// What a sentence says, and whether it consists of examples with what leads to them.
fn read(
    prompt: &Prompt<'_>,
    range: Range<usize>,
    examples: &[Range<usize>],
) -> (Option<Says>, bool) {
    let text = &prompt.text[range.clone()];
    if examples.is_empty() {
        let says = if is_beside_an_example(prompt, text, text.trim_start()) {
            None
        } else {
            says_of(prompt, text)
        };
        let is_rule_line = text
            .chars()
            .all(|c| c.is_whitespace() || "-*_=".contains(c));
        return (
            says.or_else(|| {
                (!text.contains(char::is_alphanumeric) && !is_rule_line).then(Says::default)
            }),
            false,
        );
    }
    let mut rest = String::new();
    let mut from = range.start;
    for example in examples {
        rest.push_str(&prompt.text[from..example.start]);
        rest.push(' ');
        from = example.end;
    }
    let trail = &prompt.text[from..range.end];
    let last = examples
        .last()
        .map_or("", |last| &prompt.text[last.clone()]);
    if is_closed_beside(prompt, &rest, trail, last) {
        return (None, true);
    }
    let is_led = rest.trim_matches(|c: char| !c.is_alphanumeric()).is_empty();
    let is_beside =
        is_led && is_beside_an_example(prompt, text, &prompt.text[examples[0].start..range.end]);
    (
        (!is_beside).then(|| Says {
            asks: asks(text),
            ..Says::default()
        }),
        false,
    )
}

/// Whether what stands before the last example of a sentence, and what stands behind it, is of the closed grammar.
pub(super) fn is_closed_beside(
    prompt: &Prompt<'_>,
    lead: &str,
    trail: &str,
    example: &str,
) -> bool {
    let (code, comment) = trail.split_once('#').unwrap_or((trail, ""));
    let value = shown_value(example);
    let (code, inside) = without_parentheses(code);
    let around = format!("{lead} {code}");
    let ends = only_ends(&code);
    let is_asked =
        |closed: Closed| closed.has_words || !opening(&around).contains(char::is_alphanumeric);
    closed(&without_signatures(prompt, &around)).is_some_and(is_asked)
        && ends
        && (is_formal(comment, value) || is_of_argument(comment, example, value))
        && inside.iter().all(|remark| {
            !remark.trim().is_empty()
                && (is_formal(remark, value) || is_of_argument(remark, example, value))
        })
}

/// The result at the end of an example.
fn shown_value(example: &str) -> &str {
    let mut starts = example
        .match_indices([' ', '=', '>', '`', '→', '➞'])
        .map(|(at, mark)| at + mark.len());
    let value = starts.find(|&at| literal(&example[at..]).is_some_and(|(_, rest)| rest.is_empty()));
    value.map_or("", |at| &example[at..])
}

/// Whether a line has a call and, behind it, a result, an error or a remark, so that it says nothing of its neighbours.
fn is_beside_an_example(prompt: &Prompt<'_>, text: &str, example: &str) -> bool {
    let bare = opening(example);
    let Some((_, rest)) = call_at(bare, &|name| prompt.asks_for(name)) else {
        return false;
    };
    let examples = examples_on(prompt, bare);
    let rest = examples.last().map_or(rest, |last| &bare[last.end..]);
    let rest = rest.trim_matches([' ', '`', ',', '.', ';']);
    let is_error = ["raises ", "->", "=>", "→"].iter().any(|mark| {
        let error = rest.strip_prefix(mark).map(str::trim);
        error.is_some_and(|error| error.ends_with("Error") && !error.contains(' '))
    });
    let is_remark =
        rest.is_empty() || rest.starts_with('#') || rest.starts_with('(') && rest.ends_with(')');
    (is_error || is_remark) && !says_any(text, OF_OTHERS)
}

/// A text in which functions that are named with their parameters are left out: `Write f(x)`.
fn without_signatures(prompt: &Prompt<'_>, text: &str) -> String {
    let mut out = text.to_owned();
    for name in prompt.asked_names() {
        let mut from = 0;
        while let Some(found) = out[from..].find(name).map(|found| from + found) {
            let end = found + name.len();
            let is_part = |c: char| c.is_alphanumeric() || c == '_';
            let rest = &out[end..];
            let is_word = !out[..found].ends_with(is_part) && !rest.starts_with(is_part);
            let inside = rest
                .strip_prefix('(')
                .filter(|rest| has_parameters(rest))
                .and_then(|rest| rest.find(')'));
            let end = inside.map_or(end, |inside| end + 1 + inside + 1);
            if is_word {
                out.replace_range(found..end, " ");
            }
            // Over the space, or over the first character of a name that is part of a word.
            from = found + out[found..].chars().next().map_or(1, char::len_utf8);
        }
    }
    out
}

/// Whether a line of prose does not go on in the next: a label, an example, or above an item of a list or an example.
fn is_apart(prompt: &Prompt<'_>, at: usize) -> bool {
    let (line, next) = (
        prompt.lines[at].text.trim(),
        prompt.lines[at + 1].text.trim(),
    );
    let item = next.trim_start_matches(|c: char| c.is_ascii_digit());
    line.ends_with([':', '：', '.', '!', '?', '。', '*'])
        || next.starts_with(['-', '*', '•', '|'])
        || item.len() < next.len() && item.starts_with(['.', ')'])
        || begins_with_an_example(prompt, line)
        || begins_with_an_example(prompt, next)
}

/// The sentences in a part of a text, which end at no mark inside of an example.
pub(super) fn sentences(
    text: &str,
    part: Range<usize>,
    examples: &[Range<usize>],
) -> Vec<Range<usize>> {
    let mut found = Vec::new();
    let mut from = part.start;
    let mut next = 0;
    for (at, c) in text[part.clone()].char_indices() {
        let at = part.start + at;
        while examples.get(next).is_some_and(|example| example.end <= at) {
            next += 1;
        }
        if at < from
            || examples
                .get(next)
                .is_some_and(|example| example.start <= at)
        {
            continue;
        }
        let end = at + c.len_utf8();
        let goes_on =
            text[end..part.end].starts_with(|c: char| !c.is_whitespace() && !"*_`)\"".contains(c));
        let said = &text[from..at];
        let is_item = said
            .trim_matches([' ', '-', '*', '#', '\t'])
            .bytes()
            .all(|b| b.is_ascii_digit());
        let is_short = ["e.g", "i.e", "eg"]
            .iter()
            .any(|short| said.to_lowercase().ends_with(short));
        let ends = match c {
            '.' => !goes_on && !is_item && !is_short,
            '!' | '?' => !goes_on,
            '。' | '！' | '？' => true,
            _ => false,
        };
        if ends {
            let marks = text[end..part.end].len()
                - text[end..part.end]
                    .trim_start_matches(['*', '_', '`', ')', '"'])
                    .len();
            found.push(from..end + marks);
            from = end + marks;
        }
    }
    found.push(from..part.end);
    let trimmed = found.into_iter().map(|range| {
        let bare = &text[range.clone()];
        let start = range.start + bare.len() - bare.trim_start().len();
        start..start + bare.trim().len()
    });
    trimmed.filter(|range| !range.is_empty()).collect()
}

fn kinds_of(prompt: &Prompt<'_>) -> Vec<LineKind> {
    let lines = &prompt.lines;
    let statements = prompt
        .passages
        .iter()
        .flatten()
        .flat_map(|one| one.lines.clone());
    let statements: BTreeSet<usize> = statements.collect();
    let changes = changes_in(lines);
    let mut kinds: Vec<LineKind> = Vec::with_capacity(lines.len());
    // The indentation of the statement whose body is read.
    let mut body: Option<usize> = None;
    let (mut is_session, mut is_whole) = (false, false);
    for (at, line) in lines.iter().enumerate() {
        let bare = line.text.trim();
        let indent = line.text.len() - line.text.trim_start().len();
        let is_below_code = matches!(
            kinds.last(),
            Some(LineKind::Code | LineKind::Comment { .. })
        );
        if bare.is_empty() {
            is_session = false;
            kinds.push(LineKind::Blank);
            continue;
        }
        let is_opening = is_fence(bare) && line.is_fenced && (at == 0 || !lines[at - 1].is_fenced);
        if is_opening {
            is_whole = block_is_code(prompt, at);
        }
        let is_session_line = bare.starts_with(">>>") || is_session && bare.starts_with("...");
        let ends_session = || {
            let above = lines[at - 1].text.trim();
            let is_whole = literal(above).is_some_and(|(_, rest)| rest.trim().is_empty());
            !above.starts_with(">>>") && (is_prose(bare) || is_whole && literal(bare).is_none())
        };
        if body.is_some_and(|head| indent <= head) || is_fence(bare) {
            body = None;
        }
        is_session =
            is_session_line && line.is_own || is_session && !is_fence(bare) && !ends_session();
        let kind = if is_fence(bare) {
            let title = bare
                .trim_matches(['`', '~', ' '])
                .split([' ', '{', ','])
                .nth(1);
            if is_opening && title.is_some_and(|title| !title.is_empty()) {
                LineKind::Foreign
            } else {
                LineKind::Code
            }
        } else if line.is_quotation || !line.is_own && !line.is_fenced || changes[at] {
            LineKind::Foreign
        } else if body.is_some() || is_session || !line.is_own {
            LineKind::Code
        } else if is_comment(bare) {
            let below = (at + 1..lines.len()).find(|&below| !is_comment(lines[below].text.trim()));
            let is_above_code = below.is_some_and(|below| {
                let bare = lines[below].text.trim();
                !bare.is_empty()
                    && !is_fence(bare)
                    && (is_whole && line.is_fenced
                        || bare.starts_with(">>>")
                        || statements.contains(&below)
                        || is_code(bare)
                        || begins_with_an_example(prompt, bare))
            });
            match heading(line.text) {
                Some(level) if !is_above_code && !line.is_fenced && !is_below_code => {
                    LineKind::Heading(level)
                }
                _ => LineKind::Comment {
                    is_of_above: is_below_code || !is_above_code,
                },
            }
        } else if begins_with_an_example(prompt, bare) && !is_pair(bare) {
            LineKind::Prose
        } else if line.is_fenced && is_whole || statements.contains(&at) || is_code(bare) {
            LineKind::Code
        } else {
            LineKind::Prose
        };
        if kind == LineKind::Code && !is_session && body.is_none() && is_head(bare) {
            body = Some(indent);
        }
        kinds.push(kind);
    }
    kinds
}

/// For each line, whether it is of a change: among lines in a row that begin with `-` or `+`, of which there are both.
fn changes_in(lines: &[Line<'_>]) -> Vec<bool> {
    let mark = |line: &Line<'_>| {
        let first = line.text.trim_start().chars().next();
        first.filter(|c| ['-', '+'].contains(c))
    };
    let runs = lines.chunk_by(|one, next| mark(one).is_some() && mark(next).is_some());
    let changes = runs.flat_map(|run| {
        let marks: BTreeSet<char> = run.iter().filter_map(mark).collect();
        std::iter::repeat_n(marks.len() > 1, run.len())
    });
    changes.collect()
}

/// Whether the block that a line opens is Python as a whole.
fn block_is_code(prompt: &Prompt<'_>, at: usize) -> bool {
    let inside = prompt.lines[at + 1..]
        .iter()
        .take_while(|line| line.is_fenced);
    let lines: Vec<&str> = inside.map(|line| line.text).collect();
    let indent = lines
        .iter()
        .filter(|line| !line.trim().is_empty())
        .map(|line| line.len() - line.trim_start().len())
        .min();
    let dedented = lines
        .iter()
        .map(|line| line.get(indent.unwrap_or(0)..).unwrap_or_default());
    Source::of(&dedented.collect::<Vec<_>>().join("\n")).parses()
}

/// Whether a line outside of a block is code, or a label of an input or an output.
fn is_code(bare: &str) -> bool {
    let is_labelled = ["input", "output"].iter().any(|label| {
        let value = after_label(bare, label);
        value.is_some_and(|value| {
            value.is_empty()
                || value.contains('=')
                || literal(value).is_some_and(|(_, rest)| rest.trim().is_empty())
        })
    });
    let is_statement = || {
        let is_call = bare.split_once('(').is_some_and(|(name, _)| {
            !name.is_empty()
                && name
                    .chars()
                    .all(|c| c.is_alphanumeric() || "_.".contains(c))
        });
        // `Example: f(1) == 2` is an annotation, too.
        let is_labelled = bare
            .split_whitespace()
            .next()
            .is_some_and(|word| word.ends_with(':'));
        (is_call
            || bare.contains('=') && !is_labelled
            || bare.starts_with(['@', '{', '[', ']', '}', ')']))
            && Source::of(bare).parses()
    };
    is_labelled
        || is_pair(bare)
        || bare.starts_with('|')
        || bare.starts_with("$ ")
        || bare.starts_with("assert ")
        || bare.starts_with("import ")
        || bare.starts_with("from ") && Source::of(bare).parses()
        || is_head(bare)
        || is_statement()
}

/// Whether a line opens the body of a statement, or the parameters of a function.
fn is_head(bare: &str) -> bool {
    let is_definition = ["async def ", "class ", "def "]
        .iter()
        .any(|start| bare.starts_with(start));
    is_definition && bare.ends_with([':', '(', ',', '[', '\\'])
        || bare.ends_with(':')
            && HEADS.iter().any(|start| bare.starts_with(start))
            && Source::of(&format!("{bare}\n    pass")).parses()
        || ["elif ", "else:", "except", "finally:"]
            .iter()
            .any(|start| bare.starts_with(start) && bare.ends_with(':'))
}

/// The level of a heading of Markdown.
fn heading(line: &str) -> Option<usize> {
    let text = line.trim_start_matches('#');
    (text.len() < line.len() && text.starts_with(' ')).then(|| line.len() - text.len())
}
