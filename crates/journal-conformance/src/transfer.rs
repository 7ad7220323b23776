//! Tests that exports can be imported again, and that errors in them are reported.

use crate::{Fresh, Maker, all, append, assert_sound, fresh, lines, user};
use bytes::Bytes;
use journeyman_event::{ContentHash, Event, Principal};
use journeyman_journal::{Append, Expected, Filter, Format, ImportReport, Journal};

async fn export(journal: &Journal, principal: &Principal, format: Format) -> Vec<String> {
    let mut export = journal.export(principal, Filter::default(), format);
    let mut lines = Vec::new();
    loop {
        let next = export.next().await.unwrap();
        if next.is_empty() {
            return lines;
        }
        lines.extend(next);
    }
}

async fn import(journal: &Journal, principal: &Principal, lines: &[String]) -> ImportReport {
    let mut import = journal.import(principal);
    for line in lines {
        import.line(line.as_bytes()).await.unwrap();
    }
    import.finish().await.unwrap()
}

/// Mixed streams of two owners, with a payload stored as a blob, texts that are referred to, and a summary.
async fn fill(journal: &Journal) {
    let make = Maker::new(1);
    let (me, other) = (Principal::local(), user("ada"));
    let cited = ContentHash::of(b"cited").to_string();
    let binary = ContentHash::of(&[0xff, 0xfe]).to_string();
    for round in 0..3 {
        let events = make.append(&me, "t-1", 400);
        journal.append(&me, events).await.unwrap();
        let texts =
            [&cited, &binary, &"é".repeat(1 << 20)].map(|text| make.event(&other, "t-1", text));
        let append = Append {
            blobs: vec![
                Bytes::from_static(b"cited"),
                Bytes::from_static(&[0xff, 0xfe]),
            ],
            summary: Some(format!("round {round}").into_bytes()),
            ..append("t-1", Expected::Any, texts.into())
        };
        journal.append(&other, append).await.unwrap();
    }
}

pub async fn a_store_is_the_same_after_export_and_import(store: Fresh) {
    let (system, ada) = (Principal::system(), user("ada"));
    let (_first_folder, first) = fresh(store);
    fill(&first).await;
    let before = all(&first, &system).await;
    for format in [Format::Stored, Format::CloudEvents] {
        let lines = export(&first, &system, format).await;
        assert!(lines.iter().all(|line| !line.contains('\n')));
        let (_folder, second) = fresh(store);
        // Its own history comes first: positions differ.
        let own = Maker::new(9).append(&system, "sys.own", 2);
        second.append(&system, own).await.unwrap();
        let done = import(&second, &system, &lines).await;
        assert_eq!(
            (done.events, done.known, done.refused),
            (1_209, 0, 0),
            "{:?}",
            done.refusals
        );
        let after = all(&second, &system).await;
        assert_eq!(after.len(), 2 + before.len());
        for (old, new) in before.iter().zip(&after[2..]) {
            assert_eq!(
                (old.id(), old.data(), old.clock()),
                (new.id(), new.data(), new.clock())
            );
            assert_eq!((old.owner(), old.task_id()), (new.owner(), new.task_id()));
            assert_eq!(
                (old.revision(), old.payload()),
                (new.revision(), new.payload())
            );
            let origin = new.origin().unwrap();
            assert_eq!((origin.sequence, origin.hash), (old.sequence(), old.hash()));
            assert_eq!(origin.store, first.store_id());
        }
        let blob = second.blob(&ada, ContentHash::of(b"cited")).await.unwrap();
        assert_eq!(blob.unwrap(), "cited");
        let streams = second.streams(&ada, 10).await.unwrap();
        assert_eq!(streams[0].summary.as_deref(), Some(&b"round 2"[..]));
        assert_sound(&second).await;
        // The same again changes nothing, and an import of what was imported keeps where it came from.
        let again = import(&second, &system, &lines).await;
        assert_eq!((again.events, again.known, again.refused), (0, 1_209, 0));
        let third_hand = export(&second, &ada, Format::Stored).await;
        let (_folder, third) = fresh(store);
        import(&third, &system, &third_hand).await;
        let origin = all(&third, &system).await[0].origin().unwrap().clone();
        assert_eq!(origin.store, first.store_id());
    }
}

