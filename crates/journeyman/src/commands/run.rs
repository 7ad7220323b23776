//! `run` and `resume`: work on a task until it ends or is interrupted.

use std::io::Read;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context;
use journeyman_agent::{
    Intervention, Notice, ServiceEnding, Submission, Tasks, check_output, examples_notice,
    headline, prompt_note, prompt_problem, test_file_problem, tests_in_prompt, write_result,
};
use journeyman_event::payload::{GivenTest, Limits, PauseReason, TaskSubmitted, TestOrigin};
use journeyman_event::state::{Ending, Status};
use journeyman_event::{Principal, TaskId, TaskState, Tokens};
use journeyman_journal::Filter;
use journeyman_queue::Full;
use serde_json::json;
use tokio::signal::unix::{SignalKind, signal};
use tokio_util::sync::CancellationToken;

use crate::cli::{LimitArgs, ResumeArgs, RunArgs};
use crate::client::{Client, Watched};
use crate::environment::SystemRandom;
use crate::exit::{Exit, UsageError};
use crate::holder::{Entrance, Holder};
use crate::output::{grouped, json, line};
use crate::parts::{open_journal, read_journal, workshop};
use crate::progress::{Progress, Style, name};
use crate::reader::Reader;
use crate::settings::Settings;

/// Between two tries to reach a server.
const RETRY: Duration = Duration::from_millis(200);
/// A holder of the data folder has this long to answer, or to be gone.
const HOLDER_TIME: Duration = Duration::from_secs(5);
/// Events read at a time.
const PAGE: usize = 1_000;
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
    follow(settings, &task, &Wish::Submit(submission)).await
}

pub(crate) async fn resume(settings: &Settings, args: ResumeArgs) -> anyhow::Result<Exit> {
    let ResumeArgs { task, limits } = args;
    let state = Reader::open(settings).await?.state(&task).await?;
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
    follow(settings, &task, &Wish::Resume(new_limits)).await
}

/// What is wanted of a task.
enum Wish {
    Submit(TaskSubmitted),
    Resume(Option<Limits>),
}

/// Sees a task through to its end, in this process or at the server that holds the data folder: when
/// that one goes away, here.
async fn follow(settings: &Settings, task: &TaskId, wish: &Wish) -> anyhow::Result<Exit> {
    let progress = Arc::new(Progress::new(Style::of(settings.json, settings.quiet)));
    progress.only(task);
    if let Wish::Submit(content) = wish {
        for remark in remarks(content) {
            progress.say(&remark);
        }
    }
    let cancel = cancel_on_signals()?;
    // What was seen of it at a server that is gone.
    let mut watched: Option<TaskState> = None;
    loop {
        let now = match watched {
            None => wish,
            // It is in the journal already.
            Some(_) => &Wish::Resume(None),
        };
        match Site::find(settings, &progress, &cancel).await {
            Err(error) => {
                progress.finish();
                return Err(error);
            }
            Ok(None) => {
                progress.finish();
                return Ok(Exit::Interrupted);
            }
            Ok(Some(Site::Here(holder))) => {
                let seen = watched.take();
                let caught_up = match &seen {
                    Some(seen) => catch_up(&holder.tasks, task, seen, &progress).await,
                    None => Ok(()),
                };
                let result = work_here(settings, *holder, task, now, &progress, &cancel).await;
                progress.finish();
                caught_up?;
                let state = result?;
                print_result(settings, task, &state)?;
                return Ok(Exit::of(state.ending.as_ref()));
            }
            Ok(Some(Site::There(client))) => {
                let state = watched.take();
                let result = watch_there(&client, task, now, state, &progress, &cancel).await;
                match result {
                    Ok((state, true)) if asks(&state) && !cancel.is_cancelled() => {
                        for answer in answers(&state, &progress, &cancel).await? {
                            client.intervene(task, &answer).await?;
                        }
                        watched = Some(state);
                    }
                    Ok((state, true)) => {
                        progress.finish();
                        let state = bring_home(&client, task, wish, state).await?;
                        print_result(settings, task, &state)?;
                        return Ok(Exit::of(state.ending.as_ref()));
                    }
                    Ok((state, false)) => {
                        progress.say("the connection is lost; going on from there");
                        tokio::time::sleep(RETRY).await;
                        watched = Some(state);
                    }
                    Err(error) => {
                        progress.finish();
                        return Err(error);
                    }
                }
            }
        }
    }
}

/// What is said of a task before it is submitted: what is made of its prompt, and what is not.
fn remarks(content: &TaskSubmitted) -> Vec<String> {
    let examples = examples_notice(&content.tests);
    let examples = examples.map(|notice| format!("{notice} (--no-examples leaves them alone)"));
    let files = files_named(&content.prompt, Path::new("."));
    let files = (!files.is_empty()).then(|| {
        format!(
            "not read: {}; what is to be known of them has to stand in the prompt",
            files.join(", ")
        )
    });
    [examples, prompt_note(&content.prompt), files]
        .into_iter()
        .flatten()
        .collect()
}

