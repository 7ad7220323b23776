//! The stored line: its members, how it is written and how it is parsed.
//!
//! The parser is written by hand instead of using `serde`. It accepts only the exact bytes that the writer would
//! produce, so no part of a line is ignored and every change to a line is noticed; and it is fast, because folding
//! or verifying a large store parses millions of lines.

use std::borrow::Cow;

use jiff::Timestamp;
use serde::de::IgnoredAny;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use crate::clock::{ProcessId, VectorClock};
use crate::content::ContentHash;
use crate::event::{InvalidEvent, Origin};
use crate::ids::{EventId, ModuleName, Owner, Revision, Sequence, TaskId};

/// The version of the line format.
pub const SCHEMA: u32 = 1;

const HASH_KEY: &str = ",\"hash\":\"";
/// The first bytes of the mark that replaces an erased payload.
const ERASED_KEY: &str = "{\"erased\":\"";
/// The length in bytes of the suffix of a line that contains its hash.
pub const HASH_SUFFIX_LEN: usize = HASH_KEY.len() + "b3:".len() + 64 + "\"}".len();
/// The format of a stored time; `d` stands for a digit.
const TIME_FORM: &[u8] = b"dddd-dd-ddTdd:dd:dd.ddddddZ";

/// A line to be written. The fields are in the order of the JSON keys.
#[derive(Serialize)]
pub(crate) struct Line<'a> {
    pub(crate) schema: u32,
    pub(crate) sequence: Sequence,
    pub(crate) revision: Revision,
    pub(crate) id: EventId,
    pub(crate) task_id: Cow<'a, TaskId>,
    pub(crate) owner: Cow<'a, Owner>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) module: Option<Cow<'a, ModuleName>>,
    pub(crate) kind: Cow<'a, str>,
    pub(crate) occurred_at: Cow<'a, str>,
    pub(crate) actor: Cow<'a, str>,
    pub(crate) clock: Cow<'a, VectorClock>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) causation_id: Option<EventId>,
    pub(crate) code_version: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) code_hash: Option<ContentHash>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) origin: Option<Cow<'a, Origin>>,
    pub(crate) data: &'a RawValue,
    /// The hash; `None` until it is computed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) hash: Option<ContentHash>,
}

/// Formats a time as stored: UTC with microseconds.
pub(crate) fn stored_time(at: Timestamp) -> String {
    format!("{at:.6}")
}

impl Line<'_> {
    /// Serialises a line that has no hash yet, computes its hash from it and `previous`, and appends it.
    /// Returns the finished line and the hash.
    pub(crate) fn close(
        &self,
        previous: ContentHash,
    ) -> Result<(String, ContentHash), serde_json::Error> {
        let mut text = serde_json::to_string(self)?;
        text.truncate(text.len() - 1); // the closing brace
        let hash = link(previous, &text);
        text.reserve_exact(HASH_SUFFIX_LEN);
        text.push_str(HASH_KEY);
        text.push_str(&hash.to_string());
        text.push_str("\"}");
        Ok((text, hash))
    }
}

impl<'a> StoredLine<'a> {
    /// Parses a stored line but not its payload. The hash chain is not checked here.
    pub fn read(line: &'a str) -> Result<Self, InvalidEvent> {
        let read = Self::read_around_data(line)?;
        check_json(read.data)?;
        Ok(read)
    }

    /// Like [`StoredLine::read`], but does not check that `data` is valid JSON. For callers that parse the data
    /// themselves.
    pub(crate) fn read_around_data(line: &'a str) -> Result<Self, InvalidEvent> {
        let (open, hash) = split_open(line)
            .ok_or_else(|| InvalidEvent::new("hash", "the line does not end in a hash"))?;
        let mut cursor = Cursor { rest: open };
        cursor.expect("schema", "{\"schema\":")?;
        let schema = cursor.number("schema")?;
        if schema != u64::from(SCHEMA) {
            let problem = format_args!("{schema} is not known, only {SCHEMA}");
            return Err(InvalidEvent::new("schema", problem));
        }
        cursor.expect("sequence", ",\"sequence\":")?;
        let sequence = Sequence(cursor.number("sequence")?);
        cursor.expect("revision", ",\"revision\":")?;
        let revision = Revision(cursor.number("revision")?);
        cursor.expect("id", ",\"id\":")?;
        let id = cursor.id("id")?;
        cursor.expect("task_id", ",\"task_id\":")?;
        let task_id = cursor.name("task_id", TaskId::new)?;
        cursor.expect("owner", ",\"owner\":")?;
        let owner = cursor.name("owner", Owner::new)?;
        let module = cursor.optional(",\"module\":", |cursor| {
            cursor.name("module", ModuleName::new)
        })?;
        cursor.expect("kind", ",\"kind\":")?;
        let kind = cursor.text("kind")?;
        cursor.expect("occurred_at", ",\"occurred_at\":")?;
        let occurred_at = cursor.time("occurred_at")?;
        cursor.expect("actor", ",\"actor\":")?;
        let actor = cursor.text("actor")?;
        cursor.expect("clock", ",\"clock\":")?;
        let clock = cursor.clock("clock")?;
        let causation_id =
            cursor.optional(",\"causation_id\":", |cursor| cursor.id("causation_id"))?;
        cursor.expect("code_version", ",\"code_version\":")?;
        let code_version = cursor.number("code_version")?;
        let code_hash = cursor.optional(",\"code_hash\":", |cursor| cursor.hash("code_hash"))?;
        let origin = cursor.optional(",\"origin\":", |cursor| cursor.origin("origin"))?;
        cursor.expect("data", ",\"data\":")?;
        let data = cursor.rest;
        check_actor(&actor)?;
        check_spaces(data)?;
        Ok(Self {
            open,
            sequence,
            revision,
            id,
            task_id,
            owner,
            module,
            kind,
            occurred_at,
            actor,
            clock,
            causation_id,
            code_version,
            code_hash,
            origin,
            data,
            hash,
        })
    }

