//! What the protocol's conformance suite wants a server to have, beside what this one has: tools,
//! resources and prompts with names and texts of the suite's own. Only `--mcp-conformance` brings them;
//! the ways that they are listed, called and read are the product's.

mod asks;
mod input;
mod prompts;
mod resources;
mod tasks;
mod tools;

use journeyman_event::ContentHash;
use rmcp::model::{
    CallToolRequestParams, CallToolResponse, CompleteRequestParams, DetailedTask,
    GetPromptRequestParams, GetPromptResponse, InputResponses, Prompt, ReadResourceResult,
    RequestStateCodec, Resource, ResourceTemplate, ServerCapabilities, Tool,
};
use rmcp::service::{RequestContext, SubscriptionContext};
use rmcp::task_manager::TaskManager;
use rmcp::{ErrorData, RoleServer};
use tokio::sync::broadcast;

use super::session::Session;

/// A small picture and a short sound.
const PICTURE: &str =
    "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAAAAAA6fptVAAAACklEQVR42mP4DwABAQEAHLCMmQAAAABJRU5ErkJggg==";
const SOUND: &str = "UklGRiYAAABXQVZFZm10IBAAAAABAAEAQB8AAEAfAAABAAgAZGF0YQIAAACAgA==";
/// Changes that one subscription may be behind.
const CHANGES_MAX: usize = 16;

/// Which list is said to have changed.
#[derive(Clone, Copy, Debug)]
enum Change {
    Tools,
    Prompts,
}

/// The suite's own tools, resources and prompts.
pub(super) struct Fixtures {
    tools: Vec<Tool>,
    /// Seals what a client carries from one round of a question to the next.
    codec: RequestStateCodec,
    changes: broadcast::Sender<Change>,
    tasks: TaskManager,
}

impl Fixtures {
    /// With a secret that no client knows.
    pub(super) fn new(secret: &str) -> Self {
        // A hash is as long as a key has to be.
        let key = ContentHash::of(format!("{secret}\nfixtures").as_bytes());
        Self {
            tools: tools::all(),
            codec: RequestStateCodec::new_unchecked(key.to_string()),
            changes: broadcast::channel(CHANGES_MAX).0,
            tasks: TaskManager::new(),
        }
    }

    /// The lists of the product never change; these are said to.
    pub(super) fn announce(capabilities: &mut ServerCapabilities) {
        if let Some(tools) = &mut capabilities.tools {
            tools.list_changed = Some(true);
        }
        if let Some(prompts) = &mut capabilities.prompts {
            prompts.list_changed = Some(true);
        }
    }

    pub(super) fn tools(&self) -> &[Tool] {
        &self.tools
    }

    /// Calls a tool; nothing, if it is none of these.
    pub(super) async fn call(
        &self,
        request: &CallToolRequestParams,
        session: &Session,
        context: &RequestContext<RoleServer>,
    ) -> Option<Result<CallToolResponse, ErrorData>> {
        if let Some(steps) = input::tool(&request.name) {
            let said = (&request.request_state, &request.input_responses);
            return Some(input::go(&self.codec, steps, said, context).map(Into::into));
        }
        if let Some(result) = tasks::call(self, request, context).await {
            return Some(result);
        }
        if self.tools.iter().any(|tool| tool.name == request.name) {
            return Some(tools::call(self, request, session, context).await);
        }
        None
    }

    /// One of the tasks of these tools; nothing, if it is none.
    pub(super) fn task(&self, id: &str) -> Option<DetailedTask> {
        self.tasks.get_task(id).ok()
    }

    pub(super) fn update_task(&self, id: &str, responses: InputResponses) -> Result<(), ErrorData> {
        self.tasks.update_task(id, responses)
    }

    pub(super) fn cancel_task(&self, id: &str) -> Result<(), ErrorData> {
        self.tasks.cancel_task(id)
    }

    pub(super) fn resources() -> Vec<Resource> {
        resources::all()
    }

    pub(super) fn templates() -> Vec<ResourceTemplate> {
        resources::templates()
    }

    /// Reads a resource; nothing, if it is none of these.
    pub(super) fn read(uri: &str) -> Option<ReadResourceResult> {
        resources::read(uri)
    }

    pub(super) fn prompts() -> Vec<Prompt> {
        prompts::all()
    }

    /// A prompt; nothing, if it is none of these.
    pub(super) fn prompt(
        &self,
        request: &GetPromptRequestParams,
        context: &RequestContext<RoleServer>,
    ) -> Option<Result<GetPromptResponse, ErrorData>> {
        if request.name == prompts::ASKING {
            let said = (&request.request_state, &request.input_responses);
            let went = input::go(&self.codec, &prompts::QUESTION, said, context);
            return Some(went.map(prompts::asked));
        }
        prompts::get(request).map(|prompt| Ok(prompt.into()))
    }

    /// How an argument may go on; nothing, if it is of something else.
    pub(super) fn complete(request: &CompleteRequestParams) -> Option<Vec<String>> {
        prompts::complete(request)
    }

    /// Tells a subscription of the changes that it wants to hear of, while it is open.
    pub(super) async fn tell_changes(&self, context: &SubscriptionContext) {
        let mut changes = self.changes.subscribe();
        loop {
            let change = tokio::select! {
                change = changes.recv() => change,
                () = context.cancelled() => return,
            };
            // What it does not want is refused there.
            let _ = match change {
                Ok(Change::Tools) => context.sink().notify_tool_list_changed().await,
                Ok(Change::Prompts) => context.sink().notify_prompt_list_changed().await,
                Err(_) => continue, // it was behind
            };
        }
    }
}

fn broken(error: impl ToString) -> ErrorData {
    ErrorData::internal_error(error.to_string(), None)
}
