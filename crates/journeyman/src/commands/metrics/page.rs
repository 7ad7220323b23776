//! What the live page shows: the latest metrics, and how some of them have changed.

use std::collections::VecDeque;
use std::time::Duration;

use ratatui::Frame;
use ratatui::layout::{Constraint, Layout, Rect};
use ratatui::style::{Color, Modifier, Style};
use ratatui::symbols::bar;
use ratatui::text::{Line, Text};
use ratatui::widgets::{Paragraph, Sparkline};
use serde_json::Value;

use super::{number, text, word};
use crate::text_format::{duration_text, visible};
use crate::text_style::TextStyle;

/// The most samples of a series: what fits on a wide screen.
const SAMPLES_MAX: usize = 500;
/// The endpoint that the page itself asks, which is not counted.
const OWN_ENDPOINT: &str = "GET /api/v1/metrics";
/// The columns of a series' name and of its latest value.
const NAME_COLUMNS: u16 = 12;
const VALUE_COLUMNS: u16 = 13;
/// From this height, each series has two lines.
const TALL: u16 = 30;
/// Samples are drawn in thousandths of their unit.
const THOUSAND: f64 = 1e3;
/// Bars for terminals without Unicode.
const ASCII: bar::Set<'static> = bar::Set {
    full: "#",
    seven_eighths: "#",
    three_quarters: "*",
    five_eighths: "+",
    half: "=",
    three_eighths: "-",
    one_quarter: "_",
    one_eighth: ".",
    empty: " ",
};

/// Sums that only grow while a server lives, and what is now.
#[derive(Clone, Copy, Debug, Default)]
struct Totals {
    requests: f64,
    tokens: f64,
    /// The streams that ended, and the sum of their times to the first token in seconds.
    streams: f64,
    first_tokens: f64,
    errors: f64,
    usd: f64,
    /// Tasks that wait or run.
    tasks: f64,
}

#[allow(clippy::cast_precision_loss)] // counts are drawn
impl Totals {
    fn of(metrics: &Value) -> Self {
        let all = |value: &Value, of: &dyn Fn(&Value) -> f64| -> f64 {
            value.as_array().into_iter().flatten().map(of).sum()
        };
        let count = |value: &Value| number(value) as f64;
        let streams = &metrics["streaming"]["models"];
        let engine = &metrics["engine"];
        Self {
            requests: all(
                &metrics["requests"]["endpoints"],
                &|one| match word(one, "endpoint") {
                    OWN_ENDPOINT => 0.0,
                    _ => count(&one["completed"]) + count(&one["failed"]),
                },
            ),
            // One for each gap between two pieces, and the first of each stream.
            tokens: all(streams, &|one| {
                count(&one["inter_chunk_latency"]["count"])
                    + count(&one["time_to_first_token"]["count"])
            }),
            streams: all(streams, &|one| count(&one["time_to_first_token"]["count"])),
            first_tokens: all(streams, &|one| {
                one["time_to_first_token"]["sum"]
                    .as_f64()
                    .unwrap_or_default()
            }),
            errors: count(&metrics["errors"]["total"]),
            usd: word(&metrics["costs"]["total"], "usd")
                .parse()
                .unwrap_or_default(),
            tasks: count(&engine["tasks_waiting"]) + count(&engine["tasks_running"]),
        }
    }

    /// The values of all series, from the totals before and the seconds since then. The time to the first token is the mean
    /// of the streams that ended since then; without one there is no value.
    fn since(self, before: Self, seconds: f64) -> [Option<f64>; SERIES.len()] {
        let rate = |now: f64, before: f64| Some((now - before).max(0.0) / seconds);
        let streams = self.streams - before.streams;
        let first = (self.first_tokens - before.first_tokens) / streams;
        [
            rate(self.requests, before.requests),
            rate(self.tokens, before.tokens),
            (streams > 0.0).then_some(first.max(0.0)),
            rate(self.errors, before.errors),
            rate(self.usd * 3_600.0, before.usd * 3_600.0),
            Some(self.tasks),
        ]
    }
}

/// Writes a value of a series.
type Written = fn(f64) -> String;

/// The name of each series, and how its latest value is written.
const SERIES: [(&str, Written); 6] = [
    ("requests", |rate| format!("{rate:.1}/s")),
    ("tokens", |rate| format!("{rate:.1}/s")),
    ("first token", |seconds| {
        duration_text(Duration::from_secs_f64(seconds.min(1e9)))
    }),
    ("errors", |rate| format!("{rate:.1}/s")),
    ("cost", |rate| format!("{rate:.4} USD/h")),
    ("queue", |tasks| match tasks {
        1.0 => "1 task".to_owned(),
        _ => format!("{tasks} tasks"),
    }),
];

