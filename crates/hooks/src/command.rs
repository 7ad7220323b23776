//! Runs the `on_end` command: as the user, with a cleared environment, a time limit, and its own process group, which
//! is killed when the command ends.

use std::collections::BTreeMap;
use std::process::Stdio;
use std::time::Duration;

use rustix::process::{Pid, Signal, WaitId, WaitIdOptions, kill_process_group, waitid};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWriteExt};
use tokio::process::{Child, Command};
use tokio::task::JoinHandle;

use crate::config::{OnEnd, inherited};
use crate::message::Message;

/// The number of bytes kept of each output stream; the rest is read and discarded.
const OUTPUT_MAX: usize = 4 << 10;
/// How often to check whether the command has ended.
const POLL: Duration = Duration::from_millis(20);
/// How long to wait for the end of the output after the process group was killed: a process outside of the group may
/// hold it open.
const OUTPUT_TIMEOUT: Duration = Duration::from_millis(200);

/// The result of a command.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct CommandResult {
    /// The start of its output.
    pub(crate) output: String,
    /// Why it failed, if it did.
    pub(crate) error: Option<String>,
}

/// Runs the command until it ends or reaches its time limit. Dropping the future kills it.
pub(crate) async fn run(
    on_end: &OnEnd,
    environment: &BTreeMap<String, String>,
    message: &Message,
) -> CommandResult {
    let program = on_end.words.first().map_or("", String::as_str);
    let mut command = Command::new(program);
    command
        .args(on_end.words.iter().skip(1))
        .env_clear()
        .envs(inherited(environment))
        .envs(message.variables.iter().map(|(name, value)| (*name, value)))
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .process_group(0)
        .kill_on_drop(true);
    let mut child = match command.spawn() {
        Ok(child) => child,
        Err(error) => {
            return CommandResult {
                output: String::new(),
                error: Some(format!("cannot start {program:?}: {error}")),
            };
        }
    };
    if let Some(mut stdin) = child.stdin.take() {
        let body = message.body.clone();
        // A command that does not read its input ends this write when it ends.
        tokio::spawn(async move { stdin.write_all(&body).await });
    }
    let outputs = [
        child.stdout.take().map(|stream| tokio::spawn(read(stream))),
        child.stderr.take().map(|stream| tokio::spawn(read(stream))),
    ];
    let mut group = Group::of(child);
    let is_in_time = tokio::time::timeout(on_end.limit, group.ended())
        .await
        .is_ok();
    // Before the exit status is taken, while the id of the group cannot be reused.
    group.kill();
    let status = group.child.wait().await;
    let mut output = String::new();
    for stream in outputs.into_iter().flatten() {
        output += &text_of(stream).await;
    }
    let error = match status {
        _ if !is_in_time => Some(format!(
            "it exceeded its time limit of {} s and was killed",
            on_end.limit.as_secs_f64()
        )),
        Ok(status) if status.success() => None,
        Ok(status) => Some(format!("it failed: {status}")),
        Err(error) => Some(format!("its exit status is unknown: {error}")),
    };
    CommandResult { output, error }
}

/// The process group of a command. Dropping it kills the group.
struct Group {
    child: Child,
    id: Option<Pid>,
}

impl Group {
    fn of(child: Child) -> Self {
        let id = child.id().and_then(|id| i32::try_from(id).ok());
        Self {
            child,
            id: id.and_then(Pid::from_raw),
        }
    }

    /// Waits for the command to end without taking its exit status, so that its process id is not reused.
    async fn ended(&self) {
        let options = WaitIdOptions::EXITED | WaitIdOptions::NOHANG | WaitIdOptions::NOWAIT;
        let Some(id) = self.id else { return };
        while matches!(waitid(WaitId::Pid(id), options), Ok(None)) {
            tokio::time::sleep(POLL).await;
        }
    }

    fn kill(&mut self) {
        if let Some(id) = self.id.take() {
            // The group may be gone already.
            let _ = kill_process_group(id, Signal::KILL);
        }
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        self.kill();
    }
}

/// Reads a stream to its end and keeps the first bytes.
async fn read(mut stream: impl AsyncRead + Unpin) -> Vec<u8> {
    let (mut kept, mut buffer) = (Vec::new(), vec![0; 8 << 10]);
    while let Ok(count @ 1..) = stream.read(&mut buffer).await {
        let room = OUTPUT_MAX.saturating_sub(kept.len());
        kept.extend_from_slice(&buffer[..count.min(room)]);
    }
    kept
}

