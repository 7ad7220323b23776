//! Handles the protocol's requests, one method each.

use journeyman_api::{Position, Problem};
use journeyman_event::TraceContext;
use rmcp::model::{
    CacheScope, CallToolRequestMethod, CallToolRequestParams, CallToolResponse, CallToolResult,
    CancelTaskParams, CompleteRequestParams, CompleteResult, CompletionInfo, ConstString,
    ContentBlock, CustomRequest, CustomResult, ErrorCode, GetPromptRequestParams,
    GetPromptResponse, GetTaskParams, GetTaskResult, Implementation, InputRequiredResult,
    ListPromptsResult, ListResourceTemplatesResult, ListResourcesResult, ListToolsResult,
    PaginatedRequestParams, ReadResourceRequestParams, ReadResourceResponse, ServerCapabilities,
    ServerConfig, ServerResult, SetLevelRequestParams, SubscribeRequestParams, SubscriptionFilter,
    Tool, UnsubscribeRequestParams, UpdateTaskParams,
};
use rmcp::service::{RequestContext, SubscriptionContext};
use rmcp::{ErrorData, RoleServer, ServerHandler};
use serde_json::Value;
use tokio_util::task::AbortOnDropHandle;

use crate::session::{WATCHED_MAX, is_modern};
use crate::{Mcp, lenient, prompts, resources, tasks, tools, wait};

const INSTRUCTIONS: &str = "Journeyman writes Python modules with a small local model: it plans, writes, tests in a sandbox and \
    corrects. Give it a whole task with start_coding_task, follow it with wait_for_task (call it again while is_settled is \
    false), answer what it asks with answer_questions, and collect the result with get_files. Tasks are durable: they survive \
    crashes of the server and of the client; list_tasks finds them again, and get_events(after) goes on where you were.";
/// The most completions per response, as defined by the protocol.
const COMPLETIONS_MAX: usize = 100;
/// How long a client may cache lists that only change with a new version of the program, in milliseconds. What
/// tasks there are, and what they contain, changes all the time.
const LASTING_MS: u64 = 3_600_000;

/// A result for clients of both generations: as text, and the same as structured data.
fn told(value: Value) -> CallToolResult {
    let mut result = CallToolResult::success(vec![ContentBlock::text(value.to_string())]);
    result.structured_content = Some(value);
    result
}

/// An error worded for the client's model.
fn not_done(problem: Problem) -> CallToolResult {
    let words = match &problem.field {
        Some(field) if !problem.detail.contains(field) => {
            format!("{field}: {}", problem.detail)
        }
        _ => problem.detail,
    };
    CallToolResult::error(vec![ContentBlock::text(words)])
}

/// The first of these values, up to the maximum.
pub(crate) fn completions(all: Vec<String>) -> Result<CompleteResult, ErrorData> {
    let total = u32::try_from(all.len()).ok();
    let has_more = all.len() > COMPLETIONS_MAX;
    let values = all.into_iter().take(COMPLETIONS_MAX).collect();
    let completion = CompletionInfo::with_pagination(values, total, has_more);
    completion
        .map(CompleteResult::new)
        .map_err(|error| ErrorData::internal_error(error, None))
}

pub(crate) fn internal(problem: Problem) -> ErrorData {
    let data = serde_json::to_value(&problem).ok();
    ErrorData::internal_error(problem.detail, data)
}

impl ServerHandler for Mcp {
    fn get_info(&self) -> ServerConfig {
        let capabilities = ServerCapabilities::builder()
            .enable_tools()
            .enable_prompts()
            .enable_resources()
            .enable_resources_subscribe()
            .enable_completions()
            .enable_logging()
            .enable_tasks()
            .build();
        let me =
            Implementation::new("journeyman", env!("CARGO_PKG_VERSION")).with_title("Journeyman");
        ServerConfig::new(capabilities)
            .with_server_info(me)
            .with_instructions(INSTRUCTIONS)
    }

    fn get_tool(&self, name: &str) -> Option<Tool> {
        self.tools.iter().find(|tool| tool.name == name).cloned()
    }

    async fn list_tools(
        &self,
        _: Option<PaginatedRequestParams>,
        _: RequestContext<RoleServer>,
    ) -> Result<ListToolsResult, ErrorData> {
        Ok(ListToolsResult::with_all_items(self.tools.to_vec())
            .with_ttl_ms(LASTING_MS)
            .with_cache_scope(CacheScope::Public))
    }