/// The live page, with what it has shown so far.
pub(super) struct Page {
    style: TextStyle,
    /// The server, worded for a person.
    who: String,
    metrics: Value,
    /// Why there are no newer metrics.
    problem: Option<String>,
    /// The latest totals; `None` if the next ones cannot be compared with them.
    totals: Option<Totals>,
    /// The samples of each series, the newest first.
    samples: [VecDeque<Option<f64>>; SERIES.len()],
}

impl Page {
    pub(super) fn new(style: TextStyle, who: String, metrics: Value) -> Self {
        Self {
            style,
            who,
            totals: Some(Totals::of(&metrics)),
            metrics,
            problem: None,
            samples: Default::default(),
        }
    }

    /// Takes newer metrics, `after` the ones before them.
    pub(super) fn take(&mut self, metrics: Value, after: Duration) {
        let totals = Totals::of(&metrics);
        let seconds = after.as_secs_f64().max(1e-3);
        let values = self.totals.map(|before| totals.since(before, seconds));
        self.add(values.unwrap_or_default());
        self.totals = Some(totals);
        self.metrics = metrics;
        self.problem = None;
    }

    /// Takes the reason why there are no newer metrics. The server may be another one when there are some again, so they are
    /// not compared with the ones before.
    pub(super) fn lack(&mut self, problem: String) {
        self.add([None; SERIES.len()]);
        self.totals = None;
        self.problem = Some(problem);
    }

    fn add(&mut self, values: [Option<f64>; SERIES.len()]) {
        for (samples, value) in self.samples.iter_mut().zip(values) {
            samples.truncate(SAMPLES_MAX - 1);
            samples.push_front(value);
        }
    }

    fn colour(&self, colour: Color) -> Style {
        if self.style.has_colour {
            Style::new().fg(colour)
        } else {
            Style::new()
        }
    }

    pub(super) fn draw(&self, frame: &mut Frame<'_>) {
        let each = if frame.area().height >= TALL { 2 } else { 1 };
        let series = u16::try_from(SERIES.len()).unwrap_or(u16::MAX) * each;
        let [head, graphs, _, lines, foot] = Layout::vertical([
            Constraint::Length(1),
            Constraint::Length(series),
            Constraint::Length(1),
            Constraint::Min(0),
            Constraint::Length(1),
        ])
        .areas(frame.area());
        let (said, style) = match &self.problem {
            Some(problem) => (
                format!("{problem}; asking again every second. These metrics are the last ones."),
                self.colour(Color::Red).add_modifier(Modifier::REVERSED),
            ),
            None => (
                format!("metrics of {}", self.who),
                Style::new().add_modifier(Modifier::BOLD),
            ),
        };
        self.line(frame, head, &said, style);
        for (at, graph) in Layout::vertical([Constraint::Length(each); SERIES.len()])
            .split(graphs)
            .iter()
            .enumerate()
        {
            self.series(frame, *graph, at);
        }
        let mut page: Vec<String> = text(&self.metrics).lines().map(str::to_owned).collect();
        let room = usize::from(lines.height);
        if page.len() > room {
            let left_out = page.len() + 1 - room.max(1);
            page.truncate(room.saturating_sub(1));
            page.push(format!("{left_out} more lines: `--once` prints them"));
        }
        let page: Text<'_> = page
            .iter()
            .map(|line| Line::raw(self.shown(line)))
            .collect();
        frame.render_widget(Paragraph::new(page), lines);
        let keys = Style::new().add_modifier(Modifier::DIM);
        self.line(frame, foot, "q leaves", keys);
    }

    /// A text as this terminal can show it.
    fn shown(&self, text: &str) -> String {
        self.style.plain(&visible(text))
    }

    fn line(&self, frame: &mut Frame<'_>, area: Rect, text: &str, style: Style) {
        frame.render_widget(Paragraph::new(self.shown(text)).style(style), area);
    }

