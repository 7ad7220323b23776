//! Finds the plain sentences and types of a prompt that an example does not keep: `-> str` beside a result that is a number,
//! `Raise a TypeError if n is an int` beside a call with one, `n must be a string`. Either may be wrong, so that such an
//! example is no test. What is not plain is left to the reader.

use super::asked::Prompt;
use super::beside::{is_true, type_of};
use crate::prose::wording::opening;
use crate::python::literal::{identifier, literal};

/// What a prompt says of one function in a form that an example can be held against.
pub(super) struct Claims {
    functions: Vec<Signature>,
    rules: Vec<Rule>,
    /// What is said of the result.
    results: Vec<String>,
}

struct Signature {
    name: String,
    /// The parameters with their types, empty where none is given.
    parameters: Vec<(String, String)>,
    returned: String,
}

/// A condition on an input.
struct Rule {
    /// The parameter; empty for whatever the only argument is.
    of: String,
    /// What is said of it: a type, or a word such as `negative`.
    what: String,
    /// Whether an example for whose argument it is true is at odds with it, or one for which it is untrue.
    forbids: bool,
}

impl Claims {
    pub(super) fn of(prompt: &Prompt<'_>) -> Self {
        let mut functions = Vec::new();
        let mut rules = Vec::new();
        for line in prompt.lines.iter().filter(|line| line.is_own) {
            functions.extend(signatures_on(prompt, line.text));
        }
        let mut results = Vec::new();
        let mut names = prompt.asked_names();
        // Of several functions, each may have a parameter of the same name.
        if names.next().is_some() && names.next().is_none() {
            let parameters = prompt.asked().parameters;
            let is_parameter = |word: &str| parameters.contains(word);
            let own = prompt.lines.iter().filter(|line| line.is_own);
            for sentence in own.flat_map(|line| line.text.split(['.', ';', '!'])) {
                rules.extend(rule_in(sentence, &is_parameter));
                rules.extend(bounds_in(sentence, &is_parameter));
                rules.extend(type_stated_in(sentence, &is_parameter));
                results.extend(result_stated_in(sentence, &is_parameter));
            }
        }
        Self {
            functions,
            rules,
            results,
        }
    }

    /// Whether an example, given by its call and its result, does not keep what is said.
    pub(super) fn are_at_odds_with(&self, call: &str, result: &str) -> bool {
        let Some((name, rest)) = identifier(call) else {
            return false;
        };
        let Some(arguments) = arguments_in(rest) else {
            return false;
        };
        let signature = self.functions.iter().find(|one| one.name == name);
        let argument = |of: &str| {
            let place = signature
                .and_then(|one| one.parameters.iter().position(|(name, _)| name == of))
                .or((arguments.len() == 1).then_some(0))?;
            let named = arguments.iter().find(|(name, _)| name == of);
            named
                .or(arguments.get(place))
                .map(|(_, value)| value.as_str())
        };
        let is_of_another_type = signature.is_some_and(|one| {
            let mut parameters = one.parameters.iter();
            !fits(&one.returned, result)
                || parameters
                    .any(|(name, kind)| argument(name).is_some_and(|value| !fits(kind, value)))
        });
        let is_kept = |said: &String| match said.strip_prefix('=') {
            Some(parameter) => argument(parameter).is_none_or(|value| value == result),
            None => is_so(said, result) != Some(false),
        };
        is_of_another_type
            || !self.results.iter().all(is_kept)
            || self.rules.iter().any(|rule| {
                let value = argument(&rule.of);
                value.and_then(|value| is_so(&rule.what, value)) == Some(rule.forbids)
            })
    }
}

/// The signatures with types of what is asked for on a line.
fn signatures_on(prompt: &Prompt<'_>, line: &str) -> Vec<Signature> {
    let mut found = Vec::new();
    for name in prompt.asked_names() {
        let Some((_, rest)) = line.split_once(&format!("{name}(")) else {
            continue;
        };
        let mut depth = 1_i32;
        let end = rest.find(|c| {
            depth += i32::from("([{".contains(c)) - i32::from(")]}".contains(c));
            depth == 0
        });
        let Some(end) = end else {
            continue;
        };
        let parameters: Option<Vec<(String, String)>> = split_outside(&rest[..end])
            .into_iter()
            .map(|part| {
                let part = part.split('=').next().unwrap_or_default();
                let (name, kind) = part.split_once(':').unwrap_or((part, ""));
                let name = identifier(name.trim())
                    .filter(|(_, rest)| rest.is_empty())?
                    .0;
                Some((name.to_owned(), kind.trim().to_owned()))
            })
            .collect();
        let behind = rest[end + 1..].trim_start();
        let returned = behind.strip_prefix("->").unwrap_or_default().trim_start();
        let returned = returned
            .split([':', '`'])
            .next()
            .unwrap_or_default()
            .trim_end();
        if let Some(parameters) = parameters {
            // What stands behind an arrow may be a result.
            let returned = if literal(returned).is_some() && returned != "None" {
                ""
            } else {
                returned
            };
            found.push(Signature {
                name: name.to_owned(),
                parameters,
                returned: returned.to_owned(),
            });
        }
    }
    found
}

