//! Recognises by their words what the sentences and headings of a prompt mean: that they deny, doubt, report, demand
//! or retract something. Also finds where a sentence begins and ends. Each list of words is one text with commas
//! between the words.

use super::sentence_language::{
    SentenceLanguage, asks_in_another_language, denies_in_another_language,
};

/// Phrases of sentences and headings whose results are not expected but observed, now or earlier.
pub(crate) const REPORTS: &str = "actual, actually, at the moment, before, current, currently, got, incorrect, incorrectly, instead, \
    legacy, mistake, mistakes, must not, mustn't, never, observed, old, previously, right now, \
    should not, shouldn't, today, used to, wrong, wrongly, yesterday";
/// Phrases about something to be fixed. After one of `REQUESTS` they only name it.
pub(crate) const FAULTS: &str =
    "broken, bug, buggy, bugs, fail, failed, failing, fails, off by one, off-by-one";
/// Words of sentences that are not clear expectations, because they deny, contrast or doubt.
pub(crate) const DOUBTS: &str = "although, but, can't, cannot, didn't, doesn't, don't, error, errors, except, gave, gets, he, \
    how come, however, i get, isn't, maybe, might, no, not, now, people, perhaps, probably, \
    rather than, returned, said, says, seems, she, sic, still, suppose, tbc, tbd, they, though, \
    to be confirmed, to be discussed, told, typo, unclear, unless, unlike, unsure, users, we get, whereas, \
    while, why, without, won't, you get";
/// Words at the start of a clause that makes a request.
pub(crate) const REQUESTS: &str = "add, build, change, complete, correct, create, define, develop, extend, fix, handle, i need, \
    i want, implement, keep, let's, make, please, program, provide, put, raise, refactor, repair, \
    replace, rewrite, use, we need, we want, write";
/// Phrases anywhere in a sentence that makes a request.
const POLITE: &str = "can u, can you, could you, i'd like, would like, would you";
/// Parts of words with which other languages make a request or give thanks.
const POLITE_ELSEWHERE: &str = "baue, bitte, brauche, crea , crée, danke, ecri, erstell, escrev, escrib, gracias, grazie, \
    implement, maak, merci, napisz, necesit, por favor, s'il, schreib, schrijf, scriv, skriv, yaz, \
    écri, напиш, нужн, спасибо, создай, 写, 寫, 请, 請, 谢谢, 書いて, 作って, ください, ありがとう, 작성, 만들, 주세요, 감사";
/// Words at the start of a request that says that what was just shown is wrong: `Fix that.`
const MENDING: &str = "change, correct, fix, make, repair";
/// Phrases of sentences that demand what they state.
pub(crate) const DEMANDING: &str = "acceptance, criteria, desired, ensure, expect, expected, expects, has to, have to, make sure, must, \
    need, needs, pass, required, shall, should, want, wanted, wants";
/// Phrases of sentences that give or introduce an example: `so that f(1) == 2`.
const EXEMPLIFYING: &str =
    "e.g, eg, example, examples, for instance, i.e, so that, something like, such as, such that";
/// Words at the start of a text beside an example that says for which input the example is.
const SITUATIONS: &str = "for, if, note, when, where, with";
/// Words that describe inputs of any function.
pub(crate) const INPUTS: &str = "argument, arguments, bases, both, character, characters, date, dates, default, defaults, digit, digits, \
    duplicate, duplicates, element, elements, empty, entries, entry, equal, even, first, float, floats, \
    input, inputs, integer, integers, item, items, key, keys, last, leading, letter, letters, line, lines, \
    list, lists, missing, multiple, name, names, negative, nested, none, number, numbers, odd, once, one, only, \
    order, otherwise, pair, pairs, path, paths, positive, punctuation, repeated, same, sentence, sentences, \
    sequence, set, sets, several, single, sorted, space, spaces, string, strings, text, texts, ties, \
    trailing, tuple, tuples, two, type, types, value, values, vowel, vowels, whitespace, word, words, zero, \
    zeros";
/// Words for the surroundings of running code. They are no inputs: a sentence about what happens with or without them
/// is a report.
pub(crate) const SURROUNDINGS: &str = "build, ci, deploy, deployment, environment, logs, patch, prod, production, \
    release, server, staging";
