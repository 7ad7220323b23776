//! Misbehaviours of real model servers, by name. Each entry of the table was observed somewhere.
//!
//! To add a misbehaviour, add an entry here, and an entry in `tests/misbehaviours.rs` that says how a client must
//! react.

use serde_json::{Value, json};

use super::reply::{Reply, ReplyEnd, chunk, delta, ending};
use super::{Call, Route, ollama};

/// The number of pieces of a practically endless answer.
const RAMBLE: u32 = 4_000;
/// A window, in tokens, smaller than the one in the list of models.
const SMALL_WINDOW: u64 = 2_048;
/// The number of attempts a client makes per call.
const PATIENT: u32 = 4;

/// A misbehaviour of a server.
#[derive(Clone, Copy)]
pub struct Misbehaviour {
    /// The name of the misbehaviour.
    pub name: &'static str,
    /// A description of what the server does.
    pub does: &'static str,
    /// The reply to a call; `None` to reply correctly.
    pub(super) play: fn(&Call<'_>) -> Option<Reply>,
}

impl std::fmt::Debug for Misbehaviour {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Misbehaviour")
            .field("name", &self.name)
            .finish_non_exhaustive()
    }
}

/// Looks up a misbehaviour by name.
pub fn misbehaviour(name: &str) -> Option<&'static Misbehaviour> {
    MISBEHAVIOURS.iter().find(|one| one.name == name)
}

