//! Closes connections whose clients receive nothing for too long, and releases the memory held for them.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::{Instant, Sleep};

use crate::send_budget::SendBudget;

/// How long a connection may receive nothing.
const STALL_MAX: Duration = Duration::from_mins(1);
/// The same while others wait for room. By then a WebSocket was closed with a reason.
const CONTENDED_STALL_MAX: Duration = Duration::from_secs(3);
/// How often to check for waiting clients after that.
const LOOK: Duration = Duration::from_millis(250);

/// A connection with a stall timeout, and data that is kept as long as it is open.
pub(crate) struct StallTimeout<I, K> {
    io: I,
    send_budget: SendBudget,
    _kept: K,
    /// Since when nothing was received, and when that is checked next.
    stalled: Option<(Instant, Pin<Box<Sleep>>)>,
}

impl<I, K> StallTimeout<I, K> {
    pub(crate) fn new(io: I, send_budget: SendBudget, kept: K) -> Self {
        Self {
            io,
            send_budget,
            _kept: kept,
            stalled: None,
        }
    }

    /// Handles the result of a write and checks whether nothing was received for too long.
    fn watch<T>(
        &mut self,
        context: &mut Context<'_>,
        written: Poll<io::Result<T>>,
    ) -> Poll<io::Result<T>> {
        if written.is_ready() {
            self.stalled = None;
            return written;
        }
        let (since, look) = self.stalled.get_or_insert_with(|| {
            (
                Instant::now(),
                Box::pin(tokio::time::sleep(CONTENDED_STALL_MAX)),
            )
        });
        while look.as_mut().poll(context).is_ready() {
            let stall = since.elapsed();
            if stall >= STALL_MAX
                || (stall >= CONTENDED_STALL_MAX && self.send_budget.is_contended())
            {
                return Poll::Ready(Err(io::ErrorKind::TimedOut.into()));
            }
            look.as_mut().reset(Instant::now() + LOOK);
        }
        Poll::Pending
    }
}

impl<I: AsyncRead + Unpin, K: Unpin> AsyncRead for StallTimeout<I, K> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_read(context, buffer)
    }
}

impl<I: AsyncWrite + Unpin, K: Unpin> AsyncWrite for StallTimeout<I, K> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.io).poll_write(context, bytes);
        self.watch(context, written)
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let flushed = Pin::new(&mut self.io).poll_flush(context);
        self.watch(context, flushed)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_shutdown(context)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffers: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.io).poll_write_vectored(context, buffers);
        self.watch(context, written)
    }

    fn is_write_vectored(&self) -> bool {
        self.io.is_write_vectored()
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn who_takes_nothing_is_broken_off_and_who_takes_a_little_is_not() {
        let (ours, mut theirs) = tokio::io::duplex(10);
        let mut ours = StallTimeout::new(ours, SendBudget::new(), ());
        let began = Instant::now();
        let taking = tokio::spawn(async move {
            for _ in 0..5 {
                tokio::time::sleep(STALL_MAX / 2).await;
                theirs.read_exact(&mut [0; 10]).await.unwrap();
            }
            theirs // open, and not read any more
        });
        ours.write_all(&[0; 50]).await.unwrap();
        let error = ours.write_all(&[0; 50]).await.unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::TimedOut);
        assert!(began.elapsed() >= STALL_MAX * 3, "{:?}", began.elapsed());
        drop(taking.await.unwrap());
    }

    #[tokio::test(start_paused = true)]
    async fn who_takes_nothing_goes_soon_where_others_wait_for_room() {
        let (ours, _theirs) = tokio::io::duplex(10);
        let send_budget = SendBudget::new();
        let _held = send_budget.reserve(crate::send_budget::RESERVED_MAX).await;
        let waiting = send_budget.clone();
        tokio::spawn(async move { waiting.reserve(1).await.is_some() });
        let began = Instant::now();
        let mut ours = StallTimeout::new(ours, send_budget, ());
        ours.write_all(&[0; 50]).await.unwrap_err();
        assert!(began.elapsed() < STALL_MAX / 2, "{:?}", began.elapsed());
    }
}
