//! Tasks: submitting, listing, viewing, retrying and forking.

use jiff::Timestamp;
use journeyman_event::payload::{TaskSubmitted, TestOrigin};
use journeyman_event::{Priority, Sequence, TaskId};
use serde::{Deserialize, Serialize};
use utoipa::openapi::RefOr;
use utoipa::openapi::schema::{
    AnyOfBuilder, KnownFormat, ObjectBuilder, Schema, SchemaFormat, Type,
};
use utoipa::{IntoParams, PartialSchema, ToSchema};

use crate::hooks::NewWebhook;
use crate::json::{Object, Whole};
use crate::problem::Problem;
use crate::view::{StatusWord, TaskSummary};

/// `critical`, `high`, `medium`, `low`, `background`, or a number from 0 (most urgent) to 100.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
#[serde(transparent)]
pub struct PriorityWord(pub Priority);

impl PartialSchema for PriorityWord {
    fn schema() -> RefOr<Schema> {
        let names = Priority::LEVELS.map(|(name, _)| name);
        let name = ObjectBuilder::new()
            .schema_type(Type::String)
            .enum_values(Some(names));
        let number = ObjectBuilder::new()
            .schema_type(Type::Integer)
            .minimum(Some(0))
            .maximum(Some(100));
        let either = AnyOfBuilder::new().item(name).item(number);
        let words = "A name in any case, or a number: lower comes first.";
        RefOr::T(Schema::AnyOf(either.description(Some(words)).build()))
    }
}

impl ToSchema for PriorityWord {}

/// The name of a programming language, such as `python`. The server refuses languages that it does not know.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(transparent)]
pub struct Language(pub String);

/// A test file that must pass.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct NewTest {
    /// The name of the file. If pytest could not load a file of this name, another one is used, which `notices`
    /// in the response mentions.
    pub name: String,
    /// The text of the file.
    #[schema(pattern = "\\S", max_length = 262_144)]
    pub source: String,
}

/// A task to be created.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct NewTask {
    /// The prompt: what the code should do.
    #[schema(pattern = "\\S", max_length = 100_000)]
    pub prompt: String,
    /// Answers given in advance to questions that may arise.
    #[schema(max_items = 1_000)]
    pub answers: Option<Vec<Answer>>,
    /// The tools that its agents may call, by name or by pattern with `*`. By default those that the server allows.
    #[schema(max_items = 100)]
    pub tools: Option<Vec<ToolPattern>>,
    /// Whether the model reviews the finished code. Findings are reported and do not affect verification.
    pub review: Option<bool>,
    /// Whether the model summarises each finished module for the modules after it, and the task at its end. False by
    /// default.
    pub summaries: Option<bool>,
    /// Whether someone is available to answer questions. If so, the planner may ask some, and the task is
    /// paused (`pause` is `question`) until they are answered. False by default.
    pub ask: Option<bool>,
    /// Whether the examples in the prompt are run as given tests. True by default.
    pub examples: Option<bool>,
    /// The priority; `medium` by default.
    pub priority: Option<PriorityWord>,
    /// The programming language; the server's default language by default.
    pub language: Option<Language>,
    /// The name of the model. The server refuses any model but its own, which it also uses if this is left out or empty.
    // The schema admits the empty text alone, because which name a server accepts is not known here.
    #[schema(value_type = Option<String>, max_length = 0)]
    pub model: Option<String>,
    /// Test files that must pass.
    #[schema(value_type = Option<Vec<NewTest>>, max_items = 100)]
    pub tests: Option<Vec<Object<NewTest>>>,
    /// The token budget, for prompts and answers together; 20,000 per module by default.
    #[schema(value_type = Option<u64>, minimum = 1, maximum = 1_000_000_000_000_u64)]
    pub budget: Option<Whole>,
    /// The limit of working time in seconds; 1,800 by default.
    #[schema(minimum = 0, maximum = 31_536_000)]
    pub timeout: Option<f64>,
    /// The limit of code versions per module; 5 by default.
    #[schema(value_type = Option<u32>, minimum = 1, maximum = 1_000)]
    pub max_iterations: Option<Whole>,
    /// How long to wait for a place if the queue is full, in milliseconds. By default the task is refused at
    /// once.
    #[schema(value_type = Option<u64>, minimum = 0, maximum = 600_000)]
    pub wait_ms: Option<Whole>,
    /// The id of the task; random by default.
    #[schema(pattern = "^[A-Za-z0-9][A-Za-z0-9._:-]{0,199}$")]
    pub task_id: Option<String>,
    /// Tasks that must end, with or without success, before this one starts. They must exist already.
    #[schema(max_items = 100)]
    pub depends_on: Option<Vec<TaskName>>,
    /// A request with the same key and content returns the same task. The header `Idempotency-Key` has the same
    /// meaning.
    #[schema(pattern = "^[\\x21-\\x7e]{1,200}$")]
    pub idempotency_key: Option<String>,
    /// The folder for the result on the server's machine. Accepted only over the socket in the server's data folder.
    // The schema admits the empty text alone, because it describes the API as others reach it.
    #[schema(value_type = Option<String>, max_length = 0)]
    pub out: Option<String>,
    /// A webhook for this task, in addition to the server's webhooks for all tasks.
    #[schema(value_type = Option<NewWebhook>)]
    #[serde(skip_serializing_if = "Option::is_none")]
    // older servers do not know it
    pub webhook: Option<Object<NewWebhook>>,
    /// The label of a project. Budgets can limit what a project spends.
    #[schema(pattern = "^[A-Za-z0-9][A-Za-z0-9._:/-]{0,99}$")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub project: Option<String>,
}

