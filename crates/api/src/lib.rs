//! The wire format of the REST API: requests, responses and problems, the limits of their sizes, and the schemas
//! that state them; and a client for it, over a socket, over HTTP or in process.
//!
//! Floor 2. This crate knows events and nothing above them: neither what a task does with a request, nor how a
//! server receives it. All paths are in `call.rs`, all limits in [`limits`].

mod call;
mod client;
mod erasure;
mod events;
mod files;
mod hooks;
mod http_transport;
mod interventions;
pub mod json;
mod knowledge;
pub mod limits;
mod problem;
pub mod schema;
mod server;
mod tasks;
mod tools;
mod view;

pub use call::{Call, Request, Stream, Text};
pub use client::{Answer, AuthenticatedClient, Client, Error, Tagged, Transport, Unreachable};
pub use erasure::{DeleteQuery, ErasedTask};
pub use events::{BlobPath, EventPage, EventView, EventsQuery, LinesQuery, SentEvent, StreamQuery};
pub use files::{
    ContextView, FileList, FilePath, FileQuery, FileView, MessageView, PartView, PieceView,
};
pub use hooks::{
    EventFilter, HOOK_EVENT_KINDS, HookList, HookPath, HookView, NewWebhook, Reference,
    TASK_VARIABLE_PREFIX, TERMINAL_KINDS, Target, check_webhook, parse_webhook_url,
    references_file,
};
pub use http_transport::{HttpTransport, Watch, etag_of};
pub use interventions::{NewIntervention, Nothing};
pub use knowledge::{
    ContextDiff, ContextDiffQuery, ContextHead, FoundView, GraphQuery, GraphView, HitView,
    LinkView, MeaningState, MeaningView, NodeView, PieceChangeView, RelatedNodeView, RelatedView,
    SearchQuery, SearchView, SummaryQuery, SummaryView,
};
pub use limits::{CheckedTask, LimitError};
pub use problem::Problem;
pub use server::{
    Depth, ExpositionQuery, ExtraNames, Health, MetricsFormat, MetricsPart, MetricsQuery,
    QueueChange, QueueView, Ready, ServedSetting, ServedSettings, Ticket, Times,
};
pub use tasks::{
    Answer as GivenAnswer, At, AtQuery, ForkQuery, ForkTask, IdempotencyKey, IfMatch, IfNoneMatch,
    Language, ListQuery, NewTask, NewTest, Position, PriorityWord, RetryTask, TaskName, TaskPage,
    TaskPath, TaskQuery, ToolPattern, new_task_name, task_name,
};
pub use tools::{
    AgentList, AgentView, CallView, CallsView, ToolCalls, ToolList, ToolStep, ToolView,
};
pub use view::{Accepted, ModuleView, QuestionView, StatusWord, TaskSummary, TaskView, Urls};
