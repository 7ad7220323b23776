//! Models through the program itself: listed, fetched from a server on this machine, removed.

#![allow(clippy::unwrap_used, clippy::expect_used)] // a test fails by panicking

mod common;

use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::net::TcpListener;
use std::process::Stdio;
use std::sync::{Arc, Mutex};

use common::{Home, Output};
use serde_json::Value;

const WEIGHTS: &[u8] = b"GGUF, and then a great many numbers";
/// `printf 'GGUF, and then a great many numbers' | sha256sum`
const SUM: &str = "c84fa4b5b16c5341310e1d75581198de508ad832d50a6685178818169a30b78a";
const FILE: &str = "hf:owner/repo/some-q4_k_m.gguf";

/// A hub with one repository. Each connection answers one request: `cut` says after how many bytes
/// of the weights the n-th download breaks.
struct HubServer {
    url: String,
    requests: Arc<Mutex<Vec<String>>>,
}

fn hub(cut: &'static [usize]) -> HubServer {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let requests = Arc::new(Mutex::new(Vec::new()));
    let seen = requests.clone();
    std::thread::spawn(move || {
        let mut downloads = 0;
        for socket in listener.incoming() {
            let mut socket = socket.unwrap();
            let mut reader = BufReader::new(socket.try_clone().unwrap());
            let mut head = String::new();
            while !head.ends_with("\r\n\r\n") && reader.read_line(&mut head).unwrap_or(0) > 0 {}
            let head = head.to_lowercase();
            let range = head
                .lines()
                .find_map(|line| line.strip_prefix("range: bytes="));
            let from = range.map_or(0, |r| r.trim_end_matches('-').parse::<usize>().unwrap());
            let first = head.lines().next().unwrap_or_default().to_owned();
            let answer = if first.starts_with("head /owner/repo/resolve/main/some-q4_k_m.gguf") {
                let headers = format!(
                    "X-Linked-Size: {}\r\nX-Linked-ETag: \"{SUM}\"\r\n",
                    WEIGHTS.len()
                );
                reply("200 OK", &headers, b"", 0)
            } else if first.starts_with("get /api/models/owner/repo/tree/main") {
                let list = br#"[{"type":"file","path":"README.md","size":1},
                    {"type":"file","path":"some-q4_k_m.gguf","size":35},
                    {"type":"file","path":"some-q8_0.gguf","size":70}]"#;
                reply("200 OK", "", list, list.len())
            } else if first.contains("some-q4_k_m.gguf") {
                let end = cut.get(downloads).copied().unwrap_or(WEIGHTS.len());
                downloads += 1;
                let rest = &WEIGHTS[from..end.max(from)];
                let length = WEIGHTS.len() - from;
                if from == 0 {
                    reply("200 OK", "ETag: \"v1\"\r\n", rest, length)
                } else {
                    let all = WEIGHTS.len();
                    let range = format!("Content-Range: bytes {from}-{}/{all}\r\n", all - 1);
                    reply("206 Partial Content", &range, rest, length)
                }
            } else {
                reply("404 Not Found", "", b"", 0)
            };
            seen.lock().unwrap().push(first);
            socket.write_all(&answer).ok();
        }
    });
    HubServer { url, requests }
}

fn reply(status: &str, headers: &str, body: &[u8], length: usize) -> Vec<u8> {
    let head = format!(
        "HTTP/1.1 {status}\r\nContent-Length: {length}\r\nConnection: close\r\n{headers}\r\n"
    );
    [head.as_bytes(), body].concat()
}

impl HubServer {
    fn run(&self, home: &Home, args: &[&str]) -> Output {
        let mut command = home.command(args);
        let output = command.env("HF_ENDPOINT", &self.url).output().unwrap();
        Output {
            code: output.status.code(),
            stdout: String::from_utf8(output.stdout).unwrap(),
            stderr: String::from_utf8(output.stderr).unwrap(),
        }
    }

    fn requests(&self) -> usize {
        self.requests.lock().unwrap().len()
    }
}

/// The entry of one model in the list.
fn listed(home: &Home, name: &str) -> Option<Value> {
    let all = home.run(&["model", "list", "--json"]).json_lines();
    all.into_iter().find(|model| model["name"] == name)
}