/// The text of an output stream; empty when the stream is still open.
async fn text_of(mut stream: JoinHandle<Vec<u8>>) -> String {
    let Ok(Ok(bytes)) = tokio::time::timeout(OUTPUT_TIMEOUT, &mut stream).await else {
        stream.abort();
        return String::new();
    };
    let text = String::from_utf8_lossy(&bytes);
    journeyman_event::printable(&text).into_owned()
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use std::time::Instant;

    use super::*;

    fn message() -> Message {
        Message {
            id: "id".to_owned(),
            body: b"{\"type\":\"task_complete\"}".to_vec(),
            variables: vec![("JOURNEYMAN_STATUS", "complete".to_owned())],
            webhook: None,
        }
    }

    async fn shell(script: &str, limit: Duration) -> CommandResult {
        let words = ["sh", "-c", script].map(str::to_owned).to_vec();
        let path = std::env::var("PATH").unwrap();
        let environment = [("PATH", path.as_str()), ("SECRET", "hunter2")]
            .map(|(name, value)| (name.to_owned(), value.to_owned()));
        run(&OnEnd { words, limit }, &environment.into(), &message()).await
    }

    const LONG: Duration = Duration::from_mins(1);

    fn is_alive(pid: &str) -> bool {
        let stat = std::fs::read_to_string(format!("/proc/{pid}/stat"));
        // A zombie has ended, too.
        stat.is_ok_and(|stat| !stat.contains(") Z "))
    }

    /// Waits for a process that was killed: it goes on for a moment after the signal was sent.
    async fn has_ended(pid: &str) {
        let began = Instant::now();
        while is_alive(pid) {
            assert!(began.elapsed() < Duration::from_secs(20), "{pid} is alive");
            tokio::task::yield_now().await;
        }
    }

    #[tokio::test]
    async fn a_command_gets_the_message_and_the_facts_and_no_secrets() {
        let ended = shell(
            "cat; echo; echo $JOURNEYMAN_STATUS [$SECRET]; echo oops >&2",
            LONG,
        )
        .await;
        assert_eq!(ended.error, None);
        assert_eq!(
            ended.output,
            "{\"type\":\"task_complete\"}\ncomplete []\noops\n"
        );
    }

    #[tokio::test]
    async fn a_command_that_fails_or_is_not_there_is_told_and_nothing_more() {
        let failed = shell("exit 3", LONG).await;
        assert!(failed.error.unwrap().contains('3'));
        let words = vec!["/no/such/program".to_owned()];
        let on_end = OnEnd { words, limit: LONG };
        let missing = run(&on_end, &BTreeMap::new(), &message()).await;
        assert!(missing.error.unwrap().contains("/no/such/program"));
    }

    #[tokio::test]
    async fn a_command_that_hangs_ends_at_its_limit_with_all_that_it_started() {
        let began = Instant::now();
        let limit = Duration::from_millis(300);
        let hung = shell("trap '' TERM; sleep 600 & echo $!; wait; sleep 600", limit).await;
        assert!(hung.error.unwrap().contains("killed"));
        assert!(began.elapsed() < Duration::from_secs(20));
        has_ended(hung.output.trim()).await;
    }

    #[tokio::test]
    async fn what_a_command_leaves_behind_ends_with_it() {
        let began = Instant::now();
        let ended = shell("sleep 600 & echo $!", LONG).await;
        assert_eq!(ended.error, None);
        assert!(began.elapsed() < Duration::from_secs(20));
        has_ended(ended.output.trim()).await;
    }

    #[tokio::test]
    async fn of_endless_output_the_beginning_is_kept_and_a_command_that_reads_nothing_is_fine() {
        let ended = shell("yes", Duration::from_millis(300)).await;
        assert_eq!(ended.output.len(), OUTPUT_MAX);
        assert!(ended.error.unwrap().contains("killed"));
        let deaf = shell("exec 0<&-; exit 0", LONG).await;
        assert_eq!(deaf.error, None);
    }

    #[tokio::test]
    async fn a_command_that_is_given_up_is_killed() {
        let folder = tempfile::tempdir().unwrap();
        let pid = folder.path().join("pid");
        let script = format!(
            "echo $$ > {0}.new; mv {0}.new {0}; sleep 600",
            pid.display()
        );
        let written = async {
            loop {
                if let Ok(text) = std::fs::read_to_string(&pid) {
                    return text;
                }
                tokio::task::yield_now().await;
            }
        };
        let text = tokio::select! {
            text = written => text,
            _ = shell(&script, LONG) => unreachable!(),
        };
        has_ended(text.trim()).await;
    }
}
