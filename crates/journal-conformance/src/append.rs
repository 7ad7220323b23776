//! Tests of appends and their errors.

use crate::{
    Fresh, Maker, all, append, assert_sound, at, fresh, lines, new_event, revisions, sequences,
    user,
};
use bytes::Bytes;
use journeyman_event::{ContentHash, Payload, Principal, Revision, Sequence};
use journeyman_journal::{Append, Error, Expected, Filter, Journal};

const MIB: usize = 1 << 20;

async fn refused(journal: &Journal, principal: &Principal, append: Append) -> Error {
    let before = journal.head(&Principal::system()).await.unwrap();
    let error = journal.append(principal, append).await.unwrap_err();
    assert_eq!(
        journal.head(&Principal::system()).await.unwrap(),
        before,
        "nothing is written"
    );
    error
}

fn field(error: &Error) -> &'static str {
    match error {
        Error::Invalid(invalid) => invalid.field,
        other => panic!("{other:?} names no field"),
    }
}

pub async fn sequences_and_revisions_have_no_gap(store: Fresh) {
    let (_store, journal) = fresh(store);
    let (me, make) = (Principal::local(), Maker::new(1));
    for (task, count) in [("t-1", 3), ("t-2", 1), ("t-1", 2), ("t-2", 2)] {
        journal
            .append(&me, make.append(&me, task, count))
            .await
            .unwrap();
    }
    let events = all(&journal, &me).await;
    assert_eq!(sequences(&events), [1, 2, 3, 4, 5, 6, 7, 8]);
    assert_eq!(revisions(&events), [1, 2, 3, 1, 4, 5, 2, 3]);
    assert_sound(&journal).await;
}

pub async fn an_append_answers_the_stored_events(store: Fresh) {
    let (_store, journal) = fresh(store);
    let (me, make) = (Principal::local(), Maker::new(1));
    let answer = journal
        .append(&me, make.append(&me, "t-1", 3))
        .await
        .unwrap();
    assert!(!answer.duplicate);
    assert_eq!(lines(&answer.events), lines(&all(&journal, &me).await));
}

pub async fn an_empty_store_reads_as_empty_and_beyond_the_end_there_is_nothing(store: Fresh) {
    let (_store, journal) = fresh(store);
    let (me, make) = (Principal::local(), Maker::new(1));
    assert!(all(&journal, &me).await.is_empty());
    assert_eq!(
        journal.head(&Principal::system()).await.unwrap().sequence,
        Sequence::ZERO
    );
    assert_sound(&journal).await;
    journal
        .append(&me, make.append(&me, "t-1", 1))
        .await
        .unwrap();
    for after in [1, 2, u64::MAX] {
        let page = journal
            .read(&me, &Filter::default(), Sequence(after), 10)
            .await
            .unwrap()
            .events;
        assert!(page.is_empty(), "after {after}");
    }
}

