//! Calls the scorer process.

use std::ffi::OsString;
use std::path::PathBuf;
use std::process::Stdio;

use serde::de::DeserializeOwned;
use tokio::io::AsyncWriteExt;
use tokio::process::Command;

use crate::dataset::{Mode, Problem};
use crate::{Error, Score};

/// How to start the scorer. `program arguments problems MODE DATASET` prints the public part of each problem as
/// a line of JSON; `program arguments score ID DATASET` reads code from standard input and prints a [`Score`].
#[derive(Clone, Debug)]
pub struct Scorer {
    /// The path of the program.
    pub program: PathBuf,
    /// The arguments before those above.
    pub arguments: Vec<OsString>,
    /// The path of the data set.
    pub dataset: PathBuf,
}

impl Scorer {
    /// The public part of every problem.
    pub async fn problems(&self, mode: Mode) -> Result<Vec<Problem>, Error> {
        self.ask(&["problems", mode.as_str()], "").await
    }

    /// Scores the code of a finished task.
    pub(crate) async fn score(&self, id: &str, code: &str) -> Result<Score, Error> {
        let mut scores: Vec<Score> = self.ask(&["score", id], code).await?;
        scores
            .pop()
            .ok_or_else(|| Error::Scorer("it said nothing".to_owned()))
    }

    async fn ask<T: DeserializeOwned>(
        &self,
        question: &[&str],
        input: &str,
    ) -> Result<Vec<T>, Error> {
        let failed = |error: std::io::Error| Error::Scorer(error.to_string());
        let mut child = Command::new(&self.program)
            .args(&self.arguments)
            .args(question)
            .arg(&self.dataset)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .map_err(failed)?;
        if let Some(mut stdin) = child.stdin.take() {
            // A scorer that fails before it reads says why on its standard error.
            let _closed_early = stdin.write_all(input.as_bytes()).await;
        }
        let output = child.wait_with_output().await.map_err(failed)?;
        if !output.status.success() {
            let text = String::from_utf8_lossy(&output.stderr).trim().to_owned();
            return Err(Error::Scorer(text));
        }
        let text = String::from_utf8_lossy(&output.stdout);
        let read = |line| serde_json::from_str(line).map_err(|e| Error::Scorer(e.to_string()));
        text.lines().map(read).collect()
    }
}
