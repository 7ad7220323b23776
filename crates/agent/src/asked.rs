//! What a prompt asks for, and how it says a thing: whether a line of it is an expectation, or
//! something that is reported, denied, quoted or written in another language.

use std::collections::BTreeSet;

use crate::passages::{Role, Statement, passages_in};
use crate::python::{defined_name, is_builtin, is_identifier, is_name, stub_signatures};

/// Words after which a name is that of what is asked for, where it is written as code: with
/// parentheses, backticks or an underscore.
const CUES: &[&str] = &[
    "function",
    "functions",
    "funktion",
    "fonction",
    "función",
    "one",
    "method",
    "class",
    "helper",
    "predicate",
    "generator",
    "write",
    "implement",
    "create",
    "make",
    "add",
    "build",
    "define",
    "provide",
    "offer",
    "fix",
    "repair",
    "correct",
    "need",
    "want",
    "complete",
    "a",
    "an",
    "the",
    "and",
    "with",
    "that",
    "called",
    "named",
];
/// After these a bare word is a name too.
const NAMING: &[&str] = &[
    "called",
    "named",
    "write",
    "implement",
    "define",
    "function",
    "fix",
];
/// Bare words that stand there and are no names.
const FILLERS: &[&str] = &[
    "a",
    "an",
    "the",
    "that",
    "which",
    "to",
    "for",
    "it",
    "this",
    "me",
    "some",
    "something",
    "code",
    "python",
    "in",
    "and",
    "with",
    "function",
    "module",
    "program",
    "script",
    "class",
];

/// What a sentence or a heading says where its results are not what is wanted.
const REPORTS: &[&str] = &[
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
const FAULTS: &[&str] = &[
    "broken", "bug", "buggy", "bugs", "fail", "failed", "failing", "fails",
];
/// How a sentence begins that asks for something.
const REQUESTS: &[&str] = &[
    "correct",
    "fix",
    "implement",
    "make",
    "please",
    "repair",
    "write",
];
/// What a heading alone says where its results are not what is wanted.
const HEADINGS: &[&str] = &["bad", "not work"];
/// What was before or is now: in a sentence and in a heading no plain expectation.
const PAST: &[&str] = &["before", "today", "used to", "yesterday"];
/// Who may claim something, and with which words they ask for it instead.
const CLAIMANTS: &[&str] = &["he", "i", "people", "she", "they", "users", "we", "you"];
const WISHES: &[&str] = &["expect", "must", "need", "require", "should", "want"];
/// After these words `that` begins what is wanted, and no report.
const DEMANDS: &[&str] = &[
    "assert", "check", "ensure", "expect", "means", "note", "require", "so", "such", "sure",
    "verify", "want",
];
/// What a sentence says too where it is no plain expectation: it denies, contrasts, reports or asks.
const DOUBTS: &[&str] = &[
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
    "it must",
    "it should",
    "right would be",
    "should be",
    "that is not",
    "that is wrong",
    "that should",
    "that's not",
    "that's wrong",
    "the correct",
    "the right",
    "this is not",
    "this is wrong",
    "this should",
    "which is wrong",
    "why",
    "wrong!",
    "wrong.",
];
/// How a sentence begins that only supposes or asks what it says.
const OPENINGS: &[&str] = &[
    "can", "could", "did", "do", "does", "has", "how", "if", "is", "what", "when", "whenever",
    "would",
];
/// What a fenced block of Python is marked with.
const PYTHON_BLOCKS: &[&str] = &["", "python", "py", "python3", "pycon", "doctest", "pytest"];
/// What opens and closes a block.
const FENCES: &[&str] = &["```", "~~~"];
/// Lines above an example in which its heading is looked for.
const HEADING_LINES_MAX: usize = 15;

/// A prompt, line by line.
pub(crate) struct Prompt<'p> {
    pub(crate) lines: Vec<Line<'p>>,
    text: &'p str,
    /// The signatures of a prompt that is itself the beginning of a file.
    pub(crate) stub: Vec<String>,
    defined: BTreeSet<&'p str>,
    named: BTreeSet<&'p str>,
    coroutines: BTreeSet<&'p str>,
    /// The Python code in it that checks something, statement by statement.
    pub(crate) passages: Vec<Vec<Statement>>,
}

