//! Restores definitions that a file only marks as unchanged: `def helper(x): ...  # unchanged` stands for the
//! previous definition.

use std::ops::Range;

use journeyman_syntax::{Definition, Kind, Source};

/// Words that mark a definition as unchanged.
const SAYS_SO: &[&[&str]] = &[
    &["unchanged"],
    &["same"],
    &["rest"],
    &["existing"],
    &["as", "before"],
    &["as", "is"],
];

/// Words in a definition that intentionally does nothing.
const SAYS_NOTHING_IS_MEANT: &[&str] = &["nothing", "no", "noop", "abstract"];

/// A file in which definitions marked as unchanged, including methods, are replaced by those of the first text
/// in `known` that contains them with a real body. The error names those that none of them contains, worded for
/// the model.
pub(crate) fn restore_unchanged(source: &str, known: &[&str]) -> Result<String, String> {
    if !Source::of(source).parses() {
        return Ok(source.to_owned());
    }
    let mut missing = Vec::new();
    let text = restored(source, known, "", &mut missing);
    if missing.is_empty() {
        return Ok(text);
    }
    missing.reverse();
    Err(format!(
        "its file leaves out what {} does; give the whole file, with everything in it",
        missing.join(", ")
    ))
}

/// A text with unchanged definitions at top level and in its classes restored. `within` is the prefix for the
/// names added to `missing`.
fn restored(source: &str, known: &[&str], within: &str, missing: &mut Vec<String>) -> String {
    let all = Source::of(source).definitions();
    let is_whole_elsewhere = |name: &str| {
        all.iter()
            .any(|other| other.has_body && other.names[..] == [name])
    };
    let mut text = source.to_owned();
    // From the end, so that what is not changed yet stays where it is.
    for own in all.iter().rev().filter(|own| is_at_margin(source, own)) {
        let [name] = own.names.as_slice() else {
            continue;
        };
        if own.kind == Kind::Class && own.has_body {
            let Some(body) = Body::of(source, own.range.clone()) else {
                continue;
            };
            let whole = known.iter().filter_map(|known| definition_of(known, name));
            let bodies: Vec<Body> = whole
                .filter_map(|(whole, _)| Body::of(whole, 0..whole.len()))
                .collect();
            let known: Vec<&str> = bodies.iter().map(|body| body.text.as_str()).collect();
            let filled = restored(&body.text, &known, &format!("{within}{name}."), missing);
            if filled != body.text {
                text.replace_range(body.range.clone(), &body.indented(&filled));
            }
            continue;
        }
        if !is_left_out(source, own) || is_whole_elsewhere(name) {
            continue;
        }
        let mut before = known.iter().filter_map(|known| definition_of(known, name));
        match before
            .clone()
            .find_map(|(text, has_body)| has_body.then_some(text))
        {
            Some(whole) => text.replace_range(own.range.clone(), whole),
            // An exception may have a docstring alone, and speak of the same of something.
            None if own.kind != Kind::Class && before.next().is_none() => {
                missing.push(format!("{within}{name}"));
            }
            None => {}
        }
    }
    text
}

/// The body of a class.
struct Body {
    /// Its range, including comments after it.
    range: Range<usize>,
    indent: String,
    /// Its lines without indentation.
    text: String,
}

impl Body {
    /// The body of the class at this position; `None` if it is on the line of the signature, or if one of its
    /// lines is indented less than the first.
    fn of(source: &str, class: Range<usize>) -> Option<Self> {
        let own = source.get(class.clone())?;
        let head = own.len() - without_signature(own).len();
        let start = class.start + head + own[head..].find('\n')? + 1;
        let is_comment =
            |line: &&str| line.starts_with([' ', '\t']) && line.trim_start().starts_with('#');
        let mut behind = source.get(class.end..)?.split_inclusive('\n');
        let rest = behind.next().unwrap_or_default().len();
        let comments: usize = behind.take_while(is_comment).map(str::len).sum();
        let body = source.get(start..class.end + rest + comments)?.trim_end();
        let first = body.lines().find(|line| !line.trim().is_empty())?;
        let indent = &first[..first.len() - first.trim_start().len()];
        let unindented = |line: &str| match line.trim() {
            "" => Some(String::new()),
            _ => line.strip_prefix(indent).map(str::to_owned),
        };
        let lines: Option<Vec<String>> = body.lines().map(unindented).collect();
        Some(Self {
            range: start..start + body.len(),
            indent: indent.to_owned(),
            text: lines?.join("\n"),
        })
    }

