//! Makes calls: checks, records, runs within limits, and records the result.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use tokio::sync::Semaphore;
use tokio::time::Instant;

use crate::{
    CallContext, CallRef, Checked, Completed, FailureKind, Known, Outcome, Output, Record, Refusal,
    RefusalKind, Registry, Request, ToolError,
};

/// The longest duration of a call, regardless of the options.
const TIMEOUT_MAX: Duration = Duration::from_hours(24);
/// How many characters of an unknown tool name are kept.
const NAME_MAX: usize = 128;

/// The limits of a dispatcher.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DispatcherOptions {
    /// The longest duration of a call, including the wait for its turn.
    pub timeout: Duration,
    /// The most bytes of an answer's text, and of its structured form.
    pub result_bytes_max: usize,
    /// The most concurrent calls; further ones wait.
    pub concurrent_max: usize,
    /// The most bytes of a call's arguments as JSON.
    pub arguments_bytes_max: usize,
    /// The most steps of a chain.
    pub chain_max: usize,
}

impl Default for DispatcherOptions {
    fn default() -> Self {
        Self {
            timeout: Duration::from_mins(1),
            result_bytes_max: 64 * 1_024,
            concurrent_max: 16,
            arguments_bytes_max: 1024 * 1_024,
            chain_max: 16,
        }
    }
}

/// Checks and makes calls. A cheap handle: clones share their limits.
#[derive(Clone)]
pub struct Dispatcher {
    pub(crate) registry: Registry,
    pub(crate) options: DispatcherOptions,
    places: Arc<Semaphore>,
    calls: Arc<AtomicU64>,
}

impl Dispatcher {
    /// Creates a dispatcher for the tools of a registry.
    pub fn new(registry: Registry, options: DispatcherOptions) -> Self {
        let places = options.concurrent_max.clamp(1, Semaphore::MAX_PERMITS);
        Self {
            registry,
            options,
            places: Arc::new(Semaphore::new(places)),
            calls: Arc::default(),
        }
    }

    /// The registry of tools.
    pub fn registry(&self) -> &Registry {
        &self.registry
    }

    /// Runs a checked call with a time limit, catches panics, and shortens its answer.
    pub async fn run(&self, checked: Checked) -> Completed {
        let start = Instant::now();
        let ended = self.attempt(checked, start).await;
        let (outcome, output) = match ended {
            Ok(output) if output.is_error => (Outcome::Failed(FailureKind::Tool), output),
            Ok(output) => (Outcome::Ok, output),
            Err((kind, text)) => (Outcome::Failed(kind), Output::text(text)),
        };
        let output = output.within(self.options.result_bytes_max);
        Completed {
            outcome,
            text: output.text,
            structured: output.structured,
            truncated: output.truncated,
            recorded: false,
            wall_ms: u64::try_from(start.elapsed().as_millis()).unwrap_or(u64::MAX),
        }
    }

    async fn attempt(
        &self,
        checked: Checked,
        start: Instant,
    ) -> Result<Output, (FailureKind, String)> {
        let Checked {
            registered,
            mut context,
            arguments,
        } = checked;
        let tool = registered.tool.clone();
        let limit = tool.time_limit().unwrap_or(self.options.timeout);
        let limit = limit.min(TIMEOUT_MAX);
        let asked_to_stop = context.cancel.clone();
        context.cancel = asked_to_stop.child_token();
        // What the tool started in tasks of its own ends with it, however it ends.
        let _stop = context.cancel.clone().drop_guard();
        let places = &self.places;
        let work = async move {
            let _place = if tool.takes_place() {
                places.acquire().await.ok()
            } else {
                None
            };
            // A task of its own: a panic ends it and nothing else. Aborted when dropped.
            let mut task = tokio::task::JoinSet::new();
            task.spawn(async move {
                let arguments = Arc::unwrap_or_clone(arguments);
                tool.call(&context, arguments).await
            });
            task.join_next().await
        };
        tokio::select! {
            biased;
            () = asked_to_stop.cancelled() => Err(failure(ToolError::Cancelled)),
            ended = tokio::time::timeout_at(start + limit, work) => match ended {
                Err(_) => Err(failure(ToolError::TimedOut(limit))),
                Ok(Some(Ok(answer))) => answer.map_err(failure),
                Ok(Some(Err(panic))) => Err(panicked(panic)),
                Ok(None) => Err(failure(ToolError::Cancelled)),
            },
        }
    }

