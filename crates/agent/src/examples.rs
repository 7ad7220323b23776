//! The examples in a prompt: doctest sessions, `assert` lines, code of several lines and what it
//! states in its own words. They are tests that rule. What looks like one and is none is told.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write;
use std::ops::RangeInclusive;

use journeyman_event::payload::{GivenTest, TaskSubmitted, TestOrigin};
use journeyman_event::state::ModuleState;
use journeyman_syntax::{Kind, Source};

use crate::asked::{Prompt, is_comment};
use crate::literal::{identifier, literal};
use crate::passages::{BLOCK, is_chain, is_library, is_open, tests_in_passages};
use crate::python::{is_builtin, is_standard};
use crate::stated::{call_at, is_labelled, stated_examples, stated_in_session};

/// The name under which doctest examples are kept.
pub(crate) const EXAMPLES_FILE: &str = "test_examples.py";
/// The name under which `assert` lines are kept.
pub(crate) const ASSERTIONS_FILE: &str = "test_assertions.py";

/// The tests that a prompt gives: what it plainly expects of what it asks for. Where that is in doubt
/// it is no test, for right code would fail by it; `left_out_notice` tells of such lines.
pub fn tests_in_prompt(prompt: &str) -> Vec<GivenTest> {
    Reading::of(&Prompt::of(prompt)).tests
}

/// What is said of the lines of a prompt that look like tests and are not run; nothing if there are
/// none, or if the user wants none to be run.
pub fn left_out_notice(task: &TaskSubmitted) -> Option<String> {
    if task.no_examples {
        return None;
    }
    let prompt = Prompt::of(&task.prompt);
    let reading = Reading::of(&prompt);
    let (first, count) = (reading.left_out.first()?, reading.left_out.len());
    let first = clipped(prompt.lines[*first].text.trim());
    let mut text = if count == 1 {
        format!("1 line of your prompt looks like a test and is not run: `{first}`")
    } else {
        format!("{count} lines of your prompt look like tests and are not run: `{first}`; ...")
    };
    if let Some(call) = reading.contradicted.first() {
        let _ = write!(
            text,
            " (the prompt gives `{}` different results)",
            clipped(call)
        );
    }
    Some(text)
}

/// What is made of a prompt's lines.
struct Reading {
    tests: Vec<GivenTest>,
    /// Lines that look like tests and are none of them, by their place.
    left_out: Vec<usize>,
    /// Calls for which the prompt plainly states different results.
    contradicted: BTreeSet<String>,
}

/// A test of one or a few lines, and where it stands.
struct Found {
    lines: RangeInclusive<usize>,
    text: String,
}

impl Reading {
    fn of(prompt: &Prompt<'_>) -> Self {
        let is_plain = |at| assertion(prompt, at).is_some();
        let (code, mut taken) = tests_in_passages(prompt, &is_plain);
        let on_its_own = |at: &usize| !taken.contains(at);
        let (mut examples, mut assertions) = doctests(prompt);
        let lines = (0..prompt.lines.len()).filter(on_its_own);
        let plain = lines.filter_map(|at| Some((at, assertion(prompt, at)?)));
        let stated = stated_examples(prompt)
            .into_iter()
            .filter(|(at, _)| on_its_own(at));
        assertions.extend(plain.chain(stated).map(|(at, text)| Found {
            lines: at..=at,
            text,
        }));
        let contradicted = contradicted(examples.iter().chain(&assertions));
        let is_clear = |found: &Found| {
            expected(&found.text).is_none_or(|(call, _)| !contradicted.contains(&call))
        };
        for all in [&mut examples, &mut assertions] {
            all.retain(is_clear);
            taken.extend(all.iter().flat_map(|found| found.lines.clone()));
        }
        let is_left_out = |at: &usize| {
            let is_contradicted = || {
                let bare = prompt.lines[*at].text.trim().trim_start_matches(">>> ");
                let bare = bare.trim_start_matches("assert ");
                call_at(bare, &|_| true)
                    .is_some_and(|(call, _)| contradicted.contains(&spelled(&call)))
            };
            (!taken.contains(at) || is_contradicted()) && looks_like_a_test(prompt, *at)
        };
        let left_out = (0..prompt.lines.len()).filter(is_left_out).collect();
        let mut seen = BTreeSet::new();
        assertions.retain(|found| seen.insert(found.text.clone()));
        let mut tests = Vec::new();
        let listed = [
            (EXAMPLES_FILE, TestOrigin::Examples, examples, "\n\n"),
            (ASSERTIONS_FILE, TestOrigin::Assertions, assertions, "\n"),
        ];
        for (name, origin, all, between) in listed {
            let all: Vec<String> = all.into_iter().map(|found| found.text).collect();
            if !all.is_empty() {
                tests.push(GivenTest {
                    name: name.to_owned(),
                    origin,
                    source: all.join(between),
                });
            }
        }
        tests.extend(code);
        Self {
            tests,
            left_out,
            contradicted,
        }
    }
}