    async fn call_tool(
        &self,
        request: CallToolRequestParams,
        context: RequestContext<RoleServer>,
    ) -> Result<CallToolResponse, ErrorData> {
        let api = self.api(&context)?;
        let given = request.arguments.unwrap_or_default();
        let given = match self.tools.iter().find(|tool| tool.name == request.name) {
            Some(tool) => lenient::read(given, &tool.input_schema),
            None => given,
        };
        if request.name == tools::WAIT {
            let waited = async {
                let wish = tools::arguments(given)?;
                wait::wait(
                    &api,
                    &self.session,
                    &context,
                    self.stopped(),
                    wish,
                    request.input_responses,
                    request.request_state,
                )
                .await
            };
            return Ok(match waited.await {
                Ok(wait::WaitOutcome::Told(value)) => told(value).into(),
                Ok(wait::WaitOutcome::Asks(requests, state)) => {
                    InputRequiredResult::new(Some(requests), Some(state)).into()
                }
                Err(refused) => not_done(refused).into(),
            });
        }
        // The client's trace stands among the members of `_meta`, named as the headers.
        let named = |name: &str| context.meta.get(name).and_then(|value| value.as_str());
        let trace = TraceContext::read(named("traceparent"), named("tracestate"));
        let Some(result) = tools::call(&api, &request.name, given, trace).await else {
            let known: Vec<&str> = self.tools.iter().map(|tool| &*tool.name).collect();
            let words = format!(
                "there is no tool {:?}; there are {}",
                request.name,
                known.join(", ")
            );
            return Err(ErrorData::invalid_params(words, None));
        };
        // Some declare the extension in every revision and know it in the one only.
        let has_tasks = is_modern(&context)
            && context
                .client_capabilities()
                .is_some_and(|capabilities| capabilities.supports_tasks());
        match result {
            Ok(accepted) if request.name == tools::START && has_tasks => {
                let created = tasks::created(&api, &accepted).await;
                created.map(CallToolResponse::Task).map_err(internal)
            }
            Ok(value) => Ok(told(value).into()),
            Err(refused) => Ok(not_done(refused).into()),
        }
    }

    /// Handles requests that do not fit the protocol's own types, such as a call whose arguments are not an
    /// object.
    async fn on_custom_request(
        &self,
        request: CustomRequest,
        context: RequestContext<RoleServer>,
    ) -> Result<CustomResult, ErrorData> {
        if request.method != CallToolRequestMethod::VALUE {
            return Err(ErrorData::new(
                ErrorCode::METHOD_NOT_FOUND,
                request.method,
                None,
            ));
        }
        let call = lenient::call(request.params);
        let call = call.map_err(|why| ErrorData::invalid_params(why, None))?;
        let answer = ServerResult::from(self.call_tool(call, context).await?);
        let answer = serde_json::to_value(answer);
        let answer = answer.map_err(|error| ErrorData::internal_error(error.to_string(), None));
        answer.map(CustomResult::new)
    }

    async fn get_task(
        &self,
        request: GetTaskParams,
        context: RequestContext<RoleServer>,
    ) -> Result<GetTaskResult, ErrorData> {
        let api = self.api(&context)?;
        tasks::get(&api, &request.task_id)
            .await
            .map(GetTaskResult::new)
    }

    async fn update_task(
        &self,
        request: UpdateTaskParams,
        context: RequestContext<RoleServer>,
    ) -> Result<(), ErrorData> {
        let api = self.api(&context)?;
        tasks::update(&api, &request.task_id, &request.input_responses).await
    }

    async fn cancel_task(
        &self,
        request: CancelTaskParams,
        context: RequestContext<RoleServer>,
    ) -> Result<(), ErrorData> {
        let api = self.api(&context)?;
        tasks::cancel(&api, &request.task_id).await
    }

    async fn list_resources(
        &self,
        request: Option<PaginatedRequestParams>,
        context: RequestContext<RoleServer>,
    ) -> Result<ListResourcesResult, ErrorData> {
        let api = self.api(&context)?;
        let cursor = request.and_then(|request| request.cursor);
        let position = |cursor: &str| Position::try_from(cursor.parse::<u64>().ok()?).ok();
        let before = match cursor.as_deref().map(position) {
            Some(None) => {
                let words = "the cursor is none that was given here";
                return Err(ErrorData::invalid_params(words, None));
            }
            cursor => cursor.flatten(),
        };
        let list = resources::list(&api, before).await.map_err(internal)?;
        Ok(list.with_ttl_ms(0).with_cache_scope(CacheScope::Private))
    }

