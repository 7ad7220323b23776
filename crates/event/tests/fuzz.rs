//! Stored lines and names, from any bytes. `JOURNEYMAN_FUZZ_SECONDS=600 cargo test -p journeyman-event --test fuzz` makes
//! each target run for that long, instead of for a few hundred cases.

#![allow(clippy::unwrap_used, reason = "this is a test")]

use std::path::{Component, Path};

use journeyman_event::payload::{GivenTest, Payload, TaskSubmitted, TestOrigin};
use journeyman_event::{
    ContentHash, Draft, Event, EventId, ModuleName, NewEvent, Owner, ProcessId, Revision, Sequence,
    TaskId, split_hash,
};
use journeyman_fuzz::fuzz;
use proptest::prelude::*;
use proptest::sample::Index;

/// What text of a user's or a model's is like, at its worst.
fn odd_text() -> impl Strategy<Value = String> {
    prop_oneof![
        "[a-z ]{0,12}",
        any::<String>(),
        r#"(\\|"|\{|\}|,"hash":"b3:|"data":|\n|\r|\u{2028}|\u{0}|é|🦀){0,12}"#,
    ]
}

fn hash() -> impl Strategy<Value = ContentHash> {
    any::<[u8; 32]>().prop_map(ContentHash::from_bytes)
}

fn module() -> impl Strategy<Value = ModuleName> {
    "[a-z_][a-z0-9_]{0,8}(\\.[a-z_][a-z0-9_]{0,8}){0,2}"
        .prop_map(|name| ModuleName::new(name).unwrap())
}

/// Any JSON, as a payload of a newer version might be.
fn json() -> impl Strategy<Value = String> {
    let leaf = prop_oneof![
        Just(serde_json::Value::Null),
        any::<bool>().prop_map(Into::into),
        any::<i64>().prop_map(Into::into),
        any::<f64>().prop_map(Into::into),
        odd_text().prop_map(Into::into),
    ];
    leaf.prop_recursive(3, 12, 4, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(Into::into),
            prop::collection::vec((odd_text(), inner), 0..4)
                .prop_map(|members| serde_json::Value::Object(members.into_iter().collect())),
        ]
    })
    .prop_map(|value| value.to_string())
}

fn payload() -> impl Strategy<Value = Payload> {
    let kind = prop::sample::select(Payload::KINDS);
    let given = (odd_text(), odd_text()).prop_map(|(name, source)| GivenTest {
        name,
        origin: TestOrigin::File,
        source,
    });
    prop_oneof![
        (kind, json()).prop_map(|(kind, data)| Payload::parse(kind, &data)),
        (name(), json()).prop_map(|(kind, data)| Payload::parse(&kind, &data)),
        (
            odd_text(),
            prop::collection::vec(given, 0..3),
            prop::option::of(odd_text())
        )
            .prop_map(|(prompt, tests, out)| TaskSubmitted {
                tests,
                out,
                ..TaskSubmitted::of(prompt)
            }
            .into()),
    ]
}

/// A name that is taken in, whatever is in it.
fn name() -> impl Strategy<Value = String> {
    odd_text().prop_filter("a rule", |name| (1..=200).contains(&name.len()))
}

fn id() -> impl Strategy<Value = EventId> {
    any::<[u8; 16]>().prop_map(EventId::from_bytes)
}

fn draft() -> impl Strategy<Value = Draft> {
    let names = (
        "[A-Za-z0-9][A-Za-z0-9._:-]{0,20}",
        "[A-Za-z0-9][A-Za-z0-9._:-]{0,20}",
    );
    let actor = name();
    let clock =
        prop::collection::btree_map(name().prop_map(ProcessId::from_stored), any::<u64>(), 0..4);
    let about = (
        prop::option::of(module()),
        prop::option::of(id()),
        any::<u64>(),
        prop::option::of(hash()),
    );
    // The years 1900 to 2200.
    let time = -2_208_988_800_000_000_i64..7_258_118_400_000_000;
    (id(), names, actor, clock, about, time, payload()).prop_map(
        |(id, (task, owner), actor, clock, about, time, payload)| Draft {
            id,
            task_id: TaskId::new(task).unwrap(),
            owner: Owner::new(owner).unwrap(),
            module: about.0,
            occurred_at: jiff::Timestamp::from_microsecond(time).unwrap(),
            actor,
            clock: clock.into_iter().collect(),
            causation_id: about.1,
            code_version: about.2,
            code_hash: about.3,
            payload,
        },
    )
}