/// The call and the result of a test that is no more than these.
fn expected(test: &str) -> Option<(String, String)> {
    let call = |text| call_at(text, &|_| true);
    let ((call, _), result) = if let Some(session) = test.strip_prefix(">>> ") {
        let (line, result) = session.split_once('\n')?;
        (
            call(line).filter(|(_, rest)| rest.trim().is_empty())?,
            result,
        )
    } else {
        let (found, rest) = call(test.strip_prefix("assert ")?)?;
        ((found, rest), rest.trim_start().strip_prefix("==")?)
    };
    let (value, rest) = literal(result.trim())?;
    let is_all = rest.trim().is_empty() || rest.trim_start().starts_with('#');
    is_all.then(|| (spelled(&call), spelled(&value)))
}

/// A text with one kind of quotation marks.
fn spelled(text: &str) -> String {
    text.replace('"', "'")
}

fn contradicted<'f>(all: impl Iterator<Item = &'f Found>) -> BTreeSet<String> {
    let mut results: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    for (call, value) in all.filter_map(|found| expected(&found.text)) {
        results.entry(call).or_default().insert(value);
    }
    results.retain(|_, values| values.len() > 1);
    results.into_keys().collect()
}

/// Whether a line of the user's checks something, or shows a result, of what is asked for.
fn looks_like_a_test(prompt: &Prompt<'_>, at: usize) -> bool {
    let line = &prompt.lines[at];
    let bare = line.text.trim();
    if !line.is_own || is_comment(bare) {
        return false;
    }
    if let Some(code) = bare.strip_prefix(">>> ") {
        return about_the_task(prompt, code);
    }
    let is_check = [
        "assert ",
        "assert(",
        "self.assert",
        "with self.assert",
        "pytest.raises(",
        "with pytest.raises(",
    ]
    .iter()
    .any(|start| bare.starts_with(start));
    if is_check {
        let source = Source::of(bare);
        let (called, free) = source.names();
        let has_own = || called.iter().chain(&free).any(|name| !is_builtin(name));
        let is_code = source.parses() && has_own() || is_open(bare) || bare.ends_with(':');
        return is_code && !is_in_code(prompt, at);
    }
    let source = Source::of(bare);
    is_labelled(prompt, at)
        || bare.contains("==")
            && source.is_idle_expression()
            && source.parses()
            && source.names().0.iter().any(|name| prompt.asks_for(name))
            && !is_in_code(prompt, at)
}

/// Whether code calls what the prompt asks for; anything, if it asks for nothing by name.
fn about_the_task(prompt: &Prompt<'_>, code: &str) -> bool {
    let (called, free) = Source::of(code).names();
    let mut names = called.iter().filter(|name| !is_builtin(name)).chain(&free);
    if prompt.asks_by_name() {
        names.any(|name| prompt.asks_for(name))
    } else {
        called.iter().any(|name| !is_builtin(name))
    }
}

/// Whether a line stands in a function that is no test.
fn is_in_code(prompt: &Prompt<'_>, at: usize) -> bool {
    let indent = |text: &str| text.len() - text.trim_start().len();
    let mut own = indent(prompt.lines[at].text);
    for line in prompt.lines[..at].iter().rev().map(|line| line.text) {
        let bare = line.trim_start();
        if !bare.is_empty() && indent(line) < own {
            own = indent(line);
            let is_function = bare.starts_with("def ") || bare.starts_with("async def ");
            if is_function {
                return !bare.trim_start_matches("async ").starts_with("def test");
            }
        }
    }
    false
}

/// The examples among given tests, in short, one line each: `add(2, 2) == 4`.
pub fn examples_in_short(tests: &[GivenTest]) -> Vec<String> {
    let mut all = Vec::new();
    for test in tests {
        match test.origin {
            TestOrigin::Examples => all.extend(test.source.split("\n\n").map(session_in_short)),
            TestOrigin::Assertions => {
                let lines = test.source.lines();
                all.extend(lines.map(|line| line.trim_start_matches("assert ").to_owned()));
            }
            TestOrigin::Code => {
                let functions = functions_in(&test.source).into_iter();
                all.extend(functions.map(|(_, short)| short));
            }
            TestOrigin::File | TestOrigin::Generated => {}
        }
    }
    all
}

