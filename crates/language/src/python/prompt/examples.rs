//! The examples in a prompt: doctest sessions, `assert` lines, code of several lines, and statements in prose. They
//! become given tests. Lines that only look like examples are reported.

use std::fmt::Write;

use journeyman_event::payload::{GivenTest, TestOrigin};
use journeyman_syntax::{Kind, Source};

use super::asked::Prompt;
use super::left_out::example_on;
use super::passages::BLOCK;
use super::prose_examples::EXAMPLES_MAX;
use super::reading::PromptTests;
use super::sessions::ANY_DETAIL;
use crate::Examples;

/// The most lines named that are not run.
const NAMED_MAX: usize = 3;
/// How to have run what is not.
const HOW_TO_RUN: &str = "To run one, end the prompt with a line `Examples:` and, below it, plain calls with their results, or give a test file";

/// Reads the examples in a prompt.
pub(in crate::python) fn examples(prompt: &str) -> Examples {
    let prompt = Prompt::of(prompt);
    let reading = PromptTests::of(&prompt);
    Examples {
        left_out: left_out(&prompt, &reading),
        tests: reading.tests,
    }
}

fn left_out(prompt: &Prompt<'_>, reading: &PromptTests) -> Option<String> {
    let count = reading.left_out.len();
    let mut text = match count {
        0 => return None,
        1 => "1 example of your prompt is not run:".to_owned(),
        _ => format!("{count} examples of your prompt are not run:"),
    };
    let assertions = reading
        .tests
        .iter()
        .find(|test| test.origin == TestOrigin::Assertions);
    let is_full = assertions.is_some_and(|test| test.source.lines().count() >= EXAMPLES_MAX);
    for one in reading.left_out.iter().take(NAMED_MAX) {
        let _ = write!(text, "\n- `{}`", clipped(&example_on(prompt, &one.line)));
        if !is_full {
            let _ = write!(text, ": {}", one.why);
        }
    }
    if count > NAMED_MAX {
        let _ = write!(text, "\n- and {} more", count - NAMED_MAX);
    }
    text.push('\n');
    if is_full {
        let _ = write!(
            text,
            "At most {EXAMPLES_MAX} examples in prose are run; a test file may have more"
        );
    } else {
        text.push_str(HOW_TO_RUN);
    }
    Some(text)
}

/// The examples among given tests in short form, one line each: `add(2, 2) == 4`.
pub(in crate::python) fn examples_in_short(tests: &[GivenTest]) -> Vec<String> {
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

/// The tests in a file made of code in a prompt, by name and in short form.
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

/// Loose statements on one line, without the head of the function that contains them.
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

/// The beginning of a text, short enough for a line.
fn clipped(text: &str) -> String {
    /// The most characters shown.
    const CHARS_MAX: usize = 80;
    match text.char_indices().nth(CHARS_MAX) {
        Some((end, _)) => format!("{}...", &text[..end]),
        None => text.to_owned(),
    }
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
        text.push_str(code.trim().trim_end_matches(ANY_DETAIL));
    }
    text
}