#[test]
fn the_catalogue_is_listed_also_where_nothing_was_fetched() {
    let home = Home::bare();
    let list = home.run(&["model", "list"]);
    assert_eq!(list.code, Some(0), "{}", list.stderr);
    assert!(
        list.stdout
            .contains("qwen2.5-coder-1.5b\n  absent, 1,117,320,768 bytes")
    );
    let model = listed(&home, "qwen2.5-coder-0.5b").unwrap();
    assert_eq!(
        (&model["state"], &model["bytes_here"]),
        (&"absent".into(), &0.into())
    );
    assert_eq!(model["sha256"].as_str().unwrap().len(), 64);
    assert!(!home.data_dir().exists(), "looking makes nothing");
}

#[test]
fn a_model_of_a_hub_is_fetched_checked_listed_and_removed() {
    let (home, hub) = (Home::bare(), hub(&[]));
    let pull = hub.run(&home, &["model", "pull", FILE]);
    assert_eq!(pull.code, Some(0), "{}", pull.stderr);
    assert!(
        pull.stdout.contains("complete, 35 bytes"),
        "{}",
        pull.stdout
    );
    assert!(
        pull.stderr.contains("downloading some-q4_k_m.gguf"),
        "{}",
        pull.stderr
    );
    let model = listed(&home, FILE).unwrap();
    assert_eq!(
        (&model["state"], &model["sha256"]),
        (&"complete".into(), &SUM.into())
    );
    assert_eq!(fs::read(model["path"].as_str().unwrap()).unwrap(), WEIGHTS);
    // It is there: nobody is asked, whichever way it is named.
    let asked = hub.requests();
    for name in [FILE, "hf:owner/repo:Q4_K_M"] {
        let again = hub.run(&home, &["model", "pull", name, "--json"]);
        assert_eq!(again.json_lines()[0], model, "{}", again.stderr);
    }
    assert_eq!(hub.requests(), asked);
    let remove = home.run(&["model", "remove", FILE]);
    assert_eq!(remove.stdout.trim(), format!("{FILE} removed, 35 bytes"));
    assert_eq!(listed(&home, FILE), None);
    assert_eq!(home.run(&["model", "remove", FILE]).code, Some(1));
}

#[test]
fn an_ending_finds_its_file_and_a_wrong_one_lists_what_there_is() {
    let (home, hub) = (Home::bare(), hub(&[]));
    let pull = hub.run(&home, &["model", "pull", "hf:owner/repo:Q4_K_M", "--json"]);
    assert_eq!(pull.json_lines()[0]["name"], FILE, "{}", pull.stderr);
    let wrong = hub.run(&home, &["model", "pull", "hf:owner/repo:F16"]);
    assert_eq!(wrong.code, Some(1));
    assert!(
        wrong.stderr.contains("some-q4_k_m.gguf, some-q8_0.gguf"),
        "{}",
        wrong.stderr
    );
    let missing = hub.run(&home, &["model", "pull", "hf:owner/other:F16"]);
    assert!(missing.stderr.contains("HF_TOKEN"), "{}", missing.stderr);
}

#[test]
fn a_download_that_breaks_again_and_again_is_partial_and_goes_on_later() {
    // Five attempts that bring nothing more are enough; the sixth belongs to the next command.
    let (home, hub) = (Home::bare(), hub(&[20, 20, 20, 20, 20]));
    let broken = hub.run(&home, &["model", "pull", FILE]);
    assert_eq!(broken.code, Some(1));
    assert!(
        broken.stderr.contains("what arrived is kept"),
        "{}",
        broken.stderr
    );
    let partial = listed(&home, FILE).unwrap();
    assert_eq!(
        (&partial["state"], &partial["bytes_here"]),
        (&"partial".into(), &20.into())
    );
    let text = home.run(&["model", "list"]).stdout;
    assert!(text.contains("partial, 20 of 35 bytes"), "{text}");
    let pull = hub.run(&home, &["model", "pull", FILE, "--json"]);
    assert_eq!(pull.json_lines()[0]["state"], "complete", "{}", pull.stderr);
}

