//! The live page on a terminal: asks the server every second, draws, and takes keys, until it is left.

use std::io::stdout;
use std::time::{Duration, Instant};

use anyhow::anyhow;
use ratatui::crossterm::event::{self, Event, KeyCode, KeyEventKind, KeyModifiers};
use serde_json::Value;
use tokio::sync::mpsc;

use super::page::Page;
use super::served;
use crate::exit::Exit;
use crate::settings::Settings;
use crate::signals::cancel_on_signals;
use crate::text_style::TextStyle;

/// The pause between two looks at the metrics.
const LOOK: Duration = Duration::from_secs(1);
/// How long an answer is waited for.
const ANSWER_TIME: Duration = Duration::from_secs(10);

/// The terminal while it shows the page. Dropping it restores what was there before; so does a panic.
struct Screen;

impl Screen {
    fn open() -> std::io::Result<(Self, ratatui::DefaultTerminal)> {
        let screen = Self; // restores also where only a part of the following succeeded
        Ok((screen, ratatui::try_init()?))
    }
}

impl Drop for Screen {
    fn drop(&mut self) {
        ratatui::restore();
    }
}

/// What a person at the terminal did.
enum Input {
    /// They want to leave.
    Leave,
    /// They changed the size of the window.
    Resize,
}

/// What is typed. The channel closes when the terminal is gone.
fn inputs() -> mpsc::Receiver<Input> {
    let (told, inputs) = mpsc::channel(16);
    // Ends with the process: reading a terminal cannot be interrupted.
    std::thread::spawn(move || {
        while let Ok(event) = event::read() {
            let input = match event {
                Event::Key(key) if key.kind == KeyEventKind::Press => match key.code {
                    KeyCode::Char('q') | KeyCode::Esc => Input::Leave,
                    KeyCode::Char('c') if key.modifiers.contains(KeyModifiers::CONTROL) => {
                        Input::Leave
                    }
                    _ => continue,
                },
                Event::Resize(..) => Input::Resize,
                _ => continue,
            };
            if told.blocking_send(input).is_err() {
                return;
            }
        }
    });
    inputs
}

/// Asks for the metrics, again and again.
async fn look(settings: &Settings, looks: mpsc::Sender<anyhow::Result<Value>>) {
    loop {
        tokio::time::sleep(LOOK).await;
        let asked = async {
            match served(settings).await? {
                Some((_, metrics)) => Ok(metrics),
                None => Err(anyhow!("no process holds {}", settings.data_dir.display())),
            }
        };
        let seconds = ANSWER_TIME.as_secs();
        let found = tokio::time::timeout(ANSWER_TIME, asked).await;
        let found = found.unwrap_or_else(|_| Err(anyhow!("no answer within {seconds} s")));
        if looks.send(found).await.is_err() {
            return;
        }
    }
}

/// Shows the metrics of a server until the person leaves, the terminal is gone, or a signal comes.
pub(super) async fn live(settings: &Settings, who: String, metrics: Value) -> anyhow::Result<Exit> {
    let signalled = cancel_on_signals()?;
    let style = TextStyle::of(settings.colour, &stdout());
    let mut page = Page::new(style, who, metrics);
    let mut taken = Instant::now();
    let (_screen, mut terminal) = Screen::open()?;
    let mut inputs = inputs();
    let (told, mut looks) = mpsc::channel(1);
    let looking = look(settings, told);
    tokio::pin!(looking);
    loop {
        terminal.draw(|frame| page.draw(frame))?;
        tokio::select! {
            () = signalled.cancelled() => return Ok(Exit::Interrupted),
            input = inputs.recv() => match input {
                Some(Input::Resize) => {} // drawing adapts to it
                Some(Input::Leave) | None => return Ok(Exit::Success),
            },
            Some(found) = looks.recv() => match found {
                Ok(metrics) => {
                    let now = Instant::now();
                    page.take(metrics, now - taken);
                    taken = now;
                }
                Err(error) => page.lack(format!("{error:#}")),
            },
            () = &mut looking => return Ok(Exit::Success), // nobody takes what it finds
        }
    }
}
