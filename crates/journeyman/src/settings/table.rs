//! The table of settings. To add a setting, add an entry here, a field to `Settings` and a line in
//! `Settings::typed`.

/// A setting as users see it.
pub(super) struct Setting {
    /// The key in the configuration file, which is also the name of the setting.
    pub(super) key: &'static str,
    pub(super) flag: &'static str,
    pub(super) variable: &'static str,
    pub(super) value: Option<&'static str>,
    pub(super) default: &'static str,
    pub(super) help: &'static str,
}

/// All settings, in the order in which they are shown.
pub(super) const SETTINGS: &[Setting] = &[
    Setting {
        key: "config",
        flag: "config",
        variable: "JOURNEYMAN_CONFIG",
        value: Some("FILE"),
        default: "",
        help: "Configuration file [default: journeyman/config.toml in $XDG_CONFIG_HOME or ~/.config]",
    },
    Setting {
        key: "data_dir",
        flag: "data-dir",
        variable: "JOURNEYMAN_DATA_DIR",
        value: Some("DIR"),
        default: "",
        help: "Folder of the journal, models and working files [default: journeyman in $XDG_DATA_HOME or ~/.local/share]",
    },
    Setting {
        key: "model.name",
        flag: "model",
        variable: "JOURNEYMAN_MODEL",
        value: Some("NAME"),
        default: "qwen2.5-coder-1.5b",
        help: "Model: a managed one (qwen2.5-coder-1.5b, qwen2.5-coder-0.5b, hf:owner/repository:Q4_K_M, a URL or path of a GGUF file) or one that the server at --model-url has",
    },
    Setting {
        key: "model.url",
        flag: "model-url",
        variable: "JOURNEYMAN_MODEL_URL",
        value: Some("URL"),
        default: "",
        help: "Model server: an OpenAI-compatible base URL, ollama://host:port, or sim: for the simulated model [default: one that answers on its usual port, else a managed one]",
    },
    Setting {
        key: "model.api_key",
        flag: "model-api-key",
        variable: "JOURNEYMAN_MODEL_API_KEY",
        value: Some("KEY"),
        default: "",
        help: "API key for the model server; set the environment variable rather than the flag, which other users can see",
    },
    Setting {
        key: "model.context",
        flag: "model-context",
        variable: "JOURNEYMAN_MODEL_CONTEXT",
        value: Some("TOKENS"),
        default: "8192",
        help: "Context window of a managed model, and the window assumed for servers that do not report theirs",
    },
    Setting {
        key: "model.slots",
        flag: "model-slots",
        variable: "JOURNEYMAN_MODEL_SLOTS",
        value: Some("N"),
        default: "1",
        help: "Requests that a managed server processes at once, each with a whole context window; for another server, the most requests sent to it at once [there: no limit]",
    },
    Setting {
        key: "model.idle",
        flag: "model-idle",
        variable: "JOURNEYMAN_MODEL_IDLE",
        value: Some("TIME"),
        default: "5m",
        help: "How long a managed server keeps running when no command uses it; set by the command that starts it; 0s stops it with its last user",
    },
    Setting {
        key: "model.required",
        flag: "model-required",
        variable: "JOURNEYMAN_MODEL_REQUIRED",
        value: Some("BOOL"),
        default: "true",
        help: "Whether a model server that cannot be reached at the start is an error; if false, tasks wait until it can be reached",
    },
    Setting {
        key: "embedding.model",
        flag: "embedding-model",
        variable: "JOURNEYMAN_EMBEDDING_MODEL",
        value: Some("NAME"),
        default: "",
        help: "Embedding model for searches by meaning: one that the server at --embedding-url has, or the weights of a managed one (hf:owner/repository:Q8_0, a URL or path of a GGUF file) [default: none, searches are by words]",
    },
    Setting {
        key: "embedding.url",
        flag: "embedding-url",
        variable: "JOURNEYMAN_EMBEDDING_URL",
        value: Some("URL"),
        default: "",
        help: "Server of the embedding model: an OpenAI-compatible base URL, or ollama://host:port [default: none, or a managed one]",
    },
    Setting {
        key: "embedding.api_key",
        flag: "embedding-api-key",
        variable: "JOURNEYMAN_EMBEDDING_API_KEY",
        value: Some("KEY"),
        default: "",
        help: "API key for that server; set the environment variable rather than the flag, which other users can see",
    },
    Setting {
        key: "hf.endpoint",
        flag: "hf-endpoint",
        variable: "HF_ENDPOINT",
        value: Some("URL"),
        default: journeyman_fetch::HUB,
        help: "Hugging Face hub, or a mirror of it, from which hf: models are downloaded",
    },
    Setting {
        key: "hf.token",
        flag: "hf-token",
        variable: "HF_TOKEN",
        value: Some("TOKEN"),
        default: "",
        help: "Token for private repositories; set the environment variable rather than the flag, which other users can see",
    },
    Setting {
        key: "sandbox.minimum",
        flag: "sandbox-minimum",
        variable: "JOURNEYMAN_SANDBOX_MINIMUM",
        value: Some("LEVEL"),
        default: "landlock",
        help: "The weakest sandbox that may run code: landlock or bubblewrap",
    },
    Setting {
        key: "server.url",
        flag: "server",
        variable: "JOURNEYMAN_SERVER",
        value: Some("URL"),
        default: "",
        help: "URL of a journeyman server to use [default: the one that holds the data folder, if there is one]",
    },
    Setting {
        key: "server.token",
        flag: "token",
        variable: "JOURNEYMAN_TOKEN",
        value: Some("TOKEN"),
        default: "",
        help: "Token for that server; set the environment variable rather than the flag, which other users can see",
    },
    Setting {
        key: "serve.host",
        flag: "host",
        variable: "JOURNEYMAN_HOST",
        value: Some("ADDRESS"),
        default: "127.0.0.1",
        help: "Address that `serve` listens on; an address that other machines can reach needs --token-file",
    },
    Setting {
        key: "serve.port",
        flag: "port",
        variable: "JOURNEYMAN_PORT",
        value: Some("PORT"),
        default: "9876",
        help: "Port that `serve` listens on; 0 chooses a free one",
    },
    Setting {
        key: "serve.token_file",
        flag: "token-file",
        variable: "JOURNEYMAN_TOKEN_FILE",
        value: Some("FILE"),
        default: "",
        help: "File of the users of the server: lines of JSON with name, token_hash (BLAKE3, `b3:...`) and role (viewer, user, admin); `journeyman token` prints such a line; the file is read again when it changes",
    },
    Setting {
        key: "serve.allowed_hosts",
        flag: "allowed-host",
        variable: "JOURNEYMAN_ALLOWED_HOSTS",
        value: Some("NAMES"),
        default: "",
        help: "Host names under which the server may be addressed, besides IP addresses and localhost; comma-separated",
    },
    Setting {
        key: "serve.grace",
        flag: "grace",
        variable: "JOURNEYMAN_GRACE",
        value: Some("TIME"),
        default: "10s",
        help: "How long running tasks may take to reach their next event when the server stops",
    },
    Setting {
        key: "agent.tools",
        flag: "tools",
        variable: "JOURNEYMAN_TOOLS",
        value: Some("NAMES"),
        default: "",
        help: "Tools that agents may call if their task names none: names or patterns with *, comma-separated [default: none]; [mcp_servers.NAME] in the configuration file adds the tools of an MCP server",
    },
    Setting {
        key: "money.file",
        flag: "money-file",
        variable: "JOURNEYMAN_MONEY_FILE",
        value: Some("FILE"),
        default: "",
        help: "Prices of models and budgets, a TOML file; providers' prices are known without it, and models of your own cost nothing",
    },
    Setting {
        key: "otlp.endpoint",
        flag: "otlp-endpoint",
        variable: "JOURNEYMAN_OTLP_ENDPOINT",
        value: Some("URL"),
        default: "",
        help: "OpenTelemetry collector to which traces of tasks and metrics are sent, by OTLP over HTTP, such as http://127.0.0.1:4318 [default: none]",
    },
    Setting {
        key: "otlp.headers",
        flag: "otlp-headers",
        variable: "JOURNEYMAN_OTLP_HEADERS",
        value: Some("HEADERS"),
        default: "",
        help: "Headers for that collector, each with a reference to its value, such as authorization=env:OTLP_AUTHORIZATION,x-scope-orgid=file:/etc/journeyman/scope",
    },
    Setting {
        key: "otlp.interval",
        flag: "otlp-interval",
        variable: "JOURNEYMAN_OTLP_INTERVAL",
        value: Some("TIME"),
        default: "60s",
        help: "How often metrics are sent to that collector; spans are sent when they end",
    },
    Setting {
        key: "queue.capacity",
        flag: "queue-capacity",
        variable: "JOURNEYMAN_QUEUE_CAPACITY",
        value: Some("N"),
        default: "100",
        help: "The most tasks that may wait in the queue",
    },
    Setting {
        key: "queue.concurrent",
        flag: "max-concurrent",
        variable: "JOURNEYMAN_MAX_CONCURRENT",
        value: Some("N"),
        default: "5",
        help: "The most tasks that are worked on at once",
    },
    Setting {
        key: "queue.ageing",
        flag: "queue-ageing",
        variable: "JOURNEYMAN_QUEUE_AGEING",
        value: Some("TIME"),
        default: "",
        help: "Time after which a waiting task's priority rises by one level, again and again, so that none waits for ever [default: off]",
    },
    Setting {
        key: "queue.ageing_levels",
        flag: "queue-ageing-levels",
        variable: "JOURNEYMAN_QUEUE_AGEING_LEVELS",
        value: Some("N"),
        default: "3",
        help: "The most levels that the priority of a waiting task rises, with --queue-ageing: 3 takes background to high",
    },
    Setting {
        key: "retention.age",
        flag: "retention-age",
        variable: "JOURNEYMAN_RETENTION_AGE",
        value: Some("TIME"),
        default: "",
        help: "Erase ended tasks whose last event is older than this, such as 36h, 30d, 52w or 1y, while a process works on the data folder; never those marked by `keep` [default: never]",
    },
    Setting {
        key: "retention.bytes",
        flag: "retention-bytes",
        variable: "JOURNEYMAN_RETENTION_BYTES",
        value: Some("SIZE"),
        default: "",
        help: "Erase the oldest ended tasks while all tasks together take more of the journal than this, such as 500MB or 20GB; never those marked by `keep` [default: never]",
    },
    Setting {
        key: "on_end",
        flag: "on-end",
        variable: "JOURNEYMAN_ON_END",
        value: Some("COMMAND"),
        default: "",
        help: "Command to run when a task ends: a program and its arguments, without a shell; it gets the message as JSON on standard input and JOURNEYMAN_... variables [default: none]",
    },
    Setting {
        key: "on_end_timeout",
        flag: "on-end-timeout",
        variable: "JOURNEYMAN_ON_END_TIMEOUT",
        value: Some("TIME"),
        default: "30s",
        help: "Time limit of that command, up to 1h; then it is killed with its process group",
    },
    Setting {
        key: "webhook_networks",
        flag: "webhook-networks",
        variable: "JOURNEYMAN_WEBHOOK_NETWORKS",
        value: Some("NETWORKS"),
        default: "",
        help: "Private or local networks that webhooks may be sent to, such as 127.0.0.1,10.0.0.0/8 [default: public addresses only]; [webhooks.NAME] in the configuration file adds a webhook",
    },
    Setting {
        key: "json",
        flag: "json",
        variable: "JOURNEYMAN_JSON",
        value: None,
        default: "false",
        help: "Print JSON instead of text",
    },
    Setting {
        key: "quiet",
        flag: "quiet",
        variable: "JOURNEYMAN_QUIET",
        value: None,
        default: "false",
        help: "Print only the result, no progress",
    },
    Setting {
        key: "color",
        flag: "color",
        variable: "JOURNEYMAN_COLOR",
        value: Some("WHEN"),
        default: "auto",
        help: "When to use colour: always, never, or auto (on a terminal, unless NO_COLOR, CLICOLOR or CLICOLOR_FORCE say otherwise)",
    },
    Setting {
        key: "progress_interval",
        flag: "progress-interval",
        variable: "JOURNEYMAN_PROGRESS_INTERVAL",
        value: Some("TIME"),
        default: "15s",
        help: "How often to report what is in progress when the output is not a terminal and nothing else was printed",
    },
    Setting {
        key: "log",
        flag: "log",
        variable: "JOURNEYMAN_LOG",
        value: Some("FILTER"),
        default: "error",
        help: "What is logged to standard error: error, warn, info, debug or a filter such as journeyman_journal=debug; `serve` logs info by default",
    },
    Setting {
        key: "log_format",
        flag: "log-format",
        variable: "JOURNEYMAN_LOG_FORMAT",
        value: Some("FORMAT"),
        default: "text",
        help: "Format of the log: text, or json for one JSON object per line",
    },
];

