//! Parses answers of a model that are not files: text, plans, reviews and tool calls; and determines why an answer
//! is incomplete. Never panics on malformed text; errors describe what is wrong.

mod json;
mod summary;

use journeyman_event::payload::PromptAnswered;
use journeyman_event::printable;
use journeyman_event::state::PendingAnswer;
use journeyman_language::answer::{missing_answer, without_reasoning};
use journeyman_language::{Language, LastBlock};
pub(crate) use json::{json_in, review, tool_requests};
pub(crate) use summary::summary;

/// The model's answer to a question. The error says why there is none, worded for the model.
pub(crate) fn reply(answer: &PendingAnswer) -> Result<PromptAnswered, String> {
    let said = without_reasoning(&answer.text);
    let text = printable(&said).trim().to_owned();
    if text.is_empty()
        || ["<tool_call>", "<refusal>"]
            .iter()
            .any(|mark| text.starts_with(mark))
    {
        let problem = missing_answer(&answer.text);
        return Err(problem.unwrap_or_else(|| "it says nothing; answer the question".to_owned()));
    }
    Ok(PromptAnswered {
        text,
        cut_short: answer.cut_short,
    })
}

/// The message about an incomplete file.
pub(crate) const CUT_OFF: &str = "it was cut off before the file's end; write a shorter file";

/// Why an answer is incomplete, worded for the model; `None` if it is complete. `shorter` is advice for an
/// answer that is too long.
pub(crate) fn cut_off(answer: &PendingAnswer, shorter: &str) -> Option<String> {
    if let Some(repeated) = &answer.repeated {
        return Some(format!(
            "it was cut off because it said the same again and again; say each thing once. This was \
             repeated:\n{repeated}"
        ));
    }
    answer.cut_short.then(|| shorter.to_owned())
}

/// Why the file in an answer is incomplete, worded for the model: also where the server says that the model ended by
/// itself, but its code stops inside a statement.
pub(crate) fn file_cut_off(language: &dyn Language, answer: &PendingAnswer) -> Option<String> {
    let is_torn = || language.last_block(&answer.text) == LastBlock::Torn;
    cut_off(answer, CUT_OFF).or_else(|| is_torn().then(|| CUT_OFF.to_owned()))
}

/// Whether an answer of which nobody said why it ended may be cut off. It is whole where its last block is closed, or
/// where it is an object of JSON, whose end shows. Code that is left open shows nothing: what parses may go on.
pub(crate) fn is_torn(language: &dyn Language, answer: &str) -> bool {
    let is_json = |text: &str| json_in::<serde_json::Value>(text).is_ok();
    match language.last_block(answer) {
        LastBlock::Closed => false,
        LastBlock::Torn => true,
        LastBlock::Open(text) => !(text.trim_start().starts_with('{') && is_json(&text)),
        LastBlock::Missing => !is_json(answer),
    }
}

#[cfg(test)]
mod tests {
    use journeyman_event::payload::{Form, Purpose};
    use journeyman_language::python::Python;
    use serde::Deserialize;

    use super::*;

    #[test]
    fn json_is_found_with_comments_commas_and_words_around_it() {
        #[derive(Debug, PartialEq, Deserialize)]
        struct Plan {
            modules: Vec<String>,
        }
        for answer in [
            r#"{"modules": ["a{", "b"]}"#,
            "Here {is} the plan:\n```json\n{\"modules\": [\"a{\", \"b\",],}\n```\nDone {really}.",
            "{\n  // two of them\n  \"modules\": [\n    \"a{\", # one\n    \"b\" /* } */\n  ]\n}",
            "<think>\n{\"modules\": [\"draft\"]}\n</think>\n{\"modules\": [\"a{\", \"b\"]}",
            "{\"note\": 1}\n{\"modules\": [\"a{\", \"b\"]}<|im_end|>",
        ] {
            let plan = json_in::<Plan>(answer);
            let modules = vec!["a{".to_owned(), "b".to_owned()];
            assert_eq!(plan, Ok(Plan { modules }), "{answer}");
        }
        for (answer, problem) in [
            ("no", "not a JSON object"),
            (" \n", "the answer is empty"),
            (
                "<think>\nA plan of one module.\n</think>\n",
                "only thoughts came",
            ),
            (
                "<tool_call>\n{\"arguments\": {\"modules\": 1}, \"name\": \"plan\"}\n</tool_call>\n",
                "a call of the tool \"plan\"",
            ),
            ("{\"modules\": 1}", "its JSON"),
            ("{oh", "its JSON"),
        ] {
            assert!(
                json_in::<Plan>(answer).unwrap_err().contains(problem),
                "{answer}"
            );
        }
    }

