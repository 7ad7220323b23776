//! External servers that behave, and that do not: real processes, spoken to over their streams.

#![allow(clippy::unwrap_used, clippy::expect_used)] // a test fails by panicking

mod common;

use std::collections::BTreeMap;
use std::path::Path;
use std::time::{Duration, Instant};

use common::{Files, Kept, context, request};
use journeyman_tools::{
    Completed, Dispatcher, DispatcherOptions, FailureKind, Grants, Host, McpServers, Outcome,
    Permission, RefusalKind, Registry, ServerConfig, ServerName, ServerState, ServerStatus,
};
use serde_json::{Value, json};

/// Longer than anything here takes; that it is over is a failure.
const PATIENCE: Duration = Duration::from_mins(1);

struct Fixture {
    servers: McpServers,
    registry: Registry,
    dispatcher: Dispatcher,
}

fn config(ways: &[&str], more: &str) -> ServerConfig {
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/common/mcp_server.py");
    let mut args = vec![script.to_str().unwrap()];
    args.extend(ways);
    let text = format!("command = \"python3\"\nargs = {}\n{more}", json!(args));
    toml::from_str(&text).unwrap()
}

fn start(servers: &[(&str, ServerConfig)]) -> Fixture {
    let configs = servers
        .iter()
        .map(|(name, config)| (ServerName::new(name).unwrap(), config.clone()))
        .collect();
    let environment = BTreeMap::from([
        ("PATH".to_owned(), std::env::var("PATH").unwrap()),
        ("HOME".to_owned(), "/nowhere".to_owned()),
        ("PASSWORD".to_owned(), "secret".to_owned()),
    ]);
    let host = Host {
        name: "test".into(),
        version: "1".into(),
        environment,
    };
    let registry = Registry::with_built_ins().unwrap();
    let servers = McpServers::start(configs, &registry, host);
    let dispatcher = Dispatcher::new(registry.clone(), DispatcherOptions::default());
    Fixture {
        servers,
        registry,
        dispatcher,
    }
}

fn one(ways: &[&str], more: &str) -> Fixture {
    start(&[("fake", config(ways, more))])
}

impl Fixture {
    async fn until(&self, server: &str, fits: impl Fn(&ServerStatus) -> bool) -> ServerStatus {
        let server = ServerName::new(server).unwrap();
        let mut watch = self.servers.watch();
        let waiting = watch.wait_for(|all| fits(&all[&server]));
        let all = tokio::time::timeout(PATIENCE, waiting).await;
        all.expect("in time").unwrap()[&server].clone()
    }

    async fn ready(&self) -> ServerStatus {
        self.until("fake", |one| one.state == ServerState::Ready)
            .await
    }

    async fn gone(&self) -> String {
        let gone = |one: &ServerStatus| matches!(one.state, ServerState::Unavailable { .. });
        match self.until("fake", gone).await.state {
            ServerState::Unavailable { why } => why,
            other => panic!("{other:?}"),
        }
    }

    async fn call(&self, name: &str, arguments: Value) -> Completed {
        let context = context(Files::with(&[]));
        let request = request(name, arguments);
        self.dispatcher
            .call(&context, request, &Kept::default())
            .await
    }

    fn names(&self) -> Vec<String> {
        let specs = self.registry.list(&Grants::of([Permission::External]));
        specs.iter().map(|spec| spec.name.to_string()).collect()
    }
}

