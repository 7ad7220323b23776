//! What the workflow must know of Python: names that are taken, imports in a file, signatures.

use std::fmt::Write;

use journeyman_syntax::{Kind, Source};

/// Top-level modules of `CPython` 3.11's standard library (`sys.stdlib_module_names`): a module of a
/// task that bore such a name would hide it, and an import of one needs no module of the task.
#[rustfmt::skip]
const STANDARD_LIBRARY: &[&str] = &[
    "abc", "aifc", "antigravity", "argparse", "array", "ast", "asynchat", "asyncio",
    "asyncore", "atexit", "audioop", "base64", "bdb", "binascii", "bisect", "builtins", "bz2",
    "cProfile", "calendar", "cgi", "cgitb", "chunk", "cmath", "cmd", "code", "codecs",
    "codeop", "collections", "colorsys", "compileall", "concurrent", "configparser",
    "contextlib", "contextvars", "copy", "copyreg", "crypt", "csv", "ctypes", "curses",
    "dataclasses", "datetime", "dbm", "decimal", "difflib", "dis", "distutils", "doctest",
    "email", "encodings", "ensurepip", "enum", "errno", "faulthandler", "fcntl", "filecmp",
    "fileinput", "fnmatch", "fractions", "ftplib", "functools", "gc", "genericpath", "getopt",
    "getpass", "gettext", "glob", "graphlib", "grp", "gzip", "hashlib", "heapq", "hmac",
    "html", "http", "idlelib", "imaplib", "imghdr", "imp", "importlib", "inspect", "io",
    "ipaddress", "itertools", "json", "keyword", "lib2to3", "linecache", "locale", "logging",
    "lzma", "mailbox", "mailcap", "marshal", "math", "mimetypes", "mmap", "modulefinder",
    "msilib", "msvcrt", "multiprocessing", "netrc", "nis", "nntplib", "nt", "ntpath",
    "nturl2path", "numbers", "opcode", "operator", "optparse", "os", "ossaudiodev", "pathlib",
    "pdb", "pickle", "pickletools", "pipes", "pkgutil", "platform", "plistlib", "poplib",
    "posix", "posixpath", "pprint", "profile", "pstats", "pty", "pwd", "py_compile", "pyclbr",
    "pydoc", "pydoc_data", "pyexpat", "queue", "quopri", "random", "re", "readline", "reprlib",
    "resource", "rlcompleter", "runpy", "sched", "secrets", "select", "selectors", "shelve",
    "shlex", "shutil", "signal", "site", "smtpd", "smtplib", "sndhdr", "socket",
    "socketserver", "spwd", "sqlite3", "sre_compile", "sre_constants", "sre_parse", "ssl",
    "stat", "statistics", "string", "stringprep", "struct", "subprocess", "sunau", "symtable",
    "sys", "sysconfig", "syslog", "tabnanny", "tarfile", "telnetlib", "tempfile", "termios",
    "textwrap", "this", "threading", "time", "timeit", "tkinter", "token", "tokenize",
    "tomllib", "trace", "traceback", "tracemalloc", "tty", "turtle", "turtledemo", "types",
    "typing", "unicodedata", "unittest", "urllib", "uu", "uuid", "venv", "warnings", "wave",
    "weakref", "webbrowser", "winreg", "winsound", "wsgiref", "xdrlib", "xml", "xmlrpc",
    "zipapp", "zipfile", "zipimport", "zlib", "zoneinfo",
];

const KEYWORDS: &[&str] = &[
    "False", "None", "True", "and", "as", "assert", "async", "await", "break", "class", "continue",
    "def", "del", "elif", "else", "except", "finally", "for", "from", "global", "if", "import",
    "in", "is", "lambda", "nonlocal", "not", "or", "pass", "raise", "return", "try", "while",
    "with", "yield",
];

