//! The Hugging Face Hub or a mirror of it: lists the files of a repository and the size and SHA-256 of each
//! (<https://huggingface.co/docs/hub/api>; the headers `X-Linked-Size` and `X-Linked-ETag` of a `resolve` URL
//! describe files in large-file storage). No other module depends on its API.

use std::time::Duration;

use reqwest::RequestBuilder;
use reqwest::Response;
use serde::Deserialize;

use crate::Error;
use crate::http::{Follow, client, reason};

/// The URL of the public hub.
pub const HUB: &str = "https://huggingface.co";
const PATIENCE: Duration = Duration::from_secs(30);

/// A hub to download from.
#[derive(Clone)]
pub struct Hub {
    /// The base URL, such as [`HUB`].
    pub endpoint: String,
    /// An access token for private repositories. It is never printed.
    pub token: Option<String>,
}

impl Default for Hub {
    fn default() -> Self {
        Self {
            endpoint: HUB.to_owned(),
            token: None,
        }
    }
}

impl std::fmt::Debug for Hub {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Hub")
            .field("endpoint", &self.endpoint)
            .finish_non_exhaustive()
    }
}

/// A file in a repository of the hub.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HubFile {
    /// The URL to download it from.
    pub url: String,
    /// The size in bytes, if the hub reports it.
    pub bytes: Option<u64>,
    /// The SHA-256, if the hub reports it, which it does for large files.
    pub sha256: Option<String>,
}

#[derive(Deserialize)]
struct Entry {
    path: String,
    #[serde(rename = "type")]
    kind: String,
}

impl Hub {
    fn root(&self) -> &str {
        self.endpoint.trim().trim_end_matches('/')
    }

    /// Lists the paths of the files on the main branch of a repository (`owner/name`). The list is cut after
    /// 1,000 files.
    pub async fn files(&self, repository: &str) -> Result<Vec<String>, Error> {
        let url = format!(
            "{}/api/models/{repository}/tree/main?recursive=true",
            self.root()
        );
        let request = client(&url, Follow::All)?.get(&url);
        let response = self.send(&url, repository, request).await?;
        let entries: Vec<Entry> = response.json().await.map_err(|error| Error::Content {
            url,
            reason: format!("it is no list of files: {}", reason(&error)),
        })?;
        let files = entries.into_iter().filter(|entry| entry.kind == "file");
        Ok(files.map(|entry| entry.path).collect())
    }

    /// Looks up the URL, size and SHA-256 of one file.
    pub async fn file(&self, repository: &str, path: &str) -> Result<HubFile, Error> {
        let url = format!("{}/{repository}/resolve/main/{path}", self.root());
        let request = client(&url, Follow::SameHost)?.head(&url);
        let what = format!("{path} of {repository}");
        let response = self.send(&url, &what, request).await?;
        let header = |name: &str| response.headers().get(name)?.to_str().ok();
        let linked = header("x-linked-etag").map(|etag| etag.trim_matches('"'));
        let is_sha256 =
            |sum: &&str| sum.len() == 64 && sum.bytes().all(|byte| byte.is_ascii_hexdigit());
        Ok(HubFile {
            bytes: header("x-linked-size").and_then(|size| size.parse().ok()),
            sha256: linked.filter(is_sha256).map(str::to_ascii_lowercase),
            url,
        })
    }

    async fn send(
        &self,
        url: &str,
        what: &str,
        mut request: RequestBuilder,
    ) -> Result<Response, Error> {
        if let Some(token) = &self.token {
            request = request.bearer_auth(token);
        }
        let sent = request.timeout(PATIENCE).send().await;
        let response = sent.map_err(|error| Error::Network {
            url: url.to_owned(),
            reason: reason(&error),
        })?;
        match response.status().as_u16() {
            200..=399 => Ok(response),
            401 | 403 | 404 => Err(Error::NotOnHub {
                what: what.to_owned(),
                endpoint: self.root().to_owned(),
                status: response.status().as_u16(),
            }),
            status => Err(Error::Refused {
                url: url.to_owned(),
                status,
            }),
        }
    }
}
