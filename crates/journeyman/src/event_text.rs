//! Events as text: a plain line for each, and lasting lines on a terminal for the most important ones.

use std::collections::BTreeMap;
use std::time::Duration;

use jiff::Timestamp;
use journeyman_event::payload::{CodeOrigin, ModelCallCompleted, SummaryOrigin, TestScope};
use journeyman_event::{Event, Payload};

use crate::text_format::{
    count_text, duration_text, group_digits, millis_text, one_line, token_rate, visible,
};
use crate::text_style::TextStyle;

/// The stored line with its type in front.
pub(crate) fn json_line(event: &Event) -> String {
    format!("{{\"type\":\"event\",{}", &event.line()[1..])
}

/// One line that describes an event.
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
    let line = format!(
        "{:>6} {time} {}{module}{detail}",
        event.sequence().0,
        event.kind()
    );
    visible(&line).into_owned()
}

fn detail(payload: &Payload) -> String {
    match payload {
        Payload::TaskSubmitted(task) => one_line(&task.prompt, 100),
        Payload::TaskStarted(started) => format!(
            "{} ({}), window {}, sandbox {}",
            started.model, started.server, started.window, started.sandbox
        ),
        Payload::TaskPaused(paused) => name(&paused.reason),
        Payload::StopRequested(asked) => name(&asked.stop),
        Payload::TaskFailed(failed) => format!("{}: {}", name(&failed.reason), failed.detail),
        Payload::TaskComplete(complete) => name(&complete.verification),
        Payload::RetentionChanged(changed) if changed.keep => "kept from now on".to_owned(),
        Payload::RetentionChanged(_) => "kept no longer".to_owned(),
        Payload::Erased { .. } => "(erased)".to_owned(),
        Payload::PlanningComplete(plan) => plan
            .modules
            .iter()
            .map(|module| module.name.as_str())
            .collect::<Vec<_>>()
            .join(", "),
        Payload::PlanningRejected(rejected) => rejected.problem.clone(),
        Payload::PromptAnswered(answered) => answered.text.clone(),
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
            "{}{}, prompt {}, at most {} more",
            call.purpose.as_str(),
            call.model
                .as_ref()
                .map_or_else(String::new, |name| format!(" by {name}")),
            count_text(call.prompt_tokens.0, "token"),
            group_digits(call.max_tokens.0)
        ),
        Payload::ModelCallCompleted(done) => format!(
            "{}, first after {}",
            generated(done),
            millis_text(done.first_token_ms)
        ),
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
            format!("{}, {}", lines(&code.source), name(&code.origin))
        }
        Payload::TestStarted(started) => match started.scope {
            TestScope::Module => started.files.join(", "),
            TestScope::Integration => format!("everything: {}", started.files.join(", ")),
        },
        Payload::ModelChanged(changed) => format!(
            "{} ({}), window {}",
            changed.model, changed.server, changed.window
        ),
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
            None => count_text(review.findings.len() as u64, "finding"),
        },
        Payload::SummaryCompleted(made) => match made.origin {
            SummaryOrigin::Model => "by the model".to_owned(),
            SummaryOrigin::Extracted => {
                let why = made.problem.as_deref().unwrap_or("it gave none");
                format!("taken from the code; the model's could not be used: {why}")
            }
        },
        Payload::OutputWritten(written) => count_text(written.files.len() as u64, "file"),
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
                "{}: {}, {}",
                done.tool,
                name(&done.outcome),
                count_text(done.text.len() as u64, "byte")
            )
        }
        _ => String::new(),
    }
}

/// A value's name as stored.
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

/// What a call generated, and what the model server still knew of its prompt: `212 tokens, 14 tokens/s, 900 of 1,377 prompt
/// tokens reused`.
fn generated(done: &ModelCallCompleted) -> String {
    let time = Duration::from_millis(done.total_ms.saturating_sub(done.first_token_ms));
    let mut text = count_text(done.completion_tokens.0, "token");
    if let Some(served) = &done.served_model {
        text = format!("{text} by {served}");
    }
    if let Some(rate) = token_rate(done.completion_tokens.0, time) {
        text = format!("{text}, {rate}");
    }
    if done.cached_tokens.is_zero() {
        return text;
    }
    let cached = group_digits(done.cached_tokens.0);
    let prompt = count_text(done.prompt_tokens.0, "prompt token");
    format!("{text}, {cached} of {prompt} reused")
}

