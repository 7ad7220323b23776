//! Analyses and corrects Python sources: their imports and definitions.

use std::collections::BTreeSet;
use std::ops::Range;

use journeyman_event::payload::{GivenTest, TestOrigin};
use journeyman_syntax::{Kind, Node, Source};

use super::names::{is_builtin, is_identifier, is_name, is_name_part, is_runners, is_standard};

/// The modules imported by a file that belong neither to the standard library nor to a test runner, each once,
/// in order of appearance. Text in strings does not count.
pub(super) fn foreign_imports(source: &str) -> Vec<String> {
    let mut found: Vec<String> = Vec::new();
    let imports = Source::of(source).imports().into_iter();
    for import in imports.filter(|import| !import.is_relative) {
        let name = import.module;
        let top = name.split('.').next().unwrap_or(&name);
        let known = is_runners(top) || top == "__future__" || is_standard(top);
        let plain = name.split('.').all(is_identifier);
        if plain && !known && !found.contains(&name) {
            found.push(name);
        }
    }
    found
}

/// The names that a file imports from a module.
pub(super) fn imported_from(source: &str, module: &str) -> Vec<String> {
    let imports = Source::of(source).imports().into_iter();
    let names = imports
        .filter(|import| import.module == module)
        .flat_map(|import| import.names);
    names.filter(|name| name != "*").collect()
}

/// Which of the names a file does not define at top level. Empty if the file does not parse or imports
/// everything from another module, because then it cannot be determined.
pub(super) fn undefined<'n>(source: &str, names: &[&'n str]) -> Vec<&'n str> {
    let source = Source::of(source);
    let defined = source.defined();
    if !source.parses() || defined.contains("*") {
        return Vec::new();
    }
    let missing = names.iter().filter(|&&name| !defined.contains(name));
    missing.copied().collect()
}

/// A file completed with definitions and imports from another text: those of `names`, and everything mentioned
/// in the file or in what is added. Only definitions with code in their bodies are used.
pub(super) fn completed_from(source: &str, known: &str, names: &[&str]) -> String {
    let read = Source::of(source);
    if !read.parses() {
        return source.to_owned();
    }
    let mut defined = read.defined();
    let (mut above, mut below) = (String::new(), String::new());
    let all = Source::of(known).definitions();
    loop {
        let text = format!("{above}{source}{below}");
        let next = all.iter().find(|definition| {
            definition.has_body
                && definition.names.iter().any(|name| {
                    let wanted = names.contains(&name.as_str()) || mentions(&text, name);
                    wanted && !defined.contains(name)
                })
        });
        let Some(next) = next else {
            return text;
        };
        defined.extend(next.names.iter().cloned());
        let part = known.get(next.range.clone()).unwrap_or_default().trim_end();
        match next.kind {
            // A `from __future__` would have to stay the first.
            Kind::Import => above = format!("{part}\n{above}"),
            Kind::Value => above = format!("{above}{part}\n"),
            _ => below = format!("{below}\n\n{part}\n"),
        }
    }
}

/// A file whose imports of the task's modules use full names: `from core import add` in the package `shop`
/// becomes an import from `shop.core`.
pub(super) fn with_full_imports(source: &str, modules: &[&str]) -> String {
    let mut text = source.to_owned();
    // From the end, so that what is not changed yet stays where it is.
    for import in Source::of(source).imports().into_iter().rev() {
        let full = modules.iter().find(|full| {
            full.rsplit_once('.')
                .is_some_and(|(_, leaf)| leaf == import.module)
        });
        let Some((full, (package, leaf))) =
            full.and_then(|full| Some((*full, full.rsplit_once('.')?)))
        else {
            continue;
        };
        if import.is_relative || modules.contains(&import.module.as_str()) || is_standard(leaf) {
            continue;
        }
        if !import.names.is_empty() {
            text.replace_range(import.range, full);
        } else if let Some(line) = source[..import.range.start].strip_suffix("import ") {
            // Only where it stands alone: `import core` and not `import re, core`.
            let rest = &source[import.range.end..];
            if !rest.trim_start_matches(' ').starts_with(',') {
                text.replace_range(
                    line.len()..import.range.end,
                    &format!("from {package} import {leaf}"),
                );
            }
        }
    }
    text
}

/// The name defined by a signature: `f` for `def f(x) -> int`. Parsed by hand, because a signature without a
/// body is not valid Python, and neither is one that a model shortened, such as `def f(...)`.
pub(super) fn defined_name(signature: &str) -> Option<&str> {
    let rest = signature.trim().trim_start_matches("async ").trim_start();
    let rest = rest
        .strip_prefix("def ")
        .or_else(|| rest.strip_prefix("class "))?;
    let rest = rest.trim_start();
    let end = rest.find(|c| !is_name_part(c)).unwrap_or(rest.len());
    Some(&rest[..end]).filter(|name| is_name(name))
}

