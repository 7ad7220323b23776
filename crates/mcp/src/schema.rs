//! The input and output schemas of tools, taken from the `OpenAPI` document, whose version 3.1 uses JSON Schema.

use std::collections::BTreeSet;

use serde_json::{Map, Value, json};

const COMPONENTS: &str = "#/components/schemas/";

/// The schemas of the `OpenAPI` document.
pub(crate) struct Schemas(Map<String, Value>);

impl Schemas {
    /// `languages` are the names of the known programming languages.
    pub(crate) fn new(languages: &[&str]) -> Self {
        let schemas = serde_json::to_value(journeyman_api::schema::schemas(languages));
        let schemas = schemas
            .ok()
            .and_then(|schemas| schemas.as_object().cloned());
        Self(schemas.unwrap_or_default())
    }

    /// A schema together with all schemas it refers to.
    pub(crate) fn whole(&self, name: &str) -> Map<String, Value> {
        self.complete(self.0.get(name).cloned().unwrap_or_else(|| json!({})))
    }

    /// The same for a schema that refers to others by `#/components/schemas/...`.
    pub(crate) fn complete(&self, mut schema: Value) -> Map<String, Value> {
        let mut wanted = BTreeSet::new();
        refer(&mut schema, &mut wanted);
        let mut definitions = Map::new();
        while let Some(name) = wanted.pop_first() {
            if definitions.contains_key(&name) {
                continue;
            }
            let mut definition = self.0.get(&name).cloned().unwrap_or_else(|| json!({}));
            refer(&mut definition, &mut wanted);
            definitions.insert(name, definition);
        }
        let Value::Object(mut schema) = schema else {
            return Map::new();
        };
        if !definitions.is_empty() {
            schema.insert("$defs".to_owned(), Value::Object(definitions));
        }
        schema
    }

    /// A reference to a schema, for [`Schemas::complete`].
    pub(crate) fn reference(name: &str) -> Value {
        json!({"$ref": format!("{COMPONENTS}{name}")})
    }
}

/// Redirects references to `$defs` and collects their targets.
fn refer(schema: &mut Value, wanted: &mut BTreeSet<String>) {
    match schema {
        Value::Object(members) => {
            for (key, value) in members {
                match value.as_str().and_then(|to| to.strip_prefix(COMPONENTS)) {
                    Some(name) if key == "$ref" => {
                        wanted.insert(name.to_owned());
                        *value = json!(format!("#/$defs/{name}"));
                    }
                    _ => refer(value, wanted),
                }
            }
        }
        Value::Array(items) => items.iter_mut().for_each(|item| refer(item, wanted)),
        _ => {}
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn a_schema_brings_what_it_refers_to() {
        let schema = Value::Object(Schemas::new(&["python"]).whole("TaskPage"));
        assert_eq!(schema["type"], "object");
        assert!(schema["$defs"]["TaskSummary"].is_object(), "{schema}");
        assert!(!schema.to_string().contains("#/components"), "{schema}");
    }
}
