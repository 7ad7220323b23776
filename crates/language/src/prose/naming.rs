//! Finds the names of functions and classes that prose asks for. The notation of names and parameters is given by the
//! programming language.

use super::sentence_language::SentenceLanguage;
use super::wording::each;

/// Words before the name of something requested, if the name is written as code: with parentheses, backticks or an
/// underscore.
const CUES: &str = "func, function, functions, funktion, fonction, función, one, method, class, helper, predicate, \
    generator, write, implement, create, make, add, build, define, provide, offer, fix, repair, \
    correct, need, want, complete, a, an, the, and, by, into, with, that, called, named";
/// Words after which a name needs no parentheses, backticks or underscore.
const NAMING: &str = "called, named, write, implement, define, func, function, fix";
/// Bare words in that position that are not names.
const FILLERS: &str = "a, an, the, that, which, to, for, it, this, me, some, something, code, python, in, and, as, at, \
    below, by, from, into, is, of, on, so, then, with, function, module, program, script, class";

/// The notation of a programming language for what prose may name.
pub(crate) trait Notation {
    /// Whether a word is a name.
    fn is_name(&self, word: &str) -> bool;

    /// Whether the text after an opening parenthesis is a list of parameters, up to the closing one.
    fn has_parameters(&self, text: &str) -> bool;
}

/// The names that a line of text asks for, in order.
pub(crate) fn names_asked_for<'t>(line: &'t str, notation: &dyn Notation) -> Vec<&'t str> {
    let mut names = Vec::new();
    let bare = line.trim_start_matches([' ', '\t', '-', '*', '`', '.']);
    let bare =
        bare.trim_start_matches(|c: char| c.is_ascii_digit() || c == '.' || c == ')' || c == ' ');
    let mut cue = if bare.is_empty() { "" } else { "and" };
    // Most cues are English. In other languages a name is recognised by its parameters.
    let is_english = SentenceLanguage::of(line) != SentenceLanguage::Unknown;
    let mut rest = bare;
    while !rest.is_empty() {
        let end = rest
            .find(|c: char| !(c.is_alphanumeric() || c == '_'))
            .unwrap_or(rest.len());
        if end == 0 {
            let c = rest.chars().next().map_or(1, char::len_utf8);
            if !rest.starts_with([' ', '`', '\'', '"', '*']) {
                cue = if rest.starts_with([',', ';', ':', '.']) {
                    "and"
                } else {
                    ""
                };
            }
            rest = &rest[c..];
            continue;
        }
        let (word, after) = rest.split_at(end);
        let before = &bare[..bare.len() - rest.len()];
        let ticked = before.ends_with('`');
        let lower = word.to_lowercase();
        let at_call = after.starts_with('(') && notation.has_parameters(&after[1..]);
        let is_code = at_call || (ticked && after.starts_with('`')) || word.contains('_');
        let is_called = at_call && !is_english && !after.starts_with("()");
        let is_class = cue == "class" && word.starts_with(char::is_uppercase);
        let is_bare = (each(NAMING).any(|known| known == cue) || is_class)
            && !each(FILLERS).any(|filler| filler == lower);
        if !before.ends_with('.')
            && notation.is_name(word)
            && (is_code && each(CUES).any(|known| known == cue) || is_bare || is_called)
        {
            names.push(word);
        }
        cue = each(CUES).find(|known| *known == lower).unwrap_or_default();
        rest = after;
    }
    names
}