/// The source without its own top-level functions and classes of these names, and their decorators.
pub(super) fn without_definitions(source: &str, names: &[&str]) -> String {
    let read = Source::of(source);
    let ranges = read.definitions().into_iter().filter_map(|definition| {
        let is_code = !matches!(definition.kind, Kind::Import | Kind::Value);
        let is_named = definition
            .names
            .iter()
            .any(|name| names.contains(&name.as_str()));
        let start = definition.range.start;
        let at_margin = start == 0 || source[..start].ends_with('\n');
        let rest = source.get(definition.range.end..).unwrap_or_default();
        let blank = rest
            .split_inclusive('\n')
            .take_while(|line| line.trim().is_empty());
        let end = definition.range.end + blank.map(str::len).sum::<usize>();
        (is_code && is_named && at_margin).then_some(start..end)
    });
    without(source, ranges)
}

/// The source of a module without imports of itself. Small models copy such imports from the tests, and they
/// fail because the names are not defined yet.
pub(super) fn without_own_imports(source: &str, module: &str) -> String {
    let read = Source::of(source);
    let statements = read.root().map(Node::children).unwrap_or_default();
    let is_own = |statement: &Node<'_>| {
        let name = match statement.kind() {
            "import_from_statement" => statement.field("module_name"),
            "import_statement" => match statement.fields("name").as_slice() {
                [name] => Some(*name),
                _ => None,
            },
            _ => None,
        };
        // One that goes on over several lines is left to the tests to find.
        statement.row() == statement.end_row() && name.is_some_and(|name| name.text() == module)
    };
    let own = statements.into_iter().filter(is_own);
    let lines = own.filter_map(|statement| {
        let Range { start, end } = statement.range();
        let rest = source
            .get(end..)?
            .split_inclusive('\n')
            .next()
            .unwrap_or_default();
        let is_last = rest.trim().is_empty() || rest.trim_start().starts_with('#');
        is_last.then_some(start..end + rest.len())
    });
    without(source, lines)
}

/// A text without these ranges, which are sorted.
fn without(text: &str, pieces: impl Iterator<Item = Range<usize>>) -> String {
    let mut kept = String::new();
    let mut from = 0;
    for piece in pieces {
        kept.push_str(text.get(from..piece.start).unwrap_or_default());
        from = piece.end;
    }
    kept.push_str(text.get(from..).unwrap_or_default());
    kept
}

/// Whether `source` contains `name` as a word.
pub(super) fn mentions(source: &str, name: &str) -> bool {
    let word = is_name_part;
    source.match_indices(name).any(|(at, _)| {
        !source[..at].ends_with(word) && !source[at + name.len()..].starts_with(word)
    })
}

/// The lines of a prompt that define functions or classes at top level. The prompt is then itself the beginning
/// of a file, which is the plan. Parsed by hand, because what follows may be prose.
pub(super) fn stub_signatures(prompt: &str) -> Vec<String> {
    let first = prompt
        .lines()
        .find(|line| !line.trim().is_empty())
        .unwrap_or_default();
    let begins = [
        "def ",
        "class ",
        "import ",
        "from ",
        "async def ",
        "@",
        "\"\"\"",
    ];
    let assigns = first
        .split_once(" = ")
        .is_some_and(|(name, _)| is_identifier(name));
    let is_code = (begins.iter().any(|start| first.starts_with(start)) || assigns)
        && (!first.starts_with("from ") || first.contains(" import "));
    if !is_code {
        return Vec::new();
    }
    prompt
        .lines()
        .filter(|line| defined_name(line).is_some() && !line.starts_with(' '))
        .filter(|line| line.trim_end().ends_with(':'))
        .map(|line| line.trim_end().trim_end_matches(':').to_owned())
        .collect()
}

/// Names that given tests call and do not define: directly at the start of an example or assertion (`f` for
/// `>>> f(1)`), and anywhere in code.
pub(super) fn called_names(test: &GivenTest) -> BTreeSet<String> {
    if test.origin == TestOrigin::Code {
        let (called, _) = Source::of(&test.source).names();
        return called
            .into_iter()
            .filter(|name| !is_builtin(name))
            .collect();
    }
    test.source
        .lines()
        .filter_map(|line| {
            line.strip_prefix(">>> ")
                .or_else(|| line.strip_prefix("assert "))
        })
        .map(|line| line.trim_start_matches("not ").trim_start())
        .filter_map(|line| {
            let end = line.find(|c: char| !(c.is_alphanumeric() || c == '_'))?;
            line[end..].starts_with('(').then_some(&line[..end])
        })
        .filter(|name| is_name(name) && !is_builtin(name))
        .map(str::to_owned)
        .collect()
}

