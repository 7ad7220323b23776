//! Fuzz tests for parsing plans written by a model or a user, and for placing files. `JOURNEYMAN_FUZZ_SECONDS=600
//! cargo test -p journeyman-workflow fuzz` runs each target for that long, instead of for a few hundred cases.

use std::collections::BTreeSet;
use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Component, Path};

use journeyman_event::payload::{GivenTest, PlanningComplete, TestOrigin};
use journeyman_event::{ContentHash, TaskId};
use journeyman_fuzz::{fuzz, text};
use journeyman_language::Language;
use journeyman_language::python::Python;
use journeyman_language::python::is_standard;
use proptest::prelude::*;
use proptest::sample::Index;
use serde_json::json;

use crate::layout::Files;
use crate::output::write_output;
use crate::plan::{plan_of_answer, plan_of_stub};

/// Names that a model, or a file written by it, could choose.
fn name() -> impl Strategy<Value = String> {
    prop_oneof![
        4 => "[a-z][a-z_]{0,6}",
        4 => prop::sample::select(vec![
            "../x", "..", ".", "", "/", "/etc/passwd", "a/../../x", "a\\..\\x", "~/x", "x.py", "a/b.py", "a.b", "a.b.c",
            "C:\\x", "con", "json", "os", "test_x", "tests", "conftest", "__init__", "__main__", "class", "None", "a b",
            "A-B", "x\0y", "ｘ", "é", "a\n", "x/", "./x", "%2e%2e/x", "setup", ".journeyman.json", "solution",
        ]).prop_map(str::to_owned),
        1 => any::<String>(),
        1 => "[a-z]{50,260}",
        2 => r"(\.\.|\.|/|\\|a|b|\.py|-| ){0,8}",
    ]
}

fn inside(path: &str) -> bool {
    let mut parts = Path::new(path).components().peekable();
    parts.peek().is_some() && parts.all(|part| matches!(part, Component::Normal(_)))
}

#[test]
fn fuzz_a_plan_of_a_prompt_that_begins_a_file() {
    fuzz(1_500, &text(), |prompt| {
        let tests = Python.examples(&prompt).tests;
        if let Some(plan) = plan_of_stub(&Python, &prompt, &tests) {
            is_sound(&plan, &tests)?;
        }
        Ok(())
    });
}

/// Checks the invariants of every accepted plan.
fn is_sound(plan: &PlanningComplete, tests: &[GivenTest]) -> Result<(), TestCaseError> {
    prop_assert!((1..=6).contains(&plan.modules.len()));
    let mut before = BTreeSet::new();
    for module in &plan.modules {
        let path = Python.module_path(module.name.as_str());
        prop_assert!(inside(&path), "{path:?}");
        let parts: Vec<_> = Path::new(&path).components().collect();
        prop_assert!(parts.len() <= 12, "{path:?}");
        prop_assert!(parts.iter().all(|part| part.as_os_str().len() <= 255));
        let top = module.name.as_str().split('.').next().unwrap_or_default();
        prop_assert!(!is_standard(top), "{top} would hide the library's");
        for dependency in &module.depends_on {
            prop_assert!(
                before.contains(dependency),
                "{dependency} does not come first"
            );
        }
        prop_assert!(
            before.insert(module.name.clone()),
            "{} is there twice",
            module.name
        );
    }
    for test in tests {
        let homes = plan
            .modules
            .iter()
            .flat_map(|module| &module.given_tests)
            .filter(|name| **name == test.name);
        prop_assert_eq!(homes.count(), 1);
    }
    Ok(())
}

/// A plan as a model might write it: JSON that fits the schema more or less.
fn plan() -> impl Strategy<Value = String> {
    let function = prop_oneof![
        (text(), text()).prop_map(
            |(signature, behaviour)| json!({"signature": signature, "behaviour": behaviour})
        ),
        name().prop_map(|name| json!({"signature": format!("def {name}(self, x)")})),
        name().prop_map(|name| json!({"name": format!("class {name}")})),
        text().prop_map(Into::into),
        any::<i64>().prop_map(Into::into),
    ];
    let functions = prop::collection::vec(function, 0..4);
    let needs = prop::collection::vec(name(), 0..4);
    let module = (name(), text(), functions, needs).prop_map(|(name, purpose, functions, depends_on)| {
        json!({"name": name, "purpose": purpose, "functions": functions, "depends_on": depends_on})
    });
    let modules = prop::collection::vec(module, 0..8);
    (prop::option::of(name()), modules)
        .prop_map(|(package, modules)| json!({"package": package, "modules": modules}).to_string())
}

