//! Names in Python: reserved ones, those available without an import, and valid file names.

use std::fmt::Write;

/// The top-level modules of the standard library of `CPython` 3.11 (`sys.stdlib_module_names`). A module of a
/// task with such a name would shadow it, and an import of one needs no module of the task. They are listed
/// here instead of queried, because decisions about a task must not depend on the installed interpreter; a test
/// compares the list with one.
#[rustfmt::skip]
pub const STANDARD_LIBRARY: &[&str] = &[
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

/// The builtin names of Python 3.11 (`dir(builtins)`), sorted.
#[rustfmt::skip]
pub const BUILTINS: &[&str] = &[
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

/// Whether `name` is a builtin.
pub(super) fn is_builtin(name: &str) -> bool {
    BUILTINS.binary_search(&name).is_ok()
}

/// Whether `import name` refers to the standard library.
pub fn is_standard(name: &str) -> bool {
    STANDARD_LIBRARY.binary_search(&name).is_ok()
}

/// The modules of the test runner. A module of a task with such a name would be loaded in its place.
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

pub(super) fn is_runners(name: &str) -> bool {
    TEST_RUNNER.contains(&name)
}

/// Whether a module of a task must not have this name, because it would shadow a module of Python or the test
/// runner, or the folder of the tests.
pub(super) fn is_taken(name: &str) -> bool {
    is_standard(name) || is_runners(name) || name == "tests"
}

/// Whether a module with this name contains tests: `test_x` does, `testimonials` does not.
pub(super) fn is_test_module(name: &str) -> bool {
    ["test", "tests", "conftest"].contains(&name)
        || name.starts_with("test_")
        || name.ends_with("_test")
}

/// Whether this is a valid name for a file.
pub(super) fn is_identifier(name: &str) -> bool {
    name.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_')
        && name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_')
        && !KEYWORDS.contains(&name)
}

/// ASCII spellings of non-ASCII letters; other letters are replaced by their number.
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

/// A name with only ASCII letters, as used for files: `größe` becomes `groesse`.
pub(super) fn transliterated(name: &str) -> String {
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

/// A valid file name: letters are transliterated, and an underscore is added where Python would not accept the
/// name.
pub(super) fn file_name_of(name: &str) -> String {
    let plain = transliterated(name);
    if plain.is_empty() || plain.starts_with(|c: char| c.is_ascii_digit()) {
        return format!("_{plain}");
    }
    if KEYWORDS.contains(&plain.as_str()) {
        return format!("{plain}_");
    }
    plain
}

/// Whether Python accepts this as a name, in any script.
pub(super) fn is_name(name: &str) -> bool {
    name.starts_with(|c: char| c.is_alphabetic() || c == '_')
        && name.chars().all(is_name_part)
        && !KEYWORDS.contains(&name)
}

pub(super) fn is_name_part(c: char) -> bool {
    c.is_alphanumeric() || c == '_'
}

/// Packages that people use in tests or import out of habit. None of them is installed where code runs, and
/// none is what a task should write.
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

/// Whether an import refers to a well-known package, which is not installed.
pub(super) fn is_third_party(module: &str) -> bool {
    THIRD_PARTY.contains(&module.split('.').next().unwrap_or(module))
}

/// Whether a test can import this: the standard library or pytest.
pub(super) fn is_library(name: &str) -> bool {
    is_standard(name) || name == "pytest"
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
}
