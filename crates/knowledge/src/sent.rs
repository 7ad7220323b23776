//! The exact prompt of a recorded model call, and the pieces it was built from.

use journeyman_event::payload::{
    ContextBuilt, ContextDecision, ModelCallStarted, SentMessage, Verdict,
};
use journeyman_event::{ContentHash, ModuleName, Payload, Principal, Sequence, TaskId, Tokens};
use journeyman_journal::{Filter, Journal};
use thiserror::Error;

/// The separator between two pieces of a prompt.
const BETWEEN: &str = "\n\n";

/// Why a prompt cannot be shown.
#[derive(Debug, Error)]
pub enum SentError {
    /// The journal could not be read.
    #[error(transparent)]
    Journal(#[from] journeyman_journal::Error),
    /// A blob that the call refers to is missing.
    #[error(
        "the text {hash} of what the model was asked is missing; `journeyman journal verify` says more"
    )]
    Missing {
        /// The hash of the blob.
        hash: ContentHash,
    },
}

/// A model call as it was sent.
#[derive(Clone, Debug, PartialEq)]
pub struct SentCall {
    /// The id of the task that made the call.
    pub task: TaskId,
    /// The position of the `model_call_started` event.
    pub sequence: Sequence,
    /// The module the call was for, if any.
    pub module: Option<ModuleName>,
    /// The payload of the event.
    pub call: ModelCallStarted,
    /// The exact text of each message, in the order of the payload's messages.
    pub texts: Vec<String>,
    /// The JSON schema for the answer.
    pub schema: Option<String>,
    /// How the prompt was built; `None` if that was not recorded.
    pub built: Option<ContextBuilt>,
}

/// One piece of a prompt.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SentPiece<'c> {
    /// Its name: `system`, or the name in `context_built`.
    pub name: &'c str,
    /// Whether it was sent whole, cut or left out.
    pub verdict: Verdict,
    /// The recorded reason; may be empty.
    pub why: &'c str,
    /// The text as sent. `None` if it was left out, or if the call was recorded by a version that did not record the
    /// sizes of pieces.
    pub text: Option<&'c str>,
    /// Its share of the prompt's tokens, in proportion to its bytes.
    pub tokens: Option<Tokens>,
}

/// Reads the last model call of a task at or before a position, or the last call; `None` if there is none.
pub async fn sent(
    journal: &Journal,
    principal: &Principal,
    task: &TaskId,
    at: Option<Sequence>,
) -> Result<Option<SentCall>, SentError> {
    let filter = |kind: &str, until: Option<Sequence>| Filter {
        task_id: Some(task.clone()),
        kinds: vec![kind.to_owned()],
        until,
        ..Filter::default()
    };
    let last = async |filter: Filter| {
        let end = Sequence(u64::MAX);
        let page = journal.read_backwards(principal, &filter, end, 1).await;
        page.map(|page| page.events.into_iter().next())
    };
    let Some(event) = last(filter("model_call_started", at)).await? else {
        return Ok(None);
    };
    let Payload::ModelCallStarted(call) = event.payload() else {
        return Ok(None);
    };
    let read = async |hash: ContentHash| -> Result<String, SentError> {
        let bytes = journal.blob(principal, hash).await?;
        let bytes = bytes.ok_or(SentError::Missing { hash })?;
        Ok(String::from_utf8_lossy(&bytes).into_owned())
    };
    let mut texts = Vec::new();
    for message in &call.messages {
        texts.push(read(message.blob).await?);
    }
    let schema = match call.schema {
        Some(hash) => Some(read(hash).await?),
        None => None,
    };
    // Both are recorded in one append, this one first.
    let built = last(filter("context_built", Some(event.sequence()))).await?;
    let built = built.and_then(|event| match event.payload() {
        Payload::ContextBuilt(built) if built.purpose == call.purpose => Some(built.clone()),
        _ => None,
    });
    Ok(Some(SentCall {
        task: task.clone(),
        sequence: event.sequence(),
        module: event.module().cloned(),
        call: call.clone(),
        texts,
        schema,
        built,
    }))
}

