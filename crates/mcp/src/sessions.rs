//! The sessions of clients whose protocol revision has sessions.
//!
//! A session outlives this process: its id contains what the client sent at initialisation. A session that this
//! process does not know, because it was restarted or evicted the session to make room, is recreated from the id
//! without the client noticing. Only what the client has set since is lost: its log level and the resources it
//! watches.

use std::cell::RefCell;
use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Mutex, PoisonError};

use async_trait::async_trait;
use axum::http::HeaderValue;
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use futures_util::{Stream, StreamExt};
use journeyman_event::Owner;
use rmcp::model::{
    ClientCapabilities, ClientJsonRpcMessage, Implementation, InitializeRequestParams,
    ProtocolVersion, ServerJsonRpcMessage,
};
use rmcp::transport::common::server_side_http::ServerSseMessage;
use rmcp::transport::streamable_http_server::session::local::LocalSessionManager;
use rmcp::transport::streamable_http_server::session::{
    RestoreOutcome, SessionManager, SessionState, SessionStore, SessionStoreError,
};
use serde::{Deserialize, Serialize};
use tokio::time::Instant;

/// The most open sessions; each takes a few tens of KiB.
pub(crate) const SESSIONS_MAX: usize = 1_000;
/// The most open sessions per owner.
pub(crate) const OWNERS_MAX: usize = 500;
/// The most bytes of the client's initialisation message.
pub(crate) const TOLD_MAX: usize = 16 << 10;
/// The most bytes of capabilities that an id contains. If there are more, only those used here are kept.
const CAPABILITIES_MAX: usize = 2 << 10;
/// How many ids of sessions ended by their clients are remembered, so that these are not recreated.
const ENDED_MAX: usize = 10_000;

tokio::task_local! {
    /// The initialisation message of the client that sent this request: from the session id, or from the
    /// request itself.
    static TOLD: RefCell<Option<SessionState>>;
}

/// The contents of a session id.
#[derive(Serialize, Deserialize)]
struct Kept {
    #[serde(rename = "v")]
    version: ProtocolVersion,
    #[serde(rename = "c")]
    capabilities: ClientCapabilities,
}

/// A session id as the client has it.
pub(crate) struct SessionId {
    name: String,
    told: SessionState,
}

impl SessionId {
    /// Parses an id; `None` if it was not issued by this server.
    pub(crate) fn read(id: &str) -> Option<Self> {
        let (name, told) = id.split_once('.')?;
        let kept: Kept = serde_json::from_slice(&URL_SAFE_NO_PAD.decode(told).ok()?).ok()?;
        let is_name = name.len() == 36 && name.bytes().all(|b| b.is_ascii_hexdigit() || b == b'-');
        let client = Implementation::new("resumed", "");
        let told = InitializeRequestParams::new(kept.capabilities, client)
            .with_protocol_version(kept.version);
        is_name.then(|| Self {
            name: name.to_owned(),
            told: SessionState::new(told),
        })
    }

    /// The id of a session with this initialisation message.
    fn write(name: &str, told: &InitializeRequestParams) -> Option<HeaderValue> {
        let mut capabilities = told.capabilities.clone();
        let size = serde_json::to_vec(&capabilities).map_or(usize::MAX, |json| json.len());
        if size > CAPABILITIES_MAX {
            capabilities = ClientCapabilities::default();
            (capabilities.elicitation).clone_from(&told.capabilities.elicitation);
        }
        let kept = Kept {
            version: told.protocol_version.clone(),
            capabilities,
        };
        let kept = URL_SAFE_NO_PAD.encode(serde_json::to_vec(&kept).ok()?);
        HeaderValue::from_str(&format!("{name}.{kept}")).ok()
    }
}

/// An open session.
struct Open {
    owner: Owner,
    /// The internal id, which is different each time the session is recreated.
    within: Arc<str>,
    used: Instant,
    /// The number of requests in progress.
    busy: usize,
    /// Whether the protocol revision has events that only mark a position in a stream.
    knows_priming: bool,
}

