//! Parses a chunk of a streamed chat completion, or a whole completion, as real servers send it. Members that are
//! missing, null or of an unexpected type are ignored, and all known forms are understood.

use journeyman_event::Tokens;
use serde_json::Value;

use crate::calls::Call;
use crate::number::count;
use crate::stream::Piece;
use crate::{FinishReason, error_reply};

/// A parsed chunk.
#[derive(Debug, Default)]
pub(super) struct Chunk {
    pub(super) piece: Piece,
    /// Why the server ended the answer before the model finished.
    pub(super) broken: Option<Broken>,
    /// The name of the model as reported by the server.
    pub(super) model: Option<String>,
    pub(super) usage: Reported,
    /// The service tier that the server says it used.
    pub(super) service_tier: Option<String>,
}

/// Why a server ended an incomplete answer.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Broken {
    /// A content filter.
    Filtered,
    /// An error; contains the server's name for it.
    Failed(String),
}

/// The usage reported by a server, possibly incomplete.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Reported {
    pub(super) prompt: Option<Tokens>,
    pub(super) completion: Option<Tokens>,
    pub(super) cached: Option<Tokens>,
    pub(super) cache_write: Option<Tokens>,
}

impl Reported {
    /// Merges a later report.
    pub(super) fn update(&mut self, later: Self) {
        self.prompt = later.prompt.or(self.prompt);
        self.completion = later.completion.or(self.completion);
        self.cached = later.cached.or(self.cached);
        self.cache_write = later.cache_write.or(self.cache_write);
    }
}

/// The error that a chunk contains instead of a piece.
pub(super) fn error(chunk: &Value) -> Option<&Value> {
    let told = match &chunk["error"] {
        Value::Null | Value::Bool(false) => None,
        Value::String(text) if text.is_empty() => None,
        Value::Object(members) if members.is_empty() => None,
        _ => Some(chunk),
    };
    let is_bare = chunk["object"] == "error"
        || (chunk.get("choices").is_none()
            && ["detail", "message"]
                .iter()
                .any(|name| chunk[name].is_string()));
    told.or(is_bare.then_some(chunk))
}

pub(super) fn read(chunk: &Value) -> Chunk {
    let usage = reported(&chunk["usage"]);
    let model = chunk["model"].as_str().filter(|name| !name.is_empty());
    let mut read = Chunk {
        usage,
        model: model.map(str::to_owned),
        service_tier: chunk["service_tier"].as_str().map(str::to_owned),
        ..Chunk::default()
    };
    // Only one answer was asked for.
    let choice = match &chunk["choices"] {
        Value::Array(choices) => choices.iter().find(|choice| choice.is_object()),
        choice @ Value::Object(_) => Some(choice),
        _ => None,
    };
    let Some(choice) = choice else {
        return read;
    };
    let whole = choice["message"].is_object();
    let said = if whole {
        &choice["message"]
    } else {
        &choice["delta"]
    };
    let piece = &mut read.piece;
    parts(&said["content"], &mut piece.text, &mut piece.thought);
    for name in ["reasoning_content", "reasoning", "thinking"] {
        if piece.thought.is_empty() {
            let mut words = String::new();
            parts(&said[name], &mut words, &mut piece.thought);
            piece.thought.push_str(&words);
        }
    }
    if piece.text.is_empty() {
        // The older completions' name.
        piece
            .text
            .push_str(choice["text"].as_str().unwrap_or_default());
    }
    piece
        .refusal
        .push_str(said["refusal"].as_str().unwrap_or_default());
    piece.calls = Call::of(said);
    piece.is_whole = whole;
    let reason = choice["finish_reason"].as_str().unwrap_or_default();
    match reason.to_ascii_lowercase().as_str() {
        // A whole answer need not say why it ended.
        "" => piece.finish = whole.then_some(FinishReason::Stop),
        "length" | "max_tokens" | "max_length" | "model_length" | "max_output_tokens" => {
            piece.finish = Some(FinishReason::Length);
        }
        "content_filter" | "safety" => read.broken = Some(Broken::Filtered),
        "error" | "abort" | "aborted" | "cancelled" | "canceled" | "timeout" => {
            read.broken = Some(Broken::Failed(error_reply::told(reason)));
        }
        _ => piece.finish = Some(FinishReason::Stop),
    }
    read
}

/// The content, which is text or a list of parts; parts that are thoughts are separated from the others.
fn parts(value: &Value, text: &mut String, thought: &mut String) {
    match value {
        Value::String(piece) => text.push_str(piece),
        Value::Array(list) => {
            for part in list {
                parts(part, text, thought);
            }
        }
        Value::Object(part) => {
            let kind = part.get("type").and_then(Value::as_str);
            let is_thought =
                kind.is_some_and(|kind| kind.contains("think") || kind.contains("reason"));
            let said = ["text", "content", "thinking"]
                .iter()
                .find_map(|name| part.get(*name));
            let mut piece = String::new();
            parts(said.unwrap_or(&Value::Null), &mut piece, thought);
            let place = if is_thought { thought } else { text };
            place.push_str(&piece);
        }
        _ => {}
    }
}