pub async fn reads_page_filter_and_go_both_ways(store: Fresh) {
    let (_store, journal) = fresh(store);
    let (me, make) = (Principal::local(), Maker::new(1));
    for n in 0..20 {
        let mut draft = make.draft(&me, if n % 2 == 0 { "t-1" } else { "t-2" }, "x");
        draft.module = (n % 5 == 0).then(|| "a.b".parse().unwrap());
        let task = draft.task_id.to_string();
        let one = append(&task, Expected::Any, vec![new_event(draft)]);
        journal.append(&me, one).await.unwrap();
    }
    let read = async |filter: Filter, after: u64, limit: usize| {
        sequences(
            &journal
                .read(&me, &filter, Sequence(after), limit)
                .await
                .unwrap()
                .events,
        )
    };
    let back = async |filter: Filter, before: u64, limit: usize| {
        let page = journal.read_backwards(&me, &filter, Sequence(before), limit);
        sequences(&page.await.unwrap().events)
    };
    let any = Filter::default;
    assert_eq!(read(any(), 4, 3).await, [5, 6, 7]);
    assert_eq!(read(any(), 4, 0).await, [0; 0]);
    assert_eq!(back(any(), 4, 10).await, [3, 2, 1]);
    assert_eq!(back(any(), u64::MAX, 2).await, [20, 19]);
    assert_eq!(read(crate::of_task("t-2"), 3, 3).await, [4, 6, 8]);
    assert_eq!(back(crate::of_task("t-1"), 6, 10).await, [5, 3, 1]);
    let module = Filter {
        module: Some("a.b".parse().unwrap()),
        ..any()
    };
    assert_eq!(read(module.clone(), 0, 2).await, [1, 6]);
    assert_eq!(read(module.clone(), 6, 100).await, [11, 16]);
    assert_eq!(back(module, 16, 2).await, [11, 6]);
    let until = Filter {
        until: Some(Sequence(5)),
        ..any()
    };
    assert_eq!(read(until, 3, 100).await, [4, 5]);
    let kinds = |kind: &str| Filter {
        kinds: vec!["no_such".into(), kind.into()],
        ..any()
    };
    assert_eq!(read(kinds("user_intervention"), 18, 100).await, [19, 20]);
    assert_eq!(read(kinds("task_failed"), 0, 100).await, [0; 0]);
}

pub async fn a_wrong_revision_is_a_conflict_and_writes_nothing(store: Fresh) {
    let (_store, journal) = fresh(store);
    let (me, make) = (Principal::local(), Maker::new(1));
    let first = append("t-1", at(0), make.events(&me, "t-1", 2));
    journal.append(&me, first).await.unwrap();
    for wrong in [0, 1, 3] {
        let late = append("t-1", at(wrong), make.events(&me, "t-1", 1));
        let error = refused(&journal, &me, late).await;
        assert!(error.is_conflict());
        let Error::WrongRevision {
            expected, actual, ..
        } = error
        else {
            panic!("{error:?}")
        };
        assert_eq!((expected, actual), (Revision(wrong), Revision(2)));
    }
    let unknown = append("t-2", at(1), make.events(&me, "t-2", 1));
    assert!(refused(&journal, &me, unknown).await.is_conflict());
    let right = append("t-1", at(2), make.events(&me, "t-1", 1));
    let answer = journal.append(&me, right).await.unwrap();
    assert_eq!(
        (sequences(&answer.events), revisions(&answer.events)),
        (vec![3], vec![3])
    );
    assert_eq!(journal.streams(&me, 10).await.unwrap().len(), 1);
}

pub async fn an_identical_retry_answers_the_first_positions(store: Fresh) {
    let (_store, journal) = fresh(store);
    let (me, make) = (Principal::local(), Maker::new(1));
    let one = append("t-1", at(0), make.events(&me, "t-1", 3));
    let first = journal.append(&me, one.clone()).await.unwrap();
    journal
        .append(&me, make.append(&me, "t-1", 1))
        .await
        .unwrap();
    // The ids are looked at before the revision, which is not 0 any more.
    let again = journal.append(&me, one.clone()).await.unwrap();
    assert!(again.duplicate);
    assert_eq!(lines(&again.events), lines(&first.events));
    let payloads = |events: &[journeyman_event::Event]| -> Vec<Payload> {
        events.iter().map(|event| event.payload().clone()).collect()
    };
    assert_eq!(payloads(&again.events), payloads(&first.events));
    assert_eq!(
        journal.head(&Principal::system()).await.unwrap().sequence,
        Sequence(4)
    );
    // A part of what was appended together is known and equal, too.
    let part = append("t-1", at(0), one.events[1..].to_vec());
    let part = journal.append(&me, part).await.unwrap();
    assert_eq!(
        (sequences(&part.events), part.duplicate),
        (vec![2, 3], true)
    );
}

