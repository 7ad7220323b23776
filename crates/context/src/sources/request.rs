//! The last pieces of a prompt, which say what the model is to do now (plan, write a module, correct it). The descriptor
//! of the purpose words them.

use async_trait::async_trait;

use super::{Source, SourceInput};
use crate::piece::Piece;
use crate::purpose::Descriptor;

/// The source of what the model is asked to do.
pub(crate) struct Request;

#[async_trait]
impl Source for Request {
    async fn pieces(&self, input: SourceInput<'_>) -> Vec<Piece> {
        (Descriptor::of(input.purpose).request)(input.state, input.module)
    }
}
