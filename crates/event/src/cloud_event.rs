//! Events in the structured JSON format of `CloudEvents` 1.0 (<https://github.com/cloudevents/spec>), for programs
//! that know that format and not ours. Fields for which the specification has no attribute are extensions. Numbers
//! that may exceed 32 bits are written as text, because integers of the specification have 32 bits.

use std::borrow::Cow;

use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use crate::clock::VectorClock;
use crate::content::ContentHash;
use crate::event::{Event, InvalidEvent, Origin};
use crate::ids::{EventId, ModuleName, Owner, Revision, Sequence, TaskId};
use crate::line::Line;

const SOURCE: &str = "urn:journeyman:";
const TYPE: &str = "journeyman.";
const SPEC_VERSION: &str = "1.0";
const CONTENT_TYPE: &str = "application/json";

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct CloudEvent<'a> {
    specversion: String,
    id: EventId,
    source: String,
    #[serde(rename = "type")]
    kind: String,
    subject: TaskId,
    time: String,
    datacontenttype: String,
    schemaversion: u32,
    sequence: String,
    revision: String,
    owner: Owner,
    #[serde(skip_serializing_if = "Option::is_none")]
    module: Option<ModuleName>,
    actor: String,
    clock: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    causationid: Option<EventId>,
    codeversion: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    codehash: Option<ContentHash>,
    #[serde(skip_serializing_if = "Option::is_none")]
    origin: Option<String>,
    hash: ContentHash,
    #[serde(borrow)]
    data: &'a RawValue,
}

impl Event {
    /// The event as a `CloudEvent` on one line. `store` is the name of the store that holds the event.
    pub fn to_cloud_event(&self, store: &str) -> Result<String, InvalidEvent> {
        let text = |error: serde_json::Error| InvalidEvent::new("data", error);
        let data: &RawValue = serde_json::from_str(self.data()).map_err(text)?;
        let origin = self.origin().map(serde_json::to_string).transpose();
        let cloud_event = CloudEvent {
            specversion: SPEC_VERSION.to_owned(),
            id: self.id(),
            source: format!("{SOURCE}{store}"),
            kind: format!("{TYPE}{}", self.kind()),
            subject: self.task_id().clone(),
            time: format!("{:.6}", self.occurred_at()),
            datacontenttype: CONTENT_TYPE.to_owned(),
            schemaversion: crate::SCHEMA,
            sequence: self.sequence().to_string(),
            revision: self.revision().to_string(),
            owner: self.owner().clone(),
            module: self.module().cloned(),
            actor: self.actor().to_owned(),
            clock: serde_json::to_string(self.clock()).map_err(text)?,
            causationid: self.causation_id(),
            codeversion: self.code_version().to_string(),
            codehash: self.code_hash(),
            origin: origin.map_err(text)?,
            hash: self.hash(),
            data,
        };
        serde_json::to_string(&cloud_event).map_err(text)
    }

    /// Parses a line written by [`Event::to_cloud_event`]. Returns the event and the name of the store it came
    /// from.
    pub fn from_cloud_event(text: &str) -> Result<(Self, String), InvalidEvent> {
        let read: CloudEvent<'_> =
            serde_json::from_str(text).map_err(|error| InvalidEvent::new("line", error))?;
        let store = read.source.strip_prefix(SOURCE);
        let store = store
            .ok_or_else(|| InvalidEvent::new("source", format_args!("{SOURCE}... is needed")))?;
        let kind = read.kind.strip_prefix(TYPE);
        let kind =
            kind.ok_or_else(|| InvalidEvent::new("type", format_args!("{TYPE}... is needed")))?;
        if read.specversion != SPEC_VERSION {
            return Err(InvalidEvent::new("specversion", "only 1.0 is known"));
        }
        let number = |field, text: &str| {
            text.parse::<u64>()
                .map_err(|_| InvalidEvent::new(field, "it is not a whole number"))
        };
        let clock: VectorClock =
            serde_json::from_str(&read.clock).map_err(|error| InvalidEvent::new("clock", error))?;
        let origin: Option<Origin> = read
            .origin
            .map(|text| serde_json::from_str(&text))
            .transpose()
            .map_err(|error| InvalidEvent::new("origin", error))?;
        let line = serde_json::to_string(&Line {
            schema: read.schemaversion,
            sequence: Sequence(number("sequence", &read.sequence)?),
            revision: Revision(number("revision", &read.revision)?),
            id: read.id,
            task_id: Cow::Owned(read.subject),
            owner: Cow::Owned(read.owner),
            module: read.module.map(Cow::Owned),
            kind: kind.into(),
            occurred_at: read.time.into(),
            actor: read.actor.into(),
            clock: Cow::Owned(clock),
            causation_id: read.causationid,
            code_version: number("codeversion", &read.codeversion)?,
            code_hash: read.codehash,
            origin: origin.map(Cow::Owned),
            data: read.data,
            hash: Some(read.hash),
        })
        .map_err(|error| InvalidEvent::new("line", error))?;
        Ok((Self::from_line(line)?, store.to_owned()))
    }
}
