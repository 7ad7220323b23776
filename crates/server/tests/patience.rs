//! How long a client is waited for, with a server that waits for a short time only.

#![allow(clippy::unwrap_used)] // a test fails by panicking

use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use journeyman_bus::{Bus, Stamp};
use journeyman_event::{SeededRandom, TimeSource};
use journeyman_journal::Journal;
use journeyman_journal_sqlite::Sqlite;
use journeyman_server::{Door, Hosts, Options, Patience, Readiness, TcpOffer, ToolServers};
use journeyman_tasks::{Parts, Tasks};
use journeyman_workflow::Notices;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream, UnixListener};
use tokio_util::sync::CancellationToken;

struct Always;

impl TimeSource for Always {
    fn now(&self) -> Timestamp {
        Timestamp::UNIX_EPOCH
    }
}

impl Stamp for Always {
    fn id(&self) -> uuid::Uuid {
        uuid::Uuid::nil()
    }

    fn now(&self) -> Timestamp {
        Timestamp::UNIX_EPOCH
    }
}

impl ToolServers for Always {
    fn status(&self) -> Vec<serde_json::Value> {
        Vec::new()
    }
}

impl Readiness for Always {
    fn obstacles(&self) -> Pin<Box<dyn Future<Output = Vec<String>> + Send + '_>> {
        Box::pin(async { Vec::new() })
    }
}

/// What is answered to a client that sends this and no more, until the connection is closed.
async fn answer(patience: Patience, sent: &str) -> String {
    let folder = tempfile::tempdir().unwrap();
    let random = Arc::new(SeededRandom::new(7));
    let sqlite = Sqlite::new(folder.path().to_owned());
    let parts = Parts {
        journal: Journal::open(Arc::new(sqlite), &*random).unwrap(),
        time: Arc::new(Always),
        randomness: random.clone(),
        notices: Notices::new(Bus::start(), Arc::new(Always)),
        bench: None,
    };
    let stop = CancellationToken::new();
    let options = Options {
        tasks: Tasks::start(parts, &journeyman_queue::Options::default()),
        door: Door::open(),
        hosts: Hosts::default(),
        tcp: TcpOffer::default(),
        model: "none".to_owned(),
        settings: Vec::new(),
        readiness: Arc::new(Always),
        connections_max: 100,
        patience,
        servers: Arc::new(Always),
        randomness: random,
        stop: stop.clone(),
    };
    let tcp = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = tcp.local_addr().unwrap();
    let socket = UnixListener::bind(folder.path().join("socket")).unwrap();
    let served = tokio::spawn(journeyman_server::serve(options, Some(tcp), socket));
    let mut client = TcpStream::connect(address).await.unwrap();
    client.write_all(sent.as_bytes()).await.unwrap();
    let mut answer = Vec::new();
    let all = client.read_to_end(&mut answer);
    let read = tokio::time::timeout(Duration::from_secs(20), all).await;
    read.unwrap().unwrap();
    stop.cancel();
    served.await.unwrap().unwrap();
    String::from_utf8(answer).unwrap()
}

const SHORT: Duration = Duration::from_millis(200);

#[tokio::test]
async fn a_body_that_stalls_is_told_so_over_every_protocol() {
    let patience = Patience {
        body: SHORT,
        ..Patience::default()
    };
    for path in ["/api/v1/tasks", "/mcp"] {
        let head = format!(
            "POST {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\
             Content-Type: application/json\r\nContent-Length: 100\r\n\r\n{{"
        );
        let answer = answer(patience, &head).await;
        assert!(answer.starts_with("HTTP/1.1 408"), "{path}: {answer}");
        assert!(
            answer.contains("not there within 0.2 s"),
            "{path}: {answer}"
        );
    }
}

#[tokio::test]
async fn a_connection_whose_head_stalls_is_closed() {
    let patience = Patience {
        head: SHORT,
        ..Patience::default()
    };
    for sent in ["", "GET /health HTTP/1.1\r\nHost: local"] {
        let answer = answer(patience, sent).await;
        assert!(!answer.contains("200 OK"), "{answer}");
    }
}