/// Words of texts that attribute what follows to another person or a model, so that it is no example of the user's
/// own.
const ATTRIBUTING: &str = "according to, claim, claimed, claims, guess, guessed, guesses, hallucinated, \
    hallucination, insists, posted, proposed, replied, reported, says, suggested, suggests, supposedly, \
    told, wrote";
/// Words after `of`, `from` or `by` with which examples are still the user's own: `examples of the expected output`.
const OF_EXAMPLES: &str = "acceptance, behavior, behaviour, call, calling, calls, desired, each, expected, \
    function, how, input, inputs, it, method, output, outputs, requirements, results, spec, \
    specification, tests, these, this, usage, use, using, wanted, what";
/// Phrases of sentences that say that code does not hold.
pub(crate) const FAULTY: &str = "any more, anymore, at the moment, bogus, buggy, currently, deprecated, \
    disregard, do not follow, do not rely, do not trust, do not use, does not hold, don't follow, \
    don't rely, don't trust, don't use, erroneous, faulty, flawed, has to go, have to go, incorrect, \
    isn't correct, isn't right, made up, misleading, misprint, misprints, mistake, mistaken, mistakes, \
    no longer, not correct, not right, not true, not valid, not what, obsolete, off by one, off-by-one, \
    out of date, outdated, right now, stale, superseded, typo, typos, untrue, wrong";
/// Words of a heading, comment, title or name that say that the code there shows past or present behaviour, not the
/// wanted one.
const OF_THE_PAST: &str = "abandoned, answered, anti-example, anti-examples, anti-pattern, as is, \
    before the, behaved, cancelled, characterisation, characterization, counter-example, \
    counterexample, counterexamples, did, discarded, documents, for now, gave, incorrectly, \
    known issue, known issues, legacy, non-example, quirk, quirks, rejected, repro, reproduces, \
    reproduction, to be fixed, unfixed, used to, withdrawn, workaround, wrongly";
/// Adjectives of past or present behaviour, if one of `STATES` follows: `current output`.
const FORMER: &str =
    "actual, current, existing, former, old, original, present, previous, prior, today's";
const STATES: &str = "behavior, behaviour, bug, bugs, code, implementation, output, outputs, result, results, semantics, \
    state, tests, version, versions";
/// Words at the start of a line that changes or retracts what was said before it. A punctuation mark follows:
/// `Update: no signs`.
const AMENDMENTS: &str = "actually, addendum, amendment, change of plan, change of plans, correction, edit, edited, erratum, \
    hang on, hm, hmm, hold on, instead, later, never mind, nevermind, nope, on reflection, on second thought, \
    on second thoughts, oops, p.s, postscript, ps, revised, revision, scratch that, sorry, upd, update, \
    updated, wait, whoops";
/// Words at the start of a sentence that retracts examples above it.
pub(crate) const WITHDRAWING: &str = "cancel, delete, discard, disregard, drop, forget, ignore, remove, scratch, skip, strike, withdraw";
/// Words for what such a sentence retracts.
const WITHDRAWN: &str =
    "assert, assertion, assertions, asserts, doctest, doctests, example, examples, test, tests";
/// Labels before a colon with which a sentence does not refer to an example before it.
const KNOWN_LABELS: &str = "also, assumptions, behavior, behaviour, bonus, constraint, constraints, \
    edge case, edge cases, example, examples, explanation, format, goal, hint, input, inputs, limit, \
    limits, name, note, notes, optional, output, outputs, raises, requirement, requirements, returns, \
    rule, rules, signature, style, tests, usage";
/// Words of sentences after an example that state a rule.
const RULES: &str = "accept, accepts, allowed, does not change, does not count, does not matter, handle, handles, \
    ignored, needed, optional, raise, raised, raises, support, supports, use, work, works, worry";
/// Words at the start of a sentence that states a rule, remarks on something or gives thanks.
const RULE_OPENINGS: &str = "all, any, anything, best, cheers, constraints, do not, don't, each, empty, every, everything, \
    explanation, hint, if, invalid, kind regards, negative, no, note that, note:, only, other, otherwise, \
    regards, tests, thank, thanks, the class, the code, the function, the method, the module, the order, \
    the tests, thx, where";
/// Words at the start of a sentence that forbids something.
const FORBIDDING: &str =
    "avoid, do not, don't, never, no, not, please do not, please don't, please no, without";