/// A number of lines: `45 lines`.
fn lines(text: &str) -> String {
    count_text(text.lines().count() as u64, "line")
}

/// What lasting lines need to know about earlier events.
#[derive(Debug, Default)]
pub(crate) struct Steps {
    /// For each module, and for the task as a whole, what the last call generated and how long it took.
    calls: BTreeMap<String, (String, String)>,
    /// When the current test run started.
    tests_since: Option<Timestamp>,
}

impl Steps {
    /// The lasting line on a terminal for an event, if the event is important enough.
    pub(crate) fn headline(&mut self, event: &Event, text_style: TextStyle) -> Option<String> {
        let payload = event.payload();
        let module = event.module().map(ToString::to_string);
        let module = module.as_deref().unwrap_or("everything");
        let call = |steps: &mut Self| {
            let (generated, time) = steps.calls.remove(module)?;
            Some(format!("{generated} · {time}"))
        };
        let (mark, text, more) = match payload {
            Payload::TaskStarted(_) => (String::new(), String::new(), Some(detail(payload))),
            Payload::ModelCallCompleted(done) => {
                let brought = (generated(done), millis_text(done.total_ms));
                self.calls.insert(module.to_owned(), brought);
                return None;
            }
            Payload::TestStarted(_) => {
                self.tests_since = Some(event.occurred_at());
                return None;
            }
            Payload::PlanningComplete(_) => {
                let names = detail(payload);
                let text = match names.as_str() {
                    "" => "plan".to_owned(),
                    names => format!("plan: {names}"),
                };
                (text_style.good(), text, call(self))
            }
            Payload::CodeGenerated(code) => {
                let done = match code.origin {
                    CodeOrigin::Generated => "written",
                    CodeOrigin::Corrected => "corrected",
                    CodeOrigin::Restored => "an earlier version brought back",
                    CodeOrigin::Edited => "written by you",
                };
                let text = format!("{module}: {done}, {}", lines(&code.source));
                (text_style.good(), text, call(self))
            }
            Payload::TestsGenerated(tests) => {
                let text = format!("{module}: tests written, {}", lines(&tests.source));
                (text_style.good(), text, call(self))
            }
            Payload::TestPassed(_) => {
                let text = format!("{module}: tests passed, {}", detail(payload));
                (text_style.good(), text, self.test_time(event))
            }
            Payload::TestFailed(_) => {
                let text = format!("{module}: tests {}", detail(payload));
                (text_style.bad(), text, self.test_time(event))
            }
            Payload::ReviewCompleted(_) => (
                text_style.good(),
                format!("review: {}", detail(payload)),
                call(self),
            ),
            Payload::SummaryCompleted(_) => {
                let text = format!("{module}: summary {}", detail(payload));
                (text_style.good(), text, call(self))
            }
            Payload::ModuleComplete(_) => (
                text_style.good(),
                format!("{module}: complete, {}", detail(payload)),
                None,
            ),
            Payload::PlanningRejected(_)
            | Payload::AnswerRejected(_)
            | Payload::ModelCallFailed(_)
            | Payload::EffectRetried(_)
            | Payload::OutputFailed(_) => {
                let kind = event.kind().replace('_', " ");
                let about = event
                    .module()
                    .map_or(String::new(), |_| format!("{module}: "));
                let text = format!("{about}{kind}: {}", detail(payload));
                (text_style.open(), text, call(self))
            }
            _ => return None,
        };
        let text = text_style.plain(&visible(&one_line(&text, 160)));
        let dot = if text.is_empty() { "" } else { "· " };
        let more =
            more.map(|more| text_style.faint(&visible(&format!("{dot}{}", one_line(&more, 160)))));
        let parts = [mark, text, more.unwrap_or_default()];
        let parts: Vec<String> = parts.into_iter().filter(|part| !part.is_empty()).collect();
        Some(parts.join(" "))
    }

    fn test_time(&mut self, event: &Event) -> Option<String> {
        let since = self.tests_since.take()?;
        let time = event.occurred_at().duration_since(since);
        Some(duration_text(Duration::try_from(time).ok()?))
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)] // a test fails by panicking
pub(crate) mod tests {
    use journeyman_event::payload::{
        CodeGenerated, Form, ModelCallFailed, ModelCallStarted, PlanningComplete, Purpose,
        TaskStarted, TaskSubmitted, TestFailed, TestFailureKind, TestOrigin, TestPassed,
        TestResult, TestStarted,
    };
    use journeyman_event::{
        ContentHash, Draft, EventId, ModuleName, NewEvent, Owner, Revision, Sequence, TaskId,
        Tokens, VectorClock,
    };

