//! Downloads against a server on this machine whose every byte is scripted.

#![allow(clippy::unwrap_used)] // helpers outside of test functions

use std::fmt::Write as _;
use std::fs;
use std::path::Path;
use std::sync::{Arc, Mutex};

use journeyman_fetch::{
    Download, Error, Hub, Progress, download, find_stored, list_stored, remove_stored,
};
use sha2::{Digest, Sha256};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;

struct Server {
    url: String,
    /// The heads of the requests, in lower case.
    seen: Arc<Mutex<Vec<String>>>,
}

impl Server {
    fn heads(&self) -> Vec<String> {
        self.seen.lock().unwrap().clone()
    }
}

/// Answers the n-th request (from 0) with the bytes that `answer` makes of its number and head, then
/// closes the connection; an empty answer keeps it open.
async fn serve(answer: impl Fn(usize, &str) -> Vec<u8> + Send + 'static) -> Server {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let seen = Arc::new(Mutex::new(Vec::new()));
    let heads = seen.clone();
    tokio::spawn(async move {
        let mut open = Vec::new();
        while let Ok((mut socket, _)) = listener.accept().await {
            let mut head = Vec::new();
            while !head.ends_with(b"\r\n\r\n") {
                match socket.read_u8().await {
                    Ok(byte) => head.push(byte),
                    Err(_) => break,
                }
            }
            let head = String::from_utf8(head).unwrap().to_lowercase();
            let number = heads.lock().unwrap().len();
            let bytes = answer(number, &head);
            heads.lock().unwrap().push(head);
            if bytes.is_empty() {
                open.push(socket);
            } else {
                socket.write_all(&bytes).await.ok();
                socket.shutdown().await.ok();
            }
        }
    });
    Server { url, seen }
}

/// A response that says it has `length` bytes, with these.
fn response(status: &str, headers: &str, length: usize, body: &[u8]) -> Vec<u8> {
    let head = format!(
        "HTTP/1.1 {status}\r\nContent-Length: {length}\r\nConnection: close\r\n{headers}\r\n"
    );
    [head.as_bytes(), body].concat()
}

/// The bytes from which a request asks for.
fn asked_from(head: &str) -> Option<usize> {
    let range = head
        .lines()
        .find_map(|line| line.strip_prefix("range: bytes="))?;
    range.strip_suffix('-')?.parse().ok()
}

fn partial(content: &[u8], from: usize) -> Vec<u8> {
    let range = format!(
        "Content-Range: bytes {from}-{}/{}\r\n",
        content.len() - 1,
        content.len()
    );
    let rest = &content[from..];
    response("206 Partial Content", &range, rest.len(), rest)
}

fn content() -> Vec<u8> {
    let noise = (0..300_000_u32).map(|n| n.wrapping_mul(2_654_435_761).to_le_bytes()[3]);
    b"GGUF".iter().copied().chain(noise).collect()
}

fn sha256(bytes: &[u8]) -> String {
    Sha256::digest(bytes)
        .iter()
        .fold(String::new(), |mut text, byte| {
            let _ = write!(text, "{byte:02x}");
            text
        })
}

fn plan(server: &Server) -> Download {
    Download {
        source: format!("{}/x.gguf", server.url),
        url: format!("{}/x.gguf", server.url),
        name: "x.gguf".into(),
        sha256: None,
        bytes: None,
        token: None,
        begins: b"GGUF",
    }
}

async fn fetch(plan: &Download, store: &Path) -> Result<Vec<u8>, Error> {
    let stored = download(plan, store, &|_| {}).await?;
    assert!(stored.complete);
    Ok(fs::read(stored.path).unwrap())
}

const ETAG: &str = "ETag: \"one\"\r\n";

#[tokio::test]
async fn a_whole_file_gets_its_name_its_sum_and_is_not_asked_for_again() {
    let content = content();
    let body = content.clone();
    let server = serve(move |_, _| response("200 OK", ETAG, body.len(), &body)).await;
    let store = tempfile::tempdir().unwrap();
    let reports = Mutex::new(Vec::new());
    let report = |progress: Progress| reports.lock().unwrap().push(progress);
    let plan = plan(&server);
    let stored = download(&plan, store.path(), &report).await.unwrap();
    assert_eq!(fs::read(&stored.path).unwrap(), content);
    assert_eq!(stored.sha256.as_deref(), Some(sha256(&content).as_str()));
    assert_eq!(list_stored(store.path()).unwrap(), [stored]);
    assert!(
        reports
            .lock()
            .unwrap()
            .iter()
            .any(|step| step.total.is_some())
    );
    fetch(&plan, store.path()).await.unwrap();
    assert_eq!(server.heads().len(), 1);
}

