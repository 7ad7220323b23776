//! Doctest sessions in a prompt: where they end, which parts are run, and whether they are about what the prompt
//! asks for.

use std::collections::BTreeSet;

use journeyman_syntax::{Import, Source};

use super::asked::{Prompt, is_comment};
use super::passages::is_wrong_name;
use super::prose_examples::{result_on_session_line, results_shown};
use super::reading::FoundTest;
use crate::prose::sentence_language::SentenceLanguage;
use crate::prose::wording::starts_with_any;
use crate::python::literal::{identifier, literal};
use crate::python::{is_builtin, is_standard, is_third_party};

/// The text of a session without imports of what is to be written, which is available without them. `None` if the
/// session is not about what the task asks for.
fn session_about_the_task(prompt: &Prompt<'_>, session: &str) -> Option<String> {
    let code = code_of(session);
    let source = Source::of(&code);
    let imports = source.imports();
    let of_library =
        |import: &&Import| is_standard(import.module.split('.').next().unwrap_or_default());
    // What is asked for is not the library's, although a module of that name may have it.
    let shadowed: BTreeSet<&str> = imports
        .iter()
        .filter(of_library)
        .filter(|import| import.names.iter().any(|name| prompt.asks_for(name)))
        .map(|import| import.module.as_str())
        .collect();
    let is_ours = |module: &str| {
        !is_standard(module.split('.').next().unwrap_or(module)) || shadowed.contains(module)
    };
    if imports.iter().any(|import| {
        import.names.is_empty() && is_ours(&import.module) || is_third_party(&import.module)
    }) {
        return None;
    }
    if source
        .bound()
        .iter()
        .any(|name| is_wrong_name(prompt, name))
    {
        return None;
    }
    let (called, free) = source.names();
    let own = |name: &&String| !is_builtin(name) && !is_standard(name);
    let mut asked = called.iter().chain(&free).filter(own);
    let taken = imports.iter().filter(|import| is_ours(&import.module));
    let taken: BTreeSet<&String> = taken.flat_map(|import| &import.names).collect();
    let is_asked = |name: &String| taken.contains(name) || prompt.asks_for(name);
    let is_about = if prompt.asks_by_name() {
        (asked.clone().any(is_asked) || taken.iter().any(|name| prompt.asks_for(name)))
            && (prompt.stub.is_empty() || asked.all(is_asked))
    } else {
        asked.next().is_some() || !taken.is_empty()
    };
    if !is_about {
        return None;
    }
    let kept = session.lines().filter(|line| {
        let import = line
            .strip_prefix(">>> from ")
            .and_then(|rest| rest.split_once(" import "));
        import.is_none_or(|(module, _)| !is_ours(module.trim()))
    });
    let kept: Vec<&str> = kept.collect();
    let is_session = kept.first().is_some_and(|line| line.starts_with(">>>"));
    is_session.then(|| kept.join("\n"))
}

