//! Finds the names that a prompt gives to what is to be written. If the user names a module, the result has a
//! module of that name.

use std::collections::BTreeSet;

use journeyman_language::Language;

/// Words that precede the name of a module.
const MODULES: &[&str] = &["module", "script", "program"];
/// Words that precede the name of a package.
const PACKAGES: &[&str] = &["package", "library"];
/// Words in a prompt that asks for more than functions in one module.
const MORE: &[&str] = &[
    "modules", "packages", "class", "classes", "method", "methods", "cli", "command", "commands",
    "script", "program",
];
/// Words that may stand between those words and a name; after them the name needs no quotation marks.
const CALLED: &[&str] = &["called", "named", "name"];

/// The only module that a prompt names; `None` if it names none or several.
pub(crate) fn module_named(language: &dyn Language, prompt: &str) -> Option<String> {
    only(names_after(language, prompt, MODULES))
}

/// The only package that a prompt names; `None` if it names none or several.
pub(crate) fn package_named(language: &dyn Language, prompt: &str) -> Option<String> {
    only(names_after(language, prompt, PACKAGES))
}

/// Whether a prompt mentions a package.
pub(crate) fn speaks_of_a_package(prompt: &str) -> bool {
    words(prompt).any(|word| PACKAGES.contains(&word.bare.as_str()))
}

/// The signatures of the functions that a prompt asks for, such as `def slugify(title)`, in the order in which
/// it names them: everything in quotation marks that looks like a call with parameters. `None` if the prompt
/// asks for more than such functions in one module.
pub(crate) fn functions_named(language: &dyn Language, prompt: &str) -> Vec<String> {
    if speaks_of_a_package(prompt) || words(prompt).any(|word| MORE.contains(&word.bare.as_str())) {
        return Vec::new();
    }
    let module = module_named(language, prompt);
    language.functions_asked_for(prompt, module.as_deref())
}

fn only(names: BTreeSet<String>) -> Option<String> {
    let mut names = names.into_iter();
    names.next().filter(|_| names.next().is_none())
}

/// A word with the quotation marks around it.
struct Word<'p> {
    bare: String,
    marked: &'p str,
}

impl Word<'_> {
    /// The word as a name, if it is written as one: in quotation marks, with a file extension, or after words
    /// that introduce a name.
    fn name(&self, language: &dyn Language, is_called: bool) -> Option<String> {
        let inside = self
            .marked
            .trim_end_matches(['.', ',', ';', ':', '!', '?', ')']);
        let unmarked = inside.trim_matches(['`', '"', '\'', '*']);
        let name = language.without_ending(unmarked);
        let is_written_as_one = inside.starts_with('`') || name != unmarked || is_called;
        (is_written_as_one && language.is_identifier(name)).then(|| name.to_ascii_lowercase())
    }
}

fn words(prompt: &str) -> impl Iterator<Item = Word<'_>> {
    prompt.split_whitespace().map(|marked| Word {
        bare: marked
            .trim_matches(|c: char| !c.is_alphanumeric())
            .to_lowercase(),
        marked,
    })
}

fn names_after(language: &dyn Language, prompt: &str, cues: &[&str]) -> BTreeSet<String> {
    let mut names = BTreeSet::new();
    let mut words = words(prompt).peekable();
    let mut before: Option<String> = None;
    while let Some(word) = words.next() {
        let ends = word.marked.ends_with(['.', ',', ';', ':', '!', '?']);
        if cues.contains(&word.bare.as_str()) {
            // "the `slugs` module"
            names.extend(before.take());
            if !ends {
                let is_called = words
                    .next_if(|next| CALLED.contains(&next.bare.as_str()))
                    .is_some();
                names.extend(words.peek().and_then(|next| next.name(language, is_called)));
            }
        }
        before = word
            .name(language, false)
            .filter(|_| !ends && word.marked.starts_with('`'));
    }
    names
}

#[cfg(test)]
mod tests {
    use journeyman_language::python::Python;

    use super::*;

    #[test]
    fn functions_are_named_by_their_signatures_in_marks() {
        for (prompt, functions) in [
            (
                "A module `slugs` with a function `slugify(title)`",
                &["def slugify(title)"][..],
            ),
            (
                "`to_roman(number)` writes and `def from_roman(text: str) -> int:` reads; not `to_roman(number)`",
                &["def to_roman(number)", "def from_roman(text: str) -> int"],
            ),
            (
                "`async def fetch(url, *, tries=3)`",
                &["async def fetch(url, *, tries=3)"],
            ),
            ("`f(3)` is 4, `g(\"x\")` fails, `h` and `a.b(c)` too", &[]),
            (
                "A function `top(items)` like `sorted(items)`",
                &["def top(items)"],
            ),
            (
                "A function `slugify(title)`; our `render(page)` calls it, unlike `old_slug(title)`",
                &["def slugify(title)"],
            ),
            ("Functions `slugify(title)` and `shout`", &[]),
            (
                "The function `slugify(title)`, and a function named shout",
                &[],
            ),
            ("a class with `push(item)`", &[]),
            ("`parse(text)` and a command line over it", &[]),
            ("```\nx(y)\n```", &[]),
            ("`unclosed(x", &[]),
            ("", &[]),
        ] {
            assert_eq!(functions_named(&Python, prompt), functions, "{prompt}");
        }
    }

    #[test]
    fn a_module_is_called_what_the_prompt_calls_it() {
        for (prompt, module) in [
            (
                "A Python module `slugs` with a function `slugify(title)`",
                Some("slugs"),
            ),
            ("Write a module called slugs.", Some("slugs")),
            ("a script named \"Backup.py\" that copies", Some("backup")),
            ("the `slugs` module has a function", Some("slugs")),
            ("Write the module slugs.py, please", Some("slugs")),
            ("A module with a function `slugify`", None),
            ("A module that parses `dates`", None),
            ("a module `a` and a module `b`", None),
            ("The functions are in one module. `slugify` is one", None),
            ("a module `my-thing`", None),
            ("", None),
        ] {
            assert_eq!(module_named(&Python, prompt).as_deref(), module, "{prompt}");
        }
        assert_eq!(
            package_named(&Python, "a package `shop` with a module `cart`").as_deref(),
            Some("shop")
        );
        assert!(speaks_of_a_package("A package, please"));
        assert!(!speaks_of_a_package("A module that packages files"));
    }
}
