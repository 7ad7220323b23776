//! The replies of the server: correct answers, and the parts of incorrect ones.

use serde_json::{Value, json};

use super::{Call, SERVED_MODEL};

/// The number of bytes per streamed piece.
const DELTA_CHARS: usize = 12;

/// A reply, byte by byte.
pub(super) struct Reply {
    /// The status code; `None` to send nothing at all, not even a head.
    pub(super) status: Option<u16>,
    pub(super) headers: Vec<(&'static str, String)>,
    /// The pieces, each sent separately.
    pub(super) pieces: Vec<Vec<u8>>,
    pub(super) end: ReplyEnd,
}

/// What happens to the connection after the last piece.
#[derive(Clone, Copy)]
pub(super) enum ReplyEnd {
    Close,
    Reset,
    /// It stays open until the client closes it.
    Stay,
    /// Comments keep it alive.
    Comments,
}

impl Reply {
    /// A reply with a complete body.
    pub(super) fn whole(status: u16, content_type: &str, body: &str) -> Self {
        Self {
            status: Some(status),
            headers: vec![
                ("Content-Type", content_type.to_owned()),
                ("Content-Length", body.len().to_string()),
            ],
            pieces: vec![body.as_bytes().to_vec()],
            end: ReplyEnd::Close,
        }
    }

    pub(super) fn json(value: &Value) -> Self {
        Self::whole(200, "application/json", &value.to_string())
    }

    /// An error in OpenAI's format.
    pub(super) fn fails(status: u16, message: &str) -> Self {
        let body = json!({"error": {"message": message, "type": "simulated", "code": null}});
        Self::whole(status, "application/json", &body.to_string())
    }

    /// Server-sent events, one per record.
    pub(super) fn events<'a>(records: impl IntoIterator<Item = &'a Value>) -> Self {
        let records = records.into_iter();
        Self::stream(records.map(|record| format!("data: {record}\n\n")))
    }

    /// A stream of these texts.
    pub(super) fn stream(texts: impl IntoIterator<Item = String>) -> Self {
        Self {
            status: Some(200),
            headers: vec![("Content-Type", "text/event-stream".to_owned())],
            pieces: texts.into_iter().map(String::into_bytes).collect(),
            end: ReplyEnd::Close,
        }
    }

    /// The same with another end.
    pub(super) fn then(mut self, end: ReplyEnd) -> Self {
        self.end = end;
        self
    }

    /// The same with an additional header.
    pub(super) fn with(mut self, name: &'static str, value: &str) -> Self {
        self.headers.push((name, value.to_owned()));
        self
    }

    /// The same with this text appended.
    pub(super) fn and(mut self, text: &str) -> Self {
        self.pieces.push(text.as_bytes().to_vec());
        self
    }

    /// The same in HTTP's chunked encoding; `is_whole` says whether the end of the body is marked.
    pub(super) fn chunked(self, is_whole: bool) -> Self {
        let mut reply = self.with("Transfer-Encoding", "chunked");
        for piece in &mut reply.pieces {
            let size = format!("{:x}\r\n", piece.len());
            *piece = [size.as_bytes(), piece, b"\r\n"].concat();
        }
        if is_whole {
            reply.and("0\r\n\r\n")
        } else {
            reply
        }
    }

    /// The reply of a correct server.
    pub(super) fn answer(call: &Call<'_>) -> Self {
        if call.body["stream"] == false {
            return Self::json(&call.completion());
        }
        Self::events(&call.chunks()).and("data: [DONE]\n\n")
    }
}

impl Call<'_> {
    pub(super) fn finish(&self) -> &'static str {
        if self.was_cut { "length" } else { "stop" }
    }

    pub(super) fn usage(&self) -> Value {
        json!({
            "prompt_tokens": self.prompt_tokens, "completion_tokens": self.completion_tokens,
            "total_tokens": self.prompt_tokens + self.completion_tokens,
        })
    }

    /// The answer as a single record.
    pub(super) fn completion(&self) -> Value {
        json!({
            "id": "chatcmpl-1", "object": "chat.completion", "model": SERVED_MODEL,
            "choices": [{"index": 0, "message": {"role": "assistant", "content": self.text},
                "finish_reason": self.finish()}],
            "usage": self.usage(),
        })
    }

    /// The texts of the answer.
    pub(super) fn texts(&self) -> Vec<String> {
        let chars: Vec<char> = self.text.chars().collect();
        chars
            .chunks(DELTA_CHARS)
            .map(|some| some.iter().collect())
            .collect()
    }

    /// The answer in chunks: the role, the texts, the end, the usage.
    pub(super) fn chunks(&self) -> Vec<Value> {
        let mut chunks = vec![chunk(json!({"role": "assistant", "content": ""}))];
        chunks.extend(self.texts().iter().map(|text| delta(text)));
        chunks.push(self.last());
        let usage = json!({"id": "chatcmpl-1", "object": "chat.completion.chunk",
            "model": SERVED_MODEL, "choices": [], "usage": self.usage()});
        chunks.push(usage);
        chunks
    }

    /// The chunks, each changed by `change`.
    pub(super) fn each(&self, change: impl Fn(Value) -> Value) -> Vec<Value> {
        self.chunks().into_iter().map(change).collect()
    }

    /// The first chunks of the answer, without its end.
    pub(super) fn begun(&self) -> Vec<Value> {
        let mut chunks = self.chunks();
        chunks.truncate(chunks.len() / 2);
        chunks
    }

    /// All chunks but the usage, which comes last.
    pub(super) fn finished(&self) -> Vec<Value> {
        let mut chunks = self.chunks();
        chunks.pop();
        chunks
    }

    /// The chunks with all of the text, without the end and the usage.
    pub(super) fn unended(&self) -> Vec<Value> {
        let mut chunks = self.finished();
        chunks.pop();
        chunks
    }

    /// The chunk that ends the answer.
    fn last(&self) -> Value {
        ending(self.finish())
    }
}

/// A chunk with this delta.
pub(super) fn chunk(delta: Value) -> Value {
    json!({
        "id": "chatcmpl-1", "object": "chat.completion.chunk", "model": SERVED_MODEL,
        "choices": [{"index": 0, "delta": delta, "finish_reason": null}],
    })
}

/// A chunk with this text.
pub(super) fn delta(text: &str) -> Value {
    chunk(json!({"content": text}))
}

/// A chunk that ends the answer with this reason.
pub(super) fn ending(reason: &str) -> Value {
    let mut last = chunk(json!({}));
    last["choices"][0]["finish_reason"] = json!(reason);
    last
}
