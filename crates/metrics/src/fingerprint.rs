//! Which errors are similar: a hash of the kind, the endpoint and the message without names, numbers and times.

use regex_automata::meta::{BuildError, Regex};
use sha2::{Digest, Sha256};

/// The version of the rules below. Groups of another version are other groups.
pub const VERSION: u32 = 1;
/// How many characters of a message are considered.
const MESSAGE_MAX: usize = 2_000;

/// What is replaced: the name that is inserted, and the pattern. At each place of a message the patterns are tried in
/// this order. The list is Sentry's, as far as it fits.
const RULES: &[(&str, &str)] = &[
    (
        "email",
        r"[A-Za-z0-9.!#$%&'*+/=?^_`{|}~-]+@[A-Za-z0-9-]+(?:\.[A-Za-z0-9-]+)+",
    ),
    (
        "url",
        r#"\b(?:https?|wss?|ftp|file|ollama|postgres(?:ql)?|redis|unix)://[^\s"'<>]+"#,
    ),
    (
        "uuid",
        r"\b[0-9a-fA-F]{8}-[0-9a-fA-F]{4}-[0-9a-fA-F]{4}-[0-9a-fA-F]{4}-[0-9a-fA-F]{12}\b",
    ),
    (
        "traceparent",
        r"\b[0-9a-f]{2}-[0-9a-f]{32}-[0-9a-f]{16}-[0-9a-f]{2}\b",
    ),
    (
        "date",
        r"\b\d{4}-\d{2}-\d{2}(?:[T ]\d{2}:\d{2}(?::\d{2}(?:\.\d+)?)?(?:Z|[+-]\d{2}:?\d{2})?)?",
    ),
    (
        "ip",
        r"\b(?:\d{1,3}\.){3}\d{1,3}(?::\d{1,5})?\b|\[[0-9a-fA-F:]*:[0-9a-fA-F:]+\](?::\d{1,5})?|\b(?:[0-9a-fA-F]{1,4}:){3,7}[0-9a-fA-F]{1,4}\b",
    ),
    (
        "host",
        r"\b(?:localhost(?::\d{1,5})?|(?:[a-z0-9](?:[a-z0-9-]*[a-z0-9])?\.)+(?:com|net|org|io|dev|ai|edu|gov|info|local|internal|lan)(?::\d{1,5})?)\b",
    ),
    (
        "id",
        r"\b(?:req|chatcmpl|cmpl|resp|msg|run|call|task|t)[-_][A-Za-z0-9]{6,}\b",
    ),
    (
        "hash",
        r"\b(?:b3:|sha256:)?(?:[0-9a-fA-F]{64}|[0-9a-fA-F]{40}|[0-9a-fA-F]{32})\b",
    ),
    (
        "hex",
        r"\b0[xX][0-9a-fA-F]+\b|\b[0-9a-f]{6,}(?:[0-9][a-f]|[a-f][0-9])[0-9a-f]*\b|\b[0-9a-f]*(?:[0-9][a-f]|[a-f][0-9])[0-9a-f]{6,}\b",
    ),
    (
        "duration",
        r"\b\d+(?:\.\d+)?\s?(?:ns|us|µs|ms|s|sec|secs|seconds?|min|mins|minutes?|h|hours?|d|days?)\b",
    ),
    ("quoted", r#""[^"\n]*"|'[^'\n]*'|`[^`\n]*`"#),
    ("number", r"[-+]?\b\d+(?:\.\d+)?(?:[eE][-+]?\d+)?%?"),
];

/// The first `chars` characters of a text.
pub(crate) fn cut(text: &str, chars: usize) -> &str {
    if text.len() <= chars {
        return text; // no character is shorter than a byte
    }
    let end = text.char_indices().nth(chars);
    end.map_or(text, |(end, _)| &text[..end])
}

/// Bytes as hexadecimal digits.
pub(crate) fn hex(bytes: &[u8]) -> String {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    let mut text = String::with_capacity(2 * bytes.len());
    for byte in bytes {
        for digit in [byte >> 4, byte & 15] {
            text.push(char::from(DIGITS[usize::from(digit)]));
        }
    }
    text
}

/// Makes messages equal that differ only in names, numbers and times.
#[derive(Clone, Debug)]
pub struct Normaliser(Regex);

impl Normaliser {
    /// Compiles the rules of [`VERSION`]. An error would be a defect in them.
    pub fn new() -> Result<Self, Box<BuildError>> {
        let patterns: Vec<&str> = RULES.iter().map(|(_, pattern)| *pattern).collect();
        Ok(Self(Regex::new_many(&patterns)?))
    }

    /// The message with each match of a rule replaced by its name, in one pass: inserted names are not matched again.
    pub fn normalise(&self, message: &str) -> String {
        let message = cut(message, MESSAGE_MAX).trim();
        let (mut normalised, mut from) = (String::with_capacity(message.len()), 0);
        for found in self.0.find_iter(message) {
            let (name, _) = RULES[found.pattern().as_usize()];
            normalised.push_str(&message[from..found.start()]);
            normalised.extend(["<", name, ">"]);
            from = found.end();
        }
        normalised.push_str(&message[from..]);
        normalised
    }

    /// The fingerprint of an error, 64 hexadecimal digits, and its normalised message.
    pub fn fingerprint(&self, error: &str, endpoint: &str, message: &str) -> (String, String) {
        let message = self.normalise(message);
        let mut hash = Sha256::new();
        for part in [&VERSION.to_string(), error, endpoint, &message] {
            hash.update(part.as_bytes());
            hash.update([0]);
        }
        (hex(&hash.finalize()), message)
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn what_differs_from_case_to_case_is_replaced_by_what_it_is() {
        let normaliser = Normaliser::new().unwrap();
        for (message, normalised) in [
            ("mail to ada@example.com failed", "mail to <email> failed"),
            (
                "cannot reach http://10.0.0.1:8080/v1?key=abc: refused",
                "cannot reach <url> refused",
            ),
            ("no route to 10.0.0.7:443", "no route to <ip>"),
            ("no route to [fe80::1]:80", "no route to <ip>"),
            ("lookup of db-7.internal failed", "lookup of <host> failed"),
            ("task 0192f3a4-5b6c-7d8e-9f01-23456789abcd", "task <uuid>"),
            (
                "in 00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
                "in <traceparent>",
            ),
            (
                "request req_a1B2c3D4 and chatcmpl-9XyZ12345",
                "request <id> and <id>",
            ),
            (
                "blob b3:f09a539cb6199637eb5aee9c03ded8b57c2f275ebe1bd89c71be2b35ac345e86",
                "blob <hash>",
            ),
            (
                "at 2026-11-29T18:43:21.5Z and on 2026-11-30",
                "at <date> and on <date>",
            ),
            (
                "timed out after 30 s, then 1.5ms",
                "timed out after <duration>, then <duration>",
            ),
            ("at 0xDEADBEEF or deadbee1f2", "at <hex> or <hex>"),
            (
                "needs 8192 tokens, has -3.5e7, 42%",
                "needs <number> tokens, has <number>, <number>",
            ),
            (
                "no model \"qwen 7b\" or 'x'",
                "no model <quoted> or <quoted>",
            ),
            ("nothing to see", "nothing to see"),
        ] {
            assert_eq!(normaliser.normalise(message), normalised);
        }
    }

    #[test]
    fn errors_are_the_same_where_type_endpoint_and_message_are() {
        let normaliser = Normaliser::new().unwrap();
        let of = |error: &str, endpoint: &str, message: &str| {
            normaliser.fingerprint(error, endpoint, message).0
        };
        let one = of(
            "timeout",
            "workflow/code",
            "no answer after 30 s from 10.0.0.1",
        );
        assert_eq!(one.len(), 64);
        assert_eq!(
            one,
            of(
                "timeout",
                "workflow/code",
                "no answer after 12 s from 10.0.0.9"
            )
        );
        assert_ne!(
            one,
            of(
                "timeout",
                "workflow/plan",
                "no answer after 30 s from 10.0.0.1"
            )
        );
        assert_ne!(
            one,
            of(
                "refused",
                "workflow/code",
                "no answer after 30 s from 10.0.0.1"
            )
        );
        assert_ne!(one, of("timeout", "workflow/code", "no answer at all"));
    }

    #[test]
    fn a_message_of_any_length_and_any_bytes_is_taken() {
        let normaliser = Normaliser::new().unwrap();
        let long = "1 ä \u{0} ".repeat(100_000);
        assert!(normaliser.normalise(&long).len() < 20_000);
    }
}
