//! The requests to a server: a value for each, which knows its path and the type of its response. Besides this
//! file, only the routes and links of `server` contain paths.

use std::fmt::Write;
use std::marker::PhantomData;

use http::Method;
use journeyman_event::{ContentHash, Sequence, TaskId, TraceContext};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use serde::Serialize;
use serde_json::Value;

use crate::erasure::{DeleteQuery, ErasedTask};
use crate::events::{EventPage, EventsQuery, LinesQuery, StreamQuery};
use crate::files::{ContextView, FileList, FileQuery};
use crate::hooks::{HookList, HookView};
use crate::interventions::{NewIntervention, Nothing};
use crate::knowledge::{
    ContextDiff, ContextDiffQuery, GraphQuery, GraphView, SearchQuery, SearchView, SummaryQuery,
    SummaryView,
};
use crate::server::{Health, MetricsQuery, QueueChange, QueueView, Ready, ServedSettings, Ticket};
use crate::tasks::{
    At, AtQuery, ForkQuery, ForkTask, ListQuery, NewTask, RetryTask, TaskPage, TaskQuery,
};
use crate::tools::{AgentList, CallsView, ToolCalls, ToolList};
use crate::view::{Accepted, TaskView};

/// The characters that need no escaping in a URL (RFC 3986, section 2.3).
const PLAIN: &AsciiSet = &NON_ALPHANUMERIC
    .remove(b'-')
    .remove(b'.')
    .remove(b'_')
    .remove(b'~');

/// A request as it is sent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Request {
    /// `GET` only looks; `POST` and `DELETE` may change something.
    pub method: Method,
    /// The path with its query.
    pub path: String,
    /// The value of `If-Match`: nothing is done if the current tag or version is another one.
    pub if_match: Option<String>,
    /// The trace that the request belongs to, sent as `traceparent` and `tracestate`.
    pub trace: Option<TraceContext>,
    /// The body, JSON.
    pub body: Option<String>,
}

impl Request {
    /// The headers of the trace.
    pub fn trace_headers(&self) -> Vec<(&'static str, String)> {
        let headers = self.trace.iter().flat_map(TraceContext::headers);
        headers.collect()
    }

    /// Whether the request only reads, so that it may be repeated.
    pub fn is_read_only(&self) -> bool {
        self.method == Method::GET
    }
}

/// A response that is text, byte for byte, not JSON.
#[derive(Debug)]
pub enum Text {}

/// A response that is a stream of server-sent events.
#[derive(Debug)]
pub enum Stream {}

/// A request, typed by its response.
#[derive(Debug)]
pub struct Call<A> {
    request: Request,
    answer: PhantomData<fn() -> A>,
}

impl<A> Call<A> {
    fn get(path: String) -> Self {
        Self::of(Method::GET, path, None)
    }

    fn get_with(path: &str, query: &impl Serialize) -> Self {
        Self::get(with_query(path, query))
    }

    fn post(path: String, body: &impl Serialize) -> Self {
        // No body here has keys other than texts.
        let body = serde_json::to_string(body).unwrap_or_default();
        Self::of(Method::POST, path, Some(body))
    }

    fn delete_with(path: &str, query: &impl Serialize) -> Self {
        let Self { request, answer } = Self::get_with(path, query);
        let request = Request {
            method: Method::DELETE,
            ..request
        };
        Self { request, answer }
    }

    fn of(method: Method, path: String, body: Option<String>) -> Self {
        Self {
            request: Request {
                method,
                path,
                if_match: None,
                trace: None,
                body,
            },
            answer: PhantomData,
        }
    }

    /// The request to send.
    pub fn request(&self) -> &Request {
        &self.request
    }

    /// The same request, to be carried out only if the task has this version. `None` changes nothing.
    pub fn only_at(mut self, version: Option<u64>) -> Self {
        self.request.if_match = version.map(|version| format!("\"{version}\""));
        self
    }

    /// The same request, in this trace.
    pub fn traced(mut self, trace: Option<TraceContext>) -> Self {
        self.request.trace = trace;
        self
    }

    /// The same request with its response as unchecked JSON, for protocols that pass it on.
    pub fn as_json(self) -> Call<Value> {
        self.answered()
    }

    /// The same request with its response as text, byte for byte.
    pub fn as_text(self) -> Call<Text> {
        self.answered()
    }

    fn answered<B>(self) -> Call<B> {
        Call {
            request: self.request,
            answer: PhantomData,
        }
    }
}

