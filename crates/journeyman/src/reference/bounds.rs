//! The constants that bound something, from the sources of the product's crates.

use std::collections::BTreeMap;
use std::fmt::Write;
use std::fs;
use std::sync::LazyLock;

use syn::{BinOp, Expr, Ident, ImplItem, Item, Lit, Type};

use super::source::{self, is_for_tests, items, summary};
use super::{cell, root};

/// Crates that the product does not contain, or whose bounds are those of a model that is played.
const LEFT_OUT: &[&str] = &["crash-vfs", "fuzz", "journal-conformance", "sim"];

/// How the names of constants end that bound something. Each constant time does.
const BOUND: &[&str] = &["MAX", "MIN", "KEPT", "SHOWN"];

/// A constant number or time.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Value {
    Number(u128),
    Fraction(f64),
    Micros(u128),
}

/// A constant as it stands in a file.
struct Constant<'a> {
    name: String,
    ty: &'a Type,
    value: &'a Expr,
    about: String,
}

/// A constant of the product, with its value in words.
struct Bound {
    /// The crate, the file in its `src` without `.rs`, and the name.
    of: String,
    file: String,
    name: String,
    shown: String,
    about: String,
    /// Whether its name or its value says that it bounds something.
    is_plain: bool,
}

/// The values of a crate's constants by name.
type Known = BTreeMap<String, Value>;

/// A table of each crate's bounds.
pub(super) fn constants() -> String {
    let mut page = String::new();
    let mut last = String::new();
    for bound in ALL.iter().filter(|bound| bound.is_plain) {
        if bound.of != last {
            let head = "| constant | value | | file |\n|---|---|---|---|";
            writeln!(page, "\n### `{}`\n\n{head}", bound.of).unwrap();
            last.clone_from(&bound.of);
        }
        let Bound {
            name, shown, file, ..
        } = bound;
        let about = cell(&bound.about);
        writeln!(page, "| `{name}` | {shown} | {about} | `{file}.rs` |").unwrap();
    }
    page
}

/// The constants of all crates of the product, crate by crate and file by file.
static ALL: LazyLock<Vec<Bound>> = LazyLock::new(|| {
    let mut crates: Vec<String> = fs::read_dir(root().join("crates"))
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .filter(|name| !LEFT_OUT.contains(&name.as_str()))
        .collect();
    crates.sort();
    crates.iter().flat_map(|name| of_crate(name)).collect()
});

fn of_crate(name: &str) -> Vec<Bound> {
    let folder = root().join("crates").join(name).join("src");
    let sources = source::of_product(&folder);
    let mut known = Known::new();
    // Twice: a constant may be made of one that stands in a later file.
    for _ in 0..2 {
        for source in &sources {
            for constant in of_file(&source.file) {
                if let Some(value) = evaluate(constant.value, &known) {
                    known.insert(constant.name, value);
                }
            }
        }
    }
    let mut bounds = Vec::new();
    for source in &sources {
        let file = source
            .path
            .strip_prefix(&folder)
            .unwrap()
            .with_extension("");
        for constant in of_file(&source.file) {
            let Some(value) = evaluate(constant.value, &known) else {
                continue;
            };
            let shown = shown(&constant, value);
            let is_named = BOUND.iter().any(|end| constant.name.ends_with(end));
            bounds.push(Bound {
                of: name.to_owned(),
                file: file.display().to_string(),
                name: constant.name,
                shown,
                about: constant.about,
                is_plain: is_named || matches!(value, Value::Micros(_)),
            });
        }
    }
    bounds
}

/// The constants of a file, those of types included and those of tests left out.
fn of_file(file: &syn::File) -> Vec<Constant<'_>> {
    let mut constants = Vec::new();
    for item in items(file) {
        match item {
            Item::Const(item) if !is_for_tests(&item.attrs) => constants.push(Constant {
                name: item.ident.to_string(),
                ty: &item.ty,
                value: &item.expr,
                about: summary(&item.attrs),
            }),
            Item::Impl(block) if !is_for_tests(&block.attrs) => {
                for item in &block.items {
                    if let ImplItem::Const(item) = item {
                        constants.push(Constant {
                            name: item.ident.to_string(),
                            ty: &item.ty,
                            value: &item.expr,
                            about: summary(&item.attrs),
                        });
                    }
                }
            }
            _ => {}
        }
    }
    constants
}

fn last_name(path: &Expr) -> Option<&Ident> {
    match path {
        Expr::Path(path) => path.path.segments.last().map(|segment| &segment.ident),
        _ => None,
    }
}