/// The values of the arguments of a call, with their names.
fn arguments_in(rest: &str) -> Option<Vec<(String, String)>> {
    let inside = rest.strip_prefix('(')?.strip_suffix(')')?;
    let parts = split_outside(inside).into_iter().map(|part| {
        let part = part.trim();
        let named = identifier(part).and_then(|(name, rest)| Some((name, rest.strip_prefix('=')?)));
        let (name, value) = named.unwrap_or(("", part));
        (name.to_owned(), value.to_owned())
    });
    Some(parts.filter(|(_, value)| !value.is_empty()).collect())
}

/// The parts between the commas that stand in no brackets and no string.
fn split_outside(text: &str) -> Vec<&str> {
    let (mut parts, mut from, mut depth, mut quote) = (Vec::new(), 0, 0_i32, None);
    for (at, c) in text.char_indices() {
        match quote {
            Some(open) if open == c => quote = None,
            Some(_) => {}
            None if c == '\'' || c == '"' => quote = Some(c),
            None => {
                depth += i32::from("([{".contains(c)) - i32::from(")]}".contains(c));
                if c == ',' && depth == 0 {
                    parts.push(&text[from..at]);
                    from = at + 1;
                }
            }
        }
    }
    parts.push(&text[from..]);
    parts.retain(|part| !part.trim().is_empty());
    parts
}

/// Whether a literal may be of a type as annotations name it. Of a type that is not known here, anything may be.
fn fits(kind: &str, value: &str) -> bool {
    let kind = kind.trim_matches(['"', '\'', ' ']);
    let alternatives: Vec<&str> = kind.split('|').collect();
    if alternatives.len() > 1 && !kind.contains('[') {
        return alternatives.into_iter().any(|kind| fits(kind, value));
    }
    let (outer, inner) = kind.split_once('[').unwrap_or((kind, ""));
    let Some(found) = type_of(value) else {
        return true;
    };
    match outer.rsplit('.').next().unwrap_or_default().trim() {
        "int" => ["int", "bool"].contains(&found),
        "float" | "complex" => ["int", "float"].contains(&found),
        "str" => found == "str",
        "bool" => found == "bool",
        "None" => found == "None",
        "list" | "List" => found == "list" && elements_fit(inner, value),
        "tuple" | "Tuple" => found == "tuple",
        "dict" | "Dict" => found == "dict",
        "set" | "Set" => found == "dict" || found == "set",
        _ => true,
    }
}

/// Whether the elements of a list may be of the type in the brackets of its annotation.
fn elements_fit(inner: &str, value: &str) -> bool {
    let Some(kind) = inner.trim_end().strip_suffix(']') else {
        return true;
    };
    let inside = value
        .get(1..value.len().saturating_sub(1))
        .unwrap_or_default();
    split_outside(inside)
        .into_iter()
        .all(|one| fits(kind, one.trim()))
}

/// The rule that a sentence states of an input: `n must be a string`, `Raise ValueError if n is negative`.
fn rule_in(sentence: &str, is_parameter: &dyn Fn(&str) -> bool) -> Option<Rule> {
    let lower = opening(sentence).to_lowercase();
    let is_raised = [
        "raise ",
        "raises ",
        "it raises ",
        "it should raise ",
        "it must raise ",
    ]
    .iter()
    .any(|start| lower.starts_with(start))
        || lower
            .split(':')
            .next()
            .is_some_and(|label| label.ends_with("error") && !label.contains(' '));
    let (said, raises, is_denied) = if is_raised {
        let words = [
            (" if ", false),
            (" when ", false),
            (" for ", false),
            (" unless ", true),
        ];
        let (at, word, is_denied) = words
            .iter()
            .filter_map(|&(word, is_denied)| Some((lower.find(word)?, word, is_denied)))
            .min()?;
        (&lower[at + word.len()..], true, is_denied)
    } else {
        (lower.as_str(), false, false)
    };
    let words: Vec<&str> = said
        .split(|c: char| !(c.is_alphanumeric() || c == '_'))
        .filter(|word| !word.is_empty() && !["a", "an", "the"].contains(word))
        .collect();
    let subject = words.first()?;
    let is_input = [
        "argument", "input", "number", "value", "text", "string", "list",
    ]
    .contains(subject);
    let (of, rest) = if is_parameter(subject) {
        (*subject, &words[1..])
    } else if raises && is_input {
        ("", &words[1..])
    } else if raises && words.len() <= 2 {
        // `for negative numbers`
        ("", &words[..1])
    } else {
        return None;
    };
    let (is_not, what) = match rest {
        ["is" | "be", "not", what] => (true, what),
        ["must" | "should" | "may", "not" | "never", "be", what] | ["is", "never", what]
            if !raises =>
        {
            (true, what)
        }
        ["is", what] => (false, what),
        ["must" | "should", "be", what] | ["is", "always", what] if !raises => (false, what),
        [what] if raises => (false, what),
        _ => return None,
    };
    // What raises is forbidden, and so is what is never so.
    Some(Rule {
        of: of.to_owned(),
        what: (*what).to_owned(),
        forbids: if raises { is_not == is_denied } else { is_not },
    })
}

