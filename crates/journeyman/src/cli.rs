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
use journeyman_event::payload::Form;
use journeyman_event::{ModuleName, Owner, Priority, Revision, Sequence, TaskId};
use journeyman_journal::{Head, Moment};
use journeyman_language::{default_language, names};
use journeyman_server::{TcpProtocols, UserRole};

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

The first Ctrl-C lets running tasks stop at their next event (--grace limits the wait), the second stops at once.
After a restart the tasks continue. http://127.0.0.1:9876/api/v1/openapi.json describes the API.";

const ENGINE_EXAMPLES: &str = "\
Each data folder has one managed server, which is started when a command first needs it. All commands share
it, and it stops when none has used it for a while (--model-idle). It is restarted when it crashes or hangs.

Examples:
  journeyman engine install --model qwen2.5-coder-0.5b
  journeyman engine start --model-idle 2h
  journeyman engine start --model-slots 4
  journeyman engine status --json
  journeyman engine stop

Exit codes of status: 0 it runs, 3 it does not run (or is still starting), 1 any other error.";

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
If no server or run uses the data folder, this command starts the configured MCP servers and stops them again.

A server is named in the configuration file, and its tools are then called SERVER.TOOL:
  [mcp_servers.docs]
  command = \"docs-server\"
  args = [\"--stdio\"]

  [mcp_servers.search]
  url = \"https://host/mcp\"

--log journeyman_tools=debug also shows the standard error output of a server that does not start.
Agents may call the tools that --tools allows (--tools 'docs.*,read_file'), or those that their task names;
you may call all of them.";

const HOOKS_EXAMPLES: &str = "\
Each delivery is made at least once, in order per task. Failed webhooks are retried for a day.

  journeyman serve --on-end 'notify-send \"A task has ended\"'
  journeyman hooks retry ci

A webhook for all tasks is defined in the configuration file:
  [webhooks.ci]
  url = \"https://host/path\"                     # or env:NAME, file:/PATH
  secret = \"env:CI_SECRET\"                      # whsec_... (Standard Webhooks)
  events = [\"task_failed:budget\", \"questions_asked\"]   # default: the events that end a task

A webhook for a single task is part of its submission (`run --webhook`). Private and local addresses are
refused unless --webhook-networks allows them.";

const CONTEXT_EXAMPLES: &str = "\
Examples:
  journeyman context graph TASK
  journeyman context graph TASK --svg > graph.svg
  journeyman context graph TASK --at 40 --focus shop.cart --tokens 800
  journeyman context graph TASK --search 'email validation'
  journeyman context show TASK --at 40
  journeyman context show TASK --at 40 --message 2 > prompt.txt
  journeyman context diff 40 55
  journeyman context diff TASK@40 OTHER_TASK
  journeyman context search 'email validation'";

const METRICS_EXAMPLES: &str = "\
The metrics are those of the process that holds the data folder, or of --server. On a terminal they are a live
page, which `q` leaves. If no process holds the folder, they are computed from the journal and printed once. `GET /metrics` has them for Prometheus.

A money file (--money-file) has prices and budgets:
  version = \"2026-11\"

  [[price]]                  # US dollars for a million tokens
  model = \"my-model*\"
  input = \"0.15\"
  cached = \"0.075\"
  output = \"0.60\"

  [[budget]]
  name = \"each user\"
  owner = \"*\"               # or task = \"*\"; or one name
  limit = \"10\"
  period = \"monthly\"        # daily, weekly, monthly, total
  time_zone = \"Europe/Berlin\"
  mode = \"hard\"             # refuses calls that might exceed the limit; soft only reports
  thresholds = [50, 80, 90]";

const CALL_EXAMPLES: &str = "\
It needs a process that works on the tasks of the data folder (`journeyman serve`, or a run in progress), or --server.

Examples:
  journeyman call TASK list_files
  journeyman call TASK read_file '{\"path\": \"solution.py\"}'
  journeyman call TASK docs.search - --json < arguments.json

The exit code is 0 if the call succeeded, otherwise 1.";

const DELETE_EXAMPLES: &str = "\
Each event of a task keeps its position and its hash, so `journal verify` still works; its data is erased, with
the texts that no other task cites. A result in a folder of yours stays. --retention-age and --retention-bytes
erase old tasks automatically; `journeyman keep` exempts one.

Examples:
  journeyman delete t-0123456789ab
  journeyman delete t-0123456789ab t-ba9876543210 --reason 'names of customers'";

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
    /// Continue a task that was interrupted or paused, reached a limit, or failed because of its model server
    Resume(ResumeArgs),
    /// Run a server that works on tasks: REST, server-sent events, WebSocket and MCP on one port
    #[command(after_help = SERVE_EXAMPLES)]
    Serve(ServeArgs),
    /// Serve one MCP client over standard input and output
    Mcp,
    /// Create a token for a user of a server, and print the line for the server's token file
    Token {
        /// Name of the user, who owns the tasks submitted with the token
        name: Owner,
        /// What the user may do
        #[arg(long, default_value = "user")]
        role: RoleArg,
        /// Name of the token, for budgets of single keys [default: the beginning of its hash]
        #[arg(long, value_name = "NAME")]
        key: Option<String>,
    },
    /// Give a task another instruction, which is part of every prompt from its next step on
    Tell {
        /// Id of the task
        task: TaskId,
        /// The instruction, in your words
        instruction: String,
        #[command(flatten)]
        only: IfVersion,
    },
    /// Answer a question that a task has asked
    Answer {
        /// Id of the task
        task: TaskId,
        /// The answer, in your words
        answer: String,
        /// Id (such as q1) or text of the question; needed if several are open
        #[arg(long)]
        question: Option<String>,
        #[command(flatten)]
        only: IfVersion,
    },
    /// Replace a module's file by your own version, which is tested like any other
    Edit {
        /// Id of the task
        task: TaskId,
        /// Path of the file in the task, as `journeyman files` lists it
        path: String,
        /// File with the new text; - reads standard input
        file: PathBuf,
        #[command(flatten)]
        only: IfVersion,
    },
    /// Skip a module: no more work is done on it
    Skip {
        /// Id of the task
        task: TaskId,
        /// Name or file of the module
        module: String,
        #[command(flatten)]
        only: IfVersion,
    },
    /// Pause a task until `resume`
    Pause {
        /// Id of the task
        task: TaskId,
        #[command(flatten)]
        only: IfVersion,
    },
    /// Cancel a task: its work stops, and it cannot be resumed
    Cancel {
        /// Id of the task
        task: TaskId,
        #[command(flatten)]
        only: IfVersion,
    },
    /// Delete tasks for good: what was recorded of them can no longer be read
    #[command(after_help = DELETE_EXAMPLES)]
    Delete {
        /// Ids of the tasks; a running one is cancelled first
        #[arg(required = true)]
        tasks: Vec<TaskId>,
        /// The reason, for the record of the erasure, which is kept
        #[arg(long, value_name = "TEXT")]
        reason: Option<String>,
        #[command(flatten)]
        only: IfVersion,
    },
    /// Keep a task: neither `delete` nor retention erases it
    Keep {
        /// Id of the task
        task: TaskId,
        #[command(flatten)]
        only: IfVersion,
    },
    /// Allow a kept task to be erased again
    Unkeep {
        /// Id of the task
        task: TaskId,
        #[command(flatten)]
        only: IfVersion,
    },
    /// Start a task again from its beginning, as a new task
    Retry {
        /// Id of the task
        task: TaskId,
        #[command(flatten)]
        only: IfVersion,
    },
    /// Start a new task from a past event of another one
    Fork(ForkArgs),
    /// List the tasks
    Tasks {
        /// Number of tasks to list, the most recently changed first
        #[arg(long, default_value = "50", value_name = "N", value_parser = parse_length)]
        limit: usize,
    },
    /// Show one task: its state, modules, tests and result
    Show {
        /// Id of the task
        task: TaskId,
        /// Show an earlier state: after a sequence number, at a version, or at a time
        #[arg(long, value_name = "N|vN|TIME")]
        at: Option<Moment>,
        /// Print where its time went and what it cost
        #[arg(long, conflicts_with = "at")]
        timing: bool,
    },
    /// Show metrics: tasks, tokens, cost and budgets, model calls, requests, errors; live on a terminal
    #[command(after_help = METRICS_EXAMPLES)]
    Metrics {
        /// Print them once (the default where there is no terminal or no server)
        #[arg(long, conflicts_with = "watch")]
        once: bool,
        /// Print them every two seconds until interrupted
        #[arg(long)]
        watch: bool,
    },
    /// Print events, oldest first
    Events(EventsArgs),
    /// List a task's files, or print any version of one of them
    Files(FilesArgs),
    /// Show the knowledge graph of a task, its exact prompts and their differences; search all tasks
    #[command(after_help = CONTEXT_EXAMPLES)]
    Context {
        #[command(subcommand)]
        command: ContextCommand,
    },
    /// List the tools that may be called on a task, and the state of the configured MCP servers
    #[command(after_help = TOOLS_EXAMPLES)]
    Tools,
    /// Call a tool on a task; the call is recorded like an agent's
    #[command(after_help = CALL_EXAMPLES)]
    Call(CallArgs),
    /// List the hooks (the command that runs when a task ends, webhooks) and their status
    #[command(after_help = HOOKS_EXAMPLES)]
    Hooks {
        #[command(subcommand)]
        command: Option<HooksCommand>,
    },
    /// Verify, export or import the journal
    Journal {
        #[command(subcommand)]
        command: JournalCommand,
    },
    /// Measure accuracy on a benchmark, with the workflow and with the model alone
    Eval(EvalArgs),
    /// Measure the program itself, without a model
    Bench {
        #[command(subcommand)]
        command: BenchCommand,
    },
    /// Read the hidden tests of a benchmark, in a process of its own that alone sees them
    #[command(hide = true)]
    EvalScorer {
        #[command(subcommand)]
        command: ScorerCommand,
    },
    /// Install, start, stop or inspect the managed model server
    #[command(after_help = ENGINE_EXAMPLES)]
    Engine {
        /// The server with the embedding model, not the one that answers prompts
        #[arg(long, global = true)]
        embedding: bool,
        #[command(subcommand)]
        command: EngineCommand,
    },
    /// List, download or remove models of the managed model server
    #[command(after_help = MODEL_EXAMPLES)]
    Model {
        #[command(subcommand)]
        command: ModelCommand,
    },
    /// Check this machine: journal, model servers, sandbox, Python, disk, MCP servers
    Doctor,
    /// Show the settings
    Config {
        #[command(subcommand)]
        command: ConfigCommand,
    },
    /// Print completions for a shell
    Completions {
        /// Shell that will load them
        shell: clap_complete::Shell,
    },
}

#[derive(Debug, Args)]
#[allow(clippy::struct_excessive_bools)] // each is an option of its own
pub(crate) struct RunArgs {
    /// What the code should do; - reads it from standard input
    pub(crate) prompt: String,
    /// Folder for the result; it must be new or empty
    #[arg(long, value_name = "DIR")]
    pub(crate) out: Option<PathBuf>,
    /// A test file that must pass (repeatable)
    #[arg(long, value_name = "FILE")]
    pub(crate) tests: Vec<PathBuf>,
    /// Do not run the examples in the prompt as tests
    #[arg(long)]
    pub(crate) no_examples: bool,
    /// Programming language of the result
    #[arg(long, default_value = default_language().name(), value_parser = PossibleValuesParser::new(names()))]
    pub(crate) language: String,
    /// Priority: critical, high, medium, low, background, or a number from 0 (most urgent) to 100
    #[arg(long, default_value = "medium")]
    pub(crate) priority: Priority,
    /// Let the model review the finished code; the summary shows its findings, which nothing verifies
    #[arg(long)]
    pub(crate) review: bool,
    /// Let the model summarise each finished module for the modules after it, and the task at its end
    #[arg(long)]
    pub(crate) summaries: bool,
    /// Let the planner ask questions, here at the terminal, before it plans
    #[arg(long)]
    pub(crate) ask: bool,
    /// Label of a project; a budget can limit what a project spends
    #[arg(long, value_name = "LABEL")]
    pub(crate) project: Option<String>,
    #[command(flatten)]
    pub(crate) webhook: WebhookArgs,
    #[command(flatten)]
    pub(crate) limits: LimitArgs,
}

/// The webhook of one task.
#[derive(Debug, Args)]
pub(crate) struct WebhookArgs {
    /// Send events of this task to a URL, given directly or as `env:JOURNEYMAN_WEBHOOK_NAME` or `file:/PATH`
    #[arg(long, value_name = "URL")]
    pub(crate) webhook: Option<String>,
    /// An event to send, such as `task_failed:budget` (repeatable) [default: the events that end the task]
    #[arg(long, value_name = "KIND", requires = "webhook")]
    pub(crate) webhook_event: Vec<String>,
    /// The signing secret, as `env:JOURNEYMAN_WEBHOOK_NAME` or `file:/PATH`
    #[arg(long, value_name = "REFERENCE", requires = "webhook")]
    pub(crate) webhook_secret: Option<String>,
}

#[derive(Debug, Args)]
pub(crate) struct ServeArgs {
    /// Write the port number to this file once the server listens, and remove the file at the end
    #[arg(long, value_name = "FILE")]
    pub(crate) port_file: Option<PathBuf>,
    /// Offer only MCP on the port
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
    /// Id of the task whose past is copied
    pub(crate) task: TaskId,
    /// Last sequence number or version to copy; with --prompt only your own instructions up to it are copied
    #[arg(long, value_name = "N|vN", value_parser = parse_place)]
    pub(crate) at: Place,
    /// Another prompt for the new task
    #[arg(long)]
    pub(crate) prompt: Option<String>,
    /// Priority of the new task
    #[arg(long)]
    pub(crate) priority: Option<Priority>,
    #[command(flatten)]
    pub(crate) limits: LimitArgs,
    #[command(flatten)]
    pub(crate) only: IfVersion,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
pub(crate) enum RoleArg {
    /// Sees the tasks of this owner and changes nothing
    Viewer,
    /// Sees, submits and changes the tasks of this owner
    User,
    /// Like user; also sees and changes how the server itself works
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
    /// Token budget of the task, for prompts and answers together [default: 20000 per module]
    #[arg(long, value_name = "N", value_parser = parse_tokens)]
    pub(crate) budget_tokens: Option<u64>,
    /// Limit of working time, such as 90s, 15m, 2h [default: 30m]
    #[arg(long, value_name = "TIME", value_parser = parse_duration)]
    pub(crate) timeout: Option<Duration>,
    /// Limit of code versions per module [default: 5]
    #[arg(long, value_name = "N", value_parser = parse_iterations)]
    pub(crate) max_iterations: Option<NonZeroU32>,
}

/// A point in a task's past.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Place {
    /// The point after the event with this sequence number.
    Sequence(Sequence),
    /// The point at which the task had this version.
    Version(Revision),
}

/// The version of a task that a command is meant for.
#[derive(Clone, Copy, Debug, Args)]
pub(crate) struct IfVersion {
    /// Do this only if the task still has this version (the number of its events, which `show` prints)
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
    /// Id of the task
    pub(crate) task: TaskId,
    /// Another folder for the result, also where it was written already or could not be written
    #[arg(long, value_name = "DIR")]
    pub(crate) out: Option<PathBuf>,
    #[command(flatten)]
    pub(crate) limits: LimitArgs,
    #[command(flatten)]
    pub(crate) only: IfVersion,
}

#[derive(Debug, Args)]
pub(crate) struct CallArgs {
    /// Id of the task
    pub(crate) task: TaskId,
    /// Name of the tool, as `journeyman tools` lists it
    pub(crate) tool: String,
    /// Arguments of the call, a JSON object; - reads them from standard input
    #[arg(value_name = "JSON", default_value = "{}")]
    pub(crate) arguments: String,
    #[command(flatten)]
    pub(crate) only: IfVersion,
}

#[derive(Debug, Args)]
pub(crate) struct EventsArgs {
    /// Only events of this task
    #[arg(long)]
    pub(crate) task: Option<TaskId>,
    /// Only events after this sequence number
    #[arg(long, default_value = "0", value_name = "N", value_parser = parse_sequence)]
    pub(crate) after: u64,
    /// Only events of this kind (repeatable)
    #[arg(long, value_name = "KIND")]
    pub(crate) kind: Vec<String>,
    /// Only events about this module
    #[arg(long)]
    pub(crate) module: Option<ModuleName>,
    /// Only events of this agent or user
    #[arg(long)]
    pub(crate) actor: Option<String>,
    /// Only events at or after this time
    #[arg(long, value_name = "TIME")]
    pub(crate) since: Option<Timestamp>,
    /// Only events before this time
    #[arg(long, value_name = "TIME")]
    pub(crate) before: Option<Timestamp>,
    /// Only the event with this sequence number and those that matter to it: its causal chain, and what else is about the
    /// same module; the 20 closest, or as many as --last says
    #[arg(long, value_name = "N", value_parser = parse_sequence, conflicts_with_all = ["task", "after", "kind", "module", "actor", "since", "before", "follow"])]
    pub(crate) about: Option<u64>,
    /// Only the newest N of the events
    #[arg(long, value_name = "N", conflicts_with = "follow", value_parser = parse_length)]
    pub(crate) last: Option<usize>,
    /// Continue with new events until interrupted
    #[arg(long)]
    pub(crate) follow: bool,
}

#[derive(Debug, Args)]
pub(crate) struct FilesArgs {
    /// Id of the task
    pub(crate) task: TaskId,
    /// Path of a file to print, as the list shows it
    pub(crate) path: Option<String>,
    /// Version of the module [default: the latest]
    #[arg(long, value_name = "N", value_parser = parse_version)]
    pub(crate) version: Option<u64>,
    /// The files at an earlier point: after a sequence number, at a version of the task, or at a time
    #[arg(long, value_name = "N|vN|TIME")]
    pub(crate) at: Option<Moment>,
}

#[derive(Debug, Subcommand)]
pub(crate) enum ContextCommand {
    /// Show the graph of a task: its modules, functions, tests, failures and decisions, and their relations
    Graph(GraphArgs),
    /// Print the exact prompt of a model call
    Show(ContextShowArgs),
    /// Compare the prompts of two model calls: which pieces were added, removed and changed
    Diff {
        /// The first call: its sequence number, a task (its last call), or TASK@N (its last call up to N)
        from: CallName,
        /// The second call
        to: CallName,
    },
    /// Summarise a task, or a module, function or class of it
    Summary(SummaryArgs),
    /// Search the graphs of all your tasks, by words and by meaning if there is an embedding model
    Search {
        /// The words to search for, as in code or in a sentence
        words: String,
        /// The most results, best matches first
        #[arg(long, default_value = "20", value_name = "N", value_parser = parse_length)]
        limit: usize,
    },
}

#[derive(Debug, Args)]
pub(crate) struct GraphArgs {
    /// The id of the task
    pub(crate) task: TaskId,
    /// The graph at this point: after the event with this sequence number, at a version (v12), or at a time
    #[arg(long, value_name = "N|vN|TIME")]
    pub(crate) at: Option<Moment>,
    /// Print it in the language of Graphviz
    #[arg(long, conflicts_with_all = ["svg", "focus", "search"])]
    pub(crate) dot: bool,
    /// Print it as a drawing
    #[arg(long, conflicts_with_all = ["focus", "search"])]
    pub(crate) svg: bool,
    /// Show only what is related to this id or name, ranked (repeatable)
    #[arg(long, value_name = "NAME")]
    pub(crate) focus: Vec<String>,
    /// The most relations between the focus and what is shown, 1 to 3 [default: 2]
    #[arg(long, value_name = "N", requires = "focus", value_parser = parse_depth)]
    pub(crate) depth: Option<usize>,
    /// The most tokens of the related entries together [default: 1200]
    #[arg(long, value_name = "N", requires = "focus", value_parser = parse_graph_tokens)]
    pub(crate) tokens: Option<u64>,
    /// Show only what contains these words, best matches first
    #[arg(long, value_name = "WORDS", conflicts_with = "focus")]
    pub(crate) search: Option<String>,
}

#[derive(Debug, Args)]
pub(crate) struct SummaryArgs {
    /// The id of the task
    pub(crate) task: TaskId,
    /// A module, function or class, such as shop.cart or shop.cart.total [default: the task itself]
    pub(crate) name: Option<String>,
    /// The summary at this point: after the event with this sequence number, at a version (v12), or at a time
    #[arg(long, value_name = "N|vN|TIME")]
    pub(crate) at: Option<Moment>,
}

#[derive(Debug, Args)]
pub(crate) struct ContextShowArgs {
    /// The id of the task
    pub(crate) task: TaskId,
    /// The last call at this point: up to a sequence number, a version (v12), or a time
    #[arg(long, value_name = "N|vN|TIME")]
    pub(crate) at: Option<Moment>,
    /// Print only this message, counted from 1, byte for byte
    #[arg(long, value_name = "N", value_parser = parse_length)]
    pub(crate) message: Option<usize>,
    /// Print the pieces of the prompt with their sizes and reasons instead of their texts
    #[arg(long, conflicts_with = "message")]
    pub(crate) pieces: bool,
}

/// A call of the model: by its event's position, or as the last of a task.
#[derive(Clone, Debug)]
pub(crate) enum CallName {
    Sequence(Sequence),
    Task(TaskId, Option<Sequence>),
}

impl FromStr for CallName {
    type Err = String;
    fn from_str(text: &str) -> Result<Self, String> {
        let sequence = |text: &str| parse_sequence(text).map(Sequence);
        if text.bytes().all(|byte| byte.is_ascii_digit()) {
            return sequence(text).map(Self::Sequence);
        }
        let (task, at) = match text.split_once('@') {
            Some((task, at)) => (task, Some(sequence(at)?)),
            None => (text, None),
        };
        let task = TaskId::new(task).map_err(|error| error.to_string())?;
        Ok(Self::Task(task, at))
    }
}

#[derive(Debug, Subcommand)]
pub(crate) enum BenchCommand {
    /// Measure how many facts of a task's history a much smaller prompt still has, beside two simpler methods
    Retention {
        /// Use only the history of this seed [default: 1001 to 1020]
        #[arg(long, value_name = "N")]
        seed: Option<u64>,
        /// Ask the model that is set about facts, from contexts with 70 % fewer tokens: one question for each of 20
        /// histories, each method and each distance. Takes minutes to hours
        #[arg(long)]
        ask: bool,
    },
}

const EVAL_EXAMPLES: &str = "\
Examples:
  journeyman eval humaneval --model qwen2.5-coder-0.5b --limit 20
  journeyman eval humaneval --tests-given --out report.html --out report.json
  journeyman eval mbpp ./mbpp.jsonl --offset 10 --limit 50
  journeyman eval ./exercises/practice

Results are kept: a second run with the same program, model and problems repeats nothing, and an interrupted
run continues where it stopped.";

#[derive(Debug, Args)]
#[command(after_help = EVAL_EXAMPLES)]
pub(crate) struct EvalArgs {
    /// Benchmark: humaneval (downloaded), mbpp, a file of JSON lines in the form of either, or a folder of exercises
    pub(crate) name: String,
    /// Data file of mbpp
    pub(crate) file: Option<PathBuf>,
    /// Number of problems [default: all]
    #[arg(long, value_name = "N", value_parser = parse_length)]
    pub(crate) limit: Option<usize>,
    /// Number of problems to skip at the start
    #[arg(long, default_value = "0", value_name = "M", value_parser = parse_offset)]
    pub(crate) offset: usize,
    /// Give the workflow the tests that score it, like a user who has tests
    #[arg(long)]
    pub(crate) tests_given: bool,
    /// File for a report of every problem, .json or .html (repeatable)
    #[arg(long, value_name = "FILE")]
    pub(crate) out: Vec<PathBuf>,
    /// Number of problems worked on at once
    #[arg(long, default_value = "4", value_name = "N", value_parser = parse_count)]
    pub(crate) parallel: NonZeroU32,
    /// Do not evaluate, but record answers of the model to requests for code in this file (.jsonl.gz)
    #[arg(long, value_name = "FILE", conflicts_with_all = ["out", "tests_given"])]
    pub(crate) record: Option<PathBuf>,
    /// Do not call the model, but choose among answers recorded in this file
    #[arg(long, value_name = "FILE", conflicts_with_all = ["out", "tests_given", "record"])]
    pub(crate) replay: Option<PathBuf>,
    /// Number of answers to record in each form: the likeliest, then warmer ones
    #[arg(long, default_value = "16", value_name = "N", value_parser = parse_length, requires = "record")]
    pub(crate) draws: usize,
    /// Form of requests to record or replay (repeatable) [default: all]
    #[arg(long, value_name = "FORM", value_parser = parse_form)]
    pub(crate) form: Vec<Form>,
    #[command(flatten)]
    pub(crate) limits: LimitArgs,
}

#[derive(Debug, Subcommand)]
pub(crate) enum ScorerCommand {
    /// Print the public part of each problem
    Problems { mode: ModeArg, dataset: PathBuf },
    /// Score code from standard input
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
    /// Check every event: its order, its hashes and its causes
    Verify {
        /// Also check that the journal still has everything it had when `journal head` printed this
        #[arg(long, value_name = "SEQUENCE@HASH")]
        head: Option<Head>,
    },
    /// Print events and the texts they refer to as lines of JSON, for `journal import` or other programs
    Export {
        /// Only events of this task
        #[arg(long)]
        task: Option<TaskId>,
        /// Write events as `CloudEvents` 1.0 instead of as they are stored
        #[arg(long)]
        cloud_events: bool,
        /// Write to this file, which must not exist, instead of standard output
        #[arg(long, value_name = "FILE")]
        out: Option<PathBuf>,
    },
    /// Add the events that `journal export` printed; events that exist already are skipped
    Import {
        /// File to read; - reads standard input
        file: PathBuf,
    },
    /// Rewrite the whole journal, without free space and without remains of erased data
    Compact,
    /// Print the last event's sequence number and hash; keep it elsewhere, to check later that nothing was cut off
    Head,
}

#[derive(Debug, Subcommand)]
pub(crate) enum HooksCommand {
    /// Retry all pending and dead deliveries of a hook now, and enable it if it was disabled
    Retry {
        /// The name of the hook, as `journeyman hooks` lists it
        hook: String,
    },
}

#[derive(Debug, Subcommand)]
pub(crate) enum EngineCommand {
    /// Download llama.cpp's server and the model without starting them
    Install,
    /// Start the server with the model of the settings; it runs until it is stopped or idle
    Start,
    /// Stop the server, and wait until its process has ended
    Stop {
        /// Stop it even while other commands use it; they start it again when they need it
        #[arg(long)]
        force: bool,
    },
    /// Show whether the server runs, with which model, and which commands use it
    Status,
}

#[derive(Debug, Subcommand)]
pub(crate) enum ModelCommand {
    /// List the models that can be downloaded by name, and those in the data folder
    List,
    /// Download a model's weights without running it; an interrupted download continues where it stopped
    #[command(after_help = MODEL_EXAMPLES)]
    Pull {
        /// Name of the model, in the form that --model takes
        name: String,
    },
    /// Remove a model's weights from the data folder
    #[command(after_help = "\
Examples:
  journeyman model remove qwen2.5-coder-0.5b
  journeyman model remove hf:owner/repository/file.gguf

`journeyman model list` shows the names. A file of your own is never removed.")]
    Remove {
        /// Name of the model, as `journeyman model list` shows it
        name: String,
    },
}

#[derive(Debug, Subcommand)]
pub(crate) enum ConfigCommand {
    /// Print every setting
    Show {
        /// Also print where each value comes from
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

fn parse_form(text: &str) -> Result<Form, String> {
    let named = Form::ALL.into_iter().find(|form| form.as_str() == text);
    named.ok_or_else(|| {
        let names = Form::ALL.map(Form::as_str).join(", ");
        format!("it is one of {names}")
    })
}

fn parse_count(text: &str) -> Result<NonZeroU32, String> {
    whole(text, "from 1")
}

fn parse_length(text: &str) -> Result<usize, String> {
    whole(text, "from 1").map(NonZeroUsize::get)
}

fn parse_depth(text: &str) -> Result<usize, String> {
    let depth = whole(text, "from 1 to 3")?;
    if (1..=3).contains(&depth) {
        return Ok(depth);
    }
    Err("a whole number from 1 to 3 is needed".to_owned())
}

fn parse_graph_tokens(text: &str) -> Result<u64, String> {
    let tokens = whole(text, "from 0 to 1000000")?;
    if tokens <= 1_000_000 {
        return Ok(tokens);
    }
    Err("a whole number from 0 to 1000000 is needed".to_owned())
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
            "a whole number from 1 to {TOKEN_BUDGET_MAX}, such as 20000, is needed; without the option the budget is \
             20000 per module"
        )
    })
}

fn parse_iterations(text: &str) -> Result<NonZeroU32, String> {
    let count = parse_count(text).ok();
    let fits = count.filter(|count| count.get() <= ITERATIONS_MAX);
    fits.ok_or_else(|| format!("a whole number from 1 to {ITERATIONS_MAX} is needed"))
}

/// Adds a hint about quotes if a prompt of several words was given without them.
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
    // A process that has no HOME, such as one started by cron, still finds the user's data folder.
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
            // `help` lists all commands.
            let most = if command.get_name() == "help" { 45 } else { 40 };
            assert!(lines <= most, "{}: {lines} lines", command.get_name());
            if command.get_name() != "help" {
                assert!(text.contains("see more with '--help'"), "{text}");
            }
        }
    }
}
