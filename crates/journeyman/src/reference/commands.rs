//! Every command line that a page shows is one that the program understands.

use std::fs;
use std::path::{Path, PathBuf};

use clap::error::ErrorKind;

use super::root;

/// What stands in pages for a value of the reader's, and a value like it.
const STAND_INS: &[(&str, &str)] = &[
    ("N", "1"),
    (
        "POSITION@HASH",
        "1@b3:0000000000000000000000000000000000000000000000000000000000000000",
    ),
];

fn pages_in(folder: &Path) -> Vec<PathBuf> {
    let mut pages = Vec::new();
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() && !path.ends_with("decisions") {
            pages.extend(pages_in(&path));
        } else if path.extension().is_some_and(|extension| extension == "md") {
            pages.push(path);
        }
    }
    pages
}

/// The words of a command as a shell splits them; a comment ends it, and so does a pipe.
fn words(line: &str) -> Vec<String> {
    let (mut words, mut word, mut quote) = (Vec::new(), None::<String>, None);
    for letter in line.chars() {
        match (quote, letter) {
            (Some(open), _) if letter == open => quote = None,
            (None, '"' | '\'') => {
                quote = Some(letter);
                word.get_or_insert_default();
            }
            (None, ' ') => words.extend(word.take()),
            (None, '#' | '|') if word.is_none() => break,
            _ => word.get_or_insert_default().push(letter),
        }
    }
    words.extend(word);
    words
}

/// The command lines of a page: lines of its blocks, and code in its text.
fn command_lines(page: &str) -> Vec<&str> {
    let mut lines = Vec::new();
    let mut fenced = false;
    for line in page.lines() {
        if line.trim_start().starts_with("```") {
            fenced = !fenced;
        } else if fenced {
            lines.push(line.trim_start_matches("$ "));
        } else {
            lines.extend(line.split('`').skip(1).step_by(2));
        }
    }
    lines
}

#[test]
fn reference_and_other_pages_show_commands_that_are_understood() {
    let mut all = pages_in(&root().join("docs"));
    all.extend(["README.md", "CONTRIBUTING.md", "ARCHITECTURE.md"].map(|page| root().join(page)));
    let (mut seen, mut wrong) = (0, Vec::new());
    for path in all {
        let page = fs::read_to_string(&path).unwrap();
        for line in command_lines(&page) {
            // What runs before it in a pipe, and variables that are set for it.
            let Some(at) = line.find("journeyman ") else {
                continue;
            };
            let before = &line[..at];
            if !(before.is_empty() || before.ends_with("| ") || before.starts_with("JOURNEYMAN_")) {
                continue;
            }
            let value = |word: String| {
                let stand_in = STAND_INS.iter().find(|(name, _)| *name == word);
                stand_in.map_or(word, |(_, value)| (*value).to_owned())
            };
            let words: Vec<String> = words(&line[at..]).into_iter().map(value).collect();
            if words[1] == "help" {
                continue;
            }
            seen += 1;
            let parsed = crate::cli::command().try_get_matches_from(&words);
            // A command may be named without what it needs.
            if let Err(error) = parsed
                && error.kind() != ErrorKind::MissingRequiredArgument
            {
                let what = error.to_string();
                let what = what.lines().next().unwrap_or_default();
                wrong.push(format!("{}: {line}: {what}", path.display()));
            }
        }
    }
    assert!(seen > 50, "{seen}");
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}