pub async fn partly_known_ids_are_a_conflict(store: Fresh) {
    let (_store, journal) = fresh(store);
    let (me, make) = (Principal::local(), Maker::new(1));
    let mut events = make.events(&me, "t-1", 2);
    let known = events[1].id().to_string();
    journal
        .append(&me, append("t-1", Expected::Any, events.clone()))
        .await
        .unwrap();
    events.push(make.event(&me, "t-1", "new"));
    for events in [
        events[1..].to_vec(),
        vec![events[2].clone(), events[1].clone()],
    ] {
        let error = refused(&journal, &me, append("t-1", Expected::Any, events)).await;
        assert!(error.is_conflict());
        assert_eq!(error, Error::IdInUse { id: known.clone() });
    }
}

pub async fn a_known_id_with_anything_else_changed_is_a_conflict(store: Fresh) {
    let (_store, journal) = fresh(store);
    let (me, other, make) = (Principal::local(), user("other"), Maker::new(1));
    let draft = make.draft(&me, "t-1", "first");
    let first = append("t-1", Expected::Any, vec![new_event(draft.clone())]);
    journal.append(&me, first).await.unwrap();
    let changed = |change: &dyn Fn(&mut journeyman_event::Draft)| {
        let mut draft = draft.clone();
        change(&mut draft);
        let task = draft.task_id.to_string();
        append(&task, Expected::Any, vec![new_event(draft)])
    };
    let text = make.draft(&me, "t-1", "second").payload;
    for changed in [
        changed(&|draft| draft.payload = text.clone()),
        changed(&|draft| draft.task_id = "t-2".parse().unwrap()),
        changed(&|draft| draft.actor = "tester".into()),
        changed(&|draft| draft.module = Some("m".parse().unwrap())),
        changed(&|draft| draft.code_version = 1),
        changed(&|draft| draft.causation_id = Some(draft.id)),
    ] {
        let error = refused(&journal, &me, changed).await;
        assert_eq!(
            error,
            Error::IdInUse {
                id: draft.id.to_string()
            }
        );
    }
    let theirs = changed(&|draft| draft.owner = other.owner().clone());
    assert!(refused(&journal, &other, theirs).await.is_conflict());
}

pub async fn a_bad_append_names_its_field(store: Fresh) {
    let (_store, journal) = fresh(store);
    let (me, other, make) = (Principal::local(), user("other"), Maker::new(1));
    let any = |task: &str, events| append(task, Expected::Any, events);

    let theirs = any("t-1", make.events(&other, "t-1", 1));
    assert_eq!(field(&refused(&journal, &me, theirs).await), "owner");
    let elsewhere = any(
        "t-1",
        vec![make.event(&me, "t-1", ""), make.event(&me, "t-2", "")],
    );
    assert_eq!(field(&refused(&journal, &me, elsewhere).await), "task_id");
    let once = make.event(&me, "t-1", "");
    let twice = any("t-1", vec![once.clone(), once]);
    assert_eq!(field(&refused(&journal, &me, twice).await), "id");
    let large = any("t-1", vec![make.event(&me, "t-1", &"x".repeat(10 * MIB))]);
    assert_eq!(field(&refused(&journal, &me, large).await), "data");

    for count in [0, 1_001] {
        let error = refused(&journal, &me, make.append(&me, "t-1", count)).await;
        assert!(matches!(error, Error::BadAppend { .. }), "{error:?}");
        assert!(error.to_string().contains(&format!("{count} events")));
    }
    let mut blob = make.append(&me, "t-1", 1);
    blob.blobs = vec![Bytes::from(vec![0; 10 * MIB + 1])];
    let error = refused(&journal, &me, blob).await;
    assert!(error.to_string().contains("blob"), "{error}");

    journal
        .append(&me, make.append(&me, "t-1", 1_000))
        .await
        .unwrap();
    assert_eq!(
        journal.head(&Principal::system()).await.unwrap().sequence,
        Sequence(1_000)
    );
}