/// What Python 3.11 has without an import (`dir(builtins)`), sorted.
#[rustfmt::skip]
const BUILTINS: &[&str] = &[
    "ArithmeticError", "AssertionError", "AttributeError", "BaseException", "BaseExceptionGroup",
    "BlockingIOError", "BrokenPipeError", "BufferError", "BytesWarning", "ChildProcessError",
    "ConnectionAbortedError", "ConnectionError", "ConnectionRefusedError", "ConnectionResetError",
    "DeprecationWarning", "EOFError", "Ellipsis", "EncodingWarning", "EnvironmentError", "Exception",
    "ExceptionGroup", "False", "FileExistsError", "FileNotFoundError", "FloatingPointError", "FutureWarning",
    "GeneratorExit", "IOError", "ImportError", "ImportWarning", "IndentationError", "IndexError",
    "InterruptedError", "IsADirectoryError", "KeyError", "KeyboardInterrupt", "LookupError", "MemoryError",
    "ModuleNotFoundError", "NameError", "None", "NotADirectoryError", "NotImplemented", "NotImplementedError",
    "OSError", "OverflowError", "PendingDeprecationWarning", "PermissionError", "ProcessLookupError",
    "RecursionError", "ReferenceError", "ResourceWarning", "RuntimeError", "RuntimeWarning",
    "StopAsyncIteration", "StopIteration", "SyntaxError", "SyntaxWarning", "SystemError", "SystemExit",
    "TabError", "TimeoutError", "True", "TypeError", "UnboundLocalError", "UnicodeDecodeError",
    "UnicodeEncodeError", "UnicodeError", "UnicodeTranslateError", "UnicodeWarning", "UserWarning",
    "ValueError", "Warning", "ZeroDivisionError", "abs", "aiter", "all", "anext", "any", "ascii", "bin",
    "bool", "breakpoint", "bytearray", "bytes", "callable", "chr", "classmethod", "compile", "complex",
    "copyright", "credits", "delattr", "dict", "dir", "divmod", "enumerate", "eval", "exec", "exit", "filter",
    "float", "format", "frozenset", "getattr", "globals", "hasattr", "hash", "help", "hex", "id", "input",
    "int", "isinstance", "issubclass", "iter", "len", "license", "list", "locals", "map", "max", "memoryview",
    "min", "next", "object", "oct", "open", "ord", "pow", "print", "property", "quit", "range", "repr",
    "reversed", "round", "set", "setattr", "slice", "sorted", "staticmethod", "str", "sum", "super", "tuple",
    "type", "vars", "zip",
];

/// Whether `name` is one of those.
pub fn is_builtin(name: &str) -> bool {
    BUILTINS.binary_search(&name).is_ok()
}

/// Whether `import name` is answered by the standard library.
pub fn is_standard(name: &str) -> bool {
    STANDARD_LIBRARY.binary_search(&name).is_ok()
}

/// What the test runner is made of: a module of a task that bore such a name would be loaded in its stead.
const TEST_RUNNER: &[&str] = &[
    "_pytest",
    "exceptiongroup",
    "iniconfig",
    "packaging",
    "pip",
    "pluggy",
    "py",
    "pygments",
    "pytest",
    "setuptools",
    "tomli",
    "typing_extensions",
];

fn is_runners(name: &str) -> bool {
    TEST_RUNNER.contains(&name)
}

/// Whether a module of a task must not be called this: it would hide one that Python or the test
/// runner needs, or the folder of the tests.
pub fn is_taken(name: &str) -> bool {
    is_standard(name) || is_runners(name) || name == "tests"
}

/// Whether a module of this name holds tests: `test_x` does, `testimonials` does not.
pub fn is_test_module(name: &str) -> bool {
    ["test", "tests", "conftest"].contains(&name)
        || name.starts_with("test_")
        || name.ends_with("_test")
}

/// Whether a file may be called this.
pub fn is_identifier(name: &str) -> bool {
    name.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_')
        && name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_')
        && !KEYWORDS.contains(&name)
}

