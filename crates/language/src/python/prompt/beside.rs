//! What stands right beside an example: a comment or parentheses behind it, or the message of a check. An example with a
//! remark rules only where the remark is formal: it repeats the result or its type, or is one for a tool.

use super::asked::{Prompt, is_comment};
use crate::prose::sentence_language::SentenceLanguage;
use crate::prose::wording::{closed, denies};
use crate::python::literal::literal;

/// Marks of comments for tools.
const FOR_TOOLS: &[&str] = &[
    "doctest: +",
    "fmt: o",
    "noqa",
    "pragma: no",
    "pylint: ",
    "type: ignore",
];

impl Prompt<'_> {
    /// Whether a comment behind the code on a line, or the message of its check, is not formal.
    pub(crate) fn is_remarked_beside(&self, at: usize) -> bool {
        let (code, comment) = split_comment(self.lines[at].text);
        let bare = code.trim();
        // The answer of a session stands below its question.
        let value = if bare.starts_with(">>>") {
            self.lines
                .get(at + 1)
                .map_or("", |line| split_comment(line.text).0)
        } else {
            bare.rsplit_once("==").map_or(bare, |(_, value)| value)
        };
        let is_explained = self.is_described(at) && explains(comment, bare);
        !is_formal(comment, value.trim())
            && !is_of_argument(comment, bare, value.trim())
            && !is_explained
            || message_of(bare).is_some_and(|(_, message)| !is_formal(message, ""))
    }
}

/// Whether a remark beside an example repeats its result or the type of that, is a lead, or one for a tool.
pub(super) fn is_formal(remark: &str, value: &str) -> bool {
    let bare = remark.trim().trim_start_matches('#').trim();
    let bare = ["=>", "->", "==", "=", "→"]
        .iter()
        .find_map(|mark| bare.strip_prefix(mark))
        .unwrap_or(bare)
        .trim();
    let is_value = |text: &str| {
        literal(text)
            .filter(|(_, rest)| rest.trim().is_empty())
            .map(|(value, _)| value.replace('"', "'"))
    };
    let is_repeated = || is_value(bare).is_some_and(|said| Some(said) == is_value(value));
    bare.is_empty()
        || FOR_TOOLS.iter().any(|mark| bare.starts_with(mark))
        || is_repeated()
        || type_of(value) == Some(bare)
        || closed(bare).is_some_and(|said| said.has_words)
}

/// Whether a remark says what the only argument of an example is, and no more: `# empty list`, `(even)`. It must not be
/// untrue of the result, which it might demand, and beside a truth value it may always do so.
pub(super) fn is_of_argument(remark: &str, example: &str, value: &str) -> bool {
    let argument = || {
        let (_, after) = example.split_once('(')?;
        let (argument, rest) = literal(after)?;
        rest.trim_start().starts_with(')').then_some(argument)
    };
    let Some(argument) = argument().filter(|_| type_of(value) != Some("bool")) else {
        return false;
    };
    let lower = remark.trim().to_lowercase();
    let words: Vec<&str> = lower
        .split(' ')
        .filter(|word| !["a", "an"].contains(word))
        .collect();
    match words.as_slice() {
        // Alone, it may be what a result is called that surprises.
        ["odd"] => false,
        [word] => is_true(word, &argument) == Some(true) && is_true(word, value) != Some(false),
        [word, noun] => {
            let types: &[&str] = match type_of(&argument) {
                Some("str") => &["string", "text"],
                Some("list") => &["list", "array"],
                Some("dict") => &["dict", "dictionary"],
                Some("tuple") => &["tuple"],
                Some("int" | "float") => &["number", "integer"],
                _ => &[],
            };
            let is_of_kind = types.contains(noun)
                && is_true(word, &argument) == Some(true)
                && is_true(word, value) != Some(false);
            let counts = [&["single", "one"][..], &["two"], &["three"]];
            let count = counts.iter().position(|words| words.contains(word));
            let is_counted = count.is_some_and(|place| {
                let count = place + 1;
                let of_value = counted(noun, value).or_else(|| value.parse().ok());
                counted(noun, &argument) == Some(count)
                    && of_value.is_none_or(|of_value| of_value == count)
            });
            is_of_kind || is_counted
        }
        _ => false,
    }
}

/// Whether a word is true of a literal; `None` if it says nothing of its type.
pub(super) fn is_true(word: &str, value: &str) -> Option<bool> {
    let number = value.parse::<f64>().ok();
    match word {
        "empty" => ['"', '\'', '[', '(', '{']
            .iter()
            .any(|open| value.starts_with(*open))
            .then_some(value.len() == 2),
        "zero" => number.map(|number| number.abs() <= 0.0),
        "positive" => number.map(|number| number > 0.0),
        "negative" => number.map(|number| number < 0.0),
        "even" => value.parse::<i64>().ok().map(|number| number % 2 == 0),
        "odd" => value.parse::<i64>().ok().map(|number| number % 2 != 0),
        _ => None,
    }
}

