//! Searching by meaning through the program itself: with an embedding model at a server that is configured, with one that
//! fails in every way, and with a managed one. The servers are stand-ins that know two words of one meaning.

#![allow(clippy::unwrap_used, clippy::expect_used)] // a test fails by panicking

mod common;

use std::ffi::OsString;
use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;
use std::process::Stdio;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use common::server::{GOOD, Server, tokens, until};
use common::{Home, Output};
use serde_json::{Value, json};

/// What the simulated model makes of it has a module `report`.
const PROMPT: &str = "Make a things";
const FOUND: &str = "module:simulated.report";

/// How the embedding server answers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Way {
    Vectors,
    Status500,
    Page,
    TooFew,
    Dimensions,
    NotNumbers,
    Silent,
}

struct EmbeddingServer {
    url: String,
    way: Arc<Mutex<Way>>,
    heads: Arc<Mutex<Vec<String>>>,
}

impl EmbeddingServer {
    fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let (way, heads) = (Arc::new(Mutex::new(Way::Vectors)), Arc::default());
        let server = Self {
            url,
            way: Arc::clone(&way),
            heads: Arc::clone(&heads),
        };
        std::thread::spawn(move || {
            for socket in listener.incoming() {
                let (socket, way, heads) = (socket.unwrap(), Arc::clone(&way), Arc::clone(&heads));
                std::thread::spawn(move || serve(socket, &way, &heads));
            }
        });
        server
    }

    fn answers(&self, way: Way) {
        *self.way.lock().unwrap() = way;
    }
}

fn serve(mut socket: TcpStream, way: &Mutex<Way>, heads: &Mutex<Vec<String>>) {
    let mut reader = BufReader::new(socket.try_clone().unwrap());
    let mut head = String::new();
    while !head.ends_with("\r\n\r\n") {
        if reader.read_line(&mut head).unwrap_or(0) == 0 {
            return;
        }
    }
    let length = head.lines().find_map(|line| {
        let line = line.to_lowercase();
        line.strip_prefix("content-length: ")?.parse::<usize>().ok()
    });
    let mut body = vec![0; length.unwrap_or(0)];
    reader.read_exact(&mut body).unwrap();
    let is_list = head.starts_with("GET /v1/models ");
    heads.lock().unwrap().push(head);
    let way = *way.lock().unwrap();
    let (status, text) = match way {
        _ if is_list => ("200 OK", json!({"data": [{"id": "mini"}]}).to_string()),
        Way::Status500 => (
            "500 Internal Server Error",
            "{\"error\":\"boom\"}".to_owned(),
        ),
        Way::Page => ("200 OK", "<html><title>Sign in</title></html>".to_owned()),
        Way::Silent => {
            // Until the client goes away.
            let _ = reader.read(&mut [0; 1]);
            return;
        }
        _ => {
            let asked: Value = serde_json::from_slice(&body).unwrap();
            ("200 OK", vectors(&asked, way).to_string())
        }
    };
    let head = format!(
        "HTTP/1.1 {status}\r\nContent-Length: {}\r\nConnection: close\r\n\r\n",
        text.len()
    );
    let _ = socket.write_all(format!("{head}{text}").as_bytes());
}

/// Whatever is about a report is similar to what is about an account.
fn vectors(asked: &Value, way: Way) -> Value {
    let texts = asked["input"].as_array().unwrap();
    let mut data: Vec<Value> = Vec::new();
    for (at, text) in texts.iter().enumerate() {
        let text = text.as_str().unwrap();
        let count = text.matches("report").count() + text.matches("account").count();
        let mut vector = json!([1_000 * count, 100 + text.len()]);
        if way == Way::NotNumbers {
            vector = json!([null, 1]);
        }
        if way == Way::Dimensions && !text.starts_with("account") {
            vector = json!([1, 1, 1]);
        }
        data.push(json!({"index": at, "embedding": vector}));
    }
    if way == Way::TooFew {
        data.pop();
    }
    json!({"data": data})
}

