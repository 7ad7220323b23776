//! What the prose on either side of code in a prompt says of that code: `This is the old test, do not
//! follow it:` above a block, `The assert above is wrong.` below one.

use journeyman_syntax::Source;

use crate::asked::{Prompt, is_fence};
use crate::spoken::denies_in_another_language;
use crate::wording::{says_any, starts_with_any};

/// Lines on either side in which the end of the code and the prose beside it are looked for.
const LINES_MAX: usize = 60;
/// What a sentence says of code that does not hold, whatever it is called.
const FAULTY: &[&str] = &[
    "any more",
    "anymore",
    "at the moment",
    "bogus",
    "buggy",
    "currently",
    "deprecated",
    "disregard",
    "do not follow",
    "do not rely",
    "do not trust",
    "do not use",
    "does not hold",
    "don't follow",
    "don't rely",
    "don't trust",
    "don't use",
    "erroneous",
    "faulty",
    "flawed",
    "ignore",
    "ignored",
    "incorrect",
    "isn't correct",
    "isn't right",
    "made up",
    "misleading",
    "mistaken",
    "no longer",
    "not correct",
    "not right",
    "not true",
    "not valid",
    "not what",
    "obsolete",
    "out of date",
    "outdated",
    "right now",
    "stale",
    "superseded",
    "untrue",
    "wrong",
];
/// What points at code that stands beside a sentence.
const POINTERS: &[&str] = &[
    "above",
    "assert",
    "assertion",
    "assertions",
    "asserts",
    "below",
    "example",
    "examples",
    "following",
    "next",
    "output",
    "result",
    "results",
    "test",
    "tests",
    "that",
    "these",
    "this",
    "those",
];
/// How a sentence begins that takes back what stands above it.
const TAKEN_BACK: &[&str] = &[
    "both are wrong",
    "it is wrong",
    "it's wrong",
    "not correct",
    "not right",
    "they are wrong",
];
/// What says that the fault is that of the code that is to be mended, and not that of what is shown.
const SUBJECTS: &[&str] = &[
    "attempt",
    "code",
    "function",
    "implementation",
    "method",
    "module",
    "program",
    "script",
    "version",
];
/// What a sentence with one of the `SUBJECTS` speaks of all the same.
const SHOWN: &[&str] = &[
    "above", "assert", "asserts", "below", "example", "examples", "test", "tests",
];
/// What says that the code that is shown is to hold, or only does not yet.
const DEMANDED: &[&str] = &["fail", "failing", "fails", "pass", "passes"];
/// What points at the code that comes.
const FORWARD: &[&str] = &["below", "following", "here", "next"];

impl Prompt<'_> {
    /// Whether a sentence beside the code on lines `first` to `last` says that it does not hold.
    pub(crate) fn is_denied_beside(&self, first: usize, last: usize) -> bool {
        let up: Vec<usize> = (0..first).rev().take(LINES_MAX).collect();
        let down: Vec<usize> = (last + 1..self.lines.len()).take(LINES_MAX).collect();
        let (above, rest) = self.paragraph(&up);
        // A sentence between two pieces of code speaks of the first, unless it leads to the second.
        let is_first_code = !rest.iter().any(|&at| self.is_code(at));
        let leads_here = |one: &str| one.ends_with(':') || says_any(one, FORWARD) || is_first_code;
        let above = above.into_iter().rev().collect::<Vec<_>>().join(" ");
        let below = self.paragraph(&down).0.join(" ");
        let comes_back = |one: &str| !one.ends_with(':') && !says_any(one, FORWARD);
        let mut above = sentences(&above).filter(|one| !says_any(one, &["above"]));
        let mut below = sentences(&below).filter(|one| comes_back(one));
        above.any(|one| leads_here(one) && is_denial(one))
            || below.any(|one| is_denial(one) || starts_with_any(one, TAKEN_BACK))
    }

    /// The lines of the paragraph of prose that comes first on these lines, and the lines behind it.
    fn paragraph<'l>(&self, lines: &'l [usize]) -> (Vec<&str>, &'l [usize]) {
        let is_prose = |at: &usize| !self.is_code(*at) && !self.lines[*at].text.trim().is_empty();
        let from = lines.iter().position(is_prose).unwrap_or(lines.len());
        let rest = &lines[from..];
        let end = rest
            .iter()
            .position(|at| !is_prose(at))
            .unwrap_or(rest.len());
        let text = rest[..end].iter().map(|&at| self.lines[at].text.trim());
        (text.collect(), &rest[end..])
    }

    /// Whether a line is in a block, or reads as Python.
    fn is_code(&self, at: usize) -> bool {
        let line = &self.lines[at];
        let bare = line.text.trim();
        let is_result = || at > 0 && self.lines[at - 1].text.trim_start().starts_with(">>>");
        line.is_fenced
            || is_fence(bare)
            || bare.starts_with(">>>")
            || bare.contains(['(', '=', ':', '@']) && Source::of(bare).parses()
            || [
                "def ",
                "async def ",
                "class ",
                "for ",
                "if ",
                "with ",
                "assert ",
                "import ",
            ]
            .iter()
            .any(|start| bare.starts_with(start) && bare.ends_with([':', '(', ',', '[', '\\']))
            || !bare.is_empty() && is_result()
    }
}

/// Whether a sentence says that the code beside it does not hold.
fn is_denial(sentence: &str) -> bool {
    let speaks_of_the_code = !says_any(sentence, SUBJECTS) || says_any(sentence, SHOWN);
    denies_in_another_language(sentence)
        || says_any(sentence, FAULTY)
            && says_any(sentence, POINTERS)
            && speaks_of_the_code
            && !says_any(sentence, DEMANDED)
}

/// The sentences of a text, with the marks that end them.
fn sentences(text: &str) -> impl Iterator<Item = &str> {
    let mut before = ' ';
    let ends = move |c: char| {
        let is_end = c == ' ' && matches!(before, '.' | '!' | '?' | ':');
        before = c;
        is_end
    };
    text.split_inclusive(ends)
        .flat_map(|part| part.split_inclusive(['。', '！']))
        .map(str::trim)
}
