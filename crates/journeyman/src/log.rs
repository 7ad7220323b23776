//! The log on standard error. If the reader stalls or is gone, or the disk is full, lines of the log are lost and
//! nothing else is affected.

use std::io::{self, Write};
use std::time::Duration;

use tracing_subscriber::EnvFilter;
use tracing_subscriber::fmt::MakeWriter;

use crate::background_sink::BackgroundSink;
use crate::exit::UsageError;
use crate::settings::Settings;

/// How long the rest of the log may take to be written at the end.
const FLUSH: Duration = Duration::from_secs(1);

/// The log. Dropping it waits a moment for the rest to be written.
pub(crate) struct Log(BackgroundSink<Vec<u8>>);

impl Log {
    /// Logs to standard error from now on, filtered as the settings say or by default.
    pub(crate) fn to_stderr(settings: &Settings, usual: &str) -> anyhow::Result<Self> {
        let filter = settings.log.as_deref().unwrap_or(usual);
        let filter = EnvFilter::try_new(filter)
            .map_err(|error| UsageError(format!("--log {filter:?}: {error}")))?;
        let is_json = settings.log_json;
        let lines = BackgroundSink::start("log", move |line: Vec<u8>, lost| {
            let mut out = io::stderr().lock();
            if lost > 0 {
                out.write_all(lost_lines(lost, is_json).as_bytes())?;
            }
            out.write_all(&line)
        });
        let log = tracing_subscriber::fmt()
            .with_env_filter(filter)
            .with_ansi(settings.colour.is_for(&io::stderr()))
            .with_writer(Lines(lines.clone()))
            // It would print to standard error what standard error did not take.
            .log_internal_errors(false);
        if is_json {
            log.json().init();
        } else {
            log.init();
        }
        Ok(Self(lines))
    }
}

impl Drop for Log {
    fn drop(&mut self) {
        self.0.flush(FLUSH);
    }
}

fn lost_lines(lost: u64, is_json: bool) -> String {
    let message = format!("{lost} lines of the log are lost: standard error took no more");
    if is_json {
        let line =
            serde_json::json!({"level": "WARN", "fields": {"message": message, "lost": lost}});
        return format!("{line}\n");
    }
    format!("WARN {message}\n")
}

struct Lines(BackgroundSink<Vec<u8>>);

impl<'a> MakeWriter<'a> for Lines {
    type Writer = Line;

    fn make_writer(&'a self) -> Line {
        Line(self.0.clone())
    }
}

/// Collects one line and writes it at once.
struct Line(BackgroundSink<Vec<u8>>);

impl Write for Line {
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        self.0.send(line.to_vec());
        Ok(line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