/// A line of a prompt.
pub(crate) struct Line<'p> {
    pub(crate) text: &'p str,
    start: usize,
    /// Whether what it says may be an expectation: it is no quotation, no report of a test, and not in a
    /// block of another language.
    pub(crate) is_own: bool,
}

impl<'p> Prompt<'p> {
    pub(crate) fn of(text: &'p str) -> Self {
        let lines = lines_of(text);
        let stub = stub_signatures(text);
        let passages = passages_in(&lines);
        let tests: Vec<_> = passages
            .iter()
            .flatten()
            .filter(|one| matches!(one.role, Role::Helper | Role::Test))
            .map(|one| one.lines.clone())
            .collect();
        let is_test = |at: &usize| tests.iter().any(|lines| lines.contains(at));
        let (mut defined, mut named, mut coroutines) =
            (BTreeSet::new(), BTreeSet::new(), BTreeSet::new());
        let own = lines.iter().enumerate().filter(|(_, line)| line.is_own);
        for (_, line) in own.filter(|(at, _)| !is_test(at)) {
            for (at, word) in [("def ", 4), ("class ", 6)]
                .iter()
                .flat_map(|&(word, len)| {
                    line.text.match_indices(word).map(move |(at, _)| (at, len))
                })
            {
                let signature = &line.text[at..];
                let at_word = !line.text[..at].ends_with(|c: char| c.is_alphanumeric() || c == '_');
                let goes_on = |name: &str| {
                    signature[word..].trim_start()[name.len()..].starts_with(['(', ':'])
                };
                if let Some(name) = defined_name(signature)
                    .filter(|name| at_word && goes_on(name) && !name.starts_with("test"))
                {
                    defined.insert(name);
                    if line.text[..at].trim_end().ends_with("async") {
                        coroutines.insert(name);
                    }
                }
            }
            names_in_prose(line.text, &mut named);
        }
        Self {
            lines,
            text,
            stub,
            defined,
            named,
            coroutines,
            passages,
        }
    }

