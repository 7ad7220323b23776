//! Where a managed model's weights come from, and which of them are in the data folder. One name
//! says all of it: what `--model` and `journeyman model` take.

use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};

use journeyman_fetch::{
    Download, Environment, Error as FetchError, Hub, Progress, Report, Stored, assemble, download,
    find_assembled, find_stored, list_stored, remove_assembled, remove_stored,
};
use reqwest::Url;
use serde::Serialize;

use crate::Error;
use crate::catalogue::{CataloguedModel, catalogue};

/// With what a file of weights begins (`docs/gguf.md` of github.com/ggml-org/ggml).
const MAGIC: &[u8] = b"GGUF";
const FORMS: &str = "hf:owner/repository/file.gguf, hf:owner/repository:Q4_K_M, \
    https://host/file.gguf, or the path of a file that begins with / or ./";

/// Where weights come from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Source {
    /// Our own catalogue.
    Catalogue(CataloguedModel),
    /// A repository of a Hugging Face hub.
    Hub {
        /// `owner/name`.
        repository: String,
        /// Which of its files.
        pick: Pick,
    },
    /// A URL.
    Url {
        /// Without a fragment.
        url: String,
        /// The name of the file.
        file: String,
        /// The SHA-256 that was given with it, in small hexadecimal digits.
        sha256: Option<String>,
    },
    /// A file of the user's own.
    File(PathBuf),
}

/// Which file of a repository.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Pick {
    /// The one with this path.
    File(String),
    /// The only one whose name ends with this, such as `Q4_K_M`.
    Ending(String),
    /// The only one.
    Only,
}

fn wrong(what: String) -> Error {
    Error::Unsupported { what }
}

impl Source {
    /// Whether a name is that of weights in any of the forms but the catalogue's. Such a name is
    /// meant for the managed server.
    pub fn is_explicit(name: &str) -> bool {
        ["hf:", "http://", "https://", "/", "./", "../"]
            .iter()
            .any(|start| name.starts_with(start))
    }

    /// What a name means.
    pub fn parse(name: &str) -> Result<Self, Error> {
        if let Some(rest) = name.strip_prefix("hf:") {
            return parse_hub(name, rest);
        }
        if name.starts_with("http://") || name.starts_with("https://") {
            return parse_url(name);
        }
        if Self::is_explicit(name) {
            return Ok(Self::File(PathBuf::from(name)));
        }
        let known = catalogue();
        let wanted = name.strip_suffix("-instruct").unwrap_or(name);
        let found = known.iter().find(|model| model.name == wanted).cloned();
        found.map(Self::Catalogue).ok_or_else(|| {
            let names: Vec<&str> = known.iter().map(|model| model.name).collect();
            wrong(format!(
                "no managed model is called {name}; there are {}, and {FORMS}; or name a server \
                 with --model-url",
                names.join(" and ")
            ))
        })
    }
}

/// `owner/name/path.gguf`, `owner/name:ENDING` or `owner/name`.
fn parse_hub(name: &str, rest: &str) -> Result<Source, Error> {
    let bad = || wrong(format!("{name:?} names no weights; write one of {FORMS}"));
    // What needs no escaping in a URL, and leads nowhere else in one.
    let is_plain = |text: &str| {
        !text.is_empty()
            && !text.starts_with('.')
            && text
                .bytes()
                .all(|b| b.is_ascii_alphanumeric() || b"._-".contains(&b))
    };
    let (path, ending) = match rest.split_once(':') {
        Some((path, ending)) => (path, Some(ending)),
        None => (rest, None),
    };
    let words: Vec<&str> = path.split('/').collect();
    if words.len() < 2 || !words.iter().all(|word| is_plain(word)) {
        return Err(bad());
    }
    let file = words[2..].join("/");
    let pick = match (file.is_empty(), ending) {
        (true, None) => Pick::Only,
        (true, Some(ending)) if is_plain(ending) => Pick::Ending(ending.to_owned()),
        (false, None) if is_weights(&file) => Pick::File(file),
        _ => return Err(bad()),
    };
    if let Pick::File(file) = &pick
        && is_split(file)
    {
        return Err(wrong(format!(
            "{file} is one part of several, which is not supported; choose weights in one file"
        )));
    }
    Ok(Source::Hub {
        repository: words[..2].join("/"),
        pick,
    })
}

