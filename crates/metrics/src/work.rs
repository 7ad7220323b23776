//! Tasks, agents, tools, prompts and test runs, over the whole journal.

use std::collections::BTreeMap;

use jiff::Timestamp;
use journeyman_signal::{Signal, Text};
use serde::Serialize;

use crate::bounded::Labelled;
use crate::buckets::RequestTime;
use crate::sketch::Summary;
use crate::tracker::Tracker;

#[derive(Debug, Default)]
pub(crate) struct Work {
    /// The number of signals by kind.
    pub(crate) happened: BTreeMap<&'static str, u64>,
    pub(crate) reasons: Labelled<(Text, Text), u64>,
    pub(crate) tools: Labelled<(Text, Text), u64>,
    pub(crate) tool_time: RequestTime,
    pub(crate) runs: Labelled<Text, u64>,
    pub(crate) run_time: RequestTime,
    contexts: u64,
    context_tokens: u64,
    pieces_left_out: u64,
}

/// Tasks, agents, tools, prompts and test runs, over the whole journal.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct WorkView {
    /// The number of signals by kind: `task.submitted`, `agent.step` and so on.
    pub happened: BTreeMap<&'static str, u64>,
    /// The reasons for failures and pauses: `failed budget`, `paused user` and so on.
    pub reasons: BTreeMap<String, u64>,
    /// Tool calls by tool and outcome: `read_file ok` and so on.
    pub tools: BTreeMap<String, u64>,
    /// The duration of tool calls, in seconds.
    pub tool_time: Summary,
    /// The number of test runs by outcome.
    pub sandbox_runs: BTreeMap<String, u64>,
    /// The duration of test runs, in seconds.
    pub sandbox_time: Summary,
    /// The number of prompts built.
    pub contexts: u64,
    /// Their tokens.
    pub context_tokens: u64,
    /// Pieces that were cut or left out.
    pub pieces_left_out: u64,
}

fn pairs(values: &Labelled<(Text, Text), u64>) -> BTreeMap<String, u64> {
    values
        .iter()
        .map(|((one, other), count)| (format!("{one} {other}"), *count))
        .collect()
}

impl Work {
    pub(crate) fn view(&self) -> WorkView {
        WorkView {
            happened: self.happened.clone(),
            reasons: pairs(&self.reasons),
            tools: pairs(&self.tools),
            tool_time: self.tool_time.0.summary(),
            sandbox_runs: self
                .runs
                .iter()
                .map(|(outcome, count)| (outcome.to_string(), *count))
                .collect(),
            sandbox_time: self.run_time.0.summary(),
            contexts: self.contexts,
            context_tokens: self.context_tokens,
            pieces_left_out: self.pieces_left_out,
        }
    }
}

impl Tracker for Work {
    const NAME: &'static str = "work";
    const KINDS: &'static [&'static str] = &[
        "task.submitted",
        "task.started",
        "task.paused",
        "task.resumed",
        "task.preempted",
        "task.completed",
        "task.failed",
        "task.cancelled",
        "agent.started",
        "agent.step",
        "agent.completed",
        "tool.executing",
        "tool.completed",
        "context.built",
        "sandbox.run",
    ];

    fn take(&mut self, _: Timestamp, signal: &Signal) -> Vec<Signal> {
        *self.happened.entry(signal.kind()).or_default() += 1;
        match signal {
            Signal::PausedTask(paused) => {
                *self.reasons.of(("paused".into(), paused.reason.clone())) += 1;
            }
            Signal::FailedTask(failed) => {
                *self.reasons.of(("failed".into(), failed.reason.clone())) += 1;
            }
            Signal::CompletedTool(done) => {
                *self.tools.of((done.tool.clone(), done.outcome.clone())) += 1;
                self.tool_time.0.took(done.took);
            }
            Signal::SandboxRun(run) => {
                *self.runs.of(run.outcome.clone()) += 1;
                self.run_time.0.took(run.took);
            }
            Signal::BuiltContext(built) => {
                self.contexts += 1;
                self.context_tokens += built.tokens;
                self.pieces_left_out += built.left_out;
            }
            _ => {}
        }
        Vec::new()
    }
}
