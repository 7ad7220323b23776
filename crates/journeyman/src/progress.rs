//! What a person or a program sees while a task is worked on: a status line on a terminal, one
//! plain line per event when piped, JSON lines with `--json`.

use std::io::{IsTerminal, stderr, stdout};
use std::sync::{Arc, Mutex, OnceLock};
use std::time::Instant;

use journeyman_agent::Notice;
use journeyman_bus::{Bus, Emitted, Registration};
use journeyman_event::payload::{Purpose, TestScope};
use journeyman_event::state::{Action, Status};
use journeyman_event::{Event, Payload, TaskId, TaskState};

use crate::output::{grouped, one_line};
use crate::printer::{Printer, To};

/// How progress is shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Style {
    /// One status line that is redrawn, with lines for what matters.
    Terminal,
    /// One line per event.
    Plain,
    /// One JSON object per event.
    Json,
    /// Preparation and remarks, no events.
    Remarks,
    /// Nothing.
    Quiet,
}

impl Style {
    pub(crate) fn of(json: bool, quiet: bool) -> Self {
        match (json, quiet) {
            (true, _) => Self::Json,
            (false, true) => Self::Quiet,
            (false, false) if has_screen() => Self::Terminal,
            (false, false) => Self::Plain,
        }
    }
}

/// Whether there is a terminal on which a line can be drawn again: the status line is on standard
/// error, the result on standard output.
fn has_screen() -> bool {
    let is_dumb = std::env::var_os("TERM").is_none_or(|term| term.is_empty() || term == "dumb");
    stdout().is_terminal() && stderr().is_terminal() && !is_dumb
}

/// Shows progress; cheap to call, and whether anybody reads it changes nothing.
pub(crate) struct Progress {
    style: Style,
    printer: Printer,
    speed: Mutex<Speed>,
    /// The one task that is shown, once it is known.
    task: OnceLock<TaskId>,
}

/// Tokens per second of the answer that is coming in.
struct Speed {
    since: Option<Instant>,
    deltas: u64,
    status: String,
}

impl Progress {
    pub(crate) fn new(style: Style) -> Self {
        let speed = Speed {
            since: None,
            deltas: 0,
            status: String::new(),
        };
        Self {
            style,
            printer: Printer::start(style == Style::Terminal),
            speed: Mutex::new(speed),
            task: OnceLock::new(),
        }
    }

    /// From now on only this task is shown: others may be worked on in the same process.
    pub(crate) fn only(&self, task: &TaskId) {
        let _ = self.task.set(task.clone());
    }

    /// Shows what this bus carries, in the order in which it happens, for as long as the registration
    /// lives.
    pub(crate) fn listen(
        self: &Arc<Self>,
        bus: &Bus<Emitted<Notice>>,
    ) -> Result<Registration, journeyman_bus::Error> {
        let progress = self.clone();
        let options = journeyman_bus::Options::new("progress");
        bus.handle_inline(options, 0, move |emitted| {
            let told = &emitted.message;
            let about = match told {
                Notice::Event { event, .. } => Some(event.task_id().as_str()),
                Notice::Delta { .. } | Notice::Waiting { .. } => emitted.context.task_id.as_deref(),
            };
            let shown = progress.task.get().map(TaskId::as_str);
            if shown.is_none() || about == shown {
                progress.notice(told);
            }
            Ok(())
        })
    }

    /// Preparation that takes time: downloads, starting a model server.
    pub(crate) fn prepare(&self, what: &str) {
        match self.style {
            Style::Terminal => self.printer.print(To::Status, what.to_owned()),
            Style::Plain | Style::Remarks => self.remark(what),
            Style::Json | Style::Quiet => {}
        }
    }

    /// A line that a person wants to keep.
    pub(crate) fn say(&self, text: &str) {
        match self.style {
            Style::Terminal => self.printer.print(To::Screen, text.to_owned()),
            Style::Plain | Style::Remarks => self.remark(text),
            Style::Json | Style::Quiet => {}
        }
    }

    /// Says what a person must not miss, however quiet it is to be.
    pub(crate) fn warn(&self, text: &str) {
        match self.style {
            Style::Terminal => self.say(text),
            _ => self.remark(text),
        }
    }

    fn remark(&self, text: &str) {
        self.printer.print(To::Error, format!("journeyman: {text}"));
    }

    /// Puts a question to the user, however quiet it is to be. In JSON the event has said it.
    pub(crate) fn ask(&self, question: &str) {
        match self.style {
            Style::Terminal => self.printer.print(To::Screen, question.to_owned()),
            Style::Plain | Style::Remarks | Style::Quiet => {
                self.printer.print(To::Error, question.to_owned());
            }
            Style::Json => {}
        }
    }

    /// Waits until everything is printed, and takes the status line away.
    pub(crate) async fn finish(&self) {
        let left_out = self.printer.finish().await;
        if left_out > 0 {
            self.warn(&format!(
                "nobody read for too long: {left_out} lines were left out here; `journeyman events` \
                 has them all"
            ));
            self.printer.finish().await;
        }
    }