pub async fn streams_of_the_system_are_written_by_the_system_only(store: Fresh) {
    let (_store, journal) = fresh(store);
    let (me, system, make) = (Principal::local(), Principal::system(), Maker::new(1));
    for principal in [&me, &user("system")] {
        let error = refused(&journal, principal, make.append(principal, "sys.audit", 1)).await;
        assert!(matches!(error, Error::Forbidden { .. }), "{error:?}");
    }
    journal
        .append(&system, make.append(&system, "sys.audit", 1))
        .await
        .unwrap();
    assert!(all(&journal, &me).await.is_empty());
}

pub async fn a_large_payload_is_kept_as_a_blob_and_read_whole(store: Fresh) {
    let (_store, journal) = fresh(store);
    let (me, make) = (Principal::local(), Maker::new(1));
    let event = make.event(&me, "t-1", &"ä\n".repeat(MIB / 2));
    let (data, hash) = (
        event.data().to_owned(),
        ContentHash::of(event.data().as_bytes()),
    );
    let one = append("t-1", at(0), vec![event, make.event(&me, "t-1", "small")]);
    let answer = journal.append(&me, one.clone()).await.unwrap();
    let reference = format!("{{\"blob\":\"{hash}\",\"bytes\":{}}}", data.len());
    assert_eq!(answer.events[0].data(), reference);

    let read = all(&journal, &me).await;
    assert_eq!(read[0].data(), reference, "the line is never made again");
    assert_eq!(read[0].payload(), answer.events[0].payload());
    assert_eq!(read[0].payload().to_json().unwrap(), data);
    assert_eq!(
        journal.blob(&me, hash).await.unwrap(),
        Some(Bytes::from(data))
    );

    let again = journal.append(&me, one).await.unwrap();
    assert!(again.duplicate);
    assert_eq!(lines(&again.events), lines(&answer.events));
    assert_eq!(again.events[0].payload(), answer.events[0].payload());
    assert_sound(&journal).await;
}

pub async fn one_mebibyte_of_data_stays_in_the_line_and_ten_are_taken(store: Fresh) {
    let (_store, journal) = fresh(store);
    let (me, make) = (Principal::local(), Maker::new(1));
    let around = make.event(&me, "t-1", "").data().len();
    for (bytes, is_blob) in [(MIB, false), (MIB + 1, true), (10 * MIB, true)] {
        let event = make.event(&me, "t-1", &"x".repeat(bytes - around));
        assert_eq!(event.data().len(), bytes);
        let one = append("t-1", Expected::Any, vec![event]);
        let answer = journal.append(&me, one).await.unwrap();
        assert_eq!(answer.events[0].blob().is_some(), is_blob, "{bytes}");
    }
    assert_sound(&journal).await;
}

/// Otherwise data that looks like the journal's own reference could make the whole store unreadable.
pub async fn a_reference_to_a_blob_that_the_owner_does_not_have_is_refused(store: Fresh) {
    let (_store, journal) = fresh(store);
    let (me, other, make) = (Principal::local(), user("other"), Maker::new(1));
    let text = Bytes::from_static(b"{\"from\":\"elsewhere\"}");
    let data = format!(
        "{{\"blob\":\"{}\",\"bytes\":{}}}",
        ContentHash::of(&text),
        text.len()
    );
    let cites = |principal: &Principal| {
        let mut draft = make.draft(principal, "t-1", "");
        draft.payload = Payload::Unknown {
            kind: "from_the_future".into(),
            data: data.clone(),
        };
        append("t-1", Expected::Any, vec![new_event(draft)])
    };
    assert_eq!(field(&refused(&journal, &me, cites(&me)).await), "data");
    let with_blob = Append {
        blobs: vec![text.clone()],
        ..cites(&me)
    };
    journal.append(&me, with_blob.clone()).await.unwrap();
    assert!(journal.append(&me, with_blob).await.unwrap().duplicate);
    journal.append(&me, cites(&me)).await.unwrap();
    assert_eq!(
        field(&refused(&journal, &other, cites(&other)).await),
        "data"
    );
    let read = all(&journal, &me).await;
    assert_eq!(read[0].payload().to_json().unwrap(), text);
    assert_eq!(read.len(), 2);
    assert_sound(&journal).await;
}

