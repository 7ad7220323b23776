//! The outline of a file: its functions, classes and methods, what each of them uses, and what the file imports.
//!
//! One pass over the parse tree with an explicit stack, so that deep nesting cannot overflow.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;

use crate::Source;
use crate::node::Node;

/// The most nodes of one file that are visited; the rest is not in the outline.
const NODES_MAX: usize = 1_000_000;
/// The most characters of a signature or of a docstring line.
const LINE_CHARS_MAX: usize = 400;

/// The kind of an item.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ItemKind {
    /// A function or a method.
    Function,
    /// A class; its methods are items of their own.
    Class,
}

/// The number of uses per name. A name can be a chain such as `sums.add`. If only the last part is known (a method of
/// some value), it begins with a dot: `.add`.
pub type Uses = BTreeMap<String, u32>;

/// A function, a class or a method. A nested function is part of the outer one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Item {
    /// Whether it is a function or a class.
    pub kind: ItemKind,
    /// The name, without the class.
    pub name: String,
    /// The class of a method, as an index into [`Outline::items`] before this item.
    pub parent: Option<usize>,
    /// The signature on one line, at most 400 characters: `def add(a: int, b: int) -> int`.
    pub signature: String,
    /// The first line of the docstring, at most 400 characters; empty without one.
    pub description: String,
    /// The byte range, without decorators.
    pub range: Range<usize>,
    /// The line on which it begins, starting at 1.
    pub line: usize,
    /// The names that it uses and does not bind itself. Names used by its methods belong to the methods.
    pub uses: Uses,
}

/// A name bound by an import.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ImportedName {
    /// The name in this file; `*` for all names of a module.
    pub bound: String,
    /// The dotted module name, without the dots of a relative import; may be empty.
    pub module: String,
    /// The imported name in that module; `None` if the module itself is imported.
    pub name: Option<String>,
    /// The number of leading dots; 0 for an absolute import.
    pub level: usize,
}

/// The outline of a file.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Outline {
    /// The items in source order, methods after their class.
    pub items: Vec<Item>,
    /// The names used outside of all items.
    pub uses: Uses,
    /// The names bound by imports anywhere in the file.
    pub imports: Vec<ImportedName>,
}

/// Whether an identifier is used or bound.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Role {
    Used,
    Bound,
}

/// The names of one item, or of the file outside of items.
#[derive(Default)]
struct Names {
    used: Uses,
    bound: BTreeSet<String>,
}

impl Source<'_> {
    /// Returns the outline. A file with syntax errors has the items that could be parsed.
    pub fn outline(&self) -> Outline {
        let mut outline = Outline::default();
        let Some(root) = self.root() else {
            return outline;
        };
        let mut names: Vec<Names> = Vec::new();
        let mut file = Names::default();
        let mut open: Vec<(Node<'_>, Option<usize>, Role)> = vec![(root, None, Role::Used)];
        let mut seen = 0;
        while let Some((node, owner, role)) = open.pop() {
            seen += 1;
            if seen > NODES_MAX {
                break;
            }
            let parts = match (node.kind(), owner) {
                ("function_definition" | "class_definition", owner)
                    if owner.is_none_or(|owner| outline.items[owner].kind == ItemKind::Class) =>
                {
                    let Some(item) = item(node, owner) else {
                        continue;
                    };
                    outline.items.push(item);
                    names.push(Names::default());
                    inner(node, Some(outline.items.len() - 1))
                }
                ("import_statement" | "import_from_statement", _) => {
                    outline.imports.extend(imported(node));
                    continue;
                }
                _ => {
                    let names = match owner {
                        Some(owner) => &mut names[owner],
                        None => &mut file,
                    };
                    parts(node, owner, role, names)
                }
            };
            open.extend(parts.into_iter().rev());
        }
        let imported: BTreeSet<&str> = outline
            .imports
            .iter()
            .map(|import| import.bound.as_str())
            .collect();
        for (item, names) in outline.items.iter_mut().zip(names) {
            item.uses = free(names, &imported);
        }
        outline.uses = file.used;
        outline
    }
}

type Open<'t> = (Node<'t>, Option<usize>, Role);

fn item(node: Node<'_>, parent: Option<usize>) -> Option<Item> {
    let name = node.field("name")?.text().to_owned();
    let kind = if node.kind() == "class_definition" {
        ItemKind::Class
    } else {
        ItemKind::Function
    };
    // The colon and a comment may stand between the head and the body.
    let parts = [
        "name",
        "type_parameters",
        "parameters",
        "superclasses",
        "return_type",
    ];
    let ends = parts.iter().filter_map(|part| node.field(part));
    let end = ends.map(|part| part.range().end).max()?;
    let head = node.text().get(..end - node.range().start)?;
    Some(Item {
        kind,
        name,
        parent,
        signature: one_line(head),
        description: node.field("body").map(description).unwrap_or_default(),
        range: node.range(),
        line: node.row() + 1,
        uses: Uses::new(),
    })
}

