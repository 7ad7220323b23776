//! Downloads one file over HTTP. If the connection or the process breaks, the part received so far is kept, and the
//! next attempt continues after it (range requests, RFC 9110, section 14). The file gets its final name only when
//! its size and, if known, its SHA-256 are right.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use futures_util::StreamExt;
use reqwest::header::{CONTENT_RANGE, ETAG, HeaderMap, IF_RANGE, RANGE};
use reqwest::{Client, Response, StatusCode};
use sha2::{Digest, Sha256};
use tokio::fs::{File, OpenOptions};
use tokio::io::AsyncWriteExt;

use crate::Error;
use crate::http::{Follow, client, reason};
use crate::lock::lock;
use crate::progress::{OnProgress, Progress};
use crate::space::check_space;
use crate::store::{
    Record, Stored, find_stored, folder_of, hex, lock_of, part_of, read_record, write_record,
};

/// How many attempts in a row may bring less than [`GAIN_MIN`].
const ATTEMPTS_MAX: u32 = 5;
const GAIN_MIN: u64 = 1 << 20;
const BACKOFF_FIRST: Duration = Duration::from_millis(250);
/// The longest wait for a response to begin, and between two chunks.
const PATIENCE: Duration = Duration::from_mins(1);
/// The number of progress reports per file, and the fewest bytes between two reports.
const REPORTS: u64 = 50;
const REPORT_BYTES_MIN: u64 = 1_000_000;
const BLOCK: usize = 1 << 20;

/// A file to download from a URL.
#[derive(Clone)]
pub struct Download {
    /// The name under which the file is stored and found again, worded for a person.
    pub source: String,
    /// The URL: `https://` or `http://`.
    pub url: String,
    /// The file name, without a folder.
    pub name: String,
    /// The SHA-256 as 64 hexadecimal digits, if known.
    pub sha256: Option<String>,
    /// The size in bytes, if known.
    pub bytes: Option<u64>,
    /// A bearer token for the URL's host. It is not sent to other hosts after a redirect.
    pub token: Option<String>,
    /// The bytes the file must start with, so that a login page is noticed at once.
    pub begins: &'static [u8],
}

/// Returns the stored file, downloading it first if necessary. A second process that wants the same file waits.
/// Dropping the future stops the download and keeps the part received so far.
pub async fn download(
    plan: &Download,
    store: &Path,
    report: OnProgress<'_>,
) -> Result<Stored, Error> {
    fs::create_dir_all(store).map_err(|e| Error::io(store, e))?;
    let folder = folder_of(store, &plan.source);
    let _lock = lock(&lock_of(&folder), &plan.name, report).await?;
    if let Some(stored) = find_stored(store, &plan.source).filter(|stored| stored.complete) {
        let actual = stored.sha256.as_deref().unwrap_or_default();
        return if is_expected(plan, actual) {
            Ok(stored)
        } else {
            Err(Error::Content {
                url: plan.url.clone(),
                reason: format!("the file that is there has the SHA-256 {actual}; remove it first"),
            })
        };
    }
    fs::create_dir_all(&folder).map_err(|e| Error::io(&folder, e))?;
    let fetching = Fetching {
        client: client(&plan.url, Follow::All)?,
        part: part_of(&folder, &plan.name),
        plan,
        folder,
        report,
    };
    let record = fetching.until_whole().await?;
    report(Progress::step(format!("checking {}", plan.name)));
    fetching.finish(record).await?;
    find_stored(store, &plan.source).ok_or_else(|| Error::Content {
        url: plan.url.clone(),
        reason: "it was removed while it was fetched".to_owned(),
    })
}

/// Whether `actual` is the expected SHA-256; true if none is expected.
fn is_expected(plan: &Download, actual: &str) -> bool {
    let expected = plan.sha256.as_deref();
    expected.is_none_or(|expected| expected.eq_ignore_ascii_case(actual))
}

/// Why an attempt did not complete the file.
enum Problem {
    /// A temporary problem; another attempt may succeed.
    Broken(String),
    /// A permanent problem; another attempt would fail too.
    Final(Error),
}

impl From<Error> for Problem {
    fn from(error: Error) -> Self {
        Self::Final(error)
    }
}

struct Fetching<'a> {
    plan: &'a Download,
    client: Client,
    folder: PathBuf,
    part: PathBuf,
    report: OnProgress<'a>,
}

