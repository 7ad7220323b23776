//! Compares the journal with a simple model: the same calls give the same results and the same contents.

use std::collections::HashMap;

use crate::{Fresh, Maker, all, append, assert_sound, fresh, user};
use journeyman_event::{Event, NewEvent, Principal, Revision};
use journeyman_journal::{Append, Error, Expected};
use proptest::prelude::*;
use proptest::test_runner::TestRunner;

const OWNERS: [&str; 2] = ["one", "two"];
const TASKS: [&str; 3] = ["t-1", "t-2", "t-3"];

#[derive(Clone, Debug)]
enum Step {
    /// Append new events; the expected revision is right, wrong by this much, or not given.
    Append {
        owner: usize,
        task: usize,
        count: usize,
        off_by: Option<u64>,
    },
    /// Repeat an earlier append, whole or from its n-th event on.
    Again {
        which: prop::sample::Index,
        from: prop::sample::Index,
    },
    /// Repeat an earlier append with an additional new event.
    More {
        which: prop::sample::Index,
    },
    /// Repeat an earlier append with the text of one event changed.
    Changed {
        which: prop::sample::Index,
        event: prop::sample::Index,
    },
    Reopen,
}

fn step() -> impl Strategy<Value = Step> {
    let any = any::<prop::sample::Index>;
    let off_by = prop_oneof![2 => Just(None), 3 => Just(Some(0)), 1 => (1..3_u64).prop_map(Some)];
    prop_oneof![
        6 => (0..OWNERS.len(), 0..TASKS.len(), 1..5_usize, off_by).prop_map(
            |(owner, task, count, off_by)| Step::Append { owner, task, count, off_by }
        ),
        2 => (any(), any()).prop_map(|(which, from)| Step::Again { which, from }),
        1 => any().prop_map(|which| Step::More { which }),
        1 => (any(), any()).prop_map(|(which, event)| Step::Changed { which, event }),
        1 => Just(Step::Reopen),
    ]
}

/// Sequence number, revision, id and payload.
type Stored = (u64, u64, String, String);

#[derive(Debug, PartialEq)]
enum Answer {
    Written(Vec<Stored>),
    Known(Vec<Stored>),
    WrongRevision(u64),
    IdInUse,
}

#[derive(Default)]
struct Model {
    /// The events, with their owners and tasks.
    events: Vec<(String, String, Stored)>,
    revisions: HashMap<(String, String), u64>,
}

impl Model {
    fn append(&mut self, owner: &str, append: &Append) -> Answer {
        let task = append.task_id.as_str();
        let find = |event: &NewEvent| {
            let id = event.id().to_string();
            self.events.iter().find(|(_, _, stored)| stored.2 == id)
        };
        let known: Vec<_> = append.events.iter().filter_map(find).collect();
        let equal = append
            .events
            .iter()
            .zip(&known)
            .all(|(event, (of, at, stored))| {
                of == owner
                    && at == task
                    && stored.2 == event.id().to_string()
                    && stored.3 == event.data()
            });
        if !known.is_empty() {
            return if known.len() == append.events.len() && equal {
                Answer::Known(known.iter().map(|(_, _, stored)| stored.clone()).collect())
            } else {
                Answer::IdInUse
            };
        }
        let revision = self
            .revisions
            .entry((owner.to_owned(), task.to_owned()))
            .or_default();
        if let Expected::Revision(Revision(expected)) = append.expected
            && expected != *revision
        {
            return Answer::WrongRevision(*revision);
        }
        let from = self.events.len();
        for event in &append.events {
            *revision += 1;
            let sequence = self.events.len() as u64 + 1;
            let stored = (
                sequence,
                *revision,
                event.id().to_string(),
                event.data().to_owned(),
            );
            self.events
                .push((owner.to_owned(), task.to_owned(), stored));
        }
        let written = self.events[from..]
            .iter()
            .map(|(_, _, stored)| stored.clone());
        Answer::Written(written.collect())
    }

