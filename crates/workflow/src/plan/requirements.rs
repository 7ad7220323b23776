//! Requirements that the prompt and the given tests impose on a plan: names, and the module at which each test is
//! run.

use std::collections::BTreeSet;

use journeyman_event::payload::{GivenTest, PlannedFunction, PlannedModule, TestOrigin};
use journeyman_language::Language;

use super::{Draft, DraftModule};
use crate::named::{module_named, package_named, speaks_of_a_package};

/// Applies the names in the prompt. Small models often turn the single requested module into a package with a
/// module per function.
pub(super) fn apply_prompt_names(language: &dyn Language, draft: &mut Draft, prompt: &str) {
    if let Some(package) = package_named(language, prompt).filter(|name| !language.is_taken(name)) {
        draft.package = package;
    }
    let speaks_of_a_package = speaks_of_a_package(prompt);
    let named = module_named(language, prompt)
        .filter(|name| !language.is_taken(name) && !language.is_test_module(name));
    if let Some(name) = named
        && draft.modules.iter().all(|module| module.name != name)
    {
        if draft.package == name && !speaks_of_a_package {
            draft.merge();
        }
        if let [module] = draft.modules.as_mut_slice() {
            let repair = format!(
                "module {} renamed to {name}: the prompt calls it so",
                module.name
            );
            draft.repairs.push(repair);
            module.name = name;
        }
    }
    let [module] = draft.modules.as_slice() else {
        return;
    };
    if !draft.package.is_empty() && !speaks_of_a_package && !language.is_taken(&module.name) {
        let repair = format!(
            "package {} left out: it would have one module",
            draft.package
        );
        draft.repairs.push(repair);
        draft.package.clear();
    }
}

/// Applies the names in given test files: what they import must be written.
pub(super) fn apply_test_imports(
    language: &dyn Language,
    draft: &mut Draft,
    tests: &[GivenTest],
) -> Result<(), String> {
    let mut required: Vec<(String, Vec<String>)> = Vec::new();
    for test in tests.iter().filter(|test| test.origin.is_file()) {
        for name in language.foreign_imports(&test.source) {
            if language.is_third_party(&name) || language.is_given(&name, tests) {
                continue;
            }
            let mut taken = language.imported_from(&test.source, &name);
            match required.iter_mut().find(|(known, _)| *known == name) {
                Some((_, names)) => names.append(&mut taken),
                None => required.push((name, taken)),
            }
        }
    }
    // `import shop` beside `from shop.cart import add` is the package itself.
    let packages: Vec<String> = required
        .iter()
        .filter_map(|(name, _)| name.rsplit_once('.').map(|(package, _)| package.to_owned()))
        .collect();
    required.retain(|(name, _)| !packages.iter().any(|package| package == name));
    let package_of = |name: &str| {
        name.rsplit_once('.')
            .map_or("", |(package, _)| package)
            .to_owned()
    };
    let Some((first, _)) = required.first() else {
        return Ok(());
    };
    let package = package_of(first);
    if let Some((other, _)) = required
        .iter()
        .find(|(name, _)| package_of(name) != package)
    {
        return Err(format!(
            "the tests import {first} and {other}, which are not in one package"
        ));
    }
    let leaf = |name: &str| name.rsplit('.').next().unwrap_or(name).to_owned();
    let is_planned =
        |draft: &Draft, name: &str| draft.modules.iter().any(|module| module.name == leaf(name));
    let missing: Vec<&(String, Vec<String>)> = required
        .iter()
        .filter(|(name, _)| !is_planned(draft, name))
        .collect();
    let is_single = draft.modules.len() == 1;
    if !is_single && !missing.is_empty() {
        let names: Vec<&str> = missing.iter().map(|(name, _)| name.as_str()).collect();
        return Err(format!(
            "the tests import the modules {}; plan modules with exactly these names",
            names.join(", ")
        ));
    }
    let mut is_free = missing.len() == required.len();
    for (name, names) in missing {
        let leaf = leaf(name);
        if is_free {
            is_free = false;
            let module = &mut draft.modules[0];
            let repair = format!(
                "module {} renamed to {leaf}: the tests import it",
                module.name
            );
            draft.repairs.push(repair);
            module.name = leaf;
            continue;
        }
        draft
            .repairs
            .push(format!("module {leaf} added: the tests import it"));
        let functions = names.iter().map(|name| PlannedFunction {
            signature: language.signature_of(name),
            behaviour: "as the tests show".to_owned(),
        });
        draft.modules.push(DraftModule {
            name: leaf,
            purpose: "What the tests import from it.".to_owned(),
            functions: functions.collect(),
            depends_on: Vec::new(),
        });
    }
    if draft.package != package {
        draft.repairs.push(format!(
            "package {package:?} instead of {:?}: the tests import it so",
            draft.package
        ));
        draft.package = package;
    }
    Ok(())
}

/// Adds functions that examples call. A plan of several modules without any of these functions is for a
/// different task: small models repeat the plan they were shown as an example.
pub(super) fn add_example_calls(
    language: &dyn Language,
    draft: &mut Draft,
    tests: &[GivenTest],
) -> Result<(), String> {
    let tests = tests.iter().filter(|test| test.origin != TestOrigin::File);
    let called: BTreeSet<String> = tests.flat_map(|test| language.called_names(test)).collect();
    let is_planned = |name: &&String| {
        let mut functions = draft.modules.iter().flat_map(|module| &module.functions);
        functions.any(|function| language.defined_name(&function.signature) == Some(name.as_str()))
    };
    let missing: Vec<String> = called
        .iter()
        .filter(|name| !is_planned(name))
        .cloned()
        .collect();
    if draft.modules.len() > 1 && !called.is_empty() && missing.len() == called.len() {
        return Err(format!(
            "it has nothing of what the task's examples call: {}; plan the task that is given",
            missing.join(", ")
        ));
    }
    for name in missing {
        let repair = format!("function {name} added: the examples call it");
        draft.repairs.push(repair);
        if let Some(module) = draft.modules.last_mut() {
            module.functions.push(PlannedFunction {
                signature: language.signature_of(&name),
                behaviour: "as the examples show".to_owned(),
            });
        }
    }
    Ok(())
}

/// The module at which a given test is first run: the last of the modules it needs.
pub(super) fn last_module_needed(
    language: &dyn Language,
    modules: &[PlannedModule],
    test: &GivenTest,
) -> usize {
    let imports = language.foreign_imports(&test.source);
    let needed = |module: &PlannedModule| {
        let is_imported = imports.iter().any(|name| name == module.name.as_str());
        if is_imported || test.origin == TestOrigin::File {
            return is_imported;
        }
        module.functions.iter().any(|function| {
            let name = language.defined_name(&function.signature);
            name.is_some_and(|name| language.mentions(&test.source, name))
        })
    };
    modules
        .iter()
        .rposition(needed)
        .unwrap_or(modules.len() - 1)
}