const fn does(
    name: &'static str,
    does: &'static str,
    play: fn(&Call<'_>) -> Option<Reply>,
) -> Misbehaviour {
    Misbehaviour { name, does, play }
}

/// The same reply to every request for an answer.
fn chat(call: &Call<'_>, reply: impl FnOnce() -> Reply) -> Option<Reply> {
    (call.route == Route::Chat).then(reply)
}

/// A reply to the first `times` requests for an answer.
fn first(times: u32, call: &Call<'_>, reply: impl FnOnce() -> Reply) -> Option<Reply> {
    (call.route == Route::Chat && call.nth <= times).then(reply)
}

/// A reply to every request for the list of models.
fn models(call: &Call<'_>, reply: impl FnOnce() -> Reply) -> Option<Reply> {
    (call.route == Route::Models).then(reply)
}

/// Rejects requests with this member, with this message.
fn refuses(call: &Call<'_>, member: &str, message: &str) -> Option<Reply> {
    let has = call.body.get(member).is_some();
    (call.route == Route::Chat && has).then(|| Reply::fails(400, message))
}

fn done(records: &[Value]) -> Reply {
    Reply::events(records).and("data: [DONE]\n\n")
}

/// The text of a stream, whatever surrounds its records.
fn text(records: &[Value], before: &str, after: &str) -> Reply {
    let lines = records
        .iter()
        .map(|record| format!("{before}{record}{after}"));
    Reply::stream(lines).and(&format!("{before}[DONE]{after}"))
}

/// An error after the first half of an answer, or instead of an answer.
fn breaks(call: &Call<'_>, error: &str) -> Option<Reply> {
    first(1, call, || Reply::events(&call.begun()).and(error))
}

/// Thoughts under this member name before the answer.
fn thinks(call: &Call<'_>, name: &str) -> Option<Reply> {
    chat(call, || {
        let mut chunks = vec![chunk(json!({name: "Let me think.\n"})); 3];
        chunks.extend(call.chunks());
        done(&chunks)
    })
}

/// An answer that repeats these texts instead of the correct one, for as long as the client reads.
fn rambles(call: &Call<'_>, part: fn(u32) -> String) -> Option<Reply> {
    chat(call, || {
        let chunks: Vec<Value> = (0..RAMBLE).map(|nth| delta(&part(nth))).collect();
        Reply::events(&chunks).and(&format!("data: {}\n\n", ending("stop")))
    })
}

/// The table of all misbehaviours.
#[rustfmt::skip] // a line each
pub const MISBEHAVIOURS: &[Misbehaviour] = &[
    // What is sent is right, and in another form than usual.
    does("cached_tokens_null", "the last chunk has a null among its usage", |call| chat(call, || {
        done(&call.each(|mut chunk| { if chunk["usage"].is_object() { chunk["usage"]["prompt_tokens_details"] = json!({"cached_tokens": null}); } chunk }))
    })),
    does("no_completion_tokens", "the usage counts the prompt alone", |call| chat(call, || {
        done(&call.each(|mut chunk| { if chunk["usage"].is_object() { chunk["usage"] = json!({"prompt_tokens": 9}); } chunk }))
    })),
    does("usage_that_cannot_be", "the usage is far more than the texts can have", |call| chat(call, || {
        done(&call.each(|mut chunk| { if chunk["usage"].is_object() { chunk["usage"] = json!({"prompt_tokens": 99_999_999, "completion_tokens": 1e300, "prompt_tokens_details": {"cached_tokens": 99_999_999}}); } chunk }))
    })),
    does("no_usage", "no chunk has a usage", |call| chat(call, || done(&call.finished()))),
    does("usage_in_every_chunk", "every chunk has a usage, at first one of zeros", |call| chat(call, || {
        done(&call.each(|mut chunk| { if chunk["usage"].is_null() { chunk["usage"] = json!({"prompt_tokens": 0, "completion_tokens": 0}); } chunk }))
    })),
    does("chunks_twice", "each chunk is sent twice", |call| first(1, call, || {
        done(&call.chunks().into_iter().flat_map(|chunk| [chunk.clone(), chunk]).collect::<Vec<_>>())
    })),
    does("another_model", "the answer is of another model than the one that was asked for", |call| chat(call, || {
        done(&call.each(|mut chunk| { chunk["model"] = json!("gpt-3.5-turbo"); chunk }))
    })),
    does("choices_null", "chunks without a choice have null in its place", |call| chat(call, || {
        let mut chunks = call.each(|mut chunk| { if chunk["usage"].is_object() { chunk["choices"] = Value::Null; } chunk });
        chunks.insert(2, json!({"choices": null}));
        done(&chunks)
    })),
    does("choices_missing", "a chunk holds only filters' results", |call| chat(call, || {
        let mut chunks = call.chunks();
        chunks.insert(0, json!({"prompt_filter_results": [], "id": "", "model": ""}));
        done(&chunks)
    })),
    does("delta_null", "the last chunk's delta is null", |call| chat(call, || {
        done(&call.each(|mut chunk| { if !chunk["choices"][0]["finish_reason"].is_null() { chunk["choices"][0]["delta"] = Value::Null; } chunk }))
    })),
    does("content_null", "the first chunk's content is null", |call| chat(call, || {
        let mut chunks = call.chunks();
        chunks[0] = chunk(json!({"role": "assistant", "content": null}));
        done(&chunks)
    })),
    does("content_parts", "content is a list of parts", |call| chat(call, || {
        done(&call.each(|mut chunk| {
            if let Some(text) = chunk["choices"][0]["delta"]["content"].as_str() { chunk["choices"][0]["delta"]["content"] = json!([{"type": "text", "text": text}]); }
            chunk
        }))
    })),
    does("error_null", "every chunk has an error that is null", |call| chat(call, || {
        done(&call.each(|mut chunk| { chunk["error"] = Value::Null; chunk }))
    })),
    does("id_null", "ids are null, objects have no name", |call| chat(call, || {
        done(&call.each(|mut chunk| { chunk["id"] = Value::Null; chunk["object"] = json!(""); chunk["model"] = Value::Null; chunk }))
    })),
    does("roles_repeated", "every delta says the role again", |call| chat(call, || {
        done(&call.each(|mut chunk| { if chunk["choices"][0]["delta"].is_object() { chunk["choices"][0]["delta"]["role"] = json!("assistant"); } chunk }))
    })),
    does("finish_eos", "the answer ends for a reason of its own naming", |call| chat(call, || {
        done(&call.each(|mut chunk| { if chunk["choices"][0]["finish_reason"] == "stop" { chunk["choices"][0]["finish_reason"] = json!("eos"); } chunk }))
    })),
    does("finish_empty", "chunks have an empty reason until the answer ends", |call| chat(call, || {
        done(&call.each(|mut chunk| { if chunk["choices"][0]["finish_reason"].is_null() && chunk["choices"][0].is_object() { chunk["choices"][0]["finish_reason"] = json!(""); } chunk }))
    })),
    does("whole_again", "the last chunk has the whole answer again", |call| chat(call, || {
        let mut chunks = call.finished();
        chunks.push(call.completion());
        done(&chunks)
    })),
    does("comment_in_data", "a data line holds a comment", |call| chat(call, || {
        Reply::stream(["data: : PROCESSING\n\n".to_owned(), "data: ping\n\n".to_owned()].into_iter().chain(call.chunks().iter().map(|chunk| format!("data: {chunk}\n\n")))).and("data: [DONE]\n\n")
    })),
    does("comments", "comments stand between the events", |call| chat(call, || {
        Reply::stream(call.chunks().iter().map(|chunk| format!(": OPENROUTER PROCESSING\n\ndata: {chunk}\n\n"))).and("data: [DONE]\n\n")
    })),
    does("named_events", "events have names, ids and pings", |call| chat(call, || {
        Reply::stream(call.chunks().iter().map(|chunk| format!("event: ping\ndata: {{\"type\": \"ping\"}}\n\nevent: chunk\nid: 1\nretry: 5\ndata: {chunk}\n\n"))).and("data: [DONE]\n\n")
    })),
    does("crlf", "lines end with two bytes", |call| chat(call, || text(&call.chunks(), "data: ", "\r\n\r\n"))),
    does("carriage_returns", "lines end with a carriage return", |call| chat(call, || text(&call.chunks(), "data: ", "\r\r"))),
    does("no_space", "no space stands behind data:", |call| chat(call, || text(&call.chunks(), "data:", "\n\n"))),
    does("no_empty_lines", "no empty line ends an event", |call| chat(call, || text(&call.chunks(), "data: ", "\n"))),
    does("byte_order_mark", "the stream begins with a byte order mark", |call| chat(call, || {
        let mut reply = done(&call.chunks());
        reply.pieces.insert(0, "\u{feff}".as_bytes().to_vec());
        reply
    })),
    does("data_over_lines", "an event's JSON takes several data lines", |call| chat(call, || {
        Reply::stream(call.chunks().iter().map(|chunk| format!("data: {}\n\n", format!("{chunk:#}").replace('\n', "\ndata: ")))).and("data: [DONE]\n\n")
    })),
    does("byte_by_byte", "every byte comes on its own", |call| chat(call, || {
        let mut reply = done(&call.chunks());
        reply.pieces = reply.pieces.concat().into_iter().map(|byte| vec![byte]).collect();
        reply
    })),
    does("no_done", "the mark of the end is missing", |call| chat(call, || Reply::events(&call.chunks()))),
    does("lines_of_json", "each chunk is a line, without events", |call| chat(call, || text(&call.chunks(), "", "\n"))),
    does("plain_text", "the stream is called plain text", |call| chat(call, || {
        let mut reply = done(&call.chunks());
        reply.headers = vec![("Content-Type", "text/plain".to_owned())];
        reply
    })),
    does("no_type", "the stream is called nothing", |call| chat(call, || {
        let mut reply = done(&call.chunks());
        reply.headers.clear();
        reply
    })),
    does("unstreamed", "the answer comes in one, although a stream was asked for", |call| chat(call, || Reply::json(&call.completion()))),
    does("unstreamed_over_lines", "the same over several lines", |call| chat(call, || Reply::whole(200, "application/json", &format!("{:#}\n", call.completion())))),
    does("moved_for_now", "requests are redirected (307)", |call| chat(call, || Reply::fails(307, "moved").with("Location", "/moved/chat/completions"))),
    does("thinks", "thoughts come before the answer (reasoning_content)", |call| thinks(call, "reasoning_content")),
    does("thinks_as_reasoning", "thoughts come before the answer (reasoning)", |call| thinks(call, "reasoning")),
    does("thinks_in_parts", "thoughts are parts of the content", |call| chat(call, || {
        let mut chunks = vec![chunk(json!({"content": [{"type": "thinking", "thinking": [{"type": "text", "text": "Hm."}]}]}))];
        chunks.extend(call.chunks());
        done(&chunks)
    })),
    does("thinks_unless_told", "thinks its tokens away unless its template's switch is off", |call| chat(call, || {
        let mut chunks = vec![chunk(json!({"reasoning_content": "Let me think of it.\n"})); 9];
        chunks.push(ending("length"));
        done(&chunks)
    }).filter(|_| call.body["chat_template_kwargs"]["enable_thinking"] != false)),
    does("thinks_and_refuses", "thinks, and knows no switch for it", |call| {
        refuses(call, "chat_template_kwargs", "Unrecognized request argument supplied: chat_template_kwargs").or_else(|| thinks(call, "reasoning"))
    }),
    // The answer does not end as it should.
    does("finish_and_stay", "the connection stays open behind the end", |call| chat(call, || Reply::events(&call.finished()).then(ReplyEnd::Stay))),
    does("finish_and_comments", "comments keep the connection behind the end", |call| chat(call, || Reply::events(&call.finished()).then(ReplyEnd::Comments))),
    does("finish_and_reset", "the connection is reset behind the end", |call| chat(call, || Reply::events(&call.finished()).then(ReplyEnd::Reset))),
    does("cut", "the connection closes in the middle", |call| first(1, call, || Reply::events(&call.begun()))),
    does("cut_after_empty_finish", "the same, and each chunk has an empty reason", |call| first(1, call, || {
        let chunks: Vec<Value> = call.begun().into_iter().map(|mut chunk| { chunk["choices"][0]["finish_reason"] = json!(""); chunk }).collect();
        Reply::events(&chunks)
    })),
    does("cut_and_done", "the stream says in the middle that it is done, and not why", |call| first(1, call, || done(&call.begun()))),
    does("cut_in_a_record", "the connection closes within a record", |call| first(1, call, || Reply::events(&call.begun()).and("data: {\"choices\": [{\"delta\""))),
    does("unsaid_end", "nothing but the body's end says that the answer ended", |call| chat(call, || Reply::events(&call.unended()).chunked(true))),
    does("unsaid_end_of_length", "the same, and the body's length is said before", |call| chat(call, || {
        let body = Reply::events(&call.unended()).pieces.concat();
        Reply::whole(200, "text/event-stream", &String::from_utf8_lossy(&body))
    })),
    does("unsaid_reason", "the stream says that it is done and not why, and its body ends as it should", |call| chat(call, || done(&call.unended()).chunked(true))),
    does("torn", "the connection closes before the body's end is said, behind all of the answer", |call| first(1, call, || Reply::events(&call.unended()).chunked(false))),
    does("unsaid_end_in_answer", "the body ends as it should in the middle of the answer", |call| first(1, call, || Reply::events(&call.begun()).chunked(true))),
    does("unsaid_end_in_a_record", "the body ends as it should in the middle of a record", |call| first(1, call, || Reply::events(&call.unended()).and("data: {\"choices\": [{\"delta\"").chunked(true))),
    does("unsaid_end_of_nothing", "the body ends as it should, and nothing was said", |call| first(1, call, || Reply::events([]).chunked(true))),
    does("broken_record", "a record is no JSON", |call| first(1, call, || Reply::events(&call.begun()).and("data: {\"choices\": [{oops}]}\n\n"))),
    does("reset_in_answer", "the connection is reset in the middle", |call| first(1, call, || Reply::events(&call.begun()).then(ReplyEnd::Reset))),
    does("reset_at_once", "the connection is reset before anything is said", |call| first(1, call, || Reply { status: None, ..Reply::stream([]) }.then(ReplyEnd::Reset))),
    does("silent", "nothing comes", |call| first(1, call, || Reply::stream([]).then(ReplyEnd::Stay))),
    does("silent_in_answer", "nothing more comes in the middle", |call| first(1, call, || Reply::events(&call.begun()).then(ReplyEnd::Stay))),
    does("comments_for_ever", "only comments come", |call| first(1, call, || Reply::stream([]).then(ReplyEnd::Comments))),
    does("comments_in_answer", "only comments come from the middle on", |call| first(1, call, || Reply::events(&call.begun()).then(ReplyEnd::Comments))),
    does("content_filter", "a filter of contents ends the answer", |call| first(1, call, || { let mut chunks = call.begun(); chunks.push(ending("content_filter")); done(&chunks) })),
    does("finish_error", "the answer ends because of an error", |call| first(1, call, || { let mut chunks = call.begun(); chunks.push(ending("error")); done(&chunks) })),
    does("only_thoughts", "the answer is used up by thoughts", |call| chat(call, || {
        let mut chunks: Vec<Value> = (0..40).map(|nth| chunk(json!({"reasoning_content": format!("Step {nth} of it.\n")}))).collect();
        chunks.push(ending("length"));
        done(&chunks)
    })),
    does("answers_in_thoughts", "the answer stands in the thoughts, and nothing behind them", |call| chat(call, || {
        let answer = call.completion()["choices"][0]["message"]["content"].take();
        done(&[chunk(json!({"reasoning_content": answer})), ending("stop")])
    })),
    does("answers_in_a_call", "the answer is the argument of a tool call, in pieces", |call| chat(call, || {
        let arguments = json!({"path": "core.py", "content": call.text}).to_string();
        let (start, rest) = arguments.split_at(9);
        let piece = |name: Value, arguments: &str| chunk(json!({"content": null, "tool_calls": [{"index": 0, "function": {"name": name, "arguments": arguments}}]}));
        done(&[piece(json!("write_file"), ""), piece(Value::Null, start), piece(Value::Null, rest), ending("tool_calls")])
    })),
    does("answers_nothing", "the answer is empty", |call| chat(call, || done(&[chunk(json!({"role": "assistant", "content": ""})), ending("stop")]))),
    does("calls_for_ever", "the arguments of a tool call go on and on", |call| chat(call, || {
        let piece = |nth: u32| chunk(json!({"tool_calls": [{"index": 0, "function": {"arguments": format!("x_{nth} = {}\n", nth * 7)}}]}));
        Reply::events(&(0..RAMBLE).map(piece).collect::<Vec<_>>())
    })),
    does("ignores_max_tokens", "the answer goes on and on", |call| rambles(call, |nth| format!("x_{nth} = {}\n", nth * 7))),
    does("thinks_for_ever", "the thoughts go on and on", |call| chat(call, || {
        let chunks: Vec<Value> = (0..RAMBLE).map(|nth| chunk(json!({"reasoning": format!("Step {nth} of it.\n")}))).collect();
        Reply::events(&chunks)
    })),
    does("repeats", "the answer is one test, again and again", |call| rambles(call, |nth| {
        ["def test_add():\n", "    result = add(1, 2)\n", "    assert result == 3\n", "\n"][nth as usize % 4].to_owned()
    })),
    // A fault that passes.
    does("500_once", "fails once", |call| first(1, call, || Reply::fails(500, "boom"))),
    does("408_once", "gives up waiting once", |call| first(1, call, || Reply::fails(408, "late"))),
    does("429_once", "is busy, and says for how long in seconds", |call| first(1, call, || Reply::fails(429, "slow down").with("Retry-After", "0"))),
    does("429_for_long", "is busy, and says for a minute", |call| first(1, call, || Reply::fails(429, "slow down").with("Retry-After", "60"))),
    does("429_for_seconds", "is busy, and says for three seconds", |call| first(1, call, || Reply::fails(429, "slow down").with("Retry-After", "3"))),
    does("429_until", "is busy, and says until when", |call| first(1, call, || {
        Reply::fails(429, "slow down").with("Date", "Sun, 06 Nov 1994 08:49:37 GMT").with("Retry-After", "Sun, 06 Nov 1994 08:49:37 GMT")
    })),
    does("502_page", "a proxy says in HTML that the server is gone", |call| first(1, call, || Reply::whole(502, "text/html", "<html><head><title>502 Bad Gateway</title></head></html>"))),
    does("503_once", "is loading once", |call| first(1, call, || Reply::fails(503, "Loading model"))),
    does("504_once", "a proxy waits too long once", |call| first(1, call, || Reply::whole(504, "text/plain", ""))),
    does("520_once", "a proxy does not know what happened", |call| first(1, call, || Reply::whole(520, "text/plain", "error code: 520"))),
    does("524_once", "a proxy waits too long for the answer", |call| first(1, call, || Reply::whole(524, "text/plain", "error code: 524"))),
    does("529_once", "is overloaded", |call| first(1, call, || Reply::fails(529, "Overloaded"))),
    does("500_for_a_while", "fails for a while", |call| first(PATIENT, call, || Reply::fails(500, "CUDA error: out of memory"))),
    does("503_for_a_while", "loads its model for a while", |call| first(PATIENT, call, || Reply::fails(503, "Loading model"))),
    does("unloaded", "has unloaded the model, and calls that a bad request", |call| first(PATIENT, call, || Reply::fails(400, "Model was unloaded while the request was still in queue"))),
    does("error_429_in_stream", "a stream holds an error with a code", |call| breaks(call, "data: {\"error\": {\"code\": 429, \"message\": \"Provider returned error\", \"metadata\": {\"raw\": \"worker is full\"}}}\n\n")),
    does("error_in_stream", "a stream holds an error", |call| breaks(call, "data: {\"error\": {\"message\": \"CUDA error: out of memory\"}}\n\n")),
    does("error_text_in_stream", "a stream holds an error that is a text", |call| breaks(call, "data: {\"error\": \"the runner has stopped\"}\n\n")),
    does("error_field_in_stream", "a stream has a field called error", |call| breaks(call, "error: {\"code\": 500, \"message\": \"the slot is gone\", \"type\": \"server_error\"}\n\n")),
    does("error_event_in_stream", "a stream has an event called error", |call| breaks(call, "event: error\ndata: {\"message\": \"the worker died\"}\n\n")),
    does("error_object_in_stream", "a stream holds an object of the kind error", |call| breaks(call, "data: {\"object\": \"error\", \"message\": \"the engine is dead\", \"code\": 500}\n\n")),
    does("page", "a page of HTML comes in place of an answer", |call| first(1, call, || Reply::whole(200, "text/html", "<!DOCTYPE html>\n<html>\n<head><title>Sign in to Wi-Fi</title></head>\n</html>"))),
    does("words", "words come in place of an answer", |call| first(1, call, || Reply::whole(200, "text/plain", "upstream connect error"))),
    does("packed", "the answer is packed, which was not asked for", |call| first(1, call, || done(&call.chunks()).with("Content-Encoding", "gzip"))),
    // What does not pass.
    does("400_without_words", "refuses and does not say why", |call| chat(call, || Reply::whole(400, "application/json", ""))),
    does("400", "refuses for a reason that nobody can help", |call| chat(call, || Reply::fails(400, "the moon is full"))),
    does("401_once", "does not accept the key, until it does", |call| first(1, call, || Reply::fails(401, "Incorrect API key provided"))),
    does("402", "wants to be paid", |call| chat(call, || Reply::fails(402, "Insufficient credits"))),
    does("403", "does not allow it", |call| chat(call, || Reply::whole(403, "application/json", "{\"detail\": \"not on this plan\"}"))),
    does("404_model", "does not have the model after all", |call| chat(call, || Reply::fails(404, "The model `simulated` does not exist"))),
    does("422", "cannot process it", |call| chat(call, || Reply::whole(422, "application/json", "{\"detail\": [{\"loc\": [\"body\", \"messages\"], \"msg\": \"field required\"}]}"))),
    does("quota", "is busy for good: the account is empty", |call| chat(call, || Reply::whole(429, "application/json", "{\"error\": {\"code\": \"insufficient_quota\", \"message\": \"You exceeded your current quota\"}}"))),
    does("moved", "is elsewhere (301)", |call| chat(call, || Reply::fails(301, "moved").with("Location", "https://box.example/v1"))),
    does("moved_to_refusal", "requests are redirected (307) to where a key is wanted", |call| match call.route {
        Route::Chat => Some(Reply::fails(307, "moved").with("Location", "/moved/chat/completions")),
        Route::Moved => Some(Reply::fails(401, "a key is wanted")),
        Route::Models | Route::OllamaChat | Route::About(_) | Route::Other => None,
    }),
    does("moved_to_nobody", "the first requests are redirected (307) to where nobody listens", |call| {
        first(PATIENT, call, || Reply::fails(307, "moved").with("Location", "http://127.0.0.1:1/v1/chat/completions"))
    }),
    does("moved_to_itself", "requests are redirected (307) to where they were sent", |call| chat(call, || Reply::fails(307, "moved").with("Location", "/v1/chat/completions"))),
    does("moved_in_a_circle", "requests are redirected (308) to a place that redirects them back", |call| match call.route {
        Route::Chat => Some(Reply::fails(308, "moved").with("Location", "/moved/chat/completions")),
        Route::Moved => Some(Reply::fails(308, "moved").with("Location", "/v1/chat/completions")),
        Route::Models | Route::OllamaChat | Route::About(_) | Route::Other => None,
    }),
    does("moved_on_and_on", "requests are redirected (307) ever further", |call| match call.route {
        Route::Chat | Route::Moved => Some(Reply::fails(307, "moved").with("Location", &format!("/moved/chat/completions?{}", call.nth + u32::from(call.route == Route::Moved)))),
        Route::Models | Route::OllamaChat | Route::About(_) | Route::Other => None,
    }),
    // A parameter is refused.
    does("no_seed", "does not know seed", |call| refuses(call, "seed", "openai does not support parameters: ['seed']")),
    does("no_stream_options", "does not know stream_options", |call| refuses(call, "stream_options", "[{'type': 'extra_forbidden', 'loc': ('body', 'stream_options'), 'msg': 'Extra inputs are not permitted'}]")),
    does("no_max_tokens", "knows max_completion_tokens alone", |call| refuses(call, "max_tokens", "Unsupported parameter: 'max_tokens' is not supported with this model. Use 'max_completion_tokens' instead.")),
    does("no_limit", "knows neither", |call| refuses(call, "max_tokens", "max_tokens: Extra inputs are not permitted").or_else(|| refuses(call, "max_completion_tokens", "max_completion_tokens: Extra inputs are not permitted"))),
    does("no_temperature", "wants its own temperature", |call| refuses(call, "temperature", "Unsupported value: 'temperature' does not support 0.2 with this model. Only the default (1) value is supported.")),
    does("no_schema", "cannot hold an answer to a schema", |call| refuses(call, "response_format", "response_format type json_schema is not supported")),
    does("no_system", "has a template without a system prompt", |call| {
        let has = call.body["messages"][0]["role"] == "system";
        chat(call, || Reply::fails(500, "System role not supported")).filter(|_| has)
    }),
    does("no_stream", "does not stream", |call| chat(call, || Reply::fails(400, "Your organization must be verified to stream this model.")).filter(|_| call.body["stream"] == true)),
    does("no_parameters", "refuses one after the other", |call| {
        ["seed", "temperature", "stream_options", "response_format"].iter().find_map(|name| refuses(call, name, &format!("unknown field {name}")))
    }),
    // The prompt is too long.
    does("too_long", "has a smaller window than was believed, and says so", |call| chat(call, || {
        Reply::fails(400, "This model's maximum context length is 600 tokens. However, you requested 9000 tokens (8500 in the messages, 500 in the completion). Please reduce the length of the messages or completion.")
    })),
    does("small_window", "the same, and answers what fits", |call| chat(call, || {
        Reply::fails(400, &format!("Trying to keep the first {} tokens when context the overflows. However, the model is loaded with context length of only {SMALL_WINDOW} tokens, which is not enough.", call.prompt_tokens))
    }).filter(|_| call.prompt_tokens + call.body["max_tokens"].as_u64().unwrap_or(SMALL_WINDOW) > SMALL_WINDOW)),
    does("too_long_for_all", "the same, with a window that no request fits into", |call| chat(call, || Reply::fails(400, "This model's maximum context length is 100 tokens. Please reduce the length of the messages."))),
    does("too_long_without_figure", "the same, without the figure", |call| chat(call, || Reply::fails(400, "prompt is too long"))),
    does("too_long_413", "the same, as a status", |call| chat(call, || Reply::whole(413, "text/plain", "Payload Too Large"))),
    does("too_long_in_stream", "the same, inside a stream", |call| chat(call, || Reply::events([&json!({"error": {"code": 400, "message": "the request exceeds the available context size (600 tokens)"}})]))),
    // The list of models.
    does("no_models", "has no list of models", |call| models(call, || Reply::fails(404, "Not Found"))),
    does("models_refused", "does not allow to list models", |call| models(call, || Reply::whole(405, "text/plain", ""))),
    does("models_pattern", "lists a pattern", |call| models(call, || Reply::json(&json!({"data": [{"id": "sim*"}]})))),
    does("models_array", "lists models without an object around", |call| models(call, || Reply::json(&json!([{"id": "simulated"}])))),
    does("models_null", "lists null", |call| models(call, || Reply::json(&json!({"data": null})))),
    does("models_spelt", "spells the model otherwise", |call| models(call, || Reply::json(&json!({"data": [{"id": "Simulated"}]})))),
    does("models_other", "has another model", |call| models(call, || Reply::json(&json!({"data": [{"id": "another"}]})))),
    does("models_page", "shows a page of HTML once", |call| models(call, || Reply::whole(200, "text/html", "<!doctype html><title>Chat</title>")).filter(|_| call.nth == 1)),
    does("models_503_once", "loads while it is asked for its models", |call| models(call, || Reply::fails(503, "Loading model")).filter(|_| call.nth == 1)),
    // Ollama's own API.
    does("ollama_cut", "the connection closes in the middle", |call| ollama::but_at_first(call, |call| ollama::records(&call.ollama_begun()))),
    does("ollama_error_in_answer", "an error in the middle", |call| ollama::but_at_first(call, |call| {
        ollama::records(&call.ollama_begun()).and("{\"error\": \"llama runner process has terminated\"}\n")
    })),
    does("ollama_never_done", "all of the answer, and nothing says that it is done", |call| ollama::but_at_first(call, |call| {
        ollama::records(&call.ollama_unended()).chunked(true)
    })),
    does("ollama_500_once", "fails once", |call| ollama::but_at_first(call, |_| Reply::whole(500, "application/json", "{\"error\": \"boom\"}"))),
];
