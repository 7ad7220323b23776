//! Finds a file in the call of a function that writes it, where a model wrote the call as text: `write_file("m.py",
//! "import re\n")`.

use journeyman_syntax::{Node, Source};

/// Parts of the names of functions that write files.
const WRITING: &[&str] = &["create", "replace", "save", "write"];
/// The most calls that are looked at.
const CALLS_MAX: usize = 20;

/// The texts of several lines that are passed to functions that write files.
pub(super) fn passed_to_writers(text: &str) -> Vec<String> {
    let is_part = |c: char| c.is_alphanumeric() || c == '_';
    let calls = text.match_indices('(').filter_map(|(at, _)| {
        let name = text[..at].rsplit(|c| !is_part(c)).next()?;
        let lower = name.to_lowercase();
        let writes = WRITING.iter().any(|part| lower.contains(part));
        writes.then(|| &text[at - name.len()..])
    });
    calls
        .take(CALLS_MAX)
        .flat_map(texts_of_the_call_at)
        .collect()
}

/// The texts of several lines in the arguments of the call at the start of a text.
fn texts_of_the_call_at(text: &str) -> Vec<String> {
    let source = Source::of(text);
    let Some(root) = source.root() else {
        return Vec::new();
    };
    let call = root
        .all()
        .find(|node| node.kind() == "call" && node.range().start == 0);
    let arguments = call.and_then(|call| call.field("arguments"));
    let strings = arguments.into_iter().flat_map(|arguments| {
        let strings = arguments.all().filter(|node| node.kind() == "string");
        strings.map(Node::text).collect::<Vec<_>>()
    });
    let values = strings.filter_map(value);
    values.filter(|value| value.contains('\n')).collect()
}

/// The value of a string literal of Python.
fn value(literal: &str) -> Option<String> {
    let quoted = literal.trim_start_matches(['r', 'R', 'b', 'B', 'u', 'U']);
    let is_raw = literal[..literal.len() - quoted.len()].contains(['r', 'R']);
    let inside = ["\"\"\"", "'''", "\"", "'"]
        .iter()
        .find_map(|quote| quoted.strip_prefix(quote)?.strip_suffix(quote))?;
    if is_raw {
        return Some(inside.to_owned());
    }
    let mut value = String::new();
    let mut rest = inside.chars();
    while let Some(c) = rest.next() {
        if c != '\\' {
            value.push(c);
            continue;
        }
        match rest.next()? {
            'n' => value.push('\n'),
            't' => value.push('\t'),
            '\n' => {}
            c @ ('\\' | '\'' | '"') => value.push(c),
            c => {
                value.push('\\');
                value.push(c);
            }
        }
    }
    Some(value)
}
