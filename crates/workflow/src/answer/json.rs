//! What a model says in JSON: plans, reviews, tools that it asks for. Comments, commas too many and words
//! around it are forgiven.

use journeyman_event::payload::{Purpose, ReviewCompleted, ToolRequest};
use journeyman_event::state::PendingAnswer;
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::Value;

use super::blocks::fenced_blocks;
use super::{in_place, spoken};

/// Findings of a review that are kept, and characters of each.
const FINDINGS_MAX: usize = 8;
const FINDING_CHARS_MAX: usize = 400;

/// A request as a model writes it.
#[derive(Deserialize)]
struct RawRequest {
    name: String,
    #[serde(default)]
    arguments: serde_json::Map<String, serde_json::Value>,
}

/// The tools that an answer asks for: in fenced `tool` blocks, or where it is asked for them alone, in
/// JSON. The error says what is wrong, in words for the model.
pub(crate) fn tool_requests(answer: &str, purpose: Purpose) -> Result<Vec<ToolRequest>, String> {
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
    let (closed, open) = fenced_blocks(&spoken(answer));
    let blocks = closed.into_iter().chain(open);
    let mut requests = Vec::new();
    for block in blocks.filter(|block| block.info == "tool") {
        let raw: RawRequest = serde_json::from_str(block.text.trim())
            .map_err(|error| format!("its tool block: {error}; give one JSON object in it"))?;
        requests.push(request(raw));
    }
    Ok(requests)
}

/// What a review found. One that cannot be read is none.
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

/// What a model said in JSON: of the objects in its answer the first that fits. Comments, commas too
/// many and words around it are forgiven. The error says why none fits, in words for the model.
pub(crate) fn json_in<T: DeserializeOwned>(answer: &str) -> Result<T, String> {
    let said = spoken(answer);
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
    Err(in_place(answer).unwrap_or(problem))
}

/// The JSON objects in a text that stand in no other, in order.
pub(super) fn json_values(text: &str) -> Vec<Value> {
    /// Braces that are tried.
    const TRIES_MAX: usize = 50;
    let mut found = Vec::new();
    let mut rest = text;
    for _ in 0..TRIES_MAX {
        let Some(at) = rest.find('{') else {
            break;
        };
        rest = &rest[at..];
        let strict = object_at(rest).and_then(|object| {
            let value = serde_json::from_str(object).ok()?;
            Some((value, object.len()))
        });
        let read = strict.or_else(|| {
            let (clean, length) = without_extras(rest)?;
            Some((serde_json::from_str(&clean).ok()?, length))
        });
        let (value, length) = read.map_or((None, 1), |(value, length)| (Some(value), length));
        found.extend(value);
        rest = &rest[length..];
    }
    found
}

/// The object that begins a text, to its closing brace.
fn object_at(text: &str) -> Option<&str> {
    let (mut depth, mut is_string, mut is_escaped) = (0_u32, false, false);
    for (at, c) in text.char_indices() {
        match c {
            _ if is_escaped => is_escaped = false,
            '\\' if is_string => is_escaped = true,
            '"' => is_string = !is_string,
            _ if is_string => {}
            '{' => depth += 1,
            '}' => {
                depth = depth.checked_sub(1)?;
                if depth == 0 {
                    return Some(&text[..=at]);
                }
            }
            _ => {}
        }
    }
    None
}

/// The object that begins a text without comments and without commas before a closing bracket, and
/// how much of the text it took.
fn without_extras(text: &str) -> Option<(String, usize)> {
    let mut clean = String::new();
    let (mut depth, mut is_string) = (0_u32, false);
    let mut rest = text;
    while let Some(c) = rest.chars().next() {
        let mut taken = c.len_utf8();
        if is_string {
            if c == '\\' {
                taken += rest[1..].chars().next().map_or(0, char::len_utf8);
            }
            is_string = c != '"';
            clean.push_str(&rest[..taken]);
        } else if rest.starts_with("//") || c == '#' {
            taken = rest.find('\n').unwrap_or(rest.len());
        } else if rest.starts_with("/*") {
            taken = rest.find("*/").map_or(rest.len(), |end| end + 2);
        } else {
            match c {
                '"' => is_string = true,
                '{' => depth += 1,
                '}' | ']' => {
                    let bare = clean.trim_end();
                    if bare.ends_with(',') {
                        clean.truncate(bare.len() - 1);
                    }
                    depth = depth.checked_sub(u32::from(c == '}'))?;
                }
                _ => {}
            }
            clean.push(c);
        }
        rest = &rest[taken..];
        if depth == 0 {
            return Some((clean, text.len() - rest.len()));
        }
    }
    None
}