    async fn list_resource_templates(
        &self,
        _: Option<PaginatedRequestParams>,
        _: RequestContext<RoleServer>,
    ) -> Result<ListResourceTemplatesResult, ErrorData> {
        Ok(
            ListResourceTemplatesResult::with_all_items(resources::templates())
                .with_ttl_ms(LASTING_MS)
                .with_cache_scope(CacheScope::Public),
        )
    }

    async fn read_resource(
        &self,
        request: ReadResourceRequestParams,
        context: RequestContext<RoleServer>,
    ) -> Result<ReadResourceResponse, ErrorData> {
        let found = resources::read(&self.api(&context)?, &request.uri).await?;
        let found = found.with_ttl_ms(0).with_cache_scope(CacheScope::Private);
        Ok(found.into())
    }

    async fn subscribe(
        &self,
        request: SubscribeRequestParams,
        context: RequestContext<RoleServer>,
    ) -> Result<(), ErrorData> {
        let api = self.api(&context)?;
        resources::read(&api, &request.uri).await?; // or it is not there at all
        let (uri, peer) = (request.uri.clone(), context.peer.clone());
        let telling = tokio::spawn(async move {
            resources::watch(&api, &uri, || resources::tell_peer(&peer, &uri)).await;
        });
        if self
            .session
            .watch(request.uri, AbortOnDropHandle::new(telling))
        {
            return Ok(());
        }
        let words = format!("{WATCHED_MAX} resources are watched already; unsubscribe from some");
        Err(ErrorData::invalid_request(words, None))
    }

    async fn unsubscribe(
        &self,
        request: UnsubscribeRequestParams,
        _: RequestContext<RoleServer>,
    ) -> Result<(), ErrorData> {
        self.session.unwatch(&request.uri);
        Ok(())
    }

    fn accepted_subscription_filter(
        &self,
        requested: &SubscriptionFilter,
    ) -> Option<SubscriptionFilter> {
        Some(requested.supported_by(&self.get_info().capabilities))
    }

    async fn listen(&self, context: SubscriptionContext) -> Result<(), ErrorData> {
        let api = self.api(context.request_context())?;
        let uris = context.accepted().resource_subscriptions.clone();
        let mut watching = Vec::new();
        for uri in uris.into_iter().flatten().take(WATCHED_MAX) {
            let (api, sink) = (api.clone(), context.sink().clone());
            watching.push(AbortOnDropHandle::new(tokio::spawn(async move {
                let tell = || async { sink.notify_resource_updated(uri.clone()).await.is_ok() };
                resources::watch(&api, &uri, tell).await;
            })));
        }
        context.cancelled().await;
        Ok(())
    }

    async fn list_prompts(
        &self,
        _: Option<PaginatedRequestParams>,
        _: RequestContext<RoleServer>,
    ) -> Result<ListPromptsResult, ErrorData> {
        Ok(ListPromptsResult::with_all_items(prompts::all())
            .with_ttl_ms(LASTING_MS)
            .with_cache_scope(CacheScope::Public))
    }

    async fn get_prompt(
        &self,
        request: GetPromptRequestParams,
        _: RequestContext<RoleServer>,
    ) -> Result<GetPromptResponse, ErrorData> {
        let given = request.arguments.unwrap_or_default();
        prompts::get(&request.name, &given).map(Into::into)
    }

    async fn complete(
        &self,
        request: CompleteRequestParams,
        context: RequestContext<RoleServer>,
    ) -> Result<CompleteResult, ErrorData> {
        let api = self.api(&context)?;
        let known = request
            .context
            .as_ref()
            .and_then(|context| context.arguments.as_ref());
        let task = known
            .and_then(|known| known.get("task_id"))
            .map(String::as_str);
        let (name, begun) = (&request.argument.name, &request.argument.value);
        let all = resources::complete(&api, name, begun, task).await;
        completions(all.map_err(internal)?)
    }

    async fn set_level(
        &self,
        request: SetLevelRequestParams,
        _: RequestContext<RoleServer>,
    ) -> Result<(), ErrorData> {
        self.session.set_level(request.level);
        Ok(())
    }
}
