//! After an error in doubt: the writer over an engine that says so, whether it wrote or not.
#![allow(clippy::unwrap_used)]

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, mpsc};

use bytes::Bytes;
use journeyman_event::{ContentHash, Owner, Principal, SeededRandom, Sequence};
use journeyman_journal::{
    Changes, Engine, Error, Filter, GivenBack, Head, Holder, Journal, Lines, LookupKeys,
    LookupRows, Memory, Query, Snapshot, StreamName, StreamRow, Walker, Writer,
};
use journeyman_journal_conformance::{Maker, all, assert_sound, lines, sequences};

/// What the next writes meet.
#[derive(Clone, Copy, Debug)]
enum Trouble {
    /// It is written, and the answer is lost.
    Written,
    /// It is not written.
    NotWritten,
}

#[derive(Debug, Default)]
struct Plan {
    trouble: Option<Trouble>,
    /// So many times the store cannot be opened again.
    reopen_fails: u32,
    /// What was acknowledged is gone.
    lost: bool,
    /// The next write waits for this.
    gate: Option<mpsc::Receiver<()>>,
    /// Events that each write asked for.
    groups: Vec<usize>,
}

/// A store in memory that gets into trouble.
#[derive(Clone, Debug)]
struct Doubtful {
    memory: Memory,
    plan: Arc<Mutex<Plan>>,
}

struct DoubtfulWriter {
    writer: Box<dyn Writer>,
    plan: Arc<Mutex<Plan>>,
}

fn in_doubt() -> Error {
    Error::Unknown {
        reason: "planned".to_owned(),
    }
}

impl Writer for DoubtfulWriter {
    fn head(&mut self) -> Result<Head, Error> {
        self.writer.head()
    }

    fn hash_at(&mut self, sequence: Sequence) -> Result<Option<ContentHash>, Error> {
        if self.plan.lock().unwrap().lost {
            return Ok(None);
        }
        self.writer.hash_at(sequence)
    }

    fn write(
        &mut self,
        wanted: &LookupKeys,
        plan: &mut dyn FnMut(&LookupRows) -> Changes,
    ) -> Result<(), Error> {
        let (trouble, gate) = {
            let mut planned = self.plan.lock().unwrap();
            planned.groups.push(wanted.events.len());
            (planned.trouble.take(), planned.gate.take())
        };
        if let Some(gate) = gate {
            gate.recv().unwrap();
        }
        match trouble {
            None => self.writer.write(wanted, plan),
            Some(Trouble::Written) => {
                self.writer.write(wanted, plan)?;
                Err(in_doubt())
            }
            Some(Trouble::NotWritten) => Err(in_doubt()),
        }
    }

    fn keep_snapshot(&mut self, stream: &StreamName, snapshot: &Snapshot) -> Result<(), Error> {
        self.writer.keep_snapshot(stream, snapshot)
    }

    fn replace(
        &mut self,
        lines: &[(Sequence, String)],
        cited: &BTreeSet<(Owner, ContentHash)>,
    ) -> Result<(), Error> {
        self.writer.replace(lines, cited)
    }

    fn repack(&mut self, positions: &[Sequence]) -> Result<(), Error> {
        self.writer.repack(positions)
    }

    fn settle_blobs(
        &mut self,
        kept: &BTreeSet<(Owner, ContentHash)>,
        dropped: &BTreeSet<(Owner, ContentHash)>,
    ) -> Result<(), Error> {
        self.writer.settle_blobs(kept, dropped)
    }

    fn give_back(&mut self) -> Result<GivenBack, Error> {
        self.writer.give_back()
    }

    fn write_anew(&mut self) -> Result<(), Error> {
        self.writer.write_anew()
    }

    fn reopen(&mut self) -> Result<(), Error> {
        let mut planned = self.plan.lock().unwrap();
        if planned.reopen_fails > 0 {
            planned.reopen_fails -= 1;
            return Err(in_doubt());
        }
        self.writer.reopen()
    }
}

impl Engine for Doubtful {
    fn open_writer(&self, new_store_id: &str) -> Result<Box<dyn Writer>, Error> {
        Ok(Box::new(DoubtfulWriter {
            writer: self.memory.open_writer(new_store_id)?,
            plan: self.plan.clone(),
        }))
    }

