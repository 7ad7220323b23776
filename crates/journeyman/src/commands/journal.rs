//! `journal`: verifies the journal, prints its head, and exports and imports it.

use std::fs::File;
use std::io::{BufRead, BufReader, BufWriter, Read, Seek, Write};
use std::path::Path;

use anyhow::Context;
use journeyman_event::{Principal, TaskId};
use journeyman_journal::{Filter, Format, Head, Journal, VerifyReport};
use serde_json::json;

use crate::client::Client;

use crate::exit::Exit;
use crate::output::{json, line, stderr_line, stream};
use crate::settings::Settings;
use crate::text_format::{count_text, group_digits};
use crate::wiring::{open_journal, read_journal};

/// No line of an export is as long: a text has 10 MiB at most.
const LINE_BYTES_MAX: u64 = 128 << 20;

fn existing(settings: &Settings) -> anyhow::Result<Journal> {
    Client::refuse(settings, "`journal`")?;
    read_journal(settings)?.ok_or_else(|| {
        anyhow::anyhow!(
            "there is no journal in {}; --data-dir names another folder",
            settings.data_dir.display()
        )
    })
}

pub(crate) async fn head(settings: &Settings) -> anyhow::Result<Exit> {
    let head = existing(settings)?.head(&Principal::system()).await?;
    if settings.json {
        json(&json!({"sequence": head.sequence, "hash": head.hash}))?;
    } else {
        line(&head.to_string())?;
    }
    Ok(Exit::Success)
}

pub(crate) async fn compact(settings: &Settings) -> anyhow::Result<Exit> {
    existing(settings)?;
    let (journal, system) = (open_journal(&settings.data_dir)?, Principal::system());
    let before = journal.bytes(&system).await?;
    journal.compact(&system).await?;
    let after = journal.bytes(&system).await?;
    if settings.json {
        json(&json!({"bytes_before": before, "bytes": after}))?;
    } else {
        let (before, after) = (group_digits(before), group_digits(after));
        line(&format!("rewritten: {after} bytes, before {before}"))?;
    }
    Ok(Exit::Success)
}

pub(crate) async fn verify(settings: &Settings, known: Option<Head>) -> anyhow::Result<Exit> {
    let journal = existing(settings)?;
    let report = journal.verify(&Principal::system(), known).await?;
    if settings.json {
        json(&json!({
            "events": report.events,
            "head": report.head.hash,
            "sequence": report.head.sequence,
            "ok": report.ok(),
            "first_bad": report.first_bad.as_ref().map(|bad| json!({
                "sequence": bad.sequence,
                "what": bad.what.to_string(),
            })),
            "unknown_causes": report.unknown_causes,
            "erased": report.erased,
            "erasures": report.erasures,
            "erasures_unfinished": report.erasures_unfinished,
        }))?;
    } else if let Some(bad) = &report.first_bad {
        line(&format!(
            "NOT sound: sequence {}: {}",
            bad.sequence, bad.what
        ))?;
    } else {
        line(&format!(
            "sound: {} events, head {}",
            group_digits(report.events),
            report.head
        ))?;
        if report.erasures > 0 {
            line(&erased_words(&report))?;
        }
        if report.unknown_causes > 0 {
            line(&format!(
                "{} events cite a cause that is not here",
                report.unknown_causes
            ))?;
        }
    }
    Ok(if report.ok() {
        Exit::Success
    } else {
        Exit::Error
    })
}

/// The sentence about erased events.
fn erased_words(report: &VerifyReport) -> String {
    let unfinished = match report.erasures_unfinished {
        0 => String::new(),
        some => format!(
            "; {} of them not completed: `journeyman serve` continues them",
            group_digits(some)
        ),
    };
    format!(
        "{} of them are erased, of {}; each matches its record in sys.erasure{unfinished}",
        group_digits(report.erased),
        count_text(report.erasures, "task")
    )
}

pub(crate) async fn export(
    settings: &Settings,
    task: Option<TaskId>,
    cloud_events: bool,
    out: Option<&Path>,
) -> anyhow::Result<Exit> {
    let journal = existing(settings)?;
    let format = if cloud_events {
        Format::CloudEvents
    } else {
        Format::Stored
    };
    let filter = Filter {
        task_id: task,
        ..Filter::default()
    };
    let mut export = journal.export(&Principal::system(), filter, format);
    let mut file = match out {
        None => None,
        Some(path) => {
            let made = File::create_new(path).with_context(|| path.display().to_string())?;
            Some(BufWriter::new(made))
        }
    };
    loop {
        let lines = export.next().await?;
        if lines.is_empty() {
            break;
        }
        for text in lines {
            match &mut file {
                None if stream(&text)?.is_break() => return Ok(Exit::Success),
                None => {}
                Some(file) => writeln!(file, "{text}")?,
            }
        }
    }
    if let Some(file) = file {
        file.into_inner()?.sync_all()?;
    }
    if export.erased() > 0 {
        let erased = count_text(export.erased(), "event");
        stderr_line(&format!("{erased} left out: erased"));
    }
    let (left_out, named) = export.left_out();
    if left_out > 0 {
        let named: Vec<String> = named.iter().map(ToString::to_string).collect();
        anyhow::bail!(
            "left out as damaged: {}; everything else is exported:\n{}",
            group_digits(left_out),
            named.join("\n")
        );
    }
    Ok(Exit::Success)
}

