//! The part of a search that asks an embedding model: the vector of what is searched for, and those of nodes that have none.
//!
//! It is bounded in time. Whatever goes wrong here, the search answers by words, and says why.

use std::time::Duration;

use journeyman_event::Owner;
use journeyman_llm::{EmbedError, Embedder, batch_len};
use tokio::time::{Instant, timeout_at};

use super::vectors::{Space, keep, texts};
use super::{Offline, OfflineError};

/// How long a search waits for the vector of what is searched for.
const QUERY_TIME_MAX: Duration = Duration::from_secs(2);
/// How long a search makes vectors of nodes that have none.
const CATCH_UP_TIME_MAX: Duration = Duration::from_secs(2);
/// The most nodes whose vectors are asked for at a time.
const BATCH_MAX: usize = 32;
/// The most characters of a text that are read for its vector.
const TEXT_CHARS_MAX: usize = 1_000;
/// Where a model cannot read that many, half of them are tried, and half again, but never fewer than this.
const TEXT_CHARS_MIN: usize = 125;

/// How many failures in a row end the making of vectors: a model may fail at one text and not at others.
const FAILURES_MAX: u32 = 3;

/// Whether a search was by meaning.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Meaning {
    /// No embedding model is configured.
    Off,
    /// The search was by words and by meaning.
    Used {
        /// The name of the embedding model.
        model: String,
        /// The number of nodes that have no vector yet and were searched by words alone. The next search continues
        /// with them.
        behind: usize,
        /// Why no more vectors could be made, if anything failed.
        problem: Option<String>,
    },
    /// The search was by words alone, because the embedding model could not be asked.
    Failed {
        /// Why.
        problem: String,
    },
}

/// What is searched for, as a vector.
pub(super) struct Wanted {
    pub(super) space: Space,
    pub(super) vector: Vec<f32>,
}

/// Asks for the vector of what is searched for. `Err` says in words why there is none.
pub(super) async fn wanted(
    embedder: &dyn Embedder,
    owner: &Owner,
    text: &str,
) -> Result<Wanted, String> {
    let ask = async {
        let model = embedder.model().await?;
        let mut chars = TEXT_CHARS_MAX;
        loop {
            match embedder.embed(&[cut(text, chars)]).await {
                Err(EmbedError::TooLong { .. }) if chars > TEXT_CHARS_MIN => chars /= 2,
                vectors => return Ok::<_, EmbedError>((model, vectors?)),
            }
        }
    };
    let asked = timeout_at(Instant::now() + QUERY_TIME_MAX, ask).await;
    let asked = asked.map_err(|_| {
        let seconds = QUERY_TIME_MAX.as_secs();
        format!("the embedding model did not answer within {seconds} s")
    })?;
    let (model, vectors) = asked.map_err(|error| error.to_string())?;
    let vector = vectors.into_iter().next().unwrap_or_default();
    if vector.is_empty() {
        return Err("the embedding model gave no vector".to_owned());
    }
    Ok(Wanted {
        space: Space {
            owner: owner.clone(),
            model,
            dimensions: vector.len(),
        },
        vector,
    })
}

impl Offline {
    /// Makes vectors of nodes that have none, as many as there is time for. Returns why it stopped early, if anything
    /// failed. One search at a time does this; another leaves it to that one.
    pub(super) async fn make_vectors(
        &self,
        embedder: &dyn Embedder,
        store: &str,
        space: &Space,
    ) -> Result<Option<String>, OfflineError> {
        let Ok(_one) = self.making.try_lock() else {
            return Ok(None);
        };
        let missing = self.missing(store, space).await?;
        let mut done = 0;
        let deadline = Instant::now() + CATCH_UP_TIME_MAX;
        // Of how many texts a model can make vectors in the time is not known before it was tried.
        let mut size = 1;
        let mut chars = TEXT_CHARS_MAX;
        let (mut failures, mut problem) = (0, None);
        loop {
            let ids: Vec<i64> = missing.iter().skip(done).take(size).copied().collect();
            let taken = ids.len();
            if taken == 0 {
                return Ok(problem);
            }
            let read = move |open: &mut super::Open| texts(&open.connection, &ids);
            let read = self.with(store.to_owned(), read).await?;
            let all: Vec<String> = read.iter().map(|(_, text)| cut(text, chars)).collect();
            let batch = &all[..batch_len(&all)];
            let begun = Instant::now();
            let made = match timeout_at(deadline, embedder.embed(batch)).await {
                Err(_) => return Ok(problem),
                Ok(Err(EmbedError::TooLong { .. })) if batch.len() > 1 => {
                    size = batch.len() / 2;
                    continue;
                }
                Ok(Err(EmbedError::TooLong { .. })) if chars > TEXT_CHARS_MIN => {
                    chars /= 2;
                    continue;
                }
                Ok(Err(error)) => {
                    failures += 1;
                    problem = Some(error.to_string());
                    if failures >= FAILURES_MAX {
                        return Ok(problem);
                    }
                    if batch.len() <= 1 {
                        done += 1;
                    }
                    size = 1;
                    continue;
                }
                Ok(Ok(made)) => made,
            };
            let fits = |vector: &Vec<f32>| vector.len() == space.dimensions;
            if made.len() != batch.len() || !made.iter().all(fits) {
                let problem = "the embedding model makes vectors of different dimensions";
                return Ok(Some(problem.to_owned()));
            }
            failures = 0;
            // Nodes that went meanwhile have no text, and need no vector.
            done += if batch.len() == all.len() {
                taken
            } else {
                batch.len()
            };
            let ids = read.into_iter().map(|(id, _)| id);
            let vectors: Vec<(i64, Vec<f32>)> = ids.zip(made).collect();
            let model = space.model.clone();
            self.with(store.to_owned(), move |open| {
                keep(&mut open.connection, &model, &vectors)
            })
            .await?;
            let left = deadline.saturating_duration_since(Instant::now());
            let spent = begun.elapsed();
            if spent > left {
                return Ok(problem);
            }
            if spent * 4 < left {
                size = (size * 2).min(BATCH_MAX);
            }
        }
    }

    /// The nodes that have no vector of this space.
    async fn missing(&self, store: &str, space: &Space) -> Result<Vec<i64>, OfflineError> {
        let space = space.clone();
        self.with(store.to_owned(), move |open| {
            open.vectors.missing(&open.connection, &space)
        })
        .await
    }
}

/// The first characters of a text.
fn cut(text: &str, chars: usize) -> String {
    text.chars().take(chars).collect()
}