/// Doctest examples as one text per group. A group ends at a blank line, at prose below a result, or at the end of a
/// docstring or code block; its indentation is removed. A group that uses names defined by the group before it is
/// joined to that one. Also, as assertions, the examples whose line states the result itself (`>>> f(2) == 4`),
/// because doctest would see no expected result there.
pub(crate) fn doctests(prompt: &Prompt<'_>) -> (Vec<FoundTest>, Vec<FoundTest>) {
    let mut examples = Vec::new();
    let mut assertions = Vec::new();
    let mut group = String::new();
    let mut indent = 0;
    let mut first = 0;
    // The group before, where it is run.
    let mut before: Option<Made> = None;
    let text_of = |at: usize| prompt.lines.get(at).map_or("", |line| line.text);
    // One line more, which ends a group.
    for at in 0..=prompt.lines.len() {
        let line = text_of(at);
        let bare = line.trim_start();
        let is_own = prompt.lines.get(at).is_some_and(|line| line.is_own);
        let prompt_line = is_own && (bare == ">>>" || bare.starts_with(">>> "));
        let closes = closes_group(bare)
            || !prompt_line
                && (result_on_session_line(bare).is_some()
                    || ends_in_a_value(&group) && literal(bare).is_none());
        let next = text_of(at + 1).trim_start();
        if prompt_line
            && (closes_group(next) || next.starts_with(">>>"))
            && let Some(text) = bare.get(4..).and_then(result_on_session_line)
        {
            let about = session_about_the_task(prompt, bare);
            let is_reported = !prompt.is_wanted(at, at) || prompt.is_remarked_beside(at);
            if about.is_some() && !is_reported && !is_skipped(bare) {
                assertions.push(FoundTest {
                    lines: at..=at,
                    text,
                });
            }
            continue;
        }
        if prompt_line && group.is_empty() {
            indent = line.len() - bare.len();
            first = at;
        }
        if closes {
            let whole = std::mem::take(&mut group);
            let last = at.saturating_sub(1);
            let is_denied = || {
                !prompt.is_wanted(first, last)
                    || prompt.is_of_code_to_change(first)
                    || (first..=last).any(|at| prompt.is_remarked_beside(at))
                    || whole.lines().any(is_abridged)
                    || whole.lines().any(is_said_of_a_result)
            };
            if whole.is_empty() {
                continue;
            }
            let made = before.take();
            if is_denied() {
                continue;
            }
            let own = without_skipped(&whole);
            let (called, free) = Source::of(&code_of(&own)).names();
            let is_used = |name: &String| called.contains(name) || free.contains(name);
            let made = made.filter(|made| made.names.iter().any(is_used));
            if let Some(made) = &made {
                let between = made.last + 1..first;
                let found: &mut FoundTest = &mut examples[made.at];
                let together = format!("{}\n{own}", found.text);
                let about = session_about_the_task(prompt, &together);
                let is_next = || between.clone().all(|at| shows_nothing(prompt, at));
                if let Some(text) = about.filter(|_| is_next()) {
                    *found = FoundTest {
                        lines: *found.lines.start()..=last,
                        text,
                    };
                    before = Made::of(found, made.at);
                }
                continue;
            }
            let about = session_about_the_task(prompt, &own);
            let texts = about.iter().flat_map(|session| apart(session));
            examples.extend(texts.map(|text| FoundTest {
                lines: first..=last,
                text,
            }));
            if about.is_some() {
                let at = examples.len() - 1;
                before = Made::of(&examples[at], at);
            }
        } else if prompt_line || !group.is_empty() {
            // No more than there is: an answer may stand further left than its question.
            let spaces = indent.min(line.len() - bare.len());
            let text = line.get(spaces..).unwrap_or(bare);
            if !prompt_line && is_error(text) {
                expect_error(&mut group, text);
            } else {
                group.push_str(without_remark(text, prompt_line));
                group.push('\n');
            }
        }
    }
    (examples, assertions)
}

/// The names defined by a group of a session, for groups that continue it.
struct Made {
    names: BTreeSet<String>,
    /// The last line of the group.
    last: usize,
    /// The index of its text among the examples.
    at: usize,
}

impl Made {
    /// The names that the example at this index defines; `None` if it defines none.
    fn of(found: &FoundTest, at: usize) -> Option<Self> {
        let names = Source::of(&code_of(&found.text)).bound();
        let last = *found.lines.end();
        (!names.is_empty()).then_some(Self { names, last, at })
    }
}

/// Whether a line shows neither a check nor a result.
fn shows_nothing(prompt: &Prompt<'_>, at: usize) -> bool {
    let bare = prompt.lines[at].text.trim();
    !bare.starts_with("assert") && !bare.starts_with(">>>") && results_shown(prompt, bare) == 0
}

/// The code of a session without the shown results.
fn code_of(session: &str) -> String {
    let code = session.lines().filter_map(|line| {
        line.strip_prefix(">>> ")
            .or_else(|| line.strip_prefix("... "))
    });
    code.collect::<Vec<_>>().join("\n")
}

/// Whether the last line of a session is a result that is a complete value, so that no further line belongs to it.
fn ends_in_a_value(session: &str) -> bool {
    let last = session.lines().next_back().unwrap_or_default();
    literal(last).is_some_and(|(_, rest)| rest.trim().is_empty())
}