/// Words for properties of the code itself. Forbidding or requesting them says nothing about results.
const OF_THE_CODE: &str = "argument, arguments, async, builtins, class, classes, code, comment, comments, decorator, \
    decorators, dependencies, dependency, docstring, docstrings, eval, exception, exceptions, exec, \
    explanation, explanations, file, files, global, globals, import, imports, lambda, lambdas, \
    libraries, library, logging, loop, loops, modify, module, modules, mutate, network, numpy, package, \
    packages, pandas, print, prints, raise, raises, recursion, recursive, regex, regexes, \
    regular expressions, side effects, signature, standard library, stdlib, test, tests, third party, \
    third-party, type hints";
/// Words at the start of a sentence that draw attention to the rest of it.
const POINTING: &str = "hint, note, note that, note:, only, otherwise, where";
/// Words at the start of a sentence about something mentioned before or about a single case, which is no general
/// rule.
const PARTICULAR: &str =
    "as, here, it, one, so, some, something, still, that, the, there, these, this, what, which";
/// Phrases with which people complain about a result.
pub(crate) const COMPLAINTS: &str =
    "forgets, forgotten, lacks, left out, loses, lost, missed, missing, skipped, skips";
/// Phrases of sentences about people and what they experienced.
const PEOPLE: &str = "customer, customers, i, me, my, our, people, they, us, user, users, we";
/// Splits a list into its words and phrases.
pub(crate) fn each(words: &str) -> impl Iterator<Item = &str> {
    words.split(", ")
}

/// The last sentence of a line.
pub(crate) fn last_sentence(line: &str) -> &str {
    let ends = [". ", "! ", "? "];
    let from = ends.iter().filter_map(|end| line.rfind(end)).max();
    from.map_or(line, |at| &line[at + 2..])
}

/// Whether a line introduces code that is not wanted.
pub(crate) fn heads_a_report(line: &str) -> bool {
    let last = last_sentence(line);
    denies_in_another_language(last) || says_any(last, REPORTS) || shows_what_was(last)
}

/// The most bytes of a sentence. A longer one is cut at this length.
const SENTENCE_BYTES_MAX: usize = 4_000;

/// The part of a sentence before a position.
pub(crate) fn before_in_sentence(text: &str) -> &str {
    let mut start = text.len().saturating_sub(SENTENCE_BYTES_MAX);
    while !text.is_char_boundary(start) {
        start += 1;
    }
    let text = &text[start..];
    let mut from = 0;
    for end in [
        ". ", ".\n", "! ", "!\n", "? ", "?\n", "。", "！", "？", "\n\n", "\n-", "\n*", "; ", ":\n",
        "\n>>>",
    ] {
        if let Some(at) = text.rfind(end) {
            from = from.max(at + end.chars().next().map_or(1, char::len_utf8));
        }
    }
    let sentence = &text[from..];
    // Of code above it, nothing is said about it.
    match sentence.rfind('\n') {
        Some(at) if sentence[..at].lines().last().is_some_and(is_code) => &sentence[at..],
        _ => sentence,
    }
}

fn is_code(line: &str) -> bool {
    line.contains(['(', '=', '>']) || line.trim_end().ends_with(':')
}

/// The part of a sentence after a position.
pub(crate) fn behind_in_sentence(text: &str) -> &str {
    let mut end = text.len().min(SENTENCE_BYTES_MAX);
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    let text = &text[..end];
    let ends = [
        ". ", ".\n", "! ", "!\n", "? ", "?\n", "。", "！", "？", "\n\n", "\n-", "\n*", "; ", "\n",
    ];
    let Some(at) = ends.iter().filter_map(|end| text.find(end)).min() else {
        return text;
    };
    if !text[at..].starts_with('\n') {
        let mark = text[at..].chars().next().map_or(1, char::len_utf8);
        return &text[..at + mark];
    }
    // A sentence goes on in the next line, unless that is code.
    let next = text[at + 1..].lines().next().unwrap_or_default();
    if next.trim().is_empty() || is_code(next) || next.trim_start().starts_with(['-', '*']) {
        return &text[..at];
    }
    &text[..at + 1 + next.find(". ").unwrap_or(next.len())]
}

/// Whether a text starts with one of these words.
pub(crate) fn starts_with_any(text: &str, words: &str) -> bool {
    let text = text.to_lowercase();
    each(words).any(|word| {
        text.strip_prefix(word).is_some_and(|rest| {
            !rest.starts_with(|c: char| c.is_alphanumeric() || "_(".contains(c))
        })
    })
}