fn reported(usage: &Value) -> Reported {
    let count = |value: &Value| count(value).map(Tokens);
    let first = |names: &[&str]| names.iter().find_map(|name| count(&usage[name]));
    let details = |name: &str| count(&usage["prompt_tokens_details"][name]);
    // A prompt has tokens: a server that says otherwise has not counted yet.
    let counted = |tokens: &Tokens| *tokens > Tokens::ZERO;
    Reported {
        prompt: first(&["prompt_tokens", "input_tokens"]).filter(counted),
        completion: first(&["completion_tokens", "output_tokens"]).filter(counted),
        cached: details("cached_tokens")
            .or_else(|| first(&["cached_tokens", "prompt_cache_hit_tokens"])),
        // As OpenRouter and LiteLLM report it.
        cache_write: details("cache_write_tokens")
            .or_else(|| first(&["cache_creation_input_tokens"])),
    }
}

/// A model in a server's list.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Listed {
    pub(super) name: String,
    pub(super) window: Option<Tokens>,
}

/// The models in a list; `None` if it is not a list.
pub(super) fn models(text: &str) -> Option<Vec<Listed>> {
    let value: Value = serde_json::from_str(text).ok()?;
    let list = [&value, &value["data"], &value["models"]]
        .into_iter()
        .find_map(Value::as_array)?;
    let entry = |entry: &Value| {
        let mut names = ["id", "name", "model"].iter();
        let name = names.find_map(|name| entry[name].as_str());
        // What vLLM and several hosted services call the window.
        let windows = [
            "max_model_len",
            "context_length",
            "max_context_length",
            "context_window",
        ];
        let window = windows.iter().find_map(|name| count(&entry[name]));
        name.or(entry.as_str()).map(|name| Listed {
            name: name.to_owned(),
            window: window.filter(|tokens| *tokens > 0).map(Tokens),
        })
    };
    Some(list.iter().filter_map(entry).collect())
}

/// The entry that a name refers to. If the spelling differs, the spelling of the list is used.
pub(super) fn find<'a>(list: &'a [Listed], wanted: &str) -> Option<&'a Listed> {
    let small = wanted.to_lowercase();
    let is = |test: &dyn Fn(&str) -> bool| list.iter().find(|entry| test(&entry.name));
    is(&|name| name == wanted)
        .or_else(|| is(&|name| name.to_lowercase() == small))
        .or_else(|| is(&|name| name.strip_prefix("models/") == Some(wanted)))
}

