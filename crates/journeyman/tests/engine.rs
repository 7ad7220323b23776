//! The managed model server's life: shared, started again, given up, ended. The server is a stand-in
//! (`common/llama_server.py`); supervisor, locks and processes are the real ones.

#![allow(clippy::unwrap_used, clippy::expect_used)] // a test fails by panicking

mod common;

use std::ffi::OsString;
use std::fs::{self, File};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use common::{Home, Output};
use journeyman_event::Tokens;
use journeyman_fetch::Environment;
use journeyman_llm::{
    Answer, EnginePurpose, EngineState, EngineStatus, Error, Managed, ManagedOptions, Message,
    MessageRole, ModelServer, Request, SupervisorCommand, SupervisorTimeouts, engine,
};
use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;
use tokio_util::sync::CancellationToken;

const MODEL: &str = "qwen2.5-coder-0.5b";
const WAIT: Duration = Duration::from_mins(1);

/// A home with a stand-in for llama.cpp's server and for the weights. What was started is stopped
/// when this is dropped.
struct Lab {
    home: Home,
}

impl Drop for Lab {
    fn drop(&mut self) {
        self.run(&["engine", "stop", "--force"]);
    }
}

impl Lab {
    fn new() -> Self {
        let home = Home::new();
        let lab = Self { home };
        fs::create_dir(lab.bin()).unwrap();
        let program = lab.bin().join("llama-server");
        fs::write(&program, include_str!("common/llama_server.py")).unwrap();
        fs::set_permissions(&program, fs::Permissions::from_mode(0o755)).unwrap();
        let models = lab.home.data_dir().join("models");
        fs::create_dir_all(&models).unwrap();
        for model in journeyman_llm::catalogue() {
            // Of the right size, and sparse: nobody reads it.
            let weights = File::create(models.join(&model.file.name)).unwrap();
            weights.set_len(model.file.bytes).unwrap();
        }
        lab
    }

    fn bin(&self) -> PathBuf {
        self.home.path().join("bin")
    }

    /// Tells the stand-in what to do.
    fn tell(&self, what: &str, pid: &str) {
        // Whole or not at all: it reads at any time.
        let next = self.bin().join("next");
        fs::write(&next, pid).unwrap();
        fs::rename(next, self.bin().join(what)).unwrap();
    }

    fn untell(&self, what: &str) {
        fs::remove_file(self.bin().join(what)).unwrap();
    }

    /// The stand-in's lives until now.
    fn lives(&self) -> Vec<Value> {
        let text = fs::read_to_string(self.bin().join("lives")).unwrap_or_default();
        text.lines()
            .filter_map(|line| serde_json::from_str(line).ok())
            .collect()
    }

    fn last_pid(&self) -> i32 {
        let lives = self.lives();
        let pid = lives.last().unwrap()["pid"].as_i64().unwrap();
        i32::try_from(pid).unwrap()
    }

    fn command(&self, args: &[&str]) -> Command {
        let mut command = self.home.command(args);
        let mut path = OsString::from(self.bin());
        path.push(":");
        path.push(std::env::var_os("PATH").unwrap_or_default());
        command.env("PATH", path).env("JOURNEYMAN_MODEL", MODEL);
        command
            .env("JOURNEYMAN_MODEL_API_KEY", "secret")
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        command
    }

    fn run(&self, args: &[&str]) -> Output {
        finish(self.command(args).spawn().unwrap())
    }

    fn status(&self) -> Value {
        let status = self.run(&["engine", "status", "--json"]);
        status.json_lines().remove(0)
    }

    /// What this process wants of a server that ends with its last user.
    fn options(&self) -> ManagedOptions {
        ManagedOptions {
            purpose: EnginePurpose::Answers,
            data_dir: self.home.data_dir(),
            environment: Environment::find(&self.home.data_dir()).unwrap(),
            engine: Some(self.bin().join("llama-server")),
            model: MODEL.to_owned(),
            hub: journeyman_fetch::Hub::default(),
            context: Tokens(4_096),
            slots: 2,
            idle: Duration::ZERO,
            timeouts: SupervisorTimeouts {
                start: Duration::from_secs(30),
                health: Duration::from_secs(30),
                stall: Duration::from_secs(30),
                backoff: Duration::from_millis(20),
            },
            supervisor: SupervisorCommand {
                program: env!("CARGO_BIN_EXE_journeyman").into(),
                arguments: vec!["engine-supervisor".into()],
            },
        }
    }

    async fn start(&self) -> Managed {
        Managed::start(self.options(), &|_| {}).await.unwrap()
    }

    fn state(&self) -> EngineState {
        engine(&self.home.data_dir(), EnginePurpose::Answers)
            .unwrap()
            .state
            .unwrap()
    }