#[derive(Default)]
struct Known {
    open: HashMap<String, Open>,
    ended: VecDeque<String>,
    made: u64,
}

/// The open sessions. Clones share them.
#[derive(Clone)]
pub(crate) struct Sessions(Arc<Inside>);

struct Inside {
    local: LocalSessionManager,
    known: Mutex<Known>,
}

/// A session in use by a request.
pub(crate) struct SessionGuard {
    sessions: Sessions,
    name: String,
    /// The internal id of the session.
    pub(crate) within: HeaderValue,
}

impl Drop for SessionGuard {
    fn drop(&mut self) {
        if let Some(open) = self.sessions.known().open.get_mut(&self.name) {
            open.busy = open.busy.saturating_sub(1);
            open.used = Instant::now();
        }
    }
}

impl Sessions {
    pub(crate) fn new() -> Self {
        let mut local = LocalSessionManager::default();
        // There is a bound, and the one that was not used for the longest goes first.
        local.session_config.keep_alive = None;
        Self(Arc::new(Inside {
            local,
            known: Mutex::default(),
        }))
    }

    fn known(&self) -> std::sync::MutexGuard<'_, Known> {
        self.0.known.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Runs a request of an existing session, or one that starts a session.
    pub(crate) async fn within<T>(
        told: Option<&SessionId>,
        request: impl Future<Output = T>,
    ) -> (T, Option<InitializeRequestParams>) {
        let told = told.map(|id| id.told.clone());
        let all = async {
            let done = request.await;
            let told = TOLD.with(RefCell::take);
            (done, told.map(|told| told.initialize_params))
        };
        TOLD.scope(RefCell::new(told), all).await
    }

    /// Marks a session as in use; `None` if it belongs to another owner or its client has ended it.
    pub(crate) async fn enter(&self, id: &SessionId, owner: &Owner) -> Option<SessionGuard> {
        let (within, excess) = {
            let mut known = self.known();
            if known.ended.contains(&id.name) {
                return None;
            }
            known.made += 1;
            let within = format!("{}~{}", id.name, known.made);
            let open = known.open.entry(id.name.clone()).or_insert_with(|| {
                let version = &id.told.initialize_params.protocol_version;
                Open::new(owner, within, version)
            });
            if open.owner != *owner {
                return None;
            }
            open.busy += 1;
            open.used = Instant::now();
            let within = HeaderValue::from_str(&open.within).ok()?;
            (within, known.excess(owner))
        };
        self.let_go(excess).await;
        Some(SessionGuard {
            sessions: self.clone(),
            name: id.name.clone(),
            within,
        })
    }

    /// Adds a new session and returns its id; `None` if the initialisation message is too large.
    pub(crate) async fn begun(
        &self,
        name: &str,
        owner: &Owner,
        told: &InitializeRequestParams,
    ) -> Option<HeaderValue> {
        let size = serde_json::to_vec(told).map_or(usize::MAX, |json| json.len());
        if size > TOLD_MAX {
            self.let_go(Some(name.into())).await;
            return None;
        }
        let excess = {
            let mut known = self.known();
            let open = Open::new(owner, name.to_owned(), &told.protocol_version);
            known.open.insert(name.to_owned(), open);
            known.excess(owner)
        };
        self.let_go(excess).await;
        SessionId::write(name, told)
    }

    /// Records that the client has ended a session.
    pub(crate) fn ended(&self, id: SessionId) {
        let mut known = self.known();
        known.open.remove(&id.name);
        if known.ended.len() >= ENDED_MAX {
            known.ended.pop_front();
        }
        known.ended.push_back(id.name);
    }

    async fn let_go(&self, within: Option<Arc<str>>) {
        if let Some(within) = within {
            let _ = self.0.local.close_session(&within).await; // it is gone, or was already
        }
    }
}

