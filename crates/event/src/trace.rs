//! W3C Trace Context: the trace that a task belongs to, as `traceparent` and `tracestate` carry it
//! (<https://www.w3.org/TR/trace-context/>).

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize, Serializer};

use crate::ids::{EventId, Owner, TaskId};

/// The most characters kept of a `tracestate`; the recommendation asks for at least 512. Members that do not fit are left
/// out, from the end.
const STATE_CHARS_MAX: usize = 512;
/// The most members of a `tracestate`.
const STATE_MEMBERS_MAX: usize = 32;
/// The characters of a `traceparent` of version 00.
const PARENT_CHARS: usize = 55;
/// The flag of a trace whose spans are recorded by its caller.
const SAMPLED: u8 = 1;

macro_rules! hex_ids {
    ($($(#[doc = $what:literal])+ $name:ident: $bytes:literal,)*) => {$(
        $(#[doc = $what])+
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name([u8; $bytes]);

        impl $name {
            /// The id as raw bytes.
            pub const fn as_bytes(&self) -> &[u8; $bytes] {
                &self.0
            }

            /// Reads lowercase hexadecimal digits. `None` for other texts, and for zero, which is no id.
            fn read(text: &str) -> Option<Self> {
                let mut bytes = [0; $bytes];
                if text.len() != 2 * $bytes {
                    return None;
                }
                for (at, byte) in bytes.iter_mut().enumerate() {
                    *byte = hex_byte(text.get(2 * at..2 * at + 2)?)?;
                }
                (bytes != [0; $bytes]).then_some(Self(bytes))
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
            }
        }

        impl Serialize for $name {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.collect_str(self)
            }
        }
    )*};
}

hex_ids! {
    /// The id of a trace: 16 bytes, written as 32 hexadecimal digits.
    TraceId: 16,
    /// The id of a span within a trace: 8 bytes, written as 16 hexadecimal digits.
    SpanId: 8,
}

fn hex_byte(text: &str) -> Option<u8> {
    let is_digit = |byte: u8| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte);
    text.bytes()
        .all(is_digit)
        .then(|| u8::from_str_radix(text, 16).ok())?
}

impl TraceId {
    /// The id of the trace of a task whose client named none. It is the same in every process, and another one for a task
    /// of the same id in another store.
    pub fn of_task(store: &str, owner: &Owner, task: &TaskId) -> Self {
        let hash = blake3::hash(format!("trace\0{store}\0{owner}\0{task}").as_bytes());
        let mut bytes = [0; 16];
        bytes.copy_from_slice(&hash.as_bytes()[..16]);
        Self(bytes)
    }
}

impl SpanId {
    /// The id of the span that an event begins: the second half of the event's id, which is random and never zero.
    pub fn of_event(event: EventId) -> Self {
        let mut bytes = [0; 8];
        bytes.copy_from_slice(&event.as_bytes()[8..]);
        Self(bytes)
    }
}

/// The header `traceparent`: a trace, and the span in it that causes what the header comes with. It is read in every
/// version from 00 to fe, and written as version 00.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(try_from = "String")]
pub struct TraceParent {
    /// The trace that the caller belongs to.
    pub trace_id: TraceId,
    /// The span of the caller.
    pub span_id: SpanId,
    /// Whether the caller records its spans.
    pub is_sampled: bool,
}

/// A text is no `traceparent`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a traceparent has the form 00-(32 hexadecimal digits)-(16 of them)-(2 of them)")]
pub struct InvalidTraceParent;

impl FromStr for TraceParent {
    type Err = InvalidTraceParent;

    fn from_str(text: &str) -> Result<Self, InvalidTraceParent> {
        let read = || {
            let (known, rest) = (text.get(..PARENT_CHARS)?, text.get(PARENT_CHARS..)?);
            let mut parts = known.split('-');
            let version = hex_byte(parts.next().filter(|part| part.len() == 2)?)?;
            // A later version may have more members.
            let may_follow = version > 0 && rest.starts_with('-');
            if version == 0xff || !(rest.is_empty() || may_follow) {
                return None;
            }
            let trace_id = TraceId::read(parts.next()?)?;
            let span_id = SpanId::read(parts.next()?)?;
            let flags = hex_byte(parts.next()?)?;
            parts.next().is_none().then_some(Self {
                trace_id,
                span_id,
                is_sampled: flags & SAMPLED != 0,
            })
        };
        read().ok_or(InvalidTraceParent)
    }
}

impl TryFrom<String> for TraceParent {
    type Error = InvalidTraceParent;

    fn try_from(text: String) -> Result<Self, InvalidTraceParent> {
        text.parse()
    }
}

impl fmt::Display for TraceParent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            trace_id,
            span_id,
            is_sampled,
        } = self;
        write!(f, "00-{trace_id}-{span_id}-{:02x}", u8::from(*is_sampled))
    }
}

impl Serialize for TraceParent {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

/// The trace context that a client sent with a task.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TraceContext {
    /// The trace and the client's span.
    pub traceparent: TraceParent,
    /// What systems on the way added, as it is passed on.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tracestate: Option<String>,
}

impl TraceContext {
    /// Reads the values of the two headers. `None` without exactly one valid `traceparent`: the context is then ignored, as
    /// the recommendation asks for. An invalid `tracestate` alone is left out.
    pub fn read<'a>(
        parents: impl IntoIterator<Item = &'a str>,
        states: impl IntoIterator<Item = &'a str>,
    ) -> Option<Self> {
        let mut parents = parents.into_iter();
        let traceparent = parents.next()?.trim().parse().ok()?;
        if parents.next().is_some() {
            return None;
        }
        let states: Vec<&str> = states.into_iter().collect();
        Some(Self {
            traceparent,
            tracestate: state(&states.join(",")),
        })
    }

    /// The headers that pass it on, with their values.
    pub fn headers(&self) -> impl Iterator<Item = (&'static str, String)> {
        let state = self.tracestate.clone();
        let state = state.map(|state| ("tracestate", state));
        [("traceparent", self.traceparent.to_string())]
            .into_iter()
            .chain(state)
    }
}