/// An answer given in advance to a question that may arise.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
#[serde(transparent)]
#[schema(pattern = "\\S", max_length = 100_000)]
pub struct Answer(pub String);

/// The name of a tool, in which `*` matches any characters.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
#[serde(transparent)]
#[schema(pattern = "^[A-Za-z0-9_.*-]{1,128}$")]
pub struct ToolPattern(pub String);

/// The id of a task.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
#[serde(transparent)]
#[schema(pattern = "^[A-Za-z0-9][A-Za-z0-9._:-]{0,199}$")]
pub struct TaskName(pub String);

impl TaskName {
    /// The checked id. An error names this field.
    pub fn checked(&self, field: &str) -> Result<TaskId, Problem> {
        task_name(field, &self.0)
    }
}

/// The id of a new task as a field of a request. Ids that begin with `sys.` belong to the system.
pub fn new_task_name(field: &str, text: &str) -> Result<TaskId, Problem> {
    if text.starts_with("sys.") {
        let reason = "ids that begin with `sys.` belong to the system; choose another";
        return Err(Problem::field(field, reason));
    }
    task_name(field, text)
}

/// A task's id as a field of a request.
pub fn task_name(field: &str, text: &str) -> Result<TaskId, Problem> {
    TaskId::new(text).map_err(|error| Problem::field(field, error.to_string()))
}

impl NewTask {
    /// The request that creates this task on a server, under this id. Tests in the prompt are left out, because
    /// the server finds them there too, and so is the origin of a fork, which needs another request.
    pub fn of(task: &TaskId, content: &TaskSubmitted) -> Self {
        // Without `..`, so that a new member does not compile before it is handled here.
        let TaskSubmitted {
            prompt,
            language,
            tests,
            limits,
            out,
            priority,
            answers,
            tools,
            review,
            summaries,
            ask,
            no_examples,
            depends_on,
            fork: _,
            webhook,
            project,
            // The server knows with which key it is asked, and the trace is sent in headers.
            key: _,
            trace: _,
        } = content;
        let files = tests.iter().filter(|test| test.origin == TestOrigin::File);
        let files = files.map(|test| {
            Object(NewTest {
                name: test.name.clone(),
                source: test.source.clone(),
            })
        });
        let patterns = |tools: &Vec<String>| tools.iter().cloned().map(ToolPattern).collect();
        Self {
            prompt: prompt.clone(),
            answers: Some(answers.iter().cloned().map(Answer).collect()),
            tools: tools.as_ref().map(patterns),
            review: Some(*review),
            summaries: Some(*summaries),
            ask: Some(*ask),
            examples: Some(!no_examples),
            priority: Some(PriorityWord(*priority)),
            language: Some(Language(language.clone())),
            model: None,
            tests: Some(files.collect()),
            budget: limits.tokens_max.map(|tokens| Whole(tokens.0)),
            timeout: Some(limits.active_max().as_secs_f64()),
            max_iterations: Some(Whole(limits.iterations_max.get().into())),
            wait_ms: None,
            task_id: Some(task.to_string()),
            depends_on: Some(
                depends_on
                    .iter()
                    .map(|task| TaskName(task.to_string()))
                    .collect(),
            ),
            idempotency_key: None,
            out: out.clone(),
            webhook: webhook.as_ref().map(|webhook| Object(webhook.into())),
            project: project.clone(),
        }
    }
}

