//! Finds JSON in a text. Comments, superfluous commas and surrounding text are tolerated.

use serde_json::Value;

/// The outermost JSON objects in a text, in order.
pub fn json_values(text: &str) -> Vec<Value> {
    /// How many braces are tried.
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
    if found.is_empty() {
        // An object that was encoded twice.
        let objects = strings_on_lines(text).into_iter();
        found.extend(objects.filter_map(|text| {
            let value = serde_json::from_str(&text).ok();
            value.filter(Value::is_object)
        }));
    }
    found
}

/// The first lines of a text that are a string of JSON, decoded.
pub(crate) fn strings_on_lines(text: &str) -> Vec<String> {
    /// The most lines that are decoded.
    const LINES_MAX: usize = 40;
    let lines = text.lines().map(str::trim);
    let strings = lines.filter(|line| line.starts_with('"'));
    strings
        .take(LINES_MAX)
        .filter_map(|line| serde_json::from_str(line).ok())
        .collect()
}

/// The object at the start of a text, up to its closing brace.
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

/// The object at the start of a text without comments and without commas before closing brackets, and its
/// length in the text.
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
