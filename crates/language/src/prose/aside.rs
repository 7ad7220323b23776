//! Recognises asides: sentences that bound the inputs, or say something of the code as such (how good it is, what it may
//! use, where it runs). They say nothing of the examples beside them, because each of their words is known and what can
//! be denied in them is: no arrangement of these words denies, reports, contrasts or quotes. Each list of words is one
//! text with commas between the words.

use std::collections::BTreeSet;

use super::wording::{has, is_about_the_code, is_section, opening};

/// Words that join, count or relate, and say nothing without those of the other lists.
const JOINING: &str = "a, all, also, always, an, and, any, are, as, at, be, been, between, both, by, can, each, either, every, for, from, \
    has, have, in, is, its, least, may, might, most, must, of, on, only, or, should, than, the, there, to, up, very, will, with, you, your";
/// What inputs are called, whatever they are.
const INPUTS: &str = "argument, arguments, input, inputs, parameter, parameters";
/// What inputs are, and are made of.
const DATA: &str = "array, arrays, ascii, bool, boolean, booleans, bools, brackets, bytes, char, character, characters, chars, column, \
    columns, commas, dict, dictionary, dicts, digits, element, elements, float, floats, hyphens, int, integer, integers, ints, item, items, \
    key, keys, length, letter, letters, list, lists, matrix, number, numbers, order, parentheses, punctuation, row, rows, set, sets, \
    size, space, spaces, str, string, strings, symbols, tuple, tuples, whitespace, word, words";
/// What can be said of inputs.
const KINDS: &str = "arbitrarily, ascending, bit, contain, contains, consist, consists, deep, deeply, descending, distinct, duplicate, \
    duplicates, empty, end, ends, english, fit, fits, greater, int32, int64, large, larger, less, long, longer, lower, lowercase, mixed, \
    natural, negative, nested, non, none, nonnegative, passed, positive, same, separated, signed, single, sorted, start, starts, \
    begin, begins, surrounding, trailing, leading, unicode, unique, unsigned, unsorted, upper, uppercase, valid, whole, zero";
/// Verbs behind what is spoken of.
const VERBS: &str = "are, begin, begins, can, consist, consists, contain, contains, end, ends, fit, fits, has, have, is, may, might, must, \
    should, start, starts, will";
/// Words that name no input: they stand for what is shown, or for people.
const NO_INPUTS: &str = "answer, answers, anything, assertion, assertions, case, cases, code, count, counts, everybody, everything, example, examples, \
    expectation, expectations, figure, figures, he, her, hers, his, i, it, line, lines, mine, nobody, nothing, one, ones, only, ours, \
    outcome, outcomes, output, outputs, result, results, return, returns, sample, samples, she, some, sum, sums, test, tests, that, \
    theirs, them, these, they, this, those, total, totals, value, values, we, what, yours";
/// What the code is called.
pub(super) const CODE: &str =
    "class, code, function, implementation, it, method, module, program, script, solution";
/// How good code is to be.
const QUALITIES: &str = "clean, concise, documented, efficient, fast, generic, idiomatic, maintainable, performant, portable, pure, \
    pythonic, quick, readable, reusable, scalable, simple, thread, safe, tidy, typed";
/// What else is said with such a word.
const OF_QUALITIES: &str = "and, as, be, big, constant, easy, enough, fairly, for, from, in, inputs, large, library, linear, linux, lists, logarithmic, long, macos, \
    maintain, memory, numbers, o(), of, on, only, or, possible, python, read, reasonably, run, runs, space, standard, strings, the, time, to, \
    under, understand, up, very, well, windows, with, work, works";
/// Words of which one has to be said, if no other word says how good the code is to be.
const DEGREES: &str = "big, constant, large, library, linear, logarithmic, long, o(), python, up";
/// How good code is to be, where it is called so: what it returns may be short as well.
const QUALITIES_OF_TEXT: &str = "compact, minimal, short, small";
/// What is said of the time and the memory that code takes.
const COMPLEXITY: &str = "a, aim, and, at, be, best, better, complexity, constant, efficiency, extra, for, important, in, is, linear, \
    logarithmic, low, matter, matters, memory, most, must, o(), of, only, performance, run, runtime, should, space, speed, stay, the, \
    time, usage, use, very, with, worst";
