//! Describes what is in progress, for how long and how far: the texts of the status line, and of the lines printed
//! when nothing else was printed for a while. Only known facts are shown: if tokens cannot be observed (because a
//! server works on the task), they are not mentioned.

use std::time::{Duration, Instant};

use journeyman_context::Descriptor;
use journeyman_event::payload::{PauseReason, TestScope};
use journeyman_event::state::{Action, OpenEffect, Status};
use journeyman_event::{EventId, TaskState};
use journeyman_fetch::Progress as Step;

use crate::text_format::{count_text, elapsed_text, group_digits, token_rate};

/// The assumed download rate before anything has arrived, of an average connection.
const EXPECTED_MB_PER_SECOND: u64 = 10;
/// The time after which the rate is measured instead.
const RATE_TIME_MIN: Duration = Duration::from_secs(1);
/// A reason to wait that is heard again within this time is not shown again.
const REASON_TIME: Duration = Duration::from_mins(1);
/// Reasons to wait that are remembered. Any more are shown each time.
const REASONS_MAX: usize = 16;

/// What is in progress.
#[derive(Debug)]
pub(crate) struct Activity {
    /// Each with the time since when. Only effects of a task are several.
    doing: Vec<(Doing, Instant)>,
    show_tokens: bool,
    /// What work waits for, without numbers, and when each was last heard.
    waits_for: Vec<(String, Instant)>,
}

#[derive(Clone, Debug, PartialEq)]
enum Doing {
    /// Something without a measure of progress.
    Plain(String),
    /// A download in progress.
    Fetch { begun_at: u64, last: Step },
    /// An effect of the task other than a model call.
    Effect(EventId, String),
    /// A model call.
    Call {
        intent: EventId,
        attempt: u32,
        what: String,
        /// Whether it was sent to the model server.
        is_asked: bool,
        tokens: u64,
        /// When the first token arrived.
        first: Option<Instant>,
    },
}

impl Activity {
    pub(crate) fn none() -> Self {
        Self {
            doing: Vec::new(),
            show_tokens: false,
            waits_for: Vec::new(),
        }
    }

    /// Declares that all tokens of the task's calls will be reported.
    pub(crate) fn show_tokens(&mut self) {
        self.show_tokens = true;
    }

    /// Nothing is in progress any more.
    pub(crate) fn end(&mut self) {
        self.doing.clear();
    }

    fn begin(&mut self, doing: Doing, now: Instant) {
        if !matches!(&self.doing[..], [(known, _)] if *known == doing) {
            self.doing = vec![(doing, now)];
        }
    }

    /// A preparation started.
    pub(crate) fn prepare(&mut self, what: &str, now: Instant) {
        self.begin(Doing::Plain(what.to_owned()), now);
    }

    /// Notes that work waits for a problem to pass. Returns whether to show the reason: each one is shown once, until
    /// it was not heard for a minute.
    pub(crate) fn wait(&mut self, what: &str, now: Instant) -> bool {
        let without_numbers =
            |text: &str| -> String { text.chars().filter(|c| !c.is_ascii_digit()).collect() };
        let text = format!("still waiting: {what}");
        match &mut self.doing[..] {
            // It still waits for the same, whatever the time that is left.
            [(Doing::Plain(known), _)] if without_numbers(known) == without_numbers(&text) => {
                *known = text;
            }
            _ => self.begin(Doing::Plain(text), now),
        }
        self.waits_for
            .retain(|(_, heard)| now.saturating_duration_since(*heard) < REASON_TIME);
        let reason = without_numbers(what);
        let mut known = self.waits_for.iter_mut();
        if let Some((_, heard)) = known.find(|(known, _)| *known == reason) {
            *heard = now;
            return false;
        }
        if self.waits_for.len() < REASONS_MAX {
            self.waits_for.push((reason, now));
        }
        true
    }

