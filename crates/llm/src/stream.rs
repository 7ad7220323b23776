//! Reads a streamed answer in any format: passes its text on, enforces timeouts and the token limit, detects
//! repetition, and distinguishes a complete answer from a broken one.

use std::time::Duration;

use async_trait::async_trait;
use futures_util::StreamExt;
use journeyman_event::{Tokens, TurnDetector};
use reqwest::Response;
use serde::de::IgnoredAny;
use serde_json::Value;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use crate::calls::Call;
use crate::estimate::Estimator;
use crate::repetition::RepetitionDetector;
use crate::secrets::Secrets;
use crate::sse::{Record, Records};
use crate::{Answer, Delta, Error, FinishReason, OnDelta, Request, Usage};
use crate::{error_reply, http};

/// The largest answer accepted.
const ANSWER_BYTES_MAX: usize = 8 << 20;
/// Tokens are estimated for stretches of this many bytes; estimates of shorter texts are inaccurate.
const STRETCH_BYTES: usize = 128;
/// How far an estimate must exceed the token limit, in per cent, before the limit counts as reached. Estimates
/// can be off by a third.
const OVER_PERCENT: u64 = 150;
/// How long to wait for what follows an answer: the usage and the end mark.
const TRAILER_TIMEOUT: Duration = Duration::from_secs(1);

/// The timeouts of an answer.
#[derive(Clone, Copy, Debug)]
pub(crate) struct StreamTimeouts {
    /// Until the first piece.
    pub(crate) first: Duration,
    /// Between two pieces.
    pub(crate) idle: Duration,
}

/// The answer so far, for when the call is stopped.
#[derive(Debug, Default)]
pub(crate) struct PartialAnswer {
    pub(crate) text: String,
    /// Whether the prompt was sent.
    pub(crate) was_asked: bool,
}

impl PartialAnswer {
    /// The error for a call that is stopped at this point.
    fn interrupted(self, estimator: &Estimator) -> Error {
        Error::Interrupted {
            tokens: estimator.estimate(&self.text),
            partial: self.text,
            was_asked: self.was_asked,
        }
    }
}

/// A client of one wire format that streams answers.
#[async_trait]
pub(crate) trait Streaming: Sync {
    /// Sends the request and reads the answer. `so_far` contains its text however this ends.
    async fn stream(
        &self,
        request: &Request,
        so_far: &mut PartialAnswer,
        on_delta: &mut OnDelta<'_>,
    ) -> Result<Answer, Error>;

    /// The estimator for token counts.
    fn estimator(&self) -> Estimator;

    /// The texts that errors must not contain.
    fn secrets(&self) -> &Secrets;
}

/// Requests an answer and waits until it is complete or cancelled.
pub(crate) async fn answer(
    client: &dyn Streaming,
    request: &Request,
    on_delta: &mut OnDelta<'_>,
    cancel: &CancellationToken,
) -> Result<Answer, Error> {
    let mut so_far = PartialAnswer::default();
    let stream = client.stream(request, &mut so_far, on_delta);
    let result = cancel.run_until_cancelled(stream).await;
    let result = result.unwrap_or_else(|| Err(so_far.interrupted(&client.estimator())));
    result.map_err(|error| client.secrets().hidden_in(error))
}

/// The contents of one record.
#[derive(Debug, Default)]
pub(crate) struct Piece {
    /// Text of the answer.
    pub(crate) text: String,
    /// Text of the model's thoughts.
    pub(crate) thought: String,
    /// Text of a refusal, if the server separates it.
    pub(crate) refusal: String,
    /// Fragments of tool calls.
    pub(crate) calls: Vec<Call>,
    /// Why the answer ended, if it did.
    pub(crate) finish: Option<FinishReason>,
    /// Whether `text` is the whole answer.
    pub(crate) is_whole: bool,
    /// Whether this is the last record.
    pub(crate) is_last: bool,
}

/// The result of reading an answer; the text itself was passed on.
#[derive(Debug)]
pub(crate) struct StreamedAnswer {
    pub(crate) finish: FinishReason,
    /// The repeated text, if the answer was stopped for repetition.
    pub(crate) repeated: Option<String>,
    /// The model's thoughts.
    pub(crate) thoughts: String,
    /// The time until the first piece, which may be a thought.
    pub(crate) first: Duration,
    pub(crate) total: Duration,
    /// Something a person should know about the server.
    pub(crate) remark: Option<String>,
}

