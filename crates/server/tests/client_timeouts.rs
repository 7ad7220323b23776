//! How long a client is waited for, with a server that waits for a short time only.

#![allow(clippy::unwrap_used)] // a test fails by panicking

mod common;

use std::time::Duration;

use journeyman_server::ClientTimeouts;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

/// What is answered to a client that sends this and no more, until the connection is closed.
async fn answer(timeouts: ClientTimeouts, sent: &str) -> String {
    let served = common::serve(|options| options.timeouts = timeouts).await;
    let mut client = TcpStream::connect(served.address).await.unwrap();
    client.write_all(sent.as_bytes()).await.unwrap();
    let mut answer = Vec::new();
    let all = client.read_to_end(&mut answer);
    let read = tokio::time::timeout(Duration::from_secs(20), all).await;
    read.unwrap().unwrap();
    served.end().await;
    String::from_utf8(answer).unwrap()
}

const SHORT: Duration = Duration::from_millis(200);

#[tokio::test]
async fn a_body_that_stalls_is_told_so_over_every_protocol() {
    let timeouts = ClientTimeouts {
        body: SHORT,
        ..ClientTimeouts::default()
    };
    for path in ["/api/v1/tasks", "/mcp"] {
        let head = format!(
            "POST {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\
             Content-Type: application/json\r\nContent-Length: 100\r\n\r\n{{"
        );
        let answer = answer(timeouts, &head).await;
        assert!(answer.starts_with("HTTP/1.1 408"), "{path}: {answer}");
        assert!(
            answer.contains("not there within 0.2 s"),
            "{path}: {answer}"
        );
    }
}

#[tokio::test]
async fn a_connection_whose_head_stalls_is_closed() {
    let timeouts = ClientTimeouts {
        head: SHORT,
        ..ClientTimeouts::default()
    };
    for sent in ["", "GET /health HTTP/1.1\r\nHost: local"] {
        let answer = answer(timeouts, sent).await;
        assert!(!answer.contains("200 OK"), "{answer}");
    }
}