    pub(crate) fn notice(&self, notice: &Notice) {
        match notice {
            Notice::Event { event, state } => self.event(event, state),
            Notice::Delta { .. } => self.delta(),
            Notice::Waiting { what } => match self.style {
                Style::Json => {
                    let text = serde_json::json!({"type": "waiting", "what": what});
                    self.printer.print(To::Output, text.to_string());
                }
                _ => self.say(&format!("waiting: {what}")),
            },
        }
    }

    fn event(&self, event: &Event, state: &TaskState) {
        match self.style {
            Style::Quiet | Style::Remarks => {}
            Style::Json => self.printer.print(To::Output, json_line(event)),
            Style::Plain => self.printer.print(To::Output, plain_line(event)),
            Style::Terminal => {
                if let Some(text) = headline(event) {
                    self.printer.print(To::Screen, text);
                }
                let status = status(state);
                self.printer.print(To::Status, status.clone());
                if let Ok(mut speed) = self.speed.lock() {
                    *speed = Speed {
                        since: None,
                        deltas: 0,
                        status,
                    };
                }
            }
        }
    }

    fn delta(&self) {
        if self.style != Style::Terminal {
            return;
        }
        let Ok(mut speed) = self.speed.lock() else {
            return;
        };
        speed.deltas += 1;
        let since = *speed.since.get_or_insert_with(Instant::now);
        let ms = u64::try_from(since.elapsed().as_millis())
            .unwrap_or(u64::MAX)
            .max(1);
        let per_second = speed.deltas * 1_000 / ms;
        let text = format!(
            "{} · {} tokens, {per_second} tok/s",
            speed.status, speed.deltas
        );
        self.printer.print(To::Status, text);
    }
}

/// The stored line with its type in front.
pub(crate) fn json_line(event: &Event) -> String {
    format!("{{\"type\":\"event\",{}", &event.line()[1..])
}

/// One line that says what an event says.
pub(crate) fn plain_line(event: &Event) -> String {
    let module = event
        .module()
        .map_or_else(String::new, |module| format!(" {module}"));
    let time = event.occurred_at().strftime("%H:%M:%S");
    let detail = detail(event.payload());
    let detail = if detail.is_empty() {
        detail
    } else {
        format!(": {}", one_line(&detail, 160))
    };
    format!(
        "{:>6} {time} {}{module}{detail}",
        event.sequence().0,
        event.kind()
    )
}

fn detail(payload: &Payload) -> String {
    match payload {
        Payload::TaskSubmitted(task) => one_line(&task.prompt, 100),
        Payload::TaskStarted(started) => format!(
            "{} ({}), window {}, sandbox {}",
            started.model, started.server, started.window, started.sandbox
        ),
        Payload::TaskPaused(paused) => name(&paused.reason),
        Payload::TaskFailed(failed) => format!("{}: {}", name(&failed.reason), failed.detail),
        Payload::TaskComplete(complete) => name(&complete.verification),
        Payload::PlanningComplete(plan) => plan
            .modules
            .iter()
            .map(|module| module.name.as_str())
            .collect::<Vec<_>>()
            .join(", "),
        Payload::PlanningRejected(rejected) => rejected.problem.clone(),
        Payload::QuestionsAsked(asked) => {
            let texts = asked
                .questions
                .iter()
                .map(|question| question.text.as_str());
            texts.collect::<Vec<_>>().join(" ")
        }
        Payload::PromptAnswered(answered) => answered.text.clone(),
        Payload::ContextBuilt(built) => {
            let cut = built.decisions.iter().filter(|d| !d.why.is_empty()).count();
            format!(
                "{} of {} pieces whole",
                built.decisions.len() - cut,
                built.decisions.len()
            )
        }
        Payload::ContextRefused(refused) => refused.detail.clone(),
        Payload::ModelCallStarted(call) => format!(
            "{}, prompt {} tokens, at most {} more",
            call.purpose.as_str(),
            call.prompt_tokens,
            call.max_tokens
        ),
        Payload::ModelCallCompleted(done) => {
            let ms = done.total_ms.saturating_sub(done.first_token_ms).max(1);
            format!(
                "{} tokens, first after {} ms, {} tok/s",
                done.completion_tokens,
                done.first_token_ms,
                done.completion_tokens.0 * 1_000 / ms
            )
        }
        Payload::ModelCallFailed(failed) => failed.problem.clone(),
        Payload::AnswerRejected(rejected) => {
            format!("{}: {}", rejected.purpose.as_str(), rejected.problem)
        }
        Payload::EffectInterrupted(interrupted) => name(&interrupted.reason),
        Payload::EffectRetried(retried) => format!("attempt {}", retried.attempt),
        Payload::ModuleIteration(round) => {
            format!("{}, {}", round.iteration, name(&round.approach))
        }
        Payload::CodeGenerated(code) => {
            format!(
                "{} lines, {}",
                code.source.lines().count(),
                name(&code.origin)
            )
        }
        Payload::TestStarted(started) => match started.scope {
            TestScope::Module => started.files.join(", "),
            TestScope::Integration => format!("everything: {}", started.files.join(", ")),
        },
        Payload::TestPassed(passed) => format!("{} of {0}", passed.tests.len()),
        Payload::TestFailed(failed) => {
            let passed = failed.tests.iter().filter(|test| test.passed).count();
            format!(
                "{}, {passed} of {} passed",
                name(&failed.kind),
                failed.tests.len()
            )
        }
        Payload::BugReportReceived(report) => report.summary.clone(),
        Payload::ModuleComplete(done) => name(&done.verification),
        Payload::DeadCodeAnalysis(analysis) => format!("{} unused", analysis.unused.len()),
        Payload::ReviewCompleted(review) => match &review.problem {
            Some(problem) => problem.clone(),
            None => format!("{} findings", review.findings.len()),
        },
        Payload::OutputWritten(written) => format!("{} files", written.files.len()),
        Payload::OutputFailed(failed) => failed.problem.clone(),
        Payload::AgentStarted(started) => {
            format!("{}, {}", started.agent, started.purpose.as_str())
        }
        Payload::AgentStep(step) => {
            let names = step.calls.iter().map(|call| call.name.as_str());
            format!(
                "{} wants {}",
                step.agent,
                names.collect::<Vec<_>>().join(", ")
            )
        }
        Payload::AgentCompleted(done) => format!("{}, {}", done.agent, name(&done.outcome)),
        Payload::ToolExecuting(call) => call.tool.clone(),
        Payload::ToolCompleted(done) => {
            format!(
                "{}: {}, {} bytes",
                done.tool,
                name(&done.outcome),
                done.text.len()
            )
        }
        _ => String::new(),
    }
}

