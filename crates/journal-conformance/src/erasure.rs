//! What was erased is gone, and the rest is as it was.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use bytes::Bytes;
use journeyman_event::{
    ContentHash, Event, Owner, Payload, Principal, Revision, SeededRandom, Sequence, SteppedTime,
    TaskId,
};
use journeyman_journal::{
    Append, Erased, Error, Expected, Filter, Format, Journal, Makers, Snapshot, StreamName,
    VerifyReport,
};

use crate::{
    Fresh, Maker, all, append, assert_sound, fresh, lines, of_task, revisions, sequences, user,
};

/// Where records get their time and names from.
struct Source(SteppedTime, SeededRandom);

impl Source {
    /// Each makes other names.
    fn new() -> Self {
        static SEED: AtomicU64 = AtomicU64::new(1_000);
        let seed = SEED.fetch_add(1, Ordering::Relaxed);
        Self(SteppedTime::default(), SeededRandom::new(seed))
    }

    fn makers(&self) -> Makers<'_> {
        Makers {
            time: &self.0,
            randomness: &self.1,
        }
    }
}

fn stream(principal: &Principal, task: &str) -> StreamName {
    StreamName::of(principal.owner(), &TaskId::new(task).unwrap())
}

/// Records that a stream of so many events is erased.
async fn begin(
    journal: &Journal,
    principal: &Principal,
    task: &str,
    revision: u64,
) -> Result<Erased, Error> {
    let (source, name) = (Source::new(), stream(principal, task));
    let revision = Revision(revision);
    journal
        .begin_erasure(
            principal,
            &name,
            revision,
            "a wish",
            Vec::new(),
            source.makers(),
        )
        .await
}

/// Records it and takes away what the stream said.
async fn erase(journal: &Journal, principal: &Principal, task: &str, revision: u64) -> Erased {
    let erased = begin(journal, principal, task, revision).await.unwrap();
    finish(journal).await.unwrap();
    erased
}

async fn finish(journal: &Journal) -> Result<u64, Error> {
    journal.finish_erasures(Source::new().makers()).await
}

async fn verified(journal: &Journal) -> VerifyReport {
    let report = journal.verify(&Principal::system(), None).await.unwrap();
    assert_eq!(report.first_bad, None);
    report
}

fn gone(answer: Result<impl std::fmt::Debug, Error>) -> Erased {
    match answer {
        Err(Error::Erased(erased)) => *erased,
        other => panic!("{other:?}"),
    }
}

pub async fn an_erased_stream_keeps_its_places_and_hashes_and_says_nothing(store: Fresh) {
    let (store, mut journal) = fresh(store);
    let (me, other, make) = (Principal::local(), user("ada"), Maker::new(1));
    for round in 0..3 {
        for (principal, task) in [(&me, "t-1"), (&me, "t-2"), (&other, "t-1")] {
            let text = format!("secret of {} {task} {round}", principal.owner());
            let events = vec![make.event(principal, task, &text)];
            let append = Append {
                summary: Some(text.into_bytes()),
                ..append(task, Expected::Any, events)
            };
            journal.append(principal, append).await.unwrap();
        }
    }
    let large = make.event(&me, "t-1", &"large secret ".repeat(100_000));
    let append = append("t-1", Expected::Any, vec![large]);
    journal.append(&me, append).await.unwrap();
    let before = all(&journal, &Principal::system()).await;
    let erased = erase(&journal, &me, "t-1", 4).await;
    assert_eq!((erased.events, erased.sequence), (4, Sequence(11)));
    assert_eq!((erased.by.as_str(), &*erased.reason), ("local", "a wish"));
    for _ in 0..2 {
        let after = all(&journal, &Principal::system()).await;
        // Two records came, of the beginning and the end.
        assert_eq!(after.len(), before.len() + 2);
        let mine = |event: &Event| event.owner() == me.owner() && event.task_id().as_str() == "t-1";
        for (old, new) in before.iter().zip(&after) {
            assert_eq!((old.hash(), old.id()), (new.hash(), new.id()));
            assert_eq!(
                (old.kind(), old.occurred_at()),
                (new.kind(), new.occurred_at())
            );
            if mine(old) {
                assert_eq!(new.erased(), Some(after[10].id()));
                assert!(matches!(new.payload(), Payload::Erased { .. }));
                assert!(!new.line().contains("secret"), "{}", new.line());
            } else {
                assert_eq!(old.line(), new.line());
            }
        }
        assert_eq!(sequences(&after), (1..=12).collect::<Vec<u64>>());
        // To its owner it is gone; what else is theirs is not, and nobody else notices.
        let of_one = journal.read(&me, &of_task("t-1"), Sequence::ZERO, 10).await;
        assert_eq!(gone(of_one), erased);
        let task = TaskId::new("t-1").unwrap();
        assert_eq!(
            journal.erasure(&me, &task).await.unwrap().as_ref(),
            Some(&erased)
        );
        assert_eq!(journal.erasure(&other, &task).await.unwrap(), None);
        assert_eq!(all(&journal, &me).await.len(), 7);
        let theirs = journal
            .read(&other, &of_task("t-1"), Sequence::ZERO, 10)
            .await;
        assert_eq!(revisions(&theirs.unwrap().events), [1, 2, 3]);
        let listed = journal.streams(&me, 10).await.unwrap();
        assert_eq!(listed.len(), 1);
        assert_eq!(listed[0].task_id.as_str(), "t-2");
        let report = verified(&journal).await;
        assert_eq!((report.events, report.erased, report.erasures), (12, 4, 1));
        assert_eq!(report.erasures_unfinished, 0);
        // The same in a journal that is opened again.
        drop(journal);
        journal = store.open();
    }
}