/// Endings of the text before an example that only names its result: `the result of f(1)`.
const RESULTS: &[&str] = &["calling", "output of", "result of", "value of"];

/// Symbols that mark a line as wrong.
const CROSSES: &[char] = &['❌', '✗', '✘', '✖', '❎', '🚫', '⛔', '🐛', '👎'];

/// Whether a line contains a symbol that marks it as wrong, outside strings in its code.
pub(crate) fn is_crossed(line: &str) -> bool {
    let line = without_strings(line);
    // What is struck out in Markdown; three of them are a fence.
    line.contains(CROSSES) || line.contains("~~") && !line.contains("~~~")
}

/// A sentence without the bullet or number of a list item.
pub(crate) fn opening(sentence: &str) -> &str {
    let is_mark = |c: char| " \n-*#\"`'>•".contains(c);
    let bare = sentence.trim_start_matches(is_mark);
    let numbered = bare.trim_start_matches(|c: char| c.is_ascii_digit());
    let item = numbered
        .strip_prefix(['.', ')'])
        .filter(|_| numbered.len() < bare.len());
    item.unwrap_or(bare).trim_start_matches(is_mark)
}

/// Whether a sentence asks for something to be made or done.
pub(crate) fn requests(sentence: &str) -> bool {
    let mut clauses = sentence.split([',', ':', ';']).map(opening);
    clauses.any(|clause| starts_with_any(clause, REQUESTS))
        || says_any(sentence, POLITE)
        || says_any(sentence, "please")
        || asks_in_another_language(sentence, POLITE_ELSEWHERE)
}

/// Whether a sentence demands what it states.
pub(crate) fn demands(sentence: &str) -> bool {
    says_any(sentence, DEMANDING)
}

/// Whether a sentence is about people and what they experienced, so that it is neither a rule nor a request.
pub(crate) fn tells_of_people(sentence: &str) -> bool {
    says_any(sentence, PEOPLE) && !requests(sentence) && !demands(sentence)
}

/// Whether a text begins like one that says for which input an example is: `With an empty list`. A text about the
/// surroundings of the code (`With the patch reverted`) is a report instead.
pub(crate) fn begins_a_situation(text: &str) -> bool {
    let bare = text.trim_start_matches(|c: char| !c.is_alphanumeric());
    starts_with_any(opening(bare), SITUATIONS)
        && !tells_of_people(text)
        && !says_any(text, SURROUNDINGS)
}

/// Whether a text is about the surroundings of running code.
pub(crate) fn speaks_of_surroundings(text: &str) -> bool {
    says_any(text, SURROUNDINGS)
}

/// Whether a text attributes what follows to another person or a model, or introduces it as an example of something
/// that may not be wanted: `Example of a hallucination`.
pub(crate) fn attributes(text: &str) -> bool {
    let lower = text.to_lowercase();
    let is_of_something_else = || {
        let mut words = each("demo, example, sample, test");
        let rest = words.find_map(|word| lower.split_once(word).map(|(_, rest)| rest));
        let clause = rest.and_then(|rest| rest.split([',', ':', ';', '.']).next());
        let rest = clause.map(|rest| rest.trim_start_matches('s'));
        let of = rest.and_then(|rest| {
            let comes_from = |word: &str| rest.split_once(word).map(|(_, of)| of);
            let mut words = [" from ", " by "].into_iter();
            words
                .find_map(comes_from)
                .or_else(|| rest.strip_prefix(" of "))
        });
        of.is_some_and(|of| !says_any(of, OF_EXAMPLES) && !of.contains(['`', '(']))
    };
    says_any(text, ATTRIBUTING) || is_of_something_else()
}

/// Whether a heading, comment, title or name says that the code there shows past or present behaviour.
pub(crate) fn shows_what_was(text: &str) -> bool {
    let lower = text.to_lowercase();
    let words: Vec<&str> = lower
        .split(|c: char| !(c.is_alphanumeric() || c == '\''))
        .filter(|word| !word.is_empty())
        .collect();
    let is_in = |list: &str, word: &str| each(list).any(|known| known == word);
    let names_a_state = words
        .windows(2)
        .any(|two| is_in(FORMER, two[0]) && is_in(STATES, two[1]));
    names_a_state
        || says_any(&lower, OF_THE_PAST)
        || says_any(&lower, FAULTY)
        || says_any(&lower, FAULTS) && !starts_with_any(opening(&lower), REQUESTS)
}

