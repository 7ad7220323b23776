//! The purposes of model calls, with one descriptor each. To add a purpose, add a variant and its name to
//! [`Purpose`], a descriptor here, the step in `workflow/src/decide.rs` and the handling of its answer in
//! `workflow/src/interpret.rs`.

use std::time::Duration;

use journeyman_event::payload::Purpose;
use journeyman_event::state::ModuleState;
use journeyman_event::{Priority, Role, TaskState};
use journeyman_language::PromptTexts;
use serde_json::Value;

use crate::offer::ToolOffer;
use crate::piece::Piece;
use crate::prompts::{
    LOOK_UP, MODULE_SUMMARY, TASK_SUMMARY, schema_of_look_up, schema_of_module_summary,
    schema_of_plan, schema_of_review, schema_of_task_summary,
};
use crate::requests::{
    answer_request, code_request, fix_request, look_up_request, module_summary_request,
    plan_request, review_request, task_summary_request, tests_request,
};

/// How long a call for a summary may take. Usually it takes less than 5 seconds.
const SUMMARY_TIME_MAX: Duration = Duration::from_secs(30);

/// The properties of a purpose.
#[derive(Debug)]
pub struct Descriptor {
    /// The role that makes the call.
    pub role: Role,
    /// The priority among calls of equally urgent tasks that wait for the model server.
    pub priority: Priority,
    /// The sampling temperature of the first attempt, 0 to 1.
    pub temperature: f32,
    /// Whether the model may call tools before answering.
    pub takes_tools: bool,
    /// Whether the prompt includes what the knowledge graph relates to the module or to the finished code.
    pub takes_related: bool,
    /// The longest time that a call may take before it is broken off and counts as failed; `None` for as long as the server
    /// goes on answering.
    pub time_max: Option<Duration>,
    /// The activity as displayed, alone or before the name of a module.
    pub doing: &'static str,
    /// The longest answer, in per cent of the window's share for generation. Plans, tests and answers are
    /// short, and a small model that writes very long ones is repeating itself.
    pub(crate) share: u64,
    /// The system prompt, in the terms of the task's programming language. It is byte-identical from call to
    /// call, so that the model server can use its prompt cache.
    pub(crate) system: fn(&PromptTexts) -> &'static str,
    /// The JSON schema of the answer, if there is one. Depends on the task and the tools that may be called.
    pub(crate) schema: fn(&TaskState, &[ToolOffer]) -> Option<Value>,
    /// The last pieces of the prompt, which state the request.
    pub(crate) request: fn(&TaskState, Option<&ModuleState>) -> Vec<Piece>,
}

impl Descriptor {
    /// The descriptor of a purpose.
    pub fn of(purpose: Purpose) -> &'static Self {
        match purpose {
            Purpose::Plan => &Self {
                role: Role::Planner,
                priority: Priority::MEDIUM,
                temperature: 0.2,
                takes_tools: false,
                takes_related: false,
                time_max: None,
                doing: "planning",
                share: 50,
                system: |texts| texts.plan,
                schema: |task, _| Some(schema_of_plan(task)),
                request: |task, _| vec![plan_request(task)],
            },
            Purpose::Code => &Self {
                role: Role::Coder,
                priority: Priority::HIGH,
                temperature: 0.0,
                takes_tools: true,
                takes_related: true,
                time_max: None,
                doing: "writing",
                share: 100,
                system: |texts| texts.code,
                schema: |_, _| None,
                request: code_request,
            },
            Purpose::Tests => &Self {
                role: Role::Tester,
                priority: Priority::MEDIUM,
                temperature: 0.2,
                takes_tools: true,
                takes_related: false,
                time_max: None,
                doing: "writing tests for",
                share: 50,
                system: |texts| texts.tests,
                schema: |_, _| None,
                request: tests_request,
            },
            Purpose::Fix => &Self {
                role: Role::Fixer,
                priority: Priority::HIGH,
                temperature: 0.2,
                takes_tools: true,
                takes_related: true,
                time_max: None,
                doing: "correcting",
                share: 100,
                system: |texts| texts.fix,
                schema: |_, _| None,
                request: fix_request,
            },
            Purpose::LookUp => &Self {
                role: Role::Planner,
                priority: Priority::MEDIUM,
                temperature: 0.0,
                takes_tools: true,
                takes_related: false,
                time_max: None,
                doing: "finding out what to look up",
                share: 20,
                system: |_| LOOK_UP,
                schema: |_, tools| Some(schema_of_look_up(tools)),
                request: |_, _| vec![look_up_request()],
            },
            Purpose::Review => &Self {
                role: Role::Reviewer,
                priority: Priority::LOW,
                temperature: 0.2,
                takes_tools: true,
                takes_related: true,
                time_max: None,
                doing: "reviewing",
                share: 20,
                system: |texts| texts.review,
                schema: |_, _| Some(schema_of_review()),
                request: |task, _| review_request(task),
            },
            Purpose::Answer => &Self {
                role: Role::Planner,
                priority: Priority::MEDIUM,
                temperature: 0.2,
                takes_tools: false,
                takes_related: false,
                time_max: None,
                doing: "answering",
                share: 50,
                system: |texts| texts.answer,
                schema: |_, _| None,
                request: |_, _| vec![answer_request()],
            },
            Purpose::ModuleSummary => &Self {
                role: Role::Summariser,
                priority: Priority::LOW,
                temperature: 0.0,
                takes_tools: false,
                takes_related: false,
                time_max: Some(SUMMARY_TIME_MAX),
                doing: "summarising",
                share: 15,
                system: |_| MODULE_SUMMARY,
                schema: |_, _| Some(schema_of_module_summary()),
                request: module_summary_request,
            },
            Purpose::TaskSummary => &Self {
                role: Role::Summariser,
                priority: Priority::LOW,
                temperature: 0.0,
                takes_tools: false,
                takes_related: false,
                time_max: Some(SUMMARY_TIME_MAX),
                doing: "summarising",
                share: 10,
                system: |_| TASK_SUMMARY,
                schema: |_, _| Some(schema_of_task_summary()),
                request: |task, _| task_summary_request(task),
            },
        }
    }
}
