//! Ollama's own API, as far as a client needs it to get an answer.

use serde_json::{Value, json};

use super::reply::Reply;
use super::{Call, Route, SERVED_MODEL};

/// What is asked of Ollama beside an answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum About {
    Version,
    Models,
    Model,
    Running,
    /// The model is to be loaded.
    Load,
}

impl Route {
    /// The route of this path, if it is one of Ollama's.
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

/// Ollama's answer to everything, but for the first request for an answer, to which `first` replies.
pub(super) fn but_at_first(call: &Call<'_>, first: fn(&Call<'_>) -> Reply) -> Option<Reply> {
    match call.route {
        Route::About(what) => Some(Reply::json(&about(what))),
        Route::OllamaChat if call.nth == 1 => Some(first(call)),
        Route::OllamaChat => Some(records(&call.ollama_records())),
        Route::Models | Route::Chat | Route::Moved | Route::Other => None,
    }
}

/// A stream of records, a line each.
pub(super) fn records(records: &[Value]) -> Reply {
    Reply::stream(records.iter().map(|record| format!("{record}\n")))
}

fn about(what: About) -> Value {
    /// Tokens of the window.
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
    /// The answer in Ollama's records: the texts, and the end with its counts.
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

    /// The first half of them.
    pub(super) fn ollama_begun(&self) -> Vec<Value> {
        let mut all = self.ollama_records();
        all.truncate(all.len() / 2);
        all
    }
}