/// The settings that affect how tasks are worked on, and what happens if one of them cannot be satisfied
/// because another process works on the tasks with a different value.
pub(super) const OF_WORK: &[(&str, Unavailable)] = &[
    ("model.name", Unavailable::Refused),
    ("model.url", Unavailable::Refused),
    ("model.context", Unavailable::Refused),
    ("sandbox.minimum", Unavailable::Refused),
    ("model.slots", Unavailable::Told),
    ("model.idle", Unavailable::Told),
    ("model.required", Unavailable::Told),
    ("money.file", Unavailable::Told),
    ("otlp.endpoint", Unavailable::Told),
    ("queue.capacity", Unavailable::Told),
    ("queue.concurrent", Unavailable::Told),
    ("queue.ageing", Unavailable::Told),
    ("on_end", Unavailable::Refused),
];

/// Settings whose values are not served, because they may contain a secret.
pub(super) const NOT_SERVED: &[&str] = &["on_end"];

/// What happens if a flag asks for a value that cannot be had. For a value of the environment or the configuration
/// file, the user is only told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Unavailable {
    /// The command fails, because its result would be different.
    Refused,
    /// The command goes on, and the user is told.
    Told,
}

/// Settings that only admins may see, because they reveal something about the server's machine.
pub(super) const PRIVATE: &[&str] = &[
    "model.url",
    "money.file",
    "otlp.endpoint",
    "otlp.headers",
    MCP_SERVERS,
];

/// The name under which the configured MCP servers are reported, as a comma-separated list of names.
pub(super) const MCP_SERVERS: &str = "mcp_servers";

/// The settings whose values are never shown.
pub(super) const SECRETS: &[&str] = &[
    "model.api_key",
    "embedding.api_key",
    "hf.token",
    "server.token",
];
