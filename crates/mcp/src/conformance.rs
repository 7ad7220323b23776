//! What the protocol's conformance suites require of a server in addition to the product's features: tools,
//! resources and prompts with names and texts defined by the suites. They wrap the product's handler and answer
//! requests for themselves; all other requests go to the product.

mod asks;
mod input;
mod prompts;
mod resources;
mod tasks;
mod tools;

use std::sync::Arc;

use journeyman_event::ContentHash;
use rmcp::model::{
    CallToolRequestParams, CallToolResponse, CancelTaskParams, CompleteRequestParams,
    CompleteResult, CustomRequest, CustomResult, GetPromptRequestParams, GetPromptResponse,
    GetTaskParams, GetTaskResult, ListPromptsResult, ListResourceTemplatesResult,
    ListResourcesResult, ListToolsResult, PaginatedRequestParams, ReadResourceRequestParams,
    ReadResourceResponse, RequestStateCodec, ServerConfig, SetLevelRequestParams,
    SubscribeRequestParams, SubscriptionFilter, Tool, UnsubscribeRequestParams, UpdateTaskParams,
};
use rmcp::service::{RequestContext, SubscriptionContext, SubscriptionSink};
use rmcp::task_manager::TaskManager;
use rmcp::{ErrorData, RoleServer, ServerHandler};
use tokio::sync::broadcast;
use tokio_util::task::AbortOnDropHandle;

use crate::Mcp;
use crate::handler::completions;

/// A small image; below it a short sound. Both are base64.
const PICTURE: &str =
    "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAAAAAA6fptVAAAACklEQVR42mP4DwABAQEAHLCMmQAAAABJRU5ErkJggg==";
const SOUND: &str = "UklGRiYAAABXQVZFZm10IBAAAAABAAEAQB8AAEAfAAABAAgAZGF0YQIAAACAgA==";
/// The most changes by which a subscription may lag behind.
const CHANGES_MAX: usize = 16;

/// Which list has changed.
#[derive(Clone, Copy, Debug)]
enum Change {
    Tools,
    Prompts,
}

/// The suites' tools and their state.
struct Fixtures {
    tools: Vec<Tool>,
    /// Seals the state that a client carries from one round of questions to the next.
    codec: RequestStateCodec,
    changes: broadcast::Sender<Change>,
    tasks: TaskManager,
}

/// The MCP server with the suites' additions, for one client.
#[derive(Clone)]
pub(crate) struct WithFixtures {
    mcp: Mcp,
    fixtures: Arc<Fixtures>,
}

impl WithFixtures {
    pub(crate) fn new(mcp: Mcp) -> Self {
        // It has the length of a key but is not secret: it seals answers to the suites' own questions.
        let key = ContentHash::of(b"fixtures");
        let fixtures = Arc::new(Fixtures {
            tools: tools::all(),
            codec: RequestStateCodec::new_unchecked(key.to_string()),
            changes: broadcast::channel(CHANGES_MAX).0,
            tasks: TaskManager::new(),
        });
        Self { mcp, fixtures }
    }

    /// The same for another client.
    pub(crate) fn for_another(&self) -> Self {
        Self {
            mcp: self.mcp.for_another(),
            fixtures: Arc::clone(&self.fixtures),
        }
    }
}

impl ServerHandler for WithFixtures {
    fn get_info(&self) -> ServerConfig {
        let mut info = self.mcp.get_info();
        // The lists of the product never change; these are said to.
        if let Some(tools) = &mut info.capabilities.tools {
            tools.list_changed = Some(true);
        }
        if let Some(prompts) = &mut info.capabilities.prompts {
            prompts.list_changed = Some(true);
        }
        info
    }

    fn get_tool(&self, name: &str) -> Option<Tool> {
        let mut own = self.fixtures.tools.iter();
        let own = own.find(|tool| tool.name == name).cloned();
        own.or_else(|| self.mcp.get_tool(name))
    }

    async fn list_tools(
        &self,
        request: Option<PaginatedRequestParams>,
        context: RequestContext<RoleServer>,
    ) -> Result<ListToolsResult, ErrorData> {
        let mut list = self.mcp.list_tools(request, context).await?;
        list.tools.extend_from_slice(&self.fixtures.tools);
        Ok(list)
    }

    async fn call_tool(
        &self,
        request: CallToolRequestParams,
        context: RequestContext<RoleServer>,
    ) -> Result<CallToolResponse, ErrorData> {
        let fixtures = &*self.fixtures;
        if let Some(steps) = input::tool(&request.name) {
            let said = (&request.request_state, &request.input_responses);
            return input::go(&fixtures.codec, steps, said, &context).map(Into::into);
        }
        if let Some(result) = tasks::call(fixtures, &request, &context).await {
            return result;
        }
        if fixtures.tools.iter().any(|tool| tool.name == request.name) {
            return tools::call(fixtures, &request, &self.mcp.session, &context).await;
        }
        self.mcp.call_tool(request, context).await
    }

    async fn on_custom_request(
        &self,
        request: CustomRequest,
        context: RequestContext<RoleServer>,
    ) -> Result<CustomResult, ErrorData> {
        self.mcp.on_custom_request(request, context).await
    }

