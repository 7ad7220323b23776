//! What is known of a task at a moment, read from the journal, and what its model was asked.

#![allow(clippy::unwrap_used)] // a test fails by panicking

mod common;

use std::sync::Arc;

use bytes::Bytes;
use common::{CART, Life, MONEY, SUMS, SUMS_TESTS, known};
use journeyman_event::payload::{
    ContextBuilt, ContextDecision, Form, ModelCallStarted, Purpose, SentMessage, Verdict,
};
use journeyman_event::{
    ContentHash, Owner, Principal, Revision, SeededRandom, Sequence, TaskId, Tokens,
};
use journeyman_journal::{Append, Expected, Journal, Memory, Moment};
use journeyman_knowledge::{Change, difference, rebuild, sent};

async fn journal_of(life: &Life, blobs: Vec<Bytes>) -> Journal {
    let journal = Journal::open(Arc::new(Memory::default()), &SeededRandom::new(7)).unwrap();
    let append = Append {
        task_id: life.task.clone(),
        expected: Expected::Revision(Revision::ZERO),
        events: life.new.clone(),
        blobs,
        summary: None,
    };
    journal.append(&Principal::local(), append).await.unwrap();
    journal
}

#[tokio::test]
async fn a_task_is_known_as_it_was_at_any_moment_and_a_moment_to_come_is_now() {
    let mut life = Life::of_shop();
    life.code("shop.money", 1, MONEY);
    life.code("shop.sums", 1, SUMS);
    life.tests("shop.sums", SUMS_TESTS);
    life.run("shop.sums", 1, &[("test_adds", Some("no"))]);
    life.code("shop.cart", 1, CART);
    let journal = journal_of(&life, Vec::new()).await;
    let principal = Principal::local();
    let at = async |moment| {
        rebuild(&journal, &principal, &life.task, moment)
            .await
            .unwrap()
    };
    for (index, event) in life.events.iter().enumerate() {
        let expected = known(&life.events[..=index]);
        let by_sequence = Some(Moment::Sequence(event.sequence()));
        assert_eq!(at(by_sequence).await.as_ref(), Some(&expected));
        let by_time = Some(Moment::Time(event.occurred_at()));
        assert_eq!(at(by_time).await.as_ref(), Some(&expected));
        let by_version = Some(Moment::Version(event.revision()));
        assert_eq!(at(by_version).await.as_ref(), Some(&expected));
    }
    let now = at(None).await.unwrap();
    assert_eq!(now, known(&life.events));
    for future in [
        Moment::Sequence(Sequence(u64::MAX)),
        Moment::Time(jiff::Timestamp::MAX),
        Moment::Version(Revision(u64::MAX)),
    ] {
        assert_eq!(at(Some(future)).await.as_ref(), Some(&now));
    }
    assert_eq!(at(Some(Moment::Sequence(Sequence::ZERO))).await, None);
    let nobody = TaskId::new("t-0").unwrap();
    assert_eq!(
        rebuild(&journal, &principal, &nobody, None).await.unwrap(),
        None
    );
    let other = Principal::user(Owner::new("ada").unwrap());
    assert_eq!(
        rebuild(&journal, &other, &life.task, None).await.unwrap(),
        None
    );
}

