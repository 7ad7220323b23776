//! Decides whether what a prompt shows is clearly wanted: if it is demanded (`must`, `Expected:`), in the docstring
//! of what is asked for, or after the first sentence that makes a request (or after an introduction of examples)
//! and not retracted by what follows. Anything that is not known to be harmless counts as retracting, because no
//! list of the words with which people complain is complete.

use journeyman_syntax::Source;

use super::asked::{Line, Prompt, is_comment, is_fence};
use super::beside::names_another_result;
use super::prose_examples::{begins_with_an_example, results_shown};
use crate::prose::neutral::{has_opposed_example, is_neutral_lead, reasons};
use crate::prose::sentence_language::{
    SentenceLanguage, asks_in_another_language, denies_in_another_language,
};
use crate::prose::wording::{
    DOUBTS, FAULTS, FAULTY, REPORTS, attributes, before_in_sentence, begins_a_situation,
    behind_in_sentence, complains_later, demands, goes_on, heads_a_report, is_crossed,
    last_sentence, leads_to_an_example, opening, requests, says_any, speaks_of_surroundings,
    starts_with_any, tells_of_people, without_strings,
};
use crate::python::mentions;

/// Words at the start of a request to change the behaviour of code. Code to be fixed or refactored must do what
/// its docstring says.
const CHANGES: &str = "adapt, alter, change, modify, rewrite, switch, turn, update";
/// The most lines above and below in which the end of the code and the prose beside it are searched for.
const LINES_MAX: usize = 60;
/// Phrases of sentences about code that must not be changed.
const IGNORED: &str = "ignore, ignored";
/// Words that refer to code beside the sentence.
const POINTERS: &str = "above, assert, assertion, assertions, asserts, below, example, examples, following, next, output, \
    result, results, test, tests, that, these, this, those";
/// Phrases saying that the fault is in the code to be fixed, not in what is shown.
const SUBJECTS: &str =
    "attempt, code, function, implementation, method, module, program, script, version";
/// Phrases with which a sentence with one of the `SUBJECTS` nevertheless refers to what is shown.
const SHOWN: &str = "above, assert, asserts, below, example, examples, test, tests";
/// Phrases saying that the code shown must hold, or only does not hold yet.
const DEMANDED: &str = "fail, failing, fails, pass, passes";
/// Phrases saying nevertheless that it must not hold.
const UNWANTED: &str = "but must not, but should not, but shouldn't, must fail, must not pass, should fail, should not pass";
/// Phrases of lines that introduce wanted code without demanding it.
const AFFIRMED: &str = "another, assert, assertion, assertions, asserts, behave, behaves, behavior, behaviour, call, \
    called, case, cases, check, checks, clear, correct, demo, demonstration, doctest, doctests, \
    done when, e.g, end result, example, examples, expectation, expectations, i/o, \
    illustrate, illustration, in mind, input, instance, something like, passes, quick start, \
    quickstart, repl, requirement, requirements, right, sample, samples, session, spec, \
    specification, test, tests, think of it, usage, use, used, verify, works";
/// Words that introduce wanted code if the line has hardly any others: `After:`, `Like so:`.
const AFFIRMED_SHORTLY: &str = "after, following, good, new, now, so, such";
/// The most words of a line that introduces wanted code with one of `AFFIRMED_SHORTLY`.
const SHORT_WORDS_MAX: usize = 2;
/// What obliges in other languages, or names tests, as parts of words. An example alone is not enough: what else is said
/// of it is not understood.
const AFFIRMED_ELSEWHERE: &str = "assert, atteso, attendu, atten, besteh, debe, deve, devono, doit, doivent, erwart, \
    esperad, moet, muss, müssen, prueba, soll, test, verwacht, ожида, тест, должн, 应, 應, 期待, 期望, 测试, 測試, テスト, \
    테스트, 해야, 기대";
/// Words that refer to code that follows.
const FORWARD: &str = "below, following, here, next";

/// The most lines above an example in which its heading is searched for.
const HEADING_LINES_MAX: usize = 200;

