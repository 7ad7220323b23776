//! Searching by meaning: vectors are made, kept, made anew and forgotten, and whatever an embedding model does, a search
//! answers by words.

#![allow(clippy::unwrap_used)] // a test fails by panicking

mod common;

use std::collections::HashMap;
use std::fs;
use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use common::Life;
use journeyman_event::payload::TaskSubmitted;
use journeyman_event::{Owner, Principal, Revision, SeededRandom, SteppedTime, TaskId};
use journeyman_journal::{Append, Expected, Journal, Makers, Memory, StreamName};
use journeyman_knowledge::{FoundAcross, Meaning, Offline};
use journeyman_llm::{EmbedError, Embedder};

const TOOLS: &str = "\
def unique_items(items):
    \"\"\"Keeps the first of equal values.\"\"\"
    return list(dict.fromkeys(items))


def greet(name):
    \"\"\"Says hello.\"\"\"
    return name
";

/// What an embedding model knows: words with the same meaning have the same number.
const MEANINGS: &[(&str, usize)] = &[
    ("unique", 0),
    ("equal", 0),
    ("duplicates", 0),
    ("hello", 1),
    ("welcome", 1),
];

/// How an embedding model fails.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Fault {
    /// It does not.
    None,
    /// It cannot be reached.
    Gone,
    /// It never answers.
    Silent,
    /// It makes vectors of one more dimension after the first.
    Grows,
    /// It makes one vector too few for several texts.
    TooFew,
    /// It makes none.
    Nothing,
    /// It cannot read this word.
    Poisoned(&'static str),
    /// It reads so many characters at most.
    Reads(usize),
    /// It takes so many texts at most.
    Takes(usize),
}

/// An embedding model of few words.
#[derive(Debug)]
struct Model {
    name: &'static str,
    dimensions: usize,
    fault: Mutex<Fault>,
    /// How often each text was asked for.
    asked: Mutex<HashMap<String, usize>>,
    calls: Mutex<usize>,
}

impl Model {
    fn new(name: &'static str, dimensions: usize) -> Arc<Self> {
        Arc::new(Self {
            name,
            dimensions,
            fault: Mutex::new(Fault::None),
            asked: Mutex::default(),
            calls: Mutex::default(),
        })
    }

    fn fails(&self, fault: Fault) {
        *self.fault.lock().unwrap() = fault;
    }

    fn texts_asked(&self) -> usize {
        self.asked.lock().unwrap().values().sum()
    }

    fn vector(&self, text: &str) -> Vec<f32> {
        let mut vector = vec![0.01; self.dimensions];
        let other = self.dimensions - 1;
        for word in text.split(|c: char| !c.is_alphanumeric()) {
            match MEANINGS.iter().find(|(known, _)| *known == word) {
                Some((_, at)) => vector[*at] += 1.0,
                None => vector[other] += 0.1,
            }
        }
        let length = vector.iter().map(|one| one * one).sum::<f32>().sqrt();
        vector.iter().map(|one| one / length).collect()
    }
}

fn url() -> String {
    "http://box".to_owned()
}

#[async_trait]
impl Embedder for Model {
    async fn ready(&self) -> Result<(), EmbedError> {
        Ok(())
    }

    async fn model(&self) -> Result<String, EmbedError> {
        Ok(self.name.to_owned())
    }

    async fn embed(&self, texts: &[String]) -> Result<Vec<Vec<f32>>, EmbedError> {
        let fault = *self.fault.lock().unwrap();
        let too_long = || EmbedError::TooLong {
            url: url(),
            message: "too long".to_owned(),
        };
        *self.calls.lock().unwrap() += 1;
        match fault {
            Fault::Gone => {
                let reason = "refused".to_owned();
                return Err(EmbedError::Unreachable { url: url(), reason });
            }
            Fault::Silent => std::future::pending().await,
            Fault::Poisoned(word) if texts.iter().any(|text| text.contains(word)) => {
                let problem = "not finite".to_owned();
                return Err(EmbedError::Malformed {
                    url: url(),
                    problem,
                });
            }
            Fault::Reads(max) if texts.iter().any(|text| text.chars().count() > max) => {
                return Err(too_long());
            }
            Fault::Takes(max) if texts.len() > max => return Err(too_long()),
            _ => {}
        }
        let mut asked = self.asked.lock().unwrap();
        let mut vectors: Vec<Vec<f32>> = Vec::new();
        for text in texts {
            *asked.entry(text.clone()).or_default() += 1;
            vectors.push(self.vector(text));
        }
        let all: usize = asked.values().sum();
        match fault {
            Fault::Grows if all > texts.len() => {
                for vector in &mut vectors {
                    vector.push(0.0);
                }
            }
            Fault::TooFew if texts.len() > 1 => vectors.truncate(texts.len() - 1),
            Fault::Nothing => vectors.clear(),
            _ => {}
        }
        Ok(vectors)
    }
}