/// A model's signature on one line and with `def` before it; `None` if it defines nothing.
pub(super) fn signature(text: &str) -> Option<String> {
    let first = text.lines().map(str::trim).find(|line| !line.is_empty())?;
    let first = first.trim_end_matches(':').trim_end();
    let signature = if defined_name(first).is_some() {
        first.to_owned()
    } else {
        format!("def {first}")
    };
    defined_name(&signature)?;
    Some(signature)
}

/// A person's signature, written like a call or with `def`; `None` unless all of it is a signature.
pub(super) fn whole_signature(text: &str) -> Option<String> {
    let text = text.trim().trim_end_matches(':');
    let signature = if text.starts_with("def ") || text.starts_with("async def ") {
        text.to_owned()
    } else {
        format!("def {text}")
    };
    let is_whole =
        signature.contains('(') && Source::of(&format!("{signature}:\n    pass\n")).parses();
    is_whole.then_some(signature)
}

/// A test file that imports `names` from the module under test and does not define them itself. Small models
/// forget imports they were told to write, and write the code under test into the test file, which would then
/// test itself. A module that is not called as the task calls it, because the library has one of that name, is imported by
/// its own name: `from queue import push` becomes an import from `queue_module`.
pub(super) fn tests_of(source: &str, module: &str, names: &[&str]) -> String {
    let source = without_definitions(source, names);
    let source = with_imports_of_its_own(&source, module, names);
    let is_imported = foreign_imports(&source).iter().any(|name| name == module);
    if is_imported || names.is_empty() {
        return source;
    }
    let names = names.join(", ");
    format!("import pytest\nfrom {module} import {names}\n\n{source}")
}

/// A test file in which what is imported of `names` from the library's module, whose name the module under test was to have,
/// is imported from the module under test.
fn with_imports_of_its_own(source: &str, module: &str, names: &[&str]) -> String {
    let mut text = source.to_owned();
    let leaf = module.rsplit('.').next().unwrap_or(module);
    let called = leaf.strip_suffix("_module").unwrap_or(leaf);
    if !is_standard(called) {
        return text;
    }
    // From the end, so that what is not changed yet stays where it is.
    for import in Source::of(source).imports().into_iter().rev() {
        let uses = names.iter().any(|name| {
            import.names.iter().any(|taken| taken == name)
                || import.names.is_empty() && source.contains(&format!("{called}.{name}("))
        });
        if import.is_relative || import.module != called || !uses {
            continue;
        }
        if !import.names.is_empty() {
            text.replace_range(import.range, module);
        } else if import.is_plain {
            text.replace_range(import.range, &format!("{module} as {called}"));
        }
    }
    text
}

