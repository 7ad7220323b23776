//! What the tests of the journal share.
#![allow(dead_code)] // each test binary uses a part of it

use std::path::Path;
use std::sync::Arc;

use journeyman_event::payload::UserIntervention;
use journeyman_event::{
    Draft, Event, EventId, NewEvent, Owner, Payload, Principal, Revision, SeededRandom, Sequence,
    SteppedTime, TaskId, TimeSource, VectorClock,
};
use journeyman_journal::{Append, Expected, Filter, Journal, Options};
use tempfile::TempDir;

/// Makes events. Makers of different seeds make different ids.
pub(crate) struct Maker {
    time: SteppedTime,
    random: SeededRandom,
}

impl Maker {
    pub(crate) fn new(seed: u64) -> Self {
        Self {
            time: SteppedTime::default(),
            random: SeededRandom::new(seed),
        }
    }

    pub(crate) fn draft(&self, principal: &Principal, task: &str, text: &str) -> Draft {
        Draft {
            id: EventId::new(&self.time, &self.random),
            task_id: TaskId::new(task).unwrap(),
            owner: principal.owner().clone(),
            module: None,
            occurred_at: self.time.now(),
            actor: "user".to_owned(),
            clock: VectorClock::default(),
            causation_id: None,
            code_version: 0,
            code_hash: None,
            payload: Payload::UserIntervention(UserIntervention {
                instruction: text.to_owned(),
            }),
        }
    }

    pub(crate) fn event(&self, principal: &Principal, task: &str, text: &str) -> NewEvent {
        new_event(self.draft(principal, task, text))
    }

    pub(crate) fn events(&self, principal: &Principal, task: &str, count: usize) -> Vec<NewEvent> {
        (0..count)
            .map(|n| self.event(principal, task, &format!("{task} {n}")))
            .collect()
    }

    /// An append of that many events, whatever the stream's revision.
    pub(crate) fn append(&self, principal: &Principal, task: &str, count: usize) -> Append {
        append(task, Expected::Any, self.events(principal, task, count))
    }
}

pub(crate) fn new_event(draft: Draft) -> NewEvent {
    let now = draft.occurred_at;
    NewEvent::new(draft, now).unwrap()
}

pub(crate) fn append(task: &str, expected: Expected, events: Vec<NewEvent>) -> Append {
    Append {
        task_id: TaskId::new(task).unwrap(),
        expected,
        events,
        blobs: Vec::new(),
        summary: None,
    }
}

pub(crate) fn at(revision: u64) -> Expected {
    Expected::Revision(Revision(revision))
}

pub(crate) fn user(name: &str) -> Principal {
    Principal::user(Owner::new(name).unwrap())
}

pub(crate) fn options(folder: &Path) -> Options {
    Options::new(folder.to_owned(), Arc::new(SeededRandom::new(1)))
}

pub(crate) fn open(folder: &Path) -> Journal {
    Journal::open(options(folder)).unwrap()
}

/// A new journal in a folder of its own, which lives as long as the first value.
pub(crate) fn fresh() -> (TempDir, Journal) {
    let folder = TempDir::new().unwrap();
    let journal = open(folder.path());
    (folder, journal)
}

pub(crate) fn of_task(task: &str) -> Filter {
    Filter {
        task_id: Some(TaskId::new(task).unwrap()),
        ..Filter::default()
    }
}

/// Everything that the principal sees, oldest first.
pub(crate) async fn all(journal: &Journal, principal: &Principal) -> Vec<Event> {
    let mut events: Vec<Event> = Vec::new();
    loop {
        let after = events.last().map_or(Sequence::ZERO, Event::sequence);
        let page = journal
            .read(principal, &Filter::default(), after, 1_000)
            .await
            .unwrap();
        let ended = page.len() < 1_000;
        events.extend(page);
        if ended {
            return events;
        }
    }
}

pub(crate) fn sequences(events: &[Event]) -> Vec<u64> {
    events.iter().map(|event| event.sequence().0).collect()
}

pub(crate) fn revisions(events: &[Event]) -> Vec<u64> {
    events.iter().map(|event| event.revision().0).collect()
}

pub(crate) fn lines(events: &[Event]) -> Vec<String> {
    events.iter().map(|event| event.line().to_owned()).collect()
}

pub(crate) async fn assert_sound(journal: &Journal) {
    let report = journal.verify(&Principal::system(), None).await.unwrap();
    assert_eq!(report.first_bad, None);
    assert_eq!(
        report.head,
        journal.head(&Principal::system()).await.unwrap()
    );
}