fn with_task() -> Home {
    let home = Home::new();
    let run = home.simulate("?latency_ms=0&wrong=0&malformed=0", &[PROMPT]);
    assert_eq!(run.code, Some(3), "{}", run.stderr);
    home
}

/// Searches for a word that no task has, by the command line.
fn search(home: &Home, more: &[&str]) -> Output {
    let mut args = vec!["context", "search", "account"];
    args.extend(more);
    let output = home.run(&args);
    assert_eq!(output.code, Some(0), "{}", output.stderr);
    output
}

fn found(output: &Output) -> Value {
    output.json_lines().remove(0)
}

#[test]
fn a_word_that_no_task_has_finds_what_means_the_same_by_command_line_and_rest() {
    let (home, embeddings) = (with_task(), EmbeddingServer::start());
    let by_words = found(&search(&home, &["--json"]));
    assert_eq!(
        (&by_words["hits"], &by_words["meaning"]["state"]),
        (&json!([]), &json!("off"))
    );
    let url = ["--embedding-url", &embeddings.url];
    let by_meaning = found(&search(&home, &["--json", url[0], url[1]]));
    assert_eq!(by_meaning["hits"][0]["id"], FOUND, "{by_meaning}");
    assert!(by_meaning["hits"][0]["similarity"].as_f64().unwrap() > 0.5);
    let used = json!({"state": "used", "model": "mini", "behind": 0, "problem": null});
    assert_eq!(by_meaning["meaning"], used);
    let told = search(&home, &url);
    assert!(
        told.stdout.lines().next().unwrap().contains(FOUND),
        "{}",
        told.stdout
    );
    // The words alone are as they were.
    assert_eq!(found(&search(&home, &["--json"])), by_words);
    let token_file = tokens(
        &home,
        &[
            ("local", "mine-0123456789", "user"),
            ("ada", "hers-0123456789", "user"),
        ],
    );
    let server = Server::start(&home, GOOD, &[url[0], url[1], "--token-file", &token_file]);
    let get = |token: &str| {
        let who = format!("Bearer {token}");
        let path = "/api/v1/search?words=account&limit=3";
        let headers = [("Authorization", who.as_str())];
        server.ask("GET", path, &headers, b"").expect(200)
    };
    let mine = get("mine-0123456789");
    assert_eq!(
        (&mine["hits"][0]["id"], &mine["meaning"]),
        (&json!(FOUND), &used)
    );
    let hers = get("hers-0123456789");
    assert_eq!((&hers["hits"], &hers["meaning"]), (&json!([]), &used));
}

#[test]
fn an_embedding_server_that_lies_or_fails_leaves_the_words_and_is_told() {
    let (home, embeddings) = (with_task(), EmbeddingServer::start());
    let url = ["--embedding-url", &embeddings.url];
    let server = Server::start(&home, GOOD, &url);
    for (way, why) in [
        (Way::Status500, "status 500: boom"),
        (Way::Page, "a page of HTML"),
        (Way::TooFew, "0 vectors for 1 texts"),
        (Way::NotNumbers, "no number"),
    ] {
        embeddings.answers(way);
        let path = "/api/v1/search?words=report";
        let view = server.get(path).expect(200);
        assert!(!view["hits"].as_array().unwrap().is_empty(), "{way:?}");
        assert_eq!(view["meaning"]["state"], "failed", "{way:?}: {view}");
        let problem = view["meaning"]["problem"].as_str().unwrap();
        assert!(problem.contains(why), "{way:?}: {problem}");
        let told = search(&home, &[]);
        assert!(
            told.stdout
                .contains("searched by words alone: the embedding server at")
                && told.stdout.contains(why),
            "{way:?}: {}",
            told.stdout
        );
    }
    embeddings.answers(Way::Dimensions);
    let view = server.get("/api/v1/search?words=account").expect(200);
    assert_eq!(
        (&view["meaning"]["state"], &view["hits"]),
        (&json!("used"), &json!([]))
    );
    assert!(view["meaning"]["behind"].as_u64().unwrap() > 0);
    let told = search(&home, &[]).stdout;
    assert!(
        told.contains("searched partly by words alone: the embedding model"),
        "{told}"
    );
    embeddings.answers(Way::Silent);
    let began = Instant::now();
    let view = server.get("/api/v1/search?words=report").expect(200);
    assert!(began.elapsed() < Duration::from_secs(20));
    let problem = view["meaning"]["problem"].as_str().unwrap();
    assert!(problem.contains("did not answer within 2 s"), "{problem}");
    assert!(!view["hits"].as_array().unwrap().is_empty());
    embeddings.answers(Way::Vectors);
    let view = server.get("/api/v1/search?words=account").expect(200);
    assert_eq!(
        (&view["hits"][0]["id"], &view["meaning"]["behind"]),
        (&json!(FOUND), &json!(0))
    );
    drop(server);
    let refused = search(&home, &["--embedding-url", "http://127.0.0.1:1"]);
    assert!(
        refused.stdout.contains("cannot be reached"),
        "{}",
        refused.stdout
    );
}

