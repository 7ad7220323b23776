//! What a person or a program sees while a task is worked on: a status line on a terminal, one
//! plain line per event when piped, JSON lines with `--json`.

use std::io::{self, IsTerminal, Write};
use std::sync::{Arc, Mutex, OnceLock};
use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressStyle};
use journeyman_agent::Notice;
use journeyman_bus::{Bus, Emitted, Registration};
use journeyman_event::payload::{Purpose, TestScope};
use journeyman_event::state::{Action, Status};
use journeyman_event::{Event, Payload, TaskId, TaskState};

use crate::output::{grouped, line, one_line};
use crate::teller::{Saying, Teller};

/// When nothing more is shown, what is still to be said has this long.
const FLUSH: Duration = Duration::from_secs(1);

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
            (false, false) if std::io::stdout().is_terminal() => Self::Terminal,
            (false, false) => Self::Plain,
        }
    }
}

/// Shows progress; cheap to call, and a reader that went away or stalls changes nothing but what it sees.
pub(crate) struct Progress {
    style: Style,
    bar: ProgressBar,
    teller: Teller<Said>,
    speed: Mutex<Speed>,
    /// The one task that is shown, once it is known.
    task: OnceLock<TaskId>,
}

/// Something that is shown.
enum Said {
    /// A line of standard output.
    Output(String),
    /// A line of standard error.
    Error(String),
    /// A lasting line above the status line.
    Lasting(String),
    /// The status line.
    Status(String),
}

impl Saying for Said {
    fn bytes(&self) -> usize {
        let (Self::Output(text) | Self::Error(text) | Self::Lasting(text) | Self::Status(text)) =
            self;
        text.len()
    }
}

/// Says it, and how much found no room before it. A reader that is gone wants to hear of neither.
fn say(bar: &ProgressBar, said: Said, lost: u64) {
    if lost > 0 && !matches!(said, Said::Status(_)) {
        let text = format!(
            "journeyman: {lost} lines are left out here, for they were not read in time; `journeyman events` \
             has them all"
        );
        if bar.is_hidden() {
            let _ = writeln!(io::stderr(), "{text}");
        } else {
            bar.println(text);
        }
    }
    match said {
        Said::Output(text) => {
            let _ = line(&text);
        }
        Said::Error(text) => {
            let _ = writeln!(io::stderr(), "{text}");
        }
        Said::Lasting(text) => bar.println(text),
        Said::Status(text) => bar.set_message(text),
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        self.teller.flush(Some(FLUSH));
    }
}

/// Tokens per second of the answer that is coming in.
struct Speed {
    since: Option<Instant>,
    deltas: u64,
    status: String,
}

impl Progress {
    pub(crate) fn new(style: Style) -> Self {
        let bar = if style == Style::Terminal {
            let bar = ProgressBar::new_spinner();
            if let Ok(template) = ProgressStyle::with_template("{spinner} {wide_msg}") {
                bar.set_style(template);
            }
            bar.enable_steady_tick(Duration::from_millis(120));
            bar
        } else {
            ProgressBar::hidden()
        };
        let speed = Speed {
            since: None,
            deltas: 0,
            status: String::new(),
        };
        let drawn = bar.clone();
        let teller = Teller::start("progress", move |said, lost| {
            say(&drawn, said, lost);
            Ok(())
        });
        Self {
            style,
            bar,
            teller,
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
            Style::Terminal => self.teller.tell(Said::Status(what.to_owned())),
            Style::Plain | Style::Remarks => self.remark(what),
            Style::Json | Style::Quiet => {}
        }
    }

    /// A line that a person wants to keep.
    pub(crate) fn say(&self, text: &str) {
        match self.style {
            Style::Terminal => self.teller.tell(Said::Lasting(text.to_owned())),
            Style::Plain | Style::Remarks => self.remark(text),
            Style::Json | Style::Quiet => {}
        }
    }

    /// Puts a question to the user, however quiet it is to be. In JSON the event has said it.
    pub(crate) fn ask(&self, question: &str) {
        match self.style {
            Style::Terminal => self.teller.tell(Said::Lasting(question.to_owned())),
            Style::Plain | Style::Remarks | Style::Quiet => {
                self.teller.tell(Said::Error(question.to_owned()));
            }
            Style::Json => {}
        }
    }

    fn remark(&self, text: &str) {
        let text = format!("journeyman: {text}");
        self.teller.tell(Said::Error(text));
    }

    /// Takes the status line away. Everything is shown by then: who reads slowly is waited for, since
    /// nothing is left to be done but to say how it ended.
    pub(crate) fn finish(&self) {
        self.teller.flush(None);
        self.bar.finish_and_clear();
    }

    pub(crate) fn notice(&self, notice: &Notice) {
        match notice {
            Notice::Event { event, state } => self.event(event, state),
            Notice::Delta { .. } => self.delta(),
            Notice::Waiting { what } => match self.style {
                Style::Json => {
                    let text = serde_json::json!({"type": "waiting", "what": what});
                    self.teller.tell(Said::Output(text.to_string()));
                }
                _ => self.say(&format!("waiting: {what}")),
            },
        }
    }

    fn event(&self, event: &Event, state: &TaskState) {
        match self.style {
            Style::Quiet | Style::Remarks => {}
            Style::Json => self.teller.tell(Said::Output(json_line(event))),
            Style::Plain => self.teller.tell(Said::Output(plain_line(event))),
            Style::Terminal => {
                if let Some(text) = headline(event) {
                    self.teller.tell(Said::Lasting(text));
                }
                let status = status(state);
                self.teller.tell(Said::Status(status.clone()));
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
        self.teller.tell(Said::Status(format!(
            "{} · {} tokens, {per_second} tok/s",
            speed.status, speed.deltas
        )));
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
