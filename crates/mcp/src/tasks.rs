//! The tasks extension (SEP-2663): a coding task is a task of the protocol with the same id. Its state is in the
//! journal, so it is visible to its owner only and outlives this process.

use journeyman_api::{Client, Problem, task_name};
use journeyman_event::TaskId;
use rmcp::ErrorData;
use rmcp::model::{
    CallToolResult, ContentBlock, CreateTaskResult, DetailedTask, InputResponses, JsonObject, Task,
    TaskPayload, TaskStatus,
};
use serde_json::Value;

use crate::handler::internal;
use crate::tools::{cancel_one, look};
use crate::wait::{asks, input_requests, take_responses};

/// The suggested polling interval for clients, in milliseconds.
const POLL_MS: u64 = 1_000;

/// The response for a task that was just created.
pub(crate) async fn created(api: &Client, accepted: &Value) -> Result<CreateTaskResult, Problem> {
    let name = accepted["task_id"].as_str().unwrap_or_default();
    let view = look(api, &task_name("task_id", name)?, None).await?;
    Ok(CreateTaskResult::new(task(&view)))
}

fn task(view: &Value) -> Task {
    let text = |member: &str| view[member].as_str().unwrap_or_default();
    let words = match (view["result"].as_str(), view["pause"].as_str()) {
        (Some(result), _) => result.to_owned(),
        (None, Some(pause)) => format!("{}: {pause}", text("status")),
        (None, None) => text("status").to_owned(),
    };
    let task = Task::new(
        text("task_id"),
        status(view),
        text("submitted_at"),
        text("changed_at"),
    );
    task.with_status_message(words)
        .with_poll_interval_ms(POLL_MS)
}

/// The status in the protocol's terms. A task that failed counts as completed, and its result says that it
/// failed; the protocol's `failed` means that the request itself was invalid.
fn status(view: &Value) -> TaskStatus {
    match view["status"].as_str().unwrap_or_default() {
        "complete" | "failed" => TaskStatus::Completed,
        "cancelled" => TaskStatus::Cancelled,
        _ if asks(view) => TaskStatus::InputRequired,
        _ => TaskStatus::Working,
    }
}

fn name(text: &str) -> Result<TaskId, ErrorData> {
    TaskId::new(text).map_err(|error| ErrorData::invalid_params(error.to_string(), None))
}

fn refused(problem: Problem) -> ErrorData {
    if (400..500).contains(&problem.status) {
        return ErrorData::invalid_params(problem.detail, None);
    }
    internal(problem)
}

pub(crate) async fn get(api: &Client, id: &str) -> Result<DetailedTask, ErrorData> {
    let view = look(api, &name(id)?, None).await.map_err(refused)?;
    let payload = match status(&view) {
        TaskStatus::Completed => TaskPayload::Completed {
            result: result(&view),
        },
        TaskStatus::Cancelled => TaskPayload::Cancelled,
        TaskStatus::InputRequired => TaskPayload::InputRequired {
            input_requests: input_requests(&view),
        },
        _ => TaskPayload::Working,
    };
    Ok(DetailedTask::new(task(&view), payload))
}

/// The result that the call which created the task would have returned had it waited.
fn result(view: &Value) -> JsonObject {
    let text = ContentBlock::text(view.to_string());
    let mut result = if view["status"] == "failed" {
        CallToolResult::error(vec![text])
    } else {
        CallToolResult::success(vec![text])
    };
    result.structured_content = Some(view.clone());
    match serde_json::to_value(result) {
        Ok(Value::Object(members)) => members,
        _ => JsonObject::new(),
    }
}

/// Passes on answers. Those that match no open question are ignored, because the question may have been
/// answered in another way.
pub(crate) async fn update(
    api: &Client,
    id: &str,
    responses: &InputResponses,
) -> Result<(), ErrorData> {
    let task = name(id)?;
    let view = look(api, &task, None).await.map_err(refused)?;
    take_responses(api, &task, &view, responses)
        .await
        .map_err(refused)
}

/// One that has ended stays as it is.
pub(crate) async fn cancel(api: &Client, id: &str) -> Result<(), ErrorData> {
    match cancel_one(api, &name(id)?, None).await {
        Err(problem) if problem.status != 409 => Err(refused(problem)),
        _ => Ok(()),
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use std::sync::{Arc, Mutex};

    use async_trait::async_trait;
    use journeyman_api::{Answer, Request, Transport, Unreachable};
    use serde_json::json;

    use super::*;

    /// A task with one open question, which records what it is told.
    #[derive(Default)]
    struct Asking(Mutex<Vec<Value>>);

    #[async_trait]
    impl Transport for Asking {
        async fn ask(&self, asked: &Request) -> Result<Answer, Unreachable> {
            let question = json!({"id": "q-1", "text": "Which?", "is_open": true});
            let view = json!({"status": "paused", "pause": "question", "questions": [question]});
            let body = asked.body.as_ref();
            let body = body.map(|body| serde_json::from_str(body).unwrap());
            self.0.lock().unwrap().extend::<Option<Value>>(body);
            let body = view.to_string().into();
            Ok(Answer {
                status: 200,
                etag: None,
                body,
            })
        }
    }

    #[tokio::test]
    async fn answers_to_open_questions_are_passed_on_and_others_let_be() {
        let asking = Arc::new(Asking::default());
        let api = Client::new(Arc::clone(&asking) as Arc<dyn Transport>);
        let said = json!({"action": "accept", "content": {"answer": "this"}});
        let both = [("q-1", said.clone()), ("q-0", said)];
        let both = both.map(|(name, said)| (name.to_owned(), said)).into();
        update(&api, "t-1", &both).await.unwrap();
        let told = json!({"kind": "answer", "answer": "this", "question": "q-1"});
        assert_eq!(*asking.0.lock().unwrap(), [told]);
    }
}