#[test]
fn a_key_is_sent_and_never_shown_and_wrong_settings_are_refused() {
    let (home, embeddings) = (with_task(), EmbeddingServer::start());
    let mut command = home.command(&["context", "search", "account", "--json"]);
    let output = command
        .env("JOURNEYMAN_EMBEDDING_URL", &embeddings.url)
        .env("JOURNEYMAN_EMBEDDING_API_KEY", "secret-key")
        .output()
        .unwrap();
    assert!(output.status.success());
    let heads = embeddings.heads.lock().unwrap().join("").to_lowercase();
    assert!(
        heads.contains("authorization: bearer secret-key"),
        "{heads}"
    );
    let config = home.run(&[
        "config",
        "show",
        "--embedding-api-key",
        "secret-key",
        "--embedding-url",
        "http://u:s3cretpw@box",
    ]);
    assert!(
        config.stdout.contains("embedding.url") && !config.stdout.contains("s3cret"),
        "{}",
        config.stdout
    );
    assert!(!config.stdout.contains("secret-key"), "{}", config.stdout);
    for (args, why) in [
        (
            ["--embedding-url", "box:80"],
            "is no URL of a server with an embedding model",
        ),
        (["--embedding-model", "mini"], "--embedding-url"),
        (
            ["--embedding-model", "qwen2.5-coder-0.5b"],
            "names no embedding model",
        ),
    ] {
        let mut all = vec!["context", "search", "account"];
        all.extend(args);
        let output = home.run(&all);
        assert_eq!(output.code, Some(2), "{}", output.stderr);
        assert!(output.stderr.contains(why), "{}", output.stderr);
    }
}

/// A home with stand-ins for llama.cpp's server and for the weights. What was started is stopped when this is dropped.
struct Lab {
    home: Home,
    model: String,
}

impl Drop for Lab {
    fn drop(&mut self) {
        self.run(&["engine", "stop", "--force", "--embedding"]);
    }
}

impl Lab {
    fn new() -> Self {
        let home = with_task();
        let bin = home.path().join("bin");
        fs::create_dir(&bin).unwrap();
        let program = bin.join("llama-server");
        fs::write(&program, include_str!("common/llama_server.py")).unwrap();
        fs::set_permissions(&program, fs::Permissions::from_mode(0o755)).unwrap();
        let model = home.path().join("mini.gguf");
        fs::write(&model, "GGUF, and then a great many numbers").unwrap();
        let model = model.to_str().unwrap().to_owned();
        Self { home, model }
    }

    fn lives(&self) -> Vec<Value> {
        let lives: PathBuf = self.home.path().join("bin/lives");
        let text = fs::read_to_string(lives).unwrap_or_default();
        text.lines()
            .map(|line| serde_json::from_str(line).unwrap())
            .collect()
    }

    /// Where programs are looked for: the stand-in first.
    fn path(&self) -> OsString {
        let mut path = OsString::from(self.home.path().join("bin"));
        path.push(":");
        path.push(std::env::var_os("PATH").unwrap_or_default());
        path
    }

