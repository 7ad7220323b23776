//! Prompts for common tasks, which a client's user selects from a menu: instructions for the client's model.

use rmcp::ErrorData;
use rmcp::model::{GetPromptResult, JsonObject, Prompt, PromptArgument, PromptMessage, Role};

/// The values given for the arguments; empty where none was given.
type Given<'a> = dyn Fn(&str) -> String + 'a;

struct Template {
    name: &'static str,
    title: &'static str,
    words: &'static str,
    arguments: &'static [(&'static str, &'static str, bool)],
    text: fn(&Given<'_>) -> String,
}

const TEMPLATES: &[Template] = &[
    Template {
        name: "write_program",
        title: "Write a program",
        words: "Has a program written and tested, and shows the result.",
        arguments: &[
            ("what", "What the program should do.", true),
            (
                "examples",
                "Examples with their results, as doctests or asserts. The program must satisfy them.",
                false,
            ),
        ],
        text: |given| {
            format!(
                "Call start_coding_task with this prompt, word for word:\n\n{}\n\n{}\n\nThen call wait_for_task until \
                 is_settled is true. If it asks questions, ask me and pass on my answers with answer_questions. At the \
                 end show me the files (get_files) and how the result was verified.",
                given("what"),
                given("examples")
            )
        },
    },
    Template {
        name: "make_tests_pass",
        title: "Make tests pass",
        words: "Has a module written that passes given tests.",
        arguments: &[
            ("tests", "The text of the test file.", true),
            ("what", "What the module is for.", false),
        ],
        text: |given| {
            format!(
                "Call start_coding_task with the prompt {:?} and `tests` of one file test_given.py with exactly this \
                 text:\n\n```python\n{}\n```\n\nThen call wait_for_task until is_settled is true and show me the files.",
                match given("what") {
                    what if what.is_empty() => "Write the module that these tests need.".to_owned(),
                    what => what,
                },
                given("tests")
            )
        },
    },
    Template {
        name: "explain_task",
        title: "Explain what happened",
        words: "Explains a task's course from its events.",
        arguments: &[("task_id", "The id of the task.", true)],
        text: |given| {
            format!(
                "Read task {0} with get_task_status and its events with get_events (data: true). Tell me in a few \
                 sentences what it did, what failed, how that was corrected, and how sure the result is.",
                given("task_id")
            )
        },
    },
    Template {
        name: "continue_task",
        title: "Continue a task",
        words: "Looks at a task that is paused or failed, and continues it.",
        arguments: &[
            ("task_id", "The task.", true),
            ("instruction", "Another instruction for the task.", false),
        ],
        text: |given| {
            format!(
                "Look at task {0} with get_task_status. Say in one sentence why it is paused or failed. {1}Then continue it: \
                 intervene with {{\"kind\":\"resume\"}}, with a larger budget or timeout if that was used up. Wait for it \
                 with wait_for_task.",
                given("task_id"),
                match given("instruction") {
                    none if none.is_empty() => String::new(),
                    words => format!("First intervene with the instruction {words:?}. "),
                }
            )
        },
    },
];

pub(crate) fn all() -> Vec<Prompt> {
    let prompts = TEMPLATES.iter().map(|template| {
        let arguments = template.arguments.iter().map(|(name, words, required)| {
            PromptArgument::new(*name)
                .with_description(*words)
                .with_required(*required)
        });
        Prompt::new(
            template.name,
            Some(template.words),
            Some(arguments.collect()),
        )
        .with_title(template.title)
    });
    prompts.collect()
}

/// A prompt with these arguments filled in.
pub(crate) fn get(name: &str, given: &JsonObject) -> Result<GetPromptResult, ErrorData> {
    let template = TEMPLATES.iter().find(|template| template.name == name);
    let template = template.ok_or_else(|| {
        let known: Vec<&str> = TEMPLATES.iter().map(|template| template.name).collect();
        let words = format!(
            "there is no prompt {name:?}; there are {}",
            known.join(", ")
        );
        ErrorData::invalid_params(words, None)
    })?;
    let value = |name: &str| {
        let text = given.get(name).and_then(|value| value.as_str());
        text.unwrap_or_default().to_owned()
    };
    for (name, _, required) in template.arguments {
        if *required && value(name).trim().is_empty() {
            let words = format!("the prompt {} needs the argument {name:?}", template.name);
            return Err(ErrorData::invalid_params(words, None));
        }
    }
    for name in given.keys() {
        if !template.arguments.iter().any(|(known, ..)| known == name) {
            let words = format!("the prompt {} has no argument {name:?}", template.name);
            return Err(ErrorData::invalid_params(words, None));
        }
    }
    let text = (template.text)(&value);
    let message = PromptMessage::new_text(Role::User, text);
    Ok(GetPromptResult::new(vec![message]).with_description(template.words))
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    #[test]
    fn a_prompt_has_what_was_given_and_refuses_what_is_missing_or_unknown() {
        let object = |value: Value| value.as_object().unwrap().clone();
        let given = object(json!({"task_id": "t-1", "instruction": "be brief"}));
        let prompt = serde_json::to_string(&get("continue_task", &given).unwrap()).unwrap();
        assert!(prompt.contains("t-1") && prompt.contains("be brief"));
        for (name, given) in [
            ("nothing", json!({})),
            ("explain_task", json!({})),
            ("explain_task", json!({"task_id": "t-1", "more": "x"})),
        ] {
            assert!(get(name, &object(given)).is_err(), "{name}");
        }
    }
}