pub async fn an_erased_stream_is_closed_to_everything(store: Fresh) {
    let (_store, journal) = fresh(store);
    let (me, make, task) = (
        Principal::local(),
        Maker::new(1),
        TaskId::new("t-1").unwrap(),
    );
    let first = make.append(&me, "t-1", 3);
    let events = journal.append(&me, first.clone()).await.unwrap().events;
    let snapshot = Snapshot::after(&events[2], Bytes::from_static(b"secret"));
    journal
        .keep_snapshot(&me, &task, snapshot.clone())
        .await
        .unwrap();
    // Only where it stands is it erased, and only by who owns it.
    for (principal, revision) in [(&me, 2), (&me, 4), (&user("ada"), 3)] {
        let refused = begin(&journal, principal, "t-1", revision).await;
        assert!(
            matches!(refused, Err(Error::WrongRevision { .. })),
            "{refused:?}"
        );
    }
    let theirs = StreamName::of(&Owner::new("ada").unwrap(), &task);
    let source = Source::new();
    let refused = journal
        .begin_erasure(&me, &theirs, Revision(3), "", Vec::new(), source.makers())
        .await;
    assert!(
        matches!(refused, Err(Error::Forbidden { .. })),
        "{refused:?}"
    );
    let erased = begin(&journal, &me, "t-1", 3).await.unwrap();
    // From the record on, before anything was taken away.
    for _ in 0..2 {
        let again = begin(&journal, &me, "t-1", 3).await;
        assert_eq!(gone(again), erased);
        assert_eq!(gone(journal.append(&me, first.clone()).await), erased);
        let more = make.append(&me, "t-1", 1);
        assert_eq!(gone(journal.append(&me, more).await), erased);
        let newest = Sequence(u64::MAX);
        assert_eq!(journal.snapshot(&me, &task, newest).await.unwrap(), None);
        journal
            .keep_snapshot(&me, &task, snapshot.clone())
            .await
            .unwrap();
        assert_eq!(journal.snapshot(&me, &task, newest).await.unwrap(), None);
        let mut export = journal.export(&me, of_task("t-1"), Format::Stored);
        assert_eq!(gone(export.next().await), erased);
        finish(&journal).await.unwrap();
    }
    assert_eq!(finish(&journal).await.unwrap(), 0, "there is nothing left");
    verified(&journal).await;
}

pub async fn of_an_append_and_an_erasure_at_once_one_comes_first(store: Fresh) {
    let (_store, journal) = fresh(store);
    let (me, make) = (Principal::local(), Maker::new(1));
    for round in 0..20 {
        let task = format!("t-{round}");
        let (one, more) = (make.append(&me, &task, 1), make.append(&me, &task, 1));
        journal.append(&me, one).await.unwrap();
        let (appended, erased) =
            tokio::join!(journal.append(&me, more), begin(&journal, &me, &task, 1));
        match (&appended, &erased) {
            (Ok(_), Err(Error::WrongRevision { actual, .. })) => assert_eq!(*actual, Revision(2)),
            (Err(Error::Erased(one)), Ok(other)) => assert_eq!(&**one, other),
            other => panic!("{other:?}"),
        }
    }
    finish(&journal).await.unwrap();
    verified(&journal).await;
}

/// An event that cites a text.
async fn cite(journal: &Journal, maker: &Maker, principal: &Principal, task: &str, text: &str) {
    let cited = ContentHash::of(text.as_bytes()).to_string();
    let append = Append {
        blobs: vec![Bytes::from(text.to_owned())],
        ..append(
            task,
            Expected::Any,
            vec![maker.event(principal, task, &cited)],
        )
    };
    journal.append(principal, append).await.unwrap();
}

