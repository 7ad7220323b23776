//! Asks the user of the command line the planner's questions.

use anyhow::Context;
use journeyman_event::TaskState;
use journeyman_event::payload::PauseReason;
use journeyman_tasks::Intervention;
use tokio_util::sync::CancellationToken;

use crate::progress::Progress;

/// Whether the task waits for answers.
pub(super) fn asks(state: &TaskState) -> bool {
    state.pause == Some(PauseReason::Question)
}

/// Asks the user the open questions. An empty line leaves a question open, so that the task continues without
/// its answer. Returns nothing if interrupted.
pub(super) async fn answers(
    state: &TaskState,
    progress: &Progress,
    cancel: &CancellationToken,
) -> anyhow::Result<Vec<Intervention>> {
    let mut given = Vec::new();
    let mut open = 0;
    for question in state.open_questions() {
        progress.ask(&format!("{} (Enter leaves it open)", question.text));
        let line = tokio::select! {
            line = line_of_input() => line?,
            () = cancel.cancelled() => return Ok(Vec::new()),
        };
        if line.trim().is_empty() {
            open += 1;
            continue;
        }
        given.push(Intervention::Answer {
            question: Some(question.id.clone()),
            answer: line.trim().to_owned(),
        });
    }
    if open > 0 {
        given.push(Intervention::Resume {
            limits: None,
            out: None,
        });
    }
    Ok(given)
}

/// Reads a line on a separate thread, which is not waited for when the program ends.
async fn line_of_input() -> anyhow::Result<String> {
    let (said, heard) = tokio::sync::oneshot::channel();
    std::thread::spawn(move || {
        let mut line = String::new();
        let read = std::io::stdin().read_line(&mut line).map(|_| line);
        let _ = said.send(read);
    });
    let line = heard
        .await
        .context("standard input cannot be read any more")?;
    line.context("cannot read the answer from standard input")
}
