//! Secrets, read from their references each time they are needed.

use std::collections::BTreeMap;
use std::path::Path;

use journeyman_api::{Reference, Target, parse_webhook_url};
use reqwest::Url;
use standardwebhooks::Webhook;
use tokio::io::AsyncReadExt;

/// The largest size of a file with a secret, in bytes.
const FILE_MAX: u64 = 8 << 10;
/// The largest number of secrets of one reference, so that secrets can be rotated.
const SECRETS_MAX: usize = 4;

/// The URL of a webhook.
pub(crate) async fn url(
    target: &Target,
    environment: &BTreeMap<String, String>,
) -> Result<Url, String> {
    match target {
        Target::Url(url) => Ok(url.clone()),
        Target::Reference(reference) => {
            let text = read(reference, environment).await?;
            parse_webhook_url(&text).map_err(|why| format!("{reference}: {why}"))
        }
    }
}

/// The signers for the secrets of a reference, which are separated by white space.
pub(crate) async fn signers(
    reference: &Reference,
    environment: &BTreeMap<String, String>,
) -> Result<Vec<Webhook>, String> {
    let text = read(reference, environment).await?;
    let words: Vec<&str> = text.split_whitespace().collect();
    if words.len() > SECRETS_MAX {
        return Err(format!("{reference} has more than {SECRETS_MAX} secrets"));
    }
    let made = words.into_iter().map(|word| {
        let encoded = word.strip_prefix("whsec_").filter(|word| !word.is_empty());
        let webhook = encoded.and_then(|word| Webhook::new(word).ok());
        // The cause is left out: it could contain part of the secret.
        webhook.ok_or_else(|| {
            format!("{reference} is not a secret: it must be `whsec_` followed by base64")
        })
    });
    made.collect()
}

async fn read(
    reference: &Reference,
    environment: &BTreeMap<String, String>,
) -> Result<String, String> {
    let text = match reference {
        Reference::Env(name) => environment.get(name).cloned().unwrap_or_default(),
        Reference::File(path) => file(path)
            .await
            .map_err(|error| format!("{reference}: {error}"))?,
    };
    let text = text.trim();
    if text.is_empty() {
        return Err(format!(
            "{reference} is empty or not set for the process that holds the data folder"
        ));
    }
    Ok(text.to_owned())
}

async fn file(path: &Path) -> std::io::Result<String> {
    // Reading a pipe could block.
    if !tokio::fs::metadata(path).await?.is_file() {
        return Err(std::io::Error::other("it is not a regular file"));
    }
    let mut text = String::new();
    let file = tokio::fs::File::open(path).await?;
    file.take(FILE_MAX + 1).read_to_string(&mut text).await?;
    if text.len() as u64 > FILE_MAX {
        return Err(std::io::Error::other("it is larger than 8 KiB"));
    }
    Ok(text)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    const SECRET: &str = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";

    fn environment(value: &str) -> BTreeMap<String, String> {
        [("X".to_owned(), value.to_owned())].into()
    }

    async fn count(value: &str) -> Result<usize, String> {
        let reference = Reference::Env("X".to_owned());
        let signers = signers(&reference, &environment(value)).await;
        signers.map(|signers| signers.len())
    }

    #[tokio::test]
    async fn a_secret_has_the_form_of_standard_webhooks() {
        assert_eq!(count(SECRET).await, Ok(1));
        assert_eq!(count(&format!(" {SECRET}\n{SECRET} ")).await, Ok(2));
        for bad in ["", "hunter2", "whsec_", "whsec_hunter2!"] {
            let error = count(bad).await.unwrap_err();
            assert!(!error.contains("hunter2"), "{error}");
        }
        assert!(count(&format!("{SECRET} ").repeat(5)).await.is_err());
    }

    #[tokio::test]
    async fn a_secret_can_be_in_a_file() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("secret");
        let reference = Reference::File(path.clone());
        let nothing = BTreeMap::new();
        let read = || signers(&reference, &nothing);
        assert!(read().await.is_err());
        std::fs::write(&path, format!("{SECRET}\n")).unwrap();
        assert_eq!(read().await.unwrap().len(), 1);
        std::fs::write(&path, "x".repeat(9 << 10)).unwrap();
        let error = read().await.map(|_| ()).unwrap_err();
        assert!(error.contains("8 KiB"), "{error}");
        let folder = Reference::File(folder.path().to_owned());
        assert!(signers(&folder, &BTreeMap::new()).await.is_err());
    }

    #[tokio::test]
    async fn a_url_can_be_a_reference() {
        let target: Target = "env:X".parse().unwrap();
        let read = async |value: &str| url(&target, &environment(value)).await;
        assert_eq!(
            read("https://host/x").await.unwrap().as_str(),
            "https://host/x"
        );
        let error = read("https://user:hunter2@host/").await.unwrap_err();
        assert!(
            error.contains("env:X") && !error.contains("hunter2"),
            "{error}"
        );
        assert!(read("").await.is_err());
    }
}
