//! The catalogue of event kinds, from the payload types of the crate `event`.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write;

use syn::parse::{Parse, ParseStream};
use syn::punctuated::Punctuated;
use syn::{Attribute, Fields, GenericArgument, Ident, Item, LitStr, PathArguments, Token, Type};

use super::{cell, root, source};

/// A line of `payloads!`.
struct Kind {
    name: LitStr,
    payload: Ident,
}

impl Parse for Kind {
    fn parse(input: ParseStream<'_>) -> syn::Result<Self> {
        let name = input.parse()?;
        input.parse::<Token![=>]>()?;
        let payload = input.parse()?;
        Ok(Self { name, payload })
    }
}

/// A file of payloads: what it is about, and its types.
struct PayloadFile {
    about: String,
    items: Vec<Item>,
}

fn payload_files() -> Vec<PayloadFile> {
    let sources = source::below(&root().join("crates/event/src/payload"));
    let file = |source: source::Source| PayloadFile {
        about: source::summary(&source.file.attrs),
        items: source.file.items,
    };
    sources.into_iter().map(file).collect()
}

/// Every kind with its payload type, in the order of `payloads!`.
fn declared() -> Vec<Kind> {
    let table = source::read(&root().join("crates/event/src/payload.rs"));
    let kinds = table.file.items.iter().find_map(|item| match item {
        Item::Macro(item) if item.mac.path.is_ident("payloads") => Some(
            item.mac
                .parse_body_with(Punctuated::<Kind, Token![,]>::parse_terminated)
                .unwrap(),
        ),
        _ => None,
    });
    kinds.unwrap().into_iter().collect()
}

fn name_of(item: &Item) -> Option<String> {
    match item {
        Item::Struct(item) => Some(item.ident.to_string()),
        Item::Enum(item) => Some(item.ident.to_string()),
        _ => None,
    }
}

/// For each file a heading, and for each of its kinds what it says and the members of its data.
pub(super) fn kinds() -> String {
    let declared = declared();
    let known = known();
    let mut page = String::new();
    for file in payload_files() {
        let mut kinds = Vec::new();
        for (place, kind) in declared.iter().enumerate() {
            let of_kind = |item: &&Item| name_of(item).is_some_and(|name| kind.payload == name);
            if let Some(Item::Struct(item)) = file.items.iter().find(of_kind) {
                kinds.push((place, kind.name.value(), item));
            }
        }
        if kinds.is_empty() {
            continue;
        }
        kinds.sort_by_key(|(place, ..)| *place);
        writeln!(page, "### {}\n", file.about.trim_end_matches('.')).unwrap();
        for (_, name, item) in kinds {
            writeln!(page, "#### `{name}`\n\n{}\n", source::summary(&item.attrs)).unwrap();
            page.push_str(&members(&item.fields, &known));
        }
    }
    page
}

/// The types that members refer to, in the order of their names.
pub(super) fn types() -> String {
    let payloads: Vec<String> = declared()
        .iter()
        .map(|kind| kind.payload.to_string())
        .collect();
    let known = known();
    let mut sections = BTreeMap::new();
    for item in payload_files().into_iter().flat_map(|file| file.items) {
        let mut text = String::new();
        let name = match &item {
            Item::Struct(item) if !payloads.contains(&item.ident.to_string()) => {
                writeln!(text, "{}\n", source::summary(&item.attrs)).unwrap();
                text.push_str(&members(&item.fields, &known));
                item.ident.to_string()
            }
            Item::Enum(item) => {
                writeln!(
                    text,
                    "{}\n\n| value | |\n|---|---|",
                    source::summary(&item.attrs)
                )
                .unwrap();
                let tag = serde_value(&item.attrs, "tag");
                for variant in &item.variants {
                    let name = snake(&variant.ident.to_string());
                    let about = cell(&source::summary(&variant.attrs));
                    let value = match (&tag, &variant.fields) {
                        (None, Fields::Unit) => format!("`{name}`"),
                        (Some(tag), fields) => {
                            format!("`{tag}`: `{name}`{}", within(fields, &known))
                        }
                        (None, fields) => format!("`{name}`:{}", within(fields, &known)),
                    };
                    writeln!(text, "| {value} | {about} |").unwrap();
                }
                item.ident.to_string()
            }
            _ => continue,
        };
        sections.insert(name, text);
    }
    let section = |(name, text): (&String, &String)| format!("#### {name}\n\n{text}\n");
    sections.iter().map(section).collect()
}

/// The types that have a section of their own.
fn known() -> Vec<String> {
    let items = payload_files().into_iter().flat_map(|file| file.items);
    items.filter_map(|item| name_of(&item)).collect()
}

fn members(fields: &Fields, known: &[String]) -> String {
    if fields.is_empty() {
        return "Its data is empty: `{}`.\n\n".to_owned();
    }
    let mut table = "| member | type | |\n|---|---|---|\n".to_owned();
    for field in fields {
        let name = field.ident.as_ref().map(ToString::to_string);
        let optional = if serde_value(&field.attrs, "skip_serializing_if").is_some() {
            "?"
        } else {
            ""
        };
        let (name, about) = (name.unwrap_or_default(), source::summary(&field.attrs));
        let shape = shape(&field.ty, known);
        writeln!(table, "| `{name}`{optional} | {shape} | {} |", cell(&about)).unwrap();
    }
    table.push('\n');
    table
}