/// A journal with tasks, and an index over them.
struct Lab {
    folder: tempfile::TempDir,
    journal: Journal,
}

impl Lab {
    async fn new() -> Self {
        let journal = Journal::open(Arc::new(Memory::default()), &SeededRandom::new(7)).unwrap();
        let lab = Self {
            folder: tempfile::tempdir().unwrap(),
            journal,
        };
        lab.add(&Principal::local(), "t-1", 1).await;
        lab
    }

    /// Adds a task with the two functions.
    async fn add(&self, principal: &Principal, task: &str, seed: u64) -> Life {
        let mut life = Life::of("Some helpers.");
        life.events.clear();
        life.new.clear();
        life.task = TaskId::new(task).unwrap();
        life.seed(seed);
        life.say(None, "user", TaskSubmitted::of("Some helpers."));
        life.plan(&[("app.tools", &[])]);
        life.code("app.tools", 1, TOOLS);
        self.append(principal, &life, 0).await;
        life
    }

    async fn append(&self, principal: &Principal, life: &Life, after: usize) {
        let append = Append {
            task_id: life.task.clone(),
            expected: Expected::Revision(Revision(after as u64)),
            events: life.new[after..].to_vec(),
            blobs: Vec::new(),
            summary: None,
        };
        self.journal.append(principal, append).await.unwrap();
    }

    fn index(&self) -> Offline {
        Offline::at(self.folder.path().join("knowledge.db"))
    }

    fn asking(&self, model: &Arc<Model>) -> Offline {
        self.index().with_embedder(model.clone())
    }

    async fn search(&self, index: &Offline, text: &str) -> FoundAcross {
        let me = Principal::local();
        index.search(&self.journal, &me, text, 20).await.unwrap()
    }
}

fn first(found: &FoundAcross) -> Option<&str> {
    found.hits.first().map(|hit| hit.node.as_str())
}

fn used(model: &str, behind: usize) -> Meaning {
    Meaning::Used {
        model: model.to_owned(),
        behind,
        problem: None,
    }
}

const UNIQUE: &str = "func:app.tools.unique_items";

#[tokio::test]
async fn what_has_no_word_in_common_is_found_by_meaning_and_words_still_count() {
    let (lab, model) = (Lab::new().await, Model::new("mini", 8));
    let by_words = lab.search(&lab.index(), "remove duplicates").await;
    assert_eq!((by_words.hits.len(), by_words.meaning), (0, Meaning::Off));
    let index = lab.asking(&model);
    let found = lab.search(&index, "remove duplicates").await;
    assert_eq!(
        (first(&found), &found.meaning),
        (Some(UNIQUE), &used("mini", 0))
    );
    assert!(found.hits[0].similarity.unwrap() > 0.9);
    // What both rankings have is before what one has.
    let found = lab.search(&index, "greet, welcome").await;
    assert_eq!(first(&found), Some("func:app.tools.greet"));
    let alone = 1.0 / 61.0;
    assert!(found.hits[0].score > alone && found.hits[1].score <= alone);
    assert!(lab.search(&index, " ").await.hits.is_empty());
    let me = Principal::local();
    let few = index.search(&lab.journal, &me, "duplicates", 1).await;
    assert_eq!(few.unwrap().hits.len(), 1);
}

#[tokio::test]
async fn a_vector_is_made_once_for_each_text_also_after_a_restart_and_a_change_of_others() {
    let (lab, model) = (Lab::new().await, Model::new("mini", 8));
    let nodes = lab
        .search(&lab.asking(&model), "duplicates")
        .await
        .hits
        .len();
    assert_eq!(model.texts_asked(), nodes + 1);
    let found = lab.search(&lab.asking(&model), "duplicates").await;
    assert_eq!(
        (first(&found), model.texts_asked()),
        (Some(UNIQUE), nodes + 2)
    );
    let mut life = lab.add(&Principal::local(), "t-2", 2).await;
    lab.search(&lab.asking(&model), "duplicates").await;
    let before = model.texts_asked();
    let first_part = life.new.len();
    let changed = TOOLS.replace("Says hello.", "Says good bye.");
    life.code("app.tools", 2, &changed);
    lab.append(&Principal::local(), &life, first_part).await;
    let found = lab.search(&lab.asking(&model), "duplicates").await;
    assert_eq!(found.meaning, used("mini", 0));
    // The function that changed, what tells of the two versions and the module, and the words themselves.
    let made = model.texts_asked() - before;
    assert!((2..=5).contains(&made), "{made} of {nodes}");
    assert!(made < nodes + 1);
}

