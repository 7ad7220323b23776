//! Tells a task in another form: the beginning of a file in words, examples as assertions.

use journeyman_event::payload::{GivenTest, TestOrigin};
use journeyman_syntax::Source;

use super::literal::literal;
use crate::Described;

/// What a file's beginning asks for; `None` if it has more than imports and one function with nothing but a docstring.
pub(super) fn described(stub: &str) -> Option<Described> {
    let source = Source::of(stub);
    if !source.parses() {
        return None;
    }
    let mut statements = source.root()?.children().into_iter();
    let function = statements.find(|node| !node.kind().starts_with("import"))?;
    if function.kind() != "function_definition" || statements.next().is_some() {
        return None;
    }
    let body = function.field("body")?;
    let text = match body.children().as_slice() {
        [only] => only.text().strip_prefix(r#"""""#)?.strip_suffix(r#"""""#)?,
        _ => return None,
    };
    let head = &stub[function.range().start..body.range().start];
    let text = dedented(text);
    (!text.is_empty()).then(|| Described {
        signature: head.trim_end().trim_end_matches(':').to_owned(),
        text,
    })
}

/// The text of a docstring without the indentation of the lines below its first, as `inspect.cleandoc` gives it.
fn dedented(docstring: &str) -> String {
    let below = docstring.lines().skip(1);
    let indent = below
        .filter(|line| !line.trim().is_empty())
        .map(|line| line.len() - line.trim_start().len())
        .min()
        .unwrap_or_default();
    let lines = docstring.lines().enumerate().map(|(at, line)| match at {
        0 => line.trim_start(),
        _ => line.get(indent..).unwrap_or_default(),
    });
    lines.collect::<Vec<_>>().join("\n").trim().to_owned()
}

/// The examples of a test as assertions, one a line, as far as they can be told so.
pub(super) fn assertions(test: &GivenTest) -> Vec<String> {
    match test.origin {
        TestOrigin::Assertions => {
            let lines = test.source.lines();
            lines
                .filter(|line| line.starts_with("assert "))
                .map(str::to_owned)
                .collect()
        }
        TestOrigin::Examples => test.source.split("\n\n").filter_map(assertion).collect(),
        TestOrigin::Code | TestOrigin::File | TestOrigin::Generated => Vec::new(),
    }
}

/// A session of one expression and its result, a literal, as an assertion.
fn assertion(session: &str) -> Option<String> {
    let (call, result) = session.trim().split_once('\n')?;
    let call = call.strip_prefix(">>> ")?.trim();
    let (_, rest) = literal(result)?;
    rest.trim()
        .is_empty()
        .then(|| format!("assert {call} == {}", result.trim()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_that_begins_with_one_function_is_described() {
        let stub = "from typing import List\n\n\ndef f(x: List[int],\n      y=1) -> int:\n    \"\"\" Sums.\n\n    >>> f([1])\n    1\n    \"\"\"\n";
        let described = described(stub).unwrap();
        assert_eq!(
            described.signature,
            "def f(x: List[int],\n      y=1) -> int"
        );
        assert_eq!(described.text, "Sums.\n\n>>> f([1])\n1");
        for other in [
            "def f(x):\n    pass\n",
            "def f(x):\n    \"\"\"Sums.\"\"\"\n    return 1\n",
            "def f(x):\n    \"\"\"Sums.\"\"\"\n\ndef g(x):\n    \"\"\"Halves.\"\"\"\n",
            "LIMIT = 1\n\ndef f(x):\n    \"\"\"Sums.\"\"\"\n",
            "def f(x):\n    \"\"\"\n    \"\"\"\n",
            "class A:\n    \"\"\"Sums.\"\"\"\n",
            "def f(x:\n    \"\"\"Sums.\"\"\"\n",
            "Write a function.",
        ] {
            assert_eq!(super::described(other), None, "{other}");
        }
    }

    #[test]
    fn examples_are_told_as_assertions() {
        let test = |origin, source: &str| GivenTest {
            name: String::new(),
            origin,
            source: source.to_owned(),
        };
        let sessions = ">>> f(1)\n[2]\n\n>>> x = 1\n>>> f(x)\n2\n\n>>> f('a')\nTraceback (most recent call last):\nTypeError";
        assert_eq!(
            assertions(&test(TestOrigin::Examples, sessions)),
            ["assert f(1) == [2]"]
        );
        let lines = "assert f(1) == 2\nassert f(2) == 3";
        assert_eq!(
            assertions(&test(TestOrigin::Assertions, lines)),
            ["assert f(1) == 2", "assert f(2) == 3"]
        );
        assert!(assertions(&test(TestOrigin::File, lines)).is_empty());
    }
}
