//! The commands and their arguments.

use std::ffi::OsString;
use std::num::{NonZeroU32, NonZeroU64, NonZeroUsize};
use std::path::PathBuf;
use std::str::FromStr;
use std::time::Duration;

use clap::builder::PossibleValuesParser;
use clap::error::{ContextKind, ContextValue, ErrorKind};
use clap::{Args, CommandFactory, FromArgMatches, Parser, Subcommand, ValueEnum};
use jiff::Timestamp;
use journeyman_api::limits::{ITERATIONS_MAX, TOKEN_BUDGET_MAX};
use journeyman_event::{ModuleName, Owner, Priority, Revision, Sequence, TaskId};
use journeyman_journal::Head;
use journeyman_language::{default_language, names};
use journeyman_server::{TcpProtocols, UserRole};
use journeyman_workflow::Moment;

use crate::exit;
use crate::settings::{Settings, Variables, flags, parse_duration};

const EXAMPLES: &str = "\
Examples:
  journeyman run \"A module that parses ISO 8601 durations\" --out ./durations
  journeyman run --tests test_slug.py \"A slugify function\" --out ./slug
  journeyman tasks
  journeyman resume t-0123456789ab
  journeyman resume t-0123456789ab --out ./elsewhere";

fn examples() -> String {
    format!(
        "{EXAMPLES}\n\nExit codes of run and resume:\n{}",
        exit::meanings()
    )
}

const SERVE_EXAMPLES: &str = "\
Every other command uses the server that holds the data folder, or the one that --server names.

Examples:
  journeyman serve
  journeyman serve --port 8000 --max-concurrent 2
  journeyman serve --port 0 --port-file ./port
  journeyman serve --host 0.0.0.0 --token-file tokens.jsonl
  journeyman serve --mcp-only
  curl -d '{\"prompt\":\"A slugify function\"}' -H 'Content-Type: application/json' http://127.0.0.1:9876/api/v1/tasks

The first Ctrl-C lets running tasks come to an event boundary (--grace), the second stops at once; after
a restart they go on. http://127.0.0.1:9876/api/v1/openapi.json describes the API.";

const ENGINE_EXAMPLES: &str = "\
One managed server a data folder is started when a command first needs it. All commands share it, and it
ends when none has used it for a while (--model-idle). It is started again when it dies or hangs.

Examples:
  journeyman engine install --model qwen2.5-coder-0.5b
  journeyman engine start --model-idle 2h
  journeyman engine start --model-slots 4
  journeyman engine status --json
  journeyman engine stop

Exit codes of status: 0 it runs, 3 it does not (yet, or any more), 1 anything else.";

const MODEL_EXAMPLES: &str = "\
Examples:
  journeyman model list
  journeyman model pull qwen2.5-coder-0.5b
  journeyman model pull hf:owner/repository/file.gguf
  journeyman model pull hf:owner/repository:Q4_K_M
  journeyman model pull https://host/file.gguf#sha256=HEX
  journeyman run \"...\" --model hf:owner/repository:Q4_K_M

A private repository needs HF_TOKEN; HF_ENDPOINT names a mirror.";

const TOOLS_EXAMPLES: &str = "\
Where nobody holds the data folder, the configured servers are started for as long as this takes.

