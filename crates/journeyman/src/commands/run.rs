//! `run` and `resume`: work on a task until it ends or is interrupted.

use std::io::Read;
use std::path::{Path, PathBuf};
use std::string::FromUtf8Error;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context, bail};
use journeyman_agent::limits::{
    SOURCE_CHARS_MAX, TEXT_CHARS_MAX, check_source, check_submission, check_text,
};
use journeyman_agent::{
    Intervention, Notice, ServiceEnding, Submission, Tasks, answered, check_output,
    examples_notice, headline, is_plain_question, prompt_note, prompt_problem, test_file_name,
    test_file_problem, tests_in_prompt, write_result,
};
use journeyman_event::payload::{
    FailureReason, GivenTest, Limits, PauseReason, TaskSubmitted, TestOrigin,
};
use journeyman_event::state::{Ending, Status};
use journeyman_event::{Principal, TaskId, TaskState, Tokens, printable};
use journeyman_journal::Filter;
use journeyman_queue::Full;
use serde_json::json;
use tokio::signal::unix::{SignalKind, signal};
use tokio_util::sync::CancellationToken;

use crate::cli::{LimitArgs, ResumeArgs, RunArgs};
use crate::client::{Client, Watched, is_lost, is_not_now};
use crate::environment::SystemRandom;
use crate::exit::{Exit, UsageError};
use crate::holder::{Entrance, Holder};
use crate::output::{grouped, json, line, remark};
use crate::parts::{open_journal, workshop};
use crate::progress::{Progress, Style, name};
use crate::reader::Reader;
use crate::settings::Settings;

/// Between two tries to reach a server.
const RETRY: Duration = Duration::from_millis(200);
/// A holder of the data folder has this long to answer, or to be gone.
const HOLDER_TIME: Duration = Duration::from_secs(5);
/// A server elsewhere that is lost has this long to come back.
const SERVER_TIME: Duration = Duration::from_mins(1);
/// Events read at a time.
const PAGE: usize = 1_000;
/// No file that fits has more bytes: none is read to see that.
const TEST_BYTES_MAX: u64 = 4 * SOURCE_CHARS_MAX as u64;

pub(crate) async fn run(settings: &Settings, args: RunArgs) -> anyhow::Result<Exit> {
    let (asked, notes) = submission(args)?;
    let submission = TaskSubmitted {
        tools: settings.tools_said(),
        ..asked
    };
    let task = TaskId::random(&SystemRandom);
    if let Some(out) = &submission.out {
        check_out(settings, &task, out)?;
    }
    follow(settings, &task, Wish::Submit(submission), notes).await
}

pub(crate) async fn resume(settings: &Settings, args: ResumeArgs) -> anyhow::Result<Exit> {
    let ResumeArgs { task, out, limits } = args;
    let state = Reader::open(settings).await?.state(&task).await?;
    let state =
        state.with_context(|| format!("there is no task {task}; `journeyman tasks` lists them"))?;
    let out = out.as_deref().map(absolute).transpose()?;
    if let Some(out) = &out {
        check_out(settings, &task, out)?;
    }
    let changes = Changes {
        limits: changed_limits(&state, &limits),
        out,
    };
    let settings = &Settings {
        // Only its result is to be written.
        model_required: settings.model_required && !failed_to_write(&state),
        ..settings.clone()
    };
    follow(settings, &task, Wish::Resume(changes), Vec::new()).await
}

/// A folder that the result cannot go to is told before anything is done.
fn check_out(settings: &Settings, task: &TaskId, out: &str) -> Result<(), UsageError> {
    let checked = check_output(Path::new(out), Some(task), Some(&settings.data_dir));
    checked.map_err(|error| UsageError(format!("--out: {error}")))
}

/// What is wanted of a task.
enum Wish {
    Submit(TaskSubmitted),
    Resume(Changes),
}

/// How a task that goes on is to differ from what it was.
#[derive(Clone, Default)]
struct Changes {
    limits: Option<Limits>,
    out: Option<String>,
}

impl Wish {
    /// What is still to be done about a task in this state, which it may have reached since it was
    /// wished. None if it has come to its end.
    fn of(&self, state: &TaskState) -> Option<Changes> {
        let changes = match self {
            // It is in the journal already.
            Self::Submit(_) => Changes::default(),
            Self::Resume(changes) => changes.clone(),
        };
        let may_go_on = match Exit::of(state.ending.as_ref()) {
            Exit::Limit => changes.limits.is_some_and(|new| is_larger(state, &new)),
            _ if failed_to_write(state) => changes.out.is_some(),
            _ if state.failed_by_model() => matches!(self, Self::Resume(_)),
            _ => !state.status.is_ended(),
        };
        may_go_on.then_some(changes)
    }

