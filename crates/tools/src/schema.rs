//! Arguments against a schema. The schema may be a stranger's: nothing it says costs more than a bound.

use jsonschema::{PatternOptions, Validator};
use schemars::JsonSchema;
use schemars::generate::SchemaSettings;
use serde_json::{Map, Value};

/// Bytes of a schema, at most.
pub(crate) const SCHEMA_MAX: usize = 64 * 1_024;
/// Wrong fields that one refusal names.
const FAULTS_MAX: usize = 5;
/// Memory of one compiled pattern.
const PATTERN_BYTES_MAX: usize = 256 * 1_024;

/// The schema of a built-in tool's arguments, from the type into which they are read.
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

/// A schema that arguments can be checked against.
///
/// It is compiled for each check: compiled, a stranger's may take a hundred times its size, and
/// there may be hundreds. A model takes longer for each word of its arguments.
#[derive(Debug)]
pub(crate) struct Checkable(Value);

impl Checkable {
    /// Refuses what is no schema of an object, too large, or in need of another document.
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

    /// What is wrong with the arguments: each fault with where it is.
    pub(crate) fn faults(&self, arguments: &Value) -> Vec<Fault> {
        let validator = match compiled(&self.0) {
            Ok(validator) => validator,
            Err(problem) => {
                let path = String::new();
                return vec![Fault { path, problem }];
            }
        };
        let errors = validator.iter_errors(arguments).take(FAULTS_MAX);
        errors
            .map(|error| Fault {
                path: error.instance_path().to_string(),
                problem: short(&error.to_string()),
            })
            .collect()
    }
}

/// Refuses a schema that is too large to be kept.
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

/// One thing that is wrong with arguments.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fault {
    /// Where: a JSON pointer; empty for the arguments as a whole.
    pub path: String,
    /// What is wrong there.
    pub problem: String,
}

/// A message may quote what was given, which may be long.
fn short(message: &str) -> String {
    crate::bound::bounded(message.to_owned(), 300).text
}