pub async fn unicode_newlines_and_unknown_kinds_come_back_as_they_were(store: Fresh) {
    let (_store, journal) = fresh(store);
    let (me, make) = (Principal::local(), Maker::new(1));
    let mut draft = make.draft(
        &me,
        "t-1",
        "\u{0} \u{2028} \"data\": {\"hash\":\"x\"} \u{1F600}\n",
    );
    let mut events = vec![new_event(draft.clone())];
    draft = make.draft(&me, "t-1", "");
    draft.payload = Payload::Unknown {
        kind: "later".into(),
        data: "{ \"a\" : [1.0, 1e3] }".into(),
    };
    events.push(new_event(draft));
    let one = append("t-1", Expected::Any, events.clone());
    let answer = journal.append(&me, one.clone()).await.unwrap();
    let read = all(&journal, &me).await;
    assert_eq!(lines(&read), lines(&answer.events));
    for (read, event) in read.iter().zip(&events) {
        assert_eq!(read.data(), event.data());
    }
    assert!(journal.append(&me, one).await.unwrap().duplicate);
    assert_sound(&journal).await;
}

pub async fn the_summary_is_listed_and_stays_until_it_is_replaced(store: Fresh) {
    let (_store, journal) = fresh(store);
    let (me, make) = (Principal::local(), Maker::new(1));
    let mut listed = Vec::new();
    for summary in [
        None,
        Some(b"one".to_vec()),
        None,
        Some(b"two".to_vec()),
        Some(Vec::new()),
    ] {
        let append = Append {
            summary,
            ..make.append(&me, "t-1", 1)
        };
        journal.append(&me, append).await.unwrap();
        listed.push(journal.streams(&me, 10).await.unwrap()[0].summary.clone());
    }
    let some = |text: &[u8]| Some(text.to_vec());
    assert_eq!(
        listed,
        [None, some(b"one"), some(b"one"), some(b"two"), some(b"")]
    );
    journal
        .append(&me, make.append(&me, "t-2", 2))
        .await
        .unwrap();
    let streams = journal.streams(&me, 10).await.unwrap();
    let names: Vec<&str> = streams
        .iter()
        .map(|stream| stream.task_id.as_str())
        .collect();
    assert_eq!(
        names,
        ["t-2", "t-1"],
        "the one that was last written to first"
    );
    assert_eq!(
        (streams[0].revision, streams[0].sequence),
        (Revision(2), Sequence(7))
    );
    assert_eq!(journal.streams(&me, 1).await.unwrap().len(), 1);
    let next = journal.streams_before(&me, Sequence(7), 10).await.unwrap();
    assert_eq!((next.len(), next[0].task_id.as_str()), (1, "t-1"));
    let end = journal.streams_before(&me, next[0].sequence, 10).await;
    assert!(end.unwrap().is_empty());
}

pub async fn blobs_are_per_owner_and_stored_once(store: Fresh) {
    let (_store, journal) = fresh(store);
    let (me, other, make) = (Principal::local(), user("other"), Maker::new(1));
    let text = Bytes::from_static(b"a text that events cite");
    let hash = ContentHash::of(&text);
    for _ in 0..2 {
        let cites = Append {
            blobs: vec![text.clone(); 2],
            ..make.append(&me, "t-1", 1)
        };
        journal.append(&me, cites).await.unwrap();
    }
    assert_eq!(journal.blob(&me, hash).await.unwrap(), Some(text.clone()));
    assert_eq!(journal.blob(&other, hash).await.unwrap(), None);
    assert_eq!(
        journal.blob(&me, ContentHash::of(b"other")).await.unwrap(),
        None
    );
    let cites = Append {
        blobs: vec![text.clone()],
        ..make.append(&other, "t-1", 1)
    };
    journal.append(&other, cites).await.unwrap();
    assert_eq!(journal.blob(&other, hash).await.unwrap(), Some(text));
}

