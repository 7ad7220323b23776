//! The names that a prompt gives to what is to be written: a person who names a module gets a module
//! of that name.

use std::collections::BTreeSet;

use crate::python::is_identifier;

/// Words that stand before the name of a module.
const MODULES: &[&str] = &["module", "script", "program"];
/// Words that stand before the name of a package.
const PACKAGES: &[&str] = &["package", "library"];
/// Words that may stand between these and a name, after which it needs no marks.
const CALLED: &[&str] = &["called", "named", "name"];

/// The one module that a prompt names; none if it names none or several.
pub(crate) fn module_named(prompt: &str) -> Option<String> {
    only(names_after(prompt, MODULES))
}

/// The one package that a prompt names; none if it names none or several.
pub(crate) fn package_named(prompt: &str) -> Option<String> {
    only(names_after(prompt, PACKAGES))
}

/// Whether a prompt speaks of a package.
pub(crate) fn speaks_of_a_package(prompt: &str) -> bool {
    words(prompt).any(|word| PACKAGES.contains(&word.bare.as_str()))
}

fn only(names: BTreeSet<String>) -> Option<String> {
    let mut names = names.into_iter();
    names.next().filter(|_| names.next().is_none())
}

/// A word with the marks around it.
struct Word<'p> {
    bare: String,
    marked: &'p str,
}

impl Word<'_> {
    /// The name that the word is, if it is written as one: in marks, with its ending, or, where the
    /// words before it say so, plainly.
    fn name(&self, is_called: bool) -> Option<String> {
        let inside = self
            .marked
            .trim_end_matches(['.', ',', ';', ':', '!', '?', ')']);
        let unmarked = inside.trim_matches(['`', '"', '\'', '*']);
        let stem = unmarked.strip_suffix(".py");
        let is_written_as_one = inside.starts_with('`') || stem.is_some() || is_called;
        let name = stem.unwrap_or(unmarked);
        (is_written_as_one && is_identifier(name)).then(|| name.to_ascii_lowercase())
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

fn names_after(prompt: &str, cues: &[&str]) -> BTreeSet<String> {
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
                names.extend(words.peek().and_then(|next| next.name(is_called)));
            }
        }
        before = word
            .name(false)
            .filter(|_| !ends && word.marked.starts_with('`'));
    }
    names
}

#[cfg(test)]
mod tests {
    use super::*;

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
            assert_eq!(module_named(prompt).as_deref(), module, "{prompt}");
        }
        assert_eq!(
            package_named("a package `shop` with a module `cart`").as_deref(),
            Some("shop")
        );
        assert!(speaks_of_a_package("A package, please"));
        assert!(!speaks_of_a_package("A module that packages files"));
    }
}