A server is named in the configuration file, and its tools are then called SERVER.TOOL:
  [mcp_servers.docs]
  command = \"docs-server\"
  args = [\"--stdio\"]

  [mcp_servers.search]
  url = \"https://host/mcp\"

--log journeyman_tools=debug also shows what a server that does not start writes to its error output.
Agents call what --tools allows (--tools 'docs.*,read_file'), or what their task does; you call all of them.";

const CALL_EXAMPLES: &str = "\
It needs somebody who holds the data folder (`journeyman serve`, or a run that is under way), or --server.

Examples:
  journeyman call TASK list_files
  journeyman call TASK read_file '{\"path\": \"solution.py\"}'
  journeyman call TASK docs.search - --json < arguments.json

Ends with 0 if the tool did it, else with 1.";

/// A coding agent for small and local language models that never loses a step.
#[derive(Debug, Parser)]
#[command(name = "journeyman", version, after_help = examples(), max_term_width = 100)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Turn a prompt into tested code
    Run(RunArgs),
    /// Go on with a task that was interrupted, paused, stopped at a limit, or failed by its model server
    Resume(ResumeArgs),
    /// Work on tasks as a server: REST, server-sent events, WebSocket and MCP on one port
    #[command(after_help = SERVE_EXAMPLES)]
    Serve(ServeArgs),
    /// Serve one MCP client over standard input and output
    Mcp,
    /// Make a token for a user of a server, and the line for its token file
    Token {
        /// Whose: the owner of the tasks that it may see
        name: Owner,
        /// What they may do
        #[arg(long, default_value = "user")]
        role: RoleArg,
    },
    /// Say what else is wanted of a task: part of every prompt from its next step on
    Tell {
        /// The task
        task: TaskId,
        /// What is wanted
        instruction: String,
        #[command(flatten)]
        only: IfVersion,
    },
    /// Answer a question of a task's
    Answer {
        /// The task
        task: TaskId,
        /// The answer
        answer: String,
        /// The question
        #[arg(long)]
        question: Option<String>,
        #[command(flatten)]
        only: IfVersion,
    },
    /// Write a module's file yourself: its next version, tested like any other
    Edit {
        /// The task
        task: TaskId,
        /// The file, as `journeyman files` names it
        path: String,
        /// Where its new text is; - for standard input
        file: PathBuf,
        #[command(flatten)]
        only: IfVersion,
    },
    /// Want no more work on a module
    Skip {
        /// The task
        task: TaskId,
        /// The module, by its name or by its file
        module: String,
        #[command(flatten)]
        only: IfVersion,
    },
    /// Let a task rest until `resume`
    Pause {
        /// The task
        task: TaskId,
        #[command(flatten)]
        only: IfVersion,
    },
    /// End a task
    Cancel {
        /// The task
        task: TaskId,
        #[command(flatten)]
        only: IfVersion,
    },
    /// Do a task once more, from its beginning, as a new task
    Retry {
        /// The task
        task: TaskId,
        #[command(flatten)]
        only: IfVersion,
    },
    /// Start a new task from a past event of another one
    Fork(ForkArgs),
    /// List the tasks
    Tasks {
        /// How many, newest first
        #[arg(long, default_value = "50", value_name = "N", value_parser = parse_length)]
        limit: usize,
    },
    /// Show one task: its state, modules, tests and result
    Show {
        /// The task
        task: TaskId,
        /// As it was then: after the event of a sequence number, at a version, or at a time
        #[arg(long, value_name = "N|vN|TIME")]
        at: Option<Moment>,
    },
    /// Print events, oldest first
    Events(EventsArgs),
    /// List a task's files, or print one of them in any of its versions
    Files(FilesArgs),
    /// List the tools that may be called on a task, and how the configured MCP servers are
    #[command(after_help = TOOLS_EXAMPLES)]
    Tools,
    /// Call a tool on a task, recorded like an agent's call
    #[command(after_help = CALL_EXAMPLES)]
    Call(CallArgs),
    /// The journal
    Journal {
        #[command(subcommand)]
        command: JournalCommand,
    },
    /// Measure accuracy on a benchmark: the workflow beside the bare model
    Eval(EvalArgs),
    /// Reads hidden tests, so that nothing else has to
    #[command(hide = true)]
    EvalScorer {
        #[command(subcommand)]
        command: ScorerCommand,
    },
    /// The managed model server: get, start, stop or look at it
    #[command(after_help = ENGINE_EXAMPLES)]
    Engine {
        #[command(subcommand)]
        command: EngineCommand,
    },
    /// The models of the managed model server
    #[command(after_help = MODEL_EXAMPLES)]
    Model {
        #[command(subcommand)]
        command: ModelCommand,
    },
    /// Show what was found: journal, model servers, sandbox, Python, disk, MCP servers
    Doctor,
    /// The settings
    Config {
        #[command(subcommand)]
        command: ConfigCommand,
    },
    /// Print completions for a shell
    Completions {
        /// The shell
        shell: clap_complete::Shell,
    },
}

