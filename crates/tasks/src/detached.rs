//! Runs calls to their end once they have started, even if the caller goes away.
//!
//! A caller's future can be dropped at any moment: a client closes its connection, an MCP call is cancelled, a
//! command is interrupted. What was recorded by then must still be acted on. Recording and acting therefore run in
//! an async task of their own, which the caller's future only waits for.

use std::panic::resume_unwind;
use std::sync::Arc;
use std::time::Duration;

use journeyman_bus::Context;
use tokio::sync::Semaphore;
use tokio_util::task::TaskTracker;
use tracing::Instrument;

use crate::Error;

/// The most concurrent calls; further callers wait before theirs starts.
const CALLS_MAX: usize = 10_000;

/// The calls in progress. Clones share them.
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
    /// Runs a future to its end, even if the caller stops waiting. A caller that goes away before it was
    /// started cancels it. It keeps the context of the caller's request, and a panic is propagated to the
    /// caller.
    pub(crate) fn run<T: Send + 'static>(
        &self,
        call: impl Future<Output = Result<T, Error>> + Send + 'static,
    ) -> impl Future<Output = Result<T, Error>> + Send {
        // Not in the caller's future, which waits for it only.
        let call = Box::pin(call);
        async move {
            // The semaphore is never closed, and a call without a permit would do no harm.
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

    /// Waits for the calls in progress, up to `limit`. Calls that start later are not waited for.
    pub(crate) async fn wait(&self, limit: Duration) {
        self.under_way.close();
        if tokio::time::timeout(limit, self.under_way.wait())
            .await
            .is_err()
        {
            let calls = self.under_way.len();
            tracing::warn!(
                calls,
                "some calls are still running at the time limit; the shutdown does not wait for them"
            );
        }
        self.under_way.reopen();
    }
}
