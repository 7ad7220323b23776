//! Optional request parameters, which some servers or models reject. A parameter that was rejected once is no
//! longer sent.

use crate::error_reply::ErrorReply;

/// A request parameter that a server may reject.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Parameter {
    Seed,
    Temperature,
    Stop,
    /// Asks for the usage. Without it the usage is estimated.
    StreamOptions,
    /// The JSON schema. Without it callers parse the answer leniently.
    Schema,
    /// Asks for streaming. Without it the answer arrives whole.
    Stream,
    /// Tells the model not to think, through a switch of its chat template.
    Thinking,
    /// Newer servers want `max_completion_tokens` instead.
    MaxTokens,
    /// Without it the received tokens are counted here.
    MaxCompletionTokens,
    /// The system prompt. Some chat templates do not support one; its text is then put in front of the first
    /// message.
    System,
}

/// The names by which error messages refer to each parameter.
const NAMES: &[(Parameter, &[&str])] = &[
    (Parameter::Seed, &["seed"]),
    (Parameter::Temperature, &["temperature"]),
    (Parameter::Stop, &["stop"]),
    (
        Parameter::StreamOptions,
        &["stream_options", "include_usage"],
    ),
    (
        Parameter::Schema,
        &[
            "response_format",
            "json_schema",
            "json schema",
            "schema",
            "grammar",
            "structured output",
            "structured outputs",
            "guided",
            "json mode",
        ],
    ),
    (
        Parameter::Thinking,
        &["chat_template_kwargs", "enable_thinking"],
    ),
    (Parameter::Stream, &["stream", "streaming"]),
    (Parameter::MaxTokens, &["max_tokens"]),
    (Parameter::MaxCompletionTokens, &["max_completion_tokens"]),
    (
        Parameter::System,
        &[
            "system role",
            "role system",
            "system message",
            "system prompt",
            "roles must alternate",
        ],
    ),
];

/// Which parameter of the request an error refers to: by the error's own member for it, or else the first one
/// named in the message.
pub(super) fn named(reply: &ErrorReply, has: impl Fn(Parameter) -> bool) -> Option<Parameter> {
    let by_refusal = match reply.status {
        401..=403 | 404 | 408 | 413 | 425 | 429 => return None,
        400..=499 | 501 => true,
        // Templates and grammars fail so in some servers; other words mean other things there.
        500 => false,
        _ => return None,
    };
    let can_be = |parameter: Parameter| {
        let fits = match parameter {
            Parameter::Schema | Parameter::System => true,
            // Many messages speak of a stream.
            Parameter::Stream => {
                by_refusal && reply.has(&["support", "verified", "allow", "permit"])
            }
            _ => by_refusal,
        };
        fits && has(parameter)
    };
    let of = |(parameter, names): &(Parameter, &[&str])| {
        let exact = reply
            .parameter
            .as_deref()
            .is_some_and(|name| names.contains(&name));
        let positions = names.iter().filter_map(|name| reply.position(name));
        let position = if exact { Some(0) } else { positions.min() };
        position
            .filter(|_| can_be(*parameter))
            .map(|at| (!exact, at, *parameter))
    };
    let found = NAMES.iter().filter_map(of);
    let first = found.min_by_key(|(inexact, at, _)| (*inexact, *at));
    first.map(|(_, _, parameter)| parameter)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_refusal_names_what_is_left_out() {
        use Parameter::{
            MaxTokens, Schema, Seed, Stream, StreamOptions, System, Temperature, Thinking,
        };
        let cases = [
            (
                400,
                "Unsupported parameter: 'max_tokens' is not supported with this model. Use 'max_completion_tokens' instead.",
                Some(MaxTokens),
            ),
            (
                400,
                "Unsupported value: 'temperature' does not support 0.2 with this model. Only the default (1) value is supported.",
                Some(Temperature),
            ),
            (
                400,
                "[{'type': 'extra_forbidden', 'loc': ('body', 'stream_options'), 'msg': 'Extra inputs are not permitted', 'input': {'include_usage': True}}]",
                Some(StreamOptions),
            ),
            (
                422,
                "body -> seed\n  Extra inputs are not permitted (type=extra_forbidden)",
                Some(Seed),
            ),
            (
                400,
                "openai does not support parameters: ['seed'], for model=x",
                Some(Seed),
            ),
            (400, "'response_format.type' must be 'text'", Some(Schema)),
            (
                400,
                "response_format type json_schema is not supported",
                Some(Schema),
            ),
            (500, "failed to parse grammar", Some(Schema)),
            (400, "System role not supported", Some(System)),
            (500, "System role not supported", Some(System)),
            (
                400,
                "Your organization must be verified to stream this model.",
                Some(Stream),
            ),
            (
                400,
                "Unrecognized request argument supplied: chat_template_kwargs",
                Some(Thinking),
            ),
            (400, "the stream broke", None),
            (500, "temperature of the machine is too high", None),
            (400, "seedling", None),
            (401, "seed", None),
            (429, "max_tokens", None),
            (400, "bad request", None),
        ];
        for (status, message, expected) in cases {
            let reply = ErrorReply::of(status, &json!({"error": {"message": message}}).to_string());
            assert_eq!(named(&reply, |_| true), expected, "{status} {message}");
        }
        let body = json!({"error": {"message": "seed or temperature", "param": "temperature"}});
        let reply = ErrorReply::of(400, &body.to_string());
        assert_eq!(named(&reply, |_| true), Some(Temperature));
        assert_eq!(named(&reply, |parameter| parameter == Seed), Some(Seed));
    }
}