/// The line numbers, from 1, of one owner's events.
fn events_of(lines: &[String], owner: &str) -> Vec<u64> {
    let owner = format!("\"owner\":\"{owner}\"");
    let numbered = (1..).zip(lines);
    let meant =
        numbered.filter(|(_, line)| line.starts_with("{\"schema\"") && line.contains(&owner));
    meant.map(|(number, _)| number).collect()
}

fn refused(done: &ImportReport) -> Vec<u64> {
    let mut lines: Vec<u64> = done.refusals.iter().map(|one| one.line).collect();
    lines.sort_unstable();
    lines
}

/// How a line is damaged.
type Spoilt = (&'static str, fn(&str) -> String);

pub async fn a_line_that_breaks_a_rule_is_named_with_those_that_come_after_it_in_its_stream(
    store: Fresh,
) {
    let system = Principal::system();
    let (_folder, first) = fresh(store);
    let make = Maker::new(1);
    for round in 0..3 {
        for (owner, count) in [(Principal::local(), 40), (user("ada"), 2)] {
            let text = Bytes::from(format!("text {round}"));
            let cites = make.event(&owner, "t-1", &ContentHash::of(&text).to_string());
            let mut events = make.events(&owner, "t-1", count);
            events.push(cites);
            let blobs = vec![text];
            let append = Append {
                blobs,
                ..append("t-1", Expected::Any, events)
            };
            first.append(&owner, append).await.unwrap();
        }
    }
    let lines = export(&first, &system, Format::Stored).await;
    let (local, ada) = (events_of(&lines, "local"), events_of(&lines, "ada"));
    let text = (1..)
        .zip(&lines)
        .find(|(_, line)| line.contains("\"text\":\"text 0\""));
    let text = text.unwrap().0;
    let spoilt: &[Spoilt] = &[
        ("a revision", |line| {
            line.replacen("\"revision\":", "\"revision\":-", 1)
        }),
        ("half of it", |line| line[..line.len() / 2].to_owned()),
        ("no JSON", |_| "{\"half\":".to_owned()),
        ("a path for a task", |line| line.replacen("t-1", "../t", 1)),
        ("a time to come", |line| line.replacen("2026-", "2926-", 1)),
        ("other data", |line| line.replacen("t-1 ", "t-2 ", 1)),
        ("no kind", |line| {
            line.replacen("\"user_intervention\"", "\"\"", 1)
        }),
        ("a NUL", |line| line.replacen("t-1 ", "t\0 ", 1)),
    ];
    for (what, spoil) in spoilt {
        let mut broken = lines.clone();
        let at = usize::try_from(local[60]).unwrap() - 1;
        broken[at] = spoil(&lines[at]);
        assert_ne!(broken[at], lines[at], "{what}");
        let (_folder, second) = fresh(store);
        let done = import(&second, &system, &broken).await;
        // Everything before it, and all of the other stream.
        assert_eq!(refused(&done), local[60..], "{what}: {:?}", done.refusals);
        assert_eq!(done.events, 60 + ada.len() as u64, "{what}");
        assert!(
            done.refusals
                .iter()
                .any(|one| one.reason.contains("revision 62"))
        );
        assert_sound(&second).await;
        // The whole file then brings what was missing, in order.
        let done = import(&second, &system, &lines).await;
        assert_eq!(
            (done.events, done.refused),
            (local.len() as u64 - 60, 0),
            "{what}"
        );
        for owner in [Principal::local(), user("ada")] {
            let ids = |events: Vec<Event>| events.iter().map(Event::id).collect::<Vec<_>>();
            let (before, after) = (all(&first, &owner).await, all(&second, &owner).await);
            assert_eq!(ids(before), ids(after), "{what}");
        }
        assert_sound(&second).await;
    }
    // A summary that was changed is refused alone, too.
    let (_summed_folder, summed) = fresh(store);
    fill(&summed).await;
    let mut broken = export(&summed, &system, Format::Stored).await;
    let shown = broken
        .iter_mut()
        .find(|line| line.starts_with("{\"stream\":"));
    let shown = shown.unwrap();
    *shown = shown.replacen("\"summary\":\"", "\"summary\":\"AAAA", 1);
    let (_folder, second) = fresh(store);
    let done = import(&second, &system, &broken).await;
    assert_eq!((done.events, done.refused), (1_209, 1));
    assert!(done.refusals[0].reason.contains("hash does not fit"));
    // A text that is not what it is called is refused alone: who cites it lives without.
    let mut broken = lines.clone();
    let at = usize::try_from(text).unwrap() - 1;
    broken[at] = broken[at].replace("text 0", "text 9");
    let (_folder, second) = fresh(store);
    let done = import(&second, &system, &broken).await;
    assert_eq!(refused(&done), [text]);
    assert_eq!(done.events, (local.len() + ada.len()) as u64);
}

pub async fn a_payload_that_is_missing_in_the_file_is_named(store: Fresh) {
    let (_folder, first) = fresh(store);
    fill(&first).await;
    let mut lines = export(&first, &Principal::system(), Format::Stored).await;
    let payload = lines.iter().position(|line| line.contains("\"text\":\"{"));
    lines[payload.unwrap()].clear();
    let ada = events_of(&lines, "ada");
    let (_folder, second) = fresh(store);
    let done = import(&second, &Principal::system(), &lines).await;
    assert_eq!(refused(&done), ada[2..], "it, and what comes after it");
    assert_eq!(done.events, 1_202);
    assert_sound(&second).await;
}

/// For a whole export, and for a partial one, whose lines are not next to their predecessors.
pub async fn an_exported_line_that_was_changed_does_not_fit_its_hash(store: Fresh) {
    let (_folder, first) = fresh(store);
    fill(&first).await;
    for (principal, format) in [
        (Principal::system(), Format::Stored),
        (Principal::system(), Format::CloudEvents),
        (user("ada"), Format::Stored),
        (user("ada"), Format::CloudEvents),
    ] {
        let lines = export(&first, &principal, format).await;
        let (_folder, second) = fresh(store);
        let done = import(&second, &principal, &lines).await;
        assert_eq!(done.refused, 0, "{:?}", done.refusals);
        // Every event of hers cites the same texts: the last citation is changed.
        let cited = format!("\"instruction\":\"{}\"", ContentHash::of(b"cited"));
        let at = lines
            .iter()
            .rposition(|line| line.contains(&cited))
            .unwrap();
        let mut changed = lines.clone();
        let other = format!("\"instruction\":\"{}\"", ContentHash::of(b"other"));
        changed[at] = changed[at].replace(&cited, &other);
        let (_folder, third) = fresh(store);
        let done = import(&third, &principal, &changed).await;
        let named = done
            .refusals
            .first()
            .map(|one| (one.line, one.reason.as_str()));
        let (line, reason) = named.unwrap();
        assert_eq!(line, at as u64 + 1, "{principal:?} {format:?}");
        assert!(reason.contains("hash does not fit"), "{reason}");
        assert_eq!(done.refused, 3, "with those after it in its stream");
    }
}

pub async fn tasks_of_two_stores_are_not_made_one(store: Fresh) {
    let (me, system) = (Principal::local(), Principal::system());
    let ((_a, a), (_b, b)) = (fresh(store), fresh(store));
    for (journal, seed) in [(&a, 1), (&b, 2)] {
        let make = Maker::new(seed);
        journal
            .append(&me, make.append(&me, "t-1", 3))
            .await
            .unwrap();
        journal
            .append(&me, make.append(&me, &format!("only-{seed}"), 2))
            .await
            .unwrap();
        let note = make.append(&system, "sys.alerts", 1);
        journal.append(&system, note).await.unwrap();
    }
    let before = lines(&all(&a, &me).await);
    let done = import(&a, &system, &export(&b, &system, Format::Stored).await).await;
    // The system's own stream is not a task.
    assert_eq!((done.events, done.refused), (3, 3));
    for one in &done.refusals {
        assert!(one.reason.contains("t-1") && one.reason.contains("another data folder"));
    }
    let after = lines(&all(&a, &me).await);
    assert_eq!(after[..before.len()], before[..]);
    assert_eq!(after.len(), before.len() + 2);
    assert_sound(&a).await;

    // A task that went on in both: what it went on with there has no place here.
    let (_c, c) = fresh(store);
    let exported = export(&a, &me, Format::Stored).await;
    assert_eq!(import(&c, &me, &exported).await.refused, 0);
    for (journal, seed) in [(&a, 3), (&c, 4)] {
        let more = Maker::new(seed).append(&me, "t-1", 2);
        journal.append(&me, more).await.unwrap();
    }
    let done = import(&c, &me, &export(&a, &me, Format::Stored).await).await;
    assert_eq!((done.events, done.known, done.refused), (0, 7, 2));
    assert_sound(&c).await;
}

pub async fn what_an_import_takes_is_text_however_its_lines_end(store: Fresh) {
    let (me, make) = (Principal::local(), Maker::new(1));
    let (_folder, first) = fresh(store);
    first.append(&me, make.append(&me, "t-1", 3)).await.unwrap();
    let lines = export(&first, &me, Format::Stored).await;
    let (_folder, second) = fresh(store);
    let mut import = second.import(&me);
    for (number, line) in lines.iter().enumerate() {
        let mark = if number == 0 { "\u{feff}" } else { "" };
        import
            .line(format!("{mark}{line}\r\n").as_bytes())
            .await
            .unwrap();
        import.line(b"\n").await.unwrap();
    }
    // Invalid UTF-8 is not replaced.
    let mut bytes = lines.last().unwrap().clone().into_bytes();
    let at = bytes.len() / 2;
    bytes[at] = 0xff;
    import.line(&bytes).await.unwrap();
    let done = import.finish().await.unwrap();
    assert_eq!((done.events, done.refused), (3, 1), "{:?}", done.refusals);
    assert!(done.refusals[0].reason.contains("UTF-8"));
}

/// A part of a stream does not match its summary.
pub async fn lists_show_nothing_of_a_stream_of_which_a_part_was_refused(store: Fresh) {
    let (_folder, first) = fresh(store);
    fill(&first).await;
    let ada = user("ada");
    let mut lines = export(&first, &ada, Format::Stored).await;
    let last = lines.pop().unwrap();
    let (_folder, second) = fresh(store);
    let summary = async || second.streams(&ada, 10).await.unwrap()[0].summary.clone();
    assert_eq!(import(&second, &ada, &lines).await.events, 8);
    assert_eq!(summary().await, None);
    lines.push(last);
    assert_eq!(import(&second, &ada, &lines).await.events, 1);
    assert_eq!(summary().await.as_deref(), Some(&b"round 2"[..]));
}

pub async fn nobody_imports_what_belongs_to_another_or_comes_from_nowhere(store: Fresh) {
    let (_folder, first) = fresh(store);
    fill(&first).await;
    let lines = export(&first, &Principal::system(), Format::Stored).await;
    let (_folder, second) = fresh(store);
    let ada = user("ada");
    let done = import(&second, &ada, &lines).await;
    assert_eq!((done.events, done.refused), (9, 1_200));
    assert!(done.refusals.len() <= 1_000 && done.refusals[0].reason.contains("local"));
    let (_folder, third) = fresh(store);
    let headless = import(&third, &Principal::system(), &lines[1..]).await;
    assert_eq!(headless.events, 0);
    assert!(headless.refusals[0].reason.contains("names the store"));
}
