//! Repairs Python that is not written as a file: an interpreter transcript, a diff or edit, a listing with line
//! numbers, HTML, code indented as a whole, or code with typographic characters. Each is read as what it clearly
//! means, or not at all.

use std::borrow::Cow;

use journeyman_syntax::Source;

/// The file that a text which does not parse clearly means, if there is one.
pub(super) fn repaired(text: String) -> String {
    let source = Source::of(&text);
    if source.parses() {
        return if names_entities(&source) {
            unescaped(&text)
        } else {
            text
        };
    }
    let readings = [
        transcript,
        added,
        numbered,
        new_file,
        as_html,
        plain,
        with_line_breaks,
    ];
    let meant = readings
        .iter()
        .find_map(|read| read(&text).filter(|meant| Source::of(meant).parses()));
    meant.unwrap_or(text)
}

fn plain(text: &str) -> Option<String> {
    Source::of(text).with_plain_characters()
}

/// A text on one line whose line breaks, tabs and quotation marks are escaped, as in a string of JSON.
fn with_line_breaks(text: &str) -> Option<String> {
    let line = text.trim();
    if line.contains('\n') || !line.contains("\\n") {
        return None;
    }
    serde_json::from_str(&format!("\"{line}\""))
        .or_else(|_| serde_json::from_str(line))
        .or_else(|_| serde_json::from_str(&format!("\"{}\"", line.replace('"', "\\\""))))
        .ok()
}

/// A text without the marks of quoted lines, if a fence of it is quoted: `> ```python`.
pub(super) fn unquoted(text: &str) -> Cow<'_, str> {
    fn quoted(line: &str) -> Option<&str> {
        line.trim_start().strip_prefix("> ")
    }
    let is_fence = |line| quoted(line).is_some_and(|line| line.starts_with("```"));
    if !text.lines().any(is_fence) {
        return Cow::Borrowed(text);
    }
    let lines = text.lines().map(|line| match quoted(line) {
        Some(rest) => rest,
        None if line.trim() == ">" => "",
        None => line,
    });
    Cow::Owned(lines.flat_map(|line| [line, "\n"]).collect())
}

/// HTML entities and their characters. `&` comes last, so that text that was escaped twice is unescaped once.
const ENTITIES: &[(&str, &str)] = &[
    ("&lt;", "<"),
    ("&gt;", ">"),
    ("&quot;", "\""),
    ("&#34;", "\""),
    ("&apos;", "'"),
    ("&#39;", "'"),
    ("&#x27;", "'"),
    ("&nbsp;", " "),
    ("&amp;", "&"),
];

/// A text with HTML entities replaced.
pub(super) fn unescaped(text: &str) -> String {
    let entities = ENTITIES.iter();
    entities.fold(text.to_owned(), |text, (escaped, c)| {
        text.replace(escaped, c)
    })
}

fn as_html(text: &str) -> Option<String> {
    let meant = unescaped(text);
    (meant != text).then_some(meant)
}

/// Whether code uses the name of an HTML entity without defining it: `x &lt; 2` is valid Python, but not
/// intended.
fn names_entities(source: &Source<'_>) -> bool {
    let (_, used) = source.names();
    ["lt", "gt", "quot", "apos", "amp"]
        .iter()
        .any(|name| used.contains(*name))
}

/// A listing without its line numbers: `1 | import re`, `2: import os`, and the separators after the numbers.
pub(super) fn numbered(text: &str) -> Option<String> {
    let mut code: Vec<&str> = Vec::new();
    let mut last: Option<usize> = None;
    for line in text.lines().filter(|line| !line.trim().is_empty()) {
        let line = line.trim_start();
        let (number, rest) = line.split_at(
            line.find(|c: char| !c.is_ascii_digit())
                .unwrap_or(line.len()),
        );
        let number: usize = number.parse().ok()?;
        if last.is_some_and(|last| number != last + 1) {
            return None;
        }
        last = Some(number);
        let unspaced = rest.trim_start_matches(' ');
        code.push(
            unspaced
                .strip_prefix(['|', ':', '\t', '│', '→', '.', ')'])
                .unwrap_or(rest),
        );
    }
    let code_lines = code.iter().filter(|line| !line.trim().is_empty());
    let margin = code_lines
        .map(|line| line.len() - line.trim_start_matches(' ').len())
        .min()?;
    let lines = code
        .iter()
        .map(|line| line.get(margin..).unwrap_or_default());
    Some(lines.flat_map(|line| [line, "\n"]).collect())
}

/// The file that an edit creates from nothing: the new side of conflict markers.
pub(super) fn new_file(text: &str) -> Option<String> {
    let (_, edit) = text.split_once("<<<<<<<")?;
    let mut lines = edit.lines().skip(1);
    let before = lines.by_ref().find(|line| !line.trim().is_empty())?;
    if !before.starts_with("=====") {
        return None;
    }
    let mut is_closed = false;
    let new = lines.take_while(|line| {
        is_closed = line.starts_with(">>>>>");
        !is_closed
    });
    let new: String = new.flat_map(|line| [line, "\n"]).collect();
    is_closed.then_some(new)
}

/// The definitions in an interpreter transcript, without expressions that were only tried and without output.
fn transcript(text: &str) -> Option<String> {
    let mut statements: Vec<String> = Vec::new();
    let first = text.lines().find(|line| !line.trim().is_empty())?;
    if !first.trim_start().starts_with(">>>") {
        return None;
    }
    for line in text.lines() {
        let bare = line.trim_start();
        let after = |prompt: &str| {
            let rest = bare.strip_prefix(prompt)?;
            (rest.is_empty() || rest.starts_with(' ')).then(|| rest.get(1..).unwrap_or_default())
        };
        if let Some(begun) = after(">>>") {
            statements.push(format!("{begun}\n"));
        } else if let (Some(more), Some(statement)) = (after("..."), statements.last_mut()) {
            statement.push_str(more);
            statement.push('\n');
        }
    }
    statements.retain(|statement| !Source::of(statement).definitions().is_empty());
    (!statements.is_empty()).then(|| statements.join("\n"))
}

/// The file that a diff creates from nothing: a diff that only adds lines. A space may stand behind each mark.
pub(super) fn added(diff: &str) -> Option<String> {
    let heads = ["diff ", "index ", "new file", "--- ", "+++ ", "*** ", "@@"];
    let mut file = String::new();
    for line in diff.lines() {
        let is_head = heads.iter().any(|head| line.starts_with(head));
        if is_head || line.starts_with("\\ No newline") || line.is_empty() {
            continue;
        }
        file.push_str(line.strip_prefix('+')?);
        file.push('\n');
    }
    Some(at_the_margin(&file).into_owned())
}

/// The lines of a text without the indentation of the first, up to a line that is indented less.
pub(super) fn at_the_margin(text: &str) -> Cow<'_, str> {
    let (indent, _) = text.split_at(text.len() - text.trim_start_matches([' ', '\t']).len());
    if indent.is_empty() {
        return Cow::Borrowed(text);
    }
    let lines = text.lines().map_while(|line| {
        let is_empty = line.trim().is_empty();
        line.strip_prefix(indent).or(is_empty.then_some(""))
    });
    Cow::Owned(lines.flat_map(|line| [line, "\n"]).collect())
}