fn parse_url(name: &str) -> Result<Source, Error> {
    let bad = |why: &str| wrong(format!("{name:?} names no weights: {why}"));
    let mut url = Url::parse(name).map_err(|error| bad(&error.to_string()))?;
    let sha256 = match url.fragment() {
        None => None,
        Some(fragment) => {
            let sum = fragment.strip_prefix("sha256=").unwrap_or_default();
            if sum.len() != 64 || !sum.bytes().all(|byte| byte.is_ascii_hexdigit()) {
                return Err(bad("behind the # stands sha256= and 64 hexadecimal digits"));
            }
            Some(sum.to_ascii_lowercase())
        }
    };
    url.set_fragment(None);
    let here = matches!(url.host_str(), Some(host) if host == "localhost" || host.starts_with("127.") || host == "[::1]");
    if url.scheme() == "http" && sha256.is_none() && !here {
        return Err(bad(
            "what comes over http can be changed on its way; use https, or add #sha256= and the \
             file's SHA-256",
        ));
    }
    let file = url
        .path_segments()
        .and_then(Iterator::last)
        .unwrap_or_default();
    if !is_weights(file) {
        return Err(bad("its path does not end with .gguf"));
    }
    Ok(Source::Url {
        file: file.to_owned(),
        url: url.into(),
        sha256,
    })
}

fn is_weights(file: &str) -> bool {
    let stem = file.len().saturating_sub(".gguf".len());
    stem > 0
        && file
            .get(stem..)
            .is_some_and(|end| end.eq_ignore_ascii_case(".gguf"))
}

/// Whether it is one of several files that are one model: `-00001-of-00003.gguf`.
fn is_split(file: &str) -> bool {
    let stem = &file[..file.len().saturating_sub(".gguf".len())];
    let mut words = stem.rsplit('-');
    let is_number = |word: Option<&str>| {
        word.is_some_and(|word| word.len() == 5 && word.bytes().all(|byte| byte.is_ascii_digit()))
    };
    is_number(words.next()) && words.next() == Some("of") && is_number(words.next())
}

/// The one file of a repository that is meant.
fn choose(repository: &str, files: &[String], pick: &Pick) -> Result<String, Error> {
    let ending = match pick {
        Pick::File(file) => return Ok(file.clone()),
        Pick::Ending(ending) => ending.to_ascii_lowercase(),
        Pick::Only => String::new(),
    };
    // A projector is the part of a model that sees pictures, not a model.
    let is_model = |file: &&String| is_weights(file) && !file.contains("mmproj") && !is_split(file);
    let models: Vec<&String> = files.iter().filter(is_model).collect();
    let fits = |file: &str| {
        let stem = file[..file.len() - ".gguf".len()].to_ascii_lowercase();
        let before = stem.strip_suffix(&ending);
        before.is_some_and(|before| ending.is_empty() || before.ends_with(['-', '.', '_', '/']))
    };
    let mut fitting = models.iter().filter(|file| fits(file));
    match (fitting.next(), fitting.next()) {
        (Some(file), None) => Ok((*file).clone()),
        (found, _) => {
            let names: Vec<&str> = models.iter().map(|file| file.as_str()).collect();
            Err(wrong(format!(
                "{} of the files of {repository} fit; name one as hf:{repository}/FILE, there are: {}",
                if found.is_none() { "none" } else { "several" },
                if names.is_empty() {
                    "none in one GGUF file".to_owned()
                } else {
                    names.join(", ")
                }
            )))
        }
    }
}

/// A model as `journeyman model` shows it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Model {
    /// The name that `--model` takes.
    pub name: String,
    /// Whether it is of our own catalogue.
    pub catalogued: bool,
    /// How much of it is there.
    pub state: ModelState,
    /// Bytes that are there.
    pub bytes_here: u64,
    /// Its size in bytes.
    pub bytes: u64,
    /// Its SHA-256, 64 hexadecimal digits, if it is known. It was checked if the model is complete.
    pub sha256: Option<String>,
    /// Where it is, or will be.
    pub path: PathBuf,
    /// Its licence, if it is known.
    pub license: Option<&'static str>,
}

