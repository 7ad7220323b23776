//! Parses the error replies of servers, in whatever form they come, into a bounded message and its meaning. Servers
//! agree on no format, so all known ones are understood.

use std::time::Duration;

use journeyman_event::{Tokens, printable};
use serde_json::Value;

use crate::Error;

/// The longest error message kept, in characters.
const WORDS_MAX: usize = 500;
/// The smallest number that is taken for the size of a window, unless it is clearly a number of tokens.
const WINDOW_MIN: u64 = 256;
/// Words that may stand between such a phrase and the number that belongs to it.
const PLAIN: &[&str] = &["is", "of", "only", "just", "size"];

/// Phrases of temporary errors, for which waiting helps whatever the status code is.
const PASSING: &[&str] = &[
    "loading",
    "unloaded",
    "not loaded",
    "no models loaded",
    "overloaded",
    "temporarily",
    "try again",
    "rate limit",
];
/// Phrases of errors that only paying helps against.
const UNPAID: &[&str] = &["insufficient_quota", "billing"];
/// Phrases of errors about prompts that are too long.
const TOO_LONG: &[&str] = &[
    "context length",
    "context_length",
    "context window",
    "context size",
    "context_size",
    "context the overflows",
    "context overflow",
    "maximum context",
    "maximum model length",
    "max_model_len",
    "maximum input length",
    "maximum encoder input length",
    "maximum sequence length",
    "max_seq_len",
    "max_input_len",
    "max_input_length",
    "max_total_tokens",
    "max_num_tokens",
    "must have less than",
    "prompt is too long",
    "prompt too long",
    "prompt is longer",
    "input is too long",
    "input token count",
    "input tokens exceed",
    "reduce the length",
    "max_new_tokens` must be",
    "request too large",
    "too large to process",
    "too many tokens",
    "n_ctx",
];
/// Phrases that precede the size of the window, the most reliable first.
const BEFORE_WINDOW: &[&str] = &[
    "maximum context length",
    "context length",
    "context window",
    "context size",
    "maximum model length",
    "maximum sequence length",
    "max_model_len",
    "max_seq_len",
    "max_input_len",
    "max_total_tokens",
    "max_num_tokens",
    "n_ctx",
    "must be <=",
    "must have less than",
    "cannot exceed",
    "too large for model with",
    "maximum encoder input length",
    "maximum number of tokens allowed",
    "maximum input length",
    "limit",
    " > ",
];

/// A parsed error reply.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct ErrorReply {
    /// The HTTP status code, or the code of an error inside a stream.
    pub(crate) status: u16,
    /// Whether the server sent this code; otherwise it was derived from the message.
    is_told: bool,
    /// The error message, truncated and on one line.
    pub(crate) words: String,
    /// The request parameter that the server blames.
    pub(crate) parameter: Option<String>,
    /// The size of the prompt as counted by the server, in tokens.
    pub(crate) prompt: Option<Tokens>,
    /// How long the server asks to wait.
    pub(crate) retry_after: Option<Duration>,
    /// The whole reply in lower case, for searching.
    text: String,
}

impl ErrorReply {
    /// Parses the body of a response with this status code.
    pub(crate) fn of(status: u16, body: &str) -> Self {
        match serde_json::from_str::<Value>(body) {
            Ok(value) => Self::read((status, true), &value),
            Err(_) => Self {
                status,
                is_told: true,
                words: told(body),
                parameter: None,
                prompt: None,
                retry_after: None,
                text: body.to_lowercase(),
            },
        }
    }

    /// Parses an error inside a stream whose status code was 200.
    pub(crate) fn in_stream(error: &Value) -> Self {
        Self::read(status_in(error), error)
    }

    /// An error for a redirect that is not followed.
    pub(crate) fn redirected(status: u16, to: &str) -> Self {
        let words = told(&format!("it has moved to {to}; name that with --model-url"));
        Self {
            status,
            is_told: true,
            text: String::new(),
            words,
            parameter: None,
            prompt: None,
            retry_after: None,
        }
    }

    /// An error for an endless redirect; `how` describes it.
    pub(crate) fn redirect_loop(how: &str) -> Self {
        Self {
            status: 308,
            is_told: false,
            text: String::new(),
            words: told(&format!("{how}; name another address with --model-url")),
            parameter: None,
            prompt: None,
            retry_after: None,
        }
    }

    fn read((status, is_told): (u16, bool), value: &Value) -> Self {
        let error = value.get("error").filter(|error| error.is_object());
        let error = error.unwrap_or(value);
        let parameter = error.get("param").and_then(Value::as_str);
        let prompt = error.get("n_prompt_tokens").and_then(Value::as_u64);
        Self {
            status,
            is_told,
            words: told(&message_in(value)),
            parameter: parameter.map(str::to_owned),
            prompt: prompt.map(Tokens),
            retry_after: None,
            text: value.to_string().to_lowercase(),
        }
    }