/// A sequence number in a request, at most 2^63 - 1, because the store keeps it as a signed 64-bit integer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "u64", into = "u64")]
pub struct Position(Sequence);

impl Position {
    /// The position as a sequence number.
    pub const fn sequence(self) -> Sequence {
        self.0
    }
}

impl From<Sequence> for Position {
    /// The same position, or the highest that a request can state.
    fn from(Sequence(position): Sequence) -> Self {
        Self(Sequence(position.min(i64::MAX.unsigned_abs())))
    }
}

impl From<Position> for u64 {
    fn from(position: Position) -> Self {
        position.0.0
    }
}

impl TryFrom<u64> for Position {
    type Error = String;

    fn try_from(position: u64) -> Result<Self, String> {
        if position <= i64::MAX.unsigned_abs() {
            return Ok(Self(Sequence(position)));
        }
        Err(format!("a position is at most {}", i64::MAX))
    }
}

/// A point in a task's history in a query: a position, or a time such as `2026-11-21T09:30:00Z`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "AtText", into = "AtText")]
pub enum At {
    /// After the event at this position, or the last one before it.
    Position(Position),
    /// Before the first event with a later time than this.
    Time(Timestamp),
}

/// As it stands in a query, which is text, or in JSON.
#[derive(Serialize, Deserialize)]
#[serde(untagged)]
enum AtText {
    Number(u64),
    Text(String),
}

impl From<Sequence> for At {
    fn from(sequence: Sequence) -> Self {
        Self::Position(sequence.into())
    }
}

impl From<At> for AtText {
    fn from(at: At) -> Self {
        match at {
            At::Position(position) => Self::Number(position.into()),
            At::Time(time) => Self::Text(time.to_string()),
        }
    }
}

impl TryFrom<AtText> for At {
    type Error = String;

    fn try_from(at: AtText) -> Result<Self, String> {
        let text = match at {
            AtText::Number(number) => return Position::try_from(number).map(Self::Position),
            AtText::Text(text) => text,
        };
        if let Ok(number) = text.parse::<u64>() {
            return Position::try_from(number).map(Self::Position);
        }
        text.parse().map(Self::Time).map_err(|_| {
            format!(
                "{text:?} is neither a position nor a time like 2026-11-21T09:30:00Z (a + in it is written %2B)"
            )
        })
    }
}

impl PartialSchema for At {
    fn schema() -> RefOr<Schema> {
        let position = ObjectBuilder::new()
            .schema_type(Type::Integer)
            .minimum(Some(0))
            .maximum(Some(i64::MAX));
        let time = ObjectBuilder::new()
            .schema_type(Type::String)
            .format(Some(SchemaFormat::KnownFormat(KnownFormat::DateTime)));
        AnyOfBuilder::new().item(position).item(time).into()
    }
}

impl ToSchema for At {}

/// Selects the tasks of a page.
#[derive(Clone, Debug, Default, Serialize, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct ListQuery {
    /// Only tasks with this status.
    pub status: Option<StatusWord>,
    /// Only tasks whose last event is before this position: `next` of the previous page.
    #[param(value_type = Option<u64>, minimum = 0)]
    pub before: Option<Position>,
    /// The most tasks to return.
    #[param(minimum = 1, maximum = 1_000)]
    pub limit: Option<usize>,
}