#[derive(Debug, Args)]
pub(crate) struct RunArgs {
    /// What is wanted; - reads it from standard input
    pub(crate) prompt: String,
    /// Folder for the result: a new or an empty one
    #[arg(long, value_name = "DIR")]
    pub(crate) out: Option<PathBuf>,
    /// A test file that must pass (repeatable)
    #[arg(long, value_name = "FILE")]
    pub(crate) tests: Vec<PathBuf>,
    /// Do not run the examples in the prompt as tests
    #[arg(long)]
    pub(crate) no_examples: bool,
    /// Programming language
    #[arg(long, default_value = default_language().name(), value_parser = PossibleValuesParser::new(names()))]
    pub(crate) language: String,
    /// critical, high, medium, low, background, or a number from 0 (first) to 100
    #[arg(long, default_value = "medium")]
    pub(crate) priority: Priority,
    /// Have the finished code reviewed by the model: told in the summary, not checked
    #[arg(long)]
    pub(crate) review: bool,
    /// Let the planner ask questions, here at the terminal, before it plans
    #[arg(long)]
    pub(crate) ask: bool,
    #[command(flatten)]
    pub(crate) limits: LimitArgs,
}

#[derive(Debug, Args)]
pub(crate) struct ServeArgs {
    /// Write the port to this file once it is listened on, and remove the file at the end
    #[arg(long, value_name = "FILE")]
    pub(crate) port_file: Option<PathBuf>,
    /// Answer to nothing but MCP on the port
    #[arg(long)]
    mcp_only: bool,
}

impl ServeArgs {
    pub(crate) const fn offer(&self) -> TcpProtocols {
        if self.mcp_only {
            TcpProtocols::Mounted
        } else {
            TcpProtocols::Everything
        }
    }
}

#[derive(Debug, Args)]
pub(crate) struct ForkArgs {
    /// The task
    pub(crate) task: TaskId,
    /// The last sequence number, or version, of its past that counts; with another prompt only what you said until then
    #[arg(long, value_name = "N|vN", value_parser = parse_place)]
    pub(crate) at: Place,
    /// What is wanted instead
    #[arg(long)]
    pub(crate) prompt: Option<String>,
    /// How urgent it is
    #[arg(long)]
    pub(crate) priority: Option<Priority>,
    #[command(flatten)]
    pub(crate) limits: LimitArgs,
    #[command(flatten)]
    pub(crate) only: IfVersion,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
pub(crate) enum RoleArg {
    /// Looks
    Viewer,
    /// Looks and does
    User,
    /// And sees how the server itself is doing
    Admin,
}

impl From<RoleArg> for UserRole {
    fn from(role: RoleArg) -> Self {
        match role {
            RoleArg::Viewer => Self::Viewer,
            RoleArg::User => Self::User,
            RoleArg::Admin => Self::Admin,
        }
    }
}

#[derive(Clone, Debug, Args)]
pub(crate) struct LimitArgs {
    /// Tokens of prompts and answers together [default: 20000 a module]
    #[arg(long, value_name = "N", value_parser = parse_tokens)]
    pub(crate) budget_tokens: Option<u64>,
    /// Time spent working, such as 90s, 15m, 2h [default: 30m]
    #[arg(long, value_name = "TIME", value_parser = parse_duration)]
    pub(crate) timeout: Option<Duration>,
    /// Code versions tried for a module [default: 5]
    #[arg(long, value_name = "N", value_parser = parse_iterations)]
    pub(crate) max_iterations: Option<NonZeroU32>,
}

/// A place in a task's past.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Place {
    /// A sequence number.
    Sequence(Sequence),
    /// A version.
    Version(Revision),
}

