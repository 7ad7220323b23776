//! Takes connections, over TCP and over the data folder's socket, a bounded number of them.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use axum::Extension;
use axum::serve::{Listener, ListenerExt};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpListener, UnixListener};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::app::{App, Options};
use crate::door::Local;
use crate::pace::Paced;
use crate::room::Room;
use crate::routes::router;

/// Connections at the same time; further ones wait to be taken.
const CONNECTIONS_MAX: usize = 20_000;
/// After a stop, this long for what is open to end.
const DRAIN: Duration = Duration::from_secs(5);

/// After that, this long for sockets to say that the server stops.
const GOODBYE: Duration = Duration::from_secs(1);

/// Answers on these until [`Options::stop`]. What is open then is closed, within some seconds.
pub async fn serve(
    options: Options,
    tcp: Option<TcpListener>,
    socket: UnixListener,
) -> io::Result<()> {
    let stop = options.stop.clone();
    // As a service to be made, for a router itself is copied whole for every connection.
    let app = App::new(options);
    let (sockets, room) = (app.sockets.clone(), app.room.clone());
    let router = router(app);
    let over_socket = router.clone().layer(Extension(Local)).into_make_service();
    let router = router.into_make_service();
    let stopped = || stop.clone().cancelled_owned();
    let local =
        axum::serve(Bounded::new(socket, &room), over_socket).with_graceful_shutdown(stopped());
    let both = async {
        if let Some(tcp) = tcp {
            // An event that follows another at once must not wait until the client has answered that.
            let tcp = tcp.tap_io(|tcp| {
                let _ = tcp.set_nodelay(true); // it only comes later
            });
            let remote =
                axum::serve(Bounded::new(tcp, &room), router).with_graceful_shutdown(stopped());
            tokio::try_join!(local, remote).map(|_| ())
        } else {
            local.await
        }
    };
    let ended = tokio::select! {
        ended = both => ended,
        () = async { stop.cancelled().await; tokio::time::sleep(DRAIN).await } => Ok(()),
    };
    // A client that does not read is not waited for any longer.
    sockets.close();
    let _ = tokio::time::timeout(GOODBYE, sockets.wait()).await;
    ended
}

/// A listener that takes a bounded number of connections.
struct Bounded<L> {
    listener: L,
    places: Arc<Semaphore>,
    room: Room,
}

impl<L> Bounded<L> {
    fn new(listener: L, room: &Room) -> Self {
        Self {
            listener,
            room: room.clone(),
            places: Arc::new(Semaphore::new(CONNECTIONS_MAX)),
        }
    }
}

impl<L: Listener> Listener for Bounded<L> {
    type Io = Taken<Paced<L::Io>>;
    type Addr = L::Addr;

    async fn accept(&mut self) -> (Self::Io, Self::Addr) {
        let place = Arc::clone(&self.places).acquire_owned().await.ok();
        let (io, address) = self.listener.accept().await;
        let io = Paced::new(io, self.room.clone());
        (Taken { io, _place: place }, address)
    }

    fn local_addr(&self) -> io::Result<Self::Addr> {
        self.listener.local_addr()
    }
}

/// A connection and its place.
struct Taken<I> {
    io: I,
    _place: Option<OwnedSemaphorePermit>,
}

impl<I: AsyncRead + Unpin> AsyncRead for Taken<I> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_read(context, buffer)
    }
}

impl<I: AsyncWrite + Unpin> AsyncWrite for Taken<I> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.io).poll_write(context, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_shutdown(context)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffers: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.io).poll_write_vectored(context, buffers)
    }

    fn is_write_vectored(&self) -> bool {
        self.io.is_write_vectored()
    }
}
