//! Shows progress while a task is worked on: a status line on a terminal, one plain line per event when piped, JSON
//! lines with `--json`.

use std::io::{IsTerminal, stderr, stdout};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError, Weak};
use std::time::{Duration, Instant};

use journeyman_bus::{Bus, Emitted, Registration};
use journeyman_event::{Event, TaskId, TaskState};
use journeyman_workflow::Notice;

use crate::activity::{Activity, place};
use crate::event_text::{Steps, json_line, plain_line};
use crate::printer::{PrintTarget, Printer};
use crate::settings::Settings;
use crate::text_format::visible;
use crate::text_style::{TextStyle, is_dumb};

/// How often the status line is redrawn.
const REDRAW: Duration = Duration::from_millis(250);
/// The longest time between checks whether something must be printed.
const LOOK: Duration = Duration::from_secs(1);

/// How progress is shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Style {
    /// A redrawn status line, with lasting lines for important events.
    Terminal,
    /// One plain line per event.
    Plain,
    /// One JSON object per event.
    Json,
    /// Preparation and remarks, but no events.
    Remarks,
    /// Nothing is shown.
    Quiet,
}

impl Style {
    pub(crate) fn of(settings: &Settings) -> Self {
        match (settings.json, settings.quiet) {
            (true, _) => Self::Json,
            (false, true) => Self::Quiet,
            (false, false) if has_screen() => Self::Terminal,
            (false, false) => Self::Plain,
        }
    }
}

/// Whether there is a terminal for a status line on standard error and the result on standard output.
fn has_screen() -> bool {
    stdout().is_terminal() && stderr().is_terminal() && !is_dumb()
}

/// Shows progress. Cheap to call; works the same if no one reads the output.
pub(crate) struct Progress {
    style: Style,
    text_style: TextStyle,
    printer: Printer,
    /// If lines are not redrawn, one is printed at least this often.
    interval: Duration,
    now: Mutex<Now>,
    /// The only task that is shown, once it is known.
    task: OnceLock<TaskId>,
}

/// What is in progress, and what was printed about it.
struct Now {
    activity: Activity,
    steps: Steps,
    /// The position of the task for the status line.
    place: String,
    said: Instant,
}

impl Progress {
    /// Starts to show progress, also of long activities: at least every `--progress-interval`, or continuously
    /// on a terminal.
    pub(crate) fn start(style: Style, settings: &Settings) -> Arc<Self> {
        let text_style = TextStyle::of(settings.colour, &stdout());
        let progress = Arc::new(Self::new(style, text_style, settings.progress_interval));
        let every = match style {
            Style::Terminal => REDRAW,
            Style::Plain | Style::Remarks => progress.look(),
            Style::Json | Style::Quiet => return progress,
        };
        tokio::spawn(beat(Arc::downgrade(&progress), every));
        progress
    }

    fn new(style: Style, text_style: TextStyle, interval: Duration) -> Self {
        let began = Instant::now();
        Self {
            style,
            text_style,
            printer: Printer::start(style == Style::Terminal, text_style.has_unicode),
            interval,
            now: Mutex::new(Now {
                activity: Activity::none(),
                steps: Steps::default(),
                place: String::new(),
                said: began,
            }),
            task: OnceLock::new(),
        }
    }

    fn look(&self) -> Duration {
        LOOK.min(self.interval / 8)
    }

    /// The text style for standard output.
    pub(crate) fn text_style(&self) -> TextStyle {
        self.text_style
    }

    fn now(&self) -> MutexGuard<'_, Now> {
        self.now.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Shows only this task from now on, because other tasks may run in the same process.
    pub(crate) fn only(&self, task: &TaskId) {
        let _ = self.task.set(task.clone());
    }

    /// Shows the messages of this bus in order, until the registration is dropped.
    pub(crate) fn listen(
        self: &Arc<Self>,
        bus: &Bus<Emitted<Notice>>,
    ) -> Result<Registration, journeyman_bus::Error> {
        let progress = self.clone();
        let options = journeyman_bus::SubscriberOptions::new("progress");
        // Who works here is heard token by token.
        self.now().activity.show_tokens();
        bus.handle_inline(options, 0, move |emitted| {
            let told = &emitted.message;
            let about = match told {
                Notice::Event { event, .. } => Some(event.task_id().as_str()),
                Notice::Asked { .. }
                | Notice::Delta { .. }
                | Notice::Remark { .. }
                | Notice::Waiting { .. } => emitted.context.task_id.as_deref(),
            };
            let shown = progress.task.get().map(TaskId::as_str);
            if shown.is_none() || about == shown {
                progress.notice(told);
            }
            Ok(())
        })
    }

    /// Shows a long preparation, such as starting a model server.
    pub(crate) fn prepare(&self, what: &str) {
        self.now().activity.prepare(what, Instant::now());
        match self.style {
            Style::Terminal => self.beat(Instant::now()),
            Style::Plain | Style::Remarks => self.remark(what),
            Style::Json | Style::Quiet => {}
        }
    }

