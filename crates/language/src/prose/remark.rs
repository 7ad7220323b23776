//! Recognises what a model says about code in its answer: that the code is wrong, is an old version, or is an
//! alternative to other code.

use super::sentence_language::{
    denies_in_another_language, mends_in_another_language, offers_in_another_language,
};

/// Phrases before code that say that it is wrong.
const WARNINGS: &[&[&str]] = &[
    &["do", "not"],
    &["don", "t"],
    &["dont"],
    &["should", "not"],
    &["shouldn", "t"],
    &["not", "like", "this"],
    &["not", "correct"],
    &["not", "work"],
    &["won", "t", "work"],
    &["instead", "of"],
    &["rather", "than"],
    &["wrong"],
    &["wrongly"],
    &["incorrect"],
    &["never"],
    &["avoid"],
    &["bad"],
    &["buggy"],
    &["broken"],
    &["mistake"],
    &["fails"],
];
/// Words of an old version, if a short title begins with one.
const FORMERS: &[&str] = &["before", "old", "original", "previous", "previously"];
/// Words that say that the code is right after all: "the broken one, corrected".
const CORRECTIONS: &[&str] = &[
    "correct",
    "corrected",
    "correction",
    "fix",
    "fixed",
    "right",
];

/// Adjectives of an old version, if one of `VERSIONS` follows.
const OLD: &[&str] = &[
    "old", "older", "original", "previous", "former", "earlier", "prior", "outdated",
];
const VERSIONS: &[&str] = &[
    "version",
    "code",
    "implementation",
    "file",
    "function",
    "class",
    "method",
    "module",
    "program",
    "script",
    "solution",
    "answer",
    "attempt",
    "draft",
    "approach",
    "one",
];
/// Phrases before code that offer it as an alternative.
const OFFERS: &[&[&str]] = &[
    &["another", "way"],
    &["another", "option"],
    &["another", "approach"],
    &["another", "possibility"],
    &["another", "variant"],
    &["you", "could", "also"],
    &["you", "can", "also"],
    &["if", "you", "want"],
    &["if", "you", "wanted"],
    &["if", "you", "need"],
    &["if", "you", "prefer"],
    &["if", "you", "like"],
    &["if", "you", "would"],
    &["if", "you", "d"],
    &["if", "you", "rather"],
    &["in", "case", "you"],
    &["optionally"],
];
/// Words that say that the code is the answer nevertheless.
const MEANT: &[&str] = &[
    "new", "final", "improved", "updated", "complete", "whole", "full", "but", "with",
];

/// First words of a line with which a model takes back what it wrote before.
const SECOND_THOUGHTS: &[&str] = &[
    "wait",
    "oops",
    "hmm",
    "sorry",
    "apologies",
    "actually",
    "correction",
];
/// Words that say that code replaces code before it.
const REPLACEMENTS: &[&str] = &[
    "correct",
    "corrected",
    "correction",
    "fixed",
    "final",
    "improved",
    "revised",
    "updated",
];

/// Whether a remark says that the code after it replaces code before it.
pub(crate) fn replaces(said: &str) -> bool {
    let lower = said.to_lowercase();
    let words = words_of(&lower);
    let is_denied = has(&words, &["not", "correct"]) || has(&words, &["t", "correct"]);
    let replaces = words.iter().any(|word| REPLACEMENTS.contains(word)) && !is_denied;
    replaces || has_second_thoughts(said) || mends_in_another_language(said)
}

/// Whether a line takes back what stands before it: what it calls wrong is that, and not what follows.
pub(crate) fn has_second_thoughts(said: &str) -> bool {
    let lower = said.to_lowercase();
    let first = words_of(&lower).first().copied().unwrap_or_default();
    SECOND_THOUGHTS.contains(&first)
}

/// Why code may not be the answer although it is not called wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Beside {
    /// It is an old version, or may be called wrong in another language.
    Old,
    /// It is an alternative to code before it.
    Offered,
}

/// Whether a remark calls code an old version or offers it as an alternative.
pub(crate) fn beside(said: &str) -> Option<Beside> {
    let lower = said.to_lowercase();
    let words = words_of(&lower);
    let is_meant = words
        .iter()
        .any(|word| MEANT.contains(word) || CORRECTIONS.contains(word));
    if is_meant || mends_in_another_language(said) {
        return None;
    }
    let is_old = words.iter().enumerate().any(|(at, word)| {
        let next = words.get(at + 1);
        OLD.contains(word) && next.is_none_or(|next| VERSIONS.contains(next))
    });
    if is_old || denies_in_another_language(said) {
        return Some(Beside::Old);
    }
    let is_offered = OFFERS.iter().any(|wanted| has(&words, wanted))
        || words.iter().any(|word| word.starts_with("alternativ"))
        || offers_in_another_language(said);
    is_offered.then_some(Beside::Offered)
}

/// Whether a remark says that code is wrong.
pub(crate) fn warns(said: &str) -> bool {
    /// The most words of a title.
    const TITLE_MAX: usize = 4;
    if has_second_thoughts(said) {
        return false;
    }
    let said = said.to_lowercase();
    let words = words_of(&said);
    let is_former =
        words.len() <= TITLE_MAX && words.first().is_some_and(|first| FORMERS.contains(first));
    let is_corrected = words.iter().enumerate().any(|(at, word)| {
        let is_denied = at > 0 && ["not", "t"].contains(&words[at - 1]);
        CORRECTIONS.contains(word) && !is_denied
    });
    is_former || (WARNINGS.iter().any(|wanted| has(&words, wanted)) && !is_corrected)
}

fn words_of(lower: &str) -> Vec<&str> {
    let words = lower.split(|c: char| !c.is_alphanumeric());
    words.filter(|word| !word.is_empty()).collect()
}

fn has(words: &[&str], wanted: &[&str]) -> bool {
    words.windows(wanted.len()).any(|some| some == wanted)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_remark_warns_of_code_names_it_old_or_offers_it() {
        for said in [
            "Do not write it like this:",
            "The old version:",
            "before",
            "This one is wrong:",
        ] {
            assert!(warns(said) || beside(said) == Some(Beside::Old), "{said}");
        }
        assert!(!warns("The broken one, corrected:"));
        assert!(!warns("Wait, that is wrong:") && replaces("Wait, that is wrong:"));
        assert!(replaces("Here is the corrected version:") && !replaces("Here is the file:"));
        assert!(!replaces("This one is not correct:"));
        assert_eq!(beside("You could also write:"), Some(Beside::Offered));
        assert_eq!(beside("So sieht es momentan aus:"), Some(Beside::Old));
        assert_eq!(beside("Here is the file:"), None);
    }
}