    use super::*;

    const BARE: TextStyle = TextStyle {
        has_colour: false,
        has_unicode: true,
        is_screen: true,
    };

    /// An event this many milliseconds after the first.
    pub(crate) fn event(sequence: u64, ms: i64, payload: Payload) -> Event {
        let time = Timestamp::from_millisecond(1_767_225_600_000 + ms).unwrap();
        let module = match payload {
            Payload::TaskSubmitted(_) | Payload::TaskStarted(_) | Payload::PlanningComplete(_) => {
                None
            }
            Payload::ModelCallStarted(ref call) if call.purpose == Purpose::Plan => None,
            // The plan.
            Payload::ModelCallCompleted(ref done) if done.completion_tokens == Tokens(1) => None,
            _ => Some(ModuleName::new("durations").unwrap()),
        };
        let draft = Draft {
            id: EventId::from_bytes([u8::try_from(sequence).unwrap(); 16]),
            task_id: TaskId::new("t-1").unwrap(),
            owner: Owner::new("local").unwrap(),
            module,
            occurred_at: time,
            actor: "conductor".to_owned(),
            clock: VectorClock::default(),
            causation_id: None,
            code_version: 0,
            code_hash: None,
            payload,
        };
        let new = NewEvent::new(draft, time).unwrap();
        let (at, previous) = (Sequence(sequence), ContentHash::of(b""));
        new.seal(at, Revision(sequence), previous, None).unwrap()
    }

    pub(crate) fn call(purpose: Purpose) -> ModelCallStarted {
        ModelCallStarted {
            purpose,
            form: Form::default(),
            messages: Vec::new(),
            prompt_tokens: Tokens(1_377),
            exact: true,
            max_tokens: Tokens(1),
            temperature: 0.2,
            seed: 7,
            schema: None,
            model: None,
            reserved: None,
            key: None,
            project: None,
        }
    }

    fn completed(tokens: u64, first_token_ms: u64, total_ms: u64) -> ModelCallCompleted {
        ModelCallCompleted {
            text: String::new(),
            cut_short: false,
            repeated: None,
            prompt_tokens: Tokens(1_377),
            cached_tokens: Tokens::ZERO,
            cache_write_tokens: Tokens::ZERO,
            completion_tokens: Tokens(tokens),
            exact: true,
            first_token_ms,
            total_ms,
            served_model: None,
            service_tier: None,
            charge: None,
        }
    }

    fn answered(tokens: u64, first_token_ms: u64, total_ms: u64) -> Payload {
        Payload::from(completed(tokens, first_token_ms, total_ms))
    }

    #[test]
    fn what_the_model_server_still_had_of_a_prompt_is_told() {
        let mut done = completed(212, 3_100, 18_243);
        assert_eq!(generated(&done), "212 tokens, 14 tokens/s");
        done.cached_tokens = Tokens(900);
        let told = "212 tokens, 14 tokens/s, 900 of 1,377 prompt tokens reused";
        assert_eq!(generated(&done), told);
        done.served_model = Some("gpt-3.5-turbo".to_owned());
        let told = "212 tokens by gpt-3.5-turbo, 14 tokens/s, 900 of 1,377 prompt tokens reused";
        assert_eq!(generated(&done), told);
    }

    fn tests(passed: [bool; 3]) -> Vec<TestResult> {
        let test = |passed| TestResult {
            name: "t".to_owned(),
            passed,
            message: String::new(),
        };
        passed.map(test).into()
    }