    /// Checks, records, runs and records a call. A refused call is recorded once.
    pub async fn call(
        &self,
        context: &CallContext,
        request: Request,
        record: &dyn Record,
    ) -> Completed {
        self.step(context, request, record, None).await
    }

    pub(crate) async fn step(
        &self,
        context: &CallContext,
        request: Request,
        record: &dyn Record,
        step: Option<usize>,
    ) -> Completed {
        let mut call = self.describe(context, &request, step);
        let checked = match self.check(context, request.clone()) {
            Ok(checked) => checked,
            Err(refusal) => {
                call.arguments = self.recordable(request.arguments);
                return self.refuse(&call, &refusal, record).await;
            }
        };
        drop(request);
        call.arguments = checked.arguments.clone();
        if let Err(error) = record.executing(&call).await {
            let text = format!("{} was not called: {error}", call.tool);
            return Completed::refused(RefusalKind::Record, text);
        }
        let completed = self.run(checked).await;
        note(record, &call, completed).await
    }

    pub(crate) async fn refuse(
        &self,
        call: &CallRef,
        refusal: &Refusal,
        record: &dyn Record,
    ) -> Completed {
        let completed = Completed::refused(refusal.kind(), refusal.to_string());
        note(record, call, completed).await
    }

    /// The call as it is recorded, without its arguments.
    pub(crate) fn describe(
        &self,
        context: &CallContext,
        request: &Request,
        step: Option<usize>,
    ) -> CallRef {
        let known = self.registry.find(&request.name).map(|found| {
            let spec = found.tool.spec();
            Known {
                permission: spec.permission,
                source: spec.source.clone(),
                repeatable: spec.repeatable,
            }
        });
        CallRef {
            number: self.calls.fetch_add(1, Ordering::Relaxed) + 1,
            tool: cut(&request.name),
            arguments: Arc::default(),
            known,
            owner: context.principal.owner().clone(),
            task_id: context.task_id.clone(),
            module: context.module.clone(),
            actor: context.actor.clone(),
            step,
        }
    }
}

/// Logs that the end of a call could not be recorded. The call itself cannot be undone.
async fn note(record: &dyn Record, call: &CallRef, mut completed: Completed) -> Completed {
    completed.recorded = true;
    if let Err(error) = record.completed(call, &completed).await {
        tracing::error!(tool = call.tool, %error, "the end of a call is not recorded");
        completed.recorded = false;
    }
    completed
}

fn failure(error: ToolError) -> (FailureKind, String) {
    let kind = match error {
        ToolError::Failed(_) => FailureKind::Tool,
        ToolError::Unavailable(_) => FailureKind::Unavailable,
        ToolError::TimedOut(_) => FailureKind::TimedOut,
        ToolError::Cancelled => FailureKind::Cancelled,
    };
    (kind, error.to_string())
}

fn panicked(error: tokio::task::JoinError) -> (FailureKind, String) {
    let words = error.try_into_panic().ok().and_then(|panic| {
        let owned = panic.downcast_ref::<String>().cloned();
        owned.or_else(|| panic.downcast_ref::<&str>().map(|&words| words.to_owned()))
    });
    let words = words.unwrap_or_else(|| "without words".into());
    tracing::error!(words, "a tool panicked");
    (FailureKind::Panicked, format!("the tool panicked: {words}"))
}

pub(crate) fn cut(name: &str) -> String {
    name.chars().take(NAME_MAX).collect()
}