/// A valid `tracestate`, without what exceeds the bounds.
fn state(text: &str) -> Option<String> {
    let members = text.split(',').map(str::trim);
    let members: Vec<&str> = members.filter(|member| !member.is_empty()).collect();
    let mut keys: Vec<&str> = Vec::new();
    for member in &members {
        let (key, value) = member.split_once('=')?;
        if !is_key(key) || !is_value(value) || keys.contains(&key) {
            return None;
        }
        keys.push(key);
    }
    if members.len() > STATE_MEMBERS_MAX {
        return None;
    }
    let mut kept = String::new();
    for member in members {
        if kept.len() + 1 + member.len() > STATE_CHARS_MAX {
            break;
        }
        if !kept.is_empty() {
            kept.push(',');
        }
        kept.push_str(member);
    }
    (!kept.is_empty()).then_some(kept)
}

fn is_key(key: &str) -> bool {
    let is_part = |part: &str, max: usize| {
        let is_rest = |byte: u8| {
            byte.is_ascii_lowercase() || byte.is_ascii_digit() || b"_-*/".contains(&byte)
        };
        let first = part.bytes().next();
        first.is_some_and(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit())
            && part.bytes().all(is_rest)
            && part.len() <= max
    };
    match key.split_once('@') {
        Some((tenant, system)) => is_part(tenant, 241) && is_part(system, 14),
        None => is_part(key, 256),
    }
}

fn is_value(value: &str) -> bool {
    let is_char = |byte: u8| (0x20..=0x7e).contains(&byte) && !b",=".contains(&byte);
    (1..=256).contains(&value.len()) && value.bytes().all(is_char)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::{Principal, SeededRandom, SteppedTime};

    const VALID: &str = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";

    #[test]
    fn a_traceparent_is_read_and_written_as_the_recommendation_says() {
        let parent: TraceParent = VALID.parse().unwrap();
        assert_eq!(
            parent.trace_id.to_string(),
            "4bf92f3577b34da6a3ce929d0e0e4736"
        );
        assert_eq!(parent.span_id.to_string(), "00f067aa0ba902b7");
        assert!(parent.is_sampled);
        assert_eq!(parent.to_string(), VALID);
        for (text, is_valid) in [
            (VALID.replace("-01", "-00"), true),
            (VALID.replace("-01", "-03"), true),
            (VALID.replacen("00", "cc", 1), true),
            (VALID.replacen("00", "cc", 1) + "-more", true),
            (VALID.replacen("00", "cc", 1) + "more", false),
            (VALID.to_owned() + "-more", false),
            (VALID.replacen("00", "ff", 1), false),
            (VALID.to_uppercase(), false),
            (
                VALID.replace("4bf92f3577b34da6a3ce929d0e0e4736", &"0".repeat(32)),
                false,
            ),
            (VALID.replace("00f067aa0ba902b7", &"0".repeat(16)), false),
            (VALID.replace("4bf9", "4bg9"), false),
            (VALID.replace("4bf9", "+bf9"), false),
            (VALID[..54].to_owned(), false),
            (VALID.replace("4bf9", "4bé"), false),
            (String::new(), false),
        ] {
            assert_eq!(text.parse::<TraceParent>().is_ok(), is_valid, "{text}");
        }
    }

    #[test]
    fn a_context_without_one_valid_parent_is_ignored_and_a_bad_state_alone_is_left_out() {
        let read = |parents: &[&str], states: &[&str]| {
            TraceContext::read(parents.iter().copied(), states.iter().copied())
        };
        assert_eq!(read(&[], &["a=1"]), None);
        assert_eq!(read(&[VALID, VALID], &[]), None);
        assert_eq!(read(&["00-zz"], &["a=1"]), None);
        let long = format!("a=1,b={}", "x".repeat(256));
        let longer = format!("{long},c={},d=2", "y".repeat(256));
        let many: Vec<String> = (0..33).map(|n| format!("k{n}=v")).collect();
        for (states, expected) in [
            (vec!["rojo=00f0,congo=t61"], Some("rojo=00f0,congo=t61")),
            (
                vec!["rojo=1", " fw529a3039@dt=2 , "],
                Some("rojo=1,fw529a3039@dt=2"),
            ),
            (vec!["Rojo=1"], None),
            (vec!["rojo"], None),
            (vec!["a=1,a=2"], None),
            (vec!["a=b=c"], None),
            (vec![""], None),
            (vec![many.join(",").leak() as &str], None),
            (vec![longer.as_str()], Some(long.as_str())),
        ] {
            let context = read(&[VALID], &states).unwrap();
            assert_eq!(context.tracestate.as_deref(), expected, "{states:?}");
        }
    }

    #[test]
    fn ids_are_the_same_in_every_process() {
        let task = TaskId::new("t-1").unwrap();
        let of = |store: &str| TraceId::of_task(store, Principal::local().owner(), &task);
        assert_eq!(of("s"), of("s"));
        assert_ne!(of("s"), of("other"));
        let event = EventId::new(&SteppedTime::default(), &SeededRandom::new(7));
        let digits = event.to_string().replace('-', "");
        assert_eq!(SpanId::of_event(event).to_string(), digits[16..]);
    }
}