    /// Something is fetched, or a step of that is done. What it will take, where that begins.
    pub(crate) fn fetch(&mut self, step: &Step, now: Instant) -> Option<String> {
        if let [(Doing::Fetch { last, .. }, _)] = &mut self.doing[..]
            && last.what == step.what
            && step.total.is_some()
        {
            *last = step.clone();
            return None;
        }
        if step.total.is_none() {
            let what = Doing::Plain(step.what.clone());
            let is_new = self.doing.iter().all(|(known, _)| *known != what);
            self.prepare(&step.what, now);
            return is_new.then(|| expected(step));
        }
        let doing = Doing::Fetch {
            begun_at: step.done,
            last: step.clone(),
        };
        self.begin(doing, now);
        Some(expected(step))
    }

    /// Updates the activities to the task's state. Those that continue keep their start times.
    pub(crate) fn update(&mut self, state: &TaskState, now: Instant) {
        let mut known = std::mem::take(&mut self.doing);
        let doing = doing(state).into_iter().map(|doing| {
            let mut all = known.iter();
            let at = all.position(|(known, _)| known.is_same(&doing));
            at.map_or((doing, now), |at| known.remove(at))
        });
        self.doing = doing.collect();
    }

    /// The call with this intent was sent to the model server.
    pub(crate) fn asked(&mut self, call: EventId) {
        for (doing, _) in &mut self.doing {
            if let Doing::Call {
                intent, is_asked, ..
            } = doing
            {
                *is_asked |= *intent == call;
            }
        }
    }

    /// The model said something more in answer to the call of this intent.
    pub(crate) fn token(&mut self, call: EventId, now: Instant) {
        for (doing, _) in &mut self.doing {
            if let Doing::Call {
                intent,
                is_asked,
                tokens,
                first,
                ..
            } = doing
                && *intent == call
            {
                *is_asked = true;
                *tokens += 1;
                first.get_or_insert(now);
            }
        }
    }

    /// A text about what is in progress, how far, and for how long.
    pub(crate) fn text(&self, now: Instant) -> Option<String> {
        let (doing, since) = self.doing.first()?;
        let time = now.saturating_duration_since(*since);
        let so_long = if time < Duration::from_secs(1) {
            String::new()
        } else {
            format!(", {}", elapsed_text(time))
        };
        let text = match doing {
            Doing::Plain(what) | Doing::Effect(_, what) => format!("{what}{so_long}"),
            Doing::Fetch { begun_at, last } => fetched(*begun_at, last, time),
            Doing::Call { what, .. } if !self.show_tokens => format!("{what}{so_long}"),
            Doing::Call {
                what,
                is_asked: false,
                ..
            } => {
                format!("{what}: waits for a place at the model server{so_long}")
            }
            Doing::Call {
                what,
                tokens,
                first,
                ..
            } => match first {
                None => format!("{what}: waits for the answer to begin{so_long}"),
                Some(first) => {
                    let rate = token_rate(*tokens, now.saturating_duration_since(*first));
                    let rate = rate.map_or_else(String::new, |rate| format!(", {rate}"));
                    format!("{what}: {}{rate}{so_long}", count_text(*tokens, "token"))
                }
            },
        };
        Some(match self.doing.len() - 1 {
            0 => text,
            more => format!("{text}, and {more} more"),
        })
    }
}

impl Doing {
    /// Whether both are the same attempt at the same thing, regardless of progress.
    fn is_same(&self, other: &Self) -> bool {
        match (self, other) {
            (
                Self::Call {
                    intent, attempt, ..
                },
                Self::Call {
                    intent: other,
                    attempt: again,
                    ..
                },
            ) => (intent, attempt) == (other, again),
            _ => self == other,
        }
    }
}

