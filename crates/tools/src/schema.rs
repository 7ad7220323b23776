//! Validates arguments against a JSON schema. The schema may come from an untrusted server, so its cost is bounded.

use jsonschema::{PatternOptions, Validator};
use schemars::JsonSchema;
use schemars::generate::SchemaSettings;
use serde_json::{Map, Value};

use crate::Arguments;

/// The largest schema, in bytes.
pub(crate) const SCHEMA_MAX: usize = 64 * 1_024;
/// The most invalid fields named in one refusal.
const FAULTS_MAX: usize = 5;
/// The most memory for one compiled pattern, in bytes.
const PATTERN_BYTES_MAX: usize = 256 * 1_024;

/// The schema of a built-in tool's arguments, derived from the type they are parsed into.
pub(crate) fn schema_of<T: JsonSchema>() -> Map<String, Value> {
    let settings = SchemaSettings::draft2020_12().with(|settings| {
        settings.meta_schema = None;
        settings.inline_subschemas = true;
    });
    let schema = settings.into_generator().into_root_schema_for::<T>();
    let mut schema = schema.as_object().cloned().unwrap_or_default();
    schema.remove("title");
    schema.remove("description");
    schema
}

/// A schema that arguments can be validated against.
///
/// It is compiled for each validation. A compiled schema of an untrusted server may take a hundred times its
/// size in memory, and there may be hundreds of them. Compiling takes less time than a model needs for a word
/// of its arguments.
#[derive(Debug)]
pub(crate) struct Checkable(Value);

impl Checkable {
    /// Fails if the schema is not the schema of an object, is too large, or refers to another document.
    pub(crate) fn of(schema: &Map<String, Value>) -> Result<Self, String> {
        if schema.get("type") != Some(&Value::from("object")) {
            return Err("its schema is not that of an object (`\"type\": \"object\"`)".into());
        }
        check_size(schema)?;
        let schema = Value::Object(schema.clone());
        crate::schema_cost::check(&schema)?;
        compiled(&schema)?;
        Ok(Self(schema))
    }

    /// Validates arguments and returns all errors.
    pub(crate) fn faults(&self, arguments: &Arguments) -> Vec<Fault> {
        let arguments = Value::Object(arguments.clone());
        let validator = match compiled(&self.0) {
            Ok(validator) => validator,
            Err(problem) => {
                let path = String::new();
                return vec![Fault { path, problem }];
            }
        };
        let errors = validator.iter_errors(&arguments).take(FAULTS_MAX);
        errors
            .map(|error| Fault {
                path: error.instance_path().to_string(),
                problem: short(&error.to_string()),
            })
            .collect()
    }
}

/// Fails if a schema is too large to be stored.
pub(crate) fn check_size(schema: &Map<String, Value>) -> Result<(), String> {
    let bytes = serde_json::to_string(schema).map_or(usize::MAX, |text| text.len());
    if bytes > SCHEMA_MAX {
        return Err(format!(
            "its schema has {bytes} bytes; {SCHEMA_MAX} are the most"
        ));
    }
    Ok(())
}

fn compiled(schema: &Value) -> Result<Validator, String> {
    jsonschema::options()
        .with_pattern_options(PatternOptions::regex().size_limit(PATTERN_BYTES_MAX))
        .offline()
        .build(schema)
        .map_err(|error| format!("its schema is not valid: {}", short(&error.to_string())))
}

/// An error in the arguments.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fault {
    /// Where the error is, as a JSON pointer; empty for the arguments as a whole.
    pub path: String,
    /// What is wrong there.
    pub problem: String,
}

/// Shortens a message, which may quote long arguments.
fn short(message: &str) -> String {
    crate::bound::bounded(message.to_owned(), 300).text
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn checkable(schema: Value) -> Result<Checkable, String> {
        Checkable::of(schema.as_object().unwrap())
    }

    #[test]
    fn a_fault_deep_within_a_tree_is_named_by_its_place() {
        let schema = json!({"type": "object", "properties": {
            "value": {"type": "string"},
            "children": {"type": "array", "items": {"$ref": "#"}},
        }});
        let arguments = json!({"children": [{"children": [{"value": 3}]}]});
        let faults = checkable(schema)
            .unwrap()
            .faults(arguments.as_object().unwrap());
        assert_eq!(faults.len(), 1);
        assert_eq!(faults[0].path, "/children/0/children/0/value");
    }

    #[test]
    fn a_pattern_that_would_take_much_memory_is_refused() {
        let pattern = |pattern| {
            checkable(json!({"type": "object", "properties": {
                "x": {"type": "string", "pattern": pattern},
            }}))
        };
        assert!(pattern(r"^[\w.+-]+@[\w-]+\.[a-z]{2,}$").is_ok());
        assert!(pattern(r"\w{500}{500}").is_err());
    }

    #[test]
    fn no_more_faults_than_a_few_are_named_and_no_value_is_quoted_whole() {
        let schema = json!({"type": "object", "additionalProperties": {"type": "number"}});
        let long = "x".repeat(10_000);
        let arguments: Map<String, Value> = (0..9)
            .map(|n| (n.to_string(), Value::from(long.as_str())))
            .collect();
        let faults = checkable(schema).unwrap().faults(&arguments);
        assert_eq!(faults.len(), FAULTS_MAX);
        assert!(faults.iter().all(|fault| fault.problem.len() <= 300));
    }
}