/// A call of the model with this prompt, as its events and the texts that they cite.
fn call(life: &mut Life, blobs: &mut Vec<Bytes>, pieces: &[(&str, &str)], has_bytes: bool) {
    let decisions = pieces.iter().map(|(name, text)| ContextDecision {
        piece: (*name).to_owned(),
        verdict: if text.is_empty() {
            Verdict::LeftOut
        } else {
            Verdict::Kept
        },
        why: String::new(),
        bytes: has_bytes.then_some(text.len() as u64),
    });
    let built = ContextBuilt {
        purpose: Purpose::Fix,
        window: Tokens(8_192),
        layers: Vec::new(),
        parts: Vec::new(),
        decisions: decisions.collect(),
    };
    life.say(Some("shop.sums"), "fixer", built);
    let sent: Vec<&str> = pieces
        .iter()
        .map(|(_, text)| *text)
        .filter(|text| !text.is_empty())
        .collect();
    let texts = ["You correct code.".to_owned(), sent.join("\n\n")];
    let messages = ["system", "user"].iter().zip(texts).map(|(role, text)| {
        let blob = ContentHash::of(text.as_bytes());
        blobs.push(Bytes::from(text));
        SentMessage {
            role: (*role).to_owned(),
            blob,
        }
    });
    let started = ModelCallStarted {
        purpose: Purpose::Fix,
        form: Form::default(),
        messages: messages.collect(),
        prompt_tokens: Tokens(100),
        exact: true,
        max_tokens: Tokens(500),
        temperature: 0.2,
        seed: 7,
        schema: None,
        model: None,
        reserved: None,
        key: None,
        project: None,
    };
    life.say(Some("shop.sums"), "fixer", started);
}

#[tokio::test]
async fn a_prompt_is_told_byte_for_byte_and_two_of_them_are_compared_piece_by_piece() {
    let mut life = Life::of_shop();
    let mut blobs = Vec::new();
    let first = [
        ("task", "Make\n\na shop"),
        ("code", "a\nb\nc"),
        ("plan", ""),
    ];
    call(&mut life, &mut blobs, &first, true);
    let second = [
        ("task", "Make\n\na shop"),
        ("code", "a\nx\nc"),
        ("related", "über"),
    ];
    call(&mut life, &mut blobs, &second, true);
    call(&mut life, &mut blobs, &second, false);
    let journal = journal_of(&life, blobs).await;
    let principal = Principal::local();
    let at = async |at: u64| {
        let call = sent(&journal, &principal, &life.task, Some(Sequence(at))).await;
        call.unwrap()
    };
    assert_eq!(at(3).await, None, "it was not asked yet");
    let (first, second, old) = (
        at(5).await.unwrap(),
        at(6).await.unwrap(),
        at(8).await.unwrap(),
    );
    assert_eq!(
        (first.sequence, second.sequence, old.sequence),
        (Sequence(4), Sequence(6), Sequence(8))
    );
    assert_eq!(first.texts[1], "Make\n\na shop\n\na\nb\nc");
    let told: Vec<(&str, Option<&str>)> = second
        .pieces()
        .iter()
        .map(|one| (one.name, one.text))
        .collect();
    assert_eq!(
        told,
        [
            ("system", Some("You correct code.")),
            ("task", Some("Make\n\na shop")),
            ("code", Some("a\nx\nc")),
            ("related", Some("über")),
        ]
    );
    let changes = |from, to| -> Vec<(String, Change)> {
        let pieces = difference(from, to).pieces.into_iter();
        pieces.map(|one| (one.name, one.change)).collect()
    };
    let named = |all: &[(&str, Change)]| -> Vec<(String, Change)> {
        let all = all.iter();
        all.map(|&(name, change)| (name.to_owned(), change))
            .collect()
    };
    assert_eq!(
        changes(&first, &second),
        named(&[
            ("system", Change::Same),
            ("task", Change::Same),
            ("code", Change::Changed),
            ("related", Change::Came),
        ])
    );
    assert_eq!(
        changes(&second, &first).last(),
        named(&[("related", Change::Went)]).last()
    );
    // Of a call that an older version recorded it is known what was sent, and not where each piece begins.
    let by_old = changes(&first, &old);
    assert!(
        by_old.contains(&("code".to_owned(), Change::Unknown)),
        "{by_old:?}"
    );
    assert_eq!(old.texts, second.texts);
    let now = sent(&journal, &principal, &life.task, None).await.unwrap();
    assert_eq!(now, Some(old));
    let other = Principal::user(Owner::new("ada").unwrap());
    assert_eq!(
        sent(&journal, &other, &life.task, None).await.unwrap(),
        None
    );
}