    /// A text with the indentation of the body.
    fn indented(&self, text: &str) -> String {
        let lines = text.lines().map(|line| match line {
            "" => String::new(),
            _ => format!("{}{line}", self.indent),
        });
        lines.collect::<Vec<_>>().join("\n")
    }
}

/// The top-level definition of a name in a text, and whether it has a real body; `None` if several definitions
/// have one, like a property and its setter.
fn definition_of<'k>(known: &'k str, name: &str) -> Option<(&'k str, bool)> {
    let all = Source::of(known).definitions().into_iter();
    let mut found = all
        .filter(|own| own.kind != Kind::Import && is_at_margin(known, own))
        .filter(|own| own.names[..] == [name]);
    let first = found.next()?;
    if first.has_body && found.any(|other| other.has_body) {
        return None;
    }
    Some((known.get(first.range)?.trim_end(), first.has_body))
}

fn is_at_margin(text: &str, definition: &Definition) -> bool {
    let before = text.get(..definition.range.start).unwrap_or_default();
    before.is_empty() || before.ends_with('\n')
}

/// Whether a definition has no real body and its docstring or a comment says that it is unchanged.
fn is_left_out(source: &str, definition: &Definition) -> bool {
    if definition.has_body {
        return false;
    }
    let own = source.get(definition.range.clone()).unwrap_or_default();
    // A comment behind the last statement belongs to nobody in the tree.
    let after = source.get(definition.range.end..).unwrap_or_default();
    let mut lines = after.lines();
    let behind = lines.next().unwrap_or_default();
    let below = lines.take_while(|line| line.starts_with([' ', '\t']));
    let comments = [behind].into_iter().chain(below).collect::<Vec<_>>();
    let said = format!("{}\n{}", without_signature(own), comments.join("\n")).to_lowercase();
    let words: Vec<&str> = said
        .split(|c: char| !c.is_alphanumeric())
        .filter(|word| !word.is_empty())
        .collect();
    let is_meant = words
        .iter()
        .any(|word| SAYS_NOTHING_IS_MEANT.contains(word));
    !is_meant
        && SAYS_SO
            .iter()
            .any(|wanted| words.windows(wanted.len()).any(|some| some == *wanted))
}

