//! A recorded history is folded as it always was: where it is not, `FOLD_VERSION` has to be raised, so that
//! nobody goes on with a state that was kept by other rules.

#![allow(clippy::unwrap_used)] // a test fails by panicking

use std::collections::BTreeMap;

use journeyman_event::{ContentHash, Event, FOLD_VERSION, TaskId, TaskState};

/// The events of a golden folder (`journeyman/tests/golden/7bbd5e3.tar.gz`): the lines of `journal export` that
/// are events.
const EVENTS: &str = include_str!("golden/events.jsonl");
/// The version of the rules, and the hash of all states along the way.
const FOLDED: (u32, &str) = (
    5,
    "b3:9cc4c159deb21077aeb9680f771ed042bce79e91eac11788b9e3f6973c2c36d4",
);

#[test]
fn a_recorded_history_is_folded_as_it_was_under_the_same_version() {
    let mut states: BTreeMap<TaskId, TaskState> = BTreeMap::new();
    let mut all = String::new();
    for line in EVENTS.lines() {
        let event = Event::from_line(line).unwrap();
        let state = states.entry(event.task_id().clone()).or_default();
        state.evolve(&event).unwrap();
        all.push_str(&serde_json::to_string(state).unwrap());
        all.push('\n');
    }
    let folded = ContentHash::of(all.as_bytes()).to_string();
    assert_eq!(
        (FOLD_VERSION, folded.as_str()),
        FOLDED,
        "raise FOLD_VERSION where the states changed, and write down the new hash"
    );
}
