//! What sockets are measured beside: axum, a broadcast channel, and nothing else. A process of its own,
//! so that its memory is its own too.

use axum::Router;
use axum::extract::ws::{Message, Utf8Bytes, WebSocket, WebSocketUpgrade};
use axum::routing::get;
use tokio::net::TcpListener;
use tokio::sync::broadcast;

use crate::clients::{millis, say};

/// Prints its address, then for each line that it is given when it sent a message that is about as
/// long as an event.
pub(crate) async fn run() {
    let (messages, _) = broadcast::channel::<Utf8Bytes>(256);
    let tcp = TcpListener::bind("127.0.0.1:0").await.unwrap();
    say(&tcp.local_addr().unwrap().to_string());
    let all = messages.clone();
    let upgrade = async move |upgrade: WebSocketUpgrade| {
        let messages = all.subscribe();
        upgrade.on_upgrade(|socket| serve(socket, messages))
    };
    let router = Router::new().route("/ws", get(upgrade));
    tokio::spawn(async move { axum::serve(tcp, router).await.unwrap() });
    // The sockets are served by other threads than this.
    for order in std::io::stdin().lines() {
        let order = order.unwrap();
        let filler = "x".repeat(500);
        let sent = millis();
        let text = format!("{{\"v\":1,\"sequence\":{order},\"data\":\"{filler}\"}}");
        messages.send(text.into()).unwrap();
        say(&sent.to_string());
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
