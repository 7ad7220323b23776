//! Tokenises code and prose for search: `validateEmail`, `validate_email` and "email validation" share a word.

/// The most characters of a word.
const WORD_CHARS_MAX: usize = 64;

/// The words of a text in lower case. Identifiers are split at `_`, capitals and
/// digits; an identifier of several parts is also a word itself. A plural `s` is removed.
pub(crate) fn words(text: &str) -> Vec<String> {
    let mut found = Vec::new();
    for identifier in text.split(|c: char| !c.is_alphanumeric() && c != '_') {
        let parts = parts(identifier);
        if parts.len() > 1 {
            found.push(parts.concat());
        }
        found.extend(parts);
    }
    found
}

fn parts(identifier: &str) -> Vec<String> {
    let mut parts: Vec<String> = Vec::new();
    let mut part = String::new();
    let mut before: Option<char> = None;
    let mut rest = identifier.chars().peekable();
    while let Some(c) = rest.next() {
        let begins = before.is_some_and(|before| {
            (before.is_lowercase() && c.is_uppercase())
                || before.is_numeric() != c.is_numeric()
                // The last capital of several begins the next part: `HTTPServer`.
                || (before.is_uppercase()
                    && c.is_uppercase()
                    && rest.peek().is_some_and(|next| next.is_lowercase()))
        });
        if c == '_' || begins {
            parts.extend(word(&part));
            part.clear();
        }
        if c == '_' {
            before = None;
        } else {
            part.push(c);
            before = Some(c);
        }
    }
    parts.extend(word(&part));
    parts
}

fn word(part: &str) -> Option<String> {
    let mut word: String = part.to_lowercase().chars().take(WORD_CHARS_MAX).collect();
    let is_plural = word.len() > 3 && word.ends_with('s') && !word.ends_with("ss");
    if is_plural {
        word.pop();
    }
    (!word.is_empty()).then_some(word)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn identifiers_are_taken_apart_and_kept_whole() {
        for (text, expected) in [
            (
                "validate_email",
                &["validateemail", "validate", "email"][..],
            ),
            ("validateEmail()", &["validateemail", "validate", "email"]),
            ("HTTPServer2", &["httpserver2", "http", "server", "2"]),
            ("__init__", &["init"]),
            ("email validation, rules!", &["email", "validation", "rule"]),
            ("class Größe: pass", &["class", "größe", "pass"]),
            ("", &[]),
            ("___ -- ...", &[]),
        ] {
            assert_eq!(words(text), expected, "{text}");
        }
    }
}