    /// Where the result is to go, as it was said now.
    fn out(&self) -> Option<&str> {
        match self {
            Self::Submit(content) => content.out.as_deref(),
            Self::Resume(changes) => changes.out.as_deref(),
        }
    }
}

fn failed_to_write(state: &TaskState) -> bool {
    let reason = FailureReason::Output;
    matches!(&state.ending, Some(Ending::Failed { reason: why, .. }) if *why == reason)
}

/// Sees a task through to its end, shows how it goes, and prints the result, with what is to be noted
/// of it first. Whether anybody reads that
/// changes nothing.
async fn follow(
    settings: &Settings,
    task: &TaskId,
    wish: Wish,
    notes: Vec<String>,
) -> anyhow::Result<Exit> {
    let progress = Arc::new(Progress::new(Style::of(settings.json, settings.quiet)));
    progress.only(task);
    if let Wish::Submit(content) = &wish {
        for remark in notes.into_iter().chain(remarks(content)) {
            progress.say(&remark);
        }
    }
    let cancel = cancel_on_signals()?;
    let seen = see_through(settings, task, &wish, &progress, &cancel).await;
    progress.finish().await;
    let Some(state) = seen? else {
        return Ok(Exit::Interrupted);
    };
    let state = bring_home(task, &wish, state).await?;
    if let Err(error) = print_result(settings, task, &state) {
        remark(&format!("{error:#}"));
    }
    Ok(Exit::of(state.ending.as_ref()))
}

