//! The catalogue of all signals, generated from their definitions.

use std::fmt::Write;

use crate::Signal;

/// Whether metrics made of a signal survive a restart.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kept {
    /// The signal is made from an event of the journal. After a restart it is made again.
    Journaled,
    /// The signal is emitted once, when it happens. After a restart the metrics made of it begin at zero.
    Live,
}

impl Kept {
    /// The word in the catalogue.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Journaled => "journaled",
            Self::Live => "live",
        }
    }
}

/// The description of one kind of signal.
#[derive(Clone, Copy, Debug)]
pub struct Entry {
    /// The kind, such as `stream.first_token`.
    pub kind: &'static str,
    /// The name of its type.
    pub type_name: &'static str,
    /// What happened.
    pub what: &'static str,
    /// Its fields, each with its description.
    pub fields: &'static [(&'static str, &'static str)],
    /// The crates that emit it, comma-separated.
    pub producer: &'static str,
    /// The trackers that take it, comma-separated.
    pub consumer: &'static str,
    /// Whether metrics made of it survive a restart.
    pub kept: Kept,
}

/// The catalogue as a table in Markdown, after a line with the number of kinds.
pub fn catalogue() -> String {
    let entries = Signal::CATALOGUE;
    let count = |kept| entries.iter().filter(|entry| entry.kept == kept).count();
    let mut page = String::new();
    // Writing to a String cannot fail.
    let _ = writeln!(
        page,
        "{} kinds: {} journaled, {} live.\n\n| kind | what happened | emitted by | taken by | kept | fields |\n|---|---|---|---|---|---|",
        entries.len(),
        count(Kept::Journaled),
        count(Kept::Live),
    );
    for entry in entries {
        let fields: Vec<String> = entry
            .fields
            .iter()
            .map(|(name, what)| format!("`{name}`: {}", what.trim().trim_end_matches('.')))
            .collect();
        let _ = writeln!(
            page,
            "| `{}` | {} | {} | {} | {} | {} |",
            entry.kind,
            entry.what.trim(),
            entry.producer,
            entry.consumer,
            entry.kept.as_str(),
            fields.join("; "),
        );
    }
    page
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn every_kind_has_its_own_name_and_a_description_of_each_field() {
        let names: BTreeSet<&str> = Signal::CATALOGUE.iter().map(|entry| entry.kind).collect();
        assert_eq!(names.len(), Signal::CATALOGUE.len());
        assert!(names.len() >= 50, "{}", names.len());
        for entry in Signal::CATALOGUE {
            let texts = [entry.what, entry.producer, entry.consumer];
            assert!(texts.iter().all(|text| !text.is_empty()), "{}", entry.kind);
            assert!(!entry.fields.is_empty(), "{}", entry.kind);
        }
    }

    #[test]
    fn the_page_has_a_row_for_each_kind() {
        let page = catalogue();
        let rows = page.lines().filter(|line| line.starts_with("| `"));
        assert_eq!(rows.count(), Signal::CATALOGUE.len());
        assert!(page.contains("| `task.failed` | A task failed. | metrics | work | journaled |"));
    }
}