#[tokio::test]
async fn a_broken_connection_goes_on_where_it_broke_if_the_file_is_the_same() {
    let content = content();
    let body = content.clone();
    let server = serve(move |_, head| match asked_from(head) {
        None => response("200 OK", ETAG, body.len(), &body[..100_000]),
        Some(from) => partial(&body, from),
    })
    .await;
    let store = tempfile::tempdir().unwrap();
    assert_eq!(fetch(&plan(&server), store.path()).await.unwrap(), content);
    let heads = server.heads();
    assert_eq!(asked_from(&heads[1]), Some(100_000));
    assert!(heads[1].contains("if-range: \"one\""), "{}", heads[1]);
}

#[tokio::test]
async fn a_fetch_that_was_stopped_goes_on_the_next_time() {
    let content = content();
    let body = content.clone();
    let server = serve(move |number, head| match asked_from(head) {
        None => response("200 OK", "", body.len(), &body[..50_000]),
        // The first run comes to its end before anything else arrives.
        Some(_) if number == 1 => response("404 Not Found", "", 0, b""),
        Some(from) => partial(&body, from),
    })
    .await;
    let store = tempfile::tempdir().unwrap();
    let mut plan = plan(&server);
    plan.sha256 = Some(sha256(&content));
    let error = fetch(&plan, store.path()).await.unwrap_err();
    assert!(
        matches!(error, Error::Refused { status: 404, .. }),
        "{error}"
    );
    let part = find_stored(store.path(), &plan.source).unwrap();
    assert_eq!((part.complete, part.bytes_here), (false, 50_000));
    assert_eq!(part.bytes, content.len() as u64);
    assert_eq!(fetch(&plan, store.path()).await.unwrap(), content);
    assert_eq!(asked_from(&server.heads()[2]), Some(50_000));
}

#[tokio::test]
async fn another_version_of_the_file_is_fetched_from_its_beginning() {
    let content = content();
    let body = content.clone();
    let server = serve(move |number, _| match number {
        0 => response("200 OK", ETAG, 400_000, b"GGUF of an older version"),
        _ => response("200 OK", "ETag: \"two\"\r\n", body.len(), &body),
    })
    .await;
    let store = tempfile::tempdir().unwrap();
    assert_eq!(fetch(&plan(&server), store.path()).await.unwrap(), content);
}

#[tokio::test]
async fn a_part_that_nothing_tells_the_version_of_is_not_used() {
    let content = content();
    let body = content.clone();
    let server = serve(move |number, _| {
        let end = if number == 0 { 1_000 } else { body.len() };
        response("200 OK", "ETag: W/\"weak\"\r\n", body.len(), &body[..end])
    })
    .await;
    let store = tempfile::tempdir().unwrap();
    assert_eq!(fetch(&plan(&server), store.path()).await.unwrap(), content);
    assert_eq!(asked_from(&server.heads()[1]), None);
}

#[tokio::test]
async fn a_file_with_another_sum_or_size_is_never_put_in_place() {
    let content = content();
    let body = content.clone();
    let server = serve(move |_, _| response("200 OK", ETAG, body.len(), &body)).await;
    let store = tempfile::tempdir().unwrap();
    let mut wrong = plan(&server);
    wrong.sha256 = Some("0".repeat(64));
    let error = fetch(&wrong, store.path()).await.unwrap_err();
    assert!(matches!(error, Error::Checksum { .. }), "{error}");
    let left = find_stored(store.path(), &wrong.source).unwrap();
    assert_eq!((left.complete, left.bytes_here), (false, 0));
    let mut larger = plan(&server);
    larger.bytes = Some(content.len() as u64 + 1);
    let error = fetch(&larger, store.path()).await.unwrap_err();
    assert!(matches!(error, Error::Content { .. }), "{error}");
    // What is there is not what another checksum asks for either.
    fetch(&plan(&server), store.path()).await.unwrap();
    let error = fetch(&wrong, store.path()).await.unwrap_err();
    assert!(error.to_string().contains("remove it first"), "{error}");
}