/// Until the processes are gone. There is nobody who could tell us: they are nobody's children.
async fn until_gone(pids: &[String]) {
    let start = Instant::now();
    let is_there = |pid: &String| {
        let stat = std::fs::read_to_string(format!("/proc/{pid}/stat"));
        stat.is_ok_and(|stat| !stat.contains(") Z "))
    };
    while pids.iter().any(is_there) {
        assert!(start.elapsed() < PATIENCE, "{pids:?} are still there");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

#[tokio::test]
async fn the_tools_of_a_server_are_called_by_its_name_and_theirs() {
    let fixture = one(&["noise"], "");
    let status = fixture.ready().await;
    assert_eq!((status.tools, status.restarts), (11, 0));
    let done = fixture.call("fake.echo", json!({"text": "hello"})).await;
    assert_eq!((done.outcome, done.text.as_str()), (Outcome::Ok, "hello"));
    assert_eq!(done.structured, Some(json!({"text": "hello"})));
    assert!(fixture.registry.get("fake.dotted.name").is_some());
    let spec = fixture.registry.get("fake.echo").unwrap();
    assert!(spec.repeatable && spec.permission == Permission::External);
    assert!(!fixture.registry.get("fake.die").unwrap().repeatable);
    fixture.servers.shutdown().await;
    assert!(fixture.registry.get("fake.echo").is_none());
}

#[tokio::test]
async fn arguments_are_checked_against_the_schema_that_the_server_gave() {
    let fixture = one(&[], "");
    fixture.ready().await;
    let done = fixture.call("fake.echo", json!({"text": 3})).await;
    assert_eq!(done.outcome, Outcome::Refused(RefusalKind::Arguments));
    assert!(done.text.contains("at /text"), "{}", done.text);
}

#[tokio::test]
async fn only_the_tools_that_are_wanted_are_taken() {
    let fixture = one(&[], "tools = [\"e*\"]\npermission = \"run\"");
    assert_eq!(fixture.ready().await.tools, 2);
    assert!(
        fixture.names().is_empty(),
        "another permission was configured"
    );
    assert!(fixture.registry.get("fake.environment").is_some());
}

#[tokio::test]
async fn a_server_gets_four_of_our_variables_and_its_own() {
    let fixture = one(&[], "env = {TOKEN = \"t\"}");
    fixture.ready().await;
    let done = fixture.call("fake.environment", json!({})).await;
    let variables: BTreeMap<String, String> = serde_json::from_str(&done.text).unwrap();
    assert_eq!(variables["TOKEN"], "t");
    assert_eq!(variables["HOME"], "/nowhere");
    assert!(!variables.contains_key("PASSWORD"));
}

#[tokio::test]
async fn a_server_that_hangs_at_start_delays_no_other() {
    let hanging = config(&["hang_at_start"], "start_timeout_ms = 300");
    let fixture = start(&[("fake", hanging), ("good", config(&[], ""))]);
    fixture
        .until("good", |one| one.state == ServerState::Ready)
        .await;
    assert_eq!(fixture.gone().await, "not ready within 0.3 s");
    let done = fixture.call("fake.echo", json!({})).await;
    assert_eq!(done.outcome, Outcome::Refused(RefusalKind::Unavailable));
    assert!(
        done.text.contains("not ready within 0.3 s"),
        "{}",
        done.text
    );
    // It is tried again.
    fixture.until("fake", |one| one.restarts == 1).await;
}

#[tokio::test]
async fn a_server_that_cannot_be_started_says_why() {
    let missing: ServerConfig = toml::from_str("command = \"no-such-program\"").unwrap();
    let fixture = start(&[("fake", missing)]);
    let why = fixture.gone().await;
    assert!(why.starts_with("cannot start \"no-such-program\""), "{why}");
    let fixture = one(&["die_at_start"], "");
    let why = fixture.gone().await;
    assert!(why.contains("closed"), "{why}");
}

#[tokio::test]
async fn a_server_that_dies_in_a_call_ends_the_call_and_comes_back() {
    let fixture = one(&[], "");
    fixture.ready().await;
    let done = fixture.call("fake.die", json!({})).await;
    assert_eq!(done.outcome, Outcome::Failed(FailureKind::Unavailable));
    assert!(
        done.text.contains("the server fake is gone"),
        "{}",
        done.text
    );
    fixture.gone().await;
    assert!(
        fixture.names().is_empty(),
        "its tools are not offered meanwhile"
    );
    let again = |one: &ServerStatus| one.restarts == 1 && one.state == ServerState::Ready;
    fixture.until("fake", again).await;
    assert!(
        fixture
            .call("fake.echo", json!({"text": "x"}))
            .await
            .is_ok()
    );
}

#[tokio::test]
async fn a_call_that_hangs_is_cancelled_and_the_third_in_a_row_restarts_the_server() {
    let folder = tempfile::tempdir().unwrap();
    let log = folder.path().join("log");
    let way = format!("log={}", log.display());
    let fixture = one(&[&way], "timeout_ms = 1000");
    fixture.ready().await;
    for _ in 0..2 {
        let done = fixture.call("fake.hang", json!({})).await;
        assert_eq!(done.outcome, Outcome::Failed(FailureKind::TimedOut));
        assert_eq!(done.text, "no answer within 1 s");
    }
    // One that answers begins the row anew.
    assert!(
        fixture
            .call("fake.echo", json!({"text": "x"}))
            .await
            .is_ok()
    );
    for _ in 0..3 {
        fixture.call("fake.hang", json!({})).await;
    }
    assert_eq!(fixture.gone().await, "it did not answer 3 calls in a row");
    let seen = std::fs::read_to_string(&log).unwrap();
    let cancelled = seen
        .lines()
        .filter(|line| *line == "notifications/cancelled");
    assert!(cancelled.count() >= 4, "{seen}");
    fixture
        .until("fake", |one| {
            one.restarts == 1 && one.state == ServerState::Ready
        })
        .await;
}

#[tokio::test]
async fn a_server_that_refuses_is_quoted() {
    let fixture = one(&[], "");
    fixture.ready().await;
    let done = fixture.call("fake.refuse", json!({})).await;
    assert_eq!(done.outcome, Outcome::Failed(FailureKind::Tool));
    assert!(done.text.contains("not today"), "{}", done.text);
}

#[tokio::test]
async fn what_a_server_lies_about_is_left_out_with_the_reason() {
    let fixture = one(&["lies"], "");
    let status = fixture.ready().await;
    assert_eq!(fixture.names(), ["fake.chatty", "fake.good"]);
    assert_eq!(status.tools, 2);
    let chatty = fixture.registry.get("fake.chatty").unwrap();
    assert!(chatty.description.len() <= 4 * 1_024);
    let why = |name: &str| {
        let of_name = |one: &&journeyman_tools::SkippedTool| one.name.contains(name);
        let skipped = status.skipped.iter().find(of_name);
        skipped.map(|one| one.why.clone()).unwrap_or_default()
    };
    assert_eq!(status.skipped.len(), 9, "{:?}", status.skipped);
    assert!(why("good").contains("another of this name"));
    for odd in ["../etc/passwd", "a/b", "xxxx"] {
        assert!(why(odd).contains("is not valid"), "{odd}: {}", why(odd));
    }
    assert!(why("no_object").contains("not that of an object"));
    assert!(
        why("no_schema").contains("not valid"),
        "{}",
        why("no_schema")
    );
    assert!(why("endless").contains("without end"));
    assert!(why("elsewhere").contains("not a place within it"));
    assert!(why("wide").contains("65536 are the most"));
    assert!(status.skipped.iter().all(|one| one.name.len() <= 128));
}

#[tokio::test]
async fn a_server_with_thousands_of_tools_has_128_of_them() {
    let fixture = one(&["many"], "");
    let status = fixture.ready().await;
    assert_eq!((status.tools, fixture.names().len()), (128, 128));
    assert_eq!(status.skipped.len(), 64);
    assert!(status.skipped[0].why.contains("choose with `tools`"));
}

#[tokio::test]
async fn a_list_that_never_ends_is_not_read_to_its_end() {
    let fixture = start(&[
        ("fake", config(&["pages"], "")),
        ("same", config(&["same_page"], "")),
    ]);
    assert_eq!(fixture.ready().await.tools, 64);
    let same = fixture
        .until("same", |one| one.state == ServerState::Ready)
        .await;
    assert_eq!((same.tools, same.skipped.len()), (1, 1));
}

#[tokio::test]
async fn an_answer_of_megabytes_is_cut() {
    let fixture = one(&[], "result_bytes_max = 1000");
    fixture.ready().await;
    let done = fixture.call("fake.large", json!({})).await;
    assert!(done.is_ok() && done.truncated && done.text.len() <= 1_000);
    assert!(done.text.starts_with('a') && done.text.ends_with('z'));
}

#[tokio::test]
async fn a_changed_list_is_taken_once_however_often_it_is_told() {
    let folder = tempfile::tempdir().unwrap();
    let log = folder.path().join("log");
    let fixture = one(&[&format!("log={}", log.display())], "");
    fixture.ready().await;
    assert!(fixture.call("fake.change", json!({})).await.is_ok());
    fixture.until("fake", |one| one.tools == 1).await;
    assert_eq!(fixture.names(), ["fake.new"]);
    fixture.servers.shutdown().await;
    let seen = std::fs::read_to_string(&log).unwrap();
    let lists = seen.lines().filter(|line| *line == "tools/list").count();
    assert!(lists <= 3, "listed {lists} times");
}

#[tokio::test]
async fn a_server_that_hangs_keeps_no_place_of_other_tools() {
    let fixture = one(&[], "");
    fixture.ready().await;
    let options = DispatcherOptions {
        concurrent_max: 1,
        ..DispatcherOptions::default()
    };
    let dispatcher = Dispatcher::new(fixture.registry.clone(), options);
    let context = context(Files::with(&[]));
    let hanging = (dispatcher.clone(), context.clone());
    let hanging = tokio::spawn(async move {
        let (dispatcher, context) = hanging;
        let call = request("fake.hang", json!({}));
        dispatcher.call(&context, call, &Kept::default()).await
    });
    // Calls to one server are sent in their order: this one is answered after that was begun.
    while !fixture
        .call("fake.echo", json!({"text": "x"}))
        .await
        .is_ok()
    {}
    let kept = Kept::default();
    let call = request("list_files", json!({}));
    assert!(dispatcher.call(&context, call, &kept).await.is_ok());
    context.cancel.cancel();
    let ended = hanging.await.unwrap();
    assert_eq!(ended.outcome, Outcome::Failed(FailureKind::Cancelled));
}

#[tokio::test]
async fn a_tool_of_a_server_that_is_being_started_is_not_unknown() {
    let fixture = one(&["hang_at_start"], "");
    let done = fixture.call("fake.echo", json!({})).await;
    assert_eq!(done.outcome, Outcome::Refused(RefusalKind::Unavailable));
    assert!(done.text.contains("is being started"), "{}", done.text);
}

#[tokio::test]
async fn a_flood_of_notifications_drowns_no_call() {
    let fixture = one(&[], "");
    fixture.ready().await;
    assert!(fixture.call("fake.flood", json!({})).await.is_ok());
    for _ in 0..10 {
        let done = fixture
            .call("fake.echo", json!({"text": "still here"}))
            .await;
        assert_eq!(done.text, "still here");
    }
}

#[tokio::test]
async fn a_server_that_asks_on_and_on_and_never_reads_loses_its_connection() {
    let fixture = one(&[], "");
    fixture.ready().await;
    let done = fixture.call("fake.ask_on", json!({})).await;
    assert_eq!(done.outcome, Outcome::Failed(FailureKind::Unavailable));
    fixture.gone().await;
}

#[tokio::test]
async fn what_a_server_asks_for_is_declined() {
    let folder = tempfile::tempdir().unwrap();
    let log = folder.path().join("log");
    let fixture = one(&[&format!("log={}", log.display())], "");
    fixture.ready().await;
    assert!(fixture.call("fake.ask", json!({})).await.is_ok());
    let seen = std::fs::read_to_string(&log).unwrap();
    assert!(
        seen.contains(r#"elicitation/create {"action": "decline"}"#),
        "{seen}"
    );
    assert!(seen.contains("sampling/createMessage -32601"), "{seen}");
    assert!(seen.contains("roots/list -32601"), "{seen}");
}

#[tokio::test]
async fn a_server_ends_with_all_its_processes_when_it_is_dropped() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("pids");
    let fixture = one(&[&format!("grandchild={}", file.display()), "stubborn"], "");
    fixture.ready().await;
    let pids = std::fs::read_to_string(&file).unwrap();
    let pids: Vec<String> = pids.split(' ').map(ToOwned::to_owned).collect();
    assert_eq!(pids.len(), 2);
    drop(fixture.servers);
    until_gone(&pids).await;
    // Its tools go with the task that kept it.
    while fixture.registry.get("fake.echo").is_some() {
        tokio::task::yield_now().await;
    }
}

#[tokio::test]
async fn shutdown_waits_for_the_end_of_a_server_that_does_not_want_to() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("pids");
    let fixture = one(&[&format!("grandchild={}", file.display()), "stubborn"], "");
    fixture.ready().await;
    let pids = std::fs::read_to_string(&file).unwrap();
    let start = Instant::now();
    fixture.servers.shutdown().await;
    assert!(start.elapsed() < Duration::from_secs(10));
    let server = pids.split(' ').next().unwrap();
    assert!(
        !Path::new(&format!("/proc/{server}")).exists(),
        "it was waited for"
    );
    until_gone(&pids.split(' ').map(ToOwned::to_owned).collect::<Vec<_>>()).await;
}

#[tokio::test]
async fn a_server_that_is_still_starting_is_shut_down_at_once() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("pids");
    let fixture = one(
        &[&format!("grandchild={}", file.display()), "hang_at_start"],
        "",
    );
    let pids = loop {
        let pids = std::fs::read_to_string(&file).unwrap_or_default();
        if pids.split(' ').count() == 2 && !pids.ends_with(' ') {
            break pids;
        }
        tokio::time::sleep(Duration::from_millis(5)).await;
    };
    fixture.servers.shutdown().await;
    until_gone(&pids.split(' ').map(ToOwned::to_owned).collect::<Vec<_>>()).await;
}