/// What the line before code says about it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Lead {
    /// The line introduces code that may not be wanted: `In production we see:`.
    Astray,
    /// There is no such line, or it is a sentence that does not refer to the code.
    Nothing,
    /// It introduces an example or a requirement: `This must hold:`.
    Example,
}

impl Prompt<'_> {
    /// Whether the code on lines `first` to `last` is clearly wanted. If it is not demanded, it must come after the
    /// request of the prompt, and nothing after it may retract it.
    pub(crate) fn is_wanted(&self, first: usize, last: usize) -> bool {
        if self.is_reported(first, last)
            || self.is_remarked(first, last)
            || self.is_of_what_changes(first)
            || self.is_test_of_the_past(first, last)
        {
            return false;
        }
        let around = self.function_around(first);
        let is_test = ["def test", "class Test", "@"]
            .iter()
            .any(|start| self.lines[first].text.trim_start().starts_with(start))
            || around.is_some_and(|name| name.starts_with("test"));
        let is_led = self.lead(first) == Lead::Example;
        !self.stub.is_empty()
            || around.is_some_and(|name| self.asks_for(name))
            || (is_test || is_led || self.is_placed(self.lines[first].start))
                && self.goes_on_plainly(last)
    }

    /// Whether a line is in the docstring of an existing function that is to be changed: examples there show its
    /// behaviour today.
    fn is_of_what_changes(&self, at: usize) -> bool {
        let is_change = self.request_sentence().is_some_and(|asked| {
            (starts_with_any(opening(asked), CHANGES) || says_any(asked, "instead, no longer"))
                && !says_any(asked, DEMANDED)
                && !says_any(asked, SHOWN)
        });
        if !is_change {
            return false;
        }
        let is_end = |line: &Line<'_>| line.text.contains("\"\"\"") || line.text.contains("'''");
        let mut below = self.lines[at..]
            .iter()
            .skip_while(|line| !is_end(line))
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

    /// The first sentence that makes a request, as far as it is on its line.
    pub(super) fn request_sentence(&self) -> Option<&str> {
        let line = self.text[self.request?..].lines().next()?;
        sentences(line).next()
    }

    /// Whether a position comes after the start of the request, or the request refers to tests above it.
    fn is_placed(&self, place: usize) -> bool {
        let speaks_of_tests = |asked: &str| {
            says_any(asked, SHOWN) && !says_any(asked, REPORTS) && !says_any(asked, DOUBTS)
        };
        self.request.is_none_or(|start| place >= start)
            || self.request_sentence().is_some_and(speaks_of_tests)
    }

    /// Whether the first prose after a line does not retract anything on it.
    fn goes_on_plainly(&self, last: usize) -> bool {
        let down: Vec<usize> = (last + 1..self.lines.len()).take(LINES_MAX).collect();
        let lines = self.paragraph(&down).0.into_iter();
        let mut next = lines.flat_map(|line| self.sentences_about_it(line));
        next.next().is_none_or(goes_on) && !next.any(complains_later)
    }

    /// The sentences of a text that show no result themselves.
    fn sentences_about_it<'t>(&self, text: &'t str) -> impl Iterator<Item = &'t str> {
        split(text, &['.', '!', '?'])
            .filter(|one| !opening(one).is_empty() && results_shown(self, one) == 0)
    }

    /// Whether line `at` is under a heading that reports it (`Wrong results:`), or prose beside lines `at` to `last`
    /// says that they do not hold.
    fn is_reported(&self, at: usize, last: usize) -> bool {
        if self.is_in_a_report(at) || self.is_taken_back(last) {
            return true;
        }
        // Only the nearest remark speaks of this line, and of the prose above the code only its lead.
        let (mut in_remark, mut is_remarked) = (false, false);
        let mut is_beyond_code = false;
        for above in (0..at).rev().take(HEADING_LINES_MAX) {
            let line = self.lines[above].text.trim();
            if is_comment(line) && !is_remarked {
                in_remark = true;
                if heads_a_report(line) {
                    return true;
                }
            } else {
                is_remarked |= in_remark;
            }
            if self.is_code(above) {
                is_beyond_code = true;
                continue;
            }
            let bare = line.trim_end_matches(['*', '_', '`', ' ']);
            let is_heading = bare.ends_with(':') || line.starts_with("##");
            let goes_on = line.is_empty()
                || line.starts_with(['-', '*', '>', '`', '"', '#'])
                || last_sentence(line).contains(['(', '=', '>'])
                || !line.ends_with(['.', '!', '?']) && !line.contains(' ');
            if is_heading || !goes_on {
                // A sentence that does not end goes on with what stands below it.
                let is_plain = is_beyond_code && demands(line);
                if !line.ends_with(['.', '!', '?']) && heads_a_report(line) && !is_plain {
                    return true;
                }
                break;
            }
        }
        self.is_denied_beside(at, last)
    }

    /// Whether the sentence around a part of line `at` clearly expects what it says. The part is given by the
    /// lengths of the text before and after it.
    pub(crate) fn is_expectation(&self, at: usize, before: usize, behind: usize) -> bool {
        let line = &self.lines[at];
        if !line.is_own || is_crossed(line.text) {
            return false;
        }
        let from = line.start + before;
        let to = line.start + line.text.len() - behind;
        let (start, end) = (
            &self.text[line.start..from],
            &self.text[to..line.start + line.text.len()],
        );
        // What fills its line is no part of the sentences around it.
        let is_alone = start
            .trim_start_matches(|c: char| c.is_ascii_digit() || " \t-*`.)".contains(c))
            .is_empty()
            && (end
                .trim_matches([' ', '\t', '`', '.', ',', ';', '\r'])
                .is_empty()
                || end.trim_start().starts_with('#'));
        let (lead, trail) = if is_alone {
            (start, end)
        } else {
            let lead = before_in_sentence(&self.text[..from]);
            (lead, behind_in_sentence(&self.text[to..]))
        };
        let sentence = without_strings(&format!("{lead} … {trail}"));
        // The relation between call and result is a word of the sentence, too.
        let stated = without_strings(&self.text[from.min(to)..to]);
        let relation = ["should", "must", "returns", "gives"]
            .iter()
            .find(|word| says_any(&stated, word));
        let whole = format!("{sentence} {}", relation.unwrap_or(&""));
        let last = lead.trim_end().chars().next_back();
        let is_quoted = last.is_some_and(|c| matches!(c, '"' | '\'' | '“' | '‘' | '«' | '„'))
            && !lead.ends_with("\"\"\"")
            && !lead.ends_with("'''");
        // Part of a larger expression: `1 + f(2) == 4`.
        let is_part = last
            .is_some_and(|c| matches!(c, '+' | '/' | '%' | '=' | '<' | '!' | '&' | '|' | '~'))
            || lead.ends_with('(')
                && lead[..lead.len() - 1].ends_with(|c: char| c.is_alphanumeric())
            || ["await", "not", "lambda", "yield"]
                .iter()
                .any(|word| lead.trim_end().ends_with(word));
        let is_doubted = is_quoted
            || is_part
            || trail.trim_end().ends_with('?')
            || trail.trim_end().ends_with('!') && !demands(&whole)
            || SentenceLanguage::of(&whole) == SentenceLanguage::Unknown
            || says_any(&sentence, REPORTS)
            || says_any(&sentence, FAULTS)
            || says_any(&sentence, DOUBTS);
        let example = &self.text[from.min(to)..to];
        // Of a line that labels its input, the whole is its trail.
        let explains = |trail: &str| {
            if from >= to {
                SentenceLanguage::of(trail) == SentenceLanguage::Nothing
                    || begins_a_situation(trail)
            } else {
                self.explains(example, trail) || !self.stub.is_empty() && reasons(trail, example)
            }
        };
        if is_doubted
            || self.leads_astray(start, lead, example)
            || names_another_result(example, trail)
        {
            return false;
        }
        if is_alone {
            return self.is_wanted(at, at) && explains(end);
        }
        let is_demanded = demands(&whole);
        let rest = &end[trail.len().min(end.len())..];
        let mut next = self.sentences_about_it(rest);
        let mut is_followed = || match next.next() {
            Some(first) => goes_on(first) && !next.any(complains_later),
            None => self.goes_on_plainly(at),
        };
        !self.is_reported(at, at)
            && (!self.stub.is_empty()
                || (is_demanded || self.is_placed(from))
                    && self.leads_here(lead)
                    && explains(trail)
                    && is_followed())
    }

    /// Whether the text before an example in its sentence refers to what is asked for, or introduces the
    /// example.
    fn leads_here(&self, lead: &str) -> bool {
        let describes = || {
            self.asked_names()
                .any(|name| lead.contains(&format!("{name}(")))
        };
        let is_label = || lead.trim().ends_with(':') && lead.split_whitespace().count() < 3;
        let leads = || {
            leads_to_an_example(lead)
                || begins_a_situation(lead)
                || demands(lead) && !tells_of_people(lead)
                || results_shown(self, lead) > 0
                || describes() && !tells_of_people(lead)
                || is_label() && is_affirmed(lead)
        };
        !attributes(lead) && leads()
    }

    /// Whether a sentence beside the code on lines `first` to `last` says that it does not hold.
    fn is_denied_beside(&self, first: usize, last: usize) -> bool {
        let up: Vec<usize> = (0..first).rev().take(LINES_MAX).collect();
        let down: Vec<usize> = (last + 1..self.lines.len()).take(LINES_MAX).collect();
        let (above, rest) = self.paragraph(&up);
        // A sentence between two pieces of code speaks of the first, unless it leads to the second.
        let is_first_code = !rest.iter().any(|&at| self.is_code(at));
        let leads_here = |one: &str| one.ends_with(':') || says_any(one, FORWARD) || is_first_code;
        let above = above.into_iter().rev().collect::<Vec<_>>().join(" ");
        let below = self.paragraph(&down).0.join(" ");
        let comes_back = |one: &str| !one.ends_with(':') && !says_any(one, FORWARD);
        let mut above = sentences(&above).filter(|one| !says_any(one, "above"));
        let mut below = sentences(&below).filter(|one| comes_back(one));
        above.any(|one| leads_here(one) && is_denial(one))
            || self.lead(first) == Lead::Astray
            || below.any(is_denial)
    }

    /// How the line that introduces the code on a line refers to it. A prompt that starts as code describes
    /// what it wants throughout.
    fn lead(&self, first: usize) -> Lead {
        let up: Vec<usize> = (0..first).rev().take(LINES_MAX).collect();
        let Some(line) = self
            .paragraph(&up)
            .0
            .first()
            .copied()
            .filter(|_| self.stub.is_empty())
        else {
            return Lead::Nothing;
        };
        // What stands above other code leads to that, and an example leads to nothing.
        let is_beyond_code = !self.is_code(first)
            && up
                .iter()
                .take_while(|&&at| !self.lines[at].text.contains(line))
                .any(|&at| self.is_code(at));
        if is_beyond_code || line.starts_with("</") || results_shown(self, line) > 0 {
            return Lead::Nothing;
        }
        let (lead, remark) = without_remark(last_sentence(line));
        let bare = lead.trim_end_matches(['*', '_', '`', ' ']);
        let is_heading = ["#", "**", "<", "__"]
            .iter()
            .any(|mark| line.starts_with(mark));
        let is_item = line.starts_with(['-', '*', '•']) && !is_heading && !bare.ends_with(':');
        let is_lead = is_heading || !is_item && !bare.ends_with(['.', '!', '?', ')', '。']);
        // `A class Stack with push and pop:` is what is asked for.
        let is_request =
            starts_with_any(lead, "a, an") && self.asked_names().any(|name| mentions(lead, name));
        if is_request {
            return Lead::Nothing;
        }
        let is_plain = || is_neutral_lead(lead, self.request_text());
        if has_opposed_example(lead) || is_lead && !is_neutral_lead(remark, self.request_text()) {
            return Lead::Astray;
        }
        if !is_lead {
            let astray = tells_of_people(lead);
            return if astray { Lead::Astray } else { Lead::Nothing };
        }
        let opening = lead.trim_start_matches([' ', '-', '*', '#', '"', '`', '\'', '>']);
        let spoken = SentenceLanguage::of(lead);
        // `v1:` is one version of several.
        let is_version = opening
            .strip_prefix(['v', 'V'])
            .is_some_and(|rest| rest.starts_with(|c: char| c.is_ascii_digit()));
        if spoken == SentenceLanguage::Nothing {
            let has_words = lead.contains(char::is_alphabetic);
            let is_label = bare.ends_with([':', '：']) || is_affirmed(lead);
            return match (is_version || has_words && !is_label, has_words) {
                (true, _) => Lead::Astray,
                (false, true) => Lead::Example,
                (false, false) => Lead::Nothing,
            };
        }
        if attributes(lead) || speaks_of_surroundings(lead) && !demands(lead) {
            return Lead::Astray;
        }
        // It may be English without a word that says so.
        let is_affirmed = is_affirmed(lead) && (requests(lead) || is_plain());
        if demands(lead) || is_affirmed || asks_in_another_language(lead, AFFIRMED_ELSEWHERE) {
            Lead::Example
        } else if requests(lead) {
            Lead::Nothing
        } else {
            Lead::Astray
        }
    }

    /// The first paragraph of prose on these lines, and the lines after it.
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

    /// Whether a line is code. The first call examines all lines.
    pub(super) fn is_code(&self, at: usize) -> bool {
        let read = || {
            (0..self.lines.len())
                .map(|at| self.reads_as_code(at))
                .collect()
        };
        self.code.get_or_init(read)[at]
    }

    /// Whether a line is in a block, or can be read as Python.
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