/// How letters beyond ASCII are written with it; others by their number.
const LETTERS: &[(&str, &str)] = &[
    ("äæ", "ae"),
    ("öœ", "oe"),
    ("ü", "ue"),
    ("ß", "ss"),
    ("þ", "th"),
    ("àáâãåāăą", "a"),
    ("çćč", "c"),
    ("ďđð", "d"),
    ("èéêëēęě", "e"),
    ("ğ", "g"),
    ("ìíîïīı", "i"),
    ("ł", "l"),
    ("ñńň", "n"),
    ("òóôõøōő", "o"),
    ("ř", "r"),
    ("śşš", "s"),
    ("ťţ", "t"),
    ("ùúûūůű", "u"),
    ("ýÿ", "y"),
    ("źżž", "z"),
];

/// A name with no letters but those of ASCII, as files are called: `größe` is `groesse`.
pub fn transliterated(name: &str) -> String {
    let mut plain = String::new();
    for c in name.chars() {
        if c.is_ascii() || !c.is_alphabetic() {
            plain.push(c);
            continue;
        }
        for small in c.to_lowercase() {
            match LETTERS.iter().find(|(letters, _)| letters.contains(small)) {
                Some((_, ascii)) => plain.push_str(ascii),
                None => {
                    let _ = write!(plain, "u{:x}", u32::from(small));
                }
            }
        }
    }
    plain
}

/// A name that a file may have: letters are transliterated, and what a name of Python must not begin
/// with, or be, gets an underscore.
pub fn file_name_of(name: &str) -> String {
    let plain = transliterated(name);
    if plain.is_empty() || plain.starts_with(|c: char| c.is_ascii_digit()) {
        return format!("_{plain}");
    }
    if KEYWORDS.contains(&plain.as_str()) {
        return format!("{plain}_");
    }
    plain
}

/// Whether Python takes this for a name, in whatever script it is written.
pub fn is_name(name: &str) -> bool {
    name.starts_with(|c: char| c.is_alphabetic() || c == '_')
        && name.chars().all(is_name_part)
        && !KEYWORDS.contains(&name)
}

fn is_name_part(c: char) -> bool {
    c.is_alphanumeric() || c == '_'
}

/// The modules that a file imports and that are neither the standard library's nor a test runner's,
/// each once, in order of appearance. What stands in strings is no import.
pub fn foreign_imports(source: &str) -> Vec<String> {
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

/// What a file imports by name from a module.
pub fn imported_from(source: &str, module: &str) -> Vec<String> {
    let imports = Source::of(source).imports().into_iter();
    let names = imports
        .filter(|import| import.module == module)
        .flat_map(|import| import.names);
    names.filter(|name| name != "*").collect()
}

/// Packages that people test with or import out of habit. None is there where the code runs, and none
/// is what a task is to write.
const THIRD_PARTY: &[&str] = &[
    "aiohttp",
    "attr",
    "attrs",
    "bs4",
    "click",
    "django",
    "faker",
    "fastapi",
    "flask",
    "freezegun",
    "httpx",
    "hypothesis",
    "jax",
    "jinja2",
    "matplotlib",
    "mock",
    "nose",
    "numpy",
    "pandas",
    "parameterized",
    "pil",
    "PIL",
    "psycopg2",
    "pydantic",
    "pytest_asyncio",
    "pytest_mock",
    "redis",
    "requests",
    "requests_mock",
    "responses",
    "rich",
    "scipy",
    "seaborn",
    "selenium",
    "six",
    "sklearn",
    "sqlalchemy",
    "tensorflow",
    "torch",
    "tqdm",
    "typer",
    "yaml",
];

/// Whether an import is answered by a package that people know, and that is not there.
pub fn is_third_party(module: &str) -> bool {
    THIRD_PARTY.contains(&module.split('.').next().unwrap_or(module))
}

/// The names that a file does not define at its left margin; none is missing where it does not parse,
/// for then nobody knows, or takes all there is from another module.
pub fn undefined<'n>(source: &str, names: &[&'n str]) -> Vec<&'n str> {
    let source = Source::of(source);
    let defined = source.defined();
    if !source.parses() || defined.contains("*") {
        return Vec::new();
    }
    let missing = names.iter().filter(|&&name| !defined.contains(name));
    missing.copied().collect()
}