pub async fn a_text_goes_when_nothing_cites_it_any_more(store: Fresh) {
    let (_store, journal) = fresh(store);
    let (me, other, make) = (Principal::local(), user("ada"), Maker::new(1));
    let is_there = async |principal: &Principal, text: &str| {
        let hash = ContentHash::of(text.as_bytes());
        journal.blob(principal, hash).await.unwrap().is_some()
    };
    cite(&journal, &make, &me, "t-1", "alone").await;
    cite(&journal, &make, &me, "t-1", "shared").await;
    cite(&journal, &make, &me, "t-2", "shared").await;
    cite(&journal, &make, &other, "t-1", "alone").await;
    // One that only a payload cites which is itself a text.
    let nested = ContentHash::of(b"nested").to_string();
    for (task, filling) in [("t-1", "x"), ("t-3", "y")] {
        let large = format!("{nested} {}", filling.repeat(2 << 20));
        let append = Append {
            blobs: vec![Bytes::from_static(b"nested")],
            ..append(task, Expected::Any, vec![make.event(&me, task, &large)])
        };
        journal.append(&me, append).await.unwrap();
    }
    erase(&journal, &me, "t-1", 3).await;
    let there = [
        is_there(&me, "alone").await,
        is_there(&me, "shared").await,
        is_there(&me, "nested").await,
        is_there(&other, "alone").await,
    ];
    assert_eq!(there, [false, true, true, true]);
    // It comes again with who brings it, and stays.
    cite(&journal, &make, &me, "t-4", "alone").await;
    erase(&journal, &me, "t-2", 1).await;
    erase(&journal, &me, "t-3", 1).await;
    let there = [
        is_there(&me, "alone").await,
        is_there(&me, "shared").await,
        is_there(&me, "nested").await,
    ];
    assert_eq!(there, [true, false, false]);
    assert_eq!(all(&journal, &me).await.len(), 6);
    verified(&journal).await;
}

pub async fn a_text_that_is_cited_while_it_is_looked_for_stays(store: Fresh) {
    let (_store, journal) = fresh(store);
    let (me, make) = (Principal::local(), Maker::new(1));
    for round in 0..10 {
        let (task, text) = (format!("t-{round}"), format!("text {round}"));
        cite(&journal, &make, &me, &task, &text).await;
        begin(&journal, &me, &task, 1).await.unwrap();
        let again = async {
            for other in 0..20 {
                tokio::task::yield_now().await;
                cite(&journal, &make, &me, &format!("u-{round}-{other}"), &text).await;
            }
        };
        let (finished, ()) = tokio::join!(finish(&journal), again);
        finished.unwrap();
        let kept = journal.blob(&me, ContentHash::of(text.as_bytes())).await;
        assert!(kept.unwrap().is_some(), "{text}");
    }
    assert_eq!(verified(&journal).await.erased, 10);
}

pub async fn what_follows_an_erased_stream_ends_and_what_follows_all_goes_on(store: Fresh) {
    let (store, journal) = fresh(store);
    let (me, make) = (Principal::local(), Maker::new(1));
    let reader = store.open_read_only();
    for task in ["t-1", "t-2"] {
        let three = make.append(&me, task, 3);
        journal.append(&me, three).await.unwrap();
    }
    let mut of_one = journal.subscribe(&me, of_task("t-1"), Sequence::ZERO);
    let mut beside = reader.subscribe(&me, of_task("t-1"), Sequence::ZERO);
    let mut of_other = journal.subscribe(&me, of_task("t-2"), Sequence(3));
    let mut of_all = journal.subscribe(&me, Filter::default(), Sequence::ZERO);
    for subscription in [&mut of_one, &mut beside] {
        for expected in 1..=3 {
            assert_eq!(subscription.next().await.unwrap().sequence().0, expected);
        }
    }
    // One waits while it happens, one comes later, one is in the middle.
    let (ended, erased) = tokio::join!(of_one.next(), erase(&journal, &me, "t-1", 3));
    assert_eq!(gone(ended), erased);
    assert_eq!(gone(beside.next().await), erased);
    let mut late = journal.subscribe(&me, of_task("t-1"), Sequence::ZERO);
    assert_eq!(gone(late.next().await), erased);
    assert_eq!(gone(of_one.next().await), erased);
    let more = make.append(&me, "t-2", 1);
    journal.append(&me, more).await.unwrap();
    for expected in [4, 5, 6, 9] {
        assert_eq!(of_other.next().await.unwrap().sequence().0, expected);
    }
    let mut seen = Vec::new();
    while seen.len() < 7 {
        seen.push(of_all.next().await.unwrap());
    }
    assert_eq!(sequences(&seen), [1, 2, 3, 4, 5, 6, 9]);
    assert!(seen[..3].iter().all(|event| event.erased().is_some()));
}

