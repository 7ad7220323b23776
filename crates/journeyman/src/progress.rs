//! What a person or a program sees while a task is worked on: a status line on a terminal, one
//! plain line per event when piped, JSON lines with `--json`.

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

/// How often a status line changes by itself.
const REDRAW: Duration = Duration::from_millis(250);
/// The longest time between two looks at whether something has to be said.
const LOOK: Duration = Duration::from_secs(1);

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
    pub(crate) fn of(settings: &Settings) -> Self {
        match (settings.json, settings.quiet) {
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
    stdout().is_terminal() && stderr().is_terminal() && !is_dumb()
}

/// Shows progress; cheap to call, and whether anybody reads it changes nothing.
pub(crate) struct Progress {
    style: Style,
    text_style: TextStyle,
    printer: Printer,
    /// Something is said at least so often where each line stays.
    interval: Duration,
    now: Mutex<Now>,
    /// The one task that is shown, once it is known.
    task: OnceLock<TaskId>,
}

/// What is under way, and what was said of it.
struct Now {
    activity: Activity,
    steps: Steps,
    /// Where the task is, for the status line.
    place: String,
    said: Instant,
}

impl Progress {
    /// Shows progress from now on, also by itself: of what takes long, something is said at least every
    /// `--progress-interval`, on a terminal all the time.
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

    /// Colours and marks for what goes to standard output.
    pub(crate) fn text_style(&self) -> TextStyle {
        self.text_style
    }

    fn now(&self) -> MutexGuard<'_, Now> {
        self.now.lock().unwrap_or_else(PoisonError::into_inner)
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

    /// Preparation that takes time, such as starting a model server.
    pub(crate) fn prepare(&self, what: &str) {
        self.now().activity.prepare(what, Instant::now());
        match self.style {
            Style::Terminal => self.beat(Instant::now()),
            Style::Plain | Style::Remarks => self.remark(what),
            Style::Json | Style::Quiet => {}
        }
    }

    /// How far something is that is fetched or installed. Before it begins its size and the expected time
    /// are said.
    pub(crate) fn fetch(&self, step: &journeyman_fetch::Progress) {
        let begins = self.now().activity.fetch(step, Instant::now());
        if let Some(words) = begins {
            self.say(&words);
        }
    }

    /// Nothing is prepared any more.
    pub(crate) fn prepared(&self) {
        self.now().activity.end();
    }

    /// A line that a person wants to keep.
    pub(crate) fn say(&self, text: &str) {
        match self.style {
            Style::Terminal => self.screen(text),
            Style::Plain | Style::Remarks => self.remark(text),
            Style::Json | Style::Quiet => {}
        }
    }

    /// Says what a person must not miss, however quiet it is to be.
    pub(crate) fn warn(&self, text: &str) {
        match self.style {
            Style::Terminal => self.screen(text),
            _ => self.remark(text),
        }
    }

    /// Puts a question to the user, however quiet it is to be. In JSON the event has said it.
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

    /// Prints a line of the result, however quiet it is to be: composed of what may be shown.
    pub(crate) fn result(&self, line: String) {
        self.printer.end();
        self.printer.result(line);
    }

    /// Waits until everything is printed, as long as somebody reads, and takes the status line away.
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
                self.now().activity.wait(what, Instant::now());
                match self.style {
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
                // Many tasks are worked on at once, and somebody else tells how far they are.
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

    /// Says what is under way: on a terminal now, where each line stays only after a while in which nothing
    /// was said.
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

/// Has progress look at the clock, for as long as anybody shows it.
async fn beat(progress: Weak<Progress>, every: Duration) {
    loop {
        tokio::time::sleep(every).await;
        let Some(progress) = progress.upgrade() else {
            return;
        };
        progress.beat(Instant::now());
    }
}
