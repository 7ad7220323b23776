//! Checks a prompt before work on it starts: what cannot be done, what the user may wrongly expect, and what must
//! not be copied from it.

use std::borrow::Cow;

use journeyman_language::all;

/// Programming languages that users ask for and that are not supported: their spellings in prompts, in lower
/// case, and their names.
const LANGUAGES: &[(&str, &str)] = &[
    ("javascript", "JavaScript"),
    ("js", "JavaScript"),
    ("node.js", "JavaScript"),
    ("typescript", "TypeScript"),
    ("go", "Go"),
    ("golang", "Go"),
    ("rust", "Rust"),
    ("c", "C"),
    ("r", "R"),
    ("dart", "Dart"),
    ("zig", "Zig"),
    ("julia", "Julia"),
    ("elixir", "Elixir"),
    ("erlang", "Erlang"),
    ("ocaml", "OCaml"),
    ("clojure", "Clojure"),
    ("fortran", "Fortran"),
    ("cobol", "COBOL"),
    ("matlab", "MATLAB"),
    ("f#", "F#"),
    ("vba", "VBA"),
    ("cpp", "C++"),
    ("csharp", "C#"),
    ("nodejs", "JavaScript"),
    ("java", "Java"),
    ("kotlin", "Kotlin"),
    ("swift", "Swift"),
    ("c++", "C++"),
    ("c#", "C#"),
    ("ruby", "Ruby"),
    ("php", "PHP"),
    ("perl", "Perl"),
    ("lua", "Lua"),
    ("haskell", "Haskell"),
    ("scala", "Scala"),
    ("bash", "Bash"),
    ("shell", "shell"),
    ("powershell", "PowerShell"),
    ("html", "HTML"),
    ("css", "CSS"),
    ("react", "React"),
];
/// Words that start a request, possibly after `please` and the like.
const VERBS: &[&str] = &[
    "write",
    "create",
    "make",
    "build",
    "implement",
    "generate",
    "give",
    "code",
    "develop",
    "program",
    "need",
    "want",
    "add",
    "design",
];
const POLITE: &[&str] = &[
    "please", "can", "could", "would", "you", "i", "we", "help", "let's", "me", "now", "to",
    "like", "i'd", "kindly",
];
/// Kinds of things that are written in a programming language.
const PRODUCTS: &[&str] = &[
    "script",
    "function",
    "page",
    "program",
    "app",
    "application",
    "module",
    "class",
    "component",
    "file",
    "website",
    "site",
    "library",
    "code",
    "server",
    "tool",
    "snippet",
    "one-liner",
    "stylesheet",
    "method",
    "package",
    "game",
];
/// Languages whose names are also English words or letters. They only count if they are capitalised (except
/// letters), follow `in` and the like, or precede a product.
const WORDS: &[&str] = &["Go", "Rust", "Swift", "Dart", "Julia", "C", "R"];
/// Words that precede the name of a language.
const BEFORE: &[&str] = &["in", "using", "with", "use"];
/// Languages that are also used for other purposes. They only count together with a product.
const OTHER_MEANINGS: &[&str] = &["shell", "bash", "powershell", "react"];
/// A word after one of these is a thing, not a language.
const ARTICLES: &[&str] = &["a", "an", "the", "my", "your", "our", "this"];
/// Words that end the name of the requested thing.
const ENDS: &[&str] = &[
    "that", "which", "to", "for", "from", "with", "using", "where", "so", "who", "whose", "and",
    "of", "called", "named",
];
/// How many words of the name are examined.
const NAME_WORDS_MAX: usize = 8;
/// Words that start a question.
const QUESTIONS: &[&str] = &[
    "what", "why", "how", "who", "when", "where", "which", "is", "are", "does", "do", "did", "was",
    "were",
];
/// A question with one of these words may nevertheless ask for code.
const CODE_WORDS: &[&str] = &[
    "write",
    "create",
    "make",
    "build",
    "implement",
    "code",
    "function",
    "program",
    "script",
    "module",
    "class",
    "def",
    "fix",
    "add",
    "package",
];