/// The heads of functions, classes and methods, each on one line, without bodies.
pub(super) fn outline(source: &str) -> String {
    let outline = Source::of(source).outline();
    let mut depths: Vec<usize> = Vec::new();
    let mut lines: Vec<String> = Vec::new();
    for item in &outline.items {
        let depth = item.parent.map_or(0, |parent| depths[parent] + 1);
        depths.push(depth);
        lines.push(format!("{}{}:", "    ".repeat(depth), item.signature));
    }
    lines.join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_test_of_a_module_called_as_one_of_the_library_imports_the_task_s() {
        for (source, module, imported) in [
            (
                "from queue import push\n",
                "queue_module",
                "from queue_module import push\n",
            ),
            (
                "from queue import push\n",
                "shop.queue",
                "from shop.queue import push\n",
            ),
            (
                "import queue\ndef test_a():\n    queue.push(1)\n",
                "queue_module",
                "import queue_module as queue\ndef test_a():\n    queue.push(1)\n",
            ),
        ] {
            assert_eq!(tests_of(source, module, &["push"]), imported, "{source}");
        }
        let library = "from queue import Queue\nfrom queue_module import push\n";
        assert_eq!(tests_of(library, "queue_module", &["push"]), library);
    }

    #[test]
    fn imports_of_the_task_are_told_from_those_of_the_library() {
        let source = "import re, shop.cart as c\nfrom validators.email import check\nimport pytest\n\
                      from . import x\nimport os.path\nfrom validators.email import more\n";
        assert_eq!(foreign_imports(source), ["shop.cart", "validators.email"]);
    }

    #[test]
    fn imports_in_strings_are_none_and_names_in_full_are_known() {
        let source =
            "QQQ\nimport numpy\nQQQ\ntry:\n    import slug\nexcept ImportError:\n    pass\n"
                .replace("QQQ", "\"\"\"");
        assert_eq!(foreign_imports(&source), ["slug"]);
        let modules = ["shop.core", "shop.json", "flat"];
        for (source, full) in [
            ("from core import add\n", "from shop.core import add\n"),
            (
                "import core\ncore.f()\n",
                "from shop import core\ncore.f()\n",
            ),
            ("import core as c\n", "from shop import core as c\n"),
            ("from .core import add\n", "from .core import add\n"),
            (
                "from shop.core import add\nimport json, flat\n",
                "from shop.core import add\nimport json, flat\n",
            ),
            (
                "s = 'from core import add'\n",
                "s = 'from core import add'\n",
            ),
        ] {
            assert_eq!(with_full_imports(source, &modules), full);
        }
    }

    #[test]
    fn what_a_file_leaves_out_and_needs_is_put_back() {
        let known = "from typing import List\nimport re\nLIMIT = 3\n\ndef helper(x):\n    return LIMIT\n\n\
                     def unused():\n    return 1\n\ndef f(x: List):\n    \"\"\"Doc.\"\"\"\n";
        let file = "def f(x: List):\n    return helper(x)\n";
        let whole = "from typing import List\nLIMIT = 3\ndef f(x: List):\n    return helper(x)\n\n\ndef helper(x):\n    return LIMIT\n";
        assert_eq!(completed_from(file, known, &["f"]), whole);
        assert_eq!(completed_from(whole, known, &["f"]), whole);
        // A body that only describes is nothing to put back.
        assert_eq!(
            undefined(&completed_from("x = 1\n", known, &["f"]), &["f"]),
            ["f"]
        );
        assert!(undefined("def f(:\n", &["f"]).is_empty());
        assert!(undefined("from m import *\n", &["f"]).is_empty());
    }

    #[test]
    fn a_prompt_that_begins_as_code_is_its_own_plan() {
        let stub =
            "from typing import List\n\n\ndef f(x: List[int]) -> int:\n    \"\"\"Sums.\"\"\"\n";
        assert_eq!(stub_signatures(stub), ["def f(x: List[int]) -> int"]);
        let constant = "LIMIT = \"\"\"\nten\n\"\"\"\n\ndef f(x):\n    pass\n";
        assert_eq!(stub_signatures(constant), ["def f(x)"]);
        assert!(stub_signatures("from now on, write def f(x):").is_empty());
        assert!(stub_signatures("Write a function\ndef f(x):").is_empty());
    }

    #[test]
    fn definitions_go_with_all_that_is_theirs() {
        let source = "import m\n\n@cache\ndef f(\n    x,\n):\n    if x:\n\n        return 1\n\ndef test_f():\n    def f():\n        pass\n    assert f(1)\n";
        let rest = "import m\n\ndef test_f():\n    def f():\n        pass\n    assert f(1)\n";
        assert_eq!(without_definitions(source, &["f"]), rest);
        assert_eq!(without_definitions(source, &["g"]), source);
        let quoted = "TEXT = '''\ndef f(x):\n    pass\n'''\nif TEXT:\n    def f(): pass\nf = f\n";
        assert_eq!(without_definitions(quoted, &["f"]), quoted);
    }

    #[test]
    fn a_module_does_not_import_itself() {
        let source = "import re\nfrom a.b import *  # all\nimport a.b\nfrom a.b import (\n    f,\n)\nfrom a.c import g\nx = 1\n";
        let rest = "import re\nfrom a.b import (\n    f,\n)\nfrom a.c import g\nx = 1\n";
        assert_eq!(without_own_imports(source, "a.b"), rest);
        assert_eq!(without_own_imports(rest, "a"), rest);
        let quoted = "'''\nimport a.b\n'''\nimport a.b, a.c\nimport a.b as b\nfrom .b import f\n";
        assert_eq!(without_own_imports(quoted, "a.b"), quoted);
    }

    #[test]
    fn a_name_is_a_whole_word() {
        assert!(mentions("x = add(1)", "add"));
        assert!(!mentions("x = padded(1)", "add"));
        assert_eq!(defined_name("async def go(x)"), Some("go"));
        assert_eq!(defined_name("class A(B)"), Some("A"));
        assert_eq!(defined_name("define x"), None);
        assert_eq!(defined_name("def größe(x)"), Some("größe"));
        assert!(!mentions("x = größer(1)", "größe"));
    }
}
