//! Accepts connections, over TCP and over the data folder's socket, up to a limit, and serves requests on them.
//! Enforces the timeouts for receiving requests.

use std::fmt;
use std::io;
use std::net::IpAddr;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;

use axum::Extension;
use axum::Router;
use axum::body::Body;
use axum::http::{Request, Response};
use axum::serve::Listener;
use bytes::Bytes;
use hyper::body::{Body as HttpBody, Frame, Incoming, SizeHint};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream, UnixListener, UnixStream};
use tokio::time::Sleep;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tower::Service;

use crate::app::{App, ClientTimeouts, ServerOptions};
use crate::auth::Local;
use crate::connections::{ConnectionSlot, Connections};
use crate::routes::router;
use crate::send_budget::SendBudget;
use crate::stall_timeout::StallTimeout;

/// The most simultaneous connections, regardless of available file descriptors.
const CONNECTIONS_MAX: usize = 20_000;
/// One in this many connections is reserved for the data folder's socket.
const LOCAL_SHARE: usize = 4;
/// At shutdown, how long to wait for the first request on a connection that was already accepted.
const FIRST_REQUEST_TIME: Duration = Duration::from_millis(250);
/// How long a rejected client may take to read the response, and an evicted one to read the rest of its last
/// response.
const CLOSING_TIME: Duration = Duration::from_millis(100);
/// How long open connections may take to finish at shutdown.
const DRAIN: Duration = Duration::from_secs(5);
/// How long WebSocket connections may take after that to report the shutdown.
const GOODBYE: Duration = Duration::from_secs(1);

/// The response to a client whose address has the maximum number of connections. The connection is closed after
/// it.
const REFUSAL: &[u8] = b"HTTP/1.1 503 Service Unavailable\r\n\
    content-type: text/plain\r\n\
    retry-after: 5\r\n\
    connection: close\r\n\r\n\
    too many connections from this address; close some of them\n";

/// Serves these listeners until [`ServerOptions::stop`]. Open connections are then closed within a few seconds.
pub async fn serve(
    options: ServerOptions,
    tcp: Option<TcpListener>,
    socket: UnixListener,
) -> io::Result<()> {
    let stop = options.stop.clone();
    let timeouts = options.timeouts;
    let max = options.connections_max.min(CONNECTIONS_MAX);
    let local_max = (max / LOCAL_SHARE).max(1);
    let app = App::new(options);
    let (sockets, send_budget) = (app.sockets.clone(), app.send_budget.clone());
    // Made ready once: what every connection gets is a clone of it, and cheap.
    let router = router(app).with_state(());
    let local = AcceptLoop {
        connections: Connections::new(local_max),
        send_budget: send_budget.clone(),
        router: router.clone().layer(Extension(Local)),
        timeouts,
        stop: stop.clone(),
    };
    let local = local.listen(socket);
    let remote = async {
        if let Some(tcp) = tcp {
            let remote = AcceptLoop {
                connections: Connections::new(max - local_max.min(max - 1)),
                send_budget,
                router,
                timeouts,
                stop: stop.clone(),
            };
            remote.listen(tcp).await;
        }
    };
    tokio::select! {
        _ = async { tokio::join!(local, remote) } => {}
        () = async { stop.cancelled().await; tokio::time::sleep(DRAIN).await } => {}
    }
    // A client that does not read is not waited for any longer.
    sockets.close();
    let _ = tokio::time::timeout(GOODBYE, sockets.wait()).await;
    Ok(())
}

/// An accepted connection.
trait Accepted: AsyncRead + AsyncWrite + Unpin + Send + 'static {
    /// The peer's address, if it has one.
    fn address(&self) -> Option<IpAddr>;
}

impl Accepted for TcpStream {
    fn address(&self) -> Option<IpAddr> {
        // An event that follows another at once must not wait until the client has answered that.
        let _ = self.set_nodelay(true); // it only comes later
        self.peer_addr().ok().map(|address| address.ip())
    }
}

impl Accepted for UnixStream {
    fn address(&self) -> Option<IpAddr> {
        None
    }
}

/// Accepts the connections of one listener.
#[derive(Clone)]
struct AcceptLoop {
    connections: Arc<Connections>,
    /// The bytes waiting to be sent to all clients.
    send_budget: SendBudget,
    router: Router,
    timeouts: ClientTimeouts,
    stop: CancellationToken,
}

