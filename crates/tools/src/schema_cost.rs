//! Bounds the cost of validating a value against a schema. A schema of a few lines can require practically endless
//! work or infinite recursion; such schemas are rejected before they are compiled.

use std::collections::{HashMap, HashSet};

use serde_json::{Map, Value};

/// The most subschemas that may apply to the same place.
const APPLYING_MAX: u64 = 1_000;
/// The deepest nesting of these.
const HEIGHT_MAX: u32 = 64;

/// The most regular expressions in a schema, each of which is compiled.
const PATTERNS_MAX: usize = 32;

/// Keywords whose subschemas apply to the same place as the schema that contains them.
const SAME_PLACE: &[&str] = &[
    "allOf",
    "anyOf",
    "oneOf",
    "not",
    "if",
    "then",
    "else",
    "dependentSchemas",
    "dependencies",
];

/// Fails if validating against the schema cannot be done in bounded time.
pub(crate) fn check(schema: &Value) -> Result<(), String> {
    let mut cost = Cost {
        root: schema,
        known: HashMap::new(),
        open: HashSet::new(),
    };
    if patterns(schema) > PATTERNS_MAX {
        return Err(format!("its schema has more than {PATTERNS_MAX} patterns"));
    }
    cost.everywhere(schema, true)
}

fn patterns(value: &Value) -> usize {
    let of_member = |(name, value): (&String, &Value)| match (name.as_str(), value) {
        ("pattern", Value::String(_)) => 1,
        ("patternProperties", Value::Object(by)) => by.len() + patterns(value),
        _ => patterns(value),
    };
    match value {
        Value::Object(members) => members.iter().map(of_member).sum(),
        Value::Array(items) => items.iter().map(patterns).sum(),
        _ => 0,
    }
}

/// The cost of one schema at its place.
#[derive(Clone, Copy)]
struct Asked {
    applying: u64,
    height: u32,
}

struct Cost<'a> {
    root: &'a Value,
    /// Costs by address, so that a schema with many references to it is counted once.
    known: HashMap<usize, Asked>,
    /// The schemas being counted, for detecting recursion.
    open: HashSet<usize>,
}

impl<'a> Cost<'a> {
    fn everywhere(&mut self, value: &'a Value, is_root: bool) -> Result<(), String> {
        match value {
            Value::Object(members) => {
                if !is_root && members.get("$id").is_some_and(Value::is_string) {
                    return Err("its schema has another within it (`$id`)".into());
                }
                self.asked(value, 0)?;
                members
                    .values()
                    .try_for_each(|one| self.everywhere(one, false))
            }
            Value::Array(items) => items.iter().try_for_each(|one| self.everywhere(one, false)),
            _ => Ok(()),
        }
    }

    fn asked(&mut self, schema: &'a Value, depth: u32) -> Result<Asked, String> {
        let leaf = Asked {
            applying: 1,
            height: 1,
        };
        let Value::Object(members) = schema else {
            return Ok(leaf);
        };
        let address = std::ptr::from_ref(schema).addr();
        if let Some(known) = self.known.get(&address) {
            return Ok(*known);
        }
        if !self.open.insert(address) {
            return Err("its schema applies itself to the same value without end".into());
        }
        if depth > HEIGHT_MAX {
            return Err("its schema is nested too deep".into());
        }
        let mut sum = leaf;
        for part in self.parts(members)? {
            let one = self.asked(part, depth + 1)?;
            sum.applying = sum.applying.saturating_add(one.applying);
            sum.height = sum.height.max(one.height + 1);
        }
        if sum.applying > APPLYING_MAX {
            return Err(format!(
                "its schema applies more than {APPLYING_MAX} others to one value"
            ));
        }
        if sum.height > HEIGHT_MAX {
            return Err("its schema is nested too deep".into());
        }
        self.open.remove(&address);
        self.known.insert(address, sum);
        Ok(sum)
    }

    /// The subschemas that apply to the same place.
    fn parts(&self, members: &'a Map<String, Value>) -> Result<Vec<&'a Value>, String> {
        let mut parts = Vec::new();
        for (keyword, value) in members {
            match (keyword.as_str(), value) {
                ("$ref", Value::String(to)) => parts.push(self.resolve(to)?),
                ("$dynamicRef" | "$recursiveRef", Value::String(_)) => {
                    return Err(format!("its schema uses `{keyword}`"));
                }
                (keyword, value) if SAME_PLACE.contains(&keyword) => match value {
                    Value::Array(items) => parts.extend(items),
                    Value::Object(named) if keyword.starts_with("depend") => {
                        parts.extend(named.values());
                    }
                    other => parts.push(other),
                },
                _ => {}
            }
        }
        Ok(parts)
    }

    fn resolve(&self, to: &str) -> Result<&'a Value, String> {
        to.strip_prefix('#')
            .filter(|pointer| !pointer.contains('%'))
            .and_then(|pointer| self.root.pointer(pointer))
            .ok_or_else(|| {
                let to: String = to.chars().take(80).collect();
                format!("its schema refers to {to:?}, which is not a place within it")
            })
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_tree_of_itself_is_fine() {
        let schema = json!({"type": "object", "properties": {
            "value": {"type": "string"},
            "children": {"type": "array", "items": {"$ref": "#"}},
        }});
        assert_eq!(check(&schema), Ok(()));
    }

    #[test]
    fn a_schema_that_applies_itself_without_end_is_refused() {
        let schema = json!({"type": "object", "allOf": [{"$ref": "#"}]});
        assert!(check(&schema).unwrap_err().contains("without end"));
    }

    #[test]
    fn a_schema_that_doubles_at_each_of_its_steps_is_refused() {
        let steps: Map<String, Value> = (0..20)
            .map(|step| {
                let next = json!({"$ref": format!("#/$defs/s{}", step + 1)});
                (format!("s{step}"), json!({"allOf": [next, next]}))
            })
            .chain([("s20".to_owned(), json!({}))])
            .collect();
        let schema = json!({"type": "object", "$ref": "#/$defs/s0", "$defs": steps});
        assert!(check(&schema).unwrap_err().contains("1000 others"));
    }

    #[test]
    fn a_schema_full_of_patterns_is_refused() {
        let one = json!({"type": "string", "pattern": r"^\w{50}$"});
        let many = |count| json!({"type": "object", "allOf": vec![one.clone(); count]});
        assert_eq!(check(&many(32)), Ok(()));
        assert!(check(&many(33)).unwrap_err().contains("32 patterns"));
    }

    #[test]
    fn a_reference_out_of_the_schema_is_refused() {
        for to in ["https://example.com/x.json", "file:///etc/passwd", "#name"] {
            let schema = json!({"properties": {"x": {"$ref": to}}});
            assert!(check(&schema).is_err(), "{to}");
        }
    }
}
