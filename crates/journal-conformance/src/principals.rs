//! Tests that every call returns only what its principal owns.

use crate::{Fresh, Maker, all, fresh, of_task, sequences, user};
use bytes::Bytes;
use journeyman_event::{ContentHash, Principal, Sequence};
use journeyman_journal::{Append, Error, Filter};

pub async fn another_owner_sees_nothing_of_mine(store: Fresh) {
    let (_store, journal) = fresh(store);
    let (me, other, make) = (user("me"), user("other"), Maker::new(1));
    let blob = Bytes::from_static(b"mine");
    let mine = Append {
        blobs: vec![blob.clone()],
        summary: Some(b"mine".to_vec()),
        ..make.append(&me, "t-1", 3)
    };
    journal.append(&me, mine).await.unwrap();
    assert!(all(&journal, &other).await.is_empty());
    let filter = of_task("t-1");
    let page = journal
        .read(&other, &filter, Sequence::ZERO, 10)
        .await
        .unwrap()
        .events;
    assert!(page.is_empty());
    let page = journal
        .read_backwards(&other, &filter, Sequence(9), 10)
        .await
        .unwrap()
        .events;
    assert!(page.is_empty());
    assert!(journal.streams(&other, 10).await.unwrap().is_empty());
    assert_eq!(
        journal.blob(&other, ContentHash::of(&blob)).await.unwrap(),
        None
    );

    // A stream of the same name is another stream.
    let theirs = crate::append("t-1", crate::at(0), make.events(&other, "t-1", 2));
    journal.append(&other, theirs).await.unwrap();
    let mut subscription = journal.subscribe(&other, Filter::default(), Sequence::ZERO);
    for (sequence, revision) in [(4, 1), (5, 2)] {
        let event = subscription.next().await.unwrap();
        assert_eq!(
            (event.sequence().0, event.revision().0),
            (sequence, revision)
        );
        assert_eq!(event.owner(), other.owner());
    }
    let streams = journal.streams(&other, 10).await.unwrap();
    assert_eq!((streams.len(), &streams[0].summary), (1, &None));
    assert_eq!(sequences(&all(&journal, &me).await), [1, 2, 3]);
}

pub async fn the_system_sees_every_stream_in_the_stores_order(store: Fresh) {
    let (_store, journal) = fresh(store);
    let (one, two, make) = (user("one"), user("two"), Maker::new(1));
    for principal in [&one, &two, &one, &two] {
        journal
            .append(principal, make.append(principal, "t-1", 2))
            .await
            .unwrap();
    }
    let system = Principal::system();
    assert_eq!(
        sequences(&all(&journal, &system).await),
        [1, 2, 3, 4, 5, 6, 7, 8]
    );
    let page = journal
        .read(&system, &of_task("t-1"), Sequence(1), 3)
        .await
        .unwrap()
        .events;
    assert_eq!(sequences(&page), [2, 3, 4]);
    let page = journal
        .read_backwards(&system, &of_task("t-1"), Sequence(8), 3)
        .await
        .unwrap()
        .events;
    assert_eq!(sequences(&page), [7, 6, 5]);
    assert_eq!(journal.streams(&system, 10).await.unwrap().len(), 2);
}

pub async fn only_the_system_verifies(store: Fresh) {
    let (_store, journal) = fresh(store);
    for principal in [Principal::local(), user("system")] {
        let error = journal.verify(&principal, None).await.unwrap_err();
        assert!(matches!(error, Error::Forbidden { .. }), "{error:?}");
    }
    assert!(
        journal
            .verify(&Principal::system(), None)
            .await
            .unwrap()
            .ok()
    );
}