/// A lead without a remark in parentheses at its end, and that. The parameters of a call are none.
fn without_remark(lead: &str) -> (&str, &str) {
    let bare = lead.trim_end_matches(['*', '_', '`', ' ', ':']);
    let remark = bare
        .strip_suffix(')')
        .and_then(|inside| inside.rsplit_once(" ("));
    remark.map_or((lead, ""), |(before, remark)| {
        let is_lead = lead.len() > bare.len() || !requests(before);
        if is_lead {
            (before, remark)
        } else {
            (lead, "")
        }
    })
}

/// Whether what leads over to code says that it is wanted, beside what demands it.
pub(super) fn is_affirmed(lead: &str) -> bool {
    says_any(lead, AFFIRMED)
        || lead.split_whitespace().count() <= SHORT_WORDS_MAX && says_any(lead, AFFIRMED_SHORTLY)
}

/// Whether a sentence says that the code beside it does not hold.
fn is_denial(sentence: &str) -> bool {
    let speaks_of_the_code = !says_any(sentence, SUBJECTS) || says_any(sentence, SHOWN);
    says_any(sentence, UNWANTED)
        || denies_in_another_language(sentence)
        || (says_any(sentence, FAULTY) || says_any(sentence, IGNORED))
            && says_any(sentence, POINTERS)
            && speaks_of_the_code
            && !says_any(sentence, DEMANDED)
}

/// The sentences of a text, with the marks that end them, and leads that end with a colon.
pub(super) fn sentences(text: &str) -> impl Iterator<Item = &str> {
    split(text, &['.', '!', '?', ':'])
}

/// The parts of a text that end with one of these marks and a space, or as Chinese and Japanese sentences do.
fn split<'t>(text: &'t str, marks: &'static [char]) -> impl Iterator<Item = &'t str> {
    let mut before = ' ';
    let ends = move |c: char| {
        let is_end = c == ' ' && marks.contains(&before);
        before = c;
        is_end
    };
    text.split_inclusive(ends)
        .flat_map(|part| part.split_inclusive(['。', '！']))
        .map(str::trim)
}
