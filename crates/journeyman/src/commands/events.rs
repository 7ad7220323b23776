//! `events`: what happened, and with `--follow` what happens.

use journeyman_event::{Principal, Sequence};
use journeyman_journal::Filter;
use tokio::signal::unix::{SignalKind, signal};

use crate::cli::EventsArgs;
use crate::exit::Exit;
use crate::output::line;
use crate::parts::read_journal;
use crate::progress::{json_line, plain_line};
use crate::settings::Settings;

/// Events read at a time.
const PAGE: usize = 1_000;

pub(crate) async fn events(settings: &Settings, args: EventsArgs) -> anyhow::Result<Exit> {
    let Some(journal) = read_journal(settings)? else {
        anyhow::ensure!(
            !args.follow,
            "there is no journal in {} yet; `journeyman run` makes one",
            settings.data_dir.display()
        );
        return Ok(Exit::Success);
    };
    let principal = Principal::local();
    let filter = Filter {
        task_id: args.task,
        ..Filter::default()
    };
    let show = |event: &journeyman_event::Event| {
        line(&if settings.json {
            json_line(event)
        } else {
            plain_line(event)
        })
    };
    let mut after = Sequence(args.after);
    if args.follow {
        // One listener for the whole time: a signal between two events is not missed.
        let mut interrupt = signal(SignalKind::interrupt())?;
        let mut subscription = journal.subscribe(&principal, filter, after);
        loop {
            tokio::select! {
                event = subscription.next() => show(&event?)?,
                _ = interrupt.recv() => return Ok(Exit::Success),
            }
        }
    }
    loop {
        let page = journal.read(&principal, &filter, after, PAGE).await?;
        for event in &page {
            show(event)?;
            after = event.sequence();
        }
        if page.len() < PAGE {
            return Ok(Exit::Success);
        }
    }
}
