//! What a model remarks on code that it gives: that it is not to be so, that it was so before, or that it is offered
//! beside another.

use super::sentence_language::{
    denies_in_another_language, mends_in_another_language, offers_in_another_language,
};

/// Words before code that say that it is not to be so.
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
/// Words that say of what it was: where they begin the few that are said.
const FORMERS: &[&str] = &["before", "old", "original", "previous", "previously"];
/// Words by which it is the right one after all: "the broken one, corrected".
const CORRECTIONS: &[&str] = &[
    "correct",
    "corrected",
    "correction",
    "fix",
    "fixed",
    "right",
];

/// Words of what was there before, and what they are said of.
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
/// Words before code that offer it beside what was given.
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
/// Words by which it is meant all the same.
const MEANT: &[&str] = &[
    "new", "final", "improved", "updated", "complete", "whole", "full", "but", "with",
];

/// Why code may not be the one that is meant although nothing warns of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Beside {
    /// It was so, or is said to be wrong in words that are not wholly understood.
    Old,
    /// It is offered beside what was given before.
    Offered,
}

/// Whether a remark on code names it an old version, or offers it beside another.
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

/// Whether a remark on code says that it is not to be so.
pub(crate) fn warns(said: &str) -> bool {
    /// Words of a title.
    const TITLE_MAX: usize = 4;
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
        assert_eq!(beside("You could also write:"), Some(Beside::Offered));
        assert_eq!(beside("So sieht es momentan aus:"), Some(Beside::Old));
        assert_eq!(beside("Here is the file:"), None);
    }
}