    /// Waits until the server's state is as wanted.
    fn wait(&self, what: &str, mut wanted: impl FnMut(&journeyman_llm::EngineInfo) -> bool) {
        until(what, || {
            wanted(&engine(&self.home.data_dir(), EnginePurpose::Answers).unwrap())
        });
    }
}

fn until(what: &str, mut condition: impl FnMut() -> bool) {
    let deadline = Instant::now() + WAIT;
    while !condition() {
        assert!(Instant::now() < deadline, "not within {WAIT:?}: {what}");
        std::thread::sleep(Duration::from_millis(20));
    }
}

fn finish(child: Child) -> Output {
    let output = child.wait_with_output().unwrap();
    Output {
        code: output.status.code(),
        stdout: String::from_utf8(output.stdout).unwrap(),
        stderr: String::from_utf8(output.stderr).unwrap(),
    }
}

fn pid(number: i64) -> Pid {
    Pid::from_raw(number.try_into().unwrap()).unwrap()
}

fn kill(number: i32) {
    kill_process(pid(number.into()), Signal::KILL).unwrap();
}

/// Gone, or dead and only not yet collected by its parent.
fn is_gone(pid: i32) -> bool {
    let stat = fs::read_to_string(Path::new("/proc").join(pid.to_string()).join("stat"));
    stat.map_or(true, |stat| {
        stat.rsplit(')')
            .next()
            .is_some_and(|rest| rest.trim_start().starts_with('Z'))
    })
}

/// Asks for an answer, which names the life that gives it.
async fn ask(server: &Managed) -> Result<Answer, Error> {
    let request = Request {
        messages: vec![Message {
            role: MessageRole::User,
            content: "Who?".to_owned(),
        }],
        max_tokens: Tokens(8),
        temperature: 0.0,
        seed: Some(1),
        stop: Vec::new(),
        trace: None,
        schema: None,
    };
    let never = CancellationToken::new();
    server.answer(&request, &mut |_| {}, &never).await
}

