//! Snapshots of the states of long tasks, stored in the journal so that loading a task does not fold all of its
//! events again.
//!
//! Snapshots only save time: a snapshot that this version's code would not have made is ignored.

use bytes::Bytes;
use journeyman_event::{Event, FOLD_VERSION, Revision, TaskState};
use journeyman_journal::{SNAPSHOT_BYTES_MAX, Snapshot};
use serde::{Deserialize, Serialize};

/// The number of a task's events between two snapshots.
const EVERY: u64 = 1_000;

#[derive(Serialize, Deserialize)]
struct Kept<S> {
    rules: u32,
    state: S,
}

/// Whether a snapshot is due after this many events.
pub(crate) fn is_due(before: Revision, after: Revision) -> bool {
    before.0 / EVERY != after.0 / EVERY
}

/// The snapshot of the state after `last`. `None` if it is too large; the state must then be folded from
/// events.
pub(crate) fn of(state: &TaskState, last: &Event) -> Option<Snapshot> {
    let kept = Kept {
        rules: FOLD_VERSION,
        state,
    };
    let bytes = Bytes::from(serde_json::to_vec(&kept).ok()?);
    (bytes.len() <= SNAPSHOT_BYTES_MAX).then(|| Snapshot::after(last, bytes))
}

/// The state in a snapshot, if this version would have made the same.
pub(crate) fn state_in(snapshot: &Snapshot) -> Option<TaskState> {
    let kept: Kept<TaskState> = serde_json::from_slice(&snapshot.bytes).ok()?;
    let fits = kept.rules == FOLD_VERSION && kept.state.sequence == snapshot.sequence;
    fits.then_some(kept.state)
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::print_stdout)]
mod tests {
    use std::sync::Arc;
    use std::time::Instant;

    use journeyman_bus::Bus;
    use journeyman_event::payload::{Limits, LimitsChanged};
    use journeyman_event::{
        ContentHash, Principal, SeededRandom, Sequence, SteppedTime, TaskId, Tokens,
    };
    use journeyman_journal::{Filter, Journal, Memory, Moment};
    use tokio_util::sync::CancellationToken;

    use super::*;
    use crate::fact::{Fact, Role};
    use crate::load::{load, load_at};
    use crate::recorder::Recorder;

    /// A task with this many events.
    async fn long(journal: &Journal, task: &TaskId, events: u64) {
        let recorder = Recorder {
            journal: journal.clone(),
            principal: Principal::local(),
            time: Arc::new(SteppedTime::default()),
            randomness: Arc::new(SeededRandom::new(1)),
            notices: crate::notice::tests::to(Bus::start()),
        };
        let (mut state, cancel) = (TaskState::default(), CancellationToken::new());
        for n in 0..events {
            let limits = Limits {
                tokens_max: Some(Tokens(n)),
                ..Limits::default()
            };
            let facts = vec![Fact::of_task(Role::User, LimitsChanged { limits })];
            let recorded = recorder.record(task, &mut state, facts, Vec::new(), &cancel);
            recorded.await.unwrap();
        }
    }

    #[tokio::test]
    async fn a_long_task_is_loaded_from_a_snapshot_to_the_same_state() {
        let journal = Journal::open(Arc::new(Memory::new()), &SeededRandom::new(1)).unwrap();
        let (me, task) = (Principal::local(), TaskId::new("t-1").unwrap());
        long(&journal, &task, 10_100).await;
        let newest = async |at| journal.snapshot(&me, &task, Sequence(at)).await.unwrap();
        assert_eq!(newest(u64::MAX).await.unwrap().sequence, Sequence(10_000));
        assert!(newest(999).await.is_none());
        let filter = Filter::default();
        let mut events = Vec::new();
        while events.len() < 10_100 {
            let after = Sequence(events.len() as u64);
            let page = journal.read(&me, &filter, after, 10_000).await;
            events.extend(page.unwrap().events);
        }
        // The newest four are kept: the first of these is folded from the start.
        for at in [6_999, 7_000, 7_001, 9_050, 10_100] {
            let moment = Some(Moment::Sequence(Sequence(at as u64)));
            let state = load_at(&journal, &me, &task, moment)
                .await
                .unwrap()
                .unwrap();
            assert_eq!(state, TaskState::fold(&events[..at]).unwrap(), "at {at}");
            let version = Some(Moment::Version(Revision(at as u64)));
            let same = load_at(&journal, &me, &task, version).await.unwrap();
            assert_eq!(same, Some(state), "version {at}");
        }
        let whole = TaskState::fold(&events).unwrap();
        let timed = async |moment| {
            let began = Instant::now();
            let state = load_at(&journal, &me, &task, moment).await.unwrap();
            assert_eq!(state.unwrap(), whole);
            began.elapsed()
        };
        // No snapshot is used for a moment in time.
        let from_the_start = timed(Some(Moment::Time(jiff::Timestamp::MAX))).await;
        let from_a_snapshot = timed(None).await;
        println!("10,100 events: {from_the_start:?}, from a snapshot {from_a_snapshot:?}");

        // It is the snapshot that is read, and only one that was made by the same rules.
        let mut marked = TaskState::fold(&events[..10_050]).unwrap();
        marked.instructions = vec!["from the snapshot".into()];
        let kept = of(&marked, &events[10_049]).unwrap();
        journal
            .keep_snapshot(&me, &task, kept.clone())
            .await
            .unwrap();
        let state = load(&journal, &me, &task).await.unwrap().unwrap();
        assert_eq!(state.instructions, marked.instructions);
        let [rules, other] =
            [FOLD_VERSION, FOLD_VERSION + 1].map(|rules| format!("{{\"rules\":{rules},"));
        let bytes = String::from_utf8(kept.bytes.to_vec()).unwrap();
        assert!(bytes.starts_with(&rules), "{rules}");
        let bytes = Bytes::from(bytes.replacen(&rules, &other, 1));
        let others = Snapshot {
            bytes_hash: ContentHash::of(&bytes),
            bytes,
            ..kept
        };
        journal.keep_snapshot(&me, &task, others).await.unwrap();
        assert_eq!(load(&journal, &me, &task).await.unwrap().unwrap(), whole);
    }
}