/// The value of an expression of numbers, times and other constants; none of any other.
fn evaluate(value: &Expr, known: &Known) -> Option<Value> {
    match value {
        Expr::Lit(literal) => match &literal.lit {
            Lit::Int(number) => number.base10_parse().ok().map(Value::Number),
            Lit::Float(number) => number.base10_parse().ok().map(Value::Fraction),
            _ => None,
        },
        Expr::Paren(inner) => evaluate(&inner.expr, known),
        Expr::Path(_) => known.get(&last_name(value)?.to_string()).copied(),
        Expr::Binary(pair) => {
            let (Value::Number(left), Value::Number(right)) =
                (evaluate(&pair.left, known)?, evaluate(&pair.right, known)?)
            else {
                return None;
            };
            let result = match pair.op {
                BinOp::Add(_) => left.checked_add(right),
                BinOp::Sub(_) => left.checked_sub(right),
                BinOp::Mul(_) => left.checked_mul(right),
                BinOp::Div(_) => left.checked_div(right),
                BinOp::Shl(_) => left.checked_shl(u32::try_from(right).ok()?),
                _ => None,
            };
            result.map(Value::Number)
        }
        Expr::Call(call) => {
            let Value::Number(number) = evaluate(call.args.first()?, known)? else {
                return None;
            };
            let micros = match last_name(&call.func)?.to_string().as_str() {
                "from_micros" => 1,
                "from_millis" => 1_000,
                "from_secs" => 1_000_000,
                "from_mins" => 60_000_000,
                "from_hours" => 3_600_000_000,
                "Tokens" => return Some(Value::Number(number)),
                _ => return None,
            };
            number.checked_mul(micros).map(Value::Micros)
        }
        _ => None,
    }
}

/// A value with its unit, where name, type or value tell it.
fn shown(constant: &Constant<'_>, value: Value) -> String {
    match value {
        Value::Fraction(number) => number.to_string(),
        Value::Micros(micros) => {
            let units = [
                (3_600_000_000, "h"),
                (60_000_000, "min"),
                (1_000_000, "s"),
                (1_000, "ms"),
                (1, "µs"),
            ];
            let exact = units
                .iter()
                .find(|(unit, _)| micros > 0 && micros % unit == 0);
            let (unit, name) = exact.unwrap_or(&units[2]);
            format!("{} {name}", micros / unit)
        }
        Value::Number(number) => {
            let is_shift = matches!(constant.value, Expr::Binary(_));
            let of_bytes = is_shift || constant.name.contains("BYTES");
            match number {
                _ if is_tokens(constant.ty) => format!("{} tokens", grouped(number)),
                _ if constant.name.contains("_MS") => format!("{} ms", grouped(number)),
                _ if of_bytes && number >= 1 << 20 && number.is_multiple_of(1 << 20) => {
                    format!("{} MiB", number >> 20)
                }
                _ if of_bytes && number >= 1 << 10 && number.is_multiple_of(1 << 10) => {
                    format!("{} KiB", number >> 10)
                }
                _ => grouped(number),
            }
        }
    }
}

fn is_tokens(ty: &Type) -> bool {
    matches!(ty, Type::Path(path) if path.path.segments.last().is_some_and(|last| last.ident == "Tokens"))
}

/// A number with commas between its thousands.
fn grouped(number: u128) -> String {
    let digits = number.to_string();
    let mut text = String::new();
    for (at, digit) in digits.char_indices() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

#[test]
fn reference_of_bounds_has_the_values_of_the_code() {
    let page = fs::read_to_string(root().join("docs/reference/bounds.md")).unwrap();
    let mut wrong = Vec::new();
    for (before, after) in page.match_indices("<!-- ").map(|(at, _)| page.split_at(at)) {
        let named = after["<!-- ".len()..].split(" -->").next().unwrap();
        // The marks of generated sections.
        let Some((place, name)) = named
            .split_once(' ')
            .filter(|(place, _)| *place != "generated:")
        else {
            continue;
        };
        let (of, file) = place.split_once('/').unwrap_or((place, ""));
        let is_meant = |bound: &&Bound| {
            bound.of == of && bound.name == name && (file.is_empty() || bound.file == file)
        };
        let found: Vec<&Bound> = ALL.iter().filter(is_meant).collect();
        match found[..] {
            [bound] if before.ends_with(&bound.shown) => {}
            [bound] => wrong.push(format!("{named}: it is {}", bound.shown)),
            [] => wrong.push(format!("{named}: there is no such constant")),
            _ => wrong.push(format!(
                "{named}: there are several; say the file, as in `journal/batch NAME`"
            )),
        }
    }
    assert!(
        wrong.is_empty(),
        "docs/reference/bounds.md:\n{}",
        wrong.join("\n")
    );
}
