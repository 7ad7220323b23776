//! What stands around the examples of a docstring: free words may take them back. Above the examples the docstring says
//! what the code does, in words that no list has, so that a sentence there has to have a word of the task. Below them, and
//! outside of the function, only what is understood leaves them.

use std::ops::RangeInclusive;

use super::asked::{Prompt, is_comment};
use super::beside::{is_formal, split_comment};
use super::prose_examples::{after_label, begins_with_an_example, shows_a_result};
use super::sessions::is_prose;
use super::units::{is_lead, is_understood, sentences};
use crate::prose::description::is_of_the_task;
use crate::prose::wording::{
    asks_for_new_code, denies, each, explains, marks_a_place, starts_with_any,
};
use crate::python::literal::literal;

/// What opens and closes a docstring.
const QUOTES: &[&str] = &["\"\"\"", "'''"];
/// Labels of the parts of a docstring, in small letters. What stands under those says nothing of examples.
const PARTS: &str = "args, arguments, attributes, constrain, constraint, constraints, other parameters, parameters, params, raises, references, \
    restrictions, return, returns, see also, throws, type, types, variables, yields";
/// The most words of a sentence right above an example that is free. A longer one tells what the code is for.
const NEAR_WORDS_MAX: usize = 9;
/// The same, further above.
const FAR_WORDS_MAX: usize = 5;

impl Prompt<'_> {
    /// Whether free words in the docstring around an example, right beside its function, or in a comment there may take
    /// the example back.
    pub(super) fn is_doubted_around(&self, first: usize, last: usize) -> bool {
        let Some(docstring) = self.docstring_around(first) else {
            return false;
        };
        self.is_doubted_above(*docstring.start(), first)
            || self.is_doubted_below(last, *docstring.end())
            || self.is_doubted_outside(&docstring)
    }

    /// The lines of the docstring around a line.
    fn docstring_around(&self, at: usize) -> Option<RangeInclusive<usize>> {
        let quotes = |at: usize, quote: &str| self.lines[at].text.matches(quote).count();
        let quote = QUOTES.iter().find(|quote| {
            let above: usize = (0..at).map(|at| quotes(at, quote)).sum();
            above % 2 == 1
        })?;
        let start = (0..at).rev().find(|&at| quotes(at, quote) > 0)?;
        let end = (at..self.lines.len()).find(|&at| quotes(at, quote) > 0);
        Some(start..=end.unwrap_or(self.lines.len() - 1))
    }

    /// The text of a line of a docstring, without quotation marks.
    fn said_on(&self, at: usize) -> &str {
        let mut text = self.lines[at].text.trim();
        for quote in QUOTES {
            let mut parts = text.rsplit(quote).map(str::trim);
            text = parts.find(|part| !part.is_empty()).unwrap_or_default();
        }
        text
    }

    /// The paragraphs of prose on lines of a docstring, the pieces of each: what is neither an example nor its result.
    fn paragraphs(&self, lines: impl Iterator<Item = usize>) -> Vec<Vec<String>> {
        let mut all = vec![Vec::new()];
        let mut is_session = false;
        for at in lines {
            let text = self.said_on(at);
            let is_asked = text.starts_with(">>>") || is_session && text.starts_with("...");
            let is_answer = is_session && !is_asked && !is_prose(text);
            let is_whole = literal(text).is_some_and(|(_, rest)| rest.trim().is_empty());
            is_session = is_asked || is_answer && !is_whole && !text.is_empty();
            let is_shown = is_asked
                || is_answer
                || begins_with_an_example(self, text)
                || shows_a_result(self, text)
                || ["input", "output"]
                    .iter()
                    .any(|label| after_label(text, label).is_some());
            let Some(paragraph) = all.last_mut() else {
                continue;
            };
            if text.is_empty() || is_shown {
                all.push(Vec::new());
            } else if let Some(piece) = paragraph
                .last_mut()
                .filter(|piece: &&mut String| goes_on(piece, text))
            {
                piece.push(' ');
                piece.push_str(text);
            } else {
                paragraph.push(text.to_owned());
            }
        }
        all.retain(|paragraph| !paragraph.is_empty());
        all
    }

    /// Whether a sentence above the examples has no word of the task: one of the paragraph right above them, or a short one.
    fn is_doubted_above(&self, start: usize, first: usize) -> bool {
        let summary = self.said_on(start);
        let points = starts_with_any(summary, "fixme, it, nope, not, that, this, todo, xxx");
        let summary = if points || summary.contains(|c: char| c.is_ascii_digit()) {
            ""
        } else {
            summary
        };
        let mut is_nearest = true;
        for paragraph in self.paragraphs(start..first).iter().rev() {
            let mut sentences = paragraph.iter().flat_map(|piece| sentences_of(piece));
            let is_free = |sentence: &str| {
                let words_max = if is_nearest {
                    NEAR_WORDS_MAX
                } else {
                    FAR_WORDS_MAX
                };
                sentence.split_whitespace().count() <= words_max
                    && !sentence.ends_with(':')
                    && !summary.starts_with(sentence)
                    && !is_code(sentence)
                    && !is_of_the_task(sentence, self.asked())
                    && !is_label_of_a_part(sentence)
                    && !is_understood(self, sentence)
            };
            if sentences.any(is_free) {
                return true;
            }
            is_nearest &= paragraph.iter().all(|piece| is_lead(self, piece));
        }
        false
    }

    /// Whether a sentence below examples, down to the end of their docstring, is not understood. Under a label of another
    /// part (`Args:`) it only has to be of the task.
    fn is_doubted_below(&self, last: usize, end: usize) -> bool {
        let paragraphs = self.paragraphs((last + 1)..=end);
        let (mut is_in_a_part, mut is_explained) = (false, false);
        let mut sentences = paragraphs
            .iter()
            .flatten()
            .flat_map(|piece| sentences_of(piece));
        sentences.any(|sentence| {
            is_in_a_part |= is_label_of_a_part(sentence);
            is_explained |= explains(sentence);
            !(is_in_a_part && is_of_the_task(sentence, self.asked()) && !denies(sentence)
                || is_label_of_a_part(sentence)
                || is_understood(self, sentence)
                || asks_for_new_code(sentence)
                || is_code(sentence)
                || is_explained)
        })
    }

    /// Whether a sentence right above or below the function of a docstring is not understood, or a comment there or at the
    /// beginning of its body is none that marks a place for code.
    fn is_doubted_outside(&self, docstring: &RangeInclusive<usize>) -> bool {
        let Some(&head) = self.heads_around(*docstring.start()).last() else {
            return false;
        };
        let is_bare = |at: usize| {
            let bare = self.lines[at].text.trim();
            is_comment(bare) || bare.starts_with('@') || bare.is_empty()
        };
        let above = (0..head)
            .rev()
            .take_while(|&at| is_bare(at) && !self.lines[at].text.trim().is_empty());
        let below = (*docstring.end() + 1..self.lines.len()).take_while(|&at| is_bare(at));
        let within = head..=*docstring.start();
        let mut comments = above
            .chain(below)
            .chain(within)
            .map(|at| split_comment(self.lines[at].text).1);
        comments.any(|comment| !self.is_plain_comment(comment))
            || self.units().is_doubted_beside(head, *docstring.end())
    }

    /// Whether a comment beside code that is asked for says nothing of what its docstring shows: it is one for a tool, marks
    /// a place for code, names a file, or says what the code does.
    fn is_plain_comment(&self, comment: &str) -> bool {
        is_formal(comment, "")
            || marks_a_place(comment)
            || is_name_of_a_file(comment)
            || is_understood(self, comment)
            || is_of_the_task(comment, self.asked()) && !denies(comment)
    }
}