    /// Shows the progress of a download or installation. When it starts, its size and expected time are
    /// printed.
    pub(crate) fn fetch(&self, step: &journeyman_fetch::Progress) {
        let begins = self.now().activity.fetch(step, Instant::now());
        if let Some(words) = begins {
            self.say(&words);
        }
    }

    /// The preparation has finished.
    pub(crate) fn prepared(&self) {
        self.now().activity.end();
    }

    /// Prints a lasting line.
    pub(crate) fn say(&self, text: &str) {
        match self.style {
            Style::Terminal => self.screen(text),
            Style::Plain | Style::Remarks => self.remark(text),
            Style::Json | Style::Quiet => {}
        }
    }

    /// Prints a warning, even in quiet mode.
    pub(crate) fn warn(&self, text: &str) {
        match self.style {
            Style::Terminal => self.screen(text),
            _ => self.remark(text),
        }
    }

    /// Prints a question to the user, even in quiet mode. Not in JSON mode, where the event contains it.
    pub(crate) fn ask(&self, question: &str) {
        match self.style {
            Style::Terminal => self.screen(question),
            Style::Plain | Style::Remarks | Style::Quiet => {
                self.print(PrintTarget::Error, visible(question).into_owned());
            }
            Style::Json => {}
        }
    }

    fn screen(&self, text: &str) {
        self.print(PrintTarget::Screen, self.text_style.plain(&visible(text)));
    }

    fn remark(&self, text: &str) {
        self.print(PrintTarget::Error, format!("journeyman: {}", visible(text)));
    }

    fn print(&self, to: PrintTarget, text: String) {
        self.now().said = Instant::now();
        self.printer.print(to, text);
    }

    /// Prints a line of the result, even in quiet mode. Its text must be safe to display.
    pub(crate) fn result(&self, line: String) {
        self.printer.end();
        self.printer.result(line);
    }

    /// Waits until everything is printed, as long as the reader makes progress, and removes the status line.
    pub(crate) async fn finish(&self) {
        self.now().activity.end();
        self.printer.finish().await;
    }

    pub(crate) fn notice(&self, notice: &Notice) {
        match notice {
            Notice::Event { event, state } => self.event(event, state),
            Notice::Asked { intent } => self.now().activity.asked(*intent),
            Notice::Delta { intent, .. } => {
                self.now().activity.token(*intent, Instant::now());
            }
            Notice::Remark { what } => self.say(what),
            Notice::Waiting { what } => {
                let is_new = self.now().activity.wait(what, Instant::now());
                match self.style {
                    _ if !is_new => {}
                    Style::Json => {
                        let text = serde_json::json!({"type": "waiting", "what": what});
                        self.print(PrintTarget::Output, text.to_string());
                    }
                    _ => self.say(&format!("waiting: {what}")),
                }
            }
        }
    }

    fn event(&self, event: &Event, state: &TaskState) {
        let headline = {
            let mut now = self.now();
            let headline = now.steps.headline(event, self.text_style);
            if self.style == Style::Remarks {
                // Several tasks run at once, and their progress is shown elsewhere.
                now.activity.end();
            } else {
                now.activity.update(state, Instant::now());
            }
            now.place = place(state);
            headline
        };
        match self.style {
            Style::Quiet | Style::Remarks => {}
            Style::Json => self.print(PrintTarget::Output, json_line(event)),
            Style::Plain => self.print(PrintTarget::Output, plain_line(event)),
            Style::Terminal => {
                if let Some(text) = headline {
                    self.print(PrintTarget::Screen, text);
                }
                self.beat(Instant::now());
            }
        }
    }

    /// Shows what is in progress: immediately on a terminal, otherwise only after a while without output.
    fn beat(&self, now: Instant) {
        let under_way = self.now();
        let Some(text) = under_way.activity.text(now) else {
            return;
        };
        let is_due = now.saturating_duration_since(under_way.said) + self.look() >= self.interval;
        let place = under_way.place.clone();
        drop(under_way);
        match self.style {
            Style::Terminal => {
                let parts = [text, place];
                let parts: Vec<&str> = parts.iter().map(String::as_str).collect();
                let text = parts.join(" · ");
                let text = text.trim_end_matches(" · ");
                self.printer.status(self.text_style.plain(&visible(text)));
            }
            Style::Plain | Style::Remarks if is_due => self.remark(&text),
            Style::Plain | Style::Remarks | Style::Json | Style::Quiet => {}
        }
    }
}

/// Calls [`Progress::beat`] periodically until the progress is dropped.
async fn beat(progress: Weak<Progress>, every: Duration) {
    loop {
        tokio::time::sleep(every).await;
        let Some(progress) = progress.upgrade() else {
            return;
        };
        progress.beat(Instant::now());
    }
}
