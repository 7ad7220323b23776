//! Authentication and authorisation, done here once for all protocols.

use std::collections::HashMap;
use std::fmt;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use axum::extract::{FromRequestParts, State};
use axum::http::header;
use axum::http::request::Parts;
use journeyman_api::limits::check_label;
use journeyman_api::{LimitError, Problem};
use journeyman_event::{ContentHash, Owner, Principal};
use serde::{Deserialize, Serialize};
use thiserror::Error;
use tokio::sync::watch;

use crate::app::App;
use crate::problem::Rejection;

/// How often the token file is checked for changes.
const REREAD: Duration = Duration::from_millis(400);
/// The largest token file, in bytes.
const FILE_MAX: u64 = 4 << 20;

/// Marks a request that came over the data folder's socket.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Local;

/// What a user may do with their own tasks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum UserRole {
    /// May only view.
    Viewer,
    /// May view and change.
    User,
    /// May view and change, and see the state of the server itself.
    Admin,
}

/// Why a token file cannot be used.
#[derive(Debug, Error)]
pub enum TokenFileError {
    /// The file cannot be read.
    #[error("cannot read the token file {}: {source}", path.display())]
    Io {
        /// The path of the file.
        path: PathBuf,
        /// The error of the operating system.
        source: std::io::Error,
    },
    /// A line is invalid.
    #[error(
        "line {line} of the token file {}: {problem}; a line is \
         {{\"name\":\"ada\",\"token_hash\":\"b3:...\",\"role\":\"user\"}} with the BLAKE3 hash of the token",
        path.display()
    )]
    Line {
        /// The path of the file.
        path: PathBuf,
        /// The number of the line, from 1.
        line: usize,
        /// What is wrong with it.
        problem: String,
    },
}

/// A line of a token file: a user's token and role.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TokenLine {
    name: Owner,
    token_hash: ContentHash,
    role: UserRole,
    /// The name of the token, for budgets.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    key: Option<String>,
}

impl TokenLine {
    /// The line for a user's token. `key` is the name of the token in budgets; without one it is the beginning of its hash.
    pub fn new(
        name: Owner,
        token: &str,
        role: UserRole,
        key: Option<String>,
    ) -> Result<Self, LimitError> {
        if let Some(key) = &key {
            check_label("key", key)?;
        }
        Ok(Self {
            name,
            token_hash: ContentHash::of(token.as_bytes()),
            role,
            key,
        })
    }
}

/// What is known of a token.
#[derive(Clone, Debug)]
struct Entry {
    principal: Principal,
    role: UserRole,
    key: Arc<str>,
}

/// Tokens by their hash.
type Known = HashMap<ContentHash, Entry>;

/// The characters of a hash that stand for a token without a name.
const KEY_CHARS: usize = 11;

/// A token file. Each line is a JSON object with a name, the BLAKE3 hash of a token, and a role. It is read
/// again when it changes.
#[derive(Debug)]
pub struct TokenFile {
    path: PathBuf,
    known: Known,
}

impl TokenFile {
    /// Reads the file.
    pub fn read(path: &Path) -> Result<Self, TokenFileError> {
        Ok(Self {
            known: read_tokens(path)?,
            path: path.to_owned(),
        })
    }
}

fn read_tokens(path: &Path) -> Result<Known, TokenFileError> {
    let io = |source| TokenFileError::Io {
        path: path.to_owned(),
        source,
    };
    if fs::metadata(path).map_err(io)?.len() > FILE_MAX {
        return Err(io(std::io::Error::other("it is larger than 4 MiB")));
    }
    let text = fs::read_to_string(path).map_err(io)?;
    let mut known = Known::new();
    for (number, line) in text.lines().enumerate() {
        if line.trim().is_empty() {
            continue;
        }
        let bad = |problem: String| TokenFileError::Line {
            path: path.to_owned(),
            line: number + 1,
            problem,
        };
        let line: TokenLine = serde_json::from_str(line).map_err(|error| bad(error.to_string()))?;
        if &line.name == Principal::system().owner() {
            return Err(bad("the name `system` is the server's own".to_owned()));
        }
        let principal = match line.role {
            UserRole::Viewer => Principal::viewer(line.name),
            UserRole::User | UserRole::Admin => Principal::user(line.name),
        };
        if let Some(key) = &line.key {
            check_label("key", key).map_err(|error| bad(error.to_string()))?;
        }
        let hash = line.token_hash.to_string();
        let key = line.key.as_deref().unwrap_or(&hash[..KEY_CHARS]);
        let entry = Entry {
            principal,
            role: line.role,
            key: key.into(),
        };
        if known.insert(line.token_hash, entry).is_some() {
            return Err(bad("the token stands in the file twice".to_owned()));
        }
    }
    Ok(known)
}

/// Authenticates callers. Clones share their state.
#[derive(Clone)]
pub struct Auth {
    /// The known tokens; `None` if everyone who can reach the server is the local user.
    tokens: Option<watch::Receiver<Arc<Known>>>,
}

impl Auth {
    /// Accepts everyone who can reach the server as the local user.
    pub fn open() -> Self {
        Self { tokens: None }
    }

    /// Accepts only callers with a token in the file. An async task watches the file for changes. If it cannot
    /// be read any more, the known tokens stay valid, and a warning is logged.
    pub fn with_tokens(file: TokenFile) -> Self {
        let (changed, tokens) = watch::channel(Arc::new(file.known));
        let path = file.path;
        tokio::spawn(async move {
            let mut last = stamp(&path);
            loop {
                tokio::select! {
                    () = tokio::time::sleep(REREAD) => {}
                    () = changed.closed() => return,
                }
                let now = stamp(&path);
                if now == last {
                    continue;
                }
                match read_tokens(&path) {
                    Ok(known) => {
                        tracing::info!(tokens = known.len(), "the token file was read again");
                        changed.send_replace(Arc::new(known));
                    }
                    Err(error) => {
                        tracing::error!(%error, "the token file cannot be used; the tokens read before stay valid");
                    }
                }
                last = now;
            }
        });
        Self {
            tokens: Some(tokens),
        }
    }

