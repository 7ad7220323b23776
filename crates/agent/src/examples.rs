//! The examples in a prompt: doctest sessions, `assert` lines and what it states in its own words.
//! They are tests that rule.

use std::collections::BTreeSet;

use journeyman_event::payload::{GivenTest, TestOrigin};
use journeyman_event::state::ModuleState;
use journeyman_syntax::Source;

use crate::asked::Prompt;
use crate::literal::identifier;
use crate::python::{is_builtin, is_standard};
use crate::stated::{stated_examples, stated_in_session};

/// The name under which doctest examples are kept.
pub(crate) const EXAMPLES_FILE: &str = "test_examples.py";
/// The name under which `assert` lines are kept.
pub(crate) const ASSERTIONS_FILE: &str = "test_assertions.py";

/// The tests that a prompt gives: what it plainly expects of what it asks for. Where that is in doubt
/// it is no test, for right code would fail by it.
pub fn tests_in_prompt(prompt: &str) -> Vec<GivenTest> {
    let prompt = Prompt::of(prompt);
    let (examples, mut assertions) = doctests(&prompt);
    let lines = 0..prompt.lines.len();
    assertions.extend(lines.filter_map(|at| assertion(&prompt, at)));
    assertions.extend(stated_examples(&prompt));
    let mut seen = BTreeSet::new();
    assertions.retain(|line| seen.insert(line.clone()));
    let mut tests = Vec::new();
    if !examples.is_empty() {
        tests.push(GivenTest {
            name: EXAMPLES_FILE.to_owned(),
            origin: TestOrigin::Examples,
            source: examples.join("\n\n"),
        });
    }
    if !assertions.is_empty() {
        tests.push(GivenTest {
            name: ASSERTIONS_FILE.to_owned(),
            origin: TestOrigin::Assertions,
            source: assertions.join("\n"),
        });
    }
    tests
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
            TestOrigin::File | TestOrigin::Generated => {}
        }
    }
    all
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
    let number: usize = function.rsplit('_').next()?.parse().ok()?;
    let test = tests.iter().find(|test| test.name == file)?;
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
    if is_raised || !source.parses() {
        return None;
    }
    let own = |name: &&String| !is_builtin(name) && !is_standard(name);
    let mut called = found.called.iter().filter(own).peekable();
    called.peek()?;
    // With no definition in sight, an assertion at the margin or in a test says itself what is wanted.
    let says_itself = !prompt.defines() && is_free_standing(prompt, at);
    let is_plain = called.all(|name| says_itself || prompt.asks_for(name))
        && !found.free.iter().any(|name| own(&name));
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
fn doctests(prompt: &Prompt<'_>) -> (Vec<String>, Vec<String>) {
    let mut groups: Vec<String> = Vec::new();
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
            && let Some(assertion) = bare.get(4..).and_then(stated_in_session)
        {
            let about = session_about_the_task(prompt, bare);
            if about.is_some() && !prompt.is_reported(at, at) {
                assertions.push(assertion);
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
                groups.extend(session_about_the_task(prompt, whole.trim_end()));
            }
        } else if prompt_line || !group.is_empty() {
            // No more than there is: an answer may stand further left than its question.
            let spaces = indent.min(line.len() - bare.len());
            let text = line.get(spaces..).unwrap_or(bare);
            group.push_str(text.trim_end());
            group.push('\n');
        }
    }
    (
        groups.iter().flat_map(|group| apart(group)).collect(),
        assertions,
    )
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
    /// line each, nothing if that is nothing), a line of equals signs.
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
            let found = examples_in_short(&tests_in_prompt(prompt));
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
        assert!(count >= 60, "{count}");
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
            crate::plan::plan_of_answer(r#"{"modules":[{"name":"m"}]}"#, "", &tests).unwrap();
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
                    idle: Vec::new(),
                    skipped: Vec::new(),
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
    }
}
