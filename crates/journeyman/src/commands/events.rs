//! `events`: what happened, and with `--follow` what happens.

use std::io;
use std::ops::ControlFlow;

use anyhow::Context;
use journeyman_event::{Event, Principal, Sequence, TaskId};
use journeyman_journal::{Error, Filter, Journal};
use journeyman_knowledge::relevant;
use tokio::signal::unix::{SignalKind, signal};

use crate::cli::EventsArgs;
use crate::client::Client;
use crate::event_text::{json_line, plain_line};
use crate::exit::Exit;
use crate::output::{stdout_closed, stream};
use crate::settings::Settings;
use crate::wiring::read_journal;

/// How many events are shown that matter to one.
const RELEVANT: usize = 20;
/// The number of events read at a time.
const PAGE: usize = 1_000;

pub(crate) async fn events(settings: &Settings, args: EventsArgs) -> anyhow::Result<Exit> {
    Client::refuse(settings, "`events`")?;
    let Some(journal) = read_journal(settings)? else {
        if let Some(task) = &args.task {
            return Err(no_task(task));
        }
        anyhow::ensure!(
            !args.follow,
            "there is no journal in {} yet; `journeyman run` makes one",
            settings.data_dir.display()
        );
        return Ok(Exit::Success);
    };
    let principal = Principal::local();
    if let Some(about) = args.about {
        let limit = args.last.unwrap_or(RELEVANT);
        return about_one(settings, &journal, Sequence(about), limit).await;
    }
    if let Some(task) = &args.task {
        let of_task = Filter::of_task(task);
        let first = journal.read(&principal, &of_task, Sequence::ZERO, 1).await;
        // One that cannot be read is there all the same.
        if first.is_ok_and(|page| page.events.is_empty()) {
            return Err(no_task(task));
        }
    }
    let mut filter = Filter {
        task_id: args.task,
        kinds: args.kind,
        module: args.module,
        actor: args.actor,
        since: args.since,
        before: args.before,
        until: None,
    };
    let show = |event: &Event| show(settings, event);
    let (mut after, mut damaged) = (Sequence(args.after), None);
    if args.follow {
        // One listener for the whole time: a signal between two events is not missed.
        let mut interrupt = signal(SignalKind::interrupt())?;
        let mut subscription = journal.subscribe(&principal, filter, after);
        loop {
            tokio::select! {
                event = subscription.next() => {
                    if show(&event?)?.is_break() {
                        return Ok(Exit::Success);
                    }
                }
                _ = interrupt.recv() => return Ok(Exit::Success),
                () = stdout_closed() => return Ok(Exit::Success),
            }
        }
    }
    if let Some(last) = args.last {
        for event in newest(&journal, &filter, after, last).await?.iter().rev() {
            if show(event)?.is_break() {
                break;
            }
        }
        return Ok(Exit::Success);
    }
    loop {
        let page = match journal.read(&principal, &filter, after, PAGE).await {
            Err(error @ Error::Damaged { sequence, .. }) if damaged.is_none() => {
                // The events before the damaged one are shown first.
                filter.until = Some(Sequence(sequence.0.saturating_sub(1)));
                damaged = Some(error);
                continue;
            }
            page => page?,
        };
        for event in &page.events {
            if show(event)?.is_break() {
                return Ok(Exit::Success);
            }
            after = event.sequence();
        }
        if page.ended {
            return match damaged {
                None => Ok(Exit::Success),
                Some(error) => Err(anyhow::anyhow!("{error}").context(format!(
                    "not all events can be shown; `--after {}` shows what comes after it",
                    filter.until.map_or(0, |until| until.next().0)
                ))),
            };
        }
    }
}

/// Shows the event at a position and those that matter to it.
async fn about_one(
    settings: &Settings,
    journal: &Journal,
    about: Sequence,
    limit: usize,
) -> anyhow::Result<Exit> {
    let principal = Principal::local();
    let before = Sequence(about.0.saturating_sub(1));
    let only = Filter {
        until: Some(about),
        ..Filter::default()
    };
    let page = journal.read(&principal, &only, before, 1).await?;
    let task = page.events.first().map(Event::task_id);
    let task = task.with_context(|| format!("there is no event {about}"))?;
    let events = relevant(journal, &principal, task, about, limit).await?;
    for event in events.into_iter().flatten() {
        if show(settings, &event)?.is_break() {
            break;
        }
    }
    Ok(Exit::Success)
}

fn show(settings: &Settings, event: &Event) -> io::Result<ControlFlow<()>> {
    stream(&if settings.json {
        json_line(event)
    } else {
        plain_line(event)
    })
}

fn no_task(task: &TaskId) -> anyhow::Error {
    anyhow::anyhow!("there is no task {task}; `journeyman tasks` lists them")
}

/// The newest events after a position, the newest first.
async fn newest(
    journal: &Journal,
    filter: &Filter,
    after: Sequence,
    count: usize,
) -> anyhow::Result<Vec<Event>> {
    let mut events: Vec<Event> = Vec::new();
    let mut before = Sequence(u64::MAX);
    while events.len() < count {
        let wanted = PAGE.min(count - events.len());
        let principal = Principal::local();
        let page = journal
            .read_backwards(&principal, filter, before, wanted)
            .await?;
        let newer = page.events.into_iter();
        events.extend(newer.take_while(|event| event.sequence() > after));
        match events.last() {
            Some(last) if !page.ended => before = last.sequence(),
            _ => break,
        }
    }
    Ok(events)
}
