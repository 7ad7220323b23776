//! The schemas of the wire format, for the `OpenAPI` document and MCP's tools.

use std::collections::BTreeMap;

use utoipa::ToSchema;
use utoipa::openapi::RefOr;
use utoipa::openapi::schema::{AdditionalProperties, Schema};

use crate::erasure::ErasedTask;
use crate::events::EventPage;
use crate::interventions::NewIntervention;
use crate::tasks::{Language, NewTask, TaskPage};
use crate::view::{Accepted, TaskView};

/// Schemas by their names; they refer to each other as `#/components/schemas/NAME`.
pub type Schemas = BTreeMap<String, RefOr<Schema>>;

/// The schemas of tasks, interventions and events, with all schemas that they refer to. `languages` are the names of
/// the known programming languages.
pub fn schemas(languages: &[&str]) -> Schemas {
    let mut all = Vec::new();
    add::<NewTask>(&mut all);
    add::<Accepted>(&mut all);
    add::<TaskView>(&mut all);
    add::<TaskPage>(&mut all);
    add::<NewIntervention>(&mut all);
    add::<EventPage>(&mut all);
    add::<ErasedTask>(&mut all);
    let mut all = all.into_iter().collect();
    close_interventions(&mut all);
    name_languages(&mut all, languages);
    all
}

fn add<T: ToSchema>(all: &mut Vec<(String, RefOr<Schema>)>) {
    all.push((T::name().into_owned(), T::schema()));
    T::schemas(all);
}

/// Forbids additional members in each kind of intervention, which the derived schema of an enum does not.
pub fn close_interventions(schemas: &mut Schemas) {
    let name = NewIntervention::name();
    if let Some(RefOr::T(Schema::OneOf(kinds))) = schemas.get_mut(&*name) {
        for kind in &mut kinds.items {
            if let RefOr::T(Schema::Object(kind)) = kind {
                kind.additional_properties = Some(Box::new(AdditionalProperties::FreeForm(false)));
            }
        }
    }
}

/// Adds the names of the known programming languages to the schema, because this crate does not know them.
pub fn name_languages(schemas: &mut Schemas, languages: &[&str]) {
    let name = Language::name();
    if let Some(RefOr::T(Schema::Object(language))) = schemas.get_mut(&*name) {
        let names = languages.iter().map(|&name| name.into());
        language.enum_values = Some(names.collect());
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use serde_json::Value;

    use super::*;
    use crate::limits;

    fn document() -> Value {
        serde_json::to_value(schemas(&["python", "cobol"])).unwrap()
    }

    #[test]
    fn the_schemas_state_the_bounds_that_are_checked() {
        let document = document();
        for (at, bound) in [
            (
                "/NewTask/properties/prompt/maxLength",
                limits::TEXT_CHARS_MAX,
            ),
            ("/Answer/maxLength", limits::TEXT_CHARS_MAX),
            ("/NewTask/properties/answers/maxItems", limits::ANSWERS_MAX),
            ("/NewTask/properties/tests/maxItems", limits::TESTS_MAX),
            ("/NewTask/properties/tools/maxItems", limits::TOOLS_MAX),
            (
                "/NewTask/properties/depends_on/maxItems",
                limits::DEPENDS_ON_MAX,
            ),
            (
                "/NewTest/properties/source/maxLength",
                limits::SOURCE_CHARS_MAX,
            ),
        ] {
            assert_eq!(
                document.pointer(at).and_then(Value::as_u64),
                Some(bound as u64),
                "{at}"
            );
        }
        let task = &document["NewTask"]["properties"];
        assert_eq!(task["budget"]["maximum"], limits::TOKEN_BUDGET_MAX);
        assert_eq!(task["max_iterations"]["maximum"], limits::ITERATIONS_MAX);
        assert_eq!(task["wait_ms"]["maximum"], limits::PLACE_WAIT_MS_MAX);
        assert_eq!(
            task["timeout"]["maximum"].as_f64(),
            Some(limits::TIMEOUT_S_MAX)
        );
    }

    #[test]
    fn the_languages_that_there_are_are_named() {
        let document = document();
        let names = serde_json::json!(["python", "cobol"]);
        assert_eq!(document["Language"]["enum"], names);
    }

    #[test]
    fn every_schema_that_is_referred_to_is_there() {
        let document = document();
        let text = document.to_string();
        let references = text.split("#/components/schemas/").skip(1);
        let names = references.filter_map(|rest| rest.split('"').next());
        let mut count = 0;
        for name in names {
            assert!(document.get(name).is_some(), "{name}");
            count += 1;
        }
        assert!(count > 10, "{count}");
    }

    #[test]
    fn an_intervention_has_no_members_but_those_of_its_kind() {
        let document = document();
        let kinds = document["NewIntervention"]["oneOf"].as_array().unwrap();
        assert_eq!(kinds.len(), 9);
        for kind in kinds {
            assert_eq!(kind["additionalProperties"], false, "{kind}");
        }
    }
}