    /// Whether waiting may help.
    pub(crate) fn is_transient(&self) -> bool {
        match self.status {
            408 | 425 | 429 | 499 => !self.has(UNPAID),
            401..=403 | 501 | 505 | 506 | 510 | 511 => false,
            500.. => true,
            400.. => self.has(PASSING),
            _ => false,
        }
    }

    /// Whether the prompt is too long.
    pub(crate) fn is_too_long(&self) -> bool {
        self.status == 413 || (self.status != 429 && self.has(TOO_LONG))
    }

    /// The size of the window, if the reply contains it.
    pub(crate) fn window(&self) -> Option<Tokens> {
        let (window, is_plain) = BEFORE_WINDOW.iter().find_map(|before| {
            let mut places = self.text.match_indices(before);
            places.find_map(|(at, _)| {
                let after = &self.text[at + before.len()..];
                Some((first_number(after)?, begins_with_tokens(after)))
            })
        })?;
        (window >= WINDOW_MIN || (is_plain && window > 0)).then_some(Tokens(window))
    }

    /// Whether one of these lower-case phrases occurs.
    pub(crate) fn has(&self, any: &[&str]) -> bool {
        any.iter().any(|words| self.text.contains(words))
    }

    /// Where `name` occurs as a whole word, not as part of a longer name.
    pub(crate) fn position(&self, name: &str) -> Option<usize> {
        let is_part = |c: Option<char>| c.is_some_and(|c| c.is_alphanumeric() || c == '_');
        let mut found = self.text.match_indices(name);
        found.find_map(|(at, _)| {
            let before = self.text[..at].chars().next_back();
            let after = self.text[at + name.len()..].chars().next();
            (!is_part(before) && !is_part(after)).then_some(at)
        })
    }

    /// Converts to an error, for a prompt that is not too long.
    pub(crate) fn into_error(self, url: &str) -> Error {
        if self.is_transient() {
            return Error::Failing {
                url: url.to_owned(),
                status: self.status,
                is_told: self.is_told,
                message: self.words,
                retry_after: self.retry_after,
            };
        }
        Error::Rejected {
            status: self.status,
            is_told: self.is_told,
            message: self.words,
            named_in_address: false,
        }
    }
}

/// Whether a text starts with a number of tokens, such as " is 100 tokens".
fn begins_with_tokens(text: &str) -> bool {
    let start = text.find(|c: char| c.is_ascii_digit());
    start.is_some_and(|start| {
        let between = text[..start].split(|c: char| !c.is_alphanumeric());
        let mut between = between.filter(|word| !word.is_empty());
        let unit = text[start..].trim_start_matches(|c: char| c.is_ascii_digit() || c == ',');
        between.all(|word| PLAIN.contains(&word)) && unit.trim_start().starts_with("token")
    })
}

/// The first number in a text, with or without thousands separators.
fn first_number(text: &str) -> Option<u64> {
    let start = text.find(|c: char| c.is_ascii_digit())?;
    let digits = text[start..]
        .chars()
        .take_while(|c| c.is_ascii_digit() || *c == ',');
    let digits: String = digits.filter(char::is_ascii_digit).collect();
    digits.parse().ok()
}

/// The status code of an error inside an answer, and whether the server sent it (otherwise it was derived from
/// the message).
fn status_in(error: &Value) -> (u16, bool) {
    let of = error.get("error").filter(|inner| inner.is_object());
    let of = of.unwrap_or(error);
    let number = |name: &str| -> Option<u16> {
        let value = of.get(name)?;
        let number = value.as_u64().or_else(|| value.as_str()?.parse().ok())?;
        u16::try_from(number)
            .ok()
            .filter(|n| (400..600).contains(n))
    };
    if let Some(status) = ["code", "status", "status_code"]
        .into_iter()
        .find_map(number)
    {
        return (status, true);
    }
    let text = of.to_string().to_lowercase();
    let meant: &[(&str, u16)] = &[
        ("rate_limit", 429),
        ("insufficient_quota", 429),
        ("authentication", 401),
        ("invalid_api_key", 401),
        ("invalid_request", 400),
        ("bad_request", 400),
        ("badrequest", 400),
    ];
    let found = meant.iter().find(|(word, _)| text.contains(word));
    (found.map_or(500, |(_, status)| *status), false)
}

