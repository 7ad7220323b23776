//! Probes each level by running a program in it that tries to escape. A level is never assumed to work because its
//! parts are installed.

use std::fmt::Write as _;
use std::net::TcpListener;
use std::path::Path;

use rustix::process::geteuid;
use serde::Deserialize;
use tempfile::TempDir;
use tokio_util::sync::CancellationToken;

use crate::run::{Ran, become_uid, run_at};
use crate::{Command, Error, Exit, Finding, Level, Limits, Probe, Result, SandboxOptions};

/// The first Landlock ABI that denies signals to processes outside, such as our supervisor.
const LANDLOCK_ABI_WITH_SIGNALS: i32 = 6;

/// A program that attempts what must fail and prints one word per attempt: `denied` or what was possible.
const ESCAPES: &str = include_str!("probe.py");

pub(crate) async fn probe(options: &SandboxOptions, check_with: &Path) -> Result<Probe> {
    let mut findings = Vec::new();
    let mut level = None;
    for candidate in Level::STRONGEST_FIRST {
        if level.is_some() || options.only.is_some_and(|only| only != candidate) {
            continue;
        }
        let finding = match try_out(candidate, options, check_with).await? {
            Ok(detail) => Finding {
                level: candidate,
                usable: true,
                detail,
            },
            Err(detail) => Finding {
                level: candidate,
                usable: false,
                detail,
            },
        };
        if finding.usable {
            level = Some(candidate);
        }
        findings.push(finding);
    }
    Ok(Probe {
        level,
        findings,
        runs_as_uid: become_uid().unwrap_or_else(|| geteuid().as_raw()),
    })
}

/// What the program observed from inside.
#[derive(Debug, Deserialize)]
struct Seen {
    uid: u32,
    attempts: Vec<Attempt>,
}

#[derive(Debug, Deserialize)]
struct Attempt {
    what: String,
    /// The expected result, and the actual one.
    expected: String,
    got: String,
}

/// Returns a description of the level, or why it is not usable. An error is a failure on our side.
async fn try_out(
    level: Level,
    options: &SandboxOptions,
    check_with: &Path,
) -> Result<Result<String, String>> {
    let failed = |error| Error::io("prepare the probe of the sandbox", error);
    let mut builder = tempfile::Builder::new();
    builder.prefix("journeyman-probe-");
    let folder = match &options.tasks {
        Some(tasks) => builder.tempdir_in(tasks),
        None => builder.tempdir(),
    }
    .map_err(failed)?;
    let outside = Outside::new().map_err(failed)?;
    let port = outside.listener.local_addr().map_err(failed)?.port();
    let command = Command {
        program: check_with.to_owned(),
        arguments: ["-I", "-S", "-c", ESCAPES]
            .into_iter()
            .map(Into::into)
            .chain([outside.folder.path().into(), port.to_string().into()])
            .collect(),
        folder: folder.path().to_owned(),
        environment: Vec::new(),
        limits: Some(Limits {
            wall_ms_max: 20_000,
            ..options.limits
        }),
    };
    match run_at(level, options, command, &CancellationToken::new()).await {
        Ok(ran) => Ok(judge(level, &ran)),
        Err(
            error @ (Error::Setup { .. } | Error::SupervisorLost { .. } | Error::NotDead { .. }),
        ) => Ok(Err(with_advice(level, error.to_string()))),
        Err(error) => Err(error),
    }
}

/// Adds advice to bubblewrap's message, which names what the kernel denied but not the cause.
fn with_advice(level: Level, mut reason: String) -> String {
    const REFUSALS: [&str; 5] = [
        "setting up uid map",
        "No permissions to creat",
        "RTM_NEWADDR",
        "Creating new namespace failed",
        "Can't mount proc",
    ];
    if level == Level::Bubblewrap && REFUSALS.iter().any(|refusal| reason.contains(refusal)) {
        reason.push_str(
            "; this system or container forbids the namespaces that bubblewrap needs (on Ubuntu 23.10 and newer an \
             AppArmor profile for bwrap allows them; on others look at the sysctl user.max_user_namespaces and, in a \
             container, at its seccomp profile and masked /proc)",
        );
    }
    reason
}

/// Things the program must not reach: a file that everyone may read and change, and a listener on the loopback
/// interface.
struct Outside {
    folder: TempDir,
    listener: TcpListener,
}

impl Outside {
    fn new() -> std::io::Result<Self> {
        use std::fs::{Permissions, set_permissions, write};
        use std::os::unix::fs::PermissionsExt;

        let folder = tempfile::Builder::new()
            .prefix("journeyman-outside-")
            .tempdir()?;
        let secret = folder.path().join("secret");
        write(&secret, "secret")?;
        // Open to all, so that it is the sandbox that refuses and not the file's mode.
        set_permissions(&secret, Permissions::from_mode(0o666))?;
        set_permissions(folder.path(), Permissions::from_mode(0o777))?;
        Ok(Self {
            folder,
            listener: TcpListener::bind(("127.0.0.1", 0))?,
        })
    }
}

fn judge(level: Level, ran: &Ran) -> Result<String, String> {
    let output = &ran.output;
    if output.exit != Exit::Code(0) {
        return Err(format!(
            "the interpreter did not run in it ({:?}): {}",
            output.exit,
            output.stderr.trim()
        ));
    }
    let seen: Seen = serde_json::from_str(output.stdout.trim()).map_err(|error| {
        format!(
            "the program in it did not report ({error}): {}",
            output.stderr.trim()
        )
    })?;
    let mut leaks = String::new();
    for attempt in seen
        .attempts
        .iter()
        .filter(|attempt| attempt.got != attempt.expected)
    {
        let _ = write!(
            leaks,
            "{}: {} instead of {}; ",
            attempt.what, attempt.got, attempt.expected
        );
    }
    if seen.uid == 0 {
        leaks.push_str("the program runs as root; ");
    }
    if !leaks.is_empty() {
        return Err(format!(
            "it does not hold: {}",
            leaks.trim_end_matches("; ")
        ));
    }
    Ok(describe(level, ran.landlock_abi, seen.uid, output.wall_ms))
}

fn describe(level: Level, landlock_abi: Option<i32>, uid: u32, wall_ms: u64) -> String {
    let walls = match level {
        Level::Bubblewrap => "namespaces, seccomp, resource limits",
        Level::Landlock => "seccomp, resource limits",
    };
    let landlock = landlock_abi.map_or_else(
        || "no Landlock".to_owned(),
        |version| format!("Landlock version {version}"),
    );
    let mut text = format!(
        "{walls}, {landlock}; untrusted code runs as uid {uid}; the probe took {wall_ms} ms"
    );
    let own_user = become_uid().is_none();
    if level == Level::Landlock
        && own_user
        && landlock_abi.is_some_and(|version| version < LANDLOCK_ABI_WITH_SIGNALS)
    {
        text.push_str(
            "; weaker than it could be: this kernel cannot stop the code from sending signals to your other processes \
             (Linux 6.12 or newer can)",
        );
    }
    text
}
