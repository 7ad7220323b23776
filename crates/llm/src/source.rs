//! Where the weights of a managed model come from, expressed as one name: the argument of `--model` and `journeyman
//! model`.

use std::path::PathBuf;

use reqwest::Url;

use crate::Error;
use crate::catalogue::{CataloguedModel, catalogue};

const FORMS: &str = "hf:owner/repository/file.gguf, hf:owner/repository:Q4_K_M, \
    https://host/file.gguf, or the path of a file that begins with / or ./";

/// The source of weights.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Source {
    /// The built-in catalogue.
    Catalogue(CataloguedModel),
    /// A repository on a Hugging Face hub.
    Hub {
        /// The name of the repository: `owner/name`.
        repository: String,
        /// Which of its files is meant.
        pick: FileSelector,
    },
    /// A file at a URL.
    Url {
        /// The URL without a fragment.
        url: String,
        /// The name of the file.
        file: String,
        /// The expected SHA-256, if given with the name, in lower-case hexadecimal.
        sha256: Option<String>,
    },
    /// A file of the user's own.
    File(PathBuf),
}

/// Which file of a repository is meant.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum FileSelector {
    /// The file with this path.
    File(String),
    /// The only file whose name ends with this, such as `Q4_K_M`.
    Ending(String),
    /// The only file of the repository.
    Only,
}

pub(crate) fn wrong(what: String) -> Error {
    Error::Unsupported { what }
}

impl Source {
    /// Whether a name denotes weights in any form other than a catalogue name. Such a name is meant for the
    /// managed server.
    pub fn is_explicit(name: &str) -> bool {
        ["hf:", "http://", "https://", "/", "./", "../"]
            .iter()
            .any(|start| name.starts_with(start))
    }

    /// Parses a name.
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

/// Parses `owner/name/path.gguf`, `owner/name:ENDING` or `owner/name`.
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
        (true, None) => FileSelector::Only,
        (true, Some(ending)) if is_plain(ending) => FileSelector::Ending(ending.to_owned()),
        (false, None) if is_weights(&file) => FileSelector::File(file),
        _ => return Err(bad()),
    };
    if let FileSelector::File(file) = &pick
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

/// Whether a file is one of several that together form a model: `-00001-of-00003.gguf`.
fn is_split(file: &str) -> bool {
    let stem = &file[..file.len().saturating_sub(".gguf".len())];
    let mut words = stem.rsplit('-');
    let is_number = |word: Option<&str>| {
        word.is_some_and(|word| word.len() == 5 && word.bytes().all(|byte| byte.is_ascii_digit()))
    };
    is_number(words.next()) && words.next() == Some("of") && is_number(words.next())
}

/// The file of a repository that the selector means.
pub(crate) fn choose(
    repository: &str,
    files: &[String],
    pick: &FileSelector,
) -> Result<String, Error> {
    let ending = match pick {
        FileSelector::File(file) => return Ok(file.clone()),
        FileSelector::Ending(ending) => ending.to_ascii_lowercase(),
        FileSelector::Only => String::new(),
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_says_where_the_weights_are() {
        let hub = |pick| Source::Hub {
            repository: "Qwen/Some-GGUF".into(),
            pick,
        };
        let sum = "AB".repeat(32);
        let cases = [
            (
                "hf:Qwen/Some-GGUF/a.gguf",
                hub(FileSelector::File("a.gguf".into())),
            ),
            (
                "hf:Qwen/Some-GGUF/q/a.gguf",
                hub(FileSelector::File("q/a.gguf".into())),
            ),
            (
                "hf:Qwen/Some-GGUF:Q4_K_M",
                hub(FileSelector::Ending("Q4_K_M".into())),
            ),
            ("hf:Qwen/Some-GGUF", hub(FileSelector::Only)),
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
        let pick = |ending: &str| choose("o/r", &files, &FileSelector::Ending(ending.into()));
        assert_eq!(pick("Q4_K_M").unwrap(), "m-q4_k_m.gguf");
        assert_eq!(pick("q8_0").unwrap(), "m-q8_0.gguf");
        let error = pick("F16").unwrap_err().to_string();
        assert!(
            error.contains("none") && error.contains("m-q8_0.gguf"),
            "{error}"
        );
        let error = choose("o/r", &files, &FileSelector::Only)
            .unwrap_err()
            .to_string();
        assert!(error.contains("several"), "{error}");
    }
}
