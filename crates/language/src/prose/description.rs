//! Recognises sentences that say what asked-for code does: `It counts the words of a text.` Between the request and an
//! example such a sentence leads on. Its verb is one of those by which code is described, and it has no other words than
//! those of data: in words of their own, people also tell what code does against their will.

use std::collections::BTreeSet;

use super::aside::{CODE, is_of_data, words_of};
use super::wording::{asks, has, is_action, opening, speaks_of_other_code};

/// What code does with what it is given, beside [`is_action`].
const TAKING: &str =
    "accepts, expects, handles, ignores, keeps, preserves, receives, takes, treats, uses";
/// Verbs of [`is_action`] by which people also tell what code does against their will.
const OF_REPORTS: &str = "drop, invert, multiply, replace, reverse, round, shift, swap, truncate";
/// The other words of such sentences.
const OTHERS: &str = "a, all, an, and, are, as, by, case, chunks, common, each, even, every, file, files, for, from, given, groups, if, in, into, is, \
    its, left, name, names, of, on, or, order, parts, prefix, return, returns, right, sentence, sentences, suffix, sum, text, that, the, to, \
    vowels, when, whether, which, with";
/// Verbs of a request that `if` or `whether` follows.
const TELLING: &str =
    "check, checks, decide, decides, determine, determines, say, says, tell, tells, test, tests";

/// What sentences about code speak of, beside data.
const NOUNS: &str = "bracket, consonants, date, dates, decimal, digit, index, interval, intervals, name, names, node, nodes, path, sentence, \
    sentences, sequence, substring, text, tree, vowels, weight";

/// What is known of what a prompt asks for.
#[derive(Clone, Copy)]
pub(crate) struct Asked<'a> {
    pub(crate) names: &'a BTreeSet<&'a str>,
    pub(crate) parameters: &'a BTreeSet<&'a str>,
}

impl Asked<'_> {
    /// Whether a word says nothing but what is asked for: it is of data, or of a name that is asked for.
    fn is_plain(self, word: &str) -> bool {
        is_of_data(word)
            || has(OTHERS, word)
            || is_action(word)
            || has(TAKING, word)
            || self
                .names
                .iter()
                .any(|name| name.split('_').any(|part| part == word))
    }
}

/// Whether a sentence says what the code does.
pub(crate) fn describes(sentence: &str, asked: Asked<'_>) -> bool {
    let bare = opening(sentence);
    let Some(words) = words_of(bare, asked.parameters) else {
        return false;
    };
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    let rest = match words.as_slice() {
        ["it", rest @ ..] => rest,
        ["the" | "this", code, rest @ ..] if has(CODE, code) => rest,
        [name, rest @ ..] if asked.names.contains(name) => rest,
        _ => return false,
    };
    let (is_demanded, rest) = match rest {
        ["should" | "must", rest @ ..] | ["has", "to", rest @ ..] => (true, rest),
        _ => (false, rest),
    };
    let [verb, said @ ..] = rest else {
        return false;
    };
    let stem = verb.trim_end_matches('s');
    let is_taking = has(TAKING, &format!("{stem}s"));
    let is_verb = is_taking || is_action(verb) && (is_demanded || !has(OF_REPORTS, stem));
    let is_whole =
        bare.ends_with('.') || said.len() > 1 && has("a, an, each, its, the", said[said.len() - 2]);
    is_demanded != verb.ends_with('s')
        && is_verb
        && is_whole
        && said
            .iter()
            .all(|word| ["$", ","].contains(word) || asked.is_plain(word))
}

/// Whether a sentence has a word of the task: of data, or a name or a parameter of what is asked for, or a verb at its start
/// by which code is described.
pub(crate) fn is_of_the_task(sentence: &str, asked: Asked<'_>) -> bool {
    /// `Returns 5.` says nothing of the task.
    const RETURNED_WORDS_MIN: usize = 2;
    let is_part = |c: char| c.is_alphanumeric() || c == '_';
    let mut words = opening(sentence)
        .split(|c: char| !is_part(c))
        .filter(|word| !word.is_empty())
        .enumerate();
    let count = opening(sentence).split_whitespace().count();
    words.any(|(at, word)| {
        let lower = word.to_lowercase();
        asked.parameters.contains(word)
            || is_of_data(&lower)
            || has(NOUNS, &lower)
            || at == 0 && (is_action(&lower) || has(TAKING, &lower))
            || ["return", "returns", "returned"].contains(&lower.as_str())
                && count > RETURNED_WORDS_MIN
            || asked.names.iter().any(|name| {
                let mut parts = name.split('_');
                parts.any(|part| part.eq_ignore_ascii_case(word) && part.len() > 2)
            })
    })
}

/// Whether a request that ends with a colon asks for what tells whether something is so: what stands below it can only be
/// examples, and no object of its verb. `Write a function leap(year) that tells if a year is a leap year:`
pub(crate) fn asks_for_a_condition(request: &str, asked: Asked<'_>) -> bool {
    let lower = request.trim_end().to_lowercase();
    let Some(whole) = lower.strip_suffix(':') else {
        return false;
    };
    // `..., leap(year):`
    let named = whole
        .rsplit_once(',')
        .filter(|(_, name)| name.contains('('));
    let whole = named.map_or(whole, |(whole, _)| whole);
    let Some((at, len)) = [" if ", " whether "]
        .iter()
        .find_map(|word| Some((whole.find(word)?, word.len())))
    else {
        return false;
    };
    let asks_to_tell = || {
        let verb = whole[..at].rsplit(' ').next();
        asks(&whole[..at]) && verb.is_some_and(|verb| has(TELLING, verb))
    };
    let words = words_of(&whole[at + len..], asked.parameters);
    asks_to_tell()
        && !speaks_of_other_code(whole)
        && words.is_some_and(|words| words.iter().all(|word| word == "$" || asked.is_plain(word)))
}
