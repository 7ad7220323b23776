//! How a prompt says a thing: the words by which a sentence or a heading denies, doubts, reports or
//! takes back what it says, and where a sentence begins and ends.

use crate::spoken::denies_in_another_language;

/// What a sentence or a heading says where its results are not what is wanted.
pub(crate) const REPORTS: &[&str] = &[
    "actual",
    "actually",
    "at the moment",
    "current",
    "currently",
    "got",
    "incorrect",
    "incorrectly",
    "instead",
    "mistake",
    "mistakes",
    "must not",
    "mustn't",
    "never",
    "observed",
    "old",
    "previously",
    "right now",
    "should not",
    "shouldn't",
    "wrong",
    "wrongly",
];
/// What a sentence or a heading says of what is to be mended. After one of `REQUESTS` it only names it.
pub(crate) const FAULTS: &[&str] = &[
    "broken",
    "bug",
    "buggy",
    "bugs",
    "fail",
    "failed",
    "failing",
    "fails",
    "off by one",
    "off-by-one",
];
/// How a sentence begins that asks for something.
pub(crate) const REQUESTS: &[&str] = &[
    "build",
    "change",
    "correct",
    "create",
    "define",
    "extend",
    "fix",
    "implement",
    "make",
    "please",
    "repair",
    "write",
];
/// What a heading alone says where its results are not what is wanted.
const HEADINGS: &[&str] = &[
    "bad",
    "customer",
    "happened",
    "happens",
    "last week",
    "legacy",
    "not work",
    "production",
    "regressed",
    "regression",
    "release",
    "released",
    "staging",
    "ticket",
];
/// What was before or is now: in a sentence and in a heading no plain expectation.
pub(crate) const PAST: &[&str] = &["before", "today", "used to", "yesterday"];
/// Who may claim something, and with which words they ask for it instead.
const CLAIMANTS: &[&str] = &["he", "i", "people", "she", "they", "users", "we", "you"];
const WISHES: &[&str] = &["expect", "must", "need", "require", "should", "want"];
/// After these words `that` begins what is wanted, and no report.
const DEMANDS: &[&str] = &[
    "assert", "check", "ensure", "expect", "means", "note", "require", "so", "such", "sure",
    "verify", "want",
];
/// What a sentence says too where it is no plain expectation: it denies, contrasts, reports or asks.
pub(crate) const DOUBTS: &[&str] = &[
    "although",
    "apparently",
    "assume",
    "believe",
    "believes",
    "but",
    "can't",
    "cannot",
    "claimed",
    "claims",
    "complained",
    "complains",
    "didn't",
    "doesn't",
    "don't",
    "error",
    "errors",
    "except",
    "gave",
    "gets",
    "guess",
    "how come",
    "however",
    "i get",
    "imagine",
    "isn't",
    "maybe",
    "might",
    "no",
    "not",
    "now",
    "perhaps",
    "probably",
    "rather than",
    "reported",
    "reports",
    "returned",
    "said",
    "says",
    "seems",
    "still",
    "strange",
    "suppose",
    "supposedly",
    "surprising",
    "surprisingly",
    "think",
    "thinks",
    "though",
    "told",
    "unless",
    "unlike",
    "we get",
    "whereas",
    "while",
    "why",
    "without",
    "won't",
    "you get",
];
/// How a sentence begins that takes the one before it back.
const CORRECTIONS: &[&str] = &[
    "but",
    "correct would be",
    "expected",
    "however",
    "i expect",
    "instead",
    "right would be",
    "should be",
    "that is not",
    "that is wrong",
    "that's not",
    "that's wrong",
    "the correct",
    "the right",
    "this is not",
    "this is wrong",
    "which is wrong",
    "why",
    "wrong!",
    "wrong.",
];
/// How a sentence begins that takes the result before it back, if it names another one.
const OTHERWISE: &[&str] = &["it must", "it should", "that should", "this should"];
/// How a sentence begins that only supposes or asks what it says.
pub(crate) const OPENINGS: &[&str] = &[
    "can", "could", "did", "do", "does", "has", "how", "if", "is", "what", "when", "whenever",
    "would",
];
/// The first sentence of a text.
fn first_sentence(text: &str) -> &str {
    let ends = [". ", "! ", "? ", "\n"];
    let to = ends.iter().filter_map(|end| text.find(end)).min();
    to.map_or(text, |to| &text[..to])
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
    let opening = last.trim_start_matches([' ', '-', '*', '#', '"', '`', '\'']);
    denies_in_another_language(last)
        || says_any(last, REPORTS)
        || says_any(last, HEADINGS)
        || says_any(last, PAST)
        || says_any(last, FAULTS) && !starts_with_any(opening, REQUESTS)
}