pub async fn an_append_whose_caller_went_away_is_written_all_the_same(store: Fresh) {
    let (_store, journal) = fresh(store);
    let (me, make) = (Principal::local(), Maker::new(1));
    let one = make.append(&me, "t-1", 1);
    let mut call = Box::pin(journal.append(&me, one.clone()));
    // Polled once, which hands the append over, then dropped.
    let polled = std::future::poll_fn(|context| {
        std::task::Poll::Ready(call.as_mut().poll(context).is_pending())
    });
    polled.await;
    drop(call);
    journal
        .append(&me, make.append(&me, "t-2", 1))
        .await
        .unwrap();
    let again = journal.append(&me, one).await.unwrap();
    assert!(again.duplicate);
    assert_eq!(sequences(&again.events), [1]);
}

/// The matches are farther apart than the number of lines read from an engine at a time.
pub async fn what_a_filter_takes_is_found_however_far_apart_it_lies(store: Fresh) {
    let (_store, journal) = fresh(store);
    let (me, make) = (Principal::local(), Maker::new(1));
    let matches = [1_u64, 600, 1_250];
    for hundred in 0..13 {
        let events = (1..=100).map(|n| {
            let mut draft = make.draft(&me, "t-1", "x");
            if matches.contains(&(hundred * 100 + n)) {
                draft.actor = "seldom".into();
            }
            new_event(draft)
        });
        let append = append("t-1", Expected::Any, events.collect());
        journal.append(&me, append).await.unwrap();
    }
    let filter = Filter {
        actor: Some("seldom".to_owned()),
        ..Filter::default()
    };
    for limit in [1, 2, 10] {
        let (mut forwards, mut backwards) = (Vec::new(), Vec::new());
        let mut after = Sequence::ZERO;
        loop {
            let page = journal.read(&me, &filter, after, limit).await.unwrap();
            forwards.extend(sequences(&page.events));
            if page.ended {
                break;
            }
            after = Sequence(*forwards.last().unwrap());
        }
        let mut before = Sequence(u64::MAX);
        loop {
            let page = journal.read_backwards(&me, &filter, before, limit);
            let page = page.await.unwrap();
            backwards.extend(sequences(&page.events));
            if page.ended {
                break;
            }
            before = Sequence(*backwards.last().unwrap());
        }
        assert_eq!(forwards, matches, "{limit} at a time");
        backwards.reverse();
        assert_eq!(backwards, matches, "{limit} at a time");
    }
}

/// A read returns a bounded number of bytes, and the next read returns the rest.
pub async fn large_events_come_in_small_pages(store: Fresh) {
    let (_store, journal) = fresh(store);
    let (me, make) = (Principal::local(), Maker::new(1));
    for mib in [9, 1, 9, 1, 1, 9, 1] {
        let event = make.event(&me, "t-1", &"x".repeat(mib * MIB - 1_000));
        let append = append("t-1", Expected::Any, vec![event]);
        journal.append(&me, append).await.unwrap();
    }
    let (mut seen, mut pages) = (Vec::new(), 0);
    loop {
        let after = Sequence(seen.last().copied().unwrap_or(0));
        let all = Filter::default();
        let page = journal.read(&me, &all, after, 1_000).await.unwrap();
        assert!(page.events.len() < 5, "{}", page.events.len());
        seen.extend(sequences(&page.events));
        pages += 1;
        if page.ended {
            break;
        }
    }
    assert_eq!(seen, [1, 2, 3, 4, 5, 6, 7]);
    assert!(pages >= 2);
    let mut subscription = journal.subscribe(&me, Filter::default(), Sequence::ZERO);
    for expected in seen {
        assert_eq!(subscription.next().await.unwrap().sequence().0, expected);
    }
}
