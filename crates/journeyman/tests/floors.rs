//! The floors: a crate depends only on crates of lower floors (ARCHITECTURE.md).

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::print_stdout)] // a test fails by panicking

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

const FLOORS: &[(&str, u32)] = &[
    ("journeyman-bus", 1),
    ("journeyman-crash-vfs", 1),
    ("journeyman-event", 1),
    ("journeyman-fetch", 1),
    ("journeyman-fuzz", 1),
    ("journeyman-http", 0),
    ("journeyman-signal", 1),
    ("journeyman-api", 2),
    ("journeyman-journal", 2),
    ("journeyman-llm", 2),
    ("journeyman-sandbox", 2),
    ("journeyman-syntax", 2),
    ("journeyman-journal-conformance", 3),
    ("journeyman-knowledge", 3),
    ("journeyman-language", 3),
    ("journeyman-metrics", 3),
    ("journeyman-journal-sqlite", 3),
    ("journeyman-queue", 3),
    ("journeyman-sim", 3),
    ("journeyman-context", 4),
    ("journeyman-gateway", 4),
    ("journeyman-tools", 4),
    ("journeyman-workflow", 5),
    ("journeyman-hooks", 6),
    ("journeyman-tasks", 6),
    ("journeyman-eval", 7),
    ("journeyman-mcp", 7),
    ("journeyman-server", 7),
    ("journeyman", 8),
];

/// What the product must not contain.
const FOR_TESTS: &[&str] = &[
    "journeyman-crash-vfs",
    "journeyman-fuzz",
    "journeyman-journal-conformance",
];

/// Our own crates that a manifest names as dependencies, tests' ones left out.
fn own_dependencies(manifest: &str) -> Vec<String> {
    let table: toml::Table = toml::from_str(manifest).unwrap();
    let dependencies = table.get("dependencies").and_then(|value| value.as_table());
    dependencies
        .into_iter()
        .flat_map(toml::Table::keys)
        .filter(|name| name.starts_with("journeyman-"))
        .cloned()
        .collect()
}

#[test]
fn every_crate_depends_on_lower_floors_only() {
    let floors: BTreeMap<&str, u32> = FLOORS.iter().copied().collect();
    let crates = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap();
    let mut seen = 0;
    for entry in fs::read_dir(crates).unwrap() {
        let folder = entry.unwrap();
        let name = match folder.file_name().to_str().unwrap() {
            "journeyman" => "journeyman".to_owned(),
            other => format!("journeyman-{other}"),
        };
        let floor = *floors
            .get(name.as_str())
            .unwrap_or_else(|| panic!("{name} has no floor"));
        let manifest = fs::read_to_string(folder.path().join("Cargo.toml")).unwrap();
        for dependency in own_dependencies(&manifest) {
            assert!(
                floors[dependency.as_str()] < floor,
                "{name} depends on {dependency}"
            );
            assert!(
                !FOR_TESTS.contains(&dependency.as_str()),
                "{dependency} is for tests, {name} is not"
            );
        }
        seen += 1;
    }
    assert_eq!(seen, FLOORS.len());
}
