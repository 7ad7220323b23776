//! The suites' resources.

use rmcp::model::{ReadResourceResult, Resource, ResourceContents, ResourceTemplate};
use serde_json::json;

use super::PICTURE;

const TEXT: &str = "test://static-text";
const BINARY: &str = "test://static-binary";
const WATCHED: &str = "test://watched-resource";
const BEFORE_ID: &str = "test://template/";
const AFTER_ID: &str = "/data";

pub(super) fn all() -> Vec<Resource> {
    let resources = [
        (TEXT, "static-text", "Some text.", "text/plain"),
        (BINARY, "static-binary", "A small picture.", "image/png"),
        (
            WATCHED,
            "watched-resource",
            "Some text to watch.",
            "text/plain",
        ),
    ];
    let resources = resources.map(|(uri, name, words, kind)| {
        Resource::new(uri, name)
            .with_description(words)
            .with_mime_type(kind)
    });
    resources.into()
}

pub(super) fn templates() -> Vec<ResourceTemplate> {
    let template = ResourceTemplate::new(format!("{BEFORE_ID}{{id}}{AFTER_ID}"), "template");
    vec![
        template
            .with_description("Data of an id.")
            .with_mime_type("application/json"),
    ]
}

pub(super) fn read(uri: &str) -> Option<ReadResourceResult> {
    let text = |text: &str| ResourceContents::text(text, uri).with_mime_type("text/plain");
    let contents = match uri {
        TEXT => text("This is the content of the static text resource."),
        WATCHED => text("This is watched."),
        BINARY => ResourceContents::blob(PICTURE, uri).with_mime_type("image/png"),
        _ => {
            let id = uri.strip_prefix(BEFORE_ID)?.strip_suffix(AFTER_ID)?;
            let data =
                json!({"id": id, "templateTest": true, "data": format!("Data for ID: {id}")});
            ResourceContents::text(data.to_string(), uri).with_mime_type("application/json")
        }
    };
    Some(ReadResourceResult::new(vec![contents]))
}