/// A page of tasks.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct TaskPage {
    /// The tasks, most recently changed first.
    pub tasks: Vec<TaskSummary>,
    /// Where the next page starts (as `before`); null if there is none.
    pub next: Option<u64>,
}

/// Selects an earlier state of a task.
#[derive(Clone, Debug, Default, Serialize, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct AtQuery {
    /// As it was after the event at this position, or the last one before it; or at this time.
    #[param(inline)]
    pub at: Option<At>,
}

/// Selects a state of a task, by a position or by a version. By default the current state.
#[derive(Clone, Debug, Default, Serialize, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct TaskQuery {
    /// As it was after the event at this position, or the last one before it; or at this time.
    #[param(inline)]
    pub at: Option<At>,
    /// As it was at this version: after that number of its events; 0 is before the first one. For a version that the task
    /// does not have yet the response is 404 with the current version.
    #[param(minimum = 0)]
    pub version: Option<u64>,
}

/// The body of a request to start a task again.
#[derive(Clone, Debug, Default, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct RetryTask {
    /// A request with the same key returns the same task. The header `Idempotency-Key` has the same meaning.
    #[schema(pattern = "^[\\x21-\\x7e]{1,200}$")]
    pub idempotency_key: Option<String>,
}

/// What a fork changes. Everything omitted stays as it was.
#[derive(Clone, Debug, Default, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct ForkTask {
    /// Another prompt for the new task.
    #[schema(pattern = "\\S", max_length = 100_000)]
    pub prompt: Option<String>,
    /// Answers given in advance to questions that may arise.
    #[schema(max_items = 1_000)]
    pub answers: Option<Vec<Answer>>,
    /// The priority of the new task.
    pub priority: Option<PriorityWord>,
    /// The token budget, including the tokens spent in the copied history.
    #[schema(value_type = Option<u64>, minimum = 1, maximum = 1_000_000_000_000_u64)]
    pub budget: Option<Whole>,
    /// The limit of working time in seconds.
    #[schema(minimum = 0, maximum = 31_536_000)]
    pub timeout: Option<f64>,
    /// The limit of code versions per module.
    #[schema(value_type = Option<u32>, minimum = 1, maximum = 1_000)]
    pub max_iterations: Option<Whole>,
    /// The id of the new task; random by default.
    #[schema(pattern = "^[A-Za-z0-9][A-Za-z0-9._:-]{0,199}$")]
    pub task_id: Option<String>,
    /// A request with the same key and content returns the same task. The header `Idempotency-Key` has the same
    /// meaning.
    #[schema(pattern = "^[\\x21-\\x7e]{1,200}$")]
    pub idempotency_key: Option<String>,
}

/// The point of the task's past from which it is forked. Exactly one of the members is required.
#[derive(Clone, Debug, Default, Serialize, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct ForkQuery {
    /// The position of the last event to copy: that of the task's first event or a later one.
    #[param(value_type = Option<u64>, minimum = 0)]
    pub at: Option<Position>,
    /// The last version to copy, at least 1.
    #[param(minimum = 1)]
    pub version: Option<u64>,
}

impl ForkQuery {
    /// A fork from the event at this position.
    pub fn at(position: Sequence) -> Self {
        Self {
            at: Some(position.into()),
            ..Self::default()
        }
    }

    /// A fork from this version of the task.
    pub fn version(version: u64) -> Self {
        Self {
            version: Some(version),
            ..Self::default()
        }
    }
}

/// The task that a path names.
#[derive(Clone, Debug, IntoParams)]
#[into_params(parameter_in = Path)]
pub struct TaskPath {
    /// The id of the task.
    #[param(pattern = "^[A-Za-z0-9][A-Za-z0-9._:-]{0,199}$")]
    pub task_id: String,
}