fn stored() -> impl Strategy<Value = Event> {
    (draft(), any::<u64>(), any::<u64>(), hash()).prop_map(
        |(draft, sequence, revision, previous)| {
            let now = draft.occurred_at;
            let event = NewEvent::new(draft, now).unwrap();
            event
                .seal(Sequence(sequence), Revision(revision), previous, None)
                .unwrap()
        },
    )
}

/// One change to the bytes of a line.
#[derive(Clone, Debug)]
enum Change {
    Set(Index, u8),
    Insert(Index, Vec<u8>),
    Remove(Index, usize),
    Repeat(Index, Index, usize),
    Cut(Index),
}

fn change() -> impl Strategy<Value = Change> {
    let at = any::<Index>;
    let word = prop::sample::select(vec![
        &b" "[..],
        b"\n",
        b"0",
        b"-",
        b"e0",
        b"\\u0061",
        b"\"",
        b",",
        b"{",
        b"}",
        b"null",
        b",\"x\":1",
        b",\"module\":\"m\"",
        b"\"hash\":",
        b"\xff",
        b".0",
        b"+00:00",
        b"A",
        b"T",
        b"Z",
    ]);
    prop_oneof![
        (at(), any::<u8>()).prop_map(|(at, byte)| Change::Set(at, byte)),
        (at(), 0x20..0x7f_u8).prop_map(|(at, byte)| Change::Set(at, byte)),
        (at(), word.prop_map(<[u8]>::to_vec)).prop_map(|(at, bytes)| Change::Insert(at, bytes)),
        (at(), 1..30_usize).prop_map(|(at, count)| Change::Remove(at, count)),
        (at(), at(), 1..40_usize).prop_map(|(from, to, count)| Change::Repeat(from, to, count)),
        at().prop_map(Change::Cut),
    ]
}

fn changed(line: &str, changes: &[Change]) -> Vec<u8> {
    let mut bytes = line.as_bytes().to_vec();
    for change in changes.iter().filter(|_| !line.is_empty()) {
        let len = bytes.len();
        if len == 0 {
            break;
        }
        match change {
            Change::Set(at, byte) => bytes[at.index(len)] = *byte,
            Change::Insert(at, word) => {
                let at = at.index(len);
                bytes.splice(at..at, word.iter().copied());
            }
            Change::Remove(at, count) => {
                let at = at.index(len);
                bytes.drain(at..(at + count).min(len));
            }
            Change::Repeat(from, to, count) => {
                let from = from.index(len);
                let copy = bytes[from..(from + count).min(len)].to_vec();
                let to = to.index(len);
                bytes.splice(to..to, copy);
            }
            Change::Cut(at) => bytes.truncate(at.index(len)),
        }
    }
    bytes
}

