//! The examples in a prompt: doctest sessions, `assert` lines and what it states in its own words.
//! They are tests that rule.

use journeyman_event::payload::{GivenTest, TestOrigin};

use crate::literal::identifier;
use crate::stated::{stated_examples, stated_in_session};

/// The name under which doctest examples are kept.
pub(crate) const EXAMPLES_FILE: &str = "test_examples.py";
/// The name under which `assert` lines are kept.
pub(crate) const ASSERTIONS_FILE: &str = "test_assertions.py";

/// The tests that a prompt gives.
pub fn tests_in_prompt(prompt: &str) -> Vec<GivenTest> {
    let (examples, mut assertions) = doctests(prompt);
    let written = prompt
        .lines()
        .map(str::trim)
        .filter(|line| is_assertion(line));
    assertions.extend(written.map(ToOwned::to_owned));
    assertions.extend(stated_examples(prompt));
    let mut seen = std::collections::BTreeSet::new();
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

fn is_assertion(line: &str) -> bool {
    line.strip_prefix("assert ").is_some_and(|rest| {
        let balanced = |open, close| rest.matches(open).count() == rest.matches(close).count();
        let arrow = ["=>", "->", "➞"].iter().any(|arrow| rest.contains(arrow));
        rest.contains('(')
            && !arrow
            && balanced('(', ')')
            && balanced('[', ']')
            && balanced('{', '}')
    })
}

/// Doctest examples, one text a group: a group ends at a blank line, at a line that closes a
/// docstring or a code block, and its indentation is taken away. Beside them, as assertions, those
/// whose line states the result itself (`>>> f(2) == 4`): doctest would take it for no result.
fn doctests(prompt: &str) -> (Vec<String>, Vec<String>) {
    let mut groups: Vec<String> = Vec::new();
    let mut assertions = Vec::new();
    let mut group = String::new();
    let mut indent = 0;
    let mut expecting = false;
    let mut lines = prompt.lines().peekable();
    while let Some(line) = lines.next() {
        let bare = line.trim_start();
        let prompt_line = bare == ">>>" || bare.starts_with(">>> ");
        let closes = closes_group(bare) || (!prompt_line && stated_in_session(bare).is_some());
        let next = lines.peek().map_or("", |next| next.trim_start());
        if prompt_line
            && (closes_group(next) || next.starts_with(">>>"))
            && let Some(assertion) = bare.get(4..).and_then(stated_in_session)
        {
            assertions.push(assertion);
            continue;
        }
        if prompt_line {
            if group.is_empty() {
                indent = line.len() - bare.len();
            }
            expecting = true;
        }
        if expecting && !closes {
            // No more than there is: an answer may stand further left than its question.
            let spaces = indent.min(line.len() - bare.len());
            let text = line.get(spaces..).unwrap_or(bare);
            group.push_str(text.trim_end());
            group.push('\n');
        } else if expecting {
            groups.push(std::mem::take(&mut group));
            expecting = false;
        }
    }
    if !group.is_empty() {
        groups.push(group);
    }
    let groups = groups.iter().map(|group| group.trim_end());
    let groups = groups.filter(|group| !group.is_empty());
    (groups.flat_map(apart).collect(), assertions)
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
    fn whole_assert_lines_are_tests_and_words_are_not() {
        let tests =
            tests_in_prompt("assert f(1) == 2\nassert that it works\n  assert g([1]) == (\n");
        assert_eq!(tests.len(), 1);
        assert_eq!(tests[0].source, "assert f(1) == 2");
        assert!(tests_in_prompt("no tests here").is_empty());
    }
}
