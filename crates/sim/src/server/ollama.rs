//! The part of Ollama's native API that a client needs to get an answer.

use serde_json::{Value, json};

use super::reply::Reply;
use super::{Call, Route, SERVED_MODEL};

/// A request of Ollama's API other than for an answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum About {
    Version,
    Models,
    Model,
    Running,
    /// A request to load the model.
    Load,
}

impl Route {
    /// The route for this path, if it belongs to Ollama's API.
    pub(super) fn of_ollama(path: &str, body: &Value) -> Option<Self> {
        Some(match path {
            "/api/version" => Self::About(About::Version),
            "/api/tags" => Self::About(About::Models),
            "/api/show" => Self::About(About::Model),
            "/api/ps" => Self::About(About::Running),
            "/api/chat" if body["messages"].is_array() => Self::OllamaChat,
            "/api/chat" => Self::About(About::Load),
            _ => return None,
        })
    }
}

/// Correct replies of Ollama's API, except that `first` replies to the first request for an answer.
pub(super) fn but_at_first(call: &Call<'_>, first: fn(&Call<'_>) -> Reply) -> Option<Reply> {
    match call.route {
        Route::About(what) => Some(Reply::json(&about(what))),
        Route::OllamaChat if call.nth == 1 => Some(first(call)),
        Route::OllamaChat => Some(records(&call.ollama_records())),
        Route::Models | Route::Chat | Route::Moved | Route::Other => None,
    }
}

/// A stream of records, one per line.
pub(super) fn records(records: &[Value]) -> Reply {
    Reply::stream(records.iter().map(|record| format!("{record}\n")))
}

fn about(what: About) -> Value {
    /// The size of the window in tokens.
    const WINDOW: u64 = 16_384;
    let model = json!({"name": SERVED_MODEL, "model": SERVED_MODEL, "context_length": WINDOW});
    match what {
        About::Version => json!({"version": "0.12.6"}),
        About::Models | About::Running => json!({"models": [model]}),
        About::Model => json!({"parameters": "", "capabilities": ["completion"],
            "model_info": {"general.architecture": "sim", "sim.context_length": WINDOW}}),
        About::Load => json!({"model": SERVED_MODEL, "done": true, "done_reason": "load",
            "message": {"role": "assistant", "content": ""}}),
    }
}

impl Call<'_> {
    /// The answer as Ollama's records: the texts, and the end with its token counts.
    pub(super) fn ollama_records(&self) -> Vec<Value> {
        let record = |text: &str| json!({"model": SERVED_MODEL, "message": {"role": "assistant", "content": text}, "done": false});
        let mut all: Vec<Value> = self.texts().iter().map(|text| record(text)).collect();
        all.push(json!({"model": SERVED_MODEL, "message": {"role": "assistant", "content": ""}, "done": true,
            "done_reason": self.finish(), "prompt_eval_count": self.prompt_tokens, "eval_count": self.completion_tokens}));
        all
    }

    /// The records without the end.
    pub(super) fn ollama_unended(&self) -> Vec<Value> {
        let mut all = self.ollama_records();
        all.pop();
        all
    }

    /// The first half of the records.
    pub(super) fn ollama_begun(&self) -> Vec<Value> {
        let mut all = self.ollama_records();
        all.truncate(all.len() / 2);
        all
    }
}
