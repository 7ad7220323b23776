//! The search index over all tasks of a user: a SQLite file beside the journal that survives
//! restarts.
//!
//! It is a cache. It is rebuilt from the journal if the file is damaged, belongs to another journal or was
//! written by another version. It is updated on each search, so the workflow neither feeds it nor
//! waits for it. Erased tasks are removed from it ([`Offline::forget`]).
//!
//! Search is by words (BM25), and also by meaning where there is an embedding model: the file has a vector of each
//! node, and the two rankings are fused.

mod file;
mod fuse;
mod meaning;
mod rows;
mod vectors;

use std::collections::HashMap;
use std::fs;
use std::io;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};

use journeyman_event::{Principal, Sequence, TaskId};
use journeyman_journal::{Error as JournalError, Journal, StreamName};
use journeyman_llm::Embedder;
use rusqlite::Connection;
use thiserror::Error;

use self::file::{aside, is_damage, opened, put_aside};
use self::fuse::fuse;
pub use self::meaning::Meaning;
use self::meaning::{Wanted, wanted};
use self::rows::{by_words, indexed, node, put, removed};
use self::vectors::Vectors;
use crate::rebuild::rebuild;
use crate::words::words;

/// The most tasks that one search re-indexes, most recently changed first. The next search continues.
const TASKS_MAX: usize = 200;
/// The most results of a search.
const FOUND_MAX: usize = 1_000;
/// How many of the best results by words are ranked together with those by meaning, if fewer are wanted.
const FUSED_MIN: usize = 100;
/// The most results by meaning. Something is nearest to any words, however little they have to do with it.
const NEAREST_MAX: usize = 50;

/// Why a search failed.
#[derive(Debug, Error)]
pub enum OfflineError {
    /// The journal could not be read.
    #[error(transparent)]
    Journal(#[from] JournalError),
    /// The index file could not be used. No data is lost: the index can be deleted and rebuilt.
    #[error("what is known of all tasks cannot be searched: {file}: {error}", file = .file.display())]
    File {
        /// The path of the file.
        file: PathBuf,
        /// The underlying error.
        error: rusqlite::Error,
    },
    /// A damaged index file could not be moved aside.
    #[error("{file} is damaged and cannot be put aside: {error}; remove it, it is made anew", file = .file.display())]
    Aside {
        /// The path of the file.
        file: PathBuf,
        /// The underlying error.
        error: io::Error,
    },
    /// The search was cancelled because the runtime shut down or the search panicked.
    #[error("the search was broken off")]
    Broken,
}

/// The results of a search.
#[derive(Clone, Debug, PartialEq)]
pub struct FoundAcross {
    /// The best matches first.
    pub hits: Vec<Hit>,
    /// The number of changed tasks that are not re-indexed yet. The next search continues with them.
    pub behind: usize,
    /// Whether the search was by meaning too.
    pub meaning: Meaning,
}

/// A node that matches the search.
#[derive(Clone, Debug, PartialEq)]
pub struct Hit {
    /// The id of the task whose graph has the node.
    pub task: TaskId,
    /// The id of the node in the task's graph.
    pub node: String,
    /// The kind of the node.
    pub kind: String,
    /// The summary of the node.
    pub summary: String,
    /// The event with the full content.
    pub sequence: Option<Sequence>,
    /// The score by which the results are ordered; comparable only within one search. It is the BM25 score of a search
    /// by words, and the fused one of a search by words and by meaning.
    pub score: f64,
    /// The similarity to what was searched for, -1 to 1, if the node was found by meaning. How much a number means
    /// depends on the embedding model.
    pub similarity: Option<f32>,
}

/// A handle of the index. Clones share it.
#[derive(Clone, Debug)]
pub struct Offline {
    file: PathBuf,
    embedder: Option<Arc<dyn Embedder>>,
    open: Arc<Mutex<Option<Open>>>,
    /// Held by the one search that makes vectors.
    making: Arc<tokio::sync::Mutex<()>>,
}

/// The open index.
#[derive(Debug)]
struct Open {
    connection: Connection,
    vectors: Vectors,
}

impl Offline {
    /// A handle of the index at this path. The file is opened or created by the first search.
    pub fn at(file: PathBuf) -> Self {
        Self {
            file,
            embedder: None,
            open: Arc::default(),
            making: Arc::default(),
        }
    }

