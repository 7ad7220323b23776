//! Tests of holding a store, and of what a store keeps between its holders.

use std::sync::Arc;

use bytes::Bytes;
use journeyman_event::{Principal, SeededRandom};
use journeyman_journal::{Error, Journal, Snapshot};

use crate::{Fresh, Maker, all, fresh, lines};

pub async fn one_writer_at_a_time_and_the_store_keeps_its_name(store: Fresh) {
    let (store, journal) = fresh(store);
    let name = journal.store_id().to_owned();
    let second = Journal::open(Arc::clone(store.engine()), &SeededRandom::new(2));
    assert!(matches!(second, Err(Error::Locked { .. })), "{second:?}");
    let reader = store.open_read_only();
    assert!(reader.holder().is_some());
    let (me, make) = (Principal::local(), Maker::new(1));
    let three = make.append(&me, "t-1", 3);
    let written = journal.append(&me, three).await.unwrap().events;
    drop(journal);
    assert_eq!(reader.holder(), None);
    let again = Journal::open(Arc::clone(store.engine()), &SeededRandom::new(3)).unwrap();
    assert_eq!((again.store_id(), reader.store_id()), (&*name, &*name));
    assert_eq!(lines(&all(&again, &me).await), lines(&written));
}

pub async fn a_journal_for_reading_makes_nothing_and_writes_nothing(store: Fresh) {
    let store = store();
    let missing = Journal::open_read_only(Arc::clone(store.engine()));
    assert!(missing.is_err(), "{missing:?}");
    let journal = store.open();
    let (me, make) = (Principal::local(), Maker::new(1));
    let one = make.append(&me, "t-1", 1);
    let written = journal.append(&me, one.clone()).await.unwrap().events;
    let reader = store.open_read_only();
    assert_eq!(reader.append(&me, one).await.unwrap_err(), Error::ReadOnly);
    let snapshot = Snapshot::after(&written[0], Bytes::from_static(b"state"));
    let task = written[0].task_id();
    let kept = reader.keep_snapshot(&me, task, snapshot.clone()).await;
    assert_eq!(kept.unwrap_err(), Error::ReadOnly);
    // Of an event that is not there, or too large, it is refused to everyone.
    for wrong in [
        Snapshot {
            sequence: written[0].sequence().next(),
            ..snapshot.clone()
        },
        Snapshot {
            bytes: Bytes::from(vec![0; (10 << 20) + 1]),
            ..snapshot
        },
    ] {
        let error = journal.keep_snapshot(&me, task, wrong).await.unwrap_err();
        assert!(matches!(error, Error::BadAppend { .. }), "{error:?}");
    }
}