#[test]
fn a_url_is_fetched_and_its_sum_is_believed_only_if_it_fits() {
    let (home, hub) = (Home::bare(), hub(&[]));
    let url = format!("{}/files/some-q4_k_m.gguf", hub.url);
    let wrong = format!("{url}#sha256={}", "0".repeat(64));
    let pull = home.run(&["model", "pull", &wrong]);
    assert_eq!(pull.code, Some(1));
    assert!(
        pull.stderr.contains("arrived with the SHA-256"),
        "{}",
        pull.stderr
    );
    let right = format!("{url}#sha256={SUM}");
    let pull = home.run(&["model", "pull", &right, "--json"]);
    assert_eq!(pull.json_lines()[0]["state"], "complete", "{}", pull.stderr);
    assert_eq!(home.run(&["model", "remove", &url]).code, Some(0));
}

#[test]
fn a_file_of_ones_own_is_neither_fetched_nor_removed() {
    let home = Home::bare();
    let path = home.path().join("own.gguf");
    fs::write(&path, WEIGHTS).unwrap();
    for command in ["pull", "remove"] {
        for name in [path.to_str().unwrap(), "./own.gguf"] {
            let output = home.run(&["model", command, name]);
            assert_eq!(output.code, Some(2), "{}", output.stderr);
            assert!(output.stderr.contains("of your own"), "{}", output.stderr);
        }
    }
    assert!(path.exists());
}

#[test]
fn what_is_no_name_or_not_there_is_said_clearly() {
    let home = Home::bare();
    for command in ["pull", "remove"] {
        let unknown = home.run(&["model", command, "gpt-9"]);
        assert_eq!(unknown.code, Some(2));
        assert!(
            unknown
                .stderr
                .contains("qwen2.5-coder-1.5b and qwen2.5-coder-0.5b"),
            "{}",
            unknown.stderr
        );
    }
    let absent = home.run(&["model", "remove", "qwen2.5-coder-0.5b"]);
    assert_eq!(absent.code, Some(1));
    assert!(
        absent.stderr.contains("not in the data folder"),
        "{}",
        absent.stderr
    );
    let help = home.run(&["model", "pull", "--help"]).stdout;
    assert!(help.contains("hf:owner/repository:Q4_K_M"), "{help}");
}

#[test]
fn a_catalogued_model_that_is_there_is_removed_with_its_parts() {
    let home = Home::bare();
    let models = home.data_dir().join("models");
    let parts = models.join("qwen2.5-coder-0.5b-instruct-q4_k_m.gguf.parts/one");
    fs::create_dir_all(&parts).unwrap();
    fs::write(parts.join("one.whl"), "some bytes").unwrap();
    let partial = listed(&home, "qwen2.5-coder-0.5b").unwrap();
    assert_eq!(
        (&partial["state"], &partial["bytes_here"]),
        (&"partial".into(), &10.into())
    );
    let remove = home.run(&["model", "remove", "qwen2.5-coder-0.5b", "--json"]);
    assert_eq!(remove.json_lines()[0]["bytes"], 10, "{}", remove.stderr);
    assert!(!parts.exists());
}

#[test]
fn an_interrupted_fetch_says_so_and_keeps_what_arrived() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}/some.gguf", listener.local_addr().unwrap());
    let home = Home::bare();
    let child = home
        .command(&["model", "pull", &url])
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let (mut socket, _) = listener.accept().unwrap();
    let mut head = String::new();
    let mut reader = BufReader::new(socket.try_clone().unwrap());
    while !head.ends_with("\r\n\r\n") {
        assert!(reader.read_line(&mut head).unwrap() > 0, "no request");
    }
    let head = reply("200 OK", "ETag: \"v1\"\r\n", &WEIGHTS[..9], WEIGHTS.len());
    socket.write_all(&head).unwrap();
    let arrived = || listed(&home, &url).is_some_and(|model| model["bytes_here"] == 9);
    assert!((0..1_000).any(|_| arrived()), "nothing arrived");
    let pid = rustix::process::Pid::from_child(&child);
    rustix::process::kill_process(pid, rustix::process::Signal::INT).unwrap();
    let output = child.wait_with_output().unwrap();
    assert_eq!(output.status.code(), Some(130));
    assert_eq!(listed(&home, &url).unwrap()["state"], "partial");
}