/// The files of a folder that a prompt names.
fn files_named(prompt: &str, folder: &Path) -> Vec<String> {
    let words = prompt.split(|c: char| {
        c.is_whitespace() || matches!(c, '"' | '\'' | '`' | ',' | '(' | ')' | ':')
    });
    let mut files: Vec<String> = Vec::new();
    for word in words.map(|word| word.trim_end_matches(['.', ';', '!', '?'])) {
        let is_name = word.rsplit_once('.').is_some_and(|(stem, ending)| {
            !stem.is_empty()
                && !ending.is_empty()
                && ending.bytes().all(|b| b.is_ascii_alphanumeric())
        });
        if is_name && !files.iter().any(|file| file == word) && folder.join(word).is_file() {
            files.push(word.to_owned());
        }
    }
    files
}

/// Where a task is worked on.
pub(super) enum Site {
    Here(Box<Holder>),
    There(Client),
}

impl Site {
    /// The named server, the holder of the data folder, or this process as its new holder. None if that
    /// was interrupted.
    pub(super) async fn find(
        settings: &Settings,
        progress: &Arc<Progress>,
        cancel: &CancellationToken,
    ) -> anyhow::Result<Option<Self>> {
        let began = std::time::Instant::now();
        loop {
            if let Some(client) = Client::find(settings).await? {
                return Ok(Some(Self::There(client)));
            }
            let journal = match open_journal(&settings.data_dir) {
                Ok(journal) => journal,
                // Its holder may be about to answer, or to end.
                Err(_) if is_held(settings) && began.elapsed() < HOLDER_TIME => {
                    tokio::select! {
                        () = tokio::time::sleep(RETRY) => continue,
                        () = cancel.cancelled() => return Ok(None),
                    }
                }
                Err(error) => return Err(error),
            };
            let prepared = tokio::select! {
                prepared = workshop(settings, &settings.data_dir, progress) => prepared?,
                () = cancel.cancelled() => return Ok(None),
            };
            let entrance = Entrance::local();
            let holder = Holder::start(settings, journal, prepared, entrance).await?;
            return Ok(Some(Self::Here(Box::new(holder))));
        }
    }
}

fn is_held(settings: &Settings) -> bool {
    let journal = read_journal(settings).ok().flatten();
    journal.is_none_or(|journal| journal.holder().is_some())
}

async fn work_here(
    settings: &Settings,
    holder: Holder,
    task: &TaskId,
    wish: &Wish,
    progress: &Progress,
    cancel: &CancellationToken,
) -> anyhow::Result<TaskState> {
    let (me, tasks) = (Principal::local(), holder.tasks.clone());
    let began = match wish {
        Wish::Submit(content) => {
            let submission = Submission {
                task_id: Some(task.clone()),
                content: content.clone(),
                full: Full::Refuse,
                idempotency_key: None,
            };
            tasks.submit(&me, submission).await.map(|_| ())
        }
        Wish::Resume(limits) => {
            let resume = Intervention::Resume { limits: *limits };
            tasks.intervene(&me, task, resume).await.map(|_| ())
        }
    };
    let mut ending = ServiceEnding::Shutdown;
    let mut answered = Ok(());
    while began.is_ok() {
        tokio::select! {
            () = tasks.left(&me, task) => {}
            () = cancel.cancelled() => {
                ending = ServiceEnding::Interrupted;
                break;
            }
        }
        let state = tasks.state(&me, task).await;
        let Some(state) = state.ok().filter(asks) else {
            break;
        };
        answered = answer_here(&tasks, task, &state, progress, cancel).await;
        if answered.is_err() || cancel.is_cancelled() {
            break;
        }
    }
    holder.close(settings.grace, ending).await?;
    began?;
    answered?;
    Ok(tasks.state(&me, task).await?)
}

/// Whether the task waits for answers.
fn asks(state: &TaskState) -> bool {
    state.pause == Some(PauseReason::Question)
}

async fn answer_here(
    tasks: &Tasks,
    task: &TaskId,
    state: &TaskState,
    progress: &Progress,
    cancel: &CancellationToken,
) -> anyhow::Result<()> {
    for answer in answers(state, progress, cancel).await? {
        tasks.intervene(&Principal::local(), task, answer).await?;
    }
    Ok(())
}

/// Asks the user what the planner asks. An empty line leaves a question open, and lets the task go on
/// without its answer. Nothing if that was interrupted.
async fn answers(
    state: &TaskState,
    progress: &Progress,
    cancel: &CancellationToken,
) -> anyhow::Result<Vec<Intervention>> {
    let mut given = Vec::new();
    let mut open = 0;
    for question in state.open_questions() {
        progress.ask(&format!("{} (Enter leaves it open)", question.text));
        let line = tokio::select! {
            line = line_of_input() => line?,
            () = cancel.cancelled() => return Ok(Vec::new()),
        };
        if line.trim().is_empty() {
            open += 1;
            continue;
        }
        given.push(Intervention::Answer {
            question: Some(question.id.clone()),
            answer: line.trim().to_owned(),
        });
    }
    if open > 0 {
        given.push(Intervention::Resume { limits: None });
    }
    Ok(given)
}

