//! Parses JSON in a model's answer: plans, reviews and tool calls. Comments, superfluous commas and surrounding
//! text are tolerated.

use journeyman_event::payload::{Purpose, ReviewCompleted, ToolRequest};
use journeyman_event::state::PendingAnswer;
use journeyman_language::Language;
use journeyman_language::answer::{json_values, missing_answer, without_reasoning};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::Value;

/// The most findings of a review that are kept, and the most characters of each.
const FINDINGS_MAX: usize = 8;
const FINDING_CHARS_MAX: usize = 400;

/// A tool call as a model writes it.
#[derive(Deserialize)]
struct RawRequest {
    name: String,
    #[serde(default)]
    arguments: serde_json::Map<String, serde_json::Value>,
}

/// The tool calls in an answer: in fenced `tool` blocks, or in JSON if the model was asked only for tool calls.
/// The error says what is wrong, worded for the model.
pub(crate) fn tool_requests(
    language: &dyn Language,
    answer: &str,
    purpose: Purpose,
) -> Result<Vec<ToolRequest>, String> {
    #[derive(Deserialize)]
    struct Wish {
        tools: Vec<RawRequest>,
    }
    let request = |raw: RawRequest| ToolRequest {
        name: raw.name,
        arguments: raw.arguments,
    };
    if purpose == Purpose::LookUp {
        let wish: Wish = json_in(answer)
            .map_err(|error| format!("it is no JSON object with `tools`: {error}"))?;
        return Ok(wish.tools.into_iter().map(request).collect());
    }
    let mut requests = Vec::new();
    for block in language.blocks_in_answer(answer, "tool") {
        let raw: RawRequest = serde_json::from_str(block.trim())
            .map_err(|error| format!("its tool block: {error}; give one JSON object in it"))?;
        requests.push(request(raw));
    }
    Ok(requests)
}

/// The findings of a review. If the answer cannot be parsed, the result has no findings and
/// says so in `problem`.
pub(crate) fn review(answer: &PendingAnswer) -> ReviewCompleted {
    #[derive(Deserialize)]
    struct Raw {
        findings: Vec<String>,
    }
    match json_in(&answer.text) {
        Ok(Raw { findings }) => {
            let findings = findings.iter().map(|finding| {
                let finding = finding.trim().chars();
                finding.take(FINDING_CHARS_MAX).collect::<String>()
            });
            let findings = findings.filter(|finding| !finding.is_empty());
            ReviewCompleted {
                findings: findings.take(FINDINGS_MAX).collect(),
                problem: None,
            }
        }
        Err(error) => ReviewCompleted {
            findings: Vec::new(),
            problem: Some(format!("the model's review cannot be read: {error}")),
        },
    }
}

/// Parses the first JSON object in an answer that fits. Comments, superfluous commas and surrounding text are
/// tolerated. The error says why no object fits, worded for the model.
pub(crate) fn json_in<T: DeserializeOwned>(answer: &str) -> Result<T, String> {
    let said = without_reasoning(answer);
    let mut problem = said.find('{').map_or_else(
        || "it is not a JSON object".to_owned(),
        |at| {
            let read = serde_json::from_str::<Value>(&said[at..]);
            read.map_or_else(|error| format!("its JSON: {error}"), |_| String::new())
        },
    );
    for value in json_values(&said) {
        match serde_json::from_value(value) {
            Ok(read) => return Ok(read),
            Err(error) => problem = format!("its JSON: {error}"),
        }
    }
    Err(missing_answer(answer).unwrap_or(problem))
}
