//! Searching across tasks: the file survives restarts, keeps up with the journal, and is made anew where it is no good.

#![allow(clippy::unwrap_used)] // a test fails by panicking

mod common;

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::sync::Arc;

use common::{CART, Life, MONEY, SUMS};
use journeyman_event::payload::{TaskSubmitted, UserIntervention};
use journeyman_event::{NewEvent, Owner, Principal, Revision, SeededRandom, SteppedTime, TaskId};
use journeyman_journal::{Append, Expected, Journal, Makers, Memory, StreamName};
use journeyman_knowledge::{FoundAcross, Offline, OfflineError};

fn journal() -> Journal {
    Journal::open(Arc::new(Memory::default()), &SeededRandom::new(7)).unwrap()
}

async fn append(journal: &Journal, task: &TaskId, events: &[NewEvent], after: u64) {
    let append = Append {
        task_id: task.clone(),
        expected: Expected::Revision(Revision(after)),
        events: events.to_vec(),
        blobs: Vec::new(),
        summary: None,
    };
    journal.append(&Principal::local(), append).await.unwrap();
}

fn shop() -> Life {
    let mut life = Life::of_shop();
    life.code("shop.money", 1, MONEY);
    life.code("shop.sums", 1, SUMS);
    life.code("shop.cart", 1, CART);
    life
}

async fn search(known: &Offline, journal: &Journal, words: &str) -> FoundAcross {
    let found = known.search(journal, &Principal::local(), words, 20).await;
    found.unwrap()
}

fn ids(found: &FoundAcross) -> Vec<String> {
    found.hits.iter().map(|hit| hit.node.clone()).collect()
}

#[tokio::test]
async fn all_that_is_known_of_a_task_is_found_again_after_a_restart() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("knowledge.db");
    let (journal, life) = (journal(), shop());
    append(&journal, &life.task, &life.new, 0).await;
    let known = Offline::at(file.clone());
    let before = search(&known, &journal, "amounts in cents").await;
    assert_eq!(ids(&before)[0], "func:shop.money.parse_amount");
    drop(known);
    let known = Offline::at(file);
    assert_eq!(search(&known, &journal, "amounts in cents").await, before);
    // It has the texts of all users.
    for end in ["", "-wal", "-shm"] {
        let file = folder.path().join(format!("knowledge.db{end}"));
        let mode = std::fs::metadata(file).map(|file| file.permissions().mode() & 0o777);
        assert!(
            mode.is_err() || mode.is_ok_and(|mode| mode == 0o600),
            "{end}"
        );
    }
    for node in life.graph().nodes() {
        let all = known
            .search(&journal, &Principal::local(), node.id.name(), 1_000)
            .await
            .unwrap();
        let found = all.hits.iter().find(|hit| hit.node == node.id.as_str());
        let found = found.unwrap_or_else(|| panic!("{} is not found", node.id));
        assert_eq!(
            (&found.summary, found.sequence),
            (&node.summary, node.source)
        );
    }
    assert!(search(&known, &journal, "zebra").await.hits.is_empty());
    assert!(search(&known, &journal, "\" OR (*) --").await.hits.len() < 20);
    assert!(search(&known, &journal, "").await.hits.is_empty());
}

#[tokio::test]
async fn what_has_changed_since_is_found_and_what_is_gone_is_not_and_others_see_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let known = Offline::at(folder.path().join("knowledge.db"));
    let (journal, mut life) = (journal(), shop());
    append(&journal, &life.task, &life.new, 0).await;
    assert_eq!(
        ids(&search(&known, &journal, "rounded").await),
        ["func:shop.money.Money.rounded"]
    );
    let first = life.new.len();
    life.code(
        "shop.money",
        2,
        "def parse_amount(text):\n    return float(text)\n",
    );
    let said = UserIntervention {
        instruction: "use tabs".to_owned(),
    };
    life.say(None, "user", said);
    append(&journal, &life.task, &life.new[first..], first as u64).await;
    assert!(search(&known, &journal, "rounded").await.hits.is_empty());
    assert_eq!(ids(&search(&known, &journal, "tabs").await), ["decision:7"]);
    let ada = Principal::user(Owner::new("ada").unwrap());
    let hers = known
        .search(&journal, &ada, "parse_amount", 20)
        .await
        .unwrap();
    assert!(hers.hits.is_empty());
}

#[tokio::test]
async fn a_damaged_file_is_put_aside_and_made_anew() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("knowledge.db");
    let (journal, life) = (journal(), shop());
    append(&journal, &life.task, &life.new, 0).await;
    let expected = search(&Offline::at(file.clone()), &journal, "amount").await;
    assert_eq!(expected.hits.len(), 2);
    let damage: [fn(&Path); 3] = [
        |file| fs::write(file, "this is no database at all").unwrap(),
        |file| {
            let mut bytes = fs::read(file).unwrap();
            let middle = bytes.len() / 3;
            bytes[middle..2 * middle].fill(0xa5);
            fs::write(file, bytes).unwrap();
        },
        |file| {
            let bytes = fs::read(file).unwrap();
            fs::write(file, &bytes[..bytes.len() / 2]).unwrap();
        },
    ];
    for damage in damage {
        for end in ["-wal", "-shm"] {
            let _ = fs::remove_file(format!("{}{end}", file.display()));
        }
        damage(&file);
        assert_eq!(
            search(&Offline::at(file.clone()), &journal, "amount").await,
            expected
        );
        assert!(folder.path().join("knowledge.db.damaged").exists());
        // And from then on it is as good as ever.
        assert_eq!(
            search(&Offline::at(file.clone()), &journal, "amount").await,
            expected
        );
        fs::remove_file(folder.path().join("knowledge.db.damaged")).unwrap();
    }
}

