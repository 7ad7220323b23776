//! The request, as defined by the purpose's descriptor: the last pieces of a prompt.

use async_trait::async_trait;

use super::{Source, SourceInput};
use crate::piece::Piece;
use crate::purpose::Descriptor;

pub(crate) struct Request;

#[async_trait]
impl Source for Request {
    async fn pieces(&self, input: SourceInput<'_>) -> Vec<Piece> {
        (Descriptor::of(input.purpose).request)(input.state, input.module)
    }
}