fn one_line(text: &str) -> String {
    let words: Vec<&str> = text.split_whitespace().collect();
    words.join(" ").chars().take(LINE_CHARS_MAX).collect()
}

/// The first line of the docstring of a body.
fn description(body: Node<'_>) -> String {
    let first = body.first_child();
    let string = match first {
        Some(statement) if statement.kind() == "expression_statement" => statement.first_child(),
        first => first,
    };
    let Some(string) = string.filter(|node| node.kind() == "string") else {
        return String::new();
    };
    let content = string
        .children()
        .into_iter()
        .find(|part| part.kind() == "string_content");
    let text = content.map_or("", Node::text);
    let line = text.lines().map(str::trim).find(|line| !line.is_empty());
    one_line(line.unwrap_or_default())
}

/// The parts of a definition to visit: everything but its name.
fn inner(node: Node<'_>, owner: Option<usize>) -> Vec<Open<'_>> {
    let name = node.field("name");
    let parts = node.children().into_iter();
    parts
        .filter(|part| Some(*part) != name)
        .map(|part| (part, owner, role_of(part)))
        .collect()
}

/// Parameters bind names; everything else uses them.
fn role_of(part: Node<'_>) -> Role {
    match part.kind() {
        "parameters" | "lambda_parameters" => Role::Bound,
        _ => Role::Used,
    }
}

/// Records the names of a node and returns the child nodes to visit.
fn parts<'t>(node: Node<'t>, owner: Option<usize>, role: Role, names: &mut Names) -> Vec<Open<'t>> {
    let all = |role: Role| -> Vec<Open<'t>> {
        let parts = node.children().into_iter();
        parts.map(|part| (part, owner, role)).collect()
    };
    // The parts of this field are given a value, the others are used.
    let binding = |field: &str| -> Vec<Open<'t>> {
        let bound = node.field(field);
        let parts = node.children().into_iter();
        parts
            .map(|part| {
                let is_bound = Some(part) == bound;
                let role = if is_bound { Role::Bound } else { Role::Used };
                (part, owner, role)
            })
            .collect()
    };
    match node.kind() {
        "identifier" => {
            match role {
                Role::Used => *names.used.entry(node.text().to_owned()).or_default() += 1,
                Role::Bound => {
                    names.bound.insert(node.text().to_owned());
                }
            }
            Vec::new()
        }
        "attribute" => {
            if let Some(chain) = chain(node) {
                *names.used.entry(chain).or_default() += 1;
                return Vec::new();
            }
            if let Some(attribute) = node.field("attribute") {
                let name = format!(".{}", attribute.text());
                *names.used.entry(name).or_default() += 1;
            }
            let object = node.field("object").into_iter();
            object.map(|object| (object, owner, Role::Used)).collect()
        }
        // A function within a function is a part of it.
        "function_definition" | "class_definition" => {
            if let Some(name) = node.field("name") {
                names.bound.insert(name.text().to_owned());
            }
            inner(node, owner)
        }
        "lambda" => {
            let parts = node.children().into_iter();
            parts.map(|part| (part, owner, role_of(part))).collect()
        }
        "assignment" | "for_statement" | "for_in_clause" => binding("left"),
        "named_expression" | "default_parameter" | "typed_default_parameter" => binding("name"),
        "typed_parameter" => {
            let kind = node.field("type");
            let parts = node.children().into_iter();
            parts
                .map(|part| {
                    let role = if Some(part) == kind { Role::Used } else { role };
                    (part, owner, role)
                })
                .collect()
        }
        "as_pattern_target" => all(Role::Bound),
        "keyword_argument" => {
            let value = node.field("value").into_iter();
            value.map(|value| (value, owner, Role::Used)).collect()
        }
        "parameters"
        | "lambda_parameters"
        | "pattern_list"
        | "tuple_pattern"
        | "list_pattern"
        | "list_splat_pattern"
        | "dictionary_splat_pattern" => all(role),
        "global_statement"
        | "nonlocal_statement"
        | "future_import_statement"
        | "comment"
        | "dotted_name" => Vec::new(),
        _ => all(Role::Used),
    }
}

/// The dotted text of an attribute that consists of names only.
fn chain(node: Node<'_>) -> Option<String> {
    let mut names = Vec::new();
    let mut rest = node;
    while rest.kind() == "attribute" {
        names.push(rest.field("attribute")?.text());
        rest = rest.field("object")?;
    }
    if rest.kind() != "identifier" {
        return None;
    }
    names.push(rest.text());
    names.reverse();
    Some(names.join("."))
}

/// The uses of names from outside the item. Of a chain that begins with a name bound in the item, only
/// the last part is kept.
fn free(names: Names, imported: &BTreeSet<&str>) -> Uses {
    let mut uses = Uses::new();
    for (name, count) in names.used {
        let first = name.split('.').next().unwrap_or_default();
        let is_own = names.bound.contains(first) && !imported.contains(first);
        let name = match name.rsplit_once('.') {
            Some((_, last)) if is_own => format!(".{last}"),
            None if is_own => continue,
            _ => name,
        };
        *uses.entry(name).or_default() += count;
    }
    uses
}