/// The members of a variant with data, in short.
fn within(fields: &Fields, known: &[String]) -> String {
    let member = |field: &syn::Field| match &field.ident {
        Some(name) => format!(" `{name}` ({})", shape(&field.ty, known)),
        None => format!(" {}", shape(&field.ty, known)),
    };
    fields.iter().map(member).collect::<Vec<_>>().join(",")
}

/// A type in the terms of JSON.
fn shape(of: &Type, known: &[String]) -> String {
    let Type::Path(path) = of else {
        panic!("a member of a payload has a type that is no path");
    };
    let last = path.path.segments.last().unwrap();
    let inner = || match &last.arguments {
        PathArguments::AngleBracketed(arguments) => match arguments.args.first() {
            Some(GenericArgument::Type(inner)) => shape(inner, known),
            _ => panic!("a generic member of a payload without a type"),
        },
        _ => panic!("a generic member of a payload without arguments"),
    };
    let name = last.ident.to_string();
    match name.as_str() {
        "Option" => inner(),
        "Vec" => format!("list of {}", inner()),
        "String" => "text".to_owned(),
        "bool" => "true or false".to_owned(),
        "u8" | "u16" | "u32" | "u64" | "i64" | "f32" | "f64" | "NonZeroU32" | "Tokens" => {
            "number".to_owned()
        }
        "PicoUsd" => "text, an amount in US dollars".to_owned(),
        "Timestamp" => "time".to_owned(),
        "TraceContext" => {
            "object with `traceparent` and perhaps `tracestate`, as in W3C Trace Context".to_owned()
        }
        "ModuleName" => "module".to_owned(),
        "TaskId" => "task".to_owned(),
        "Owner" => "owner".to_owned(),
        "Revision" => "revision".to_owned(),
        "Sequence" => "sequence".to_owned(),
        "ContentHash" => "hash".to_owned(),
        "Priority" => "priority".to_owned(),
        "Map" => "object".to_owned(),
        _ if known.contains(&name) => format!("[{name}](#{})", name.to_lowercase()),
        _ => panic!("say in `shape` how {name} looks in JSON"),
    }
}

/// The value of an attribute of serde, such as `tag`.
fn serde_value(attributes: &[Attribute], wanted: &str) -> Option<String> {
    let mut found = None;
    for attribute in attributes {
        if !attribute.path().is_ident("serde") {
            continue;
        }
        let parsed = attribute.parse_nested_meta(|meta| {
            let value = meta
                .value()
                .and_then(syn::parse::ParseBuffer::parse::<LitStr>);
            if meta.path.is_ident(wanted) {
                found = Some(value?.value());
            }
            Ok(())
        });
        parsed.unwrap();
    }
    found
}

/// A variant's name as serde's `snake_case` has it.
fn snake(name: &str) -> String {
    let mut snake = String::new();
    for (at, letter) in name.char_indices() {
        if letter.is_uppercase() && at > 0 {
            snake.push('_');
        }
        snake.extend(letter.to_lowercase());
    }
    snake
}

/// A row of the table that is written by hand.
struct Row {
    kind: String,
    /// `yes`, `no` or `some`.
    module: String,
    actors: Vec<String>,
}

fn by_hand(page: &str) -> Vec<Row> {
    let rows = page.lines().filter_map(|line| line.strip_prefix("| `"));
    let cells = rows.map(|row| row.split(" | ").collect::<Vec<_>>());
    let of_four = cells.filter(|cells| cells.len() == 4);
    let named = |text: &str| {
        text.split('`')
            .skip(1)
            .step_by(2)
            .map(str::to_owned)
            .collect()
    };
    of_four
        .map(|cells| Row {
            kind: cells[0].trim_end_matches('`').to_owned(),
            module: cells[1].to_owned(),
            actors: named(cells[2]),
        })
        .collect()
}

#[test]
fn reference_of_events_names_who_records_each_kind() {
    let page = std::fs::read_to_string(root().join("docs/reference/events.md")).unwrap();
    let rows = by_hand(&page);
    let named: BTreeSet<String> = rows.iter().map(|row| row.kind.clone()).collect();
    let declared: BTreeSet<String> = declared().iter().map(|kind| kind.name.value()).collect();
    assert_eq!(
        named, declared,
        "the table says who records each kind, and no other"
    );
    // A recorded history is the proof.
    let history = root().join("crates/event/tests/golden/events.jsonl");
    for line in std::fs::read_to_string(history).unwrap().lines() {
        let event: serde_json::Value = serde_json::from_str(line).unwrap();
        let (kind, actor) = (
            event["kind"].as_str().unwrap(),
            event["actor"].as_str().unwrap(),
        );
        let row = rows.iter().find(|row| row.kind == kind).unwrap();
        assert!(
            row.actors.iter().any(|name| name == actor),
            "{kind} by {actor}"
        );
        let fits = match row.module.as_str() {
            "yes" => event["module"].is_string(),
            "no" => event["module"].is_null(),
            _ => row.module == "some",
        };
        assert!(fits, "{kind}: {} is not so in {line}", row.module);
    }
}