/// The tests of a file made of code in a prompt, by name, and in short.
fn functions_in(source: &str) -> Vec<(String, String)> {
    let definitions = Source::of(source).definitions().into_iter();
    let tests = definitions.filter_map(|definition| {
        let name = definition.names.into_iter().next()?;
        let text = &source[definition.range];
        if name.starts_with(BLOCK) {
            let short = block_in_short(text);
            return Some((name, short));
        }
        let is_test = name.starts_with("test") || definition.kind == Kind::Class;
        is_test.then(|| (name.clone(), name))
    });
    tests.collect()
}

/// Loose statements in one line, without the head of the function that they were put in.
fn block_in_short(function: &str) -> String {
    let mut short = String::new();
    for line in function.lines().skip(1) {
        let bare = line.trim().trim_end_matches('\\').trim_end();
        let closes = bare.starts_with([')', ']', '}']);
        if !(short.is_empty() || closes || short.ends_with(['(', '[', '{'])) {
            let goes_on = line.starts_with("     ");
            short.push_str(if goes_on { " " } else { "; " });
        }
        short.push_str(bare);
    }
    let only = short
        .strip_prefix("assert ")
        .filter(|rest| !rest.contains("; "));
    clipped(only.unwrap_or(&short))
}

/// The beginning of a text that fits into a line of words.
fn clipped(text: &str) -> String {
    /// Characters that are shown.
    const CHARS_MAX: usize = 80;
    match text.char_indices().nth(CHARS_MAX) {
        Some((end, _)) => format!("{}...", &text[..end]),
        None => text.to_owned(),
    }
}

/// What is said of the examples that were found in a prompt; nothing if there are none.
pub fn examples_notice(tests: &[GivenTest]) -> Option<String> {
    /// Examples that are named.
    const NAMED_MAX: usize = 3;
    let all = examples_in_short(tests);
    let (first, count) = (all.first()?, all.len());
    let mut text = if count == 1 {
        format!("1 example of your prompt is run: {first}")
    } else {
        let named = all.iter().take(NAMED_MAX).cloned().collect::<Vec<_>>();
        format!(
            "{count} examples of your prompt are run: {}",
            named.join("; ")
        )
    };
    if count > NAMED_MAX {
        text.push_str("; ...");
    }
    Some(text)
}

fn session_in_short(session: &str) -> String {
    let mut text = String::new();
    for line in session.lines() {
        let (code, is_code) = match line
            .strip_prefix(">>> ")
            .or_else(|| line.strip_prefix("... "))
        {
            Some(code) => (code, true),
            None => (line, false),
        };
        if !text.is_empty() {
            text.push_str(if is_code { "; " } else { " -> " });
        }
        text.push_str(code.trim());
    }
    text
}

/// The example that a given test of this name stands for: `tests/test_assertions.py::test_assertion_2`.
pub(crate) fn example_behind(tests: &[GivenTest], name: &str) -> Option<String> {
    let (file, function) = name.rsplit_once("::")?;
    let file = file.rsplit('/').next()?;
    let test = tests.iter().find(|test| test.name == file)?;
    if test.origin == TestOrigin::Code {
        let mut all = functions_in(&test.source).into_iter();
        return all
            .find(|(name, _)| name == function)
            .map(|(_, short)| short);
    }
    let number: usize = function.rsplit('_').next()?.parse().ok()?;
    let all = examples_in_short(std::slice::from_ref(test));
    all.into_iter().nth(number.checked_sub(1)?)
}

/// An example of the prompt that no version passes while all of them agree on another result, in words:
/// then the example is as doubtful as the code. None if there is none, or only one version.
pub(crate) fn doubtful_example(tests: &[GivenTest], module: &ModuleState) -> Option<String> {
    let failing = module.runs.last()?.tests.iter().filter(|test| !test.passed);
    failing.into_iter().find_map(|failing| {
        let example = example_behind(tests, &failing.name)?;
        let (mut versions, mut results) = (BTreeSet::new(), BTreeSet::new());
        for run in &module.runs {
            let Some(test) = run.tests.iter().find(|test| test.name == failing.name) else {
                continue;
            };
            if test.passed {
                return None;
            }
            let version = run.version_of(&module.plan.name);
            let code = module.versions.iter().find(|code| Some(code.version) == version)?;
            versions.insert(code.source.as_str());
            results.insert(shown(&test.message));
        }
        let result = results.pop_first().filter(|result| !result.is_empty() && results.is_empty())?;
        (versions.len() > 1).then(|| {
            format!(
                "no version passes the example `{example}` of the prompt, and all {} agree against it \
                 ({result}): the example may be wrong",
                versions.len()
            )
        })
    })
}

