//! Makes text from models, tools and users safe to print or to store in an event.

use std::borrow::Cow;

/// The last `max` characters of `text`, after trailing white space is removed.
pub fn last_chars(text: &str, max: usize) -> &str {
    let text = text.trim_end();
    let skip = text.chars().count().saturating_sub(max);
    text.char_indices()
        .nth(skip)
        .map_or("", |(at, _)| &text[at..])
}

/// The name that `value` serialises to in events, such as `given_tests`. `None` for values that do not
/// serialise to a single string.
pub fn word(value: &impl serde::Serialize) -> Option<String> {
    let value = serde_json::to_value(value).ok()?;
    value.as_str().map(str::to_owned)
}

/// Removes escape sequences, control characters and characters that change the writing direction. Line breaks
/// and tabs are kept.
pub fn printable(text: &str) -> Cow<'_, str> {
    if !text
        .chars()
        .any(|c| c != '\n' && c != '\t' && is_control(c))
    {
        return Cow::Borrowed(text);
    }
    let mut shown = String::new();
    let mut rest = text.chars().peekable();
    while let Some(c) = rest.next() {
        match (c, rest.peek()) {
            ('\u{1b}', Some('[')) => {
                rest.next();
                while rest.next_if(|c| (' '..='?').contains(c)).is_some() {}
                rest.next_if(|c| ('@'..='~').contains(c));
            }
            ('\u{1b}', Some(']' | 'P' | '^' | '_')) => {
                // The contents of such a string are not meant to be displayed, on any of its lines.
                while rest.next_if(|&c| c == '\t' || !is_control(c)).is_some() {}
            }
            ('\r', next) if next != Some(&'\n') => shown.push('\n'),
            ('\n' | '\t', _) => shown.push(c),
            _ if is_control(c) => {}
            _ => shown.push(c),
        }
    }
    Cow::Owned(shown)
}

fn is_control(c: char) -> bool {
    c.is_control() || matches!(c, '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_that_controls_a_terminal_is_left() {
        for (text, shown) in [
            ("plain\n\ttext", "plain\n\ttext"),
            ("\u{1b}[31;1mred\u{1b}[0m", "red"),
            ("a\u{1b}]0;title\u{7}b", "ab"),
            ("a\u{1b}]8;;x\u{1b}\\b", "a\\b"),
            ("a\u{1b}cb\u{9b}2J\u{8}\u{7f}", "acb2J"),
            ("one\rtwo\r\nthree", "one\ntwo\nthree"),
            ("a\u{202e}b\u{1b}", "ab"),
            ("größe 💡", "größe 💡"),
        ] {
            assert_eq!(printable(text), shown, "{text:?}");
        }
    }
}