    /// The hash of the payload, if the line contains only a reference to it.
    pub fn blob(&self) -> Option<ContentHash> {
        referred(self.data)
    }

    /// The id of the event that recorded the erasure of this line's payload. `None` if the payload was not erased.
    pub fn erased(&self) -> Option<EventId> {
        erased_by(self.data)
    }

    /// Whether this line's hash is correct, given the hash of the preceding line. If it is, the line was not
    /// changed since it was stored. It is never correct for an erased line, which keeps its original hash.
    pub fn follows(&self, previous: ContentHash) -> bool {
        link(previous, self.open) == self.hash
    }
}

/// A parsed line: the fields of an [`Event`](crate::Event), with the payload left as text.
pub struct StoredLine<'a> {
    /// The line without its hash suffix.
    open: &'a str,
    /// The position in the store.
    pub sequence: Sequence,
    /// The position in the stream.
    pub revision: Revision,
    /// The event's unique id.
    pub id: EventId,
    /// The task the event belongs to.
    pub task_id: TaskId,
    /// The owner of that task.
    pub owner: Owner,
    /// The module the event is about, if it is about one.
    pub module: Option<ModuleName>,
    /// The name of the payload's kind.
    pub kind: Cow<'a, str>,
    /// When the event happened, by its author's clock.
    pub occurred_at: Timestamp,
    /// The role or user that caused the event.
    pub actor: Cow<'a, str>,
    /// The author's vector clock.
    pub clock: VectorClock,
    /// The event that caused this one.
    pub causation_id: Option<EventId>,
    /// The version of the module's code at the time.
    pub code_version: u64,
    /// The hash of that code.
    pub code_hash: Option<ContentHash>,
    /// Where the event was first stored, if it was imported or copied.
    pub origin: Option<Origin>,
    /// The payload as JSON text, or the reference to its blob.
    pub data: &'a str,
    /// The event's hash in the chain.
    pub hash: ContentHash,
}

/// Checks that `data` is exactly one JSON value with no white space around it.
pub(crate) fn check_json(data: &str) -> Result<(), InvalidEvent> {
    serde_json::from_str::<IgnoredAny>(data)
        .map(|_| ())
        .map_err(|error| InvalidEvent::new("data", error))
}

/// Rejects white space where the writer produces none: line breaks anywhere, and spaces around `data`.
fn check_spaces(data: &str) -> Result<(), InvalidEvent> {
    let space = |byte: Option<&u8>| byte.is_none_or(u8::is_ascii_whitespace);
    let bytes = data.as_bytes();
    if space(bytes.first()) || space(bytes.last()) || data.contains('\n') || data.contains('\r') {
        let problem = "white space stands around it, or a line end in it";
        return Err(InvalidEvent::new("data", problem));
    }
    Ok(())
}

pub(crate) fn check_actor(actor: &str) -> Result<(), InvalidEvent> {
    if actor.is_empty() || actor.len() > 200 {
        return Err(InvalidEvent::new("actor", "1 to 200 bytes are needed"));
    }
    Ok(())
}

/// The hash of the blob, if `data` is a blob reference and nothing else.
pub(crate) fn referred(data: &str) -> Option<ContentHash> {
    #[derive(Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Reference {
        blob: ContentHash,
        #[serde(rename = "bytes")]
        _bytes: u64,
    }
    if !data.starts_with("{\"blob\":\"b3:") {
        return None;
    }
    serde_json::from_str::<Reference>(data)
        .ok()
        .map(|reference| reference.blob)
}