/// The text after the colon that ends the signature of a definition.
fn without_signature(definition: &str) -> &str {
    let (mut depth, mut quote) = (0_u32, None);
    for (at, c) in definition.char_indices() {
        match (quote, c) {
            (Some(open), c) if open == c => quote = None,
            (None, '"' | '\'') => quote = Some(c),
            (None, '(' | '[' | '{') => depth += 1,
            (None, ')' | ']' | '}') => depth = depth.saturating_sub(1),
            (None, ':') if depth == 0 => return &definition[at..],
            _ => {}
        }
    }
    ""
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_said_to_be_unchanged_is_as_it_was() {
        let known = "import re\n\n@cache\ndef helper(x):\n    return 2 * x\n\ndef open_one():\n    pass\n\n\
                     class Box:\n    size = 1\n";
        let file =
            |helper: &str| format!("import re\n\n{helper}\n\ndef f(x):\n    return helper(x)\n");
        let whole = "@cache\ndef helper(x):\n    return 2 * x";
        for (helper, put) in [
            ("def helper(x): ...", Some(" # unchanged")),
            ("def helper(x): pass", Some("  # Same as before.")),
            ("def helper(x):\n    ...", Some("  # (UNCHANGED)")),
            (
                "def helper(x):\n    pass",
                Some("\n    # rest of the code as it was"),
            ),
            (
                "def helper(x):\n    # ... existing code ...\n    pass",
                Some(""),
            ),
            ("def helper(x):\n    \"\"\"As before.\"\"\"", Some("")),
            (
                "@cache\ndef helper(x):\n    '''As is.'''\n    ...",
                Some(""),
            ),
            // Only where it is said.
            ("def helper(x): ...", None),
            (
                "@rest('same')\ndef helper(same='the same', rest=1): ...",
                None,
            ),
            ("def helper(x):\n    return x  # unchanged", None),
            ("def open_one(): ...  # unchanged", None),
            (
                "def on_idle():\n    \"\"\"Does nothing for the rest of it.\"\"\"",
                None,
            ),
            (
                "def helper(x: int): ...  # same for str\n\ndef helper(x):\n    return x",
                None,
            ),
            (
                "class Same(Exception):\n    \"\"\"The same again.\"\"\"",
                None,
            ),
            ("def helper(x:\n    ...  # unchanged", None),
        ] {
            let source = file(&format!("{helper}{}", put.unwrap_or_default()));
            let text = restore_unchanged(&source, &["", known]).unwrap();
            let is_back = text.contains(whole) && text.matches("def helper").count() == 1;
            assert_eq!(is_back, put.is_some(), "{text}");
            assert_eq!(text == source, put.is_none(), "{text}");
        }
        let boxed = restore_unchanged("class Box: ...  # unchanged\n", &[known]).unwrap();
        assert!(boxed.starts_with("class Box:\n    size = 1"), "{boxed}");
        let unknown = file("def helper(x): ...  # unchanged\n\nasync def go(): pass  # as before");
        let told = restore_unchanged(&unknown, &[]).unwrap_err();
        assert!(told.contains("leaves out what helper, go does"), "{told}");
    }

    #[test]
    fn a_method_that_is_said_to_be_unchanged_is_as_it_was() {
        let known = "class Box:\n    def __init__(self):\n        self.items = []\n\n    def put(self, x):\n        \
                     self.items.append(x)\n\n    @property\n    def size(self):\n        return 1\n\n    \
                     @size.setter\n    def size(self, n):\n        self.n = n\n";
        let class = |methods: &str| format!("class Box:\n{methods}\n\nx = 1\n");
        let put = "    def put(self, x):\n        self.items.append(x)";
        for stub in [
            "    def put(self, x): ...  # unchanged",
            "    def put(self, x):\n        # ... unchanged\n        pass",
            "    def put(self, x):\n        ...\n        # as before",
        ] {
            let new = "    def take(self):\n        return self.items.pop()";
            for methods in [format!("{new}\n\n{stub}"), format!("{stub}\n\n{new}")] {
                let text = restore_unchanged(&class(&methods), &[known]).unwrap();
                assert!(text.contains(put) && text.contains(new), "{text}");
                assert_eq!(text.matches("def put").count(), 1, "{text}");
                assert!(
                    text.ends_with("\n\nx = 1\n") && Source::of(&text).parses(),
                    "{text}"
                );
            }
        }
        let told = |methods: &str| restore_unchanged(&class(methods), &[known]).unwrap_err();
        let unknown = "    def take(self): ...  # unchanged\n    def keep(self): pass  # same";
        assert!(
            told(unknown).contains("what Box.take, Box.keep does"),
            "{}",
            told(unknown)
        );
        // Which of two it is, nobody knows.
        assert!(told("    def size(self): ...  # unchanged").contains("Box.size"));
        let odd = "class Box:\n    text = '''\nleft\n'''\n    def put(self, x): ...  # unchanged\n";
        assert_eq!(restore_unchanged(odd, &[known]).unwrap(), odd);
    }
}