/// The bounds of an input: `n >= 0`, `1 <= n <= 100`.
fn bounds_in(sentence: &str, is_parameter: &dyn Fn(&str) -> bool) -> Vec<Rule> {
    let bare = opening(sentence)
        .replace('`', "")
        .replace('≤', "<=")
        .replace('≥', ">=");
    let words: Vec<&str> = bare.split_whitespace().collect();
    let is_relation = |word: &str| ["<", "<=", ">", ">="].contains(&word);
    let mut rules = Vec::new();
    if words.len() > 5 {
        return rules;
    }
    for three in words.windows(3) {
        let [left, relation, right] = three else {
            continue;
        };
        let right = right.trim_end_matches(',');
        let (of, relation, bound) = if is_parameter(left) {
            (*left, (*relation).to_owned(), right)
        } else {
            let turned = relation
                .replace('<', "\0")
                .replace('>', "<")
                .replace('\0', ">");
            (right, turned, *left)
        };
        if is_parameter(of) && is_relation(&relation) && bound.parse::<f64>().is_ok() {
            rules.push(Rule {
                of: of.to_owned(),
                what: format!("{relation}{bound}"),
                forbids: false,
            });
        }
    }
    rules
}

/// The type that a docstring gives to a parameter: `n (str): ...`, `n : str`, `:type n: str`, `n: a string`.
fn type_stated_in(sentence: &str, is_parameter: &dyn Fn(&str) -> bool) -> Option<Rule> {
    let bare = opening(sentence)
        .trim_start_matches([':', '@'])
        .trim_start();
    let bare = bare.strip_prefix("type ").unwrap_or(bare);
    let (name, rest) = identifier(bare)?;
    let rest = rest.trim_start();
    let kind = rest
        .strip_prefix('(')
        .and_then(|inside| inside.split_once("):"))
        .map(|(kind, _)| kind)
        .or_else(|| rest.strip_prefix(':'))?;
    let kind = kind.trim();
    let kind = ["a ", "an ", "A ", "An "]
        .iter()
        .find_map(|article| kind.strip_prefix(article))
        .unwrap_or(kind);
    is_parameter(name).then(|| Rule {
        of: name.to_owned(),
        what: kind.to_lowercase(),
        forbids: false,
    })
}

/// What is said of every result: its type, or, behind `=`, the parameter that it is: `Returns a string`, `:rtype: str`,
/// `It should return n unchanged`.
fn result_stated_in(sentence: &str, is_parameter: &dyn Fn(&str) -> bool) -> Option<String> {
    let lower = opening(sentence).to_lowercase();
    if let Some(kind) = lower.trim_start().strip_prefix(":rtype:") {
        return Some(kind.trim().to_owned());
    }
    let words: Vec<&str> = lower
        .split(|c: char| !(c.is_alphanumeric() || c == '_'))
        .filter(|word| !word.is_empty())
        .collect();
    let mut words = words.as_slice();
    if let ["it", "should" | "must", rest @ ..] | ["it", rest @ ..] = words {
        words = rest;
    }
    match words {
        ["return" | "returns", "a" | "an", kind] => Some((*kind).to_owned()),
        ["return" | "returns", parameter, "unchanged"] if is_parameter(parameter) => {
            Some(format!("={parameter}"))
        }
        _ => None,
    }
}

/// Whether what is said of an input is true of a value; `None` if it is not known.
fn is_so(what: &str, value: &str) -> Option<bool> {
    let is_of = |types: &[&str]| type_of(value).map(|found| types.contains(&found));
    match what {
        "int" | "integer" | "integers" | "ints" => is_of(&["int"]),
        "float" | "floats" => is_of(&["float"]),
        "number" | "numbers" => is_of(&["int", "float"]),
        "str" | "string" | "strings" => is_of(&["str"]),
        "list" | "lists" => is_of(&["list"]),
        "dict" | "dictionary" => is_of(&["dict"]),
        "bool" | "boolean" => is_of(&["bool"]),
        "none" => is_of(&["None"]),
        _ if what.starts_with(['<', '>']) => {
            let bound: f64 = what.trim_start_matches(['<', '>', '=']).parse().ok()?;
            let value: f64 = value.parse().ok()?;
            Some(match what.trim_end_matches(|c: char| !"<>=".contains(c)) {
                "<" => value < bound,
                "<=" => value <= bound,
                ">" => value > bound,
                _ => value >= bound,
            })
        }
        _ => is_true(what, value),
    }
}