/// Why a prompt asks for something that cannot be done, worded for the user; `None` if it may be possible.
pub fn prompt_problem(prompt: &str) -> Option<String> {
    if names_ours(prompt) || begins_a_file(prompt) {
        return None;
    }
    let language = language_wanted(prompt)?;
    let ours = titles();
    Some(format!(
        "it asks for {language}, and so far only {ours} can be written and run; say that it is to \
         be {ours}, or use another tool"
    ))
}

/// Whether a prompt is a question to be answered in words, not code.
pub fn is_plain_question(prompt: &str) -> bool {
    let lower = prompt.to_lowercase();
    let words: Vec<&str> = lower
        .split(|c: char| !(c.is_alphanumeric() || c == '\''))
        .filter(|word| !word.is_empty())
        .collect();
    let mut spoken = words.iter().skip_while(|word| POLITE.contains(word));
    let asks = lower.trim_end().ends_with('?')
        && words.first().is_some_and(|first| QUESTIONS.contains(first));
    (asks || spoken.next() == Some(&"explain"))
        && !words.iter().any(|word| CODE_WORDS.contains(word))
        && !prompt.contains('(')
        && !begins_a_file(prompt)
}

/// A note about something the user may expect from the prompt and that does not happen.
pub fn prompt_note(prompt: &str) -> Option<String> {
    if names_ours(prompt) || begins_a_file(prompt) {
        return None;
    }
    if is_plain_question(prompt) {
        return None;
    }
    let words = words(prompt);
    let named = words.iter().enumerate().find_map(|(at, word)| {
        let is = |at: Option<usize>, known: &[&str]| {
            let other = at.and_then(|at| words.get(at));
            other.is_some_and(|other| known.contains(&other.to_lowercase().as_str()))
        };
        let is_of_product = words.get(at + 1).is_some_and(|next| is_product(next));
        let is_word = OTHER_MEANINGS.contains(&word.to_lowercase().as_str())
            || is(at.checked_sub(1), ARTICLES);
        language(&words, at).filter(|_| is_of_product || !is_word)
    })?;
    Some(format!(
        "the prompt names {named}; what is written is {}",
        titles()
    ))
}

/// Whether a prompt names a supported language.
fn names_ours(prompt: &str) -> bool {
    let lower = prompt.to_lowercase();
    all().any(|language| lower.contains(language.name()))
}

/// Whether a prompt is itself the beginning of a file.
fn begins_a_file(prompt: &str) -> bool {
    all().any(|language| !language.stub_signatures(prompt).is_empty())
}

/// The supported languages, worded for a person.
fn titles() -> String {
    let titles: Vec<&str> = all()
        .map(|language| language.prompt_texts().title)
        .collect();
    titles.join(" or ")
}

/// The language in which a prompt clearly asks for something to be written.
fn language_wanted(prompt: &str) -> Option<&'static str> {
    prompt
        .split(['\n', '!', '?', ';'])
        .flat_map(|line| line.split(". "))
        .find_map(|sentence| {
            let words = words(sentence);
            let begin = words
                .iter()
                .position(|word| !POLITE.contains(&word.to_lowercase().as_str()))?;
            if !VERBS.contains(&words[begin].to_lowercase().as_str()) {
                return None;
            }
            let name = words[begin + 1..].iter().take(NAME_WORDS_MAX);
            let name: Vec<&str> = name
                .copied()
                .take_while(|word| !ENDS.contains(&word.to_lowercase().as_str()))
                .collect();
            let count = name.len();
            (0..count).find_map(|at| {
                let language = language(&name, at)?;
                let is_before_a_thing = name.get(at + 1).is_none_or(|next| ARTICLES.contains(next));
                let is_in = at > 0 && name[at - 1] == "in" && is_before_a_thing;
                let is_of = at + 2 == count && is_product(name[at + 1]);
                (is_in || is_of).then_some(language)
            })
        })
}

fn words(text: &str) -> Vec<&str> {
    let words =
        text.split(|c: char| c.is_whitespace() || matches!(c, ',' | '(' | ')' | '"' | '`' | ':'));
    let words = words.map(|word| word.trim_end_matches(['.', '!', '?', ';']));
    words.filter(|word| !word.is_empty()).collect()
}

