//! Makes probes: calls of functions with arguments like those of the examples. What they ought to give is unknown, but
//! candidates that behave alike on all of them are likely the same function, and those that differ are not.

use std::collections::BTreeSet;

use journeyman_syntax::{Node, Source};

/// The most probes of a module.
const PROBES_MAX: usize = 32;
/// The longest probe in bytes. Longer arguments take time and tell no more.
const BYTES_MAX: usize = 400;

/// A call with literal arguments, each as its source text.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Call {
    function: String,
    arguments: Vec<String>,
}

impl Call {
    fn text(&self) -> String {
        format!("{}({})", self.function, self.arguments.join(", "))
    }

    /// The first call in an assertion whose arguments are all literals.
    fn of_assertion(assertion: &str) -> Option<Self> {
        let source = Source::of(assertion);
        let call = source.root()?.all().find(|node| node.kind() == "call")?;
        let function = call.field("function")?;
        let arguments = call.field("arguments")?.children();
        let is_plain =
            function.kind() == "identifier" && arguments.iter().all(|one| is_literal(*one));
        is_plain.then(|| Self {
            function: function.text().to_owned(),
            arguments: arguments.iter().map(|one| one.text().to_owned()).collect(),
        })
    }
}

fn is_literal(node: Node<'_>) -> bool {
    match node.kind() {
        "integer" | "float" | "string" | "true" | "false" | "none" => true,
        "list"
        | "tuple"
        | "set"
        | "dictionary"
        | "pair"
        | "unary_operator"
        | "parenthesized_expression" => node.children().into_iter().all(is_literal),
        _ => false,
    }
}

/// Probes made from the examples among these assertions, in an order in which the first tell the most.
pub(super) fn probes(assertions: &[String]) -> Vec<String> {
    let calls: Vec<Call> = assertions
        .iter()
        .filter_map(|assertion| Call::of_assertion(assertion))
        .collect();
    let mut known: BTreeSet<String> = calls.iter().map(Call::text).collect();
    // One list for each argument of each example, from which one is taken in turn.
    let mut lists: Vec<std::vec::IntoIter<String>> = Vec::new();
    for call in &calls {
        for (at, argument) in call.arguments.iter().enumerate() {
            let with = |new: String| {
                let mut changed = call.clone();
                changed.arguments[at] = new;
                changed.text()
            };
            // Arguments of other examples at the same place come first: they are of the right kind.
            let others = calls.iter().filter(|other| other.function == call.function);
            let others = others.filter_map(|other| other.arguments.get(at).cloned());
            let all: Vec<String> = others.chain(variants(argument)).map(with).collect();
            lists.push(all.into_iter());
        }
    }
    let mut probes = Vec::new();
    while probes.len() < PROBES_MAX && !lists.is_empty() {
        lists.retain_mut(|list| {
            let next = list.find(|text| text.len() <= BYTES_MAX && !known.contains(text));
            if let Some(next) = &next {
                known.insert(next.clone());
                probes.push(next.clone());
            }
            next.is_some()
        });
    }
    probes.truncate(PROBES_MAX);
    probes
}

/// Other values of the kind of a literal.
fn variants(literal: &str) -> Vec<String> {
    let source = Source::of(literal);
    let root = source.root();
    let inner = root.and_then(|root| root.all().find(|node| is_literal(*node)));
    inner.map(variants_of).unwrap_or_default()
}

fn variants_of(node: Node<'_>) -> Vec<String> {
    let text = node.text();
    match node.kind() {
        "true" => vec!["False".to_owned()],
        "false" => vec!["True".to_owned()],
        "integer" | "unary_operator" => text.parse::<i64>().map_or_else(|_| floats(text), integers),
        "float" => floats(text),
        "string" => strings(text),
        "list" => sequences(node, "[", "]"),
        "tuple" => sequences(node, "(", ",)"),
        "dictionary" => mappings(node),
        "parenthesized_expression" => node.first_child().map(variants_of).unwrap_or_default(),
        _ => Vec::new(),
    }
}

fn integers(n: i64) -> Vec<String> {
    let all = [
        n.checked_add(1),
        Some(0),
        n.checked_sub(1),
        Some(1),
        n.checked_mul(2),
        n.checked_neg(),
        Some(2),
        n.checked_mul(10).and_then(|n| n.checked_add(3)),
        Some(-1),
        Some(7),
    ];
    all.into_iter().flatten().map(|n| n.to_string()).collect()
}

fn floats(text: &str) -> Vec<String> {
    let Ok(x) = text.parse::<f64>() else {
        return Vec::new();
    };
    [x + 0.5, 0.0, -x, 2.0 * x, x / 3.0, 1.0]
        .map(|x| format!("{x:?}"))
        .to_vec()
}