/// A value's stored name.
pub(crate) fn name(value: &impl serde::Serialize) -> String {
    match serde_json::to_value(value) {
        Ok(serde_json::Value::String(name)) => name,
        Ok(serde_json::Value::Object(fields)) => {
            let by = fields
                .get("by")
                .and_then(|by| by.as_str())
                .unwrap_or_default();
            match fields.get("confidence").and_then(serde_json::Value::as_f64) {
                Some(confidence) => format!("{by} {confidence:.2}"),
                None => by.to_owned(),
            }
        }
        _ => String::new(),
    }
}

/// The events that are worth a lasting line on a terminal.
fn headline(event: &Event) -> Option<String> {
    let worth = matches!(
        event.payload(),
        Payload::PlanningComplete(_)
            | Payload::PlanningRejected(_)
            | Payload::AnswerRejected(_)
            | Payload::ModelCallFailed(_)
            | Payload::TestPassed(_)
            | Payload::TestFailed(_)
            | Payload::ModuleComplete(_)
            | Payload::EffectRetried(_)
            | Payload::OutputFailed(_)
    );
    worth.then(|| {
        let module = event
            .module()
            .map_or_else(String::new, |module| format!(" {module}"));
        format!(
            "{}{module}: {}",
            event.kind().replace('_', " "),
            one_line(&detail(event.payload()), 120)
        )
    })
}

/// Where a task is: plan, module, iteration, tests, tokens.
fn status(state: &TaskState) -> String {
    let mut parts = Vec::new();
    let current = state
        .modules
        .iter()
        .position(|module| module.completion.is_none());
    if let Some(at) = current {
        let module = &state.modules[at];
        parts.push(format!("module {} of {}", at + 1, state.modules.len()));
        parts.push(module.plan.name.to_string());
        parts.push(format!("iteration {}", module.iteration.max(1)));
        if let Some(run) = module.runs.last() {
            parts.push(format!("{} of {} tests", run.passed(), run.tests.len()));
        }
    }
    parts.push(match (&state.effect, state.status) {
        (_, Status::Paused) => "paused".to_owned(),
        (Some(effect), _) => match &effect.action {
            Action::CallModel(call) => match call.purpose {
                Purpose::Plan => "planning",
                Purpose::Code => "writing code",
                Purpose::Tests => "writing tests",
                Purpose::Fix => "correcting",
                Purpose::LookUp => "finding out what to look up",
                Purpose::Review => "reviewing",
                Purpose::Answer => "answering",
            },
            Action::CallTool(_) => "calling a tool",
            Action::RunTests(_) if current.is_none() => "testing everything",
            Action::RunTests(_) => "testing",
            Action::Analyse => "looking for unused code",
            Action::WriteOutput(_) => "writing the result",
        }
        .to_owned(),
        (None, _) => "deciding".to_owned(),
    });
    parts.push(format!(
        "{} of {} tokens",
        grouped(state.spent.0),
        grouped(state.budget().0)
    ));
    parts.join(" · ")
}