/// The header that makes a submission safe to repeat.
#[derive(Clone, Debug, IntoParams)]
#[into_params(parameter_in = Header)]
pub struct IdempotencyKey {
    /// A request with the same key and content returns the same task.
    #[param(rename = "Idempotency-Key", pattern = "^[\\x21-\\x7e]{1,200}$")]
    pub idempotency_key: Option<String>,
}

/// The header that makes a change conditional on the version of the task that the client knows.
#[derive(Clone, Debug, IntoParams)]
#[into_params(parameter_in = Header)]
pub struct IfMatch {
    /// Make the change only if the task still has this version: the entity tag of a response about it, or its version
    /// alone in quotes (`"17"`); several tags are comma-separated, and `*` means any version. A weak tag (`W/"17"`) never
    /// matches. If the task has another version, nothing is changed, and the response is 412 with the current version.
    #[param(
        rename = "If-Match",
        pattern = "^(\\*|(W/)?\"[!#-~]*\"(, (W/)?\"[!#-~]*\")*)?$"
    )]
    pub if_match: Option<String>,
}

/// The header that avoids sending a response again to a client that has it.
#[derive(Clone, Debug, IntoParams)]
#[into_params(parameter_in = Header)]
pub struct IfNoneMatch {
    /// The comma-separated entity tags of the responses that the client has. If one of them is still current, the
    /// response is 304 without a body.
    #[param(rename = "If-None-Match")]
    pub if_none_match: Option<String>,
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use std::num::NonZeroU32;

    use journeyman_event::Tokens;
    use journeyman_event::payload::{GivenTest, Limits, TaskWebhook};
    use serde_json::json;

    use super::*;

    fn given(name: &str, origin: TestOrigin) -> GivenTest {
        GivenTest {
            name: name.to_owned(),
            origin,
            source: "x".to_owned(),
        }
    }

    #[test]
    fn nothing_of_a_submission_is_lost_on_its_way_to_a_server() {
        let content = TaskSubmitted {
            tests: vec![
                given("test_it.py", TestOrigin::File),
                // Tests in the prompt are found by the server too.
                given("examples", TestOrigin::Examples),
            ],
            limits: Limits {
                tokens_max: Some(Tokens(7)),
                iterations_max: NonZeroU32::new(3).unwrap(),
                active_ms_max: 1_500,
            },
            out: Some("/out".to_owned()),
            priority: Priority::HIGH,
            answers: vec!["yes".to_owned()],
            tools: Some(vec!["docs.*".to_owned()]),
            review: true,
            summaries: true,
            ask: true,
            no_examples: true,
            depends_on: vec![TaskId::new("t-0").unwrap()],
            webhook: Some(TaskWebhook {
                url: "https://host/".to_owned(),
                events: vec!["task_failed".to_owned()],
                secret: Some("env:JOURNEYMAN_WEBHOOK_X".to_owned()),
            }),
            project: Some("shop".to_owned()),
            ..TaskSubmitted::of("Make it")
        };
        let sent = serde_json::to_value(NewTask::of(&TaskId::new("t-1").unwrap(), &content));
        let expected = json!({
            "prompt": "Make it",
            "answers": ["yes"],
            "tools": ["docs.*"],
            "review": true,
            "summaries": true,
            "ask": true,
            "examples": false,
            "priority": "high",
            "language": "python",
            "model": null,
            "tests": [{"name": "test_it.py", "source": "x"}],
            "budget": 7,
            "timeout": 1.5,
            "max_iterations": 3,
            "wait_ms": null,
            "task_id": "t-1",
            "depends_on": ["t-0"],
            "idempotency_key": null,
            "out": "/out",
            "webhook": {
                "url": "https://host/",
                "events": ["task_failed"],
                "secret": "env:JOURNEYMAN_WEBHOOK_X"
            },
            "project": "shop",
        });
        assert_eq!(sent.unwrap(), expected);
    }

    #[test]
    fn a_position_is_one_that_the_store_can_count_to() {
        let largest = i64::MAX.unsigned_abs();
        assert!(Position::try_from(largest).is_ok());
        assert!(Position::try_from(largest + 1).is_err());
        assert_eq!(u64::from(Position::from(Sequence(u64::MAX))), largest);
    }
}
