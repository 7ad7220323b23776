//! The examples in a prompt: doctest sessions and `assert` lines. They are tests that rule.

use journeyman_event::payload::{GivenTest, TestOrigin};

/// The name under which doctest examples are kept.
pub(crate) const EXAMPLES_FILE: &str = "test_examples.py";
/// The name under which `assert` lines are kept.
pub(crate) const ASSERTIONS_FILE: &str = "test_assertions.py";

/// The tests that a prompt gives.
pub fn tests_in_prompt(prompt: &str) -> Vec<GivenTest> {
    let examples = doctests(prompt);
    let assertions: Vec<&str> = prompt
        .lines()
        .map(str::trim)
        .filter(|line| is_assertion(line))
        .collect();
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
        rest.contains('(') && balanced('(', ')') && balanced('[', ']') && balanced('{', '}')
    })
}

/// Doctest examples, one text a group: a group ends at a blank line, at a line that closes a
/// docstring or a code block, and its indentation is taken away.
fn doctests(prompt: &str) -> Vec<String> {
    let mut groups: Vec<String> = Vec::new();
    let mut group = String::new();
    let mut indent = 0;
    let mut expecting = false;
    for line in prompt.lines() {
        let bare = line.trim_start();
        let closes = bare.is_empty()
            || bare.starts_with("```")
            || bare.starts_with("\"\"\"")
            || bare.starts_with("'''");
        let prompt_line = bare == ">>>" || bare.starts_with(">>> ");
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
    groups
        .iter()
        .map(|group| group.trim_end().to_owned())
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn examples_of_a_docstring_are_found_with_their_results() {
        let prompt = "def add(a, b):\n    \"\"\"Adds.\n    >>> add(1, 2)\n    3\n    >>> add(0, 0)\n    0\n    \"\"\"\n";
        let tests = tests_in_prompt(prompt);
        assert_eq!(tests.len(), 1);
        assert_eq!(tests[0].source, ">>> add(1, 2)\n3\n>>> add(0, 0)\n0");
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
    fn whole_assert_lines_are_tests_and_words_are_not() {
        let tests =
            tests_in_prompt("assert f(1) == 2\nassert that it works\n  assert g([1]) == (\n");
        assert_eq!(tests.len(), 1);
        assert_eq!(tests[0].source, "assert f(1) == 2");
        assert!(tests_in_prompt("no tests here").is_empty());
    }
}