impl StreamedAnswer {
    /// Builds the answer from this text; `waited` is the time that passed before reading started. If the model
    /// gave only thoughts, they become the text, marked as such; if they are incomplete, this is an error.
    pub(crate) fn into_answer(
        self,
        text: &mut String,
        usage: Usage,
        waited: Duration,
        served_model: Option<String>,
    ) -> Result<Answer, Error> {
        if text.trim().is_empty() && !self.thoughts.trim().is_empty() {
            if self.finish != FinishReason::Stop {
                let tokens = usage.prompt + usage.completion;
                return Err(Error::OnlyThoughts { tokens });
            }
            *text = format!("<think>\n{}\n</think>\n", self.thoughts.trim());
        }
        Ok(Answer {
            text: std::mem::take(text),
            finish: self.finish,
            repeated: self.repeated,
            usage,
            time_to_first_token_ms: http::ms(waited + self.first),
            total_ms: http::ms(waited + self.total),
            served_model,
            service_tier: None,
            remark: self.remark,
        })
    }
}

/// Parses the records of one wire format.
pub(crate) trait Reader: Send {
    /// Parses a record. An error contained in it is returned as an error.
    fn read(&mut self, record: &Value) -> Result<Piece, Error>;

    /// The error for a record that is marked as an error.
    fn failed(&mut self, record: &Value) -> Error;
}

/// The limits of an answer, taken from the request.
pub(crate) struct Bounds<'a> {
    pub(crate) url: &'a str,
    pub(crate) timeouts: StreamTimeouts,
    pub(crate) tokens_max: Tokens,
    pub(crate) estimator: Estimator,
    /// Whether every complete answer in this format is marked as complete. If not, an answer also counts as
    /// complete if HTTP marked the end of the body and nothing in the text is left open.
    pub(crate) always_says_end: bool,
}