/// What a failing test shows of the results, as pytest marks it.
fn shown(message: &str) -> String {
    let lines = message.lines().filter_map(|line| line.strip_prefix('E'));
    lines.map(str::trim).collect::<Vec<_>>().join(" ")
}

/// The assertion on a line, if it is one of what the task asks for.
fn assertion(prompt: &Prompt<'_>, at: usize) -> Option<String> {
    let line = &prompt.lines[at];
    let text = line.text.trim();
    if !text.starts_with("assert ")
        || text.ends_with(';')
        || !line.is_own
        || prompt.is_reported(at, at)
        || prompt.is_reported_beside(at)
    {
        return None;
    }
    let around = |line: &crate::asked::Line<'_>| {
        let text = line.text.trim();
        text.starts_with("File \"") || text.starts_with("AssertionError")
    };
    let is_raised = at
        .checked_sub(1)
        .is_some_and(|above| around(&prompt.lines[above]))
        || prompt.lines.get(at + 1).is_some_and(around);
    let source = Source::of(text);
    let found = source.assertions();
    let [found] = found.as_slice() else {
        return None;
    };
    if is_raised || is_chain(text) || !source.parses() {
        return None;
    }
    let own = |name: &&String| !is_builtin(name) && (prompt.asks_for(name) || !is_library(name));
    let mut called = found.called.iter().filter(own).peekable();
    called.peek()?;
    // With no definition in sight, an assertion at the margin or in a test says itself what is wanted.
    let says_itself = !prompt.defines() && is_free_standing(prompt, at);
    let is_plain = called.all(|name| says_itself || prompt.asks_for(name))
        && !found
            .free
            .iter()
            .any(|name| own(&name) && !prompt.asks_for(name));
    is_plain.then(|| text.to_owned())
}

/// Whether a line is in no function but a test.
fn is_free_standing(prompt: &Prompt<'_>, at: usize) -> bool {
    let indent = |text: &str| text.len() - text.trim_start().len();
    let own = indent(prompt.lines[at].text);
    let mut above = prompt.lines[..at].iter().rev().map(|line| line.text);
    let head = above.find(|text| !text.trim().is_empty() && indent(text) < own);
    head.is_none_or(|head| {
        head.trim_start().starts_with("def test") || !head.trim_end().ends_with(':') || own == 0
    })
}

