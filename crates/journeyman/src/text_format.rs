//! Formats numbers, times and rates for people, and makes foreign text safe to display.

use std::borrow::Cow;
use std::fmt::Write;
use std::time::Duration;

/// A rate is shown from this many tokens
const RATE_TOKENS_MIN: u64 = 8;
/// and this much time; below these it means nothing.
const RATE_TIME_MIN: Duration = Duration::from_millis(500);

/// A number with thousands separators: 12,345.
pub(crate) fn group_digits(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::new();
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// A number with its unit: `1 token`, `1,269 tokens`, `2 deliveries`.
pub(crate) fn count_text(number: u64, what: &str) -> String {
    let number_text = group_digits(number);
    match what.strip_suffix("ry") {
        _ if number == 1 => format!("{number_text} {what}"),
        Some(stem) => format!("{number_text} {stem}ries"),
        None => format!("{number_text} {what}s"),
    }
}

/// A duration: `12 ms`, `4.2 s`, `18 s`, `1 min 32 s`, `2 h 5 min`.
pub(crate) fn duration_text(time: Duration) -> String {
    let ms = time.as_millis();
    if ms < 100 {
        return format!("{ms} ms");
    }
    let tenths = (ms + 50) / 100;
    if tenths < 100 {
        return format!("{}.{} s", tenths / 10, tenths % 10);
    }
    let seconds = (ms + 500) / 1_000;
    match (seconds / 3_600, seconds / 60 % 60, seconds % 60) {
        (0, 0, seconds) => format!("{seconds} s"),
        (0, minutes, seconds) => format!("{minutes} min {seconds} s"),
        (hours, minutes, _) => format!("{hours} h {minutes} min"),
    }
}

/// A duration that is still growing, in whole seconds: `5 s`, `1 min 32 s`.
pub(crate) fn elapsed_text(time: Duration) -> String {
    match time.as_secs().max(1) {
        seconds @ ..60 => format!("{seconds} s"),
        seconds => duration_text(Duration::from_secs(seconds)),
    }
}

/// A duration given in milliseconds.
pub(crate) fn millis_text(ms: u64) -> String {
    duration_text(Duration::from_millis(ms))
}

/// Tokens per second, if that is meaningful.
pub(crate) fn token_rate(tokens: u64, time: Duration) -> Option<String> {
    if tokens < RATE_TOKENS_MIN || time < RATE_TIME_MIN {
        return None;
    }
    let ms = time.as_millis();
    let tenths = (u128::from(tokens) * 10_000 + ms / 2) / ms;
    Some(if tenths < 100 {
        format!("{}.{} tokens/s", tenths / 10, tenths % 10)
    } else {
        format!("{} tokens/s", (tenths + 5) / 10)
    })
}

/// A text on one line, truncated to a width.
pub(crate) fn one_line(text: &str, chars: usize) -> String {
    let text = text.split_whitespace().collect::<Vec<_>>().join(" ");
    if text.chars().count() <= chars {
        return text;
    }
    text.chars()
        .take(chars.saturating_sub(1))
        .chain(['…'])
        .collect()
}

/// Replaces characters that move the cursor, change colours or change the writing direction by their JSON
/// escapes, so that JSON stays valid JSON. Line breaks and tabs are kept.
pub(crate) fn visible(text: &str) -> Cow<'_, str> {
    let is_hidden = |(at, c): (usize, char)| match c {
        '\n' | '\t' => false,
        '\r' => !text[at + 1..].starts_with('\n'),
        // What turns the direction of the writing makes code look like other code.
        '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}' => true,
        c => c.is_control(),
    };
    if !text.char_indices().any(is_hidden) {
        return Cow::Borrowed(text);
    }
    let mut shown = String::with_capacity(text.len() + 16);
    for (at, c) in text.char_indices() {
        if is_hidden((at, c)) {
            // Writing to a String cannot fail.
            let _ = write!(shown, "\\u{:04x}", u32::from(c));
        } else {
            shown.push(c);
        }
    }
    Cow::Owned(shown)
}

/// A word quoted for a shell.
pub(crate) fn shell_quoted(word: &str) -> String {
    let is_plain = |b: u8| b.is_ascii_alphanumeric() || b"/._-+,:@%".contains(&b);
    if !word.is_empty() && word.bytes().all(is_plain) {
        return word.to_owned();
    }
    format!("'{}'", word.replace('\'', r"'\''"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_grouped_by_thousands_and_counted_in_good_grammar() {
        assert_eq!(
            ["0", "999", "1,000", "12,345,678"],
            [0, 999, 1_000, 12_345_678].map(group_digits)[..]
        );
        assert_eq!(
            ["0 tokens", "1 token", "1,269 tokens"],
            [0, 1, 1_269].map(|number| count_text(number, "token"))[..]
        );
    }

    #[test]
    fn times_are_written_as_people_write_them() {
        let times = [
            (0, "0 ms"),
            (99, "99 ms"),
            (100, "0.1 s"),
            (4_240, "4.2 s"),
            (9_949, "9.9 s"),
            (9_950, "10 s"),
            (18_400, "18 s"),
            (59_700, "1 min 0 s"),
            (92_000, "1 min 32 s"),
            (7_512_000, "2 h 5 min"),
        ];
        for (ms, text) in times {
            assert_eq!(millis_text(ms), text, "{ms}");
        }
    }

    #[test]
    fn a_rate_is_told_of_several_tokens_over_some_time_only() {
        let rates = [
            (1, 1, None),
            (1, 60_000, None),
            (1_000, 499, None),
            (8, 500, Some("16 tokens/s")),
            (8, 10_000, Some("0.8 tokens/s")),
            (212, 15_000, Some("14 tokens/s")),
        ];
        for (tokens, ms, text) in rates {
            let rate = token_rate(tokens, Duration::from_millis(ms));
            assert_eq!(rate.as_deref(), text, "{tokens} in {ms} ms");
        }
    }

    #[test]
    fn a_long_text_is_cut_with_a_mark() {
        assert_eq!(one_line("a  b\nc", 10), "a b c");
        assert_eq!(one_line("abcdef", 4), "abc…");
    }

    #[test]
    fn nothing_that_a_terminal_obeys_is_shown_raw() {
        let texts = [
            ("Grüße, 世界 ✓\n\tx\r\n", "Grüße, 世界 ✓\n\tx\r\n"),
            ("\x1b[2J\x1b]0;me\x07", "\\u001b[2J\\u001b]0;me\\u0007"),
            ("good\rbad\r", "good\\u000dbad\\u000d"),
            ("a\u{9b}31mb\x7f", "a\\u009b31mb\\u007f"),
            ("if \u{202e}x\u{2066}", "if \\u202ex\\u2066"),
        ];
        for (text, shown) in texts {
            assert_eq!(visible(text), shown);
        }
        let json = serde_json::to_string("\u{9b}\x7f\x1b").unwrap_or_default();
        let read: String = serde_json::from_str(&visible(&json)).unwrap_or_default();
        assert_eq!(read, "\u{9b}\x7f\x1b");
    }

    #[test]
    fn a_word_is_quoted_where_a_shell_would_take_it_apart() {
        let words = [
            ("/tmp/a-b_c.d", "/tmp/a-b_c.d"),
            ("/tmp/my code", "'/tmp/my code'"),
            ("it's", r"'it'\''s'"),
            ("$HOME", "'$HOME'"),
            ("", "''"),
        ];
        for (word, text) in words {
            assert_eq!(shell_quoted(word), text);
        }
    }
}