/// How many of what a noun names are in a literal.
fn counted(noun: &str, value: &str) -> Option<usize> {
    let text = value
        .strip_prefix(['"', '\''])
        .and_then(|rest| rest.strip_suffix(['"', '\'']));
    match noun {
        "word" | "words" => text.map(|text| text.split_whitespace().count()),
        "character" | "characters" | "letter" | "letters" => text.map(|text| text.chars().count()),
        "element" | "elements" | "item" | "items" if value.starts_with('[') => {
            Some(if value.len() == 2 {
                0
            } else {
                value.matches(',').count() + 1
            })
        }
        _ => None,
    }
}

/// The name of the type of a literal.
pub(super) fn type_of(value: &str) -> Option<&'static str> {
    let first = value.chars().next()?;
    match first {
        '"' | '\'' => Some("str"),
        '[' => Some("list"),
        '(' => Some("tuple"),
        '{' => Some("dict"),
        'T' | 'F' => Some("bool"),
        'N' => Some("None"),
        _ if value.contains('.') => Some("float"),
        _ => Some("int"),
    }
}

/// Whether a remark in the docstring of what is asked for gives a reason for an example: English that denies nothing and
/// ends at a number of the example, or a formula.
pub(super) fn explains(remark: &str, example: &str) -> bool {
    let numbers = |text: &str| -> Vec<String> {
        let parts = text.split(|c: char| !c.is_ascii_digit());
        parts
            .filter(|part| !part.is_empty())
            .map(str::to_owned)
            .collect()
    };
    let last = numbers(remark).pop();
    let mut words = remark.split(|c: char| !c.is_alphabetic());
    let is_formula = remark.contains('=') && words.all(|word| word.len() < 2);
    is_formula
        || SentenceLanguage::of(remark) == SentenceLanguage::English
            && !denies(remark)
            && last.is_some_and(|last| numbers(example).contains(&last))
}

/// Whether a line is a comment that says something.
pub(super) fn is_remark(line: &str) -> bool {
    is_comment(line.trim()) && !is_formal(line, "")
}
/// A line of code and the comment behind it.
pub(super) fn split_comment(line: &str) -> (&str, &str) {
    let mut quote = None;
    let mut before = ' ';
    for (at, c) in line.char_indices() {
        match quote {
            Some(open) if c == open && before != '\\' => quote = None,
            None if c == '#' => return (&line[..at], &line[at + 1..]),
            None if c == '"' || c == '\'' && !before.is_alphabetic() => quote = Some(c),
            _ => {}
        }
        before = c;
    }
    (line, "")
}

/// The check on a line, and its message without quotation marks: `assert f(1) == 2, "it doubles"`.
pub(super) fn message_of(line: &str) -> Option<(&str, &str)> {
    let code = split_comment(line.strip_prefix("assert ")?).0.trim_end();
    let quote = code.chars().next_back().filter(|c| "\"'".contains(*c))?;
    let inside = &code[..code.len() - 1];
    let from = inside.rfind(quote)?;
    let before = inside[..from]
        .trim_end_matches(['f', 'r', 'b', 'u'])
        .trim_end();
    let check = before.strip_suffix(',')?;
    let is_closed =
        check.matches(['(', '[', '{']).count() == check.matches([')', ']', '}']).count();
    is_closed.then(|| (check, &inside[from + 1..]))
}

/// A text without what stands in parentheses, and that. Parentheses of a call belong to the text.
pub(super) fn without_parentheses(text: &str) -> (String, Vec<String>) {
    let (mut rest, mut inside) = (String::new(), Vec::new());
    let mut depth = 0_usize;
    for c in text.chars() {
        match c {
            '(' if depth == 0 && !rest.ends_with(|c: char| c.is_alphanumeric() || c == ':') => {
                depth = 1;
                inside.push(String::new());
            }
            ')' if depth == 1 => depth = 0,
            _ if depth > 0 => {
                depth = match c {
                    '(' => depth + 1,
                    ')' => depth - 1,
                    _ => depth,
                };
                if let Some(last) = inside.last_mut() {
                    last.push(c);
                }
            }
            _ => rest.push(c),
        }
    }
    // One that nothing closes is none.
    if depth > 0 {
        rest.push('(');
    }
    (rest, inside)
}