/// Whether a list leaves open that the server has a model it does not list: by a pattern (`openai/*`), as a
/// variant (`name:free`) of a listed model, or because the list is empty.
pub(super) fn may_have(list: &[Listed], wanted: &str) -> bool {
    let matches = |pattern: &str| {
        pattern.split_once('*').is_some_and(|(start, end)| {
            wanted.len() >= start.len() + end.len()
                && wanted.starts_with(start)
                && wanted.ends_with(end)
        })
    };
    let base = wanted.rsplit_once([':', '@']).map(|(base, _)| base);
    list.is_empty()
        || list
            .iter()
            .any(|entry| matches(&entry.name) || base == Some(entry.name.as_str()))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn of(choice: Value) -> Chunk {
        read(&json!({"choices": [choice]}))
    }

    #[test]
    fn text_and_thoughts_are_found_in_every_form() {
        let cases = [
            (json!({"delta": {"content": "a"}}), "a", ""),
            (json!({"delta": {"content": null}}), "", ""),
            (json!({"delta": null}), "", ""),
            (json!({}), "", ""),
            (
                json!({"delta": {"content": [{"type": "text", "text": "a"}, "b"]}}),
                "ab",
                "",
            ),
            (
                json!({"delta": {"content": {"type": "text", "text": "a"}}}),
                "a",
                "",
            ),
            (
                json!({"delta": {"content": [{"type": "thinking", "thinking": [{"type": "text", "text": "hm"}]}, {"type": "text", "text": "a"}]}}),
                "a",
                "hm",
            ),
            (json!({"delta": {"reasoning_content": "hm"}}), "", "hm"),
            (
                json!({"delta": {"reasoning": "hm", "content": ""}}),
                "",
                "hm",
            ),
            (
                json!({"delta": {"reasoning": "hm", "reasoning_content": "hm"}}),
                "",
                "hm",
            ),
            (json!({"text": "a"}), "a", ""),
            (
                json!({"message": {"role": "assistant", "content": "a"}}),
                "a",
                "",
            ),
        ];
        for (choice, text, thought) in cases {
            let piece = of(choice.clone()).piece;
            assert_eq!(
                (piece.text.as_str(), piece.thought.as_str()),
                (text, thought),
                "{choice}"
            );
        }
    }

    #[test]
    fn the_end_is_what_a_server_calls_one() {
        let stop = Some(FinishReason::Stop);
        for (reason, finish, broken) in [
            (json!(null), None, None),
            (json!(""), None, None),
            (json!("stop"), stop, None),
            (json!("eos"), stop, None),
            (json!("end_turn"), stop, None),
            (json!("tool_calls"), stop, None),
            (json!("length"), Some(FinishReason::Length), None),
            (json!("MAX_TOKENS"), Some(FinishReason::Length), None),
            (json!("content_filter"), None, Some(Broken::Filtered)),
            (
                json!("error"),
                None,
                Some(Broken::Failed("error".to_owned())),
            ),
        ] {
            let chunk = of(json!({"delta": {}, "finish_reason": reason}));
            assert_eq!(
                (chunk.piece.finish, chunk.broken),
                (finish, broken),
                "{reason}"
            );
        }
    }

    #[test]
    fn usage_is_read_as_far_as_it_is_told() {
        let some = |tokens| Some(Tokens(tokens));
        for (usage, prompt, completion, cached) in [
            (
                json!({"prompt_tokens": 9, "completion_tokens": 2}),
                some(9),
                some(2),
                None,
            ),
            (
                json!({"prompt_tokens": 9.0, "completion_tokens": null}),
                some(9),
                None,
                None,
            ),
            (
                json!({"prompt_tokens": 9, "prompt_tokens_details": {"cached_tokens": null}}),
                some(9),
                None,
                None,
            ),
            (
                json!({"prompt_tokens": 9, "prompt_tokens_details": {"cached_tokens": 4}}),
                some(9),
                None,
                some(4),
            ),
            (
                json!({"input_tokens": 9, "output_tokens": 2}),
                some(9),
                some(2),
                None,
            ),
            (
                json!({"prompt_tokens": 0, "completion_tokens": 0}),
                None,
                None,
                None,
            ),
            (json!(null), None, None, None),
            (json!("many"), None, None, None),
        ] {
            let chunk = read(&json!({"choices": null, "usage": usage}));
            let expected = Reported {
                prompt,
                completion,
                cached,
                cache_write: None,
            };
            assert_eq!(chunk.usage, expected, "{usage}");
        }
    }

    #[test]
    fn what_was_written_to_a_cache_and_the_service_tier_are_read() {
        let details = json!({"cached_tokens": 4, "cache_write_tokens": 5});
        for usage in [
            json!({"prompt_tokens": 9, "prompt_tokens_details": details}),
            json!({"prompt_tokens": 9, "cache_creation_input_tokens": 5}),
        ] {
            let chunk = read(&json!({"choices": [], "service_tier": "flex", "usage": usage}));
            assert_eq!(chunk.usage.cache_write, Some(Tokens(5)), "{usage}");
            assert_eq!(chunk.service_tier.as_deref(), Some("flex"));
        }
    }

    #[test]
    fn an_error_is_told_from_a_member_that_says_there_is_none() {
        for chunk in [
            json!({"error": "no"}),
            json!({"error": {"message": "no"}, "choices": []}),
            json!({"object": "error", "message": "no"}),
            json!({"detail": "no"}),
        ] {
            assert!(error(&chunk).is_some(), "{chunk}");
        }
        for chunk in [
            json!({"error": null, "choices": []}),
            json!({"error": "", "choices": []}),
            json!({"error": {}, "choices": []}),
            json!({"choices": []}),
            json!({"usage": {}}),
        ] {
            assert!(error(&chunk).is_none(), "{chunk}");
        }
    }

    #[test]
    fn lists_of_models_are_read_in_every_form() {
        for list in [
            r#"{"data": [{"id": "m"}, {"id": null}]}"#,
            r#"{"models": [{"name": "m"}], "data": null}"#,
            r#"[{"id": "m"}]"#,
            r#"["m"]"#,
        ] {
            let names = models(list).unwrap();
            assert_eq!(names[0].name, "m", "{list}");
            assert_eq!(names.len(), 1, "{list}");
        }
        assert_eq!(models("{}"), None);
        assert_eq!(models("ok"), None);
    }

    #[test]
    fn a_name_is_found_in_another_spelling_and_behind_a_pattern() {
        let list = |names: &[&str]| -> Vec<Listed> {
            let listed = |name: &&str| Listed {
                name: (*name).to_owned(),
                window: None,
            };
            names.iter().map(listed).collect()
        };
        let names = list(&["Qwen/Coder", "models/gem", "openai/*"]);
        let found = |wanted| find(&names, wanted).map(|entry| entry.name.as_str());
        assert_eq!(found("qwen/coder"), Some("Qwen/Coder"));
        assert_eq!(found("gem"), Some("models/gem"));
        assert_eq!(found("openai/x"), None);
        assert!(may_have(&names, "openai/x") && may_have(&names, "Qwen/Coder:free"));
        assert!(!may_have(&names, "mistral/x"));
        assert!(may_have(&list(&["*"]), "any") && may_have(&[], "any"));
    }
}