/// What a task in this state is doing or waiting for; empty if it has ended or is paused.
fn doing(state: &TaskState) -> Vec<Doing> {
    let plain = |text: &str| vec![Doing::Plain(text.to_owned())];
    match state.status {
        Status::Complete | Status::Failed | Status::Cancelled => Vec::new(),
        Status::Paused => match (state.pause, &state.model_problem) {
            (Some(PauseReason::ModelUnreachable), Some(problem)) => {
                plain(&format!("waiting for the model server: {problem}"))
            }
            (Some(PauseReason::ModelUnreachable), None) => plain("waiting for the model server"),
            (Some(PauseReason::Question), _) => plain("waiting for your answer"),
            _ => Vec::new(),
        },
        _ if !state.effects.is_empty() => state.effects.iter().map(of_effect).collect(),
        Status::Queued => plain("waiting in the queue"),
        Status::Running => plain("deciding what comes next"),
    }
}

fn of_effect(effect: &OpenEffect) -> Doing {
    let about = |what: &str| match &effect.module {
        Some(module) => format!("{what} module `{module}`"),
        None => format!("{what} everything"),
    };
    let what = match &effect.action {
        Action::CallModel(call) => {
            let doing = Descriptor::of(call.purpose).doing;
            let what = match &effect.module {
                Some(_) => about(doing),
                None => doing.to_owned(),
            };
            return Doing::Call {
                intent: effect.intent,
                attempt: effect.attempt,
                what,
                is_asked: false,
                tokens: 0,
                first: None,
            };
        }
        Action::CallTool(call) => format!("calling the tool {}", call.tool),
        Action::RunTests(tests) => match tests.scope {
            TestScope::Module => about("testing"),
            TestScope::Integration => "testing everything".to_owned(),
        },
        Action::Analyse => "looking for unused code".to_owned(),
        Action::WriteOutput(_) => "writing the result".to_owned(),
    };
    Doing::Effect(effect.intent, what)
}

/// The position of a task for the status line: module, iteration, tests, tokens.
pub(crate) fn place(state: &TaskState) -> String {
    let mut parts = Vec::new();
    let current = state
        .modules
        .iter()
        .position(|module| module.completion.is_none());
    if let Some(at) = current {
        let module = &state.modules[at];
        parts.push(format!("module {} of {}", at + 1, state.modules.len()));
        parts.push(format!("iteration {}", module.iteration.max(1)));
        if let Some(run) = module.runs.last() {
            parts.push(format!("{} of {} passed", run.passed(), run.tests.len()));
        }
    }
    parts.push(format!(
        "{} of {} tokens",
        group_digits(state.spent.0),
        group_digits(state.token_budget().0)
    ));
    parts.join(" · ")
}

fn mb(bytes: u64) -> u64 {
    bytes.div_ceil(1_000_000)
}

/// The size and expected time of a download that is about to start.
fn expected(step: &Step) -> String {
    let Step {
        what,
        done,
        total,
        bytes,
        ..
    } = step;
    let Some(bytes) = bytes else {
        return step.to_string();
    };
    // Of one that goes on where it broke, the rest.
    let total = u128::from(total.unwrap_or(1).max(1));
    let left = u128::from(*bytes) * total.saturating_sub(u128::from(*done)) / total;
    let left = u64::try_from(left).unwrap_or(*bytes);
    let time = elapsed_text(Duration::from_secs(mb(left) / EXPECTED_MB_PER_SECOND));
    let size = if *done == 0 {
        format!("{} MB", group_digits(mb(*bytes)))
    } else {
        format!(
            "{} of {} MB to come",
            group_digits(mb(left)),
            group_digits(mb(*bytes))
        )
    };
    format!("{what}: {size}, about {time} at {EXPECTED_MB_PER_SECOND} MB/s")
}

