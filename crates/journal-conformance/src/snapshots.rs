//! Tests that snapshots save time and change no result.

use bytes::Bytes;
use journeyman_event::{ContentHash, Event, Principal, Sequence, TaskId};
use journeyman_journal::{Snapshot, StreamInfo};

use crate::{Fresh, Maker, all, fresh, user};

fn of(event: &Event, text: &str) -> Snapshot {
    Snapshot::after(event, Bytes::from(text.to_owned()))
}

pub async fn the_newest_that_is_not_too_new_is_given_also_after_reopening(store: Fresh) {
    let (store, mut journal) = fresh(store);
    let (me, maker, task) = (
        Principal::local(),
        Maker::new(1),
        TaskId::new("t-1").unwrap(),
    );
    for other in ["t-1", "t-2", "t-1"] {
        let five = maker.append(&me, other, 5);
        journal.append(&me, five).await.unwrap();
    }
    let events = all(&journal, &me).await;
    let newest = Sequence(u64::MAX);
    assert_eq!(journal.snapshot(&me, &task, newest).await.unwrap(), None);
    for number in [1, 3, 12] {
        let snapshot = of(&events[number - 1], &format!("state at {number}"));
        journal.keep_snapshot(&me, &task, snapshot).await.unwrap();
    }
    drop(journal);
    journal = store.open();
    for (at, expected) in [
        (0, None),
        (1, Some(1)),
        (2, Some(1)),
        (11, Some(3)),
        (12, Some(12)),
    ] {
        let found = journal.snapshot(&me, &task, Sequence(at)).await.unwrap();
        let expected = expected.map(|n: usize| of(&events[n - 1], &format!("state at {n}")));
        assert_eq!(found, expected, "at {at}");
    }
    // Not for another owner, and not without an event of its own.
    let other = user("other");
    assert_eq!(journal.snapshot(&other, &task, newest).await.unwrap(), None);
    let unknown = TaskId::new("t-9").unwrap();
    let none = of(&events[0], "of nothing");
    journal.keep_snapshot(&me, &unknown, none).await.unwrap();
    assert_eq!(journal.snapshot(&me, &unknown, newest).await.unwrap(), None);
    let streams: Vec<StreamInfo> = journal.streams(&me, 10).await.unwrap();
    assert_eq!(streams.len(), 2);
    assert_eq!(all(&journal, &me).await.len(), 15);
    crate::assert_sound(&journal).await;
}

pub async fn one_that_does_not_fit_is_passed_over_and_only_a_few_are_kept(store: Fresh) {
    let (_store, journal) = fresh(store);
    let (me, maker, task) = (
        Principal::local(),
        Maker::new(1),
        TaskId::new("t-1").unwrap(),
    );
    let many = maker.append(&me, "t-1", 20);
    let events = journal.append(&me, many).await.unwrap().events;
    let keep = async |snapshot| journal.keep_snapshot(&me, &task, snapshot).await.unwrap();
    let find = async |at| journal.snapshot(&me, &task, Sequence(at)).await.unwrap();
    keep(Snapshot {
        event_hash: ContentHash::of(b"another event"),
        ..of(&events[4], "made from another history")
    })
    .await;
    assert_eq!(find(5).await, None);
    keep(Snapshot {
        bytes_hash: ContentHash::of(b"other bytes"),
        ..of(&events[4], "damaged")
    })
    .await;
    assert_eq!(find(5).await, None);
    // The same place again replaces it.
    keep(of(&events[4], "sound")).await;
    assert_eq!(find(5).await, Some(of(&events[4], "sound")));
    for event in &events[10..] {
        keep(of(event, "later")).await;
    }
    assert_eq!(find(5).await, None, "the oldest went");
    assert_eq!(find(u64::MAX).await, Some(of(&events[19], "later")));
    assert_eq!(find(17).await, Some(of(&events[16], "later")));
}