/// On a thread that nobody waits for: a program that ends does not wait for its user.
async fn line_of_input() -> anyhow::Result<String> {
    let (said, heard) = tokio::sync::oneshot::channel();
    std::thread::spawn(move || {
        let mut line = String::new();
        let read = std::io::stdin().read_line(&mut line).map(|_| line);
        let _ = said.send(read);
    });
    let line = heard.await.context("standard input is gone")?;
    line.context("cannot read the answer from standard input")
}

/// Shows what was recorded of a task since it was last seen at a server that is gone.
async fn catch_up(
    tasks: &Tasks,
    task: &TaskId,
    seen: &TaskState,
    progress: &Progress,
) -> anyhow::Result<()> {
    let (me, mut state) = (Principal::local(), seen.clone());
    let filter = Filter::of_task(task);
    loop {
        let journal = tasks.journal();
        let page = journal.read(&me, &filter, state.sequence, PAGE).await?;
        for event in page.events {
            state.evolve(&event)?;
            progress.notice(&Notice::Event {
                event,
                state: Arc::new(state.clone()),
            });
        }
        if page.ended {
            return Ok(());
        }
    }
}

/// Watches a task at a server. Its state, and whether it ended or rests; otherwise the connection was
/// lost.
async fn watch_there(
    client: &Client,
    task: &TaskId,
    wish: &Wish,
    known: Option<TaskState>,
    progress: &Progress,
    cancel: &CancellationToken,
) -> anyhow::Result<(TaskState, bool)> {
    let mut state = match (wish, known) {
        (Wish::Submit(content), _) => {
            let request = request(task, content, client);
            client.post("/api/v1/tasks", &request).await?;
            TaskState::default()
        }
        (Wish::Resume(limits), known) => {
            let now = client.state(task, None).await?.unwrap_or_default();
            if now.status.is_ended() && limits.is_none() {
                return Ok((now, true));
            }
            let resume = Intervention::Resume { limits: *limits };
            client.intervene(task, &resume).await?;
            known.unwrap_or(now)
        }
    };
    let watching = client.watch(task, state.sequence, |event| {
        state.evolve(&event)?;
        progress.notice(&Notice::Event {
            event,
            state: Arc::new(state.clone()),
        });
        let waits = [Some(PauseReason::User), Some(PauseReason::Question)];
        Ok(!state.status.is_ended() && !waits.contains(&state.pause))
    });
    let watched = tokio::select! {
        watched = watching => Some(watched?),
        () = cancel.cancelled() => None,
    };
    match watched {
        Some(Watched::Ended) => Ok((state, true)),
        Some(Watched::Lost) => Ok((state, false)),
        None => {
            client.intervene(task, &Intervention::Pause).await?;
            let state = client.state(task, None).await?;
            Ok((state.unwrap_or_default(), true))
        }
    }
}

/// A submission as the server takes it.
fn request(task: &TaskId, content: &TaskSubmitted, client: &Client) -> serde_json::Value {
    let files = content
        .tests
        .iter()
        .filter(|test| test.origin == TestOrigin::File);
    let tests: Vec<_> = files
        .map(|test| json!({"name": test.name, "source": test.source}))
        .collect();
    let limits = &content.limits;
    json!({
        "task_id": task,
        "prompt": content.prompt,
        "ask": content.ask,
        "review": content.review,
        "examples": !content.no_examples,
        "tests": tests,
        "priority": content.priority,
        "language": content.language,
        "budget": limits.tokens_max,
        "timeout": limits.active_max().as_secs_f64(),
        "max_iterations": limits.iterations_max,
        "out": content.out.as_ref().filter(|_| client.is_local()),
    })
}

/// Writes a result that was made elsewhere into the user's folder.
async fn bring_home(
    client: &Client,
    task: &TaskId,
    wish: &Wish,
    mut state: TaskState,
) -> anyhow::Result<TaskState> {
    if state.submission.is_none() {
        state = client.state(task, None).await?.unwrap_or(state);
    }
    let Wish::Submit(TaskSubmitted { out: Some(out), .. }) = wish else {
        return Ok(state);
    };
    if !client.is_local() && state.status.is_ended() {
        let (folder, task, result) = (PathBuf::from(out), task.clone(), state.clone());
        let written = tokio::task::spawn_blocking(move || write_result(&folder, &task, &result));
        state.output = Some(written.await??);
        if let Some(asked) = &mut state.submission {
            asked.out = Some(out.clone());
        }
    }
    Ok(state)
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
    if let Some(problem) = prompt_problem(&prompt) {
        return Err(UsageError(format!("this prompt is not worked on: {problem}")).into());
    }
    let mut tests = if args.no_examples {
        Vec::new()
    } else {
        tests_in_prompt(&prompt)
    };
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
        ask: args.ask,
        review: args.review,
        no_examples: args.no_examples,
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
    if let Some(problem) = test_file_problem(&source) {
        return Err(refuse(problem).into());
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
    let asked = state.submission.as_ref();
    if let Some(notice) = asked.and_then(|asked| examples_notice(&asked.tests)) {
        line(&notice)?;
    }
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
