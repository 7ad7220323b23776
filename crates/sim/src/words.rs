//! What the simulated model says: plans, code, tests and corrections that fit the request's text.

use std::fmt::Write;

/// What is used when nothing can be read from the request.
const FALLBACK_MODULE: &str = "core";

/// How a request begins that shows the beginning of a file.
const COMPLETE: &str = "Complete the ";

/// How a request shows that tools may be called.
const TOOLS: &str = "# Tools\n";
/// How it ends when it asks what is to be looked up.
const LOOK_UP: &str = "Which tools have to be called?";
/// How it ends when it asks for a review.
const REVIEW: &str = "Review the code.";
/// How it ends when the task is a question.
const ANSWER: &str = "Answer the question.";
/// How a line of a task's text says what to look up: `Use the tool NAME with {...}`.
const USE_TOOL: &str = "Use the tool ";
/// And what to use while it is worked on.
const THEN_USE_TOOL: &str = "Then use the tool ";
/// How a request shows that questions may be asked.
const MAY_ASK: &str = "{\"questions\":";

/// The answer to a request; `wrong` code compiles and fails its tests. So many questions are asked
/// where it may be.
pub(crate) fn answer(asked: &str, wrong: bool, questions: u8) -> String {
    if asked.trim_end().ends_with(REVIEW) {
        return r#"{"findings": ["The simulated reviewer read it."]}"#.to_owned();
    }
    if asked.trim_end().ends_with(ANSWER) {
        return "\u{1b}[1mThe simulated answer.\u{1b}[0m".to_owned();
    }
    if asked.trim_end().ends_with(LOOK_UP) {
        let wishes: Vec<String> = tool_wishes(asked, USE_TOOL).collect();
        return format!("{{\"tools\": [{}]}}", wishes.join(", "));
    }
    if asked.contains(TOOLS)
        && let Some(wish) = tool_wishes(asked, THEN_USE_TOOL).next()
    {
        return format!("```tool\n{wish}\n```\n");
    }
    let last = asked
        .lines()
        .rev()
        .find(|line| !line.trim().is_empty())
        .unwrap_or_default();
    if last.contains("Write pytest tests") {
        return fenced(&tests(asked, last));
    }
    let code_wanted = ["Write the file", "Correct the file", "Give the whole file"];
    if code_wanted.iter().any(|words| last.contains(words)) || asked.starts_with(COMPLETE) {
        return fenced(&code(asked, wrong));
    }
    if questions > 0 && asked.contains(MAY_ASK) {
        let questions: Vec<String> = (1..=questions)
            .map(|number| format!("\"What about part {number}?\""))
            .collect();
        return format!("{{\"questions\": [{}]}}", questions.join(", "));
    }
    plan(asked)
}

/// The tools that lines of the task's text say to use, in so many words, and that have not answered yet.
fn tool_wishes<'a>(asked: &'a str, words: &'a str) -> impl Iterator<Item = String> + 'a {
    let wishes = asked
        .lines()
        .filter_map(move |line| line.strip_prefix(words));
    let wishes = wishes.filter_map(|wish| wish.split_once(" with "));
    let is_new = |&(name, _): &(&str, &str)| {
        let mut answers = asked.lines().filter(|line| line.ends_with(" said"));
        !answers.any(|line| line.starts_with(&format!("# {name} ")))
    };
    wishes
        .filter(is_new)
        .map(|(name, arguments)| format!("{{\"name\": {name:?}, \"arguments\": {arguments}}}"))
}

/// An answer that nothing can be made of.
pub(crate) fn nonsense() -> String {
    "Certainly! I would be happy to help you with that. Let me think about it first.".to_owned()
}

fn fenced(source: &str) -> String {
    format!("Here is the file.\n\n```python\n{source}```\n")
}