    async fn get_task(
        &self,
        request: GetTaskParams,
        context: RequestContext<RoleServer>,
    ) -> Result<GetTaskResult, ErrorData> {
        match self.fixtures.tasks.get_task(&request.task_id) {
            Ok(task) => Ok(GetTaskResult::new(task)),
            Err(_) => self.mcp.get_task(request, context).await,
        }
    }

    async fn update_task(
        &self,
        request: UpdateTaskParams,
        context: RequestContext<RoleServer>,
    ) -> Result<(), ErrorData> {
        let tasks = &self.fixtures.tasks;
        if tasks.get_task(&request.task_id).is_ok() {
            return tasks.update_task(&request.task_id, request.input_responses);
        }
        self.mcp.update_task(request, context).await
    }

    async fn cancel_task(
        &self,
        request: CancelTaskParams,
        context: RequestContext<RoleServer>,
    ) -> Result<(), ErrorData> {
        let tasks = &self.fixtures.tasks;
        if tasks.get_task(&request.task_id).is_ok() {
            return tasks.cancel_task(&request.task_id);
        }
        self.mcp.cancel_task(request, context).await
    }

    async fn list_resources(
        &self,
        request: Option<PaginatedRequestParams>,
        context: RequestContext<RoleServer>,
    ) -> Result<ListResourcesResult, ErrorData> {
        let is_first = request.as_ref().is_none_or(|page| page.cursor.is_none());
        let mut list = self.mcp.list_resources(request, context).await?;
        if is_first {
            list.resources.splice(0..0, resources::all());
        }
        Ok(list)
    }

    async fn list_resource_templates(
        &self,
        request: Option<PaginatedRequestParams>,
        context: RequestContext<RoleServer>,
    ) -> Result<ListResourceTemplatesResult, ErrorData> {
        let mut list = self.mcp.list_resource_templates(request, context).await?;
        list.resource_templates.extend(resources::templates());
        Ok(list)
    }

    async fn read_resource(
        &self,
        request: ReadResourceRequestParams,
        context: RequestContext<RoleServer>,
    ) -> Result<ReadResourceResponse, ErrorData> {
        match resources::read(&request.uri) {
            Some(found) => Ok(found.into()),
            None => self.mcp.read_resource(request, context).await,
        }
    }

    async fn subscribe(
        &self,
        request: SubscribeRequestParams,
        context: RequestContext<RoleServer>,
    ) -> Result<(), ErrorData> {
        if resources::read(&request.uri).is_some() {
            return Ok(()); // it never changes
        }
        self.mcp.subscribe(request, context).await
    }

    async fn unsubscribe(
        &self,
        request: UnsubscribeRequestParams,
        context: RequestContext<RoleServer>,
    ) -> Result<(), ErrorData> {
        self.mcp.unsubscribe(request, context).await
    }

    fn accepted_subscription_filter(
        &self,
        requested: &SubscriptionFilter,
    ) -> Option<SubscriptionFilter> {
        Some(requested.supported_by(&self.get_info().capabilities))
    }

    async fn listen(&self, context: SubscriptionContext) -> Result<(), ErrorData> {
        let (changes, sink) = (self.fixtures.changes.subscribe(), context.sink().clone());
        let _telling = AbortOnDropHandle::new(tokio::spawn(tell_changes(changes, sink)));
        self.mcp.listen(context).await
    }

    async fn list_prompts(
        &self,
        request: Option<PaginatedRequestParams>,
        context: RequestContext<RoleServer>,
    ) -> Result<ListPromptsResult, ErrorData> {
        let mut list = self.mcp.list_prompts(request, context).await?;
        list.prompts.extend(prompts::all());
        Ok(list)
    }

    async fn get_prompt(
        &self,
        request: GetPromptRequestParams,
        context: RequestContext<RoleServer>,
    ) -> Result<GetPromptResponse, ErrorData> {
        if request.name == prompts::ASKING {
            let said = (&request.request_state, &request.input_responses);
            let went = input::go(&self.fixtures.codec, &prompts::QUESTION, said, &context);
            return went.map(prompts::asked);
        }
        match prompts::get(&request) {
            Some(prompt) => Ok(prompt.into()),
            None => self.mcp.get_prompt(request, context).await,
        }
    }

    async fn complete(
        &self,
        request: CompleteRequestParams,
        context: RequestContext<RoleServer>,
    ) -> Result<CompleteResult, ErrorData> {
        match prompts::complete(&request) {
            Some(all) => completions(all),
            None => self.mcp.complete(request, context).await,
        }
    }

    async fn set_level(
        &self,
        request: SetLevelRequestParams,
        context: RequestContext<RoleServer>,
    ) -> Result<(), ErrorData> {
        self.mcp.set_level(request, context).await
    }
}

/// Sends a subscription the changes it is interested in, for as long as it is open.
async fn tell_changes(mut changes: broadcast::Receiver<Change>, sink: SubscriptionSink) {
    loop {
        // What it does not want is refused there.
        let _ = match changes.recv().await {
            Ok(Change::Tools) => sink.notify_tool_list_changed().await,
            Ok(Change::Prompts) => sink.notify_prompt_list_changed().await,
            Err(broadcast::error::RecvError::Lagged(_)) => continue, // it was behind
            Err(broadcast::error::RecvError::Closed) => return,
        };
    }
}

fn broken(error: impl ToString) -> ErrorData {
    ErrorData::internal_error(error.to_string(), None)
}