/// Whether a line of a docstring belongs to the same piece as the one before: it begins no item, and the other one is no
/// label and no line of marks.
fn goes_on(piece: &str, line: &str) -> bool {
    let begins = line.starts_with(['-', '*', ':', '@', '=', '~']);
    !begins && !piece.ends_with(':') && !is_rule_line(piece) && !is_label_of_a_part(piece)
}

fn sentences_of(piece: &str) -> impl Iterator<Item = &str> {
    let all = sentences(piece, 0..piece.len(), &[]).into_iter();
    all.map(|range| &piece[range])
        .filter(|sentence| !is_rule_line(sentence))
}

/// Whether a line only consists of marks, as one under a heading does.
fn is_rule_line(line: &str) -> bool {
    line.chars().all(|c| " -=~*_`".contains(c))
}

/// Whether a line is the label of a part of a docstring that is about no examples: `Args:`, `:param n:`, `Returns`.
fn is_label_of_a_part(line: &str) -> bool {
    let lower = line.to_lowercase();
    let is_field = |mark: &str| {
        let rest = lower.strip_prefix(mark).unwrap_or_default();
        let word = rest.split([' ', ':']).next().unwrap_or_default();
        [
            "param",
            "parameter",
            "raises",
            "return",
            "returns",
            "rtype",
            "type",
            "throws",
        ]
        .contains(&word)
    };
    let bare = lower.trim_matches(['*', ' ', '#', ':']);
    each(PARTS).any(|part| part == bare) || is_field(":") || is_field("@")
}

/// Whether a sentence is written in signs: a formula, bounds, a bracket.
fn is_code(sentence: &str) -> bool {
    let has_words = sentence
        .split(|c: char| !c.is_alphabetic())
        .any(|word| word.len() > 2);
    let is_stated = ["=", "->", "<"].iter().any(|mark| sentence.contains(mark));
    let is_counted = sentence.contains(|c: char| c.is_ascii_digit());
    is_stated && !denies(sentence) || !has_words && (is_counted || !sentence.contains(['?', '!']))
}

/// Whether a comment names a file: `# double.py`, `# -*- coding: utf-8 -*-`, `#!/usr/bin/env python3`.
fn is_name_of_a_file(comment: &str) -> bool {
    let bare = comment.trim();
    !bare.contains(' ') && bare.strip_suffix(".py").is_some()
        || bare.starts_with("-*-")
        || bare.starts_with("!/")
}
