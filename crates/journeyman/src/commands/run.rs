//! `run` and `resume`: work on a task until it ends or is interrupted.

use std::io::Read;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context;
use journeyman_agent::{Control, check_output, headline, load, tests_in_prompt};
use journeyman_event::payload::{GivenTest, Limits, TaskSubmitted, TestOrigin};
use journeyman_event::state::{Ending, Status};
use journeyman_event::{Principal, TaskId, TaskState, Tokens};
use serde_json::json;
use tokio::signal::unix::{SignalKind, signal};
use tokio_util::sync::CancellationToken;

use crate::cli::{LimitArgs, ResumeArgs, RunArgs};
use crate::environment::SystemRandom;
use crate::exit::{Exit, UsageError};
use crate::output::{grouped, json, line};
use crate::parts::{Workshop, open_journal, read_journal, workshop};
use crate::progress::{Progress, Style, name};
use crate::settings::Settings;

/// A prompt larger than this is a mistake.
const PROMPT_BYTES_MAX: usize = 256 * 1024;
/// A test file larger than this is a mistake.
const TEST_BYTES_MAX: u64 = 256 * 1024;

pub(crate) async fn run(settings: &Settings, args: RunArgs) -> anyhow::Result<Exit> {
    let submission = submission(args)?;
    let task = TaskId::random(&SystemRandom);
    if let Some(out) = &submission.out {
        check_output(Path::new(out), Some(&task)).map_err(|e| UsageError(e.to_string()))?;
    }
    let Some(ready) = Ready::make(settings).await? else {
        return Ok(Exit::Interrupted);
    };
    ready
        .workshop
        .worker
        .submit(&task, submission, &ready.cancel)
        .await?;
    ready.progress.say(&format!("task {task}"));
    ready.work(settings, &task).await
}

pub(crate) async fn resume(settings: &Settings, args: ResumeArgs) -> anyhow::Result<Exit> {
    let ResumeArgs { task, limits } = args;
    let state = match read_journal(settings)? {
        Some(journal) => load(&journal, &Principal::local(), &task).await?,
        None => None,
    };
    let state =
        state.with_context(|| format!("there is no task {task}; `journeyman tasks` lists them"))?;
    let new_limits = changed_limits(&state, &limits);
    let may_go_on = match Exit::of(state.ending.as_ref()) {
        Exit::Limit => new_limits.is_some_and(|new| is_larger(&state, &new)),
        _ => false,
    };
    if state.status.is_ended() && !may_go_on {
        print_result(settings, &task, &state)?;
        return Ok(Exit::of(state.ending.as_ref()));
    }
    let Some(ready) = Ready::make(settings).await? else {
        return Ok(Exit::Interrupted);
    };
    if let Some(limits) = new_limits {
        ready
            .workshop
            .worker
            .change_limits(&task, limits, &ready.cancel)
            .await?;
    }
    ready.work(settings, &task).await
}

/// Everything for working on a task in the foreground.
struct Ready {
    workshop: Workshop,
    progress: Arc<Progress>,
    cancel: CancellationToken,
}

impl Ready {
    /// Takes the data folder and prepares all parts. None if that was interrupted.
    async fn make(settings: &Settings) -> anyhow::Result<Option<Self>> {
        let journal = open_journal(&settings.data_dir)?;
        let progress = Arc::new(Progress::new(Style::of(settings.json, settings.quiet)));
        let cancel = cancel_on_signals()?;
        let prepared = tokio::select! {
            prepared = workshop(settings, &settings.data_dir, journal, &progress) => Some(prepared),
            () = cancel.cancelled() => None,
        };
        if !matches!(prepared, Some(Ok(_))) {
            progress.finish();
        }
        let workshop = prepared.transpose()?;
        Ok(workshop.map(|workshop| Self {
            workshop,
            progress,
            cancel,
        }))
    }

    async fn work(&self, settings: &Settings, task: &TaskId) -> anyhow::Result<Exit> {
        let result = {
            let control = Control::interruptible(self.cancel.clone());
            self.workshop.worker.run(task, &control).await
        };
        self.progress.finish();
        let state = result
            .with_context(|| format!("task {task} stopped; `journeyman resume {task}` goes on"))?;
        print_result(settings, task, &state)?;
        Ok(Exit::of(state.ending.as_ref()))
    }
}

/// The first signal asks for a clean stop, the second ends at once: nothing recorded is lost.
pub(crate) fn cancel_on_signals() -> anyhow::Result<CancellationToken> {
    let cancel = CancellationToken::new();
    let mut signals = Vec::new();
    for kind in [
        SignalKind::interrupt(),
        SignalKind::terminate(),
        SignalKind::hangup(),
    ] {
        signals.push(signal(kind).context("cannot listen for signals")?);
    }
    for mut signal in signals {
        let cancel = cancel.clone();
        tokio::spawn(async move {
            while signal.recv().await.is_some() {
                if cancel.is_cancelled() {
                    std::process::exit(i32::from(Exit::Interrupted as u8));
                }
                cancel.cancel();
            }
        });
    }
    Ok(cancel)
}

