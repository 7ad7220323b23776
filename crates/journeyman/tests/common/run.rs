//! A `run` that goes on beside a test.

use std::io::{BufRead, BufReader, Lines};
use std::process::{Child, ChildStdout, Command, Stdio};

use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;

use super::Home;

/// `journeyman run --json`, killed when it is dropped.
pub(crate) struct Run {
    pub(crate) child: Child,
    lines: Lines<BufReader<ChildStdout>>,
    seen: Vec<Value>,
}

impl Drop for Run {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Run {
    /// Runs with a simulated model. The environment names it, so that a holder with another one is not in
    /// the way.
    pub(crate) fn start(home: &Home, script: &str, args: &[&str]) -> Self {
        let mut all = vec!["run", "--json"];
        all.extend(args);
        let mut command = home.command(&all);
        command.env("JOURNEYMAN_MODEL_URL", format!("sim:?{script}"));
        Self::launch(command)
    }

    /// Runs as this command says, which has `--json`.
    pub(crate) fn launch(mut command: Command) -> Self {
        let mut child = command
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let lines = BufReader::new(child.stdout.take().unwrap()).lines();
        Self {
            child,
            lines,
            seen: Vec::new(),
        }
    }

    /// Reads on to the first event of a kind.
    pub(crate) fn until(&mut self, kind: &str) -> Value {
        loop {
            let line = self.lines.next().expect("the run ended too early").unwrap();
            let value: Value = serde_json::from_str(&line).unwrap();
            self.seen.push(value.clone());
            if value["kind"] == kind {
                return value;
            }
        }
    }

    pub(crate) fn signal(&self, signal: Signal) {
        kill_process(Pid::from_child(&self.child), signal).unwrap();
    }

    /// Its exit code and everything that it printed.
    pub(crate) fn end(mut self) -> (Option<i32>, Vec<Value>) {
        for line in self.lines.by_ref() {
            self.seen
                .push(serde_json::from_str(&line.unwrap()).unwrap());
        }
        let code = self.child.wait().unwrap().code();
        (code, std::mem::take(&mut self.seen))
    }
}