fn with_query(path: &str, query: &impl Serialize) -> String {
    // No query here has parts that cannot be said.
    let query = serde_urlencoded::to_string(query).unwrap_or_default();
    let sign = if query.is_empty() { "" } else { "?" };
    format!("{path}{sign}{query}")
}

fn of_task(task: &TaskId) -> String {
    format!("/api/v1/tasks/{task}")
}

fn at(at: Option<Sequence>) -> AtQuery {
    AtQuery {
        at: at.map(At::from),
    }
}

impl Call<Accepted> {
    /// Submits a task.
    pub fn submit(task: &NewTask) -> Self {
        Self::post("/api/v1/tasks".to_owned(), task)
    }

    /// Starts a task again from its beginning.
    pub fn retry(task: &TaskId, said: &RetryTask) -> Self {
        Self::post(format!("{}/retry", of_task(task)), said)
    }

    /// Starts a new task from the past of this one.
    pub fn fork(task: &TaskId, query: &ForkQuery, changes: &ForkTask) -> Self {
        Self::post(
            with_query(&format!("{}/fork", of_task(task)), query),
            changes,
        )
    }
}

impl Call<TaskPage> {
    /// Lists the caller's tasks.
    pub fn tasks(query: &ListQuery) -> Self {
        Self::get_with("/api/v1/tasks", query)
    }
}

impl Call<TaskView> {
    /// Gets a task, in its current state or as it was after a position.
    pub fn task(task: &TaskId, moment: Option<Sequence>) -> Self {
        Self::get_with(&of_task(task), &at(moment))
    }

    /// Gets a task as it was at a version.
    pub fn task_at_version(task: &TaskId, version: u64) -> Self {
        let query = TaskQuery {
            version: Some(version),
            ..TaskQuery::default()
        };
        Self::get_with(&of_task(task), &query)
    }

    /// Intervenes in a task.
    pub fn intervene(task: &TaskId, intervention: &NewIntervention) -> Self {
        Self::post(format!("{}/interventions", of_task(task)), intervention)
    }

    /// Cancels a task.
    pub fn cancel(task: &TaskId) -> Self {
        Self::post(format!("{}/cancel", of_task(task)), &Nothing {})
    }
}

impl Call<ErasedTask> {
    /// Erases a task for good, for this reason.
    pub fn delete(task: &TaskId, query: &DeleteQuery) -> Self {
        Self::delete_with(&of_task(task), query)
    }
}

impl Call<EventPage> {
    /// Lists a task's events.
    pub fn events(task: &TaskId, query: &EventsQuery) -> Self {
        Self::get_with(&format!("{}/events", of_task(task)), query)
    }
}

impl Call<Text> {
    /// Gets events as they are stored, one per line.
    pub fn lines(query: &LinesQuery) -> Self {
        Self::get_with("/api/v1/events", query)
    }

    /// Gets a text that an event refers to.
    pub fn blob(task: &TaskId, hash: &ContentHash) -> Self {
        Self::get(format!("{}/blobs/{hash}", of_task(task)))
    }

    /// Gets one file of a task.
    pub fn file(task: &TaskId, path: &str, query: &FileQuery) -> Self {
        let mut address = format!("{}/files", of_task(task));
        for part in path.split('/') {
            // A String takes everything.
            let _ = write!(address, "/{}", utf8_percent_encode(part, PLAIN));
        }
        Self::get_with(&address, query)
    }

    /// Gets the graph of a task as a drawing.
    pub fn graph_svg(task: &TaskId, moment: Option<Sequence>) -> Self {
        Self::get_with(&format!("{}/graph.svg", of_task(task)), &at(moment))
    }

    /// Gets the graph of a task in the language of Graphviz.
    pub fn graph_dot(task: &TaskId, moment: Option<Sequence>) -> Self {
        Self::get_with(&format!("{}/graph.dot", of_task(task)), &at(moment))
    }

    /// Gets all metrics in the text format of Prometheus.
    pub fn metrics() -> Self {
        Self::get("/metrics".to_owned())
    }
}

impl Call<Stream> {
    /// Streams a task's events since a position, and then new ones, until it has ended.
    pub fn stream(task: &TaskId, after: Sequence) -> Self {
        let after = Some(after.into());
        Self::get_with(&format!("{}/stream", of_task(task)), &StreamQuery { after })
    }
}

impl Call<FileList> {
    /// Lists a task's files, in their current state or as they were after a position.
    pub fn files(task: &TaskId, moment: Option<Sequence>) -> Self {
        Self::get_with(&format!("{}/files", of_task(task)), &at(moment))
    }
}