fn given_tests() -> impl Strategy<Value = Vec<GivenTest>> {
    let file = (name(), prop::option::of(name()), text()).prop_map(|(module, package, rest)| {
        let package = package.map_or_else(String::new, |package| format!("{package}."));
        format!("from {package}{module} import x\n{rest}")
    });
    let origin = prop::sample::select(vec![
        TestOrigin::File,
        TestOrigin::Examples,
        TestOrigin::Assertions,
    ]);
    prop::collection::vec((file, origin), 0..3).prop_map(|tests| {
        tests
            .into_iter()
            .enumerate()
            .map(|(number, (source, origin))| GivenTest {
                name: format!("test_{number}.py"),
                origin,
                source,
            })
            .collect()
    })
}

#[test]
fn fuzz_a_plan_in_an_answer() {
    let damage = prop::option::weighted(0.3, (any::<Index>(), any::<Index>(), text()));
    let strategy = (plan(), text(), damage, given_tests());
    fuzz(400, &strategy, |(plan, around, damage, tests)| {
        let mut answer: Vec<char> = plan.chars().collect();
        if let Some((from, to, instead)) = damage {
            let (from, to) = (from.index(answer.len()), to.index(answer.len()));
            answer.splice(from.min(to)..from.max(to), instead.chars());
        }
        let answer: String = answer.into_iter().collect();
        for answer in [
            answer.clone(),
            format!("{around}\n{answer}\n{around}"),
            around,
        ] {
            match plan_of_answer(&Python, &answer, "", &tests) {
                Ok(plan) => is_sound(&plan, &tests)?,
                Err(problem) => prop_assert!(!problem.is_empty()),
            }
        }
        Ok(())
    });
}

/// What already exists in the output folder.
#[derive(Clone, Debug)]
enum There {
    File(String),
    LinkToFile(String),
    LinkToFolder(String),
    Folder(String),
}

#[test]
fn fuzz_output_never_leaves_its_folder() {
    let there = prop_oneof![
        name().prop_map(There::File),
        name().prop_map(There::LinkToFile),
        name().prop_map(|name| There::LinkToFile(format!("{name}.partial"))),
        name().prop_map(There::LinkToFolder),
        name().prop_map(There::Folder),
    ];
    let path = prop_oneof![
        name(),
        (name(), name()).prop_map(|(folder, name)| format!("{folder}/{name}")),
        Just("../canary".to_owned()),
        Just("LINK/canary".to_owned()),
    ];
    let strategy = (
        prop::collection::vec(path.clone(), 0..4),
        prop::collection::vec(path, 0..3),
        prop::collection::vec(there, 0..4),
    );
    fuzz(60, &strategy, |(paths, before, there)| {
        let root = tempfile::tempdir().unwrap();
        let (out, canary) = (root.path().join("out"), root.path().join("canary"));
        let elsewhere = root.path().join("elsewhere");
        fs::create_dir(&out).unwrap();
        fs::create_dir(&elsewhere).unwrap();
        fs::write(&canary, "alive").unwrap();
        fs::write(elsewhere.join("canary"), "alive").unwrap();
        symlink(&elsewhere, out.join("LINK")).unwrap();
        for there in there {
            // Such names as the test itself can put into the folder and nowhere else.
            let plain = |name: &str| inside(name) && !name.contains('/');
            let _ = match there {
                There::File(name) if plain(&name) => {
                    // Not through a link that was put there before.
                    fs::File::create_new(out.join(name)).map(|_| ())
                }
                There::LinkToFile(name) if plain(&name) => symlink(&canary, out.join(name)),
                There::LinkToFolder(name) if plain(&name) => symlink(&elsewhere, out.join(name)),
                There::Folder(name) if plain(&name) => fs::create_dir(out.join(name)),
                _ => Ok(()),
            };
        }
        // A marker that says of any path, and of the canaries, that they were written by us.
        let ours = before
            .into_iter()
            .chain([
                "../canary".to_owned(),
                "LINK/canary".to_owned(),
                canary.display().to_string(),
            ])
            .map(|path| (path, json!(ContentHash::of(b"alive"))))
            .collect::<serde_json::Map<_, _>>();
        let marker = out.join(".journeyman.json");
        let _ = fs::remove_file(&marker);
        let _ = fs::write(
            &marker,
            json!({"task_id": "t-1", "files": ours}).to_string(),
        );
        let files: Files = paths
            .into_iter()
            .map(|path| (path, "x = 1\n".to_owned()))
            .collect();
        let _ = write_output(&out, &TaskId::new("t-1").unwrap(), &files);
        for (folder, expected) in [(root.path(), 3), (elsewhere.as_path(), 1)] {
            prop_assert_eq!(
                fs::read_dir(folder).unwrap().count(),
                expected,
                "{:?}",
                folder
            );
            let text = fs::read_to_string(folder.join("canary")).unwrap_or_default();
            prop_assert_eq!(text, "alive");
        }
        Ok(())
    });
}