/// The id of the event that erased a payload, if the payload's JSON text is the mark of an erasure.
pub(crate) fn erased_by(data: &str) -> Option<EventId> {
    let id = data.strip_prefix(ERASED_KEY)?.strip_suffix("\"}")?;
    let is_plain = id.len() == 36 && !id.bytes().any(|b| b.is_ascii_uppercase());
    is_plain.then(|| id.parse().ok()).flatten()
}

/// The JSON text that replaces a payload that the event `by` erased.
pub(crate) fn erasure_mark(by: EventId) -> String {
    format!("{ERASED_KEY}{by}\"}}")
}

/// A stored line after the event `by` erased its payload: the same bytes except for `data`, which becomes a mark
/// that names that event. The line keeps its original hash, so the hash no longer matches the line itself, but the
/// following events still chain to it.
pub fn erase_line(line: &str, by: EventId) -> Result<String, InvalidEvent> {
    let read = StoredLine::read_around_data(line)?;
    let envelope = read.open.len() - read.data.len();
    let (envelope, hash) = (&line[..envelope], &line[read.open.len()..]);
    Ok(format!("{envelope}{}{hash}", erasure_mark(by)))
}

/// Adds one line to the digest over the lines of an erased stream: BLAKE3 over the previous digest (32 zero bytes
/// at first), followed by the line in its erased form.
pub fn erasure_digest(so_far: ContentHash, erased_line: &str) -> ContentHash {
    let mut hasher = blake3::Hasher::new();
    hasher.update(so_far.as_bytes());
    hasher.update(erased_line.as_bytes());
    ContentHash::from_bytes(*hasher.finalize().as_bytes())
}

/// The chain hash of a line: BLAKE3 over the 32 bytes of the previous hash, followed by `body`, which is the
/// line's JSON object without its `hash` member.
pub fn chain_hash(previous: ContentHash, body: &str) -> ContentHash {
    link(previous, body.strip_suffix('}').unwrap_or(body))
}

/// The same for `open`, a body without its closing brace.
fn link(previous: ContentHash, open: &str) -> ContentHash {
    let mut hasher = blake3::Hasher::new();
    hasher.update(previous.as_bytes());
    hasher.update(open.as_bytes());
    hasher.update(b"}");
    ContentHash::from_bytes(*hasher.finalize().as_bytes())
}

/// Splits a stored line into its body (a complete JSON object) and its hash. `None` if the line does not end in
/// a hash.
pub fn split_hash(line: &str) -> Option<(String, ContentHash)> {
    let (open, hash) = split_open(line)?;
    Some((format!("{open}}}"), hash))
}

/// The hash in a stored line. `line` may be a whole line or only its end. `None` if it does not end in a hash.
pub fn line_hash(line: &str) -> Option<ContentHash> {
    split_open(line).map(|(_, hash)| hash)
}

fn split_open(line: &str) -> Option<(&str, ContentHash)> {
    let (open, suffix) = line.split_at_checked(line.len().checked_sub(HASH_SUFFIX_LEN)?)?;
    let hash = suffix
        .strip_prefix(HASH_KEY)?
        .strip_suffix("\"}")?
        .parse()
        .ok()?;
    Some((open, hash))
}

/// A line without its hash suffix.
fn open_of(line: &str) -> &str {
    line.get(..line.len().saturating_sub(HASH_SUFFIX_LEN))
        .unwrap_or_default()
}

/// The byte range of `data` in a line, given its length.
pub(crate) fn data_in(line: &str, data_len: usize) -> &str {
    let open = open_of(line);
    open.get(open.len().saturating_sub(data_len)..)
        .unwrap_or_default()
}

/// Whether the hash of this line is correct, given the hash `previous` of the preceding line.
pub(crate) fn follows(line: &str, hash: ContentHash, previous: ContentHash) -> bool {
    link(previous, open_of(line)) == hash
}

/// The rest of a line that is still to be parsed.
struct Cursor<'a> {
    rest: &'a str,
}

impl<'a> Cursor<'a> {
    /// If `text` comes next, skips it and returns true.
    fn has(&mut self, text: &str) -> bool {
        let rest = self.rest.strip_prefix(text);
        self.rest = rest.unwrap_or(self.rest);
        rest.is_some()
    }

    fn expect(&mut self, field: &'static str, text: &str) -> Result<(), InvalidEvent> {
        if self.has(text) {
            return Ok(());
        }
        let found: String = self.rest.chars().take(40).collect();
        let problem = format_args!(
            "{text:?} is expected and {found:?} stands there: a member is missing, unknown, out of \
             order or spelt differently"
        );
        Err(InvalidEvent::new(field, problem))
    }

    fn optional<T>(
        &mut self,
        key: &str,
        read: impl FnOnce(&mut Self) -> Result<T, InvalidEvent>,
    ) -> Result<Option<T>, InvalidEvent> {
        if self.has(key) {
            read(self).map(Some)
        } else {
            Ok(None)
        }
    }

