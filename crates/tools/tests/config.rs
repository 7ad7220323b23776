//! What a server's configuration may say.

#![allow(clippy::unwrap_used)] // a test fails by panicking

use std::time::Duration;

use journeyman_tools::{Endpoint, Permission, ServerConfig};

fn problem(text: &str) -> String {
    toml::from_str::<ServerConfig>(text)
        .unwrap_err()
        .to_string()
}

#[test]
fn a_command_is_enough() {
    let config: ServerConfig = toml::from_str("command = \"git-mcp\"").unwrap();
    assert_eq!(config.timeout, Duration::from_mins(1));
    assert_eq!(config.start_timeout, Duration::from_secs(10));
    assert_eq!(config.permission, Permission::External);
    assert_eq!(
        (config.concurrent_max, config.result_bytes_max),
        (4, 65_536)
    );
    assert!(matches!(config.endpoint, Endpoint::Command { command, .. } if command == "git-mcp"));
}

#[test]
fn what_is_not_understood_is_refused_by_its_name() {
    for (text, says) in [
        ("", "give `command`"),
        ("command = \"x\"\nurl = \"http://x\"", "no `url`"),
        ("command = \"x\"\ntimeout = 3", "unknown field `timeout`"),
        (
            "command = \"x\"\ntimeout_ms = 0",
            "`timeout_ms`: from 1 to 600000",
        ),
        (
            "command = \"x\"\nheaders = {a = \"b\"}",
            "`headers` is for servers with a `url`",
        ),
        (
            "command = \"x\"\nbearer_env = \"T\"",
            "`bearer_env` is for servers with a `url`",
        ),
        ("command = \"x\"\nenv = {\"A=B\" = \"c\"}", "`env`"),
        ("command = \"x\"\ntools = [\"a b\"]", "pattern of names"),
        ("command = \"x\"\npermission = \"all\"", "permission"),
        ("url = \"ftp://x\"", "http:// or https://"),
        ("url = \"no url\"", "`url`"),
        (
            "url = \"http://x\"\nargs = [\"a\"]",
            "`args` is for servers with a `command`",
        ),
        (
            "url = \"http://x\"\nheaders = {\"a b\" = \"c\"}",
            "no name of a header",
        ),
    ] {
        let problem = problem(text);
        assert!(problem.contains(says), "{text}: {problem}");
    }
}

#[test]
fn passwords_are_not_shown() {
    let program = "command = \"x\"\nenv = {A = \"hush\"}";
    let remote = "url = \"http://x\"\nheaders = {authorization = \"hush\"}";
    for text in [program, remote] {
        let config: ServerConfig = toml::from_str(text).unwrap();
        assert!(!format!("{config:?}").contains("hush"), "{config:?}");
    }
}
