//! Determines whether a given test fails because of an error of its own, whatever the code is, as far as its
//! traceback and text show.

use journeyman_syntax::{Kind, Source};

use super::source::{foreign_imports, mentions};
use super::suite::suite;

/// The marks in a test's message after which captured output follows.
const PRINTED: &str = "\nprinted: ";

/// The error of a test that failed in a place that does not use the code; `None` if the code may be involved.
///
/// `message` is pytest's short traceback, and `path` the test file as named in it. An undefined name in the
/// test file is always the test's error, because the code cannot define it there. For any other error, no
/// function in the traceback may mention anything that came from the code, up to the line that failed.
pub(super) fn own_fault<'m>(message: &'m str, path: &str, source: &str) -> Option<&'m str> {
    let message = message.split(PRINTED).next().unwrap_or_default();
    let suite = suite(&Source::of(source));
    if message.contains("[...]") || suite.is_open {
        return None;
    }
    let mut places = Vec::new();
    let mut error = None;
    let mut is_last_own = false;
    for line in message.lines() {
        if let Some((file, number)) = place(line) {
            error = None;
            is_last_own = file == path;
            if is_last_own {
                places.push(number);
            } else if !file.starts_with('/') && !file.starts_with("<frozen ") {
                return None;
            }
        } else if let Some(told) = line.strip_prefix("E ") {
            error.get_or_insert(told.trim());
        }
    }
    let error = error.filter(|_| !places.is_empty())?;
    if error.starts_with("NameError: name '") && is_last_own {
        return Some(error);
    }
    let prepares = ["autouse", "def setup", "def setUp"];
    if prepares.iter().any(|word| source.contains(word)) {
        return None;
    }
    let of_code = names_of_code(source);
    let is_clean = |number: &usize| {
        region(source, *number).is_some_and(|(region, own)| {
            let mut others = of_code.iter().filter(|name| !own.contains(name));
            !others.any(|name| mentions(region, name))
        })
    };
    places.iter().all(is_clean).then_some(error)
}

/// The file and line of `tests/test_m.py:3: in test_f`.
fn place(line: &str) -> Option<(&str, usize)> {
    let (place, _) = line.split_once(": in ")?;
    let (file, number) = place.rsplit_once(':')?;
    let is_file = !file.is_empty() && !line.starts_with("E ") && !line.starts_with(' ');
    number
        .parse()
        .ok()
        .filter(|_| is_file)
        .map(|number| (file, number))
}

/// The names by which a test file refers to the code or to something that may be derived from it.
fn names_of_code(source: &str) -> Vec<String> {
    let mut names: Vec<String> = foreign_imports(source);
    let tops = names
        .iter()
        .filter_map(|name| name.split('.').next().map(str::to_owned));
    let tops: Vec<String> = tops.collect();
    names.extend(tops);
    let definitions = Source::of(source).definitions();
    loop {
        let before = names.len();
        for definition in &definitions {
            let text = source.get(definition.range.clone()).unwrap_or_default();
            if names.iter().any(|name| mentions(text, name)) {
                for name in &definition.names {
                    if !names.contains(name) {
                        names.push(name.clone());
                    }
                }
            }
        }
        if names.len() == before {
            return names;
        }
    }
}