impl Fetching<'_> {
    fn part_bytes(&self) -> u64 {
        fs::metadata(&self.part).map_or(0, |about| about.len())
    }

    fn remove_part(&self) -> Result<(), Error> {
        match fs::remove_file(&self.part) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
                Err(Error::io(&self.part, error))
            }
            _ => Ok(()),
        }
    }

    fn content(&self, reason: impl Into<String>) -> Error {
        Error::Content {
            url: self.plan.url.clone(),
            reason: reason.into(),
        }
    }

    /// Repeats attempts until the file is complete.
    async fn until_whole(&self) -> Result<Record, Error> {
        let (mut failures, mut backoff) = (0, BACKOFF_FIRST);
        loop {
            let before = self.part_bytes();
            let reason = match self.attempt().await {
                Ok(record) => return Ok(record),
                Err(Problem::Final(error)) => return Err(error),
                Err(Problem::Broken(reason)) => reason,
            };
            if self.part_bytes() >= before.saturating_add(GAIN_MIN) {
                (failures, backoff) = (0, BACKOFF_FIRST);
            }
            failures += 1;
            if failures >= ATTEMPTS_MAX {
                return Err(Error::Network {
                    url: self.plan.url.clone(),
                    reason,
                });
            }
            tracing::warn!(
                url = self.plan.url,
                reason,
                "a download was interrupted; it continues"
            );
            tokio::time::sleep(backoff).await;
            backoff *= 2;
        }
    }

    /// Makes one request for the missing bytes.
    async fn attempt(&self) -> Result<Record, Problem> {
        let known = self.usable_part()?;
        let here = self.part_bytes();
        if let Some(known) = known.as_ref().filter(|known| known.bytes == here) {
            return Ok(known.clone());
        }
        let mut request = self.client.get(&self.plan.url);
        if let Some(token) = &self.plan.token {
            request = request.bearer_auth(token);
        }
        if here > 0 {
            request = request.header(RANGE, format!("bytes={here}-"));
            // With a SHA-256 the end tells whether the parts belong together, and hosts that a file
            // is mirrored on have validators of their own.
            if let (None, Some(etag)) = (&self.plan.sha256, known.and_then(|known| known.etag)) {
                request = request.header(IF_RANGE, etag);
            }
        }
        let response = tokio::time::timeout(PATIENCE, request.send())
            .await
            .map_err(|_| silent())?
            .map_err(|error| Problem::Broken(reason(&error)))?;
        let (here, total) = self.begin(&response, here)?;
        if self.plan.bytes.is_some_and(|bytes| bytes != total) {
            let reason = format!("it has {total} bytes and not the expected number");
            return Err(self.content(reason).into());
        }
        let record = Record {
            source: self.plan.source.clone(),
            file: self.plan.name.clone(),
            bytes: total,
            sha256: self.plan.sha256.clone(),
            etag: strong_etag(response.headers()),
        };
        check_space(&self.plan.name, &self.folder, total.saturating_sub(here))?;
        write_record(&self.folder, &record)?;
        if here < total {
            self.receive(response, here, total).await?;
        }
        Ok(record)
    }

    /// The record of the existing part, if the download can continue from it. Otherwise the part is removed,
    /// because it may belong to a different file.
    fn usable_part(&self) -> Result<Option<Record>, Error> {
        let expected = &self.plan.sha256;
        let record = read_record(&self.folder).filter(|record| {
            record.file == self.plan.name
                && (expected.is_some() || record.etag.is_some())
                && (expected.is_none() || *expected == record.sha256)
        });
        if record.is_none() {
            self.remove_part()?;
        }
        Ok(record)
    }

    /// Reads from the response at which byte it starts and how large the whole file is.
    fn begin(&self, response: &Response, here: u64) -> Result<(u64, u64), Problem> {
        let status = response.status();
        let range = content_range(response.headers());
        match (status, range) {
            (StatusCode::PARTIAL_CONTENT, Some((Some(start), total))) if start == here => {
                Ok((here, total))
            }
            // The part was whole already.
            (StatusCode::RANGE_NOT_SATISFIABLE, Some((None, total))) if total == here => {
                Ok((here, total))
            }
            (StatusCode::PARTIAL_CONTENT | StatusCode::RANGE_NOT_SATISFIABLE, _) => {
                self.remove_part()?;
                let reason = "it sends another range than it was asked for";
                Err(Problem::Broken(reason.to_owned()))
            }
            (StatusCode::OK, _) => {
                self.remove_part()?;
                let total = response.content_length();
                let total = total.ok_or_else(|| self.content("the server does not tell its size"));
                Ok((0, total?))
            }
            (StatusCode::REQUEST_TIMEOUT | StatusCode::TOO_MANY_REQUESTS, _) => {
                Err(Problem::Broken(format!("status {status}")))
            }
            _ if status.is_server_error() => Err(Problem::Broken(format!("status {status}"))),
            _ => Err(Problem::Final(Error::Refused {
                url: self.plan.url.clone(),
                status: status.as_u16(),
            })),
        }
    }

    /// Appends the response body to the part.
    async fn receive(&self, response: Response, here: u64, total: u64) -> Result<(), Problem> {
        let failed = |source| Error::Io {
            path: self.part.clone(),
            source,
            needed: format!("{total} bytes are needed there"),
        };
        let mut file = OpenOptions::new()
            .create(true)
            .append(true)
            .open(&self.part)
            .await
            .map_err(failed)?;
        let mut bytes = response.bytes_stream();
        let (mut done, mut told) = (here, None);
        let step = (total / REPORTS).max(REPORT_BYTES_MIN);
        let mut beginning = (here == 0).then(Vec::new);
        let result = loop {
            if told != Some(done / step) {
                told = Some(done / step);
                self.tell(done, total);
            }
            let piece = match tokio::time::timeout(PATIENCE, bytes.next()).await {
                Err(_) => break Err(silent()),
                Ok(Some(Err(error))) => break Err(Problem::Broken(reason(&error))),
                Ok(Some(Ok(piece))) => piece,
                Ok(None) if done == total => break Ok(()),
                Ok(None) => {
                    let reason = format!("the connection closed after {done} of {total} bytes");
                    break Err(Problem::Broken(reason));
                }
            };
            if let Some(first) = &mut beginning {
                first.extend_from_slice(&piece);
                let len = first.len().min(self.plan.begins.len());
                if first[..len] != self.plan.begins[..len] {
                    self.remove_part()?;
                    return Err(self.content("it is a file of another kind").into());
                }
                if len == self.plan.begins.len() {
                    beginning = None;
                }
            }
            file.write_all(&piece).await.map_err(failed)?;
            done += piece.len() as u64;
        };
        // What arrived counts, however it ended.
        file.flush().await.map_err(failed)?;
        result
    }

    fn tell(&self, done: u64, total: u64) {
        (self.report)(Progress {
            what: format!("downloading {}", self.plan.name),
            done: done / 1_000_000,
            total: Some(total / 1_000_000),
            unit: "MB",
            bytes: Some(total),
        });
    }

    /// Verifies the complete file and gives it its name.
    async fn finish(&self, mut record: Record) -> Result<(), Error> {
        let file = File::open(&self.part)
            .await
            .map_err(|e| Error::io(&self.part, e))?;
        file.sync_all()
            .await
            .map_err(|e| Error::io(&self.part, e))?;
        let path = self.part.clone();
        let actual = tokio::task::spawn_blocking(move || sha256(&path))
            .await
            .map_err(|error| Error::Thread(error.to_string()))??;
        if !is_expected(self.plan, &actual) {
            self.remove_part()?;
            return Err(Error::Checksum {
                name: self.plan.name.clone(),
                expected: self.plan.sha256.clone().unwrap_or_default(),
                actual,
            });
        }
        // Before the name is given: what has its name is complete, and its record tells its sum.
        record.sha256 = Some(actual);
        write_record(&self.folder, &record)?;
        let target = self.folder.join(&self.plan.name);
        fs::rename(&self.part, &target).map_err(|e| Error::io(&target, e))?;
        fs::File::open(&self.folder)
            .and_then(|folder| folder.sync_all())
            .map_err(|e| Error::io(&self.folder, e))
    }
}

