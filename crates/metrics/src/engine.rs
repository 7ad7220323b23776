//! The stages that work goes through: the queue of tasks, their runs, and at the model server reading the prompt
//! (prefill) and generating the answer (decode).

use std::time::Duration;

use jiff::Timestamp;
use journeyman_signal::{Key, Signal};
use serde::Serialize;

use crate::bounded::Active;
use crate::buckets::RequestTime;
use crate::sketch::Summary;
use crate::tracker::{Tracker, is_older};

/// A call whose end was not seen after this time is dropped.
const TIME_MAX: Duration = Duration::from_hours(1);

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    Prefill,
    Decode,
}

/// A call at the model server.
#[derive(Debug)]
struct Call {
    since: Timestamp,
    phase: Phase,
}

#[derive(Debug, Default)]
pub(crate) struct Engine {
    calls: Active<Call>,
    pub(crate) prefill: RequestTime,
    pub(crate) decode: RequestTime,
    pub(crate) prefill_tokens: u64,
    pub(crate) decode_tokens: u64,
    waiting: u64,
    waiting_max: u64,
    running: u64,
    pub(crate) runs: u64,
    pub(crate) run_time: RequestTime,
    pub(crate) memory_bytes: u64,
    pub(crate) cpu: Duration,
}

/// The stages. Times are in seconds; everything is counted since the process started to count.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct EngineView {
    /// Calls whose prompt is being read.
    pub prefilling: usize,
    /// Calls whose answer is being generated.
    pub decoding: usize,
    /// The duration of reading a prompt.
    pub prefill: Summary,
    /// The duration of generating an answer.
    pub decode: Summary,
    /// The tokens of prompts that were read.
    pub prefill_tokens: u64,
    /// The tokens of answers that were generated.
    pub decode_tokens: u64,
    /// The number of waiting tasks.
    pub tasks_waiting: u64,
    /// The largest number of waiting tasks that was seen.
    pub tasks_waiting_max: u64,
    /// The number of running tasks.
    pub tasks_running: u64,
    /// The number of runs of tasks that were started.
    pub runs: u64,
    /// The duration of runs.
    pub run_time: Summary,
    /// The resident memory of the process.
    pub memory_bytes: u64,
    /// The processor time of the process, in seconds.
    pub cpu_seconds: f64,
}

impl Engine {
    pub(crate) fn view(&self) -> EngineView {
        let decoding = self.calls.count(|call| call.phase == Phase::Decode);
        EngineView {
            prefilling: self.calls.len() - decoding,
            decoding,
            prefill: self.prefill.0.summary(),
            decode: self.decode.0.summary(),
            prefill_tokens: self.prefill_tokens,
            decode_tokens: self.decode_tokens,
            tasks_waiting: self.waiting,
            tasks_waiting_max: self.waiting_max,
            tasks_running: self.running,
            runs: self.runs,
            run_time: self.run_time.0.summary(),
            memory_bytes: self.memory_bytes,
            cpu_seconds: self.cpu.as_secs_f64(),
        }
    }

    fn begin(&mut self, key: Key, since: Timestamp) {
        let is_over = |call: &Call| is_older(since, call.since, TIME_MAX);
        self.calls.give_up(is_over);
        let phase = Phase::Prefill;
        self.calls.begin(key, Call { since, phase });
    }
}

impl Tracker for Engine {
    const NAME: &'static str = "engine";
    const KINDS: &'static [&'static str] = &[
        "prefill.started",
        "prefill.completed",
        "decode.started",
        "decode.completed",
        "stream.completed",
        "stream.failed",
        "stream.cancelled",
        "queue.depth_changed",
        "worker.assigned",
        "worker.completed",
        "resource.utilization",
    ];

    fn take(&mut self, at: Timestamp, signal: &Signal) -> Vec<Signal> {
        match signal {
            Signal::PrefillStarted(started) => self.begin(started.key, at),
            Signal::PrefillCompleted(done) => {
                self.prefill.0.took(done.took);
                self.prefill_tokens += done.tokens;
            }
            Signal::DecodeStarted(started) => {
                if let Some(call) = self.calls.get(started.key) {
                    call.phase = Phase::Decode;
                }
            }
            Signal::DecodeCompleted(done) => {
                self.decode.0.took(done.took);
                self.decode_tokens += done.tokens;
            }
            Signal::StreamCompleted(done) => drop(self.calls.end(done.key)),
            Signal::StreamFailed(failed) => drop(self.calls.end(failed.key)),
            Signal::StreamCancelled(cancelled) => drop(self.calls.end(cancelled.key)),
            Signal::QueueDepthChanged(depth) => {
                self.waiting = depth.waiting;
                self.waiting_max = self.waiting_max.max(depth.waiting);
                self.running = depth.running;
            }
            Signal::WorkerAssigned(_) => self.runs += 1,
            Signal::WorkerCompleted(done) => self.run_time.0.took(done.held),
            Signal::ResourceUtilization(used) => {
                self.memory_bytes = used.memory_bytes;
                self.cpu = self.cpu.max(used.cpu);
            }
            _ => {}
        }
        Vec::new()
    }
}

#[cfg(test)]
mod tests {
    use journeyman_signal::{
        DecodeCompleted, DecodeStarted, PrefillCompleted, PrefillStarted, StreamCompleted,
        StreamFailed,
    };

    use super::*;

    #[test]
    fn a_call_is_in_one_phase_and_a_failed_one_leaves_it() {
        let mut engine = Engine::default();
        let mut take = |signal: Signal| {
            engine.take(Timestamp::UNIX_EPOCH, &signal);
            let view = engine.view();
            (view.prefilling, view.decoding)
        };
        let (one, other, tokens) = (Key(1), Key(2), 10);
        let (took, after) = (Duration::from_secs(1), Duration::from_secs(2));
        let started = PrefillStarted { key: one, tokens };
        assert_eq!(take(started.clone().into()), (1, 0));
        assert_eq!(take(started.into()), (1, 0)); // repeated
        assert_eq!(take(PrefillStarted { key: other, tokens }.into()), (2, 0));
        let read = PrefillCompleted {
            key: one,
            tokens,
            took,
        };
        assert_eq!(take(read.into()), (2, 0));
        assert_eq!(take(DecodeStarted { key: one }.into()), (1, 1));
        assert_eq!(take(StreamFailed { key: other, after }.into()), (0, 1));
        let (key, tokens) = (one, 5);
        assert_eq!(take(DecodeCompleted { key, tokens, took }.into()), (0, 1));
        assert_eq!(take(StreamCompleted { key, after, tokens }.into()), (0, 0));
        // A late signal does not begin the call anew.
        assert_eq!(take(PrefillStarted { key, tokens }.into()), (0, 0));
        let view = engine.view();
        assert_eq!((view.prefill_tokens, view.decode_tokens), (10, 5));
        assert_eq!((view.prefill.count, view.decode.p50), (1, Some(1.0)));
    }
}
