//! Tells code that stopped inside a statement from code with an error in it: with what is missing at its end, it parses.

use journeyman_syntax::Source;

/// The first words of statements with a body.
const HEADS: &[&str] = &[
    "async", "class", "def", "elif", "else", "except", "finally", "for", "if", "try", "while",
    "with",
];
/// What may be missing of a value, behind an operator or a comma.
const VALUES: &[&str] = &["", " x"];
/// What may be missing behind the brackets that are closed.
const ENDS: &[&str] = &[
    "",
    ": pass",
    " pass",
    " in x: pass",
    " import x",
    "\ndef x(): pass",
];

/// Whether code stops inside a statement.
pub(super) fn stops_inside_a_statement(code: &str) -> bool {
    let source = Source::of(code);
    if source.parses() {
        // The grammar lets a body be missing.
        let last = code.trim_end().lines().next_back().unwrap_or_default();
        let first = last.split_whitespace().next().unwrap_or_default();
        return last.ends_with(':') && HEADS.contains(&first.trim_end_matches(':'));
    }
    let code = code.trim_end();
    let begun = source.whole_beginning().map_or(0, str::len);
    let rest = code.get(begun..).unwrap_or_default().trim();
    // `Explanation:` would be an annotation.
    let is_prose = rest.starts_with(char::is_uppercase) && !rest.contains(['(', '[', '=', '.']);
    let Some(open) = open_at_the_end(code).filter(|_| !is_prose) else {
        return false;
    };
    let is_behind_a_comment = !open.brackets.is_empty()
        && open.quote.is_empty()
        && code
            .lines()
            .next_back()
            .is_some_and(|line| line.contains('#'));
    VALUES.iter().any(|value| {
        let value = if open.quote.is_empty() { value } else { "" };
        let line = if is_behind_a_comment { "\n" } else { "" };
        let whole = format!("{code}{}{line}{value}{}", open.quote, open.brackets);
        ENDS.iter()
            .any(|end| Source::of(&format!("{whole}{end}\n")).parses())
    })
}

/// What is open at the end of code, as what would close it.
struct OpenAtTheEnd {
    quote: &'static str,
    brackets: String,
}

/// `None` if a bracket is closed that was not opened.
fn open_at_the_end(code: &str) -> Option<OpenAtTheEnd> {
    const QUOTES: &[&str] = &["\"\"\"", "'''", "\"", "'"];
    let mut brackets = String::new();
    let mut quote = "";
    let mut rest = code;
    while let Some(c) = rest.chars().next() {
        let mut taken = c.len_utf8();
        if !quote.is_empty() {
            if rest.starts_with(quote) {
                taken = quote.len();
                quote = "";
            } else if c == '\\' {
                taken += rest[1..].chars().next().map_or(0, char::len_utf8);
            } else if c == '\n' && quote.len() == 1 {
                return None;
            }
        } else if let Some(opening) = QUOTES.iter().find(|quote| rest.starts_with(**quote)) {
            quote = opening;
            taken = quote.len();
        } else {
            match c {
                '#' => taken = rest.find('\n').unwrap_or(rest.len()),
                '(' => brackets.insert(0, ')'),
                '[' => brackets.insert(0, ']'),
                '{' => brackets.insert(0, '}'),
                ')' | ']' | '}' if brackets.starts_with(c) => drop(brackets.remove(0)),
                ')' | ']' | '}' => return None,
                _ => {}
            }
        }
        rest = &rest[taken..];
    }
    Some(OpenAtTheEnd { quote, brackets })
}