pub(crate) async fn import(settings: &Settings, file: &Path) -> anyhow::Result<Exit> {
    let named = || file.display().to_string();
    let journal = open_journal(&settings.data_dir)?;
    let mut input = if file == Path::new("-") {
        // It is read twice.
        let mut kept = tempfile::tempfile_in(&settings.data_dir)?;
        std::io::copy(&mut std::io::stdin().lock(), &mut kept).with_context(named)?;
        kept
    } else {
        File::open(file).with_context(named)?
    };
    // The records of erasures come first: a task that was erased while the export was made may stand in it in part.
    let mut records = journal.import(&Principal::system());
    let mut is_empty = true;
    input.rewind().with_context(named)?;
    let mut lines = Lines::of(&input, named());
    while let Some(bytes) = lines.next()? {
        is_empty = false;
        if is_of_erasures(bytes) {
            records.line(bytes).await?;
        }
    }
    anyhow::ensure!(
        !is_empty,
        "{} is empty: an export of a journal has a line at least, which names the store",
        named()
    );
    let records = records.finish().await?;
    let mut import = journal.import(&Principal::system());
    input.rewind().with_context(named)?;
    let mut lines = Lines::of(&input, named());
    while let Some(bytes) = lines.next()? {
        import.line(bytes).await?;
    }
    let mut done = import.finish().await?;
    // The records are met a second time.
    done.events += records.events;
    done.known = done.known.saturating_sub(records.events);
    if settings.json {
        let refusals = done.refusals.iter();
        json(&json!({
            "events": done.events,
            "known": done.known,
            "refused": done.refused,
            "refusals": refusals
                .map(|refused| json!({"line": refused.line, "reason": refused.reason}))
                .collect::<Vec<_>>(),
        }))?;
    } else {
        for same in done
            .refusals
            .chunk_by(|one, next| one.reason == next.reason)
        {
            let (Some(first), Some(last)) = (same.first(), same.last()) else {
                continue;
            };
            let place = if first.line == last.line {
                format!("line {}", first.line)
            } else {
                format!("{} lines from {} to {}", same.len(), first.line, last.line)
            };
            line(&format!("{place} refused: {}", first.reason))?;
        }
        line(&format!(
            "{} events imported, {} were here already, {} lines refused",
            group_digits(done.events),
            group_digits(done.known),
            group_digits(done.refused)
        ))?;
    }
    Ok(if done.refused == 0 {
        Exit::Success
    } else {
        Exit::Error
    })
}

/// The lines of a file, each with its line end.
struct Lines<'f> {
    input: BufReader<&'f File>,
    name: String,
    bytes: Vec<u8>,
}

impl<'f> Lines<'f> {
    fn of(file: &'f File, name: String) -> Self {
        Self {
            input: BufReader::new(file),
            name,
            bytes: Vec::new(),
        }
    }

    fn next(&mut self) -> anyhow::Result<Option<&[u8]>> {
        self.bytes.clear();
        let mut line = self.input.by_ref().take(LINE_BYTES_MAX);
        let read = line.read_until(b'\n', &mut self.bytes);
        let read = read.with_context(|| self.name.clone())?;
        anyhow::ensure!(
            (read as u64) < LINE_BYTES_MAX,
            "{} has a line of over 128 MiB: it is not an export of a journal",
            self.name
        );
        Ok((read > 0).then_some(&self.bytes))
    }
}

/// Whether a line of an export names the store, or is the record of an erasure. Within a text of an event the quotation
/// marks would be escaped.
fn is_of_erasures(line: &[u8]) -> bool {
    let has = |wanted: &[u8]| line.windows(wanted.len()).any(|part| part == wanted);
    line.starts_with(b"{\"export\":")
        || line.starts_with(b"{\"schema\":") && has(b"\"kind\":\"erasure_started\"")
        || line.starts_with(b"{\"specversion\":") && has(b"erasure_started\"")
}