/// The text of a session without imports of what is to be written, which it finds without them; none
/// if it is not about what the task asks for.
fn session_about_the_task(prompt: &Prompt<'_>, session: &str) -> Option<String> {
    let code: Vec<&str> = session
        .lines()
        .filter_map(|line| {
            line.strip_prefix(">>> ")
                .or_else(|| line.strip_prefix("... "))
        })
        .collect();
    let code = code.join("\n");
    let source = Source::of(&code);
    let imports = source.imports();
    let is_ours = |module: &str| !is_standard(module.split('.').next().unwrap_or(module));
    if imports
        .iter()
        .any(|import| import.names.is_empty() && is_ours(&import.module))
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
        asked.clone().any(is_asked) && (prompt.stub.is_empty() || asked.all(is_asked))
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

/// Doctest examples, one text a group: a group ends at a blank line, at a line that closes a
/// docstring or a code block, and its indentation is taken away. Beside them, as assertions, those
/// whose line states the result itself (`>>> f(2) == 4`): doctest would take it for no result.
fn doctests(prompt: &Prompt<'_>) -> (Vec<Found>, Vec<Found>) {
    let mut examples = Vec::new();
    let mut assertions = Vec::new();
    let mut group = String::new();
    let mut indent = 0;
    let mut first = 0;
    let text_of = |at: usize| prompt.lines.get(at).map_or("", |line| line.text);
    // One line more, which ends a group.
    for at in 0..=prompt.lines.len() {
        let line = text_of(at);
        let bare = line.trim_start();
        let is_own = prompt.lines.get(at).is_some_and(|line| line.is_own);
        let prompt_line = is_own && (bare == ">>>" || bare.starts_with(">>> "));
        let closes = closes_group(bare) || (!prompt_line && stated_in_session(bare).is_some());
        let next = text_of(at + 1).trim_start();
        if prompt_line
            && (closes_group(next) || next.starts_with(">>>"))
            && let Some(text) = bare.get(4..).and_then(stated_in_session)
        {
            let about = session_about_the_task(prompt, bare);
            let is_reported = prompt.is_reported(at, at) || prompt.is_reported_beside(at);
            if about.is_some() && !is_reported && !is_skipped(bare) {
                assertions.push(Found {
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
            if !whole.is_empty() && !prompt.is_reported(first, last) {
                let about = session_about_the_task(prompt, &without_skipped(&whole));
                let texts = about.iter().flat_map(|session| apart(session));
                examples.extend(texts.map(|text| Found {
                    lines: first..=last,
                    text,
                }));
            }
        } else if prompt_line || !group.is_empty() {
            // No more than there is: an answer may stand further left than its question.
            let spaces = indent.min(line.len() - bare.len());
            let text = line.get(spaces..).unwrap_or(bare);
            group.push_str(text.trim_end());
            group.push('\n');
        }
    }
    (examples, assertions)
}

/// Whether doctest is told not to run a line of a session.
fn is_skipped(line: &str) -> bool {
    line.contains("doctest:") && line.contains("+SKIP")
}

/// A session without the examples that doctest is told to leave out.
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

/// The examples of a group, each on its own if none depends on another: if all of them are calls.
/// Then what passes can be told from what fails.
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

#[cfg(test)]
mod tests {
    use super::*;

    /// One prompt and what is taken of it: the prompt, a line of dashes, what is taken in short (one
    /// line each, nothing if that is nothing), the lines that look like tests and are none, a line of
    /// equals signs.
    const PROMPTS: &str = include_str!("examples/prompts.txt");

    #[test]
    fn what_a_prompt_plainly_expects_is_a_test_and_nothing_else_is() {
        let mut wrong = Vec::new();
        let mut count = 0;
        for case in PROMPTS
            .split("\n=====\n")
            .filter(|case| !case.trim().is_empty())
        {
            let (prompt, expected) = case.split_once("\n-----").unwrap();
            let expected: Vec<&str> = expected.lines().filter(|line| !line.is_empty()).collect();
            let read = Prompt::of(prompt);
            let reading = Reading::of(&read);
            let mut found = examples_in_short(&reading.tests);
            let left_out = reading
                .left_out
                .iter()
                .map(|&at| read.lines[at].text.trim());
            found.extend(left_out.map(|line| format!("not run: {line}")));
            if found != expected {
                wrong.push(format!(
                    "{prompt}\n  expected {expected:?}\n  found    {found:?}"
                ));
            }
            count += 1;
        }
        assert!(
            wrong.is_empty(),
            "{} of {count}:\n\n{}",
            wrong.len(),
            wrong.join("\n\n")
        );
        assert!(count >= 110, "{count}");
    }

    #[test]
    fn examples_of_a_docstring_are_found_with_their_results() {
        let prompt = "def add(a, b):\n    \"\"\"Adds.\n    >>> add(1, 2)\n    3\n    >>> add(0, 0)\n    0\n    \"\"\"\n";
        let tests = tests_in_prompt(prompt);
        assert_eq!(tests.len(), 1);
        assert_eq!(tests[0].source, ">>> add(1, 2)\n3\n\n>>> add(0, 0)\n0");
        let session = tests_in_prompt(">>> x = add(1, 2)\n>>> x\n3\n");
        assert_eq!(session[0].source, ">>> x = add(1, 2)\n>>> x\n3");
    }

    #[test]
    fn examples_in_prose_end_at_a_blank_line_and_at_a_fence() {
        let prompt = "Write f.\n>>> f(1)\n2\n\nMore words\n```\n>>> for x in f(2):\n...     print(x)\n1\n```\nend";
        let tests = tests_in_prompt(prompt);
        assert_eq!(
            tests[0].source,
            ">>> f(1)\n2\n\n>>> for x in f(2):\n...     print(x)\n1"
        );
    }

    #[test]
    fn a_session_line_that_states_its_result_is_an_assertion() {
        let tests = tests_in_prompt(
            "def f(x):\n    \"\"\"F.\n    >>> f(1) == 2\n    >>> f(2)\n    3\n    f(3) ➞ 4\n    \"\"\"\n",
        );
        assert_eq!(tests[0].source, ">>> f(2)\n3");
        assert_eq!(tests[1].source, "assert f(1) == 2\nassert f(3) == 4");
    }

    #[test]
    fn an_example_that_all_versions_agree_against_is_doubted() {
        use journeyman_event::payload::{PlanningComplete, TestResult};
        use journeyman_event::state::{CodeVersion, TestRun};
        let tests = tests_in_prompt("Write f(x).\nassert f(1) == 3\n");
        let plan: PlanningComplete =
            crate::plan::plan_of_answer(r#"{"modules":[{"name":"m"}]}"#, &tests).unwrap();
        let module = |messages: &[&str]| {
            let mut module = ModuleState::new(plan.modules[0].clone());
            for (version, message) in (1..).zip(messages) {
                let source = format!("# {version}\n");
                let hash = journeyman_event::ContentHash::of(source.as_bytes());
                module.versions.push(CodeVersion {
                    version,
                    hash,
                    source,
                    origin: journeyman_event::payload::CodeOrigin::Generated,
                    clock: journeyman_event::VectorClock::default(),
                });
                module.runs.push(TestRun {
                    scope: journeyman_event::payload::TestScope::Module,
                    origin: TestOrigin::File,
                    files: Vec::new(),
                    code: vec![journeyman_event::payload::CodeUnderTest {
                        module: plan.modules[0].name.clone(),
                        version,
                        hash,
                    }],
                    tests_version: 0,
                    basis: None,
                    failure: None,
                    tests: vec![TestResult {
                        name: "tests/test_assertions.py::test_assertion_1".to_owned(),
                        passed: message.is_empty(),
                        message: format!("in f\n{message}"),
                    }],
                    output: String::new(),
                    clock: journeyman_event::VectorClock::default(),
                    outcome: None,
                });
            }
            module
        };
        for (messages, doubted) in [
            (&["E   assert 2 == 3", "E   assert 2 == 3"][..], true),
            (&["E   assert 2 == 3", "E   assert 4 == 3"], false),
            (&["E   assert 2 == 3"], false),
            (&["", "E   assert 2 == 3", "E   assert 2 == 3"], false),
            (&["E   assert 2 == 3", ""], false),
        ] {
            let doubt = doubtful_example(&tests, &module(messages));
            assert_eq!(doubt.is_some(), doubted, "{messages:?}");
            assert!(
                doubt.is_none_or(
                    |said| said.contains("`f(1) == 3`") && said.contains("assert 2 == 3")
                )
            );
        }
    }

    #[test]
    fn what_was_taken_is_told_in_one_line() {
        let tests = tests_in_prompt("assert f(1) == 2\nassert f(2) == 3\n>>> f(3)\n4\n");
        let notice = examples_notice(&tests).unwrap();
        assert_eq!(
            notice,
            "3 examples of your prompt are run: f(3) -> 4; f(1) == 2; f(2) == 3"
        );
        assert_eq!(examples_notice(&[]), None);
        let behind = |name| example_behind(&tests, name);
        assert_eq!(
            behind("tests/test_assertions.py::test_assertion_2").as_deref(),
            Some("f(2) == 3")
        );
        assert_eq!(
            behind("tests/test_examples.py::test_example_1").as_deref(),
            Some("f(3) -> 4")
        );
        assert_eq!(behind("tests/test_x.py::test_f"), None);
        let tests = tests_in_prompt("Write f(x).\nx = 1\nassert f(x) == 2\n");
        let behind = example_behind(&tests, "tests/test_prompt_1.py::test_block_1");
        assert_eq!(behind.as_deref(), Some("x = 1; assert f(x) == 2"));
    }

    #[test]
    fn what_looks_like_a_test_and_is_none_is_told_in_one_line() {
        let said = |prompt: &str| left_out_notice(&TaskSubmitted::of(prompt));
        assert_eq!(said("Write f(x).\nassert f(1) == 2\n"), None);
        assert_eq!(
            said("Write f(x).\nassert f(y) == 2\n").as_deref(),
            Some("1 line of your prompt looks like a test and is not run: `assert f(y) == 2`")
        );
        assert_eq!(
            said("Write f(x).\n>>> f(1)\n2\n\n>>> f(1)\n3\n").as_deref(),
            Some(
                "2 lines of your prompt look like tests and are not run: `>>> f(1)`; ... (the prompt \
                 gives `f(1)` different results)"
            )
        );
        let mut task = TaskSubmitted::of("Write f(x).\nassert f(y) == 2\n");
        task.no_examples = true;
        assert_eq!(left_out_notice(&task), None);
    }
}