    fn history() -> Vec<Event> {
        let begun = || {
            Payload::from(TestStarted {
                scope: TestScope::Module,
                origin: TestOrigin::Generated,
                files: vec!["tests/test_durations.py".to_owned()],
                code: Vec::new(),
                basis: None,
            })
        };
        let code = |origin, source: &str| {
            Payload::from(CodeGenerated {
                origin,
                source: source.to_owned(),
            })
        };
        let events: [(i64, Payload); 14] = [
            (
                0,
                TaskSubmitted::of("Parse \x1b[31mdurations\x1b[0m").into(),
            ),
            (
                10,
                Payload::from(TaskStarted {
                    model: "small\x07".to_owned(),
                    server: "llama.cpp".to_owned(),
                    window: Tokens(8_192),
                    sandbox: "bubblewrap".to_owned(),
                    tools: Vec::new(),
                    strategy: None,
                }),
            ),
            (20, call(Purpose::Plan).into()),
            (1_020, answered(1, 1_000, 1_001)),
            (
                1_021,
                Payload::from(PlanningComplete {
                    modules: Vec::new(),
                    repairs: Vec::new(),
                }),
            ),
            (1_022, call(Purpose::Code).into()),
            (
                2_000,
                Payload::from(ModelCallFailed {
                    problem: "the server says \x1b]0;owned\x07".to_owned(),
                    tokens: Tokens(0),
                    fatal: false,
                }),
            ),
            (20_000, answered(212, 3_100, 18_243)),
            (20_001, code(CodeOrigin::Generated, "a = 1\n")),
            (20_002, begun()),
            (
                20_402,
                Payload::from(TestFailed {
                    kind: TestFailureKind::Failed,
                    tests: tests([true, false, false]),
                    idle: Vec::new(),
                    broken_tests: false,
                    output: String::new(),
                    wall_ms: 400,
                }),
            ),
            (20_500, code(CodeOrigin::Corrected, "a = 1\nb = 2\n")),
            (20_502, begun()),
            (
                112_502,
                Payload::from(TestPassed {
                    tests: tests([true; 3]),
                    idle: Vec::new(),
                    skipped: Vec::new(),
                    wall_ms: 92_000,
                }),
            ),
        ];
        let numbered = (1..).zip(events);
        numbered
            .map(|(sequence, (ms, payload))| event(sequence, ms, payload))
            .collect()
    }

    fn headlines(text_style: TextStyle) -> Vec<String> {
        let mut steps = Steps::default();
        let history = history();
        let lines = history.iter();
        lines
            .filter_map(|event| steps.headline(event, text_style))
            .collect()
    }

    #[test]
    fn each_event_is_a_plain_line_without_anything_that_a_terminal_obeys() {
        let lines: Vec<String> = history().iter().map(plain_line).collect();
        assert_eq!(
            lines,
            [
                r"     1 00:00:00 task_submitted: Parse \u001b[31mdurations\u001b[0m",
                r"     2 00:00:00 task_started: small\u0007 (llama.cpp), window 8192, sandbox bubblewrap",
                "     3 00:00:00 model_call_started: plan, prompt 1,377 tokens, at most 1 more",
                "     4 00:00:01 model_call_completed: 1 token, first after 1.0 s",
                "     5 00:00:01 planning_complete",
                "     6 00:00:01 model_call_started durations: code, prompt 1,377 tokens, at most 1 more",
                r"     7 00:00:02 model_call_failed durations: the server says \u001b]0;owned\u0007",
                "     8 00:00:20 model_call_completed durations: 212 tokens, 14 tokens/s, first after 3.1 s",
                "     9 00:00:20 code_generated durations: 1 line, generated",
                "    10 00:00:20 test_started durations: tests/test_durations.py",
                "    11 00:00:20 test_failed durations: failed, 1 of 3 passed",
                "    12 00:00:20 code_generated durations: 2 lines, corrected",
                "    13 00:00:20 test_started durations: tests/test_durations.py",
                "    14 00:01:52 test_passed durations: 3 of 3",
            ]
        );
    }

    #[test]
    fn what_matters_is_a_lasting_line_with_what_it_took() {
        assert_eq!(
            headlines(BARE),
            [
                r"small\u0007 (llama.cpp), window 8192, sandbox bubblewrap",
                "✓ plan · 1 token · 1.0 s",
                r"● durations: model call failed: the server says \u001b]0;owned\u0007",
                "✓ durations: written, 1 line · 212 tokens, 14 tokens/s · 18 s",
                "✗ durations: tests failed, 1 of 3 passed · 0.4 s",
                "✓ durations: corrected, 2 lines",
                "✓ durations: tests passed, 3 of 3 · 1 min 32 s",
            ]
        );
    }

    #[test]
    fn a_terminal_gets_colour_and_marks_as_far_as_it_has_them() {
        let line = |has_colour, has_unicode| {
            let text_style = TextStyle {
                has_colour,
                has_unicode,
                ..BARE
            };
            headlines(text_style).swap_remove(4)
        };
        assert_eq!(
            line(false, false),
            "x durations: tests failed, 1 of 3 passed - 0.4 s"
        );
        assert_eq!(
            line(true, true),
            "\x1b[31m✗\x1b[0m durations: tests failed, 1 of 3 passed \x1b[2m· 0.4 s\x1b[0m"
        );
    }
}
