//! How a prompt says a thing: the words by which a sentence or a heading denies, doubts, reports or
//! takes back what it says, and where a sentence begins and ends. A list of words is one text, with commas
//! between them.

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
/// What a sentence says too where it is no plain expectation: it denies, contrasts or doubts.
pub(crate) const DOUBTS: &str = "although, but, can't, cannot, didn't, doesn't, don't, error, errors, except, gave, gets, he, \
    how come, however, i get, isn't, maybe, might, no, not, now, people, perhaps, probably, \
    rather than, returned, said, says, seems, she, sic, still, suppose, they, though, told, typo, unless, unlike, \
    users, we get, whereas, while, why, without, won't, you get";
/// How a clause begins that asks for something.
pub(crate) const REQUESTS: &str = "add, build, change, complete, correct, create, define, develop, extend, fix, handle, i need, \
    i want, implement, keep, let's, make, please, program, provide, put, raise, refactor, repair, \
    replace, rewrite, use, we need, we want, write";
/// What a sentence says anywhere that asks for something.
const POLITE: &str = "can u, can you, could you, i'd like, please, would like, would you";
/// The same in other languages, as parts of words, with words of thanks.
const POLITE_ELSEWHERE: &str = "baue, bitte, brauche, crea , crée, danke, ecri, erstell, escrev, escrib, gracias, grazie, \
    implement, maak, merci, napisz, necesit, por favor, s'il, schreib, schrijf, scriv, skriv, yaz, \
    écri, напиш, нужн, спасибо, создай, 写, 寫, 请, 請, 谢谢, 書いて, 作って, ください, ありがとう, 작성, 만들, 주세요, 감사";
/// Words at the start of a request that says that what was just shown is wrong: `Fix that.`
const MENDING: &str = "change, correct, fix, make, repair";
/// Phrases of sentences that demand what they state.
pub(crate) const DEMANDING: &str = "acceptance, criteria, desired, ensure, expect, expected, expects, has to, have to, make sure, must, \
    need, needs, pass, required, shall, should, want, wanted, wants";
/// By what a sentence shows that it gives an example, or leads to one in its words: `so that f(1) == 2`.
const EXEMPLIFYING: &str =
    "e.g, eg, example, examples, for instance, i.e, so that, such as, such that";
/// How the rest of a sentence begins that only explains its result.
const EXPLAINING: &str = "and so on, as, because, etc, for, if, of course, please, since, so, thanks, thx, too, when, where, \
    with";
/// By what a sentence behind an example shows that it gives a rule.
const RULES: &str = "accept, accepts, allowed, does not change, does not count, does not matter, handle, handles, \
    ignored, needed, optional, raise, raised, raises, support, supports, use, work, works";
/// How a sentence begins that gives a rule, or only remarks something or thanks.
const RULE_OPENINGS: &str = "all, any, anything, best, cheers, constraints, do not, don't, each, empty, every, everything, \
    explanation, hint, if, invalid, kind regards, negative, no, note, only, other, otherwise, regards, \
    tests, thank, thanks, the class, the code, the function, the method, the module, the order, \
    the tests, thx, where";
/// How a sentence begins that speaks of something named before, or of one thing: no general rule.
const PARTICULAR: &str =
    "as, here, it, one, so, some, something, still, that, the, there, these, this, what, which";
/// Phrases with which people complain about a result.
const COMPLAINTS: &str =
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

/// Whether a line leads over to what is not wanted.
pub(crate) fn heads_a_report(line: &str) -> bool {
    let last = last_sentence(line);
    denies_in_another_language(last)
        || says_any(last, REPORTS)
        || says_any(last, FAULTS) && !starts_with_any(opening(last), REQUESTS)
}

/// What stands before a place in its sentence.
pub(crate) fn before_in_sentence(text: &str) -> &str {
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

/// What stands behind a place in its sentence.
pub(crate) fn behind_in_sentence(text: &str) -> &str {
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
/// Non-ASCII symbols that say nothing about an example.
const NEUTRAL: &str = "…”’»“‘「」。，、✅✔✓☑👍—–→⇒";

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

/// Whether what stands before an example in its sentence leads to one.
pub(crate) fn leads_to_an_example(lead: &str) -> bool {
    let is_situation =
        || starts_with_any(opening(lead), "for, note, when, with") && !tells_of_people(lead);
    SentenceLanguage::of(lead) == SentenceLanguage::Nothing
        || says_any(lead, EXEMPLIFYING)
        || RESULTS
            .iter()
            .any(|end| lead.trim_end().to_lowercase().ends_with(end))
        || requests(lead)
        || is_situation()
}

/// Whether what stands behind an example in its sentence only explains it.
pub(crate) fn only_explains(trail: &str) -> bool {
    let speaks = |c: char| !c.is_ascii() && !c.is_alphanumeric() && !NEUTRAL.contains(c);
    let bare = trail.trim_start_matches(|c: char| !c.is_alphanumeric() && c != '(');
    if trail.contains(speaks) || bare.starts_with(|c: char| c.is_ascii_digit()) {
        return false;
    }
    bare.is_empty()
        || bare.starts_with('(') && bare.contains(')')
        || starts_with_any(bare, EXPLAINING) && !tells_of_people(bare)
        || SentenceLanguage::of(bare) == SentenceLanguage::Nothing
}

/// Whether a sentence behind an example plainly takes nothing of it back: it leads to something else, asks,
/// thanks or gives a rule. Whatever else people may say of a result is not known to be no complaint.
pub(crate) fn goes_on(sentence: &str) -> bool {
    let bare = opening(sentence);
    let end = sentence.trim_end_matches(['*', '_']);
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
    let asks = requests(sentence);
    let is_correction = names_a_value && demands(sentence)
        || begins_with_a_value
        || starts_with_any(bare, MENDING) && says_any(bare, "it, that, this")
        || sentence.contains('?') && !asks
        || says_any(sentence, COMPLAINTS)
        || tells_of_people(sentence);
    let is_general = !starts_with_any(bare, PARTICULAR)
        && says_any(sentence, "are, is")
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

/// A text without quoted parts: `f('wrong')` says nothing.
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
            EXPLAINING,
            RULES,
            RULE_OPENINGS,
            PARTICULAR,
            COMPLAINTS,
            PEOPLE,
        ] {
            assert!(each(list).is_sorted_by(|one, next| one < next), "{list}");
        }
    }
}
