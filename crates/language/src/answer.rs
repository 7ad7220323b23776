//! Parses a model's answer independent of its subject: removes thoughts and the marks of chat templates, and finds
//! JSON. Finding code is up to a language.

mod json;

use journeyman_event::{end_of_turn, printable};
use journeyman_syntax::is_invisible;

pub use json::json_values;
pub(crate) use json::strings_on_lines;

/// The marks around a model's thoughts.
const THOUGHTS: &[(&str, &str)] = &[
    ("<think>", "</think>"),
    ("<thinking>", "</thinking>"),
    ("<thought>", "</thought>"),
    ("<reasoning>", "</reasoning>"),
    ("<seed:think>", "</seed:think>"),
    ("[THINK]", "[/THINK]"),
    ("<|begin_of_thought|>", "<|end_of_thought|>"),
    ("<|START_THINKING|>", "<|END_THINKING|>"),
    ("◁think▷", "◁/think▷"),
];

/// The marks that start an answer in channels.
const CHANNEL_STARTS: &[&str] = &["<|channel|>", "<|start|>assistant<|channel|>"];

/// The content of the final channel, if the text uses channels; empty if it has none.
fn of_final_channel(text: &str) -> &str {
    if !CHANNEL_STARTS.iter().any(|start| text.starts_with(start)) {
        return text;
    }
    let last = text.split_once("<|channel|>final");
    let said = last.and_then(|(_, after)| after.split_once("<|message|>"));
    said.map_or("", |(_, said)| said)
}

/// A line without invisible characters at its start.
pub(crate) fn bare(line: &str) -> &str {
    line.trim_start_matches(|c: char| c.is_whitespace() || is_invisible(c))
}

/// The thoughts, if the answer contains nothing else; a file may be found in them.
pub(crate) fn only_reasoning(answer: &str) -> Option<&str> {
    (without_reasoning(answer).trim().is_empty() && !answer.trim().is_empty()).then_some(answer)
}

/// Why there is no answer, worded for the model: it is empty, or contains only thoughts, a refusal or a tool
/// call. `None` otherwise.
pub fn missing_answer(answer: &str) -> Option<String> {
    if answer.trim().is_empty() {
        return Some("the answer is empty; give what was asked for".to_owned());
    }
    if only_reasoning(answer).is_some() {
        return Some("only thoughts came and no answer; answer at once".to_owned());
    }
    let said = without_reasoning(answer);
    if let Some(why) = refusal(&said) {
        return Some(format!("the model refuses: {why}"));
    }
    called(&said).map(|tool| {
        format!(
            "the answer is a call of the tool {tool:?} and no text; give what was asked for as text"
        )
    })
}

/// The words of a refusal that the server marked as one.
fn refusal(text: &str) -> Option<String> {
    /// How many characters of it are shown.
    const WORDS_CHARS_MAX: usize = 300;
    let (_, words) = text.split_once("<refusal>\n")?;
    let (words, _) = words.rsplit_once("\n</refusal>")?;
    let words = printable(words);
    let words: Vec<&str> = words.split_whitespace().collect();
    Some(words.join(" ").chars().take(WORDS_CHARS_MAX).collect())
}

/// The name of the tool that a text calls.
fn called(text: &str) -> Option<String> {
    /// How many characters of the name are shown.
    const NAME_CHARS_MAX: usize = 60;
    let call = json_values(text).into_iter().find_map(|value| {
        let is_call = ["arguments", "parameters"]
            .iter()
            .any(|name| value.get(name).is_some());
        value["name"]
            .as_str()
            .filter(|_| is_call)
            .map(str::to_owned)
    });
    call.map(|name| name.chars().take(NAME_CHARS_MAX).collect())
}

/// An answer without thoughts, template marks and byte order mark.
pub fn without_reasoning(answer: &str) -> String {
    let mut text = of_final_channel(bare(answer));
    // The prompt's template may have opened them.
    for (open, close) in THOUGHTS {
        if let Some((before, after)) = text.split_once(close)
            && !before.contains(open)
            && (before.ends_with('\n') || after.starts_with('\n'))
        {
            text = after;
        }
    }
    text = &text[..end_of_turn(text).unwrap_or(text.len())];
    let mut kept = String::new();
    let mut is_in_block = false;
    while !text.is_empty() {
        let line = text.split_inclusive('\n').next().unwrap_or(text);
        let bare = bare(line);
        let thought = THOUGHTS.iter().find(|(open, _)| bare.starts_with(open));
        if let Some((_, close)) = thought.filter(|_| !is_in_block) {
            // One that does not end goes on to the end.
            text = text.split_once(close).map_or("", |(_, after)| after);
            continue;
        }
        is_in_block ^= bare.starts_with("```") || bare.starts_with("~~~");
        kept.push_str(line);
        text = &text[line.len()..];
    }
    kept
}