fn submission(args: RunArgs) -> anyhow::Result<TaskSubmitted> {
    let prompt = if args.prompt == "-" {
        let mut text = String::new();
        std::io::stdin()
            .take(PROMPT_BYTES_MAX as u64 + 1)
            .read_to_string(&mut text)
            .context("cannot read the prompt from standard input")?;
        text
    } else {
        args.prompt
    };
    if prompt.trim().is_empty() {
        return Err(UsageError("the prompt is empty; say what is wanted".to_owned()).into());
    }
    if prompt.len() > PROMPT_BYTES_MAX {
        let text = format!("the prompt has more than {PROMPT_BYTES_MAX} bytes; shorten it");
        return Err(UsageError(text).into());
    }
    let mut tests = tests_in_prompt(&prompt);
    for path in &args.tests {
        let test = given_test(path)?;
        if tests.iter().any(|other| other.name == test.name) {
            let text = format!("two test files are called {}; rename one", test.name);
            return Err(UsageError(text).into());
        }
        tests.push(test);
    }
    let out = args.out.as_deref().map(absolute).transpose()?;
    Ok(TaskSubmitted {
        language: args.language.as_str().to_owned(),
        tests,
        limits: limits(Limits::default(), &args.limits),
        out,
        priority: args.priority,
        ..TaskSubmitted::of(prompt)
    })
}

fn absolute(path: &Path) -> anyhow::Result<String> {
    let path = std::path::absolute(path)
        .with_context(|| format!("--out {} cannot be made absolute", path.display()))?;
    path.into_os_string()
        .into_string()
        .map_err(|path| UsageError(format!("--out {} is not UTF-8", path.display())).into())
}

/// A test file of the user's. Its name goes into the result, so it must be a plain one.
fn given_test(path: &PathBuf) -> anyhow::Result<GivenTest> {
    let refuse = |why: String| UsageError(format!("--tests {}: {why}", path.display()));
    let name = path
        .file_name()
        .and_then(|name| name.to_str())
        .unwrap_or_default();
    let plain = name
        .bytes()
        .all(|b| b.is_ascii_alphanumeric() || b == b'_' || b == b'.');
    if !plain
        || Path::new(name)
            .extension()
            .is_none_or(|ending| ending != "py")
    {
        return Err(
            refuse("a name of letters, digits and _ that ends in .py is needed".into()).into(),
        );
    }
    let meta = std::fs::metadata(path).map_err(|error| refuse(error.to_string()))?;
    if meta.len() > TEST_BYTES_MAX {
        return Err(refuse(format!("it has more than {TEST_BYTES_MAX} bytes")).into());
    }
    let source = std::fs::read_to_string(path).map_err(|error| refuse(error.to_string()))?;
    if source.trim().is_empty() {
        return Err(refuse("it is empty".to_owned()).into());
    }
    Ok(GivenTest {
        name: name.to_owned(),
        origin: TestOrigin::File,
        source,
    })
}

pub(crate) fn limits(base: Limits, args: &LimitArgs) -> Limits {
    let ms = |time: Duration| u64::try_from(time.as_millis()).unwrap_or(u64::MAX);
    Limits {
        tokens_max: args.budget_tokens.map(Tokens).or(base.tokens_max),
        iterations_max: args.max_iterations.unwrap_or(base.iterations_max),
        active_ms_max: args.timeout.map_or(base.active_ms_max, ms),
    }
}

fn changed_limits(state: &TaskState, args: &LimitArgs) -> Option<Limits> {
    let new = limits(state.limits, args);
    (new != state.limits).then_some(new)
}

fn is_larger(state: &TaskState, new: &Limits) -> bool {
    let modules = state.modules.len();
    new.tokens(modules) > state.limits.tokens(modules)
        || new.active_ms_max > state.limits.active_ms_max
}

fn print_result(settings: &Settings, task: &TaskId, state: &TaskState) -> anyhow::Result<()> {
    let seconds = state.active.as_secs_f64();
    let output = state.output.as_deref().unwrap_or_default();
    if settings.json {
        let verification = match &state.ending {
            Some(Ending::Complete(verification)) => serde_json::to_value(verification)?,
            _ => json!({"by": "none"}),
        };
        let files: Vec<&str> = output.iter().map(|file| file.path.as_str()).collect();
        return json(&json!({
            "type": "result",
            "task_id": task,
            "status": state.status,
            "verification": verification["by"],
            "confidence": verification.get("confidence"),
            "reason": match &state.ending {
                Some(Ending::Failed { reason, .. }) => Some(name(reason)),
                _ => None,
            },
            "files": files,
            "tokens": state.spent,
            "seconds": seconds,
        }));
    }
    let end = match &state.ending {
        Some(ending) => headline(ending),
        None => format!(
            "{}: `journeyman resume {task}` goes on.",
            capitalised(state.status)
        ),
    };
    line(&end)?;
    line(&format!(
        "task {task}: {} of {} tokens, {seconds:.1} s",
        grouped(state.spent.0),
        grouped(state.budget().0)
    ))?;
    let folder = state
        .submission
        .as_ref()
        .and_then(|submission| submission.out.as_deref());
    match (folder, output.is_empty()) {
        (Some(folder), false) => line(&format!("{} files in {folder}", output.len()))?,
        _ => line(&format!("files: `journeyman files {task}`"))?,
    }
    if Exit::of(state.ending.as_ref()) == Exit::Limit {
        line(&format!(
            "`journeyman resume {task}` with a larger limit goes on"
        ))?;
    }
    Ok(())
}

fn capitalised(status: Status) -> &'static str {
    match status {
        Status::Paused => "Paused",
        _ => "Interrupted",
    }
}