/// The example from which a test was made: `tests/test_assertions.py::test_assertion_2`.
pub(in crate::python) fn example_behind(tests: &[GivenTest], name: &str) -> Option<String> {
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

/// The part of a failing test's message that shows results, as marked by pytest.
pub(in crate::python) fn result_shown(message: &str) -> String {
    let lines = message.lines().filter_map(|line| line.strip_prefix('E'));
    lines.map(str::trim).collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::python::source::called_names;

    fn tests_in_prompt(prompt: &str) -> Vec<GivenTest> {
        examples(prompt).tests
    }

    #[test]
    fn of_a_line_without_end_some_calls_run_and_the_rest_is_shown_as_not_run() {
        // Judged one by one, each by the whole line, these took minutes.
        let calls: Vec<String> = (0..8_000).map(|n| format!("f({n}) == {n}")).collect();
        for (lead, runs) in [("Examples:", true), ("It is wrong today that", false)] {
            let prompt = format!("Write a function f(x).\n\n{lead} {}\n", calls.join(", "));
            let prompt = Prompt::of(&prompt);
            let reading = PromptTests::of(&prompt);
            assert_eq!(!reading.tests.is_empty(), runs, "{lead}");
            assert_eq!(reading.left_out.len(), 1, "{lead}");
            let told = left_out(&prompt, &reading).unwrap();
            assert_eq!(told.contains("At most 40 examples"), runs, "{told}");
        }
    }

    /// Prompts and what is found in them: the prompt, a line of dashes, the examples in short form (one line
    /// each, possibly none), the lines that only look like tests, a line of equals signs.
    const PROMPTS: &str = include_str!("examples/prompts.txt");
    /// The same, of what people write beside examples: bounds, remarks and descriptions, and what only looks like these.
    const ASIDES: &str = include_str!("examples/asides.txt");

    #[test]
    fn what_a_prompt_plainly_expects_is_a_test_and_nothing_else_is() {
        let mut wrong = Vec::new();
        let mut count = 0;
        let cases = [PROMPTS, ASIDES].into_iter();
        let cases = cases.flat_map(|table| table.split("\n=====\n"));
        for case in cases.filter(|case| !case.trim().is_empty()) {
            let (prompt, expected) = case.split_once("\n-----").unwrap();
            let expected: Vec<&str> = expected.lines().filter(|line| !line.is_empty()).collect();
            let reading = PromptTests::of(&Prompt::of(prompt));
            let mut found = examples_in_short(&reading.tests);
            found.extend(
                reading
                    .left_out
                    .iter()
                    .map(|one| format!("not run: {}", one.line)),
            );
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
        assert!(count >= 960, "{count}");
    }

    #[test]
    fn of_each_example_that_is_not_run_the_reason_is_told() {
        for (said, told) in [
            (
                "Examples:\nDouble(2) == 4",
                "`Double(2) == 4`: the prompt asks for double, and not for Double",
            ),
            (
                "Examples:\nmath.double(2) == 4",
                "the prompt does not ask for math.double",
            ),
            ("# assert double(2) == 4", "it is commented out"),
            (
                "double(2) == 4 and double(2) == 5",
                "the prompt gives this call different results",
            ),
            (
                "n must be a string.\nExamples:\ndouble(2) == 4",
                "not what the prompt says of types and inputs",
            ),
            ("> double(2) == 4", "it is quoted"),
            (
                "This is what I saw last year on an old machine in a cellar far away: double(2) == 4, or so I was told.",
                "`double(2) == 4`: something beside it may take it back",
            ),
        ] {
            let found = examples(&format!("Write double(n).\n\n{said}\n"));
            let notice = found.left_out.unwrap_or_default();
            assert!(notice.contains(told), "{said}: {notice}");
        }
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
    fn an_assertion_is_run_with_what_is_imported_or_defined_above_it_for_that() {
        for (above, check, wanted) in [
            (
                "from datetime import date\n",
                "parse('x') == date(2024, 1, 2)",
                "parse",
            ),
            (
                "from math import isclose\n",
                "isclose(norm([3, 4]), 5)",
                "norm",
            ),
            (
                "import datetime as dt\n",
                "parse('x') == dt.date(2024, 1, 2)",
                "parse",
            ),
            (
                "def near(a, b):\n    return abs(a - b) < 1e-9\n\n",
                "near(norm([3, 4]), 5)",
                "norm",
            ),
        ] {
            let prompt = format!("Write it.\n\n```python\n{above}assert {check}\n```\n");
            let tests = tests_in_prompt(&prompt);
            let [test] = tests.as_slice() else {
                panic!("{prompt}: {tests:?}");
            };
            assert!(test.source.contains(above.trim_end()), "{}", test.source);
            assert!(
                test.source.contains(&format!("assert {check}")),
                "{}",
                test.source
            );
            let called: Vec<String> = called_names(test).into_iter().collect();
            assert_eq!(called, [wanted], "{}", test.source);
        }
    }

    #[test]
    fn examples_in_prose_end_at_a_blank_line_and_at_a_fence() {
        let prompt = "Write f.\n>>> f(1)\n2\n\nMore examples\n```\n>>> for x in f(2):\n...     print(x)\n1\n```\nThanks.";
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
    fn a_test_is_told_by_the_example_behind_it() {
        let tests = tests_in_prompt("assert f(1) == 2\nassert f(2) == 3\n>>> f(3)\n4\n");
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
}