#[tokio::test]
async fn a_file_of_another_journal_is_made_anew_and_one_that_cannot_be_opened_is_told() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("knowledge.db");
    let (first, life) = (journal(), shop());
    append(&first, &life.task, &life.new, 0).await;
    assert!(
        !search(&Offline::at(file.clone()), &first, "amount")
            .await
            .hits
            .is_empty()
    );
    let other = Journal::open(Arc::new(Memory::default()), &SeededRandom::new(8)).unwrap();
    assert!(
        search(&Offline::at(file.clone()), &other, "amount")
            .await
            .hits
            .is_empty()
    );
    let nowhere = folder.path().join("none/knowledge.db");
    let principal = Principal::local();
    let error = Offline::at(nowhere)
        .search(&first, &principal, "amount", 20)
        .await;
    let error = error.unwrap_err();
    assert!(matches!(&error, OfflineError::File { .. }), "{error}");
    assert!(error.to_string().contains("none/knowledge.db"), "{error}");
}

/// Whether a text is in any file of a folder.
fn is_in_files(folder: &Path, text: &str) -> bool {
    fs::read_dir(folder).unwrap().any(|entry| {
        let bytes = fs::read(entry.unwrap().path()).unwrap();
        bytes
            .windows(text.len())
            .any(|part| part == text.as_bytes())
    })
}

async fn erase(journal: &Journal, life: &Life) -> StreamName {
    let (principal, time) = (Principal::local(), SteppedTime::default());
    let makers = Makers {
        time: &time,
        randomness: &SeededRandom::new(9),
    };
    let name = StreamName::of(principal.owner(), &life.task);
    let revision = Revision(life.new.len() as u64);
    let begun = journal.begin_erasure(&principal, &name, revision, "a wish", Vec::new(), makers);
    begun.await.unwrap();
    name
}

#[tokio::test]
async fn of_a_forgotten_task_nothing_is_left_in_the_files() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("knowledge.db");
    let (journal, life) = (journal(), shop());
    append(&journal, &life.task, &life.new, 0).await;
    let name = StreamName::of(Principal::local().owner(), &life.task);
    let known = Offline::at(file.clone());
    known.forget(&journal, &name).await.unwrap();
    assert!(!file.exists());
    search(&known, &journal, "amount").await;
    fs::copy(&file, folder.path().join("knowledge.db.damaged")).unwrap();
    for secret in ["parse_amount", "parseamount"] {
        assert!(is_in_files(folder.path(), secret), "{secret}");
    }
    erase(&journal, &life).await;
    known.forget(&journal, &name).await.unwrap();
    for secret in ["parse_amount", "parseamount", life.task.as_str()] {
        assert!(!is_in_files(folder.path(), secret), "{secret}");
    }
    assert!(search(&known, &journal, "amount").await.hits.is_empty());
    assert!(!is_in_files(folder.path(), "parse_amount"));
}

#[tokio::test]
async fn a_search_forgets_an_erased_task_that_it_was_not_told_of() {
    let folder = tempfile::tempdir().unwrap();
    let known = Offline::at(folder.path().join("knowledge.db"));
    let (journal, life) = (journal(), shop());
    append(&journal, &life.task, &life.new, 0).await;
    assert!(!search(&known, &journal, "amount").await.hits.is_empty());
    erase(&journal, &life).await;
    assert!(search(&known, &journal, "amount").await.hits.is_empty());
    assert!(!is_in_files(folder.path(), "parse_amount"));
}

#[tokio::test]
async fn so_many_tasks_at_a_time_are_looked_into_and_the_rest_by_the_next_search() {
    let folder = tempfile::tempdir().unwrap();
    let known = Offline::at(folder.path().join("knowledge.db"));
    let journal = journal();
    for at in 0..205 {
        let mut life = Life::of("x");
        life.events.clear();
        life.new.clear();
        life.task = TaskId::new(format!("t-{at}")).unwrap();
        life.seed(at + 100);
        life.say(
            None,
            "user",
            TaskSubmitted::of(format!("Count the zebras {at}")),
        );
        append(&journal, &life.task, &life.new, 0).await;
    }
    let found = known
        .search(&journal, &Principal::local(), "zebra", 1_000)
        .await
        .unwrap();
    assert_eq!((found.hits.len(), found.behind), (200, 5));
    let found = known
        .search(&journal, &Principal::local(), "zebra", 1_000)
        .await
        .unwrap();
    assert_eq!((found.hits.len(), found.behind), (205, 0));
}
