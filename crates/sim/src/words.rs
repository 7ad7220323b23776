//! The texts of the simulated model: plans, code, tests and corrections that fit the request.

use std::fmt::Write;

/// The module name used if none can be found in the request.
const FALLBACK_MODULE: &str = "core";

/// The start of requests that contain the beginning of a file.
const COMPLETE: &str = "Complete the ";

/// A phrase in requests that offer tools.
const TOOLS: &str = "# Tools\n";
/// The end of requests that ask what to look up.
const LOOK_UP: &str = "Which tools have to be called?";
/// The end of requests for a review.
const REVIEW: &str = "Review the code.";
/// The ends of requests for a summary.
const SUMMARISE: [&str; 2] = ["Summarise the module.", "Summarise the task."];
/// The end of requests whose task is a question.
const ANSWER: &str = "Answer the question.";
/// The start of a line in a task that says what to look up: `Use the tool NAME with {...}`.
const USE_TOOL: &str = "Use the tool ";
/// The same for a tool to use while working on the task.
const THEN_USE_TOOL: &str = "Then use the tool ";
/// A phrase in requests that allow questions.
const MAY_ASK: &str = "{\"questions\":";

/// The answer to a request. `wrong` code compiles but fails its tests. `questions` is how many questions are
/// asked where they are allowed.
pub(crate) fn answer(asked: &str, wrong: bool, questions: u8) -> String {
    if asked.trim_end().ends_with(REVIEW) {
        return r#"{"findings": ["The simulated reviewer read it."]}"#.to_owned();
    }
    if SUMMARISE
        .iter()
        .any(|request| asked.trim_end().ends_with(request))
    {
        return if wrong {
            r#"{"purpose": "", "key_decisions": [], "summary": ""}"#.to_owned()
        } else {
            r#"{"purpose": "What the simulated model says it is for.", "key_decisions": ["One."], "summary": "The simulated summary."}"#.to_owned()
        };
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

/// The tool calls that the task's text asks for and that have no result yet.
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

/// An answer without usable content.
pub(crate) fn nonsense() -> String {
    "Certainly! I would be happy to help you with that. Let me think about it first.".to_owned()
}

fn fenced(source: &str) -> String {
    format!("Here is the file.\n\n```python\n{source}```\n")
}

/// A plan with one to three modules, depending on the task's text. Each depends on the previous one, unless the
/// text says that they are independent.
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

/// The functions named in the request's specification or defined in the file begun in it.
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