impl Call<ContextView> {
    /// Gets the last prompt sent to the model, or the last one before a position.
    pub fn context(task: &TaskId, moment: Option<Sequence>) -> Self {
        Self::get_with(&format!("{}/context", of_task(task)), &at(moment))
    }
}

impl Call<ContextDiff> {
    /// Compares the prompts of two calls of the model.
    pub fn context_diff(task: &TaskId, query: &ContextDiffQuery) -> Self {
        Self::get_with(&format!("{}/context/diff", of_task(task)), query)
    }
}

impl Call<GraphView> {
    /// Gets what is known of a task as a graph, as it is or as it was after a position.
    pub fn graph(task: &TaskId, query: &GraphQuery) -> Self {
        Self::get_with(&format!("{}/graph", of_task(task)), query)
    }
}

impl Call<SummaryView> {
    /// Gets the summary of a task, or of something in it.
    pub fn summary(task: &TaskId, query: &SummaryQuery) -> Self {
        Self::get_with(&format!("{}/summary", of_task(task)), query)
    }
}

impl Call<SearchView> {
    /// Searches what is known of all tasks.
    pub fn search(query: &SearchQuery) -> Self {
        Self::get_with("/api/v1/search", query)
    }
}

impl Call<ToolList> {
    /// Lists the tools that may be called on a task.
    pub fn tools() -> Self {
        Self::get("/api/v1/tools".to_owned())
    }
}

impl Call<CallsView> {
    /// Calls tools on a task.
    pub fn call_tools(task: &TaskId, calls: &ToolCalls) -> Self {
        Self::post(format!("{}/tools", of_task(task)), calls)
    }
}

impl Call<AgentList> {
    /// Lists the active agents.
    pub fn agents() -> Self {
        Self::get("/api/v1/agents".to_owned())
    }
}

impl Call<QueueView> {
    /// Gets the state of the queue.
    pub fn queue() -> Self {
        Self::get("/api/v1/queue".to_owned())
    }

    /// Changes the limits of the queue.
    pub fn change_queue(change: &QueueChange) -> Self {
        Self::post("/api/v1/queue".to_owned(), change)
    }
}

impl Call<HookList> {
    /// Lists the hooks.
    pub fn hooks() -> Self {
        Self::get("/api/v1/hooks".to_owned())
    }
}

impl Call<HookView> {
    /// Retries all pending and dead deliveries of a hook.
    pub fn retry_hook(hook: &str) -> Self {
        let hook = utf8_percent_encode(hook, PLAIN);
        Self::post(format!("/api/v1/hooks/{hook}/retry"), &Nothing {})
    }
}

impl Call<ServedSettings> {
    /// Gets the settings that tasks are worked on with.
    pub fn settings() -> Self {
        Self::get("/api/v1/settings".to_owned())
    }
}

impl Call<Value> {
    /// Gets all metrics, or a part of them.
    pub fn all_metrics(query: &MetricsQuery) -> Self {
        Self::get_with("/api/v1/metrics", query)
    }

    /// Gets the timing and cost of a task.
    pub fn timing(task: &TaskId) -> Self {
        Self::get(format!("{}/timing", of_task(task)))
    }
}

impl Call<Ticket> {
    /// Gets a ticket for a WebSocket.
    pub fn ticket() -> Self {
        Self::of(Method::POST, "/api/v1/tickets".to_owned(), None)
    }
}

impl Call<Health> {
    /// Checks whether the server is alive.
    pub fn health() -> Self {
        Self::get("/health".to_owned())
    }
}

impl Call<Ready> {
    /// Checks whether work can be done now. If not, the response has status 503 and is not a problem.
    pub fn ready() -> Self {
        Self::get("/ready".to_owned())
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn what_stands_in_an_address_is_escaped() {
        let task = TaskId::new("t-1").unwrap();
        let file = Call::file(&task, "a b/../c?.py", &FileQuery::default());
        assert_eq!(
            file.request().path,
            "/api/v1/tasks/t-1/files/a%20b/../c%3F.py"
        );
        let query = EventsQuery {
            after: Some(Sequence(7).into()),
            kind: Some("a&b=c".to_owned()),
            data: Some(true),
            ..EventsQuery::default()
        };
        assert_eq!(
            Call::events(&task, &query).request().path,
            "/api/v1/tasks/t-1/events?after=7&kind=a%26b%3Dc&data=true"
        );
        let version = Call::task_at_version(&task, u64::MAX);
        assert_eq!(
            version.request().path,
            "/api/v1/tasks/t-1?version=18446744073709551615"
        );
    }
}