/// Reads an answer. `so_far` contains its text, even if the future is dropped or fails. A refusal and tool
/// calls are appended to it, marked as such, when the answer has ended.
pub(crate) async fn read(
    response: Response,
    bounds: Bounds<'_>,
    reader: &mut dyn Reader,
    so_far: &mut String,
    on_delta: &mut OnDelta<'_>,
) -> Result<StreamedAnswer, Error> {
    let start = Instant::now();
    let Bounds {
        url,
        timeouts,
        tokens_max,
        estimator,
        always_says_end,
    } = bounds;
    let may_end_unsaid = !always_says_end && http::says_its_end(&response);
    let malformed = |problem: String| Error::Malformed {
        url: url.to_owned(),
        problem,
    };
    let mut bytes = response.bytes_stream();
    let mut records = Records::default();
    let mut meter = Meter::new(estimator, tokens_max);
    let (mut first, mut finish) = (None, None);
    let (mut thoughts, mut refusal) = (String::new(), String::new());
    let mut calls: Vec<Call> = Vec::new();
    let mut repetition = None;
    let mut growth = Growth::default();
    let mut doubled = Doubled::default();
    let mut unsaid_record = None;
    let (mut deadline, mut waits) = (start + timeouts.first, timeouts.first);
    let (mut ended, mut is_done, mut body_ended) = (false, false, false);
    while !ended {
        let next = tokio::time::timeout_at(deadline, bytes.next()).await;
        let got = match next {
            Ok(Some(Ok(piece))) => records.push(&piece).map_err(malformed)?,
            // What came is whole; only the usage may be missing.
            Ok(Some(Err(_))) | Err(_) if finish.is_some() => break,
            Ok(Some(Err(error))) => return Err(http::broken(url, &error)),
            Err(_) => return Err(http::timed_out(url, waits)),
            Ok(None) => {
                (ended, body_ended) = (true, true);
                records.end().map_err(malformed)?
            }
        };
        for record in got {
            let (piece, raw) = match record {
                Record::Chunk(value) => {
                    let raw = first.is_none().then(|| value.to_string());
                    (reader.read(&value)?, raw)
                }
                Record::Failed(value) => return Err(reader.failed(&value)),
                Record::Done => {
                    (ended, is_done) = (true, true);
                    break;
                }
            };
            ended |= piece.is_last;
            // Some say at the end again what they said in pieces.
            let repeated =
                piece.is_whole && !(so_far.is_empty() && calls.is_empty() && refusal.is_empty());
            let text = if repeated { "" } else { piece.text.as_str() };
            doubled.pass(text, &piece.thought);
            let grown_from = growth.passed(text).filter(|_| finish.is_none());
            let text = grown_from.map_or(text, |known| {
                so_far.truncate(0);
                so_far.push_str(&text[..known]);
                &text[known..]
            });
            let unseen = [&piece.thought, &piece.refusal];
            let is_unseen = unseen.iter().any(|said| !said.is_empty());
            let says_something = !text.is_empty() || is_unseen || !piece.calls.is_empty();
            if let Some(raw) = raw.filter(|_| !says_something) {
                unsaid_record = Some(error_reply::told(&raw));
            }
            if says_something {
                first.get_or_insert_with(|| start.elapsed());
                waits = timeouts.idle;
                if finish.is_none() {
                    deadline = Instant::now() + waits;
                }
            }
            if !text.is_empty() {
                so_far.push_str(text);
                on_delta(Delta { text });
            }
            thoughts.push_str(&piece.thought);
            let mut unspoken = piece.thought;
            if !repeated {
                unspoken.push_str(&piece.refusal);
                refusal.push_str(&piece.refusal);
            }
            for call in piece.calls.into_iter().filter(|_| !repeated) {
                unspoken.push_str(&call.arguments);
                call.add(&mut calls);
            }
            if let Some(reason) = piece.finish
                && finish.replace(reason).is_none()
            {
                deadline = Instant::now() + TRAILER_TIMEOUT.min(timeouts.idle);
            }
            let passed = meter.passed(text, &unspoken);
            if let Some((reason, what)) = passed.filter(|_| finish.is_none()) {
                repetition = what;
                // The connection is dropped, and the server stops.
                finish = Some(reason);
                ended = true;
                break;
            }
        }
        let called = calls.iter().map(|call| call.arguments.len()).sum();
        let longest = so_far.len().max(thoughts.len()).max(refusal.len());
        if longest.max(called) > ANSWER_BYTES_MAX {
            return Err(malformed("an endless answer".to_owned()));
        }
    }
    if doubled.is_certain() {
        return Err(malformed(EACH_PIECE_TWICE.to_owned()));
    }
    if let Some(whole) = growth.whole() {
        so_far.truncate(0);
        so_far.push_str(whole);
    }
    let is_closed = match calls.as_slice() {
        [] => is_closed(so_far) || !refusal.is_empty(),
        calls => calls.iter().all(Call::is_whole),
    };
    // An answer marked as done is complete, like one with a reason. Text that is not a record proves nothing.
    let is_said = is_done && (first.is_some() || records.stray().is_empty());
    let is_unsaid = may_end_unsaid && body_ended && is_closed;
    let is_whole = records.are_whole() && (is_said || is_unsaid);
    let says_nothing = so_far.trim().is_empty() && calls.is_empty();
    let unsaid = if is_closed || says_nothing {
        FinishReason::Stop
    } else {
        FinishReason::Unknown
    };
    let Some(finish) = finish.or(is_whole.then_some(unsaid)) else {
        return Err(match records.stray() {
            stray if first.is_none() && !stray.is_empty() => malformed(error_reply::told(stray)),
            _ if first.is_none() && body_ended && unsaid_record.is_some() => {
                let record = unsaid_record.unwrap_or_default();
                malformed(format!("an answer without text: {record}"))
            }
            _ => http::cut_short(url),
        });
    };
    let refusal = Some(refusal.trim()).filter(|words| !words.is_empty());
    let refusal = refusal.map(|words| format!("<refusal>\n{words}\n</refusal>\n"));
    let unsaid: String = refusal
        .into_iter()
        .chain(calls.iter().map(Call::text))
        .collect();
    let is_open = !so_far.is_empty() && !so_far.ends_with('\n');
    if is_open && !unsaid.is_empty() {
        so_far.push('\n');
    }
    so_far.push_str(&unsaid);
    Ok(StreamedAnswer {
        finish,
        repeated: repetition,
        thoughts,
        first: first.unwrap_or_else(|| start.elapsed()),
        total: start.elapsed(),
        remark: None,
    })
}

/// Whether there is text, and every code block and JSON value in it is closed.
fn is_closed(text: &str) -> bool {
    let (mut at, mut open) = (0, None);
    for line in text.split_inclusive('\n') {
        at += line.len();
        let bare = line.trim_start();
        if bare.starts_with("```") || bare.starts_with("~~~") {
            open = open.is_none().then_some(at);
        }
    }
    let last = open.map_or(text, |at| &text[at..]).trim();
    if open.is_some() || last.starts_with('{') {
        return serde_json::from_str::<IgnoredAny>(last).is_ok();
    }
    !last.is_empty()
}

/// Recognises a server that sends the whole text so far in each piece.
#[derive(Default)]
struct Growth {
    /// The last piece, as long as each one repeats the one before.
    last: String,
    pieces: usize,
    has_ended: bool,
}

impl Growth {
    /// The text, if each of several pieces repeats the one before.
    fn whole(&self) -> Option<&str> {
        /// Pieces that all repeat the one before by no chance.
        const PIECES_MIN: usize = 3;
        (self.pieces >= PIECES_MIN && !self.has_ended).then_some(&self.last)
    }

    /// After a piece, how much of it is known from the piece before; `None` if it is new as a whole.
    fn passed(&mut self, text: &str) -> Option<usize> {
        /// Bytes of a text that no model says again by chance, from its beginning and as one piece.
        const REPEATED_BYTES_MIN: usize = 32;
        if text.is_empty() || self.has_ended {
            return None;
        }
        if !text.starts_with(&self.last) {
            self.has_ended = true;
            return None;
        }
        self.pieces += 1;
        let known = self.last.len();
        self.last.clear();
        self.last.push_str(text);
        (known >= REPEATED_BYTES_MIN).then_some(known)
    }
}

