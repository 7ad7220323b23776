//! What the workflow must know of Python: names that are taken, imports in a file, signatures.

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
pub(crate) fn is_builtin(name: &str) -> bool {
    BUILTINS.binary_search(&name).is_ok()
}

/// Whether `import name` is answered by the standard library.
pub(crate) fn is_standard(name: &str) -> bool {
    STANDARD_LIBRARY.binary_search(&name).is_ok()
}

/// Whether a file may be called this.
pub(crate) fn is_identifier(name: &str) -> bool {
    name.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_')
        && name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_')
        && !KEYWORDS.contains(&name)
}

/// Whether Python takes this for a name, in whatever script it is written.
pub(crate) fn is_name(name: &str) -> bool {
    name.starts_with(|c: char| c.is_alphabetic() || c == '_')
        && name.chars().all(is_name_part)
        && !KEYWORDS.contains(&name)
}

fn is_name_part(c: char) -> bool {
    c.is_alphanumeric() || c == '_'
}

/// The modules that a file imports and that are neither the standard library's nor a test runner's,
/// each once, in order of appearance.
pub(crate) fn foreign_imports(source: &str) -> Vec<String> {
    let mut found: Vec<String> = Vec::new();
    for line in source.lines().map(str::trim) {
        let names: Vec<&str> = if let Some(rest) = line.strip_prefix("from ") {
            rest.split_once(" import ")
                .map(|(name, _)| name)
                .into_iter()
                .collect()
        } else if let Some(rest) = line.strip_prefix("import ") {
            rest.split(',')
                .filter_map(|part| part.split_whitespace().next())
                .collect()
        } else {
            continue;
        };
        for name in names.into_iter().map(str::trim) {
            let top = name.split('.').next().unwrap_or(name);
            let known = top == "pytest" || top == "__future__" || is_standard(top);
            let plain = name.split('.').all(is_identifier);
            if plain && !known && !found.iter().any(|other| other == name) {
                found.push(name.to_owned());
            }
        }
    }
    found
}

/// The name that a signature defines: `f` of `def f(x) -> int`.
pub(crate) fn defined_name(signature: &str) -> Option<&str> {
    let rest = signature.trim().trim_start_matches("async ").trim_start();
    let rest = rest
        .strip_prefix("def ")
        .or_else(|| rest.strip_prefix("class "))?;
    let rest = rest.trim_start();
    let end = rest.find(|c| !is_name_part(c)).unwrap_or(rest.len());
    Some(&rest[..end]).filter(|name| is_name(name))
}

/// The source without its own top-level definitions of these names, and their decorators.
pub(crate) fn without_definitions(source: &str, names: &[&str]) -> String {
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
pub(crate) fn without_own_imports(source: &str, module: &str) -> String {
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
pub(crate) fn mentions(source: &str, name: &str) -> bool {
    let word = is_name_part;
    source.match_indices(name).any(|(at, _)| {
        !source[..at].ends_with(word) && !source[at + name.len()..].starts_with(word)
    })
}

/// The lines of a prompt that define functions or classes at the left margin: the prompt is then
/// itself the beginning of a file, and the file is the plan.
pub(crate) fn stub_signatures(prompt: &str) -> Vec<String> {
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