/// Words of [`COMPLEXITY`] of which one has to be said.
const MEASURED: &str = "complexity, constant, efficiency, linear, logarithmic, memory, o(), performance, runtime, speed";
/// What code may use, and where it runs.
const AROUND: &str = "a, allowed, am, and, any, are, at, by, compatible, dependencies, dependency, docstring, docstrings, external, hints, i, i'm, import, \
    imports, is, just, least, libraries, library, linux, macos, modules, must, newer, later, on, only, optional, or, package, packages, \
    party, pep, plain, python, pure, required, running, should, standard, stdlib, support, target, the, third, type, ubuntu, use, using, \
    version, we, we're, welcome, windows, with, appreciated, work, works";
/// Words of [`AROUND`] of which one has to be said.
const NAMED_AROUND: &str = "dependencies, docstring, docstrings, hints, imports, libraries, library, modules, packages, pep, python, stdlib";
/// What may be denied without anything being said of an example.
const DENIABLE: &str = "allowed, change, changed, contain, dependencies, empty, exceed, external, important, imports, libraries, library, matter, \
    modified, modules, mutated, need, negative, none, null, packages, third, zero";
/// Words that deny the next one of weight.
const DENYING: &str = "cannot, doesn't, don't, isn't, never, no, not, without";
/// Words between a denying one and what it denies.
const BETWEEN: &str = "a, any, be, been, contain, the";
/// How an aside is led in: the rest says what it says.
const LEADS: &[&[&str]] = &[
    &["and"],
    &["also"],
    &["please"],
    &["so"],
    &["assume", "that"],
    &["assume"],
    &["note", "that"],
    &["you", "may", "assume", "that"],
    &["you", "can", "assume", "that"],
    &["you", "may", "assume"],
    &["you", "can", "assume"],
    &["it", "is", "guaranteed", "that"],
    &["it", "is", "assumed", "that"],
];
/// Words that say how many answers there are.
const ANSWERS: &str = "a, always, an, answer, at, be, each, exactly, exist, exists, has, have, input, is, least, may, one, only, single, \
    solution, that, there, unique, valid, will, would, you";
/// What may stand at the end of any sentence.
const ENDS: &str = "btw, please, thanks, though";

/// What an aside is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Aside {
    /// The inputs, or how good the code is to be.
    Task,
    /// What the code may use, and where it runs. Above an example it may say where that was seen: `Python 3.12`.
    Surroundings,
}

/// Reads a sentence; `None` if it is no aside. `parameters` are those of what is asked for.
pub(crate) fn aside(sentence: &str, parameters: &BTreeSet<&str>) -> Option<Aside> {
    let bare = opening(sentence);
    let labelled = bare.split_once(':').filter(|(label, _)| is_section(label));
    let bare = labelled.map_or(bare, |(_, rest)| rest);
    let words = words_of(bare, parameters)?;
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    let mut clauses = words.split(|word| [",", ";"].contains(word));
    // `letters, digits and spaces`
    let is_listed = |words: &[&str]| {
        let mut words = words.iter();
        words.all(|word| has(DATA, word) || ["and", "or"].contains(word))
    };
    let first = clause(clauses.next()?)?;
    let goes_on = |words: &[&str]| {
        is_listed(words)
            || may_be(words)
            || clause(words).is_some()
            || is_about_the_code(words.join(" ").trim_start_matches("so "))
    };
    clauses.all(goes_on).then_some(first)
}