impl AcceptLoop {
    /// Accepts connections until the server stops, then waits for open ones to finish.
    async fn listen(self, mut listener: impl Listener<Io: Accepted>) {
        let open = TaskTracker::new();
        let take = async {
            loop {
                let (mut io, _) = listener.accept().await;
                match self.connections.acquire(io.address()).await {
                    Some(slot) => {
                        open.spawn(self.clone().serve_connection(io, Arc::new(slot)));
                    }
                    None => {
                        open.spawn(async move {
                            let told = async {
                                let _ = io.write_all(REFUSAL).await; // it may be gone
                                let _ = io.shutdown().await;
                            };
                            let _ = tokio::time::timeout(CLOSING_TIME, told).await;
                        });
                    }
                }
            }
        };
        tokio::select! {
            () = take => {}
            () = self.stop.cancelled() => {}
        }
        drop(listener);
        open.close();
        open.wait().await;
    }

    /// Serves the requests on a connection.
    async fn serve_connection(self, io: impl Accepted, slot: Arc<ConnectionSlot>) {
        slot.mark_idle();
        let was_asked = AtomicBool::new(false);
        let answer = service_fn(|request: Request<Incoming>| {
            was_asked.store(true, Ordering::Relaxed);
            let busy = BusyGuard::on(&slot);
            let mut router = self.router.clone();
            let time = self.timeouts.body;
            async move {
                let answered = router.call(request.map(|body| in_time(body, time))).await;
                answered.map(|response: Response<Body>| {
                    response.map(|body| ResponseBody { body, _busy: busy })
                })
            }
        });
        let io = TokioIo::new(StallTimeout::new(
            io,
            self.send_budget.clone(),
            Arc::clone(&slot),
        ));
        let connection = http1::Builder::new()
            .timer(TokioTimer::new())
            .header_read_timeout(self.timeouts.head)
            .serve_connection(io, answer)
            .with_upgrades();
        let mut connection = pin!(connection);
        let mut evicted = pin!(slot.evicted());
        let mut is_told = false;
        loop {
            tokio::select! {
                ended = connection.as_mut() => {
                    if let Err(error) = ended {
                        tracing::debug!(%error, "a connection ended early");
                    }
                    break;
                }
                () = evicted.as_mut(), if !is_told => {
                    is_told = true;
                    connection.as_mut().graceful_shutdown();
                    let closed = tokio::time::timeout(CLOSING_TIME, connection.as_mut()).await;
                    // A request that came at that very moment is answered.
                    if closed.is_ok() || slot.is_idle() {
                        break;
                    }
                }
                () = self.stop.cancelled(), if !is_told => {
                    is_told = true;
                    // What was sent on a connection that has just been taken is read and answered: where
                    // another server takes over the port, its client knows nothing of that.
                    if !was_asked.load(Ordering::Relaxed)
                        && tokio::time::timeout(FIRST_REQUEST_TIME, connection.as_mut()).await.is_ok()
                    {
                        break;
                    }
                    connection.as_mut().graceful_shutdown();
                }
            }
        }
        // What it became, if anything, waits for no request.
        slot.mark_busy();
    }
}

/// Marks a connection as busy until the response was sent.
struct BusyGuard(Arc<ConnectionSlot>);

impl BusyGuard {
    fn on(slot: &Arc<ConnectionSlot>) -> Self {
        slot.mark_busy();
        Self(Arc::clone(slot))
    }
}

impl Drop for BusyGuard {
    fn drop(&mut self) {
        self.0.mark_idle();
    }
}

/// The body of a response.
struct ResponseBody {
    body: Body,
    _busy: BusyGuard,
}

impl HttpBody for ResponseBody {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        Pin::new(&mut self.body).poll_frame(context)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

/// The error for a request body that was received too slowly.
#[derive(Debug)]
pub(crate) struct TooSlow(Duration);

impl fmt::Display for TooSlow {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let seconds = self.0.as_secs_f64();
        write!(
            f,
            "the body was not there within {seconds} s; send it again"
        )
    }
}

impl std::error::Error for TooSlow {}

/// The body of a request, with a time limit.
struct TimedBody {
    body: Incoming,
    time: Duration,
    until: Pin<Box<Sleep>>,
}

fn in_time(body: Incoming, time: Duration) -> Body {
    if body.is_end_stream() {
        return Body::empty();
    }
    let until = Box::pin(tokio::time::sleep(time));
    Body::new(TimedBody { body, time, until })
}

impl HttpBody for TimedBody {
    type Data = Bytes;
    type Error = axum::BoxError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, axum::BoxError>>> {
        if let Poll::Ready(frame) = Pin::new(&mut self.body).poll_frame(context) {
            return Poll::Ready(frame.map(|frame| frame.map_err(Into::into)));
        }
        let late = self.until.as_mut().poll(context);
        late.map(|()| Some(Err(TooSlow(self.time).into())))
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}
