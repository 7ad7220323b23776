//! A home of its own for every test, with a Python environment that all of them share.

#![allow(dead_code)] // not every test file uses everything

pub(crate) mod receiver;
pub(crate) mod run;
pub(crate) mod server;

use std::ffi::OsStr;
use std::fs::{self, File};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use tempfile::TempDir;

/// A server that speaks MCP over its standard streams, in Python's standard library alone.
const MCP_SERVER: &str = r#"
import json, os, sys, time
TOOLS = [
    {"name": "echo", "description": "Says it again.", "inputSchema": {"type": "object", "properties": {"text": {"type": "string"}}, "required": ["text"]}, "annotations": {"readOnlyHint": True}},
    {"name": "hang", "description": "Never answers.", "inputSchema": {"type": "object"}},
    {"name": "die", "description": "Ends itself.", "inputSchema": {"type": "object"}},
    {"name": "secret", "description": "Tells its environment.", "inputSchema": {"type": "object"}},
]
def say(id, result):
    print(json.dumps({"jsonrpc": "2.0", "id": id, "result": result}), flush=True)
for line in sys.stdin:
    message = json.loads(line)
    method, id = message.get("method"), message.get("id")
    if method == "initialize":
        say(id, {"protocolVersion": "2025-06-18", "capabilities": {"tools": {}}, "serverInfo": {"name": "s", "version": "1"}})
    elif method == "tools/list":
        say(id, {"tools": TOOLS})
    elif method == "tools/call":
        name, given = message["params"]["name"], message["params"].get("arguments", {})
        if name == "die":
            os._exit(3)
        if name == "hang":
            continue
        text = given["text"] if name == "echo" else json.dumps(sorted(os.environ))
        say(id, {"content": [{"type": "text", "text": text}]})
    elif id is not None:
        say(id, {})
time.sleep(0.1)
open("mcp_server_ended", "w").close()
"#;

/// What a command printed, and how it ended.
pub(crate) struct Output {
    pub(crate) code: Option<i32>,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

impl Output {
    /// Standard output as JSON, a value a line.
    pub(crate) fn json_lines(&self) -> Vec<serde_json::Value> {
        let parse = |line: &str| {
            serde_json::from_str(line).unwrap_or_else(|error| panic!("{error}: {line}"))
        };
        self.stdout.lines().map(parse).collect()
    }
}

/// A temporary home with a data folder.
pub(crate) struct Home {
    folder: TempDir,
}

impl Home {
    /// A new home whose data folder has the shared Python environment.
    pub(crate) fn new() -> Self {
        let home = Self::bare();
        fs::create_dir_all(home.data_dir()).unwrap();
        std::os::unix::fs::symlink(shared_python(), home.data_dir().join("python")).unwrap();
        home
    }

    /// A new home with nothing in it.
    pub(crate) fn bare() -> Self {
        let folder = tempfile::tempdir().unwrap();
        // The sandbox may run code as another user, who must get through.
        fs::set_permissions(folder.path(), fs::Permissions::from_mode(0o755)).unwrap();
        Self { folder }
    }

    pub(crate) fn path(&self) -> &Path {
        self.folder.path()
    }

    pub(crate) fn data_dir(&self) -> PathBuf {
        self.folder.path().join("data")
    }

    /// The product with this home and nothing else of the environment.
    pub(crate) fn command<S: AsRef<OsStr>>(&self, args: &[S]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_journeyman"));
        command
            .args(args)
            .env_clear()
            .current_dir(self.path())
            .stdin(Stdio::null());
        command.env("PATH", std::env::var_os("PATH").unwrap_or_default());
        command
            .env("HOME", self.path())
            .env("JOURNEYMAN_DATA_DIR", self.data_dir());
        command
    }

    /// What `journal verify` says, which must be that all is sound.
    pub(crate) fn verified(&self) -> serde_json::Value {
        let verified = self.run(&["journal", "verify", "--json"]);
        let said = format!("{}{}", verified.stdout, verified.stderr);
        assert_eq!(verified.code, Some(0), "{said}");
        verified.json_lines().remove(0)
    }

    /// Runs a command to its end.
    pub(crate) fn run<S: AsRef<OsStr>>(&self, args: &[S]) -> Output {
        let output = self.command(args).output().unwrap();
        Output {
            code: output.status.code(),
            stdout: String::from_utf8(output.stdout).unwrap(),
            stderr: String::from_utf8(output.stderr).unwrap(),
        }
    }

    /// Writes a configuration file with an MCP server called `ext` that is started, and says where it is.
    pub(crate) fn with_mcp_server(&self, more: &str) -> String {
        let program = self.path().join("mcp_server.py");
        fs::write(&program, MCP_SERVER).unwrap();
        let config = self.path().join("config.toml");
        let text = format!(
            "[mcp_servers.ext]\ncommand = \"/usr/bin/python3\"\nargs = [{:?}]\ntimeout_ms = 1500\n{more}",
            program.display().to_string()
        );
        fs::write(&config, text).unwrap();
        config.display().to_string()
    }

    /// Runs a task on the simulated model.
    pub(crate) fn simulate(&self, script: &str, args: &[&str]) -> Output {
        let url = format!("sim:{script}");
        let mut all = vec!["run", "--model-url", &url];
        all.extend(args);
        self.run(&all)
    }
}

/// The environment that every test shares: made once by the product itself, kept with the build.
fn shared_python() -> PathBuf {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("shared-home");
    fs::create_dir_all(&folder).unwrap();
    let lock = File::create(folder.join("lock")).unwrap();
    lock.lock().unwrap();
    let python = folder.join("python");
    if !python.join("markers/made").exists() {
        let made = Command::new(env!("CARGO_BIN_EXE_journeyman"))
            .args([
                "run",
                "Make one thing",
                "--quiet",
                "--model-url",
                "sim:?latency_ms=0",
            ])
            .env("JOURNEYMAN_DATA_DIR", &folder)
            .output()
            .unwrap();
        assert!(python.exists(), "{}", String::from_utf8_lossy(&made.stderr));
    }
    python
}