    fn holder(&self) -> Option<Holder> {
        self.memory.holder()
    }

    fn name(&self) -> &str {
        self.memory.name()
    }

    fn store_id(&self) -> Result<String, Error> {
        self.memory.store_id()
    }

    fn head(&self) -> Result<Head, Error> {
        self.memory.head()
    }

    fn lines(&self, query: &Query<'_>) -> Result<Lines, Error> {
        self.memory.lines(query)
    }

    fn blob(&self, owner: &Owner, hash: ContentHash) -> Result<Option<Bytes>, Error> {
        self.memory.blob(owner, hash)
    }

    fn streams(
        &self,
        owner: Option<&Owner>,
        before: Sequence,
        limit: usize,
    ) -> Result<Vec<StreamRow>, Error> {
        self.memory.streams(owner, before, limit)
    }

    fn snapshot(&self, stream: &StreamName, at: Sequence) -> Result<Option<Snapshot>, Error> {
        self.memory.snapshot(stream, at)
    }

    fn erasure(&self, stream: &StreamName) -> Result<Option<Sequence>, Error> {
        self.memory.erasure(stream)
    }

    fn loose_blobs(&self, limit: usize) -> Result<Vec<(Owner, ContentHash)>, Error> {
        self.memory.loose_blobs(limit)
    }

    fn bytes(&self) -> Result<u64, Error> {
        self.memory.bytes()
    }

    fn walk(&self, walker: &mut dyn Walker) -> Result<(), Error> {
        self.memory.walk(walker)
    }
}

fn open() -> (Journal, Arc<Mutex<Plan>>) {
    let plan = Arc::new(Mutex::new(Plan::default()));
    let engine = Doubtful {
        memory: Memory::new(),
        plan: plan.clone(),
    };
    let journal = Journal::open(Arc::new(engine), &SeededRandom::new(1)).unwrap();
    (journal, plan)
}

#[tokio::test]
async fn a_retry_tells_what_became_of_an_append_in_doubt() {
    for (trouble, duplicate) in [(Trouble::Written, true), (Trouble::NotWritten, false)] {
        let (journal, plan) = open();
        let (me, make) = (Principal::local(), Maker::new(1));
        let mut subscription = journal.subscribe(&me, Filter::default(), Sequence::ZERO);
        let first = make.append(&me, "t-1", 2);
        journal.append(&me, first).await.unwrap();
        for expected in [1, 2] {
            assert_eq!(subscription.next().await.unwrap().sequence().0, expected);
        }
        plan.lock().unwrap().trouble = Some(trouble);
        let doubtful = make.append(&me, "t-1", 3);
        let error = journal.append(&me, doubtful.clone()).await.unwrap_err();
        assert_eq!(error, in_doubt());
        assert!(error.is_transient());
        let answer = journal.append(&me, doubtful).await.unwrap();
        assert_eq!(answer.duplicate, duplicate, "{trouble:?}");
        assert_eq!(sequences(&answer.events), [3, 4, 5]);
        // The subscriber, who waited for the present, gets them once.
        for expected in [3, 4, 5] {
            assert_eq!(subscription.next().await.unwrap().sequence().0, expected);
        }
        let next = make.append(&me, "t-2", 1);
        let next = journal.append(&me, next).await.unwrap();
        assert_eq!(sequences(&next.events), [6]);
        assert_eq!(subscription.next().await.unwrap().sequence().0, 6);
        assert_eq!(all(&journal, &me).await.len(), 6);
        assert_sound(&journal).await;
    }
}

/// Nobody asks again: what was written in doubt still comes to those who listen, before what follows.
#[tokio::test]
async fn an_append_in_doubt_that_is_given_up_is_there_once_or_not_at_all() {
    for (trouble, positions) in [
        (Trouble::Written, vec![1, 2, 3]),
        (Trouble::NotWritten, vec![1]),
    ] {
        let (journal, plan) = open();
        let (me, make) = (Principal::local(), Maker::new(1));
        let mut subscription = journal.subscribe(&me, Filter::default(), Sequence::ZERO);
        plan.lock().unwrap().trouble = Some(trouble);
        let given_up = make.append(&me, "t-1", 2);
        journal.append(&me, given_up).await.unwrap_err();
        let next = make.append(&me, "t-2", 1);
        journal.append(&me, next).await.unwrap();
        for expected in &positions {
            assert_eq!(
                subscription.next().await.unwrap().sequence().0,
                *expected,
                "{trouble:?}"
            );
        }
        assert_eq!(sequences(&all(&journal, &me).await), positions);
        assert_sound(&journal).await;
    }
}