/// The part of a function that has run when a line of it fails, judged by what is above that line, and the
/// function's own names; `None` if that is not clear.
fn region(source: &str, number: usize) -> Option<(&str, Vec<String>)> {
    let starts = source.match_indices('\n').map(|(at, _)| at + 1);
    let starts: Vec<usize> = std::iter::once(0).chain(starts).collect();
    let start = *starts.get(number.checked_sub(1)?)?;
    let end = starts.get(number).copied().unwrap_or(source.len());
    let definitions = Source::of(source).definitions();
    let holder = definitions
        .into_iter()
        .find(|one| one.range.contains(&start))?;
    let whole = source.get(holder.range.start..end)?;
    match holder.kind {
        Kind::Function | Kind::AsyncFunction => Some((whole, holder.names)),
        // What a class has of its own may be made elsewhere in it.
        Kind::Class => {
            let at = whole.rfind("def ")?;
            let plain = whole.get(at..)?.replace("self.assert", "");
            let above = whole
                .get(..at)?
                .trim_end()
                .lines()
                .last()
                .unwrap_or_default();
            let is_plain = !plain.contains("self.") && !plain.contains("cls.");
            let is_plain = is_plain && !above.trim_start().starts_with('@');
            let own = whole.get(at..).filter(|_| is_plain);
            own.map(|own| (own, holder.names))
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_test_is_at_fault_only_where_nothing_of_the_code_is_used() {
        let head = "import json\nfrom p.a import f as g\nimport pytest\n\nMADE = g()\n\ndef read(name):\n    return open(name).read()\n\n";
        let trace = |entries: &[(&str, usize)], error: &str| {
            let entries = entries
                .iter()
                .map(|(file, line)| format!("{file}:{line}: in x\n    y\n"));
            format!(
                "{}E   {error}\nprinted: p.py:1: in q",
                entries.collect::<String>()
            )
        };
        let (own, data) = ("tests/test_a.py", "FileNotFoundError: 'd.json'");
        for (body, entries, error, is_own) in [
            (
                "def test_f():\n    assert g() == math.floor(1)\n",
                &[(own, 11)][..],
                "NameError: name 'math' is not defined",
                true,
            ),
            (
                "def test_f():\n    assert g() == 1\n",
                &[(own, 11), ("p/a.py", 2)],
                "NameError: name 'math' is not defined",
                false,
            ),
            (
                "from p.a import *\ndef test_f():\n    assert h() == 1\n",
                &[(own, 12)],
                "NameError: name 'h' is not defined",
                false,
            ),
            (
                "def test_f():\n    d = open('d.json')\n    assert g() == d\n",
                &[(own, 11)],
                data,
                true,
            ),
            (
                "def test_f():\n    d = read('d.json')\n    assert g() == d\n",
                &[(own, 11), (own, 8)],
                data,
                true,
            ),
            (
                "def test_f(tmp_path):\n    g(tmp_path)\n    d = read('d.json')\n",
                &[(own, 12), (own, 8)],
                data,
                false,
            ),
            (
                "def test_f():\n    d = read(MADE)\n",
                &[(own, 11), (own, 8)],
                data,
                false,
            ),
            (
                "@pytest.fixture\ndef data():\n    return json.load(open('d.json'))\n\ndef test_f(data): g(data)\n",
                &[(own, 12)],
                data,
                true,
            ),
            (
                "@pytest.fixture\ndef data():\n    return g().load(open('d.json'))\n\ndef test_f(data): g(data)\n",
                &[(own, 12)],
                data,
                false,
            ),
            (
                "def test_f():\n    json.loads('{')\n",
                &[(own, 11), ("/usr/lib/json/__init__.py", 3)],
                "JSONDecodeError: x",
                true,
            ),
            (
                "def test_f():\n    assert g() == 2\n",
                &[(own, 11)],
                "assert 1 == 2",
                false,
            ),
            (
                "def test_f():\n    typing.get_type_hints(g)\n",
                &[(own, 11), ("/usr/lib/typing.py", 3)],
                "NameError: name 'X' is not defined",
                false,
            ),
            (
                "class TestF:\n    def test_f(self):\n        open('d.json')\n        g()\n",
                &[(own, 12)],
                data,
                true,
            ),
            (
                "class TestF:\n    def test_f(self):\n        open(self.name)\n        g()\n",
                &[(own, 12)],
                data,
                false,
            ),
            (
                "def test_f():\n    exec(g())\n",
                &[(own, 11), ("<string>", 1)],
                "NameError: name 'x' is not defined",
                false,
            ),
        ] {
            let source = format!("{head}{body}");
            let message = trace(entries, error);
            let found = own_fault(&message, own, &source);
            assert_eq!(found, is_own.then_some(error), "{body}");
        }
    }
}
