//! The test files of every crate, by what they say of themselves.

use std::fmt::Write;
use std::fs;

use super::{cell, root, source};

/// A table of `crates/*/tests/*.rs` with the first paragraph of each.
pub(super) fn suites() -> String {
    let mut files = Vec::new();
    for folder in fs::read_dir(root().join("crates")).unwrap() {
        let folder = folder.unwrap();
        let name = folder.file_name().into_string().unwrap();
        let Ok(tests) = fs::read_dir(folder.path().join("tests")) else {
            continue;
        };
        for entry in tests {
            let path = entry.unwrap().path();
            if path.extension().is_some_and(|extension| extension == "rs") {
                let file = path.file_stem().unwrap().to_string_lossy().into_owned();
                files.push((name.clone(), file, path));
            }
        }
    }
    files.sort();
    let mut table = "| crate | file | what it holds to |\n|---|---|---|\n".to_owned();
    for (name, file, path) in files {
        let about = source::summary(&source::read(&path).file.attrs);
        writeln!(table, "| `{name}` | `{file}` | {} |", cell(&about)).unwrap();
    }
    table
}