/// Whether a line is a sentence of prose rather than printed output.
pub(super) fn is_prose(line: &str) -> bool {
    /// The fewest words of a sentence. Fewer words may be printed output.
    const WORDS_MIN: usize = 3;
    line.split_whitespace().count() >= WORDS_MIN
        && SentenceLanguage::of(line) == SentenceLanguage::English
}

/// The doctest option that ignores the message of an exception.
pub(crate) const ANY_DETAIL: &str = "  # doctest: +IGNORE_EXCEPTION_DETAIL";

/// Whether a result is the name of a Python exception, alone or with a message.
fn is_error(result: &str) -> bool {
    let name = result.split(':').next().unwrap_or_default().trim_end();
    name.ends_with("Error") && is_builtin(name)
}

/// Changes a session so that its last line must raise an exception, for which doctest requires a traceback.
fn expect_error(group: &mut String, error: &str) {
    const TRACEBACK: &str = "Traceback (most recent call last):\n";
    let asked = group.trim_end_matches('\n');
    if asked
        .lines()
        .last()
        .is_some_and(|line| line.starts_with(">>> "))
    {
        group.truncate(asked.len());
        if !error.contains(':') {
            group.push_str(ANY_DETAIL);
        }
        group.push('\n');
        group.push_str(TRACEBACK);
    }
    group.push_str(error.trim_end());
    group.push('\n');
}

/// A line of a session without a comment after its result, which doctest would compare.
fn without_remark(line: &str, is_question: bool) -> &str {
    let result = (!is_question).then(|| literal(line)).flatten();
    match result {
        Some((_, rest)) if is_comment(rest.trim_start()) => {
            line[..line.len() - rest.len()].trim_end()
        }
        _ => line.trim_end(),
    }
}

/// Whether a result is abbreviated: `[2, 3, 5, ...]`.
fn is_abridged(line: &str) -> bool {
    let bare = line.trim_start();
    bare.contains("...") && !bare.starts_with(">>>") && !bare.starts_with("...")
}

/// Whether an answer is a sentence about a result, or a value with one behind it, and not what is printed: `expected 9`,
/// `6 (should be 9)`.
fn is_said_of_a_result(line: &str) -> bool {
    if line.starts_with(">>>") || line.starts_with("...") {
        return false;
    }
    let Some((_, rest)) = literal(line) else {
        return starts_with_any(
            line,
            "actual, correct, expected, got, must, not, should, wrong",
        );
    };
    !rest.trim().is_empty() && !is_comment(rest.trim_start())
}

/// Whether a line of a session is marked to be skipped by doctest.
fn is_skipped(line: &str) -> bool {
    line.contains("doctest:") && line.contains("+SKIP")
}

/// A session without examples marked to be skipped.
fn without_skipped(session: &str) -> String {
    let mut skips = false;
    let kept = session.lines().filter(|line| {
        if line.starts_with(">>>") {
            skips = is_skipped(line);
        }
        !skips
    });
    kept.collect::<Vec<_>>().join("\n")
}

/// The examples of a group as separate tests if none depends on another, which is the case if all are calls.
/// Then passing ones can be distinguished from failing ones.
fn apart(group: &str) -> Vec<String> {
    let mut calls = group.lines().filter_map(|line| line.strip_prefix(">>> "));
    let called = |line: &str| identifier(line).is_some_and(|(_, rest)| rest.starts_with('('));
    if !calls.all(called) {
        return vec![group.to_owned()];
    }
    let mut examples: Vec<String> = Vec::new();
    for line in group.lines() {
        match examples.last_mut() {
            Some(example) if !line.starts_with(">>> ") => {
                example.push('\n');
                example.push_str(line);
            }
            _ => examples.push(line.to_owned()),
        }
    }
    examples
}

fn closes_group(line: &str) -> bool {
    line.is_empty()
        || ["```", "\"\"\"", "'''"]
            .iter()
            .any(|end| line.starts_with(end))
}