/// The progress, rate and remaining time of a download.
fn fetched(begun_at: u64, last: &Step, time: Duration) -> String {
    let text = last.to_string();
    let here = last.done.saturating_sub(begun_at);
    if here == 0 || time < RATE_TIME_MIN {
        return text;
    }
    let ms = u64::try_from(time.as_millis()).unwrap_or(u64::MAX);
    let rate = if last.unit == "MB" {
        let tenths = here.saturating_mul(10_000) / ms;
        format!(", {}.{} MB/s", tenths / 10, tenths % 10)
    } else {
        String::new()
    };
    let left = last.total.unwrap_or(last.done).saturating_sub(last.done);
    let left = Duration::from_millis(ms.saturating_mul(left) / here);
    if left < RATE_TIME_MIN {
        return text + &rate;
    }
    format!("{text}{rate}, about {} left", elapsed_text(left))
}

#[cfg(test)]
#[allow(clippy::unwrap_used)] // a test fails by panicking
mod tests {
    use journeyman_event::payload::{Purpose, TestOrigin, TestStarted};
    use journeyman_event::{ModuleName, VectorClock};

    use super::*;
    use crate::event_text::tests::call;

    fn intent_of(number: u8) -> EventId {
        EventId::from_bytes([number; 16])
    }

    fn at_work(intent: u8, action: Action) -> TaskState {
        TaskState {
            status: Status::Running,
            effects: vec![OpenEffect {
                intent: intent_of(intent),
                attempt: 1,
                module: Some(ModuleName::new("durations").unwrap()),
                action,
                clock: VectorClock::default(),
                overtaken: false,
                excused: false,
            }],
            ..TaskState::default()
        }
    }

    fn code() -> TaskState {
        at_work(1, Action::CallModel(call(Purpose::Code)))
    }

    fn after(start: Instant, seconds: u64) -> Instant {
        start + Duration::from_secs(seconds)
    }

    #[test]
    fn what_is_under_way_is_told_with_how_far_it_is_and_how_long_it_takes() {
        let start = Instant::now();
        let mut activity = Activity::none();
        activity.show_tokens();
        assert_eq!(activity.text(start), None);
        let mut texts = Vec::new();
        activity.prepare("starting the model server", start);
        texts.push(activity.text(after(start, 17)));
        activity.update(&TaskState::default(), start);
        texts.push(activity.text(after(start, 62)));
        activity.update(&code(), start);
        texts.push(activity.text(after(start, 2)));
        activity.asked(intent_of(1));
        // Something else of the task was recorded.
        activity.update(&code(), after(start, 9));
        texts.push(activity.text(after(start, 17)));
        activity.token(intent_of(1), after(start, 18));
        texts.push(activity.text(after(start, 18)));
        for _ in 1..212 {
            activity.token(intent_of(1), after(start, 20));
        }
        texts.push(activity.text(after(start, 33)));
        // Another call beside it, of which its tokens are its own.
        let mut both = code();
        both.effects
            .extend(at_work(3, Action::CallModel(call(Purpose::Code))).effects);
        activity.update(&both, after(start, 34));
        activity.token(intent_of(3), after(start, 35));
        texts.push(activity.text(after(start, 35)));
        both.effects.remove(0);
        activity.update(&both, after(start, 36));
        texts.push(activity.text(after(start, 37)));
        let testing = Action::RunTests(TestStarted {
            scope: TestScope::Module,
            origin: TestOrigin::Generated,
            files: Vec::new(),
            code: Vec::new(),
            basis: None,
        });
        activity.update(&at_work(2, testing), after(start, 40));
        texts.push(activity.text(after(start, 45)));
        assert!(activity.wait("the disk is full", after(start, 50)));
        assert!(!activity.wait("the disk is full", after(start, 60)));
        texts.push(activity.text(after(start, 65)));
        let rests = TaskState {
            status: Status::Paused,
            pause: Some(PauseReason::ModelUnreachable),
            model_problem: Some("nobody answers".to_owned()),
            ..TaskState::default()
        };
        activity.update(&rests, after(start, 70));
        texts.push(activity.text(after(start, 90)));
        assert_eq!(
            texts.into_iter().flatten().collect::<Vec<_>>(),
            [
                "starting the model server, 17 s",
                "waiting in the queue, 1 min 2 s",
                "writing module `durations`: waits for a place at the model server, 2 s",
                "writing module `durations`: waits for the answer to begin, 17 s",
                "writing module `durations`: 1 token, 18 s",
                "writing module `durations`: 212 tokens, 14 tokens/s, 33 s",
                "writing module `durations`: 212 tokens, 13 tokens/s, 35 s, and 1 more",
                "writing module `durations`: 1 token, 3 s",
                "testing module `durations`, 5 s",
                "still waiting: the disk is full, 15 s",
                "waiting for the model server: nobody answers, 20 s",
            ]
        );
        let ended = TaskState {
            status: Status::Complete,
            ..TaskState::default()
        };
        activity.update(&ended, start);
        assert_eq!(activity.text(after(start, 90)), None);
    }