/// What is told of a server that sends each piece twice. Its text is not put right: what was doubled by chance would be lost.
const EACH_PIECE_TWICE: &str = "each piece of the answer came twice, which garbles its text; this is a fault of the server, \
     or of something between it and here";

/// Recognises a server that sends each piece of an answer twice in a row.
struct Doubled {
    /// The first of two equal pieces.
    first: Option<String>,
    pairs: usize,
    /// Pairs that differ from the one before.
    changes: usize,
    last: String,
    is_possible: bool,
}

impl Default for Doubled {
    fn default() -> Self {
        Self {
            first: None,
            pairs: 0,
            changes: 0,
            last: String::new(),
            is_possible: true,
        }
    }
}

impl Doubled {
    fn pass(&mut self, text: &str, thought: &str) {
        let said = if text.is_empty() { thought } else { text };
        if said.is_empty() || !self.is_possible {
            return;
        }
        match self.first.take() {
            None => self.first = Some(said.to_owned()),
            Some(first) if first == said => {
                self.pairs += 1;
                self.changes += usize::from(self.last != first);
                self.last = first;
            }
            Some(_) => self.is_possible = false,
        }
    }

    /// Whether every piece came twice, and there were enough of them that no model said so by chance.
    fn is_certain(&self) -> bool {
        const PAIRS_MIN: usize = 4;
        const CHANGES_MIN: usize = 3;
        self.is_possible
            && self.first.is_none()
            && self.pairs >= PAIRS_MIN
            && self.changes >= CHANGES_MIN
    }
}

/// Counts tokens and watches for repetition while an answer arrives.
struct Meter {
    estimator: Estimator,
    tokens_max: u64,
    tokens: u64,
    /// Text that was not counted yet.
    stretch: String,
    answer: RepetitionDetector,
    thoughts: RepetitionDetector,
    turn: TurnDetector,
}

impl Meter {
    fn new(estimator: Estimator, tokens_max: Tokens) -> Self {
        Self {
            estimator,
            tokens_max: tokens_max.0.saturating_mul(OVER_PERCENT) / 100,
            tokens: 0,
            stretch: String::new(),
            answer: RepetitionDetector::default(),
            thoughts: RepetitionDetector::default(),
            turn: TurnDetector::default(),
        }
    }

    /// Why the answer must end after this piece, if it must, and the repeated text if there is one.
    fn passed(&mut self, text: &str, thought: &str) -> Option<(FinishReason, Option<String>)> {
        for piece in [text, thought] {
            self.stretch.push_str(piece);
        }
        if self.stretch.len() >= STRETCH_BYTES {
            self.tokens += self.estimator.estimate(&self.stretch).0;
            self.stretch.clear();
        }
        if self.tokens > self.tokens_max {
            return Some((FinishReason::Length, None));
        }
        if self.turn.ended(text) {
            return Some((FinishReason::Stop, None));
        }
        let repeated = self.answer.repeats(text);
        let repeated = repeated.or_else(|| self.thoughts.repeats(thought))?;
        Some((FinishReason::Repetition, Some(repeated)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pieces_that_all_come_twice_are_told_from_what_a_model_repeats() {
        let is_doubled = |pieces: &[&str]| {
            let mut doubled = Doubled::default();
            for piece in pieces {
                doubled.pass(piece, "");
            }
            doubled.is_certain()
        };
        let twice = ["def", "def", " f", " f", "(x)", "(x)", ":", ":"];
        assert!(is_doubled(&twice));
        // A piece that came once, too few, and one that is said again and again.
        assert!(!is_doubled(&[&twice[..], &["\n"]].concat()));
        assert!(!is_doubled(&twice[..6]));
        assert!(!is_doubled(&["ha"; 40]));
        assert!(!is_doubled(&[
            "x", "x", "y", "z", "x", "x", "y", "y", "z", "z"
        ]));
    }

    #[test]
    fn what_is_open_in_a_text_is_told_by_its_syntax() {
        for whole in [
            "Yes.",
            "```python\nx = 1\n```",
            "```python\nx = 1\n```\nDone.",
            "{\"a\": 1}\n",
            "```json\n{\"a\": 1}\n",
        ] {
            assert!(is_closed(whole), "{whole}");
        }
        for open in [
            "",
            " \n",
            "```python\nx = 1\n",
            "```",
            "{\"a\": ",
            "A:\n~~~\n{\"a\"",
        ] {
            assert!(!is_closed(open), "{open}");
        }
    }
}