/// `and it may be zero`, of what was just spoken of.
fn may_be(clause: &[&str]) -> bool {
    let words = clause.strip_prefix(&["and"]).unwrap_or(clause);
    let said = words
        .strip_prefix(&["it", "may", "be"])
        .or_else(|| words.strip_prefix(&["it", "can", "be"]));
    let [said] = said.unwrap_or_default() else {
        return false;
    };
    has("empty, negative, none, unsorted, zero", said)
}

fn clause(clause: &[&str]) -> Option<Aside> {
    let mut words = clause;
    while let Some(rest) = LEADS.iter().find_map(|lead| words.strip_prefix(*lead)) {
        words = rest;
    }
    while let Some((last, rest)) = words.split_last()
        && has(ENDS, last)
    {
        words = rest;
    }
    if words.is_empty() || !denies_what_may_be(words) {
        return None;
    }
    let is_of_task = is_of_bounds(words)
        || is_of_answers(words)
        || counts_nothing(words)
            && (is_of_inputs(words) || is_of_quality(words) || is_of_complexity(words));
    if is_of_task {
        return Some(Aside::Task);
    }
    (counts_nothing(words) && is_of_what_is_around(words)).then_some(Aside::Surroundings)
}

/// The words of a sentence, in small letters: a parameter is `$`, a number `0` (behind `python`, as it is written), a
/// comparison `<`, and an order of complexity `o()`. `None` if it asks, quotes or states an equality.
pub(super) fn words_of(sentence: &str, parameters: &BTreeSet<&str>) -> Option<Vec<String>> {
    let mut words: Vec<String> = Vec::new();
    let mut rest = sentence.trim().trim_end_matches(['.', '!']);
    while let Some(c) = rest.chars().next() {
        let is_part = |c: char| c.is_alphanumeric() || c == '_' || c == '\'' || c == '’';
        let end = rest.find(|c| !is_part(c)).unwrap_or(rest.len());
        if let Some(inside) = rest.strip_prefix("O(") {
            let (_, after) = inside.split_once(')')?;
            words.push("o()".to_owned());
            rest = after.trim_start_matches(')');
        } else if c.is_ascii_digit() {
            let goes_on = |c: char| c.is_ascii_digit() || "^*_+".contains(c);
            let end = rest
                .char_indices()
                .find(|&(at, c)| {
                    let is_inner = ".,".contains(c)
                        && rest[at + 1..].starts_with(|c: char| c.is_ascii_digit());
                    !goes_on(c) && !is_inner
                })
                .map_or(rest.len(), |(at, _)| at);
            let is_version = words.last().is_some_and(|last| last == "python");
            let number = if is_version { &rest[..end] } else { "0" };
            words.push(number.to_owned());
            rest = &rest[end..];
            if rest.starts_with(char::is_alphabetic) {
                return None;
            }
        } else if end > 0 {
            let word = &rest[..end];
            let is_parameter = parameters.contains(word);
            let lower = word.to_lowercase().replace('’', "'");
            words.push(if is_parameter { "$".to_owned() } else { lower });
            rest = &rest[end..];
        } else {
            let mark = ["<=", ">=", "<", ">", "≤", "≥"]
                .iter()
                .find(|mark| rest.starts_with(**mark));
            if let Some(mark) = mark {
                words.push("<".to_owned());
                rest = &rest[mark.len()..];
                continue;
            }
            match c {
                ',' | ';' => words.push(c.to_string()),
                _ if c.is_whitespace() || "-*`.[]()+".contains(c) => {}
                _ => return None,
            }
            rest = &rest[c.len_utf8()..];
        }
    }
    Some(words)
}

/// `1 <= n <= 100`
fn is_of_bounds(words: &[&str]) -> bool {
    let is_bound = |word: &&str| has("$, 0, <, len, length, size, i, j, and, or", word);
    words.contains(&"<") && words.contains(&"$") && words.iter().all(is_bound)
}