pub async fn what_was_erased_is_in_no_export_and_comes_back_by_no_import(store: Fresh) {
    let (_store, journal) = fresh(store);
    let (me, system, make) = (Principal::local(), Principal::system(), Maker::new(1));
    let texts = async |journal: &Journal| {
        let mut export = journal.export(&system, Filter::default(), Format::Stored);
        let mut texts = Vec::new();
        loop {
            let next = export.next().await.unwrap();
            if next.is_empty() {
                assert_eq!(export.left_out().0, 0);
                return (texts, export.erased());
            }
            texts.extend(next);
        }
    };
    for round in 0..3 {
        cite(&journal, &make, &me, "t-1", &format!("secret {round}")).await;
        cite(&journal, &make, &me, "t-2", &format!("text {round}")).await;
    }
    let (before, erased) = texts(&journal).await;
    assert_eq!(erased, 0);
    erase(&journal, &me, "t-1", 3).await;
    let (after, erased) = texts(&journal).await;
    assert_eq!(erased, 3);
    assert!(!after.concat().contains("secret"));
    // A copy of before brings nothing back here.
    let mut import = journal.import(&system);
    for line in &before {
        import.line(line.as_bytes()).await.unwrap();
    }
    let done = import.finish().await.unwrap();
    assert_eq!((done.events, done.known, done.refused), (0, 3, 3));
    assert!(done.refusals[0].reason.contains("was erased"));
    let hash = ContentHash::of(b"secret 0");
    assert_eq!(journal.blob(&me, hash).await.unwrap(), None);
    verified(&journal).await;
    // Elsewhere the rest is taken, the records among it, which are about nothing there.
    let (_elsewhere, second) = fresh(store);
    let mut import = second.import(&system);
    for line in &after {
        import.line(line.as_bytes()).await.unwrap();
    }
    let done = import.finish().await.unwrap();
    assert_eq!((done.events, done.refused), (5, 0), "{:?}", done.refusals);
    assert_eq!(finish(&second).await.unwrap(), 0);
    let report = verified(&second).await;
    assert_eq!((report.erased, report.erasures), (0, 0));
    // Nor does a copy of before bring it there, where the record of its erasure is.
    let mut import = second.import(&system);
    for line in &before {
        import.line(line.as_bytes()).await.unwrap();
    }
    let done = import.finish().await.unwrap();
    assert_eq!((done.events, done.known, done.refused), (0, 3, 3));
    let why = &done.refusals[0].reason;
    assert!(why.contains("was erased in the store"), "{why}");
    let own = make.append(&me, "t-1", 1);
    second.append(&me, own).await.unwrap();
    // An erased line is no event that could be taken in.
    let erased = all(&journal, &system).await;
    let mut import = second.import(&system);
    for line in [&before[0], &erased[0].line().to_owned()] {
        import.line(line.as_bytes()).await.unwrap();
    }
    let done = import.finish().await.unwrap();
    assert_eq!((done.events, done.refused), (0, 1));
}

pub async fn an_erasure_that_was_cut_off_goes_on_from_its_record(store: Fresh) {
    let (store, journal) = fresh(store);
    let (me, make) = (Principal::local(), Maker::new(1));
    let texts = make.append(&me, "t-1", 700);
    journal.append(&me, texts).await.unwrap();
    let whole = lines(&all(&journal, &me).await);
    begin(&journal, &me, "t-1", 700).await.unwrap();
    let report = verified(&journal).await;
    assert_eq!(
        (report.erasures, report.erasures_unfinished, report.erased),
        (1, 1, 0)
    );
    // Given up somewhere on the way, as by who goes away; each time a little further.
    for patience in 1..12 {
        let source = Source::new();
        let finishing = journal.finish_erasures(source.makers());
        tokio::pin!(finishing);
        for _ in 0..patience {
            let soon = Duration::from_millis(1);
            if tokio::time::timeout(soon, &mut finishing).await.is_ok() {
                break;
            }
        }
        let report = verified(&journal).await;
        assert_eq!((report.events >= 701, report.erasures), (true, 1));
    }
    drop(journal);
    let journal = store.open();
    finish(&journal).await.unwrap();
    let report = verified(&journal).await;
    assert_eq!((report.erasures_unfinished, report.erased), (0, 700));
    let left = lines(&all(&journal, &me).await);
    assert!(left.iter().zip(&whole).all(|(now, before)| now != before));
    assert_sound(&journal).await;
}