fn silent() -> Problem {
    Problem::Broken(format!("silent for {} s", PATIENCE.as_secs()))
}

/// The entity tag if it is a strong one. Weak ones do not distinguish byte-wise different versions.
fn strong_etag(headers: &HeaderMap) -> Option<String> {
    let etag = headers.get(ETAG)?.to_str().ok()?;
    (!etag.starts_with("W/")).then(|| etag.to_owned())
}

/// Parses the first byte and the total size from `bytes 5-9/10` or `bytes */10`.
fn content_range(headers: &HeaderMap) -> Option<(Option<u64>, u64)> {
    let range = headers.get(CONTENT_RANGE)?.to_str().ok()?;
    let (range, total) = range.strip_prefix("bytes ")?.split_once('/')?;
    let start = match range {
        "*" => None,
        range => Some(range.split_once('-')?.0.parse().ok()?),
    };
    Some((start, total.parse().ok()?))
}

/// Computes the SHA-256 of a file. Blocking.
fn sha256(path: &Path) -> Result<String, Error> {
    use std::io::Read;
    let failed = |e| Error::io(path, e);
    let mut file = fs::File::open(path).map_err(failed)?;
    let (mut digest, mut block) = (Sha256::new(), vec![0; BLOCK]);
    loop {
        let len = file.read(&mut block).map_err(failed)?;
        if len == 0 {
            return Ok(hex(&digest.finalize()));
        }
        digest.update(&block[..len]);
    }
}