    /// The names of all that it asks for, in order.
    pub(crate) fn asked_names(&self) -> impl Iterator<Item = &'p str> {
        let all = self.defined.union(&self.named).copied();
        all.filter(|name| self.asks_for(name))
    }

    /// Whether the task is to write the coroutine `name`.
    pub(crate) fn asks_for_coroutine(&self, name: &str) -> bool {
        self.coroutines.contains(name)
    }

    /// Whether the task is to write `name`, plainly.
    pub(crate) fn asks_for(&self, name: &str) -> bool {
        let is_asked = if self.stub.is_empty() {
            self.defined.contains(name) || self.named.contains(name)
        } else {
            let mut names = self.stub.iter().filter_map(|line| defined_name(line));
            names.any(|defined| defined == name)
        };
        is_asked && !self.coroutines.contains(name) && !is_builtin(name)
    }

    /// Whether anything that it asks for is defined in it.
    pub(crate) fn defines(&self) -> bool {
        !self.defined.is_empty()
    }

    /// Whether it asks for anything by name.
    pub(crate) fn asks_by_name(&self) -> bool {
        self.defines() || !self.named.is_empty()
    }

    /// Whether what stands on line `at` stands under a heading that reports it (`Wrong results:`), or
    /// is taken back by what follows line `last`.
    pub(crate) fn is_reported(&self, at: usize, last: usize) -> bool {
        let heading = self.lines[..at].iter().rev().take(HEADING_LINES_MAX);
        for line in heading.map(|line| line.text.trim()) {
            let bare = line.trim_end_matches(['*', '_', '`', ' ']);
            let is_heading = bare.ends_with(':') || line.starts_with("##");
            let goes_on = line.is_empty()
                || line.starts_with(['-', '*', '>', '`', '"', '#'])
                || last_sentence(line).contains(['(', '=', '>'])
                || !line.ends_with(['.', '!', '?']) && !line.contains(' ');
            if is_heading || !goes_on {
                // A sentence that does not end goes on with what stands below it.
                if !line.ends_with(['.', '!', '?']) && heads_a_report(line) {
                    return true;
                }
                break;
            }
        }
        let next = self.lines[(last + 1).min(self.lines.len())..]
            .iter()
            .map(|line| {
                line.text
                    .trim()
                    .trim_start_matches(['-', '*', '`', ' ', '#'])
            })
            .find(|line| !line.is_empty());
        next.is_some_and(|next| starts_with_any(next, CORRECTIONS))
    }

    /// Whether a comment behind the code of a line says that the code does not hold.
    pub(crate) fn is_reported_beside(&self, at: usize) -> bool {
        let line = without_strings(self.lines[at].text);
        let comment = line.split_once('#').map_or("", |(_, comment)| comment);
        says_any(comment, REPORTS) || says_any(comment, FAULTS)
    }

    /// Whether the sentence around a part of line `at` plainly expects what it says there. The part
    /// is given by how much of the line stands before and behind it.
    pub(crate) fn is_expectation(&self, at: usize, before: usize, behind: usize) -> bool {
        let line = &self.lines[at];
        if !line.is_own || self.is_reported(at, at) {
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
            .trim_start_matches([' ', '\t', '-', '*', '`'])
            .is_empty()
            && (end
                .trim_matches([' ', '\t', '`', '.', ',', ';', '\r'])
                .is_empty()
                || end.trim_start().starts_with('#'));
        let (lead, (trail, next)) = if is_alone {
            (start, (end, ""))
        } else {
            let lead = before_in_sentence(&self.text[..from]);
            (lead, behind_in_sentence(&self.text[to..]))
        };
        let sentence = without_strings(&format!("{lead} … {trail}"));
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
        let should = trail.trim_start_matches([' ', '`']).starts_with("should");
        let opening = sentence.trim_start_matches([' ', '-', '*', '#', '"', '`', '\'']);
        !is_quoted
            && !is_part
            && !trail.trim_end().ends_with('?')
            && !says_any(&sentence, REPORTS)
            && !says_any(&sentence, FAULTS)
            && !is_claimed(lead)
            && !says_any(&sentence, DOUBTS)
            && !says_any(&sentence, PAST)
            && (should || lead.trim_end().ends_with(':') || !starts_with_any(opening, OPENINGS))
            && !starts_with_any(next, CORRECTIONS)
    }
}

/// Whether a line opens or closes a block.
pub(crate) fn is_fence(bare: &str) -> bool {
    FENCES.iter().any(|fence| bare.starts_with(fence))
}

/// Whether a line is a comment of Python's, or a heading of Markdown's.
pub(crate) fn is_comment(bare: &str) -> bool {
    bare.starts_with('#')
}

fn last_sentence(line: &str) -> &str {
    let ends = [". ", "! ", "? "];
    let from = ends.iter().filter_map(|end| line.rfind(end)).max();
    from.map_or(line, |at| &line[at + 2..])
}

/// Whether a line leads over to what is not wanted.
fn heads_a_report(line: &str) -> bool {
    let last = last_sentence(line);
    let opening = last.trim_start_matches([' ', '-', '*', '#', '"', '`', '\'']);
    says_any(last, REPORTS)
        || says_any(last, HEADINGS)
        || says_any(last, PAST)
        || says_any(last, FAULTS) && !starts_with_any(opening, REQUESTS)
}

/// Whether what follows `lead` is what somebody says or believes: `I believe f(1) returns 2`,
/// `they found that f(1) == 2`.
fn is_claimed(lead: &str) -> bool {
    let lead = lead.trim_end_matches([' ', '`', '\n']).to_lowercase();
    let mut words = lead.split_whitespace().rev();
    let (last, before) = (
        words.next().unwrap_or_default(),
        words.next().unwrap_or_default(),
    );
    last == "that" && !DEMANDS.contains(&before)
        || CLAIMANTS.contains(&before) && !WISHES.contains(&last)
}