/// A file with what it leaves out and needs, from another text: definitions of `names`, and whatever
/// is mentioned in the file or in what is added, with something to run in them, and imports.
pub fn completed_from(source: &str, known: &str, names: &[&str]) -> String {
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

/// A file whose imports name modules of the task in full: `from core import add` in the package
/// `shop` means `shop.core`.
pub fn with_full_imports(source: &str, modules: &[&str]) -> String {
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

/// The name that a signature defines: `f` of `def f(x) -> int`.
pub fn defined_name(signature: &str) -> Option<&str> {
    let rest = signature.trim().trim_start_matches("async ").trim_start();
    let rest = rest
        .strip_prefix("def ")
        .or_else(|| rest.strip_prefix("class "))?;
    let rest = rest.trim_start();
    let end = rest.find(|c| !is_name_part(c)).unwrap_or(rest.len());
    Some(&rest[..end]).filter(|name| is_name(name))
}

/// The source without its own top-level definitions of these names, and their decorators.
pub fn without_definitions(source: &str, names: &[&str]) -> String {
    let mut kept: Vec<&str> = Vec::new();
    let mut inside = false;
    for line in source.lines() {
        let at_margin = !line.starts_with([' ', '\t', ')']) && !line.trim().is_empty();
        if at_margin {
            inside = defined_name(line).is_some_and(|name| names.contains(&name));
            while inside && kept.last().is_some_and(|last| last.starts_with('@')) {
                kept.pop();
            }
        }
        if !inside {
            kept.push(line);
        }
    }
    let mut text = kept.join("\n");
    text.push('\n');
    text
}

/// The source of a module without its imports of itself: small models copy them from the tests, and
/// names that are not defined yet cannot be imported.
pub fn without_own_imports(source: &str, module: &str) -> String {
    let is_own = |line: &&str| {
        let from = line
            .strip_prefix("from ")
            .and_then(|rest| rest.split_once(" import "));
        let import = line.strip_prefix("import ").map(str::trim);
        // One that goes on over several lines is left to the tests to find.
        from.is_some_and(|(name, what)| name.trim() == module && !what.contains(['(', '\\']))
            || import == Some(module)
    };
    let mut text: Vec<&str> = source.lines().filter(|line| !is_own(line)).collect();
    text.push("");
    text.join("\n")
}

/// Whether `source` uses `name` as a word.
pub fn mentions(source: &str, name: &str) -> bool {
    let word = is_name_part;
    source.match_indices(name).any(|(at, _)| {
        !source[..at].ends_with(word) && !source[at + name.len()..].starts_with(word)
    })
}

/// The lines of a prompt that define functions or classes at the left margin: the prompt is then
/// itself the beginning of a file, and the file is the plan.
pub fn stub_signatures(prompt: &str) -> Vec<String> {
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_standard_library_is_sorted_so_that_it_can_be_searched() {
        assert!(STANDARD_LIBRARY.is_sorted());
        assert!(is_standard("email") && !is_standard("emails"));
        assert!(BUILTINS.is_sorted() && is_builtin("sorted") && !is_builtin("sort"));
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
    fn names_that_are_taken_are_told_from_those_that_only_look_so() {
        for (name, is_test, taken) in [
            ("testimonials", false, false),
            ("test_x", true, false),
            ("tests", true, true),
            ("contest", false, false),
            ("x_test", true, false),
            ("pluggy", false, true),
            ("pytest", false, true),
            ("email", false, true),
            ("plug", false, false),
        ] {
            assert_eq!(
                (is_test_module(name), is_taken(name)),
                (is_test, taken),
                "{name}"
            );
        }
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
    }

    #[test]
    fn a_module_does_not_import_itself() {
        let source = "import re\nfrom a.b import *\nimport a.b\nfrom a.b import (\n    f,\n)\nfrom a.c import g\nx = 1\n";
        let rest = "import re\nfrom a.b import (\n    f,\n)\nfrom a.c import g\nx = 1\n";
        assert_eq!(without_own_imports(source, "a.b"), rest);
        assert_eq!(without_own_imports(rest, "a"), rest);
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