/// Whether each word that denies is followed by one that may be denied.
fn denies_what_may_be(words: &[&str]) -> bool {
    let mut denying = words
        .iter()
        .enumerate()
        .filter(|(_, word)| has(DENYING, word));
    denying.all(|(at, _)| {
        let mut next = words[at + 1..]
            .iter()
            .filter(|word| !has(BETWEEN, word) || **word == "contain");
        next.next().is_some_and(|word| has(DENIABLE, word))
    })
}

/// Whether numbers only bound something, and no comparison is left open: `less than 5`, but neither `is 5` nor `less`.
fn counts_nothing(words: &[&str]) -> bool {
    let before = |at: usize| at.checked_sub(1).map_or("", |at| words[at]);
    let has_range = words.contains(&"between") || words.contains(&"from");
    words.iter().enumerate().all(|(at, &word)| {
        let next = words.get(at + 1).copied().unwrap_or_default();
        match word {
            "0" | "one" | "two" => {
                has(
                    "as, between, exactly, from, least, most, pep, than, to",
                    before(at),
                ) || before(at) == "and" && has_range
                    || next == "bit"
            }
            "greater" | "larger" | "less" | "longer" | "lower" | "more" | "fewer" => {
                next == "than" || word == "lower" && next == "case"
            }
            "same" => has("length, order, size, type", next),
            // Of all inputs, this says that some examples have none of them.
            "duplicate" | "duplicates" | "empty" | "negative" | "none" | "unsorted" | "zero" => {
                let is_possible =
                    |word: &&str| has("can, may, might, non", word) || has(DENYING, word);
                words[..at].iter().any(is_possible)
            }
            "valid" => words
                .iter()
                .any(|word| has("always, all, each, every", word)),
            _ => true,
        }
    })
}

/// `Only one valid answer exists`
fn is_of_answers(words: &[&str]) -> bool {
    let says = |one_of: &str| words.iter().any(|word| has(one_of, word));
    says("answer, solution")
        && says("exist, exists, has, have, is")
        && says("always, exactly, only, single, unique")
        && words.iter().all(|word| has(ANSWERS, word))
}

fn is_of_inputs(words: &[&str]) -> bool {
    /// What is spoken of has at most so many words.
    const SUBJECT_WORDS_MAX: usize = 5;
    let mut beginning = words.iter().take(SUBJECT_WORDS_MAX + 1);
    let Some(at) = beginning.position(|word| has(VERBS, word)) else {
        return false;
    };
    let (subject, said) = words.split_at(at);
    let (verb, said) = (said[0], &said[1..]);
    let is_joining = |word: &&str| {
        has(
            "a, all, an, and, any, both, each, every, or, the, your",
            word,
        )
    };
    let is_kept = ["modified", "changed", "mutated"].contains(said.last().unwrap_or(&""))
        && said.contains(&"not");
    let named: Vec<&str> = subject
        .iter()
        .copied()
        .filter(|word| !(is_joining(word) || is_kept && *word == "original"))
        .collect();
    let is_there = subject == ["there"];
    let is_known = |word: &&str| *word == "$" || is_of_data(word);
    let open: Vec<&&str> = named.iter().filter(|word| !is_known(word)).collect();
    let is_input = named.iter().any(|word| *word == "$" || has(INPUTS, word));
    let is_fitting = ["fit", "fits"].contains(&verb);
    let is_subject = is_there
        || !named.is_empty()
            && open.len() <= 1
            && open.iter().all(|word| is_open_noun(word) || is_fitting);
    let first = said.first().copied().unwrap_or_default();
    let is_bounded = match verb {
        // `The list must be empty` may speak of what is returned.
        "must" | "should" => is_input || is_kept,
        "is" | "are" => {
            is_input
                || is_there
                || is_a_type(said)
                || has("a, always, an, all, never, separated", first)
                || subject
                    .first()
                    .is_some_and(|word| ["all", "both", "each", "every"].contains(word))
        }
        _ => true,
    };
    let is_whole = said.last().is_some_and(|last| {
        is_kept || ["$", "0"].contains(last) || is_of_data(last) || *last == "only"
    });
    let has_bounds = said.contains(&"0");
    is_subject
        && is_bounded
        && is_whole
        && (!has_bounds || is_input || is_there || open.is_empty())
        && said.iter().enumerate().all(|(at, word)| {
            let next = said.get(at + 1).copied().unwrap_or_default();
            is_known(word)
                || has(JOINING, word)
                || has(DENYING, word)
                || has("modified, changed, mutated, exactly, than, one, two, 0, more, fewer, null, exceed", word)
                || *word == "equal" && next == "to"
        })
}