/// How much of a model is there.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum ModelState {
    /// All, and its checksum fitted.
    Complete,
    /// Some: fetching it goes on from there.
    Partial,
    /// Nothing.
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
    /// Those of this data folder; `hub` is where repositories are.
    pub fn new(data_dir: &Path, hub: Hub) -> Self {
        Self {
            data_dir: data_dir.to_owned(),
            store: data_dir.join("models"),
            hub,
        }
    }

    /// The catalogue's models, and whatever else was fetched. Looks only.
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

    /// Fetches a model of the catalogue from its publisher's repository. None if the hub cannot be
    /// reached or has another file, or if its packages were begun with: they are the way then.
    async fn pull_from_hub(
        &self,
        model: &CataloguedModel,
        report: Report<'_>,
    ) -> Result<Option<Stored>, Error> {
        if find_assembled(&model.file, &self.store).bytes_here > 0 {
            return Ok(None);
        }
        let pick = Pick::File(model.file.name.clone());
        let plan = match self.plan_of_hub(model.repository, &pick).await {
            Ok(plan) if plan.sha256.as_ref() == Some(&model.file.sha256) => plan,
            Ok(_) => {
                let why = "the hub has another file of that name; its packages are taken";
                report(Progress::step(format!("{}: {why}", model.file.name)));
                return Ok(None);
            }
            Err(error) => {
                tracing::info!(%error, "the hub does not give the model; its packages are taken");
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
                report(Progress::step(format!("{error}; its packages are taken")));
                Ok(None)
            }
            Err(error) => Err(error.into()),
        }
    }

    /// The file with a model's weights, fetched if it is not there.
    pub async fn weights(&self, source: &Source, report: Report<'_>) -> Result<PathBuf, Error> {
        match source {
            Source::File(path) => {
                check_file(path)?;
                Ok(path.clone())
            }
            source => Ok(self.pull(source, report).await?.path),
        }
    }

    /// Fetches a model, unless it is there. A file of the user's own is refused: it need not be
    /// fetched.
    pub async fn pull(&self, source: &Source, report: Report<'_>) -> Result<Model, Error> {
        match source {
            Source::Catalogue(model) => {
                let there = self.catalogued(model);
                if there.state == ModelState::Complete {
                    return Ok(there);
                }
                if self.pull_from_hub(model, report).await?.is_none() {
                    let environment = Environment::ensure_empty(&self.data_dir, report).await?;
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

    /// What was fetched of a repository already: then the hub need not be asked which file is meant.
    fn find_of_hub(&self, repository: &str, pick: &Pick) -> Result<Option<Stored>, Error> {
        let source = |file: &str| format!("hf:{repository}/{file}");
        if let Pick::File(file) = pick {
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

    async fn plan_of_hub(&self, repository: &str, pick: &Pick) -> Result<Download, Error> {
        let files = match pick {
            Pick::File(_) => Vec::new(),
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

    /// Removes a model from the data folder; what was there. A file of the user's own is refused,
    /// and so is a model that is not there.
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

/// Whether a file of weights brings the template of its model's conversations. Models without one were not
/// taught to follow instructions. The key is one of the file's metadata, which stand before the weights
/// (`docs/gguf.md` of github.com/ggml-org/ggml); a file that cannot be read is taken to have one.
pub(crate) fn has_chat_template(weights: &Path) -> bool {
    /// No vocabulary is larger than this.
    const METADATA_BYTES_MAX: u64 = 64 << 20;
    const STRETCH_BYTES: u64 = 1 << 20;
    const KEY: &[u8] = b"tokenizer.chat_template";
    let Ok(file) = File::open(weights) else {
        return true;
    };
    let mut file = file.take(METADATA_BYTES_MAX);
    // A stretch at a time, with the end of the one before: mostly it stands near the beginning.
    let mut stretch = Vec::new();
    loop {
        let kept = stretch.len().saturating_sub(KEY.len());
        stretch.drain(..kept);
        match file.by_ref().take(STRETCH_BYTES).read_to_end(&mut stretch) {
            Ok(0) => return false,
            Ok(_) if stretch.windows(KEY.len()).any(|bytes| bytes == KEY) => return true,
            Ok(_) => {}
            Err(_) => return true,
        }
    }
}

/// Whether a file of the user's own can be weights.
fn check_file(path: &Path) -> Result<(), Error> {
    let begins = || {
        let mut first = [0; MAGIC.len()];
        File::open(path)?.read_exact(&mut first).map(|()| first)
    };
    let why = match begins() {
        Ok(first) if first == MAGIC => return Ok(()),
        Ok(_) => "it is no GGUF file".to_owned(),
        Err(error) => error.to_string(),
    };
    Err(wrong(format!(
        "{} cannot be used as a model: {why}",
        path.display()
    )))
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;

    use super::*;

    #[test]
    fn a_name_says_where_the_weights_are() {
        let hub = |pick| Source::Hub {
            repository: "Qwen/Some-GGUF".into(),
            pick,
        };
        let sum = "AB".repeat(32);
        let cases = [
            ("hf:Qwen/Some-GGUF/a.gguf", hub(Pick::File("a.gguf".into()))),
            (
                "hf:Qwen/Some-GGUF/q/a.gguf",
                hub(Pick::File("q/a.gguf".into())),
            ),
            (
                "hf:Qwen/Some-GGUF:Q4_K_M",
                hub(Pick::Ending("Q4_K_M".into())),
            ),
            ("hf:Qwen/Some-GGUF", hub(Pick::Only)),
            ("./x.gguf", Source::File("./x.gguf".into())),
            ("/x.gguf", Source::File("/x.gguf".into())),
            (
                &format!("http://box/d/x.gguf?a=1#sha256={sum}"),
                Source::Url {
                    url: "http://box/d/x.gguf?a=1".into(),
                    file: "x.gguf".into(),
                    sha256: Some(sum.to_lowercase()),
                },
            ),
        ];
        for (name, source) in cases {
            assert_eq!(Source::parse(name).unwrap(), source, "{name}");
            assert!(Source::is_explicit(name));
        }
        for name in ["qwen2.5-coder-0.5b", "qwen2.5-coder-0.5b-instruct"] {
            let source = Source::parse(name).unwrap();
            assert!(
                matches!(source, Source::Catalogue(model) if model.name == "qwen2.5-coder-0.5b")
            );
        }
    }

    #[test]
    fn a_name_that_says_nothing_is_refused_with_what_could_be_said() {
        for bad in [
            "hf:owner",
            "hf:owner/../x.gguf",
            "hf:owner/name/x.bin",
            "hf:owner/name/x.gguf:Q4",
            "hf:owner/name/x y.gguf",
            "hf:owner/name/x-00001-of-00003.gguf",
            "http://box/x.gguf",
            "https://box/x.bin",
            "https://box/x.gguf#md5=1",
            "gpt-9",
        ] {
            assert!(Source::parse(bad).is_err(), "{bad}");
        }
        let error = Source::parse("gpt-9").unwrap_err().to_string();
        assert!(
            error.contains("qwen2.5-coder-1.5b") && error.contains("hf:"),
            "{error}"
        );
    }

    #[test]
    fn an_ending_picks_the_one_file_that_has_it() {
        let files: Vec<String> = [
            "README.md",
            "m-q4_k_m.gguf",
            "m-IQ4_K_M.gguf",
            "mmproj-q4_k_m.gguf",
            "big-q8_0-00001-of-00002.gguf",
            "m-q8_0.gguf",
        ]
        .map(str::to_owned)
        .into();
        let pick = |ending: &str| choose("o/r", &files, &Pick::Ending(ending.into()));
        assert_eq!(pick("Q4_K_M").unwrap(), "m-q4_k_m.gguf");
        assert_eq!(pick("q8_0").unwrap(), "m-q8_0.gguf");
        let error = pick("F16").unwrap_err().to_string();
        assert!(
            error.contains("none") && error.contains("m-q8_0.gguf"),
            "{error}"
        );
        let error = choose("o/r", &files, &Pick::Only).unwrap_err().to_string();
        assert!(error.contains("several"), "{error}");
    }

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

    /// A hub that has one file with this SHA-256 to tell and these bytes to give; its address.
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
        // It is there now: nobody is asked.
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

    #[test]
    fn weights_without_a_chat_template_are_told_from_those_with_one() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("m.gguf");
        for (metadata, has) in [
            (&b"GGUF..tokenizer.chat_template..{% for %}"[..], true),
            (b"GGUF..tokenizer.ggml.tokens", false),
        ] {
            std::fs::write(&file, metadata).unwrap();
            assert_eq!(has_chat_template(&file), has);
        }
        // It may stand across what is read at a time.
        let mut far = vec![b'.'; (1 << 20) - 10];
        far.extend(b"tokenizer.chat_template..");
        std::fs::write(&file, far).unwrap();
        assert!(has_chat_template(&file));
        assert!(has_chat_template(&folder.path().join("none")));
    }
}