/// Extracts the message for a person from an error's JSON.
fn message_in(value: &Value) -> String {
    match value {
        Value::String(text) => match serde_json::from_str::<Value>(text) {
            // An error of the server behind, handed on as it came.
            Ok(inner) if inner.is_object() => message_in(&inner),
            _ => text.clone(),
        },
        Value::Array(items) => {
            let items: Vec<String> = items.iter().take(3).map(message_in).collect();
            items.join("; ")
        }
        Value::Object(members) => {
            let names = ["error", "message", "detail", "msg", "title", "type", "code"];
            let message = names.iter().filter_map(|name| members.get(*name));
            let message = message.map(message_in).find(|text| !text.is_empty());
            let mut message = message.unwrap_or_default();
            if let Some(Value::Array(place)) = members.get("loc") {
                let place: Vec<String> = place.iter().map(message_in).collect();
                message = format!("{}: {message}", place.join("."));
            }
            if let Some(raw) = members.get("metadata").and_then(|more| more.get("raw")) {
                message = format!("{message}: {}", message_in(raw));
            }
            message
        }
        Value::Number(number) => number.to_string(),
        Value::Null | Value::Bool(_) => String::new(),
    }
}

/// Shortens an error message for display: one line, bounded length, and only the title of an HTML page.
pub(crate) fn told(text: &str) -> String {
    let start: String = text.chars().take(REFUSAL_CHARS).collect();
    let small = start.to_ascii_lowercase();
    let is_page = ["<!doctype", "<html"]
        .iter()
        .any(|tag| small.trim_start().starts_with(tag));
    let title = small.find("<title>").zip(small.find("</title>"));
    let words = match title {
        Some((from, to)) if is_page && from < to => {
            format!("a page of HTML, {:?}", start[from + 7..to].trim())
        }
        _ if is_page => "a page of HTML".to_owned(),
        _ => start,
    };
    let words = printable(&words);
    let words: Vec<&str> = words.split_whitespace().collect();
    let words = words.join(" ");
    if words.is_empty() {
        return "it gives no reason".to_owned();
    }
    match words.char_indices().nth(WORDS_MAX) {
        Some((end, _)) => format!("{} ...", &words[..end]),
        None => words,
    }
}