    #[test]
    fn a_file_that_stops_inside_a_statement_is_told_as_cut_off_whatever_the_server_says() {
        let answer = |text: &str| PendingAnswer {
            event: journeyman_event::EventId::from_bytes([0; 16]),
            purpose: Purpose::Code,
            form: Form::default(),
            module: None,
            text: text.to_owned(),
            cut_short: false,
            repeated: None,
        };
        let whole = "```python\ndef f(x):\n    return x\n";
        assert_eq!(file_cut_off(&Python, &answer(whole)), None);
        let torn = format!("{whole}\ndef g(x):\n    return (x +");
        let told = file_cut_off(&Python, &answer(&torn));
        assert_eq!(told.as_deref(), Some(CUT_OFF));
        let problem = Python.code_in_answer(&torn, told.as_deref(), &["f", "g"]);
        assert_eq!(problem, Err(CUT_OFF.to_owned()));
    }

    #[test]
    fn tools_are_asked_for_in_blocks_of_their_own_or_in_json() {
        let answer = "First.\n```tool\n{\"name\": \"read_file\", \"arguments\": {\"path\": \"a.py\"}}\n```\n```tool\n{\"name\": \"run_tests\"}\n```";
        let wanted = tool_requests(&Python, answer, Purpose::Code).unwrap();
        let names: Vec<&str> = wanted.iter().map(|wish| wish.name.as_str()).collect();
        assert_eq!(names, ["read_file", "run_tests"]);
        assert_eq!(wanted[0].arguments["path"], "a.py");
        let problem = tool_requests(&Python, "```tool\nread a.py\n```", Purpose::Fix).unwrap_err();
        assert!(problem.contains("one JSON object"), "{problem}");
        assert!(
            tool_requests(&Python, "```python\nx = 1\n```", Purpose::Fix)
                .unwrap()
                .is_empty()
        );
        let wish = "{\"tools\": [{\"name\": \"list_files\", \"arguments\": {}}]}";
        assert_eq!(
            tool_requests(&Python, wish, Purpose::LookUp).unwrap().len(),
            1
        );
        let none = tool_requests(&Python, "{\"tools\": []}", Purpose::LookUp).unwrap();
        assert!(none.is_empty());
        assert!(tool_requests(&Python, "None.", Purpose::LookUp).is_err());
    }

    #[test]
    fn an_answer_without_a_reason_is_whole_only_where_its_end_shows() {
        for (answer, is_cut) in [
            (
                "```python\ndef f(x):\n    return x + 1\n```\nThat is",
                false,
            ),
            ("```python\ndef f(x):\n    return x + 1", true),
            ("```python\ndef f(x):\n    return {}", true),
            ("def f(x):\n    return x + 1", true),
            ("```python\ndef f(x):\n    return x +", true),
            ("```python\ndef f(x", true),
            ("```json\n{\"modules\": []}", false),
            ("{\"modules\": [", true),
            ("{\"modules\": [], // none\n}", false),
        ] {
            assert_eq!(is_torn(&Python, answer), is_cut, "{answer}");
        }
    }
}