    pub(crate) fn needs_token(&self) -> bool {
        self.tokens.is_some()
    }

    /// The caller with this token.
    pub(crate) fn caller(&self, token: &str) -> Option<Caller> {
        let hash = ContentHash::of(token.as_bytes());
        let known = self.tokens.as_ref()?.borrow().clone();
        let Entry {
            principal,
            role,
            key,
        } = known.get(&hash)?.clone();
        Some(Caller {
            principal,
            role,
            key: Some(key),
            credentials: Credentials::Token(hash),
        })
    }

    /// Waits until the caller's credentials are no longer valid, or their role has changed.
    pub(crate) async fn revoked(&self, caller: &Caller) {
        let (Some(tokens), Credentials::Token(hash)) = (&self.tokens, &caller.credentials) else {
            return std::future::pending().await;
        };
        // If the watching task has ended, the server itself is ending.
        let _ = tokens
            .clone()
            .wait_for(|known| !lets_in(known, hash, caller))
            .await;
    }

    /// Whether the caller's credentials are still valid, with the same role.
    pub(crate) fn recheck(&self, caller: &Caller) -> Result<(), Problem> {
        match (&self.tokens, &caller.credentials) {
            (Some(tokens), Credentials::Token(hash))
                if !lets_in(&tokens.borrow(), hash, caller) =>
            {
                Err(unknown_token())
            }
            _ => Ok(()),
        }
    }
}

impl fmt::Debug for Auth {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut auth = f.debug_struct("Auth");
        auth.field("needs_token", &self.needs_token()).finish()
    }
}

fn lets_in(known: &Known, token: &ContentHash, caller: &Caller) -> bool {
    let found = known.get(token);
    found.is_some_and(|entry| entry.principal == caller.principal && entry.role == caller.role)
}

fn unknown_token() -> Problem {
    Problem::unauthorized("the token is not known, or no longer")
}

/// A value that changes when a file does.
fn stamp(path: &Path) -> Option<(std::time::SystemTime, u64, u64)> {
    use std::os::unix::fs::MetadataExt;
    let meta = fs::metadata(path).ok()?;
    Some((meta.modified().ok()?, meta.len(), meta.ino()))
}

/// An authenticated caller.
#[derive(Clone, Debug)]
pub(crate) struct Caller {
    pub(crate) principal: Principal,
    role: UserRole,
    /// The name of the caller's token.
    key: Option<Arc<str>>,
    /// The caller's credentials.
    credentials: Credentials,
}

/// The credentials of a caller.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Credentials {
    /// Access to the data folder's socket, whose permissions restrict it to the user.
    Socket,
    /// Access to a port of a server without tokens, which all users of this machine can reach.
    Port,
    /// A token with this hash.
    Token(ContentHash),
}

impl Caller {
    /// The local user over the socket.
    fn local(credentials: Credentials) -> Self {
        Self {
            principal: Principal::local(),
            role: UserRole::Admin,
            key: None,
            credentials,
        }
    }

    /// The local user over a port.
    #[cfg(test)]
    pub(crate) fn of_port() -> Self {
        Self::local(Credentials::Port)
    }

    pub(crate) fn may_see_server(&self) -> Result<(), Problem> {
        match self.role {
            UserRole::Admin => Ok(()),
            UserRole::Viewer | UserRole::User => Err(Problem::forbidden("only admins may do this")),
        }
    }

    /// The name of the caller's token, for budgets; `None` for a caller without a token.
    pub(crate) fn key(&self) -> Option<String> {
        self.key.as_deref().map(str::to_owned)
    }

    /// Whether the caller may refer to files of this machine: only someone who can open the data folder's
    /// socket is known to be the user that the server runs as.
    pub(crate) fn is_local(&self) -> bool {
        self.credentials == Credentials::Socket
    }
}

/// The caller, if already known: over the data folder's socket, on a server without tokens, or by a token in
/// the header.
pub(crate) fn known_caller(app: &App, parts: &Parts) -> Result<Option<Caller>, Problem> {
    if let Some(caller) = parts.extensions.get::<Caller>() {
        app.auth.recheck(caller)?; // let in already, over another protocol
        return Ok(Some(caller.clone()));
    }
    if parts.extensions.get::<Local>().is_some() {
        return Ok(Some(Caller::local(Credentials::Socket)));
    }
    if !app.auth.needs_token() {
        return Ok(Some(Caller::local(Credentials::Port)));
    }
    let Some(given) = parts.headers.get(header::AUTHORIZATION) else {
        return Ok(None);
    };
    let token = given.to_str().ok().and_then(|text| {
        let (scheme, token) = text.split_once(' ')?;
        scheme
            .eq_ignore_ascii_case("bearer")
            .then_some(token.trim())
    });
    let caller = token.and_then(|token| app.auth.caller(token));
    caller.map(Some).ok_or_else(unknown_token)
}

impl FromRequestParts<App> for Caller {
    type Rejection = Rejection;

    async fn from_request_parts(parts: &mut Parts, app: &App) -> Result<Self, Rejection> {
        let State(app) = State::<App>::from_request_parts(parts, app)
            .await
            .map_err(|_: std::convert::Infallible| Problem::forbidden("nobody"))?;
        let caller = known_caller(&app, parts)?;
        let nobody = || Problem::unauthorized("send a token: `Authorization: Bearer ...`");
        Ok(caller.ok_or_else(nobody)?)
    }
}
