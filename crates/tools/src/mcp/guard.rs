//! A transport that limits how many requests a server may send before it reads our responses.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use rmcp::model::{ClientJsonRpcMessage, ServerJsonRpcMessage};
use rmcp::service::RoleClient;
use rmcp::transport::Transport;
use tokio_util::sync::CancellationToken;

/// The most unanswered requests of a server. Each is an async task that waits until the server reads, so a
/// server that sends requests and never reads would exhaust our memory.
const ASKED_MAX: usize = 64;

/// Ends the connection of a server that sends too many requests.
pub(super) struct Guard<T> {
    inner: T,
    asked: Arc<AtomicUsize>,
    too_much: CancellationToken,
}

impl<T> Guard<T> {
    /// `too_much` is cancelled when the server has sent too many requests.
    pub(super) fn new(inner: T, too_much: CancellationToken) -> Self {
        Self {
            inner,
            asked: Arc::default(),
            too_much,
        }
    }
}

impl<T: Transport<RoleClient>> Transport<RoleClient> for Guard<T> {
    type Error = T::Error;

    fn send(
        &mut self,
        item: ClientJsonRpcMessage,
    ) -> impl Future<Output = Result<(), Self::Error>> + Send + 'static {
        let answer = matches!(
            item,
            ClientJsonRpcMessage::Response(_) | ClientJsonRpcMessage::Error(_)
        );
        let asked = answer.then(|| self.asked.clone());
        let sending = self.inner.send(item);
        async move {
            let sent = sending.await;
            if let Some(asked) = asked {
                let less = |count: usize| Some(count.saturating_sub(1));
                let _ = asked.fetch_update(Ordering::Relaxed, Ordering::Relaxed, less);
            }
            sent
        }
    }

    async fn receive(&mut self) -> Option<ServerJsonRpcMessage> {
        let message = self.inner.receive().await?;
        if matches!(message, ServerJsonRpcMessage::Request(_))
            && self.asked.fetch_add(1, Ordering::Relaxed) >= ASKED_MAX
        {
            self.too_much.cancel();
            return None;
        }
        Some(message)
    }

    fn close(&mut self) -> impl Future<Output = Result<(), Self::Error>> + Send {
        self.inner.close()
    }
}