impl SentCall {
    /// The messages and their texts, in order.
    pub fn messages(&self) -> impl Iterator<Item = (&SentMessage, &str)> {
        let texts = self.texts.iter().map(String::as_str);
        self.call.messages.iter().zip(texts)
    }

    /// The pieces of the prompt in order, including those that were left out.
    pub fn pieces(&self) -> Vec<SentPiece<'_>> {
        let mut pieces = Vec::new();
        let decisions = self
            .built
            .as_ref()
            .map_or(&[][..], |built| &built.decisions);
        for (message, text) in self.messages() {
            match (message.role.as_str(), cut_up(text, decisions)) {
                ("user", Some(texts)) => {
                    for (decision, text) in decisions.iter().zip(texts) {
                        pieces.push(self.piece(decision, text));
                    }
                }
                ("user", None) => {
                    let texts = decisions.iter().map(|decision| self.piece(decision, None));
                    pieces.extend(texts);
                    pieces.push(self.whole("prompt", text));
                }
                (role, _) => pieces.push(self.whole(role, text)),
            }
        }
        pieces
    }

    fn piece<'c>(&'c self, decision: &'c ContextDecision, text: Option<&'c str>) -> SentPiece<'c> {
        SentPiece {
            name: &decision.piece,
            verdict: decision.verdict,
            why: &decision.why,
            text,
            tokens: text.map(|text| self.tokens_of(text)),
        }
    }

    fn whole<'c>(&'c self, name: &'c str, text: &'c str) -> SentPiece<'c> {
        SentPiece {
            name,
            verdict: Verdict::Kept,
            why: "",
            text: Some(text),
            tokens: Some(self.tokens_of(text)),
        }
    }

    fn tokens_of(&self, text: &str) -> Tokens {
        let all: usize = self.texts.iter().map(String::len).sum();
        let tokens = self.call.prompt_tokens.0;
        Tokens(tokens.saturating_mul(text.len() as u64) / (all.max(1) as u64))
    }
}

/// Splits the text into pieces, if the recorded sizes are present and add up to the text.
fn cut_up<'t>(text: &'t str, decisions: &[ContextDecision]) -> Option<Vec<Option<&'t str>>> {
    let mut texts = Vec::new();
    let mut rest = text;
    let mut is_first = true;
    for decision in decisions {
        let bytes = usize::try_from(decision.bytes?).ok()?;
        if bytes == 0 {
            texts.push(None);
            continue;
        }
        if !is_first {
            rest = rest.strip_prefix(BETWEEN)?;
        }
        is_first = false;
        let (piece, after) = rest.split_at_checked(bytes)?;
        texts.push(Some(piece));
        rest = after;
    }
    (rest.is_empty() && !decisions.is_empty()).then_some(texts)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn decided(bytes: &[Option<u64>]) -> Vec<ContextDecision> {
        let decisions = bytes.iter().map(|&bytes| ContextDecision {
            piece: "a piece".to_owned(),
            verdict: Verdict::Kept,
            why: String::new(),
            bytes,
        });
        decisions.collect()
    }

    #[test]
    fn a_prompt_is_cut_up_where_its_pieces_begin_and_only_if_all_of_it_fits() {
        let text = "one\n\nin two\n\nparts\n\nüber";
        let all = cut_up(text, &decided(&[Some(3), Some(0), Some(13), Some(5)]));
        let all = all.unwrap();
        assert_eq!(
            all,
            [Some("one"), None, Some("in two\n\nparts"), Some("über")]
        );
        for wrong in [
            &[Some(3), None, Some(13), Some(5)][..],
            &[Some(3), Some(13)],
            &[Some(3), Some(13), Some(6)],
            &[Some(3), Some(13), Some(4)],
            &[Some(4), Some(13), Some(5)],
            &[],
        ] {
            assert_eq!(cut_up(text, &decided(wrong)), None, "{wrong:?}");
        }
    }
}