impl Open {
    fn new(owner: &Owner, within: String, version: &ProtocolVersion) -> Self {
        Self {
            owner: owner.clone(),
            within: within.into(),
            used: Instant::now(),
            busy: 0,
            knows_priming: *version >= ProtocolVersion::V_2025_11_25,
        }
    }
}

impl Known {
    /// The session to evict if there are too many: one of the same owner if that owner has too many, idle
    /// sessions first, and among them the one unused for the longest.
    fn excess(&mut self, owner: &Owner) -> Option<Arc<str>> {
        let own = self.open.values().filter(|open| open.owner == *owner);
        let of_owner = own.count() > OWNERS_MAX;
        if !of_owner && self.open.len() <= SESSIONS_MAX {
            return None;
        }
        let meant = self.open.iter();
        let meant = meant.filter(|(_, open)| !of_owner || open.owner == *owner);
        let oldest = meant.min_by_key(|(_, open)| (open.busy > 0, open.used));
        let name = oldest.map(|(name, _)| name.clone())?;
        self.open.remove(&name).map(|open| open.within)
    }
}

impl SessionManager for Sessions {
    type Error = <LocalSessionManager as SessionManager>::Error;
    type Transport = <LocalSessionManager as SessionManager>::Transport;

    async fn create_session(&self) -> Result<(Arc<str>, Self::Transport), Self::Error> {
        self.0.local.create_session().await
    }

    async fn initialize_session(
        &self,
        id: &Arc<str>,
        message: ClientJsonRpcMessage,
    ) -> Result<ServerJsonRpcMessage, Self::Error> {
        self.0.local.initialize_session(id, message).await
    }

    async fn has_session(&self, id: &Arc<str>) -> Result<bool, Self::Error> {
        self.0.local.has_session(id).await
    }

    async fn close_session(&self, id: &Arc<str>) -> Result<(), Self::Error> {
        let name = id.split('~').next().unwrap_or_default();
        {
            let mut known = self.known();
            if known.open.get(name).is_some_and(|open| open.within == *id) {
                known.open.remove(name);
            }
        }
        self.0.local.close_session(id).await
    }

    async fn create_stream(
        &self,
        id: &Arc<str>,
        message: ClientJsonRpcMessage,
    ) -> Result<impl Stream<Item = ServerSseMessage> + Send + Sync + 'static, Self::Error> {
        let name = id.split('~').next().unwrap_or_default();
        let knows_priming = {
            let known = self.known();
            known.open.get(name).is_some_and(|open| open.knows_priming)
        };
        let stream = self.0.local.create_stream(id, message).await?;
        // Clients of older revisions cannot parse an event without data.
        let is_told = move |sent: &ServerSseMessage| {
            std::future::ready(knows_priming || sent.message.is_some())
        };
        Ok(stream.filter(is_told))
    }

    async fn accept_message(
        &self,
        id: &Arc<str>,
        message: ClientJsonRpcMessage,
    ) -> Result<(), Self::Error> {
        self.0.local.accept_message(id, message).await
    }

    async fn create_standalone_stream(
        &self,
        id: &Arc<str>,
    ) -> Result<impl Stream<Item = ServerSseMessage> + Send + Sync + 'static, Self::Error> {
        self.0.local.create_standalone_stream(id).await
    }

    async fn resume(
        &self,
        id: &Arc<str>,
        last_event_id: String,
    ) -> Result<impl Stream<Item = ServerSseMessage> + Send + Sync + 'static, Self::Error> {
        self.0.local.resume(id, last_event_id).await
    }

    async fn restore_session(
        &self,
        id: Arc<str>,
    ) -> Result<RestoreOutcome<Self::Transport>, Self::Error> {
        self.0.local.restore_session(id).await
    }
}

/// Stores nothing: the initialisation message of a session is in every request that needs it.
pub(crate) struct StatelessStore;

