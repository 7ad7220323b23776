//! The signals that ask a command to stop.

use anyhow::Context;
use tokio::signal::unix::{SignalKind, signal};
use tokio_util::sync::CancellationToken;

use crate::exit::Exit;

/// A file that would grow over its limit (`ulimit -f`) fails to be written, and is told as that; without this
/// the system ends the process without a word. What this process starts has the system's way again.
pub(crate) fn survive_file_limit() -> anyhow::Result<()> {
    let kind = SignalKind::from_raw(rustix::process::Signal::XFSZ.as_raw());
    // It stays caught, though nobody listens.
    drop(signal(kind).context("cannot listen for signals")?);
    Ok(())
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