/// How many characters are searched for phrases.
const REFUSAL_CHARS: usize = 64 * 1024;

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn the_words_are_found_in_every_shape_and_bounded() {
        let long = "x".repeat(2_000);
        let cases = [
            (r#"{"error":{"message":"no"}}"#, "no"),
            (r#"{"error":"no"}"#, "no"),
            (r#"{"message":"no","object":"error"}"#, "no"),
            (r#"{"detail":"Not Found"}"#, "Not Found"),
            (
                r#"{"detail":[{"loc":["body","seed"],"msg":"Extra inputs"}]}"#,
                "body.seed: Extra inputs",
            ),
            (
                r#"{"error":{"message":"Provider returned error","metadata":{"raw":"{\"error\":\"full\"}"}}}"#,
                "Provider returned error: full",
            ),
            (r#"[{"error":{"message":"no"}}]"#, "no"),
            ("plain\n words\u{1b}[1m", "plain words"),
            (
                "<html><head><title>502 Bad Gateway</title>",
                "a page of HTML, \"502 Bad Gateway\"",
            ),
            ("<!DOCTYPE html><p>x", "a page of HTML"),
            ("", "it gives no reason"),
            ("{}", "it gives no reason"),
        ];
        for (body, words) in cases {
            assert_eq!(ErrorReply::of(400, body).words, words, "{body}");
        }
        assert!(ErrorReply::of(400, &long).words.len() < WORDS_MAX + 5);
    }

    #[test]
    fn a_prompt_too_long_is_known_in_the_words_of_each_server_with_the_window_it_tells() {
        let cases = [
            (
                "OpenAI, vLLM",
                "This model's maximum context length is 16384 tokens. However, you requested 19591 tokens (9591 in the messages, 10000 in the completion). Please reduce the length of the messages or completion.",
                Some(16_384),
            ),
            (
                "OpenAI, vLLM",
                "This model's maximum context length is 100 tokens. However, you requested 900 tokens.",
                Some(100),
            ),
            (
                "OpenAI, vLLM",
                "The prompt is above the context window by 100 tokens.",
                None,
            ),
            (
                "vLLM",
                "'max_tokens' or 'max_completion_tokens' is too large: 30000. This model's maximum context length is 32768 tokens and your request has 5000 input tokens (30000 > 32768 - 5000).",
                Some(32_768),
            ),
            (
                "llama.cpp",
                "request (9000 tokens) exceeds the available context size (8192 tokens), try increasing it",
                Some(8_192),
            ),
            (
                "LM Studio",
                "Trying to keep the first 15857 tokens when context the overflows. However, the model is loaded with context length of only 4096 tokens, which is not enough.",
                Some(4_096),
            ),
            (
                "LM Studio",
                "Reached context length of 4096 tokens with model (arch: qwen3vlmoe) that does not currently support mid-generation context overflow.",
                Some(4_096),
            ),
            (
                "SGLang",
                "The input (9000 tokens) is longer than the model's context length (8,192 tokens).",
                Some(8_192),
            ),
            (
                "TGI",
                "Input validation error: `inputs` tokens + `max_new_tokens` must be <= 4096. Given: 5000 `inputs` tokens and 20 `max_new_tokens`",
                Some(4_096),
            ),
            (
                "Anthropic",
                "prompt is too long: 204866 tokens > 200000 maximum",
                Some(200_000),
            ),
            (
                "Gemini",
                "The input token count (1200000) exceeds the maximum number of tokens allowed (1048576).",
                Some(1_048_576),
            ),
            (
                "Groq",
                "Request too large for model `x` on tokens per minute (TPM): Limit 6000, Requested 8000",
                Some(6_000),
            ),
            (
                "vLLM's ancestors, Infinity",
                "The input (2050 tokens) is longer than the maximum sequence length of this model: 1024",
                Some(1_024),
            ),
            (
                "TGI",
                "Input validation error: `inputs` must have less than 1024 tokens. Given: 2050",
                Some(1_024),
            ),
            (
                "TensorRT-LLM",
                "The sum of prompt length (2050.0) and max_tokens (500) should not exceed max_seq_len (1024)",
                Some(1_024),
            ),
            (
                "TensorRT-LLM",
                "Prompt length (2050) exceeds maximum input length (1024). Set truncate_prompt to true",
                Some(1_024),
            ),
            (
                "Mistral",
                "Prompt contains 40000 tokens and 0 draft tokens, too large for model with 32768 maximum context length",
                Some(32_768),
            ),
            (
                "Cohere",
                "too many tokens: total number of tokens in the prompt cannot exceed 4081 - received 5000",
                Some(4_081),
            ),
            (
                "TabbyAPI",
                "Prompt length 5000 is greater than max_seq_len 4096",
                Some(4_096),
            ),
            (
                "another",
                "the prompt is longer than the model can read",
                None,
            ),
        ];
        for (server, message, window) in cases {
            let reply = ErrorReply::of(400, &json!({"error": {"message": message}}).to_string());
            assert!(reply.is_too_long(), "{server}");
            assert_eq!(reply.window(), window.map(Tokens), "{server}");
        }
        let rate = "Rate limit reached on tokens per min (TPM): Limit 30000, Used 29000";
        assert!(!ErrorReply::of(429, rate).is_too_long());
        assert!(!ErrorReply::of(400, "unknown parameter: seed").is_too_long());
    }

    #[test]
    fn what_may_pass_is_told_from_what_cannot() {
        let passes = [
            (500, "boom"),
            (502, ""),
            (503, "Loading model"),
            (408, ""),
            (429, "slow down"),
            (520, ""),
            (524, ""),
            (529, "overloaded"),
            (
                400,
                "Model was unloaded while the request was still in queue",
            ),
            (404, "No models loaded. Please load a model"),
        ];
        for (status, body) in passes {
            assert!(
                ErrorReply::of(status, body).is_transient(),
                "{status} {body}"
            );
        }
        let stays = [
            (400, "bad"),
            (401, "try again with a key"),
            (402, "pay"),
            (403, ""),
            (404, "no such model"),
            (422, ""),
            (
                429,
                r#"{"error":{"code":"insufficient_quota","message":"You exceeded your quota"}}"#,
            ),
            (501, ""),
            (301, ""),
        ];
        for (status, body) in stays {
            assert!(
                !ErrorReply::of(status, body).is_transient(),
                "{status} {body}"
            );
        }
    }

    #[test]
    fn the_code_of_an_error_inside_a_stream_counts_as_its_status() {
        let cases = [
            (json!({"error": {"code": 429, "message": "x"}}), 429),
            (json!({"error": {"code": "502"}}), 502),
            (json!({"code": 400, "message": "x"}), 400),
            (json!({"error": {"type": "rate_limit_error"}}), 429),
            (
                json!({"error": {"type": "BadRequestError", "code": null}}),
                400,
            ),
            (json!("out of memory"), 500),
            (json!({"error": {"code": 7}}), 500),
        ];
        for (error, status) in cases {
            let reply = ErrorReply::in_stream(&error);
            assert_eq!(reply.status, status, "{error}");
            // A status that the server did not send is not reported.
            let told = reply.into_error("u").to_string();
            let names = error.to_string().contains(&status.to_string());
            assert_eq!(told.contains(&status.to_string()), names, "{told}");
        }
    }
}