#[tokio::test]
async fn vectors_of_another_model_or_of_other_dimensions_are_made_anew() {
    let lab = Lab::new().await;
    let before = lab
        .search(&lab.asking(&Model::new("mini", 8)), "duplicates")
        .await;
    for (name, dimensions) in [("maxi", 8), ("maxi", 12), ("mini", 8)] {
        let model = Model::new(name, dimensions);
        let index = lab.asking(&model);
        let found = lab.search(&index, "duplicates").await;
        assert_eq!(
            (first(&found), &found.meaning),
            (Some(UNIQUE), &used(name, 0))
        );
        assert_eq!(
            model.texts_asked(),
            before.hits.len() + 1,
            "{name} {dimensions}"
        );
    }
}

#[tokio::test]
async fn a_model_that_fails_at_what_is_searched_for_leaves_the_words_and_is_told() {
    let lab = Lab::new().await;
    let expected = lab.search(&lab.index(), "greet").await.hits;
    assert!(!expected.is_empty());
    for (fault, why) in [
        (Fault::Gone, "cannot be reached"),
        (Fault::Poisoned("greet"), "not finite"),
        (Fault::Nothing, "no vector"),
        (Fault::Reads(2), "too long"),
    ] {
        let model = Model::new("mini", 8);
        model.fails(fault);
        let found = lab.search(&lab.asking(&model), "greet").await;
        assert_eq!(found.hits, expected, "{fault:?}");
        let Meaning::Failed { problem } = found.meaning else {
            panic!("{fault:?}: {:?}", found.meaning);
        };
        assert!(problem.contains(why), "{problem}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_model_that_is_silent_is_waited_for_two_seconds() {
    let (lab, model) = (Lab::new().await, Model::new("mini", 8));
    model.fails(Fault::Silent);
    let index = lab.asking(&model);
    let start = tokio::time::Instant::now();
    let found = lab.search(&index, "greet").await;
    assert_eq!(start.elapsed().as_secs(), 2);
    assert_eq!(first(&found), Some("func:app.tools.greet"));
    assert!(
        matches!(&found.meaning, Meaning::Failed { problem } if problem.contains("within 2 s")),
        "{:?}",
        found.meaning
    );
}

#[tokio::test]
async fn a_model_that_fails_while_it_catches_up_is_told_and_what_it_made_is_used() {
    for (fault, why) in [
        (Fault::Grows, Some("different dimensions")),
        (Fault::TooFew, Some("different dimensions")),
        // Of two texts that it cannot read, the others have vectors.
        (Fault::Poisoned("greet"), Some("not finite")),
        (Fault::Takes(2), None),
        (Fault::Reads(150), None),
    ] {
        let (lab, model) = (Lab::new().await, Model::new("mini", 8));
        model.fails(fault);
        let found = lab.search(&lab.asking(&model), "duplicates").await;
        let Meaning::Used {
            behind, problem, ..
        } = &found.meaning
        else {
            panic!("{fault:?}: {:?}", found.meaning);
        };
        assert_eq!(*behind == 0, why.is_none(), "{fault:?}: {behind} behind");
        match (problem, why) {
            (Some(problem), Some(why)) => assert!(problem.contains(why), "{problem}"),
            (None, None) => {}
            other => panic!("{fault:?}: {other:?}"),
        }
        if !matches!(fault, Fault::Grows | Fault::TooFew) {
            assert_eq!(first(&found), Some(UNIQUE), "{fault:?}");
        }
        // Once it is well, nothing is left.
        model.fails(Fault::None);
        let found = lab.search(&lab.asking(&model), "duplicates").await;
        assert_eq!(
            (first(&found), &found.meaning),
            (Some(UNIQUE), &used("mini", 0))
        );
    }
}

#[tokio::test]
async fn owners_have_vectors_of_their_own() {
    let (lab, model) = (Lab::new().await, Model::new("mini", 8));
    let index = lab.asking(&model);
    let ada = Principal::user(Owner::new("ada").unwrap());
    lab.search(&index, "duplicates").await;
    let hers = index
        .search(&lab.journal, &ada, "duplicates", 20)
        .await
        .unwrap();
    assert_eq!((hers.hits.len(), hers.meaning), (0, used("mini", 0)));
}

/// Whether these bytes are in any file of a folder.
fn is_in_files(folder: &Path, wanted: &[u8]) -> bool {
    fs::read_dir(folder).unwrap().any(|entry| {
        let bytes = fs::read(entry.unwrap().path()).unwrap();
        bytes.windows(wanted.len()).any(|part| part == wanted)
    })
}

#[tokio::test]
async fn of_an_erased_task_no_vector_is_left_in_the_files_or_in_memory() {
    let (lab, model) = (Lab::new().await, Model::new("mini", 600));
    let index = lab.asking(&model);
    let life = lab.add(&Principal::local(), "t-2", 2).await;
    let found = lab.search(&index, "duplicates").await;
    let tasks = |found: &FoundAcross| -> Vec<String> {
        let hits = found.hits.iter().filter(|hit| hit.node == UNIQUE);
        hits.map(|hit| hit.task.to_string()).collect()
    };
    assert_eq!(tasks(&found).len(), 2);
    let (me, time) = (Principal::local(), SteppedTime::default());
    let erase = async |task: &TaskId, revision: u64| {
        let makers = Makers {
            time: &time,
            randomness: &SeededRandom::new(revision + 9),
        };
        let name = StreamName::of(me.owner(), task);
        let begun =
            lab.journal
                .begin_erasure(&me, &name, Revision(revision), "a wish", Vec::new(), makers);
        begun.await.unwrap();
        index.forget(&lab.journal, &name).await.unwrap();
    };
    erase(&life.task, life.new.len() as u64).await;
    let found = lab.search(&index, "duplicates").await;
    assert_eq!(tasks(&found), ["t-1"]);
    // Of the same texts the other task has vectors of its own.
    let texts: Vec<String> = model.asked.lock().unwrap().keys().cloned().collect();
    let of_function = |text: &&String| text.starts_with("func app.tools.unique_items");
    let vector = model.vector(texts.iter().find(of_function).unwrap());
    let bytes: Vec<u8> = vector[..40]
        .iter()
        .flat_map(|one| one.to_le_bytes())
        .collect();
    assert!(is_in_files(lab.folder.path(), &bytes));
    erase(&TaskId::new("t-1").unwrap(), life.new.len() as u64).await;
    assert!(!is_in_files(lab.folder.path(), &bytes));
    assert!(lab.search(&index, "duplicates").await.hits.is_empty());
}

#[tokio::test]
async fn a_damaged_file_has_its_vectors_made_anew_and_one_without_a_model_keeps_them() {
    let (lab, model) = (Lab::new().await, Model::new("mini", 8));
    let file = lab.folder.path().join("knowledge.db");
    let before = lab.search(&lab.asking(&model), "duplicates").await;
    fs::write(&file, "this is no database at all").unwrap();
    for end in ["-wal", "-shm"] {
        let _ = fs::remove_file(format!("{}{end}", file.display()));
    }
    assert_eq!(lab.search(&lab.asking(&model), "duplicates").await, before);
    let asked = model.texts_asked();
    // Without a model the words are searched, and the vectors stay for the next search with it.
    assert!(lab.search(&lab.index(), "duplicates").await.hits.is_empty());
    assert_eq!(lab.search(&lab.asking(&model), "duplicates").await, before);
    assert_eq!(model.texts_asked(), asked + 1);
}

/// A model that takes a while for each call.
#[derive(Debug)]
struct Slow(Arc<Model>, Duration);

#[async_trait]
impl Embedder for Slow {
    async fn ready(&self) -> Result<(), EmbedError> {
        Ok(())
    }

    async fn model(&self) -> Result<String, EmbedError> {
        self.0.model().await
    }

    async fn embed(&self, texts: &[String]) -> Result<Vec<Vec<f32>>, EmbedError> {
        tokio::time::sleep(self.1).await;
        self.0.embed(texts).await
    }
}

#[tokio::test(start_paused = true)]
async fn a_slow_model_makes_some_vectors_in_each_search_and_what_is_left_is_told() {
    let (lab, model) = (Lab::new().await, Model::new("mini", 8));
    let slow = Arc::new(Slow(model.clone(), Duration::from_millis(800)));
    let index = lab.index().with_embedder(slow);
    let mut left = usize::MAX;
    for _ in 0..10 {
        let found = lab.search(&index, "duplicates").await;
        let Meaning::Used {
            behind, problem, ..
        } = found.meaning
        else {
            panic!("{:?}", found.meaning);
        };
        assert_eq!(problem, None);
        assert!(behind < left, "{behind} of {left}");
        left = behind;
        if left == 0 {
            assert_eq!(found.hits[0].node, UNIQUE);
            return;
        }
    }
    panic!("{left} are left");
}