/// What is accepted says everything that the line says: the event made anew of its parts is the same line.
fn is_refused_or_whole(line: &str) -> Result<(), TestCaseError> {
    let Ok(event) = Event::from_line(line) else {
        return Ok(());
    };
    prop_assert_eq!(event.line(), line);
    let anew = Draft {
        id: event.id(),
        task_id: event.task_id().clone(),
        owner: event.owner().clone(),
        module: event.module().cloned(),
        occurred_at: event.occurred_at(),
        actor: event.actor().to_owned(),
        clock: event.clock().clone(),
        causation_id: event.causation_id(),
        code_version: event.code_version(),
        code_hash: event.code_hash(),
        payload: Payload::Unknown {
            kind: event.kind().to_owned(),
            data: event.data().to_owned(),
        },
    };
    let anew = match NewEvent::new(anew, event.occurred_at()) {
        // How long names may be is a rule for what is taken in, not for what is read.
        Err(error) if matches!(error.field, "kind" | "clock") => return Ok(()),
        anew => anew.map_err(|error| TestCaseError::fail(error.to_string()))?,
    };
    let anew = anew
        .seal(event.sequence(), event.revision(), event.hash(), None)
        .map_err(|error| TestCaseError::fail(error.to_string()))?;
    let (body, hash) = split_hash(line).ok_or_else(|| TestCaseError::fail("no hash at its end"))?;
    prop_assert_eq!(split_hash(anew.line()).map(|split| split.0), Some(body));
    prop_assert_eq!(hash, event.hash());
    Ok(())
}

#[test]
fn a_stored_event_is_read_as_it_was() {
    fuzz(1_000, &stored(), |event| {
        let again = Event::from_line(event.line())
            .map_err(|error| TestCaseError::fail(error.to_string()))?;
        prop_assert_eq!(again.line(), event.line());
        prop_assert_eq!(again.payload(), event.payload());
        prop_assert_eq!(again.data(), event.data());
        prop_assert_eq!(again.clock(), event.clock());
        prop_assert_eq!(again.occurred_at(), event.occurred_at());
        prop_assert_eq!(again.hash(), event.hash());
        is_refused_or_whole(event.line())
    });
}

#[test]
fn a_changed_line_is_refused_or_says_what_it_says() {
    let changes = prop::collection::vec(change(), 1..4);
    fuzz(3_000, &(stored(), changes), |(event, changes)| {
        let bytes = changed(event.line(), &changes);
        std::str::from_utf8(&bytes).map_or(Ok(()), is_refused_or_whole)
    });
}

#[test]
fn any_bytes_are_refused_or_a_line() {
    let bytes = prop_oneof![
        prop::collection::vec(any::<u8>(), 0..300),
        json().prop_map(String::into_bytes)
    ];
    fuzz(1_000, &bytes, |bytes| {
        let text = String::from_utf8_lossy(&bytes);
        let _ = split_hash(&text);
        is_refused_or_whole(&text)
    });
}

#[test]
fn a_payload_of_any_text_is_a_value_that_gives_back_what_it_was() {
    let kind = prop_oneof![
        prop::sample::select(Payload::KINDS).prop_map(str::to_owned),
        odd_text()
    ];
    let text = prop_oneof![json(), odd_text()];
    fuzz(1_000, &(kind, text), |(kind, text)| {
        let payload = Payload::parse(&kind, &text);
        prop_assert_eq!(payload.kind(), kind.as_str());
        let written = payload
            .to_json()
            .map_err(|error| TestCaseError::fail(error.to_string()))?;
        match &payload {
            Payload::Unknown { .. } | Payload::Unreadable { .. } => prop_assert_eq!(written, text),
            known => prop_assert_eq!(&Payload::parse(&kind, &written), known),
        }
        Ok(())
    });
}

#[test]
fn a_name_is_never_a_path() {
    let name = prop_oneof![
        odd_text(),
        r"(\.|/|\\|~|a|B|_|-|:|1|\.\.|\u{0}|%2e|ａ){0,8}"
    ];
    fuzz(3_000, &name, |name| {
        if let Ok(module) = ModuleName::new(name.as_str()) {
            prop_assert!(
                !name.contains(['/', '\\', '\0', '-', ':']) && !name.contains(".."),
                "{module}"
            );
            prop_assert!(!name.starts_with('.') && !name.ends_with('.'));
        }
        for name in [
            TaskId::new(name.as_str()).map(|id| id.to_string()),
            Owner::new(name.as_str()).map(|id| id.to_string()),
        ]
        .into_iter()
        .flatten()
        {
            let mut parts = Path::new(&name).components();
            prop_assert!(
                matches!(parts.next(), Some(Component::Normal(_))) && parts.next().is_none()
            );
        }
        Ok(())
    });
}