    /// The same, with an embedding model that searches ask.
    pub fn with_embedder(self, embedder: Arc<dyn Embedder>) -> Self {
        Self {
            embedder: Some(embedder),
            ..self
        }
    }

    /// Searches all tasks of the principal by words, and by meaning if there is an embedding model. Returns at most
    /// `limit` nodes. Updates the index first.
    ///
    /// The embedding model is waited for at most 2 s, and then for another 2 s if nodes have no vectors yet. If it
    /// fails, the search is by words, which is told in the result and is no error.
    pub async fn search(
        &self,
        journal: &Journal,
        principal: &Principal,
        text: &str,
        limit: usize,
    ) -> Result<FoundAcross, OfflineError> {
        let owner = principal.owner().clone();
        let store = journal.store_id();
        let behind = self.catch_up(journal, principal).await?;
        let limit = limit.min(FOUND_MAX);
        let by_meaning = match &self.embedder {
            Some(embedder) if !text.trim().is_empty() => {
                Some(wanted(embedder.as_ref(), &owner, text).await)
            }
            _ => None,
        };
        let terms = words(text);
        let (hits, meaning) = match by_meaning {
            Some(Ok(wanted)) => self.fused(store, wanted, terms, limit).await?,
            by_words_alone => {
                let look = move |open: &mut Open| {
                    let connection = &open.connection;
                    let found = by_words(connection, &owner, &terms, limit)?;
                    let found = found.into_iter();
                    let hits = found.filter_map(|row| node(connection, &owner, row).transpose());
                    hits.collect::<Result<Vec<Hit>, _>>()
                };
                let meaning = match by_words_alone {
                    Some(Err(problem)) => Meaning::Failed { problem },
                    _ => Meaning::Off,
                };
                (self.with(store.to_owned(), look).await?, meaning)
            }
        };
        Ok(FoundAcross {
            hits,
            behind,
            meaning,
        })
    }

    /// Searches by words and by meaning.
    async fn fused(
        &self,
        store: &str,
        wanted: Wanted,
        terms: Vec<String>,
        limit: usize,
    ) -> Result<(Vec<Hit>, Meaning), OfflineError> {
        let Wanted { space, vector } = wanted;
        let problem = match &self.embedder {
            Some(embedder) => self.make_vectors(embedder.as_ref(), store, &space).await?,
            None => None,
        };
        let model = space.model.clone();
        let look = move |open: &mut Open| {
            let Open {
                connection,
                vectors,
            } = open;
            let found = by_words(connection, &space.owner, &terms, limit.max(FUSED_MIN))?;
            let nearest = vectors.nearest(connection, &space, &vector, NEAREST_MAX)?;
            let behind = vectors.missing(connection, &space)?.len();
            let first: Vec<i64> = found.into_iter().map(|(row, _)| row).collect();
            let second: Vec<i64> = nearest.iter().map(|(row, _)| *row).collect();
            let nearest: HashMap<i64, f32> = nearest.into_iter().collect();
            let mut hits = Vec::new();
            for row in fuse(&first, &second).into_iter().take(limit) {
                let hit = node(connection, &space.owner, row)?;
                hits.extend(hit.map(|hit| Hit {
                    similarity: nearest.get(&row.0).copied(),
                    ..hit
                }));
            }
            Ok((hits, behind))
        };
        let (hits, behind) = self.with(store.to_owned(), look).await?;
        let meaning = Meaning::Used {
            model,
            behind,
            problem,
        };
        Ok((hits, meaning))
    }