/// One to three modules, as many as the task's text is odd: each depends on the one before it, unless the text
/// says that they are independent.
fn plan(asked: &str) -> String {
    let modules = 1 + asked.bytes().filter(u8::is_ascii_alphabetic).count() % 3;
    let names = &[FALLBACK_MODULE, "helpers", "report"][..modules];
    let mut text = String::from("{\"package\": \"simulated\", \"modules\": [");
    for (at, name) in names.iter().enumerate() {
        let depends_on = if at == 0 || asked.contains("independent") {
            String::new()
        } else {
            format!("{:?}", names[at - 1])
        };
        let comma = if at == 0 { "" } else { ", " };
        let _ = write!(
            text,
            "{comma}{{\"name\": {name:?}, \"purpose\": \"Part {number} of the task.\", \
             \"functions\": [{{\"signature\": \"def {name}_step(value: int) -> int\", \
             \"behaviour\": \"Returns the value and one more.\"}}], \"depends_on\": [{depends_on}]}}",
            number = at + 1
        );
    }
    text + "]}"
}

/// The functions that the request's specification names, or that the file begun in it defines.
fn functions(asked: &str) -> Vec<&str> {
    if asked.starts_with(COMPLETE) {
        let defined = asked.lines().filter_map(|line| line.strip_prefix("def "));
        return defined.filter_map(|rest| rest.split('(').next()).collect();
    }
    let specification = asked.split("It defines:").nth(1).unwrap_or_default();
    specification
        .lines()
        .skip(1)
        .take_while(|line| line.starts_with("- `"))
        .filter_map(|line| line.strip_prefix("- `def "))
        .filter_map(|rest| rest.split('(').next())
        .collect()
}

fn code(asked: &str, wrong: bool) -> String {
    let step = if wrong { 2 } else { 1 };
    let mut source = String::from("\"\"\"Written by the simulated model.\"\"\"\n");
    for name in functions(asked) {
        let _ = write!(
            source,
            "\n\ndef {name}(value=0, *rest):\n    return value + {step}\n"
        );
    }
    source
}

fn tests(asked: &str, last: &str) -> String {
    let module = last.split('`').nth(1).unwrap_or(FALLBACK_MODULE);
    let names = functions(asked);
    let mut source = format!("import pytest\nfrom {module} import {}\n", names.join(", "));
    for name in names {
        let _ = write!(
            source,
            "\n\ndef test_{name}_adds_one():\n    assert {name}(1) == 2\n\n\n\
             def test_{name}_of_zero():\n    assert {name}(0) == 1\n"
        );
    }
    source
}

#[cfg(test)]
mod tests_of_words {
    use super::*;

    const REQUEST: &str = "# Module simulated.core\nPart 1.\nIt defines:\n\
        - `def core_step(value: int) -> int`: Returns one more.\n\n";

    #[test]
    fn code_defines_what_the_request_names_and_tests_ask_for_it() {
        let code = answer(
            &format!("{REQUEST}Write the file `simulated/core.py`."),
            false,
            0,
        );
        assert!(code.contains("def core_step(value=0, *rest):\n    return value + 1"));
        let wrong = answer(
            &format!("{REQUEST}Correct the file `simulated/core.py`."),
            true,
            0,
        );
        assert!(wrong.contains("return value + 2"));
        let tests = answer(
            &format!("{REQUEST}Write pytest tests for module `simulated.core`: at most 6."),
            false,
            0,
        );
        assert!(tests.contains("from simulated.core import core_step"));
    }

    #[test]
    fn a_file_that_was_begun_is_completed() {
        let asked = "Complete the file `solution.py` that begins so.\n\n```python\ndef f(x):\n```\n\nGive the whole file.";
        assert!(answer(asked, false, 0).contains("def f(value=0, *rest):"));
    }

    #[test]
    fn a_plan_has_one_to_three_modules() {
        for task in ["a", "ab", "abc"] {
            let text = plan(task);
            assert!(text.matches("\"name\"").count() <= 3, "{text}");
            assert!(!plan(&format!("{task} independent")).contains("_on\": [\""));
        }
    }
}
