//! Reading what a model or a user wrote, with anything at all.
//! `JOURNEYMAN_FUZZ_SECONDS=600 cargo test -p journeyman-language fuzz` makes each target run for that long, instead of for a
//! few hundred cases.

#![allow(clippy::unwrap_used, clippy::expect_used)] // a test fails by panicking

use std::collections::BTreeSet;
use std::path::{Component, Path};

use journeyman_event::end_of_turn;
use journeyman_event::payload::TestOrigin;
use journeyman_fuzz::{fuzz, text};
use journeyman_language::Language;
use journeyman_language::python::Python;
use journeyman_syntax::Source;
use proptest::prelude::*;

fn inside(path: &str) -> bool {
    let mut parts = Path::new(path).components().peekable();
    parts.peek().is_some() && parts.all(|part| matches!(part, Component::Normal(_)))
}

fn bare(line: &str) -> &str {
    line.trim_matches(|c: char| c.is_whitespace() || c == '\u{feff}')
}

fn lines_of(text: &str) -> BTreeSet<&str> {
    text.lines().map(bare).collect()
}

/// A text without the marks that transcripts, diffs and word processors put around and between words.
fn letters(text: &str) -> String {
    text.chars().filter(|c| c.is_alphanumeric()).collect()
}

#[test]
fn fuzz_a_file_in_an_answer() {
    fuzz(1_500, &(text(), any::<bool>()), |(answer, cut_short)| {
        let given = letters(&answer);
        for file in [
            Python.code_in_answer(&answer, cut_short.then_some("cut"), &[]),
            Python.tests_in_answer(&answer, cut_short.then_some("cut")),
        ] {
            match file {
                Ok(file) => {
                    prop_assert!(file.ends_with('\n') && !file.trim().is_empty());
                    prop_assert!(!file.contains('\0') && file.len() <= answer.len() + 1);
                    for line in file.lines() {
                        let is_given = given.contains(&letters(line));
                        prop_assert!(is_given, "{line:?} was not in the answer");
                    }
                }
                Err(problem) => prop_assert!(!problem.is_empty()),
            }
        }
        if let Ok(file) = Python.tests_in_answer(&answer, cut_short.then_some("cut")) {
            prop_assert!(file.contains("def test"));
        }
        Ok(())
    });
}

#[test]
fn fuzz_a_file_that_is_fenced_is_found_as_it_is() {
    fuzz(1_000, &(text(), text()), |(file, before)| {
        let file = format!("x = 1\n{}\n", file.replace(['`', '\0', '\r'], "").trim());
        let file = format!("{}\n", file.trim_matches(['\n', ' ']));
        let before = before.replace(['`', '~'], "");
        let answer = format!("{before}\n```python\n{file}```\nThat is all.");
        // A mark of a chat template ends the answer wherever it stands.
        prop_assume!(end_of_turn(&answer).is_none());
        // But for spaces and quotes that no Python has outside of strings.
        let plain = Source::of(&file).with_plain_characters();
        let found = Python
            .code_in_answer(&answer, None, &[])
            .map(|found| found.trim().to_owned());
        let meant = [Some(file), plain].into_iter().flatten();
        let mut meant = meant.map(|meant| meant.trim().to_owned());
        prop_assert!(
            meant.any(|meant| found.as_ref() == Ok(&meant)),
            "{answer:?}: {found:?}"
        );
        Ok(())
    });
}

#[test]
fn fuzz_the_tests_in_a_prompt() {
    fuzz(1_500, &text(), |prompt| {
        let given = lines_of(&prompt);
        let tests = Python.examples(&prompt).tests;
        let names: BTreeSet<&str> = tests.iter().map(|test| test.name.as_str()).collect();
        prop_assert_eq!(names.len(), tests.len());
        for test in &tests {
            prop_assert!(inside(&test.name) && !test.name.contains('/'));
            prop_assert!(!test.source.trim().is_empty());
            for line in test.source.lines().filter(|line| !line.is_empty()) {
                // A stated example is put together of a call and a result of the prompt.
                let stated = line
                    .strip_prefix("assert ")
                    .and_then(|call| call.split_once('('));
                let called = stated.is_some_and(|(name, _)| prompt.contains(name));
                // What a file of code needs besides its statements.
                let is_added = line.starts_with("import ") || line.starts_with("def test_block_");
                prop_assert!(
                    given.contains(bare(line))
                        || (test.origin == TestOrigin::Assertions && called)
                        || (test.origin == TestOrigin::Code && is_added),
                    "{line:?} was not in the prompt"
                );
            }
            for group in test
                .source
                .split("\n\n")
                .filter(|_| test.origin == TestOrigin::Examples)
            {
                prop_assert!(group.starts_with(">>>"), "{group:?}");
            }
        }
        Ok(())
    });
}