fn imported(node: Node<'_>) -> Vec<ImportedName> {
    let mut found = Vec::new();
    if node.kind() == "import_statement" {
        for part in node.fields("name") {
            let module = part.field("name").unwrap_or(part).text().to_owned();
            let alias = part.field("alias").map(|alias| alias.text().to_owned());
            found.push(ImportedName {
                bound: alias.unwrap_or_else(|| module.clone()),
                module,
                name: None,
                level: 0,
            });
        }
        return found;
    }
    let Some(from) = node.field("module_name") else {
        return found;
    };
    let text = from.text();
    let module = text.trim_start_matches('.');
    let level = text.len() - module.len();
    let is_star = node
        .children()
        .into_iter()
        .any(|part| part.kind() == "wildcard_import");
    if is_star {
        found.push(ImportedName {
            bound: "*".to_owned(),
            module: module.to_owned(),
            name: Some("*".to_owned()),
            level,
        });
    }
    for part in node.fields("name") {
        let name = part.field("name").unwrap_or(part).text().to_owned();
        let alias = part.field("alias").map(|alias| alias.text().to_owned());
        found.push(ImportedName {
            bound: alias.unwrap_or_else(|| name.clone()),
            module: module.to_owned(),
            name: Some(name),
            level,
        });
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    const CART: &str = "\
\"\"\"A cart.\"\"\"
import shop.sums as sums
from shop.money import Money, parse as read
from . import rates
import json

LIMIT = limit()


class Cart(Base):
    \"\"\"What is bought.

    More.
    \"\"\"
    size = sums.count(LIMIT)

    def total(self, other: Money = Money(0)) -> Money:
        # def no(): pass
        prices = [read(p) for p in self.items]
        json.dumps(prices, indent=width())
        return sums.add(*prices).rounded()


@cached
async def load(path,
               *names):
    def inner(x):
        return Cart(x)
    with open(path) as file:
        return inner(file.read())
";

    fn uses(names: &[(&str, u32)]) -> Uses {
        let names = names.iter();
        names
            .map(|&(name, count)| (name.to_owned(), count))
            .collect()
    }

    #[test]
    fn an_outline_has_items_with_what_they_use_from_outside() {
        let outline = Source::of(CART).outline();
        let told: Vec<(&str, Option<usize>, &str, &str, usize)> = outline
            .items
            .iter()
            .map(|item| {
                let Item {
                    name,
                    parent,
                    signature,
                    description,
                    line,
                    ..
                } = item;
                (&**name, *parent, &**signature, &**description, *line)
            })
            .collect();
        assert_eq!(
            told,
            [
                ("Cart", None, "class Cart(Base)", "What is bought.", 10),
                (
                    "total",
                    Some(0),
                    "def total(self, other: Money = Money(0)) -> Money",
                    "",
                    17
                ),
                ("load", None, "async def load(path, *names)", "", 25),
            ]
        );
        let of = |at: usize| &outline.items[at].uses;
        assert_eq!(
            of(0),
            &uses(&[("Base", 1), ("LIMIT", 1), ("sums.count", 1)])
        );
        assert_eq!(
            of(1),
            &uses(&[
                (".items", 1),
                (".rounded", 1),
                ("Money", 3),
                ("json.dumps", 1),
                ("read", 1),
                ("sums.add", 1),
                ("width", 1),
            ])
        );
        assert_eq!(of(2), &uses(&[(".read", 1), ("Cart", 1), ("open", 1)]));
        assert_eq!(outline.uses, uses(&[("cached", 1), ("limit", 1)]));
    }

    #[test]
    fn imports_say_what_each_name_stands_for() {
        let outline = Source::of(CART).outline();
        let told: Vec<(&str, &str, Option<&str>, usize)> = outline
            .imports
            .iter()
            .map(|one| (&*one.bound, &*one.module, one.name.as_deref(), one.level))
            .collect();
        assert_eq!(
            told,
            [
                ("sums", "shop.sums", None, 0),
                ("Money", "shop.money", Some("Money"), 0),
                ("read", "shop.money", Some("parse"), 0),
                ("rates", "", Some("rates"), 1),
                ("json", "json", None, 0),
            ]
        );
        let star = Source::of("from ..a.b import *\n").outline().imports;
        assert_eq!((&*star[0].bound, star[0].level), ("*", 2));
    }

    #[test]
    fn what_does_not_parse_or_is_nested_without_end_has_an_outline_too() {
        let broken = "def f(:\n    pass\n\ndef g(x):\n    return h(x)\n";
        let outline = Source::of(broken).outline();
        assert!(outline.items.iter().any(|item| item.name == "g"));
        let deep = format!("x = {}1{}\n", "(".repeat(20_000), ")".repeat(20_000));
        assert!(Source::of(&deep).outline().items.is_empty());
        assert_eq!(Source::of("").outline(), Outline::default());
    }
}