fn lines_of(text: &str) -> Vec<Line<'_>> {
    let mut lines = Vec::new();
    let mut start = 0;
    // The fence of the block that is open, and whether the block is Python.
    let mut block: Option<(&str, bool)> = None;
    let mut in_traceback = false;
    for whole in text.split_inclusive('\n') {
        let line = whole.strip_suffix('\n').unwrap_or(whole);
        let line = line.strip_suffix('\r').unwrap_or(line);
        let bare = line.trim_start();
        let fence = FENCES.iter().copied().find(|fence| bare.starts_with(fence));
        match (fence, block) {
            (Some(fence), None) => {
                let info = bare
                    .trim_start_matches(['`', '~'])
                    .trim()
                    .to_ascii_lowercase();
                let info = info.split([' ', '{', ',']).next().unwrap_or_default();
                block = Some((fence, PYTHON_BLOCKS.contains(&info)));
            }
            (Some(fence), Some((open, _))) if fence == open => block = None,
            _ => {}
        }
        if bare.starts_with("Traceback (most recent call last)") {
            in_traceback = true;
        } else if bare.is_empty() || fence.is_some() {
            in_traceback = false;
        }
        let is_quotation =
            bare.starts_with('>') && !bare.starts_with(">>>") || line.starts_with("E  ");
        lines.push(Line {
            text: line,
            start,
            is_own: block.is_none_or(|(_, is_python)| is_python) && !in_traceback && !is_quotation,
        });
        start += whole.len();
    }
    lines
}

/// Names that running text asks for.
fn names_in_prose<'p>(line: &'p str, names: &mut BTreeSet<&'p str>) {
    let bare = line.trim_start_matches([' ', '\t', '-', '*', '`', '.']);
    let bare =
        bare.trim_start_matches(|c: char| c.is_ascii_digit() || c == '.' || c == ')' || c == ' ');
    let mut cue = if bare.is_empty() { "" } else { "and" };
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
        let at_call = after.starts_with('(') && has_parameters(&after[1..]);
        let is_code = at_call || (ticked && after.starts_with('`')) || word.contains('_');
        let is_bare = NAMING.contains(&cue) && !FILLERS.contains(&lower.as_str());
        if !before.ends_with('.') && is_name(word) && (is_code && CUES.contains(&cue) || is_bare) {
            names.insert(word);
        }
        cue = CUES
            .iter()
            .find(|&&known| known == lower)
            .copied()
            .unwrap_or_default();
        rest = after;
    }
}

/// Whether what stands in parentheses are parameters: names with or without a type or a default, or
/// nothing at all.
pub(crate) fn has_parameters(text: &str) -> bool {
    let Some((inside, _)) = text.split_once(')') else {
        return false;
    };
    inside.split(',').all(|part| {
        let name = part.trim().trim_start_matches('*');
        let end = name
            .find(|c: char| !(c.is_ascii_alphanumeric() || c == '_'))
            .unwrap_or(name.len());
        part.trim().is_empty() || is_identifier(&name[..end])
    })
}

/// What stands before a place in its sentence.
fn before_in_sentence(text: &str) -> &str {
    let mut from = 0;
    for end in [
        ". ", ".\n", "! ", "!\n", "? ", "?\n", "\n\n", "\n-", "\n*", "; ", ":\n", "\n>>>",
    ] {
        if let Some(at) = text.rfind(end) {
            from = from.max(at + 1);
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
fn behind_in_sentence(text: &str) -> (&str, &str) {
    let ends = [
        ". ", ".\n", "! ", "!\n", "? ", "?\n", "\n\n", "\n-", "\n*", "; ", "\n",
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

fn starts_with_any(text: &str, words: &[&str]) -> bool {
    let text = text.to_lowercase();
    words.iter().any(|word| {
        text.strip_prefix(word)
            .is_some_and(|rest| !rest.starts_with(char::is_alphanumeric))
    })
}

fn says_any(text: &str, words: &[&str]) -> bool {
    let text = text.to_lowercase().replace('’', "'");
    let part = |c: char| c.is_alphanumeric() || c == '_';
    words.iter().any(|word| {
        text.match_indices(word).any(|(at, _)| {
            !text[..at].ends_with(part) && !text[at + word.len()..].starts_with(part)
        })
    })
}

/// A text without what stands in quotation marks: `f('wrong')` says nothing.
fn without_strings(text: &str) -> String {
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
