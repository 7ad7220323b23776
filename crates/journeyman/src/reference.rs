//! The reference pages: what `docs/reference/` says of the code is made from the code.
//!
//! A page is written by hand, except between `<!-- generated: NAME -->` and `<!-- end -->`. These sections are
//! made here, and the test fails where a page has something else. After a change,
//! `JOURNEYMAN_BLESS=1 cargo test -p journeyman --bin journeyman reference` writes them anew.

mod bounds;
mod commands;
mod events;
mod source;
mod suites;

use std::fmt::Write;
use std::fs;
use std::path::{Path, PathBuf};

use crate::exit::MEANINGS;
use crate::settings;

/// A generated section: its page, its name, and what makes it.
type Section = (&'static str, &'static str, fn() -> String);

const SECTIONS: &[Section] = &[
    ("settings.md", "settings", settings::reference),
    ("settings.md", "work", settings::reference_of_work),
    ("exit-codes.md", "codes", exit_codes),
    ("events.md", "kinds", events::kinds),
    ("events.md", "types", events::types),
    ("bounds.md", "constants", bounds::constants),
    ("signals.md", "catalogue", journeyman_signal::catalogue),
    ("testing.md", "suites", suites::suites),
];

/// The folder of the whole project.
fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

/// A page with a generated section replaced.
fn with_section(page: &str, name: &str, section: &str) -> String {
    let begin = format!("<!-- generated: {name} -->\n");
    let start = page.find(&begin).expect(name) + begin.len();
    let end = start + page[start..].find("<!-- end -->").expect(name);
    format!("{}\n{}\n\n{}", &page[..start], section.trim(), &page[end..])
}

/// Text as it may stand in a cell of a table.
fn cell(text: &str) -> String {
    text.replace('|', "\\|").replace('\n', " ")
}

fn exit_codes() -> String {
    let mut table = "| code | after `run` and `resume` |\n|---|---|\n".to_owned();
    for (exit, meaning) in MEANINGS {
        writeln!(table, "| {} | {} |", exit as u8, cell(meaning)).unwrap();
    }
    table
}

#[test]
fn reference_pages_say_what_the_code_says() {
    let folder = root().join("docs/reference");
    let mut wrong = Vec::new();
    for (page, name, make) in SECTIONS {
        let path = folder.join(page);
        let text = fs::read_to_string(&path).expect(page);
        let wanted = with_section(&text, name, &make());
        if text == wanted {
            continue;
        }
        if std::env::var_os("JOURNEYMAN_BLESS").is_some() {
            fs::write(&path, wanted).expect(page);
        } else {
            let lines = text.lines().zip(wanted.lines());
            let first = lines.into_iter().find(|(is, wanted)| is != wanted);
            wrong.push(format!("{page}, section {name}: {first:?}"));
        }
    }
    assert!(
        wrong.is_empty(),
        "docs/reference is not what the code says; write it anew with `JOURNEYMAN_BLESS=1 cargo test -p journeyman \
         --bin journeyman reference`\n{}",
        wrong.join("\n")
    );
}

#[test]
fn reference_of_signals_names_the_crates_that_emit_each() {
    for entry in journeyman_signal::Signal::CATALOGUE {
        for name in entry.producer.split(", ") {
            let sources = source::below(&root().join("crates").join(name).join("src"));
            let emits = sources.iter().any(|source| {
                let text = fs::read_to_string(&source.path).unwrap();
                let product = text.split("#[cfg(test)]").next().unwrap();
                product.contains(&format!("{} {{", entry.type_name))
            });
            assert!(emits, "{name} does not emit {}", entry.kind);
        }
    }
}

#[test]
fn reference_of_the_stored_line_has_its_members_in_their_order() {
    let page = fs::read_to_string(root().join("docs/reference/stored-line.md")).unwrap();
    let table = page.split("\n## ").next().unwrap().lines();
    let rows = table.filter_map(|line| line.strip_prefix("| `"));
    let members: Vec<(&str, &str)> = rows.filter_map(|row| row.split_once('`')).collect();
    let history = root().join("crates/event/tests/golden/events.jsonl");
    for line in fs::read_to_string(history).unwrap().lines() {
        let event: serde_json::Map<String, serde_json::Value> = serde_json::from_str(line).unwrap();
        let mut found = event.keys().peekable();
        for (name, rest) in &members {
            let is_there = found.next_if(|key| key.as_str() == *name).is_some();
            assert!(
                is_there || rest.starts_with('?'),
                "{name} is missing in {line}"
            );
        }
        assert_eq!(
            found.next(),
            None,
            "not in the page, or in another order: {line}"
        );
    }
}