/// The language that a word denotes in its context.
fn language(words: &[&str], at: usize) -> Option<&'static str> {
    let word = *words.get(at)?;
    let lower = word.to_lowercase();
    let (_, name) = LANGUAGES.iter().find(|(spelled, _)| *spelled == lower)?;
    let before = at.checked_sub(1).and_then(|before| words.get(before));
    let is_written_as_one = word == *name && name.len() > 1;
    let is_meant = !WORDS.contains(name)
        || is_written_as_one
        || before.is_some_and(|before| BEFORE.contains(&before.to_lowercase().as_str()))
        || words.get(at + 1).is_some_and(|next| is_product(next));
    is_meant.then_some(*name)
}

fn is_product(word: &str) -> bool {
    let lower = word.to_lowercase();
    let one = lower.strip_suffix('s');
    PRODUCTS.contains(&lower.as_str()) || one.is_some_and(|one| PRODUCTS.contains(&one))
}

/// Prefixes of secrets, each with the fewest characters that must follow.
const KEYS: &[(&str, usize)] = &[
    ("sk-", 16),
    ("ghp_", 20),
    ("gho_", 20),
    ("github_pat_", 20),
    ("glpat-", 16),
    ("xoxb-", 16),
    ("xoxp-", 16),
    ("AKIA", 16),
    ("AIza", 30),
    ("hf_", 20),
    ("npm_", 20),
    ("pypi-", 20),
    ("eyJ", 40),
];
/// Names of values that are secret.
const SECRET_NAMES: &[&str] = &[
    "password",
    "passwd",
    "api_key",
    "api-key",
    "apikey",
    "secret",
    "secret_key",
    "token",
    "access_token",
    "auth_token",
];
const REDACTED: &str = "[secret left out]";