/// Which version of a task something is meant for.
#[derive(Clone, Copy, Debug, Args)]
pub(crate) struct IfVersion {
    /// Only if the task is at this version still: how many events it has, as `show` tells
    #[arg(long, value_name = "N", value_parser = parse_sequence)]
    if_version: Option<u64>,
}

impl IfVersion {
    pub(crate) const fn version(self) -> Option<u64> {
        self.if_version
    }
}

#[derive(Debug, Args)]
pub(crate) struct ResumeArgs {
    /// The task
    pub(crate) task: TaskId,
    /// Another folder for the result, also for one that is there already or could not be written
    #[arg(long, value_name = "DIR")]
    pub(crate) out: Option<PathBuf>,
    #[command(flatten)]
    pub(crate) limits: LimitArgs,
    #[command(flatten)]
    pub(crate) only: IfVersion,
}

#[derive(Debug, Args)]
pub(crate) struct CallArgs {
    /// The task
    pub(crate) task: TaskId,
    /// The tool, as `journeyman tools` names it
    pub(crate) tool: String,
    /// Its arguments, an object; - reads them from standard input
    #[arg(value_name = "JSON", default_value = "{}")]
    pub(crate) arguments: String,
    #[command(flatten)]
    pub(crate) only: IfVersion,
}

#[derive(Debug, Args)]
pub(crate) struct EventsArgs {
    /// Only this task's
    #[arg(long)]
    pub(crate) task: Option<TaskId>,
    /// Only those after this sequence number
    #[arg(long, default_value = "0", value_name = "N", value_parser = parse_sequence)]
    pub(crate) after: u64,
    /// Only those of this kind; may be given more than once
    #[arg(long, value_name = "KIND")]
    pub(crate) kind: Vec<String>,
    /// Only those about this module
    #[arg(long)]
    pub(crate) module: Option<ModuleName>,
    /// Only those of this agent or user
    #[arg(long)]
    pub(crate) actor: Option<String>,
    /// Only those that happened then or later
    #[arg(long, value_name = "TIME")]
    pub(crate) since: Option<Timestamp>,
    /// Only those that happened before then
    #[arg(long, value_name = "TIME")]
    pub(crate) before: Option<Timestamp>,
    /// Only the newest so many of them
    #[arg(long, value_name = "N", conflicts_with = "follow", value_parser = parse_length)]
    pub(crate) last: Option<usize>,
    /// Go on with new ones until interrupted
    #[arg(long)]
    pub(crate) follow: bool,
}

#[derive(Debug, Args)]
pub(crate) struct FilesArgs {
    /// The task
    pub(crate) task: TaskId,
    /// A file to print, as the list names it
    pub(crate) path: Option<String>,
    /// The version of the module [default: the latest]
    #[arg(long, value_name = "N", value_parser = parse_version)]
    pub(crate) version: Option<u64>,
    /// As they were then: after the event of a sequence number, at a version of the task, or at a time
    #[arg(long, value_name = "N|vN|TIME")]
    pub(crate) at: Option<Moment>,
}

const EVAL_EXAMPLES: &str = "\
Examples:
  journeyman eval humaneval --model qwen2.5-coder-0.5b --limit 20
  journeyman eval humaneval --tests-given --out report.html --out report.json
  journeyman eval mbpp ./mbpp.jsonl --offset 10 --limit 50
  journeyman eval ./exercises/practice

A second run with the same program, model and problems repeats nothing; one that was interrupted goes on.";

#[derive(Debug, Args)]
#[command(after_help = EVAL_EXAMPLES)]
pub(crate) struct EvalArgs {
    /// humaneval (fetched), mbpp, a file of JSON lines in the form of either, or a folder of exercises
    pub(crate) name: String,
    /// The file, for mbpp
    pub(crate) file: Option<PathBuf>,
    /// How many problems [default: all]
    #[arg(long, value_name = "N", value_parser = parse_length)]
    pub(crate) limit: Option<usize>,
    /// How many to leave out at the start
    #[arg(long, default_value = "0", value_name = "M", value_parser = parse_offset)]
    pub(crate) offset: usize,
    /// Give the workflow the tests that score it, as a user who has tests
    #[arg(long)]
    pub(crate) tests_given: bool,
    /// A report of every problem, .json or .html (repeatable)
    #[arg(long, value_name = "FILE")]
    pub(crate) out: Vec<PathBuf>,
    /// Problems at a time
    #[arg(long, default_value = "4", value_name = "N", value_parser = parse_count)]
    pub(crate) parallel: NonZeroU32,
    #[command(flatten)]
    pub(crate) limits: LimitArgs,
}

