//! What the tests share: a model server that only counts.

use async_trait::async_trait;
use journeyman_event::Tokens;
use journeyman_llm::{
    Answer, Error, Message, ModelInfo, ModelServer, OnDelta, Request, TokenCount,
};
use tokio_util::sync::CancellationToken;

/// Counts a token for every four bytes and answers nothing.
#[derive(Debug)]
pub(crate) struct Counter;

#[async_trait]
impl ModelServer for Counter {
    async fn describe(&self) -> Result<ModelInfo, Error> {
        Err(Error::Unsupported {
            what: "not asked".into(),
        })
    }

    async fn count(&self, messages: &[Message]) -> Result<TokenCount, Error> {
        let bytes: usize = messages.iter().map(|message| message.content.len()).sum();
        Ok(TokenCount {
            tokens: Tokens(bytes.div_ceil(4) as u64),
            exact: true,
        })
    }

    async fn answer(
        &self,
        _: &Request,
        _: &mut OnDelta<'_>,
        _: &CancellationToken,
    ) -> Result<Answer, Error> {
        Err(Error::Unsupported {
            what: "not asked".into(),
        })
    }
}