    fn revision(&self, owner: &str, task: &str) -> u64 {
        let of = (owner.to_owned(), task.to_owned());
        self.revisions.get(&of).copied().unwrap_or(0)
    }
}

fn stored(events: &[Event]) -> Vec<Stored> {
    let one = |event: &Event| {
        let data = event.payload().to_json().unwrap();
        (
            event.sequence().0,
            event.revision().0,
            event.id().to_string(),
            data,
        )
    };
    events.iter().map(one).collect()
}

async fn check(store: Fresh, steps: Vec<Step>) {
    let (store, mut journal) = fresh(store);
    let (maker, mut model) = (Maker::new(1), Model::default());
    let mut past: Vec<(Principal, Append)> = Vec::new();
    for step in steps {
        let (principal, next) = match step {
            Step::Reopen => {
                drop(journal);
                journal = store.open();
                continue;
            }
            Step::Append {
                owner,
                task,
                count,
                off_by,
            } => {
                let (principal, task) = (user(OWNERS[owner]), TASKS[task]);
                let right = model.revision(OWNERS[owner], task);
                let expected =
                    off_by.map_or(Expected::Any, |by| Expected::Revision(Revision(right + by)));
                let events = maker.events(&principal, task, count);
                (principal, append(task, expected, events))
            }
            _ if past.is_empty() => continue,
            Step::Again { which, from } => {
                let (principal, mut again) = which.get(&past).clone();
                again.events.drain(..from.index(again.events.len()));
                (principal, again)
            }
            Step::More { which } => {
                let (principal, mut more) = which.get(&past).clone();
                more.events
                    .push(maker.event(&principal, more.task_id.as_str(), "more"));
                (principal, more)
            }
            Step::Changed { which, event } => {
                let (principal, mut changed) = which.get(&past).clone();
                let at = event.index(changed.events.len());
                // Another text each time: the model knows an event by its id and its data, and the
                // journal by its time as well.
                let text = format!("changed in step {}", past.len());
                let mut draft = maker.draft(&principal, changed.task_id.as_str(), &text);
                draft.id = changed.events[at].id();
                changed.events[at] = crate::new_event(draft);
                (principal, changed)
            }
        };
        let expected = model.append(principal.owner().as_str(), &next);
        let answer = match journal.append(&principal, next.clone()).await {
            Ok(answer) if answer.duplicate => Answer::Known(stored(&answer.events)),
            Ok(answer) => Answer::Written(stored(&answer.events)),
            Err(Error::WrongRevision { actual, .. }) => Answer::WrongRevision(actual.0),
            Err(Error::IdInUse { .. }) => Answer::IdInUse,
            Err(other) => panic!("{other:?}"),
        };
        assert_eq!(answer, expected);
        past.push((principal, next));
    }
    for owner in OWNERS {
        let events = all(&journal, &user(owner)).await;
        let of = model.events.iter().filter(|(of, _, _)| of == owner);
        let expected: Vec<Stored> = of.map(|(_, _, stored)| stored.clone()).collect();
        assert_eq!(stored(&events), expected);
        for stream in journal.streams(&user(owner), 10).await.unwrap() {
            assert_eq!(
                stream.revision.0,
                model.revision(owner, stream.task_id.as_str())
            );
        }
    }
    assert_sound(&journal).await;
}

#[allow(clippy::unused_async)] // like every check
pub async fn the_journal_answers_and_holds_what_its_model_does(store: Fresh) {
    let steps = prop::collection::vec(step(), 1..40);
    let config = ProptestConfig {
        cases: 64,
        failure_persistence: None,
        ..ProptestConfig::default()
    };
    let here = tokio::runtime::Handle::current();
    tokio::task::block_in_place(|| {
        let checked = TestRunner::new(config).run(&steps, |steps| {
            here.block_on(check(store, steps));
            Ok(())
        });
        if let Err(found) = checked {
            panic!("{found}");
        }
    });
}