/// Whether a line changes or retracts what was said before it: `Update: no signs please`.
pub(crate) fn amends(line: &str) -> bool {
    let bare = opening(line).to_lowercase();
    each(AMENDMENTS).any(|word| {
        bare.strip_prefix(word).is_some_and(|rest| {
            let marked = rest.trim_start();
            let mut chars = marked.chars();
            let (mark, next) = (chars.next(), chars.next());
            let is_apart = next.is_none_or(|c| !c.is_alphanumeric());
            match mark {
                None | Some(':') => true,
                Some('-' | '–' | '—' | '.' | ',' | '!' | '*' | '_') => is_apart,
                // `update(x)` is a call, `Update 2:` and `Edit (Monday):` are none.
                Some(c) if c == '(' || c.is_ascii_digit() => {
                    rest.starts_with(' ') && marked.contains(':')
                }
                // `Correction from Ada: ...`
                Some(_) => {
                    marked.contains(':') && ["by ", "from "].iter().any(|of| marked.starts_with(of))
                }
            }
        })
    })
}

/// Whether a sentence retracts examples before it.
pub(crate) fn withdraws(sentence: &str) -> bool {
    let bare = opening(sentence);
    let bare = bare.strip_prefix("Please ").unwrap_or(bare);
    let takes_back = starts_with_any(bare, WITHDRAWING) || says_any(sentence, FAULTY);
    takes_back
        && says_any(sentence, WITHDRAWN)
        && !says_any(
            sentence,
            "below, fail, failing, fails, following, here, next, pass, passes",
        )
}

/// Whether the text before an example in its sentence introduces it.
pub(crate) fn leads_to_an_example(lead: &str) -> bool {
    SentenceLanguage::of(lead) == SentenceLanguage::Nothing
        || says_any(lead, EXEMPLIFYING)
        || RESULTS.iter().any(|end| {
            lead.trim_end_matches([' ', '`'])
                .to_lowercase()
                .ends_with(end)
        })
        || requests(lead)
}

/// Whether a later sentence of the paragraph after an example complains about it or reports something.
pub(crate) fn complains_later(sentence: &str) -> bool {
    let complains = says_any(sentence, COMPLAINTS)
        || says_any(sentence, "got, today, yesterday")
        || shows_what_was(sentence);
    amends(sentence)
        || withdraws(sentence)
        || complains && !requests(sentence) && !demands(sentence)
}

/// Whether a sentence makes a request with a verb, and not only with `please`.
fn asks_for_something(sentence: &str) -> bool {
    let lower = sentence.to_lowercase();
    let asks_politely = lower.split_once("please ").is_some_and(|(_, asked)| {
        asked.starts_with(char::is_alphabetic) && !starts_with_any(asked, "no, not, the, without")
    });
    asks_politely || requests(&lower.replace("please", ""))
}

/// Whether a sentence requests that what was just shown be different: `Please make it four`, `Correct the assertion`.
fn mends(sentence: &str) -> bool {
    let lower = sentence.to_lowercase();
    let bare = lower.strip_prefix("please ").unwrap_or(&lower);
    let is_shown = says_any(bare, "it, that, this")
        || says_any(bare, WITHDRAWN) && !says_any(bare, "pass, passes");
    starts_with_any(bare, MENDING) && is_shown
}

/// Whether a sentence begins with an unknown label, such as a name: `Bob: no signs please`.
fn has_unknown_label(sentence: &str) -> bool {
    /// The most words of a label.
    const WORDS_MAX: usize = 3;
    let Some((label, rest)) = opening(sentence).split_once(':') else {
        return false;
    };
    let is_label = !rest.trim().is_empty()
        && label.split_whitespace().count() <= WORDS_MAX
        && label
            .chars()
            .all(|c| c.is_alphanumeric() || c == ' ' || c == '-');
    is_label
        && SentenceLanguage::of(label) != SentenceLanguage::Nothing
        && !says_any(label, KNOWN_LABELS)
        && !starts_with_any(label, REQUESTS)
}