#[tokio::test]
async fn a_file_of_another_kind_or_without_a_size_is_refused_at_once() {
    let page = b"<html>Please log in</html>";
    let server = serve(move |_, _| response("200 OK", "", page.len(), page)).await;
    let store = tempfile::tempdir().unwrap();
    let error = fetch(&plan(&server), store.path()).await.unwrap_err();
    assert!(error.to_string().contains("another kind"), "{error}");
    let endless = b"HTTP/1.1 200 OK\r\nConnection: close\r\n\r\nGGUF";
    let server = serve(move |_, _| endless.to_vec()).await;
    let error = fetch(&plan(&server), store.path()).await.unwrap_err();
    assert!(
        error.to_string().contains("does not tell its size"),
        "{error}"
    );
    assert_eq!(server.heads().len(), 1);
}

#[tokio::test]
async fn a_server_that_fails_is_asked_a_few_times_and_no_more() {
    let server = serve(|_, _| response("503 Service Unavailable", "", 0, b"")).await;
    let store = tempfile::tempdir().unwrap();
    let error = fetch(&plan(&server), store.path()).await.unwrap_err();
    assert!(
        matches!(error, Error::Network { .. }) && error.to_string().contains("503"),
        "{error}"
    );
    assert_eq!(server.heads().len(), 5);
}

#[tokio::test]
async fn what_is_being_fetched_is_not_removed_and_the_rest_is() {
    let server = serve(|_, _| Vec::new()).await;
    let store = tempfile::tempdir().unwrap();
    let plan = plan(&server);
    let fetching = {
        let (plan, store) = (plan.clone(), store.path().to_owned());
        tokio::spawn(async move { fetch(&plan, &store).await })
    };
    while server.heads().is_empty() {
        tokio::task::yield_now().await;
    }
    let error = remove_stored(store.path(), &plan.source).unwrap_err();
    assert!(matches!(error, Error::Busy { .. }), "{error}");
    fetching.abort();
    assert!(fetching.await.unwrap_err().is_cancelled());
    remove_stored(store.path(), &plan.source).unwrap();
    assert_eq!(find_stored(store.path(), &plan.source), None);
}

#[tokio::test]
async fn the_hub_tells_size_and_sum_of_a_file_that_lies_elsewhere() {
    let content = content();
    let (body, sum) = (content.clone(), sha256(&content));
    let elsewhere = serve(move |_, _| response("200 OK", "", body.len(), &body)).await;
    let headers = format!(
        "Location: {}/blob\r\nX-Linked-Size: {}\r\nX-Linked-ETag: \"{sum}\"\r\n",
        elsewhere.url,
        content.len()
    );
    let server = serve(move |_, head| {
        if head.contains("/old/") {
            let moved = "Location: /new/name/resolve/main/x.gguf\r\n";
            return response("307 Temporary Redirect", moved, 0, b"");
        }
        response("302 Found", &headers, 0, b"")
    })
    .await;
    let hub = Hub {
        endpoint: format!("{}/", server.url),
        token: Some("secret".into()),
    };
    let file = hub.file("old/name", "x.gguf").await.unwrap();
    assert_eq!(file.bytes, Some(content.len() as u64));
    assert_eq!(file.sha256, Some(sha256(&content)));
    assert!(elsewhere.heads().is_empty());
    let plan = Download {
        url: file.url,
        sha256: file.sha256,
        bytes: file.bytes,
        token: hub.token,
        ..plan(&server)
    };
    let store = tempfile::tempdir().unwrap();
    assert_eq!(fetch(&plan, store.path()).await.unwrap(), content);
    let is_told = |head: &String| head.contains("bearer secret");
    assert!(server.heads().iter().all(is_told));
    assert!(!elsewhere.heads().iter().any(is_told));
}

#[tokio::test]
async fn the_hub_lists_files_and_says_no_clearly() {
    let list = r#"[{"type":"directory","oid":"a","size":0,"path":"sub"},
        {"type":"file","oid":"b","size":9,"path":"sub/x.gguf","lfs":{"oid":"c","size":9}}]"#;
    let server = serve(move |_, head| {
        if head.contains("/api/models/owner/name/tree/main?recursive=true") {
            response("200 OK", "", list.len(), list.as_bytes())
        } else {
            response("401 Unauthorized", "", 0, b"")
        }
    })
    .await;
    let hub = Hub {
        endpoint: server.url.clone(),
        token: None,
    };
    assert_eq!(hub.files("owner/name").await.unwrap(), ["sub/x.gguf"]);
    let error = hub.files("owner/other").await.unwrap_err().to_string();
    assert!(
        error.contains("owner/other") && error.contains("HF_TOKEN"),
        "{error}"
    );
}