/// Describes the server until another life than this one answers there.
async fn next_life(lab: &Lab, server: &Managed, pid: i32) {
    let deadline = Instant::now() + WAIT;
    while lab.last_pid() == pid || server.describe().await.is_err() {
        assert!(Instant::now() < deadline, "there is no other life");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    let answer = ask(server).await.unwrap();
    assert_eq!(answer.text, lab.last_pid().to_string());
}

#[test]
fn processes_share_one_server_until_it_is_stopped() {
    let lab = Lab::new();
    let before = lab.run(&["engine", "status"]);
    assert_eq!((before.code, before.stdout.trim()), (Some(3), "stopped"));

    let start = ["engine", "start", "--json", "--model-slots", "3"];
    let both = [(); 2].map(|()| lab.command(&start).spawn().unwrap());
    for child in both {
        let started = finish(child);
        assert_eq!(started.code, Some(0), "{}", started.stderr);
        let state = &started.json_lines()[0];
        assert_eq!(
            (&state["status"], &state["model"]),
            (&"running".into(), &MODEL.into())
        );
    }
    let lives = lab.lives();
    assert_eq!(lives.len(), 1, "{lives:?}");
    assert_eq!(lives[0]["ctx_size"], (3 * 8_192).to_string());
    assert_eq!(lives[0]["parallel"], "3");
    assert_eq!(lives[0]["host"], "127.0.0.1");
    let environment = lives[0]["environment"].as_array().unwrap();
    let leaked = environment
        .iter()
        .find(|name| name.as_str().unwrap().starts_with("JOURNEYMAN"));
    assert_eq!(leaked, None);

    let running = lab.run(&["engine", "status", "--json"]);
    assert_eq!(running.code, Some(0));
    let state = &running.json_lines()[0];
    assert_eq!(
        state["port"].to_string(),
        lives[0]["port"].as_str().unwrap()
    );
    assert_eq!(
        (&state["slots"], &state["context"]),
        (&3.into(), &8_192.into())
    );
    assert_eq!(
        (&state["users"], &state["restarts"]),
        (&0.into(), &0.into())
    );
    assert!(state["uptime_seconds"].is_u64(), "{state}");
    // Ctrl-C in the terminal of who started it is not for the server.
    let supervisor = pid(state["supervisor_pid"].as_i64().unwrap());
    assert_eq!(rustix::process::getsid(Some(supervisor)), Ok(supervisor));
    let doctor = lab.run(&["doctor"]).stdout;
    assert!(doctor.contains("engine     running: qwen"), "{doctor}");

    let server = lab.last_pid();
    let stopped = lab.run(&["engine", "stop"]);
    assert_eq!((stopped.code, stopped.stdout.trim()), (Some(0), "stopped"));
    assert!(is_gone(server));
    until("the supervisor's end", || {
        is_gone(supervisor.as_raw_nonzero().get())
    });
    assert_eq!(lab.run(&["engine", "status"]).code, Some(3));
    let again = lab.run(&["engine", "stop"]);
    assert_eq!((again.code, again.stdout.trim()), (Some(0), "nothing ran"));
}

#[test]
fn installing_starts_nothing() {
    let lab = Lab::new();
    let installed = lab.run(&["engine", "install", "--json"]);
    assert_eq!(installed.code, Some(0), "{}", installed.stderr);
    let weights = installed.json_lines()[0]["weights"]
        .as_str()
        .unwrap()
        .to_owned();
    assert!(Path::new(&weights).is_file(), "{weights}");
    assert!(lab.lives().is_empty());
    let unknown = lab.run(&["engine", "install", "--model", "gpt-17"]);
    assert_eq!(unknown.code, Some(1));
    assert!(unknown.stderr.contains("gpt-17"), "{}", unknown.stderr);
}

#[tokio::test]
async fn the_server_ends_when_its_last_user_has() {
    let lab = Lab::new();
    let (one, two) = (lab.start().await, lab.start().await);
    assert_eq!(lab.lives().len(), 1);
    let pid = lab.last_pid();
    drop(one);
    ask(&two).await.unwrap();
    assert_eq!(lab.state().status, EngineStatus::Running);
    drop(two);
    lab.wait("the end of an idle server", |engine| {
        engine.status == EngineStatus::Stopped
    });
    assert!(is_gone(pid));
}

#[tokio::test]
async fn a_server_that_died_is_started_again_and_its_users_follow() {
    let lab = Lab::new();
    let server = lab.start().await;
    ask(&server).await.unwrap();
    for restarts in 1..=2 {
        let pid = lab.last_pid();
        kill(pid);
        next_life(&lab, &server, pid).await;
        assert_eq!(lab.state().restarts, restarts);
        let reason = lab.state().reason.unwrap();
        assert!(reason.contains("it ended with"), "{reason}");
    }
}

#[tokio::test]
async fn a_server_that_dies_again_and_again_is_given_up_until_someone_starts_it() {
    let lab = Lab::new();
    let server = lab.start().await;
    lab.tell("broken", "");
    kill(lab.last_pid());
    lab.wait("giving up", |engine| engine.status == EngineStatus::Failed);
    let lives = lab.lives().len();
    assert_eq!(lives, 5);
    for _ in 0..2 {
        let error = server.describe().await.unwrap_err().to_string();
        assert!(error.contains("5 times in a row"), "{error}");
        assert!(error.contains("the weights are spoiled"), "{error}");
        assert!(error.contains("engine start"), "{error}");
    }
    assert_eq!(lab.lives().len(), lives, "a user must not start it again");
    let status = lab.run(&["engine", "status", "--json"]);
    assert_eq!(status.code, Some(3));
    assert_eq!(status.json_lines()[0]["status"], "failed");

    lab.untell("broken");
    let small = ["--model-context", "4096", "--model-slots", "2"];
    let started = lab.run(&[&["engine", "start"], &small[..]].concat());
    assert_eq!(started.code, Some(0), "{}", started.stderr);
    server.describe().await.unwrap();
    ask(&server).await.unwrap();
}

#[test]
fn a_server_that_cannot_start_is_an_error_with_the_end_of_its_log() {
    let lab = Lab::new();
    lab.tell("broken", "");
    let started = lab.run(&["engine", "start"]);
    assert_eq!(started.code, Some(1));
    assert!(
        started.stderr.contains("the weights are spoiled"),
        "{}",
        started.stderr
    );
    assert_eq!(lab.lives().len(), 1, "it is not tried again");
    assert_eq!(lab.status()["status"], "failed");
}

#[tokio::test]
async fn a_server_whose_port_was_taken_gets_another() {
    let lab = Lab::new();
    lab.tell("taken", "");
    let server = lab.start().await;
    ask(&server).await.unwrap();
    let lives = lab.lives();
    assert_eq!(lives.len(), 2);
    assert_ne!(lives[0]["port"], lives[1]["port"]);
    assert_eq!(lab.state().restarts, 0);
}

#[tokio::test]
async fn a_server_that_answers_nothing_is_replaced() {
    let lab = Lab::new();
    let mut options = lab.options();
    options.timeouts.health = Duration::from_secs(2);
    let server = Managed::start(options, &|_| {}).await.unwrap();
    let pid = lab.last_pid();
    lab.tell("silent", &pid.to_string());
    until("another life", || lab.last_pid() != pid);
    assert!(is_gone(pid));
    next_life(&lab, &server, pid).await;
    let reason = lab.state().reason.unwrap();
    assert!(reason.contains("did not answer for 2 s"), "{reason}");
}

#[tokio::test]
async fn a_server_at_work_without_progress_is_replaced_and_a_slow_one_is_not() {
    let lab = Lab::new();
    let mut options = lab.options();
    options.timeouts.stall = Duration::from_secs(2);
    let server = Managed::start(options, &|_| {}).await.unwrap();
    let pid = lab.last_pid();
    lab.tell("busy", "");
    // Eight questions take twice the patience with a server that makes no progress.
    until("questions to a server at work", || {
        fs::read(lab.bin().join("asked")).is_ok_and(|asked| asked.len() >= 8)
    });
    assert_eq!(lab.last_pid(), pid);
    lab.untell("busy");
    lab.tell("stalled", &pid.to_string());
    until("another life", || lab.last_pid() != pid);
    next_life(&lab, &server, pid).await;
    let reason = lab.state().reason.unwrap();
    assert!(reason.contains("no progress for 2 s"), "{reason}");
}

#[tokio::test]
async fn with_a_killed_supervisor_the_server_ends_and_the_next_use_starts_another() {
    let lab = Lab::new();
    let server = lab.start().await;
    let pid = lab.last_pid();
    kill(i32::try_from(lab.state().supervisor).unwrap());
    until("the server's end", || is_gone(pid));
    let status = lab.run(&["engine", "status", "--json"]);
    assert_eq!(status.code, Some(3));
    assert_eq!(status.json_lines()[0]["status"], "stopped");
    server.describe().await.unwrap();
    next_life(&lab, &server, pid).await;
}

#[test]
fn a_killed_user_uses_it_no_more() {
    let lab = Lab::new();
    lab.tell("loading", "");
    let mut user = lab
        .command(&["engine", "start", "--model-idle", "0s"])
        .spawn()
        .unwrap();
    lab.wait("a server that loads", |engine| {
        engine.status == EngineStatus::Starting && engine.users == Some(vec![user.id()])
    });
    until("a life", || !lab.lives().is_empty());
    let refused = lab.run(&["engine", "stop"]);
    assert_eq!(refused.code, Some(1));
    assert!(
        refused.stderr.contains(&user.id().to_string()),
        "{}",
        refused.stderr
    );
    user.kill().unwrap();
    user.wait().unwrap();
    lab.wait("the end of an unused server", |engine| {
        engine.status == EngineStatus::Stopped && engine.users == Some(Vec::new())
    });
    assert!(is_gone(lab.last_pid()));
}

#[tokio::test]
async fn a_server_with_something_else_is_replaced_only_if_nobody_uses_it() {
    let lab = Lab::new();
    let server = lab.start().await;
    let mut fewer = lab.options();
    fewer.slots = 1;
    drop(Managed::start(fewer, &|_| {}).await.unwrap());
    assert_eq!(lab.lives().len(), 1, "more slots than wanted do as well");

    let other = ["engine", "start", "--json", "--model", "qwen2.5-coder-1.5b"];
    let refused = lab.run(&other);
    assert_eq!(refused.code, Some(1));
    let me = std::process::id().to_string();
    for part in [MODEL, "4096 tokens", "qwen2.5-coder-1.5b", &me] {
        assert!(refused.stderr.contains(part), "{part}: {}", refused.stderr);
    }
    ask(&server).await.unwrap();

    // Stays after its last user, and is then replaced by another process.
    drop(server);
    let mut staying = lab.options();
    staying.idle = WAIT;
    lab.wait("its end", |engine| engine.status == EngineStatus::Stopped);
    drop(Managed::start(staying, &|_| {}).await.unwrap());
    let pid = lab.last_pid();
    let replaced = lab.run(&other);
    assert_eq!(replaced.code, Some(0), "{}", replaced.stderr);
    assert!(is_gone(pid));
    assert_eq!(replaced.json_lines()[0]["model"], "qwen2.5-coder-1.5b");
}

#[tokio::test]
async fn a_forced_stop_is_made_good_by_who_still_needs_the_server() {
    let lab = Lab::new();
    let server = lab.start().await;
    let pid = lab.last_pid();
    let stopped = lab.run(&["engine", "stop", "--force"]);
    assert_eq!(stopped.code, Some(0), "{}", stopped.stderr);
    assert!(is_gone(pid));
    assert!(ask(&server).await.unwrap_err().is_transient());
    server.describe().await.unwrap();
    next_life(&lab, &server, pid).await;
}