#[async_trait]
impl SessionStore for StatelessStore {
    async fn load(&self, _: &str) -> Result<Option<SessionState>, SessionStoreError> {
        Ok(TOLD.try_with(|told| told.borrow().clone()).ok().flatten())
    }

    async fn store(&self, _: &str, state: &SessionState) -> Result<(), SessionStoreError> {
        // Always within a request.
        let _ = TOLD.try_with(|told| told.replace(Some(state.clone())));
        Ok(())
    }

    async fn delete(&self, _: &str) -> Result<(), SessionStoreError> {
        Ok(())
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn told(capabilities: ClientCapabilities) -> InitializeRequestParams {
        InitializeRequestParams::new(capabilities, Implementation::new("a client", "1"))
            .with_protocol_version(ProtocolVersion::V_2025_06_18)
    }

    fn name(n: usize) -> String {
        format!("00000000-0000-0000-0000-{n:012}")
    }

    #[test]
    fn an_id_says_what_its_client_told() {
        let told = told(ClientCapabilities::builder().enable_elicitation().build());
        let id = SessionId::write(&name(1), &told).unwrap();
        let read = SessionId::read(id.to_str().unwrap()).unwrap();
        let again = read.told.initialize_params;
        assert_eq!(again.protocol_version, told.protocol_version);
        assert_eq!(again.capabilities, told.capabilities);
        assert_eq!(read.name, name(1));
        for bad in [
            "",
            "x",
            "x.y",
            &name(1),
            "../../x.e30",
            &format!("{}.!", name(1)),
        ] {
            assert!(SessionId::read(bad).is_none(), "{bad}");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn of_too_many_the_idle_one_goes_that_was_not_used_for_the_longest() {
        let sessions = Sessions::new();
        let owner = Owner::new("ada").unwrap();
        let told = told(ClientCapabilities::default());
        let mut ids = Vec::new();
        for n in 0..OWNERS_MAX {
            tokio::time::advance(std::time::Duration::from_millis(1)).await;
            let id = sessions.begun(&name(n), &owner, &told).await.unwrap();
            ids.push(SessionId::read(id.to_str().unwrap()).unwrap());
        }
        let _busy = sessions.enter(&ids[0], &owner).await.unwrap();
        sessions
            .begun(&name(OWNERS_MAX), &owner, &told)
            .await
            .unwrap();
        assert_eq!(sessions.known().open.len(), OWNERS_MAX);
        assert!(sessions.known().open.contains_key(&name(0)), "it is in use");
        assert!(!sessions.known().open.contains_key(&name(1)));
        // Another owner has room of their own.
        let bob = Owner::new("bob").unwrap();
        sessions.begun(&name(9_999), &bob, &told).await.unwrap();
        assert_eq!(sessions.known().open.len(), OWNERS_MAX + 1);
        // The evicted session comes back, and no other owner can use it.
        drop(sessions.enter(&ids[1], &owner).await.unwrap());
        assert!(sessions.enter(&ids[1], &bob).await.is_none());
    }

    #[tokio::test]
    async fn who_tells_too_much_of_itself_gets_no_session() {
        let sessions = Sessions::new();
        let owner = Owner::new("ada").unwrap();
        let mut much = told(ClientCapabilities::default());
        much.client_info = Implementation::new("x".repeat(TOLD_MAX), "1");
        assert!(sessions.begun(&name(1), &owner, &much).await.is_none());
        assert!(sessions.known().open.is_empty());
    }

    #[tokio::test]
    async fn one_that_was_ended_stays_ended() {
        let sessions = Sessions::new();
        let owner = Owner::new("ada").unwrap();
        let told = told(ClientCapabilities::default());
        let id = sessions.begun(&name(1), &owner, &told).await.unwrap();
        let read = || SessionId::read(id.to_str().unwrap()).unwrap();
        sessions.ended(read());
        assert!(sessions.enter(&read(), &owner).await.is_none());
    }
}
