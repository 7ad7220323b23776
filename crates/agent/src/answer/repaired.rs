//! Python that is not written as a file: in a transcript of the interpreter, in a diff, indented as a
//! whole, with characters of a word processor. Each is read as what it plainly means, or not at all.

use std::borrow::Cow;

use journeyman_syntax::Source;

/// A text that does not parse as what it means, if that does.
pub(super) fn repaired(text: String) -> String {
    if Source::of(&text).parses() {
        return text;
    }
    let meant = transcript(&text).or_else(|| Source::of(&text).with_plain_characters());
    meant
        .filter(|meant| Source::of(meant).parses())
        .unwrap_or(text)
}

/// What a transcript of the interpreter defines: neither what was only tried in it, nor what it printed.
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

/// The file that a diff makes of nothing: one that adds lines and does nothing else.
pub(super) fn added(diff: &str) -> Option<String> {
    let heads = ["diff ", "index ", "new file", "--- ", "+++ ", "@@"];
    let mut file = String::new();
    for line in diff.lines() {
        let is_head = heads.iter().any(|head| line.starts_with(head));
        if is_head || line.starts_with("\\ No newline") || line.is_empty() {
            continue;
        }
        file.push_str(line.strip_prefix('+')?);
        file.push('\n');
    }
    Some(file)
}

/// The lines of a text without the indent of the first, up to one that has less.
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
