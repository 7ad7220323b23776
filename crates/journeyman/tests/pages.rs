//! The pages that people read: every link leads somewhere, every path that is named exists, and the code map says
//! what the manifests say.

#![allow(clippy::unwrap_used, clippy::expect_used)] // a test fails by panicking

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

/// Bytes that `ARCHITECTURE.md` may have: one page, which a newcomer reads to the end.
const ARCHITECTURE_BYTES_MAX: usize = 20 << 10;
/// Lines that `README.md` may have.
const README_LINES_MAX: usize = 130;

fn root() -> PathBuf {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    root.canonicalize().unwrap()
}

/// All pages: those in the root folder, and everything in `docs`.
fn pages() -> Vec<PathBuf> {
    let mut pages = Vec::new();
    let mut folders = vec![root().join("docs")];
    let mut entries: Vec<PathBuf> = list(&root());
    entries.retain(|path| path.is_file());
    while let Some(folder) = folders.pop() {
        entries.extend(list(&folder));
        while let Some(path) = entries.pop() {
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|extension| extension == "md") {
                pages.push(path);
            }
        }
    }
    pages
}

fn list(folder: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(folder).unwrap();
    entries.map(|entry| entry.unwrap().path()).collect()
}

/// The page's lines outside of fenced blocks.
fn prose(page: &str) -> impl Iterator<Item = &str> {
    let mut fenced = false;
    page.lines().filter(move |line| {
        let fence = line.trim_start().starts_with("```");
        fenced ^= fence;
        !fenced && !fence
    })
}

/// A line's text outside of `code`, and the code in it.
fn without_code(line: &str) -> (String, Vec<&str>) {
    let (mut text, mut code) = (String::new(), Vec::new());
    for (at, part) in line.split('`').enumerate() {
        if at % 2 == 0 {
            text.push_str(part);
        } else {
            code.push(part);
        }
    }
    (text, code)
}

/// Where the links and pictures of a page lead.
fn links(page: &str) -> Vec<String> {
    let mut links = Vec::new();
    for line in prose(page) {
        let (text, _) = without_code(line);
        for mark in ["](", "src=\""] {
            for rest in text.split(mark).skip(1) {
                let end = rest.find([')', '"', ' ']).unwrap_or(rest.len());
                links.push(rest[..end].to_owned());
            }
        }
    }
    links
}

/// The anchors of a page's headings, as GitHub and GitLab make them.
fn anchors(page: &str) -> BTreeSet<String> {
    let mut seen: BTreeMap<String, u32> = BTreeMap::new();
    let headings = prose(page).filter(|line| line.starts_with('#'));
    let anchor = |line: &str| {
        let title = line.trim_start_matches('#').trim().to_lowercase();
        let kept = |letter: &char| letter.is_alphanumeric() || matches!(letter, ' ' | '-' | '_');
        let anchor: String = title.chars().filter(kept).collect();
        let anchor = anchor.replace(' ', "-");
        let times = seen.entry(anchor.clone()).or_default();
        *times += 1;
        match *times {
            1 => anchor,
            times => format!("{anchor}-{}", times - 1),
        }
    };
    headings.map(anchor).collect()
}

fn shown(path: &Path) -> String {
    path.strip_prefix(root())
        .unwrap_or(path)
        .display()
        .to_string()
}

#[test]
fn every_link_leads_to_a_file_and_a_heading_that_exist() {
    let mut broken = Vec::new();
    for page in pages() {
        let text = fs::read_to_string(&page).unwrap();
        for link in links(&text) {
            if link.contains("://") || link.starts_with("mailto:") {
                continue;
            }
            let (path, anchor) = link.split_once('#').unwrap_or((&link, ""));
            let target = match path {
                "" => page.clone(),
                path => page.parent().unwrap().join(path),
            };
            let is_there = target.exists()
                && (anchor.is_empty()
                    || fs::read_to_string(&target)
                        .is_ok_and(|text| anchors(&text).contains(anchor)));
            if !is_there {
                broken.push(format!("{}: {link}", shown(&page)));
            }
        }
    }
    assert!(broken.is_empty(), "{}", broken.join("\n"));
}

/// Every file below a folder.
fn files(folder: &Path) -> Vec<String> {
    let mut files = Vec::new();
    let mut folders = vec![folder.to_owned()];
    while let Some(folder) = folders.pop() {
        for path in list(&folder) {
            if path.is_dir() {
                folders.push(path);
            } else {
                files.push(shown(&path));
            }
        }
    }
    files
}