    fn run(&self, args: &[&str]) -> Output {
        let mut command = self.home.command(args);
        let output = command
            .env("PATH", self.path())
            .env("JOURNEYMAN_EMBEDDING_MODEL", &self.model)
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .output()
            .unwrap();
        Output {
            code: output.status.code(),
            stdout: String::from_utf8(output.stdout).unwrap(),
            stderr: String::from_utf8(output.stderr).unwrap(),
        }
    }

    fn search(&self) -> Value {
        let output = self.run(&["context", "search", "account", "--json"]);
        assert_eq!(output.code, Some(0), "{}", output.stderr);
        found(&output)
    }
}

#[test]
fn a_managed_embedding_model_is_started_by_a_search_and_has_a_server_of_its_own() {
    let lab = Lab::new();
    let view = lab.search();
    assert_eq!(view["meaning"]["state"], "used", "{view}");
    assert_eq!(view["meaning"]["model"], lab.model.as_str());
    assert!(!view["hits"].as_array().unwrap().is_empty(), "{view}");
    // Another search finds it running.
    assert_eq!(lab.search(), view);
    let lives = lab.lives();
    assert_eq!((lives.len(), &lives[0]["embeddings"]), (1, &json!(true)));
    assert_eq!(lives[0]["ubatch_size"], "2048");
    let status = lab.run(&["engine", "status", "--embedding", "--json"]);
    let status = status.json_lines().remove(0);
    assert_eq!(
        (&status["status"], &status["model"]),
        (&json!("running"), &json!(lab.model))
    );
    // The server that answers prompts is another one, and does not run.
    let other = lab
        .run(&["engine", "status", "--json"])
        .json_lines()
        .remove(0);
    assert_eq!(other["status"], "stopped");
    assert!(!lab.home.data_dir().join("engine").exists());
    assert_eq!(
        lab.run(&["engine", "stop", "--embedding"]).stdout.trim(),
        "stopped"
    );
    // It is started again when it is needed.
    assert_eq!(lab.search(), view);
    assert_eq!(lab.lives().len(), 2);
}

#[test]
fn a_server_follows_its_managed_embedding_model_through_a_restart() {
    let lab = Lab::new();
    assert_eq!(lab.run(&["engine", "start", "--embedding"]).code, Some(0));
    let mut command = Server::command(&lab.home, GOOD, &["--embedding-model", &lab.model]);
    command.env("PATH", lab.path());
    let server = Server::launch(&lab.home, command);
    let ask = || server.get("/api/v1/search?words=account").expect(200);
    assert_eq!(ask()["meaning"]["state"], "used");
    let pid = lab.lives()[0]["pid"].as_i64().unwrap();
    let pid = rustix::process::Pid::from_raw(pid.try_into().unwrap()).unwrap();
    rustix::process::kill_process(pid, rustix::process::Signal::KILL).unwrap();
    // Until the supervisor has started it again, words are what is left.
    until("a search by meaning", || {
        (ask()["meaning"]["state"] == "used").then_some(())
    });
    assert_eq!(lab.lives().len(), 2);
}

#[test]
fn a_search_installs_nothing_and_says_what_does() {
    let lab = Lab::new();
    let hub = "hf:owner/repo:Q8_0";
    let output = lab.run(&["context", "search", "account", "--embedding-model", hub]);
    assert_eq!(output.code, Some(0), "{}", output.stderr);
    assert!(
        output.stdout.contains("searched by words alone")
            && output
                .stdout
                .contains("`journeyman engine install --embedding`"),
        "{}",
        output.stdout
    );
    let none = lab.home.run(&["engine", "start", "--embedding"]);
    assert_eq!(none.code, Some(2), "{}", none.stderr);
    assert!(none.stderr.contains("--embedding-model"), "{}", none.stderr);
    let installed = lab.run(&["engine", "install", "--embedding", "--json"]);
    assert_eq!(
        installed.json_lines()[0]["model"],
        lab.model.as_str(),
        "{}",
        installed.stderr
    );
    assert!(lab.lives().is_empty());
}