#[derive(Debug, Subcommand)]
pub(crate) enum ScorerCommand {
    /// The public part of each problem
    Problems { mode: ModeArg, dataset: PathBuf },
    /// Scores code from standard input
    Score { id: String, dataset: PathBuf },
}

#[derive(Clone, Copy, Debug, ValueEnum)]
pub(crate) enum ModeArg {
    Blind,
    TestsGiven,
}

impl From<ModeArg> for journeyman_eval::Mode {
    fn from(mode: ModeArg) -> Self {
        match mode {
            ModeArg::Blind => Self::Blind,
            ModeArg::TestsGiven => Self::TestsGiven,
        }
    }
}

#[derive(Debug, Subcommand)]
pub(crate) enum JournalCommand {
    /// Check every event: order, hashes, causes
    Verify {
        /// Also check that the journal still has what it had when `journal head` printed this
        #[arg(long, value_name = "SEQUENCE@HASH")]
        head: Option<Head>,
    },
    /// Print events with all that they cite as lines of JSON, for `journal import` or other programs
    Export {
        /// Only this task's
        #[arg(long)]
        task: Option<TaskId>,
        /// Write events as `CloudEvents` 1.0 instead of as they are stored
        #[arg(long)]
        cloud_events: bool,
        /// Write to this file, which must not exist, instead of standard output
        #[arg(long, value_name = "FILE")]
        out: Option<PathBuf>,
    },
    /// Add what `journal export` printed; events that are here already are left alone
    Import {
        /// The file; `-` for standard input
        file: PathBuf,
    },
    /// Print the last event's position and hash; kept elsewhere, it shows later whether events were
    /// cut off
    Head,
}

#[derive(Debug, Subcommand)]
pub(crate) enum EngineCommand {
    /// Fetch llama.cpp's server and the model, and start nothing
    Install,
    /// Start it with the model of the settings; it stays until it is stopped or idle
    Start,
    /// Stop it, and wait until it is gone
    Stop {
        /// Also while others use it; they start it again when they need it
        #[arg(long)]
        force: bool,
    },
    /// Tell whether it runs, with what, and who uses it
    Status,
}

#[derive(Debug, Subcommand)]
pub(crate) enum ModelCommand {
    /// List the models that can be fetched by name, and those in the data folder
    List,
    /// Fetch a model's weights without running it; one that was cut off goes on
    #[command(after_help = MODEL_EXAMPLES)]
    Pull {
        /// The model, as --model takes it
        name: String,
    },
    /// Remove a model's weights from the data folder
    #[command(after_help = "\
Examples:
  journeyman model remove qwen2.5-coder-0.5b
  journeyman model remove hf:owner/repository/file.gguf

`journeyman model list` shows the names. A file of your own is never removed.")]
    Remove {
        /// The model
        name: String,
    },
}

#[derive(Debug, Subcommand)]
pub(crate) enum ConfigCommand {
    /// Print every setting
    Show {
        /// And where each came from
        #[arg(long)]
        origin: bool,
    },
}

/// A parsed command line.
pub(crate) struct Invocation {
    pub(crate) command: Command,
    pub(crate) settings: Settings,
}

fn whole<T: FromStr>(text: &str, needed: &str) -> Result<T, String> {
    text.trim()
        .parse()
        .map_err(|_| format!("a whole number {needed} is needed"))
}

fn parse_count(text: &str) -> Result<NonZeroU32, String> {
    whole(text, "from 1")
}

fn parse_length(text: &str) -> Result<usize, String> {
    whole(text, "from 1").map(NonZeroUsize::get)
}