#[tokio::test]
async fn a_store_that_cannot_be_opened_again_at_once_goes_on_later() {
    let (journal, plan) = open();
    let (me, make) = (Principal::local(), Maker::new(1));
    {
        let mut plan = plan.lock().unwrap();
        plan.trouble = Some(Trouble::NotWritten);
        plan.reopen_fails = 2;
    }
    let one = make.append(&me, "t-1", 1);
    for _ in 0..3 {
        let error = journal.append(&me, one.clone()).await.unwrap_err();
        assert!(error.is_transient(), "{error:?}");
    }
    let answer = journal.append(&me, one).await.unwrap();
    assert!(!answer.duplicate);
    assert_eq!(sequences(&answer.events), [1]);
}

#[tokio::test]
async fn a_store_that_lost_something_is_read_and_never_written_again() {
    let (journal, plan) = open();
    let (me, make) = (Principal::local(), Maker::new(1));
    let two = make.append(&me, "t-1", 2);
    let kept = journal.append(&me, two).await.unwrap().events;
    {
        let mut plan = plan.lock().unwrap();
        plan.trouble = Some(Trouble::NotWritten);
        plan.lost = true;
    }
    let one = make.append(&me, "t-1", 1);
    journal.append(&me, one.clone()).await.unwrap_err();
    for lost in [true, false] {
        // It does not come to think otherwise.
        plan.lock().unwrap().lost = lost;
        let error = journal.append(&me, one.clone()).await.unwrap_err();
        assert!(matches!(error, Error::LostAcknowledged { .. }), "{error:?}");
        assert!(!error.is_transient());
        let snapshot = Snapshot::after(&kept[1], Bytes::from_static(b"state"));
        let task = kept[1].task_id();
        let error = journal.keep_snapshot(&me, task, snapshot).await;
        let error = error.unwrap_err();
        assert!(matches!(error, Error::LostAcknowledged { .. }), "{error:?}");
    }
    assert_eq!(lines(&all(&journal, &me).await), lines(&kept));
}

/// The first write is held until everything else waits: it is then written together, and a conflict
/// in it touches nothing else.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_waits_is_written_together() {
    let (journal, plan) = open();
    let (me, make) = (Principal::local(), Maker::new(1));
    let (open_gate, gate) = mpsc::channel();
    plan.lock().unwrap().gate = Some(gate);
    let mut calls = tokio::task::JoinSet::new();
    let spawn = |calls: &mut tokio::task::JoinSet<_>, append| {
        let (journal, me) = (journal.clone(), me.clone());
        calls.spawn(async move { journal.append(&me, append).await });
    };
    spawn(&mut calls, make.append(&me, "first", 1));
    while plan.lock().unwrap().groups.is_empty() {
        tokio::task::yield_now().await;
    }
    for n in 0..40 {
        spawn(&mut calls, make.append(&me, &format!("t-{n}"), 2));
        let wrong = journeyman_journal_conformance::at(7);
        let events = make.events(&me, "t-0", 1);
        spawn(
            &mut calls,
            journeyman_journal_conformance::append("t-0", wrong, events),
        );
    }
    // Until they wait, as far as that can be seen.
    for _ in 0..1_000 {
        tokio::task::yield_now().await;
    }
    open_gate.send(()).unwrap();
    let answers = calls.join_all().await;
    assert_eq!(answers.iter().filter(|answer| answer.is_ok()).count(), 41);
    let conflicts = answers.iter().filter_map(|answer| answer.as_ref().err());
    assert!(conflicts.clone().all(Error::is_conflict));
    assert_eq!(conflicts.count(), 40);
    let events = all(&journal, &me).await;
    assert_eq!(sequences(&events), (1..=81).collect::<Vec<u64>>());
    assert_sound(&journal).await;
    let groups = plan.lock().unwrap().groups.clone();
    assert!(
        groups.len() < 81 && groups.iter().any(|&n| n > 20),
        "{groups:?}"
    );
}
