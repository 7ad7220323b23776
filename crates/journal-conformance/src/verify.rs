//! Tests of verification.

use journeyman_event::{Principal, ProcessId, Sequence, VectorClock};
use journeyman_journal::{BadRecord, Expected, Flaw};

use crate::{Fresh, Maker, append, fresh};

pub async fn a_clock_that_goes_back_is_named_and_an_unknown_cause_is_counted(store: Fresh) {
    let (_store, journal) = fresh(store);
    let (me, make) = (Principal::local(), Maker::new(1));
    let clock = |count| [(ProcessId::from_stored("p"), count)];
    for (count, actor) in [(2, "a"), (1, "b"), (2, "a"), (3, "a"), (2, "a")] {
        let mut draft = make.draft(&me, "t-1", "");
        draft.clock = clock(count).into_iter().collect();
        draft.actor = actor.to_owned();
        draft.causation_id = (count == 3).then(|| make.event(&me, "t-1", "").id());
        let events = vec![crate::new_event(draft)];
        journal
            .append(&me, append("t-1", Expected::Any, events))
            .await
            .unwrap();
    }
    let report = journal.verify(&Principal::system(), None).await.unwrap();
    let bad = BadRecord {
        sequence: Sequence(5),
        what: Flaw::Clock,
    };
    assert_eq!((report.first_bad, report.unknown_causes), (Some(bad), 1));
}

/// An event's actor, and the entry of its vector clock that is new.
type Step = (&'static str, &'static str, u64);

pub async fn a_clock_that_goes_back_beside_anothers_progress_is_named(store: Fresh) {
    let (me, make) = (Principal::local(), Maker::new(1));
    let cases: &[(&[Step], Option<u64>)] = &[
        // The events, and the first bad position.
        (
            &[("a", "n.a.x", 1), ("b", "n.b.x", 1), ("a", "n.a.x", 2)],
            None,
        ),
        (
            &[("a", "n.a.x", 1), ("b", "n.b.x", 1), ("a", "n.a.x", 1)],
            Some(3),
        ),
        (
            &[("a", "n.a.x", 2), ("b", "n.b.x", 1), ("a", "n.a.x", 1)],
            Some(3),
        ),
        (
            &[("a", "n.a.x", 2), ("a", "n.b.x", 9), ("a", "n.a.x", 3)],
            Some(2),
        ),
    ];
    for (steps, bad) in cases {
        let (_store, journal) = fresh(store);
        let mut clock = VectorClock::default();
        for (actor, process, count) in *steps {
            let mut draft = make.draft(&me, "t-1", "");
            let entries = clock.iter().filter(|(known, _)| known.as_str() != *process);
            let entries = entries.map(|(known, count)| (known.clone(), count));
            let new = (ProcessId::from_stored(*process), *count);
            clock = entries.chain([new]).collect();
            draft.clock = clock.clone();
            draft.actor = (*actor).to_owned();
            let events = vec![crate::new_event(draft)];
            let append = append("t-1", Expected::Any, events);
            journal.append(&me, append).await.unwrap();
        }
        let report = journal.verify(&Principal::system(), None).await.unwrap();
        let found = report.first_bad.map(|bad| (bad.sequence.0, bad.what));
        assert_eq!(found, bad.map(|at| (at, Flaw::Clock)), "{steps:?}");
    }
}

pub async fn verifying_beside_a_writer_sees_one_moment(store: Fresh) {
    let (_store, journal) = fresh(store);
    let (me, make) = (Principal::local(), Maker::new(1));
    for round in 1..=20 {
        let (append, system) = (make.append(&me, "t-1", 10), Principal::system());
        let (written, report) =
            tokio::join!(journal.append(&me, append), journal.verify(&system, None));
        written.unwrap();
        let report = report.unwrap();
        assert!(report.ok(), "{report:?}");
        assert!([round * 10 - 10, round * 10].contains(&report.events));
    }
}