fn parse_offset(text: &str) -> Result<usize, String> {
    whole(text, "from 0")
}

fn parse_sequence(text: &str) -> Result<u64, String> {
    whole(text, "from 0")
}

fn parse_place(text: &str) -> Result<Place, String> {
    match text.parse() {
        Ok(Moment::Sequence(sequence)) => Ok(Place::Sequence(sequence)),
        Ok(Moment::Version(version)) => Ok(Place::Version(version)),
        Ok(Moment::Time(_)) | Err(_) => {
            Err("a sequence number, such as 40, or a version, such as v12, is needed".to_owned())
        }
    }
}

fn parse_version(text: &str) -> Result<u64, String> {
    whole(text, "from 1").map(NonZeroU64::get)
}

fn parse_tokens(text: &str) -> Result<u64, String> {
    let tokens = whole(text, "").map(NonZeroU64::get).ok();
    tokens.filter(|&tokens| tokens <= TOKEN_BUDGET_MAX).ok_or_else(|| {
        format!(
            "a whole number from 1 to {TOKEN_BUDGET_MAX}, such as 20000, is needed; without the option a task has \
             20000 a module"
        )
    })
}

fn parse_iterations(text: &str) -> Result<NonZeroU32, String> {
    let count = parse_count(text).ok();
    let fits = count.filter(|count| count.get() <= ITERATIONS_MAX);
    fits.ok_or_else(|| format!("a whole number from 1 to {ITERATIONS_MAX} is needed"))
}

/// A prompt of several words without quotes is told as that.
fn with_hint(mut error: clap::Error, args: &[OsString]) -> clap::Error {
    let words = args.iter().skip_while(|arg| *arg != "run").skip(1);
    let mut words = words.take_while(|arg| !arg.to_string_lossy().starts_with('-'));
    if error.kind() == ErrorKind::UnknownArgument && words.nth(1).is_some() {
        let hint = "put the prompt in quotes: journeyman run 'A slugify function'";
        error.remove(ContextKind::Suggested);
        let hint = ContextValue::StyledStrs(vec![hint.to_owned().into()]);
        error.insert(ContextKind::Suggested, hint);
    }
    error
}

/// The whole command, for parsing and for completions.
pub(crate) fn command() -> clap::Command {
    Cli::command().args(flags())
}

/// Parses the arguments and reads the settings.
pub(crate) fn parse(args: impl IntoIterator<Item = OsString>) -> anyhow::Result<Invocation> {
    let args: Vec<OsString> = args.into_iter().collect();
    let matches = command()
        .try_get_matches_from(&args)
        .map_err(|error| with_hint(error, &args))?;
    let Cli { command } = Cli::from_arg_matches(&matches)?;
    // Global flags given after the command are among the command's matches too; clap copies them up.
    let mut variables: Variables = std::env::vars_os()
        .filter_map(|(key, value)| Some((key.into_string().ok()?, value.into_string().ok()?)))
        .collect();
    // Started without one, by cron say, a user's tasks are still in the user's folder.
    if let Some(home) =
        std::env::home_dir().and_then(|home| home.into_os_string().into_string().ok())
    {
        variables.entry("HOME".to_owned()).or_insert(home);
    }
    let settings = Settings::read(&matches, &variables)
        .map_err(|error| anyhow::Error::new(crate::exit::UsageError(format!("{error:#}"))))?;
    Ok(Invocation { command, settings })
}

#[cfg(test)]
mod tests {
    #[test]
    fn the_command_line_is_sound() {
        super::command().debug_assert();
    }

    #[test]
    fn the_short_help_of_every_command_is_one_screen_and_names_the_long_one() {
        let mut all = super::command();
        all.build();
        for command in all.get_subcommands_mut() {
            let text = command.render_help().to_string();
            let lines = text.lines().count();
            assert!(lines <= 40, "{}: {lines} lines", command.get_name());
            if command.get_name() != "help" {
                assert!(text.contains("see more with '--help'"), "{text}");
            }
        }
    }
}
