//! Our own sources, parsed.

use std::fs;
use std::path::{Path, PathBuf};

use syn::{Attribute, Expr, Item, Lit, Meta};

/// A source file of a crate.
pub(super) struct Source {
    pub(super) path: PathBuf,
    pub(super) file: syn::File,
}

/// All sources below a folder, in the order of their paths.
pub(super) fn below(folder: &Path) -> Vec<Source> {
    let mut sources = Vec::new();
    let mut folders = vec![folder.to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                sources.push(read(&path));
            }
        }
    }
    sources.sort_by(|a, b| a.path.cmp(&b.path));
    sources
}

/// Reads and parses one source file.
pub(super) fn read(path: &Path) -> Source {
    let text = fs::read_to_string(path).unwrap();
    let file = syn::parse_file(&text).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    Source {
        path: path.to_owned(),
        file,
    }
}

/// The first paragraph of a documentation, as Markdown outside of the code: links to items are names.
pub(super) fn summary(attributes: &[Attribute]) -> String {
    let mut lines = Vec::new();
    for attribute in attributes {
        let Meta::NameValue(meta) = &attribute.meta else {
            continue;
        };
        let Expr::Lit(value) = &meta.value else {
            continue;
        };
        let Lit::Str(line) = &value.lit else {
            continue;
        };
        if !meta.path.is_ident("doc") {
            continue;
        }
        let line = line.value();
        if line.trim().is_empty() {
            break;
        }
        lines.push(line.trim().to_owned());
    }
    let text = lines.join(" ").replace("[`", "`");
    text.replace("`]", "`")
}

/// Whether an item exists only in test builds.
pub(super) fn is_for_tests(attributes: &[Attribute]) -> bool {
    attributes.iter().any(|attribute| {
        let Meta::List(list) = &attribute.meta else {
            return false;
        };
        let condition = list.tokens.to_string();
        let for_tests = condition == "test" || condition == "feature = \"conformance\"";
        list.path.is_ident("cfg") && for_tests
    })
}

/// The sources below a folder, without modules that exist only in test builds.
pub(super) fn of_product(folder: &Path) -> Vec<Source> {
    let mut sources = below(folder);
    let mut left_out = Vec::new();
    for source in &sources {
        let stem = source.path.file_stem().unwrap();
        let folder = match stem.to_str().unwrap() {
            "lib" | "main" | "mod" => source.path.parent().unwrap().to_owned(),
            _ => source.path.with_extension(""),
        };
        for item in &source.file.items {
            if let Item::Mod(module) = item
                && is_for_tests(&module.attrs)
            {
                left_out.push(folder.join(module.ident.to_string()));
            }
        }
    }
    let is_left_out = |path: &Path| {
        let module = path.with_extension("");
        left_out.iter().any(|folder| module.starts_with(folder))
    };
    sources.retain(|source| !is_left_out(&source.path));
    sources
}

/// The items of a file and of the modules that stand in it, tests left out.
pub(super) fn items(file: &syn::File) -> Vec<&Item> {
    let mut all = Vec::new();
    let mut waiting: Vec<&Item> = file.items.iter().rev().collect();
    while let Some(item) = waiting.pop() {
        if let Item::Mod(module) = item {
            let inner = module
                .content
                .iter()
                .flat_map(|(_, items)| items.iter().rev());
            if !is_for_tests(&module.attrs) {
                waiting.extend(inner);
            }
            continue;
        }
        all.push(item);
    }
    all
}
