//! What the prose on either side of code in a prompt says of that code: `This is the old test, do not
//! follow it:` above a block, `The assert above is wrong.` below one.

use journeyman_syntax::Source;

use crate::asked::{Prompt, is_comment, is_fence};
use crate::python::mentions;
use crate::spoken::{Spoken, denies_in_another_language};
use crate::stated::begins_with_an_example;
use crate::wording::{REQUESTS, last_sentence, says_any, starts_with_any};

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
    "has to go",
    "have to go",
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
    "off by one",
    "off-by-one",
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
    "^ off by one",
    "^ wrong",
    "both are wrong",
    "i would expect",
    "i would have",
    "i'd expect",
    "i'd have",
    "it is wrong",
    "it's wrong",
    "not correct",
    "not right",
    "that can't be",
    "that cannot be",
    "that is what i get",
    "that is what we get",
    "that's what i get",
    "that's what we get",
    "they are wrong",
    "this is what i get",
    "this is what we get",
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
/// What says all the same that it is not to hold.
const UNWANTED: &[&str] = &[
    "but must not",
    "but should not",
    "but shouldn't",
    "must fail",
    "must not pass",
    "should fail",
    "should not pass",
];
/// What a line says that leads over to what is wanted.
const AFFIRMED: &[&str] = &[
    "acceptance",
    "after",
    "another",
    "assert",
    "assertion",
    "assertions",
    "asserts",
    "behave",
    "behaves",
    "behavior",
    "behaviour",
    "call",
    "called",
    "case",
    "cases",
    "check",
    "checks",
    "clear",
    "correct",
    "criteria",
    "demo",
    "demonstration",
    "desired",
    "doctest",
    "doctests",
    "done when",
    "e.g",
    "end result",
    "example",
    "examples",
    "expect",
    "expectation",
    "expectations",
    "expected",
    "expects",
    "following",
    "good",
    "has to",
    "have to",
    "i/o",
    "illustrate",
    "illustration",
    "in mind",
    "input",
    "instance",
    "like",
    "must",
    "need",
    "needs",
    "new",
    "now",
    "pass",
    "passes",
    "quick start",
    "quickstart",
    "repl",
    "required",
    "requirement",
    "requirements",
    "right",
    "sample",
    "samples",
    "session",
    "shall",
    "should",
    "so",
    "spec",
    "specification",
    "such",
    "test",
    "tests",
    "think of it",
    "usage",
    "use",
    "verify",
    "want",
    "wanted",
    "wants",
    "works",
];
/// The same in other languages, as parts of words.
const AFFIRMED_ELSEWHERE: &[&str] = &[
    "assert",
    "atteso",
    "attendu",
    "atten",
    "beisp",
    "besteh",
    "debe",
    "deve",
    "devono",
    "doit",
    "doivent",
    "ejemplo",
    "erwart",
    "esempi",
    "esperad",
    "exempl",
    "moet",
    "muss",
    "müssen",
    "prueba",
    "przykł",
    "soll",
    "test",
    "verwacht",
    "voorbeeld",
    "örnek",
    "ожида",
    "пример",
    "тест",
    "должн",
    "例",
    "应",
    "應",
    "期待",
    "期望",
    "测试",
    "測試",
    "テスト",
    "예",
    "테스트",
    "해야",
    "기대",
];
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
            || self.is_led_astray(&up)
            || below.any(|one| is_denial(one) || starts_with_any(one, TAKEN_BACK))
    }

    /// Whether the line that leads over to code does not say that it is wanted: `In production we see:`. A
    /// prompt that begins as code describes what it wants all along.
    fn is_led_astray(&self, up: &[usize]) -> bool {
        let Some(line) = self.paragraph(up).0.first().copied() else {
            return false;
        };
        let lead = last_sentence(line);
        let bare = lead.trim_end_matches(['*', '_', '`', ' ']);
        let is_heading = ["#", "**", "<", "__"]
            .iter()
            .any(|mark| line.starts_with(mark));
        let is_item = line.starts_with(['-', '*', '•']) && !is_heading && !bare.ends_with(':');
        let is_lead = is_heading || !is_item && !bare.ends_with(['.', '!', '?', ')', '。']);
        // `A class Stack with push and pop:` is what is asked for.
        let is_request = starts_with_any(lead, &["a", "an"])
            && self.asked_names().any(|name| mentions(lead, name));
        if !self.stub.is_empty() || !is_lead || is_request {
            return false;
        }
        let opening = lead.trim_start_matches([' ', '-', '*', '#', '"', '`', '\'', '>']);
        let opening = opening
            .trim_start_matches(|c: char| c.is_ascii_digit() || c == '.' || c == ')' || c == ' ');
        match Spoken::of(lead) {
            // `v1:` is one version of several.
            Spoken::Nothing => opening
                .strip_prefix(['v', 'V'])
                .is_some_and(|rest| rest.starts_with(|c: char| c.is_ascii_digit())),
            // It may be English without a word that says so.
            spoken => {
                let is_wanted = says_any(lead, AFFIRMED) || starts_with_any(opening, REQUESTS);
                let is_wanted_elsewhere = || {
                    let lower = lead.to_lowercase();
                    spoken == Spoken::Unknown
                        && AFFIRMED_ELSEWHERE.iter().any(|part| lower.contains(part))
                };
                !is_wanted && !is_wanted_elsewhere()
            }
        }
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

    /// Whether a line is code; all lines are read at the first question.
    fn is_code(&self, at: usize) -> bool {
        let read = || {
            (0..self.lines.len())
                .map(|at| self.reads_as_code(at))
                .collect()
        };
        self.code.get_or_init(read)[at]
    }

    /// Whether a line is in a block, or reads as Python.
    fn reads_as_code(&self, at: usize) -> bool {
        let line = &self.lines[at];
        let bare = line.text.trim();
        let is_result = || at > 0 && self.lines[at - 1].text.trim_start().starts_with(">>>");
        // A comment stands right above its code; a heading mostly does not.
        let is_remark = || {
            let mut below = (at + 1..self.lines.len()).take(LINES_MAX);
            let next = below.find(|&next| !is_comment(self.lines[next].text.trim()));
            let holds_code = |next: usize| !self.lines[next].text.trim().is_empty();
            next.is_some_and(|next| holds_code(next) && self.reads_as_code(next))
        };
        line.is_fenced
            || is_fence(bare)
            || is_comment(bare) && is_remark()
            || bare.starts_with(">>>")
            || bare.starts_with("import ")
            || bare.starts_with("from ") && Source::of(bare).parses()
            || begins_with_an_example(self, bare)
            || bare.contains(['(', '=', ':', '@']) && !is_comment(bare) && Source::of(bare).parses()
            || [
                "def ",
                "async def ",
                "class ",
                "for ",
                "if ",
                "with ",
                "assert ",
            ]
            .iter()
            .any(|start| bare.starts_with(start) && bare.ends_with([':', '(', ',', '[', '\\']))
            || !bare.is_empty() && is_result()
    }
}

/// Whether a sentence says that the code beside it does not hold.
fn is_denial(sentence: &str) -> bool {
    let speaks_of_the_code = !says_any(sentence, SUBJECTS) || says_any(sentence, SHOWN);
    says_any(sentence, UNWANTED)
        || denies_in_another_language(sentence)
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