    /// Parses an unsigned integer without leading zeros.
    fn number(&mut self, field: &'static str) -> Result<u64, InvalidEvent> {
        let end = self.rest.bytes().position(|b| !b.is_ascii_digit());
        let (digits, rest) = self.rest.split_at(end.unwrap_or(self.rest.len()));
        self.rest = rest;
        let leading_zero = digits.len() > 1 && digits.starts_with('0');
        let number = digits.parse().ok().filter(|_| !leading_zero);
        number.ok_or_else(|| {
            InvalidEvent::new(field, "a whole number is needed, of 64 bits at the most")
        })
    }

    fn text(&mut self, field: &'static str) -> Result<Cow<'a, str>, InvalidEvent> {
        self.expect(field, "\"")?;
        let end = self
            .rest
            .bytes()
            .position(|b| b == b'"' || b == b'\\' || b < b' ');
        if let Some(end) = end
            && self.rest.as_bytes()[end] == b'"'
        {
            let text = &self.rest[..end];
            self.rest = &self.rest[end + 1..];
            return Ok(Cow::Borrowed(text));
        }
        self.escaped(field)
    }

    /// Parses a string with escapes, after its opening quote. `serde_json` decodes the escapes.
    fn escaped(&mut self, field: &'static str) -> Result<Cow<'a, str>, InvalidEvent> {
        let wrong = || InvalidEvent::new(field, "it is no text as this program writes it");
        let mut is_escaped = false;
        let end = self.rest.bytes().position(|b| {
            let ends = b == b'"' && !is_escaped;
            is_escaped = b == b'\\' && !is_escaped;
            ends
        });
        let (spelt, rest) = self.rest.split_at(end.ok_or_else(wrong)? + 1);
        self.rest = rest;
        let spelt = format!("\"{spelt}");
        let text: String = serde_json::from_str(&spelt).map_err(|_| wrong())?;
        match serde_json::to_string(&text) {
            Ok(again) if again == spelt => Ok(Cow::Owned(text)),
            _ => Err(wrong()),
        }
    }

    fn name<T, E: std::fmt::Display>(
        &mut self,
        field: &'static str,
        new: impl Fn(&'a str) -> Result<T, E>,
    ) -> Result<T, InvalidEvent> {
        match self.text(field)? {
            Cow::Borrowed(text) => new(text).map_err(|error| InvalidEvent::new(field, error)),
            Cow::Owned(_) => Err(InvalidEvent::new(field, "a name has no escapes")),
        }
    }

    fn id(&mut self, field: &'static str) -> Result<EventId, InvalidEvent> {
        self.name(field, |text| {
            // Of the spellings of a UUID this length has only the one with hyphens.
            let plain = text.len() == 36 && !text.bytes().any(|b| b.is_ascii_uppercase());
            plain
                .then(|| text.parse().ok())
                .flatten()
                .ok_or("a UUID is needed")
        })
    }

    fn hash(&mut self, field: &'static str) -> Result<ContentHash, InvalidEvent> {
        self.name(field, str::parse::<ContentHash>)
    }

    fn time(&mut self, field: &'static str) -> Result<Timestamp, InvalidEvent> {
        self.name(field, |text| {
            let fits = |(byte, form): (u8, &u8)| match form {
                b'd' => byte.is_ascii_digit(),
                form => byte == *form,
            };
            let has_form = text.len() == TIME_FORM.len() && text.bytes().zip(TIME_FORM).all(fits);
            // A leap second is read as the one before it.
            let plain = has_form && &text[17..19] != "60";
            let time = plain.then(|| text.parse().ok()).flatten();
            time.ok_or("a time such as 2026-11-21T09:30:00.000000Z is needed")
        })
    }

    fn clock(&mut self, field: &'static str) -> Result<VectorClock, InvalidEvent> {
        self.expect(field, "{")?;
        let mut entries: Vec<(ProcessId, u64)> = Vec::new();
        while !self.has("}") {
            if !entries.is_empty() {
                self.expect(field, ",")?;
            }
            let process = ProcessId::from_stored(self.text(field)?);
            self.expect(field, ":")?;
            if entries.last().is_some_and(|(last, _)| *last >= process) {
                return Err(InvalidEvent::new(field, "its processes are not in order"));
            }
            entries.push((process, self.number(field)?));
        }
        Ok(entries.into_iter().collect())
    }

    fn origin(&mut self, field: &'static str) -> Result<Origin, InvalidEvent> {
        self.expect(field, "{\"store\":")?;
        let store = self.text(field)?.into_owned();
        self.expect(field, ",\"sequence\":")?;
        let sequence = Sequence(self.number(field)?);
        self.expect(field, ",\"hash\":")?;
        let hash = self.hash(field)?;
        self.expect(field, "}")?;
        Ok(Origin {
            store,
            sequence,
            hash,
        })
    }
}