/// Strings between the same quotation marks. Those with escapes or prefixes are only doubled and emptied.
fn strings(text: &str) -> Vec<String> {
    let Some(quote) = text.chars().next().filter(|c| ['"', '\''].contains(c)) else {
        return Vec::new();
    };
    let inner = text.trim_start_matches(quote).trim_end_matches(quote);
    let quoted = |inner: String| format!("{quote}{inner}{quote}");
    let mut all = vec![quoted(String::new()), quoted(format!("{inner}{inner}"))];
    if inner.is_empty() {
        all.extend(["a", "aba", "Hello, World 12", " x  y "].map(|text| quoted(text.to_owned())));
    } else if !inner.contains('\\') && text.matches(quote).count() == 2 {
        let first: String = inner.chars().take(1).collect();
        let but_first: String = inner.chars().skip(1).collect();
        let swapped = |c: char| -> char {
            if c.is_ascii_lowercase() {
                c.to_ascii_uppercase()
            } else {
                c.to_ascii_lowercase()
            }
        };
        all.extend([
            quoted(inner.chars().rev().collect()),
            quoted(inner.chars().map(swapped).collect()),
            quoted(first.clone()),
            quoted(but_first),
            quoted(format!("{inner} {first}")),
            quoted(format!("{inner}1")),
        ]);
    }
    all
}

fn sequences(node: Node<'_>, open: &str, close: &str) -> Vec<String> {
    let items: Vec<&str> = node.children().into_iter().map(Node::text).collect();
    let of = |items: &[&str]| match (items, close) {
        ([], _) => format!("{open}{}", close.trim_start_matches(',')),
        _ => format!("{open}{}{close}", items.join(", ")),
    };
    let Some((first, rest)) = items.split_first() else {
        // Of what, nobody knows.
        return ["0", "1, 2, 3", "2, 2", "'a'"]
            .map(|items| of(&[items]))
            .to_vec();
    };
    let reversed: Vec<&str> = items.iter().rev().copied().collect();
    let doubled = items.repeat(2);
    let with_first = |new: &str| -> Vec<String> {
        [new]
            .into_iter()
            .chain(rest.iter().copied())
            .map(str::to_owned)
            .collect()
    };
    let mut all = vec![of(&reversed), of(&[]), of(&doubled), of(&[first]), of(rest)];
    for new in variants(first).into_iter().take(3) {
        let changed = with_first(&new);
        let changed: Vec<&str> = changed.iter().map(String::as_str).collect();
        all.push(of(&changed));
    }
    all
}

fn mappings(node: Node<'_>) -> Vec<String> {
    let pairs: Vec<&str> = node.children().into_iter().map(Node::text).collect();
    let of = |pairs: &[&str]| format!("{{{}}}", pairs.join(", "));
    match pairs.split_first() {
        Some((first, rest)) => vec![of(&[]), of(&[first]), of(rest)],
        None => vec![of(&["'a': 1"]), of(&["'a': 1", "'b': 2"])],
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn probes_are_calls_like_those_of_the_examples() {
        let assertions = [
            "assert f([1, 2], 'ab') == 3",
            "assert f([5], 'x') == 5",
            "assert f(g(1)) == 2",
        ];
        let probes = probes(&assertions.map(str::to_owned));
        for probe in [
            "f([5], 'ab')",
            "f([1, 2], 'x')",
            "f([2, 1], 'ab')",
            "f([], 'ab')",
            "f([1, 2], '')",
            "f([1, 2], 'ba')",
        ] {
            assert!(probes.contains(&probe.to_owned()), "{probe}: {probes:?}");
        }
        assert!((20..=PROBES_MAX).contains(&probes.len()), "{probes:?}");
        assert!(
            !probes.contains(&"f([1, 2], 'ab')".to_owned()),
            "it is an example"
        );
        let mut once = probes.clone();
        once.sort();
        once.dedup();
        assert_eq!(once.len(), probes.len());
    }

    #[test]
    fn every_kind_of_literal_has_variants() {
        for (literal, variant) in [
            ("3", "-3"),
            ("-3", "-2"),
            ("2.5", "5.0"),
            ("True", "False"),
            ("''", "'a'"),
            ("\"aB\"", "\"Ab\""),
            ("()", "(1, 2, 3,)"),
            ("(1, 2)", "(1,)"),
            ("[]", "[2, 2]"),
            ("{'a': 1}", "{}"),
            ("{}", "{'a': 1}"),
        ] {
            let variants = variants(literal);
            assert!(
                variants.contains(&variant.to_owned()),
                "{literal}: {variants:?}"
            );
        }
        assert!(variants("x").is_empty() && variants("None").is_empty());
    }
}
