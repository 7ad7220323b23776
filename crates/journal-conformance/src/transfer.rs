//! What is exported is imported again, and what is wrong with it is named.

use std::sync::Arc;

use crate::{Fresh, Maker, all, append, assert_sound, fresh, user};
use bytes::Bytes;
use journeyman_event::{ContentHash, Principal, SteppedTime};
use journeyman_journal::{Append, Expected, Filter, Format, Imported, Journal};

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

async fn import(journal: &Journal, principal: &Principal, lines: &[String]) -> Imported {
    let mut import = journal.import(principal, Arc::new(SteppedTime::default()));
    for line in lines {
        import.line(line).await.unwrap();
    }
    import.finish().await.unwrap()
}

/// Two owners' streams, mixed, with a payload that is a blob, cited texts and a summary.
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

pub async fn a_line_that_breaks_a_rule_is_named_and_loses_nothing_else(store: Fresh) {
    let system = Principal::system();
    let (_folder, first) = fresh(store);
    fill(&first).await;
    let lines = export(&first, &system, Format::Stored).await;
    let at = |what: &str| lines.iter().position(|line| line.contains(what)).unwrap();
    let event = |number: usize| {
        let mut events = (0..lines.len()).filter(|&n| lines[n].starts_with("{\"schema\""));
        events.nth(number).unwrap()
    };
    let mut broken = lines.clone();
    let spoilt = [event(3), event(10), event(11), event(250)];
    broken[spoilt[0]] = broken[spoilt[0]].replacen("\"revision\":", "\"revision\":-", 1);
    broken[spoilt[1]] = "{\"half\":".to_owned();
    broken[spoilt[2]] = broken[spoilt[2]].replacen("t-1", "../t", 1);
    broken[spoilt[3]] = broken[spoilt[3]].replacen("2026-", "2926-", 1);
    let text = at("\"text\":\"cited\"");
    broken[text] = broken[text].replace("\"cited\"", "\"other\"");
    // What cites the payload that was in here cannot be kept either.
    let payload = at("\"text\":\"{");
    broken.remove(payload);
    broken.insert(payload, String::new());
    let (_folder, second) = fresh(store);
    let done = import(&second, &system, &broken).await;
    let mut expected: Vec<usize> = spoilt.into_iter().chain([text]).collect();
    let payload_events = (0..lines.len()).filter(|&n| lines[n].contains("\"data\":{\"blob\":"));
    expected.extend(payload_events);
    expected.sort_unstable();
    let mut named: Vec<u64> = done.refusals.iter().map(|refused| refused.line).collect();
    named.sort_unstable();
    assert!(
        named
            .iter()
            .copied()
            .eq(expected.iter().map(|&n| n as u64 + 1)),
        "{:?}",
        done.refusals
    );
    assert_eq!(done.events, 1_209 - 4 - 3);
    assert_sound(&second).await;
    // The whole file then brings what was missing.
    let done = import(&second, &system, &lines).await;
    assert_eq!((done.events, done.refused), (7, 0));
    assert_eq!(all(&second, &system).await.len(), 1_209);
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