    /// Brings the index up to date with the journal. Returns how many changed tasks are left for the next search.
    async fn catch_up(
        &self,
        journal: &Journal,
        principal: &Principal,
    ) -> Result<usize, OfflineError> {
        let owner = principal.owner().clone();
        let store = journal.store_id().to_owned();
        let of = owner.clone();
        let mut indexed = self
            .with(store.clone(), move |open| indexed(&open.connection, &of))
            .await?;
        let mut behind = Vec::new();
        let mut before = Sequence(u64::MAX);
        loop {
            let streams = journal.streams_before(principal, before, FOUND_MAX).await?;
            let Some(last) = streams.last() else {
                break;
            };
            before = last.sequence;
            for stream in streams.into_iter().filter(|one| one.owner == owner) {
                let known = indexed.remove(&stream.task_id);
                if known.is_none_or(|known| known < stream.sequence) {
                    behind.push(stream.task_id);
                }
            }
        }
        // The journal does not list these any more.
        for task in indexed.into_keys() {
            self.forget(journal, &StreamName::of(&owner, &task)).await?;
        }
        let left = behind.len().saturating_sub(TASKS_MAX);
        behind.truncate(TASKS_MAX);
        for task in behind {
            let known = match rebuild(journal, principal, &task, None).await {
                Ok(Some(known)) => known,
                Ok(None) | Err(JournalError::Erased(_)) => continue,
                Err(error) => return Err(error.into()),
            };
            let name = StreamName::of(&owner, &task);
            let of = name.clone();
            let put = move |open: &mut Open| put(&mut open.connection, &of, &known);
            self.with(store.clone(), put).await?;
            // An erasure that began after the task was read may have looked here before it was put in.
            if journal.erasure(principal, &task).await?.is_some() {
                self.forget(journal, &name).await?;
            }
        }
        Ok(left)
    }

    /// Removes a task from the index, including from free space in its files. Does nothing if there is no index.
    pub async fn forget(&self, journal: &Journal, name: &StreamName) -> Result<(), OfflineError> {
        let name = name.clone();
        if self.file.exists() {
            let remove = move |open: &mut Open| {
                open.vectors.clear();
                removed(&mut open.connection, &name)
            };
            self.with(journal.store_id().to_owned(), remove).await?;
        }
        match fs::remove_file(aside(&self.file)) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(OfflineError::Aside {
                file: self.file.clone(),
                error,
            }),
            _ => Ok(()),
        }
    }

    /// Runs `work` on the open database on a blocking thread. If the file is damaged, moves it aside and retries
    /// once with a new one.
    async fn with<T: Send + 'static>(
        &self,
        store: String,
        work: impl Fn(&mut Open) -> Result<T, rusqlite::Error> + Send + 'static,
    ) -> Result<T, OfflineError> {
        let this = self.clone();
        let done = tokio::task::spawn_blocking(move || this.do_with(&store, &work));
        done.await.map_err(|_| OfflineError::Broken)?
    }

    fn do_with<T>(
        &self,
        store: &str,
        work: &dyn Fn(&mut Open) -> Result<T, rusqlite::Error>,
    ) -> Result<T, OfflineError> {
        // Each change is a transaction: a panic elsewhere leaves the file sound.
        let mut open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        let attempt = |open: &mut Option<Open>| {
            let ready = match open.take() {
                Some(ready) => ready,
                None => Open {
                    connection: opened(&self.file, store)?,
                    vectors: Vectors::default(),
                },
            };
            work(open.insert(ready))
        };
        let result = match attempt(&mut open) {
            Err(error) if is_damage(&error) => {
                tracing::warn!(file = %self.file.display(), %error, "what is known of all tasks is damaged: it is put aside and made anew");
                *open = None;
                put_aside(&self.file).map_err(|error| OfflineError::Aside {
                    file: self.file.clone(),
                    error,
                })?;
                attempt(&mut open)
            }
            result => result,
        };
        result.map_err(|error| {
            *open = None;
            OfflineError::File {
                file: self.file.clone(),
                error,
            }
        })
    }
}