    fn series(&self, frame: &mut Frame<'_>, area: Rect, at: usize) {
        let ((name, written), samples) = (SERIES[at], &self.samples[at]);
        let [named, value, graph] = Layout::horizontal([
            Constraint::Length(NAME_COLUMNS),
            Constraint::Length(VALUE_COLUMNS),
            Constraint::Min(0),
        ])
        .areas(area);
        self.line(frame, named, name, Style::new());
        let latest = samples.front().copied().flatten();
        let latest = latest.map_or_else(|| "-".to_owned(), written);
        self.line(
            frame,
            value,
            &latest,
            Style::new().add_modifier(Modifier::BOLD),
        );
        let colour = match name {
            "errors" => Color::Red,
            _ => Color::Cyan,
        };
        // The newest is at the right edge.
        let shown = samples.iter().take(graph.width.into()).rev();
        #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)] // floats saturate
        let bars = shown.map(|sample| sample.map(|value| (value * THOUSAND) as u64));
        let bars: Vec<Option<u64>> = bars.collect();
        let left = graph
            .width
            .saturating_sub(u16::try_from(bars.len()).unwrap_or(u16::MAX));
        let sparkline = Sparkline::default()
            .data(bars)
            .style(self.colour(colour))
            .bar_set(if self.style.has_unicode {
                bar::NINE_LEVELS
            } else {
                ASCII
            });
        let graph = Rect {
            x: graph.x + left,
            width: graph.width - left,
            ..graph
        };
        frame.render_widget(sparkline, graph);
    }
}

#[cfg(test)]
mod tests {
    use ratatui::Terminal;
    use ratatui::backend::TestBackend;
    use serde_json::json;

    use super::*;

    fn metrics(number: u32) -> Value {
        json!({
            "at": "2026-11-29T12:00:00Z", "following": "current",
            "work": {"happened": {"task.submitted": 3, "task.completed": 1}},
            "engine": {"tasks_waiting": 1, "tasks_running": 1},
            "costs": {"total": {"calls": number, "usd": format!("0.{number:03}")}},
            "budgets": [{"budget": "team", "scope": "ada", "spent_usd": "1", "limit_usd": "10",
                "reserved_usd": "0", "mode": "hard", "period": "monthly"}],
            "streaming": {"models": [{"model": "m", "completed": number,
                "time_to_first_token": {"count": number, "sum": 0.25 * f64::from(number)},
                "inter_chunk_latency": {"count": 99 * number}}]},
            "requests": {"endpoints": [
                {"endpoint": "workflow/code", "completed": number, "failed": 2},
                {"endpoint": OWN_ENDPOINT, "completed": 1_000 * number, "failed": 0},
            ]},
            "errors": {"total": 2, "groups": [{"count": 2, "error": "e", "message": "a \u{1b}[2J b"}]},
        })
    }

    fn page(has_unicode: bool) -> Page {
        let style = TextStyle {
            has_colour: false,
            has_unicode,
            is_screen: true,
        };
        let mut page = Page::new(style, "the server at http://s".to_owned(), metrics(0));
        for number in [2, 4, 8, 8, 9, 10] {
            page.take(metrics(number), Duration::from_secs(2));
        }
        page
    }

    fn drawn(page: &Page, width: u16, height: u16) -> String {
        let mut terminal = Terminal::new(TestBackend::new(width, height)).unwrap();
        terminal.draw(|frame| page.draw(frame)).unwrap();
        terminal.backend().to_string()
    }

    #[test]
    fn the_page_shows_what_changed_and_what_is() {
        insta::assert_snapshot!(drawn(&page(true), 76, 22));
    }

    #[test]
    fn a_small_terminal_without_unicode_shows_what_fits() {
        insta::assert_snapshot!(drawn(&page(false), 32, 12));
        for (width, height) in [(1, 1), (5, 3), (20, 2), (300, 5), (13, 80)] {
            drawn(&page(true), width, height);
        }
    }

    #[test]
    fn a_server_that_is_gone_leaves_the_last_metrics_and_a_gap() {
        let mut page = page(true);
        page.lack("no process holds /data".to_owned());
        let gone = drawn(&page, 90, 22);
        assert!(
            gone.contains("no process holds /data; asking again"),
            "{gone}"
        );
        assert!(gone.contains("10 answered"), "{gone}");
        // Another process begins at zero: nothing is compared with what the first one counted.
        page.take(metrics(1), Duration::from_secs(2));
        let back = drawn(&page, 90, 22);
        assert!(back.contains("metrics of the server at http://s"), "{back}");
        assert!(back.contains("requests    -   "), "{back}");
        page.take(metrics(3), Duration::from_secs(2));
        let later = drawn(&page, 90, 22);
        assert!(later.contains("requests    1.0/s"), "{later}");
        for _ in 0..2 * SAMPLES_MAX {
            page.lack(String::new());
        }
        assert!(
            page.samples
                .iter()
                .all(|samples| samples.len() == SAMPLES_MAX)
        );
    }
}
