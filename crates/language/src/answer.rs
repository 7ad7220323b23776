//! What a model says in an answer, whatever it is about: its thoughts and what its template puts around them are told
//! from it, and the JSON in it is found. Which of it is code is a language's affair.

mod json;

use journeyman_event::printable;
use journeyman_llm::end_of_turn;
use journeyman_syntax::is_invisible;

pub use json::json_values;

/// The marks between which models think.
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

/// What a model says in channels begins with one of these.
const CHANNEL_STARTS: &[&str] = &["<|channel|>", "<|start|>assistant<|channel|>"];

/// What is said in the channel of the answer, of a text that is in channels; nothing if it has none.
fn of_final_channel(text: &str) -> &str {
    if !CHANNEL_STARTS.iter().any(|start| text.starts_with(start)) {
        return text;
    }
    let last = text.split_once("<|channel|>final");
    let said = last.and_then(|(_, after)| after.split_once("<|message|>"));
    said.map_or("", |(_, said)| said)
}

/// A line without what stands before its first character that can be seen.
pub(crate) fn bare(line: &str) -> &str {
    line.trim_start_matches(|c: char| c.is_whitespace() || is_invisible(c))
}

/// All of an answer that holds nothing but thoughts, for who finds the file in them.
pub(crate) fn only_reasoning(answer: &str) -> Option<&str> {
    (without_reasoning(answer).trim().is_empty() && !answer.trim().is_empty()).then_some(answer)
}

/// What came in place of an answer, in words for the model: nothing, only thoughts, a refusal, or a tool
/// call. None where it is something else.
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
    /// What is told of them.
    const WORDS_CHARS_MAX: usize = 300;
    let (_, words) = text.split_once("<refusal>\n")?;
    let (words, _) = words.rsplit_once("\n</refusal>")?;
    let words = printable(words);
    let words: Vec<&str> = words.split_whitespace().collect();
    Some(words.join(" ").chars().take(WORDS_CHARS_MAX).collect())
}

/// The tool that is called in a text.
fn called(text: &str) -> Option<String> {
    /// What of a tool's name is told.
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

/// An answer without thoughts, without what its template puts around it, and without a byte order mark.
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
