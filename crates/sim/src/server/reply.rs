//! What the server sends: a good answer, and the parts of bad ones.

use serde_json::{Value, json};

use super::{Call, SERVED_MODEL};

/// Bytes of an answer that come at a time.
const DELTA_CHARS: usize = 12;

/// A reply, byte by byte.
pub(super) struct Reply {
    /// None: nothing is sent, not even a head.
    pub(super) status: Option<u16>,
    pub(super) headers: Vec<(&'static str, String)>,
    /// Each is sent on its own.
    pub(super) pieces: Vec<Vec<u8>>,
    pub(super) end: ReplyEnd,
}

/// What becomes of the connection behind the last piece.
#[derive(Clone, Copy)]
pub(super) enum ReplyEnd {
    Close,
    Reset,
    /// It stays open until the client closes it.
    Stay,
    /// Comments keep it open.
    Comments,
}

impl Reply {
    /// A whole body.
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

    /// A refusal as OpenAI words it.
    pub(super) fn fails(status: u16, message: &str) -> Self {
        let body = json!({"error": {"message": message, "type": "simulated", "code": null}});
        Self::whole(status, "application/json", &body.to_string())
    }

    /// Server-sent events, one a record.
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

    /// With another end.
    pub(super) fn then(mut self, end: ReplyEnd) -> Self {
        self.end = end;
        self
    }

    /// With a header more.
    pub(super) fn with(mut self, name: &'static str, value: &str) -> Self {
        self.headers.push((name, value.to_owned()));
        self
    }

    /// With this behind all else.
    pub(super) fn and(mut self, text: &str) -> Self {
        self.pieces.push(text.as_bytes().to_vec());
        self
    }

    /// In chunks as HTTP has them; `is_whole` is whether the end of the body is said.
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

    /// What a good server answers.
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

    /// The answer in one.
    pub(super) fn completion(&self) -> Value {
        json!({
            "id": "chatcmpl-1", "object": "chat.completion", "model": SERVED_MODEL,
            "choices": [{"index": 0, "message": {"role": "assistant", "content": self.text},
                "finish_reason": self.finish()}],
            "usage": self.usage(),
        })
    }

    /// The answer's texts.
    pub(super) fn texts(&self) -> Vec<String> {
        let chars: Vec<char> = self.text.chars().collect();
        chars
            .chunks(DELTA_CHARS)
            .map(|some| some.iter().collect())
            .collect()
    }

    /// The answer in pieces: the role, the texts, the end, the usage.
    pub(super) fn chunks(&self) -> Vec<Value> {
        let mut chunks = vec![chunk(json!({"role": "assistant", "content": ""}))];
        chunks.extend(self.texts().iter().map(|text| delta(text)));
        chunks.push(self.last());
        let usage = json!({"id": "chatcmpl-1", "object": "chat.completion.chunk",
            "model": SERVED_MODEL, "choices": [], "usage": self.usage()});
        chunks.push(usage);
        chunks
    }

    /// The chunks with something else for each.
    pub(super) fn each(&self, change: impl Fn(Value) -> Value) -> Vec<Value> {
        self.chunks().into_iter().map(change).collect()
    }

    /// The pieces of the answer without its end.
    pub(super) fn begun(&self) -> Vec<Value> {
        let mut chunks = self.chunks();
        chunks.truncate(chunks.len() / 2);
        chunks
    }

    /// All but the usage, which comes last.
    pub(super) fn finished(&self) -> Vec<Value> {
        let mut chunks = self.chunks();
        chunks.pop();
        chunks
    }

    /// The pieces of the answer, all of its text, without its end and its usage.
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

/// A chunk that ends the answer for this reason.
pub(super) fn ending(reason: &str) -> Value {
    let mut last = chunk(json!({}));
    last["choices"][0]["finish_reason"] = json!(reason);
    last
}
