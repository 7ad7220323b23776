//! Calls that go on to their end once they are begun, whoever listens.
//!
//! A caller's future is dropped at any moment: a client closes its connection, an MCP call is cancelled,
//! a command is interrupted. What was recorded by then must still be acted on, so what records and acts
//! is not a part of that future: it is a task of its own, which the caller only waits for.

use std::panic::resume_unwind;
use std::sync::Arc;
use std::time::Duration;

use journeyman_bus::Context;
use tokio::sync::Semaphore;
use tokio_util::task::TaskTracker;
use tracing::Instrument;

use crate::Error;

/// Calls that are under way at a time; further callers wait before theirs begins.
const CALLS_MAX: usize = 10_000;

/// Calls that are under way. Clones are the same calls.
#[derive(Clone)]
pub(crate) struct DetachedCalls {
    under_way: TaskTracker,
    permits: Arc<Semaphore>,
}

impl Default for DetachedCalls {
    fn default() -> Self {
        Self {
            under_way: TaskTracker::new(),
            permits: Arc::new(Semaphore::new(CALLS_MAX)),
        }
    }
}

impl DetachedCalls {
    /// Does something to its end, also when the caller does not wait for it any longer. A caller that goes
    /// away before it was begun gives it up. It is done on behalf of the same request, and a panic of it
    /// is the caller's.
    pub(crate) fn run<T: Send + 'static>(
        &self,
        call: impl Future<Output = Result<T, Error>> + Send + 'static,
    ) -> impl Future<Output = Result<T, Error>> + Send {
        // Not in the caller's future, which waits for it only.
        let call = Box::pin(call);
        async move {
            // Never closed; and a call that is let in without a place is no harm.
            let permit = Arc::clone(&self.permits).acquire_owned().await.ok();
            let call = Context::current().scope(async move {
                let done = call.await;
                drop(permit);
                done
            });
            match self.under_way.spawn(call.in_current_span()).await {
                Ok(done) => done,
                Err(error) => match error.try_into_panic() {
                    Ok(panic) => resume_unwind(panic),
                    Err(error) => Err(error.into()),
                },
            }
        }
    }

    /// Waits for what is under way, so long at the most. What begins later is not waited for.
    pub(crate) async fn wait(&self, limit: Duration) {
        self.under_way.close();
        if tokio::time::timeout(limit, self.under_way.wait())
            .await
            .is_err()
        {
            let calls = self.under_way.len();
            tracing::warn!(
                calls,
                "what is still under way is not waited for any longer"
            );
        }
        self.under_way.reopen();
    }
}