/// Sees a task through to its end or rest, in this process or at the server that holds the data folder:
/// when that one goes away, here. None if it was interrupted before there was a task.
async fn see_through(
    settings: &Settings,
    task: &TaskId,
    wish: &Wish,
    progress: &Arc<Progress>,
    cancel: &CancellationToken,
) -> anyhow::Result<Option<TaskState>> {
    if let Wish::Resume(_) = wish
        && let Some(state) = Reader::open(settings).await?.state(task).await?
        && wish.of(&state).is_none()
    {
        // Nobody need work on it any more.
        return Ok(Some(state));
    }
    // What was seen of it at a server, and whether that may have it.
    let (mut seen, mut is_sent) = (None, false);
    let mut lost_since = None;
    loop {
        match Site::find(settings, progress, cancel).await? {
            None => return Ok(seen),
            Some(Site::Here(holder)) => {
                let caught_up = match &seen {
                    Some(seen) => catch_up(&holder.tasks, task, seen, progress).await,
                    None => Ok(()),
                };
                let state = work_here(settings, *holder, task, wish, progress, cancel).await?;
                caught_up?;
                return Ok(Some(state));
            }
            Some(Site::There(client)) => {
                let there = There {
                    client: &client,
                    settings,
                    task,
                    progress,
                    cancel,
                };
                let before = is_sent;
                let problem = match there.watch(wish, &mut seen, &mut is_sent).await {
                    Ok(Watched::Ended) => return Ok(seen),
                    Ok(Watched::Lost) => None,
                    Err(error) if is_lost(&error) && (client.is_local() || before || is_sent) => {
                        Some(error)
                    }
                    Err(error) if is_not_now(&error) && client.is_local() => Some(error),
                    Err(error) => return Err(error),
                };
                if problem.is_none() {
                    lost_since = None;
                }
                let since = *lost_since.get_or_insert_with(Instant::now);
                let patience = if client.is_local() {
                    HOLDER_TIME
                } else {
                    SERVER_TIME
                };
                if let Some(error) = problem.filter(|_| since.elapsed() > patience) {
                    let hint = format!(
                        "the connection to {} is lost; `journeyman resume {task}` shows what becomes \
                         of the task there",
                        client.who(settings)
                    );
                    return Err(error.context(hint));
                }
                if since.elapsed() < RETRY {
                    progress.say("the server is gone or stopping; going on from there");
                }
                tokio::select! {
                    () = tokio::time::sleep(RETRY) => {}
                    () = cancel.cancelled() => return Ok(seen),
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
    let is_question = content.tests.is_empty() && is_plain_question(&content.prompt);
    let question = is_question.then(|| {
        "a plain question: the model answers it in words, and nothing is written or run".to_owned()
    });
    [examples, question, prompt_note(&content.prompt), files]
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
        let began = Instant::now();
        loop {
            if let Some(client) = Client::find(settings).await? {
                return Ok(Some(Self::There(client)));
            }
            let journal = match open_journal(&settings.data_dir) {
                Ok(journal) => journal,
                // Its holder may be about to answer, or to end.
                Err(error) if is_locked(&error) && began.elapsed() < HOLDER_TIME => {
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

fn is_locked(error: &anyhow::Error) -> bool {
    matches!(
        error.downcast_ref(),
        Some(journeyman_journal::Error::Locked { .. })
    )
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
    let began = begin_here(&tasks, task, wish).await;
    let mut ending = ServiceEnding::Shutdown;
    let mut answered = Ok(());
    let mut goes_on = matches!(began, Ok(true));
    while goes_on {
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
        goes_on = answered.is_ok() && !cancel.is_cancelled();
    }
    holder.close(settings.grace, ending).await?;
    began?;
    answered?;
    Ok(tasks.state(&me, task).await?)
}

/// Puts the task into the queue; false if it has come to its end.
async fn begin_here(
    tasks: &Tasks,
    task: &TaskId,
    wish: &Wish,
) -> Result<bool, journeyman_agent::Error> {
    let me = Principal::local();
    let known = match (tasks.state(&me, task).await, wish) {
        (Ok(state), _) => Some(state),
        (Err(journeyman_agent::Error::NoSuchTask { .. }), Wish::Submit(_)) => None,
        (Err(error), _) => return Err(error),
    };
    match (wish, known) {
        (Wish::Submit(content), None) => {
            let submission = Submission {
                task_id: Some(task.clone()),
                content: content.clone(),
                full: Full::Refuse,
                idempotency_key: None,
            };
            tasks.submit(&me, submission).await?;
        }
        (wish, known) => match wish.of(&known.unwrap_or_default()) {
            None => return Ok(false),
            Some(Changes { limits, out }) => {
                let resume = Intervention::Resume { limits, out };
                tasks.intervene(&me, task, resume).await?;
            }
        },
    }
    Ok(true)
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
        given.push(Intervention::Resume {
            limits: None,
            out: None,
        });
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

/// A task at a server.
struct There<'a> {
    client: &'a Client,
    settings: &'a Settings,
    task: &'a TaskId,
    progress: &'a Progress,
    cancel: &'a CancellationToken,
}

impl There<'_> {
    /// Sees to it that the task goes on, and watches it until it has ended or rests. `seen` is what was
    /// seen of it; `is_sent` says whether the server may have it.
    async fn watch(
        &self,
        wish: &Wish,
        seen: &mut Option<TaskState>,
        is_sent: &mut bool,
    ) -> anyhow::Result<Watched> {
        let (client, task) = (self.client, self.task);
        self.say_conflicts(*is_sent).await?;
        let known = match wish {
            Wish::Submit(_) if !*is_sent => None,
            _ => client.state(task, None).await?,
        };
        match (wish, &known) {
            (Wish::Submit(content), None) => {
                *is_sent = true;
                client.submit(task, content).await?;
            }
            (_, None) => bail!("there is no task {task}; `journeyman tasks` lists them"),
            (wish, Some(now)) => {
                *is_sent = true;
                if let Some(Changes { limits, out }) = wish.of(now) {
                    // Into a folder of this machine the result is brought at the end.
                    let out = out.filter(|_| client.is_local());
                    let resume = Intervention::Resume { limits, out };
                    client.intervene(task, &resume).await?;
                }
            }
        }
        let state = seen.get_or_insert_with(|| match wish {
            Wish::Submit(_) => TaskState::default(),
            Wish::Resume(_) => known.unwrap_or_default(),
        });
        loop {
            match self.watch_on(state).await? {
                Watched::Ended if asks(state) && !self.cancel.is_cancelled() => {
                    for answer in answers(state, self.progress, self.cancel).await? {
                        client.intervene(task, &answer).await?;
                    }
                    if self.cancel.is_cancelled() {
                        return self.pause(state).await;
                    }
                }
                watched => return Ok(watched),
            }
        }
    }

    /// Until it has ended, or rests, or nothing more is heard of it.
    async fn watch_on(&self, state: &mut TaskState) -> anyhow::Result<Watched> {
        let watching = self.client.watch(self.task, state.sequence, |event| {
            state.evolve(&event)?;
            self.progress.notice(&Notice::Event {
                event,
                state: Arc::new(state.clone()),
            });
            let waits = [Some(PauseReason::User), Some(PauseReason::Question)];
            Ok(!state.status.is_ended() && !waits.contains(&state.pause))
        });
        tokio::select! {
            watched = watching => return watched,
            () = self.cancel.cancelled() => {}
        }
        self.pause(state).await
    }

    /// Lets the task rest for its user who wants to go. It may have ended at that moment.
    async fn pause(&self, state: &mut TaskState) -> anyhow::Result<Watched> {
        let paused = self.client.intervene(self.task, &Intervention::Pause).await;
        let now = self.client.state(self.task, None).await;
        match (paused, now) {
            (Ok(_), Ok(now)) => *state = now.unwrap_or_default(),
            (Err(_), Ok(Some(now))) if now.status.is_ended() => *state = now,
            // With its holder it came to rest.
            (Err(error), _) if is_lost(&error) => {}
            (Err(error), _) | (_, Err(error)) => return Err(error),
        }
        Ok(Watched::Ended)
    }

    /// What of the settings cannot be had there: before the task is there it is refused.
    async fn say_conflicts(&self, is_sent: bool) -> anyhow::Result<()> {
        let conflicts = self.client.conflicts(self.settings).await?;
        if !is_sent {
            conflicts.refuse()?;
        }
        for words in conflicts.refused.iter().chain(&conflicts.told) {
            self.progress.warn(&format!("{}: {words}", conflicts.with));
        }
        Ok(())
    }
}

/// Writes a result that was made elsewhere, or before, into the user's folder.
async fn bring_home(task: &TaskId, wish: &Wish, mut state: TaskState) -> anyhow::Result<TaskState> {
    let asked = state.submission.as_ref();
    let is_there = |out: &str| {
        state.output.is_some() && asked.is_some_and(|asked| asked.out.as_deref() == Some(out))
    };
    let Some(out) = wish.out().filter(|out| !is_there(out)) else {
        return Ok(state);
    };
    if !state.status.is_ended() || !state.has_result() || state.output_problem.is_some() {
        return Ok(state);
    }
    let (folder, task, result) = (PathBuf::from(out), task.clone(), state.clone());
    let written = tokio::task::spawn_blocking(move || write_result(&folder, &task, &result));
    match written.await? {
        Ok(files) => state.output = Some(files),
        Err(problem) => {
            let detail = problem.to_string();
            state.output_problem = Some(detail.clone());
            if let Some(Ending::Complete(_)) = state.ending {
                let reason = FailureReason::Output;
                state.ending = Some(Ending::Failed { reason, detail });
            }
        }
    }
    if let Some(asked) = &mut state.submission {
        asked.out = Some(out.to_owned());
    }
    Ok(state)
}

/// The first signal asks for a clean stop, the second ends at once: nothing recorded is lost.
pub(crate) fn cancel_on_signals() -> anyhow::Result<CancellationToken> {
    let cancel = CancellationToken::new();
    let mut signals = Vec::new();
    let ignored = ignored_signals();
    for kind in [
        SignalKind::interrupt(),
        SignalKind::terminate(),
        SignalKind::hangup(),
    ] {
        // Whoever started this with a signal ignored (nohup, a job in the background of a script) means
        // it to go on.
        if ignored >> (kind.as_raw_value() - 1) & 1 == 0 {
            signals.push(signal(kind).context("cannot listen for signals")?);
        }
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

/// The signals that this process ignores, a bit each, the first for signal 1; none where the system does
/// not tell.
fn ignored_signals() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("SigIgn:"));
    let mask = line.and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok());
    mask.unwrap_or_default()
}

/// What is asked for, and what was made of it otherwise than it was given.
fn submission(args: RunArgs) -> anyhow::Result<(TaskSubmitted, Vec<String>)> {
    let prompt = if args.prompt == "-" {
        let mut text = String::new();
        std::io::stdin()
            .take(4 * TEXT_CHARS_MAX as u64 + 1)
            .read_to_string(&mut text)
            .context("cannot read the prompt from standard input")?;
        text
    } else {
        args.prompt
    };
    let usage = |error: journeyman_agent::Error| UsageError(error.to_string());
    check_text("prompt", &prompt).map_err(usage)?; // tests are looked for in it
    if let Some(problem) = prompt_problem(&prompt) {
        return Err(UsageError(format!("this prompt is not worked on: {problem}")).into());
    }
    let mut tests = if args.no_examples {
        Vec::new()
    } else {
        tests_in_prompt(&prompt)
    };
    let mut notes = Vec::new();
    for path in &args.tests {
        let test = given_test(path, &tests)?;
        if path.file_name().is_none_or(|name| *name != *test.name) {
            notes.push(format!(
                "the test file {} is kept as {}",
                path.display(),
                test.name
            ));
        }
        tests.push(test);
    }
    let out = args.out.as_deref().map(absolute).transpose()?;
    let content = TaskSubmitted {
        language: args.language.as_str().to_owned(),
        tests,
        limits: limits(Limits::default(), &args.limits),
        out,
        priority: args.priority,
        ask: args.ask,
        review: args.review,
        no_examples: args.no_examples,
        ..TaskSubmitted::of(prompt)
    };
    check_submission(&content).map_err(usage)?;
    Ok((content, notes))
}

fn absolute(path: &Path) -> anyhow::Result<String> {
    let path = std::path::absolute(path)
        .map_err(|error| UsageError(format!("--out {:?}: {error}", path.display().to_string())))?;
    path.into_os_string()
        .into_string()
        .map_err(|path| UsageError(format!("--out {} is not UTF-8", path.display())).into())
}

/// A test file of the user's, kept under a name that none of the others has.
fn given_test(path: &Path, others: &[GivenTest]) -> anyhow::Result<GivenTest> {
    let refuse = |why: String| UsageError(format!("--tests {}: {why}", path.display()));
    let meta = std::fs::metadata(path).map_err(|error| refuse(error.to_string()))?;
    if meta.len() > TEST_BYTES_MAX {
        return Err(refuse(format!("it has more than {SOURCE_CHARS_MAX} characters")).into());
    }
    let bytes = std::fs::read(path).map_err(|error| refuse(error.to_string()))?;
    let source = String::from_utf8(bytes).map_err(|error| refuse(not_utf8(path, &error)))?;
    check_source("tests", &source).map_err(|error| refuse(error.to_string()))?;
    if let Some(problem) = test_file_problem(&source) {
        return Err(refuse(problem).into());
    }
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    Ok(GivenTest {
        name: test_file_name(&name, &source, others),
        origin: TestOrigin::File,
        source,
    })
}

/// Where a file is not UTF-8, and what to do about it.
fn not_utf8(path: &Path, error: &FromUtf8Error) -> String {
    let (bytes, at) = (error.as_bytes(), error.utf8_error().valid_up_to());
    let line = bytes[..at].split(|byte| *byte == b'\n').count();
    let encoding = match bytes {
        [0xff, 0xfe, ..] | [0xfe, 0xff, ..] => "UTF-16",
        _ => "LATIN1",
    };
    format!(
        "line {line} has the byte 0x{:02X}, which is no UTF-8; convert the file, such as with \
         `iconv -f {encoding} -t UTF-8 {}`",
        bytes.get(at).copied().unwrap_or_default(),
        path.display()
    )
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
            "answer": state.reply.as_ref().map(|reply| &reply.text),
            "tokens": state.spent,
            "seconds": seconds,
        }));
    }
    let end = match &state.ending {
        Some(Ending::Complete(_)) if let Some(reply) = &state.reply => answered(reply),
        Some(ending) => headline(state, ending),
        None => format!(
            "{}: `journeyman resume {task}` goes on.",
            capitalised(state.status)
        ),
    };
    line(&printable(&end))?;
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
    if state.output_problem.is_some() {
        line(&format!(
            "`journeyman resume {task} --out DIR` writes the result elsewhere"
        ))?;
    }
    if Exit::of(state.ending.as_ref()) == Exit::Limit {
        line(&format!(
            "`journeyman resume {task}` with a larger limit goes on"
        ))?;
    }
    if state.failed_by_model() {
        line(&format!("`journeyman resume {task}` tries it again"))?;
    }
    Ok(())
}

fn capitalised(status: Status) -> &'static str {
    match status {
        Status::Paused => "Paused",
        _ => "Interrupted",
    }
}