/// Replaces everything that looks like a key, password or token.
pub(crate) fn without_secrets(text: &str) -> Cow<'_, str> {
    let is_part = |c: char| c.is_alphanumeric() || matches!(c, '_' | '-' | '.' | '/' | '+');
    let mut out = String::new();
    let mut rest = text;
    let mut is_private_key = false;
    let mut name = String::new();
    while !rest.is_empty() {
        let end = rest.find(|c| !is_part(c)).unwrap_or(rest.len());
        if end == 0 {
            let c = rest.chars().next().unwrap_or_default();
            if !matches!(c, ':' | '=' | ' ' | '"' | '\'' | '`') {
                name.clear();
            }
            out.push(c);
            rest = &rest[c.len_utf8()..];
            continue;
        }
        let (value, after) = rest.split_at(end);
        let is_key = KEYS.iter().any(|(start, least)| {
            value
                .strip_prefix(start)
                .is_some_and(|key| key.len() >= *least)
        });
        let assigned = out
            .trim_end_matches([' ', '"', '\'', '`'])
            .ends_with([':', '=']);
        let is_named = assigned
            && SECRET_NAMES.contains(&name.to_lowercase().as_str())
            && value.len() >= 6
            && value.chars().any(|c| c.is_ascii_digit());
        is_private_key |= text.contains("PRIVATE KEY-----") && value.len() >= 48;
        if is_key || is_named || (is_private_key && value.len() >= 48) {
            out.push_str(REDACTED);
        } else {
            out.push_str(value);
        }
        value.clone_into(&mut name);
        rest = after;
    }
    if out == text {
        Cow::Borrowed(text)
    } else {
        Cow::Owned(out)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_cannot_be_written_is_told_before_work_begins() {
        for (prompt, language) in [
            (
                "Write a debounce function in JavaScript.",
                Some("JavaScript"),
            ),
            (
                "Please write a function in Go that adds two numbers.",
                Some("Go"),
            ),
            ("Create a simple HTML page with a form", Some("HTML")),
            (
                "can you make me a bash script that renames files",
                Some("Bash"),
            ),
            ("I need a small Rust program to count words", Some("Rust")),
            ("Write a rust program that counts words", Some("Rust")),
            ("Write quicksort in rust", Some("Rust")),
            ("Write in go a function that adds", Some("Go")),
            ("Make a C program that sorts", Some("C")),
            ("Implement a stack in C.", Some("C")),
            ("Write an R script that plots", Some("R")),
            ("Write a function that turns degrees C to F", None),
            ("Write a swift reply function", None),
            ("Write a class for the letters R and C in text", None),
            ("Build a React component for a todo list", Some("React")),
            ("Write a C++ class for matrices", Some("C++")),
            ("Write a Python script that writes an HTML page", None),
            ("Write a script that makes an HTML page", None),
            ("Write a function that finds bugs in JavaScript", None),
            ("Write an HTML parser", None),
            ("Write a JavaScript function counter", None),
            ("Write a function that lets a player go in circles", None),
            (
                "Translate this JavaScript function to Python: function f() {}",
                None,
            ),
            ("Make a module for shell history files", None),
            ("Write a class that reads CSS files", None),
            (
                "def bash(text):\n    \"\"\"Write a bash script.\"\"\"\n",
                None,
            ),
        ] {
            let problem = prompt_problem(prompt);
            assert_eq!(
                problem.is_some(),
                language.is_some(),
                "{prompt}: {problem:?}"
            );
            let told = problem.is_none_or(|said| said.contains(language.unwrap()));
            assert!(told, "{prompt}");
        }
    }

    #[test]
    fn a_plain_question_is_told_from_a_wish_for_code() {
        for (prompt, is_question) in [
            ("What is the difference between a list and a tuple?", true),
            ("What is the GIL in Python?", true),
            ("What is a goroutine in Go?", true),
            ("Explain decorators.", true),
            ("Can you explain generators to me?", true),
            ("Explain this function.", false),
            ("What is a list comprehension?", true),
            ("Why is the sky blue?", true),
            ("How do I write a function that sorts a list?", false),
            ("Can you sort a list of names?", false),
            ("What does fib(10) return?", false),
            ("Which script sorts files? Make one.", false),
            ("Sort a list.", false),
        ] {
            assert_eq!(is_plain_question(prompt), is_question, "{prompt}");
            assert_eq!(prompt_problem(prompt), None, "{prompt}");
        }
    }

    #[test]
    fn another_language_that_is_only_named_is_told() {
        let note = prompt_note("Write a function that finds bugs in JavaScript.").unwrap();
        assert!(
            note.contains("JavaScript") && note.contains("Python"),
            "{note}"
        );
        for (prompt, named) in [
            ("A rust program that counts words.", "Rust"),
            ("Using Go, a function that adds.", "Go"),
            ("Quicksort, in rust please.", "Rust"),
            ("Some C functions for strings.", "C;"),
            ("The language is TypeScript.", "TypeScript"),
        ] {
            let note = prompt_note(prompt).unwrap_or_default();
            assert!(note.contains(named), "{prompt}: {note}");
        }
        for prompt in [
            "Write a function that lets it go.",
            "Find rust on iron, with a function of c and r.",
            "I tried it in the shell and it fails. Write add(a, b).",
            "Write a class that runs Bash commands.",
            "In Python, not in Java.",
            "Write add(a, b).",
        ] {
            assert_eq!(prompt_note(prompt), None, "{prompt}");
        }
    }

    #[test]
    fn secrets_are_left_out_and_nothing_else() {
        for (text, secret) in [
            ("Use the key sk-abcdefghijklmnop1234 for it.", "sk-abc"),
            ("token: ghp_abcdefghijklmnopqrstuvwxyz0123456789", "ghp_"),
            ("password = \"hunter2!\"", "hunter2"),
            ("api_key=9f8e7d6c5b4a", "9f8e7d"),
            ("aws AKIAIOSFODNN7EXAMPLE", "AKIA"),
            ("'xoxb-123456789012-abcdef'", "xoxb"),
        ] {
            let shown = without_secrets(text);
            assert!(
                shown.contains(REDACTED) && !shown.contains(secret),
                "{shown}"
            );
        }
        for text in [
            "Write a function check(password: str) -> bool.",
            "The token is a word; split the text into tokens = words.",
            "a sk-learn like interface, task-manager, desk-1",
            "x = 1\nassert f(token=\"abc\") == 2",
        ] {
            assert_eq!(without_secrets(text), text);
        }
    }
}