/// `positive integers`, `lists of strings`
fn is_a_type(words: &[&str]) -> bool {
    let is_plural = |word: &&str| word.ends_with('s') && has(DATA, word);
    words.last().is_some_and(is_plural)
        && words
            .iter()
            .all(|word| is_of_data(word) || has("and, of, or", word))
}

/// Whether a word may name an input that only the task knows: `Names`, `hours`.
fn is_open_noun(word: &str) -> bool {
    word.chars().all(char::is_alphabetic)
        && word.len() > 2
        && ![JOINING, DENYING, NO_INPUTS, CODE]
            .iter()
            .any(|list| has(list, word))
}

/// Whether a word names data, or says of what kind it is.
pub(super) fn is_of_data(word: &str) -> bool {
    [INPUTS, DATA, KINDS].iter().any(|list| has(list, word))
}

/// `The function should be fast`, `keep it simple`, `make sure that it works with Python 3.9`
fn is_of_quality(words: &[&str]) -> bool {
    let verbs = [
        &["make", "sure", "that"][..],
        &["make", "sure"],
        &["keep"],
        &["make"],
    ];
    let demanded = verbs.iter().find_map(|verb| words.strip_prefix(*verb));
    let Some((code, rest)) = after_code(demanded.unwrap_or(words)) else {
        return false;
    };
    let modal = ["should", "must", "needs to", "has to", "have to", "need to"];
    let after_modal = modal.iter().find_map(|modal| {
        let modal: Vec<&str> = modal.split(' ').collect();
        rest.strip_prefix(modal.as_slice())
    });
    let Some(said) = after_modal.or(demanded.map(|_| rest)) else {
        return false;
    };
    let is_good = |word: &str| has(QUALITIES, word) || code != "it" && has(QUALITIES_OF_TEXT, word);
    let is_version = |at: usize| at > 0 && said[at - 1] == "python" && said[at].starts_with('3');
    said.iter().any(|word| is_good(word) || has(DEGREES, word))
        && said.iter().enumerate().all(|(at, word)| {
            is_good(word) || has(OF_QUALITIES, word) || ["$", "0"].contains(word) || is_version(at)
        })
}

/// The word for the code at the start of words, and what stands behind it.
fn after_code<'w, 's>(words: &'w [&'s str]) -> Option<(&'s str, &'w [&'s str])> {
    let skipped = words
        .first()
        .is_some_and(|word| ["the", "your", "this"].contains(word));
    let (word, rest) = words[usize::from(skipped)..].split_first()?;
    has(CODE, word).then_some((word, rest))
}

/// `The time complexity should be O(n)`, `performance is not important`
fn is_of_complexity(words: &[&str]) -> bool {
    words.iter().any(|word| has(MEASURED, word))
        && words.len() > 1
        && words.iter().all(|word| {
            has(COMPLEXITY, word)
                || has(DATA, word)
                || has("not, doesn't, does, $, large, long", word)
        })
}

/// `Python 3.10`, `no external packages`, `I'm on Linux`
fn is_of_what_is_around(words: &[&str]) -> bool {
    let is_version = |at: usize| {
        let before = at.checked_sub(1).map_or("", |at| words[at]);
        before == "python" && words[at].starts_with('3') || before == "pep" && words[at] == "0"
    };
    words.iter().any(|word| has(NAMED_AROUND, word))
        && words
            .iter()
            .enumerate()
            .all(|(at, word)| has(AROUND, word) || has("no, not, without", word) || is_version(at))
}