    #[test]
    fn a_reason_to_wait_is_told_once_until_it_was_not_heard_for_a_minute() {
        let start = Instant::now();
        let mut activity = Activity::none();
        let mut wait = |what: &str, at| activity.wait(what, after(start, at));
        assert!(wait("busy, it asks for 3 s", 0));
        assert!(!wait("busy, it asks for 12 s", 5));
        assert!(wait("nobody answers", 20));
        assert!(!wait("busy, it asks for 9 s", 30));
        activity.token(intent_of(1), after(start, 31));
        assert!(!activity.wait("nobody answers", after(start, 40)));
        assert!(activity.wait("nobody answers", after(start, 101)));
    }

    #[test]
    fn the_time_of_a_wait_goes_on_while_its_numbers_change() {
        let start = Instant::now();
        let mut activity = Activity::none();
        activity.wait("busy, it asks for 3 s", start);
        activity.wait("busy, it asks for 2 s", after(start, 10));
        let text = activity.text(after(start, 15));
        assert_eq!(
            text.as_deref(),
            Some("still waiting: busy, it asks for 2 s, 15 s")
        );
    }

    #[test]
    fn of_a_task_that_others_work_on_nothing_is_said_that_is_not_heard() {
        let start = Instant::now();
        let mut activity = Activity::none();
        activity.update(&code(), start);
        assert_eq!(
            activity.text(after(start, 17)).unwrap(),
            "writing module `durations`, 17 s"
        );
    }

    #[test]
    fn what_is_fetched_is_told_with_its_size_before_it_begins_and_with_its_rate_then() {
        let step = |done, total, unit| Step {
            what: "downloading small.gguf".to_owned(),
            done,
            total: Some(total),
            unit,
            bytes: Some(490_000_000),
        };
        let cases = [
            (
                (0, 98, 490, "MB"),
                "downloading small.gguf: 490 MB, about 49 s at 10 MB/s",
                "downloading small.gguf: 98 of 490 MB, 9.8 MB/s, about 40 s left",
            ),
            (
                (245, 250, 490, "MB"),
                "downloading small.gguf: 245 of 490 MB to come, about 24 s at 10 MB/s",
                "downloading small.gguf: 250 of 490 MB, 0.5 MB/s, about 8 min 0 s left",
            ),
            (
                (0, 3, 12, "parts"),
                "downloading small.gguf: 490 MB, about 49 s at 10 MB/s",
                "downloading small.gguf: 3 of 12 parts, about 30 s left",
            ),
        ];
        for ((first, then, total, unit), before, later) in cases {
            let start = Instant::now();
            let mut activity = Activity::none();
            let begins = activity.fetch(&step(first, total, unit), start);
            assert_eq!(begins.unwrap(), before);
            let announced = activity.fetch(&step(then, total, unit), after(start, 10));
            assert_eq!(announced, None);
            assert_eq!(activity.text(after(start, 10)).unwrap(), later);
        }
    }
}
