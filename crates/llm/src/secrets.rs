//! A client's credentials, and how they are kept out of messages: a server may repeat whatever it was sent in an
//! error, and errors are stored permanently.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use reqwest::Url;
use reqwest::header::HeaderValue;

use crate::Error;

/// Shorter secrets are not replaced, because they could be a word in any text.
const SECRET_CHARS_MIN: usize = 4;
/// The replacement for a secret.
const STARS: &str = "***";
/// The mark after a truncated text.
const CUT: &str = " ...";

/// The texts that must not be shown, the longest first. Deliberately has no `Debug`.
pub(crate) struct Secrets {
    texts: Vec<String>,
    /// Whether the secrets come from the URL, and not from the API key.
    in_address: bool,
}

impl Secrets {
    /// Collects the API key, the password in the URL both encoded and decoded, and the value of the header.
    pub(crate) fn of(url: &str, credentials: Option<&HeaderValue>, api_key: Option<&str>) -> Self {
        let parsed = Url::parse(url).ok();
        let written = parsed.and_then(|url| url.password().map(str::to_owned));
        let header = credentials.and_then(|header| header.to_str().ok());
        let encoded = header.map(|header| header.strip_prefix("Basic ").unwrap_or(header));
        let decoded = encoded.and_then(|encoded| STANDARD.decode(encoded).ok());
        let decoded = decoded.and_then(|bytes| String::from_utf8(bytes).ok());
        let meant = decoded.and_then(|pair| pair.split_once(':').map(|(_, it)| it.to_owned()));
        let key = api_key.map(|key| key.trim().to_owned());
        let all = [key, written, meant, encoded.map(str::to_owned)];
        let mut secrets: Vec<String> = all.into_iter().flatten().collect();
        let as_json: Vec<String> = secrets
            .iter()
            .map(|one| serde_json::Value::from(one.as_str()).to_string())
            .map(|quoted| quoted[1..quoted.len() - 1].to_owned())
            .collect();
        secrets.extend(as_json);
        secrets.retain(|one| one.chars().count() >= SECRET_CHARS_MIN);
        secrets.sort_by(|a, b| b.len().cmp(&a.len()).then(a.cmp(b)));
        secrets.dedup();
        Self {
            texts: secrets,
            in_address: credentials.is_some(),
        }
    }

    /// Replaces the secrets in a text from a server.
    pub(crate) fn hidden(&self, text: &str) -> String {
        let mut text = text.to_owned();
        for secret in &self.texts {
            text = text.replace(secret, STARS);
        }
        // The bound of its words may have cut one in two.
        if !text.contains(CUT) {
            return text;
        }
        for secret in &self.texts {
            let starts = secret.char_indices().map(|(end, _)| &secret[..end]);
            let starts: Vec<&str> = starts.skip(SECRET_CHARS_MIN).collect();
            for start in starts.into_iter().rev() {
                text = text.replace(&format!("{start}{CUT}"), &format!("{STARS}{CUT}"));
            }
        }
        text
    }

    /// Replaces the secrets in an error's texts, and notes where they were configured.
    pub(crate) fn hidden_in(&self, mut error: Error) -> Error {
        let hide = |text: &mut String| *text = self.hidden(text);
        match &mut error {
            Error::Unreachable { reason, .. }
            | Error::Broken { reason, .. }
            | Error::Shortage { reason, .. }
            | Error::Managed { reason } => hide(reason),
            Error::Failing { message, .. } => hide(message),
            Error::Rejected {
                message,
                named_in_address,
                ..
            } => {
                *named_in_address = self.in_address;
                hide(message);
            }
            Error::NoServer { tried } => tried.iter_mut().for_each(hide),
            Error::NoSuchModel { has, .. } => has.iter_mut().for_each(hide),
            Error::Malformed { problem, .. } => hide(problem),
            Error::Unsupported { what } => hide(what),
            Error::TooLong { words, .. } => hide(words),
            Error::CutPrompt { .. }
            | Error::TimedOut { .. }
            | Error::OnlyThoughts { .. }
            | Error::Filtered
            | Error::Interrupted { .. }
            | Error::InUse { .. }
            | Error::Fetch(_) => {}
        }
        error
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::http;

    #[test]
    fn what_a_client_proves_itself_with_is_hidden_in_every_form() {
        let long = format!("{} ...", &"secret-key-of-many-signs"[..12]);
        for (url, key, said, told) in [
            ("http://bob:s3cretpw@box", None, "no s3cretpw", "no ***"),
            (
                "http://bob:s3cretpw@box",
                None,
                "Basic Ym9iOnMzY3JldHB3!",
                "Basic ***!",
            ),
            ("http://bob:p%40ss@box", None, "p@ss, p%40ss", "***, ***"),
            (
                "http://bob:p%22ss@box",
                None,
                r#"{"a":"p\"ss"}"#,
                r#"{"a":"***"}"#,
            ),
            (
                "http://box",
                Some(" sk-1234\n"),
                "bad key: sk-1234.",
                "bad key: ***.",
            ),
            (
                "http://box",
                Some("secret-key-of-many-signs"),
                long.as_str(),
                "*** ...",
            ),
            // What is shown for any credentials.
            ("http://bob:abc@box", Some("key"), "abc key", "abc key"),
            ("http://bob@box", Some(""), "bob", "bob"),
        ] {
            let (_, header) = http::address(url).unwrap();
            let secrets = Secrets::of(url, header.as_ref(), key);
            assert_eq!(secrets.hidden(said), told, "{url} {key:?}");
        }
    }
}