/// Whether a sentence after an example clearly retracts nothing of it: it introduces something else, makes a request,
/// gives thanks or states a rule. Any other sentence about a result may be a complaint.
pub(crate) fn goes_on(sentence: &str) -> bool {
    /// Words of a heading that says that only what follows is wanted, and not what is before it.
    const HEADING_WORDS: usize = 2;
    let bare = opening(sentence);
    let end = sentence.trim_end_matches(['*', '_']);
    let is_other_result = end.ends_with(':')
        && bare.split_whitespace().count() <= HEADING_WORDS
        && says_any(bare, "desired, expected, should be, want, wanted");
    if amends(sentence) || has_unknown_label(sentence) || is_other_result {
        return false;
    }
    let is_heading = sentence.starts_with(['#', '|', '<'])
        || end.ends_with(':')
        || !end.ends_with(['.', '!', '?']) && says_any(sentence, EXEMPLIFYING);
    let begins_with_a_value =
        bare.starts_with(|c: char| c.is_ascii_digit() || "\"'[({:".contains(c));
    if is_heading
        || SentenceLanguage::of(sentence) == SentenceLanguage::Nothing && !begins_with_a_value
    {
        return true;
    }
    let names_a_value = sentence.contains(|c: char| c.is_ascii_digit() || "\"'[{".contains(c));
    let asks = asks_for_something(sentence);
    let is_forbidden = starts_with_any(bare, FORBIDDING)
        && !says_any(sentence, OF_THE_CODE)
        && !says_any(sentence, RULES);
    let is_correction = names_a_value && demands(sentence)
        || is_forbidden
        || starts_with_any(bare, POINTING) && demands(sentence)
        || begins_with_a_value
        || mends(bare)
        || sentence.contains('?') && !asks
        || says_any(sentence, COMPLAINTS)
        || tells_of_people(sentence);
    let is_general = !starts_with_any(bare, PARTICULAR)
        && says_any(sentence, "are, is")
        && !says_any(sentence, DOUBTS)
        && !says_any(sentence, "it, that, these, this, those")
        && !says_any(sentence, REPORTS);
    let is_rule = says_any(sentence, RULES) || starts_with_any(bare, RULE_OPENINGS) || is_general;
    !is_correction && (asks || is_rule)
}

/// Whether one of these words occurs in a text.
pub(crate) fn says_any(text: &str, words: &str) -> bool {
    let text = text.to_lowercase().replace('’', "'");
    let part = |c: char| c.is_alphanumeric() || c == '_';
    each(words).any(|word| {
        text.match_indices(word).any(|(at, _)| {
            !text[..at].ends_with(part) && !text[at + word.len()..].starts_with(part)
        })
    })
}

/// A text without its quoted parts, whose words mean nothing here: `f('wrong')`.
pub(crate) fn without_strings(text: &str) -> String {
    let mut out = String::new();
    let mut open: Option<char> = None;
    let mut before = ' ';
    for c in text.chars() {
        match open {
            Some(quote) if c == quote => open = None,
            None if matches!(c, '"' | '\'') && !before.is_alphanumeric() => open = Some(c),
            Some(_) => {}
            None => out.push(c),
        }
        before = c;
    }
    // A mark that nothing closes opened nothing.
    if open.is_some() { text.to_owned() } else { out }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn words_are_in_order_and_none_is_there_twice() {
        let of_reports = [REPORTS, FAULTS, DOUBTS].join(", ");
        let different: BTreeSet<&str> = each(&of_reports).collect();
        assert_eq!(different.len(), each(&of_reports).count());
        for list in [
            REPORTS,
            FAULTS,
            DOUBTS,
            REQUESTS,
            POLITE,
            MENDING,
            DEMANDING,
            RULES,
            RULE_OPENINGS,
            PARTICULAR,
            COMPLAINTS,
            PEOPLE,
            FORBIDDING,
            OF_THE_CODE,
            POINTING,
            SITUATIONS,
            INPUTS,
            SURROUNDINGS,
            ATTRIBUTING,
            OF_EXAMPLES,
            FAULTY,
            OF_THE_PAST,
            FORMER,
            STATES,
            AMENDMENTS,
            WITHDRAWING,
            WITHDRAWN,
            KNOWN_LABELS,
        ] {
            assert!(each(list).is_sorted_by(|one, next| one < next), "{list}");
        }
    }
}
