//! What sockets are measured beside: axum, a broadcast channel, and nothing else.

use std::net::SocketAddr;

use axum::Router;
use axum::extract::ws::{Message, Utf8Bytes, WebSocket, WebSocketUpgrade};
use axum::routing::get;
use tokio::net::TcpListener;
use tokio::sync::broadcast;

pub(crate) struct Peer {
    pub(crate) address: SocketAddr,
    messages: broadcast::Sender<Utf8Bytes>,
    serving: tokio::task::JoinHandle<()>,
}

impl Peer {
    /// Sends a message that is about as long as an event.
    pub(crate) fn send(&self, event: usize) {
        let filler = "x".repeat(500);
        let text = format!("{{\"v\":1,\"sequence\":{},\"data\":\"{filler}\"}}", event + 1);
        self.messages.send(text.into()).unwrap();
    }
}

impl Drop for Peer {
    fn drop(&mut self) {
        self.serving.abort();
    }
}

pub(crate) async fn start() -> Peer {
    let (messages, _) = broadcast::channel::<Utf8Bytes>(256);
    let tcp = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = tcp.local_addr().unwrap();
    let all = messages.clone();
    let upgrade = async move |upgrade: WebSocketUpgrade| {
        let messages = all.subscribe();
        upgrade.on_upgrade(|socket| serve(socket, messages))
    };
    let router = Router::new().route("/ws", get(upgrade));
    let serving = tokio::spawn(async move { axum::serve(tcp, router).await.unwrap() });
    Peer {
        address,
        messages,
        serving,
    }
}

async fn serve(mut socket: WebSocket, mut messages: broadcast::Receiver<Utf8Bytes>) {
    loop {
        tokio::select! {
            Ok(text) = messages.recv() => {
                if socket.send(Message::Text(text)).await.is_err() {
                    return;
                }
            }
            said = socket.recv() => if !matches!(said, Some(Ok(_))) {
                return;
            },
        }
    }
}
