//! Adapts a server's tool to the [`Tool`](crate::Tool) trait.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use rmcp::model::{CallToolResult, ContentBlock, ResourceContents};

use super::connection::Connection;
use crate::{Arguments, CallContext, Output, Spec, Tool, ToolError};

pub(super) struct RemoteTool {
    spec: Spec,
    /// The server's own name for the tool.
    name: String,
    connection: Arc<Connection>,
}

impl RemoteTool {
    pub(super) fn new(spec: Spec, name: String, connection: Arc<Connection>) -> Self {
        Self {
            spec,
            name,
            connection,
        }
    }
}

#[async_trait]
impl Tool for RemoteTool {
    fn spec(&self) -> &Spec {
        &self.spec
    }

    /// Twice the server's time limit: one for waiting and one for the call. The dispatcher's limit comes after
    /// these, because the connection must notice that a server hangs.
    fn time_limit(&self) -> Option<Duration> {
        Some(self.connection.limit * 2 + Duration::from_secs(1))
    }

    /// False: the connection limits concurrent calls itself.
    fn takes_place(&self) -> bool {
        false
    }

    async fn call(&self, context: &CallContext, arguments: Arguments) -> Result<Output, ToolError> {
        let call = self.connection.call(self.name.clone(), arguments);
        let result = tokio::select! {
            biased;
            () = context.cancel.cancelled() => Err(ToolError::Cancelled),
            result = call => result,
        };
        Ok(output(result?).within(self.connection.result_bytes_max))
    }
}

fn output(result: CallToolResult) -> Output {
    let blocks: Vec<String> = result.content.into_iter().map(text_of).collect();
    let structured = result.structured_content;
    // An empty text is an answer: that of an empty file, say.
    let text = match &structured {
        Some(value) if blocks.is_empty() => value.to_string(),
        _ => blocks.join("\n"),
    };
    Output {
        text,
        structured,
        is_error: result.is_error == Some(true),
        truncated: false,
    }
}

/// The parts of a result that a model can read as text.
fn text_of(block: ContentBlock) -> String {
    match block {
        ContentBlock::Text(text) => text.text,
        ContentBlock::Resource(resource) => match resource.resource {
            ResourceContents::TextResourceContents { text, .. } => text,
            ResourceContents::BlobResourceContents { uri, mime_type, .. } => {
                let kind = mime_type.unwrap_or_else(|| "no text".into());
                format!("[resource {uri}, {kind}]")
            }
            _ => "[a resource that is no text]".into(),
        },
        ContentBlock::ResourceLink(link) => format!("[resource {}]", link.uri),
        ContentBlock::Image(image) => format!("[image, {}]", image.mime_type),
        ContentBlock::Audio(audio) => format!("[sound, {}]", audio.mime_type),
        _ => "[something that is no text]".into(),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn read(result: Value) -> Output {
        output(serde_json::from_value(result).unwrap())
    }

    #[test]
    fn an_empty_text_is_an_answer_and_only_where_there_is_no_content_the_structured_form_is_it() {
        let form = json!({"content": ""});
        let empty = json!({"content": [{"type": "text", "text": ""}], "structuredContent": form});
        assert_eq!(read(empty).text, "");
        let alone = json!({"content": [], "structuredContent": form});
        assert_eq!(read(alone).text, r#"{"content":""}"#);
    }

    #[test]
    fn what_is_no_text_is_told_by_what_it_is_and_where() {
        let resource = |more| json!({"type": "resource", "resource": more});
        let content = json!([
            {"type": "text", "text": "see"},
            {"type": "image", "data": "aaaa", "mimeType": "image/png"},
            {"type": "audio", "data": "aaaa", "mimeType": "audio/wav"},
            resource(json!({"uri": "x://a", "text": "within"})),
            resource(json!({"uri": "x://b", "mimeType": "application/gzip", "blob": "aaaa"})),
            resource(json!({"uri": "x://c", "blob": "aaaa"})),
            {"type": "resource_link", "uri": "x://d", "name": "d"},
        ]);
        let text = read(json!({"content": content})).text;
        let lines: Vec<&str> = text.lines().collect();
        assert_eq!(
            lines,
            [
                "see",
                "[image, image/png]",
                "[sound, audio/wav]",
                "within",
                "[resource x://b, application/gzip]",
                "[resource x://c, no text]",
                "[resource x://d]",
            ]
        );
    }
}
