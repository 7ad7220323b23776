//! Recorded candidates: answers of a model to requests for code, with everything that a strategy needs to be run on them
//! instead of the model.
//!
//! A recording is a file of JSON lines, compressed with gzip: first a [`Recorded`], then a [`Candidate`] each line.

use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::path::Path;

use flate2::Compression;
use flate2::read::GzDecoder;
use flate2::write::GzEncoder;
use journeyman_event::payload::Form;
use journeyman_event::{ContentHash, Tokens};
use serde::{Deserialize, Serialize};

use crate::Error;

/// What was recorded, and of which model.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Recorded {
    /// The data set.
    pub benchmark: String,
    /// The name of the model.
    pub model: String,
    /// The kind of its server.
    pub server: String,
    /// Its context window.
    pub window: Tokens,
}

/// An answer of the model to a request for code.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Candidate {
    /// The id of the problem in the data set.
    pub problem: String,
    /// How code was asked for.
    pub form: Form,
    /// The sampling temperature.
    pub temperature: f32,
    /// The hash of the authors and the hashes of all its messages.
    pub prompt: ContentHash,
    /// The text of the answer, without a beginning that was given.
    pub text: String,
    /// Whether the answer ended at the token limit.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub cut_short: bool,
    /// The text the model kept repeating, if the answer was stopped for that.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub repeated: Option<String>,
    /// Tokens of the prompt.
    pub prompt_tokens: Tokens,
    /// Tokens of the answer.
    pub completion_tokens: Tokens,
    /// The duration of the call in milliseconds.
    pub ms: u64,
    /// Whether the code in it passes the hidden tests; `None` if there is no usable code in it. Nothing that chooses a
    /// candidate may know it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub right: Option<bool>,
}

/// The answers that a model gave to the problems of a data set.
#[derive(Clone, Debug, PartialEq)]
pub struct Recording {
    /// What was recorded.
    pub recorded: Recorded,
    /// The answers, by problem in the order of the data set, each problem's in the order in which they were given.
    pub candidates: Vec<Candidate>,
}

/// The hash of a prompt, whose messages are known by their authors and the hashes of their texts.
pub(crate) fn hash_of<'m>(messages: impl Iterator<Item = (&'m str, ContentHash)>) -> ContentHash {
    let lines: Vec<String> = messages
        .map(|(role, hash)| format!("{role} {hash}"))
        .collect();
    ContentHash::of(lines.join("\n").as_bytes())
}

impl Recording {
    /// Reads a recording.
    ///
    /// # Errors
    /// [`Error::Io`] if the file cannot be read, [`Error::Dataset`] if it is no recording.
    pub fn read(path: &Path) -> Result<Self, Error> {
        let file = fs::File::open(path).map_err(|error| Error::io(path, error))?;
        let mut lines = BufReader::new(GzDecoder::new(file)).lines().enumerate();
        let wrong = |at: usize, problem: String| Error::Dataset {
            path: path.to_owned(),
            problem: format!("line {} of the recording: {problem}", at + 1),
        };
        let mut next = || {
            let (at, line) = lines.next()?;
            Some(
                line.map(|line| (at, line))
                    .map_err(|error| Error::io(path, error)),
            )
        };
        let (at, first) = next().unwrap_or_else(|| Err(wrong(0, "it is missing".to_owned())))?;
        let recorded =
            serde_json::from_str(&first).map_err(|error| wrong(at, error.to_string()))?;
        let mut candidates = Vec::new();
        while let Some(line) = next() {
            let (at, line) = line?;
            let read = serde_json::from_str(&line);
            candidates.push(read.map_err(|error| wrong(at, error.to_string()))?);
        }
        Ok(Self {
            recorded,
            candidates,
        })
    }

    /// Writes the recording, replacing a file of this name as a whole.
    ///
    /// # Errors
    /// [`Error::Io`] if the file cannot be written.
    pub fn write(&self, path: &Path) -> Result<(), Error> {
        let partial = path.with_extension("partial");
        let failed = |error| Error::io(&partial, error);
        let file = fs::File::create(&partial).map_err(failed)?;
        let mut out = GzEncoder::new(file, Compression::best());
        let mut put = |line: serde_json::Result<String>| {
            let line = line.map_err(std::io::Error::from).map_err(failed)?;
            writeln!(out, "{line}").map_err(failed)
        };
        put(serde_json::to_string(&self.recorded))?;
        for candidate in &self.candidates {
            put(serde_json::to_string(candidate))?;
        }
        let file = out.finish().map_err(failed)?;
        file.sync_all().map_err(failed)?;
        fs::rename(&partial, path).map_err(|error| Error::io(path, error))
    }
}