/// Whether what follows `lead` is what somebody says or believes: `I believe f(1) returns 2`,
/// `they found that f(1) == 2`.
pub(crate) fn is_claimed(lead: &str) -> bool {
    let lead = lead.trim_end_matches([' ', '`', '\n']).to_lowercase();
    let mut words = lead.split_whitespace().rev();
    let (last, before) = (
        words.next().unwrap_or_default(),
        words.next().unwrap_or_default(),
    );
    last == "that" && !DEMANDS.contains(&before)
        || CLAIMANTS.contains(&before) && !WISHES.contains(&last)
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

/// What stands behind a place in its sentence, and what comes then.
pub(crate) fn behind_in_sentence(text: &str) -> (&str, &str) {
    let ends = [
        ". ", ".\n", "! ", "!\n", "? ", "?\n", "。", "！", "？", "\n\n", "\n-", "\n*", "; ", "\n",
    ];
    let end = ends.iter().filter_map(|end| text.find(end)).min();
    match end {
        // A sentence that goes on in the next line, unless that is code.
        Some(at) if text[at..].starts_with('\n') => {
            let next = text[at + 1..].lines().next().unwrap_or_default();
            if next.trim().is_empty() || is_code(next) || next.trim_start().starts_with(['-', '*'])
            {
                return (
                    &text[..at],
                    text[at..].trim_start_matches(['\n', ' ', '-', '*']),
                );
            }
            let end = at + 1 + next.find(". ").unwrap_or(next.len());
            (
                &text[..end],
                text[end..].trim_start_matches(['.', '\n', ' ']),
            )
        }
        Some(at) => {
            let mark = text[at..].chars().next().map_or(1, char::len_utf8);
            (&text[..at + mark], text[at + mark..].trim_start())
        }
        None => (text, ""),
    }
}

/// Whether a text begins with one of these words.
pub(crate) fn starts_with_any(text: &str, words: &[&str]) -> bool {
    let text = text.to_lowercase();
    words.iter().any(|word| {
        text.strip_prefix(word)
            .is_some_and(|rest| !rest.starts_with(char::is_alphanumeric))
    })
}

/// Marks by which a line is shown to be wrong.
pub(crate) const CROSSES: &[char] = &['❌', '✗', '✘', '✖', '❎', '🚫', '⛔', '🐛', '👎'];

/// Whether a text begins by taking back what stands before it: `That is wrong`, `It should be 4`.
pub(crate) fn takes_back(text: &str) -> bool {
    let names_a_value = |text: &str| {
        text.contains(|c: char| c.is_ascii_digit() || "\"'[({`".contains(c))
            || ["True", "False", "None"]
                .iter()
                .any(|value| text.contains(value))
    };
    starts_with_any(text, CORRECTIONS)
        || starts_with_any(text, OTHERWISE) && names_a_value(first_sentence(text))
}

/// Whether one of these words stands in a text.
pub(crate) fn says_any(text: &str, words: &[&str]) -> bool {
    let text = text.to_lowercase().replace('’', "'");
    let part = |c: char| c.is_alphanumeric() || c == '_';
    words.iter().any(|word| {
        text.match_indices(word).any(|(at, _)| {
            !text[..at].ends_with(part) && !text[at + word.len()..].starts_with(part)
        })
    })
}

/// A text without what stands in quotation marks: `f('wrong')` says nothing.
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
        let of_reports = [REPORTS, FAULTS, DOUBTS, HEADINGS, PAST].concat();
        assert_eq!(BTreeSet::from_iter(&of_reports).len(), of_reports.len());
        for list in [
            REPORTS,
            FAULTS,
            DOUBTS,
            HEADINGS,
            REQUESTS,
            DEMANDS,
            CORRECTIONS,
            OPENINGS,
        ] {
            assert!(list.is_sorted_by(|one, next| one < next), "{list:?}");
        }
    }
}
