//! The signals that stop a command.

use anyhow::Context;
use tokio::signal::unix::{SignalKind, signal};
use tokio_util::sync::CancellationToken;

use crate::exit::Exit;

/// Makes writing a file beyond the size limit (`ulimit -f`) fail with an error instead of killing the process
/// without a message. Child processes get the default behaviour again.
pub(crate) fn survive_file_limit() -> anyhow::Result<()> {
    let kind = SignalKind::from_raw(rustix::process::Signal::XFSZ.as_raw());
    // The signal stays caught after the listener is dropped.
    drop(signal(kind).context("cannot listen for signals")?);
    Ok(())
}

/// The first signal requests a clean stop, the second ends the process at once. Nothing recorded is lost.
pub(crate) fn cancel_on_signals() -> anyhow::Result<CancellationToken> {
    let cancel = CancellationToken::new();
    let mut signals = Vec::new();
    let ignored = ignored_signals();
    for kind in [
        SignalKind::interrupt(),
        SignalKind::terminate(),
        SignalKind::hangup(),
    ] {
        // A process started with a signal ignored (nohup, a background job of a script) is meant to continue.
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

/// A bit mask of the signals that this process ignores, starting with signal 1; 0 if the system does not report
/// them.
fn ignored_signals() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("SigIgn:"));
    let mask = line.and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok());
    mask.unwrap_or_default()
}