#[test]
fn every_path_and_every_source_that_a_page_names_exists() {
    /// What happened and what was decided stays as it was written.
    const OF_THE_PAST: [&str; 2] = ["CHANGELOG.md", "docs/decisions"];
    let sources = files(&root().join("crates"));
    let mut missing = Vec::new();
    for page in pages() {
        let name = shown(&page);
        if OF_THE_PAST.iter().any(|past| name.starts_with(past)) {
            continue;
        }
        let text = fs::read_to_string(&page).unwrap();
        for code in prose(&text).flat_map(|line| without_code(line).1) {
            let word = code.split(' ').next().unwrap_or_default();
            let ours = ["crates/", "scripts/", "docs/", "checks/"];
            let is_path = ours.iter().any(|folder| word.starts_with(folder));
            let is_source = Path::new(word).extension().is_some_and(|kind| kind == "rs");
            if word.contains(['*', '<']) || !(is_path || is_source) {
                continue;
            }
            // A source may be named by the end of its path, where the page says the crate.
            let end = format!("/{word}");
            let exists = root().join(word).exists()
                || is_source && sources.iter().any(|source| source.ends_with(&end));
            if !exists {
                missing.push(format!("{name}: {word}"));
            }
        }
    }
    assert!(missing.is_empty(), "{}", missing.join("\n"));
}

#[test]
fn the_two_pages_that_everybody_reads_stay_short() {
    let architecture = fs::read(root().join("ARCHITECTURE.md")).unwrap().len();
    assert!(
        architecture <= ARCHITECTURE_BYTES_MAX,
        "ARCHITECTURE.md has {architecture} bytes; what is not needed to draw the house belongs into docs/internals or \
         docs/reference"
    );
    let readme = fs::read_to_string(root().join("README.md")).unwrap();
    let lines = readme.lines().count();
    assert!(
        lines <= README_LINES_MAX,
        "README.md has {lines} lines; what is not needed at the beginning belongs into docs"
    );
}

/// The rows of the code map: crate, and the crates that it depends on.
fn code_map(architecture: &str) -> BTreeMap<String, BTreeSet<String>> {
    let named = |text: &str| {
        text.split('`')
            .skip(1)
            .step_by(2)
            .map(str::to_owned)
            .collect()
    };
    let rows = architecture.lines().filter(|line| {
        let floor = line.strip_prefix("| ");
        floor.is_some_and(|floor| floor.starts_with(|letter: char| letter.is_ascii_digit()))
    });
    let cells = rows.map(|row| row.split(" | ").collect::<Vec<_>>());
    cells
        .map(|cells| (cells[1].trim_matches('`').to_owned(), named(cells[3])))
        .collect()
}

#[test]
fn the_code_map_has_every_crate_with_what_it_depends_on() {
    let architecture = fs::read_to_string(root().join("ARCHITECTURE.md")).unwrap();
    let mut found = BTreeMap::new();
    for folder in list(&root().join("crates")) {
        let manifest: toml::Table =
            toml::from_str(&fs::read_to_string(folder.join("Cargo.toml")).unwrap()).unwrap();
        let dependencies = manifest.get("dependencies").and_then(toml::Value::as_table);
        let own = dependencies.into_iter().flat_map(toml::Table::keys);
        let own: BTreeSet<String> = own
            .filter_map(|name| name.strip_prefix("journeyman-").map(str::to_owned))
            .collect();
        let name = folder.file_name().unwrap().to_str().unwrap().to_owned();
        found.insert(name, own);
    }
    // The binary wires everything: its row says what it leaves out.
    let mut map = code_map(&architecture);
    let binary = found.remove("journeyman").unwrap();
    let left_out = map.remove("journeyman").unwrap();
    let all: BTreeSet<String> = found.keys().cloned().collect();
    assert_eq!(
        &all - &binary,
        left_out,
        "crates that the binary does not depend on"
    );
    assert_eq!(map, found);
    for name in all {
        let is_heading =
            |line: &&str| line.starts_with("### ") && line.contains(&format!("`{name}`"));
        let heading = architecture.lines().find(is_heading);
        let heading = heading.unwrap_or_else(|| panic!("ARCHITECTURE.md has no section on {name}"));
        let (_, section) = architecture.split_once(heading).unwrap();
        let section = &section[..section.find("\n#").unwrap_or(section.len())];
        assert!(
            section.contains("\nInvariants:\n\n- "),
            "{heading} says nothing that must hold"
        );
    }
}
